package kernels

import (
	"errors"
	"fmt"
	"math"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// Gram returns Kx = X Xᵀ/D of the rows of x, D = number of columns. For a sparse x (a *sparse.CSR) it costs the products of
// non-zeros only.
func Gram(x mat.Matrix) *mat.SymDense {
	p, d := x.Dims()
	k := mat.NewSymDense(p, nil)
	inv := 1 / float64(d)
	if s, ok := x.(*sparse.CSR); ok {
		raw := s.RawMatrix()
		row := make([]float64, d)
		for i := range p {
			for q := raw.Indptr[i]; q < raw.Indptr[i+1]; q++ {
				row[raw.Ind[q]] = raw.Data[q]
			}
			for j := i; j < p; j++ {
				v := 0.
				for q := raw.Indptr[j]; q < raw.Indptr[j+1]; q++ {
					v += raw.Data[q] * row[raw.Ind[q]]
				}
				k.SetSym(i, j, v*inv)
			}
			for q := raw.Indptr[i]; q < raw.Indptr[i+1]; q++ {
				row[raw.Ind[q]] = 0
			}
		}
		return k
	}
	dense, ok := x.(*mat.Dense)
	if !ok {
		dense = mat.DenseCopyOf(x)
	}
	r := dense.RawMatrix()
	full := la.New[float64](p, p)
	m := la.Mat[float64]{Rows: r.Rows, Cols: r.Cols, Stride: r.Stride, Data: r.Data}
	la.Gemm(la.N, la.T, inv, m, m, 0, full)
	for i := range p {
		for j := i; j < p; j++ {
			k.SetSym(i, j, full.Row(i)[j])
		}
	}
	return k
}

// Architecture is a network in the parametrisation h¹ = W⁰x/√D, h^{ℓ+1} = s h^ℓ + b W^ℓφ(h^ℓ)/√N, f = w·φ(h^L)/(γ₀N), all weights
// N(0,1): s = 0, b = 1 for an MLP, s = 1, b = Beta·Depth^{−Exponent} for a residual network.
type Architecture struct {
	Depth      int // hidden layers L ≥ 1
	Residual   bool
	Beta       float64
	Exponent   float64
	Activation Activation
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
	NTK *mat.SymDense   // K = Φ^L + G¹∘Kx + b² Σ_ℓ G^{ℓ+1}∘Φ^ℓ
}

// NTK computes the kernels of points with Gram matrix kx (Jacot, Gabriel & Hongler 2018, arXiv 1806.07572; in this
// parametrisation Bordelon & Pehlevan 2022, arXiv 2205.09653, eq. 6). Forward and backward weights are independent in this limit:
//
//	H^{ℓ+1} = s²H^ℓ + b²Φ^ℓ,   G^ℓ = s²G^{ℓ+1} + b² E[φ′φ′]^ℓ∘G^{ℓ+1},   G^L = E[φ′φ′]^L
func NTK(net Architecture, kx mat.Symmetric) (Kernels, error) {
	if net.Depth < 1 {
		return Kernels{}, fmt.Errorf("kernels: depth %d; at least one hidden layer is needed", net.Depth)
	}
	if err := net.Activation.Validate(); err != nil {
		return Kernels{}, err
	}
	n := kx.SymmetricDim()
	if n == 0 {
		return Kernels{}, errors.New("kernels: an empty Gram matrix")
	}
	s, b := net.Coefficients()
	var k Kernels
	var dot []*mat.SymDense
	h := mat.NewSymDense(n, nil)
	h.CopySym(kx)
	for l := range net.Depth {
		phi, d := mat.NewSymDense(n, nil), mat.NewSymDense(n, nil)
		net.Activation.DualMatrix(phi, d, h)
		k.H, k.Phi, dot = append(k.H, h), append(k.Phi, phi), append(dot, d)
		if l < net.Depth-1 {
			next := mat.NewSymDense(n, nil)
			each(next, func(i, j int) float64 { return s*s*h.At(i, j) + b*b*phi.At(i, j) })
			h = next
		}
	}
	k.G = make([]*mat.SymDense, net.Depth)
	k.G[net.Depth-1] = dot[net.Depth-1]
	for l := net.Depth - 2; l >= 0; l-- {
		up, d := k.G[l+1], dot[l]
		k.G[l] = mat.NewSymDense(n, nil)
		each(k.G[l], func(i, j int) float64 { return (s*s + b*b*d.At(i, j)) * up.At(i, j) })
	}
	k.NTK = mat.NewSymDense(n, nil)
	each(k.NTK, func(i, j int) float64 {
		v := k.Phi[net.Depth-1].At(i, j) + k.G[0].At(i, j)*kx.At(i, j)
		for l := range net.Depth - 1 {
			v += b * b * k.G[l+1].At(i, j) * k.Phi[l].At(i, j)
		}
		return v
	})
	return k, nil
}

func each(m *mat.SymDense, f func(i, j int) float64) {
	for i := range m.SymmetricDim() {
		for j := i; j < m.SymmetricDim(); j++ {
			m.SetSym(i, j, f(i, j))
		}
	}
}

// Alignment is Tr(YᵀKY)/(‖K‖·‖YYᵀ‖) of an n×n kernel with n×k targets, 1 when K ∝ YYᵀ; 0 when either vanishes.
func Alignment(k, y *mat.Dense) float64 {
	n, c := y.Dims()
	ky := mat.NewDense(n, c, nil)
	ky.Mul(k, y)
	num := 0.
	for i := range n {
		for j := range c {
			num += ky.At(i, j) * y.At(i, j)
		}
	}
	yy := mat.NewDense(c, c, nil)
	yy.Mul(y.T(), y) // has the Frobenius norm of YYᵀ
	den := norm(k) * norm(yy)
	if den == 0 {
		return 0
	}
	return num / den
}

// Movement is ‖K − K₀‖/‖K₀‖ in the Frobenius norm.
func Movement(k, k0 *mat.Dense) float64 {
	d := new(mat.Dense)
	d.Sub(k, k0)
	den := norm(k0)
	if den == 0 {
		return 0
	}
	return norm(d) / den
}

func norm(m *mat.Dense) float64 {
	r := m.RawMatrix()
	s := 0.
	for i := range r.Rows {
		v := blas64.Nrm2(blas64.Vector{N: r.Cols, Data: r.Data[i*r.Stride:], Inc: 1})
		s += v * v
	}
	return math.Sqrt(s)
}
