package exact

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// wave is a fixed sequence without structure.
func wave(i int) float64 { return math.Sin(float64(i*i)*1.7 + float64(i)) }

// inputs are m points of d numbers and their Gram matrix.
func inputs(m, d int) ([][]float64, *mat.SymDense) {
	x, gram := zeros(m, d), mat.NewSymDense(m, nil)
	for i := range m {
		for j := range d {
			x[i][j] = 1.4 * wave(i*d+j)
		}
	}
	for i := range m {
		for j := range i + 1 {
			for k := range d {
				gram.SetSym(i, j, gram.At(i, j)+x[i][k]*x[j][k]/float64(d))
			}
		}
	}
	return x, gram
}

// outputs are targets of p points, c of each.
func outputs(p, c int) ([][]float64, *mat.Dense) {
	y, targets := zeros(p, c), mat.NewDense(p, c, nil)
	for i := range p {
		for k := range c {
			y[i][k] = 1.2 * wave(100*(k+1)+i)
		}
		targets.SetRow(i, y[i])
	}
	return y, targets
}

// general is a problem with a test point, a schedule, weights and c outputs.
func general(c int) Linear {
	_, gram := inputs(4, 6)
	_, targets := outputs(3, c)
	return Linear{Gram: gram, Targets: targets, Richness: 1, Steps: 8,
		Rate:    func(step int) float64 { return 0.06 / (1 + 0.05*float64(step)) },
		Weights: func(step int) []float64 { return []float64{1, 0.5 + 0.1*float64(step), float64(step % 2)} }}
}

// apart is the largest difference between two matrices.
func apart(a, b mat.Matrix) float64 {
	var d mat.Dense
	d.Sub(a, b)
	worst := 0.
	for _, v := range d.RawMatrix().Data {
		if worst = math.Max(worst, math.Abs(v)); math.IsNaN(v) {
			return v
		}
	}
	return worst
}

