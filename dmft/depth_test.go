package dmft_test

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/part/parttest"
	"github.com/seed39b58f2d/dmft/ode"
)

func infinite(activation string, gamma float64, data dmft.Data, m ode.Method, steps int) *dmft.Problem {
	p := deep(dmft.ResNet, 1, activation, gamma, data, m, steps)
	p.Network.Depth = dmft.InfiniteDepth
	return p
}

// TestInfiniteLazy: the static NTK at infinite depth: (2+β²)e^{β²} for linear branches on one point of norm one, to ten
// digits; the kernels along τ are e^{β²τ}; with α = 1 branches do not matter; other exponents that have no limit are
// refused.
func TestInfiniteLazy(t *testing.T) {
	data := dmft.Data{Inputs: mat.NewDense(1, 1, []float64{1}), Targets: mat.NewDense(1, 1, []float64{1})}
	for _, beta := range []float64{0.5, 1} {
		p := infinite("linear", 1, data, gd(0.01), 3)
		p.Network.Branch.Beta = beta
		tr := solve(t, p, dmft.Settings{Method: dmft.Lazy, Run: allKernels})
		b2 := beta * beta
		if got, want := tr.NTK.Data[0], (2+b2)*math.Exp(b2); math.Abs(got-want) > 1e-9 {
			t.Errorf("β = %g: NTK %.12g, want %.12g", beta, got, want)
		}
		last := len(tr.Phi.At(0).Data) - 1
		for k := range last + 1 {
			if got, want := tr.Phi.At(0).At(k).Data[0], math.Exp(b2*float64(k)/float64(last)); math.Abs(got-want) > 1e-9 {
				t.Errorf("β = %g: Φ at layer %d of %d is %.12g, want %.12g", beta, k, last, got, want)
			}
		}
	}
	p := infinite("tanh", 1, gaussianData(51, 3, 0, 4, 1), gd(0.01), 3)
	p.Network.Branch.Exponent = 1
	q := deep(dmft.MLP, 1, "tanh", 1, p.Data, gd(0.01), 3)
	if d := largest(solve(t, p, dmft.Settings{Method: dmft.Lazy}).F.Data, solve(t, q, dmft.Settings{Method: dmft.Lazy}).F.Data); d > 1e-9 {
		t.Errorf("α = 1 without faster branches differs from one layer by %g", d)
	}
	for _, b := range []dmft.Branch{{Beta: 1, Exponent: 0.4}, {Beta: 1, Exponent: 0.5, Rate: 0.5}, {Beta: 1, Exponent: math.NaN()}} {
		p.Network.Branch = b
		if _, err := dmft.Solve(context.Background(), p, dmft.Settings{Method: dmft.Lazy}); err == nil {
			t.Errorf("branches %+v have a limit", b)
		}
	}
	p.Network.Branch = dmft.Branch{Beta: 1, Exponent: 0.5}
	if _, err := finite.Train(context.Background(), p, finite.Settings{Width: 8}); err == nil || !strings.Contains(err.Error(), "depth") {
		t.Errorf("training a network of infinite depth: %v", err)
	}
}

