package experiment

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed39b58f2d/dmft/dmft"
)

// TransferPanel is what dmft transfer shows side by side: one hyperparameter at several sizes, all else equal.
type TransferPanel struct {
	Values []Swept // of the other lists of the file
	Over   string  // width or depth
	Width  int     // of the networks whose depth varies
	Sizes  []int   // rising
	// At is the experiment at each size, whatever the hyperparameter; Limit that of infinite size.
	At    []Experiment
	Limit Experiment
	Grid  []float64 // values listed in the file, rising, or nil
}

// Label names a panel by what other lists of the file say.
func (p TransferPanel) Label() string {
	v := p.Values
	if p.Over == "depth" && p.Width > 0 {
		v = append(slices.Clone(v), Swept{"width", fmt.Sprint(p.Width)})
	}
	return Label(v)
}

// ParameterKey is the key of the hyperparameter of section transfer.
func (t Transfer) ParameterKey() string {
	return map[string]string{LearningRate: "training.learning_rate", RichnessKey: "richness",
		BranchBeta: "network.branch.beta"}[t.Parameter]
}

// parameter is where the hyperparameter is.
func (e *Experiment) parameter() *float64 {
	switch e.Transfer.Parameter {
	case RichnessKey:
		return &e.Richness
	case BranchBeta:
		return &e.Network.Beta
	}
	return &e.Training.LearningRate
}

// Hyperparameter is the value in the file of what section transfer varies.
func (e Experiment) Hyperparameter() float64 { return *e.parameter() }

// WithHyperparameter is the experiment at another value of it.
func (e Experiment) WithHyperparameter(v float64) Experiment {
	*e.parameter() = v
	return e
}

// TransferPanels sorts the product of the lists of a file: a list of the hyperparameter is the grid, one of
// network.depth makes curves of several depths (or else simulation.widths makes them of widths), and what remains makes
// panels.
func (f *File) TransferPanels() ([]TransferPanel, error) {
	first := f.points[0].Experiment
	t := first.Transfer
	switch {
	case first.HighDimensional():
		return nil, errors.New("transfer compares networks of several widths or depths, and high-dimensional data " +
			"has neither; give points, such as source: digits")
	case t.Parameter == LearningRate && first.Method().IsFlow():
		return nil, errors.New("training.optimizer is flow, which has no learning rate; use gd, or another " +
			"transfer.parameter")
	}
	depths := false
	for _, v := range f.points[0].Values {
		depths = depths || v.Key == "network.depth"
	}
	var panels []TransferPanel
	at := map[string]int{}
	for _, p := range f.points {
		e := p.Experiment
		var rest []Swept
		for _, v := range p.Values {
			if v.Key != t.ParameterKey() && v.Key != "network.depth" {
				rest = append(rest, v)
			}
		}
		widths := []int{0}
		if depths {
			widths = e.Simulation.Widths
		}
		for _, w := range widths {
			key := fmt.Sprint(Label(rest), "|", w)
			i, ok := at[key]
			if !ok {
				i = len(panels)
				at[key] = i
				n := TransferPanel{Values: rest, Over: "width", Limit: e}
				if depths {
					if n.Over = "depth"; len(widths) > 1 {
						n.Width = w
					}
				} else {
					n.Sizes = slices.Sorted(slices.Values(e.Simulation.Widths))
					for range n.Sizes {
						n.At = append(n.At, e)
					}
				}
				panels = append(panels, n)
			}
			n := &panels[i]
			if slices.ContainsFunc(p.Values, func(v Swept) bool { return v.Key == t.ParameterKey() }) &&
				!slices.Contains(n.Grid, e.Hyperparameter()) {
				n.Grid = append(n.Grid, e.Hyperparameter())
			}
			if depths {
				switch {
				case e.Network.Depth == Infinite:
					n.Limit = e
				case !slices.Contains(n.Sizes, e.Network.Depth):
					e.Simulation.Widths = []int{w}
					n.Sizes, n.At = append(n.Sizes, e.Network.Depth), append(n.At, e)
				}
			}
		}
	}
	for i := range panels {
		n := &panels[i]
		slices.Sort(n.Grid)
		slices.Sort(n.Sizes)
		slices.SortFunc(n.At, func(a, b Experiment) int { return a.Network.Depth - b.Network.Depth })
		switch {
		case len(n.Sizes) < 2:
			return nil, errors.New("transfer compares several sizes: list two or more simulation.widths, or depths " +
				"in network.depth such as [2, 4, 8]")
		case len(n.Grid) > 0 && len(n.Grid) < 3:
			return nil, fmt.Errorf("%s lists %d values; an optimum needs at least 3 (or one, and an automatic grid)",
				t.ParameterKey(), len(n.Grid))
		case len(n.Grid) > 0 && t.Low > 0:
			return nil, fmt.Errorf("the grid is given twice, by the list of %s and by transfer.low and high; leave "+
				"out one", t.ParameterKey())
		case n.Grid != nil && !(n.Grid[0] > 0), n.Grid == nil && !(n.At[0].Hyperparameter() > 0):
			return nil, fmt.Errorf("%s must be positive, since optima are looked for in its logarithm", t.ParameterKey())
		}
	}
	return panels, nil
}

