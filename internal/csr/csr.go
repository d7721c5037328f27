package csr

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/james-bowman/sparse"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// Matrix is a sparse matrix by rows. It is safe for concurrent use.
type Matrix[T la.Float] struct {
	Rows, Cols int
	ptr        []int // row i holds elements ptr[i]…ptr[i+1]
	ind        []int32
	val        []T // nil when all are common
	common     T
}

// New returns scale·s. It copies s, and panics when s is not a valid matrix by rows.
func New[T la.Float](s *sparse.CSR, scale float64) *Matrix[T] {
	raw := s.RawMatrix()
	x := &Matrix[T]{Rows: raw.I, Cols: raw.J, ptr: make([]int, raw.I+1), ind: make([]int32, 0, len(raw.Ind)),
		val: make([]T, 0, len(raw.Data)), common: T(scale)}
	if raw.J > math.MaxInt32 {
		panic(fmt.Sprintf("csr: %d columns", raw.J))
	}
	same := true
	for i := range raw.I {
		for k := raw.Indptr[i]; k < raw.Indptr[i+1]; k++ {
			j, v := raw.Ind[k], T(raw.Data[k]*scale)
			if j < 0 || j >= raw.J {
				panic(fmt.Sprintf("csr: element of row %d in column %d of %d", i, j, raw.J))
			}
			x.ind, x.val = append(x.ind, int32(j)), append(x.val, v)
			same = same && v == x.val[0]
		}
		x.ptr[i+1] = len(x.ind)
	}
	if same {
		if len(x.val) > 0 {
			x.common = x.val[0]
		}
		x.val = nil
	}
	return x
}

// Stored is the number of stored elements.
func (x *Matrix[T]) Stored() int { return len(x.ind) }

// value is that of the k-th stored element.
func (x *Matrix[T]) value(k int) T {
	if x.val == nil {
		return x.common
	}
	return x.val[k]
}

const (
	serialWork = 1 << 17 // stored elements times rows, in vectors, that one goroutine does
	pieceSize  = 1 << 15 // bytes of a piece of transposed points
	lineSize   = 1 << 19 // bytes of the transposed block of w, above which blocks have fewer rows
	asmWork    = 1 << 14 // stored elements per call of a kernel, which cannot be preempted, unless one row has more
)

// product is one call of Mul or AddMul.
type product[T la.Float] struct {
	x       *Matrix[T]
	add     bool
	w, y    la.Mat[T] // y is h or e
	beta, a T
	vectors int // of a block of rows
}

// Mul sets h ← w·Xᵀ for w of rows×Cols and h of rows×Rows.
func (x *Matrix[T]) Mul(h, w la.Mat[T]) {
	if w.Cols != x.Cols || h.Cols != x.Rows || h.Rows != w.Rows {
		panic(fmt.Sprintf("csr: %d×%d ← %d×%d times the transpose of %d×%d", h.Rows, h.Cols, w.Rows, w.Cols, x.Rows, x.Cols))
	}
	x.run(product[T]{x: x, w: w, y: h}, x.Rows)
}

// AddMul sets w ← beta·w + a·e·X over the first e.Cols rows of X, for w of rows×Cols.
func (x *Matrix[T]) AddMul(w la.Mat[T], beta, a T, e la.Mat[T]) {
	if w.Cols != x.Cols || e.Cols > x.Rows || e.Rows != w.Rows {
		panic(fmt.Sprintf("csr: %d×%d += %d×%d times %d×%d", w.Rows, w.Cols, e.Rows, e.Cols, x.Rows, x.Cols))
	}
	x.run(product[T]{x: x, add: true, w: w, y: e, beta: beta, a: a}, e.Cols)
}

func (x *Matrix[T]) run(p product[T], points int) {
	if p.w.Rows == 0 || x.Cols == 0 {
		if !p.add && p.w.Rows > 0 {
			p.y.Zero()
		}
		return
	}
	ks := kernelsFor[T]()
	stored := x.ptr[points]
	p.vectors = 4
	for p.vectors > 1 && (p.vectors*ks.lanes*sizeof[T]()*x.Cols > lineSize || p.w.Rows <= p.vectors/2*ks.lanes) {
		p.vectors /= 2
	}
	rows := p.vectors * ks.lanes
	tasks := (p.w.Rows + rows - 1) / rows
	if 16*stored < x.Cols { // most columns are empty: to transpose them all would cost more than the product
		p.vectors, rows = 0, 16
		tasks = (p.w.Rows + rows - 1) / rows
	}
	procs := 1
	if float64(stored+points+x.Cols)*float64(p.w.Rows)/float64(ks.lanes) >= serialWork {
		procs = min(runtime.GOMAXPROCS(0), tasks)
	}
	t := ks.team()
	t.p, t.rows, t.tasks = p, rows, int64(tasks)
	t.next.Store(0)
	t.wg.Add(procs - 1)
	for range procs - 1 {
		go t.start()
	}
	t.work()
	t.wg.Wait()
	t.p = product[T]{}
	ks.teams.Put(t)
}

