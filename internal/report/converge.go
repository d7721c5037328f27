package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// Convergence is what converge found at one point: ladders of sizes and the verdict over all of their tests.
type Convergence struct {
	Label        string              `json:"label,omitempty"`
	Size         string              `json:"size"`    // what the sizes of ladders are: N, or D for high-dimensional data
	Ladders      []Ladder            `json:"ladders"` // of networks, one for every depth
	Samples      *compare.SampleRate `json:"samples,omitempty"`
	Tests        []compare.Test      `json:"tests"`
	Significance float64             `json:"significance"`
	Confidence   float64             `json:"confidence"`
	compare.Outcome
	Notes []string `json:"notes,omitempty"`
}

// Ladder is one ladder of sizes.
type Ladder struct {
	Name  string `json:"name"` // such as L = 5, or empty
	Depth bool   `json:"depth,omitempty"`
	*compare.Convergences
}

// Judge gathers the tests of all ladders, so that the chance of a false rejection is that of the whole.
func (c *Convergence) Judge() {
	var parts []compare.Part
	for _, l := range c.Ladders {
		parts = append(parts, compare.Part{Name: l.prefix(), Convergences: l.Convergences})
	}
	var more []compare.Test
	if c.Samples != nil {
		more = c.Samples.Tests
	}
	c.Outcome, c.Tests = compare.Conclude(parts, more, c.Significance)
	if c.Samples != nil {
		c.Samples.Mark(c.Tests)
	}
}

func (l Ladder) prefix() string {
	if l.Name == "" {
		return ""
	}
	return l.Name + ", "
}

// fraction writes an expected exponent as people do.
func fraction(p float64) string {
	if p == -0.5 {
		return "−1/2"
	}
	return minus(fmt.Sprintf("%g", p))
}

func minus(s string) string { return strings.ReplaceAll(s, "-", "−") }

// fitText is an exponent in words.
func fitText(f compare.Fit) string {
	if !f.Resolved {
		return fmt.Sprintf("not resolved (expected %s)", fraction(f.Expected))
	}
	verdict := "consistent"
	if !f.Consistent {
		verdict = "NOT consistent"
	}
	s := interval(f.Exponent, f.Lo, f.Hi)
	if f.Next != f.Exponent || f.NextLo != f.Lo {
		s += ", with the next order " + interval(f.Next, f.NextLo, f.NextHi)
	}
	return fmt.Sprintf("%s; expected %s: %s (p = %.2g)", s, fraction(f.Expected), verdict, f.P)
}

// interval is "−0.49 ± 0.03", or the ends when they are not symmetric.
func interval(x, lo, hi float64) string {
	if lo <= -3.995 || hi >= 1.995 { // where the search ended
		return minus(fmt.Sprintf("%.2f, hardly bounded", x))
	}
	up, down := hi-x, x-lo
	if math.Abs(up-down) <= 0.2*(up+down)/2 {
		return minus(fmt.Sprintf("%.2f", x)) + fmt.Sprintf(" ± %.2f", (up+down)/2)
	}
	return minus(fmt.Sprintf("%.2f [%.2f, %.2f]", x, lo, hi))
}

// observables names what is compared.
var observables = map[string]string{"f": "predictions f", "f_test": "predictions on test points",
	"loss": "training loss", "ntk": "NTK", "test_loss": "test loss"}

// ConvergenceTable writes the ladders and the verdicts of results.
func ConvergenceTable(w io.Writer, results []Convergence) error {
	for i, c := range results {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if c.Label != "" {
			fmt.Fprintf(w, "%s\n", c.Label)
		}
		for _, l := range c.Ladders {
			if err := l.table(w, c.Size); err != nil {
				return err
			}
		}
		if s := c.Samples; s != nil {
			if err := samplesTable(w, s); err != nil {
				return err
			}
		}
		for _, n := range c.Notes {
			fmt.Fprintf(w, "note: %s\n", n)
		}
		fmt.Fprintf(w, "%s\n", c.Outcome)
	}
	return nil
}

