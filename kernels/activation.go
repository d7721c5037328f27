package kernels

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Activation is a nonlinearity φ(h) = Gain·base(Scale·h), with Gain and Scale 1 when zero.
type Activation struct {
	Name         string
	Gain         float64   `json:",omitempty"`
	Scale        float64   `json:",omitempty"`
	Parameter    float64   `json:",omitempty"` // slope of leaky-relu, ε of quadratic-mix
	Coefficients []float64 `json:",omitempty"` // of polynomial: c₀ + c₁h + c₂h² + …
}

// The base functions.
const (
	IdentityName     = "linear"        // h
	ReLUName         = "relu"          // max(h, 0)
	LeakyReLUName    = "leaky-relu"    // h for h > 0, Parameter·h below
	ErfName          = "erf"           // erf(h/√2)
	TanhName         = "tanh"          // tanh h
	GELUName         = "gelu"          // h·Φ(h), Φ the normal distribution function
	SoftplusName     = "softplus"      // log(1 + e^h)
	QuadraticMixName = "quadratic-mix" // h + (ε/2)h²
	PolynomialName   = "polynomial"    // Σ_k c_k h^k
)

// Names lists the base functions.
func Names() []string {
	return []string{IdentityName, ReLUName, LeakyReLUName, ErfName, TanhName, GELUName, SoftplusName, QuadraticMixName, PolynomialName}
}

// Validate says what is wrong with an activation.
func (a Activation) Validate() error {
	known := false
	for _, n := range Names() {
		known = known || n == a.Name
	}
	if !known {
		return fmt.Errorf("kernels: unknown activation %q; use one of %s", a.Name, strings.Join(Names(), ", "))
	}
	for _, v := range append([]float64{a.Gain, a.Scale, a.Parameter}, a.Coefficients...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("kernels: activation %s has a parameter %g", a.Name, v)
		}
	}
	if a.Name == PolynomialName && len(a.Coefficients) == 0 {
		return fmt.Errorf("kernels: a polynomial activation needs coefficients, lowest power first")
	}
	if a.Name != PolynomialName && len(a.Coefficients) > 0 {
		return fmt.Errorf("kernels: coefficients are for the activation polynomial, not %s", a.Name)
	}
	if a.Parameter != 0 && a.Name != LeakyReLUName && a.Name != QuadraticMixName {
		return fmt.Errorf("kernels: the activation %s has no parameter", a.Name)
	}
	return nil
}

// String names the activation with the parameters that differ from their defaults.
func (a Activation) String() string {
	var s []string
	if a.Name == LeakyReLUName || a.Name == QuadraticMixName {
		s = append(s, strconv.FormatFloat(a.Parameter, 'g', -1, 64))
	}
	if len(a.Coefficients) > 0 {
		s = append(s, strings.Trim(fmt.Sprint(a.Coefficients), "[]"))
	}
	if a.gain() != 1 {
		s = append(s, fmt.Sprintf("gain %g", a.Gain))
	}
	if a.scale() != 1 {
		s = append(s, fmt.Sprintf("scale %g", a.Scale))
	}
	if len(s) == 0 {
		return a.Name
	}
	return a.Name + "(" + strings.Join(s, ", ") + ")"
}

func (a Activation) gain() float64 {
	if a.Gain == 0 {
		return 1
	}
	return a.Gain
}

func (a Activation) scale() float64 {
	if a.Scale == 0 {
		return 1
	}
	return a.Scale
}

// Homogeneous says whether φ(ch) = cφ(h) for every c > 0.
func (a Activation) Homogeneous() bool {
	switch a.Name {
	case IdentityName, ReLUName, LeakyReLUName:
		return true
	case QuadraticMixName:
		return a.Parameter == 0
	case PolynomialName:
		for i, c := range a.Coefficients {
			if i != 1 && c != 0 {
				return false
			}
		}
		return true
	}
	return false
}

// Linear says whether φ(h) ∝ h.
func (a Activation) Linear() bool { return a.Odd() && a.Homogeneous() }

// Odd says whether φ(−h) = −φ(h).
func (a Activation) Odd() bool {
	switch a.Name {
	case IdentityName, ErfName, TanhName:
		return true
	case LeakyReLUName:
		return a.Parameter == 1
	case QuadraticMixName:
		return a.Parameter == 0
	case PolynomialName:
		for i, c := range a.Coefficients {
			if i%2 == 0 && c != 0 {
				return false
			}
		}
		return true
	}
	return false
}

type float interface{ float32 | float64 }

