// Package field holds what a network's state is made of, in the theory and at finite width alike: arrays with one row
// per neuron or site and one column per point ([Mat]), the weight matrices between them ([Matrix]), and registers that
// optimisers combine ([State]).
//
// It knows nothing of how networks are put together (package arch) or trained (package dmft). A program that brings its
// own weight matrix implements Matrix; the products of package blas64 and blas32 take a Mat's fields as they are:
//
//	blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, blas64.General(w), blas64.General(x), 0, blas64.General(dst))
package field

import "encoding/gob"

// Float is a precision in which networks are trained.
type Float interface{ float32 | float64 }

// Mat is a row-major matrix: element (i, j) is Data[i*Stride+j].
type Mat[T Float] struct {
	Rows, Cols int
	Data       []T
	Stride     int
}

// New returns a zero r×c matrix.
func New[T Float](r, c int) Mat[T] {
	return Mat[T]{Rows: r, Cols: c, Stride: c, Data: make([]T, r*c)}
}

// Row returns row i.
func (m Mat[T]) Row(i int) []T { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }

// Slice returns the view of rows [i0, i1) and columns [j0, j1). It panics when they are not there.
func (m Mat[T]) Slice(i0, i1, j0, j1 int) Mat[T] {
	if i0 < 0 || i1 < i0 || i1 > m.Rows || j0 < 0 || j1 < j0 || j1 > m.Cols {
		panic("field: slice out of range")
	}
	v := Mat[T]{Rows: i1 - i0, Cols: j1 - j0, Stride: m.Stride}
	if v.Rows > 0 && v.Cols > 0 {
		v.Data = m.Data[i0*m.Stride+j0 : (i1-1)*m.Stride+j1]
	}
	return v
}

// Zero sets every element to zero.
func (m Mat[T]) Zero() {
	if m.Cols == m.Stride {
		clear(m.Data)
		return
	}
	for i := range m.Rows {
		clear(m.Row(i))
	}
}

// Holds says whether m is an r×c matrix whose elements are all there: of matrices that come from a file, before they
// are used.
func (m Mat[T]) Holds(r, c int) bool {
	if m.Rows != r || m.Cols != c || r < 0 || c < 0 || m.Stride < c {
		return false
	}
	if r == 0 || c == 0 {
		return true
	}
	return len(m.Data) >= c && (len(m.Data)-c)/max(m.Stride, 1) >= r-1
}

// Fills says whether m is an r×c matrix of consecutive elements and nothing else.
func (m Mat[T]) Fills(r, c int) bool {
	return m.Holds(r, c) && m.Stride == c && len(m.Data) == r*c
}

// Keeper is something that a run keeps between two sessions, bit for bit.
type Keeper interface {
	Save(enc *gob.Encoder) error
	Load(dec *gob.Decoder) error
}

// State is a part of a network's weights. Like all that an [ode.System] moves it lives in numbered registers, of which
// the first holds the weights and others what an optimiser or integrator keeps beside them.
//
// [ode.System]: https://pkg.go.dev/github.com/seed39b58f2d/dmft/ode#System
type State interface {
	Keeper
	// Reserve makes at least n registers exist, new ones zero.
	Reserve(n int)
	// Combine sets register dst to Σ_j c[j]·register j.
	Combine(dst int, c []float64)
	// Error returns the sum over elements of (e/(atol + rtol·max(|a|,|b|)))² for registers e, a, b, and their number.
	Error(e, a, b int, atol, rtol float64) (sum float64, n int)
}

// Matrix is all that training asks of a wide weight matrix W of N columns: products with it and with its transpose,
// outer products added to it, linear combinations. A dense matrix (arch.Dense) makes the network a finite one. A
// Gaussian matrix known only through the products already made with it (gaussian.Matrix) makes it infinitely wide; the
// training loop cannot tell.
//
// x and y have one column per point and one row per neuron or site. Every method takes W in the normalisation W/√N.
type Matrix[T Float] interface {
	State
	// Mul sets dst ← W_r x / √N.
	Mul(r int, dst, x Mat[T])
	// MulT sets dst ← W_rᵀ y / √N.
	MulT(r int, dst, y Mat[T])
	// AddOuter sets W_r/√N ← beta·W_r/√N + a·y xᵀ/N; x is the first columns of the last Mul's x.
	AddOuter(r int, beta, a float64, y, x Mat[T])
	// Err is the first error of a product, nil for a matrix that cannot fail.
	Err() error
}
