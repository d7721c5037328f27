package ode_test

import (
	"fmt"

	"github.com/seed39b58f2d/dmft/ode"
)

// The flow dy/dt = −y at three times by the classical Runge–Kutta method.
func ExampleSolve() {
	decay := func(_ float64, dst, y []float64) { dst[0] = -y[0] }
	out, err := ode.Solve(decay, []float64{1}, 0, ode.Method{Kind: ode.RK4, LearningRate: 0.1}, 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := 0; n <= 20; n += 10 {
		fmt.Printf("y(%g) = %.6f\n", 0.1*float64(n), out[n][0])
	}
	// Output:
	// y(0) = 1.000000
	// y(1) = 0.367880
	// y(2) = 0.135336
}

// A System stepped by hand: momentum on the loss ½(y − 3)².
func ExampleNewStepper() {
	m := ode.Method{Kind: ode.Momentum, LearningRate: 0.1, Momentum: 0.5}
	const steps = 60
	st, err := ode.NewStepper(m, steps)
	if err != nil {
		fmt.Println(err)
		return
	}
	sys := ode.NewVector(func(_ float64, dst, y []float64) { dst[0] = 3 - y[0] }, []float64{0})
	sys.Reserve(st.Registers())
	for n := range steps {
		sys.Eval(0, float64(n)) // time is the step number
		if err := st.Step(sys, n); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Printf("y = %.4f after %d gradients\n", sys.Register(0)[0], st.Stats().Evals)
	// Output: y = 3.0000 after 60 gradients
}

// What momentum makes of each gradient: its weight grows from η to η/(1 − μ).
func ExampleMemoryKernel() {
	mem, err := ode.MemoryKernel(ode.Method{Kind: ode.Momentum, LearningRate: 0.1, Momentum: 0.5}, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	for t, c := range mem.C {
		fmt.Printf("d = %g  c = %.4g\n", mem.D[t], c)
	}
	// Output:
	// d = 1  c = []
	// d = 1  c = [0.1]
	// d = 1  c = [0.15 0.1]
	// d = 1  c = [0.175 0.15 0.1]
	// d = 1  c = [0.1875 0.175 0.15 0.1]
}
