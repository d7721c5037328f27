package dmft

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// Run is how a solver is run: what it keeps, where unfinished work is kept, how it reports. The zero value works.
type Run struct {
	Record   Record
	Store    Store                   // nil keeps nothing between runs
	Progress func(done, total int64) // called now and then, from any goroutine; units are replica-steps
	Memory   int64                   // bytes that must not be exceeded; 0 is no limit
	// Checkpoint is the time between checkpoints of unfinished work; 0 is 20 seconds.
	Checkpoint time.Duration
	// Workers is how many batches of replicas are trained at the same time; 0 is GOMAXPROCS. Results do not depend on it.
	Workers int
}

// Parallel is how many of n independent pieces of work are done at the same time.
func (r Run) Parallel(n int) int {
	if r.Workers > 0 {
		return min(r.Workers, n)
	}
	return min(runtime.GOMAXPROCS(0), n)
}

// Record says what a Trajectory keeps.
type Record struct {
	Every          int  // f and losses are kept at every so many steps from the first, and at the last; 0 is 1
	Kernels        int  // how many times, evenly spaced from first to last, kernels are kept
	AutoKernels    bool // choose Kernels from the size: every step if that is small
	Preactivations int  // how many sites' preactivations are kept at the first and last time
	// NTKReplicas is at how many of those times, evenly spaced, every replica's own NTK is kept, of the first 32 points and outputs.
	NTKReplicas int
	// TwoTime is at how many times, evenly spaced, fields are kept to make two-time kernels of. With every step of an optimiser, the theory of deep
	// networks has its responses too.
	TwoTime int
}

// Store keeps the parts of an unfinished run: finished batches of replicas and checkpoints of unfinished ones.
type Store interface {
	Load(name string) (data []byte, ok bool, err error)
	// Save keeps what write writes, all of it or nothing.
	Save(name string, write func(io.Writer) error) error
}

// Ensemble is a set of independent replicas of one network: seeds of a finite network, or blocks of sites of the theory.
// [Train] trains them in batches, each a unit of parallel work and of resuming.
type Ensemble[T la.Float] struct {
	Name     string // of its parts in the store
	Width    int    // neurons or sites of a replica
	Replicas int
	Space    Space
	// Draw fills the first-layer state (see Points.SetWeights), the readout and the biases of one replica, and makes its hidden matrices.
	Draw func(replica int, pts *Points[T], in, out, bias la.Mat[T]) (Hidden[T], error)
	// Conditioned says that hidden matrices remember what they were multiplied with (the theory).
	Conditioned bool
	// TangentKernel makes predictions follow f ← f + ηKΔ with the NTK of the fields rather than the readout (gradient independence).
	TangentKernel bool
	// MeanField takes the loss at the mean prediction (the theory, where replicas only differ by sampling errors) instead
	// of the mean of the losses (an ensemble of networks).
	MeanField bool
	Run
}

const (
	rowsPerBatch  = 2048    // rows of fields that a batch of replicas should have: enough for efficient products, few enough for cache
	preactColumns = 64      // points whose preactivations are kept
	divergedAbove = 1e6     // |f| against the scale of the targets
	autoKernels   = 1001    // AutoKernels keeps at most this many times at every step,
	autoBytes     = 1 << 28 // and at most this many bytes of kernels
	thinnedTo     = 50      // or else this many times
)

var (
	errCheckpoint = errors.New("dmft: a checkpoint does not fit the problem")
	errNoise      = errors.New("its sites were drawn by a version of the program that draws them differently, and results would be a mixture of both")
)

// noise is the version of the noise of a part.
func (e *Ensemble[T]) noise() int {
	if e.Conditioned {
		return gaussian.Version
	}
	return 0
}

// batchSize is how many replicas train together: it depends on the problem alone, never on the machine.
func (e *Ensemble[T]) batchSize() int {
	n := max(rowsPerBatch/e.Width, 1)
	return min(n, max((e.Replicas+1)/2, 1))
}

