package highdim_test

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// TestNPZ: what is written is read back, for both kinds of replicas; another file is refused.
func TestNPZ(t *testing.T) {
	p := &highdim.Problem{Ratio: 2, Units: 2, OutputScale: 1,
		Activation: kernels.Activation{Name: kernels.QuadraticMixName, Parameter: 0.5},
		Target:     highdim.Target{Overlaps: [][]float64{{0.3}, {-0.25}}},
		Training:   highdim.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 5}}
	theory, err := highdim.Solve(t.Context(), p, highdim.Settings{Samples: 512, Alignments: 3})
	if err != nil {
		t.Fatal(err)
	}
	sim, err := highdim.Simulate(t.Context(), p, highdim.Simulation{Dimension: 10, Seeds: 2})
	if err != nil {
		t.Fatal(err)
	}
	for replicas, want := range map[dmft.ReplicaKind]*highdim.Trajectory{"blocks": theory, "seeds": sim} {
		path := filepath.Join(t.TempDir(), "x.npz")
		if err := want.WriteNPZ(path, replicas); err != nil {
			t.Fatal(err)
		}
		got, err := highdim.ReadNPZ(path)
		if err != nil {
			t.Fatal(err)
		}
		got.Status, got.Diagnostics, got.AlignmentStep = want.Status, want.Diagnostics, want.AlignmentStep // elsewhere
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v\n%+v", replicas, got, want)
		}
	}
	path := filepath.Join(t.TempDir(), "x.npz")
	if err := npy.WriteNPZ(path, []npy.Named{{Name: "time",
		Array: npy.Array{Shape: []int{1}, Data: []float64{0}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := highdim.ReadNPZ(path); err == nil {
		t.Error("a file without losses is read")
	}
}
