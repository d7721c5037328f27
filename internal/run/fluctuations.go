package run

import (
	"errors"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// FluctuationsName is the file of the fluctuations of finite width in a run folder.
const FluctuationsName = "fluctuations.npz"

// estimates are the arrays with error bars of a fluctuation.Result, by name; the errors are in name_stderr.
func estimates(r *fluctuation.Result) []struct {
	name string
	e    *fluctuation.Estimate
} {
	start := r.Start
	if start == nil {
		start = &fluctuation.Start{}
	}
	return []struct {
		name string
		e    *fluctuation.Estimate
	}{
		{"f", &r.F}, {"f_variance", &r.FVariance}, {"f_bias", &r.FBias}, {"f_variance_mean", &r.MeanVariance},
		{"f_test_variance_mean", &r.MeanTestVariance}, {"ntk_variance_mean", &r.MeanNTKVariance},
		{"f_test_variance", &r.FTestVariance}, {"f_test_bias", &r.FTestBias},
		{"loss_variance", &r.LossVariance}, {"loss_bias", &r.LossBias}, {"test_loss_variance", &r.TestLossVariance},
		{"test_loss_bias", &r.TestLossBias},
		{"ntk_variance", &r.NTKVariance}, {"ntk_bias", &r.NTKBias}, {"phi_variance", &r.PhiVariance},
		{"phi_bias", &r.PhiBias}, {"g_variance", &r.GVariance}, {"g_bias", &r.GBias},
		{"f_covariance", &r.FCovariance}, {"kurtosis", &r.Kurtosis}, {"start_phi_covariance", &start.Phi},
		{"start_g_covariance", &start.G}, {"start_ntk_variance", &start.NTK}, {"start_ntk_variance_mean", &start.MeanNTK},
	}
}

// WriteFluctuations writes the fluctuations of finite width as an npz.
func WriteFluctuations(path string, r *fluctuation.Result) error {
	var out []npy.Named
	for _, x := range estimates(r) {
		if !x.e.Empty() {
			out = append(out, npy.Named{Name: x.name, Array: npy.Array(x.e.Value)},
				npy.Named{Name: x.name + "_stderr", Array: npy.Array(x.e.Stderr)})
		}
	}
	for _, x := range []struct {
		name string
		v    []float64
	}{{"time", r.Time}, {"kernel_step", npy.Floats(r.KernelStep)}, {"kernel_time", r.KernelTime},
		{"covariance_step", npy.Floats(r.CovarianceStep)}} {
		if len(x.v) > 0 {
			out = append(out, npy.Named{Name: x.name, Array: npy.Array{Shape: []int{len(x.v)}, Data: x.v}})
		}
	}
	return npy.WriteNPZ(path, out)
}

// ReadFluctuations reads what WriteFluctuations wrote.
func ReadFluctuations(path string) (*fluctuation.Result, error) {
	m, err := npy.ReadNPZ(path)
	if err != nil {
		return nil, err
	}
	r := &fluctuation.Result{Time: m["time"].Data, KernelStep: npy.Ints(m["kernel_step"].Data),
		KernelTime: m["kernel_time"].Data, CovarianceStep: npy.Ints(m["covariance_step"].Data)}
	if _, ok := m["start_ntk_variance"]; ok {
		r.Start = &fluctuation.Start{}
	}
	for _, x := range estimates(r) {
		if v, ok := m[x.name]; ok {
			*x.e = fluctuation.Estimate{Value: dmft.Array(v), Stderr: dmft.Array(m[x.name+"_stderr"])}
		}
	}
	if r.Start != nil {
		r.Start.Kurtosis = r.Kurtosis
	}
	err = checkFluctuations(r)
	if r.Kurtosis.Empty() && err == nil {
		err = errors.New("no kurtosis")
	}
	if err != nil {
		return nil, notOurs(path, "fluctuations", err)
	}
	return r, nil
}
