package la_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/internal/blas"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// libraries runs a test on gonum's routines and on this module's.
func libraries(t *testing.T, f func(t *testing.T)) {
	sets := blas.Available()
	defer blas.Register(blas.Gonum)
	for _, s := range sets {
		blas.Register(s)
		t.Run(s.String(), f)
	}
}

func normal(rng *rand.Rand, r, c, stride int) la.Mat[float64] {
	m := la.Mat[float64]{Rows: r, Cols: c, Stride: stride, Data: make([]float64, r*stride)}
	for i := range m.Data {
		m.Data[i] = rng.NormFloat64()
	}
	return m
}

func clone(m la.Mat[float64]) la.Mat[float64] {
	m.Data = append([]float64(nil), m.Data...)
	return m
}

// wishart is gᵀg/n + 0.01, positive definite, in both triangles.
func wishart(rng *rand.Rand, n int) la.Mat[float64] {
	g, a := normal(rng, n+2, n, n), la.New[float64](n, n)
	la.Gemm(la.T, la.N, 1/float64(n), g, g, 0, a)
	for i := range n {
		a.Row(i)[i] += 0.01
	}
	return a
}

// TestCholeskyExtend: a factor built in blocks reproduces the matrix within the backward error of a factorisation at
// once, Higham's (n+1)·eps·|U|ᵀ|U|; the lower triangle is neither read nor written.
func TestCholeskyExtend(t *testing.T) {
	libraries(t, func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			n := rapid.IntRange(1, 150).Draw(rt, "n")
			a := wishart(rand.New(rand.NewPCG(1, uint64(n))), n)
			u := clone(a)
			for i := range n {
				for j := range i {
					u.Row(i)[j] = math.NaN()
				}
			}
			for at := 0; at < n; {
				k := rapid.IntRange(1, n-at).Draw(rt, "k")
				if !la.CholeskyExtend(u.Slice(0, at+k, 0, at+k), at) {
					rt.Fatalf("n=%d: block of %d at %d not positive definite", n, k, at)
				}
				at += k
			}
			for i := range n {
				for j := range n {
					if j < i {
						if v := u.Row(i)[j]; v == v {
							rt.Fatalf("wrote below the diagonal")
						}
						continue
					}
					sum, abs := 0., 0.
					for l := 0; l <= i; l++ {
						p := u.Row(l)[i] * u.Row(l)[j]
						sum, abs = sum+p, abs+math.Abs(p)
					}
					if math.Abs(sum-a.Row(i)[j]) > float64(2*n+8)*0x1p-53*abs {
						rt.Fatalf("n=%d: element (%d, %d) = %g, want %g", n, i, j, sum, a.Row(i)[j])
					}
				}
			}
		})
		a := wishart(rand.New(rand.NewPCG(2, 1)), 30)
		if !la.Cholesky(a.Slice(0, 20, 0, 20)) {
			t.Fatal("not positive definite")
		}
		if b := clone(a); !la.CholeskyExtend(b, 20) || !la.CholeskyExtend(b, 30) {
			t.Error("not positive definite when extended")
		}
		for _, bad := range []float64{-1, math.NaN()} {
			b := clone(a)
			b.Row(25)[25] = bad
			if la.CholeskyExtend(b, 20) {
				t.Errorf("a diagonal element %g was accepted", bad)
			}
		}
		b := clone(a)
		b.Row(3)[25] = math.NaN()
		if la.CholeskyExtend(b, 20) {
			t.Error("a NaN beside the factor was accepted")
		}
	})
}

// departure is the largest element of |zᵀz/S − 1| and of |qᵀz/S|.
func departure(z, q la.Mat[float64]) float64 {
	worst := 0.
	g := la.New[float64](z.Cols, z.Cols)
	la.Gemm(la.T, la.N, 1/float64(z.Rows), z, z, 0, g)
	for i := range z.Cols {
		for j, v := range g.Row(i) {
			if i == j {
				v--
			}
			worst = math.Max(worst, math.Abs(v))
		}
	}
	if q.Cols > 0 {
		c := la.New[float64](q.Cols, z.Cols)
		la.Gemm(la.T, la.N, 1/float64(z.Rows), q, z, 0, c)
		for _, v := range c.Data {
			worst = math.Max(worst, math.Abs(v))
		}
	}
	return worst
}

// ill is a matrix of condition number cond: orthonormal columns scaled geometrically and mixed.
func ill(t *testing.T, rng *rand.Rand, r, c int, cond float64) la.Mat[float64] {
	z, mix := normal(rng, r, c, c), normal(rng, c, c, c)
	if !la.Orthonormalise(z, la.Mat[float64]{}, false) || !la.Orthonormalise(mix, la.Mat[float64]{}, false) {
		t.Fatal("normal columns are dependent")
	}
	for i := range c {
		for j := range mix.Row(i) {
			mix.Row(i)[j] *= math.Pow(cond, -float64(i)/float64(max(c-1, 1)))
		}
	}
	out := la.New[float64](r, c)
	la.Gemm(la.N, la.N, 1, z, mix, 0, out)
	return out
}

