package blas

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"

	"gonum.org/v1/gonum/blas"
)

// guarded returns n numbers that end where the readable memory ends.
func guarded[T real](t *testing.T, n int) []T {
	t.Helper()
	page := syscall.Getpagesize()
	bytes := n * sizeof[T]()
	whole := (bytes + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, whole+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skip(err)
	}
	if err := syscall.Mprotect(mem[whole:], syscall.PROT_NONE); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	return unsafe.Slice((*T)(unsafe.Pointer(&mem[whole-bytes])), n)
}

// TestReadsInside lets every operand end at a page that cannot be read: one element too far is a crash.
func TestReadsInside(t *testing.T) {
	sets(t, func(t *testing.T, b Float) {
		t.Run("float64", func(t *testing.T) { readsInside(t, of64(b)) })
		t.Run("float32", func(t *testing.T) { readsInside(t, of32(b)) })
	})
}

func readsInside[T real](t *testing.T, r routines[T]) {
	rng := rand.New(rand.NewPCG(12, 1))
	const most = 80
	a, x, c := guarded[T](t, most*most), guarded[T](t, most*most), guarded[T](t, most*most)
	end := func(v []T, rows, cols, ld int) []T { return v[len(v)-((rows-1)*ld+cols):] }
	for i := range 400 {
		m, n, k := 1+rng.IntN(most), 1+rng.IntN(most), 1+rng.IntN(most)
		if i%4 == 0 {
			n = 1 + rng.IntN(9) // these have a kernel of their own
		}
		tA, tB := transposes[rng.IntN(2)], transposes[rng.IntN(2)]
		ra, ca, rb, cb := m, k, k, n
		if tA != blas.NoTrans {
			ra, ca = ca, ra
		}
		if tB != blas.NoTrans {
			rb, cb = cb, rb
		}
		r.gemm(tA, tB, m, n, k, 1, end(a, ra, ca, ca), ca, end(x, rb, cb, cb), cb, T(rng.IntN(2)), end(c, m, n, n), n)
		ul := []blas.Uplo{blas.Upper, blas.Lower}[rng.IntN(2)]
		side, na := blas.Left, m
		if rng.IntN(2) == 0 {
			side, na = blas.Right, n
		}
		r.syrk(ul, tA, m, k, 1, end(a, ra, ca, ca), ca, 1, end(c, m, m, m), m)
		r.symm(side, ul, m, n, 1, end(a, na, na, na), na, end(x, m, n, n), n, 0, end(c, m, n, n), n)
		r.trsm(side, ul, tA, blas.Unit, m, n, 1, end(a, na, na, na), na, end(c, m, n, n), n)
		r.trmm(side, ul, tA, blas.Unit, m, n, 1, end(a, na, na, na), na, end(c, m, n, n), n)
		r.gemv(blas.NoTrans, m, n, 1, end(a, m, n, n), n, end(x, 1, n, n), 1, 0, end(c, 1, m, m), 1)
		r.gemv(blas.Trans, m, n, 1, end(a, m, n, n), n, end(x, 1, m, m), 1, 0, end(c, 1, n, n), 1)
	}
}

// TestCholeskyReadsInside is the same for the factorisation.
func TestCholeskyReadsInside(t *testing.T) {
	lapacks(t, func(t *testing.T, l potrf) {
		rng := rand.New(rand.NewPCG(13, 1))
		const most = 150
		mem := guarded[float64](t, most*most)
		for n := 1; n <= most; n++ {
			for _, ul := range []blas.Uplo{blas.Upper, blas.Lower} {
				a := mem[len(mem)-n*n:]
				copy(a, definite(rng, n, n))
				if !l.Dpotrf(ul, n, a, n) {
					t.Fatalf("%c n=%d: not positive definite", ul, n)
				}
			}
		}
	})
}
