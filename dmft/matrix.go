package dmft

import (
	"encoding/gob"
	"math"

	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/part"
)

// Matrix is all that training asks of a hidden weight matrix W: products with it and with its transpose, outer products
// added to it, linear combinations. A dense N×N matrix ([Dense]) makes the network a finite one. A Gaussian matrix known only through
// the products already made with it makes it infinitely wide; the loop cannot tell.
//
// Like the rest of a network's state a Matrix lives in registers (see ode.System); x and y have one column per point and
// one row per neuron. Every method takes W in the normalisation W/√N.
type Matrix[T la.Float] interface {
	// Reserve makes at least n registers exist, new ones zero.
	Reserve(n int)
	// Mul sets dst ← W_r x / √N.
	Mul(r int, dst, x la.Mat[T])
	// MulT sets dst ← W_rᵀ y / √N.
	MulT(r int, dst, y la.Mat[T])
	// AddOuter sets W_r/√N ← beta·W_r/√N + a·y xᵀ/N; x is the first columns of the last Mul's x.
	AddOuter(r int, beta, a float64, y, x la.Mat[T])
	// Combine sets W_dst ← Σ_j c[j] W_j.
	Combine(dst int, c []float64)
	// Error returns the sum over elements of (e/(atol + rtol·max(|a|,|b|)))² for registers e, a, b, and their number.
	Error(e, a, b int, atol, rtol float64) (sum float64, n int)
	// Err is the first error of a product, nil for a matrix that cannot fail.
	Err() error
	// Save and Load keep and restore every register, bit for bit.
	Save(enc *gob.Encoder) error
	Load(dec *gob.Decoder) error
}

// Hidden are the hidden matrices W¹ … W^{L−1} of one replica, and what they share that must be kept with them.
type Hidden[T la.Float] struct {
	Matrices []Matrix[T]
	Shared   []interface {
		Save(enc *gob.Encoder) error
		Load(dec *gob.Decoder) error
	}
}

// Dense is the Matrix of a finite network.
type Dense[T la.Float] struct {
	regs []la.Mat[T]
	data [][]T // of regs
}

// NewDense returns a Dense matrix from the N×N elements of W/√N, which it keeps.
func NewDense[T la.Float](w la.Mat[T]) *Dense[T] {
	return &Dense[T]{regs: []la.Mat[T]{w}, data: [][]T{w.Data}}
}

// Reserve implements Matrix.
func (d *Dense[T]) Reserve(n int) {
	for len(d.regs) < n {
		w := la.New[T](d.regs[0].Rows, d.regs[0].Cols)
		d.regs, d.data = append(d.regs, w), append(d.data, w.Data)
	}
}

// Mul implements Matrix.
func (d *Dense[T]) Mul(r int, dst, x la.Mat[T]) { la.Gemm(la.N, la.N, 1, d.regs[r], x, 0, dst) }

// MulT implements Matrix.
func (d *Dense[T]) MulT(r int, dst, y la.Mat[T]) { la.Gemm(la.T, la.N, 1, d.regs[r], y, 0, dst) }

// AddOuter implements Matrix.
func (d *Dense[T]) AddOuter(r int, beta, a float64, y, x la.Mat[T]) {
	w := d.regs[r]
	la.Gemm(la.N, la.T, T(a/float64(w.Rows)), y, x, T(beta), w)
}

// Combine implements Matrix.
func (d *Dense[T]) Combine(dst int, c []float64) {
	la.Combine(dst, c, d.data)
}

// Error implements Matrix. W/√N has elements of order 1/√N, so the absolute tolerance is scaled with them.
func (d *Dense[T]) Error(e, a, b int, atol, rtol float64) (float64, int) {
	scale := 1 / math.Sqrt(float64(d.regs[0].Rows))
	return errorSum(d.regs[e].Data, d.regs[a].Data, d.regs[b].Data, atol*scale, rtol), len(d.regs[e].Data)
}

// Err implements Matrix.
func (d *Dense[T]) Err() error { return nil }

// Save implements Matrix.
func (d *Dense[T]) Save(enc *gob.Encoder) error {
	for _, w := range d.regs { // one by one: an encoder keeps what it encodes
		if err := enc.Encode(w); err != nil {
			return err
		}
	}
	return nil
}

// Load implements Matrix.
func (d *Dense[T]) Load(dec *gob.Decoder) error {
	for i, old := range d.regs {
		var w la.Mat[T]
		if err := dec.Decode(&w); err != nil {
			return err
		}
		if !w.Fills(old.Rows, old.Cols) {
			return part.ErrMisfit
		}
		d.regs[i], d.data[i] = w, w.Data
	}
	return nil
}

func errorSum[T la.Float](e, a, b []T, atol, rtol float64) float64 {
	s := 0.
	for i, v := range e {
		q := float64(v) / (atol + rtol*math.Max(math.Abs(float64(a[i])), math.Abs(float64(b[i]))))
		s += q * q
	}
	return s
}
