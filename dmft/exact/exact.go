// Package exact holds problems with known answers, derived independently of the training loop: closed forms, exact maps
// of second moments, and plain loops over neurons. Every solver is tested against them. Nothing here is meant to be
// fast.
//
//	Linear           two-layer linear networks, any data: the exact map of gradient descent and its relatives, at infinite or any finite width;
//	                 the gradient flow; the fluctuations over initialisations of order 1/N
//	WhitenedFlow     the closed form of that flow on whitened data
//	DeepLinear       linear networks of any depth, MLP or residual, at infinite width: kernels and responses, marched in time; perturbation theory
//	Lazy, Static     training with a static kernel, in closed form and step by step; the fluctuations of order 1/N
//	Naive            a finite network of any depth and activation, neuron by neuron
//	ReadoutBalance…  identities that hold without any reference run
//
// Conventions are those of arXiv 2205.09653 (Bordelon & Pehlevan 2022, eqs. 1–4): Kx_μν = x_μ·x_ν/D and
//
//	h¹_μ = W⁰x_μ/√D,  h^{ℓ+1}_μ = s·h^ℓ_μ + b·W^ℓφ(h^ℓ_μ)/√N,  f_μ = w·φ(h^L_μ)/(γ₀N),  ∇ = γ₀²N Σ_μ Δ_μ ∂f_μ/∂θ
//
// with s = 0, b = 1 in an MLP and Δ_μ = −∂loss/∂f_μ. The optimisers are
//
//	gradient descent  θ ← (1 − ηλ)θ + η∇
//	momentum          v ← μv + ∇,  θ ← (1 − ηλ)θ + ηv
//	Nesterov          v ← μv + ∇,  θ ← (1 − ηλ)θ + η(∇ + μv)
//
// Points are numbered with the training points first; test points have fields and kernels and no Δ. In matrices over
// points and outputs the index of point μ and output c is μC + c. Shapes that do not fit are mistakes of the programmer
// and panic.
package exact
