package fluctuation

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/exact"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

var extended = os.Getenv("DMFT_EXTENDED") != ""

var ctx = context.Background()

// points draws p training and pt test points of dimension d with c outputs of order one.
func points(seed uint64, p, pt, d, c int) dmft.Data {
	rng := rand.New(rand.NewPCG(seed, 77))
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

// onePoint is one point with Kx = y = 1.
func onePoint() dmft.Data {
	return dmft.Data{Inputs: mat.NewDense(1, 1, []float64{1}), Targets: mat.NewDense(1, 1, []float64{1})}
}

func twoLayer(activation string, gamma float64, data dmft.Data, m ode.Method, steps int) *dmft.Problem {
	return &dmft.Problem{Data: data, Richness: gamma, Network: dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: kernels.Activation{Name: activation}},
		Training: dmft.Training{Method: m, Steps: steps, Loss: dmft.Loss{Kind: dmft.MSE}, Centred: true}}
}

func gd(eta float64) ode.Method { return ode.Method{Kind: ode.GD, LearningRate: eta} }

func predict(t *testing.T, p *dmft.Problem, s Settings) *Result {
	t.Helper()
	r, err := TwoLayer(ctx, p, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLinear: three Gauss–Hermite nodes integrate the quartic moments of the sites of a linear network exactly, so that the exact finite-N theory
// (package exact, which follows second moments and knows nothing of sites) is met to the error of the finite differences, in covariances and mean
// corrections, for several points and outputs, test points, every optimiser and both kinds of prediction.
func TestLinear(t *testing.T) {
	for _, tc := range []struct {
		name          string
		gamma         float64
		method        ode.Method
		data          dmft.Data
		batch         int
		mean, centred bool
	}{
		{"one point, γ₀ = 1", 1, gd(0.02), onePoint(), 0, false, true},
		{"one point, γ₀ = 3, not centred", 3, gd(0.02), onePoint(), 0, false, false},
		{"points and test points", 1.4, gd(0.05), points(1, 3, 2, 4, 1), 0, false, true},
		{"two outputs, mean loss, not centred", 1.2, gd(0.2), points(2, 2, 1, 2, 2), 0, true, false},
		{"momentum, decay, cosine", 1.4, ode.Method{Kind: ode.Momentum, LearningRate: 0.02, Momentum: 0.8, WeightDecay: 0.2, Schedule: ode.Schedule{Kind: ode.Cosine, Warmup: 3, Final: 0.1}}, points(3, 3, 1, 3, 1), 0, false, true},
		{"nesterov, decay", 0.7, ode.Method{Kind: ode.Nesterov, LearningRate: 0.02, Momentum: 0.7, WeightDecay: 0.1}, points(4, 3, 1, 3, 1), 0, false, false},
		{"mini-batches", 1, gd(0.05), points(5, 4, 1, 3, 1), 2, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const steps = 40
			p := twoLayer(kernels.IdentityName, tc.gamma, tc.data, tc.method, steps)
			p.Training.Loss.Mean, p.Training.Centred, p.Training.Batch = tc.mean, tc.centred, dmft.Batch{Size: tc.batch, Seed: 5}
			np, c := tc.data.Targets.Dims()
			lin := exact.Linear{Gram: p.Gram(), Targets: tc.data.Targets, Richness: tc.gamma, Steps: steps, Momentum: tc.method.Momentum, Nesterov: tc.method.Kind == ode.Nesterov,
				WeightDecay: tc.method.WeightDecay, Rate: func(n int) float64 { return tc.method.LearningRate * tc.method.Schedule.Rate(n, steps) }, Centred: tc.centred}
			obj := p.Objective()
			lin.Weights = func(n int) []float64 { // Δ at f = y − 1
				f, d := make([]float64, np*c), make([]float64, np*c)
				for k := range c {
					for m := range np {
						f[k*np+m] = tc.data.Targets.At(m, k) - 1
					}
				}
				obj.Residuals(n, f, d)
				return d[:np]
			}
			want := lin.Fluctuations()
			got := predict(t, p, Settings{Nodes: 3, Tolerance: 1e-10, Step: 3e-4, Kernels: steps + 1, Covariance: 2})
			var worst [5]float64
			far := func(i int, a, b float64) { worst[i] = math.Max(worst[i], math.Abs(a-b)/(1+math.Abs(b))) }
			for n, w := range want {
				for m := range w.FBias.RawMatrix().Rows {
					for k := range c {
						v, b := got.FVariance.Value, got.FBias.Value
						i := m
						if m >= np {
							v, b, i = got.FTestVariance.Value, got.FTestBias.Value, m-np
						}
						far(0, v.At(n).Data[i*c+k], w.FCov.At(m*c+k, m*c+k))
						far(1, b.At(n).Data[i*c+k], w.FBias.At(m, k))
					}
				}
				for i, v := range w.NTKVar.RawMatrix().Data {
					far(2, got.NTKVariance.Value.At(n).Data[i], v)
					far(3, got.NTKBias.Value.At(n).Data[i], w.NTKBias.RawMatrix().Data[i])
				}
			}
			last := want[steps].FCov
			for a := range np * c {
				for b := range np * c {
					far(4, got.FCovariance.Value.Data[(np*c+a)*2*np*c+np*c+b], last.At(a, b))
				}
			}
			for i, name := range []string{"variance of f", "bias of f", "variance of the NTK", "bias of the NTK", "covariance of f"} {
				if !(worst[i] < 2e-6) {
					t.Errorf("%s is %.2g away from the exact one", name, worst[i])
				}
			}
			t.Logf("%d directions, distances %.1e", got.Directions, worst)
		})
	}
}
