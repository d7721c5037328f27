package highdim

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestDimensionRate: the interval of the exponent covers −1/2 about 95 times of 100 for light and heavy-tailed errors
// of networks, for an error of the theory, and for a next order in 1/D; other exponents are told apart; a few networks
// that are stuck do not matter.
func TestDimensionRate(t *testing.T) {
	const trials, seeds = 400, 20
	for _, tc := range []struct {
		name   string
		dims   []float64
		law    func(d float64) float64
		heavy  bool
		theory float64
		lo, hi float64 // share of trials that are consistent
	}{
		{"four dimensions", []float64{100, 200, 400, 800}, func(d float64) float64 { return 1 / math.Sqrt(d) }, false,
			0, 0.925, 1},
		{"two dimensions", []float64{100, 400}, func(d float64) float64 { return 1 / math.Sqrt(d) }, false, 0, 0.925, 1},
		{"heavy tails", []float64{100, 200, 400, 800}, func(d float64) float64 { return 1 / math.Sqrt(d) }, true, 0,
			0.925, 1},
		{"error of the theory", []float64{100, 200, 400, 800}, func(d float64) float64 { return 1 / math.Sqrt(d) },
			false, 0.015, 0.925, 1},
		{"next order", []float64{50, 100, 200, 400, 800},
			func(d float64) float64 { return math.Exp(3/d) / math.Sqrt(d) }, false, 0, 0.925, 1},
		{"faster", []float64{100, 200, 400, 800}, func(d float64) float64 { return 1 / d }, false, 0, 0, 0.05},
		{"slower", []float64{100, 200, 400, 800}, func(d float64) float64 { return math.Pow(d, -0.25) / 10 }, false, 0,
			0, 0.1},
	} {
		rng := rand.New(rand.NewPCG(1, uint64(len(tc.name))))
		in, width, vague := 0., 0., 0.
		for range trials {
			z := [3]float64{rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()} // of the theory, in some directions
			var errs [][]float64
			for _, d := range tc.dims {
				var e []float64
				for range seeds {
					s := 0.
					for _, th := range z {
						x := rng.NormFloat64()
						if tc.heavy {
							x *= math.Exp(rng.NormFloat64())
						}
						s += sq(tc.law(d)*x - tc.theory/math.Sqrt(3)*th)
					}
					e = append(e, math.Sqrt(s))
				}
				errs = append(errs, e)
			}
			r := dimensionRate(tc.dims, errs, tc.theory)
			if !r.Resolved {
				vague += 1. / trials
				continue
			}
			if r.Consistent {
				in += 1. / trials
			}
			width += (r.Hi - r.Lo) / trials
		}
		in /= 1 - vague
		t.Logf("%s: −1/2 is in %.3f of the intervals, of width %.2g", tc.name, in, width)
		if !(in >= tc.lo && in <= tc.hi) || vague > 0.05 {
			t.Errorf("%s: −1/2 is in %.3f of the intervals", tc.name, in)
		}
	}
	// One network of twenty stuck, with an error that does not fall.
	rng := rand.New(rand.NewPCG(2, 2))
	var errs [][]float64
	dims := []float64{100, 200, 400, 800}
	for _, d := range dims {
		var e []float64
		for range 60 {
			e = append(e, math.Hypot(rng.NormFloat64(), rng.NormFloat64())/math.Sqrt(d))
		}
		if d < 300 {
			e[0], e[1] = 1, 1
		}
		errs = append(errs, e)
	}
	if r := dimensionRate(dims, errs, 0); !r.Consistent {
		t.Errorf("two stuck networks of 60: %s", r)
	}
	if r := dimensionRate(dims[:1], errs[:1], 0); r.Resolved || r.Expected != -0.5 {
		t.Errorf("one dimension: %+v", r)
	}
}
