package blas

import (
	"github.com/seed39b58f2d/dmft/internal/blas/args"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// Implementation is gonum's BLAS with the routines of this package in place of its own. New makes one.
type Implementation struct {
	gonum.Implementation
	f64 *kernels[float64]
	f32 *kernels[float32]
}

// Dgemm computes C ← alpha·op(A)·op(B) + beta·C.
func (im Implementation) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64,
	ldb int, beta float64, c []float64, ldc int) {
	if !args.Gemm(tA, tB, m, n, k, len(a), lda, len(b), ldb, len(c), ldc) {
		im.Implementation.Dgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	gemm(im.f64, tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Dsyrk computes one triangle of C ← alpha·A·Aᵀ + beta·C or alpha·Aᵀ·A + beta·C.
func (im Implementation) Dsyrk(ul blas.Uplo, t blas.Transpose, n, k int, alpha float64, a []float64, lda int,
	beta float64, c []float64, ldc int) {
	if !args.Syrk(ul, t, n, k, len(a), lda, len(c), ldc) {
		im.Implementation.Dsyrk(ul, t, n, k, alpha, a, lda, beta, c, ldc)
		return
	}
	syrk(im.f64, ul, t, n, k, alpha, a, lda, beta, c, ldc)
}

// Dsymm computes C ← alpha·A·B + beta·C or alpha·B·A + beta·C with a symmetric A, of which one triangle is read.
func (im Implementation) Dsymm(s blas.Side, ul blas.Uplo, m, n int, alpha float64, a []float64, lda int, b []float64,
	ldb int, beta float64, c []float64, ldc int) {
	if !args.Symm(s, ul, m, n, len(a), lda, len(b), ldb, len(c), ldc) {
		im.Implementation.Dsymm(s, ul, m, n, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	symm(im.f64, s, ul, m, n, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Dtrsm computes B ← alpha·op(A)⁻¹·B or alpha·B·op(A)⁻¹ with a triangular A.
func (im Implementation) Dtrsm(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int, alpha float64,
	a []float64, lda int, b []float64, ldb int) {
	if !args.Triangular(s, ul, t, d, m, n, len(a), lda, len(b), ldb) {
		im.Implementation.Dtrsm(s, ul, t, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	triangle(im.f64, true, s, ul, t, d, m, n, alpha, a, lda, b, ldb)
}

// Dtrmm computes B ← alpha·op(A)·B or alpha·B·op(A) with a triangular A.
func (im Implementation) Dtrmm(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int, alpha float64,
	a []float64, lda int, b []float64, ldb int) {
	if !args.Triangular(s, ul, t, d, m, n, len(a), lda, len(b), ldb) {
		im.Implementation.Dtrmm(s, ul, t, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	triangle(im.f64, false, s, ul, t, d, m, n, alpha, a, lda, b, ldb)
}

// Dgemv computes y ← alpha·op(A)·x + beta·y.
func (im Implementation) Dgemv(t blas.Transpose, m, n int, alpha float64, a []float64, lda int, x []float64, incX int,
	beta float64, y []float64, incY int) {
	if alpha == 0 || !args.Gemv(t, m, n, len(a), lda, len(x), incX, len(y), incY) {
		im.Implementation.Dgemv(t, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	im.f64.gemv(t != blas.NoTrans, m, n, alpha, a, lda, x, incX, beta, y, incY)
}
