// Package exact holds problems with known answers, derived independently of the training loop: plain loops and closed forms that every
// solver is tested against. Nothing here is meant to be fast.
//
// Conventions are those of package dmft: h = W⁰x/√D, f = w·φ(h^L)/(γ₀N), θ ← θ + ηγ₀²N Σ_μ Δ_μ ∂f_μ/∂θ.
package exact

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// Linear is a two-layer linear network trained with the squared loss by a linear optimiser.
type Linear struct {
	Gram        *mat.SymDense // M×M Gram matrix of training points, then test points
	Targets     *mat.Dense    // P×C targets of the training points
	Richness    float64       // γ₀
	Steps       int
	Rate        func(step int) float64 // learning rate η
	Momentum    float64
	Nesterov    bool
	WeightDecay float64
	// Weights are the factors in front of y − f in Δ at a step, one per training point (a mini-batch is a row of zeros and ones); nil is 1.
	Weights func(step int) []float64
	// Start is the joint second moment of (h over M points, w over C outputs) at the start; nil is the infinite-width one,
	// diag(Gram, 1). From the sample second moment of a network of finite width the map is exact for that network.
	Start *mat.SymDense
}

// LinearState is the state of a Linear at one step.
type LinearState struct {
	F   *mat.Dense // M×C predictions
	H   *mat.Dense // M×M second moment of the preactivations
	G   *mat.Dense // C×C second moment of the readout
	NTK *mat.Dense // PC×PC: H δ_cc' + G_cc' Gram
}

