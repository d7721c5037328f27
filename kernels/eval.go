package kernels

type float interface{ float32 | float64 }

// Eval sets phi ← φ(h) and dphi ← φ′(h) element by element; either may be nil. The derivative of relu at 0 is 0, that
// of leaky-relu the slope. Infinities give limits and NaN gives NaN. phi may be h itself. It panics when an output is
// shorter than h, and does nothing for an activation that Validate refuses by name. An element depends on its own
// argument alone, to the bit.
func (a Activation) Eval(phi, dphi, h []float64) {
	if d, s := a.shape(); d != nil {
		d.eval(fit(phi, h), fit(dphi, h), h, s)
	}
}

// Eval32 is Eval in single precision.
func (a Activation) Eval32(phi, dphi, h []float32) {
	if d, s := a.shape(); d != nil {
		d.eval32(fit(phi, h), fit(dphi, h), h, s)
	}
}

// fit cuts an output that is asked for to the length of h.
func fit[T float](out, h []T) []T {
	if out == nil {
		return nil
	}
	return out[:len(h)]
}

// Value is φ(h).
func (a Activation) Value(h float64) float64 {
	v, _, _ := a.scalar(h)
	return v
}

// Derivative is φ′(h).
func (a Activation) Derivative(h float64) float64 {
	_, d, _ := a.scalar(h)
	return d
}

// Second is φ″(h), without the delta functions of relu and leaky-relu at 0. That of a Function of the caller's own
// without a second derivative is a difference quotient of φ′, to some 1e-12 of φ′ for smooth functions.
func (a Activation) Second(h float64) float64 {
	_, _, s := a.scalar(h)
	return s
}

// Pointwise returns φ, φ′ and φ″ as a function of one point, for many points one by one: Value and Derivative look the
// base function up at every call.
func (a Activation) Pointwise() func(h float64) (phi, dphi, second float64) {
	f, s := a.shape()
	if f == nil {
		return func(float64) (phi, dphi, second float64) { return }
	}
	return func(h float64) (phi, dphi, second float64) {
		phi, dphi, second = f.at(s.scale*h, s)
		return s.gain * phi, s.gain * s.scale * dphi, s.gain * s.scale * s.scale * second
	}
}

// scalar returns φ, φ′ and φ″.
func (a Activation) scalar(h float64) (v, d, second float64) {
	f, s := a.shape()
	if f == nil {
		return 0, 0, 0
	}
	v, d, second = f.at(s.scale*h, s)
	return s.gain * v, s.gain * s.scale * d, s.gain * s.scale * s.scale * second
}

// vanishing is x·d for a factor d that decays faster than x grows: 0 where d has underflowed, be x infinite.
func vanishing(x, d float64) float64 {
	if d == 0 {
		return 0
	}
	return x * d
}
