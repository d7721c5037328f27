package report

import (
	"fmt"
	"image/color"
	"math"
	"strings"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
)

// Colours of train and test in the figures of grokking.
var trainColor, testColor = figure.Color(1), figure.Color(2)

// overSamples is the normalisation of the losses of high-dimensional problems.
const overSamples = " (mean over samples)"

// TimeLabel is the axis of time of high-dimensional problems.
const TimeLabel = "time τ = ηt"

// HighDimensionalFigures draws results side by side: losses of theory and simulations in every dimension, both losses
// together, the parts of the test loss, overlaps, the error against dimension, alignment. More than six points are too
// many for one figure.
func HighDimensionalFigures(results []HighDimensional) []Named {
	if len(results) == 0 || len(results) > MaxPanels {
		return nil
	}
	var out []Named
	for _, draw := range []struct {
		name string
		of   func([]HighDimensional) (figure.Figure, bool)
	}{
		{"grokking", grokkingFigure}, {"loss", highDimensionalLoss}, {"decomposition", decompositionFigure},
		{"overlaps", overlapFigure}, {"dimension", dimensionFigure}, {"alignment", alignmentFigure},
	} {
		if f, ok := draw.of(results); ok {
			if len(f.Panels) == 1 {
				f.PanelWidth, f.PanelHeight = 4.4, 2.9
			}
			if c := results[0].Caption; c != "" {
				f.Caption = sentences(f.Caption, c)
			}
			out = append(out, Named{draw.name, f})
		}
	}
	return out
}

// highDimensionalSymbols are those of keys that mean something else, or nothing, for fixed data.
var highDimensionalSymbols = map[string]string{"network.output_scale": "α", "data.ratio": "P/D", "network.units": "N",
	"target.noise": "noise", "network.activation": "ε", "target.informed": "c"}

// limitNames are the values of theory.limit in words.
var limitNames = map[string]string{"data": "points used again", "one-pass": "fresh points",
	"online": "one fresh point at a time", "population": "all points"}

func (r HighDimensional) title() string {
	if r.Title != "" {
		return r.Title
	}
	out := ""
	for _, kv := range splitLabel(r.Label) {
		key, value := kv[0], kv[1]
		if name, ok := limitNames[value]; ok && key == "theory.limit" {
			out += ", " + name
			continue
		}
		if _, eps, ok := strings.Cut(value, "epsilon: "); ok && !strings.Contains(eps, ",") {
			value = strings.TrimSuffix(eps, "}")
		} else if key == "network.activation" {
			key = "φ"
		}
		if s, ok := highDimensionalSymbols[key]; ok {
			key = s
		} else {
			key = pretty(key + "=")
			key = strings.TrimSuffix(key, " = ")
		}
		out += ", " + key + " = " + value
	}
	return strings.TrimPrefix(out, ", ")
}

func (r HighDimensional) views() []*highdim.Trajectory {
	var out []*highdim.Trajectory
	if r.Theory != nil {
		out = append(out, r.Theory)
	}
	return append(out, r.Sims...)
}

func (r HighDimensional) timeAxis() figure.Axis {
	return timeFrom(r.views())
}

func timeFrom(views []*highdim.Trajectory) figure.Axis {
	a := figure.Axis{Label: TimeLabel, Log: true, Min: math.Inf(1)}
	for _, t := range views {
		if n := len(t.Time); n > 1 {
			a.Min, a.Max = math.Min(a.Min, t.Time[1]), math.Max(a.Max, t.Time[n-1])
		}
	}
	// The first of very many steps say nothing.
	if a.Min = math.Max(a.Min, a.Max/3000); !(a.Max > a.Min) {
		a.Min, a.Max = 0, 0
	}
	return a
}