// Solve iterates the exact map. Given the residuals Δ(t) every neuron's state z = (h, w, velocities) moves linearly, z ← A(Δ)z, so the second
// moment over neurons obeys Σ ← AΣAᵀ exactly, at any width, and f = Σ_hw/γ₀ closes it. For plain gradient descent and one output this is
//
//	H ← H + e(kqᵀ + qkᵀ) + e²G kkᵀ,  q ← q + e(kG + HΔ) + e²k Δ·q,  G ← G + 2eΔ·q + e²ΔᵀHΔ,  k = KxΔ, e = ηγ₀.
func (l Linear) Solve() []LinearState {
	m := l.Gram.SymmetricDim()
	p, c := l.Targets.Dims()
	n := m + c
	sigma := mat.NewDense(2*n, 2*n, nil)
	for i := range n {
		for j := range n {
			switch {
			case l.Start != nil:
				sigma.Set(i, j, l.Start.At(i, j))
			case i < m && j < m:
				sigma.Set(i, j, l.Gram.At(i, j))
			case i == j:
				sigma.Set(i, j, 1)
			}
		}
	}
	var out []LinearState
	for t := 0; ; t++ {
		s := LinearState{F: mat.NewDense(m, c, nil), H: mat.DenseCopyOf(sigma.Slice(0, m, 0, m)), G: mat.DenseCopyOf(sigma.Slice(m, n, m, n)), NTK: mat.NewDense(p*c, p*c, nil)}
		s.F.Scale(1/l.Richness, sigma.Slice(0, m, m, n))
		for i := range p {
			for j := range p {
				for a := range c {
					for b := range c {
						v := s.G.At(a, b) * l.Gram.At(i, j)
						if a == b {
							v += s.H.At(i, j)
						}
						s.NTK.Set(i*c+a, j*c+b, v)
					}
				}
			}
		}
		out = append(out, s)
		if t == l.Steps {
			return out
		}
		// The gradient ∇ = B z of (h, w): ∇h_μ = γ₀ Σ_νc Kx_μν Δ_νc w_c, ∇w_c = γ₀ Σ_ν Δ_νc h_ν.
		b := mat.NewDense(n, n, nil)
		var weights []float64
		if l.Weights != nil {
			weights = l.Weights(t)
		}
		for nu := range p {
			for k := range c {
				d := l.Targets.At(nu, k) - s.F.At(nu, k)
				if weights != nil {
					d *= weights[nu]
				}
				for mu := range m {
					b.Set(mu, m+k, b.At(mu, m+k)+l.Richness*l.Gram.At(mu, nu)*d)
				}
				b.Set(m+k, nu, l.Richness*d)
			}
		}
		eta := l.Rate(t)
		keep := 1 - eta*l.WeightDecay
		// v ← μv + Bz;  z ← keep·z + η v, or for Nesterov z ← keep·z + η(Bz + μ v_new).
		a := mat.NewDense(2*n, 2*n, nil)
		for i := range n {
			a.Set(i, i, keep)
			a.Set(n+i, n+i, l.Momentum)
			if l.Nesterov {
				a.Set(i, n+i, eta*l.Momentum*l.Momentum)
			} else {
				a.Set(i, n+i, eta*l.Momentum)
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
		tmp := mat.NewDense(2*n, 2*n, nil)
		tmp.Mul(a, sigma)
		next := mat.NewDense(2*n, 2*n, nil)
		next.Mul(tmp, a.T())
		sigma = next
	}
}

// WhitenedFlow is the prediction f(t) of a two-layer linear network under gradient flow on whitened data (Kx = 1) with a target of norm y: only
// the direction of y moves, df/dt = 2√(1 + γ₀²f²)(y − f). The closed form is
//
//	a = asinh γ₀y,  E = coth(a/2) e^{2t cosh a},  tanh(q/2) = (E sinh(a/2) − cosh(a/2))/(E cosh(a/2) + sinh(a/2)),  f = sinh(q)/γ₀
//
// and the NTK along y is 2 cosh q. (Bordelon & Pehlevan 2022, arXiv 2205.09653, print the rate without the factor 2, which is the two
// layers of the NTK.)
func WhitenedFlow(gamma, y, t float64) (f, ntk float64) {
	a := math.Asinh(gamma * y)
	e := math.Exp(2*t*math.Cosh(a)) / math.Tanh(a/2)
	sh, ch := math.Sinh(a/2), math.Cosh(a/2)
	r := (sh - ch/e) / (ch + sh/e) // divided by E, which overflows for late times
	q := 2 * math.Atanh(r)
	return math.Sinh(q) / gamma, 2 * math.Cosh(q)
}

// Lazy is the solution of training with a static kernel and the squared loss: K is M×P, its first P rows those of the training
// points. flow selects f(t) = K K⁻¹(1 − e^{−K t})y at t = η·n, otherwise gradient descent, (1 − ηK)ⁿ. It returns M×C
// predictions after n steps.
func Lazy(k *mat.Dense, y *mat.Dense, eta float64, n int, flow bool) *mat.Dense {
	m, p := k.Dims()
	_, c := y.Dims()
	train := mat.NewSymDense(p, nil)
	for i := range p {
		for j := i; j < p; j++ {
			train.SetSym(i, j, k.At(i, j))
		}
	}
	var eig mat.EigenSym
	if !eig.Factorize(train, true) {
		panic("exact: eigenvalues of a symmetric matrix do not converge")
	}
	var v mat.Dense
	eig.VectorsTo(&v)
	// α = Σ_k (1 − decay_k)/λ_k v_k v_kᵀ y, f = Kα.
	g := mat.NewDense(p, p, nil)
	for i, l := range eig.Values(nil) {
		x := eta * l
		var w float64
		switch {
		case math.Abs(x) < 1e-12: // limit of the quotient
			w = eta * float64(n)
		case flow:
			w = -math.Expm1(-x*float64(n)) / l
		default:
			w = (1 - math.Pow(1-x, float64(n))) / l
		}
		g.Set(i, i, w)
	}
	alpha, tmp := mat.NewDense(p, p, nil), mat.NewDense(p, p, nil)
	tmp.Mul(&v, g)
	alpha.Mul(tmp, v.T())
	ay, f := mat.NewDense(p, c, nil), mat.NewDense(m, c, nil)
	ay.Mul(alpha, y)
	f.Mul(k, ay)
	return f
}
