package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/run"
)

// How check estimates times. What a run takes is counted in operations, and for a few points of a file measured: their
// work is begun and stopped after a moment, and the rest goes on at that rate. The ratio of the two corrects the counts
// of the other points.
const (
	pilotTime    = 300 * time.Millisecond // of one measurement, once it is at work
	pilotLatest  = time.Second            // of its preparation, too
	pilotsTime   = 4 * time.Second        // of all of them
	pilotBelow   = 30 * time.Millisecond  // below which counting is enough
	pilotPoints  = 3                      // points of a product that are measured
	pilotMemory  = 2 << 30                // bytes above which nothing is tried
	shownPoints  = 12                     // points of a product that have a line each
	linearPoints = 100                    // points of which the NTK at the start is looked at
)

// work is one trajectory of a point.
type work struct {
	what       string
	kind       string // what it is measured for
	bytes      int64
	flops      float64 // 0 where they are not counted
	seconds    float64 // on this machine, alone on it; NaN where nobody knows
	processors float64 // seconds of all of them
	begin      func(context.Context, dmft.Run)
	growth     float64 // by how much all of it takes longer than what begin begins; 0 is 1
}

// pilot measures what is left of a trajectory from its first moments.
func (w *work) pilot(ctx context.Context, limit time.Duration) bool {
	if w.begin == nil || limit <= 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, min(pilotLatest, limit))
	defer cancel()
	var mu sync.Mutex
	var first, last time.Time
	var cpuFirst, cpuLast float64
	var from, to, all int64
	began, cpuBegan := time.Now(), run.ProcessorSeconds()
	w.begin(ctx, dmft.Run{Progress: func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		now, cpu := time.Now(), run.ProcessorSeconds()
		if done == 0 || done < to {
			return
		}
		if from == 0 {
			first, cpuFirst, from = now, cpu, done
		}
		last, cpuLast, to, all = now, cpu, done, total
		if now.Sub(first) > pilotTime {
			cancel()
		}
	}})
	mu.Lock()
	defer mu.Unlock()
	if all > 0 && to >= all && w.growth <= 1 { // it is done
		w.seconds, w.processors = time.Since(began).Seconds(), run.ProcessorSeconds()-cpuBegan
		return true
	}
	if to == from || last.Sub(first) < pilotBelow {
		return false
	}
	scale := float64(all) / float64(to-from)
	if w.growth > 0 {
		scale *= w.growth
	}
	w.seconds, w.processors = last.Sub(first).Seconds()*scale, (cpuLast-cpuFirst)*scale
	if w.processors == 0 {
		w.processors = w.seconds
	}
	return true
}

// plan is what a point of a file will take.
type plan struct {
	Label        string                `json:"label,omitempty"`
	Experiment   experiment.Experiment `json:"experiment"`
	Data         string                `json:"data"`
	Sites        int                   `json:"theory_sites,omitempty"`
	Blocks       int                   `json:"theory_blocks,omitempty"`
	Notes        []string              `json:"notes,omitempty"`
	DataNotes    []string              `json:"data_notes,omitempty"` // what was skipped in files
	TheoryBytes  int64                 `json:"theory_memory_bytes"`
	NetworkBytes map[string]int64      `json:"network_memory_bytes"` // by width or dimension
	// About, on this machine, with approximations and fluctuations; null where nobody knows.
	TheoryTime  *float64           `json:"theory_seconds"`
	NetworkTime map[string]float64 `json:"network_seconds"`
	Lambda      float64            `json:"ntk_lambda_max,omitempty"`
	Limit       float64            `json:"learning_rate_limit,omitempty"`
	Warning     string             `json:"warning,omitempty"`

	theory, networks []work
	sizes            []int // of networks
}

func (pl *plan) all() []*work {
	var out []*work
	for i := range pl.theory {
		out = append(out, &pl.theory[i])
	}
	for i := range pl.networks {
		out = append(out, &pl.networks[i])
	}
	return out
}

// sum is the time of some trajectories, NaN when that of one is not known.
func sum(list []work, of func(work) float64) float64 {
	s := 0.
	for _, w := range list {
		s += of(w)
	}
	return s
}

