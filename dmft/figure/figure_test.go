package figure

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample exercises every kind of drawing.
func sample() *Figure {
	var t, y, lo, hi []float64
	for i := range 60 {
		x := float64(i)
		v := math.Exp(-x / 8)
		t, y, lo, hi = append(t, x), append(y, v), append(lo, v-0.01), append(hi, v+0.01)
	}
	y[30] = math.NaN()
	y[40] = -1
	var values []float64
	for i := range 500 {
		values = append(values, math.Tan(float64(i-250)/200))
	}
	return &Figure{Title: "γ₀ = 1, bands ± 2 s.e.", Columns: 2, Panels: []Panel{
		{Title: "loss", X: Axis{Label: "step"}, Y: Axis{Label: "loss", Log: true},
			Series: []Series{{Label: "N = 64", X: t, Y: y, Lo: lo, Hi: hi, Color: Color(1)},
				{Label: "N = ∞", X: t, Y: hi, Style: Dashed}}},
		{Title: "width", X: Axis{Label: "N", Log: true, Ticks: []float64{64, 128, 256}},
			Y: Axis{Label: "error", Log: true}, Series: []Series{
				{Label: "one network", X: []float64{64, 128, 256}, Y: []float64{.1, .07, .05},
					Lo: []float64{.08, .06, -.01}, Hi: []float64{.12, .08, .06}, Style: Points, Color: Color(1)},
				{Label: "∝ 1/√N", X: []float64{64, 256}, Y: []float64{.1, .05}, Style: Reference}}},
		{Title: "h", X: Axis{Label: "h"}, Y: Axis{Label: "density"},
			Histograms: []Histogram{{Label: "start", Values: values, Color: Color(1), Filled: true},
				{Label: "end", Values: values[:300], Color: Color(2)}}},
	}}
}

// TestGolden compares an SVG with the one that was looked at; regenerate with go test ./dmft/figure -update.
func TestGolden(t *testing.T) {
	got, err := sample().Render("svg")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", "sample.svg")
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the figure changed; look at it and run go test ./dmft/figure -update")
	}
}

// TestFormats: every format is drawn, the same bytes twice, at the size asked for.
func TestFormats(t *testing.T) {
	base := filepath.Join(t.TempDir(), "fig")
	files, err := sample().Save(base)
	if err != nil || len(files) != 3 {
		t.Fatalf("%v %v", files, err)
	}
	for i, f := range []string{"png", "svg", "pdf"} {
		first, err := os.ReadFile(files[i])
		if err != nil {
			t.Fatal(err)
		}
		again, err := sample().Render(f)
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%s differs when drawn twice (%v)", f, err)
		}
	}
	b, _ := os.ReadFile(base + ".png")
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil || img.Bounds().Dx() != 1920 {
		t.Errorf("png: %v, %v", err, img.Bounds())
	}
	if _, err := sample().Render("gif"); err == nil {
		t.Error("gif")
	}
}

