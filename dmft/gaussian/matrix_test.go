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

// TestPool: columns of any number of draws are orthonormal together, signs follow the copies, a full pool says so or
// goes on unmatched.
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
	// Columns beside fields are orthogonal to those, too; what is in their span already takes no room.
	q := NewPool(4, 1, 50, 1, 1, -1)
	q.Even(3)
	first, err := q.Draw(5)
	if err != nil {
		t.Fatal(err)
	}
	field := la.New[float64](50, 3)
	for i := range 50 {
		field.Row(i)[0], field.Row(i)[1], field.Row(i)[2] = math.Exp(first.Row(i)[0]), first.Row(i)[1], 1
	}
	if !la.QR(field, la.New[float64](3, 3)) {
		t.Fatal("dependent fields")
	}
	var b beside
	z := la.New[float64](50, 4)
	if err := q.drawBeside(z, &b, field); err != nil {
		t.Fatal(err)
	}
	for _, old := range []la.Mat[float64]{first, field} {
		for _, v := range product(old, z).Data {
			if math.Abs(v) > 1e-14 {
				t.Errorf("new noise has %g in common with the old or with what it is beside", v)
			}
		}
	}
	if all, plain := q.Drawn(); all != 9 || plain != 0 || q.n != 9 || b.N != 1 {
		t.Errorf("%d columns drawn, %d unmatched, %d directions beside; want 9, 0, 1", all, plain, b.N)
	}
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

// TestMatrixIsOneMatrix: whatever was multiplied before, the products are those of one linear operator: linear, adjoint
// to each other, with the second moments of a Gaussian matrix.
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
	w2.Reserve(len(w.v))
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

// TestData: whatever a matrix with exact coordinates was multiplied with, its products are those of one matrix of δ
// times as many rows as columns: adjoint to each other, and with the second moments of a Gaussian one.
func TestData(t *testing.T) {
	const s, n, delta, p = 2000, 2, 3., 2
	pool := NewPool(1, 1, s, 1, 1, s/2)
	pool.Even(5)
	w, err := NewData(s, n, delta, 1e-12, pool)
	if err != nil {
		t.Fatal(err)
	}
	other, err := pool.Draw(1) // noise of something else
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(2, 2))
	var gs []la.Mat[float64]
	for round := range 20 {
		g := Plain(rng, s, p)
		gs = append(gs, g)
		before, _, _ := w.Ranks()
		known, _ := w.Backward(g)
		axes, err := w.Extend(g)
		if err != nil || axes != before+p {
			t.Fatalf("round %d: %d axes after %d, %v", round, axes, before, err)
		}
		// The new part of Xᵀg, whose coordinates are δ⟨g u⟩, has the length √δ|g_⊥|.
		c := la.New[float64](axes, p)
		w.MulT(0, c, g)
		all, _ := w.Backward(g)
		for i := range p {
			perp, fresh, whole := product(g, g).Row(i)[i], 0., 0.
			for j := range known.Rows {
				perp -= known.Row(j)[i] * known.Row(j)[i]
			}
			for j := before; j < axes; j++ {
				fresh += delta * delta * c.Row(j)[i] * c.Row(j)[i]
			}
			for j := range all.Rows {
				whole += all.Row(j)[i] * all.Row(j)[i]
			}
			if math.Abs(fresh-delta*perp) > 1e-9 || math.Abs(whole-product(g, g).Row(i)[i]) > 1e-9 {
				t.Fatalf("round %d: the new part of Xᵀg has the square %g, want %g; |g|² = %g in the basis", round,
					fresh, delta*perp, whole)
			}
		}
		if again, err := w.Extend(g); err != nil || again != axes {
			t.Fatalf("the same g added %d directions, %v", again-axes, err)
		}
	}
	axes, directions, _ := w.Ranks()
	one := la.New[float64](axes, axes)
	for i := range axes {
		one.Row(i)[i] = 1
	}
	u := la.New[float64](s, axes)
	w.Mul(0, u, one)
	uu, qu := product(u, u), product(view(w.backward.q, directions), u)
	for i := range directions {
		// Column n+i is ζ + q/√δ, with ζ orthogonal to the directions of its time and before.
		if math.Abs(uu.Row(n + i)[n+i]-1-1/delta) > 1e-10 {
			t.Errorf("⟨u u⟩ = %g for direction %d, want 1 + 1/δ", uu.Row(n + i)[n+i], i)
		}
		for j := range directions {
			want := 0.
			if i == j {
				want = 1 / math.Sqrt(delta)
			}
			if i/p <= j/p && math.Abs(qu.Row(i)[n+j]-want) > 1e-10 {
				t.Errorf("⟨q%d u%d⟩ = %g, want %g", i, j, qu.Row(i)[n+j], want)
			}
		}
		// The fields of the start and other noise are orthogonal to ζ, not to q.
		if d := uu.Row(0)[n+i] - qu.Row(i)[0]/math.Sqrt(delta); math.Abs(d) > 1e-10 {
			t.Errorf("⟨u₀ ζ⟩ = %g", d)
		}
		if d := product(other, u).Row(0)[n+i] - product(other, w.backward.q).Row(0)[i]/math.Sqrt(delta); math.Abs(d) > 1e-10 {
			t.Errorf("⟨other ζ⟩ = %g", d)
		}
	}
	// Adjoint, for all that was multiplied; a weight may know fewer axes than there are.
	x := Plain(rng, axes-7, 1)
	wx := la.New[float64](s, 1)
	w.Mul(0, wx, x)
	for _, g := range gs {
		c := la.New[float64](axes-7, p)
		w.MulT(0, c, g)
		left, right := product(g, wx), la.New[float64](p, 1)
		la.Gemm(la.T, la.N, 1, c, x, 0, right)
		if d := off(left, right); d > 1e-10 {
			t.Fatalf("⟨g Xw⟩ and ⟨Xᵀg w⟩ differ by %g", d)
		}
	}
	// Learning: W ← ½W + 2·y xᵀ acts as it says, on old axes and on those that come, and registers and files keep it.
	y := Plain(rng, s, 1)
	w.Reserve(2)
	w.Combine(1, []float64{1})
	w.AddOuter(0, 0.5, 2, y, x)
	more := Plain(rng, s, 1)
	if axes, err = w.Extend(more); err != nil {
		t.Fatal(err)
	}
	z := Plain(rng, axes, 1)
	got, old := la.New[float64](s, 1), la.New[float64](s, 1)
	w.Mul(0, got, z)
	w.Mul(1, old, z)
	xz := 0.
	for i, v := range x.Data {
		xz += v * z.Data[i]
	}
	for i := range s {
		if math.Abs(got.Data[i]-0.5*old.Data[i]-2*xz*y.Data[i]) > 1e-9 {
			t.Fatalf("site %d: W z = %g after an outer product, want %g", i, got.Data[i], 0.5*old.Data[i]+2*xz*y.Data[i])
		}
	}
	var buf bytes.Buffer
	enc := gob.NewEncoder(&buf)
	if err := errors.Join(w.Save(enc), pool.Save(enc)); err != nil {
		t.Fatal(err)
	}
	pool2 := NewPool(1, 1, s, 1, 1, s/2)
	w2, err := NewData(s, n, delta, 1e-12, pool2)
	if err != nil {
		t.Fatal(err)
	}
	w2.Reserve(len(w.v))
	dec := gob.NewDecoder(&buf)
	if err := errors.Join(w2.Load(dec), pool2.Load(dec)); err != nil {
		t.Fatal(err)
	}
	last := Plain(rng, s, 2)
	a, _ := w.Extend(last)
	b, _ := w2.Extend(last)
	c, d := la.New[float64](a, 2), la.New[float64](b, 2)
	w.MulT(0, c, last)
	w2.MulT(0, d, last)
	if a != b || off(c, d) != 0 {
		t.Error("a restored matrix goes on differently")
	}
	// More directions than sites are refused.
	small, err := NewData(8, 1, delta, 1e-12, NewPool(1, 1, 8, 1, 1, 4))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err = small.Extend(Plain(rng, 8, 1)); err != nil {
			break
		}
	}
	if _, k, _ := small.Ranks(); k > 8 {
		t.Errorf("%d orthonormal directions over 8 samples", k)
	}
}

