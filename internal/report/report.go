// Package report turns trajectories into what a person reads: tables and figures of theory against finite networks.
package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
)

// Result is one experiment's outcome.
type Result struct {
	Label   string             `json:"label,omitempty"` // which point of a product
	Title   string             `json:"-"`               // in place of what the label says
	Theory  *dmft.Trajectory   `json:"-"`
	Sims    []*dmft.Trajectory `json:"-"` // smallest width first
	Methods []Method           `json:"-"` // approximations beside the theory
	Compare *compare.Report    `json:"comparison,omitempty"`

	Fluctuations *fluctuation.Result `json:"-"` // predicted of finite width

	Points, TestPoints, Outputs int
	Mean                        bool   // losses are means over samples, else sums
	Method                      string // of the theory
	LossName                    string // mse, logistic, cross-entropy
	Flow                        bool   // time is continuous
}

// Method is the trajectory of a named approximation.
type Method struct {
	Name string
	*dmft.Trajectory
}

// Row is the summary of one trajectory.
type Row struct {
	Label       string  `json:"label,omitempty"`
	What        string  `json:"what"` // "theory" or "N = 256"
	Width       int     `json:"width,omitempty"`
	Replicas    int     `json:"replicas"`
	Sites       int     `json:"sites,omitempty"` // of the theory, in all blocks
	Steps       int     `json:"steps"`
	Status      string  `json:"status,omitempty"`
	Reduction   string  `json:"reduction"` // of the losses over samples: sum or mean
	Loss        float64 `json:"loss"`
	LossStderr  float64 `json:"loss_stderr"` // this and the standard errors below are NaN of one network or block
	InitialLoss float64 `json:"initial_loss"`
	TestLoss    float64 `json:"test_loss,omitempty"`
	TestStderr  float64 `json:"test_loss_stderr,omitempty"`
	// Classification errors from 0 to 1; nil where the targets are no class labels.
	Error           *float64 `json:"classification_error,omitempty"`
	ErrorStderr     *float64 `json:"classification_error_stderr,omitempty"`
	TestError       *float64 `json:"test_classification_error,omitempty"`
	TestErrorStderr *float64 `json:"test_classification_error_stderr,omitempty"`

	FStderr         float64 `json:"f_stderr"` // root mean square over times and points
	Alignment       float64 `json:"alignment,omitempty"`
	KernelMovement  float64 `json:"kernel_movement,omitempty"`
	FeatureMovement float64 `json:"feature_movement,omitempty"`
}

// Rows summarises every trajectory of a result at its last step.
func (r Result) Rows() []Row {
	var rows []Row
	add := func(what string, sites bool, t *dmft.Trajectory) {
		if t == nil {
			return
		}
		last := len(t.Loss) - 1
		if last < 0 { // it stopped before anything was recorded
			none := math.NaN()
			rows = append(rows, Row{Label: r.Label, What: what, Width: t.Width, Replicas: t.Replicas,
				Status: string(t.Status.Code), Reduction: r.reduction(), Loss: none, LossStderr: none,
				InitialLoss: none, FStderr: none})
			return
		}
		row := Row{Label: r.Label, What: what, Width: t.Width, Replicas: t.Replicas, Steps: max(last, t.Status.Step),
			Loss: t.Loss[last], LossStderr: t.LossStderr[last], InitialLoss: t.Loss[0],
			Reduction: r.reduction()}
		if t.Status.Early() {
			row.Status = string(t.Status.Code)
		}
		if sites {
			row.Sites = t.Width * t.Replicas
		}
		if len(t.TestLoss) > last {
			row.TestLoss, row.TestStderr = t.TestLoss[last], t.TestLossStderr[last]
		}
		for _, x := range []struct {
			from []float64
			to   **float64
		}{{t.Error, &row.Error}, {t.ErrorStderr, &row.ErrorStderr}, {t.TestError, &row.TestError},
			{t.TestErrorStderr, &row.TestErrorStderr}} {
			if len(x.from) > last {
				*x.to = &x.from[last]
			}
		}
		s := 0.
		for _, v := range t.FStderr.Data {
			s += v * v
		}
		row.FStderr = math.Sqrt(s / float64(max(len(t.FStderr.Data), 1)))
		if k := len(t.Alignment) - 1; k >= 0 {
			row.Alignment, row.KernelMovement, row.FeatureMovement = t.Alignment[k], t.KernelMovement[k],
				t.PhiMovement.At(k).Data[t.PhiMovement.Shape[1]-1]
		}
		if alone(t) {
			none := math.NaN()
			row.LossStderr, row.TestStderr, row.FStderr, row.ErrorStderr, row.TestErrorStderr = none, none, none, nil, nil
		}
		rows = append(rows, row)
	}
	add("theory", true, r.Theory)
	for _, m := range r.Methods {
		add(m.Name, true, m.Trajectory)
	}
	for _, s := range r.Sims {
		add(fmt.Sprintf("N = %d", s.Width), false, s)
	}
	return rows
}

