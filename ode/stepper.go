package ode

import (
	"errors"
	"math"
)

// A Stepper moves a System by one Method. It belongs to one run: it keeps history and must not be shared.
type Stepper interface {
	// Registers is how many registers the method uses, register 0 included; the caller reserves them before the first
	// Step.
	Registers() int
	// Step advances register 0 from output n to output n+1, for n = 0, 1, … in turn. The caller has just called Eval(0,
	// t) there, with t = [Method.Time](n). After an error register 0 holds the last state that was accepted. A System
	// that is a [Pauser] may make it return ErrPaused.
	Step(sys System, n int) error
	// State is everything outside the registers that a resumed run needs to go on bit for bit; SetState restores it,
	// and refuses the state of another method.
	State() []float64
	SetState([]float64) error
	// Stats counts the work done so far.
	Stats() Stats
}

// Stats counts the work of a Stepper.
type Stats struct {
	Steps    int     // accepted steps
	Rejected int     // rejected steps
	Evals    int     // gradient evaluations, those of the caller before each output included
	LastStep float64 // size of the last accepted step: η_n of an optimiser, time for a flow
}

// NewStepper returns the stepper of a method for a run of the given number of outputs (which schedules need).
func NewStepper(m Method, steps int) (Stepper, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if m.Tolerance == 0 {
		m.Tolerance = DefaultTolerance
	}
	e := methods[m.Kind.number()]
	m.Kind = e.kind // gd by its name
	return e.stepper(m, steps), nil
}

var errState = errors.New("ode: the saved state is damaged or of another method; start the run afresh, or resume it " +
	"with the method that wrote it")

// save packs what every stepper keeps, and more; load is its inverse.
func (s Stats) save(k Kind, more ...float64) []float64 {
	return append([]float64{float64(k.number()), float64(s.Steps), float64(s.Rejected), float64(s.Evals), s.LastStep},
		more...)
}

// load reads a saved state with the given number of values behind the counts, none of which is negative.
func (s *Stats) load(k Kind, state []float64, more int) ([]float64, error) {
	if len(state) != 5+more || state[0] != float64(k.number()) {
		return nil, errState
	}
	for i, x := range state {
		if !(x >= 0 && x <= math.MaxFloat64) || i < 4 && (x != math.Trunc(x) || x > 1<<53) {
			return nil, errState
		}
	}
	*s = Stats{Steps: int(state[1]), Rejected: int(state[2]), Evals: int(state[3]), LastStep: state[4]}
	return state[5:], nil
}
