package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kballard/go-shellquote"
	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/executor"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

// modes are the kinds of sweeps: which of theory and simulations they run.
var modes = map[string]struct{ theory, sims bool }{"solve": {true, false}, "simulate": {false, true}, "compare": {true, true}}

// sweeping is a session on a sweep folder.
type sweeping struct {
	*session
	*sweep.Sweep
}

// runSweep is the command sweep.
func runSweep(c *cli.Context) error {
	only := ""
	for _, name := range []string{"status", "cancel", "resume"} {
		if !c.Bool(name) {
			continue
		}
		if only != "" {
			return usageError{fmt.Errorf("--%s and --%s are two different things to do", only, name)}
		}
		only = name
	}
	where := c.String("executor")
	if where != "local" && where != "slurm" {
		return usageError{fmt.Errorf("--executor %s is not known; there are local and slurm", where)}
	}
	s, err := openSweep(c, only == "status" || only == "cancel")
	if err != nil {
		return err
	}
	switch only {
	case "status":
		return s.status()
	case "cancel":
		return s.cancel()
	}
	if where == "slurm" {
		return s.slurm()
	}
	if sub, t := s.live(); sub != nil {
		return fmt.Errorf("job array %s is at work on this sweep (%s); follow it with --executor slurm, or end it with --cancel", sub.Jobs.Array, describe(t))
	}
	return s.local()
}

// openSweep opens the sweep of a FILE or a DIR. Only one that is there when there is nothing to run.
func openSweep(c *cli.Context, existing bool) (*sweeping, error) {
	path, err := oneFile(c, "an experiment FILE or the DIR of a sweep")
	if err != nil {
		return nil, err
	}
	mode := c.String("mode")
	kind, ok := modes[mode]
	if !ok {
		return nil, usageError{fmt.Errorf("--mode %s is not known; there are solve, simulate and compare", mode)}
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		if c.IsSet("out") || c.IsSet("store") {
			return nil, usageError{errors.New("--out and --store are for an experiment FILE; the DIR of a sweep says itself where things are")}
		}
		return oldSweep(c, path)
	}
	f, err := experiment.Read(path)
	if err != nil {
		return nil, err
	}
	out := c.String("out")
	if out == "" {
		out = f.Points()[0].Experiment.Name + "-sweep"
	}
	if existing {
		return oldSweep(c, out)
	}
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	s, err := newSession(c, kind.theory, kind.sims, base)
	if err != nil {
		return nil, err
	}
	s.mode, s.kind = mode, mode
	points := f.Points()
	if points[0].Experiment.HighDimensional() {
		if err := s.checkHighDimensional(points); err != nil {
			return nil, err
		}
	}
	ix := sweep.Index{Mode: mode, File: filepath.Base(path), Base: base}
	if c.IsSet("store") {
		if ix.Store, err = filepath.Abs(c.String("store")); err != nil {
			return nil, err
		}
	}
	w, err := sweep.New(out, ix, points, func(e experiment.Experiment) (string, error) {
		if e.HighDimensional() {
			return sweep.Hash(mode, e, ""), nil
		}
		_, data, err := s.sets.load(e, base)
		return sweep.Hash(mode, e, data), err
	})
	if err != nil {
		return nil, err
	}
	if sweep.Is(out) {
		if old, err := sweep.Open(out); err == nil {
			o := &sweeping{s, old}
			if sub, t := o.live(); sub != nil && !sub.Fits(w) {
				return nil, fmt.Errorf("job array %s is at work on the sweep in %s as it was (%s), and the experiment file has changed; wait for it, or dmft sweep %s --cancel", sub.Jobs.Array, out, describe(t), out)
			}
		}
	}
	return &sweeping{s, w}, w.Save(f.Source)
}

