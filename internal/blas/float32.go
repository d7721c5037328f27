package blas

import (
	"github.com/seed39b58f2d/dmft/internal/blas/args"
	"gonum.org/v1/gonum/blas"
)

// Sgemm computes C ← alpha·op(A)·op(B) + beta·C.
func (im Implementation) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32,
	ldb int, beta float32, c []float32, ldc int) {
	if !args.Gemm(tA, tB, m, n, k, len(a), lda, len(b), ldb, len(c), ldc) {
		im.Implementation.Sgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	gemm(im.f32, tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Ssyrk computes one triangle of C ← alpha·A·Aᵀ + beta·C or alpha·Aᵀ·A + beta·C.
func (im Implementation) Ssyrk(ul blas.Uplo, t blas.Transpose, n, k int, alpha float32, a []float32, lda int,
	beta float32, c []float32, ldc int) {
	if !args.Syrk(ul, t, n, k, len(a), lda, len(c), ldc) {
		im.Implementation.Ssyrk(ul, t, n, k, alpha, a, lda, beta, c, ldc)
		return
	}
	syrk(im.f32, ul, t, n, k, alpha, a, lda, beta, c, ldc)
}

// Ssymm computes C ← alpha·A·B + beta·C or alpha·B·A + beta·C with a symmetric A, of which one triangle is read.
func (im Implementation) Ssymm(s blas.Side, ul blas.Uplo, m, n int, alpha float32, a []float32, lda int, b []float32,
	ldb int, beta float32, c []float32, ldc int) {
	if !args.Symm(s, ul, m, n, len(a), lda, len(b), ldb, len(c), ldc) {
		im.Implementation.Ssymm(s, ul, m, n, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	symm(im.f32, s, ul, m, n, alpha, a, lda, b, ldb, beta, c, ldc)
}

// Strsm computes B ← alpha·op(A)⁻¹·B or alpha·B·op(A)⁻¹ with a triangular A.
func (im Implementation) Strsm(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int, alpha float32,
	a []float32, lda int, b []float32, ldb int) {
	if !args.Triangular(s, ul, t, d, m, n, len(a), lda, len(b), ldb) {
		im.Implementation.Strsm(s, ul, t, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	triangle(im.f32, true, s, ul, t, d, m, n, alpha, a, lda, b, ldb)
}

// Strmm computes B ← alpha·op(A)·B or alpha·B·op(A) with a triangular A.
func (im Implementation) Strmm(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int, alpha float32,
	a []float32, lda int, b []float32, ldb int) {
	if !args.Triangular(s, ul, t, d, m, n, len(a), lda, len(b), ldb) {
		im.Implementation.Strmm(s, ul, t, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	triangle(im.f32, false, s, ul, t, d, m, n, alpha, a, lda, b, ldb)
}

// Sgemv computes y ← alpha·op(A)·x + beta·y.
func (im Implementation) Sgemv(t blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int,
	beta float32, y []float32, incY int) {
	if alpha == 0 || !args.Gemv(t, m, n, len(a), lda, len(x), incX, len(y), incY) {
		im.Implementation.Sgemv(t, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	im.f32.gemv(t != blas.NoTrans, m, n, alpha, a, lda, x, incX, beta, y, incY)
}
