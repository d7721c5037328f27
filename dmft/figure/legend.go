package figure

import (
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
				t.Thumbnail(&draw.Canvas{Canvas: c.Canvas,
					Rectangle: vg.Rectangle{Min: vg.Point{X: x, Y: y - 3.5}, Max: vg.Point{X: x + stripThumb, Y: y + 3.5}}})
			}
			c.FillText(s.style, vg.Point{X: x + stripThumb + stripGap, Y: y}, e.label)
			x += s.width(e)
		}
	}
}