// oldSweep opens a sweep that is there.
func oldSweep(c *cli.Context, dir string) (*sweeping, error) {
	w, err := sweep.Open(dir)
	if err != nil {
		return nil, usageError{err}
	}
	if c.IsSet("mode") && c.String("mode") != w.Mode {
		return nil, usageError{fmt.Errorf("%s is a sweep of %s; leave --mode out", dir, w.Mode)}
	}
	kind, ok := modes[w.Mode]
	if !ok {
		return nil, usageError{fmt.Errorf("sweep folder %s: its sweep.json is damaged: %q is no kind of sweep; give dmft sweep the experiment file again", dir, w.Mode)}
	}
	s, err := newSession(c, kind.theory, kind.sims, w.BaseDir())
	if err != nil {
		return nil, err
	}
	s.mode, s.kind = w.Mode, w.Mode
	return &sweeping{s, w}, nil
}

// todo are the points to run, and says what is not.
func (s *sweeping) todo() []int {
	todo := s.Todo(s.c.Bool("resume"))
	complete, failed := 0, 0
	for i := range s.Points {
		switch state, _ := run.Look(s.Folder(i)); state {
		case run.Complete:
			complete++
		case run.Failed:
			failed++
		}
	}
	if complete > 0 {
		s.progress.Line("%d of %d points are complete already", complete, len(s.Points))
	}
	if failed > 0 && !s.c.Bool("resume") {
		s.progress.Line("%d points have failed before; --resume tries them again", failed)
	}
	return todo
}

// run runs points on the cores of this machine. ended is told of every one that ends.
func (s *sweeping) run(ctx context.Context, todo []int, ended func(i int, err error)) error {
	var tasks []task
	for _, i := range todo {
		tasks = append(tasks, task{point: s.Experiments[i], dir: s.Folder(i), key: s.Points[i].Folder, dataDir: s.DataDir()})
	}
	return s.each(ctx, tasks, func(k int, o *outcome, err error) error {
		if o == nil {
			if err := run.RecordFailure(tasks[k].dir, err); err != nil {
				return err // of a disk that is full nobody else will do better
			}
		}
		ended(todo[k], err)
		return nil
	})
}

// local runs what is missing here.
func (s *sweeping) local() error {
	host, _ := os.Hostname()
	release, err := run.Hold(filepath.Join(s.Dir, fmt.Sprintf("%s%s-%d", localPrefix, host, os.Getpid())))
	if err != nil {
		return err
	}
	defer release()
	todo := s.todo()
	if len(todo) > 0 {
		failed, through := 0, 0
		err := s.run(s.c.Context, todo, func(i int, err error) {
			if through++; err != nil {
				if failed++; failed <= 3 {
					s.progress.Line("%s: %v", s.Points[i].Label, err)
				}
			}
		})
		if s.c.Context.Err() != nil {
			return interrupted(through, len(todo))
		}
		if err != nil {
			return err
		}
	}
	return s.conclude(nil)
}

// localPrefix begins the names of the files that say which processes of which machines run a sweep.
const localPrefix = ".local-"

// live is the submission that SLURM still has something to do for, and how far it is.
func (s *sweeping) live() (*sweep.Submission, executor.Tasks) {
	subs, _ := s.Submissions()
	for _, sub := range slices.Backward(subs) {
		if sub.Jobs.Array == "" {
			continue
		}
		if t, err := sub.Jobs.Poll(context.WithoutCancel(s.c.Context)); err == nil && !t.Over() {
			return sub, t
		}
		break // earlier ones were over when this one was submitted
	}
	return nil, executor.Tasks{}
}

func describe(t executor.Tasks) string {
	s := fmt.Sprintf("%d tasks running, %d waiting", t.Running, t.Pending)
	if t.Reason != "" && t.Pending > 0 {
		s += " (" + t.Reason + ")"
	}
	return s
}

