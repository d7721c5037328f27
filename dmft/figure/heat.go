package figure

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// HeatMap is a matrix of colours, Z[j][i] at (X[i], Y[j]), drawn in a square; a value that is not finite is grey. X and
// Y rise. Maps to be compared share Min and Max; both zero choose the range from Z.
type HeatMap struct {
	X, Y     []float64
	Z        [][]float64
	Min, Max float64
	Log      bool   // Z are logarithms to base 10, and the bar shows what they are logarithms of
	Signed   bool   // Z can have both signs: colours diverge from white at zero, which is part of the range
	Matrix   bool   // the first row is on top
	Bar      string // label of a colour bar on the right, for the last panel of a row; "" is none
}

// barWidth is the room for a colour bar, its numbers and its label.
const barWidth = 50

// red for positive, blue for negative values (ColorBrewer's RdBu, safe for the colour-blind)
var divergingRGB = [][3]float64{{33, 102, 172}, {103, 169, 207}, {209, 229, 240}, {247, 247, 247}, {253, 219, 199},
	{239, 138, 98}, {178, 24, 43}}

var blank = color.NRGBA{205, 205, 205, 255}

// scale is the range of the colours and the colours in it.
func (h *HeatMap) scale() (lo, hi float64, of func(v float64) color.NRGBA) {
	lo, hi = h.Min, h.Max
	if lo == 0 && hi == 0 {
		lo, hi = math.Inf(1), math.Inf(-1)
		for _, row := range h.Z {
			for _, v := range row {
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					lo, hi = math.Min(lo, v), math.Max(hi, v)
				}
			}
		}
	}
	if !(lo <= hi) || math.IsInf(lo, 0) || math.IsInf(hi, 0) {
		lo, hi = 0, 1
	}
	if h.Signed {
		if lo, hi = math.Min(lo, 0), math.Max(hi, 0); lo == hi {
			hi = 1
		}
		most := math.Max(-lo, hi)
		return lo, hi, func(v float64) color.NRGBA { return interpolate(divergingRGB, (v/most+1)/2) }
	}
	if hi-lo <= 1e-12*math.Max(math.Abs(lo), math.Abs(hi)) || hi == lo {
		d := math.Abs(hi) * 0.1
		if lo, hi = lo-d, hi+d; d == 0 {
			lo, hi = 0, 1
		}
	}
	return lo, hi, func(v float64) color.NRGBA { return viridisAt((v - lo) / (hi - lo)) }
}

// upsideDown is the map with its rows downwards, at −Y.
func (h *HeatMap) upsideDown() *HeatMap {
	o := *h
	o.Y, o.Z = nil, slices.Clone(h.Z)
	for _, y := range slices.Backward(h.Y) {
		o.Y = append(o.Y, -y)
	}
	slices.Reverse(o.Z)
	return &o
}

func (h *HeatMap) check() error {
	if len(h.Z) != len(h.Y) || len(h.Y) == 0 || len(h.X) == 0 {
		return fmt.Errorf("heat map of %d rows with %d y and %d x", len(h.Z), len(h.Y), len(h.X))
	}
	for _, row := range h.Z {
		if len(row) != len(h.X) {
			return fmt.Errorf("heat map row of %d values with %d x", len(row), len(h.X))
		}
	}
	for _, x := range [][]float64{h.X, h.Y} {
		for i := 1; i < len(x); i++ {
			if !(x[i] > x[i-1]) {
				return fmt.Errorf("heat map with coordinates that do not rise at %d", i)
			}
		}
	}
	return nil
}

// edges are the bounds of the cells around x: half way between neighbours.
func edges(x []float64) []float64 {
	n := len(x)
	e := make([]float64, n+1)
	for i := 1; i < n; i++ {
		e[i] = (x[i-1] + x[i]) / 2
	}
	e[0], e[n] = x[0]-0.5, x[n-1]+0.5
	if n > 1 {
		e[0], e[n] = 2*x[0]-e[1], 2*x[n-1]-e[n-1]
	}
	return e
}