// LimitProblem is the problem of infinite size that the networks of a panel approach, at their own branch scale, and
// how it is solved. why says, where there is none, why not.
func (p TransferPanel) LimitProblem(of *dmft.Problem) (q *dmft.Problem, method dmft.Approximation, name, why string) {
	e := p.Limit
	v := *of
	if v.Network.Kind == dmft.ResNet {
		v.Network.Branch = v.Network.Branch.WithExponent(e.Simulation.Exponent, e.Simulation.BaseDepth)
	}
	method, name = dmft.Approximation(e.Theory.Method), "N = ∞"
	if method != dmft.Full {
		name += ", " + string(method)
	}
	switch e.Simulation.Parametrization {
	case string(dmft.StandardParametrization):
		return nil, "", "", "in the standard parametrisation the NTK grows ∝ N: at a fixed learning rate there is no " +
			"limit, and the best one falls as 1/N"
	case string(dmft.NTKParametrization):
		method, name = dmft.Lazy, "N = ∞, static NTK"
	}
	if p.Over != "depth" {
		return &v, method, name, ""
	}
	b := v.Network.Branch
	switch {
	case v.Network.Kind != dmft.ResNet:
		return nil, "", "", "an MLP has no limit of infinite depth; a resnet with exponent 0.5 or more has"
	case b.Exponent < 0.5:
		return nil, "", "", fmt.Sprintf("with branches ∝ L^(−%g) networks grow without bound with their depth: there "+
			"is no limit of infinite depth, which exponent 0.5 has", b.Exponent)
	case b.Rate > 2*b.Exponent-1:
		return nil, "", "", fmt.Sprintf("with branch.rate %g what branches learn grows without bound with depth; use "+
			"at most 2·exponent − 1 = %g", b.Rate, 2*b.Exponent-1)
	}
	v.Network.Depth = dmft.InfiniteDepth
	return &v, method, strings.Replace(name, "N = ∞", "N, L = ∞", 1), ""
}

// TransferHash identifies what dmft transfer computes from panels.
func TransferHash(panels []TransferPanel) string {
	var all []string
	for _, p := range panels {
		t := p.Limit.Transfer
		t.Tolerance = 0
		b, err := json.Marshal(t)
		if err != nil {
			panic(err)
		}
		all = append(all, string(b), fmt.Sprint(p.Over, p.Width, p.Sizes, p.Grid), p.Limit.Hash())
		for _, e := range p.At {
			all = append(all, e.Hash())
		}
	}
	return HashOf(all)
}
