package kernels

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// ClosedForm says whether the Gaussian expectations of the activation are known in closed form, some tens of nanoseconds for a pair. Those of
// tanh and softplus are double sums of closed forms, about ten microseconds.
func (a Activation) ClosedForm() bool {
	switch a.Name {
	case TanhName, SoftplusName:
		return false
	}
	return true
}

// Dual returns E φ(u)φ(v) and E φ′(u)φ′(v) for Gaussian (u, v) of mean zero, variances va and vb and covariance c, to a relative error
// near rounding, at any variance. A variance below zero is taken as zero, and |c| above √(va vb) as √(va vb): rounding
// must not leave the domain.
//
//	relu, leaky-relu           arc-cosine kernels (Cho & Saul 2009)
//	erf                        arcsine kernel (Williams 1997)
//	gelu                       Stein's lemma, see geluDual in the source (the same kernel: Tsuchida et al. 2021, arXiv 2002.08517)
//	quadratic-mix, polynomial  moments
//	tanh, softplus             mixtures of arcsine and arc-cosine kernels over the widths of the logistic distribution
func (a Activation) Dual(va, vb, c float64) (phi, dphi float64) {
	g, s := a.gain(), a.scale()
	va, vb, c = domain(va*s*s, vb*s*s, c*s*s)
	if a.Name == PolynomialName {
		phi, dphi = a.moments(va).pair(a.moments(vb), c)
	} else {
		phi, dphi = a.base(va, vb, c)
	}
	return g * g * phi, g * g * s * s * dphi
}

// DualMatrix fills phi and dphi with the expectations for fields of covariance k; either may be nil, and phi or dphi may be k. It panics
// when the sizes differ. For tanh and softplus of moderate variances it is much faster than Dual of every pair.
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

