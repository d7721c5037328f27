package fluctuation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

func train(t *testing.T, p *dmft.Problem, s finite.Settings) *dmft.Trajectory {
	t.Helper()
	tr, err := finite.Train(ctx, p, s)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// agree fails when a measured over a predicted variance is further from one than 3.3 standard errors of both.
func agree(t *testing.T, what string, s Spread) {
	t.Helper()
	z := 2 * 1.96 * math.Log(s.Ratio) / math.Log(s.Hi/s.Lo)
	t.Logf("%s, %s, N = %d: %.3f [%.3f, %.3f]", what, s.What, s.Width, s.Ratio, s.Lo, s.Hi)
	if !(math.Abs(z) < 3.3) {
		t.Errorf("%s: N Var of %s over %d networks of width %d is %.3f of the predicted one, 95 %% interval [%.3f, "+
			"%.3f], %.1f standard errors off", what, s.What, s.Seeds, s.Width, s.Ratio, s.Lo, s.Hi, z)
	}
}

func (e Estimate) at(i int) Estimate { return Estimate{e.Value.At(i), e.Stderr.At(i)} }

// agreeKernels fails when the variance over an ensemble of all elements of a kernel, of which the standard errors are
// given, is further from the predicted one than 3.3 standard errors, as if all elements were one normal variable, with
// an allowance of 5/N for the next order.
func agreeKernels(t *testing.T, what string, tr *dmft.Trajectory, stderr dmft.Array, want Estimate) {
	t.Helper()
	v, w, d := 0., 0., 0.
	for i, x := range stderr.Data {
		v += x * x * float64(tr.Width*tr.Replicas)
		w += want.Value.Data[i]
		d += want.Stderr.Data[i]
	}
	z := math.Log(v/w) / math.Hypot(math.Hypot(math.Sqrt(2/float64(tr.Replicas-1)), d/w), 5/float64(tr.Width))
	t.Logf("%s, N = %d: %.3f", what, tr.Width, v/w)
	if !(math.Abs(z) < 3.3) {
		t.Errorf("%s: variance %.4f over networks of width %d, predicted %.4f ± %.4f, %.1f standard errors off", what,
			v, tr.Width, w, d, z)
	}
}

// TestEnsembles: variances over explicit networks against the prediction, over all times, training and test points, and
// those of the NTK at three times, within the errors of both: smooth and kinked activations from lazy to rich,
// momentum, predictions that are not centred. What is left of order 1/N is below the intervals of about 10 % (5 % in
// the extended tests, where it is smaller, too).
func TestEnsembles(t *testing.T) {
	widths, seeds, samples := []int{256}, 200, 4000
	if extended {
		widths, seeds, samples = []int{512, 2048}, 800, 8000
	}
	momentum := ode.Method{Kind: ode.Momentum, LearningRate: 0.03, Momentum: 0.7}
	for _, tc := range []struct {
		activation string
		gamma      float64
		method     ode.Method
		centred    bool
	}{
		{kernels.TanhName, 0.3, gd(0.1), true}, {kernels.TanhName, 1, gd(0.1), true}, {kernels.TanhName, 3, gd(0.1), true},
		{kernels.ReLUName, 0.3, gd(0.1), true}, {kernels.ReLUName, 1, gd(0.1), true}, {kernels.ReLUName, 3, gd(0.04), true},
		{kernels.TanhName, 1, momentum, true}, {kernels.ErfName, 2, gd(0.1), false},
	} {
		name := fmt.Sprintf("%s γ₀=%g %s centred %v", tc.activation, tc.gamma, tc.method.Kind, tc.centred)
		t.Run(name, func(t *testing.T) {
			p := twoLayer(tc.activation, tc.gamma, points(11, 3, 1, 5, 1), tc.method, 16)
			p.Training.Centred = tc.centred
			r := predict(t, p, Settings{Samples: samples, Seed: 3, Kernels: 3})
			for _, n := range widths {
				tr := train(t, p, finite.Settings{Width: n, Seeds: seeds, Seed: 3, Run: dmft.Run{Record: dmft.Record{Kernels: 3}}})
				for _, s := range r.Measure(tr) {
					agree(t, name, s)
				}
				for k, step := range r.KernelStep {
					agreeKernels(t, fmt.Sprintf("NTK at step %d", step), tr, tr.NTKStderr.At(k), r.NTKVariance.at(k))
				}
			}
		})
	}
}

// TestLeast: steps of 0.1 at γ₀ = 3 pass the edge of stability, where fluctuations grow at every step, N Var f from 0.2
// to thousands: the result says that widths of tens are not in the range of the expansion then, and that they are with
// smaller steps. The ensembles agree: their N Var f still grows with N.
func TestLeast(t *testing.T) {
	p := twoLayer(kernels.ReLUName, 3, points(11, 3, 1, 5, 1), gd(0.1), 16)
	if n, step := predict(t, p, Settings{Samples: 2000}).Least(); n < 50 || step < 8 {
		t.Errorf("beyond the edge of stability the expansion needs widths above %.3g, from step %d", n, step)
	}
	p.Training.Method.LearningRate = 0.04
	if n, step := predict(t, p, Settings{Samples: 2000}).Least(); n > 30 {
		t.Errorf("with small steps the expansion needs widths above %.3g at step %d", n, step)
	}
}

// TestOnePoint: one point, where quadrature makes the prediction exact, against many narrow networks: variances of f
// and of the NTK and the mean correction of f. The intervals are those of the ensemble; what the next order in 1/N adds
// is at most 1/N of the leading one times a number of order ten, which is allowed for.
func TestOnePoint(t *testing.T) {
	const steps, seeds = 14, 5000
	p := twoLayer(kernels.ErfName, 2, onePoint(), gd(0.1), steps)
	r := predict(t, p, Settings{Nodes: 90, Kernels: 3, Tolerance: 1e-9})
	for _, n := range []int{64, 256} {
		tr := train(t, p, finite.Settings{Width: n, Seeds: seeds, Seed: 7, Run: dmft.Run{Record: dmft.Record{Kernels: 3}}})
		width := float64(n)
		next := 10 / width
		for i, k := range []int{0, 7, steps} {
			kernel, wantKernel := tr.NTKStderr.Data[i]*tr.NTKStderr.Data[i]*seeds*width, r.NTKVariance.Value.Data[i]
			// The kurtosis of the NTK of a network is that of a χ² variable of N degrees or so.
			if math.Abs(kernel-wantKernel) > (3.5*math.Sqrt((2+12/width)/seeds)+next)*wantKernel {
				t.Errorf("N = %d, step %d: N Var NTK = %.4f, predicted %.4f", n, k, kernel, wantKernel)
			}
			if k == 0 { // centred: nothing but rounding
				continue
			}
			v, d := Variance(tr, tr.FReplicas, k)
			want := r.FVariance.Value.Data[k]
			if math.Abs(v-want) > 3.5*d+next*want {
				t.Errorf("N = %d, step %d: N Var f = %.4f ± %.4f, predicted %.4f", n, k, v, d, want)
			}
			bias, d := width*(tr.F.Data[k]-r.F.Value.Data[k]), width*tr.FStderr.Data[k]
			if b := r.FBias.Value.Data[k]; math.Abs(bias-b) > 3.5*d+next*math.Abs(b) {
				t.Errorf("N = %d, step %d: N bias of f = %.4f ± %.4f, predicted %.4f", n, k, bias, d, b)
			}
			bias, d = width*(tr.Loss[k]-p.Objective().Loss(false, r.F.Value.At(k).Data, nil)), width*tr.LossStderr[k]
			if b := r.LossBias.Value.Data[k]; math.Abs(bias-b) > 3.5*d+next*math.Abs(b) {
				t.Errorf("N = %d, step %d: N bias of the loss = %.4f ± %.4f, predicted %.4f", n, k, bias, d, b)
			}
		}
	}
}

// TestDeepEnsembles: MLPs and residual networks of depth 2 to 4 against ensembles: kernels at the start, and the
// training of lazy ones, γ₀ = 0.05.
func TestDeepEnsembles(t *testing.T) {
	width, seeds := 128, 150
	if extended {
		width, seeds = 512, 200
	}
	for _, tc := range []struct {
		kind       dmft.Kind
		depth      int
		activation string
		bias       float64
	}{{dmft.MLP, 2, kernels.ReLUName, 0}, {dmft.MLP, 3, kernels.TanhName, 0.5}, {dmft.ResNet, 4, kernels.TanhName, 0},
		{dmft.ResNet, 2, kernels.ReLUName, 0.3}} {
		name := fmt.Sprintf("%s depth %d %s", tc.kind, tc.depth, tc.activation)
		t.Run(name, func(t *testing.T) {
			p := network(tc.kind, tc.depth, kernels.Activation{Name: tc.activation}, points(2, 3, 1, 5, 1), 8)
			p.Richness, p.Network.Bias, p.Training.Method.LearningRate = 0.05, tc.bias, 0.05
			r, err := Lazy(ctx, p, Settings{Samples: 4000, Kernels: 1})
			if err != nil {
				t.Fatal(err)
			}
			tr := train(t, p, finite.Settings{Width: width, Seeds: seeds, Seed: 1,
				Run: dmft.Run{Record: dmft.Record{Kernels: 1}}})
			for _, s := range r.Measure(tr) {
				agree(t, name, s)
			}
			agreeKernels(t, "NTK", tr, tr.NTKStderr.At(0), r.NTKVariance.at(0))
			for l := range tc.depth {
				agreeKernels(t, fmt.Sprintf("Φ^%d", l+1), tr, tr.PhiStderr.At(0).At(l), r.PhiVariance.at(0).at(l))
				agreeKernels(t, fmt.Sprintf("G^%d", l+1), tr, tr.GStderr.At(0).At(l), r.GVariance.at(0).at(l))
			}
		})
	}
}

// TestKurtosis: the excess kurtosis of the output over explicit networks at the start. Given the features the output is
// Gaussian, so for one hidden layer 3 Var(Φ)/⟨Φ⟩² is exact at any width, and for linear networks of depth 2 it is 3((1
// + 2/N)² − 1).
func TestKurtosis(t *testing.T) {
	const n, seeds = 16, 60000
	rng := rand.New(rand.NewPCG(5, 5))
	kurtosis := func(depth int, phi func(float64) float64) (float64, float64) {
		two, four, eight := 0., 0., 0.
		h, next := make([]float64, n), make([]float64, n)
		for range seeds {
			for i := range h {
				h[i] = phi(rng.NormFloat64())
			}
			for range depth - 1 {
				for i := range next {
					next[i] = 0
					for _, x := range h {
						next[i] += rng.NormFloat64() * x / math.Sqrt(n)
					}
					next[i] = phi(next[i])
				}
				h, next = next, h
			}
			f := 0.
			for _, x := range h {
				f += rng.NormFloat64() * x
			}
			two, four, eight = two+f*f/seeds, four+f*f*f*f/seeds, eight+math.Pow(f, 8)/seeds
		}
		k := four / (two * two)
		return k - 3, math.Sqrt((eight/math.Pow(two, 4)-k*k)/seeds) + 2*k*math.Sqrt((k-1)/seeds)
	}
	for _, tc := range []struct {
		name  string
		a     kernels.Activation
		depth int
	}{
		{"linear", kernels.Activation{Name: kernels.IdentityName}, 1},
		{"relu", kernels.Activation{Name: kernels.ReLUName}, 1},
		{"erf", kernels.Activation{Name: kernels.ErfName}, 1},
		{"linear, depth 2", kernels.Activation{Name: kernels.IdentityName}, 2},
	} {
		nodes := 60
		if tc.depth > 1 {
			nodes = 4
		}
		want := start(t, network(dmft.MLP, tc.depth, tc.a, onePoint(), 1), Settings{Nodes: nodes}).Kurtosis.Value.Data[0] / n
		if tc.depth == 2 {
			want = 3 * (math.Pow(1+2./n, 2) - 1)
		}
		if got, d := kurtosis(tc.depth, tc.a.Value); math.Abs(got-want) > 3.5*d {
			t.Errorf("%s: excess kurtosis %.4f ± %.4f, predicted %.4f", tc.name, got, d, want)
		}
	}
}

// TestPlainSites: a block of S plain sites has the law of a network of width S, at any depth and time: its matrices are
// conditioned on all products as a matrix of S rows is. It is what finds a missing condition: with noise that is not
// orthogonal to the known directions the centred output of depth 2 after one step fluctuates 260 times as much at γ₀ =
// 1 and 1000 times at ½, and Wᵀ and W act as independent pieces.
func TestPlainSites(t *testing.T) {
	const reps, n = 200, 40
	for _, tc := range []struct {
		kind        dmft.Kind
		depth, step int
		gamma       float64
		centred     bool
	}{
		{dmft.MLP, 1, 6, 1, true}, {dmft.MLP, 2, 0, 1, false}, {dmft.MLP, 2, 1, 1, true}, {dmft.MLP, 2, 1, 0.5, true},
		{dmft.MLP, 3, 8, 1, true}, {dmft.MLP, 3, 8, 1, false},
		{dmft.ResNet, 4, 8, 1, true},
	} {
		p := network(tc.kind, tc.depth, kernels.Activation{Name: kernels.TanhName}, points(1, 3, 0, 6, 1), max(tc.step, 1))
		p.Training.Method.LearningRate, p.Richness, p.Training.Centred = 0.05, tc.gamma, tc.centred
		sites, err := dmft.Solve(ctx, p, dmft.Settings{Sampling: dmft.Plain, Samples: n * reps, Blocks: reps, Seed: 5,
			Tolerance: 1e-8})
		if err != nil {
			t.Fatal(err)
		}
		net := train(t, p, finite.Settings{Width: n, Seeds: reps, Seed: 3})
		a, da := Variance(sites, sites.FReplicas, tc.step)
		b, db := Variance(net, net.FReplicas, tc.step)
		v, d := a/b, a/b*math.Hypot(da/a, db/b)
		t.Logf("%s of depth %d, γ₀ = %g, step %d: sites fluctuate %.2f ± %.2f times as much as a network of as many "+
			"neurons", tc.kind, tc.depth, tc.gamma, tc.step, v, d)
		if math.Abs(v-1) > 3.3*d || d > 0.2 {
			t.Errorf("%s of depth %d, γ₀ = %g, step %d: sites fluctuate %.2f ± %.2f times as much as a network of as "+
				"many neurons", tc.kind, tc.depth, tc.gamma, tc.step, v, d)
		}
		x, dx, y, dy := sites.F.At(tc.step).Data, sites.FStderr.At(tc.step).Data, net.F.At(tc.step).Data,
			net.FStderr.At(tc.step).Data
		for i := range x { // the mean, with its correction of order 1/S
			if math.Abs(x[i]-y[i]) > 4*math.Hypot(dx[i], dy[i]) {
				t.Errorf("%s of depth %d, γ₀ = %g, step %d: f = %.4f ± %.4f over sites, %.4f ± %.4f over networks",
					tc.kind, tc.depth, tc.gamma, tc.step, x[i], dx[i], y[i], dy[i])
			}
		}
	}
}