// evenly picks at most n points evenly spaced in the logarithm of x between lo and the end.
func evenly(n int, lo float64, x []float64, curves ...[]float64) (tx []float64, out [][]float64) {
	out = make([][]float64, len(curves))
	if len(x) < 2 {
		return nil, out
	}
	step := math.Log(x[len(x)-1]/lo) / float64(n)
	next := lo
	for i, t := range x {
		if t < next*(1-1e-9) || t <= 0 {
			continue
		}
		tx = append(tx, t)
		for k, c := range curves {
			out[k] = append(out[k], c[i])
		}
		for next <= t*(1+1e-9) {
			next *= math.Exp(step)
		}
	}
	return tx, out
}

// dots is a curve of an ensemble as points with error bars of two standard errors.
func dots(lo float64, time, y, se []float64, label string, c color.NRGBA) figure.Series {
	if len(se) != len(y) {
		se = make([]float64, len(y))
	}
	x, v := evenly(16, lo, time, y, se)
	s := figure.Series{Label: label, X: x, Y: v[0], Style: figure.Points, Color: c, Lo: []float64{}, Hi: []float64{}}
	for k, y := range v[0] {
		s.Lo, s.Hi = append(s.Lo, y-2*v[1][k]), append(s.Hi, y+2*v[1][k])
	}
	return s
}

// level is the fraction of the initial loss at which the gap is taken.
func level(axis figure.Axis, y0, fraction float64) figure.Series {
	return figure.Series{Label: fmt.Sprintf("%g of the initial loss", fraction), X: []float64{axis.Min, axis.Max},
		Y: []float64{y0 * fraction, y0 * fraction}, Style: figure.Reference}
}

// pale is a lighter version of a colour.
func pale(c color.NRGBA, x float64) color.NRGBA {
	f := func(v uint8) uint8 { return uint8(float64(v) + (255-float64(v))*x) }
	return color.NRGBA{f(c.R), f(c.G), f(c.B), c.A}
}

// grokkingFigure shows train and test loss on the same axes.
func grokkingFigure(results []HighDimensional) (figure.Figure, bool) {
	f := figure.Figure{Columns: min(len(results), 3), SameY: true}
	who := []string{}
	for _, r := range results {
		p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: "loss" + overSamples}}
		views := r.views()
		if len(views) == 0 || p.X.Max == 0 {
			p.Blank = true
			f.Panels = append(f.Panels, p)
			continue
		}
		gap := ""
		for _, row := range r.Gaps() { // of the lines
			if row.What == "theory" || r.Theory == nil && row.What != "linearised" &&
				row.Dimension == r.Sims[len(r.Sims)-1].Dimension {
				gap = "gap " + row.Gap.Median.String()
			}
		}
		medians := r.Theory == nil && r.Sims[len(r.Sims)-1].Replicas > 2
		if medians {
			t := r.Sims[len(r.Sims)-1]
			loss, test := t.Quantile(0.5)
			gap = "gap " + highdim.NewGap(t.Time, loss, test, r.Fraction).String()
		}
		p.Title = strings.TrimPrefix(r.title()+", "+gap, ", ")
		p.Series = append(p.Series, level(p.X, views[0].TestLoss[0], r.Fraction))
		if medians {
			who = append(who, r.medians(&p))
		} else {
			who = append(who, r.curves(&p, []curve{
				{"train", trainColor, func(t *highdim.Trajectory) ([]float64, []float64) { return t.Loss, t.LossStderr }},
				{"test", testColor, func(t *highdim.Trajectory) ([]float64, []float64) { return t.TestLoss, t.TestLossStderr }},
			})...)
		}
		if l := r.Linearised; l != nil && len(l.Time) > 0 {
			p.Series = append(p.Series, figure.Series{Label: "train, linearised", X: l.Time, Y: l.Loss,
				Style: figure.Dotted, Color: trainColor, Width: 1.2},
				figure.Series{Label: "test, linearised", X: l.Time, Y: l.TestLoss, Style: figure.Dotted,
					Color: testColor, Width: 1.2})
			if len(l.Regression) == 2 {
				p.Series = append(p.Series, figure.Series{Label: "test of kernel regression",
					X: []float64{p.X.Min, p.X.Max}, Y: []float64{l.Regression[1], l.Regression[1]}, Style: figure.Line,
					Color: figure.Color(0), Width: 0.9})
			}
		}
		f.Panels = append(f.Panels, p)
	}
	f.Title, f.Caption = "Train and test loss", sentence(once(who))
	return f, true
}

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// sentences puts one text behind another.
func sentences(a, b string) string {
	if a == "" {
		return b
	}
	return strings.TrimSuffix(a, ".") + ". " + b
}

