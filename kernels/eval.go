package kernels

import "github.com/seed39b58f2d/dmft/internal/vec"

type float interface{ float32 | float64 }

// Eval sets phi ← φ(h) and dphi ← φ′(h) element by element; either may be nil. The derivative of relu at 0 is 0, that of leaky-relu the slope.
// Infinities give limits and NaN gives NaN. phi may be h itself. It panics when an output is shorter than h, and does nothing for an
// activation that Validate refuses by name. An element depends on its own argument alone, to the bit.
func (a Activation) Eval(phi, dphi, h []float64) { evaluate(a, phi, dphi, h) }

// Eval32 is Eval in single precision.
func (a Activation) Eval32(phi, dphi, h []float32) { evaluate(a, phi, dphi, h) }

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

// Second is φ″(h), without the delta functions of relu and leaky-relu at 0.
func (a Activation) Second(h float64) float64 {
	_, _, s := a.scalar(h)
	return s
}

// shape is an activation with its special cases resolved: relu, quadratic-mix and polynomial in their simplest equivalent form.
func (a Activation) shape() (name string, gain, scale, parameter float64, c []float64) {
	name, gain, scale, parameter, c = a.Name, a.gain(), a.scale(), a.Parameter, a.Coefficients
	switch name {
	case LeakyReLUName:
		switch parameter {
		case 0:
			name = ReLUName
		case 1:
			name = IdentityName
		}
	case QuadraticMixName:
		if parameter == 0 {
			name = IdentityName
		}
	case PolynomialName:
		for len(c) > 0 && c[len(c)-1] == 0 {
			c = c[:len(c)-1]
		}
	}
	return name, gain, scale, parameter, c
}

// scalar returns φ, φ′ and φ″.
func (a Activation) scalar(h float64) (v, d, s float64) {
	name, gain, scale, e, c := a.shape()
	x := scale * h
	switch name {
	case IdentityName:
		return gain * scale * h, gain * scale, 0
	case ReLUName, LeakyReLUName:
		slope := 0.
		if name == LeakyReLUName {
			slope = e
		}
		switch {
		case x > 0:
			v, d = x, 1
		case x != x:
			v, d, s = x, x, x
		case slope != 0:
			v, d = slope*x, slope
		}
	case ErfName:
		v, d = vec.ErfAt(x)
		s = -vanishing(x, d)
	case TanhName:
		v, d = vec.TanhAt(x)
		s = -2 * v * d
	case GELUName:
		v, d = vec.GELUAt(x)
		_, n := vec.ErfAt(x) // twice the normal density
		s = n - vanishing(x, vanishing(x, n/2))
	case SoftplusName:
		v, d = vec.SoftplusAt(x)
		_, q := vec.SoftplusAt(-x)
		s = d * q
	case QuadraticMixName:
		v, d = quadraticMixBase(x, e)
		s = e
	case PolynomialName:
		v, d = polynomialBase(x, c)
		for k := len(c) - 1; k > 1; k-- {
			if k == len(c)-1 {
				s = float64(k*(k-1)) * c[k]
			} else {
				s = s*x + float64(k*(k-1))*c[k]
			}
		}
	}
	return gain * v, gain * scale * d, gain * scale * scale * s
}

// vanishing is x·d for a factor d that decays faster than x grows: 0 where d has underflowed, be x infinite.
func vanishing(x, d float64) float64 {
	if d == 0 {
		return 0
	}
	return x * d
}

// evaluate leaves to vec what takes more than a few operations. The derivative goes first in the other cases, since phi may be h.
func evaluate[T float](a Activation, phi, dphi, h []T) {
	if phi != nil {
		phi = phi[:len(h)]
	}
	if dphi != nil {
		dphi = dphi[:len(h)]
	}
	name, gain, scale, e, c := a.shape()
	ds := gain * scale
	switch name {
	case IdentityName:
		g := T(ds)
		for i := range dphi {
			dphi[i] = g
		}
		if phi != nil {
			for i, x := range h {
				phi[i] = g * x
			}
		}
	case ReLUName:
		vec.ReLUWithDerivative(phi, dphi, h, scale, gain, 0)
	case LeakyReLUName:
		vec.ReLUWithDerivative(phi, dphi, h, scale, gain, e)
	case ErfName:
		vec.ErfWithDerivative(phi, dphi, h, scale, gain)
	case TanhName:
		vec.TanhWithDerivative(phi, dphi, h, scale, gain)
	case GELUName:
		vec.GELUWithDerivative(phi, dphi, h, scale, gain)
	case SoftplusName:
		vec.SoftplusWithDerivative(phi, dphi, h, scale, gain)
	case QuadraticMixName:
		for i, x := range h {
			v, d := quadraticMixBase(scale*float64(x), e)
			if phi != nil {
				phi[i] = T(gain * v)
			}
			if dphi != nil {
				dphi[i] = T(ds * d)
			}
		}
	case PolynomialName:
		for i, x := range h {
			v, d := polynomialBase(scale*float64(x), c)
			if phi != nil {
				phi[i] = T(gain * v)
			}
			if dphi != nil {
				dphi[i] = T(ds * d)
			}
		}
	}
}
