package exact

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Linear is a two-layer linear network trained by a linear optimiser.
type Linear struct {
	Gram        *mat.SymDense // M×M Gram matrix Kx of training points, then test points
	Targets     *mat.Dense    // P×C targets of the training points
	Richness    float64       // γ₀
	Steps       int
	Rate        func(step int) float64 // learning rate η
	Momentum    float64                // μ
	Nesterov    bool
	WeightDecay float64 // λ, decoupled
	Centred     bool    // predict f(θ) − f(θ₀); makes a difference with Start and in Fluctuations
	// Weights are the factors in front of y − f in Δ at a step, one per training point (a mini-batch is a row of zeros
	// and ones); nil is 1.
	Weights func(step int) []float64
	// Delta fills Δ = −∂loss/∂f for another loss than the squared one, and replaces Weights; see [Residuals].
	Delta func(step int, f, y, delta [][]float64)
	// Start is the joint second moment of (h over M points, w over C outputs) at the start; nil is the infinite-width
	// one, diag(Gram, 1). From the sample second moment of a network of finite width the map is exact for that network.
	Start *mat.SymDense
}

// LinearState is the state of a Linear at one step.
type LinearState struct {
	F    *mat.Dense // M×C predictions
	H    *mat.Dense // M×M second moment of the preactivations: Φ
	G    *mat.Dense // C×C second moment of the readout
	NTK  *mat.Dense // PC×PC: H δ_cc' + G_cc' Gram
	Loss float64    // ½ Σ (y − f)² over the training points, without Weights
}

// Solve iterates the exact map and returns Steps + 1 states. Given the residuals Δ(t) every neuron's state z = (h, w,
// velocities) moves linearly, z ← A(Δ)z, so the second moment over neurons obeys Σ ← AΣAᵀ exactly, at any width, and f
// = Σ_hw/γ₀ closes it. For plain gradient descent and one output this is
//
//	H ← H + e(kqᵀ + qkᵀ) + e²G kkᵀ,  q ← q + e(kG + HΔ) + e²k Δ·q,  G ← G + 2eΔ·q + e²ΔᵀHΔ,  k = KxΔ, e = ηγ₀.
//
// A diverging run overflows to infinities in the states.
func (l Linear) Solve() []LinearState {
	l.check()
	sigma := l.start(2)
	var f0 *mat.Dense
	var out []LinearState
	for t := 0; ; t++ {
		if t == 0 && l.Centred {
			f0 = l.prediction(sigma)
		}
		s := l.state(sigma, f0)
		out = append(out, s)
		if t == l.Steps {
			return out
		}
		a := l.transition(l.operator(l.residual(t, s.F)), t, 1)
		sigma = sandwich(a, sigma, a)
	}
}

// Flow is the gradient flow dθ/dt = ∇ − λθ at the given times, which must not fall: dΣ/dt = (B(Δ) − λ)Σ + Σ(B(Δ) − λ)ᵀ,
// integrated to a relative error of about 1e-13 per unit of time by extrapolation. Rate and Steps have no meaning here,
// Weights and Delta are taken at step 0.
func (l Linear) Flow(times []float64) ([]LinearState, error) {
	l.checkShapes()
	if l.Momentum != 0 || l.Nesterov {
		return nil, fmt.Errorf("exact: momentum %g belongs to discrete steps, not to a gradient flow", l.Momentum)
	}
	sigma := l.start(1)
	n, _ := sigma.Dims()
	var f0 *mat.Dense
	if l.Centred {
		f0 = l.prediction(sigma)
	}
	field := func(_ float64, dst, y []float64) {
		now := mat.NewDense(n, n, y)
		f := l.prediction(now)
		if f0 != nil {
			f.Sub(f, f0)
		}
		b := l.operator(l.residual(0, f))
		for i := range n {
			b.Set(i, i, b.At(i, i)-l.WeightDecay)
		}
		d := mat.NewDense(n, n, dst)
		d.Mul(b, now)
		addTransposed(d)
	}
	var out []LinearState
	now := 0.
	for _, t := range times {
		if !(t >= now) || math.IsInf(t, 1) {
			return out, fmt.Errorf("exact: output time %g of a flow comes after %g; times must be finite and must "+
				"not fall", t, now)
		}
		if err := integrate(field, sigma.RawMatrix().Data, now, t); err != nil {
			return out, fmt.Errorf("exact: flow of a linear network: %w", err)
		}
		now = t
		out = append(out, l.state(sigma, f0))
	}
	return out, nil
}

