package ode

import (
	"errors"
	"fmt"
	"math"
)

// A Stepper moves a System by one Method.
type Stepper interface {
	// Registers is how many registers the method uses, register 0 included.
	Registers() int
	// Step advances register 0 from output n to output n+1. The caller has just called Eval(0, t) there: t = n for
	// optimisers, n·η for flows.
	Step(sys System, n int) error
	// State is everything outside the registers that a resumed run needs to go on bit for bit; SetState restores it.
	State() []float64
	SetState([]float64) error
	// Stats counts the work done so far.
	Stats() Stats
}

// Stats counts the work of a Stepper.
type Stats struct {
	Steps    int // accepted steps
	Rejected int // rejected steps
	Evals    int // gradient evaluations, those of the caller before each output included
}

// NewStepper returns the stepper of a method for a run of the given number of outputs (which schedules need).
func NewStepper(m Method, steps int) (Stepper, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if m.Tolerance == 0 {
		m.Tolerance = DefaultTolerance
	}
	switch m.Kind {
	case RK4:
		return newRungeKutta(m, classicalRK4), nil
	case RK45:
		return newRungeKutta(m, dormandPrince), nil
	case AB2, AB3, AB4:
		return newAdamsBashforth(m, m.Order()), nil
	}
	return &optimiser{Method: m, steps: steps, c2: make([]float64, 2)}, nil
}

// optimiser is gradient descent with or without a velocity in register 1.
type optimiser struct {
	Method
	steps int
	stats Stats
	c2    []float64
}

func (o *optimiser) Registers() int {
	if o.Kind == GD {
		return 1
	}
	return 2
}

func (o *optimiser) Step(sys System, n int) error {
	eta := o.LearningRate * o.Schedule.Rate(n, o.steps)
	keep := 1 - eta*o.WeightDecay
	switch o.Kind {
	case GD:
		sys.Accumulate(0, keep, eta)
	case Momentum:
		sys.Accumulate(1, o.Momentum, 1)
		o.c2[0], o.c2[1] = keep, eta
		sys.Combine(0, o.c2)
	case Nesterov:
		sys.Accumulate(1, o.Momentum, 1)
		sys.Accumulate(0, keep, eta)
		o.c2[0], o.c2[1] = 1, eta*o.Momentum
		sys.Combine(0, o.c2)
	}
	o.stats.Steps++
	o.stats.Evals++
	return nil
}

func (o *optimiser) State() []float64 { return []float64{float64(o.stats.Steps)} }

func (o *optimiser) SetState(s []float64) error {
	if len(s) != 1 {
		return errState
	}
	o.stats = Stats{Steps: int(s[0]), Evals: int(s[0])}
	return nil
}

func (o *optimiser) Stats() Stats { return o.stats }

var errState = errors.New("ode: the saved state is of another method")

// A tableau is an explicit Runge–Kutta method: stages k_i = F(t + c_i h, θ + h Σ_j a_ij k_j), result θ + h Σ b_i k_i, and
// the difference e of an embedded solution for error control. With fsal the last stage is the first one of the next step.
type tableau struct {
	order int
	a     [][]float64
	b, c  []float64
	e     []float64
	fsal  bool
}

// classicalRK4 is Kutta's method (1901), order 4.
var classicalRK4 = tableau{
	order: 4,
	a:     [][]float64{{}, {1. / 2}, {0, 1. / 2}, {0, 0, 1}},
	b:     []float64{1. / 6, 1. / 3, 1. / 3, 1. / 6},
	c:     []float64{0, 1. / 2, 1. / 2, 1},
}

