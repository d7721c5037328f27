package highdim

import (
	"math"
	"math/rand/v2"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// register is a state of the network, a direction, or a velocity: coordinates of the weights, N×k of a row's capacity, and readouts.
type register struct {
	w la.Mat[float64] // N×k, Stride is the capacity
	a []float64
}

func newRegister(n, k, capacity int) register {
	return register{w: la.Mat[float64]{Rows: n, Cols: k, Stride: capacity, Data: make([]float64, n*capacity)}, a: make([]float64, n)}
}

// system is the network as an ode.System. Where its gradient comes from is the business of a source.
type system struct {
	n, k    int // units, coordinates
	regs    []register
	grad    register // ∇
	data    [][]float64
	readout bool
	src     source
	loss    float64 // on the training points, of the last Eval
	err     error
}

// source computes the descent direction of a system at a register: sys.grad and sys.loss.
type source interface {
	eval(sys *system, r register, t float64) error
}

func newSystem(p *Problem, src source, k int) (*system, error) {
	w, err := p.start()
	if err != nil {
		return nil, err
	}
	s := &system{n: p.Units, k: k, src: src, readout: p.Readout.Rate > 0}
	capacity := max(k, len(w[0])) + 32
	s.regs = []register{newRegister(s.n, k, capacity)}
	s.grad = newRegister(s.n, k, capacity)
	for i := range w {
		copy(s.regs[0].w.Row(i), w[i])
	}
	copy(s.regs[0].a, p.readout())
	return s, nil
}

// widen makes every register have k coordinates, new ones zero.
func (s *system) widen(k int) {
	if k > s.k {
		for i := range s.regs {
			s.regs[i].w = widen(s.regs[i].w, k)
		}
		s.grad.w = widen(s.grad.w, k)
		s.k = k
	}
}

func widen(m la.Mat[float64], k int) la.Mat[float64] {
	if k <= m.Stride {
		m.Cols = k
		return m
	}
	out := la.Mat[float64]{Rows: m.Rows, Cols: k, Stride: 2 * k, Data: make([]float64, m.Rows*2*k)}
	for i := range m.Rows {
		copy(out.Row(i), m.Row(i))
	}
	return out
}

// Reserve implements ode.System.
func (s *system) Reserve(n int) {
	for len(s.regs) < n {
		s.regs = append(s.regs, newRegister(s.n, s.k, s.grad.w.Stride))
	}
}

// Eval implements ode.System.
func (s *system) Eval(r int, t float64) {
	at := s.regs[r]
	if !s.readout { // stages of a method hold nothing there
		at.a = s.regs[0].a
	}
	if err := s.src.eval(s, at, t); err != nil && s.err == nil {
		s.err = err
	}
}

// Accumulate implements ode.System.
func (s *system) Accumulate(dst int, beta, a float64) {
	add(s.regs[dst].w.Data, beta, a, s.grad.w.Data)
	if s.readout {
		add(s.regs[dst].a, beta, a, s.grad.a)
	}
}

// add sets x ← beta·x + a·y; with beta = 0 the old x is ignored.
func add(x []float64, beta, a float64, y []float64) {
	switch beta {
	case 0:
		clear(x)
	case 1:
	default:
		for i := range x {
			x[i] *= beta
		}
	}
	la.Axpy(a, y, x)
}

// Combine implements ode.System.
func (s *system) Combine(dst int, c []float64) {
	s.data = s.data[:0]
	for _, r := range s.regs {
		s.data = append(s.data, r.w.Data)
	}
	la.Combine(dst, c, s.data)
	if s.readout {
		for i, r := range s.regs {
			s.data[i] = r.a
		}
		la.Combine(dst, c, s.data)
	}
}

// ErrorNorm implements ode.System. Components are those of the start, so that coordinates which have just appeared do not dilute the error.
func (s *system) ErrorNorm(e, a, b int, atol, rtol float64) float64 {
	sum, count := 0., 0
	part := func(e, a, b []float64) {
		for i, v := range e {
			q := v / (atol + rtol*math.Max(math.Abs(a[i]), math.Abs(b[i])))
			sum += q * q
		}
	}
	for i := range s.n {
		part(s.regs[e].w.Row(i), s.regs[a].w.Row(i), s.regs[b].w.Row(i))
		count += s.n
	}
	if s.readout {
		part(s.regs[e].a, s.regs[a].a, s.regs[b].a)
		count += s.n
	}
	return math.Sqrt(sum / float64(count))
}

// points is the source of gradients of a fixed set of points: those of a direct simulation, or the sites of the theory.
type points struct {
	p      *Problem
	x      *dataMatrix
	y, f0  []float64
	f, err []float64 // predictions, f − y
	h      la.Mat[float64]
	d, g   la.Mat[float64] // φ′, g; rows are units
	batch  *batcher
	probe  *probe // of response functions, or nil
}

// newPoints labels the sites of x, whose first columns are the projections on the target, with noise ξ.
func newPoints(p *Problem, x *dataMatrix, label []float64, seed uint64) *points {
	n, s, k := p.Units, x.sites, p.Target.directions()
	q := &points{p: p, x: x, y: make([]float64, s), f: make([]float64, s), err: make([]float64, s)}
	q.h, q.d, q.g = la.New[float64](n, s), la.New[float64](n, s), la.New[float64](n, s)
	h := make([]float64, k)
	for i := range q.y {
		for j := range h {
			h[j] = x.u.Row(j)[i]
		}
		q.y[i] = p.Target.value(h)
		if p.Target.Noise > 0 {
			q.y[i] += p.Target.Noise * label[i]
		}
	}
	if p.Training.Batches > 1 {
		q.batch = &batcher{seed: seed, per: p.Training.Batches, epoch: -1}
	}
	return q
}

// forward computes fields, φ′ and predictions at a register.
func (q *points) forward(r register) {
	q.x.Mul(q.h, r.w)
	clear(q.f)
	scale := q.p.OutputScale / float64(q.p.Units)
	for i, a := range r.a {
		phi, h := q.g.Row(i), q.h.Row(i)
		q.p.Activation.Eval(phi, q.d.Row(i), h)
		la.Axpy(scale*a, phi, q.f)
	}
	if q.f0 == nil {
		q.f0 = make([]float64, len(q.f))
		if q.p.Training.Centred { // the first register ever seen is the start
			copy(q.f0, q.f)
		}
	}
}

// eval implements source: ∇w_i = −2⟨g_i u_k⟩ and ∇a_i = −2⟨Δφ(h_i)⟩·rate/α.
func (q *points) eval(sys *system, r register, t float64) error {
	q.forward(r)
	loss := 0.
	for i, f := range q.f {
		e := f - q.f0[i] - q.y[i]
		q.err[i] = e
		loss += e * e
	}
	sys.loss = loss / float64(len(q.f))
	if q.batch != nil {
		q.batch.mask(q.err, int(t))
	}
	alpha, rate := q.p.OutputScale, q.p.Readout.Rate
	for i, a := range r.a {
		g, d := q.g.Row(i), q.d.Row(i) // g holds φ until here
		if rate > 0 {
			sys.grad.a[i] = -2 * rate / alpha * mean2(q.err, g)
		}
		scale := a / alpha
		for j, e := range q.err {
			g[j] = scale * e * d[j]
		}
	}
	k, err := q.x.extend(q.g)
	if err != nil {
		return err
	}
	sys.widen(k)
	q.x.MulT(sys.grad.w, q.g)
	for i := range sys.n {
		scale(sys.grad.w.Row(i), -2)
	}
	if q.probe != nil {
		q.probe.step(q, sys, r, int(t))
	}
	return nil
}

func scale(x []float64, a float64) {
	for i := range x {
		x[i] *= a
	}
}

// alignment is √P times the kernel-task alignment yᵀKy/(|K|·|y|²) of the neural tangent kernel on the training points, with centred labels. The kernel has the elements
// x·x′ Σ_i a_i²φ′_iφ′_i′ + (rate/D) Σ_i φ_iφ_i′, and D, P → ∞ leaves
//
//	yᵀKy = D Σ_i |Xᵀ(y a_iφ′_i)|²/D + …,     |K|² = P⟨(Σ_i a_i²φ′_i²)²⟩ + P δ Σ_ij ⟨a_iφ′_i a_jφ′_j⟩²
//
// so that the alignment itself falls as 1/√P. It uses scratch of eval, and leaves its results alone.
func (q *points) alignment(sys *system, r register) float64 {
	q.forward(r)
	s := float64(len(q.y))
	mean := 0.
	for _, y := range q.y {
		mean += y / s
	}
	delta, num, power := q.x.ratio, 0., 0.
	if !q.x.conditioned {
		delta = s / float64(q.x.k)
	}
	if math.IsInf(delta, 1) {
		return math.NaN() // every kernel is orthogonal to almost all of so many points
	}
	for j, y := range q.y {
		q.err[j] = y - mean
		power += (y - mean) * (y - mean) / s
	}
	if rate := q.p.Readout.Rate; rate > 0 {
		for i := range r.a {
			x := mean2(q.err, q.g.Row(i))
			num += rate * delta * delta * x * x
		}
	}
	for i, a := range r.a {
		scale(q.d.Row(i), a)
	}
	frob := 0.
	for j := range q.y {
		x := 0.
		for i := range r.a {
			x += q.d.Row(i)[j] * q.d.Row(i)[j]
		}
		frob += x * x / s
	}
	for i := range r.a {
		for j := range r.a {
			x := mean2(q.d.Row(i), q.d.Row(j))
			frob += delta * x * x
		}
	}
	c := room(q.x.c, 1, q.x.k)
	for i := range r.a {
		g := q.g.Slice(i, i+1, 0, q.g.Cols)
		for j, e := range q.err {
			g.Data[j] = e * q.d.Row(i)[j]
		}
		q.x.MulT(c, g)
		for _, x := range c.Data {
			num += delta * delta * x * x
		}
		if q.x.conditioned { // and the part of Xᵀg outside of what is known
			num += delta * (meanSquare(g.Data) - q.x.span(g.Data))
		}
	}
	return num / (delta * math.Sqrt(frob) * power)
}

// batcher yields mini-batches: points are shuffled once an epoch by a stream of their own, and dealt into equal parts.
type batcher struct {
	seed  uint64
	per   int
	epoch int
	perm  []int
}

// mask zeroes x outside the batch of step n and scales the rest, so that averages over all points are averages over the batch.
func (b *batcher) mask(x []float64, n int) {
	if e := n / b.per; e != b.epoch {
		b.epoch = e
		b.perm = rand.New(rand.NewPCG(b.seed, batchStream^uint64(e)<<8)).Perm(len(x))
	}
	j := n % b.per
	lo, hi := j*len(x)/b.per, (j+1)*len(x)/b.per
	for _, i := range b.perm[:lo] {
		x[i] = 0
	}
	for _, i := range b.perm[hi:] {
		x[i] = 0
	}
	w := float64(len(x)) / float64(max(hi-lo, 1))
	for _, i := range b.perm[lo:hi] {
		x[i] *= w
	}
}

// risk is the source of gradients of the true risk, and of one-pass stochastic gradient descent around them.
type risk struct {
	p     *Problem
	avg   *average
	m     moments
	base  int             // coordinates of the directions that the start knows; noise has those behind
	batch float64         // b: fresh points of a step over D; 0 is none, the true gradient
	start register        // for centred predictions
	joint la.Mat[float64] // scratch of compress
}

// eval implements source. A batch of bD fresh points adds to the true gradient a vector orthogonal to everything, of covariance ⟨g_i g_j⟩/b.
func (s *risk) eval(sys *system, r register, _ float64) error {
	k := sys.k
	if s.batch > 0 {
		k = s.compress(sys)
		sys.widen(k + sys.n)
		r.w.Cols = k
	}
	s.m.gu = room(s.m.gu, sys.n, k)
	s.avg.gradient(&s.m, weights{w: r.w, w0: s.start.w, a: r.a, a0: s.start.a})
	sys.loss = s.m.loss() + s.p.Target.Noise*s.p.Target.Noise
	for i := range sys.n {
		row := sys.grad.w.Row(i)
		for j, x := range s.m.gu.Row(i) {
			row[j] = -2 * x
		}
		sys.grad.a[i] = -2 * s.p.Readout.Rate / s.p.OutputScale * s.m.gphi[i]
	}
	if s.batch > 0 {
		if !cholesky(s.m.gg.Data, sys.n) {
			for i := range s.m.gg.Data {
				s.m.gg.Data[i] = math.NaN() // the loss is not finite either
			}
		}
		for i := range sys.n {
			for j, x := range s.m.gg.Row(i) {
				sys.grad.w.Row(i)[k+j] = -2 / math.Sqrt(s.batch) * x
			}
		}
	}
	return nil
}

// compress expresses the noise that all registers hold in as few coordinates as they need: only inner products of it are ever seen. It returns the
// number of coordinates.
func (s *risk) compress(sys *system) int {
	rows := len(sys.regs) * sys.n
	if sys.k-s.base <= rows {
		return sys.k
	}
	s.joint = room(s.joint, rows, rows)
	row := func(i int) []float64 { return sys.regs[i/sys.n].w.Row(i % sys.n)[s.base:] }
	for i := range rows {
		for j := range i + 1 {
			x := dot(row(i), row(j))
			s.joint.Row(i)[j], s.joint.Row(j)[i] = x, x
		}
	}
	if !cholesky(s.joint.Data, rows) {
		return sys.k // not finite: the loss will say so
	}
	for i := range rows {
		clear(row(i))
		copy(row(i), s.joint.Row(i))
	}
	return s.base + rows
}
