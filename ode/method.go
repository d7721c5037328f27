package ode

import (
	"fmt"
	"math"
	"slices"
)

// Kind names an optimiser or an integrator of the gradient flow.
type Kind string

// The optimisers (time is the step number) and the integrators of the flow dθ/dt = ∇ − λθ.
const (
	GD       Kind = "gd"       // θ ← (1 − ηλ)θ + η∇
	Momentum Kind = "momentum" // v ← μv + ∇,  θ ← (1 − ηλ)θ + ηv
	Nesterov Kind = "nesterov" // v ← μv + ∇,  θ ← (1 − ηλ)θ + η(∇ + μv)
	AB2      Kind = "ab2"      // Adams–Bashforth of order 2
	AB3      Kind = "ab3"      // Adams–Bashforth of order 3
	AB4      Kind = "ab4"      // Adams–Bashforth of order 4
	RK4      Kind = "rk4"      // classical Runge–Kutta
	RK45     Kind = "rk45"     // Dormand–Prince 5(4) with step rejection
)

// kinds numbers the methods in saved states: append only.
var kinds = [...]Kind{GD, Momentum, Nesterov, AB2, AB3, AB4, RK4, RK45}

// A Method is one optimiser or integrator with its parameters, all in the equations of the package comment. The zero value of everything but
// Kind and LearningRate works.
type Method struct {
	Kind         Kind
	LearningRate float64  // η; for a flow the interval of time between outputs
	Momentum     float64  // μ of momentum and Nesterov, in [0, 1)
	WeightDecay  float64  // λ ≥ 0, decoupled
	Tolerance    float64  // relative and absolute error per step of RK45; 0 means 1e-6
	Schedule     Schedule // of the learning rate; optimisers only
}

// DefaultTolerance is the tolerance of RK45 when none is given.
const DefaultTolerance = 1e-6

// IsFlow says whether the method integrates the gradient flow rather than making discrete steps.
func (m Method) IsFlow() bool {
	switch m.Kind {
	case AB2, AB3, AB4, RK4, RK45:
		return true
	}
	return false
}

// Order is the declared order of accuracy in the step for the gradient flow; the optimisers are Euler steps, of order 1.
func (m Method) Order() int {
	switch m.Kind {
	case AB2:
		return 2
	case AB3:
		return 3
	case AB4, RK4:
		return 4
	case RK45:
		return 5
	}
	return 1
}

// Validate says what is wrong with a method.
func (m Method) Validate() error {
	if !slices.Contains(kinds[:], m.Kind) {
		return fmt.Errorf("ode: unknown method %q; use gd, momentum, nesterov, ab2, ab3, ab4, rk4 or rk45", m.Kind)
	}
	if !(m.LearningRate > 0) || math.IsInf(m.LearningRate, 0) {
		return fmt.Errorf("ode: learning rate %g must be positive and finite", m.LearningRate)
	}
	if !(m.Momentum >= 0 && m.Momentum < 1) {
		return fmt.Errorf("ode: momentum %g must be in [0, 1)", m.Momentum)
	}
	if m.Momentum != 0 && m.Kind != Momentum && m.Kind != Nesterov {
		return fmt.Errorf("ode: momentum %g is for the methods momentum and nesterov, not %s", m.Momentum, m.Kind)
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
	if m.IsFlow() && !m.Schedule.constant() {
		return fmt.Errorf("ode: %s integrates a flow, which has no learning-rate schedule", m.Kind)
	}
	return nil
}

// ScheduleKind names a learning-rate schedule.
type ScheduleKind string

// The schedules, as multipliers of the learning rate at step n of T; f is Final.
const (
	Constant    ScheduleKind = "constant"    // 1
	StepDecay   ScheduleKind = "step"        // Factor^⌊n/Every⌋
	Cosine      ScheduleKind = "cosine"      // f + (1 − f)(1 + cos πx)/2,  x = n/(T − 1)
	Linear      ScheduleKind = "linear"      // 1 − (1 − f)x
	Exponential ScheduleKind = "exponential" // Factor^n
)

// Schedule of a learning rate. During the first Warmup steps the rate is also multiplied by (n + 1)/(Warmup + 1), and n and T
// of the other formulas count from the end of the warm-up. The zero value is constant.
type Schedule struct {
	Kind   ScheduleKind
	Warmup int
	Every  int     // of StepDecay
	Factor float64 // of StepDecay and Exponential, in (0, 1]
	Final  float64 // of Cosine and Linear, in [0, 1]
}

func (s Schedule) constant() bool {
	return (s.Kind == "" || s.Kind == Constant) && s.Warmup == 0
}

func (s Schedule) validate() error {
	if s.Warmup < 0 {
		return fmt.Errorf("ode: schedule warm-up of %d steps", s.Warmup)
	}
	switch s.Kind {
	case "", Constant:
	case StepDecay:
		if s.Every < 1 {
			return fmt.Errorf("ode: a step schedule drops every %d steps; at least 1 is needed", s.Every)
		}
		fallthrough
	case Exponential:
		if !(s.Factor > 0 && s.Factor <= 1) {
			return fmt.Errorf("ode: schedule factor %g must be in (0, 1]", s.Factor)
		}
	case Cosine, Linear:
		if !(s.Final >= 0 && s.Final <= 1) {
			return fmt.Errorf("ode: final fraction %g of the schedule must be in [0, 1]", s.Final)
		}
	default:
		return fmt.Errorf("ode: unknown schedule %q; use constant, step, cosine, linear or exponential", s.Kind)
	}
	return nil
}

// Rate is the multiplier of the learning rate at step n = 0 … steps−1. Beyond the last step it stays at its last value, for Cosine and Linear.
func (s Schedule) Rate(n, steps int) float64 {
	if n < s.Warmup {
		return float64(n+1) / float64(s.Warmup+1)
	}
	n, steps = n-s.Warmup, steps-s.Warmup
	x := 0.
	if steps > 1 {
		x = math.Min(float64(n)/float64(steps-1), 1)
	}
	switch s.Kind {
	case StepDecay:
		return math.Pow(s.Factor, float64(n/max(s.Every, 1)))
	case Exponential:
		return math.Pow(s.Factor, float64(n))
	case Cosine:
		return s.Final + (1-s.Final)*(1+math.Cos(math.Pi*x))/2
	case Linear:
		return 1 - (1-s.Final)*x
	}
	return 1
}
