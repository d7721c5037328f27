package arch

import (
	"fmt"
	"math"
	"sync"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/csr"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// Space is a way of holding a site of the first layer. Both follow the same dynamics to rounding; they differ in cost.
type Space string

// In data space a site is its preactivations h ∈ R^P on all points, in input space its weights w ∈ R^D.
const (
	AutoSpace  Space = ""      // whichever is cheaper per step
	DataSpace  Space = "data"  // cost P_train·(P_train + P_test) per site and step
	InputSpace Space = "input" // cost D·(2 P_train + P_test), or the non-zeros of a sparse input matrix
)

// ChooseSpace picks the cheaper way of holding the first layer, unless one is asked for: of P×D inputs and as many test
// points as given.
func ChooseSpace(inputs mat.Matrix, test int, want Space) (Space, error) {
	switch want {
	case DataSpace, InputSpace:
		return want, nil
	case AutoSpace:
	default:
		return "", fmt.Errorf("arch: unknown way %q of holding sites; use %s or %s", want, DataSpace, InputSpace)
	}
	p, dim := inputs.Dims()
	input := float64(dim) * float64(2*p+test)
	if c, ok := inputs.(*sparse.CSR); ok {
		// Indirect addressing of non-zeros costs about four times a dense product of the same size.
		perRow := float64(c.NNZ()) / float64(p)
		input = 4 * perRow * float64(2*p+test)
	}
	if input < float64(p)*float64(p+test) {
		return InputSpace, nil
	}
	return DataSpace, nil
}

// Inputs are the points that a network is fed, prepared for a precision: training points first, then test points.
type Inputs[T field.Float] struct {
	Train, All, Dim int
	Space           Space
	Joint           mat.Matrix           // All×Dim inputs, dense or CSR
	Gram            func() *mat.SymDense // training Gram matrix Kx = X Xᵀ/D; made when it is first asked for

	kx     field.Mat[T]   // Train×All rows of the joint Gram matrix (data space)
	x, xt  field.Mat[T]   // All×Dim inputs/√D and its transpose (input space, dense)
	csr    *csr.Matrix[T] // inputs/√D (input space, sparse)
	factor func() (gaussian.Factor, bool, error)
}

// NewInputs prepares training inputs, P×D, and test inputs, of which nil is none; both may be dense or sparse.
func NewInputs[T field.Float](train, test mat.Matrix, space Space) (*Inputs[T], error) {
	np, dim := train.Dims()
	pt := 0
	if test != nil {
		pt, _ = test.Dims()
	}
	space, err := ChooseSpace(train, pt, space)
	if err != nil {
		return nil, err
	}
	in := &Inputs[T]{Train: np, All: np + pt, Dim: dim, Space: space, Joint: Stack(train, test)}
	in.factor = func() (gaussian.Factor, bool, error) { return gaussian.Factor{Rank: dim}, false, nil }
	in.Gram = sync.OnceValue(func() *mat.SymDense { return kernels.Gram(train) })
	if space == DataSpace {
		joint := kernels.Gram(in.Joint)
		in.kx = field.New[T](np, np+pt)
		for i := range np {
			for j := range np + pt {
				in.kx.Row(i)[j] = T(joint.At(i, j))
			}
		}
		if dim > np+pt {
			once := sync.OnceValues(func() (gaussian.Factor, error) { return gaussian.NewFactor(np+pt, joint.At) })
			in.factor = func() (gaussian.Factor, bool, error) {
				f, err := once()
				if err != nil {
					err = fmt.Errorf("arch: Gram matrix of the inputs: %w", err)
				}
				return f, true, err
			}
		}
		return in, nil
	}
	scale := 1 / math.Sqrt(float64(dim))
	if s, ok := in.Joint.(*sparse.CSR); ok {
		in.csr = csr.New[T](s, scale)
		return in, nil
	}
	in.x, in.xt = field.New[T](np+pt, dim), field.New[T](dim, np+pt)
	for i := range np + pt {
		for j := range dim {
			v := T(in.Joint.At(i, j) * scale)
			in.x.Row(i)[j], in.xt.Row(j)[i] = v, v
		}
	}
	return in, nil
}

// Columns is the number of columns of the first layer's state: one per point or one per input.
func (in *Inputs[T]) Columns() int {
	if in.Space == DataSpace {
		return in.All
	}
	return in.Dim
}

// draw makes the first layer of n neurons or sites: of white numbers for every input, or for every independent field
// over the points.
func (in *Inputs[T]) draw(dst field.Mat[T], n int, independent bool, init Init[T]) error {
	if independent {
		f, factored, err := in.factor()
		if err != nil {
			return err
		}
		z, err := init.Input(n, f.Rank)
		if err != nil {
			return err
		}
		if factored { // fields over all points are z·Fᵀ
			h := field.New[float64](n, in.All)
			la.Gemm(la.N, la.T, 1, z, f.F, 0, h)
			la.Convert(dst.Data, h.Data)
			return nil
		}
		in.set(dst, z)
		return nil
	}
	w, err := init.Input(n, in.Dim)
	if err == nil {
		in.set(dst, w)
	}
	return err
}

// set sets the first layer of some neurons from their input weights w, rows×D: the weights themselves in input space, h
// = W Xᵀ/√D in data space.
func (in *Inputs[T]) set(dst field.Mat[T], w field.Mat[float64]) {
	if in.Space == InputSpace {
		la.Convert(dst.Data, w.Data)
		return
	}
	h := field.New[float64](w.Rows, in.All)
	scale := 1 / math.Sqrt(float64(in.Dim))
	if s, ok := in.Joint.(*sparse.CSR); ok {
		csr.New[float64](s, scale).Mul(h, w)
	} else {
		la.Gemm(la.N, la.T, scale, w, view(in.Joint), 0, h)
	}
	la.Convert(dst.Data, h.Data)
}

// forward sets h¹ from the state of the first layer.
func (in *Inputs[T]) forward(h *Field[T], state field.Mat[T]) {
	switch {
	case in.Space == DataSpace:
		h.Value = state // W⁰x/√D is held itself
	case in.csr != nil:
		in.csr.Mul(h.Value, state)
	default:
		la.Gemm(la.N, la.N, 1, state, in.xt, 0, h.Value)
	}
}

// accumulate sets the state to beta times itself plus a·e Xᵀ/√D, or what that does to the fields.
func (in *Inputs[T]) accumulate(state field.Mat[T], beta, a float64, e field.Mat[T]) {
	switch {
	case in.Space == DataSpace:
		la.Gemm(la.N, la.N, T(a), e, in.kx, T(beta), state)
	case in.csr != nil:
		in.csr.AddMul(state, T(beta), T(a), e)
	default:
		la.Gemm(la.N, la.N, T(a), e, in.x.Slice(0, in.Train, 0, in.Dim), T(beta), state)
	}
}

// view is m itself when it is dense, a copy otherwise.
func view(m mat.Matrix) field.Mat[float64] {
	d, ok := m.(*mat.Dense)
	if !ok {
		d = mat.DenseCopyOf(m)
	}
	return field.Mat[float64](d.RawMatrix())
}

// Stack puts the rows of b, if there are any, below those of a, keeping sparsity when both are sparse.
func Stack(a, b mat.Matrix) mat.Matrix {
	if b == nil {
		return a
	}
	ra, d := a.Dims()
	rb, _ := b.Dims()
	sa, aok := a.(*sparse.CSR)
	sb, bok := b.(*sparse.CSR)
	if aok && bok {
		x, y := sa.RawMatrix(), sb.RawMatrix()
		ptr := append([]int(nil), x.Indptr...)
		for _, p := range y.Indptr[1:] {
			ptr = append(ptr, p+x.Indptr[ra])
		}
		return sparse.NewCSR(ra+rb, d, ptr, append(append([]int(nil), x.Ind...), y.Ind...), append(append([]float64(nil), x.Data...), y.Data...))
	}
	out := mat.NewDense(ra+rb, d, nil)
	out.Slice(0, ra, 0, d).(*mat.Dense).Copy(a)
	out.Slice(ra, ra+rb, 0, d).(*mat.Dense).Copy(b)
	return out
}
