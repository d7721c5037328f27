package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

func activations() []Activation {
	return []Activation{
		{Name: "linear"}, {Name: "relu"}, {Name: "leaky-relu", Parameter: 0.2}, {Name: "erf"}, {Name: "tanh"}, {Name: "gelu"}, {Name: "softplus"},
		{Name: "quadratic-mix", Parameter: 0.5}, {Name: "polynomial", Coefficients: []float64{0.3, 1, -0.4, 0.2}},
		{Name: "tanh", Gain: 1.25, Scale: 0.8}, {Name: "relu", Gain: math.Sqrt2}, {Name: "leaky-relu", Parameter: 0.1, Scale: -2, Gain: 3}, {Name: "gelu", Scale: -1.5},
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
		}
	}
}

// TestTails: large arguments, infinities and NaN.
func TestTails(t *testing.T) {
	inf := math.Inf(1)
	for _, tc := range []struct {
		name       string
		x, v, d    float64
		tolerances float64
	}{
		{"softplus", 1000, 1000, 1, 0}, {"softplus", -1000, 0, 0, 0}, {"softplus", inf, inf, 1, 0}, {"softplus", -inf, 0, 0, 0}, {"softplus", -40, math.Exp(-40), math.Exp(-40), 1e-30},
		{"gelu", 1000, 1000, 1, 0}, {"gelu", -1000, 0, 0, 0}, {"gelu", inf, inf, 1, 0}, {"gelu", -inf, 0, 0, 0}, {"gelu", -10, -7.61985302416e-23, -7.6184e-22, 1e-33},
		{"tanh", 1000, 1, 0, 0}, {"tanh", -inf, -1, 0, 0}, {"erf", inf, 1, 0, 0}, {"erf", 50, 1, 0, 0},
		{"relu", 0, 0, 0, 0}, {"relu", inf, inf, 1, 0}, {"relu", -inf, 0, 0, 0},
	} {
		a := Activation{Name: tc.name}
		v, d := a.Value(tc.x), a.Derivative(tc.x)
		if v != tc.v && !(math.Abs(v-tc.v) <= tc.tolerances) || d != tc.d && !(math.Abs(d-tc.d) <= math.Max(tc.tolerances, 1e-3*math.Abs(tc.d))) {
			t.Errorf("%s(%g) = %g, %g; want %g, %g", tc.name, tc.x, v, d, tc.v, tc.d)
		}
	}
	for _, a := range activations() {
		if !math.IsNaN(a.Value(math.NaN())) {
			t.Errorf("%s(NaN) = %g", a, a.Value(math.NaN()))
		}
		if v := a.Derivative(math.NaN()); !math.IsNaN(v) && a.Name != "linear" {
			t.Errorf("%s′(NaN) = %g", a, v)
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
			if math.Abs(float64(p32[i])-p64[i]) > 2e-7*math.Max(1, math.Abs(p64[i])) || math.Abs(float64(d32[i])-d64[i]) > 2e-7*math.Max(1, math.Abs(d64[i])) {
				t.Errorf("%s(%g): %g, %g in single and %g, %g in double precision", a, h64[i], p32[i], d32[i], p64[i], d64[i])
			}
		}
	}
}

// gauss2 is E f(u, v) by a fine midpoint rule over independent normals in polar coordinates: exact in angle for kinks through the origin, which
// the closed forms of the piecewise linear functions can be checked against.
func gauss2(va, vb, c float64, f func(u, v float64) float64) float64 {
	const nr, nt = 1000, 600
	s := 0.
	rho := c / math.Sqrt(va*vb)
	for i := range nr {
		r := 9 * (float64(i) + 0.5) / nr
		w := r * math.Exp(-r*r/2) * 9 / nr / nt
		for j := range nt {
			th := 2 * math.Pi * (float64(j) + 0.5) / nt
			x, y := r*math.Cos(th), r*math.Sin(th)
			s += w * f(math.Sqrt(va)*x, math.Sqrt(vb)*(rho*x+math.Sqrt(1-rho*rho)*y))
		}
	}
	return s
}

