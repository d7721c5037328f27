package highdim

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

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
		train, learn, dex = append(train, g.Train), append(learn, g.Test), append(dex, g.Dex)
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

// A Distance compares the networks of one dimension with the theory. Distances are root mean squares over times of
// train and test loss together, relative to those of the theory.
type Distance struct {
	Dimension   int     `json:"dimension"`
	Seeds       int     `json:"seeds"`
	Error       float64 `json:"error"`        // of one network, rms over seeds, without the noise of the theory
	ErrorStderr float64 `json:"error_stderr"` //
	Mean        float64 `json:"mean_error"`   // of the mean over seeds
	Noise       float64 `json:"mean_error_noise"`
	Train       float64 `json:"train_error"` // of the mean, train loss alone
	Test        float64 `json:"test_error"`
	// Share of times and losses where the mean is within three combined standard errors.
	Within3 float64 `json:"within_3_stderr"`
}

// A Report compares the theory with networks in several dimensions. The verdict and its tests, of train and test loss,
// are those of [compare.Converge].
type Report struct {
	*compare.Convergences
	Dimensions []Distance   `json:"dimensions"`
	Error      compare.Rate `json:"error_rate"` // of a typical network in D, expected −1/2, see dimensionRate
	Distance   float64      `json:"distance"`   // of the mean of the largest dimension, root mean square of both losses
	Noise      float64      `json:"noise"`
	Tolerance  float64      `json:"tolerance"`
	Scale      float64      `json:"scale"` // rms of the theory, the unit of all distances
	Steps      int          `json:"steps"` // times compared
}

// Observables are what ensembles are compared with the theory by: train and test loss, at no more than [compare.Times]
// times.
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
	out := []compare.Observable{{Name: "loss", Limit: pick(theory.LossReplicas)},
		{Name: "test_loss", Limit: pick(theory.TestLossReplicas)}}
	for i := range out {
		out[i].OneBlock = theory.Samples > 0 && theory.Replicas < 2
	}
	for _, s := range sims {
		out[0].Ensembles, out[1].Ensembles = append(out[0].Ensembles, pick(s.LossReplicas)),
			append(out[1].Ensembles, pick(s.TestLossReplicas))
	}
	return out, nil
}

// Compare says how far simulations of one problem are from its theory, and whether they agree. Options.Tolerance is the
// relative distance that is no deviation. A trajectory that stopped early is compared as far as it goes, and the
// verdict is undecided.
func Compare(theory *Trajectory, sims []*Trajectory, opt compare.Options) (*Report, error) {
	if len(sims) == 0 {
		return nil, errors.New("highdim: no simulations to compare the theory with")
	}
	sims = slices.Clone(sims)
	slices.SortFunc(sims, func(a, b *Trajectory) int { return a.Dimension - b.Dimension })
	n := len(theory.Time)
	var sizes []int
	var stopped compare.Stopped
	stopped.Add("the theory", theory.Status)
	for _, s := range sims {
		n, sizes = min(n, len(s.Time)), append(sizes, s.Dimension)
		stopped.Add(fmt.Sprintf("networks in %d dimensions", s.Dimension), s.Status)
	}
	switch {
	case n < 2 && stopped != nil: // there is nothing to compare but the start
		return &Report{Convergences: stopped.Alone(sizes, opt), Dimensions: []Distance{}, Tolerance: opt.Tolerance}, nil
	case n == 0:
		return nil, errors.New("highdim: nothing to compare, no step was finished")
	}
	inf := slices.Concat(theory.Loss[:n], theory.TestLoss[:n])
	infErr := slices.Concat(theory.LossStderr[:n], theory.TestLossStderr[:n])
	r := &Report{Tolerance: opt.Tolerance, Steps: n, Scale: math.Sqrt(meanSquare(inf))}
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
	var dims []float64
	var each [][]float64 // error of every network
	for _, s := range sims {
		mean := slices.Concat(s.Loss[:n], s.TestLoss[:n])
		meanErr := slices.Concat(s.LossStderr[:n], s.TestLossStderr[:n])
		x := Distance{Dimension: s.Dimension, Seeds: s.Replicas, Mean: apart(mean, inf),
			Train: apart(mean[:n], inf[:n]), Test: apart(mean[n:], inf[n:]),
			Noise: math.Sqrt(meanSquare(infErr)+meanSquare(meanErr)) / r.Scale}
		var sq, one []float64
		for j := range s.Replicas {
			a := apart(slices.Concat(s.LossReplicas.At(j).Data[:n], s.TestLossReplicas.At(j).Data[:n]), inf)
			sq, one = append(sq, a*a), append(one, a)
		}
		dims, each = append(dims, float64(s.Dimension)), append(each, one)
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
	}
	r.Error = dimensionRate(dims, each, math.Sqrt(meanSquare(infErr))/r.Scale)
	last := r.Dimensions[len(r.Dimensions)-1]
	r.Distance, r.Noise = last.Mean, last.Noise
	obs, err := Observables(theory, sims)
	if err != nil {
		return nil, err
	}
	opt.Size = "D"
	if r.Convergences, err = compare.Converge(sizes, obs, opt); err != nil {
		return nil, err
	}
	stopped.Conclude(r.Convergences)
	return r, nil
}

// dimensionRate is the power of D with which the errors of single networks fall, expected −1/2. Since √D(loss − limit)
// has a law that does not depend on D, neither has the spread of ln e over networks: its slope in ln D is that of
// ordinary least squares, with the 95 % interval of Student's t, whatever that law is. Logarithms do not mind a few
// networks that are stuck, as means of squares do. Two things widen the interval by as much as they move the slope. The
// theory has an error of its own, whose square adds to that of every network, and which is taken off. The next order of
// an expansion in fluctuations of relative size e is of relative size e², and is left out of a power law.
func dimensionRate(dims []float64, errs [][]float64, theory float64) compare.Rate {
	r := compare.Rate{Expected: -0.5}
	var x, y, off, next []float64 // ln D, ln e, what the error of the theory added, the size of the next order
	spread := map[float64]bool{}
	for i, d := range dims {
		typical := 0.
		for _, e := range errs[i] {
			if !(e > 0) || math.IsInf(e, 1) {
				return r
			}
			typical += math.Log(e) / float64(len(errs[i]))
		}
		square := math.Exp(2 * typical)
		add := -0.5 * math.Log(math.Max(1-theory*theory/square, 0.1))
		for _, e := range errs[i] {
			x, y, off, next = append(x, math.Log(d)), append(y, math.Log(e)-add), append(off, add), append(next, square)
		}
		spread[d] = true
	}
	if len(spread) < 2 || len(x) < 4 {
		return r
	}
	slope := func(y []float64) float64 { _, b := stat.LinearRegression(x, y, nil, false); return b }
	n := float64(len(x))
	a, b := stat.LinearRegression(x, y, nil, false)
	rest := 0.
	for i := range x {
		rest += (y[i] - a - b*x[i]) * (y[i] - a - b*x[i])
	}
	half := distuv.StudentsT{Sigma: 1, Nu: n - 2}.Quantile(0.975) * math.Sqrt(rest/(n-2)/((n-1)*stat.Variance(x, nil)))
	half += math.Abs(slope(off)) + math.Abs(slope(next))
	r.Exponent, r.Amplitude, r.Lo, r.Hi = b, math.Exp(a), b-half, b+half
	r.Resolved = half <= 1
	r.Judged = r.Resolved && len(spread) > 2
	r.Consistent = r.Resolved && r.Lo <= r.Expected && r.Expected <= r.Hi
	return r
}
