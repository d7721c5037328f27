package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/internal/executor"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/progress"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

// job is one point of a session at work, perhaps beside others.
type job struct {
	*session
	ctx     context.Context
	point   experiment.Point
	dir     string
	key     string // name that the folder has by its content, or "" when it has another
	dataDir string // where points of data are kept that several runs share, or "" for the folder of a run that is alone
	alone   bool   // the only point: it has figures of its own
	show    *progress.Display
	told    func(done float64) // how much of the point is done, from 0 to 1; or nil
	memory  int64
	workers int // goroutines; 0 is as many as processors
	begun   int // trajectories begun
	timing  map[string]float64

	dataFile string // of the points, from the run folder
}

// outcome is what came of a point.
type outcome struct {
	fixed *report.Result          // on fixed data, or
	high  *report.HighDimensional // on high-dimensional data
	gaps  []report.GapRow         // of grok on fixed data

	converge *report.Convergence // of converge, on either; nil when it diverged
}

func (j *job) run() (*outcome, error) {
	j.timing = map[string]float64{}
	if j.mode == "converge" {
		return j.convergePoint()
	}
	if j.point.Experiment.HighDimensional() {
		return j.highDimensionalPoint()
	}
	return j.fixedPoint()
}

// open opens the run folder.
func (j *job) open(hash string) (*run.Folder, error) {
	if j.key != "" && j.key != sweep.Key(hash) {
		return nil, errors.New("the data have changed since the sweep was made; give dmft sweep the experiment file again")
	}
	c := run.Claim{Name: j.point.Experiment.Name, Hash: hash, Keys: identity(hash, j.point.Experiment.Keys())}
	f, err := j.claim(j.dir, c, j.named && j.alone)
	switch {
	case err != nil:
	case f.Complete:
		j.show.Line("already complete in %s (--force computes it again)", j.dir)
	case f.Resumed:
		j.show.Line("resuming the run in %s", j.dir)
	}
	return f, err
}

// identity adds to the keys of an experiment what else its hash is made of.
func identity(hash string, keys map[string]string) map[string]string {
	parts := strings.Split(hash, "-")
	keys[commandKey] = parts[0]
	if len(parts) == 3 && parts[1] != "product" {
		keys[pointsKey] = parts[2]
	}
	return keys
}

const (
	commandKey = "command"
	pointsKey  = "checksum of the data"
)

// claim opens a run folder. One that the program has named itself and that holds results of another experiment is moved
// aside, so that the change of a file and the same command again give new results and cost none; with --force they are
// replaced, here and wherever --out says.
func (s *session) claim(dir string, c run.Claim, named bool) (*run.Folder, error) {
	if c.Redo = s.c.Bool("force"); c.Redo && c.Other == run.Refuse {
		c.Other = run.Replace
	}
	if named && c.Other == run.Refuse {
		c.Other = run.Aside
	}
	f, err := run.Open(dir, c)
	var changed *run.ChangedError
	if errors.As(err, &changed) {
		return nil, fmt.Errorf("%s holds results of another experiment (%s); --force replaces them, another --out "+
			"keeps them", dir, difference(changed))
	}
	if err == nil && f.Moved != "" {
		s.progress.Line("%s held results of another experiment (%s); they are in %s now", dir, difference(f.Changed), f.Moved)
	}
	return f, err
}

// difference says in words what has changed.
func difference(e *run.ChangedError) string {
	const most = 5
	if e.Before == nil { // of an earlier version of the program
		return e.Name
	}
	list := experiment.Changes(e.Before, e.After)
	if len(list) == 0 {
		return "the same keys, read in another way by another version of the program"
	}
	if len(list) > most {
		list = append(list[:most:most], fmt.Sprintf("and %d more", len(list)-most))
	}
	return strings.Join(list, ", ")
}

// finish completes the folder of a point with its results in numbers.
func finish(folder *run.Folder, m run.Manifest, summaries []report.Summary) (err error) {
	for _, s := range summaries {
		s.Values["seconds"] = report.Number(m.Results[s.File].Seconds)
	}
	if m.Summary, err = report.Encode(summaries); err != nil {
		return err
	}
	return folder.Finish(m)
}

