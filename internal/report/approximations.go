package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// approximationFigure shows every approximation beside the theory, and how far from it each one is.
func approximationFigure(results []Result) (figure.Figure, bool) {
	var names []string
	for _, r := range results {
		for _, m := range r.Methods {
			if !slices.Contains(names, m.Name) {
				names = append(names, m.Name)
			}
		}
	}
	if len(names) == 0 {
		return figure.Figure{}, false
	}
	slices.Sort(names)
	color := func(name string) int { return 1 + slices.Index(names, name)%7 } // 0 is the theory's
	f := figure.Figure{Title: "Approximations; bands and bars: ± 2 standard errors of the mean", SameY: true}
	for _, r := range results {
		f.Panels = append(f.Panels, r.approximations(color))
	}
	x, numeric := richnesses(results)
	switch {
	case numeric:
		f.Panels = append(f.Panels, breakdown(results, x, names, color))
	case len(results) == 1:
		if p, ok := results[0].departure(color); ok {
			f.Panels = append(f.Panels, p)
		}
	}
	f.Columns = min(3, len(f.Panels))
	if len(f.Panels) == 4 {
		f.Columns = 2
	}
	return f, true
}

// exact is what approximations are measured against: the full theory where it is one of several methods, else the
// theory.
func (r Result) exact() *dmft.Trajectory {
	for _, m := range r.Methods {
		if m.Name == string(dmft.Full) {
			return m.Trajectory
		}
	}
	return r.Theory
}

func (r Result) approximations(color func(string) int) figure.Panel {
	p := figure.Panel{Title: r.title(), X: r.timeAxis(), Y: figure.Axis{Label: r.lossLabel("training"), Log: true}}
	trusted := []figure.Series{}
	if r.Theory != nil {
		trusted = append(trusted, limit(r.Theory.Time, r.Theory.Loss, r.Theory.LossStderr, methodName(r.Method)))
	}
	if w := r.widest(); w != nil {
		s := band(w.Time, w.Loss, w.LossStderr, fmt.Sprintf("N = %d", w.Width), 0, 1)
		s.Color, s.Style = grey, figure.Points
		trusted = append(trusted, thinBars(s, 20))
	}
	p.Series = append(p.Series, trusted...)
	for i, m := range r.Methods {
		s := band(m.Time, m.Loss, m.LossStderr, methodName(m.Name), i, len(r.Methods))
		s.Color, s.Width = figure.Color(color(m.Name)), 1.2
		p.Series = append(p.Series, s)
	}
	lo, hi := lossRange(p.Series)
	// An approximation that blows up leaves the figure instead of flattening the rest.
	if _, top := lossRange(trusted); top > 0 {
		hi = math.Min(hi, 10*top)
	}
	if len(trusted) > 0 && lo > 0 {
		if bottom, _ := lossRange(trusted); bottom > 0 {
			lo = math.Max(lo, bottom*1e-3)
		}
	}
	if lo < hi {
		p.Y.Min, p.Y.Max = lo, hi
	}
	return p
}

func thinBars(s figure.Series, n int) figure.Series {
	x := s.X
	s.X, s.Y = thin(x, s.Y, n)
	if s.Lo != nil {
		_, s.Lo = thin(x, s.Lo, n)
		_, s.Hi = thin(x, s.Hi, n)
	}
	return s
}

// distance is the root mean square of a − b over samples and the times from … to − 1, relative to that of b; NaN where
// one of them does not reach.
func distance(a, b dmft.Array, from, to int) float64 {
	if a.Empty() || b.Empty() || to > a.Shape[0] || to > b.Shape[0] || from >= to ||
		len(a.Data)/a.Shape[0] != len(b.Data)/b.Shape[0] {
		return math.NaN()
	}
	row := len(b.Data) / b.Shape[0]
	d, s := 0., 0.
	for i := from * row; i < to*row; i++ {
		d += (a.Data[i] - b.Data[i]) * (a.Data[i] - b.Data[i])
		s += b.Data[i] * b.Data[i]
	}
	return math.Sqrt(d / s)
}

