package sweep

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
)

// Point is how far a point of a sweep is and what came of it.
type Point struct {
	Entry
	State     run.State
	Error     string           // of one that failed or stopped early
	Summaries []report.Summary // of a complete one
	Verdict   compare.Verdict  // on theory and simulations, or empty
}

// Early says whether some trajectory of a complete point stopped before its end.
func (p Point) Early() bool { return p.State == run.Complete && p.Error != "" }

// Read reads what there is of every point.
func (s *Sweep) Read() ([]Point, error) {
	out := make([]Point, len(s.Points))
	done := map[string]int{}
	for i := range s.Points {
		p := &out[i]
		p.Entry = s.Points[i]
		if j, ok := done[p.Folder]; ok {
			*p = out[j]
			p.Entry = s.Points[i]
			continue
		}
		done[p.Folder] = i
		var f *run.Failure
		if p.State, f = run.Look(s.Folder(i)); f != nil {
			p.Error = f.Error
		}
		if p.State != run.Complete {
			continue
		}
		m, err := run.ReadManifest(s.Folder(i))
		if err != nil {
			p.State, p.Error = run.Failed, err.Error()
			continue
		}
		if p.Summaries, err = report.Decode(m.Summary); err != nil {
			p.State, p.Error = run.Failed, fmt.Sprintf("%s: the summary in manifest.json is damaged: %v; remove the "+
				"folder, and the sweep computes it again", s.Folder(i), err)
			continue
		}
		for _, x := range p.Summaries {
			if x.Status != "" && p.Error == "" {
				p.Error = x.What + ": " + x.Status
			}
		}
		if c, ok := m.Comparison.(map[string]any); ok {
			v, _ := c["verdict"].(string)
			p.Verdict = compare.Verdict(v)
			if agree, old := c["agree"].(bool); old && v == "" { // of a run before there were three verdicts
				if p.Verdict = compare.Agree; !agree {
					p.Verdict = compare.Disagree
				}
			}
		}
	}
	return out, nil
}

// Counts are how many points are in which state.
type Counts struct {
	Points     int `json:"points"`
	Complete   int `json:"complete"`      // those that stopped early included
	Early      int `json:"stopped_early"` // by divergence
	Failed     int `json:"failed"`
	Running    int `json:"running"`
	Unfinished int `json:"unfinished"` // begun, and nobody is at work
	Waiting    int `json:"waiting"`
	Disagree   int `json:"disagree"`
	Undecided  int `json:"undecided"` // of those with a verdict
}

// Count counts points.
func Count(points []Point) Counts {
	c := Counts{Points: len(points)}
	for _, p := range points {
		switch p.State {
		case run.Complete:
			c.Complete++
			if p.Early() {
				c.Early++
			}
			switch p.Verdict {
			case compare.Disagree:
				c.Disagree++
			case compare.Undecided:
				c.Undecided++
			}
		case run.Failed:
			c.Failed++
		case run.Running:
			c.Running++
		case run.Unfinished:
			c.Unfinished++
		default:
			c.Waiting++
		}
	}
	return c
}

// String is the counts in words, those that are zero left out.
func (c Counts) String() string {
	s := fmt.Sprintf("%d of %d points complete", c.Complete, c.Points)
	for _, x := range []struct {
		n    int
		what string
	}{{c.Early, "of them stopped early"}, {c.Running, "running"}, {c.Failed, "failed"}, {c.Unfinished, "unfinished"},
		{c.Waiting, "waiting"}} {
		if x.n > 0 {
			s += fmt.Sprintf(", %d %s", x.n, x.what)
		}
	}
	return s
}

// Summarise writes summary.csv, a row per trajectory, and summary.npz, an array over the grid per quantity.
func (s *Sweep) Summarise(points []Point) (files []string, err error) {
	for _, f := range []struct {
		name  string
		write func(path string) error
	}{
		{"summary.csv", func(path string) error {
			return npy.Replace(path, func(w io.Writer) error { return s.writeCSV(w, points) })
		}},
		{"summary.npz", func(path string) error {
			a, err := s.arrays(points)
			return errors.Join(npy.WriteNPZ(path, a), err)
		}},
	} {
		path := filepath.Join(s.Dir, f.name)
		if err := f.write(path); err != nil {
			return files, fmt.Errorf("sweep folder: %w", err)
		}
		files = append(files, path)
	}
	return files, nil
}

// status is the state of a point in one word.
func (p Point) status() string {
	if p.Early() {
		return "stopped early"
	}
	return string(p.State)
}

