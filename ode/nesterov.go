package ode

// Nesterov is the accelerated gradient in the form of Sutskever et al. (Proc. Mach. Learn. Res. 28, 2013, 1139),
// written at the look-ahead point: v ← μv + ∇, θ ← (1 − ηλ)θ + η(∇ + μv).
const Nesterov Kind = "nesterov"

var nesterov row = func(mu float64) coefficients { return coefficients{p: mu, q: 1, a: 1, b: mu} }
