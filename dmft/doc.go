// Package dmft solves the dynamical mean field theory of feature-learning networks: what a network does when it is
// infinitely wide and the richness γ₀ keeps it learning features. A [Problem] is data, a network and its training;
// [Solve] returns its infinite-width limit and finite.Train the behaviour of explicit networks, both as a [Trajectory].
//
// Training a network asks four things of a weight matrix: products with it and with its transpose, outer products added
// to it, linear combinations ([Matrix]). One training loop ([Train]) serves every width: with dense matrices it trains
// a finite network, with sites drawn from the Gaussian measure of initialisation it solves the limit. In the
// conventions of [Problem], with Δ_μ = −∂(loss)/∂f_μ,
//
//	h¹(t+1) = h¹(t) + ηγ₀ Kx[Δ(t)∘g¹(t)]      w(t+1) = w(t) + ηγ₀ Σ_μ Δ_μ(t) φ(h^L_μ(t))      f = ⟨w φ(h^L)⟩/γ₀
//	K = Φ^L + G¹∘Kx + b² Σ_ℓ G^{ℓ+1}∘Φ^ℓ       Φ^ℓ = ⟨φ(h^ℓ)φ(h^ℓ)⟩,  G^ℓ = ⟨g^ℓ g^ℓ⟩
//
// (Bordelon & Pehlevan 2022, arXiv 2205.09653; residual networks: Bordelon, Noci, Li, Hanin & Pehlevan 2023, arXiv
// 2309.16620). Hidden matrices of the limit are conditioned Gaussian matrices (package gaussian), known only through
// the products already made with them; they carry the response functions of the theory, so one sweep in time solves it.
// A residual network may have [InfiniteDepth]. Averages ⟨·⟩ are over sites, drawn in independent blocks whose scatter
// is the error bar of every result.
//
// Words: a site is one neuron of the limit, drawn from the measure of initialisation; a replica is one network, or one
// block of sites of the limit, which is drawn and trained apart from the others; a batch of replicas is trained
// together (package ensemble) and is the unit of parallel work and of resuming; a part is what a batch has recorded, as
// a store keeps it. An architectural block (package arch) is a piece of a network, and a mini-batch
// (Training.Batch) some of the training points.
//
// A program may bring its own activation (kernels.Custom), loss ([CustomLoss]), architecture (Network.Blocks), weight
// matrices (Settings.Matrix) and [Observer], which is shown every replica at every step and may stop the run.
// Trajectories are kept as numpy's files ([Trajectory.WriteNPZ], [ReadNPZ]), the same as the command's; packages data
// and figure/standard read data and draw. All of it is in docs/example, a module of its own.
package dmft