// once joins texts without repetitions.
func once(texts []string) string {
	var out []string
	seen := map[string]bool{}
	for _, t := range texts {
		if !seen[t] {
			out, seen[t] = append(out, t), true
		}
	}
	if len(out) > 3 {
		out = []string{"lines: theory", "points: simulations with the largest D, ± 2 s.e."}
	}
	return strings.Join(out, ", ")
}

// highDimensionalLoss shows both losses of every dimension beside the theory.
func highDimensionalLoss(results []HighDimensional) (figure.Figure, bool) {
	f := figure.Figure{Title: "Train and test loss in growing dimension", SameY: true,
		Caption: "Bands: ± 2 standard errors of the mean over seeds (finite D) or blocks (D = ∞)"}
	any := false
	var columns [][]figure.Panel
	for _, r := range results {
		var panels []figure.Panel
		for row, name := range []string{"train loss", "test loss"} {
			p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: name + overSamples, Log: true}}
			if row == 0 || len(results) == 1 {
				p.Title = r.title()
			}
			pick := func(t *highdim.Trajectory) (y, se []float64) {
				if row == 0 {
					return t.Loss, t.LossStderr
				}
				return t.TestLoss, t.TestLossStderr
			}
			if r.Theory != nil {
				y, se := pick(r.Theory)
				p.Series = append(p.Series, limit(r.Theory.Time, y, se, "D = ∞"))
			}
			for i, s := range r.Sims {
				y, se := pick(s)
				p.Series = append(p.Series, band(s.Time, y, se, fmt.Sprintf("D = %d", s.Dimension), i, len(r.Sims)))
			}
			any = any || len(p.Series) > 0
			p.Y.Min, p.Y.Max = lossRange(p.Series)
			panels = append(panels, p)
		}
		columns = append(columns, panels)
	}
	grid(&f, columns)
	compact(&f)
	return f, any
}

// A curve of a trajectory over time.
type curve struct {
	label string
	color color.NRGBA
	of    func(*highdim.Trajectory) (y, se []float64)
}

func column(a, se dmft.Array, k int) (y, e []float64) {
	if a.Empty() {
		return nil, nil
	}
	for i := range a.Shape[0] {
		y = append(y, a.At(i).Data[k])
		if !se.Empty() {
			e = append(e, se.At(i).Data[k])
		}
	}
	return y, e
}

// curves draws curves of the theory as lines and those of the largest dimension as points, or as lines without a
// theory.
func (r HighDimensional) curves(p *figure.Panel, curves []curve) (who []string) {
	views := r.views()
	if n := len(r.Sims); n > 0 { // of the simulations that of the largest dimension
		views = append(views[:len(views)-n], r.Sims[n-1])
	}
	for i, t := range views {
		points, any := i > 0, false
		for _, c := range curves {
			y, se := c.of(t)
			if len(y) == 0 {
				continue
			}
			any = true
			if points {
				p.Series = append(p.Series, dots(p.X.Min, t.Time, y, se, "", c.color))
				continue
			}
			s := band(t.Time, y, se, c.label, 0, 1)
			s.Color, s.Width = c.color, 1.2
			p.Series = append(p.Series, s)
		}
		switch {
		case !any:
		case t == r.Theory:
			who = append(who, "lines: theory (D = ∞)")
		case points:
			who = append(who, "points: "+simulations(t)+", ± 2 s.e.")
		default:
			who = append(who, simulations(t))
		}
	}
	return who
}

