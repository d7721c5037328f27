package ode

import (
	"fmt"
	"math"
	"testing"
)

// vector is a System over a plain vector with field f.
type vector struct {
	regs  [][]float64
	f     func(t float64, dst, y []float64)
	grad  []float64
	evals int
}

func newVector(y []float64, f func(t float64, dst, y []float64)) *vector {
	return &vector{regs: [][]float64{append([]float64(nil), y...)}, f: f, grad: make([]float64, len(y))}
}

func (v *vector) Reserve(n int) {
	for len(v.regs) < n {
		v.regs = append(v.regs, make([]float64, len(v.grad)))
	}
}
func (v *vector) Eval(r int, t float64) { v.evals++; v.f(t, v.grad, v.regs[r]) }
func (v *vector) Accumulate(dst int, beta, a float64) {
	for i := range v.grad {
		if beta == 0 {
			v.regs[dst][i] = 0
		}
		v.regs[dst][i] = beta*v.regs[dst][i] + a*v.grad[i]
	}
}
func (v *vector) Combine(dst int, c []float64) {
	for i := range v.grad {
		s := 0.
		for j, x := range c {
			if x != 0 {
				s += x * v.regs[j][i]
			}
		}
		v.regs[dst][i] = s
	}
}
func (v *vector) ErrorNorm(e, a, b int, atol, rtol float64) float64 {
	s := 0.
	for i, x := range v.regs[e] {
		q := x / (atol + rtol*math.Max(math.Abs(v.regs[a][i]), math.Abs(v.regs[b][i])))
		s += q * q
	}
	return math.Sqrt(s / float64(len(v.grad)))
}

// run makes steps outputs and returns every one.
func run(t *testing.T, v *vector, m Method, steps int) [][]float64 {
	t.Helper()
	st, err := NewStepper(m, steps)
	if err != nil {
		t.Fatal(err)
	}
	v.Reserve(st.Registers())
	out := [][]float64{append([]float64(nil), v.regs[0]...)}
	for n := range steps {
		now := float64(n)
		if m.IsFlow() {
			now *= m.LearningRate
		}
		v.Eval(0, now)
		if err := st.Step(v, n); err != nil {
			t.Fatal(err)
		}
		out = append(out, append([]float64(nil), v.regs[0]...))
	}
	return out
}

// bernoulli is y' = −2ty² − λy seen as ∇ − λθ with decay λ, with exact solutions for λ = 0: y = 1/(1 + t²).
func bernoulli(t float64, dst, y []float64) {
	for i, v := range y {
		dst[i] = -2 * t * v * v
	}
}

// TestOrders fits the order of every integrator over four steps, without and with weight decay (against a fine reference).
func TestOrders(t *testing.T) {
	// y' = −y + 0.3 sin(3t) y²: nonlinear, not autonomous.
	f := func(t float64, dst, y []float64) { dst[0] = -y[0] + 0.3*math.Sin(3*t)*y[0]*y[0] }
	if exact := run(t, newVector([]float64{1}, bernoulli), Method{Kind: RK4, LearningRate: 2. / 2000}, 2000)[2000][0]; math.Abs(exact-0.2) > 1e-12 {
		t.Fatalf("reference method: %g, want 1/5", exact)
	}
	for _, lambda := range []float64{0, 0.7} {
		ref := run(t, newVector([]float64{1}, f), Method{Kind: RK4, LearningRate: 2. / 20000, WeightDecay: lambda}, 20000)[20000][0]
		for _, kind := range []Kind{GD, AB2, AB3, AB4, RK4} {
			var x, y []float64
			for _, steps := range []int{160, 320, 640, 1280} {
				m := Method{Kind: kind, LearningRate: 2 / float64(steps), WeightDecay: lambda}
				v := newVector([]float64{1}, f)
				if kind == GD { // optimisers count steps, the field wants time
					v.f = func(n float64, dst, y []float64) { f(n*m.LearningRate, dst, y) }
				}
				x, y = append(x, math.Log(m.LearningRate)), append(y, math.Log(math.Abs(run(t, v, m, steps)[steps][0]-ref)))
			}
			s := (y[3] - y[0]) / (x[3] - x[0])
			if want := float64(Method{Kind: kind}.Order()); math.Abs(s-want) > 0.2 {
				t.Errorf("%s, decay %g: order %.2f, want %g", kind, lambda, s, want)
			}
		}
	}
}

