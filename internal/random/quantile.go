package random

import "math"

// Quantile sets dst[i] ← Φ⁻¹(p[i]), the number below which a share p of the normal distribution lies: ∓∞ for 0 and 1,
// NaN outside [0, 1]. It panics when dst is shorter than p, and may work in place.
func Quantile(dst, p []float64) {
	dst = dst[:len(p)]
	for i, p := range p {
		dst[i] = QuantileAt(p)
	}
}

// QuantileAt is Φ⁻¹(p).
func QuantileAt(p float64) float64 {
	q := p - 0.5
	// The distance from the nearer of 0 and 1, p or 1 − p, without a branch: for random numbers that would be wrong
	// every second time.
	below := uint64(int64(math.Float64bits(q)) >> 63)
	r := math.Float64frombits(math.Float64bits(p)&below | math.Float64bits(1-p)&^below)
	if i := math.Float64bits(r)>>48 - firstPiece; i < uint64(len(quantilePieces)) {
		return piece(&quantilePieces[i], q, r)
	}
	return quantileTail(q, r)
}

// firstPiece is the exponent with the first four digits of 2⁻¹², where the pieces begin.
const firstPiece = (1023 - 12) << 4

// piece is q times the polynomial of a piece.
func piece(c *[10]float64, q, r float64) float64 {
	d := r - c[0]
	d2 := float64(d * d)
	d4 := float64(d2 * d2)
	low := c[1] + float64(c[2]*d) + float64((c[3]+float64(c[4]*d))*d2)
	high := c[5] + float64(c[6]*d) + float64((c[7]+float64(c[8]*d)+float64(c[9]*d2))*d2)
	return float64(q * (low + float64(high*d4)))
}

// quantileTail is the rest of QuantileAt, for r < 2⁻¹² and for what is no probability.
func quantileTail(q, r float64) float64 {
	switch {
	case !(r >= 0):
		return math.NaN()
	case r == 0:
		return math.Copysign(math.Inf(1), q)
	}
	w := math.Sqrt(-2 * logarithm(r))
	x, y := 0., 0.
	for i := len(quantileP) - 1; i >= 0; i-- {
		x = float64(x*w) + quantileP[i]
	}
	for i := len(quantileQ) - 1; i >= 0; i-- {
		y = float64(y*w) + quantileQ[i]
	}
	return math.Copysign(w-x/y, q)
}