// Table writes the summaries of results for people.
func Table(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	labels, sites := false, false
	test, kernels, classes, testClasses := false, false, false, false
	reduction := ""
	for _, r := range results {
		labels = labels || r.Label != ""
		for _, row := range r.Rows() {
			sites = sites || row.Sites > 0
			test, kernels = test || row.TestLoss != 0, kernels || row.KernelMovement != 0 || row.Alignment != 0
			classes, testClasses = classes || row.Error != nil, testClasses || row.TestError != nil
		}
	}
	if len(results) > 0 {
		if reduction = results[0].reduction(); !same(results, Result.reduction) {
			reduction = "sum or mean"
		}
	}
	var head []string
	if labels {
		head = append(head, "point")
	}
	head = append(head, "")
	if sites {
		head = append(head, "sites")
	}
	head = append(head, "replicas", "steps", "loss ("+reduction+")", "± s.e.")
	if classes {
		head = append(head, "error", "± s.e.")
	}
	if test {
		head = append(head, "test loss ("+reduction+")", "± s.e.")
	}
	if testClasses {
		head = append(head, "test error", "± s.e.")
	}
	if kernels {
		head = append(head, "NTK alignment", "NTK moved", "Φ moved")
	}
	head = append(head, "f: s.e.")
	fmt.Fprintln(t, strings.Join(head, "\t")+"\t")
	for _, r := range results {
		for _, row := range r.Rows() {
			var f []string
			if labels {
				f = append(f, row.Label)
			}
			steps := fmt.Sprint(row.Steps)
			if row.Status != "" {
				steps += " (" + row.Status + ")"
			}
			f = append(f, row.What)
			switch {
			case row.Sites > 0:
				f = append(f, fmt.Sprint(row.Sites))
			case sites:
				f = append(f, "")
			}
			f = append(f, fmt.Sprint(row.Replicas), steps, sig(row.Loss), sig(row.LossStderr))
			if classes {
				f = append(f, maybe(row.Error), maybe(row.ErrorStderr))
			}
			if test {
				f = append(f, sig(row.TestLoss), sig(row.TestStderr))
			}
			if testClasses {
				f = append(f, maybe(row.TestError), maybe(row.TestErrorStderr))
			}
			if kernels {
				f = append(f, fmt.Sprintf("%.3f", row.Alignment), fmt.Sprintf("%.3f", row.KernelMovement),
					fmt.Sprintf("%.3f", row.FeatureMovement))
			}
			f = append(f, sig(row.FStderr))
			fmt.Fprintln(t, strings.Join(f, "\t")+"\t")
		}
	}
	if err := t.Flush(); err != nil || len(results) == 0 {
		return err
	}
	note := "losses: " + reduction + " over samples, as training.loss.reduction says"
	if r := results[0]; same(results, func(r Result) [2]int { return [2]int{r.Points, r.TestPoints} }) && r.Points > 0 {
		note += fmt.Sprintf(", %d for training", r.Points)
		if r.TestPoints > 0 {
			note += fmt.Sprintf(", %d for test", r.TestPoints)
		}
	}
	if classes {
		note += "; errors: the part of the samples that is classified wrongly"
	}
	_, err := fmt.Fprintln(w, note)
	return err
}