// medians draws median and quartiles of the losses of the largest dimension, of which the gap is the median, too: a few
// networks that are stuck move the mean.
func (r HighDimensional) medians(p *figure.Panel) string {
	t := r.Sims[len(r.Sims)-1]
	var q [3][2][]float64
	for i := range q {
		q[i][0], q[i][1] = t.Quantile(float64(i+1) / 4)
	}
	for k, name := range []string{"train", "test"} {
		p.Series = append(p.Series, figure.Series{Label: name, X: t.Time, Y: q[1][k], Lo: q[0][k], Hi: q[2][k],
			Color: []color.NRGBA{trainColor, testColor}[k], Width: 1.2})
	}
	return fmt.Sprintf("median and quartiles of %d simulations with D = %d", t.Replicas, t.Dimension)
}

// simulations says what a simulation is the mean of.
func simulations(t *highdim.Trajectory) string {
	if t.Replicas == 1 {
		return fmt.Sprintf("one simulation with D = %d", t.Dimension)
	}
	return fmt.Sprintf("mean of %d simulations with D = %d", t.Replicas, t.Dimension)
}

// decompositionFigure shows what the test loss is made of.
func decompositionFigure(results []HighDimensional) (figure.Figure, bool) {
	f := figure.Figure{Columns: min(len(results), 3), PanelHeight: 2.7, SameY: true}
	var who []string
	for _, r := range results {
		p := figure.Panel{Title: r.title(), X: r.timeAxis(), Y: figure.Axis{Label: "loss" + overSamples}}
		cs := []curve{
			{"train", pale(figure.Color(0), 0.55), func(t *highdim.Trajectory) ([]float64, []float64) {
				return t.Loss,
					t.LossStderr
			}},
			{"test", figure.Color(0), func(t *highdim.Trajectory) ([]float64, []float64) {
				return t.TestLoss,
					t.TestLossStderr
			}},
		}
		for k, name := range []string{"scale error", "misalignment", "linear power"} {
			cs = append(cs, curve{name, figure.Color(k + 1), func(t *highdim.Trajectory) ([]float64, []float64) {
				return column(t.TestLossParts, t.TestLossPartsStderr, k)
			}})
		}
		who = append(who, r.curves(&p, cs)...)
		p.Blank = len(p.Series) == 0
		f.Panels = append(f.Panels, p)
	}
	f.Title, f.Caption = "Test loss = scale error + misalignment + linear power", sentence(once(who))
	return f, len(who) > 0
}

