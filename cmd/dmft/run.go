package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/progress"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

//go:embed quickstart.yaml
var quickstartYAML []byte

//go:embed quickstart-residual.yaml
var quickstartResidualYAML []byte

// session is one invocation of a command that runs experiments.
type session struct {
	c             *cli.Context
	mode          string // solve, simulate, compare, quickstart, grok, converge
	kind          string // of the run folder: the mode, but that a comparison serves grok, too
	theory, sims  bool
	base          string   // folder that file names in the experiment count from
	command       []string // line that started it
	memory        int64
	progress      *progress.Display
	printed       io.Writer
	figures, json bool
	named         bool            // the program chose the name of the folder
	gaps          []report.GapRow // of grok
	sets          sets
	drawings      []drawing // figures that wait until results are printed
}

func newSession(c *cli.Context, theory, sims bool, base string) (*session, error) {
	s := &session{c: c, mode: c.Command.Name, kind: c.Command.Name, theory: theory, sims: sims, base: base,
		command: append([]string{"dmft"}, os.Args[min(1, len(os.Args)):]...), printed: c.App.Writer,
		figures: !c.Bool("no-figures"), json: c.Bool("json")}
	if s.mode == "grok" {
		s.kind = "compare"
	}
	err := checkpointTime(c)
	if err != nil {
		return nil, err
	}
	if s.memory, err = memoryLimit(c.String("memory")); err != nil {
		return nil, usageError{err}
	}
	holdMemory(s.memory)
	w := c.App.ErrWriter
	if c.Bool("quiet") {
		w = io.Discard
	}
	s.progress = progress.New(w)
	s.sets.memory, s.sets.say = s.memory, s.progress.Line
	return s, nil
}

func quickstart(c *cli.Context) error {
	if c.NArg() > 0 {
		return usageError{fmt.Errorf("quickstart takes no arguments, and got %s", strings.Join(c.Args().Slice(), " "))}
	}
	s, err := newSession(c, true, true, ".")
	if err != nil {
		return err
	}
	out := c.String("out")
	if s.named = out == ""; s.named {
		out = "dmft-quickstart"
	}
	defer s.drawFigures()
	var results []report.Result
	var stopped error
	for _, part := range []struct {
		yaml       []byte
		dir, label string
	}{{quickstartYAML, out, ""}, {quickstartResidualYAML, filepath.Join(out, "residual"), "residual network"}} {
		f, err := experiment.Parse("quickstart.yaml", part.yaml)
		if err != nil {
			return err
		}
		r, stop, err := s.points(part.dir, f)
		if err != nil {
			return err
		}
		for i := range r {
			if r[i].Label == "" {
				r[i].Label = part.label
			}
		}
		results, stopped = append(results, r...), errors.Join(stopped, stop)
	}
	return s.conclude(out, results, stopped)
}

func runFile(c *cli.Context, theory, sims bool) error {
	path, err := oneFile(c, "an experiment FILE")
	if err != nil {
		return err
	}
	f, err := experiment.Read(path)
	if err != nil {
		return err
	}
	s, err := newSession(c, theory, sims, filepath.Dir(path))
	if err != nil {
		return err
	}
	return s.run(f)
}

// run runs every point of an experiment file.
func (s *session) run(f *experiment.File) error {
	out := s.c.String("out")
	if s.named = out == ""; s.named {
		out = f.Points()[0].Experiment.Name + "-" + s.mode
	}
	defer s.drawFigures()
	if s.mode == "converge" {
		return s.runConverge(out, f)
	}
	// Then all are: keys that one kind needs do not apply to the other.
	if e := f.Points()[0].Experiment; e.HighDimensional() {
		return s.runHighDimensional(out, f)
	}
	results, stopped, err := s.points(out, f)
	if err != nil {
		return err
	}
	return s.conclude(out, results, stopped)
}

// points runs every point of an experiment file in its folder and draws the figures. A run that stopped early still has
// results.
func (s *session) points(out string, f *experiment.File) (results []report.Result, stopped, err error) {
	outcomes, stopped, err := s.product(out, f)
	if outcomes == nil {
		return nil, nil, err
	}
	var gaps []report.GapRow
	for _, x := range outcomes {
		results, gaps = append(results, *x.fixed), append(gaps, x.gaps...)
	}
	s.gaps = append(s.gaps, gaps...)
	if own := results; len(own) > 1 { // those of one point are in its own folder
		s.later(out, func() []report.Named {
			figs := s.figuresOf(own, f.Points()[0].Experiment)
			if d := phaseOfGaps(f.Points(), gaps); d != nil {
				figs = append(figs, report.PhaseFigure(*d))
			}
			return figs
		})
	}
	return results, stopped, err
}

