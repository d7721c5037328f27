// Package kernels says what one layer does to kernels: activations with their Gaussian expectations, Gram matrices, and
// the NNGP and NTK recursions of networks at initialisation.
//
// An [Activation] φ is evaluated with its derivative ([Activation.Eval], [Activation.Eval32]), and averaged over a pair
// of Gaussian fields (u, v) of variances a, b and covariance c ([Activation.Dual], [Activation.DualMatrix]),
//
//	Φ = E φ(u)φ(v),   Φ̇ = E φ′(u)φ′(v).
//
// These are closed forms, or, for tanh and softplus, mixtures of closed forms that are exact to rounding at every
// variance and correlation. A [Function] of the caller's own, made an Activation by [Custom], needs φ and φ′ only; its
// averages are quadratures unless it knows them.
//
// [NTK] iterates them through a network at infinite width,
//
//	H¹ = Kx = X Xᵀ/D,   H^{ℓ+1} = s²H^ℓ + b²Φ^ℓ,   G^L = Φ̇^L,   G^ℓ = (s² + b²Φ̇^ℓ)∘G^{ℓ+1},
//	K = Φ^L + G¹∘Kx + b² Σ_ℓ G^{ℓ+1}∘Φ^ℓ,
//
// in the parametrisation of Bordelon & Pehlevan 2022 (arXiv 2205.09653) for MLPs (s = 0, b = 1) and of Bordelon, Noci,
// Li, Hanin & Pehlevan 2023 (arXiv 2309.16620) for residual networks (s = 1, b = βL^{−α}). [Alignment] and [Movement]
// say how far a kernel has gone from there.
package kernels
