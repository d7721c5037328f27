package la

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// Syrk sets the upper triangle of c ← alpha·op(a)·op(a)ᵀ + beta·c: Gram matrices of rows, with T of columns.
func Syrk[F Float](t Transpose, alpha F, a Mat[F], beta F, c Mat[F]) {
	if c.Rows == 0 {
		return
	}
	switch ad := any(a.Data).(type) {
	case []float64:
		blas64.Syrk(t, float64(alpha), general64(a, ad), float64(beta),
			blas64.Symmetric{N: c.Rows, Stride: c.Stride, Data: any(c.Data).([]float64), Uplo: blas.Upper})
	case []float32:
		blas32.Syrk(t, float32(alpha), general32(a, ad), float32(beta),
			blas32.Symmetric{N: c.Rows, Stride: c.Stride, Data: any(c.Data).([]float32), Uplo: blas.Upper})
	}
}

// Cholesky replaces the upper triangle of a positive definite matrix by its factor U, A = UᵀU, and reports false when
// the matrix is not positive definite or has a NaN. The lower triangle is neither read nor written.
func Cholesky(a Mat[float64]) bool { return CholeskyExtend(a, 0) }

// CholeskyExtend is Cholesky for a matrix of which the leading n×n block holds its factor already and the further
// columns hold the matrix itself: rows and columns appended to a factored matrix.
//
//	U₁₂ = U₁₁⁻ᵀA₁₂,   U₂₂ᵀU₂₂ = A₂₂ − U₁₂ᵀU₁₂
func CholeskyExtend(a Mat[float64], n int) bool {
	if a.Rows != a.Cols || n < 0 || n > a.Rows {
		panic(fmt.Sprintf("la: a %d×%d matrix with a factor of order %d", a.Rows, a.Cols, n))
	}
	if n == a.Rows {
		return true
	}
	rest := a.Slice(n, a.Rows, n, a.Rows)
	if n > 0 {
		beside := a.Slice(0, n, n, a.Rows)
		blas64.Trsm(blas.Left, blas.Trans, 1, upper(a.Slice(0, n, 0, n)), general64(beside, beside.Data))
		Syrk(T, -1, beside, 1, rest)
	}
	_, ok := lapack64.Potrf(blas64.Symmetric{N: rest.Rows, Stride: rest.Stride, Data: rest.Data, Uplo: blas.Upper})
	return ok
}

func upper(a Mat[float64]) blas64.Triangular {
	return blas64.Triangular{N: a.Rows, Stride: a.Stride, Data: a.Data, Uplo: blas.Upper, Diag: blas.NonUnit}
}

// Whiten sets z ← z·R⁻¹ and r ← R, upper triangular with RᵀR = zᵀz/S, for the S rows of z: columns orthonormal in the
// mean over rows. It reports false, z unchanged, when their covariance is not positive definite. This is one pass of
// Cholesky QR, which loses digits in proportion to the squared condition number of z.
func Whiten(z, r Mat[float64]) bool {
	if r.Rows != z.Cols || r.Cols != z.Cols {
		panic(fmt.Sprintf("la: a factor of %d×%d for %d columns", r.Rows, r.Cols, z.Cols))
	}
	if z.Cols == 0 {
		return true
	}
	Syrk(T, 1/float64(z.Rows), z, 0, r)
	if !Cholesky(r) {
		return false
	}
	blas64.Trsm(blas.Right, blas.NoTrans, 1, upper(r), general64(z, z.Data))
	return true
}

// QR replaces the columns of a tall matrix by orthonormal ones, zᵀz = S·1 over the S rows, and sets r to the upper
// triangular R that gives the old as z·R (zeros below). It is Cholesky QR twice (Yamamoto et al., Electron. Trans.
// Numer. Anal. 44 (2015) 306): orthogonal to rounding for condition numbers up to 1e7, and false, with z lost, when the
// columns are dependent or nearly so.
func QR(z, r Mat[float64]) bool {
	w := scratch.Get().(*[]float64)
	defer scratch.Put(w)
	second := square(w, z.Cols)
	if !Whiten(z, r) || !Whiten(z, second) || !nearOne(second) {
		return false
	}
	if z.Cols == 0 {
		return true
	}
	for i := range r.Rows {
		clear(r.Row(i)[:i])
	}
	blas64.Trmm(blas.Left, blas.NoTrans, 1, upper(second), general64(r, r.Data))
	return true
}

