package report

import (
	"fmt"
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/figure"
)

// Named is a figure and the base name of its files.
type Named struct {
	Name string
	figure.Figure
}

// maxPanels is how many points of a product share a figure.
const maxPanels = 6

// Figures draws results side by side, as far as they hold what a figure shows: losses, kernels, preactivations, the error against width, fluctuations
// over initialisations, kernels as heat maps over samples and over two times, kernels by layer, the spectrum of the NTK, the limit of infinite depth, approximations. More
// than six points are too many for one figure.
func Figures(results []Result) []Named {
	if len(results) == 0 || len(results) > maxPanels {
		return nil
	}
	out := []Named{{"loss", lossFigure(results)}}
	for _, draw := range []struct {
		name string
		of   func([]Result) (figure.Figure, bool)
	}{
		{"kernels", kernelFigure}, {"preactivations", preactivationFigure}, {"width", widthFigure}, {"fluctuations", fluctuationFigure}, {"heatmaps", heatmapFigure}, {"two-time", twoTimeFigure},
		{"layers", layersFigure}, {"spectrum", spectrumFigure}, {"depth", depthFigure}, {"approximations", approximationFigure},
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

// sameWidths says whether one legend serves all panels.
func sameWidths(results []Result) bool {
	for _, r := range results {
		if len(r.Sims) != len(results[0].Sims) || (r.Theory == nil) != (results[0].Theory == nil) {
			return false
		}
		for i, s := range r.Sims {
			if s.Width != results[0].Sims[i].Width {
				return false
			}
		}
	}
	return true
}

func (r Result) title() string { return pretty(r.Label) }

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
func limit(t, y, se []float64) figure.Series {
	s := band(t, y, se, "N = ∞", 0, 1)
	s.Color, s.Width, s.Style = figure.Color(0), 1.4, figure.Dashed
	return s
}

func lossFigure(results []Result) figure.Figure {
	f := figure.Figure{Title: "Loss; bands: ± 2 standard errors of the mean over seeds (finite N) or blocks (N = ∞)", Columns: len(results)}
	test := false
	for _, r := range results {
		test = test || r.TestPoints > 0
	}
	for row, name := range []string{"training loss", "test loss"} {
		if row == 1 && !test {
			break
		}
		for col, r := range results {
			p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: name + " per sample", Log: true}, NoLegend: col > 0 && sameWidths(results)}
			if row == 0 {
				p.Title = r.title()
			}
			scale := r.lossScale(row)
			pick := func(t *dmft.Trajectory) (y, se []float64) {
				if row == 0 {
					return scaled(t.Loss, scale), scaled(t.LossStderr, scale)
				}
				return scaled(t.TestLoss, scale), scaled(t.TestLossStderr, scale)
			}
			for i, s := range r.Sims {
				y, se := pick(s)
				p.Series = append(p.Series, band(s.Time[:len(y)], y, se, fmt.Sprintf("N = %d", s.Width), i, len(r.Sims)))
			}
			if r.Theory != nil {
				y, se := pick(r.Theory)
				p.Series = append(p.Series, limit(r.Theory.Time[:len(y)], y, se))
			}
			p.Y.Min, p.Y.Max = lossRange(p.Series)
			f.Panels = append(f.Panels, p)
		}
	}
	return f
}

// lossRange keeps the axis of a loss that vanishes exponentially to the eight decades that matter.
func lossRange(series []figure.Series) (lo, hi float64) {
	lo, hi = math.Inf(1), 0
	for _, s := range series {
		for k, y := range s.Y {
			if y > 0 && !math.IsInf(y, 0) {
				lo, hi = math.Min(lo, y), math.Max(hi, y)
				if s.Hi != nil && s.Hi[k] > 0 {
					hi = math.Max(hi, s.Hi[k])
				}
			}
		}
	}
	if hi == 0 {
		return 0, 0
	}
	lo = math.Max(lo, hi*1e-8)
	pad := math.Pow(hi/lo, 0.06)
	if pad < 1.02 {
		pad = 1.02
	}
	return lo / pad, hi * pad
}

// lossScale brings sums over train and test points of different number to one scale.
func (r Result) lossScale(row int) float64 {
	n := r.Points
	if row == 1 {
		n = r.TestPoints
	}
	if r.Mean || n == 0 {
		return 1
	}
	return 1 / float64(n)
}

func scaled(x []float64, s float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v * s
	}
	return y
}

func kernelFigure(results []Result) (figure.Figure, bool) {
	f := figure.Figure{Columns: len(results)}
	any := false
	for row, name := range []string{"NTK–target alignment", "NTK movement ‖K − K₀‖/‖K₀‖"} {
		for col, r := range results {
			p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: name}, NoLegend: col > 0 && sameWidths(results)}
			if row == 0 {
				p.Title = r.title()
			}
			pick := func(t *dmft.Trajectory) []float64 {
				if row == 0 {
					return t.Alignment
				}
				return t.KernelMovement
			}
			for i, s := range r.Sims {
				if y := pick(s); len(y) > 1 {
					p.Series = append(p.Series, band(s.KernelTime, y, nil, fmt.Sprintf("N = %d", s.Width), i, len(r.Sims)))
				}
			}
			if r.Theory != nil {
				if y := pick(r.Theory); len(y) > 1 {
					p.Series = append(p.Series, limit(r.Theory.KernelTime, y, nil))
				}
			}
			any = any || len(p.Series) > 0
			f.Panels = append(f.Panels, p)
		}
	}
	return f, any
}

func preactivationFigure(results []Result) (figure.Figure, bool) {
	f := figure.Figure{Columns: len(results)}
	any := false
	for col, r := range results {
		p := figure.Panel{Title: r.title(), X: figure.Axis{Label: "preactivation h"}, Y: figure.Axis{Label: "density"}, NoLegend: col > 0 && sameWidths(results)}
		add := func(t *dmft.Trajectory, label string, color int, filled bool) {
			if t == nil || t.Preactivations.Empty() {
				return
			}
			l := t.Preactivations.Shape[1]
			for which, when := range []string{"start", "end"} {
				p.Histograms = append(p.Histograms, figure.Histogram{Label: label + ", " + when, Values: t.Preactivations.At(which).At(l - 1).Data,
					Color: figure.Color(color + which), Filled: filled})
			}
		}
		add(r.Theory, "N = ∞", 1, true)
		if n := len(r.Sims); n > 0 {
			add(r.Sims[n-1], fmt.Sprintf("N = %d", r.Sims[n-1].Width), 3, false)
		}
		any = any || len(p.Histograms) > 0
		f.Panels = append(f.Panels, p)
	}
	return f, any
}

func widthFigure(results []Result) (figure.Figure, bool) {
	f := figure.Figure{Columns: len(results)}
	any := false
	for col, r := range results {
		p := figure.Panel{Title: r.title(), X: figure.Axis{Label: "width N", Log: true}, Y: figure.Axis{Label: "error of f, relative", Log: true}, NoLegend: col > 0 && sameWidths(results)}
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
	"richness": "γ₀", "training.learning_rate": "η", "network.depth": "L", "training.momentum": "μ", "training.weight_decay": "λ",
	"network.activation": "φ", "data.train": "P", "theory.samples": "S", "network.branch.beta": "β", "network.branch.exponent": "α",
	"network.output_scale": "α", "data.ratio": "δ", "network.units": "N", "training.steps": "T",
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
