package dmft

import (
	"encoding/gob"
	"math"

	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/part"
	"github.com/seed39b58f2d/dmft/ode"
)

// network is the training loop's right-hand side: a batch of replicas of one network with its data and loss, the
// ode.System that every optimiser and integrator moves.
type network[T field.Float] struct {
	*arch.Net[T]
	pts     *points[T]
	centred bool
	batches *batcher
	pause   func() bool // asks for a stop between two evaluations of a long step; or nil
	halt    func() bool // asks for a stop at once, whatever becomes of the state; or nil
	lost    bool        // it was asked for

	// ntk makes predictions follow f ← f + ηKΔ with the kernels of the fields instead of w·φ/(γ₀N), for gradient
	// independence. Backward fields then cover test points too. Predictions are a row of a register.
	ntk     *kernelPredictions[T]
	follows *arch.Leaf[float64]

	// Of the last Eval.
	f      []float64 // replica, output, All; f(θ) − f(θ₀) when centred
	f0     []float64 // outputs at the start, when centred
	loss   []float64 // replica
	delta  []float64 // replica, output, Train
	deltaT field.Mat[T]
	fT     field.Mat[T]
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

// halted says whether to give up. Everything that may take long asks between two products; what is left of the state is
// of no use.
func (nw *network[T]) halted() bool {
	nw.lost = nw.lost || nw.halt != nil && nw.halt()
	return nw.lost
}

// newNetwork makes the state of replicas.
func newNetwork[T field.Float](p *Problem, pts *points[T], replicas, width int, mode outputMode, conditioned bool) *network[T] {
	all, train, c := pts.All, pts.Train, pts.outputs
	nw := &network[T]{
		pts: pts, centred: p.Training.Centred,
		batches: newBatcher(p.Training.Batch, train),
		f:       make([]float64, replicas*c*all),
		f0:      make([]float64, replicas*c*all),
		loss:    make([]float64, replicas),
		delta:   make([]float64, replicas*c*train),
		deltaT:  la.New[T](replicas*c, train),
		fT:      la.New[T](replicas*c, all),
	}
	nw.Net = arch.NewNet(arch.Config{Replicas: replicas, Width: width, Outputs: c, Richness: p.Richness, Rates: p.rates(),
		EveryOutput: mode != summed, BackAll: mode == byTangentKernel, Independent: conditioned}, p.Network.blocks(), pts.Inputs)
	nw.Halted = nw.halted
	if mode == byTangentKernel {
		nw.ntk, nw.follows = newKernelPredictions(nw), arch.NewLeaf[float64](1, len(nw.f))
	}
	return nw
}

// ranked is a matrix that knows how many directions it has seen, forward and backward, and the largest mean square that
// was dropped.
type ranked interface {
	Ranks() (forward, backward int, dropped float64)
}

// ranks are the directions that each hidden matrix has seen, the most over replicas; nil for dense ones.
func (nw *network[T]) ranks() (ranks [][2]int, dropped float64) {
	for _, layer := range nw.Matrices() {
		var most [2]int
		for _, w := range layer {
			if g, ok := any(w).(ranked); ok {
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

// rows returns the rows of replica r of a field.
func rows[T field.Float](m field.Mat[T], f *arch.Field[T], r int) field.Mat[T] {
	return m.Slice(r*f.N, (r+1)*f.N, 0, m.Cols)
}

// train returns the columns of the training points.
func (nw *network[T]) train(m field.Mat[T]) field.Mat[T] { return m.Slice(0, m.Rows, 0, nw.pts.Train) }

// Reserve implements ode.System.
func (nw *network[T]) Reserve(n int) {
	nw.Net.Reserve(n)
	if nw.follows != nil {
		nw.follows.Reserve(n)
	}
}

// Eval implements ode.System: a forward and a backward pass with the weights of register r. Where there are
// mini-batches, time is the number of the step.
func (nw *network[T]) Eval(r int, t float64) {
	nw.forward(r)
	if nw.lost {
		return
	}
	mask, inBatch := nw.batches.at(int(t))
	p, c, all := nw.pts.Train, nw.pts.outputs, nw.pts.All
	for i := range nw.Replicas {
		nw.loss[i] = nw.pts.y.eval(nw.f[i*c*all:(i+1)*c*all], all, nw.delta[i*c*p:(i+1)*c*p], mask, inBatch)
	}
	la.Convert(nw.deltaT.Data, nw.delta)
	if !nw.EveryOutput {
		nw.Backward(r, 0, nw.deltaT)
		return
	}
	for o := range c {
		nw.BackwardOutput(r, o)
		if nw.halted() {
			return
		}
		nw.WeighOutput(o, nw.deltaT)
	}
	if nw.ntk != nil {
		nw.ntk.eval()
	}
}

// forward computes all fields and the predictions f.
func (nw *network[T]) forward(r int) {
	nw.Forward(r)
	if nw.lost {
		return
	}
	if nw.ntk != nil {
		copy(nw.f, nw.follows.At(r).Data)
		return
	}
	nw.Predict(r, nw.fT)
	la.Convert(nw.f, nw.fT.Data)
	if nw.centred {
		for i := range nw.f {
			nw.f[i] -= nw.f0[i]
		}
	}
}

// Accumulate implements ode.System.
func (nw *network[T]) Accumulate(dst int, beta, a float64) {
	nw.Net.Accumulate(dst, beta, a, nw.deltaT)
	if nw.ntk != nil {
		scaleAdd(nw.follows.At(dst).Data, beta, a, nw.ntk.kd)
	}
}

// Combine implements ode.System.
func (nw *network[T]) Combine(dst int, c []float64) {
	nw.Net.Combine(dst, c)
	if nw.follows != nil {
		nw.follows.Combine(dst, c)
	}
}

// ErrorNorm implements ode.System.
func (nw *network[T]) ErrorNorm(e, a, b int, atol, rtol float64) float64 {
	sum, n := nw.Error(e, a, b, atol, rtol)
	if nw.follows != nil {
		s, k := nw.follows.Error(e, a, b, atol, rtol)
		sum, n = sum+s, n+k
	}
	return math.Sqrt(sum / float64(n))
}

// save and load keep and restore all that the training loop needs to go on, bit for bit.
func (nw *network[T]) save(enc *gob.Encoder) error {
	if err := enc.Encode(nw.f0); err != nil {
		return err
	}
	if nw.follows != nil {
		if err := nw.follows.Save(enc); err != nil {
			return err
		}
	}
	return nw.Save(enc)
}

func (nw *network[T]) load(dec *gob.Decoder) error {
	var f0 []float64
	if err := dec.Decode(&f0); err != nil {
		return err
	}
	if len(f0) != len(nw.f0) {
		return part.ErrMisfit
	}
	nw.f0 = f0
	if nw.follows != nil {
		if err := nw.follows.Load(dec); err != nil {
			return err
		}
	}
	return nw.Load(dec)
}