// WhitenedFlow is the prediction f(t) of a two-layer linear network under gradient flow on whitened data (Kx = 1) with
// a target of norm y: only the direction of y moves, df/dt = 2√(1 + γ₀²f²)(y − f). The closed form is
//
//	a = asinh γ₀y,  E = coth(a/2) e^{2t cosh a},  tanh(q/2) = (E sinh(a/2) − cosh(a/2))/(E cosh(a/2) + sinh(a/2)),  f = sinh(q)/γ₀
//
// and the NTK along y is 2 cosh q. (Bordelon & Pehlevan 2022, arXiv 2205.09653, print the rate without the factor 2,
// which is the two layers of the NTK.)
func WhitenedFlow(gamma, y, t float64) (f, ntk float64) {
	a := math.Asinh(gamma * y)
	if a == 0 {
		return -y * math.Expm1(-2*t), 2
	}
	e := math.Exp(2*t*math.Cosh(a)) / math.Tanh(a/2)
	sh, ch := math.Sinh(a/2), math.Cosh(a/2)
	r := (sh - ch/e) / (ch + sh/e) // divided by E, which overflows for late times
	q := 2 * math.Atanh(r)
	return math.Sinh(q) / gamma, 2 * math.Cosh(q)
}

func (l Linear) checkShapes() {
	m, p := l.Gram.SymmetricDim(), l.Targets.RawMatrix().Rows
	if p > m {
		panic(fmt.Sprintf("exact: %d targets for %d points", p, m))
	}
	if !(l.Richness > 0) {
		panic(fmt.Sprintf("exact: richness %g must be positive", l.Richness))
	}
	if n := m + l.Targets.RawMatrix().Cols; l.Start != nil && l.Start.SymmetricDim() != n {
		panic(fmt.Sprintf("exact: the start of a linear network of %d points and %d outputs is %d×%d, not %d×%d", m,
			n-m, l.Start.SymmetricDim(), l.Start.SymmetricDim(), n, n))
	}
}

func (l Linear) check() {
	l.checkShapes()
	if l.Rate == nil || l.Steps < 0 {
		panic(fmt.Sprintf("exact: a linear network needs a Rate and Steps ≥ 0, not %d", l.Steps))
	}
}

// moment is the second moment of (h, w) over neurons at the start.
func (l Linear) moment() *mat.SymDense {
	if l.Start != nil {
		return l.Start
	}
	m, c := l.Gram.SymmetricDim(), l.Targets.RawMatrix().Cols
	s := mat.NewSymDense(m+c, nil)
	for i := range m {
		for j := i; j < m; j++ {
			s.SetSym(i, j, l.Gram.At(i, j))
		}
	}
	for i := range c {
		s.SetSym(m+i, m+i, 1)
	}
	return s
}

// start is the second moment of (h, w) and, with copies = 2, of their velocities, which start at zero.
func (l Linear) start(copies int) *mat.Dense {
	s := l.moment()
	n := s.SymmetricDim()
	sigma := mat.NewDense(copies*n, copies*n, nil)
	sigma.Slice(0, n, 0, n).(*mat.Dense).Copy(s)
	return sigma
}

// prediction is Σ_hw/γ₀, not centred.
func (l Linear) prediction(sigma *mat.Dense) *mat.Dense {
	m, c := l.Gram.SymmetricDim(), l.Targets.RawMatrix().Cols
	f := mat.NewDense(m, c, nil)
	f.Scale(1/l.Richness, sigma.Slice(0, m, m, m+c))
	return f
}

// state reads everything off the second moment; f0 is subtracted from the predictions unless it is nil.
func (l Linear) state(sigma, f0 *mat.Dense) LinearState {
	m, c := l.Gram.SymmetricDim(), l.Targets.RawMatrix().Cols
	s := LinearState{F: l.prediction(sigma), H: mat.DenseCopyOf(sigma.Slice(0, m, 0, m)),
		G: mat.DenseCopyOf(sigma.Slice(m, m+c, m, m+c))}
	if f0 != nil {
		s.F.Sub(s.F, f0)
	}
	s.NTK = l.ntk(s.H, s.G)
	s.Loss = l.loss(s.F)
	return s
}