// overlapFigure shows what is found of the target: overlaps of units with the first direction, and the second moment
// along all.
func overlapFigure(results []HighDimensional) (figure.Figure, bool) {
	const most = 6
	f := figure.Figure{}
	var who []string
	var columns [][]figure.Panel
	for _, r := range results {
		p := figure.Panel{Title: r.title(), X: r.timeAxis(), Y: figure.Axis{Label: "overlap mᵢ = wᵢ·β/D"}}
		n := min(r.Problem.Units, most)
		var cs []curve
		for i := range n {
			cs = append(cs, curve{"unit " + fmt.Sprint(i+1), figure.Color(i + 1),
				func(t *highdim.Trajectory) ([]float64, []float64) {
					if len(t.Overlaps.Shape) == 3 {
						return column(t.Overlaps, t.OverlapsStderr, i*t.Overlaps.Shape[2])
					}
					return column(t.Overlaps, t.OverlapsStderr, i)
				}})
		}
		r.curves(&p, cs)
		p.Blank = len(p.Series) == 0
		q := figure.Panel{X: p.X, Y: figure.Axis{Label: "second moment βᵀMβ/D²"}}
		if len(results) == 1 {
			q.Title = p.Title
		}
		who = append(who, r.curves(&q, []curve{{"all units", figure.Color(0),
			func(t *highdim.Trajectory) ([]float64, []float64) {
				return column(t.Moments, t.MomentsStderr, highdim.SecondOverlap)
			}}})...)
		if eps, ok := highdim.Mix(r.Problem.Activation); ok && eps > 0 && !r.Problem.Training.Centred && q.X.Max > 0 {
			y, top := 1/(eps*r.Problem.OutputScale), 0.
			for _, s := range q.Series {
				for _, v := range s.Y {
					top = math.Max(top, v)
				}
			}
			if top > y/2 { // otherwise it is far away
				q.Y.Min, q.Y.Max = -0.04*math.Max(y, top), 1.08*math.Max(y, top)
			}
			q.Series = append(q.Series, figure.Series{Label: "solution 1/αε", X: []float64{q.X.Min, q.X.Max},
				Y: []float64{y, y}, Style: figure.Reference})
		}
		columns = append(columns, []figure.Panel{p, q})
	}
	blank := true
	for _, c := range columns {
		blank = blank && c[0].Blank
	}
	if blank {
		for i := range columns {
			columns[i][1].Title = results[i].title()
			columns[i] = columns[i][1:]
		}
	}
	grid(&f, columns)
	compact(&f)
	f.Title, f.Caption = "Overlaps with the target", sentence(once(who))
	return f, len(who) > 0
}

// dimensionFigure shows how the error falls with the dimension.
func dimensionFigure(results []HighDimensional) (figure.Figure, bool) {
	f := figure.Figure{Title: "Distance of simulations from the theory", SameY: true,
		Caption: "Train and test loss together, root mean square over times, relative to the theory",
		Columns: min(len(results), 3)}
	any := false
	for _, r := range results {
		p := figure.Panel{Title: r.title(), X: figure.Axis{Label: "dimension D", Log: true},
			Y: figure.Axis{Label: "error, relative", Log: true}}
		if r.Compare != nil && len(r.Compare.Dimensions) > 1 {
			any = true
			one := figure.Series{Label: "one network", Style: figure.Points, Color: figure.Color(1)}
			mean := figure.Series{Label: "mean over seeds", Style: figure.Points, Color: figure.Color(2)}
			noise := figure.Series{Label: "sampling noise of the mean", Style: figure.Dotted, Color: figure.Color(2), Width: 0.9}
			c, n := 0., float64(len(r.Compare.Dimensions))
			for _, w := range r.Compare.Dimensions {
				d := float64(w.Dimension)
				p.X.Ticks = append(p.X.Ticks, d)
				one.X, one.Y = append(one.X, d), append(one.Y, w.Error)
				one.Lo, one.Hi = append(one.Lo, w.Error-2*w.ErrorStderr), append(one.Hi, w.Error+2*w.ErrorStderr)
				mean.X, mean.Y = append(mean.X, d), append(mean.Y, w.Mean)
				noise.X, noise.Y = append(noise.X, d), append(noise.Y, w.Noise)
				c += math.Log(w.Error*math.Sqrt(d)) / n
			}
			slope := figure.Series{Label: "∝ 1/√D", Style: figure.Reference}
			for _, d := range []float64{one.X[0], one.X[len(one.X)-1]} {
				slope.X, slope.Y = append(slope.X, d), append(slope.Y, math.Exp(c)/math.Sqrt(d))
			}
			p.Series = []figure.Series{slope, noise, mean, one}
		}
		p.Blank = len(p.Series) == 0
		f.Panels = append(f.Panels, p)
	}
	return f, any
}