// slurm submits what is missing, unless that was done, and follows it.
func (s *sweeping) slurm() error {
	sub, _ := s.live()
	if sub != nil {
		s.progress.Line("job array %s was submitted before, with %d tasks", sub.Jobs.Array, sub.Jobs.Tasks)
	} else {
		todo := s.todo()
		if len(todo) == 0 {
			return s.conclude(nil)
		}
		var err error
		if sub, err = s.submit(todo); err != nil {
			return err
		}
		s.progress.Line("submitted job array %s, %d tasks for %d points, and job %s that collects; scripts and logs in %s", sub.Jobs.Array, sub.Jobs.Tasks, len(todo), sub.Jobs.Collect, sub.Dir)
	}
	if s.c.Bool("detach") {
		if s.json {
			return jsonx.Write(s.printed, map[string]any{"out": s.Dir, "jobs": sub.Jobs})
		}
		_, err := fmt.Fprintf(s.printed, "job array %s; dmft sweep %s --status says how far it is\n", sub.Jobs.Array, s.Dir)
		return err
	}
	t, err := s.follow(sub)
	if err != nil {
		return err
	}
	return s.conclude(s.lost(sub, t))
}

// submit submits points.
func (s *sweeping) submit(todo []int) (*sweep.Submission, error) {
	o := s.Experiments[0].Experiment.Sweep
	more, err := shellquote.Split(s.c.String("sbatch"))
	if err != nil {
		return nil, usageError{fmt.Errorf("--sbatch %s: %w", s.c.String("sbatch"), err)}
	}
	n := (len(todo) + max(o.PointsPerTask, 1) - 1) / max(o.PointsPerTask, 1)
	if o.PointsPerTask == 0 {
		n = min(n, 100)
	}
	tasks := sweep.Deal(todo, n)
	sub, err := s.NewSubmission(s.command, tasks)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return nil, err
	}
	exe := filepath.Join(dir, "slurm", "dmft")
	if err := copyProgram(exe); err != nil {
		return nil, fmt.Errorf("a copy of the program for the tasks: %w", err)
	}
	worker := []string{exe, "worker", "--checkpoint", s.c.Duration("checkpoint").String()}
	if m := s.c.String("memory"); m != "" {
		worker = append(worker, "--memory", m)
	}
	collect := []string{exe, "collect", "--quiet"}
	if !s.figures {
		collect = append(collect, "--no-figures")
	}
	a := executor.Array{Name: s.Name, Dir: filepath.Join(dir, "slurm", filepath.Base(sub.Dir)), Tasks: len(tasks),
		Worker: append(worker, dir, filepath.Base(sub.Dir)), Collect: append(collect, dir),
		Partition: o.Partition, Account: o.Account, Time: o.Time, Memory: o.Memory, CPUs: o.CPUs, Parallel: o.Parallel,
		Arguments: slices.Concat(o.Words(), more)}
	sub.Jobs, err = a.Submit(s.c.Context, func(j executor.Jobs) error { // others should know before a task is at work
		sub.Jobs = j
		return sub.Save()
	})
	if err != nil {
		os.RemoveAll(sub.Dir)
		return nil, err
	}
	return sub, sub.Save()
}

// copyProgram keeps this program where the nodes find it, and where it stays as it is when it is compiled again.
func copyProgram(to string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	src, err := os.Open(exe)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := npy.Replace(to, func(w io.Writer) error { _, err := io.Copy(w, src); return err }); err != nil {
		return err
	}
	st, err := os.Stat(to)
	if err != nil {
		return err
	}
	return os.Chmod(to, st.Mode()|st.Mode()&0o444>>2) // for everybody who may read it
}

