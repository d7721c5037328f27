package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
)

// TestSummary: numbers of curves that are known: a loss that halves every step, and a test loss that rises again.
func TestSummary(t *testing.T) {
	n := 9
	tr := &dmft.Trajectory{Width: 64, Replicas: 2}
	for i := range n {
		tr.Time = append(tr.Time, float64(i))
		tr.Loss = append(tr.Loss, 8*math.Pow(2, -float64(i)))
		tr.LossStderr = append(tr.LossStderr, 0.1*float64(i))
		tr.TestLoss = append(tr.TestLoss, 1+math.Pow(float64(i)-5, 2))
		tr.TestLossStderr = append(tr.TestLossStderr, 0.2*float64(i))
	}
	s := Result{Sims: []*dmft.Trajectory{tr}}.Summaries(0.25, nil)
	if len(s) != 1 || s[0].What != "N = 64" || s[0].File != "simulation-N64.npz" || s[0].Width != 64 || s[0].Steps != 8 {
		t.Fatalf("%+v", s)
	}
	for name, want := range map[string]float64{
		"initial_loss": 8, "loss": 8. / 256, "loss_stderr": 0.8, "min_loss": 8. / 256, "min_loss_time": 8, "half_time": 1,
		"initial_test_loss": 26, "test_loss": 10, "min_test_loss": 1, "min_test_loss_stderr": 1, "min_test_loss_time": 5,
		"train_learned": 2, "kernel_movement": math.NaN(), "error": math.NaN(),
	} {
		if got := s[0].Value(name); math.Abs(got-want) > 1e-12 && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s = %g, want %g", name, got, want)
		}
	}
	// What never comes survives the manifest.
	flat := &highdim.Trajectory{Dimension: 40, Replicas: 1, Time: []float64{0, 1}, Loss: []float64{1, 0.1},
		TestLoss: []float64{1, 1}, LossStderr: []float64{0, 0}, TestLossStderr: []float64{0, 0},
		Status: dmft.Status{Code: dmft.Diverged, Step: 1, Quantity: "much"}}
	h := HighDimensional{Problem: &highdim.Problem{}, Fraction: 0.5, Sims: []*highdim.Trajectory{flat}}.Summaries()
	b, err := Encode(h)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(b)
	if err != nil || !reflect.DeepEqual(got, h) || !math.IsInf(got[0].Value("gap"), 1) ||
		!math.IsInf(got[0].Value("test_half_time"), 1) || !strings.Contains(got[0].Status, "diverged") ||
		got[0].Dimension != 40 {
		t.Errorf("%v\n%s\n%+v", err, b, got)
	}
	for _, v := range []float64{0, -1.5, 1e-300, math.Inf(1), math.Inf(-1)} {
		b, _ := json.Marshal(Number(v))
		var n Number
		if err := json.Unmarshal(b, &n); err != nil || float64(n) != v {
			t.Errorf("%g became %s and %g: %v", v, b, float64(n), err)
		}
	}
	for _, q := range Quantities { // standard errors are quantities, too
		if _, ok := FindQuantity(q.Stderr); q.Stderr != "" && !ok {
			t.Errorf("%s has no %s", q.Name, q.Stderr)
		}
	}
}

// product is a sweep over α ∈ {4, 1, 2} and γ ∈ {10, 0.1, 1, 100} and a key without numbers, with loss = α·γ, doubled
// by the second value of that.
func product() Grid {
	a, g := []float64{4, 1, 2}, []float64{10, 0.1, 1, 100}
	return Grid{
		Axes: []GridAxis{{"network.output_scale", []string{"4", "1", "2"}, a},
			{"network.activation", []string{"tanh", "relu"}, nil}, {"richness", []string{"10", "0.1", "1", "100"}, g}},
		What: []string{"theory", "N = 8"}, Time: "step",
		Value: func(i int, what, quantity string) float64 {
			v := a[i/8] * g[i%4] * float64(1+i/4%2)
			switch quantity {
			case "loss":
				if i == 5 {
					return math.NaN()
				}
				return v
			case "half_time":
				if i == 6 {
					return math.Inf(1)
				}
				return 1
			}
			return math.NaN()
		},
		Curves: func(i int, what string) (LossCurves, error) {
			return LossCurves{Time: []float64{0, 1}, Loss: []float64{1, float64(i + 1)}, Test: []float64{2, float64(i + 2)}}, nil
		},
	}
}

