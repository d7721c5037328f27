package gaussian

import (
	"bytes"
	"encoding/gob"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/internal/la"
)

func pools(sites int) (*Pool, *Pool) {
	return NewPool(1, 2, sites, 2, 2, -1), NewPool(1, 3, sites, 2, 1, -1)
}

func product(a, b la.Mat[float64]) la.Mat[float64] { // aᵀb/S
	c := la.New[float64](a.Cols, b.Cols)
	la.Gemm(la.T, la.N, 1/float64(a.Rows), a, b, 0, c)
	return c
}

func off(a, b la.Mat[float64]) float64 {
	m := 0.
	for i, v := range a.Data {
		m = math.Max(m, math.Abs(v-b.Data[i]))
	}
	return m
}

// TestPool: columns of any number of draws are orthonormal together, signs follow the copies, a full pool says so or goes on unmatched.
func TestPool(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPool(rapid.Uint64().Draw(t, "seed"), 1, 120, 4, 2, -1)
		var cols []la.Mat[float64]
		total := 0
		for total < 25 {
			k := rapid.IntRange(1, 7).Draw(t, "k")
			z, err := p.Draw(min(k, 29-total))
			if err != nil {
				t.Fatal(err)
			}
			cols, total = append(cols, z), total+z.Cols
		}
		for i, a := range cols {
			for j, b := range cols {
				g := product(a, b)
				want := la.New[float64](a.Cols, b.Cols)
				if i == j {
					for k := range a.Cols {
						want.Row(k)[k] = 1
					}
				}
				if d := off(g, want); d > 1e-11 {
					t.Fatalf("draws %d and %d: off by %g", i, j, d)
				}
			}
		}
		for r := range 30 {
			for c, v := range cols[0].Row(r) {
				for k, sign := range []float64{1, 1, -1, -1} {
					if cols[0].Row(r + 30*k)[c] != sign*v {
						t.Fatalf("copy %d of site %d: %g, want %g", k, r, cols[0].Row(r + 30*k)[c], sign*v)
					}
				}
			}
		}
	})
	p := NewPool(1, 1, 20, 2, 1, -1)
	if _, err := p.Draw(12); err != nil {
		t.Fatal(err)
	}
	if all, plain := p.Drawn(); all != 12 || plain != 3 {
		t.Errorf("%d columns drawn, %d unmatched; want 12, 3 over 10 distinct sites", all, plain)
	}
	p.Strict()
	if _, err := p.Draw(1); !errors.Is(err, ErrFull) {
		t.Errorf("a full strict pool: %v", err)
	}
}

// TestMatrixIsOneMatrix: whatever was multiplied before, the products are those of one linear operator: linear, adjoint to each other, with the
// second moments of a Gaussian matrix.
func TestMatrixIsOneMatrix(t *testing.T) {
	const s, p = 400, 3
	rng := rand.New(rand.NewPCG(5, 6))
	om, ze := pools(s)
	w := NewMatrix(s, 1e-12, om, ze)
	x, y := Plain(rng, s, p), Plain(rng, s, p)
	wx, wy := la.New[float64](s, p), la.New[float64](s, p)
	w.Mul(0, wx, x)
	// ⟨Wx Wx⟩ = ⟨x x⟩, exactly, by matched noise.
	if d := off(product(wx, wx), product(x, x)); d > 1e-11 {
		t.Errorf("⟨Wx Wx⟩ is off by %g", d)
	}
	w.MulT(0, wy, y)
	w.Mul(0, wx, x) // once y is known
	if d := off(product(y, wx), product(wy, x)); d > 1e-11 {
		t.Errorf("⟨y Wx⟩ and ⟨Wᵀy x⟩ differ by %g", d)
	}
	// Linearity within what is known: W(2x₀ − x₁).
	mix, got := la.New[float64](s, 1), la.New[float64](s, 1)
	for i := range s {
		mix.Data[i] = 2*x.Row(i)[0] - x.Row(i)[1]
	}
	w.Mul(0, got, mix)
	for i := range s {
		if d := math.Abs(got.Data[i] - 2*wx.Row(i)[0] + wx.Row(i)[1]); d > 1e-10 {
			t.Fatalf("site %d: W is not linear by %g", i, d)
		}
	}
	f, b, _ := w.Ranks()
	if f != p || b != p {
		t.Errorf("ranks %d, %d after %d directions each", f, b, p)
	}
	// W ← βW + a·y xᵀ/N.
	x2 := Plain(rng, s, p)
	before, after := la.New[float64](s, p), la.New[float64](s, p)
	w.Mul(0, before, x2)
	w.Mul(0, wx, x)
	w.AddOuter(0, 0.5, 2, y, x)
	w.Mul(0, after, x2)
	xx := product(x, x2)
	want := la.New[float64](s, p)
	copy(want.Data, before.Data)
	la.Gemm(la.N, la.N, 2, y, xx, 0.5, want)
	if d := off(after, want); d > 1e-10 {
		t.Errorf("after an outer product W x is off by %g", d)
	}
	// Registers: W₁ = 3W₀ − W₁, and back through a file.
	w.Reserve(2)
	w.Combine(1, []float64{3, -1})
	w.Mul(1, got, mix)
	three := la.New[float64](s, 1)
	w.Mul(0, three, mix)
	for i := range s {
		if math.Abs(got.Data[i]-3*three.Data[i]) > 1e-10 {
			t.Fatalf("register 1 is %g, want %g", got.Data[i], 3*three.Data[i])
		}
	}
	var buf bytes.Buffer
	enc := gob.NewEncoder(&buf)
	for _, v := range []interface{ Save(*gob.Encoder) error }{w, om, ze} {
		if err := v.Save(enc); err != nil {
			t.Fatal(err)
		}
	}
	om2, ze2 := pools(s)
	w2 := NewMatrix(s, 1e-12, om2, ze2)
	dec := gob.NewDecoder(&buf)
	for _, v := range []interface{ Load(*gob.Decoder) error }{w2, om2, ze2} {
		if err := v.Load(dec); err != nil {
			t.Fatal(err)
		}
	}
	fresh := Plain(rng, s, p)
	w.Mul(0, before, fresh)
	w2.Mul(0, after, fresh)
	if d := off(before, after); d != 0 {
		t.Errorf("a restored matrix goes on differently by %g", d)
	}
	if w.Err() != nil || w2.Err() != nil {
		t.Error(w.Err(), w2.Err())
	}
}

