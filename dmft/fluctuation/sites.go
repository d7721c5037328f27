package fluctuation

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// noise is a set of sites: standard normal numbers, one column for each direction, with the weight of each site in
// averages.
type noise struct {
	z      la.Mat[float64] // sites × directions
	weight []float64       // of sum one
}

// draw returns moment-matched sites of n directions in groups of the given number of copies: the first even directions
// change their sign with every second copy, the others with every copy (see dmft.Solve).
func draw(seed uint64, block, sites, copies, even, odd int) (noise, error) {
	out := noise{z: la.New[float64](sites, even+odd), weight: uniform(sites)}
	for i, k := range [2]int{even, odd} {
		limit := -1
		if gaussian.Capacity(sites/copies) < k {
			limit = 0 // all plain rather than some
		}
		z, err := gaussian.NewPool(seed, uint64(block)<<1|uint64(i), sites, copies, 2-i, limit).Draw(k)
		if err != nil {
			return out, err
		}
		for s := range sites {
			copy(out.z.Row(s)[i*even:], z.Row(s))
		}
	}
	return out, nil
}

func uniform(n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = 1 / float64(n)
	}
	return w
}

const mostNodes = 1 << 20 // sites of a tensor product

// tensor returns the tensor product of Gauss–Hermite rules of n nodes in d directions, which is exact for polynomials
// of degree 2n − 1 in each.
func tensor(n, d int) (noise, error) {
	sites := 1
	for range d {
		if sites *= n; sites > mostNodes {
			return noise{}, fmt.Errorf("fluctuation: %d nodes in each of %d directions are more than %d sites; draw "+
				"samples instead", n, d, mostNodes)
		}
	}
	x, w := hermite(n)
	out := noise{z: la.New[float64](sites, d), weight: make([]float64, sites)}
	for i := range sites {
		out.weight[i] = 1
		for k, r := 0, i; k < d; k, r = k+1, r/n {
			out.z.Row(i)[k] = x[r%n]
			out.weight[i] *= w[r%n]
		}
	}
	return out, nil
}

// hermite returns the nodes and weights of the Gauss–Hermite rule for the normal distribution: eigenvalues of the
// Jacobi matrix and the squares of the first elements of its eigenvectors (Golub & Welsch 1969).
func hermite(n int) (x, w []float64) {
	j := mat.NewSymDense(n, nil)
	for i := 1; i < n; i++ {
		j.SetSym(i-1, i, math.Sqrt(float64(i)))
	}
	var e mat.EigenSym
	if !e.Factorize(j, true) {
		panic("fluctuation: the Jacobi matrix of the Hermite polynomials has no eigenvalues")
	}
	var v mat.Dense
	e.VectorsTo(&v)
	x = e.Values(nil)
	for i := range n {
		w = append(w, v.At(0, i)*v.At(0, i))
	}
	return x, w
}
