package compare

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// slope are the coefficients of the values in their weighted least-squares fit by a + p ln n [+ c/n]: of p and, for the
// bare power, of a.
func slope(sizes []int, weights []float64, order int) (p, a []float64) {
	k := len(sizes)
	cols := order + 1
	x := mat.NewDense(k, cols, nil)
	for i, n := range sizes {
		w := math.Sqrt(weights[i])
		x.Set(i, 0, w)
		x.Set(i, 1, w*math.Log(float64(n)))
		if order > 1 {
			x.Set(i, 2, w*float64(sizes[0])/float64(n))
		}
	}
	h := hat(x)
	p, a = make([]float64, k), make([]float64, k)
	for i := range sizes {
		a[i], p[i] = h.At(0, i)*math.Sqrt(weights[i]), h.At(1, i)*math.Sqrt(weights[i])
	}
	return p, a
}

// hat is (XᵀX)⁻¹Xᵀ.
func hat(x *mat.Dense) *mat.Dense {
	var qr mat.QR
	qr.Factorize(x)
	k, _ := x.Dims()
	one := mat.NewDense(k, k, nil)
	for i := range k {
		one.Set(i, i, 1)
	}
	var h mat.Dense
	if err := qr.SolveTo(&h, false, one); err != nil {
		if _, ill := err.(mat.Condition); !ill {
			panic(fmt.Sprintf("compare: %v", err)) // shapes are those above
		}
	}
	return &h
}

// intercept are the coefficients of the values in their least-squares fit by q + b/n + … with a number of orders: those
// of q.
func intercept(sizes []int, ensembles []Sample, orders int) []float64 {
	return coefficients(sizes, ensembles, orders)[0]
}

// coefficients are those of the values in the terms of their least-squares fit by q + b n₀/n + c (n₀/n)² + …, n₀ the
// smallest size, with variances ∝ 1/(n·replicas), as they are in a limit.
func coefficients(sizes []int, ensembles []Sample, orders int) [][]float64 {
	k := len(sizes)
	x := mat.NewDense(k, orders+1, nil)
	w := make([]float64, k)
	for i, n := range sizes {
		w[i] = math.Sqrt(float64(n) * float64(len(ensembles[i])))
		for p := range orders + 1 {
			x.Set(i, p, w[i]*math.Pow(float64(sizes[0])/float64(n), float64(p)))
		}
	}
	h := hat(x)
	a := make([][]float64, orders+1)
	for p := range a {
		a[p] = make([]float64, k)
		for i := range sizes {
			a[p][i] = h.At(p, i) * w[i]
		}
	}
	return a
}

// limitOf tests a difference of means whose expectation is zero.
func limitOf(d []float64, n noise, other []float64, scale, normal float64) Limit {
	e := estimate{noise: n, distance: rms(d) / scale, sampling: math.Sqrt(n.trace/float64(len(d))) / scale,
		rest: rms(other) / scale}
	return limitOfEstimates([]estimate{e}, normal)
}
