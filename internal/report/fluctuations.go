package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
)

// shownTimes is at how many times the scatter of an ensemble is drawn.
const shownTimes = 12

// fluctuationFigure draws what finite width adds: predictions and losses of single networks as bands of the theory with
// the scatter of the ensembles, and N times the variances of predictions and of the NTK.
func fluctuationFigure(results []Result) (figure.Figure, bool) {
	f := figure.Figure{Title: "Single networks: mean ± one standard deviation, theory of order 1/N (bands) and seeds " +
		"(bars); N × variances with 95 % intervals", Columns: len(results), SameY: true}
	if len(results) == 1 {
		f.Columns = 3
	}
	if !slices.ContainsFunc(results, Result.fluctuates) {
		return f, false
	}
	test := slices.ContainsFunc(results, func(r Result) bool {
		return r.fluctuates() &&
			!r.Fluctuations.FTestVariance.Empty()
	})
	kernels := slices.ContainsFunc(results, func(r Result) bool {
		return r.fluctuates() &&
			len(r.Fluctuations.KernelStep) > 1
	})
	rows := []func(Result) figure.Panel{Result.predictionBands, Result.lossBands,
		func(r Result) figure.Panel { return r.variances(false) }}
	if test {
		rows = append(rows, func(r Result) figure.Panel { return r.variances(true) })
	}
	if kernels {
		rows = append(rows, Result.kernelVariances)
	}
	for row, draw := range rows {
		for _, r := range results {
			p := figure.Panel{Blank: true}
			if r.fluctuates() {
				p = draw(r)
			}
			if row == 0 {
				p.Title = r.title()
			}
			f.Panels = append(f.Panels, p)
		}
	}
	return f, true
}

// fluctuates says whether fluctuations in training were predicted.
func (r Result) fluctuates() bool { return r.Fluctuations != nil && !r.Fluctuations.FVariance.Empty() }

// outer are the narrowest and the widest ensemble.
func (r Result) outer() []*dmft.Trajectory {
	if len(r.Sims) < 2 {
		return r.Sims
	}
	return []*dmft.Trajectory{r.Sims[0], r.Sims[len(r.Sims)-1]}
}

// shown are the steps at which the scatter of an ensemble is drawn, shifted a little from one ensemble to the next.
func shown(t *dmft.Trajectory, which, of int) []int {
	n := len(t.Loss)
	var out []int
	for i := range shownTimes {
		s := (float64(i) + (float64(which)+0.5)/float64(of)) * float64(n) / shownTimes
		if k := int(s); k < n && (len(out) == 0 || k > out[len(out)-1]) {
			out = append(out, k)
		}
	}
	return out
}

// spread draws theory ± √(variance/N) and the mean and standard deviation over the seeds for the narrowest and the
// widest ensemble.
func (r Result) spread(p *figure.Panel, theory []float64, variance, bias func(step int) float64,
	seeds func(t *dmft.Trajectory, seed, step int) float64) {
	fl := r.Fluctuations
	sims := r.outer()
	n := min(len(theory), len(fl.Time))
	for i, s := range sims {
		c := figure.Sequence(slices.Index(r.Sims, s), len(r.Sims))
		band := figure.Series{Label: fmt.Sprintf("theory for N = %d", s.Width), Color: c, Width: 1}
		for k := range n {
			y := theory[k] + bias(k)/float64(s.Width)
			d := math.Sqrt(math.Max(variance(k), 0) / float64(s.Width))
			band.X, band.Y, band.Lo, band.Hi = append(band.X, fl.Time[k]), append(band.Y, y), append(band.Lo, y-d),
				append(band.Hi, y+d)
		}
		p.Series = append(p.Series, band)
		if s.FReplicas.Empty() || s.LossReplicas.Empty() {
			continue
		}
		dots := figure.Series{Label: fmt.Sprintf("N = %d", s.Width), Color: c, Style: figure.Points}
		for _, k := range shown(s, i, len(sims)) {
			m, v := 0., 0.
			for j := range s.Replicas {
				m += seeds(s, j, k) / float64(s.Replicas)
			}
			for j := range s.Replicas {
				v += math.Pow(seeds(s, j, k)-m, 2) / float64(max(s.Replicas-1, 1))
			}
			dots.X, dots.Y, dots.Lo, dots.Hi = append(dots.X, s.Time[k]), append(dots.Y, m),
				append(dots.Lo, m-math.Sqrt(v)), append(dots.Hi, m+math.Sqrt(v))
		}
		p.Series = append(p.Series, dots)
	}
	if len(sims) == 0 {
		line := figure.Series{Label: "N = ∞", X: fl.Time[:n], Y: theory[:n], Style: figure.Dashed}
		p.Series = append(p.Series, line)
	}
}

