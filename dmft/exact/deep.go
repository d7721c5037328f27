package exact

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// DeepLinear is a linear network of any depth and infinite width, an MLP or a residual network, trained by a linear
// optimiser:
//
//	h¹ = W⁰x/√D,  h^{ℓ+1} = s·h^ℓ + b·W^ℓh^ℓ/√N,  f = w·h^L/(γ₀N).
type DeepLinear struct {
	// Data and training, as for two layers, of which Start and Centred have no meaning here (f = 0 at the start).
	Problem Linear
	Depth   int     // number of hidden layers L
	Skip    float64 // s: 0 in an MLP, 1 in a residual network
	Branch  float64 // b; 0 means 1
}

// DeepState is the state of a DeepLinear at one step. Layers ℓ = 1 … L are elements 0 … L−1.
type DeepState struct {
	F   *mat.Dense   // M×C predictions
	Phi []*mat.Dense // M×M second moments H^ℓ of the preactivations: Φ^ℓ
	G   []*mat.Dense // C×C second moments of the backward fields g^ℓ, which are the same for all points
	// Cross holds the M×C moments ⟨h^ℓ_μ g^ℓ_c⟩, all of them γ₀f by Euler's identity.
	Cross []*mat.Dense
	NTK   *mat.Dense // PC×PC: Φ^L + G¹∘Kx + b² Σ_{ℓ<L} G^{ℓ+1}∘Φ^ℓ
	Loss  float64    // ½ Σ (y − f)² over the training points, without Weights
}

// DeepHistory is a solved DeepLinear: the states and everything of two times. Layers count from 1 and times are steps.
type DeepHistory struct {
	States []DeepState
	depth  int
	h, g   [][]field // time, layer
	m      *deepMarch
}

// Phi is the M×M kernel Φ^ℓ(t, s) = ⟨h^ℓ(t) h^ℓ(s)ᵀ⟩.
func (d *DeepHistory) Phi(layer, t, s int) *mat.Dense {
	return d.m.moment(d.h[t][layer-1], d.h[s][layer-1])
}

// G is the C×C kernel G^ℓ(t, s) = ⟨g^ℓ(t) g^ℓ(s)ᵀ⟩.
func (d *DeepHistory) G(layer, t, s int) *mat.Dense {
	return d.m.moment(d.g[t][layer-1], d.g[s][layer-1])
}

// A is the M×C response A^ℓ(t, s) = ⟨∂h^ℓ(t)/∂r^ℓ(s)⟩ of 1 ≤ ℓ < L, zero unless s < t.
func (d *DeepHistory) A(layer, t, s int) *mat.Dense {
	return d.m.response(d.h[t][layer-1], d.m.backwardNoise(layer), s, d.m.c)
}

// B is the C×M response B^ℓ(t, s) = ⟨∂g^{ℓ+1}(t)/∂u^{ℓ+1}(s)⟩ of 1 ≤ ℓ < L, zero for s > t.
func (d *DeepHistory) B(layer, t, s int) *mat.Dense {
	return d.m.response(d.g[t][layer], d.m.forwardNoise(layer+1), s, d.m.points)
}

