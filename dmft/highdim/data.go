package highdim

import (
	"context"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas/blas64"

	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// scrambled is the number of fields of the start that are spread evenly over the sites: averages are of high powers of
// few of them, and tails are what makes those noisy.
const scrambled = 12

// conditionedData returns the data matrix X of the limit over sites, with the fields of the first n directions of
// weight space, the pool its noise comes from, and noise for labels. Elements of X are N(0, 1/D): in coordinates along
// an orthonormal basis e_k of weight space, |e_k|² = D, products with it are those of gaussian.Matrix, fields Xw = Σ_k
// w_k u_k and averages (Xᵀg)_k/δ = ⟨g u_k⟩.
func conditionedData(sites, n int, ratio, tol float64, seed, stream uint64) (x *gaussian.Matrix, pool *gaussian.Pool,
	label []float64, err error) {
	// More noise than this over the sites would not be random any more.
	pool = gaussian.NewPool(seed, stream, sites, 1, 1, sites/2)
	pool.Even(max(n+1, scrambled))
	if x, err = gaussian.NewData(sites, n, ratio, tol*tol, pool); err != nil {
		return nil, nil, nil, fmt.Errorf("highdim: %w", err)
	}
	noise, err := pool.Draw(1)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("highdim: %w", err)
	}
	return x, pool, noise.Data, nil
}

// drawData returns D×P independent N(0, 1) numbers: √D times the points, which are its columns. Drawing may take long,
// and ends with the error of ctx when that is done.
func drawData(ctx context.Context, points, dim int, rng *rand.Rand) (la.Mat[float64], error) {
	x := la.New[float64](dim, points)
	return x, drawNormal(ctx, points, dim, rng, func(k, i int, v float64) { x.Data[k*points+i] = v })
}

// explicitData is the data matrix of a simulation.
func explicitData(ctx context.Context, points, dim int, rng *rand.Rand) (*gaussian.Matrix, error) {
	x := la.New[float64](points, dim) // the transpose of drawData, without a second copy of what may be most of the memory
	if err := drawNormal(ctx, points, dim, rng, func(k, i int, v float64) { x.Data[i*dim+k] = v }); err != nil {
		return nil, err
	}
	return gaussian.NewExplicit(x), nil
}

// drawnAtOnce is how many numbers are drawn between looks at a context.
const drawnAtOnce = 1 << 16

// drawNormal puts N(0, 1) numbers in the order of drawData.
func drawNormal(ctx context.Context, points, dim int, rng *rand.Rand, put func(k, i int, v float64)) error {
	for k := range dim {
		for i := 0; i < points; {
			if err := context.Cause(ctx); err != nil {
				return &ensemble.Interruption{Cause: err}
			}
			for end := min(i+drawnAtOnce, points); i < end; i++ {
				put(k, i, rng.NormFloat64())
			}
		}
	}
	return nil
}

// evenRows returns r rows of standard normal numbers over s sites, spread evenly, orthonormal over the sites and of
// mean zero.
func evenRows(r, s int, seed, stream uint64) (la.Mat[float64], error) {
	pool := gaussian.NewPool(seed, stream, s, 1, 1, -1)
	pool.Even(min(r, scrambled))
	pool.Strict()
	z, err := pool.Draw(r)
	if err != nil {
		return z, fmt.Errorf("highdim: averages over %d samples: %w; raise samples", s, err)
	}
	return transpose(la.Mat[float64]{}, z), nil
}

// transpose returns mᵀ, in the memory of dst where that is enough.
func transpose(dst, m la.Mat[float64]) la.Mat[float64] {
	dst = room(dst, m.Cols, m.Rows)
	for i := range m.Rows {
		for j, x := range m.Row(i) {
			dst.Data[j*m.Rows+i] = x
		}
	}
	return dst
}

// mean2 is ⟨xy⟩.
func mean2(x, y []float64) float64 {
	return blas64.Dot(blas64.Vector{N: len(x), Data: x, Inc: 1},
		blas64.Vector{N: len(y), Data: y, Inc: 1}) / float64(len(x))
}

func meanSquare(x []float64) float64 { return mean2(x, x) }

// room returns an r×c matrix, in the memory of m where that is enough.
func room(m la.Mat[float64], r, c int) la.Mat[float64] {
	if cap(m.Data) < r*c {
		m.Data = make([]float64, 2*r*c)
	}
	return la.Mat[float64]{Rows: r, Cols: c, Stride: c, Data: m.Data[:r*c]}
}

// conditionedBytes is the memory of k columns over s sites.
// columns, directions, two in the pool of noise, half as much again while growing
func conditionedBytes(s, k float64) float64 { return 8 * s * k * 6 }
