package ode

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const eps = 0x1p-52

// sample is every method with parameters that switch on all of its terms.
func sample(eta float64) []Method {
	out := []Method{
		{Kind: GD, LearningRate: eta, WeightDecay: 0.3, Schedule: Schedule{Kind: Cosine, Final: 0.1, Warmup: 2}},
		{Kind: Momentum, LearningRate: eta, Momentum: 0.7, WeightDecay: 0.2,
			Schedule: Schedule{Kind: StepDecay, Every: 3, Factor: 0.5}},
		{Kind: Nesterov, LearningRate: eta, Momentum: 0.6, WeightDecay: 0.1,
			Schedule: Schedule{Kind: Exponential, Factor: 0.9}},
	}
	for _, k := range []Kind{AB2, AB3, AB4, RK4, RK45} {
		out = append(out, Method{Kind: k, LearningRate: eta, WeightDecay: 0.3})
	}
	return out
}

// counted is a Vector that counts its evaluations and remembers their times.
type counted struct {
	*Vector
	times []float64
}

func (c *counted) Eval(r int, t float64) { c.times = append(c.times, t); c.Vector.Eval(r, t) }

// advance makes outputs from … to−1.
func advance(t testing.TB, st Stepper, sys System, m Method, from, to int) {
	t.Helper()
	sys.Reserve(st.Registers())
	for n := from; n < to; n++ {
		sys.Eval(0, m.Time(n))
		if err := st.Step(sys, n); err != nil {
			t.Fatal(err)
		}
	}
}