// TestInfiniteLinear: learning linear networks, where the limit itself is known: closed kernel equations at depths up
// to 65, extrapolated in 1/L by Neville's scheme. The solver's value is within its own error estimate, which is small,
// and its order is one, for α = ½ and for α = 1 with ρ = 1.
func TestInfiniteLinear(t *testing.T) {
	data := gaussianData(52, 2, 0, 4, 1)
	for _, branch := range []dmft.Branch{{Beta: 1, Exponent: 0.5}, {Beta: 1, Exponent: 1, Rate: 1}} {
		p := infinite("linear", 1, data, gd(0.03), 6)
		p.Network.Branch = branch
		p.Training.Rates = dmft.Rates{Input: 1, Hidden: 1, Readout: 1}
		tr := solve(t, p, dmft.Settings{Samples: 3200, Blocks: 2, Run: allKernels})
		var table [][]float64
		var xs []float64
		for i, depth := range []int{9, 17, 33} {
			q := *p
			q.Network.Depth = depth
			var f []float64
			if branch.Rate == 0 && depth < 33 {
				s, err := linearOracle(&q).Solve()
				if err != nil {
					t.Fatal(err)
				}
				for _, st := range s.States {
					f = append(f, st.F.RawMatrix().Data...)
				}
			} else { // linear networks are exact in the sites
				f = solve(t, &q, dmft.Settings{Samples: 3200, Blocks: 2, Seed: 9}).F.Data
			}
			table, xs = append(table, append([]float64(nil), f...)), append(xs, 1/float64(depth))
			for j := i - 1; j >= 0; j-- {
				for k := range f {
					table[j][k] = (xs[j]*table[j+1][k] - xs[i]*table[j][k]) / (xs[j] - xs[i])
				}
			}
		}
		d := tr.Diagnostics.Depth
		off, scale := distance(tr.F.Data, table[0])/math.Sqrt(float64(len(tr.F.Data))), norm(tr.F.Data)/math.Sqrt(float64(len(tr.F.Data)))
		t.Logf("α = %g: order %.3f ± %.3f, off %.2g, estimates: sampling %.2g, depth %.2g, of %.2g", branch.Exponent, d.Order, d.OrderStderr, off, d.SamplingError, d.DepthError, scale)
		if off > 1.5*d.DepthError || d.DepthError > 0.02*scale || d.SamplingError > 1e-8 {
			t.Errorf("α = %g: off by %g; the estimates are %g and %g", branch.Exponent, off, d.SamplingError, d.DepthError)
		}
		if branch.Rate == 0 && math.Abs(d.Order-1) > 0.25 { // for the other the differences change sign at these depths
			t.Errorf("α = %g: order %.2f", branch.Exponent, d.Order)
		}
		if tr.LayerTime[0] != 0 || tr.LayerTime[len(tr.LayerTime)-1] != 1 || tr.Phi.Shape[1] != len(tr.LayerTime) || len(tr.Depths) != tr.FDepths.Shape[0] {
			t.Errorf("layer times %v, Φ %v, depths %v", tr.LayerTime, tr.Phi.Shape, tr.Depths)
		}
	}
}

// TestInfiniteSampled: a non-linear network: the value from one ladder agrees with a network four times deeper than its
// last rung, to within error bars and 1/L.
func TestInfiniteSampled(t *testing.T) {
	if !extended {
		t.Skip("set DMFT_EXTENDED=1")
	}
	p := infinite("tanh", 1, gaussianData(53, 3, 1, 6, 1), gd(0.04), 15)
	tr := solve(t, p, dmft.Settings{Samples: 16000, Seed: 1})
	deeper := solve(t, p, dmft.Settings{Samples: 16000, Seed: 2, Depths: []int{9, 17, 33}})
	checkWithin(t, "ladders 5, 9, 17 and 9, 17, 33", tr.F.Data, tr.FStderr.Data, deeper.F.Data, deeper.FStderr.Data, 4.5)
	d := tr.Diagnostics.Depth
	t.Logf("order %.2f ± %.2f, errors %.2g and %.2g", d.Order, d.OrderStderr, d.SamplingError, d.DepthError)
	if d.OrderStderr > 0 && math.Abs(d.Order-1) > 4*d.OrderStderr+0.3 {
		t.Errorf("order %g ± %g", d.Order, d.OrderStderr)
	}
}

