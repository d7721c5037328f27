package blas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/testblas"
	"pgregory.net/rapid"
)

// sets runs a test on every set of kernels that this processor has, and, in the extended checks, on plain gonum.
func sets(t *testing.T, f func(t *testing.T, b Float)) {
	for _, s := range Available() {
		if isGonum(New(s)) && len(Available()) > 1 && os.Getenv("DMFT_EXTENDED") == "" {
			continue
		}
		t.Run(s.String(), func(t *testing.T) { f(t, New(s)) })
	}
}

// TestGonumSuite runs gonum's own tests of the routines.
func TestGonumSuite(t *testing.T) {
	sets(t, func(t *testing.T, b Float) {
		t.Run("Dgemm", func(t *testing.T) { testblas.TestDgemm(t, b) })
		t.Run("Dgemv", func(t *testing.T) { testblas.DgemvTest(t, b) })
		t.Run("Dsyrk", func(t *testing.T) { testblas.DsyrkTest(t, b) })
		t.Run("Dsymm", func(t *testing.T) { testblas.DsymmTest(t, b) })
		t.Run("Dtrsm", func(t *testing.T) { testblas.DtrsmTest(t, b) })
		t.Run("Dtrmm", func(t *testing.T) { testblas.DtrmmTest(t, b) })
	})
}

// routines are the routines of one precision under one name.
type routines[T real] struct {
	gemm       func(tA, tB blas.Transpose, m, n, k int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int)
	syrk       func(ul blas.Uplo, t blas.Transpose, n, k int, alpha T, a []T, lda int, beta T, c []T, ldc int)
	symm       func(s blas.Side, ul blas.Uplo, m, n int, alpha T, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int)
	trsm, trmm func(s blas.Side, ul blas.Uplo, t blas.Transpose, d blas.Diag, m, n int, alpha T, a []T, lda int, b []T,
		ldb int)
	gemv  func(t blas.Transpose, m, n int, alpha T, a []T, lda int, x []T, incX int, beta T, y []T, incY int)
	eps   float64
	gonum bool // whose Syrk reads C when beta = 0
}

func of64(b Float) routines[float64] {
	return routines[float64]{b.Dgemm, b.Dsyrk, b.Dsymm, b.Dtrsm, b.Dtrmm, b.Dgemv, 0x1p-53, isGonum(b)}
}

func of32(b Float) routines[float32] {
	return routines[float32]{b.Sgemm, b.Ssyrk, b.Ssymm, b.Strsm, b.Strmm, b.Sgemv, 0x1p-24, isGonum(b)}
}

func isGonum(b Float) bool { return b == New(Gonum) }

// matrix is a row-major matrix inside a buffer with a margin that nothing may touch.
type matrix[T real] struct {
	r, c, ld int
	buf, d   []T
}

const margin = 40

func newMatrix[T real](rng *rand.Rand, r, c, pad int) matrix[T] {
	m := matrix[T]{r: r, c: c, ld: max(1, c+pad)}
	n := 0
	if r > 0 {
		n = (r-1)*m.ld + c
	}
	m.buf = make([]T, n+2*margin)
	for i := range m.buf {
		m.buf[i] = T(rng.NormFloat64())
	}
	m.d = m.buf[margin : margin+n : margin+n]
	return m
}

func (m matrix[T]) clone() matrix[T] {
	m.buf = append([]T(nil), m.buf...)
	n := len(m.d)
	m.d = m.buf[margin : margin+n : margin+n]
	return m
}

func (m matrix[T]) at(i, j int) float64 { return float64(m.d[i*m.ld+j]) }

func (m matrix[T]) op(t blas.Transpose, i, j int) float64 {
	if t != blas.NoTrans {
		i, j = j, i
	}
	return m.at(i, j)
}

func (m matrix[T]) fill(v T) {
	for i := range m.r {
		for j := range m.c {
			m.d[i*m.ld+j] = v
		}
	}
}

func bits[T real](v T) uint64 { return math.Float64bits(float64(v)) }

