package ode

import (
	"math"
	"slices"
	"testing"
)

// TestTimes: every gradient is asked for at the time that System promises: the number of the step, or t + c_i h at the
// stages of a flow. The nodes c are those of the papers and not of the tableaux here.
func TestTimes(t *testing.T) {
	const h, steps = 0.25, 6 // sums of h are exact
	kutta := []float64{0, 1. / 2, 1. / 2, 1}
	multistep := func(order int) (c [][]float64) {
		for range order - 1 { // the start
			c = append(c, kutta)
		}
		return append(c, []float64{0})
	}
	// Nodes of the intervals between outputs; the last ones go on.
	nodes := map[Kind][][]float64{GD: {{0}}, Momentum: {{0}}, Nesterov: {{0}}, AB2: multistep(2), AB3: multistep(3),
		AB4: multistep(4),
		RK4: {kutta}, RK45: {{0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1}}}
	for _, k := range Kinds(nil) {
		m := Method{Kind: k, LearningRate: h, Tolerance: 0.5} // so loose that a smooth field never needs a second step
		c := nodes[k]
		if c == nil {
			t.Errorf("%s: the test does not know its nodes", k)
			continue
		}
		unit := 1.
		if len(c) > 1 || len(c[0]) > 1 {
			unit = h
		}
		var want []float64
		for n := range steps {
			for _, x := range c[min(n, len(c)-1)] {
				want = append(want, float64(n)*unit+x*h)
			}
		}
		st, v := stepper(t, m, steps), &counted{Vector: NewVector(logistic, []float64{0.3})}
		advance(t, st, v, m, 0, steps)
		if !slices.EqualFunc(v.times, want, func(a, b float64) bool { return math.Abs(a-b) <= 2*eps*b }) {
			t.Errorf("%s: gradients at %v, want %v", k, v.times, want)
		}
		last := c[len(c)-1]
		if m.Evals() != len(last) || m.Registers() != st.Registers() || m.Time(3) != 3*unit {
			t.Errorf("%s: %d evaluations, %d registers, output 3 at time %g", k, m.Evals(), m.Registers(), m.Time(3))
		}
	}
}

// TestStability: on the scalar problem ∇ = −λθ with weight decay, every method with fixed steps stays bounded at all
// learning rates below its limit and grows without bound just above, whatever its momentum; adaptive methods decay at
// all of them.
func TestStability(t *testing.T) {
	const lambda, margin = 1.7, 4e-3
	for _, k := range Kinds(nil) {
		for _, mu := range []float64{0, 0.3, 0.9} {
			for _, decay := range []float64{0, 0.6} {
				m := Method{Kind: k, Momentum: mu, WeightDecay: decay}
				if mu != 0 && !m.TakesMomentum() {
					continue
				}
				limit := m.StabilityLimit(lambda)
				// The end of a long run from 1, in which a factor of 1 ± margin/100 a step would show.
				run := func(eta float64, steps int) float64 {
					m.LearningRate = eta
					out, err := Solve(func(_ float64, dst, y []float64) { dst[0] = -lambda * y[0] }, []float64{1}, 0, m, steps)
					if err != nil { // overflow
						return math.Inf(1)
					}
					return math.Abs(out[steps][0])
				}
				if m.IsAdaptive() {
					if !math.IsInf(limit, 1) || run(50/lambda, 20) > 1e-3 {
						t.Errorf("%s: limit %g", k, limit)
					}
					continue
				}
				const steps = 8_000
				for _, x := range []float64{0.05, 0.3, 0.6, 0.9, 1 - margin} {
					if y := run(x*limit, steps); y > 1e-3 {
						t.Errorf("%s, μ = %g, decay %g: %.2g at %g of the limit", k, mu, decay, y, x)
					}
				}
				if y := run((1+margin)*limit, steps); y < 1e3 {
					t.Errorf("%s, μ = %g, decay %g: %.2g above the limit", k, mu, decay, y)
				}
			}
		}
	}
	// Real intervals of stability as in Hairer & Wanner II, sections IV.2 and V.1.
	for k, want := range map[Kind]float64{"": 2, AB2: 1, AB3: 6. / 11, AB4: 3. / 10, RK4: 2.785293563405282} {
		if got := (Method{Kind: k}).StabilityLimit(1); math.Abs(got-want) > 4*eps*want {
			t.Errorf("%q: %.17g, want %.17g", k, got, want)
		}
	}
}

// TestZeroMethod: a Method with nothing but a learning rate is gradient descent, also in saved states.
func TestZeroMethod(t *testing.T) {
	zero, named := Method{LearningRate: 0.3}, Method{Kind: GD, LearningRate: 0.3}
	a, b := stepper(t, zero, 5), stepper(t, named, 5)
	advance(t, a, NewVector(logistic, []float64{1}), zero, 0, 3)
	if err := b.SetState(a.State()); err != nil {
		t.Error(err)
	}
	x, y := solve(t, logistic, []float64{1}, 0, zero, 5), solve(t, logistic, []float64{1}, 0, named, 5)
	if x[5][0] != y[5][0] || zero.IsFlow() || zero.Kind.Formula() != named.Kind.Formula() {
		t.Errorf("%v and %v", x[5], y[5])
	}
}

// TestKinds: names are unique, every method says what it does, and only gradient descent is plain.
func TestKinds(t *testing.T) {
	for i, k := range Kinds(nil) {
		m := Method{Kind: k, Momentum: 0.4}
		if k.number() != i || k.Formula() == "" {
			t.Errorf("%s: number %d, formula %q", k, k.number(), k.Formula())
		}
		if m.IsPlain() != (k == GD) || m.TakesMomentum() != (k == Momentum || k == Nesterov) ||
			m.IsAdaptive() != (k == RK45) {
			t.Errorf("%s: plain %v, momentum %v, adaptive %v", k, m.IsPlain(), m.TakesMomentum(), m.IsAdaptive())
		}
	}
	if !(Method{}).IsPlain() || Kind("adam").Formula() != "" {
		t.Error("the method without a name, or one that does not exist")
	}
}
