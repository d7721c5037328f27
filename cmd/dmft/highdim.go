package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

// runHighDimensional runs every point of a file on high-dimensional data.
func (s *session) runHighDimensional(out string, f *experiment.File) error {
	points := f.Points()
	if err := s.checkHighDimensional(points); err != nil {
		return err
	}
	var results []report.HighDimensional
	outcomes, stopped, err := s.product(out, f)
	if err != nil || outcomes == nil {
		return err
	}
	for _, x := range outcomes {
		results = append(results, *x.high)
	}
	if len(outcomes) > 1 { // those of one point are in its own folder
		s.later(out, func() []report.Named { return highDimensionalFigures(points, results) })
	}
	d := phaseOf(f.Points(), results)
	if err := s.printHighDimensional(out, results, d); err != nil {
		return err
	}
	if stopped != nil {
		return stopped
	}
	var bad []string
	for _, r := range results {
		if r.Compare != nil && r.Compare.Verdict == compare.Disagree {
			bad = append(bad, strings.TrimPrefix(r.Label+": "+r.Compare.String(), ": "))
		}
	}
	return disagreements(bad, len(results))
}

// checkHighDimensional says what the theory of some point lacks.
func (s *session) checkHighDimensional(points []experiment.Point) error {
	for _, p := range points {
		if !s.sims {
			break
		}
		if err := followed(p.Experiment.Theory.Limit); err != nil {
			return err
		}
	}
	if !s.theory {
		return nil
	}
	for _, p := range points {
		if err := p.Experiment.HighDimensionalProblem().Validate(); err != nil {
			return usageError{fmt.Errorf("the theory needs a number of units and target.overlaps for each; without, "+
				"simulate follows random weights by simulation.method moments (%w)", err)}
		}
	}
	return nil
}

// followed says of a limit that networks on finitely many points do not follow what there is to do.
func followed(limit string) error {
	if limit == experiment.LimitPopulation || limit == experiment.LimitOnline {
		return usageError{fmt.Errorf("theory.limit is %s, which no networks on finitely many points follow; use dmft "+
			"solve, or the limit data or one-pass", limit)}
	}
	return nil
}

// highDimensionalPoint runs an experiment on high-dimensional data. A run that diverged has both a result and an error.
func (j *job) highDimensionalPoint() (*outcome, error) {
	e := &j.point.Experiment
	folder, err := j.open(sweep.Hash(j.kind, *e, ""))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	later := func(r *report.HighDimensional) {
		if j.alone {
			j.later(j.dir, func() []report.Named { return report.HighDimensionalFigures([]report.HighDimensional{*r}) })
		}
	}
	if folder.Complete {
		r, err := readHighDimensional(j.dir, j.point.Label, e)
		if err != nil {
			return nil, err
		}
		if undrawn(j.dir) {
			later(r)
		}
		return &outcome{high: r}, j.earlier()
	}
	r := &report.HighDimensional{Label: j.point.Label, Caption: e.Description, Problem: e.HighDimensionalProblem(),
		Fraction: e.Grok.Fraction}
	m := run.Manifest{Kind: j.mode, Name: e.Name, Command: j.command, Products: products(),
		Experiment: j.point.Experiment, YAML: string(e.YAML()), Results: map[string]run.Result{},
		Seeds: map[string]uint64{"theory": e.Theory.Seed, "simulation": e.Simulation.Seed}}
	if err := j.computeHighDimensional(folder, e, func(int) int { return e.Simulation.Seeds }, r, &m); err != nil {
		return nil, err
	}
	if err := compareHighDimensional(r, e); err != nil {
		return nil, err
	}
	if r.Compare != nil {
		m.Comparison = r.Compare
	}
	later(r)
	if err := finish(folder, m, r.Summaries()); err != nil {
		return nil, err
	}
	return &outcome{high: r}, statusError(m.Results)
}

func compareHighDimensional(r *report.HighDimensional, e *experiment.Experiment) (err error) {
	if r.Theory != nil && len(r.Sims) > 0 {
		r.Compare, err = highdim.Compare(r.Theory, r.Sims, compare.Options{Tolerance: e.Compare.Tolerance})
	}
	return err
}