// sameOutside checks that got differs from old only where in says so.
func sameOutside[T real](t fataler, got, old matrix[T], in func(i, j int) bool) {
	t.Helper()
	for x := range got.buf {
		i, j := (x-margin)/got.ld, (x-margin)%got.ld
		inside := x >= margin && i < got.r && j < got.c && (in == nil || in(i, j))
		if !inside && bits(got.buf[x]) != bits(old.buf[x]) {
			t.Fatalf("%d×%d (ld %d): wrote at %d of the buffer, margin %d", got.r, got.c, got.ld, x, margin)
		}
	}
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// sum is a sum of products with a bound of its rounding error.
type sum struct{ v, abs float64 }

func (s *sum) add(x, y float64) {
	s.v += x * y
	s.abs += math.Abs(x * y)
}

// close compares with a sum of k terms, of which the reference itself has error in float64.
func (s sum) close(got float64, k int, eps float64) bool {
	if math.IsNaN(s.v) || math.IsInf(s.v, 0) {
		return math.IsNaN(got) == math.IsNaN(s.v) && (math.IsNaN(got) || got == s.v)
	}
	return math.Abs(got-s.v) <= 2*float64(k+4)*eps*s.abs
}

type gemmCase struct {
	tA, tB           blas.Transpose
	m, n, k          int
	alpha, beta      float64
	padA, padB, padC int
}

func (g gemmCase) String() string { return fmt.Sprintf("%+v", struct{ gemmCase }{g}.gemmCase.plain()) }

func (g gemmCase) plain() any {
	return [...]any{string(g.tA), string(g.tB), g.m, g.n, g.k, g.alpha, g.beta, g.padA, g.padB, g.padC}
}

func operands[T real](rng *rand.Rand, g gemmCase) (a, b, c matrix[T]) {
	ra, ca, rb, cb := g.m, g.k, g.k, g.n
	if g.tA != blas.NoTrans {
		ra, ca = ca, ra
	}
	if g.tB != blas.NoTrans {
		rb, cb = cb, rb
	}
	return newMatrix[T](rng, ra, ca, g.padA), newMatrix[T](rng, rb, cb, g.padB), newMatrix[T](rng, g.m, g.n, g.padC)
}

func checkGemm[T real](t fataler, r routines[T], rng *rand.Rand, g gemmCase) {
	t.Helper()
	a, b, c := operands[T](rng, g)
	alpha, beta := T(g.alpha), T(g.beta)
	if beta == 0 {
		c.fill(T(math.NaN()))
	}
	old := c.clone()
	r.gemm(g.tA, g.tB, g.m, g.n, g.k, alpha, a.d, a.ld, b.d, b.ld, beta, c.d, c.ld)
	sameOutside(t, c, old, nil)
	for i := range g.m {
		for j := range g.n {
			var s sum
			if beta != 0 {
				s.add(float64(beta), old.at(i, j))
			}
			if alpha != 0 {
				var p sum
				for l := range g.k {
					p.add(a.op(g.tA, i, l), b.op(g.tB, l, j))
				}
				s.v += float64(alpha) * p.v
				s.abs += math.Abs(float64(alpha)) * p.abs
			}
			if !s.close(c.at(i, j), g.k, r.eps) {
				t.Fatalf("%v: C(%d,%d) = %g, want %g ± %g", g, i, j, c.at(i, j), s.v, s.abs*r.eps)
			}
		}
	}
}

var (
	transposes = []blas.Transpose{blas.NoTrans, blas.Trans, blas.ConjTrans}
	factors    = []float64{0, 1, -1, 0.7}
)

// TestGemmEdges takes every small shape near the sizes of tiles, panels and vectors.
func TestGemmEdges(t *testing.T) {
	sets(t, func(t *testing.T, b Float) {
		rng := rand.New(rand.NewPCG(1, 1))
		pick := func() float64 { return factors[rng.IntN(len(factors))] }
		for m := 0; m <= 40; m++ {
			for n := 0; n <= 40; n++ {
				g := gemmCase{transposes[rng.IntN(2)], transposes[rng.IntN(2)], m, n, rng.IntN(41), pick(), pick(),
					rng.IntN(4), rng.IntN(4), rng.IntN(4)}
				checkGemm(t, of64(b), rng, g)
				checkGemm(t, of32(b), rng, g)
			}
		}
		for _, m := range []int{1, 7, 8, 9, 23} {
			for _, n := range []int{1, 4, 8, 24, 49} {
				for _, k := range []int{1, 2, 3, 4, 5, 31, reduction, reduction + 1} {
					for _, tA := range transposes[:2] {
						for _, tB := range transposes[:2] {
							g := gemmCase{tA, tB, m, n, k, 0.7, -1, rng.IntN(3), rng.IntN(3), rng.IntN(3)}
							checkGemm(t, of64(b), rng, g)
							checkGemm(t, of32(b), rng, g)
						}
					}
				}
			}
		}
	})
}

// TestGemmBlocks crosses the boundaries of blocks and of the division of work.
func TestGemmBlocks(t *testing.T) {
	sets(t, func(t *testing.T, b Float) {
		rng := rand.New(rand.NewPCG(2, 1))
		for _, g := range []gemmCase{
			{blas.NoTrans, blas.NoTrans, 200, 150, 300, 1, 0, 0, 0, 0},
			{blas.Trans, blas.NoTrans, 205, 150, 300, 1, 1, 1, 2, 3},
			{blas.NoTrans, blas.Trans, 201, 190, 130, 0.7, -1, 0, 0, 0},
			{blas.Trans, blas.Trans, 150, 233, 270, 1, 0.7, 5, 0, 0},
			{blas.NoTrans, blas.NoTrans, 9, blockCols + 30, 40, 1, 0, 0, 0, 0},
			{blas.NoTrans, blas.NoTrans, 60, 130, 64, 1, 0, 0, 128 - 2, 0},
			{blas.Trans, blas.NoTrans, 120, 4, 2000, 1, 0.7, 0, 0, 0},
			{blas.NoTrans, blas.NoTrans, 500, 8, 512, 1, 0, 0, 0, 0},
			{blas.NoTrans, blas.NoTrans, 301, 3, narrow + 333, 1, -1, 0, 0, 0},
			{blas.NoTrans, blas.Trans, 700, 150, 8, 1, 0, 0, 0, 0},
		} {
			checkGemm(t, of64(b), rng, g)
			checkGemm(t, of32(b), rng, g)
		}
	})
}

// TestGemmRandom lets rapid look for a shape that fails.
func TestGemmRandom(t *testing.T) {
	sets(t, func(t *testing.T, b Float) {
		rapid.Check(t, func(rt *rapid.T) {
			g := gemmCase{
				rapid.SampledFrom(transposes).Draw(rt, "tA"), rapid.SampledFrom(transposes).Draw(rt, "tB"),
				rapid.IntRange(0, 90).Draw(rt, "m"), rapid.IntRange(0, 90).Draw(rt, "n"), rapid.IntRange(0, 300).Draw(rt, "k"),
				rapid.SampledFrom(factors).Draw(rt, "alpha"), rapid.SampledFrom(factors).Draw(rt, "beta"),
				rapid.IntRange(0, 9).Draw(rt, "padA"), rapid.IntRange(0, 9).Draw(rt, "padB"), rapid.IntRange(0, 9).Draw(rt, "padC"),
			}
			rng := rand.New(rand.NewPCG(3, 1))
			checkGemm(rt, of64(b), rng, g)
			checkGemm(rt, of32(b), rng, g)
		})
	})
}

// TestGemmNotFinite puts one NaN or Inf into an operand, zeros opposite, and expects the propagation of the definition.
func TestGemmNotFinite(t *testing.T) {
	for _, s := range Available()[1:] { // gonum skips zeros
		t.Run(s.String(), func(t *testing.T) {
			r := of64(New(s))
			rng := rand.New(rand.NewPCG(4, 1))
			for range 300 {
				m, n, k := 1+rng.IntN(30), 1+rng.IntN(30), 1+rng.IntN(30)
				g := gemmCase{transposes[rng.IntN(2)], transposes[rng.IntN(2)], m, n, k, 1, 0, 0, 0, 0}
				a, b, c := operands[float64](rng, g)
				bad := []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[rng.IntN(3)]
				if rng.IntN(2) == 0 {
					a.fill(0)
					b.d[rng.IntN(len(b.d))] = bad
				} else {
					b.fill(0)
					a.d[rng.IntN(len(a.d))] = bad
				}
				r.gemm(g.tA, g.tB, m, n, k, 1, a.d, a.ld, b.d, b.ld, 0, c.d, c.ld)
				for i := range m {
					for j := range n {
						var p sum
						for l := range k {
							p.add(a.op(g.tA, i, l), b.op(g.tB, l, j))
						}
						if !p.close(c.at(i, j), k, r.eps) {
							t.Fatalf("%v: C(%d,%d) = %g, want %g", g, i, j, c.at(i, j), p.v)
						}
					}
				}
			}
		})
	}
}

func checkSyrk[T real](t *testing.T, r routines[T], rng *rand.Rand, ul blas.Uplo, tr blas.Transpose, n, k int, alpha,
	beta T) {
	t.Helper()
	ra, ca := n, k
	if tr != blas.NoTrans {
		ra, ca = k, n
	}
	a, c := newMatrix[T](rng, ra, ca, rng.IntN(4)), newMatrix[T](rng, n, n, rng.IntN(4))
	in := func(i, j int) bool { return (ul == blas.Upper) == (j >= i) || i == j }
	if beta == 0 && !r.gonum {
		c.fill(T(math.NaN()))
	}
	old := c.clone()
	r.syrk(ul, tr, n, k, alpha, a.d, a.ld, beta, c.d, c.ld)
	sameOutside(t, c, old, in)
	for i := range n {
		for j := range n {
			if !in(i, j) {
				continue
			}
			var s sum
			if beta != 0 {
				s.add(float64(beta), old.at(i, j))
			}
			for l := range k {
				s.add(float64(alpha)*a.op(tr, i, l), a.op(tr, j, l))
			}
			if !s.close(c.at(i, j), k, r.eps) {
				t.Fatalf("syrk %c%c n=%d k=%d alpha=%g beta=%g: C(%d,%d) = %g, want %g", ul, tr, n, k, alpha, beta, i,
					j, c.at(i, j), s.v)
			}
		}
	}
}

func TestSyrk(t *testing.T) {
	sets(t, func(t *testing.T, b Float) {
		rng := rand.New(rand.NewPCG(5, 1))
		for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
			for _, tr := range transposes {
				for n := 0; n <= 60; n++ {
					alpha, beta := factors[rng.IntN(4)], factors[rng.IntN(4)]
					checkSyrk(t, of64(b), rng, ul, tr, n, rng.IntN(30), alpha, beta)
					checkSyrk(t, of32(b), rng, ul, tr, n, rng.IntN(30), float32(alpha), float32(beta))
				}
				for _, n := range []int{97, 205} {
					checkSyrk(t, of64(b), rng, ul, tr, n, 400, 0.7, -1)
					checkSyrk(t, of32(b), rng, ul, tr, n, 100, 0.7, 0)
				}
			}
		}
	})
}

