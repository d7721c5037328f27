package ensemble_test

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/internal/part/parttest"
	"github.com/seed39b58f2d/dmft/ode"
)

// orbit is x ← 3x + batch modulo a prime: what was seen at a step depends on all steps before. Every step is taken in
// two halves, and may pause between them.
type orbit struct {
	X, Half     uint64
	Seen        []uint64
	batch       int
	watch       *ensemble.Watch
	bad         int // the step that goes wrong, or −1
	end         int // the step that ends the run, or −1
	failsAt     int // the step with an error, if any
	failsInStep bool
	stuck       chan struct{} // or nil
	fails       error
}

func (o *orbit) Observe(n int) (bool, error) {
	if n == o.bad {
		return false, nil
	}
	if n == o.failsAt && o.fails != nil && !o.failsInStep {
		return false, o.fails
	}
	if n == 5 && o.stuck != nil {
		<-o.stuck
	}
	if o.Seen = append(o.Seen, o.X); n == o.end {
		o.watch.End(n)
	}
	return true, nil
}

func (o *orbit) Step(n int) (bool, error) {
	if n != len(o.Seen)-1 {
		return false, fmt.Errorf("step %d after %d were seen", n, len(o.Seen))
	}
	if o.Half == 0 {
		if o.X, o.Half = 3*o.X%1000003, 1; n+1 == o.failsAt && o.failsInStep {
			return true, o.fails
		}
		if o.watch.Due() {
			return true, ode.ErrPaused
		}
	}
	o.X, o.Half = (o.X+uint64(o.batch)+1)%1000003, 0
	return true, nil
}

func (o *orbit) Result(at ensemble.Position) []uint64 { return o.Seen[:at.Next] }

type saved struct {
	At    ensemble.Position
	Orbit orbit
}

func (o *orbit) Save(enc *gob.Encoder, at ensemble.Position) error {
	return enc.Encode(saved{at, orbit{X: o.X, Half: o.Half, Seen: o.Seen}})
}

func (o *orbit) Load(dec *gob.Decoder) (ensemble.Position, error) {
	var s saved
	err := dec.Decode(&s)
	o.X, o.Half, o.Seen = s.Orbit.X, s.Orbit.Half, s.Orbit.Seen
	return s.At, err
}

const steps, batches = 40, 5

// runner makes a run of orbits, which change alters.
func runner(change func(*orbit)) ensemble.Runner[[]uint64] {
	r := ensemble.Runner[[]uint64]{Name: "orbit", Batches: batches, Steps: steps, Size: func(b int) int { return b + 1 }}
	r.Workers = 3
	r.Start = func(_ context.Context, b int, w *ensemble.Watch) (ensemble.Member[[]uint64], error) {
		o := &orbit{X: 7, batch: b, watch: w, bad: -1, end: -1, failsAt: 5}
		if change != nil {
			change(o)
		}
		return o, nil
	}
	r.Encode = func(x []uint64, enc *gob.Encoder) error { return enc.Encode(x) }
	r.Decode = func(dec *gob.Decoder, _ *ensemble.Watch) (x []uint64, err error) { return x, dec.Decode(&x) }
	return r
}

func want() (out [][]uint64) {
	for b := range batches {
		x, seen := uint64(7), []uint64(nil)
		for range steps + 1 {
			seen = append(seen, x)
			x = (3*x + uint64(b) + 1) % 1000003
		}
		out = append(out, seen)
	}
	return out
}

// TestRun: every batch is trained to its end whatever the workers, parts are merged in order, and progress counts
// replica-steps.
func TestRun(t *testing.T) {
	for workers := range 7 {
		var merged []int
		var mu sync.Mutex
		most := int64(0)
		r := runner(nil)
		r.Workers = workers
		r.Merge = func(b int, _ []uint64) { merged = append(merged, b) }
		r.Progress = func(done, total int64) {
			mu.Lock()
			defer mu.Unlock()
			if most = max(most, done); total != (1+2+3+4+5)*(steps+1) {
				t.Errorf("%d steps in all", total)
			}
		}
		got, err := r.Run(t.Context())
		if err != nil || !reflect.DeepEqual(got, want()) || !reflect.DeepEqual(merged, []int{0, 1, 2, 3, 4}) ||
			most != 15*(steps+1) {
			t.Errorf("%d workers: %v, merged %v, %d steps", workers, err, merged, most)
		}
	}
}