// kernelSteps are the steps at which kernels are kept.
func (r Record) kernelSteps(p *Problem) []int {
	kept := r.kept(p)
	t := len(kept)
	n := r.Kernels
	if r.AutoKernels {
		np, _, _, c := p.Data.sizes()
		per := kernelBytes(np, c, p.Network.Depth)
		n = t
		if t > autoKernels || int64(t)*per > autoBytes {
			n = thinnedTo
		}
		if int64(n)*per > autoBytes {
			n = int(autoBytes / per)
		}
		if n < 2 {
			return nil
		}
	}
	steps := evenly(n, t)
	for i, k := range steps {
		steps[i] = kept[k]
	}
	return steps
}

// kept are the steps at which f and losses are kept.
func (r Record) kept(p *Problem) []int {
	last, every := p.Training.Steps, max(r.Every, 1)
	steps := make([]int, 0, last/every+2)
	for n := 0; n < last; n += every {
		steps = append(steps, n)
	}
	return append(steps, last)
}

// index is where step n of kept steps is kept, or −1.
func (r Record) index(n, last int) int {
	every := max(r.Every, 1)
	switch {
	case n == last:
		return (n + every - 1) / every
	case n%every == 0:
		return n / every
	}
	return -1
}

// evenly returns n of t steps, from the first to the last.
func evenly(n, t int) []int {
	n = min(n, t)
	switch {
	case n < 1:
		return nil
	case n == 1:
		return []int{0}
	}
	steps := make([]int, n)
	for i := range steps {
		steps[i] = int(math.Round(float64(i) * float64(t-1) / float64(n-1)))
	}
	return steps
}

// kernelBytes is the memory of the kernels of one time, mean and spread.
func kernelBytes(p, c, l int) int64 {
	pc := int64(p) * int64(c)
	return 16 * (pc*pc + int64(l)*(pc*pc+int64(p)*int64(p)))
}

// part is what one batch of replicas has recorded so far. Arrays have the replica as first axis.
type part struct {
	Noise            int       // gaussian.Version of the theory's noise, 0 for networks
	Next             int       // step to be recorded next
	F                []float64 // replica, T, All, C
	Loss, Test, Norm []float64 // replica, T
	Pre              []float64 // 2×L×n×columns
	Stepper          []float64
	First            [][]float64 // NTK at the first kept time by replica, when it is small
	Align, Move      []float64   // alignment and movement of the NTK, kept time × replica
	Each             []float64   // replica × time × q × q: NTK of the first points
	Lambda           float64
	Ranks            [][2]int
	Dropped          float64
	Stats            ode.Stats
	Bad              *Status // set when the batch stopped early

	kernels []kernelStats // by recorded time; encoded one by one, since they may be large
	history history       // fields kept so far
	two     kernelStats   // two-time kernels, of a finished part
}

func (p *part) save(enc *gob.Encoder) error {
	f := p.F
	p.F = nil
	err := enc.Encode(p)
	p.F = f
	if err == nil {
		err = enc.Encode(len(f))
	}
	for len(f) > 0 && err == nil { // in pieces: an encoder keeps what it encodes
		n := min(len(f), encoded)
		err = enc.Encode(f[:n])
		f = f[n:]
	}
	if err != nil {
		return err
	}
	for _, k := range p.kernels {
		if err := enc.Encode(k); err != nil {
			return err
		}
	}
	if err := enc.Encode(p.history); err != nil {
		return err
	}
	return enc.Encode(p.two)
}

// encoded is how many predictions are encoded at a time.
const encoded = 1 << 16

// load reads a part with n recorded times and noise of the given version.
func (p *part) load(dec *gob.Decoder, n, noise int) error {
	if err := dec.Decode(p); err != nil {
		return err
	}
	if p.Noise != noise {
		return errNoise
	}
	var predictions int
	if err := dec.Decode(&predictions); err != nil {
		return err
	}
	p.F = nil
	for len(p.F) < predictions {
		var f []float64
		if err := dec.Decode(&f); err != nil {
			return err
		}
		if len(f) == 0 {
			return errCheckpoint
		}
		if p.F == nil && predictions > len(f) {
			p.F = make([]float64, 0, min(predictions, len(f)<<10))
		}
		p.F = append(p.F, f...)
	}
	p.kernels = make([]kernelStats, n)
	for i := range p.kernels {
		if err := dec.Decode(&p.kernels[i]); err != nil {
			return err
		}
	}
	if err := dec.Decode(&p.history); err != nil {
		return err
	}
	return dec.Decode(&p.two)
}

