package dmft_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// TestNPZ: a trajectory survives the file.
func TestNPZ(t *testing.T) {
	tr := &dmft.Trajectory{Width: 8, Replicas: 2, Time: []float64{0, 1}, Loss: []float64{2, 1}, LossStderr: []float64{0, .1}, ReadoutNorm: []float64{1, 2},
		KernelStep: []int{0, 1}, KernelTime: []float64{0, 1}, SpectrumTime: []float64{0, 1}, Alignment: []float64{.1, .2}, KernelMovement: []float64{0, 1},
		Error: []float64{.5, .25}, ErrorStderr: []float64{0, .1}, TestError: []float64{.5, .3}, TestErrorStderr: []float64{0, .2},
		LayerTime: []float64{0, 1}, Depths: []int{5, 9}, TwoTimeStep: []int{0, 1}, TwoTimeTime: []float64{0, 1}}
	for i, x := range []struct {
		a     *dmft.Array
		shape []int
	}{
		{&tr.F, []int{2, 3}}, {&tr.FStderr, []int{2, 3}}, {&tr.NTK, []int{2, 3, 3}}, {&tr.NTKStderr, []int{2, 3, 3}}, {&tr.Phi, []int{2, 2, 3, 3}}, {&tr.PhiStderr, []int{2, 2, 3, 3}},
		{&tr.G, []int{2, 2, 3, 3}}, {&tr.GStderr, []int{2, 2, 3, 3}}, {&tr.FReplicas, []int{2, 2, 3}}, {&tr.LossReplicas, []int{2, 2}}, {&tr.Preactivations, []int{2, 2, 4, 3}},
		{&tr.PhiMovement, []int{2, 2}}, {&tr.GMovement, []int{2, 2}}, {&tr.PhiAlignment, []int{2, 2}}, {&tr.NTKSpectrum, []int{2, 3}}, {&tr.PhiTwoTime, []int{2, 2, 2, 3, 3}},
		{&tr.PhiTwoTimeStderr, []int{2, 2, 2, 3, 3}}, {&tr.GTwoTime, []int{2, 2, 2, 3, 3}}, {&tr.GTwoTimeStderr, []int{2, 2, 2, 3, 3}}, {&tr.ResponseA, []int{1, 2, 2, 3, 3}},
		{&tr.ResponseB, []int{1, 2, 2, 3, 3}}, {&tr.ResponseAStderr, []int{1, 2, 2, 3, 3}}, {&tr.ResponseBStderr, []int{1, 2, 2, 3, 3}}, {&tr.FDepths, []int{2, 2, 3}},
		{&tr.FDepthsStderr, []int{2, 2, 3}}, {&tr.LossDepths, []int{2, 2}},
		{&tr.ErrorReplicas, []int{2, 2}}, {&tr.TestErrorReplicas, []int{2, 2}}, {&tr.PhiMovementStderr, []int{2, 2}}, {&tr.GMovementStderr, []int{2, 2}}, {&tr.PhiAlignmentStderr, []int{2, 2}},
	} {
		a := x.a
		*a = dmft.NewArray(x.shape...)
		for j := range a.Data {
			a.Data[j] = float64(10*i + j)
		}
	}
	for _, replicas := range []dmft.ReplicaKind{dmft.Seeds, dmft.Blocks} {
		path := filepath.Join(t.TempDir(), "t.npz")
		if err := tr.WriteNPZ(path, replicas); err != nil {
			t.Fatal(err)
		}
		got, err := dmft.ReadNPZ(path)
		if err != nil || !reflect.DeepEqual(got, tr) {
			t.Errorf("%v\n%+v\n%+v", err, got, tr)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad.npz")
	if err := npy.WriteNPZ(bad, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := dmft.ReadNPZ(bad); err == nil {
		t.Error("an empty file is a trajectory")
	}
	if err := tr.WriteNPZ(bad, "networks"); err == nil {
		t.Error("replicas of an unknown kind are written")
	}
	if _, err := dmft.ReadNPZ(filepath.Join(t.TempDir(), "none.npz")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
