package exact

import (
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// TestPerturbation: the error of everything falls as γ₀⁴, for every optimiser and several outputs, MLP and residual.
func TestPerturbation(t *testing.T) {
	distance := func(a, b DeepState) []float64 {
		last := len(a.Phi) - 1
		return []float64{apart(a.F, b.F), apart(a.NTK, b.NTK), apart(a.Phi[0], b.Phi[0]),
			apart(a.Phi[last], b.Phi[last]), apart(a.G[0], b.G[0]), apart(a.G[last], b.G[last]),
			math.Abs(a.Loss - b.Loss), apart(a.Cross[0], b.Cross[0])}
	}
	for name, p := range optimisers(general(2)) {
		p.WeightDecay = 0
		for _, d := range []DeepLinear{{Depth: 1}, {Depth: 2, Branch: 0.7}, {Depth: 3},
			{Depth: 4, Skip: 1, Branch: 0.5}, {Depth: 3, Skip: 0.8, Branch: 0.9}} {
			var err [2][]float64
			for i, gamma := range []float64{0.05, 0.1} {
				d.Problem = p
				d.Problem.Richness = gamma
				got, e := d.Perturbation(false)
				if e != nil {
					t.Fatal(e)
				}
				err[i] = distance(got[p.Steps], solve(t, d).States[p.Steps])
			}
			for k, e := range err[1] {
				order, want := math.Log2(e/err[0][k]), 4.
				if k == 7 {
					want = 5 // ⟨hg⟩ is of order γ₀
				}
				if math.Abs(order-want) > 0.15 || e > 2e-2 {
					t.Errorf("%s depth %d s = %g quantity %d: error %.2g at γ₀ = 0.1, order %.2f, want %g", name,
						d.Depth, d.Skip, k, e, order, want)
				}
			}
		}
	}
}

// TestPerturbationFormulas: the flow on one point with K = 1, where V = U = v²/2. The change of the NTK over γ₀²v² is
// L(L+1)²(L+2)/3, as printed 2L(L+1), and the changes of the layers are the sums of their two coefficients; at L = 1
// both are the same.
func TestPerturbationFormulas(t *testing.T) {
	for _, depth := range []int{1, 2, 4, 7} {
		const gamma, end = 0.01, 0.2
		n := float64(depth)
		v := -math.Expm1(-(n+1)*end) / (n + 1)
		for _, printed := range []bool{false, true} {
			d := DeepLinear{Problem: one(1, 1, gamma, 0, 0), Depth: depth}
			s, err := d.PerturbationFlow([]float64{end}, printed)
			if err != nil {
				t.Fatal(err)
			}
			change := func(m *mat.Dense, zero float64) float64 { return (m.At(0, 0) - zero) / (gamma * gamma * v * v) }
			want := n * (n + 1) * (n + 1) * (n + 2) / 3
			if printed {
				want = 2 * n * (n + 1)
			}
			if got := change(s[0].NTK, n+1); math.Abs(got/want-1) > 1e-8 {
				t.Errorf("L = %d, printed %v: change of the NTK %.9g, want %g", depth, printed, got, want)
			}
			for i := range depth {
				l := float64(i + 1)
				want := l*(l+1)*(2*l+1)/6 + l*(l+1)*(3*n-2*l+2)/6
				if printed {
					want = 2 * l
				}
				if a, b := change(s[0].Phi[i], 1), change(s[0].G[depth-1-i], 1); math.Abs(a/want-1) > 1e-8 ||
					math.Abs(b/want-1) > 1e-8 {
					t.Errorf("L = %d, printed %v: change of Φ^%g %.9g, of its mirror image %.9g, want %g", depth,
						printed, l, a, b, want)
				}
			}
		}
	}
}

// TestPerturbationFlow: the limit of small steps of the expansion, and, at L = 1, of the flow itself with an error of
// order γ₀⁴.
func TestPerturbationFlow(t *testing.T) {
	const end = 0.3
	p := general(2)
	p.Richness = 0.5
	p.Weights = func(int) []float64 { return []float64{1, 0.7, 0.4} }
	for _, printed := range []bool{false, true} {
		for _, d := range []DeepLinear{{Depth: 3}, {Depth: 3, Skip: 1, Branch: 0.6}} {
			d.Problem = p
			flow, err := d.PerturbationFlow([]float64{end / 2, end}, printed)
			if err != nil {
				t.Fatal(err)
			}
			// Romberg: errors of first and second order in the step are removed.
			var f, k [3]*mat.Dense
			for i := range f {
				n := 40 << i
				d.Problem.Steps, d.Problem.Rate = n, func(int) float64 { return end / float64(n) }
				s, err := d.Perturbation(printed)
				if err != nil {
					t.Fatal(err)
				}
				f[i], k[i] = s[n].F, s[n].NTK
			}
			for _, m := range []struct {
				name string
				fine [3]*mat.Dense
				want *mat.Dense
			}{{"f", f, flow[1].F}, {"NTK", k, flow[1].NTK}} {
				limit := scaled(1./3, m.fine[0])
				limit.Sub(limit, scaled(2, m.fine[1]))
				limit.Add(limit, scaled(8./3, m.fine[2]))
				if e, far := apart(limit, m.want), apart(m.fine[0], m.want); !(e < 1e-7) || far < 1e-4 {
					t.Errorf("printed %v, s = %g: %s of small steps is %.2g away from the flow, at the largest step %.2g", printed, d.Skip, m.name, e, far)
				}
			}
		}
	}
	var last float64
	for _, gamma := range []float64{0.2, 0.1} {
		p.Richness = gamma
		want, err := p.Flow([]float64{end})
		if err != nil {
			t.Fatal(err)
		}
		got, err := DeepLinear{Problem: p, Depth: 1}.PerturbationFlow([]float64{end}, false)
		if err != nil {
			t.Fatal(err)
		}
		e := max(apart(got[0].F, want[0].F), apart(got[0].NTK, want[0].NTK))
		if last > 0 && math.Abs(math.Log2(last/e)-4) > 0.1 {
			t.Errorf("error of the flow at L = 1 of order %.2f in γ₀, want 4", math.Log2(last/e))
		}
		last = e
	}
}

// TestPerturbationPrinted: as printed, the error remains of order γ₀² beyond two layers.
func TestPerturbationPrinted(t *testing.T) {
	for depth, order := range map[int]float64{1: 4, 3: 2} {
		var last float64
		for _, gamma := range []float64{0.1, 0.05} {
			d := DeepLinear{Depth: depth, Problem: general(1)}
			d.Problem.Richness = gamma
			got, err := d.Perturbation(true)
			if err != nil {
				t.Fatal(err)
			}
			e := apart(got[8].NTK, solve(t, d).States[8].NTK)
			if last > 0 && math.Abs(math.Log2(last/e)-order) > 0.1 {
				t.Errorf("L = %d: error of the printed NTK of order %.2f in γ₀, want %g", depth, math.Log2(last/e), order)
			}
			last = e
		}
	}
}

func TestPerturbationErrors(t *testing.T) {
	for name, change := range map[string]func(*Linear){
		"decay":    func(l *Linear) { l.WeightDecay = 0.1 },
		"loss":     func(l *Linear) { l.Delta = Residuals(Logistic, nil) },
		"start":    func(l *Linear) { l.Start = mat.NewSymDense(5, nil) },
		"momentum": func(l *Linear) { l.Momentum = 0.5 },
	} {
		d := DeepLinear{Problem: general(1), Depth: 2}
		change(&d.Problem)
		if _, err := d.PerturbationFlow([]float64{1}, false); err == nil {
			t.Errorf("flow with %s: no error", name)
		}
		if _, err := d.Perturbation(false); (err == nil) != (name == "momentum") {
			t.Errorf("steps with %s: error %v", name, err)
		}
	}
	for _, times := range [][]float64{{1, 0.5}, {math.NaN()}, {math.Inf(1)}} {
		if _, err := (DeepLinear{Problem: general(1), Depth: 2}).PerturbationFlow(times, false); err == nil {
			t.Errorf("no error from times %v", times)
		}
	}
}

// The change of the NTK by feature learning, three hidden layers trained to the end at γ₀ = 0.1: exact, to order γ₀²,
// and without the responses, as printed.
func ExampleDeepLinear_Perturbation() {
	d := DeepLinear{Depth: 3, Problem: Linear{Gram: mat.NewSymDense(1, []float64{1}),
		Targets: mat.NewDense(1, 1, []float64{1}), Richness: 0.1, Steps: 40,
		Rate: func(int) float64 { return 0.05 }}}
	h, _ := d.Solve()
	corrected, _ := d.Perturbation(false)
	printed, _ := d.Perturbation(true)
	for _, s := range []DeepState{h.States[40], corrected[40], printed[40]} {
		fmt.Printf("%.4f\n", s.NTK.At(0, 0)-4)
	}
	// Output:
	// 0.0470
	// 0.0472
	// 0.0142
}
