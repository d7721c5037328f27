package dmft_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
)

// TestEvery: a run that keeps every third step has the numbers of the run that keeps all, at those steps and at the
// last: losses, predictions, times, kernels; the full theory, networks and the lazy method, also when training
// diverges.
func TestEvery(t *testing.T) {
	p := twoLayer("tanh", 1, gaussianData(3, 4, 3, 5, 2), gd(0.05), 10)
	kept := []int{0, 3, 6, 9, 10}
	run := map[string]func(dmft.Record) (*dmft.Trajectory, error){
		"theory": func(r dmft.Record) (*dmft.Trajectory, error) {
			return dmft.Solve(ctx, p, dmft.Settings{Samples: 256, Blocks: 2, Run: dmft.Run{Record: r}})
		},
		"lazy": func(r dmft.Record) (*dmft.Trajectory, error) {
			return dmft.Solve(ctx, p, dmft.Settings{Method: dmft.Lazy, Run: dmft.Run{Record: r}})
		},
		"networks": func(r dmft.Record) (*dmft.Trajectory, error) {
			return finite.Train(ctx, p, finite.Settings{Width: 20, Seeds: 3, Run: dmft.Run{Record: r}})
		},
	}
	for name, f := range run {
		p.Training.Method.LearningRate = 0.05
		all, err := f(dmft.Record{Kernels: 11, TwoTime: 2})
		if err != nil {
			t.Fatal(err)
		}
		some, err := f(dmft.Record{Every: 3, Kernels: 3, TwoTime: 2})
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range kept {
			for what, pair := range map[string][2]float64{"time": {some.Time[i], all.Time[n]}, "loss": {some.Loss[i], all.Loss[n]}, "test loss": {some.TestLoss[i], all.TestLoss[n]},
				"loss_stderr": {some.LossStderr[i], all.LossStderr[n]}, "norm": {some.ReadoutNorm[i], all.ReadoutNorm[n]}} {
				if pair[0] != pair[1] {
					t.Errorf("%s: %s at step %d: %g, %g", name, what, n, pair[0], pair[1])
				}
			}
			if !slices.Equal(some.F.At(i).Data, all.F.At(n).Data) || !slices.Equal(some.FTest.At(i).Data, all.FTest.At(n).Data) {
				t.Errorf("%s: f at step %d differs", name, n)
			}
		}
		if some.Steps() != len(kept) || !slices.Equal(some.KernelStep, []int{0, 6, 10}) || !slices.Equal(some.KernelTime, []float64{0, 6, 10}) {
			t.Errorf("%s: %d times, kernels at steps %v, times %v", name, some.Steps(), some.KernelStep, some.KernelTime)
		}
		for i, n := range some.KernelStep {
			if !slices.Equal(some.NTK.At(i).Data, all.NTK.At(n).Data) {
				t.Errorf("%s: NTK at step %d differs", name, n)
			}
		}
		if name != "lazy" && !slices.Equal(some.TwoTimeTime, []float64{0, 10}) {
			t.Errorf("%s: two-time kernels at %v", name, some.TwoTimeTime)
		}
		// What diverges is cut after the last step that is finite.
		p.Training.Method.LearningRate = 1e40
		all, err = f(dmft.Record{Kernels: 11})
		if err == nil {
			t.Fatal("no divergence")
		}
		some, err = f(dmft.Record{Every: 3, Kernels: 3})
		if err == nil || some.Status.Step != all.Status.Step || some.Steps() != len(all.Time)/3+min(len(all.Time)%3, 1) || len(some.Loss) != some.Steps() || some.F.Shape[0] != some.Steps() {
			t.Errorf("%s: %v; %d of %d times", name, err, some.Steps(), all.Steps())
		}
	}
}

// TestMemoryOfKernels: kernels that are not kept take no memory, however many points and outputs there are.
func TestMemoryOfKernels(t *testing.T) {
	p := twoLayer("tanh", 1, gaussianData(3, 2000, 50, 6, 20), gd(1e-5), 2)
	for _, space := range []dmft.Space{dmft.InputSpace, dmft.DataSpace} {
		for kernels, want := range map[int]bool{0: true, 2: false} {
			s := dmft.Settings{Samples: 64, Blocks: 2, Space: space, Run: dmft.Run{Record: dmft.Record{Kernels: kernels}, Memory: 256 << 20}}
			n, err := dmft.Estimate(p, s)
			if err != nil || n < s.Memory != want {
				t.Errorf("%s, %d kernels: %d bytes, %v", space, kernels, n, err)
			}
			if want {
				if _, err := dmft.Solve(ctx, p, s); err != nil {
					t.Error(fmt.Sprint(space), err)
				}
			}
		}
	}
}
