package arch

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// Linear is a wide weight matrix with its biases, W x/√N + σ_b b, all elements N(0,1) at the start.
type Linear struct {
	Bias float64 // σ_b ≥ 0; 0 is none
}

// Validate implements Block.
func (l Linear) Validate() error {
	if !(l.Bias >= 0) || math.IsInf(l.Bias, 0) {
		return fmt.Errorf("arch: the scale %g of the biases must be finite and not negative", l.Bias)
	}
	return nil
}

// Activations says that there is no nonlinearity in the block.
func (l Linear) Activations() []kernels.Activation { return nil }

// Cost implements Block.
func (l Linear) Cost() Cost {
	c := Cost{Matrices: 1, Fields: 1, Gradients: 1}
	if l.Bias > 0 {
		c.Leaves = 1
	}
	return c
}

// Layer64 implements Block.
func (l Linear) Layer64(b *Builder[float64], in *Field[float64]) (Layer[float64], *Field[float64]) {
	return newLinear(l, b, in)
}

// Layer32 implements Block.
func (l Linear) Layer32(b *Builder[float32], in *Field[float32]) (Layer[float32], *Field[float32]) {
	return newLinear(l, b, in)
}

// linear is a Linear at work.
type linear[T field.Float] struct {
	in, out *Field[T]
	points  int               // training points
	w       []field.Matrix[T] // by replica
	net     *Net[T]
	bias    *Leaf[T]
	sigma   float64
	step    stepSize
}

func newLinear[T field.Float](d Linear, b *Builder[T], in *Field[T]) (Layer[T], *Field[T]) {
	l := &linear[T]{in: in, out: b.Field(in.N), points: b.Train, net: b.net, w: make([]field.Matrix[T], b.Replicas), sigma: d.Bias, step: b.step(b.rates.Hidden)}
	b.net.linear = append(b.net.linear, l)
	if d.Bias > 0 {
		l.bias = b.Leaf(l.out, 1)
	}
	b.Tangent(in, l.out, l.step.tangent(), d.Bias*d.Bias)
	return l, l.out
}

func (l *linear[T]) spec(index int) Spec {
	return Spec{Index: index, Rows: l.out.N, Cols: l.in.N, Out: *l.out.kind, In: *l.in.kind}
}

// Forward implements Layer.
func (l *linear[T]) Forward(r int) {
	for i, w := range l.w {
		if l.net.halted() {
			return
		}
		w.Mul(r, l.out.rows(l.out.Value, i), l.in.rows(l.in.Value, i))
	}
	if l.bias != nil {
		h, b := l.out.Value, l.bias.At(r)
		for i := range h.Rows {
			v := T(l.sigma) * b.Data[i]
			row := h.Row(i)
			for j := range row {
				row[j] += v
			}
		}
	}
}

// Backward implements Layer.
func (l *linear[T]) Backward(r, pass int) {
	dst, e := l.in.Grad(pass), l.out.Grad(pass)
	for i, w := range l.w {
		if l.net.halted() {
			return
		}
		w.MulT(r, l.in.rows(dst, i), l.out.rows(e, i))
	}
}

// Accumulate implements Layer: ∇W/√N = γ₀ s e xᵀ/N and ∇b = γ₀ s σ_b Σ_μ e_μ with the product s of the scales of all
// branches around.
func (l *linear[T]) Accumulate(dst int, beta, a float64) {
	e := l.out.Grad(0)
	for i, w := range l.w {
		if l.net.halted() {
			return
		}
		x := l.in.rows(l.in.Value, i)
		w.AddOuter(dst, beta, l.step.of(a), l.out.rows(e, i), x.Slice(0, x.Rows, 0, l.points))
	}
	if l.bias == nil {
		return
	}
	b := l.bias.At(dst)
	for i := range b.Rows {
		sum := 0.
		for _, v := range e.Row(i) {
			sum += float64(v)
		}
		v := &b.Data[i]
		if beta == 0 {
			*v = 0
		}
		*v = T(beta)**v + T(l.step.of(a)*l.sigma*sum)
	}
}

// Static implements Block.
func (l Linear) Static() Static { return &linearStatic{Linear: l} }

type linearStatic struct {
	Linear
	term int
}

// Forward implements Static: E (Wx/√N)(Wx′/√N) = ⟨x x′⟩.
func (l *linearStatic) Forward(s *StaticNet, in *mat.SymDense) (*mat.SymDense, error) {
	bias := l.Bias * l.Bias
	l.term = s.Tangent(in, s.step(s.rates.Hidden), bias)
	return symmetric(in.SymmetricDim(), func(i, j int) float64 { return in.At(i, j) + bias }), nil
}

// Backward implements Static.
func (l *linearStatic) Backward(s *StaticNet, out *mat.SymDense) *mat.SymDense {
	s.SetGradient(l.term, out)
	return out
}

// stepSize is what the gradient of weights is multiplied with.
type stepSize struct{ gamma, scale, rate float64 }

// of is the factor of a step of length a.
func (s stepSize) of(a float64) float64 { return a * s.gamma * s.scale * s.rate }

// tangent is the factor in the neural tangent kernel, s²κ.
func (s stepSize) tangent() float64 { return s.scale * s.scale * s.rate }

// multiply sets x ← x∘y.
func multiply[T field.Float](x, y field.Mat[T]) {
	if x.Cols == x.Stride && x.Cols == y.Stride {
		x, y = la.Mat[T]{Rows: 1, Cols: len(x.Data), Data: x.Data}, la.Mat[T]{Data: y.Data}
	}
	for i := range x.Rows {
		a, b := x.Data[i*x.Stride:][:x.Cols], y.Data[i*y.Stride:][:x.Cols]
		for j := range a {
			a[j] *= b[j]
		}
	}
}
