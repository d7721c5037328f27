package compare_test

import (
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft/compare"
)

// A world is a Gaussian model of ensembles and their limit: E q_n = q_∞ + offset + b/n + c/n², a covariance of a few modes that falls as (1 + d/n)/n, and blocks of the
// theory that scatter in the same modes.
type world struct {
	dim, blocks     int
	sizes, seeds    []int
	bias, next, cov float64 // sizes of b, c and d
	offset          float64 // of the limit from the theory
	power           float64 // of the variance, −1
	theory          float64 // standard deviation of a block
}

func (w world) draw(rng *rand.Rand) compare.Observable {
	// Modes with weights 1, 1/2, 1/4 …, smooth in the component.
	const modes = 6
	mode := func(m, j int) float64 {
		return math.Sqrt(2) * math.Cos(math.Pi*float64(m)*(float64(j)+0.5)/float64(w.dim)) * math.Pow(2, -float64(m))
	}
	vector := func(scale float64) []float64 {
		var z [modes]float64
		for m := range z {
			z[m] = rng.NormFloat64()
		}
		x := make([]float64, w.dim)
		for j := range x {
			for m := range z {
				x[j] += scale * z[m] * mode(m+1, j)
			}
		}
		return x
	}
	limit := func(j int) float64 { return 1 + mode(1, j) }
	o := compare.Observable{Name: "f"}
	for range w.blocks {
		x := vector(w.theory)
		for j := range x {
			x[j] += limit(j)
		}
		o.Limit = append(o.Limit, x)
	}
	for k, n := range w.sizes {
		var e compare.Sample
		nf := float64(n)
		for range w.seeds[k] {
			x := vector(math.Sqrt(math.Pow(nf, w.power) * (1 + w.cov/nf)))
			for j := range x {
				x[j] += limit(j) + w.offset*mode(2, j) + w.bias/nf*mode(1, j) + w.next/(nf*nf)*mode(3, j)
			}
			e = append(e, x)
		}
		o.Ensembles = append(o.Ensembles, e)
	}
	return o
}

// TestConvergeCalibration: a right limit is rejected no more often than Significance says, for ensembles and theories of several sizes, with and without bias, corrections and noise of the
// theory; wrong limits and wrong exponents are rejected; intervals hold the truth as often as they should.
func TestConvergeCalibration(t *testing.T) {
	runs := 60
	if os.Getenv("DMFT_EXTENDED") != "" {
		runs = 1500
	}
	sizes := []int{32, 64, 128, 256, 512}
	equal, many := []int{16, 16, 16, 16, 16}, []int{128, 64, 32, 16, 8}
	for _, c := range []struct {
		name  string
		w     world
		wrong bool
		least float64 // share of runs that must be rejected
	}{
		{"equal seeds", world{dim: 40, blocks: 8, sizes: sizes, seeds: equal, bias: 1, next: 5, cov: 3, power: -1, theory: 0.02}, false, 0},
		{"equal neurons", world{dim: 40, blocks: 8, sizes: sizes, seeds: many, bias: 2, next: 10, cov: 5, power: -1, theory: 0.02}, false, 0},
		{"noisy theory", world{dim: 40, blocks: 4, sizes: sizes, seeds: many, bias: 1, power: -1, theory: 0.1}, false, 0},
		{"exact theory", world{dim: 40, blocks: 1, sizes: sizes, seeds: many, bias: 1, power: -1}, false, 0},
		{"three sizes", world{dim: 40, blocks: 8, sizes: sizes[:3], seeds: []int{32, 32, 32}, bias: 1, cov: 2, power: -1, theory: 0.02}, false, 0},
		{"four seeds", world{dim: 10, blocks: 4, sizes: sizes[1:], seeds: []int{4, 4, 4, 4}, power: -1, theory: 0.02}, false, 0},
		{"offset", world{dim: 40, blocks: 8, sizes: sizes, seeds: many, bias: 1, offset: 0.6, power: -1, theory: 0.02}, true, 0.95},
		{"plateau below noise of one", world{dim: 40, blocks: 8, sizes: sizes, seeds: many, bias: 1, offset: 0.3, power: -1, theory: 0.02}, true, 0.6},
		{"wrong exponent", world{dim: 40, blocks: 8, sizes: sizes, seeds: many, power: -0.3, theory: 0.02}, true, 0.2},
	} {
		rng := rand.New(rand.NewPCG(7, uint64(len(c.name))))
		rejected, covered, resolved := 0, 0, 0
		by := map[string]int{}
		for range runs {
			r, err := compare.Converge(c.w.sizes, []compare.Observable{c.w.draw(rng)}, compare.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Agree {
				rejected++
				for _, x := range r.Tests {
					if x.Rejected {
						by[x.Name[strings.Index(x.Name, " ")+1:]]++
					}
				}
			}
			if e := r.Observables[0].Error; e.Resolved {
				resolved++
				if e.NextLo <= c.w.power/2 && c.w.power/2 <= e.NextHi {
					covered++
				}
			}
		}
		t.Logf("%s: rejected %d of %d %v; exponent resolved %d, covered %d", c.name, rejected, runs, by, resolved, covered)
		switch share := float64(rejected) / float64(runs); {
		case c.wrong && share < c.least:
			t.Errorf("%s: rejected %d of %d", c.name, rejected, runs)
		// Three standard deviations of a binomial above one per cent.
		case !c.wrong && share > 0.01+3*math.Sqrt(0.01/float64(runs)):
			t.Errorf("%s: a right limit is rejected %d times of %d", c.name, rejected, runs)
		}
	}
}
