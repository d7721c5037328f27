// Package highdim solves the theory of two-layer networks on high-dimensional random data: P = δD Gaussian points in D
// dimensions, P, D → ∞ at fixed δ, N hidden units. It is the setting in which grokking is a transition from lazy to
// rich learning (Kumar, Bordelon, Gershman & Pehlevan, arXiv 2310.06110). [Solve] is the limit, [Simulate] trains the
// same [Problem] in D dimensions, and both return a [Trajectory].
//
//	f(x) = (α/N) Σ_i a_i φ(w_i·x),   y = Σ_k c_k σ(β_k·x) + noise,   x ~ N(0, 1/D),   |w_i|², |β_k|² of order D
//
// is trained on the mean of (f − y)² over the points. Losses are printed without a factor ½; labels of the test loss
// carry no noise. With Δ = f − y, or Δ = f − f(0) − y when predictions are centred, gradient descent of rate ηD N/α² on
// the weights is
//
//	w_i(t+1) = w_i(t) − (2η/δ) Σ_μ g_i^μ(t) x^μ,     g_i = Δ a_i φ′(h_i)/α,     h_i^μ = w_i·x^μ
//
// η is the LearningRate of the ode.Method, and ητ of its steps the time of every result. Trained readouts have the rate
// of the weights divided by D (and multiplied by Readout.Rate), which is what keeps both moving in the limit: a_i(t+1)
// = a_i(t) − (2η/α)⟨Δφ(h_i)⟩. The weight decay λ is that of package ode, θ ← (1 − ηλ)θ + η∇.
//
// # The limit
//
// Training asks two things of the data matrix X: fields Xw, and sums over points Xᵀg. Conditional on what it has been
// multiplied with, a Gaussian X is Gaussian: it is the gaussian.Matrix that the hidden weights of deep networks are,
// with exact coordinates on one side. In D dimensions weights have exact coordinates in an orthonormal basis e_k that
// grows (|e_k|² = D), on the side of the points there are S sites. A new direction v of g, orthonormal over sites to
// those before, meets a direction of weight space that nothing has seen,
//
//	u_new = X e_new = ζ + v/√δ,     ζ ~ N(0, 1) independent of all before,
//
// and in coordinates Xw = Σ_k w_k u_k and Xᵀg = δ⟨g u_k⟩. That is all: no response functions, no fixed point, time
// linear in the steps. The second term of u_new is the memory that makes the train loss differ from the test loss.
// Directions whose norm is below Settings.Tolerance relative to g are dropped; smooth trajectories need some tens of
// them.
//
// # Test loss
//
// For a quadratic φ and σ the error is a quadratic form of Gaussian fields, q = vᵀAv + b·v + c with fields v = (β·x,
// w(0)·x, w(t)·x) of covariance G, and
//
//	⟨q²⟩ = (tr AG + c)² + 2 tr AGAG + bᵀGb
//
// are the scale error, the misalignment and the power in linear modes. For φ = h + (ε/2)h² and y = ½(β·x)² they are
//
//	¼(|β|²/D − αε tr M/D)² + |αεM − ββᵀ|²/(2D²) + α²|w̄|²/D,     w̄ = Σw_i/N,  M = Σ w_i w_iᵀ/N.
//
// Any other φ or σ is averaged over matched samples of the fields; the parts are then the squared mean, the rest and
// the linear power of the error.
//
// # Other limits
//
// [Population] is δ → ∞, gradient descent on the true risk, and [OnePass] gradient descent where every step takes bD
// fresh points (Saad & Solla, Phys. Rev. E 52, 1995, 4225), which is [Online] when they come one at a time.
// [SimulateMoments] follows w̄ and M instead of the weights, exactly, for any N and for N = ∞, and the model that is
// linear around the start with regression by its kernel (Simulation.Linearised). Networks with fresh points are
// Simulation.Fresh.
//
// In the limit a weight that starts without overlap with β never finds an even target: overlaps of order 1/√D have to
// be given (Target.Overlaps).
//
//	p := &highdim.Problem{
//		Ratio: 4, Units: 2, OutputScale: 1,
//		Activation: kernels.Activation{Name: kernels.QuadraticMixName, Parameter: 0.25},
//		Target:     highdim.Target{Overlaps: [][]float64{{0.2}, {-0.2}}},
//		Training:   highdim.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 1000},
//	}
//	theory, err := highdim.Solve(ctx, p, highdim.Settings{Seed: 1})
//	fmt.Println(highdim.GapOf(theory, 0.5)) // log₁₀ of the time between train and test
package highdim
