package kernels

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// bare is a named activation of which nothing is known but its values.
type bare struct{ a Activation }

func (b bare) Eval(phi, dphi, h []float64) { b.a.Eval(phi, dphi, h) }

// kinkedAt0 says one thing more.
type kinkedAt0 struct{ bare }

func (kinkedAt0) Kinks() []float64 { return []float64{0} }

// pointwiseFunction makes a Function of φ and φ′.
type pointwiseFunction struct{ phi, dphi func(h float64) float64 }

func (f pointwiseFunction) Eval(phi, dphi, h []float64) {
	for i, x := range h {
		phi[i], dphi[i] = f.phi(x), f.dphi(x)
	}
}

// TestRule: the rule of 15 points is exact for polynomials of degree 22, that of 7 for 13, to rounding.
func TestRule(t *testing.T) {
	for n := 0; n <= 22; n += 2 {
		k, g := 0., 0.
		for i := range rulePoints {
			j := min(i, rulePoints-1-i)
			x := math.Pow(kronrodX[j], float64(n))
			k += kronrodW[j] * x
			if j%2 == 1 {
				g += gaussW[j/2] * x
			}
		}
		want := 2 / float64(n+1)
		if math.Abs(k-want) > 1e-15 || n <= 13 && math.Abs(g-want) > 1e-15 {
			t.Errorf("x^%d: %.17g and %.17g, want %.17g", n, k, g, want)
		}
	}
}

// quadratureCases are variances and correlations, as in TestDual, and with it wide ones.
var quadratureCases = [][3]float64{{1, 1, 0.3}, {0.7, 2, -0.9}, {1e-4, 0.5, 0.6}, {7, 3, 0.99}, {1, 1, 1}, {2, 0.5, -1},
	{0.3, 0.8, 0}, {0, 1, 0}, {1, 0, 0}, {0, 0, 0}, {1, 1, 0.99999}, {300, 40, 0.5}, {1e4, 1e4, 0.9}}

// TestQuadrature compares expectations by quadrature with the closed forms of the named activations, to the errors that
// Custom states: the smooth ones and those whose kinks are given, and those whose kinks are found.
func TestQuadrature(t *testing.T) {
	worst := map[string]float64{}
	for _, a := range activations()[:9] {
		functions := map[string]Function{"bare": bare{a}}
		if a.Kinks() != nil {
			functions = map[string]Function{"found": bare{a}, "given": kinkedAt0{bare{a}}}
		}
		for kind, f := range functions {
			own := Custom("mine", f)
			tol := 1e-10
			if kind == "found" {
				tol = 1e-8
			}
			for _, k := range quadratureCases {
				va, vb := k[0], k[1]
				c := k[2] * math.Sqrt(va*vb)
				phi, dphi := own.Dual(va, vb, c)
				wantPhi, wantD := a.Dual(va, vb, c)
				if kind == "found" || kind == "given" {
					if va == 0 || vb == 0 {
						continue // Dual halves the jump there, Eval has the slope below
					}
				}
				pa, da := a.Dual(va, va, va)
				pb, db := a.Dual(vb, vb, vb)
				relative := func(got, want, scale float64) float64 {
					if scale == 0 {
						return math.Abs(got - want)
					}
					return math.Abs(got-want) / scale
				}
				e := math.Max(relative(phi, wantPhi, math.Sqrt(pa*pb)), relative(dphi, wantD, math.Sqrt(da*db)))
				worst[kind] = math.Max(worst[kind], e)
				if !(e <= tol) {
					t.Errorf("%s (%s) at %v: %.15g, %.15g; closed form %.15g, %.15g (%.1e)", a, kind, k, phi, dphi, wantPhi, wantD, e)
				}
				p, q := own.Dual(vb, va, c)
				if p != phi || q != dphi {
					t.Errorf("%s (%s) at %v is not symmetric", a, kind, k)
				}
			}
		}
	}
	t.Log(worst)
}

