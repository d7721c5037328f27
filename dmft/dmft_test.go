package dmft_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/exact"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/internal/part/parttest"
	"github.com/seed39b58f2d/dmft/internal/random"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// extended says whether the slow versions of statistical tests run (DMFT_EXTENDED=1).
var extended = os.Getenv("DMFT_EXTENDED") != ""

var ctx = context.Background()

func act(name string) kernels.Activation {
	a := kernels.Activation{Name: name}
	switch name {
	case kernels.LeakyReLUName:
		a.Parameter = 0.2
	case kernels.QuadraticMixName:
		a.Parameter = 0.5
	case kernels.PolynomialName:
		a.Coefficients = []float64{0.1, 1, 0.2, -0.05}
	}
	return a
}

// gaussianData draws p training and pt test points of dimension d with c outputs of order one.
func gaussianData(seed uint64, p, pt, d, c int) dmft.Data {
	rng := rand.New(rand.NewPCG(seed, 99))
	fill := func(r, c int) *mat.Dense {
		m := mat.NewDense(r, c, nil)
		for i := range r {
			for j := range c {
				m.Set(i, j, rng.NormFloat64())
			}
		}
		return m
	}
	data := dmft.Data{Inputs: fill(p, d), Targets: fill(p, c)}
	if pt > 0 {
		data.TestInputs, data.TestTargets = fill(pt, d), fill(pt, c)
	}
	return data
}

func twoLayer(activation string, gamma float64, data dmft.Data, m ode.Method, steps int) *dmft.Problem {
	return &dmft.Problem{Data: data, Richness: gamma, Network: dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: act(activation)},
		Training: dmft.Training{Method: m, Steps: steps, Loss: dmft.Loss{Kind: dmft.MSE}}}
}

func gd(eta float64) ode.Method { return ode.Method{Kind: ode.GD, LearningRate: eta} }

