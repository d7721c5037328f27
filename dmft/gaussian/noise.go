// Package gaussian holds the Gaussian randomness of the theory: noise with matched moments, and the conditioned Gaussian matrix.
//
// An average over S sites of a function of Gaussian fields u = z F has an error of order S^{-1/2}, and most of it comes from the sample moments of z: a sample
// covariance zᵀz/S that differs from the identity is a wrong kernel. [Matched] and [Pool] remove that part. Their columns are
// exactly orthonormal over the sites and orthogonal to the constant,
//
//	zᵀz = S·1,   Σ_i z_ik = 0
//
// so sample means and kernels of linear fields are exact for any S, linear networks are solved to rounding, and non-linear ones with a fraction of
// the error of plain sampling.
//
// A [Matrix] is a weight matrix of infinite size, known only through the products already made with it: Gaussian, conditioned on those products, plus
// what it has learned. Training with it in place of a dense matrix solves the dynamical mean field theory.
//
//	z, err := gaussian.Matched(rng, 500, 20) // 500 sites, 20 independent fields
package gaussian

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// Source is a stream of independent standard normal numbers, such as a *rand.Rand of math/rand/v2. One that has a method Normal(dst []float64) too, which draws many at a time, is asked for them by it.
type Source interface{ NormFloat64() float64 }

// Plain returns rows×cols independent standard normal numbers.
func Plain(rng Source, rows, cols int) la.Mat[float64] {
	z := la.New[float64](rows, cols)
	if s, ok := rng.(interface{ Normal([]float64) }); ok {
		s.Normal(z.Data)
		return z
	}
	for i := range z.Data {
		z.Data[i] = rng.NormFloat64()
	}
	return z
}

// Capacity is the number of columns that Matched can make orthonormal over rows sites.
func Capacity(rows int) int { return max(rows-1, 0) }

// Matched returns rows×cols standard normal numbers whose columns are exactly orthogonal to each other and to the
// constant, each of mean square one (to rounding). Apart from that they are uniformly distributed: Matched(…)·O has the
// same law for any orthogonal O on either side that keeps the constant. It needs cols ≤ Capacity(rows).
func Matched(rng Source, rows, cols int) (la.Mat[float64], error) {
	if cols > Capacity(rows) {
		return la.Mat[float64]{}, fmt.Errorf("gaussian: %d orthonormal columns of mean zero do not fit over %d sites; use at least %d sites", cols, rows, cols+1)
	}
	z := Plain(rng, rows, cols)
	if !la.Orthonormalise(z, la.Mat[float64]{}, true) {
		return la.Mat[float64]{}, errSingular(cols, rows)
	}
	return z, nil
}

var errEigen = errors.New("gaussian: the eigenvalues of a sample covariance do not converge; a field is not finite")

// errSingular is the error of columns that do not become orthonormal.
func errSingular(cols, rows int) error {
	return fmt.Errorf("gaussian: the sample covariance of %d columns over %d sites is singular; use more sites", cols, rows)
}

// Factor is a P×r matrix F with F Fᵀ = K for a positive semi-definite K, and its numerical rank.
type Factor struct {
	F    la.Mat[float64]
	Rank int
}

// NewFactor computes a pivoted Cholesky factor of the n×n positive semi-definite matrix with elements k(i, j). Pivots
// below 1e-14 of the largest diagonal element end it: that is rounding, and the rank of K.
func NewFactor(n int, k func(i, j int) float64) (Factor, error) {
	a := make([]float64, n*n)
	var most float64
	for i := range n {
		for j := i; j < n; j++ {
			v := k(i, j)
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return Factor{}, fmt.Errorf("gaussian: covariance element (%d, %d) is %g", i, j, v)
			}
			a[i*n+j] = v
		}
		most = max(most, a[i*n+i])
	}
	if n == 0 {
		return Factor{}, nil
	}
	piv, work := make([]int, n), make([]float64, 2*n)
	u, rank, _ := lapack64.Pstrf(blas64.Symmetric{N: n, Stride: n, Data: a, Uplo: blas.Upper}, piv, 1e-14*most, work)
	f := la.New[float64](n, rank)
	for i := range rank { // K = Πᵀ Uᵀ U Π: row piv[j] of F is column j of U
		for j := i; j < n; j++ {
			f.Data[piv[j]*rank+i] = u.Data[i*n+j]
		}
	}
	return Factor{F: f, Rank: rank}, nil
}
