package dmft

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/kernels"
)

// Objective is the loss of a Problem as a function of predictions, for solvers that hold their state in other ways than
// the training loop. It is not safe for use by several goroutines.
type Objective struct {
	train, test target
	batches     *batcher
}

// Objective returns the loss of the problem.
func (p *Problem) Objective() *Objective {
	np, pt, _, c := p.Data.sizes()
	o := &Objective{train: target{loss: p.Training.Loss, y: flat(p.Data.Targets), p: np, c: c}, test: target{loss: p.Training.Loss, p: pt, c: c}, batches: newBatcher(p.Training.Batch, np)}
	if pt > 0 {
		o.test.y = flat(p.Data.TestTargets)
	}
	return o
}

// Residuals returns the training loss at predictions f (C×P) and fills delta (C×P) with the Δ that moves the weights at
// a step, mini-batch included.
func (o *Objective) Residuals(step int, f, delta []float64) float64 {
	mask, n := o.batches.at(step)
	return o.train.eval(f, o.train.p, delta, mask, n)
}

// Loss returns the loss of the training or of the test points at predictions f (C×points) and fills delta, unless it is
// nil, with −∂loss/∂f.
func (o *Objective) Loss(test bool, f, delta []float64) float64 {
	t := o.train
	if test {
		t = o.test
	}
	return t.eval(f, t.p, delta, nil, 0)
}

// Gram is the Gram matrix of the training points and then the test points, with biases of the first layer as one more
// input.
func (p *Problem) Gram() *mat.SymDense {
	k := kernels.Gram(arch.Stack(p.Data.Inputs, p.Data.TestInputs))
	if s := p.Network.Bias * p.Network.Bias; s > 0 {
		for i := range k.SymmetricDim() {
			for j := i; j < k.SymmetricDim(); j++ {
				k.SetSym(i, j, k.At(i, j)+s)
			}
		}
	}
	return k
}

// Times are the times of all steps of the problem: step numbers, or η·step of a flow.
func (p *Problem) Times() []float64 { return times(p, evenly(p.Training.Steps+1, p.Training.Steps+1)) }

// Start are the kernels at the start, of the training points and then the test points, learning rates of layers in the
// neural tangent kernel.
func (p *Problem) Start() (*arch.StaticNet, error) {
	return p.staticKernels(false, kernels.Gram(arch.Stack(p.Data.Inputs, p.Data.TestInputs)))
}

// LayerRates are the factors κ of the learning rates of input weights, hidden weights and readout, those of the
// branches of a residual network included.
func (p *Problem) LayerRates() Rates {
	r := p.rates()
	if p.Network.Kind == ResNet {
		r.Hidden *= math.Pow(float64(p.Network.Depth), p.Network.Branch.Rate)
	}
	return r
}