// TestAgainstBigMatrix: alternating products through a nonlinearity, φ(Wᵀφ(Wφ(Wᵀφ(Wx)))), have the averages of an explicit large random matrix; without the
// responses they have not.
func TestAgainstBigMatrix(t *testing.T) {
	const n, reps, s = 500, 40, 2000
	run := func(sites int, mul, mulT func(dst, x la.Mat[float64]), x la.Mat[float64]) float64 {
		v, u := x, la.New[float64](sites, 1)
		for k := range 4 {
			if k%2 == 0 {
				mul(u, v)
			} else {
				mulT(u, v)
			}
			v, u = u, la.New[float64](sites, 1)
			for i, a := range v.Data {
				v.Data[i] = math.Tanh(2*a + 0.3)
			}
		}
		return product(v, x).Data[0]
	}
	stats := func(x []float64) (m, se float64) {
		for _, v := range x {
			m += v / float64(len(x))
		}
		for _, v := range x {
			se += (v - m) * (v - m)
		}
		return m, math.Sqrt(se / float64(len(x)-1) / float64(len(x)))
	}
	rng := rand.New(rand.NewPCG(7, 8))
	var big, cond, cut []float64
	for rep := range reps {
		w := Plain(rng, n, n)
		c := 1 / math.Sqrt(n)
		big = append(big, run(n, func(d, x la.Mat[float64]) { la.Gemm(la.N, la.N, c, w, x, 0, d) }, func(d, x la.Mat[float64]) { la.Gemm(la.T, la.N, c, w, x, 0, d) }, Plain(rng, n, 1)))
		for _, none := range []bool{false, true} {
			// x itself is noise of the sites of Wᵀy.
			ze := NewPool(uint64(rep), 1, s, 1, 1, -1)
			g := NewMatrix(s, 1e-12, NewPool(uint64(rep), 2, s, 1, 1, -1), ze)
			g.NoResponse = none
			x, err := ze.Draw(1)
			if err != nil {
				t.Fatal(err)
			}
			v := run(s, func(d, x la.Mat[float64]) { g.Mul(0, d, x) }, func(d, y la.Mat[float64]) { g.MulT(0, d, y) }, x)
			if none {
				cut = append(cut, v)
			} else {
				cond = append(cond, v)
			}
		}
	}
	a, sa := stats(big)
	b, sb := stats(cond)
	c, sc := stats(cut)
	// The finite matrix has a bias of order 1/n = 0.002.
	if math.Abs(a-b) > 4*math.Hypot(sa, sb)+4./n {
		t.Errorf("⟨x φ(Wᵀ…)⟩: explicit %.4f ± %.4f, conditioned %.4f ± %.4f", a, sa, b, sb)
	}
	if math.Abs(a-c) < 10*math.Hypot(sa, sc) {
		t.Errorf("without responses %.4f ± %.4f is close to %.4f: this test shows nothing", c, sc, a)
	}
}