// team is a set of goroutines that share the blocks of one call. Teams are pooled with the closure that a goroutine
// starts from.
type team[T la.Float] struct {
	ks    *kernels[T]
	p     product[T]
	rows  int // of a block
	tasks int64
	next  atomic.Int64
	wg    sync.WaitGroup
	start func()
}

func (ks *kernels[T]) team() *team[T] {
	if t, ok := ks.teams.Get().(*team[T]); ok {
		return t
	}
	t := &team[T]{ks: ks}
	t.start = func() {
		t.work()
		t.wg.Done()
	}
	return t
}

func (t *team[T]) work() {
	ws, ok := t.ks.workspaces.Get().(*workspace[T])
	if !ok {
		ws = new(workspace[T])
	}
	for {
		i := int(t.next.Add(1) - 1)
		if i >= int(t.tasks) {
			break
		}
		lo := i * t.rows
		hi := min(lo+t.rows, t.p.w.Rows)
		switch {
		case t.p.vectors == 0 && t.p.add:
			t.p.addPlain(lo, hi)
		case t.p.vectors == 0:
			t.p.mulPlain(lo, hi)
		case t.p.add:
			t.p.addBlock(t.ks, ws, lo, hi)
		default:
			t.p.mulBlock(t.ks, ws, lo, hi)
		}
	}
	t.ks.workspaces.Put(ws)
}

// piece returns the end of the piece of points that starts at m.
func (p *product[T]) piece(m, ld int) int {
	end := min(m+max(pieceSize/(ld*sizeof[T]())&^15, 16), p.y.Cols)
	for end > m+1 && p.x.ptr[end]-p.x.ptr[m] > asmWork {
		end = m + (end-m)/2
	}
	return end
}

// mulBlock computes rows [lo, hi) of h.
func (p *product[T]) mulBlock(ks *kernels[T], ws *workspace[T], lo, hi int) {
	x, ld := p.x, p.vectors*ks.lanes
	wt := grow(&ws.w, x.Cols*ld)
	ks.in(wt, ld, p.w, lo, hi, 0, x.Cols)
	if x.val == nil && x.common != 1 {
		for i := range wt {
			wt[i] *= x.common
		}
	}
	for m := 0; m < x.Rows; {
		end := p.piece(m, ld)
		yt := grow(&ws.y, (end-m)*ld)
		ks.gatherPoints(p.vectors, x, m, end, wt, yt)
		ks.out(p.y, lo, hi, m, end, yt, ld)
		m = end
	}
}

// addBlock computes rows [lo, hi) of w.
func (p *product[T]) addBlock(ks *kernels[T], ws *workspace[T], lo, hi int) {
	x, ld := p.x, p.vectors*ks.lanes
	wt := grow(&ws.w, x.Cols*ld)
	clear(wt)
	for m := 0; m < p.y.Cols; {
		end := p.piece(m, ld)
		yt := grow(&ws.y, (end-m)*ld)
		ks.in(yt, ld, p.y, lo, hi, m, end)
		ks.scatterPoints(p.vectors, x, m, end, wt, yt)
		m = end
	}
	a := p.a
	if x.val == nil {
		a *= x.common
	}
	sum := la.Mat[T]{Rows: hi - lo, Cols: x.Cols, Stride: x.Cols, Data: grow(&ws.y, (hi-lo)*x.Cols)}
	ks.out(sum, 0, hi-lo, 0, x.Cols, wt, ld)
	for i := lo; i < hi; i++ {
		w := p.w.Row(i)
		shrink(w, p.beta)
		la.Axpy(a, sum.Row(i-lo), w)
	}
}

func shrink[T la.Float](w []T, beta T) {
	switch beta {
	case 0:
		clear(w)
	case 1:
	default:
		for j := range w {
			w[j] *= beta
		}
	}
}

// mulPlain and addPlain work element by element.

func (p *product[T]) mulPlain(lo, hi int) {
	x := p.x
	for i := lo; i < hi; i++ {
		w, h := p.w.Row(i), p.y.Row(i)
		for m := range h {
			var s T
			for k := x.ptr[m]; k < x.ptr[m+1]; k++ {
				s += x.value(k) * w[x.ind[k]]
			}
			h[m] = s
		}
	}
}

func (p *product[T]) addPlain(lo, hi int) {
	x := p.x
	for i := lo; i < hi; i++ {
		w := p.w.Row(i)
		shrink(w, p.beta)
		for m, v := range p.y.Row(i) {
			v *= p.a
			for k := x.ptr[m]; k < x.ptr[m+1]; k++ {
				w[x.ind[k]] += v * x.value(k)
			}
		}
	}
}

func sizeof[T la.Float]() int { return int(unsafe.Sizeof(T(0))) }
