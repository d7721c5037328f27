// Package figure draws figures fit for a paper: plain data in, PNG (300 dpi), SVG and PDF out, the same bytes every
// time.
//
// It is a thin layer over gonum/plot that chooses fonts, colours and ticks, places legends where the data is not, draws
// logarithmic axes by taking logarithms (so that values at or below zero are gaps, not panics), and turns text in
// vector formats into outlines, so that mathematical symbols survive every viewer.
//
// The figures of trajectories that the command draws are in package figure/standard.
//
//	fig := figure.Figure{Panels: []figure.Panel{{X: figure.Axis{Label: "step"}, Series: []figure.Series{{X: t, Y: loss}}}}}
//	files, err := fig.Save("loss")
package figure

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgpdf"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/seed39b58f2d/dmft/internal/npy"
)

// Figure is a grid of panels, filled by rows, with one legend above them all: a label means the same in all panels, and
// entries are in the order of the series.
type Figure struct {
	Title                   string
	Caption                 string  // what is to be known beside the title, in small letters below the panels
	Columns                 int     // 0 is as many as panels, up to 3
	PanelWidth, PanelHeight float64 // inches; 0 is 3.2 × 2.5
	SameY                   bool    // axes of y with the same label have the same range
	Panels                  []Panel
}

// Panel is one pair of axes.
type Panel struct {
	Title      string
	X, Y       Axis
	Series     []Series // drawn in this order, later ones on top, and those that ask for it above all others
	Histograms []Histogram
	Heat       *HeatMap
	Blank      bool // an empty place in the grid
}

// Axis is one axis. Min and Max both zero choose the range from the data; Ticks, when given, are where it is labelled;
// a bare axis has ticks without numbers, beside one that has them.
type Axis struct {
	Label    string
	Log      bool
	Bare     bool
	Min, Max float64
	Ticks    []float64
}

// Style is how a series is drawn.
type Style int

// The styles.
const (
	Line Style = iota
	Dashed
	Dotted
	Points    // markers with error bars Lo … Hi
	Reference // thin grey dashes: a slope or level to compare with
)

// Series is a curve. Lo and Hi, when given, are a band around lines and error bars of points. A NaN is a gap. Where the
// curve leaves the axes upwards or downwards, there is a triangle, and its band ends.
type Series struct {
	Label  string
	X, Y   []float64
	Lo, Hi []float64
	Style  Style
	Color  color.NRGBA // zero is black
	Width  float64     // points; 0 is 1.2
	Top    bool        // above all others
}

// Histogram is a density of values; all histograms of a panel share their bins.
type Histogram struct {
	Label  string
	Values []float64
	Color  color.NRGBA
	Filled bool
}

// palette8 is colour-blind safe (Okabe & Ito 2008), black first.
var palette8 = []color.NRGBA{
	{0, 0, 0, 255}, {0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255},
	{86, 180, 233, 255}, {120, 94, 60, 255},
}

// Color returns colour i of a colour-blind-safe palette; 0 is black.
func Color(i int) color.NRGBA { return palette8[i%len(palette8)] }

// Sequence returns colour i of n that form a sequence from light to dark blue-green, legible on white.
func Sequence(i, n int) color.NRGBA {
	x := 0.5
	if n > 1 {
		x = float64(i) / float64(n-1)
	}
	return viridisAt(0.78 - 0.68*x)
}

var viridisRGB = [][3]float64{{68, 1, 84}, {71, 44, 122}, {59, 81, 139}, {44, 113, 142}, {33, 144, 141}, {39, 173, 129},
	{92, 200, 99}, {170, 220, 50}, {253, 231, 37}}

func viridisAt(x float64) color.NRGBA { return interpolate(viridisRGB, x) }

func interpolate(rgb [][3]float64, x float64) color.NRGBA {
	t := math.Max(0, math.Min(1, x)) * float64(len(rgb)-1)
	i := min(int(t), len(rgb)-2)
	f := t - float64(i)
	c := func(k int) uint8 { return uint8(rgb[i][k]*(1-f) + rgb[i+1][k]*f + 0.5) }
	return color.NRGBA{c(0), c(1), c(2), 255}
}

