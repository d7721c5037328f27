package kernels

// quadraticMixBase returns x + (ε/2)x² and 1 + εx; for ε ≠ 0, or 0·∞ is NaN.
func quadraticMixBase(x, eps float64) (v, d float64) { return x * (1 + eps/2*x), 1 + eps*x }

// polynomialBase returns Σ_k c_k x^k and its derivative; the last coefficient is not 0, so that infinities come out as they should.
func polynomialBase(x float64, c []float64) (v, d float64) {
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
