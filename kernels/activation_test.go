package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func activations() []Activation {
	return []Activation{
		{Name: "linear"}, {Name: "relu"}, {Name: "leaky-relu", Parameter: 0.2}, {Name: "erf"}, {Name: "tanh"},
		{Name: "gelu"}, {Name: "softplus"},
		{Name: "quadratic-mix", Parameter: 0.5}, {Name: "polynomial", Coefficients: []float64{0.3, 1, -0.4, 0.2}},
		{Name: "tanh", Gain: 1.25, Scale: 0.8}, {Name: "relu", Gain: math.Sqrt2},
		{Name: "leaky-relu", Parameter: 0.1, Scale: -2, Gain: 3}, {Name: "gelu", Scale: -1.5},
		{Name: "relu", Scale: -0.5}, {Name: "softplus", Gain: -2, Scale: 3},
	}
}

// TestValues compares with the definitions at ordinary points, and the derivative with a central difference.
func TestValues(t *testing.T) {
	base := map[string]func(a Activation, x float64) float64{
		"linear":        func(_ Activation, x float64) float64 { return x },
		"relu":          func(_ Activation, x float64) float64 { return math.Max(x, 0) },
		"leaky-relu":    func(a Activation, x float64) float64 { return math.Max(x, 0) + a.Parameter*math.Min(x, 0) },
		"erf":           func(_ Activation, x float64) float64 { return math.Erf(x / math.Sqrt2) },
		"tanh":          func(_ Activation, x float64) float64 { return math.Tanh(x) },
		"gelu":          func(_ Activation, x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 },
		"softplus":      func(_ Activation, x float64) float64 { return math.Log(1 + math.Exp(x)) },
		"quadratic-mix": func(a Activation, x float64) float64 { return x + a.Parameter/2*x*x },
		"polynomial": func(a Activation, x float64) float64 {
			s := 0.
			for k, c := range a.Coefficients {
				s += c * math.Pow(x, float64(k))
			}
			return s
		},
	}
	for _, a := range activations() {
		for _, x := range []float64{-3.1, -1, -0.2, 0.4, 1.7, 5} {
			want := a.gain() * base[a.Name](a, a.scale()*x)
			if got := a.Value(x); math.Abs(got-want) > 1e-13*math.Max(1, math.Abs(want)) {
				t.Errorf("%s(%g) = %g, want %g", a, x, got, want)
			}
			const h = 1e-5
			if d := (a.Value(x+h) - a.Value(x-h)) / (2 * h); math.Abs(d-a.Derivative(x)) > 1e-8*math.Max(1, math.Abs(d)) {
				t.Errorf("%s′(%g) = %g, difference quotient %g", a, x, a.Derivative(x), d)
			}
			// Second order in h² and rounding/h: (1e-5)²·φ⁗ and 1e-16/1e-5, times the scales of the table.
			if s := (a.Derivative(x+h) - a.Derivative(x-h)) / (2 * h); math.Abs(s-a.Second(x)) > 1e-8*math.Max(1, math.Abs(s)) {
				t.Errorf("%s″(%g) = %g, difference quotient %g", a, x, a.Second(x), s)
			}
		}
	}
}

