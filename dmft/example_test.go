package dmft_test

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// An infinitely wide network with two hidden layers. Linear networks are exact in the sites: any seed gives the same
// digits.
func ExampleSolve_deep() {
	p := &dmft.Problem{
		Data:     dmft.Data{Inputs: mat.NewDense(1, 1, []float64{1}), Targets: mat.NewDense(1, 1, []float64{1})},
		Network:  dmft.Network{Kind: dmft.MLP, Depth: 2, Activation: kernels.Activation{Name: "linear"}},
		Richness: 1,
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.05}, Steps: 10, Loss: dmft.Loss{Kind: dmft.MSE}},
	}
	t, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 400, Seed: 1, Run: dmft.Run{Record: dmft.Record{Kernels: 2}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("f = %.8f, NTK %.4f to %.4f\n", t.F.At(10).Data[0], t.NTK.At(0).Data[0], t.NTK.At(1).Data[0])
	// Output: f = 0.87344167, NTK 3.0000 to 4.6400
}
