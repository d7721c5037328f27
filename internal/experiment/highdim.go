package experiment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// HighDimensional is the source of Gaussian data in infinitely many dimensions, the subject of package highdim.
const HighDimensional = "high-dimensional"

// HighDimensional says whether the experiment is one of package highdim.
func (e *Experiment) HighDimensional() bool { return e.Data.Source == HighDimensional }

var highDimensional = condition{[]string{"data.source"}, "with source high-dimensional", func(e *Experiment) string {
	if !e.HighDimensional() {
		return "it is for the source high-dimensional"
	}
	return ""
}}

var pointsOnly = condition{[]string{"data.source"}, "unless the source is high-dimensional", func(e *Experiment) string {
	if e.HighDimensional() {
		return "the source high-dimensional does not use it"
	}
	return ""
}}

var linkOnly = condition{[]string{"target.kind"}, "with kind link", func(e *Experiment) string {
	if e.Target.Kind != "link" {
		return "the kind " + e.Target.Kind + " has a link of its own"
	}
	return ""
}}

var readoutTrained = condition{[]string{"data.source", "network.readout"}, "unless network.readout is frozen", func(e *Experiment) string {
	if e.Network.Readout == "frozen" {
		return "the readout is frozen"
	}
	return ""
}}

var directionsOnly = condition{slices.Concat(deepOnly.on, []string{"data.source"}), deepOnly.doc + "; with source high-dimensional", func(e *Experiment) string {
	if e.HighDimensional() {
		return ""
	}
	return deepOnly.why(e)
}}

// directions are the overlaps of every unit with every direction.
func (t Target) directions() [][]float64 {
	var m [][]float64
	for i := 0; i+t.Directions <= len(t.Overlaps); i += t.Directions {
		m = append(m, t.Overlaps[i:i+t.Directions])
	}
	return m
}

// polynomial says whether an activation is a polynomial of at most the second degree.
func polynomial(a kernels.Activation) bool {
	switch a.Name {
	case kernels.IdentityName, kernels.QuadraticMixName:
		return true
	case kernels.PolynomialName:
		for k, c := range a.Coefficients {
			if k > 2 && c != 0 {
				return false
			}
		}
		return true
	}
	return false
}

var highDimensionalRules = []rule{
	{[]string{"converge.dimensions"}, func(e *Experiment) string { return rising("converge.dimensions", e.Converge.Dimensions) }},
	{[]string{"network.kind", "data.source"}, func(e *Experiment) string {
		if e.HighDimensional() && e.Network.Kind != "two-layer" {
			return fmt.Sprintf("network.kind is %s; high-dimensional data are for two-layer networks", e.Network.Kind)
		}
		return ""
	}},
	{[]string{"network.units", "simulation.method", "data.source"}, func(e *Experiment) string {
		if e.HighDimensional() && e.Network.Units == Infinite && e.Simulation.Method != "moments" {
			return "network.units is infinite, which only simulation.method moments can follow; give a number"
		}
		return ""
	}},
	{[]string{"target.overlaps", "network.units", "target.directions", "simulation.method", "data.source"}, func(e *Experiment) string {
		t, n := e.Target, e.Network.Units
		switch {
		case !e.HighDimensional():
		case len(t.Overlaps) == 0 && n != Infinite && e.Simulation.Method != "moments":
			return fmt.Sprintf("the key target.overlaps is missing: w_i(0)·β/D of the %d units, without which an even target is never found; about ±1/√D for random weights", n)
		case len(t.Overlaps) > 0 && n == Infinite:
			return "target.overlaps are for a number of units, and network.units is infinite"
		case len(t.Overlaps) > 0 && len(t.Overlaps) != n*t.Directions:
			return fmt.Sprintf("target.overlaps holds %d numbers; %d units and %d directions of the target need %d", len(t.Overlaps), n, t.Directions, n*t.Directions)
		case len(t.Overlaps) > 0:
			// Of everything else, something valid.
			p := highdim.Problem{Ratio: 1, Units: n, OutputScale: 1, Activation: kernels.Activation{Name: kernels.IdentityName}, Target: highdim.Target{Overlaps: t.directions()},
				Training: highdim.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 1}}}
			if err := p.Validate(); err != nil {
				return "target.overlaps: " + strings.TrimPrefix(err.Error(), "highdim: ")
			}
		}
		return ""
	}},
	{[]string{"target.weights", "target.directions", "data.source"}, func(e *Experiment) string {
		if n := len(e.Target.Weights); e.HighDimensional() && n > 0 && n != e.Target.Directions {
			return fmt.Sprintf("target.weights holds %d numbers for %d directions", n, e.Target.Directions)
		}
		return ""
	}},
	{[]string{"simulation.method", "network.activation", "network.readout", "target.kind", "target.activation", "training.optimizer", "data.source"}, func(e *Experiment) string {
		switch {
		case !e.HighDimensional() || e.Simulation.Method != "moments":
		case !polynomial(e.Network.Activation) || e.Target.Kind == "link" && !polynomial(e.Target.Activation):
			return "simulation.method is moments, which is for polynomials of the second degree as activation and target; use weights"
		case e.Network.Readout == "trained":
			return "simulation.method is moments, which is for a frozen readout; use weights"
		case e.Training.Optimizer != "gd":
			return fmt.Sprintf("simulation.method is moments, which is for the optimizer gd, not %s; use weights", e.Training.Optimizer)
		}
		return ""
	}},
	{[]string{"simulation.dimensions", "data.ratio", "network.units", "target.directions", "target.overlaps", "data.source"}, func(e *Experiment) string {
		if !e.HighDimensional() {
			return ""
		}
		least := e.Target.Directions
		if len(e.Target.Overlaps) > 0 {
			least += e.Network.Units
		}
		for i, d := range e.Simulation.Dimensions {
			switch {
			case slices.Contains(e.Simulation.Dimensions[:i], d):
				return fmt.Sprintf("simulation.dimensions lists a dimension twice: %d", d)
			case d < least:
				return fmt.Sprintf("simulation.dimensions holds %d; units and directions of the target with given overlaps need at least %d", d, least)
			case e.Data.Ratio*float64(d) < 0.5:
				return fmt.Sprintf("simulation.dimensions holds %d, which leaves no points at data.ratio %g", d, e.Data.Ratio)
			}
		}
		return ""
	}},
}

