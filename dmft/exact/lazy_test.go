package exact

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// TestStatic: steps against the closed forms, with a shared kernel, the same as a block matrix, and test points.
func TestStatic(t *testing.T) {
	_, gram := inputs(4, 6)
	y, targets := outputs(3, 2)
	k := mat.DenseCopyOf(mat.DenseCopyOf(gram).Slice(0, 4, 0, 3))
	blocks, stacked := mat.NewDense(8, 6, nil), mat.NewDense(6, 1, targets.RawMatrix().Data)
	blocks.Kronecker(k, mat.NewDense(2, 2, []float64{1, 0, 0, 1}))
	const eta, n = 0.3, 12
	for _, v := range []struct {
		mu       float64
		nesterov bool
	}{{0, false}, {0.8, false}, {0.7, true}} {
		want := LazyMomentum(k, targets, eta, v.mu, n, v.nesterov)
		if v.mu == 0 {
			if e := apart(want, Lazy(k, targets, eta, n, false)); !(e < 1e-13) {
				t.Errorf("momentum 0 and gradient descent are %g apart", e)
			}
		}
		for _, kernel := range []*mat.Dense{k, blocks} {
			s := Static{Kernel: kernel, Y: y, Steps: n, Rate: func(int) float64 { return eta }, Momentum: v.mu,
				Nesterov: v.nesterov}
			f := s.Train()
			if len(f) != n+1 {
				t.Fatalf("%d predictions of %d steps", len(f), n)
			}
			for i := range 4 {
				for c := range 2 {
					if got := f[n][i][c]; math.Abs(got-want.At(i, c)) > 1e-12 {
						t.Errorf("momentum %g, Nesterov %v: f = %.14f, want %.14f", v.mu, v.nesterov, got, want.At(i, c))
					}
				}
			}
		}
		// The two-layer network becomes lazy: NTK = 2Kx.
		p := Linear{Gram: gram, Targets: targets, Richness: 1e-6, Steps: n, Rate: func(int) float64 { return eta / 2 },
			Momentum: v.mu, Nesterov: v.nesterov}
		if e := apart(p.Solve()[n].F, want); !(e < 1e-9) {
			t.Errorf("momentum %g, Nesterov %v: the network at γ₀ = 1e-6 is %g away", v.mu, v.nesterov, e)
		}
	}
	if e := apart(Lazy(blocks, stacked, eta, n, true),
		mat.NewDense(8, 1, Lazy(k, targets, eta, n, true).RawMatrix().Data)); !(e < 1e-12) {
		t.Errorf("flow: block matrix and shared kernel are %g apart", e)
	}
	times := []float64{0, eta, eta * n, eta * n}
	f, err := Static{Kernel: k, Y: y}.Flow(times)
	if err != nil {
		t.Fatal(err)
	}
	for i, steps := range []int{0, 1, n, n} {
		want := Lazy(k, targets, eta, steps, true)
		for m := range 4 {
			for c := range 2 {
				if math.Abs(f[i][m][c]-want.At(m, c)) > 1e-12 {
					t.Errorf("flow at %g: f = %.14f, want %.14f", times[i], f[i][m][c], want.At(m, c))
				}
			}
		}
	}
}

// TestStaticLoss: the flow of the logistic loss on one point is implicit: df/dt = k/(1 + e^f) gives f + e^f = 1 + kt.
func TestStaticLoss(t *testing.T) {
	s := Static{Kernel: mat.NewDense(1, 1, []float64{2}), Y: [][]float64{{1}}, Delta: Residuals(Logistic, nil)}
	f, err := s.Flow([]float64{0.5, 3, 40})
	if err != nil {
		t.Fatal(err)
	}
	for i, time := range []float64{0.5, 3, 40} {
		if v := f[i][0][0]; math.Abs(v+math.Exp(v)-1-2*time) > 1e-10 {
			t.Errorf("t = %g: f = %g, f + e^f − 1 − kt = %.2g", time, v, v+math.Exp(v)-1-2*time)
		}
	}
	// One step of gradient descent with weights: Δ = w y/(1 + e⁰).
	s.Steps, s.Rate, s.Delta = 1, func(int) float64 { return 0.1 },
		Residuals(Logistic, func(int) []float64 { return []float64{0.5} })
	if v := s.Train()[1][0][0]; math.Abs(v-0.1*2*0.5*0.5) > 1e-15 {
		t.Errorf("one step: f = %g, want 0.05", v)
	}
}

