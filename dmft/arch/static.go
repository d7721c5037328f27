package arch

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// StaticNet are the kernels over points of an infinitely wide network at the start. Layer ℓ is at index ℓ−1.
type StaticNet struct {
	H   []*mat.SymDense // covariance of the preactivations
	Phi []*mat.SymDense // Φ^ℓ = E φ(h^ℓ)φ(h^ℓ), the NNGP kernels
	G   []*mat.SymDense // G^ℓ = E g^ℓg^ℓ
	NTK *mat.SymDense   // K = κ_out Φ^L + κ_in G¹∘(Kx + σ_b²) + Σ s²κ G∘(Φ + σ_b²) over the Linear blocks

	rates       Rates
	scale, rate float64
	kx          *mat.SymDense // with the biases of the first layer
	terms       []staticTerm
}

// staticTerm is a Term with its kernels; a nil gradient is that of the readout.
type staticTerm struct {
	feature, gradient *mat.SymDense
	scale, bias       float64
}

// Kernels computes the kernels of points with Gram matrix kx, biases of scale σ_b in the first layer not included, from
// the rules of the blocks: for a multilayer perceptron or a residual network (Jacot, Gabriel & Hongler 2018, arXiv
// 1806.07572; in this parametrisation Bordelon & Pehlevan 2022, arXiv 2205.09653, eq. 6; b is the scale of branches, s
// whether there are skips)
//
//	H¹ = Kx + σ_b²,   H^{ℓ+1} = s²H^ℓ + b²(Φ^ℓ + σ_b²),   G^ℓ = s²G^{ℓ+1} + b² E[φ′φ′]^ℓ∘G^{ℓ+1},   G^L = E[φ′φ′]^L
//
// The blocks between training and test points are those of the joint Gram matrix. It takes O(P²L) time and memory.
func Kernels(blocks []Block, kx mat.Symmetric, bias float64, rates Rates) (*StaticNet, error) {
	if err := Validate(blocks); err != nil {
		return nil, err
	}
	n := kx.SymmetricDim()
	if n == 0 {
		return nil, errors.New("arch: an empty Gram matrix")
	}
	s := &StaticNet{rates: rates, scale: 1, rate: 1}
	s.kx = symmetric(n, func(i, j int) float64 { return kx.At(i, j) + bias*bias })
	layers, top, err := s.chain(blocks, s.kx)
	if err != nil {
		return nil, err
	}
	g := s.back(layers, symmetric(n, func(i, j int) float64 { return 1 })) // of φ^L it is that of the readout
	terms := append([]staticTerm{{feature: s.kx, gradient: g, scale: s.rates.Input}, {feature: top, scale: s.rates.Readout}}, s.terms...)
	s.NTK = symmetric(n, func(i, j int) float64 {
		v := 0.
		for _, t := range terms {
			v += Assemble(t.scale, t.at(i, j), t.feature.At(i, j)+t.bias)
		}
		return v
	})
	return s, nil
}

func (t *staticTerm) at(i, j int) float64 {
	if t.gradient == nil {
		return 1
	}
	return t.gradient.At(i, j)
}

// Assemble is an element of a Term of the neural tangent kernel: the scale times those of the kernel of the gradients
// and of the features, biases included.
func Assemble(scale, gradient, feature float64) float64 { return scale * gradient * feature }

// rule is a Static with what it was applied to.
type rule struct {
	Static
	in *mat.SymDense
}

// chain applies rules to a covariance.
func (s *StaticNet) chain(blocks []Block, in *mat.SymDense) (rules []rule, out *mat.SymDense, err error) {
	out = in
	for _, b := range blocks {
		r := rule{b.Static(), out}
		if out, err = r.Forward(s, out); err != nil {
			return nil, nil, err
		}
		rules = append(rules, r)
	}
	return rules, out, nil
}

// back applies rules backward. What comes out last for a field is its whole gradient, over the branch and the skip
// beside it.
func (s *StaticNet) back(rules []rule, g *mat.SymDense) *mat.SymDense {
	for i := len(rules) - 1; i >= 0; i-- {
		g = rules[i].Backward(s, g)
		for l, h := range s.H {
			if h == rules[i].in {
				s.G[l] = g
			}
		}
	}
	return g
}

// Tangent says that weights that multiply fields of covariance x contribute to the neural tangent kernel, and returns
// the number that SetGradient takes.
func (s *StaticNet) Tangent(x *mat.SymDense, step stepSize, bias float64) int {
	s.terms = append(s.terms, staticTerm{feature: x, scale: step.tangent(), bias: bias})
	return len(s.terms) - 1
}

// SetGradient gives a term the covariance of the gradients behind its weights.
func (s *StaticNet) SetGradient(term int, g *mat.SymDense) { s.terms[term].gradient = g }

func (s *StaticNet) step(rate float64) stepSize {
	return stepSize{scale: s.scale, rate: rate * s.rate}
}

// covariance checks the covariance of the fields that the next activation meets.
func (s *StaticNet) covariance(h *mat.SymDense) error {
	layer := len(s.H) + 1
	for i := range h.SymmetricDim() {
		if v := h.At(i, i); !finite(v) || v < 0 {
			what := "the kernels of the layers before overflow: use a smaller gain, depth or branch scale"
			if layer == 1 {
				what = "the Gram matrix needs a finite diagonal, not negative"
			}
			return fmt.Errorf("arch: layer %d, point %d: the variance of the field is %g; %s", layer, i, v, what)
		}
		for j := i + 1; j < h.SymmetricDim(); j++ {
			if v := h.At(i, j); !finite(v) {
				return fmt.Errorf("arch: layer %d, points %d and %d: the covariance of the fields is %g", layer, i, j, v)
			}
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