// TestApproximations: frozen features are training with the rates of all but the readout at zero; the leading order
// misses the full theory by γ₀⁴.
func TestApproximations(t *testing.T) {
	data := gaussianData(54, 4, 2, 6, 1)
	for _, kind := range []dmft.Kind{dmft.MLP, dmft.ResNet} {
		p := deep(kind, 3, "relu", 2, data, gd(0.05), 20)
		frozen := solve(t, p, dmft.Settings{Method: dmft.FrozenFeatures})
		p.Training.Rates = dmft.Rates{Readout: 1}
		full := solve(t, p, dmft.Settings{Samples: 16000, Seed: 1, Tolerance: 1e-4})
		checkWithin(t, string(kind)+", frozen features", full.F.Data, full.FStderr.Data, frozen.F.Data, frozen.FStderr.Data, 4.5)
	}
	// Gradient independence is the lazy limit as γ₀ → 0, test points and outputs included, and something else at γ₀ =
	// 1.
	for _, kind := range []dmft.Kind{dmft.MLP, dmft.ResNet} {
		p := deep(kind, 3, "gelu", 1e-3, gaussianData(57, 4, 2, 6, 2), ode.Method{Kind: ode.Momentum, LearningRate: 0.02, Momentum: 0.5}, 20)
		p.Network.Bias = 0.5
		set := dmft.Settings{Samples: 16000, Seed: 1, Tolerance: 1e-4, Method: dmft.GradientIndependence}
		gia, lazy := solve(t, p, set), solve(t, p, dmft.Settings{Method: dmft.Lazy})
		checkWithin(t, string(kind)+", gradient independence at small γ₀", gia.F.Data, gia.FStderr.Data, lazy.F.Data, lazy.FStderr.Data, 4.5)
		checkWithin(t, string(kind)+", its test points", gia.FTest.Data, gia.FTestStderr.Data, lazy.FTest.Data, lazy.FTestStderr.Data, 4.5)
	}
	// Of exact results: the next order is missing, so the error is of order γ₀⁴.
	for _, tc := range []struct {
		act   string
		depth int
	}{{"linear", 1}, {"linear", 3}, {"tanh", 1}} {
		var off []float64
		for _, gamma := range []float64{0.15, 0.2} {
			p := deep(dmft.MLP, tc.depth, tc.act, gamma, data, gd(0.03), 20)
			set := dmft.Settings{Samples: 1600, Blocks: 2, Seed: 1}
			ref := solve(t, p, set).F.Data
			set.Method = dmft.LeadingOrder
			lead := solve(t, p, set)
			if tc.act == "tanh" { // the sampling error of order zero, which the expansion does not have
				p.Richness = 1e-3
				zero, lazy := solve(t, p, dmft.Settings{Samples: 1600, Blocks: 2, Seed: 1}).F.Data, solve(t, p, dmft.Settings{Method: dmft.Lazy}).F.Data
				for i := range ref {
					ref[i] += lazy[i] - zero[i]
				}
			}
			off = append(off, distance(lead.F.Data, ref))
		}
		want := math.Pow(0.2/0.15, 4)
		if tc.depth == 1 { // f₁ from γ = 0.05 and 0.1 has the error (0.05² + 0.1²)f₂
			want = (0.0016 - 0.0125*0.04) / (0.00050625 - 0.0125*0.0225)
		}
		if r := off[1] / off[0] / want; r < 0.85 || r > 1.15 {
			t.Errorf("%s of depth %d: the leading order is off by %.3g and %.3g, %.2f of the ratio expected", tc.act, tc.depth, off[0], off[1], r)
		}
	}
	// Deep and non-linear: within its error bars and γ₀⁴ of the full theory, and much nearer to it than the order zero.
	p := deep(dmft.MLP, 2, "tanh", 0.4, data, gd(0.1), 20)
	full, lazy := solve(t, p, dmft.Settings{Samples: 32000, Seed: 1}), solve(t, p, dmft.Settings{Method: dmft.Lazy})
	lead := solve(t, p, dmft.Settings{Samples: 32000, Seed: 2, Method: dmft.LeadingOrder, Run: allKernels})
	err, zero := distance(lead.F.Data, full.F.Data), distance(lazy.F.Data, full.F.Data)
	if stat := math.Hypot(norm(lead.FStderr.Data), norm(full.FStderr.Data)); err > 3*stat+0.3*zero || err > zero/2 {
		t.Errorf("leading order %.3g off, order zero %.3g, error bars %.3g", err, zero, stat)
	}
	if lead.KernelMovement[20] <= 0 {
		t.Errorf("the kernel has moved by %g", lead.KernelMovement[20])
	}
}

// TestStoresApart: methods, depths and tries that share a store do not take each other's parts.
func TestStoresApart(t *testing.T) {
	store := &parttest.Memory{}
	p := infinite("tanh", 1, gaussianData(56, 2, 1, 3, 1), gd(0.1), 4)
	for _, q := range []*dmft.Problem{p, deep(dmft.ResNet, 3, "tanh", 1, p.Data, gd(0.1), 4)} {
		for _, set := range []dmft.Settings{{}, {Method: dmft.GradientIndependence}, {Method: dmft.LeadingOrder}, {Error: 0.01}} {
			if set.Error == 0 {
				set.Samples = 1600
			}
			set.Depths = nil
			if q.Network.Depth == dmft.InfiniteDepth {
				set.Depths = []int{2, 3, 5}
				set.Error *= 10
			}
			want := solve(t, q, set)
			set.Store = store
			for range 2 {
				if got := solve(t, q, set); largest(got.F.Data, want.F.Data) != 0 {
					t.Errorf("depth %d, %+v: a shared store changes f by %g", q.Network.Depth, set, largest(got.F.Data, want.F.Data))
				}
			}
		}
	}
}

