// Package arch puts networks together. An architecture is a list of blocks between the input layer and the readout:
//
//	h¹ = W⁰x/√D + σ_b b⁰,   h¹ → block → … → block → φ^L,   f = w·φ^L/(γ₀N)
//
//	Linear      h ← W x/√N + σ_b b
//	Activation  φ(h)
//	Residual    h + s·branch(h), the branch a list of blocks itself
//
// A block says what it does in three ways, in a file of its own: to the fields of a network in training (a [Layer]:
// forward, backward, the gradient of its weights), to the kernels of an infinitely wide network at the start (a
// [Static] rule), and in memory and work ([Cost]). The same layers make finite and infinite networks, since a weight
// matrix is whatever implements field.Matrix.
//
// A multilayer perceptron with two hidden layers is
//
//	phi := arch.Activation{Function: kernels.Activation{Name: "tanh"}}
//	blocks := []arch.Block{phi, arch.Linear{}, phi}
//
// Sources: for the rule that everything but wide matrices acts per site or through averages over sites, Yang & Hu 2020
// (arXiv 2011.14522); for the kernels at the start Jacot, Gabriel & Hongler 2018 (arXiv 1806.07572).
package arch

import (
	"errors"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/kernels"
)

// A Block describes a part of a network, whatever its size and precision. Its values are immutable.
type Block interface {
	// Validate says what is wrong with the description.
	Validate() error
	// Static returns its rule for the kernels of an infinitely wide network at the start, with a state of its own.
	Static() Static
	// Cost is what it adds to a network.
	Cost() Cost
	// Layer64 and Layer32 make the block part of a network: they connect it to its input and return it with its output.
	Layer64(b *Builder[float64], in *Field[float64]) (Layer[float64], *Field[float64])
	Layer32(b *Builder[float32], in *Field[float32]) (Layer[float32], *Field[float32])
}

// A Layer is a block at work, on fields that it was connected to when it was made.
type Layer[T field.Float] interface {
	// Forward sets the output from the input, at all points, with the weights of register r.
	Forward(r int)
	// Backward sets the gradient of the input from that of the output in one pass, with the weights of register r and
	// the fields of the last Forward.
	Backward(r, pass int)
	// Accumulate sets the weights of register dst to beta times themselves plus a times the descent direction of the
	// error-weighted pass.
	Accumulate(dst int, beta, a float64)
}

// A Field is what flows between blocks: values at all points (training points first), and the gradients g = γ₀N ∂f/∂h
// of a pass backward. Replica r owns rows [r·N, (r+1)·N).
type Field[T field.Float] struct {
	Value field.Mat[T]
	N     int // rows of a replica
	kind  *int
	grad  *gradient[T]
	// overwritten says that the block before turns the gradient of this field into that of its own input in place.
	overwritten bool
}

// gradient are the gradients of a field by pass; fields whose gradients are never needed at the same time share them.
type gradient[T field.Float] struct {
	pass  []field.Mat[T]
	index int // among those of the network
	rows  int
}

// Grad is the gradient of pass k.
func (f *Field[T]) Grad(k int) field.Mat[T] { return f.grad.pass[k] }

// rows are those of replica r.
func (f *Field[T]) rows(m field.Mat[T], r int) field.Mat[T] {
	return m.Slice(r*f.N, (r+1)*f.N, 0, m.Cols)
}

// Cost is what a block adds to the memory and work of a network, in units of its fields, matrices and numbers per
// neuron.
type Cost struct {
	Matrices  int // wide matrices
	Leaves    int // numbers per neuron
	Fields    int // arrays of all points
	Gradients int // arrays of the training points, for every pass
}

// Add is the cost of both.
func (c Cost) Add(o Cost) Cost {
	return Cost{c.Matrices + o.Matrices, c.Leaves + o.Leaves, c.Fields + o.Fields, c.Gradients + o.Gradients}
}

// CostOf is the cost of a list of blocks with its input layer.
func CostOf(blocks []Block) Cost {
	c := Cost{Fields: 1, Gradients: 1}
	for _, b := range blocks {
		c = c.Add(b.Cost())
	}
	return c
}

