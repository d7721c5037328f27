package blas

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/lapack"
	lapackgonum "gonum.org/v1/gonum/lapack/gonum"
)

const cholBlock = 128 // order of what is factored strip by strip; the rest is triangular solves and products

// Lapack is gonum's LAPACK with the Cholesky factorisation of this package. NewLapack makes one.
type Lapack struct {
	lapackgonum.Implementation
	potrf func(upper bool, n int, a []float64, lda int) bool
}

// NewLapack returns the LAPACK that goes with a set of kernels. It panics if Available does not list the set.
func NewLapack(s Set) lapack.Float64 {
	switch b := New(s).(type) {
	case Implementation:
		ks := b.f64
		return Lapack{potrf: func(upper bool, n int, a []float64, lda int) bool {
			ws := ks.workspace()
			defer ks.release(ws)
			if upper {
				return cholesky(ks, ws, n, a, lda)
			}
			return choleskyLower(ks, ws, n, a, lda)
		}}
	default:
		if s == OpenBLAS {
			return Lapack{potrf: openBLASPotrf}
		}
		return lapackgonum.Implementation{}
	}
}

// Dpotrf computes the Cholesky factorisation A = UᵀU or A = L·Lᵀ of a symmetric matrix, of which one triangle is read
// and overwritten, and reports whether it is positive definite. When it is not, the triangle holds an unfinished
// factorisation.
func (l Lapack) Dpotrf(ul blas.Uplo, n int, a []float64, lda int) (ok bool) {
	if ul != blas.Upper && ul != blas.Lower || n <= 0 || lda < n || len(a) < (n-1)*lda+n {
		return l.Implementation.Dpotrf(ul, n, a, lda)
	}
	return l.potrf(ul == blas.Upper, n, a, lda)
}

// cholesky factors the upper triangle, recursively: what lies beside the factor of the leading half is solved for, and
// its square taken from the trailing half.
func cholesky(ks *kernels[float64], ws *workspace[float64], n int, a []float64, lda int) bool {
	if n <= cholBlock {
		return choleskyBlock(ks, ws, n, a, lda)
	}
	h := ceil(n, 2*cholBlock) * cholBlock
	if !cholesky(ks, ws, h, a, lda) {
		return false
	}
	b, rest := a[h:], a[h*lda+h:]
	ks.triangle(&triangular[float64]{solve: true, n: h, rhs: n - h, lower: true, alpha: 1, a: a, rs: 1, cs: lda, b: b,
		ldb: lda})
	ks.multiply(&product[float64]{m: n - h, n: n - h, k: h, alpha: -1, beta: 1, a: b, rsa: 1, csa: lda, b: b, rsb: lda,
		csb: 1, c: rest, ldc: lda, part: upper})
	return cholesky(ks, ws, n-h, rest, lda)
}

// choleskyLower is the same for the lower triangle. Blocks are factored as their transpose.
func choleskyLower(ks *kernels[float64], ws *workspace[float64], n int, a []float64, lda int) bool {
	if n <= cholBlock {
		t := grow(&ws.x, n*cholBlock)
		ks.transposed(t, cholBlock, a, lda, n, n)
		ok := choleskyBlock(ks, ws, n, t, cholBlock)
		for i := range n {
			for j := range a[i*lda : i*lda+i+1] {
				a[i*lda+j] = t[j*cholBlock+i]
			}
		}
		return ok
	}
	h := ceil(n, 2*cholBlock) * cholBlock
	if !choleskyLower(ks, ws, h, a, lda) {
		return false
	}
	b, rest := a[h*lda:], a[h*lda+h:]
	ks.triangle(&triangular[float64]{solve: true, right: true, n: h, rhs: n - h, alpha: 1, a: a, rs: 1, cs: lda, b: b,
		ldb: lda})
	ks.multiply(&product[float64]{m: n - h, n: n - h, k: h, alpha: -1, beta: 1, a: b, rsa: lda, csa: 1, b: b, rsb: 1,
		csb: lda, c: rest, ldc: lda, part: lower})
	return choleskyLower(ks, ws, n-h, rest, lda)
}

// choleskyBlock factors the upper triangle of a block strip by strip, each when all rows above it are known: the tile
// on the diagonal, then all to its right by the kernel of triangular solves. The rows that do not fill a strip come
// first, so that vectors are whole.
func choleskyBlock(ks *kernels[float64], ws *workspace[float64], n int, a []float64, lda int) bool {
	const ld = cholBlock
	d := grow(&ws.b, n*ld) // the transpose of the factor, with the reciprocals of the diagonal
	tile := grow(&ws.tile, ks.strip*ks.strip)
	for i0 := 0; i0 < n; {
		m := n % ks.strip
		if i0 > 0 || m == 0 {
			m = ks.strip
		}
		row := d[i0*ld:]
		ks.transposed(row, ld, a[i0:], lda, i0, m)
		for i := range m {
			copy(tile[i*m+i:(i+1)*m], a[(i0+i)*lda+i0+i:])
		}
		if i0 > 0 {
			ks.gemm[1](m, i0, &row[0], ld, 1, 0, &a[i0], lda, &tile[0], m, -1, 1, m)
		}
		ok := factorTile(tile, m, row[i0:], ld)
		for i := range m {
			copy(a[(i0+i)*lda+i0+i:(i0+i)*lda+i0+m], tile[i*m+i:])
		}
		if !ok {
			return false
		}
		for j := i0 + m; j < n; j += ks.panel() {
			w := min(ks.panel(), n-j)
			v := ks.vectors(w)
			if m == ks.strip {
				ks.trsm[v](i0, &row[0], ld, &a[j], lda, &a[i0*lda+j], 1, w)
				continue
			}
			for i := range m { // the first rows
				c := a[i*lda+j : i*lda+j+w]
				ks.gemm[v](1, i, &row[i*ld], ld, 1, 0, &a[j], lda, &c[0], lda, -1, 1, w)
				for l := range c {
					c[l] *= row[i*ld+i]
				}
			}
		}
		i0 += m
	}
	return true
}

// factorTile factors an m×m tile and writes its transpose, with the reciprocals of the diagonal, to d.
func factorTile(t []float64, m int, d []float64, ld int) bool {
	for i := range m {
		p := t[i*m+i]
		if !(p > 0) {
			return false
		}
		root := math.Sqrt(p)
		inv := 1 / root
		t[i*m+i] = root
		d[i*ld+i] = inv
		for j := i + 1; j < m; j++ {
			u := t[i*m+j] * inv
			t[i*m+j] = u
			d[j*ld+i] = u
		}
		for k := i + 1; k < m; k++ {
			u := t[i*m+k]
			for j := k; j < m; j++ {
				t[k*m+j] -= u * t[i*m+j]
			}
		}
	}
	return true
}
