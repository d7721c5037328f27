package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// panels integrates f against the standard normal density by Gauss–Legendre rules of 20 points on panels no wider than
// width, two of which meet at the kink.
func panels(kink, width float64, f func(x float64) float64) float64 {
	const end = 9.5 // the density is 1e-20
	kink = max(-end, min(end, kink))
	s := 0.
	for _, side := range [][2]float64{{-end, kink}, {kink, end}} {
		n := math.Ceil((side[1] - side[0]) / width)
		for k := range int(n) {
			half := (side[1] - side[0]) / n / 2
			mid := side[0] + (2*float64(k)+1)*half
			for i, z := range legendreX {
				x := mid + z*half
				s += half * legendreW[i] * f(x) * (1 / math.Sqrt(2*math.Pi)) * math.Exp(-x*x/2)
			}
		}
	}
	return s
}

var legendreX, legendreW = func() (x, w []float64) {
	x, w = make([]float64, 20), make([]float64, 20)
	quad.Legendre{}.FixedLocations(x, w, -1, 1)
	return x, w
}()

// bruteForce is E φφ and E φ′φ′ by quadrature in two dimensions: u = √va x, v = (c/√va) x + r y, with panels that meet
// where u = 0 and where v = 0, so that the kinks do no harm, and are short against the width of the activation.
func bruteForce(a Activation, va, vb, c float64) (phi, dphi float64) {
	su := math.Sqrt(va)
	slope := c / su
	r := math.Sqrt(max(vb-slope*slope, 0))
	w := func(sd float64) float64 { return min(1.5, 1.2/(math.Abs(a.scale())*sd)) }
	outer := w(max(su, math.Abs(slope)))
	inner := func(x float64, f func(float64) float64) float64 {
		if r < 1e-9 {
			return f(slope * x)
		}
		return panels(-slope*x/r, w(r), func(y float64) float64 { return f(slope*x + r*y) })
	}
	at := a.Pointwise()
	value := func(h float64) float64 { v, _, _ := at(h); return v }
	slopes := func(h float64) float64 { _, d, _ := at(h); return d }
	phi = panels(0, outer, func(x float64) float64 { return value(su*x) * inner(x, value) })
	dphi = panels(0, outer, func(x float64) float64 { return slopes(su*x) * inner(x, slopes) })
	return phi, dphi
}

// TestDual compares every expectation with quadrature. Twenty points on a panel that is short against the distance of
// the poles leave rounding, which grows with the terms that cancel: 1e-12 of √(E φ(u)² E φ(v)²).
func TestDual(t *testing.T) {
	for _, a := range activations() {
		for _, k := range [][3]float64{{1, 1, 0.3}, {0.7, 2, -0.9}, {1e-4, 0.5, 0.6}, {7, 3, 0.99}, {1, 1, 1},
			{2, 0.5, -1}, {0.3, 0.8, 0}} {
			va, vb, c := k[0], k[1], k[2]*math.Sqrt(k[0]*k[1])
			phi, dphi := a.Dual(va, vb, c)
			wantPhi, wantD := bruteForce(a, va, vb, c)
			pa, da := a.Dual(va, va, va)
			pb, db := a.Dual(vb, vb, vb)
			if math.Abs(phi-wantPhi) > 1e-12*math.Sqrt(pa*pb) || math.Abs(dphi-wantD) > 1e-12*math.Sqrt(da*db) {
				t.Errorf("%s at variances %g, %g, ρ = %g: %.15g, %.15g; quadrature %.15g, %.15g", a, va, vb, k[2], phi,
					dphi, wantPhi, wantD)
			}
		}
	}
}

