package kernels

import (
	"math"

	"github.com/seed39b58f2d/dmft/internal/vec"
)

var gelu = definition{
	Base:   Base{Name: GELUName, Formula: "h·Φ(h), Φ the normal distribution function"},
	eval:   func(phi, dphi, h []float64, s shape) { vec.GELUWithDerivative(phi, dphi, h, s.scale, s.gain) },
	eval32: func(phi, dphi, h []float32, s shape) { vec.GELUWithDerivative(phi, dphi, h, s.scale, s.gain) },
	at: func(x float64, _ shape) (v, d, second float64) {
		v, d = vec.GELUAt(x)
		_, n := vec.ErfAt(x) // twice the normal density
		return v, d, n - vanishing(x, vanishing(x, n/2))
	},
	dual:   func(va, vb, c float64, _ shape) (phi, dphi float64) { return geluDual(va, vb, c) },
	closed: yes,
}

// geluDual is the kernel of φ(h) = h·Φ(h). With N the normal density, D = (1 + a)(1 + b) − c² and J = E N(u)N(v) =
// 1/(2π√D), Stein's lemma gives
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
