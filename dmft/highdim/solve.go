package highdim

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/part"
	"github.com/seed39b58f2d/dmft/ode"
)

// Settings are the numerical parameters of the theory. Zero values mean the defaults named here.
type Settings struct {
	Samples   int     // sites in all, 32768; the error falls as their square root
	Blocks    int     // independent blocks they are split into, 4
	Seed      uint64  //
	Tolerance float64 // norm of a direction that is dropped, relative to g; 3e-3
	// Number of times, evenly spaced in the logarithm of time, at which the kernel-task alignment is computed.
	Alignments int
	Responses  bool // also compute response functions, in memory and time of order steps²

	// Store keeps finished blocks and checkpoints of others, so that an interrupted run goes on; Progress is told steps
	// of all blocks; Memory is a limit in bytes; Observe is shown every step of every block. Record is not used. Runs
	// with responses, and those that follow moments, have no checkpoints inside a block.
	dmft.Run
}

const (
	defaultSamples   = 32768
	defaultBlocks    = 4
	defaultTolerance = 3e-3

	// Random streams of a replica: its number is in the high bits.
	dataStream  = 0
	testStream  = 1
	batchStream = 2
	probeStream = 3
	streamBits  = 32

	fewSamples    = 20  // samples of a block to a direction, below which it is worth a note
	divergedAbove = 1e6 // loss against its initial value
)

func stream(replica, kind int) uint64 { return uint64(replica)<<streamBits | uint64(kind) }

func (s Settings) withDefaults() (Settings, error) {
	if s.Samples == 0 {
		s.Samples = defaultSamples
	}
	if s.Blocks == 0 {
		s.Blocks = defaultBlocks
	}
	if s.Tolerance == 0 {
		s.Tolerance = defaultTolerance
	}
	if s.Blocks < 1 || s.Samples < 2*s.Blocks {
		return s, fmt.Errorf("highdim: %d samples in %d blocks; a block needs at least two", s.Samples, s.Blocks)
	}
	if !(s.Tolerance > 0 && s.Tolerance < 1) {
		return s, fmt.Errorf("highdim: tolerance %g must be in (0, 1)", s.Tolerance)
	}
	if s.Alignments < 0 {
		return s, fmt.Errorf("highdim: %d alignments", s.Alignments)
	}
	return s, nil
}

// Solve computes the limit P, D → ∞ at fixed δ and N, in blocks of samples whose scatter is the error bar. A run that
// diverges or is interrupted returns what it has, with an error that says where it stopped.
func Solve(ctx context.Context, p *Problem, s Settings) (*Trajectory, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	s, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	sites := s.Samples / s.Blocks
	first := p.Target.directions() + p.Units
	if sites < 4*(first+2) {
		return nil, fmt.Errorf("highdim: blocks of %d samples for %d independent fields; use at least %d samples or "+
			"fewer blocks", sites, first, 4*(first+2)*s.Blocks)
	}
	if s.Responses {
		if tr := p.Training; !tr.Method.IsPlain() || p.Readout.Rate > 0 || tr.Batches > 1 {
			return nil, errors.New("highdim: response functions are for full-batch gradient descent with a frozen readout")
		}
	}
	j := trainer{p: p, name: fmt.Sprintf("theory-S%d", sites), replicas: s.Blocks, aligned: s.Alignments, run: s.Run,
		bytes: estimate(p, s)}
	j.start = func(_ context.Context, b int, w *ensemble.Watch) (member, error) {
		x, noise, label, err := conditionedData(sites, first, p.Ratio, s.Tolerance, s.Seed, stream(b, dataStream))
		if err != nil {
			return nil, err
		}
		src := newPoints(p, x, sites, label, s.Seed^stream(b, batchStream))
		src.noise = noise
		if s.Responses {
			src.probe = newProbe(p, sites, rand.NewPCG(s.Seed, stream(b, probeStream)))
		}
		r, err := newReplica(p, src, first, sites, s.Seed, b)
		return j.member(r, w, err)
	}
	t, err := j.do(ctx)
	if t != nil {
		t.Samples = sites
		if k := t.Diagnostics.Directions; k*fewSamples > sites {
			t.Diagnostics.Notes = append(t.Diagnostics.Notes, fmt.Sprintf("%d directions over blocks of %d samples: "+
				"expect a bias of the order of %.1g of the losses; use more samples or fewer blocks", k, sites,
				float64(k)/float64(sites)))
		}
		if stuck(p) {
			t.Diagnostics.Notes = append(t.Diagnostics.Notes, "no unit overlaps with the target, and in the limit "+
				"none ever will if the target is even; give overlaps of order 1/√D")
		}
	}
	return t, err
}

