package blas

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// kind is what a team works on.
type kind int8

const (
	ofProduct kind = iota
	ofTriangle
	ofVector
)

// team is a set of goroutines that share the tasks of one call. Teams are pooled, with the closure that a goroutine
// starts from, so that a call in steady state allocates nothing.
type team[T real] struct {
	ks      *kernels[T]
	kind    kind
	product product[T]
	tri     triangular[T]
	vec     matvec[T]

	down, across int // blocks of a product

	// The shared packing of its right operand, in so many sets of panels, if any.
	packs   int64
	packing atomic.Int64
	packed  atomic.Int64
	buf     []T

	tasks int64
	next  atomic.Int64
	wg    sync.WaitGroup
	start func()
}

func (ks *kernels[T]) team(k kind) *team[T] {
	t, ok := ks.teams.Get().(*team[T])
	if !ok {
		t = &team[T]{ks: ks}
		t.start = func() {
			t.work()
			t.wg.Done()
		}
	}
	t.kind = k
	return t
}

func (ks *kernels[T]) dismiss(t *team[T]) {
	t.product, t.tri, t.vec, t.packs = product[T]{}, triangular[T]{}, matvec[T]{}, 0
	ks.teams.Put(t)
}

// run does the tasks 0..tasks−1 on at most procs goroutines.
func (t *team[T]) run(tasks, procs int) {
	t.tasks = int64(tasks)
	t.next.Store(0)
	t.packing.Store(0)
	t.packed.Store(0)
	procs = min(procs, tasks)
	t.wg.Add(procs - 1)
	for range procs - 1 {
		go t.start()
	}
	t.work()
	t.wg.Wait()
}

func (t *team[T]) work() {
	var ws *workspace[T]
	ready := t.pack()
	for {
		i := t.next.Add(1) - 1
		if i >= t.tasks {
			break
		}
		if ws == nil {
			ws = t.ks.workspace()
		}
		t.do(ws, int(i), ready)
	}
	if ws != nil {
		t.ks.release(ws)
	}
}

// pack does a share of the common packing and reports whether all of it is done. Another goroutine may have been
// interrupted in its share; then everyone packs what he needs himself, with the same result.
func (t *team[T]) pack() (ready bool) {
	if t.packs == 0 {
		return true
	}
	p, ks := &t.product, t.ks
	width := ks.vectors(p.n) * ks.lanes
	for {
		i := int(t.packing.Add(1) - 1)
		if i >= int(t.packs) {
			break
		}
		j0, j1 := share(p.n, ks.panel(), int(t.packs), i)
		kc := p.reductionBlock()
		for pc := 0; pc < p.k; pc += kc {
			kb := min(kc, p.k-pc)
			ks.packRight(p.packed[pc*width+j0*kb:], p, pc, kb, j0, j1-j0)
		}
		t.packed.Add(1)
	}
	for range 1000 {
		if t.packed.Load() == t.packs {
			return true
		}
		runtime.Gosched()
	}
	return false
}

func (t *team[T]) do(ws *workspace[T], i int, ready bool) {
	switch t.kind {
	case ofProduct:
		p := &t.product
		if p.part == upper {
			i = int(t.tasks) - 1 - i // the last columns are the longest
		}
		i0, i1 := share(p.m, t.ks.strip, t.down, i/t.across)
		j0, j1 := share(p.n, t.ks.panel(), t.across, i%t.across)
		if i0 == i1 || j0 == j1 {
			return
		}
		if p.part == lower && j0 > i1-1 || p.part == upper && j1-1 < i0 {
			return
		}
		if !ready {
			own := *p
			own.packed = nil
			p = &own
		}
		t.ks.block(p, ws, i0, i1, j0, j1)
	case ofTriangle:
		t.tri.chunk(t.ks, ws, i)
	case ofVector:
		t.vec.chunk(t.ks, i)
	}
}
