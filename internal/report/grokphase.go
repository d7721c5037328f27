package report

import (
	"fmt"
	"image/color"
	"math"
	"slices"

	"github.com/seed39b58f2d/dmft/dmft/figure"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
)

// PhaseFigure draws a phase diagram: colours are the grokking gap, grey is never, and the thresholds of data are
// marked.
func PhaseFigure(d PhaseDiagram) Named {
	f := figure.Figure{Columns: len(d.Maps), PanelWidth: 2.9, PanelHeight: 2.7}
	// From no delay on: a test loss that falls first is as good as none. The theory sets the scale, where it is there;
	// a few seeds at a threshold have outliers.
	lo, hi, most := 0., 0., 0.
	for i, m := range d.Maps {
		for _, row := range m.Gap {
			for _, g := range row {
				if math.IsNaN(g.Dex) || math.IsInf(g.Dex, 0) {
					continue
				}
				if most = max(most, g.Dex); i == 0 {
					hi = max(hi, g.Dex)
				}
			}
		}
	}
	if hi == 0 {
		hi = max(most, 0.1)
	}
	if len(d.Maps) == 1 {
		f.PanelWidth, f.PanelHeight = 4.4, 3.4
	}
	note := ""
	for i, m := range d.Maps {
		x, y := d.axis(d.XKey, d.X), d.axis(d.YKey, d.Y)
		p := figure.Panel{Title: m.Title, X: x, Y: y, Heat: &figure.HeatMap{X: d.X, Y: d.Y, Min: lo, Max: hi}}
		if i == len(d.Maps)-1 {
			if p.Heat.Bar = "grokking gap (dex)"; most > hi {
				p.Heat.Bar += fmt.Sprintf("; brightest: ≥ %.2g", hi)
			}
		}
		lost := figure.Series{Label: "diverged", Style: figure.Points, Color: figure.Color(0)}
		for j, row := range m.Gap {
			var z []float64
			for k, g := range row {
				v := math.NaN()
				switch {
				case math.IsNaN(g.Train):
					lost.X, lost.Y = append(lost.X, d.X[k]), append(lost.Y, d.Y[j])
				case !g.Never():
					v = math.Max(g.Dex, lo)
				}
				z = append(z, v)
			}
			p.Heat.Z = append(p.Heat.Z, z)
		}
		if len(lost.X) > 0 {
			p.Series = append(p.Series, lost)
		}
		marks, text := d.thresholds(m)
		p.Series = append(p.Series, marks...)
		if text != "" {
			note = "; " + text
		}
		f.Panels = append(f.Panels, p)
	}
	f.Title = "Grokking gap"
	f.Caption = fmt.Sprintf("log₁₀ of the time by which the test loss is below %g of its start, over that of the "+
		"train loss; grey: never within τ = %.4g%s", d.Fraction, d.Horizon, note)
	if d.Caption != "" {
		f.Caption += ". " + d.Caption
	}
	return Named{"phase", f}
}

func (d PhaseDiagram) axis(key string, values []float64) figure.Axis {
	a := figure.Axis{Label: AxisName(key)}
	for i := 0; i < len(values); i += (len(values) + 6) / 7 { // seven or fewer
		a.Ticks = append(a.Ticks, values[i])
	}
	return a
}

// AxisName is a key in words.
func AxisName(key string) string {
	if s, ok := axisNames[key]; ok {
		return s
	}
	return key
}

var axisNames = map[string]string{
	"data.ratio": "data per dimension δ = P/D", "network.output_scale": "output scale α",
	"network.activation": "kernel alignment ε", "richness": "richness γ₀", "data.train": "training points P",
	"training.weight_decay": "weight decay λ", "training.learning_rate": "learning rate η",
	"target.noise": "label noise", "network.units": "units N",
}

