// Package compare says how far apart two trajectories of one Problem are, at what rate finite networks approach the
// infinite-width limit, and whether the two agree.
//
// With f_∞ the theory and f_N one network of width N, every distance is a root mean square over times and training
// points. The error of single networks and the bias of their mean are expected to fall as
//
//	E‖f_N − f_∞‖ ∝ N^{-1/2},   ‖E f_N − f_∞‖ ∝ N^{-1}
//
// (Bordelon & Pehlevan 2023, arXiv 2304.03408). Both the theory's sampling error and the ensemble's enter every
// verdict.
//
// One engine of tests, [Converge], makes every verdict: for predictions, loss and NTK ([Observables]) it tests the
// means of networks extrapolated to infinite width and, from three widths on, the exponents with the next order in 1/N,
// with a chance of a false rejection that is set beforehand. [New] adds distances to it for the widths there are,
// [Depths] and [Samples] ask for theories of several depths and numbers of samples. A verdict is one of three: agree,
// with the difference that would have been seen; disagree; undecided, with what would decide. docs/verdicts.md counts
// false alarms and what is seen.
//
//	obs, err := compare.Observables(problem, theory, ensembles)        // theory and ensembles with Record.NTKReplicas
//	c, err := compare.Converge([]int{32, 64, 128}, obs, compare.Options{Significance: 0.01})
//	fmt.Println(c.Outcome, c.Observables[0].Error, c.Tests)
package compare

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/seed39b58f2d/dmft/dmft"
)

// Width compares the ensemble of one width with the theory. Distances are relative to the root mean square of f_∞.
type Width struct {
	N           int     `json:"width"`
	Seeds       int     `json:"seeds"`
	Error       float64 `json:"error"`            // rms over seeds of ‖f_N − f_∞‖, theory noise removed
	ErrorStderr float64 `json:"error_stderr"`     // its standard error (jackknife over seeds)
	Mean        float64 `json:"mean_error"`       // ‖mean f_N − f_∞‖
	Noise       float64 `json:"mean_error_noise"` // what Mean would be from sampling errors alone
	Bias        float64 `json:"bias"`             // signed size of E f_N − f_∞ along its direction at the smallest width
	BiasStderr  float64 `json:"bias_stderr"`      // its standard error
	// Fraction of times and points with |mean f_N − f_∞| < 3 combined standard errors.
	Within3     float64 `json:"within_3_stderr"`
	Loss        float64 `json:"loss_error"`    // rms over times of |mean loss − theory| / initial loss
	Kernel      float64 `json:"kernel_error"`  // ‖mean NTK − theory‖/‖theory‖ over kept times; 0 if none are kept
	Feature     float64 `json:"feature_error"` // the same of the feature kernel of the last layer
	FinalLoss   float64 `json:"final_loss"`    // mean over seeds
	FinalStderr float64 `json:"final_loss_stderr"`
}

// Rate is a fitted power law a·N^exponent.
type Rate struct {
	Exponent   float64 `json:"exponent"`
	Lo         float64 `json:"lo"` // 95 % confidence interval
	Hi         float64 `json:"hi"`
	Amplitude  float64 `json:"amplitude"`
	Expected   float64 `json:"expected"`
	Resolved   bool    `json:"resolved"`   // the data determine the exponent at all
	Judged     bool    `json:"judged"`     // it was tested: from three sizes on, when it is resolved
	Consistent bool    `json:"consistent"` // the test, which allows for the next order in 1/N, does not reject Expected
}

// String is an exponent such as "−0.49 [−0.53, −0.45], expected −0.5: consistent".
func (r Rate) String() string {
	if !r.Resolved {
		return fmt.Sprintf("not resolved by these sizes and seeds (expected %g)", r.Expected)
	}
	v := "not judged"
	switch {
	case r.Judged && r.Consistent:
		v = "consistent"
	case r.Judged:
		v = "NOT consistent"
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f], expected %g: %s", r.Exponent, r.Lo, r.Hi, r.Expected, v)
}

// Report is the comparison of a theory with ensembles of several widths. The verdict and its tests are those of
// [Converge].
type Report struct {
	*Convergences
	Widths    []Width `json:"widths"`
	Error     Rate    `json:"error_rate"` // of E‖f_N − f_∞‖, expected −1/2
	Bias      Rate    `json:"bias_rate"`  // of ‖E f_N − f_∞‖, expected −1
	Distance  float64 `json:"distance"`   // of the predictions, as they were tested ([Limit])
	Noise     float64 `json:"noise"`
	Tolerance float64 `json:"tolerance"`
	Scale     float64 `json:"scale"` // rms of f_∞, the unit of all distances
	Steps     int     `json:"steps"` // times compared
}

