package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/internal/executor"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

// modes are the kinds of sweeps: which of theory and simulations they run.
var modes = map[string]struct{ theory, sims bool }{"solve": {true, false}, "simulate": {false, true},
	"compare": {true, true}}

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
		return fmt.Errorf("job array %s is at work on this sweep (%s); follow it with --executor slurm, or end it "+
			"with --cancel", sub.Jobs.Array, describe(t))
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
			return nil, usageError{errors.New("--out and --store are for an experiment FILE; the DIR of a sweep says " +
				"itself where things are")}
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
	if errors.Is(err, fs.ErrNotExist) && sweep.Is(out) {
		return nil, fmt.Errorf("%w; the sweep in %s keeps a copy of its data: dmft sweep %s goes on with it", err, out, out)
	}
	if err != nil {
		return nil, err
	}
	if sweep.Is(out) {
		if old, err := sweep.Open(out); err == nil {
			o := &sweeping{s, old}
			if sub, t := o.live(); sub != nil && !sub.Fits(w) {
				return nil, fmt.Errorf("job array %s is at work on the sweep in %s as it was (%s), and the "+
					"experiment file has changed; wait for it, or dmft sweep %s --cancel", sub.Jobs.Array, out, describe(t), out)
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
		return nil, usageError{fmt.Errorf("sweep folder %s: its sweep.json is damaged: %q is no kind of sweep; give "+
			"dmft sweep the experiment file again", dir, w.Mode)}
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