// earlier is the error of a trajectory that stopped early in a folder that was complete before.
func (j *job) earlier() error {
	m, err := run.ReadManifest(j.dir)
	if err != nil {
		return err
	}
	return statusError(m.Results)
}

// trajectories are what a point computes: approximations beside the theory, and widths or dimensions of finite
// networks.
func (j *job) trajectories() (methods []string, sizes []int) {
	e := j.point.Experiment
	if j.theory && !e.HighDimensional() {
		for _, m := range e.Theory.Approximations {
			if m != e.Theory.Method {
				methods = append(methods, m)
			}
		}
	}
	if j.sims {
		sizes = slices.Concat(e.Simulation.Widths, e.Simulation.Dimensions)
		slices.Sort(sizes)
	}
	return methods, sizes
}

// phase is the next trajectory.
func (j *job) phase(what string) (report func(done, total int64), done func()) {
	show, end := j.show.Phase(what)
	methods, sizes := j.trajectories()
	all, before := len(methods)+len(sizes), j.begun
	if j.theory {
		all++
		if j.point.Experiment.Theory.Fluctuations {
			all++
		}
	}
	j.begun++
	return func(k, of int64) {
		show(k, of)
		if j.told != nil && of > 0 {
			j.told(min((float64(before)+float64(min(k, of))/float64(of))/float64(all), 1))
		}
	}, end
}

// task is a point and its folder.
type task struct {
	point    experiment.Point
	dir, key string
	dataDir  string
}

// each runs tasks on the cores of this machine. ended is told of every one, in the order in which they end; its error
// stops the others. A task that was interrupted has not ended.
func (s *session) each(ctx context.Context, tasks []task, ended func(i int, o *outcome, err error) error) error {
	n := len(tasks)
	tell, done := s.progress.Tasks(fmt.Sprintf("%d points", n), "points", n)
	defer done()
	var mu sync.Mutex
	return executor.Local(ctx, n, func(ctx context.Context, i int, share executor.Share) error {
		t := tasks[i]
		j := &job{session: s, ctx: ctx, point: t.point, dir: t.dir, key: t.key, dataDir: t.dataDir,
			memory: s.memory / int64(share.Beside), workers: share.Workers,
			told: func(done float64) { tell(i, done) }, show: s.progress.Beside()}
		if j.show = j.show.With(fmt.Sprintf("[%d/%d] %s: ", i+1, n, t.point.Label)); n > fewRows {
			j.show = j.show.Silent()
		}
		o, err := j.run()
		switch {
		case errors.Is(err, run.ErrLocked):
			return executor.ErrBusy
		case dmft.StopCode(err) == dmft.MemoryLimit && share.Beside > 1:
			return executor.ErrAlone
		case dmft.StopCode(err) == dmft.Interrupted || err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return context.Canceled
		}
		tell(i, 1)
		mu.Lock()
		defer mu.Unlock()
		return ended(i, o, err)
	})
}

// product runs every point of a file, one in the folder out and several in folders of their own in it. A point that
// stopped early does not end the others; stopped is its error. One that failed does.
func (s *session) product(out string, f *experiment.File) (results []outcome, stopped, err error) {
	points := f.Points()
	if len(points) == 1 {
		j := &job{session: s, ctx: s.c.Context, point: points[0], dir: out, alone: true, show: s.progress, memory: s.memory}
		o, err := j.run()
		if o == nil {
			return nil, nil, err
		}
		return []outcome{*o}, err, nil
	}
	top, err := s.openProduct(out, f)
	if err != nil {
		return nil, nil, err
	}
	defer top.Close()
	var tasks []task
	for _, p := range points {
		tasks = append(tasks, task{point: p, dir: filepath.Join(out, p.Folder()), dataDir: filepath.Join(out, sweep.Data)})
	}
	results = make([]outcome, len(points))
	errs := make([]error, len(points))
	finished := 0
	err = s.each(s.c.Context, tasks, func(i int, o *outcome, err error) error {
		if o == nil {
			return fmt.Errorf("%s: %w", points[i].Label, err)
		}
		results[i], errs[i] = *o, err
		finished++
		return nil
	})
	if s.c.Context.Err() != nil {
		return nil, nil, interrupted(finished, len(points))
	}
	if err != nil {
		return nil, nil, err
	}
	failed := 0
	for i, e := range errs { // divergences: the other points still count
		if e == nil {
			continue
		}
		if failed++; failed <= 3 {
			s.progress.Line("dmft: %s: %v", points[i].Label, e)
		}
		stopped = fmt.Errorf("%d of %d points stopped early, the last at %s: %w", failed, len(points), points[i].Label, e)
	}
	return results, stopped, s.finishProduct(top, points)
}