// alignmentFigure shows the alignment of the tangent kernel with the target.
func alignmentFigure(results []HighDimensional) (figure.Figure, bool) {
	f := figure.Figure{Title: "Alignment of the tangent kernel with the target", SameY: true,
		Caption: "√P·yᵀKy/(‖K‖·|y|²) on the training points", Columns: min(len(results), 3)}
	any := false
	for _, r := range results {
		p := figure.Panel{Title: r.title(), X: r.timeAxis(), Y: figure.Axis{Label: "√P × alignment"}}
		if t := r.Theory; t != nil && len(t.Alignment) > 1 {
			p.Series = append(p.Series, limit(t.AlignmentTime, t.Alignment, t.AlignmentStderr, "D = ∞"))
		}
		for i, s := range r.Sims {
			if len(s.Alignment) > 1 {
				p.Series = append(p.Series, band(s.AlignmentTime, s.Alignment, s.AlignmentStderr,
					fmt.Sprintf("D = %d", s.Dimension), i, len(r.Sims)))
			}
		}
		any = any || len(p.Series) > 0
		p.Blank = len(p.Series) == 0
		f.Panels = append(f.Panels, p)
	}
	return f, any
}

func scaled(x []float64, s float64) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v * s
	}
	return y
}

// GrokkingFigure shows train and test loss of experiments on fixed data on the same axes, each relative to its start.
func GrokkingFigure(results []Result, fraction float64, caption string) (Named, bool) {
	f := figure.Figure{Columns: min(len(results), 3), SameY: true}
	if len(results) == 0 || len(results) > MaxPanels {
		return Named{}, false
	}
	points := ""
	for _, r := range results {
		p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: "loss, relative to the start"}}
		p.X.Log, p.Y.Log = true, fraction < 0.3
		p.X.Min = math.Inf(1)
		views := r.views(func(t *dmft.Trajectory) bool {
			return len(t.TestLoss) == len(t.Time) && len(t.Time) > 1 && t.TestLoss[0] > 0 && t.Loss[0] > 0
		})
		for _, v := range views {
			p.X.Min, p.X.Max = math.Min(p.X.Min, v.Time[1]), math.Max(p.X.Max, v.Time[len(v.Time)-1])
		}
		if p.X.Max == 0 {
			return Named{}, false
		}
		p.X.Min = math.Max(p.X.Min, p.X.Max/3000)
		p.Series = append(p.Series, level(p.X, 1, fraction))
		gap := ""
		for i, v := range views {
			rel := func(y []float64, to float64) []float64 { return scaled(y, 1/to) }
			for k, name := range []string{"train", "test"} {
				y, se, c := rel(v.Loss, v.Loss[0]), rel(v.LossStderr, v.Loss[0]), trainColor
				if k == 1 {
					y, se, c = rel(v.TestLoss, v.TestLoss[0]), rel(v.TestLossStderr, v.TestLoss[0]), testColor
				}
				if i == 0 {
					s := band(v.Time, y, se, name, 0, 1)
					s.Color, s.Width = c, 1.4
					p.Series = append(p.Series, s)
				} else {
					p.Series = append(p.Series, dots(p.X.Min, v.Time, y, se, "", c))
				}
			}
			if i == 0 {
				gap = "gap " + highdim.NewGap(v.Time, v.Loss, v.TestLoss, fraction).String()
			} else {
				points = ", points: mean of networks with " + v.who + ", ± 2 s.e."
				gap += ", points " + highdim.NewGap(v.Time, v.Loss, v.TestLoss, fraction).String()
			}
		}
		p.Title = strings.TrimPrefix(r.title()+", "+gap, ", ")
		f.Panels = append(f.Panels, p)
	}
	if len(f.Panels) == 1 {
		f.PanelWidth, f.PanelHeight = 4.4, 2.9
	}
	f.Title, f.Caption = "Train and test loss", "Lines: N = ∞"+points
	if points == "" && results[0].Theory == nil {
		f.Caption = ""
	}
	if caption != "" {
		f.Caption = sentences(f.Caption, caption)
	}
	return Named{"grokking", f}, true
}