// Validate says what is wrong with a list of blocks.
func Validate(blocks []Block) error {
	if len(blocks) == 0 {
		return errors.New("arch: a network without blocks; it needs at least an activation")
	}
	for i, b := range blocks {
		if b == nil {
			return fmt.Errorf("arch: block %d is nil", i+1)
		}
		if err := b.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// nonlinear is a block that says which activations are in it.
type nonlinear interface{ Activations() []kernels.Activation }

// Activations are those of a list of blocks, in order; ok is false when a block does not say, by a method Activations()
// []kernels.Activation, which it has.
func Activations(blocks []Block) (phi []kernels.Activation, ok bool) {
	for _, b := range blocks {
		if r, is := b.(Residual); is {
			inner, ok := Activations(r.Branch)
			if !ok {
				return nil, false
			}
			phi = append(phi, inner...)
			continue
		}
		n, is := b.(nonlinear)
		if !is {
			return nil, false
		}
		phi = append(phi, n.Activations()...)
	}
	return phi, true
}

// Layers are how many layers of a list of valid blocks are recorded: one for every activation, those of branches
// included.
func Layers(blocks []Block) int {
	one := mat.NewDense(1, 1, []float64{1})
	in, err := NewInputs[float64](one, nil, InputSpace)
	if err != nil {
		return 0
	}
	return len(NewNet(Config{Replicas: 1, Width: 1, Outputs: 1, Richness: 1, Rates: Rates{}.OrOne()}, blocks, in).Hidden)
}

// Rates are learning rates of groups of layers relative to the learning rate; zero freezes. As a whole the zero value
// means 1, 1, 1.
type Rates struct {
	Input   float64 // W⁰, with its biases
	Hidden  float64 // W¹ … W^{L−1}, with their biases; times L^ρ in a ResNet
	Readout float64 // w
}

// OrOne is the rates with the meaning of the zero value.
func (r Rates) OrOne() Rates {
	if r == (Rates{}) {
		return Rates{1, 1, 1}
	}
	return r
}

// An Init draws the weights of one replica at the start: independent numbers N(0,1) or, of the theory, noise of the
// same law.
type Init[T field.Float] interface {
	// Readout fills the readout w of a kind of site, N×C.
	Readout(kind int, w field.Mat[T]) error
	// Input returns N×k white numbers that the first layer is made of: input weights, or as many independent fields as
	// there are.
	Input(n, k int) (field.Mat[float64], error)
	// Matrix returns the weight matrix of a Linear block.
	Matrix(m Spec) (field.Matrix[T], error)
	// Leaf fills weights of a kind of site, such as the biases that follow a matrix, N×k.
	Leaf(kind int, dst field.Mat[T]) error
	// Kept is what its matrices share that must be kept with them.
	Kept() []field.Keeper
}

// WithMatrix is an Init that draws as another one does, but for its weight matrices, which are what f makes of those: f
// may return them, wrap them or make its own. An f that is nil changes nothing.
func WithMatrix[T field.Float](init Init[T], f func(m Spec, w field.Matrix[T]) (field.Matrix[T], error)) Init[T] {
	if f == nil {
		return init
	}
	return withMatrix[T]{init, f}
}

type withMatrix[T field.Float] struct {
	Init[T]
	f func(m Spec, w field.Matrix[T]) (field.Matrix[T], error)
}

// Matrix implements Init.
func (x withMatrix[T]) Matrix(m Spec) (field.Matrix[T], error) {
	w, err := x.Init.Matrix(m)
	if err != nil {
		return nil, err
	}
	if w, err = x.f(m, w); err == nil && w == nil {
		err = fmt.Errorf("arch: no weight matrix %d was made", m.Index)
	}
	return w, err
}

// A Spec says which weight matrix an Init is to make.
type Spec struct {
	Index      int // in the order of the blocks, from 1
	Rows, Cols int
	Out, In    int // kinds of the sites of the rows and the columns: fields that are added or meet in one nonlinearity have the same
}

// A Term is a group of weights' part of the neural tangent kernel, Scale·G∘(Φ + Bias), where G is the kernel of the
// gradients behind the weights and Φ that of the fields they multiply.
type Term struct {
	Feature  int // index of Φ among Net.Features; InputGram is Kx
	Gradient int // index of G among Net.Gradients; Unit is δ_cc' between outputs
	Scale    float64
	Bias     float64
}

// Kernels that are not those of a Net.
const (
	InputGram = -1
	Unit      = -1
)

// A Static is a block's rule for the kernels of an infinitely wide network at the start, where forward and backward
// weights are independent.
type Static interface {
	// Forward turns the covariance of the input over points into that of the output; it may keep what Backward and
	// Terms need.
	Forward(s *StaticNet, in *mat.SymDense) (out *mat.SymDense, err error)
	// Backward turns the covariance of the gradients of the output into that of the input.
	Backward(s *StaticNet, out *mat.SymDense) (in *mat.SymDense)
}
