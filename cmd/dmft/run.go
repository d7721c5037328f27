package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
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
	"github.com/seed39b58f2d/dmft/internal/npy"
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
	s := &session{c: c, mode: c.Command.Name, kind: c.Command.Name, theory: theory, sims: sims, base: base, command: append([]string{"dmft"}, os.Args[min(1, len(os.Args)):]...), printed: c.App.Writer,
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
	if e := f.Points()[0].Experiment; e.HighDimensional() { // then all are: keys that one kind needs do not apply to the other
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
	r := &report.Result{Label: j.point.Label, Points: np, TestPoints: pt, Outputs: c, Mean: problem.Training.Loss.Mean, Method: e.Theory.Method, LossName: problem.Training.Loss.String(), Flow: problem.Training.Method.IsFlow()}
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
	short := func(t *dmft.Trajectory) bool { return t.Steps() < 2 } // its status says why
	if r.Theory != nil && len(r.Sims) > 0 && !short(r.Theory) && !slices.ContainsFunc(r.Sims, short) {
		if r.Compare, err = compare.New(problem, r.Theory, r.Sims, compare.Options{Tolerance: e.Compare.Tolerance}); err != nil {
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
		if duration(flops) > shortRun || j.c.Duration("checkpoint") < shortRun { // else what an interruption loses is less than keeping it costs
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

// load reads the trajectories of a complete folder: those that its manifest names.
func load(dir string, m *run.Manifest, r *report.Result) (err error) {
	read := func(name string) (*dmft.Trajectory, error) { return run.ReadTrajectory(filepath.Join(dir, name)) }
	if _, ok := m.Results["theory.npz"]; ok {
		if r.Theory, err = read("theory.npz"); err != nil {
			return err
		}
		r.Theory.Diagnostics = m.Results["theory.npz"].Diagnostics
	}
	const approximation = "theory-"
	for _, f := range m.Trajectories(approximation, false) {
		t, err := read(f)
		if err != nil {
			return err
		}
		r.Methods = append(r.Methods, report.Method{Name: strings.TrimSuffix(strings.TrimPrefix(f, approximation), ".npz"), Trajectory: t})
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

func (j *job) manifest(r *report.Result) run.Manifest {
	e := j.point.Experiment
	m := run.Manifest{Kind: j.mode, Name: e.Name, Command: j.command, Data: j.dataFile, Products: products(), Experiment: e, YAML: string(e.YAML()), Results: map[string]run.Result{},
		Seeds: map[string]uint64{"data": e.Data.Seed, "theory": e.Theory.Seed, "simulation": e.Simulation.Seed, "batch": e.Training.BatchSeed}}
	add := func(name string, t *dmft.Trajectory) {
		m.Results[name] = run.Result{Status: t.Status, Width: t.Width, Replicas: t.Replicas, Seconds: j.timing[name], Diagnostics: t.Diagnostics}
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
		m.Results[run.FluctuationsName] = run.Result{Status: dmft.Status{Code: dmft.Finished, Step: max(len(f.Time)-1, 0)}, Width: f.Sites, Replicas: f.Blocks, Seconds: j.timing[run.FluctuationsName]}
	}
	if r.Compare != nil {
		m.Comparison = r.Compare
	}
	return m
}

func sizes(set *data.Set) (p, pt, c int) {
	p, _ = set.Inputs.Dims()
	_, c = set.Targets.Dims()
	if set.TestInputs != nil {
		pt, _ = set.TestInputs.Dims()
	}
	return p, pt, c
}

// dataName is the file of the points in the folder of a run that shares them with no other.
const dataName = "data.npz"

// keepData keeps the points beside the results: in the folder of a run that is alone, and once for all the runs of
// several that have the same.
func (j *job) keepData(folder *run.Folder, set *data.Set) error {
	if j.dataDir == "" {
		j.dataFile = dataName
		return writeData(folder.Path(dataName), set)
	}
	if err := run.MakeFolder(j.dataDir); err != nil {
		return err
	}
	path := filepath.Join(j.dataDir, experiment.DataHash(set)+".npz")
	rel, err := filepath.Rel(j.dir, path)
	if err != nil {
		return err
	}
	j.dataFile = filepath.ToSlash(rel)
	if _, err := os.Stat(path); err == nil { // written whole, or not at all
		return nil
	}
	return writeData(path, set)
}

// dataBytes is the size above which inputs are not copied into the run folder.
const dataBytes = 1 << 28

// writeData keeps the points beside the results.
func writeData(path string, set *data.Set) error {
	var out []npy.Named
	put := func(name string, m mat.Matrix) {
		if d, ok := m.(*mat.Dense); m == nil || ok && d == nil {
			return
		}
		r, c := m.Dims()
		if int64(r)*int64(c)*8 > dataBytes {
			return
		}
		a := npy.Array{Shape: []int{r, c}, Data: make([]float64, 0, r*c)}
		for i := range r {
			for j := range c {
				a.Data = append(a.Data, m.At(i, j))
			}
		}
		out = append(out, npy.Named{Name: name, Array: a})
	}
	put("inputs", set.Inputs)
	put("targets", set.Targets)
	put("test_inputs", set.TestInputs)
	put("test_targets", set.TestTargets)
	for name, l := range map[string][]int{"labels": set.Labels, "test_labels": set.TestLabels} {
		if l == nil {
			continue
		}
		a := npy.Array{Shape: []int{len(l)}}
		for _, v := range l {
			a.Data = append(a.Data, float64(v))
		}
		out = append(out, npy.Named{Name: name, Array: a})
	}
	slices.SortFunc(out, func(a, b npy.Named) int { return strings.Compare(a.Name, b.Name) })
	return npy.WriteNPZ(path, out)
}

// readData reads what writeData has kept.
func readData(path string) (*data.Set, error) {
	z, err := npy.ReadNPZ(path)
	if err != nil {
		return nil, err
	}
	set := &data.Set{}
	for name, m := range map[string]*mat.Matrix{"inputs": &set.Inputs, "test_inputs": &set.TestInputs} {
		if a, ok := z[name]; ok && len(a.Shape) == 2 && len(a.Data) > 0 {
			*m = mat.NewDense(a.Shape[0], a.Shape[1], a.Data)
		}
	}
	for name, m := range map[string]**mat.Dense{"targets": &set.Targets, "test_targets": &set.TestTargets} {
		if a, ok := z[name]; ok && len(a.Shape) == 2 && len(a.Data) > 0 {
			*m = mat.NewDense(a.Shape[0], a.Shape[1], a.Data)
		}
	}
	for name, l := range map[string]*[]int{"labels": &set.Labels, "test_labels": &set.TestLabels} {
		for _, v := range z[name].Data {
			*l = append(*l, int(v))
		}
	}
	return set, nil
}

// points loads the points of the experiment. Where their files are gone, as from a sweep that was moved to another
// machine, it is the copy that the sweep keeps for its runs: the one that gives the run folder its name.
func (j *job) points() (*data.Set, string, error) {
	set, hash, err := j.sets.load(j.point.Experiment, j.base)
	if err == nil || j.key == "" || j.dataDir == "" || !errors.Is(err, fs.ErrNotExist) {
		return set, hash, err
	}
	files, _ := os.ReadDir(j.dataDir)
	for _, f := range files {
		hash, ok := strings.CutSuffix(f.Name(), ".npz")
		if !ok || sweep.Key(sweep.Hash(j.kind, j.point.Experiment, hash)) != j.key {
			continue
		}
		if kept, lost := readData(filepath.Join(j.dataDir, f.Name())); lost == nil && experiment.DataHash(kept) == hash {
			j.show.Line("the files of the points are gone; their copy in the sweep is used")
			return kept, hash, nil
		}
	}
	return nil, "", err
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
		r.Mean, r.Method, r.LossName, r.Flow = e.Training.Reduction == "mean", e.Theory.Method, e.Training.Loss, e.Method().IsFlow()
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
		if r.Theory != nil && len(r.Sims) > 0 && r.Theory.Steps() > 1 && !slices.ContainsFunc(r.Sims, func(t *dmft.Trajectory) bool { return t.Steps() < 2 }) {
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

// testTargets are those that a run folder keeps.
func testTargets(dir string, m *run.Manifest) (*mat.Dense, error) {
	path := filepath.Join(dir, dataName)
	if m.Data != "" {
		path = filepath.Join(dir, filepath.FromSlash(m.Data))
	}
	z, err := npy.ReadNPZ(path)
	if err != nil {
		return nil, err
	}
	a, ok := z["test_targets"]
	if !ok || len(a.Shape) != 2 || len(a.Data) == 0 {
		return nil, fmt.Errorf("%s holds no test_targets", path)
	}
	return mat.NewDense(a.Shape[0], a.Shape[1], a.Data), nil
}

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

// memoryLimit reads a size such as 8GiB; empty is nine tenths of the memory that this process may have, where that is
// known.
func memoryLimit(s string) (int64, error) {
	if s == "" {
		return availableMemory("/") / 10 * 9, nil
	}
	return bytesOf(s)
}

// availableMemory is the memory of the machine under a root, or what this process may have of it when that is less: by
// its control groups, which are those of a SLURM job or a container, or its limit of address space (ulimit -v). 0 is
// unknown.
func availableMemory(root string) int64 {
	const unit, most = 1024, 1 << 50 // a control group without a limit has one of 2⁶³ bytes
	least := int64(0)
	take := func(n int64) {
		if n > 0 && n < most && (least == 0 || n < least) {
			least = n
		}
	}
	lines := func(path ...string) []string {
		b, _ := os.ReadFile(filepath.Join(append([]string{root}, path...)...)) // not every system has all of them
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	var n int64
	for _, l := range lines("proc/meminfo") {
		if _, err := fmt.Sscanf(l, "MemTotal: %d kB", &n); err == nil {
			take(n * unit)
		}
	}
	for _, l := range lines("proc/self/limits") {
		if _, err := fmt.Sscanf(l, "Max address space %d", &n); err == nil {
			take(n)
		}
	}
	for _, l := range lines("proc/self/cgroup") { // number:controllers:path
		f := strings.SplitN(l, ":", 3)
		if len(f) < 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if f[1] == "memory" {
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if f[1] != "" {
			continue
		}
		for dir := filepath.Clean("/" + f[2]); ; dir = filepath.Dir(dir) { // a group is within the limits of those above
			if n, err := strconv.ParseInt(lines(mount, dir, file)[0], 10, 64); err == nil {
				take(n)
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// holdMemory makes the garbage collector keep to a limit, which left alone lets the memory grow to twice of what is in
// use. A smaller limit of the environment (GOMEMLIMIT) stays.
func holdMemory(limit int64) {
	const program = 24 << 20 // what the program itself takes beside what is collected
	if limit -= min(limit/10, program); limit > 0 && limit < debug.SetMemoryLimit(-1) {
		debug.SetMemoryLimit(limit)
	}
}

func sizeText(n int64) string {
	switch v := float64(n); {
	case v >= 1<<30:
		return fmt.Sprintf("%.3g GiB", v/(1<<30))
	case v >= 1<<20:
		return fmt.Sprintf("%.3g MiB", v/(1<<20))
	default:
		return fmt.Sprintf("%.3g KiB", v/(1<<10))
	}
}