// dormandPrince is the 5(4) pair of Dormand & Prince (J. Comp. Appl. Math. 6, 1980, 19).
var dormandPrince = tableau{
	order: 5,
	a: [][]float64{
		{},
		{1. / 5},
		{3. / 40, 9. / 40},
		{44. / 45, -56. / 15, 32. / 9},
		{19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
		{9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
		{35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84},
	},
	b:    []float64{35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84, 0},
	c:    []float64{0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1},
	e:    []float64{71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40},
	fsal: true,
}

// rungeKutta runs a tableau, adaptively when it has an embedded error. Registers: 0 the state, 1 the trial state,
// 2… the stages, then the error.
type rungeKutta struct {
	Method
	tab   tableau
	h     float64 // proposed step, 0 before the first
	stats Stats
	coef  []float64
}

func newRungeKutta(m Method, tab tableau) *rungeKutta {
	r := &rungeKutta{Method: m, tab: tab}
	r.coef = make([]float64, r.Registers())
	return r
}

// maxTries bounds the internal steps between two outputs.
const maxTries = 20000

func (r *rungeKutta) adaptive() bool { return r.tab.e != nil }

func (r *rungeKutta) Registers() int {
	n := 2 + len(r.tab.b)
	if r.adaptive() {
		n++
	}
	return n
}

// field keeps the vector field ∇ − λθ of the last Eval, made at register at, in a stage register.
func field(sys System, m Method, stage, at int, coef []float64) {
	sys.Accumulate(stage, 0, 1)
	if m.WeightDecay != 0 {
		clear(coef)
		coef[stage], coef[at] = 1, -m.WeightDecay
		sys.Combine(stage, coef)
	}
}

// try computes one step of size h from time t into register 1; stage 0 is known.
func (r *rungeKutta) try(sys System, t, h float64) {
	for i := 1; i < len(r.tab.b); i++ {
		r.combine(sys, 1, h, r.tab.a[i])
		sys.Eval(1, t+r.tab.c[i]*h)
		r.stats.Evals++
		field(sys, r.Method, 2+i, 1, r.coef)
	}
	if !r.tab.fsal { // otherwise the last stage was evaluated at the result
		r.combine(sys, 1, h, r.tab.b)
	}
}

// combine sets dst ← θ + h Σ_j w_j k_j.
func (r *rungeKutta) combine(sys System, dst int, h float64, w []float64) {
	clear(r.coef)
	r.coef[0] = 1
	for j, v := range w {
		r.coef[2+j] = h * v
	}
	sys.Combine(dst, r.coef)
}

func (r *rungeKutta) Step(sys System, n int) error {
	t0, end := float64(n)*r.LearningRate, float64(n+1)*r.LearningRate
	t := t0
	r.stats.Evals++
	field(sys, r.Method, 2, 0, r.coef)
	if !r.adaptive() {
		r.try(sys, t, end-t)
		r.accept(sys)
		return nil
	}
	if r.h == 0 {
		r.h = end - t
	}
	errReg := 2 + len(r.tab.b)
	power := 1 / float64(r.tab.order)
	for tries := 1; ; tries++ {
		if tries > maxTries {
			return fmt.Errorf("ode: rk45 needs more than %d steps between times %g and %g to meet tolerance %g (at %g now); loosen the tolerance, or use rk4 if the field has kinks", maxTries, t0, end, r.Tolerance, t)
		}
		h, last := r.h, false
		if t+h*(1+1e-10) >= end {
			h, last = end-t, true
		}
		r.try(sys, t, h)
		clear(r.coef)
		for j, v := range r.tab.e {
			r.coef[2+j] = h * v
		}
		sys.Combine(errReg, r.coef)
		norm := sys.ErrorNorm(errReg, 0, 1, r.Tolerance, r.Tolerance)
		factor := 0.2
		if !math.IsNaN(norm) {
			factor = math.Min(5, math.Max(0.2, 0.9*math.Pow(norm, -power)))
		}
		if norm <= 1 {
			r.accept(sys)
			// A step cut short to land on an output says little about longer ones.
			if !last || h*factor > r.h || factor < 1 {
				r.h = h * factor
			}
			if last {
				return nil
			}
			t += h
			clear(r.coef)
			r.coef[2+len(r.tab.b)-1] = 1
			sys.Combine(2, r.coef)
			continue
		}
		r.stats.Rejected++
		r.h = h * math.Min(factor, 0.9)
		if r.h < 1e-10*r.LearningRate {
			return fmt.Errorf("ode: rk45 cannot meet tolerance %g at time %g: the step fell to %.2g", r.Tolerance, t, r.h)
		}
	}
}

// accept makes the trial state the state.
func (r *rungeKutta) accept(sys System) {
	clear(r.coef)
	r.coef[1] = 1
	sys.Combine(0, r.coef)
	r.stats.Steps++
}

func (r *rungeKutta) State() []float64 {
	return []float64{r.h, float64(r.stats.Steps), float64(r.stats.Rejected), float64(r.stats.Evals)}
}

func (r *rungeKutta) SetState(s []float64) error {
	if len(s) != 4 {
		return errState
	}
	r.h, r.stats = s[0], Stats{Steps: int(s[1]), Rejected: int(s[2]), Evals: int(s[3])}
	return nil
}

func (r *rungeKutta) Stats() Stats { return r.stats }

// adams holds the Adams–Bashforth weights of orders 2 to 4, newest gradient first.
var adams = map[int][]float64{
	2: {3. / 2, -1. / 2},
	3: {23. / 12, -16. / 12, 5. / 12},
	4: {55. / 24, -59. / 24, 37. / 24, -9. / 24},
}

// adamsBashforth starts with Runge–Kutta steps, so its order holds from the first output. Its past gradients are a ring of registers
// behind those of the starter.
type adamsBashforth struct {
	Method
	weights []float64
	start   *rungeKutta
	base    int // first register of the ring
	have    int // past gradients known
	stats   Stats
	coef    []float64
}

func newAdamsBashforth(m Method, order int) *adamsBashforth {
	a := &adamsBashforth{Method: m, weights: adams[order], start: newRungeKutta(m, classicalRK4)}
	a.base = a.start.Registers()
	a.coef = make([]float64, a.Registers())
	return a
}

func (a *adamsBashforth) Registers() int { return a.start.Registers() + len(a.weights) }

func (a *adamsBashforth) Step(sys System, n int) error {
	k := len(a.weights)
	ring := func(age int) int { return a.base + ((n-age)%k+k)%k }
	field(sys, a.Method, ring(0), 0, a.coef)
	a.stats.Evals++
	a.have = min(a.have+1, k)
	if a.have < k {
		// The starter wants the gradient of the last Eval, which field has left in place.
		before := a.start.stats.Evals
		if err := a.start.Step(sys, n); err != nil {
			return err
		}
		a.stats.Evals += a.start.stats.Evals - before - 1
		a.stats.Steps++
		return nil
	}
	clear(a.coef)
	a.coef[0] = 1
	for age, w := range a.weights {
		a.coef[ring(age)] = a.LearningRate * w
	}
	sys.Combine(0, a.coef)
	a.stats.Steps++
	return nil
}

func (a *adamsBashforth) State() []float64 {
	return []float64{float64(a.have), float64(a.stats.Steps), float64(a.stats.Evals)}
}

func (a *adamsBashforth) SetState(s []float64) error {
	if len(s) != 3 {
		return errState
	}
	a.have, a.stats = int(s[0]), Stats{Steps: int(s[1]), Evals: int(s[2])}
	return nil
}

func (a *adamsBashforth) Stats() Stats { return a.stats }