// TestTableaux checks the order conditions of the Runge–Kutta tables: rows sum to c, and all conditions up to order four.
func TestTableaux(t *testing.T) {
	for name, tab := range map[string]tableau{"rk4": classicalRK4, "dormand-prince": dormandPrince} {
		sums := map[string][2]float64{} // condition: value, want
		add := func(k string, v, want float64) {
			o := sums[k]
			sums[k] = [2]float64{o[0] + v, want}
		}
		embedded := make([]float64, len(tab.b))
		for i := range tab.b {
			row := 0.
			ac, acc, aac := 0., 0., 0.
			for j, a := range tab.a[i] {
				row += a
				ac += a * tab.c[j]
				acc += a * tab.c[j] * tab.c[j]
				for k, b := range tab.a[j] {
					aac += a * b * tab.c[k]
				}
			}
			if math.Abs(row-tab.c[i]) > 1e-14 {
				t.Errorf("%s: row %d sums to %g, c = %g", name, i, row, tab.c[i])
			}
			b, c := tab.b[i], tab.c[i]
			add("1", b, 1)
			add("c", b*c, 1./2)
			add("c²", b*c*c, 1./3)
			add("ac", b*ac, 1./6)
			add("c³", b*c*c*c, 1./4)
			add("c·ac", b*c*ac, 1./8)
			add("ac²", b*acc, 1./12)
			add("aac", b*aac, 1./24)
			if tab.order == 5 {
				add("c⁴", b*c*c*c*c, 1./5)
			}
			if tab.e != nil {
				embedded[i] = b - tab.e[i]
				add("e1", embedded[i], 1)
				add("ec", embedded[i]*c, 1./2)
				add("ec²", embedded[i]*c*c, 1./3)
				add("ec³", embedded[i]*c*c*c, 1./4)
			}
		}
		for k, v := range sums {
			if math.Abs(v[0]-v[1]) > 1e-14 {
				t.Errorf("%s: condition %s is %.16g, want %.16g", name, k, v[0], v[1])
			}
		}
	}
}

// TestAdaptive: errors stay near the tolerance over eight decades, a kick in the field causes rejections, outputs are landed on exactly.
func TestAdaptive(t *testing.T) {
	for _, tol := range []float64{1e-3, 1e-5, 1e-7, 1e-9, 1e-11} {
		out := run(t, newVector([]float64{1}, bernoulli), Method{Kind: RK45, LearningRate: 0.37, Tolerance: tol}, 8)
		for n, y := range out {
			x := 0.37 * float64(n)
			// A handful of steps per output, each with an error of at most the tolerance.
			if err := math.Abs(y[0] - 1/(1+x*x)); err > 20*tol {
				t.Errorf("tolerance %g: error %g at %g", tol, err, x)
			}
		}
	}
	kick := func(t float64, dst, y []float64) { dst[0] = -y[0] + 1000*math.Exp(-1e6*(t-0.5)*(t-0.5)) }
	m := Method{Kind: RK45, LearningRate: 1, Tolerance: 1e-8}
	st, _ := NewStepper(m, 1)
	v := newVector([]float64{1}, kick)
	v.Reserve(st.Registers())
	v.regs[0][0] = 1
	v.Eval(0, 0)
	if err := st.Step(v, 0); err != nil {
		t.Fatal(err)
	}
	want := math.Exp(-1) + 1000*math.Sqrt(math.Pi/1e6)*math.Exp(-0.5)
	s := st.Stats()
	if math.Abs(v.regs[0][0]-want) > 1e-4 && s.Rejected == 0 { // either it saw the kick or stepped over it knowingly
		t.Errorf("y(1) = %g, want %g; %+v", v.regs[0][0], want, s)
	}
	if v.evals != s.Evals {
		t.Errorf("%d evaluations counted, %d made", s.Evals, v.evals)
	}
	// y' = y² from 1 blows up at t = 1: an error, not an endless loop.
	v = newVector([]float64{1}, func(_ float64, dst, y []float64) { dst[0] = y[0] * y[0] })
	st, _ = NewStepper(Method{Kind: RK45, LearningRate: 2}, 1)
	v.Reserve(st.Registers())
	v.Eval(0, 0)
	if err := st.Step(v, 0); err == nil {
		t.Error("a blow-up was integrated over")
	}
}

