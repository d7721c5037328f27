package arch

import (
	"encoding/gob"
	"math"

	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// Config says what a Net is made for.
type Config struct {
	Replicas, Width int     // networks side by side, and neurons or sites of each
	Outputs         int     // C
	Richness        float64 // γ₀
	Rates           Rates
	// EveryOutput keeps the gradients of every output by itself, and makes what weights learn of their weighted sum,
	// rather than propagate that sum alone: a conditioned Gaussian matrix remembers what it was multiplied with, and
	// must see the same fields whether or not kernels, which need them by output, are recorded.
	EveryOutput bool
	// BackAll makes the gradients of every output cover test points too.
	BackAll bool
	// Independent says that input weights are given by as many white fields as the inputs have independent ones (the
	// theory), not by one number for every input.
	Independent bool
}

// Net is a batch of replicas of one network, all of whose weights live in registers (see field.State). Passes backward
// are numbered: 0 is the sum over outputs weighted with the errors, which is all that weights need, 1 + o is output o
// by itself.
type Net[T field.Float] struct {
	Config
	Inputs *Inputs[T]
	// Halted, if it is set, is asked before every product with a matrix whether to give up; what is left of the state
	// is of no use then.
	Halted func() bool
	// Features and Gradients are the fields whose kernels make the neural tangent kernel, as Tangents says.
	Features  []*Field[T]
	Gradients []*Field[T]
	Tangents  []Term
	// Hidden are the hidden layers that are recorded, from the input on: h^ℓ and φ(h^ℓ), by their positions among
	// Gradients and Features.
	Hidden []Hidden[T]

	in, out *Leaf[T]
	first   *Field[T] // h¹
	top     *Field[T] // φ^L
	blocks  []Layer[T]
	linear  []*linear[T]
	leaves  []leaf[T]
	grads   []*gradient[T]
	kept    []field.Keeper
	states  []field.State
	unit    []field.Mat[T] // by output: weights that select it, while passes by output exist
	step    stepSize       // of the readout; that of the input layer but for its rate
}

// Hidden is a recorded layer.
type Hidden[T field.Float] struct {
	H, Phi            *Field[T]
	Gradient, Feature int
}

// leaf are weights that an Init fills.
type leaf[T field.Float] struct {
	w    *Leaf[T]
	of   *Field[T]
	with *linear[T] // drawn after this matrix
}

// Builder connects the blocks of a Net.
type Builder[T field.Float] struct {
	Replicas    int
	Train, All  int // training points, and those with test points
	Back        int // points with gradients in passes by output
	net         *Net[T]
	rates       Rates
	scale, rate float64 // products over the branches around
	kinds       int
}

// NewNet connects blocks to inputs and a readout. Weights are zero until Draw.
func NewNet[T field.Float](c Config, blocks []Block, inputs *Inputs[T]) *Net[T] {
	nw := &Net[T]{Config: c, Inputs: inputs}
	b := &Builder[T]{Replicas: c.Replicas, Train: inputs.Train, All: inputs.All, Back: inputs.Train, net: nw, rates: c.Rates, scale: 1, rate: 1}
	if c.BackAll {
		b.Back = inputs.All
	}
	rows := c.Replicas * c.Width
	nw.in, nw.out = NewLeaf[T](rows, inputs.Columns()), NewLeaf[T](rows, c.Outputs)
	nw.first = b.field(c.Width, inputs.Space == InputSpace) // in data space the state is the field itself
	if inputs.Space == DataSpace {
		nw.first.Value = nw.in.At(0)
	}
	nw.step = stepSize{gamma: c.Richness, scale: 1}
	nw.Tangents = []Term{
		{Feature: InputGram, Gradient: b.gradientOf(nw.first), Scale: b.rates.Input},
		{Gradient: Unit, Scale: b.rates.Readout},
	}
	nw.blocks, nw.top = b.chain(blocks, nw.first)
	nw.Tangents[1].Feature = b.feature(nw.top)
	for _, g := range nw.grads {
		g.pass = append(g.pass, field.New[T](g.rows, b.Train))
	}
	if c.EveryOutput {
		nw.passes(b.Back)
	}
	nw.states = []field.State{nw.in, nw.out}
	for _, l := range nw.leaves {
		nw.states = append(nw.states, l.w)
	}
	return nw
}

// chain connects blocks to a field.
func (b *Builder[T]) chain(blocks []Block, in *Field[T]) (layers []Layer[T], out *Field[T]) {
	out = in
	for _, d := range blocks {
		var l Layer[T]
		switch b := any(b).(type) {
		case *Builder[float64]:
			x, y := d.Layer64(b, any(out).(*Field[float64]))
			l, out = any(x).(Layer[T]), any(y).(*Field[T])
		case *Builder[float32]:
			x, y := d.Layer32(b, any(out).(*Field[float32]))
			l, out = any(x).(Layer[T]), any(y).(*Field[T])
		}
		layers = append(layers, l)
	}
	return layers, out
}

// Field is a new field of n rows a replica, of a new kind of site, with gradients of its own.
func (b *Builder[T]) Field(n int) *Field[T] { return b.field(n, true) }

func (b *Builder[T]) field(n int, values bool) *Field[T] {
	kind := b.kinds
	b.kinds++
	f := &Field[T]{N: n, kind: &kind, grad: b.gradient(n)}
	if values {
		f.Value = field.New[T](n*b.Replicas, b.All)
	}
	return f
}

// sharing is a new field of the sites of f, whose gradient a block turns into that of f in place.
func (b *Builder[T]) sharing(f *Field[T]) *Field[T] {
	return &Field[T]{Value: field.New[T](f.N*b.Replicas, b.All), N: f.N, kind: f.kind, grad: f.grad, overwritten: true}
}

func (b *Builder[T]) gradient(n int) *gradient[T] {
	g := &gradient[T]{index: -1, rows: n * b.Replicas}
	b.net.grads = append(b.net.grads, g)
	return g
}

// Leaf makes k weights for every site of f, which an Init draws after the matrix that was made last.
func (b *Builder[T]) Leaf(f *Field[T], k int) *Leaf[T] {
	w := NewLeaf[T](f.N*b.Replicas, k)
	l := leaf[T]{w: w, of: f}
	if n := len(b.net.linear); n > 0 {
		l.with = b.net.linear[n-1]
	}
	b.net.leaves = append(b.net.leaves, l)
	return w
}

// Record makes h and φ a recorded layer.
func (b *Builder[T]) Record(h, phi *Field[T]) {
	b.net.Hidden = append(b.net.Hidden, Hidden[T]{H: h, Phi: phi, Gradient: b.gradientOf(h), Feature: b.feature(phi)})
}

// Tangent says that weights between fields x and y, which learn with a scale, contribute to the neural tangent kernel.
func (b *Builder[T]) Tangent(x, y *Field[T], scale, bias float64) {
	b.net.Tangents = append(b.net.Tangents, Term{Feature: b.feature(x), Gradient: b.gradientOf(y), Scale: scale, Bias: bias})
}

// feature is the position of x among the features.
func (b *Builder[T]) feature(x *Field[T]) int {
	for i, f := range b.net.Features {
		if f == x {
			return i
		}
	}
	b.net.Features = append(b.net.Features, x)
	return len(b.net.Features) - 1
}

// gradientOf is the position of the gradient of y.
func (b *Builder[T]) gradientOf(y *Field[T]) int {
	if y.grad.index < 0 {
		y.grad.index = len(b.net.Gradients)
		b.net.Gradients = append(b.net.Gradients, y)
	}
	return y.grad.index
}

func (b *Builder[T]) step(rate float64) stepSize {
	return stepSize{gamma: b.net.Richness, scale: b.scale, rate: rate * b.rate}
}

// passes makes gradients of every output, at the given number of points.
func (nw *Net[T]) passes(points int) {
	for o := range nw.Outputs {
		v := field.New[T](nw.Replicas*nw.Outputs, points)
		for i := range nw.Replicas {
			row := v.Row(i*nw.Outputs + o)
			for m := range row {
				row[m] = 1
			}
		}
		nw.unit = append(nw.unit, v)
	}
	for _, g := range nw.grads {
		for range nw.Outputs {
			g.pass = append(g.pass, field.New[T](g.rows, points))
		}
	}
}

// Draw fills the weights of replica r.
func (nw *Net[T]) Draw(r int, init Init[T]) error {
	if err := init.Readout(*nw.top.kind, nw.rows(nw.out.At(0), r)); err != nil {
		return err
	}
	if err := nw.Inputs.draw(nw.rows(nw.in.At(0), r), nw.Width, nw.Independent, init); err != nil {
		return err
	}
	for i, l := range nw.linear {
		w, err := init.Matrix(l.spec(i + 1))
		if err != nil {
			return err
		}
		l.w[r] = w
		for _, b := range nw.leaves {
			if b.with == l {
				if err := init.Leaf(*b.of.kind, b.of.rows(b.w.At(0), r)); err != nil {
					return err
				}
			}
		}
	}
	nw.kept = append(nw.kept, init.Kept()...)
	if r == nw.Replicas-1 {
		for _, l := range nw.linear {
			for _, w := range l.w {
				nw.states = append(nw.states, w)
			}
		}
	}
	return nil
}

// rows are those of replica r, of arrays over the neurons of the ends of the network.
func (nw *Net[T]) rows(m field.Mat[T], r int) field.Mat[T] {
	return m.Slice(r*nw.Width, (r+1)*nw.Width, 0, m.Cols)
}

// Matrices are the weight matrices in the order of the blocks, by replica.
func (nw *Net[T]) Matrices() [][]field.Matrix[T] {
	var out [][]field.Matrix[T]
	for _, l := range nw.linear {
		out = append(out, l.w)
	}
	return out
}

// ReadoutWeights are the readouts of replica r, in register 0.
func (nw *Net[T]) ReadoutWeights(r int) field.Mat[T] { return nw.rows(nw.out.At(0), r) }

// Err is the first error of a matrix.
func (nw *Net[T]) Err() error {
	for _, l := range nw.linear {
		for _, w := range l.w {
			if err := w.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (nw *Net[T]) halted() bool { return nw.Halted != nil && nw.Halted() }

// Forward computes all fields with the weights of register r.
func (nw *Net[T]) Forward(r int) {
	nw.Inputs.forward(nw.first, nw.in.At(r))
	for _, b := range nw.blocks {
		b.Forward(r)
	}
}

// Predict sets f, a row for every replica and output, to w·φ^L/(γ₀N) of the last Forward.
func (nw *Net[T]) Predict(r int, f field.Mat[T]) {
	scale, c := T(1/(nw.Richness*float64(nw.Width))), nw.Outputs
	for i := range nw.Replicas {
		phi, out := nw.rows(nw.top.Value, i), nw.rows(nw.out.At(r), i)
		if c == 1 {
			la.Gemv(la.T, scale, phi, out.Data, 0, f.Row(i))
		} else {
			la.Gemm(la.T, la.N, scale, out, phi, 0, f.Slice(i*c, (i+1)*c, 0, f.Cols))
		}
	}
}

// Backward computes the gradients of a pass for weights v of the outputs at every point with gradients, a row for every
// replica and output.
func (nw *Net[T]) Backward(r, pass int, v field.Mat[T]) {
	out, c, e := nw.out.At(r), nw.Outputs, nw.top.Grad(pass)
	top := len(nw.blocks) - 1
	if l, ok := nw.blocks[top].(readoutLayer[T]); ok && c == 1 {
		l.backwardReadout(pass, out, v)
		for i := top - 1; i >= 0; i-- {
			nw.blocks[i].Backward(r, pass)
		}
		return
	}
	for i := range nw.Replicas {
		if c > 1 {
			la.Gemm(la.N, la.N, 1, nw.rows(out, i), v.Slice(i*c, (i+1)*c, 0, v.Cols), 0, nw.rows(e, i))
			continue
		}
		vi := v.Row(i)
		for j := i * nw.Width; j < (i+1)*nw.Width; j++ {
			w, dst := out.Data[j], e.Row(j)
			for m, x := range vi {
				dst[m] = w * x
			}
		}
	}
	for i := top; i >= 0; i-- {
		nw.blocks[i].Backward(r, pass)
	}
}

// readoutLayer is a Layer that takes the gradient w v of a readout with one output by itself: one pass over memory
// instead of two.
type readoutLayer[T field.Float] interface {
	backwardReadout(pass int, w, v field.Mat[T])
}

// BackwardOutput computes the gradients of output o by itself in pass 1 + o.
func (nw *Net[T]) BackwardOutput(r, o int) { nw.Backward(r, 1+o, nw.unit[o]) }

// WeighOutput adds the gradients of output o to those of pass 0 with weights v, a row for every replica and output; the
// first output sets them.
func (nw *Net[T]) WeighOutput(o int, v field.Mat[T]) {
	for _, g := range nw.grads {
		n := g.rows / nw.Replicas
		for i := range nw.Replicas {
			dst, src := g.pass[0].Slice(i*n, (i+1)*n, 0, g.pass[0].Cols), g.pass[1+o].Slice(i*n, (i+1)*n, 0, g.pass[1+o].Cols)
			weigh(dst, src, v.Row(i*nw.Outputs+o), o > 0)
		}
	}
}

// weigh sets column m of dst to v_m times that of g, or adds that to it.
func weigh[T field.Float](dst, g field.Mat[T], v []T, add bool) {
	p := len(v)
	for j := range dst.Rows {
		d, x := dst.Data[j*dst.Stride:][:p], g.Data[j*g.Stride:][:p]
		if add {
			for m, w := range v {
				d[m] += w * x[m]
			}
		} else {
			for m, w := range v {
				d[m] = w * x[m]
			}
		}
	}
}

// ByOutput calls f with the gradients of every output at the training points computed, in passes 1 + o: those of the
// last passes where they are kept, or else for the time of the call.
func (nw *Net[T]) ByOutput(r int, f func()) {
	if !nw.EveryOutput {
		nw.passes(nw.Inputs.Train)
		for o := range nw.Outputs {
			nw.BackwardOutput(r, o)
		}
		defer func() {
			nw.unit = nil
			for _, g := range nw.grads {
				g.pass = g.pass[:1:1]
			}
		}()
	}
	f()
}

// Accumulate sets the weights of register dst to beta times themselves plus a times the descent direction: in the units
// in which weights are N(0,1) and up to the rates κ
//
//	∇W⁰ = γ₀ Σ_μ e¹_μ x_μᵀ/√D  (its action on the points: γ₀ e¹ Kx),   ∇w = γ₀ Σ_μ Δ_μ φ^L_μ
//
// with e = Σ_c Δ_c g_c in pass 0, and those of blocks. delta is Δ at the training points, a row for every replica and
// output.
func (nw *Net[T]) Accumulate(dst int, beta, a float64, delta field.Mat[T]) {
	nw.Inputs.accumulate(nw.in.At(dst), beta, a*nw.Richness*nw.Rates.Input, nw.first.Grad(0))
	for _, b := range nw.blocks {
		b.Accumulate(dst, beta, a)
	}
	ga, c, p := T(a*nw.Richness*nw.Rates.Readout), nw.Outputs, nw.Inputs.Train
	for i := range nw.Replicas {
		phi, out := nw.rows(nw.top.Value, i), nw.rows(nw.out.At(dst), i)
		phi = phi.Slice(0, phi.Rows, 0, p)
		if c == 1 {
			la.Gemv(la.N, ga, phi, delta.Row(i), T(beta), out.Data)
		} else {
			la.Gemm(la.N, la.T, ga, phi, delta.Slice(i*c, (i+1)*c, 0, p), T(beta), out)
		}
	}
}

// Reserve makes at least n registers of all weights exist.
func (nw *Net[T]) Reserve(n int) {
	for _, s := range nw.states {
		s.Reserve(n)
	}
}

// Combine sets all weights of register dst to Σ_j c[j]·register j.
func (nw *Net[T]) Combine(dst int, c []float64) {
	for _, s := range nw.states {
		s.Combine(dst, c)
	}
}

// Error is field.State.Error over all weights.
func (nw *Net[T]) Error(e, a, b int, atol, rtol float64) (sum float64, n int) {
	for _, s := range nw.states {
		x, k := s.Error(e, a, b, atol, rtol)
		sum, n = sum+x, n+k
	}
	return sum, n
}

// ErrorNorm is the root mean square of (e/(atol + rtol·max(|a|,|b|))) over all weights.
func (nw *Net[T]) ErrorNorm(e, a, b int, atol, rtol float64) float64 {
	sum, n := nw.Error(e, a, b, atol, rtol)
	return math.Sqrt(sum / float64(n))
}

// Save keeps all weights and what they share, bit for bit.
func (nw *Net[T]) Save(enc *gob.Encoder) error {
	return nw.each(func(k field.Keeper) error { return k.Save(enc) })
}

// Load restores what Save kept.
func (nw *Net[T]) Load(dec *gob.Decoder) error {
	return nw.each(func(k field.Keeper) error { return k.Load(dec) })
}

func (nw *Net[T]) each(f func(field.Keeper) error) error {
	for _, s := range nw.states {
		if err := f(s); err != nil {
			return err
		}
	}
	for _, k := range nw.kept {
		if err := f(k); err != nil {
			return err
		}
	}
	return nil
}
