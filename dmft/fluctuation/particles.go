package fluctuation

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/ode"
)

// particles is the mean-field system of a two-layer network on one block of sites, and copies of it that are pushed
// along the directions of the sites' noise: the ode.System that every optimiser and integrator moves.
//
// Copy 0 is the system itself. Copies 2k+1 and 2k+2 see predictions raised and lowered by step·V_k(t), where V_k(t) =
// ⟨q_k o(t)⟩ is the component of the sites' noise along the direction q_k over sites; a direction is born, and its
// copies with it, when the noise first has a component along it. Copies 1 and 2 belong to the correction of the mean.
// In matrices over points and outputs the index of output c and point μ is c·points + μ.
type particles struct {
	p          *dmft.Problem
	act        activation
	obj        *dmft.Objective
	np, pt, c  int
	gamma      float64
	rates      dmft.Rates
	step       float64
	tol        float64
	weight     []float64
	h0         la.Mat[float64] // sites × (np + pt) preactivations at the start
	kx, kt     la.Mat[float64] // np × np and np × pt
	o0         la.Mat[float64] // sites × c·np outputs at the start, when centred
	t0         la.Mat[float64] // the same of the test points
	q          la.Mat[float64] // directions × sites, orthonormal in averages over sites
	wq         la.Mat[float64] // q times the weights of the sites
	top        float64         // largest mean square of the noise so far
	regs       []values
	grad       [][]float64 // by copy: sites × np of γ₀ κ e, then sites × c of the readout's gradient
	f          [][]float64 // by copy, of the last Eval: predictions that the copy sees, c × np
	h, phi, d  la.Mat[float64]
	out        la.Mat[float64] // sites × c·np: single sites' outputs, less their mean
	delta      []float64
	v          [][]float64 // by direction: V_k of the last Eval, c·np
	own        []float64   // c·np: mean square of the noise outside the directions
	correction []float64   // c·np: Σ_k ⟨q_k ∂_k o⟩
	scratch    []float64
	th, tphi   la.Mat[float64] // h and φ of the test points
	g, wy      la.Mat[float64] // sites × c·np, of kernels
}

// values holds one copy of the state: decay is d of h = d·h(0) + αKx; copies hold α (sites × np) and the readout w
// (sites × c).
type values struct {
	decay  float64
	copies [][]float64
}

var _ ode.System = (*particles)(nil)

// activation is φ and φ′.
type activation interface{ Eval(phi, dphi, h []float64) }

// newParticles makes the system of a block. The noise has the directions of the inputs' factor first, then c of the
// readout.
func newParticles(p *dmft.Problem, gram mat.Symmetric, factor gaussian.Factor, sites noise, step,
	tol float64) *particles {
	np, _ := p.Data.Inputs.Dims()
	_, c := p.Data.Targets.Dims()
	n, all := sites.z.Rows, gram.SymmetricDim()
	s := &particles{p: p, act: p.Network.Activation, obj: p.Objective(), np: np, pt: all - np, c: c, gamma: p.Richness,
		rates: p.LayerRates(), step: step, tol: tol, weight: sites.weight,
		h0: la.New[float64](n, all), kx: la.New[float64](np, np), kt: la.New[float64](np, all-np),
		h: la.New[float64](n, np), phi: la.New[float64](n, np), d: la.New[float64](n, np),
		out: la.New[float64](n, c*np), delta: make([]float64, c*np), own: make([]float64, c*np),
		correction: make([]float64, c*np), scratch: make([]float64, n),
		th: la.New[float64](n, all-np), tphi: la.New[float64](n, all-np), g: la.New[float64](n, c*np),
		wy: la.New[float64](n, c*np)}
	la.Gemm(la.N, la.T, 1, sites.z.Slice(0, n, 0, factor.Rank), factor.F, 0, s.h0)
	for i := range np {
		for j := range all {
			if j < np {
				s.kx.Row(i)[j] = gram.At(i, j)
			} else {
				s.kt.Row(i)[j-np] = gram.At(i, j)
			}
		}
	}
	state := make([]float64, n*(np+c))
	w := s.readout(state)
	for i := range n {
		copy(w.Row(i), sites.z.Row(i)[factor.Rank:])
	}
	s.regs = []values{{decay: 1, copies: [][]float64{state, clone(state), clone(state)}}}
	for range s.regs[0].copies {
		s.newCopy()
	}
	if p.Training.Centred {
		s.fields(0, 0)
		s.o0 = la.New[float64](n, c*np)
		s.outputs(s.o0, s.phi, s.readout(state))
		if s.pt > 0 {
			s.t0 = la.New[float64](n, c*s.pt)
			s.outputs(s.t0, s.testFields(0, 0), s.readout(state))
		}
	}
	return s
}

func clone(x []float64) []float64 { return append([]float64(nil), x...) }

func (s *particles) sites() int { return len(s.weight) }

// alpha and readout are the two parts of a copy's state.
func (s *particles) alpha(x []float64) la.Mat[float64] {
	return la.Mat[float64]{Rows: s.sites(), Cols: s.np, Stride: s.np, Data: x[:s.sites()*s.np]}
}

