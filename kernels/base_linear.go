package kernels

var linear = definition{
	Base: Base{Name: IdentityName, Formula: "h"},
	eval: evalLinear[float64], eval32: evalLinear[float32],
	at:     func(x float64, _ shape) (v, d, second float64) { return x, 1, 0 },
	dual:   func(_, _, c float64, _ shape) (phi, dphi float64) { return c, 1 },
	closed: yes, odd: yes, homogeneous: yes,
	polynomial: func(shape) ([]float64, bool) { return []float64{0, 1}, true },
}

// evalLinear sets the derivative first, since phi may be h.
func evalLinear[T float](phi, dphi, h []T, s shape) {
	g := T(s.gain * s.scale)
	for i := range dphi {
		dphi[i] = g
	}
	if phi != nil {
		for i, x := range h {
			phi[i] = g * x
		}
	}
}
