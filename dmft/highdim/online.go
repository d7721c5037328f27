package highdim

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/ode"
)

// Online is stochastic gradient descent on one fresh point at a time: the order-parameter equations of Saad and Solla
// (Phys. Rev. E 52, 1995, 4225). A step of time η stands for batch·D single points, at the rate κ = 2η/batch of each
// that the points of a step of OnePass have: it is OnePass for batch → 0 at the same κ. With g as in the package
// comment, R_ik = w_i·β_k/D and Q_ij = w_i·w_j/D follow, in units of steps,
//
//	dR_ik = −2η⟨g_i h*_k⟩,   dQ_ij = −2η⟨g_i h_j + g_j h_i⟩ + (4η²/batch)⟨g_i g_j⟩,   da_i = −(2η·rate/α)⟨Δφ(h_i)⟩,
//
// less weight decay, by adaptive Runge–Kutta. Label noise enters by ⟨g_i g_j⟩ alone. Problem.Ratio and Training.Batches
// are not used.
func Online(ctx context.Context, p *Problem, batch float64, s Settings) (*Trajectory, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if !positive(batch) {
		return nil, fmt.Errorf("highdim: steps of %g·D single points; the number must be positive and finite", batch)
	}
	if m := p.Training.Method; !m.IsPlain() {
		return nil, fmt.Errorf("highdim: online learning is gradient descent on one point at a time, not %s", m.Kind)
	}
	s, err := s.withDefaults()
	if err != nil {
		return nil, err
	}
	sites, blocks := s.Samples/s.Blocks, s.Blocks
	if p.quadratic() {
		sites, blocks = 0, 1 // nothing is sampled
	}
	j := &trainer{p: p, name: fmt.Sprintf("online-S%d", sites), replicas: blocks, run: s.Run}
	j.start = func(_ context.Context, b int, w *ensemble.Watch) (member, error) {
		o := &online{p: p, batch: batch, k: p.Target.directions()}
		o.rows = o.k + p.Units
		if p.Training.Centred {
			o.rows += p.Units
		}
		var err error
		if o.avg, err = newAverage(p, sites, s.Seed, stream(b, dataStream), o.rows); err != nil {
			return nil, err
		}
		return newOnline(j, o, w)
	}
	t, err := j.do(ctx)
	if t != nil {
		t.Samples = sites
	}
	return t, err
}

// online is one integration. The state is R, then the overlaps of the weights with those of the start if predictions
// are centred, then Q and the readouts.
type online struct {
	p       *Problem
	batch   float64
	k, rows int // directions; vectors whose Gram matrix the state is: the target, the start if need be, the weights
	avg     *average
	m       moments
	first   register // the start
	now     register // coordinates of the weights in the span of all vectors, of the last field
	gram    la.Mat[float64]
	step    int
	bad     error
}

// set expresses the state by coordinates.
func (o *online) set(y []float64) {
	n, k, w := o.p.Units, o.k, o.rows-o.p.Units
	o.gram.Zero()
	for i := range k {
		o.gram.Row(i)[i] = 1
	}
	for i := k; i < w; i++ {
		for j := range i + 1 {
			if j < k {
				o.gram.Row(i)[j] = o.first.w.Row(i - k)[j]
			} else {
				o.gram.Row(i)[j] = dot(o.first.w.Row(i-k), o.first.w.Row(j-k))
			}
		}
	}
	for i := range n {
		row := o.gram.Row(w + i)
		copy(row, y[i*w:(i+1)*w])
		copy(row[w:], y[n*w+i*n:n*w+i*n+i+1])
	}
	if !cholesky(o.gram.Data, o.rows) && o.bad == nil {
		o.bad = errors.New("overlaps and Gram matrix of the weights are no longer those of any weights: the " +
			"integration is not accurate enough")
	}
	for i := range n {
		copy(o.now.w.Row(i), o.gram.Row(w+i))
	}
	copy(o.now.a, y[n*w+n*n:])
}

// start are the weights of the start in the coordinates of set, or anything when predictions are not centred.
func (o *online) start() register {
	n := o.p.Units
	return register{w: la.Mat[float64]{Rows: n, Cols: o.rows, Stride: o.rows,
		Data: o.gram.Data[o.k*o.rows : (o.k+n)*o.rows]}, a: o.first.a}
}