// TestDual compares every expectation with brute-force integration. The midpoint rule in the radius has an error of order (9/1000)² = 8e-5 times
// second derivatives that integrate to a few 1e-6 at most; kinks add 1/600² in angle, jumps of the derivative 4 of 600 angles.
func TestDual(t *testing.T) {
	for _, a := range activations() {
		for _, k := range [][3]float64{{1, 1, 0.3}, {0.7, 2, -0.9}} {
			phi, dphi := a.Dual(k[0], k[1], k[2])
			var p, q [2]float64
			wantPhi := gauss2(k[0], k[1], k[2], func(u, v float64) float64 {
				a.Eval(p[:], nil, []float64{u, v})
				return p[0] * p[1]
			})
			wantD := gauss2(k[0], k[1], k[2], func(u, v float64) float64 {
				a.Eval(nil, q[:], []float64{u, v})
				return q[0] * q[1]
			})
			if math.Abs(phi-wantPhi) > 1e-5*math.Max(1, math.Abs(wantPhi)) || math.Abs(dphi-wantD) > 5e-3*math.Max(1, math.Abs(wantD)) {
				t.Errorf("%s at %v: %.8f, %.8f; integration gives %.8f, %.8f", a, k, phi, dphi, wantPhi, wantD)
			}
		}
	}
}

// TestDualSeries: the Hermite series against the arcsine closed form of erf, for small and large variances and correlations up to one.
func TestDualSeries(t *testing.T) {
	erf := Activation{Name: "erf"}
	for _, v := range []float64{1e-6, 0.1, 1, 10, 100} {
		n := 256
		if v == 100 {
			n = 4096
		}
		h := expand(erf, v, n)
		for _, rho := range []float64{-1, -0.5, 0, 0.9, 0.999, 1} {
			phi, dphi := erf.Dual(v, v, rho*v)
			if got := horner(h.phi, h.phi, rho); math.Abs(got-phi) > 1e-9*math.Max(phi, 1e-3) {
				t.Errorf("variance %g, ρ = %g: series %.12f, closed form %.12f", v, rho, got, phi)
			}
			if got := horner(h.dphi, h.dphi, rho); math.Abs(rho) < 1 && math.Abs(got-dphi) > 1e-6*dphi {
				t.Errorf("variance %g, ρ = %g: series of the derivative %.12f, closed form %.12f", v, rho, got, dphi)
			}
		}
	}
	// E tanh² and E tanh′² of a unit normal by the trapezoidal rule, which is exact to rounding here.
	var m, d float64
	for x := -13.; x <= 13; x += 0.01 {
		w := 0.01 * math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
		th := math.Tanh(x)
		m, d = m+w*th*th, d+w*(1-th*th)*(1-th*th)
	}
	phi, dphi := Activation{Name: "tanh"}.Dual(1, 1, 1)
	if math.Abs(phi-m) > 1e-13 || math.Abs(dphi-d) > 1e-13 {
		t.Errorf("tanh: %.15f, %.15f; want %.15f, %.15f", phi, dphi, m, d)
	}
	// Two-layer tanh NTK at one point with Kx = 1.
	if math.Abs(phi+dphi-0.858697) > 5e-7 {
		t.Errorf("two-layer tanh NTK %.7f, want 0.858697", phi+dphi)
	}
}

// TestDualMatrix: kernels are symmetric positive semi-definite, Cauchy–Schwarz holds, fields that vanish cause no NaN.
func TestDualMatrix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(activations()).Draw(t, "activation")
		n := rapid.IntRange(1, 6).Draw(t, "n")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		x := mat.NewDense(n, 3, nil)
		for i := range n {
			for j := range 3 {
				if i > 0 {
					x.Set(i, j, rng.NormFloat64())
				}
			}
		}
		phi, dphi := mat.NewSymDense(n, nil), mat.NewSymDense(n, nil)
		a.DualMatrix(phi, dphi, Gram(x))
		for _, m := range []*mat.SymDense{phi, dphi} {
			var eig mat.EigenSym
			if !eig.Factorize(m, false) {
				t.Fatal("eigenvalues")
			}
			if v := eig.Values(nil); v[0] < -1e-9*(1+v[n-1]) {
				t.Fatalf("%s: eigenvalues %v", a, v)
			}
		}
	})
}

