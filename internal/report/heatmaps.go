package report

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// A view is a trajectory that is drawn beside another.
type view struct {
	who string
	*dmft.Trajectory
}

// views are the theory and the widest finite network, those that there are and that keep is true of.
func (r Result) views(keep func(*dmft.Trajectory) bool) []view {
	var out []view
	if r.Theory != nil && keep(r.Theory) {
		out = append(out, view{methodName(r.Method), r.Theory})
	}
	if w := r.widest(); w != nil && keep(w) {
		out = append(out, view{fmt.Sprintf("N = %d", w.Width), w})
	}
	return out
}

func (r Result) widest() *dmft.Trajectory {
	if len(r.Sims) == 0 {
		return nil
	}
	return r.Sims[len(r.Sims)-1]
}

// sizes are the numbers of training points and outputs.
func sizes(t *dmft.Trajectory) (p, c int) {
	p, c = 0, 1
	if len(t.F.Shape) > 1 {
		p = t.F.Shape[1]
	}
	if len(t.F.Shape) > 2 {
		c = t.F.Shape[2]
	}
	return p, c
}

// at says when a time is.
func (r Result) at(t float64) string {
	v := strconv.FormatFloat(t, 'g', 4, 64)
	if r.Flow {
		return "ηt = " + v
	}
	return "step " + v
}

// bothKernels is up to how many points of a product a figure of heat maps shows two kernels; with more, one.
const bothKernels = 3

// side is the size of a panel with a heat map, in inches.
const side = 1.75

// A heatRow is heat maps beside each other with a common scale: a row or a part of one.
type heatRow struct {
	bar    string
	titles []string
	maps   []*figure.HeatMap // nil is an empty place
}

// share gives all maps the range of all and the last one the colour bar.
func (h heatRow) share() {
	lo, hi := math.Inf(1), math.Inf(-1)
	var last *figure.HeatMap
	for _, m := range h.maps {
		if m == nil {
			continue
		}
		last = m
		for _, row := range m.Z {
			for _, v := range row {
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					lo, hi = math.Min(lo, v), math.Max(hi, v)
				}
			}
		}
	}
	if last == nil {
		return
	}
	last.Bar = h.bar
	if lo > hi {
		return
	}
	for _, m := range h.maps {
		if m != nil {
			m.Min, m.Max = lo, hi
		}
	}
}

// beside joins two parts to a row; the second begins at a column.
func (h heatRow) beside(o heatRow, column int) heatRow {
	h.share()
	o.share()
	pad := func(n int) int { return max(column-n, 0) }
	h.bar = ""
	h.titles = append(append(h.titles, make([]string, pad(len(h.titles)))...), o.titles...)
	h.maps = append(append(h.maps, make([]*figure.HeatMap, pad(len(h.maps)))...), o.maps...)
	return h
}

// heatPanels arranges rows of heat maps over the same axes. Numbers and labels are at the left and at the bottom only.
func heatPanels(f *figure.Figure, rows []heatRow, x, y figure.Axis) {
	scales := map[string][]*figure.HeatMap{} // one scale for all maps of a quantity
	for _, h := range rows {
		if h.bar != "" {
			h.share()
			scales[h.bar] = append(scales[h.bar], h.maps...)
		}
		f.Columns = max(f.Columns, len(h.maps))
	}
	for _, maps := range scales {
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, m := range maps {
			if m != nil && m.Min < m.Max {
				lo, hi = math.Min(lo, m.Min), math.Max(hi, m.Max)
			}
		}
		for _, m := range maps {
			if m != nil && lo < hi {
				m.Min, m.Max = lo, hi
			}
		}
	}
	place := func(row, col int) *figure.HeatMap {
		if row < len(rows) && col < len(rows[row].maps) {
			return rows[row].maps[col]
		}
		return nil
	}
	for i, h := range rows {
		covered := true // every map has one below it
		for j := range f.Columns {
			covered = covered && (place(i, j) == nil || place(i+1, j) != nil)
		}
		for j := range f.Columns {
			m := place(i, j)
			if m == nil {
				f.Panels = append(f.Panels, figure.Panel{Blank: true})
				continue
			}
			p := figure.Panel{X: x, Y: y, Heat: m}
			if j < len(h.titles) {
				p.Title = h.titles[j]
			}
			if j > 0 && place(i, j-1) != nil {
				p.Y.Label, p.Y.Bare = "", true
			}
			if covered {
				p.X.Label, p.X.Bare = "", true
			}
			f.Panels = append(f.Panels, p)
		}
	}
	f.PanelWidth, f.PanelHeight = side, side
}

