// Package ode is what time is: optimisers and integrators of the gradient flow as linear combinations of gradients. It
// knows nothing of networks: a method moves a [System], anything whose state θ lives in registers and can evaluate,
// accumulate and combine gradients. ∇ is the direction of descent, so every update adds it.
//
// The optimisers, where time is the step number n and η_n = η·[Schedule.Rate]:
//
//	gd         θ ← (1 − η_n λ)θ + η_n ∇
//	momentum   v ← μv + ∇,  θ ← (1 − η_n λ)θ + η_n v
//	nesterov   v ← μv + ∇,  θ ← (1 − η_n λ)θ + η_n(∇ + μv)
//
// The weight decay λ is decoupled: it acts on θ and never enters v (Loshchilov & Hutter, arXiv 1711.05101, algorithm
// 1). Momentum is heavy ball with the learning rate outside the velocity; Nesterov is the form of Sutskever et al.
// (Proc. Mach. Learn. Res. 28, 2013, 1139), written at the look-ahead point.
//
// The integrators of the gradient flow, with outputs at t = nη:
//
//	dθ/dt = ∇ − λθ
//
//	ab2, ab3, ab4   Adams–Bashforth, one step and one gradient per output; the first steps are Runge–Kutta 4, so the order holds from the start
//	rk4             classical Runge–Kutta, one step and four gradients per output
//	rk45            Dormand–Prince 5(4), as many steps per output as the tolerance asks, landing exactly on outputs
//
// Tables and their sources are beside the code (E. Hairer, S. P. Nørsett and G. Wanner, Solving Ordinary Differential
// Equations I, 2nd ed., 1993).
//
// Every one of them with a fixed step is a memory kernel, θ(t) = d(t)θ(0) + Σ_{s<t} c(t,s)∇(s), and that is all a
// theory of training needs to know of it. [MemoryKernel] derives d and c by running the method itself on formal
// coefficients.
//
// A method is coefficients in a file of its own and a line in the table of methods (method.go). What a program needs to
// know of one, it asks a [Method]: the time and rate of a step, registers, gradients per step, the limit of stability.
// The table holds anything that makes a [Stepper]. Methods that act element by element, such as sign descent or Adam,
// would be a further family of it: their Stepper collects gradients in registers by Accumulate and Combine like the
// others, and asks the System of its first Step for more than linear combinations, namely to apply a function to the
// elements of some registers; a System that cannot is an error there. What holds for linear methods alone, such as
// [MemoryKernel], would then ask for that as a capability too.
//
// [Solve] integrates a small system of ordinary differential equations by the same code; [NewStepper] is for a state of
// any other shape.
package ode
