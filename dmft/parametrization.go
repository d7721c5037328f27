package dmft

import (
	"fmt"
	"math"

	"github.com/seed39b58f2d/dmft/dmft/arch"
)

// A Parametrization says how scales and learning rates change with the width of a network. In the convention of
// [Problem] each is a choice of the richness γ₀ and of the [Rates] κ at every width ([Parametrization.AtWidth]), the
// weights being N(0,1) throughout. Networks of the base width N₀ are the same in all of them.
type Parametrization string

// The parametrisations, with their literal definitions for f = (out)·w·φ(h^L), squared brackets giving standard
// deviation at the start | learning rate of the descent θ ← θ + rate·Σ_μ Δ_μ ∂f_μ/∂θ of W⁰, W^ℓ and w:
//
//	MuP                      out = 1           [1/√D | ηγ₀²N/D]    [1/√N | ηγ₀²]      [1/(γ₀N) | η/N]     γ₀ and κ do not depend on N
//	NTKParametrization       out = 1/γ         W/√D, W/√N, w/√N with [1 | ηγ²] for all                    γ₀(N) = γ₀ √(N₀/N)
//	StandardParametrization  out = 1/γ         [1/√D | ηγ²/D]      [1/√N | ηγ²/N₀]    [1/√N | ηγ²/N₀]     the same, with κ_hidden, κ_readout ∝ N/N₀
//	MeanField                out = 1/(γ₀N)     [1 | ηγ₀²N] for all, W⁰/√D, one hidden layer               as MuP
//
// with γ = γ₀√N₀, held fixed. In the standard parametrisation, PyTorch's without its factor 3 in variances, f =
// w_std·φ/γ and W_std = W/√N, so ∂f/∂W = ∂f/∂W_std/√N and a learning rate that does not depend on N moves W by N times
// more than in the NTK parametrisation; W⁰_std = W⁰/√D and its rate have no N in them. As they stand the input weights
// have N₀/D times the learning rate of the others, as networks of the base width in MuP do; with Rates.Input = D/N₀ one
// literal learning rate ηγ₀² serves all.
//
// As N → ∞ networks in the parametrisation NTK become lazy: they follow the static NTK (Jacot, Gabriel & Hongler 2018,
// arXiv 1806.07572), and in the standard one their NTK grows ∝ N, until a fixed learning rate is unstable; in MuP they
// learn features (Yang & Hu 2020, arXiv 2011.14522; table 3 of Yang et al. 2022, arXiv 2203.03466). Weight decay is
// decoupled, a factor 1 − ηλ of every weight a step, at every width.
const (
	MuP                     Parametrization = "mup"
	NTKParametrization      Parametrization = "ntk"
	StandardParametrization Parametrization = "standard"
	MeanField               Parametrization = "mean-field"
)

// AtWidth is the Problem that a network of a width trains, when networks of the base width train p itself. The empty
// Parametrization is MuP, which needs no base.
func (a Parametrization) AtWidth(p *Problem, width, base int) (*Problem, error) {
	p = p.WithDefaults()
	switch a {
	case "", MuP:
		return p, nil
	case MeanField:
		if p.Network.Depth != 1 || p.Network.matrices() > 0 {
			return nil, fmt.Errorf("dmft: the mean-field parametrisation is for one hidden layer, where it is %s; use %[1]s for depth %d", MuP, p.Network.Depth)
		}
		return p, nil
	case NTKParametrization, StandardParametrization:
	default:
		return nil, fmt.Errorf("dmft: unknown parametrisation %q; use %s, %s, %s or %s", a, MuP, NTKParametrization, StandardParametrization, MeanField)
	}
	if width < 1 || base < 1 {
		return nil, fmt.Errorf("dmft: width %d and base width %d of the parametrisation %s; both must be 1 or more", width, base, a)
	}
	q := *p
	q.Richness *= math.Sqrt(float64(base) / float64(width))
	if a == StandardParametrization {
		if p.Network.Bias > 0 && p.Network.Depth != 1 || p.Network.Blocks != nil && arch.CostOf(p.Network.Blocks).Leaves > 0 {
			return nil, fmt.Errorf("dmft: in the parametrisation %s biases of hidden layers learn at a constant rate and their weights at one ∝ N, and both have one rate here; use no biases, or %s", a, MuP)
		}
		r := &q.Training.Rates
		*r = r.OrOne()
		grow := float64(width) / float64(base)
		r.Hidden *= grow
		r.Readout *= grow
	}
	return &q, nil
}

// WithExponent is the branch of networks whose scale falls with another power of the depth, β′L^{−α′} with β′ = β
// L₀^{α′−α}: α′ = ½ is depth-μP, 0 no scaling with depth, 1 the mean-field one. At the base depth L₀ nothing changes;
// with base 1, β′ = β.
func (b Branch) WithExponent(exponent float64, base int) Branch {
	b.Beta *= math.Pow(float64(base), exponent-b.Exponent)
	b.Exponent = exponent
	return b
}
