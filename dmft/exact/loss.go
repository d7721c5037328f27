package exact

import "math"

// A Loss is the loss of one sample with predictions f and targets y, C of each. It fills Δ = −∂loss/∂f when delta is
// not nil.
type Loss func(f, y, delta []float64) float64

// MSE is ½ Σ_c (y − f)², Δ = y − f.
func MSE(f, y, delta []float64) float64 {
	s := 0.
	for c := range y {
		d := y[c] - f[c]
		s += d * d / 2
		if delta != nil {
			delta[c] = d
		}
	}
	return s
}

// Logistic is Σ_c log(1 + e^{−yf}) for targets ±1, Δ = y/(1 + e^{yf}).
func Logistic(f, y, delta []float64) float64 {
	s := 0.
	for c := range y {
		v := y[c] * f[c]
		if v > 0 {
			s += math.Log1p(math.Exp(-v))
		} else {
			s += math.Log1p(math.Exp(v)) - v
		}
		if delta != nil {
			delta[c] = y[c] / (1 + math.Exp(v))
		}
	}
	return s
}

// CrossEntropy is −Σ_c y log softmax(f) for targets that sum to one, Δ = y − softmax(f).
func CrossEntropy(f, y, delta []float64) float64 {
	top, z := math.Inf(-1), 0.
	for _, v := range f {
		top = math.Max(top, v)
	}
	for _, v := range f {
		z += math.Exp(v - top)
	}
	s := 0.
	for c := range y {
		s -= y[c] * (f[c] - top - math.Log(z))
		if delta != nil {
			delta[c] = y[c] - math.Exp(f[c]-top)/z
		}
	}
	return s
}

// Residuals is the Delta of a [Naive], [Linear] or [Static] for a loss. weights are the factors of the samples in Δ at
// a step: all 1/P for a mean over samples, zeros outside a mini-batch; nil is 1.
func Residuals(loss Loss, weights func(step int) []float64) func(step int, f, y, delta [][]float64) {
	return func(step int, f, y, delta [][]float64) {
		var w []float64
		if weights != nil {
			w = weights(step)
		}
		for i := range y {
			loss(f[i], y[i], delta[i])
			for c := range delta[i] {
				if w != nil {
					delta[i][c] *= w[i]
				}
			}
		}
	}
}

// Total is the loss summed over the samples of y.
func Total(loss Loss, f, y [][]float64) float64 {
	s := 0.
	for i := range y {
		s += loss(f[i], y[i], nil)
	}
	return s
}
