package csr

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// each runs a test with every set of kernels.
func each(t *testing.T, f func(t *testing.T)) {
	defer func(s set) { used = s }(used)
	for _, s := range sets {
		used = s
		t.Run(s.name, f)
	}
}

// points draws a sparse matrix: with probability density each element, one-hot codes of two symbols when that is zero.
// Elements may be stored out of order and, with repeat, twice.
func points(rng *rand.Rand, rows, cols int, density float64, equal, repeat bool) *sparse.CSR {
	ptr, ind, val := []int{0}, []int(nil), []float64(nil)
	for range rows {
		n := 2
		if density > 0 {
			n = 0
			for range cols {
				if rng.Float64() < density {
					n++
				}
			}
		}
		n = min(n, cols)
		for _, j := range rng.Perm(cols)[:n] {
			v := 1.
			if !equal {
				v = rng.NormFloat64()
			}
			ind, val = append(ind, j), append(val, v)
			if repeat && rng.IntN(4) == 0 {
				ind, val = append(ind, j), append(val, v)
			}
		}
		ptr = append(ptr, len(ind))
	}
	return sparse.NewCSR(rows, cols, ptr, ind, val)
}

func dense[T la.Float](rng *rand.Rand, rows, cols, pad int) la.Mat[T] {
	m := la.Mat[T]{Rows: rows, Cols: cols, Stride: cols + pad, Data: make([]T, rows*(cols+pad))}
	for i := range m.Data {
		m.Data[i] = T(rng.NormFloat64())
	}
	return m
}

func clone[T la.Float](m la.Mat[T]) la.Mat[T] {
	m.Data = append([]T(nil), m.Data...)
	return m
}

// check compares both products with the definition in float64, stored element by stored element, so that NaN and Inf go
// where the definition sends them; the bound is that of a sum of as many rounded terms.
func check[T la.Float](t interface{ Fatalf(string, ...any) }, s *sparse.CSR, scale float64, w, e la.Mat[T], beta, a T,
	eps float64) {
	raw := s.RawMatrix()
	x := New[T](s, scale)
	near := func(what string, i, j, terms int, got T, want, abs float64) {
		g := float64(got)
		if math.IsNaN(want) != math.IsNaN(g) || math.IsInf(want, 0) && g != want || !math.IsNaN(want) &&
			!math.IsInf(want, 0) && !(math.Abs(g-want) <= float64(terms+4)*eps*abs) {
			t.Fatalf("%s of %d×%d points (%d stored), %d rows: element (%d, %d) = %g, want %g", what, raw.I, raw.J,
				len(raw.Ind), w.Rows, i, j, g, want)
		}
	}
	h := dense[T](rand.New(rand.NewPCG(1, 1)), w.Rows, raw.I, 3)
	for i := range h.Data {
		h.Data[i] = T(math.NaN())
	}
	x.Mul(h, w)
	for i := range w.Rows {
		for m := range raw.I {
			sum, abs := 0., 0.
			for k := raw.Indptr[m]; k < raw.Indptr[m+1]; k++ {
				p := float64(T(raw.Data[k]*scale)) * float64(w.Row(i)[raw.Ind[k]])
				sum, abs = sum+p, abs+math.Abs(p)
			}
			near("product", i, m, raw.Indptr[m+1]-raw.Indptr[m], h.Row(i)[m], sum, abs)
		}
		if i+1 < w.Rows {
			for _, v := range h.Data[i*h.Stride+raw.I : (i+1)*h.Stride] {
				if v == v {
					t.Fatalf("product wrote beside row %d", i)
				}
			}
		}
	}
	got := clone(w)
	if beta == 0 { // must not be read
		for i := range got.Rows {
			for j := range got.Row(i) {
				got.Row(i)[j] = T(math.NaN())
			}
		}
	}
	x.AddMul(got, beta, a, e)
	for i := range w.Rows {
		sum, abs, n := make([]float64, raw.J), make([]float64, raw.J), make([]int, raw.J)
		for m, v := range e.Row(i) {
			for k := raw.Indptr[m]; k < raw.Indptr[m+1]; k++ {
				p := float64(a) * float64(v) * float64(T(raw.Data[k]*scale))
				j := raw.Ind[k]
				sum[j], abs[j], n[j] = sum[j]+p, abs[j]+math.Abs(p), n[j]+1
			}
		}
		for j := range raw.J {
			if beta != 0 {
				b := float64(beta) * float64(w.Row(i)[j])
				sum[j], abs[j] = sum[j]+b, abs[j]+math.Abs(b)
			}
			near("update", i, j, n[j], got.Row(i)[j], sum[j], abs[j])
		}
		if i+1 < w.Rows {
			for j := i*w.Stride + w.Cols; j < (i+1)*w.Stride; j++ {
				if math.Float64bits(float64(got.Data[j])) != math.Float64bits(float64(w.Data[j])) {
					t.Fatalf("update wrote beside row %d", i)
				}
			}
		}
	}
}

