package exact

import (
	"fmt"
	"math"
)

// ReadoutBalance returns the residuals ⟨|w|²⟩(t) − ⟨|w|²⟩(0) − 2γ₀²∫₀ᵗ Σ_μc Δ_μc f_μc dt' of a gradient flow without
// weight decay, which vanish for any activation, depth and width (predictions not centred). w2 is ⟨|w|²⟩ over neurons,
// summed over outputs, and power is Σ Δf, at the given times. The integral is that of the cubic through the four
// nearest times, so the residuals of an exact solution are of fourth order in the spacing.
func ReadoutBalance(times, w2, power []float64, gamma float64) []float64 {
	n := len(times)
	if len(w2) != n || len(power) != n {
		panic(fmt.Sprintf("exact: readout balance of %d times, %d norms and %d powers", n, len(w2), len(power)))
	}
	out := make([]float64, n)
	integral := 0.
	for i := 1; i < n; i++ {
		lo := min(max(i-2, 0), max(n-4, 0))
		hi := min(lo+4, n)
		// Two-point Gauss is exact for the cubic.
		mid, half := (times[i]+times[i-1])/2, (times[i]-times[i-1])/2
		for _, x := range []float64{mid - half/math.Sqrt(3), mid + half/math.Sqrt(3)} {
			for j := lo; j < hi; j++ {
				v := power[j]
				for k := lo; k < hi; k++ {
					if k != j {
						v *= (x - times[k]) / (times[j] - times[k])
					}
				}
				integral += half * v
			}
		}
		out[i] = w2[i] - w2[0] - 2*gamma*gamma*integral
	}
	return out
}

// ReadoutBalanceGD returns the residuals, at every step, of the exact balance of gradient descent without weight decay,
//
//	⟨|w|²⟩(t+1) = ⟨|w|²⟩(t) + 2ηγ₀² Σ_μc Δ_μc f_μc + (ηγ₀)² Σ_μνc Δ_μc Φ^L_μν Δ_νc,
//
// which hold to rounding for any activation, depth and width. delta and f are step × training point × output (f not
// centred), phi is Φ^L, step × point × point, and eta the learning rates; w2 has one more element than eta.
func ReadoutBalanceGD(w2, eta []float64, delta, f, phi [][][]float64, gamma float64) []float64 {
	if len(w2) != len(eta)+1 || len(delta) < len(eta) || len(f) < len(eta) || len(phi) < len(eta) {
		panic(fmt.Sprintf("exact: readout balance of %d steps with %d norms, %d residuals, %d predictions and %d "+
			"kernels", len(eta), len(w2), len(delta), len(f), len(phi)))
	}
	out := make([]float64, len(w2))
	for t, e := range eta {
		power, square := 0., 0.
		for m, d := range delta[t] {
			for c := range d {
				power += d[c] * f[t][m][c]
				for n := range delta[t] {
					square += d[c] * phi[t][m][n] * delta[t][n][c]
				}
			}
		}
		out[t+1] = w2[t+1] - w2[t] - 2*e*gamma*gamma*power - e*e*gamma*gamma*square
	}
	return out
}

// EulerResidual is the largest |⟨h^ℓ_μ g^ℓ_μc⟩ − γ₀f_μc| over layers, points and outputs: Euler's identity of a network
// whose activation is homogeneous of degree one (linear, ReLU), exact at any width and depth and for every optimiser. f
// is not centred.
func EulerResidual(s Fields, f [][]float64, gamma float64) float64 {
	worst := 0.
	for l := range s.H {
		for m, h := range s.H[l] {
			for c, g := range s.G[l][m] {
				v := 0.
				for i := range h {
					v += h[i] * g[i] / float64(len(h))
				}
				worst = math.Max(worst, math.Abs(v-gamma*f[m][c]))
			}
		}
	}
	return worst
}

// GradientError is the largest difference between grad and the derivatives of loss at x by finite differences, relative
// to the largest component of either, and the component where it is. Central differences with one Richardson
// extrapolation, step h = ε^{1/5}·max(1, |x_i|) ≈ 7e-4: the error of a smooth loss of order one is some ε/h ≈ 1e-12
// from rounding and h⁴ ≈ 3e-13 times its fifth derivative. x is restored.
func GradientError(loss func(x []float64) float64, x, grad []float64) (worst float64, at int) {
	if len(x) != len(grad) {
		panic(fmt.Sprintf("exact: a gradient of %d components at a point of %d", len(grad), len(x)))
	}
	fd := make([]float64, len(x))
	size := 0.
	for i, x0 := range x {
		h := math.Pow(0x1p-52, 0.2) * math.Max(1, math.Abs(x0))
		slope := func(h float64) float64 {
			x[i] = x0 + h
			up := loss(x)
			x[i] = x0 - h
			down := loss(x)
			return (up - down) / (2 * h)
		}
		fd[i] = (4*slope(h/2) - slope(h)) / 3
		x[i] = x0
		size = math.Max(size, math.Max(math.Abs(fd[i]), math.Abs(grad[i])))
	}
	for i := range x {
		if d := math.Abs(fd[i] - grad[i]); d > worst || math.IsNaN(d) {
			worst, at = d, i
		}
	}
	if size > 0 {
		worst /= size
	}
	return worst, at
}
