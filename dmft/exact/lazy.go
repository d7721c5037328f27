package exact

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
)

// Lazy is the solution of training with a static kernel and the squared loss: k is M×P, its first P rows those of the
// training points, and y is P×C. flow selects f(t) = K K⁻¹(1 − e^{−Kt})y at t = η·n, otherwise gradient descent, (1 −
// ηK)ⁿ. It returns M×C predictions after n steps. The outputs share the kernel; for a kernel that couples them pass the
// MC×PC block matrix and PC×1 targets. A loss that is a mean over samples is a learning rate smaller by P.
func Lazy(k *mat.Dense, y *mat.Dense, eta float64, n int, flow bool) *mat.Dense {
	// α = Σ_k (1 − decay_k)/λ_k v_k v_kᵀ y, f = Kα.
	return spectral(k, y, func(l float64) float64 {
		x := eta * l
		switch {
		case x == 0:
			return eta * float64(n)
		case flow:
			return -math.Expm1(-x*float64(n)) / l
		case x < 0.5: // small eigenvalues would lose their digits in 1 − (1 − x)ⁿ
			return -math.Expm1(float64(n)*math.Log1p(-x)) / l
		}
		return (1 - math.Pow(1-x, float64(n))) / l
	})
}

// LazyMomentum is [Lazy] for gradient descent with momentum μ, Nesterov's or not. In every eigenmode of the kernel,
// with eigenvalue λ, x = ηλ and relative residual r (1 at the start), the two-term recursion is
//
//	r(n+1) = (1 − x) r(n) + μ(r(n) − r(n−1))                              momentum
//	s(n+1) = (1 − x) r(n),  r(n+1) = s(n+1) + μ(s(n+1) − s(n))            Nesterov
//
// with r(−1) = r(0) = s(0). Below it is written for e = (1 − r)/λ, which zero modes have as well.
func LazyMomentum(k *mat.Dense, y *mat.Dense, eta, mu float64, n int, nesterov bool) *mat.Dense {
	return spectral(k, y, func(l float64) float64 {
		e, last := 0., 0. // of r(n) and r(n−1), or s(n) and s(n−1)
		ahead := 0.       // of r(n) for Nesterov
		for range n {
			if nesterov {
				last, e = e, ahead+eta*(1-l*ahead)
				ahead = e + mu*(e-last)
			} else {
				last, e = e, e+eta*(1-l*e)+mu*(e-last)
			}
		}
		if nesterov {
			return ahead
		}
		return e
	})
}

// spectral is K g(K_train) y for k = K of M×P.
func spectral(k, y *mat.Dense, g func(lambda float64) float64) *mat.Dense {
	m, p := k.Dims()
	if r, _ := y.Dims(); r != p || m < p {
		panic(fmt.Sprintf("exact: a kernel of %d×%d points and %d targets", m, p, r))
	}
	values, v := eigen(trainingBlock(k))
	var ay, f mat.Dense
	ay.Mul(v.T(), y)
	for i, l := range values {
		w := g(l)
		for j := range ay.RawMatrix().Cols {
			ay.Set(i, j, w*ay.At(i, j))
		}
	}
	var alpha mat.Dense
	alpha.Mul(v, &ay)
	f.Mul(k, &alpha)
	return &f
}

// trainingBlock is the symmetric matrix of the first P rows of an M×P kernel.
func trainingBlock(k *mat.Dense) *mat.SymDense {
	_, p := k.Dims()
	s := mat.NewSymDense(p, nil)
	for i := range p {
		for j := i; j < p; j++ {
			s.SetSym(i, j, k.At(i, j))
		}
	}
	return s
}

// Static is training with a static kernel, any loss and any number of outputs: f(θ) − f(θ₀) of a network linearised at
// its start, without weight decay (which would shrink the kernel).
type Static struct {
	Kernel   *mat.Dense  // MC×PC, or M×P to be shared by the outputs
	Y        [][]float64 // targets of the P training points, C numbers each
	Steps    int
	Rate     func(step int) float64 // learning rate η
	Momentum float64                // μ
	Nesterov bool
	// Delta fills Δ = −∂loss/∂f of the training points at a step; see [Residuals]. nil is the squared loss ½Σ(y − f)².
	Delta func(step int, f, y, delta [][]float64)
}