// TestDualLargeVariance: variances of 100 and far above, where series in Hermite polynomials fail, against quadrature
// of E φ(u)² in one dimension with panels as short as the activation demands.
func TestDualLargeVariance(t *testing.T) {
	for _, a := range activations() {
		if a.Name == "polynomial" || a.Name == "quadratic-mix" {
			continue // powers of the variance
		}
		for _, v := range []float64{100, 1e4} {
			phi, dphi := a.Dual(v, v, v)
			wantPhi, wantD := bruteForce(a, v, v, v)
			if !close(phi, wantPhi, 1e-11) || !close(dphi, wantD, 1e-11) {
				t.Errorf("%s at variance %g: %.15g, %.15g; quadrature %.15g, %.15g", a, v, phi, dphi, wantPhi, wantD)
			}
		}
	}
	// In two dimensions at the variance 100.
	planar := []Activation{{Name: "gelu"}}
	if os.Getenv("DMFT_EXTENDED") != "" {
		planar = append(planar, Activation{Name: "tanh"}, Activation{Name: "softplus"})
	}
	for _, a := range planar {
		phi, dphi := a.Dual(100, 60, 40)
		wantPhi, wantD := bruteForce(a, 100, 60, 40)
		if !close(phi, wantPhi, 1e-11) || !close(dphi, wantD, 1e-11) {
			t.Errorf("%s: %.15g, %.15g; quadrature %.15g, %.15g", a, phi, dphi, wantPhi, wantD)
		}
	}
}

// TestPrice: ∂/∂c E φ(u)φ(v) = E φ′(u)φ′(v) (Price's theorem), by a central difference: h²·∂³Φ ≲ 1e-8 and rounding/h ≲
// 1e-11, relative to the scale of Φ.
func TestPrice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(activations()).Draw(t, "activation")
		va, vb := rapid.Float64Range(0.05, 20).Draw(t, "va"), rapid.Float64Range(0.05, 20).Draw(t, "vb")
		c := rapid.Float64Range(-0.9, 0.9).Draw(t, "rho") * math.Sqrt(va*vb)
		h := 1e-4 * math.Sqrt(va*vb)
		up, _ := a.Dual(va, vb, c+h)
		down, _ := a.Dual(va, vb, c-h)
		_, d := a.Dual(va, vb, c)
		pa, _ := a.Dual(va, va, va)
		pb, _ := a.Dual(vb, vb, vb)
		scale := math.Sqrt(pa*pb) / math.Sqrt(va*vb)
		if got := (up - down) / (2 * h); math.Abs(got-d) > 1e-6*scale {
			t.Fatalf("%s at %g, %g, %g: ∂Φ/∂c = %g, Φ̇ = %g", a, va, vb, c, got, d)
		}
		p, q := a.Dual(va, vb, c)
		r, s := a.Dual(vb, va, c)
		if math.Abs(p-r) > 1e-13*math.Sqrt(pa*pb) || !close(q, s, 1e-12) && math.Abs(q-s) > 1e-12*scale {
			t.Fatalf("%s is not symmetric: %g, %g and %g, %g", a, p, q, r, s)
		}
	})
}

