//go:build openblas && cgo

package openblas

/*
#cgo LDFLAGS: -lopenblas
#include <cblas.h>

extern void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
*/
import "C"

import (
	"runtime"
	"unsafe"

	"github.com/seed39b58f2d/dmft/internal/blas/args"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// Threads gives OpenBLAS as many threads as GOMAXPROCS.
func Threads() { C.openblas_set_num_threads(C.int(runtime.GOMAXPROCS(0))) }

// Potrf is OpenBLAS's own Cholesky factorisation of the upper or lower triangle.
func Potrf(upper bool, n int, a []float64, lda int) (ok bool) {
	var info C.int
	uplo, order, ld := C.char('U'), C.int(n), C.int(lda)
	if upper {
		uplo = 'L' // the upper triangle by rows is the lower by columns
	}
	C.dpotrf_(&uplo, &order, (*C.double)(unsafe.Pointer(&a[0])), &ld, &info)
	for i := range n {
		if d := a[i*lda+i]; d != d {
			return false // it does not stop at a NaN, which spreads to the diagonal
		}
	}
	return info == 0
}

// Implementation passes the routines of this package to OpenBLAS; the rest is gonum's.
type Implementation struct{ gonum.Implementation }

func pd(x []float64) *C.double { return (*C.double)(unsafe.Pointer(unsafe.SliceData(x))) }
func ps(x []float32) *C.float  { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func cTrans(t blas.Transpose) uint32 {
	if t == blas.NoTrans {
		return C.CblasNoTrans
	}
	return C.CblasTrans
}

func cUplo(u blas.Uplo) uint32 {
	if u == blas.Upper {
		return C.CblasUpper
	}
	return C.CblasLower
}

func cSide(s blas.Side) uint32 {
	if s == blas.Left {
		return C.CblasLeft
	}
	return C.CblasRight
}

func cDiag(d blas.Diag) uint32 {
	if d == blas.Unit {
		return C.CblasUnit
	}
	return C.CblasNonUnit
}

func (o Implementation) Dgemm(tA, tB blas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64,
	ldb int, beta float64, c []float64, ldc int) {
	if !args.Gemm(tA, tB, m, n, k, len(a), lda, len(b), ldb, len(c), ldc) {
		o.Implementation.Dgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	C.cblas_dgemm(C.CblasRowMajor, cTrans(tA), cTrans(tB), C.blasint(m), C.blasint(n), C.blasint(k), C.double(alpha),
		pd(a), C.blasint(lda), pd(b), C.blasint(ldb), C.double(beta), pd(c), C.blasint(ldc))
}

func (o Implementation) Dsyrk(ul blas.Uplo, t blas.Transpose, n, k int, alpha float64, a []float64, lda int,
	beta float64, c []float64, ldc int) {
	if !args.Syrk(ul, t, n, k, len(a), lda, len(c), ldc) {
		o.Implementation.Dsyrk(ul, t, n, k, alpha, a, lda, beta, c, ldc)
		return
	}
	C.cblas_dsyrk(C.CblasRowMajor, cUplo(ul), cTrans(t), C.blasint(n), C.blasint(k), C.double(alpha),
		pd(a), C.blasint(lda), C.double(beta), pd(c), C.blasint(ldc))
}

func (o Implementation) Dsymm(s blas.Side, ul blas.Uplo, m, n int, alpha float64, a []float64, lda int, b []float64,
	ldb int, beta float64, c []float64, ldc int) {
	if !args.Symm(s, ul, m, n, len(a), lda, len(b), ldb, len(c), ldc) {
		o.Implementation.Dsymm(s, ul, m, n, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	C.cblas_dsymm(C.CblasRowMajor, cSide(s), cUplo(ul), C.blasint(m), C.blasint(n), C.double(alpha),
		pd(a), C.blasint(lda), pd(b), C.blasint(ldb), C.double(beta), pd(c), C.blasint(ldc))
}

func (o Implementation) Dtrsm(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int, alpha float64,
	a []float64, lda int, b []float64, ldb int) {
	if !args.Triangular(s, ul, t, d, m, n, len(a), lda, len(b), ldb) {
		o.Implementation.Dtrsm(s, ul, t, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	C.cblas_dtrsm(C.CblasRowMajor, cSide(s), cUplo(ul), cTrans(t), cDiag(d), C.blasint(m), C.blasint(n), C.double(alpha),
		pd(a), C.blasint(lda), pd(b), C.blasint(ldb))
}

func (o Implementation) Dtrmm(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int, alpha float64,
	a []float64, lda int, b []float64, ldb int) {
	if !args.Triangular(s, ul, t, d, m, n, len(a), lda, len(b), ldb) {
		o.Implementation.Dtrmm(s, ul, t, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	C.cblas_dtrmm(C.CblasRowMajor, cSide(s), cUplo(ul), cTrans(t), cDiag(d), C.blasint(m), C.blasint(n), C.double(alpha),
		pd(a), C.blasint(lda), pd(b), C.blasint(ldb))
}

func (o Implementation) Dgemv(t blas.Transpose, m, n int, alpha float64, a []float64, lda int, x []float64, incX int,
	beta float64, y []float64, incY int) {
	if !args.Gemv(t, m, n, len(a), lda, len(x), incX, len(y), incY) {
		o.Implementation.Dgemv(t, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	C.cblas_dgemv(C.CblasRowMajor, cTrans(t), C.blasint(m), C.blasint(n), C.double(alpha),
		pd(a), C.blasint(lda), pd(x), C.blasint(incX), C.double(beta), pd(y), C.blasint(incY))
}

func (o Implementation) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, b []float32,
	ldb int, beta float32, c []float32, ldc int) {
	if !args.Gemm(tA, tB, m, n, k, len(a), lda, len(b), ldb, len(c), ldc) {
		o.Implementation.Sgemm(tA, tB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	C.cblas_sgemm(C.CblasRowMajor, cTrans(tA), cTrans(tB), C.blasint(m), C.blasint(n), C.blasint(k), C.float(alpha),
		ps(a), C.blasint(lda), ps(b), C.blasint(ldb), C.float(beta), ps(c), C.blasint(ldc))
}

func (o Implementation) Ssyrk(ul blas.Uplo, t blas.Transpose, n, k int, alpha float32, a []float32, lda int,
	beta float32, c []float32, ldc int) {
	if !args.Syrk(ul, t, n, k, len(a), lda, len(c), ldc) {
		o.Implementation.Ssyrk(ul, t, n, k, alpha, a, lda, beta, c, ldc)
		return
	}
	C.cblas_ssyrk(C.CblasRowMajor, cUplo(ul), cTrans(t), C.blasint(n), C.blasint(k), C.float(alpha),
		ps(a), C.blasint(lda), C.float(beta), ps(c), C.blasint(ldc))
}

func (o Implementation) Ssymm(s blas.Side, ul blas.Uplo, m, n int, alpha float32, a []float32, lda int, b []float32,
	ldb int, beta float32, c []float32, ldc int) {
	if !args.Symm(s, ul, m, n, len(a), lda, len(b), ldb, len(c), ldc) {
		o.Implementation.Ssymm(s, ul, m, n, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	C.cblas_ssymm(C.CblasRowMajor, cSide(s), cUplo(ul), C.blasint(m), C.blasint(n), C.float(alpha),
		ps(a), C.blasint(lda), ps(b), C.blasint(ldb), C.float(beta), ps(c), C.blasint(ldc))
}

func (o Implementation) Strsm(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int, alpha float32,
	a []float32, lda int, b []float32, ldb int) {
	if !args.Triangular(s, ul, t, d, m, n, len(a), lda, len(b), ldb) {
		o.Implementation.Strsm(s, ul, t, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	C.cblas_strsm(C.CblasRowMajor, cSide(s), cUplo(ul), cTrans(t), cDiag(d), C.blasint(m), C.blasint(n), C.float(alpha),
		ps(a), C.blasint(lda), ps(b), C.blasint(ldb))
}

func (o Implementation) Strmm(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int, alpha float32,
	a []float32, lda int, b []float32, ldb int) {
	if !args.Triangular(s, ul, t, d, m, n, len(a), lda, len(b), ldb) {
		o.Implementation.Strmm(s, ul, t, d, m, n, alpha, a, lda, b, ldb)
		return
	}
	C.cblas_strmm(C.CblasRowMajor, cSide(s), cUplo(ul), cTrans(t), cDiag(d), C.blasint(m), C.blasint(n), C.float(alpha),
		ps(a), C.blasint(lda), ps(b), C.blasint(ldb))
}

func (o Implementation) Sgemv(t blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int,
	beta float32, y []float32, incY int) {
	if !args.Gemv(t, m, n, len(a), lda, len(x), incX, len(y), incY) {
		o.Implementation.Sgemv(t, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	C.cblas_sgemv(C.CblasRowMajor, cTrans(t), C.blasint(m), C.blasint(n), C.float(alpha),
		ps(a), C.blasint(lda), ps(x), C.blasint(incX), C.float(beta), ps(y), C.blasint(incY))
}
