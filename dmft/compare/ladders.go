package compare

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Depths compares theories of finite depths, the ensembles of obs with their blocks as replicas, with that of infinite
// depth: f_L − f_∞ ∝ L^{−order} and its next order. Noise is shared by the depths as far as they have the same blocks.
func Depths(depths []int, obs []Observable, order float64, opt Options) (*Convergences, error) {
	opt.defaults()
	if len(depths) < leastFit {
		return nil, fmt.Errorf("compare: %d depths; a limit with two orders needs at least %d", len(depths), leastFit)
	}
	c := &Convergences{Size: "L", Sizes: depths, Confidence: opt.Confidence, Significance: opt.Significance}
	x := make([]float64, len(depths))
	for i, l := range depths {
		x[i] = float64(l)
	}
	a, first := depthIntercept(x, order, 2), depthIntercept(x, order, 1)
	normal := distuv.UnitNormal.Quantile((1 + opt.Confidence) / 2)
	for _, o := range obs {
		if len(o.Ensembles) != len(depths) || len(o.Limit) == 0 {
			return nil, fmt.Errorf("compare: %s of %d theories for %d depths", o.Name, len(o.Ensembles), len(depths))
		}
		inf, infVar := moments(o.Limit)
		vy := mean(infVar) / float64(len(o.Limit))
		r := Convergence{Name: o.Name, Scale: rms(inf), TheoryErr: math.Sqrt(vy + square(o.Rest))}
		if r.Scale == 0 {
			r.Scale = 1
		}
		r.TheoryErr /= r.Scale
		// Projections onto the direction of the shallowest, whose bias is far above its noise or nothing is resolved.
		shallow, _ := moments(o.Ensembles[0])
		u := make([]float64, len(inf))
		norm := 0.
		for j := range u {
			u[j] = shallow[j] - inf[j]
			norm += u[j] * u[j]
		}
		y, se := make([]float64, len(depths)), make([]float64, len(depths))
		paired := true
		d, second := make([]float64, len(inf)), make([]float64, len(inf))
		for i, e := range o.Ensembles {
			paired = paired && len(e) == len(o.Ensembles[0])
			m, v := moments(e)
			var p []float64
			for _, b := range e {
				s := 0.
				for j := range b {
					s += (b[j] - inf[j]) * u[j]
				}
				p = append(p, s/math.Sqrt(norm*float64(len(inf))))
			}
			y[i], se[i] = meanStderr(p)
			noise := mean(v)/float64(len(e)) + vy
			dist := rmsDiff(m, inf)
			q := max(dist*dist-noise, 0)
			r.Points = append(r.Points, Point{Size: depths[i], Replicas: len(e), Mean: math.Sqrt(q) / r.Scale,
				Noise: math.Sqrt(noise) / r.Scale, Bias: y[i] / r.Scale, BiasStderr: se[i] / r.Scale,
				MeanUpper: math.Sqrt(q+distuv.UnitNormal.Quantile(opt.Confidence)*math.Sqrt(2*noise*noise+4*q*noise)) / r.Scale})
			for j := range m {
				d[j] += a[i] * m[j]
				second[j] += (a[i] - first[i]) * m[j]
			}
		}
		for j := range d {
			d[j] -= inf[j]
		}
		fit := profile(x, y, se, math.Hypot(math.Sqrt(vy)*studentRatio(len(o.Limit)-1), rms(o.Rest)), 1, opt.Confidence,
			-order)
		r.Bias = Fit{Rate: fit.rate, P: 1}
		r.Bias.Amplitude /= r.Scale
		r.Bias.Expected = -order
		if fit.rate.Resolved {
			next := profile(x, y, se, math.Hypot(math.Sqrt(vy)*studentRatio(len(o.Limit)-1), rms(o.Rest)), 2,
				opt.Confidence, -order)
			r.Bias.Next, r.Bias.NextLo, r.Bias.NextHi, r.Bias.P = next.rate.Exponent, next.rate.Lo, next.rate.Hi, next.p
		}
		var pools []pool
		if paired { // blocks of one number share noise: their combination is one sample
			s := make(Sample, len(o.Ensembles[0]))
			for b := range s {
				s[b] = make([]float64, len(inf))
				for i, e := range o.Ensembles {
					for j, v := range e[b] {
						s[b][j] += a[i] * v
					}
				}
			}
			pools = meanPool(s)
		} else {
			for i, e := range o.Ensembles {
				for _, p := range meanPool(e) {
					p.factors[0] *= a[i] * a[i]
					pools = append(pools, p)
				}
			}
		}
		pools = append(pools, meanPool(o.Limit)...)
		// Depths are few and small: what the second order contributes stands for the third, cautiously, as in the
		// extrapolation of the limit itself.
		for j := range second {
			second[j] = math.Abs(second[j])
			if o.Rest != nil {
				second[j] += o.Rest[j]
			}
		}
		r.Limit = limitOf(d, noiseOf(pools...), second, r.Scale, normal)
		c.Observables = append(c.Observables, r)
	}
	c.Judge()
	return c, nil
}

