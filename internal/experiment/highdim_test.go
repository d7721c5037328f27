package experiment

import (
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
	if p.Ratio != 4 || p.Units != 2 || p.OutputScale != 1 || p.Activation.Parameter != 0.5 || p.Readout.Rate != 0 || p.Training.Steps != 250 || p.Training.Method.LearningRate != 0.2 ||
		!reflect.DeepEqual(p.Target.Overlaps, [][]float64{{0.3}, {-0.25}}) || p.Target.Link.Name != "" {
		t.Errorf("%+v", p)
	}
	if e.Grok.Fraction != 0.5 || e.Theory.Samples != 32768 || e.Training.Loss != "" || e.Richness != 0 || e.Simulation.Widths != nil {
		t.Errorf("%+v", e)
	}
	if s := one(t, strings.Replace(design, "samples: 32768, ", "", 1)); s.Theory.Samples != 32768 || s.Hash() != e.Hash() {
		t.Errorf("%d samples by default", s.Theory.Samples)
	}
	r := strings.NewReplacer("readout: frozen", "readout: trained", "{kind: half-square, overlaps: [0.3, -0.25]}", "{kind: link, activation: tanh, directions: 2, weights: [1, 0.5], overlaps: [0.3, 0, 0, 0.2], noise: 0.1}",
		"centred: false", "centred: true, batch: {count: 4}, rates: {readout: 0.5}")
	e = one(t, r.Replace(design))
	p = e.HighDimensionalProblem()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if p.Readout.Rate != 0.5 || p.Target.Link.Name != "tanh" || !reflect.DeepEqual(p.Target.Overlaps, [][]float64{{0.3, 0}, {0, 0.2}}) || p.Target.Noise != 0.1 || p.Training.Batches != 4 || !p.Training.Centred {
		t.Errorf("%+v", p)
	}
	e = one(t, strings.NewReplacer("units: 2", "units: infinite", ", overlaps: [0.3, -0.25]", "", "seeds: 20", "method: moments").Replace(design))
	if p := e.HighDimensionalProblem(); p.Units != 0 || p.Target.Overlaps != nil {
		t.Errorf("%+v", p)
	}
}

// TestSpread: a list in the short form of an activation is a list of activations, and points know their numbers.
func TestSpread(t *testing.T) {
	f, err := Parse("x.yaml", []byte(strings.NewReplacer("{quadratic-mix: 0.5}", "{quadratic-mix: [0.5, 0.25]}", "ratio: 4", "ratio: [3, 4]").Replace(design)))
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
	for _, bad := range []string{"{quadratic-mix: []}", "{quadratic-mix: [0.5, 0.5]}", "{quadratic-mix: [0.5, x]}", "{quadratic-mix: [[0.5]]}"} {
		if _, err := Parse("x.yaml", []byte(strings.Replace(design, "{quadratic-mix: 0.5}", bad, 1))); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