// kernelStats are running mean and sum of squared deviations over replicas of the kernels of one time.
type kernelStats struct {
	N        int
	Mean, M2 []float64 // NTK, then Φ¹…Φ^L, then G¹…G^L
}

func (k *kernelStats) add(x []float64) {
	if k.Mean == nil {
		k.Mean, k.M2 = make([]float64, len(x)), make([]float64, len(x))
	}
	k.N++
	for i, v := range x {
		d := v - k.Mean[i]
		k.Mean[i] += d / float64(k.N)
		k.M2[i] += d * (v - k.Mean[i])
	}
}

// merge adds the statistics of other replicas (Chan, Golub & LeVeque 1979).
func (k *kernelStats) merge(o kernelStats) {
	if k.N == 0 {
		*k = o
		return
	}
	n := float64(k.N + o.N)
	for i := range k.Mean {
		d := o.Mean[i] - k.Mean[i]
		k.Mean[i] += d * float64(o.N) / n
		k.M2[i] += o.M2[i] + d*d*float64(k.N)*float64(o.N)/n
	}
	k.N += o.N
}

// job is one Train call.
type job[T la.Float] struct {
	Ensemble[T]
	p       *Problem
	pts     *Points[T]
	kept    []int // steps at which f and losses are kept
	ksteps  []int
	tsteps  []int // of two-time kernels
	preSite int   // sites per replica whose preactivations are kept
	done    atomic.Int64
	total   int64
	bad     atomic.Int64 // earliest step known to have gone wrong

	mu     sync.Mutex
	parts  []*part       // finished ones
	merged int           // how many of them, from the first, are in stats
	stats  []kernelStats // of all replicas, by recorded time
	two    kernelStats
}

// finish takes a part and merges kernels in the order of the batches, whatever the order in which they finish.
func (j *job[T]) finish(b int, p *part) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.parts[b] = p
	for j.merged < len(j.parts) && j.parts[j.merged] != nil {
		q := j.parts[j.merged]
		for k := range j.stats {
			if q.kernels[k].N > 0 {
				j.stats[k].merge(q.kernels[k])
			}
		}
		if q.two.N > 0 {
			j.two.merge(q.two)
		}
		q.kernels, q.two = nil, kernelStats{}
		j.merged++
	}
}

// Train trains every replica of an ensemble and collects their statistics. The result does not depend on GOMAXPROCS, nor on
// where a run with a Store was interrupted and resumed. A run that diverges returns the Trajectory up to there
// and a *StopError.
func Train[T la.Float](ctx context.Context, p *Problem, e Ensemble[T]) (*Trajectory, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if p.Network.Depth == InfiniteDepth {
		return nil, errInfinite
	}
	if e.Width < 1 || e.Replicas < 1 {
		return nil, fmt.Errorf("dmft: %d replicas of width %d; both must be at least 1", e.Replicas, e.Width)
	}
	if e.Checkpoint == 0 {
		e.Checkpoint = 20 * time.Second
	}
	mem := e.MemoryEstimate(p)
	if e.Memory > 0 && mem > e.Memory {
		return nil, &StopError{Status{Code: MemoryLimit, Quantity: fmt.Sprintf("the run needs about %s and the limit is %s", bytesText(mem), bytesText(e.Memory)),
			Advice: e.memoryAdvice(p)}}
	}
	p = p.withBias()
	pts, err := newPoints[T](p, e.Space)
	if err != nil {
		return nil, err
	}
	j := &job[T]{Ensemble: e, p: p, pts: pts, kept: e.Record.kept(p), ksteps: e.Record.kernelSteps(p), tsteps: e.Record.twoTimeSteps(p)}
	j.preSite = min((e.Record.Preactivations+e.Replicas-1)/e.Replicas, e.Width)
	j.total = int64(e.Replicas) * int64(p.Training.Steps+1)
	j.bad.Store(math.MaxInt64)

	size := e.batchSize()
	batches := (e.Replicas + size - 1) / size
	j.parts, j.stats = make([]*part, batches), make([]kernelStats, len(j.ksteps))
	errs := make([]error, batches)
	var next atomic.Int64
	var wg sync.WaitGroup
	work, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for range e.Parallel(batches) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				b := int(next.Add(1)) - 1
				if b >= batches || work.Err() != nil {
					return
				}
				p, err := j.batch(work, b, b*size, min((b+1)*size, e.Replicas))
				if errs[b] = err; err != nil {
					cancel(err)
					continue
				}
				j.finish(b, p)
			}
		}()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && StopCode(err) != Interrupted {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, &StopError{Status{Code: Interrupted, Step: int(j.done.Load() * int64(p.Training.Steps+1) / max(j.total, 1)), Quantity: context.Cause(ctx).Error(),
			Advice: "finished and unfinished parts are kept when there is a run folder; start the same command again to go on"}}
	}
	t := j.collect()
	t.Diagnostics.MemoryBytes = mem
	t.Diagnostics.BatchReplicas = size
	return t, t.Status.Err()
}

