// Package random draws normal numbers fast, in explicit streams.
//
//	s := random.New(seed, replica)
//	s.Normal(z) // fills z with independent standard normal numbers
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
package random
