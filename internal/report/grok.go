package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
)

// HighDimensional is the outcome of one experiment on high-dimensional data.
type HighDimensional struct {
	Label      string
	Title      string // in place of what the label says
	Caption    string // what the experiment is, for its figures
	Problem    *highdim.Problem
	Fraction   float64 // of the initial losses, at which the grokking gap is taken
	Theory     *highdim.Trajectory
	Sims       []*highdim.Trajectory // smallest dimension first
	Linearised *highdim.Trajectory   // the linearised model in the largest dimension, or nil
	Compare    *highdim.Report
}

// GapRow is a grokking gap with the trajectory it belongs to.
type GapRow struct {
	Label     string         `json:"label,omitempty"`
	What      string         `json:"what"` // "theory", "D = 400", "N = 256"
	Dimension int            `json:"dimension,omitempty"`
	Width     int            `json:"width,omitempty"`
	Replicas  int            `json:"replicas"`
	Steps     int            `json:"steps"`
	Status    string         `json:"status,omitempty"`
	Reduction string         `json:"reduction"` // of the losses over samples: sum or mean
	Loss      float64        `json:"loss"`
	Stderr    float64        `json:"loss_stderr"`
	TestLoss  float64        `json:"test_loss"`
	TestErr   float64        `json:"test_loss_stderr"`
	Found     *float64       `json:"target_found,omitempty"` // Σ_k β_k·Mβ_k/D²
	Gap       highdim.Spread `json:"gap"`
}

// Gaps are the losses at the end and the grokking gap of every trajectory.
func (r HighDimensional) Gaps() []GapRow {
	var rows []GapRow
	add := func(what string, t *highdim.Trajectory) {
		if t == nil {
			return
		}
		if len(t.Time) == 0 { // it stopped before anything was recorded
			none := math.NaN()
			rows = append(rows, GapRow{Label: r.Label, What: what, Dimension: t.Dimension, Replicas: t.Replicas,
				Status: string(t.Status.Code), Loss: none, Stderr: none, TestLoss: none, TestErr: none,
				Gap: highdim.NewSpread(nil, nil, nil, dmft.Array{}, dmft.Array{}, r.Fraction)})
			return
		}
		k := len(t.Time) - 1
		row := GapRow{Label: r.Label, What: what, Dimension: t.Dimension, Replicas: t.Replicas, Steps: k,
			Reduction: "mean", Loss: t.Loss[k], Stderr: t.LossStderr[k], TestLoss: t.TestLoss[k], TestErr: t.TestLossStderr[k],
			Gap: highdim.SpreadOf(t, r.Fraction)}
		if !t.Moments.Empty() {
			row.Found = &t.Moments.At(k).Data[highdim.SecondOverlap]
		}
		if t.Status.Early() {
			row.Status = string(t.Status.Code)
		}
		if t != r.Theory && t.Replicas == 1 { // one network says nothing of how others scatter
			row.Stderr, row.TestErr = math.NaN(), math.NaN()
		}
		rows = append(rows, row)
	}
	add("theory", r.Theory)
	for _, s := range r.Sims {
		add(fmt.Sprintf("D = %d", s.Dimension), s)
	}
	add("linearised", r.Linearised)
	return rows
}

// Gaps are the grokking gaps of an experiment on fixed data with test points. The targets of test points are for the
// spread over replicas, which mse alone has.
func (r Result) Gaps(fraction float64, targets *mat.Dense) []GapRow {
	var rows []GapRow
	add := func(what string, t *dmft.Trajectory) {
		if t == nil || len(t.Time) == 0 || len(t.TestLoss) != len(t.Time) {
			return
		}
		k := len(t.Time) - 1
		row := GapRow{Label: r.Label, What: what, Replicas: t.Replicas, Steps: max(k, t.Status.Step),
			Reduction: r.reduction(), Loss: t.Loss[k], Stderr: t.LossStderr[k], TestLoss: t.TestLoss[k],
			TestErr: t.TestLossStderr[k]}
		if t != r.Theory {
			row.Width = t.Width
		}
		if alone(t) {
			row.Stderr, row.TestErr = math.NaN(), math.NaN()
		}
		if t.Status.Early() {
			row.Status = string(t.Status.Code)
		}
		losses, tests := t.LossReplicas, r.testLosses(t, targets)
		if t == r.Theory { // blocks of sites are no networks: their own losses have their sampling error
			losses = dmft.Array{}
		}
		row.Gap = highdim.NewSpread(t.Time, t.Loss, t.TestLoss, losses, tests, fraction)
		rows = append(rows, row)
	}
	add("theory", r.Theory)
	for _, s := range r.Sims {
		add(fmt.Sprintf("N = %d", s.Width), s)
	}
	return rows
}

// testLosses are the test losses of every replica, up to a factor, or nothing.
func (r Result) testLosses(t *dmft.Trajectory, targets *mat.Dense) dmft.Array {
	if targets == nil || t.FTestReplicas.Empty() || !(dmft.Loss{Kind: dmft.LossKind(r.LossName)}).Quadratic() {
		return dmft.Array{}
	}
	y := targets.RawMatrix()
	n := y.Rows * y.Cols
	out := dmft.NewArray(t.Replicas, len(t.Time))
	for j := range t.Replicas {
		f := t.FTestReplicas.At(j).Data
		if len(f) < n*len(t.Time) {
			return dmft.Array{}
		}
		for k := range t.Time {
			for i := range n {
				d := f[k*n+i] - y.Data[i/y.Cols*y.Stride+i%y.Cols]
				out.At(j).Data[k] += d * d
			}
		}
	}
	return out
}

