// Package ensemble runs replicas: networks, or blocks of sites of a theory, that are trained apart from each other.
// They come in batches, each a unit of parallel work and of resuming. A [Runner] trains the batches by a few workers,
// keeps what is finished and checkpoints of the rest in a store, tells how far it is, stops when a batch goes wrong or
// the run is interrupted, and gives up on what takes long after that.
//
// What is trained is a [Member]: it evaluates and records the state at a step and goes to the next. The results do not
// depend on the number of workers, nor on where a run with a store was interrupted and resumed.
package ensemble

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed39b58f2d/dmft/internal/part"
	"github.com/seed39b58f2d/dmft/ode"
)

// Store keeps the parts of an unfinished run: finished batches of replicas and checkpoints of unfinished ones.
type Store interface {
	Load(name string) (data []byte, ok bool, err error)
	// Save keeps what write writes, all of it or nothing.
	Save(name string, write func(io.Writer) error) error
}

// ErrInterrupted is the error, by errors.Is, of what the end of a context has stopped.
var ErrInterrupted = errors.New("interrupted")

// Interruption is the error of an interrupted run. It is an ErrInterrupted.
type Interruption struct {
	Step  int // about how many steps of every replica are done
	Cause error
}

func (e *Interruption) Error() string {
	return fmt.Sprintf("interrupted at step %d: %v", e.Step, e.Cause)
}
func (e *Interruption) Is(target error) bool { return target == ErrInterrupted }

// Position is how far a batch is.
type Position struct {
	Next   int  // step to be recorded next
	Midway bool // the step that leads there has begun
}

// Member is a batch of replicas under way, whose part of the result is an R.
type Member[R any] interface {
	// Observe evaluates the state at step n and records it. The training has gone wrong there if ok is false. An error
	// ends the run there, unless another batch ends it before.
	Observe(n int) (ok bool, err error)
	// Step goes from step n to the next, which cannot be reached if ok is false. The error ode.ErrPaused asks to be
	// called again; others end the run at the next step, as those of Observe.
	Step(n int) (ok bool, err error)
	// Result is what was recorded before the step at.Next, of the whole run or as far as it got.
	Result(at Position) R
}

// Checkpointer is a Member that can go on from the middle.
type Checkpointer interface {
	Save(enc *gob.Encoder, at Position) error
	Load(dec *gob.Decoder) (Position, error)
}

// Watch tells the members of a batch what the run is about, and the run what they have seen.
type Watch struct {
	Batch      int // its number
	ctx        context.Context
	halt       *atomic.Bool
	end        *atomic.Int64
	checkpoint time.Duration // 0 for none
	last       time.Time
}

// Due asks for a stop between two evaluations of a long step, after which it goes on as if nothing had been.
func (w *Watch) Due() bool {
	return w.ctx.Err() != nil || w.checkpoint > 0 && time.Since(w.last) > w.checkpoint
}

// Halted asks for a stop at once, whatever becomes of the state; the error is to be an ErrInterrupted.
func (w *Watch) Halted() bool { return w.halt.Load() }

// End ends the run after step n, which this batch has recorded: every batch is trained until there, and no further.
func (w *Watch) End(n int) {
	for old := w.end.Load(); int64(n) < old && !w.end.CompareAndSwap(old, int64(n)); old = w.end.Load() {
	}
}

// Ended says whether the run ends before step n.
func (w *Watch) Ended(n int) bool { return int64(n) > w.end.Load() }

// Settings are how batches are run. The zero value works.
type Settings struct {
	Store      Store                   // nil keeps nothing between runs
	Progress   func(done, total int64) // called now and then, from any goroutine; units are replica-steps
	Checkpoint time.Duration           // between checkpoints of unfinished work; 0 is 20 seconds
	Workers    int                     // how many batches are trained at the same time; 0 is GOMAXPROCS
}

// Parallel is how many of n independent pieces of work are done at the same time.
func (s Settings) Parallel(n int) int {
	if s.Workers > 0 {
		return min(s.Workers, n)
	}
	return min(runtime.GOMAXPROCS(0), n)
}

