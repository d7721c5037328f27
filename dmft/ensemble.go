package dmft

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/part"
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
	Observe Observer // is shown every replica at every recorded step and may stop the run; or nil
}

// Settings are those of the runner of replicas.
func (r Run) Settings() ensemble.Settings {
	return ensemble.Settings{Store: r.Store, Progress: r.Progress, Checkpoint: r.Checkpoint, Workers: r.Workers}
}

// Parallel is how many of n independent pieces of work are done at the same time.
func (r Run) Parallel(n int) int { return r.Settings().Parallel(n) }

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
type Store = ensemble.Store

// Ensemble is a set of independent replicas of one network: seeds of a finite network, or blocks of sites of the theory.
// [Train] trains them in batches, each a unit of parallel work and of resuming.
type Ensemble[T field.Float] struct {
	Name     string // of its parts in the store
	Width    int    // neurons or sites of a replica
	Replicas int
	Space    Space
	// Init draws the weights of one replica.
	Init func(replica int) (arch.Init[T], error)
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

var errNoise = errors.New("its sites were drawn by a version of the program that draws them differently, and results would be a mixture of both")

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

// times is how many steps f and losses are kept at.
func (r Record) times(p *Problem) int {
	every := max(r.Every, 1)
	return (p.Training.Steps+every-1)/every + 1
}

// kernelTimes is at how many of them kernels are kept.
func (r Record) kernelTimes(p *Problem) int {
	t := r.times(p)
	if !r.AutoKernels {
		return max(min(r.Kernels, t), 0)
	}
	np, _, _, c := p.Data.sizes()
	per := float64(kernelBytes(np, c, p.Network.Depth))
	n := t
	if t > autoKernels || float64(t)*per > autoBytes {
		n = thinnedTo
	}
	if float64(n)*per > autoBytes {
		n = int(autoBytes / per)
	}
	if n = min(n, t); n < 2 {
		return 0
	}
	return n
}

// kernelSteps are the steps at which kernels are kept.
func (r Record) kernelSteps(p *Problem) []int {
	steps := evenly(r.kernelTimes(p), r.times(p))
	for i, k := range steps {
		steps[i] = min(k*max(r.Every, 1), p.Training.Steps)
	}
	return steps
}

// kept are the steps at which f and losses are kept.
func (r Record) kept(p *Problem) []int {
	last, every := p.Training.Steps, max(r.Every, 1)
	steps := make([]int, 0, r.times(p))
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
	pc, q := float64(p)*float64(c), float64(p)
	return la.Bytes(16 * (pc*pc + float64(l)*(pc*pc+q*q)))
}

// piece is what one batch of replicas has recorded so far. Arrays have the replica as first axis.
type piece struct {
	Noise            int       // gaussian.Version of the theory's noise, 0 for networks
	Next             int       // step to be recorded next
	Midway           bool      // the step that leads there has begun
	F                []float64 // replica, T, All, C
	Loss, Test, Norm []float64 // replica, T
	Pre              []float64 // 2×L×n×columns
	Stepper          []float64
	First            [][]float64 // NTK at the first kept time by replica, when it is small
	Align, Move      []float64   // alignment and movement of the NTK, kept time × replica
	FirstLayers      [][]float64 // Φ^ℓ and G^ℓ at the first kept time by replica, when they are small
	Layers           []float64   // kept time × replica × summary (movement of Φ, of G, alignment of Φ) × layer
	Each             []float64   // replica × time × q × q: NTK of the first points
	Lambda           float64
	Ranks            [][2]int
	Dropped          float64
	Stats            ode.Stats
	Bad              *Status // set when the batch stopped early

	shown   int           // times, of those that are kept, that the observer was shown
	kernels []kernelStats // by recorded time; encoded one by one, since they may be large
	history history       // fields kept so far
	two     kernelStats   // two-time kernels, of a finished part
}

func (p *piece) save(enc *gob.Encoder) error {
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

// load reads a part of the given number of replicas of j, with noise of the given version.
func (p *piece) load(dec *gob.Decoder, n, noise int, sizes partSizes) error {
	if err := dec.Decode(p); err != nil {
		return err
	}
	if p.Noise != noise {
		return errNoise
	}
	if !p.fits(sizes) {
		return part.ErrMisfit
	}
	var predictions int
	if err := dec.Decode(&predictions); err != nil {
		return err
	}
	if predictions != sizes.f {
		return part.ErrMisfit
	}
	p.F = make([]float64, 0, predictions)
	for len(p.F) < predictions {
		var f []float64
		if err := dec.Decode(&f); err != nil {
			return err
		}
		if len(f) == 0 || len(f) > predictions-len(p.F) {
			return part.ErrMisfit
		}
		p.F = append(p.F, f...)
	}
	p.kernels = make([]kernelStats, n)
	for i := range p.kernels {
		if err := dec.Decode(&p.kernels[i]); err != nil {
			return err
		}
		if !p.kernels[i].fits(sizes.replicas, sizes.kernels, sizes.kernels) {
			return part.ErrMisfit
		}
	}
	if err := dec.Decode(&p.history); err != nil {
		return err
	}
	if err := dec.Decode(&p.two); err != nil {
		return err
	}
	if !p.two.fits(sizes.replicas, sizes.two, sizes.twoMost) || !p.history.fits(sizes) {
		return part.ErrMisfit
	}
	return nil
}

// partSizes are the sizes that a part must have.
type partSizes struct {
	replicas, layers, matrices, rows, points, outputs int
	steps, kept, kernelTimes                          int // times: of the run, of f, of kernels,
	twoTimes                                          int // and of two-time kernels
	f, pre, each, pairs                               int // numbers: predictions, preactivations, NTKs of replicas, NTK of one replica that is kept for its movement
	kernels, two, twoMost                             int // numbers: kernels of one time, two-time kernels without and with responses
}

func (j *job[T]) sizes(replicas int) partSizes {
	p, c, l := j.pts.Train, j.pts.outputs, j.p.Network.Depth
	pc, t, n := p*c, len(j.kept), len(j.tsteps)
	s := partSizes{replicas: replicas, layers: l, matrices: j.p.Network.matrices(), rows: replicas * j.Width, points: p, outputs: c, steps: j.p.Training.Steps, kept: t, kernelTimes: len(j.ksteps), twoTimes: n,
		f: replicas * t * j.pts.All * c, pre: 2 * l * replicas * j.preSite * min(p, preactColumns), kernels: pc*pc + l*(p*p+pc*pc)}
	q := min(pc, replicaRows)
	s.each = replicas * len(evenly(j.Record.NTKReplicas, len(j.ksteps))) * q * q
	if pc <= summaryRows {
		s.pairs = pc * pc
	}
	np, ng := n*p, n*pc
	s.two = l * (np*np + ng*ng)
	s.twoMost = s.two + 2*(l-1)*np*ng
	return s
}

// fits says whether the numbers that are encoded first are as many as they must be. Some are made when they are first recorded.
func (p *piece) fits(s partSizes) bool {
	for _, x := range []struct {
		got, want int
		later     bool
	}{{len(p.Loss), s.replicas * s.kept, false}, {len(p.Test), s.replicas * s.kept, false}, {len(p.Norm), s.replicas * s.kept, false}, {len(p.Pre), s.pre, false},
		{len(p.Align), s.replicas * s.kernelTimes, true}, {len(p.Move), s.replicas * s.kernelTimes, true}, {len(p.Each), s.each, true}, {len(p.First), s.replicas, true}} {
		if x.got != x.want && !(x.later && x.got == 0) {
			return false
		}
	}
	for _, k := range p.First {
		if len(k) != s.pairs {
			return false
		}
	}
	return p.Next >= 0 && p.Next <= s.steps+1 && len(p.Ranks) <= s.matrices && p.Bad == nil && len(p.Align) == len(p.Move)
}

// fits says whether the statistics are of at most so many replicas, and of numbers as many as one of the two sizes.
func (k *kernelStats) fits(replicas, size, most int) bool {
	if k.N == 0 {
		return len(k.Mean) == 0 && len(k.M2) == 0
	}
	return k.N > 0 && k.N <= replicas && len(k.Mean) == len(k.M2) && (len(k.Mean) == size || len(k.Mean) == most)
}

// fits says whether the fields kept so far are those of a run of these sizes.
func (h *history) fits(s partSizes) bool {
	if len(h.Phi) == 0 && len(h.G) == 0 && len(h.Known) == 0 {
		return true
	}
	if len(h.Phi) != s.layers || len(h.G) != s.layers || len(h.Known) > s.twoTimes {
		return false
	}
	for l := range h.Phi {
		if n := s.twoTimes * s.points; !h.Phi[l].Fills(s.rows, n) || !h.G[l].Fills(s.rows, n*s.outputs) {
			return false
		}
	}
	for _, layers := range h.Known {
		if len(layers) != s.matrices {
			return false
		}
		for _, ranks := range layers {
			if len(ranks) != 0 && len(ranks) != s.replicas {
				return false
			}
			for _, r := range ranks {
				if r[0] < 0 || r[1] < 0 || r[0] > s.rows || r[1] > s.rows {
					return false
				}
			}
		}
	}
	return true
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
	pts     *points[T]
	kept    []int // steps at which f and losses are kept
	ksteps  []int
	tsteps  []int // of two-time kernels
	preSite int   // sites per replica whose preactivations are kept
	parts   []*piece
	stats   []kernelStats // of all replicas, by recorded time
	two     kernelStats
}

// merge takes the kernels of the next part.
func (j *job[T]) merge(_ int, p *piece) {
	for k := range j.stats {
		if p.kernels[k].N > 0 {
			j.stats[k].merge(p.kernels[k])
		}
	}
	if p.two.N > 0 {
		j.two.merge(p.two)
	}
	p.kernels, p.two = nil, kernelStats{}
}

// Train trains every replica of an ensemble and collects their statistics. The result does not depend on GOMAXPROCS, nor on
// where a run with a Store was interrupted and resumed. A run that diverges returns the Trajectory up to there
// and a *StopError; one that its observer stops the Trajectory and no error.
func Train[T field.Float](ctx context.Context, p *Problem, e Ensemble[T]) (*Trajectory, error) {
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if p.Network.Depth == InfiniteDepth {
		return nil, errInfinite
	}
	if e.Width < 1 || e.Replicas < 1 {
		return nil, fmt.Errorf("dmft: %d replicas of width %d; both must be at least 1", e.Replicas, e.Width)
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
	size := e.batchSize()
	j.stats = make([]kernelStats, len(j.ksteps))
	r := ensemble.Runner[*piece]{Settings: e.Settings(), Name: e.Name, Batches: (e.Replicas + size - 1) / size, Steps: p.Training.Steps,
		Size: func(b int) int { return min(size, e.Replicas-b*size) }, Encode: (*piece).save, Merge: j.merge}
	r.Decode = func(dec *gob.Decoder, w *ensemble.Watch) (*piece, error) {
		pt := &piece{}
		err := pt.load(dec, len(j.ksteps), j.noise(), j.sizes(r.Size(w.Batch)))
		if err == nil && pt.Next != p.Training.Steps+1 {
			err = part.ErrMisfit
		}
		if err == nil {
			j.observe(pt, w)
		}
		return pt, err
	}
	r.Start = func(_ context.Context, b int, w *ensemble.Watch) (ensemble.Member[*piece], error) {
		return j.start(b*size, b*size+r.Size(b), w)
	}
	if j.parts, err = r.Run(ctx); err != nil {
		return nil, AsStop(err)
	}
	t := j.collect()
	t.Diagnostics.MemoryBytes = mem
	t.Diagnostics.BatchReplicas = size
	return t, t.Status.Err()
}

// AsStop is the error of a run of replicas as a *StopError, if it was interrupted.
func AsStop(err error) error {
	var stop *ensemble.Interruption
	if !errors.As(err, &stop) {
		return err
	}
	return &StopError{Status{Code: Interrupted, Step: stop.Step, Quantity: stop.Cause.Error(),
		Advice: "finished and unfinished parts are kept when there is a run folder; start the same command again to go on"}}
}

// batch are replicas that are trained together.
type batch[T la.Float] struct {
	*job[T]
	w     *ensemble.Watch
	nw    *network[T]
	pt    *piece
	st    ode.Stepper
	first bool // of the ensemble
	fresh bool // at its start, before anything was evaluated
}

// start makes the batch of replicas [lo, hi) at its start.
func (j *job[T]) start(lo, hi int, w *ensemble.Watch) (*batch[T], error) {
	st, err := ode.NewStepper(j.p.Training.Method, j.p.Training.Steps)
	if err != nil {
		return nil, fmt.Errorf("dmft: training: %w", err)
	}
	mode := summed
	switch {
	case j.TangentKernel:
		mode = byTangentKernel
	case j.Conditioned && j.p.Network.matrices() > 0:
		mode = perOutput
	}
	nw := newNetwork(j.p, j.pts, hi-lo, j.Width, mode, j.Conditioned)
	for r := range hi - lo {
		init, err := j.Init(lo + r)
		if err == nil {
			err = nw.Draw(r, init)
		}
		if err != nil {
			return nil, err
		}
	}
	nw.Reserve(st.Registers())
	nw.pause, nw.halt = w.Due, w.Halted
	t := len(j.kept)
	pt := &piece{
		Noise: j.noise(),
		F:     make([]float64, (hi-lo)*t*j.pts.All*j.pts.outputs),
		Loss:  make([]float64, (hi-lo)*t), Norm: make([]float64, (hi-lo)*t), Test: make([]float64, (hi-lo)*t),
		kernels: make([]kernelStats, len(j.ksteps)),
		Pre:     make([]float64, 2*len(nw.Hidden)*(hi-lo)*j.preSite*min(j.pts.Train, preactColumns)),
	}
	return &batch[T]{j, w, nw, pt, st, lo == 0, true}, nil
}

// Observe implements ensemble.Member.
func (b *batch[T]) Observe(n int) (ok bool, err error) {
	nw, pt := b.nw, b.pt
	if b.fresh && nw.centred {
		nw.forward(0)
		copy(nw.f0, nw.f)
	}
	b.fresh = false
	nw.Eval(0, b.p.Training.Method.Time(n))
	if nw.lost {
		return false, ensemble.ErrInterrupted
	}
	if pt.Bad = b.trouble(nw, n); pt.Bad != nil {
		return false, nil
	}
	if err := nw.Err(); err != nil {
		return false, fmt.Errorf("dmft: step %d: %w", n, err)
	}
	if b.record(nw, pt, n, b.first); nw.lost {
		return false, ensemble.ErrInterrupted
	}
	pt.Next = n + 1
	b.observe(pt, b.w)
	return true, nil
}

// Step implements ensemble.Member.
func (b *batch[T]) Step(n int) (ok bool, err error) {
	switch err := b.st.Step(b.nw, n); {
	case b.nw.lost:
		return false, ensemble.ErrInterrupted
	case err == nil || errors.Is(err, ode.ErrPaused):
		return true, err
	default:
		b.pt.Bad = &Status{Code: Diverged, Step: n, Quantity: err.Error()} // which says what to do
		return false, nil
	}
}

// Result implements ensemble.Member.
func (b *batch[T]) Result(at ensemble.Position) *piece {
	pt, nw, steps := b.pt, b.nw, b.p.Training.Steps
	pt.Next, pt.Midway = at.Next, false
	pt.Stats, pt.Stepper, pt.First, pt.FirstLayers = b.st.Stats(), nil, nil, nil
	pt.Ranks, pt.Dropped = nw.ranks()
	if len(b.tsteps) > 0 && pt.Bad == nil && pt.Next == steps+1 {
		var hidden [][]*gaussian.Matrix
		// Matrices of a list of blocks need not stand between one layer and the next.
		if len(b.tsteps) == steps+1 && !b.p.Training.Method.IsFlow() && b.p.Network.Blocks == nil {
			hidden = nw.conditioned()
		}
		for r := range nw.Replicas {
			pt.two.add(pt.history.twoTime(nw.Width, r, b.pts.outputs, hidden))
		}
	}
	pt.history = history{}
	return pt
}

// Save implements ensemble.Checkpointer.
func (b *batch[T]) Save(enc *gob.Encoder, at ensemble.Position) error {
	b.pt.Next, b.pt.Midway, b.pt.Stepper = at.Next, at.Midway, b.st.State()
	if err := b.pt.save(enc); err != nil {
		return err
	}
	return b.nw.save(enc)
}

// Load implements ensemble.Checkpointer.
func (b *batch[T]) Load(dec *gob.Decoder) (at ensemble.Position, err error) {
	pt := &piece{}
	if err := pt.load(dec, len(b.ksteps), b.noise(), b.sizes(b.nw.Replicas)); err != nil {
		return at, err
	}
	if err := b.nw.load(dec); err != nil {
		return at, err
	}
	if err := b.st.SetState(pt.Stepper); err != nil {
		return at, err
	}
	b.pt, b.fresh = pt, false
	b.observe(pt, b.w)
	return ensemble.Position{Next: pt.Next, Midway: pt.Midway}, nil
}

// record notes the state at step n.
func (j *job[T]) record(nw *network[T], pt *piece, n int, first bool) {
	for k, step := range j.tsteps {
		if step == n {
			nw.ByOutput(0, func() { pt.history.keep(fieldsOf(nw), k, len(j.tsteps)) })
		}
	}
	last := j.p.Training.Steps
	i := j.Record.index(n, last)
	if i < 0 { // kernels are kept where f is
		return
	}
	t, all, c := len(j.kept), j.pts.All, j.pts.outputs
	for r := range nw.Replicas {
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
		for _, v := range nw.ReadoutWeights(r).Data {
			s += float64(v) * float64(v)
		}
		pt.Norm[r*t+i] = s / float64(nw.Width*c)
	}
	if n == 0 {
		j.preactivations(nw, pt, 0)
	}
	if n == last {
		j.preactivations(nw, pt, 1)
	}
	for k, step := range j.ksteps {
		if step == n {
			nw.ByOutput(0, func() {
				kk := newKernelScratch(nw)
				for r := range nw.Replicas {
					x := kk.of(r)
					pt.kernels[k].add(x)
					j.summarise(pt, k, r, nw.Replicas, x)
					j.keepNTK(pt, k, r, nw.Replicas, x)
				}
			})
		}
	}
	if n == 0 && first {
		pt.Lambda = math.NaN()
		if pc := j.pts.Train * c; pc <= lambdaRows {
			nw.ByOutput(0, func() { pt.Lambda = largestEigenvalue(newKernelScratch(nw).of(0)[:pc*pc], pc) })
		}
	}
}

// lambdaRows is the size of the NTK up to which its largest eigenvalue at the start is noted.
const lambdaRows = 4096

// summaryRows is the size of the NTK above which its summaries have no error bars, which need one NTK of every replica to be kept.
const summaryRows = 512

// summarise notes alignment and movement of the NTK at the start of kernels x of one replica at kept time k; their scatter is an error bar.
func (j *job[T]) summarise(pt *piece, k, r, replicas int, x []float64) {
	pc := j.pts.Train * j.pts.outputs
	if pc > summaryRows {
		return
	}
	layers := x[pc*pc:]
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
	if j.layerSummaries() {
		j.summariseLayers(pt, k, r, replicas, layers)
	}
}

// layerNumbers is how many numbers the kernels of all layers may have for summaries by layer to have error bars, which need those of the start of every replica.
const layerNumbers = 1 << 17

func (j *job[T]) layerSummaries() bool {
	return layersSmall(j.p.Network.Depth, j.pts.Train, j.pts.outputs)
}

func layersSmall(l, p, c int) bool { return p*c <= summaryRows && l*(p*p+p*c*p*c) <= layerNumbers }

// summariseLayers notes movements of Φ^ℓ and G^ℓ and alignments of Φ^ℓ of one replica, whose kernels are x.
func (j *job[T]) summariseLayers(pt *piece, k, r, replicas int, x []float64) {
	p, l := j.pts.Train, j.p.Network.Depth
	pc := p * j.pts.outputs
	if pt.FirstLayers == nil {
		pt.FirstLayers, pt.Layers = make([][]float64, replicas), make([]float64, len(j.ksteps)*replicas*3*l)
	}
	if k == 0 {
		pt.FirstLayers[r] = append([]float64(nil), x...)
	}
	y := mat.NewDense(p, j.pts.outputs, j.pts.y.y)
	out := pt.Layers[(k*replicas+r)*3*l:]
	first := pt.FirstLayers[r]
	for i := range l {
		phi := mat.NewDense(p, p, x[i*p*p:(i+1)*p*p])
		at := l*p*p + i*pc*pc
		out[i] = kernels.Movement(phi, mat.NewDense(p, p, first[i*p*p:(i+1)*p*p]))
		out[l+i] = kernels.Movement(mat.NewDense(pc, pc, x[at:at+pc*pc]), mat.NewDense(pc, pc, first[at:at+pc*pc]))
		out[2*l+i] = kernels.Alignment(phi, y)
	}
}

// replicaRows is how many rows of the NTK of a replica are kept.
const replicaRows = 32

// keepNTK keeps the NTK of one replica at kept time k, if it is one of those asked for.
func (j *job[T]) keepNTK(pt *piece, k, r, replicas int, x []float64) {
	e := evenly(j.Record.NTKReplicas, len(j.ksteps))
	i := slices.Index(e, k)
	if i < 0 {
		return
	}
	pc := j.pts.Train * j.pts.outputs
	q := min(pc, replicaRows)
	if pt.Each == nil {
		pt.Each = make([]float64, replicas*len(e)*q*q)
	}
	for m := range q {
		copy(pt.Each[((r*len(e)+i)*q+m)*q:][:q], x[m*pc:])
	}
}

// preactivations keeps h of evenly spaced sites of each replica.
func (j *job[T]) preactivations(nw *network[T], pt *piece, which int) {
	cols := min(j.pts.Train, preactColumns)
	i := which * len(nw.Hidden) * nw.Replicas * j.preSite * cols
	for _, l := range nw.Hidden {
		h := l.H
		for r := range nw.Replicas {
			for s := range j.preSite {
				la.Convert(pt.Pre[i:i+cols], h.Value.Row(r*h.N + s*h.N/j.preSite)[:cols])
				i += cols
			}
		}
	}
}

// trouble says whether step n went wrong.
func (j *job[T]) trouble(nw *network[T], n int) *Status {
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
	var s *Status
	switch {
	case math.IsNaN(worst) || math.IsInf(worst, 0):
		s = &Status{Code: NotFinite, Step: n - 1, Quantity: fmt.Sprintf("the loss is not a finite number at step %d", n)}
	case worst > divergedAbove*scale:
		s = &Status{Code: Diverged, Step: n - 1, Quantity: fmt.Sprintf("|f| reached %.3g at step %d, targets are at most %.3g", worst, n, scale)}
	}
	if s != nil && n == 0 {
		s.Advice = tooLarge
	}
	return s
}

// diagnose writes the likely cause of a divergence.
func (j *job[T]) diagnose(lambda float64) string {
	m := j.p.Training.Method
	if m.IsAdaptive() {
		return "the flow itself grows without bound: lower the richness or use a saturating activation"
	}
	scale := 1.
	if j.p.Training.Loss.Mean {
		scale = 1 / float64(j.pts.Train)
	}
	limit := m.StabilityLimit(lambda * scale) // of the linearised dynamics
	if !(lambda > 0) || math.IsInf(lambda, 0) {
		return fmt.Sprintf("the learning rate η = %g is probably too large; try %.2g", m.LearningRate, m.LearningRate/4)
	}
	cause := "above"
	try := limit / 2
	if m.LearningRate <= limit {
		cause = "below, but λ_max grows while features are learned, so it was overtaken"
		try = m.LearningRate / 4
	}
	return fmt.Sprintf("learning rate η = %.4g against the stability limit %.4g/λ_max = %.4g of the NTK at the start "+
		"(λ_max = %.4g): %s; try learning_rate %.2g or a smaller richness",
		m.LearningRate, limit*lambda*scale, limit, lambda*scale, cause, try)
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

// MemoryEstimate is about how many bytes a Train call will have in use at once. Left alone, the garbage collector lets a process grow to twice of that; a program that
// must not tells it by runtime/debug.SetMemoryLimit. Of deep networks it is an upper bound for long runs (see guessRank), which short ones stay below by a factor of several.
func (e *Ensemble[T]) MemoryEstimate(p *Problem) int64 {
	p = p.WithDefaults()
	points, tests, dim, outputs := p.Data.sizes()
	// In floating point, since products of what a file may ask for do not fit into an int64.
	np, c, d, all := float64(points), float64(outputs), float64(dim), float64(points+tests)
	t, l, width, replicas := float64(e.Record.times(p)), float64(p.Network.Depth), float64(e.Width), float64(e.Replicas)
	matrices := float64(p.Network.matrices())
	var one T
	word := 8.
	if _, ok := any(one).(float32); ok {
		word = 4
	}
	size := float64(e.batchSize())
	rows := size * width
	batches := (e.Replicas + e.batchSize() - 1) / e.batchSize()
	regs := float64(p.Training.Method.Registers())
	space, err := p.Data.chooseSpace(e.Space)
	cols, shared := all, np*all*(8+word)
	if err == nil && space == InputSpace {
		cols, shared = d, 2*all*d*word
	}
	bias := 0.
	if p.Network.Bias > 0 {
		bias = matrices
	}
	back := np // columns of the gradient fields of every output by itself, where they are kept
	switch {
	case e.TangentKernel:
		back = all
	case !e.Conditioned || matrices == 0:
		back = 0
	}
	state := rows * word * (regs*(cols+c+bias) + l*(3*all+np+c*back))
	message := rows * word * (cols + c + bias) // the largest that a checkpoint encodes at once
	if e.Conditioned {
		rank := float64(guessRank(points, outputs, p.Training.Steps, e.Width)) * 3 / 2 // with room to grow
		state += matrices * rows * word * (regs + 5) * rank                            // two bases, their noise and what they have beside that of their sites, and what is learned in every register
		pools := l                                                                     // of noise, forward and backward, over half of the sites
		if p.Network.Kind == ResNet {
			pools = 1
		}
		state += 2 * rows / 2 * 8 * min(width/2, max(pools, matrices)*rank+pools*(min(d, all)+16))
		if matrices > 0 {
			message = max(message, 4*width*8*rank)
		}
	} else if matrices > 0 {
		state += matrices * size * regs * width * width * word
		message = max(message, width*width*word)
	}
	fields, two := e.Record.twoTimeBytes(p, int64(rows))
	state += float64(fields)
	if e.Store != nil { // gob takes nine bytes for a number of eight and five for one of four, and grows its buffer by doubling
		state += 2.5 * max(message, float64(fields))
	}
	record := t * (all*c*8*2*(replicas+1) + 24*replicas) // of the parts and together, with means and spreads
	q := float64(min(points*outputs, replicaRows))
	ksteps := e.Record.kernelTimes(p)
	record += replicas * float64(min(e.Record.NTKReplicas, ksteps)) * q * q * 8 * 2
	each := float64(kernelBytes(points, outputs, p.Network.Depth))
	kernels := float64(ksteps) * each
	live := float64(e.Parallel(batches))
	if kernels > 0 && layersSmall(p.Network.Depth, points, outputs) {
		record += live * size * 8 * l * (np*np + np*c*np*c)
	}
	// Kernels of batches under way and of all together, the trajectory's copy, and room for one time being computed and saved.
	total := shared + live*state + record + (kernels+float64(two))*(live+2)
	switch {
	case kernels > 0:
		total += 3*live*each + np*np*8
	case points*outputs <= lambdaRows: // the NTK at the start, of the first replica
		total += each + np*np*8
	}
	return la.Bytes(total*1.05 + 1<<17) // and what is small
}

// guessRank is about how many directions a hidden matrix will have met on either side: in long runs of tanh networks 100, 180 and 1080 were for 8, 16
// and 256 points.
func guessRank(points, outputs, steps, sites int) int64 {
	pc := int64(points) * int64(outputs)
	return min(int64(25*math.Pow(float64(pc), 0.7)), pc*int64(steps+1), int64(sites)/2)
}

// Flops is about how many floating-point operations a Train call will take; passes over memory count as the operations that would take as long.
func (e *Ensemble[T]) Flops(p *Problem) float64 {
	p = p.WithDefaults()
	np, pt, d, c := p.Data.sizes()
	points, all, outputs, n, l := float64(np), float64(np+pt), float64(c), float64(e.Width), float64(p.Network.Depth)
	evals := float64(p.Training.Steps) * float64(p.Training.Method.Evals())
	if p.Training.Method.IsAdaptive() {
		evals = float64(p.Training.Steps) * adaptiveEvals
	}
	first := points * all
	if space, err := p.Data.chooseSpace(e.Space); err == nil && space == InputSpace {
		first = float64(d) * (points + all)
	}
	// Products of the first layer and the readout; activations and what else is done with every field.
	perSite := 2*first + 2*outputs*(all+2*points) + passes*l*all
	hidden := 2 * n * (all + points*outputs + points)
	if e.Conditioned {
		// Each direction of the two bases costs some ten products with every column, in thin matrices.
		rank := float64(guessRank(np, c, p.Training.Steps, e.Width))
		hidden = 2 * rank * (10*all + 10*points*outputs)
	}
	// Kernels of every layer, for every pair of outputs.
	pc := points * outputs
	kernels := float64(len(e.Record.kernelSteps(p))) * l * 2 * (points*points + pc*(pc+points)/2)
	return float64(e.Replicas) * n * (evals*(perSite+float64(p.Network.matrices())*hidden) + kernels)
}

const (
	// adaptiveEvals is a guess of how often an adaptive flow takes the gradient between two outputs: 7 to 30 times where it is smooth, hundreds of times
	// where it is stiff or has kinks.
	adaptiveEvals = 60
	passes        = 200 // operations for every element of a field
)

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