// Save draws the figure and writes base.png, base.svg and base.pdf, or the formats named, and returns the file names.
func (f *Figure) Save(base string, formats ...string) ([]string, error) {
	if len(formats) == 0 {
		formats = []string{"png", "svg", "pdf"}
	}
	var files []string
	for _, format := range formats {
		data, err := f.Render(format)
		if err != nil {
			return files, fmt.Errorf("figure %s: %w", base, err)
		}
		name := base + "." + format
		if err := npy.Replace(name, func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		}); err != nil {
			return files, fmt.Errorf("figure: %w", err)
		}
		files = append(files, name)
	}
	return files, nil
}

// Render draws the figure in one format.
func (f *Figure) Render(format string) (data []byte, err error) {
	if len(f.Panels) == 0 {
		return nil, errors.New("no panels")
	}
	// gonum/plot reports bad input by panics.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("drawing %s: %v", format, r)
		}
	}()
	cols := f.Columns
	if cols == 0 {
		cols = min(len(f.Panels), 3)
	}
	rows := (len(f.Panels) + cols - 1) / cols
	pw, ph := f.PanelWidth, f.PanelHeight
	if pw == 0 {
		pw = 3.2
	}
	if ph == 0 {
		ph = 2.5
	}
	w, h := vg.Length(float64(cols)*pw)*vg.Inch, vg.Length(float64(rows)*ph)*vg.Inch
	right := vg.Length(0)
	for i, p := range f.Panels {
		if p.Heat != nil && p.Heat.Bar != "" && i%cols == cols-1 {
			right = barWidth
		}
	}
	w += right
	text, err := newText()
	if err != nil {
		return nil, err
	}
	title, below := vg.Length(0), vg.Length(0)
	words, small := text.wrap(f.Title, 9.5, w-10), text.wrap(f.Caption, captionSize, w-20)
	if f.Caption != "" {
		below = 12 + captionSize*1.25*vg.Length(strings.Count(small, "\n"))
	}
	if f.Title != "" {
		title = 16 + 11.5*vg.Length(strings.Count(words, "\n"))
	}
	plots := make([][]*plot.Plot, rows)
	ranges := f.ranges()
	var entries [][]entry
	for r := range plots {
		plots[r] = make([]*plot.Plot, cols)
		for c := range plots[r] {
			if i := r*cols + c; i < len(f.Panels) && !f.Panels[i].Blank {
				var e []entry
				if plots[r][c], e, err = f.Panels[i].plot(text, ranges[i]); err != nil {
					return nil, fmt.Errorf("panel %d: %w", i+1, err)
				}
				entries = append(entries, e)
			}
		}
	}
	f.sameRoom(plots)
	legend := newStrip(text, entries, w)
	top := title + legend.height()
	h += top + below
	paint := func(canvas vg.CanvasSizer) {
		dc := draw.New(canvas)
		dc.SetColor(color.White)
		dc.Fill(dc.Rectangle.Path())
		if f.Title != "" {
			sty := text.style(9.5)
			sty.XAlign, sty.YAlign = draw.XCenter, draw.YTop
			dc.FillText(sty, vg.Point{X: w / 2, Y: h - 4}, words)
		}
		if f.Caption != "" {
			sty := text.style(captionSize)
			sty.XAlign, sty.YAlign = draw.XLeft, draw.YTop
			dc.FillText(sty, vg.Point{X: 10, Y: below}, small)
		}
		legend.draw(dc, h-title-2)
		tiles := draw.Tiles{Rows: rows, Cols: cols, PadX: 10, PadY: 8, PadTop: top + 5, PadBottom: 4 + below,
			PadLeft: 5, PadRight: 8 + right}
		canvases := plot.Align(plots, tiles, dc)
		for r := range plots {
			for c, p := range plots[r] {
				if p == nil {
					continue
				}
				at, heat := canvases[r][c], f.Panels[r*cols+c].Heat
				if heat != nil {
					at = square(p, at)
				}
				if f.Panels[r*cols+c].Title != "" {
					at = caption(p, at)
				}
				p.Draw(at)
				if heat != nil && heat.Bar != "" {
					heat.bar(text, dc, p.DataCanvas(at).Rectangle)
				}
			}
		}
	}
	var out interface {
		vg.CanvasSizer
		vg.CanvasWriterTo
	}
	var b bytes.Buffer
	switch format {
	case "png":
		canvas := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(300))
		paint(canvas)
		// Half of the time of a figure goes into its compression; the fastest makes files by a fifth larger.
		err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, canvas.Image())
		return b.Bytes(), err
	case "svg":
		out = vgsvg.New(w, h)
		paint(&outlined{CanvasSizer: out})
	case "pdf":
		out = vgpdf.New(w, h)
		paint(&outlined{CanvasSizer: out, pdf: true})
	default:
		return nil, fmt.Errorf("unknown format %q; use png, svg or pdf", format)
	}
	if _, err := out.WriteTo(&b); err != nil {
		return nil, err
	}
	return clean(format, b.Bytes()), nil
}

