package blas

import "runtime"

const (
	triBlock = 64  // rows solved by the fused kernel; the rest is products
	triCols  = 192 // independent columns of a task, at most
	triRows  = 96  // the same when the triangle is on the right, through a transposed copy
	trmmBase = 8   // rows multiplied one by one
)

// triangular is B ← alpha·op(A)⁻¹·B, or alpha·op(A)·B, in place, with op(A)(i,l) = a[i·rs+l·cs] of order n; with right
// set, B ← alpha·B·op(A)⁻¹ or alpha·B·op(A).
type triangular[T real] struct {
	solve, right bool
	n            int // order of the triangle
	rhs          int // the other dimension of B
	lower        bool
	unit         bool
	alpha        T
	a            []T
	rs, cs       int
	b            []T
	ldb          int
	tasks        int // sets of independent columns
	packed       []T // diagonal blocks in order of solution, with reciprocal diagonal
}

// triangle does the operation, the independent columns (or rows) of B in parallel.
func (ks *kernels[T]) triangle(q *triangular[T]) {
	size := triCols
	if q.right {
		// Transposed: op(A)ᵀ·Xᵀ = alpha·Bᵀ.
		q.rs, q.cs, q.lower = q.cs, q.rs, !q.lower
		size = triRows
	}
	ws := ks.workspace()
	if q.solve {
		ks.packTriangles(q, ws)
	}
	q.tasks = ceil(q.rhs, size)
	procs := 1
	if float64(q.n)*float64(q.n)*float64(q.rhs) >= serialWork {
		procs = runtime.GOMAXPROCS(0)
	}
	if procs > 1 {
		q.tasks = max(q.tasks, min(4*procs, ceil(q.rhs, 2*ks.panel())))
	}
	if procs == 1 || q.tasks == 1 {
		w := ks.workspace()
		for i := range q.tasks {
			q.chunk(ks, w, i)
		}
		ks.release(w)
	} else {
		t := ks.team(ofTriangle)
		t.tri = *q
		t.run(q.tasks, procs)
		ks.dismiss(t)
	}
	ks.release(ws)
}

// packTriangles copies the diagonal blocks, in the order in which they are solved (backward for an upper triangle),
// each a lower triangle of triBlock columns with the reciprocals of the diagonal.
func (ks *kernels[T]) packTriangles(q *triangular[T], ws *workspace[T]) {
	blocks := ceil(q.n, triBlock)
	q.packed = grow(&ws.x, blocks*triBlock*triBlock)
	w := 32 / sizeof[T]()
	for s0 := 0; s0 < q.n; s0 += triBlock {
		nb := min(triBlock, q.n-s0)
		d := q.packed[s0*triBlock : (s0+nb)*triBlock]
		switch {
		case q.lower && q.cs == 1:
			for i := range nb {
				copy(d[i*triBlock:i*triBlock+i+1], q.a[(s0+i)*q.rs+s0:])
			}
		case q.lower && q.rs == 1:
			src := q.a[s0*q.cs+s0:]
			full := nb / w * w
			for l := 0; l < full; l += w {
				ks.transpose(&d[l*triBlock+l], triBlock, &src[l*q.cs+l], q.cs, full-l)
			}
			for i := full; i < nb; i++ {
				for l := 0; l <= i; l++ {
					d[i*triBlock+l] = src[l*q.cs+i]
				}
			}
		default:
			i0, step := s0, 1
			if !q.lower {
				i0, step = q.n-1-s0, -1
			}
			for i := range nb {
				at := (i0+step*i)*q.rs + i0*q.cs
				for l := range d[i*triBlock : i*triBlock+i+1] {
					d[i*triBlock+l] = q.a[at+step*l*q.cs]
				}
			}
		}
		for i := range nb {
			if q.unit {
				d[i*triBlock+i] = 1
			} else {
				d[i*triBlock+i] = 1 / d[i*triBlock+i]
			}
		}
	}
}

// chunk does the i-th set of independent columns of B.
func (q *triangular[T]) chunk(ks *kernels[T], ws *workspace[T], i int) {
	r, end := share(q.rhs, ks.panel(), q.tasks, i)
	n := end - r
	if n == 0 {
		return
	}
	if !q.right {
		q.recurse(ks, ws, 0, q.n, q.alpha, q.b[r:], q.ldb, n)
		return
	}
	ld := ceil(n, ks.lanes) * ks.lanes
	t := grow(&ws.x, q.n*ld)
	ks.transposed(t, ld, q.b[r*q.ldb:], q.ldb, n, q.n)
	q.recurse(ks, ws, 0, q.n, q.alpha, t, ld, n)
	ks.transposed(q.b[r*q.ldb:], q.ldb, t, ld, q.n, n)
}

// span is the range of rows at steps [s0, s1) of the solution.
func (q *triangular[T]) span(s0, s1 int) (int, int) {
	if q.lower {
		return s0, s1
	}
	return q.n - s1, q.n - s0
}

