package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// A Grid is a sweep to be drawn: points are numbered as the product of the axes, the last one fastest.
type Grid struct {
	Axes    []GridAxis
	What    []string                                               // trajectories, the theory first
	Value   func(point int, what, quantity string) float64         // NaN when there is none
	Curves  func(point int, what string) (c LossCurves, err error) // read when a figure needs them
	Caption string
	Time    string // label of the axis of time

	Reduction string // of losses over samples: sum or mean, or empty where points differ
}

// GridAxis is a swept key.
type GridAxis struct {
	Key     string
	Labels  []string
	Numbers []float64 // nil when the values are not numbers
}

// LossCurves are the losses of a trajectory.
type LossCurves struct {
	Time, Loss, LossStderr, Test, TestStderr       []float64
	Error, ErrorStderr, TestError, TestErrorStderr []float64 // of classification, or empty
}

const (
	gridColumns = 3  // trajectories side by side
	gridCurves  = 8  // curves of a panel
	gridPanels  = 6  // values of the keys that are not on axes, of one figure
	gridFigures = 20 // figures of one kind
)

// defaultQuantities are drawn when none are asked for and they are there.
var defaultQuantities = []string{"loss", "test_loss", "classification_error", "test_classification_error",
	"kernel_movement", "gap"}

// SweepFigures draws a sweep: heat maps of quantities over the first two keys that are numbers, curves of the losses by
// the last key, and final losses against a key. A quantity that no point has is an error when it was asked for.
func SweepFigures(g Grid, quantities []string) ([]Named, error) {
	if len(g.Axes) == 0 || len(g.What) == 0 {
		return nil, nil
	}
	asked := len(quantities) > 0
	if !asked {
		quantities = defaultQuantities
	}
	if len(g.What) > gridColumns { // the theory and the largest networks
		g.What = append(g.What[:1:1], g.What[len(g.What)-gridColumns+1:]...)
	}
	var out []Named
	for _, name := range quantities {
		q, ok := FindQuantity(name)
		if !ok {
			return nil, fmt.Errorf("there is no quantity %s; there are %s", name, strings.Join(QuantityNames(), ", "))
		}
		if !g.has(name) {
			if asked {
				return nil, fmt.Errorf("no point of the sweep has %s", name)
			}
			continue
		}
		if x, y, ok := g.plane(); ok {
			out = append(out, g.heat(q, x, y)...)
		}
		if x, ok := g.line(); ok {
			out = append(out, g.against(q, x)...)
		}
	}
	if !asked {
		c, err := g.curves()
		if err != nil {
			return nil, err
		}
		out = append(out, c...)
	}
	return out, nil
}

// label is a quantity in words, a loss with its normalisation.
func (g *Grid) label(q Quantity) string {
	if !q.loss() {
		return q.Label
	}
	return g.lossLabel(q.Label)
}

func (g *Grid) lossLabel(name string) string {
	if g.Reduction == "" {
		return name
	}
	return name + " (" + g.Reduction + " over samples)"
}

func (g *Grid) points() int {
	n := 1
	for _, a := range g.Axes {
		n *= len(a.Labels)
	}
	return n
}

func (g *Grid) has(quantity string) bool {
	for i := range g.points() {
		for _, w := range g.What {
			if v := g.Value(i, w, quantity); v == v {
				return true
			}
		}
	}
	return false
}

// numeric says whether an axis can be drawn to scale.
func (g *Grid) numeric(k int) bool {
	return len(g.Axes[k].Numbers) > 1 && !slices.Contains(g.Axes[k].Numbers, math.Inf(1))
}

// plane are the axes of a heat map: the first two that are numbers. Amounts of data go up.
func (g *Grid) plane() (x, y int, ok bool) {
	var at []int
	for k := range g.Axes {
		if g.numeric(k) {
			at = append(at, k)
		}
	}
	if len(at) < 2 {
		return 0, 0, false
	}
	if x, y = at[0], at[1]; g.Axes[x].Key == "data.ratio" || g.Axes[x].Key == "data.train" {
		x, y = y, x
	}
	return x, y, true
}

