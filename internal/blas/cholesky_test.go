package blas

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/lapack/testlapack"
)

// lapacks runs a test on every set but gonum's own.
func lapacks(t *testing.T, f func(t *testing.T, l potrf)) {
	for _, s := range Available()[1:] {
		t.Run(s.String(), func(t *testing.T) { f(t, NewLapack(s)) })
	}
}

type potrf interface {
	Dpotrf(ul blas.Uplo, n int, a []float64, lda int) bool
}

// TestCholeskySuite runs gonum's own test.
func TestCholeskySuite(t *testing.T) {
	lapacks(t, func(t *testing.T, l potrf) {
		testlapack.DpotrfTest(t, l)
	})
}

// definite is a positive definite matrix with both triangles, rows lda apart.
func definite(rng *rand.Rand, n, lda int) []float64 {
	g := newMatrix[float64](rng, n, n+3, 0)
	a := make([]float64, n*lda)
	New(Gonum).Dsyrk(blas.Upper, blas.NoTrans, n, n+3, 1/float64(n), g.d, g.ld, 0, a, lda)
	for i := range n {
		a[i*lda+i] += 0.1
		for j := range i {
			a[i*lda+j] = a[j*lda+i]
		}
	}
	return a
}

// TestCholesky checks A = UᵀU and A = L·Lᵀ within the backward error (n+1)·eps of Higham, Accuracy and Stability of
// Numerical Algorithms, theorem 10.3, with the other triangle and the padding left alone and never read.
func TestCholesky(t *testing.T) {
	lapacks(t, func(t *testing.T, l potrf) {
		rng := rand.New(rand.NewPCG(21, 1))
		sizes := []int{127, 128, 129, 133, 200, 256, 257, 300, 391}
		for n := 1; n <= 40; n++ {
			sizes = append(sizes, n)
		}
		for _, n := range sizes {
			for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
				lda := n + rng.IntN(4)
				a := definite(rng, n, lda)
				in := func(i, j int) bool { return j < n && (i == j || (ul == blas.Upper) == (j > i)) }
				f := append([]float64(nil), a...)
				for i := range n {
					for j := range lda {
						if !in(i, j) {
							f[i*lda+j] = math.NaN()
						}
					}
				}
				if !l.Dpotrf(ul, n, f[:(n-1)*lda+n], lda) {
					t.Fatalf("%c n=%d: not positive definite", ul, n)
				}
				u := func(i, j int) float64 { // of the upper factor
					if ul == blas.Lower {
						i, j = j, i
					}
					return f[i*lda+j]
				}
				for i := range n {
					for j := range lda {
						if !in(i, j) {
							if v := f[i*lda+j]; v == v {
								t.Fatalf("%c n=%d: wrote beside the triangle at (%d, %d)", ul, n, i, j)
							}
							continue
						}
						sum, abs := 0., 0.
						for k := 0; k <= min(i, j); k++ {
							p := u(k, i) * u(k, j)
							sum, abs = sum+p, abs+math.Abs(p)
						}
						if math.Abs(sum-a[i*lda+j]) > float64(2*n+8)*0x1p-53*abs {
							t.Fatalf("%c n=%d: product (%d, %d) = %g, want %g", ul, n, i, j, sum, a[i*lda+j])
						}
					}
				}
			}
		}
	})
}

// TestCholeskyFails: a pivot that is not positive, or not a number, is reported wherever it is, as gonum does.
func TestCholeskyFails(t *testing.T) {
	reference := NewLapack(Gonum)
	lapacks(t, func(t *testing.T, l potrf) {
		rng := rand.New(rand.NewPCG(22, 1))
		for _, n := range []int{1, 5, 8, 13, 64, 130, 290} {
			for _, at := range []int{0, n / 2, n - 1} {
				for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1)} {
					for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
						for _, other := range []int{at, n - 1, 0} { // off the diagonal too
							a := definite(rng, n, n)
							i, j := min(at, other), max(at, other)
							if i != j && !math.IsNaN(bad) && !math.IsInf(bad, 0) {
								continue
							}
							a[i*n+j], a[j*n+i] = bad, bad
							want := reference.Dpotrf(ul, n, append([]float64(nil), a...), n)
							if want && i == j && !math.IsInf(bad, 1) {
								t.Fatalf("the reference accepts %g", bad)
							}
							if got := l.Dpotrf(ul, n, a, n); got != want {
								t.Fatalf("%c n=%d, %g at (%d, %d): %v, want %v", ul, n, bad, i, j, got, want)
							}
						}
					}
				}
			}
		}
	})
}

// TestCholeskySameBits: the number of goroutines changes nothing.
func TestCholeskySameBits(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, s := range Available() {
		if s != AVX2 && s != AVX512 {
			continue
		}
		for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
			a := definite(rand.New(rand.NewPCG(23, 1)), 700, 700)
			var want []float64
			for _, p := range []int{1, 2, 3, 7} {
				runtime.GOMAXPROCS(p)
				f := append([]float64(nil), a...)
				NewLapack(s).Dpotrf(ul, 700, f, 700)
				if want == nil {
					want = f
				}
				if i := difference(want, f); i >= 0 {
					t.Errorf("%v %c, GOMAXPROCS %d: element %d differs", s, ul, p, i)
				}
			}
		}
	}
}
