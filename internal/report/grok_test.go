package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

func highDimensionalResult(t *testing.T) HighDimensional {
	t.Helper()
	r := HighDimensional{Label: "network.activation={name: quadratic-mix, epsilon: 0.5}, network.output_scale=1",
		Caption: "a caption.", Fraction: 0.5,
		Problem: &highdim.Problem{Ratio: 4, Units: 2, OutputScale: 1,
			Activation: kernels.Activation{Name: kernels.QuadraticMixName, Parameter: 0.5},
			Target:     highdim.Target{Overlaps: [][]float64{{0.3}, {-0.25}}},
			Training:   highdim.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.2}, Steps: 30}}}
	var err error
	if r.Theory, err = highdim.Solve(t.Context(), r.Problem, highdim.Settings{Samples: 2048, Alignments: 3}); err != nil {
		t.Fatal(err)
	}
	for _, d := range []int{10, 20} {
		s, err := highdim.Simulate(t.Context(), r.Problem, highdim.Simulation{Dimension: d, Seeds: 3, Alignments: 3})
		if err != nil {
			t.Fatal(err)
		}
		r.Sims = append(r.Sims, s)
	}
	if r.Compare, err = highdim.Compare(r.Theory, r.Sims, compare.Options{Tolerance: 1}); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestHighDimensionalFigures: every figure is drawn, for theory and simulations together and for each alone, and the
// tables name them.
func TestHighDimensionalFigures(t *testing.T) {
	r := highDimensionalResult(t)
	if got := r.title(); got != "ε = 0.5, α = 1" {
		t.Errorf("title %q", got)
	}
	if got := (HighDimensional{Label: "theory.limit=one-pass, target.informed=0.5"}).title(); got != "fresh points, c = 0.5" {
		t.Errorf("title %q", got)
	}
	theory, sims := r, r
	theory.Sims, theory.Compare = nil, nil
	sims.Theory, sims.Compare = nil, nil
	for name, results := range map[string][]HighDimensional{"both": {r, r}, "theory": {theory}, "sims": {sims}} {
		figs := HighDimensionalFigures(results)
		want := 5
		if name == "both" {
			want = 6
		}
		if len(figs) != want {
			t.Errorf("%s: %d figures", name, len(figs))
		}
		for _, f := range figs {
			if !strings.HasSuffix(f.Caption, "a caption.") {
				t.Errorf("%s %s: caption %q", name, f.Name, f.Caption)
			}
			if _, err := f.Render("svg"); err != nil {
				t.Errorf("%s %s: %v", name, f.Name, err)
			}
		}
	}
	var b bytes.Buffer
	if err := GapTable(&b, r.Gaps()); err != nil || strings.Count(b.String(), "\n") != 5 ||
		!strings.Contains(b.String(), "D = 20") {
		t.Errorf("%v\n%s", err, b.String())
	}
	b.Reset()
	if err := HighDimensionalDistances(&b, []HighDimensional{r}); err != nil ||
		!strings.Contains(b.String(), "undecided: nothing is rejected") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestPhaseFigure: never and diverged points, thresholds where they are, JSON.
func TestPhaseFigure(t *testing.T) {
	d := NewPhaseDiagram("network.activation", "data.ratio", []float64{1, 0.5, 1, 0.5}, []float64{0.5, 0.5, 200, 200}, 0.5)
	d.At = func(x, y float64) PhaseThreshold { return PhaseThreshold{Ratio: y, Epsilon: x} }
	never := highdim.Gap{Train: 1, Test: math.Inf(1), Dex: math.Inf(1)}
	d.Set("theory", 0, 1, 0.5, never)
	d.Set("theory", 0, 0.5, 200, highdim.Gap{Train: 1, Test: 10, Dex: 1})
	d.Set("D = 100", 100, 0.5, 200, highdim.Gap{Train: 1, Test: 100, Dex: 2})
	f := PhaseFigure(d)
	if len(f.Panels) != 2 || f.Panels[0].Heat.Z[1][0] != 1 || !math.IsNaN(f.Panels[0].Heat.Z[0][1]) {
		t.Errorf("%+v", f.Panels[0].Heat)
	}
	labels := ""
	for _, s := range f.Panels[1].Series {
		labels += s.Label + ";"
		if strings.Contains(s.Label, "kernel") {
			for i, x := range s.X { // P/D = D/2ε²
				if want := 50 / (x * x); math.Abs(s.Y[i]/want-1) > 0.05 {
					t.Errorf("kernel regression at ε = %g from δ = %g, want %g", x, s.Y[i], want)
				}
			}
		}
	}
	if !strings.Contains(labels, "kernel regression") || !strings.Contains(labels, "feature learning") ||
		!strings.Contains(labels, "diverged") {
		t.Errorf("marks %s", labels)
	}
	if _, err := f.Render("svg"); err != nil {
		t.Error(err)
	}
	if b, err := json.Marshal(d); err != nil || !strings.Contains(string(b), `"never"`) {
		t.Errorf("%s %v", b, err)
	}
}