// stuck says whether no unit has any overlap.
func stuck(p *Problem) bool {
	for _, row := range p.Target.Overlaps {
		for _, m := range row {
			if m != 0 {
				return false
			}
		}
	}
	return true
}

// Population is the limit δ → ∞: gradient descent on the true risk. It is exact for quadratic φ and σ, and averaged
// over Settings.Samples otherwise. The train loss is the test loss and the variance of label noise.
func Population(ctx context.Context, p *Problem, s Settings) (*Trajectory, error) {
	return solveRisk(ctx, p, s, 0)
}

// OnePass is stochastic gradient descent that never sees a point twice: every step takes batch·D fresh points (batch >
// 0), in the limit D → ∞. Problem.Ratio and Training.Batches are not used.
func OnePass(ctx context.Context, p *Problem, batch float64, s Settings) (*Trajectory, error) {
	if !positive(batch) {
		return nil, fmt.Errorf("highdim: one-pass batch of %g·D points must be positive and finite", batch)
	}
	if p.Training.Method.IsFlow() {
		return nil, fmt.Errorf("highdim: one-pass training takes steps; %s integrates a flow, which is Population",
			p.Training.Method.Kind)
	}
	return solveRisk(ctx, p, s, batch)
}

func solveRisk(ctx context.Context, p *Problem, s Settings, batch float64) (*Trajectory, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	s, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	st, err := ode.NewStepper(p.Training.Method, p.Training.Steps)
	if err != nil {
		return nil, err
	}
	base := p.Target.directions() + p.Units
	sites, blocks := s.Samples/s.Blocks, s.Blocks
	if p.quadratic() {
		sites, blocks = 0, 1 // nothing is sampled
	}
	j := trainer{p: p, name: fmt.Sprintf("risk-S%d", sites), replicas: blocks, run: s.Run}
	j.start = func(_ context.Context, b int, w *ensemble.Watch) (member, error) {
		src := &risk{p: p, base: base, batch: batch}
		dim := base
		if batch > 0 {
			dim += (st.Registers() + 1) * p.Units
			src.m.gg = la.New[float64](p.Units, p.Units)
		}
		src.m.gphi = make([]float64, p.Units)
		var err error
		if src.avg, err = newAverage(p, sites, s.Seed, stream(b, dataStream), dim); err != nil {
			return nil, err
		}
		r, err := newReplica(p, src, base, sites, s.Seed, b)
		if err == nil {
			src.start = r.first
			r.avg = src.avg
		}
		return j.member(r, w, err)
	}
	t, err := j.do(ctx)
	if t != nil {
		t.Samples = sites
	}
	return t, err
}

// Estimate is about how many bytes the theory of p takes.
func Estimate(p *Problem, s Settings) (int64, error) {
	if err := p.Validate(); err != nil {
		return 0, err
	}
	s, err := s.withDefaults()
	if err != nil {
		return 0, err
	}
	return estimate(p, s), nil
}

// Limit is the learning rate above which training of the linear part of the model alone diverges, 2η(1 + 1/√δ)² < 2 for
// gradient descent without weight decay. The quadratic part makes it smaller. Adaptive methods have none, which is
// zero.
func Limit(p *Problem) float64 {
	if p.Training.Method.IsAdaptive() {
		return 0
	}
	return p.Training.Method.StabilityLimit(2 * edge(p.Ratio))
}

// edge is the upper end of the spectrum of XᵀX/δ.
func edge(ratio float64) float64 { return math.Pow(1+1/math.Sqrt(ratio), 2) }

// estimate is about how many bytes the theory needs, if it meets some hundred directions.
func estimate(p *Problem, s Settings) int64 {
	sites, n, t, blocks := float64(s.Samples/s.Blocks), float64(p.Units), float64(p.Training.Steps+1), float64(s.Blocks)
	k := min(100+n*t, 100+20*n)
	if p.Training.Batches > 1 {
		k = min(n*t, sites)
	}
	live := float64(s.Run.Parallel(s.Blocks))
	b := live * (conditionedBytes(sites, k) + 8*sites*(5*n+8))
	b += 8 * t * blocks * (2*n*n + 2*n*float64(p.Target.directions()) + 20)
	if s.Responses {
		b += live*2*8*t*n*sites + 8*(blocks+2)*2*t*t*n*n
	}
	return la.Bytes(b)
}

// replica is one block or one seed under way.
type replica struct {
	sys   *system
	avg   *average
	first register // the start
	m     moments
	pts   *points // nil when there are none
}

