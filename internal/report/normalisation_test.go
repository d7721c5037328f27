package report

import (
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// TestOneLoss: tables, rows and figures have the numbers of the arrays, and say whether they are sums or means over
// samples.
func TestOneLoss(t *testing.T) {
	for _, mean := range []bool{false, true} {
		name := map[bool]string{false: "sum", true: "mean"}[mean]
		theory, sim := trajectory(1000, 2, 5, 1), trajectory(64, 2, 5, 1)
		for _, x := range []*dmft.Trajectory{theory, sim} {
			x.TestLoss, x.TestLossStderr = scaled(x.Loss, 3), x.LossStderr
			x.Error, x.ErrorStderr = []float64{0.5, 0.4, 0.3, 0.2, 0.1, 0}, make([]float64, 6)
			x.TestError, x.TestErrorStderr = []float64{0.5, 0.4, 0.3, 0.2, 0.1, 0.25}, make([]float64, 6)
		}
		r := Result{Theory: theory, Sims: []*dmft.Trajectory{sim}, Points: 5, TestPoints: 7, Outputs: 1, Mean: mean}
		for _, row := range r.Rows() {
			if row.Loss != theory.Loss[5] || row.TestLoss != theory.TestLoss[5] || row.Reduction != name ||
				*row.Error != 0 || *row.TestError != 0.25 {
				t.Errorf("row %+v", row)
			}
		}
		var b strings.Builder
		if err := Table(&b, []Result{r}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"loss (" + name + ")", "test loss (" + name + ")", "test error",
			sig(theory.Loss[5]), "losses: " + name + " over samples", "5 for training, 7 for test"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("the table has no %q:\n%s", want, b.String())
			}
		}
		if f, _ := lossFigure([]Result{r}); len(f.Panels) != 2 ||
			f.Panels[1].Y.Label != "test loss ("+name+" over samples)" ||
			f.Panels[0].Series[0].Y[5] != theory.Loss[5] || f.Panels[1].Series[1].Y[5] != sim.TestLoss[5] {
			t.Errorf("figure %+v", f.Panels)
		}
		f, ok := errorFigure([]Result{r})
		if !ok || len(f.Panels) != 2 || f.Panels[1].Series[1].Y[5] != 0.25 {
			t.Errorf("errors %+v", f.Panels)
		}
		for _, s := range r.Summaries(0.5, nil) {
			if s.Value("loss") != theory.Loss[5] || s.Value("test_classification_error") != 0.25 ||
				s.Value("classification_error") != 0 {
				t.Errorf("summary %+v", s)
			}
		}
	}
	g := Grid{Reduction: "mean"}
	if q, _ := FindQuantity("min_test_loss"); g.label(q) != "smallest test loss (mean over samples)" {
		t.Error(g.label(q))
	}
	if q, _ := FindQuantity("half_time"); g.label(q) != q.Label {
		t.Error(g.label(q))
	}
}

// TestLimitKeys: the static NTK is drawn unlike the limit that learns features.
func TestLimitKeys(t *testing.T) {
	a, b := limit(nil, nil, nil, methodName("full")), limit(nil, nil, nil, methodName("lazy"))
	if a.Label != "N = ∞" || b.Label != "static NTK" || a.Style == b.Style || a.Color == b.Color ||
		a.Style != figure.Dashed {
		t.Errorf("%+v %+v", a, b)
	}
}