// TestQuadratureElsewhere: kinks that are not at 0, jumps of φ itself, gains and scales, against closed forms: a hard
// threshold has E φφ = P(u > 0, v > 0), and shifted relus add up to |h − 1| whose second moment at equal points is v +
// 1.
func TestQuadratureElsewhere(t *testing.T) {
	step := Custom("step", pointwiseFunction{func(h float64) float64 {
		if h > 0 {
			return 1
		}
		return 0
	}, func(float64) float64 { return 0 }})
	phi, dphi := step.Dual(1, 2, 0.7)
	if want := 0.25 + math.Asin(0.7/math.Sqrt2)/(2*math.Pi); math.Abs(phi-want) > 1e-8 || dphi != 0 {
		t.Errorf("step: %.12g, %g; want %.12g, 0", phi, dphi, want)
	}
	away := Custom("away", pointwiseFunction{func(h float64) float64 { return math.Abs(h - 1) },
		func(h float64) float64 { return math.Copysign(1, h-1) }})
	for _, v := range []float64{0.3, 1, 9} {
		phi, dphi := away.Dual(v, v, v)
		if math.Abs(phi-(v+1)) > 1e-10*(v+1) || math.Abs(dphi-1) > 1e-10 {
			t.Errorf("|h − 1| at variance %g: %.12g, %.12g; want %g, 1", v, phi, dphi, v+1)
		}
		// Independent fields: (E|h − 1|)², E|h − 1| = √(2v/π) e^{−1/2v} + erf(1/√2v), and (E sign)² = erf².
		s := math.Erf(1 / math.Sqrt(2*v))
		m := math.Sqrt(2*v/math.Pi)*math.Exp(-1/(2*v)) + s
		if phi, dphi = away.Dual(v, v, 0); math.Abs(phi-m*m) > 1e-8*m*m || math.Abs(dphi-s*s) > 1e-8 {
			t.Errorf("|h − 1| at variance %g, independent: %.12g, %.12g; want %.12g, %.12g", v, phi, dphi, m*m, s*s)
		}
	}
	own, named := Custom("mine", bare{Activation{Name: "tanh"}}), Activation{Name: "tanh", Gain: 1.3, Scale: -0.7}
	own.Gain, own.Scale = 1.3, -0.7
	p, q := own.Dual(1, 2, 0.4)
	wantP, wantQ := named.Dual(1, 2, 0.4)
	if math.Abs(p-wantP) > 1e-10*wantP || math.Abs(q-wantQ) > 1e-10*wantQ {
		t.Errorf("gain and scale: %.12g, %.12g; want %.12g, %.12g", p, q, wantP, wantQ)
	}
	if p, q := own.Dual(math.NaN(), 1, 0); !math.IsNaN(p) || !math.IsNaN(q) {
		t.Error("NaN is lost")
	}
}

// TestCustom: a wrapped activation is the named one, to the bit where Eval makes its values and without a gain, and to
// rounding with one.
func TestCustom(t *testing.T) {
	for _, a := range activations() {
		base := a
		base.Gain, base.Scale = 0, 0
		for kind, f := range map[string]Function{"bare": bare{base}, "with capabilities": base} {
			own := Custom("mine", f)
			own.Gain, own.Scale = a.Gain, a.Scale
			if err := own.Validate(); err != nil {
				t.Errorf("%s: %v", a, err)
			}
			const n = 600 // several pieces
			h, p, d, q, e := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
			h32, p32, d32, q32, e32 := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n),
				make([]float32, n)
			for i := range h {
				h[i] = 0.03 * float64(i-n/2)
				h32[i] = float32(h[i])
			}
			a.Eval(p, d, h)
			own.Eval(q, e, h)
			a.Eval32(p32, d32, h32)
			own.Eval32(q32, e32, h32)
			tol := 1e-15
			if a.Gain == 0 && a.Scale == 0 {
				tol = 0
			}
			for i := range h {
				if !close(q[i], p[i], 2*tol) || !close(e[i], d[i], 4*tol) && math.Abs(e[i]-d[i]) > 1e-14*math.Abs(h[i])*tol/1e-15 {
					t.Fatalf("%s (%s) at %g: %v, %v; named %v, %v", a, kind, h[i], q[i], e[i], p[i], d[i])
				}
				if math.Abs(float64(q32[i]-p32[i])) > 5e-7*(1+math.Abs(float64(p32[i]))) ||
					math.Abs(float64(e32[i]-d32[i])) > 5e-7*(1+math.Abs(float64(d32[i]))) {
					t.Fatalf("%s (%s) at %g: %v, %v in single precision; named %v, %v", a, kind, h[i], q32[i], e32[i], p32[i], d32[i])
				}
			}
			for _, x := range []float64{-1.3, 0.4, 2} {
				if s := own.Second(x); math.Abs(s-a.Second(x)) > 1e-9*(1+math.Abs(a.Second(x))) {
					t.Errorf("%s″(%g) (%s) = %g, named %g", a, x, kind, s, a.Second(x))
				}
			}
			only := make([]float64, n)
			copy(only, h)
			own.Eval(nil, e, only)
			own.Eval(only, nil, only)
			for i := range only {
				if only[i] != q[i] {
					t.Fatalf("%s (%s): phi may be h", a, kind)
				}
			}
			if kind == "bare" {
				if own.Odd() || own.Homogeneous() || own.ClosedForm() || own.Kinks() != nil {
					t.Errorf("%s: more is known of a bare function than its values", a)
				}
				continue
			}
			if own.Odd() != a.Odd() || own.Homogeneous() != a.Homogeneous() || len(own.Kinks()) != len(a.Kinks()) ||
				!own.ClosedForm() {
				t.Errorf("%s: capabilities are lost", a)
			}
			c, ok := own.Polynomial()
			want, wantOK := a.Polynomial()
			if ok != wantOK || fmt.Sprint(c) != fmt.Sprint(want) {
				t.Errorf("%s: polynomial %v, want %v", a, c, want)
			}
			if p, q := own.Dual(1, 2, 0.3); true {
				if r, s := a.Dual(1, 2, 0.3); !close(p, r, 1e-15) || !close(q, s, 1e-15) {
					t.Errorf("%s: dual %v, %v, want %v, %v", a, p, q, r, s)
				}
			}
		}
	}
}

