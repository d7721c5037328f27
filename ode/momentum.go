package ode

// Momentum is heavy ball (Polyak, USSR Comp. Math. Math. Phys. 4, 1964, 1) with the learning rate outside the velocity:
// v ← μv + ∇, θ ← (1 − ηλ)θ + ηv.
const Momentum Kind = "momentum"

var heavyBall row = func(mu float64) coefficients { return coefficients{p: mu, q: 1, b: 1} }