// Solve marches the closed equations of theory in time and returns Steps + 1 states. If the network diverges it returns
// those before and an error that says at which step. With the optimiser as a memory kernel, W(t) = d(t)W(0) + Σ_{s<t}
// c(t,s)∇(s), the fields of one neuron are
//
//	h¹(t)       = d u¹ + γ₀ Σ_{s<t} c Kx Δ(s)g¹(s)                                                      u¹ ~ N(0, Kx)
//	χ^{ℓ+1}(t)  = d [u^{ℓ+1}(t) + Σ_{s<t} A^ℓ(t,s)g^{ℓ+1}(s)] + γ₀b Σ_{s<t} c Φ^ℓ(t,s)Δ(s)g^{ℓ+1}(s)    u^{ℓ+1} ~ GP(0, Φ^ℓ)
//	ξ^ℓ(t)      = d [r^ℓ(t) + Σ_{s≤t} B^ℓ(t,s)h^ℓ(s)] + γ₀b Σ_{s<t} c G^{ℓ+1}(t,s)Δ(s)ᵀh^ℓ(s)           r^ℓ ~ GP(0, G^{ℓ+1})
//	w(t)        = d r + γ₀ Σ_{s<t} c Δ(s)ᵀh^L(s)                                                        r ~ N(0, 1)
//	h^{ℓ+1} = s·h^ℓ + bχ^{ℓ+1},  g^ℓ = s·g^{ℓ+1} + bξ^ℓ,  g^L = w,  f = ⟨w h^L⟩/γ₀
//
// (arXiv 2205.09653, eqs. 11–12, in discrete time and with the output ⟨w h^L⟩ that is exact for discrete steps). Every
// field is a linear function of the noise u, r, so it is kept as its coefficients: A and B are coefficients, Φ and G
// follow from the covariance of the noise, and everything at t depends on what is known. In a residual network all
// layers share the neuron, which the coefficients do not mind. Memory and time grow as L T²(M + C)² and L T³(M + C)³.
func (d DeepLinear) Solve() (*DeepHistory, error) {
	l := d.Problem
	l.check()
	if d.Depth < 1 {
		panic(fmt.Sprintf("exact: a deep linear network of depth %d", d.Depth))
	}
	if l.Start != nil {
		return nil, fmt.Errorf("exact: a deep linear network starts from infinite width; leave Start nil")
	}
	m := newDeepMarch(d)
	out := &DeepHistory{depth: d.Depth, m: m}
	for t := range l.Steps + 1 {
		s := m.step(t)
		if !s.finite() {
			return out, d.diverged(out.States, t)
		}
		out.States = append(out.States, s)
		out.h, out.g = m.h, m.g
	}
	return out, nil
}

func (d DeepLinear) branch() float64 {
	if d.Branch == 0 {
		return 1
	}
	return d.Branch
}

// diverged explains a state that is not finite at step t.
func (d DeepLinear) diverged(states []DeepState, t int) error {
	why := ""
	// The last state before the overflow is huge; the eigenvalue at the start is the one to choose a learning rate by.
	if len(states) > 0 {
		k := states[0].NTK
		n, _ := k.Dims()
		s := mat.NewSymDense(n, nil)
		w, c := d.Problem.weights(0), d.Problem.Targets.RawMatrix().Cols
		for i := range n {
			for j := i; j < n; j++ {
				s.SetSym(i, j, math.Sqrt(math.Abs(w[i/c]*w[j/c]))*k.At(i, j))
			}
		}
		values, _ := eigen(s)
		why = fmt.Sprintf(" (γ₀ = %g, learning rate %g, 2/λ_max of the initial NTK %.3g)", d.Problem.Richness,
			d.Problem.Rate(0), 2/values[n-1])
	}
	return fmt.Errorf("exact: deep linear network of depth %d: the kernels overflow at step %d%s; lower the learning "+
		"rate or the richness", d.Depth, t, why)
}

func (s DeepState) finite() bool {
	for _, list := range [][]*mat.Dense{{s.F, s.NTK}, s.Phi, s.G, s.Cross} {
		for _, m := range list {
			for _, v := range m.RawMatrix().Data {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					return false
				}
			}
		}
	}
	return true
}

// memory returns c[t][s] and d[t] of the optimiser: how it answers a unit gradient at step s, and what it leaves of the
// start.
func (l Linear) memory() (c [][]float64, d []float64) {
	run := func(theta float64, impulse int) []float64 {
		out := []float64{theta}
		v := 0.
		for t := range l.Steps {
			g := 0.
			if t == impulse {
				g = 1
			}
			eta := l.Rate(t)
			v = l.Momentum*v + g
			move := v
			if l.Nesterov {
				move = g + l.Momentum*v
			}
			theta = (1-eta*l.WeightDecay)*theta + eta*move
			out = append(out, theta)
		}
		return out
	}
	d = run(1, -1)
	c = zeros(l.Steps+1, l.Steps)
	for s := range l.Steps {
		for t, v := range run(0, s) {
			c[t][s] = v
		}
	}
	return c, d
}

// A field is a linear function of the noise: the coefficients of every noise process, nil where they vanish.
type field []*mat.Dense

// deepMarch is a DeepLinear on its way. Noise process i has its values of all times one after the other, and covariance
// cov[i].
type deepMarch struct {
	DeepLinear
	points, p, c int
	memC         [][]float64
	memD         []float64
	cov          []*mat.Dense
	h, g         [][]field    // time, layer
	delta        []*mat.Dense // time: P×C
}

