package exact

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Perturbation is Solve to order γ₀², Steps + 1 states: kernels, NTK and predictions are exact to O(γ₀⁴), for every
// learning rate, momentum, Weights and depth, MLP or residual. With Δ(s) = weights·(y − κKv(s)) of the lazy limit, K =
// Kx and the optimiser c of Solve,
//
//	v(t) = Σ_{s<t} c(t,s)Δ(s),   V(t) = Σ_{s<t} c(t,s)Δ(s)v(s)ᵀ,   U(t) = Σ_{s<t} c(t,s)Δ(s)ᵀKv(s)
//	Φ^ℓ = p_ℓK + γ₀²[ρ_ℓ KvvᵀK + σ_ℓ K(V + Vᵀ)K],   G^ℓ = p_{L+1−ℓ} + γ₀²[ρ_{L+1−ℓ} vᵀKv + σ_{L+1−ℓ}(U + Uᵀ)]
//	NTK = κK + γ₀²{ρ[KvvᵀK + K∘vᵀKv] + σ[K(V + Vᵀ)K + K∘(U + Uᵀ)]},   ρ = ρ_L + b²Σ_{ℓ<L} p_{L−ℓ}ρ_ℓ, σ alike
//	f₂  = K{ρ Σ_{s<t} c(t,s)Δ(s)U(s) + ρ vUᵀ + σ VKv + σ Σ_{s<t} c(t,s)V(s)ᵀKΔ(s) + κ Σ_{s<t} c(t,s)Δ₂(s)},   Δ₂ = −weights·f₂
//
// where κK is the initial NTK and f = κKv + γ₀²f₂ + O(γ₀⁴). F is not this sum, whose second term soon outgrows its use:
// it is trained with the NTK above, and what f₂ does in a finite step beyond that, a term of order ηγ₀², is added. Both
// agree to order γ₀²; at γ₀ = 1 (L = 1 … 5, P = 3) the errors of the trained one were 4 to 150 times smaller from a
// quarter of the training on. In an MLP p = 1, κ = L + 1 and
//
//	ρ_ℓ = ℓ(ℓ+1)(2ℓ+1)/6,   σ_ℓ = ℓ(ℓ+1)(3L−2ℓ+2)/6,   ρ = σ = L(L+1)²(L+2)/12,
//
// so on one point with K = 1 and small steps the NTK is L + 1 + γ₀²v²L(L+1)²(L+2)/3. In a residual network they are
// sums over layers.
//
// printed selects the expansion as printed for L > 1 (arXiv 2205.09653, eq. 13), in which A and B are left out although
// they enter the kernels at the same order: it is that of networks with independent forward and backward weights, with
// ρ_ℓ = σ_ℓ = ℓ and ρ = σ = L(L+1)/2 in an MLP, 2L(L+1)γ₀²v² instead of the last term above. F is trained with that NTK
// alone, and Cross is nil. (The authors' code has further slips in V, not copied: its two exponential terms are added
// instead of subtracted. For the flow V + Vᵀ is just vvᵀ.)
//
// A Start, weight decay and other losses than the squared one, with Weights, are errors. So is divergence, as in Solve.
func (d DeepLinear) Perturbation(printed bool) ([]DeepState, error) {
	x, err := d.expansion(printed)
	if err != nil {
		return nil, err
	}
	d.Problem.check()
	l := d.Problem
	c, _ := l.memory()
	m := l.Gram.SymmetricDim()
	_, outputs := l.Targets.Dims()
	// What is summed over s: Δ, Δvᵀ, ΔᵀKv, ΔU and VᵀKΔ of the lazy limit, and Δ₂.
	var delta, dv, dkv, du, vkd, delta2 []*mat.Dense
	sum := func(t, r, n int, list []*mat.Dense) *mat.Dense {
		out := mat.NewDense(r, n, nil)
		for s := range t {
			out.Add(out, scaled(c[t][s], list[s]))
		}
		return out
	}
	f, move := mat.NewDense(m, outputs, nil), mat.NewDense(m, outputs, nil)
	// f₂ if the NTK alone had moved it in the last step
	expect, move2 := mat.NewDense(m, outputs, nil), mat.NewDense(m, outputs, nil)
	square := l.Richness * l.Richness
	var out []DeepState
	for t := 0; ; t++ {
		o := order{v: sum(t, m, outputs, delta), vv: sum(t, m, m, dv), u: sum(t, outputs, outputs, dkv)}
		kv := mul(l.Gram, o.v)
		f2 := scaled(x.ntk, sum(t, m, outputs, delta2))
		f2.Add(f2, scaled(x.rho, sum(t, m, outputs, du)))
		f2.Add(f2, scaled(x.rho, mul(o.v, o.u.T())))
		f2.Add(f2, scaled(x.sigma, mul(o.vv, kv)))
		f2.Add(f2, scaled(x.sigma, sum(t, m, outputs, vkd)))
		f2 = mul(l.Gram, f2)
		if !printed {
			f.Add(f, scaled(square, f2))
			f.Sub(f, scaled(square, expect))
		}
		now := x.state(o, mat.DenseCopyOf(f))
		if !now.finite() {
			return out, d.diverged(out, t)
		}
		out = append(out, now)
		if t == l.Steps {
			return out, nil
		}
		weights := l.weights(t)
		d0, d2 := x.residual(weights, l.Targets, scaled(x.ntk, kv)), x.residual(weights, nil, f2)
		kd := mul(l.Gram, d0)
		delta = append(delta, d0)
		dv = append(dv, mul(d0, o.v.T()))
		dkv = append(dkv, mul(d0.T(), kv))
		du = append(du, mul(d0, o.u))
		vkd = append(vkd, mul(o.vv.T(), kd))
		delta2 = append(delta2, mat.DenseCopyOf(d2))
		l.advance(t, f, move, x.rate(o, square, x.residual(weights, l.Targets, f)))
		g2 := x.rate(o, 1, d0) // NTK₂Δ + κKΔ₂
		d2.Sub(d2, d0)
		g2.Add(g2, scaled(x.ntk, mul(l.Gram, d2)))
		expect.Copy(f2)
		l.advance(t, expect, move2, g2)
	}
}

