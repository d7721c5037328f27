package highdim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/part/parttest"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// TestProcessors: results are the same bits for any number of processors.
func TestProcessors(t *testing.T) {
	p := reference(12)
	p.Training.Batches, p.Target.Noise, p.Activation = 2, 0.2, kernels.Activation{Name: kernels.TanhName}
	full := reference(12)
	all := func() []*Trajectory {
		moments, err := SimulateMoments(ctx, full, Simulation{Dimension: 150, Seeds: 3, Alignments: 2})
		if err != nil {
			t.Fatal(err)
		}
		return []*Trajectory{
			solve(t, p, Settings{Samples: 8192, Seed: 3, Alignments: 2}),
			solve(t, full, Settings{Samples: 8192, Seed: 3, Responses: true}),
			simulate(t, p, Simulation{Dimension: 100, Seeds: 3}),
			onePass(t, p, 2, Settings{Samples: 8192}),
			moments,
		}
	}
	hot := reference(100)
	hot.Training.Method.LearningRate = 0.75
	diverge := func() *Trajectory {
		tr, err := Simulate(ctx, hot, Simulation{Dimension: 60, Seeds: 6})
		if dmft.StopCode(err) == "" {
			t.Fatal("a rate of 0.75 is stable: use a larger one")
		}
		return tr
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	one, lost := all(), diverge()
	runtime.GOMAXPROCS(2)
	if again := diverge(); !reflect.DeepEqual(lost.Loss, again.Loss) || lost.Status != again.Status {
		t.Errorf("where a run ends depends on the number of processors: %+v, %+v", lost.Status, again.Status)
	}
	for i, two := range all() {
		two.Diagnostics.MemoryBytes, one[i].Diagnostics.MemoryBytes = 0, 0 // of blocks at the same time
		if !reflect.DeepEqual(one[i], two) {
			t.Errorf("run %d depends on the number of processors", i)
		}
	}
	again := solve(t, p, Settings{Samples: 8192, Seed: 4, Alignments: 2})
	if reflect.DeepEqual(one[0].Loss, again.Loss) {
		t.Error("another seed gave the same result")
	}
}

// TestSampleSize: the error falls at least as S^{-1/2}, and error bars are its size.
func TestSampleSize(t *testing.T) {
	if !extended {
		t.Skip("slow; in the extended checks")
	}
	p, sizes := reference(20), []int{1024, 4096, 16384}
	if extended {
		sizes = []int{2048, 8192, 32768}
	}
	exact := solve(t, p, Settings{Samples: 4 * sizes[2], Blocks: 8, Seed: 99, Tolerance: 1e-2})
	var rms, claimed []float64
	for _, s := range sizes {
		r, c := 0., 0.
		const seeds = 8
		for seed := range uint64(seeds) {
			tr := solve(t, p, Settings{Samples: s, Seed: seed, Tolerance: 1e-2})
			for n := range tr.Time {
				r += sq(tr.TestLoss[n]-exact.TestLoss[n]) / seeds / float64(len(tr.Time))
				c += sq(tr.TestLossStderr[n]) / seeds / float64(len(tr.Time))
			}
		}
		rms, claimed = append(rms, math.Sqrt(r)), append(claimed, math.Sqrt(c))
	}
	slope := math.Log(rms[2]/rms[0]) / math.Log(float64(sizes[2])/float64(sizes[0]))
	t.Logf("rms error %.2g, error bars %.2g at %v samples, exponent %.2f; error bar of the reference %.2g", rms,
		claimed, sizes, slope, most(exact.TestLossStderr))
	// Evenly spread samples do better than S^{-1/2} while few directions are random.
	if !(slope < -0.45 && slope > -1.1) {
		t.Errorf("the error falls with the samples to the power of %.2g", slope)
	}
	for i := range rms {
		if q := rms[i] / claimed[i]; !(q > 0.5 && q < 2) {
			t.Errorf("at %d samples the error is %g and error bars say %g", sizes[i], rms[i], claimed[i])
		}
	}
}

// TestTolerance: what is dropped matters less than the tolerance, and finer tolerances need more directions. Runs of
// other directions have other noise, so that the mean difference over seeds is judged with its standard error.
func TestTolerance(t *testing.T) {
	if !extended {
		t.Skip("slow; in the extended checks")
	}
	steps := 40
	if extended {
		steps = 80
	}
	p := reference(steps)
	const seeds = 8
	run := func(tol float64) (out []*Trajectory) {
		for seed := range uint64(seeds) {
			out = append(out, solve(t, p, Settings{Samples: 2048, Blocks: 1, Seed: seed, Tolerance: tol}))
		}
		return out
	}
	exact := run(1e-5)
	last := 0
	for _, tol := range []float64{1e-1, 1e-2, 1e-3} {
		tr, worst := run(tol), 0.
		for n := range p.Training.Steps + 1 {
			mean, square := 0., 0.
			for i := range tr {
				d := tr[i].TestLoss[n] - exact[i].TestLoss[n]
				mean, square = mean+d/seeds, square+d*d/seeds
			}
			se := math.Sqrt(max(square-mean*mean, 0) / (seeds - 1))
			// Correlated times: t of 7 degrees exceeds 4.5 with probability 0.003.
			if worst = math.Max(worst, math.Abs(mean)); !(math.Abs(mean) < tol*exact[0].TestLoss[0]/10+4.5*se) {
				t.Errorf("tolerance %g, step %d: off by %g ± %g", tol, n, mean, se)
			}
		}
		d := tr[0].Diagnostics
		t.Logf("tolerance %g: %d directions of %d, test loss off by %.2g", tol, d.Directions,
			exact[0].Diagnostics.Directions, worst)
		if !(d.Directions < exact[0].Diagnostics.Directions && d.Directions > last && d.Dropped <= tol*tol) {
			t.Errorf("tolerance %g: %d directions of %d, dropped %g", tol, d.Directions,
				exact[0].Diagnostics.Directions, d.Dropped)
		}
		last = d.Directions
	}
}

// TestDivergence: a learning rate that is too large is an error that says the step and what to try, with everything
// before it.
func TestDivergence(t *testing.T) {
	p := reference(200)
	p.Training.Method.LearningRate = 2
	for name, run := range map[string]func() (*Trajectory, error){
		"Solve":    func() (*Trajectory, error) { return Solve(ctx, p, Settings{Samples: 4096}) },
		"Simulate": func() (*Trajectory, error) { return Simulate(ctx, p, Simulation{Dimension: 50, Seeds: 3}) },
		"SimulateMoments": func() (*Trajectory, error) {
			return SimulateMoments(ctx, p,
				Simulation{Dimension: 50, Seeds: 3})
		},
		"Population": func() (*Trajectory, error) { return Population(ctx, p, Settings{}) },
		"OnePass":    func() (*Trajectory, error) { return OnePass(ctx, p, 4, Settings{}) },
	} {
		tr, err := run()
		code := dmft.StopCode(err)
		if code != dmft.Diverged && code != dmft.NotFinite {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := len(tr.Time)
		if n == 0 || n > 200 || tr.Status.Step != n-1 || len(tr.Loss) != n || tr.Gram.Shape != nil &&
			tr.Gram.Shape[0] != n || !strings.Contains(err.Error(), "learning_rate") {
			t.Errorf("%s: %d times, status %+v", name, n, tr.Status)
		}
		for _, x := range append(tr.Loss, tr.TestLoss...) {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Errorf("%s: a loss of %g is kept", name, x)
			}
		}
	}
}

// TestInterrupt: a cancelled run returns what it has; with a store it goes on from its finished blocks to the same
// bits.
func TestInterrupt(t *testing.T) {
	p := reference(60)
	s := Settings{Samples: 8192, Blocks: 8}
	want := solve(t, p, s)
	store := &parttest.Memory{}
	cancelled, cancel := context.WithCancelCause(ctx)
	s.Store = store
	s.Progress = func(done, total int64) {
		if done > total/2 {
			cancel(errors.New("enough"))
		}
	}
	tr, err := Solve(cancelled, p, s)
	if dmft.StopCode(err) != dmft.Interrupted || !strings.Contains(err.Error(), "enough") || tr == nil ||
		len(tr.Time) > 60 {
		t.Fatalf("interrupted: %v", err)
	}
	n := 0
	for name := range store.Parts {
		if !strings.HasSuffix(name, ".checkpoint") {
			n++
		}
	}
	if n == 0 || n == 8 {
		t.Fatalf("%d blocks were kept", n)
	}
	s.Progress = nil
	got := solve(t, p, s)
	if !reflect.DeepEqual(got, want) {
		t.Error("the resumed run is another")
	}
	s.Memory = 1 << 10
	if _, err := Solve(ctx, p, s); dmft.StopCode(err) != dmft.MemoryLimit {
		t.Errorf("memory limit: %v", err)
	}
}

// TestNetworksTooLarge: networks on more points than any memory holds are refused by their estimate, whose product of
// sizes does not wrap around.
func TestNetworksTooLarge(t *testing.T) {
	for _, ratio := range []float64{1e6, 1e12, 1e300} {
		p := reference(1)
		p.Ratio = ratio
		for _, moments := range []bool{false, true} {
			s := Simulation{Dimension: 1e6, Seeds: 2, Alignments: 1}
			s.Run.Memory = 1 << 40
			run := Simulate
			if moments {
				run = SimulateMoments
			}
			// What cannot even be counted in bytes is refused by its number of points.
			if _, err := run(context.Background(), p, s); dmft.StopCode(err) != dmft.MemoryLimit &&
				(err == nil || ratio == 1e6 || !strings.Contains(err.Error(), "at most 1e+12 are simulated")) {
				t.Errorf("ratio %g, moments %v: %v", ratio, moments, err)
			}
		}
	}
}

// TestCheckpoint: a run that is stopped in the middle of its blocks again and again, each time after a few steps, goes
// on to the same bits: the theory and networks, with every kind of optimiser, in mini-batches, centred, with a trained
// readout.
func TestCheckpoint(t *testing.T) {
	for name, change := range map[string]func(*Problem){
		"gd, centred": func(p *Problem) { p.Training.Centred = true },
		"momentum, trained readout, batches": func(p *Problem) {
			p.Training.Method.Kind, p.Training.Method.Momentum, p.Readout.Rate, p.Training.Batches = ode.Momentum, 0.5, 0.5, 2
		},
		"flow": func(p *Problem) { p.Training.Method = ode.Method{Kind: ode.RK45, LearningRate: 0.1, Tolerance: 1e-6} },
		"ab3":  func(p *Problem) { p.Training.Method = ode.Method{Kind: ode.AB3, LearningRate: 0.05} },
	} {
		p := reference(24)
		change(p)
		for what, run := range map[string]func(context.Context, dmft.Run) (*Trajectory, error){
			"theory": func(ctx context.Context, r dmft.Run) (*Trajectory, error) {
				return Solve(ctx, p, Settings{Samples: 2048, Blocks: 2, Alignments: 5, Run: r})
			},
			"networks": func(ctx context.Context, r dmft.Run) (*Trajectory, error) {
				return Simulate(ctx, p, Simulation{Dimension: 30, Seeds: 2, Alignments: 5, Run: r})
			},
		} {
			want, err := run(ctx, dmft.Run{})
			if err != nil {
				t.Fatalf("%s, %s: %v", name, what, err)
			}
			store := &parttest.Memory{}
			stops := 0
			for ; ; stops++ {
				again, cancel := context.WithCancel(ctx)
				var steps atomic.Int64
				got, err := run(again, dmft.Run{Store: store, Progress: func(int64, int64) {
					if steps.Add(1) > 6 {
						cancel()
					}
				}})
				cancel()
				if err == nil {
					if !reflect.DeepEqual(got, want) {
						t.Errorf("%s, %s: the run that was stopped %d times is another", name, what, stops)
					}
					break
				}
				if dmft.StopCode(err) != dmft.Interrupted || stops > 60 {
					t.Fatalf("%s, %s: %v after %d stops", name, what, err, stops)
				}
			}
			if stops < 4 {
				t.Errorf("%s, %s: stopped %d times", name, what, stops)
			}
		}
	}
}

// TestMistakes: what cannot be run is refused with a reason.
func TestMistakes(t *testing.T) {
	for want, f := range map[string]func(p *Problem){
		"ratio":               func(p *Problem) { p.Ratio = -1 },
		"output scale":        func(p *Problem) { p.OutputScale = math.Inf(1) },
		"units":               func(p *Problem) { p.Units = 0 },
		"overlaps of 1 units": func(p *Problem) { p.Target.Overlaps = p.Target.Overlaps[:1] },
		"unit 1 has 2":        func(p *Problem) { p.Target.Overlaps = [][]float64{{0.1}, {0.1, 0.2}} },
		"no weights have":     func(p *Problem) { p.Target.Overlaps = [][]float64{{0.8}, {0.8}} },
		"activation":          func(p *Problem) { p.Activation.Name = "rulu" },
		"link":                func(p *Problem) { p.Target.Link.Name = "rulu" },
		"not both": func(p *Problem) {
			p.Target.Func,
				p.Target.Weights = func([]float64) float64 { return 0 }, []float64{1}
		},
		"2 weights":            func(p *Problem) { p.Target.Weights = []float64{1, 2} },
		"label noise":          func(p *Problem) { p.Target.Noise = -1 },
		"3 initial readouts":   func(p *Problem) { p.Readout.Initial = make([]float64, 3) },
		"readout rate":         func(p *Problem) { p.Readout.Rate = math.NaN() },
		"learning rate":        func(p *Problem) { p.Training.Method.LearningRate = 0 },
		"steps":                func(p *Problem) { p.Training.Steps = -1 },
		"mini-batches":         func(p *Problem) { p.Training.Batches = 2; p.Training.Method.Kind = ode.RK4 },
		"Gram matrix is for 1": func(p *Problem) { p.Gram = mat.NewSymDense(1, []float64{1}) },
	} {
		p := reference(1)
		f(p)
		for _, run := range []func() (*Trajectory, error){
			func() (*Trajectory, error) { return Solve(ctx, p, Settings{}) },
			func() (*Trajectory, error) { return Population(ctx, p, Settings{}) },
			func() (*Trajectory, error) { return Simulate(ctx, p, Simulation{Dimension: 10}) },
		} {
			if _, err := run(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", want, err)
			}
		}
	}
	p := reference(1)
	for want, run := range map[string]func() (*Trajectory, error){
		"samples for":   func() (*Trajectory, error) { return Solve(ctx, p, Settings{Samples: 40}) },
		"at least two":  func() (*Trajectory, error) { return Solve(ctx, p, Settings{Blocks: -1}) },
		"tolerance":     func() (*Trajectory, error) { return Solve(ctx, p, Settings{Tolerance: 2}) },
		"batch":         func() (*Trajectory, error) { return OnePass(ctx, p, 0, Settings{}) },
		"no points":     func() (*Trajectory, error) { return Simulate(ctx, p, Simulation{}) },
		"too small":     func() (*Trajectory, error) { return Simulate(ctx, p, Simulation{Dimension: 2}) },
		"too small for": func() (*Trajectory, error) { return SimulateMoments(ctx, p, Simulation{Dimension: 2}) },
		"infinitely many": func() (*Trajectory, error) {
			q := *p
			q.Ratio = math.Inf(1)
			return Simulate(ctx, &q, Simulation{Dimension: 9})
		},
		"use Simulate": func() (*Trajectory, error) {
			q := *p
			q.Readout.Rate = 1
			return SimulateMoments(ctx, &q, Simulation{Dimension: 9})
		},
		"full-batch": func() (*Trajectory, error) {
			q := *p
			q.Training.Batches = 2
			return Solve(ctx, &q, Settings{Responses: true})
		},
		"takes steps": func() (*Trajectory, error) {
			q := *p
			q.Training.Method.Kind = ode.RK4
			return OnePass(ctx, &q, 1, Settings{})
		},
	} {
		if _, err := run(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if tr := solve(t, reference(9), Settings{Samples: 512}); len(tr.Diagnostics.Notes) != 1 ||
		!strings.Contains(tr.Diagnostics.Notes[0], "bias") {
		t.Errorf("few samples: %v", tr.Diagnostics.Notes)
	}
	p.Target.Overlaps = [][]float64{{0}, {0}}
	if tr := solve(t, p, Settings{Samples: 1024}); len(tr.Diagnostics.Notes) == 0 ||
		!strings.Contains(tr.Diagnostics.Notes[0], "overlap") {
		t.Errorf("no overlaps: %v", tr.Diagnostics.Notes)
	}
}

// TestGap: last crossings, interpolated; never is a value.
func TestGap(t *testing.T) {
	time := []float64{0, 1, 2, 3, 4, 5}
	train := []float64{1, 0.4, 0.2, 0.1, 0.1, 0.1}
	test := []float64{2, 3, 0.5, 1.5, 0.75, 0.1} // below half, above it again
	g := NewGap(time, train, test, 0.5)
	near(t, "train", g.Train, math.Log(0.5)/math.Log(0.4), 1e-12)
	near(t, "test", g.Test, 3+math.Log(1.5)/math.Log(2), 1e-12)
	near(t, "dex", g.Dex, math.Log10(g.Test/g.Train), 1e-12)
	never := NewGap(time, train, []float64{1, 1, 1, 1, 1, 0.9}, 0.5)
	if !never.Never() || never.String() != "never" || !math.IsInf(never.Dex, 1) || g.Never() ||
		g.String() != fmt.Sprintf("%.3g dex", g.Dex) {
		t.Errorf("%v, %v", never, g)
	}
	if g := NewGap(time, []float64{1, 1, 1, 1, 1, 1}, []float64{1, 1, 1, 1, 1, 1}, 0.5); !math.IsInf(g.Dex, 1) || !g.Never() {
		t.Errorf("nothing learned: %+v", g)
	}
	if g := NewGap(time, train, []float64{1, 0.2, math.NaN(), math.NaN(), math.NaN(), math.NaN()}, 0.5); !g.Never() {
		t.Errorf("a loss that is not a number was learned: %+v", g)
	}
	grid := [][]*Problem{{reference(30), reference(30)}}
	grid[0][1].Training.Method.LearningRate = 3
	gaps, err := Gaps(ctx, grid, 0.5, func(ctx context.Context, p *Problem) (*Trajectory,
		error) {
		return Population(ctx, p, Settings{})
	})
	if err != nil || gaps[0][0].Dex != 0 || !(gaps[0][0].Test > 0) || !math.IsNaN(gaps[0][1].Dex) {
		t.Errorf("without repeated points there is no gap: %v, %v", gaps, err)
	}
	grid[0][1].Ratio = 0
	if _, err := Gaps(ctx, grid, 0.5, func(ctx context.Context, p *Problem) (*Trajectory,
		error) {
		return Population(ctx, p, Settings{})
	}); err == nil || !strings.Contains(err.Error(), "column 1") {
		t.Errorf("a grid with a mistake: %v", err)
	}
	m, half := &Trajectory{Time: time[:1], Replicas: 3,
		LossReplicas:     dmft.Array{Shape: []int{3, 1}, Data: []float64{1, 9, 2}},
		TestLossReplicas: dmft.Array{Shape: []int{3, 1}, Data: []float64{4, 5, 6}}}, 0.5
	if a, b := m.Quantile(half); a[0] != 2 || b[0] != 5 {
		t.Errorf("medians %v, %v", a, b)
	}
	if a, _ := m.Quantile(0.75); a[0] != 5.5 {
		t.Errorf("upper quartile %v", a)
	}
}

// TestGrokking: the printed showcase, and what sets the delay: lazier is later, few points never, and the overfitting
// phase in between.
func TestGrokking(t *testing.T) {
	run := func(change func(p *Problem)) (*Trajectory, Gap) {
		p := reference(250)
		p.Activation, p.Target.Overlaps = mix(0.25), [][]float64{{0.15}, {-0.15}}
		change(p)
		tr := solve(t, p, Settings{Samples: 16384, Seed: 1, Tolerance: 1e-2})
		return tr, GapOf(tr, 0.5)
	}
	tr, g := run(func(p *Problem) { p.Activation, p.Training.Steps = mix(0.1), 150 })
	// Times of the note are in whole steps of 0.2: train 0.6, test 14.0; simulations in D = 1000 scatter by ±1.4.
	near(t, "showcase: train", g.Train, 0.6, 0.2)
	near(t, "showcase: test", g.Test, 14.0, 1.2)
	linear := func(tau float64) float64 { return tr.TestLossParts.At(int(tau/0.2 + 0.5)).Data[2] }
	if rise := linear(5); !(linear(0) > 0.45 && linear(1.4) < 0.21 && rise > 0.2 && linear(29) < 0.06) {
		t.Errorf("linear power %g, %g, %g, %g: the overfitting phase is missing", linear(0), linear(1.4), rise, linear(29))
	}
	var late []float64
	for _, alpha := range []float64{0.25, 0.5, 1} {
		_, g := run(func(p *Problem) { p.OutputScale, p.Training.Centred, p.Training.Steps = alpha, true, 130 })
		late = append(late, g.Test)
	}
	for i, want := range []float64{4.2, 7.2, 17} {
		near(t, "lazier is later", late[i], want, 0.1*want)
	}
	if tr, g := run(func(p *Problem) { p.Ratio, p.Training.Method.LearningRate = 2, 0.15 }); !g.Never() ||
		tr.Loss[250] > 0.1 || tr.TestLoss[250] < 0.8 {
		t.Errorf("δ = 2: gap %v, train %g, test %g; printed: overfitting", g, tr.Loss[250], tr.TestLoss[250])
	}
}

// TestSteps: a step of the theory that meets nothing new allocates next to nothing.
func TestSteps(t *testing.T) {
	p := reference(1)
	x, _, label, err := conditionedData(128, 3, p.Ratio, 0.9, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	src := newPoints(p, x, 128, label, 1)
	r, err := newReplica(p, src, 3, 128, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	st, err := ode.NewStepper(p.Training.Method, 1)
	if err != nil {
		t.Fatal(err)
	}
	r.sys.Reserve(st.Registers())
	j := &trainer{p: p}
	rec := j.newRecord()
	step := func() {
		r.sys.Eval(0, 0)
		j.note(rec, r, 0)
		if err := st.Step(r.sys, 0); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		step()
	}
	// gonum's products start goroutines for large ones; these are small.
	if n := testing.AllocsPerRun(20, step); n > 2 {
		t.Errorf("%g allocations a step", n)
	}
}

func BenchmarkTheory(b *testing.B) {
	p := reference(250)
	for _, s := range []int{8192, 32768} {
		b.Run(fmt.Sprint("samples", s), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				tr, err := Solve(ctx, p, Settings{Samples: s, Seed: 1})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(most(tr.TestLossStderr), "error")
			}
		})
	}
}

// BenchmarkEqualError is the reference run of 250 steps by the theory, and by as many networks in 400 dimensions as
// have the same standard error of the test loss, at its largest over time. Networks have a bias of order 1/D on top, of
// about the same size there.
func BenchmarkEqualError(b *testing.B) {
	p := reference(250)
	theory, err := Solve(ctx, p, Settings{Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	want := most(theory.TestLossStderr)
	pilot, err := Simulate(ctx, p, Simulation{Dimension: 400, Seeds: 16, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	seeds := int(math.Ceil(16 * sq(most(pilot.TestLossStderr)/want)))
	report := func(b *testing.B, t *Trajectory, err error) {
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(most(t.TestLossStderr), "error")
		b.ReportMetric(float64(t.Diagnostics.MemoryBytes)/(1<<20), "MiB")
		b.ReportMetric(float64(t.Replicas), "replicas")
	}
	b.Run("theory", func(b *testing.B) {
		for range b.N {
			t, err := Solve(ctx, p, Settings{Seed: 1})
			report(b, t, err)
		}
	})
	b.Run("networks", func(b *testing.B) {
		for range b.N {
			t, err := Simulate(ctx, p, Simulation{Dimension: 400, Seeds: seeds, Seed: 2})
			report(b, t, err)
		}
	})
}

func BenchmarkDirect(b *testing.B) {
	p := reference(250)
	for _, d := range []int{100, 400} {
		b.Run(fmt.Sprint("D", d), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				tr, err := Simulate(ctx, p, Simulation{Dimension: d, Seeds: 8, Seed: 1})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(most(tr.TestLossStderr), "error")
			}
		})
	}
}

// TestAlignmentSteps: distinct steps from the first to the last, never more than there are.
func TestAlignmentSteps(t *testing.T) {
	for _, tc := range []struct {
		n, t int
		want []int
	}{{0, 5, nil}, {1, 5, []int{0}}, {3, 101, []int{0, 9, 100}}, {5, 10001, []int{0, 9, 99, 999, 10000}},
		{5, 5, []int{0, 1, 2, 3, 4}}, {9, 4, []int{0, 1, 2, 3}}, {4, 6, []int{0, 1, 2, 5}}} {
		if got := alignmentSteps(tc.n, tc.t); !slices.Equal(got, tc.want) {
			t.Errorf("%d of %d: %v, want %v", tc.n, tc.t, got, tc.want)
		}
	}
	for n := 2; n < 60; n++ {
		for steps := n; steps < 400; steps += 7 {
			s := alignmentSteps(n, steps)
			for i := 1; i < n; i++ {
				if s[i] <= s[i-1] {
					t.Fatalf("%d of %d: %v", n, steps, s)
				}
			}
			if s[0] != 0 || s[n-1] != steps-1 {
				t.Fatalf("%d of %d: %v", n, steps, s)
			}
		}
	}
}