// TestTails: large arguments, infinities, NaN, and the derivative at a kink.
func TestTails(t *testing.T) {
	inf := math.Inf(1)
	mix := Activation{Name: "quadratic-mix", Parameter: 0.5}
	cubic := Activation{Name: "polynomial", Coefficients: []float64{0.3, 1, 0, -0.2, 0}}
	for _, tc := range []struct {
		a       Activation
		x, v, d float64
	}{
		{Activation{Name: "softplus"}, 1000, 1000, 1}, {Activation{Name: "softplus"}, -1000, 0, 0},
		{Activation{Name: "softplus"}, inf, inf, 1}, {Activation{Name: "softplus"}, -inf, 0, 0},
		{Activation{Name: "softplus"}, -40, 4.248354255291589e-18, 4.248354255291589e-18}, // e^{−40}
		{Activation{Name: "gelu"}, 1000, 1000, 1}, {Activation{Name: "gelu"}, -1000, math.Copysign(0, -1), 0},
		{Activation{Name: "gelu"}, inf, inf, 1}, {Activation{Name: "gelu"}, -inf, 0, 0},
		{Activation{Name: "gelu"}, -10, -7.619853024160527e-23, -7.6184001e-22},
		{Activation{Name: "tanh"}, 1000, 1, 0}, {Activation{Name: "tanh"}, -inf, -1, 0},
		{Activation{Name: "tanh"}, 1e-300, 1e-300, 1}, {Activation{Name: "tanh"}, -20, -1, 1.6993417021166355e-17},
		{Activation{Name: "erf"}, inf, 1, 0}, {Activation{Name: "erf"}, 50, 1, 0}, {Activation{Name: "erf"}, -50, -1, 0},
		{Activation{Name: "relu"}, 0, 0, 0}, {Activation{Name: "relu"}, inf, inf, 1},
		{Activation{Name: "relu"}, -inf, 0, 0}, {Activation{Name: "relu"}, 5e-324, 5e-324, 1},
		{Activation{Name: "relu", Scale: -2}, 0, 0, 0}, {Activation{Name: "relu", Scale: -2}, inf, 0, 0},
		{Activation{Name: "relu", Scale: -2}, -inf, inf, -2},
		{Activation{Name: "leaky-relu", Parameter: 0.2}, 0, 0, 0.2},
		{Activation{Name: "leaky-relu", Parameter: 0.2, Scale: -1}, 0, 0, -0.2},
		{Activation{Name: "leaky-relu", Parameter: 0.2}, -inf, -inf, 0.2},
		{Activation{Name: "leaky-relu"}, -inf, 0, 0}, {Activation{Name: "leaky-relu", Parameter: 1}, -inf, -inf, 1},
		{mix, -inf, inf, -inf}, {mix, inf, inf, inf}, {Activation{Name: "quadratic-mix"}, -inf, -inf, 1},
		{cubic, inf, -inf, -inf}, {cubic, -inf, inf, -inf},
		{Activation{Name: "polynomial", Coefficients: []float64{2, 0}}, inf, 2, 0},
		{Activation{Name: "polynomial", Coefficients: []float64{0}}, 1, 0, 0},
	} {
		var p, q [1]float64
		tc.a.Eval(p[:], q[:], []float64{tc.x})
		for _, got := range [][2]float64{{tc.a.Value(tc.x), tc.a.Derivative(tc.x)}, {p[0], q[0]}} {
			if !close(got[0], tc.v, 1e-15) || !close(got[1], tc.d, 1e-6) {
				t.Errorf("%s at %g: %g, %g; want %g, %g", tc.a, tc.x, got[0], got[1], tc.v, tc.d)
			}
		}
	}
	if v := (Activation{Name: "gelu"}).Value(-1000); !math.Signbit(v) {
		t.Error("gelu(−1000) is +0, want −0")
	}
	for _, a := range activations() {
		var p, q [1]float64
		a.Eval(p[:], q[:], []float64{math.NaN()})
		if !math.IsNaN(p[0]) || !math.IsNaN(a.Value(math.NaN())) || a.Name != "linear" &&
			(!math.IsNaN(q[0]) || !math.IsNaN(a.Derivative(math.NaN()))) {
			t.Errorf("%s at NaN: %g, %g", a, p[0], q[0])
		}
		if a.Name == "quadratic-mix" || a.Name == "polynomial" {
			continue // their second derivative does not vanish
		}
		for _, x := range []float64{-inf, inf, -1e3, 1e3} {
			if s := a.Second(x); s != 0 {
				t.Errorf("%s″(%g) = %g, want 0", a, x, s)
			}
		}
	}
}

// close compares to a relative tolerance; infinities must be equal.
func close(got, want, tol float64) bool {
	return got == want || math.Abs(got-want) <= tol*math.Abs(want)
}

// TestEvalAgrees: Eval is Value and Derivative to rounding, whichever outputs are asked for, and phi may be h.
func TestEvalAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(activations()).Draw(t, "activation")
		h := rapid.SliceOfN(rapid.Float64Range(-30, 30), 0, 9).Draw(t, "h")
		n := len(h)
		p, q, r, s := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
		a.Eval(p, q, h)
		a.Eval(nil, r, h)
		copy(s, h)
		a.Eval(s, nil, s)
		both, d := slices.Clone(h), make([]float64, n)
		a.Eval(both, d, both)
		if !slices.Equal(p, s) || !slices.Equal(q, r) || !slices.Equal(p, both) || !slices.Equal(q, d) {
			t.Fatalf("%s depends on which outputs are asked for, or on aliasing", a)
		}
		for i, x := range h {
			if !close(p[i], a.Value(x), 1e-15) || !close(q[i], a.Derivative(x), 1e-15) {
				t.Fatalf("%s(%g): Eval %g, %g; Value %g, Derivative %g", a, x, p[i], q[i], a.Value(x), a.Derivative(x))
			}
		}
	})
}

// TestNoAllocation guards the hot loops.
func TestNoAllocation(t *testing.T) {
	h, p, q := make([]float64, 8), make([]float64, 8), make([]float64, 8)
	for _, a := range activations() {
		if n := testing.AllocsPerRun(10, func() { a.Eval(p, q, h); p[0] = a.Value(1) + a.Second(1) }); n != 0 {
			t.Errorf("%s allocates %g times", a, n)
		}
	}
}

