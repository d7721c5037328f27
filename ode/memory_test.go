package ode

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// kernel is MemoryKernel of a method that has one.
func kernel(t *testing.T, m Method, steps int) *Memory {
	t.Helper()
	mem, err := MemoryKernel(m, steps)
	if err != nil {
		t.Fatal(err)
	}
	return mem
}

// TestMemoryClosedForms compares with the sums worked out by hand: gradient descent, heavy ball with its geometric
// series, decoupled decay, and all of them at once with a schedule.
func TestMemoryClosedForms(t *testing.T) {
	const steps, eta, mu, lambda = 12, 0.1, 0.8, 0.5
	rho := 1 - eta*lambda
	one := func(int) float64 { return 1 }
	for _, c := range []struct {
		name string
		m    Method
		d    func(t int) float64
		c    func(t, s int) float64
	}{
		{"gd", Method{Kind: GD, LearningRate: eta}, one, func(t, s int) float64 { return eta }},
		{"gd with decay", Method{Kind: GD, LearningRate: eta, WeightDecay: lambda},
			func(t int) float64 { return math.Pow(rho, float64(t)) },
			func(t, s int) float64 { return eta * math.Pow(rho, float64(t-1-s)) }},
		{"heavy ball", Method{Kind: Momentum, LearningRate: eta, Momentum: mu}, one,
			func(t, s int) float64 { return eta * (1 - math.Pow(mu, float64(t-s))) / (1 - mu) }},
		// The gradient enters with 1 + μ at once, then with μ², μ³, …
		{"nesterov", Method{Kind: Nesterov, LearningRate: eta, Momentum: mu}, one,
			func(t, s int) float64 { return eta * (1 + mu*(1-math.Pow(mu, float64(t-s)))/(1-mu)) }},
	} {
		mem := kernel(t, c.m, steps)
		for n := range steps + 1 {
			if mem.Output[n] != n || mem.Time[n] != float64(n) || len(mem.C[n]) != n {
				t.Fatalf("%s: row %d is output %d at time %g with %d coefficients", c.name, n, mem.Output[n],
					mem.Time[n], len(mem.C[n]))
			}
			if math.Abs(mem.D[n]-c.d(n)) > 4*eps*steps {
				t.Errorf("%s: d(%d) = %g, want %g", c.name, n, mem.D[n], c.d(n))
			}
			for s, v := range mem.C[n] {
				if math.Abs(v-c.c(n, s)) > 4*eps*steps {
					t.Errorf("%s: c(%d,%d) = %g, want %g", c.name, n, s, v, c.c(n, s))
				}
			}
		}
	}
	// c(t,s) = Σ_u η_u μ^{u−s} Π_{u<v<t} ρ_v over the steps u = s … t−1 at which the velocity carries ∇(s).
	m := Method{Kind: Momentum, LearningRate: eta, Momentum: mu, WeightDecay: lambda,
		Schedule: Schedule{Kind: Cosine, Final: 0.1, Warmup: 3}}
	mem := kernel(t, m, steps)
	rate := func(n int) float64 { return eta * m.Schedule.Rate(n, steps) }
	for n := range steps + 1 {
		for s, got := range mem.C[n] {
			want := 0.
			for u := s; u < n; u++ {
				x := rate(u) * math.Pow(mu, float64(u-s))
				for v := u + 1; v < n; v++ {
					x *= 1 - rate(v)*lambda
				}
				want += x
			}
			if math.Abs(got-want) > 8*eps*steps {
				t.Errorf("heavy ball with schedule and decay: c(%d,%d) = %g, want %g", n, s, got, want)
			}
		}
	}
	// Runge–Kutta 4: one step adds h/6 (k₁ + 2k₂ + 2k₃ + k₄), Adams–Bashforth 2 after it h(3k₁ − k₀)/2.
	mem = kernel(t, Method{Kind: AB2, LearningRate: 0.6}, 2)
	want := [][]float64{{}, {0.3}, {0, 0.3}, {0, 0, 0.6}, {0.1, 0.2, 0.2, 0.1}, {0.1 - 0.3, 0.2, 0.2, 0.1, 0.9}}
	for r, row := range want {
		for s, w := range row {
			if math.Abs(mem.C[r][s]-w) > 4*eps {
				t.Errorf("ab2: row %d is %v, want %v", r, mem.C[r], row)
			}
		}
	}
	if mem.Output[0] != 0 || mem.Output[1] != 4 || mem.Output[2] != 5 || mem.Time[1] != 0.3 || mem.Time[5] != 1.2 {
		t.Errorf("ab2: outputs %v at times %v", mem.Output, mem.Time)
	}
}

