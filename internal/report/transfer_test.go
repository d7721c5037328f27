package report

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft/figure"
	"github.com/seed39b58f2d/dmft/dmft/transfer"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// study has two panels: in one the optimum stays at 2 and there is a limit, in the other it falls as 1/N and there is
// none.
func study() transfer.Study {
	s := transfer.Study{Parameter: "learning_rate", Loss: "train", Step: 20, Tolerance: 0.1}
	for k, label := range []string{"simulation.parametrization=mup", "simulation.parametrization=standard, richness=2"} {
		p := transfer.Panel{Label: label, Over: "width", Name: "N = ∞"}
		curve := func(size int, best float64, seeds int) transfer.Measured {
			m := transfer.Measured{Curve: transfer.Curve{Size: size}, Stability: 2 * best}
			for i := -8; i <= 8; i++ {
				u := float64(i) / 8
				q := transfer.Point{Value: best * math.Exp2(u), Losses: make(transfer.Losses, seeds)}
				for j := range q.Losses {
					v := u - 0.01*float64(j%2)
					q.Losses[j] = 0.01 * math.Exp(v*v+0.02*float64(j))
					if i == 8 {
						q.Losses[j] = math.Inf(1)
					}
				}
				if seeds == 1 {
					q.Stderr = 0.0001
				}
				m.Points = append(m.Points, q)
			}
			return m
		}
		for _, n := range []int{16, 64, 256} {
			p.Curves = append(p.Curves, curve(n, 2*math.Pow(float64(n)/16, -float64(k)), 4))
		}
		if k == 0 {
			l := curve(0, 2, 1)
			p.Limit = &l
		} else {
			p.NoLimit = "nothing to approach"
		}
		p.Conclude(s.Tolerance)
		s.Panels = append(s.Panels, p)
	}
	return s
}

// TestTransferFigure: the figure holds one panel per panel, the losses against learning rates of every size in colours
// from light to dark, the limit in black, gaps where runs diverged, the optimum with its interval on the curve, and is
// drawn.
func TestTransferFigure(t *testing.T) {
	s := study()
	f := TransferFigure(s, "Caption")
	if len(f.Panels) != 2 || !strings.HasPrefix(f.Title, "Caption. After 20 steps") ||
		f.Panels[0].Title != "μP\nstays: drift 0.00 ± 0.01" &&
			!strings.HasPrefix(f.Panels[0].Title, "μP\nstays: drift 0.00") ||
		!strings.HasPrefix(f.Panels[1].Title, "standard parametrisation, richness γ₀ = 2\nmoves: drift −1.00") {
		t.Errorf("%d panels, %q, %q", len(f.Panels), f.Panels[0].Title, f.Panels[1].Title)
	}
	for k, p := range f.Panels {
		var labels []string
		marks := 0
		for _, c := range p.Series {
			if c.Label != "" {
				labels = append(labels, c.Label)
				if len(c.X) != 17 || !math.IsNaN(c.Y[16]) || math.IsNaN(c.Y[15]) {
					t.Errorf("%s: %v", c.Label, c.Y)
				}
			}
			if c.Style == figure.Points {
				marks++
			}
			if black := c.Color == figure.Color(0); black != (c.Label == "N = ∞") && c.Label != "" {
				t.Errorf("%s is black: %v", c.Label, black)
			}
		}
		want := []string{"N = ∞, N = 16, N = 64, N = 256", "N = 16, N = 64, N = 256"}[k]
		if strings.Join(labels, ", ") != want || marks != len(labels) || !p.X.Log || !p.Y.Log ||
			p.X.Label != "learning rate η" {
			t.Errorf("panel %d: %v, %d marks", k, labels, marks)
		}
		if p.Y.Min <= 0 || p.Y.Max < 0.01*math.E {
			t.Errorf("range %g … %g", p.Y.Min, p.Y.Max)
		}
	}
	for _, format := range []string{"png", "svg", "pdf"} {
		if b, err := f.Render(format); err != nil || len(b) < 5000 {
			t.Errorf("%s: %d bytes, %v", format, len(b), err)
		}
	}
	for label, want := range map[string]string{"network.branch.exponent=0.5, width=64": "branches ∝ 1/√L, N = 64",
		"simulation.branch_exponent=0":   "branches not scaled with depth",
		"simulation.branch_exponent=0.7": "branch exponent 0.7",
		"simulation.parametrization=ntk": "NTK parametrisation", "training.steps=5": "training.steps=5", "": ""} {
		if got := transferTitle(transfer.Panel{Label: label}); got != want {
			t.Errorf("%q is titled %q, expected %q", label, got, want)
		}
	}
}

// TestTransferTable: tables in words, CSV and arrays.
func TestTransferTable(t *testing.T) {
	s := study()
	var b bytes.Buffer
	if err := TransferTable(&b, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"best learning_rate ∝ N^p: optimum stays: drift 0.00", "optimum moves: drift −1.00",
		"goes with p = −1.00", "no curve of the limit: nothing to approach", "the best value of N = 16, 2.0",
		"is unusable at N = 256", "between the two largest sizes: p = −1.00"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "one network") {
		t.Error("four seeds are called one")
	}
	single := transfer.Study{Parameter: "richness", Panels: []transfer.Panel{{Over: "depth",
		Curves: []transfer.Measured{*s.Panels[0].Limit}}}}
	var c bytes.Buffer
	if err := TransferTable(&c, single); err != nil || !strings.Contains(c.String(), "one network of every size") {
		t.Errorf("%v\n%s", err, c.String())
	}
	rows := TransferRows(s)
	b.Reset()
	if err := rows.CSV(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 1+7*17 || lines[17] != `0,"simulation.parametrization=mup",networks,width,16,4,inf,0,4,4` ||
		!strings.HasPrefix(lines[1+3*17], `0,"simulation.parametrization=mup",limit,width,inf,1,`) {
		t.Errorf("%d lines, %q, %q", len(lines), lines[17], lines[1+3*17])
	}
	a := map[string]npy.Array{}
	for _, x := range rows.Arrays() {
		a[x.Name] = x.Array
	}
	if len(a["value"].Data) != 7*17 || len(a["optimum"].Data) != 7 || a["loss_seeds"].Shape[1] != 4 ||
		!math.IsInf(a["size"].Data[3*17], 1) || !math.IsNaN(a["loss_seeds"].Data[3*17*4+1]) {
		t.Errorf("%d values, %d optima", len(a["value"].Data), len(a["optimum"].Data))
	}
	for i, n := range []float64{16, 64, 256} {
		if got := a["optimum"].Data[4+i]; a["curve_size"].Data[4+i] != n || math.Abs(got/(32/n)-1) > 0.02 ||
			a["optimum_lo"].Data[4+i] > got || a["optimum_hi"].Data[4+i] < got {
			t.Errorf("optimum of width %g: %g", n, got)
		}
	}
}