// TestOptimisers compares with loops written out.
func TestOptimisers(t *testing.T) {
	field := func(n float64, dst, y []float64) {
		for i := range y {
			dst[i] = math.Sin(y[i]) + 0.1*n
		}
	}
	for _, m := range []Method{
		{Kind: GD, LearningRate: 0.1},
		{Kind: GD, LearningRate: 0.1, WeightDecay: 0.5, Schedule: Schedule{Kind: Linear, Final: 0.2}},
		{Kind: Momentum, LearningRate: 0.05, Momentum: 0.9, WeightDecay: 0.2, Schedule: Schedule{Kind: StepDecay, Every: 3, Factor: 0.5, Warmup: 2}},
		{Kind: Nesterov, LearningRate: 0.05, Momentum: 0.8, WeightDecay: 0.1, Schedule: Schedule{Kind: Exponential, Factor: 0.9}},
	} {
		const steps = 12
		y := []float64{0.3, -1}
		got := run(t, newVector(y, field), m, steps)
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
				if math.Abs(got[n+1][i]-y[i]) > 1e-13 {
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
		{Schedule{Warmup: 4}, 0, 0.2},
		{Schedule{Warmup: 4}, 4, 1},
		{Schedule{Kind: StepDecay, Every: 3, Factor: 0.5}, 7, 0.25},
		{Schedule{Kind: Cosine, Final: 0.2}, 0, 1},
		{Schedule{Kind: Cosine, Final: 0.2}, 5, 0.6},
		{Schedule{Kind: Cosine, Final: 0.2}, 10, 0.2},
		{Schedule{Kind: Linear}, 10, 0},
		{Schedule{Kind: Linear, Final: 0.5}, 5, 0.75},
		{Schedule{Kind: Exponential, Factor: 0.9}, 2, 0.81},
	} {
		if got := tc.s.Rate(tc.n, 11); math.Abs(got-tc.want) > 1e-15 {
			t.Errorf("%+v at %d: %g, want %g", tc.s, tc.n, got, tc.want)
		}
	}
}

// TestState: stopping at any output and going on from the saved state and registers gives the same bits.
func TestState(t *testing.T) {
	for _, kind := range []Kind{GD, Momentum, Nesterov, AB2, AB3, AB4, RK4, RK45} {
		m := Method{Kind: kind, LearningRate: 0.2}
		if kind == Momentum || kind == Nesterov {
			m.Momentum = 0.5
		}
		want := run(t, newVector([]float64{1, 2}, bernoulli), m, 10)
		v := newVector([]float64{1, 2}, bernoulli)
		var state []float64
		for n := range 10 {
			st, _ := NewStepper(m, 10)
			if state != nil {
				if err := st.SetState(state); err != nil {
					t.Fatal(err)
				}
			}
			v.Reserve(st.Registers())
			now := float64(n)
			if m.IsFlow() {
				now *= m.LearningRate
			}
			v.Eval(0, now)
			if err := st.Step(v, n); err != nil {
				t.Fatal(err)
			}
			state = st.State()
			for i := range 2 {
				if v.regs[0][i] != want[n+1][i] {
					t.Fatalf("%s output %d: %g, want %g", kind, n+1, v.regs[0][i], want[n+1][i])
				}
			}
		}
		st, _ := NewStepper(m, 10)
		if st.SetState([]float64{1, 2, 3, 4, 5, 6}) == nil {
			t.Errorf("%s accepts a foreign state", kind)
		}
	}
}

// TestNoAllocation: steps allocate nothing.
func TestNoAllocation(t *testing.T) {
	for _, kind := range []Kind{GD, Momentum, Nesterov, AB4, RK4, RK45} {
		st, err := NewStepper(Method{Kind: kind, LearningRate: 1e-3, WeightDecay: 0.1}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		v := newVector([]float64{1, 2}, bernoulli)
		v.Reserve(st.Registers())
		n := 0
		if a := testing.AllocsPerRun(100, func() {
			v.Eval(0, float64(n)*1e-3)
			if err := st.Step(v, n); err != nil {
				t.Fatal(err)
			}
			n++
		}); a != 0 {
			t.Errorf("%s: %g allocations per step", kind, a)
		}
	}
}

// TestValidate: every mistake is named.
func TestValidate(t *testing.T) {
	for _, m := range []Method{
		{Kind: "adam", LearningRate: 1}, {Kind: GD}, {Kind: GD, LearningRate: math.NaN()}, {Kind: GD, LearningRate: 1, Momentum: 0.5}, {Kind: Momentum, LearningRate: 1, Momentum: 1},
		{Kind: GD, LearningRate: 1, WeightDecay: -1}, {Kind: RK45, LearningRate: 1, Tolerance: 2}, {Kind: RK4, LearningRate: 1, Schedule: Schedule{Kind: Cosine}},
		{Kind: GD, LearningRate: 1, Schedule: Schedule{Kind: "cyclic"}}, {Kind: GD, LearningRate: 1, Schedule: Schedule{Kind: StepDecay}}, {Kind: GD, LearningRate: 1, Schedule: Schedule{Kind: Exponential, Factor: 2}},
	} {
		if m.Validate() == nil {
			t.Errorf("%+v is accepted", m)
		}
		if _, err := NewStepper(m, 1); err == nil {
			t.Errorf("a stepper of %+v was made", m)
		}
	}
}

// ExampleNewStepper integrates y' = −y with the classical Runge–Kutta method.
func ExampleNewStepper() {
	st, err := NewStepper(Method{Kind: RK4, LearningRate: 0.1}, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	sys := newVector([]float64{1}, func(_ float64, dst, y []float64) { dst[0] = -y[0] })
	sys.Reserve(st.Registers())
	for n := range 10 {
		sys.Eval(0, 0.1*float64(n))
		if err := st.Step(sys, n); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Printf("%.6f\n", sys.regs[0][0])
	// Output: 0.367880
}
