// Package alternating is the published solver of the dynamical mean field theory of deep networks, the alternating
// Monte-Carlo scheme of Bordelon & Pehlevan 2022 (arXiv 2205.09653, appendix B, algorithm 1; code
// github.com/Pehlevan-Group/dmft_wide_networks, deep_nonlinear_DMFT.ipynb). It is the baseline that package dmft is
// measured against, and an independent check of it: the two share the Problem, the activations and matrix products, and
// no part of the method.
//
// The order parameters are the kernels Φ^ℓ, G^ℓ and responses A^ℓ, B^ℓ over all pairs of (time, point). They start from
// the static kernel with A = B = 0. A round takes Δ from them, and for every layer
//
//   - factors the two covariances of size PT, cutting negative eigenvalues, and draws S whole paths of the noise u ~ GP(0, Φ^{ℓ−1}), r ~ GP(0, G^{ℓ+1});
//   - solves the single-site equations of every path, whose coefficients are the order parameters;
//   - averages ∂φ(h^ℓ)/∂r^ℓ = A^ℓ and ∂g^ℓ/∂u^ℓ = B^{ℓ−1} over paths, by their Jacobians, and φφ = Φ^ℓ, gg = G^ℓ;
//
// and mixes the averages with the old values. Rounds go on until f stands still or as often as asked.
//
// The equations are those of discrete gradient descent, so that the fixed point is the answer of dmft.Solve: B has its
// part at equal times, and f comes from ⟨wφ(h^L)⟩/γ₀, by Stein's lemma A^L(t)/γ₀ + η Σ_{s<t} Φ^L(t,s)Δ(s), where the
// published code takes an Euler step with the kernel, which is off by O(η). Like that one, this form has Δ follow from
// the kernels; it scatters some five times less than the average itself. Other departures from the published code: the
// start is the exact static kernel instead of 1000 samples of it, the weight of damping is that of the new value for
// responses as well (there it is that of the old one), and the jitter is on the diagonal of a covariance instead of on
// every element.
//
// # What was measured
//
//	go test -v -run xxx -bench Alternating ./internal/alternating    (about eight minutes)
//
// on two shared cores of an AMD EPYC, gonum's BLAS: tanh, two hidden layers, γ₀ = 1, η = 0.1, targets ±1. Seconds that
// dmft.Solve with default settings and this package need to the same root mean square error of f over steps, points and
// seeds, and their ratio, for three ways of doing a round: the published sweeps over whole paths and Jacobians (Picard,
// extrapolated from few paths), forward substitution in time (Causal), and that with the Jacobians of an eighth of the
// paths (JacobianSamples). The number of rounds is the best in hindsight. Other work on the machine moves single ratios
// by a factor of up to two.
//
//	P   T   error   dmft.Solve    published  ratio    substitution  ratio    few Jacobians  ratio
//	4  15   0.010     0.0023 s       0.82 s    360          0.04 s     19           0.03 s     14
//	4  15   0.005     0.015  s       4.7  s    320          0.21 s     14           0.09 s      6
//	4  30   0.010     0.0033 s       9.7  s   3000          0.15 s     47           0.09 s     27
//	4  30   0.005     0.016  s      58    s   3700          0.75 s     47           0.30 s     19
//	4  60   0.010     0.0057 s      46    s   8100          0.74 s    130           0.48 s     84
//	4  60   0.005     0.0087 s     167    s  19000          4.3  s    490           0.97 s    110
//	2  30   0.010     0.0029 s       1.4  s    470          0.07 s     24           0.04 s     14
//	2  30   0.005     0.021  s       3.8  s    180          0.17 s      8           0.08 s      4
//	8  30   0.010     0.058  s    1280    s  22000         24    s    420           4.4  s     75
//
// So at P = 4, T = 30 the scheme as published is more than 1000 times slower, and below that size it is not; its time
// grows as the cube of PT, that of marching linearly in T. Most of the factor is Picard's: forward substitution within
// a path, which the publication could have used, takes a seventieth of its time, and then the ratio is about 50. No
// trend with the error is claimed: dmft.Solve tightens its tolerance with the number of samples (at T = 30 its time
// rises as error^−3), while the alternating scheme only needs more paths. With 8 points damped rounds converge slowly:
// an error of 0.005 is not reached in 36 of them.
//
// A faster BLAS would speed up Picard, which is nearly all matrix products of size PT (about 10 Gflop/s here), more
// than anything else in the table. The published limit of its sweeps over Jacobians, a mean square change of 1e-20,
// takes 9.6 sweeps on average; 1e-6 would take 3.5 and 0.55 of the time.
package alternating