func checkSymm[T real](t *testing.T, r routines[T], rng *rand.Rand, side blas.Side, ul blas.Uplo, m, n int, alpha,
	beta T) {
	t.Helper()
	na := m
	if side == blas.Right {
		na = n
	}
	a, b, c := newMatrix[T](rng, na, na, rng.IntN(4)), newMatrix[T](rng, m, n, rng.IntN(4)),
		newMatrix[T](rng, m, n, rng.IntN(4))
	sym := func(i, j int) float64 {
		if (ul == blas.Upper) != (j >= i) {
			i, j = j, i
		}
		return a.at(i, j)
	}
	for i := range na { // the other triangle must not be read
		for j := range na {
			if (ul == blas.Upper) != (j >= i) && i != j {
				a.d[i*a.ld+j] = T(math.NaN())
			}
		}
	}
	old := c.clone()
	r.symm(side, ul, m, n, alpha, a.d, a.ld, b.d, b.ld, beta, c.d, c.ld)
	sameOutside(t, c, old, nil)
	for i := range m {
		for j := range n {
			var s sum
			if beta != 0 {
				s.add(float64(beta), old.at(i, j))
			}
			for l := range na {
				if side == blas.Left {
					s.add(float64(alpha)*sym(i, l), b.at(l, j))
				} else {
					s.add(float64(alpha)*b.at(i, l), sym(l, j))
				}
			}
			if !s.close(c.at(i, j), na, r.eps) {
				t.Fatalf("symm %c%c m=%d n=%d alpha=%g beta=%g: C(%d,%d) = %g, want %g", side, ul, m, n, alpha, beta, i,
					j, c.at(i, j), s.v)
			}
		}
	}
}