const captionSize = 7

var pdfDate = regexp.MustCompile(`/(CreationDate|ModDate) \(D:\d{14}`)

// clean removes what makes files differ from run to run, and a fault of the SVG writer: PNG images labelled as JPEG.
func clean(format string, b []byte) []byte {
	switch format {
	case "pdf": // the same length, so the table of offsets stays right
		b = pdfDate.ReplaceAll(b, []byte("/$1 (D:20000101000000"))
	case "svg":
		b = bytes.ReplaceAll(b, []byte("data:image/jpg;base64,iVBOR"), []byte("data:image/png;base64,iVBOR"))
		b = bytes.ReplaceAll(b, []byte("<image "), []byte(`<image preserveAspectRatio="none" `))
	}
	return b
}

// caption draws the title of a plot centred above its data area, which gonum/plot centres above the axis labels, too,
// and returns the canvas for the rest.
func caption(p *plot.Plot, c draw.Canvas) draw.Canvas {
	area := p.DataCanvas(c)
	sty := p.Title.TextStyle
	sty.YAlign = draw.YBottom
	c.FillText(sty, vg.Point{X: area.Center().X, Y: area.Max.Y + 5}, p.Title.Text)
	p.Title.Text = ""
	return draw.Crop(c, 0, 0, 0, area.Max.Y-p.DataCanvas(c).Max.Y)
}

// extent are the histograms of a panel and the ranges of its axes, in the coordinates that are drawn.
type extent struct {
	histograms []bins
	x, y       [2]float64
}

// ranges chooses what every panel shows.
func (f *Figure) ranges() []extent {
	out := make([]extent, len(f.Panels))
	type scale struct {
		label string
		log   bool
	}
	shared := map[scale][2]float64{}
	key := func(p Panel) scale { return scale{p.Y.Label, p.Y.Log} }
	for i, p := range f.Panels {
		if p.Blank {
			continue
		}
		e := &out[i]
		e.histograms = p.histograms()
		e.x, e.y = p.ranges(e.histograms)
		if !p.shows() {
			continue
		}
		r, ok := shared[key(p)]
		if !ok {
			r = e.y
		}
		shared[key(p)] = [2]float64{math.Min(r[0], e.y[0]), math.Max(r[1], e.y[1])}
	}
	if f.SameY {
		for i, p := range f.Panels {
			if r, ok := shared[key(p)]; ok && !p.Blank {
				out[i].y = r
			}
		}
	}
	return out
}

// sameRoom gives every panel the room that points at the edges of any of them need, so that axes are on one line.
func (f *Figure) sameRoom(plots [][]*plot.Plot) {
	var need room
	for _, add := range []bool{false, true} {
		for i := range f.Panels {
			cols := len(plots[0])
			p := plots[i/cols][i%cols]
			switch {
			case p == nil || f.Panels[i].Heat != nil:
			case add:
				p.Add(need)
			default:
				need = append(need, p.GlyphBoxes(p)...)
			}
		}
	}
}

// room is nothing but what room it needs.
type room []plot.GlyphBox

// Plot implements plot.Plotter.
func (room) Plot(draw.Canvas, *plot.Plot) {}

// GlyphBoxes implements plot.GlyphBoxer.
func (r room) GlyphBoxes(*plot.Plot) []plot.GlyphBox { return r }

