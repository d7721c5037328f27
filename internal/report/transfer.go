package report

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
	"github.com/seed39b58f2d/dmft/dmft/transfer"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

var transferSymbols = map[string]string{"learning_rate": "learning rate η", "richness": "richness γ₀",
	"branch.beta": "branch scale β"}

// sizeName is a size as figures and tables have it.
func sizeName(over string, size int) string {
	if over == "depth" {
		return fmt.Sprintf("L = %d", size)
	}
	return fmt.Sprintf("N = %d", size)
}

// transferLoss names the loss of a study with its normalisation.
func transferLoss(s transfer.Study) string {
	if s.Reduction == "" { // of a study from before it was noted
		return s.Loss + " loss"
	}
	return s.Loss + " loss (" + s.Reduction + " over samples)"
}

// transferTitle is what a panel is about.
func transferTitle(p transfer.Panel) string {
	var parts []string
	for _, v := range strings.Split(p.Label, ", ") {
		key, value, _ := strings.Cut(v, "=")
		switch key {
		case "simulation.parametrization":
			v = map[string]string{"mup": "μP", "ntk": "NTK parametrisation", "standard": "standard parametrisation",
				"mean-field": "mean field"}[value]
		case "simulation.branch_exponent", "network.branch.exponent":
			if v = map[string]string{"0": "branches not scaled with depth", "0.5": "branches ∝ 1/√L",
				"1": "branches ∝ 1/L"}[value]; v == "" {
				v = "branch exponent " + value
			}
		case "width":
			v = "N = " + value
		default:
			if name, ok := axisNames[key]; ok {
				v = name + " = " + value
			}
		}
		parts = append(parts, v)
	}
	return strings.Join(parts, ", ")
}

