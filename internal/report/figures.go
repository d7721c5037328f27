package report

import (
	"fmt"
	"image/color"
	"math"
	"strings"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// Named is a figure and the base name of its files.
type Named struct {
	Name string
	figure.Figure
}

// MaxPanels is how many points of a product share a figure.
const MaxPanels = 6

// Figures draws results side by side, as far as they hold what a figure shows: losses, classification errors, kernels,
// preactivations, the error against width, fluctuations over initialisations, kernels as heat maps over samples and
// over two times, kernels by layer, the spectrum of the NTK, the limit of infinite depth, approximations. More than six
// points are too many for one figure.
func Figures(results []Result) []Named {
	if len(results) == 0 || len(results) > MaxPanels {
		return nil
	}
	var out []Named
	for _, draw := range []struct {
		name string
		of   func([]Result) (figure.Figure, bool)
	}{
		{"loss", lossFigure}, {"error", errorFigure}, {"kernels", kernelFigure},
		{"preactivations", preactivationFigure}, {"width", widthFigure}, {"fluctuations", fluctuationFigure},
		{"heatmaps", heatmapFigure}, {"two-time", twoTimeFigure},
		{"layers", layersFigure}, {"spectrum", spectrumFigure}, {"depth", depthFigure},
		{"approximations", approximationFigure},
	} {
		if f, ok := draw.of(results); ok {
			out = append(out, Named{draw.name, f})
		}
	}
	return out
}

func (r Result) timeAxis() figure.Axis {
	if r.Flow {
		return figure.Axis{Label: "time ηt"}
	}
	return figure.Axis{Label: "step"}
}

func (r Result) title() string {
	if r.Title != "" {
		return r.Title
	}
	return pretty(r.Label)
}

// band is a curve of an ensemble with ± two standard errors.
func band(t, y, se []float64, label string, i, n int) figure.Series {
	s := figure.Series{Label: label, X: t, Y: y, Color: figure.Sequence(i, n), Width: 1}
	if len(se) == len(y) {
		s.Lo, s.Hi = make([]float64, len(y)), make([]float64, len(y))
		for k := range y {
			s.Lo[k], s.Hi[k] = y[k]-2*se[k], y[k]+2*se[k]
		}
	}
	return s
}

// limit is the theory curve: black, on top, with its own band.
func limit(t, y, se []float64, label string) figure.Series {
	s := band(t, y, se, label, 0, 1)
	s.Width, s.Top = 1.4, true
	s.Color, s.Style = limitKey(label)
	return s
}

// limitKey is how a limit is drawn: black and dashed, but the static NTK, which is another one, grey and dotted.
func limitKey(label string) (color.NRGBA, figure.Style) {
	if strings.Contains(label, methodNames[string(dmft.Lazy)]) {
		return grey, figure.Dotted
	}
	return figure.Color(0), figure.Dashed
}

// methodNames are those of approximations in figures, where the theory is N = ∞.
var methodNames = map[string]string{
	"": "N = ∞", string(dmft.Full): "N = ∞", string(dmft.Lazy): "static NTK",
	string(dmft.FrozenFeatures): "frozen features", string(dmft.LeadingOrder): "leading order in γ₀",
	string(dmft.GradientIndependence): "gradient independence",
}

func methodName(method string) string {
	if n, ok := methodNames[method]; ok {
		return n
	}
	return method
}

// ensembles are the curves of the theory and of every width. pick returns a curve and its standard errors, which may be
// nil.
func (r Result) ensembles(time func(*dmft.Trajectory) []float64,
	pick func(*dmft.Trajectory) (y, se []float64)) []figure.Series {
	var out []figure.Series
	if t := r.Theory; t != nil {
		if y, se := pick(t); len(y) > 0 {
			out = append(out, limit(time(t)[:len(y)], y, se, methodName(r.Method)))
		}
	}
	for i, s := range r.Sims {
		if y, se := pick(s); len(y) > 0 {
			out = append(out, band(time(s)[:len(y)], y, se, fmt.Sprintf("N = %d", s.Width), i, len(r.Sims)))
		}
	}
	return out
}

func stepTime(t *dmft.Trajectory) []float64   { return t.Time }
func kernelTime(t *dmft.Trajectory) []float64 { return t.KernelTime }

// curveRows is a figure with a row for every quantity that some result has, and a column for every result.
func curveRows(results []Result, title string, log bool, time func(*dmft.Trajectory) []float64,
	label func(r Result, row int) string,
	pick ...func(*dmft.Trajectory) (y, se []float64)) (figure.Figure, bool) {
	f := figure.Figure{Title: title, Columns: len(results), SameY: true}
	for row, pick := range pick {
		var panels []figure.Panel
		any := false
		top := highestFinished(results, pick)
		for _, r := range results {
			p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: label(r, row), Log: log}, Series: r.ensembles(time, pick)}
			if len(f.Panels) == 0 {
				p.Title = r.title()
			}
			if log {
				most := 10 * highestStart(p.Series) // what diverges leaves the axes, and the others their room
				p.Y.Min, p.Y.Max = lossRangeTo(p.Series, most)
			} else if top > 0 {
				p.Y.Min, p.Y.Max = 0, 1.05*top
			}
			any = any || len(p.Series) > 0
			panels = append(panels, p)
		}
		if any {
			f.Panels = append(f.Panels, panels...)
		}
	}
	return f, len(f.Panels) > 0
}

