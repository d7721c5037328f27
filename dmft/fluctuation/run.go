package fluctuation

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/ode"
)

// runBlocks runs blocks of sites, whose members start makes, and returns what each gives.
func runBlocks[R any](ctx context.Context, set Settings, blocks, steps int,
	start func(block int, w *ensemble.Watch) (ensemble.Member[R], error)) ([]R, error) {
	r := ensemble.Runner[R]{Settings: set.runner(), Batches: blocks, Steps: steps}
	r.Start = func(_ context.Context, b int, w *ensemble.Watch) (ensemble.Member[R], error) { return start(b, w) }
	done, err := r.Run(ctx)
	err = dmft.AsStop(err)
	var stop *dmft.StopError
	if errors.As(err, &stop) {
		stop.Status.Advice = "fluctuations are computed again from their start when the same command is given again"
	}
	return done, err
}

// runner are the settings of the runner of blocks.
func (set Settings) runner() ensemble.Settings {
	return ensemble.Settings{Workers: set.Workers, Progress: set.Progress}
}

// member is a block in training.
type member struct {
	method      ode.Method
	st          ode.Stepper
	sys         ode.System
	predictions func() []float64 // of the last Eval
	record      func(n int)
	result      func() *block
}

// newMember makes the member of a system, to which its functions are to be added.
func newMember(p *dmft.Problem, sys ode.System) (*member, error) {
	st, err := ode.NewStepper(p.Training.Method, p.Training.Steps)
	if err != nil {
		return nil, fmt.Errorf("fluctuation: training: %w", err)
	}
	sys.Reserve(st.Registers())
	return &member{method: p.Training.Method, st: st, sys: sys}, nil
}

// Observe implements ensemble.Member.
func (m *member) Observe(n int) (ok bool, err error) {
	m.sys.Eval(0, m.method.Time(n))
	for _, v := range m.predictions() {
		if math.IsNaN(v) || math.Abs(v) > 1e8 {
			return false, fmt.Errorf("fluctuation: the predictions reach %g at step %d: the training diverges; "+
				"use a smaller learning rate or richness", v, n)
		}
	}
	m.record(n)
	return true, nil
}

// Step implements ensemble.Member.
func (m *member) Step(n int) (ok bool, err error) {
	if err := m.st.Step(m.sys, n); err != nil {
		return false, fmt.Errorf("fluctuation: step %d: %w", n, err)
	}
	return true, nil
}

// Result implements ensemble.Member.
func (m *member) Result(ensemble.Position) *block { return m.result() }

// single is a block that is done in one step.
type single[R any] struct {
	do  func() (R, error)
	out R
}

// Observe implements ensemble.Member.
func (s *single[R]) Observe(int) (ok bool, err error) {
	s.out, err = s.do()
	return err == nil, err
}

// Step implements ensemble.Member.
func (*single[R]) Step(int) (ok bool, err error) { return true, nil }

// Result implements ensemble.Member.
func (s *single[R]) Result(ensemble.Position) R { return s.out }