// GapTable writes grokking gaps for people.
func GapTable(w io.Writer, rows []GapRow) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	labels, found, reduction := false, false, ""
	for _, r := range rows {
		labels, found = labels || r.Label != "", found || r.Found != nil
	}
	if len(rows) > 0 {
		if reduction = " (" + rows[0].Reduction + ")"; slices.ContainsFunc(rows,
			func(r GapRow) bool { return r.Reduction != rows[0].Reduction }) {
			reduction = " (sum or mean)"
		}
	}
	head := []string{"", "replicas", "steps", "train loss" + reduction, "± s.e.", "test loss" + reduction, "± s.e."}
	if labels {
		head = append([]string{"point"}, head...)
	}
	if found {
		head = append(head, "βMβ/D²")
	}
	head = append(head, "train learned", "test learned", "grokking gap")
	fmt.Fprintln(t, strings.Join(head, "\t")+"\t")
	for _, r := range rows {
		steps := fmt.Sprint(r.Steps)
		if r.Status != "" {
			steps += " (" + r.Status + ")"
		}
		f := []string{r.What, fmt.Sprint(r.Replicas), steps, sig(r.Loss), sig(r.Stderr), sig(r.TestLoss), sig(r.TestErr)}
		if labels {
			f = append([]string{r.Label}, f...)
		}
		if found {
			x := ""
			if r.Found != nil {
				x = sig(*r.Found)
			}
			f = append(f, x)
		}
		f = append(f, when(r.Gap.Median.Train), when(r.Gap.Median.Test), r.Gap.String())
		fmt.Fprintln(t, strings.Join(f, "\t")+"\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(rows) > 0 {
		g := rows[0].Gap
		_, err := fmt.Fprintf(w, "learned: the last time above %g of the initial loss (never: not until %s); gap: "+
			"log₁₀ of test over train, median [quartiles] of replicas\n", g.Fraction, sig(g.Horizon))
		return err
	}
	return nil
}

func when(t float64) string {
	if math.IsInf(t, 1) {
		return "never"
	}
	return sig(t)
}

// HighDimensionalDistances writes how far simulations are from the theory.
func HighDimensionalDistances(w io.Writer, results []HighDimensional) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	head := []string{"D", "seeds", "one network", "± s.e.", "mean of seeds", "noise", "train", "test", "within 3 s.e."}
	labels := len(results) > 1
	if labels {
		head = append([]string{"point"}, head...)
	}
	for _, r := range results {
		if r.Compare == nil {
			continue
		}
		for _, x := range r.Compare.Dimensions {
			if head != nil {
				fmt.Fprintln(t, strings.Join(head, "\t")+"\t")
				head = nil
			}
			stderr, noise, within := scatter(x.Seeds, x.ErrorStderr, x.Noise, x.Within3)
			f := []string{fmt.Sprint(x.Dimension), fmt.Sprint(x.Seeds), sig(x.Error), stderr, sig(x.Mean), noise,
				sig(x.Train), sig(x.Test), within}
			if labels {
				f = append([]string{r.Label}, f...)
			}
			fmt.Fprintln(t, strings.Join(f, "\t")+"\t")
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.Compare == nil {
			continue
		}
		prefix := ""
		if r.Label != "" {
			prefix = r.Label + ": "
		}
		if len(r.Compare.Dimensions) > 1 && !labels {
			fmt.Fprintf(w, "%serror of one network falls as D^p, p = %s\n", prefix, r.Compare.Error)
		}
		if _, err := fmt.Fprintf(w, "%s%s\n", prefix, r.Compare.Outcome); err != nil {
			return err
		}
	}
	return nil
}

// A PhaseDiagram is the grokking gap over two quantities. Rows are of Y; a gap that was not computed has NaN times.
type PhaseDiagram struct {
	XKey, YKey string // keys of the experiment file
	X, Y       []float64
	Maps       []PhaseMap
	Fraction   float64
	Horizon    float64                                     // last time
	Caption    string                                      //
	At         func(x, y float64) (problem PhaseThreshold) // parameters of a point, for the thresholds; nil draws none
}

// PhaseMap is one panel.
type PhaseMap struct {
	Title     string          `json:"what"`
	Dimension int             `json:"dimension,omitempty"`
	Gap       [][]highdim.Gap `json:"gap"`
}

// PhaseThreshold are the quantities that say how much data kernel regression and feature learning need.
type PhaseThreshold struct {
	Ratio, Epsilon float64 // δ, ε
}

// MarshalJSON leaves the function out.
func (p PhaseDiagram) MarshalJSON() ([]byte, error) {
	return jsonx.Marshal(map[string]any{"x": p.X, "y": p.Y, "x_key": p.XKey, "y_key": p.YKey, "fraction": p.Fraction,
		"last_time": p.Horizon, "maps": p.Maps})
}