// TestHardData: nothing makes the drawing fail or panic.
func TestHardData(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	long := make([]float64, 100000)
	for i := range long {
		long[i] = math.Sin(float64(i) / 1000)
	}
	for name, p := range map[string]Panel{
		"empty":        {},
		"empty series": {Series: []Series{{Label: "x"}}},
		"one point":    {Series: []Series{{X: []float64{1}, Y: []float64{2}}}},
		"constant":     {Series: []Series{{X: []float64{1, 2}, Y: []float64{2, 2}}}},
		"constant zero": {Series: []Series{{X: []float64{0, 0}, Y: []float64{0, 0}, Lo: []float64{0, 0},
			Hi: []float64{0, 0}}}},
		"all negative, log": {Y: Axis{Log: true}, Series: []Series{{X: []float64{1, 2}, Y: []float64{-1, -2}}}},
		"zero, log": {Y: Axis{Log: true}, Series: []Series{{X: []float64{1, 2, 3}, Y: []float64{1, 0, 1e-300},
			Lo: []float64{0, 0, 0}, Hi: []float64{2, nan, 1}}}},
		"not finite": {Series: []Series{{X: []float64{1, 2, nan}, Y: []float64{nan, inf, 1}, Style: Points,
			Lo: []float64{0, 0, 0}, Hi: []float64{inf, 1, 1}}}},
		"infinite bounds": {Series: []Series{{X: []float64{1, 2}, Y: []float64{1, 1}, Style: Points,
			Lo: []float64{inf, -inf}, Hi: []float64{-inf, inf}}}},
		"many decades": {X: Axis{Log: true}, Y: Axis{Log: true},
			Series: []Series{{X: []float64{1e-30, 1e30}, Y: []float64{1e-200, 1e200}}}},
		"tiny range":    {Y: Axis{Log: true}, Series: []Series{{X: []float64{1, 2}, Y: []float64{1, 1.001}}}},
		"huge numbers":  {Series: []Series{{X: []float64{1e9, 3e9}, Y: []float64{-4e15, 7e15}}}},
		"long":          {Series: []Series{{X: long, Y: long}}},
		"one value":     {Histograms: []Histogram{{Values: []float64{1}}}},
		"heat":          {Heat: &HeatMap{X: []float64{0, 1, 5}, Y: []float64{2}, Z: [][]float64{{nan, inf, -1}}, Bar: "K"}},
		"constant heat": {Heat: &HeatMap{X: []float64{1}, Y: []float64{1}, Z: [][]float64{{3}}, Bar: "K"}},
		"zero heat":     {Heat: &HeatMap{X: []float64{1}, Y: []float64{1}, Z: [][]float64{{0}}, Bar: "K"}},
		"unknown heat": {Heat: &HeatMap{X: []float64{1}, Y: []float64{1}, Z: [][]float64{{nan}}, Min: nan, Max: inf,
			Bar: "K"}},
		"blank":     {Blank: true},
		"no values": {Histograms: []Histogram{{Label: "none"}}},
	} {
		for _, f := range []string{"svg", "pdf"} {
			if _, err := (&Figure{Panels: []Panel{p}}).Render(f); err != nil {
				t.Errorf("%s, %s: %v", name, f, err)
			}
		}
	}
}

