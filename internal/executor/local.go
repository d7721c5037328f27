// Package executor runs the points of a sweep: on the cores of this machine ([Local]), or on a cluster as a job array
// of SLURM ([Array]).
//
//	err := executor.Local(ctx, len(points), func(ctx context.Context, i int, s executor.Share) error { … })
//
//	jobs, err := executor.Array{Dir: dir, Tasks: 40, Worker: []string{exe, "worker", dir}, CPUs: 2}.Submit(ctx, func(executor.Jobs) error { return nil })
//	tasks, err := jobs.Poll(ctx)
package executor

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// Share is what one of several jobs at work at the same time may use.
type Share struct {
	Workers int // goroutines
	Beside  int // the most jobs at work at the same time, which share the memory
}

// What a job may say in place of an error.
var (
	ErrBusy  = errors.New("executor: somebody else is doing this")               // ask again later
	ErrAlone = errors.New("executor: this is too much beside others, not alone") // do it when the others are through
)

// pause is the time until a busy job is asked for again.
const pause = 500 * time.Millisecond

// Local does jobs 0 … n−1 on GOMAXPROCS cores: one core each as long as enough of them are waiting, more for the last
// ones, so that no core is idle before the end. An error of one, other than ErrBusy and ErrAlone, stops the others;
// Local returns that of the first in order. It returns nil only when all were done: an end from outside that leaves
// some is the error of ctx.
func Local(ctx context.Context, n int, do func(ctx context.Context, job int, s Share) error) error {
	cores := runtime.GOMAXPROCS(0)
	workers := max(1, min(cores, n))
	outside := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type entry struct {
		job  int
		from time.Time // not before
	}
	var mu sync.Mutex
	var queue, alone []entry
	for i := range n {
		queue = append(queue, entry{job: i})
	}
	errs := make([]error, n)
	// next takes the first job that may begin; wait is how long there is none.
	next := func() (e entry, s Share, wait time.Duration, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		for k, e := range queue {
			if d := e.from.Sub(now); d > 0 {
				if wait == 0 || d < wait {
					wait = d
				}
				continue
			}
			queue = append(queue[:k:k], queue[k+1:]...)
			// With twice as many waiting as there are cores, one core; the last ones have all, though the others are
			// not through.
			waiting := len(queue) + 1
			return e, Share{min(cores, (2*cores+waiting-1)/waiting), workers}, 0, true
		}
		return entry{}, Share{}, wait, false
	}
	finish := func(e entry, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, ErrBusy):
			queue = append(queue, entry{e.job, time.Now().Add(pause)})
		case errors.Is(err, ErrAlone):
			alone = append(alone, e)
		case err != nil:
			errs[e.job] = err
			cancel()
		}
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				e, s, wait, ok := next()
				switch {
				case ok:
					finish(e, do(ctx, e.job, s))
				case wait > 0:
					select {
					case <-ctx.Done():
					case <-time.After(wait):
					}
				default:
					return
				}
			}
		})
	}
	wg.Wait()
	left := len(queue) + len(alone)
	for _, e := range alone {
		for ctx.Err() == nil {
			err := do(ctx, e.job, Share{cores, 1})
			if errors.Is(err, ErrBusy) {
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
				continue
			}
			finish(e, err)
			left--
			break
		}
	}
	// What stopped the others, rather than that they were stopped.
	var stopped error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if stopped == nil {
			stopped = err
		}
	}
	if stopped == nil && left > 0 { // jobs that never began
		return outside.Err()
	}
	return stopped
}
