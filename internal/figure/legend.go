package figure

import (
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

type entry struct {
	label string
	thumb []plot.Thumbnailer
}

// strip is the legend of a whole figure: one or more lines of entries under the title, where no data can be.
type strip struct {
	rows  [][]entry
	style draw.TextStyle
}

// Measures of a strip, in points.
const (
	stripThumb, stripGap, stripSpace, stripLine = 14, 3, 9, 11
)

// newStrip lays out the entries of all panels, each label once, in lines no wider than the figure.
func newStrip(text *texts, panels [][]entry, width vg.Length) *strip {
	s := &strip{style: text.style(7)}
	s.style.XAlign, s.style.YAlign = draw.XLeft, draw.YCenter
	seen := map[string]bool{}
	var row []entry
	used := vg.Length(0)
	for _, p := range panels {
		for _, e := range p {
			if e.label == "" || len(e.thumb) == 0 || seen[e.label] {
				continue
			}
			seen[e.label] = true
			w := s.width(e)
			if len(row) > 0 && used+w > width-20 {
				s.rows, row, used = append(s.rows, row), nil, 0
			}
			row, used = append(row, e), used+w
		}
	}
	if len(row) > 0 {
		s.rows = append(s.rows, row)
	}
	return s
}

func (s *strip) width(e entry) vg.Length {
	return stripThumb + stripGap + s.style.Width(e.label) + stripSpace
}

func (s *strip) height() vg.Length {
	if len(s.rows) == 0 {
		return 0
	}
	return vg.Length(len(s.rows))*stripLine + 3
}

// draw centres the lines below top.
func (s *strip) draw(c draw.Canvas, top vg.Length) {
	for i, row := range s.rows {
		total := vg.Length(-stripSpace)
		for _, e := range row {
			total += s.width(e)
		}
		x, y := c.Min.X+(c.Max.X-c.Min.X-total)/2, top-vg.Length(i)*stripLine-stripLine/2
		for _, e := range row {
			for _, t := range e.thumb {
				t.Thumbnail(&draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: x, Y: y - 3.5}, Max: vg.Point{X: x + stripThumb, Y: y + 3.5}}})
			}
			c.FillText(s.style, vg.Point{X: x + stripThumb + stripGap, Y: y}, e.label)
			x += s.width(e)
		}
	}
}

// legend places the legend in the corner that covers the least of the data.
func (p *Panel) legend(g *plot.Plot, entries []entry, hist []bins, pw, ph float64) {
	var shown []entry
	longest := 0
	for _, e := range entries {
		if e.label != "" && len(e.thumb) > 0 {
			shown = append(shown, e)
			longest = max(longest, len([]rune(e.label)))
		}
	}
	if len(shown) == 0 {
		return
	}
	for _, e := range shown {
		g.Legend.Add(e.label, e.thumb...)
	}
	g.Legend.ThumbnailWidth, g.Legend.Padding = 14, 1
	// Size as a fraction of the data area, which is about 55 points smaller than the panel.
	w := math.Min(0.95, (float64(longest)*3.7+22)/math.Max(72*pw-55, 20))
	h := math.Min(0.95, float64(len(shown))*9.5/math.Max(72*ph-55, 20))
	best, at := math.Inf(1), 0
	for corner := range 4 { // top right, top left, bottom right, bottom left
		left, low := corner%2 == 1, corner/2 == 1
		inside := func(x, y float64) bool {
			fx, fy := (x-g.X.Min)/(g.X.Max-g.X.Min), (y-g.Y.Min)/(g.Y.Max-g.Y.Min)
			if left {
				fx = 1 - fx
			}
			if low {
				fy = 1 - fy
			}
			return fx > 1-w-0.02 && fy > 1-h-0.04 && fy <= 1.02
		}
		hits := float64(corner) * 1e-3
		for _, s := range p.Series {
			weight := 1.
			if s.Style == Reference {
				weight = 0.2
			}
			hits += weight * s.share(p.X.Log, p.Y.Log, inside)
		}
		for _, b := range hist {
			n := 0
			for i, d := range b.density {
				for f := 0.; f <= 1; f += 0.25 {
					if inside((b.edges[i]+b.edges[i+1])/2, f*d) {
						n++
					}
				}
			}
			hits += float64(n) / float64(5*len(b.density))
		}
		if hits < best {
			best, at = hits, corner
		}
	}
	if best > 0.02 { // no corner is free: make room above
		g.Y.Max += (g.Y.Max - g.Y.Min) * h
		at = 0
	}
	g.Legend.Left, g.Legend.Top = at%2 == 1, at/2 == 0
	g.Legend.XOffs, g.Legend.YOffs = -4, -4
	if g.Legend.Left {
		g.Legend.XOffs = 4
	}
	if !g.Legend.Top {
		g.Legend.YOffs = 4
	}
}

// share is the part of a curve, its bounds included, that is inside.
func (s Series) share(logX, logY bool, inside func(x, y float64) bool) float64 {
	steps := 1
	if s.Style != Points { // between points far apart, too
		steps = 1 + 100/max(len(s.Y), 1)
	}
	n, all := 0, 0
	for _, v := range [][]float64{s.Y, s.Lo, s.Hi} {
		for i := range v {
			x, y := transform(s.X[i], logX), transform(v[i], logY)
			all++
			if inside(x, y) {
				n++
			}
			for k := 1; k < steps && i+1 < len(v); k++ {
				u := float64(k) / float64(steps)
				all++
				if inside(x+u*(transform(s.X[i+1], logX)-x), y+u*(transform(v[i+1], logY)-y)) {
					n++
				}
			}
		}
	}
	return float64(n) / float64(max(all, 1))
}
