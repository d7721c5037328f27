package kernels

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// A Function is a base function φ of the caller's own. It is called by several goroutines at once.
//
// What it is known to be is what it has methods for, all of them optional. An [Activation] has them all, and so is a
// Function too.
//
//	Dual(va, vb, c float64) (phi, dphi float64)  E φ(u)φ(v) and E φ′(u)φ′(v) of Gaussian u, v of mean zero, variances va and vb and covariance c,
//	                                             c² ≤ va·vb; without it they are found by quadrature
//	Kinks() []float64                            where φ or φ′ jumps; quadrature finds them too, but is slower then, and theories that need φ″ refuse them
//	Second(h float64) float64                    φ″(h), instead of a difference quotient of φ′
//	Odd() bool                                   φ(−h) = −φ(h)
//	Homogeneous() bool                           φ(ch) = cφ(h) for c > 0
//	Polynomial() ([]float64, bool)               the coefficients of a polynomial, lowest power first
//	Eval32(phi, dphi, h []float32)               Eval in single precision, instead of converting
type Function interface {
	// Eval sets phi ← φ(h) and dphi ← φ′(h) element by element. The slices have one length and do not overlap; h must
	// be left as it is.
	Eval(phi, dphi, h []float64)
}

// Custom is the activation φ = f, for use wherever a named one is. The name, which no base function has, appears in
// messages and tables.
//
// Without a method Dual, Gaussian expectations are adaptive quadratures in two dimensions, some milliseconds for a
// pair: to 1e-10 of √(E φ(u)² E φ(v)²) and √(E φ′(u)² E φ′(v)²) for φ that are smooth on the scale of 1 or of their
// standard deviation, or smooth between kinks; to 1e-8 with kinks that Kinks does not list, which are looked for.
func Custom(name string, f Function) Activation { return Activation{Name: name, Function: f} }

// custom asks the Function of a shape for its capabilities.
var custom = definition{
	eval: func(phi, dphi, h []float64, s shape) {
		inChunks[float64, float64](&doubles, s.f.Eval, phi, dphi, h, s)
	},
	eval32: func(phi, dphi, h []float32, s shape) {
		if f, ok := s.f.(interface{ Eval32(phi, dphi, h []float32) }); ok {
			inChunks[float32, float32](&singles, f.Eval32, phi, dphi, h, s)
			return
		}
		inChunks[float32, float64](&doubles, s.f.Eval, phi, dphi, h, s)
	},
	at: customAt,
	dual: func(va, vb, c float64, s shape) (phi, dphi float64) {
		if f, ok := s.f.(gaussian); ok {
			return f.Dual(va, vb, c)
		}
		return newQuadrature(s.f).dual(va, vb, c)
	},
	closed: func(s shape) bool {
		_, ok := s.f.(gaussian)
		return ok
	},
	pairs: func(variance []float64, s shape) func(i, j int, c float64) (phi, dphi float64) {
		if _, ok := s.f.(gaussian); ok {
			return nil
		}
		q := newQuadrature(s.f)
		scale := each(variance, q.scale)
		return func(i, j int, c float64) (float64, float64) {
			va, vb, c := domain(variance[i], variance[j], c)
			return q.pair(va, vb, c, scale[i], scale[j])
		}
	},
	odd: func(s shape) bool {
		f, ok := s.f.(interface{ Odd() bool })
		return ok && f.Odd()
	},
	homogeneous: func(s shape) bool {
		f, ok := s.f.(interface{ Homogeneous() bool })
		return ok && f.Homogeneous()
	},
	kinks: func(s shape) []float64 { return slices.Clone(kinksOf(s.f)) },
	polynomial: func(s shape) ([]float64, bool) {
		f, ok := s.f.(interface{ Polynomial() ([]float64, bool) })
		if !ok {
			return nil, false
		}
		c, ok := f.Polynomial()
		return slices.Clone(c), ok
	},
}

// gaussian is a Function that knows its expectations.
type gaussian interface {
	Dual(va, vb, c float64) (phi, dphi float64)
}

func kinksOf(f Function) []float64 {
	if k, ok := f.(interface{ Kinks() []float64 }); ok {
		return k.Kinks()
	}
	return nil
}

// room holds a piece of an argument and of what a function makes of it.
type room[T float] struct{ h, phi, dphi [256]T }

var (
	doubles = sync.Pool{New: func() any { return new(room[float64]) }}
	singles = sync.Pool{New: func() any { return new(room[float32]) }}
)

// inChunks evaluates a function that knows nothing of gains, of outputs that nobody wants or of phi being h, in
// precision U.
func inChunks[T, U float](pool *sync.Pool, f func(phi, dphi, h []U), phi, dphi, h []T, s shape) {
	w := pool.Get().(*room[U])
	defer pool.Put(w)
	scale, gain, slope := U(s.scale), U(s.gain), U(s.gain*s.scale)
	for lo := 0; lo < len(h); lo += len(w.h) {
		part := h[lo:min(lo+len(w.h), len(h))]
		n := len(part)
		for i, x := range part {
			w.h[i] = scale * U(x)
		}
		f(w.phi[:n], w.dphi[:n], w.h[:n])
		if phi != nil {
			for i, v := range w.phi[:n] {
				phi[lo+i] = T(gain * v)
			}
		}
		if dphi != nil {
			for i, v := range w.dphi[:n] {
				dphi[lo+i] = T(slope * v)
			}
		}
	}
}

func customAt(x float64, s shape) (v, d, second float64) {
	w := doubles.Get().(*room[float64])
	defer doubles.Put(w)
	derivative := func(x float64) float64 {
		w.h[0] = x
		s.f.Eval(w.phi[:1], w.dphi[:1], w.h[:1])
		return w.dphi[0]
	}
	if f, ok := s.f.(interface{ Second(h float64) float64 }); ok {
		second = f.Second(x)
	} else { // of fourth order, h⁴φ⁽⁵⁾/30 + rounding/h
		const h = 1e-3
		second = (8*(derivative(x+h)-derivative(x-h)) - (derivative(x+2*h) - derivative(x-2*h))) / (12 * h)
	}
	d = derivative(x)
	return w.phi[0], d, second
}

// checkFunction refuses what cannot be meant: values that are not finite at ordinary points, and a derivative that is
// none.
func checkFunction(name string, f Function) error {
	const h = 1e-5
	points := []float64{-1.7, -0.6, 0.45, 1.3}
	wrong := 0
	var at, want, got float64
	for _, x := range points {
		var v, d [3]float64
		f.Eval(v[:], d[:], []float64{x - h, x, x + h})
		for _, y := range []float64{v[1], d[1]} {
			if !finite(y) {
				return fmt.Errorf("kernels: the activation %s is φ = %g, φ′ = %g at h = %g; they must be finite", name,
					v[1], d[1], x)
			}
		}
		if q := (v[2] - v[0]) / (2 * h); math.Abs(q-d[1]) > 1e-3*math.Max(1, math.Abs(q)) {
			wrong++
			at, want, got = x, q, d[1]
		}
	}
	if wrong > len(points)/2 { // a few may be at kinks
		return fmt.Errorf("kernels: the derivative of the activation %s at h = %g is %g, and a difference quotient "+
			"of φ gives %g; Eval must set dphi to φ′(h)", name, at, got, want)
	}
	return nil
}
