package blas

import "time"

// Peak measures how many floating-point operations (two for a fused multiply-add) one core does in a second with the
// vectors of a set, the data in registers: the bound of any product. It takes a few milliseconds. Sets without kernels
// here have no peak and return zeros.
func Peak(s Set) (f64, f32 float64) {
	k64, k32 := kernelsOf(s)
	if k64 == nil {
		return 0, 0
	}
	rate := func(f func(int), lanes int) float64 {
		const n = 40_000
		best := time.Hour
		for range 20 {
			start := time.Now()
			f(n)
			best = min(best, time.Since(start))
		}
		return 2 * 12 * n * float64(lanes) / best.Seconds()
	}
	return rate(k64.peak, k64.lanes), rate(k32.peak, k32.lanes)
}
