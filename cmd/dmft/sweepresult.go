package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

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
	s.drawings = append(s.drawings, drawing{s.Dir, func() ([]report.Named,
		error) {
		return report.SweepFigures(grid, nil)
	}})
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
			return usageError{fmt.Errorf("--quantity %s is not known; there are %s", q,
				strings.Join(report.QuantityNames(), ", "))}
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
			fmt.Fprintf(s.printed, "whether theory and simulation agree is undecided at %d of %d points (column "+
				"verdict of summary.csv; compare says what is needed)\n", c.Undecided, c.Points)
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
		errs = append(errs,
			fmt.Sprintf("%d of %d points stopped early, which would happen again: change the experiment", c.Early, c.Points))
	}
	if left := c.Points - c.Complete - c.Failed; left > 0 {
		errs = append(errs, fmt.Sprintf("%d of %d points are not finished; the same command goes on", left, c.Points))
	}
	if errs != nil {
		return errors.New(strings.Join(errs, "\n"))
	}
	if c.Disagree > 0 {
		return disagreement{fmt.Errorf("theory and simulation DISAGREE at %d of %d points (column verdict of "+
			"summary.csv)", c.Disagree, c.Points)}
	}
	return nil
}

// table prints the results of a few points.
func (s *sweeping) table(points []sweep.Point) error {
	t := tabwriter.NewWriter(s.printed, 0, 4, 2, ' ', tabwriter.AlignRight)
	columns := []string{"loss", "classification_error", "test_loss", "test_classification_error", "half_time",
		"kernel_movement", "gap", "error", "seconds"}
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