// thresholds are curves of P = D, below which no learner has enough data, and of P = D²/2ε², which the kernel at the
// start needs; and what is said of one that is beyond the axes.
func (d PhaseDiagram) thresholds(m PhaseMap) (curves []figure.Series, note string) {
	if d.At == nil {
		return nil, ""
	}
	red := color.NRGBA{226, 26, 28, 255} // seen on all colours of the map, on grey and on white
	add := func(label string, style figure.Style, c color.NRGBA, of func(PhaseThreshold) float64) bool {
		x, y := zero(d.X, d.Y, func(x, y float64) float64 { return of(d.At(x, y)) })
		if len(x) < 2 {
			return false
		}
		curves = append(curves, figure.Series{Label: label, X: x, Y: y, Style: style, Color: c, Width: 1.6})
		return true
	}
	if !add("P = D: feature learning", figure.Dashed, red, func(t PhaseThreshold) float64 { return math.Log(t.Ratio) }) {
		if d.At(d.X[0], d.Y[0]).Ratio > 1 {
			note = "everywhere more data than feature learning needs (P = D)"
		} else {
			note = "everywhere less data than feature learning needs (P = D)"
		}
	}
	join := func(s string) {
		if note != "" {
			note += ", "
		}
		note += s
	}
	if m.Dimension == 0 {
		if m.Title == theoryTitle && d.only() {
			join("in the limit kernel regression, which needs P = D²/2ε², never has enough")
		}
		return curves, note
	}
	kernel := func(t PhaseThreshold) float64 {
		return math.Log(t.Ratio * 2 * t.Epsilon * t.Epsilon / float64(m.Dimension))
	}
	if !add("P = D²/2ε²: kernel regression", figure.Line, red, kernel) {
		least := math.Inf(1)
		for _, x := range d.X {
			for _, y := range d.Y {
				if t := d.At(x, y); t.Epsilon != 0 {
					least = math.Min(least, float64(m.Dimension)/(2*t.Epsilon*t.Epsilon))
				}
			}
		}
		join(fmt.Sprintf("kernel regression needs P/D = D/2ε² ≥ %.3g at D = %d, beyond the axes", least, m.Dimension))
	}
	return curves, note
}

const theoryTitle = "theory"

// only says whether the theory is alone.
func (d PhaseDiagram) only() bool {
	return !slices.ContainsFunc(d.Maps, func(m PhaseMap) bool { return m.Dimension > 0 })
}

// zero is the curve on which f vanishes, inside the cells around the given coordinates.
func zero(xs, ys []float64, f func(x, y float64) float64) (x, y []float64) {
	const n = 120
	at := func(v []float64, i int) float64 {
		lo, hi := v[0], v[len(v)-1]
		if m := len(v); m > 1 {
			lo, hi = lo-(v[1]-v[0])/2, hi+(v[m-1]-v[m-2])/2
		}
		return lo + (hi-lo)*float64(i)/n
	}
	along := func(f func(a, b float64) float64, as, bs []float64) (a, b []float64) {
		for i := range n + 1 {
			u := at(as, i)
			for j := range n {
				v, w := at(bs, j), at(bs, j+1)
				p, q := f(u, v), f(u, w)
				if p == q || math.IsNaN(p) || math.IsNaN(q) || math.IsInf(p, 0) || math.IsInf(q, 0) || p > 0 == (q > 0) {
					continue
				}
				a, b = append(a, u), append(b, v+(w-v)*p/(p-q))
				break
			}
		}
		return a, b
	}
	if x, y = along(f, xs, ys); len(x) > 1 {
		return x, y
	}
	y, x = along(func(a, b float64) float64 { return f(b, a) }, ys, xs)
	return x, y
}

// NewPhaseDiagram arranges gaps of points (x, y) in a grid; points missing are NaN.
func NewPhaseDiagram(xkey, ykey string, x, y []float64, fraction float64) PhaseDiagram {
	d := PhaseDiagram{XKey: xkey, YKey: ykey, Fraction: fraction}
	for _, v := range []struct {
		dst *[]float64
		src []float64
	}{{&d.X, x}, {&d.Y, y}} {
		*v.dst = slices.Clone(v.src)
		slices.Sort(*v.dst)
		*v.dst = slices.Compact(*v.dst)
	}
	return d
}

// Set puts the gap of one point into the map of a title, which it makes.
func (d *PhaseDiagram) Set(title string, dimension int, x, y float64, g highdim.Gap) {
	i := slices.IndexFunc(d.Maps, func(m PhaseMap) bool { return m.Title == title })
	if i < 0 {
		m := PhaseMap{Title: title, Dimension: dimension}
		for range d.Y {
			row := make([]highdim.Gap, len(d.X))
			for k := range row {
				row[k] = highdim.Gap{Train: math.NaN(), Test: math.NaN(), Dex: math.NaN()}
			}
			m.Gap = append(m.Gap, row)
		}
		i, d.Maps = len(d.Maps), append(d.Maps, m)
	}
	k, _ := slices.BinarySearch(d.X, x)
	j, _ := slices.BinarySearch(d.Y, y)
	d.Maps[i].Gap[j][k] = g
}
