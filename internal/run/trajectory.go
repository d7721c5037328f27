package run

import (
	"fmt"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// WriteTrajectory writes a trajectory as an npz with the array names of the run-folder format; replicas names the axis of single runs
// ("seeds" or "blocks").
func WriteTrajectory(path string, t *dmft.Trajectory, replicas string) error {
	return npy.WriteNPZ(path, arrays(t, replicas))
}

func arrays(t *dmft.Trajectory, replicas string) []npy.Named {
	var out []npy.Named
	put := func(name string, a dmft.Array) {
		if !a.Empty() {
			out = append(out, npy.Named{Name: name, Array: npy.Array{Shape: a.Shape, Data: a.Data}})
		}
	}
	series := func(name string, v []float64) {
		put(name, dmft.Array{Shape: []int{len(v)}, Data: v})
	}
	series("time", t.Time)
	series("loss", t.Loss)
	series("loss_stderr", t.LossStderr)
	put("f", t.F)
	put("f_stderr", t.FStderr)
	series("test_loss", t.TestLoss)
	series("test_loss_stderr", t.TestLossStderr)
	put("f_test", t.FTest)
	put("f_test_stderr", t.FTestStderr)
	series("error", t.Error)
	series("error_stderr", t.ErrorStderr)
	series("test_error", t.TestError)
	series("test_error_stderr", t.TestErrorStderr)
	series("readout_norm", t.ReadoutNorm)
	put("f_"+replicas, t.FReplicas)
	put("f_test_"+replicas, t.FTestReplicas)
	put("loss_"+replicas, t.LossReplicas)
	put("error_"+replicas, t.ErrorReplicas)
	put("test_error_"+replicas, t.TestErrorReplicas)
	series("kernel_step", floats(t.KernelStep))
	series("kernel_time", t.KernelTime)
	put("ntk", t.NTK)
	put("ntk_stderr", t.NTKStderr)
	put("ntk_"+replicas, t.NTKReplicas)
	put("phi", t.Phi)
	put("phi_stderr", t.PhiStderr)
	put("g", t.G)
	put("g_stderr", t.GStderr)
	series("alignment", t.Alignment)
	series("alignment_stderr", t.AlignmentStderr)
	series("kernel_movement", t.KernelMovement)
	series("kernel_movement_stderr", t.KernelMovementStderr)
	put("phi_movement", t.PhiMovement)
	put("phi_movement_stderr", t.PhiMovementStderr)
	put("g_movement", t.GMovement)
	put("g_movement_stderr", t.GMovementStderr)
	put("phi_alignment", t.PhiAlignment)
	put("phi_alignment_stderr", t.PhiAlignmentStderr)
	series("spectrum_time", t.SpectrumTime)
	put("ntk_spectrum", t.NTKSpectrum)
	series("two_time_step", floats(t.TwoTimeStep))
	series("two_time_time", t.TwoTimeTime)
	put("phi_two_time", t.PhiTwoTime)
	put("phi_two_time_stderr", t.PhiTwoTimeStderr)
	put("g_two_time", t.GTwoTime)
	put("g_two_time_stderr", t.GTwoTimeStderr)
	series("layer_time", t.LayerTime)
	series("depths", floats(t.Depths))
	put("f_depths", t.FDepths)
	put("f_depths_stderr", t.FDepthsStderr)
	put("loss_depths", t.LossDepths)
	put("response_a", t.ResponseA)
	put("response_a_stderr", t.ResponseAStderr)
	put("response_b", t.ResponseB)
	put("response_b_stderr", t.ResponseBStderr)
	put("preactivations", t.Preactivations)
	put("width", dmft.Array{Data: []float64{float64(t.Width)}})
	put("replicas", dmft.Array{Data: []float64{float64(t.Replicas)}})
	return out
}

// ReadTrajectory reads what WriteTrajectory wrote. Status and diagnostics are in the manifest.
func ReadTrajectory(path string) (*dmft.Trajectory, error) {
	m, err := npy.ReadNPZ(path)
	if err != nil {
		return nil, err
	}
	get := func(name string) dmft.Array { return dmft.Array{Shape: m[name].Shape, Data: m[name].Data} }
	t := &dmft.Trajectory{
		Time: m["time"].Data, Loss: m["loss"].Data, LossStderr: m["loss_stderr"].Data, F: get("f"), FStderr: get("f_stderr"),
		TestLoss: m["test_loss"].Data, TestLossStderr: m["test_loss_stderr"].Data, FTest: get("f_test"), FTestStderr: get("f_test_stderr"),
		Error: m["error"].Data, ErrorStderr: m["error_stderr"].Data, TestError: m["test_error"].Data, TestErrorStderr: m["test_error_stderr"].Data,
		PhiMovementStderr: get("phi_movement_stderr"), GMovementStderr: get("g_movement_stderr"), PhiAlignmentStderr: get("phi_alignment_stderr"),
		ReadoutNorm: m["readout_norm"].Data, KernelTime: m["kernel_time"].Data, NTK: get("ntk"), NTKStderr: get("ntk_stderr"),
		Phi: get("phi"), PhiStderr: get("phi_stderr"), G: get("g"), GStderr: get("g_stderr"), Alignment: m["alignment"].Data,
		KernelMovement: m["kernel_movement"].Data, AlignmentStderr: m["alignment_stderr"].Data, KernelMovementStderr: m["kernel_movement_stderr"].Data, Preactivations: get("preactivations"),
		LayerTime: m["layer_time"].Data, Depths: ints(m["depths"].Data), FDepths: get("f_depths"), FDepthsStderr: get("f_depths_stderr"), LossDepths: get("loss_depths"),
		PhiMovement: get("phi_movement"), GMovement: get("g_movement"), PhiAlignment: get("phi_alignment"), NTKSpectrum: get("ntk_spectrum"),
		TwoTimeTime: m["two_time_time"].Data, PhiTwoTime: get("phi_two_time"), PhiTwoTimeStderr: get("phi_two_time_stderr"), GTwoTime: get("g_two_time"),
		GTwoTimeStderr: get("g_two_time_stderr"), ResponseA: get("response_a"), ResponseB: get("response_b"),
		ResponseAStderr: get("response_a_stderr"), ResponseBStderr: get("response_b_stderr"),
	}
	for _, r := range []string{"seeds", "blocks"} {
		if _, ok := m["f_"+r]; ok {
			t.FReplicas, t.FTestReplicas, t.LossReplicas, t.NTKReplicas = get("f_"+r), get("f_test_"+r), get("loss_"+r), get("ntk_"+r)
			t.ErrorReplicas, t.TestErrorReplicas = get("error_"+r), get("test_error_"+r)
		}
	}
	t.SpectrumTime = m["spectrum_time"].Data
	if _, ok := m["spectrum_time"]; !ok && !t.NTKSpectrum.Empty() { // written when there was a row, of NaN where need be, for every time of kernels
		t.SpectrumTime = t.KernelTime
	}
	t.KernelStep, t.TwoTimeStep = ints(m["kernel_step"].Data), ints(m["two_time_step"].Data)
	scalar := func(name string) int {
		if d := m[name].Data; len(d) == 1 {
			return ints(d)[0]
		}
		return 0
	}
	t.Width, t.Replicas = scalar("width"), scalar("replicas")
	if len(t.Time) == 0 && len(t.Loss) == 0 && t.F.Empty() && t.Replicas > 0 { // stopped before the first step
		return t, nil
	}
	if err := checkTrajectory(t); err != nil {
		return nil, notOurs(path, "trajectory", err)
	}
	return t, nil
}

// notOurs is the error of a file that can be read and does not hold what it should.
func notOurs(path, what string, err error) error {
	return fmt.Errorf("%s is damaged, or no %s of this program: %w; run the experiment again with --force or in another folder", path, what, err)
}

func floats(x []int) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = float64(v)
	}
	return out
}