// batch trains replicas [lo, hi).
func (j *job[T]) batch(ctx context.Context, b, lo, hi int) (*part, error) {
	name := fmt.Sprintf("%s-%03d", j.Name, b)
	if pt, ok, err := j.loadPart(name); err != nil || ok {
		if ok {
			j.advance(int64(hi-lo) * int64(j.p.Training.Steps+1))
		}
		return pt, err
	}
	nw, pt, st, err := j.start(name, lo, hi)
	if err != nil {
		return nil, err
	}
	last := time.Now()
	steps := j.p.Training.Steps
	j.advance(int64(hi-lo) * int64(pt.Next))
	for n := pt.Next; n <= steps; n++ {
		if int64(n) > j.bad.Load() {
			break // another batch went wrong before this step: nothing later is used
		}
		if ctx.Err() != nil || (j.Store != nil && time.Since(last) > j.Checkpoint) {
			if err := j.checkpoint(name, nw, pt, st); err != nil {
				return nil, err
			}
			if ctx.Err() != nil {
				return nil, &StopError{Status{Code: Interrupted, Step: n}}
			}
			last = time.Now()
		}
		nw.Eval(0, float64(n))
		if err := nw.err(); err != nil {
			return nil, fmt.Errorf("dmft: step %d: %w", n, err)
		}
		j.record(nw, pt, n, lo == 0)
		if pt.Bad = j.trouble(nw, pt, n); pt.Bad != nil {
			j.fail(n)
			break
		}
		pt.Next = n + 1
		j.advance(int64(hi - lo))
		if n == steps {
			break
		}
		if err := st.Step(nw, n); err != nil {
			pt.Bad = &Status{Code: Diverged, Step: n, Quantity: err.Error(), Advice: "loosen the tolerance or shorten the run"}
			j.fail(n + 1)
			break
		}
	}
	pt.Stats, pt.Stepper, pt.First = st.Stats(), nil, nil
	pt.Ranks, pt.Dropped = nw.ranks()
	if len(j.tsteps) > 0 && pt.Bad == nil && pt.Next == steps+1 {
		var hidden [][]*gaussian.Matrix
		if len(j.tsteps) == steps+1 && !j.p.Training.Method.IsFlow() {
			hidden = nw.conditioned()
		}
		for r := range nw.r {
			pt.two.add(pt.history.twoTime(nw.n, r, j.pts.Outputs, hidden))
		}
	}
	pt.history = history{}
	if j.Store != nil && pt.Bad == nil && pt.Next == steps+1 {
		if err := j.Store.Save(name, func(w io.Writer) error { return pt.save(gob.NewEncoder(w)) }); err != nil {
			return nil, err
		}
	}
	return pt, nil
}

