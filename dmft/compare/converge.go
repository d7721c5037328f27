package compare

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/seed39b58f2d/dmft/dmft"
)

// Sample is a number of independent replicas of one vector: an observable in the seeds of an ensemble or the blocks of
// the theory.
type Sample [][]float64

// Observable is one quantity in ensembles of rising size and in their limit.
type Observable struct {
	Name      string    // f, f_test, loss, ntk
	Limit     Sample    // blocks of the theory; a single one has no sampling error
	Rest      []float64 // error of every component of the limit beside sampling, such as that of an extrapolation; nil is none
	Ensembles []Sample
	// OneBlock says that the limit was sampled, in a single block: its error is not known, and nothing can be tested.
	OneBlock bool
}

// Times is the largest number of times at which trajectories are compared, and components the largest number of
// predictions at one of them, evenly spaced; neighbouring ones say nearly the same.
const (
	Times      = 24
	components = 256
)

// Observables are what trajectories of p are compared by: predictions on training and test points, the loss, and the
// NTK where every replica kept its own (Record.NTKReplicas).
func Observables(p *dmft.Problem, theory *dmft.Trajectory, ensembles []*dmft.Trajectory) ([]Observable, error) {
	return observables(p, theory, ensembles, func(t *dmft.Trajectory) dmft.Array { return t.LossReplicas })
}

// TheoryObservables are the same of theories, of other depths or numbers of samples, in place of ensembles: their loss
// is that of the mean prediction.
func TheoryObservables(p *dmft.Problem, theory *dmft.Trajectory, others []*dmft.Trajectory) ([]Observable, error) {
	return observables(p, theory, others, p.LossPseudoValues)
}

func observables(p *dmft.Problem, theory *dmft.Trajectory, ensembles []*dmft.Trajectory, losses func(*dmft.Trajectory) dmft.Array) ([]Observable, error) {
	steps := theory.Steps()
	for _, s := range ensembles {
		steps = min(steps, s.Steps())
	}
	if steps == 0 {
		return nil, errors.New("compare: nothing to compare, no step was finished")
	}
	var at []int
	for i := range min(Times, steps) {
		k := 0
		if steps > 1 {
			k = int(math.Round(float64(i) * float64(steps-1) / float64(min(Times, steps)-1)))
		}
		at = append(at, k)
	}
	pick := func(a dmft.Array) (s Sample) { // replicas × T × …
		if a.Empty() {
			return nil
		}
		for r := range a.Shape[0] {
			var x []float64
			for _, k := range at {
				v := a.At(r).At(k).Data
				n := min(len(v), components)
				for i := range n {
					x = append(x, v[i*len(v)/n])
				}
			}
			s = append(s, x)
		}
		return s
	}
	one := func(a dmft.Array) dmft.Array { return dmft.Array{Shape: append([]int{1}, a.Shape...), Data: a.Data} }
	var out []Observable
	add := func(name string, limit Sample, stderr []float64, of func(*dmft.Trajectory) Sample) error {
		o := Observable{Name: name, Limit: limit, OneBlock: theory.Width > 0 && theory.Replicas < 2}
		if len(limit) == 0 || len(limit[0]) == 0 {
			return nil
		}
		o.Rest = rest(limit, stderr)
		for _, e := range ensembles {
			s := of(e)
			if len(s) == 0 || len(s[0]) != len(limit[0]) {
				if name == "f" || name == "loss" {
					return fmt.Errorf("compare: the ensemble of width %d has %s of another shape than the theory", e.Width, name)
				}
				return nil
			}
			o.Ensembles = append(o.Ensembles, s)
		}
		out = append(out, o)
		return nil
	}
	series := func(mean, se, replicas dmft.Array) (Sample, []float64) {
		if mean.Empty() {
			return nil, nil
		}
		if replicas.Empty() {
			replicas = one(mean)
		}
		return pick(replicas), pick(one(se))[0]
	}
	for _, q := range []struct {
		name string
		of   func(*dmft.Trajectory) (mean, se, replicas dmft.Array)
	}{
		{"f", func(t *dmft.Trajectory) (a, b, c dmft.Array) { return t.F, t.FStderr, t.FReplicas }},
		{"f_test", func(t *dmft.Trajectory) (a, b, c dmft.Array) { return t.FTest, t.FTestStderr, t.FTestReplicas }},
	} {
		limit, se := series(q.of(theory))
		if err := add(q.name, limit, se, func(t *dmft.Trajectory) Sample { s, _ := series(q.of(t)); return s }); err != nil {
			return nil, err
		}
	}
	se := dmft.Array{Shape: []int{1, len(theory.LossStderr)}, Data: theory.LossStderr}
	if err := add("loss", pick(p.LossPseudoValues(theory)), pick(se)[0], func(t *dmft.Trajectory) Sample { return pick(losses(t)) }); err != nil {
		return nil, err
	}
	whole := func(a dmft.Array) (s Sample) {
		if a.Empty() {
			return nil
		}
		for r := range a.Shape[0] {
			s = append(s, a.At(r).Data)
		}
		return s
	}
	limit := whole(theory.NTKReplicas)
	if e := ensembles[0]; theory.Replicas < 2 && limit == nil && !e.NTKReplicas.Empty() && !theory.NTK.Empty() && theory.NTK.Shape[0] == len(e.KernelStep) { // without sampling
		k, q := e.NTKReplicas.Shape[1], e.NTKReplicas.Shape[2]
		limit = Sample{nil}
		for i := range k {
			t := 0
			if k > 1 {
				t = int(math.Round(float64(i) * float64(theory.NTK.Shape[0]-1) / float64(k-1)))
			}
			ntk := theory.NTK.At(t).Data
			pc := int(math.Sqrt(float64(len(ntk))))
			for m := range q {
				limit[0] = append(limit[0], ntk[m*pc:m*pc+q]...)
			}
		}
	}
	if err := add("ntk", limit, nil, func(t *dmft.Trajectory) Sample { return whole(t.NTKReplicas) }); err != nil {
		return nil, err
	}
	return out, nil
}

