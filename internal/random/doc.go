// Package random draws normal numbers fast, in explicit streams, and the points of Sobol sequences.
//
//	s := random.New(seed, replica)
//	s.Normal(z) // fills z with independent standard normal numbers
//
//	q, err := random.NewScrambledSobol(dimension, seed, replica)
//	q.Next(u) // the next point of the unit cube
//
// Nothing here depends on the processor: no function of package math whose last bit differs between architectures is called, and products that enter sums are rounded
// before, so that the compiler cannot fuse them. The same seed and stream give the same bits everywhere.
//
// # Streams
//
// A [Stream] is the generator xoshiro256++ of D. Blackman and S. Vigna (Scrambled linear pseudorandom number generators, ACM Trans. Math. Softw. 47 (2021) 36), of period
// 2²⁵⁶ − 1. It takes less time than the PCG of math/rand/v2 and inlines. Its state is a hash of seed and stream, any two numbers: that two of n streams overlap within their first m numbers
// has probability n²m/2²⁵⁶. A stream is a rand.Source, for what else math/rand/v2 draws.
//
// # Normal numbers
//
// [Stream.Normal] uses the ziggurat of G. Marsaglia and W. W. Tsang (The ziggurat method for generating random variables, J. Stat. Softw. 5 (2000) 8) with 256 layers. As
// J. A. Doornik (An improved ziggurat method to generate normal random samples, 2005) asks, layer and position come from different bits: 8 for the layer, 53 for the position with its
// sign, so that the numbers have the resolution 2⁻⁵² of their layer. One number takes one word of the stream in 98.8 % of the cases.
//
// The layers have equal areas v under f(x) = exp(−x²/2), the lowest together with the tail beyond its edge r:
//
//	v = r·f(r) + ∫_r^∞ f,   x₀ = v/f(r),   x₁ = r,   x_{i+1} = f⁻¹(f(x_i) + v/x_i),   x₂₅₆ = 0
//
// the last of which determines r. The table ziggurat.go of x_i and f(x_i) is computed by tools/vecgen, since logarithms differ between processors.
//
// # Sobol sequences
//
// The sequence of I. M. Sobol (USSR Comput. Math. Math. Phys. 7 (1967) 86) in the order of the Gray code (I. A. Antonov and V. M. Saleev, ibid. 19 (1979) 252),
// with the direction numbers of S. Joe and F. Y. Kuo (Constructing Sobol sequences with better two-dimensional projections, SIAM J. Sci. Comput. 30 (2008) 2635), their
// set new-joe-kuo-6, in up to [MaxDimension] dimensions: all those with polynomials of degree up to 15. They are under a licence of the BSD kind, in LICENSE-joe-kuo.
//
// Scrambling multiplies the binary digits of each coordinate by a random lower triangular matrix and shifts them (J. Matoušek, On the L₂-discrepancy for anchored boxes,
// J. Complexity 14 (1998) 527). Every point is then uniformly distributed, so that averages have no bias and independent scramblings measure their error. The points keep the
// stratification of the sequence, and the variance is that of the nested scrambling of A. B. Owen: for smooth functions n points have an error of order n^{−3/2}. Take powers of two points, from the
// first on.
package random
