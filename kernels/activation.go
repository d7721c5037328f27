package kernels

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Activation is a nonlinearity φ(h) = Gain·base(Scale·h), with Gain and Scale 1 when zero. The base function is one of
// [Bases] by its Name, or, with any other name, a Function of the caller's own; see [Custom].
type Activation struct {
	Name         string
	Gain         float64   `json:",omitempty"`
	Scale        float64   `json:",omitempty"`
	Parameter    float64   `json:",omitempty"` // slope of leaky-relu, ε of quadratic-mix
	Coefficients []float64 `json:",omitempty"` // of polynomial: c₀ + c₁h + c₂h² + …
	Function     Function  `json:"-"`          // of an activation that has none of the names above
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

// Validate says what is wrong with an activation.
func (a Activation) Validate() error {
	d := find(a.Name)
	if a.Function != nil {
		if d != nil || a.Name == "" {
			return fmt.Errorf("kernels: the function of your own needs a name of its own, not %q", a.Name)
		}
		d = &custom
	}
	if d == nil {
		hint := ""
		if n := nearest(a.Name, Names()); n != "" {
			hint = fmt.Sprintf(" (did you mean %s?)", n)
		}
		return fmt.Errorf("kernels: unknown activation %q%s; use one of %s", a.Name, hint, strings.Join(Names(), ", "))
	}
	for _, v := range []struct {
		what  string
		value float64
	}{{"gain", a.Gain}, {"scale", a.Scale}, {"parameter", a.Parameter}} {
		if !finite(v.value) {
			return fmt.Errorf("kernels: the %s of activation %s is %g; it must be finite", v.what, a.Name, v.value)
		}
	}
	for k, c := range a.Coefficients {
		if !finite(c) {
			return fmt.Errorf("kernels: coefficient %d of the %s activation is %g; it must be finite", k, a.Name, c)
		}
	}
	if d.Parameter.Many && len(a.Coefficients) == 0 {
		return fmt.Errorf("kernels: a %s activation needs %s", a.Name, d.Parameter.Meaning)
	}
	if !d.Parameter.Many && len(a.Coefficients) > 0 {
		return fmt.Errorf("kernels: coefficients are for the activation polynomial, not %s", a.Name)
	}
	if a.Parameter != 0 && (d.Parameter.Key == "" || d.Parameter.Many) {
		return fmt.Errorf("kernels: the activation %s has no parameter", a.Name)
	}
	if a.Function != nil {
		return checkFunction(a.Name, a.Function)
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// nearest returns the one of names with the smallest edit distance to s, letter case apart, or "" when none is within
// half the length of s: a wild guess helps nobody.
func nearest(s string, names []string) string {
	s = strings.ToLower(s)
	best, at := len(s)/2+1, ""
	for _, n := range names {
		if d := distance(s, n); d < best {
			best, at = d, n
		}
	}
	return at
}

// distance is the Levenshtein distance: insertions, deletions and substitutions of bytes.
func distance(s, t string) int {
	row := make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(s) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(t) {
			d := diagonal
			if s[i] != t[j] {
				d++
			}
			diagonal = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(t)]
}

// String names the activation with the parameters that differ from their defaults.
func (a Activation) String() string {
	var s []string
	if d := find(a.Name); d != nil && d.Parameter.Key != "" && !d.Parameter.Many {
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
	d, s := a.shape()
	return d != nil && d.homogeneous != nil && d.homogeneous(s)
}

// Linear says whether φ(h) ∝ h.
func (a Activation) Linear() bool { return a.Odd() && a.Homogeneous() }

// Odd says whether φ(−h) = −φ(h).
func (a Activation) Odd() bool {
	d, s := a.shape()
	return d != nil && d.odd != nil && d.odd(s)
}

// Kinks are the points h where φ or φ′ jumps, nil for none.
func (a Activation) Kinks() []float64 {
	d, s := a.shape()
	if d == nil || d.kinks == nil {
		return nil
	}
	at := d.kinks(s)
	for i := range at {
		at[i] /= s.scale
	}
	return at
}

// Polynomial returns the coefficients of φ, lowest power first and without zeros at the end, when its base function is
// one of the polynomials.
func (a Activation) Polynomial() (c []float64, ok bool) {
	d, s := a.definition()
	if d == nil || d.polynomial == nil {
		return nil, false
	}
	if c, ok = d.polynomial(s); !ok {
		return nil, false
	}
	power := s.gain
	for k := range c {
		c[k] *= power
		power *= s.scale
	}
	return trim(c), true
}

// Quadratic says whether φ is a polynomial of at most the second degree, with which much has closed forms.
func (a Activation) Quadratic() bool {
	c, ok := a.Polynomial()
	return ok && len(c) <= 3
}

func yes(shape) bool { return true }