func TestSymm(t *testing.T) {
	sets(t, func(t *testing.T, b Float) {
		rng := rand.New(rand.NewPCG(6, 1))
		for _, side := range []blas.Side{blas.Left, blas.Right} {
			for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
				for range 40 {
					m, n := rng.IntN(50), rng.IntN(50)
					alpha, beta := factors[rng.IntN(4)], factors[rng.IntN(4)]
					checkSymm(t, of64(b), rng, side, ul, m, n, alpha, beta)
					checkSymm(t, of32(b), rng, side, ul, m, n, float32(alpha), float32(beta))
				}
				checkSymm(t, of64(b), rng, side, ul, 310, 45, 1, 0)
				checkSymm(t, of64(b), rng, side, ul, 45, 310, 1, 0.7)
			}
		}
	})
}

// checkTriangular compares with op(A)·X in float64, X the result of a solution or the operand of a product.
func checkTriangular[T real](t *testing.T, r routines[T], rng *rand.Rand, solve bool, side blas.Side, ul blas.Uplo,
	tr blas.Transpose, d blas.Diag, m, n int, alpha T) {
	t.Helper()
	na := m
	if side == blas.Right {
		na = n
	}
	a, b := newMatrix[T](rng, na, na, rng.IntN(4)), newMatrix[T](rng, m, n, rng.IntN(4))
	for i := range na {
		for j := range na {
			switch v := &a.d[i*a.ld+j]; {
			case i == j && d == blas.Unit, i != j && (ul == blas.Upper) != (j > i):
				*v = T(math.NaN()) // must not be read
			case i == j:
				*v = T(1 + rng.Float64())
			default:
				*v = T(rng.NormFloat64() / float64(na))
			}
		}
	}
	el := func(i, j int) float64 {
		if tr != blas.NoTrans {
			i, j = j, i
		}
		switch {
		case i == j && d == blas.Unit:
			return 1
		case i != j && (ul == blas.Upper) != (j > i):
			return 0
		}
		return a.at(i, j)
	}
	old := b.clone()
	x, y := old, b
	scale := float64(alpha)
	if solve {
		r.trsm(side, ul, tr, d, m, n, alpha, a.d, a.ld, b.d, b.ld)
		x, y = b, old
	} else {
		r.trmm(side, ul, tr, d, m, n, alpha, a.d, a.ld, b.d, b.ld)
	}
	sameOutside(t, b, old, nil)
	for i := range m {
		for j := range n {
			var s sum
			for l := range na {
				if side == blas.Left {
					if el(i, l) != 0 {
						s.add(el(i, l), x.at(l, j))
					}
				} else if el(l, j) != 0 {
					s.add(x.at(i, l), el(l, j))
				}
			}
			got := y.at(i, j)
			if solve {
				got *= scale
			} else {
				s.v *= scale
				s.abs *= math.Abs(scale)
			}
			s.abs += math.Abs(got)
			if !s.close(got, 4*na, r.eps) {
				t.Fatalf("solve=%v %c%c%c%c m=%d n=%d alpha=%g: (%d,%d) %g, want %g", solve, side, ul, tr, d, m, n,
					alpha, i, j, got, s.v)
			}
		}
	}
}

