package run

import (
	"fmt"
	"math"
	"slices"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
)

// shapes checks that the arrays of a file fit together, so that what reads them need not: a file that somebody else has written, or that is damaged, becomes an error
// in place of a panic somewhere in a figure. Axes have names; an axis has one length in all arrays.
type shapes struct {
	length map[string]int
	err    error
}

// axis says how long an axis is.
func (s *shapes) axis(name string, n int) {
	if m, ok := s.length[name]; ok && m != n && s.err == nil {
		s.err = fmt.Errorf("an axis %s of length %d and of length %d", name, m, n)
	}
	s.length[name] = n
}

// array checks an array that is there. Its elements are as many as its shape says, as any array that was read.
func (s *shapes) array(name string, a dmft.Array, axes ...string) {
	if a.Empty() || s.err != nil {
		return
	}
	if len(a.Shape) != len(axes) {
		s.err = fmt.Errorf("the array %s has shape %v and needs %d axes", name, a.Shape, len(axes))
		return
	}
	for i, x := range axes {
		if s.axis(x, a.Shape[i]); s.err != nil {
			s.err = fmt.Errorf("the array %s has shape %v: %w", name, a.Shape, s.err)
			return
		}
	}
}

// series checks a vector that is there.
func (s *shapes) series(name string, v []float64, axis string) {
	s.array(name, dmft.Array{Shape: []int{len(v)}, Data: v}, axis)
}

// steps checks numbers of steps, or depths, that are there: they rise from from.
func (s *shapes) steps(name string, v []int, axis string, from int) {
	if len(v) > 0 {
		s.axis(axis, len(v))
	}
	for _, n := range v {
		if n < from && s.err == nil {
			s.err = fmt.Errorf("the array %s holds %d where at least %d is expected", name, n, from)
		}
		from = n + 1
	}
}

// outputs are the axes of predictions after the first: points, and outputs where there are several.
func outputs(f dmft.Array, points string) []string {
	if len(f.Shape) == 3 {
		return []string{points, "C"}
	}
	return []string{points}
}

func join(axes ...[]string) (all []string) {
	for _, a := range axes {
		all = append(all, a...)
	}
	return all
}

// checkTrajectory checks the arrays of a trajectory.
func checkTrajectory(t *dmft.Trajectory) error {
	s := &shapes{length: map[string]int{"T": len(t.Time)}}
	p, pt := outputs(t.F, "P"), outputs(t.F, "Pt")
	of := func(axes ...string) []string { return axes }
	s.series("loss", t.Loss, "T")
	s.array("f", t.F, join(of("T"), p)...)
	if len(t.Time) == 0 || len(t.Loss) == 0 || t.F.Empty() {
		return fmt.Errorf("it holds no time, loss and f")
	}
	if len(t.LossStderr) == 0 || t.FStderr.Empty() || len(t.TestLoss) != len(t.TestLossStderr) || t.FTest.Empty() != t.FTestStderr.Empty() {
		return fmt.Errorf("it holds losses or predictions without their errors")
	}
	if k := len(t.KernelTime); k > 0 && (len(t.KernelStep) != k || len(t.KernelMovement) != k || len(t.Alignment) != k || t.NTK.Empty() || t.Phi.Empty() || t.PhiMovement.Empty() || t.GMovement.Empty()) {
		return fmt.Errorf("it holds kernel_time, and of what was kept at these times not all")
	}
	s.axis("K", len(t.KernelTime))
	s.axis("S", len(t.SpectrumTime))
	s.axis("PC", len(t.F.Data)/len(t.Time))
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
		s.series(x.name, x.v, x.axis)
	}
	s.steps("kernel_step", t.KernelStep, "K", 0)
	s.steps("two_time_step", t.TwoTimeStep, "J", 0)
	s.steps("depths", t.Depths, "n", 1)
	for _, x := range []struct {
		name string
		a    dmft.Array
		axes []string
	}{
		{"f_stderr", t.FStderr, join(of("T"), p)}, {"f_test", t.FTest, join(of("T"), pt)}, {"f_test_stderr", t.FTestStderr, join(of("T"), pt)},
		{"replicas of f", t.FReplicas, join(of("R", "T"), p)}, {"replicas of f_test", t.FTestReplicas, join(of("R", "T"), pt)}, {"replicas of loss", t.LossReplicas, of("R", "T")},
		{"ntk", t.NTK, join(of("K"), p, p)}, {"ntk_stderr", t.NTKStderr, join(of("K"), p, p)}, {"replicas of ntk", t.NTKReplicas, of("R", "k", "q", "q")},
		{"phi", t.Phi, of("K", "L", "P", "P")}, {"phi_stderr", t.PhiStderr, of("K", "L", "P", "P")},
		{"g", t.G, join(of("K", "L"), p, p)}, {"g_stderr", t.GStderr, join(of("K", "L"), p, p)},
		{"phi_movement", t.PhiMovement, of("K", "L")}, {"g_movement", t.GMovement, of("K", "L")}, {"phi_alignment", t.PhiAlignment, of("K", "L")}, {"ntk_spectrum", t.NTKSpectrum, of("S", "PC")},
		{"phi_two_time", t.PhiTwoTime, of("L", "J", "J", "P", "P")}, {"phi_two_time_stderr", t.PhiTwoTimeStderr, of("L", "J", "J", "P", "P")},
		{"g_two_time", t.GTwoTime, join(of("L", "J", "J"), p, p)}, {"g_two_time_stderr", t.GTwoTimeStderr, join(of("L", "J", "J"), p, p)},
		{"response_a", t.ResponseA, join(of("l", "J", "J", "P"), p)}, {"response_a_stderr", t.ResponseAStderr, join(of("l", "J", "J", "P"), p)},
		{"response_b", t.ResponseB, join(of("l", "J", "J"), p, of("P"))}, {"response_b_stderr", t.ResponseBStderr, join(of("l", "J", "J"), p, of("P"))},
		{"f_depths", t.FDepths, join(of("n", "T"), p)}, {"f_depths_stderr", t.FDepthsStderr, join(of("n", "T"), p)}, {"loss_depths", t.LossDepths, of("n", "T")},
		{"preactivations", t.Preactivations, of("ends", "layers", "sites", "shown")},
	} {
		s.array(x.name, x.a, x.axes...)
	}
	if len(t.LayerTime) > 0 {
		s.series("layer_time", t.LayerTime, "L")
	}
	return s.err
}