// conclude prints the results and says whether theory and simulation agree.
func (s *session) conclude(out string, results []report.Result, stopped error) error {
	if err := s.print(out, results); err != nil {
		return err
	}
	if stopped != nil {
		return stopped
	}
	return verdict(results)
}

// fixedPoint runs an experiment on fixed data. A run that diverged has both a result and an error.
func (j *job) fixedPoint() (*outcome, error) {
	e := j.point.Experiment
	set, hash, err := j.points()
	if err != nil {
		return nil, err
	}
	problem, err := e.Problem(set)
	if err != nil {
		return nil, usageError{err}
	}
	if err := problem.Validate(); err != nil {
		return nil, usageError{err}
	}
	folder, err := j.open(sweep.Hash(j.kind, e, hash))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	np, pt, c := sizes(set)
	r := &report.Result{Label: j.point.Label, Points: np, TestPoints: pt, Outputs: c, Mean: problem.Training.Loss.Mean,
		Method: e.Theory.Method, LossName: problem.Training.Loss.String(), Flow: problem.Training.Method.IsFlow()}
	if folder.Complete {
		m, err := run.ReadManifest(j.dir)
		if err != nil {
			return nil, err
		}
		if err := load(j.dir, m, r); err != nil {
			return nil, err
		}
	} else if err := j.compute(folder, problem, set, r); err != nil {
		if dmft.StopCode(err) == dmft.Interrupted && (r.Theory != nil || len(r.Sims) > 0) {
			return &outcome{fixed: r}, err // what there is, is worth showing
		}
		return nil, err
	}
	if r.Theory != nil && len(r.Sims) > 0 {
		if r.Compare, err = compare.New(problem, r.Theory, r.Sims,
			compare.Options{Tolerance: e.Compare.Tolerance}); err != nil {
			return nil, err
		}
	}
	o := &outcome{fixed: r}
	if j.mode == "grok" {
		if set.TestTargets == nil {
			return nil, usageError{errors.New("grok compares train and test loss, and there are no test points: give data.test")}
		}
		o.gaps = r.Gaps(e.Grok.Fraction, set.TestTargets)
	}
	if j.alone && (!folder.Complete || undrawn(j.dir)) {
		j.later(j.dir, func() []report.Named { return j.figuresOf([]report.Result{*r}, e) })
	}
	if folder.Complete {
		return o, j.earlier()
	}
	m := j.manifest(r)
	m.DataNotes = set.Notes
	if err := finish(folder, m, r.Summaries(e.Grok.Fraction, set.TestTargets)); err != nil {
		return nil, err
	}
	return o, statusError(m.Results)
}

// statusError is the error of the first trajectory that stopped early.
func statusError(results map[string]run.Result) error {
	names := make([]string, 0, len(results))
	for n := range results {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if st := results[n].Status; st.Early() {
			return fmt.Errorf("%s: %w", strings.TrimSuffix(n, ".npz"), st.Err())
		}
	}
	return nil
}

