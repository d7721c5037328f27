package run

import (
	"fmt"
	"slices"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// Together checks that trajectories are of the same points, as those of one run folder are.
func Together(t ...*dmft.Trajectory) error {
	for _, x := range t[min(len(t), 1):] {
		if a, b := t[0].F.Shape[1:], x.F.Shape[1:]; !slices.Equal(a, b) {
			return fmt.Errorf("predictions of shape %v and of shape %v in one run folder: its files do not belong "+
				"together; run the experiment again with --force", a, b)
		}
		if a, b := t[0].FTest, x.FTest; !a.Empty() && !b.Empty() && !slices.Equal(a.Shape[1:], b.Shape[1:]) {
			return fmt.Errorf("test predictions of shape %v and of shape %v in one run folder: its files do not "+
				"belong together; run the experiment again with --force", a.Shape[1:], b.Shape[1:])
		}
	}
	return nil
}

// checkFluctuations checks the arrays of the fluctuations of finite width, of which many are the same shape.
func checkFluctuations(r *fluctuation.Result) error {
	if len(r.Time) > 0 && (r.FVariance.Empty() || r.MeanVariance.Empty() || r.LossVariance.Empty()) {
		return fmt.Errorf("it holds times and not all variances at them")
	}
	s := npy.NewShapes(map[string]int{"T": len(r.Time), "K": len(r.KernelTime)})
	p, pt := npy.Outputs(r.F.Value.Shape, "P"), npy.Outputs(r.F.Value.Shape, "Pt")
	of := func(axes ...string) []string { return axes }
	s.Steps("kernel_step", r.KernelStep, "K", 0)
	s.Steps("covariance_step", r.CovarianceStep, "J", 0)
	for _, x := range []struct {
		name string
		e    fluctuation.Estimate
		axes []string
	}{
		{"kurtosis", r.Kurtosis, of("P")}, {"f", r.F, npy.Join(of("T"), p)},
		{"f_variance", r.FVariance, npy.Join(of("T"), p)}, {"f_bias", r.FBias, npy.Join(of("T"), p)},
		{"f_test_variance", r.FTestVariance, npy.Join(of("T"), pt)},
		{"f_test_bias", r.FTestBias, npy.Join(of("T"), pt)}, {"f_variance_mean", r.MeanVariance, of("T")},
		{"f_test_variance_mean", r.MeanTestVariance, of("T")}, {"ntk_variance_mean", r.MeanNTKVariance, of("K")},
		{"loss_variance", r.LossVariance, of("T")},
		{"loss_bias", r.LossBias, of("T")}, {"test_loss_variance", r.TestLossVariance, of("T")},
		{"test_loss_bias", r.TestLossBias, of("T")},
		{"ntk_variance", r.NTKVariance, npy.Join(of("K"), p, p)}, {"ntk_bias", r.NTKBias, npy.Join(of("K"), p, p)},
		{"phi_variance", r.PhiVariance, of("K", "L", "P", "P")},
		{"phi_bias", r.PhiBias, of("K", "L", "P", "P")}, {"g_variance", r.GVariance, npy.Join(of("K", "L"), p, p)},
		{"g_bias", r.GBias, npy.Join(of("K", "L"), p, p)},
		{"f_covariance", r.FCovariance, npy.Join(of("J"), p, of("J"), p)},
	} {
		s.Array(x.name, npy.Array(x.e.Value), x.axes...)
		if !x.e.Stderr.Empty() {
			s.Array(x.name+"_stderr", npy.Array(x.e.Stderr), x.axes...)
		}
		if x.e.Value.Empty() != x.e.Stderr.Empty() {
			s.Fail("the array %s without its errors", x.name)
		}
	}
	return s.Err()
}
