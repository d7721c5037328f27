package figure

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"codeberg.org/go-fonts/dejavu/dejavusans"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	plottext "gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

// parsed is DejaVu Sans, parsed once.
var parsed = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(dejavusans.TTF) })

var sans = font.Font{Typeface: "DejaVu", Variant: "Sans"}

// texts lays out text in DejaVu Sans, with a box in place of a character that the font lacks.
type texts struct {
	plottext.Plain
	face *opentype.Font
}

func newText() (*texts, error) {
	f, err := parsed()
	if err != nil {
		return nil, fmt.Errorf("font: %w", err)
	}
	cache := font.NewCache(font.Collection{{Font: sans, Face: f}})
	return &texts{Plain: plottext.Plain{Fonts: cache}, face: f}, nil
}

func (t *texts) style(size float64) plottext.Style {
	f := sans
	f.Size = vg.Length(size)
	return plottext.Style{Color: color.Black, Font: f, Handler: t}
}

// glue holds together what a line should not end in the middle of: x = 1, ± 2.
var glue = strings.NewReplacer(" = ", "\u00a0=\u00a0", " ≥ ", "\u00a0≥\u00a0", "± ", "±\u00a0", " %", "\u00a0%")

// wrap breaks text between words into lines of at most some width.
func (t *texts) wrap(s string, size float64, width vg.Length) string {
	sty := t.style(size)
	space := func(r rune) bool { return r == ' ' || r == '\n' }
	var b strings.Builder
	line := ""
	for _, word := range strings.FieldsFunc(glue.Replace(s), space) {
		word = strings.ReplaceAll(word, "\u00a0", " ")
		switch {
		case line == "":
			line = word
		case sty.Width(line+" "+word) <= width:
			line += " " + word
		default:
			b.WriteString(line + "\n")
			line = word
		}
	}
	return b.String() + line
}

// missing stands for a character without a glyph.
const missing = '□'

// drawable is text in characters that the font has. What joins or modifies others (of an emoji, of a word in another
// script) is left out where it has no glyph: it would have no width of its own.
func (t *texts) drawable(s string) string {
	var b sfnt.Buffer
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		g, err := t.face.GlyphIndex(&b, r)
		switch has := err == nil && g != 0; {
		case unicode.Is(unicode.Cf, r), !has && unicode.In(r, unicode.Mn, unicode.Me, unicode.Sk):
			return -1
		case has && r >= ' ':
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return missing
	}, s)
}

// Lines implements plottext.Handler.
func (t *texts) Lines(s string) []string { return t.Plain.Lines(t.drawable(s)) }

// Box implements plottext.Handler.
func (t *texts) Box(s string, f font.Font) (width, height, depth vg.Length) {
	return t.Plain.Box(t.drawable(s), f)
}

// Draw implements plottext.Handler.
func (t *texts) Draw(c vg.Canvas, s string, sty plottext.Style, at vg.Point) {
	t.Plain.Draw(c, t.drawable(s), sty, at)
}

// outlined is a vector canvas on which text becomes outlines, so that it needs no font where it is read. For PDF it
// also undoes faults of the writer: premultiplied colours are taken for straight ones, and images are drawn upside
// down.
type outlined struct {
	vg.CanvasSizer
	pdf bool
}

type straight struct{ r, g, b, a uint32 }

func (s straight) RGBA() (r, g, b, a uint32) { return s.r, s.g, s.b, s.a }

func (o *outlined) SetColor(c color.Color) {
	if o.pdf && c != nil {
		if n := color.NRGBA64Model.Convert(c).(color.NRGBA64); n.A != 0xffff {
			c = straight{uint32(n.R), uint32(n.G), uint32(n.B), uint32(n.A)}
		}
	}
	o.CanvasSizer.SetColor(c)
}

func (o *outlined) DrawImage(rect vg.Rectangle, img image.Image) {
	if o.pdf {
		b := img.Bounds()
		flipped := image.NewNRGBA(b)
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				flipped.Set(x, b.Min.Y+b.Max.Y-1-y, img.At(x, y))
			}
		}
		img = flipped
	}
	o.CanvasSizer.DrawImage(rect, img)
}

