package vec

import (
	"math"
	"runtime"

	"golang.org/x/sys/cpu"
)

// The portable versions, element by element: the operations of the kernels in double precision, in the same order. A
// product that goes into a sum is converted to float64 explicitly where the kernels round it, or the compiler may fuse
// the two.

// emulated says that the processor has no fused multiply-add. Emulation would take a hundred times as long as the two
// operations, which cost a fraction of an ulp.
var emulated = func() bool {
	switch runtime.GOARCH {
	case "amd64":
		return !cpu.X86.HasFMA
	case "arm64", "loong64", "ppc64", "ppc64le", "riscv64", "s390x":
		return false
	}
	return true
}()

// fma is x·y + z.
func fma(x, y, z float64) float64 {
	if emulated {
		return float64(x*y) + z
	}
	return math.FMA(x, y, z)
}

const (
	// magic rounds numbers added to it to integers, which then stand in the low bits plus twice the bias of an
	// exponent.
	magic    = 3<<51 + 2*1023
	lowest   = -752. // exponents below give 0, those above highest ∞
	highest  = 712.
	gaussEnd = 38.7 // a·exp(−a²/2) is 0 from here
)

// power returns m and the factors of 2ⁿ in e^(y−low/2) = 2ⁿ(1 + m).
func power(y, low float64) (m, s0, s1 float64) {
	t := fma(log2e, y, magic)
	n := t - magic
	r := fma(-ln2High, n, y)
	r = fma(-ln2Low, n, r)
	r = fma(-0.5, low, r)
	r2 := float64(r * r)
	m = fma(r2, expPolynomial(r, r2), r)
	bits := math.Float64bits(t)
	half := bits >> 1
	return m, math.Float64frombits(half << 52), math.Float64frombits((bits - half) << 52)
}

// ExpAt is e^x.
func ExpAt(x float64) float64 {
	m, s0, s1 := power(clamp(x, lowest, highest), 0)
	return (1 + m) * s0 * s1
}

// clamp keeps NaN, and branches on nothing that is hard to predict.
func clamp(x, lo, hi float64) float64 {
	if x < lo {
		return lo
	}
	if x > hi {
		return hi
	}
	return x
}

// TanhAt is tanh x and its derivative, with the bits of TanhWithDerivative in double precision; so are the others.
func TanhAt(x float64) (v, d float64) {
	m, s0, s1 := power(-2*clamp(math.Abs(x), 0, -lowest/2), 0)
	s := s0 * s1
	v = fma(s, m, s-1)
	v /= 2 + v
	u := 1 - v
	return math.Copysign(v, x), float64((1+m)*u*u) * s0 * s1
}

// gaussian returns a = min(|x|, gaussEnd), a² and the parts of e^{−a²/2} = e·s0·s1.
func gaussian(x float64) (a, a2, e, s0, s1 float64) {
	a = clamp(math.Abs(x), 0, gaussEnd)
	a2 = float64(a * a)
	m, s0, s1 := power(-0.5*a2, math.FMA(a, a, -a2)) // exact by all means
	return a, a2, 1 + m, s0, s1
}

// ErfAt is erf(x/√2) and its derivative.
func ErfAt(x float64) (v, d float64) {
	a, a2, e, s0, s1 := gaussian(x)
	d = twoDensity0 * e * s0 * s1
	if a < erfSplit {
		v = a * erfPolynomial(a2, float64(a2*a2))
	} else {
		t := erfP(a, a2) / erfQ(a, a2)
		v = 1 - float64(e*t*s0*s1)
	}
	return math.Copysign(v, x), d
}

// GELUAt is xΦ(x) and its derivative.
func GELUAt(x float64) (v, d float64) {
	a, a2, e, s0, s1 := gaussian(x)
	t := geluP(a, a2) / geluQ(a, a2)
	d = fma(-density0, a, t) * e * s0 * s1
	v = float64(e * t * a * s0 * s1)
	if math.Signbit(x) {
		return math.Copysign(0, -1) - v, float64(d) + 0
	}
	return x - v, 1 - float64(d)
}

// SoftplusAt is log(1 + e^x) and its derivative.
func SoftplusAt(x float64) (v, d float64) {
	m, s0, s1 := power(-clamp(math.Abs(x), 0, -lowest), 0)
	u := float64((1 + m) * s0 * s1)
	s := u / fma(0.5, u, 1)
	z := float64(s * s)
	v = fma(s, float64(z*logPolynomial(z, float64(z*z))), s)
	if x < 0 {
		return v, u / (1 + u)
	}
	return x + v, 1 / (1 + u)
}

func reluAt(x float64, p parameters) (v, d float64) {
	sign, above, below, high, low := p[0], p[1], p[2], p[3], p[4]
	x *= sign
	up, down := x, x
	switch {
	case x > 0:
		down, d = 0, above
	case x < 0:
		up, d = 0, below
	case x == 0:
		d = below
	default:
		d = x
	}
	return float64(above*min(up, high)) + float64(below*max(down, low)), sign * d
}

// loop is the portable kernel.
func loop[T Real](f op, phi, dphi, x []T, p parameters) {
	if f == expOp {
		for i, x := range x {
			phi[i] = T(ExpAt(float64(x)))
		}
		return
	}
	in, out, slope := p[0], p[1], p[2]
	for i, x := range x {
		var v, d float64
		switch f {
		case tanhOp:
			v, d = TanhAt(float64(in * float64(x)))
		case erfOp:
			v, d = ErfAt(float64(in * float64(x)))
		case geluOp:
			v, d = GELUAt(float64(in * float64(x)))
		case softplusOp:
			v, d = SoftplusAt(float64(in * float64(x)))
		case reluOp:
			v, d = reluAt(float64(x), p)
			out, slope = 1, 1
		}
		if phi != nil {
			phi[i] = T(out * v)
		}
		if dphi != nil {
			dphi[i] = T(slope * d)
		}
	}
}