// TestMistakes: what cannot be drawn is an error that says why.
func TestMistakes(t *testing.T) {
	for want, f := range map[string]*Figure{
		"no panels":         {},
		"1 rows with 2 y":   {Panels: []Panel{{Heat: &HeatMap{X: []float64{1}, Y: []float64{1, 2}, Z: [][]float64{{1}}}}}},
		"1 values with 2 x": {Panels: []Panel{{Heat: &HeatMap{X: []float64{1, 2}, Y: []float64{1}, Z: [][]float64{{1}}}}}},
		"do not rise at 1":  {Panels: []Panel{{Heat: &HeatMap{X: []float64{1, 1}, Y: []float64{1}, Z: [][]float64{{1, 2}}}}}},
		"2 x, 1 y":          {Panels: []Panel{{Series: []Series{{X: []float64{1, 2}, Y: []float64{1}}}}}},
	} {
		if _, err := f.Render("svg"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// TestTicks: labels are round, few and carry a true minus sign.
func TestTicks(t *testing.T) {
	labels := func(ts []string) string { return strings.Join(ts, " ") }
	lin := func(lo, hi float64) (out []string) {
		for _, x := range (linearTicks{}).Ticks(lo, hi) {
			out = append(out, x.Label)
		}
		return out
	}
	log := func(lo, hi float64) (out []string) {
		for _, x := range (logTicks{}).Ticks(lo, hi) {
			if x.Label != "" {
				out = append(out, x.Label)
			}
		}
		return out
	}
	given := func(values ...float64) (out []string) {
		for _, x := range (givenTicks{Axis{Log: true, Ticks: values}}).Ticks(-9, 9) {
			out = append(out, x.Label)
		}
		return out
	}
	for _, tc := range [][2]string{
		{labels(lin(0, 1)), "0.0 0.2 0.4 0.6 0.8 1.0"},
		{labels(lin(-3.2, 3.3)), "−2 0 2"},
		{labels(lin(0, 1e6)), "0 0.2·10⁶ 0.4·10⁶ 0.6·10⁶ 0.8·10⁶ 1·10⁶"},
		{labels(lin(0, 150000)), "0 0.5·10⁵ 1·10⁵ 1.5·10⁵"},
		{labels(lin(0, 3e-4)), "0 1·10⁻⁴ 2·10⁻⁴ 3·10⁻⁴"},
		{labels(lin(0.1, 0.3)), "0.10 0.15 0.20 0.25 0.30"},
		{labels(log(-4, 0)), "10⁻⁴ 10⁻³ 10⁻² 10⁻¹ 10⁰"},
		{labels(log(-12, 0)), "10⁻¹² 10⁻¹⁰ 10⁻⁸ 10⁻⁶ 10⁻⁴ 10⁻² 10⁰"},
		{labels(log(0, 1)), "1 2 3 5 7 10"},
		{labels(log(-1.5, 0.2)), "0.05 0.1 0.2 0.5 1"}, // not 0.05 beside 10⁻¹
		{labels(log(-1.31, 0.7)), "0.05 0.1 0.2 0.5 1 2 5"},
		{labels(log(-4.6, -2.1)), "3·10⁻⁵ 1·10⁻⁴ 3·10⁻⁴ 1·10⁻³ 3·10⁻³"},
		{labels(log(2.9, 5.1)), "10³ 10⁴ 10⁵"},
		{labels(log(0.74, 1.28)), "6 8 10 12 14 16 18"},
		{labels(log(-0.004, 0.004)), "0.995 1.000 1.005"},
		{labels(given(0.0001, 0.001, 0.01)), "10⁻⁴ 10⁻³ 10⁻²"},
		{labels(given(32, 64, 512)), "32 64 512"},
	} {
		if tc[0] != tc[1] {
			t.Errorf("ticks %q, want %q", tc[0], tc[1])
		}
	}
	if n := len(log(-200, 200)); n < 3 || n > 8 {
		t.Errorf("%d labels over 400 decades", n)
	}
}

// TestHeatMap: the colours are at their places, in a square, with the same ones in the bar; they diverge from zero
// where both signs can be.
func TestHeatMap(t *testing.T) {
	h := &HeatMap{X: []float64{0, 1, 2, 3}, Y: []float64{0, 1, 10},
		Z: [][]float64{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, math.NaN()}}, Bar: "K"}
	img := h.image()
	w, top := img.Bounds().Dx(), img.Bounds().Dy()-1
	for _, tc := range []struct {
		x, y int
		want color.NRGBA
	}{{0, top, viridisAt(0)}, {w - 1, top, viridisAt(0.3)}, {0, 0, viridisAt(0.8)}, {w - 1, 0, blank},
		{0, top - top/10, viridisAt(0.4)}, // rows meet half way between their coordinates, at 0.5 and 5.5 of −0.5 … 14.5
		{0, top - top/2, viridisAt(0.8)}} {
		if got := img.At(tc.x, tc.y); got != tc.want {
			t.Errorf("pixel %d, %d is %v, want %v", tc.x, tc.y, got, tc.want)
		}
	}
	for _, tc := range []struct {
		name   string
		h      HeatMap
		lo, hi float64
		at     float64
		want   color.NRGBA
	}{
		{"both signs", HeatMap{Signed: true, Z: [][]float64{{-1, 3}}}, -1, 3, 0, interpolate(divergingRGB, 0.5)},
		{"the lowest of both signs", HeatMap{Signed: true, Z: [][]float64{{-1, 3}}}, -1, 3, -3, interpolate(divergingRGB, 0)},
		{"one sign of two", HeatMap{Signed: true, Z: [][]float64{{1, 3}}}, 0, 3, 3, interpolate(divergingRGB, 1)},
		{"nothing", HeatMap{Signed: true, Z: [][]float64{{0}}}, 0, 1, 0, interpolate(divergingRGB, 0.5)},
		{"a sequence", HeatMap{Z: [][]float64{{-1, 3}}}, -1, 3, -1, viridisAt(0)},
		{"shared", HeatMap{Min: 1, Max: 2, Z: [][]float64{{-1, 3}}}, 1, 2, 2, viridisAt(1)},
	} {
		if lo, hi, of := tc.h.scale(); lo != tc.lo || hi != tc.hi || of(tc.at) != tc.want {
			t.Errorf("%s: %g … %g, %v at %g", tc.name, lo, hi, of(tc.at), tc.at)
		}
	}
	if m := (&HeatMap{Matrix: true, X: []float64{1}, Y: []float64{1, 2, 4},
		Z: [][]float64{{0}, {1}, {2}}}).upsideDown(); m.Z[2][0] != 0 || m.Y[0] != -4 || m.Y[2] != -1 || m.check() != nil {
		t.Errorf("the first row is not on top: %v at %v", m.Z, m.Y)
	}
	f := &Figure{Columns: 2, PanelWidth: 3, PanelHeight: 2, Panels: []Panel{
		{Heat: &HeatMap{X: []float64{1, 2}, Y: []float64{1, 2}, Z: [][]float64{{0, 1}, {1, 0}}}, X: Axis{Bare: true}},
		{Blank: true}, {Series: []Series{{Label: "a", X: []float64{1, 2}, Y: []float64{1, 2}}}},
		{Title: "two\nlines", Heat: h},
	}}
	b, err := f.Render("png")
	if err != nil {
		t.Fatal(err)
	}
	img, err = png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var box image.Rectangle
	for y := range img.Bounds().Dy() / 2 {
		for x := range img.Bounds().Dx() / 2 {
			if c := color.NRGBAModel.Convert(img.At(x, y)); c == viridisAt(0) || c == viridisAt(1) {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if d := box.Dx() - box.Dy(); d < -4 || d > 4 || box.Dx() < 300 {
		t.Errorf("the map spans %v", box)
	}
}

// TestWrap: a title wider than its figure is broken between words, and every line fits.
func TestWrap(t *testing.T) {
	text, err := newText()
	if err != nil {
		t.Fatal(err)
	}
	const long = "Loss; bands: ± 2 standard errors of the mean over seeds"
	got := text.wrap(long, 9.5, 150)
	lines := strings.Split(got, "\n")
	for _, l := range lines {
		if w := text.style(9.5).Width(l); w > 150 {
			t.Errorf("line %q is %g wide", l, w)
		}
	}
	if len(lines) < 2 || strings.Join(lines, " ") != long || text.wrap("short", 9.5, 10) != "short" ||
		text.wrap("", 9.5, 10) != "" {
		t.Errorf("wrapped as %q", got)
	}
}

// TestImages: PDF is given images upside down, as its writer wants them, and SVG images that declare what they are.
func TestImages(t *testing.T) {
	h := &HeatMap{X: []float64{0}, Y: []float64{0, 1}, Z: [][]float64{{0}, {1}}}
	var got image.Image
	for _, pdf := range []bool{false, true} {
		(&outlined{CanvasSizer: &imageSink{img: &got}, pdf: pdf}).DrawImage(vg.Rectangle{}, h.image())
		if want := map[bool]color.NRGBA{false: viridisAt(1), true: viridisAt(0)}[pdf]; got.At(0, 0) != want {
			t.Errorf("pdf %v: first pixel %v", pdf, got.At(0, 0))
		}
	}
	b, err := (&Figure{Panels: []Panel{{Heat: h}}}).Render("svg")
	if err != nil || !bytes.Contains(b, []byte("data:image/png")) || bytes.Contains(b, []byte("image/jpg")) {
		t.Errorf("svg image: %v", err)
	}
}

type imageSink struct {
	vg.CanvasSizer
	img *image.Image
}

func (s *imageSink) DrawImage(_ vg.Rectangle, img image.Image) { *s.img = img }

func BenchmarkSave(b *testing.B) {
	base := filepath.Join(b.TempDir(), "fig")
	for b.Loop() {
		if _, err := sample().Save(base); err != nil {
			b.Fatal(err)
		}
	}
}

// TestGlyphs: characters that the font lacks are boxes, what would modify them is left out, and the figure is drawn.
func TestGlyphs(t *testing.T) {
	text, err := newText()
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{"γ₀ = 1": "γ₀ = 1", "遅.csv": "□.csv", "👩\u200d🔬 x\ty": "□□ x y",
		"a\xffb\x00": "a�b□", "two\nlines": "two\nlines", "\"": "\""} {
		if got := text.drawable(in); got != want {
			t.Errorf("%q is drawn as %q, want %q", in, got, want)
		}
	}
	const odd = "遅い 🎉 \"quoted\" <b>&\x01"
	box := &Figure{Title: odd, Caption: odd, Panels: []Panel{{Title: odd, X: Axis{Label: odd},
		Series: []Series{{Label: odd, X: []float64{1, 2}, Y: []float64{1, 2}}}}}}
	for _, format := range []string{"png", "svg", "pdf"} {
		b, err := box.Render(format)
		if err != nil || bytes.Contains(b, []byte(odd)) {
			t.Errorf("%s: %v", format, err)
		}
	}
	if text.style(8).Width("遅") != text.style(8).Width("□") || text.style(8).Width("遅") == 0 {
		t.Error("the box has no room")
	}
}

// TestSameY: panels whose axes have the same label have the same range, and others have their own.
func TestSameY(t *testing.T) {
	line := func(label string, y ...float64) Panel {
		return Panel{Y: Axis{Label: label}, Series: []Series{{X: []float64{0, 1}, Y: y}}}
	}
	f := Figure{SameY: true, Panels: []Panel{line("loss", 1, 2), line("loss", 0.5, 9), line("error", 0, 1),
		{Blank: true}, {Y: Axis{Label: "loss"}}}}
	r := f.ranges()
	if a, b := r[0].y, r[1].y; a != b || a[0] > 0.5 || a[1] < 9 || r[2].y[1] > 1.1 || r[4].y != a {
		t.Errorf("ranges %v", r)
	}
	if f.SameY = false; f.ranges()[0].y[1] > 2.1 {
		t.Error("ranges are shared that should not be")
	}
}

// TestClipped: a curve that leaves the axes is marked where it does, and its band ends there.
func TestClipped(t *testing.T) {
	x := []float64{0, 1, 2, 3}
	paths := func(s Series) int {
		f := Figure{Panels: []Panel{{Y: Axis{Min: 0, Max: 10}, Series: []Series{s}}}}
		b, err := f.Render("svg")
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(b, []byte("<path"))
	}
	inside := paths(Series{X: x, Y: []float64{1, 2, 3, 4}})
	for name, y := range map[string][]float64{"above": {1, 2, 30, 40}, "from above": {90, 2, 3, 4},
		"below": {1, 2, -3, -4}} {
		if got := paths(Series{X: x, Y: y}); got != inside+1 {
			t.Errorf("%s: %d marks", name, got-inside)
		}
	}
	if got := paths(Series{X: x, Y: []float64{-1, 2, 30, 40}}); got != inside+2 {
		t.Errorf("below and above: %d marks", got-inside)
	}
	// A band of which the curve is inside at one point alone is none, at two it is there.
	lo, hi := []float64{0, 0, 0, 0}, []float64{9, 9, 99, 99}
	if got := paths(Series{X: x, Y: []float64{1, 20, 30, 40}, Lo: lo, Hi: hi}); got != inside+1 {
		t.Errorf("a band beyond the curve: %d more paths", got-inside)
	}
	if got := paths(Series{X: x, Y: []float64{1, 2, 30, 40}, Lo: lo, Hi: hi}); got != inside+2 {
		t.Errorf("a band and a mark: %d more paths", got-inside)
	}
}

// TestAxesInLine: panels have the same height whatever is at their edges: curves that leave the axes, points, bars.
func TestAxesInLine(t *testing.T) {
	text, err := newText()
	if err != nil {
		t.Fatal(err)
	}
	within := Panel{Y: Axis{Min: 0, Max: 10}, Series: []Series{{X: []float64{0, 1, 2}, Y: []float64{4, 5, 6}}}}
	for name, s := range map[string]Series{
		"below": {Y: []float64{4, 5, -6}}, "above": {Y: []float64{4, 50, 6}}, "at the edge": {Y: []float64{0, 0.01, 10}},
		"points": {Y: []float64{0, 5, 10}, Style: Points},
		"bars":   {Y: []float64{5, 5, 5}, Lo: []float64{0, 1, 2}, Hi: []float64{6, 6, 10}, Style: Points},
	} {
		s.X = []float64{0, 1, 2}
		edge := within
		edge.Series = []Series{s}
		f := Figure{Panels: []Panel{within, edge}}
		plots := [][]*plot.Plot{make([]*plot.Plot, 2)}
		for i := range f.Panels {
			if plots[0][i], _, err = f.Panels[i].plot(text, f.ranges()[i]); err != nil {
				t.Fatal(err)
			}
		}
		f.sameRoom(plots)
		area := func(p *plot.Plot) [2]vg.Length { // from bottom to top
			c := p.DataCanvas(draw.New(vgimg.New(200, 200)))
			return [2]vg.Length{c.Min.Y, c.Max.Y}
		}
		if a, b := area(plots[0][0]), area(plots[0][1]); a != b {
			t.Errorf("%s: %v and %v", name, a, b)
		}
	}
}
