package blas

import "gonum.org/v1/gonum/blas"

func order(s blas.Side, m, n int) int {
	if s == blas.Left {
		return m
	}
	return n
}

func gemm[T real](ks *kernels[T], tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T,
	c []T, ldc int) {
	p := product[T]{m: m, n: n, k: k, alpha: alpha, beta: beta, a: a, b: b, c: c, ldc: ldc}
	p.rsa, p.csa = strides(tA != blas.NoTrans, lda)
	p.rsb, p.csb = strides(tB != blas.NoTrans, ldb)
	ks.multiply(&p)
}

func side(ul blas.Uplo) elements {
	if ul == blas.Upper {
		return upper
	}
	return lower
}

func syrk[T real](ks *kernels[T], ul blas.Uplo, t blas.Transpose, n, k int, alpha T, a []T, lda int, beta T, c []T,
	ldc int) {
	p := product[T]{m: n, n: n, k: k, alpha: alpha, beta: beta, a: a, b: a, c: c, ldc: ldc, part: side(ul)}
	p.rsa, p.csa = strides(t != blas.NoTrans, lda)
	p.rsb, p.csb = p.csa, p.rsa
	ks.multiply(&p)
}

func triangle[T real](ks *kernels[T], solve bool, s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int,
	alpha T, a []T, lda int, b []T, ldb int) {
	if alpha == 0 {
		scale(m, n, 0, b, ldb, all)
		return
	}
	q := triangular[T]{solve: solve, right: s == blas.Right, n: m, rhs: n,
		lower: (ul == blas.Lower) == (t == blas.NoTrans),
		unit:  d == blas.Unit, alpha: alpha, a: a, b: b, ldb: ldb}
	if q.right {
		q.n, q.rhs = n, m
	}
	q.rs, q.cs = strides(t != blas.NoTrans, lda)
	ks.triangle(&q)
}

const symmRows = 256 // rows of a symmetric matrix that are written out at a time

// symm writes out a band of rows of the symmetric matrix after another and multiplies it as a general matrix.
func symm[T real](ks *kernels[T], s blas.Side, ul blas.Uplo, m, n int, alpha T, a []T, lda int, b []T, ldb int, beta T,
	c []T, ldc int) {
	if alpha == 0 {
		scale(m, n, beta, c, ldc, all)
		return
	}
	na := order(s, m, n)
	ws := ks.workspace()
	for i := 0; i < na; i += symmRows {
		h := min(symmRows, na-i)
		ld := na + 64/sizeof[T]()
		t := grow(&ws.x, h*ld)
		for r := range h {
			if ul == blas.Upper {
				copy(t[r*ld+i+r:r*ld+na], a[(i+r)*lda+i+r:])
			} else {
				copy(t[r*ld:r*ld+i+r+1], a[(i+r)*lda:])
			}
		}
		// Element (r, l) on the other side is a(l, r): whole blocks, then the two sides of the diagonal block.
		if ul == blas.Upper {
			ks.transposed(t, ld, a[i:], lda, i, h)
		} else if rest := na - i - h; rest > 0 {
			ks.transposed(t[i+h:], ld, a[(i+h)*lda+i:], lda, rest, h)
		}
		for r := range h {
			for l := range r {
				if ul == blas.Upper {
					t[r*ld+i+l] = a[(i+l)*lda+i+r]
				} else {
					t[l*ld+i+r] = a[(i+r)*lda+i+l]
				}
			}
		}
		p := product[T]{alpha: alpha, beta: beta, ldc: ldc, k: na}
		if s == blas.Left {
			p.m, p.n, p.a, p.rsa, p.csa = h, n, t, ld, 1
			p.b, p.rsb, p.csb, p.c = b, ldb, 1, c[i*ldc:]
		} else {
			p.m, p.n, p.a, p.rsa, p.csa = m, h, b, ldb, 1
			p.b, p.rsb, p.csb, p.c = t, 1, ld, c[i:]
		}
		ks.multiply(&p)
	}
	ks.release(ws)
}