// Orthonormalise makes the columns of z orthonormal over its S rows, zᵀz = S·1, orthogonal to the columns of q, which
// already are orthonormal and may be none, and with centred also to the constant. It is block Gram–Schmidt with
// Cholesky QR, twice, and reports false, with z lost, when columns are dependent or nearly so.
func Orthonormalise(z, q Mat[float64], centred bool) bool {
	if q.Cols > 0 && q.Rows != z.Rows {
		panic(fmt.Sprintf("la: columns over %d rows beside columns over %d", z.Rows, q.Rows))
	}
	w := scratch.Get().(*[]float64)
	defer scratch.Put(w)
	r := square(w, z.Cols)
	for range 2 {
		Deflate(z, q)
		if centred {
			Centre(z)
		}
		if !Whiten(z, r) {
			return false
		}
	}
	return nearOne(r)
}

// nearOne says of the factor of the second pass whether the first was good enough for two to do: it is within 0.1 of
// one for condition numbers up to 1e7, and far from it when columns that depend on the others were made of rounding.
func nearOne(r Mat[float64]) bool {
	for i := range r.Rows {
		for j, v := range r.Row(i)[i:] {
			if j == 0 {
				v--
			}
			if !(math.Abs(v) < 0.5) {
				return false
			}
		}
	}
	return true
}

// Deflate sets z ← z − q·(qᵀz/S): what is orthogonal over the S rows to the orthonormal columns of q, up to rounding of
// the size of what is removed.
func Deflate(z, q Mat[float64]) {
	if q.Cols == 0 || z.Cols == 0 {
		return
	}
	w := scratch.Get().(*[]float64)
	c := Mat[float64]{Rows: q.Cols, Cols: z.Cols, Stride: z.Cols, Data: extend(w, q.Cols*z.Cols)}
	Gemm(T, N, 1/float64(z.Rows), q, z, 0, c)
	Gemm(N, N, -1, q, c, 1, z)
	scratch.Put(w)
}

// Centre subtracts from each column its mean.
func Centre(z Mat[float64]) {
	w := scratch.Get().(*[]float64)
	mean := extend(w, z.Cols)
	clear(mean)
	// Most often there are a few columns, too few for a call per row.
	for i := range z.Rows {
		for j, v := range z.Row(i) {
			mean[j] += v
		}
	}
	for j := range mean {
		mean[j] /= float64(z.Rows)
	}
	for i := range z.Rows {
		row := z.Row(i)
		for j, m := range mean {
			row[j] -= m
		}
	}
	scratch.Put(w)
}

var scratch = sync.Pool{New: func() any { return new([]float64) }}

func extend(w *[]float64, n int) []float64 {
	if cap(*w) < n {
		*w = make([]float64, n+n/4)
	}
	return (*w)[:n]
}

func square(w *[]float64, n int) Mat[float64] {
	return Mat[float64]{Rows: n, Cols: n, Stride: n, Data: extend(w, n*n)}
}

// Moderate multiplies numbers by a power of two that makes the largest one, if it is finite, about one, and returns 1
// over that power; it leaves alone what is between 2^±400, and returns 1. It is for eigenvalue routines: gonum's Dsterf
// panics on matrices that are so large or so small that it has to scale them by itself.
func Moderate(x []float64) float64 {
	most := 0.
	for _, v := range x {
		most = math.Max(most, math.Abs(v)) // NaN if one is
	}
	if !(most > 0) || math.IsInf(most, 0) {
		return 1
	}
	_, e := math.Frexp(most)
	if -400 < e && e < 400 {
		return 1
	}
	for i, v := range x {
		x[i] = math.Ldexp(v, -e)
	}
	return math.Ldexp(1, e)
}

// Bytes is an estimate of memory as a whole number: the largest there is for more than that, and for what is no number.
func Bytes(x float64) int64 {
	if !(x < math.MaxInt64) {
		return math.MaxInt64
	}
	return int64(x)
}
