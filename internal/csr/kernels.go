package csr

import (
	"sync"
	"unsafe"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// kernels is one instruction set at one precision. The functions are indexed by the number of vectors of a block, 1, 2
// or 4.
type kernels[T la.Float] struct {
	lanes int // elements of a vector

	// gather sets h(m,:) = Σ_k w(ind[k],:) over the elements of each of n rows, scatter adds e(m,:) to every
	// w(ind[k],:); scaled, with factors val[k].
	gather, scatter             [5]func(n int, ptr *int, ind *int32, w, y *T)
	gatherScaled, scatterScaled [5]func(n int, ptr *int, ind *int32, val, w, y *T)

	// transpose transposes n tiles of lanes×lanes elements, stepd and steps apart. Without it everything is done in Go.
	transpose func(n int, dst *T, ldd, stepd int, src *T, lds, steps int)

	workspaces sync.Pool // *workspace[T]
	teams      sync.Pool // *team[T]
}

// workspace holds the buffers of one goroutine in one call: a block of rows of w and a piece of its points, transposed.
type workspace[T la.Float] struct{ w, y []T }

// grow returns a buffer of n elements, aligned to 64 bytes, in place of *buf when that is too short.
func grow[T la.Float](buf *[]T, n int) []T {
	if cap(*buf) < n {
		size := sizeof[T]()
		b := make([]T, n+n/8+64/size)
		skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b)))%64) / size
		*buf = b[skip:]
	}
	return (*buf)[:n]
}

// gatherPoints sets yt(m,:), m from 0, to the sums over the elements of the points [m0, m1).
func (ks *kernels[T]) gatherPoints(v int, x *Matrix[T], m0, m1 int, wt, yt []T) {
	n := m1 - m0
	switch {
	case x.ptr[m1] == x.ptr[m0]:
		clear(yt)
	case ks.transpose == nil:
		ld := v * ks.lanes
		for m := range n {
			h := yt[m*ld : (m+1)*ld]
			clear(h)
			for k := x.ptr[m0+m]; k < x.ptr[m0+m+1]; k++ {
				w := wt[int(x.ind[k])*ld:][:len(h)]
				if x.val == nil {
					for j := range h {
						h[j] += w[j]
					}
					continue
				}
				f := x.val[k]
				for j := range h {
					h[j] += f * w[j]
				}
			}
		}
	case x.val == nil:
		ks.gather[v](n, &x.ptr[m0], &x.ind[0], &wt[0], &yt[0])
	default:
		ks.gatherScaled[v](n, &x.ptr[m0], &x.ind[0], &x.val[0], &wt[0], &yt[0])
	}
}

// scatterPoints adds yt(m,:), m from 0, to the lines of wt that belong to the elements of the points [m0, m1).
func (ks *kernels[T]) scatterPoints(v int, x *Matrix[T], m0, m1 int, wt, yt []T) {
	n := m1 - m0
	switch {
	case x.ptr[m1] == x.ptr[m0]:
	case ks.transpose == nil:
		ld := v * ks.lanes
		for m := range n {
			e := yt[m*ld : (m+1)*ld]
			for k := x.ptr[m0+m]; k < x.ptr[m0+m+1]; k++ {
				w := wt[int(x.ind[k])*ld:][:len(e)]
				if x.val == nil {
					for j := range e {
						w[j] += e[j]
					}
					continue
				}
				f := x.val[k]
				for j := range e {
					w[j] += f * e[j]
				}
			}
		}
	case x.val == nil:
		ks.scatter[v](n, &x.ptr[m0], &x.ind[0], &wt[0], &yt[0])
	default:
		ks.scatterScaled[v](n, &x.ptr[m0], &x.ind[0], &x.val[0], &wt[0], &yt[0])
	}
}

// in sets dst(j,i) = m(lo+i, c0+j), lines of ld elements of which those beyond the rows are zero.
func (ks *kernels[T]) in(dst []T, ld int, m la.Mat[T], lo, hi, c0, c1 int) {
	n, rows, tiles := c1-c0, hi-lo, ks.tiles(c1-c0)
	for g := 0; g < ld; g += ks.lanes {
		j0 := 0
		if g+ks.lanes <= rows && tiles > 0 {
			ks.transpose(tiles, &dst[g], ld, ks.lanes*ld, &m.Data[(lo+g)*m.Stride+c0], m.Stride, ks.lanes)
			j0 = tiles * ks.lanes
		}
		for i := g; i < g+ks.lanes; i++ {
			if i >= rows {
				for j := range n {
					dst[j*ld+i] = 0
				}
				continue
			}
			src := m.Data[(lo+i)*m.Stride+c0:][:n]
			for j := j0; j < n; j++ {
				dst[j*ld+i] = src[j]
			}
		}
	}
}

// out sets m(lo+i, c0+j) = src(j,i).
func (ks *kernels[T]) out(m la.Mat[T], lo, hi, c0, c1 int, src []T, ld int) {
	n, rows, tiles := c1-c0, hi-lo, ks.tiles(c1-c0)
	for g := 0; g < rows; g += ks.lanes {
		j0 := 0
		if g+ks.lanes <= rows && tiles > 0 {
			ks.transpose(tiles, &m.Data[(lo+g)*m.Stride+c0], m.Stride, ks.lanes, &src[g], ld, ks.lanes*ld)
			j0 = tiles * ks.lanes
		}
		for i := g; i < min(g+ks.lanes, rows); i++ {
			dst := m.Data[(lo+i)*m.Stride+c0:][:n]
			for j := j0; j < n; j++ {
				dst[j] = src[j*ld+i]
			}
		}
	}
}

func (ks *kernels[T]) tiles(n int) int {
	if ks.transpose == nil {
		return 0
	}
	return n / ks.lanes
}

// inGo are the kernels of other processors.
var (
	inGo64 = &kernels[float64]{lanes: 8}
	inGo32 = &kernels[float32]{lanes: 8}
)

// set is a pair of kernels.
type set struct {
	name string
	f64  *kernels[float64]
	f32  *kernels[float32]
}

// sets are those that can run here, the fastest last; used is the one that is used.
var (
	sets = append([]set{{"go", inGo64, inGo32}}, assembly()...)
	used = sets[len(sets)-1]
)

func kernelsFor[T la.Float]() *kernels[T] {
	if ks, ok := any(used.f64).(*kernels[T]); ok {
		return ks
	}
	return any(used.f32).(*kernels[T])
}