// shows says whether a panel has something on its axes.
func (p *Panel) shows() bool {
	for _, s := range p.Series {
		for i := range min(len(s.X), len(s.Y)) {
			if x, y := transform(s.X[i], p.X.Log), transform(s.Y[i], p.Y.Log); s.Style != Reference &&
				!math.IsNaN(x-y) && !math.IsInf(x-y, 0) {
				return true
			}
		}
	}
	for _, h := range p.Histograms {
		if len(h.Values) > 0 {
			return true
		}
	}
	return p.Heat != nil
}

// plot makes the gonum plot of a panel, and the entries for the legend.
func (p *Panel) plot(text *texts, show extent) (*plot.Plot, []entry, error) {
	g := plot.New()
	g.Title.Text = p.Title
	g.Title.TextStyle = text.style(8.5)
	g.Title.TextStyle.XAlign, g.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
	g.Title.Padding = 4
	g.BackgroundColor = nil
	for _, a := range []struct {
		axis *plot.Axis
		spec Axis
	}{{&g.X, p.X}, {&g.Y, p.Y}} {
		old := a.axis.Label.TextStyle
		a.axis.Label.Text = a.spec.Label
		a.axis.Label.TextStyle = text.style(8)
		a.axis.Label.TextStyle.Rotation, a.axis.Label.TextStyle.XAlign, a.axis.Label.TextStyle.YAlign = old.Rotation,
			old.XAlign, old.YAlign
		old = a.axis.Tick.Label
		a.axis.Tick.Label = text.style(7)
		a.axis.Tick.Label.XAlign, a.axis.Tick.Label.YAlign = old.XAlign, old.YAlign
		a.axis.Tick.Length, a.axis.Padding = 3, 0
		a.axis.LineStyle.Width, a.axis.Tick.LineStyle.Width = 0.6, 0.6
		if a.spec.Ticks != nil {
			a.axis.Tick.Marker = givenTicks{a.spec}
		} else if a.spec.Log {
			a.axis.Tick.Marker = logTicks{}
		} else {
			a.axis.Tick.Marker = linearTicks{}
		}
		if a.spec.Bare {
			a.axis.Tick.Marker = bareTicks{a.axis.Tick.Marker}
		}
	}
	if p.Heat != nil {
		if err := p.Heat.check(); err != nil {
			return nil, nil, err
		}
		heat := p.Heat
		if heat.Matrix {
			heat = heat.upsideDown()
			g.Y.Tick.Marker = downTicks{g.Y.Tick.Marker}
			show.y = [2]float64{-show.y[1], -show.y[0]}
		}
		g.Add(heat)
		g.X.LineStyle.Width, g.Y.LineStyle.Width = 0, 0 // the map has a frame
	} else {
		grid := plotter.NewGrid()
		grid.Vertical.Color, grid.Horizontal.Color = color.Gray{235}, color.Gray{235}
		grid.Vertical.Width, grid.Horizontal.Width = 0.4, 0.4
		g.Add(grid)
	}
	histograms, xr, yr := show.histograms, show.x, show.y
	var entries []entry
	for i, h := range histograms {
		entries = append(entries, h.draw(g, p.Histograms[i]))
	}
	drawn := len(histograms) > 0 || p.Heat != nil
	of := make([]entry, len(p.Series))
	for _, top := range []bool{false, true} {
		for i, s := range p.Series {
			if s.Top != top {
				continue
			}
			e, any, err := s.draw(g, p.X.Log, p.Y.Log, yr[0], yr[1])
			if err != nil {
				return nil, nil, err
			}
			of[i], drawn = e, drawn || any
		}
	}
	entries = append(entries, of...)
	if !drawn {
		l, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: (xr[0] + xr[1]) / 2, Y: (yr[0] + yr[1]) / 2}},
			Labels: []string{"no data"}})
		if err != nil {
			return nil, nil, err
		}
		l.TextStyle[0] = text.style(8)
		l.TextStyle[0].XAlign, l.TextStyle[0].YAlign = draw.XCenter, draw.YCenter
		g.Add(l)
	}
	g.X.Min, g.X.Max, g.Y.Min, g.Y.Max = xr[0], xr[1], yr[0], yr[1]
	return g, entries, nil
}