// TestPolynomial: the coefficients are φ.
func TestPolynomial(t *testing.T) {
	for _, a := range append(activations(), Activation{Name: "quadratic-mix", Parameter: 0.4, Gain: 2, Scale: -3}) {
		c, ok := a.Polynomial()
		if want := a.Name == "linear" || a.Name == "quadratic-mix" || a.Name == "polynomial"; ok != want {
			t.Errorf("%s is a polynomial: %v", a, ok)
		}
		for _, x := range []float64{-1.1, 0.3, 2} {
			s := 0.
			for k := len(c) - 1; k >= 0; k-- {
				s = s*x + c[k]
			}
			if ok && !close(s, a.Value(x), 1e-14) {
				t.Errorf("%s(%g) = %g, by coefficients %g", a, x, a.Value(x), s)
			}
		}
	}
}

func TestCustomRefused(t *testing.T) {
	tanh := bare{Activation{Name: "tanh"}}
	for want, a := range map[string]Activation{
		"a name of its own":    Custom("tanh", tanh),
		"not \"\"":             Custom("", tanh),
		"no parameter":         {Name: "mine", Function: tanh, Parameter: 1},
		"coefficients are for": {Name: "mine", Function: tanh, Coefficients: []float64{1}},
		"difference quotient":  Custom("wrong", pointwiseFunction{math.Sin, math.Sin}),
		"must be finite":       Custom("log", pointwiseFunction{math.Log, func(h float64) float64 { return 1 / h }}),
		"unknown activation":   Custom("nothing", nil),
	} {
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestCustomAllocation(t *testing.T) {
	h, p, q := make([]float64, 300), make([]float64, 300), make([]float64, 300)
	a := Custom("mine", bare{Activation{Name: "tanh"}})
	a.Eval(p, q, h)
	if n := testing.AllocsPerRun(100, func() { a.Eval(p, q, h) }); n >= 1 { // the pool may be emptied
		t.Errorf("%g allocations", n)
	}
}

// TestCustomNTK: the kernels of a deep network with a wrapped tanh are those of the named one to the error of the
// quadrature.
func TestCustomNTK(t *testing.T) {
	k := gaussianGram(6, 4, 1, false, 3)
	net := Architecture{Depth: 3, Residual: true, Beta: 1, Exponent: 0.5, Activation: Activation{Name: "tanh"}}
	want, err := NTK(net, k)
	if err != nil {
		t.Fatal(err)
	}
	net.Activation = Custom("mine", bare{net.Activation})
	got, err := NTK(net, k)
	if err != nil {
		t.Fatal(err)
	}
	var d mat.Dense
	d.Sub(got.NTK, want.NTK)
	if e := mat.Norm(&d, 2) / mat.Norm(want.NTK, 2); e > 1e-10 {
		t.Errorf("the NTK is off by %g", e)
	}
}

func BenchmarkQuadrature(b *testing.B) {
	for name, f := range map[string]Function{"tanh": bare{Activation{Name: "tanh"}},
		"relu": bare{Activation{Name: "relu"}}, "relu-given": kinkedAt0{bare{Activation{Name: "relu"}}}} {
		b.Run(name, func(b *testing.B) {
			a := Custom("mine", f)
			for b.Loop() {
				a.Dual(1, 0.8, 0.3)
			}
		})
	}
}

// sine is sin h: E sin u sin v = e^{−(a+b)/2} sinh c, and with cos for its derivative cosh c.
type sine struct{}

func (sine) Eval(phi, dphi, h []float64) {
	for i, x := range h {
		phi[i], dphi[i] = math.Sincos(x)
	}
}

func (sine) Odd() bool { return true }

func (sine) Dual(a, b, c float64) (phi, dphi float64) {
	e := math.Exp(-(a + b) / 2)
	return e * math.Sinh(c), e * math.Cosh(c)
}

// TestSine: the closed form that ExampleCustom shows, against quadrature.
func TestSine(t *testing.T) {
	q := Custom("sine", pointwiseFunction{math.Sin, math.Cos})
	for _, k := range [][3]float64{{1, 1, 0.3}, {4, 2, -2}, {1, 1, 1}, {9, 9, 3}} {
		p, d := q.Dual(k[0], k[1], k[2])
		wantP, wantD := sine{}.Dual(k[0], k[1], k[2])
		if math.Abs(p-wantP) > 1e-10 || math.Abs(d-wantD) > 1e-10 {
			t.Errorf("at %v: %.13g, %.13g; closed form %.13g, %.13g", k, p, d, wantP, wantD)
		}
	}
}

func ExampleCustom() {
	phi := Custom("sine", sine{}) // type sine has Eval, and Odd and Dual, which it could do without
	k, err := NTK(Architecture{Depth: 2, Activation: phi}, mat.NewSymDense(2, []float64{1, 0.5, 0.5, 1}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f\n", mat.Formatted(k.NTK))
	// Output:
	// ⎡1.0000  0.3890⎤
	// ⎣0.3890  1.0000⎦
}
