package standard_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure/standard"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

func problem() *dmft.Problem {
	return &dmft.Problem{
		Data: dmft.Data{Inputs: mat.NewDense(3, 2, []float64{1, 1, 1, -1, 0.5, 2}),
			Targets: mat.NewDense(3, 1, []float64{1, -1, 0.5})},
		Network:  dmft.Network{Activation: kernels.Activation{Name: "tanh"}},
		Richness: 1,
		Training: dmft.Training{Method: ode.Method{LearningRate: 0.1}, Steps: 30},
	}
}

func names(f []standard.Figure) (out []string) {
	for _, x := range f {
		out = append(out, x.Name)
	}
	return out
}

// TestFigures: the figures are those of what the trajectories hold, titles are as they are given, networks in any
// order, and every one is drawn in every format.
func TestFigures(t *testing.T) {
	p := problem()
	p.Network.Kind, p.Network.Depth = dmft.MLP, 2
	run := dmft.Run{Record: dmft.Record{Kernels: 4, Preactivations: 200, TwoTime: 5}}
	theory, err := dmft.Solve(t.Context(), p, dmft.Settings{Samples: 400, Run: run})
	if err != nil {
		t.Fatal(err)
	}
	var nets []*dmft.Trajectory
	for _, n := range []int{64, 16} {
		tr, err := finite.Train(t.Context(), p, finite.Settings{Width: n, Seeds: 4, Run: run})
		if err != nil {
			t.Fatal(err)
		}
		nets = append(nets, tr)
	}
	figures, err := standard.Figures(standard.Comparison{Title: "γ₀ = 1, by hand", Problem: p, Theory: theory,
		Networks: nets})
	if err != nil {
		t.Fatal(err)
	}
	got := names(figures)
	for _, want := range []string{"loss", "kernels", "preactivations", "width", "heatmaps", "two-time", "layers",
		"spectrum"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s among %v", want, got)
		}
	}
	loss := figures[0]
	if s := loss.Panels[0].Series; loss.Panels[0].Title != "γ₀ = 1, by hand" || len(s) != 3 || s[1].Label != "N = 16" ||
		s[2].Label != "N = 64" || nets[0].Width != 64 {
		t.Errorf("%+v", loss.Panels[0])
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	files, err := standard.Save(dir, figures)
	if err != nil || len(files) != 3*len(figures) {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if st, err := os.Stat(f); err != nil || st.Size() < 500 {
			t.Errorf("%s: %v", f, err)
		}
	}
	alone, err := standard.Figures(standard.Comparison{Problem: p, Networks: nets[:1]},
		standard.Comparison{Problem: p, Theory: theory})
	if err != nil || !slices.Contains(names(alone), "loss") || slices.Contains(names(alone), "width") {
		t.Errorf("%v %v", names(alone), err)
	}
}

// TestStopped: trajectories that an observer stopped at different steps are drawn as far as they go.
func TestStopped(t *testing.T) {
	p := problem()
	theory, err := dmft.Solve(t.Context(), p, dmft.Settings{Samples: 400,
		Run: dmft.Run{Record: dmft.Record{Kernels: 31}, Observe: func(o *dmft.Observation) bool { return o.Step == 12 }}})
	if err != nil {
		t.Fatal(err)
	}
	net, err := finite.Train(t.Context(), p, finite.Settings{Width: 16, Seeds: 4,
		Run: dmft.Run{Record: dmft.Record{Kernels: 31}, Observe: func(o *dmft.Observation) bool { return o.Step == 0 }}})
	if err != nil {
		t.Fatal(err)
	}
	figures, err := standard.Figures(standard.Comparison{Problem: p, Theory: theory, Networks: []*dmft.Trajectory{net}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := standard.Save(t.TempDir(), figures, "svg"); err != nil {
		t.Error(err)
	}
}

func TestHighDimensional(t *testing.T) {
	p := &highdim.Problem{Ratio: 4, Units: 2, OutputScale: 1,
		Activation: kernels.Activation{Name: kernels.QuadraticMixName, Parameter: 0.5},
		Target:     highdim.Target{Overlaps: [][]float64{{0.3}, {-0.25}}},
		Training:   highdim.Training{Method: ode.Method{LearningRate: 0.1}, Steps: 20}}
	theory, err := highdim.Solve(t.Context(), p, highdim.Settings{Samples: 2048})
	if err != nil {
		t.Fatal(err)
	}
	var sims []*highdim.Trajectory
	for _, d := range []int{40, 20} {
		s, err := highdim.Simulate(t.Context(), p, highdim.Simulation{Dimension: d, Seeds: 3})
		if err != nil {
			t.Fatal(err)
		}
		sims = append(sims, s)
	}
	figures, err := standard.HighDimensionalFigures(standard.HighDimensional{Title: "δ = 4", Problem: p, Theory: theory,
		Simulations: sims})
	if err != nil || len(figures) < 3 {
		t.Fatal(names(figures), err)
	}
	if _, err := standard.Save(t.TempDir(), figures, "svg"); err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	p := problem()
	tr := &dmft.Trajectory{}
	for want, f := range map[string]func() error{
		"no problem":     func() error { _, err := standard.Figures(standard.Comparison{Theory: tr}); return err },
		"no trajectory":  func() error { _, err := standard.Figures(standard.Comparison{Problem: p}); return err },
		"room for 6":     func() error { _, err := standard.Figures(make([]standard.Comparison, 7)...); return err },
		"unknown format": func() error { _, err := standard.Save(t.TempDir(), some(t), "jpg"); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

func some(t *testing.T) []standard.Figure {
	p := problem()
	theory, err := dmft.Solve(t.Context(), p, dmft.Settings{Samples: 400})
	if err != nil {
		t.Fatal(err)
	}
	f, err := standard.Figures(standard.Comparison{Problem: p, Theory: theory})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ExampleFigures() {
	dir, err := os.MkdirTemp("", "figures")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	p := problem() // a dmft.Problem
	theory, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 400})
	if err != nil {
		fmt.Println(err)
		return
	}
	figures, err := standard.Figures(standard.Comparison{Problem: p, Theory: theory})
	if err != nil {
		fmt.Println(err)
		return
	}
	files, err := standard.Save(dir, figures, "pdf")
	for _, f := range files {
		fmt.Println(filepath.Base(f))
	}
	fmt.Println(err)
	// Output:
	// loss.pdf
	// <nil>
}
