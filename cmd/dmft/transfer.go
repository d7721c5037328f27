package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/transfer"
	"github.com/seed39b58f2d/dmft/internal/executor"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
)

// transferName is the file of a study in its run folder.
const transferName = "transfer.json"

// transferFile runs the command transfer.
func transferFile(c *cli.Context) error {
	path, err := oneFile(c, "an experiment FILE")
	if err != nil {
		return err
	}
	f, err := experiment.Read(path)
	if err != nil {
		return err
	}
	panels, err := f.TransferPanels()
	if err != nil {
		return usageError{err}
	}
	s, err := newSession(c, true, true, filepath.Dir(path))
	if err != nil {
		return err
	}
	e := panels[0].Limit
	out := c.String("out")
	if s.named = out == ""; s.named {
		out = e.Name + "-transfer"
	}
	t := transfers{session: s, hash: []string{"transfer", experiment.TransferHash(panels)}}
	for _, p := range panels {
		if err := t.add(p); err != nil {
			return err
		}
	}
	claim := run.Claim{Name: e.Name, Hash: experiment.HashOf(t.hash), Keys: f.Keys()}
	claim.Keys[commandKey] = "transfer"
	folder, err := s.claim(out, claim, s.named)
	if err != nil {
		return err
	}
	defer folder.Close()
	var study transfer.Study
	defer s.drawFigures()
	figures := func() []report.Named { return []report.Named{report.TransferFigure(study, e.Description)} }
	if folder.Complete {
		s.progress.Line("already complete in %s (--force computes it again)", out)
		if study, err = readStudy(out); err != nil {
			return err
		}
		study.Conclude(e.Transfer.Tolerance)
		if undrawn(out) {
			s.later(out, figures)
		}
		return errors.Join(s.printTransfer(out, study), diverged(study))
	}
	if folder.Resumed {
		s.progress.Line("resuming the run in %s", out)
	}
	if study, err = t.compute(folder, e); err != nil {
		return err
	}
	if err := writeStudy(folder, study); err != nil {
		return err
	}
	m := run.Manifest{Kind: s.mode, Name: e.Name, Command: s.command, Products: products(), Experiment: e,
		YAML: string(e.YAML()), DataNotes: t.notes, Seeds: map[string]uint64{"data": e.Data.Seed,
			"theory": e.Theory.Seed, "simulation": e.Simulation.Seed}}
	if err := folder.Finish(m); err != nil {
		return err
	}
	s.later(out, figures)
	return errors.Join(s.printTransfer(out, study), diverged(study))
}

// diverged is an error when a study has a curve without a finite loss: it answers nothing then.
func diverged(study transfer.Study) error {
	for _, p := range study.Panels {
		curves := slices.Concat(p.Curves, p.Theory)
		if p.Limit != nil {
			curves = append(curves, *p.Limit)
		}
		finite := 0
		for _, c := range curves {
			if c.Optimum != nil {
				finite++
			}
		}
		if finite > 0 || len(curves) == 0 || len(curves[0].Points) == 0 {
			continue
		}
		grid := curves[0].Points
		advice := "look for a smaller one with transfer.low and transfer.high"
		if limit := curves[0].Stability; limit > 0 {
			advice = fmt.Sprintf("the stability limit at the start is %.3g: give a grid around it, or none", limit)
		}
		what := "every run"
		if p.Label != "" {
			what += " of " + p.Label
		}
		return dmft.Status{Code: dmft.Diverged, Step: study.Step, Quantity: fmt.Sprintf("%s diverged, at every %s "+
			"from %.3g to %.3g", what, study.Parameter, grid[0].Value, grid[len(grid)-1].Value), Advice: advice}.Err()
	}
	return nil
}

// transfers is the work of a transfer study: curves of networks and of the theory, one after the other in one sweep.
type transfers struct {
	*session
	hash   []string // of what is computed
	notes  []string // on data files
	study  []transfer.Panel
	curves []transferCurve
}

// transferCurve is one curve to be evaluated.
type transferCurve struct {
	panel      int
	name       string // of its parts
	experiment experiment.Experiment
	// problem is what is trained or solved at a value of the hyperparameter.
	problem   func(experiment.Experiment) (*dmft.Problem, error)
	width     int // of networks; 0 is the theory
	method    dmft.Approximation
	stability float64   // limit of the learning rate at the start, 0 where it is not known
	listed    []float64 // grid listed in the file, or nil
	at        *transfer.Measured
}

