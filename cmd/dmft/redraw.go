package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

// load reads the trajectories of a complete folder: those that its manifest names.
func load(dir string, m *run.Manifest, r *report.Result) (err error) {
	read := func(name string) (*dmft.Trajectory, error) {
		t, err := run.ReadTrajectory(filepath.Join(dir, name))
		if err == nil { // what stopped early is no comparison, now as when it was computed
			t.Status, t.Diagnostics = m.Results[name].Status, m.Results[name].Diagnostics
		}
		return t, err
	}
	if _, ok := m.Results["theory.npz"]; ok {
		if r.Theory, err = read("theory.npz"); err != nil {
			return err
		}
	}
	const approximation = "theory-"
	for _, f := range m.Trajectories(approximation, false) {
		t, err := read(f)
		if err != nil {
			return err
		}
		r.Methods = append(r.Methods, report.Method{Name: strings.TrimSuffix(strings.TrimPrefix(f, approximation),
			".npz"), Trajectory: t})
	}
	for _, f := range m.Trajectories("simulation-N", true) {
		t, err := read(f)
		if err != nil {
			return err
		}
		r.Sims = append(r.Sims, t)
	}
	all := slices.Clone(r.Sims)
	if r.Theory != nil {
		all = append(all, r.Theory)
	}
	for _, x := range r.Methods {
		all = append(all, x.Trajectory)
	}
	if err := run.Together(all...); err != nil {
		return fmt.Errorf("run folder %s: %w", dir, err)
	}
	if _, ok := m.Results[run.FluctuationsName]; ok && r.Theory != nil {
		r.Fluctuations, err = run.ReadFluctuations(filepath.Join(dir, run.FluctuationsName))
	}
	return err
}

// figuresOf are the figures of results.
func (s *session) figuresOf(results []report.Result, e experiment.Experiment) []report.Named {
	figs := report.Figures(results)
	if s.mode == "grok" {
		if f, ok := report.GrokkingFigure(results, e.Grok.Fraction, e.Description); ok {
			figs = append(figs, f)
		}
	}
	return figs
}

// redraw draws the figures of a finished run, one run or several.
func redraw(c *cli.Context) error {
	dir, err := oneFile(c, "the DIR of a finished run")
	if err != nil {
		return err
	}
	if sweep.Is(dir) {
		return redrawSweep(c, dir)
	}
	if c.IsSet("quantity") {
		return usageError{errors.New("--quantity is for the folder of a sweep")}
	}
	m, err := run.ReadManifest(dir)
	if errors.Is(err, os.ErrNotExist) {
		return usageError{fmt.Errorf("%s holds no manifest.json: it is not a finished run", dir)}
	}
	if err != nil {
		return err
	}
	switch m.Kind {
	case "converge":
		return redrawConvergence(c, dir, m)
	case "transfer":
		return redrawTransfer(c, dir, m)
	}
	read := func(dir, label string, m *run.Manifest) (report.Result, error) {
		r := report.Result{Label: label}
		f, err := experiment.Parse(filepath.Join(dir, "manifest.json"), []byte(m.YAML))
		if err != nil {
			return r, err
		}
		e := f.Points()[0].Experiment
		r.Mean, r.Method, r.LossName, r.Flow = e.Training.Reduction == "mean", e.Theory.Method, e.Training.Loss,
			e.Method().IsFlow()
		if err := load(dir, m, &r); err != nil {
			return r, err
		}
		t := r.Theory
		if t == nil && len(r.Sims) > 0 {
			t = r.Sims[0]
		}
		if t != nil && !t.F.Empty() {
			r.Points = t.F.Shape[1]
			if !t.FTest.Empty() {
				r.TestPoints = t.FTest.Shape[1]
			}
		}
		if r.Theory != nil && len(r.Sims) > 0 && r.Theory.Steps() > 1 &&
			!slices.ContainsFunc(r.Sims, func(t *dmft.Trajectory) bool { return t.Steps() < 2 }) {
			r.Compare, err = compare.Distances(r.Theory, r.Sims) // what figures show
		}
		return r, err
	}
	if high, err := redrawHighDimensional(c, dir, m); high || err != nil {
		return err
	}
	var results []report.Result
	var points []experiment.Point
	var gaps []report.GapRow
	grok := m.Kind == "grok"
	source := m.YAML
	if len(m.Points) == 0 {
		r, err := read(dir, "", m)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	for _, p := range m.Points {
		sub := filepath.Join(dir, p.Folder)
		pm, err := run.ReadManifest(sub)
		if err != nil {
			return err
		}
		source = pm.YAML // a product has none of its own
		point, err := pointOf(sub, m.Swept, p, pm)
		if err != nil {
			return err
		}
		r, err := read(sub, point.Label, pm)
		if err != nil {
			return err
		}
		results, points = append(results, r), append(points, point)
		if grok {
			targets, err := testTargets(sub, pm)
			if err != nil {
				return err
			}
			gaps = append(gaps, r.Gaps(point.Experiment.Grok.Fraction, targets)...)
		}
	}
	return drawn(c, dir, len(results), func() ([]report.Named, error) {
		figs := report.Figures(results)
		if !grok {
			return figs, nil
		}
		f, err := experiment.Parse(filepath.Join(dir, "manifest.json"), []byte(source))
		if err != nil {
			return nil, err
		}
		e := f.Points()[0].Experiment
		if f, ok := report.GrokkingFigure(results, e.Grok.Fraction, e.Description); ok {
			figs = append(figs, f)
		}
		if len(points) > 0 {
			if d := phaseOfGaps(points, gaps); d != nil {
				figs = append(figs, report.PhaseFigure(*d))
			}
		}
		return figs, nil
	})
}
