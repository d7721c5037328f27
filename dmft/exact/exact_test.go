package exact

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

func one(gram, y float64, gamma, eta float64, steps int) Linear {
	return Linear{Gram: mat.NewSymDense(1, []float64{gram}), Targets: mat.NewDense(1, 1, []float64{y}), Richness: gamma,
		Steps: steps, Rate: func(int) float64 { return eta }}
}

// TestLinearRecursion: printed values of the recursion f += ηKΔ + η²γ₀²fΔ², K += 4ηγ₀²fΔ + η²γ₀²Δ²K (P = 1), γ₀ = 2.5,
// η = 0.2.
func TestLinearRecursion(t *testing.T) {
	want := [][2]float64{{0, 2}, {.4, 2.5}, {.736, 3.925}, {.956064, 4.964909}, {1.000153, 5.177333}, {.999995, 5.176568}}
	for i, s := range one(1, 1, 2.5, 0.2, 5).Solve() {
		if f, k := s.F.At(0, 0), s.NTK.At(0, 0); math.Abs(f-want[i][0]) > 1e-6 || math.Abs(k-want[i][1]) > 1e-6 {
			t.Errorf("step %d: f = %.6f, K = %.6f, want %v", i, f, k, want[i])
		}
	}
	// γ₀ = 1, η = 0.05: Δ(1), Δ(2), Δ(5), Δ(10) and H(10,10) of the deep-linear kernel equations at L = 1.
	s := one(1, 1, 1, 0.05, 10).Solve()
	for step, d := range map[int]float64{1: .9, 2: .8095725, 5: .582963423, 10: .3196329323} {
		if got := 1 - s[step].F.At(0, 0); math.Abs(got-d) > 5e-10 {
			t.Errorf("Δ(%d) = %.10f, want %.10f", step, got, d)
		}
	}
	if h := s[10].H.At(0, 0); math.Abs(h-1.2001770800) > 5e-10 {
		t.Errorf("H(10,10) = %.10f", h)
	}
}

// TestWhitenedFlow: printed values, the differential equation, and gradient descent with small steps.
func TestWhitenedFlow(t *testing.T) {
	for _, v := range [][4]float64{{1, 1, .3, .4640079865}, {1, 1, 1, .9065882889}, {4, 1, .3, .6325871163},
		{2, 3, .2, 1.5419329713}, {10, .5, .3, .3554016224}} {
		if f, _ := WhitenedFlow(v[0], v[1], v[2]); math.Abs(f-v[3]) > 5e-11 {
			t.Errorf("f(γ₀=%g, y=%g, t=%g) = %.10f, want %.10f", v[0], v[1], v[2], f, v[3])
		}
	}
	if f, _ := WhitenedFlow(1, 1, 2); math.Abs(1-f-0.00577151) > 5e-9 {
		t.Errorf("D(2) = %.8f", 1-f)
	}
	if f, _ := WhitenedFlow(3, 2, 500); math.Abs(f-2) > 1e-12 {
		t.Errorf("f(∞) = %g, want 2", f)
	}
	// Gradient descent approaches the flow with an error of first order.
	var last float64
	for i, n := range []int{1000, 2000} {
		s := one(1, 1, 1, 0.3/float64(n), n).Solve()
		f, _ := WhitenedFlow(1, 1, 0.3)
		err := math.Abs(s[n].F.At(0, 0) - f)
		if i == 1 && math.Abs(last/err-2) > 0.01 {
			t.Errorf("halving the step divides the error by %g, want 2", last/err)
		}
		last = err
	}
}

