package transfer_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/transfer"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// points are p Gaussian points in d dimensions with targets ±1.
func points(p, d int, seed uint64) dmft.Data {
	rng := rand.New(rand.NewPCG(seed, 1))
	x, y := mat.NewDense(p, d, nil), mat.NewDense(p, 1, nil)
	for i := range p {
		for j := range d {
			x.Set(i, j, rng.NormFloat64())
		}
		y.Set(i, 0, float64(1-2*(i%2)))
	}
	return dmft.Data{Inputs: x, Targets: y}
}

func problem(kind dmft.Kind, depth int, act string, gamma float64, data dmft.Data, steps int) *dmft.Problem {
	return &dmft.Problem{Data: data, Network: dmft.Network{Kind: kind, Depth: depth,
		Activation: kernels.Activation{Name: act}, Branch: dmft.Branch{Beta: 1, Exponent: 0.5}}, Richness: gamma,
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 1}, Steps: steps,
			Loss: dmft.Loss{Kind: dmft.MSE}, Centred: true}}
}

// at is a problem at a learning rate.
func at(p *dmft.Problem, eta float64) *dmft.Problem {
	q := *p
	q.Training.Method.LearningRate = eta
	return &q
}

// seeds are the final losses of an ensemble, all infinite when one network diverges.
func seeds(t testing.TB, p *dmft.Problem, s finite.Settings) transfer.Losses {
	tr, err := finite.Train(context.Background(), p, s)
	out := make(transfer.Losses, s.Seeds)
	for k := range out {
		switch {
		case err == nil:
			out[k] = tr.LossReplicas.At(k).Data[p.Training.Steps]
		case dmft.StopCode(err) == dmft.Diverged, dmft.StopCode(err) == dmft.NotFinite:
			out[k] = math.Inf(1)
		default:
			t.Fatal(err)
		}
	}
	return out
}