// TestDualEdges: fields that vanish, correlations a rounding error outside [−1, 1], extreme scales and NaN.
func TestDualEdges(t *testing.T) {
	for _, a := range activations() {
		// At zero variance both fields are 0.
		phi, dphi := a.Dual(0, 0, 0)
		if v, d := a.Value(0), a.Derivative(0); math.Abs(phi-v*v) > 1e-15 || math.Abs(dphi-d*d) > 1e-14*d*d {
			t.Errorf("%s at zero variance: %g, %g; want %g, %g", a, phi, dphi, v*v, d*d)
		}
		for _, c := range []float64{2 * (1 + 1e-15), -2 * (1 + 1e-15)} {
			phi, dphi := a.Dual(2, 2, c)
			p, q := a.Dual(2, 2, math.Copysign(2, c))
			if math.Abs(phi-p) > 1e-13 || math.Abs(dphi-q) > 1e-13 {
				t.Errorf("%s at ρ = %g: %g, %g; at the boundary %g, %g", a, c/2, phi, dphi, p, q)
			}
		}
		for _, k := range [][3]float64{{math.NaN(), 1, 0}, {1, math.NaN(), 0}, {1, 1, math.NaN()}} {
			if phi, _ := a.Dual(k[0], k[1], k[2]); !math.IsNaN(phi) && a.Name != "linear" {
				t.Errorf("%s at %v: %g, want NaN", a, k, phi)
			}
		}
	}
	// Homogeneous functions scale, also where products of variances underflow.
	for _, s := range []float64{1e-200, 1e-30, 1e30, 1e160} {
		phi, dphi := Activation{Name: "relu"}.Dual(s, 4*s, s)
		p, q := Activation{Name: "relu"}.Dual(1, 4, 1)
		if !close(phi, s*p, 1e-14) || !close(dphi, q, 1e-14) {
			t.Errorf("relu at variance %g: %g, %g; want %g, %g", s, phi, dphi, s*p, q)
		}
	}
	// Near correlation −1, E max(u,0) max(v,0) = r δ³/(6π) with δ = π − θ, to a relative δ²/10.
	for _, delta := range []float64{1e-3, 1e-6} {
		phi, dphi := arcCosine(-math.Cos(delta), math.Sin(delta))
		if !close(phi, delta*delta*delta/(6*math.Pi), delta*delta) || !close(dphi, delta/(2*math.Pi), 1e-15) {
			t.Errorf("δ = %g: %g, %g", delta, phi, dphi)
		}
	}
	p, q := arcCosine(math.Cos(math.Pi-0.3), math.Sin(0.3)*(1+1e-15)) // the two formulas meet at δ = 0.3
	r, s := arcCosine(math.Cos(math.Pi-0.3), math.Sin(0.3)*(1-1e-15))
	if !close(p, r, 1e-12) || !close(q, s, 1e-12) {
		t.Errorf("arc-cosine kernel jumps at δ = 0.3: %g, %g and %g, %g", p, q, r, s)
	}
}

// TestWidths: the weights of the mixture are a probability distribution, and it reproduces tanh and softplus
// everywhere.
func TestWidths(t *testing.T) {
	total := 0.
	for _, w := range widths {
		total += w.weight
	}
	if math.Abs(total-1) > 2e-15 {
		t.Errorf("the weights add up to 1 + %g", total-1)
	}
	for x := 1e-4; x < 60; x *= 1.1 {
		th, sp := 0., 0.
		for _, w := range widths {
			th += w.weight * math.Erf(x/(w.kappa*math.Sqrt2))
			s := 2 * w.kappa
			z := -x / s // E max(−x + sξ, 0) = s(N(z) + zΦ(z))
			sp += w.weight * s * ((1/math.Sqrt(2*math.Pi))*math.Exp(-z*z/2) + z*math.Erfc(-z/math.Sqrt2)/2)
		}
		if !close(th, math.Tanh(x), 3e-15) || math.Abs(sp-math.Log1p(math.Exp(-x))) > 3e-15 {
			t.Errorf("at %g: tanh %g (%g), softplus(−x) %g (%g)", x, th, math.Tanh(x), sp, math.Log1p(math.Exp(-x)))
		}
	}
}

// TestSeries: the series agree with Dual at every variance they are used for and up to correlation ±1. Sums of up to n
// = 2000 positive terms, of which each went through m products, round to some √n to n ulp: 5e-14.
func TestSeries(t *testing.T) {
	for _, a := range []Activation{{Name: "tanh"}, {Name: "softplus"}} {
		for _, v := range []float64{0, 1e-8, 0.1, 1, 10, seriesVariance} {
			for _, w := range []float64{1e-3, 1, seriesVariance} {
				pair := a.pairs([]float64{v, w})
				for _, rho := range []float64{-1, -0.5, 0, 0.9, 0.999, 1} {
					c := rho * math.Sqrt(v*w)
					phi, dphi := pair(0, 1, c)
					wantPhi, wantD := a.Dual(v, w, c)
					pa, da := a.Dual(v, v, v)
					pb, db := a.Dual(w, w, w)
					if math.Abs(phi-wantPhi) > 5e-14*math.Sqrt(pa*pb) || math.Abs(dphi-wantD) > 5e-14*math.Sqrt(da*db) {
						t.Errorf("%s, variances %g, %g, ρ = %g: series %.16g, %.16g, Dual %.16g, %.16g", a, v, w, rho,
							phi, dphi, wantPhi, wantD)
					}
				}
			}
		}
	}
	Activation{Name: "tanh"}.DualMatrix(nil, nil, &mat.SymDense{})
	if moderate(nil) || !moderate([]float64{0, seriesVariance}) || moderate([]float64{1, 2 * seriesVariance}) ||
		moderate([]float64{math.NaN()}) {
		t.Error("the choice between series and mixture")
	}
}

