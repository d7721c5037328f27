package dmft

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

var logistic = lossDefinition{
	LossBase: LossBase{Kind: Logistic, Formula: "Σ log(1+e^(−yf)) with targets ±1", Targets: SignTargets},
	row: func(_ Loss, total, scale, dscale float64, f []float64, stride int, y, delta []float64, p int) float64 {
		for k, yk := range y {
			v := yk * f[k*stride]
			// log(1 + e^{−v}) without overflow.
			total += scale * (math.Max(-v, 0) + math.Log1p(math.Exp(-math.Abs(v))))
			if delta != nil {
				delta[k*p] = dscale * yk / (1 + math.Exp(v))
			}
		}
		return total
	},
	check: func(_ Loss, what string, y *mat.Dense) error {
		r, c := y.Dims()
		for i := range r {
			for j := range c {
				if v := y.At(i, j); v != 1 && v != -1 {
					return fmt.Errorf("dmft: %s row %d, column %d is %g; the logistic loss takes targets −1 and +1", what, i, j, v)
				}
			}
		}
		return nil
	},
}