// TestErrorAsked: the error that is asked for is reached and reported, at about the cost that errors ∝ S^{−1/2} imply.
func TestErrorAsked(t *testing.T) {
	p := deep(dmft.MLP, 2, "tanh", 1, gaussianData(55, 3, 1, 6, 1), gd(0.1), 15)
	for _, want := range []float64{0.004, 0.001} {
		tr := solve(t, p, dmft.Settings{Error: want, Seed: 3})
		worst := 0.
		for n := range tr.Time {
			e := tr.FStderr.At(n).Data
			worst = math.Max(worst, norm(e)/math.Sqrt(float64(len(e))))
		}
		if worst > want || worst < want/4 {
			t.Errorf("asked for %g, the largest standard error is %g with %d sites", want, worst, tr.Diagnostics.Samples)
		}
		if len(tr.Diagnostics.Notes) == 0 || !strings.Contains(tr.Diagnostics.Notes[len(tr.Diagnostics.Notes)-1], "sites") {
			t.Errorf("notes %q do not say what it cost", tr.Diagnostics.Notes)
		}
	}
}

// aligned draws a network whose input weights and readout are the vector v and whose branches are zero.
type aligned struct {
	v     field.Mat[float64]
	dense bool
}

func (a aligned) Readout(_ int, w field.Mat[float64]) error { copy(w.Data, a.v.Data); return nil }

func (a aligned) Input(int, int) (field.Mat[float64], error) { return a.v, nil }

func (a aligned) Leaf(int, field.Mat[float64]) error { return nil }

func (a aligned) Kept() []field.Keeper { return nil }

func (a aligned) Matrix(m arch.Spec) (field.Matrix[float64], error) {
	if a.dense {
		return arch.NewDense(field.New[float64](m.Rows, m.Cols)), nil
	}
	w := gaussian.NewMatrix(m.Rows, 1e-12, gaussian.NewPool(1, 2, m.Rows, 1, 1, -1), gaussian.NewPool(1, 3, m.Rows, 1, 1, -1))
	w.Combine(0, []float64{0}) // nothing of the initial matrix
	return w, nil
}

// TestMeanFieldDepth: the closed example of the mean-field limit α = 1, ρ = 1: linear branches that start at zero,
// input and readout frozen at the same vector, so that f = Π_ℓ(1 + θ_ℓ/L) with L branches. In the limit f = u with u′ =
// u²(y − u), ln(u/(y − u))/y² − 1/(yu) = t + const: u(0.4) = 1.452863 for y = 2. Dense and conditioned matrices give
// the values of finite depth, which approach it as 1/L.
func TestMeanFieldDepth(t *testing.T) {
	const width = 64
	v, err := gaussian.Matched(rand.New(rand.NewPCG(1, 2)), width, 1)
	if err != nil {
		t.Fatal(err)
	}
	data := dmft.Data{Inputs: mat.NewDense(1, 1, []float64{1}), Targets: mat.NewDense(1, 1, []float64{2})}
	for _, dense := range []bool{false, true} {
		var values []float64
		for i, branches := range []int{4, 16, 64} {
			l := float64(branches)
			p := deep(dmft.ResNet, branches+1, "linear", 1, data, ode.Method{Kind: ode.RK45, LearningRate: 0.4, Tolerance: 1e-9}, 1)
			p.Network.Branch = dmft.Branch{Beta: (l + 1) / l, Exponent: 1, Rate: 1} // β L^{−1} is 1/l, and L^ρ times the rate below l
			p.Training.Rates = dmft.Rates{Hidden: l / (l + 1)}
			tr, err := dmft.Train(context.Background(), p, dmft.Ensemble[float64]{Name: "aligned", Width: width, Replicas: 1, Conditioned: !dense, MeanField: true,
				Init: func(int) (arch.Init[float64], error) { return aligned{v, dense}, nil }})
			if err != nil {
				t.Fatal(err)
			}
			f := tr.F.At(1).Data[0]
			// The scalar equation θ′ = (y − (1 + θ/L)^L)(1 + θ/L)^{L−1}, all branches alike.
			theta, err := ode.Solve(func(_ float64, dst, th []float64) { dst[0] = (2 - math.Pow(1+th[0]/l, l)) * math.Pow(1+th[0]/l, l-1) }, []float64{0}, 0,
				ode.Method{Kind: ode.RK4, LearningRate: 0.001}, 400)
			if err != nil {
				t.Fatal(err)
			}
			if want := math.Pow(1+theta[400][0]/l, l); math.Abs(f-want) > 1e-7 || math.Abs(f-[]float64{1.412699, 1.441993, 1.450088}[i]) > 1e-6 {
				t.Errorf("%d branches: f = %.9f, want %.9f", branches, f, want)
			}
			values = append(values, f)
		}
		if got := (4*values[2] - values[1]) / 3; math.Abs(got-1.452863) > 1e-4 { // what is left is of order 1/(16·64)
			t.Errorf("extrapolated in 1/L: %.6f", got)
		}
	}
}