// header puts the point of a product above the first title of its rows.
func header(label string, titles []string) []string {
	out := slices.Clone(titles)
	if label != "" && len(out) > 0 {
		out[0] = label + "\n" + out[0]
	}
	return out
}

// heatmapFigure shows the NTK and the feature kernel of the last layer over samples at the first and the last time
// kept.
func heatmapFigure(results []Result) (figure.Figure, bool) {
	f := figure.Figure{Title: "Kernels over training samples, sorted by their predictions at the end; one scale for " +
		"every kernel"}
	kernels := 2
	if len(results) > bothKernels {
		kernels = 1
	}
	var rows []heatRow
	points := 0
	for _, r := range results {
		views := r.views(func(t *dmft.Trajectory) bool {
			p, c := sizes(t)
			k := len(t.KernelTime)
			return p > 1 && k > 0 && len(t.NTK.Data) == k*p*c*p*c && len(t.Phi.Shape) > 1 && t.Phi.Shape[1] > 0 &&
				len(t.Phi.Data) == k*t.Phi.Shape[1]*p*p
		})
		if len(views) == 0 {
			continue
		}
		p, c := sizes(views[0].Trajectory)
		points = max(points, p)
		order := byPrediction(views[0].Trajectory)
		for kernel := range kernels {
			var h heatRow
			for when := range 2 {
				for _, v := range views {
					k := when * (len(v.KernelTime) - 1)
					if when == 1 && k == 0 {
						continue
					}
					h.titles = append(h.titles, v.who+", "+r.at(v.KernelTime[k]))
					if kernel == 0 {
						h.bar = "NTK"
						if c > 1 {
							h.bar = "NTK, mean over outputs"
						}
						h.maps = append(h.maps, sampleMap(v.NTK.At(k).Data, p, c, order))
					} else {
						l := v.Phi.Shape[1]
						h.bar = "Φ" + figure.Superscript(l)
						if len(v.LayerTime) > 0 {
							h.bar = "Φ at τ = 1"
						}
						h.maps = append(h.maps, sampleMap(v.Phi.At(k).At(l-1).Data, p, 1, order))
					}
				}
			}
			if kernel == 0 {
				h.titles = header(r.title(), h.titles)
			} else {
				h.titles = nil
			}
			rows = append(rows, h)
		}
	}
	axis := func(label string) figure.Axis {
		a := figure.Axis{Label: label}
		if points <= 5 { // round numbers between samples mean nothing
			for i := range points {
				a.Ticks = append(a.Ticks, float64(i+1))
			}
		}
		return a
	}
	heatPanels(&f, rows, axis("sample ν"), axis("sample μ"))
	return f, len(rows) > 0
}

// byPrediction sorts samples by their class, the largest of several outputs, and by the output itself, at the last
// time.
func byPrediction(t *dmft.Trajectory) []int {
	p, c := sizes(t)
	order := make([]int, p)
	class, value := make([]int, p), make([]float64, p)
	last := t.F.At(t.F.Shape[0] - 1).Data
	for m := range p {
		order[m] = m
		f := last[m*c : (m+1)*c]
		for k, v := range f {
			if v > f[class[m]] {
				class[m] = k
			}
		}
		value[m] = f[class[m]]
	}
	sort.SliceStable(order, func(i, j int) bool {
		a, b := order[i], order[j]
		if class[a] != class[b] {
			return class[a] < class[b]
		}
		return value[a] < value[b]
	})
	return order
}

// sampleMap is a kernel over samples and outputs, averaged over equal outputs.
func sampleMap(k []float64, p, c int, order []int) *figure.HeatMap {
	h := &figure.HeatMap{Signed: true, Matrix: true}
	for i, m := range order {
		h.X, h.Y = append(h.X, float64(i+1)), append(h.Y, float64(i+1))
		row := make([]float64, p)
		for j, n := range order {
			for o := range c {
				row[j] += k[(m*c+o)*p*c+n*c+o] / float64(c)
			}
		}
		h.Z = append(h.Z, row)
	}
	return h
}

// shownLayers are the layers drawn where there is room for few: all up to three, else the first, one in the middle and
// the last.
func shownLayers(l int) []int {
	switch {
	case l > 3:
		return []int{0, l / 2, l - 1}
	case l == 3:
		return []int{0, 1, 2}
	case l == 2:
		return []int{0, 1}
	}
	return []int{0}
}

