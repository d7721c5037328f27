package kernels

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Architecture is a network in the parametrisation h¹ = W⁰x/√D + σ_b b⁰, h^{ℓ+1} = s h^ℓ + b(W^ℓφ(h^ℓ)/√N + σ_b b^ℓ), f
// = w·φ(h^L)/(γ₀N), all weights and biases N(0,1): s = 0, b = 1 for an MLP, s = 1, b = Beta·Depth^{−Exponent} for a
// residual network.
type Architecture struct {
	Depth      int // hidden layers L ≥ 1
	Residual   bool
	Beta       float64
	Exponent   float64
	Activation Activation
	Bias       float64 // σ_b ≥ 0; 0 is a network without biases
}

// Validate says what is wrong with an architecture.
func (a Architecture) Validate() error {
	if a.Depth < 1 {
		return fmt.Errorf("kernels: depth %d; at least one hidden layer is needed", a.Depth)
	}
	if _, b := a.Coefficients(); !finite(b) {
		return fmt.Errorf("kernels: the branch scale %g·%d^−%g of a residual network is %g; it must be finite", a.Beta,
			a.Depth, a.Exponent, b)
	}
	if !(a.Bias >= 0) || math.IsInf(a.Bias, 0) {
		return fmt.Errorf("kernels: the scale %g of the biases must be finite and not negative", a.Bias)
	}
	return a.Activation.Validate()
}

// Coefficients are s and b.
func (a Architecture) Coefficients() (s, b float64) {
	if !a.Residual {
		return 0, 1
	}
	return 1, a.Beta * math.Pow(float64(a.Depth), -a.Exponent)
}

// Kernels are the infinite-width kernels of a network at initialisation, layer ℓ at index ℓ−1.
type Kernels struct {
	H   []*mat.SymDense // covariance of the preactivations
	Phi []*mat.SymDense // Φ^ℓ = E φ(h^ℓ)φ(h^ℓ), the NNGP kernels
	G   []*mat.SymDense // G^ℓ = E g^ℓg^ℓ
	NTK *mat.SymDense   // K = Φ^L + G¹∘(Kx + σ_b²) + b² Σ_ℓ G^{ℓ+1}∘(Φ^ℓ + σ_b²)
}

// NTK computes the kernels of points with Gram matrix kx (Jacot, Gabriel & Hongler 2018, arXiv 1806.07572; in this
// parametrisation Bordelon & Pehlevan 2022, arXiv 2205.09653, eq. 6). Forward and backward weights are independent in
// this limit:
//
//	H¹ = Kx + σ_b²,   H^{ℓ+1} = s²H^ℓ + b²(Φ^ℓ + σ_b²),   G^ℓ = s²G^{ℓ+1} + b² E[φ′φ′]^ℓ∘G^{ℓ+1},   G^L = E[φ′φ′]^L
//
// The blocks between training and test points are those of the joint Gram matrix. It takes O(P²L) time and memory.
func NTK(net Architecture, kx mat.Symmetric) (Kernels, error) {
	if err := net.Validate(); err != nil {
		return Kernels{}, err
	}
	n := kx.SymmetricDim()
	if n == 0 {
		return Kernels{}, errors.New("kernels: an empty Gram matrix")
	}
	s, b := net.Coefficients()
	var k Kernels
	var dot []*mat.SymDense
	bias := net.Bias * net.Bias
	h := mat.NewSymDense(n, nil)
	fill(h, func(i, j int) float64 { return kx.At(i, j) + bias })
	for l := range net.Depth {
		if err := covariance(h, l+1); err != nil {
			return Kernels{}, err
		}
		phi, d := mat.NewSymDense(n, nil), mat.NewSymDense(n, nil)
		net.Activation.DualMatrix(phi, d, h)
		k.H, k.Phi, dot = append(k.H, h), append(k.Phi, phi), append(dot, d)
		if l < net.Depth-1 {
			next := mat.NewSymDense(n, nil)
			fill(next, func(i, j int) float64 { return s*s*h.At(i, j) + b*b*(phi.At(i, j)+bias) })
			h = next
		}
	}
	k.G = make([]*mat.SymDense, net.Depth)
	k.G[net.Depth-1] = dot[net.Depth-1]
	for l := net.Depth - 2; l >= 0; l-- {
		up, d := k.G[l+1], dot[l]
		k.G[l] = mat.NewSymDense(n, nil)
		fill(k.G[l], func(i, j int) float64 { return (s*s + b*b*d.At(i, j)) * up.At(i, j) })
	}
	k.NTK = mat.NewSymDense(n, nil)
	fill(k.NTK, func(i, j int) float64 {
		v := k.Phi[net.Depth-1].At(i, j) + k.G[0].At(i, j)*(kx.At(i, j)+bias)
		for l := range net.Depth - 1 {
			v += b * b * k.G[l+1].At(i, j) * (k.Phi[l].At(i, j) + bias)
		}
		return v
	})
	return k, nil
}

// covariance checks the covariance of the fields of a layer.
func covariance(h *mat.SymDense, layer int) error {
	for i := range h.SymmetricDim() {
		if v := h.At(i, i); !finite(v) || v < 0 {
			what := "the kernels of the layers before overflow: use a smaller gain, depth or branch scale"
			if layer == 1 {
				what = "the Gram matrix needs a finite diagonal, not negative"
			}
			return fmt.Errorf("kernels: layer %d, point %d: the variance of the field is %g; %s", layer, i, v, what)
		}
		for j := i + 1; j < h.SymmetricDim(); j++ {
			if v := h.At(i, j); !finite(v) {
				return fmt.Errorf("kernels: layer %d, points %d and %d: the covariance of the fields is %g", layer, i, j, v)
			}
		}
	}
	return nil
}

func fill(m *mat.SymDense, f func(i, j int) float64) {
	for i := range m.SymmetricDim() {
		for j := i; j < m.SymmetricDim(); j++ {
			m.SetSym(i, j, f(i, j))
		}
	}
}
