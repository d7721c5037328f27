package blas

import "runtime"

const (
	vecWork = 1 << 17 // elements of a matrix below which one goroutine multiplies it by a vector
	vecCols = 1 << 13 // elements of y that stay in a near cache while rows are added to them
	asmWork = 1 << 16 // elements per call of a kernel, which cannot be preempted
)

// matvec is y ← alpha·op(A)·x + beta·y on contiguous vectors, where y already holds beta·y for a transposed A.
type matvec[T real] struct {
	trans       bool
	m, n        int // of A as stored
	alpha, beta T
	a           []T
	lda         int
	x, y, t     []T
	size        int // rows, or columns when transposed, of a task
}

func (q *matvec[T]) chunk(ks *kernels[T], i int) {
	r := i * q.size
	if q.trans {
		n := min(q.size, q.n-r)
		for j := 0; j < n; j += vecCols {
			c := min(vecCols, n-j)
			step := max(8, asmWork/c&^7)
			for i := 0; i < q.m; i += step {
				ks.combine(min(step, q.m-i), c, &q.a[i*q.lda+r+j], q.lda, &q.x[i], &q.y[r+j])
			}
		}
		return
	}
	m := min(q.size, q.m-r)
	t := q.t[r : r+m]
	step := max(4, asmWork/q.n&^3)
	for i := 0; i < m; i += step {
		ks.dot(min(step, m-i), q.n, &q.a[(r+i)*q.lda], q.lda, &q.x[0], &t[i])
	}
	y := q.y[r : r+m]
	if q.beta == 0 {
		for i, v := range t {
			y[i] = q.alpha * v
		}
		return
	}
	for i, v := range t {
		y[i] = T(q.alpha*v) + T(q.beta*y[i])
	}
}

// gemv computes y ← alpha·op(A)·x + beta·y for positive m and n.
func (ks *kernels[T]) gemv(trans bool, m, n int, alpha T, a []T, lda int, x []T, incX int, beta T, y []T, incY int) {
	nx, ny := n, m
	if trans {
		nx, ny = m, n
	}
	ws := ks.workspace()
	q := matvec[T]{trans: trans, m: m, n: n, alpha: alpha, beta: beta, a: a, lda: lda, x: x, y: y}
	if incX != 1 || trans && alpha != 1 {
		q.x = grow(&ws.x, nx)
		gather(q.x, x, incX)
		if trans && alpha != 1 {
			for i := range q.x {
				q.x[i] *= alpha
			}
		}
	}
	if incY != 1 {
		q.y = grow(&ws.b, ny)
		if beta != 0 {
			gather(q.y, y, incY)
		}
	}
	if trans {
		scale(1, ny, beta, q.y, ny, all)
	} else {
		q.t = grow(&ws.a, ny)
	}
	q.size = ny
	procs := 1
	if m*n >= vecWork {
		procs = runtime.GOMAXPROCS(0)
		q.size = ceil(ceil(ny, 4*procs), 32) * 32
	}
	if tasks := ceil(ny, q.size); tasks > 1 {
		t := ks.team(ofVector)
		t.vec = q
		t.run(tasks, procs)
		ks.dismiss(t)
	} else {
		q.chunk(ks, 0)
	}
	if incY != 1 {
		scatter(y, incY, q.y)
	}
	ks.release(ws)
}

func gather[T real](dst, x []T, inc int) {
	at := 0
	if inc < 0 {
		at = -(len(dst) - 1) * inc
	}
	for i := range dst {
		dst[i] = x[at]
		at += inc
	}
}

func scatter[T real](y []T, inc int, src []T) {
	at := 0
	if inc < 0 {
		at = -(len(src) - 1) * inc
	}
	for _, v := range src {
		y[at] = v
		at += inc
	}
}
