package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kballard/go-shellquote"
	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/executor"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

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
		s.progress.Line(
			"submitted job array %s, %d tasks for %d points, and job %s that collects; scripts and logs in %s",
			sub.Jobs.Array, sub.Jobs.Tasks, len(todo), sub.Jobs.Collect, sub.Dir)
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
			if state, f := run.Look(s.Folder(i)); state == run.Complete || f != nil &&
				strings.HasPrefix(f.Job, sub.Jobs.Array+"_") {
				through[k] = true
				tell(k, 1)
			}
		}
		t, err := sub.Jobs.Poll(ctx)
		switch {
		case ctx.Err() != nil:
			return t, dmft.Status{Code: dmft.Interrupted, Quantity: fmt.Sprintf("job array %s goes on", sub.Jobs.Array),
				Advice: "the same command follows it again, --cancel ends it"}.Err()
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
		out = append(out, fmt.Sprintf("task %d of job array %s: %s, %d of its %d points unfinished; see %s", k,
			sub.Jobs.Array, why, n, len(points), filepath.Join(sub.Dir, fmt.Sprintf("%d.log", k))))
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
	s.progress.Line("task %d: %d of %d points to do, on %d cores", id, len(todo), len(sub.Tasks[id]),
		runtime.GOMAXPROCS(0))
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
			return errors.New("the time of this task is nearly up, and nothing of its points could be kept, so it is " +
				"not queued again: raise sweep.slurm.time")
		}
		s.progress.Line("the time is nearly up: everything is kept, and the task is queued again")
		if err := executor.Requeue(context.WithoutCancel(ctx), job); err != nil {
			return fmt.Errorf("the task cannot be queued again: %w; dmft sweep with the same arguments goes on", err)
		}
		return dmft.Status{Code: dmft.Interrupted, Quantity: "time limit", Advice: "queued again"}.Err()
	case stopped:
		return dmft.Status{Code: dmft.Interrupted, Quantity: "stopped from outside",
			Advice: "everything is kept; dmft sweep with the same arguments goes on"}.Err()
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
