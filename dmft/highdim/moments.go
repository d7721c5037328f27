package highdim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// SimulateMoments trains networks with a quadratic φ in D dimensions by following w̄ and M, which is exact: with Δ = f
// − y, one matrix moves all weights,
//
//	w_i ← L w_i − s,  L = (1 − ηλ) − (2η/αδ) φ″ Σ_μ Δ_μ x_μ x_μᵀ,  s = (2η/αδ) φ′(0) Σ_μ Δ_μ x_μ,  so that
//	w̄ ← L w̄ − s,     M ← L M Lᵀ − (L w̄) sᵀ − s (L w̄)ᵀ + s sᵀ
//
// Its time does not depend on N, and Units = 0 is N = ∞, for which M(0) = 1 and w̄(0) = 0. Finite N draws weights from
// N(0, 1) when the Problem has no overlaps, and makes those and the Gram matrix exact, as Simulate does from the same
// seed, when it has. Training is by gradient descent with a frozen readout of ones, and the target is quadratic.
func SimulateMoments(ctx context.Context, p *Problem, s Simulation) (*Trajectory, error) {
	if p.Units < 0 {
		return nil, fmt.Errorf("highdim: %d units", p.Units)
	}
	if o := p.Target.Overlaps; o != nil && len(o) != p.Units {
		return nil, fmt.Errorf("highdim: overlaps of %d units are given for a network of %d", len(o), p.Units)
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	s, err := s.check(p)
	if err != nil {
		return nil, err
	}
	phi, _ := quadratic(p.Activation)
	link, _ := quadratic(p.Target.link())
	switch {
	case !p.quadratic():
		return nil, errors.New("highdim: moments are followed for a quadratic activation and target; use Simulate")
	case p.Readout.Rate > 0 || p.Readout.Initial != nil:
		return nil, errors.New("highdim: moments are followed with a frozen readout of ones; use Simulate")
	case !p.Training.Method.IsPlain():
		return nil, fmt.Errorf("highdim: moments are followed by gradient descent, not by %s; use Simulate",
			p.Training.Method.Kind)
	case s.Fresh:
		return nil, errors.New("highdim: moments are followed on points that are used again; use Simulate")
	case s.Linearised && p.Training.Method.WeightDecay != 0:
		return nil, errors.New("highdim: with weight decay the model is not linear around the start; use weight decay 0")
	case p.Target.Overlaps == nil && p.Gram != nil:
		return nil, errors.New("highdim: a Gram matrix needs overlaps")
	}
	k := p.Target.directions()
	if s.Dimension < k || p.Target.Overlaps != nil && s.Dimension < k+p.Units {
		return nil, fmt.Errorf("highdim: dimension %d is too small for the overlaps of %d units and %d target "+
			"directions", s.Dimension, p.Units, k)
	}
	points := s.points(p)
	j := &trainer{p: p, name: fmt.Sprintf("moments-D%d", s.Dimension), replicas: s.Seeds, aligned: s.Alignments, run: s.Run,
		bytes: s.momentBytes(p)}
	if s.Linearised { // its kernel does not move
		j.name, j.aligned, s.Alignments = fmt.Sprintf("linearised-D%d", s.Dimension), 0, 0
	}
	j.start = func(ctx context.Context, b int, w *ensemble.Watch) (member, error) {
		m, err := newMoment(ctx, p, s, b, phi, link)
		if err != nil {
			return nil, err
		}
		return newMoments(j, m, w), nil
	}
	t, err := j.do(ctx)
	if t != nil {
		t.Dimension, t.Samples = s.Dimension, points
	}
	return t, err
}

// momentBytes is about how much memory SimulateMoments takes.
func (s Simulation) momentBytes(p *Problem) int64 {
	points, d := float64(s.points(p)), float64(s.Dimension)
	each := 8 * (2*d*points + 6*d*d + 4*points)
	if s.Alignments > 0 && !s.Linearised || s.Linearised && points <= regressionPoints {
		each += 16 * points * points
	}
	return la.Bytes(float64(s.Run.Parallel(s.Seeds)) * each)
}

// moment is one run. Vectors are in units of √D, matrices of D, so that coordinates of x are N(0, 1).
type moment struct {
	p         *Problem
	d, k      int
	phi, link [3]float64
	c         []float64       // c_k
	x         la.Mat[float64] // D×P
	y, err    []float64       // labels, errors
	w, w0     []float64       // w̄
	m, m0     la.Mat[float64] // M
	xt, b, l  la.Mat[float64] // scratch: D×P, D×D, D×D
	lw, s     []float64       // scratch
	batch     *batcher
	lin       *linearised // or nil
}

func newMoment(ctx context.Context, p *Problem, s Simulation, b int, phi, link [3]float64) (*moment, error) {
	d, points := s.Dimension, s.points(p)
	q := &moment{p: p, d: d, k: p.Target.directions(), phi: phi, link: link}
	rng := rand.New(rand.NewPCG(s.Seed, stream(b, dataStream)))
	var err error
	if q.x, err = drawData(ctx, points, d, rng); err != nil {
		return nil, err
	}
	q.y, q.err, q.w, q.lw, q.s = make([]float64, points), make([]float64, points), make([]float64, d),
		make([]float64, d), make([]float64, d)
	q.m, q.b, q.l, q.xt = la.New[float64](d, d), la.New[float64](d, d), la.New[float64](d, d), la.New[float64](d, points)
	h, label := make([]float64, q.k), p.Target.label()
	for i := range q.y {
		for k := range h {
			h[k] = q.x.Row(k)[i]
		}
		q.y[i] = label(h)
	}
	for i := range q.y { // the order in which Simulate draws them
		q.y[i] += p.Target.Noise * rng.NormFloat64()
	}
	for k := range q.k {
		c := 1.
		if p.Target.Weights != nil {
			c = p.Target.Weights[k]
		}
		q.c = append(q.c, c)
	}
	if p.Training.Batches > 1 {
		q.batch = &batcher{seed: s.Seed ^ stream(b, batchStream), per: p.Training.Batches, epoch: -1}
	}
	row := make([]float64, d)
	add := func(w []float64) {
		la.Axpy(1/float64(p.Units), w, q.w)
		for i, x := range w {
			la.Axpy(x/float64(p.Units), w, q.m.Row(i))
		}
	}
	switch {
	case p.Units == 0:
		for i := range d {
			q.m.Row(i)[i] = 1 / float64(d)
		}
	case p.Target.Overlaps == nil:
		for range p.Units {
			for i := range row {
				row[i] = rng.NormFloat64() / math.Sqrt(float64(d))
			}
			add(row)
		}
	default:
		start, err := p.start()
		if err != nil {
			return nil, err
		}
		for _, w := range start {
			copy(row, w)
			add(row)
		}
	}
	q.w0, q.m0 = make([]float64, d), la.New[float64](d, d)
	if p.Training.Centred {
		copy(q.w0, q.w)
		copy(q.m0.Data, q.m.Data)
	}
	if s.Linearised {
		q.lin = q.linearise()
	}
	return q, nil
}

// momentRun is a moment in training.
type momentRun struct {
	recorder
	*moment
}

func newMoments(j *trainer, q *moment, w *ensemble.Watch) *momentRun {
	t := j.p.Training.Steps + 1
	rec := &record{Loss: make([]float64, t), Test: make([]float64, t), Parts: make([]float64, 3*t),
		Moments: make([]float64, momentCount*t),
		Align:   make([]float64, min(j.aligned, t)), ClosedForm: true}
	if q.lin != nil && len(q.y) <= regressionPoints {
		rec.Regression = q.regression()
	}
	return &momentRun{recorder{j, rec, w}, q}
}

// Observe implements ensemble.Member.
func (r *momentRun) Observe(n int) (ok bool, err error) {
	r.moment.note(r.rec, n)
	if r.rec.Bad = r.trouble(r.rec, n); r.rec.Bad != nil {
		return false, nil
	}
	r.align(r.rec, n, r.alignment)
	r.rec.Evaluations++
	return r.recorded(n)
}

// Step implements ensemble.Member.
func (r *momentRun) Step(n int) (ok bool, err error) {
	if r.batch != nil {
		r.batch.mask(r.moment.err, n)
	}
	m := r.trainer.p.Training.Method
	r.step(m.Rate(n, r.trainer.p.Training.Steps), m.WeightDecay)
	return true, nil
}

// Result implements ensemble.Member.
func (r *momentRun) Result(at ensemble.Position) *record {
	r.rec.Next = at.Next
	return r.rec
}

// note records losses, and leaves the errors of all points.
func (q *moment) note(rec *record, n int) {
	alpha, points := q.p.OutputScale, float64(len(q.y))
	// b ← αφ″(0)/2·(M − M0), s ← αφ′(0)(w̄ − w̄0): the quadratic and linear part of f.
	for i := range q.b.Data {
		q.b.Data[i] = alpha * q.phi[2] * (q.m.Data[i] - q.m0.Data[i])
	}
	for i := range q.s {
		q.s[i] = alpha * q.phi[1] * (q.w[i] - q.w0[i])
	}
	shift := 0.
	if !q.p.Training.Centred {
		shift = alpha * q.phi[0]
	}
	la.Gemm(la.N, la.N, 1, q.b, q.x, 0, q.xt)
	for i := range q.err {
		q.err[i] = shift - q.y[i]
	}
	for i := range q.d {
		u, v := q.x.Row(i), q.xt.Row(i)
		for j, x := range u {
			q.err[j] += x * (v[j] + q.s[i])
		}
	}
	for _, e := range q.err {
		rec.Loss[n] += e * e / points
	}
	for k, c := range q.c {
		shift -= c * q.link[0]
		q.s[k] -= c * q.link[1]
		q.b.Row(k)[k] -= c * q.link[2]
	}
	trace, two, lin := shift, 0., 0.
	for i := range q.d {
		trace += q.b.Row(i)[i]
		lin += q.s[i] * q.s[i]
	}
	for _, x := range q.b.Data {
		two += 2 * x * x
	}
	copy(rec.Parts[3*n:], []float64{trace * trace, two, lin})
	rec.Test[n] = trace*trace + two + lin
	mo := rec.Moments[momentCount*n:]
	for i, w := range q.w {
		mo[MeanNorm] += w * w
		mo[SecondTrace] += q.m.Row(i)[i]
	}
	mo[MeanOverlap] = q.w[0]
	for _, x := range q.m.Data {
		mo[SecondNorm] += x * x
	}
	for k := range q.k {
		mo[SecondOverlap] += q.m.Row(k)[k]
	}
}

// step moves the moments along the errors.
func (q *moment) step(eta, decay float64) {
	rate := 2 * eta / (q.p.OutputScale * float64(len(q.y)))
	if q.lin != nil {
		q.lin.move(q, rate, q.err)
		return
	}
	for i := range q.d {
		u, v := q.x.Row(i), q.xt.Row(i)
		for j, e := range q.err {
			v[j] = e * u[j]
		}
	}
	la.Gemm(la.N, la.T, -rate*2*q.phi[2], q.xt, q.x, 0, q.l)
	for i := range q.d {
		q.l.Row(i)[i] += 1 - eta*decay
	}
	la.Gemv(la.N, rate*q.phi[1], q.x, q.err, 0, q.s)
	la.Gemv(la.N, 1, q.l, q.w, 0, q.lw)
	la.Gemm(la.N, la.N, 1, q.l, q.m, 0, q.b)
	la.Gemm(la.N, la.T, 1, q.b, q.l, 0, q.m)
	for i := range q.d {
		row := q.m.Row(i)
		for j := range row {
			row[j] += -q.lw[i]*q.s[j] - q.s[i]*q.lw[j] + q.s[i]*q.s[j]
		}
		q.w[i] = q.lw[i] - q.s[i]
	}
}

// kernel is the tangent kernel K = x·x′ Σ_i φ′(h_i)φ′(h_i′)/N of all pairs of points.
func (q *moment) kernel() la.Mat[float64] {
	n, p1, p2 := len(q.y), q.phi[1], 2*q.phi[2]
	k, lin := la.New[float64](n, n), la.New[float64](n, n)
	la.Gemm(la.T, la.N, 1/float64(q.d), q.x, q.x, 0, lin)
	la.Gemm(la.N, la.N, p2*p2, q.m, q.x, 0, q.xt)
	la.Gemm(la.T, la.N, 1, q.x, q.xt, 0, k)
	h := make([]float64, n)
	la.Gemv(la.T, p1*p2, q.x, q.w, 0, h)
	for i := range n {
		row, x := k.Row(i), lin.Row(i)
		for j := range row {
			row[j] = x[j] * (p1*p1 + h[i] + h[j] + row[j])
		}
	}
	return k
}

// alignment is that of points.alignment, from all elements of the kernel.
func (q *moment) alignment() float64 {
	n, k := len(q.y), q.kernel()
	mean, power := 0., 0.
	for _, y := range q.y {
		mean += y / float64(n)
	}
	num, frob := 0., 0.
	for i, yi := range q.y {
		yi -= mean
		power += yi * yi
		for j, yj := range q.y {
			x := k.Row(i)[j]
			num += yi * (yj - mean) * x
			frob += x * x
		}
	}
	return math.Sqrt(float64(n)) * num / (math.Sqrt(frob) * power)
}