// Train returns the predictions at every step, step × point × output, Steps + 1 of them: u ← μu + KΔ, f ← f + ηu, or
// for Nesterov f ← f + η(KΔ + μu).
func (s Static) Train() [][][]float64 {
	m, c := s.check()
	if s.Rate == nil || s.Steps < 0 {
		panic(fmt.Sprintf("exact: static training needs a Rate and Steps ≥ 0, not %d", s.Steps))
	}
	f, u := make([]float64, m*c), make([]float64, m*c)
	g := make([]float64, m*c)
	var out [][][]float64
	for t := 0; ; t++ {
		out = append(out, grid(f, c))
		if t == s.Steps {
			return out
		}
		s.gradient(t, g, f)
		eta := s.Rate(t)
		for i := range f {
			u[i] = s.Momentum*u[i] + g[i]
			if s.Nesterov {
				f[i] += eta * (g[i] + s.Momentum*u[i])
			} else {
				f[i] += eta * u[i]
			}
		}
	}
}

// Flow returns the predictions of df/dt = KΔ at the given times, which must not fall, to a relative error of about
// 1e-13 per unit of time. Rate and Steps have no meaning here, Delta is taken at step 0.
func (s Static) Flow(times []float64) ([][][]float64, error) {
	m, c := s.check()
	if s.Momentum != 0 || s.Nesterov {
		return nil, fmt.Errorf("exact: momentum %g belongs to discrete steps, not to a gradient flow", s.Momentum)
	}
	f := make([]float64, m*c)
	var out [][][]float64
	now := 0.
	for _, t := range times {
		if !(t >= now) || math.IsInf(t, 1) {
			return out, fmt.Errorf("exact: output time %g of a flow comes after %g; times must be finite and must "+
				"not fall", t, now)
		}
		if err := integrate(func(_ float64, dst, y []float64) { s.gradient(0, dst, y) }, f, now, t); err != nil {
			return out, fmt.Errorf("exact: flow with a static kernel: %w", err)
		}
		now = t
		out = append(out, grid(f, c))
	}
	return out, nil
}

func (s Static) check() (m, c int) {
	rows, cols := s.Kernel.Dims()
	p := len(s.Y)
	if p > 0 {
		c = len(s.Y[0])
	}
	switch {
	case p > 0 && c > 0 && cols == p:
		m = rows
	case p > 0 && c > 0 && cols == p*c && rows%c == 0:
		m = rows / c
	default:
		panic(fmt.Sprintf("exact: a static kernel of %d×%d for %d targets of %d outputs", rows, cols, p, c))
	}
	if m < p {
		panic(fmt.Sprintf("exact: a static kernel of %d points for %d targets", m, p))
	}
	return m, c
}

// gradient sets dst = KΔ(f), both over points and outputs.
func (s Static) gradient(step int, dst, f []float64) {
	p, c := len(s.Y), len(s.Y[0])
	m := len(f) / c
	deltaOf := s.Delta
	if deltaOf == nil {
		deltaOf = Residuals(MSE, nil)
	}
	delta := zeros(p, c)
	deltaOf(step, grid(f, c)[:p], s.Y, delta)
	_, cols := s.Kernel.Dims()
	for i := range m {
		for a := range c {
			v := 0.
			for j := range p {
				if cols == p {
					v += s.Kernel.At(i, j) * delta[j][a]
					continue
				}
				for b := range c {
					v += s.Kernel.At(i*c+a, j*c+b) * delta[j][b]
				}
			}
			dst[i*c+a] = v
		}
	}
}

// grid copies a vector over points and outputs into rows.
func grid(f []float64, c int) [][]float64 {
	out := make([][]float64, len(f)/c)
	for i := range out {
		out[i] = append([]float64(nil), f[i*c:(i+1)*c]...)
	}
	return out
}