// Together checks that trajectories are of the same points, as those of one run folder are.
func Together(t ...*dmft.Trajectory) error {
	for _, x := range t[min(len(t), 1):] {
		if a, b := t[0].F.Shape[1:], x.F.Shape[1:]; !slices.Equal(a, b) {
			return fmt.Errorf("predictions of shape %v and of shape %v in one run folder: its files do not belong together; run the experiment again with --force", a, b)
		}
		if a, b := t[0].FTest, x.FTest; !a.Empty() && !b.Empty() && !slices.Equal(a.Shape[1:], b.Shape[1:]) {
			return fmt.Errorf("test predictions of shape %v and of shape %v in one run folder: its files do not belong together; run the experiment again with --force", a.Shape[1:], b.Shape[1:])
		}
	}
	return nil
}

// checkHighDimensional checks the arrays of a trajectory of high-dimensional data.
func checkHighDimensional(t *highdim.Trajectory) error {
	if len(t.Time) == 0 || len(t.Loss) == 0 || len(t.TestLoss) == 0 {
		return fmt.Errorf("%d times, %d and %d losses", len(t.Time), len(t.Loss), len(t.TestLoss))
	}
	if t.Dimension < 0 || t.Samples < 0 || t.Replicas < 0 {
		return fmt.Errorf("dimension %d, %d samples and %d replicas", t.Dimension, t.Samples, t.Replicas)
	}
	if len(t.LossStderr) == 0 || len(t.TestLossStderr) == 0 {
		return fmt.Errorf("it holds losses without their errors")
	}
	s := &shapes{length: map[string]int{"T": len(t.Time)}}
	for _, x := range []struct {
		name string
		v    []float64
		axis string
	}{
		{"loss", t.Loss, "T"}, {"loss_stderr", t.LossStderr, "T"}, {"test_loss", t.TestLoss, "T"}, {"test_loss_stderr", t.TestLossStderr, "T"},
		{"alignment_time", t.AlignmentTime, "A"}, {"alignment", t.Alignment, "A"}, {"alignment_stderr", t.AlignmentStderr, "A"},
	} {
		s.series(x.name, x.v, x.axis)
	}
	if n := len(t.Regression); n != 0 && n != 2 {
		return fmt.Errorf("kernel_regression holds %d numbers and not two losses", n)
	}
	overlaps := []string{"T", "N"}
	if len(t.Overlaps.Shape) == 3 {
		overlaps = append(overlaps, "directions")
	}
	for _, x := range []struct {
		name string
		a    dmft.Array
		axes []string
	}{
		{"replicas of loss", t.LossReplicas, []string{"R", "T"}}, {"replicas of test_loss", t.TestLossReplicas, []string{"R", "T"}},
		{"test_loss_parts", t.TestLossParts, []string{"T", "parts"}}, {"test_loss_parts_stderr", t.TestLossPartsStderr, []string{"T", "parts"}},
		{"overlaps", t.Overlaps, overlaps}, {"overlaps_stderr", t.OverlapsStderr, overlaps},
		{"gram", t.Gram, []string{"T", "N", "N"}}, {"readout", t.Readout, []string{"T", "N"}},
		{"moments", t.Moments, []string{"T", "moments"}}, {"moments_stderr", t.MomentsStderr, []string{"T", "moments"}},
		{"response_w", t.ResponseW, []string{"t", "t", "N", "N"}}, {"response_g", t.ResponseG, []string{"t", "t", "N", "N"}},
	} {
		s.array(x.name, x.a, x.axes...)
	}
	for name, want := range map[string]int{"parts": 3, "moments": 5} {
		if n, ok := s.length[name]; ok && n != want && s.err == nil {
			s.err = fmt.Errorf("%d %s and not %d", n, name, want)
		}
	}
	return s.err
}