// New compares the theory of p with ensembles, and says whether they agree. Options.Tolerance is the relative distance
// that is no deviation. A trajectory that stopped early is compared as far as it goes, and the verdict is undecided.
func New(p *dmft.Problem, theory *dmft.Trajectory, ensembles []*dmft.Trajectory, opt Options) (*Report, error) {
	sims := byWidth(ensembles)
	var stopped Stopped
	stopped.Add("the theory", theory.Status)
	var widths []int
	least := theory.Steps()
	for _, s := range sims {
		widths, least = append(widths, s.Width), min(least, s.Steps())
		stopped.Add(fmt.Sprintf("networks of width %d", s.Width), s.Status)
	}
	if least < 2 && stopped != nil { // there is nothing to compare but the start
		return &Report{Convergences: stopped.Alone(widths, opt), Widths: []Width{}, Tolerance: opt.Tolerance}, nil
	}
	r, err := Distances(theory, ensembles)
	if err != nil {
		return nil, err
	}
	r.Tolerance = opt.Tolerance
	obs, err := Observables(p, theory, sims)
	if err != nil {
		return nil, err
	}
	if r.Convergences, err = Converge(widths, obs, opt); err != nil {
		return nil, err
	}
	stopped.Conclude(r.Convergences)
	if len(r.Observables) > 0 { // f is the first
		f := r.Observables[0]
		r.Distance, r.Noise = f.Limit.Distance, f.Limit.Noise
		for _, x := range []struct {
			rate *Rate
			fit  Fit
		}{{&r.Error, f.Error}, {&r.Bias, f.Bias}} {
			if x.fit.Resolved && x.fit.Judged {
				*x.rate = x.fit.Rate
			}
		}
	}
	return r, nil
}

func byWidth(ensembles []*dmft.Trajectory) []*dmft.Trajectory {
	sims := append([]*dmft.Trajectory(nil), ensembles...)
	sort.SliceStable(sims, func(i, j int) bool { return sims[i].Width < sims[j].Width })
	return sims
}

// Distances is New without a verdict: the distances of ensembles from a theory alone.
func Distances(theory *dmft.Trajectory, ensembles []*dmft.Trajectory) (*Report, error) {
	if len(ensembles) == 0 {
		return nil, errors.New("compare: no ensembles to compare the theory with")
	}
	sims := byWidth(ensembles)
	steps := theory.Steps()
	for i, s := range sims {
		if s.FReplicas.Empty() || len(s.F.Shape) != len(theory.F.Shape) || s.F.Shape[1] != theory.F.Shape[1] {
			return nil, fmt.Errorf("compare: the ensemble of width %d has predictions of shape %v, the theory %v",
				s.Width, s.F.Shape, theory.F.Shape)
		}
		if i > 0 && s.Width == sims[i-1].Width {
			return nil, fmt.Errorf("compare: two ensembles of width %d", s.Width)
		}
		steps = min(steps, s.Steps())
	}
	n := steps * (len(theory.F.Data) / theory.Steps())
	inf, infErr := theory.F.Data[:n], theory.FStderr.Data[:n]
	r := &Report{Convergences: &Convergences{Outcome: Outcome{Verdict: Undecided, Why: "distances are no test"}},
		Scale: rms(inf), Steps: steps}
	if r.Scale == 0 {
		r.Scale = 1
	}
	infVar := square(infErr)
	dirs := directions(replicas(sims[0].FReplicas, n), inf)
	for i, s := range sims {
		r.Widths = append(r.Widths, r.width(theory, s, inf, infErr, infVar, dirs, i == 0))
	}
	r.fit(infErr, dirs)
	return r, nil
}

// Stopped are trajectories that stopped early.
type Stopped []string

// Add adds one that did.
func (s *Stopped) Add(what string, status dmft.Status) {
	if status.Early() {
		*s = append(*s, fmt.Sprintf("%s stopped at step %d (%s)", what, status.Step, status.Code))
	}
}

// Conclude makes the verdict undecided when trajectories have stopped early, and no exponent judged.
func (s Stopped) Conclude(c *Convergences) {
	if s == nil {
		return
	}
	for i := range c.Observables {
		o := &c.Observables[i]
		o.Error.Judged, o.Bias.Judged = false, false
	}
	c.Outcome = Outcome{Verdict: Undecided, Why: strings.Join(s, ", ") + ", and what was done before is no comparison",
		Needed: "runs that reach their end, with a smaller learning rate if they diverged"}
}

// Alone is the verdict on trajectories that have no step to compare.
func (s Stopped) Alone(sizes []int, opt Options) *Convergences {
	opt.defaults()
	c := &Convergences{Size: opt.Size, Sizes: sizes, Observables: []Convergence{}, Tests: []Test{}, Confidence: opt.Confidence, Significance: opt.Significance}
	s.Conclude(c)
	return c
}