func TestDefinition(t *testing.T) {
	each(t, func(t *testing.T) {
		t.Run("float64", func(t *testing.T) { definition[float64](t, 0x1p-53) })
		t.Run("float32", func(t *testing.T) { definition[float32](t, 0x1p-24) })
	})
}

func definition[T la.Float](t *testing.T, eps float64) {
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		rows, cols, neurons := rapid.IntRange(0, 150).Draw(rt, "points"), rapid.IntRange(1, 90).Draw(rt, "dimension"),
			rapid.IntRange(0, 140).Draw(rt, "neurons")
		s := points(rng, rows, cols, rapid.SampledFrom([]float64{0, 0.01, 0.1, 0.5, 1}).Draw(rt, "density"),
			rapid.Bool().Draw(rt, "equal"), rapid.Bool().Draw(rt, "repeat"))
		w, e := dense[T](rng, neurons, cols, rng.IntN(4)),
			dense[T](rng, neurons, rapid.IntRange(0, rows).Draw(rt, "train"), rng.IntN(4))
		check(rt, s, rapid.SampledFrom([]float64{1, 0.3, -2}).Draw(rt, "scale"), w, e,
			rapid.SampledFrom([]T{0, 1, 0.9}).Draw(rt, "beta"), rapid.SampledFrom([]T{1, -0.7, 0}).Draw(rt, "a"), eps)
	})
}

// TestModular is the shape of modular addition, many points on several pieces and blocks; wide matrices whose blocks
// have fewer rows, and one with most columns empty.
func TestModular(t *testing.T) {
	each(t, func(t *testing.T) {
		for _, equal := range []bool{true, false} {
			rng := rand.New(rand.NewPCG(2, 1))
			for _, c := range [][3]int{{529, 46, 75}, {700, 194, 33}, {300, 3000, 20}, {20, 3000, 20}} {
				s := points(rng, c[0], c[1], 0, equal, false)
				check(t, s, 0.1, dense[float64](rng, c[2], c[1], 0), dense[float64](rng, c[2], c[0], 0), 0.5, 0.7, 0x1p-53)
				check(t, s, 0.1, dense[float32](rng, c[2], c[1], 0), dense[float32](rng, c[2], c[0], 0), 0.5, 0.7, 0x1p-24)
			}
			check(t, points(rng, 400, 2500, 0.02, equal, false), 0.1, dense[float64](rng, 70, 2500, 0),
				dense[float64](rng, 70, 300, 0), 0.5, 0.7, 0x1p-53)
		}
	})
}

// TestDense compares with the product of dense matrices.
func TestDense(t *testing.T) {
	each(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 1))
		s := points(rng, 210, 77, 0.1, false, false)
		x := mat.DenseCopyOf(s).RawMatrix()
		xd := la.Mat[float64]{Rows: x.Rows, Cols: x.Cols, Stride: x.Stride, Data: x.Data}
		w, e := dense[float64](rng, 65, 77, 0), dense[float64](rng, 65, 200, 0)
		got, want := la.New[float64](65, 210), la.New[float64](65, 210)
		New[float64](s, 1).Mul(got, w)
		la.Gemm(la.N, la.T, 1, w, xd, 0, want)
		near := func(what string, a, b la.Mat[float64]) {
			for i := range a.Data {
				if math.Abs(a.Data[i]-b.Data[i]) > 200*0x1p-52*(1+math.Abs(b.Data[i])) {
					t.Fatalf("%s: element %d = %g, want %g", what, i, a.Data[i], b.Data[i])
				}
			}
		}
		near("product", got, want)
		sum := clone(w)
		New[float64](s, 1).AddMul(w, 0.5, -2, e)
		la.Gemm(la.N, la.N, -2, e, xd.Slice(0, 200, 0, 77), 0.5, sum)
		near("update", w, sum)
	})
}

