package blas

import (
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
	t.product, t.tri, t.vec = product[T]{}, triangular[T]{}, matvec[T]{}
	ks.teams.Put(t)
}

// run does the tasks 0..tasks−1 on at most procs goroutines.
func (t *team[T]) run(tasks, procs int) {
	t.tasks = int64(tasks)
	t.next.Store(0)
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
	for {
		i := t.next.Add(1) - 1
		if i >= t.tasks {
			break
		}
		if ws == nil {
			ws = t.ks.workspace()
		}
		t.do(ws, int(i))
	}
	if ws != nil {
		t.ks.release(ws)
	}
}

func (t *team[T]) do(ws *workspace[T], i int) {
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
		t.ks.block(p, ws, i0, i1, j0, j1)
	case ofTriangle:
		t.tri.chunk(t.ks, ws, i)
	case ofVector:
		t.vec.chunk(t.ks, i)
	}
}
