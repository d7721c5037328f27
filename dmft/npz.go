package dmft

import (
	"fmt"

	"github.com/seed39b58f2d/dmft/internal/npy"
)

// ReplicaKind says what the replicas of a trajectory are, in the names of a file's arrays.
type ReplicaKind string

// The kinds of replicas.
const (
	Blocks ReplicaKind = "blocks" // of sites of the theory
	Seeds  ReplicaKind = "seeds"  // of finite networks
)

// WriteNPZ writes a trajectory as numpy's .npz, in the format of theory.npz and simulation-N<width>.npz in the run
// folders of the command: arrays time, loss, f, … as far as they were recorded, and f_blocks or f_seeds, … of single
// replicas. The file is complete or not there. It does not hold Status and Diagnostics.
func (t *Trajectory) WriteNPZ(path string, replicas ReplicaKind) error {
	if replicas != Blocks && replicas != Seeds {
		return fmt.Errorf("dmft: replicas of a file are %s or %s, not %q", Blocks, Seeds, replicas)
	}
	if err := npy.WriteNPZ(path, t.arrays(string(replicas))); err != nil {
		return fmt.Errorf("dmft: %w", err)
	}
	return nil
}

func (t *Trajectory) arrays(replicas string) []npy.Named {
	var out []npy.Named
	put := func(name string, a Array) {
		if !a.Empty() {
			out = append(out, npy.Named{Name: name, Array: npy.Array{Shape: a.Shape, Data: a.Data}})
		}
	}
	series := func(name string, v []float64) {
		put(name, Array{Shape: []int{len(v)}, Data: v})
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
	series("kernel_step", npy.Floats(t.KernelStep))
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
	series("two_time_step", npy.Floats(t.TwoTimeStep))
	series("two_time_time", t.TwoTimeTime)
	put("phi_two_time", t.PhiTwoTime)
	put("phi_two_time_stderr", t.PhiTwoTimeStderr)
	put("g_two_time", t.GTwoTime)
	put("g_two_time_stderr", t.GTwoTimeStderr)
	series("layer_time", t.LayerTime)
	series("depths", npy.Floats(t.Depths))
	put("f_depths", t.FDepths)
	put("f_depths_stderr", t.FDepthsStderr)
	put("loss_depths", t.LossDepths)
	put("response_a", t.ResponseA)
	put("response_a_stderr", t.ResponseAStderr)
	put("response_b", t.ResponseB)
	put("response_b_stderr", t.ResponseBStderr)
	put("preactivations", t.Preactivations)
	put("width", Array{Data: []float64{float64(t.Width)}})
	put("replicas", Array{Data: []float64{float64(t.Replicas)}})
	return out
}

// ReadNPZ reads a trajectory that [Trajectory.WriteNPZ] or the command wrote. A file that is damaged, or is something
// else, is an error; an error of the file system is wrapped.
func ReadNPZ(path string) (*Trajectory, error) {
	m, err := npy.ReadNPZ(path)
	if err != nil {
		return nil, err
	}
	get := func(name string) Array { return Array{Shape: m[name].Shape, Data: m[name].Data} }
	t := &Trajectory{
		Time: m["time"].Data, Loss: m["loss"].Data, LossStderr: m["loss_stderr"].Data, F: get("f"), FStderr: get("f_stderr"),
		TestLoss: m["test_loss"].Data, TestLossStderr: m["test_loss_stderr"].Data, FTest: get("f_test"), FTestStderr: get("f_test_stderr"),
		Error: m["error"].Data, ErrorStderr: m["error_stderr"].Data, TestError: m["test_error"].Data, TestErrorStderr: m["test_error_stderr"].Data,
		PhiMovementStderr: get("phi_movement_stderr"), GMovementStderr: get("g_movement_stderr"), PhiAlignmentStderr: get("phi_alignment_stderr"),
		ReadoutNorm: m["readout_norm"].Data, KernelTime: m["kernel_time"].Data, NTK: get("ntk"), NTKStderr: get("ntk_stderr"),
		Phi: get("phi"), PhiStderr: get("phi_stderr"), G: get("g"), GStderr: get("g_stderr"), Alignment: m["alignment"].Data,
		KernelMovement: m["kernel_movement"].Data, AlignmentStderr: m["alignment_stderr"].Data, KernelMovementStderr: m["kernel_movement_stderr"].Data, Preactivations: get("preactivations"),
		LayerTime: m["layer_time"].Data, Depths: npy.Ints(m["depths"].Data), FDepths: get("f_depths"), FDepthsStderr: get("f_depths_stderr"), LossDepths: get("loss_depths"),
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
	t.KernelStep, t.TwoTimeStep = npy.Ints(m["kernel_step"].Data), npy.Ints(m["two_time_step"].Data)
	scalar := func(name string) int {
		if d := m[name].Data; len(d) == 1 {
			return npy.Ints(d)[0]
		}
		return 0
	}
	t.Width, t.Replicas = scalar("width"), scalar("replicas")
	if len(t.Time) == 0 && len(t.Loss) == 0 && t.F.Empty() && t.Replicas > 0 { // stopped before the first step
		return t, nil
	}
	if err := checkTrajectory(t); err != nil {
		return nil, fmt.Errorf("%s is damaged, or no trajectory of this program: %w", path, err)
	}
	return t, nil
}

// checkTrajectory checks the arrays of a trajectory.
func checkTrajectory(t *Trajectory) error {
	s := npy.NewShapes(map[string]int{"T": len(t.Time)})
	p, pt := npy.Outputs(t.F.Shape, "P"), npy.Outputs(t.F.Shape, "Pt")
	of := func(axes ...string) []string { return axes }
	s.Series("loss", t.Loss, "T")
	s.Array("f", npy.Array(t.F), npy.Join(of("T"), p)...)
	if len(t.Time) == 0 || len(t.Loss) == 0 || t.F.Empty() {
		return fmt.Errorf("it holds no time, loss and f")
	}
	if len(t.LossStderr) == 0 || t.FStderr.Empty() || len(t.TestLoss) != len(t.TestLossStderr) || t.FTest.Empty() != t.FTestStderr.Empty() {
		return fmt.Errorf("it holds losses or predictions without their errors")
	}
	if k := len(t.KernelTime); k > 0 && (len(t.KernelStep) != k || len(t.KernelMovement) != k || len(t.Alignment) != k || t.NTK.Empty() || t.Phi.Empty() || t.PhiMovement.Empty() || t.GMovement.Empty()) {
		return fmt.Errorf("it holds kernel_time, and of what was kept at these times not all")
	}
	s.Axis("K", len(t.KernelTime))
	s.Axis("S", len(t.SpectrumTime))
	s.Axis("PC", len(t.F.Data)/len(t.Time))
	if t.Width < 0 || t.Replicas < 0 {
		return fmt.Errorf("width %d and %d replicas", t.Width, t.Replicas)
	}
	for _, x := range []struct {
		name string
		v    []float64
		axis string
	}{
		{"loss_stderr", t.LossStderr, "T"}, {"test_loss", t.TestLoss, "T"}, {"test_loss_stderr", t.TestLossStderr, "T"}, {"readout_norm", t.ReadoutNorm, "T"},
		{"alignment", t.Alignment, "K"}, {"alignment_stderr", t.AlignmentStderr, "K"}, {"kernel_movement", t.KernelMovement, "K"}, {"kernel_movement_stderr", t.KernelMovementStderr, "K"},
		{"two_time_time", t.TwoTimeTime, "J"},
	} {
		s.Series(x.name, x.v, x.axis)
	}
	s.Steps("kernel_step", t.KernelStep, "K", 0)
	s.Steps("two_time_step", t.TwoTimeStep, "J", 0)
	s.Steps("depths", t.Depths, "n", 1)
	for _, x := range []struct {
		name string
		a    Array
		axes []string
	}{
		{"f_stderr", t.FStderr, npy.Join(of("T"), p)}, {"f_test", t.FTest, npy.Join(of("T"), pt)}, {"f_test_stderr", t.FTestStderr, npy.Join(of("T"), pt)},
		{"replicas of f", t.FReplicas, npy.Join(of("R", "T"), p)}, {"replicas of f_test", t.FTestReplicas, npy.Join(of("R", "T"), pt)}, {"replicas of loss", t.LossReplicas, of("R", "T")},
		{"ntk", t.NTK, npy.Join(of("K"), p, p)}, {"ntk_stderr", t.NTKStderr, npy.Join(of("K"), p, p)}, {"replicas of ntk", t.NTKReplicas, of("R", "k", "q", "q")},
		{"phi", t.Phi, of("K", "L", "P", "P")}, {"phi_stderr", t.PhiStderr, of("K", "L", "P", "P")},
		{"g", t.G, npy.Join(of("K", "L"), p, p)}, {"g_stderr", t.GStderr, npy.Join(of("K", "L"), p, p)},
		{"phi_movement", t.PhiMovement, of("K", "L")}, {"g_movement", t.GMovement, of("K", "L")}, {"phi_alignment", t.PhiAlignment, of("K", "L")}, {"ntk_spectrum", t.NTKSpectrum, of("S", "PC")},
		{"phi_two_time", t.PhiTwoTime, of("L", "J", "J", "P", "P")}, {"phi_two_time_stderr", t.PhiTwoTimeStderr, of("L", "J", "J", "P", "P")},
		{"g_two_time", t.GTwoTime, npy.Join(of("L", "J", "J"), p, p)}, {"g_two_time_stderr", t.GTwoTimeStderr, npy.Join(of("L", "J", "J"), p, p)},
		{"response_a", t.ResponseA, npy.Join(of("l", "J", "J", "P"), p)}, {"response_a_stderr", t.ResponseAStderr, npy.Join(of("l", "J", "J", "P"), p)},
		{"response_b", t.ResponseB, npy.Join(of("l", "J", "J"), p, of("P"))}, {"response_b_stderr", t.ResponseBStderr, npy.Join(of("l", "J", "J"), p, of("P"))},
		{"f_depths", t.FDepths, npy.Join(of("n", "T"), p)}, {"f_depths_stderr", t.FDepthsStderr, npy.Join(of("n", "T"), p)}, {"loss_depths", t.LossDepths, of("n", "T")},
		{"preactivations", t.Preactivations, of("ends", "layers", "sites", "shown")},
	} {
		s.Array(x.name, npy.Array(x.a), x.axes...)
	}
	if len(t.LayerTime) > 0 {
		s.Series("layer_time", t.LayerTime, "L")
	}
	return s.Err()
}
