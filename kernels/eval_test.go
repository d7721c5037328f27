package kernels

import (
	"math/rand/v2"
	"testing"
)

// TestEvalPlace: an element does not depend on its place or on the length of the slice, so that sites can be batched in
// any way.
func TestEvalPlace(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 6))
	h := make([]float64, 100)
	for i := range h {
		h[i] = 3 * rng.NormFloat64()
	}
	phi, dphi := make([]float64, len(h)), make([]float64, len(h))
	for _, a := range activations() {
		a.Eval(phi, dphi, h)
		for i := range h {
			v, d := make([]float64, 3), make([]float64, 3)
			n := min(3, len(h)-i)
			a.Eval(v, d, h[i:i+n])
			if v[0] != phi[i] || d[0] != dphi[i] {
				t.Fatalf("%s at %g: %v, %v alone and %v, %v in a slice", a, h[i], v[0], d[0], phi[i], dphi[i])
			}
		}
	}
}