func stepper(t testing.TB, m Method, steps int) Stepper {
	t.Helper()
	st, err := NewStepper(m, steps)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func solve(t testing.TB, f Field, y0 []float64, t0 float64, m Method, steps int) [][]float64 {
	t.Helper()
	out, err := Solve(f, y0, t0, m, steps)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// bernoulli is y' = −2ty², with solution 1/(t² + 1/y(0)).
func bernoulli(t float64, dst, y []float64) {
	for i, v := range y {
		dst[i] = -2 * t * v * v
	}
}

// logistic is y' = y(1 − y) + cos(3t)/2: no closed form, nonlinear and not autonomous.
func logistic(t float64, dst, y []float64) {
	for i, v := range y {
		dst[i] = v*(1-v) + 0.5*math.Cos(3*t)
	}
}

// slope is that of the least-squares line of log y against log x.
func slope(x, y []float64) float64 {
	mx, my, sxy, sxx, n := 0., 0., 0., 0., float64(len(x))
	for i := range x {
		mx, my = mx+math.Log(x[i])/n, my+math.Log(y[i])/n
	}
	for i := range x {
		d := math.Log(x[i]) - mx
		sxy, sxx = sxy+d*(math.Log(y[i])-my), sxx+d*d
	}
	return sxy / sxx
}

// fixed integrates with a tableau at a fixed step.
func fixed(t *testing.T, tab tableau, f Field, y0, decay, h float64, steps int) []float64 {
	m := Method{Kind: RK4, LearningRate: h, WeightDecay: decay}
	st, v := newRungeKutta(m, tab), NewVector(f, []float64{y0})
	out := []float64{y0}
	for n := range steps {
		advance(t, st, v, m, n, n+1)
		out = append(out, v.Register(0)[0])
	}
	return out
}

// TestOrders fits the order of every integrator over four steps, by the largest error on the way: a poor start of
// Adams–Bashforth would show in it, and it does not pass through zero as the error at one time can (that of AB4 on
// Bernoulli nearly does at t = 2, so that it has an order of 3.3 there for steps from 1/80 to 1/640, in forty digits as
// well).
func TestOrders(t *testing.T) {
	const (
		end  = 2.
		fine = 3840 // steps of the reference, whose error is of order (2/3840)⁴/120 < 1e-15
	)
	// Steps by method: small enough to be asymptotic, with errors that stay above rounding.
	fineGrid, coarse, coarsest := []int{160, 320, 640, 1280}, []int{20, 40, 80, 160}, []int{20, 30, 40, 60}
	grids := map[string][]int{"gd": fineGrid, "ab2": fineGrid, "ab3": fineGrid, "ab4": fineGrid, "rk4": coarse,
		"rk45, embedded":        coarse,
		"rk45 with fixed steps": coarsest, "rk45, first same as last": coarsest}
	fixedStep := dormandPrince
	fixedStep.e, fixedStep.fsal = nil, false
	fsal := fixedStep
	fsal.fsal = true
	embedded := fixedStep
	embedded.order, embedded.b = 4, slices.Clone(dormandPrince.b)
	for i, e := range dormandPrince.e {
		embedded.b[i] -= e
	}
	for _, p := range []struct {
		name      string
		f         Field
		y0, decay float64
		exact     func(t float64) float64 // nil: the reference
	}{
		{"bernoulli", bernoulli, 0.25, 0, func(t float64) float64 { return 1 / (4 + t*t) }},
		{"logistic", logistic, 0.2, 0, nil},
		{"logistic with decay", logistic, 0.2, 0.7, nil},
	} {
		ref := fixed(t, classicalRK4, p.f, p.y0, p.decay, end/fine, fine)
		if p.exact != nil {
			for n, y := range ref {
				if e := math.Abs(y - p.exact(end*float64(n)/fine)); e > 1e-14 { // and some roundings
					t.Fatalf("%s: reference off by %g", p.name, e)
				}
			}
		}
		check := func(name string, order int, path func(steps int) []float64) {
			var h, errs []float64
			for _, steps := range grids[name] {
				worst := 0.
				for n, v := range path(steps) {
					worst = math.Max(worst, math.Abs(v-ref[n*fine/steps]))
				}
				h, errs = append(h, end/float64(steps)), append(errs, worst)
			}
			if s := slope(h, errs); math.Abs(s-float64(order)) > 0.2 {
				t.Errorf("%s, %s: order %.2f, want %d (%.2g)", p.name, name, s, order, errs)
			}
		}
		for _, kind := range []Kind{GD, AB2, AB3, AB4, RK4} {
			check(string(kind), Method{Kind: kind}.Order(), func(steps int) (y []float64) {
				m := Method{Kind: kind, LearningRate: end / float64(steps), WeightDecay: p.decay}
				f := p.f
				if kind == GD { // optimisers count steps, the field wants time
					f = func(n float64, dst, y []float64) { p.f(n*m.LearningRate, dst, y) }
				}
				for _, row := range solve(t, f, []float64{p.y0}, 0, m, steps) {
					y = append(y, row[0])
				}
				return y
			})
		}
		for name, tab := range map[string]tableau{"rk45 with fixed steps": fixedStep, "rk45, first same as last": fsal,
			"rk45, embedded": embedded} {
			check(name, tab.order, func(steps int) []float64 {
				return fixed(t, tab, p.f, p.y0, p.decay,
					end/float64(steps), steps)
			})
		}
	}
	if o := (Method{Kind: RK45}).Order(); o != dormandPrince.order {
		t.Errorf("rk45 declares order %d", o)
	}
}

// tree is a rooted tree, by the trees that hang from its root.
type tree []tree

// trees lists the rooted trees of n nodes.
func trees(n int) []tree {
	all := map[int][]tree{}
	// forests lists the multisets of trees of n nodes in all, none before number index of that size in the order of
	// generation.
	var forests func(n, size, index int) []tree
	forests = func(n, size, index int) []tree {
		if n == 0 {
			return []tree{{}}
		}
		var out []tree
		for s := size; s <= n; s++ {
			for i, t := range all[s] {
				if s == size && i < index {
					continue
				}
				for _, rest := range forests(n-s, s, i) {
					out = append(out, append(tree{t}, rest...))
				}
			}
		}
		return out
	}
	for k := 1; k <= n; k++ {
		all[k] = forests(k-1, 1, 0)
	}
	return all[n]
}

func (t tree) nodes() int {
	n := 1
	for _, c := range t {
		n += c.nodes()
	}
	return n
}

// density is γ(t), the product of the sizes of all subtrees.
func (t tree) density() int {
	g := t.nodes()
	for _, c := range t {
		g *= c.density()
	}
	return g
}

// weight is the elementary weight of stage i: Π over the children of Σ_j a_ij weight_j.
func (t tree) weight(a [][]float64, i int) float64 {
	w := 1.
	for _, c := range t {
		s := 0.
		for j, x := range a[i] {
			s += x * c.weight(a, j)
		}
		w *= s
	}
	return w
}

// TestTableaux checks the order conditions Σ_i b_i Φ_i(t) = 1/γ(t) of every rooted tree t up to the order (Hairer,
// Nørsett & Wanner I, theorem II.2.13), that the next order fails, and that rows sum to c.
func TestTableaux(t *testing.T) {
	const tol = 1e-13 // products of five entries up to 11.6, each rounded
	// largest violation at order k.
	violation := func(a [][]float64, b []float64, k int) float64 {
		worst := 0.
		for _, tr := range trees(k) {
			s := -1 / float64(tr.density())
			for i, w := range b {
				s += w * tr.weight(a, i)
			}
			worst = math.Max(worst, math.Abs(s))
		}
		return worst
	}
	for k, want := range []int{1, 1, 2, 4, 9, 20} {
		if got := len(trees(k + 1)); got != want {
			t.Fatalf("%d rooted trees of %d nodes, want %d", got, k+1, want)
		}
	}
	for name, tab := range map[string]tableau{"rk4": classicalRK4, "dormand-prince": dormandPrince} {
		for i, row := range tab.a {
			s := -tab.c[i]
			for _, v := range row {
				s += v
			}
			if math.Abs(s) > tol || len(row) > i {
				t.Errorf("%s: row %d, %v, does not sum to %g", name, i, row, tab.c[i])
			}
		}
		weights := map[string][]float64{name: tab.b}
		orders := map[string]int{name: tab.order}
		if tab.e != nil {
			e := slices.Clone(tab.b)
			for i, v := range tab.e {
				e[i] -= v
			}
			weights["embedded"], orders["embedded"] = e, tab.order-1
		}
		for w, b := range weights {
			for k := 1; k <= orders[w]; k++ {
				if v := violation(tab.a, b, k); v > tol {
					t.Errorf("%s: order condition %d of %s is violated by %g", name, k, w, v)
				}
			}
			if v := violation(tab.a, b, orders[w]+1); v < 1e-6 {
				t.Errorf("%s: %s has an order above the declared %d", name, w, orders[w])
			}
		}
		if s := len(tab.b); tab.fsal && !slices.Equal(tab.a[s-1], tab.b[:s-1]) {
			t.Errorf("%s: the last stage is not the result", name)
		}
	}
	for k, w := range map[int]adams{2: ab2, 3: ab3, 4: ab4} {
		for q := range len(w) {
			s := -1 / float64(q+1)
			for j, v := range w {
				s += v * math.Pow(-float64(j), float64(q))
			}
			if math.Abs(s) > tol {
				t.Errorf("adams %d: moment %d is off by %g", k, q, s)
			}
		}
		if len(w) != k {
			t.Errorf("adams %d has %d weights", k, len(w))
		}
	}
}

// TestAdaptiveError: with the error per step at the tolerance the error at the end is proportional to it, and never far
// above.
func TestAdaptiveError(t *testing.T) {
	ref := solve(t, logistic, []float64{0.2}, 0, Method{Kind: RK4, LearningRate: 10. / 20000}, 20000)[20000][0]
	var tols, errs []float64
	for tol := 1e-4; tol > 1e-12; tol /= 10 {
		e := math.Abs(solve(t, logistic, []float64{0.2}, 0, Method{Kind: RK45, LearningRate: 10, Tolerance: tol},
			1)[1][0] - ref)
		// y is of order one and the flow contracts, so the errors of at most tol(1 + |y|) per step that survive are
		// few.
		if e > 10*tol {
			t.Errorf("tolerance %g: error %g", tol, e)
		}
		tols, errs = append(tols, tol), append(errs, e)
	}
	// The error at the end fluctuates by a factor of a few with where the steps fall, over eight decades.
	if s := slope(tols, errs); math.Abs(s-1) > 0.15 {
		t.Errorf("error grows as tolerance^%.2f: %.2g", s, errs)
	}
	// Outputs in between, and the default tolerance.
	for n, y := range solve(t, bernoulli, []float64{1}, 0, Method{Kind: RK45, LearningRate: 0.37}, 8) {
		x := 0.37 * float64(n)
		if e := math.Abs(y[0] - 1/(1+x*x)); e > 10*DefaultTolerance {
			t.Errorf("error %g at %g", e, x)
		}
	}
}

// TestKick: a short strong kick is integrated, by rejecting steps; evaluations are counted; the last one before each
// output is at its time exactly.
func TestKick(t *testing.T) {
	const width, at = 0.05, 2.4
	kick := func(t float64, dst, y []float64) { x := (t - at) / width; dst[0] = -y[0] + 100*math.Exp(-x*x) }
	m := Method{Kind: RK45, LearningRate: 0.5, Tolerance: 1e-8}
	st, v := stepper(t, m, 10), &counted{Vector: NewVector(kick, []float64{1})}
	for n := range 10 {
		advance(t, st, v, m, n, n+1)
		// end − t is rounded once, t + (end − t) once more.
		if got, want := v.times[len(v.times)-1], float64(n+1)*m.LearningRate; math.Abs(got-want) > 2*eps*want {
			t.Errorf("output %d at time %.17g, want %g", n+1, got, want)
		}
	}
	// ∫ e^{−(5−s)} 100 e^{−((s−at)/w)²} ds over the line; its tails outside [0, 5] are below e^{−2300}.
	want := math.Exp(-5) + 100*width*math.Sqrt(math.Pi)*math.Exp(at-5+width*width/4)
	s := st.Stats()
	// Some 30 steps see the kick, where y is of order ten.
	if got := v.Register(0)[0]; math.Abs(got-want) > 1e-6 {
		t.Errorf("y = %g, want %g", got, want)
	}
	if s.Rejected == 0 || s.Steps < 10 {
		t.Errorf("no step was rejected: %+v", s)
	}
	if s.Evals != len(v.times) || s.Evals != 10+6*(s.Steps+s.Rejected) {
		t.Errorf("%+v, but %d evaluations were made", s, len(v.times))
	}
}

// TestRememberedStep: outputs that cut steps short do not make the proposed step fall below what a free run takes.
func TestRememberedStep(t *testing.T) {
	slow := func(t float64, dst, y []float64) { dst[0] = math.Cos(t) }
	free := newRungeKutta(Method{Kind: RK45, LearningRate: 12, Tolerance: 1e-9}, dormandPrince)
	advance(t, free, NewVector(slow, []float64{0}), free.Method, 0, 1)
	mean := 12 / float64(free.stats.Steps)
	for _, ratio := range []float64{0.3, 1.001, 1.3, 2.1} { // of the time between outputs to a natural step
		m := Method{Kind: RK45, LearningRate: mean * ratio, Tolerance: 1e-9}
		st, v := newRungeKutta(m, dormandPrince), NewVector(slow, []float64{0})
		for n := range 40 {
			advance(t, st, v, m, n, n+1)
			if st.h < mean/3 {
				t.Errorf("ratio %g: the proposed step fell to %g after output %d, a free run takes %g", ratio, st.h, n+1, mean)
			}
		}
		if most := 40 * (int(ratio) + 2); st.stats.Steps > most {
			t.Errorf("ratio %g: %+v, expected at most %d steps", ratio, st.stats, most)
		}
	}
}

// scripted is a System whose error norms are given in advance; its state is the time integrated, so that a step of h
// adds h.
type scripted struct {
	*Vector
	norms []float64
}

func (s *scripted) ErrorNorm(_, _, _ int, _, _ float64) float64 {
	n := s.norms[0]
	s.norms = s.norms[1:]
	return n
}

// TestStepControl follows the proposed step through given error norms, in one or two outputs a unit of time apart.
func TestStepControl(t *testing.T) {
	const half = 0.59049 // 0.9⁵: a norm with which the step stays as it is
	nan, up := math.NaN(), 0.9*math.Pow(0.05, -0.2)
	for _, c := range []struct {
		name   string
		h      float64   // proposed before
		norms  []float64 // of all steps tried
		want   float64   // proposed after
		reject int
	}{
		{"first step is the interval", 0, []float64{half}, 1, 0},
		{"grows at most fivefold", 0, []float64{0}, 5, 0},
		{"grows by the error", 1, []float64{0.05}, up, 0},
		{"takes a remainder of rounding size along", 1 - 1e-12, []float64{half}, 1, 0},
		{"a clipped step is forgotten", 0.6, []float64{half, 0.3}, 0.6, 0},
		{"unless it asks for less", 0.6, []float64{half, 0.99}, 0.4 * 0.9 * math.Pow(0.99, -0.2), 0},
		{"or shows that more is possible", 0.6, []float64{half, 1e-9}, 0.4 * 5, 0},
		{"a much longer step is clipped and kept", 3, []float64{0.3}, 3, 0},
		// 1 is rejected for 0.9·2^{−1/5}; that one passes with ease but must not grow at once, the clipped one after it
		// says little.
		{"no growth after a rejection", 0, []float64{2, 1e-9, half}, 0.9 * math.Pow(2, -0.2), 1},
		{"growth again after an accepted step", 0, []float64{2, half, 1e-9}, 5 * (1 - 0.9*math.Pow(2, -0.2)), 1},
		{"shrinks fivefold at most", 0, []float64{1e9, half, half, half, half, half}, 0.2, 1},
		{"shrinks on what is not a number", 0, []float64{nan, half, half, half, half, half}, 0.2, 1},
		{"shrinks on infinity", 0, []float64{math.Inf(1), half, half, half, half, half}, 0.2, 1},
		{"always shrinks on rejection", 0, []float64{1 + eps, half, half}, 0.9, 1},
	} {
		st := newRungeKutta(Method{Kind: RK45, LearningRate: 1, Tolerance: 1e-6}, dormandPrince)
		st.h = c.h
		sys := &scripted{NewVector(func(_ float64, dst, _ []float64) { dst[0] = 1 }, []float64{0}), c.norms}
		advance(t, st, sys, st.Method, 0, 1)
		if math.Abs(st.h-c.want) > 1e-12 { // sums of a few clipped steps
			t.Errorf("%s: %g proposed, want %g", c.name, st.h, c.want)
		}
		if len(sys.norms) != 0 || st.stats.Rejected != c.reject || st.stats.Steps != len(c.norms)-c.reject {
			t.Errorf("%s: %+v, %d norms left", c.name, st.stats, len(sys.norms))
		}
		if y := sys.Register(0)[0]; math.Abs(y-1) > 10*eps {
			t.Errorf("%s: landed at %.17g", c.name, y)
		}
	}
}

// TestAdaptiveFailure: what cannot be integrated ends in an error that says where and what to try, with the part before
// it.
func TestAdaptiveFailure(t *testing.T) {
	for _, c := range []struct {
		name string
		f    Field
		rows int
		want []string
	}{
		{"blow-up at t = 1", func(_ float64, dst, y []float64) { dst[0] = y[0] * y[0] }, 4,
			[]string{"output 4 of 6", "time 1.0000", "rk4"}},
		{"not a number from t = 0.7", func(t float64, dst, y []float64) { dst[0] = math.Sqrt(0.7 - t) }, 3,
			[]string{"time 0.", "not finite"}},
		{"infinite from t = 0.7", func(t float64, dst, y []float64) { dst[0] = 1 / math.Max(0, 0.7-t) }, 3,
			[]string{"time 0.69999", "too fast"}},
		{"stiff", func(t float64, dst, y []float64) { dst[0] = -1e6 * (y[0] - math.Cos(t)) }, 1,
			[]string{"20000 steps", "stiff"}},
	} {
		out, err := Solve(c.f, []float64{1}, 0, Method{Kind: RK45, LearningRate: 0.3}, 6)
		if err == nil {
			t.Errorf("%s: integrated to %v", c.name, out)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, err, w)
			}
		}
		if len(out) != c.rows {
			t.Errorf("%s: %d outputs before the end, want %d", c.name, len(out), c.rows)
		}
	}
	// A step into a region without a field is taken back: y' = −√y comes to rest at t = 2, but not below zero.
	root := func(_ float64, dst, y []float64) { dst[0] = -math.Sqrt(y[0]) }
	for n, y := range solve(t, root, []float64{1}, 0, Method{Kind: RK45, LearningRate: 1.9}, 1) {
		if want := math.Pow(1-1.9*float64(n)/2, 2); math.Abs(y[0]-want) > 1e-5 {
			t.Errorf("y = %g, want %g", y[0], want)
		}
	}
}