const bandsAre = "bands: ± 2 standard errors of the mean over seeds (finite N) or blocks (N = ∞)"

func lossFigure(results []Result) (figure.Figure, bool) {
	return curveRows(results, "Loss; "+bandsAre, true, stepTime,
		func(r Result, row int) string { return r.lossLabel([]string{"training", "test"}[row]) },
		func(t *dmft.Trajectory) (y, se []float64) { return t.Loss, t.LossStderr },
		func(t *dmft.Trajectory) (y, se []float64) { return t.TestLoss, t.TestLossStderr })
}

func errorFigure(results []Result) (figure.Figure, bool) {
	f, ok := curveRows(results, "Classification error, the part of the samples that is classified wrongly; "+bandsAre,
		false, stepTime,
		func(_ Result, row int) string { return []string{"training error", "test error"}[row] },
		func(t *dmft.Trajectory) (y, se []float64) { return t.Error, t.ErrorStderr },
		func(t *dmft.Trajectory) (y, se []float64) { return t.TestError, t.TestErrorStderr })
	for _, p := range f.Panels {
		within(p.Series, 0, 1)
	}
	return f, ok
}

// highestFinished is the largest value of the runs that finished, where others that stopped early go beyond three times
// that: they leave the axes, and the others their room. Elsewhere it is zero.
func highestFinished(results []Result, pick func(*dmft.Trajectory) (y, se []float64)) float64 {
	finished, early := 0., 0.
	for _, r := range results {
		for _, t := range append([]*dmft.Trajectory{r.Theory}, r.Sims...) {
			if t == nil {
				continue
			}
			top := &finished
			if t.Status.Early() {
				top = &early
			}
			y, se := pick(t)
			for k, v := range y {
				if k < len(se) && se[k] > 0 {
					v += 2 * se[k]
				}
				if !math.IsInf(v, 0) {
					*top = math.Max(*top, v)
				}
			}
		}
	}
	if early > 3*finished {
		return finished
	}
	return 0
}

// within cuts the bands of what cannot be below or above some value.
func within(series []figure.Series, least, most float64) {
	for _, s := range series {
		for k := range s.Lo {
			s.Lo[k], s.Hi[k] = math.Max(s.Lo[k], least), math.Min(s.Hi[k], most)
		}
	}
}

// highestStart is the largest first value.
func highestStart(series []figure.Series) float64 {
	top := 0.
	for _, s := range series {
		if len(s.Y) > 0 && !math.IsInf(s.Y[0], 0) {
			top = math.Max(top, s.Y[0])
		}
	}
	return top
}

// lossRange keeps the axis of a loss that vanishes exponentially to the eight decades that matter.
func lossRange(series []figure.Series) (lo, hi float64) { return lossRangeTo(series, math.Inf(1)) }

// lossRangeTo is lossRange with an axis that ends at most.
func lossRangeTo(series []figure.Series, most float64) (lo, hi float64) {
	lo, hi = math.Inf(1), 0
	for _, s := range series {
		for k, y := range s.Y {
			if y > 0 && !math.IsInf(y, 0) {
				lo, hi = math.Min(lo, y), math.Max(hi, y)
				if s.Hi != nil && s.Hi[k] > 0 {
					hi = math.Max(hi, s.Hi[k])
				}
				if s.Lo != nil && s.Lo[k] > y/10 { // a band that reaches to zero would stretch the axis
					lo = math.Min(lo, s.Lo[k])
				}
			}
		}
	}
	if hi == 0 {
		return 0, 0
	}
	cut := most > lo && hi > most // before decades are counted from the top, which may be that of a divergence
	if cut {
		hi = most
	}
	lo = math.Max(lo, hi*1e-8)
	pad := math.Max(math.Pow(hi/lo, 0.06), 1.02)
	if cut {
		return lo / pad, hi
	}
	return lo / pad, hi * pad
}

func kernelFigure(results []Result) (figure.Figure, bool) {
	several := func(y, se []float64) ([]float64, []float64) {
		if len(y) < 2 {
			return nil, nil
		}
		return y, se
	}
	return curveRows(results, "Kernels; "+bandsAre, false, kernelTime, func(_ Result, row int) string {
		return []string{"NTK–target alignment", "NTK movement ‖K − K₀‖/‖K₀‖"}[row]
	},
		func(t *dmft.Trajectory) (y, se []float64) { return several(t.Alignment, t.AlignmentStderr) },
		func(t *dmft.Trajectory) (y, se []float64) { return several(t.KernelMovement, t.KernelMovementStderr) })
}