func TestFlowErrors(t *testing.T) {
	p := one(1, 1, 1, 0, 0)
	s := Static{Kernel: mat.NewDense(1, 1, []float64{1}), Y: [][]float64{{1}}}
	for _, times := range [][]float64{{1, 0.5}, {-1}, {math.NaN()}, {math.Inf(1)}} {
		if _, err := p.Flow(times); err == nil {
			t.Errorf("network: no error from times %v", times)
		}
		if _, err := s.Flow(times); err == nil {
			t.Errorf("static kernel: no error from times %v", times)
		}
	}
	p.Momentum, s.Nesterov = 0.5, true
	if _, err := p.Flow([]float64{1}); err == nil {
		t.Error("network: no error from momentum")
	}
	if _, err := s.Flow([]float64{1}); err == nil {
		t.Error("static kernel: no error from momentum")
	}
	// df/dt = 1 + f² has a pole at π/2: what came before is returned.
	s.Nesterov, s.Delta = false, func(_ int, f, y, delta [][]float64) { delta[0][0] = 1 + f[0][0]*f[0][0] }
	f, err := s.Flow([]float64{1, 1.5, 2})
	if err == nil || len(f) != 2 || math.Abs(f[1][0][0]-math.Tan(1.5)) > 1e-10 {
		t.Errorf("pole: %v, error %v", f, err)
	}
}

// TestLinearFlow: the closed form on whitened data, along the direction of the targets, and the loss that never rises.
func TestLinearFlow(t *testing.T) {
	for _, v := range [][2]float64{{1, 1}, {4, 1}, {2, 3}, {10, 0.5}, {0.1, 1}} {
		gamma, norm := v[0], v[1]
		direction := []float64{0.6, -0.64, 0.48}
		p := Linear{Gram: mat.NewSymDense(3, []float64{1, 0, 0, 0, 1, 0, 0, 0, 1}), Targets: mat.NewDense(3, 1, nil),
			Richness: gamma}
		for i, d := range direction {
			p.Targets.Set(i, 0, norm*d)
		}
		times := []float64{0, 0.1, 0.3, 1}
		s, err := p.Flow(times)
		if err != nil {
			t.Fatal(err)
		}
		for i, time := range times {
			f, k := WhitenedFlow(gamma, norm, time)
			ntk := 0.
			for a, da := range direction {
				if d := math.Abs(s[i].F.At(a, 0) - f*da); d > 1e-12 {
					t.Errorf("γ₀ = %g, |y| = %g, t = %g: f is off by %g", gamma, norm, time, d)
				}
				for b, db := range direction {
					ntk += da * s[i].NTK.At(a, b) * db
				}
			}
			if math.Abs(ntk-k) > 1e-12*k {
				t.Errorf("γ₀ = %g, |y| = %g, t = %g: NTK %.14g, want %.14g", gamma, norm, time, ntk, k)
			}
			if i > 0 && s[i].Loss >= s[i-1].Loss {
				t.Errorf("γ₀ = %g, |y| = %g: the loss rose to %g at t = %g", gamma, norm, s[i].Loss, time)
			}
		}
	}
	// Weight decay λ: at rest f = K(K + 2λ)⁻¹y with the final NTK.
	p := one(1, 3, 1, 0, 0)
	p.WeightDecay = 0.5
	s, err := p.Flow([]float64{40})
	if err != nil {
		t.Fatal(err)
	}
	if k, f := s[0].NTK.At(0, 0), s[0].F.At(0, 0); math.Abs(f-3*k/(k+1)) > 1e-11 {
		t.Errorf("weight decay: f = %g at rest, want %g", f, 3*k/(k+1))
	}
}