// rest is what of a standard error the scatter of the blocks does not explain.
func rest(limit Sample, stderr []float64) []float64 {
	if len(stderr) == 0 {
		return nil
	}
	mean, variance := moments(limit)
	rounding := 1e-10 * rms(mean)
	out, any := make([]float64, len(stderr)), false
	for i, e := range stderr {
		v := e*e - variance[i]/float64(len(limit))
		if v > 1e-6*e*e && e > rounding {
			out[i], any = math.Sqrt(v), true
		}
	}
	if !any {
		return nil
	}
	return out
}

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
					return nil, fmt.Errorf("compare: %s of size %d has %d components, the limit %d", o.Name, sizes[k], len(x), len(o.Limit[0]))
				}
			}
		}
		switch {
		case o.OneBlock:
			c.Untested, c.Needs = "the theory was sampled in one block alone, and its error is not known", "two blocks or more, better eight"
		case !scatter:
			c.Untested, c.Needs = "of no size is there more than one network, and how networks scatter is not known", "two seeds or more, better eight"
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

// inRange is an observable in units of a power of two in which fourth powers of it, which the tests have, neither
// overflow nor vanish. Distances are relative, and do not depend on it.
func inRange(o Observable) (Observable, int) {
	most := 0.
	every := func(f func(Sample)) {
		f(o.Limit)
		for _, e := range o.Ensembles {
			f(e)
		}
	}
	every(func(s Sample) {
		for _, x := range s {
			for _, v := range x {
				most = max(most, math.Abs(v))
			}
		}
	})
	const room = 120
	_, e := math.Frexp(most)
	if most == 0 || math.IsInf(most, 0) || math.IsNaN(most) || (-room < e && e < room) {
		return o, 0
	}
	row := func(x []float64) []float64 {
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = math.Ldexp(v, -e)
		}
		return out
	}
	sample := func(s Sample) Sample {
		out := make(Sample, len(s))
		for i, x := range s {
			out[i] = row(x)
		}
		return out
	}
	o.Limit = sample(o.Limit)
	ensembles := make([]Sample, len(o.Ensembles))
	for i, x := range o.Ensembles {
		ensembles[i] = sample(x)
	}
	o.Ensembles = ensembles
	if o.Rest != nil {
		o.Rest = row(o.Rest)
	}
	return o, e
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
		resolved = resolved && sqError[i] > 10*(vy+off) && sqError[i] > 0 && variances[i] > 0 // below, the error of the theory hides that of one network
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
		pt.MeanUpper = math.Sqrt(max(m, 0)+distuv.UnitNormal.Quantile(opt.Confidence)*math.Sqrt(2*noise*noise+4*max(m, 0)*noise)) / r.Scale
		r.Points = append(r.Points, pt)
	}
	r.Limit = testLimit(sizes, o, means, inf, r.Scale, opt)
	return r
}

// kurtosis is the relative variance of squares, which is about the same at all sizes and is pooled, and their degrees
// of freedom.
func kurtosis(squares [][]float64) (kappa, dof float64) {
	for _, sq := range squares {
		m, se := meanStderr(sq)
		n := float64(len(sq))
		if m > 0 {
			kappa += (n - 1) * se * se * n / (m * m)
		}
		dof += n - 1
	}
	return kappa / max(dof, 1), dof
}

