// Package finite trains explicit networks of finite width on the Problem that package dmft solves at infinite width,
// with the same training loop, the same parametrisation and the same Trajectory as a result:
//
//	t, err := finite.Train(ctx, problem, finite.Settings{Width: 1024, Seeds: 8, Seed: 1})
//
// Weights are explicit independent N(0,1) numbers, hidden matrices dense. Seeds are trained in batches, one product
// serving all seeds of a batch where their operands can be stacked, and batches in parallel.
package finite

import (
	"context"
	"fmt"
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/random"
)

// Precision is the floating-point format a network is trained in.
type Precision string

// The precisions. Averages over seeds, losses and results are float64 in both.
const (
	Float64 Precision = "float64"
	Float32 Precision = "float32"
)

// Settings of an ensemble of finite networks.
type Settings struct {
	Width     int        // N
	Seeds     int        // independent initialisations; 0 means 1
	First     int        // number of the first of them: seed k of an ensemble alone has Seeds 1, First k
	Seed      uint64     // of their random streams
	Precision Precision  // Float64
	Space     dmft.Space // the cheaper one
	// Matrix, if it is set, is given every hidden weight matrix of every network when it is drawn and returns the one
	// to train with: the same, one that wraps it, or another. It is called by several goroutines at once. In float64
	// only.
	Matrix func(seed int, m arch.Spec, w field.Matrix[float64]) (field.Matrix[float64], error)
	dmft.Run
}

// Train trains Seeds networks of one width and returns their statistics: F, Loss and kernels are means over seeds with
// standard errors, FReplicas every run.
func Train(ctx context.Context, p *dmft.Problem, s Settings) (*dmft.Trajectory, error) {
	switch s.Precision {
	case "", Float64:
		e := ensemble[float64](s)
		if s.Matrix != nil {
			init := e.Init
			e.Init = func(seed int) (arch.Init[float64], error) {
				x, err := init(seed)
				return arch.WithMatrix(x, func(m arch.Spec, w field.Matrix[float64]) (field.Matrix[float64], error) {
					return s.Matrix(seed, m, w)
				}), err
			}
		}
		return dmft.Train(ctx, p, e)
	case Float32:
		if s.Matrix != nil {
			return nil, fmt.Errorf("finite: matrices of one's own are of precision %s", Float64)
		}
		return dmft.Train(ctx, p, ensemble[float32](s))
	}
	return nil, fmt.Errorf("finite: unknown precision %q; use %s or %s", s.Precision, Float64, Float32)
}

// Estimate is about how many bytes Train will use.
func Estimate(p *dmft.Problem, s Settings) int64 {
	if s.Precision == Float32 {
		e := ensemble[float32](s)
		return e.MemoryEstimate(p)
	}
	e := ensemble[float64](s)
	return e.MemoryEstimate(p)
}

// Flops is about how many floating-point operations Train will take; those of float32 count half.
func Flops(p *dmft.Problem, s Settings) float64 {
	e := ensemble[float64](s)
	n := e.Flops(p)
	if s.Precision == Float32 {
		n /= 2
	}
	return n
}

func ensemble[T field.Float](s Settings) dmft.Ensemble[T] {
	return dmft.Ensemble[T]{
		Name: fmt.Sprintf("simulation-N%d", s.Width), Width: s.Width, Replicas: max(s.Seeds, 1), Space: s.Space, Run: s.Run,
		Init: func(seed int) (arch.Init[T], error) {
			x := &weights[T]{seed: s.Seed, width: s.Width, number: s.First + seed}
			x.rng = x.stream(0)
			return x, nil
		},
	}
}

// weights draws the weights of one network.
type weights[T field.Float] struct {
	seed          uint64
	width, number int
	rng           *random.Stream // of the layer at hand
}

// stream is one for every width, seed and layer, so that neither the number of seeds nor batching changes a network.
func (x *weights[T]) stream(layer int) *random.Stream {
	return random.New(x.seed, uint64(x.width)<<40|uint64(x.number)<<12|uint64(layer))
}

// Readout implements arch.Init.
func (x *weights[T]) Readout(_ int, w field.Mat[T]) error {
	la.Convert(w.Data, gaussian.Plain(x.rng, w.Rows, w.Cols).Data)
	return nil
}

// Input implements arch.Init.
func (x *weights[T]) Input(n, k int) (field.Mat[float64], error) {
	return gaussian.Plain(x.rng, n, k), nil
}

// Matrix implements arch.Init.
func (x *weights[T]) Matrix(m arch.Spec) (field.Matrix[T], error) {
	w, scale := field.New[T](m.Rows, m.Cols), T(1/math.Sqrt(float64(m.Cols)))
	x.rng = x.stream(m.Index)
	for i := range w.Rows {
		row := w.Row(i)
		random.Normal(x.rng, row)
		for j := range row {
			row[j] *= scale
		}
	}
	return arch.NewDense(w), nil
}

// Leaf implements arch.Init.
func (x *weights[T]) Leaf(_ int, dst field.Mat[T]) error {
	for i := range dst.Data {
		dst.Data[i] = T(x.rng.NormFloat64())
	}
	return nil
}

// Kept implements arch.Init: dense matrices share nothing.
func (x *weights[T]) Kept() []field.Keeper { return nil }