// TestNTKValues: printed values of note sections: √2-ReLU on the sphere has Φ = G = 1 and NTK = L + 1; linear networks NTK = L + 1; residual networks
// with b² = 1/L' over L' branches climb to (2 + β²)e^{β²}.
func TestNTKValues(t *testing.T) {
	one := mat.NewSymDense(1, []float64{1})
	for l := 1; l <= 6; l++ {
		for _, a := range []Activation{{Name: "relu", Gain: math.Sqrt2}, {Name: "linear"}} {
			k, err := NTK(Architecture{Depth: l, Activation: a}, one)
			if err != nil {
				t.Fatal(err)
			}
			if v := k.NTK.At(0, 0); math.Abs(v-float64(l+1)) > 1e-12 {
				t.Errorf("%s depth %d: NTK %g, want %d", a, l, v, l+1)
			}
		}
	}
	for branches, want := range map[int]float64{1: 5, 2: 6, 4: 6.836, 8: 7.412, 16: 7.759, 64: 8.051} {
		// L' branches need L'+1 hidden layers; Beta makes b² = 1/L'.
		beta := math.Sqrt(float64(branches+1) / float64(branches))
		k, err := NTK(Architecture{Depth: branches + 1, Residual: true, Beta: beta, Exponent: 0.5, Activation: Activation{Name: "linear"}}, one)
		if err != nil {
			t.Fatal(err)
		}
		if v := k.NTK.At(0, 0); math.Abs(v-want) > 6e-4 {
			t.Errorf("%d branches: NTK %.4f, want %.3f", branches, v, want)
		}
	}
	for _, bad := range []Architecture{{Depth: 0, Activation: Activation{Name: "relu"}}, {Depth: 1, Activation: Activation{Name: "x"}}} {
		if _, err := NTK(bad, one); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// TestGram: sparse and dense agree with the definition; alignment and movement at known points.
func TestGram(t *testing.T) {
	x := mat.NewDense(3, 4, []float64{1, 0, 2, 0, 0, 0, 0, 3, -1, 0, 1, 1})
	d := sparse.NewDOK(3, 4)
	for i := range 3 {
		for j := range 4 {
			if v := x.At(i, j); v != 0 {
				d.Set(i, j, v)
			}
		}
	}
	want := mat.NewSymDense(3, []float64{5, 0, 1, 0, 9, 3, 1, 3, 3})
	want.ScaleSym(0.25, want)
	for _, m := range []mat.Matrix{x, d.ToCSR(), x.T().T()} {
		if k := Gram(m); !mat.EqualApprox(k, want, 1e-15) {
			t.Errorf("Gram of %T: %v", m, mat.Formatted(k))
		}
	}
	y := mat.NewDense(3, 1, []float64{1, 2, -1})
	yy := mat.NewDense(3, 3, nil)
	yy.Mul(y, y.T())
	if a := Alignment(yy, y); math.Abs(a-1) > 1e-14 {
		t.Errorf("alignment of yyᵀ with y: %g", a)
	}
	if a := Alignment(mat.NewDense(3, 3, nil), y); a != 0 {
		t.Errorf("alignment of 0: %g", a)
	}
	twice := mat.NewDense(3, 3, nil)
	twice.Scale(2, yy)
	if m := Movement(twice, yy); math.Abs(m-1) > 1e-14 {
		t.Errorf("movement to twice: %g", m)
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
	for _, a := range []Activation{{}, {Name: "swish"}, {Name: "polynomial"}, {Name: "relu", Parameter: 1}, {Name: "tanh", Coefficients: []float64{1}}, {Name: "tanh", Gain: math.NaN()}} {
		if a.Validate() == nil {
			t.Errorf("%+v is accepted", a)
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

func ExampleNTK() {
	k, err := NTK(Architecture{Depth: 3, Activation: Activation{Name: "relu", Gain: math.Sqrt2}}, mat.NewSymDense(1, []float64{1}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.3f\n", k.NTK.At(0, 0))
	// Output: 4.000
}
