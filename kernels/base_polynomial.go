package kernels

import (
	"math"
	"slices"
)

var polynomial = definition{
	Base: Base{Name: PolynomialName, Formula: "Σ_k c_k h^k",
		Parameter: Parameter{Key: "coefficients", Meaning: "coefficients, lowest power first", Example: "[0, 1, 0.3]",
			Many: true}},
	eval:   evalPolynomial[float64],
	eval32: evalPolynomial[float32],
	at: func(x float64, s shape) (v, d, second float64) {
		v, d = polynomialAt(x, s.c)
		for k := len(s.c) - 1; k > 1; k-- {
			if k == len(s.c)-1 {
				second = float64(k*(k-1)) * s.c[k]
			} else {
				second = second*x + float64(k*(k-1))*s.c[k]
			}
		}
		return v, d, second
	},
	dual: func(va, vb, c float64, s shape) (phi, dphi float64) {
		return polynomialHermite(s.c, va).pair(polynomialHermite(s.c, vb), c)
	},
	pairs: func(variance []float64, s shape) func(i, j int, c float64) (phi, dphi float64) {
		x := each(variance, func(v float64) hermite { return polynomialHermite(s.c, v) })
		return func(i, j int, c float64) (float64, float64) {
			_, _, c = domain(variance[i], variance[j], c)
			return x[i].pair(x[j], c)
		}
	},
	closed: yes,
	odd: func(s shape) bool {
		for i, c := range s.c {
			if i%2 == 0 && c != 0 {
				return false
			}
		}
		return true
	},
	homogeneous: func(s shape) bool {
		for i, c := range s.c {
			if i != 1 && c != 0 {
				return false
			}
		}
		return true
	},
	polynomial: func(s shape) ([]float64, bool) { return slices.Clone(s.c), true },
}

func evalPolynomial[T float](phi, dphi, h []T, s shape) {
	ds := s.gain * s.scale
	for i, x := range h {
		v, d := polynomialAt(s.scale*float64(x), s.c)
		if phi != nil {
			phi[i] = T(s.gain * v)
		}
		if dphi != nil {
			dphi[i] = T(ds * d)
		}
	}
}

// polynomialAt returns Σ_k c_k x^k and its derivative; the last coefficient is not 0, so that infinities come out as
// they should.
func polynomialAt(x float64, c []float64) (v, d float64) {
	n := len(c) - 1
	if n < 1 {
		if n == 0 {
			v = c[0]
		}
		return v, 0
	}
	v, d = c[n], float64(n)*c[n]
	for k := n - 1; k > 0; k-- {
		v = v*x + c[k]
		d = d*x + float64(k)*c[k]
	}
	return v*x + c[0], d
}

// hermite holds a polynomial and its derivative as series in Hermite polynomials: E φφ = Σ_n x_n y_n cⁿ with the
// coefficients x for va and y for vb (Mehler's formula), exactly.
type hermite struct{ phi, dphi []float64 }

func polynomialHermite(c []float64, v float64) hermite {
	d := make([]float64, max(len(c)-1, 0))
	for k := range d {
		d[k] = float64(k+1) * c[k+1]
	}
	return hermite{project(c, v), project(d, v)}
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

func (x hermite) pair(y hermite, c float64) (phi, dphi float64) {
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
