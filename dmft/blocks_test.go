package dmft_test

import (
	"context"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
	"github.com/seed39b58f2d/dmft/internal/part/parttest"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// TestBlocksOfKinds: a list of the blocks that a kind of network is made of is that network, bit for bit, in every
// method.
func TestBlocksOfKinds(t *testing.T) {
	tanh := kernels.Activation{Name: "tanh"}
	relu := kernels.Activation{Name: "relu"}
	for name, tc := range map[string]struct {
		kind   dmft.Network
		blocks []arch.Block
	}{
		"two-layer": {dmft.Network{Activation: relu, Bias: 0.3}, arch.MLP(1, relu, 0.3)},
		"mlp":       {dmft.Network{Kind: dmft.MLP, Depth: 3, Activation: tanh, Bias: 0.5}, arch.MLP(3, tanh, 0.5)},
		"resnet":    {dmft.Network{Kind: dmft.ResNet, Depth: 4, Activation: tanh, Branch: dmft.Branch{Beta: 1, Exponent: 0.5}}, arch.ResNet(4, tanh, 0, 0.5, 1)},
	} {
		p := deep(dmft.MLP, 3, "tanh", 1, gaussianData(4, 3, 2, 3, 2), ode.Method{Kind: ode.AB2, LearningRate: 0.05}, 5)
		p.Network = tc.kind
		q := *p
		q.Network = dmft.Network{Blocks: tc.blocks, Bias: tc.kind.Bias}
		run := dmft.Run{Record: dmft.Record{Kernels: 3}}
		for _, method := range []dmft.Approximation{dmft.Full, dmft.Lazy, dmft.FrozenFeatures, dmft.GradientIndependence, dmft.LeadingOrder} {
			s := dmft.Settings{Method: method, Samples: 320, Blocks: 2, Seed: 1, Run: run}
			want, err := dmft.Solve(t.Context(), p, s)
			if err != nil {
				t.Fatal(name, method, err)
			}
			got, err := dmft.Solve(t.Context(), &q, s)
			if err != nil {
				t.Fatal(name, method, err)
			}
			got.Diagnostics.MemoryBytes = want.Diagnostics.MemoryBytes // that of an MLP, without knowing that sites are shared
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %s: differs by %g", name, method, distanceOf(got, want))
			}
		}
		s := finite.Settings{Width: 16, Seeds: 3, Run: run}
		want, err := finite.Train(t.Context(), p, s)
		if err != nil {
			t.Fatal(name, err)
		}
		if got, err := finite.Train(t.Context(), &q, s); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: networks differ: %v", name, err)
		}
		if a, b := finite.Estimate(p, s), finite.Estimate(&q, s); a != b {
			t.Errorf("%s: estimates %d and %d", name, a, b)
		}
	}
}

// mixed is an architecture that no kind is: two products in a row, a branch of two layers, different activations, a
// matrix before the readout.
func mixed() []arch.Block {
	act := func(name string) arch.Block { return arch.Activation{Function: kernels.Activation{Name: name}} }
	return []arch.Block{
		act("tanh"), arch.Linear{Bias: 0.5}, arch.Residual{Scale: 0.7, Branch: []arch.Block{act("erf"), arch.Linear{}, act("gelu"), arch.Linear{}}}, arch.Linear{}, act("softplus"), arch.Linear{},
	}
}

