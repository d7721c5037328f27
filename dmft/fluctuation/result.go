package fluctuation

import (
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
)

// Estimate is an array with the standard errors of its elements, from the scatter of independent blocks of sites; zero
// where nothing was sampled.
type Estimate struct{ Value, Stderr dmft.Array }

// Empty says whether the quantity was not computed.
func (e Estimate) Empty() bool { return e.Value.Empty() }

// Result is what finite width adds to the theory, to leading order: of a network of width N over its initialisations,
//
//	Cov(x, y) = Covariance/N,   ⟨x⟩ = x_∞ + Bias/N
//
// T is the number of recorded times (steps + 1), K that of kernels, C the number of outputs; axes of length C are
// absent when C = 1.
type Result struct {
	Time []float64 // T
	F    Estimate  // T×P[×C] predictions at infinite width, from the same sites
	// Variances and mean corrections of the predictions and losses. The variance of a loss of order 1/N vanishes with
	// Δ.
	FVariance, FBias         Estimate // T×P[×C]
	FTestVariance, FTestBias Estimate // T×Pt[×C], or empty
	// Averages of the variances over points, outputs and elements of the NTK: their errors are not those of the
	// elements, which err together.
	MeanVariance, MeanTestVariance Estimate // T
	MeanNTKVariance                Estimate // K
	LossVariance, LossBias         Estimate // T
	TestLossBias                   Estimate // T, or empty
	TestLossVariance               Estimate // T, or empty

	KernelStep                []int     // K
	KernelTime                []float64 // K
	NTKVariance, NTKBias      Estimate  // K×P[×C]×P[×C], elementwise
	PhiVariance, PhiBias      Estimate  // K×L×P×P
	GVariance, GBias          Estimate  // K×L×P[×C]×P[×C]
	CovarianceStep            []int     // J
	FCovariance               Estimate  // J×P[×C]×J×P[×C] between any two of these times, when asked for
	Kurtosis                  Estimate  // P: N times the excess kurtosis of f_μ(θ₀), the same for every output
	Start                     *Start    // of Lazy
	Sites, Blocks, Directions int       // Directions: of the sites' noise, the most over blocks
}

// mean collects one array of every block.
func mean(blocks [][]float64, shape ...int) Estimate {
	e := Estimate{dmft.NewArray(shape...), dmft.NewArray(shape...)}
	n := float64(len(blocks))
	for _, b := range blocks {
		for i, v := range b {
			e.Value.Data[i] += v / n
		}
	}
	if len(blocks) < 2 {
		return e
	}
	for _, b := range blocks {
		for i, v := range b {
			d := v - e.Value.Data[i]
			e.Stderr.Data[i] += d * d
		}
	}
	for i, v := range e.Stderr.Data {
		e.Stderr.Data[i] = math.Sqrt(v / (n - 1) / n)
	}
	return e
}

// averages returns the averages of pieces of n elements.
func averages(x []float64, n int) []float64 {
	out := make([]float64, len(x)/max(n, 1))
	for i := range out {
		for _, v := range x[i*n : (i+1)*n] {
			out[i] += v / float64(n)
		}
	}
	return out
}

// outputShape appends the axis of outputs unless there is only one.
func outputShape(c int, lead ...int) []int {
	s := append([]int(nil), lead...)
	if c > 1 {
		s = append(s, c)
	}
	return s
}

// byPoint sets dst, over points and then outputs, from src, over outputs and then points.
func byPoint(dst, src []float64, c int) {
	n := len(src) / c
	for k := range c {
		for m := range n {
			dst[m*c+k] = src[k*n+m]
		}
	}
}

// byPoints is byPoint of both indices of a matrix.
func byPoints(dst, src []float64, points, c int) {
	n := points * c
	for a := range c {
		for m := range points {
			for b := range c {
				for v := range points {
					dst[(m*c+a)*n+v*c+b] = src[(a*points+m)*n+b*points+v]
				}
			}
		}
	}
}

// evenly returns n of t steps, from the first to the last.
func evenly(n, t int) []int {
	n = min(n, t)
	if n < 1 {
		return nil
	}
	steps := make([]int, n)
	for i := range steps {
		if n > 1 {
			steps[i] = int(math.Round(float64(i) * float64(t-1) / float64(n-1)))
		}
	}
	return steps
}
