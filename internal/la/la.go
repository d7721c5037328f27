// Package la is the narrow waist between the numerics of this module and gonum's BLAS: row-major matrices of either
// float type and the few products the solvers make, all through blas64 and blas32, so that whichever
// implementation is registered there serves everything.
//
// Results do not depend on GOMAXPROCS as long as the registered BLAS has that property (gonum's does: each block of
// a product is summed in one fixed order).
package la

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"

	"github.com/seed39b58f2d/dmft/dmft/field"
)

// Float is a precision in which networks are trained.
type Float = field.Float

// Mat is a row-major matrix.
type Mat[T Float] = field.Mat[T]

// New returns a zero r×c matrix.
func New[T Float](r, c int) Mat[T] { return field.New[T](r, c) }

// Transpose says which operand of a product is transposed.
type Transpose = blas.Transpose

// The two values of Transpose.
const (
	N = blas.NoTrans
	T = blas.Trans
)

// Gemm sets c ← alpha·op(a)·op(b) + beta·c.
func Gemm[F Float](ta, tb Transpose, alpha F, a, b Mat[F], beta F, c Mat[F]) {
	if c.Rows == 0 || c.Cols == 0 {
		return
	}
	switch ad := any(a.Data).(type) {
	case []float64:
		blas64.Gemm(ta, tb, float64(alpha), general64(a, ad), general64(b, any(b.Data).([]float64)), float64(beta),
			general64(c, any(c.Data).([]float64)))
	case []float32:
		blas32.Gemm(ta, tb, float32(alpha), general32(a, ad), general32(b, any(b.Data).([]float32)), float32(beta),
			general32(c, any(c.Data).([]float32)))
	}
}

// Gemv sets y ← alpha·op(a)·x + beta·y.
func Gemv[F Float](ta Transpose, alpha F, a Mat[F], x []F, beta F, y []F) {
	GemvInc(ta, alpha, a, x, 1, beta, y, 1)
}

// GemvInc is Gemv on vectors with increments: column j of a row-major matrix m is (m.Data[j:], m.Stride).
func GemvInc[F Float](ta Transpose, alpha F, a Mat[F], x []F, incX int, beta F, y []F, incY int) {
	nx, ny := a.Cols, a.Rows
	if ta != N {
		nx, ny = ny, nx
	}
	switch ad := any(a.Data).(type) {
	case []float64:
		blas64.Gemv(ta, float64(alpha), general64(a, ad), blas64.Vector{N: nx, Data: any(x).([]float64), Inc: incX},
			float64(beta), blas64.Vector{N: ny, Data: any(y).([]float64), Inc: incY})
	case []float32:
		blas32.Gemv(ta, float32(alpha), general32(a, ad), blas32.Vector{N: nx, Data: any(x).([]float32), Inc: incX},
			float32(beta), blas32.Vector{N: ny, Data: any(y).([]float32), Inc: incY})
	}
}

// Axpy sets y ← y + alpha·x.
func Axpy[F Float](alpha F, x, y []F) {
	switch xd := any(x).(type) {
	case []float64:
		blas64.Axpy(float64(alpha), blas64.Vector{N: len(xd), Data: xd, Inc: 1},
			blas64.Vector{N: len(xd), Data: any(y).([]float64), Inc: 1})
	case []float32:
		blas32.Axpy(float32(alpha), blas32.Vector{N: len(xd), Data: xd, Inc: 1},
			blas32.Vector{N: len(xd), Data: any(y).([]float32), Inc: 1})
	}
}

func general64[F Float](m Mat[F], d []float64) blas64.General {
	return blas64.General{Rows: m.Rows, Cols: m.Cols, Stride: max(m.Stride, 1), Data: d}
}

func general32[F Float](m Mat[F], d []float32) blas32.General {
	return blas32.General{Rows: m.Rows, Cols: m.Cols, Stride: max(m.Stride, 1), Data: d}
}

// Convert copies src into dst of another precision.
func Convert[A, B Float](dst []A, src []B) {
	for i, v := range src {
		dst[i] = A(v)
	}
}

// Combine sets regs[self] ← Σ_j c[j]·regs[j] over j with c[j] ≠ 0, one pass over memory for each.
func Combine[F Float](self int, c []float64, regs [][]F) {
	dst := regs[self]
	s := 0.
	if self < len(c) {
		s = c[self]
	}
	switch s {
	case 0:
		clear(dst)
	case 1:
	default:
		for i := range dst {
			dst[i] *= F(s)
		}
	}
	for j, cj := range c {
		if j != self && cj != 0 {
			Axpy(F(cj), regs[j], dst)
		}
	}
}
