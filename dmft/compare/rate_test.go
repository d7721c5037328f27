package compare

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestJudged: a law with a correction of the next order is what is expected, although the power law alone excludes it; another exponent is not. What is right is rejected once in a hundred
// times.
func TestJudged(t *testing.T) {
	n := []float64{32, 64, 128, 256, 512}
	law := func(p, c float64, noise func() float64) (y, se []float64) {
		for _, x := range n {
			v := math.Pow(x, p) * (1 + c/x)
			se = append(se, 0.02*v)
			y = append(y, v*(1+0.02*noise()))
		}
		return y, se
	}
	still := func() float64 { return 0 }
	y, se := law(-0.5, 8, still)
	if r := judged(n, y, se, 0, -0.5); r.Hi >= -0.5 || !r.Consistent || r.NextOrder < 0.5 {
		t.Errorf("with a correction: %+v, %v", r, r)
	}
	y, se = law(-0.5, 0, still)
	if r := judged(n, y, se, 0, -0.5); r.Lo > -0.5 || r.Hi < -0.5 || !r.Consistent || r.NextOrder != 0 {
		t.Errorf("without: %+v", r)
	}
	y, se = law(-0.8, 0, still)
	if r := judged(n, y, se, 0, -0.5); r.Consistent {
		t.Errorf("another exponent: %+v", r)
	}
	if r := judged(n[:2], y[:2], se[:2], 0, -0.5); r.Consistent || r.NextOrder != 0 {
		t.Errorf("two sizes: %+v", r)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	const runs = 600
	bad := 0
	for range runs {
		y, se := law(-0.5, 6, rng.NormFloat64)
		if !judged(n, y, se, 0, -0.5).Consistent {
			bad++
		}
	}
	if t.Logf("%d of %d rejected", bad, runs); bad > 6+4*3 { // 1 in 100, and four standard deviations
		t.Errorf("%d of %d right laws were rejected", bad, runs)
	}
}