// compute makes the trajectories that are missing in the folder.
func (j *job) compute(folder *run.Folder, problem *dmft.Problem, set *data.Set, r *report.Result) error {
	e, ctx := j.point.Experiment, j.ctx
	if err := j.keepData(folder, set); err != nil {
		return err
	}
	common := func(what string, flops float64, d *dmft.Run) func() {
		// Else what an interruption loses is less than keeping it costs.
		if duration(flops) > shortRun || j.c.Duration("checkpoint") < shortRun {
			d.Store = folder
		}
		d.Memory, d.Checkpoint, d.Workers = j.memory, j.c.Duration("checkpoint"), j.workers
		if j.theory && j.sims {
			d.Record.NTKReplicas = kernelTimes // the NTK is tested, too
		}
		var done func()
		d.Progress, done = j.phase(what)
		return done
	}
	save := func(name string, replicas dmft.ReplicaKind, t *dmft.Trajectory, err error, began time.Time) error {
		if t == nil || err != nil && dmft.StopCode(err) == "" { // what stopped early is kept, and its status says why
			return err
		}
		j.timing[name] = time.Since(began).Seconds()
		return t.WriteNPZ(folder.Path(name), replicas)
	}
	methods, widths := j.trajectories()
	if j.theory {
		solve := func(method dmft.Approximation, what, file string) (*dmft.Trajectory, error) {
			set := e.TheorySettings()
			set.Method = method
			bytes, err := dmft.Estimate(problem, set)
			if err != nil {
				return nil, err
			}
			flops := dmft.Flops(problem, set)
			j.announce(what, bytes, flops)
			done := common(what, flops, &set.Run)
			began := time.Now()
			t, err := dmft.Solve(ctx, problem, set)
			done()
			if err := save(file, dmft.Blocks, t, err, began); err != nil {
				return nil, fmt.Errorf("%s: %w", what, err)
			}
			for _, n := range t.Diagnostics.Notes {
				j.show.Line("%s: %s", what, n)
			}
			return t, nil
		}
		var err error
		if r.Theory, err = solve(dmft.Approximation(e.Theory.Method), "theory", "theory.npz"); err != nil {
			return err
		}
		for _, m := range methods {
			t, err := solve(dmft.Approximation(m), m, "theory-"+m+".npz")
			if err != nil {
				return err
			}
			r.Methods = append(r.Methods, report.Method{Name: m, Trajectory: t})
		}
	}
	if j.theory && e.Theory.Fluctuations {
		if err := j.fluctuations(folder, problem, r); err != nil {
			return err
		}
	}
	if j.sims {
		for _, n := range widths {
			networks, err := e.SimulationProblem(problem, n)
			if err != nil {
				return usageError{err}
			}
			set := e.SimulationSettings(n)
			what, flops := fmt.Sprintf("%d networks of width %d", set.Seeds, n), finite.Flops(networks, set)
			j.announce(what, finite.Estimate(networks, set), flops)
			done := common(what, flops, &set.Run)
			began := time.Now()
			t, err := finite.Train(ctx, networks, set)
			done()
			if err := save(fmt.Sprintf("simulation-N%d.npz", n), dmft.Seeds, t, err, began); err != nil {
				return fmt.Errorf("width %d: %w", n, err)
			}
			r.Sims = append(r.Sims, t)
		}
	}
	return nil
}

const smallWidth = 30 // that no experiment has, or not as a wide network

const mostKernels = 21 // times at which fluctuations of kernels are kept

// fluctuations predicts what finite width adds to the theory.
func (j *job) fluctuations(folder *run.Folder, problem *dmft.Problem, r *report.Result) error {
	e := j.point.Experiment
	if r.Theory.Status.Early() {
		j.show.Line("fluctuations: left out, since the theory stopped early")
		return nil
	}
	const mostCovariances = 1000
	set := e.FluctuationSettings(min(len(r.Theory.KernelStep), mostKernels))
	set.Covariance = min(5, mostCovariances/(r.Points*r.Outputs))
	set.Memory, set.Workers = j.memory, j.workers
	lazy := e.Theory.Method == string(dmft.Lazy)
	flops, bytes := fluctuation.Cost(problem, set, lazy)
	j.announce("fluctuations", bytes, flops)
	var done func()
	set.Progress, done = j.phase("fluctuations")
	began := time.Now()
	var err error
	switch {
	case lazy:
		r.Fluctuations, err = fluctuation.Lazy(j.ctx, problem, set)
	case problem.Network.Depth == 1:
		r.Fluctuations, err = fluctuation.TwoLayer(j.ctx, problem, set)
	default:
		var x *fluctuation.Start
		if x, err = fluctuation.AtStart(j.ctx, problem, set); err == nil {
			r.Fluctuations = &fluctuation.Result{Start: x, Kurtosis: x.Kurtosis}
		}
	}
	done()
	if err != nil {
		return fmt.Errorf("fluctuations: %w", err)
	}
	j.timing[run.FluctuationsName] = time.Since(began).Seconds()
	if n, step := r.Fluctuations.Least(); n > smallWidth {
		j.show.Line("fluctuations: the expansion in 1/N describes widths well above %.2g (step %d)", n, step)
	}
	return run.WriteFluctuations(folder.Path(run.FluctuationsName), r.Fluctuations)
}

const (
	longRun  = 20 * time.Second       // above which a run is announced with what it will take
	shortRun = 100 * time.Millisecond // below which it keeps no parts
)

// announce says what a long run will take.
func (j *job) announce(what string, bytes int64, flops float64) {
	if d := duration(flops); d > longRun {
		j.show.Line("%s: will take about %s and %s", what, approximately(d), sizeText(bytes))
	}
}

