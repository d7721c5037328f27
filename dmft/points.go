package dmft

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// points are the inputs and targets of a Problem prepared for a precision: training points first, then test points.
type points[T field.Float] struct {
	*arch.Inputs[T]
	outputs int
	y, yt   target // train and test targets
}

// newPoints prepares the data of a problem.
func newPoints[T field.Float](p *Problem, space Space) (*points[T], error) {
	in, err := arch.NewInputs[T](p.Data.Inputs, p.Data.TestInputs, space)
	if err != nil {
		return nil, err
	}
	np, pt, _, c := p.Data.sizes()
	pts := &points[T]{Inputs: in, outputs: c}
	pts.y = target{loss: p.Training.Loss, y: flat(p.Data.Targets), p: np, c: c}
	pts.yt = target{loss: p.Training.Loss, p: 0, c: c}
	if pt > 0 {
		pts.yt.y, pts.yt.p = flat(p.Data.TestTargets), pt
	}
	return pts, nil
}

// Validate says what is wrong with a problem: shapes, numbers that are not finite, targets that do not suit the loss,
// settings out of range.
func (p *Problem) Validate() error {
	if p.Data.Inputs == nil || p.Data.Targets == nil {
		return errors.New("dmft: the problem has no inputs or no targets")
	}
	n, d := p.Data.Inputs.Dims()
	ny, c := p.Data.Targets.Dims()
	if n == 0 || d == 0 || c == 0 {
		return fmt.Errorf("dmft: inputs are %d×%d and targets %d×%d; none may be empty", n, d, ny, c)
	}
	if n != ny {
		return fmt.Errorf("dmft: inputs have %d rows and targets %d; there must be one target row per input row", n, ny)
	}
	if (p.Data.TestInputs == nil) != (p.Data.TestTargets == nil) {
		return errors.New("dmft: test inputs and test targets come together or not at all")
	}
	if err := p.Training.Loss.check("targets", p.Data.Targets); err != nil {
		return err
	}
	if p.Data.TestInputs != nil {
		nt, dt := p.Data.TestInputs.Dims()
		nyt, ct := p.Data.TestTargets.Dims()
		if dt != d || ct != c || nt != nyt {
			return fmt.Errorf("dmft: test inputs are %d×%d and test targets %d×%d; expected %d input and %d target columns and as many rows of both", nt, dt, nyt, ct, d, c)
		}
		if err := p.Training.Loss.check("test targets", p.Data.TestTargets); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		name string
		m    mat.Matrix
	}{{"inputs", p.Data.Inputs}, {"targets", p.Data.Targets}, {"test inputs", p.Data.TestInputs}, {"test targets", p.Data.TestTargets}} {
		if i, j, v := notFinite(m.m); i >= 0 {
			return fmt.Errorf("dmft: %s row %d, column %d is %g", m.name, i, j, v)
		}
	}
	for _, m := range []struct {
		name string
		m    mat.Matrix
	}{{"inputs", p.Data.Inputs}, {"test inputs", p.Data.TestInputs}} {
		if i := beyond(m.m); i >= 0 {
			return fmt.Errorf("dmft: %s row %d has a square |x|² beyond the range of float64; multiply or divide the inputs by a number (normalize: sphere or standard in an experiment file)", m.name, i)
		}
	}
	if !(p.Richness > 0) || math.IsInf(p.Richness, 0) {
		return fmt.Errorf("dmft: richness γ₀ = %g must be positive and finite; for the limit γ₀ → 0 use the lazy method", p.Richness)
	}
	if err := p.Network.validate(); err != nil {
		return err
	}
	t := p.Training
	if t.Steps < 1 {
		return fmt.Errorf("dmft: %d training steps; at least 1 is needed", t.Steps)
	}
	if err := t.Method.Validate(); err != nil {
		return fmt.Errorf("dmft: training: %w", err)
	}
	for _, r := range []float64{t.Rates.Input, t.Rates.Hidden, t.Rates.Readout} {
		if !(r >= 0) || math.IsInf(r, 0) {
			return fmt.Errorf("dmft: relative learning rates %g, %g and %g of input weights, hidden weights and readout must be finite and not negative", t.Rates.Input, t.Rates.Hidden, t.Rates.Readout)
		}
		if r == 0 && t.Rates != (Rates{}) && t.Method.WeightDecay != 0 {
			return errors.New("dmft: weight decay would shrink layers that are frozen by a relative learning rate of zero; use weight_decay 0")
		}
	}
	if t.Batch.Size < 0 || t.Batch.Size > n {
		return fmt.Errorf("dmft: mini-batches of %d from %d samples; use 1 to %d", t.Batch.Size, n, n)
	}
	if t.Batch.Size > 0 && t.Method.IsFlow() {
		return errors.New("dmft: gradient flow has no mini-batches; use an optimiser such as gd")
	}
	return nil
}

