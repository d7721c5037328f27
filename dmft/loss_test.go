package dmft

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// TestDelta: Δ is −∂loss/∂f of every loss, for soft targets whose rows sum to one to the rounding of float32 only, and
// less well, too.
func TestDelta(t *testing.T) {
	const p, c = 4, 3
	rng := rand.New(rand.NewPCG(1, 2))
	f, y, delta := make([]float64, p*c), make([]float64, p*c), make([]float64, p*c)
	for i := range f {
		f[i] = 2 * rng.NormFloat64()
	}
	for m := range p {
		s := 0.
		for k := range c {
			y[m*c+k] = rng.Float64()
			s += y[m*c+k]
		}
		for k := range c {
			y[m*c+k] *= []float64{1, 1 + 3e-7, 1.2, 0.7}[m] / s
		}
	}
	for _, kind := range []LossKind{MSE, CrossEntropy} {
		for _, mean := range []bool{false, true} {
			x := target{loss: Loss{Kind: kind, Mean: mean}, y: y, p: p, c: c}
			x.eval(f, p, delta, nil, p)
			for i := range f {
				const h = 1e-5 // central differences: h² f‴/6 < 1e-10, rounding 1e-15/h
				v := f[i]
				f[i] = v + h
				up := x.eval(f, p, nil, nil, p)
				f[i] = v - h
				down := x.eval(f, p, nil, nil, p)
				f[i] = v
				if got, want := delta[i], -(up-down)/(2*h); math.Abs(got-want) > 2e-9 {
					t.Errorf("%s, element %d: Δ = %.12g, −∂loss/∂f = %.12g", kind, i, got, want)
				}
			}
		}
	}
}

// TestSoftTargetRows: probabilities that were computed in float32 are rows that sum to one, and what is not made of
// them is refused.
func TestSoftTargetRows(t *testing.T) {
	for c := 2; c <= 1000; c *= 3 {
		rng := rand.New(rand.NewPCG(3, uint64(c)))
		y := mat.NewDense(20, c, nil)
		worst := 0.
		for i := range 20 {
			e, z := make([]float32, c), float32(0)
			for k := range e {
				e[k] = float32(math.Exp(3 * rng.NormFloat64()))
				z += e[k]
			}
			s := 0.
			for k := range e {
				y.Set(i, k, float64(e[k]/z))
				s += y.At(i, k)
			}
			worst = math.Max(worst, math.Abs(s-1))
		}
		if err := (Loss{Kind: CrossEntropy}).check("targets", y); err != nil {
			t.Errorf("%d classes, off by %g: %v", c, worst, err)
		}
		if c > 5 && worst < 1e-9 {
			t.Errorf("%d classes: sums are off by %g, nothing is tested", c, worst)
		}
	}
	if err := (Loss{Kind: CrossEntropy}).check("targets", mat.NewDense(1, 2, []float64{0.5, 0.5001})); err == nil || !strings.Contains(err.Error(), "row 0 sums to 1.0001") {
		t.Errorf("a row that sums to 1.0001: %v", err)
	}
}
