package exact

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// Fluctuation is what finite width adds at one step, over the initialisations of a network with N hidden neurons: to
// leading order in 1/N.
type Fluctuation struct {
	FBias   *mat.Dense    // M×C  N(⟨f⟩ − f_∞)
	FCov    *mat.SymDense // MC×MC  N Cov(f); index μC + c
	NTKBias *mat.Dense    // PC×PC  N(⟨K⟩ − K_∞)
	NTKVar  *mat.Dense    // PC×PC  N Var(K), elementwise
}

// Fluctuations returns the mean and covariance of order 1/N over initialisations at every step, Steps + 1 of them. The
// map of Solve is exact at any width, and the second moment it starts from is that of N Gaussian vectors with the
// infinite-width moment S, so
//
//	N Cov(Σ_ij, Σ_kl) = S_ik S_jl + S_il S_jk,   N Cov(q) = J C₀ Jᵀ,   N bias(q) = ½ Tr(Hess C₀)
//
// for any q reached by the map. C₀ is a sum over directions L(e_i e_jᵀ + e_j e_iᵀ)Lᵀ, S = LLᵀ, along each of which the
// map is followed to second order, so derivatives are exact. With Centred the predictions are f(θ) − f(θ₀). Only the
// squared loss, with Weights, is differentiated here. (Structure of the 1/N expansion: Bordelon & Pehlevan 2023, arXiv
// 2304.03408; there by the Hessian of the action, at P = 1.)
func (l Linear) Fluctuations() []Fluctuation {
	l.check()
	if l.Delta != nil {
		panic("exact: Fluctuations differentiates the squared loss alone; leave Delta nil")
	}
	m := l.Gram.SymmetricDim()
	p, c := l.Targets.Dims()
	out := make([]Fluctuation, l.Steps+1)
	for t := range out {
		out[t] = Fluctuation{FBias: mat.NewDense(m, c, nil), FCov: mat.NewSymDense(m*c, nil),
			NTKBias: mat.NewDense(p*c, p*c, nil), NTKVar: mat.NewDense(p*c, p*c, nil)}
	}
	root := squareRoot(l.moment())
	n := m + c
	for i := range n {
		for j := range i + 1 {
			// L(e_i e_jᵀ + e_j e_iᵀ)Lᵀ has coefficients of variance 1/N for i ≠ j; L e_i e_iᵀ Lᵀ of variance 2/N.
			d := l.start(2)
			d.Zero()
			for a := range n {
				for b := range n {
					v := root.At(a, i)*root.At(b, j) + root.At(a, j)*root.At(b, i)
					if i == j {
						v /= math.Sqrt2
					}
					d.Set(a, b, v)
				}
			}
			l.follow(d, out)
		}
	}
	return out
}

// follow adds the contribution of one direction of the start to the fluctuations: a Taylor expansion of order two of
// the whole run.
func (l Linear) follow(direction *mat.Dense, out []Fluctuation) {
	m := l.Gram.SymmetricDim()
	p, c := l.Targets.Dims()
	s := [3]*mat.Dense{l.start(2), direction, mat.NewDense(2*(m+c), 2*(m+c), nil)}
	var f0 [3]*mat.Dense
	for t := range out {
		var f [3]*mat.Dense
		for k := range s {
			f[k] = l.prediction(s[k])
			if l.Centred {
				if t == 0 {
					f0[k] = mat.DenseCopyOf(f[k])
				}
				f[k].Sub(f[k], f0[k])
			}
		}
		out[t].FBias.Add(out[t].FBias, f[2])
		out[t].FCov.SymRankOne(out[t].FCov, 1, mat.NewVecDense(m*c, f[1].RawMatrix().Data))
		first, second := l.ntk(s[1].Slice(0, m, 0, m), s[1].Slice(m, m+c, m, m+c)),
			l.ntk(s[2].Slice(0, m, 0, m), s[2].Slice(m, m+c, m, m+c))
		first.MulElem(first, first)
		out[t].NTKVar.Add(out[t].NTKVar, first)
		out[t].NTKBias.Add(out[t].NTKBias, second)
		if t == len(out)-1 {
			return
		}
		var a [3]*mat.Dense
		w := l.weights(t)
		for k := range a {
			delta := mat.NewDense(p, c, nil)
			for i := range p {
				for j := range c {
					y := 0.
					if k == 0 {
						y = l.Targets.At(i, j)
					}
					delta.Set(i, j, w[i]*(y-f[k].At(i, j)))
				}
			}
			unit := 0.
			if k == 0 {
				unit = 1
			}
			a[k] = l.transition(l.operator(delta), t, unit)
		}
		var next [3]*mat.Dense
		for k := range next {
			next[k] = mat.NewDense(2*(m+c), 2*(m+c), nil)
			for x := range k + 1 {
				for y := range k + 1 - x {
					next[k].Add(next[k], sandwich(a[x], s[y], a[k-x-y]))
				}
			}
		}
		s = next
	}
}

// squareRoot returns some L with LLᵀ = s, for s positive semi-definite.
func squareRoot(s *mat.SymDense) *mat.Dense {
	values, v := eigen(s)
	for j, x := range values {
		for i := range values {
			v.Set(i, j, v.At(i, j)*math.Sqrt(math.Max(x, 0)))
		}
	}
	return v
}

// eigen is the eigendecomposition of a symmetric matrix, which exists whenever its elements are finite.
func eigen(s mat.Symmetric) ([]float64, *mat.Dense) {
	var e mat.EigenSym
	if !e.Factorize(s, true) {
		panic("exact: a symmetric matrix with elements that are not finite")
	}
	var v mat.Dense
	e.VectorsTo(&v)
	return e.Values(nil), &v
}