// predictionBands is the prediction that fluctuates most.
func (r Result) predictionBands() figure.Panel {
	fl := r.Fluctuations
	v := fl.FVariance.Value
	per := len(v.Data) / v.Shape[0]
	best, most := 0, -1.
	for m := range per {
		sum := 0.
		for k := range v.Shape[0] {
			sum += v.Data[k*per+m]
		}
		if sum > most {
			best, most = m, sum
		}
	}
	theory := make([]float64, len(r.Theory.Time))
	for k := range theory {
		theory[k] = r.Theory.F.At(k).Data[best]
	}
	label := fmt.Sprintf("f of training point %d", best/r.outputs()+1)
	if c := r.outputs(); c > 1 {
		label += fmt.Sprintf(", output %d", best%c+1)
	}
	p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: label}}
	r.spread(&p, theory, func(k int) float64 { return v.At(k).Data[best] },
		func(k int) float64 { return at(fl.FBias, k, best) },
		func(t *dmft.Trajectory, seed, k int) float64 { return t.FReplicas.At(seed).At(k).Data[best] })
	return p
}

// outputs is the number of outputs of the theory.
func (r Result) outputs() int {
	if s := r.Theory.F.Shape; len(s) > 2 {
		return s[2]
	}
	return 1
}

// at is one element of an estimate at a step, 0 where it was not computed.
func at(e fluctuation.Estimate, k, i int) float64 {
	if e.Empty() {
		return 0
	}
	return e.Value.At(k).Data[i]
}

func (r Result) lossBands() figure.Panel {
	fl := r.Fluctuations
	p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: r.lossLabel("training"), Log: true}}
	r.spread(&p, r.Theory.Loss, func(k int) float64 { return fl.LossVariance.Value.Data[k] },
		func(k int) float64 { return at(fl.LossBias, k, 0) },
		func(t *dmft.Trajectory, seed, k int) float64 { return t.LossReplicas.At(seed).Data[k] })
	p.Y.Min, p.Y.Max = lossRange(p.Series)
	return p
}

// prediction is the theory of an averaged N × variance, with ± two standard errors.
func prediction(t []float64, e fluctuation.Estimate) figure.Series {
	s := figure.Series{Label: "theory of N × variance", X: t, Width: 1.4, Style: figure.Dashed, Top: true, Y: e.Value.Data}
	for k, v := range s.Y {
		s.Lo, s.Hi = append(s.Lo, v-2*e.Stderr.Data[k]), append(s.Hi, v+2*e.Stderr.Data[k])
	}
	return s
}

func (r Result) variances(test bool) figure.Panel {
	fl := r.Fluctuations
	p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: "N Var f, training points"}}
	e := fl.MeanVariance
	if test {
		p.Y.Label, e = "N Var f, test points", fl.MeanTestVariance
	}
	if e.Empty() {
		return figure.Panel{Blank: true}
	}
	p.Series = append(p.Series, prediction(fl.Time, e))
	for i, s := range r.Sims {
		seeds := s.FReplicas
		if test {
			seeds = s.FTestReplicas
		}
		if seeds.Empty() || s.Replicas < 2 {
			continue
		}
		dots := figure.Series{Label: fmt.Sprintf("N = %d", s.Width), Color: figure.Sequence(i, len(r.Sims)),
			Style: figure.Points}
		for _, k := range shown(s, i, len(r.Sims)) {
			v, d := fluctuation.Variance(s, seeds, k)
			if v > 0 {
				dots.X, dots.Y, dots.Lo, dots.Hi = append(dots.X, s.Time[k]), append(dots.Y, v),
					append(dots.Lo, v*math.Exp(-1.96*d/v)), append(dots.Hi, v*math.Exp(1.96*d/v))
			}
		}
		p.Series = append(p.Series, dots)
	}
	return p
}

// kernelVariances are of the elements of the NTK. Of the ensembles only the variance of each element is known:
// intervals are those of one normal variable.
func (r Result) kernelVariances() figure.Panel {
	fl := r.Fluctuations
	p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: "N Var NTK, mean over elements"}}
	if len(fl.KernelStep) == 0 {
		return figure.Panel{Blank: true}
	}
	p.Series = append(p.Series, prediction(fl.KernelTime, fl.MeanNTKVariance))
	for i, s := range r.Sims {
		if s.NTKStderr.Empty() || s.Replicas < 2 {
			continue
		}
		dots := figure.Series{Label: fmt.Sprintf("N = %d", s.Width), Color: figure.Sequence(i, len(r.Sims)),
			Style: figure.Points}
		every := max(len(s.KernelStep)/shownTimes, 1)
		for k := i * every / max(len(r.Sims), 1); k < len(s.KernelStep); k += every {
			v := 0.
			row := s.NTKStderr.At(k).Data
			for _, x := range row {
				v += x * x * float64(s.Replicas*s.Width) / float64(len(row))
			}
			d := 1.96 * math.Sqrt(2/float64(s.Replicas-1))
			if v > 0 {
				dots.X, dots.Y, dots.Lo, dots.Hi = append(dots.X, s.KernelTime[k]), append(dots.Y, v),
					append(dots.Lo, v*math.Exp(-d)), append(dots.Hi, v*math.Exp(d))
			}
		}
		p.Series = append(p.Series, dots)
	}
	return p
}