// TestResume: a run that is interrupted again and again, between steps and within them, comes to the same end.
func TestResume(t *testing.T) {
	store := &parttest.Memory{}
	for try := range 1000 {
		ctx, cancel := context.WithCancelCause(t.Context())
		r := runner(nil)
		r.Store, r.Checkpoint = store, time.Nanosecond
		var calls atomic.Int64
		r.Progress = func(int64, int64) {
			if calls.Add(1) > int64(2*batches+try%7) { // batches tell what they have done before, too
				cancel(errors.New("enough"))
			}
		}
		got, err := r.Run(ctx)
		cancel(nil)
		if err == nil {
			if try < 3 || !reflect.DeepEqual(got, want()) {
				t.Errorf("after %d interruptions: %v", try, got)
			}
			return
		}
		var stop *ensemble.Interruption
		if !errors.Is(err, ensemble.ErrInterrupted) || !errors.As(err, &stop) || stop.Cause.Error() != "enough" {
			t.Fatal(err)
		}
	}
	t.Error("no end")
}

// TestWrong: a batch that goes wrong stops the others before later steps, and only finished parts are kept.
func TestWrong(t *testing.T) {
	store := &parttest.Memory{}
	r := runner(func(o *orbit) {
		if o.batch == 0 {
			o.bad = 10
		}
	})
	r.Workers, r.Store = 1, store
	got, err := r.Run(t.Context())
	if err != nil || len(store.Parts) != 0 {
		t.Fatal(err, len(store.Parts))
	}
	for b, x := range got {
		if n := 10 + min(b, 1); len(x) != n { // step 10 is recorded by those that reach it
			t.Errorf("batch %d has %d steps and not %d", b, len(x), n)
		}
	}
}

// TestEnd: a batch that ends the run at a step has all trained to there and no further, and of errors only those count
// that come before the end, whatever the workers.
func TestEnd(t *testing.T) {
	fault := errors.New("a fault")
	for workers := 1; workers < 7; workers++ {
		for failsAt := 10; failsAt < 15; failsAt++ {
			r := runner(func(o *orbit) {
				switch o.batch {
				case 1:
					o.fails, o.failsAt, o.failsInStep = fault, failsAt, workers%2 > 0
				case 3:
					o.end = 12
				}
			})
			merged := 0
			r.Workers, r.Merge = workers, func(int, []uint64) { merged++ }
			got, err := r.Run(t.Context())
			if failsAt <= 12 {
				if !errors.Is(err, fault) || err.Error() != fault.Error() {
					t.Errorf("%d workers, an error at %d: %v", workers, failsAt, err)
				}
				continue
			}
			if err != nil || merged != batches {
				t.Fatalf("%d workers, an error at %d: %v, %d merged", workers, failsAt, err, merged)
			}
			for b, x := range got {
				if len(x) < 13 || !reflect.DeepEqual(x, want()[b][:len(x)]) {
					t.Errorf("%d workers, an error at %d: batch %d has %d steps", workers, failsAt, b, len(x))
				}
			}
		}
	}
}

// TestError: the error of a batch ends the run, and is not taken for the interruption of the others.
func TestError(t *testing.T) {
	fault := errors.New("a fault")
	r := runner(func(o *orbit) {
		if o.batch == 2 {
			o.fails = fmt.Errorf("batch 2: %w", fault)
		}
	})
	if got, err := r.Run(t.Context()); !errors.Is(err, fault) || got != nil {
		t.Error(got, err)
	}
}

// TestDamaged: a damaged part is an error that names it.
func TestDamaged(t *testing.T) {
	store := &parttest.Memory{Parts: map[string][]byte{"orbit-003": []byte("nonsense")}}
	r := runner(nil)
	r.Store = store
	if _, err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "orbit-003") {
		t.Error(err)
	}
}

// TestGivenUp: what takes long after an interruption is not waited for, and keeps nothing later.
func TestGivenUp(t *testing.T) {
	store := &parttest.Memory{}
	stuck, ended := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	r := runner(func(o *orbit) { o.stuck = stuck })
	r.Store, r.Batches = store, 1
	start := r.Start
	r.Start = func(ctx context.Context, b int, w *ensemble.Watch) (ensemble.Member[[]uint64], error) {
		context.AfterFunc(ctx, func() { close(ended) })
		return start(ctx, b, w)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	begin := time.Now()
	if got, err := r.Run(ctx); !errors.Is(err, ensemble.ErrInterrupted) || got != nil {
		t.Error(got, err)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("it took %v to give up", d)
	}
	close(stuck)
	<-ended
	time.Sleep(50 * time.Millisecond)
	if n := store.Len(); n != 0 {
		t.Errorf("%d parts were kept after the end", n)
	}
}
