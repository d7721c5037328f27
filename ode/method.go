package ode

import (
	"fmt"
	"math"
	"strings"
)

// Kind names an optimiser or an integrator of the gradient flow. The empty name is that of [GD].
type Kind string

// A scheme is what a method is: coefficients that answer for its capabilities and can be run. A family of schemes is a
// type: row (optimisers), adams, tableau.
type scheme interface {
	flow() bool     // integrates the gradient flow instead of making discrete steps
	adaptive() bool // chooses its steps by the gradients
	momentum() bool // depends on μ
	accuracy() int  // the order of, in the step
	evals() int     // evaluations of the gradient per output; at least as many when adaptive
	// limit is the largest ηx at which θ stays bounded when ∇ = −xθ without weight decay, and when ∇ = 0 with weight
	// decay x.
	limit(mu float64) (gradient, decay float64)
	stepper(m Method, steps int) Stepper // of a valid method
}

// methods are all there are. The place in the table is the number in saved states: append only.
var methods = [...]struct {
	kind    Kind
	formula string
	scheme
}{
	{GD, "θ ← (1−ηλ)θ + η∇", gd},
	{Momentum, "v ← μv + ∇, θ ← (1−ηλ)θ + ηv", heavyBall},
	{Nesterov, "v ← μv + ∇, θ ← (1−ηλ)θ + η(∇ + μv)", nesterov},
	{AB2, "Adams–Bashforth of order 2", ab2},
	{AB3, "Adams–Bashforth of order 3", ab3},
	{AB4, "Adams–Bashforth of order 4", ab4},
	{RK4, "classical Runge–Kutta", classicalRK4},
	{RK45, "Dormand–Prince 5(4) with step rejection", dormandPrince},
}

// Kinds are the names of the methods that have a capability, such as [Method.IsFlow]; nil is all of them.
func Kinds(has func(Method) bool) (k []Kind) {
	for _, e := range methods {
		if has == nil || has(Method{Kind: e.kind}) {
			k = append(k, e.kind)
		}
	}
	return k
}

// number is the place of a kind in the table, or −1.
func (k Kind) number() int {
	for i, e := range methods {
		if e.kind == k || k == "" && e.kind == GD {
			return i
		}
	}
	return -1
}

// Formula is what a method does in a few words or signs; empty for one that does not exist.
func (k Kind) Formula() string {
	if i := k.number(); i >= 0 {
		return methods[i].formula
	}
	return ""
}

// A Method is one optimiser or integrator with its parameters, all in the equations of the package comment. The zero
// value is gradient descent, of which only the LearningRate must still be given. What a caller needs to know of a
// method it asks for; a Kind that does not exist answers like gradient descent until Validate refuses it.
type Method struct {
	Kind         Kind     // empty means gd
	LearningRate float64  // η; for a flow the interval of time between outputs
	Momentum     float64  // μ of the methods that take it, in [0, 1)
	WeightDecay  float64  // λ ≥ 0, decoupled
	Tolerance    float64  // relative and absolute error per step of adaptive methods; 0 means 1e-6
	Schedule     Schedule // of the learning rate; optimisers only
}

// DefaultTolerance is the tolerance of adaptive methods when none is given.
const DefaultTolerance = 1e-6

func (m Method) scheme() scheme { return methods[max(m.Kind.number(), 0)].scheme }

// IsFlow says whether the method integrates the gradient flow rather than making discrete steps. Only discrete steps
// have mini-batches, fresh points and schedules.
func (m Method) IsFlow() bool { return m.scheme().flow() }

// IsPlain says whether every step is θ ← (1 − η_nλ)θ + η_n∇, with nothing remembered.
func (m Method) IsPlain() bool {
	r, ok := m.scheme().(row)
	return ok && r(m.Momentum) == coefficients{a: 1}
}

// IsAdaptive says whether the method chooses its steps by the gradients, within its Tolerance.
func (m Method) IsAdaptive() bool { return m.scheme().adaptive() }

// TakesMomentum says whether the method has a Momentum.
func (m Method) TakesMomentum() bool { return m.scheme().momentum() }

// Order is the declared order of accuracy in the step for the gradient flow; the optimisers are Euler steps, of order
// 1.
func (m Method) Order() int { return m.scheme().accuracy() }

// Time is the time of output n, which [System] is told: n steps of an optimiser, nη of a flow.
func (m Method) Time(n int) float64 {
	if m.IsFlow() {
		return float64(n) * m.LearningRate
	}
	return float64(n)
}

// Rate is η_n, the learning rate of step n = 0 … steps−1 by its schedule.
func (m Method) Rate(n, steps int) float64 { return m.LearningRate * m.Schedule.Rate(n, steps) }

// Registers is how many registers a [Stepper] of the method uses, register 0 included.
func (m Method) Registers() int { return m.scheme().stepper(m, 0).Registers() }

// Evals is how many gradients the method evaluates between two outputs; adaptive methods evaluate at least so many.
func (m Method) Evals() int { return m.scheme().evals() }

// StabilityLimit is the learning rate above which the method diverges where ∇ = −λθ with λ ≥ 0, in the presence of its
// WeightDecay λ_w and whatever its own LearningRate is:
//
//	gd                       2/(λ + λ_w)
//	momentum                 2(1 + μ)/(λ + (1 + μ)λ_w)
//	nesterov                 2(1 + μ)/((1 + 2μ)λ + (1 + μ)λ_w)
//	flows with fixed steps   the real interval of stability, 2.785 for rk4, over λ + λ_w
//
// Adaptive methods have none, +Inf. A learning rate with a schedule is compared at its largest.
func (m Method) StabilityLimit(lambda float64) float64 {
	if m.IsAdaptive() {
		return math.Inf(1)
	}
	gradient, decay := m.scheme().limit(m.Momentum)
	return gradient / (lambda + m.WeightDecay*(gradient/decay))
}

// Validate says what is wrong with a method.
func (m Method) Validate() error {
	if m.Kind.number() < 0 {
		return fmt.Errorf("ode: unknown method %q; use one of %s", m.Kind, list(Kinds(nil)))
	}
	if !(m.LearningRate > 0) || math.IsInf(m.LearningRate, 0) {
		return fmt.Errorf("ode: learning rate %g must be positive and finite", m.LearningRate)
	}
	if !(m.Momentum >= 0 && m.Momentum < 1) {
		return fmt.Errorf("ode: momentum %g must be in [0, 1)", m.Momentum)
	}
	if m.Momentum != 0 && !m.TakesMomentum() {
		return fmt.Errorf("ode: momentum %g is for the methods %s, not %s", m.Momentum, list(Kinds(Method.TakesMomentum)),
			methods[m.Kind.number()].kind)
	}
	if !(m.WeightDecay >= 0) || math.IsInf(m.WeightDecay, 0) {
		return fmt.Errorf("ode: weight decay %g must be finite and not negative", m.WeightDecay)
	}
	if m.Tolerance != 0 && !(m.Tolerance >= 1e-14 && m.Tolerance < 1) {
		return fmt.Errorf("ode: tolerance %g must be in [1e-14, 1)", m.Tolerance)
	}
	if err := m.Schedule.validate(); err != nil {
		return err
	}
	if m.IsFlow() && !m.Schedule.IsConstant() {
		return fmt.Errorf("ode: %s integrates a flow, which has no learning-rate schedule", m.Kind)
	}
	return nil
}

// list joins names.
func list[T ~string](names []T) string {
	s := make([]string, len(names))
	for i, n := range names {
		s[i] = string(n)
	}
	return strings.Join(s, ", ")
}
