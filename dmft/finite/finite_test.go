package finite_test

import (
	"context"
	"fmt"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

func problem() *dmft.Problem {
	return &dmft.Problem{
		Data: dmft.Data{Inputs: mat.NewDense(2, 3, []float64{1, 1, 1, 1, -1, 1}),
			Targets: mat.NewDense(2, 1, []float64{1, -1})},
		Network:  dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: kernels.Activation{Name: "tanh"}},
		Richness: 1,
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 20,
			Loss: dmft.Loss{Kind: dmft.MSE}},
	}
}

func ExampleTrain() {
	t, err := finite.Train(context.Background(), problem(), finite.Settings{Width: 256, Seeds: 4, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d networks of width %d, loss %.1f to %.3f\n", t.Replicas, t.Width, t.Loss[0], t.Loss[20])
	// Output: 4 networks of width 256, loss 1.0 to 0.039
}

// TestSeedsAreStreams: a network does not depend on how many others are trained beside it, and widths and seeds draw
// different numbers.
func TestSeedsAreStreams(t *testing.T) {
	run := func(width, seeds int, seed uint64) *dmft.Trajectory {
		tr, err := finite.Train(context.Background(), problem(), finite.Settings{Width: width, Seeds: seeds, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	few, many := run(16, 2, 1), run(16, 150, 1)
	for i, v := range few.FReplicas.At(1).Data {
		if v != many.FReplicas.At(1).Data[i] {
			t.Fatalf("element %d of seed 1: %g alone, %g among 150", i, v, many.FReplicas.At(1).Data[i])
		}
	}
	alone, err := finite.Train(context.Background(), problem(), finite.Settings{Width: 16, Seed: 1, First: 7})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range alone.F.Data {
		if v != many.FReplicas.At(7).Data[i] {
			t.Fatalf("element %d of seed 7: %g alone, %g among 150", i, v, many.FReplicas.At(7).Data[i])
		}
	}
	seen := map[float64]bool{}
	for _, f := range []*dmft.Trajectory{many, run(16, 3, 2), run(17, 3, 1)} {
		for s := range f.Replicas {
			v := f.FReplicas.At(s).At(5).Data[0]
			if seen[v] {
				t.Fatalf("two networks of different width or seed are the same: %g", v)
			}
			seen[v] = true
		}
	}
}

func BenchmarkTrain(b *testing.B) {
	for _, prec := range []finite.Precision{finite.Float64, finite.Float32} {
		b.Run(string(prec), func(b *testing.B) {
			p := problem()
			for b.Loop() {
				if _, err := finite.Train(context.Background(), p,
					finite.Settings{Width: 4096, Seeds: 4, Precision: prec}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*21*4), "µs/step/seed")
		})
	}
}