// PerturbationFlow is [DeepLinear.Perturbation] of the gradient flow at the given times, which must not fall: dv/dt =
// Δ, df/dt = NTK·weights·(y − f) and
//
//	V + Vᵀ = vvᵀ,  U + Uᵀ = vᵀKv,  Φ^ℓ = p_ℓK + γ₀²(ρ_ℓ + σ_ℓ)KvvᵀK,  NTK = κK + γ₀²(ρ + σ)[KvvᵀK + K∘vᵀKv],
//
// integrated to a relative error of about 1e-13 per unit of time. Rate and Steps have no meaning here, Weights are
// taken at step 0, and momentum is an error.
func (d DeepLinear) PerturbationFlow(times []float64, printed bool) ([]DeepState, error) {
	x, err := d.expansion(printed)
	if err != nil {
		return nil, err
	}
	l := d.Problem
	if l.Momentum != 0 || l.Nesterov {
		return nil, fmt.Errorf("exact: momentum %g belongs to discrete steps, not to a gradient flow", l.Momentum)
	}
	m, c := l.Gram.SymmetricDim(), l.Targets.RawMatrix().Cols
	weights := l.weights(0)
	view := func(y []float64) (f *mat.Dense, o order) { // y is f, then v
		f, o.v = mat.NewDense(m, c, y[:m*c]), mat.NewDense(m, c, y[m*c:])
		o.vv = scaled(0.5, mul(o.v, o.v.T()))
		o.u = scaled(0.5, mul(o.v.T(), mul(l.Gram, o.v)))
		return f, o
	}
	field := func(_ float64, dst, y []float64) {
		f, o := view(y)
		copy(dst, x.rate(o, l.Richness*l.Richness, x.residual(weights, l.Targets, f)).RawMatrix().Data)
		copy(dst[m*c:], x.residual(weights, l.Targets, scaled(x.ntk, mul(l.Gram, o.v))).RawMatrix().Data)
	}
	y := make([]float64, 2*m*c)
	var out []DeepState
	now := 0.
	for _, t := range times {
		if !(t >= now) || math.IsInf(t, 1) {
			return out, fmt.Errorf("exact: output time %g of a flow comes after %g; times must be finite and must "+
				"not fall", t, now)
		}
		if err := integrate(field, y, now, t); err != nil {
			return out, fmt.Errorf("exact: flow of a deep linear network to second order in the richness: %w", err)
		}
		now = t
		f, o := view(append([]float64(nil), y...))
		out = append(out, x.state(o, f))
	}
	return out, nil
}

