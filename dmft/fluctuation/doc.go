// Package fluctuation predicts what finite width adds to the theory: to leading order in 1/N, the covariance over
// initialisations of everything a network of width N computes, and for networks with one hidden layer the correction of
// its mean,
//
//	N Cov(x, y) → Σ_xy,    N(⟨x⟩ − x_∞) → b_x
//
// for predictions, losses and kernels ([Result]). The 1/N expansion of these networks is that of Bordelon & Pehlevan
// 2023, arXiv 2304.03408, who invert the Hessian of the action; here the same numbers come from the response of the
// mean-field dynamics to the sites' own noise, for any data, activation, loss and optimiser, in discrete time.
//
//	r, err := fluctuation.TwoLayer(ctx, problem, fluctuation.Settings{Samples: 8000, Seed: 1})
//	sd := math.Sqrt(r.FVariance.Value.At(step).Data[0] / 256) // of the first prediction of a network of width 256
//
// # One hidden layer, in training ([TwoLayer])
//
// A network of width N is N particles z_i = (h_i, w_i) that start independent and see each other only through the
// predictions f(t) = (1/N) Σ_i o_t(z_i), o = wφ(h)/γ₀, which drive them by Δ(s) = −∂loss/∂f(s), s < t. So f is a
// functional of the empirical measure of the starts, and its first two variations give the leading order in 1/N. With
// ε_i(t) = o_t(z_i) − f(t) on the unperturbed path and R(t,s) = ⟨∂o_t/∂Δ(s)⟩,
//
//	δf_i(t) = ε_i(t) + Σ_{s<t} R(t,s) Δ′(s) δf_i(s),    N Cov(f(t), f(s)) = ⟨δf_i(t) δf_i(s)⟩
//
// a causal Volterra equation, and any other average X = ⟨x(z)⟩, such as a kernel or a test point, follows with δX_i =
// x(z_i) − X + Σ_s ⟨∂x/∂Δ(s)⟩ Δ′(s) δf_i(s). In the basis q_k of functions of the start (orthonormal: ⟨q_k q_l⟩ = δ_kl)
// that the outputs of all times span, ε_i(t) = Σ_k q_k(z_i) V_k(t), and
//
//	N Cov(f(t), f(s)) = Σ_k F_k(t) F_k(s),    F_k(t) = V_k(t) + Σ_{s<t} R(t,s) Δ′(s) F_k(s)
//	b(t) = ½ Σ_k F_kk(t) + B(t),    B(t) = Σ_k ⟨q_k ∂_k o_t⟩ + Σ_{s<t} R(t,s) Δ′(s) B(s)
//
// F_k is what f does when V_k is added to it, F_kk the second derivative of the same, and ∂_k o_t what a single
// particle does. Nothing is linearised on paper: two copies of the system see predictions with ±δV_k added, and F_k and
// F_kk are the first and second differences of theirs. Hence every optimiser and integrator of package ode, batches and
// every loss are exact (no Euler steps with the NTK), and kinks need no delta functions: with a step δ of the size of
// the fluctuations of a network of width δ⁻² enough sites cross the kink. The q_k are found on the way, as in
// gaussian.Matrix: a direction is born when outputs first have a component along it. Noise spans few directions, since
// outputs change slowly: cost is that of the theory times twice their number, linear in the number of steps. Averages
// are over moment-matched sites in independent blocks, whose scatter is the error bar, or over the nodes of a
// quadrature ([Settings].Nodes). For linear networks the result is that of the exact map (exact.Linear.Fluctuations) to
// rounding.
//
// Predictions f(θ) − f(θ₀) (centred) have o_t(z_i) − o_0(z_i) for o. Otherwise f(0) fluctuates with N Cov f(0) = Φ/γ₀².
//
// # Any depth, at the start ([AtStart]) and in the lazy limit ([Lazy])
//
// At the start the neurons of a layer are independent given the kernels of the layer before, and at leading order the
// backward fields are Gaussian given the kernels G of the layer after, independently of the forward ones. So one site
// (one neuron of every layer; the same neuron in a residual network, h^{ℓ+1} = s h^ℓ + b ζ^ℓ) moves the kernels by
//
//	δH^{ℓ+1} = s² δH^ℓ + b² δΦ^ℓ,    δΦ^ℓ = φφ − Φ^ℓ + (∂Φ^ℓ/∂H^ℓ) δH^ℓ,    δH¹ = 0
//	δG^ℓ = gg − G^ℓ + ρ^ℓ,    ρ^ℓ = s² ρ^{ℓ+1} + b² (D^ℓ∘δG^{ℓ+1} + G^{ℓ+1}∘(∂D^ℓ/∂H^ℓ) δH^ℓ),    ρ^L = (∂D^L/∂H^L) δH^L,    D = ⟨φ′φ′⟩
//	δK = δΦ^L + δG¹∘Kx + b² Σ_ℓ (δG^{ℓ+1}∘Φ^ℓ + G^{ℓ+1}∘δΦ^ℓ)
//
// and N Cov = ⟨δδ⟩ over sites. For a fixed input and homogeneous activations this is N Cov(Φ^ℓ, Φ^m) = V min(ℓ, m), N
// Cov(G^ℓ, G^m) = V min(L+1−ℓ, L+1−m), V = 2 (linear) and 5 (√2·ReLU). Given the features, f(0) is Gaussian with
// variance Φ^L/(γ₀²N), so its excess kurtosis is 3 Var(Φ^L)/⟨Φ^L⟩²: with one hidden layer 3(⟨φ⁴⟩/⟨φ²⟩² − 1)/N, which is
// 6/N for linear networks, 15/N for ReLU, and at unit variance 1.6795/N for erf(h), 2.4/N for erf(h/√2) and 1.8819/N
// for tanh; L times as much for homogeneous networks of depth L.
//
// As γ₀ → 0 the kernel stays K + δK, and predictions follow it: [Lazy] trains with K ± δ·δK_i of every site.
// Predictions that are not centred add the fluctuations of f(0), of covariance Φ^L/γ₀², which is independent of δK.
// Mean corrections need the next order of the kernels and are not computed.
//
// # Plain sites are a network of their number
//
// A block of S sites of plain sampling (dmft.Plain) has the law of a network of width S, at any depth and time, up to
// directions below the tolerance: with one hidden layer sites are neurons, and in deep networks hidden matrices are
// conditioned on their products as matrices of S rows are (gaussian.Matrix). So mean and covariance of plain blocks
// have the same expansion in 1/S as those of networks in 1/N (TestPlainSites). Matched sampling in symmetric groups has
// none of these fluctuations, and little of the correction of the mean.
package fluctuation
