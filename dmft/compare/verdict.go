package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"
)

// Verdict is what a comparison comes to.
type Verdict string

// The verdicts.
const (
	Agree     Verdict = "agree"     // no test rejects the theory, and Detectable says what they would have seen
	Disagree  Verdict = "disagree"  // a test rejects it
	Undecided Verdict = "undecided" // not tested, or not well enough; Needed says what would
)

// Outcome is the verdict on a theory with its reasons.
type Outcome struct {
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`              // in one sentence
	Needed  string  `json:"needed,omitempty"` // what would decide, of a verdict that is undecided
	// Detectable is the smallest relative difference of the first observable (predictions, or losses) from the theory
	// that would have been rejected with a probability of [Power], whatever its direction. Zero when nothing was
	// tested, and when sizes are too small for the expansion that the test rests on ([Limit.LeastSize]).
	Detectable float64 `json:"detectable"`
}

// String is the verdict in one sentence.
func (o Outcome) String() string {
	s := string(o.Verdict) + ": " + o.Why
	if o.Verdict == Disagree {
		s = "DISAGREE: " + o.Why
	}
	if o.Needed != "" {
		s += "; needed: " + o.Needed
	}
	return s
}

// Power is the probability with which a difference of the detectable size is rejected.
const Power = 0.9

// weak is the relative difference that must be seen, or twice the tolerance if that is larger: a comparison that would
// miss it says too little to call it agreement.
const weak = 0.25

// finiteSize bounds what a power of 1/n that was not fitted contributes. With v/n the variance of one network of size n
// over its seeds, relative to the square of the theory, the expansion in 1/n is one in v/n: a term of order p is at
// most (finiteSize·v/n)^p. An estimate that leaves out an order which the sizes could determine must not rest on that
// where the data show a first order b/n above v/n, and has the larger of the two in the place of v. TestFiniteSizeBound
// measures ‖E f_N − f_∞‖·N/v of random problems, and docs/verdicts.md has the numbers.
const finiteSize = 5

const (
	mostOrders = 3    // of 1/n in an extrapolation
	refuted    = 0.05 // p of the orders that an estimate leaves out below which it does not count
)

// Limit is the test that ensembles are the theory in the limit of infinite size. Their means are extrapolated by least
// squares, E q_n = q_∞ + b/n + c/n² + d/n³ with as many orders as sizes allow, three at most; what the first order left
// out contributes is bounded by the scatter of networks, and by b where more orders could be fitted
// ([Limit.FiniteSize]). If the theory is right, ‖q̂_∞ − q_∞‖ exceeds that bound, the tolerance and Rest by sampling
// errors alone, whose square is a sum of squares of Gaussian numbers with the covariance of all seeds and blocks, as
// well as it is known. From three sizes on there is an estimate with every number of orders: fewer have less noise, and
// count unless what they leave out is allowed more than that saves, or the data show that more are needed; p is the
// smallest one times the number of estimates that had a chance.
type Limit struct {
	Orders     int     `json:"orders"`      // of 1/n that were fitted, for Distance and what follows
	Distance   float64 `json:"distance"`    // ‖q̂_∞ − q_∞‖, relative
	Noise      float64 `json:"noise"`       // its root mean square from sampling errors alone
	Rest       float64 `json:"rest"`        // error of the limit beside sampling, by which it may be off besides
	FiniteSize float64 `json:"finite_size"` // what orders of 1/n that were not fitted may contribute
	Upper      float64 `json:"upper"`       // the true distance is below this, at the confidence asked for
	Detectable float64 `json:"detectable"`  // true distance that is rejected with a probability of Power
	P          float64 `json:"p"`           // that sampling errors alone give so large a distance
	// Without is p of the estimate with all orders when finite size is allowed nothing beyond them: where this is small
	// and P is not, networks differ from the theory, and whether that is finite size cannot be told. A difference of an
	// estimate with fewer orders that this one does not see is finite size that was fitted.
	Without float64 `json:"p_without_finite_size"`
	// LeastSize is, of sizes that are too small for the expansion in 1/n, about what the smallest of them should be.
	// FiniteSize, Upper and Detectable would say nothing then, and are zero.
	LeastSize int `json:"least_size,omitempty"`
	// Consistent says that the test is not rejected, for the number of tests.
	Consistent bool `json:"consistent"`

	estimates []estimate
	full      estimate // with all orders
	chances   float64  // number of estimates of which the best was taken
}

// estimate is one estimate of the difference of a limit from the theory.
type estimate struct {
	noise
	orders int
	// Relative; sampling is the root mean square of the noise, free the tolerance.
	distance, sampling, rest, finite, free float64
	networks                               float64 // share of the networks in the squared noise
}

// p of the distance beyond what is allowed.
func (e estimate) p(finite float64) float64 {
	beyond := e.distance - e.rest - e.free - finite
	if beyond <= 1e-10 { // rounding
		return 1
	}
	return e.tail(beyond * beyond / (e.sampling * e.sampling))
}

// all is what the estimate with all orders says; of a Limit that was not made here it is what it tells.
func (l *Limit) all() (distance, noise, finite float64) {
	if len(l.estimates) == 0 {
		return l.Distance, l.Noise, l.FiniteSize
	}
	return l.full.distance, l.full.sampling, l.full.finite
}

// limitOfEstimates is the test by one estimate or, when there are several, by the best. The last has all orders that
// were fitted. What is told is the one that knows the limit best.
func limitOfEstimates(es []estimate, normal float64) Limit {
	full := es[len(es)-1]
	e := full
	l := Limit{P: 1, Without: full.p(0), estimates: es, full: full, chances: 1}
	for _, x := range es {
		l.P = min(l.P, x.p(x.finite))
		if x.finite+normal*x.sampling < e.finite+normal*e.sampling {
			e = x
		}
	}
	l.Without = min(l.Without, l.P)
	l.Orders, l.Distance, l.Noise, l.Rest, l.FiniteSize = e.orders, e.distance, e.sampling, e.rest, e.finite
	l.Upper = e.distance + normal*e.sampling + e.rest + e.finite
	return l
}

// chose takes into p that the best of a number of estimates was taken.
func (l *Limit) chose(of int) {
	l.chances = float64(of)
	l.P = min(1, l.chances*l.P)
}

// detect finds what would have been rejected at a level.
func (l *Limit) detect(level float64) {
	l.Detectable = math.Inf(1)
	if len(l.estimates) == 0 {
		l.Detectable = l.Upper
	}
	if l.LeastSize > 0 {
		l.Detectable = 0
		return
	}
	level /= l.chances
	for i, e := range l.estimates {
		allowed := e.rest + e.free + e.finite
		if allowed >= l.Detectable {
			continue
		}
		if d := allowed + e.sampling*e.detectable(level); d < l.Detectable {
			l.Detectable = d
			l.estimates[0], l.estimates[i] = l.estimates[i], l.estimates[0] // reasons come from the one that sees most
		}
	}
	if math.IsInf(l.Detectable, 0) || math.IsNaN(l.Detectable) {
		l.Detectable = math.MaxFloat64 // JSON has no infinity
	}
}

// testLimit compares ensembles extrapolated to infinite size with the limit.
func testLimit(sizes []int, o Observable, means [][]float64, inf []float64, scale float64, opt Options) Limit {
	normal := distuv.UnitNormal.Quantile((1 + opt.Confidence) / 2)
	v := scatter(sizes, o.Ensembles) / (scale * scale)
	inverse := func(a []float64, p int, growth float64) float64 { // |Σ a n^{-p}| (finiteSize growth)^p
		s := 0.
		for i, n := range sizes {
			s += a[i] * math.Pow(finiteSize*growth/float64(n), float64(p))
		}
		return math.Abs(s)
	}
	theory := meanPool(o.Limit)
	of := func(orders int, growth float64) (estimate, []float64) {
		a := intercept(sizes, o.Ensembles, orders)
		d := combine(a, means)
		for j := range d {
			d[j] -= inf[j]
		}
		networks := sizesPool(sizes, o.Ensembles, a)
		n := noiseOf(append(theory, networks)...)
		e := estimate{noise: n, orders: orders, distance: rms(d) / scale,
			sampling: math.Sqrt(n.trace/float64(len(d))) / scale, rest: rms(o.Rest) / scale, free: opt.Tolerance,
			finite: inverse(a, orders+1, growth)}
		if n.trace > 0 {
			e.networks = noiseOf(networks).trace / n.trace
		}
		return e, a
	}
	k := len(sizes)
	if k < leastFit {
		e, _ := of(k-1, v)
		l := limitOfEstimates([]estimate{e}, normal)
		l.narrow(sizes, v, opt.Tolerance)
		return l
	}
	most := min(k-1, mostOrders)
	full, a := of(most, v)
	growth := max(v, slopeOf(sizes, o.Ensembles, means)/scale)
	var es []estimate
	chances := 1
	for orders := 1; orders < most; orders++ {
		e, fewer := of(orders, growth)
		if e.finite+normal*e.sampling >= full.finite+normal*full.sampling { // it knows the limit no better
			continue
		}
		chances++
		// What the orders left out move is noise and no more than the bound of this estimate, or that bound does not
		// hold here.
		for i := range fewer {
			fewer[i] = a[i] - fewer[i]
		}
		n := noiseOf(sizesPool(sizes, o.Ensembles, fewer))
		moved := estimate{noise: n, distance: rms(combine(fewer, means)) / scale,
			sampling: math.Sqrt(n.trace/float64(len(inf))) / scale}
		if moved.p(e.finite) > refuted {
			es = append(es, e)
		}
	}
	l := limitOfEstimates(append(es, full), normal)
	l.chose(chances)
	l.narrow(sizes, v, opt.Tolerance)
	return l
}

// slopeOf is the size of b in the fit of means by q + b/n, as far as it stands out of the noise at a level of refuted.
func slopeOf(sizes []int, ensembles []Sample, means [][]float64) float64 {
	if len(sizes) < 2 {
		return 0
	}
	b := coefficients(sizes, ensembles, 1)[1]
	n := noiseOf(sizesPool(sizes, ensembles, b))
	size, noise := rms(combine(b, means)), math.Sqrt(n.trace/float64(len(means[0])))
	if noise > 0 {
		size -= noise * math.Sqrt(n.critical(refuted))
	}
	if size < 1e-10*rms(means[0]) { // rounding
		return 0
	}
	return size * float64(sizes[0])
}

// narrow notes that sizes are too small: where v/n of the smallest makes the expansion in 1/n one in a number above
// one, a bound on its orders that is not small is no bound.
func (l *Limit) narrow(sizes []int, v, tolerance float64) {
	goal := max(weak, tolerance)
	n := float64(slices.Min(sizes))
	grow, least := finiteSize*v/n, math.Inf(1)
	if !(grow > 1) {
		return
	}
	for _, e := range l.estimates {
		if e.finite <= goal {
			return
		}
		least = min(least, max(grow, math.Pow(2*e.finite/goal, 1/float64(e.orders+1))))
	}
	l.FiniteSize, l.Upper = 0, 0
	l.LeastSize = int(min(roundUp2(n*least), math.MaxInt32))
}

// scatter is n times the variance of one network of size n, mean over components.
func scatter(sizes []int, ensembles []Sample) float64 {
	s, dof := 0., 0.
	for i, e := range ensembles {
		_, v := moments(e)
		k := float64(len(e) - 1)
		s, dof = s+k*float64(sizes[i])*mean(v), dof+k
	}
	return s / max(dof, 1)
}

// combine is Σ a_i x_i.
func combine(a []float64, x [][]float64) []float64 {
	out := make([]float64, len(x[0]))
	for i, v := range x {
		for j, y := range v {
			out[j] += a[i] * y
		}
	}
	return out
}

// detectable is the size of a difference, in units of the root mean square of the noise, that is rejected at a level
// with a probability of Power when it points where the noise is largest.
func (n noise) detectable(level float64) float64 {
	if !(n.trace > 0) {
		return 0
	}
	const draws = 2000
	rng := rand.New(rand.NewPCG(7, 11))
	chi := distuv.ChiSquared{K: n.dof, Src: rng}
	critical := n.critical(level)
	need := make([]float64, draws)
	for d := range need { // |noise + Δ|² is the critical multiple of the trace as it is estimated
		s, along := n.rest, 0.
		for i, l := range n.lambda {
			z := rng.NormFloat64()
			if i == 0 {
				along = z * math.Sqrt(l)
			}
			s += l * z * z
		}
		need[d] = -along + math.Sqrt(max(along*along+critical*chi.Rand()/n.dof-s, 0))
	}
	slices.Sort(need)
	return max(need[int(Power*draws)], 0)
}

// critical is the multiple of the estimated trace that a squared norm exceeds with a probability of level. A sum of
// squares is taken for a shifted χ² with its first three moments (Pearson 1959), and the average is over the χ² of the
// trace, the finer the smaller that is.
func (n noise) critical(level float64) float64 {
	var c1, c2, c3 float64
	for _, l := range n.lambda {
		c1, c2, c3 = c1+l, c2+l*l, c3+l*l*l
	}
	if !(c3 > 0) {
		return 1
	}
	m := c2 * c2 * c2 / (c3 * c3)
	sum := distuv.ChiSquared{K: m}
	trace := distuv.ChiSquared{K: n.dof}
	var known, weight []float64
	add := func(lo, hi float64) {
		known, weight = append(known, trace.Quantile((lo+hi)/2)/n.dof), append(weight, hi-lo)
	}
	const least = 1. / (1 << 20)
	add(0, least)
	for p := least; p < 0.25; p *= 2 {
		add(p, 1.5*p)
		add(1.5*p, 2*p)
	}
	for p := 0.25; p < 1; p += 0.05 {
		add(p, p+0.05)
	}
	above := func(x float64) float64 {
		s := 0.
		for i, k := range known {
			s += weight[i] * sum.Survival(max(m+(x*k-n.rest-c1)*math.Sqrt(m/c2), 0))
		}
		return s
	}
	lo, hi := 0., 1.
	for above(hi) > level && hi < 1e12 {
		lo, hi = hi, 2*hi
	}
	for hi-lo > 1e-3*hi {
		if x := (lo + hi) / 2; above(x) > level {
			lo = x
		} else {
			hi = x
		}
	}
	return hi
}

// Part is one ladder of a verdict over several.
type Part struct {
	Name string // before the names of its tests, such as "L = 5, "
	*Convergences
}

// Conclude is the verdict on parts and more tests together: the chance of any false rejection is at most significance
// (Holm 1979). It marks in the parts what is rejected.
func Conclude(parts []Part, more []Test, significance float64) (Outcome, []Test) {
	var tests []Test
	for _, c := range parts {
		for _, t := range c.tests() {
			t.Name = c.Name + t.Name
			tests = append(tests, t)
		}
	}
	for _, t := range more {
		t.without = t.P
		tests = append(tests, t)
	}
	bare := slices.Clone(tests)
	for i := range bare {
		bare[i].P = bare[i].without
	}
	right, plain := Holm(tests, significance), Holm(bare, significance)
	for _, c := range parts {
		c.mark(tests, c.Name)
		for i := range c.Observables {
			c.Observables[i].Limit.detect(significance / float64(max(len(tests), 1)))
		}
	}
	o := Outcome{Verdict: Undecided}
	for _, c := range parts {
		if len(c.Observables) > 0 {
			o.Detectable = max(o.Detectable, c.Observables[0].Limit.Detectable)
		}
	}
	if _, l := weakest(parts); l != nil && l.LeastSize > 0 {
		o.Detectable = 0
	}
	var diverged, untested []string
	for _, c := range parts {
		if len(c.Diverged) > 0 {
			diverged = append(diverged, fmt.Sprintf("%snetworks of %s = %s diverge where the theory does not", c.Name,
				c.size(), list(c.Diverged)))
		}
		if c.Untested != "" {
			untested, o.Needed = append(untested, c.Name+c.Untested), c.Needs
		}
	}
	switch {
	case len(diverged) > 0 || !right:
		o.Verdict, o.Needed = Disagree, ""
		o.Why = strings.Join(append(diverged, rejections(parts, tests, significance)...), "; ")
	case len(untested) > 0:
		o.Why, o.Detectable = strings.Join(untested, "; "), 0
	case len(tests) == 0:
		o.Why, o.Needed = "there is nothing to test the theory by", "more sizes that do not diverge"
	default:
		if !plain {
			if o.Why, o.Needed = finiteOrWrong(parts, bare); o.Why != "" {
				break
			}
		}
		if c, l := weakest(parts); l != nil && l.LeastSize > 0 {
			o.Why = fmt.Sprintf("%snothing is rejected, but %s for an expansion in 1/%s of %s, so that finite %[3]s "+
				"may explain any difference", c.Name, c.tooSmall(l.LeastSize), c.size(), c.Observables[0].Name)
			o.Needed = fmt.Sprintf("sizes from about %d on", l.LeastSize)
			break
		} else if l != nil && l.resolution() > max(weak, l.tolerance()) {
			o.Why = fmt.Sprintf("%snothing is rejected, but differences of %s below %.2g (relative) would not have "+
				"been seen", c.Name, c.Observables[0].Name, l.Detectable)
			o.Needed = c.needs(*l)
			break
		}
		o.Verdict = Agree
		o.Why = seen(parts)
	}
	return o, tests
}

func (c *Convergences) size() string {
	if c.Size == "" {
		return "N"
	}
	return c.Size
}

func list(n []int) string { return strings.Trim(strings.ReplaceAll(fmt.Sprint(n), " ", ", "), "[]") }

// rejections are what tests reject, in words.
func rejections(parts []Part, tests []Test, significance float64) []string {
	const most = 2
	var out []string
	rejected := 0
	for _, t := range tests {
		if !t.Rejected {
			continue
		}
		if rejected++; rejected > most {
			continue
		}
		s := t.Name
		for _, c := range parts {
			for _, o := range c.Observables {
				if t.Name == c.Name+o.Name+limitTest {
					s = fmt.Sprintf("%s%s %s is %.2g from the theory, of which sampling errors explain %.2g", c.Name,
						o.Name, c.where(), o.Limit.Distance, o.Limit.Noise)
					if x := o.Limit.Rest + o.Limit.FiniteSize; x > 0.05*o.Limit.Distance {
						s += fmt.Sprintf(" and orders left out %.2g", x)
					}
				}
			}
		}
		out = append(out, fmt.Sprintf("%s (p = %.1g)", s, t.Adjusted))
	}
	if rejected > most {
		out = append(out, fmt.Sprintf("%d more", rejected-most))
	}
	if rejected > 0 {
		out[len(out)-1] += fmt.Sprintf("; %d of %d tests at %g together", rejected, len(tests), significance)
	}
	return out
}

// where is the size that the limit is tested at.
func (c *Convergences) where() string {
	if len(c.Sizes) == 1 {
		return fmt.Sprintf("at %s = %d", c.size(), c.Sizes[0])
	}
	return "at " + c.size() + " → ∞"
}

// tooSmall names the sizes below the least one that will do.
func (c *Convergences) tooSmall(least int) string {
	var small []int
	for _, n := range c.Sizes {
		if n < least {
			small = append(small, n)
		}
	}
	if small == nil {
		small = c.Sizes
	}
	verb := "are"
	if len(small) == 1 {
		verb = "is"
	}
	return fmt.Sprintf("%s = %s %s too small", c.size(), list(small), verb)
}

// finiteOrWrong says of what differs that it may be finite size.
func finiteOrWrong(parts []Part, bare []Test) (why, needed string) {
	for _, t := range bare {
		if !t.Rejected {
			continue
		}
		for _, c := range parts {
			for _, o := range c.Observables {
				distance, noise, finite := o.Limit.all()
				// Where finite size is well below the noise it is the noise that explains the difference.
				if t.Name == c.Name+o.Name+limitTest && o.Limit.LeastSize > 0 {
					return fmt.Sprintf("%s%s %s is %.2g from the theory, more than sampling errors (%.2g), and %s "+
						"for an expansion in 1/%s that would say what finite %[7]s adds", c.Name, o.Name, c.where(), distance,
						noise, c.tooSmall(o.Limit.LeastSize), c.size()), fmt.Sprintf("sizes from about %d on", o.Limit.LeastSize)
				}
				if t.Name != c.Name+o.Name+limitTest || finite < noise/2 {
					continue
				}
				why = fmt.Sprintf("%s%s %s is %.2g from the theory, more than sampling errors (%.2g), and finite %s "+
					"may add %.2g", c.Name, o.Name, c.where(), distance, noise, c.size(), finite)
				if len(c.Sizes) < leastFit {
					return why, fmt.Sprintf("%d sizes, or larger ones", leastFit)
				}
				return why, "larger sizes"
			}
		}
	}
	return "", ""
}

func (l Limit) tolerance() float64 {
	if len(l.estimates) == 0 {
		return 0
	}
	return l.estimates[0].free
}

// resolution is what is detectable beyond the tolerance.
func (l Limit) resolution() float64 {
	if l.LeastSize > 0 {
		return math.Inf(1)
	}
	return l.Detectable - l.tolerance()
}

// weakest is the part whose first observable resolves least.
func weakest(parts []Part) (part Part, l *Limit) {
	for _, c := range parts {
		if len(c.Observables) > 0 && (l == nil || c.Observables[0].Limit.resolution() > l.resolution()) {
			part, l = c, &c.Observables[0].Limit
		}
	}
	return part, l
}

// needs says what would resolve a limit well enough.
func (c *Convergences) needs(l Limit) string {
	if len(l.estimates) == 0 {
		return "more replicas"
	}
	e := l.estimates[0]
	goal := max(weak, e.free)
	fixed := e.rest + e.finite
	switch {
	case e.finite > goal/2 && len(c.Sizes) < leastFit:
		return fmt.Sprintf("%d sizes, or larger ones: finite size may add %.2g", leastFit, e.finite)
	case e.finite > goal/2:
		return fmt.Sprintf("larger sizes: finite size may add %.2g", e.finite)
	case e.rest > goal/2:
		return fmt.Sprintf("a theory whose error beside sampling is below %.2g", e.rest)
	}
	factor := math.Pow((l.resolution()-fixed)/(goal-fixed), 2)
	if e.dof < 6 { // most of it is that the noise is hardly known
		factor = min(factor, 16)
	}
	what := "seeds"
	if e.networks < 0.5 {
		what = "samples and blocks of the theory"
	}
	return fmt.Sprintf("about %s times as many %s", ceil2(factor), what)
}

// ceil2 rounds up to two figures.
func ceil2(x float64) string { return fmt.Sprintf("%g", math.Round(roundUp2(x)*10)/10) }

func roundUp2(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Ceil(x/unit) * unit
}

// seen says what would have been seen.
func seen(parts []Part) string {
	var names []string
	within, narrow := map[string]float64{}, map[string]bool{}
	for _, c := range parts {
		for _, o := range c.Observables {
			if !slices.Contains(names, o.Name) {
				names = append(names, o.Name)
			}
			narrow[o.Name] = narrow[o.Name] || o.Limit.LeastSize > 0
			within[o.Name] = max(within[o.Name], o.Limit.Detectable)
		}
	}
	if len(names) == 0 {
		return "no test rejects"
	}
	s := ""
	if c := parts[0]; len(parts) == 1 && len(c.Sizes) == 1 {
		s = c.where() + ", "
	}
	s += fmt.Sprintf("differences above %.2g of %s would have been seen", within[names[0]], names[0])
	var rest []string
	for _, n := range names[1:] {
		if narrow[n] {
			rest = append(rest, n+" not tested, for which sizes are too small")
			continue
		}
		rest = append(rest, fmt.Sprintf("%s %.2g", n, within[n]))
	}
	if rest != nil {
		s += " (" + strings.Join(rest, ", ") + ")"
	}
	return s + fmt.Sprintf(", relative, with a probability of %g %%", 100*Power)
}