func TestTriangular(t *testing.T) {
	rounds := 2 // of each of 48 kinds and every instruction set; 30 in the extended checks
	if os.Getenv("DMFT_EXTENDED") != "" {
		rounds = 30
	}
	sets(t, func(t *testing.T, b Float) {
		rng := rand.New(rand.NewPCG(7, 1))
		for _, solve := range []bool{true, false} {
			for _, side := range []blas.Side{blas.Left, blas.Right} {
				for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
					for _, tr := range transposes {
						for _, d := range []blas.Diag{blas.Unit, blas.NonUnit} {
							for range rounds {
								m, n, alpha := rng.IntN(45), rng.IntN(60), factors[rng.IntN(4)]
								checkTriangular(t, of64(b), rng, solve, side, ul, tr, d, m, n, alpha)
								checkTriangular(t, of32(b), rng, solve, side, ul, tr, d, m, n, float32(alpha))
							}
							switch { // sizes of several blocks, in both precisions
							case tr == blas.ConjTrans:
							case d == blas.Unit:
								checkTriangular(t, of64(b), rng, solve, side, ul, tr, d, 137, 201, 0.7)
							default:
								checkTriangular(t, of32(b), rng, solve, side, ul, tr, d, 201, 137, 1)
							}
						}
					}
				}
			}
		}
	})
}

