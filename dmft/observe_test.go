package dmft_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/internal/part/parttest"
	"github.com/seed39b58f2d/dmft/ode"
)

// observed are runs of every kind.
func observed() map[string]func(context.Context, dmft.Run) (*dmft.Trajectory, error) {
	p := deep(dmft.MLP, 2, "tanh", 1, gaussianData(4, 3, 2, 3, 2), ode.Method{Kind: ode.AB2, LearningRate: 0.05}, 20)
	record := dmft.Record{Kernels: 5, Every: 3}
	return map[string]func(context.Context, dmft.Run) (*dmft.Trajectory, error){
		"theory": func(ctx context.Context, r dmft.Run) (*dmft.Trajectory, error) {
			r.Record = record
			return dmft.Solve(ctx, p, dmft.Settings{Samples: 160, Blocks: 4, Seed: 1, Run: r})
		},
		"networks": func(ctx context.Context, r dmft.Run) (*dmft.Trajectory, error) {
			r.Record = record
			r.Record.Preactivations, r.Record.TwoTime, r.Record.NTKReplicas = 8, 3, 2
			return finite.Train(ctx, p, finite.Settings{Width: 8, Seeds: 5, Seed: 1, Run: r})
		},
		"float32": func(ctx context.Context, r dmft.Run) (*dmft.Trajectory, error) {
			r.Record = record
			return finite.Train(ctx, p, finite.Settings{Width: 8, Seeds: 3, Seed: 1, Precision: finite.Float32, Run: r})
		},
		"lazy": func(ctx context.Context, r dmft.Run) (*dmft.Trajectory, error) {
			r.Record = record
			return dmft.Solve(ctx, p, dmft.Settings{Method: dmft.Lazy, Run: r})
		},
	}
}

// replicas are predictions of single replicas; the lazy method has one, its result.
func replicas(t *dmft.Trajectory, of, mean dmft.Array) dmft.Array {
	if of.Empty() {
		return dmft.Array{Shape: append([]int{1}, mean.Shape...), Data: mean.Data}
	}
	return of
}

// TestObserverSees: an observer that never stops changes no bit, and sees of every replica what the trajectory holds of
// it, at every recorded step, once and in order.
func TestObserverSees(t *testing.T) {
	for name, run := range observed() {
		t.Run(name, func(t *testing.T) {
			want, err := run(t.Context(), dmft.Run{})
			if err != nil {
				t.Fatal(err)
			}
			f, ft, loss := replicas(want, want.FReplicas, want.F), replicas(want, want.FTestReplicas, want.FTest), replicas(want, want.LossReplicas, dmft.Array{Shape: []int{want.Steps()}, Data: want.Loss})
			var mu sync.Mutex
			seen := make([]int, want.Replicas)
			got, err := run(t.Context(), dmft.Run{Observe: func(o *dmft.Observation) bool {
				mu.Lock()
				defer mu.Unlock()
				i := seen[o.Replica]
				seen[o.Replica]++
				test, ok := o.TestLoss()
				switch {
				case o.Time != want.Time[i] || o.Step != min(3*i, 20):
					t.Errorf("replica %d, step %d at time %g in place of %g", o.Replica, o.Step, o.Time, want.Time[i])
				case !slices.Equal(o.F(), f.At(o.Replica).At(i).Data) || !slices.Equal(o.Quantities["f_test"], ft.At(o.Replica).At(i).Data):
					t.Errorf("replica %d, step %d: other predictions", o.Replica, o.Step)
				case o.Loss() != loss.At(o.Replica).Data[i] || !ok || !(test > 0) || len(o.Quantities["readout_norm"]) != 1:
					t.Errorf("replica %d, step %d: other losses: %v", o.Replica, o.Step, o.Quantities)
				}
				return false
			}})
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("the observer changed something: %v", err)
			}
			for r, n := range seen {
				if n != want.Steps() {
					t.Errorf("replica %d was shown %d times of %d", r, n, want.Steps())
				}
			}
		})
	}
}

// prefix compares a trajectory that ended at a time with one that went on.
func prefix(t *testing.T, short, long *dmft.Trajectory, times int) {
	t.Helper()
	kernels := 0
	for kernels < len(long.KernelTime) && long.KernelTime[kernels] <= long.Time[times-1] {
		kernels++
	}
	a, b := reflect.ValueOf(short).Elem(), reflect.ValueOf(long).Elem()
	compared := 0
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		kernel := strings.HasPrefix(name, "Kernel") || strings.HasPrefix(name, "NTK") || strings.HasPrefix(name, "Phi") || strings.HasPrefix(name, "G") || strings.HasPrefix(name, "Alignment")
		n := times
		if kernel {
			n = kernels
		}
		switch x := a.Field(i).Interface().(type) {
		case []float64:
			y := b.Field(i).Interface().([]float64)
			if len(y) > 0 && name != "SpectrumTime" && name != "TwoTimeTime" && !slices.Equal(x, y[:n]) {
				t.Errorf("%s differs", name)
			}
			compared++
		case dmft.Array:
			y := b.Field(i).Interface().(dmft.Array)
			switch {
			case y.Empty() || x.Empty() && slices.Contains([]string{"Preactivations", "NTKReplicas", "PhiTwoTime", "PhiTwoTimeStderr", "GTwoTime", "GTwoTimeStderr"}, name) || name == "NTKSpectrum":
			case strings.HasSuffix(name, "Replicas"):
				for r := range y.Shape[0] {
					if m := len(y.At(r).Data) / y.Shape[1] * n; x.Shape[1] != n || !slices.Equal(x.At(r).Data, y.At(r).Data[:m]) {
						t.Errorf("%s of %d differs", name, r)
					}
				}
				compared++
			default:
				if m := len(y.Data) / y.Shape[0] * n; x.Shape[0] != n || !slices.Equal(x.Data, y.Data[:m]) {
					t.Errorf("%s differs", name)
				}
				compared++
			}
		}
	}
	if compared < 15 {
		t.Errorf("%d arrays were compared", compared)
	}
}

