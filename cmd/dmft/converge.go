package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

const (
	kernelTimes = 5    // at which comparisons keep the NTK of every replica
	mostSeeds   = 1024 // networks of one width
)

// runConverge runs every point of a file.
func (s *session) runConverge(out string, f *experiment.File) error {
	points := f.Points()
	var results []report.Convergence
	outcomes, stopped, err := s.product(out, f)
	for _, x := range outcomes {
		if x.converge != nil {
			results = append(results, *x.converge)
		}
	}
	if len(outcomes) > 1 { // those of one point are in its own folder
		s.later(out, func() []report.Named { return convergenceFigures(results) })
	}
	if err != nil || outcomes == nil || len(results) == 0 {
		return errors.Join(err, stopped)
	}
	if s.json {
		if err := jsonx.Write(s.printed, map[string]any{"out": out, "convergence": results}); err != nil {
			return err
		}
	} else {
		if err := report.ConvergenceTable(s.printed, results); err != nil {
			return err
		}
		fmt.Fprintf(s.printed, "\nresults in %s\n", out)
	}
	if stopped != nil {
		return stopped
	}
	var bad []string
	for _, r := range results {
		if r.Verdict == compare.Disagree {
			v := r.String()
			if r.Label != "" {
				v = r.Label + ": " + v
			}
			bad = append(bad, v)
		}
	}
	return disagreements(bad, len(points))
}

func convergenceFigures(results []report.Convergence) []report.Named {
	if f, ok := report.ConvergenceFigure(results); ok && len(results) <= 6 {
		return []report.Named{{Name: "converge", Figure: f}}
	}
	return nil
}

// storedConvergence is the convergence that the manifest of a finished run holds.
func storedConvergence(m *run.Manifest, label string) (*report.Convergence, error) {
	b, err := jsonx.Marshal(m.Comparison)
	if err != nil {
		return nil, err
	}
	r := &report.Convergence{}
	if err := json.Unmarshal(b, r); err != nil || len(r.Ladders) == 0 {
		return nil, errors.Join(errors.New("the manifest of the run holds no ladders"), err)
	}
	r.Label = label
	if r.Verdict == "" { // of a run before there were verdicts
		r.Judge()
	}
	return r, nil
}

// prefixed keeps the parts of several runs apart in one folder.
type prefixed struct {
	dmft.Store
	prefix string
}

func (p prefixed) Load(name string) ([]byte, bool, error) { return p.Store.Load(p.prefix + name) }
func (p prefixed) Save(name string, write func(io.Writer) error) error {
	return p.Store.Save(p.prefix+name, write)
}

// convergePoint runs the ladders of one experiment in its folder.
func (j *job) convergePoint() (*outcome, error) {
	e, data := j.point.Experiment, ""
	l := &ladders{job: j, e: e}
	var compute func() (*report.Convergence, error)
	if e.HighDimensional() {
		if n := len(e.Converge.Dimensions); n < 3 {
			return nil, usageError{fmt.Errorf("converge needs three dimensions or more, and converge.dimensions "+
				"holds %d; rates and a limit cannot be told from fewer", n)}
		}
		if err := followed(e.Theory.Limit); err != nil {
			return nil, err
		}
		if err := e.HighDimensionalProblem().Validate(); err != nil {
			return nil, usageError{fmt.Errorf("the theory needs a number of units and target.overlaps for each (%w)", err)}
		}
		compute = l.highDimensional
	} else {
		if n := len(e.Converge.Widths); n < 3 {
			return nil, usageError{fmt.Errorf("converge needs three widths or more, and converge.widths holds %d; "+
				"rates and a limit cannot be told from fewer", n)}
		}
		if n := len(e.Converge.Depths); e.Network.Depth == experiment.Infinite && n < 3 {
			return nil, usageError{fmt.Errorf("converge needs three depths or more, and converge.depths holds %d", n)}
		}
		set, hash, err := j.sets.load(e, j.base)
		if err != nil {
			return nil, err
		}
		data, l.notes = hash, set.Notes
		if l.problem, err = e.Problem(set); err != nil {
			return nil, usageError{err}
		}
		if err := l.problem.Validate(); err != nil {
			return nil, usageError{err}
		}
		compute = func() (*report.Convergence, error) { return l.run(set) }
	}
	folder, err := j.open(sweep.Hash(j.kind, e, data))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	later := func(r *report.Convergence) {
		if j.alone {
			j.later(j.dir, func() []report.Named { return convergenceFigures([]report.Convergence{*r}) })
		}
	}
	if folder.Complete {
		m, err := run.ReadManifest(j.dir)
		if err != nil {
			return nil, err
		}
		r, err := storedConvergence(m, j.point.Label)
		if err != nil {
			return nil, err
		}
		if undrawn(j.dir) {
			later(r)
		}
		return &outcome{converge: r}, nil
	}
	l.folder = folder
	l.manifest = run.Manifest{Kind: j.mode, Name: e.Name, Command: j.command, Products: products(), Experiment: e,
		YAML: string(e.YAML()), Results: map[string]run.Result{}, DataNotes: l.notes,
		Seeds: map[string]uint64{"data": e.Data.Seed, "theory": e.Theory.Seed, "simulation": e.Simulation.Seed,
			"batch": e.Training.BatchSeed}}
	r, err := compute()
	switch stop := dmft.StopCode(err); {
	case stop != "" && stop != dmft.Interrupted && stop != dmft.MemoryLimit: // a divergence: other points still count
		return &outcome{}, err
	case err != nil:
		return nil, err
	}
	r.Label = j.point.Label
	l.manifest.Comparison = r
	later(r)
	return &outcome{converge: r}, folder.Finish(l.manifest)
}