// TestQR: orthogonal to 10·S·eps at most (a sum of S rounded products) and an accurate product up to condition numbers
// of 1e7; dependent columns are reported.
func TestQR(t *testing.T) {
	libraries(t, func(t *testing.T) {
		for _, c := range []struct {
			rows, cols int
			cond       float64
		}{{5, 1, 1}, {40, 7, 1e3}, {300, 64, 1e7}, {1000, 150, 1e5}} {
			z := ill(t, rand.New(rand.NewPCG(3, uint64(c.cols))), c.rows, c.cols, c.cond)
			old, r := clone(z), normal(rand.New(rand.NewPCG(4, 1)), c.cols, c.cols, c.cols)
			if !la.QR(z, r) {
				t.Fatalf("%v: dependent", c)
			}
			if d := departure(z, la.Mat[float64]{}); d > 10*float64(c.rows)*0x1p-53 {
				t.Errorf("%v: columns depart from orthonormal by %g", c, d)
			}
			most := 0.
			for _, v := range old.Data {
				most = math.Max(most, math.Abs(v))
			}
			la.Gemm(la.N, la.N, -1, z, r, 1, old)
			for i, v := range old.Data {
				if math.Abs(v) > 100*float64(c.cols)*0x1p-53*most {
					t.Fatalf("%v: QR differs from the matrix by %g at %d, elements up to %g", c, v, i, most)
				}
			}
			for i := range c.cols {
				for j := range i {
					if r.Row(i)[j] != 0 {
						t.Fatalf("%v: R(%d, %d) = %g", c, i, j, r.Row(i)[j])
					}
				}
				if !(r.Row(i)[i] > 0) {
					t.Fatalf("%v: R(%d, %[2]d) = %g", c, i, r.Row(i)[i])
				}
			}
		}
		z := normal(rand.New(rand.NewPCG(5, 1)), 30, 4, 4)
		for i := range z.Rows {
			z.Row(i)[2] = 0
		}
		if la.QR(z, la.New[float64](4, 4)) {
			t.Error("a column of zeros was accepted")
		}
	})
}

// TestOrthonormalise: to each other, to the columns before and to the constant, with strides.
func TestOrthonormalise(t *testing.T) {
	libraries(t, func(t *testing.T) {
		all := normal(rand.New(rand.NewPCG(6, 1)), 500, 132, 140)
		for _, step := range [][2]int{{0, 1}, {1, 4}, {4, 36}, {36, 68}, {68, 132}} {
			q, z := all.Slice(0, 500, 0, step[0]), all.Slice(0, 500, step[0], step[1])
			if !la.Orthonormalise(z, q, true) {
				t.Fatalf("columns %v are dependent", step)
			}
			if d := departure(z, q); d > 5000*0x1p-53 {
				t.Errorf("columns %v depart from orthonormal by %g", step, d)
			}
			for j := range z.Cols {
				sum := 0.
				for i := range z.Rows {
					sum += z.Row(i)[j]
				}
				if math.Abs(sum/500) > 500*0x1p-53 {
					t.Errorf("column %d of %v has mean %g", j, step, sum/500)
				}
			}
		}
		for seed := range uint64(50) { // a pivot that should be zero is rounding of either sign
			rng := rand.New(rand.NewPCG(7, seed))
			if la.Orthonormalise(normal(rng, 5, 6, 6), la.Mat[float64]{}, false) ||
				la.Orthonormalise(normal(rng, 5, 5, 5), la.Mat[float64]{}, true) {
				t.Fatal("more orthonormal columns than fit")
			}
			z := normal(rng, 40, 5, 5)
			for i := range z.Rows {
				z.Row(i)[4] = z.Row(i)[0] - 3*z.Row(i)[2]
			}
			if la.QR(clone(z), la.New[float64](5, 5)) || la.Orthonormalise(z, la.Mat[float64]{}, true) {
				t.Fatal("dependent columns were accepted")
			}
		}
	})
}

func BenchmarkFactor(b *testing.B) {
	blas.Use()
	rng := rand.New(rand.NewPCG(8, 1))
	run := func(name string, flops float64, f func() bool) {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				if !f() {
					b.Fatal("not positive definite")
				}
			}
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
	for _, n := range []int{200, 500, 1000} {
		a := wishart(rng, n)
		u := clone(a)
		run(fmt.Sprintf("Cholesky/%d", n), math.Pow(float64(n), 3)/3,
			func() bool { copy(u.Data, a.Data); return la.Cholesky(u) })
		copy(u.Data, a.Data)
		la.Cholesky(u)
		for _, k := range []int{1, 32} {
			m := n - k
			x := clone(u)
			run(fmt.Sprintf("CholeskyExtend/%d+%d", m, k), float64(k)*float64(m)*float64(n), func() bool {
				for i := range n {
					copy(x.Row(i)[max(m, i):], a.Row(i)[max(m, i):])
				}
				return la.CholeskyExtend(x, m)
			})
		}
	}
	for _, s := range [][2]int{{500, 32}, {2000, 32}, {2000, 150}, {4096, 300}} {
		z, q := normal(rng, s[0], s[1], s[1]), la.New[float64](s[0], s[1])
		r := la.New[float64](s[1], s[1])
		flops := 2 * float64(s[0]) * float64(s[1]) * float64(s[1])
		run(fmt.Sprintf("Whiten/%dx%d", s[0], s[1]), flops, func() bool { copy(q.Data, z.Data); return la.Whiten(q, r) })
		run(fmt.Sprintf("QR/%dx%d", s[0], s[1]), 2*flops, func() bool { copy(q.Data, z.Data); return la.QR(q, r) })
	}
}
