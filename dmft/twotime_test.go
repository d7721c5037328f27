package dmft_test

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/exact"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// linearOracle is the problem of a deep linear network as package exact takes it, training points only.
func linearOracle(p *dmft.Problem) exact.DeepLinear {
	m := p.Training.Method
	n, _ := p.Data.Inputs.Dims()
	gram := mat.NewSymDense(n, nil)
	kx := kernels.Gram(p.Data.Inputs)
	gram.CopySym(kx)
	d := exact.DeepLinear{Depth: p.Network.Depth, Problem: exact.Linear{Gram: gram, Targets: p.Data.Targets, Richness: p.Richness, Steps: p.Training.Steps,
		Rate: func(n int) float64 { return m.LearningRate * m.Schedule.Rate(n, p.Training.Steps) }, Momentum: m.Momentum, Nesterov: m.Kind == ode.Nesterov, WeightDecay: m.WeightDecay}}
	if p.Network.Kind == dmft.ResNet {
		d.Skip, d.Branch = 1, p.Network.Branch.Beta*math.Pow(float64(d.Depth), -p.Network.Branch.Exponent)
	}
	return d
}

// TestDeepLinearClosed: deep linear networks equal the closed kernel equations marched in time to 1e-8, f and every
// kernel, equal and two times, MLP and residual, every optimiser, several outputs.
func TestDeepLinearClosed(t *testing.T) {
	for _, tc := range []struct {
		kind    dmft.Kind
		depth   int
		outputs int
		m       ode.Method
	}{
		{dmft.MLP, 2, 1, gd(0.05)},
		{dmft.MLP, 3, 2, ode.Method{Kind: ode.Momentum, LearningRate: 0.02, Momentum: 0.6, WeightDecay: 0.3}},
		{dmft.ResNet, 3, 1, ode.Method{Kind: ode.Nesterov, LearningRate: 0.02, Momentum: 0.5, Schedule: ode.Schedule{Kind: ode.Cosine, Warmup: 2}}},
		{dmft.ResNet, 5, 2, ode.Method{Kind: ode.Momentum, LearningRate: 0.01, Momentum: 0.5, WeightDecay: 0.2}},
	} {
		p := deep(tc.kind, tc.depth, "linear", 1.2, gaussianData(41, 3, 0, 5, tc.outputs), tc.m, 8)
		want, err := linearOracle(p).Solve()
		if err != nil {
			t.Fatal(err)
		}
		run := allKernels
		run.Record.TwoTime = math.MaxInt
		tr := solve(t, p, dmft.Settings{Samples: 2400, Blocks: 2, Seed: 4, Run: run})
		c, steps := tc.outputs, p.Training.Steps
		check := func(what string, got []float64, want mat.Matrix, tol float64) {
			t.Helper()
			_, n := want.Dims()
			for i, v := range got {
				if d := math.Abs(v - want.At(i/n, i%n)); !(d < tol) {
					t.Fatalf("%s of depth %d: %s, element %d is %.12g, off by %g", tc.kind, tc.depth, what, i, v, d)
				}
			}
		}
		// G of a linear network does not depend on the points: G_(μc)(νc') = G_cc'.
		spread := func(g *mat.Dense) *mat.Dense {
			out := mat.NewDense(3*c, 3*c, nil)
			for i := range 3 * c {
				for j := range 3 * c {
					out.Set(i, j, g.At(i%c, j%c))
				}
			}
			return out
		}
		for n := range steps + 1 {
			s := want.States[n]
			check("f", tr.F.At(n).Data, s.F, 1e-8)
			check("NTK", tr.NTK.At(n).Data, s.NTK, 1e-7)
			for l := range tc.depth {
				check("Φ", tr.Phi.At(n).At(l).Data, s.Phi[l], 1e-8)
				check("G", tr.G.At(n).At(l).Data, spread(s.G[l]), 1e-8)
				for m := range steps + 1 {
					check("Φ(t,s)", tr.PhiTwoTime.At(l).At(n).At(m).Data, want.Phi(l+1, n, m), 1e-8)
					check("G(t,s)", tr.GTwoTime.At(l).At(n).At(m).Data, spread(want.G(l+1, n, m)), 1e-8)
				}
			}
		}
	}
}