func preactivationFigure(results []Result) (figure.Figure, bool) {
	f := figure.Figure{Columns: len(results), SameY: true}
	any := false
	for _, r := range results {
		p := figure.Panel{Title: r.title(), X: figure.Axis{Label: "preactivation h"}, Y: figure.Axis{Label: "density"}}
		add := func(t *dmft.Trajectory, label string, color int, filled bool) {
			if t == nil || t.Preactivations.Empty() {
				return
			}
			l := t.Preactivations.Shape[1]
			for which, when := range []string{"start", "end"} {
				p.Histograms = append(p.Histograms, figure.Histogram{Label: label + ", " + when,
					Values: t.Preactivations.At(which).At(l - 1).Data,
					Color:  figure.Color(color + which), Filled: filled})
			}
		}
		add(r.Theory, methodName(r.Method), 1, true)
		if n := len(r.Sims); n > 0 {
			add(r.Sims[n-1], fmt.Sprintf("N = %d", r.Sims[n-1].Width), 3, false)
		}
		any = any || len(p.Histograms) > 0
		f.Panels = append(f.Panels, p)
	}
	return f, any
}

func widthFigure(results []Result) (figure.Figure, bool) {
	f := figure.Figure{Title: "Approach to the limit; bars of one network: ± 2 standard errors", Columns: len(results),
		SameY: true}
	any := false
	for _, r := range results {
		p := figure.Panel{Title: r.title(), X: figure.Axis{Label: "width N", Log: true},
			Y: figure.Axis{Label: "error of f, relative", Log: true}}
		if r.Compare != nil && len(r.Compare.Widths) > 1 {
			any = true
			one := figure.Series{Label: "one network", Style: figure.Points, Color: figure.Color(1)}
			mean := figure.Series{Label: "mean over seeds", Style: figure.Points, Color: figure.Color(2)}
			noise := figure.Series{Label: "sampling noise of the mean", Style: figure.Dotted, Color: figure.Color(2), Width: 0.9}
			for _, w := range r.Compare.Widths {
				n := float64(w.N)
				p.X.Ticks = append(p.X.Ticks, n)
				one.X, one.Y = append(one.X, n), append(one.Y, w.Error)
				one.Lo, one.Hi = append(one.Lo, w.Error-2*w.ErrorStderr), append(one.Hi, w.Error+2*w.ErrorStderr)
				mean.X, mean.Y = append(mean.X, n), append(mean.Y, w.Mean)
				noise.X, noise.Y = append(noise.X, n), append(noise.Y, w.Noise)
			}
			first, last := r.Compare.Widths[0], r.Compare.Widths[len(r.Compare.Widths)-1]
			slope := figure.Series{Label: "∝ 1/√N", Style: figure.Reference}
			// Through the mean of the logarithms of N^{1/2}·error.
			c := 0.
			for _, w := range r.Compare.Widths {
				c += math.Log(w.Error*math.Sqrt(float64(w.N))) / float64(len(r.Compare.Widths))
			}
			for _, n := range []float64{float64(first.N), float64(last.N)} {
				slope.X, slope.Y = append(slope.X, n), append(slope.Y, math.Exp(c)/math.Sqrt(n))
			}
			p.Series = []figure.Series{slope, noise, mean, one}
		}
		f.Panels = append(f.Panels, p)
	}
	return f, any
}

// pretty writes a label such as "richness=0.1" with the field's symbols.
func pretty(label string) string {
	out := ""
	for i, part := range splitLabel(label) {
		if i > 0 {
			out += ", "
		}
		key, val := part[0], part[1]
		if s, ok := symbols[key]; ok {
			key = s
		} else if j := lastDot(key); j >= 0 {
			key = key[j+1:]
		}
		out += key + " = " + val
	}
	return out
}

var symbols = map[string]string{
	"richness": "γ₀", "training.learning_rate": "η", "network.depth": "L", "training.momentum": "μ",
	"training.weight_decay": "λ",
	"network.activation":    "φ", "data.train": "P", "theory.samples": "S", "network.branch.beta": "β",
	"network.branch.exponent": "α",
	"network.output_scale":    "α", "data.ratio": "δ", "network.units": "N", "training.steps": "T",
}

func splitLabel(label string) [][2]string {
	var out [][2]string
	depth, start := 0, 0
	add := func(s string) {
		for i := range s {
			if s[i] == '=' {
				out = append(out, [2]string{s[:i], s[i+1:]})
				return
			}
		}
	}
	for i := 0; i < len(label); i++ { // values may hold commas inside braces
		switch label[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				add(label[start:i])
				start = i + 2
			}
		}
	}
	if start < len(label) {
		add(label[start:])
	}
	return out
}

func lastDot(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '.' {
			return i
		}
	}
	return -1
}