// TestMixedBlocks: theory and wide networks of a mixed architecture agree within six standard errors and a bias of
// order 1/N, in predictions and in the kernels of its four layers; with learning so slow that nothing but the start
// matters the theory is the lazy one.
func TestMixedBlocks(t *testing.T) {
	p := deep(dmft.MLP, 3, "tanh", 1, gaussianData(5, 3, 1, 3, 1), ode.Method{LearningRate: 0.02}, 12)
	p.Network = dmft.Network{Blocks: mixed(), Bias: 0.2}
	p.Training.Centred = true
	run := dmft.Run{Record: dmft.Record{Kernels: 2}}
	theory, err := dmft.Solve(t.Context(), p, dmft.Settings{Samples: 4000, Seed: 1, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	const width = 512
	nets, err := finite.Train(t.Context(), p, finite.Settings{Width: width, Seeds: 8, Seed: 2, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name         string
		a, as, b, bs dmft.Array
	}{{"f", theory.F, theory.FStderr, nets.F, nets.FStderr}, {"Φ", theory.Phi, theory.PhiStderr, nets.Phi, nets.PhiStderr}, {"G", theory.G, theory.GStderr, nets.G, nets.GStderr},
		{"NTK", theory.NTK, theory.NTKStderr, nets.NTK, nets.NTKStderr}} {
		if !reflect.DeepEqual(x.a.Shape, x.b.Shape) || x.name == "Φ" && x.a.Shape[1] != 4 {
			t.Fatalf("%s: shapes %v and %v", x.name, x.a.Shape, x.b.Shape)
		}
		for i, v := range x.a.Data {
			if s := math.Hypot(x.as.Data[i], x.bs.Data[i]); math.Abs(v-x.b.Data[i]) > 6*s+10./width*math.Max(1, math.Abs(v)) {
				t.Errorf("%s, element %d: theory %g, networks %g ± %g", x.name, i, v, x.b.Data[i], s)
			}
		}
	}
	if moved := theory.Loss[0] / theory.Loss[12]; moved < 1.5 {
		t.Errorf("the loss fell by a factor %g only", moved)
	}
	p.Richness = 1e-3
	theory, err = dmft.Solve(t.Context(), p, dmft.Settings{Samples: 4000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	lazy, err := dmft.Solve(t.Context(), p, dmft.Settings{Method: dmft.Lazy})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range theory.F.Data {
		if s := theory.FStderr.Data[i]; math.Abs(f-lazy.F.Data[i]) > 6*s+1e-3 {
			t.Errorf("prediction %d: %g ± %g, lazy %g", i, f, s, lazy.F.Data[i])
		}
	}
}

// TestBlocksResume: a list of blocks, whose matrices are more than its layers, goes on from a checkpoint with the same
// bits, two-time kernels included.
func TestBlocksResume(t *testing.T) {
	p := deep(dmft.MLP, 3, "tanh", 1, gaussianData(5, 2, 1, 3, 1), ode.Method{LearningRate: 0.02}, 6)
	p.Network = dmft.Network{Blocks: mixed()}
	run := func(ctx context.Context, r dmft.Run) (*dmft.Trajectory, error) {
		r.Record, r.Workers, r.Checkpoint = dmft.Record{Kernels: 2, TwoTime: 7}, 1, time.Nanosecond
		return dmft.Solve(ctx, p, dmft.Settings{Samples: 160, Blocks: 2, Run: r})
	}
	want, err := run(t.Context(), dmft.Run{})
	if err != nil {
		t.Fatal(err)
	}
	if want.PhiTwoTime.Empty() || !want.ResponseA.Empty() {
		t.Error("two-time kernels, and no responses, were expected")
	}
	store := &parttest.Memory{}
	for sessions := 1; ; sessions++ {
		ctx, cancel := context.WithCancel(t.Context())
		saves := 0
		store.Saved = func(string) {
			if saves++; saves == 4 {
				cancel()
			}
		}
		got, err := run(ctx, dmft.Run{Store: store})
		cancel()
		if err == nil {
			got.Diagnostics = want.Diagnostics
			if !reflect.DeepEqual(got, want) || sessions < 3 {
				t.Errorf("after %d sessions it differs by %g", sessions, distanceOf(got, want))
			}
			return
		}
		if dmft.StopCode(err) != dmft.Interrupted {
			t.Fatal(err)
		}
	}
}

func TestBlocksRefused(t *testing.T) {
	tanh := arch.Activation{Function: kernels.Activation{Name: "tanh"}}
	for want, n := range map[string]dmft.Network{
		"kind mlp and a list":                {Kind: dmft.MLP, Blocks: []arch.Block{tanh}},
		"needs at least an activation":       {Kind: dmft.Listed},
		"network without blocks":             {Blocks: []arch.Block{}},
		"block 2 is nil":                     {Blocks: []arch.Block{tanh, nil}},
		"make no hidden layer":               {Blocks: []arch.Block{arch.Linear{}}},
		"a depth of 2 and blocks of 1 layer": {Depth: 2, Blocks: []arch.Block{tanh}},
		"a depth of -1":                      {Depth: dmft.InfiniteDepth, Blocks: []arch.Block{tanh}},
		"leave out those of the network":     {Activation: kernels.Activation{Name: "relu"}, Blocks: []arch.Block{tanh}},
		"residual branch without blocks":     {Blocks: []arch.Block{arch.Residual{}, tanh}},
		"bias":                               {Bias: -1, Blocks: []arch.Block{tanh}},
	} {
		p := deep(dmft.MLP, 1, "tanh", 1, gaussianData(5, 2, 0, 3, 1), ode.Method{LearningRate: 0.02}, 2)
		p.Network = n
		if _, err := dmft.Solve(t.Context(), p, dmft.Settings{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	p := deep(dmft.MLP, 1, "tanh", 1, gaussianData(5, 2, 0, 3, 1), ode.Method{LearningRate: 0.02, WeightDecay: 0.1}, 2)
	p.Network = dmft.Network{Blocks: arch.MLP(2, kernels.Activation{Name: "relu"}, 0.1)}
	if _, err := dmft.Solve(t.Context(), p, dmft.Settings{Method: dmft.Lazy}); err == nil || !strings.Contains(err.Error(), "blocks") {
		t.Errorf("lazy with weight decay: %v", err)
	}
	if _, err := fluctuation.TwoLayer(t.Context(), p, fluctuation.Settings{}); err == nil || !strings.Contains(err.Error(), "blocks") {
		t.Errorf("fluctuations: %v", err)
	}
	if _, err := dmft.StandardParametrization.AtWidth(p, 64, 32); err == nil || !strings.Contains(err.Error(), "biases") {
		t.Errorf("standard parametrisation: %v", err)
	}
	if _, err := dmft.MeanField.AtWidth(p, 64, 32); err == nil {
		t.Error("mean-field parametrisation of two layers")
	}
}
