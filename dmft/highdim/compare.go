package highdim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
)

// MarshalJSON writes a time or a gap that is infinite as "never", and what is not a number as null.
func (g Gap) MarshalJSON() ([]byte, error) {
	word := func(x float64) any {
		switch {
		case math.IsInf(x, 1):
			return "never"
		case math.IsNaN(x) || math.IsInf(x, -1):
			return nil
		}
		return x
	}
	return json.Marshal(map[string]any{"train": word(g.Train), "test": word(g.Test), "dex": word(g.Dex)})
}

// Spread is the grokking gap of an ensemble.
type Spread struct {
	Fraction float64 `json:"fraction"`      // of the initial losses
	Mean     Gap     `json:"of_mean"`       // of the mean losses
	Median   Gap     `json:"median"`        // over replicas, of each of the three numbers
	Lower    Gap     `json:"lower"`         // quartile
	Upper    Gap     `json:"upper"`         // quartile
	Never    int     `json:"never"`         // replicas that did not learn the task
	Replicas int     `json:"replicas"`      //
	Horizon  float64 `json:"last_time"`     // "never" means not until then
	Over     float64 `json:"max_test_loss"` // largest mean test loss in units of the initial one
}

// SpreadOf is the gap of the replicas of t at a fraction of their initial losses.
func SpreadOf(t *Trajectory, fraction float64) Spread {
	return NewSpread(t.Time, t.Loss, t.TestLoss, t.LossReplicas, t.TestLossReplicas, fraction)
}

// NewSpread is the gap of any ensemble of losses, replicas×T, with their means.
func NewSpread(time, loss, test []float64, losses, tests dmft.Array, fraction float64) Spread {
	s := Spread{Fraction: fraction, Mean: NewGap(time, loss, test, fraction)}
	if len(time) > 0 {
		s.Horizon = time[len(time)-1]
	}
	for _, x := range test {
		s.Over = max(s.Over, x/test[0])
	}
	if losses.Empty() || tests.Empty() {
		s.Median, s.Lower, s.Upper = s.Mean, s.Mean, s.Mean
		return s
	}
	s.Replicas = losses.Shape[0]
	var train, learn, dex []float64
	for j := range s.Replicas {
		g := NewGap(time, losses.At(j).Data[:len(time)], tests.At(j).Data[:len(time)], fraction)
		if g.Never() {
			s.Never++
		}
		train, learn = append(train, g.Train), append(learn, g.Test)
		if math.IsNaN(g.Dex) { // neither was learned
			g.Dex = math.Inf(1)
		}
		dex = append(dex, g.Dex)
	}
	at := func(q float64) Gap { return Gap{quantile(train, q), quantile(learn, q), quantile(dex, q)} }
	s.Median, s.Lower, s.Upper = at(0.5), at(0.25), at(0.75)
	return s
}

// quantile interpolates between the two values around it; infinite ones are ordered, too.
func quantile(x []float64, q float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	at := q * float64(len(x)-1)
	lo := int(at)
	if f := at - float64(lo); f > 1e-12 && x[lo+1] != x[lo] {
		return x[lo] + f*(x[lo+1]-x[lo])
	}
	return x[lo]
}

// String is the gap with what is known of its spread: "1.37 dex [1.21, 1.52]", "1.4 dex, 3 of 20 never", "never".
func (s Spread) String() string {
	t := s.Median.String()
	if s.Replicas > 1 && !s.Median.Never() {
		hi := "never"
		if !s.Upper.Never() && !math.IsInf(s.Upper.Dex, 0) {
			hi = fmt.Sprintf("%.3g", s.Upper.Dex)
		}
		t += fmt.Sprintf(" [%.3g, %s]", s.Lower.Dex, hi)
	}
	if s.Never > 0 {
		t += fmt.Sprintf(", %d of %d never", s.Never, s.Replicas)
	}
	return t
}

// A Distance compares the networks of one dimension with the theory. Distances are root mean squares over times of train and test loss together, relative to
// those of the theory.
type Distance struct {
	Dimension   int     `json:"dimension"`
	Seeds       int     `json:"seeds"`
	Error       float64 `json:"error"`        // of one network, rms over seeds, without the noise of the theory
	ErrorStderr float64 `json:"error_stderr"` //
	Mean        float64 `json:"mean_error"`   // of the mean over seeds
	Noise       float64 `json:"mean_error_noise"`
	Train       float64 `json:"train_error"` // of the mean, train loss alone
	Test        float64 `json:"test_error"`
	Within3     float64 `json:"within_3_stderr"` // share of times and losses where the mean is within three combined standard errors
}

// A Report compares the theory with networks in several dimensions.
type Report struct {
	Dimensions []Distance   `json:"dimensions"`
	Error      compare.Rate `json:"error_rate"` // of one network in D, expected −1/2
	// The verdict compares the theory with the mean of the largest dimension: Distance ≤ 3·Noise + Tolerance.
	Distance  float64 `json:"distance"`
	Noise     float64 `json:"noise"`
	Tolerance float64 `json:"tolerance"`
	Agree     bool    `json:"agree"`
	Scale     float64 `json:"scale"` // rms of the theory, the unit of all distances
	Steps     int     `json:"steps"` // times compared
}