// computeHighDimensional makes the trajectories that are missing in the folder.
func (j *job) computeHighDimensional(folder *run.Folder, e *experiment.Experiment, seeds func(dimension int) int,
	r *report.HighDimensional, m *run.Manifest) error {
	ctx := j.ctx
	one := func(what, file string, replicas dmft.ReplicaKind,
		solve func(dmft.Run) (*highdim.Trajectory, error)) (*highdim.Trajectory, error) {
		began := time.Now()
		settings := dmft.Run{Store: folder, Memory: j.memory, Workers: j.workers, Checkpoint: j.c.Duration("checkpoint")}
		var done func()
		settings.Progress, done = j.phase(what)
		t, err := solve(settings)
		done()
		if code := dmft.StopCode(err); t == nil || err != nil && (code == "" || code == dmft.Interrupted) {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		for _, n := range t.Diagnostics.Notes {
			j.show.Line("%s: %s", what, n)
		}
		d := t.Diagnostics
		m.Results[file] = run.Result{Status: t.Status, Replicas: t.Replicas, Seconds: time.Since(began).Seconds(),
			Diagnostics: dmft.Diagnostics{Rank: d.Directions, Dropped: d.Dropped, Steps: len(t.Time) - 1,
				Evaluations: d.Evaluations, MemoryBytes: d.MemoryBytes, Notes: d.Notes, Samples: t.Samples * t.Replicas}}
		return t, t.WriteNPZ(folder.Path(file), replicas)
	}
	var err error
	if j.theory {
		r.Theory, err = one("theory", "theory.npz", dmft.Blocks, func(settings dmft.Run) (*highdim.Trajectory, error) {
			return e.SolveHighDimensional(ctx, settings)
		})
		if err != nil {
			return err
		}
	}
	if !j.sims {
		return nil
	}
	for _, d := range slices.Sorted(slices.Values(e.Simulation.Dimensions)) {
		t, err := one(fmt.Sprintf("%d networks in %d dimensions", seeds(d), d), fmt.Sprintf("simulation-D%d.npz", d),
			dmft.Seeds, func(settings dmft.Run) (*highdim.Trajectory, error) {
				set := e.HighDimensionalSimulation(d, settings)
				set.Seeds = seeds(d)
				if e.Simulation.Method == "moments" {
					return highdim.SimulateMoments(ctx, r.Problem, set)
				}
				return highdim.Simulate(ctx, r.Problem, set)
			})
		if err != nil {
			return err
		}
		r.Sims = append(r.Sims, t)
	}
	if e.Simulation.Linearised {
		d := slices.Max(e.Simulation.Dimensions)
		r.Linearised, err = one(fmt.Sprintf("the linearised model in %d dimensions", d),
			fmt.Sprintf("linearised-D%d.npz", d), dmft.Seeds, func(settings dmft.Run) (*highdim.Trajectory, error) {
				set := e.HighDimensionalSimulation(d, settings)
				set.Linearised = true
				return highdim.SimulateMoments(ctx, r.Problem, set)
			})
	}
	return err
}

// readHighDimensional reads the trajectories of a complete folder.
func readHighDimensional(dir, label string, e *experiment.Experiment) (*report.HighDimensional, error) {
	r := &report.HighDimensional{Label: label, Caption: e.Description, Problem: e.HighDimensionalProblem(),
		Fraction: e.Grok.Fraction}
	m, err := run.ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	read := func(name string) (*highdim.Trajectory, error) {
		t, err := run.ReadHighDimensional(filepath.Join(dir, name))
		if err == nil {
			t.Status = m.Results[name].Status
		}
		return t, err
	}
	if _, ok := m.Results["theory.npz"]; ok {
		if r.Theory, err = read("theory.npz"); err != nil {
			return nil, err
		}
	}
	for _, f := range m.Trajectories("linearised-D", true) {
		if r.Linearised, err = read(f); err != nil {
			return nil, err
		}
	}
	for _, f := range m.Trajectories("simulation-D", true) {
		t, err := read(f)
		if err != nil {
			return nil, err
		}
		r.Sims = append(r.Sims, t)
	}
	return r, compareHighDimensional(r, e)
}

// highDimensionalFigures are the figures of a product: those of its points when they are few, and the phase diagram.
func highDimensionalFigures(points []experiment.Point, results []report.HighDimensional) []report.Named {
	figs := report.HighDimensionalFigures(results)
	if d := phaseOf(points, results); d != nil {
		figs = append(figs, report.PhaseFigure(*d))
	}
	return figs
}

// plane finds two swept keys whose values are numbers: the axes of a phase diagram.
func plane(points []experiment.Point) (x, y string, ok bool) {
	if len(points[0].Values) != 2 {
		return "", "", false
	}
	x, y = points[0].Values[0].Key, points[0].Values[1].Key
	if x == "data.ratio" { // data goes up
		x, y = y, x
	}
	for _, key := range []string{x, y} {
		seen := map[float64]bool{}
		for i := range points {
			v, number := points[i].Number(key)
			if !number {
				return "", "", false
			}
			seen[v] = true
		}
		if len(seen) < 2 {
			return "", "", false
		}
	}
	return x, y, true
}

// newPhase is the empty phase diagram of a file, or nil when it has no two axes.
func newPhase(points []experiment.Point) *report.PhaseDiagram {
	xkey, ykey, ok := plane(points)
	if !ok {
		return nil
	}
	var xs, ys []float64
	for i := range points {
		x, _ := points[i].Number(xkey)
		y, _ := points[i].Number(ykey)
		xs, ys = append(xs, x), append(ys, y)
	}
	e := points[0].Experiment
	d := report.NewPhaseDiagram(xkey, ykey, xs, ys, e.Grok.Fraction)
	d.Caption = e.Description
	return &d
}

// phaseOf is the phase diagram of results of a file with two lists, or nil.
func phaseOf(points []experiment.Point, results []report.HighDimensional) *report.PhaseDiagram {
	d := newPhase(points)
	if d == nil {
		return nil
	}
	for i, r := range results {
		for _, g := range r.Gaps() {
			x, _ := points[i].Number(d.XKey)
			y, _ := points[i].Number(d.YKey)
			d.Horizon = max(d.Horizon, g.Gap.Horizon)
			gap := g.Gap.Median
			if g.What == "theory" {
				gap = g.Gap.Mean
			}
			title := g.What
			if g.Dimension > 0 {
				if title += ", one network"; g.Replicas > 1 {
					title = fmt.Sprintf("%s, median of %d", g.What, g.Replicas)
				}
			}
			if g.Status != "" {
				continue // not a number
			}
			d.Set(title, g.Dimension, x, y, gap)
		}
	}
	if len(d.Maps) == 0 {
		return nil
	}
	base := points[0].Experiment
	epsilon, mix := highdim.Mix(base.Network.Activation)
	if mix && slices.ContainsFunc(points, func(p experiment.Point) bool {
		e, ok := highdim.Mix(p.Experiment.Network.Activation)
		return ok && e != 0
	}) {
		d.At = func(x, y float64) report.PhaseThreshold {
			t := report.PhaseThreshold{Ratio: base.Data.Ratio, Epsilon: epsilon}
			for _, v := range []struct {
				key   string
				value float64
			}{{d.XKey, x}, {d.YKey, y}} {
				switch v.key {
				case "data.ratio":
					t.Ratio = v.value
				case "network.activation":
					t.Epsilon = v.value
				}
			}
			return t
		}
	}
	return d
}

// phaseOfGaps is the phase diagram of gaps on fixed data of a file with two lists, or nil.
func phaseOfGaps(points []experiment.Point, gaps []report.GapRow) *report.PhaseDiagram {
	if len(gaps) == 0 {
		return nil
	}
	d := newPhase(points)
	if d == nil {
		return nil
	}
	at := map[string]int{}
	for i, p := range points {
		at[p.Label] = i
	}
	for _, g := range gaps {
		p := points[at[g.Label]]
		x, _ := p.Number(d.XKey)
		y, _ := p.Number(d.YKey)
		d.Horizon = max(d.Horizon, g.Gap.Horizon)
		if g.Status != "" {
			continue
		}
		gap := g.Gap.Median
		if g.What == "theory" {
			gap = g.Gap.Mean
		}
		d.Set(g.What, 0, x, y, gap)
	}
	if len(d.Maps) == 0 {
		return nil
	}
	return d
}

// fewRows is up to how many points each is worth lines of its own.
const fewRows = 12

// printHighDimensional shows the results.
func (s *session) printHighDimensional(out string, results []report.HighDimensional, d *report.PhaseDiagram) error {
	var rows []report.GapRow
	for _, r := range results {
		rows = append(rows, r.Gaps()...)
	}
	if s.json {
		doc := map[string]any{"out": out, "results": rows}
		if s.theory && s.sims {
			var reports []any
			for _, r := range results {
				reports = append(reports, map[string]any{"label": r.Label, "report": r.Compare})
			}
			doc["comparison"] = reports
		}
		if d != nil {
			doc["phase"] = d
		}
		return jsonx.Write(s.printed, doc)
	}
	if d == nil || len(results) <= fewRows {
		if err := report.GapTable(s.printed, rows); err != nil {
			return err
		}
		if s.theory && s.sims {
			fmt.Fprintln(s.printed)
			if err := report.HighDimensionalDistances(s.printed, results); err != nil {
				return err
			}
		}
	}
	if d != nil {
		if err := phaseTable(s, d); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(s.printed, "\nresults in %s\n", out)
	return err
}

// phaseTable prints a phase diagram, y upwards.
func phaseTable(s *session, d *report.PhaseDiagram) error {
	for _, m := range d.Maps {
		fmt.Fprintf(s.printed, "\ngrokking gap (dex), %s: %s across, %s up\n", m.Title, report.AxisName(d.XKey),
			report.AxisName(d.YKey))
		t := tabwriter.NewWriter(s.printed, 0, 4, 2, ' ', tabwriter.AlignRight)
		for j := len(d.Y) - 1; j >= 0; j-- {
			fmt.Fprintf(t, "%.4g", d.Y[j])
			for _, g := range m.Gap[j] {
				switch {
				case g.Never():
					fmt.Fprint(t, "\tnever")
				case g.Dex != g.Dex:
					fmt.Fprint(t, "\t–")
				default:
					fmt.Fprintf(t, "\t%.2f", g.Dex)
				}
			}
			fmt.Fprintln(t, "\t")
		}
		for _, x := range d.X {
			fmt.Fprintf(t, "\t%.4g", x)
		}
		fmt.Fprintln(t, "\t")
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// redrawHighDimensional draws the figures of a finished run on high-dimensional data; high says whether the run is one.
func redrawHighDimensional(c *cli.Context, dir string, m *run.Manifest) (high bool, err error) {
	entries := m.Points
	if len(entries) == 0 {
		entries = []run.PointEntry{{}}
	}
	var points []experiment.Point
	var results []report.HighDimensional
	for _, entry := range entries {
		sub, pm := filepath.Join(dir, entry.Folder), m
		if entry.Folder != "" {
			if pm, err = run.ReadManifest(sub); err != nil {
				return true, err
			}
		}
		p, err := pointOf(sub, m.Swept, entry, pm)
		if err != nil {
			return true, err
		}
		if !p.Experiment.HighDimensional() {
			return false, nil
		}
		r, err := readHighDimensional(sub, p.Label, &p.Experiment)
		if err != nil {
			return true, err
		}
		points, results = append(points, p), append(results, *r)
	}
	return true, drawn(c, dir, len(results), func() ([]report.Named,
		error) {
		return highDimensionalFigures(points, results), nil
	})
}

// pointOf is the point of a product over keys that a finished folder holds.
func pointOf(dir string, keys []string, entry run.PointEntry, m *run.Manifest) (p experiment.Point, err error) {
	f, err := experiment.Parse(filepath.Join(dir, "manifest.json"), []byte(m.YAML))
	if err != nil {
		return p, err
	}
	p = f.Points()[0]
	p.Values, p.Label = nil, ""
	// Of folders made before manifests said them: in the order of the file, which the folder's name has kept.
	if keys == nil {
		keys = slices.SortedFunc(maps.Keys(entry.Values),
			func(a, b string) int { return strings.Index(entry.Folder, a+"=") - strings.Index(entry.Folder, b+"=") })
	}
	for _, k := range keys {
		if v, ok := entry.Values[k]; ok {
			p.Values = append(p.Values, experiment.Swept{Key: k, Value: v})
		}
	}
	p.Label = experiment.Label(p.Values)
	return p, nil
}
