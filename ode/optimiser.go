package ode

// A row is an optimiser with at most one velocity as its coefficients at momentum μ.
type row func(mu float64) coefficients

// coefficients of
//
//	v ← pv + q∇,   θ ← (1 − ηλ)θ + η(a∇ + bv)
//
// Without q there is no velocity.
type coefficients struct{ p, q, a, b float64 }

func (r row) flow() bool     { return false }
func (r row) adaptive() bool { return false }
func (r row) momentum() bool { return r(0) != r(0.5) }
func (r row) accuracy() int  { return 1 }
func (r row) evals() int     { return 1 }

// limit is where a step turns (θ, v) into (−θ, −v).
func (r row) limit(mu float64) (gradient, decay float64) {
	c := r(mu)
	return 2 * (1 + c.p) / (c.a*(1+c.p) + c.b*c.q), 2
}

func (r row) stepper(m Method, steps int) Stepper {
	return &optimiser{Method: m, coefficients: r(m.Momentum), steps: steps, coef: make([]float64, 2)}
}

// optimiser runs a row, with the velocity in register 1.
type optimiser struct {
	Method
	coefficients
	steps int
	stats Stats
	coef  []float64
}

func (o *optimiser) Registers() int {
	if o.q == 0 {
		return 1
	}
	return 2
}

func (o *optimiser) Step(sys System, n int) error {
	eta := o.Rate(n, o.steps)
	keep := 1 - eta*o.WeightDecay
	if o.q != 0 {
		sys.Accumulate(1, o.p, o.q)
	}
	if o.a != 0 {
		sys.Accumulate(0, keep, eta*o.a)
		keep = 1
	}
	if o.b != 0 {
		o.coef[0], o.coef[1] = keep, eta*o.b
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
