package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// depthFigure shows how a network of infinite depth is reached.
func depthFigure(results []Result) (figure.Figure, bool) {
	f := figure.Figure{Title: "Limit of infinite depth, at 1/L = 0; bars and band: ± 2 s.e. (depths share their " +
		"samples); points at one L are set apart sideways", SameY: true}
	var columns [][]figure.Panel
	any := false
	for _, r := range results {
		panels := []figure.Panel{{Blank: true}, {Blank: true}, {Blank: true}}
		if t := r.Theory; t != nil && ladder(t) {
			any = true
			panels = r.depthPanels(t)
			if len(results) > 1 {
				panels[0].Title = strings.TrimSpace(r.title() + "\n" + panels[0].Title)
			}
		}
		columns = append(columns, panels)
	}
	grid(&f, columns)
	compact(&f)
	return f, any
}

// ladder says whether a trajectory holds the depths that it was extrapolated from.
func ladder(t *dmft.Trajectory) bool {
	n, p, c := len(t.Depths), 0, 0
	p, c = sizes(t)
	return n > 0 && len(t.Time) > 0 && p > 0 && len(t.Loss) == len(t.Time) && len(t.F.Data) == len(t.Time)*p*c &&
		len(t.FDepths.Data) == n*len(t.F.Data) && len(t.LossDepths.Data) == n*len(t.Time)
}

func (r Result) depthPanels(t *dmft.Trajectory) []figure.Panel {
	p, c := sizes(t)
	last := len(t.Time) - 1
	limitF, limitSE := t.F.At(last).Data, t.FStderr
	n := len(t.Depths)
	at := func(a dmft.Array, i, m int) float64 { // of the first output
		if len(a.Data) != n*len(t.F.Data) {
			return 0
		}
		return a.At(i).At(last).Data[m*c]
	}
	se := func(m int) float64 {
		if len(limitSE.Data) != len(t.F.Data) {
			return 0
		}
		return limitSE.At(last).Data[m*c]
	}
	x := []float64{0}
	for _, l := range t.Depths {
		x = append(x, 1/float64(l))
	}
	fit, fits := fitDepth(t, last)

	f := figure.Panel{X: figure.Axis{Label: "1/L"}, Y: figure.Axis{Label: "f(L) − f(∞), " + r.at(t.Time[last])}}
	if d := t.Diagnostics.Depth; d != nil && d.Order > 2*d.OrderStderr { // else noise hides it
		f.Title = fmt.Sprintf("observed order %.2g ± %.1g", d.Order, d.OrderStderr)
	}
	shown := []int{0}
	if p > 2 {
		shown = []int{0, p / 2, p - 1}
	}
	name := fit.name()
	for i, m := range shown {
		shift := (float64(i) - float64(len(shown)-1)/2) * 0.012 * x[1]
		s := figure.Series{Label: fmt.Sprintf("sample %d", m+1), Style: figure.Points, Color: figure.Color(i + 1)}
		add := func(x, y, e float64) {
			s.X, s.Y, s.Lo, s.Hi = append(s.X, x+shift), append(s.Y, y), append(s.Lo, y-2*e), append(s.Hi, y+2*e)
		}
		add(0, 0, se(m))
		var y []float64
		for k := range n {
			y = append(y, at(t.FDepths, k, m)-limitF[m*c])
			add(x[k+1], y[k], at(t.FDepthsStderr, k, m))
		}
		if fits {
			l := fit.curve(t.Depths, y, false, 0)
			l.Label, l.Color = name, figure.Color(i+1)
			name = ""
			f.Series = append(f.Series, l)
		}
		f.Series = append(f.Series, s)
	}

	loss := figure.Panel{X: figure.Axis{Label: "1/L"}, Y: figure.Axis{Label: r.lossLabel("training")},
		Title: r.at(t.Time[last])}
	points := figure.Series{Label: "depth L", Style: figure.Points, Color: figure.Color(1)}
	for k := range n {
		points.X, points.Y = append(points.X, x[k+1]), append(points.Y, t.LossDepths.At(k).Data[last])
	}
	end := figure.Series{Label: "limit", Style: figure.Points, X: []float64{0}, Y: []float64{t.Loss[last]}}
	if len(t.LossStderr) > last {
		e := 2 * t.LossStderr[last]
		end.Lo, end.Hi = []float64{end.Y[0] - e}, []float64{end.Y[0] + e}
	}
	if fits {
		l := fit.curve(t.Depths, points.Y, true, end.Y[0])
		l.Color = figure.Color(1)
		loss.Series = append(loss.Series, l)
	}
	loss.Series = append(loss.Series, points, end)

	curves := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: r.lossLabel("training"), Log: true}}
	curves.Series = append(curves.Series, limit(t.Time, t.Loss, t.LossStderr, "L = ∞"))
	for k, l := range t.Depths {
		curves.Series = append(curves.Series, band(t.Time, t.LossDepths.At(k).Data, nil, fmt.Sprintf("L = %d", l), k, n))
	}
	curves.Y.Min, curves.Y.Max = lossRange(curves.Series)
	return []figure.Panel{f, loss, curves}
}

