package dmft

import (
	"encoding/gob"
	"math"

	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/part"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// network is the state of a batch of replicas of one network and the training loop's right-hand side: the ode.System
// that every optimiser and integrator moves. Replica r owns rows [r·N, (r+1)·N) of every field. Fields have one column
// per point, training points first.
type network[T la.Float] struct {
	pts     *Points[T]
	act     kernels.Activation
	gamma   float64
	centred bool
	skip, b float64 // h^{ℓ+1} = skip·h^ℓ + b·(W φ(h^ℓ)/√N + bias·b^ℓ)
	bias    float64
	rates   Rates
	r, n, l int // replicas, width, hidden layers
	batches *batcher
	pause   func() bool // asks for a stop between two evaluations of a long step; or nil
	halt    func() bool // asks for a stop at once, whatever becomes of the state; or nil
	lost    bool        // it was asked for

	regs      []register[T]
	ins, outs [][]T // data of regs
	biases    [][]T
	fs        [][]float64
	hidden    [][]Matrix[T] // layer ℓ = 1…L−1 at index ℓ−1, then replica
	drawn     []Hidden[T]   // by replica

	// Of the last Eval. The error-weighted gradient fields e^ℓ_μ = Σ_c Δ_μc g^ℓ_μc are all that a gradient needs.
	h    []la.Mat[T]   // L of rows×All; the first is a view of a register in data space
	phi  []la.Mat[T]   // L of rows×All
	dphi []la.Mat[T]   // L of rows×Train, perhaps with room for all columns
	e    []la.Mat[T]   // L of rows×Train
	g    [][]la.Mat[T] // output, layer: the fields g^ℓ_c, kept where products with them have a memory (see perOutput)
	// ntk makes predictions follow f ← f + ηKΔ with the kernels of the fields instead of w·φ/(γ₀N), for gradient independence. Backward fields
	// then cover test points too.
	ntk  *kernelPredictions[T]
	unit []la.Mat[T] // output: weights that select it
	f    []float64   // replica, output, All; f(θ) − f(θ₀) when centred
	f0   []float64   // outputs at the start, when centred
	loss []float64   // replica

	delta  []float64 // replica, output, Train
	deltaT la.Mat[T] // the same, a row per replica and output
	fT     la.Mat[T]
}

// register is one copy of the weights outside hidden matrices.
type register[T la.Float] struct {
	In  la.Mat[T] // rows×All fields (data space) or rows×Dim weights (input space)
	Out la.Mat[T] // rows×Outputs readout w
	// Bias is rows×(L−1): column ℓ−1 holds b^ℓ. Biases of the first layer are the weights of a constant input. No columns without biases.
	Bias la.Mat[T]
	F    []float64 // predictions where they are followed by the NTK: replica, output, All
}

// outputMode is what newNetwork makes of backward fields and predictions.
type outputMode int

const (
	summed          outputMode = iota // gradients of all outputs together, weighted with Δ
	perOutput                         // of each output by itself
	byTangentKernel                   // of each output by itself, at all points, with predictions by the NTK
)

var _ ode.Pauser = (*network[float64])(nil)

// Pause implements ode.Pauser.
func (nw *network[T]) Pause() bool { return nw.pause != nil && nw.pause() }

// Lost implements ode.Pauser.
func (nw *network[T]) Lost() bool { return nw.lost }

// halted says whether to give up. Everything that may take long asks between two products; what is left of the state is of no use.
func (nw *network[T]) halted() bool {
	nw.lost = nw.lost || nw.halt != nil && nw.halt()
	return nw.lost
}

// newNetwork makes the state of replicas. With perOutput gradients are propagated for each output by itself rather than summed with weights Δ: a
// conditioned Gaussian matrix remembers what it was multiplied with, and must see the same fields whether or not kernels, which need
// them by output, are recorded.
func newNetwork[T la.Float](p *Problem, pts *Points[T], replicas, width int, mode outputMode) *network[T] {
	rows, l := replicas*width, p.Network.Depth
	back := pts.Train
	if mode == byTangentKernel {
		back = pts.All
	}
	nw := &network[T]{
		pts: pts, act: p.Network.Activation, gamma: p.Richness, centred: p.Training.Centred,
		r: replicas, n: width, l: l,
		batches: newBatcher(p.Training.Batch, pts.Train),
		f:       make([]float64, replicas*pts.Outputs*pts.All),
		f0:      make([]float64, replicas*pts.Outputs*pts.All),
		loss:    make([]float64, replicas),
		delta:   make([]float64, replicas*pts.Outputs*pts.Train),
		deltaT:  la.New[T](replicas*pts.Outputs, pts.Train),
		fT:      la.New[T](replicas*pts.Outputs, pts.All),
		hidden:  make([][]Matrix[T], l-1),
		drawn:   make([]Hidden[T], replicas),
	}
	nw.skip, nw.b = p.Network.coefficients()
	nw.bias, nw.rates = p.Network.Bias, p.rates()
	for i := range nw.hidden {
		nw.hidden[i] = make([]Matrix[T], replicas)
	}
	for i := range l {
		if i > 0 || pts.Space == InputSpace {
			nw.h = append(nw.h, la.New[T](rows, pts.All))
		} else {
			nw.h = append(nw.h, la.Mat[T]{})
		}
		nw.phi = append(nw.phi, la.New[T](rows, pts.All))
		if columns := pts.All; columns > back && columns >= longRow {
			nw.dphi = append(nw.dphi, la.New[T](rows, back))
		} else { // test columns too, so that one call makes a layer
			nw.dphi = append(nw.dphi, la.New[T](rows, columns).Slice(0, rows, 0, back))
		}
		nw.e = append(nw.e, la.New[T](rows, pts.Train))
	}
	if mode != summed {
		for c := range pts.Outputs {
			g := make([]la.Mat[T], l)
			for i := range g {
				g[i] = la.New[T](rows, back)
			}
			nw.g, nw.unit = append(nw.g, g), append(nw.unit, unitWeights[T](replicas, pts.Outputs, back, c))
		}
	}
	if mode == byTangentKernel {
		nw.ntk = newKernelPredictions(nw)
	}
	nw.Reserve(1)
	return nw
}

// unitWeights are the weights of the outputs that select output o: a row per replica and output.
func unitWeights[T la.Float](replicas, outputs, points, o int) la.Mat[T] {
	v := la.New[T](replicas*outputs, points)
	for r := range replicas {
		row := v.Row(r*outputs + o)
		for m := range row {
			row[m] = 1
		}
	}
	return v
}

// setHidden gives replica r its hidden matrices.
func (nw *network[T]) setHidden(r int, h Hidden[T]) {
	nw.drawn[r] = h
	for l, m := range h.Matrices {
		nw.hidden[l][r] = m
	}
}

// ranks are the directions that each hidden matrix has seen, the most over replicas; nil for dense ones.
func (nw *network[T]) ranks() (ranks [][2]int, dropped float64) {
	for _, layer := range nw.hidden {
		var most [2]int
		for _, w := range layer {
			if g, ok := any(w).(*gaussian.Matrix); ok {
				f, b, d := g.Ranks()
				most, dropped = [2]int{max(most[0], f), max(most[1], b)}, max(dropped, d)
			}
		}
		if most != [2]int{} {
			ranks = append(ranks, most)
		}
	}
	return ranks, dropped
}

// err is the first error of a hidden matrix.
func (nw *network[T]) err() error {
	for _, layer := range nw.hidden {
		for _, w := range layer {
			if err := w.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows returns the rows of replica r.
func (nw *network[T]) rows(m la.Mat[T], r int) la.Mat[T] {
	return m.Slice(r*nw.n, (r+1)*nw.n, 0, m.Cols)
}

// train returns the columns of the training points.
func (nw *network[T]) train(m la.Mat[T]) la.Mat[T] { return m.Slice(0, m.Rows, 0, nw.pts.Train) }

// Reserve implements ode.System.
func (nw *network[T]) Reserve(n int) {
	for len(nw.regs) < n {
		r := register[T]{In: la.New[T](nw.r*nw.n, nw.pts.columns()), Out: la.New[T](nw.r*nw.n, nw.pts.Outputs)}
		if nw.bias > 0 {
			r.Bias = la.New[T](nw.r*nw.n, nw.l-1)
		}
		if nw.ntk != nil {
			r.F = make([]float64, len(nw.f))
		}
		nw.regs = append(nw.regs, r)
	}
	nw.ins, nw.outs, nw.biases, nw.fs = nw.ins[:0], nw.outs[:0], nw.biases[:0], nw.fs[:0]
	for _, r := range nw.regs {
		nw.ins, nw.outs, nw.biases, nw.fs = append(nw.ins, r.In.Data), append(nw.outs, r.Out.Data), append(nw.biases, r.Bias.Data), append(nw.fs, r.F)
	}
	for _, layer := range nw.hidden {
		for _, m := range layer {
			if m != nil {
				m.Reserve(n)
			}
		}
	}
}

// Eval implements ode.System: a forward and a backward pass with the weights of register r at step t.
func (nw *network[T]) Eval(r int, t float64) {
	nw.forward(r)
	if nw.lost {
		return
	}
	mask, inBatch := nw.batches.at(int(t))
	p, c := nw.pts.Train, nw.pts.Outputs
	for i := range nw.r {
		f := nw.f[i*c*nw.pts.All : (i+1)*c*nw.pts.All]
		nw.loss[i] = nw.pts.y.eval(f, nw.pts.All, nw.delta[i*c*p:(i+1)*c*p], mask, inBatch)
	}
	la.Convert(nw.deltaT.Data, nw.delta)
	if nw.g == nil {
		nw.backward(r, nw.deltaT, nw.e)
		return
	}
	if nw.ntk != nil {
		defer nw.ntk.eval()
	}
	for o := range c {
		nw.backward(r, nw.unit[o], nw.g[o])
		if nw.halted() {
			return
		}
		for l, e := range nw.e {
			for i := range nw.r {
				weigh(nw.rows(e, i), nw.rows(nw.g[o][l], i), nw.deltaT.Row(i*c+o), o > 0)
			}
		}
	}
}

// weigh sets column m of dst to v_m times that of g, or adds that to it.
func weigh[T la.Float](dst, g la.Mat[T], v []T, add bool) {
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

// forward computes h, φ, φ′ of every layer and the predictions f.
func (nw *network[T]) forward(r int) {
	reg, pts := nw.regs[r], nw.pts
	switch {
	case pts.Space == DataSpace:
		nw.h[0] = reg.In // W⁰x/√D is held itself
	case pts.csr != nil:
		pts.csr.Mul(nw.h[0], reg.In)
	default:
		la.Gemm(la.N, la.N, 1, reg.In, pts.xt, 0, nw.h[0])
	}
	nw.activate(0)
	for l := 1; l < nw.l; l++ {
		for i, w := range nw.hidden[l-1] {
			if nw.halted() {
				return
			}
			w.Mul(r, nw.rows(nw.h[l], i), nw.rows(nw.phi[l-1], i))
		}
		if nw.bias > 0 {
			for i := range nw.h[l].Rows {
				v := T(nw.bias) * reg.Bias.Row(i)[l-1]
				for j := range nw.h[l].Row(i) {
					nw.h[l].Row(i)[j] += v
				}
			}
		}
		combine2(nw.h[l].Data, T(nw.b), nw.h[l-1].Data, T(nw.skip))
		nw.activate(l)
	}
	if nw.ntk != nil {
		copy(nw.f, reg.F)
		return
	}
	// f = w·φ(h^L)/(γ₀N), one row of predictions per replica and output.
	scale := T(1 / (nw.gamma * float64(nw.n)))
	top, c := nw.phi[nw.l-1], pts.Outputs
	for i := range nw.r {
		phi, out := nw.rows(top, i), nw.rows(reg.Out, i)
		if c == 1 {
			la.Gemv(la.T, scale, phi, out.Data, 0, nw.fT.Row(i))
		} else {
			la.Gemm(la.T, la.N, scale, out, phi, 0, nw.fT.Slice(i*c, (i+1)*c, 0, pts.All))
		}
	}
	la.Convert(nw.f, nw.fT.Data)
	if nw.centred {
		for i := range nw.f {
			nw.f[i] -= nw.f0[i]
		}
	}
}

// activate computes φ on every point and φ′ on the training points of layer l (from 0).
func (nw *network[T]) activate(l int) {
	h, phi, dphi, p := nw.h[l], nw.phi[l], nw.dphi[l], nw.pts.Train
	if dphi.Stride == h.Stride {
		eval(nw.act, phi.Data, dphi.Data[:len(h.Data)], h.Data)
		return
	}
	for i := range h.Rows {
		hi, fi := h.Row(i), phi.Row(i)
		eval(nw.act, fi[:p], dphi.Row(i), hi[:p])
		eval(nw.act, fi[p:], nil, hi[p:])
	}
}

// longRow is the number of points from which a row of fields is enough for a call of a vector kernel.
const longRow = 256

func eval[T la.Float](a kernels.Activation, phi, dphi, h []T) {
	switch h := any(h).(type) {
	case []float64:
		a.Eval(any(phi).([]float64), any(dphi).([]float64), h)
	case []float32:
		a.Eval32(any(phi).([]float32), any(dphi).([]float32), h)
	}
}

// backward computes, for weights v of the outputs at every training point (a row per replica and output), the fields
// Σ_c v_c g^ℓ_c of every layer:
//
//	g^L = w∘φ′(h^L),   g^ℓ = skip·g^{ℓ+1} + b φ′(h^ℓ)∘W^ℓᵀg^{ℓ+1}/√N
func (nw *network[T]) backward(r int, v la.Mat[T], e []la.Mat[T]) {
	out, c, top := nw.regs[r].Out, nw.pts.Outputs, nw.l-1
	if c == 1 {
		for i := range nw.r {
			vi := v.Row(i)
			for j := i * nw.n; j < (i+1)*nw.n; j++ {
				w, d, dst := out.Data[j], nw.dphi[top].Row(j), e[top].Row(j)
				for m, x := range vi {
					dst[m] = w * x * d[m]
				}
			}
		}
	} else {
		for i := range nw.r {
			la.Gemm(la.N, la.N, 1, nw.rows(out, i), v.Slice(i*c, (i+1)*c, 0, v.Cols), 0, nw.rows(e[top], i))
		}
		multiply(e[top], nw.dphi[top])
	}
	for l := top - 1; l >= 0; l-- {
		for i, w := range nw.hidden[l] {
			if nw.halted() {
				return
			}
			w.MulT(r, nw.rows(e[l], i), nw.rows(e[l+1], i))
		}
		multiply(e[l], nw.dphi[l])
		combine2(e[l].Data, T(nw.b), e[l+1].Data, T(nw.skip))
	}
}

// Accumulate implements ode.System. In the units of [Problem] and up to the factors κ the descent directions are
//
//	∇W⁰ = γ₀ Σ_μ e¹_μ x_μᵀ/√D  (its action on the points: γ₀ e¹ Kx),  ∇W^ℓ/√N = γ₀ b e^{ℓ+1} φ^ℓᵀ/N,  ∇b^ℓ = γ₀ b σ_b Σ_μ e^{ℓ+1}_μ,
//	∇w = γ₀ Σ_μ Δ_μ φ^L_μ
func (nw *network[T]) Accumulate(dst int, beta, a float64) {
	reg, pts, p, c := nw.regs[dst], nw.pts, nw.pts.Train, nw.pts.Outputs
	ga := T(a * nw.gamma * nw.rates.Input)
	switch {
	case pts.Space == DataSpace:
		la.Gemm(la.N, la.N, ga, nw.e[0], pts.kx, T(beta), reg.In)
	case pts.csr != nil:
		pts.csr.AddMul(reg.In, T(beta), ga, nw.e[0])
	default:
		la.Gemm(la.N, la.N, ga, nw.e[0], pts.x.Slice(0, p, 0, pts.Dim), T(beta), reg.In)
	}
	for l, layer := range nw.hidden {
		for i, w := range layer {
			if nw.halted() {
				return
			}
			w.AddOuter(dst, beta, a*nw.gamma*nw.b*nw.rates.Hidden, nw.rows(nw.e[l+1], i), nw.train(nw.rows(nw.phi[l], i)))
		}
	}
	if nw.ntk != nil {
		scaleAdd(reg.F, beta, a, nw.ntk.kd)
	}
	for i := range reg.Bias.Rows {
		for l := range nw.l - 1 {
			sum := 0.
			for _, v := range nw.e[l+1].Row(i) {
				sum += float64(v)
			}
			v := &reg.Bias.Row(i)[l]
			if beta == 0 {
				*v = 0
			}
			*v = T(beta)**v + T(a*nw.gamma*nw.b*nw.bias*nw.rates.Hidden*sum)
		}
	}
	ga = T(a * nw.gamma * nw.rates.Readout)
	for i := range nw.r {
		phi, out := nw.train(nw.rows(nw.phi[nw.l-1], i)), nw.rows(reg.Out, i)
		if c == 1 {
			la.Gemv(la.N, ga, phi, nw.deltaT.Row(i), T(beta), out.Data)
		} else {
			la.Gemm(la.N, la.T, ga, phi, nw.deltaT.Slice(i*c, (i+1)*c, 0, p), T(beta), out)
		}
	}
}

// Combine implements ode.System.
func (nw *network[T]) Combine(dst int, c []float64) {
	la.Combine(dst, c, nw.ins)
	la.Combine(dst, c, nw.outs)
	la.Combine(dst, c, nw.biases)
	la.Combine(dst, c, nw.fs)
	for _, layer := range nw.hidden {
		for _, w := range layer {
			w.Combine(dst, c)
		}
	}
}

// ErrorNorm implements ode.System.
func (nw *network[T]) ErrorNorm(e, a, b int, atol, rtol float64) float64 {
	x, y, z := nw.regs[e], nw.regs[a], nw.regs[b]
	sum := errorSum(x.In.Data, y.In.Data, z.In.Data, atol, rtol) + errorSum(x.Out.Data, y.Out.Data, z.Out.Data, atol, rtol)
	sum += errorSum(x.Bias.Data, y.Bias.Data, z.Bias.Data, atol, rtol) + errorSum(x.F, y.F, z.F, atol, rtol)
	n := len(x.In.Data) + len(x.Out.Data) + len(x.Bias.Data) + len(x.F)
	for _, layer := range nw.hidden {
		for _, w := range layer {
			s, k := w.Error(e, a, b, atol, rtol)
			sum, n = sum+s, n+k
		}
	}
	return math.Sqrt(sum / float64(n))
}

// save and load keep and restore all that the training loop needs to go on, bit for bit.
func (nw *network[T]) save(enc *gob.Encoder) error {
	for i := range nw.regs { // one by one: an encoder keeps what it encodes
		if err := enc.Encode(nw.regs[i]); err != nil {
			return err
		}
	}
	if err := enc.Encode(nw.f0); err != nil {
		return err
	}
	for _, layer := range nw.hidden {
		for _, w := range layer {
			if err := w.Save(enc); err != nil {
				return err
			}
		}
	}
	for _, h := range nw.drawn {
		for _, s := range h.Shared {
			if err := s.Save(enc); err != nil {
				return err
			}
		}
	}
	return nil
}

func (nw *network[T]) load(dec *gob.Decoder) error {
	rows, first := nw.r*nw.n, nw.regs[0]
	for i := range nw.regs {
		var r register[T]
		if err := dec.Decode(&r); err != nil {
			return err
		}
		if !r.In.Fills(rows, first.In.Cols) || !r.Out.Fills(rows, first.Out.Cols) || first.Bias.Cols > 0 && !r.Bias.Fills(rows, first.Bias.Cols) || len(r.F) != len(first.F) {
			return part.ErrMisfit
		}
		nw.regs[i] = r
	}
	nw.Reserve(len(nw.regs)) // takes note of the new data
	var f0 []float64
	if err := dec.Decode(&f0); err != nil {
		return err
	}
	if len(f0) != len(nw.f0) {
		return part.ErrMisfit
	}
	nw.f0 = f0
	for _, layer := range nw.hidden {
		for _, w := range layer {
			if err := w.Load(dec); err != nil {
				return err
			}
		}
	}
	for _, h := range nw.drawn {
		for _, s := range h.Shared {
			if err := s.Load(dec); err != nil {
				return err
			}
		}
	}
	return nil
}

// combine2 sets x ← a·x + b·y.
func combine2[T la.Float](x []T, a T, y []T, b T) {
	if a == 1 && b == 0 {
		return
	}
	if b == 0 {
		for i := range x {
			x[i] *= a
		}
		return
	}
	y = y[:len(x)]
	for i := range x {
		x[i] = a*x[i] + b*y[i]
	}
}

// multiply sets x ← x∘y.
func multiply[T la.Float](x, y la.Mat[T]) {
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
