package kernels

var quadraticMix = definition{
	Base: Base{Name: QuadraticMixName, Formula: "h + (ε/2)h²",
		Parameter: Parameter{Key: "epsilon", Meaning: "ε", Example: "0.5"}},
	eval:   evalMix[float64],
	eval32: evalMix[float32],
	at: func(x float64, s shape) (v, d, second float64) {
		v, d = mixAt(x, s.parameter)
		return v, d, s.parameter
	},
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
func mixAt(x, eps float64) (v, d float64) { return x * (1 + eps/2*x), 1 + eps*x }

func evalMix[T float](phi, dphi, h []T, s shape) {
	ds := s.gain * s.scale
	for i, x := range h {
		v, d := mixAt(s.scale*float64(x), s.parameter)
		if phi != nil {
			phi[i] = T(s.gain * v)
		}
		if dphi != nil {
			dphi[i] = T(ds * d)
		}
	}
}
