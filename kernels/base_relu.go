package kernels

import (
	"math"

	"github.com/seed39b58f2d/dmft/internal/vec"
)

var relu = definition{
	Base:   Base{Name: ReLUName, Formula: "max(h, 0)"},
	eval:   func(phi, dphi, h []float64, s shape) { vec.ReLUWithDerivative(phi, dphi, h, s.scale, s.gain, 0) },
	eval32: func(phi, dphi, h []float32, s shape) { vec.ReLUWithDerivative(phi, dphi, h, s.scale, s.gain, 0) },
	at:     func(x float64, _ shape) (v, d, second float64) { return leakyAt(x, 0) },
	dual:   func(va, vb, c float64, _ shape) (phi, dphi float64) { return leakyDual(va, vb, c, 0) },
	closed: yes, homogeneous: yes,
	kinks: func(shape) []float64 { return []float64{0} },
}

var leakyReLU = definition{
	Base: Base{Name: LeakyReLUName, Formula: "h for h > 0, slope·h below",
		Parameter: Parameter{Key: "slope", Meaning: "slope below zero", Example: "0.1"}},
	eval: func(phi, dphi, h []float64, s shape) {
		vec.ReLUWithDerivative(phi, dphi, h, s.scale, s.gain, s.parameter)
	},
	eval32: func(phi, dphi, h []float32, s shape) {
		vec.ReLUWithDerivative(phi, dphi, h, s.scale, s.gain, s.parameter)
	},
	at:     func(x float64, s shape) (v, d, second float64) { return leakyAt(x, s.parameter) },
	dual:   func(va, vb, c float64, s shape) (phi, dphi float64) { return leakyDual(va, vb, c, s.parameter) },
	closed: yes, homogeneous: yes,
	kinks: func(shape) []float64 { return []float64{0} },
	simpler: func(s shape) *definition {
		switch s.parameter {
		case 0:
			return &relu
		case 1:
			return &linear
		}
		return nil
	},
}

func leakyAt(x, slope float64) (v, d, second float64) {
	switch {
	case x > 0:
		return x, 1, 0
	case x != x:
		return x, x, x
	case slope != 0:
		return slope * x, slope, 0
	}
	return 0, 0, 0
}

// arcCosine returns E max(u, 0) max(v, 0) and P(u > 0, v > 0) for a pair of covariance c and √determinant root:
//
//	(root + (π − θ)c)/(2π),   (π − θ)/(2π),   θ = atan2(root, c)
func arcCosine(c, root float64) (phi, dphi float64) {
	delta := math.Atan2(root, -c) // π − θ
	if delta > 0.3 {
		return (root + delta*c) / (2 * math.Pi), delta / (2 * math.Pi)
	}
	// Near correlation −1 the two terms cancel: r(sin δ − δ cos δ), r = √(va vb).
	d2 := delta * delta
	r := math.Hypot(c, root)
	return r * delta * d2 * (1./3 - d2*(1./30-d2*(1./840-d2*(1./45360-d2*(1./3991680-d2*(1./518918400)))))) / (2 * math.Pi), delta / (2 * math.Pi)
}

// leakyDual is the kernel of φ = slope·h + (1 − slope)·max(h, 0).
func leakyDual(va, vb, c, slope float64) (phi, dphi float64) {
	if va == 0 || vb == 0 { // a field that is always zero: φ(0) = 0 and φ′(0) = slope
		x, y := slope, slope
		if va > 0 {
			x = (1 + slope) / 2
		}
		if vb > 0 {
			y = (1 + slope) / 2
		}
		return 0, x * y
	}
	unit := 1.
	if p := va * vb; p < 1e-250 || p > 1e250 { // the products would underflow or overflow
		unit = math.Sqrt(va) * math.Sqrt(vb)
		va, vb, c = 1, 1, max(-1, min(1, c/unit))
	}
	r, up := arcCosine(c, math.Sqrt(determinant(va, vb, c)))
	m := 1 - slope
	return unit * (slope*c + m*m*r), slope + m*m*up // slope² + slope·m = slope
}
