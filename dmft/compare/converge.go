package compare

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Options of [Converge].
type Options struct {
	Confidence   float64 // of the intervals printed; 0 is 0.95
	Significance float64 // chance that a right limit is rejected, all tests together; 0 is 0.01
	// What falls off with the size n of an ensemble: a network misses the limit by n^Error and the mean of networks by
	// n^Bias, with corrections in further powers of 1/n. Zero is −1/2 and −1.
	Error, Bias float64
	Tolerance   float64 // relative distance from the limit that is no deviation
	Size        string  // what sizes are called in sentences; "" is N
}

func (o *Options) defaults() {
	for _, d := range []struct {
		v   *float64
		def float64
	}{{&o.Confidence, 0.95}, {&o.Significance, 0.01}, {&o.Error, -0.5}, {&o.Bias, -1}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
}

// Point is one observable in the ensemble of one size. Distances are root mean squares over components, relative to
// that of the limit.
type Point struct {
	Size        int     `json:"size"` // width, dimension …
	Replicas    int     `json:"replicas"`
	Error       float64 `json:"error"`        // √E‖q − q_∞‖² of one network, without the noise of the theory
	ErrorStderr float64 `json:"error_stderr"` // by the bootstrap
	// Mean is ‖E q − q_∞‖, the variances of both means subtracted from its square: zero when noise is larger. MeanUpper
	// bounds it from above.
	Mean       float64 `json:"mean_error"`
	MeanUpper  float64 `json:"mean_error_upper"`
	Noise      float64 `json:"mean_error_noise"` // what ‖mean q − q_∞‖ would be from sampling errors alone
	Bias       float64 `json:"bias"`             // signed size of E q − q_∞ along its direction at the smallest size
	BiasStderr float64 `json:"bias_stderr"`      // without the theory's error, which all sizes share
}

// Fit is a fitted exponent with what was expected.
type Fit struct {
	Rate
	// Next is the exponent when the next order, a factor 1 + c/n with c free, is fitted with it. The test is of this
	// one, and of the error it rejects what the scatter of networks about their mean contradicts as well: bias adds
	// further orders to the error, and has an exponent and a test of its own.
	Next   float64 `json:"next_order_exponent"`
	NextLo float64 `json:"next_order_lo"`
	NextHi float64 `json:"next_order_hi"`
	P      float64 `json:"p"` // that the expected exponent gives so large a deviation
}

// Convergence says how one observable approaches its limit.
type Convergence struct {
	Name      string  `json:"observable"`
	Scale     float64 `json:"scale"` // rms of the limit, the unit of distances
	Points    []Point `json:"points"`
	Error     Fit     `json:"error_rate"`
	Bias      Fit     `json:"bias_rate"`
	Limit     Limit   `json:"limit"`
	TheoryErr float64 `json:"theory_error"` // ‖standard error of the limit‖, relative
}

// Test is one test of a report.
type Test struct {
	Name     string  `json:"name"`
	P        float64 `json:"p"`
	Adjusted float64 `json:"p_adjusted"` // for the number of tests (Holm 1979)
	Rejected bool    `json:"rejected"`

	without float64 // p without what finite size may add
}

// Convergences are all observables of one ladder of sizes, with a verdict.
type Convergences struct {
	Outcome
	Size         string        `json:"size,omitempty"` // what sizes are called
	Sizes        []int         `json:"sizes"`
	Observables  []Convergence `json:"observables"`
	Tests        []Test        `json:"tests"`
	Diverged     []int         `json:"diverged,omitempty"` // sizes at which networks diverged where the theory does not
	Untested     string        `json:"untested,omitempty"` // why nothing could be tested
	Needs        string        `json:"-"`                  // what would be needed for that
	Confidence   float64       `json:"confidence"`
	Significance float64       `json:"significance"`
}

const (
	draws     = 400   // of the bootstrap,
	together  = 50    // so many at once
	nullDraws = 40000 // of the null distribution of a squared distance, at most,
	enough    = 200   // until so many are larger
	leastFit  = 3     // sizes: the limit with two orders has three unknowns
)

// Converge fits how observables of ensembles of sizes n approach their limits, and tests it.
//
// The error of one network and the bias of their mean are fitted by powers of n, alone and with the next order in 1/n,
// which is what is tested: a correction 1 + c/n is there in truth, and a test of the bare power would reject a right
// limit when networks are many. Error bars come from the bootstrap over the replicas of every size and over the blocks
// of the theory, whose error all sizes share. The limit is tested as [Limit] says. A right limit is rejected with a
// probability of at most Significance.
//
// Powers are fitted and judged from three sizes on, with two replicas or more of each. With fewer sizes the limit alone
// is tested. Where no ensemble has two replicas, or the theory was sampled in a single block, there is no error bar,
// and the verdict is undecided.
func Converge(sizes []int, obs []Observable, opt Options) (*Convergences, error) {
	opt.defaults()
	if len(sizes) == 0 {
		return nil, errors.New("compare: no ensembles to compare the theory with")
	}
	for i, n := range sizes {
		if i > 0 && n <= sizes[i-1] {
			return nil, fmt.Errorf("compare: sizes %v must rise", sizes)
		}
	}
	c := &Convergences{Size: opt.Size, Sizes: sizes, Confidence: opt.Confidence, Significance: opt.Significance}
	for _, o := range obs {
		if len(o.Ensembles) != len(sizes) || len(o.Limit) == 0 {
			return nil, fmt.Errorf("compare: %s of %d ensembles for %d sizes", o.Name, len(o.Ensembles), len(sizes))
		}
		scatter := false
		for k, e := range o.Ensembles {
			if len(e) == 0 {
				return nil, fmt.Errorf("compare: no network of size %d", sizes[k])
			}
			scatter = scatter || len(e) > 1
			for _, x := range e {
				if len(x) != len(o.Limit[0]) {
					return nil, fmt.Errorf("compare: %s of size %d has %d components, the limit %d", o.Name, sizes[k],
						len(x), len(o.Limit[0]))
				}
			}
		}
		switch {
		case o.OneBlock:
			c.Untested, c.Needs = "the theory was sampled in one block alone, and its error is not known",
				"two blocks or more, better eight"
		case !scatter:
			c.Untested, c.Needs = "of no size is there more than one network, and how networks scatter is not known",
				"two seeds or more, better eight"
		}
	}
	if c.Untested == "" {
		for _, o := range obs {
			o, exponent := inRange(o)
			r := converge(sizes, o, opt)
			r.Scale = math.Ldexp(r.Scale, exponent)
			c.Observables = append(c.Observables, r)
		}
	}
	c.Judge()
	return c, nil
}

// Judge makes the tests of all observables and the verdict, controlling the chance of any false rejection by Holm's
// method.
func (c *Convergences) Judge() {
	c.Outcome, c.Tests = Conclude([]Part{{"", c}}, nil, c.Significance)
}

// tests are those of all observables.
func (c *Convergences) tests() []Test {
	var out []Test
	add := func(name string, p, without float64) { out = append(out, Test{Name: name, P: p, without: without}) }
	for _, o := range c.Observables {
		add(o.Name+limitTest, o.Limit.P, o.Limit.Without)
		if o.Error.Resolved {
			add(o.Name+errorTest, o.Error.P, o.Error.P)
		}
		if o.Bias.Resolved {
			add(o.Name+biasTest, o.Bias.P, o.Bias.P)
		}
	}
	return out
}

// mark takes over from tests, whose names begin with prefix, what is rejected.
func (c *Convergences) mark(tests []Test, prefix string) {
	rejected := map[string]bool{}
	for _, t := range tests {
		rejected[t.Name] = t.Rejected
	}
	for i := range c.Observables {
		o := &c.Observables[i]
		name := prefix + o.Name
		o.Error.Judged, o.Bias.Judged = o.Error.Resolved, o.Bias.Resolved
		o.Error.Consistent = o.Error.Resolved && !rejected[name+errorTest]
		o.Bias.Consistent = o.Bias.Resolved && !rejected[name+biasTest]
		o.Limit.Consistent = !rejected[name+limitTest]
	}
	for i, t := range c.Tests {
		c.Tests[i].Rejected = rejected[prefix+t.Name]
	}
}

// What is tested of an observable.
const (
	limitTest = ": limit"
	errorTest = ": fluctuation exponent"
	biasTest  = ": bias exponent"
)

// Holm adjusts the p of tests for their number and says whether none is rejected: with a chance of at most significance
// one is that should not be (Holm 1979).
func Holm(tests []Test, significance float64) bool {
	order := make([]int, len(tests))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return tests[order[a]].P < tests[order[b]].P })
	worst, none := 0., true
	for rank, i := range order {
		worst = min(1, max(worst, tests[i].P*float64(len(tests)-rank)))
		tests[i].Adjusted, tests[i].Rejected = worst, worst < significance
		none = none && !tests[i].Rejected
	}
	return none
}

