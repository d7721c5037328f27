package dmft_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

func TestSmoke(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, act := range []string{"relu", "tanh"} {
		for _, g := range []float64{0.1, 1, 4} {
			p := &dmft.Problem{Richness: g, Network: dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: kernels.Activation{Name: act}},
				Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.05}, Steps: 60, Loss: dmft.Loss{Kind: dmft.MSE}}}
			x, y := mat.NewDense(8, 20, nil), mat.NewDense(8, 1, nil)
			for i := range 8 {
				for j := range 20 {
					x.Set(i, j, rng.NormFloat64())
				}
				y.Set(i, 0, float64(i%2)*2-1)
			}
			p.Data = dmft.Data{Inputs: x, Targets: y, TestInputs: mat.DenseCopyOf(x.Slice(0, 3, 0, 20)), TestTargets: mat.DenseCopyOf(y.Slice(0, 3, 0, 1))}
			t0 := time.Now()
			th, err := dmft.Solve(context.Background(), p, dmft.Settings{Seed: 1, Run: dmft.Run{Record: dmft.Record{AutoKernels: true}}})
			if err != nil {
				t.Fatal(err)
			}
			lz, err := dmft.Solve(context.Background(), p, dmft.Settings{Method: dmft.Lazy, Run: dmft.Run{Record: dmft.Record{AutoKernels: true}}})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println(act, g, time.Since(t0), th.Loss[60], th.LossStderr[60], "lazy", lz.Loss[60], th.F.At(30).Data[:3], th.FStderr.At(30).Data[:3], th.KernelMovement[60], th.Alignment[60])
			var sims []*dmft.Trajectory
			for _, n := range []int{64, 128, 256, 512} {
				s, err := finite.Train(context.Background(), p, finite.Settings{Width: n, Seeds: 32, Seed: 3})
				if err != nil {
					t.Fatal(err)
				}
				sims = append(sims, s)
			}
			r, err := compare.New(th, sims, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range r.Widths {
				fmt.Printf("  %+v\n", w)
			}
			fmt.Println("  ", r.Error, "|", r.Bias, "|", r.Verdict(), time.Since(t0))
		}
	}
}
