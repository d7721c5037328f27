package experiment

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
)

const design = `
data: {source: high-dimensional, ratio: 4}                    # δ = P/D; simulations add the dimension
network: {kind: two-layer, units: 2, activation: {quadratic-mix: 0.5}, output_scale: 1.0, readout: frozen}   # ε, α
target: {kind: half-square, overlaps: [0.3, -0.25]}           # y = ½(β·x)², m_i(0)
training: {optimizer: gd, learning_rate: 0.2, steps: 250, centred: false}     # η₀
theory: {samples: 32768, seed: 1}
simulation: {dimensions: [100, 400], seeds: 20, seed: 1}      # results in simulation-D<dimension>.npz
`

// TestHighDimensional: the experiment becomes the problem it describes.
func TestHighDimensional(t *testing.T) {
	e := one(t, design)
	p := e.HighDimensionalProblem()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if p.Ratio != 4 || p.Units != 2 || p.OutputScale != 1 || p.Activation.Parameter != 0.5 || p.Readout.Rate != 0 ||
		p.Training.Steps != 250 || p.Training.Method.LearningRate != 0.2 ||
		!reflect.DeepEqual(p.Target.Overlaps, [][]float64{{0.3}, {-0.25}}) || p.Target.Link.Name != "" {
		t.Errorf("%+v", p)
	}
	if e.Grok.Fraction != 0.5 || e.Theory.Samples != 32768 || e.Training.Loss != "" || e.Richness != 0 ||
		e.Simulation.Widths != nil {
		t.Errorf("%+v", e)
	}
	if s := one(t, strings.Replace(design, "samples: 32768, ", "", 1)); s.Theory.Samples != 32768 || s.Hash() != e.Hash() {
		t.Errorf("%d samples by default", s.Theory.Samples)
	}
	r := strings.NewReplacer("readout: frozen", "readout: trained", "{kind: half-square, overlaps: [0.3, -0.25]}",
		"{kind: link, activation: tanh, directions: 2, weights: [1, 0.5], overlaps: [0.3, 0, 0, 0.2], noise: 0.1}",
		"centred: false", "centred: true, batch: {count: 4}, rates: {readout: 0.5}")
	e = one(t, r.Replace(design))
	p = e.HighDimensionalProblem()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if p.Readout.Rate != 0.5 || p.Target.Link.Name != "tanh" ||
		!reflect.DeepEqual(p.Target.Overlaps, [][]float64{{0.3, 0}, {0, 0.2}}) || p.Target.Noise != 0.1 ||
		p.Training.Batches != 4 || !p.Training.Centred {
		t.Errorf("%+v", p)
	}
	e = one(t, strings.NewReplacer("units: 2", "units: infinite", ", overlaps: [0.3, -0.25]", "", "seeds: 20",
		"method: moments").Replace(design))
	if p := e.HighDimensionalProblem(); p.Units != 0 || p.Target.Overlaps != nil {
		t.Errorf("%+v", p)
	}
}

// TestSpread: a list in the short form of an activation is a list of activations, and points know their numbers.
func TestSpread(t *testing.T) {
	f, err := Parse("x.yaml", []byte(strings.NewReplacer("{quadratic-mix: 0.5}", "{quadratic-mix: [0.5, 0.25]}",
		"ratio: 4", "ratio: [3, 4]").Replace(design)))
	if err != nil {
		t.Fatal(err)
	}
	var eps, ratio []float64
	for i := range f.Points() {
		p := &f.Points()[i]
		x, ok := p.Number("network.activation")
		y, also := p.Number("data.ratio")
		if _, not := p.Number("network.readout"); !ok || !also || not {
			t.Errorf("%s: %v %v %v", p.Label, ok, also, not)
		}
		eps, ratio = append(eps, x), append(ratio, y)
	}
	if !reflect.DeepEqual(eps, []float64{0.5, 0.25, 0.5, 0.25}) || !reflect.DeepEqual(ratio, []float64{3, 3, 4, 4}) {
		t.Errorf("%v %v", eps, ratio)
	}
	for _, bad := range []string{"{quadratic-mix: []}", "{quadratic-mix: [0.5, 0.5]}", "{quadratic-mix: [0.5, x]}",
		"{quadratic-mix: [[0.5]]}"} {
		if _, err := Parse("x.yaml", []byte(strings.Replace(design, "{quadratic-mix: 0.5}", bad, 1))); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// TestInformed: overlaps and Gram matrix of w_i = cβ₁ + (1 − c)v_i, from vectors with the overlaps of the file and a
// Gram matrix of one.
func TestInformed(t *testing.T) {
	for _, c := range []float64{0, 0.3, 1} {
		e := one(t, strings.Replace(design, "{kind: half-square, overlaps: [0.3, -0.25]}",
			fmt.Sprintf("{kind: link, activation: tanh, directions: 2, overlaps: [0.3, 0.1, -0.25, 0.2], informed: %g}", c), 1))
		p := e.HighDimensionalProblem()
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		m := [][]float64{{0.3, 0.1}, {-0.25, 0.2}}
		// Coordinates along β₁, β₂, and what completes the units: |v_i| = 1, v_1·v_2 = 0.
		a := math.Sqrt(1 - 0.09 - 0.01)
		b := -(0.3*-0.25 + 0.1*0.2) / a
		w := [][]float64{{0.3, 0.1, a, 0}, {-0.25, 0.2, b, math.Sqrt(1 - 0.0625 - 0.04 - b*b)}}
		for i := range w {
			for k := range w[i] {
				w[i][k] *= 1 - c
			}
			w[i][0] += c
			for k := range m[i] {
				if d := p.Target.Overlaps[i][k] - w[i][k]; math.Abs(d) > 1e-14 {
					t.Errorf("c = %g: overlap %d, %d is off by %g", c, i, k, d)
				}
			}
		}
		for i := range w {
			for j := range w {
				want, got := 0., 1.
				for k, x := range w[i] {
					want += x * w[j][k]
				}
				if i != j {
					got = 0
				}
				if p.Gram != nil {
					got = p.Gram.At(i, j)
				}
				if math.Abs(got-want) > 1e-14 {
					t.Errorf("c = %g: Gram matrix %d, %d is %g, want %g", c, i, j, got, want)
				}
			}
		}
	}
	for file, want := range map[string]string{
		strings.Replace(design, "overlaps: [0.3, -0.25]", "informed: 0.5", 1) +
			"\n": "target.overlaps",
		strings.Replace(design, "overlaps: [0.3, -0.25]", "overlaps: [0.3, -0.25], informed: 1.5",
			1): "target.informed",
		strings.Replace(design, "samples: 32768", "limit: online, samples: 32768", 1) +
			"record: {responses: true}\n": "record.responses is for",
		strings.NewReplacer("samples: 32768", "limit: one-pass, samples: 32768", "optimizer: gd",
			"optimizer: flow").Replace(design): "theory.limit is one-pass, which takes steps",
		strings.NewReplacer("samples: 32768", "limit: online, samples: 32768", "optimizer: gd",
			"optimizer: momentum, momentum: 0.5").Replace(design): "theory.limit is online",
		strings.NewReplacer("samples: 32768", "limit: one-pass, samples: 32768", "seeds: 20",
			"seeds: 20, method: moments").Replace(design): "theory.limit is one-pass, and simulation.method moments",
	} {
		if _, err := Parse("x.yaml", []byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