// HighDimensionalProblem is the problem of an experiment on high-dimensional data.
func (e *Experiment) HighDimensionalProblem() *highdim.Problem {
	t := e.Target
	p := &highdim.Problem{
		Ratio: e.Data.Ratio, Units: e.Network.Units, Activation: e.Network.Activation, OutputScale: e.Network.OutputScale,
		Target:   highdim.Target{Weights: t.Weights, Overlaps: t.directions(), Noise: t.Noise},
		Training: highdim.Training{Method: e.method(), Steps: e.Training.Steps, Batches: e.Training.BatchCount, Centred: e.Training.Centred},
	}
	if e.Network.Units == Infinite {
		p.Units = 0
	}
	if t.Kind == "link" {
		p.Target.Link = t.Activation
	}
	if e.Network.Readout == "trained" {
		p.Readout.Rate = e.Training.RateReadout
	}
	if t.Weights == nil && t.Directions > 1 { // they also say how many directions there are
		p.Target.Weights = slices.Repeat([]float64{1}, t.Directions)
	}
	return p
}

// HighDimensionalTheory are the settings of the theory.
func (e *Experiment) HighDimensionalTheory() highdim.Settings {
	t := e.Theory
	return highdim.Settings{Samples: t.Samples, Blocks: t.Blocks, Seed: t.Seed, Tolerance: t.Tolerance, Alignments: e.Record.Alignments}
}

// HighDimensionalSimulation are the settings of the networks in d dimensions.
func (e *Experiment) HighDimensionalSimulation(d int, run dmft.Run) highdim.Simulation {
	return highdim.Simulation{Dimension: d, Seeds: e.Simulation.Seeds, Seed: e.Simulation.Seed, Alignments: e.Record.Alignments, Run: run}
}

// Number is the value of a key that is a number, or an activation with one parameter such as the ε of quadratic-mix.
func (p *Point) Number(key string) (x float64, ok bool) {
	f := lookup(key)
	if f == nil {
		return 0, false
	}
	switch v := get(f.at(&p.Experiment)).(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case depth:
		return float64(v), v != Infinite
	case kernels.Activation:
		return v.Parameter, v.Name == kernels.QuadraticMixName || v.Name == kernels.LeakyReLUName
	}
	return 0, false
}
