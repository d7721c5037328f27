package csr

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	sparseblas "github.com/james-bowman/sparse/blas"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/internal/blas"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// rowwise is the product row after row and point after point.
func rowwise[T la.Float](x *Matrix[T], h, w la.Mat[T]) {
	p := product[T]{x: x, w: w, y: h}
	p.mulPlain(0, w.Rows)
}

func rowwiseAdd[T la.Float](x *Matrix[T], w la.Mat[T], beta, a T, e la.Mat[T]) {
	p := product[T]{x: x, add: true, w: w, y: e, beta: beta, a: a}
	p.addPlain(0, w.Rows)
}

type way struct {
	name string
	run  func()
}

type shape struct {
	neurons, points, dim int
	density              float64 // 0: one-hot codes of two symbols
}

var shapes = []shape{
	{256, 500, 46, 0}, {512, 529, 46, 0}, {4096, 529, 46, 0}, {4096, 2000, 46, 0}, {512, 8000, 194, 0},
	{4096, 8000, 194, 0},
	{512, 2000, 2000, 0.001}, {512, 2000, 2000, 0.01}, {512, 2000, 2000, 0.05}, {512, 2000, 2000, 0.1},
	{512, 500, 10000, 0.001}, {512, 500, 10000, 0.01},
}

// ways are this package, the product row by row, the dense one, and that of the sparse package, to which w and h are
// given transposed.
func ways[T la.Float](s shape) []way {
	rng := rand.New(rand.NewPCG(1, 1))
	sp := points(rng, s.points, s.dim, s.density, s.density == 0, false)
	x := New[T](sp, 0.5)
	xd, xt := la.New[T](s.points, s.dim), la.New[T](s.dim, s.points)
	d := mat.DenseCopyOf(sp)
	for i := range s.points {
		for j := range s.dim {
			xd.Row(i)[j], xt.Row(j)[i] = T(0.5*d.At(i, j)), T(0.5*d.At(i, j))
		}
	}
	w, h := dense[T](rng, s.neurons, s.dim, 0), dense[T](rng, s.neurons, s.points, 0)
	e := h
	out := []way{
		{"mul/csr", func() { x.Mul(h, w) }},
		{"mul/rows", func() { rowwise(x, h, w) }},
		{"mul/dense", func() { la.Gemm(la.N, la.N, 1, w, xt, 0, h) }},
	}
	if _, ok := any(w).(la.Mat[float64]); ok {
		raw := sp.RawMatrix()
		b, c := make([]float64, s.dim*s.neurons), make([]float64, s.points*s.neurons)
		out = append(out, way{"mul/sparse", func() {
			clear(c)
			sparseblas.Dusmm(false, s.neurons, 0.5, raw, b, s.neurons, c, s.neurons)
		}})
	}
	return append(out, way{"add/csr", func() { x.AddMul(w, 1, 1e-9, e) }},
		way{"add/rows", func() { rowwiseAdd(x, w, 1, 1e-9, e) }},
		way{"add/dense", func() { la.Gemm(la.N, la.N, 1e-9, e, xd, 1, w) }})
}

func (s shape) String() string {
	if s.density == 0 {
		return fmt.Sprintf("%dx%d·%dx%d/one-hot", s.neurons, s.dim, s.dim, s.points)
	}
	return fmt.Sprintf("%dx%d·%dx%d/%g%%", s.neurons, s.dim, s.dim, s.points, 100*s.density)
}

func Benchmark(b *testing.B) {
	blas.Use()
	for _, s := range shapes {
		for _, prec := range []struct {
			name string
			ways []way
		}{{"float64", ways[float64](s)}, {"float32", ways[float32](s)}} {
			for _, w := range prec.ways {
				b.Run(fmt.Sprintf("%v/%s/%s", s, prec.name, w.name), func(b *testing.B) {
					for range b.N {
						w.run()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.neurons)/float64(s.points), "ns/element")
				})
			}
		}
	}
}

// TestCompare prints milliseconds when DMFT_CSR_COMPARE is set: of one core, the best of interleaved runs, for a
// machine that is not quiet.
func TestCompare(t *testing.T) {
	if os.Getenv("DMFT_CSR_COMPARE") == "" {
		t.Skip("DMFT_CSR_COMPARE is not set")
	}
	blas.Use()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, s := range shapes {
		for _, prec := range []struct {
			name string
			ways []way
		}{{"float64", ways[float64](s)}, {"float32", ways[float32](s)}} {
			best := make([]time.Duration, len(prec.ways))
			start := time.Now()
			for n := 0; n < 3 || n < 50 && time.Since(start) < 2*time.Second; n++ {
				for i, w := range prec.ways {
					if n > 3 && best[i] > 50*best[0] {
						continue
					}
					from := time.Now()
					w.run()
					if d := time.Since(from); n == 0 || d < best[i] {
						best[i] = d
					}
				}
			}
			fmt.Printf("%-32s %s ", s, prec.name)
			for i, w := range prec.ways {
				fmt.Printf("  %s %.3f", w.name, best[i].Seconds()*1e3)
			}
			fmt.Println()
		}
	}
}
