// Package random draws normal numbers fast, in explicit streams: independent ones, and evenly spread ones for averages.
//
//	s := random.New(seed, replica)
//	s.Normal(z) // fills z with independent standard normal numbers
//
//	q := random.NewSobol(seed, replica, dimensions)
//	q.Normal(z) // fills z, dimensions × points, with those of a scrambled Sobol sequence
//
// Nothing here depends on the processor: no function of package math whose last bit differs between architectures is
// called, and products that enter sums are rounded before, so that the compiler cannot fuse them. The same seed and
// stream give the same bits everywhere.
//
// # Streams
//
// A [Stream] is the generator xoshiro256++ of D. Blackman and S. Vigna (Scrambled linear pseudorandom number
// generators, ACM Trans. Math. Softw. 47 (2021) 36), of period 2²⁵⁶ − 1. It takes less time than the PCG of
// math/rand/v2 and inlines. Its state is a hash of seed and stream, any two numbers: that two of n streams overlap
// within their first m numbers has probability n²m/2²⁵⁶. A stream is a rand.Source, for what else math/rand/v2 draws.
//
// # Normal numbers
//
// [Stream.Normal] uses the ziggurat of G. Marsaglia and W. W. Tsang (The ziggurat method for generating random
// variables, J. Stat. Softw. 5 (2000) 8) with 256 layers. As J. A. Doornik (An improved ziggurat method to generate
// normal random samples, 2005) asks, layer and position come from different bits: 8 for the layer, 53 for the position
// with its sign, so that the numbers have the resolution 2⁻⁵² of their layer. One number takes one word of the stream
// in 98.8 % of the cases.
//
// The layers have equal areas v under f(x) = exp(−x²/2), the lowest together with the tail beyond its edge r:
//
//	v = r·f(r) + ∫_r^∞ f,   x₀ = v/f(r),   x₁ = r,   x_{i+1} = f⁻¹(f(x_i) + v/x_i),   x₂₅₆ = 0
//
// the last of which determines r. The table ziggurat.go of x_i and f(x_i) is computed by tools/vecgen, since logarithms
// differ between processors.
//
// # Sobol sequences
//
// [Sobol] is the sequence of I. M. Sobol (USSR Comput. Math. Math. Phys. 7 (1967) 86) in the order of the Gray code (I.
// A. Antonov and V. M. Saleev, ibid. 19 (1979) 252), with the direction numbers new-joe-kuo-6 of S. Joe and F. Y. Kuo
// (Constructing Sobol sequences with better two-dimensional projections, SIAM J. Sci. Comput. 30 (2008) 2635) in up to
// 2048 dimensions. They are under a licence of the BSD kind, which LICENSE-joe-kuo has with their origin.
//
// Scrambling multiplies the digits of each coordinate by a random lower triangular matrix and adds random digits (J.
// Matoušek, On the L₂-discrepancy for anchored boxes, J. Complexity 14 (1998) 527). Every point is then uniformly
// distributed and the points keep their stratification: 2^m of them, from a multiple of 2^m on, have one in each of 2^m
// equal intervals of every coordinate. Averages have no bias, and exactly the variance of Owen's nested scrambling (A.
// B. Owen, ACM Trans. Model. Comput. Simul. 13 (2003) 363): for smooth functions in d dimensions n points have an error
// of order n^{−3/2}(log n)^{(d−1)/2}, never much more than independent ones. Independent scramblings measure it. In one
// dimension that error comes from rare scramblings, and nearly all have a much smaller one. Take powers of two points.
//
// Normal numbers are Φ⁻¹ of the coordinates.
//
// # Normal quantiles
//
// [Quantile] has an error below 4 ulp (the largest of 5·10⁵ points is 3.8) and reaches all numbers in (0, 1). Down to
// 2⁻¹² from either end Φ⁻¹(p) is p − 1/2 times a polynomial of degree 8, one of 16 for each octave: no logarithm, no
// division and no branch that is hard to predict. Beyond, it is w = √(2 log 1/p) less a quotient of polynomials of w.
// Both are computed by tools/vecgen.
package random