// duration is about how long flops take on this machine: its rate is that of one matrix product, measured once, less
// what products that are not square and everything between them cost.
func duration(flops float64) time.Duration {
	return time.Duration(flops / speed() * float64(time.Second))
}

var speed = sync.OnceValue(func() float64 {
	const n, effective = 384, 0.5
	a, b, c := mat.NewDense(n, n, nil), mat.NewDense(n, n, nil), mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			a.Set(i, j, float64(i-j))
			b.Set(i, j, float64(i+j))
		}
	}
	c.Mul(a, b)
	best := time.Duration(math.MaxInt64)
	for range 5 {
		began := time.Now()
		c.Mul(a, b)
		best = min(best, time.Since(began))
	}
	return 2 * n * n * n / best.Seconds() * effective
})

// approximately rounds a duration to what an estimate is worth.
func approximately(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", math.Ceil(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%.0f min", math.Ceil(d.Minutes()))
	}
	return fmt.Sprintf("%.2g h", d.Hours())
}

func (j *job) manifest(r *report.Result) run.Manifest {
	e := j.point.Experiment
	m := run.Manifest{Kind: j.mode, Name: e.Name, Command: j.command, Data: j.dataFile, Products: products(),
		Experiment: e, YAML: string(e.YAML()), Results: map[string]run.Result{},
		Seeds: map[string]uint64{"data": e.Data.Seed, "theory": e.Theory.Seed, "simulation": e.Simulation.Seed,
			"batch": e.Training.BatchSeed}}
	add := func(name string, t *dmft.Trajectory) {
		m.Results[name] = run.Result{Status: t.Status, Width: t.Width, Replicas: t.Replicas, Seconds: j.timing[name],
			Diagnostics: t.Diagnostics}
	}
	if r.Theory != nil {
		add("theory.npz", r.Theory)
	}
	for _, x := range r.Methods {
		add("theory-"+x.Name+".npz", x.Trajectory)
	}
	for _, t := range r.Sims {
		add(fmt.Sprintf("simulation-N%d.npz", t.Width), t)
	}
	if f := r.Fluctuations; f != nil {
		m.Results[run.FluctuationsName] = run.Result{Status: dmft.Status{Code: dmft.Finished,
			Step: max(len(f.Time)-1, 0)}, Width: f.Sites, Replicas: f.Blocks, Seconds: j.timing[run.FluctuationsName]}
	}
	if r.Compare != nil {
		m.Comparison = r.Compare
	}
	return m
}

// dataName is the file of the points in the folder of a run that shares them with no other.
const dataName = "data.npz"

// dataBytes is the size above which inputs are not copied into the run folder.
const dataBytes = 1 << 28

// print shows the results.
func (s *session) print(out string, results []report.Result) error {
	if s.json {
		var rows []report.Row
		for _, r := range results {
			rows = append(rows, r.Rows()...)
		}
		doc := map[string]any{"out": out, "results": rows}
		if s.theory && s.sims {
			var reports []any
			for _, r := range results {
				reports = append(reports, map[string]any{"label": r.Label, "report": r.Compare, "fluctuations": r.Spreads()})
			}
			doc["comparison"] = reports
		}
		if s.mode == "grok" {
			doc["gaps"] = s.gaps
		}
		return jsonx.Write(s.printed, doc)
	}
	if err := report.Table(s.printed, results); err != nil {
		return err
	}
	if s.theory && s.sims {
		fmt.Fprintln(s.printed)
		if err := report.Distances(s.printed, results); err != nil {
			return err
		}
	}
	if s.mode == "grok" {
		fmt.Fprintln(s.printed)
		if err := report.GapTable(s.printed, s.gaps); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(s.printed, "\nresults in %s\n", out)
	return err
}

// verdict is an error when theory and simulation disagree.
func verdict(results []report.Result) error {
	var bad []string
	for _, r := range results {
		if r.Compare != nil && r.Compare.Verdict == compare.Disagree {
			s := r.Compare.String()
			if r.Label != "" {
				s = r.Label + ": " + s
			}
			bad = append(bad, s)
		}
	}
	return disagreements(bad, len(results))
}

// disagreements is the error of verdicts on some of n points, or nil.
func disagreements(bad []string, n int) error {
	const most = 6
	if bad == nil {
		return nil
	}
	if len(bad) > most {
		bad = append(bad[:most:most], fmt.Sprintf("… %d of %d points disagree; --json lists them all", len(bad), n))
	}
	return disagreement{errors.New(strings.Join(bad, "\n"))}
}
