package ode

// GD is gradient descent, θ ← (1 − ηλ)θ + η∇.
const GD Kind = "gd"

var gd row = func(float64) coefficients { return coefficients{a: 1} }