// recorder keeps the gradient of every evaluation.
type recorder struct {
	*Vector
	grads, states []float64
	times         []float64
}

func (r *recorder) Eval(reg int, t float64) {
	r.Vector.Eval(reg, t)
	r.grads, r.states, r.times = append(r.grads, r.grad[0]), append(r.states, r.Register(reg)[0]), append(r.times, t)
}

// TestMemoryReproducesRun: on a nonlinear field the kernel with the gradients of a run gives every state of the run,
// stages included.
func TestMemoryReproducesRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := sample(rapid.Float64Range(0.01, 0.3).Draw(t, "eta"))
		m := rapid.SampledFrom(all[:len(all)-1]).Draw(t, "method") // without rk45
		steps := rapid.IntRange(0, 12).Draw(t, "steps")
		mem, err := MemoryKernel(m, steps)
		if err != nil {
			t.Fatal(err)
		}
		st, err := NewStepper(m, steps)
		if err != nil {
			t.Fatal(err)
		}
		y0 := rapid.Float64Range(-1, 1).Draw(t, "y0")
		r := &recorder{Vector: NewVector(func(t float64, dst, y []float64) { dst[0] = math.Sin(3*y[0]) - 0.2*t },
			[]float64{y0})}
		r.Reserve(st.Registers())
		outputs := []float64{y0}
		for n := range steps {
			r.Eval(0, m.Time(n))
			if err := st.Step(r, n); err != nil {
				t.Fatal(err)
			}
			outputs = append(outputs, r.Register(0)[0])
		}
		r.Eval(0, m.Time(steps))
		if len(r.states) != len(mem.D) || len(mem.C) != len(mem.D) || len(mem.Time) != len(mem.D) {
			t.Fatalf("%d evaluations, %d rows", len(r.states), len(mem.D))
		}
		for row, want := range r.states {
			got := mem.D[row] * y0
			for s, c := range mem.C[row] {
				got += c * r.grads[s]
			}
			if math.Abs(got-want) > 1e-12 || mem.Time[row] != r.times[row] { // some 50 sums of numbers below 10
				t.Fatalf("%s: row %d at time %g is %g, want %g at %g", m.Kind, row, mem.Time[row], got, want, r.times[row])
			}
		}
		for n, row := range mem.Output {
			if r.states[row] != outputs[n] {
				t.Fatalf("%s: output %d is not row %d", m.Kind, n, row)
			}
		}
	})
}

// TestMemoryErrors: no kernel of an adaptive or invalid method.
func TestMemoryErrors(t *testing.T) {
	for _, c := range []struct {
		m     Method
		steps int
	}{{Method{Kind: RK45, LearningRate: 1}, 3}, {Method{Kind: GD}, 3}, {Method{Kind: GD, LearningRate: 1}, -1}} {
		if mem, err := MemoryKernel(c.m, c.steps); err == nil {
			t.Errorf("%+v, %d steps: %+v", c.m, c.steps, mem)
		}
	}
}

func BenchmarkMemoryKernel(b *testing.B) {
	for b.Loop() {
		if _, err := MemoryKernel(Method{Kind: Momentum, LearningRate: 0.1, Momentum: 0.9}, 500); err != nil {
			b.Fatal(err)
		}
	}
}
