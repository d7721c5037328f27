// Package standard draws the figures of trajectories that the command draws: losses, predictions' errors against width,
// kernels over time, samples and layers, preactivations, spectra, and those of high-dimensional data; each when the
// trajectories hold what it shows.
//
//	figures, err := standard.Figures(standard.Comparison{Problem: p, Theory: theory, Networks: networks})
//	files, err := standard.Save("figures", figures)
//
// What a figure is made of, package figure draws; a figure may be changed before it is saved.
package standard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/figure"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/internal/report"
)

// Figure is a figure with the base name of its files, such as loss.
type Figure struct {
	Name string
	figure.Figure
}

// Most is how many comparisons figures show side by side.
const Most = 6

var _ = [1]int{}[Most-report.MaxPanels] // the same number

// Comparison is one column of the figures: the theory of a problem, finite networks on it, or both.
type Comparison struct {
	Title    string // above the column; "" is none
	Problem  *dmft.Problem
	Theory   *dmft.Trajectory   // or nil
	Method   dmft.Approximation // of the theory; "" is Full
	Networks []*dmft.Trajectory // an ensemble of every width
}

// Figures draws comparisons side by side, at most [Most] of them.
func Figures(c ...Comparison) ([]Figure, error) {
	if len(c) > Most {
		return nil, fmt.Errorf("standard: %d comparisons side by side; a figure has room for %d", len(c), Most)
	}
	var results []report.Result
	for i, x := range c {
		if x.Problem == nil {
			return nil, fmt.Errorf("standard: comparison %d has no problem, which says what its axes are", i+1)
		}
		if x.Theory == nil && len(x.Networks) == 0 || slices.Contains(x.Networks, nil) {
			return nil, fmt.Errorf("standard: comparison %d has no trajectory, or one that is nil", i+1)
		}
		t := x.Problem.Training
		r := report.Result{Title: x.Title, Theory: x.Theory, Sims: slices.Clone(x.Networks), Method: string(x.Method),
			Mean: t.Loss.Mean, LossName: t.Loss.String(), Flow: t.Method.IsFlow()}
		slices.SortStableFunc(r.Sims, func(a, b *dmft.Trajectory) int { return a.Width - b.Width })
		if x.Theory != nil && len(x.Networks) > 0 && x.Theory.Steps() > 1 {
			var err error
			if r.Compare, err = compare.Distances(x.Theory, r.Sims); err != nil {
				return nil, fmt.Errorf("standard: comparison %d: %w", i+1, err)
			}
		}
		results = append(results, r)
	}
	return named(report.Figures(results)), nil
}

// HighDimensional is one column of figures of high-dimensional data: the theory of a problem, simulations of it, or
// both.
type HighDimensional struct {
	Title       string // above the column; "" is none
	Problem     *highdim.Problem
	Fraction    float64               // of the initial losses at which the grokking gap is taken; 0 is ½
	Theory      *highdim.Trajectory   // or nil
	Simulations []*highdim.Trajectory // an ensemble in every dimension
}

// HighDimensionalFigures draws results of high-dimensional data side by side, at most [Most] of them.
func HighDimensionalFigures(h ...HighDimensional) ([]Figure, error) {
	if len(h) > Most {
		return nil, fmt.Errorf("standard: %d results side by side; a figure has room for %d", len(h), Most)
	}
	var results []report.HighDimensional
	for i, x := range h {
		if x.Problem == nil {
			return nil, fmt.Errorf("standard: result %d has no problem", i+1)
		}
		if x.Theory == nil && len(x.Simulations) == 0 || slices.Contains(x.Simulations, nil) {
			return nil, fmt.Errorf("standard: result %d has no trajectory, or one that is nil", i+1)
		}
		r := report.HighDimensional{Title: x.Title, Problem: x.Problem, Fraction: x.Fraction, Theory: x.Theory,
			Sims: slices.Clone(x.Simulations)}
		if r.Fraction == 0 {
			r.Fraction = 0.5
		}
		slices.SortStableFunc(r.Sims, func(a, b *highdim.Trajectory) int { return a.Dimension - b.Dimension })
		if x.Theory != nil && len(x.Simulations) > 0 {
			var err error
			if r.Compare, err = highdim.Compare(x.Theory, r.Sims, compare.Options{}); err != nil {
				return nil, fmt.Errorf("standard: result %d: %w", i+1, err)
			}
		}
		results = append(results, r)
	}
	return named(report.HighDimensionalFigures(results)), nil
}

func named(list []report.Named) []Figure {
	var out []Figure
	for _, f := range list {
		out = append(out, Figure{f.Name, f.Figure})
	}
	return out
}

// Save draws figures into a folder, which it makes, in the formats named (png, svg, pdf; all of them when none is), and
// returns the names of the files. It draws as many as it can.
func Save(dir string, figures []Figure, formats ...string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("standard: %w", err)
	}
	var files []string
	var failed error
	for _, f := range figures {
		names, err := f.Save(filepath.Join(dir, f.Name), formats...)
		files, failed = append(files, names...), errors.Join(failed, err)
	}
	return files, failed
}