func solve(t *testing.T, p *dmft.Problem, s dmft.Settings) *dmft.Trajectory {
	t.Helper()
	tr, err := dmft.Solve(ctx, p, s)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func train(t *testing.T, p *dmft.Problem, s finite.Settings) *dmft.Trajectory {
	t.Helper()
	tr, err := finite.Train(ctx, p, s)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func largest(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	m := 0.
	for i := range a {
		m = math.Max(m, math.Abs(a[i]-b[i]))
	}
	return m
}

var allKernels = dmft.Run{Record: dmft.Record{Kernels: math.MaxInt}}

// TestLinearIsExact: with moment-matched sites the theory of a two-layer linear network is its exact second-moment map,
// for any data, several outputs, test points, every optimiser, both ways of holding sites and any seed. 1e-10 is
// rounding accumulated over the run.
func TestLinearIsExact(t *testing.T) {
	for _, tc := range []struct {
		name        string
		method      ode.Method
		batch       int
		p, pt, d, c int
		mean        bool
	}{
		{"gd", gd(0.05), 0, 6, 3, 10, 1, false},
		{"gd, more points than inputs", gd(0.02), 0, 12, 5, 4, 1, false},
		{"gd, three outputs, mean loss", gd(0.3), 0, 6, 3, 10, 3, true},
		{"momentum, decay, cosine", ode.Method{Kind: ode.Momentum, LearningRate: 0.02, Momentum: 0.8, WeightDecay: 0.2, Schedule: ode.Schedule{Kind: ode.Cosine, Warmup: 3, Final: 0.1}}, 0, 6, 2, 8, 2, false},
		{"nesterov, decay", ode.Method{Kind: ode.Nesterov, LearningRate: 0.02, Momentum: 0.7, WeightDecay: 0.1}, 0, 5, 2, 8, 1, false},
		{"mini-batches", gd(0.05), 4, 6, 3, 10, 2, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data := gaussianData(7, tc.p, tc.pt, tc.d, tc.c)
			p := twoLayer("linear", 1.4, data, tc.method, 40)
			p.Training.Loss.Mean = tc.mean
			p.Training.Batch = dmft.Batch{Size: tc.batch, Seed: 5}
			joint := mat.NewDense(tc.p+tc.pt, tc.d, nil)
			joint.Stack(data.Inputs, data.TestInputs)
			lin := exact.Linear{Gram: kernels.Gram(joint), Targets: data.Targets, Richness: 1.4, Steps: 40, Momentum: tc.method.Momentum, Nesterov: tc.method.Kind == ode.Nesterov,
				WeightDecay: tc.method.WeightDecay, Rate: func(n int) float64 { return tc.method.LearningRate * tc.method.Schedule.Rate(n, 40) }}
			scale := 1.
			if tc.mean {
				scale = 1 / float64(tc.p)
			}
			lin.Weights = func(n int) []float64 {
				w := make([]float64, tc.p)
				if tc.batch == 0 {
					for i := range w {
						w[i] = scale
					}
					return w
				}
				// Shuffled once an epoch by the stream (seed, epoch); the last batch of an epoch is smaller.
				per := (tc.p + tc.batch - 1) / tc.batch
				perm := rand.New(rand.NewPCG(5, uint64(n/per))).Perm(tc.p)
				ids := perm[n%per*tc.batch : min((n%per+1)*tc.batch, tc.p)]
				for _, i := range ids {
					w[i] = 1 / float64(len(ids))
				}
				return w
			}
			want := lin.Solve()
			for _, space := range []dmft.Space{dmft.DataSpace, dmft.InputSpace} {
				for seed := range uint64(2) {
					got := solve(t, p, dmft.Settings{Samples: 200, Blocks: 2, Seed: seed, Space: space, Run: allKernels})
					for n := range want {
						for i := range tc.p + tc.pt {
							for k := range tc.c {
								f := got.F.At(n).Data
								at := i
								if i >= tc.p {
									f, at = got.FTest.At(n).Data, i-tc.p
								}
								if d := math.Abs(f[at*tc.c+k] - want[n].F.At(i, k)); !(d < 1e-10) {
									t.Fatalf("%s space, seed %d, step %d, point %d: f is off by %g", space, seed, n, i, d)
								}
							}
						}
						if d := largest(got.NTK.At(n).Data, want[n].NTK.RawMatrix().Data); !(d < 1e-9) {
							t.Fatalf("%s space, seed %d, step %d: NTK is off by %g", space, seed, n, d)
						}
					}
				}
			}
		})
	}
}

// TestWhitenedFlow: adaptive Runge–Kutta reproduces the closed form for whitened data to 1e-8, for small and large
// richness.
func TestWhitenedFlow(t *testing.T) {
	const p = 5
	x := mat.NewDense(p, p, nil)
	y := mat.NewDense(p, 1, []float64{1, -2, 0.5, 1.5, 0})
	norm := math.Sqrt(1 + 4 + .25 + 2.25)
	for i := range p {
		x.Set(i, i, math.Sqrt(p)) // Kx = 1
	}
	for _, gamma := range []float64{0.1, 1, 5} {
		pr := twoLayer("linear", gamma, dmft.Data{Inputs: x, Targets: y}, ode.Method{Kind: ode.RK45, LearningRate: 0.1, Tolerance: 1e-11}, 20)
		tr := solve(t, pr, dmft.Settings{Samples: 64, Blocks: 2, Run: allKernels})
		for n, now := range tr.Time {
			f, ntk := exact.WhitenedFlow(gamma, norm, now)
			for i := range p {
				if d := math.Abs(tr.F.At(n).Data[i] - f*y.At(i, 0)/norm); !(d < 1e-8) {
					t.Fatalf("γ₀ = %g, t = %g: f is off by %g", gamma, now, d)
				}
			}
			k := 0.
			for i := range p {
				for j := range p {
					k += y.At(i, 0) * tr.NTK.At(n).Data[i*p+j] * y.At(j, 0) / (norm * norm)
				}
			}
			if math.Abs(k-ntk) > 1e-7 {
				t.Fatalf("γ₀ = %g, t = %g: NTK along the target %g, want %g", gamma, now, k, ntk)
			}
		}
	}
}

// TestFlowOrders: on the network itself every integrator converges to the flow at its declared order p. The error
// C·h^p(1 + O(h)) has the slope p + O(h) between neighbouring steps, which is extrapolated to h = 0 from the last two
// of three.
func TestFlowOrders(t *testing.T) {
	data := gaussianData(3, 4, 0, 6, 1)
	// All of f at 20 times: the error at one of them may pass through zero.
	run := func(m ode.Method, steps int) []float64 {
		m.LearningRate = 2 / float64(steps)
		tr := solve(t, twoLayer("tanh", 2, data, m, steps), dmft.Settings{Samples: 96, Blocks: 1})
		var f []float64
		for i := range 20 {
			f = append(f, tr.F.At((i+1)*steps/20).Data...)
		}
		return f
	}
	ref := run(ode.Method{Kind: ode.RK45, Tolerance: 1e-13}, 40)
	for _, kind := range []ode.Kind{ode.GD, ode.AB2, ode.AB3, ode.AB4, ode.RK4} {
		var x, y []float64
		for _, steps := range []int{20, 40, 80, 160} {
			if steps *= 4; kind != ode.RK4 {
				steps *= 8 // asymptotic only for smaller steps
			}
			x, y = append(x, math.Log(1/float64(steps))), append(y, math.Log(distance(run(ode.Method{Kind: kind}, steps), ref)))
		}
		local := func(i int) float64 { return slope(x[i:i+2], y[i:i+2]) }
		got, want := 2*local(2)-local(1), float64(ode.Method{Kind: kind}.Order())
		if math.Abs(got-want) > 0.1 {
			t.Errorf("%s: order %.3f from %.3f, %.3f and %.3f, want %g", kind, got, local(0), local(1), local(2), want)
		}
	}
}

func slope(x, y []float64) float64 {
	var mx, my, sxy, sxx float64
	for i := range x {
		mx, my = mx+x[i]/float64(len(x)), my+y[i]/float64(len(x))
	}
	for i := range x {
		sxy, sxx = sxy+(x[i]-mx)*(y[i]-my), sxx+(x[i]-mx)*(x[i]-mx)
	}
	return sxy / sxx
}

// TestLazyLimit: as γ₀ → 0 the theory approaches the static NTK with an error that falls as γ₀². For the linear network
// the limit is the lazy method itself; for others it is the static-kernel solution with the kernel of the same sites,
// whose sampling error is then common to both. (For relu the sites that cross their kink add noise of order √(γ₀/S) to
// the γ₀² of the limit; TestLazyMethod compares it within its error bars.)
func TestLazyLimit(t *testing.T) {
	data := gaussianData(5, 5, 3, 8, 1)
	gammas := []float64{0.01, 0.02, 0.04, 0.08}
	for _, name := range []string{"linear", "tanh", "gelu", "softplus", "erf", "quadratic-mix"} {
		var x, y []float64
		for _, g := range gammas {
			p := twoLayer(name, g, data, gd(0.05), 60)
			tr := solve(t, p, dmft.Settings{Samples: 400, Blocks: 1, Seed: 2, Run: dmft.Run{Record: dmft.Record{Kernels: 1}}})
			k := mat.NewDense(5, 5, append([]float64(nil), tr.NTK.At(0).Data...))
			want := exact.Lazy(k, data.Targets, 0.05, 60, false)
			x, y = append(x, math.Log(g)), append(y, math.Log(largest(tr.F.At(60).Data, want.RawMatrix().Data)))
		}
		// The next order is γ₀⁴ (the theory is even in γ₀); at these γ₀ it moves the fitted slope by less than 0.1.
		if s := slope(x, y); math.Abs(s-2) > 0.1 {
			t.Errorf("%s: error ∝ γ₀^%.3f, want 2", name, s)
		}
	}
	lazy := solve(t, twoLayer("linear", 1, data, gd(0.05), 60), dmft.Settings{Method: dmft.Lazy})
	rich := solve(t, twoLayer("linear", 1e-4, data, gd(0.05), 60), dmft.Settings{Samples: 400, Blocks: 1})
	if d := math.Max(largest(lazy.F.Data, rich.F.Data), largest(lazy.FTest.Data, rich.FTest.Data)); d > 1e-7 {
		t.Errorf("linear, γ₀ = 1e-4: %g from the lazy method", d)
	}
}

// TestLazyMethod: against the eigenvalue solution, on training and test points, for gradient descent and flow; with
// momentum and decay against the full theory of a homogeneous activation at tiny richness.
func TestLazyMethod(t *testing.T) {
	data := gaussianData(6, 5, 3, 8, 2)
	for _, flow := range []bool{false, true} {
		m := gd(0.05)
		if flow {
			m = ode.Method{Kind: ode.RK45, LearningRate: 0.05, Tolerance: 1e-12}
		}
		p := twoLayer("tanh", 1, data, m, 50)
		tr := solve(t, p, dmft.Settings{Method: dmft.Lazy})
		joint := mat.NewDense(8, 8, nil)
		joint.Stack(data.Inputs, data.TestInputs)
		ker, err := kernels.NTK(kernels.Architecture{Depth: 1, Activation: p.Network.Activation}, kernels.Gram(joint))
		if err != nil {
			t.Fatal(err)
		}
		k := mat.NewDense(8, 5, nil)
		for i := range 8 {
			for j := range 5 {
				k.Set(i, j, ker.NTK.At(i, j))
			}
		}
		want := exact.Lazy(k, data.Targets, 0.05, 50, flow)
		got := append(append([]float64(nil), tr.F.At(50).Data...), tr.FTest.At(50).Data...)
		if d := largest(got, want.RawMatrix().Data); d > 1e-9 {
			t.Errorf("flow %v: off by %g", flow, d)
		}
	}
	m := ode.Method{Kind: ode.Momentum, LearningRate: 0.03, Momentum: 0.6, WeightDecay: 0.4}
	lazy := solve(t, twoLayer("relu", 1, data, m, 40), dmft.Settings{Method: dmft.Lazy})
	full := solve(t, twoLayer("relu", 1e-3, data, m, 40), dmft.Settings{Samples: 64000, Blocks: 16, Seed: 1})
	worst := 0.
	for i := range full.F.Data {
		if se := full.FStderr.Data[i]; se > 0 {
			worst = math.Max(worst, math.Abs(full.F.Data[i]-lazy.F.Data[i])/se)
		}
	}
	// 16 blocks: Student's t with 15 degrees of freedom, ten points strongly correlated in time; 5 standard errors have
	// probability 1e-4 each.
	if worst > 5 {
		t.Errorf("lazy relu with momentum and decay is %.1f standard errors from the full theory at γ₀ = 1e-3", worst)
	}
	if _, err := dmft.Solve(ctx, twoLayer("tanh", 1, data, m, 40), dmft.Settings{Method: dmft.Lazy}); err == nil || !strings.Contains(err.Error(), "weight decay") {
		t.Errorf("lazy tanh with weight decay: %v", err)
	}
}

// TestAgainstNaive: the batched trainer is the plain-loop network to rounding, for every activation, loss, optimiser,
// way of holding sites, and depth.
func TestAgainstNaive(t *testing.T) {
	type variant struct {
		name    string
		act     string
		kind    dmft.Kind
		depth   int
		loss    dmft.LossKind
		mean    bool
		c       int
		centred bool
		method  ode.Method
		batch   int
	}
	var vs []variant
	for _, a := range kernels.Names() {
		vs = append(vs, variant{a, a, dmft.TwoLayer, 1, dmft.MSE, false, 1, false, gd(0.05), 0})
	}
	vs = append(vs,
		variant{"logistic", "tanh", dmft.TwoLayer, 1, dmft.Logistic, true, 1, true, gd(0.5), 0},
		variant{"cross-entropy", "relu", dmft.TwoLayer, 1, dmft.CrossEntropy, false, 3, false, ode.Method{Kind: ode.Momentum, LearningRate: 0.05, Momentum: 0.9, WeightDecay: 0.1}, 0},
		variant{"outputs", "gelu", dmft.TwoLayer, 1, dmft.MSE, true, 2, true, ode.Method{Kind: ode.Nesterov, LearningRate: 0.1, Momentum: 0.8, Schedule: ode.Schedule{Kind: ode.StepDecay, Every: 4, Factor: 0.5}}, 0},
		variant{"batches", "erf", dmft.TwoLayer, 1, dmft.MSE, true, 1, false, gd(0.1), 2},
		variant{"mlp", "tanh", dmft.MLP, 3, dmft.MSE, false, 2, false, gd(0.03), 0},
		variant{"biases", "erf", dmft.TwoLayer, 1, dmft.MSE, false, 1, false, gd(0.05), 0},
		variant{"mlp with biases", "gelu", dmft.MLP, 3, dmft.MSE, false, 2, true, ode.Method{Kind: ode.Momentum, LearningRate: 0.02, Momentum: 0.5, WeightDecay: 0.2}, 0},
		variant{"resnet with biases", "tanh", dmft.ResNet, 3, dmft.MSE, false, 1, false, ode.Method{Kind: ode.Nesterov, LearningRate: 0.02, Momentum: 0.5}, 0},
		variant{"resnet", "relu", dmft.ResNet, 4, dmft.MSE, true, 1, true, ode.Method{Kind: ode.Momentum, LearningRate: 0.05, Momentum: 0.5, WeightDecay: 0.2}, 0},
	)
	const p, pt, d, n, steps = 5, 2, 4, 9, 8
	for _, v := range vs {
		data := gaussianData(11, p, pt, d, v.c)
		for i := range p {
			row := data.Targets.RawRowView(i)
			for k := range row {
				switch v.loss {
				case dmft.Logistic:
					row[k] = float64(2*(i%2) - 1)
				case dmft.CrossEntropy:
					row[k] = 0
					if i%v.c == k {
						row[k] = 1
					}
				}
			}
		}
		if v.loss != dmft.MSE {
			data.TestTargets = mat.DenseCopyOf(data.Targets.Slice(0, pt, 0, v.c))
		}
		pr := &dmft.Problem{Data: data, Richness: 1.2, Network: dmft.Network{Kind: v.kind, Depth: v.depth, Activation: act(v.act), Branch: dmft.Branch{Beta: 1.5, Exponent: 0.5}},
			Training: dmft.Training{Method: v.method, Steps: steps, Loss: dmft.Loss{Kind: v.loss, Mean: v.mean}, Centred: v.centred, Batch: dmft.Batch{Size: v.batch, Seed: 3}}}
		if strings.Contains(v.name, "biases") {
			pr.Network.Bias = 0.7
		}
		const seeds = 3
		for _, space := range []dmft.Space{dmft.DataSpace, dmft.InputSpace} {
			for _, prec := range []finite.Precision{finite.Float64, finite.Float32} {
				got := train(t, pr, finite.Settings{Width: n, Seeds: seeds, Seed: 21, Space: space, Precision: prec})
				tol := 1e-12
				if prec == finite.Float32 {
					tol = 2e-5 // unit roundoff 6e-8, accumulated over sums and steps
				}
				for seed := range seeds {
					want := naive(pr, n, seed, 21)
					f, ft := got.FReplicas.At(seed), got.FTestReplicas.At(seed)
					for s := range steps + 1 {
						for i := range p + pt {
							for k := range v.c {
								var x float64
								if i < p {
									x = f.At(s).Data[i*v.c+k]
								} else {
									x = ft.At(s).Data[(i-p)*v.c+k]
								}
								if e := math.Abs(x - want[s][i][k]); !(e < tol*math.Max(1, math.Abs(want[s][i][k]))) {
									t.Fatalf("%s, %s, %s space: seed %d step %d point %d output %d is %g, plain loops give %g", v.name, prec, space, seed, s, i, k, x, want[s][i][k])
								}
							}
						}
					}
				}
			}
		}
	}
}

// naive trains the network of one seed in plain loops from the same random numbers as package finite.
func naive(p *dmft.Problem, n, seed int, root uint64) [][][]float64 {
	stream := func(layer int) *random.Stream {
		return random.New(root, uint64(n)<<40|uint64(seed)<<12|uint64(layer))
	}
	matrix := func(rng *random.Stream, r, c int) [][]float64 {
		m := make([][]float64, r)
		for i := range m {
			m[i] = make([]float64, c)
			for j := range m[i] {
				m[i][j] = rng.NormFloat64()
			}
		}
		return m
	}
	rows := func(m mat.Matrix) (out [][]float64) {
		r, c := m.Dims()
		for i := range r {
			out = append(out, nil)
			for j := range c {
				out[i] = append(out[i], m.At(i, j))
			}
		}
		return out
	}
	_, d := p.Data.Inputs.Dims()
	_, c := p.Data.Targets.Dims()
	rng := stream(0)
	a := matrix(rng, n, c)
	var w [][][]float64
	var biases [][]float64
	column := func(rng *random.Stream) (b []float64) {
		for range n {
			b = append(b, rng.NormFloat64())
		}
		return b
	}
	var w0 [][]float64
	if p.Network.Bias == 0 {
		w0 = matrix(rng, n, d)
	} else { // the bias is the weight of one more input
		w0 = matrix(rng, n, d+1)
		biases = append(biases, nil)
		for i := range w0 {
			biases[0] = append(biases[0], w0[i][d])
			w0[i] = w0[i][:d]
		}
	}
	for l := 1; l < p.Network.Depth; l++ {
		rng := stream(l)
		w = append(w, matrix(rng, n, n))
		if p.Network.Bias > 0 {
			biases = append(biases, column(rng))
		}
	}
	nn := exact.Naive{Phi: p.Network.Activation.Value, DPhi: p.Network.Activation.Derivative, B: 1, Bias: p.Network.Bias, Biases: biases, X: append(rows(p.Data.Inputs), rows(p.Data.TestInputs)...), Y: rows(p.Data.Targets),
		Richness: p.Richness, Centred: p.Training.Centred, Momentum: p.Training.Method.Momentum, Nesterov: p.Training.Method.Kind == ode.Nesterov, WeightDecay: p.Training.Method.WeightDecay, Steps: p.Training.Steps,
		Rate: func(s int) float64 {
			return p.Training.Method.LearningRate * p.Training.Method.Schedule.Rate(s, p.Training.Steps)
		}}
	if p.Network.Kind == dmft.ResNet {
		nn.Skip, nn.B = 1, p.Network.Branch.Beta*math.Pow(float64(p.Network.Depth), -p.Network.Branch.Exponent)
	}
	nn.Delta = func(step int, f, y, delta [][]float64) {
		in := make([]bool, len(y))
		count := 0
		size := p.Training.Batch.Size
		if size == 0 {
			size = len(y)
		}
		per := (len(y) + size - 1) / size
		perm := rand.New(rand.NewPCG(p.Training.Batch.Seed, uint64(step/per))).Perm(len(y))
		if size == len(y) {
			for i := range perm {
				perm[i] = i
			}
		}
		for _, i := range perm[step%per*size : min((step%per+1)*size, len(y))] {
			in[i] = true
			count++
		}
		for i := range y {
			if !in[i] {
				continue
			}
			z := 0.
			for k := range y[i] {
				z += math.Exp(f[i][k])
			}
			for k := range y[i] {
				switch p.Training.Loss.Kind {
				case dmft.MSE:
					delta[i][k] = y[i][k] - f[i][k]
				case dmft.Logistic:
					delta[i][k] = y[i][k] / (1 + math.Exp(y[i][k]*f[i][k]))
				case dmft.CrossEntropy:
					delta[i][k] = y[i][k] - math.Exp(f[i][k])/z
				}
				if p.Training.Loss.Mean {
					delta[i][k] /= float64(count)
				}
			}
		}
	}
	return nn.Train(w0, w, a)
}

// TestReadoutBalance: in the flow ⟨w²⟩(t) = 1 + 2γ₀² ∫ Σ_μ Δ_μ f_μ for any activation and any number of sites: an
// identity of the equations. The integral is Simpson's rule over outputs, whose error (h⁴ f⁗) is below 1e-6 here.
func TestReadoutBalance(t *testing.T) {
	data := gaussianData(8, 4, 0, 6, 1)
	for _, name := range kernels.Names() {
		const steps, h = 400, 0.005
		m := ode.Method{Kind: ode.RK45, LearningRate: h, Tolerance: 1e-10}
		if act(name).Homogeneous() { // the kinks of relu cost an adaptive method dear
			m = ode.Method{Kind: ode.RK4, LearningRate: h}
		}
		p := twoLayer(name, 1.5, data, m, steps)
		tr := solve(t, p, dmft.Settings{Samples: 96, Blocks: 1})
		sum := 0.
		for n := 0; n <= steps; n++ {
			v := 0.
			for i, f := range tr.F.At(n).Data {
				v += (data.Targets.At(i, 0) - f) * f
			}
			w := 2.
			if n%2 == 1 {
				w = 4
			}
			if n == 0 || n == steps {
				w = 1
			}
			sum += w * v * h / 3
		}
		tol := 1e-6
		if m.Kind == ode.RK4 && name != "linear" {
			tol = 1e-4 // a site that crosses its kink in a step is wrong by O(h²) there
		}
		if d := math.Abs(tr.ReadoutNorm[steps] - tr.ReadoutNorm[0] - 2*1.5*1.5*sum); d > tol {
			t.Errorf("%s: ⟨w²⟩ grew by %g, the balance says %g", name, tr.ReadoutNorm[steps]-tr.ReadoutNorm[0], 2*1.5*1.5*sum)
		}
	}
}

// TestNTKPredictsTheStep: f(t+1) − f(t) = ηK(t)Δ(t) + O(η²), for several outputs, depths and architectures; K is
// symmetric and positive semi-definite.
func TestNTKPredictsTheStep(t *testing.T) {
	for _, net := range []dmft.Network{
		{Kind: dmft.TwoLayer, Depth: 1, Activation: act("gelu")},
		{Kind: dmft.MLP, Depth: 3, Activation: act("tanh")},
		{Kind: dmft.ResNet, Depth: 3, Activation: act("softplus"), Branch: dmft.Branch{Beta: 0.7, Exponent: 0.5}},
	} {
		data := gaussianData(9, 4, 0, 5, 2)
		var x, y []float64
		for _, eta := range []float64{1e-2, 5e-3, 2.5e-3, 1.25e-3} {
			p := &dmft.Problem{Data: data, Richness: 0.8, Network: net, Training: dmft.Training{Method: gd(eta), Steps: 1, Loss: dmft.Loss{Kind: dmft.MSE}}}
			tr := train(t, p, finite.Settings{Width: 12, Seeds: 1, Seed: 4, Run: allKernels})
			k := tr.NTK.At(0).Data
			worst := 0.
			for i := range 8 {
				pred := 0.
				for j := range 8 {
					pred += eta * k[i*8+j] * (data.Targets.RawMatrix().Data[j] - tr.F.At(0).Data[j])
					if k[i*8+j] != k[j*8+i] {
						t.Fatalf("%s: NTK is not symmetric", net.Kind)
					}
				}
				worst = math.Max(worst, math.Abs(tr.F.At(1).Data[i]-tr.F.At(0).Data[i]-pred))
			}
			var eig mat.EigenSym
			if !eig.Factorize(mat.NewSymDense(8, append([]float64(nil), k...)), false) || eig.Values(nil)[0] < -1e-10 {
				t.Fatalf("%s: NTK eigenvalues %v", net.Kind, eig.Values(nil))
			}
			x, y = append(x, math.Log(eta)), append(y, math.Log(worst))
		}
		if s := slope(x, y); math.Abs(s-2) > 0.1 {
			t.Errorf("%s: the NTK misses the step by η^%.2f, want η²", net.Kind, s)
		}
	}
}

// TestReference: the theory of a two-layer ReLU network against an independent implementation's theory and ensemble.
func TestReference(t *testing.T) {
	z, err := npy.ReadNPZ("../testdata/reference/two-layer-relu.npz")
	if err != nil {
		t.Fatal(err)
	}
	dense := func(name string) *mat.Dense {
		return mat.NewDense(z[name].Shape[0], z[name].Shape[1], z[name].Data)
	}
	p := twoLayer("relu", 3, dmft.Data{Inputs: dense("x"), Targets: dense("y"), TestInputs: dense("xt"), TestTargets: dense("yt")}, gd(0.06), 40)
	tr := solve(t, p, dmft.Settings{Samples: 32000, Blocks: 32, Seed: 1})
	for name, got := range map[string][2][]float64{"f": {tr.F.Data, tr.FStderr.Data}, "ft": {tr.FTest.Data, tr.FTestStderr.Data}} {
		checkWithin(t, name+" against the ensemble", got[0], got[1], z[name+"_sim"].Data, z[name+"_sim_se"].Data, 4.5)
	}
	checkWithin(t, "f against the theory", tr.F.Data, tr.FStderr.Data, z["f_theory"].Data, z["f_theory_se"].Data, 4.5)
}

// checkWithin compares two estimates with standard errors: the root mean square of z must be near one or below, and no
// |z| above limit. The z are strongly correlated in time, so their mean square scatters: 2 in the root is far outside.
func checkWithin(t *testing.T, what string, a, sa, b, sb []float64, limit float64) {
	t.Helper()
	worst, sum, n := 0., 0., 0
	for i := range a {
		se := math.Hypot(sa[i], sb[i])
		if se < 1e-12 {
			if math.Abs(a[i]-b[i]) > 1e-9 {
				t.Errorf("%s: element %d differs by %g without any error bar", what, i, a[i]-b[i])
			}
			continue
		}
		q := math.Abs(a[i]-b[i]) / se
		worst, sum, n = math.Max(worst, q), sum+q*q, n+1
	}
	if r := math.Sqrt(sum / float64(max(n, 1))); r > 2 || worst > limit {
		t.Errorf("%s: root mean square of z %.2f, largest %.2f", what, r, worst)
	}
}

// TestEnsembles: the theory lies inside 3 combined standard errors of finite ensembles, lazy to rich, for smooth and
// kinked activations and all losses. Ensembles of two widths are extrapolated in 1/N, which removes the finite-width
// bias of order 1/N.
func TestEnsembles(t *testing.T) {
	seeds, n1 := 64, 128
	if extended {
		seeds, n1 = 512, 256
	}
	data := gaussianData(12, 6, 4, 10, 1)
	onehot := gaussianData(12, 6, 4, 10, 3)
	for i := range 10 {
		row := make([]float64, 3)
		row[i%3] = 1
		if i < 6 {
			onehot.Targets.SetRow(i, row)
		} else {
			onehot.TestTargets.SetRow(i-6, row)
		}
	}
	type task struct {
		act    string
		gamma  float64
		loss   dmft.Loss
		data   dmft.Data
		method ode.Method
	}
	var tasks []task
	for _, a := range []string{"tanh", "relu", "gelu", "erf", "softplus"} {
		for _, g := range []float64{0.2, 1, 4} {
			tasks = append(tasks, task{a, g, dmft.Loss{Kind: dmft.MSE}, data, gd(0.05)})
		}
	}
	tasks = append(tasks,
		task{"tanh", 2, dmft.Loss{Kind: dmft.CrossEntropy, Mean: true}, onehot, gd(1)},
		task{"leaky-relu", 1, dmft.Loss{Kind: dmft.MSE, Mean: true}, data, ode.Method{Kind: ode.Momentum, LearningRate: 0.1, Momentum: 0.8, WeightDecay: 0.05}})
	for _, k := range tasks {
		p := twoLayer(k.act, k.gamma, k.data, k.method, 30)
		p.Training.Loss = k.loss
		p.Training.Centred = true
		th := solve(t, p, dmft.Settings{Samples: 16000, Blocks: 32, Seed: 3})
		a := train(t, p, finite.Settings{Width: n1, Seeds: seeds, Seed: 5})
		b := train(t, p, finite.Settings{Width: 4 * n1, Seeds: seeds, Seed: 5})
		mix := func(x, y dmft.Array) []float64 {
			out := make([]float64, len(x.Data))
			for i := range out {
				out[i] = (4*y.Data[i] - x.Data[i]) / 3
			}
			return out
		}
		se := func(x, y dmft.Array) []float64 {
			out := make([]float64, len(x.Data))
			for i := range out {
				out[i] = math.Hypot(4*y.Data[i], x.Data[i]) / 3
			}
			return out
		}
		name := fmt.Sprintf("%s, γ₀ = %g, %s", k.act, k.gamma, k.loss.Kind)
		// About 30·6 correlated values with 32 and 64 samples behind their error bars: 4.5 is where one of them is at
		// 1e-3.
		checkWithin(t, name+", training points", th.F.Data, th.FStderr.Data, mix(a.F, b.F), se(a.FStderr, b.FStderr), 4.5)
		checkWithin(t, name+", test points", th.FTest.Data, th.FTestStderr.Data, mix(a.FTest, b.FTest), se(a.FTestStderr, b.FTestStderr), 4.5)
	}
}

// TestBlocksAreUnbiased: halving the sites of a block does not move the mean by more than the error bars, matched or
// plain in both ways of holding sites; matched sampling has the smaller error, by the factor it is there for.
func TestSampling(t *testing.T) {
	data := gaussianData(13, 5, 0, 8, 1)
	for _, name := range []string{"tanh", "relu", "softplus"} {
		p := twoLayer(name, 1, data, gd(0.05), 30)
		small := solve(t, p, dmft.Settings{Samples: 64000, Blocks: 320, Seed: 1})
		large := solve(t, p, dmft.Settings{Samples: 64000, Blocks: 40, Seed: 2})
		checkWithin(t, name+": blocks of 200 and of 1600 sites", small.F.Data, small.FStderr.Data, large.F.Data, large.FStderr.Data, 4.5)
		plain := solve(t, p, dmft.Settings{Samples: 64000, Blocks: 40, Seed: 2, Sampling: dmft.Plain})
		checkWithin(t, name+": matched and plain", large.F.Data, large.FStderr.Data, plain.F.Data, plain.FStderr.Data, 4.5)
		ratio := norm(plain.FStderr.Data) / norm(large.FStderr.Data)
		// The ratio of two standard errors from 40 blocks each scatters by 16 %; 1.5 is three of that below the two
		// measured here.
		if ratio < 1.5 {
			t.Errorf("%s: plain sampling has only %.2f times the error of matched sampling", name, ratio)
		}
	}
	// γ₀ → 0: matched sampling does not blow up, plain sampling does as 1/γ₀ (f(0) is not zero in a plain sample).
	p := twoLayer("relu", 0.01, data, gd(0.05), 30)
	m, q := solve(t, p, dmft.Settings{Seed: 1}), solve(t, p, dmft.Settings{Seed: 1, Sampling: dmft.Plain})
	if norm(m.F.At(0).Data) > 1e-10 || norm(q.F.At(0).Data) < 0.1 {
		t.Errorf("f(0): matched %g, plain %g", norm(m.F.At(0).Data), norm(q.F.At(0).Data))
	}
}

func norm(x []float64) float64 {
	s := 0.
	for _, v := range x {
		s += v * v
	}
	return math.Sqrt(s)
}

// distance is the Euclidean one.
func distance(a, b []float64) float64 {
	d := make([]float64, len(a))
	for i := range a {
		d[i] = a[i] - b[i]
	}
	return norm(d)
}

// TestSampleError: the error bar falls as S^{-1/2} and describes the scatter over seeds.
func TestSampleError(t *testing.T) {
	if !extended {
		t.Skip("slow; in the extended checks")
	}
	p := twoLayer("tanh", 1, gaussianData(14, 4, 0, 6, 1), gd(0.05), 20)
	var x, y []float64
	for _, s := range []int{4000, 16000, 64000} {
		tr := solve(t, p, dmft.Settings{Samples: s, Seed: 1})
		x, y = append(x, math.Log(float64(s))), append(y, math.Log(norm(tr.FStderr.Data)))
	}
	// Standard errors from 8, 32, 128 blocks scatter by 27, 13, 6 %: the slope by 0.1.
	if s := slope(x, y); math.Abs(s+0.5) > 0.3 {
		t.Errorf("error bars fall as S^%.2f, want S^-0.5", s)
	}
	// 95 % intervals (Student's t, 7 degrees of freedom) of the last f cover the reference.
	ref := solve(t, p, dmft.Settings{Samples: 400000, Seed: 77})
	hits := 0
	for seed := range uint64(100) {
		tr := solve(t, p, dmft.Settings{Samples: 2000, Blocks: 8, Seed: 1000 + seed})
		if math.Abs(tr.F.At(20).Data[0]-ref.F.At(20).Data[0]) < 2.365*tr.FStderr.At(20).Data[0] {
			hits++
		}
	}
	// Binomial(100, 0.95) is between 88 and 100 with probability 0.998.
	if hits < 88 {
		t.Errorf("95 %% intervals covered the reference %d times of 100", hits)
	}
}

// TestSparse: a sparse input matrix gives the dense result, in both spaces, for theory and simulation.
func TestSparse(t *testing.T) {
	data := gaussianData(15, 8, 4, 12, 2)
	for _, m := range []mat.Matrix{data.Inputs, data.TestInputs} {
		d := m.(*mat.Dense)
		d.Apply(func(i, j int, v float64) float64 {
			if (i+2*j)%4 != 0 {
				return 0
			}
			return v
		}, d)
	}
	csr := func(m mat.Matrix) *sparse.CSR {
		r, c := m.Dims()
		d := sparse.NewDOK(r, c)
		for i := range r {
			for j := range c {
				if v := m.At(i, j); v != 0 {
					d.Set(i, j, v)
				}
			}
		}
		return d.ToCSR()
	}
	sp := dmft.Data{Inputs: csr(data.Inputs), Targets: data.Targets, TestInputs: csr(data.TestInputs), TestTargets: data.TestTargets}
	for _, space := range []dmft.Space{dmft.DataSpace, dmft.InputSpace} {
		a := train(t, twoLayer("tanh", 1, data, gd(0.05), 10), finite.Settings{Width: 20, Seeds: 3, Seed: 1, Space: space, Run: allKernels})
		b := train(t, twoLayer("tanh", 1, sp, gd(0.05), 10), finite.Settings{Width: 20, Seeds: 3, Seed: 1, Space: space, Run: allKernels})
		if d := math.Max(largest(a.FReplicas.Data, b.FReplicas.Data), largest(a.NTK.Data, b.NTK.Data)); d > 1e-12 {
			t.Errorf("%s space: sparse and dense networks differ by %g", space, d)
		}
		x := solve(t, twoLayer("tanh", 1, data, gd(0.05), 10), dmft.Settings{Samples: 400, Space: space})
		y := solve(t, twoLayer("tanh", 1, sp, gd(0.05), 10), dmft.Settings{Samples: 400, Space: space})
		if d := largest(x.FTest.Data, y.FTest.Data); d > 1e-12 {
			t.Errorf("%s space: sparse and dense theory differ by %g", space, d)
		}
	}
}

// TestSpacesAgree: the two ways of holding a site are the same theory to rounding when inputs are not more than points.
func TestSpacesAgree(t *testing.T) {
	p := twoLayer("gelu", 2, gaussianData(16, 12, 5, 7, 1), ode.Method{Kind: ode.Momentum, LearningRate: 0.02, Momentum: 0.5, WeightDecay: 0.1}, 30)
	a := solve(t, p, dmft.Settings{Samples: 800, Seed: 4, Space: dmft.DataSpace, Run: allKernels})
	b := solve(t, p, dmft.Settings{Samples: 800, Seed: 4, Space: dmft.InputSpace, Run: allKernels})
	if d := math.Max(largest(a.FTest.Data, b.FTest.Data), largest(a.NTK.Data, b.NTK.Data)); d > 1e-10 {
		t.Errorf("data and input space differ by %g", d)
	}
}

// TestSymmetries: reordering samples permutes results; a rotation of inputs leaves them alone (up to sampling, none for
// linear networks).
func TestSymmetries(t *testing.T) {
	data := gaussianData(17, 6, 0, 4, 1)
	perm := []int{3, 1, 5, 0, 2, 4}
	x, y := mat.NewDense(6, 4, nil), mat.NewDense(6, 1, nil)
	for i, j := range perm {
		x.SetRow(i, data.Inputs.(*mat.Dense).RawRowView(j))
		y.SetRow(i, data.Targets.RawRowView(j))
	}
	a := solve(t, twoLayer("tanh", 1, data, gd(0.05), 20), dmft.Settings{Samples: 400, Seed: 1})
	b := solve(t, twoLayer("tanh", 1, dmft.Data{Inputs: x, Targets: y}, gd(0.05), 20), dmft.Settings{Samples: 400, Seed: 1})
	for n := range a.Time {
		for i, j := range perm {
			if d := math.Abs(b.F.At(n).Data[i] - a.F.At(n).Data[j]); d > 1e-12 {
				t.Fatalf("step %d: sample %d moved by %g when reordered", n, j, d)
			}
		}
	}
	// Odd activation: y → −y turns f → −f.
	neg := mat.DenseCopyOf(data.Targets)
	neg.Scale(-1, neg)
	c := solve(t, twoLayer("tanh", 1, dmft.Data{Inputs: data.Inputs, Targets: neg}, gd(0.05), 20), dmft.Settings{Samples: 400, Seed: 1})
	for i, v := range c.F.Data {
		if math.Abs(v+a.F.Data[i]) > 1e-12 {
			t.Fatalf("element %d: %g and %g", i, v, a.F.Data[i])
		}
	}
}

// TestGOMAXPROCS: bit-identical results for one and two processors, theory and simulation, both precisions.
func TestGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	p := twoLayer("gelu", 1, gaussianData(18, 20, 70, 30, 2), gd(0.01), 10)
	record := dmft.Run{Record: dmft.Record{Kernels: 3, Preactivations: 50}}
	var ref []*dmft.Trajectory
	for _, procs := range []int{1, 2, 3} {
		runtime.GOMAXPROCS(procs)
		got := []*dmft.Trajectory{
			solve(t, p, dmft.Settings{Samples: 2000, Seed: 1, Run: record}),
			train(t, p, finite.Settings{Width: 150, Seeds: 7, Seed: 1, Run: record}),
			train(t, p, finite.Settings{Width: 150, Seeds: 7, Seed: 1, Run: record, Precision: finite.Float32}),
			train(t, p, finite.Settings{Width: 150, Seeds: 1, Seed: 1, Run: record, Space: dmft.InputSpace}),
		}
		for i, g := range got {
			g.Diagnostics.MemoryBytes = 0 // an estimate for the processors there are
			if procs == 1 {
				ref = append(ref, g)
			} else if !reflect.DeepEqual(g, ref[i]) {
				t.Errorf("trajectory %d differs between 1 and %d processors", i, procs)
			}
		}
	}
}