// slope are the coefficients of the values in their weighted least-squares fit by a + p ln n [+ c/n]: of p and, for the
// bare power, of a.
func slope(sizes []int, weights []float64, order int) (p, a []float64) {
	k := len(sizes)
	cols := order + 1
	x := mat.NewDense(k, cols, nil)
	for i, n := range sizes {
		w := math.Sqrt(weights[i])
		x.Set(i, 0, w)
		x.Set(i, 1, w*math.Log(float64(n)))
		if order > 1 {
			x.Set(i, 2, w*float64(sizes[0])/float64(n))
		}
	}
	h := hat(x)
	p, a = make([]float64, k), make([]float64, k)
	for i := range sizes {
		a[i], p[i] = h.At(0, i)*math.Sqrt(weights[i]), h.At(1, i)*math.Sqrt(weights[i])
	}
	return p, a
}

// hat is (XᵀX)⁻¹Xᵀ.
func hat(x *mat.Dense) *mat.Dense {
	var qr mat.QR
	qr.Factorize(x)
	k, _ := x.Dims()
	one := mat.NewDense(k, k, nil)
	for i := range k {
		one.Set(i, i, 1)
	}
	var h mat.Dense
	if err := qr.SolveTo(&h, false, one); err != nil {
		if _, ill := err.(mat.Condition); !ill {
			panic(fmt.Sprintf("compare: %v", err)) // shapes are those above
		}
	}
	return &h
}

// intercept are the coefficients of the values in their least-squares fit by q + b/n + … with a number of orders: those
// of q.
func intercept(sizes []int, ensembles []Sample, orders int) []float64 {
	return coefficients(sizes, ensembles, orders)[0]
}

// coefficients are those of the values in the terms of their least-squares fit by q + b n₀/n + c (n₀/n)² + …, n₀ the
// smallest size, with variances ∝ 1/(n·replicas), as they are in a limit.
func coefficients(sizes []int, ensembles []Sample, orders int) [][]float64 {
	k := len(sizes)
	x := mat.NewDense(k, orders+1, nil)
	w := make([]float64, k)
	for i, n := range sizes {
		w[i] = math.Sqrt(float64(n) * float64(len(ensembles[i])))
		for p := range orders + 1 {
			x.Set(i, p, w[i]*math.Pow(float64(sizes[0])/float64(n), float64(p)))
		}
	}
	h := hat(x)
	a := make([][]float64, orders+1)
	for p := range a {
		a[p] = make([]float64, k)
		for i := range sizes {
			a[p][i] = h.At(p, i) * w[i]
		}
	}
	return a
}

// limitOf tests a difference of means whose expectation is zero.
func limitOf(d []float64, n noise, other []float64, scale, normal float64) Limit {
	e := estimate{noise: n, distance: rms(d) / scale, sampling: math.Sqrt(n.trace/float64(len(d))) / scale, rest: rms(other) / scale}
	return limitOfEstimates([]estimate{e}, normal)
}

// noise is the distribution of the squared norm of a sum of means around its expectation: Σ λ_i z_i² over the
// eigenvalues of their covariance.
type noise struct {
	trace  float64   // Σ λ
	lambda []float64 // the largest ones, relative to the trace
	rest   float64   // Σ of the others
	dof    float64   // with which the trace is known
}

// A pool is samples with one covariance between them, up to the variance factors of their replicas.
type pool struct {
	samples []Sample
	factors []float64
	dof     float64
}

// noiseOf estimates the covariance Σ_pools Σ factor (x − mean)(x − mean)ᵀ. The degrees of freedom of the trace are
// those of a single mode, which is cautious: trajectories have few.
func noiseOf(pools ...pool) noise {
	var rows [][]float64
	var n noise
	uncertain := 0.
	for _, p := range pools {
		t := 0.
		for i, s := range p.samples {
			m, _ := moments(s)
			w := math.Sqrt(p.factors[i])
			for _, x := range s {
				row := make([]float64, len(x))
				for j := range x {
					row[j] = w * (x[j] - m[j])
					t += row[j] * row[j]
				}
				rows = append(rows, row)
			}
		}
		n.trace += t
		uncertain += t * t / p.dof
	}
	if !(n.trace > 0) {
		return n
	}
	n.dof = n.trace * n.trace / uncertain
	// The shape of the spectrum, for which some hundreds of replicas are enough.
	const most, enough, least = 16, 600, 1e-4
	step := 1
	if len(rows[0]) > enough {
		step = (len(rows) + enough - 1) / enough
	}
	var some [][]float64
	kept := 0.
	for i := 0; i < len(rows); i += step {
		some = append(some, rows[i])
		kept += dot(rows[i], rows[i])
	}
	for i, l := range spectrum(some) {
		if i < most && l > least*kept {
			n.lambda = append(n.lambda, l/kept)
		} else {
			n.rest += l / kept
		}
	}
	return n
}