// transform takes the logarithm of a coordinate on a logarithmic axis; what has none is NaN.
func transform(v float64, log bool) float64 {
	if !log {
		return v
	}
	if !(v > 0) {
		return math.NaN()
	}
	return math.Log10(v)
}

// ranges chooses the ranges of both axes in the coordinates that are drawn.
func (p *Panel) ranges(hist []bins) (x, y [2]float64) {
	none := [2]float64{math.Inf(1), math.Inf(-1)}
	x, y = none, none
	grow := func(r *[2]float64, v float64) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			r[0], r[1] = math.Min(r[0], v), math.Max(r[1], v)
		}
	}
	ref := [2]float64{math.Inf(1), math.Inf(-1)}
	for _, s := range p.Series {
		for i := range s.Y {
			tx, ty := transform(s.X[i], p.X.Log), transform(s.Y[i], p.Y.Log)
			if math.IsNaN(tx) || math.IsNaN(ty) {
				continue
			}
			if s.Style == Reference { // does not stretch the axes, unless alone
				grow(&ref, ty)
				continue
			}
			grow(&x, tx)
			grow(&y, ty)
			if s.Lo != nil {
				hi := transform(s.Hi[i], p.Y.Log)
				lo := transform(s.Lo[i], p.Y.Log)
				grow(&y, hi)
				if !p.Y.Log || lo > ty-1 { // a band that reaches to zero must not
					grow(&y, lo)
				}
			}
		}
	}
	for _, h := range hist {
		grow(&x, h.edges[0])
		grow(&x, h.edges[len(h.edges)-1])
		grow(&y, 0)
		for _, d := range h.density {
			grow(&y, d)
		}
	}
	if p.Heat != nil { // to its edges
		ex, ey := edges(p.Heat.X), edges(p.Heat.Y)
		return [2]float64{ex[0], ex[len(ex)-1]}, [2]float64{ey[0], ey[len(ey)-1]}
	}
	finish := func(r [2]float64, a Axis, pad float64) [2]float64 {
		if a.Min != 0 || a.Max != 0 {
			return [2]float64{transform(a.Min, a.Log), transform(a.Max, a.Log)}
		}
		if r[0] > r[1] {
			return [2]float64{0, 1}
		}
		if span := r[1] - r[0]; span > 1e-12*math.Max(math.Abs(r[0]), math.Abs(r[1])) && span > 0 {
			return [2]float64{r[0] - pad*span, r[1] + pad*span}
		}
		d := math.Max(math.Abs(r[0])*0.1, 0.1)
		return [2]float64{r[0] - d, r[1] + d}
	}
	padX := 0.
	for _, s := range p.Series {
		if s.Style == Points {
			padX = 0.05
		}
	}
	bottom := y[0]
	x, y = finish(x, p.X, padX), finish(y, p.Y, 0.05)
	if len(hist) > 0 || bottom == 0 && !p.Y.Log && p.Y.Min == 0 {
		y[0] = bottom
	}
	return x, y
}

