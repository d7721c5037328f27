package experiment_test

import (
	"fmt"

	"github.com/seed39b58f2d/dmft/internal/experiment"
)

func ExampleParse() {
	f, err := experiment.Parse("lazy-to-rich.yaml", []byte(`
data: {source: digits, classes: [0, 1], train: 16}
network: {kind: two-layer, activation: tanh}
richness: [0.1, 4]
training: {learning_rate: 0.05, steps: 200}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range f.Points() {
		fmt.Println(p.Label, p.Experiment.Name, p.Experiment.Simulation.Widths)
	}
	// Output:
	// richness=0.1 lazy-to-rich [256 1024]
	// richness=4 lazy-to-rich [256 1024]
}

func ExampleErrors() {
	_, err := experiment.Parse("wrong.yaml", []byte(`data: {source: digits, train: 16}
network: {kind: two-layers, activation: tanh}
richness: 1
training: {learning_rate: 0.05, steps: 200, momentum: 0.9}
`))
	fmt.Println(err)
	// Output:
	// wrong.yaml:2:17: network.kind is "two-layers"; expected one of two-layer, mlp, resnet; did you mean two-layer?
	//     network: {kind: two-layers, activation: tanh}
	//                     ^
	// wrong.yaml:4:45: training.momentum does not apply: the optimizer gd has none
	//     training: {learning_rate: 0.05, steps: 200, momentum: 0.9}
	//                                                 ^
}
