package ode

import (
	"errors"
	"slices"
	"testing"
)

// pausing is a vector that asks for a stop after every evaluation, and loses its state at one of them.
type pausing struct {
	*Vector
	evals, loseAt int
}

func (p *pausing) Pause() bool { return true }
func (p *pausing) Lost() bool  { return p.loseAt > 0 && p.evals >= p.loseAt }
func (p *pausing) Eval(r int, t float64) {
	p.evals++
	p.Vector.Eval(r, t)
}

// TestPause: a method that is paused as often as it can be, and goes on each time in new objects from the saved state
// and registers, gives the same bits and counts. One whose state is lost returns at once.
func TestPause(t *testing.T) {
	const steps = 3
	y0 := []float64{1, 2}
	m := Method{Kind: RK45, LearningRate: 2, Tolerance: 1e-9}
	whole, v := stepper(t, m, steps), NewVector(logistic, y0)
	advance(t, whole, v, m, 0, steps)

	st, p := stepper(t, m, steps), &pausing{Vector: NewVector(logistic, y0)}
	p.Reserve(st.Registers())
	pauses := 0
	for n := range steps {
		p.Eval(0, float64(n)*m.LearningRate)
		for {
			err := st.Step(p, n)
			if err == nil {
				break
			}
			if !errors.Is(err, ErrPaused) {
				t.Fatal(err)
			}
			pauses++
			next, q := stepper(t, m, steps), &pausing{Vector: NewVector(logistic, y0)}
			q.Reserve(next.Registers())
			for r := range next.Registers() {
				copy(q.Register(r), p.Register(r))
			}
			if err := next.SetState(st.State()); err != nil {
				t.Fatal(err)
			}
			st, p = next, q
		}
	}
	if !slices.Equal(p.Register(0), v.Register(0)) || st.Stats() != whole.Stats() {
		t.Errorf("%v %+v, want %v %+v", p.Register(0), st.Stats(), v.Register(0), whole.Stats())
	}
	if want := whole.Stats().Steps - steps; pauses != want {
		t.Errorf("%d pauses, want %d", pauses, want)
	}
	for _, m := range []Method{m, {Kind: RK4, LearningRate: 0.1}} {
		st, p := stepper(t, m, steps), &pausing{Vector: NewVector(logistic, y0), loseAt: 3}
		p.Reserve(st.Registers())
		p.Eval(0, 0)
		if err := st.Step(p, 0); !errors.Is(err, ErrPaused) || p.evals != 3 {
			t.Errorf("%s: %v after %d evaluations", m.Kind, err, p.evals)
		}
	}
}
