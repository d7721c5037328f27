package arch

import (
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/kernels"
)

// Activation is a nonlinearity φ(h), element by element. Its outputs are what a Trajectory records as a hidden layer.
type Activation struct {
	Function kernels.Activation
}

// Validate implements Block.
func (a Activation) Validate() error { return a.Function.Validate() }

// Activations says which nonlinearities are in the block.
func (a Activation) Activations() []kernels.Activation { return []kernels.Activation{a.Function} }

// Cost implements Block: φ and φ′. Gradients are those of the layer before.
func (a Activation) Cost() Cost { return Cost{Fields: 2} }

// Layer64 implements Block.
func (a Activation) Layer64(b *Builder[float64], in *Field[float64]) (Layer[float64], *Field[float64]) {
	return newActivation(a, b, in, a.Function.Eval)
}

// Layer32 implements Block.
func (a Activation) Layer32(b *Builder[float32], in *Field[float32]) (Layer[float32], *Field[float32]) {
	return newActivation(a, b, in, a.Function.Eval32)
}

// activation is an Activation at work.
type activation[T field.Float] struct {
	in, out *Field[T]
	slope   field.Mat[T] // φ′ at the points with gradients, perhaps with room for all
	back    int          // points with gradients
	eval    func(phi, dphi, h []T)
}

// longRow is the number of points from which a row of fields is enough for a call of a vector kernel.
const longRow = 256

func newActivation[T field.Float](_ Activation, b *Builder[T], in *Field[T], eval func(phi, dphi, h []T)) (Layer[T], *Field[T]) {
	l := &activation[T]{in: in, out: b.sharing(in), back: b.Back, eval: eval}
	rows := in.N * b.Replicas
	if b.All > b.Back && b.All >= longRow {
		l.slope = field.New[T](rows, b.Back)
	} else { // test columns too, so that one call makes a layer
		l.slope = field.New[T](rows, b.All).Slice(0, rows, 0, b.Back)
	}
	b.Record(in, l.out)
	return l, l.out
}

// Forward implements Layer: φ on every point and φ′ on those with gradients.
func (l *activation[T]) Forward(int) {
	h, phi := l.in.Value, l.out.Value
	if l.slope.Stride == h.Stride {
		l.eval(phi.Data, l.slope.Data[:len(h.Data)], h.Data)
		return
	}
	for i := range h.Rows {
		hi, fi := h.Row(i), phi.Row(i)
		l.eval(fi[:l.back], l.slope.Row(i), hi[:l.back])
		l.eval(fi[l.back:], nil, hi[l.back:])
	}
}

// Backward implements Layer, in place.
func (l *activation[T]) Backward(_, pass int) { multiply(l.in.Grad(pass), l.slope) }

// backwardReadout implements readoutLayer: φ′∘(w v), with a row of v for every replica.
func (l *activation[T]) backwardReadout(pass int, w, v field.Mat[T]) {
	e := l.in.Grad(pass)
	for i := range v.Rows {
		vi := v.Row(i)
		for j := i * l.in.N; j < (i+1)*l.in.N; j++ {
			w, d, dst := w.Data[j], l.slope.Row(j), e.Row(j)
			for m, x := range vi {
				dst[m] = w * x * d[m]
			}
		}
	}
}

// Accumulate implements Layer: there are no weights.
func (l *activation[T]) Accumulate(int, float64, float64) {}

// Static implements Block.
func (a Activation) Static() Static { return &activationStatic{Activation: a} }

type activationStatic struct {
	Activation
	slope *mat.SymDense // E φ′φ′
}

// Forward implements Static: Φ = E φ(h)φ(h′) for Gaussian fields.
func (a *activationStatic) Forward(s *StaticNet, in *mat.SymDense) (*mat.SymDense, error) {
	if err := s.covariance(in); err != nil {
		return nil, err
	}
	n := in.SymmetricDim()
	phi := mat.NewSymDense(n, nil)
	a.slope = mat.NewSymDense(n, nil)
	a.Function.DualMatrix(phi, a.slope, in)
	s.H = append(s.H, in)
	s.Phi, s.G = append(s.Phi, phi), append(s.G, nil)
	return phi, nil
}

// Backward implements Static: E φ′φ′ ∘ the covariance of the gradients of the output.
func (a *activationStatic) Backward(_ *StaticNet, out *mat.SymDense) *mat.SymDense {
	return symmetric(out.SymmetricDim(), func(i, j int) float64 { return a.slope.At(i, j) * out.At(i, j) })
}

func symmetric(n int, f func(i, j int) float64) *mat.SymDense {
	m := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			m.SetSym(i, j, f(i, j))
		}
	}
	return m
}
