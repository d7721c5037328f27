package report

import (
	"fmt"
	"image/color"
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// grid arranges the panels of every result: beside each other for one result, one column each for several.
func grid(f *figure.Figure, columns [][]figure.Panel) {
	if len(columns) == 1 {
		f.Columns, f.Panels = len(columns[0]), columns[0]
		return
	}
	f.Columns = len(columns)
	for row := range columns[0] {
		for _, c := range columns {
			f.Panels = append(f.Panels, c[row])
		}
	}
}

var grey = color.NRGBA{110, 110, 110, 255}

// thin keeps at most n points, the last one among them.
func thin(x, y []float64, n int) (tx, ty []float64) {
	every := (len(x) + n - 1) / n
	for i := range x {
		if (len(x)-1-i)%max(every, 1) == 0 {
			tx, ty = append(tx, x[i]), append(ty, y[i])
		}
	}
	return tx, ty
}

// manyLayers is from how many layers on quantities are drawn against the layer instead of against time.
const manyLayers = 7

// A layerQuantity is something that every layer has.
type layerQuantity struct {
	axis string
	of   func(*dmft.Trajectory) dmft.Array // times × layers
	se   func(*dmft.Trajectory) dmft.Array // its standard error, or nothing
}

// bars are error bars, or a band, of two standard errors around a quantity at time k and a layer; nothing where it has
// none.
func (q layerQuantity) bars(t *dmft.Trajectory, s *figure.Series, k, layer int) {
	if e := q.se(t); len(e.Data) == len(q.of(t).Data) {
		v, d := q.of(t).At(k).Data[layer], 2*e.At(k).Data[layer]
		s.Lo, s.Hi = append(s.Lo, v-d), append(s.Hi, v+d)
	}
}

var layerQuantities = []layerQuantity{
	{"movement ‖Φˡ − Φˡ₀‖/‖Φˡ₀‖", func(t *dmft.Trajectory) dmft.Array { return t.PhiMovement },
		func(t *dmft.Trajectory) dmft.Array { return t.PhiMovementStderr }},
	{"movement ‖Gˡ − Gˡ₀‖/‖Gˡ₀‖", func(t *dmft.Trajectory) dmft.Array { return t.GMovement },
		func(t *dmft.Trajectory) dmft.Array { return t.GMovementStderr }},
	{"alignment of Φˡ with the target", func(t *dmft.Trajectory) dmft.Array { return t.PhiAlignment },
		func(t *dmft.Trajectory) dmft.Array { return t.PhiAlignmentStderr }},
}

// layersFigure shows movement and alignment of the kernels of every layer.
func layersFigure(results []Result) (figure.Figure, bool) {
	keep := func(t *dmft.Trajectory) bool {
		for _, q := range layerQuantities {
			a := q.of(t)
			if len(a.Shape) != 2 || a.Shape[0] != len(t.SpectrumTime) || a.Shape[0] < 2 || a.Shape[1] < 2 {
				return false
			}
		}
		return true
	}
	f := figure.Figure{SameY: true}
	any, deep := false, false
	for _, r := range results {
		for _, v := range r.views(keep) {
			any = true
			deep = deep || v.PhiMovement.Shape[1] >= manyLayers || len(v.LayerTime) > 0
		}
	}
	if !any {
		return f, false
	}
	var columns [][]figure.Panel
	for _, r := range results {
		var panels []figure.Panel
		for i, q := range layerQuantities {
			p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: q.axis}}
			if deep {
				p.X = figure.Axis{Label: "layer time τ = (ℓ − 1)/(L − 1)"}
			}
			if i == 0 || len(results) == 1 {
				p.Title = r.title()
			}
			views := r.views(keep)
			for j, v := range views {
				if deep {
					p.Series = append(p.Series, r.alongLayers(v, q, views[0].KernelTime, j > 0)...)
				} else {
					p.Series = append(p.Series, overTime(v, q, j > 0)...)
				}
			}
			p.Blank = len(views) == 0
			if top := highestFinished(results, func(t *dmft.Trajectory) (y, se []float64) {
				return q.of(t).Data, q.se(t).Data
			}); top > 0 {
				p.Y.Min, p.Y.Max = 0, 1.05*top
			}
			panels = append(panels, p)
		}
		columns = append(columns, panels)
	}
	f.Title = "Kernels by layer: " + whose(results, keep) + "; bands and bars: ± 2 standard errors"
	grid(&f, columns)
	compact(&f)
	return f, true
}

