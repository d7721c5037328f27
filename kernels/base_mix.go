package kernels

var quadraticMix = definition{
	Base: Base{Name: QuadraticMixName, Formula: "h + (ε/2)h²",
		Parameter: Parameter{Key: "epsilon", Meaning: "ε", Example: "0.5"}},
	eval:   func(phi, dphi, h []float64, s shape) { pointwise(phi, dphi, h, s, mixAt) },
	eval32: func(phi, dphi, h []float32, s shape) { pointwise(phi, dphi, h, s, mixAt) },
	at:     mixAt,
	dual: func(va, vb, c float64, s shape) (phi, dphi float64) { // E uv + (ε²/4) E u²v²; the odd moments vanish
		e := s.parameter
		return c + e*e/4*(va*vb+2*c*c), 1 + e*e*c
	},
	closed:     yes,
	polynomial: func(s shape) ([]float64, bool) { return []float64{0, 1, s.parameter / 2}, true },
	simpler: func(s shape) *definition {
		if s.parameter == 0 {
			return &linear
		}
		return nil
	},
}

// mixAt is for ε ≠ 0, or 0·∞ is NaN.
func mixAt(x float64, s shape) (v, d, second float64) {
	e := s.parameter
	return x * (1 + e/2*x), 1 + e*x, e
}