// image is the picture of the map. Every cell is many pixels, since viewers blur the pixels that they enlarge; cells
// beyond the resolution of print are skipped.
func (h *HeatMap) image() image.Image {
	_, _, of := h.scale()
	const least, most = 480, 1024
	cells := func(x []float64) []int {
		m := len(x)
		if m < least {
			m *= (least + m - 1) / m
		}
		m = min(m, most)
		e, at := edges(x), make([]int, m)
		i := 0
		for k := range at {
			for v := e[0] + (float64(k)+0.5)/float64(m)*(e[len(x)]-e[0]); i < len(x)-1 && v > e[i+1]; {
				i++
			}
			at[k] = i
		}
		return at
	}
	xs, ys := cells(h.X), cells(h.Y)
	img := image.NewNRGBA(image.Rect(0, 0, len(xs), len(ys)))
	colours := make([]color.NRGBA, len(h.X))
	for k, j := range ys {
		row := img.Pix[(len(ys)-1-k)*img.Stride:][:img.Stride]
		if k > 0 && j == ys[k-1] {
			copy(row, img.Pix[(len(ys)-k)*img.Stride:])
			continue
		}
		for i, v := range h.Z[j] {
			if colours[i] = blank; !math.IsNaN(v) && !math.IsInf(v, 0) {
				colours[i] = of(v)
			}
		}
		for l, i := range xs {
			c := colours[i]
			row[4*l], row[4*l+1], row[4*l+2], row[4*l+3] = c.R, c.G, c.B, c.A
		}
	}
	return img
}

// Plot implements plot.Plotter.
func (h *HeatMap) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	ex, ey := edges(h.X), edges(h.Y)
	box := vg.Rectangle{Min: vg.Point{X: x(ex[0]), Y: y(ey[0])}, Max: vg.Point{X: x(ex[len(ex)-1]), Y: y(ey[len(ey)-1])}}
	c.DrawImage(box, h.image())
	frame(c, box)
}

var thin = draw.LineStyle{Color: color.Black, Width: 0.4}

func frame(c draw.Canvas, box vg.Rectangle) {
	c.StrokeLines(thin, []vg.Point{box.Min, {X: box.Max.X, Y: box.Min.Y}, box.Max, {X: box.Min.X, Y: box.Max.Y}, box.Min})
}

// square crops the canvas of a plot so that its data area is a square in the middle.
func square(p *plot.Plot, c draw.Canvas) draw.Canvas {
	size := p.DataCanvas(c).Size()
	side := min(size.X, size.Y)
	dx, dy := (size.X-side)/2, (size.Y-side)/2
	return draw.Crop(c, dx, -dx, dy, -dy)
}

// bar draws the colour bar to the right of the data area.
func (h *HeatMap) bar(text *texts, dc draw.Canvas, area vg.Rectangle) {
	lo, hi, of := h.scale()
	const n, gap, width = 128, 6, 7
	box := vg.Rectangle{Min: vg.Point{X: area.Max.X + gap, Y: area.Min.Y},
		Max: vg.Point{X: area.Max.X + gap + width, Y: area.Max.Y}}
	img := image.NewNRGBA(image.Rect(0, 0, 4, n))
	for k := range n {
		for i := range 4 {
			img.SetNRGBA(i, n-1-k, of(lo+(hi-lo)*(float64(k)+0.5)/n))
		}
	}
	dc.DrawImage(box, img)
	frame(dc, box)
	sty := text.style(6.5)
	sty.XAlign, sty.YAlign = draw.XLeft, draw.YCenter
	widest := vg.Length(0)
	var ticks plot.Ticker = linearTicks{}
	if h.Log {
		ticks = logTicks{}
	}
	for _, t := range ticks.Ticks(lo, hi) {
		y := box.Min.Y + vg.Length((t.Value-lo)/(hi-lo))*(box.Max.Y-box.Min.Y)
		dc.StrokeLine2(thin, box.Max.X, y, box.Max.X+2, y)
		dc.FillText(sty, vg.Point{X: box.Max.X + 3.5, Y: y}, t.Label)
		widest = max(widest, sty.Width(t.Label))
	}
	sty = text.style(7)
	sty.Rotation = math.Pi / 2
	sty.XAlign, sty.YAlign = draw.XCenter, draw.YTop
	dc.FillText(sty, vg.Point{X: box.Max.X + 5 + widest, Y: (box.Min.Y + box.Max.Y) / 2}, h.Bar)
}
