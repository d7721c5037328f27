// Package kernels says what one layer does to kernels: activations with their Gaussian expectations, Gram matrices, and the NNGP and NTK
// recursions of networks at initialisation.
//
// The expectations of an activation φ over a pair of Gaussian fields (u, v) of variances a, b and covariance c,
//
//	Φ = E φ(u)φ(v),   Φ̇ = E φ′(u)φ′(v)
//
// are closed forms where they exist (Activation.Dual), and Hermite series summed to rounding elsewhere.
package kernels
