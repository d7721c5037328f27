package arch

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/field"
)

// Residual is h + s·branch(h). Weights inside learn at Rate times the learning rate of hidden layers, 1 when it is
// zero.
type Residual struct {
	Scale  float64 // s, such as β L^{−α}
	Rate   float64 // such as L^ρ
	Branch []Block
}

// Validate implements Block.
func (d Residual) Validate() error {
	if math.IsNaN(d.Scale) || math.IsInf(d.Scale, 0) {
		return fmt.Errorf("arch: the scale of a residual branch is %g; it must be finite", d.Scale)
	}
	if !(d.Rate >= 0) || math.IsInf(d.Rate, 0) {
		return fmt.Errorf("arch: the relative learning rate of a residual branch is %g; it must be finite and not negative", d.Rate)
	}
	if len(d.Branch) == 0 {
		return errors.New("arch: a residual branch without blocks")
	}
	return Validate(d.Branch)
}

// Cost implements Block. The sum lives where the branch's output does, unless that is needed again.
func (d Residual) Cost() Cost {
	var c Cost
	for _, b := range d.Branch {
		c = c.Add(b.Cost())
	}
	if _, ok := d.Branch[len(d.Branch)-1].(Linear); !ok {
		c = c.Add(Cost{Fields: 1, Gradients: 1})
	}
	return c
}

// Layer64 implements Block.
func (d Residual) Layer64(b *Builder[float64], in *Field[float64]) (Layer[float64], *Field[float64]) {
	return newResidual(d, b, in)
}

// Layer32 implements Block.
func (d Residual) Layer32(b *Builder[float32], in *Field[float32]) (Layer[float32], *Field[float32]) {
	return newResidual(d, b, in)
}

// residual is a Residual at work.
type residual[T field.Float] struct {
	in, inner, out *Field[T] // inner is the output of the branch; out has its values
	branch         []Layer[T]
	scale          T
}

func newResidual[T field.Float](d Residual, b *Builder[T], in *Field[T]) (Layer[T], *Field[T]) {
	scale, rate := b.scale, b.rate
	b.scale *= d.Scale
	if d.Rate != 0 {
		b.rate *= d.Rate
	}
	l := &residual[T]{in: in, scale: T(d.Scale)}
	l.branch, l.inner = b.chain(d.Branch, in)
	b.scale, b.rate = scale, rate
	*l.inner.kind = *in.kind
	l.out = &Field[T]{Value: l.inner.Value, N: l.inner.N, kind: in.kind, grad: l.inner.grad}
	if l.inner.overwritten { // the gradient of the sum is still needed when the branch has changed its own, and its output may be recorded
		l.out = b.field(l.inner.N, true)
		l.out.kind = in.kind
	}
	return l, l.out
}

// Forward implements Layer.
func (l *residual[T]) Forward(r int) {
	for _, b := range l.branch {
		b.Forward(r)
	}
	if l.inner.overwritten {
		copy(l.out.Value.Data, l.inner.Value.Data)
	}
	combine2(l.out.Value.Data, l.scale, l.in.Value.Data)
}

// Backward implements Layer.
func (l *residual[T]) Backward(r, pass int) {
	e := l.out.Grad(pass).Data
	if l.inner.overwritten {
		copy(l.inner.Grad(pass).Data, e)
	}
	for i := len(l.branch) - 1; i >= 0; i-- {
		l.branch[i].Backward(r, pass)
	}
	combine2(l.in.Grad(pass).Data, l.scale, e)
}

// Accumulate implements Layer.
func (l *residual[T]) Accumulate(dst int, beta, a float64) {
	for _, b := range l.branch {
		b.Accumulate(dst, beta, a)
	}
}

// combine2 sets x ← a·x + y.
func combine2[T field.Float](x []T, a T, y []T) {
	y = y[:len(x)]
	for i := range x {
		x[i] = a*x[i] + y[i]
	}
}

// Static implements Block.
func (d Residual) Static() Static { return &residualStatic{Residual: d} }

type residualStatic struct {
	Residual
	branch []rule
}

// Forward implements Static: what the branch adds has weights that the stream has not met.
func (d *residualStatic) Forward(s *StaticNet, in *mat.SymDense) (*mat.SymDense, error) {
	scale, rate := s.scale, s.rate
	s.scale *= d.Scale
	if d.Rate != 0 {
		s.rate *= d.Rate
	}
	var inner *mat.SymDense
	var err error
	d.branch, inner, err = s.chain(d.Residual.Branch, in)
	s.scale, s.rate = scale, rate
	if err != nil {
		return nil, err
	}
	s2 := d.Scale * d.Scale
	return symmetric(in.SymmetricDim(), func(i, j int) float64 { return in.At(i, j) + s2*inner.At(i, j) }), nil
}

// Backward implements Static.
func (d *residualStatic) Backward(s *StaticNet, out *mat.SymDense) *mat.SymDense {
	inner := s.back(d.branch, out)
	s2 := d.Scale * d.Scale
	return symmetric(inner.SymmetricDim(), func(i, j int) float64 { return out.At(i, j) + s2*inner.At(i, j) })
}
