package fluctuation

import (
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
)

// Spread compares the scatter of an ensemble of finite networks with its prediction: the ratio of N Var f, summed over times and points, measured over predicted, with
// a 95 % interval from the seeds (jackknife) and the sampling error of the prediction. It differs from one by terms of order 1/N.
type Spread struct {
	Width int     `json:"width"`
	Seeds int     `json:"seeds"`
	Ratio float64 `json:"ratio"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	Test  bool    `json:"test,omitempty"` // of test points
}

// Covers says whether the interval holds one.
func (s Spread) Covers() bool { return s.Lo <= 1 && 1 <= s.Hi }

// Measure returns the ratio for the training points and, if there are any, for the test points of an ensemble of two or more networks.
func (r *Result) Measure(sim *dmft.Trajectory) []Spread {
	var out []Spread
	for i, of := range []struct {
		seeds dmft.Array
		want  Estimate
	}{{sim.FReplicas, r.FVariance}, {sim.FTestReplicas, r.FTestVariance}} {
		if of.want.Empty() || of.seeds.Empty() || of.seeds.Shape[0] < 2 {
			continue
		}
		n := of.seeds.Shape[0]
		steps := min(of.seeds.Shape[1], of.want.Value.Shape[0])
		per := len(of.want.Value.Data) / of.want.Value.Shape[0]
		if len(of.seeds.Data)/n/of.seeds.Shape[1] != per {
			continue
		}
		got, stderr := jackknife(of.seeds, 0, steps*per)
		want, wantErr := 0., 0.
		for j := range steps * per {
			want += of.want.Value.Data[j]
			wantErr += of.want.Stderr.Data[j] // times and points err together
		}
		if !(want > 0) || !(got > 0) {
			continue
		}
		s := Spread{Width: sim.Width, Seeds: n, Ratio: float64(sim.Width) * got / want, Test: i == 1}
		e := 1.96 * math.Hypot(stderr/got, wantErr/want)
		s.Lo, s.Hi = s.Ratio*math.Exp(-e), s.Ratio*math.Exp(e)
		out = append(out, s)
	}
	return out
}

// Variance returns N times the variance over seeds of an ensemble at one recorded time, averaged over points and outputs, and its standard error (jackknife); replicas is FReplicas or
// FTestReplicas of the ensemble.
func Variance(sim *dmft.Trajectory, replicas dmft.Array, step int) (v, stderr float64) {
	per := len(replicas.Data) / replicas.Shape[0] / replicas.Shape[1]
	v, stderr = jackknife(replicas, step*per, (step+1)*per)
	scale := float64(sim.Width) / float64(per)
	return scale * v, scale * stderr
}

// jackknife returns the sum of the sample variances over the first axis of elements from … to − 1, and its standard error. Leaving out replica i changes the sum of
// squared deviations by n/(n−1) times the squared distance of i from the mean.
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