func solve(t *testing.T, d DeepLinear) *DeepHistory {
	t.Helper()
	h, err := d.Solve()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestDeepLinearRecorded: P = 1, Kx = y = γ₀ = 1, η = 0.05, values of an independent solution of arXiv 2205.09653, eqs.
// 11–12, by iteration to the fixed point.
func TestDeepLinearRecorded(t *testing.T) {
	for i, want := range []struct {
		delta map[int]float64
		h     []float64 // H^ℓ(10, 10)
	}{
		{map[int]float64{1: .9, 2: .8095725, 5: .582963423, 10: .3196329323}, []float64{1.2001770800}},
		{map[int]float64{1: .85, 2: .7201369993, 5: .4121883908, 10: .1265583286}, []float64{1.1870284200, 1.6154915006}},
		{map[int]float64{1: .8, 2: .6327608795, 5: .2571012859, 10: .0299137704},
			[]float64{1.1498567164, 1.4877410413, 2.0799171629}},
	} {
		depth := i + 1
		h := solve(t, DeepLinear{Problem: one(1, 1, 1, 0.05, 10), Depth: depth})
		for step, d := range want.delta {
			if got := 1 - h.States[step].F.At(0, 0); math.Abs(got-d) > 1e-9 {
				t.Errorf("L = %d: Δ(%d) = %.10f, want %.10f", depth, step, got, d)
			}
		}
		for l, v := range want.h {
			if got := h.States[10].Phi[l].At(0, 0); math.Abs(got-v) > 1e-9 {
				t.Errorf("H^%d(10,10) of %d = %.10f, want %.10f", l+1, depth, got, v)
			}
			if got := h.States[10].G[depth-1-l].At(0, 0); math.Abs(got-v) > 1e-9 { // a network is its own mirror image
				t.Errorf("G^%d(10,10) of %d = %.10f, want %.10f", depth-l, depth, got, v)
			}
		}
	}
}

// TestDeepLinearTwoLayers: at L = 1 the kernel equations are the exact map of second moments.
func TestDeepLinearTwoLayers(t *testing.T) {
	for name, p := range optimisers(general(2)) {
		got, want := solve(t, DeepLinear{Problem: p, Depth: 1}).States, p.Solve()
		for s := range want {
			a, b := got[s], want[s]
			if d := max(apart(a.F, b.F), apart(a.Phi[0], b.H), apart(a.G[0], b.G), apart(a.NTK, b.NTK),
				math.Abs(a.Loss-b.Loss)); !(d <= 1e-10) {
				t.Fatalf("%s step %d: %g apart", name, s, d)
			}
		}
	}
}

// optimisers are a problem with every optimiser.
func optimisers(p Linear) map[string]Linear {
	out := map[string]Linear{}
	for name, set := range map[string]struct {
		mu, lambda float64
		nesterov   bool
	}{"gd": {}, "decay": {lambda: 0.4}, "momentum": {mu: 0.7, lambda: 0.2},
		"nesterov": {mu: 0.6, lambda: 0.3, nesterov: true}} {
		p.Momentum, p.WeightDecay, p.Nesterov = set.mu, set.lambda, set.nesterov
		out[name] = p
	}
	return out
}

// TestDeepLinearNaive: the mean over networks of finite width, extrapolated in 1/N, for what no closed form covers:
// several outputs, momentum and weight decay at once, residual branches. Networks come in pairs of opposite readout,
// which cancels the odd orders in the prediction at the start. Without responses the theory is off by 0.01 to 0.08,
// elsewhere than at the test point by 0.014 to 0.05.
func TestDeepLinearNaive(t *testing.T) {
	x, gram := inputs(3, 4)
	y, targets := outputs(2, 2)
	for name, d := range map[string]DeepLinear{
		"mlp":      {Depth: 3, Problem: Linear{Momentum: 0.5, WeightDecay: 0.3, Nesterov: true}},
		"residual": {Depth: 3, Skip: 0.9, Branch: 0.6, Problem: Linear{Momentum: 0.4, WeightDecay: 0.5}},
	} {
		p := d.Problem
		p.Gram, p.Targets, p.Richness, p.Steps, p.Rate = gram, targets, 1.5, 6, func(step int) float64 { return 0.06 }
		d.Problem = p
		want := solve(t, d).States[p.Steps].F
		nn := Naive{Phi: func(v float64) float64 { return v }, DPhi: func(float64) float64 { return 1 }, X: x, Y: y,
			Richness: p.Richness, Skip: d.Skip, B: d.Branch,
			Momentum: p.Momentum, Nesterov: p.Nesterov, WeightDecay: p.WeightDecay, Rate: p.Rate, Steps: p.Steps}
		const small, pairs = 20, 150
		mean, square := zeros(3, 2), zeros(3, 2)
		random := rand.New(rand.NewPCG(1, 2))
		for range pairs {
			// 2⟨f⟩ at 2N neurons less ⟨f⟩ at N leaves an error of order 1/N².
			value := zeros(3, 2)
			for _, n := range []int{small, 2 * small} {
				w0, w, a := randomNetwork(random, n, len(x[0]), d.Depth, 2)
				for _, sign := range []float64{1, -1} {
					v0, v, b := copied(w0), [][][]float64{}, copied(a)
					for l := range w {
						v = append(v, copied(w[l]))
					}
					for i := range b {
						for k := range b[i] {
							b[i][k] *= sign
						}
					}
					f := nn.Train(v0, v, b)[p.Steps]
					for i := range f {
						for k := range f[i] {
							value[i][k] += float64(2*n/small-3) / 2 * float64(n/small) * f[i][k] // −½, +1
						}
					}
				}
			}
			for i := range value {
				for k, v := range value[i] {
					mean[i][k] += v / pairs
					square[i][k] += v * v / pairs
				}
			}
		}
		for i := range mean {
			for k, v := range mean[i] {
				se := math.Sqrt((square[i][k] - v*v) / pairs)
				t.Logf("%s point %d output %d: %.4f ± %.4f, theory %.4f", name, i, k, v, se, want.At(i, k))
				if math.Abs(v-want.At(i, k)) > 3*se+0.005 || se > 0.02 {
					t.Errorf("%s point %d output %d: networks %.4f ± %.4f, theory %.4f", name, i, k, v, se, want.At(i, k))
				}
			}
		}
	}
}

// randomNetwork draws the weights of a Naive network.
func randomNetwork(r *rand.Rand, n, d, depth, c int) (w0 [][]float64, w [][][]float64, a [][]float64) {
	draw := func(rows, cols int) [][]float64 {
		m := zeros(rows, cols)
		for i := range m {
			for j := range m[i] {
				m[i][j] = r.NormFloat64()
			}
		}
		return m
	}
	for range depth - 1 {
		w = append(w, draw(n, n))
	}
	return draw(n, d), w, draw(n, c)
}

func copied(m [][]float64) [][]float64 {
	out := make([][]float64, len(m))
	for i := range m {
		out[i] = append([]float64(nil), m[i]...)
	}
	return out
}

// TestDeepLinearResponses: causality, ⟨h^ℓξ^ℓᵀ⟩ = ⟨χ^{ℓ+1}g^{ℓ+1}ᵀ⟩ = A^ℓG^{ℓ+1} + Φ^ℓB^{ℓᵀ} for the fields without
// what was learned, at all pairs of times (Stein's lemma from both sides of a matrix), and ⟨h g⟩ = γ₀f in every layer.
func TestDeepLinearResponses(t *testing.T) {
	for _, base := range []DeepLinear{{Depth: 3}, {Depth: 4, Skip: 0.8, Branch: 0.7}} {
		for name, p := range optimisers(general(2)) {
			d := base
			d.Problem = p
			h := solve(t, d)
			c, keep := p.memory()
			g0, b := p.Richness, d.branch()
			cross := func(layerH, layerG, t, s int) *mat.Dense { return h.m.moment(h.h[t][layerH-1], h.g[s][layerG-1]) }
			delta := func(s int) *mat.Dense { // over all points
				out := mat.NewDense(4, 2, nil)
				out.Slice(0, 3, 0, 2).(*mat.Dense).Copy(p.residual(s, h.States[s].F))
				return out
			}
			for l := 1; l < d.Depth; l++ {
				for t1 := range p.Steps + 1 {
					for t2 := range p.Steps + 1 {
						if a := h.A(l, t1, t2); (t2 >= t1) != (mat.Norm(a, 1) == 0) {
							t.Fatalf("%s: A^%d(%d,%d) has norm %g", name, l, t1, t2, mat.Norm(a, 1))
						}
						if b := h.B(l, t1, t2); (t2 >= t1) != (mat.Norm(b, 1) == 0) {
							t.Fatalf("%s: B^%d(%d,%d) has norm %g", name, l, t1, t2, mat.Norm(b, 1))
						}
						stein := mat.NewDense(4, 2, nil)
						for s := range p.Steps + 1 {
							stein.Add(stein, mul(h.A(l, t1, s), h.G(l+1, s, t2)))
							stein.Add(stein, mul(h.Phi(l, t1, s), h.B(l, t2, s).T()))
						}
						// bχ = h^{ℓ+1} − s·h^ℓ − learned, and bξ = g^ℓ − s·g^{ℓ+1} − learned.
						chi, xi := cross(l+1, l+1, t1, t2), cross(l, l, t1, t2)
						chi.Sub(chi, scaled(d.Skip, cross(l, l+1, t1, t2)))
						xi.Sub(xi, scaled(d.Skip, cross(l, l+1, t1, t2)))
						for s := range max(t1, t2) {
							learned := scaled(g0*b*b, mul(mul(h.Phi(l, t1, s), delta(s)), h.G(l+1, s, t2)))
							if s < t1 {
								chi.Sub(chi, scaled(c[t1][s], learned))
							}
							if s < t2 {
								xi.Sub(xi, scaled(c[t2][s], learned))
							}
						}
						if e := max(apart(scaled(b*keep[t1], stein), chi), apart(scaled(b*keep[t2], stein), xi)); !(e <= 1e-11) {
							t.Fatalf("%s L = %d: ⟨hξ⟩, ⟨χg⟩ and AG + ΦBᵀ of layer %d at times %d and %d are %g apart",
								name, d.Depth, l, t1, t2, e)
						}
					}
				}
			}
			for s, state := range h.States {
				for l, k := range state.Cross {
					if e := apart(k, scaled(g0, state.F)); !(e <= 1e-12) {
						t.Fatalf("%s step %d: ⟨h^%d g^%d⟩ differs from γ₀f by %g", name, s, l+1, l+1, e)
					}
				}
				for l := range d.Depth {
					if e := max(apart(state.Phi[l], h.Phi(l+1, s, s)), apart(state.G[l], h.G(l+1, s, s)),
						apart(h.Phi(l+1, s, 0), h.Phi(l+1, 0, s).T())); !(e <= 1e-12) {
						t.Fatalf("%s step %d: two-time and equal-time kernels of layer %d are %g apart", name, s, l+1, e)
					}
				}
			}
		}
	}
}

// TestResidualDepth: residual networks of B branches b = β/√B, which are B + 1 hidden layers here: the depth of the
// published limit counts branches, Depth counts layers. At the start NTK = 2(1 + b²)^B + β²(1 + b²)^{B−1} → (2 +
// β²)e^{β²}. The response in the middle of such a network, γ₀ = 1.5, η = 0.06, at times 6 and 0 times √B tends to a
// limit too.
func TestResidualDepth(t *testing.T) {
	for _, v := range []struct {
		branches      int
		ntk, response float64
	}{{1, 5, .0925}, {2, 6, .188}, {4, 6.836, .205}, {8, 7.412, .216}, {16, 7.759, .223}, {32, 0, .227}, {64, 8.051, 0}} {
		d := DeepLinear{Depth: v.branches + 1, Skip: 1, Branch: 1 / math.Sqrt(float64(v.branches)),
			Problem: one(1, 1, 1.5, 0.06, 0)}
		if v.response > 0 {
			d.Problem.Steps = 6
		}
		h := solve(t, d)
		got, b2 := h.States[0].NTK.At(0, 0), d.Branch*d.Branch
		if want := 2*math.Pow(1+b2, float64(v.branches)) + math.Pow(1+b2, float64(v.branches-1)); math.Abs(got-want) > 1e-12 {
			t.Errorf("%d branches: NTK %.12f, want %.12f", v.branches, got, want)
		}
		if v.ntk > 0 && math.Abs(got-v.ntk) > 5.1e-4 {
			t.Errorf("%d branches: NTK %.4f, want %.3f", v.branches, got, v.ntk)
		}
		if v.response > 0 {
			if got := math.Sqrt(float64(v.branches)) * h.A(v.branches/2+1, 6, 0).At(0, 0); math.Abs(got-v.response) > 5.1e-4 {
				t.Errorf("%d branches: √B·A(6, 0) = %.4f, want %.4f", v.branches, got, v.response)
			}
		}
	}
	// MLP: every layer adds Kx.
	_, gram := inputs(3, 4)
	p := Linear{Gram: gram, Targets: mat.NewDense(3, 1, nil), Richness: 2, Rate: func(int) float64 { return 1 }}
	if e := apart(solve(t, DeepLinear{Depth: 5, Problem: p}).States[0].NTK, scaled(6, gram)); !(e <= 1e-12) {
		t.Errorf("initial NTK of an MLP is %g away from (L + 1)Kx", e)
	}
}

// TestDecayFixedPoint: with weight decay λ a network of degree κ = L + 1 in its weights comes to rest where f = K(K +
// κλ)⁻¹y with its final NTK.
func TestDecayFixedPoint(t *testing.T) {
	for _, depth := range []int{1, 2} {
		const lambda = 0.5
		p := one(1, 3, 1, 0.15, 150)
		p.WeightDecay = lambda
		last := solve(t, DeepLinear{Problem: p, Depth: depth}).States[p.Steps]
		k, f := last.NTK.At(0, 0), last.F.At(0, 0)
		if want := 3 * k / (k + lambda*float64(depth+1)); math.Abs(f-want) > 1e-8 || f < 1 {
			t.Errorf("L = %d: f = %.9f, want %.9f with the NTK %g", depth, f, want, k)
		}
	}
}

// TestDeepLinearErrors: divergence names the step and the cure and returns what there is.
func TestDeepLinearErrors(t *testing.T) {
	d := DeepLinear{Problem: one(1, 1, 2, 3, 60), Depth: 3}
	h, err := d.Solve()
	if err == nil {
		t.Fatal("no error from a learning rate far beyond stability")
	}
	for _, want := range []string{fmt.Sprintf("step %d", len(h.States)), "depth 3", "learning rate 3",
		"2/λ_max of the initial NTK 0.5", "lower"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
	if n := len(h.States); n < 2 || n > 20 || !h.States[n-1].finite() {
		t.Errorf("%d states, the last of them finite: %v", n, n > 0 && h.States[n-1].finite())
	}
	if _, err := d.Perturbation(false); err == nil || !strings.Contains(err.Error(), "step") {
		t.Errorf("perturbation theory beyond stability: %v", err)
	}
	d.Problem.Start = mat.NewSymDense(2, nil)
	if _, err := d.Solve(); err == nil {
		t.Error("no error from a Start")
	}
}