// Runner trains the batches of an ensemble.
type Runner[R any] struct {
	Settings
	Name    string // of its parts in the store
	Batches int
	Size    func(batch int) int // replicas of a batch; nil is one
	Steps   int                 // the last step
	// Start makes a batch at its start. It hears of the end of the run by ctx, and while it takes long steps by w.
	Start func(ctx context.Context, batch int, w *Watch) (Member[R], error)
	// Encode and Decode keep a finished part, for runs with a store. Decode checks that it is one of this run.
	Encode func(R, *gob.Encoder) error
	Decode func(dec *gob.Decoder, w *Watch) (R, error)
	// Merge, if any, is told finished parts in the order of the batches, one after the other, as soon as they are
	// there.
	Merge func(batch int, part R)
}

const (
	defaultCheckpoint = 20 * time.Second
	// grace is how long an interrupted run waits for steps under way, and then for single products.
	grace = time.Second
)

// work is one run of a Runner.
type work[R any] struct {
	Runner[R]
	total int64
	done  atomic.Int64
	end   atomic.Int64 // the earliest step at which some batch ended
	halt  atomic.Bool  // whatever is under way is to be given up

	saving sync.RWMutex // held to read while something is saved, and to write by a run that is given up
	over   bool         // nothing is saved any more

	mu     sync.Mutex
	parts  []R
	ready  []bool
	merged int // how many parts, from the first, were told to Merge
}

// Run trains every batch and returns their parts. A batch that goes wrong stops the others before the steps that come
// after. The error is the first of a batch, in their order. An interrupted run has the error *Interruption, and what
// was recorded by then, or nil when it was not worth waiting for.
func (r Runner[R]) Run(ctx context.Context) ([]R, error) {
	if r.Checkpoint == 0 {
		r.Checkpoint = defaultCheckpoint
	}
	if r.Size == nil {
		r.Size = func(int) int { return 1 }
	}
	j := &work[R]{Runner: r, parts: make([]R, r.Batches), ready: make([]bool, r.Batches)}
	for b := range r.Batches {
		j.total += int64(r.Size(b)) * int64(r.Steps+1)
	}
	j.end.Store(math.MaxInt64)
	begun, errs := make([]bool, r.Batches), make([]error, r.Batches)
	var next atomic.Int64
	var wg sync.WaitGroup
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Steps that end soon are saved when the run is interrupted; longer ones are given up, and their batches go on from
	// their last checkpoints.
	stop := context.AfterFunc(work, func() { time.AfterFunc(grace, func() { j.halt.Store(true) }) })
	defer stop()
	for range r.Parallel(r.Batches) {
		wg.Go(func() {
			for {
				b := int(next.Add(1)) - 1
				if b >= r.Batches || work.Err() != nil {
					return
				}
				p, whole, err := j.batch(work, b)
				if errs[b] = err; err != nil && !late(err) {
					cancel(err)
				}
				begun[b] = whole
				j.finish(b, p, err == nil || late(err))
			}
		})
	}
	if !j.wait(ctx, &wg) {
		return nil, j.interrupted(ctx)
	}
	for _, err := range errs {
		var f *failure
		switch {
		case errors.As(err, &f):
			if int64(f.step) <= j.end.Load() {
				return nil, f.error
			}
		case err != nil && !errors.Is(err, ErrInterrupted):
			return nil, err
		}
	}
	if ctx.Err() == nil {
		return j.parts, nil
	}
	for _, ok := range begun {
		if !ok {
			return nil, j.interrupted(ctx)
		}
	}
	return j.parts, j.interrupted(ctx)
}

// failure is the error of a batch that did not reach a step. It does not count if the run ended before, since it would
// then depend on the number of workers.
type failure struct {
	step int
	error
}

func late(err error) bool {
	var f *failure
	return errors.As(err, &f)
}

func (j *work[R]) interrupted(ctx context.Context) error {
	return &Interruption{int(j.done.Load() * int64(j.Steps+1) / max(j.total, 1)), context.Cause(ctx)}
}

// finish takes a part and merges those that are ready in the order of the batches, whatever the order in which they
// finish.
func (j *work[R]) finish(b int, p R, whole bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.parts[b], j.ready[b] = p, whole
	for j.merged < len(j.parts) && j.ready[j.merged] {
		if j.Merge != nil {
			j.Merge(j.merged, j.parts[j.merged])
		}
		j.merged++
	}
}