func (l Ladder) table(w io.Writer, size string) error {
	if l.Name != "" {
		fmt.Fprintf(w, "%s\n", l.Name)
	}
	if l.Depth {
		size = "L"
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	head := []string{"", size, "seeds", "one network: √E‖q − q_∞‖²", "± s.e.", "bias: ‖E q − q_∞‖", "noise of the mean",
		"theory's error"}
	if l.Depth {
		head = []string{"", size, "blocks", "‖q_L − q_∞‖", "noise", "theory's error"}
	}
	fmt.Fprintln(t, strings.Join(head, "\t")+"\t")
	for _, o := range l.Observables {
		for _, p := range o.Points {
			bias := sig(p.Mean)
			if p.Mean == 0 || p.Mean < p.Noise {
				bias = "< " + sig(p.MeanUpper)
			}
			row := []string{o.Name, fmt.Sprint(p.Size), fmt.Sprint(p.Replicas), sig(p.Error), sig(p.ErrorStderr), bias,
				sig(p.Noise), sig(o.TheoryErr)}
			if l.Depth {
				row = append(row[:3:3], bias, sig(p.Noise), sig(o.TheoryErr))
			}
			fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, o := range l.Observables {
		name := observables[o.Name]
		if name == "" {
			name = o.Name
		}
		if !l.Depth {
			fmt.Fprintf(w, "%s: fluctuation exponent %s\n", name, fitText(o.Error))
		}
		fmt.Fprintf(w, "%s: bias exponent %s\n", name, fitText(o.Bias))
		verdict := "consistent"
		if !o.Limit.Consistent {
			verdict = "NOT consistent"
		}
		rest := ""
		if o.Limit.Rest > 0 {
			rest = fmt.Sprintf(" and %s from extrapolation in depth", sig(o.Limit.Rest))
		}
		seen := fmt.Sprintf("apart by less than %s, and a difference of %s would have been seen", sig(o.Limit.Upper),
			sig(o.Limit.Detectable))
		if o.Limit.LeastSize > 0 {
			verdict, seen = "not tested", fmt.Sprintf("these %s are too small for an expansion in 1/%[1]s, which "+
				"needs about %d or more", size, o.Limit.LeastSize)
		}
		fmt.Fprintf(w, "%s: at %s → ∞ %s from the theory, sampling errors explain %s%s: %s (p = %.2g); %s\n", name,
			size, sig(o.Limit.Distance), sig(o.Limit.Noise), rest, verdict, o.Limit.P, seen)
	}
	fmt.Fprintln(w)
	return nil
}

func samplesTable(w io.Writer, s *compare.SampleRate) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "theory's samples\tblocks\ts.e. of f\tfrom the most samples\tnoise of that\tp\t")
	for i, p := range s.Points {
		d := []string{"–", "–", "–"}
		if i < len(s.Points)-1 {
			d = []string{sig(p.Distance.Distance), sig(p.Distance.Noise), fmt.Sprintf("%.2g", p.Distance.P)}
		}
		fmt.Fprintln(t, strings.Join(append([]string{fmt.Sprint(p.Samples), fmt.Sprint(p.Blocks), sig(p.Error)}, d...),
			"\t")+"\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if s.Error.Resolved {
		fmt.Fprintf(w, "theory's sampling error: exponent %s\n\n", fitText(s.Error))
	} else {
		fmt.Fprint(w, "theory's sampling error: none, blocks agree to rounding\n\n")
	}
	return nil
}

// ConvergenceFigure draws errors against size on logarithmic axes, a row for every ladder.
func ConvergenceFigure(results []Convergence) (figure.Figure, bool) {
	columns := 0
	for _, c := range results {
		for _, l := range c.Ladders {
			columns = max(columns, len(l.Observables))
		}
		if c.Samples != nil && c.Samples.Error.Resolved {
			columns = max(columns, 1)
		}
	}
	if columns == 0 {
		return figure.Figure{}, false
	}
	f := figure.Figure{Columns: columns, Title: "Approach to the limit: root mean squares relative to it; bars ± 2 " +
		"s.e., those of biases with the theory's; shaded: the theory's own error"}
	row := func(panels []figure.Panel) {
		for len(panels) < columns {
			panels = append(panels, figure.Panel{Blank: true})
		}
		f.Panels = append(f.Panels, panels...)
	}
	for _, c := range results {
		for _, l := range c.Ladders {
			var panels []figure.Panel
			for _, o := range l.Observables {
				panels = append(panels, l.panel(c, o))
			}
			row(panels)
		}
		if s := c.Samples; s != nil && s.Error.Resolved {
			row([]figure.Panel{samplesPanel(c, s)})
		}
	}
	return f, true
}

// power is the line a·x^p between the first and last of x.
func power(label string, x []float64, at, p float64, style figure.Style, color int) figure.Series {
	s := figure.Series{Label: label, Style: style, Width: 0.9}
	if color >= 0 {
		s.Color = figure.Color(color)
	}
	for _, v := range []float64{x[0], x[len(x)-1]} {
		s.X, s.Y = append(s.X, v), append(s.Y, at*math.Pow(v, p))
	}
	return s
}

func (l Ladder) panel(c Convergence, o compare.Convergence) figure.Panel {
	name := observables[o.Name]
	if name == "" {
		name = o.Name
	}
	title := name
	if l.Name != "" {
		title = l.Name + ": " + title
	}
	if c.Label != "" {
		title = pretty(c.Label) + "\n" + title
	}
	if !o.Limit.Consistent {
		title += ", limit rejected"
	}
	f := o.Error
	if l.Depth {
		f = o.Bias
	}
	if f.Resolved {
		expected := " (" + fraction(f.Expected) + ")"
		if !f.Consistent {
			expected = ", not " + fraction(f.Expected)
		}
		title += "\nexponent " + interval(f.Exponent, f.Lo, f.Hi) + expected
	}
	size := "width N"
	switch {
	case l.Depth:
		size = "depth L"
	case c.Size == "D":
		size = "dimension D"
	}
	p := figure.Panel{Title: title, X: figure.Axis{Label: size, Log: true},
		Y: figure.Axis{Label: "relative error", Log: true}}
	one := figure.Series{Label: "one network", Style: figure.Points, Color: figure.Color(1)}
	bias := figure.Series{Label: "bias of the mean", Style: figure.Points, Color: figure.Color(2)}
	var x []float64
	lo, hi := math.Inf(1), 0.
	see := func(v float64) {
		if v > 0 {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	for _, q := range o.Points {
		n := float64(q.Size)
		x = append(x, n)
		p.X.Ticks = append(p.X.Ticks, n)
		if q.Error > 0 {
			one.X, one.Y, one.Lo, one.Hi = append(one.X, n), append(one.Y, q.Error),
				append(one.Lo, q.Error-2*q.ErrorStderr), append(one.Hi, q.Error+2*q.ErrorStderr)
			see(q.Error)
		}
		b, e := math.Abs(q.Bias), 2*math.Hypot(q.BiasStderr, o.TheoryErr)
		bias.X, bias.Y, bias.Lo, bias.Hi = append(bias.X, n), append(bias.Y, b), append(bias.Lo, b-e), append(bias.Hi, b+e)
		see(max(b, e/4))
	}
	see(o.TheoryErr)
	p.Y.Min, p.Y.Max = lo/2, hi*2
	theory := figure.Series{Label: "theory's error", X: []float64{x[0], x[len(x)-1]},
		Y: []float64{o.TheoryErr, o.TheoryErr}, Lo: []float64{lo / 4, lo / 4}, Hi: []float64{o.TheoryErr, o.TheoryErr},
		Color: figure.Color(0), Style: figure.Dotted, Width: 0.8}
	if o.TheoryErr > 0 {
		p.Series = append(p.Series, theory)
	}
	middle := func(y []float64, expected float64) float64 { // of a line with the expected slope through the points
		s, n := 0., 0.
		for i, v := range y {
			if v > 0 {
				s, n = s+math.Log(v)-expected*math.Log(x[i]), n+1
			}
		}
		return math.Exp(s / max(n, 1))
	}
	if len(one.Y) == len(x) {
		p.Series = append(p.Series, power("expected slope", x, middle(one.Y, o.Error.Expected), o.Error.Expected,
			figure.Reference, -1))
		if o.Error.Resolved {
			p.Series = append(p.Series, power("fit", x, o.Error.Amplitude, o.Error.Exponent, figure.Line, 1))
		}
	}
	if o.Bias.Resolved {
		p.Series = append(p.Series, power("expected slope", x, math.Abs(bias.Y[0])*math.Pow(x[0], -o.Bias.Expected),
			o.Bias.Expected, figure.Reference, -1))
		p.Series = append(p.Series, power("fit of the bias", x, math.Abs(o.Bias.Amplitude), o.Bias.Exponent, figure.Line, 2))
	}
	p.Series = append(p.Series, bias)
	if len(one.Y) > 0 {
		p.Series = append(p.Series, one)
	}
	return p
}

func samplesPanel(c Convergence, s *compare.SampleRate) figure.Panel {
	p := figure.Panel{Title: "theory: standard error of f", X: figure.Axis{Label: "samples S", Log: true},
		Y: figure.Axis{Label: "relative error", Log: true}}
	se := figure.Series{Label: "standard error", Style: figure.Points, Color: figure.Color(3)}
	dist := figure.Series{Label: "distance from the most samples", Style: figure.Points, Color: figure.Color(4)}
	for i, q := range s.Points {
		n := float64(q.Samples)
		p.X.Ticks = append(p.X.Ticks, n)
		se.X, se.Y = append(se.X, n), append(se.Y, q.Error)
		w := math.Sqrt(2 / float64(max(q.Blocks-1, 1))) // of a variance, of a single mode
		se.Lo, se.Hi = append(se.Lo, q.Error*math.Exp(-w)), append(se.Hi, q.Error*math.Exp(w))
		if i < len(s.Points)-1 {
			dist.X, dist.Y = append(dist.X, n), append(dist.Y, q.Distance.Distance)
		}
	}
	p.Series = []figure.Series{power("expected slope", se.X, math.Exp(meanLog(se.Y)+0.5*meanLog(se.X)), -0.5,
		figure.Reference, -1), power("fit of the standard error", se.X, s.Error.Amplitude, s.Error.Exponent,
		figure.Line, 3), dist, se}
	return p
}

func meanLog(x []float64) float64 {
	s := 0.
	for _, v := range x {
		s += math.Log(v) / float64(len(x))
	}
	return s
}