func (o *outlined) FillString(f font.Face, pt vg.Point, s string) {
	var b sfnt.Buffer
	const em = 1000
	k := f.Font.Size / em / 64
	var pen fixed.Int26_6
	at := func(p fixed.Point26_6) vg.Point {
		return vg.Point{X: pt.X + k*vg.Length(p.X+pen), Y: pt.Y - k*vg.Length(p.Y)}
	}
	for _, r := range s {
		g, err := f.Face.GlyphIndex(&b, r)
		if err != nil {
			continue // texts leaves no such character
		}
		segs, err := f.Face.LoadGlyph(&b, g, fixed.I(em), nil)
		if err != nil {
			continue
		}
		var p vg.Path
		for i, sg := range segs {
			switch sg.Op {
			case sfnt.SegmentOpMoveTo:
				if i > 0 {
					p.Close()
				}
				p.Move(at(sg.Args[0]))
			case sfnt.SegmentOpLineTo:
				p.Line(at(sg.Args[0]))
			case sfnt.SegmentOpQuadTo:
				p.QuadTo(at(sg.Args[0]), at(sg.Args[1]))
			case sfnt.SegmentOpCubeTo:
				p.CubeTo(at(sg.Args[0]), at(sg.Args[1]), at(sg.Args[2]))
			}
		}
		if len(p) > 0 {
			p.Close()
			o.CanvasSizer.Fill(p)
		}
		if adv, err := f.Face.GlyphAdvance(&b, g, fixed.I(em), xfont.HintingNone); err == nil {
			pen += adv
		}
	}
}

var _ vg.CanvasSizer = (*outlined)(nil)

// linearTicks labels at most six round numbers.
type linearTicks struct{}

func (linearTicks) Ticks(lo, hi float64) []plot.Tick {
	span := hi - lo
	if !(span > 0) {
		return label([]float64{lo}, []float64{lo})
	}
	step := math.Pow(10, math.Floor(math.Log10(span/5)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if span/(step*m) <= 5 {
			step *= m
			break
		}
	}
	var at []float64
	for k := math.Ceil(lo/step - 1e-9); k*step <= hi+1e-9*step; k++ {
		if k == 0 { // not −0
			at = append(at, 0)
			continue
		}
		at = append(at, k*step)
	}
	return label(at, at)
}

// label are ticks at places with the numbers that they stand for.
func label(places, values []float64) []plot.Tick {
	var ts []plot.Tick
	text, _ := numbers(values)
	for i, l := range text {
		ts = append(ts, plot.Tick{Value: places[i], Label: l})
	}
	return ts
}

// numbers writes the labels of an axis, all in one style, with true minus signs: as decimals, or where some of those
// would be long as multiples of powers of ten, of one power where the numbers are of similar size.
func numbers(values []float64) (labels []string, powersOfTen bool) {
	tidy := func(v float64) string {
		v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 10, 64), 64) // without what rounding has added
		return strings.Replace(strconv.FormatFloat(v, 'f', -1, 64), "-", "−", 1)
	}
	exponent := func(v float64) int { return int(math.Floor(math.Log10(math.Abs(v)) + 1e-9)) }
	common, similar, pure := math.MinInt, true, true
	for _, v := range values {
		if v != 0 {
			common = max(common, exponent(v))
			pure = pure && math.Abs(math.Abs(v)/math.Pow(10, float64(exponent(v)))-1) < 1e-9
		}
	}
	for _, v := range values {
		similar = similar && (v == 0 || common-exponent(v) <= 1)
	}
	decimals, powers := make([]string, len(values)), make([]string, len(values))
	long, longPowers := 0, 0
	for i, v := range values {
		decimals[i], powers[i] = "0", "0"
		if v != 0 {
			e := exponent(v)
			if similar && !pure {
				e = common
			}
			decimals[i], powers[i] = tidy(v), tidy(v/math.Pow(10, float64(e)))+"·10"+Superscript(e)
			if pure {
				powers[i] = strings.Replace(powers[i], "1·", "", 1)
			}
		}
		long, longPowers = max(long, utf8.RuneCountInString(decimals[i])), max(longPowers, utf8.RuneCountInString(powers[i]))
	}
	if evenlySpaced(values) { // as many decimals everywhere
		places := 0
		for _, d := range decimals {
			if i := strings.IndexByte(d, '.'); i >= 0 {
				places = max(places, len(d)-i-1)
			}
		}
		for i, d := range decimals {
			if n := strings.IndexByte(d, '.'); places > 0 && n < 0 {
				decimals[i] = d + "." + strings.Repeat("0", places)
			} else if places > 0 {
				decimals[i] = d + strings.Repeat("0", places-(len(d)-n-1))
			}
		}
	}
	const short, wide = 5, 3 // of powers, what is small or thin
	if long <= short || long <= longPowers-wide {
		return decimals, false
	}
	return powers, true
}