// wait waits until all batches have come to an end. It gives up on a product that takes long after an interruption, and
// says so: the product ends in the background, and nothing comes of it.
func (j *work[R]) wait(ctx context.Context, wg *sync.WaitGroup) bool {
	ended := make(chan struct{})
	go func() {
		wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
	}
	select {
	case <-ended:
		return true
	case <-time.After(grace * 3 / 2):
	}
	j.saving.Lock() // after what is being saved
	j.over = true
	j.saving.Unlock()
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// Part is the name of a batch in the store.
func (r *Runner[R]) Part(b int) string { return fmt.Sprintf("%s-%03d", r.Name, b) }

// batch trains batch b. There is something in its part if begun.
func (j *work[R]) batch(ctx context.Context, b int) (_ R, begun bool, _ error) {
	var none R
	name := j.Part(b)
	size := int64(j.Size(b))
	w := &Watch{Batch: b, ctx: ctx, halt: &j.halt, end: &j.end}
	if p, ok, err := j.load(name, w); ok || err != nil {
		if ok {
			j.advance(size * int64(j.Steps+1))
		}
		return p, ok, err
	}
	m, err := j.Start(ctx, b, w)
	if err != nil {
		return none, false, err
	}
	var at Position
	keeper, _ := m.(Checkpointer)
	if keeper != nil && j.Store != nil {
		w.checkpoint = j.Checkpoint
		if _, err = part.Load(j.Store, name+".checkpoint", func(dec *gob.Decoder) error {
			at, err = keeper.Load(dec)
			return err
		}); err != nil {
			return none, false, err
		}
	}
	w.last = time.Now()
	j.advance(size * int64(at.Next))
	moved := false
	// pause keeps the state and says whether to stop there.
	pause := func() error {
		if keeper != nil && j.Store != nil && moved {
			if err := j.save(name+".checkpoint", func(enc *gob.Encoder) error { return keeper.Save(enc, at) }); err != nil {
				return err
			}
		}
		w.last = time.Now()
		if ctx.Err() != nil {
			return &Interruption{at.Next, context.Cause(ctx)}
		}
		return nil
	}
	// ended notes whether the step at.Next was not reached.
	ended := func(ok bool, err error) (bool, error) {
		if errors.Is(err, ErrInterrupted) || ok && err == nil {
			return ok, err
		}
		w.End(at.Next)
		if err != nil {
			err = &failure{at.Next, err}
		}
		return false, err
	}
	ok := true
	// When another batch ends the run before the next step, nothing later is used.
	for (at.Next <= j.Steps || at.Midway) && !w.Ended(at.Next) && ok && err == nil {
		if n := at.Next - 1; at.Midway {
			if ok, err = m.Step(n); errors.Is(err, ode.ErrPaused) {
				moved, ok, err = true, true, pause()
			} else {
				at.Midway = false
				ok, err = ended(ok, err)
			}
			continue
		}
		if w.Due() {
			if err = pause(); err != nil {
				break
			}
		}
		if ok, err = ended(m.Observe(at.Next)); !ok || err != nil {
			break
		}
		at.Next++
		at.Midway = at.Next <= j.Steps
		moved = true
		j.advance(size)
	}
	if err != nil {
		if errors.Is(err, ErrInterrupted) || late(err) {
			at.Midway = false
			return m.Result(at), true, err
		}
		return none, false, err
	}
	p := m.Result(at)
	if j.Store != nil && ok && at.Next == j.Steps+1 {
		if err := j.save(name, func(enc *gob.Encoder) error { return j.Encode(p, enc) }); err != nil {
			return none, false, err
		}
	}
	return p, true, nil
}

// load returns the finished part of a batch, if the store has it.
func (j *work[R]) load(name string, w *Watch) (p R, ok bool, err error) {
	if j.Store == nil {
		return p, false, nil
	}
	ok, err = part.Load(j.Store, name, func(dec *gob.Decoder) error {
		p, err = j.Decode(dec, w)
		return err
	})
	return p, ok, err
}

// save keeps a part in the store, unless the run was given up.
func (j *work[R]) save(name string, encode func(*gob.Encoder) error) error {
	j.saving.RLock()
	defer j.saving.RUnlock()
	if j.over {
		return ErrInterrupted
	}
	return part.Save(j.Store, name, encode)
}

func (j *work[R]) advance(n int64) {
	if d := j.done.Add(n); j.Progress != nil {
		j.Progress(d, j.total)
	}
}
