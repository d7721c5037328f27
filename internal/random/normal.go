package random

import (
	"math"
	"math/bits"
)

const layers = 256

// Layer i holds |x| < zigguratX[i], all of it inside the curve for |x| < zigguratX[i+1]. A position j, |j| < 2⁵²,
// stands for x = j·width[i]; below inside[i] no more has to be known.
var width, inside = func() (w [layers]float64, k [layers]int64) {
	for i := range w {
		w[i] = zigguratX[i] * 0x1p-52
		k[i] = int64(zigguratX[i+1] / zigguratX[i] * 0x1p52)
	}
	return w, k
}()

// Normal fills dst with independent standard normal numbers. How a sequence is divided into calls makes no difference.
func (s *Stream) Normal(dst []float64) { Normal(s, dst) }

// NormFloat64 returns the next number of Normal.
func (s *Stream) NormFloat64() float64 {
	i, j := position(s.Uint64())
	if abs(j) < inside[i] {
		return float64(float64(j) * width[i])
	}
	return s.edge(i, j)
}

// position takes layer and position from different bits of a word.
func position(word uint64) (i uint8, j int64) { return uint8(word), int64(word) >> 11 }

func abs(j int64) int64 {
	sign := j >> 63
	return (j ^ sign) - sign
}

// Normal fills dst as s.Normal would, rounding the numbers in single precision.
func Normal[T float32 | float64](s *Stream, dst []T) {
	s0, s1, s2, s3 := s.s0, s.s1, s.s2, s.s3 // in registers
	for n := range dst {
		r := bits.RotateLeft64(s0+s3, 23) + s0
		t := s1 << 17
		s2 ^= s0
		s3 ^= s1
		s1 ^= s2
		s0 ^= s3
		s2 ^= t
		s3 = bits.RotateLeft64(s3, 45)
		i, j := position(r)
		if abs(j) < inside[i] {
			dst[n] = T(float64(j) * width[i])
			continue
		}
		*s = Stream{s0, s1, s2, s3}
		dst[n] = T(s.edge(i, j))
		s0, s1, s2, s3 = s.s0, s.s1, s.s2, s.s3
	}
	*s = Stream{s0, s1, s2, s3}
}

// edge decides about a position outside the part of layer i that is all inside the curve, and draws again when it is
// refused.
func (s *Stream) edge(i uint8, j int64) float64 {
	for {
		x := float64(float64(j) * width[i])
		if abs(j) < inside[i] {
			return x
		}
		if i == 0 {
			return s.tail(j < 0)
		}
		if beneath(int(i), x, s.Float64()) {
			return x
		}
		i, j = position(s.Uint64())
	}
}

// beneath reports whether the height f(x_i) + u·(f(x_{i+1}) − f(x_i)) is below the curve at x, which is in layer i
// above 0.
func beneath(i int, x, u float64) bool {
	low, high, inner := zigguratF[i], zigguratF[i+1], zigguratX[i+1]
	q := (low + float64((high-low)*u)) / high
	// To be compared with f(x)/f(x_{i+1}) = exp(−d), where d < 1.2. Partial sums of the series enclose that, and decide
	// nearly always.
	d := 0.5 * float64((math.Abs(x)-inner)*(math.Abs(x)+inner))
	d2 := float64(d * d)
	below := 1 - d + float64(d2*(0.5-float64(d*(1./6))))
	return q < below || q < below+float64(float64(d2*d2)*(1./24)) && q < expNegative(d)
}

// tail draws beyond the edge of the lowest layer by Marsaglia's method: exponential steps, accepted against the
// Gaussian.
func (s *Stream) tail(negative bool) float64 {
	r := zigguratX[1]
	for {
		a, b := -logarithm(s.Float64())/r, -logarithm(s.Float64())
		if b+b > float64(a*a) {
			if negative {
				return -(r + a)
			}
			return r + a
		}
	}
}

// expNegative is e^{−d} for 0 ≤ d < 1.2 by Taylor's series.
func expNegative(d float64) float64 {
	p := 1.
	for n := 22.; n > 0; n-- {
		p = 1 - float64(p*d)/n
	}
	return p
}

// logarithm is log u for u > 0: with u = m·2ᵉ, 1 ≤ m < 2, and s = (m−1)/(m+1) < 1/3, 2 atanh(s) + e·ln 2.
func logarithm(u float64) float64 {
	const ln2 = 0x1.62e42fefa39efp-01
	m, e := math.Frexp(u)
	t := (2*m - 1) / (2*m + 1)
	z := float64(t * t)
	p := 0.
	for n := 37.; n > 1; n -= 2 {
		p = float64((p + 1/n) * z)
	}
	return float64(2*float64(t*(1+p))) + float64(float64(e-1)*ln2)
}
