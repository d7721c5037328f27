package alternating

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/exact"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/random"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// extended says whether the slow versions of statistical tests run (DMFT_EXTENDED=1).
var extended = os.Getenv("DMFT_EXTENDED") != ""

// problem has Gaussian inputs of dimension 8 and targets ±1, as the published runs.
func problem(points, depth, steps int, activation string, gamma, eta float64) *dmft.Problem {
	rng := rand.New(rand.NewPCG(41, 7))
	x, y := mat.NewDense(points, 8, nil), mat.NewDense(points, 1, nil)
	for i := range points {
		for j := range 8 {
			x.Set(i, j, rng.NormFloat64())
		}
		y.Set(i, 0, math.Copysign(1, rng.NormFloat64()))
	}
	kind := dmft.MLP
	if depth == 1 {
		kind = dmft.TwoLayer
	}
	return &dmft.Problem{Data: dmft.Data{Inputs: x, Targets: y}, Richness: gamma,
		Network: dmft.Network{Kind: kind, Depth: depth, Activation: kernels.Activation{Name: activation}},
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: eta}, Steps: steps,
			Loss: dmft.Loss{Kind: dmft.MSE}}}
}

func solve(t testing.TB, p *dmft.Problem, s Settings) *Result {
	t.Helper()
	r, err := Solve(p, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// causal is f of package dmft.
func causal(t testing.TB, p *dmft.Problem, s dmft.Settings) (f, stderr *mat.Dense) {
	t.Helper()
	tr, err := dmft.Solve(context.Background(), p, s)
	if err != nil {
		t.Fatal(err)
	}
	rows, cols := tr.F.Shape[0], tr.F.Shape[1]
	return mat.NewDense(rows, cols, tr.F.Data), mat.NewDense(rows, cols, tr.FStderr.Data)
}

// deepLinear solves a linear problem by its closed kernel equations.
func deepLinear(t testing.TB, p *dmft.Problem) (*exact.DeepHistory, *mat.Dense) {
	t.Helper()
	points, _ := p.Data.Inputs.Dims()
	weight := 1.
	if p.Training.Loss.Mean {
		weight /= float64(points)
	}
	h, err := exact.DeepLinear{Depth: p.Network.Depth,
		Problem: exact.Linear{Gram: kernels.Gram(p.Data.Inputs), Targets: p.Data.Targets, Richness: p.Richness,
			Steps:   p.Training.Steps,
			Rate:    func(int) float64 { return p.Training.Method.LearningRate },
			Weights: func(int) []float64 { return slices.Repeat([]float64{weight}, points) }}}.Solve()
	if err != nil {
		t.Fatal(err)
	}
	f := mat.NewDense(len(h.States), points, nil)
	for i, s := range h.States {
		f.SetRow(i, mat.Col(nil, 0, s.F))
	}
	return h, f
}

// seeds runs some seeds and returns mean, standard error and all results.
func seeds(t testing.TB, p *dmft.Problem, s Settings, n int) (mean, stderr *mat.Dense, all []*Result) {
	t.Helper()
	for i := range n {
		s.Seed = uint64(i)
		all = append(all, solve(t, p, s))
	}
	r, c := all[0].F.Dims()
	mean, stderr = mat.NewDense(r, c, nil), mat.NewDense(r, c, nil)
	for _, a := range all {
		mean.Add(mean, a.F)
	}
	mean.Scale(1/float64(n), mean)
	stderr.Apply(func(i, j int, _ float64) float64 {
		v := 0.
		for _, a := range all {
			v += math.Pow(a.F.At(i, j)-mean.At(i, j), 2)
		}
		return math.Sqrt(v / float64(n-1) / float64(n))
	}, stderr)
	return mean, stderr, all
}

// within fails unless a and b agree within sigmas of their errors, and returns the root mean square in these units.
func within(t *testing.T, name string, a, sa, b, sb mat.Matrix, sigmas float64) {
	t.Helper()
	rows, cols := a.Dims()
	worst, sum, n := 0., 0., 0
	for i := 1; i < rows; i++ { // f(0) = 0
		for j := range cols {
			s := math.Hypot(sa.At(i, j), sb.At(i, j))
			z := (a.At(i, j) - b.At(i, j)) / s
			worst, sum, n = math.Max(worst, math.Abs(z)), sum+z*z, n+1
		}
	}
	t.Logf("%s: at most %.1f, rms %.1f standard errors", name, worst, math.Sqrt(sum/float64(n)))
	if !(worst < sigmas) {
		t.Errorf("%s: %.1f standard errors apart", name, worst)
	}
}

func zero(m mat.Matrix) mat.Matrix {
	r, c := m.Dims()
	return mat.NewDense(r, c, nil)
}

// TestLinear: linear networks equal their closed equations within an error that falls as S^−1/2, for both outputs;
// kernels and responses too.
func TestLinear(t *testing.T) {
	for _, tc := range []struct {
		depth, rounds int
		out           Output
	}{{1, 8, FromResponse}, {2, 12, FromResponse}, {3, 24, FromResponse}, {2, 16, FromAverage}} {
		if tc.depth == 3 && !extended {
			continue
		}
		p := problem(3, tc.depth, 10, "linear", 1, 0.2)
		p.Training.Loss.Mean = true
		history, want := deepLinear(t, p)
		var err [2]float64
		var last *Result
		const runs = 12
		for i, s := range []int{200, 3200} {
			// The responses of a path of a linear network are those of all.
			_, _, all := seeds(t, p, Settings{Samples: s, Rounds: tc.rounds, Output: tc.out, JacobianSamples: 8}, runs)
			for _, r := range all {
				err[i] += math.Pow(rms(r.F, want), 2) / runs
				last = r
			}
			err[i] = math.Sqrt(err[i])
		}
		order := math.Log(err[0]/err[1]) / math.Log(16)
		t.Logf("depth %d, %s: rms error %.4f, %.4f, order %.2f", tc.depth, tc.out, err[0], err[1], order)
		// The error of 12 runs, strongly correlated within a run, is known to about a fourth.
		if !(math.Abs(order-0.5) < 0.17) || !(err[1] < 0.04) {
			t.Errorf("depth %d, %s: errors %v fall with order %.2f in S, want 1/2", tc.depth, tc.out, err, order)
		}
		// Two-time kernels and responses at S = 3200: five times 1/√S = 0.018, and its effect on responses, which are
		// exact given the kernels.
		check := func(name string, got, want, tol float64) {
			if !(math.Abs(got-want) < tol*max(1, math.Abs(want))) {
				t.Errorf("depth %d: %s is %.3f, want %.3f", tc.depth, name, got, want)
			}
		}
		for l := range tc.depth {
			check("Φ(10,6)", last.Phi[l].At(30+1, 18+2), history.Phi(l+1, 10, 6).At(1, 2), 0.1)
			check("G(10,6)", last.G[l].At(30+1, 18+2), history.G(l+1, 10, 6).At(0, 0), 0.1)
			if l == 0 {
				continue
			}
			for _, s := range []int{2, 6, 9} {
				// r^ℓ is the same for all points and g^ℓ does not depend on the point: sums and rows of what is a
				// number there.
				a := 0.
				for k := range 3 {
					a += last.A[l-1].At(30+1, 3*s+k)
				}
				check("A", a, history.A(l, 10, s).At(1, 0), 0.02)
				check("B", last.B[l-1].At(30+1, 3*s+2), history.B(l, 10, s).At(0, 2), 0.02)
			}
		}
	}
}

// TestCausalSolver: the same infinite-width limit as package dmft within combined standard errors, and not that without
// responses.
func TestCausalSolver(t *testing.T) {
	samples, runs := 1000, 6
	if extended {
		samples, runs = 16000, 16
	}
	for _, tc := range []struct {
		name   string
		p      *dmft.Problem
		rounds int
	}{
		{"one hidden layer, tanh", problem(4, 1, 15, "tanh", 1.5, 0.1), 12},
		{"one hidden layer, erf", problem(3, 1, 15, "erf", 1, 0.1), 12},
		{"two hidden layers, tanh", problem(3, 2, 12, "tanh", 1, 0.15), 16},
		{"three hidden layers, erf", problem(2, 3, 8, "erf", 1, 0.1), 16},
	} {
		mean, se, _ := seeds(t, tc.p, Settings{Samples: samples, Rounds: tc.rounds, JacobianSamples: samples / 4}, runs)
		want, wse := causal(t, tc.p, dmft.Settings{Samples: 4 * samples, Seed: 5, Tolerance: 1e-4})
		// Six runs: the t distribution of five degrees of freedom has heavier tails than the normal, 7 is its two-sided
		// probability of 1e-3.
		within(t, tc.name, mean, se, want, wse, 7)
		if tc.p.Network.Depth > 1 {
			gia, _ := causal(t, tc.p, dmft.Settings{Samples: samples, Seed: 5, Method: dmft.GradientIndependence})
			if right, wrong := rms(mean, want), rms(mean, gia); !(wrong > 3*right) {
				t.Errorf("%s: %.4f from the theory and %.4f from it without responses: the test cannot tell", tc.name, right, wrong)
			}
		}
	}
}

// TestLazyLimit: γ₀ → 0 is the static kernel, with a sampling error that stays finite.
func TestLazyLimit(t *testing.T) {
	if !extended {
		t.Skip("slow; in the extended checks")
	}
	for _, depth := range []int{1, 2} {
		p := problem(3, depth, 15, "tanh", 1e-4, 0.1)
		want, _ := causal(t, p, dmft.Settings{Method: dmft.Lazy})
		mean, se, all := seeds(t, p, Settings{Samples: 2000, Rounds: 8}, 6)
		within(t, "lazy", mean, se, want, zero(want), 7)
		if d := rms(all[0].History[0], want); !(d < 1e-12) {
			t.Errorf("depth %d: the rounds start %g from the static kernel", depth, d)
		}
		if d := rms(all[0].F, want); !(d < 0.02) {
			t.Errorf("depth %d: one run is %g from the lazy solution", depth, d)
		}
	}
}

// TestDerivatives: the recursions for ∂φ/∂r and ∂g/∂u are derivatives of the fields, in every kind of layer.
func TestDerivatives(t *testing.T) {
	p := problem(2, 3, 5, "tanh", 1.5, 0.2)
	v, err := newSolver(p, Settings{Samples: 100, Rounds: 1, Damping: 1, Jitter: 1e-10, JacobianSamples: 100,
		Output: FromResponse, Sites: Causal})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 { // for responses that do not vanish
		if err := v.round(i); err != nil {
			t.Fatal(err)
		}
	}
	layers := []*layer{v.layer(0), v.layer(1), v.layer(2)}
	if err := v.factor(layers); err != nil {
		t.Fatal(err)
	}
	const eps = 1e-6
	for l, y := range layers {
		w := newWorker(v)
		w.rng = random.New(1, uint64(l))
		w.draw(y, 1)
		u, r := slices.Clone(w.h.Data), slices.Clone(w.z.Data)
		// fields are φ and g after a change of the noise.
		fields := func(du, dr []int, e float64) (phi, g []float64) {
			copy(w.h.Data, u)
			copy(w.z.Data, r)
			for _, i := range du {
				w.h.Row(i)[0] += e
			}
			for _, i := range dr {
				w.z.Row(i)[0] += e
			}
			w.march(y, 1)
			for i := range v.n {
				phi, g = append(phi, w.phi.Row(i)[0]), append(g, w.g.Row(i)[0])
			}
			return phi, g
		}
		jacobians := func() (a, b la.Mat[float64], top []float64) {
			fields(nil, nil, 0)
			for i := range v.n {
				w.slope[i], w.curve[i] = w.dphi.Row(i)[0], w.q.Row(i)[0]
			}
			a, b, top = la.New[float64](v.n, v.n), la.New[float64](v.n, v.n), make([]float64, v.n)
			if y.last {
				w.readout(y, 1, top)
			} else {
				w.toBackward(y, a)
			}
			if !y.first {
				w.toForward(y, b)
			}
			return a, b, top
		}
		a, b, top := jacobians()
		compare := func(name string, i, j int, got, plus, minus float64) {
			if want := (plus - minus) / (2 * eps); !(math.Abs(got-want) < 1e-8) {
				t.Errorf("layer %d: %s(%d, %d) = %g, want %g", l+1, name, i, j, got, want)
			}
		}
		var all []int
		for j := range v.n {
			all = append(all, j)
			if !y.last {
				plus, _ := fields(nil, []int{j}, eps)
				minus, _ := fields(nil, []int{j}, -eps)
				for i := range v.n {
					compare("∂φ/∂r", i, j, a.Row(i)[j], plus[i], minus[i])
				}
			}
			if !y.first {
				_, plus := fields([]int{j}, nil, eps)
				_, minus := fields([]int{j}, nil, -eps)
				for i := range v.n {
					compare("∂g/∂u", i, j, b.Row(i)[j], plus[i], minus[i])
				}
			}
		}
		if y.last {
			plus, _ := fields(nil, all, eps)
			minus, _ := fields(nil, all, -eps)
			for i := range v.n {
				compare("∂φ/∂r^L", i, 0, top[i], plus[i], minus[i])
			}
		}
	}
}

// TestPicard: sweeps and forward substitution are two ways to the same numbers. The published limit of the sweeps
// leaves about 1e-3 of a field in the worst case, far less here.
func TestPicard(t *testing.T) {
	p := problem(2, 3, 8, "tanh", 1, 0.1)
	s := Settings{Samples: 100, Rounds: 3}
	a := solve(t, p, s)
	s.Sites = Picard
	b := solve(t, p, s)
	if d := rms(a.F, b.F); !(d < 1e-4) {
		t.Errorf("sweeps and substitution differ by %g", d)
	}
	for l := range 2 {
		if d := max(rms(a.A[l], b.A[l]), rms(a.B[l], b.B[l])); !(d < 1e-4) {
			t.Errorf("their responses %d differ by %g", l+1, d)
		}
	}
}

// TestRepeatable: bits depend on the seed and not on the number of processors; frozen noise has a fixed point, fresh
// noise has none.
func TestRepeatable(t *testing.T) {
	p := problem(2, 2, 6, "tanh", 1, 0.1)
	s := Settings{Samples: 300, Rounds: 60, Damping: 1, Frozen: true, Tolerance: 1e-12}
	old := runtime.GOMAXPROCS(1)
	a := solve(t, p, s)
	runtime.GOMAXPROCS(4)
	b := solve(t, p, s)
	runtime.GOMAXPROCS(old)
	if !mat.Equal(a.F, b.F) || !mat.Equal(a.B[0], b.B[0]) {
		t.Error("the result depends on GOMAXPROCS")
	}
	if !a.Converged || a.Rounds() == s.Rounds {
		t.Errorf("frozen noise: still moving by %g after %d rounds", a.Change(), a.Rounds())
	}
	for s.Seed = 1; s.Seed < 6; s.Seed++ { // some have covariances whose eigenvalues meet
		c := solve(t, p, s)
		if mat.Equal(a.F, c.F) {
			t.Error("two seeds agree")
		}
		if !c.Converged {
			t.Errorf("frozen noise of seed %d: still moving by %g after %d rounds", s.Seed, c.Change(), c.Rounds())
		}
	}
	s.Frozen = false
	if c := solve(t, p, s); c.Converged {
		t.Error("fresh noise cannot converge")
	}
}

// TestRefusals: what the published solver does not do is refused by name, and divergence is reported with what was
// known before.
func TestRefusals(t *testing.T) {
	for want, change := range map[string]func(p *dmft.Problem, s *Settings){
		"residual":  func(p *dmft.Problem, _ *Settings) { p.Network.Kind = dmft.ResNet; p.Network.Branch.Beta = 1 },
		"kink":      func(p *dmft.Problem, _ *Settings) { p.Network.Activation.Name = kernels.ReLUName },
		"method":    func(p *dmft.Problem, _ *Settings) { p.Training.Method.WeightDecay = 0.1 },
		"loss":      func(p *dmft.Problem, _ *Settings) { p.Training.Loss.Kind = dmft.Logistic },
		"batches":   func(p *dmft.Problem, _ *Settings) { p.Training.Batch.Size = 1 },
		"outputs":   func(p *dmft.Problem, _ *Settings) { p.Data.Targets = mat.NewDense(2, 2, nil) },
		"damping":   func(_ *dmft.Problem, s *Settings) { s.Damping = 1.5 },
		"samples":   func(_ *dmft.Problem, s *Settings) { s.Samples = -1 },
		"tolerance": func(_ *dmft.Problem, s *Settings) { s.Tolerance = -1 },
		`"nothing"`: func(_ *dmft.Problem, s *Settings) { s.Output = "nothing" },
		`"guess"`:   func(_ *dmft.Problem, s *Settings) { s.Sites = "guess" },
	} {
		p, s := problem(2, 2, 3, "tanh", 1, 0.1), Settings{Samples: 10, Rounds: 1}
		change(p, &s)
		if _, err := Solve(p, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %s, got %v", want, err)
		}
	}
	r, err := Solve(problem(3, 3, 12, "linear", 3, 1), Settings{Samples: 50, Rounds: 30, Damping: 1})
	if !errors.Is(err, ErrDiverged) || len(r.History) == 0 || r.F == nil {
		t.Errorf("a diverging problem: %v", err)
	}
}