// fail notes that step n went wrong in some batch.
func (j *job[T]) fail(n int) {
	for {
		old := j.bad.Load()
		if int64(n) >= old || j.bad.CompareAndSwap(old, int64(n)) {
			return
		}
	}
}

func (j *job[T]) advance(n int64) {
	d := j.done.Add(n)
	if j.Progress != nil {
		j.Progress(d, j.total)
	}
}

// start makes the network of a batch, at its checkpoint if there is one.
func (j *job[T]) start(name string, lo, hi int) (*network[T], *part, ode.Stepper, error) {
	st, err := ode.NewStepper(j.p.Training.Method, j.p.Training.Steps)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("dmft: training: %w", err)
	}
	mode := summed
	switch {
	case j.TangentKernel:
		mode = byTangentKernel
	case j.Conditioned && j.p.Network.Depth > 1:
		mode = perOutput
	}
	nw := newNetwork(j.p, j.pts, hi-lo, j.Width, mode)
	for r := range hi - lo {
		var bias la.Mat[T]
		if nw.bias > 0 {
			bias = nw.rows(nw.regs[0].Bias, r)
		}
		h, err := j.Draw(lo+r, j.pts, nw.rows(nw.regs[0].In, r), nw.rows(nw.regs[0].Out, r), bias)
		if err != nil {
			return nil, nil, nil, err
		}
		nw.setHidden(r, h)
	}
	nw.Reserve(st.Registers())
	t := len(j.kept)
	pt := &part{
		Noise: j.noise(),
		F:     make([]float64, (hi-lo)*t*j.pts.All*j.pts.Outputs),
		Loss:  make([]float64, (hi-lo)*t), Norm: make([]float64, (hi-lo)*t), Test: make([]float64, (hi-lo)*t),
		kernels: make([]kernelStats, len(j.ksteps)),
		Pre:     make([]float64, 2*nw.l*(hi-lo)*j.preSite*min(j.pts.Train, preactColumns)),
	}
	if j.Store != nil {
		data, ok, err := j.Store.Load(name + ".checkpoint")
		if err != nil {
			return nil, nil, nil, err
		}
		if ok {
			dec := gob.NewDecoder(bytes.NewReader(data))
			fresh := part{}
			if err = fresh.load(dec, len(j.ksteps), j.noise()); err == nil {
				if err = nw.load(dec); err == nil {
					err = st.SetState(fresh.Stepper)
				}
			}
			if errors.Is(err, errNoise) {
				return nil, nil, nil, fmt.Errorf("dmft: checkpoint %s: %w; delete the run folder to start over", name, err)
			}
			if err != nil || len(fresh.F) != len(pt.F) {
				return nil, nil, nil, fmt.Errorf("dmft: checkpoint %s: %w; delete the run folder to start over", name, errors.Join(errCheckpoint, err))
			}
			return nw, &fresh, st, nil
		}
	}
	if nw.centred {
		nw.forward(0)
		copy(nw.f0, nw.f)
	}
	return nw, pt, st, nil
}

func (j *job[T]) checkpoint(name string, nw *network[T], pt *part, st ode.Stepper) error {
	if j.Store == nil {
		return nil
	}
	pt.Stepper = st.State()
	return j.Store.Save(name+".checkpoint", func(w io.Writer) error {
		enc := gob.NewEncoder(w)
		if err := pt.save(enc); err != nil {
			return err
		}
		return nw.save(enc)
	})
}

func (j *job[T]) loadPart(name string) (*part, bool, error) {
	if j.Store == nil {
		return nil, false, nil
	}
	data, ok, err := j.Store.Load(name)
	if err != nil || !ok {
		return nil, false, err
	}
	pt := &part{}
	if err := pt.load(gob.NewDecoder(bytes.NewReader(data)), len(j.ksteps), j.noise()); err != nil {
		return nil, false, fmt.Errorf("dmft: part %s: %w; delete the run folder to start over", name, err)
	}
	return pt, true, nil
}