// TransferTable writes optima, drifts and what follows for people.
func TransferTable(w io.Writer, s transfer.Study) error {
	for i, p := range s.Panels {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if p.Label != "" {
			fmt.Fprintln(w, p.Label)
		}
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(t, "\tbest %s\t95 %% interval\t%s\t± s.e.\tdiverges from\t\t\n", s.Parameter, transferLoss(s))
		row := func(name string, m transfer.Measured) {
			o := m.Optimum
			if o == nil {
				fmt.Fprintf(t, "%s\t–\t–\tevery point diverged\t\t\t\t\n", name)
				return
			}
			note := ""
			switch {
			case o.Edge != transfer.Inside:
				note = "at the " + string(o.Edge) + " end of the grid"
			case o.Cliff:
				note = "the next value diverges"
			}
			at := "–"
			for _, q := range m.Points {
				if q.Value > o.Value && q.Diverged() > 0 {
					at = fmt.Sprintf("%.3g", q.Value)
					break
				}
			}
			fmt.Fprintf(t, "%s\t%.4g\t%.4g – %.4g\t%s\t%s\t%s\t%s\t\n", name, o.Value, o.Lo, o.Hi, sig(o.Loss),
				sig(o.Error), at, note)
		}
		for _, c := range p.Curves {
			row(sizeName(p.Over, c.Size), c)
		}
		for _, c := range p.Theory {
			row(sizeName(p.Over, c.Size)+", N = ∞", c)
		}
		if p.Limit != nil {
			row(p.Name, *p.Limit)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if c := p.Curves; len(c) > 0 && len(c[0].Points) > 0 && len(c[0].Points[0].Losses) == 1 {
			fmt.Fprintln(w, "one network of every size: the intervals hold no sampling errors, and verdicts mean "+
				"little; use more simulation.seeds")
		}
		fmt.Fprintf(w, "best %s ∝ %s^p: %s\n", s.Parameter, map[string]string{"width": "N", "depth": "L"}[p.Over],
			p.Drift.Verdict(s.Tolerance))
		if p.Last.Sizes == 2 && p.Drift.Sizes > 2 {
			fmt.Fprintf(w, "between the two largest sizes: p = %s\n", p.Last)
		}
		if p.Expected != nil {
			fmt.Fprintf(w, "the stability limit of the learning rate at the start goes with p = %s\n",
				transfer.Signed(*p.Expected))
		}
		if p.TheoryDrift != nil {
			fmt.Fprintf(w, "at infinite width: %s\n", p.TheoryDrift.Verdict(s.Tolerance))
		}
		if r := p.Transfer; r != nil {
			from, to := sizeName(p.Over, r.From), sizeName(p.Over, r.To)
			switch {
			case r.Failure:
				fmt.Fprintf(w, "the best value of %s, %.4g, is unusable at %s\n", from, r.Value, to)
			case r.Factor > 0:
				fmt.Fprintf(w, "the best value of %s, %.4g, gives %s %.3g times its lowest loss\n", from, r.Value, to, r.Factor)
			}
		}
		if p.NoLimit != "" {
			fmt.Fprintf(w, "no curve of the limit: %s\n", p.NoLimit)
		}
	}
	return nil
}

// TransferFigure draws loss against the hyperparameter, one panel beside the other, one curve per size, the limit in
// black.
func TransferFigure(s transfer.Study, caption string) Named {
	f := figure.Figure{Title: fmt.Sprintf(
		"After %d steps; bands: ± 2 s.e.; dots and bars: best values, 95 %% intervals", s.Step)}
	if caption != "" {
		f.Title = caption + ". " + f.Title
	}
	name := transferSymbols[s.Parameter]
	lo, hi := math.Inf(1), 0.
	for i, p := range s.Panels {
		title := transferTitle(p)
		if v := p.Drift.Short(s.Tolerance); v != "" {
			title = strings.TrimPrefix(title+"\n"+v, "\n")
		}
		panel := figure.Panel{Title: title, X: figure.Axis{Label: name, Log: true},
			Y: figure.Axis{Label: transferLoss(s), Log: true}}
		if i > 0 {
			panel.Y.Label = ""
		}
		var marks []figure.Series
		n := len(p.Curves)
		add := func(m transfer.Measured, label string, c color.NRGBA, style figure.Style, width float64) {
			curve := figure.Series{Label: label, Color: c, Style: style, Width: width, Top: m.Size == 0}
			best := math.Inf(1)
			for _, q := range m.Points {
				l, e := q.Loss(), q.LossStderr()
				if math.IsInf(l, 1) || !(l > 0) {
					l, e = math.NaN(), 0
				}
				// Of the logarithm: near the edge of stability a few seeds, or blocks of the theory about to diverge,
				// make the error as large as the mean or larger.
				e = min(2*e/l, 1)
				curve.X, curve.Y, curve.Lo, curve.Hi = append(curve.X, q.Value), append(curve.Y, l),
					append(curve.Lo, l*math.Exp(-e)), append(curve.Hi, l*math.Exp(e))
				if l < best {
					best = l
				}
			}
			panel.Series = append(panel.Series, curve)
			o := m.Optimum
			if o == nil {
				return
			}
			lo = min(lo, best)
			if l := m.Points[0].Loss(); !math.IsInf(l, 1) {
				hi = max(hi, l)
			}
			y := m.At(o.Value) // on the curve, which a parabola fitted to some points is not
			if !(y < math.Inf(1)) {
				y = o.Loss
			}
			if o.Edge == transfer.Inside {
				marks = append(marks, figure.Series{X: []float64{o.Lo, o.Hi}, Y: []float64{y, y}, Color: c, Width: 1.6})
			}
			marks = append(marks, figure.Series{X: []float64{o.Value}, Y: []float64{y}, Color: c, Style: figure.Points})
		}
		if p.Limit != nil {
			name := strings.Replace(p.Name, ", "+string(dmft.Lazy), ", "+methodNames[string(dmft.Lazy)], 1)
			c, style := limitKey(name)
			add(*p.Limit, name, c, style, 1.4)
		}
		for k, c := range p.Curves {
			add(c, sizeName(p.Over, c.Size), figure.Sequence(k, n), figure.Line, 1)
		}
		for k, c := range p.Theory {
			label := ""
			if k == n-1 {
				label = "infinite width at that depth"
			}
			add(c, label, figure.Sequence(k, n), figure.Dotted, 1.2)
		}
		panel.Series = append(panel.Series, marks...)
		f.Panels = append(f.Panels, panel)
	}
	if hi > lo {
		for i := range f.Panels { // a common range: from below the lowest to a little above what the smallest values reach
			f.Panels[i].Y.Min, f.Panels[i].Y.Max = lo*math.Pow(hi/lo, -0.08), hi*math.Pow(hi/lo, 0.12)
		}
	}
	switch n := len(f.Panels); {
	case n == 1:
		f.PanelWidth, f.PanelHeight = 4.6, 3
	case n > 3:
		f.Columns = min((n+1)/2, 4)
	}
	return Named{"transfer", f}
}

// TransferLong is a study as a table: one row per point of every curve.
type TransferLong struct {
	study transfer.Study
	rows  []transferRow
	seeds int
}

type transferRow struct {
	panel int
	kind  string // networks, theory or limit
	over  string
	size  int // 0 is infinite
	p     transfer.Point
	o     *transfer.Optimum
}

// TransferRows makes the table of a study.
func TransferRows(s transfer.Study) TransferLong {
	t := TransferLong{study: s}
	for i, p := range s.Panels {
		add := func(kind string, m transfer.Measured) {
			for _, q := range m.Points {
				t.rows = append(t.rows, transferRow{i, kind, p.Over, m.Size, q, m.Optimum})
				t.seeds = max(t.seeds, len(q.Losses))
			}
		}
		for _, c := range p.Curves {
			add("networks", c)
		}
		for _, c := range p.Theory {
			add("theory", c)
		}
		if p.Limit != nil {
			add("limit", *p.Limit)
		}
	}
	return t
}

// CSV writes the table as comma-separated values; losses that diverged are inf.
func (t TransferLong) CSV(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "panel,label,kind,over,size,%s,loss,loss_stderr,seeds,diverged\n",
		strings.ReplaceAll(t.study.Parameter, ".", "_")); err != nil {
		return err
	}
	for _, r := range t.rows {
		size := fmt.Sprint(r.size)
		if r.size == 0 {
			size = "inf"
		}
		loss := fmt.Sprint(r.p.Loss())
		if math.IsInf(r.p.Loss(), 1) {
			loss = "inf"
		}
		if _, err := fmt.Fprintf(w, "%d,%q,%s,%s,%s,%v,%s,%v,%d,%d\n", r.panel, t.study.Panels[r.panel].Label, r.kind,
			r.over, size, r.p.Value, loss, r.p.LossStderr(), len(r.p.Losses), r.p.Diverged()); err != nil {
			return err
		}
	}
	return nil
}

