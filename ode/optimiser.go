package ode

// optimiser is gradient descent with or without a velocity in register 1.
type optimiser struct {
	Method
	steps int
	stats Stats
	coef  []float64
}

func newOptimiser(m Method, steps int) *optimiser {
	return &optimiser{Method: m, steps: steps, coef: make([]float64, 2)}
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
		o.coef[0], o.coef[1] = keep, eta
		sys.Combine(0, o.coef)
	case Nesterov:
		sys.Accumulate(1, o.Momentum, 1)
		sys.Accumulate(0, keep, eta)
		o.coef[0], o.coef[1] = 1, eta*o.Momentum
		sys.Combine(0, o.coef)
	}
	o.stats.Steps++
	o.stats.Evals++
	o.stats.LastStep = eta
	return nil
}

func (o *optimiser) State() []float64 { return o.stats.save(o.Kind) }

func (o *optimiser) SetState(s []float64) error {
	_, err := o.stats.load(o.Kind, s, 0)
	return err
}

func (o *optimiser) Stats() Stats { return o.stats }
