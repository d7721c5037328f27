package dmft

var squared = lossDefinition{
	LossBase:  LossBase{Kind: MSE, Formula: "½Σ(y−f)²"},
	quadratic: func(Loss) bool { return true },
	row: func(_ Loss, total, scale, dscale float64, f []float64, stride int, y, delta []float64, p int) float64 {
		for k, yk := range y {
			d := yk - f[k*stride]
			total += scale * d * d / 2
			if delta != nil {
				delta[k*p] = dscale * d
			}
		}
		return total
	},
}
