package blas

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/lapack"
)

// bench is one operation at one shape.
type bench struct {
	name  string
	flops float64
	f32   bool
	run   func(b Float)
}

func random(n int) []float64 {
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float64, n)
	for i := range x {
		x[i] = rng.Float64() - 0.5
	}
	return x
}

func benchGemm(tA, tB blas.Transpose, m, n, k int) bench {
	var a, b, c []float64
	lda, ldb := k, n
	if tA != blas.NoTrans {
		lda = m
	}
	if tB != blas.NoTrans {
		ldb = k
	}
	return bench{name: fmt.Sprintf("Dgemm%c%c/%dx%dx%d", tA, tB, m, n, k),
		flops: 2 * float64(m) * float64(n) * float64(k), run: func(f Float) {
			if a == nil {
				a, b, c = random(m*k), random(k*n), make([]float64, m*n)
			}
			f.Dgemm(tA, tB, m, n, k, 1, a, lda, b, ldb, 0, c, n)
		}}
}

func benchSgemm(tA, tB blas.Transpose, m, n, k int) bench {
	var a, b, c []float32
	lda, ldb := k, n
	if tA != blas.NoTrans {
		lda = m
	}
	if tB != blas.NoTrans {
		ldb = k
	}
	narrow := func(x []float64) []float32 {
		y := make([]float32, len(x))
		for i, v := range x {
			y[i] = float32(v)
		}
		return y
	}
	return bench{name: fmt.Sprintf("Sgemm%c%c/%dx%dx%d", tA, tB, m, n, k),
		flops: 2 * float64(m) * float64(n) * float64(k), f32: true, run: func(f Float) {
			if a == nil {
				a, b, c = narrow(random(m*k)), narrow(random(k*n)), make([]float32, m*n)
			}
			f.Sgemm(tA, tB, m, n, k, 1, a, lda, b, ldb, 0, c, n)
		}}
}

func benchSyrk(t blas.Transpose, n, k int) bench {
	var a, c []float64
	lda := k
	if t != blas.NoTrans {
		lda = n
	}
	return bench{name: fmt.Sprintf("DsyrkU%c/%dx%d", t, n, k), flops: float64(n) * float64(n+1) * float64(k),
		run: func(f Float) {
			if a == nil {
				a, c = random(n*k), make([]float64, n*n)
			}
			f.Dsyrk(blas.Upper, t, n, k, 1, a, lda, 0, c, n)
		}}
}

func positive(n int) []float64 {
	a := random(n * n)
	for i := range n {
		a[i*n+i] += float64(n)
	}
	return a
}

func benchTrsm(s blas.Side, ul blas.Uplo, t blas.Transpose, m, n int) bench {
	na := order(s, m, n)
	var a, b []float64
	return bench{name: fmt.Sprintf("Dtrsm%c%c%c/%dx%d", s, ul, t, m, n), flops: float64(na) * float64(m) * float64(n),
		run: func(f Float) {
			if a == nil {
				a, b = positive(na), random(m*n)
				for i := range na {
					a[i*na+i] = 1
					for j := range na {
						if i != j {
							a[i*na+j] /= float64(na)
						}
					}
				}
			}
			f.Dtrsm(s, ul, t, blas.NonUnit, m, n, 1, a, na, b, n)
		}}
}

func benchTrmm(s blas.Side, ul blas.Uplo, t blas.Transpose, m, n int) bench {
	na := order(s, m, n)
	var a, b []float64
	return bench{name: fmt.Sprintf("Dtrmm%c%c%c/%dx%d", s, ul, t, m, n), flops: float64(na) * float64(m) * float64(n),
		run: func(f Float) {
			if a == nil {
				a, b = random(na*na), random(m*n)
				for i := range na {
					a[i*na+i] = 1
					for j := range na {
						if i != j {
							a[i*na+j] /= float64(na)
						}
					}
				}
			}
			f.Dtrmm(s, ul, t, blas.NonUnit, m, n, 1, a, na, b, n)
		}}
}

func benchSymm(s blas.Side, m, n int) bench {
	na := order(s, m, n)
	var a, b, c []float64
	return bench{name: fmt.Sprintf("Dsymm%cU/%dx%d", s, m, n), flops: 2 * float64(na) * float64(m) * float64(n),
		run: func(f Float) {
			if a == nil {
				a, b, c = random(na*na), random(m*n), make([]float64, m*n)
			}
			f.Dsymm(s, blas.Upper, m, n, 1, a, na, b, n, 0, c, n)
		}}
}