func seconds(w work) float64    { return w.seconds }
func processors(w work) float64 { return w.processors }

// memory is the most that one trajectory takes.
func (pl *plan) memory() (m int64) {
	for _, w := range pl.all() {
		m = max(m, w.bytes)
	}
	return m
}

// check validates an experiment file and says what it will take.
func check(c *cli.Context) error {
	if c.Bool("schema") {
		if c.NArg() > 0 {
			return usageError{errors.New("check --schema takes no file")}
		}
		fmt.Fprint(c.App.Writer, experiment.Schema())
		return nil
	}
	path, err := oneFile(c, "an experiment FILE")
	if err != nil {
		return err
	}
	f, err := experiment.Read(path)
	if err != nil {
		return err
	}
	points := f.Points()
	plans := make([]plan, len(points))
	memory, err := memoryLimit("")
	if err != nil {
		return err
	}
	data := sets{memory: memory, say: func(string, ...any) {}}
	for i, p := range points {
		make := planOf
		if p.Experiment.HighDimensional() {
			make = planOfHighDimensional
		}
		if plans[i], err = make(p, &data, filepath.Dir(path), i < linearPoints); err != nil {
			return err
		}
	}
	estimate(c.Context, plans)
	if err := c.Context.Err(); err != nil {
		return err
	}
	total := totalTime(plans)
	if c.Bool("json") {
		doc := map[string]any{"file": path, "points": plans}
		if !math.IsNaN(total) {
			doc["total_seconds"] = total
		}
		return jsonx.Write(c.App.Writer, doc)
	}
	w := c.App.Writer
	if len(points) == 1 {
		fmt.Fprintf(w, "# %s is valid\n", path)
		plans[0].print(w)
	} else {
		fmt.Fprintf(w, "# %s is valid: %d experiments\n", path, len(points))
		printSummary(w, plans, total)
	}
	fmt.Fprintln(w)
	if len(points) > 1 {
		fmt.Fprintf(w, "# the first of %d experiments, with every default:\n", len(points))
	}
	_, err = w.Write(points[0].Experiment.YAML())
	return err
}

// planOf plans a point on fixed data.
func planOf(p experiment.Point, data *sets, base string, linear bool) (plan, error) {
	e := p.Experiment
	set, _, err := data.load(e, base)
	if err != nil {
		return plan{}, err
	}
	problem, err := e.Problem(set)
	if err != nil {
		return plan{}, usageError{err}
	}
	pl := plan{Label: p.Label, Experiment: e, Data: set.Description, DataNotes: set.Notes,
		NetworkBytes: map[string]int64{}, sizes: e.Simulation.Widths}
	theory := e.TheorySettings()
	if pl.Sites, pl.Blocks, pl.Notes, err = dmft.Sites(problem, theory); err != nil {
		return pl, usageError{err}
	}
	methods := []string{e.Theory.Method}
	for _, m := range e.Theory.Approximations {
		if m != e.Theory.Method {
			methods = append(methods, m)
		}
	}
	for i, m := range methods {
		s := theory
		s.Method = dmft.Approximation(m)
		w := work{what: "theory", kind: "theory " + m, flops: dmft.Flops(problem, s)}
		if w.bytes, err = dmft.Estimate(problem, s); err != nil {
			return pl, usageError{err}
		}
		if i > 0 {
			w.what = m
		}
		q, all := *problem, w.flops
		if q.Network.Depth == dmft.InfiniteDepth { // the depths follow each other: the deepest is measured
			q.Network.Depth = 17
			if len(s.Depths) > 0 {
				q.Network.Depth = s.Depths[len(s.Depths)-1]
			}
		}
		one := dmft.Flops(&q, s)
		if s.Error = 0; e.Theory.Error > 0 {
			pl.Notes = append(pl.Notes, "times and memory are those of the first attempt at theory.error; more "+
				"samples may be needed")
		}
		w.begin = func(ctx context.Context, r dmft.Run) {
			set := s
			set.Run, set.Record = r, s.Record
			_, _ = dmft.Solve(ctx, &q, set) // stopped on purpose
		}
		w.growth = all / max(one, 1)
		pl.theory = append(pl.theory, w)
	}
	if e.Theory.Fluctuations {
		flops, bytes := fluctuation.Cost(problem, e.FluctuationSettings(mostKernels), e.Theory.Method == string(dmft.Lazy))
		pl.theory = append(pl.theory, work{what: "fluctuations", flops: flops, bytes: bytes})
	}
	for _, w := range pl.theory {
		pl.TheoryBytes = max(pl.TheoryBytes, w.bytes)
	}
	for _, n := range e.Simulation.Widths {
		networks, err := e.SimulationProblem(problem, n)
		if err != nil {
			return pl, usageError{err}
		}
		s := e.SimulationSettings(n)
		w := work{what: fmt.Sprintf("width %d", n), kind: "networks", bytes: finite.Estimate(networks, s),
			flops: finite.Flops(networks, s)}
		w.begin = func(ctx context.Context, r dmft.Run) {
			set := s
			set.Run, set.Record = r, s.Record
			_, _ = finite.Train(ctx, networks, set)
		}
		pl.networks = append(pl.networks, w)
		pl.NetworkBytes[strconv.Itoa(n)] = w.bytes
	}
	if linear { // the NTK of many points costs more than a check should
		pl.Lambda, pl.Limit = dmft.Stability(problem)
		if pl.Limit > 0 && e.Training.LearningRate > pl.Limit {
			pl.Warning = fmt.Sprintf("learning_rate %g is above the stability limit %.3g of the NTK at the start: "+
				"expect divergence", e.Training.LearningRate, pl.Limit)
		}
	}
	return pl, nil
}