// TestResume: a run stopped in the middle and resumed from its checkpoints gives the same bits, for every kind of
// method and for deep networks.
func TestResume(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one batch at a time, so that the interruption falls inside one
	for _, m := range []ode.Method{gd(0.05), {Kind: ode.Nesterov, LearningRate: 0.02, Momentum: 0.7}, {Kind: ode.RK45, LearningRate: 0.05}, {Kind: ode.AB3, LearningRate: 0.05},
		{Kind: ode.RK45, LearningRate: 2, Tolerance: 1e-7}} { // many steps between two outputs
		const outputs = 30
		p := twoLayer("tanh", 1, gaussianData(19, 5, 2, 6, 1), m, outputs)
		p.Training.Centred = true
		if m.Kind == ode.GD {
			p.Training.Batch = dmft.Batch{Size: 2, Seed: 1}
			p.Network.Kind, p.Network.Depth = dmft.MLP, 3
		}
		long := m.Kind == ode.RK45 && m.LearningRate > 1
		if long {
			p.Network.Kind, p.Network.Depth, p.Training.Steps = dmft.MLP, 2, 5
		}
		set := finite.Settings{Width: 24, Seeds: 5, Seed: 1, Run: dmft.Run{Record: dmft.Record{Kernels: 4, Preactivations: 10}, Checkpoint: time.Nanosecond}}
		want := train(t, p, set)
		theory := dmft.Settings{Samples: 400, Blocks: 2, Run: set.Run}
		solved := solve(t, p, theory)
		store := &parttest.Memory{}
		interruptions, all := 0, 0
		for {
			c, cancel := context.WithCancel(ctx)
			saves := 0
			store.Saved = func(string) {
				all++
				if saves++; saves == 9 {
					cancel()
				}
			}
			set.Store, theory.Store = store, store
			got, err := finite.Train(c, p, set)
			var th *dmft.Trajectory
			if err == nil {
				th, err = dmft.Solve(c, p, theory)
			}
			cancel()
			if err == nil {
				got.Diagnostics, th.Diagnostics = want.Diagnostics, solved.Diagnostics
				if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(th, solved) {
					t.Errorf("%s: the resumed run differs", m.Kind)
				}
				break
			}
			if dmft.StopCode(err) != dmft.Interrupted {
				t.Fatal(err)
			}
			if interruptions++; interruptions > 1000 {
				t.Fatal("the run makes no progress")
			}
		}
		if interruptions < 3 {
			t.Errorf("%s: only %d interruptions", m.Kind, interruptions)
		}
		if long && all < 10*5*4 {
			t.Errorf("%d checkpoints: none are made within a long step", all)
		}
	}
	// A checkpoint of something else is an error, not a crash.
	var junk bytes.Buffer
	if err := gob.NewEncoder(&junk).Encode(map[string]int{"x": 1}); err != nil {
		t.Fatal(err)
	}
	store := &parttest.Memory{Parts: map[string][]byte{"theory-L1-S50-N2-000.checkpoint": junk.Bytes()}}
	_, err := dmft.Solve(ctx, twoLayer("tanh", 1, gaussianData(1, 3, 0, 3, 1), gd(0.1), 3), dmft.Settings{Samples: 100, Blocks: 2, Run: dmft.Run{Store: store}})
	if err == nil || !strings.Contains(err.Error(), "theory-L1-S50-N2-000") {
		t.Errorf("foreign checkpoint: %v", err)
	}
}

