package highdim_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// steps is a loss that is 1 until time n and 0.1 from then on.
func steps(t, n int) []float64 {
	y := make([]float64, t)
	for i := range y {
		if y[i] = 1; i >= n {
			y[i] = 0.1
		}
	}
	return y
}

// TestSpread: the median and quartiles over replicas, some of which never learn, and their JSON.
func TestSpread(t *testing.T) {
	const n = 100
	time := make([]float64, n)
	for i := range time {
		time[i] = float64(i)
	}
	losses, tests := dmft.NewArray(5, n), dmft.NewArray(5, n)
	for j, at := range []int{20, 40, 60, n, n} {
		copy(losses.At(j).Data, steps(n, 5))
		copy(tests.At(j).Data, steps(n, at))
	}
	s := highdim.NewSpread(time, steps(n, 5), steps(n, 30), losses, tests, 0.5)
	if s.Never != 2 || s.Replicas != 5 || !s.Upper.Never() || s.Median.Never() || s.Horizon != n-1 || s.Over != 1 {
		t.Errorf("%+v", s)
	}
	if want := highdim.NewGap(time, losses.At(2).Data, tests.At(2).Data, 0.5); s.Median != want {
		t.Errorf("median %+v, want that of the third replica, %+v", s.Median, want)
	}
	if got := s.String(); got != "1.14 dex [0.961, never], 2 of 5 never" {
		t.Errorf("%q", got)
	}
	b, err := json.Marshal(s)
	var back struct{ Upper struct{ Test, Dex any } }
	if err != nil || json.Unmarshal(b, &back) != nil || back.Upper.Test != "never" || back.Upper.Dex != "never" {
		t.Errorf("%s %v", b, err)
	}
	none, err := json.Marshal(highdim.Gap{Train: math.Inf(1), Test: math.Inf(1), Dex: math.NaN()})
	if string(none) != `{"dex":null,"test":"never","train":"never"}` {
		t.Errorf("%s %v", none, err)
	}
}

// TestCompare: the theory agrees with simulations and not with those of another problem; the error falls with the
// dimension.
func TestCompare(t *testing.T) {
	p := &highdim.Problem{Ratio: 4, Units: 2, OutputScale: 1,
		Activation: kernels.Activation{Name: kernels.QuadraticMixName, Parameter: 0.5},
		Target:     highdim.Target{Overlaps: [][]float64{{0.3}, {-0.25}}},
		Training:   highdim.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.2}, Steps: 60}}
	theory, err := highdim.Solve(t.Context(), p, highdim.Settings{Samples: 16384, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var sims []*highdim.Trajectory
	for _, d := range []int{400, 50} {
		s, err := highdim.Simulate(t.Context(), p, highdim.Simulation{Dimension: d, Seeds: 12, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		sims = append(sims, s)
	}
	r, err := highdim.Compare(theory, sims, compare.Options{Tolerance: 0.01})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != compare.Agree || len(r.Dimensions) != 2 || r.Dimensions[0].Dimension != 50 || r.Steps != 61 ||
		r.Dimensions[0].Error < 1.5*r.Dimensions[1].Error {
		t.Errorf("%s\n%+v", r, r.Dimensions)
	}
	p.OutputScale = 2
	other, err := highdim.Solve(t.Context(), p, highdim.Settings{Samples: 16384, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := highdim.Compare(other, sims, compare.Options{Tolerance: 0.01}); err != nil ||
		r.Verdict != compare.Disagree {
		t.Errorf("another problem agrees: %+v %v", r, err)
	}
	if _, err := highdim.Compare(theory, nil, compare.Options{}); err == nil {
		t.Error("nothing to compare with is no error")
	}
}