// record notes the state at step n.
func (j *job[T]) record(nw *network[T], pt *part, n int, first bool) {
	for k, step := range j.tsteps {
		if step == n {
			pt.history.keep(newKernelScratch(nw).fields(), k, len(j.tsteps))
		}
	}
	last := j.p.Training.Steps
	i := j.Record.index(n, last)
	if i < 0 { // kernels are kept where f is
		return
	}
	t, all, c := len(j.kept), j.pts.All, j.pts.Outputs
	for r := range nw.r {
		f := nw.f[r*c*all : (r+1)*c*all]
		dst := pt.F[(r*t+i)*all*c:]
		for m := range all {
			for k := range c {
				dst[m*c+k] = f[k*all+m]
			}
		}
		pt.Loss[r*t+i] = nw.loss[r]
		if j.pts.yt.p > 0 {
			pt.Test[r*t+i] = j.pts.yt.eval(f[j.pts.Train:], all, nil, nil, 0)
		}
		s := 0.
		for _, v := range nw.rows(nw.regs[0].Out, r).Data {
			s += float64(v) * float64(v)
		}
		pt.Norm[r*t+i] = s / float64(nw.n*c)
	}
	if n == 0 {
		j.preactivations(nw, pt, 0)
	}
	if n == last {
		j.preactivations(nw, pt, 1)
	}
	for k, step := range j.ksteps {
		if step == n {
			kk := newKernelScratch(nw)
			for r := range nw.r {
				x := kk.of(r)
				pt.kernels[k].add(x)
				j.summarise(pt, k, r, nw.r, x)
				j.keepNTK(pt, k, r, nw.r, x)
			}
		}
	}
	if n == 0 && first {
		pt.Lambda = math.NaN()
		if pc := j.pts.Train * c; pc <= lambdaRows {
			k := newKernelScratch(nw).of(0)
			pt.Lambda = largestEigenvalue(k[:pc*pc], pc)
		}
	}
}

// lambdaRows is the size of the NTK up to which its largest eigenvalue at the start is noted.
const lambdaRows = 4096

// summaryRows is the size of the NTK above which its summaries have no error bars, which need one NTK of every replica to be kept.
const summaryRows = 512

// summarise notes alignment and movement of the NTK at the start of kernels x of one replica at kept time k; their scatter is an error bar.
func (j *job[T]) summarise(pt *part, k, r, replicas int, x []float64) {
	pc := j.pts.Train * j.pts.Outputs
	if pc > summaryRows {
		return
	}
	x = x[:pc*pc]
	if pt.First == nil {
		pt.First = make([][]float64, replicas)
		pt.Align, pt.Move = make([]float64, len(j.ksteps)*replicas), make([]float64, len(j.ksteps)*replicas)
	}
	if k == 0 {
		pt.First[r] = append([]float64(nil), x...)
	}
	n := mat.NewDense(pc, pc, x)
	pt.Align[k*replicas+r] = kernels.Alignment(n, mat.NewDense(pc, 1, j.pts.y.y))
	pt.Move[k*replicas+r] = kernels.Movement(n, mat.NewDense(pc, pc, pt.First[r]))
}

// replicaRows is how many rows of the NTK of a replica are kept.
const replicaRows = 32

// keepNTK keeps the NTK of one replica at kept time k, if it is one of those asked for.
func (j *job[T]) keepNTK(pt *part, k, r, replicas int, x []float64) {
	e := evenly(j.Record.NTKReplicas, len(j.ksteps))
	i := slices.Index(e, k)
	if i < 0 {
		return
	}
	pc := j.pts.Train * j.pts.Outputs
	q := min(pc, replicaRows)
	if pt.Each == nil {
		pt.Each = make([]float64, replicas*len(e)*q*q)
	}
	for m := range q {
		copy(pt.Each[((r*len(e)+i)*q+m)*q:][:q], x[m*pc:])
	}
}