// width compares one ensemble.
func (r *Report) width(theory, s *dmft.Trajectory, inf, infErr []float64, infVar float64, dirs [][]float64,
	cross bool) Width {
	n := len(inf)
	seeds := s.Replicas
	w := Width{N: s.Width, Seeds: seeds}
	sq := make([]float64, seeds)
	proj := make([]float64, seeds)
	total := 0.
	for i := range seeds {
		f := s.FReplicas.At(i).Data[:n]
		d := rmsDiff(f, inf)
		sq[i] = d * d
		total += sq[i]
		for half, v := range dirs {
			weight := 1 / float64(len(dirs))
			if cross { // a seed is never projected onto a direction it helped to find
				weight = float64((half + i) % 2)
			}
			for j := range f {
				proj[i] += weight * (f[j] - inf[j]) * v[j]
			}
		}
	}
	w.Error = math.Sqrt(max(total/float64(seeds)-infVar, 0)) / r.Scale
	if seeds > 1 && w.Error > 0 {
		// σ of the mean square, propagated through the root.
		_, se := meanStderr(sq)
		w.ErrorStderr = se / (2 * w.Error * r.Scale * r.Scale)
	}
	w.Bias, w.BiasStderr = meanStderr(proj)
	mean, se := s.F.Data[:n], s.FStderr.Data[:n]
	w.Mean = rmsDiff(mean, inf) / r.Scale
	w.Noise = math.Sqrt(square(se)+infVar) / r.Scale
	in := 0
	for i := range mean {
		if math.Abs(mean[i]-inf[i]) <= 3*math.Hypot(se[i], infErr[i])+1e-12*r.Scale {
			in++
		}
	}
	w.Within3 = float64(in) / float64(n)
	if l0 := math.Abs(theory.Loss[0]); l0 > 0 {
		w.Loss = rmsDiff(s.Loss[:r.Steps], theory.Loss[:r.Steps]) / l0
	}
	w.FinalLoss, w.FinalStderr = s.Loss[r.Steps-1], s.LossStderr[r.Steps-1]
	w.Kernel = relative(s.NTK, theory.NTK, false)
	w.Feature = relative(s.Phi, theory.Phi, true)
	return w
}

// replicas are the first n numbers of every replica.
func replicas(a dmft.Array, n int) (s Sample) {
	for i := range a.Shape[0] {
		s = append(s, a.At(i).Data[:n])
	}
	return s
}

// fit determines both rates.
func (r *Report) fit(infErr []float64, dirs [][]float64) {
	var n, e, se []float64
	for _, w := range r.Widths {
		n = append(n, float64(w.N))
		e = append(e, w.Error)
		se = append(se, w.ErrorStderr)
	}
	r.Error = PowerLaw(n, e, se, 0)
	r.Error.Expected = -0.5
	b, sb := make([]float64, len(n)), make([]float64, len(n))
	for i, w := range r.Widths {
		b[i], sb[i] = w.Bias/r.Scale, w.BiasStderr/r.Scale
		r.Widths[i].Bias, r.Widths[i].BiasStderr = b[i], sb[i]
	}
	// The theory's own error shifts the bias of every width alike. It is highly correlated in time, so its projection
	// is bounded by its norm.
	common := 0.
	if len(dirs) > 0 {
		common = math.Sqrt(square(infErr)) / r.Scale
	}
	r.Bias = PowerLaw(n, b, sb, common)
	r.Bias.Expected = -1
}

// PowerLaw fits y = a·n^p + δ by least squares with known standard errors se of y and a common shift δ of standard
// deviation common. The confidence interval is where χ² exceeds its minimum by less than 3.84 (times χ²/dof when that
// is above one). It is not resolved when fewer than two points are given, when a = 0 fits as well, or when the interval
// is wider than two.
func PowerLaw(n, y, se []float64, common float64) Rate {
	r := profile(n, y, se, common, 1, 0.95, 0).rate
	r.Resolved = r.Resolved && r.Hi-r.Lo < 2
	return r
}

// profiled is a power law fitted by the profile of χ² over its exponent.
type profiled struct {
	rate Rate
	p    float64 // that χ² rises so much at the expected exponent by chance
}