// TestObserverStops: a stop ends the run for all replicas at the first step at which one is stopped, with the bits of
// the whole run by then, for any number of workers, and wherever it was interrupted before.
func TestObserverStops(t *testing.T) {
	for name, run := range observed() {
		t.Run(name, func(t *testing.T) {
			whole, err := run(t.Context(), dmft.Run{})
			if err != nil {
				t.Fatal(err)
			}
			loss := replicas(whole, whole.LossReplicas, dmft.Array{Shape: []int{whole.Steps()}, Data: whole.Loss})
			level := loss.Data[0]
			for r := range loss.Shape[0] { // which some replica reaches before others
				level = math.Min(level, loss.At(r).Data[3])
			}
			times := 0
			reached := func(time int) bool {
				for r := range loss.Shape[0] {
					if loss.At(r).Data[time] <= level {
						return true
					}
				}
				return false
			}
			for !reached(times) {
				times++
			}
			times++
			observer := func(o *dmft.Observation) bool { return o.Loss() <= level }
			check := func(got *dmft.Trajectory, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				if s := got.Status; s.Code != dmft.Stopped || s.Step != 3*(times-1) || !s.Early() || s.Err() != nil || !strings.Contains(s.Quantity, "observer") {
					t.Errorf("%+v; want a stop at step %d", s, 3*(times-1))
				}
				prefix(t, got, whole, times)
			}
			for _, workers := range []int{1, 2, 5} {
				check(run(t.Context(), dmft.Run{Workers: workers, Observe: observer}))
			}
			if name == "lazy" { // keeps nothing
				return
			}
			for saves := 1; saves < 30; saves += 4 {
				store := &parttest.Memory{}
				ctx, cancel := context.WithCancel(t.Context())
				left := saves
				store.Saved = func(string) {
					if left--; left == 0 {
						cancel()
					}
				}
				_, err := run(ctx, dmft.Run{Workers: 1, Store: store, Checkpoint: time.Nanosecond})
				cancel()
				if err != nil && dmft.StopCode(err) != dmft.Interrupted {
					t.Fatal(err)
				}
				store.Saved = nil
				check(run(t.Context(), dmft.Run{Store: store, Observe: observer}))
				if got, err := run(t.Context(), dmft.Run{Store: store}); err != nil || !reflect.DeepEqual(got.F, whole.F) || got.Status != whole.Status {
					t.Errorf("after the stop, without the observer: %v", err)
				}
			}
		})
	}
}

// TestObserverAtTheEnd: at the last step there is nothing to stop, and the first step can be stopped at.
func TestObserverAtTheEnd(t *testing.T) {
	for name, run := range observed() {
		got, err := run(t.Context(), dmft.Run{Observe: func(o *dmft.Observation) bool { return o.Step == 20 }})
		if err != nil || got.Status.Code != dmft.Finished || got.Steps() != 8 {
			t.Errorf("%s: %v %+v", name, err, got.Status)
		}
		got, err = run(t.Context(), dmft.Run{Observe: func(*dmft.Observation) bool { return true }})
		if err != nil || got.Status.Code != dmft.Stopped || got.Steps() != 1 || got.Status.Step != 0 {
			t.Errorf("%s: %v %+v", name, err, got.Status)
		}
	}
}

// TestSooner: which of two replicas ended the run does not depend on their order.
func TestSooner(t *testing.T) {
	for _, x := range []struct {
		first, second dmft.Status
	}{
		{dmft.Status{Code: dmft.Diverged, Step: 4}, dmft.Status{Code: dmft.Stopped, Step: 5}},
		{dmft.Status{Code: dmft.Stopped, Step: 4}, dmft.Status{Code: dmft.Diverged, Step: 5}},
		{dmft.Status{Code: dmft.Stopped, Step: 5}, dmft.Status{Code: dmft.Diverged, Step: 5}},
		{dmft.Status{Code: dmft.Stopped, Step: 5}, dmft.Status{Code: dmft.Finished, Step: 5}},
	} {
		if !x.first.Sooner(x.second) || x.second.Early() && x.second.Sooner(x.first) {
			t.Errorf("%+v, %+v", x.first, x.second)
		}
	}
}

