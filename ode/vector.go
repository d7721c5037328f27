package ode

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
)

// A Field writes the right-hand side of dy/dt = f(t, y) to dst, of the length of y. It must not change or keep y.
type Field func(t float64, dst, y []float64)

// A Vector is a System whose state is a plain vector and whose gradient is a Field.
type Vector struct {
	field Field
	regs  [][]float64
	grad  []float64
}

// NewVector returns a Vector at y0, which is copied.
func NewVector(f Field, y0 []float64) *Vector {
	return &Vector{field: f, regs: [][]float64{append([]float64(nil), y0...)}, grad: make([]float64, len(y0))}
}

// Register is the content of register r, not a copy; register 0 is the state.
func (v *Vector) Register(r int) []float64 { return v.regs[r] }

// Reserve implements System.
func (v *Vector) Reserve(n int) {
	for len(v.regs) < n {
		v.regs = append(v.regs, make([]float64, len(v.grad)))
	}
}

// Eval implements System.
func (v *Vector) Eval(r int, t float64) { v.field(t, v.grad, v.regs[r]) }

// Accumulate implements System.
func (v *Vector) Accumulate(dst int, beta, a float64) {
	scale(v.regs[dst], beta)
	floats.AddScaled(v.regs[dst], a, v.grad)
}

// Combine implements System.
func (v *Vector) Combine(dst int, c []float64) {
	own := 0.
	if dst < len(c) {
		own = c[dst]
	}
	d := v.regs[dst]
	scale(d, own)
	for j, x := range c {
		if x != 0 && j != dst {
			floats.AddScaled(d, x, v.regs[j])
		}
	}
}

// scale multiplies x by a; zero wipes out NaN as well.
func scale(x []float64, a float64) {
	switch a {
	case 0:
		clear(x)
	case 1:
	default:
		floats.Scale(a, x)
	}
}

// ErrorNorm implements System.
func (v *Vector) ErrorNorm(e, a, b int, atol, rtol float64) float64 {
	x, y, s := v.regs[a], v.regs[b], 0.
	for i, d := range v.regs[e] {
		q := d / (atol + rtol*math.Max(math.Abs(x[i]), math.Abs(y[i])))
		s += q * q
	}
	return math.Sqrt(s / float64(max(len(v.grad), 1)))
}

// Solve moves y0 from time t0 by the given number of outputs and returns all of them, the start included: row n is y at
// t0 + nη for a flow, dy/dt = f(t, y) − λy, and y after n steps for an optimiser, whose field f(t0 + n, y) is the
// direction of descent. When the integration fails or y stops being finite, it returns the rows before that and the
// error.
func Solve(f Field, y0 []float64, t0 float64, m Method, steps int) ([][]float64, error) {
	if steps < 0 {
		return nil, fmt.Errorf("ode: %d outputs asked for", steps)
	}
	if len(y0) == 0 {
		return nil, errors.New("ode: the start y0 is empty")
	}
	st, err := NewStepper(m, steps)
	if err != nil {
		return nil, err
	}
	v := NewVector(func(t float64, dst, y []float64) { f(t0+t, dst, y) }, y0)
	v.Reserve(st.Registers())
	y := v.Register(0)
	if !finite(y) {
		return nil, fmt.Errorf("ode: the start y0 = %v is not finite", y0)
	}
	out := append(make([][]float64, 0, steps+1), append([]float64(nil), y...))
	for n := range steps {
		t := m.Time(n)
		v.Eval(0, t)
		if err := st.Step(v, n); err != nil {
			return out, fmt.Errorf("ode: output %d of %d: %w", n+1, steps, err)
		}
		if !finite(y) {
			return out, fmt.Errorf("ode: y is not finite at output %d of %d, after time %g; lower the learning rate "+
				"%g, or use rk45", n+1, steps, t0+t, m.LearningRate)
		}
		out = append(out, append([]float64(nil), y...))
	}
	return out, nil
}

func finite(x []float64) bool {
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}