// ladders computes the ladders of one experiment.
type ladders struct {
	*job
	folder   *run.Folder
	e        experiment.Experiment
	problem  *dmft.Problem
	manifest run.Manifest
	notes    []string // on data files
}

// one computes one trajectory of the run and keeps it. One that diverged is returned with its error.
func (l *ladders) one(what, file string, replicas dmft.ReplicaKind, prefix string, flops float64, bytes int64,
	compute func(dmft.Run) (*dmft.Trajectory, error)) (*dmft.Trajectory, error) {
	l.announce(what, bytes, flops)
	began := time.Now()
	r := dmft.Run{Store: prefixed{l.folder, prefix}, Memory: l.memory, Workers: l.workers,
		Checkpoint: l.c.Duration("checkpoint")}
	var done func()
	r.Progress, done = l.show.Phase(what)
	t, err := compute(r)
	done()
	if t == nil || dmft.StopCode(err) == dmft.Interrupted {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	for _, n := range t.Diagnostics.Notes {
		l.show.Line("%s: %s", what, n)
	}
	l.manifest.Results[file] = run.Result{Status: t.Status, Width: t.Width, Replicas: t.Replicas,
		Seconds: time.Since(began).Seconds(), Diagnostics: t.Diagnostics}
	if w := t.WriteNPZ(l.folder.Path(file), replicas); w != nil {
		return nil, w
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return t, err
}

// solve solves the theory.
func (l *ladders) solve(p *dmft.Problem, what, file, prefix string, change func(*dmft.Settings)) (*dmft.Trajectory,
	error) {
	set := l.e.TheorySettings()
	set.Record.NTKReplicas = kernelTimes
	change(&set)
	bytes, err := dmft.Estimate(p, set)
	if err != nil {
		return nil, err
	}
	return l.one(what, file, dmft.Blocks, prefix, dmft.Flops(p, set), bytes, func(r dmft.Run) (*dmft.Trajectory, error) {
		r.Record = set.Record
		set.Run = r
		return dmft.Solve(l.ctx, p, set)
	})
}

// run computes everything and judges it.
func (l *ladders) run(set *data.Set) (*report.Convergence, error) {
	e, c := l.e, l.e.Converge
	if err := l.keepData(l.folder, set); err != nil {
		return nil, err
	}
	l.manifest.Data = l.dataFile
	opt := compare.Options{Confidence: c.Confidence, Significance: c.Significance}
	r := &report.Convergence{Size: "N", Significance: c.Significance, Confidence: c.Confidence}
	theory, err := l.solve(l.problem, "theory", "theory.npz", "", func(*dmft.Settings) {})
	if err != nil {
		return nil, err
	}
	if len(c.Samples) > 0 && theory.Replicas < 2 {
		return nil, usageError{errors.New("the theory has one block alone and so no error bar; raise theory.samples " +
			"or theory.blocks")}
	}
	if e.Network.Depth != experiment.Infinite {
		if err := l.widths(r, theory, l.problem, 0, opt); err != nil {
			return nil, err
		}
	} else {
		var solved []*dmft.Trajectory
		for _, depth := range c.Depths {
			q := *l.problem
			q.Network.Depth = depth
			// As many blocks at every depth as the limit has, with noise of their own: depths share it, the limit does
			// not.
			t, err := l.solve(&q, fmt.Sprintf("theory of depth %d", depth), fmt.Sprintf("theory-L%d.npz", depth),
				fmt.Sprintf("L%d-", depth), func(s *dmft.Settings) {
					s.Depths, s.Error, s.Seed = nil, 0, s.Seed+1
					if theory.Replicas > 1 {
						s.Samples, s.Blocks = theory.Width*theory.Replicas, theory.Replicas
					}
				})
			if err != nil {
				return nil, err
			}
			solved = append(solved, t)
			if err := l.widths(r, t, &q, depth, opt); err != nil {
				return nil, err
			}
		}
		obs, err := compare.TheoryObservables(l.problem, theory, solved)
		if err != nil {
			return nil, err
		}
		// The error of the NTK's extrapolation is not known.
		obs = slices.DeleteFunc(obs, func(o compare.Observable) bool { return o.Name == "ntk" })
		order := 1.
		if q := 2*e.Network.Exponent - 1; q > 0 && q < 1 {
			order = q
		}
		d, err := compare.Depths(c.Depths, obs, order, opt)
		if err != nil {
			return nil, err
		}
		r.Ladders = append(r.Ladders, report.Ladder{Name: "theory in depth", Depth: true, Convergences: d})
	}
	if err := l.samples(r, theory, opt); err != nil {
		return nil, err
	}
	r.Judge()
	return r, nil
}

// widths trains networks of every width on p, of a depth if that is a ladder, too, and compares them with a theory.
func (l *ladders) widths(r *report.Convergence, theory *dmft.Trajectory, p *dmft.Problem, depth int,
	opt compare.Options) error {
	e, widths := l.e, l.e.Converge.Widths
	name, suffix, prefix := "", "", ""
	if depth > 0 {
		name, suffix, prefix = fmt.Sprintf("L = %d", depth), fmt.Sprintf("-L%d", depth), fmt.Sprintf("L%d-", depth)
		e.Simulation.Depth = depth
	}
	var sims []*dmft.Trajectory
	var used, diverged []int
	for _, n := range widths {
		networks, err := e.SimulationProblem(l.problem, n)
		if err != nil {
			return usageError{err}
		}
		set := e.SimulationSettings(n)
		set.Seeds = seedsOf(e.Converge.Seeds, n, widths[len(widths)-1])
		set.Seed += uint64(depth) << 32 // networks of different depths share no weights
		set.Record.NTKReplicas = kernelTimes
		what := fmt.Sprintf("%d networks of width %d", set.Seeds, n)
		if depth > 0 {
			what += fmt.Sprintf(" and depth %d", depth)
		}
		t, err := l.one(what, fmt.Sprintf("simulation-N%d%s.npz", n, suffix), dmft.Seeds, prefix,
			finite.Flops(networks, set), finite.Estimate(networks, set), func(run dmft.Run) (*dmft.Trajectory, error) {
				run.Record = set.Record
				set.Run = run
				return finite.Train(l.ctx, networks, set)
			})
		switch {
		case t != nil && err != nil && !theory.Status.Early():
			l.show.Line("%v", err)
			diverged = append(diverged, n)
			continue
		case err != nil:
			return err
		}
		sims, used = append(sims, t), append(used, n)
	}
	c := &compare.Convergences{Significance: opt.Significance, Confidence: opt.Confidence}
	if len(sims) >= 3 {
		obs, err := compare.Observables(p, theory, sims)
		if err != nil {
			return err
		}
		if c, err = compare.Converge(used, obs, opt); err != nil {
			return err
		}
	} else {
		r.Notes = append(r.Notes, fmt.Sprintf("too few widths are left for rates: networks of width %v diverged", diverged))
	}
	c.Diverged = diverged
	r.Ladders = append(r.Ladders, report.Ladder{Name: name, Convergences: c})
	return nil
}

// seedsOf is how many networks of a size there are, seeds of the largest: the same number of neurons at every size, for
// bias is largest and noise dearest where networks are small.
func seedsOf(seeds, n, largest int) int {
	return max(min(int(math.Round(float64(seeds)*float64(largest)/float64(n))), max(mostSeeds, seeds)), 2)
}

// samples solves the theory with fewer samples.
func (l *ladders) samples(r *report.Convergence, theory *dmft.Trajectory, opt compare.Options) error {
	var solved []*dmft.Trajectory
	var counts []int
	last := theory.Width * theory.Replicas
	for i, n := range l.e.Converge.Samples {
		t, err := l.solve(l.problem, fmt.Sprintf("theory with %d samples", n), fmt.Sprintf("theory-S%d.npz", n),
			fmt.Sprintf("S%d-", n), func(s *dmft.Settings) {
				s.Samples, s.Error, s.Seed = n, 0, s.Seed+100+uint64(i)
				s.Record.NTKReplicas = 0
			})
		if err != nil {
			return err
		}
		got := t.Width * t.Replicas
		if t.Replicas < 2 || got >= last || len(counts) > 0 && got <= counts[len(counts)-1] {
			r.Notes = append(r.Notes, fmt.Sprintf("%d samples of the theory make %d blocks of %d sites, which say "+
				"nothing new; they are left out of the ladder", n, t.Replicas, t.Width))
			continue
		}
		solved, counts = append(solved, t), append(counts, got)
	}
	if len(solved) == 0 {
		return nil
	}
	obs, err := compare.TheoryObservables(l.problem, theory, solved)
	if err != nil {
		return err
	}
	r.Samples, err = compare.Samples(append(counts, last), "f", append(obs[0].Ensembles, obs[0].Limit), opt)
	return err
}

// highDimensional computes the ladder of dimensions of an experiment on high-dimensional data: train and test loss of
// networks on δD points.
func (l *ladders) highDimensional() (*report.Convergence, error) {
	e, c := &l.e, l.e.Converge
	res := &report.HighDimensional{Problem: e.HighDimensionalProblem()}
	all := *e
	all.Simulation.Dimensions = c.Dimensions
	largest := c.Dimensions[len(c.Dimensions)-1]
	seeds := func(d int) int { return seedsOf(c.Seeds, d, largest) }
	if err := l.computeHighDimensional(l.folder, &all, seeds, res, &l.manifest); err != nil {
		return nil, err
	}
	r := &report.Convergence{Size: "D", Significance: c.Significance, Confidence: c.Confidence}
	if res.Theory.Status.Early() {
		return nil, fmt.Errorf("theory: %w", res.Theory.Status.Err())
	}
	conv := &compare.Convergences{Size: "D", Significance: c.Significance, Confidence: c.Confidence}
	var sims []*highdim.Trajectory
	var used, diverged []int
	for _, t := range res.Sims {
		if t.Status.Early() {
			diverged = append(diverged, t.Dimension)
			continue
		}
		sims, used = append(sims, t), append(used, t.Dimension)
	}
	if len(sims) >= 3 {
		obs, err := highdim.Observables(res.Theory, sims)
		if err != nil {
			return nil, err
		}
		if conv, err = compare.Converge(used, obs, compare.Options{Confidence: c.Confidence,
			Significance: c.Significance, Size: "D"}); err != nil {
			return nil, err
		}
	} else {
		r.Notes = append(r.Notes, fmt.Sprintf("too few dimensions are left for rates: networks in %v diverged", diverged))
	}
	conv.Diverged = diverged
	r.Ladders = []report.Ladder{{Convergences: conv}}
	r.Judge()
	return r, nil
}

// redrawConvergence draws the figures of a finished run of converge again.
func redrawConvergence(c *cli.Context, dir string, m *run.Manifest) error {
	var results []report.Convergence
	add := func(m *run.Manifest, label string) error {
		r, err := storedConvergence(m, label)
		if err == nil {
			results = append(results, *r)
		}
		return err
	}
	if len(m.Points) == 0 {
		if err := add(m, ""); err != nil {
			return err
		}
	}
	for _, p := range m.Points {
		pm, err := run.ReadManifest(filepath.Join(dir, p.Folder))
		if err != nil {
			return err
		}
		point, err := pointOf(filepath.Join(dir, p.Folder), m.Swept, p, pm)
		if err != nil {
			return err
		}
		if err := add(pm, point.Label); err != nil {
			return err
		}
	}
	return drawn(c, dir, len(results), func() ([]report.Named, error) { return convergenceFigures(results), nil })
}