// A depthFit is a polynomial in L^{−q} through the last rungs of a ladder of depths.
type depthFit struct {
	q      float64
	depths []int
}

func (d depthFit) name() string {
	if len(d.depths) == 0 {
		return ""
	}
	var l []string
	for _, v := range d.depths {
		l = append(l, strconv.Itoa(v))
	}
	s := "fit in 1/L"
	if d.q != 1 {
		s = fmt.Sprintf("fit in 1/L^%.2g", d.q)
	}
	return s + ", L = " + strings.Join(l, ", ")
}

// fitDepth finds which polynomial the limit was extrapolated with. A trajectory does not say; but the limit is one and
// the same combination of the rungs at every sample.
func fitDepth(t *dmft.Trajectory, last int) (depthFit, bool) {
	n := len(t.Depths)
	limit := t.F.At(last).Data
	var scale float64
	if n >= 2 {
		a, b := t.FDepths.At(n-1).At(last).Data, t.FDepths.At(n-2).At(last).Data
		for i := range a {
			scale += (a[i] - b[i]) * (a[i] - b[i])
		}
	}
	if !(scale > 0) {
		return depthFit{}, false
	}
	miss := func(k int, q float64) float64 {
		s := 0.
		for i, v := range limit {
			y := make([]float64, k)
			for j := range y {
				y[j] = t.FDepths.At(n - k + j).At(last).Data[i]
			}
			d := v - depthFit{q, t.Depths[n-k:]}.at(0, y)
			s += d * d
		}
		return s / scale
	}
	best, bestMiss := depthFit{}, math.Inf(1)
	for k := 2; k <= min(3, n); k++ {
		for i := 100; i >= 2; i-- {
			if q := float64(i) / 100; miss(k, q) < bestMiss {
				best, bestMiss = depthFit{q, t.Depths[n-k:]}, miss(k, q)
			}
			if bestMiss < 1e-12 {
				return best, true
			}
		}
	}
	return best, bestMiss < 1e-2
}

// at is the polynomial through y at x = L^{−q}.
func (d depthFit) at(x float64, y []float64) float64 {
	s := 0.
	for i, li := range d.depths {
		w, xi := 1., math.Pow(float64(li), -d.q)
		for j, lj := range d.depths {
			if xj := math.Pow(float64(lj), -d.q); j != i {
				w *= (x - xj) / (xi - xj)
			}
		}
		s += w * y[i]
	}
	return s
}

// curve is the fit to values at all depths from 1/L = 0 to the shallowest depth in it. What is not linear in f, such as
// a loss, also goes through its limit.
func (d depthFit) curve(depths []int, y []float64, through bool, limit float64) figure.Series {
	s := figure.Series{Style: figure.Dashed, Width: 0.9}
	y = y[len(depths)-len(d.depths):]
	const n = 50
	for i := range n + 1 {
		l := float64(i) / n / float64(d.depths[0])
		x := math.Pow(l, d.q)
		v := d.at(x, y)
		if through { // the polynomial of one degree more: what d misses at 0, times ∏(1 − x/xⱼ)
			w := limit - d.at(0, y)
			for _, lj := range d.depths {
				w *= 1 - x/math.Pow(float64(lj), -d.q)
			}
			v += w
		}
		s.X, s.Y = append(s.X, l), append(s.Y, v)
	}
	return s
}
