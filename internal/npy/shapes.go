package npy

import (
	"fmt"
	"math"
)

// Shapes checks that the arrays of a file fit together, so that what reads them need not: a file that somebody else has
// written, or that is damaged, becomes an error in place of a panic somewhere in a figure. Axes have names; an axis has
// one length in all arrays.
type Shapes struct {
	length map[string]int
	err    error
}

// NewShapes knows the lengths of some axes, and keeps the map.
func NewShapes(length map[string]int) *Shapes { return &Shapes{length: length} }

// Err is the first thing that does not fit.
func (s *Shapes) Err() error { return s.err }

// Fail notes that something else does not fit.
func (s *Shapes) Fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

// Length is how long an axis is, of those that some array has.
func (s *Shapes) Length(axis string) (n int, ok bool) {
	n, ok = s.length[axis]
	return n, ok
}

// Axis says how long an axis is.
func (s *Shapes) Axis(name string, n int) {
	if m, ok := s.length[name]; ok && m != n {
		s.Fail("an axis %s of length %d and of length %d", name, m, n)
	}
	s.length[name] = n
}

// Array checks an array that is there. Its elements are as many as its shape says, as any array that was read.
func (s *Shapes) Array(name string, a Array, axes ...string) {
	if len(a.Data) == 0 || s.err != nil {
		return
	}
	if len(a.Shape) != len(axes) {
		s.Fail("the array %s has shape %v and needs %d axes", name, a.Shape, len(axes))
		return
	}
	for i, x := range axes {
		if s.Axis(x, a.Shape[i]); s.err != nil {
			s.err = fmt.Errorf("the array %s has shape %v: %w", name, a.Shape, s.err)
			return
		}
	}
}

// Series checks a vector that is there.
func (s *Shapes) Series(name string, v []float64, axis string) {
	s.Array(name, Array{Shape: []int{len(v)}, Data: v}, axis)
}

// Steps checks numbers of steps, or depths, that are there: they rise from from.
func (s *Shapes) Steps(name string, v []int, axis string, from int) {
	if len(v) > 0 {
		s.Axis(axis, len(v))
	}
	for _, n := range v {
		if n < from {
			s.Fail("the array %s holds %d where at least %d is expected", name, n, from)
		}
		from = n + 1
	}
}

// Outputs are the axes of predictions of a shape after the first: points, and outputs where there are several.
func Outputs(shape []int, points string) []string {
	if len(shape) == 3 {
		return []string{points, "C"}
	}
	return []string{points}
}

// Join is all lists of axes, one after the other.
func Join(axes ...[]string) (all []string) {
	for _, a := range axes {
		all = append(all, a...)
	}
	return all
}

// Ints are whole numbers kept as float64; what is none is -1, which no step, size or depth is.
func Ints(x []float64) []int {
	var out []int
	for _, v := range x {
		if v != math.Trunc(v) || math.Abs(v) > 1<<40 {
			v = -1
		}
		out = append(out, int(v))
	}
	return out
}

// Floats are whole numbers as float64.
func Floats(x []int) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}