// quantities are those that some trajectory has.
func quantities(points []Point) []report.Quantity {
	have := map[string]bool{}
	for _, p := range points {
		for _, x := range p.Summaries {
			for name := range x.Values {
				have[name] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(report.Quantities), func(q report.Quantity) bool { return !have[q.Name] })
}

// relativeFolder is the run folder of a point as seen from the sweep folder.
func (s *Sweep) relativeFolder(i int) string {
	return path.Join(filepath.ToSlash(s.Store), s.Points[i].Folder)
}

func (s *Sweep) writeCSV(w io.Writer, points []Point) error {
	qs := quantities(points)
	head := []string{"point"}
	for _, k := range s.Keys {
		head = append(head, k.Key)
	}
	head = append(head, "status", "what", "width", "dimension", "replicas", "steps")
	for _, q := range qs {
		head = append(head, q.Name)
	}
	head = append(head, "verdict", "error_message", "file", "folder")
	c := csv.NewWriter(w)
	if err := c.Write(head); err != nil {
		return err
	}
	for i, p := range points {
		rows := p.Summaries
		if len(rows) == 0 {
			rows = []report.Summary{{}}
		}
		for _, x := range rows {
			r := []string{strconv.Itoa(i)}
			for _, k := range s.Keys {
				r = append(r, p.Values[k.Key])
			}
			number := func(n int) string {
				if n == 0 && x.What == "" || n == 0 {
					return ""
				}
				return strconv.Itoa(n)
			}
			r = append(r, p.status(), x.What, number(x.Width), number(x.Dimension), number(x.Replicas), number(x.Steps))
			for _, q := range qs {
				v, ok := x.Values[q.Name]
				if !ok {
					r = append(r, "")
					continue
				}
				r = append(r, v.String())
			}
			message := x.Status
			if message == "" && len(p.Summaries) == 0 {
				message = p.Error
			}
			if err := c.Write(append(r, string(p.Verdict), message, x.File, s.relativeFolder(i))); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

// Numbers are the values of a key as numbers, or nil when some are not.
func (s *Sweep) Numbers(key string) []float64 {
	k := slices.IndexFunc(s.Keys, func(k Axis) bool { return k.Key == key })
	if k < 0 {
		return nil
	}
	var out []float64
	for _, v := range s.Keys[k].Values {
		i := slices.IndexFunc(s.Points, func(p Entry) bool { return p.Values[key] == v })
		x, ok := s.Experiments[i].Number(key)
		if !ok {
			return nil
		}
		out = append(out, x)
	}
	return out
}

// mostCurves is the most numbers of an array of curves. Longer ones are thinned.
const mostCurves = 1 << 24

// arrays are summary.npz: axis.<key> the values of a key, numbers or text, and over the grid of keys, in their order,
// status (0 complete, 1 stopped early, 2 failed, 3 not there) and <trajectory>.<quantity>, such as theory.loss or
// N256.loss; NaN where there is nothing. <trajectory>.curve.time, .loss, .loss_stderr, .test_loss and .test_loss_stderr
// have one more axis, the steps; NaN after the end of those that have fewer than others. Where that would be more than
// mostCurves numbers, only every n-th step is there, and the times say which. Curves that cannot be read are an error
// beside the rest.
func (s *Sweep) arrays(points []Point) (out []npy.Named, err error) {
	var errs []error
	shape := []int{}
	for _, k := range s.Keys {
		axis := npy.Named{Name: "axis." + k.Key, Text: k.Values}
		if x := s.Numbers(k.Key); x != nil {
			axis = npy.Named{Name: axis.Name, Array: npy.Array{Shape: []int{len(x)}, Data: x}}
		}
		out = append(out, axis)
		shape = append(shape, len(k.Values))
	}
	status := npy.Array{Shape: shape}
	for _, p := range points {
		v := 3.
		switch {
		case p.Early():
			v = 1
		case p.State == run.Complete:
			v = 0
		case p.State == run.Failed:
			v = 2
		}
		status.Data = append(status.Data, v)
	}
	out = append(out, npy.Named{Name: "status", Array: status})
	for _, what := range Trajectories(points) {
		name := strings.ReplaceAll(what, " = ", "")
		for _, q := range quantities(points) {
			a, any := npy.Array{Shape: shape}, false
			for _, p := range points {
				v := p.Value(what, q.Name)
				a.Data = append(a.Data, v)
				any = any || v == v
			}
			if any {
				out = append(out, npy.Named{Name: name + "." + q.Name, Array: a})
			}
		}
		curves, err := s.curveArrays(points, what, shape)
		errs = append(errs, err)
		for _, c := range curves {
			c.Name = name + ".curve." + c.Name
			out = append(out, c)
		}
	}
	return out, errors.Join(errs...)
}

// curveArrays are the curves of a trajectory at all points, those that can be read.
func (s *Sweep) curveArrays(points []Point, what string, shape []int) (out []npy.Named, err error) {
	names := []string{"time", "loss", "loss_stderr", "test_loss", "test_loss_stderr"}
	length := 0
	for _, p := range points {
		for _, x := range p.Summaries {
			if x.What == what && x.Steps < 1<<40 {
				length = max(length, x.Steps+1)
			}
		}
	}
	if length == 0 {
		return nil, nil
	}
	every := (length*len(points) + mostCurves - 1) / mostCurves
	length = (length + every - 1) / every
	arrays := make([][]float64, len(names))
	for i := range points {
		c, bad := s.curves(points, i, what)
		if bad != nil && err == nil {
			err = bad
		}
		for k, v := range [][]float64{c.Time, c.Loss, c.LossStderr, c.Test, c.TestStderr} {
			if len(v) > 0 && arrays[k] == nil {
				arrays[k] = make([]float64, len(points)*length)
				for t := range arrays[k] {
					arrays[k][t] = math.NaN()
				}
			}
			for t := 0; t*every < len(v) && t < length; t++ {
				arrays[k][i*length+t] = v[t*every]
			}
		}
	}
	for k, a := range arrays {
		if a != nil {
			out = append(out, npy.Named{Name: names[k], Array: npy.Array{Shape: append(slices.Clone(shape), length), Data: a}})
		}
	}
	return out, err
}

// curves are the losses of a trajectory of a point, none when it has no such trajectory.
func (s *Sweep) curves(points []Point, i int, what string) (c report.LossCurves, err error) {
	for _, x := range points[i].Summaries {
		if x.What != what {
			continue
		}
		file := filepath.Join(s.Folder(i), filepath.Base(x.File))
		m, err := npy.ReadNPZ(file, "time", "loss", "loss_stderr", "test_loss", "test_loss_stderr", "error",
			"error_stderr", "test_error", "test_error_stderr")
		if err != nil {
			return c, fmt.Errorf("%s: %w; remove the folder, and the sweep computes it again", s.Folder(i), err)
		}
		c = report.LossCurves{Time: m["time"].Data, Loss: m["loss"].Data, LossStderr: m["loss_stderr"].Data,
			Test: m["test_loss"].Data, TestStderr: m["test_loss_stderr"].Data,
			Error: m["error"].Data, ErrorStderr: m["error_stderr"].Data, TestError: m["test_error"].Data,
			TestErrorStderr: m["test_error_stderr"].Data}
		for _, v := range [][]float64{c.Loss, c.LossStderr, c.Test, c.TestStderr, c.Error, c.ErrorStderr, c.TestError,
			c.TestErrorStderr} {
			if len(v) != 0 && len(v) != len(c.Time) {
				return report.LossCurves{}, fmt.Errorf("%s is damaged: curves of length %d over %d times; remove its "+
					"folder, and the sweep computes it again", file, len(v), len(c.Time))
			}
		}
		return c, nil
	}
	return c, nil
}

// Trajectories are the names of the trajectories of points, in the order in which they appear.
func Trajectories(points []Point) []string {
	var out []string
	for _, p := range points {
		for _, x := range p.Summaries {
			if !slices.Contains(out, x.What) {
				out = append(out, x.What)
			}
		}
	}
	return out
}

// Value is a quantity of a trajectory of a point, NaN when there is none.
func (p Point) Value(what, quantity string) float64 {
	for _, x := range p.Summaries {
		if x.What == what {
			return x.Value(quantity)
		}
	}
	return report.Summary{}.Value(quantity)
}

// Grid is the sweep as figures take it.
func (s *Sweep) Grid(points []Point) report.Grid {
	e := s.Experiments[0].Experiment
	g := report.Grid{What: Trajectories(points), Caption: e.Description, Time: "step"}
	g.Reduction = e.Training.Reduction
	for _, p := range s.Experiments {
		if p.Experiment.Training.Reduction != g.Reduction {
			g.Reduction = ""
		}
	}
	switch {
	case e.HighDimensional():
		g.Time, g.Reduction = report.TimeLabel, "mean"
	case e.Method().IsFlow():
		g.Time = "time ηt"
	}
	for _, k := range s.Keys {
		g.Axes = append(g.Axes, report.GridAxis{Key: k.Key, Labels: k.Values, Numbers: s.Numbers(k.Key)})
	}
	g.Value = func(i int, what, quantity string) float64 {
		for _, x := range points[i].Summaries {
			if x.What == what && x.Status != "" { // the end of what diverged means nothing
				return math.NaN()
			}
		}
		return points[i].Value(what, quantity)
	}
	g.Curves = func(i int, what string) (report.LossCurves, error) { return s.curves(points, i, what) }
	return g
}
