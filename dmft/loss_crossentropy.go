package dmft

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

var crossEntropy = lossDefinition{
	LossBase: LossBase{Kind: CrossEntropy, Formula: "−Σ y log softmax(f) with one-hot targets", Targets: OneHotTargets},
	row: func(_ Loss, total, scale, dscale float64, f []float64, stride int, y, delta []float64, p int) float64 {
		top := math.Inf(-1)
		for k := range y {
			top = math.Max(top, f[k*stride])
		}
		z := 0.
		sum := 0. // one, to the rounding of the targets
		for k, yk := range y {
			z += math.Exp(f[k*stride] - top)
			sum += yk
		}
		logz := top + math.Log(z)
		for k, yk := range y {
			total += scale * yk * (logz - f[k*stride])
			if delta != nil {
				delta[k*p] = dscale * (yk - sum*math.Exp(f[k*stride]-logz))
			}
		}
		return total
	},
	check: func(_ Loss, what string, y *mat.Dense) error {
		r, c := y.Dims()
		if c < 2 {
			return fmt.Errorf("dmft: %s has %d column; cross-entropy takes one column per class (one-hot rows), or use the logistic loss with ±1", what, c)
		}
		for i := range r {
			s := 0.
			for j := range c {
				v := y.At(i, j)
				if v < 0 {
					return fmt.Errorf("dmft: %s row %d, column %d is %g; cross-entropy takes probabilities (one-hot rows)", what, i, j, v)
				}
				s += v
			}
			if math.Abs(s-1) > float64(c+4)*single {
				return fmt.Errorf("dmft: %s row %d sums to %.9g; cross-entropy takes rows that sum to one, to the rounding of float32 (one-hot rows, probabilities)", what, i, s)
			}
		}
		return nil
	},
}

// single is the distance from one to the next number in float32, in which probabilities are often computed: C of them,
// each rounded and divided by a rounded sum, sum to one within about C + 4 of it.
const single = 0x1p-23