// TestNotFinite puts NaN and Inf into one operand after another.
func TestNotFinite(t *testing.T) {
	each(t, func(t *testing.T) {
		for i, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			for _, equal := range []bool{true, false} {
				for where := range 3 {
					rng := rand.New(rand.NewPCG(4, uint64(i)))
					s := points(rng, 60, 23, 0.2, equal, false)
					w, e := dense[float64](rng, 41, 23, 0), dense[float64](rng, 41, 50, 0)
					switch where {
					case 0:
						w.Row(7)[3] = bad
					case 1:
						e.Row(7)[3] = bad
					case 2:
						s.RawMatrix().Data[20] = bad
					}
					check(t, s, 1, w, e, 1, 1, 0x1p-53)
				}
			}
		}
	})
}

// results are those of both products on shapes that are divided between goroutines.
func results(rng *rand.Rand, neurons int) []float64 {
	s, u := points(rng, 900, 46, 0, true, false), points(rng, 300, 500, 0.05, false, false)
	var out []float64
	for _, s := range []*sparse.CSR{s, u} {
		n, d := s.Dims()
		x := New[float64](s, 0.3)
		w, e, h := dense[float64](rng, neurons, d, 0), dense[float64](rng, neurons, n, 0), la.New[float64](neurons, n)
		x.Mul(h, w)
		x.AddMul(w, 0.9, 0.1, e)
		out = append(append(out, h.Data...), w.Data...)
	}
	return out
}

// TestSameBits: the number of goroutines changes nothing, nor the width of vectors.
func TestSameBits(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer func(s set) { used = s }(used)
	var want []float64
	for _, s := range sets[1:] {
		used = s
		for _, p := range []int{1, 2, 3, 7} {
			runtime.GOMAXPROCS(p)
			got := results(rand.New(rand.NewPCG(5, 1)), 203)
			if want == nil {
				want = got
			}
			for i := range want {
				if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
					t.Fatalf("%s, GOMAXPROCS %d: result %d is %g, was %g", s.name, p, i, got[i], want[i])
				}
			}
		}
	}
}

// TestRowsAlone: a row does not depend on those beside it.
func TestRowsAlone(t *testing.T) {
	each(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(6, 1))
		for _, s := range []*sparse.CSR{points(rng, 100, 46, 0, true, false), points(rng, 100, 46, 0.1, false, false)} {
			x := New[float64](s, 0.3)
			w, e, h := dense[float64](rng, 71, 46, 0), dense[float64](rng, 71, 100, 0), la.New[float64](71, 100)
			x.Mul(h, w)
			sum := clone(w)
			x.AddMul(sum, 0.9, 0.1, e)
			for i := range 71 {
				one, alone := la.New[float64](1, 100), clone(w.Slice(i, i+1, 0, 46))
				x.Mul(one, alone)
				x.AddMul(alone, 0.9, 0.1, e.Slice(i, i+1, 0, 100))
				for j, v := range append(one.Data, alone.Data...) {
					if want := append(append([]float64(nil), h.Row(i)...),
						sum.Row(i)...)[j]; math.Float64bits(v) != math.Float64bits(want) {
						t.Fatalf("row %d alone: element %d is %g, was %g", i, j, v, want)
					}
				}
			}
		}
	})
}

// racing is set under the race detector, which makes pools forget.
var racing bool

// TestNoAllocation also covers two goroutines. A collection may empty the pools in between; the average hides it.
func TestNoAllocation(t *testing.T) {
	if racing {
		t.Skip("under the race detector")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	rng := rand.New(rand.NewPCG(7, 1))
	x := New[float32](points(rng, 500, 46, 0, true, false), 1)
	w, h := dense[float32](rng, 512, 46, 0), la.New[float32](512, 500)
	if n := testing.AllocsPerRun(50, func() {
		x.Mul(h, w)
		x.AddMul(w, 1, 1e-3, h)
	}); n > 0.5 {
		t.Errorf("%g allocations", n)
	}
}

func TestShapes(t *testing.T) {
	x := New[float64](points(rand.New(rand.NewPCG(8, 1)), 5, 4, 0, true, false), 1)
	for i, f := range []func(){
		func() { x.Mul(la.New[float64](2, 5), la.New[float64](2, 3)) },
		func() { x.Mul(la.New[float64](2, 4), la.New[float64](2, 4)) },
		func() { x.AddMul(la.New[float64](2, 4), 1, 1, la.New[float64](2, 6)) },
		func() { New[float64](sparse.NewCSR(1, 2, []int{0, 1}, []int{2}, []float64{1}), 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("case %d: no panic", i)
				}
			}()
			f()
		}()
	}
}