// preactivations keeps h of evenly spaced sites of each replica.
func (j *job[T]) preactivations(nw *network[T], pt *part, which int) {
	cols := min(j.pts.Train, preactColumns)
	i := which * nw.l * nw.r * j.preSite * cols
	for l := range nw.l {
		for r := range nw.r {
			for s := range j.preSite {
				la.Convert(pt.Pre[i:i+cols], nw.h[l].Row(r*nw.n + s*nw.n/j.preSite)[:cols])
				i += cols
			}
		}
	}
}

// trouble says whether step n went wrong.
func (j *job[T]) trouble(nw *network[T], pt *part, n int) *Status {
	scale := 1.
	for _, y := range j.pts.y.y {
		scale = max(scale, math.Abs(y))
	}
	worst := 0.
	for _, v := range nw.f {
		if a := math.Abs(v); a > worst || math.IsNaN(a) {
			worst = a
		}
	}
	for _, l := range nw.loss {
		if math.IsNaN(l) || math.IsInf(l, 0) {
			worst = math.NaN()
		}
	}
	switch {
	case math.IsNaN(worst) || math.IsInf(worst, 0):
		return &Status{Code: NotFinite, Step: n - 1, Quantity: fmt.Sprintf("the loss is not a finite number at step %d", n)}
	case worst > divergedAbove*scale:
		return &Status{Code: Diverged, Step: n - 1, Quantity: fmt.Sprintf("|f| reached %.3g at step %d, targets are at most %.3g", worst, n, scale)}
	}
	return nil
}

// diagnose writes the likely cause of a divergence.
func (j *job[T]) diagnose(lambda float64) string {
	m := j.p.Training.Method
	if m.IsFlow() && m.Kind == ode.RK45 {
		return "the flow itself grows without bound: lower the richness or use a saturating activation"
	}
	scale := 1.
	if j.p.Training.Loss.Mean {
		scale = 1 / float64(j.pts.Train)
	}
	// Largest stable step of the linearised dynamics with heavy-ball momentum: 2(1+μ)/λ_max.
	limit := 2 * (1 + m.Momentum) / (lambda * scale)
	if math.IsNaN(lambda) {
		return fmt.Sprintf("the learning rate η = %g is probably too large; try %.2g", m.LearningRate, m.LearningRate/4)
	}
	cause := "above"
	try := limit / 2
	if m.LearningRate <= limit {
		cause = "below, but λ_max grows while features are learned, so it was overtaken"
		try = m.LearningRate / 4
	}
	return fmt.Sprintf("learning rate η = %.4g against the stability limit 2/λ_max = %.4g of the NTK at the start (λ_max = %.4g): %s; try learning_rate %.2g or a smaller richness",
		m.LearningRate, limit, lambda*scale, cause, try)
}

// largestEigenvalue of a symmetric positive semi-definite n×n matrix, by power iteration to three digits or so.
func largestEigenvalue(k []float64, n int) float64 {
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i] = 1 + 1/float64(i+2) // not orthogonal to much
	}
	a := la.Mat[float64]{Rows: n, Cols: n, Stride: n, Data: k}
	lambda := 0.
	for range 100 {
		la.Gemv(la.N, 1, a, x, 0, y)
		s := 0.
		for _, v := range y {
			s += v * v
		}
		s = math.Sqrt(s)
		if s == 0 || math.IsNaN(s) || math.IsInf(s, 0) {
			return s
		}
		for i, v := range y {
			x[i] = v / s
		}
		if math.Abs(s-lambda) < 1e-4*s && lambda > 0 {
			return s
		}
		lambda = s
	}
	return lambda
}