func (s *particles) readout(x []float64) la.Mat[float64] {
	return la.Mat[float64]{Rows: s.sites(), Cols: s.c, Stride: s.c, Data: x[s.sites()*s.np:]}
}

func (s *particles) newCopy() {
	s.grad = append(s.grad, make([]float64, s.sites()*(s.np+s.c)))
	s.f = append(s.f, make([]float64, s.c*s.np))
}

// fields computes h, φ and φ′ of the training points of a copy.
func (s *particles) fields(r, k int) {
	reg := s.regs[r]
	for i := range s.h.Rows {
		dst, h0 := s.h.Row(i), s.h0.Row(i)
		for m := range dst {
			dst[m] = reg.decay * h0[m]
		}
	}
	la.Gemm(la.N, la.N, 1, s.alpha(reg.copies[k]), s.kx, 1, s.h)
	s.act.Eval(s.phi.Data, s.d.Data, s.h.Data)
}

// testFields computes φ of the test points of a copy; the next call reuses it.
func (s *particles) testFields(r, k int) la.Mat[float64] {
	reg := s.regs[r]
	h, phi := s.th, s.tphi
	for i := range h.Rows {
		dst, h0 := h.Row(i), s.h0.Row(i)[s.np:]
		for m := range dst {
			dst[m] = reg.decay * h0[m]
		}
	}
	la.Gemm(la.N, la.N, 1, s.alpha(reg.copies[k]), s.kt, 1, h)
	s.act.Eval(phi.Data, nil, h.Data)
	return phi
}

// outputs sets dst to w φ/γ₀ of every site.
func (s *particles) outputs(dst, phi, w la.Mat[float64]) {
	n := phi.Cols
	for i := range phi.Rows {
		row, f := dst.Row(i), phi.Row(i)
		for c, v := range w.Row(i) {
			v /= s.gamma
			for m, x := range f {
				row[c*n+m] = v * x
			}
		}
	}
}

// average sets dst to Σ_i weight_i (w φ/γ₀ − start)_i.
func (s *particles) average(dst, weight []float64, phi, w, start la.Mat[float64]) {
	n := phi.Cols
	x := s.scratch
	for c := range s.c {
		for i := range x {
			x[i] = weight[i] * w.Row(i)[c] / s.gamma
		}
		la.Gemv(la.T, 1, phi, x, 0, dst[c*n:(c+1)*n])
	}
	if start.Rows > 0 {
		la.Gemv(la.T, -1, start, weight, 1, dst)
	}
}

// Reserve implements ode.System.
func (s *particles) Reserve(n int) {
	for len(s.regs) < n {
		r := values{}
		for _, x := range s.regs[0].copies {
			r.copies = append(r.copies, make([]float64, len(x)))
		}
		s.regs = append(s.regs, r)
	}
}

// Eval implements ode.System.
func (s *particles) Eval(r int, t float64) {
	base := s.regs[r].copies[0]
	s.fields(r, 0)
	s.average(s.f[0], s.weight, s.phi, s.readout(base), s.o0)
	s.gradient(0, int(t), base)
	s.outputs(s.out, s.phi, s.readout(base))
	s.noise(s.out, s.o0, s.f[0])
	s.extend()
	clear(s.correction)
	mean, side := make([]float64, s.c*s.np), make([]float64, s.c*s.np)
	for k, v := range s.v {
		for sign := range 2 {
			step := s.step * float64(1-2*sign)
			i := 3 + 2*k + sign
			x := s.regs[r].copies[i]
			s.fields(r, i)
			s.average(mean, s.weight, s.phi, s.readout(x), s.o0)
			for m := range mean {
				s.f[i][m] = mean[m] + step*v[m]
			}
			s.gradient(i, int(t), x)
			s.average(side, s.wq.Row(k), s.phi, s.readout(x), s.o0)
			la.Axpy(1/(2*step), side, s.correction)
		}
	}
	for sign := range 2 {
		step := s.step * float64(1-2*sign)
		x := s.regs[r].copies[1+sign]
		s.fields(r, 1+sign)
		s.average(mean, s.weight, s.phi, s.readout(x), s.o0)
		for m := range mean {
			s.f[1+sign][m] = mean[m] + step*s.correction[m]
		}
		s.gradient(1+sign, int(t), x)
	}
}

// noise subtracts the start and the mean from the outputs of single sites.
func (s *particles) noise(out, start la.Mat[float64], mean []float64) {
	for i := range out.Rows {
		row := out.Row(i)
		if start.Rows > 0 {
			la.Axpy(-1, start.Row(i), row)
		}
		la.Axpy(-1, mean, row)
	}
}