func newDeepMarch(d DeepLinear) *deepMarch {
	m := &deepMarch{DeepLinear: d, points: d.Problem.Gram.SymmetricDim()}
	m.p, m.c = d.Problem.Targets.Dims()
	m.memC, m.memD = d.Problem.memory()
	m.cov = make([]*mat.Dense, 2*d.Depth)
	times := d.Problem.Steps + 1
	for l := 2; l <= d.Depth; l++ {
		m.cov[m.forwardNoise(l)] = mat.NewDense(times*m.points, times*m.points, nil)
		m.cov[m.backwardNoise(l-1)] = mat.NewDense(times*m.c, times*m.c, nil)
	}
	m.cov[m.forwardNoise(1)] = mat.DenseCopyOf(d.Problem.Gram)
	one := mat.NewDense(m.c, m.c, nil)
	for i := range m.c {
		one.Set(i, i, 1)
	}
	m.cov[m.backwardNoise(d.Depth)] = one
	return m
}

// forwardNoise and backwardNoise number the processes u^ℓ and r^ℓ; r^L is the initial readout. u¹ and r^L do not depend
// on time.
func (m *deepMarch) forwardNoise(layer int) int  { return layer - 1 }
func (m *deepMarch) backwardNoise(layer int) int { return m.Depth + layer - 1 }

// noise returns a·(the values of a process at time t) as a field of width rows.
func (m *deepMarch) noise(process, t, rows int, a float64) field {
	f := make(field, len(m.cov))
	size, _ := m.cov[process].Dims()
	if size == rows {
		t = 0
	}
	f[process] = mat.NewDense(rows, size, nil)
	for i := range rows {
		f[process].Set(i, t*rows+i, a)
	}
	return f
}

// add adds a·(matrix x)·y to a field; x may be nil, for the identity.
func (f field) add(a float64, x mat.Matrix, y field) {
	for i, c := range y {
		if c == nil || a == 0 {
			continue
		}
		term := c
		if x != nil {
			r, _ := x.Dims()
			_, n := c.Dims()
			term = mat.NewDense(r, n, nil)
			term.Mul(x, c)
		}
		if f[i] == nil {
			r, n := term.Dims()
			f[i] = mat.NewDense(r, n, nil)
		}
		floats := f[i].RawMatrix().Data
		for j, v := range term.RawMatrix().Data {
			floats[j] += a * v
		}
	}
}

// weighted is a field times the covariance of the noise, for many moments with the same field on the left.
func (m *deepMarch) weighted(x field) field {
	out := make(field, len(x))
	for i, c := range x {
		if c != nil {
			out[i] = new(mat.Dense)
			out[i].Mul(c, m.cov[i])
		}
	}
	return out
}

// product is Σ_i x_i y_iᵀ over processes, of widths r and n.
func product(x, y field, r, n int) *mat.Dense {
	out, term := mat.NewDense(r, n, nil), mat.NewDense(r, n, nil)
	for i := range x {
		if x[i] != nil && y[i] != nil {
			term.Mul(x[i], y[i].T())
			out.Add(out, term)
		}
	}
	return out
}

// moment is ⟨x yᵀ⟩.
func (m *deepMarch) moment(x, y field) *mat.Dense {
	return product(m.weighted(x), y, x.width(), y.width())
}

func (f field) width() int {
	for _, c := range f {
		if c != nil {
			r, _ := c.Dims()
			return r
		}
	}
	panic("exact: a field without noise")
}

// response is the block of a field's coefficients of a process at time s, of the given width.
func (m *deepMarch) response(x field, process, s, width int) *mat.Dense {
	out := mat.NewDense(x.width(), width, nil)
	if c := x[process]; c != nil {
		out.Copy(c.Slice(0, x.width(), s*width, (s+1)*width))
	}
	return out
}

// remember enters the kernels of a new time t with all times s ≤ t in the covariance of a process.
func (m *deepMarch) remember(process, t int, kernels []*mat.Dense) {
	n, _ := kernels[0].Dims()
	for s, k := range kernels {
		m.cov[process].Slice(t*n, (t+1)*n, s*n, (s+1)*n).(*mat.Dense).Copy(k)
		m.cov[process].Slice(s*n, (s+1)*n, t*n, (t+1)*n).(*mat.Dense).Copy(k.T())
	}
}

// against returns the moments of x with list[0 … t][layer].
func (m *deepMarch) against(x field, list [][]field, layer, t int) []*mat.Dense {
	w := m.weighted(x)
	out := make([]*mat.Dense, t+1)
	for s := range out {
		out[s] = product(w, list[s][layer], x.width(), x.width())
	}
	return out
}

