package fluctuation

import (
	"fmt"
	"math"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/exact"
	"github.com/seed39b58f2d/dmft/kernels"
)

func network(kind dmft.Kind, depth int, a kernels.Activation, data dmft.Data, steps int) *dmft.Problem {
	return &dmft.Problem{Data: data, Richness: 0.01, Network: dmft.Network{Kind: kind, Depth: depth, Activation: a, Branch: dmft.Branch{Beta: 0.8, Exponent: 0.5}},
		Training: dmft.Training{Method: gd(0.1), Steps: steps, Loss: dmft.Loss{Kind: dmft.MSE}, Centred: true}}
}

func start(t *testing.T, p *dmft.Problem, s Settings) *Start {
	t.Helper()
	r, err := AtStart(ctx, p, s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestStartHomogeneous: for a fixed input N Cov(Φ^ℓ, Φ^m) = V min(ℓ, m) and N Cov(G^ℓ, G^m) = V min(L+1−ℓ, L+1−m), V = 2 for linear networks and 5 for √2·ReLU
// (arXiv 2304.03408), and the excess kurtosis of the output is 3VL/N: 6/N and 15/N for one hidden layer. Four nodes integrate these polynomials exactly, on both sides of
// the kink by symmetry.
func TestStartHomogeneous(t *testing.T) {
	for _, tc := range []struct {
		a kernels.Activation
		v float64
	}{{kernels.Activation{Name: kernels.IdentityName}, 2}, {kernels.Activation{Name: kernels.ReLUName, Gain: math.Sqrt2}, 5}} {
		for _, depth := range []int{1, 2, 4} {
			s := start(t, network(dmft.MLP, depth, tc.a, onePoint(), 1), Settings{Nodes: 4})
			for l := range depth {
				for m := range depth {
					if got, want := s.Phi.Value.Data[l*depth+m], tc.v*float64(min(l, m)+1); math.Abs(got-want) > 1e-6 {
						t.Errorf("%s: N Cov(Φ^%d, Φ^%d) = %g, want %g", tc.a, l+1, m+1, got, want)
					}
					if got, want := s.G.Value.Data[l*depth+m], tc.v*float64(depth-max(l, m)); math.Abs(got-want) > 1e-6 {
						t.Errorf("%s: N Cov(G^%d, G^%d) = %g, want %g", tc.a, l+1, m+1, got, want)
					}
				}
			}
			if got, want := s.Kurtosis.Value.Data[0], 3*tc.v*float64(depth); math.Abs(got-want) > 1e-6 {
				t.Errorf("%s, depth %d: N times the excess kurtosis is %g, want %g", tc.a, depth, got, want)
			}
		}
	}
}

// TestStartTwoLayer: κ = N Var K of one hidden layer by quadrature (exact.TwoLayerKappa) and the kurtosis 3(⟨φ⁴⟩/⟨φ²⟩² − 1), 1.6795 for erf.
func TestStartTwoLayer(t *testing.T) {
	for _, name := range []string{kernels.IdentityName, kernels.TanhName, kernels.ErfName, kernels.ReLUName} {
		a := kernels.Activation{Name: name}
		want, _ := exact.TwoLayerKappa(a.Value, a.Derivative, 1)
		s := start(t, network(dmft.MLP, 1, a, onePoint(), 1), Settings{Nodes: 40})
		if got := s.NTK.Value.Data[0]; math.Abs(got-want) > 1e-6 {
			t.Errorf("%s: κ = %.8f, want %.8f", name, got, want)
		}
		fmt.Println(name, s.NTK.Value.Data[0], want, s.Kurtosis.Value.Data[0])
	}
}