// profile fits y = n^p (a₀ + a₁/n + …) + δ with a number of orders. It is not resolved when nothing but δ fits as well
// (χ² higher by less than 9) or when the interval does not end in the range searched; with one order alone.
func profile(n, y, se []float64, common float64, orders int, confidence, expected float64) profiled {
	out := profiled{p: 1}
	k := len(n)
	for i := range n {
		if !(se[i] > 0) || math.IsNaN(y[i]) {
			return out
		}
	}
	if k < orders+1 {
		return out
	}
	unknown := orders
	if common > 0 {
		unknown++
	}
	chi := func(p float64) (c, a float64) {
		var m [3][3]float64 // normal equations of a₀, a₁ and δ, and what the fit explains
		var v [3]float64
		for i := range n {
			var x [3]float64
			for j := range orders {
				x[j] = math.Pow(n[i]/n[0], p-float64(j)) / se[i]
			}
			if common > 0 {
				x[orders] = 1 / se[i]
			}
			for j := range unknown {
				v[j] += x[j] * y[i] / se[i]
				for l := range unknown {
					m[j][l] += x[j] * x[l]
				}
			}
		}
		if common > 0 {
			m[orders][orders] += 1 / (common * common)
		}
		s := solve3(m, v, unknown)
		if common > 0 {
			c = s[orders] * s[orders] / (common * common)
		}
		for i := range n {
			d := y[i]
			for j := range orders {
				d -= s[j] * math.Pow(n[i]/n[0], p-float64(j))
			}
			if common > 0 {
				d -= s[orders]
			}
			c += d * d / (se[i] * se[i])
		}
		return c, s[0]
	}
	const lo, hi, h = -4., 2., 0.01
	best, at := math.Inf(1), 0.
	grid := make([]float64, int(math.Round((hi-lo)/h))+1)
	for i := range grid {
		p := lo + h*float64(i)
		if grid[i], _ = chi(p); grid[i] < best {
			best, at = grid[i], p
		}
	}
	spread := max(1, best/float64(max(k-orders-1, 1)))
	limit := best + distuv.ChiSquared{K: 1}.Quantile(confidence)*spread
	r := &out.rate
	r.Exponent, r.Expected = at, expected
	_, a := chi(at)
	r.Amplitude = a * math.Pow(n[0], -at)
	r.Lo, r.Hi = hi, lo
	for i, c := range grid {
		if c <= limit {
			r.Lo, r.Hi = min(r.Lo, lo+h*float64(i)), max(r.Hi, lo+h*float64(i))
		}
	}
	c, _ := chi(expected)
	out.p = distuv.ChiSquared{K: 1}.Survival(max(c-best, 0) / spread)
	// Nothing to fit (a = 0) must be excluded, and the interval must end inside the range searched.
	var w, wy, wyy float64
	for i := range n {
		q := 1 / (se[i] * se[i])
		w, wy, wyy = w+q, wy+q*y[i], wyy+q*y[i]*y[i]
	}
	nothing := wyy
	if common > 0 {
		nothing -= wy * wy / (w + 1/(common*common))
	}
	r.Resolved = nothing > best+9 && r.Lo > lo+h && r.Hi < hi-h
	return out
}

// solve3 solves the first n of three equations by elimination with pivots; unknowns that the others determine are zero.
func solve3(m [3][3]float64, v [3]float64, n int) [3]float64 {
	var used [3]bool
	var row [3]int
	for c := range n {
		best := -1
		for r := range n {
			if !used[r] && (best < 0 || math.Abs(m[r][c]) > math.Abs(m[best][c])) {
				best = r
			}
		}
		used[best], row[c] = true, best
		p := m[best][c]
		if p == 0 {
			continue
		}
		for r := range n {
			if r != best {
				f := m[r][c] / p
				for k := range n {
					m[r][k] -= f * m[best][k]
				}
				v[r] -= f * v[best]
			}
		}
	}
	var out [3]float64
	for c := range n {
		if p := m[row[c]][c]; p != 0 {
			out[c] = v[row[c]] / p
		}
	}
	return out
}

// relative is the Frobenius distance of two recorded kernels over the times both kept, relative to b. With lastLayer
// the second axis is that of layers, whose number may differ.
func relative(a, b dmft.Array, lastLayer bool) float64 {
	if a.Empty() || b.Empty() {
		return 0
	}
	var num, den float64
	for k := range min(a.Shape[0], b.Shape[0]) {
		x, y := a.At(k), b.At(k)
		if lastLayer {
			x, y = x.At(x.Shape[0]-1), y.At(y.Shape[0]-1)
		}
		for i, v := range y.Data {
			num += (x.Data[i] - v) * (x.Data[i] - v)
			den += v * v
		}
	}
	if den == 0 {
		return 0
	}
	return math.Sqrt(num / den)
}

func square(x []float64) float64 {
	s := 0.
	for _, v := range x {
		s += v * v
	}
	return s / float64(max(len(x), 1))
}

func rms(x []float64) float64 { return math.Sqrt(square(x)) }

func rmsDiff(a, b []float64) float64 {
	s := 0.
	for i, v := range a {
		s += (v - b[i]) * (v - b[i])
	}
	return math.Sqrt(s / float64(max(len(a), 1)))
}

func meanStderr(x []float64) (mean, se float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	if len(x) < 2 {
		return mean, 0
	}
	for _, v := range x {
		se += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(se / float64(len(x)-1) / float64(len(x)))
}
