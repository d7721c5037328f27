package kernels

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// ClosedForm says whether the Gaussian expectations of the activation are known in closed form, some tens of
// nanoseconds for a pair. Those of tanh and softplus are double sums of closed forms, about ten microseconds; those of
// a Function without Dual are quadratures, some milliseconds.
func (a Activation) ClosedForm() bool {
	d, s := a.definition()
	return d != nil && d.closed != nil && d.closed(s)
}

// Dual returns E φ(u)φ(v) and E φ′(u)φ′(v) for Gaussian (u, v) of mean zero, variances va and vb and covariance c, to a
// relative error near rounding, at any variance. A variance below zero is taken as zero, and |c| above √(va vb) as √(va
// vb): rounding must not leave the domain.
//
//	relu, leaky-relu           arc-cosine kernels (Cho & Saul 2009)
//	erf                        arcsine kernel (Williams 1997)
//	gelu                       Stein's lemma, see geluDual in the source (the same kernel: Tsuchida et al. 2021, arXiv 2002.08517)
//	quadratic-mix, polynomial  moments
//	tanh, softplus             mixtures of arcsine and arc-cosine kernels over the widths of the logistic distribution
//	a Function                 its own closed form, or quadrature: see [Custom] for the error
func (a Activation) Dual(va, vb, c float64) (phi, dphi float64) {
	d, s := a.definition()
	if d == nil {
		return 0, 0
	}
	va, vb, c = domain(va*s.scale*s.scale, vb*s.scale*s.scale, c*s.scale*s.scale)
	phi, dphi = d.dual(va, vb, c, s)
	return s.gain * s.gain * phi, s.gain * s.gain * s.scale * s.scale * dphi
}

// DualMatrix fills phi and dphi with the expectations for fields of covariance k; either may be nil, and phi or dphi
// may be k. It panics when the sizes differ. For tanh and softplus of moderate variances it is much faster than Dual of
// every pair.
func (a Activation) DualMatrix(phi, dphi *mat.SymDense, k mat.Symmetric) {
	n := k.SymmetricDim()
	g, s := a.gain(), a.scale()
	variance := make([]float64, n)
	for i := range variance {
		variance[i] = max(k.At(i, i)*s*s, 0)
	}
	pair := a.pairs(variance)
	for i := range n {
		for j := i; j < n; j++ {
			p, q := pair(i, j, k.At(i, j)*s*s)
			if phi != nil {
				phi.SetSym(i, j, g*g*p)
			}
			if dphi != nil {
				dphi.SetSym(i, j, g*g*s*s*q)
			}
		}
	}
}

// pairs returns the expectations of the base function for fields i and j of covariance c, having done once what depends
// on one variance alone.
func (a Activation) pairs(variance []float64) func(i, j int, c float64) (phi, dphi float64) {
	d, s := a.definition()
	switch {
	case d == nil:
		return func(int, int, float64) (float64, float64) { return 0, 0 }
	case d.pairs != nil:
		if pair := d.pairs(variance, s); pair != nil {
			return pair
		}
	}
	return func(i, j int, c float64) (float64, float64) {
		va, vb, c := domain(variance[i], variance[j], c)
		return d.dual(va, vb, c, s)
	}
}

// each applies f to every variance, once where several are equal.
func each[T any](variance []float64, f func(v float64) T) []T {
	seen := map[float64]T{}
	out := make([]T, len(variance))
	for i, v := range variance {
		x, ok := seen[v]
		if !ok {
			x = f(v)
			seen[v] = x
		}
		out[i] = x
	}
	return out
}

// domain brings a covariance matrix that rounding has made indefinite back to the boundary.
func domain(va, vb, c float64) (float64, float64, float64) {
	va, vb = max(va, 0), max(vb, 0)
	if c*c > va*vb {
		c = math.Copysign(min(math.Abs(c), math.Sqrt(va)*math.Sqrt(vb)), c)
	}
	return va, vb, c
}

// determinant is va·vb − c² ≥ 0 without cancellation (Kahan's use of the fused multiply-add: within 2 ulp).
func determinant(va, vb, c float64) float64 {
	w := c * c
	return max(math.FMA(va, vb, -w)-math.FMA(c, c, -w), 0)
}