// TestDataIsWishart: gradient descent of linear regression from zero on P = δD points has the exact spectrum of
// Marchenko and Pastur: moments ⟨w₀ (XᵀX)ᵏ w₀⟩ of a matrix that is known by its products alone, against those of the
// law and of an explicit matrix.
func TestDataIsWishart(t *testing.T) {
	const delta, s = 2.5, 4000
	pool := NewPool(3, 1, s, 1, 1, s/2)
	w, err := NewData(s, 1, delta, 1e-12, pool)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	explicit := NewExplicit(Plain(rng, 3000, 1200))
	for name, m := range map[string]*Matrix{"conditioned": w, "explicit": explicit} {
		axes, _, _ := m.Ranks()
		x := la.New[float64](axes, 1)
		x.Data[0] = 1
		// ⟨λᵏ⟩ of XᵀX/δ: 1, 1, 1 + c, 1 + 3c + c², 1 + 6c + 6c² + c³ with c = 1/δ.
		const c = 1 / delta
		for k, want := range []float64{1, 1, 1 + c, 1 + 3*c + c*c, 1 + 6*c + 6*c*c + c*c*c} {
			if d := math.Abs(x.Data[0] - want); d > map[string]float64{"conditioned": 1e-9,
				"explicit": 12 * want / math.Sqrt(1200)}[name] {
				t.Errorf("%s: moment %d of the spectrum is %g, want %g", name, k, x.Data[0], want)
			}
			f := la.New[float64](m.sites, 1)
			m.Mul(0, f, x)
			axes, err := m.Extend(f)
			if err != nil {
				t.Fatal(err)
			}
			x = la.New[float64](axes, 1)
			m.MulT(0, x, f)
		}
	}
}

// TestAgainstBigMatrix: alternating products through a nonlinearity, φ(Wᵀφ(Wφ(Wᵀφ(Wx)))), have the averages of an
// explicit large random matrix; without the responses they have not.
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
		big = append(big, run(n, func(d, x la.Mat[float64]) { la.Gemm(la.N, la.N, c, w, x, 0, d) },
			func(d, x la.Mat[float64]) { la.Gemm(la.T, la.N, c, w, x, 0, d) }, Plain(rng, n, 1)))
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