// line is the axis of curves against a key: the one with the most numbers.
func (g *Grid) line() (int, bool) {
	best := -1
	for k := range g.Axes {
		if g.numeric(k) && (best < 0 || len(g.Axes[k].Numbers) > len(g.Axes[best].Numbers)) {
			best = k
		}
	}
	return best, best >= 0
}

// index is the number of the point at places along the axes.
func (g *Grid) index(at []int) int {
	n := 0
	for k, a := range g.Axes {
		n = n*len(a.Labels) + at[k]
	}
	return n
}

// others are the places along all axes but those given, which are left at 0, with their names.
func (g *Grid) others(but ...int) (places [][]int, titles []string) {
	places, titles = [][]int{make([]int, len(g.Axes))}, []string{""}
	for k, a := range g.Axes {
		if slices.Contains(but, k) {
			continue
		}
		var p [][]int
		var t []string
		for i, base := range places {
			for v := range a.Labels {
				at := slices.Clone(base)
				at[k] = v
				p, t = append(p, at), append(t, strings.TrimPrefix(titles[i]+", "+pretty(a.Key+"="+a.Labels[v]), ", "))
			}
		}
		places, titles = p, t
	}
	return places, titles
}

// scale is how numbers are drawn: logarithmically when they span a decade and are spaced that way.
func scale(x []float64) (log bool) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		lo, hi = math.Min(lo, v), math.Max(hi, v)
	}
	return lo > 0 && hi/lo >= 10
}

// spacedLog says whether the values of an axis are drawn logarithmically.
func spacedLog(x []float64) bool {
	if !scale(x) {
		return false
	}
	v := slices.Clone(x)
	slices.Sort(v)
	// Of even steps or of even factors: whose steps vary less.
	uneven := func(f func(float64) float64) float64 {
		sum, squares, n := 0., 0., 0.
		for i := 1; i < len(v); i++ {
			d := f(v[i]) - f(v[i-1])
			sum, squares, n = sum+d, squares+d*d, n+1
		}
		return squares * n / (sum * sum)
	}
	return uneven(math.Log) <= uneven(func(x float64) float64 { return x })
}

func (a GridAxis) axis(log bool) figure.Axis {
	x := figure.Axis{Label: AxisName(a.Key), Log: log}
	if n := len(a.Numbers); n <= 6 {
		x.Ticks = slices.Clone(a.Numbers)
		slices.Sort(x.Ticks)
	}
	return x
}

// sorted are the numbers of an axis rising, and the places that they come from.
func (a GridAxis) sorted() (x []float64, from []int) {
	for i := range a.Numbers {
		from = append(from, i)
	}
	slices.SortFunc(from, func(i, j int) int {
		switch {
		case a.Numbers[i] < a.Numbers[j]:
			return -1
		case a.Numbers[i] > a.Numbers[j]:
			return 1
		}
		return 0
	})
	for _, i := range from {
		x = append(x, a.Numbers[i])
	}
	return x, from
}