// sizesPool is the pool of ensembles for Σ_k a_k mean_k: in a limit n Cov(q_n) is the same for all sizes n.
func sizesPool(sizes []int, ensembles []Sample, a []float64) pool {
	p := pool{samples: ensembles}
	weight := 0.
	for i, e := range ensembles {
		p.dof += float64(len(e) - 1)
		weight += a[i] * a[i] / float64(len(e)) / float64(sizes[i])
	}
	for _, n := range sizes {
		p.factors = append(p.factors, float64(n)*weight/p.dof)
	}
	return p
}

// meanPool is the pool of one sample for its mean; none of a single replica, which has no sampling error.
func meanPool(s Sample) []pool {
	n := float64(len(s))
	if n < 2 {
		return nil
	}
	return []pool{{[]Sample{s}, []float64{1 / (n * (n - 1))}, n - 1}}
}

// studentRatio is the 97.5 % point of Student's distribution over that of the normal one.
func studentRatio(dof int) float64 {
	if dof < 1 {
		return 1
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(dof)}.Quantile(0.975) / distuv.UnitNormal.Quantile(0.975)
}

// spectrum are the eigenvalues of Σ x xᵀ over rows x, the largest first.
func spectrum(rows [][]float64) []float64 {
	r, c := len(rows), len(rows[0])
	x := mat.NewDense(r, c, nil)
	for i, v := range rows {
		x.SetRow(i, v)
	}
	g := mat.NewSymDense(min(r, c), nil)
	if r <= c {
		g.SymOuterK(1, x)
	} else {
		g.SymOuterK(1, x.T())
	}
	var e mat.EigenSym
	if !e.Factorize(g, false) {
		return make([]float64, min(r, c))
	}
	v := e.Values(nil)
	slices.Reverse(v)
	for i := range v {
		v[i] = max(v[i], 0)
	}
	return v
}

// tail is the probability that Σ λ z² exceeds x times the trace as it was estimated, by drawing: a trace known with ν
// degrees of freedom is a χ²_ν/ν.
func (n noise) tail(x float64) float64 {
	if !(n.trace > 0) {
		return 0
	}
	rng := rand.New(rand.NewPCG(3, 5))
	chi := distuv.ChiSquared{K: n.dof, Src: rng}
	above := 0.
	for d := 1; ; d++ {
		s := n.rest
		for _, l := range n.lambda {
			z := rng.NormFloat64()
			s += l * z * z
		}
		if s >= x*chi.Rand()/chi.K {
			above++
		}
		switch { // sequentially: the smaller, the more draws (Besag & Clifford 1991)
		case above == enough:
			return above / float64(d)
		case d == nullDraws:
			return (above + 1) / float64(d+1)
		}
	}
}

// directions are two unit vectors along the bias of the smallest ensemble, each from half of its replicas. Projections
// of its replicas onto the direction of the other half are unbiased; using both for every ensemble keeps them
// comparable.
func directions(s Sample, inf []float64) [][]float64 {
	var dirs [][]float64
	for half := range 2 {
		v := make([]float64, len(inf))
		for i := half; i < len(s); i += 2 {
			for j, x := range s[i] {
				v[j] += x - inf[j]
			}
		}
		norm := 0.
		for _, x := range v {
			norm += x * x
		}
		if norm = math.Sqrt(norm); norm == 0 {
			return nil
		}
		for j := range v {
			v[j] /= norm * math.Sqrt(float64(len(inf)))
		}
		dirs = append(dirs, v)
	}
	return dirs
}

// deviations are the replicas of s, less a vector, in rows.
func deviations(s Sample, from []float64) *mat.Dense {
	out := mat.NewDense(len(s), len(from), nil)
	for i, x := range s {
		row := out.RawRowView(i)
		for j, v := range x {
			row[j] = v - from[j]
		}
	}
	return out
}

// moments are mean and unbiased variance of every component.
func moments(s Sample) (mean, variance []float64) {
	mean, variance = make([]float64, len(s[0])), make([]float64, len(s[0]))
	for _, x := range s {
		for j, v := range x {
			mean[j] += v
		}
	}
	for j := range mean {
		mean[j] /= float64(len(s))
	}
	if len(s) < 2 {
		return mean, variance
	}
	for _, x := range s {
		for j, v := range x {
			variance[j] += (v - mean[j]) * (v - mean[j])
		}
	}
	for j := range variance {
		variance[j] /= float64(len(s) - 1)
	}
	return mean, variance
}

func mean(x []float64) float64 {
	s := 0.
	for _, v := range x {
		s += v
	}
	return s / float64(max(len(x), 1))
}

func dot(a, b []float64) float64 {
	s := 0.
	for i, v := range a {
		s += v * b[i]
	}
	return s
}
