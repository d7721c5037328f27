package kernels

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// ClosedForm says whether the Gaussian expectations of the activation are known in closed form. The others are summed as Hermite
// series to rounding.
func (a Activation) ClosedForm() bool {
	switch a.Name {
	case TanhName, GELUName, SoftplusName:
		return false
	}
	return true
}

// Dual returns E φ(u)φ(v) and E φ′(u)φ′(v) for Gaussian (u, v) of mean zero, variances va and vb and covariance c.
//
// Piecewise linear functions: arc-cosine kernels (Cho & Saul 2009). erf: arcsine kernel (Williams 1997). The smooth ones: with
// Hermite coefficients φ(√va·x) = Σ_n c_n(va) he_n(x), Mehler's formula E φφ = Σ_n c_n(va) c_n(vb) ρⁿ, ρ = c/√(va vb).
func (a Activation) Dual(va, vb, c float64) (phi, dphi float64) {
	d := a.newDual()
	return d.pair(va, vb, c)
}

// DualMatrix fills phi and dphi with the expectations for fields of covariance k. Either may be nil.
func (a Activation) DualMatrix(phi, dphi *mat.SymDense, k mat.Symmetric) {
	n := k.SymmetricDim()
	d := a.newDual()
	for i := range n {
		for j := i; j < n; j++ {
			p, q := d.pair(k.At(i, i), k.At(j, j), k.At(i, j))
			if phi != nil {
				phi.SetSym(i, j, p)
			}
			if dphi != nil {
				dphi.SetSym(i, j, q)
			}
		}
	}
}

// dual evaluates expectations of one activation, keeping the Hermite coefficients of the variances it has seen.
type dual struct {
	a      Activation
	series map[float64]hermite
}

func (a Activation) newDual() *dual { return &dual{a: a, series: map[float64]hermite{}} }

func (d *dual) pair(va, vb, c float64) (phi, dphi float64) {
	g, s := d.a.gain(), d.a.scale()
	va, vb, c = max(va*s*s, 0), max(vb*s*s, 0), c*s*s
	// Rounding must not take a correlation outside [−1, 1].
	if lim := math.Sqrt(va) * math.Sqrt(vb); math.Abs(c) > lim {
		c = math.Copysign(lim, c)
	}
	switch d.a.Name {
	case IdentityName:
		phi, dphi = c, 1
	case ReLUName:
		phi, dphi = leaky(va, vb, c, 0)
	case LeakyReLUName:
		phi, dphi = leaky(va, vb, c, d.a.Parameter)
	case ErfName:
		phi = 2 / math.Pi * math.Asin(c/math.Sqrt((1+va)*(1+vb)))
		dphi = 2 / math.Pi / math.Sqrt((1+va)*(1+vb)-c*c)
	case QuadraticMixName:
		// φ = h + (ε/2)h²: E u v + (ε²/4) E u²v², the odd moments vanish.
		e := d.a.Parameter
		phi, dphi = c+e*e/4*(va*vb+2*c*c), 1+e*e*c
	default:
		x, y := d.of(va), d.of(vb)
		rho := 0.
		if va > 0 && vb > 0 {
			rho = c / (math.Sqrt(va) * math.Sqrt(vb))
		}
		phi, dphi = horner(x.phi, y.phi, rho), horner(x.dphi, y.dphi, rho)
	}
	return g * g * phi, g * g * s * s * dphi
}

// leaky is the arc-cosine kernel of φ = slope·h + (1 − slope)·max(h, 0).
func leaky(va, vb, c, slope float64) (phi, dphi float64) {
	root := math.Sqrt(va) * math.Sqrt(vb)
	if root == 0 { // a field that is always zero: φ(0) = 0 and φ′(0) = slope
		x, y := slope, slope
		if va > 0 {
			x = (1 + slope) / 2
		}
		if vb > 0 {
			y = (1 + slope) / 2
		}
		return 0, x * y
	}
	rho := max(-1, min(1, c/root))
	theta := math.Acos(rho)
	// sin θ from (1−ρ)(1+ρ) keeps digits near ρ = ±1.
	rr := root / (2 * math.Pi) * (math.Sqrt((1-rho)*(1+rho)) + (math.Pi-theta)*rho)
	up := (math.Pi - theta) / (2 * math.Pi)
	m := 1 - slope
	return slope*slope*c + slope*m*c + m*m*rr, slope*slope + slope*m + m*m*up
}

// hermite holds the coefficients of φ(√v·x) and φ′(√v·x) in orthonormal Hermite polynomials.
type hermite struct{ phi, dphi []float64 }

// of returns the coefficients for variance v, as many as the expectation of φ² at ρ = 1 needs.
func (d *dual) of(v float64) hermite {
	if h, ok := d.series[v]; ok {
		return h
	}
	base := Activation{Name: d.a.Name, Parameter: d.a.Parameter, Coefficients: d.a.Coefficients}
	var h hermite
	if d.a.Name == PolynomialName {
		h = expand(base, v, len(d.a.Coefficients)+1)
	} else {
		// c_n² falls like exp(−κ√(n/v)) (poles of tanh, softplus) or faster.
		for n := 64; ; n *= 2 {
			var ok bool
			if h, ok = converged(expand(base, v, n)); ok || n >= 8192 {
				break
			}
		}
	}
	d.series[v] = h
	return h
}

// converged cuts the coefficients after the last one that matters and says whether the rest is negligible.
func converged(h hermite) (hermite, bool) {
	cut := func(c []float64) ([]float64, bool) {
		total := 0.
		for _, x := range c {
			total += x * x
		}
		tail, n := 0., len(c)
		for n > 1 && tail+c[n-1]*c[n-1] <= 1e-17*total {
			n--
			tail += c[n] * c[n]
		}
		return c[:n], n <= len(c)*7/8
	}
	p, ok1 := cut(h.phi)
	q, ok2 := cut(h.dphi)
	return hermite{p, q}, ok1 && ok2
}

// expand computes n coefficients by the trapezoidal rule, which converges faster than any power of the step for these integrands:
//
//	c_n = ∫ φ(√v x) ψ_n(x) e^{−x²/4} (2π)^{−1/4} dx,  ψ_n = he_n(x) e^{−x²/4} (2π)^{−1/4}
//
// with the Hermite functions ψ_n bounded, so that nothing overflows.
func expand(a Activation, v float64, n int) hermite {
	const reach = 13. // e^{−x²/4} = 4e-19
	s := math.Sqrt(v)
	// The step must resolve √n oscillations of ψ_n and the width 1/√v of φ.
	step := math.Min(0.05, math.Min(1/(2*math.Sqrt(float64(n))), 0.25/math.Max(s, 1)))
	m := int(math.Ceil(reach / step))
	h := hermite{make([]float64, n), make([]float64, n)}
	var phi, dphi [1]float64
	for i := -m; i <= m; i++ {
		x := float64(i) * step
		a.Eval(phi[:], dphi[:], []float64{s * x})
		w := math.Exp(-x*x/4) * math.Pow(2*math.Pi, -0.25)
		prev, cur := 0., w
		w *= step
		for k := range n {
			h.phi[k] += w * phi[0] * cur
			h.dphi[k] += w * dphi[0] * cur
			prev, cur = cur, (x*cur-math.Sqrt(float64(k))*prev)/math.Sqrt(float64(k+1))
		}
	}
	return h
}

// horner sums Σ_n x_n y_n ρⁿ.
func horner(x, y []float64, rho float64) float64 {
	n := min(len(x), len(y))
	s := 0.
	for k := n - 1; k >= 0; k-- {
		s = s*rho + x[k]*y[k]
	}
	return s
}
