package la

import (
	"math"
	"math/rand/v2"
	"testing"
)

func random[F Float](rng *rand.Rand, r, c, stride int) Mat[F] {
	m := Mat[F]{Rows: r, Cols: c, Stride: stride, Data: make([]F, (r-1)*stride+c)}
	for i := range m.Data {
		m.Data[i] = F(rng.NormFloat64())
	}
	return m
}

// TestProducts checks Gemm and Gemv of both precisions, transposes and strides against the definition.
func TestProducts(t *testing.T) {
	t.Run("float64", func(t *testing.T) { products[float64](t, 1e-13) })
	t.Run("float32", func(t *testing.T) { products[float32](t, 1e-5) })
}

func products[F Float](t *testing.T, tol float64) {
	rng := rand.New(rand.NewPCG(1, 2))
	at := func(m Mat[F], tr Transpose, i, j int) float64 {
		if tr == T {
			i, j = j, i
		}
		return float64(m.Data[i*m.Stride+j])
	}
	for _, ta := range []Transpose{N, T} {
		for _, tb := range []Transpose{N, T} {
			m, n, k := 7, 5, 9
			ar, ac, br, bc := m, k, k, n
			if ta == T {
				ar, ac = ac, ar
			}
			if tb == T {
				br, bc = bc, br
			}
			a, b, c := random[F](rng, ar, ac, ac+2), random[F](rng, br, bc, bc+1), random[F](rng, m, n, n+3)
			old := append([]F(nil), c.Data...)
			Gemm(ta, tb, 1.5, a, b, 0.5, c)
			for i := range m {
				for j := range n {
					want := 0.5 * float64(old[i*c.Stride+j])
					for l := range k {
						want += 1.5 * at(a, ta, i, l) * at(b, tb, l, j)
					}
					if got := float64(c.Row(i)[j]); math.Abs(got-want) > tol*10 {
						t.Fatalf("gemm %c%c (%d,%d) = %g, want %g", ta, tb, i, j, got, want)
					}
				}
			}
		}
		a := random[F](rng, 6, 4, 5)
		nx, ny := 4, 6
		if ta == T {
			nx, ny = ny, nx
		}
		x, y := random[F](rng, 1, nx, nx).Data, make([]F, ny)
		Gemv(ta, 2, a, x, 0, y)
		for i := range ny {
			want := 0.
			for j := range nx {
				want += 2 * at(a, ta, i, j) * float64(x[j])
			}
			if math.Abs(float64(y[i])-want) > tol*10 {
				t.Fatalf("gemv %c: %g, want %g", ta, y[i], want)
			}
		}
	}
	regs := []Mat[F]{random[F](rng, 1, 3, 3), random[F](rng, 1, 3, 3)}
	want := 2*regs[0].Data[1] - regs[1].Data[1]
	Combine(0, []float64{2, -1}, [][]F{regs[0].Data, regs[1].Data})
	if math.Abs(float64(regs[0].Data[1]-want)) > tol {
		t.Errorf("combine: %g, want %g", regs[0].Data[1], want)
	}
}

// TestNoAllocation guards the hot loop: the dispatch on the float type must not allocate.
func TestNoAllocation(t *testing.T) {
	a, b, c := New[float32](8, 8), New[float32](8, 8), New[float32](8, 8)
	if n := testing.AllocsPerRun(100, func() {
		Gemm(N, N, 1, a, b, 0, c)
		Gemv(N, 1, a, b.Row(0), 0, c.Row(0))
		Axpy(1, a.Data, c.Data)
	}); n != 0 {
		t.Errorf("%g allocations per product", n)
	}
}