// TestOptimisers compares with loops written out.
func TestOptimisers(t *testing.T) {
	field := func(n float64, dst, y []float64) {
		for i := range y {
			dst[i] = math.Sin(y[i]) + 0.1*n
		}
	}
	const steps = 12
	for _, m := range append(sample(0.1)[:3], Method{Kind: GD, LearningRate: 0.1},
		Method{Kind: Momentum, LearningRate: 0.1}) {
		y := []float64{0.3, -1}
		got := solve(t, field, y, 0, m, steps)
		vel, g := make([]float64, 2), make([]float64, 2)
		for n := range steps {
			field(float64(n), g, y)
			eta := m.LearningRate * m.Schedule.Rate(n, steps)
			for i := range y {
				vel[i] = m.Momentum*vel[i] + g[i]
				d := vel[i]
				if m.Kind == Nesterov {
					d = g[i] + m.Momentum*vel[i]
				}
				y[i] = (1-eta*m.WeightDecay)*y[i] + eta*d
				if math.Abs(got[n+1][i]-y[i]) > 20*eps*float64(n+1)*(1+math.Abs(y[i])) { // a few roundings a step
					t.Fatalf("%s step %d: %g, want %g", m.Kind, n, got[n+1][i], y[i])
				}
			}
		}
	}
}