// draw adds a series to a plot.
func (s Series) draw(g *plot.Plot, logX, logY bool, bottom, top float64) (entry, bool, error) {
	e := entry{label: s.Label}
	if len(s.X) != len(s.Y) || (s.Lo != nil && (len(s.Lo) != len(s.Y) || len(s.Hi) != len(s.Y))) {
		return e, false, fmt.Errorf("series %q: %d x, %d y, %d and %d bounds", s.Label, len(s.X), len(s.Y), len(s.Lo),
			len(s.Hi))
	}
	col := s.Color
	if col == (color.NRGBA{}) {
		col = Color(0)
	}
	width := s.Width
	if width == 0 {
		width = 1.2
	}
	type point struct{ x, y, lo, hi float64 }
	var runs [][]point
	var run []point
	for i := range s.Y {
		q := point{x: transform(s.X[i], logX), y: transform(s.Y[i], logY)}
		if math.IsNaN(q.x) || math.IsNaN(q.y) || math.IsInf(q.x, 0) || math.IsInf(q.y, 0) {
			if run != nil {
				runs, run = append(runs, run), nil
			}
			continue
		}
		if s.Lo != nil {
			q.lo, q.hi = transform(s.Lo[i], logY), transform(s.Hi[i], logY)
			if math.IsNaN(q.lo) || q.lo < bottom {
				q.lo = bottom
			}
			if math.IsInf(q.lo, 1) {
				q.lo = q.y
			}
			if math.IsNaN(q.hi) || math.IsInf(q.hi, -1) {
				q.hi = q.y
			}
			q.hi = math.Min(q.hi, top)
		}
		run = append(run, q)
	}
	if run != nil {
		runs = append(runs, run)
	}
	style := draw.LineStyle{Color: col, Width: vg.Length(width)}
	switch s.Style {
	case Dashed:
		style.Dashes = []vg.Length{4, 2}
	case Dotted:
		style.Dashes = []vg.Length{1, 1.5}
	case Reference:
		style.Dashes, style.Width, style.Color = []vg.Length{3, 2}, 0.8, color.Gray{110}
	}
	inside := func(q point) bool { return q.y >= bottom && q.y <= top }
	for _, run := range runs {
		if s.Lo == nil || s.Style == Points {
			continue
		}
		for first := 0; first < len(run); first++ {
			last := first
			for last < len(run) && inside(run[last]) {
				last++
			}
			if last-first > 1 {
				var poly plotter.XYs
				for _, q := range run[first:last] {
					poly = append(poly, plotter.XY{X: q.x, Y: q.hi})
				}
				for i := last - 1; i >= first; i-- {
					poly = append(poly, plotter.XY{X: run[i].x, Y: run[i].lo})
				}
				band, err := plotter.NewPolygon(poly)
				if err != nil {
					return e, false, err
				}
				faint := col
				faint.A = 50
				band.Color, band.LineStyle.Width = faint, 0
				g.Add(band)
				if len(e.thumb) == 0 {
					e.thumb = append(e.thumb, band)
				}
			}
			first = max(first, last)
		}
	}
	for _, run := range runs {
		var xy plotter.XYs
		for _, q := range run {
			xy = append(xy, plotter.XY{X: q.x, Y: q.y})
		}
		if s.Style == Points {
			if s.Lo != nil {
				var d struct {
					plotter.XYs
					plotter.YErrors
				}
				d.XYs = xy
				for _, q := range run {
					d.YErrors = append(d.YErrors, struct{ Low, High float64 }{q.y - q.lo, q.hi - q.y})
				}
				bars, err := plotter.NewYErrorBars(d)
				if err != nil {
					return e, false, err
				}
				bars.LineStyle.Color, bars.LineStyle.Width, bars.CapWidth = col, 0.8, 3
				g.Add(bars)
			}
			sc, err := plotter.NewScatter(xy)
			if err != nil {
				return e, false, err
			}
			sc.GlyphStyle = draw.GlyphStyle{Color: col, Radius: 2.2, Shape: draw.CircleGlyph{}}
			g.Add(sc)
			if len(e.thumb) == 0 {
				e.thumb = append(e.thumb, sc)
			}
			continue
		}
		line := &plotter.Line{XYs: decimate(xy, 1500), LineStyle: style}
		g.Add(roomless{line})
		if len(e.thumb) < 2 {
			e.thumb = append(e.thumb, line)
		}
	}
	if s.Style != Reference {
		for _, run := range runs {
			for side, at := range []float64{top, bottom} {
				out := func(q point) bool { return side == 0 && q.y > top || side == 1 && q.y < bottom }
				var marks plotter.XYs
				for i, q := range run {
					switch {
					case !out(q):
					case s.Style == Points:
						marks = append(marks, plotter.XY{X: q.x, Y: at})
					case i == 0:
						marks = append(marks, plotter.XY{X: q.x, Y: at})
					case !out(run[i-1]): // where the line crosses the edge
						u := (at - run[i-1].y) / (q.y - run[i-1].y)
						marks = append(marks, plotter.XY{X: run[i-1].x + u*(q.x-run[i-1].x), Y: at})
					}
				}
				if len(marks) == 0 {
					continue
				}
				if s.Style != Points { // of a curve that comes and goes the first will do
					marks = marks[:1]
				}
				sc, err := plotter.NewScatter(marks)
				if err != nil {
					return e, false, err
				}
				sc.GlyphStyle = draw.GlyphStyle{Color: col, Radius: 3, Shape: arrowhead{down: side == 1}}
				g.Add(roomless{sc})
			}
		}
	}
	return e, len(runs) > 0, nil
}