// TestHeatMaps: every value is where its keys are, in colours common to all panels, on logarithmic axes where the
// values are spaced so.
func TestHeatMaps(t *testing.T) {
	figs, err := SweepFigures(product(), []string{"loss", "half_time"})
	if err != nil || len(figs) != 4 {
		t.Fatalf("%v %v", err, figs)
	}
	f := figs[0]
	if f.Name != "heat-loss" || len(f.Panels) != 4 || f.Columns != 2 ||
		!strings.Contains(f.Title, "grey: stopped early or not there") || strings.Contains(f.Title, "never") {
		t.Fatalf("%s %d %s", f.Name, len(f.Panels), f.Title)
	}
	for k, title := range []string{"theory, φ = tanh", "N = 8, φ = tanh", "theory, φ = relu", "N = 8, φ = relu"} {
		p := f.Panels[k]
		if p.Title != title || p.X.Log || !p.Y.Log || !p.Heat.Log || p.X.Label != "output scale α" ||
			(p.Heat.Bar != "") != (k%2 == 1) {
			t.Errorf("panel %d: %+v", k, p)
		}
		if !reflect.DeepEqual(p.Heat.X, []float64{1, 2, 4}) ||
			!reflect.DeepEqual(p.Heat.Y, []float64{math.Log10(0.1), 0, 1, 2}) {
			t.Fatalf("%v %v", p.Heat.X, p.Heat.Y)
		}
		for j, y := range p.Heat.Y {
			for i, x := range p.Heat.X {
				want := math.Log10(x) + y + math.Log10(float64(1+k/2))
				got := p.Heat.Z[j][i]
				if k >= 2 && x == 4 && y < -0.5 { // point 5
					want = math.NaN()
				}
				if math.Abs(got-want) > 1e-12 || math.IsNaN(got) != math.IsNaN(want) {
					t.Errorf("panel %d at (%g, %g): %g, want %g", k, x, y, got, want)
				}
			}
		}
		if p.Heat.Min != f.Panels[0].Heat.Min || p.Heat.Max != f.Panels[0].Heat.Max ||
			math.Abs(p.Heat.Max-math.Log10(800)) > 1e-12 {
			t.Errorf("panel %d: from %g to %g", k, p.Heat.Min, p.Heat.Max)
		}
	}
	if h := figs[2]; h.Name != "heat-half_time" || !strings.Contains(h.Title, "grey: never") || h.Panels[0].Heat.Log {
		t.Errorf("%s %s", h.Name, h.Title)
	}
	for _, f := range figs {
		if _, err := f.Render("svg"); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

// TestAgainst: a quantity against the key with the most values, rising, a curve per value of another key.
func TestAgainst(t *testing.T) {
	figs, err := SweepFigures(product(), []string{"loss"})
	if err != nil {
		t.Fatal(err)
	}
	f := figs[1]
	if f.Name != "by-richness-loss" || len(f.Panels) != 2 || len(f.Panels[0].Series) != 6 ||
		!strings.Contains(f.Title, "lines: theory, points: N = 8") {
		t.Fatalf("%s %d", f.Name, len(f.Panels))
	}
	if n := f.Panels[0].Series[3]; n.Label != "" || n.Style != figure.Points ||
		n.Color != f.Panels[0].Series[2].Color || !reflect.DeepEqual(n.X, []float64{0.1, 1, 10, 100}) {
		t.Errorf("networks over the theory: %+v", n)
	}
	s := f.Panels[0].Series[2]
	if s.Label != "α = 1" || !reflect.DeepEqual(s.X, []float64{0.1, 1, 10, 100}) || !reflect.DeepEqual(s.Y, s.X) ||
		s.Style != figure.Line {
		t.Errorf("%+v", s)
	}
	// One key alone: a curve per trajectory, with error bars.
	g := Grid{Axes: []GridAxis{{"richness", []string{"1", "2", "3"}, []float64{1, 2, 3}}},
		What: []string{"theory", "N = 8", "N = 16", "N = 32"}, Time: "step",
		Value: func(i int, what, q string) float64 {
			return map[string]float64{"loss": float64(len(what) + i), "loss_stderr": 0.5}[q]
		},
		Curves: product().Curves}
	figs, err = SweepFigures(g, nil)
	var names []string
	for _, f := range figs {
		names = append(names, f.Name)
	}
	if err != nil || !reflect.DeepEqual(names, []string{"by-richness-loss", "by-richness-test_loss",
		"by-richness-classification_error", "by-richness-test_classification_error", "by-richness-kernel_movement",
		"by-richness-gap", "curves"}) {
		t.Fatalf("%v %v", err, names)
	}
	p := figs[0].Panels[0]
	if len(p.Series) != 3 || p.Series[2].Label != "N = 32" || !reflect.DeepEqual(p.Series[1].Lo, []float64{5, 6, 7}) ||
		p.X.Log {
		t.Errorf("%+v", p.Series)
	}
	c := figs[6]
	if len(c.Panels) != 2 || len(c.Panels[0].Series) != 6 ||
		!reflect.DeepEqual(c.Panels[0].Series[4].Y, []float64{1, 3}) ||
		!reflect.DeepEqual(c.Panels[1].Series[4].Y, []float64{2, 4}) {
		t.Errorf("%+v", c.Panels)
	}
	if n := c.Panels[0].Series[5]; n.Label != "" || n.Style != figure.Points || n.Color != c.Panels[0].Series[4].Color {
		t.Errorf("networks over the theory: %+v", n)
	}
}

// TestSweepMistakes: quantities that are not known or not there; curves that cannot be read; nothing to draw.
func TestSweepMistakes(t *testing.T) {
	if _, err := SweepFigures(product(), []string{"speed"}); err == nil ||
		!strings.Contains(err.Error(), "there are initial_loss, loss") {
		t.Error(err)
	}
	if _, err := SweepFigures(product(), []string{"gap"}); err == nil {
		t.Error("a quantity that is not there is drawn")
	}
	g := product()
	g.Axes = g.Axes[1:2]
	g.Curves = func(int, string) (LossCurves, error) { return LossCurves{}, errors.New("gone") }
	if _, err := SweepFigures(g, nil); err == nil || err.Error() != "gone" {
		t.Error(err)
	}
	for _, g := range []Grid{{}, {Axes: product().Axes}} {
		if figs, err := SweepFigures(g, nil); figs != nil || err != nil {
			t.Errorf("%v %v", figs, err)
		}
	}
}

// TestSpacedLog: which axes are logarithmic.
func TestSpacedLog(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want bool
	}{
		{[]float64{0.1, 1, 10}, true}, {[]float64{0.1, 0.3, 1, 3}, true},
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, false}, {[]float64{1, 2}, false}, {[]float64{0, 1, 100}, false},
		{[]float64{1, 1000}, true}, {[]float64{10, 0.01, 0.1, 1}, true}, {[]float64{-1, 10, 100}, false},
		{[]float64{1, 4, 16, 64, 256}, true},
	} {
		if got := spacedLog(c.x); got != c.want {
			t.Errorf("%v: %v", c.x, got)
		}
	}
	if got := fmt.Sprint(few(4, 10), few(8, 3), few(1, 5)); got != "[0 3 6 9] [0 1 2] [0]" {
		t.Error(got)
	}
}
