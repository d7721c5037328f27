package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
)

// TestAlone: one network or one block of sites has no standard error, which is neither zero nor printed as zero; a
// theory that draws no samples has none to be ignorant of.
func TestAlone(t *testing.T) {
	for _, replicas := range []int{1, 2} {
		theory, sim, exact := trajectory(1000, 1, 5, 1), trajectory(64, 1, 5, 1), trajectory(0, 1, 5, 1)
		theory.Replicas, sim.Replicas, exact.Replicas = replicas, replicas, 1
		for _, x := range []*dmft.Trajectory{theory, sim, exact} {
			x.TestLoss, x.TestLossStderr = x.Loss, x.LossStderr
		}
		r := Result{Theory: theory, Sims: []*dmft.Trajectory{sim}, Methods: []Method{{"lazy", exact}}, Outputs: 1,
			Compare: &compare.Report{Convergences: &compare.Convergences{},
				Widths: []compare.Width{{N: 64, Seeds: replicas, Error: 0.1, Noise: 0.01, Within3: 0.69}}}}
		for _, row := range r.Rows() {
			none := replicas == 1 && row.What != "lazy"
			for _, v := range []float64{row.LossStderr, row.TestStderr, row.FStderr} {
				if math.IsNaN(v) != none {
					t.Errorf("%d replicas, %s: %+v", replicas, row.What, row)
				}
			}
		}
		for _, row := range r.Gaps(0.5, nil) {
			if math.IsNaN(row.Stderr) != (replicas == 1) || math.IsNaN(row.TestErr) != (replicas == 1) {
				t.Errorf("%d replicas, %s: %+v", replicas, row.What, row)
			}
		}
		for _, s := range r.Summaries(0.5, nil) {
			none := replicas == 1 && s.What != "lazy"
			if _, ok := s.Values["loss_stderr"]; ok == none || math.IsNaN(s.Value("loss")) {
				t.Errorf("%d replicas, %s: %v", replicas, s.What, s.Values)
			}
			if s.Width > 0 && (math.IsNaN(s.Value("mean_error_noise")) != none || s.Value("error") != 0.1) {
				t.Errorf("%d replicas, %s: %v", replicas, s.What, s.Values)
			}
		}
		var b strings.Builder
		if err := Distances(&b, []Result{r}); err != nil || strings.Contains(b.String(), "69 %") != (replicas > 1) {
			t.Errorf("%d replicas: %v\n%s", replicas, err, b.String())
		}
		if row := strings.Fields(strings.Split(b.String(), "\n")[1]); !slices.Equal(row[len(row)-2:], []string{"–", "–"}) {
			t.Errorf("distances of kernels that are not kept: %v", row)
		}
	}
	// Dimensions: the theory of one block is not the business of this test, one network is.
	x := &highdim.Trajectory{Dimension: 40, Replicas: 1, Time: []float64{0, 1}, Loss: []float64{1, 0.1},
		TestLoss:   []float64{1, 1},
		LossStderr: []float64{0, 0}, TestLossStderr: []float64{0, 0}}
	h := HighDimensional{Problem: &highdim.Problem{}, Fraction: 0.5, Sims: []*highdim.Trajectory{x}}
	if g := h.Gaps(); !math.IsNaN(g[0].Stderr) || !math.IsNaN(g[0].TestErr) {
		t.Errorf("%+v", g)
	}
	if s := h.Summaries(); !math.IsNaN(s[0].Value("loss_stderr")) || s[0].Value("loss") != 0.1 {
		t.Errorf("%v", s[0].Values)
	}
}

// TestDivergedRange: a loss that grows by more than the decades of an axis leaves the axis, as one that grows by less
// does.
func TestDivergedRange(t *testing.T) {
	for _, end := range []float64{1e3, 1e7, 1e13, 1e200} {
		bad := trajectory(64, 1, 5, 1)
		bad.Loss, bad.LossStderr = []float64{1, 0.5, 2, 1e2, 1e3, end}, []float64{0, 0, 1, 1e2, 1e3, end}
		f, ok := lossFigure([]Result{{Theory: trajectory(1000, 1, 5, 1), Sims: []*dmft.Trajectory{bad}, Outputs: 1}})
		if y := f.Panels[0].Y; !ok || y.Max > 10 || y.Min < 1e-7 || y.Min > 0.5 {
			t.Errorf("a loss from 1 to %g has an axis from %g to %g", end, y.Min, y.Max)
		}
	}
}
