package compare_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

func problem(activation string, gamma float64) *dmft.Problem {
	rng := rand.New(rand.NewPCG(4, 2))
	x, y := mat.NewDense(4, 6, nil), mat.NewDense(4, 1, nil)
	for i := range 4 {
		for j := range 6 {
			x.Set(i, j, rng.NormFloat64())
		}
		y.Set(i, 0, float64(2*(i%2)-1))
	}
	return &dmft.Problem{Data: dmft.Data{Inputs: x, Targets: y}, Richness: gamma,
		Network: dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: kernels.Activation{Name: activation}},
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 20,
			Loss: dmft.Loss{Kind: dmft.MSE}, Centred: true}}
}

// TestRates: the error of single networks falls as N^{-1/2} and the bias of their mean as N^{-1}, within the fitted
// confidence intervals, for linear (theory exact), smooth and kinked activations.
func TestRates(t *testing.T) {
	ctx := context.Background()
	acts := []string{"tanh"}
	// The same number of neurons at every width, so that the bias stands out of the noise: with these the interval of
	// the tanh bias is 0.65 ± 0.14 wide (eight seeds), with a quarter of them every second one is wider than the bound
	// below.
	seeds := func(n int) int { return 4 * 64 * 1024 / n }
	if os.Getenv("DMFT_EXTENDED") != "" {
		acts = append(acts, "linear", "relu", "gelu")
		seeds = func(n int) int { return 8 * 64 * 1024 / n }
	}
	for _, name := range acts {
		p := problem(name, 1.5)
		th, err := dmft.Solve(ctx, p, dmft.Settings{Samples: 400000, Blocks: 50, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		var sims []*dmft.Trajectory
		for _, n := range []int{16, 32, 64, 128, 256} {
			s, err := finite.Train(ctx, p, finite.Settings{Width: n, Seeds: seeds(n), Seed: 3})
			if err != nil {
				t.Fatal(err)
			}
			sims = append(sims, s)
		}
		r, err := compare.New(p, th, sims, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: error %v; bias %v; %s", name, r.Error, r.Bias, r.Outcome)
		if !r.Error.Consistent || r.Error.Hi-r.Error.Lo > 0.2 {
			t.Errorf("%s: error rate %v", name, r.Error)
		}
		if !r.Bias.Consistent || r.Bias.Hi-r.Bias.Lo > 1.2 {
			t.Errorf("%s: bias rate %v", name, r.Bias)
		}
		if r.Verdict != compare.Agree {
			t.Errorf("%s: %s", name, r.Outcome)
		}
		// A different theory is rejected: the same sites at another richness.
		wrong, err := dmft.Solve(ctx, problem(name, 1.8), dmft.Settings{Samples: 40000, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := compare.New(p, wrong, sims, compare.Options{}); err != nil || r.Verdict != compare.Disagree ||
			!strings.Contains(r.String(), "DISAGREE") {
			t.Errorf("%s: a theory at another richness is accepted: %v %v", name, r, err)
		}
	}
}

// TestPowerLaw: exponents of synthetic data are covered by their 95 % intervals about that often, and pure noise is not
// resolved.
func TestPowerLaw(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	n := []float64{32, 64, 128, 256, 512}
	hits, noise := 0, 0
	for range 400 {
		y, se := make([]float64, 5), make([]float64, 5)
		for i := range n {
			truth := 3 / n[i]
			se[i] = 0.05 / math.Sqrt(n[i]) / 5
			y[i] = truth + se[i]*rng.NormFloat64()
		}
		if r := compare.PowerLaw(n, y, se, 0); r.Resolved && r.Lo <= -1 && -1 <= r.Hi {
			hits++
		}
		for i := range n {
			y[i] = se[i] * rng.NormFloat64()
		}
		if compare.PowerLaw(n, y, se, 0).Resolved {
			noise++
		}
	}
	// Intervals widen when χ² is above its mean, so coverage is at least 95 %: binomial(400, .95) is above 365 with
	// probability 0.999.
	if hits < 365 {
		t.Errorf("the interval held the exponent %d times of 400", hits)
	}
	// χ² above 9 with one degree of freedom and the freedom of an exponent: about 1 %.
	if noise > 16 {
		t.Errorf("noise was taken for a power law %d times of 400", noise)
	}
	if r := compare.PowerLaw(n[:1], []float64{1}, []float64{0.1}, 0); r.Resolved {
		t.Error("one point gave a power law")
	}
}

// TestErrors: what cannot be compared is refused.
func TestErrors(t *testing.T) {
	a := &dmft.Trajectory{Time: []float64{0}, Loss: []float64{1}, F: dmft.NewArray(1, 2), FStderr: dmft.NewArray(1, 2)}
	b := &dmft.Trajectory{Width: 3, Replicas: 1, Time: []float64{0}, Loss: []float64{1}, LossStderr: []float64{0},
		F: dmft.NewArray(1, 3), FStderr: dmft.NewArray(1, 3), FReplicas: dmft.NewArray(1, 1, 3)}
	if _, err := compare.New(problem("tanh", 1), a, nil, compare.Options{}); err == nil {
		t.Error("no ensembles")
	}
	if _, err := compare.New(problem("tanh", 1), a, []*dmft.Trajectory{b}, compare.Options{}); err == nil {
		t.Error("different numbers of points")
	}
	b.F, b.FStderr, b.FReplicas = dmft.NewArray(1, 2), dmft.NewArray(1, 2), dmft.NewArray(1, 1, 2)
	if _, err := compare.New(problem("tanh", 1), a, []*dmft.Trajectory{b, b}, compare.Options{}); err == nil {
		t.Error("the same width twice")
	}
}

func ExamplePowerLaw() {
	n := []float64{64, 128, 256, 512}
	y := []float64{0.125, 0.0884, 0.0625, 0.0442}
	se := []float64{0.001, 0.001, 0.001, 0.001}
	r := compare.PowerLaw(n, y, se, 0)
	fmt.Printf("%.2f\n", r.Exponent)
	// Output: -0.50
}