func (n Network) validate() error {
	if n.Blocks != nil || n.Kind == Listed {
		return n.validateBlocks()
	}
	if err := n.Activation.Validate(); err != nil {
		return fmt.Errorf("dmft: network: %w", err)
	}
	switch n.Kind {
	case "", TwoLayer:
		if n.Depth != 0 && n.Depth != 1 {
			return fmt.Errorf("dmft: a two-layer network has depth 1, not %d; use kind mlp or resnet for more hidden layers", n.Depth)
		}
	case MLP, ResNet:
		if n.Depth == InfiniteDepth {
			if err := n.checkInfinite(); err != nil {
				return err
			}
			break
		}
		if n.Depth < 1 {
			return fmt.Errorf("dmft: network depth %d; at least one hidden layer is needed", n.Depth)
		}
	default:
		return fmt.Errorf("dmft: unknown network kind %q; use %s, %s or %s", n.Kind, TwoLayer, MLP, ResNet)
	}
	return n.validateBias()
}

func (n Network) validateBias() error {
	if !(n.Bias >= 0) || math.IsInf(n.Bias, 0) {
		return fmt.Errorf("dmft: the scale %g of the biases must be finite and not negative", n.Bias)
	}
	return nil
}

func (n Network) validateBlocks() error {
	if n.Kind != "" && n.Kind != Listed {
		return fmt.Errorf("dmft: a network of kind %s and a list of blocks; leave out one of the two", n.Kind)
	}
	if err := arch.Validate(n.Blocks); err != nil {
		return fmt.Errorf("dmft: network: %w", err)
	}
	if n.Activation.Name != "" || n.Branch != (Branch{}) {
		return errors.New("dmft: activations and branches of a list of blocks are blocks of it; " +
			"leave out those of the network")
	}
	layers := arch.Layers(n.Blocks)
	if layers == 0 {
		return errors.New("dmft: blocks without an activation make no hidden layer; " +
			"for a linear network give the activation linear")
	}
	if n.Depth != 0 && n.Depth != layers {
		return fmt.Errorf("dmft: a depth of %d and blocks of %d layers; leave out the depth", n.Depth, layers)
	}
	return n.validateBias()
}

// matrices is how many wide weight matrices there are between the input layer and the readout, at finite depth.
func (n Network) matrices() int {
	if n.Blocks != nil {
		return arch.CostOf(n.Blocks).Matrices
	}
	return max(n.Depth, 1) - 1
}

// every says whether all activations have a property. Of blocks that do not say which they have, that is not known, and
// so false.
func (n Network) every(has func(kernels.Activation) bool) bool {
	if n.Blocks == nil {
		return has(n.Activation)
	}
	phi, ok := arch.Activations(n.Blocks)
	return ok && !slices.ContainsFunc(phi, func(a kernels.Activation) bool { return !has(a) })
}

// withBias returns the problem with the biases of the first layer as one more input, of value σ_b√D in the
// normalisation 1/√D.
func (p *Problem) withBias() *Problem {
	sigma := p.Network.Bias
	if sigma == 0 {
		return p
	}
	add := func(m mat.Matrix) mat.Matrix {
		r, d := m.Dims()
		one := math.Sqrt(float64(d + 1))
		scale := one / math.Sqrt(float64(d))
		if s, ok := m.(*sparse.CSR); ok {
			raw := s.RawMatrix()
			ptr, ind, val := []int{0}, []int(nil), []float64(nil)
			for i := range r {
				for k := raw.Indptr[i]; k < raw.Indptr[i+1]; k++ {
					ind, val = append(ind, raw.Ind[k]), append(val, raw.Data[k]*scale)
				}
				ind, val = append(ind, d), append(val, sigma*one)
				ptr = append(ptr, len(ind))
			}
			return sparse.NewCSR(r, d+1, ptr, ind, val)
		}
		out := mat.NewDense(r, d+1, nil)
		for i := range r {
			for j := range d {
				out.Set(i, j, scale*m.At(i, j))
			}
			out.Set(i, d, sigma*one)
		}
		return out
	}
	q := *p
	q.Data.Inputs = add(p.Data.Inputs)
	if p.Data.TestInputs != nil {
		q.Data.TestInputs = add(p.Data.TestInputs)
	}
	return &q
}