// Eval sets phi ← φ(h) and dphi ← φ′(h) element by element; either may be nil. The derivative of relu at 0 is 0.
func (a Activation) Eval(phi, dphi, h []float64) { evaluate(a, phi, dphi, h) }

// Eval32 is Eval in single precision.
func (a Activation) Eval32(phi, dphi, h []float32) { evaluate(a, phi, dphi, h) }

// Value is φ(h).
func (a Activation) Value(h float64) float64 {
	var v [1]float64
	a.Eval(v[:], nil, []float64{h})
	return v[0]
}

// Derivative is φ′(h).
func (a Activation) Derivative(h float64) float64 {
	var v [1]float64
	a.Eval(nil, v[:], []float64{h})
	return v[0]
}

// evaluate has one tight loop per base function, over value and derivative together where they share work.
func evaluate[T float](a Activation, phi, dphi, h []T) {
	gain, scale := a.gain(), a.scale()
	if phi != nil {
		phi = phi[:len(h)]
	}
	if dphi != nil {
		dphi = dphi[:len(h)]
	}
	// Gain and scale of the piecewise linear functions are one factor; the others go through f, which returns base value and
	// derivative.
	switch a.Name {
	case IdentityName:
		g := T(gain * scale)
		for i, x := range h {
			if phi != nil {
				phi[i] = g * x
			}
			if dphi != nil {
				dphi[i] = g
			}
		}
	case ReLUName, LeakyReLUName:
		up, down := T(gain*scale), T(0)
		if a.Name == LeakyReLUName {
			down = T(gain * scale * a.Parameter)
		}
		if scale < 0 { // mirrored
			up, down = down, up
		}
		if phi != nil {
			piecewise(phi, h, up, down)
		}
		if dphi != nil {
			slopes(dphi, h, up, down)
		}
	case TanhName:
		smooth(phi, dphi, h, gain, scale, func(x float64) (float64, float64) {
			t := math.Tanh(x)
			return t, (1 - t) * (1 + t)
		})
	case ErfName:
		smooth(phi, dphi, h, gain, scale, erfBase)
	case GELUName:
		smooth(phi, dphi, h, gain, scale, geluBase)
	case SoftplusName:
		smooth(phi, dphi, h, gain, scale, softplusBase)
	case QuadraticMixName:
		e := a.Parameter
		smooth(phi, dphi, h, gain, scale, func(x float64) (float64, float64) { return x + e/2*x*x, 1 + e*x })
	case PolynomialName:
		c := a.Coefficients
		smooth(phi, dphi, h, gain, scale, func(x float64) (float64, float64) {
			p, d := 0., 0.
			for k := len(c) - 1; k >= 0; k-- {
				d = d*x + p
				p = p*x + c[k]
			}
			return p, d
		})
	}
}

func piecewise[T float](phi, h []T, up, down T) {
	if down == 0 { // 0·(−∞) must be 0
		for i, x := range h {
			if x <= 0 {
				phi[i] = 0
			} else {
				phi[i] = up * x
			}
		}
		return
	}
	for i, x := range h {
		if x > 0 {
			phi[i] = up * x
		} else {
			phi[i] = down * x
		}
	}
}

func slopes[T float](dphi, h []T, up, down T) {
	for i, x := range h {
		switch {
		case x > 0:
			dphi[i] = up
		case x <= 0:
			dphi[i] = down
		default:
			dphi[i] = x // NaN
		}
	}
}

const invSqrt2Pi = 0.39894228040143267793994605993438

func erfBase(x float64) (float64, float64) {
	return math.Erf(x / math.Sqrt2), 2 * invSqrt2Pi * math.Exp(-x*x/2)
}

func geluBase(x float64) (float64, float64) {
	switch {
	case math.IsInf(x, 1):
		return x, 1
	case math.IsInf(x, -1):
		return 0, 0
	}
	cdf := math.Erfc(-x/math.Sqrt2) / 2
	return x * cdf, cdf + x*invSqrt2Pi*math.Exp(-x*x/2)
}

func softplusBase(x float64) (float64, float64) {
	// Both from e = e^{−|x|}, without overflow.
	e := math.Exp(-math.Abs(x))
	v := math.Max(x, 0) + math.Log1p(e)
	if x >= 0 {
		return v, 1 / (1 + e)
	}
	return v, e / (1 + e)
}

func smooth[T float](phi, dphi, h []T, gain, scale float64, f func(float64) (float64, float64)) {
	ds := gain * scale
	for i, x := range h {
		v, d := f(scale * float64(x))
		if phi != nil {
			phi[i] = T(gain * v)
		}
		if dphi != nil {
			dphi[i] = T(ds * d)
		}
	}
}
