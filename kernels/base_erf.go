package kernels

import (
	"math"

	"github.com/seed39b58f2d/dmft/internal/vec"
)

var erf = definition{
	Base:   Base{Name: ErfName, Formula: "erf(h/√2)"},
	eval:   func(phi, dphi, h []float64, s shape) { vec.ErfWithDerivative(phi, dphi, h, s.scale, s.gain) },
	eval32: func(phi, dphi, h []float32, s shape) { vec.ErfWithDerivative(phi, dphi, h, s.scale, s.gain) },
	at: func(x float64, _ shape) (v, d, second float64) {
		v, d = vec.ErfAt(x)
		return v, d, -vanishing(x, d)
	},
	dual: func(va, vb, c float64, _ shape) (phi, dphi float64) {
		root := math.Sqrt(1 + va + vb + determinant(va, vb, c))
		return 2 / math.Pi * math.Atan2(c, root), 2 / math.Pi / root
	},
	closed: yes, odd: yes,
}