// planOfHighDimensional plans a point on high-dimensional data.
func planOfHighDimensional(p experiment.Point, _ *sets, _ string, _ bool) (plan, error) {
	e := p.Experiment
	problem := e.HighDimensionalProblem()
	pl := plan{Label: p.Label, Experiment: e, NetworkBytes: map[string]int64{}, Limit: highdim.Limit(problem),
		sizes: e.Simulation.Dimensions,
		Data: fmt.Sprintf("Gaussian points in D → ∞ dimensions, P = %g·D; simulations with D = %s", e.Data.Ratio,
			strings.Trim(strings.ReplaceAll(fmt.Sprint(e.Simulation.Dimensions), " ", ", "), "[]"))}
	if err := problem.Validate(); err == nil {
		w := work{what: "theory"}
		if w.bytes, err = highdim.Estimate(problem, e.HighDimensionalTheory()); err != nil {
			return pl, usageError{err}
		}
		w.begin = func(ctx context.Context, r dmft.Run) { _, _ = e.SolveHighDimensional(ctx, r) }
		pl.theory, pl.TheoryBytes = []work{w}, w.bytes
	} else if e.Simulation.Method != "moments" {
		return pl, usageError{err}
	}
	for _, d := range e.Simulation.Dimensions {
		x := work{what: fmt.Sprintf("D = %d", d), kind: "networks"}
		var err error
		if x.bytes, err = highdim.EstimateSimulation(problem, e.HighDimensionalSimulation(d, dmft.Run{}),
			e.Simulation.Method == "moments"); err != nil {
			return pl, usageError{err}
		}
		pl.NetworkBytes[strconv.Itoa(d)] = x.bytes
		if e.Simulation.Method != "moments" { // two products with the points for every unit
			x.flops = 8 * e.Data.Ratio * float64(d) * float64(d) * float64(max(e.Network.Units,
				1)*e.Training.Steps*max(e.Simulation.Seeds, 1))
		}
		x.begin = func(ctx context.Context, r dmft.Run) {
			set := e.HighDimensionalSimulation(d, r)
			if e.Simulation.Method == "moments" {
				_, _ = highdim.SimulateMoments(ctx, problem, set)
			} else {
				_, _ = highdim.Simulate(ctx, problem, set)
			}
		}
		pl.networks = append(pl.networks, x)
	}
	if pl.Limit > 0 && e.Training.LearningRate > pl.Limit {
		pl.Warning = fmt.Sprintf("learning_rate %g is above %.3g, where training of the linear part alone diverges",
			e.Training.LearningRate, pl.Limit)
	}
	return pl, nil
}