// TestLinearAgainstNaive: the second-moment map is exact for a network of finite width, for every optimiser.
func TestLinearAgainstNaive(t *testing.T) {
	const n, d, p, m, c = 7, 4, 3, 5, 2
	num := func(i int) float64 { return math.Sin(float64(i*i)*1.7 + float64(i)) }
	x, y := make([][]float64, m), make([][]float64, p)
	gram, targets := mat.NewSymDense(m, nil), mat.NewDense(p, c, nil)
	for i := range m {
		x[i] = make([]float64, d)
		for j := range d {
			x[i][j] = num(i*d + j)
		}
	}
	for i := range m {
		for j := range m {
			s := 0.
			for k := range d {
				s += x[i][k] * x[j][k] / d
			}
			gram.SetSym(i, j, s)
		}
	}
	for i := range p {
		y[i] = []float64{num(100 + i), num(200 + i)}
		targets.SetRow(i, y[i])
	}
	for name, set := range map[string]struct {
		mu, lambda float64
		nesterov   bool
	}{"gd": {}, "momentum": {mu: 0.8, lambda: 0.3}, "nesterov": {mu: 0.7, nesterov: true, lambda: 0.1}} {
		w0, a := zeros(n, d), zeros(n, c)
		for i := range n {
			for j := range d {
				w0[i][j] = num(1000 + i*d + j)
			}
			for k := range c {
				a[i][k] = num(5000 + i*c + k)
			}
		}
		start := mat.NewSymDense(m+c, nil)
		z := func(i, q int) float64 {
			if q >= m {
				return a[i][q-m]
			}
			s := 0.
			for j := range d {
				s += w0[i][j] * x[q][j] / 2
			}
			return s
		}
		for q := range m + c {
			for r := range m + c {
				s := 0.
				for i := range n {
					s += z(i, q) * z(i, r) / n
				}
				start.SetSym(q, r, s)
			}
		}
		rate := func(step int) float64 { return 0.05 / (1 + 0.1*float64(step)) }
		weights := func(step int) []float64 { return []float64{1, float64(step % 2), 0.5} }
		lin := Linear{Gram: gram, Targets: targets, Richness: 1.3, Steps: 12, Rate: rate, Momentum: set.mu,
			Nesterov: set.nesterov, WeightDecay: set.lambda, Weights: weights, Start: start}.Solve()
		f := Naive{Phi: func(v float64) float64 { return v }, DPhi: func(float64) float64 { return 1 }, X: x, Y: y,
			Richness: 1.3, Momentum: set.mu, Nesterov: set.nesterov,
			WeightDecay: set.lambda, Rate: rate, Steps: 12, Delta: func(step int, f, y, delta [][]float64) {
				for i := range y {
					for k := range y[i] {
						delta[i][k] = weights(step)[i] * (y[i][k] - f[i][k])
					}
				}
			}}.Train(w0, nil, a)
		for s := range lin {
			if want := Total(MSE, f[s][:p], y); math.Abs(lin[s].Loss-want) > 1e-13 {
				t.Fatalf("%s step %d: loss %.15g, want %.15g", name, s, lin[s].Loss, want)
			}
			for i := range m {
				for k := range c {
					if d := math.Abs(lin[s].F.At(i, k) - f[s][i][k]); d > 1e-13 {
						t.Fatalf("%s step %d point %d output %d: map and network differ by %g", name, s, i, k, d)
					}
				}
			}
		}
	}
}

// TestLazy: gradient descent against its recursion, the flow against its limit of small steps, a singular kernel
// included.
func TestLazy(t *testing.T) {
	k := mat.NewDense(3, 2, []float64{2, 0.5, 0.5, 1, -0.3, 0.4})
	for _, k := range []*mat.Dense{k, mat.NewDense(2, 2, []float64{1, 1, 1, 1})} {
		m, _ := k.Dims()
		y := mat.NewDense(2, 1, []float64{1, -2})
		f := mat.NewDense(m, 1, nil)
		const eta, n = 0.3, 9
		for range n {
			d := mat.NewDense(2, 1, nil)
			d.Sub(y, f.Slice(0, 2, 0, 1))
			s := mat.NewDense(m, 1, nil)
			s.Mul(k, d)
			s.Scale(eta, s)
			f.Add(f, s)
		}
		got := Lazy(k, y, eta, n, false)
		fine := Lazy(k, y, eta/1e5, n*1e5, false)
		flow := Lazy(k, y, eta, n, true)
		for i := range m {
			if math.Abs(got.At(i, 0)-f.At(i, 0)) > 1e-13 {
				t.Errorf("gradient descent: %g, want %g", got.At(i, 0), f.At(i, 0))
			}
			if math.Abs(flow.At(i, 0)-fine.At(i, 0)) > 1e-5 {
				t.Errorf("flow: %g, small steps give %g", flow.At(i, 0), fine.At(i, 0))
			}
		}
	}
}