// load makes the points of an experiment.
func (t *transfers) load(e experiment.Experiment) (*data.Set, error) {
	set, hash, err := t.sets.load(e, t.base)
	if err != nil {
		return nil, err
	}
	if e.Transfer.Loss == "test" && set.TestTargets == nil {
		return nil, usageError{errors.New("transfer.loss is test, and there are no test points: give data.test")}
	}
	if !slices.Contains(t.hash, hash) {
		t.hash, t.notes = append(t.hash, hash), append(t.notes, set.Notes...)
	}
	return set, nil
}

// add plans the curves of a panel.
func (t *transfers) add(p experiment.TransferPanel) error {
	i := len(t.study)
	panel := transfer.Panel{Label: p.Label(), Over: p.Over, Curves: make([]transfer.Measured, len(p.Sizes))}
	set, err := t.load(p.Limit)
	if err != nil {
		return err
	}
	theory := p.Limit.Transfer.Theory
	if theory == "sizes" || theory == "both" {
		if p.Over != "depth" {
			return usageError{fmt.Errorf("transfer.theory is %s, which is for depths; the theory has no widths but "+
				"the infinite one: use limit", theory)}
		}
		problem, err := p.Limit.Problem(set)
		if err != nil {
			return usageError{err}
		}
		wide := p
		wide.Over = "width"
		if _, _, _, panel.NoLimit = wide.LimitProblem(problem); panel.NoLimit == "" {
			panel.Theory = make([]transfer.Measured, len(p.Sizes))
		}
	}
	t.study = append(t.study, panel)
	add := func(c transferCurve, size int) error {
		q, err := c.problem(c.experiment)
		if err != nil {
			return usageError{err}
		}
		if err := q.Validate(); err != nil {
			return usageError{err}
		}
		if q.Network.Depth != dmft.InfiniteDepth {
			_, c.stability = dmft.Stability(q)
		}
		if c.at.Size = size; c.experiment.Transfer.Parameter == experiment.LearningRate {
			c.at.Stability = c.stability
		}
		c.panel, c.listed, c.name = i, p.Grid, fmt.Sprintf("panel%d-%s", i, c.name)
		t.curves = append(t.curves, c)
		return nil
	}
	for k, size := range p.Sizes {
		e, width := p.At[k], size
		if p.Over == "depth" {
			width = e.Simulation.Widths[0]
		}
		set, err := t.load(e)
		if err != nil {
			return err
		}
		networks := func(e experiment.Experiment) (*dmft.Problem, error) {
			q, err := e.Problem(set)
			if err != nil {
				return nil, err
			}
			return e.SimulationProblem(q, width)
		}
		if err := add(transferCurve{name: fmt.Sprintf("%s%d", p.Over, size), experiment: e, problem: networks,
			width: width, at: &t.study[i].Curves[k]}, size); err != nil {
			return err
		}
		if panel.Theory == nil {
			continue
		}
		one := p
		one.Over, one.Limit = "width", e
		solved := func(e experiment.Experiment) (*dmft.Problem, error) {
			q, err := e.Problem(set)
			if err != nil {
				return nil, err
			}
			one.Limit = e
			v, _, _, _ := one.LimitProblem(q)
			return v, nil
		}
		_, method, _, _ := one.LimitProblem(&dmft.Problem{})
		if err := add(transferCurve{name: fmt.Sprintf("theory-depth%d", size), experiment: e, problem: solved,
			method: method, at: &t.study[i].Theory[k]}, size); err != nil {
			return err
		}
	}
	if theory != "limit" && theory != "both" {
		if t.study[i].NoLimit == "" {
			t.study[i].NoLimit = "transfer.theory is " + theory
		}
		return nil
	}
	problem, err := p.Limit.Problem(set)
	if err != nil {
		return usageError{err}
	}
	v, method, name, why := p.LimitProblem(problem)
	if t.study[i].Name, t.study[i].NoLimit = name, why; v == nil {
		return nil
	}
	t.study[i].Limit = &transfer.Measured{}
	return add(transferCurve{name: "limit", experiment: p.Limit, method: method, at: t.study[i].Limit,
		problem: func(e experiment.Experiment) (*dmft.Problem, error) {
			q, err := e.Problem(set)
			if err != nil {
				return nil, err
			}
			at := p
			at.Limit = e
			v, _, _, _ := at.LimitProblem(q)
			return v, nil
		}}, 0)
}