// step computes all fields of time t and returns the state.
func (m *deepMarch) step(t int) DeepState {
	depth, gamma, b, d := m.Depth, m.Problem.Richness, m.branch(), m.memD[t]
	c := m.memC[t]
	m.h, m.g = append(m.h, make([]field, depth)), append(m.g, make([]field, depth))
	state := DeepState{Phi: make([]*mat.Dense, depth), G: make([]*mat.Dense, depth), Cross: make([]*mat.Dense, depth)}
	train := func(k mat.Matrix) mat.Matrix { // the columns of the training points
		r, _ := k.Dims()
		return mat.DenseCopyOf(k).Slice(0, r, 0, m.p)
	}
	// upTo is the part Σ_s a_s (x_s Δ(s)) g^layer(s) of a forward field.
	drive := mat.NewDense(m.points, m.c, nil)
	var kernels []*mat.Dense // Φ^{ℓ−1}(t, ·)
	for l := range depth {
		chi := m.noise(m.forwardNoise(l+1), t, m.points, d)
		for s := range t {
			if l == 0 {
				drive.Mul(train(m.Problem.Gram), m.delta[s])
				chi.add(gamma*c[s], drive, m.g[s][0])
				continue
			}
			drive.Mul(train(kernels[s]), m.delta[s])
			chi.add(gamma*b*c[s], drive, m.g[s][l])
			chi.add(d, m.response(m.h[t][l-1], m.backwardNoise(l), s, m.c), m.g[s][l])
		}
		h := chi
		if l > 0 {
			h = make(field, len(m.cov))
			h.add(b, nil, chi)
			h.add(m.Skip, nil, m.h[t][l-1])
		}
		m.h[t][l] = h
		kernels = m.against(h, m.h, l, t)
		state.Phi[l] = kernels[t]
		if l < depth-1 {
			m.remember(m.forwardNoise(l+2), t, kernels)
		}
	}

	// The readout, which is g^L, then the backward fields.
	back := mat.NewDense(m.c, m.points, nil) // Δ(s)ᵀ over all points, zero for test points
	spread := func(s int) *mat.Dense {
		back.Zero()
		back.Slice(0, m.c, 0, m.p).(*mat.Dense).Copy(m.delta[s].T())
		return back
	}
	w := m.noise(m.backwardNoise(depth), t, m.c, d)
	for s := range t {
		w.add(gamma*c[s], spread(s), m.h[s][depth-1])
	}
	m.g[t][depth-1] = w
	state.F = m.moment(m.h[t][depth-1], w)
	state.F.Scale(1/gamma, state.F)
	kernels = m.against(w, m.g, depth-1, t)
	state.G[depth-1] = kernels[t]
	mixed := mat.NewDense(m.c, m.points, nil)
	for l := depth - 2; l >= 0; l-- {
		m.remember(m.backwardNoise(l+1), t, kernels)
		xi := m.noise(m.backwardNoise(l+1), t, m.c, d)
		for s := range t + 1 {
			xi.add(d, m.response(m.g[t][l+1], m.forwardNoise(l+2), s, m.points), m.h[s][l])
			if s < t {
				mixed.Mul(kernels[s], spread(s))
				xi.add(gamma*b*c[s], mixed, m.h[s][l])
			}
		}
		g := make(field, len(m.cov))
		g.add(b, nil, xi)
		g.add(m.Skip, nil, m.g[t][l+1])
		m.g[t][l] = g
		kernels = m.against(g, m.g, l, t)
		state.G[l] = kernels[t]
	}
	for l := range depth {
		state.Cross[l] = m.moment(m.h[t][l], m.g[t][l])
	}
	m.delta = append(m.delta, m.Problem.residual(t, state.F))
	m.finish(&state)
	return state
}

// finish fills in the NTK and the loss of a state with kernels and predictions.
func (d DeepLinear) finish(s *DeepState) {
	l := d.Problem
	s.NTK = l.ntk(s.Phi[d.Depth-1], s.G[0])
	p, c := l.Targets.Dims()
	for i := range p {
		for j := range p {
			for a := range c {
				for b := range c {
					v := s.NTK.At(i*c+a, j*c+b)
					for q := range d.Depth - 1 {
						v += d.branch() * d.branch() * s.G[q+1].At(a, b) * s.Phi[q].At(i, j)
					}
					s.NTK.Set(i*c+a, j*c+b, v)
				}
			}
		}
	}
	s.Loss = l.loss(s.F)
}
