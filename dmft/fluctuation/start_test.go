package fluctuation

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/exact"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

func network(kind dmft.Kind, depth int, a kernels.Activation, data dmft.Data, steps int) *dmft.Problem {
	return &dmft.Problem{Data: data, Richness: 0.01, Network: dmft.Network{Kind: kind, Depth: depth, Activation: a,
		Branch: dmft.Branch{Beta: 0.8, Exponent: 0.5}},
		Training: dmft.Training{Method: gd(0.1), Steps: steps, Loss: dmft.Loss{Kind: dmft.MSE}, Centred: true}}
}

func start(t *testing.T, p *dmft.Problem, s Settings) *Start {
	t.Helper()
	r, err := AtStart(ctx, p, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestStartHomogeneous: for a fixed input N Cov(Φ^ℓ, Φ^m) = V min(ℓ, m) and N Cov(G^ℓ, G^m) = V min(L+1−ℓ, L+1−m), V =
// 2 for linear networks and 5 for √2·ReLU (arXiv 2304.03408), and the excess kurtosis of the output is 3VL/N: 6/N and
// 15/N for one hidden layer. Four nodes integrate these polynomials exactly, on both sides of the kink by symmetry.
func TestStartHomogeneous(t *testing.T) {
	for _, tc := range []struct {
		a kernels.Activation
		v float64
	}{{kernels.Activation{Name: kernels.IdentityName}, 2},
		{kernels.Activation{Name: kernels.ReLUName, Gain: math.Sqrt2}, 5}} {
		for _, depth := range []int{1, 2, 4} {
			s := start(t, network(dmft.MLP, depth, tc.a, onePoint(), 1), Settings{Nodes: 4})
			for l := range depth {
				for m := range depth {
					if got, want := s.Phi.Value.Data[l*depth+m], tc.v*float64(min(l, m)+1); math.Abs(got-want) > 1e-6 {
						t.Errorf("%s: N Cov(Φ^%d, Φ^%d) = %g, want %g", tc.a, l+1, m+1, got, want)
					}
					if got, want := s.G.Value.Data[l*depth+m], tc.v*float64(depth-max(l, m)); math.Abs(got-want) > 1e-6 {
						t.Errorf("%s: N Cov(G^%d, G^%d) = %g, want %g", tc.a, l+1, m+1, got, want)
					}
				}
			}
			if got, want := s.Kurtosis.Value.Data[0], 3*tc.v*float64(depth); math.Abs(got-want) > 1e-6 {
				t.Errorf("%s, depth %d: N times the excess kurtosis is %g, want %g", tc.a, depth, got, want)
			}
		}
	}
}

// TestStartPolynomial: φ = h + (ε/2)h² on one point in an MLP of depth 2, by hand. With v the variance of h, Φ = v +
// (3/4)ε²v², ⟨φ⁴⟩ = 3v² + 22.5ε²v³ + 6.5625ε⁴v⁴ and D = ⟨φ′²⟩ = 1 + ε²v, so that δΦ² and δG² also move with δΦ¹, and
// δG¹ with δG², which has noise in common with it.
func TestStartPolynomial(t *testing.T) {
	const e = 0.7
	p := network(dmft.MLP, 2, kernels.Activation{Name: kernels.QuadraticMixName, Parameter: e}, onePoint(), 1)
	s := start(t, p, Settings{Nodes: 6})
	phi := func(v float64) (mean, variance float64) {
		mean = v + 0.75*e*e*v*v
		return mean, 3*v*v + 22.5*e*e*v*v*v + 6.5625*e*e*e*e*v*v*v*v - mean*mean
	}
	back := func(v, g float64) (variance float64) { // of φ′²z², z of variance g
		d := 1 + e*e*v
		return 3*g*g*(1+6*e*e*v+3*e*e*e*e*v*v) - d*d*g*g
	}
	v, own := phi(1)
	_, own2 := phi(v)
	move := 1 + 1.5*e*e*v // ∂Φ/∂v
	g := 1 + e*e*v        // G²
	g2 := back(v, 1) + e*e*e*e*own
	d1 := 1 + e*e
	// δΦ¹ and the noise of G¹ are of the same neurons.
	both := 2 * d1 * e * e * g * (1 + 9.75*e*e + 3.75*e*e*e*e - d1*v)
	for i, x := range [][2]float64{{s.Phi.Value.Data[0], own}, {s.Phi.Value.Data[1], move * own},
		{s.Phi.Value.Data[3], own2 + move*move*own},
		{s.G.Value.Data[3], g2}, {s.G.Value.Data[0], back(1, g) + d1*d1*g2 + both}} {
		if math.Abs(x[0]-x[1]) > 1e-6*x[1] {
			t.Errorf("covariance %d is %.8f, want %.8f", i, x[0], x[1])
		}
	}
}

// TestStartResNet: in a linear residual network |h^{ℓ+1}|² = |h^ℓ|² (1 + b²χ²_N/N + 2bξ/√N) with a χ² and a normal
// variable, so N Var Φ^ℓ = (Φ^ℓ)² (2 + (ℓ−1)(2b⁴ + 4b²)/(1 + b²)²), and the mirror image for G.
func TestStartResNet(t *testing.T) {
	const depth = 3
	p := network(dmft.ResNet, depth, kernels.Activation{Name: kernels.IdentityName}, onePoint(), 1)
	_, b := p.Network.Coefficients()
	s := start(t, p, Settings{Nodes: 3})
	for l := range depth {
		q := 1 + b*b
		want := math.Pow(q, 2*float64(l)) * (2 + float64(l)*(2*b*b*b*b+4*b*b)/(q*q))
		if got := s.Phi.Value.Data[l*depth+l]; math.Abs(got-want) > 1e-7 {
			t.Errorf("N Var Φ^%d = %.8f, want %.8f", l+1, got, want)
		}
		m := depth - 1 - l
		if got := s.G.Value.Data[m*depth+m]; math.Abs(got-want) > 1e-7 {
			t.Errorf("N Var G^%d = %.8f, want %.8f", m+1, got, want)
		}
	}
}

// TestDerivatives: by Price's theorem in closed form for φ = h + (ε/2)h²: Φ = c + (ε²/4)(v_a v_b + 2c²), D = 1 + ε²c;
// and along proportional fields.
func TestDerivatives(t *testing.T) {
	const e, va, vb, c = 0.7, 1.3, 0.8, -0.4
	a := kernels.Activation{Name: kernels.QuadraticMixName, Parameter: e}
	d, dphi, dd := derivatives(a, va, c, vb, false)
	want := [7]float64{1 + e*e*c, e * e / 4 * vb, 1 + e*e*c, e * e / 4 * va, 0, e * e, 0}
	for i, x := range [7]float64{d, dphi[0], dphi[1], dphi[2], dd[0], dd[1], dd[2]} {
		if math.Abs(x-want[i]) > 1e-8 {
			t.Errorf("number %d is %.10f, want %.10f", i, x, want[i])
		}
	}
	for _, r := range []float64{1, -1} { // all of them move like c
		_, dphi, dd = derivatives(a, va, r*va, va, r == 1)
		if math.Abs(dphi[1]-(1+1.5*e*e*va*r)) > 1e-8 || math.Abs(dd[1]-e*e) > 1e-8 || dphi[0] != 0 || dphi[2] != 0 {
			t.Errorf("correlation %g: %v %v", r, dphi, dd)
		}
	}
}

// TestStartNTK: the NTK of deep homogeneous networks on one point. Noise n_m of ⟨φ²⟩ in layer m moves Φ^ℓ of all ℓ ≥ m,
// and n'_m of ⟨φ′²z²⟩ all G^ℓ with ℓ ≤ m, so that K = Σ_ℓ G^{ℓ+1}Φ^ℓ moves by Σ_m (L+1−m)n_m + m n'_m: N Var K = Σ_m
// V(L+1−m)² + Vm² + 2c m(L+1−m), with c = 0 for linear networks and 1 for √2·ReLU.
func TestStartNTK(t *testing.T) {
	for _, tc := range []struct {
		a    kernels.Activation
		v, c float64
	}{{kernels.Activation{Name: kernels.IdentityName}, 2, 0},
		{kernels.Activation{Name: kernels.ReLUName, Gain: math.Sqrt2}, 5, 1}} {
		for depth := 1; depth <= 4; depth++ {
			want := 0.
			for m := 1; m <= depth; m++ {
				a, b := float64(depth+1-m), float64(m)
				want += tc.v*(a*a+b*b) + 2*tc.c*a*b
			}
			if got := start(t, network(dmft.MLP, depth, tc.a, onePoint(), 1),
				Settings{Nodes: 4}).NTK.Value.Data[0]; math.Abs(got-want) > 1e-5 {
				t.Errorf("%s, depth %d: N Var NTK = %g, want %g", tc.a, depth, got, want)
			}
		}
	}
}

// TestStartTwoLayer: κ = N Var K of one hidden layer by quadrature (exact.TwoLayerKappa: linear 4, tanh .690260, ReLU
// 3) and the kurtosis 3(⟨φ⁴⟩/⟨φ²⟩² − 1): 1.67952 for erf(h) and 12/5 for erf(h/√2), which is uniform. tanh has poles,
// which the nodes converge past slowly.
func TestStartTwoLayer(t *testing.T) {
	for _, tc := range []struct {
		a               kernels.Activation
		kappa, kurtosis float64
	}{
		{kernels.Activation{Name: kernels.IdentityName}, 4, 6}, {kernels.Activation{Name: kernels.ReLUName}, 3, 15},
		{kernels.Activation{Name: kernels.TanhName}, .6902602, 1.88187},
		{kernels.Activation{Name: kernels.ErfName, Scale: math.Sqrt2}, 0, 1.67952},
		{kernels.Activation{Name: kernels.ErfName}, 0, 2.4},
	} {
		want, _ := exact.TwoLayerKappa(tc.a.Value, tc.a.Derivative, 1)
		if tc.kappa != 0 && math.Abs(want-tc.kappa) > 1e-6 {
			t.Errorf("%s: κ by quadrature is %.7f, want %.7f", tc.a, want, tc.kappa)
		}
		p := twoLayer(tc.a.Name, 1, onePoint(), gd(0.1), 1)
		p.Network.Activation = tc.a
		s := start(t, p, Settings{Nodes: 200})
		r := predict(t, p, Settings{Nodes: 200, Kernels: 1})
		for i, got := range []float64{s.NTK.Value.Data[0], r.NTKVariance.Value.Data[0]} {
			if math.Abs(got-want) > 2e-6 {
				t.Errorf("%s, way %d: κ = %.8f, want %.8f", tc.a, i, got, want)
			}
		}
		for i, got := range []float64{s.Kurtosis.Value.Data[0], r.Kurtosis.Value.Data[0]} {
			if math.Abs(got-tc.kurtosis) > 1e-5 {
				t.Errorf("%s, way %d: N times the excess kurtosis is %.6f, want %g", tc.a, i, got, tc.kurtosis)
			}
		}
	}
}

// TestLazyLinear: several points of a linear network against the closed form of a static fluctuating kernel
// (exact.LazyCovariance), for gradient descent and the adaptive flow, test points aside.
func TestLazyLinear(t *testing.T) {
	const steps, eta = 9, 0.1
	for _, m := range []ode.Method{gd(eta), {Kind: ode.RK45, LearningRate: eta, Tolerance: 1e-10}} {
		p := twoLayer(kernels.IdentityName, 1, points(6, 3, 2, 4, 1), m, steps)
		r, err := Lazy(ctx, p, Settings{Nodes: 3})
		if err != nil {
			t.Fatal(err)
		}
		gram := mat.NewSymDense(3, nil)
		gram.CopySym(p.Gram())
		var k mat.SymDense
		k.ScaleSym(2, gram)
		for n := range steps + 1 {
			want := exact.LazyCovariance(&k, p.Data.Targets.RawMatrix().Data, exact.LinearKappa(gram), eta, n, m.IsFlow())
			for i := range 3 {
				if got, w := r.FVariance.Value.At(n).Data[i], want.At(i, i); math.Abs(got-w) > 1e-6*(1+w) {
					t.Errorf("%s, step %d, point %d: N Var f = %.9f, want %.9f", m.Kind, n, i, got, w)
				}
			}
		}
	}
}

// TestLazyLimit: the prediction in training at small γ₀ is that of the lazy limit up to γ₀², for a smooth activation,
// another loss, several outputs, test points and predictions that are not centred; the same nodes serve both.
func TestLazyLimit(t *testing.T) {
	for _, tc := range []struct {
		loss    dmft.LossKind
		c       int
		centred bool
	}{{dmft.MSE, 1, true}, {dmft.MSE, 2, false}, {dmft.CrossEntropy, 2, true}} {
		data := points(8, 2, 1, 2, tc.c)
		if tc.loss == dmft.CrossEntropy {
			data.Targets.Copy(mat.NewDense(2, 2, []float64{1, 0, 0, 1}))
			data.TestTargets.Copy(mat.NewDense(1, 2, []float64{1, 0}))
		}
		data.Inputs.(*mat.Dense).Scale(0.4, data.Inputs) // where eight nodes are enough
		data.TestInputs.(*mat.Dense).Scale(0.4, data.TestInputs)
		const gamma = 0.02
		p := twoLayer(kernels.ErfName, gamma, data, gd(0.2), 12)
		p.Training.Loss.Kind, p.Training.Centred = tc.loss, tc.centred
		lazy, err := Lazy(ctx, p, Settings{Nodes: 8, Kernels: 2})
		if err != nil {
			t.Fatal(err)
		}
		full := predict(t, p, Settings{Nodes: 8, Kernels: 2, Tolerance: 1e-10})
		for _, x := range []struct {
			name       string
			full, lazy Estimate
		}{{"f", full.FVariance, lazy.FVariance}, {"test f", full.FTestVariance, lazy.FTestVariance},
			{"loss", full.LossVariance, lazy.LossVariance}, {"test loss", full.TestLossVariance, lazy.TestLossVariance},
			{"NTK", full.NTKVariance, lazy.NTKVariance}, {"Φ", full.PhiVariance, lazy.PhiVariance},
			{"G", full.GVariance, lazy.GVariance}} {
			top := 0.
			for _, v := range x.lazy.Value.Data {
				top = math.Max(top, v)
			}
			for i, v := range x.full.Value.Data {
				// Where predictions at the start count, corrections are γ₀² relative to their large variance.
				if math.Abs(v-x.lazy.Value.Data[i]) > 30*gamma*gamma*top {
					t.Errorf("%s loss, %d outputs, centred %v: variance %d of %s is %.6f at γ₀ = %g, %.6f in the "+
						"lazy limit", tc.loss, tc.c, tc.centred, i, x.name, v, gamma, x.lazy.Value.Data[i])
					break
				}
			}
		}
	}
}
