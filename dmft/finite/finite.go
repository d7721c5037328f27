// Package finite trains explicit networks of finite width on the Problem that package dmft solves at infinite width, with
// the same training loop, the same parametrisation and the same Trajectory as a result:
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
	dmft.Run
}

// Train trains Seeds networks of one width and returns their statistics: F, Loss and kernels are means over seeds with
// standard errors, FReplicas every run.
func Train(ctx context.Context, p *dmft.Problem, s Settings) (*dmft.Trajectory, error) {
	switch s.Precision {
	case "", Float64:
		return dmft.Train(ctx, p, ensemble[float64](p, s))
	case Float32:
		return dmft.Train(ctx, p, ensemble[float32](p, s))
	}
	return nil, fmt.Errorf("finite: unknown precision %q; use %s or %s", s.Precision, Float64, Float32)
}

// Estimate is about how many bytes Train will use.
func Estimate(p *dmft.Problem, s Settings) int64 {
	if s.Precision == Float32 {
		e := ensemble[float32](p, s)
		return e.MemoryEstimate(p)
	}
	e := ensemble[float64](p, s)
	return e.MemoryEstimate(p)
}

// Flops is about how many floating-point operations Train will take; those of float32 count half.
func Flops(p *dmft.Problem, s Settings) float64 {
	e := ensemble[float64](p, s)
	n := e.Flops(p)
	if s.Precision == Float32 {
		n /= 2
	}
	return n
}

func ensemble[T la.Float](p *dmft.Problem, s Settings) dmft.Ensemble[T] {
	p = p.WithDefaults()
	// One stream per width, seed and layer, so that neither the number of seeds nor batching changes a network.
	stream := func(seed, layer int) *random.Stream {
		return random.New(s.Seed, uint64(s.Width)<<40|uint64(s.First+seed)<<12|uint64(layer))
	}
	return dmft.Ensemble[T]{
		Name: fmt.Sprintf("simulation-N%d", s.Width), Width: s.Width, Replicas: max(s.Seeds, 1), Space: s.Space, Run: s.Run,
		Draw: func(seed int, pts *dmft.Points[T], in, out, bias la.Mat[T]) (dmft.Hidden[T], error) {
			rng := stream(seed, 0)
			r := gaussian.Plain(rng, out.Rows, out.Cols)
			la.Convert(out.Data, r.Data)
			pts.SetWeights(in, gaussian.Plain(rng, s.Width, pts.Dim))
			var h dmft.Hidden[T]
			scale := T(1 / math.Sqrt(float64(s.Width)))
			for layer := 1; layer < p.Network.Depth; layer++ {
				w := la.New[T](s.Width, s.Width)
				rng := stream(seed, layer)
				for i := range w.Rows {
					row := w.Row(i)
					random.Normal(rng, row)
					for j := range row {
						row[j] *= scale
					}
				}
				for i := range bias.Rows {
					bias.Row(i)[layer-1] = T(rng.NormFloat64())
				}
				h.Matrices = append(h.Matrices, dmft.NewDense(w))
			}
			return h, nil
		},
	}
}
