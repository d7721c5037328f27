package exact

import (
	"math"
	"math/rand/v2"
	"testing"
)

func relu(v float64) float64 { return math.Max(v, 0) }

func drelu(v float64) float64 {
	if v > 0 {
		return 1
	}
	return 0
}

func dtanh(v float64) float64 { return 1 - math.Tanh(v)*math.Tanh(v) }

// TestReadoutBalance: the flow of a two-layer linear network, with the residual falling as the fourth power of the
// spacing.
func TestReadoutBalance(t *testing.T) {
	p := general(2)
	p.Weights = nil
	var last float64
	for _, n := range []int{80, 160} {
		times := make([]float64, n+1)
		for i := range times {
			times[i] = 0.8 * float64(i) / float64(n)
		}
		s, err := p.Flow(times)
		if err != nil {
			t.Fatal(err)
		}
		w2, power := make([]float64, n+1), make([]float64, n+1)
		for i := range s {
			w2[i] = s[i].G.At(0, 0) + s[i].G.At(1, 1)
			for m := range 3 {
				for c := range 2 {
					f := s[i].F.At(m, c)
					power[i] += (p.Targets.At(m, c) - f) * f
				}
			}
		}
		out := ReadoutBalance(times, w2, power, p.Richness)
		e := math.Abs(out[n])
		if w2[n]-w2[0] < 0.1 || e > 1e-6 {
			t.Errorf("%d times: residual %.2g of a change of %.2g", n, e, w2[n]-w2[0])
		}
		if last > 0 && math.Abs(math.Log2(last/e)-4) > 0.4 {
			t.Errorf("residuals %.3g and %.3g: order %.2f, want 4", last, e, math.Log2(last/e))
		}
		last = e
		// A wrong γ₀ does not balance.
		if bad := ReadoutBalance(times, w2, power, 1.1*p.Richness); math.Abs(bad[n]) < 0.01 {
			t.Errorf("residual %.2g with a γ₀ wrong by a tenth", bad[n])
		}
	}
}

// TestReadoutBalanceGD and Euler's identity: networks of finite width, neuron by neuron. tanh is not homogeneous and
// has the first alone.
func TestNaiveIdentities(t *testing.T) {
	const n, steps, c = 7, 6, 2
	x, _ := inputs(4, 3)
	y, _ := outputs(3, c)
	for name, v := range map[string]struct {
		phi, dphi  func(float64) float64
		skip, b    float64
		mu, lambda float64
		homogenous bool
	}{
		"tanh":          {phi: math.Tanh, dphi: dtanh},
		"relu":          {phi: relu, dphi: drelu, homogenous: true},
		"relu residual": {phi: relu, dphi: drelu, skip: 1, b: 0.5, homogenous: true},
		"relu momentum": {phi: relu, dphi: drelu, mu: 0.8, lambda: 0.3, homogenous: true},
	} {
		nn := Naive{Phi: v.phi, DPhi: v.dphi, Skip: v.skip, B: v.b, X: x, Y: y, Richness: 1.4, Momentum: v.mu,
			WeightDecay: v.lambda, Steps: steps,
			Rate: func(step int) float64 { return 0.05 / (1 + 0.2*float64(step)) }}
		var w2, eta []float64
		var phis [][][]float64
		var fields []Fields
		nn.Observe = func(step int, s Fields) {
			norm, phi := 0., zeros(3, 3)
			for i := range s.W {
				for _, w := range s.W[i] {
					norm += w * w / n
				}
				for a := range 3 {
					for b := range 3 {
						phi[a][b] += v.phi(s.H[2][a][i]) * v.phi(s.H[2][b][i]) / n
					}
				}
			}
			w2, phis, fields = append(w2, norm), append(phis, phi), append(fields, s)
			if step < steps {
				eta = append(eta, nn.Rate(step))
			}
		}
		w0, w, a := randomNetwork(rand.New(rand.NewPCG(3, 4)), n, 3, 3, c)
		f := nn.Train(w0, w, a)
		delta := make([][][]float64, len(f))
		for s := range f {
			delta[s] = zeros(3, c)
			for i := range y {
				for k := range y[i] {
					delta[s][i][k] = y[i][k] - f[s][i][k]
				}
			}
			if e := EulerResidual(fields[s], f[s], nn.Richness); (e < 1e-13) != v.homogenous {
				t.Errorf("%s step %d: Euler's identity is off by %.2g", name, s, e)
			}
		}
		if v.mu > 0 {
			continue
		}
		for s, r := range ReadoutBalanceGD(w2, eta, delta, f, phis, nn.Richness) {
			if math.Abs(r) > 1e-12 || s > 0 && math.Abs(w2[s]-w2[s-1]) < 1e-3 {
				t.Errorf("%s step %d: balance off by %.2g, ⟨w²⟩ = %g", name, s, r, w2[s])
			}
		}
	}
}