// Arrays are the columns of the table: panel, theory (0 networks, 1 theory), size (inf is the limit), value, loss (inf
// where a seed diverged), loss_stderr (0 then), seeds, diverged (how many of them), and loss_seeds with one column per
// seed (inf where it diverged, NaN beyond the seeds of a row); and one row per curve: curve_panel, curve_theory,
// curve_size, optimum, optimum_lo, optimum_hi (NaN where there is none).
func (t TransferLong) Arrays() []npy.Named {
	names := []string{"panel", "theory", "size", "value", "loss", "loss_stderr", "seeds", "diverged"}
	curve := []string{"curve_panel", "curve_theory", "curve_size", "optimum", "optimum_lo", "optimum_hi"}
	columns := map[string][]float64{}
	put := func(names []string, v ...float64) {
		for i, n := range names {
			columns[n] = append(columns[n], v[i])
		}
	}
	var seeds []float64
	for i, r := range t.rows {
		theory, size := 0., float64(r.size)
		if r.kind != "networks" {
			theory = 1
		}
		if r.size == 0 {
			size = math.Inf(1)
		}
		put(names, float64(r.panel), theory, size, r.p.Value, r.p.Loss(), r.p.LossStderr(), float64(len(r.p.Losses)),
			float64(r.p.Diverged()))
		for k := range t.seeds {
			v := math.NaN()
			if k < len(r.p.Losses) {
				if v = r.p.Losses[k]; math.IsNaN(v) {
					v = math.Inf(1) // diverged; only what is not there is NaN
				}
			}
			seeds = append(seeds, v)
		}
		if i == 0 || r.o != t.rows[i-1].o || r.size != t.rows[i-1].size || r.kind != t.rows[i-1].kind ||
			r.panel != t.rows[i-1].panel {
			o := transfer.Optimum{Value: math.NaN(), Lo: math.NaN(), Hi: math.NaN()}
			if r.o != nil {
				o = *r.o
			}
			put(curve, float64(r.panel), theory, size, o.Value, o.Lo, o.Hi)
		}
	}
	var out []npy.Named
	for _, n := range append(names, curve...) {
		out = append(out, npy.Named{Name: n, Array: npy.Array{Shape: []int{len(columns[n])}, Data: columns[n]}})
	}
	return append(out, npy.Named{Name: "loss_seeds", Array: npy.Array{Shape: []int{len(t.rows), t.seeds}, Data: seeds}})
}