// same says whether something is the same of all results.
func same[T comparable](results []Result, of func(Result) T) bool {
	for _, r := range results {
		if of(r) != of(results[0]) {
			return false
		}
	}
	return true
}

// reduction is what losses are over samples.
func (r Result) reduction() string {
	if r.Mean {
		return "mean"
	}
	return "sum"
}

// lossLabel names a loss with its normalisation; which is such as training or test.
func (r Result) lossLabel(which string) string {
	return which + " loss (" + r.reduction() + " over samples)"
}

func maybe(v *float64) string {
	if v == nil {
		return "–"
	}
	return sig(*v)
}

func sig(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	}
	return fmt.Sprintf("%.3g", v)
}

// kept writes a distance of kernels, which is zero only where none are kept.
func kept(v float64) string {
	if v == 0 {
		return "–"
	}
	return sig(v)
}

// Distances writes how far finite networks are from the theory, and at what rate they approach it.
func Distances(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	labels := false
	for _, r := range results {
		labels = labels || r.Label != ""
	}
	head := []string{"width", "seeds", "one network: ‖f_N − f_∞‖", "± s.e.", "mean of seeds", "noise", "within 3 s.e.",
		"NTK", "Φ"}
	if labels {
		head = append([]string{"point"}, head...)
	}
	for _, r := range results {
		if r.Compare == nil {
			continue
		}
		for _, x := range r.Compare.Widths {
			if head != nil {
				fmt.Fprintln(t, strings.Join(head, "\t")+"\t")
				head = nil
			}
			stderr, noise, within := scatter(x.Seeds, x.ErrorStderr, x.Noise, x.Within3)
			f := []string{fmt.Sprint(x.N), fmt.Sprint(x.Seeds), sig(x.Error), stderr, sig(x.Mean), noise, within,
				kept(x.Kernel), kept(x.Feature)}
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
		if len(r.Compare.Widths) > 1 {
			fmt.Fprintf(w, "%serror of one network falls as N^p, p = %s\n", prefix, r.Compare.Error)
			fmt.Fprintf(w, "%sbias of the mean falls as N^p, p = %s\n", prefix, r.Compare.Bias)
		}
		for _, x := range r.Spreads() {
			fmt.Fprintf(w, "%svariance of %s over %d seeds at N = %d, measured over predicted: %.3g, 95 %% interval "+
				"[%.3g, %.3g]\n", prefix, x.What, x.Seeds, x.Width, x.Ratio, x.Lo, x.Hi)
		}
		fmt.Fprintf(w, "%s%s\n", prefix, r.Compare.Outcome)
	}
	return nil
}

// alone says whether a trajectory is of one network or one block of sites, which says nothing of how others scatter.
// A theory that draws no samples has no width and no error.
func alone(t *dmft.Trajectory) bool { return t.Replicas == 1 && t.Width > 0 }

// scatter writes what is known only of several networks: the standard error of their distance, the noise of their mean,
// and the part of the predictions within three standard errors.
func scatter(seeds int, stderr, noise, within float64) (_, _, _ string) {
	if seeds < 2 {
		return "–", "–", "–"
	}
	return sig(stderr), sig(noise), fmt.Sprintf("%.0f %%", 100*within)
}

// Spreads compares the scatter of every ensemble with its prediction, where there is one.
func (r Result) Spreads() []fluctuation.Spread {
	var out []fluctuation.Spread
	if r.Fluctuations != nil {
		for _, s := range r.Sims {
			out = append(out, r.Fluctuations.Measure(s)...)
		}
	}
	return out
}
