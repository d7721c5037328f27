package exact

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// TestFluctuationsRecorded: P = 1, Kx = y = 1, η = 0.02 at steps 10, 30, 60, 100; 40000 networks of 200 neurons agreed
// with these values within 2 %.
func TestFluctuationsRecorded(t *testing.T) {
	const none = -1
	for _, v := range []struct {
		gamma             float64
		centred           bool
		variance, ntk, mu [4]float64
		digits            [3]float64 // half a unit of the last digit
	}{
		{1, true, [4]float64{.0800, .1288, .0204, .0005}, [4]float64{4.739, 5.840, 4.809, 4.133},
			[4]float64{.056, .263, .215, .055}, [3]float64{5e-5, 5e-4, 5e-4}},
		{1, false, [4]float64{.5639, .2160, .0201, .0004}, [4]float64{none, none, none, none},
			[4]float64{none, none, none, none}, [3]float64{5e-5, 0, 0}},
		{3, true, [4]float64{.1047, .0357, 0, 0}, [4]float64{11.463, 9.023, 4.156, 4.018},
			[4]float64{.089, .249, .013, 0}, [3]float64{5e-5, 5e-4, 5e-4}},
		{3, false, [4]float64{none, none, none, none}, [4]float64{8.97, 2.31, .394, .367},
			[4]float64{none, none, none, none}, [3]float64{0, 5e-3, 5e-3}},
	} {
		p := one(1, 1, v.gamma, 0.02, 100)
		p.Centred = v.centred
		got := p.Fluctuations()
		for i, step := range []int{10, 30, 60, 100} {
			f := got[step]
			for k, c := range []struct {
				name      string
				got, want float64
			}{{"N Var Δ", f.FCov.At(0, 0), v.variance[i]}, {"N Var K", f.NTKVar.At(0, 0), v.ntk[i]},
				{"N bias", math.Abs(f.FBias.At(0, 0)), v.mu[i]}} {
				if c.want != none && math.Abs(c.got-c.want) > 1.01*v.digits[k] {
					t.Errorf("γ₀ = %g centred %v step %d: %s = %.5f, want %g", v.gamma, v.centred, step, c.name, c.got, c.want)
				}
			}
		}
	}
}

// TestFluctuationsDerivatives: covariance and bias from finite differences of Solve in its Start, with several points
// and outputs, momentum and weights.
func TestFluctuationsDerivatives(t *testing.T) {
	p := general(2)
	p.Richness, p.Momentum, p.WeightDecay, p.Centred = 1.2, 0.5, 0.2, true
	got := p.Fluctuations()[p.Steps]
	n := 6
	start := p.moment()
	at := func(e float64, direction *mat.SymDense) LinearState {
		q := p
		q.Start = mat.NewSymDense(n, nil)
		for i := range n {
			for j := i; j < n; j++ {
				q.Start.SetSym(i, j, start.At(i, j)+e*direction.At(i, j))
			}
		}
		return q.Solve()[p.Steps]
	}
	zero := at(0, start)
	root := squareRoot(start)
	bias, cov, variance := mat.NewDense(4, 2, nil), mat.NewDense(8, 8, nil), mat.NewDense(6, 6, nil)
	const e = 1e-3
	for i := range n {
		for j := range i + 1 {
			unit := mat.NewDense(n, n, nil)
			unit.Set(i, j, 1)
			d := mul(mul(root, unit), root.T())
			addTransposed(d)
			weight := 1. // Cov of the sample moment of white noise: 1 off the diagonal, 2 on it, in a direction of 2
			if i == j {
				weight = 0.5
			}
			direction := mat.NewSymDense(n, d.RawMatrix().Data)
			up, down := at(e, direction), at(-e, direction)
			for m := range 4 {
				for c := range 2 {
					bias.Set(m, c, bias.At(m, c)+weight*(up.F.At(m, c)+down.F.At(m, c)-2*zero.F.At(m, c))/(2*e*e))
				}
			}
			df, dk := mat.NewDense(4, 2, nil), mat.NewDense(6, 6, nil)
			df.Sub(up.F, down.F)
			dk.Sub(up.NTK, down.NTK)
			for a, x := range df.RawMatrix().Data {
				for b, y := range df.RawMatrix().Data {
					cov.Set(a, b, cov.At(a, b)+weight*x*y/(4*e*e))
				}
			}
			dk.MulElem(dk, dk)
			variance.Add(variance, scaled(weight/(4*e*e), dk))
		}
	}
	if a, b, c := apart(bias, got.FBias), apart(cov, got.FCov), apart(variance, got.NTKVar); !(a < 1e-5) ||
		!(b < 1e-5) || !(c < 1e-4) {
		t.Errorf("bias, covariance and variance of the NTK differ from finite differences by %.2g, %.2g, %.2g", a, b, c)
	}
}