func checkGemv[T real](t *testing.T, r routines[T], rng *rand.Rand, tr blas.Transpose, m, n, incX, incY int, alpha,
	beta T) {
	t.Helper()
	nx, ny := n, m
	if tr != blas.NoTrans {
		nx, ny = m, n
	}
	a := newMatrix[T](rng, m, n, rng.IntN(4))
	x, y := newMatrix[T](rng, nx, 1, max(incX, -incX)-1), newMatrix[T](rng, ny, 1, max(incY, -incY)-1)
	if beta == 0 {
		y.fill(T(math.NaN()))
	}
	old := y.clone()
	r.gemv(tr, m, n, alpha, a.d, a.ld, x.d, incX, beta, y.d, incY)
	at := func(v matrix[T], i, inc int) float64 {
		if inc < 0 {
			i = v.r - 1 - i
		}
		return v.at(i, 0)
	}
	sameOutside(t, y, old, nil)
	for i := range ny {
		var s sum
		if beta != 0 {
			s.add(float64(beta), at(old, i, incY))
		}
		if alpha != 0 {
			for l := range nx {
				s.add(float64(alpha)*a.op(tr, i, l), at(x, l, incX))
			}
		}
		if !s.close(at(y, i, incY), nx, r.eps) {
			t.Fatalf("gemv %c m=%d n=%d inc %d %d alpha=%g beta=%g: y(%d) = %g, want %g", tr, m, n, incX, incY, alpha,
				beta, i, at(y, i, incY), s.v)
		}
	}
}

func TestGemv(t *testing.T) {
	sets(t, func(t *testing.T, b Float) {
		rng := rand.New(rand.NewPCG(8, 1))
		incs := []int{1, 1, 1, 2, -1, -3}
		for m := 1; m <= 40; m++ {
			for n := 1; n <= 70; n++ {
				tr, alpha, beta := transposes[rng.IntN(3)], factors[rng.IntN(4)], factors[rng.IntN(4)]
				ix, iy := incs[rng.IntN(6)], incs[rng.IntN(6)]
				checkGemv(t, of64(b), rng, tr, m, n, ix, iy, alpha, beta)
				checkGemv(t, of32(b), rng, tr, m, n, ix, iy, float32(alpha), float32(beta))
			}
		}
		for _, tr := range transposes {
			checkGemv(t, of64(b), rng, tr, 700, 411, 1, 1, 1, 0)
			checkGemv(t, of64(b), rng, tr, 411, 700, 1, -2, 0.7, 1)
			checkGemv(t, of32(b), rng, tr, 411, 700, 1, 1, 0.7, 1)
		}
	})
}

