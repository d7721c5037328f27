package run

import (
	"context"
	"path/filepath"
	"reflect"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// TestFluctuations: what is written is read again, in training and in the lazy limit; another npz is refused.
func TestFluctuations(t *testing.T) {
	p := &dmft.Problem{Data: dmft.Data{Inputs: mat.NewDense(2, 2, []float64{1, 0.5, -0.3, 1}),
		Targets: mat.NewDense(2, 1, []float64{1, -1})}, Richness: 1,
		Network: dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: kernels.Activation{Name: kernels.TanhName}},
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 4,
			Loss: dmft.Loss{Kind: dmft.MSE}}}
	dir := t.TempDir()
	for name, predict := range map[string]func(context.Context, *dmft.Problem,
		fluctuation.Settings) (*fluctuation.Result, error){"a.npz": fluctuation.TwoLayer, "b.npz": fluctuation.Lazy} {
		r, err := predict(context.Background(), p, fluctuation.Settings{Samples: 80, Kernels: 2, Covariance: 2})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := WriteFluctuations(path, r); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFluctuations(path)
		if err != nil {
			t.Fatal(err)
		}
		got.Sites, got.Blocks, got.Directions = r.Sites, r.Blocks, r.Directions // in the manifest
		if !reflect.DeepEqual(got, r) {
			t.Errorf("%s: read %+v, wrote %+v", name, got, r)
		}
	}
	path := filepath.Join(dir, "t.npz")
	if err := (&dmft.Trajectory{Time: []float64{0}, Loss: []float64{1}, F: dmft.NewArray(1, 1)}).WriteNPZ(path,
		dmft.Seeds); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFluctuations(path); err == nil {
		t.Error("a trajectory was read as fluctuations")
	}
}