// LazyCovariance is N Cov(Δ_μ, Δ_ν) over initialisations of a centred network in the lazy limit, P×P, where kappa(a, b,
// c, d) = N Cov(K_ab, K_cd) of the kernel at initialisation, k is its mean, y the targets of one output, and eta, n and
// flow are those of [Lazy]. A static fluctuation ε of the kernel moves the residual, in the eigenbasis of k, by −Σ_l
// V_kl ε_kl y_l with
//
//	V_kl = (e^{−λ_k t} − e^{−λ_l t})/(λ_l − λ_k),   V_kk = t e^{−λ_k t}      (flow)
//	V_kl = η Σ_{s<n} (1 − ηλ_k)^{n−1−s} (1 − ηλ_l)^s                         (gradient descent)
//
// (arXiv 2304.03408). For P = 1 it is κy²t²e^{−2Kt} and κy²(ηn)²(1 − ηK)^{2(n−1)}.
func LazyCovariance(k mat.Symmetric, y []float64, kappa func(a, b, c, d int) float64, eta float64, n int,
	flow bool) *mat.SymDense {
	p := k.SymmetricDim()
	if len(y) != p {
		panic(fmt.Sprintf("exact: a kernel of %d points and %d targets", p, len(y)))
	}
	lambda, u := eigen(k)
	// move[μ][a·P + b] is −∂Δ_μ/∂ε_ab.
	move := zeros(p, p*p)
	for i, li := range lambda {
		for j, lj := range lambda {
			v := 0.
			if flow {
				t := eta * float64(n)
				low, gap := math.Min(li, lj), math.Abs(li-lj)
				v = t * math.Exp(-low*t)
				if gap*t > 1e-300 { // −expm1(−x)/x is accurate down to there
					v *= -math.Expm1(-gap*t) / (gap * t)
				}
			} else {
				for s := range n {
					v += eta * math.Pow(1-eta*li, float64(n-1-s)) * math.Pow(1-eta*lj, float64(s))
				}
			}
			yj := 0.
			for b := range p {
				yj += u.At(b, j) * y[b]
			}
			for mu := range p {
				for a := range p {
					for b := range p {
						move[mu][a*p+b] += u.At(mu, i) * v * u.At(a, i) * u.At(b, j) * yj
					}
				}
			}
		}
	}
	cov := mat.NewSymDense(p, nil)
	for a := range p * p {
		for b := range p * p {
			kab := kappa(a/p, a%p, b/p, b%p)
			for mu := range p {
				for nu := mu; nu < p; nu++ {
					cov.SetSym(mu, nu, cov.At(mu, nu)+move[mu][a]*kab*move[nu][b])
				}
			}
		}
	}
	return cov
}

// LinearKappa is N Cov(K_ab, K_cd) of the kernel of a two-layer linear network at initialisation, K_ab = ⟨h_a h_b⟩ +
// Kx_ab⟨w²⟩: Kx_ac Kx_bd + Kx_ad Kx_bc + 2 Kx_ab Kx_cd by Wick's theorem.
func LinearKappa(gram mat.Symmetric) func(a, b, c, d int) float64 {
	return func(a, b, c, d int) float64 {
		return gram.At(a, c)*gram.At(b, d) + gram.At(a, d)*gram.At(b, c) + 2*gram.At(a, b)*gram.At(c, d)
	}
}

// TwoLayerKappa returns κ = N Var(K) and K = ⟨φ²⟩ + Kx⟨φ'²⟩ of the kernel of a two-layer network on one point at
// initialisation,
//
//	κ = ⟨φ⁴⟩ + 2Kx⟨φ²φ'²⟩ + 3Kx²⟨φ'⁴⟩ − K²,   h ~ N(0, Kx), w ~ N(0, 1) in k = φ² + Kx w²φ'²,
//
// by Gauss–Legendre quadrature in panels that meet at zero, so a kink there does no harm. φ must not grow faster than a
// polynomial.
func TwoLayerKappa(phi, dphi func(float64) float64, kx float64) (kappa, ntk float64) {
	sd := math.Sqrt(kx)
	var p2, d2, p4, pd, d4 float64
	// Panels of half a standard deviation out to 12, where the weight is e⁻⁷²: the 16-point rule is exact to rounding
	// on them for activations that vary on the scale of h.
	const panels = 48
	var x, w [16]float64
	for i := range panels {
		quad.Legendre{}.FixedLocations(x[:], w[:], float64(i-panels/2)/2, float64(i+1-panels/2)/2)
		for j, z := range x {
			w := w[j] * math.Exp(-z*z/2) / math.Sqrt(2*math.Pi)
			p, d := phi(sd*z), dphi(sd*z)
			p2 += w * p * p
			d2 += w * d * d
			p4 += w * p * p * p * p
			pd += w * p * p * d * d
			d4 += w * d * d * d * d
		}
	}
	ntk = p2 + kx*d2
	return p4 + 2*kx*pd + 3*kx*kx*d4 - ntk*ntk, ntk
}
