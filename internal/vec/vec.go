package vec

import (
	"math"
	"unsafe"
)

// Real is an element type.
type Real interface{ float32 | float64 }

// Exp sets dst[i] ← e^{x[i]}.
func Exp[T Real](dst, x []T) { apply(expOp, dst, nil, x, parameters{}) }

// Tanh sets dst[i] ← tanh x[i].
func Tanh[T Real](dst, x []T) { TanhWithDerivative(dst, nil, x, 1, 1) }

// Erf sets dst[i] ← erf x[i].
func Erf[T Real](dst, x []T) { ErfWithDerivative(dst, nil, x, math.Sqrt2, 1) }

// The functions with derivatives set phi[i] ← out·f(in·x[i]) and dphi[i] ← out·in·f′(in·x[i]). Either output may be
// nil; they panic when one is shorter than x.

// TanhWithDerivative takes f(x) = tanh x.
func TanhWithDerivative[T Real](phi, dphi, x []T, in, out float64) {
	apply(tanhOp, phi, dphi, x, parameters{in, out, in * out})
}

// ErfWithDerivative takes f(x) = erf(x/√2) = 2Φ(x) − 1, Φ the normal distribution function.
func ErfWithDerivative[T Real](phi, dphi, x []T, in, out float64) {
	apply(erfOp, phi, dphi, x, parameters{in, out, in * out})
}

// GELUWithDerivative takes f(x) = xΦ(x).
func GELUWithDerivative[T Real](phi, dphi, x []T, in, out float64) {
	apply(geluOp, phi, dphi, x, parameters{in, out, in * out})
}

// SoftplusWithDerivative takes f(x) = log(1 + e^x), whose derivative is the logistic function.
func SoftplusWithDerivative[T Real](phi, dphi, x []T, in, out float64) {
	apply(softplusOp, phi, dphi, x, parameters{in, out, in * out})
}

// ReLUWithDerivative takes f(x) = x for x > 0 and below·x for x ≤ 0, the derivative of which at 0 is below. For
// infinite x too f is 0 where a slope is 0. The products of in, out and below are formed first.
func ReLUWithDerivative[T Real](phi, dphi, x []T, in, out, below float64) {
	huge := math.MaxFloat64
	if unsafe.Sizeof(T(0)) == 4 {
		huge = math.MaxFloat32
	}
	sign := math.Copysign(1, in)
	a, b := T(sign*in*out), T(sign*in*out*below)
	high, low := math.Inf(1), math.Inf(-1)
	if a == 0 {
		high = huge
	}
	if b == 0 {
		low = -huge
	}
	apply(reluOp, phi, dphi, x, parameters{sign, float64(a), float64(b), high, low})
}

type op int

const (
	expOp op = iota
	tanhOp
	erfOp
	geluOp
	softplusOp
	reluOp
)

// parameters of a function: in, out and in·out, or those of relu.
type parameters [5]float64

// chunk is how many elements one call of assembly takes.
const chunk = 4096

// apply runs a function.
func apply[T Real](f op, phi, dphi, x []T, p parameters) {
	if phi != nil {
		phi = phi[:len(x)]
	}
	if dphi != nil {
		dphi = dphi[:len(x)]
	}
	if phi == nil && (dphi == nil || f == expOp) {
		return
	}
	for len(x) > 0 {
		n := min(len(x), chunk)
		u, v, w := unsafe.Pointer(unsafe.SliceData(phi)), unsafe.Pointer(unsafe.SliceData(dphi)), unsafe.Pointer(&x[0])
		switch {
		case level == portable:
			loop(f, phi, dphi, x[:n], p)
		case unsafe.Sizeof(T(0)) == 8:
			kernel64(f, (*float64)(u), (*float64)(v), (*float64)(w), n, p)
		default:
			kernel32(f, (*float32)(u), (*float32)(v), (*float32)(w), n,
				[5]float32{float32(p[0]), float32(p[1]), float32(p[2]), float32(p[3]), float32(p[4])})
		}
		x = x[n:]
		if phi != nil {
			phi = phi[n:]
		}
		if dphi != nil {
			dphi = dphi[n:]
		}
	}
}

// set names the instructions in use.
type set int

const (
	portable set = iota
	avx2
	avx512
)

// level is the best set that this processor runs; tests change it.
var level = func() set {
	s := available()
	return s[len(s)-1]
}()
