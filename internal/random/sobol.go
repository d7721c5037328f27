package random

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// SobolDimensions is the largest number of dimensions of a Sobol sequence, and SobolPoints the number of its points.
const (
	SobolDimensions = 2048
	SobolPoints     = 1 << 32
)

//go:embed joekuo.bin
var joeKuo []byte

// Sobol is a Sobol sequence, randomly scrambled: points in a unit cube, spread evenly, each of them uniformly
// distributed. It is not safe for use by several goroutines.
type Sobol struct {
	// Of the generator matrix of each dimension, with the first digit of the coordinate in the highest bit.
	columns [][32]uint64
	shift   []uint64
	next    uint64 // point
}

// NewSobol returns the scrambled sequence of a seed and a stream in the given number of dimensions, at most
// SobolDimensions. Different seeds or streams are independent scramblings. The first dimensions do not depend on how
// many there are.
func NewSobol(seed, stream uint64, dimensions int) *Sobol {
	q := unscrambled(dimensions)
	s := New(seed, stream)
	var scramble [32]uint64
	for d := range q.columns {
		for k := range scramble { // column k of a lower triangular matrix with units on the diagonal and 64 rows
			scramble[k] = 1<<(63-k) | s.Uint64()>>(k+1)
		}
		for j, v := range q.columns[d] {
			product := uint64(0)
			for ; v != 0; v &= v - 1 {
				product ^= scramble[bits.LeadingZeros64(v&-v)]
			}
			q.columns[d][j] = product
		}
		q.shift[d] = s.Uint64()
	}
	return q
}

// unscrambled is the sequence itself.
func unscrambled(dimensions int) *Sobol {
	if dimensions < 0 || dimensions > SobolDimensions {
		panic(fmt.Sprintf("random: a Sobol sequence has at most %d dimensions, not %d", SobolDimensions, dimensions))
	}
	q := &Sobol{columns: make([][32]uint64, dimensions), shift: make([]uint64, dimensions)}
	table := joeKuo
	number := func() uint64 {
		x := binary.LittleEndian.Uint16(table)
		table = table[2:]
		return uint64(x)
	}
	for d := range q.columns {
		v := &q.columns[d]
		if d == 0 {
			for j := range v {
				v[j] = 1 << (63 - j)
			}
			continue
		}
		polynomial := number()
		degree := bits.Len64(polynomial) - 1
		for j := range v { // v_j = m_{j+1}/2^{j+1}
			if j < degree {
				v[j] = number() << (63 - j)
				continue
			}
			v[j] = v[j-degree] ^ v[j-degree]>>degree
			for k := 1; k < degree; k++ {
				if polynomial>>(degree-k)&1 != 0 {
					v[j] ^= v[j-k]
				}
			}
		}
	}
	return q
}

// Dimensions is the number of dimensions.
func (q *Sobol) Dimensions() int { return len(q.columns) }

// Seek makes point n, counted from 0, the next.
func (q *Sobol) Seek(n uint64) { q.next = n }

// The methods that follow fill dst with the next points, whole ones: with a row for each dimension, which holds its
// coordinate of all points,
//
//	dst[d·points + i],   points = len(dst)/Dimensions()
//
// or, those named Points, with a row for each point, dst[i·Dimensions() + d]. They panic when the length is not a
// multiple of the number of dimensions or the sequence is at its end. How many points are asked for at a time makes no
// difference.

// Uniform gives coordinates, odd multiples of 2⁻⁵³ in (0, 1).
func (q *Sobol) Uniform(dst []float64) { q.fill(dst, false, false) }

// UniformPoints is Uniform with a row for each point.
func (q *Sobol) UniformPoints(dst []float64) { q.fill(dst, false, true) }

// Normal gives standard normal numbers, QuantileAt of the coordinates.
func (q *Sobol) Normal(dst []float64) { q.fill(dst, true, false) }

// NormalPoints is Normal with a row for each point.
func (q *Sobol) NormalPoints(dst []float64) { q.fill(dst, true, true) }

func (q *Sobol) fill(dst []float64, normal, byPoint bool) {
	dims := len(q.columns)
	if len(dst) == 0 {
		return
	}
	if dims == 0 || len(dst)%dims != 0 {
		panic(fmt.Sprintf("random: %d numbers are not whole points in %d dimensions", len(dst), dims))
	}
	points := len(dst) / dims
	if q.next > SobolPoints || uint64(points) > SobolPoints-q.next {
		panic("random: a Sobol sequence has 2³² points")
	}
	stride, step := points, 1
	if byPoint {
		stride, step = 1, dims
	}
	var block [256]uint64
	for from := 0; from < points; from += len(block) {
		b := block[:min(len(block), points-from)]
		for d := range dims {
			q.words(d, q.next+uint64(from), b)
			out := dst[d*stride+from*step:]
			if normal {
				for i, x := range b {
					out[i*step] = QuantileAt(unit(x))
				}
			} else {
				for i, x := range b {
					out[i*step] = unit(x)
				}
			}
		}
	}
	q.next += uint64(points)
}

// words gives a coordinate of the points from the n-th on, 64 digits after the point.
func (q *Sobol) words(d int, n uint64, b []uint64) {
	v := &q.columns[d]
	x := q.shift[d]
	for gray := n ^ n>>1; gray != 0; gray &= gray - 1 {
		x ^= v[bits.TrailingZeros64(gray)&31]
	}
	for i := range b {
		b[i] = x
		n++
		x ^= v[bits.TrailingZeros64(n)&31] // the digit in which the Gray codes differ
	}
}