// grid is where a curve is evaluated first, and whether that was chosen here.
func (c transferCurve) grid(fallback float64) (g []float64, automatic bool) {
	e := c.experiment
	switch {
	case c.listed != nil:
		return c.listed, false
	case e.Transfer.Points > 0:
		return transfer.Spaced(e.Transfer.Low, e.Transfer.High, e.Transfer.Points), false
	case e.Transfer.Low > 0:
		return transfer.Grid(e.Transfer.Low, e.Transfer.High, math.Sqrt2), false
	}
	if e.Transfer.Parameter != experiment.LearningRate {
		v := e.Hyperparameter()
		return transfer.Lattice(v/8, v*8), true
	}
	at := c.stability
	if at == 0 { // not known, or of infinite depth
		at = fallback
	}
	return transfer.Lattice(at/16, at*2), true
}

// compute evaluates all curves; what is finished is kept in the folder.
func (t *transfers) compute(folder *run.Folder, e experiment.Experiment) (transfer.Study, error) {
	study := transfer.Study{Parameter: e.Transfer.Parameter, Loss: e.Transfer.Loss, Reduction: e.Training.Reduction,
		Step: e.Transfer.Step}
	if study.Step == 0 {
		study.Step = e.Training.Steps
	}
	sweep := transfer.Sweep{Refine: e.Transfer.Refine}
	last := e.Training.LearningRate
	automatic := false
	for _, c := range t.curves {
		g, auto := c.grid(last)
		if c.stability > 0 {
			last = c.stability
		}
		sweep.Grids, sweep.Groups, automatic = append(sweep.Grids, g), append(sweep.Groups, c.panel), auto
	}
	if automatic {
		sweep.Extend = 24
	}
	tell, done := t.progress.Phase("points")
	finished := 0
	points, err := sweep.Run(t.c.Context, func(ctx context.Context, jobs []transfer.Job) ([]transfer.Point, error) {
		out := make([]transfer.Point, len(jobs))
		var ready atomic.Int64
		err := executor.Local(ctx, len(jobs), func(ctx context.Context, i int, share executor.Share) (err error) {
			if out[i], err = t.keep(ctx, folder, t.curves[jobs[i].Curve], jobs[i].Value, study, share); err == nil {
				tell(int64(finished)+ready.Add(1), int64(finished+len(jobs)))
			}
			return err
		})
		finished += len(jobs)
		return out, err
	})
	done()
	if t.c.Context.Err() != nil {
		return study, dmft.Status{Code: dmft.Interrupted, Quantity: "finished points are kept",
			Advice: "give the same command again to go on"}.Err()
	}
	if err != nil {
		return study, err
	}
	for i, c := range t.curves {
		c.at.Points = points[i]
	}
	study.Panels = t.study
	study.Conclude(e.Transfer.Tolerance)
	return study, nil
}

// keep is a point that was finished before, or one that is computed and kept in the folder.
func (t *transfers) keep(ctx context.Context, folder *run.Folder, c transferCurve, v float64, study transfer.Study,
	share executor.Share) (p transfer.Point, err error) {
	name := c.name + "-" + strconv.FormatFloat(v, 'g', -1, 64)
	b, ok, err := folder.Load(name)
	if err != nil || ok && json.Unmarshal(b, &p) == nil && p.Value == v {
		return p, err
	}
	p, err = t.point(ctx, prefixed{folder, name + "-"}, c, v, study.Step, share)
	switch {
	case dmft.StopCode(err) == dmft.MemoryLimit && share.Beside > 1:
		return p, executor.ErrAlone
	case err != nil:
		return p, fmt.Errorf("%s, %s = %.4g: %w", c.name, study.Parameter, v, err)
	}
	return p, folder.Save(name, func(w io.Writer) error { return jsonx.Write(w, p) })
}

