package ode

import "errors"

// A System is a state that an explicit method can move without knowing what it is: a network of any width, a
// function on P points, a vector. The state lives in numbered registers of equal shape; register 0 is the
// current state θ, the others belong to the method (velocities, stages, past gradients).
//
// The methods of this package ask four things of it and nothing else, so every optimiser and integrator is
// a linear combination of gradients, written once.
type System interface {
	// Reserve makes at least n registers exist. New registers are zero.
	Reserve(n int)
	// Eval computes the descent direction ∇ = −∂(loss)/∂θ at register r and keeps it, in whatever form is cheap,
	// until the next Eval. t is the time (flow) or step number (optimisers) at which ∇ is wanted.
	Eval(r int, t float64)
	// Accumulate sets register dst ← beta·dst + a·∇, with ∇ of the last Eval. With beta = 0 the old content is
	// ignored (it may be NaN).
	Accumulate(dst int, beta, a float64)
	// Combine sets register dst ← Σ_j c[j]·(register j) over the j with c[j] ≠ 0; dst may be among them.
	Combine(dst int, c []float64)
	// ErrorNorm is the root mean square over all components of e/(atol + rtol·max(|a|,|b|)), where e, a and b are
	// registers. A result above 1 means that a step is rejected.
	ErrorNorm(e, a, b int, atol, rtol float64) float64
}

// A Pauser is a System that may ask a method to stop within a Step that takes long.
type Pauser interface {
	System
	// Pause asks for a stop at the next place from which the Step can go on: Step then returns ErrPaused.
	Pause() bool
	// Lost says that the state has become useless, since an Eval was given up halfway: Step returns ErrPaused at once.
	Lost() bool
}

// ErrPaused is what a Step returns that a [Pauser] has asked to stop. Between this and the next call of Step for the
// same output, with no Eval before it, state and registers may be saved and restored.
var ErrPaused = errors.New("ode: paused between two outputs")

func lost(sys System) bool {
	p, ok := sys.(Pauser)
	return ok && p.Lost()
}

func paused(sys System) bool {
	p, ok := sys.(Pauser)
	return ok && p.Pause()
}