// TestSchedules checks the formulas at a few steps of 11.
func TestSchedules(t *testing.T) {
	for _, tc := range []struct {
		s    Schedule
		n    int
		want float64
	}{
		{Schedule{}, 7, 1},
		{Schedule{Kind: Constant, Warmup: 4}, 0, 0.2},
		{Schedule{Warmup: 4}, 3, 0.8},
		{Schedule{Warmup: 4}, 4, 1},
		{Schedule{Kind: Linear, Warmup: 2}, 1, 2. / 3},
		{Schedule{Kind: Linear, Warmup: 2}, 2, 1},
		{Schedule{Kind: Linear, Warmup: 2}, 6, 0.5},
		{Schedule{Kind: Linear, Warmup: 20}, 10, 11. / 21},
		{Schedule{Kind: StepDecay, Every: 3, Factor: 0.5}, 2, 1},
		{Schedule{Kind: StepDecay, Every: 3, Factor: 0.5}, 7, 0.25},
		{Schedule{Kind: StepDecay, Every: 3, Factor: 0.5, Warmup: 2}, 5, 0.5},
		{Schedule{Kind: Cosine, Final: 0.2}, 0, 1},
		{Schedule{Kind: Cosine, Final: 0.2}, 5, 0.6},
		{Schedule{Kind: Cosine, Final: 0.2}, 10, 0.2},
		{Schedule{Kind: Cosine, Final: 0.2}, 14, 0.2},
		{Schedule{Kind: Linear}, 10, 0},
		{Schedule{Kind: Linear}, 12, 0},
		{Schedule{Kind: Linear, Final: 0.5}, 5, 0.75},
		{Schedule{Kind: Exponential, Factor: 0.9}, 2, 0.81},
	} {
		if got := tc.s.Rate(tc.n, 11); math.Abs(got-tc.want) > 2*eps {
			t.Errorf("%+v at %d: %g, want %g", tc.s, tc.n, got, tc.want)
		}
	}
	if r := (Schedule{Kind: Cosine}).Rate(0, 1); r != 1 {
		t.Errorf("rate %g of a single step", r)
	}
}