// whose says what lines and points are.
func whose(results []Result, keep func(*dmft.Trajectory) bool) string {
	lines, points := "", ""
	for _, r := range results {
		for j, v := range r.views(keep) {
			switch {
			case j == 0:
				lines = v.who
			case points == "" || points == v.who:
				points = v.who
			default:
				points = "the widest finite networks"
			}
		}
	}
	if points == "" {
		return lines
	}
	return "lines " + lines + ", points " + points
}

// compact makes panels of more than three columns smaller.
func compact(f *figure.Figure) {
	if f.Columns > 3 {
		f.PanelWidth, f.PanelHeight = 2.4, 2.2
	}
}

// overTime are curves over time in colours by layer; of the second of two trajectories points without labels.
func overTime(v view, q layerQuantity, points bool) []figure.Series {
	var out []figure.Series
	a := q.of(v.Trajectory)
	n := a.Shape[1]
	for l := range n {
		s := figure.Series{Label: fmt.Sprintf("layer %d", l+1), X: v.KernelTime, Color: figure.Sequence(l, n)}
		for k := range v.KernelTime {
			s.Y = append(s.Y, a.At(k).Data[l])
			q.bars(v.Trajectory, &s, k, l)
		}
		if points {
			s.Label, s.Style = "", figure.Points
			s = thinBars(s, 12)
		}
		out = append(out, s)
	}
	return out
}

// alongLayers are curves over layer time in colours by time, at a few of the times given.
func (r Result) alongLayers(v view, q layerQuantity, times []float64, points bool) []figure.Series {
	const most = 4
	a := q.of(v.Trajectory)
	n := a.Shape[1]
	tau := v.LayerTime
	if len(tau) != n {
		tau = make([]float64, n)
		for l := range tau {
			tau[l] = float64(l) / float64(n-1)
		}
	}
	m := min(most, len(times))
	var out []figure.Series
	for i := range m {
		t := times[i*(len(times)-1)/max(m-1, 1)]
		for k, tk := range v.KernelTime {
			if tk != t {
				continue
			}
			s := figure.Series{Label: r.at(t), X: tau, Y: a.At(k).Data, Color: figure.Sequence(i, m)}
			for l := range n {
				q.bars(v.Trajectory, &s, k, l)
			}
			if points {
				s.Label, s.Style = "", figure.Points
			}
			out = append(out, s)
		}
	}
	return out
}

// spectrumFigure shows the largest eigenvalues of the NTK.
func spectrumFigure(results []Result) (figure.Figure, bool) {
	const most = 6
	keep := func(t *dmft.Trajectory) bool {
		a := t.NTKSpectrum
		if len(a.Shape) != 2 || a.Shape[0] != len(t.KernelTime) || a.Shape[0] < 2 || a.Shape[1] == 0 {
			return false
		}
		for _, v := range a.Data {
			if v > 0 && !math.IsInf(v, 0) {
				return true
			}
		}
		return false
	}
	f := figure.Figure{Columns: len(results), SameY: true}
	any, gaps := false, false
	for _, r := range results {
		p := figure.Panel{Title: r.title(), X: r.timeAxis(), Y: figure.Axis{Label: "eigenvalue of the NTK", Log: true}}
		views := r.views(keep)
		for j, v := range views {
			n := min(v.NTKSpectrum.Shape[1], most)
			for i := range n {
				s := figure.Series{Label: "λ" + subscript(i+1), Color: figure.Sequence(i, n)}
				for k, t := range v.SpectrumTime {
					if e := v.NTKSpectrum.At(k).Data[i]; !math.IsNaN(e) && !math.IsInf(e, 0) {
						s.X, s.Y = append(s.X, t), append(s.Y, e)
					}
				}
				if len(s.X) < len(v.KernelTime) {
					s.Style, gaps = figure.Dotted, true
				}
				if j > 0 {
					s.Label, s.Style = "", figure.Points
					s.X, s.Y = thin(s.X, s.Y, 12)
				}
				p.Series = append(p.Series, s)
			}
		}
		any = any || len(views) > 0
		p.Blank = len(views) == 0
		p.Y.Min, p.Y.Max = lossRange(p.Series)
		f.Panels = append(f.Panels, p)
	}
	f.Title = "Largest eigenvalues of the NTK: " + whose(results, keep)
	if gaps {
		f.Title += " (dotted: not computed between)"
	}
	compact(&f)
	return f, any
}

func subscript(n int) string {
	return string([]rune("₀₁₂₃₄₅₆₇₈₉")[n])
}