// TestLazyQuadratic: in the lazy limit the loss after T steps of gradient descent is Σ_k c_k (1 − ηλ_k)^{2T}/2 with
// eigenvalues λ_k of the NTK and squares c_k of the target's components. With one point the optimum is 1/λ; with
// several it is where that sum is lowest, found here by bisection of its derivative.
func TestLazyQuadratic(t *testing.T) {
	for _, c := range []struct{ p, steps int }{{1, 1}, {1, 4}, {3, 5}, {5, 20}} {
		pr := problem(dmft.MLP, 2, "tanh", 1, points(c.p, 7, uint64(c.p)), c.steps)
		static, err := dmft.Solve(context.Background(), pr,
			dmft.Settings{Method: dmft.Lazy, Run: dmft.Run{Record: dmft.Record{Kernels: 1}}})
		if err != nil && dmft.StopCode(err) == "" {
			t.Fatal(err)
		}
		var e mat.EigenSym
		if !e.Factorize(mat.NewSymDense(c.p, static.NTK.At(0).Data), true) {
			t.Fatal("no eigenvalues")
		}
		lambda := e.Values(nil)
		var v mat.Dense
		e.VectorsTo(&v)
		slope := func(eta float64) float64 {
			s := 0.
			for k, l := range lambda {
				comp := 0.
				for i := range c.p {
					comp += v.At(i, k) * pr.Data.Targets.At(i, 0)
				}
				s -= comp * comp * l * math.Pow(1-eta*l, float64(2*c.steps-1))
			}
			return s
		}
		lo, hi := 1/lambda[c.p-1]/10, 4/lambda[0]
		for range 200 {
			if mid := (lo + hi) / 2; slope(mid) < 0 {
				lo = mid
			} else {
				hi = mid
			}
		}
		want := lo
		if c.p == 1 && math.Abs(want*lambda[0]-1) > 1e-9 {
			t.Fatalf("bisection finds %g, 1/λ is %g", want, 1/lambda[0])
		}
		_, limit := dmft.Stability(pr)
		curves, err := transfer.Sweep{Grids: [][]float64{transfer.Lattice(limit/16, limit)}, Refine: 4,
			Extend: 8}.Run(context.Background(), transfer.OneByOne(func(ctx context.Context,
			j transfer.Job) (transfer.Point, error) {
			eta := j.Value
			tr, err := dmft.Solve(ctx, at(pr, eta), dmft.Settings{Method: dmft.Lazy})
			if dmft.StopCode(err) != "" {
				return transfer.Point{Value: eta, Losses: transfer.Losses{math.Inf(1)}}, nil
			}
			if err != nil {
				return transfer.Point{}, err
			}
			return transfer.Point{Value: eta, Losses: transfer.Losses{tr.Loss[c.steps]}}, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		// After four rounds points are 2^{1/32} apart, and a parabola misses a kink by half of that at most.
		o, ok := transfer.Curve{Points: curves[0]}.Optimum()
		if !ok || math.Abs(math.Log(o.Value/want)) > math.Ln2/64 || o.Lo > want || o.Hi < want {
			t.Errorf("P = %d, T = %d: best learning rate %.5g in %.5g … %.5g, exact %.5g", c.p, c.steps, o.Value, o.Lo,
				o.Hi, want)
		}
	}
}

// TestParametrizations: drifts of the best learning rate of small networks near the lazy limit, where it is that of the
// static NTK. In this convention the NTK of networks in μP and NTK parametrisation does not depend on N, so p = 0; in
// the standard one its parts of readout and hidden weights are ∝ N, and with frozen input weights that is all of it: p
// = −1.
func TestParametrizations(t *testing.T) {
	widths := []int{32, 64, 128, 256}
	pr := problem(dmft.MLP, 2, "tanh", 0.05, points(3, 6, 2), 5)
	pr.Training.Rates = dmft.Rates{Input: 0, Hidden: 1, Readout: 1}
	_, limit := dmft.Stability(pr)
	for _, c := range []struct {
		par  dmft.Parametrization
		want float64
	}{{dmft.MuP, 0}, {dmft.NTKParametrization, 0}, {dmft.StandardParametrization, -1}} {
		var problems []*dmft.Problem
		var grids [][]float64
		p := transfer.Panel{Over: "width", Curves: make([]transfer.Measured, len(widths))}
		for i, n := range widths {
			q, err := c.par.AtWidth(pr, n, widths[0])
			if err != nil {
				t.Fatal(err)
			}
			problems = append(problems, q)
			// The same for all: the sweep has to find where the optimum went.
			grids = append(grids, transfer.Lattice(limit/8, limit*2))
			p.Curves[i].Size = n
			_, p.Curves[i].Stability = dmft.Stability(q)
		}
		curves, err := transfer.Sweep{Grids: grids, Refine: 2, Extend: 20}.Run(context.Background(),
			transfer.OneByOne(func(_ context.Context, j transfer.Job) (transfer.Point, error) {
				return transfer.Point{Value: j.Value, Losses: seeds(t, at(problems[j.Curve], j.Value),
					finite.Settings{Width: widths[j.Curve], Seeds: 8, Seed: 3})}, nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		for i := range curves {
			p.Curves[i].Points = curves[i]
		}
		p.Conclude(0.1)
		d := p.Drift
		t.Logf("%s: %s, interval %.3f … %.3f", c.par, d.Verdict(0.1), d.Lo, d.Hi)
		// Networks of width 32 differ from the limit in the mean by O(1/N): a slope of a few hundredths.
		if d.Sizes != len(widths) || d.Lo-0.05 > c.want || d.Hi+0.05 < c.want || d.Hi-d.Lo > 0.4 {
			t.Errorf("%s: %+v, expected %g", c.par, d, c.want)
		}
		if p.Expected == nil || math.Abs(*p.Expected-c.want) > 1e-9 {
			t.Errorf("%s: the stability limit drifts with %v, expected %g", c.par, *p.Expected, c.want)
		}
		if (c.want == 0) == (p.Verdict == transfer.Moves) {
			t.Errorf("%s: verdict %s", c.par, p.Verdict)
		}
	}
}

// TestDepth: linear residual networks on one point, at infinite width and near the lazy limit. Branches ∝ 1/√L have the
// NTK (1 + β²/L)^{L−1}(2 + β²(L−1)/L), which converges; unscaled ones (1 + β²)^{L−2}((1 + β²)·2 + β²(L−1)), which does
// not: the best learning rate is its inverse.
func TestDepth(t *testing.T) {
	depths := []int{4, 8, 16}
	const beta = 0.5
	data := dmft.Data{Inputs: mat.NewDense(1, 4, []float64{1, -1, 1, 1}), Targets: mat.NewDense(1, 1, []float64{1})}
	for _, exponent := range []float64{0.5, 0} {
		var exact []float64
		for _, l := range depths {
			b2 := beta * beta * math.Pow(float64(l), -2*exponent)
			// H grows by 1 + b² a layer from H¹ = 1, G from G^L = 1 backwards: K = H^L + G¹ + b² Σ_ℓ G^{ℓ+1}H^ℓ.
			n := float64(l - 1)
			exact = append(exact, 1/(2*math.Pow(1+b2, n)+b2*n*math.Pow(1+b2, n-1)))
		}
		p := transfer.Panel{Over: "depth", Curves: make([]transfer.Measured, len(depths))}
		for i, l := range depths {
			pr := problem(dmft.ResNet, l, "linear", 0.02, data, 3)
			pr.Network.Branch = dmft.Branch{Beta: beta, Exponent: exponent}
			_, limit := dmft.Stability(pr)
			if math.Abs(limit/2/exact[i]-1) > 1e-9 {
				t.Fatalf("L = %d, exponent %g: half the stability limit is %g, exact %g", l, exponent, limit/2, exact[i])
			}
			curves, err := transfer.Sweep{Grids: [][]float64{transfer.Lattice(limit/4, limit)}, Refine: 3,
				Extend: 4}.Run(context.Background(), transfer.OneByOne(func(ctx context.Context,
				j transfer.Job) (transfer.Point, error) {
				eta := j.Value
				tr, err := dmft.Solve(ctx, at(pr, eta), dmft.Settings{Samples: 400, Blocks: 4})
				if err != nil {
					return transfer.Point{}, err
				}
				return transfer.Point{Value: eta, Losses: transfer.Losses{tr.Loss[3]}, Stderr: tr.LossStderr[3]}, nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			p.Curves[i].Size, p.Curves[i].Points, p.Curves[i].Stability = l, curves[0], limit
		}
		p.Conclude(0.1)
		for i, c := range p.Curves {
			if c.Optimum == nil || math.Abs(math.Log(c.Optimum.Value/exact[i])) > math.Ln2/16 {
				t.Errorf("L = %d, exponent %g: best %+v, exact %g", depths[i], exponent, c.Optimum, exact[i])
			}
		}
		if want := map[float64]transfer.Verdict{0.5: transfer.Stays, 0: transfer.Moves}[exponent]; p.Verdict != want ||
			math.Abs(*p.Expected-p.Drift.Exponent) > 0.05 {
			t.Errorf("exponent %g: %s (expected %.3f)", exponent, p.Drift.Verdict(0.1), *p.Expected)
		}
	}
}

// TestLimit: at every learning rate below the cliff the theory is inside the error bars of wide networks, and its
// optimum inside theirs.
func TestLimit(t *testing.T) {
	pr := problem(dmft.TwoLayer, 1, "tanh", 1, points(8, 10, 5), 10)
	_, limit := dmft.Stability(pr)
	grid := transfer.Spaced(limit/8, limit/2, 7)
	var theory, networks transfer.Curve
	for _, eta := range grid {
		tr, err := dmft.Solve(context.Background(), at(pr, eta), dmft.Settings{Samples: 8000, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		a := transfer.Point{Value: eta, Losses: transfer.Losses{tr.Loss[10]}, Stderr: tr.LossStderr[10]}
		b := transfer.Point{Value: eta, Losses: seeds(t, at(pr, eta), finite.Settings{Width: 4096, Seeds: 16, Seed: 1})}
		// Three and a half combined standard errors, and the bias 1/N of networks of unit relative size.
		if d := math.Abs(a.Loss() - b.Loss()); d > 3.5*math.Hypot(a.Stderr, b.LossStderr())+b.Loss()*5/4096 {
			t.Errorf("η = %.3g: theory %.4g ± %.2g, networks %.4g ± %.2g", eta, a.Loss(), a.Stderr, b.Loss(), b.LossStderr())
		}
		theory.Points, networks.Points = append(theory.Points, a), append(networks.Points, b)
	}
	a, _ := theory.Optimum()
	b, _ := networks.Optimum()
	if math.Abs(math.Log(a.Value/b.Value)) > 3*math.Hypot(a.Stderr, b.Stderr)+0.01 {
		t.Errorf("best learning rate of the theory %+v, of networks %+v", a, b)
	}
}