// follow shows how far a submission is until it is over.
func (s *sweeping) follow(sub *sweep.Submission) (executor.Tasks, error) {
	ctx := s.c.Context
	points := slices.Concat(sub.Tasks...)
	tell, done := s.progress.Tasks(fmt.Sprintf("%d points", len(points)), "points", len(points))
	defer done()
	through := make([]bool, len(points))
	began, reason, silent := time.Now(), "", 0
	var over time.Time
	for {
		for k, i := range points {
			if through[k] {
				continue
			}
			// A failure may be one of before, that is to be tried again.
			if state, f := run.Look(s.Folder(i)); state == run.Complete || f != nil && strings.HasPrefix(f.Job, sub.Jobs.Array+"_") {
				through[k] = true
				tell(k, 1)
			}
		}
		t, err := sub.Jobs.Poll(ctx)
		switch {
		case ctx.Err() != nil:
			return t, dmft.Status{Code: dmft.Interrupted, Quantity: fmt.Sprintf("job array %s goes on", sub.Jobs.Array), Advice: "the same command follows it again, --cancel ends it"}.Err()
		case err != nil:
			if silent++; silent == 1 {
				s.progress.Line("SLURM does not answer: %v; trying again", err)
			}
			if silent > 1000 {
				return t, err
			}
		default:
			silent = 0
			// The collecting job does what is done here next; when it waits in a queue, it is not waited for.
			if !t.Over() {
				over = time.Time{}
			} else if over.IsZero() {
				over = time.Now()
			}
			if t.Over() && (!t.Collecting || time.Since(over) > 15*time.Second) {
				return t, nil
			}
			if t.Reason != reason && t.Reason != "" && t.Running == 0 {
				s.progress.Line("waiting: %s", t.Reason)
				reason = t.Reason
			}
		}
		// Often at first, seldom when it takes long: SLURM's controller has others to serve.
		wait := min(max(time.Since(began)/30, 500*time.Millisecond), 15*time.Second)
		if !over.IsZero() {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// lost are tasks that ended without having run all their points, in words.
func (s *sweeping) lost(sub *sweep.Submission, t executor.Tasks) []string {
	var out []string
	for k, points := range sub.Tasks {
		n := 0
		for _, i := range points {
			if state, _ := run.Look(s.Folder(i)); state != run.Complete && state != run.Failed {
				n++
			}
		}
		if n == 0 {
			continue
		}
		why := t.Failed[k]
		if why == "" {
			why = "ended"
		}
		out = append(out, fmt.Sprintf("task %d of job array %s: %s, %d of its %d points unfinished; see %s", k, sub.Jobs.Array, why, n, len(points), filepath.Join(sub.Dir, fmt.Sprintf("%d.log", k))))
	}
	return out
}

// runWorker is a task of a job array.
func runWorker(c *cli.Context) error {
	if c.NArg() != 2 {
		return usageError{errors.New("worker is run by SLURM, with a sweep folder and the number of a submission")}
	}
	s, err := oldSweep(c, c.Args().Get(0))
	if err != nil {
		return err
	}
	subs, err := s.Submissions()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(subs, func(b *sweep.Submission) bool { return filepath.Base(b.Dir) == c.Args().Get(1) })
	id, err := strconv.Atoi(os.Getenv("SLURM_ARRAY_TASK_ID"))
	if at < 0 || err != nil || id < 0 || id >= len(subs[at].Tasks) {
		return usageError{fmt.Errorf("no task %q of submission %s", os.Getenv("SLURM_ARRAY_TASK_ID"), c.Args().Get(1))}
	}
	sub := subs[at]
	if !sub.Fits(s.Sweep) {
		return errors.New("the sweep has changed since this task was submitted")
	}
	s.command = sub.Command
	if n, err := strconv.Atoi(os.Getenv("SLURM_CPUS_PER_TASK")); err == nil && n > 0 {
		runtime.GOMAXPROCS(n)
	}
	if m := slurmMemory(); m > 0 && !c.IsSet("memory") {
		s.memory = m
		holdMemory(m)
	}
	job := run.SlurmJob()
	var todo []int
	for _, i := range sub.Tasks[id] {
		// What failed in an earlier life of this task is not tried again.
		if state, f := run.Look(s.Folder(i)); state != run.Complete && (f == nil || f.Job != job) {
			todo = append(todo, i)
		}
	}
	s.progress.Line("task %d: %d of %d points to do, on %d cores", id, len(todo), len(sub.Tasks[id]), runtime.GOMAXPROCS(0))
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	warned := make(chan os.Signal, 1)
	notifyWarning(warned)
	defer signal.Stop(warned)
	again := false
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-warned:
			again = true
			cancel()
		case <-ctx.Done():
		}
	}()
	failed, through, began := 0, 0, time.Now()
	err = s.run(ctx, todo, func(i int, err error) {
		through++
		if err != nil {
			failed++
			s.progress.Line("%s: %v", s.Points[i].Label, err)
		} else if len(todo) > fewRows { // or it has said so
			s.progress.Line("%s: done", s.Points[i].Label)
		}
	})
	stopped := ctx.Err() != nil
	cancel()
	<-watched
	switch {
	case stopped && again:
		if through == 0 && !s.kept(todo, began) {
			return errors.New("the time of this task is nearly up, and nothing of its points could be kept, so it is not queued again: raise sweep.slurm.time")
		}
		s.progress.Line("the time is nearly up: everything is kept, and the task is queued again")
		if err := executor.Requeue(context.WithoutCancel(ctx), job); err != nil {
			return fmt.Errorf("the task cannot be queued again: %w; dmft sweep with the same arguments goes on", err)
		}
		return dmft.Status{Code: dmft.Interrupted, Quantity: "time limit", Advice: "queued again"}.Err()
	case stopped:
		return dmft.Status{Code: dmft.Interrupted, Quantity: "stopped from outside", Advice: "everything is kept; dmft sweep with the same arguments goes on"}.Err()
	case err != nil:
		return err
	case failed > 0:
		return fmt.Errorf("%d of %d points failed or stopped early", failed, len(todo))
	}
	return nil
}

// kept says whether something of points that are not complete has been kept since a time.
func (s *sweeping) kept(points []int, since time.Time) bool {
	for _, i := range points {
		parts, _ := os.ReadDir(filepath.Join(s.Folder(i), "parts"))
		for _, f := range parts {
			if st, err := f.Info(); err == nil && st.ModTime().After(since.Add(-time.Second)) {
				return true
			}
		}
	}
	return false
}

// slurmMemory is nine tenths of the memory of the job that this process is part of, or 0.
func slurmMemory() int64 {
	m, err := strconv.ParseInt(os.Getenv("SLURM_MEM_PER_NODE"), 10, 64)
	if err != nil {
		if m, err = strconv.ParseInt(os.Getenv("SLURM_MEM_PER_CPU"), 10, 64); err != nil {
			return 0
		}
		m *= int64(runtime.GOMAXPROCS(0))
	}
	return m << 20 / 10 * 9
}

// runCollect is the job that runs when all tasks have ended.
func runCollect(c *cli.Context) error {
	dir, err := oneFile(c, "the DIR of a sweep")
	if err != nil {
		return err
	}
	s, err := oldSweep(c, dir)
	if err != nil {
		return err
	}
	defer s.drawFigures()
	_, files, err := s.collect()
	if err == nil {
		_, err = fmt.Fprintln(s.printed, strings.Join(files, "\n"))
	}
	return err
}

// collect writes the results in numbers, and has figures drawn later.
func (s *sweeping) collect() (points []sweep.Point, files []string, err error) {
	if points, err = s.Read(); err != nil {
		return nil, nil, err
	}
	if files, err = s.Summarise(points); err != nil || !s.figures {
		return points, files, err
	}
	grid := s.Grid(points)
	if len(grid.What) == 0 { // nothing has come of any point
		return points, files, nil
	}
	s.drawings = append(s.drawings, drawing{s.Dir, func() ([]report.Named, error) { return report.SweepFigures(grid, nil) }})
	return points, append(files, figureDir(s.Dir)), nil
}

// redrawSweep draws the figures of a sweep.
func redrawSweep(c *cli.Context, dir string) error {
	w, err := sweep.Open(dir)
	if err != nil {
		return err
	}
	points, err := w.Read()
	if err != nil {
		return err
	}
	var quantities []string
	for _, q := range c.StringSlice("quantity") {
		if _, ok := report.FindQuantity(q); !ok {
			return usageError{fmt.Errorf("--quantity %s is not known; there are %s", q, strings.Join(report.QuantityNames(), ", "))}
		}
		quantities = append(quantities, q)
	}
	return drawn(c, dir, len(points), func() ([]report.Named, error) {
		figs, err := report.SweepFigures(w.Grid(points), quantities)
		if err == nil && len(figs) == 0 {
			err = fmt.Errorf("%s: %s; there is nothing to draw", dir, sweep.Count(points))
		}
		return figs, err
	})
}

// failure is a point without a usable end.
type failure struct {
	Label  string `json:"label"`
	Folder string `json:"folder"`
	Error  string `json:"error"`
	Early  bool   `json:"stopped_early,omitempty"`
}

func (s *sweeping) failures(points []sweep.Point) []failure {
	var out []failure
	for i, p := range points {
		if p.State == run.Failed || p.Early() {
			out = append(out, failure{p.Label, s.Folder(i), p.Error, p.Early()})
		}
	}
	return out
}

// printFailures lists the first few.
func (s *sweeping) printFailures(list []failure) {
	const most = 6
	for k, f := range list {
		if k == most {
			fmt.Fprintf(s.printed, "  … and %d more, listed in summary.csv and by --json\n", len(list)-most)
			break
		}
		word := "failed"
		if f.Early {
			word = "stopped early"
		}
		fmt.Fprintf(s.printed, "  %s: %s: %s\n", word, f.Label, f.Error)
	}
}

// conclude writes and prints what came out. lost says what did not.
func (s *sweeping) conclude(lost []string) error {
	defer s.drawFigures()
	points, files, err := s.collect()
	if err != nil {
		return err
	}
	c, bad := sweep.Count(points), s.failures(points)
	if s.json {
		doc := map[string]any{"out": s.Dir, "counts": c, "files": files}
		if len(bad) > 0 {
			doc["failures"] = bad
		}
		if len(lost) > 0 {
			doc["lost"] = lost
		}
		if err := jsonx.Write(s.printed, doc); err != nil {
			return err
		}
	} else {
		if len(points) <= fewRows {
			if err := s.table(points); err != nil {
				return err
			}
		}
		fmt.Fprintln(s.printed, c)
		if c.Undecided > 0 {
			fmt.Fprintf(s.printed, "whether theory and simulation agree is undecided at %d of %d points (column verdict of summary.csv; compare says what is needed)\n", c.Undecided, c.Points)
		}
		s.printFailures(bad)
		for _, l := range lost {
			fmt.Fprintln(s.printed, " ", l)
		}
		fmt.Fprintf(s.printed, "\nresults in %s\n", strings.Join(files, ", "))
	}
	again := "dmft sweep " + s.Dir
	var errs []string
	if c.Failed > 0 {
		errs = append(errs, fmt.Sprintf("%d of %d points failed; %s --resume tries them again", c.Failed, c.Points, again))
	}
	if c.Early > 0 {
		errs = append(errs, fmt.Sprintf("%d of %d points stopped early, which would happen again: change the experiment", c.Early, c.Points))
	}
	if left := c.Points - c.Complete - c.Failed; left > 0 {
		errs = append(errs, fmt.Sprintf("%d of %d points are not finished; the same command goes on", left, c.Points))
	}
	if errs != nil {
		return errors.New(strings.Join(errs, "\n"))
	}
	if c.Disagree > 0 {
		return disagreement{fmt.Errorf("theory and simulation DISAGREE at %d of %d points (column verdict of summary.csv)", c.Disagree, c.Points)}
	}
	return nil
}

// table prints the results of a few points.
func (s *sweeping) table(points []sweep.Point) error {
	t := tabwriter.NewWriter(s.printed, 0, 4, 2, ' ', tabwriter.AlignRight)
	columns := []string{"loss", "classification_error", "test_loss", "test_classification_error", "half_time", "kernel_movement", "gap", "error", "seconds"}
	columns = slices.DeleteFunc(columns, func(q string) bool {
		return !slices.ContainsFunc(points, func(p sweep.Point) bool {
			return slices.ContainsFunc(p.Summaries, func(x report.Summary) bool { _, ok := x.Values[q]; return ok })
		})
	})
	heads, losses := s.heads(points, columns)
	fmt.Fprintf(t, "point\t\t%s\t\n", strings.Join(heads, "\t"))
	for _, p := range points {
		for k, x := range p.Summaries {
			label := p.Label
			if k > 0 {
				label = ""
			}
			fmt.Fprintf(t, "%s\t%s", label, x.What)
			for _, q := range columns {
				v, ok := x.Values[q]
				switch {
				case !ok:
					fmt.Fprint(t, "\t")
					continue
				case math.IsInf(float64(v), 1):
					fmt.Fprint(t, "\tnever")
					continue
				}
				fmt.Fprintf(t, "\t%.3g", float64(v))
				if quantity, _ := report.FindQuantity(q); quantity.Stderr != "" && x.Values[quantity.Stderr] > 0 {
					fmt.Fprintf(t, " ± %.1g", float64(x.Values[quantity.Stderr]))
				}
			}
			fmt.Fprintln(t, "\t")
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(s.printed, losses)
	return err
}

// heads are the heads of columns of quantities, losses with their normalisation, and a line that explains it.
func (s *sweeping) heads(points []sweep.Point, columns []string) ([]string, string) {
	grid := s.Grid(points)
	reduction := grid.Reduction
	note := "losses: " + reduction + " over samples"
	if reduction == "" {
		reduction = "sum or mean"
		note = "losses: sum or mean over samples, as training.loss.reduction of the point says"
	}
	heads := slices.Clone(columns)
	for i, q := range columns {
		switch q {
		case "loss", "test_loss":
			heads[i] += " (" + reduction + ")"
		case "classification_error", "test_classification_error":
			heads[i] = strings.Replace(q, "classification_", "", 1)
		case "gap":
			heads[i] += " (dex)"
		case "error":
			heads[i] = "‖f_N − f_∞‖"
			note += "; ‖f_N − f_∞‖: distance of one network from the theory, column error of summary.csv"
		}
	}
	return heads, note
}

// status says how far the sweep is.
func (s *sweeping) status() error {
	points, err := s.Read()
	if err != nil {
		return err
	}
	c, bad := sweep.Count(points), s.failures(points)
	sub, t := s.live()
	if s.json {
		doc := map[string]any{"out": s.Dir, "counts": c}
		if len(bad) > 0 {
			doc["failures"] = bad
		}
		if sub != nil {
			doc["jobs"], doc["tasks"] = sub.Jobs, t
		}
		return jsonx.Write(s.printed, doc)
	}
	fmt.Fprintf(s.printed, "%s: %s\n", s.Dir, c)
	if sub != nil {
		fmt.Fprintf(s.printed, "job array %s: %s\n", sub.Jobs.Array, describe(t))
	}
	s.printFailures(bad)
	return nil
}

// cancel ends what is at work on the sweep: jobs of SLURM, and processes of this machine.
func (s *sweeping) cancel() error {
	ended := 0
	if sub, _ := s.live(); sub != nil {
		if err := sub.Jobs.Cancel(s.c.Context); err != nil {
			return err
		}
		ended++
		fmt.Fprintf(s.printed, "cancelled job array %s\n", sub.Jobs.Array)
	}
	files, err := run.Names(s.Dir, localPrefix)
	if err != nil {
		return err
	}
	for _, f := range files {
		pid, ok := run.Holder(filepath.Join(s.Dir, f))
		if !ok {
			continue
		}
		p, err := os.FindProcess(pid)
		if err == nil {
			err = terminate(p)
		}
		if err != nil {
			return fmt.Errorf("process %d: %w", pid, err)
		}
		ended++
		fmt.Fprintf(s.printed, "told process %d to stop; it keeps what it has\n", pid)
	}
	if ended == 0 {
		fmt.Fprintln(s.printed, "nothing is at work on this sweep")
	}
	return nil
}