// advance moves f, of velocity v, by one step along a gradient.
func (l Linear) advance(step int, f, v, gradient *mat.Dense) {
	v.Scale(l.Momentum, v)
	v.Add(v, gradient)
	eta := l.Rate(step)
	if l.Nesterov {
		f.Add(f, scaled(eta, gradient))
		eta *= l.Momentum
	}
	f.Add(f, scaled(eta, v))
}

// order holds the sums v (M×C), V (M×M) and U (C×C) of the lazy limit at one time.
type order struct{ v, vv, u *mat.Dense }

// expansion holds the coefficients of Perturbation.
type expansion struct {
	DeepLinear
	printed         bool
	p, q            []float64 // Φ^ℓ/K and G^ℓ in the lazy limit, by layer
	rhos, sigmas    []float64 // ρ_ℓ, σ_ℓ
	ntk, rho, sigma float64   // κ, ρ, σ
}

// expansion derives the coefficients. To first order χ^ℓ = u^ℓ + γ₀α_ℓ Σ cKΔ g^ℓ and ξ^ℓ = r^ℓ + γ₀β_ℓ Σ cΔᵀh^ℓ, where
// α_ℓ and β_ℓ sum responses and learning. The layers are joined by h = Fχ and g = Eξ, F_ℓk = s^{ℓ−k}b for k ≤ ℓ
// (without b for k = 1) and E_ℓk = F_{L+1−ℓ,L+1−k}: a network is its own mirror image, β_ℓ = α_{L+1−ℓ}. Then
//
//	A^ℓ = γ₀(FαE)_ℓℓ cKΔ,   α_{ℓ+1} = (FαE)_ℓℓ + bp_ℓ,   α_1 = 1
//	h   = Fu + γ₀FαE r + γ₀²FαEβF u + …
//
// and the second moments of h to order γ₀², in which ⟨uu⟩ is that of the layer below, are Φ.
func (d DeepLinear) expansion(printed bool) (*expansion, error) {
	l := d.Problem
	l.checkShapes()
	switch {
	case d.Depth < 1:
		panic(fmt.Sprintf("exact: a deep linear network of depth %d", d.Depth))
	case l.Start != nil:
		return nil, fmt.Errorf("exact: a deep linear network starts from infinite width; leave Start nil")
	case l.WeightDecay != 0:
		return nil, fmt.Errorf("exact: perturbation theory in the richness is without weight decay, which is %g",
			l.WeightDecay)
	case l.Delta != nil:
		return nil, fmt.Errorf("exact: perturbation theory in the richness is for the squared loss alone; leave Delta nil")
	}
	n, b := d.Depth, d.branch()
	x := &expansion{DeepLinear: d, printed: printed, p: make([]float64, n), q: make([]float64, n),
		rhos: make([]float64, n), sigmas: make([]float64, n)}
	f, e := mat.NewDense(n, n, nil), mat.NewDense(n, n, nil)
	below := func(list []float64, first float64, i int) float64 { // element ℓ−1 of a list that starts with layer 0
		if i == 0 {
			return first
		}
		return list[i-1]
	}
	for i := range n {
		for k := range i + 1 {
			v := math.Pow(d.Skip, float64(i-k))
			if k > 0 {
				v *= b
			}
			f.Set(i, k, v)
			e.Set(n-1-i, n-1-k, v)
			x.p[i] += v * v * below(x.p, 1, k)
		}
	}
	for i := range n {
		x.q[i] = x.p[n-1-i]
	}
	alpha, beta, first := mat.NewDiagDense(n, nil), mat.NewDiagDense(n, nil), mat.NewDiagDense(n, nil)
	response := 0.
	for i := range n {
		a := below(x.p, 1, i)
		first.SetDiag(i, a)
		if i > 0 {
			a *= b
		}
		alpha.SetDiag(i, a+response)
		beta.SetDiag(n-1-i, a+response)
		if !printed {
			response = 0
			for k := range i + 1 {
				response += f.At(i, k) * alpha.At(k, k) * e.At(k, i)
			}
		}
	}
	fae := mul(mul(f, alpha), e)
	fur := mul(mul(fae, beta), f)
	mirror := mat.NewDiagDense(n, nil) // ⟨rr⟩
	for i := range n {
		mirror.SetDiag(i, first.At(n-1-i, n-1-i))
	}
	square, cross := mul(mul(fae, mirror), fae.T()), mul(mul(fur, first), f.T())
	for i := range n {
		x.rhos[i], x.sigmas[i] = square.At(i, i), cross.At(i, i)
		for k := range i + 1 {
			x.rhos[i] += f.At(i, k) * f.At(i, k) * below(x.rhos, 0, k)
			x.sigmas[i] += f.At(i, k) * f.At(i, k) * below(x.sigmas, 0, k)
		}
	}
	x.ntk, x.rho, x.sigma = x.p[n-1]+x.q[0], x.rhos[n-1], x.sigmas[n-1]
	for i := range n - 1 {
		x.ntk += b * b * x.q[i+1] * x.p[i]
		x.rho += b * b * x.q[i+1] * x.rhos[i]
		x.sigma += b * b * x.q[i+1] * x.sigmas[i]
	}
	return x, nil
}

