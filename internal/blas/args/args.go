// Package args checks the arguments of the routines that internal/blas and internal/blas/openblas replace. It accepts
// what there is something to do for; what it rejects is passed to gonum, which panics with its message or returns.
package args

import "gonum.org/v1/gonum/blas"

func transposeOK(t blas.Transpose) bool {
	return t == blas.NoTrans || t == blas.Trans || t == blas.ConjTrans
}

func fits(rows, cols, length, ld int) bool { return ld >= cols && length >= (rows-1)*ld+cols }

// Gemm accepts the arguments of Gemm.
func Gemm(tA, tB blas.Transpose, m, n, k, la, lda, lb, ldb, lc, ldc int) bool {
	if !transposeOK(tA) || !transposeOK(tB) || m <= 0 || n <= 0 || k <= 0 {
		return false
	}
	ra, ca, rb, cb := m, k, k, n
	if tA != blas.NoTrans {
		ra, ca = ca, ra
	}
	if tB != blas.NoTrans {
		rb, cb = cb, rb
	}
	return fits(ra, ca, la, lda) && fits(rb, cb, lb, ldb) && fits(m, n, lc, ldc)
}

// Syrk accepts the arguments of Syrk.
func Syrk(ul blas.Uplo, t blas.Transpose, n, k, la, lda, lc, ldc int) bool {
	if !transposeOK(t) || ul != blas.Lower && ul != blas.Upper || n <= 0 || k < 0 {
		return false
	}
	if t != blas.NoTrans {
		return fits(k, n, la, lda) && fits(n, n, lc, ldc)
	}
	return fits(n, k, la, lda) && fits(n, n, lc, ldc)
}

func order(s blas.Side, m, n int) int {
	if s == blas.Left {
		return m
	}
	return n
}

// Symm accepts the arguments of Symm.
func Symm(s blas.Side, ul blas.Uplo, m, n, la, lda, lb, ldb, lc, ldc int) bool {
	if s != blas.Left && s != blas.Right || ul != blas.Lower && ul != blas.Upper || m <= 0 || n <= 0 {
		return false
	}
	na := order(s, m, n)
	return fits(na, na, la, lda) && fits(m, n, lb, ldb) && fits(m, n, lc, ldc)
}

// Triangular accepts the arguments of Trsm and Trmm.
func Triangular(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n, la, lda, lb, ldb int) bool {
	if s != blas.Left && s != blas.Right || ul != blas.Lower && ul != blas.Upper || !transposeOK(t) ||
		d != blas.Unit && d != blas.NonUnit || m <= 0 || n <= 0 {
		return false
	}
	na := order(s, m, n)
	return fits(na, na, la, lda) && fits(m, n, lb, ldb)
}

// Gemv accepts the arguments of Gemv.
func Gemv(t blas.Transpose, m, n, la, lda, lx, incX, ly, incY int) bool {
	if !transposeOK(t) || m <= 0 || n <= 0 || incX == 0 || incY == 0 {
		return false
	}
	nx, ny := n, m
	if t != blas.NoTrans {
		nx, ny = m, n
	}
	return fits(m, n, la, lda) && lx > (nx-1)*abs(incX) && ly > (ny-1)*abs(incY)
}

func abs(i int) int {
	if i < 0 {
		return -i
	}
	return i
}