// TestDivergence: a learning rate above the stability limit stops with the step, the numbers and advice, and keeps what
// was computed before.
func TestDivergence(t *testing.T) {
	for _, act := range []string{"linear", "relu"} {
		p := twoLayer(act, 1, gaussianData(20, 5, 2, 6, 1), gd(5), 200)
		lambda, limit := dmft.Stability(p)
		if lambda <= 0 || math.Abs(limit-2/lambda) > 1e-12 || limit > 5 {
			t.Fatalf("stability: λ %g, limit %g", lambda, limit)
		}
		for name, run := range map[string]func() (*dmft.Trajectory, error){
			"theory": func() (*dmft.Trajectory, error) {
				return dmft.Solve(ctx, p, dmft.Settings{Samples: 400, Run: allKernels})
			},
			"lazy": func() (*dmft.Trajectory, error) {
				return dmft.Solve(ctx, p, dmft.Settings{Method: dmft.Lazy, Run: allKernels})
			},
			"simulation": func() (*dmft.Trajectory, error) {
				return finite.Train(ctx, p, finite.Settings{Width: 400, Seeds: 3, Run: allKernels})
			},
			"float32": func() (*dmft.Trajectory, error) {
				return finite.Train(ctx, p, finite.Settings{Width: 400, Seeds: 3, Precision: finite.Float32})
			},
		} {
			tr, err := run()
			var stop *dmft.StopError
			if !errors.As(err, &stop) || (stop.Status.Code != dmft.Diverged && stop.Status.Code != dmft.NotFinite) {
				t.Fatalf("%s %s: error %v", act, name, err)
			}
			if tr == nil || tr.Steps() != stop.Status.Step+1 || len(tr.Loss) != tr.Steps() || tr.F.Shape[0] != tr.Steps() || tr.FTest.Shape[0] != tr.Steps() {
				t.Fatalf("%s %s: the partial result has %d steps, the status says %d", act, name, tr.Steps(), stop.Status.Step)
			}
			if !strings.Contains(err.Error(), "2/λ_max") || !strings.Contains(err.Error(), "learning_rate") {
				t.Errorf("%s %s: the message %q does not name the limit and a remedy", act, name, err)
			}
			// The eigenvalue quoted is that of one replica's sampled NTK. Its standard deviation is 1.5/√N for relu,
			// 0.9/√N for linear units (60 seeds each at N = 50, 200 and 800); the bound is five of the former at N =
			// 400.
			if d := tr.Diagnostics.Lambda/lambda - 1; math.Abs(d) > 5*1.5/math.Sqrt(400) {
				t.Errorf("%s %s: λ_max %g, want about %g", act, name, tr.Diagnostics.Lambda, lambda)
			}
			for _, l := range tr.Loss {
				if math.IsNaN(l) || math.IsInf(l, 0) {
					t.Errorf("%s %s: a loss of %g was kept", act, name, l)
				}
			}
		}
	}
}

