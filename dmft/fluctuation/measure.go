package fluctuation

import (
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
)

// Spread compares the scatter of an ensemble of finite networks with its prediction: the ratio of N times a variance,
// measured over predicted, with a 95 % interval from the seeds and the sampling error of the prediction. It differs
// from one by terms of order 1/N.
type Spread struct {
	What  string  `json:"what"` // f, f at test points, or the NTK at the start
	Width int     `json:"width"`
	Seeds int     `json:"seeds"`
	Ratio float64 `json:"ratio"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
}

// Covers says whether the interval holds one.
func (s Spread) Covers() bool { return s.Lo <= 1 && 1 <= s.Hi }

// Measure returns the ratios for an ensemble of two or more networks, as far as they are predicted and recorded: of
// predictions, summed over times and points, with the jackknife over seeds, and of the NTK at the start, summed over
// its elements, as if they were one normal variable.
func (r *Result) Measure(sim *dmft.Trajectory) []Spread {
	var out []Spread
	for _, of := range []struct {
		what  string
		seeds dmft.Array
		want  Estimate
	}{{"f", sim.FReplicas, r.MeanVariance}, {"f at test points", sim.FTestReplicas, r.MeanTestVariance}} {
		if of.want.Empty() || of.seeds.Empty() || of.seeds.Shape[0] < 2 {
			continue
		}
		n := of.seeds.Shape[0]
		steps := min(of.seeds.Shape[1], len(of.want.Value.Data))
		per := len(of.seeds.Data) / n / of.seeds.Shape[1]
		got, stderr := jackknife(of.seeds, 0, steps*per)
		want, wantErr := 0., 0.
		for j := range steps {
			want += float64(per) * of.want.Value.Data[j]
			wantErr += float64(per) * of.want.Stderr.Data[j] // times err together
		}
		if !(want > 0) || !(got > 0) {
			continue
		}
		out = append(out, spread(of.what, sim, float64(sim.Width)*got/want, math.Hypot(stderr/got, wantErr/want)))
	}
	want := r.MeanNTKVariance
	if len(r.KernelStep) == 0 && r.Start != nil {
		want = r.Start.MeanNTK
	}
	if n := sim.Replicas; n > 1 && !want.Empty() && !sim.NTKStderr.Empty() && sim.KernelStep[0] == 0 &&
		want.Value.Data[0] > 0 {
		got := 0.
		row := sim.NTKStderr.At(0).Data
		for _, x := range row {
			got += x * x * float64(n*sim.Width) / float64(len(row))
		}
		out = append(out, spread("the NTK at the start", sim, got/want.Value.Data[0],
			math.Hypot(math.Sqrt(2/float64(n-1)), want.Stderr.Data[0]/want.Value.Data[0])))
	}
	return out
}

// spread is a ratio with the interval of a relative error.
func spread(what string, sim *dmft.Trajectory, ratio, relative float64) Spread {
	return Spread{What: what, Width: sim.Width, Seeds: sim.Replicas, Ratio: ratio, Lo: ratio * math.Exp(-1.96*relative),
		Hi: ratio * math.Exp(1.96*relative)}
}

// Least is the width at which, at the worst step, the mean correction of the predictions is as large as their standard
// deviation, and that step: the expansion describes widths well above it. Beyond the edge of stability, where
// fluctuations grow at every step, it can be thousands. It is 0 where mean corrections are not known.
func (r *Result) Least() (width float64, step int) {
	if r.FBias.Empty() {
		return 0, 0
	}
	for k := range r.Time {
		bias, variance := 0., 0.
		for i, v := range r.FVariance.Value.At(k).Data {
			b := r.FBias.Value.At(k).Data[i]
			bias, variance = bias+b*b, variance+v
		}
		if variance > 0 && bias/variance > width {
			width, step = bias/variance, k
		}
	}
	return width, step
}

// Variance returns N times the variance over seeds of an ensemble at one recorded time, averaged over points and
// outputs, and its standard error (jackknife); replicas is FReplicas or FTestReplicas of the ensemble.
func Variance(sim *dmft.Trajectory, replicas dmft.Array, step int) (v, stderr float64) {
	per := len(replicas.Data) / replicas.Shape[0] / replicas.Shape[1]
	v, stderr = jackknife(replicas, step*per, (step+1)*per)
	scale := float64(sim.Width) / float64(per)
	return scale * v, scale * stderr
}

// jackknife returns the sum of the sample variances over the first axis of elements from … to − 1, and its standard
// error. Leaving out replica i changes the sum of squared deviations by n/(n−1) times the squared distance of i from
// the mean.
func jackknife(a dmft.Array, from, to int) (v, stderr float64) {
	n := float64(a.Shape[0])
	mean := make([]float64, to-from)
	for i := range a.Shape[0] {
		for j, x := range a.At(i).Data[from:to] {
			mean[j] += x / n
		}
	}
	far := make([]float64, a.Shape[0]) // squared distances from the mean
	sum := 0.
	for i := range far {
		for j, x := range a.At(i).Data[from:to] {
			far[i] += (x - mean[j]) * (x - mean[j])
		}
		sum += far[i]
	}
	v = sum / (n - 1)
	if n < 3 {
		return v, v * math.Sqrt(2/(n-1)) // of one normal variable
	}
	average, squares := 0., 0.
	left := make([]float64, len(far))
	for i, d := range far {
		left[i] = (sum - n/(n-1)*d) / (n - 2)
		average += left[i] / n
	}
	for _, x := range left {
		squares += (x - average) * (x - average)
	}
	return v, math.Sqrt(squares * (n - 1) / n)
}