// MemoryEstimate is about how many bytes a Train call will use.
func (e *Ensemble[T]) MemoryEstimate(p *Problem) int64 {
	np, pt, d, c := p.Data.sizes()
	all, t, l := int64(np+pt), int64(len(e.Record.kept(p))), int64(p.Network.Depth)
	var one T
	word := int64(8)
	if _, ok := any(one).(float32); ok {
		word = 4
	}
	size := int64(e.batchSize())
	rows := size * int64(e.Width)
	batches := (int64(e.Replicas) + size - 1) / size
	regs := int64(2)
	if st, err := ode.NewStepper(p.Training.Method, p.Training.Steps); err == nil {
		regs = int64(st.Registers())
	}
	space, err := p.Data.chooseSpace(e.Space)
	cols, shared := all, int64(np)*all*(8+word)
	if err == nil && space == InputSpace {
		cols, shared = int64(d), 2*all*int64(d)*word
	}
	state := rows * word * (regs*(cols+int64(c)) + l*(3*all+int64(np)))
	hidden := word * regs * int64(e.Width) // columns of a hidden matrix
	if e.Conditioned {                     // two bases, their noise and the learned factors, with room to grow
		hidden = word * (regs + 4) * 3 / 2 * guessRank(np, c, p.Training.Steps, e.Width)
	}
	state += (l - 1) * size * int64(e.Width) * hidden
	fields, two := e.Record.twoTimeBytes(p, rows)
	state += fields
	record := t * (all*int64(c)*8*2*int64(e.Replicas+1) + 24*int64(e.Replicas)) // of the parts and together, with means and spreads
	q := int64(min(np*c, replicaRows))
	record += int64(e.Replicas) * int64(min(e.Record.NTKReplicas, len(e.Record.kernelSteps(p)))) * q * q * 8 * 2
	each := kernelBytes(np, c, p.Network.Depth)
	kernels := int64(len(e.Record.kernelSteps(p))) * each
	live := int64(e.Parallel(int(batches)))
	// Kernels of batches under way and of all together, the trajectory's copy, and room for one time being computed and saved.
	total := shared + live*state + record + (kernels+two)*(live+2)
	switch {
	case kernels > 0:
		total += 3*live*each + int64(np)*int64(np)*8
	case np*c <= lambdaRows: // the NTK at the start, of the first replica
		total += each + int64(np)*int64(np)*8
	}
	return total
}

// guessRank is about how many directions a hidden matrix will have met on either side: in long runs of tanh networks 100, 180 and 1080 were for 8, 16
// and 256 points.
func guessRank(points, outputs, steps, sites int) int64 {
	pc := int64(points) * int64(outputs)
	return min(int64(25*math.Pow(float64(pc), 0.7)), pc*int64(steps+1), int64(sites)/2)
}

// Flops is about how many floating-point operations a Train call will take.
func (e *Ensemble[T]) Flops(p *Problem) float64 {
	np, pt, d, c := p.Data.sizes()
	points, all, n, l := float64(np), float64(np+pt), float64(e.Width), float64(p.Network.Depth)
	evals := float64(p.Training.Steps)
	if m := p.Training.Method; m.IsFlow() && m.Kind != ode.AB2 && m.Kind != ode.AB3 && m.Kind != ode.AB4 {
		evals *= 4 // or more, adaptively
	}
	first := points * all
	if space, err := p.Data.chooseSpace(e.Space); err == nil && space == InputSpace {
		first = float64(d) * (points + all)
	}
	perSite := 2*first + 60*l*all // products of the first layer, activations
	hidden := 2 * n * (all + points*float64(c) + points)
	if e.Conditioned {
		// Each direction of the two bases costs five products with every column.
		rank := float64(guessRank(np, c, p.Training.Steps, e.Width))
		hidden = 2 * rank * (5*all + 5*points*float64(c))
	}
	return float64(e.Replicas) * n * evals * (perSite + (l-1)*hidden)
}

func (e *Ensemble[T]) memoryAdvice(p *Problem) string {
	try := *e
	lo := 0
	for w := e.Width; w >= 1; w /= 2 {
		try.Width = w
		if try.MemoryEstimate(p) <= e.Memory {
			lo = w
			break
		}
	}
	s := "raise the limit, keep fewer kernels (record: {kernels: 10}) or use fewer points"
	if lo > 0 {
		s = fmt.Sprintf("width %d would fit; or ", lo) + s
	}
	return s
}

func bytesText(n int64) string {
	const unit = 1024
	v, u := float64(n), 0
	for v >= unit && u < 4 {
		v, u = v/unit, u+1
	}
	return fmt.Sprintf("%.3g %s", v, []string{"B", "KiB", "MiB", "GiB", "TiB"}[u])
}