// twoTimeFigure shows kernels and responses over pairs of times, averaged over samples.
func twoTimeFigure(results []Result) (figure.Figure, bool) {
	f := figure.Figure{Title: "Kernels over two times, means over training samples"}
	kernels := 2
	if len(results) > bothKernels {
		kernels = 1
	}
	var rows []heatRow
	flow := false
	for _, r := range results {
		views := r.views(func(t *dmft.Trajectory) bool {
			p, c := sizes(t)
			j := len(t.TwoTimeTime)
			l := 0
			if len(t.PhiTwoTime.Shape) > 0 {
				l = t.PhiTwoTime.Shape[0]
			}
			return p > 0 && j > 1 && l > 0 && len(t.PhiTwoTime.Data) == l*j*j*p*p && len(t.GTwoTime.Data) == l*j*j*p*c*p*c
		})
		if len(views) == 0 {
			continue
		}
		flow = flow || r.Flow
		p, c := sizes(views[0].Trajectory)
		phi, g := heatRow{bar: "Φˡ(t, s)"}, heatRow{bar: "Gˡ(t, s)"}
		for _, v := range views {
			layers := v.PhiTwoTime.Shape[0]
			for _, l := range shownLayers(layers) {
				title := v.who
				if layers > 1 {
					title += fmt.Sprintf(", layer %d", l+1)
				}
				phi.titles = append(phi.titles, title)
				phi.maps = append(phi.maps, timeMap(v.TwoTimeTime, v.PhiTwoTime.At(l),
					func(k []float64) float64 { return diagonal(k, p, 1, 1) }, nil))
				g.maps = append(g.maps, timeMap(v.TwoTimeTime, v.GTwoTime.At(l),
					func(k []float64) float64 { return diagonal(k, p, c, c) }, nil))
			}
		}
		phi.titles = header(r.title(), phi.titles)
		rows = append(rows, []heatRow{phi, g}[:kernels]...)
		t, j := views[0].Trajectory, len(views[0].TwoTimeTime)
		l := t.PhiTwoTime.Shape[0]
		if n := (l - 1) * j * j * p * p * c; len(results) == 1 && n > 0 && len(t.ResponseA.Data) == n &&
			len(t.ResponseB.Data) == n {
			a, b := heatRow{bar: "Aˡ(t, s)"}, heatRow{bar: "Bˡ(t, s)"}
			shown := shownLayers(l)
			for _, l := range shown[:len(shown)-1] { // the last layer has none
				a.titles = append(a.titles, fmt.Sprintf("N = ∞, A of layer %d", l+1))
				b.titles = append(b.titles, fmt.Sprintf("N = ∞, B of layer %d", l+1))
				a.maps = append(a.maps, timeMap(t.TwoTimeTime, t.ResponseA.At(l),
					func(k []float64) float64 { return diagonal(k, p, 1, c) }, func(t, s int) bool { return s < t }))
				b.maps = append(b.maps, timeMap(t.TwoTimeTime, t.ResponseB.At(l),
					func(k []float64) float64 { return diagonal(k, p, c, 1) }, func(t, s int) bool { return s <= t }))
			}
			if len(views) > 1 {
				rows = append(rows, a.beside(b, len(shown)))
			} else {
				rows = append(rows, a, b)
			}
			f.Title = "Kernels and responses over two times, means over training samples; grey: no response to what comes later"
		}
	}
	x, y := figure.Axis{Label: "step s"}, figure.Axis{Label: "step t"}
	if flow {
		x.Label, y.Label = "time ηs", "time ηt"
	}
	heatPanels(&f, rows, x, y)
	return f, len(rows) > 0
}

// diagonal is the mean over samples of the elements ((μ,a),(μ,b)) of a matrix over samples and a outputs by samples and
// b outputs: of those of equal outputs where both sides have them, of all where one has.
func diagonal(k []float64, p, a, b int) float64 {
	s := 0.
	n := max(a, b)
	for m := range p {
		for o := range n {
			s += k[(m*a+o%a)*p*b+m*b+o%b]
		}
	}
	return s / float64(p*n)
}

// timeMap is a function of two times; what is not allowed is left out.
func timeMap(times []float64, a dmft.Array, of func([]float64) float64, allowed func(t, s int) bool) *figure.HeatMap {
	h := &figure.HeatMap{X: times, Y: times, Signed: true}
	for t := range times {
		row := make([]float64, len(times))
		for s := range row {
			row[s] = math.NaN()
			if allowed == nil || allowed(t, s) {
				row[s] = of(a.At(t).At(s).Data)
			}
		}
		h.Z = append(h.Z, row)
	}
	return h
}