// TestResponses: the responses of deep linear networks from the coordinates, with few steps and points, where the
// fields at different times are independent enough for every element to be resolved; responses of others are causal;
// two-time kernels are consistent and positive semi-definite.
func TestResponses(t *testing.T) {
	data := dmft.Data{Inputs: mat.NewDense(1, 1, []float64{1}), Targets: mat.NewDense(1, 1, []float64{1})}
	p := deep(dmft.MLP, 3, "linear", 2, data, gd(0.15), 2)
	want, err := linearOracle(p).Solve()
	if err != nil {
		t.Fatal(err)
	}
	tr := solve(t, p, dmft.Settings{Samples: 800, Blocks: 2, Run: dmft.Run{Record: dmft.Record{TwoTime: 3}}})
	for l := range 2 {
		for n := range 3 {
			for s := range 3 {
				a, b := tr.ResponseA.At(l).At(n).At(s).Data[0], tr.ResponseB.At(l).At(n).At(s).Data[0]
				wa, wb := 0., want.B(l+1, n, s).At(0, 0)
				if s < n {
					wa = want.A(l+1, n, s).At(0, 0)
				}
				if math.Abs(a-wa) > 1e-6 || math.Abs(b-wb) > 1e-6 {
					t.Errorf("layer %d, t = %d, s = %d: A = %.9f and B = %.9f, want %.9f and %.9f", l+1, n, s, a, b, wa, wb)
				}
			}
		}
	}
	// Non-linear: causal, absent without responses.
	q := deep(dmft.MLP, 2, "tanh", 1, gaussianData(42, 3, 1, 5, 2), gd(0.1), 6)
	run := dmft.Run{Record: dmft.Record{TwoTime: math.MaxInt}}
	full := solve(t, q, dmft.Settings{Samples: 4000, Seed: 1, Run: run})
	if full.ResponseA.Empty() || full.ResponseA.Shape[1] != 7 || len(full.ResponseA.Shape) != 6 {
		t.Fatalf("responses of shape %v", full.ResponseA.Shape)
	}
	for i, v := range full.ResponseA.At(0).At(0).Data {
		if v != 0 {
			t.Errorf("A(0,·) element %d is %g: not causal", i, v)
		}
	}
	for s := 1; s < 7; s++ {
		if v := norm(full.ResponseA.At(0).At(s-1).At(s).Data) + norm(full.ResponseB.At(0).At(s-1).At(s).Data); v != 0 {
			t.Errorf("responses at %d to step %d: %g", s-1, s, v)
		}
	}
	if gia := solve(t, q, dmft.Settings{Samples: 4000, Seed: 1, Method: dmft.GradientIndependence, Run: run}); !gia.ResponseA.Empty() {
		t.Error("gradient independence has responses")
	}
	// Two-time kernels: equal-time blocks are the equal-time kernels, the block matrix is positive semi-definite,
	// finite networks have them too.
	run.Record.Kernels = math.MaxInt
	for _, tr := range []*dmft.Trajectory{solve(t, q, dmft.Settings{Samples: 4000, Seed: 1, Run: run}), train(t, q, finite.Settings{Width: 64, Seeds: 3, Run: run})} {
		for l := range 2 {
			for _, k := range []struct{ two, one dmft.Array }{{tr.PhiTwoTime, tr.Phi}, {tr.GTwoTime, tr.G}} {
				n := int(math.Sqrt(float64(len(k.one.At(0).At(l).Data))))
				block := mat.NewSymDense(7*n, nil)
				for a := range 7 {
					if d := largest(k.two.At(l).At(a).At(a).Data, k.one.At(a).At(l).Data); d > 1e-12 {
						t.Errorf("equal-time block %d is off by %g", a, d)
					}
					for b := range 7 {
						for i, v := range k.two.At(l).At(a).At(b).Data {
							if r, c := a*n+i/n, b*n+i%n; r <= c {
								block.SetSym(r, c, v)
							}
						}
					}
				}
				var e mat.EigenSym
				e.Factorize(block, false)
				if v := e.Values(nil); v[0] < -1e-12*v[len(v)-1] {
					t.Errorf("two-time kernel of layer %d has eigenvalue %g", l+1, v[0])
				}
			}
		}
	}
}
