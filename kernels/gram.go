package kernels

import (
	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// Gram returns the P×P matrix Kx = X Xᵀ/D of the rows of the P×D matrix x. For a sparse x (of
// github.com/james-bowman/sparse) it costs P products with the non-zeros only. It panics when x is empty.
func Gram(x mat.Matrix) *mat.SymDense {
	p, d := x.Dims()
	k := mat.NewSymDense(p, nil)
	inv := 1 / float64(d)
	if c, ok := x.(sparse.TypeConverter); ok {
		raw := c.ToCSR().RawMatrix()
		row := make([]float64, d)
		for i := range p {
			for q := raw.Indptr[i]; q < raw.Indptr[i+1]; q++ {
				row[raw.Ind[q]] += raw.Data[q] // an index may stand twice
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

// Alignment is Tr(YᵀKY)/(‖K‖·‖YYᵀ‖), in Frobenius norms, of an n×n kernel with n×c targets: 1 when K ∝ YYᵀ; 0 when
// either vanishes (Cortes, Mohri & Rostamizadeh 2012, arXiv 1203.0550, without the centring). It panics when the shapes
// do not fit.
func Alignment(k, y mat.Matrix) float64 {
	var ky, yky, yy mat.Dense
	ky.Mul(k, y)
	yky.Mul(y.T(), &ky)
	yy.Mul(y.T(), y) // has the Frobenius norm of YYᵀ
	den := mat.Norm(k, 2) * mat.Norm(&yy, 2)
	if den == 0 {
		return 0
	}
	return mat.Trace(&yky) / den
}

// Movement is ‖K − K₀‖/‖K₀‖ in the Frobenius norm, and 0 when K₀ vanishes. It panics when the shapes differ.
func Movement(k, k0 mat.Matrix) float64 {
	den := mat.Norm(k0, 2)
	if den == 0 {
		return 0
	}
	var d mat.Dense
	d.Sub(k, k0)
	return mat.Norm(&d, 2) / den
}
