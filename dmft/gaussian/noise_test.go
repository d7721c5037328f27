package gaussian

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/random"
)

// TestMatched: first and second moments are exact to rounding for any shape that fits.
func TestMatched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(2, 120).Draw(t, "rows")
		cols := rapid.IntRange(0, Capacity(rows)).Draw(t, "cols")
		z, err := Matched(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		for a := range cols {
			mean := 0.
			for i := range rows {
				mean += z.Row(i)[a]
			}
			if math.Abs(mean) > 1e-11*float64(rows) {
				t.Fatalf("mean of column %d: %g", a, mean)
			}
			for b := range cols {
				s := 0.
				for i := range rows {
					s += z.Row(i)[a] * z.Row(i)[b]
				}
				want := 0.
				if a == b {
					want = 1
				}
				if math.Abs(s/float64(rows)-want) > 1e-11 {
					t.Fatalf("⟨z_%d z_%d⟩ = %g", a, b, s/float64(rows))
				}
			}
		}
	})
	if _, err := Matched(rand.New(rand.NewPCG(1, 1)), 5, 5); err == nil {
		t.Error("five orthonormal columns of mean zero over five sites should be refused")
	}
}

// TestMatchedIsGaussian: orthonormalising must not change the law of one element beyond O(1/rows): its fourth moment.
func TestMatchedIsGaussian(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const rows, reps = 400, 200
	var m4 float64
	for range reps {
		z, err := Matched(rng, rows, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range z.Data {
			m4 += v * v * v * v
		}
	}
	m4 /= rows * reps * 3
	// Uniform on the sphere of radius √n in n = rows−1 dimensions: E z⁴ = 3n/(n+2)·(rows/n)²/…; the correction is
	// O(1/rows). Standard error of the mean of z⁴: √(96/count).
	if se := math.Sqrt(96. / (rows * reps * 3)); math.Abs(m4-3*rows/(rows+2.)) > 4*se {
		t.Errorf("fourth moment %g, want %g ± %g", m4, 3*rows/(rows+2.), se)
	}
}

// TestSources: streams that draw many numbers at a time give the same as one by one, and any *rand.Rand serves.
func TestSources(t *testing.T) {
	s := random.New(1, 2)
	for i, v := range Plain(random.New(1, 2), 7, 5).Data {
		if want := s.NormFloat64(); v != want {
			t.Fatalf("number %d is %g, want %g", i, v, want)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i, v := range Plain(rand.New(rand.NewPCG(1, 2)), 7, 5).Data {
		if want := r.NormFloat64(); v != want {
			t.Fatalf("number %d is %g, want %g", i, v, want)
		}
	}
}

// TestFactor reconstructs random positive semi-definite matrices of any rank.
func TestFactor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "n")
		r := rapid.IntRange(1, n).Draw(t, "rank")
		g := Plain(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), n, r)
		k := la.New[float64](n, n)
		la.Gemm(la.N, la.T, 1, g, g, 0, k)
		f, err := NewFactor(n, func(i, j int) float64 { return k.Row(i)[j] })
		if err != nil {
			t.Fatal(err)
		}
		if f.Rank > r {
			t.Fatalf("rank %d, want at most %d", f.Rank, r)
		}
		for i := range n {
			for j := range n {
				s := 0.
				for c := range f.Rank {
					s += f.F.Row(i)[c] * f.F.Row(j)[c]
				}
				if math.Abs(s-k.Row(i)[j]) > 1e-11*float64(n*r) {
					t.Fatalf("element (%d,%d): %g, want %g", i, j, s, k.Row(i)[j])
				}
			}
		}
	})
}