// pairs returns the expectations of the base function for fields i and j of covariance c, having done once what depends on one variance alone.
func (a Activation) pairs(variance []float64) func(i, j int, c float64) (phi, dphi float64) {
	switch a.Name {
	case PolynomialName:
		x := each(variance, a.moments)
		return func(i, j int, c float64) (float64, float64) {
			_, _, c = domain(variance[i], variance[j], c)
			return x[i].pair(x[j], c)
		}
	case TanhName:
		if moderate(variance) {
			x := newSeries(variance, tanhSeries)
			return func(i, j int, c float64) (float64, float64) {
				va, vb, c := domain(variance[i], variance[j], c)
				s, t := sum(x[i].terms, x[j].terms, square(va, vb, c), 1)
				return c * t, s
			}
		}
	case SoftplusName:
		if moderate(variance) {
			x := newSeries(variance, softplusSeries)
			return func(i, j int, c float64) (float64, float64) {
				va, vb, c := domain(variance[i], variance[j], c)
				s, t := sum(x[i].terms, x[j].terms, square(va, vb, c), 2)
				return x[i].mean*x[j].mean + c/4 + c*c*t, 0.25 + c*s
			}
		}
	}
	return func(i, j int, c float64) (float64, float64) { return a.base(domain(variance[i], variance[j], c)) }
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

// base is Dual of the base function for every activation but a polynomial.
func (a Activation) base(va, vb, c float64) (phi, dphi float64) {
	switch a.Name {
	case IdentityName:
		return c, 1
	case ReLUName:
		return leakyDual(va, vb, c, 0)
	case LeakyReLUName:
		return leakyDual(va, vb, c, a.Parameter)
	case ErfName:
		root := math.Sqrt(1 + va + vb + determinant(va, vb, c))
		return 2 / math.Pi * math.Atan2(c, root), 2 / math.Pi / root
	case GELUName:
		return geluDual(va, vb, c)
	case TanhName:
		return tanhDual(va, vb, c)
	case SoftplusName:
		return softplusDual(va, vb, c)
	case QuadraticMixName:
		// φ = h + (ε/2)h²: E uv + (ε²/4) E u²v²; the odd moments vanish.
		e := a.Parameter
		return c + e*e/4*(va*vb+2*c*c), 1 + e*e*c
	}
	return 0, 0
}

// arcCosine returns E max(u, 0) max(v, 0) and P(u > 0, v > 0) for a pair of covariance c and √determinant root:
//
//	(root + (π − θ)c)/(2π),   (π − θ)/(2π),   θ = atan2(root, c)
func arcCosine(c, root float64) (phi, dphi float64) {
	delta := math.Atan2(root, -c) // π − θ
	if delta > 0.3 {
		return (root + delta*c) / (2 * math.Pi), delta / (2 * math.Pi)
	}
	// Near correlation −1 the two terms cancel: r(sin δ − δ cos δ), r = √(va vb).
	d2 := delta * delta
	r := math.Hypot(c, root)
	return r * delta * d2 * (1./3 - d2*(1./30-d2*(1./840-d2*(1./45360-d2*(1./3991680-d2*(1./518918400)))))) / (2 * math.Pi), delta / (2 * math.Pi)
}

// leakyDual is the kernel of φ = slope·h + (1 − slope)·max(h, 0).
func leakyDual(va, vb, c, slope float64) (phi, dphi float64) {
	if va == 0 || vb == 0 { // a field that is always zero: φ(0) = 0 and φ′(0) = slope
		x, y := slope, slope
		if va > 0 {
			x = (1 + slope) / 2
		}
		if vb > 0 {
			y = (1 + slope) / 2
		}
		return 0, x * y
	}
	unit := 1.
	if p := va * vb; p < 1e-250 || p > 1e250 { // the products would underflow or overflow
		unit = math.Sqrt(va) * math.Sqrt(vb)
		va, vb, c = 1, 1, max(-1, min(1, c/unit))
	}
	r, up := arcCosine(c, math.Sqrt(determinant(va, vb, c)))
	m := 1 - slope
	return unit * (slope*c + m*m*r), slope + m*m*up // slope² + slope·m = slope
}

// geluDual is the kernel of φ(h) = h·Φ(h). With N the normal density, D = (1 + a)(1 + b) − c² and J = E N(u)N(v) = 1/(2π√D), Stein's lemma gives
//
//	E Φ(u)Φ(v)    = 1/4 + asin(c/√((1+a)(1+b)))/(2π) =: A
//	E v N(u)Φ(v)  = J (b(1+a) − c²)/(1+a),   E u N(u)Φ(v) = J c/(1+a),   E uv N(u)N(v) = J c/D
//	E φφ          = a E v N(u)Φ(v) + c A + c E v Φ(u)N(v) = c A + J (ab D + c²)/((1+a)(1+b))
//	E φ′φ′        = A + J c (1/(1+a) + 1/(1+b) + 1/D)
func geluDual(a, b, c float64) (phi, dphi float64) {
	d := 1 + a + b + determinant(a, b, c)
	root := math.Sqrt(d)
	angle := math.Atan2(root, -c) / (2 * math.Pi)
	j := 1 / (2 * math.Pi * root)
	ia, ib := 1/(1+a), 1/(1+b)
	return c*angle + j*((a*ia)*(b*ib)*d+(c*ia)*(c*ib)), angle + j*c*(ia+ib+1/d)
}

// moments holds a polynomial and its derivative as series in Hermite polynomials: E φφ = Σ_n x_n y_n cⁿ with the coefficients x for va and y for vb (Mehler's
// formula), exactly.
type moments struct{ phi, dphi []float64 }

func (a Activation) moments(v float64) moments {
	_, _, _, _, c := a.shape()
	d := make([]float64, max(len(c)-1, 0))
	for k := range d {
		d[k] = float64(k+1) * c[k+1]
	}
	return moments{project(c, v), project(d, v)}
}

// project returns c_n √n! Σ_j … of x^k = Σ_j k!/(2^j j! (k−2j)!) v^j He_{k−2j}, in Hermite polynomials of variance v.
func project(c []float64, v float64) []float64 {
	out := make([]float64, len(c))
	root := 1. // √n!
	for n := range out {
		t := root // k! vʲ/(2^j j! n!)·√n!, k = n + 2j
		for k, j := n, 1; k < len(c); k, j = k+2, j+1 {
			out[n] += c[k] * t
			t *= v * float64(k+1) * float64(k+2) / float64(2*j)
		}
		root *= math.Sqrt(float64(n + 1))
	}
	return out
}

func (x moments) pair(y moments, c float64) (phi, dphi float64) {
	return horner(x.phi, y.phi, c), horner(x.dphi, y.dphi, c)
}

// horner sums Σ_n x_n y_n rⁿ.
func horner(x, y []float64, r float64) float64 {
	s := 0.
	for k := len(x) - 1; k >= 0; k-- {
		s = s*r + x[k]*y[k]
	}
	return s
}