// estimate fills in times.
func estimate(ctx context.Context, plans []plan) {
	for i := range plans {
		for _, w := range plans[i].all() {
			w.seconds = duration(w.flops).Seconds()
			if w.flops == 0 {
				w.seconds = math.NaN()
			}
			w.processors = w.seconds
		}
	}
	// Points from the first to the last, cheap trajectories before dear ones: what cannot be measured in time is
	// corrected like the others of its kind.
	began, exact, measured := time.Now(), map[*work]bool{}, map[string][]work{}
	for _, i := range spread(len(plans), pilotPoints) {
		for _, w := range plans[i].all() {
			counted := *w
			if counted.seconds < pilotBelow.Seconds() || w.bytes > pilotMemory || !w.pilot(ctx, pilotsTime-time.Since(began)) {
				continue
			}
			ratio := *w
			if counted.flops > 0 {
				ratio.seconds, ratio.processors = w.seconds/counted.seconds, w.processors/counted.processors
			}
			exact[w] = true
			measured[w.what] = append(measured[w.what], ratio)
			if counted.flops > 0 {
				measured[w.kind] = append(measured[w.kind], ratio)
			}
		}
	}
	for i := range plans {
		pl := &plans[i]
		for _, w := range pl.all() {
			m := measured[w.what]
			if len(m) == 0 && w.flops > 0 {
				m = measured[w.kind]
			}
			if len(m) == 0 || exact[w] {
				continue
			}
			s, p := geometric(m, seconds), geometric(m, processors)
			if w.flops > 0 {
				s, p = s*w.seconds, p*w.processors
			}
			w.seconds, w.processors = s, p
		}
		if t := sum(pl.theory, seconds); !math.IsNaN(t) {
			pl.TheoryTime = &t
		}
		pl.NetworkTime = map[string]float64{}
		for k, w := range pl.networks {
			if !math.IsNaN(w.seconds) {
				pl.NetworkTime[strconv.Itoa(pl.sizes[k])] = w.seconds
			}
		}
	}
}

// spread returns at most k of n indices, from the first to the last.
func spread(n, k int) (out []int) {
	if n <= k {
		k = n
	}
	for i := range k {
		out = append(out, i*(n-1)/max(k-1, 1))
	}
	return out
}

func geometric(list []work, of func(work) float64) float64 {
	return math.Exp(sum(list, func(w work) float64 { return math.Log(of(w)) }) / float64(len(list)))
}

// around is what a point of a product takes beside its trajectories, in seconds of a processor: mostly the verdict, and
// its files. A thousand small points take little else.
const around = 0.05

// totalTime is the time of all points: those of a product share the processors.
func totalTime(plans []plan) float64 {
	cores := float64(runtime.GOMAXPROCS(0))
	alone, shared := 0., 0.
	for i := range plans {
		pl := &plans[i]
		t := sum(pl.theory, seconds) + sum(pl.networks, seconds)
		alone = max(alone, t)
		// Between all processors busy and one; measurements beside other work on the machine may say less.
		shared += around + min(max(sum(pl.theory, processors)+sum(pl.networks, processors), t), t*cores)
		if math.IsNaN(t) {
			return t
		}
	}
	if len(plans) == 1 {
		return alone
	}
	return max(alone, shared/cores)
}

// about is a time in words.
func about(s float64) string {
	switch {
	case math.IsNaN(s):
		return "an unknown time"
	case s < 1:
		return "less than a second"
	}
	return "about " + approximately(time.Duration(min(s, 1e9)*float64(time.Second)))
}