// heat are heat maps: a column per trajectory, a row per value of the other keys. All share one scale.
func (g *Grid) heat(q Quantity, x, y int) []Named {
	places, titles := g.others(x, y)
	xs, xat := g.Axes[x].sorted()
	ys, yat := g.Axes[y].sorted()
	what := slices.DeleteFunc(slices.Clone(g.What), func(w string) bool { return !g.hasOf(w, q.Name) })
	var all []float64
	for i := range g.points() {
		for _, w := range what {
			all = append(all, g.Value(i, w, q.Name))
		}
	}
	log := q.Log && scale(all)
	tr := func(v float64, log bool) float64 {
		if log {
			return math.Log10(v)
		}
		return v
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	absent := map[string]bool{}
	for _, v := range all {
		switch v = tr(v, log); {
		case math.IsInf(v, 1):
			absent["never"] = true
		case math.IsNaN(v) || math.IsInf(v, 0):
			absent["stopped early or not there"] = true
		default:
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
	}
	xlog, ylog := spacedLog(xs), spacedLog(ys)
	along := func(v []float64, log bool) []float64 {
		out := make([]float64, len(v))
		for i := range v {
			out[i] = tr(v[i], log)
		}
		return out
	}
	title := g.title(g.label(q))
	switch {
	case absent["never"] && absent["stopped early or not there"]:
		title += "; grey: never, stopped early or not there"
	case absent["never"]:
		title += "; grey: never"
	case absent["stopped early or not there"]:
		title += "; grey: stopped early or not there"
	}
	const rows = 3
	var out []Named
	for first := 0; first < len(places) && len(out) < gridFigures; first += rows {
		f := figure.Figure{Title: title, Columns: len(what), PanelWidth: 2.9, PanelHeight: 2.7}
		if len(what) == 1 && len(places) == 1 {
			f.PanelWidth, f.PanelHeight = 4.2, 3.4
		}
		for k := first; k < min(first+rows, len(places)); k++ {
			for c, w := range what {
				m := &figure.HeatMap{X: along(xs, xlog), Y: along(ys, ylog), Min: lo, Max: hi, Log: log}
				if c == len(what)-1 {
					m.Bar = g.label(q)
				}
				for _, j := range yat {
					var row []float64
					for _, i := range xat {
						at := slices.Clone(places[k])
						at[x], at[y] = i, j
						row = append(row, tr(g.Value(g.index(at), w, q.Name), log))
					}
					m.Z = append(m.Z, row)
				}
				f.Panels = append(f.Panels, figure.Panel{Title: strings.TrimPrefix(strings.TrimSuffix(w+", "+titles[k],
					", "), ", "), X: g.Axes[x].axis(xlog), Y: g.Axes[y].axis(ylog), Heat: m})
			}
		}
		out = append(out, Named{numbered("heat-"+q.Name, first/rows), f})
	}
	return out
}

func numbered(name string, k int) string {
	if k == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, k+1)
}

func (g *Grid) title(what string) string {
	s := strings.ToUpper(what[:1]) + what[1:]
	if g.Caption != "" {
		s += ". " + g.Caption
	}
	return s
}

func (g *Grid) hasOf(what, quantity string) bool {
	for i := range g.points() {
		if v := g.Value(i, what, quantity); v == v {
			return true
		}
	}
	return false
}

// few are at most n of the numbers 0 … of−1, evenly spaced, ends included.
func few(n, of int) []int {
	var out []int
	for i := range min(n, of) {
		k := 0
		if m := min(n, of); m > 1 {
			k = (i*(of-1) + (m-1)/2) / (m - 1)
		}
		out = append(out, k)
	}
	return out
}

// overlay are the trajectories that a panel of several curves shows at once, the first as lines and the other as
// points: the theory and the largest networks.
func (g *Grid) overlay(what []string) (lines, points string) {
	last := what[len(what)-1]
	if len(what) == 1 {
		return last, ""
	}
	return what[0], last
}

// who says what lines and points are.
func who(lines, points string) string {
	if points == "" {
		return lines
	}
	return "lines: " + lines + ", points: " + points
}

// against is a quantity against a key, with a curve per value of another key, or per trajectory when there is none.
func (g *Grid) against(q Quantity, x int) []Named {
	xs, xat := g.Axes[x].sorted()
	xlog := spacedLog(xs)
	// The other key that tells curves apart: the one with the most values.
	by := -1
	for k := range g.Axes {
		if k != x && len(g.Axes[k].Labels) > 1 && (by < 0 || len(g.Axes[k].Labels) > len(g.Axes[by].Labels)) {
			by = k
		}
	}
	places, titles := g.others(x, by)
	what := slices.DeleteFunc(slices.Clone(g.What), func(w string) bool { return !g.hasOf(w, q.Name) })
	var all []float64
	var absent [2][]string // values of the key at which something is not drawn: never reached, stopped early or not there
	leave := func(i int, v float64) {
		k := 1
		if math.IsInf(v, 1) {
			k = 0
		}
		if l := g.Axes[x].Labels[i]; !slices.Contains(absent[k], l) {
			absent[k] = append(absent[k], l)
		}
	}
	series := func(base []int, w string) figure.Series {
		s := figure.Series{}
		for n, i := range xat {
			at := slices.Clone(base)
			at[x] = i
			value := func(quantity string) float64 { return g.Value(g.index(at), w, quantity) }
			v := value(q.Name)
			if math.IsNaN(v) || math.IsInf(v, 0) {
				leave(i, v)
				continue
			}
			s.X, s.Y = append(s.X, xs[n]), append(s.Y, v)
			switch {
			case q.Stderr != "":
				e := value(q.Stderr)
				if math.IsNaN(e) {
					e = 0
				}
				s.Lo, s.Hi = append(s.Lo, v-2*e), append(s.Hi, v+2*e)
			case q.Name == "gap" && w != "theory":
				lo, hi := value("gap_lower"), value("gap_upper")
				if math.IsNaN(lo) || math.IsInf(lo, 0) {
					lo = v
				}
				if math.IsNaN(hi) || math.IsInf(hi, 0) { // some replicas never learn
					hi = v
				}
				s.Lo, s.Hi = append(s.Lo, lo), append(s.Hi, hi)
			}
			all = append(all, v)
		}
		return s
	}
	f := figure.Figure{Title: g.title(g.label(q))}
	lines, points := g.overlay(what)
	switch {
	case q.Stderr != "":
		f.Title += "; error bars: ± 2 standard errors"
	case q.Name == "gap":
		f.Title += "; medians and quartiles over networks"
	}
	for k, base := range places {
		if k == gridPanels {
			break
		}
		p := figure.Panel{Title: titles[k], X: g.Axes[x].axis(xlog), Y: figure.Axis{Label: g.label(q)}}
		if by < 0 {
			for i, w := range what {
				s := series(base, w)
				if s.Label, s.Color, s.Style = w, figure.Sequence(i, len(what)), figure.Points; w == "theory" {
					s.Color, s.Style = figure.Color(0), figure.Line
				}
				p.Series = append(p.Series, s)
			}
			f.Panels = append(f.Panels, p)
			continue
		}
		pick := few(gridCurves, len(g.Axes[by].Labels))
		for i, v := range pick {
			at := slices.Clone(base)
			at[by] = v
			for _, w := range []string{lines, points} {
				if w == "" {
					continue
				}
				s := series(at, w)
				s.Color = figure.Sequence(i, len(pick))
				if s.Label = pretty(g.Axes[by].Key + "=" + g.Axes[by].Labels[v]); w == points {
					s.Label, s.Style = "", figure.Points
				}
				p.Series = append(p.Series, s)
			}
		}
		f.Panels = append(f.Panels, p)
	}
	if by >= 0 {
		f.Title += "; " + who(lines, points)
	}
	for k, why := range []string{"never", "stopped early or not there"} {
		switch n := len(absent[k]); {
		case n > 4:
			f.Title += fmt.Sprintf("; %s at %d values of %s", why, n, g.Axes[x].Key)
		case n > 0:
			f.Title += fmt.Sprintf("; %s: %s", why, strings.Join(
				append([]string{pretty(g.Axes[x].Key + "=" + absent[k][0])}, absent[k][1:]...), ", "))
		}
	}
	f.Columns = min(len(f.Panels), gridColumns)
	if len(f.Panels) == 1 {
		f.PanelWidth, f.PanelHeight = 4.2, 3
	}
	log := q.Log && scale(all)
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, p := range f.Panels {
		for _, s := range p.Series {
			for i, y := range s.Y { // on a logarithmic axis a bar that reaches to zero does not stretch it
				lo, hi = math.Min(lo, y), math.Max(hi, y)
				if s.Hi == nil {
					continue
				}
				if hi = math.Max(hi, s.Hi[i]); !log || s.Lo[i] > y/10 {
					lo = math.Min(lo, s.Lo[i])
				}
			}
		}
	}
	for i := range f.Panels {
		y := &f.Panels[i].Y
		switch y.Log = log; {
		case !(hi > lo): // chosen by the figure
		case log:
			pad := math.Pow(hi/lo, 0.05)
			y.Min, y.Max = lo/pad, hi*pad
		default:
			y.Min, y.Max = lo-0.05*(hi-lo), hi+0.05*(hi-lo)
		}
	}
	return []Named{{"by-" + strings.ReplaceAll(g.Axes[x].Key, ".", "-") + "-" + q.Name, f}}
}

// sane is how many steps there are before the training loss is ten times what it was at the start, where its curve
// leaves the axes, or not finite.
func (l LossCurves) sane() int {
	for n, v := range l.Loss {
		if !(v <= 10*l.Loss[0]) {
			return n
		}
	}
	return len(l.Time)
}

// curves are losses and classification errors over time by the last key, a column per value of the other keys.
func (g *Grid) curves() ([]Named, error) {
	last := len(g.Axes) - 1
	places, titles := g.others(last)
	pick := few(gridCurves, len(g.Axes[last].Labels))
	if len(places) > gridPanels { // of a large product the heat maps and the losses against a key say more
		return nil, nil
	}
	rows := []struct {
		label string
		log   bool
		of    func(LossCurves) (y, se []float64)
	}{
		{g.lossLabel("training loss"), true, func(l LossCurves) (y, se []float64) { return l.Loss, l.LossStderr }},
		{g.lossLabel("test loss"), true, func(l LossCurves) (y, se []float64) { return l.Test, l.TestStderr }},
		{"training error", false, func(l LossCurves) (y, se []float64) { return l.Error, l.ErrorStderr }},
		{"test error", false, func(l LossCurves) (y, se []float64) { return l.TestError, l.TestErrorStderr }},
	}
	panels := make([][]figure.Panel, len(rows))
	lines, points := g.overlay(g.What)
	for c, base := range places {
		for r, row := range rows {
			p := figure.Panel{X: figure.Axis{Label: g.Time}, Y: figure.Axis{Label: row.label, Log: row.log}}
			if r == 0 {
				p.Title = titles[c]
			}
			panels[r] = append(panels[r], p)
		}
		for i, v := range pick {
			at := slices.Clone(base)
			at[last] = v
			for _, w := range []string{lines, points} {
				if w == "" {
					continue
				}
				l, err := g.Curves(g.index(at), w)
				if err != nil {
					return nil, err
				}
				for r, row := range rows {
					y, se := row.of(l)
					if len(y) == 0 || len(y) != len(l.Time) {
						continue
					}
					time := l.Time
					if !row.log { // the signs of predictions that run away say nothing
						n := l.sane()
						time, y = time[:n], y[:n]
						if se != nil {
							se = se[:n]
						}
					}
					s := band(time, y, se, pretty(g.Axes[last].Key+"="+g.Axes[last].Labels[v]), i, len(pick))
					if w == points {
						s.Label, s.Style = "", figure.Points
						s = thinBars(s, 15)
					}
					panels[r][c].Series = append(panels[r][c].Series, s)
				}
			}
		}
	}
	f := figure.Figure{Title: g.title("losses") + "; " + who(lines, points) + "; bands and bars: ± 2 standard errors",
		Columns: len(places), SameY: true}
	for r, row := range rows {
		if !slices.ContainsFunc(panels[r], func(p figure.Panel) bool { return len(p.Series) > 0 }) {
			continue
		}
		for c := range panels[r] {
			if p := &panels[r][c]; row.log {
				p.Y.Min, p.Y.Max = lossRangeTo(p.Series, 10*highestStart(p.Series)) // as in lossFigure
				// A point that has left the axes is marked at their end, and leaves no bar across them.
				for _, x := range p.Series {
					for k, y := range x.Y {
						if x.Style == figure.Points && x.Hi != nil && y > p.Y.Max {
							x.Lo[k], x.Hi[k] = y, y
						}
					}
				}
			} else {
				within(p.Series, 0, 1)
			}
		}
		f.Panels = append(f.Panels, panels[r]...)
	}
	if len(places) == 1 {
		f.Columns = min(len(f.Panels), 2)
	}
	return []Named{{"curves", f}}, nil
}