// roomless is a plotter for which a plot makes no room beside its axes: lines end there, and arrowheads point there.
type roomless struct{ plot.Plotter }

// arrowhead marks where a curve leaves the axes: its tip is at the edge.
type arrowhead struct{ down bool }

// DrawGlyph implements draw.GlyphDrawer.
func (a arrowhead) DrawGlyph(c *draw.Canvas, sty draw.GlyphStyle, at vg.Point) {
	h := sty.Radius * 1.6
	if a.down {
		h = -h
	}
	c.SetColor(sty.Color)
	var p vg.Path
	p.Move(at)
	p.Line(vg.Point{X: at.X - sty.Radius*0.8, Y: at.Y - h})
	p.Line(vg.Point{X: at.X + sty.Radius*0.8, Y: at.Y - h})
	p.Close()
	c.Fill(p)
}

// decimate keeps the extremes of each of n slices of a long line, which is all that can be seen of it.
func decimate(xy plotter.XYs, n int) plotter.XYs {
	if len(xy) <= 4*n {
		return xy
	}
	var out plotter.XYs
	for k := range n {
		lo, hi := k*len(xy)/n, (k+1)*len(xy)/n
		a, b := lo, lo
		for i := lo; i < hi; i++ {
			if xy[i].Y < xy[a].Y {
				a = i
			}
			if xy[i].Y > xy[b].Y {
				b = i
			}
		}
		idx := []int{lo, a, b, hi - 1}
		sort.Ints(idx)
		for j, i := range idx {
			if j == 0 || i != idx[j-1] {
				out = append(out, xy[i])
			}
		}
	}
	return out
}

// bins is a histogram ready to be drawn.
type bins struct{ edges, density []float64 }

// histograms bins all histograms of the panel alike, from the 0.2 % to the 99.8 % quantile of all values.
func (p *Panel) histograms() []bins {
	var all []float64
	smallest := math.MaxInt
	for _, h := range p.Histograms {
		all = append(all, h.Values...)
		smallest = min(smallest, len(h.Values))
	}
	if len(all) == 0 {
		return nil
	}
	sort.Float64s(all)
	lo, hi := all[len(all)/500], all[len(all)-1-len(all)/500]
	if hi <= lo {
		lo, hi = lo-0.5, hi+0.5
	}
	n := max(12, min(60, int(2*math.Cbrt(float64(smallest)))))
	edges := make([]float64, n+1)
	for i := range edges {
		edges[i] = lo + (hi-lo)*float64(i)/float64(n)
	}
	var out []bins
	for _, h := range p.Histograms {
		b := bins{edges, make([]float64, n)}
		w := 1 / (float64(max(len(h.Values), 1)) * (hi - lo) / float64(n))
		for _, v := range h.Values {
			if k := int((v - lo) / (hi - lo) * float64(n)); v >= lo && v <= hi {
				b.density[min(k, n-1)] += w
			}
		}
		out = append(out, b)
	}
	return out
}

func (b bins) draw(g *plot.Plot, h Histogram) entry {
	var xy plotter.XYs
	xy = append(xy, plotter.XY{X: b.edges[0]})
	for i, d := range b.density {
		xy = append(xy, plotter.XY{X: b.edges[i], Y: d}, plotter.XY{X: b.edges[i+1], Y: d})
	}
	xy = append(xy, plotter.XY{X: b.edges[len(b.edges)-1]})
	line := &plotter.Line{XYs: xy, LineStyle: draw.LineStyle{Color: h.Color, Width: 1}}
	e := entry{label: h.Label}
	if h.Filled {
		if poly, err := plotter.NewPolygon(xy); err == nil {
			faint := h.Color
			faint.A = 70
			poly.Color, poly.LineStyle.Width = faint, 0
			g.Add(poly)
			e.thumb = append(e.thumb, poly)
		}
	}
	g.Add(line)
	e.thumb = append(e.thumb, line)
	return e
}

// Superscript writes an integer in Unicode superscripts.
func Superscript(n int) string {
	return strings.NewReplacer("-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷",
		"8", "⁸", "9", "⁹").Replace(strconv.Itoa(n))
}