// interrupted is the error of a product that was stopped from outside.
func interrupted(finished, of int) error {
	return dmft.Status{Code: dmft.Interrupted, Quantity: fmt.Sprintf("%d of %d points are finished", finished, of),
		Advice: "they are kept, and what others had saved; give the same command again to go on"}.Err()
}

// openProduct opens the folder of several runs, identified by all of them. Runs of an earlier product that are points
// of this one, too, are kept and need not be computed again.
func (s *session) openProduct(out string, f *experiment.File) (*run.Folder, error) {
	points := f.Points()
	var all []string
	c := run.Claim{Name: points[0].Experiment.Name}
	for _, p := range points {
		all = append(all, p.Experiment.Hash())
		c.Points = append(c.Points, p.Folder())
	}
	c.Hash = s.kind + productMark + experiment.HashOf(all)
	c.Keys = identity(c.Hash, f.Keys())
	if before := run.Peek(out); before != c.Hash && strings.HasPrefix(before, s.kind+productMark) && !s.c.Bool("force") {
		shared, err := s.shares(out, points)
		if err != nil {
			return nil, err
		}
		if shared {
			c.Other = run.Extend
		}
	}
	return s.claim(out, c, s.named)
}

const productMark = "-product-"

// shares says whether the folder of an earlier product holds runs of these points, and none of others under their
// names.
func (s *session) shares(out string, points []experiment.Point) (bool, error) {
	some := false
	for _, p := range points {
		before := run.Peek(filepath.Join(out, p.Folder()))
		if before == "" {
			continue
		}
		data := ""
		if !p.Experiment.HighDimensional() {
			var err error
			if _, data, err = s.sets.load(p.Experiment, s.base); err != nil {
				return false, err
			}
		}
		if before != sweep.Hash(s.kind, p.Experiment, data) {
			return false, nil
		}
		some = true
	}
	return some, nil
}

func (s *session) finishProduct(top *run.Folder, points []experiment.Point) error {
	m := run.Manifest{Kind: s.mode, Name: points[0].Experiment.Name, Command: s.command}
	for _, v := range points[0].Values {
		m.Swept = append(m.Swept, v.Key)
	}
	for _, p := range points {
		m.Points = append(m.Points, run.PointEntry{Folder: p.Folder(), Label: p.Label, Values: p.Map()})
	}
	return top.Finish(m)
}

// sets keeps the last few data sets, which most points of a product share, in a quarter of the memory limit.
type sets struct {
	memory int64                            // limit
	say    func(format string, args ...any) // what was skipped in a file
	mu     sync.Mutex
	last   []loaded
	said   map[string]bool
}

type loaded struct {
	key  string
	set  *data.Set
	hash string
}

// load returns the points of an experiment and their hash.
func (s *sets) load(e experiment.Experiment, base string) (*data.Set, string, error) {
	const most = 8
	k, err := json.Marshal([]any{e.Data, e.Training.Loss}) // a loss may ask for the encoding of targets
	if err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.last {
		if l.key == string(k) {
			return l.set, l.hash, nil
		}
	}
	set, err := e.Load(base, s.memory)
	if err != nil {
		return nil, "", err
	}
	for _, n := range set.Notes {
		if !s.said[n] {
			s.say("data: %s", n)
			if s.said == nil {
				s.said = map[string]bool{}
			}
			s.said[n] = true
		}
	}
	l := loaded{string(k), set, experiment.DataHash(set)}
	held := set.Bytes()
	keep := len(s.last)
	for keep > 0 && len(s.last)-keep < most-1 && (s.memory == 0 || held+s.last[keep-1].set.Bytes() <= s.memory/4) {
		keep--
		held += s.last[keep].set.Bytes()
	}
	s.last = append(slices.Clone(s.last[keep:]), l)
	return l.set, l.hash, nil
}
