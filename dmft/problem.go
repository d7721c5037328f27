package dmft

import (
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// A Problem is one learning task for one network. Theory ([Solve]) and finite networks (dmft/finite) take the same
// Problem and follow the same conventions:
//
//	h¹_μ      = W⁰ x_μ / √D + σ_b b⁰
//	h^{ℓ+1}_μ = s·h^ℓ_μ + b·(W^ℓ φ(h^ℓ_μ) / √N + σ_b b^ℓ)          ℓ = 1 … L−1
//	f_μ       = w·φ(h^L_μ) / (γ₀ N)
//	θ         ← θ + κ η γ₀² N Σ_μ Δ_μ ∂f_μ/∂θ           Δ_μ = −∂(loss)/∂f_μ
//
// with κ = 1 unless Training.Rates or Branch.Rate say otherwise, and every weight and bias N(0,1) at the start
// (Bordelon & Pehlevan 2022, arXiv 2205.09653, eqs. 1–4).
type Problem struct {
	Data     Data
	Network  Network
	Richness float64 // γ₀ > 0: small is lazy (static NTK), of order one learns features at infinite width
	Training Training
}

// Data holds the points of a Problem. Inputs may be dense or sparse (github.com/james-bowman/sparse *CSR).
type Data struct {
	Inputs      mat.Matrix // P×D
	Targets     *mat.Dense // P×C
	TestInputs  mat.Matrix // Pt×D, or nil
	TestTargets *mat.Dense // Pt×C, or nil
}

// Kind is a family of architectures.
type Kind string

// The architectures.
const (
	TwoLayer Kind = "two-layer" // one hidden layer; the zero Kind at depth 0 or 1
	MLP      Kind = "mlp"       // L hidden layers, s = 0, b = 1
	ResNet   Kind = "resnet"    // L hidden layers, s = 1, b = β L^{−α}
	Listed   Kind = "blocks"    // what Network.Blocks says; the zero Kind where they are given
)

// Network is an architecture. Its zero value, with an activation, is a two-layer network.
type Network struct {
	Kind Kind
	// Depth is the number of hidden layers L; 0 is 1 for a two-layer network, and what they have for a list of blocks.
	Depth      int
	Activation kernels.Activation
	Branch     Branch  // of a ResNet
	Bias       float64 // σ_b, the scale of trained biases in every hidden layer; 0 is none

	// Blocks are any architecture between the input layer, whose biases are those of Bias, and the readout, in place of
	// Depth, Activation and Branch: blocks of package arch, or of one's own. Layer ℓ of a Trajectory is the ℓ-th
	// activation: Φ^ℓ and G^ℓ are of its output and its input. Solve with all its methods and finite.Train take them;
	// without them are the lazy limit with weight decay, responses between two times, and package fluctuation.
	Blocks []arch.Block
}

// Branch is the scale β L^{−α} of a residual branch and the factor L^ρ in the learning rate of its weights. With 2α − ρ
// = 1 what the branches learn stays of order one as L → ∞: α = ½, ρ = 0 is the depth-μP limit, α = 1, ρ = 1 the
// mean-field one (a neural ODE without noise). With α = 1, ρ = 0 branches learn nothing there.
type Branch struct {
	Beta     float64 // β
	Exponent float64 // α
	Rate     float64 // ρ
}

// Rates are learning rates of groups of layers relative to the learning rate; zero freezes. As a whole the zero value
// means 1, 1, 1.
type Rates = arch.Rates

// Space is a way of holding a site of the first layer.
type Space = arch.Space

// The ways of holding a site, see package arch.
const (
	AutoSpace  = arch.AutoSpace
	DataSpace  = arch.DataSpace
	InputSpace = arch.InputSpace
)

// Batch asks for mini-batches: a mask on Δ, the same one for theory and every finite network. Samples are
// shuffled once an epoch by the stream Seed.
type Batch struct {
	Size int // samples per step; 0 is full batch
	Seed uint64
}

// Training says how a network is trained.
type Training struct {
	Method  ode.Method // optimiser or integrator, with its learning rate
	Steps   int        // number of steps, or of output intervals of a flow
	Loss    Loss
	Batch   Batch
	Centred bool  // predict f(θ) − f(θ₀)
	Rates   Rates // of groups of layers
}
