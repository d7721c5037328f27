package experiment

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// HighDimensional is the source of Gaussian data in infinitely many dimensions, the subject of package highdim.
const HighDimensional = "high-dimensional"

// The limits of theory.limit.
const (
	LimitData       = "data"
	LimitPopulation = "population"
	LimitOnePass    = "one-pass"
	LimitOnline     = "online"
)

// HighDimensional says whether the experiment is one of package highdim.
func (e *Experiment) HighDimensional() bool { return e.Data.Source == HighDimensional }

var highDimensional = condition{[]string{"data.source"}, "with source high-dimensional", func(e *Experiment) string {
	if !e.HighDimensional() {
		return "it is for the source high-dimensional"
	}
	return ""
}}

var pointsOnly = condition{[]string{"data.source"}, "unless the source is high-dimensional",
	func(e *Experiment) string {
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

var readoutTrained = condition{[]string{"data.source", "network.readout"}, "unless network.readout is frozen",
	func(e *Experiment) string {
		if e.Network.Readout == "frozen" {
			return "the readout is frozen"
		}
		return ""
	}}

var directionsOnly = condition{slices.Concat(deepOnly.on, []string{"data.source"}),
	deepOnly.doc + "; with source high-dimensional", func(e *Experiment) string {
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

// start are the overlaps and the Gram matrix of n units at the start: those of target.overlaps and nil, or mixed with
// the target.
func (t Target) start(n int) ([][]float64, *mat.SymDense) {
	m, c := t.directions(), t.Informed
	if c == 0 || len(m) != n {
		return m, nil
	}
	gram := mat.NewSymDense(n, nil)
	for i := range n {
		for j := range i + 1 {
			g := c*c + c*(1-c)*(m[i][0]+m[j][0])
			if i == j {
				g += (1 - c) * (1 - c)
			}
			gram.SetSym(i, j, g)
		}
	}
	out := make([][]float64, n)
	for i, row := range m {
		for k, x := range row {
			x *= 1 - c
			if k == 0 {
				x += c
			}
			out[i] = append(out[i], x)
		}
	}
	return out, gram
}

var highDimensionalRules = []rule{
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
	{[]string{"target.overlaps", "network.units", "target.directions", "simulation.method", "data.source"},
		func(e *Experiment) string {
			t, n := e.Target, e.Network.Units
			switch {
			case !e.HighDimensional():
			case len(t.Overlaps) == 0 && n != Infinite && e.Simulation.Method != "moments":
				return fmt.Sprintf("the key target.overlaps is missing: w_i(0)·β/D of the %d units, without which an "+
					"even target is never found; about ±1/√D for random weights", n)
			case len(t.Overlaps) > 0 && n == Infinite:
				return "target.overlaps are for a number of units, and network.units is infinite"
			case len(t.Overlaps) > 0 && len(t.Overlaps) != n*t.Directions:
				return fmt.Sprintf("target.overlaps holds %d numbers; %d units and %d directions of the target need %d",
					len(t.Overlaps), n, t.Directions, n*t.Directions)
			case len(t.Overlaps) > 0:
				// Of everything else, something valid.
				m, gram := t.start(n)
				p := highdim.Problem{Ratio: 1, Units: n, OutputScale: 1,
					Activation: kernels.Activation{Name: kernels.IdentityName}, Target: highdim.Target{Overlaps: m}, Gram: gram,
					Training: highdim.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 1}}}
				if err := p.Validate(); err != nil {
					return "target.overlaps: " + strings.TrimPrefix(err.Error(), "highdim: ")
				}
			}
			return ""
		}},
	{[]string{"target.informed", "target.overlaps", "data.source"}, func(e *Experiment) string {
		if e.HighDimensional() && e.Target.Informed > 0 && len(e.Target.Overlaps) == 0 {
			return "target.informed needs target.overlaps, of the weights that it mixes with the target; about ±1/√D " +
				"for random ones"
		}
		return ""
	}},
	{[]string{"theory.limit", "training.optimizer", "simulation.method", "data.source"}, func(e *Experiment) string {
		switch l := e.Theory.Limit; {
		case !e.HighDimensional():
		case l == LimitOnePass && e.Training.Optimizer == flow:
			return "theory.limit is one-pass, which takes steps, and training.optimizer is flow; use population"
		case l == LimitOnline && !e.plain():
			return fmt.Sprintf("theory.limit is online, which is for the optimizer gd, not %s", e.Training.Optimizer)
		case l == LimitOnePass && e.Simulation.Method == "moments":
			return "theory.limit is one-pass, and simulation.method moments follows points that are used again; use weights"
		}
		return ""
	}},
	{[]string{"simulation.linearised", "simulation.method", "training.weight_decay", "data.source"},
		func(e *Experiment) string {
			switch {
			case !e.HighDimensional() || !e.Simulation.Linearised:
			case e.Simulation.Method != "moments":
				return "simulation.linearised is for simulation.method moments"
			case e.Training.WeightDecay != 0:
				return "simulation.linearised is for weight_decay 0: decay moves the weights away from the start"
			}
			return ""
		}},
	{[]string{"record.responses", "theory.limit", "training.optimizer", "training.batch.count", "network.readout",
		"data.source"}, func(e *Experiment) string {
		if e.HighDimensional() && e.Record.Responses &&
			(e.Theory.Limit != LimitData || !e.plain() || e.Training.BatchCount > 1 || e.Network.Readout == "trained") {
			return "record.responses is for theory.limit data, the optimizer gd, one batch and a frozen readout"
		}
		return ""
	}},
	{[]string{"target.weights", "target.directions", "data.source"}, func(e *Experiment) string {
		if n := len(e.Target.Weights); e.HighDimensional() && n > 0 && n != e.Target.Directions {
			return fmt.Sprintf("target.weights holds %d numbers for %d directions", n, e.Target.Directions)
		}
		return ""
	}},
	{[]string{"simulation.method", "network.activation", "network.readout", "target.kind", "target.activation",
		"training.optimizer", "data.source"}, func(e *Experiment) string {
		switch {
		case !e.HighDimensional() || e.Simulation.Method != "moments":
		case !e.Network.Activation.Quadratic() || e.Target.Kind == "link" && !e.Target.Activation.Quadratic():
			return "simulation.method is moments, which is for polynomials of the second degree as activation and " +
				"target; use weights"
		case e.Network.Readout == "trained":
			return "simulation.method is moments, which is for a frozen readout; use weights"
		case !e.plain():
			return fmt.Sprintf("simulation.method is moments, which is for the optimizer gd, not %s; use weights",
				e.Training.Optimizer)
		}
		return ""
	}},
	{[]string{"simulation.dimensions", "data.ratio", "network.units", "target.directions", "target.overlaps",
		"data.source"}, func(e *Experiment) string {
		if !e.HighDimensional() {
			return ""
		}
		for i, d := range e.Simulation.Dimensions {
			switch {
			case slices.Contains(e.Simulation.Dimensions[:i], d):
				return fmt.Sprintf("simulation.dimensions lists a dimension twice: %d", d)
			}
			if why := e.dimensionWhy(d); why != "" {
				return fmt.Sprintf("simulation.dimensions holds %d%s", d, why)
			}
		}
		return ""
	}},
	{[]string{"converge.dimensions", "data.ratio", "network.units", "target.directions", "target.overlaps",
		"data.source"}, func(e *Experiment) string {
		if !e.HighDimensional() {
			return ""
		}
		for _, d := range e.Converge.Dimensions {
			if why := e.dimensionWhy(d); why != "" {
				return fmt.Sprintf("converge.dimensions holds %d%s", d, why)
			}
		}
		return rising("converge.dimensions", e.Converge.Dimensions)
	}},
}

// dimensionWhy says why networks cannot be trained on data in d dimensions, or "".
func (e *Experiment) dimensionWhy(d int) string {
	least := e.Target.Directions
	if len(e.Target.Overlaps) > 0 {
		least += e.Network.Units
	}
	switch {
	case d < least:
		return fmt.Sprintf("; units and directions of the target with given overlaps need at least %d", least)
	case e.Data.Ratio*float64(d) < 0.5:
		return fmt.Sprintf(", which leaves no points at data.ratio %g", e.Data.Ratio)
	}
	return ""
}

// HighDimensionalProblem is the problem of an experiment on high-dimensional data.
func (e *Experiment) HighDimensionalProblem() *highdim.Problem {
	t := e.Target
	overlaps, gram := t.start(e.Network.Units)
	p := &highdim.Problem{
		Ratio: e.Data.Ratio, Units: e.Network.Units, Activation: e.Network.Activation, OutputScale: e.Network.OutputScale,
		Target: highdim.Target{Weights: t.Weights, Overlaps: overlaps, Noise: t.Noise},
		Gram:   gram,
		Training: highdim.Training{Method: e.Method(), Steps: e.Training.Steps, Batches: e.Training.BatchCount,
			Centred: e.Training.Centred},
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
	return highdim.Settings{Samples: t.Samples, Blocks: t.Blocks, Seed: t.Seed, Tolerance: t.Tolerance,
		Alignments: e.Record.Alignments, Responses: e.Record.Responses}
}

// SolveHighDimensional solves the theory of the limit that theory.limit names.
func (e *Experiment) SolveHighDimensional(ctx context.Context, run dmft.Run) (*highdim.Trajectory, error) {
	p, s := e.HighDimensionalProblem(), e.HighDimensionalTheory()
	s.Run = run
	batch := e.Data.Ratio / float64(max(e.Training.BatchCount, 1))
	switch e.Theory.Limit {
	case LimitPopulation:
		return highdim.Population(ctx, p, s)
	case LimitOnePass:
		return highdim.OnePass(ctx, p, batch, s)
	case LimitOnline:
		return highdim.Online(ctx, p, batch, s)
	}
	return highdim.Solve(ctx, p, s)
}

// HighDimensionalSimulation are the settings of the networks in d dimensions.
func (e *Experiment) HighDimensionalSimulation(d int, run dmft.Run) highdim.Simulation {
	return highdim.Simulation{Dimension: d, Seeds: e.Simulation.Seeds, Seed: e.Simulation.Seed,
		Alignments: e.Record.Alignments, Fresh: e.Theory.Limit == LimitOnePass, Run: run}
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
		b := kernels.Describe(v.Name)
		return v.Parameter, b.Parameter.Key != "" && !b.Parameter.Many
	}
	return 0, false
}
