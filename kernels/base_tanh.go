package kernels

import "github.com/seed39b58f2d/dmft/internal/vec"

var tanh = definition{
	Base:   Base{Name: TanhName, Formula: "tanh h"},
	eval:   func(phi, dphi, h []float64, s shape) { vec.TanhWithDerivative(phi, dphi, h, s.scale, s.gain) },
	eval32: func(phi, dphi, h []float32, s shape) { vec.TanhWithDerivative(phi, dphi, h, s.scale, s.gain) },
	at: func(x float64, _ shape) (v, d, second float64) {
		v, d = vec.TanhAt(x)
		return v, d, -2 * v * d
	},
	dual:  func(va, vb, c float64, _ shape) (phi, dphi float64) { return tanhDual(va, vb, c) },
	pairs: tanhPairs,
	odd:   yes,
}

func tanhPairs(variance []float64, _ shape) func(i, j int, c float64) (phi, dphi float64) {
	if !moderate(variance) {
		return nil
	}
	x := newSeries(variance, tanhSeries)
	return func(i, j int, c float64) (float64, float64) {
		va, vb, c := domain(variance[i], variance[j], c)
		s, t := sum(x[i].terms, x[j].terms, square(va, vb, c), 1)
		return c * t, s
	}
}