// evenlySpaced says whether values are those of a linear axis.
func evenlySpaced(values []float64) bool {
	for i := 2; i < len(values); i++ {
		if d := values[1] - values[0]; math.Abs(values[i]-values[i-1]-d) > 1e-6*math.Abs(d) {
			return false
		}
	}
	return len(values) > 2
}

// logTicks labels an axis of logarithms from one end to the other, so that as little as can be of it has no label:
// values 1 … 9 times powers of ten, round numbers on less than a decade, powers of ten on many.
type logTicks struct{}

// Labels of an axis of logarithms: how many, and how far apart as a part of the axis.
const (
	mostLabels = 7
	labelRoom  = 0.09
)

func (logTicks) Ticks(lo, hi float64) []plot.Tick {
	if !(hi > lo) || math.IsInf(hi-lo, 0) {
		return nil
	}
	places := func(of []float64, every int) (at, values []float64) {
		for k := int(math.Floor(lo)); k <= int(math.Ceil(hi)); k++ {
			if k%every != 0 {
				continue
			}
			for _, m := range of {
				if v := float64(k) + math.Log10(m); v >= lo-1e-9 && v <= hi+1e-9 {
					at, values = append(at, v), append(values, m*math.Pow(10, float64(k)))
				}
			}
		}
		return at, values
	}
	fits := func(at []float64) bool {
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] < labelRoom*(hi-lo) {
				return false
			}
		}
		return len(at) <= mostLabels
	}
	all := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}
	sets := [][]float64{all, {1, 2, 3, 5, 7}, {1, 2, 5}, {1, 3}}
	var at, values []float64
	bare := 2. // the largest part of the axis between labels, or between one and the end
	try := func(a, v []float64) {
		if !fits(a) {
			return
		}
		last, most := lo, 0.
		for _, x := range append(slices.Clone(a), hi) {
			last, most = x, math.Max(most, x-last)
		}
		if most < bare-1e-9 {
			at, values, bare = a, v, most
		}
	}
	tens, _ := places(all[:1], 1)
	_, long := numbers(func() []float64 { _, v := places(sets[2], 1); return v }())
	if !long || len(tens) < 3 { // where numbers are long, powers of ten alone, as long as there are some
		bare = hi - lo + 1
		if long {
			try(places(sets[3], 1))
		}
		if len(at) < 3 {
			for _, of := range sets {
				try(places(of, 1))
			}
		}
		if hi-lo < 1 { // less than a factor of ten
			from, to := math.Pow(10, lo), math.Pow(10, hi)
			unit := math.Pow(10, math.Floor(math.Log10(to-from)))
			for _, m := range []float64{0.1, 0.2, 0.5, 1, 2, 5} {
				var a, v []float64
				for k := math.Ceil(from/unit/m - 1e-9); k*unit*m <= to*(1+1e-9); k++ {
					if x := k * unit * m; x > 0 {
						a, v = append(a, math.Log10(x)), append(v, x)
					}
				}
				try(a, v)
			}
		}
	}
	for every := 1; len(at) == 0 && every < 1000; every++ {
		if a, v := places(all[:1], every); fits(a) {
			at, values = a, v
		}
	}
	ts := label(at, values)
	minor := all
	if hi-lo < 0.1 {
		return ts
	}
	if hi-lo > 8 {
		minor = all[:1]
	}
	at, _ = places(minor, 1)
	for _, v := range at {
		if !slices.ContainsFunc(ts, func(t plot.Tick) bool { return math.Abs(t.Value-v) < 1e-9 }) {
			ts = append(ts, plot.Tick{Value: v})
		}
	}
	return ts
}

// givenTicks labels the values that the axis asks for.
type givenTicks struct{ Axis }

func (g givenTicks) Ticks(lo, hi float64) []plot.Tick {
	var at, values []float64
	for _, v := range g.Axis.Ticks {
		if x := transform(v, g.Log); x >= lo && x <= hi {
			at, values = append(at, x), append(values, v)
		}
	}
	return label(at, values)
}

// downTicks are those of an axis that runs downwards, at minus its values.
type downTicks struct{ plot.Ticker }

func (d downTicks) Ticks(lo, hi float64) []plot.Tick {
	ts := d.Ticker.Ticks(-hi, -lo)
	for i := range ts {
		ts[i].Value = -ts[i].Value
	}
	return ts
}

// bareTicks are ticks without numbers.
type bareTicks struct{ plot.Ticker }

func (b bareTicks) Ticks(lo, hi float64) []plot.Tick {
	ts := b.Ticker.Ticks(lo, hi)
	for i := range ts {
		ts[i].Label = ""
	}
	return ts
}