// depthIntercept are the coefficients of the values at depths in their fit by q + b/L^order [+ c/L^{2 order}], of equal
// variances.
func depthIntercept(depths []float64, order float64, orders int) []float64 {
	x := mat.NewDense(len(depths), orders+1, nil)
	for i, l := range depths {
		for j := range orders + 1 {
			x.Set(i, j, math.Pow(depths[0]/l, order*float64(j)))
		}
	}
	return hat(x).RawRowView(0)
}

// SamplePoint is the theory at one number of samples.
type SamplePoint struct {
	Samples  int     `json:"samples"`
	Blocks   int     `json:"blocks"`
	Error    float64 `json:"stderr"`     // of f, root mean square over times and points, relative
	Distance Limit   `json:"difference"` // from the theory with the most samples
}

// SampleRate says how the sampling error of the theory falls with the number of samples, and whether fewer samples have
// a bias.
type SampleRate struct {
	Observable string        `json:"observable"`
	Points     []SamplePoint `json:"points"`
	Error      Fit           `json:"error_rate"` // expected −1/2
	Tests      []Test        `json:"tests"`
	Agree      bool          `json:"agree"`
}

// Samples compares theories of rising numbers of samples with the last, the one with the most. Of all, blocks are
// independent.
func Samples(samples []int, name string, theories []Sample, opt Options) (*SampleRate, error) {
	opt.defaults()
	k := len(samples)
	if k < 2 || len(theories) != k {
		return nil, fmt.Errorf("compare: %d theories for %d numbers of samples; at least two are needed", len(theories), k)
	}
	normal := distuv.UnitNormal.Quantile((1 + opt.Confidence) / 2)
	ref := theories[k-1]
	inf, _ := moments(ref)
	scale := rms(inf)
	if scale == 0 {
		scale = 1
	}
	r := &SampleRate{Observable: name}
	r.Error.Expected, r.Error.P = -0.5, 1
	weights, logs := make([]float64, k), make([]float64, k)
	ok := true
	for i, s := range theories {
		if len(s) < 2 {
			return nil, fmt.Errorf("compare: %d samples in a single block, which has no error bar", samples[i])
		}
		m, v := moments(s)
		e := mean(v) / float64(len(s))
		pt := SamplePoint{Samples: samples[i], Blocks: len(s), Error: math.Sqrt(e) / scale}
		if i < k-1 {
			d := make([]float64, len(m))
			for j := range d {
				d[j] = m[j] - inf[j]
			}
			pt.Distance = limitOf(d, noiseOf(append(meanPool(s), meanPool(ref)...)...), nil, scale, normal)
			r.Tests = append(r.Tests, Test{Name: samplesTest(samples[i]), P: pt.Distance.P})
		}
		r.Points = append(r.Points, pt)
		ok = ok && pt.Error > 1e-9
		// The logarithm of a variance of ν degrees of freedom of a single mode, which is cautious, has variance 2/ν and
		// mean −1/ν.
		weights[i], logs[i] = float64(len(s)-1), math.Log(e)+1/float64(len(s)-1)
	}
	if ok {
		row, amplitude := slope(samples, weights, 1)
		se := 0.
		for i, w := range row {
			se += w * w * 2 / weights[i]
		}
		se = math.Sqrt(se) / 2
		p := dot(row, logs) / 2
		r.Error.Resolved = true
		r.Error.Exponent, r.Error.Lo, r.Error.Hi = p, p-normal*se, p+normal*se
		r.Error.Next, r.Error.NextLo, r.Error.NextHi = r.Error.Exponent, r.Error.Lo, r.Error.Hi
		r.Error.Amplitude = math.Exp(dot(amplitude, logs)/2) / scale
		r.Error.P = 2 * distuv.UnitNormal.Survival(math.Abs(p+0.5)/se)
		r.Tests = append(r.Tests, Test{Name: samplesExponent, P: r.Error.P})
	}
	r.Agree = Holm(r.Tests, opt.Significance)
	r.Mark(r.Tests)
	return r, nil
}

// Mark takes over what is rejected of tests.
func (r *SampleRate) Mark(tests []Test) {
	rejected := map[string]bool{}
	for _, t := range tests {
		rejected[t.Name] = t.Rejected
	}
	r.Error.Consistent = r.Error.Resolved && !rejected[samplesExponent]
	for i := range r.Points {
		r.Points[i].Distance.Consistent = !rejected[samplesTest(r.Points[i].Samples)]
	}
	for i, t := range r.Tests {
		r.Tests[i].Rejected = rejected[t.Name]
	}
}

const samplesExponent = "exponent of the theory's error"

func samplesTest(n int) string { return fmt.Sprintf("theory with %d samples", n) }