// checkFluctuations checks the arrays of the fluctuations of finite width, of which many are the same shape.
func checkFluctuations(r *fluctuation.Result) error {
	if len(r.Time) > 0 && (r.FVariance.Empty() || r.MeanVariance.Empty() || r.LossVariance.Empty()) {
		return fmt.Errorf("it holds times and not all variances at them")
	}
	s := &shapes{length: map[string]int{"T": len(r.Time), "K": len(r.KernelTime)}}
	p, pt := outputs(r.F.Value, "P"), outputs(r.F.Value, "Pt")
	of := func(axes ...string) []string { return axes }
	s.steps("kernel_step", r.KernelStep, "K", 0)
	s.steps("covariance_step", r.CovarianceStep, "J", 0)
	for _, x := range []struct {
		name string
		e    fluctuation.Estimate
		axes []string
	}{
		{"kurtosis", r.Kurtosis, of("P")}, {"f", r.F, join(of("T"), p)}, {"f_variance", r.FVariance, join(of("T"), p)}, {"f_bias", r.FBias, join(of("T"), p)},
		{"f_test_variance", r.FTestVariance, join(of("T"), pt)}, {"f_test_bias", r.FTestBias, join(of("T"), pt)}, {"f_variance_mean", r.MeanVariance, of("T")},
		{"f_test_variance_mean", r.MeanTestVariance, of("T")}, {"ntk_variance_mean", r.MeanNTKVariance, of("K")}, {"loss_variance", r.LossVariance, of("T")},
		{"loss_bias", r.LossBias, of("T")}, {"test_loss_variance", r.TestLossVariance, of("T")}, {"test_loss_bias", r.TestLossBias, of("T")},
		{"ntk_variance", r.NTKVariance, join(of("K"), p, p)}, {"ntk_bias", r.NTKBias, join(of("K"), p, p)}, {"phi_variance", r.PhiVariance, of("K", "L", "P", "P")},
		{"phi_bias", r.PhiBias, of("K", "L", "P", "P")}, {"g_variance", r.GVariance, join(of("K", "L"), p, p)}, {"g_bias", r.GBias, join(of("K", "L"), p, p)},
		{"f_covariance", r.FCovariance, join(of("J"), p, of("J"), p)},
	} {
		s.array(x.name, x.e.Value, x.axes...)
		if !x.e.Stderr.Empty() {
			s.array(x.name+"_stderr", x.e.Stderr, x.axes...)
		}
		if x.e.Value.Empty() != x.e.Stderr.Empty() && s.err == nil {
			s.err = fmt.Errorf("the array %s without its errors", x.name)
		}
	}
	return s.err
}

// ints are whole numbers kept as float64; what is none is -1, which no step, size or depth is.
func ints(x []float64) []int {
	var out []int
	for _, v := range x {
		if v != math.Trunc(v) || math.Abs(v) > 1<<40 {
			v = -1
		}
		out = append(out, int(v))
	}
	return out
}