// TestScheduleRange: any valid schedule stays in [0, 1] and, after the warm-up, never rises.
func TestScheduleRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Schedule{
			Kind:   rapid.SampledFrom([]ScheduleKind{"", Constant, StepDecay, Cosine, Linear, Exponential}).Draw(t, "kind"),
			Warmup: rapid.IntRange(0, 20).Draw(t, "warmup"), Every: rapid.IntRange(1, 9).Draw(t, "every"),
			Factor: rapid.Float64Range(1e-3, 1).Draw(t, "factor"), Final: rapid.Float64Range(0, 1).Draw(t, "final"),
		}
		if err := (Method{Kind: GD, LearningRate: 1, Schedule: s}).Validate(); err != nil {
			t.Fatal(err)
		}
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		before := 1.
		for n := range steps + 3 {
			r := s.Rate(n, steps)
			if !(r >= 0 && r <= 1+eps) || n >= s.Warmup && r > before+eps || n < s.Warmup && n > 0 && r <= before {
				t.Fatalf("step %d of %d: rate %g after %g", n, steps, r, before)
			}
			before = r
			if n+1 == s.Warmup {
				before = 1
			}
		}
	})
}

// TestState: for every method, stopping after any output and going on from the saved state and registers in new objects
// gives the same bits, work counts included.
func TestState(t *testing.T) {
	const steps = 10
	y0 := []float64{1, 2}
	for _, m := range sample(0.4) {
		whole, v := stepper(t, m, steps), &counted{Vector: NewVector(logistic, y0)}
		advance(t, whole, v, m, 0, steps)
		for stop := range steps {
			first, a := stepper(t, m, steps), NewVector(logistic, y0)
			advance(t, first, a, m, 0, stop)
			second, b := stepper(t, m, steps), NewVector(logistic, y0)
			b.Reserve(second.Registers())
			for r := range min(second.Registers(), len(a.regs)) {
				copy(b.Register(r), a.Register(r))
			}
			if err := second.SetState(first.State()); err != nil {
				t.Fatal(err)
			}
			advance(t, second, b, m, stop, steps)
			if !slices.Equal(b.Register(0), v.Register(0)) {
				t.Errorf("%s stopped after %d: %v, want %v", m.Kind, stop, b.Register(0), v.Register(0))
			}
			if second.Stats() != whole.Stats() {
				t.Errorf("%s stopped after %d: %+v, want %+v", m.Kind, stop, second.Stats(), whole.Stats())
			}
		}
		if got := whole.Stats().Evals; got != len(v.times) {
			t.Errorf("%s: %d evaluations counted, %d made", m.Kind, got, len(v.times))
		}
		if s := whole.Stats(); !m.IsFlow() && s != (Stats{Steps: steps, Evals: steps,
			LastStep: m.LearningRate * m.Schedule.Rate(steps-1, steps)}) {
			t.Errorf("%s: %+v", m.Kind, s)
		}
	}
}