func newReplica(p *Problem, src source, k, sites int, seed uint64, b int) (*replica, error) {
	r := &replica{}
	var err error
	if r.sys, err = newSystem(p, src, k); err != nil {
		return nil, err
	}
	r.first = newRegister(p.Units, p.Target.directions()+p.Units, p.Target.directions()+p.Units)
	for i := range p.Units {
		copy(r.first.w.Row(i), r.sys.regs[0].w.Row(i))
	}
	copy(r.first.a, r.sys.regs[0].a)
	r.pts, _ = src.(*points)
	if r.pts != nil {
		r.avg, err = newAverage(p, sites, seed, stream(b, testStream), 0)
	}
	return r, err
}

// trainer trains replicas and collects them.
type trainer struct {
	p        *Problem
	name     string
	replicas int
	aligned  int
	aligns   []int // the steps at which alignments are kept
	run      dmft.Run
	bytes    int64
	clock    []float64 // of all steps
	start    func(ctx context.Context, replica int, w *ensemble.Watch) (member, error)
}

type member = ensemble.Member[*record]

func (j *trainer) do(ctx context.Context) (*Trajectory, error) {
	if j.run.Memory > 0 && j.bytes > j.run.Memory {
		st := dmft.Status{Code: dmft.MemoryLimit, Quantity: fmt.Sprintf("about %.3g MiB are needed, the limit is "+
			"%.3g MiB", float64(j.bytes)/(1<<20), float64(j.run.Memory)/(1<<20)), Advice: "raise the limit or use fewer samples"}
		return nil, st.Err()
	}
	steps := j.p.Training.Steps
	j.aligns, j.clock = alignmentSteps(j.aligned, steps+1), j.times()
	r := ensemble.Runner[*record]{Settings: j.run.Settings(), Name: j.name, Batches: j.replicas, Steps: steps,
		Encode: func(rec *record, enc *gob.Encoder) error { return enc.Encode(rec) }}
	r.Decode = func(dec *gob.Decoder, w *ensemble.Watch) (*record, error) {
		rec := &record{}
		err := dec.Decode(rec)
		if err == nil && (rec.Next != steps+1 || !rec.fits(j)) {
			err = part.ErrMisfit
		}
		if err == nil {
			j.observe(rec, w)
		}
		return rec, err
	}
	r.Start = j.start
	rec, err := r.Run(ctx)
	err = dmft.AsStop(err)
	var stop *dmft.StopError
	interrupted := errors.As(err, &stop)
	switch {
	case err != nil && !interrupted:
		return nil, err
	case rec == nil: // there is no time that every replica has reached
		return &Trajectory{Replicas: j.replicas, Status: stop.Status}, err
	}
	for b, x := range rec {
		if !x.alike(rec[0]) {
			return nil, fmt.Errorf("highdim: part %s of an earlier run: %w; delete the run folder to compute it again",
				r.Part(b), part.ErrMisfit)
		}
	}
	t := collect(j.p, rec, j.clock)
	t.Diagnostics.MemoryBytes = j.bytes
	if interrupted && len(t.Time) <= t.Status.Step { // and not ended before
		t.Status = stop.Status
		t.Status.Step = max(len(t.Time)-1, 0)
	}
	return t, t.Status.Err()
}

// times are η times the step, by its schedule.
func (j *trainer) times() []float64 {
	m, steps := j.p.Training.Method, j.p.Training.Steps
	t := make([]float64, steps+1)
	for n := range steps {
		t[n+1] = t[n] + m.Rate(n, steps)
	}
	return t
}

// recorder is what all members have: what they record, and whom they show it.
type recorder struct {
	*trainer
	rec *record
	w   *ensemble.Watch
}

// recorded shows what was recorded up to step n.
func (r *recorder) recorded(n int) (ok bool, err error) {
	r.rec.Next = n + 1
	r.observe(r.rec, r.w)
	return true, nil
}

// member makes a member of replica r.
func (j *trainer) member(r *replica, w *ensemble.Watch, err error) (member, error) {
	if err != nil {
		return nil, err
	}
	st, err := ode.NewStepper(j.p.Training.Method, j.p.Training.Steps)
	if err != nil {
		return nil, err
	}
	r.sys.Reserve(st.Registers())
	n := &network{recorder{j, j.newRecord(), w}, r, st}
	n.rec.ClosedForm = r.avg.quad
	// With fixed points it can go on from the middle, and without responses, which are as large as everything else.
	if r.pts != nil && r.sys.src == source(r.pts) && r.pts.probe == nil {
		return &kept{n}, nil
	}
	return n, nil
}

// network is a replica in training.
type network struct {
	recorder
	*replica
	st ode.Stepper
}

// Observe implements ensemble.Member.
func (w *network) Observe(n int) (ok bool, err error) {
	w.sys.Eval(0, w.p.Training.Method.Time(n))
	if w.sys.err != nil {
		return false, fmt.Errorf("step %d: %w", n, w.sys.err)
	}
	w.note(w.rec, w.replica, n)
	if w.rec.Bad = w.trouble(w.rec, n); w.rec.Bad != nil {
		return false, nil
	}
	w.align(w.rec, n, func() float64 { return w.pts.alignment(w.sys, w.sys.regs[0]) })
	return w.recorded(n)
}