// workload calls every routine on shapes large enough to be divided and returns all results: of the products, and of
// the solutions of triangular systems.
func workload(b Float) (products, solutions []float64) {
	rng := rand.New(rand.NewPCG(9, 1))
	keep := func(to *[]float64, m matrix[float64]) { *to = append(*to, m.d...) }
	r := of64(b)
	for _, g := range []gemmCase{
		{blas.NoTrans, blas.NoTrans, 300, 200, 600, 1, 0.7, 0, 0, 0},
		{blas.Trans, blas.NoTrans, 300, 7, 3001, 1, 0, 0, 0, 0},
		{blas.Trans, blas.NoTrans, 101, 61, 4000, 1, 0, 0, 0, 0},
		{blas.NoTrans, blas.Trans, 1001, 333, 31, 1, 1, 0, 0, 0},
		{blas.NoTrans, blas.NoTrans, 1024, 8, 1024, 1, 0, 0, 0, 0},
		{blas.NoTrans, blas.NoTrans, 300, 1, 1000, 1, 0, 0, 0, 0},
		{blas.NoTrans, blas.NoTrans, 30, 1700, 140, 1, 0, 0, 0, 0},
		{blas.NoTrans, blas.Trans, 700, 3, 4101, 1, 0.7, 0, 0, 0},
		{blas.NoTrans, blas.NoTrans, 700, 7, 2101, 1, 0.7, 0, 0, 0},
	} {
		x, y, c := operands[float64](rng, g)
		r.gemm(g.tA, g.tB, g.m, g.n, g.k, g.alpha, x.d, x.ld, y.d, y.ld, g.beta, c.d, c.ld)
		keep(&products, c)
	}
	a, x := newMatrix[float64](rng, 400, 400, 0), newMatrix[float64](rng, 400, 500, 0)
	for i := range a.r {
		a.d[i*a.ld+i] = 100
	}
	for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
		c := newMatrix[float64](rng, 400, 400, 0)
		r.syrk(ul, blas.NoTrans, 400, 500, 1, x.d, x.ld, 0.7, c.d, c.ld)
		keep(&products, c)
		c = newMatrix[float64](rng, 400, 500, 0)
		r.symm(blas.Left, ul, 400, 500, 1, a.d, a.ld, x.d, x.ld, 0, c.d, c.ld)
		keep(&products, c)
		for _, side := range []blas.Side{blas.Left, blas.Right} {
			m, n := 400, 500
			if side == blas.Right {
				m, n = n, m
			}
			y := newMatrix[float64](rng, m, n, 0)
			r.trmm(side, ul, blas.Trans, blas.NonUnit, m, n, 1, a.d, a.ld, y.d, y.ld)
			keep(&products, y)
			y = newMatrix[float64](rng, m, n, 0)
			r.trsm(side, ul, blas.NoTrans, blas.NonUnit, m, n, 1, a.d, a.ld, y.d, y.ld)
			keep(&solutions, y)
		}
	}
	big := newMatrix[float64](rng, 900, 700, 0)
	for _, tr := range transposes[:2] {
		y := newMatrix[float64](rng, 1, 900, 0)
		r.gemv(tr, 900, 700, 0.7, big.d, big.ld, x.d, 1, 0.5, y.d, 1)
		keep(&products, y)
	}
	return products, solutions
}

func difference(a, b []float64) int {
	for i := range a {
		if bits(a[i]) != bits(b[i]) {
			return i
		}
	}
	return -1
}