// converge is Converge for one observable.
func converge(sizes []int, o Observable, opt Options) Convergence {
	r := Convergence{Name: o.Name}
	inf, infVar := moments(o.Limit)
	dim := float64(len(inf))
	r.Scale = rms(inf)
	if r.Scale == 0 {
		r.Scale = 1
	}
	blocks := len(o.Limit)
	vy := mean(infVar) / float64(blocks) // mean square error of the limit
	r.TheoryErr = math.Sqrt(vy+square(o.Rest)) / r.Scale
	unit := r.Scale * r.Scale

	fits := len(sizes) >= leastFit
	for _, e := range o.Ensembles {
		fits = fits && len(e) > 1
	}

	// Distances of single replicas from the limit, and inner products with every block for the bootstrap.
	dirs := directions(o.Ensembles[0], inf)
	shifts := deviations(o.Limit, inf)
	k := len(sizes)
	sq, proj := make([][]float64, k), make([][]float64, k)
	scattered := make([][]float64, k) // squared distances of single replicas from their mean
	cross := make([]*mat.Dense, k)    // size; replicas × blocks: ⟨x − ȳ, y_b − ȳ⟩/dim
	means := make([][]float64, k)
	variances := make([]float64, k)
	for i, e := range o.Ensembles {
		m, v := moments(e)
		means[i], variances[i] = m, mean(v)
		sq[i], proj[i], scattered[i] = make([]float64, len(e)), make([]float64, len(e)), make([]float64, len(e))
		for s, x := range e {
			d := rmsDiff(x, inf)
			sq[i][s] = d * d
			d = rmsDiff(x, m)
			scattered[i][s] = d * d
			for half, u := range dirs {
				weight := 1 / float64(len(dirs))
				if i == 0 { // a replica is never projected onto a direction it helped to find
					weight = float64((half + s) % 2)
				}
				for j := range x {
					proj[i][s] += weight * (x[j] - inf[j]) * u[j]
				}
			}
		}
		if blocks > 1 {
			cross[i] = new(mat.Dense)
			cross[i].Mul(deviations(e, inf), shifts.T())
			cross[i].Scale(1/dim, cross[i])
		}
	}
	var gram mat.Dense
	gram.Mul(shifts, shifts.T())
	gram.Scale(1/dim, &gram)

	// One network's squared error, by size; the relative variance of a replica's is about the same at all sizes and is
	// pooled.
	sqError := make([]float64, k)
	kappa, dof := kurtosis(sq)
	for i := range sizes {
		sqError[i] = mean(sq[i]) - vy
	}
	weights := make([]float64, k)
	for i := range sizes {
		weights[i] = float64(len(sq[i]))
	}
	logs := func(e []float64, kappa float64) []float64 {
		y := make([]float64, k)
		for i, v := range e {
			y[i] = math.Log(v) + kappa/(2*weights[i]) // the logarithm of a mean is below the mean of logarithms
		}
		return y
	}
	// Bootstrap: one draw less than there are replicas makes variances unbiased (Rao & Wu 1988).
	rng := rand.New(rand.NewPCG(1, uint64(k)))
	boot := make([][]float64, draws)
	drawn := make([]*mat.Dense, k) // draws at once × replicas: how often each is drawn
	for i := range sizes {
		drawn[i] = mat.NewDense(together, len(sq[i]), nil)
	}
	weight := mat.NewDense(together, blocks, nil) // of every block in the limit
	for first := 0; first < draws; first += together {
		weight.Zero()
		for d := range together {
			for range blocks - 1 {
				weight.RawRowView(d)[rng.IntN(blocks)] += 1 / float64(blocks-1)
			}
			boot[first+d] = make([]float64, k)
			for i := range sizes {
				count, n := drawn[i].RawRowView(d), len(sq[i])
				clear(count)
				sum := 0.
				for range max(n-1, 1) {
					s := rng.IntN(n)
					count[s]++
					sum += sq[i][s]
				}
				boot[first+d][i] = sum/float64(max(n-1, 1)) - 2*vy
			}
		}
		if blocks == 1 {
			continue
		}
		// ‖x − ȳ*‖² = ‖x − ȳ‖² − 2⟨x − ȳ, ȳ* − ȳ⟩ + ‖ȳ* − ȳ‖²
		var moved mat.Dense
		moved.Mul(weight, &gram)
		for i := range sizes {
			var along mat.Dense
			along.Mul(drawn[i], cross[i])
			for d := range together {
				w := weight.RawRowView(d)
				boot[first+d][i] += dot(moved.RawRowView(d), w) - 2*dot(along.RawRowView(d), w)/float64(max(len(sq[i])-1, 1))
			}
		}
	}
	spread := make([]float64, k) // standard errors of the squared errors
	for i := range sizes {
		var x []float64
		for _, b := range boot {
			x = append(x, b[i])
		}
		_, se := meanStderr(x)
		spread[i] = se * math.Sqrt(float64(len(x)))
	}
	// What the theory may be off by is part of the distance of every network.
	off := opt.Tolerance * opt.Tolerance * unit
	resolved := fits
	for i := range sizes {
		// Below, the error of the theory hides that of one network.
		resolved = resolved && sqError[i] > 10*(vy+off) && sqError[i] > 0 && variances[i] > 0
	}
	r.Error.Expected = opt.Error
	if resolved {
		r.Error.Resolved = true
		// Kurtosis of squares leaves about a quarter of the degrees of freedom to the variances.
		t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: max(dof/4, 2)}
		q := t.Quantile((1 + opt.Confidence) / 2)
		for order := 1; order <= 2; order++ {
			row, amplitude := slope(sizes, weights, order)
			y := logs(sqError, kappa)
			p := dot(row, y) / 2
			var all []float64
			for _, b := range boot {
				ok := true
				for _, v := range b {
					ok = ok && v > 0
				}
				if ok {
					all = append(all, dot(row, logs(b, kappa))/2)
				}
			}
			_, se := meanStderr(all)
			se *= math.Sqrt(float64(len(all)))
			if order == 1 {
				r.Error.Exponent, r.Error.Lo, r.Error.Hi = p, p-q*se, p+q*se
				r.Error.Amplitude = math.Exp(dot(amplitude, y)/2) / r.Scale
				continue
			}
			r.Error.Next, r.Error.NextLo, r.Error.NextHi = p, p-q*se, p+q*se
			less := make([]float64, k)
			for i, v := range sqError {
				less[i] = v - off
			}
			p2 := dot(row, logs(less, kappa)) / 2
			r.Error.P = 1
			if (p-opt.Error)*(p2-opt.Error) > 0 { // else an error within the tolerance explains it
				r.Error.P = 2 * t.Survival(min(math.Abs(p-opt.Error), math.Abs(p2-opt.Error))/se)
			}
			// The squared error is a variance and a squared bias, b²/n² + 2bc/n³ + …, so that with much bias it has
			// more orders than a factor 1 + c/n. The variance alone has not.
			kappa, _ := kurtosis(scattered)
			p, se = dot(row, logs(variances, kappa))/2, 0
			for i, w := range row {
				se += w * w * kappa / max(weights[i]-1, 1)
			}
			r.Error.P = max(r.Error.P, 2*t.Survival(2*math.Abs(p-opt.Error)/math.Sqrt(se)))
		}
	}

	// The bias along a direction, which is linear in replicas and so without the noise that a norm has.
	bias, biasErr := make([]float64, k), make([]float64, k)
	for i := range sizes {
		bias[i], biasErr[i] = meanStderr(proj[i])
	}
	// The theory's error shifts all sizes alike. Where there is little bias the directions follow it, so its norm
	// bounds its part, not its projection.
	common := 0.
	if len(dirs) > 0 {
		common = math.Hypot(math.Hypot(math.Sqrt(vy)*studentRatio(blocks-1), rms(o.Rest)), math.Sqrt(off))
	}
	x := make([]float64, k)
	for i, n := range sizes {
		x[i] = float64(n)
	}
	first := profile(x, bias, biasErr, common, 1, opt.Confidence, opt.Bias)
	r.Bias = Fit{Rate: first.rate, P: 1}
	r.Bias.Amplitude /= r.Scale
	r.Bias.Expected = opt.Bias
	if r.Bias.Resolved = r.Bias.Resolved && fits; r.Bias.Resolved {
		next := profile(x, bias, biasErr, common, 2, opt.Confidence, opt.Bias)
		r.Bias.Next, r.Bias.NextLo, r.Bias.NextHi, r.Bias.P = next.rate.Exponent, next.rate.Lo, next.rate.Hi, next.p
	}

	for i, n := range sizes {
		pt := Point{Size: n, Replicas: len(sq[i]), Bias: bias[i] / r.Scale, BiasStderr: biasErr[i] / r.Scale}
		if sqError[i] > 0 {
			pt.Error = math.Sqrt(sqError[i]) / r.Scale
			pt.ErrorStderr = spread[i] / (2 * pt.Error * unit)
		}
		d := rmsDiff(means[i], inf)
		vn := variances[i] / float64(len(sq[i]))
		noise := vn + vy
		pt.Noise = math.Sqrt(noise) / r.Scale
		m := d*d - noise
		pt.Mean = math.Sqrt(max(m, 0)) / r.Scale
		// ‖mean‖² has variance 2 tr Σ² + 4 bᵀΣb, at most 2 noise² + 4 b² noise.
		pt.MeanUpper = math.Sqrt(max(m, 0)+distuv.UnitNormal.Quantile(opt.Confidence)*math.Sqrt(2*noise*noise+4*max(m,
			0)*noise)) / r.Scale
		r.Points = append(r.Points, pt)
	}
	r.Limit = testLimit(sizes, o, means, inf, r.Scale, opt)
	return r
}