// noise is the standard error of f, relative to f, in the sense of distance.
func noise(t *dmft.Trajectory, from, to int) float64 {
	if t.FStderr.Empty() || len(t.FStderr.Data) != len(t.F.Data) {
		return math.NaN()
	}
	sum := dmft.NewArray(t.F.Shape...)
	for i := range sum.Data {
		sum.Data[i] = t.F.Data[i] + t.FStderr.Data[i]
	}
	return distance(sum, t.F, from, to)
}

// floor is the series of what cannot be told from zero.
func floor(x, y []float64) figure.Series {
	return figure.Series{Label: "standard error of the theory", Style: figure.Dotted, X: x, Y: y}
}

const distanceAxis = "distance of f from theory, relative"

// departure is the distance of every approximation from the theory over time.
func (r Result) departure(color func(string) int) (figure.Panel, bool) {
	exact := r.exact()
	if exact == nil || len(exact.Time) == 0 {
		return figure.Panel{}, false
	}
	p := figure.Panel{X: r.timeAxis(), Y: figure.Axis{Label: distanceAxis, Log: true}}
	p.X.Max = exact.Time[len(exact.Time)-1] // with the start, where f may be zero
	for _, m := range r.Methods {
		if m.Trajectory == exact {
			continue
		}
		s := figure.Series{Label: methodName(m.Name), Color: figure.Color(color(m.Name))}
		for k := range min(len(exact.Time), len(m.Time)) {
			s.X, s.Y = append(s.X, exact.Time[k]), append(s.Y, distance(m.F, exact.F, k, k+1))
		}
		p.Series = append(p.Series, s)
	}
	var y []float64
	for k := range exact.Time {
		y = append(y, noise(exact, k, k+1))
	}
	p.Series = append(p.Series, floor(exact.Time, y))
	p.Y.Min, p.Y.Max = distanceRange(p.Series)
	return p, true
}

// distanceRange leaves out what is below any use and far beyond broken.
func distanceRange(series []figure.Series) (lo, hi float64) {
	lo, hi = lossRange(series)
	hi = math.Min(hi, 30)
	lo = math.Max(lo, hi*1e-6)
	if !(lo < hi) {
		return 0, 0
	}
	return lo, hi
}

// richnesses are the values of γ₀ of a product over it alone.
func richnesses(results []Result) ([]float64, bool) {
	var x []float64
	for _, r := range results {
		parts := splitLabel(r.Label)
		if len(parts) != 1 || parts[0][0] != "richness" {
			return nil, false
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(parts[0][1]), 64)
		if err != nil || !(v > 0) || slices.Contains(x, v) {
			return nil, false
		}
		x = append(x, v)
	}
	return x, len(x) > 1
}

// breakdown is the distance of every approximation from the theory against the richness. One that stopped before the
// theory has no point.
func breakdown(results []Result, x []float64, names []string, color func(string) int) figure.Panel {
	p := figure.Panel{X: figure.Axis{Label: "richness γ₀", Log: true, Ticks: x},
		Y: figure.Axis{Label: distanceAxis, Log: true}}
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if x[a] < x[b] {
			return -1
		}
		return 1
	})
	var below figure.Series
	for _, name := range names {
		s := figure.Series{Label: methodName(name), Color: figure.Color(color(name))}
		used := false
		for _, i := range order {
			y := math.NaN()
			exact := results[i].exact()
			for _, m := range results[i].Methods {
				if m.Name == name && exact != nil && m.Trajectory != exact {
					y, used = distance(m.F, exact.F, 0, len(exact.Time)), true
				}
			}
			s.X, s.Y = append(s.X, x[i]), append(s.Y, y)
		}
		if !used {
			continue
		}
		dots := s
		dots.Label, dots.Style = "", figure.Points
		p.Series = append(p.Series, s, dots)
	}
	for _, i := range order {
		if e := results[i].exact(); e != nil {
			below.X, below.Y = append(below.X, x[i]), append(below.Y, noise(e, 0, len(e.Time)))
		}
	}
	p.Series = append(p.Series, floor(below.X, below.Y))
	p.Y.Min, p.Y.Max = distanceRange(p.Series)
	return p
}