// TestSameBits checks that the number of goroutines changes nothing, nor, for products, the width of the vectors.
func TestSameBits(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	var products []float64
	for _, s := range Available() {
		if s != AVX2 && s != AVX512 {
			continue
		}
		var solutions []float64
		for _, p := range []int{1, 2, 3, 7} {
			runtime.GOMAXPROCS(p)
			x, y := workload(New(s))
			if products == nil {
				products = x
			}
			if solutions == nil {
				solutions = y
			}
			if i := difference(products, x); i >= 0 {
				t.Errorf("%v, GOMAXPROCS %d: product %d differs: %g and %g", s, p, i, products[i], x[i])
			}
			if i := difference(solutions, y); i >= 0 {
				t.Errorf("%v, GOMAXPROCS %d: solution %d differs: %g and %g", s, p, i, solutions[i], y[i])
			}
		}
	}
}

// TestRowsAlone checks that a row of a product does not depend on the rows beside it.
func TestRowsAlone(t *testing.T) {
	for _, s := range Available() {
		if s != AVX2 && s != AVX512 {
			continue
		}
		b := New(s)
		rng := rand.New(rand.NewPCG(10, 1))
		for _, n := range []int{1, 3, 5, 33, 100} {
			for _, tB := range transposes[:2] {
				g := gemmCase{blas.NoTrans, tB, 150, n, 3000, 0.7, 0, 0, 0, 0}
				x, y, c := operands[float64](rng, g)
				b.Dgemm(g.tA, g.tB, g.m, n, g.k, g.alpha, x.d, x.ld, y.d, y.ld, 0, c.d, c.ld)
				few := 1
				if tB != blas.NoTrans {
					few = 2 // one alone is the product of a matrix and a vector
				}
				for i := 0; i < g.m; i += few {
					row := make([]float64, few*n)
					b.Dgemm(g.tA, g.tB, few, n, g.k, g.alpha, x.d[i*x.ld:], x.ld, y.d, y.ld, 0, row, n)
					if j := difference(row, c.d[i*c.ld:]); j >= 0 {
						t.Fatalf("%v n=%d %c: row %d alone differs at %d", s, n, tB, i, j)
					}
				}
			}
		}
	}
}

// racing is set under the race detector, which makes pools forget.
var racing bool

// TestNoAllocation checks that calls in steady state allocate nothing, on one goroutine and on two.
func TestNoAllocation(t *testing.T) {
	if racing {
		t.Skip("under the race detector")
	}
	old := runtime.GOMAXPROCS(2)
	defer runtime.GOMAXPROCS(old)
	rng := rand.New(rand.NewPCG(11, 1))
	a, x, c := newMatrix[float64](rng, 300, 300, 0), newMatrix[float64](rng, 300, 300, 0),
		newMatrix[float64](rng, 300, 300, 0)
	sets(t, func(t *testing.T, b Float) {
		if _, ok := b.(Implementation); !ok {
			t.Skip("not ours")
		}
		for _, n := range []int{3, 40, 300} {
			calls := func() {
				b.Dgemm(blas.NoTrans, blas.Trans, n, n, n, 1, a.d, a.ld, x.d, x.ld, 0, c.d, c.ld)
				b.Dgemm(blas.Trans, blas.NoTrans, n, 3, n, 1, a.d, a.ld, x.d, x.ld, 0, c.d, c.ld)
				b.Dsyrk(blas.Upper, blas.Trans, n, n, 1, a.d, a.ld, 0, c.d, c.ld)
				b.Dtrsm(blas.Left, blas.Upper, blas.Trans, blas.Unit, n, n, 1e-9, a.d, a.ld, c.d, c.ld)
				b.Dgemv(blas.Trans, n, n, 2, a.d, a.ld, x.d, 2, 0, c.d, 1)
			}
			calls()
			// A collection in between empties the pools; the average hides it.
			if got := testing.AllocsPerRun(50, calls); got > 0.5 {
				t.Errorf("n=%d: %g allocations", n, got)
			}
		}
	})
}

func TestSets(t *testing.T) {
	s := Available()
	if s[0] != Gonum {
		t.Errorf("first set %v", s[0])
	}
	for x := Gonum; x <= OpenBLAS+1; x++ {
		if x.String() == "" {
			t.Error("unnamed set")
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for an unknown set")
		}
	}()
	New(OpenBLAS + 1)
}