func benchGemv(t blas.Transpose, m, n int) bench {
	var a, x, y []float64
	return bench{name: fmt.Sprintf("Dgemv%c/%dx%d", t, m, n), flops: 2 * float64(m) * float64(n), run: func(f Float) {
		if a == nil {
			a, x, y = random(m*n), random(max(m, n)), make([]float64, max(m, n))
		}
		f.Dgemv(t, m, n, 1, a, n, x, 1, 0, y, 1)
	}}
}

// lapackOf is the LAPACK that goes with a BLAS.
func lapackOf(f Float) lapack.Float64 {
	for _, s := range Available() {
		if New(s) == f {
			return NewLapack(s)
		}
	}
	panic("blas: unknown implementation")
}

func benchPotrf(n int) bench {
	var a, w []float64
	return bench{name: fmt.Sprintf("PotrfU/%d", n), flops: float64(n) * float64(n) * float64(n) / 3, run: func(f Float) {
		if a == nil {
			a, w = positive(n), make([]float64, n*n)
		}
		copy(w, a)
		lapackOf(f).Dpotrf(blas.Upper, n, w, n)
	}}
}

const nt, tr = blas.NoTrans, blas.Trans

func benches() []bench {
	var list []bench
	for _, n := range []int{8, 16, 32, 64, 100, 128, 256, 512, 1000, 1024, 2048} {
		list = append(list, benchGemm(nt, nt, n, n, n))
	}
	for _, n := range []int{100, 512, 1024} {
		list = append(list, benchGemm(tr, nt, n, n, n), benchGemm(nt, tr, n, n, n), benchGemm(tr, tr, n, n, n))
	}
	for _, n := range []int{1024, 4096} {
		for _, p := range []int{1, 4, 8, 32, 64, 128} {
			list = append(list, benchGemm(nt, nt, n, p, n))
		}
		list = append(list, benchGemm(tr, nt, n, 32, n))
	}
	// Of the theory: S sites, k directions, P points.
	for _, s := range [][3]int{{250, 50, 4}, {250, 50, 16}, {500, 150, 4}, {500, 150, 8}, {500, 150, 16},
		{500, 150, 64}, {1000, 100, 4}, {1000, 100, 16}, {2000, 300, 4},
		{2000, 300, 8}, {2000, 300, 64}, {4000, 300, 64}, {4000, 300, 4}} {
		S, k, P := s[0], s[1], s[2]
		list = append(list, benchGemm(tr, nt, k, P, S), benchGemm(nt, nt, S, P, k), benchGemm(nt, tr, S, k, P))
	}
	for _, m := range []int{1, 4, 8, 32} {
		list = append(list, benchGemm(nt, nt, m, 256, 256), benchGemm(nt, tr, m, 256, 256))
	}
	list = append(list, benchGemm(tr, nt, 100, 100, 100000))
	for _, n := range []int{64, 256, 1024, 2048} {
		list = append(list, benchSgemm(nt, nt, n, n, n))
	}
	list = append(list, benchSgemm(nt, nt, 4096, 8, 4096), benchSgemm(nt, nt, 4096, 32, 4096),
		benchSgemm(tr, nt, 300, 16, 4000))
	for _, n := range []int{100, 500, 1000, 2000} {
		list = append(list, benchSyrk(tr, n, n), benchSyrk(nt, n, n))
	}
	list = append(list, benchSyrk(tr, 100, 100000))
	for _, n := range []int{100, 500, 1000} {
		list = append(list, benchTrsm(blas.Left, blas.Lower, nt, n, n), benchTrsm(blas.Left, blas.Upper, nt, n, n),
			benchTrsm(blas.Right, blas.Lower, tr, n, n), benchTrmm(blas.Left, blas.Upper, nt, n, n), benchSymm(blas.Left, n, n))
	}
	list = append(list, benchTrsm(blas.Left, blas.Upper, tr, 64, 436), benchTrsm(blas.Left, blas.Lower, nt, 2000, 64),
		benchSymm(blas.Left, 2000, 32))
	for _, n := range []int{100, 200, 500, 1000, 2000} {
		list = append(list, benchPotrf(n))
	}
	for _, n := range []int{50, 256, 1024, 4096} {
		list = append(list, benchGemv(nt, n, n), benchGemv(tr, n, n))
	}
	return list
}