// TestGradient: the update of a Naive network, and Δ of every loss, are gradients by finite differences; a wrong
// component is found.
func TestGradient(t *testing.T) {
	const n, d, c = 3, 2, 2
	x, _ := inputs(2, d)
	y, _ := outputs(2, c)
	nn := Naive{Phi: math.Tanh, DPhi: dtanh, Skip: 0.8, B: 0.7, X: x, Y: y, Richness: 1.4, Steps: 1,
		Rate: func(int) float64 { return 1 }}
	flat := func(w0 [][]float64, w [][][]float64, a [][]float64) []float64 {
		var out []float64
		for _, m := range nn.weights(w0, w, a) {
			for _, row := range m {
				out = append(out, row...)
			}
		}
		return out
	}
	network := func(theta []float64) (w0 [][]float64, w [][][]float64, a [][]float64) {
		w0, w, a = zeros(n, d), [][][]float64{zeros(n, n), zeros(n, n)}, zeros(n, c)
		for _, m := range nn.weights(w0, w, a) {
			for i := range m {
				theta = theta[copy(m[i], theta):]
			}
		}
		return w0, w, a
	}
	theta := flat(randomNetwork(rand.New(rand.NewPCG(5, 6)), n, d, 3, c))
	w0, w, a := network(theta)
	nn.Train(w0, w, a)
	grad := flat(w0, w, a)
	scale := nn.Richness * nn.Richness * n
	for i := range grad {
		grad[i] = (theta[i] - grad[i]) / scale
	}
	still := nn
	still.Steps = 0
	loss := func(theta []float64) float64 {
		return Total(MSE, still.Train(network(theta))[0], y)
	}
	if worst, at := GradientError(loss, theta, grad); worst > 1e-10 {
		t.Errorf("component %d of the gradient is off by %.2g of the largest", at, worst)
	}
	grad[7] += 1e-3
	if worst, at := GradientError(loss, theta, grad); at != 7 || worst < 1e-5 {
		t.Errorf("an error of 1e-3 in component 7 was seen as %.2g in component %d", worst, at)
	}
	for name, v := range map[string]struct {
		loss Loss
		f, y []float64
	}{
		"mse":           {MSE, []float64{0.3, -2}, []float64{1, 0.5}},
		"logistic":      {Logistic, []float64{0.3, -2, 3, 5}, []float64{1, -1, -1, 1}},
		"cross-entropy": {CrossEntropy, []float64{0.3, -2, 1}, []float64{0.2, 0.5, 0.3}},
	} {
		g := make([]float64, len(v.f))
		v.loss(v.f, v.y, g)
		for i := range g {
			g[i] = -g[i]
		}
		if worst, at := GradientError(func(f []float64) float64 { return v.loss(f, v.y, nil) }, v.f, g); worst > 1e-10 {
			t.Errorf("%s: component %d is off by %.2g", name, at, worst)
		}
	}
	for name, l := range map[string]float64{
		"logistic":      Logistic([]float64{1000, -1000}, []float64{1, 1}, nil),
		"cross-entropy": CrossEntropy([]float64{1000, 0}, []float64{0, 1}, nil),
	} {
		if l != 1000 {
			t.Errorf("%s far out: %g, want 1000", name, l)
		}
	}
}

// TestNaiveNTK: the kernel from its definition is that of the fields, Φ^L + G¹∘Kx + b²Σ G^{ℓ+1}∘Φ^ℓ.
func TestNaiveNTK(t *testing.T) {
	const n, c = 5, 2
	x, gram := inputs(3, 4)
	y, _ := outputs(2, c)
	nn := Naive{Phi: math.Tanh, DPhi: dtanh, Skip: 0.9, B: 0.6, X: x, Y: y, Richness: 1.7}
	w0, w, a := randomNetwork(rand.New(rand.NewPCG(7, 8)), n, 4, 3, c)
	got := nn.NTK(w0, w, a)
	nn.Observe = func(_ int, s Fields) {
		dot := func(u, v []float64, f func(float64) float64) float64 {
			sum := 0.
			for i := range u {
				sum += f(u[i]) * f(v[i]) / n
			}
			return sum
		}
		same := func(v float64) float64 { return v }
		for i := range 3 * c {
			for j := range 3 * c {
				p, q := i/c, j/c
				want := gram.At(p, q) * dot(s.G[0][p][i%c], s.G[0][q][j%c], same)
				if i%c == j%c {
					want += dot(s.H[2][p], s.H[2][q], math.Tanh)
				}
				for l := range 2 {
					want += nn.B * nn.B * dot(s.H[l][p], s.H[l][q], math.Tanh) * dot(s.G[l+1][p][i%c], s.G[l+1][q][j%c], same)
				}
				if math.Abs(got[i][j]-want) > 1e-13 {
					t.Errorf("NTK of %d and %d: %.15g, want %.15g", i, j, got[i][j], want)
				}
			}
		}
	}
	nn.Train(w0, w, a)
}
