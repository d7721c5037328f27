package highdim_test

import (
	"context"
	"fmt"

	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// Two hidden units and four times as many points as dimensions: the training points are learned long before the task.
func Example() {
	p := &highdim.Problem{
		Ratio: 4, Units: 2, OutputScale: 1,
		Activation: kernels.Activation{Name: kernels.QuadraticMixName, Parameter: 0.1},
		Target:     highdim.Target{Overlaps: [][]float64{{0.2}, {-0.2}}},
		Training:   highdim.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.2}, Steps: 120},
	}
	theory, err := highdim.Solve(context.Background(), p, highdim.Settings{Samples: 16384, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("gap of more than a decade: %v\n", highdim.GapOf(theory, 0.5).Dex > 1)

	online, err := highdim.OnePass(context.Background(), p, 4, highdim.Settings{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("with fresh points at every step: %v\n", highdim.GapOf(online, 0.5))
	// Output:
	// gap of more than a decade: true
	// with fresh points at every step: 0 dex
}