// Benchmark reports GFLOP/s of every operation on every set.
func Benchmark(b *testing.B) {
	for _, x := range benches() {
		for _, s := range Available() {
			b.Run(x.name+"/"+s.String(), func(b *testing.B) {
				f := New(s)
				x.run(f)
				b.ResetTimer()
				for range b.N {
					x.run(f)
				}
				b.ReportMetric(x.flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

// TestCompare prints a table of GFLOP/s when DMFT_BLAS_COMPARE is set: to "all", or to parts of the names wanted,
// separated by commas. Sets, numbers of goroutines and the peak are interleaved in one process and the medians
// compared; with DMFT_BLAS_BEST set, the best of more and shorter runs, for a machine that others use. Cholesky
// includes the copy of the matrix.
func TestCompare(t *testing.T) {
	want := os.Getenv("DMFT_BLAS_COMPARE")
	if want == "" {
		t.Skip("DMFT_BLAS_COMPARE is not set")
	}
	rounds, least, stat, point := 21, 2e-3, "medians", 0.5
	if os.Getenv("DMFT_BLAS_BEST") != "" {
		rounds, least, stat, point = 151, 3e-4, "best", 0
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	type column struct {
		set   Set
		procs int
		f     Float
		reps  int
		times []float64
	}
	var cols []*column
	sets := Available()
	for _, s := range sets {
		cols = append(cols, &column{set: s, procs: 1, f: New(s)})
	}
	n := runtime.NumCPU()
	ours := sets[len(sets)-1]
	if ours == OpenBLAS {
		ours = sets[len(sets)-2]
		cols = append(cols, &column{set: OpenBLAS, procs: n, f: openBLAS})
	}
	cols = append(cols, &column{set: ours, procs: n, f: New(ours)})
	k64, _ := kernelsOf(ours)
	if k64 == nil {
		t.Skip("no kernels here")
	}
	fmt.Printf("%-22s", "GFLOP/s, "+stat)
	for _, c := range cols {
		fmt.Printf("%11s", fmt.Sprintf("%v×%d", c.set, c.procs))
	}
	fmt.Printf("%9s%9s%9s%9s%9s\n", "peak", "/gonum", "/openblas", "/peak", "scaling")
	measure := func(c *column, x bench) {
		runtime.GOMAXPROCS(c.procs)
		if c.set == OpenBLAS {
			openBLASThreads()
		}
		start := time.Now()
		for range c.reps {
			x.run(c.f)
		}
		c.times = append(c.times, time.Since(start).Seconds()/float64(c.reps))
		runtime.GOMAXPROCS(1)
		if c.set == OpenBLAS && c.procs > 1 {
			time.Sleep(40 * time.Millisecond) // its threads wait for more work at full speed
		}
	}
	for _, x := range benches() {
		if want != "all" && !slices.ContainsFunc(strings.Split(want, ","),
			func(part string) bool { return strings.Contains(x.name, part) }) {
			continue
		}
		for _, c := range cols {
			c.reps = 1
			measure(c, x)
			measure(c, x)
			c.reps = max(1, int(least/c.times[1]))
			c.times = c.times[:0]
		}
		var peak []float64
		start := time.Now()
		for i := 0; i < rounds && (i < 21 || time.Since(start) < 10*time.Second); i++ {
			for _, c := range cols {
				if c.set != Gonum || i == 0 || x.flops < 1e8 {
					measure(c, x)
				}
			}
			const loop = 10_000
			start := time.Now()
			k64.peak(loop)
			peak = append(peak, 2*12*loop*float64(k64.lanes)/time.Since(start).Seconds()/1e9)
		}
		quantile := func(v []float64) float64 {
			slices.Sort(v)
			return v[int(point*float64(len(v)))]
		}
		slices.Sort(peak)
		top := peak[int((1-point)*float64(len(peak)-1))]
		if x.f32 {
			top *= 2
		}
		rate := make(map[Set]float64)
		var one, many float64
		fmt.Printf("%-22s", x.name)
		for _, c := range cols {
			r := x.flops / quantile(c.times) / 1e9
			fmt.Printf("%11.2f", r)
			if c.procs == 1 {
				rate[c.set] = r
			}
			if c.set == ours && c.procs == 1 {
				one = r
			} else if c.set == ours {
				many = r
			}
			c.times = c.times[:0]
		}
		fmt.Printf("%9.1f%9.2f%9.2f%9.2f%9.2f\n", top, one/rate[Gonum], one/rate[OpenBLAS], one/top, many/one)
	}
}