// TestLazyCovariance: the fluctuations of a two-layer linear network for small γ₀, and the closed forms of one point.
func TestLazyCovariance(t *testing.T) {
	_, gram := inputs(3, 6)
	_, targets := outputs(3, 1)
	const eta, n = 0.1, 9
	p := Linear{Gram: gram, Targets: targets, Richness: 1e-4, Steps: n, Rate: func(int) float64 { return eta },
		Centred: true}
	var k mat.SymDense
	k.ScaleSym(2, gram)
	y := targets.RawMatrix().Data
	got := LazyCovariance(&k, y, LinearKappa(gram), eta, n, false)
	if e := apart(got, p.Fluctuations()[n].FCov); !(e < 1e-8) || mat.Norm(got, 2) < 0.01 {
		t.Errorf("lazy covariance is %.2g away from the fluctuations at γ₀ = 1e-4, of norm %.3g", e, mat.Norm(got, 2))
	}
	flow, fine := LazyCovariance(&k, y, LinearKappa(gram), eta, n, true),
		LazyCovariance(&k, y, LinearKappa(gram), eta/200, n*200, false)
	if e := apart(flow, fine); !(e < 2e-3) || apart(flow, got) < 5*e {
		t.Errorf("lazy covariance of the flow is %.2g away from small steps and %.2g from these", e, apart(flow, got))
	}
	one, point := mat.NewSymDense(1, []float64{1.3}), mat.NewSymDense(1, []float64{2.6})
	kappa := LinearKappa(one)(0, 0, 0, 0)
	if math.Abs(kappa-4*1.3*1.3) > 1e-14 {
		t.Errorf("κ = %g, want 4Kx²", kappa)
	}
	want := kappa * 4 * math.Pow(eta*n, 2) * math.Pow(1-eta*2.6, 2*(n-1))
	if c := LazyCovariance(point, []float64{2}, LinearKappa(one), eta, n, false).At(0, 0); math.Abs(c-want) > 1e-13 {
		t.Errorf("gradient descent: %g, want %g", c, want)
	}
	want = kappa * 4 * math.Pow(eta*n, 2) * math.Exp(-2*2.6*eta*n)
	if c := LazyCovariance(point, []float64{2}, LinearKappa(one), eta, n, true).At(0, 0); math.Abs(c-want) > 1e-13 {
		t.Errorf("flow: %g, want %g", c, want)
	}
}

func TestTwoLayerKappa(t *testing.T) {
	for _, v := range []struct {
		name      string
		phi, dphi func(float64) float64
		kx        float64
		kappa, k  float64
		digits    float64
	}{
		{"linear", func(v float64) float64 { return v }, func(float64) float64 { return 1 }, 1, 4, 2, 1e-12},
		{"linear", func(v float64) float64 { return v }, func(float64) float64 { return 1 }, 2.5, 4 * 6.25, 5, 1e-11},
		{"relu", relu, drelu, 1, 3, 1, 1e-12},
		{"relu", relu, drelu, 3, 27, 3, 1e-10},
		{"tanh", math.Tanh, dtanh, 1, .6902601987, .8586973928, 1e-10}, // trapezoidal rule with spacing 1e-3
	} {
		if kappa, k := TwoLayerKappa(v.phi, v.dphi, v.kx); math.Abs(kappa-v.kappa) > v.digits || math.Abs(k-v.k) > v.digits {
			t.Errorf("%s, Kx = %g: κ = %.9f, K = %.9f, want %g and %g", v.name, v.kx, kappa, k, v.kappa, v.k)
		}
	}
}