// TestForeignState: no method takes the state of another one, or a damaged one, and a refused state changes nothing.
func TestForeignState(t *testing.T) {
	all := sample(0.1)
	for i, m := range all {
		st := stepper(t, m, 3)
		advance(t, st, NewVector(logistic, []float64{1}), m, 0, 2)
		good := st.State()
		bad := [][]float64{nil, good[:len(good)-1], append(slices.Clone(good), 1)}
		for j, o := range all {
			if j != i {
				bad = append(bad, stepper(t, o, 3).State())
			}
		}
		for k := range good {
			for _, x := range []float64{math.NaN(), math.Inf(1), -1} {
				b := slices.Clone(good)
				b[k] = x
				bad = append(bad, b)
			}
			if k < 4 {
				b := slices.Clone(good)
				b[k] += 0.5
				bad = append(bad, b)
			}
		}
		for _, b := range bad {
			if err := st.SetState(b); err == nil {
				t.Errorf("%s accepts %v", m.Kind, b)
			}
			if !slices.Equal(st.State(), good) {
				t.Fatalf("%s: refused state %v changed %v to %v", m.Kind, b, good, st.State())
			}
		}
		if err := st.SetState(good); err != nil {
			t.Error(err)
		}
	}
}

// FuzzSetState: any numbers as a state are refused or come back as they are.
func FuzzSetState(f *testing.F) {
	for i, m := range sample(0.1) {
		s := append(stepper(f, m, 1).State(), 0)
		f.Add(i, s[0], s[1], s[2], s[3], s[4], s[5])
	}
	f.Add(7, 7., 1e300, 0.5, -0., math.NaN(), math.Inf(1))
	f.Fuzz(func(t *testing.T, i int, a, b, c, d, e, g float64) {
		m := sample(0.1)
		st := stepper(t, m[((i%len(m))+len(m))%len(m)], 1)
		for _, s := range [][]float64{{a, b, c, d, e}, {a, b, c, d, e, g}} {
			if err := st.SetState(s); err == nil && !slices.Equal(st.State(), s) {
				t.Errorf("%v became %v", s, st.State())
			}
		}
	})
}