// TestStabilityByMethod: the limit that Stability names is that of the method. In the lazy limit, which is linear,
// training at a rate 3 % below goes on to converge and 3 % above to diverge; adaptive methods converge at any.
func TestStabilityByMethod(t *testing.T) {
	const steps = 2000
	for _, kind := range ode.Kinds(nil) {
		m := ode.Method{Kind: kind, LearningRate: 1}
		if m.TakesMomentum() {
			m.Momentum = 0.8
		}
		p := twoLayer("relu", 1, gaussianData(20, 5, 2, 6, 1), m, steps)
		lambda, limit := dmft.Stability(p)
		if m.IsAdaptive() {
			if p.Training.Steps = 100; limit != 0 || solve(t, p, dmft.Settings{Method: dmft.Lazy}).Loss[100] > 1e-6 {
				t.Errorf("%s: limit %g", kind, limit)
			}
			continue
		}
		for _, x := range []float64{0.97, 1.03} {
			p.Training.Method.LearningRate = x * limit
			tr, err := dmft.Solve(ctx, p, dmft.Settings{Method: dmft.Lazy})
			var stop *dmft.StopError
			if err != nil && !errors.As(err, &stop) {
				t.Fatal(err)
			}
			if grew := stop != nil || tr.Loss[steps] > tr.Loss[steps/2]; grew != (x > 1) {
				t.Errorf("%s at %g of the limit %g = %g/λ_max: grew %v", kind, x, limit, limit*lambda, grew)
			}
		}
	}
}

