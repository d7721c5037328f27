package kernels

import "github.com/seed39b58f2d/dmft/internal/vec"

var softplus = definition{
	Base:   Base{Name: SoftplusName, Formula: "log(1 + e^h)"},
	eval:   func(phi, dphi, h []float64, s shape) { vec.SoftplusWithDerivative(phi, dphi, h, s.scale, s.gain) },
	eval32: func(phi, dphi, h []float32, s shape) { vec.SoftplusWithDerivative(phi, dphi, h, s.scale, s.gain) },
	at: func(x float64, _ shape) (v, d, second float64) {
		v, d = vec.SoftplusAt(x)
		_, q := vec.SoftplusAt(-x)
		return v, d, d * q
	},
	dual:  func(va, vb, c float64, _ shape) (phi, dphi float64) { return softplusDual(va, vb, c) },
	pairs: softplusPairs,
}

func softplusPairs(variance []float64, _ shape) func(i, j int, c float64) (phi, dphi float64) {
	if !moderate(variance) {
		return nil
	}
	x := newSeries(variance, softplusSeries)
	return func(i, j int, c float64) (float64, float64) {
		va, vb, c := domain(variance[i], variance[j], c)
		s, t := sum(x[i].terms, x[j].terms, square(va, vb, c), 2)
		return x[i].mean*x[j].mean + c/4 + c*c*t, 0.25 + c*s
	}
}