// brittle are the weights of replicas with identity matrices, of which that of one replica fails after some products.
type brittle struct {
	replica, bad, after int
	rng                 uint64
}

var errBrittle = errors.New("broken")

type brittleMatrix struct {
	*arch.Dense[float64]
	left int
	fail bool
}

func (m *brittleMatrix) Mul(r int, dst, x field.Mat[float64]) {
	m.left--
	m.Dense.Mul(r, dst, x)
}

func (m *brittleMatrix) Err() error {
	if m.fail && m.left < 0 {
		return errBrittle
	}
	return nil
}

func (b *brittle) number() float64 {
	b.rng = b.rng*6364136223846793005 + 1442695040888963407
	return float64(b.rng>>11)/(1<<52) - 1
}

func (b *brittle) fill(m field.Mat[float64]) field.Mat[float64] {
	for i := range m.Data {
		m.Data[i] = b.number()
	}
	return m
}
func (b *brittle) Readout(_ int, w field.Mat[float64]) error { b.fill(w); return nil }
func (b *brittle) Input(n, k int) (field.Mat[float64], error) {
	return b.fill(field.New[float64](n, k)), nil
}
func (b *brittle) Leaf(_ int, w field.Mat[float64]) error { b.fill(w); return nil }
func (b *brittle) Kept() []field.Keeper                   { return nil }
func (b *brittle) Matrix(m arch.Spec) (field.Matrix[float64], error) {
	return &brittleMatrix{arch.NewDense(b.fill(field.New[float64](m.Rows, m.Cols))), b.after, b.replica == b.bad}, nil
}

// TestObserverBeforeFailure: an error at a step after the one at which another replica is stopped never happened,
// whatever the number of workers and the order of replicas, and one at that step or before is an error.
func TestObserverBeforeFailure(t *testing.T) {
	p := deep(dmft.MLP, 2, "tanh", 1, gaussianData(4, 3, 0, 3, 1), ode.Method{LearningRate: 0.01}, 12)
	const failing = 6 // of one product a step: gradient descent takes the fields that are recorded
	for _, bad := range []int{0, 1, 3} {
		for _, workers := range []int{1, 2, 4} {
			for stop := 3; stop <= 8; stop++ {
				e := dmft.Ensemble[float64]{Name: "brittle", Width: 4, Replicas: 4, Run: dmft.Run{Workers: workers, Observe: func(o *dmft.Observation) bool { return o.Replica == 2 && o.Step == stop }},
					Init: func(r int) (arch.Init[float64], error) {
						return &brittle{replica: r, bad: bad, after: failing, rng: uint64(r)}, nil
					}}
				tr, err := dmft.Train(t.Context(), p, e)
				name := fmt.Sprintf("replica %d fails, %d workers, stop at %d", bad, workers, stop)
				switch {
				case stop < failing && (err != nil || tr.Status.Code != dmft.Stopped || tr.Status.Step != stop):
					t.Errorf("%s: %v", name, err)
				case stop >= failing && (!errors.Is(err, errBrittle) || !strings.Contains(err.Error(), fmt.Sprintf("step %d", failing))):
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// TestObserverRefused: extrapolations from several networks have no single one to show.
func TestObserverRefused(t *testing.T) {
	never := dmft.Run{Observe: func(*dmft.Observation) bool { return false }}
	p := deep(dmft.ResNet, dmft.InfiniteDepth, "tanh", 1, gaussianData(4, 3, 0, 3, 1), ode.Method{LearningRate: 0.05}, 2)
	if _, err := dmft.Solve(t.Context(), p, dmft.Settings{Samples: 100, Run: never}); err == nil || !strings.Contains(err.Error(), "observer") {
		t.Errorf("infinite depth: %v", err)
	}
	if _, err := dmft.Solve(t.Context(), p, dmft.Settings{Method: dmft.Lazy, Run: never}); err != nil {
		t.Errorf("lazy, infinite depth: %v", err)
	}
	p.Network.Depth = 2
	if _, err := dmft.Solve(t.Context(), p, dmft.Settings{Method: dmft.LeadingOrder, Samples: 100, Run: never}); err == nil || !strings.Contains(err.Error(), "observer") {
		t.Errorf("leading order: %v", err)
	}
}

// Training ends when every prediction is within 0.1 of its target.
func ExampleObserver() {
	p := ownProblem(dmft.TwoLayer, 1, 1, 1)
	p.Training.Steps = 1000
	close := func(o *dmft.Observation) bool {
		for i, f := range o.F() {
			if math.Abs(f-p.Data.Targets.At(i, 0)) > 0.1 {
				return false
			}
		}
		return true
	}
	tr, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 1000, Seed: 1, Run: dmft.Run{Observe: close}})
	fmt.Println(tr.Status.Code, tr.Status.Step == tr.Steps()-1, tr.Steps() < 1000, err)
	// Output: stopped true true <nil>
}
