package figure

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"strconv"
	"strings"
	"sync"

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

// texts lays out text in DejaVu Sans and remembers a character that the font lacks, which gonum/plot would leave out silently.
type texts struct {
	plottext.Plain
	face *opentype.Font
	err  error
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

// Lines implements plottext.Handler.
func (t *texts) Lines(s string) []string {
	var b sfnt.Buffer
	for _, r := range s {
		if g, err := t.face.GlyphIndex(&b, r); r >= ' ' && (err != nil || g == 0) && t.err == nil {
			t.err = fmt.Errorf("the font has no character %q, in the text %q", r, s)
		}
	}
	return t.Plain.Lines(s)
}

// outlined is a vector canvas on which text becomes outlines, so that it needs no font where it is read. For PDF it also undoes faults of
// the writer: premultiplied colours are taken for straight ones, and images are drawn upside down.
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
			continue // reported by texts.Lines
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
		return []plot.Tick{{Value: lo, Label: number(lo, 0.1*math.Max(math.Abs(lo), 1))}}
	}
	step := math.Pow(10, math.Floor(math.Log10(span/5)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if span/(step*m) <= 5 {
			step *= m
			break
		}
	}
	var ts []plot.Tick
	for k := math.Ceil(lo/step - 1e-9); k*step <= hi+1e-9*step; k++ {
		ts = append(ts, plot.Tick{Value: k * step, Label: number(k*step, step)})
	}
	return ts
}

// number writes v to the precision of a step, with a true minus sign.
func number(v, step float64) string {
	if math.Abs(v) < step*1e-6 {
		return "0"
	}
	e := math.Floor(math.Log10(math.Abs(v)) + 1e-12)
	var s string
	if e >= 5 || e <= -4 && math.Log10(step) < -4 {
		digits := max(int(math.Ceil(e-math.Floor(math.Log10(step)+1e-9))), 0)
		m := strings.TrimRight(strings.TrimRight(strconv.FormatFloat(v/math.Pow(10, e), 'f', digits+1, 64), "0"), ".")
		s = m + "·10" + Superscript(int(e))
		if m == "1" {
			s = "10" + Superscript(int(e))
		}
	} else {
		s = strconv.FormatFloat(v, 'f', max(0, int(math.Ceil(-math.Log10(step)-1e-9)))+1, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
	}
	return strings.Replace(s, "-", "−", 1)
}

// logTicks labels powers of ten on an axis of logarithms, thinned when there are many, with 2 and 5 between when there are few.
type logTicks struct{}

func (logTicks) Ticks(lo, hi float64) []plot.Tick {
	decades := hi - lo
	every := 1
	for decades/float64(every) > 6 {
		every++
	}
	var ts []plot.Tick
	for k := int(math.Floor(lo)); k <= int(math.Ceil(hi)); k++ {
		for m := 1; m < 10; m++ {
			v := float64(k) + math.Log10(float64(m))
			if v < lo-1e-9 || v > hi+1e-9 || (m > 1 && decades > 8) {
				continue
			}
			label := ""
			switch {
			case m == 1 && ((k%every)+every)%every == 0:
				label = power(1, k)
			case decades < 0.8 || (decades < 2.2 && (m == 2 || m == 5)):
				if decades >= 0.5 && m > 5 && m != 7 {
					break
				}
				label = power(m, k)
			}
			ts = append(ts, plot.Tick{Value: v, Label: label})
		}
	}
	labelled := 0
	for _, t := range ts {
		if t.Label != "" {
			labelled++
		}
	}
	if labelled < 2 { // less than a factor between ticks: a few values as they are
		ts = ts[:0]
		a, b := math.Pow(10, lo), math.Pow(10, hi)
		for _, t := range (linearTicks{}).Ticks(a, b) {
			if t.Value > 0 {
				ts = append(ts, plot.Tick{Value: math.Log10(t.Value), Label: t.Label})
			}
		}
	}
	return ts
}

func power(m, k int) string {
	if k >= -2 && k <= 3 && m > 1 || k >= 0 && k <= 1 {
		return strconv.FormatFloat(float64(m)*math.Pow(10, float64(k)), 'g', 6, 64)
	}
	p := "10" + Superscript(k)
	if m > 1 {
		p = strconv.Itoa(m) + "·" + p
	}
	return p
}

// givenTicks labels the values that the axis asks for.
type givenTicks struct{ Axis }

func (g givenTicks) Ticks(lo, hi float64) []plot.Tick {
	var ts []plot.Tick
	for _, v := range g.Axis.Ticks {
		if x := transform(v, g.Log); x >= lo && x <= hi {
			ts = append(ts, plot.Tick{Value: x, Label: strings.Replace(strconv.FormatFloat(v, 'g', 6, 64), "-", "−", 1)})
		}
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
