package highdim

import (
	"math"
	"math/rand/v2"

	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// register is a state of the network, a direction, or a velocity: coordinates of the weights, N×k of a row's capacity,
// and readouts.
type register struct {
	w la.Mat[float64] // N×k, Stride is the capacity
	a []float64
}

func newRegister(n, k, capacity int) register {
	return register{w: la.Mat[float64]{Rows: n, Cols: k, Stride: capacity, Data: make([]float64, n*capacity)},
		a: make([]float64, n)}
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

// ErrorNorm implements ode.System. Components are those of the start, so that coordinates which have just appeared do
// not dilute the error.
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
// Fields have a row for each and a column for every unit.
type points struct {
	p      *Problem
	x      *gaussian.Matrix
	noise  *gaussian.Pool // of x in the theory, nil in a simulation
	ratio  float64        // δ
	y, f0  []float64
	f, err []float64       // predictions, f − y
	h      la.Mat[float64] // S×N
	d, g   la.Mat[float64] // φ′, g
	w, gu  la.Mat[float64] // scratch: weights, averages ⟨g u⟩, coordinates × N
	sum    []float64       // scratch: N
	batch  *batcher
	probe  *probe // of response functions, or nil
}

// newPoints labels the sites of x, whose first columns are the projections on the target, with noise ξ.
func newPoints(p *Problem, x *gaussian.Matrix, s int, label []float64, seed uint64) *points {
	n, k := p.Units, p.Target.directions()
	q := &points{p: p, x: x, ratio: p.Ratio, y: make([]float64, s), f: make([]float64, s), err: make([]float64, s),
		sum: make([]float64, n)}
	q.h, q.d, q.g = la.New[float64](s, n), la.New[float64](s, n), la.New[float64](s, n)
	one, h := la.New[float64](k, k), la.New[float64](s, k)
	for i := range k {
		one.Row(i)[i] = 1
	}
	x.Mul(0, h, one)
	target := p.Target.label()
	for i := range q.y {
		q.y[i] = target(h.Row(i))
		if p.Target.Noise > 0 {
			q.y[i] += p.Target.Noise * label[i]
		}
	}
	if p.Training.Batches > 1 {
		q.batch = &batcher{seed: seed, per: p.Training.Batches, epoch: -1}
	}
	return q
}

// forward computes fields, φ′ and predictions at a register. It leaves φ in g.
func (q *points) forward(r register) {
	q.w = transpose(q.w, r.w)
	q.x.Mul(0, q.h, q.w)
	q.p.Activation.Eval(q.g.Data, q.d.Data, q.h.Data)
	scale := q.p.OutputScale / float64(q.p.Units)
	for i := range q.f {
		f := 0.
		for j, phi := range q.g.Row(i) {
			f += r.a[j] * phi
		}
		q.f[i] = scale * f
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
	if rate > 0 {
		la.Gemv(la.T, -2*rate/alpha/float64(len(q.err)), q.g, q.err, 0, sys.grad.a)
	}
	for i, e := range q.err {
		g, d := q.g.Row(i), q.d.Row(i)
		e /= alpha
		for j, a := range r.a {
			g[j] = a * e * d[j]
		}
	}
	k, err := q.x.Extend(q.g)
	if err != nil {
		return err
	}
	sys.widen(k)
	q.gu = room(q.gu, k, sys.n)
	q.x.MulT(0, q.gu, q.g)
	for i := range sys.n {
		row := sys.grad.w.Row(i)
		for j := range row {
			row[j] = -2 * q.gu.Data[j*sys.n+i]
		}
	}
	if q.probe != nil {
		q.probe.step(q, sys, r, int(t))
	}
	return nil
}

// alignment is √P times the kernel-task alignment yᵀKy/(|K|·|y|²) of the neural tangent kernel on the training points,
// with centred labels. The kernel has the elements x·x′ Σ_i a_i²φ′_iφ′_i′ + (rate/D) Σ_i φ_iφ_i′, and D, P → ∞ leaves
//
//	yᵀKy = D Σ_i |Xᵀ(y a_iφ′_i)|²/D + …,     |K|² = P⟨(Σ_i a_i²φ′_i²)²⟩ + P δ Σ_ij ⟨a_iφ′_i a_jφ′_j⟩²
//
// so that the alignment itself falls as 1/√P. It uses scratch of eval, and leaves its results alone.
func (q *points) alignment(sys *system, r register) float64 {
	q.forward(r)
	s, n := float64(len(q.y)), len(r.a)
	mean := 0.
	for _, y := range q.y {
		mean += y / s
	}
	axes, _, _ := q.x.Ranks()
	delta, num, power := q.ratio, 0., 0.
	if q.noise == nil {
		delta = s / float64(axes)
	}
	if math.IsInf(delta, 1) {
		return math.NaN() // every kernel is orthogonal to almost all of so many points
	}
	for j, y := range q.y {
		q.err[j] = y - mean
		power += (y - mean) * (y - mean) / s
	}
	if rate := q.p.Readout.Rate; rate > 0 {
		la.Gemv(la.T, 1/s, q.g, q.err, 0, q.sum)
		for _, x := range q.sum {
			num += rate * delta * delta * x * x
		}
	}
	frob := 0.
	for i := range q.y {
		d, x := q.d.Row(i), 0.
		for j, a := range r.a {
			d[j] *= a
			x += d[j] * d[j]
		}
		frob += x * x / s
	}
	dd := la.New[float64](n, n)
	la.Gemm(la.T, la.N, 1/s, q.d, q.d, 0, dd)
	for _, x := range dd.Data {
		frob += delta * x * x
	}
	for i, e := range q.err {
		g, d := q.g.Row(i), q.d.Row(i)
		for j := range g {
			g[j] = e * d[j]
		}
	}
	known, u := q.x.Backward(q.g)
	for _, x := range u.Data {
		num += delta * delta * x * x
	}
	if q.noise != nil { // and the part of Xᵀg outside of what is known
		num += delta * meanSquare(q.g.Data) * float64(n)
		for _, x := range known.Data {
			num -= delta * x * x
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

// mask zeroes x outside the batch of step n and scales the rest, so that averages over all points are averages over the
// batch.
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

// eval implements source. A batch of bD fresh points adds to the true gradient a vector orthogonal to everything, of
// covariance ⟨g_i g_j⟩/b.
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

// compress expresses the noise that all registers hold in as few coordinates as they need: only inner products of it
// are ever seen. It returns the number of coordinates.
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
