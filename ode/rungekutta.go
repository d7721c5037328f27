package ode

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
)

// A tableau is an explicit Runge–Kutta method:
//
//	k_i = F(t + c_i h, θ + h Σ_{j<i} a_ij k_j),   θ(t + h) = θ + h Σ_i b_i k_i,   error = h Σ_i e_i k_i
//
// with e the difference of the result and an embedded one of lower order, nil without step control. With fsal the last
// stage is the first one of the next step: the last row of a is b.
type tableau struct {
	order int
	a     [][]float64
	b, c  []float64
	e     []float64
	fsal  bool
}

func (t tableau) flow() bool     { return true }
func (t tableau) adaptive() bool { return t.e != nil }
func (t tableau) momentum() bool { return false }
func (t tableau) accuracy() int  { return t.order }
func (t tableau) evals() int     { return len(t.b) }

// limit is the interval of absolute stability on the real axis: the first z where |R(−z)| exceeds one.
func (t tableau) limit(float64) (gradient, decay float64) {
	const stride = 1. / 64
	hi := stride
	for math.Abs(t.growth(-hi)) <= 1 {
		hi += stride
	}
	lo := hi - stride
	for mid := (lo + hi) / 2; lo < mid && mid < hi; mid = (lo + hi) / 2 {
		if math.Abs(t.growth(-mid)) <= 1 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo, lo
}

// growth is R(z), by which a step multiplies y when hy′ = zy.
func (t tableau) growth(z float64) float64 {
	k, y := make([]float64, len(t.b)), 1.
	for i := range k {
		k[i] = z * (1 + floats.Dot(t.a[i], k[:len(t.a[i])]))
		y += t.b[i] * k[i]
	}
	return y
}

func (t tableau) stepper(m Method, _ int) Stepper { return newRungeKutta(m, t) }

// Step control: h ← h·min(maxGrow, max(maxShrink, safety·norm^{−1/order})) and no growth right after a rejection
// (Hairer, Nørsett & Wanner I, equation II.4.13).
const (
	safety    = 0.9
	maxGrow   = 5
	maxShrink = 0.2
	maxTries  = 20000 // internal steps between two outputs
	minStep   = 1e-12 // of the interval between outputs
)

// rungeKutta runs a tableau, adaptively when it has an embedded error. Registers: 0 the state, 1 the trial state, 2…
// the stages, then the error.
type rungeKutta struct {
	Method
	tab   tableau
	h     float64 // proposed step, 0 before the first
	at    float64 // time reached when paused between two outputs, or 0
	stats Stats
	coef  []float64
}

func newRungeKutta(m Method, tab tableau) *rungeKutta {
	r := &rungeKutta{Method: m, tab: tab}
	r.coef = make([]float64, r.Registers())
	return r
}

func (r *rungeKutta) Registers() int {
	n := 2 + len(r.tab.b)
	if r.tab.e != nil {
		n++
	}
	return n
}

// vectorField sets register dst ← ∇ − λ·(register at), with ∇ of the last Eval, which was made there. coef is work
// space.
func vectorField(sys System, dst, at int, decay float64, coef []float64) {
	sys.Accumulate(dst, 0, 1)
	if decay != 0 {
		clear(coef)
		coef[dst], coef[at] = 1, -decay
		sys.Combine(dst, coef)
	}
}

// try computes one step of size h from time t into register 1; stage 0 is known. It says whether it came to an end.
func (r *rungeKutta) try(sys System, t, h float64) bool {
	for i := 1; i < len(r.tab.b); i++ {
		r.combine(sys, 1, 1, h, r.tab.a[i])
		sys.Eval(1, t+r.tab.c[i]*h)
		if lost(sys) {
			return false
		}
		r.stats.Evals++
		vectorField(sys, 2+i, 1, r.WeightDecay, r.coef)
	}
	if !r.tab.fsal { // otherwise the last stage was evaluated at the result
		r.combine(sys, 1, 1, h, r.tab.b)
	}
	return true
}

// combine sets dst ← state·θ + h Σ_j w_j k_j.
func (r *rungeKutta) combine(sys System, dst int, state, h float64, w []float64) {
	clear(r.coef)
	r.coef[0] = state
	for j, v := range w {
		r.coef[2+j] = h * v
	}
	sys.Combine(dst, r.coef)
}

// move copies a register.
func (r *rungeKutta) move(sys System, dst, src int) {
	clear(r.coef)
	r.coef[src] = 1
	sys.Combine(dst, r.coef)
}

// accept makes the trial state the state.
func (r *rungeKutta) accept(sys System, h float64) {
	r.move(sys, 0, 1)
	r.stats.Steps++
	r.stats.LastStep = h
}

func (r *rungeKutta) Step(sys System, n int) error {
	t, end := r.Time(n), r.Time(n+1)
	if r.at > 0 { // the first stage is in its register
		t, r.at = r.at, 0
		return r.adapt(sys, t, end)
	}
	r.stats.Evals++
	vectorField(sys, 2, 0, r.WeightDecay, r.coef)
	if r.tab.e == nil {
		if !r.try(sys, t, r.LearningRate) {
			return ErrPaused
		}
		r.accept(sys, r.LearningRate)
		return nil
	}
	return r.adapt(sys, t, end)
}

// adapt goes from t to end in steps that meet the tolerance.
func (r *rungeKutta) adapt(sys System, t, end float64) error {
	if r.h == 0 {
		r.h = end - t
	}
	stages := len(r.tab.b)
	errReg, begin, grow := 2+stages, t, float64(maxGrow)
	for range maxTries {
		// A step that would leave a remainder of rounding size takes it along.
		h, last := r.h, false
		if t+h*(1+1e-10) >= end {
			h, last = end-t, true
		}
		if !r.try(sys, t, h) {
			return ErrPaused
		}
		r.combine(sys, errReg, 0, h, r.tab.e)
		norm := sys.ErrorNorm(errReg, 0, 1, r.Tolerance, r.Tolerance)
		factor := maxShrink // also for NaN
		if !math.IsNaN(norm) {
			factor = math.Min(grow, math.Max(maxShrink, safety*math.Pow(norm, -1/float64(r.tab.order))))
		}
		if !(norm <= 1) {
			r.stats.Rejected++
			grow = 1
			r.h = h * factor // < h, since norm > 1 makes the factor less than safety
			// Below this, t + h is no longer a different time or the run would never end.
			if r.h < math.Max(minStep*r.LearningRate, 4e-16*math.Abs(t)) {
				why := "the field changes too fast there: the flow may blow up, or the field may jump; loosen the " +
					"tolerance, stop earlier, or use rk4"
				if math.IsNaN(norm) {
					why = "the field is not finite there: the flow has blown up; stop earlier or lower the rate of growth"
				}
				return fmt.Errorf("ode: rk45 cannot meet tolerance %g at time %g, where its step fell to %.2g: %s",
					r.Tolerance, t, r.h, why)
			}
			continue
		}
		r.accept(sys, h)
		grow = maxGrow
		// A step cut short to land on an output says little about longer ones: it must not shrink the remembered step
		// unless its own error asks for it.
		if !last || factor < 1 || h*factor > r.h {
			r.h = h * factor
		}
		if last {
			return nil
		}
		t += h
		r.move(sys, 2, 2+stages-1) // first same as last
		if paused(sys) {
			r.at = t
			return ErrPaused
		}
	}
	return fmt.Errorf("ode: rk45 needs more than %d steps between times %g and %g to meet tolerance %g (at %g now): "+
		"the flow is stiff; loosen the tolerance, ask for more outputs, or use an optimiser",
		maxTries, begin, end, r.Tolerance, t)
}

func (r *rungeKutta) State() []float64 { return r.stats.save(r.Kind, r.h, r.at) }

func (r *rungeKutta) SetState(s []float64) error {
	more, err := r.stats.load(r.Kind, s, 2)
	if err != nil {
		return err
	}
	r.h, r.at = more[0], more[1]
	return nil
}

func (r *rungeKutta) Stats() Stats { return r.stats }