// residual is weights·(y − f) as M×C, zero at test points; no targets are zeros.
func (x *expansion) residual(weights []float64, y, f *mat.Dense) *mat.Dense {
	m, c := f.Dims()
	out := mat.NewDense(m, c, nil)
	for i, w := range weights {
		for k := range c {
			v := -f.At(i, k)
			if y != nil {
				v += y.At(i, k)
			}
			out.Set(i, k, w*v)
		}
	}
	return out
}

// kernels returns the two parts of the NTK of second order without γ₀²: a of a⊗1 (M×M) and b of K∘b (C×C), for
// coefficients ρ and σ.
func (x *expansion) kernels(o order, rho, sigma float64) (a, b *mat.Dense) {
	k := x.Problem.Gram
	kv := mul(k, o.v)
	a, b = mul(mul(k, o.vv), k), mat.DenseCopyOf(o.u)
	addTransposed(a)
	addTransposed(b)
	a.Scale(sigma, a)
	b.Scale(sigma, b)
	a.Add(a, scaled(rho, mul(kv, kv.T())))
	b.Add(b, scaled(rho, mul(o.v.T(), kv)))
	return a, b
}

// rate is NTK·Δ to order γ₀², given the square of γ₀.
func (x *expansion) rate(o order, square float64, delta *mat.Dense) *mat.Dense {
	kd := mul(x.Problem.Gram, delta)
	a, b := x.kernels(o, x.rho, x.sigma)
	out := mul(a, delta)
	out.Add(out, mul(kd, b))
	out.Scale(square, out)
	out.Add(out, scaled(x.ntk, kd))
	return out
}

// state assembles the kernels.
func (x *expansion) state(o order, f *mat.Dense) DeepState {
	gamma := x.Problem.Richness
	n := x.Depth
	s := DeepState{F: f, Phi: make([]*mat.Dense, n), G: make([]*mat.Dense, n)}
	for i := range n {
		a, b := x.kernels(o, x.rhos[i], x.sigmas[i])
		a.Scale(gamma*gamma, a)
		a.Add(a, scaled(x.p[i], x.Problem.Gram))
		b.Scale(gamma*gamma, b)
		for k := range b.RawMatrix().Cols {
			b.Set(k, k, b.At(k, k)+x.p[i])
		}
		s.Phi[i], s.G[n-1-i] = a, b
		if !x.printed {
			s.Cross = append(s.Cross, scaled(gamma, f))
		}
	}
	a, b := x.kernels(o, x.rho, x.sigma)
	a.Scale(gamma*gamma, a)
	a.Add(a, scaled(x.ntk, x.Problem.Gram))
	b.Scale(gamma*gamma, b)
	s.NTK = x.Problem.ntk(a, b)
	s.Loss = x.Problem.loss(f)
	return s
}

// scaled is a·m in a new matrix.
func scaled(a float64, m mat.Matrix) *mat.Dense {
	var out mat.Dense
	out.Scale(a, m)
	return &out
}

// mul is a·b in a new matrix.
func mul(a, b mat.Matrix) *mat.Dense {
	var out mat.Dense
	out.Mul(a, b)
	return &out
}
