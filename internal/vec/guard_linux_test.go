package vec

import (
	"syscall"
	"testing"
	"unsafe"
)

// guarded returns n numbers that end where the accessible memory ends.
func guarded[T Real](t *testing.T, n int) []T {
	t.Helper()
	page := syscall.Getpagesize()
	size := n * int(unsafe.Sizeof(T(0)))
	whole := (size + page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, whole+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skip(err)
	}
	if err := syscall.Mprotect(mem[whole:], syscall.PROT_NONE); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(mem) })
	return unsafe.Slice((*T)(unsafe.Pointer(&mem[whole-size])), n)
}

// TestInside lets the slices end at a page that cannot be accessed: one element too far is a crash.
func TestInside(t *testing.T) {
	levels(t, func(t *testing.T) {
		testInside[float64](t)
		testInside[float32](t)
	})
}

func testInside[T Real](t *testing.T) {
	const most = 40
	x, phi, dphi := guarded[T](t, most), guarded[T](t, most), guarded[T](t, most)
	for _, f := range append(functions, function{op: reluOp}) {
		for n := range most + 1 {
			d := dphi[most-n:]
			if f.op == expOp {
				d = nil
			}
			eval(f.op, phi[most-n:], d, x[most-n:])
		}
	}
}