// loss is ½ Σ (y − f)² over the training points.
func (l Linear) loss(f mat.Matrix) float64 {
	p, c := l.Targets.Dims()
	sum := 0.
	for i := range p {
		for k := range c {
			d := l.Targets.At(i, k) - f.At(i, k)
			sum += d * d / 2
		}
	}
	return sum
}

// ntk is H δ_cc' + G_cc' Kx over the training points.
func (l Linear) ntk(h, g mat.Matrix) *mat.Dense {
	p, c := l.Targets.Dims()
	k := mat.NewDense(p*c, p*c, nil)
	for i := range p {
		for j := range p {
			for a := range c {
				for b := range c {
					v := g.At(a, b) * l.Gram.At(i, j)
					if a == b {
						v += h.At(i, j)
					}
					k.Set(i*c+a, j*c+b, v)
				}
			}
		}
	}
	return k
}

// residual is Δ (P×C) at a step.
func (l Linear) residual(step int, f mat.Matrix) *mat.Dense {
	p, c := l.Targets.Dims()
	out := mat.NewDense(p, c, nil)
	if l.Delta != nil {
		rows, y, delta := zeros(p, c), zeros(p, c), zeros(p, c)
		for i := range p {
			mat.Row(rows[i], i, f)
			mat.Row(y[i], i, l.Targets)
		}
		l.Delta(step, rows, y, delta)
		for i := range p {
			out.SetRow(i, delta[i])
		}
		return out
	}
	for i, w := range l.weights(step) {
		for k := range c {
			out.Set(i, k, w*(l.Targets.At(i, k)-f.At(i, k)))
		}
	}
	return out
}

// weights are the factors of the training points at a step.
func (l Linear) weights(step int) []float64 {
	p := l.Targets.RawMatrix().Rows
	if l.Weights != nil {
		w := l.Weights(step)
		if len(w) != p {
			panic(fmt.Sprintf("exact: %d weights for %d training points", len(w), p))
		}
		return w
	}
	w := make([]float64, p)
	for i := range w {
		w[i] = 1
	}
	return w
}

// operator is B of the gradient ∇ = Bz of z = (h, w): ∇h_μ = γ₀ Σ_νc Kx_μν Δ_νc w_c, ∇w_c = γ₀ Σ_ν Δ_νc h_ν. It is
// linear in Δ.
func (l Linear) operator(delta *mat.Dense) *mat.Dense {
	m := l.Gram.SymmetricDim()
	p, c := delta.Dims()
	b := mat.NewDense(m+c, m+c, nil)
	for nu := range p {
		for k := range c {
			d := delta.At(nu, k)
			for mu := range m {
				b.Set(mu, m+k, b.At(mu, m+k)+l.Richness*l.Gram.At(mu, nu)*d)
			}
			b.Set(m+k, nu, l.Richness*d)
		}
	}
	return b
}

// transition is A of one step of (z, v), v ← μv + Bz, z ← keep·z + ηv or, for Nesterov, z ← keep·z + η(Bz + μv). Its
// part without B is multiplied by unit, so that unit = 0 is the derivative in B.
func (l Linear) transition(b *mat.Dense, step int, unit float64) *mat.Dense {
	n, _ := b.Dims()
	eta := l.Rate(step)
	a := mat.NewDense(2*n, 2*n, nil)
	for i := range n {
		a.Set(i, i, unit*(1-eta*l.WeightDecay))
		a.Set(n+i, n+i, unit*l.Momentum)
		if l.Nesterov {
			a.Set(i, n+i, unit*eta*l.Momentum*l.Momentum)
		} else {
			a.Set(i, n+i, unit*eta*l.Momentum)
		}
		for j := range n {
			g := b.At(i, j)
			a.Set(n+i, j, g)
			if l.Nesterov {
				g *= 1 + l.Momentum
			}
			a.Set(i, j, a.At(i, j)+eta*g)
		}
	}
	return a
}

// sandwich is a·s·bᵀ.
func sandwich(a, s, b *mat.Dense) *mat.Dense {
	r, _ := a.Dims()
	tmp, out := mat.NewDense(r, r, nil), mat.NewDense(r, r, nil)
	tmp.Mul(a, s)
	out.Mul(tmp, b.T())
	return out
}

// addTransposed adds its transpose to a square matrix.
func addTransposed(d *mat.Dense) {
	n, _ := d.Dims()
	for i := range n {
		for j := range i + 1 {
			v := d.At(i, j) + d.At(j, i)
			d.Set(i, j, v)
			d.Set(j, i, v)
		}
	}
}
