package blas

import (
	"sync"
	"unsafe"
)

// real is an element type.
type real interface{ float32 | float64 }

// kernels is one instruction set at one precision. Strides are in elements.
type kernels[T real] struct {
	lanes  int  // elements of a vector
	strip  int  // rows of a tile
	masked bool // the right operand of gemm and trsm may end in a partial vector

	// gemm[v] sets c(i,j) = alpha·Σ_l a(i,l)·b(l,j) + beta·c(i,j) for i < m and j < n, where n takes v vectors.
	// Row i of a starts at (i/strip)·astep + (i%strip)·rsa. With beta = 0, c is not read.
	gemm [4]func(m, k int, a *T, rsa, csa, astep int, b *T, rsb int, c *T, ldc int, alpha, beta T, n int)

	// pairs is gemm for so few columns that b holds two rows at a time (see pair), with the columns of a side by side.
	pairs func(m, k int, a *T, rsa int, b, c *T, ldc int, alpha, beta T, n int)

	// trsm[v] solves strip rows: with s = alpha·c − Σ_{l<k} a(i,l)·b(l,j), forward substitution with the triangle at
	// a(0,k), whose diagonal holds reciprocals. Rows of b and of c are rsb apart.
	trsm [4]func(k int, a *T, rsa int, b *T, rsb int, c *T, alpha T, n int)

	// dot sets y[i] = Σ_j a(i,j)·x[j], combine adds Σ_i x[i]·a(i,j) to y[j].
	dot, combine func(m, n int, a *T, lda int, x, y *T)

	// transpose sets dst(j,i) = src(i,j) for 32 bytes of i and n (a multiple of as many) j.
	transpose func(dst *T, dstride int, src *T, sstride, n int)

	peak func(n int) // 12·n fused multiply-adds of vectors

	workspaces sync.Pool // *workspace[T]
	teams      sync.Pool // *team[T]
}

// panel is the number of columns of a packed panel.
func (ks *kernels[T]) panel() int { return 3 * ks.lanes }

// vectors is the number of vectors that n elements take.
func (ks *kernels[T]) vectors(n int) int { return (n + ks.lanes - 1) / ks.lanes }

// workspace holds the buffers of one goroutine in one call.
type workspace[T real] struct{ a, b, tile, x []T }

func (ks *kernels[T]) workspace() *workspace[T] {
	if w, ok := ks.workspaces.Get().(*workspace[T]); ok {
		return w
	}
	return new(workspace[T])
}

func (ks *kernels[T]) release(w *workspace[T]) { ks.workspaces.Put(w) }

// slack is how far past its end a buffer may be written by a store of a whole vector, in elements.
const slack = 16

// grow returns a buffer of n elements, aligned to 64 bytes, in place of *buf when that is too short.
func grow[T real](buf *[]T, n int) []T {
	if cap(*buf) < n+slack {
		size := int(unsafe.Sizeof(T(0)))
		b := make([]T, n+n/8+slack+64/size)
		skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b)))%64) / size
		*buf = b[skip:]
	}
	return (*buf)[:n]
}

func bytesOf[T real](p *T) *byte { return (*byte)(unsafe.Pointer(p)) }

func sizeof[T real]() int { return int(unsafe.Sizeof(T(0))) }

// pack copies rows×n elements, stride apart, into rows of width elements padded with zeros.
func pack[T real](dst []T, width int, src []T, stride, rows, n int) {
	if rows == 0 || n == 0 {
		return
	}
	_ = src[(rows-1)*stride+n-1]
	_ = dst[rows*width-1]
	s := sizeof[T]()
	copyRows(bytesOf(&dst[0]), width*s, bytesOf(&src[0]), stride*s, rows, n*s)
}

// transposed sets dst(j,i) = src(i,j) for i < rows and j < cols.
func (ks *kernels[T]) transposed(dst []T, ldd int, src []T, lds, rows, cols int) {
	w := 32 / sizeof[T]()
	r, c := rows/w*w, cols/w*w
	if c > 0 {
		for i := 0; i < r; i += w {
			ks.transpose(&dst[i], ldd, &src[i*lds], lds, c)
		}
	}
	for i := range rows {
		j := c
		if i >= r {
			j = 0
		}
		for ; j < cols; j++ {
			dst[j*ldd+i] = src[i*lds+j]
		}
	}
}