// gradient keeps the direction in which copy k with the fields just computed moves, at the predictions that it sees.
func (s *particles) gradient(k, step int, x []float64) {
	s.obj.Residuals(step, s.f[k], s.delta)
	e, dw, w := s.alpha(s.grad[k]), s.readout(s.grad[k]), s.readout(x)
	in, out := s.gamma*s.rates.Input, s.gamma*s.rates.Readout
	for i := range e.Rows {
		row, d := e.Row(i), s.d.Row(i)
		for c, v := range w.Row(i) {
			delta := s.delta[c*s.np : (c+1)*s.np]
			v *= in
			if c == 0 {
				for m, x := range d {
					row[m] = v * x * delta[m]
				}
			} else {
				for m, x := range d {
					row[m] += v * x * delta[m]
				}
			}
			sum := 0.
			for m, x := range s.phi.Row(i) {
				sum += x * delta[m]
			}
			dw.Row(i)[c] = out * sum
		}
	}
}

// extend adds the directions of the sites' noise that are new, and sets v and own.
func (s *particles) extend() {
	n := s.c * s.np
	res := s.out // becomes the part outside the directions
	r := s.q.Rows
	coef := la.New[float64](r, n)
	total := la.New[float64](r, n)
	for range 2 {
		if r == 0 {
			break
		}
		la.Gemm(la.N, la.N, 1, s.wq, res, 0, coef)
		la.Gemm(la.T, la.N, -1, s.q, coef, 1, res)
		la.Axpy(1, coef.Data, total.Data)
	}
	s.v = s.v[:0]
	for k := range r {
		s.v = append(s.v, total.Row(k))
	}
	square := func() (worst int) {
		clear(s.own)
		for i, wt := range s.weight {
			for m, x := range res.Row(i) {
				s.own[m] += wt * x * x
			}
		}
		for m := range s.own {
			if s.own[m] > s.own[worst] {
				worst = m
			}
		}
		return worst
	}
	worst := square()
	for m := range n {
		whole := s.own[m]
		for k := range r {
			whole += total.Row(k)[m] * total.Row(k)[m]
		}
		s.top = math.Max(s.top, whole)
	}
	for s.own[worst] > s.tol*s.top && s.q.Rows < s.sites()-1 {
		inv := 1 / math.Sqrt(s.own[worst])
		q, wq := make([]float64, s.sites()), make([]float64, s.sites())
		for i := range q {
			q[i] = inv * res.Row(i)[worst]
		}
		// Once more against the directions, for rounding.
		if s.q.Rows > 0 {
			for i := range wq {
				wq[i] = s.weight[i] * q[i]
			}
			c := make([]float64, s.q.Rows)
			la.Gemv(la.N, 1, s.q, wq, 0, c)
			la.Gemv(la.T, -1, s.q, c, 1, q)
		}
		norm := 0.
		for i := range q {
			norm += s.weight[i] * q[i] * q[i]
		}
		for i := range q {
			q[i] /= math.Sqrt(norm)
			wq[i] = s.weight[i] * q[i]
		}
		v := make([]float64, n)
		la.Gemv(la.T, 1, res, wq, 0, v)
		for i := range q {
			la.Axpy(-q[i], v, res.Row(i))
		}
		s.born(q, wq)
		s.v = append(s.v, v)
		worst = square()
	}
}

// born adds a direction and its two copies, equal to the system itself in every register.
func (s *particles) born(q, wq []float64) {
	grow := func(m la.Mat[float64], x []float64) la.Mat[float64] {
		return la.Mat[float64]{Rows: m.Rows + 1, Cols: len(x), Stride: len(x), Data: append(m.Data, x...)}
	}
	s.q, s.wq = grow(s.q, q), grow(s.wq, wq)
	for range 2 {
		for r := range s.regs {
			s.regs[r].copies = append(s.regs[r].copies, clone(s.regs[r].copies[0]))
		}
		s.newCopy()
	}
}

// Accumulate implements ode.System.
func (s *particles) Accumulate(dst int, beta, a float64) {
	reg := &s.regs[dst]
	if beta == 0 {
		reg.decay = 0
	} else {
		reg.decay *= beta
	}
	for k, x := range reg.copies {
		switch beta {
		case 0:
			clear(x)
		case 1:
		default:
			for i := range x {
				x[i] *= beta
			}
		}
		la.Axpy(a, s.grad[k], x)
	}
}

// Combine implements ode.System.
func (s *particles) Combine(dst int, c []float64) {
	decay := 0.
	for j, x := range c {
		if x != 0 {
			decay += x * s.regs[j].decay
		}
	}
	s.regs[dst].decay = decay
	of := make([][]float64, len(s.regs))
	for k := range s.regs[0].copies {
		for r := range s.regs {
			of[r] = s.regs[r].copies[k]
		}
		la.Combine(dst, c, of)
	}
}

// ErrorNorm implements ode.System: that of the system itself. Copies follow its steps.
func (s *particles) ErrorNorm(e, a, b int, atol, rtol float64) float64 {
	x, y, sum := s.regs[a].copies[0], s.regs[b].copies[0], 0.
	for i, d := range s.regs[e].copies[0] {
		q := d / (atol + rtol*math.Max(math.Abs(x[i]), math.Abs(y[i])))
		sum += q * q
	}
	return math.Sqrt(sum / float64(len(x)))
}