// TestBadProblems: every mistake is an error that says what and where.
func TestBadProblems(t *testing.T) {
	good := func() *dmft.Problem { return twoLayer("tanh", 1, gaussianData(1, 3, 2, 4, 1), gd(0.1), 3) }
	for want, spoil := range map[string]func(*dmft.Problem){
		"inputs have 3 rows and targets 2":   func(p *dmft.Problem) { p.Data.Targets = mat.NewDense(2, 1, nil) },
		"inputs row 1, column 2 is NaN":      func(p *dmft.Problem) { p.Data.Inputs.(*mat.Dense).Set(1, 2, math.NaN()) },
		"test targets row 0, column 0 is +I": func(p *dmft.Problem) { p.Data.TestTargets.Set(0, 0, math.Inf(1)) },
		"inputs row 1 has a square":          func(p *dmft.Problem) { p.Data.Inputs.(*mat.Dense).Set(1, 2, 1e160) },
		"test inputs row 0 has a square":     func(p *dmft.Problem) { p.Data.TestInputs.(*mat.Dense).Set(0, 1, -1e155) },
		"test inputs are 2×5":                func(p *dmft.Problem) { p.Data.TestInputs = mat.NewDense(2, 5, nil) },
		"together":                           func(p *dmft.Problem) { p.Data.TestTargets = nil },
		"no inputs":                          func(p *dmft.Problem) { p.Data.Inputs = nil },
		"richness":                           func(p *dmft.Problem) { p.Richness = 0 },
		"unknown activation":                 func(p *dmft.Problem) { p.Network.Activation.Name = "swish" },
		"depth 1, not 2":                     func(p *dmft.Problem) { p.Network.Depth = 2 },
		"unknown network kind":               func(p *dmft.Problem) { p.Network.Kind = "cnn" },
		"learning rate":                      func(p *dmft.Problem) { p.Training.Method.LearningRate = -1 },
		"unknown method":                     func(p *dmft.Problem) { p.Training.Method.Kind = "adam" },
		"training steps":                     func(p *dmft.Problem) { p.Training.Steps = 0 },
		"targets −1 and +1":                  func(p *dmft.Problem) { p.Training.Loss.Kind = dmft.Logistic },
		"one column per class":               func(p *dmft.Problem) { p.Training.Loss.Kind = dmft.CrossEntropy },
		"unknown loss":                       func(p *dmft.Problem) { p.Training.Loss.Kind = "hinge" },
		"mini-batches of 7":                  func(p *dmft.Problem) { p.Training.Batch.Size = 7 },
	} {
		p := good()
		spoil(p)
		_, err := dmft.Solve(ctx, p, dmft.Settings{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want something with %q", err, want)
		}
		if _, err2 := finite.Train(ctx, p, finite.Settings{Width: 5}); err2 == nil {
			t.Errorf("the trainer accepts what the solver refuses with %v", err)
		}
	}
	for _, s := range []dmft.Settings{{Sampling: "sobol"}, {Method: "nngp"}, {Samples: 1}, {Samples: 10, Blocks: 6}, {Space: "fourier"}} {
		if _, err := dmft.Solve(ctx, good(), s); err == nil {
			t.Errorf("settings %+v are accepted", s)
		}
	}
	for _, s := range []finite.Settings{{Width: 0}, {Width: 5, Precision: "float16"}, {Width: 5, Space: "x"}} {
		if _, err := finite.Train(ctx, good(), s); err == nil {
			t.Errorf("settings %+v are accepted", s)
		}
	}
	_, err := finite.Train(ctx, good(), finite.Settings{Width: 1 << 20, Run: dmft.Run{Memory: 1 << 20}})
	if dmft.StopCode(err) != dmft.MemoryLimit || !strings.Contains(err.Error(), "would fit") {
		t.Errorf("memory limit: %v", err)
	}
	// Blocks too small for all directions say so.
	tr := solve(t, twoLayer("relu", 1, gaussianData(2, 30, 0, 60, 1), gd(0.01), 2), dmft.Settings{Samples: 80, Blocks: 4})
	if len(tr.Diagnostics.Notes) == 0 || tr.Diagnostics.Matched >= tr.Diagnostics.Rank {
		t.Errorf("diagnostics %+v do not say that sites are too few", tr.Diagnostics)
	}
	// Enough for the inputs and not for the readouts: the note does not say that inputs want more.
	tr = solve(t, twoLayer("relu", 1, gaussianData(2, 3, 0, 2, 40), gd(0.01), 2), dmft.Settings{Samples: 160, Blocks: 4})
	if d := tr.Diagnostics; d.Matched != d.Rank || len(d.Notes) == 0 || !strings.Contains(d.Notes[0], "readouts of 40 outputs") {
		t.Errorf("diagnostics %+v do not say that readouts are not matched", d)
	}
}

// TestStepsAllocateNothing: the loop allocates only what it records.
func TestStepsAllocateNothing(t *testing.T) {
	data := gaussianData(21, 8, 0, 6, 2)
	count := func(steps int) uint64 {
		p := twoLayer("tanh", 1, data, ode.Method{Kind: ode.Momentum, LearningRate: 0.001, Momentum: 0.5}, steps)
		var a, b runtime.MemStats
		runtime.ReadMemStats(&a)
		train(t, p, finite.Settings{Width: 40, Seeds: 1})
		runtime.ReadMemStats(&b)
		return b.Mallocs - a.Mallocs
	}
	count(10)
	// gonum's products start goroutines above 4 blocks of 64×64; at this size nothing allocates.
	if short, long := count(100), count(1100); long > short+100 {
		t.Errorf("1000 more steps made %d more allocations", long-short)
	}
}

func ExampleSolve() {
	// Two points in three dimensions, a ReLU network, from the infinite-width theory.
	x := mat.NewDense(2, 3, []float64{1, 1, 1, 1, -1, 1})
	y := mat.NewDense(2, 1, []float64{1, -1})
	p := &dmft.Problem{
		Data:     dmft.Data{Inputs: x, Targets: y},
		Network:  dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: kernels.Activation{Name: "linear"}},
		Richness: 1,
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 20, Loss: dmft.Loss{Kind: dmft.MSE}},
	}
	t, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 400, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("loss %.4f to %.4f, f = %.4f\n", t.Loss[0], t.Loss[20], t.F.At(20).Data)
	// Output: loss 1.0000 to 0.0001, f = [0.9926 -0.9926]
}