// print describes one experiment.
func (pl *plan) print(w io.Writer) {
	fmt.Fprintf(w, "# %s\n", pl.Data)
	for _, n := range pl.DataNotes {
		fmt.Fprintf(w, "# %s\n", n)
	}
	var parts []string
	for _, x := range pl.all() {
		s := x.what
		if x.bytes > 0 {
			s += ", " + sizeText(x.bytes)
		}
		if x.what == "theory" && pl.Sites > 0 {
			s += fmt.Sprintf(", %d sites in %d blocks", pl.Sites, pl.Blocks)
		}
		parts = append(parts, s+", "+about(x.seconds))
	}
	fmt.Fprintf(w, "# on this machine: %s\n", strings.Join(parts, "; "))
	if len(parts) > 1 {
		fmt.Fprintf(w, "# solve takes %s, simulate %s, compare %s\n", about(sum(pl.theory, seconds)),
			about(sum(pl.networks, seconds)), about(sum(pl.theory, seconds)+sum(pl.networks, seconds)))
	}
	for _, n := range pl.Notes {
		fmt.Fprintf(w, "# note: %s\n", n)
	}
	if s := pl.stability(); s != "" {
		fmt.Fprintf(w, "# %s\n", s)
	}
	if pl.Warning != "" {
		fmt.Fprintf(w, "# WARNING: %s\n", pl.Warning)
	}
}

func (pl *plan) stability() string {
	switch {
	case pl.Experiment.HighDimensional() && pl.Limit == 0: // adaptive methods have none
		return ""
	case pl.Experiment.HighDimensional():
		return fmt.Sprintf("learning rates below %.3g are stable for the linear part of the model, and for its "+
			"quadratic part less", pl.Limit)
	case pl.Lambda > 0 && pl.Limit > 0: // flows have none
		return fmt.Sprintf(
			"largest eigenvalue of the NTK at the start %.4g, learning rates up to %.3g are stable there", pl.Lambda, pl.Limit)
	case pl.Lambda > 0:
		return fmt.Sprintf("largest eigenvalue of the NTK at the start %.4g", pl.Lambda)
	}
	return ""
}

// printSummary describes many experiments.
func printSummary(w io.Writer, plans []plan, total float64) {
	cores := "1 core"
	if n := runtime.GOMAXPROCS(0); n > 1 {
		cores = fmt.Sprintf("%d cores", n)
	}
	point := func(pl *plan) float64 { return sum(pl.theory, seconds) + sum(pl.networks, seconds) }
	var memory int64
	least, most := math.Inf(1), 0.
	for i := range plans {
		memory, least, most = max(memory, plans[i].memory()), min(least, point(&plans[i])), max(most, point(&plans[i]))
	}
	fmt.Fprintf(w, "# all of them take %s on the %s of this machine", about(total), cores)
	if a, b := about(least), about(most); a == b {
		fmt.Fprintf(w, "; one alone %s", a)
	} else {
		fmt.Fprintf(w, "; one alone from %s to %s", a, b)
	}
	if memory > 0 {
		fmt.Fprintf(w, "; up to %s each", sizeText(memory))
	}
	fmt.Fprintln(w)
	if len(plans) <= shownPoints {
		for i := range plans {
			pl := &plans[i]
			fmt.Fprintf(w, "\n# --- %s\n", pl.Label)
			pl.print(w)
		}
		return
	}
	told := func(what string, of func(*plan) []string) {
		count, first := map[string]int{}, map[string]string{}
		var order []string
		for i := range plans {
			for _, s := range of(&plans[i]) {
				if count[s]++; count[s] == 1 {
					order, first[s] = append(order, s), plans[i].Label
				}
			}
		}
		const shown = 3
		for k, s := range order {
			switch {
			case k == shown:
				fmt.Fprintf(w, "# %s… and %d more, which --json lists\n", what, len(order)-shown)
				return
			case count[s] == len(plans):
				fmt.Fprintf(w, "# %s%s (all experiments)\n", what, s)
			default:
				fmt.Fprintf(w, "# %s%s (%d of %d experiments, the first with %s)\n", what, s, count[s], len(plans), first[s])
			}
		}
	}
	told("", func(pl *plan) []string { return []string{pl.Data} })
	told("note: ", func(pl *plan) []string { return pl.Notes })
	hot, first := 0, -1
	for i := range plans {
		if plans[i].Warning != "" {
			if hot++; first < 0 {
				first = i
			}
		}
	}
	if hot > 0 {
		of := min(len(plans), linearPoints)
		if plans[0].Experiment.HighDimensional() {
			of = len(plans)
		}
		fmt.Fprintf(w, "# WARNING: %s (%d of the first %d experiments have such a warning, the first with %s)\n",
			plans[first].Warning, hot, of, plans[first].Label)
	}
}
