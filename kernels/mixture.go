package kernels

import (
	"math"
	"slices"
)

// tanh and softplus are smooth because they average a kinked function over a logistic variable Λ, and Λ is a Gaussian
// of random width: Λ = 2κξ with ξ ~ N(0,1) and κ distributed like Kolmogorov's statistic (Andrews & Mallows 1974;
// Stefanski 1991). Hence
//
//	tanh x     = ∫ p(κ) erf(x/(κ√2)) dκ
//	softplus x = ∫ p(κ) E_ξ max(x + 2κξ, 0) dκ
//
// and their Gaussian expectations are sums of arcsine and arc-cosine kernels with κ² added to the variances: at every
// variance and correlation, with a relative error of rounding.

// widths are the nodes κ and the weights of ∫ p(κ) … dκ by the trapezoidal rule in log κ. p falls like exp(−π²/(8κ²))
// on the left and exp(−2κ²) on the right, and the integrands are analytic for |Im log κ| < π/4, so that the error falls
// like exp(−π²/(2h)) in the step h: rounding at h = 1/10, with a margin for the growth near the edge of the strip.
type node struct{ kappa, weight float64 }

var widths = func() []node {
	const step = 1. / 10
	var w []node
	for i := -18; i <= 15; i++ { // κ = 0.165 … 4.48; the weights outside add up to less than 1e-16
		k := math.Exp(float64(i) * step)
		w = append(w, node{k, step * k * kolmogorov(k)})
	}
	return w
}()

// kolmogorov is the density p(κ) of Kolmogorov's statistic, by the one of its two theta series that converges at once.
func kolmogorov(k float64) float64 {
	s := 0.
	if k > 1 {
		for m := 4; m > 0; m-- {
			q := float64(m * m)
			if m%2 == 0 {
				q = -q
			}
			s += 8 * k * q * math.Exp(-2*float64(m*m)*k*k)
		}
		return s
	}
	for m := 7; m > 0; m -= 2 {
		q := float64(m*m) * math.Pi * math.Pi / (4 * k * k)
		s += math.Sqrt(2*math.Pi) / (k * k) * (q - 1) * math.Exp(-q/2)
	}
	return s
}

// tanhDual returns E tanh u tanh v and E tanh′u tanh′v.
func tanhDual(va, vb, c float64) (phi, dphi float64) {
	det := determinant(va, vb, c)
	for _, x := range widths {
		p, q := 0., 0.
		kx := x.kappa * x.kappa
		for _, y := range widths {
			ky := y.kappa * y.kappa
			root := math.Sqrt(kx*ky + kx*vb + ky*va + det)
			p += y.weight * math.Atan2(c, root)
			q += y.weight / root
		}
		phi += x.weight * p
		dphi += x.weight * q
	}
	return 2 / math.Pi * phi, 2 / math.Pi * dphi
}

// softplusDual returns E log(1 + e^u) log(1 + e^v) and the expectation of the product of the logistic functions.
func softplusDual(va, vb, c float64) (phi, dphi float64) {
	det := determinant(va, vb, c)
	for _, x := range widths {
		p, q := 0., 0.
		kx := 4 * x.kappa * x.kappa
		for _, y := range widths {
			ky := 4 * y.kappa * y.kappa
			r, s := arcCosine(c, math.Sqrt(kx*ky+kx*vb+ky*va+det))
			p += y.weight * r
			q += y.weight * s
		}
		phi += x.weight * p
		dphi += x.weight * q
	}
	return phi, dphi
}

// For many pairs, expand the same mixtures in powers of the squared correlation q = c²/(va vb). With A = κ² + v (for
// softplus (2κ)² + v), ⟨…⟩ the average over κ and β_m = (2m choose m)/4^m, the series of the arcsine give
//
//	tanh:      e_m(v) = √(2β_m/π) ⟨A^{−1/2} (v/A)^m⟩,             Φ = c Σ_m E_m q^m/(2m + 1),                Φ̇ = Σ_m E_m q^m
//	softplus:  e_m(v) = √(β_m/(2π(2m + 1))) ⟨A^{−1/2} (v/A)^m⟩,   Φ = mean·mean + c/4 + c² Σ_m E_m q^m/(2m + 2),   Φ̇ = 1/4 + c Σ_m E_m q^m
//
// with E_m = e_m(va) e_m(vb) and mean = ⟨√(A/2π)⟩ = E softplus. Every term is positive, so nothing cancels but through
// the signs of c.
type series struct {
	mean  float64
	terms []float64 // e_m
}

// Terms needed at correlation 1 grow like 35v for tanh (poles at ±iπ/2) and a quarter of that for softplus; at this
// variance their sum costs as much as the mixture.
const seriesVariance = 50

// moderate says whether series are the cheaper way; they are not for NaN.
func moderate(variance []float64) bool {
	for _, v := range variance {
		if !(v <= seriesVariance) {
			return false
		}
	}
	return len(variance) > 0
}

// newSeries returns the series for every variance, none of which needs terms that vanish against those of the largest.
func newSeries(variance []float64, expand func(v float64, largest []float64) series) []series {
	top := expand(slices.Max(variance), nil)
	return each(variance, func(v float64) series { return expand(v, top.terms) })
}

func tanhSeries(v float64, largest []float64) series {
	return series{terms: powers(v, 1, largest, func(float64) float64 { return 2 / math.Pi })}
}

func softplusSeries(v float64, largest []float64) series {
	x := series{terms: powers(v, 4, largest, func(m float64) float64 { return 1 / (2 * math.Pi * (2*m + 1)) })}
	for _, w := range widths {
		x.mean += w.weight * math.Sqrt((4*w.kappa*w.kappa+v)/(2*math.Pi))
	}
	return x
}

// negligible bounds the last term of a sum, times the number of terms, by the sum: the terms fall faster than any
// power, so the rest is of that order.
const negligible = 1e-17

// powers returns √(f(m)β_m) ⟨A^{−1/2} (v/A)^m⟩ with A = unit·κ² + v for m = 0, 1, … until the rest of Σ_m e_m·(largest
// or e)_m is negligible.
func powers(v, unit float64, largest []float64, f func(m float64) float64) []float64 {
	power, ratio := make([]float64, len(widths)), make([]float64, len(widths))
	for i, x := range widths {
		a := unit*x.kappa*x.kappa + v
		power[i], ratio[i] = x.weight/math.Sqrt(a), v/a
	}
	var e []float64
	total, beta := 0., 1.
	for m := 0.; ; m++ {
		t := 0.
		for i, r := range ratio {
			t += power[i]
			power[i] *= r
		}
		t *= math.Sqrt(f(m) * beta)
		beta *= (2*m + 1) / (2*m + 2)
		e = append(e, t)
		if largest != nil {
			t *= largest[len(e)-1]
		} else {
			t *= t
		}
		total += t
		if t*(m+1) < negligible*total || len(e) == len(largest) {
			return e
		}
	}
}

// square is the squared correlation, at most 1.
func square(va, vb, c float64) float64 {
	if c == 0 || va == 0 || vb == 0 {
		return 0
	}
	return min(c/va*(c/vb), 1)
}

// sum returns Σ_m x_m y_m q^m and Σ_m x_m y_m q^m/(2m + k); away from correlation ±1 a few terms suffice.
func sum(x, y []float64, q, k float64) (s, t float64) {
	n := min(len(x), len(y))
	x, y = x[:n], y[:n]
	power := 1.
	for m := range x {
		e := x[m] * y[m] * power
		s += e
		t += e / (float64(2*m) + k)
		if e*float64(m+1) < negligible*s {
			break
		}
		power *= q
	}
	return s, t
}
