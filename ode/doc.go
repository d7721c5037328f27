// Package ode is what time is: optimisers and integrators of the gradient flow as linear combinations of gradients. It knows nothing of networks:
// a method moves a [System], anything whose state lives in registers and can evaluate, accumulate and combine gradients.
//
//	gradient descent   θ ← (1 − ηλ)θ + η∇
//	momentum           v ← μv + ∇,  θ ← (1 − ηλ)θ + ηv
//	Nesterov           v ← μv + ∇,  θ ← (1 − ηλ)θ + η(∇ + μv)
//	flow               dθ/dt = ∇ − λθ by Runge–Kutta 4, Dormand–Prince 5(4) with step rejection, Adams–Bashforth 2 to 4
//
// Any of them is a memory kernel, θ(t) = d(t)θ(0) + Σ_{s<t} c(t,s)∇(s), and that is all the theory needs of it.
package ode