// point is the loss at one value of the hyperparameter. A divergence is an infinite loss.
func (t *transfers) point(ctx context.Context, store dmft.Store, c transferCurve, v float64, step int,
	share executor.Share) (transfer.Point, error) {
	p := transfer.Point{Value: v}
	e := c.experiment.WithHyperparameter(v)
	q, err := c.problem(e)
	if err != nil {
		return p, err
	}
	last := step == q.Training.Steps // then nothing before it needs to be kept
	common := func(flops float64) dmft.Run {
		r := dmft.Run{Memory: t.memory / int64(share.Beside), Checkpoint: t.c.Duration("checkpoint"), Workers: share.Workers}
		if last {
			r.Record.Every = step
		}
		if duration(flops) > longRun { // others are done again faster than read
			r.Store = store
		}
		return r
	}
	at := func(tr *dmft.Trajectory, err error) (index int, reached bool) {
		if last && tr != nil {
			return len(tr.Loss) - 1, err == nil
		}
		return step, tr != nil && len(tr.Loss) > step
	}
	loss := func(tr *dmft.Trajectory, err error) (values []float64, stderr float64, fail error) {
		inf := []float64{math.Inf(1)}
		if code := dmft.StopCode(err); err != nil && code != dmft.Diverged && code != dmft.NotFinite {
			return nil, 0, err
		}
		k, ok := at(tr, err)
		if !ok {
			return inf, 0, nil
		}
		l, se := tr.Loss[k], tr.LossStderr[k]
		if e.Transfer.Loss == "test" {
			l, se = tr.TestLoss[k], tr.TestLossStderr[k]
		}
		if math.IsNaN(l) || math.IsInf(l, 0) || math.IsNaN(se) || math.IsInf(se, 0) {
			return inf, 0, nil
		}
		return []float64{l}, se, nil
	}
	if c.width == 0 {
		set := e.TheorySettings()
		set.Method = c.method
		set.Run = common(dmft.Flops(q, set))
		p.Losses, p.Stderr, err = loss(dmft.Solve(ctx, q, set))
		return p, err
	}
	set := e.SimulationSettings(c.width)
	set.Run = common(finite.Flops(q, set))
	tr, err := finite.Train(ctx, q, set)
	if _, _, fail := loss(tr, err); fail != nil {
		return p, fail
	}
	if i, ok := at(tr, err); ok {
		for k := range set.Seeds {
			l := tr.LossReplicas.At(k).Data[i]
			if e.Transfer.Loss == "test" {
				l = q.Training.Loss.Of(tr.FTestReplicas.At(k).At(i).Data, q.Data.TestTargets)
			}
			p.Losses = append(p.Losses, l)
		}
		return p, nil
	}
	for k := range e.Simulation.Seeds { // which of them?
		set.Seeds, set.First, set.Store = 1, k, nil
		one, _, err := loss(finite.Train(ctx, q, set))
		if err != nil {
			return p, err
		}
		p.Losses = append(p.Losses, one...)
	}
	return p, nil
}

func readStudy(dir string) (s transfer.Study, err error) {
	b, err := os.ReadFile(filepath.Join(dir, transferName))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("run folder %s: %s is damaged: %w", dir, transferName, err)
	}
	return s, nil
}

// writeStudy writes a study as JSON, as arrays and as a table: one row per point of every curve.
func writeStudy(folder *run.Folder, s transfer.Study) error {
	if err := npy.Replace(folder.Path(transferName), func(w io.Writer) error { return jsonx.Write(w, s) }); err != nil {
		return err
	}
	rows := report.TransferRows(s)
	if err := npy.WriteNPZ(folder.Path("transfer.npz"), rows.Arrays()); err != nil {
		return err
	}
	return npy.Replace(folder.Path("transfer.csv"), rows.CSV)
}

// printTransfer shows a study.
func (s *session) printTransfer(out string, study transfer.Study) error {
	if s.json {
		return jsonx.Write(s.printed, map[string]any{"out": out, "study": study})
	}
	if err := report.TransferTable(s.printed, study); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.printed, "\nresults in %s\n", out)
	return err
}

// redrawTransfer draws the figure of a finished study.
func redrawTransfer(c *cli.Context, dir string, m *run.Manifest) error {
	s, err := readStudy(dir)
	if err != nil {
		return err
	}
	f, err := experiment.Parse(filepath.Join(dir, "manifest.json"), []byte(m.YAML))
	if err != nil {
		return err
	}
	s.Conclude(s.Tolerance)
	return drawn(c, dir, len(s.Panels), func() ([]report.Named, error) {
		return []report.Named{report.TransferFigure(s, f.Points()[0].Experiment.Description)}, nil
	})
}
