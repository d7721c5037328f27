package ode

// RK4 is Kutta's method of 1901, order 4 (Hairer, Nørsett & Wanner I, table II.1.2).
const RK4 Kind = "rk4"

var classicalRK4 = tableau{
	order: 4,
	a:     [][]float64{{}, {1. / 2}, {0, 1. / 2}, {0, 0, 1}},
	b:     []float64{1. / 6, 1. / 3, 1. / 3, 1. / 6},
	c:     []float64{0, 1. / 2, 1. / 2, 1},
}