// gaussianGram is the Gram matrix of n points in d dimensions, scaled to variances about v; the first point is 0 on
// demand.
func gaussianGram(n, d int, v float64, zero bool, seed uint64) *mat.SymDense {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := mat.NewDense(n, d, nil)
	for i := range n {
		for j := range d {
			if i > 0 || !zero {
				x.Set(i, j, math.Sqrt(v)*rng.NormFloat64())
			}
		}
	}
	return Gram(x)
}

// TestDualMatrix: the matrix is Dual of its elements by series and by mixture alike, in place or not, and positive
// semi-definite.
func TestDualMatrix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(activations()).Draw(t, "activation")
		n := rapid.IntRange(1, 12).Draw(t, "n")
		v := rapid.SampledFrom([]float64{0.1, 1, 40}).Draw(t, "variance")
		k := gaussianGram(n, 3, v, rapid.Bool().Draw(t, "zero"), rapid.Uint64().Draw(t, "seed"))
		phi, dphi := mat.NewSymDense(n, nil), mat.NewSymDense(n, nil)
		a.DualMatrix(phi, dphi, k)
		for i := range n {
			for j := range n {
				p, q := a.Dual(k.At(i, i), k.At(j, j), k.At(i, j))
				tolP := 1e-12 * math.Sqrt(phi.At(i, i)*phi.At(j, j))
				tolQ := 1e-12 * math.Sqrt(dphi.At(i, i)*dphi.At(j, j))
				if math.Abs(phi.At(i, j)-p) > tolP || math.Abs(dphi.At(i, j)-q) > tolQ {
					t.Fatalf("%s (%d, %d): %g, %g; Dual %g, %g", a, i, j, phi.At(i, j), dphi.At(i, j), p, q)
				}
			}
		}
		for _, m := range []*mat.SymDense{phi, dphi} {
			var eig mat.EigenSym
			if !eig.Factorize(m, false) {
				t.Fatal("eigenvalues")
			}
			if v := eig.Values(nil); v[0] < -1e-9*(1+v[n-1]) {
				t.Fatalf("%s: eigenvalues %v", a, v)
			}
		}
		only := mat.NewSymDense(n, nil)
		a.DualMatrix(nil, only, k)
		a.DualMatrix(k, nil, k)
		if !mat.Equal(only, dphi) || !mat.Equal(k, phi) {
			t.Fatalf("%s: the result depends on which outputs are asked for", a)
		}
	})
}

func BenchmarkDual(b *testing.B) {
	for _, a := range activations()[:9] {
		b.Run(a.Name, func(b *testing.B) {
			for b.Loop() {
				a.Dual(1, 0.8, 0.3)
			}
		})
	}
}

func BenchmarkDualMatrix(b *testing.B) {
	const n = 400
	k := gaussianGram(n, 50, 1, false, 1)
	phi, dphi := mat.NewSymDense(n, nil), mat.NewSymDense(n, nil)
	for _, a := range activations()[:9] {
		b.Run(a.Name, func(b *testing.B) {
			for b.Loop() {
				a.DualMatrix(phi, dphi, k)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(n*(n+1)/2), "ns/pair")
		})
	}
}

func ExampleActivation_Dual() {
	// E tanh² and E tanh′² of a unit normal: the NTK of a two-layer tanh network at |x|² = D is their sum.
	phi, dphi := Activation{Name: "tanh"}.Dual(1, 1, 1)
	fmt.Printf("%.6f + %.6f = %.6f\n", phi, dphi, phi+dphi)
	// Output: 0.394294 + 0.464403 = 0.858697
}