// TestEval32 agrees with double precision to single precision, and either output may be left out.
func TestEval32(t *testing.T) {
	for _, a := range activations() {
		h32, h64 := []float32{-2.5, -0.3, 0, 0.7, 3}, []float64{-2.5, float64(float32(-0.3)), 0, float64(float32(0.7)), 3}
		p32, d32, p64, d64 := make([]float32, 5), make([]float32, 5), make([]float64, 5), make([]float64, 5)
		a.Eval32(p32, nil, h32)
		a.Eval32(nil, d32, h32)
		a.Eval(p64, d64, h64)
		for i := range h32 {
			if math.Abs(float64(p32[i])-p64[i]) > 2e-7*math.Max(1, math.Abs(p64[i])) ||
				math.Abs(float64(d32[i])-d64[i]) > 2e-7*math.Max(1, math.Abs(d64[i])) {
				t.Errorf("%s(%g): %g, %g in single and %g, %g in double precision", a, h64[i], p32[i], d32[i], p64[i], d64[i])
			}
		}
	}
}

func TestValidate(t *testing.T) {
	for _, a := range activations() {
		if err := a.Validate(); err != nil {
			t.Error(err)
		}
		if s := a.String(); !strings.HasPrefix(s, a.Name) {
			t.Errorf("String: %s", s)
		}
		// Odd and homogeneous functions are recognised by what they do.
		odd, hom := true, true
		for _, x := range []float64{0.3, 1.1, 2.4} {
			odd = odd && math.Abs(a.Value(x)+a.Value(-x)) < 1e-13
			hom = hom && math.Abs(a.Value(2*x)-2*a.Value(x)) < 1e-12 && math.Abs(a.Value(-2*x)-2*a.Value(-x)) < 1e-12
		}
		if odd != a.Odd() || hom != a.Homogeneous() {
			t.Errorf("%s: odd %v, want %v; homogeneous %v, want %v", a, a.Odd(), odd, a.Homogeneous(), hom)
		}
	}
	for _, a := range []Activation{{}, {Name: "swish"}, {Name: "polynomial"}, {Name: "relu", Parameter: 1},
		{Name: "tanh", Coefficients: []float64{1}}, {Name: "tanh", Gain: math.NaN()},
		{Name: "polynomial", Coefficients: []float64{0, math.Inf(1)}}} {
		if a.Validate() == nil {
			t.Errorf("%+v is accepted", a)
		}
	}
}

// TestNearest: a misspelt name is answered with the one meant, a wild one with the list.
func TestNearest(t *testing.T) {
	for name, want := range map[string]string{"Tanh": "tanh", "rellu": "relu", "leakyrelu": "leaky-relu",
		"soft-plus": "softplus", "polynom": "polynomial", "quadratic": "quadratic-mix", "GELU": "gelu"} {
		if err := (Activation{Name: name}).Validate(); err == nil ||
			!strings.Contains(err.Error(), "did you mean "+want+"?") {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	for _, name := range []string{"", "swiglu-xyz", "sin"} {
		if err := (Activation{Name: name}).Validate(); err == nil || strings.Contains(err.Error(), "did you mean") ||
			!strings.Contains(err.Error(), "use one of") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	h := make([]float64, 4096)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range h {
		h[i] = 1.5 * rng.NormFloat64()
	}
	phi, dphi := make([]float64, len(h)), make([]float64, len(h))
	for _, a := range activations()[:9] {
		b.Run(a.Name, func(b *testing.B) {
			for b.Loop() {
				a.Eval(phi, dphi, h)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(h)), "ns/element")
		})
	}
}

func BenchmarkEval32(b *testing.B) {
	h := make([]float32, 4096)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range h {
		h[i] = float32(1.5 * rng.NormFloat64())
	}
	phi, dphi := make([]float32, len(h)), make([]float32, len(h))
	for _, a := range activations()[:9] {
		b.Run(a.Name, func(b *testing.B) {
			for b.Loop() {
				a.Eval32(phi, dphi, h)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(h)), "ns/element")
		})
	}
}

func ExampleActivation_Eval() {
	a := Activation{Name: "tanh", Gain: 1.25, Scale: 0.8} // φ(h) = tanh(0.8h)/0.8
	phi, dphi := make([]float64, 3), make([]float64, 3)
	a.Eval(phi, dphi, []float64{-1, 0, 1})
	fmt.Printf("%.4f %.4f\n", phi, dphi)
	// Output: [-0.8300 0.0000 0.8300] [0.5591 1.0000 0.5591]
}
