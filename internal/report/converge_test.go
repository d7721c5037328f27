package report

import (
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft/compare"
)

// TestConvergence: texts say what tests say, all ladders together; the figure can be drawn.
func TestConvergence(t *testing.T) {
	fit := func(p, half, expected float64, resolved bool) compare.Fit {
		return compare.Fit{Rate: compare.Rate{Exponent: p, Lo: p - half, Hi: p + half, Amplitude: 1, Expected: expected,
			Resolved: resolved}, Next: p, NextLo: p - 2*half, NextHi: p + 2*half, P: 0.4}
	}
	ladder := func(name string, p float64) Ladder {
		c := &compare.Convergences{Confidence: 0.95, Significance: 0.01,
			Observables: []compare.Convergence{{Name: "f", Scale: 1, TheoryErr: 1e-3,
				Error: fit(-0.49, 0.03, -0.5, true), Bias: fit(-1, 0.1, -1, name == ""),
				Limit: compare.Limit{Distance: 0.002, Noise: 0.003, Upper: 0.008, P: p},
				Points: []compare.Point{{Size: 16, Replicas: 9, Error: 0.25, ErrorStderr: 0.01, Mean: 0.06, Noise: 0.01,
					MeanUpper: 0.07, Bias: 0.06, BiasStderr: 0.01},
					{Size: 64, Replicas: 9, Error: 0.125, ErrorStderr: 0.01, Mean: 0, MeanUpper: 0.02, Noise: 0.01,
						Bias: -0.01, BiasStderr: 0.01}}}}}
		c.Judge()
		return Ladder{Name: name, Convergences: c}
	}
	text := func(c Convergence) string {
		var b strings.Builder
		c.Judge()
		if err := ConvergenceTable(&b, []Convergence{c}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	good := Convergence{Size: "N", Confidence: 0.95, Significance: 0.01, Ladders: []Ladder{ladder("", 0.6)}}
	s := text(good)
	for _, want := range []string{"fluctuation exponent −0.49 ± 0.03, with the next order −0.49 ± 0.06; expected " +
		"−1/2: consistent", "< 0.02", "agree: differences above 0.008 of f would have been seen, relative"} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
	// Of one ladder a p of 0.004 would be too small for two tests; among eight it is not.
	if s := text(Convergence{Size: "N", Significance: 0.01,
		Ladders: []Ladder{ladder("L = 2", 0.004)}}); !strings.Contains(s, "DISAGREE: L = 2, f at N → ∞ is 0.002 from "+
		"the theory, of which sampling errors explain 0.003 (p = 0.008)") || !strings.Contains(s, "NOT consistent") {
		t.Errorf("a small p passes\n%s", s)
	}
	many := Convergence{Size: "N", Significance: 0.01,
		Ladders: []Ladder{ladder("L = 2", 0.004), ladder("L = 4", 0.5), ladder("L = 8", 0.5), ladder("L = 16", 0.5)}}
	if s := text(many); strings.Contains(s, "NOT consistent") || !strings.Contains(s, "agree:") {
		t.Errorf("one small p of eight tests rejects\n%s", s)
	}
	bad := good
	bad.Ladders = []Ladder{ladder("", 0.6)}
	bad.Ladders[0].Diverged = []int{128}
	if s := text(bad); !strings.Contains(s, "DISAGREE: networks of N = 128 diverge") {
		t.Errorf("a divergence passes\n%s", s)
	}
	f, ok := ConvergenceFigure([]Convergence{good, many})
	if !ok || len(f.Panels) != 5 {
		t.Fatalf("%d panels", len(f.Panels))
	}
	if _, err := f.Render("svg"); err != nil {
		t.Error(err)
	}
}