// Step implements ensemble.Member.
func (w *network) Step(n int) (ok bool, err error) { return w.rec.step(n, w.st.Step(w.sys, n), "") }

// Result implements ensemble.Member.
func (w *network) Result(at ensemble.Position) *record {
	rec, pts := w.rec, w.pts
	rec.Next, rec.Evaluations = at.Next, w.st.Stats().Evals
	if pts != nil && pts.noise != nil {
		rec.Directions, _, rec.Dropped = pts.x.Ranks()
		_, rec.Unmatched = pts.noise.Drawn()
	}
	if pts != nil && pts.probe != nil {
		rec.RW, rec.RG = pts.probe.w.Data, pts.probe.g.Data
	}
	return rec
}

// step notes how the step from n went, whose error says what to do, or the advice does.
func (r *record) step(n int, err error, advice string) (ok bool, _ error) {
	if err != nil {
		r.Bad = &dmft.Status{Code: dmft.Diverged, Step: n, Quantity: err.Error(), Advice: advice}
	}
	return err == nil, nil
}

// align records the alignment at step n, if it is kept there.
func (j *trainer) align(rec *record, n int, alignment func() float64) {
	if i := slices.Index(j.aligns, n); i >= 0 {
		rec.Align[i] = alignment()
	}
}

func (j *trainer) newRecord() *record {
	t, n, k := j.p.Training.Steps+1, j.p.Units, j.p.Target.directions()
	f := func(m int) []float64 { return make([]float64, t*m) }
	return &record{Loss: f(1), Test: f(1), Parts: f(3), Overlaps: f(n * k), Gram: f(n * n), Readout: f(n),
		Moments: f(momentCount), Align: make([]float64, min(j.aligned, t))}
}

// note records the state at step n.
func (j *trainer) note(rec *record, r *replica, n int) {
	s, now := r.sys, r.sys.regs[0]
	now.w.Cols = s.k
	r.avg.loss(&r.m, weights{w: now.w, w0: r.first.w, a: now.a, a0: r.first.a})
	rec.Loss[n], rec.Test[n] = s.loss, r.m.loss()
	copy(rec.Parts[3*n:], r.m.parts[:])
	k := j.p.Target.directions()
	mo := rec.Moments[momentCount*n:]
	size := float64(s.n)
	for i := range s.n {
		wi := now.w.Row(i)
		copy(rec.Overlaps[(n*s.n+i)*k:], wi[:k])
		mo[MeanOverlap] += now.a[i] * wi[0] / size
		for d := range k {
			mo[SecondOverlap] += now.a[i] * wi[d] * wi[d] / size
		}
		for l := range s.n {
			g := dot(wi, now.w.Row(l))
			rec.Gram[(n*s.n+i)*s.n+l] = g
			aa := now.a[i] * now.a[l] / (size * size)
			mo[MeanNorm] += aa * g
			mo[SecondNorm] += aa * g * g
		}
		mo[SecondTrace] += now.a[i] * dot(wi, wi) / size
	}
	copy(rec.Readout[n*s.n:], now.a)
}

// trouble says whether step n went wrong.
func (j *trainer) trouble(rec *record, n int) *dmft.Status {
	worst, scale := 0., 1.
	for _, x := range [][]float64{rec.Loss, rec.Test} {
		scale = max(scale, x[0])
		worst = max(worst, x[n]) // NaN if either is
	}
	if worst <= divergedAbove*scale {
		return nil
	}
	m, edge := j.p.Training.Method, edge(j.p.Ratio)
	st := &dmft.Status{Code: dmft.Diverged, Step: n - 1,
		Quantity: fmt.Sprintf("the loss reached %.3g at step %d from %.3g", worst, n, scale)}
	if math.IsNaN(worst) || math.IsInf(worst, 0) {
		st.Code, st.Quantity = dmft.NotFinite, fmt.Sprintf("the loss is not a finite number at step %d", n)
	}
	if n == 0 {
		st.Advice = "nothing has been trained by then, so numbers of the problem are too large for their squares: " +
			"look at the noise, the weights and the activations of target and network, and the output scale"
		return st
	}
	st.Advice = fmt.Sprintf("learning rate η = %.4g; the linear part of the model alone needs 2η(1+1/√δ)² = %.3g < "+
		"2, and its quadratic part less; try learning_rate %.2g",
		m.LearningRate, 2*m.LearningRate*edge, min(m.LearningRate, 1/edge)/4)
	return st
}