// Coefficients are s and b of h^{ℓ+1} = s h^ℓ + b W φ(h^ℓ)/√N.
func (n Network) Coefficients() (s, b float64) {
	if n.Kind != ResNet {
		return 0, 1
	}
	return 1, n.Branch.Beta * math.Pow(float64(n.Depth), -n.Branch.Exponent) // not asked for at infinite depth
}

// blocks are those of the network at finite depth.
func (n Network) blocks() []arch.Block {
	if n.Blocks != nil {
		return n.Blocks
	}
	if n.Kind != ResNet {
		return arch.MLP(max(n.Depth, 1), n.Activation, n.Bias)
	}
	_, b := n.Coefficients()
	return arch.ResNet(n.Depth, n.Activation, n.Bias, b, math.Pow(float64(n.Depth), n.Branch.Rate))
}

// rates are the factors κ of the learning rates of input weights, hidden weights and readout, but for that of residual
// branches.
func (p *Problem) rates() Rates { return p.Training.Rates.OrOne() }

func notFinite(m mat.Matrix) (i, j int, v float64) {
	bad := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
	switch m := m.(type) {
	case nil:
	case *sparse.CSR:
		for i, end := range m.RawMatrix().Indptr[1:] {
			for k := m.RawMatrix().Indptr[i]; k < end; k++ {
				if v := m.RawMatrix().Data[k]; bad(v) {
					return i, m.RawMatrix().Ind[k], v
				}
			}
		}
	default:
		if d, ok := m.(*mat.Dense); ok && d == nil {
			return -1, 0, 0
		}
		r, c := m.Dims()
		for i := range r {
			for j := range c {
				if v := m.At(i, j); bad(v) {
					return i, j, v
				}
			}
		}
	}
	return -1, 0, 0
}

// sizes returns the numbers of train, test points, input dimensions and outputs.
func (d Data) sizes() (p, pt, dim, c int) {
	p, dim = d.Inputs.Dims()
	_, c = d.Targets.Dims()
	if d.TestInputs != nil {
		pt, _ = d.TestInputs.Dims()
	}
	return p, pt, dim, c
}

// chooseSpace picks the cheaper way of holding the first layer.
func (d Data) chooseSpace(want Space) (Space, error) {
	_, pt, _, _ := d.sizes()
	return arch.ChooseSpace(d.Inputs, pt, want)
}

// flat returns the elements of m by rows.
func flat(m *mat.Dense) []float64 {
	v := denseView(m)
	if v.Stride == v.Cols {
		return v.Data
	}
	out := make([]float64, 0, v.Rows*v.Cols)
	for i := range v.Rows {
		out = append(out, v.Row(i)...)
	}
	return out
}

// denseView is m itself when it is dense, a copy otherwise.
func denseView(m mat.Matrix) la.Mat[float64] {
	d, ok := m.(*mat.Dense)
	if !ok {
		d = mat.DenseCopyOf(m)
	}
	r := d.RawMatrix()
	return la.Mat[float64]{Rows: r.Rows, Cols: r.Cols, Stride: r.Stride, Data: r.Data}
}

// leastSquare is the least |x|² that fields are computed of to all digits.
const leastSquare = 1e-280

// beyond is the first row whose square overflows, or vanishes although the row does not; -1 when there is none.
func beyond(m mat.Matrix) int {
	switch m := m.(type) {
	case nil:
	case *sparse.CSR:
		raw := m.RawMatrix()
		for i, end := range raw.Indptr[1:] {
			s, zero := 0., true
			for _, v := range raw.Data[raw.Indptr[i]:end] {
				s, zero = s+v*v, zero && v == 0
			}
			if math.IsInf(s, 1) || s < leastSquare && !zero {
				return i
			}
		}
	default:
		if d, ok := m.(*mat.Dense); ok && d == nil {
			return -1
		}
		r, c := m.Dims()
		for i := range r {
			s, zero := 0., true
			for j := range c {
				v := m.At(i, j)
				s, zero = s+v*v, zero && v == 0
			}
			if math.IsInf(s, 1) || s < leastSquare && !zero {
				return i
			}
		}
	}
	return -1
}
