package data_test

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/data"
)

// Two classes of the digits that the program carries, as data of a problem.
func ExampleLoad() {
	set, err := data.Load(data.Spec{Source: "digits", Classes: []int{0, 1}, Train: 16, Test: 64, Seed: 1}, ".")
	if err != nil {
		fmt.Println(err)
		return
	}
	p := dmft.Problem{Data: set.Data()}
	_, d := p.Data.Inputs.Dims()
	fmt.Printf("%s; D = %d, first target %g\n", set.Description, d, p.Data.Targets.At(0, 0))
	// Output: digits: 16 points of 64 inputs, 64 test points; D = 64, first target -1
}

// Points of one's own: on the sphere |x|² = D, with targets for three classes.
func ExampleEncode() {
	x := mat.NewDense(3, 2, []float64{3, 4, 1, 0, 0, -2})
	if err := data.Normalize(x, nil, "sphere"); err != nil {
		fmt.Println(err)
		return
	}
	y, err := data.Encode([]int{0, 2, 1}, 3, "one-hot")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f\n%v\n", mat.Formatted(x), mat.Formatted(y))
	// Output:
	// ⎡ 0.8485   1.1314⎤
	// ⎢ 1.4142   0.0000⎥
	// ⎣ 0.0000  -1.4142⎦
	// ⎡1  0  0⎤
	// ⎢0  0  1⎥
	// ⎣0  1  0⎦
}