// Verdict is the result in words.
func (r *Report) Verdict() string {
	s := fmt.Sprintf("theory and the mean of simulations at D = %d are %.2g apart (relative), sampling errors explain %.2g, tolerance %.2g: ",
		r.Dimensions[len(r.Dimensions)-1].Dimension, r.Distance, r.Noise, r.Tolerance)
	if r.Agree {
		return s + "they agree"
	}
	return s + "they DISAGREE"
}

// Observables are what ensembles are compared with the theory by: train and test loss, at no more than [compare.Times] times.
func Observables(theory *Trajectory, sims []*Trajectory) ([]compare.Observable, error) {
	n := len(theory.Time)
	for _, s := range sims {
		n = min(n, len(s.Time))
	}
	if n == 0 {
		return nil, errors.New("highdim: nothing to compare, no step was finished")
	}
	at := alignmentSteps(compare.Times, n)
	pick := func(a dmft.Array) (s compare.Sample) {
		for r := range a.Shape[0] {
			x := make([]float64, len(at))
			for i, k := range at {
				x[i] = a.At(r).Data[k]
			}
			s = append(s, x)
		}
		return s
	}
	out := []compare.Observable{{Name: "loss", Limit: pick(theory.LossReplicas)}, {Name: "test_loss", Limit: pick(theory.TestLossReplicas)}}
	for _, s := range sims {
		out[0].Ensembles, out[1].Ensembles = append(out[0].Ensembles, pick(s.LossReplicas)), append(out[1].Ensembles, pick(s.TestLossReplicas))
	}
	return out, nil
}

// Compare says how far simulations of one problem are from its theory. Both kinds of error bars count, those of the theory from blocks and those of simulations from seeds;
// tolerance is the relative distance allowed beyond three of them.
func Compare(theory *Trajectory, sims []*Trajectory, tolerance float64) (*Report, error) {
	if len(sims) == 0 {
		return nil, errors.New("highdim: no simulations to compare the theory with")
	}
	sims = slices.Clone(sims)
	slices.SortFunc(sims, func(a, b *Trajectory) int { return a.Dimension - b.Dimension })
	n := len(theory.Time)
	for _, s := range sims {
		n = min(n, len(s.Time))
	}
	if n == 0 {
		return nil, errors.New("highdim: nothing to compare, no step was finished")
	}
	inf := slices.Concat(theory.Loss[:n], theory.TestLoss[:n])
	infErr := slices.Concat(theory.LossStderr[:n], theory.TestLossStderr[:n])
	r := &Report{Tolerance: tolerance, Steps: n, Scale: math.Sqrt(meanSquare(inf))}
	if r.Scale == 0 {
		r.Scale = 1
	}
	apart := func(a, b []float64) float64 {
		s := 0.
		for i, x := range a {
			s += (x - b[i]) * (x - b[i])
		}
		return math.Sqrt(s/float64(len(a))) / r.Scale
	}
	var d, e, se []float64
	for _, s := range sims {
		mean := slices.Concat(s.Loss[:n], s.TestLoss[:n])
		meanErr := slices.Concat(s.LossStderr[:n], s.TestLossStderr[:n])
		x := Distance{Dimension: s.Dimension, Seeds: s.Replicas, Mean: apart(mean, inf), Train: apart(mean[:n], inf[:n]), Test: apart(mean[n:], inf[n:]),
			Noise: math.Sqrt(meanSquare(infErr)+meanSquare(meanErr)) / r.Scale}
		var sq []float64
		for j := range s.Replicas {
			a := apart(slices.Concat(s.LossReplicas.At(j).Data[:n], s.TestLossReplicas.At(j).Data[:n]), inf)
			sq = append(sq, a*a)
		}
		m, err := meanStderr(sq)
		x.Error = math.Sqrt(max(m-meanSquare(infErr)/(r.Scale*r.Scale), 0))
		if x.Error > 0 {
			x.ErrorStderr = err / (2 * x.Error)
		}
		in := 0
		for i, v := range mean {
			if math.Abs(v-inf[i]) <= 3*math.Hypot(meanErr[i], infErr[i])+1e-12*r.Scale {
				in++
			}
		}
		x.Within3 = float64(in) / float64(2*n)
		r.Dimensions = append(r.Dimensions, x)
		d, e, se = append(d, float64(x.Dimension)), append(e, x.Error), append(se, x.ErrorStderr)
	}
	const expected = -0.5
	r.Error = compare.PowerLaw(d, e, se, 0)
	r.Error.Expected = expected
	r.Error.Consistent = r.Error.Resolved && r.Error.Lo-compare.Slack <= expected && expected <= r.Error.Hi+compare.Slack
	last := r.Dimensions[len(r.Dimensions)-1]
	r.Distance, r.Noise = last.Mean, last.Noise
	r.Agree = r.Distance <= 3*r.Noise+tolerance
	return r, nil
}