// TestWeightDecay: without gradients the optimisers multiply by Π(1 − η_n λ), the fixed-step integrators by what they
// make of e^{−λη}.
func TestWeightDecay(t *testing.T) {
	const steps, eta, lambda = 9, 0.3, 0.8
	zero := func(_ float64, dst, y []float64) { clear(dst) }
	y0 := []float64{2, -3}
	for _, m := range sample(eta) {
		m.WeightDecay = lambda
		want, tol := 1., 4*eps*steps
		x := -eta * lambda
		rk4 := 1 + x*(1+x/2*(1+x/3*(1+x/4)))
		out := solve(t, zero, y0, 0, m, steps)
		for n := range steps {
			switch m.Kind {
			case GD, Momentum, Nesterov:
				want *= 1 - eta*m.Schedule.Rate(n, steps)*lambda
			case RK4:
				want *= rk4
			case RK45:
				want, tol = math.Exp(-eta*lambda*float64(n+1)), 2*DefaultTolerance*steps
			default:
				w := m.scheme().(adams)
				if n < len(w)-1 {
					want *= rk4
				} else {
					want = out[n][0] / y0[0]
					for j, v := range w {
						want += x * v * out[n-j][0] / y0[0]
					}
				}
			}
			for i, v := range out[n+1] {
				if math.Abs(v-want*y0[i]) > tol*math.Abs(y0[i]) {
					t.Errorf("%s, output %d: %.17g, want %.17g", m.Kind, n+1, v, want*y0[i])
				}
			}
		}
	}
}

// TestLinearity: every method with fixed steps is linear, y(a u + b v) = a y(u) + b y(v), when the field is; and the
// kind with step control is up to its tolerance.
func TestLinearity(t *testing.T) {
	field := func(t float64, dst, y []float64) {
		dst[0] = -0.5*y[0] + math.Sin(t)*y[1]
		dst[1] = -y[0] + 0.2*y[1]
	}
	rapid.Check(t, func(t *rapid.T) {
		num := rapid.Float64Range(-2, 2)
		m := rapid.SampledFrom(sample(0.1)).Draw(t, "method")
		u, v := []float64{num.Draw(t, "u0"), num.Draw(t, "u1")}, []float64{num.Draw(t, "v0"), num.Draw(t, "v1")}
		a, b := num.Draw(t, "a"), num.Draw(t, "b")
		steps := rapid.IntRange(0, 20).Draw(t, "steps")
		last := func(y []float64) []float64 {
			out, err := Solve(field, y, 0, m, steps)
			if err != nil {
				t.Fatal(err)
			}
			return out[steps]
		}
		yu, yv, y := last(u), last(v), last([]float64{a*u[0] + b*v[0], a*u[1] + b*v[1]})
		tol := 1e-12 // twenty steps of a few roundings of numbers below 100
		if m.Kind == RK45 {
			tol = 1e-3 // errors of 1e-6(1 + 100) a step
		}
		for i := range y {
			if want := a*yu[i] + b*yv[i]; math.Abs(y[i]-want) > tol {
				t.Fatalf("%s, %d steps, component %d: %g, want %g", m.Kind, steps, i, y[i], want)
			}
		}
	})
}

// TestAutonomy: shifting the start by t0 shifts the field, and y0 is not written to.
func TestAutonomy(t *testing.T) {
	for _, m := range sample(0.25) { // dyadic: t0 + t is exact
		y0 := []float64{0.5}
		a := solve(t, logistic, y0, 3, m, 6)
		b := solve(t, func(t float64, dst, y []float64) { logistic(t+3, dst, y) }, y0, 0, m, 6)
		for n := range a {
			if a[n][0] != b[n][0] {
				t.Errorf("%s: %g and %g at output %d", m.Kind, a[n][0], b[n][0], n)
			}
		}
		if y0[0] != 0.5 || a[0][0] != 0.5 || len(a) != 7 {
			t.Errorf("%s: start %g, row 0 is %g, %d rows", m.Kind, y0[0], a[0][0], len(a))
		}
	}
}

// TestSolveErrors: bad arguments and overflow are errors, with the part before an overflow.
func TestSolveErrors(t *testing.T) {
	gd := Method{Kind: GD, LearningRate: 1}
	for name, c := range map[string]struct {
		y0    []float64
		m     Method
		steps int
	}{
		"no y": {nil, gd, 3}, "negative steps": {[]float64{1}, gd, -1}, "no method": {[]float64{1}, Method{}, 3},
		"start not finite": {[]float64{math.NaN()}, gd, 3},
	} {
		if out, err := Solve(logistic, c.y0, 0, c.m, c.steps); err == nil || out != nil {
			t.Errorf("%s: %v, %v", name, out, err)
		}
	}
	out, err := Solve(func(_ float64, dst, y []float64) { dst[0] = y[0] * y[0] }, []float64{10}, 0, gd, 100)
	if err == nil || len(out) < 3 || !finite(out[len(out)-1]) ||
		!strings.Contains(err.Error(), fmt.Sprintf("output %d ", len(out))) {
		t.Errorf("%d rows and the error %v", len(out), err)
	}
}

