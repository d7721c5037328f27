package arch

import (
	"encoding/gob"
	"math"

	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/part"
)

// Leaf is a State whose registers are plain arrays: weights with a fixed number of components for every neuron or site,
// such as input weights, readouts and biases.
type Leaf[T field.Float] struct {
	regs []field.Mat[T]
	data [][]T   // of regs
	unit float64 // of the absolute tolerance of Error
}

// NewLeaf returns a leaf of rows×cols registers, of which there is one, zero.
func NewLeaf[T field.Float](rows, cols int) *Leaf[T] {
	l := &Leaf[T]{unit: 1}
	l.set([]field.Mat[T]{field.New[T](rows, cols)})
	return l
}

func (l *Leaf[T]) set(regs []field.Mat[T]) {
	l.regs, l.data = regs, l.data[:0]
	for _, m := range regs {
		l.data = append(l.data, m.Data)
	}
}

// At is register r.
func (l *Leaf[T]) At(r int) field.Mat[T] { return l.regs[r] }

// Reserve implements field.State.
func (l *Leaf[T]) Reserve(n int) {
	for len(l.regs) < n {
		m := field.New[T](l.regs[0].Rows, l.regs[0].Cols)
		l.regs, l.data = append(l.regs, m), append(l.data, m.Data)
	}
}

// Combine implements field.State, one pass over memory for every register that takes part.
func (l *Leaf[T]) Combine(dst int, c []float64) { la.Combine(dst, c, l.data) }

// Error implements field.State.
func (l *Leaf[T]) Error(e, a, b int, atol, rtol float64) (float64, int) {
	return ErrorSum(l.data[e], l.data[a], l.data[b], atol*l.unit, rtol), len(l.data[e])
}

// ErrorSum is Σ (e/(atol + rtol·max(|a|,|b|)))², the sum that field.State.Error returns.
func ErrorSum[T field.Float](e, a, b []T, atol, rtol float64) float64 {
	s := 0.
	for i, v := range e {
		q := float64(v) / (atol + rtol*math.Max(math.Abs(float64(a[i])), math.Abs(float64(b[i]))))
		s += q * q
	}
	return s
}

// Save implements field.Keeper.
func (l *Leaf[T]) Save(enc *gob.Encoder) error {
	for _, m := range l.regs { // one by one: an encoder keeps what it encodes
		if err := enc.Encode(m); err != nil {
			return err
		}
	}
	return nil
}

// Load implements field.Keeper, for as many registers as there are.
func (l *Leaf[T]) Load(dec *gob.Decoder) error {
	for i, old := range l.regs {
		var m field.Mat[T]
		if err := dec.Decode(&m); err != nil {
			return err
		}
		if !m.Fills(old.Rows, old.Cols) {
			return part.ErrMisfit
		}
		l.regs[i], l.data[i] = m, m.Data
	}
	return nil
}

// Dense is the field.Matrix of a finite network.
type Dense[T field.Float] struct{ Leaf[T] }

// NewDense returns a Dense matrix from the elements of W/√N, which it keeps.
func NewDense[T field.Float](w field.Mat[T]) *Dense[T] {
	// W/√N has elements of order 1/√N, so the absolute tolerance is scaled with them.
	d := &Dense[T]{Leaf[T]{unit: 1 / math.Sqrt(float64(w.Cols))}}
	d.set([]field.Mat[T]{w})
	return d
}

// Mul implements field.Matrix.
func (d *Dense[T]) Mul(r int, dst, x field.Mat[T]) { la.Gemm(la.N, la.N, 1, d.regs[r], x, 0, dst) }

// MulT implements field.Matrix.
func (d *Dense[T]) MulT(r int, dst, y field.Mat[T]) { la.Gemm(la.T, la.N, 1, d.regs[r], y, 0, dst) }

// AddOuter implements field.Matrix.
func (d *Dense[T]) AddOuter(r int, beta, a float64, y, x field.Mat[T]) {
	w := d.regs[r]
	la.Gemm(la.N, la.T, T(a/float64(w.Cols)), y, x, T(beta), w)
}

// Err implements field.Matrix.
func (d *Dense[T]) Err() error { return nil }