// field is dy/dt in units of steps.
func (o *online) field(_ float64, dst, y []float64) {
	o.set(y)
	n, w := o.p.Units, o.rows-o.p.Units
	m := o.p.Training.Method
	eta := m.Rate(o.step, o.p.Training.Steps)
	start := o.start()
	o.avg.gradient(&o.m, weights{w: o.now.w, w0: start.w, a: o.now.a, a0: start.a})
	shrink := eta * m.WeightDecay
	for i := range n {
		gi, wi := o.m.gu.Row(i), o.now.w.Row(i)
		for b := range w {
			dst[i*w+b] = -2*eta*dot(gi, o.gram.Row(b)[:b+1]) - shrink*y[i*w+b]
		}
		for j := range n {
			dst[n*w+i*n+j] = -2*eta*(dot(gi, o.now.w.Row(j))+dot(o.m.gu.Row(j), wi)) +
				4*eta*eta/o.batch*o.m.gg.Row(i)[j] - 2*shrink*y[n*w+i*n+j]
		}
		dst[n*w+n*n+i] = 0
		if rate := o.p.Readout.Rate; rate > 0 {
			dst[n*w+n*n+i] = -2*eta*rate/o.p.OutputScale*o.m.gphi[i] - shrink*y[n*w+n*n+i]
		}
	}
}

// integration is an online under way.
type integration struct {
	recorder
	*online
	v  *ode.Vector
	st ode.Stepper
}

func newOnline(j *trainer, o *online, watch *ensemble.Watch) (*integration, error) {
	n, k, w, steps := o.p.Units, o.k, o.rows-o.p.Units, o.p.Training.Steps
	start, err := o.p.start()
	if err != nil {
		return nil, err
	}
	o.first, o.now = newRegister(n, k+n, k+n), newRegister(n, o.rows, o.rows)
	o.gram = la.New[float64](o.rows, o.rows)
	o.m = moments{gu: la.New[float64](n, o.rows), gphi: make([]float64, n), gg: la.New[float64](n, n)}
	y := make([]float64, n*w+n*n+n)
	for i, v := range start {
		copy(o.first.w.Row(i), v)
		copy(y[i*w:], v[:k])
		for l, u := range start {
			g := dot(v, u)
			if w > k {
				y[i*w+k+l] = g
			}
			y[n*w+i*n+l] = g
		}
	}
	copy(o.first.a, o.p.readout())
	copy(y[n*w+n*n:], o.first.a)
	st, err := ode.NewStepper(ode.Method{Kind: ode.RK45, LearningRate: 1, Tolerance: onlineTolerance}, steps)
	if err != nil {
		return nil, err
	}
	v := ode.NewVector(o.field, y)
	v.Reserve(st.Registers())
	rec := j.newRecord()
	rec.ClosedForm = o.avg.quad
	return &integration{recorder{j, rec, watch}, o, v, st}, nil
}

// Observe implements ensemble.Member.
func (r *integration) Observe(t int) (ok bool, err error) {
	o, rec := r.online, r.rec
	o.step = t
	r.v.Eval(0, float64(t))
	o.set(r.v.Register(0)) // the last field may have been of a stage
	r.note(rec, &replica{sys: &system{n: o.p.Units, k: o.rows, regs: []register{o.now}}, avg: o.avg, first: o.start()}, t)
	rec.Loss[t] = rec.Test[t] + o.p.Target.Noise*o.p.Target.Noise
	if rec.Bad = r.trouble(rec, t); rec.Bad == nil && o.bad != nil {
		rec.Bad = &dmft.Status{Code: dmft.Diverged, Step: t - 1, Quantity: o.bad.Error(),
			Advice: "use a smaller learning rate"}
	}
	if rec.Bad != nil {
		return false, nil
	}
	return r.recorded(t)
}

// Step implements ensemble.Member.
func (r *integration) Step(t int) (ok bool, err error) {
	return r.rec.step(t, r.st.Step(r.v, t), "use a smaller learning rate")
}

// Result implements ensemble.Member.
func (r *integration) Result(at ensemble.Position) *record {
	r.rec.Next, r.rec.Evaluations = at.Next, r.st.Stats().Evals
	return r.rec
}

// onlineTolerance is the error per step of the integration, far below that of samples and of finite D.
const onlineTolerance = 1e-9