// TestVector checks the System contract on registers: no old content through a zero coefficient, the destination among
// the sources.
func TestVector(t *testing.T) {
	v := NewVector(func(t float64, dst, y []float64) { dst[0] = t * y[0] }, []float64{3})
	v.Reserve(3)
	v.Reserve(2)
	if v.Register(2)[0] != 0 {
		t.Error("a new register is not zero")
	}
	v.Register(2)[0] = math.NaN()
	v.Eval(0, 2)
	v.Accumulate(2, 0, 10)
	if got := v.Register(2)[0]; got != 60 {
		t.Errorf("accumulated %g, want 60", got)
	}
	v.Accumulate(2, 0.5, 1)
	v.Combine(2, []float64{1, 0, 2})
	if got := v.Register(2)[0]; got != 75 {
		t.Errorf("combined %g, want 75", got)
	}
	v.Register(2)[0] = math.NaN()
	v.Combine(2, []float64{4})
	if got := v.Register(2)[0]; got != 12 {
		t.Errorf("combined %g, want 12", got)
	}
	v.Register(1)[0], v.Register(2)[0] = -4, 0.5
	if got, want := v.ErrorNorm(2, 0, 1, 0.1, 0.2), 0.5/0.9; math.Abs(got-want) > eps {
		t.Errorf("error norm %g, want %g", got, want)
	}
}

// TestNoAllocation: steps allocate nothing.
func TestNoAllocation(t *testing.T) {
	for _, m := range sample(1e-3) {
		st, v := stepper(t, m, 1000), NewVector(logistic, []float64{1, 2})
		advance(t, st, v, m, 0, 5)
		n := 5
		if a := testing.AllocsPerRun(100, func() {
			v.Eval(0, m.Time(n))
			if err := st.Step(v, n); err != nil {
				t.Fatal(err)
			}
			n++
		}); a != 0 {
			t.Errorf("%s: %g allocations per step", m.Kind, a)
		}
	}
}

// TestValidate: every mistake is named, and every method of the list is valid.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		m    Method
		want string
	}{
		{Method{Kind: "adam", LearningRate: 1}, "adam"},
		{Method{}, "learning rate 0"},
		{Method{Kind: GD}, "learning rate 0"},
		{Method{Kind: GD, LearningRate: math.NaN()}, "learning rate NaN"},
		{Method{Kind: GD, LearningRate: math.Inf(1)}, "learning rate +Inf"},
		{Method{Kind: GD, LearningRate: 1, Momentum: 0.5}, "momentum 0.5 is for the methods momentum, nesterov, not gd"},
		{Method{LearningRate: 1, Momentum: 0.5}, "momentum 0.5 is for the methods momentum, nesterov, not gd"},
		{Method{Kind: Momentum, LearningRate: 1, Momentum: 1}, "momentum 1"},
		{Method{Kind: Momentum, LearningRate: 1, Momentum: math.NaN()}, "momentum NaN"},
		{Method{Kind: GD, LearningRate: 1, WeightDecay: -1}, "weight decay -1"},
		{Method{Kind: GD, LearningRate: 1, WeightDecay: math.Inf(1)}, "weight decay +Inf"},
		{Method{Kind: RK45, LearningRate: 1, Tolerance: 2}, "tolerance 2"},
		{Method{Kind: RK45, LearningRate: 1, Tolerance: 1e-20}, "tolerance 1e-20"},
		{Method{Kind: RK4, LearningRate: 1, Schedule: Schedule{Kind: Cosine}}, "no learning-rate schedule"},
		{Method{Kind: RK4, LearningRate: 1, Schedule: Schedule{Warmup: 1}}, "no learning-rate schedule"},
		{Method{Kind: GD, LearningRate: 1, Schedule: Schedule{Kind: "cyclic"}}, "cyclic"},
		{Method{Kind: GD, LearningRate: 1, Schedule: Schedule{Warmup: -1}}, "warm-up of -1"},
		{Method{Kind: GD, LearningRate: 1, Schedule: Schedule{Kind: StepDecay, Factor: 0.5}}, "every 0"},
		{Method{Kind: GD, LearningRate: 1, Schedule: Schedule{Kind: StepDecay, Every: 2}}, "factor 0"},
		{Method{Kind: GD, LearningRate: 1, Schedule: Schedule{Kind: Exponential, Factor: 2}}, "factor 2"},
		{Method{Kind: GD, LearningRate: 1, Schedule: Schedule{Kind: Linear, Final: math.NaN()}}, "final fraction NaN"},
	} {
		if err := c.m.Validate(); err == nil || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "ode: ") {
			t.Errorf("%+v: %v, want %q", c.m, err, c.want)
		}
		if _, err := NewStepper(c.m, 1); err == nil {
			t.Errorf("a stepper of %+v was made", c.m)
		}
	}
	for _, k := range Kinds(nil) {
		if err := (Method{Kind: k, LearningRate: 1}).Validate(); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	y0 := make([]float64, 1024)
	for i := range y0 {
		y0[i] = float64(i) / 1024
	}
	// A cheap field, so that the cost is that of the combinations.
	field := func(_ float64, dst, y []float64) {
		for i, v := range y {
			dst[i] = -v
		}
	}
	for _, m := range sample(1e-3) {
		b.Run(string(m.Kind), func(b *testing.B) {
			st, v := stepper(b, m, 1<<30), NewVector(field, y0)
			v.Reserve(st.Registers())
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				v.Eval(0, m.Time(n))
				if err := st.Step(v, n); err != nil {
					b.Fatal(err)
				}
				n++
			}
		})
	}
}