// recurse does the rows at steps [s0, s1), given that B already lacks the contribution of the steps before (or, for a
// product, that those are added later).
func (q *triangular[T]) recurse(ks *kernels[T], ws *workspace[T], s0, s1 int, alpha T, b []T, ldb, w int) {
	base := trmmBase
	if q.solve {
		base = triBlock
	}
	if s1-s0 <= base {
		if q.solve {
			q.substitute(ks, ws, s0, s1, alpha, b, ldb, w)
		} else {
			q.multiply(ks, ws, s0, s1, alpha, b, ldb, w)
		}
		return
	}
	mid := s0 + ceil(ceil(s1-s0, 2), base)*base
	l0, l1 := q.span(s0, mid)
	h0, h1 := q.span(mid, s1)
	p := product[T]{m: h1 - h0, n: w, k: l1 - l0, a: q.a[h0*q.rs+l0*q.cs:], rsa: q.rs, csa: q.cs,
		b: b[l0*ldb:], rsb: ldb, csb: 1, c: b[h0*ldb:], ldc: ldb}
	if q.solve {
		q.recurse(ks, ws, s0, mid, alpha, b, ldb, w)
		p.alpha, p.beta = -1, alpha
		ks.block(&p, ws, 0, p.m, 0, p.n)
		q.recurse(ks, ws, mid, s1, 1, b, ldb, w)
		return
	}
	q.recurse(ks, ws, mid, s1, alpha, b, ldb, w)
	p.alpha, p.beta = alpha, 1
	ks.block(&p, ws, 0, p.m, 0, p.n)
	q.recurse(ks, ws, s0, mid, alpha, b, ldb, w)
}

// substitute solves the diagonal block at steps [s0, s1).
func (q *triangular[T]) substitute(ks *kernels[T], ws *workspace[T], s0, s1 int, alpha T, b []T, ldb, w int) {
	d := q.packed[s0*triBlock:]
	first, step := s0, ldb // row of the first step, and from one step to the next
	if !q.lower {
		first, step = q.n-1-s0, -ldb
	}
	for j := 0; j < w; j += ks.panel() {
		n := min(ks.panel(), w-j)
		if ks.masked || n%ks.lanes == 0 {
			q.panel(ks, d, s1-s0, alpha, b, first*ldb+j, step, n)
			continue
		}
		ld := ks.vectors(n) * ks.lanes
		t := grow(&ws.tile, triBlock*ld)
		for i := range s1 - s0 {
			at := first*ldb + i*step + j
			clear(t[i*ld+copy(t[i*ld:i*ld+n], b[at:]) : (i+1)*ld])
		}
		q.panel(ks, d, s1-s0, alpha, t, 0, ld, n)
		for i := range s1 - s0 {
			at := first*ldb + i*step + j
			copy(b[at:at+n], t[i*ld:])
		}
	}
}

// panel solves one panel of n columns: step i is at b[at+i·step].
func (q *triangular[T]) panel(ks *kernels[T], d []T, nb int, alpha T, b []T, at, step, n int) {
	v := ks.vectors(n)
	i := 0
	for ; i < nb%ks.strip; i++ {
		row := &b[at+i*step]
		ks.gemm[v](1, i, &d[i*triBlock], triBlock, 1, 0, &b[at], step, row, step, -1, alpha, n)
		if !q.unit {
			ks.gemm[v](1, 0, &d[0], 0, 0, 0, &b[at], 0, row, step, 0, d[i*triBlock+i], n)
		}
	}
	for ; i < nb; i += ks.strip {
		ks.trsm[v](i, &d[i*triBlock], triBlock, &b[at], step, &b[at+i*step], alpha, n)
	}
}

// multiply is the product with the diagonal block at steps [s0, s1), the last row first.
func (q *triangular[T]) multiply(ks *kernels[T], ws *workspace[T], s0, s1 int, alpha T, b []T, ldb, w int) {
	for s := s1 - 1; s >= s0; s-- {
		i, _ := q.span(s, s+1)
		l0, l1 := q.span(s0, s)
		d := T(1)
		if !q.unit {
			d = q.a[i*q.rs+i*q.cs]
		}
		row := b[i*ldb : i*ldb+w]
		beta := alpha * d
		if beta == 0 {
			// A kernel would forget the row, and with it an Inf or NaN.
			for j := range row {
				row[j] *= beta
			}
			beta = 1
		}
		if l1 == l0 {
			if beta != 1 {
				for j := range row {
					row[j] *= beta
				}
			}
			continue
		}
		p := product[T]{m: 1, n: w, k: l1 - l0, alpha: alpha, beta: beta, a: q.a[i*q.rs+l0*q.cs:], rsa: q.rs, csa: q.cs,
			b: b[l0*ldb:], rsb: ldb, csb: 1, c: row, ldc: ldb}
		ks.block(&p, ws, 0, 1, 0, w)
	}
}
