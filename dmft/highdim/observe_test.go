package highdim_test

import (
	"context"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/internal/part/parttest"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// observed are runs of every kind.
func observed() map[string]func(context.Context, dmft.Run) (*highdim.Trajectory, error) {
	p := &highdim.Problem{Ratio: 2, Units: 2, OutputScale: 1,
		Activation: kernels.Activation{Name: kernels.QuadraticMixName, Parameter: 0.5},
		Target:     highdim.Target{Overlaps: [][]float64{{0.3}, {-0.25}}, Noise: 0.1},
		Training:   highdim.Training{Method: ode.Method{LearningRate: 0.1}, Steps: 16}}
	cubic := *p
	cubic.Activation = kernels.Activation{Name: "tanh"} // of which nothing is known in closed form
	return map[string]func(context.Context, dmft.Run) (*highdim.Trajectory, error){
		"theory": func(ctx context.Context, r dmft.Run) (*highdim.Trajectory, error) {
			return highdim.Solve(ctx, p, highdim.Settings{Samples: 512, Alignments: 3, Run: r})
		},
		"responses": func(ctx context.Context, r dmft.Run) (*highdim.Trajectory, error) {
			return highdim.Solve(ctx, p, highdim.Settings{Samples: 512, Blocks: 2, Responses: true, Run: r})
		},
		"population": func(ctx context.Context, r dmft.Run) (*highdim.Trajectory, error) {
			return highdim.Population(ctx, &cubic, highdim.Settings{Samples: 512, Run: r})
		},
		"online": func(ctx context.Context, r dmft.Run) (*highdim.Trajectory, error) {
			return highdim.Online(ctx, p, 2, highdim.Settings{Run: r})
		},
		"simulation": func(ctx context.Context, r dmft.Run) (*highdim.Trajectory, error) {
			return highdim.Simulate(ctx, p, highdim.Simulation{Dimension: 20, Seeds: 4, Run: r})
		},
		"moments": func(ctx context.Context, r dmft.Run) (*highdim.Trajectory, error) {
			return highdim.SimulateMoments(ctx, p, highdim.Simulation{Dimension: 20, Seeds: 4, Alignments: 3, Run: r})
		},
	}
}

// TestObserver: an observer that never stops changes no bit and sees every replica at every step; a stop ends the run
// for all replicas at the first step at which one is stopped, with the bits of the whole run by then, for any number of
// workers and wherever it was interrupted before.
func TestObserver(t *testing.T) {
	for name, run := range observed() {
		t.Run(name, func(t *testing.T) {
			whole, err := run(t.Context(), dmft.Run{})
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			seen := make([]int, whole.Replicas)
			got, err := run(t.Context(), dmft.Run{Observe: func(o *dmft.Observation) bool {
				mu.Lock()
				defer mu.Unlock()
				n := seen[o.Replica]
				seen[o.Replica]++
				if test, ok := o.TestLoss(); o.Step != n || o.Time != whole.Time[n] ||
					o.Loss() != whole.LossReplicas.At(o.Replica).Data[n] || !ok ||
					test != whole.TestLossReplicas.At(o.Replica).Data[n] || o.F() != nil {
					t.Errorf("replica %d, step %d: %+v", o.Replica, n, o)
				}
				if name == "theory" && (len(o.Quantities["overlaps"]) != 2 || len(o.Quantities["gram"]) != 4 ||
					len(o.Quantities["moments"]) != 5) {
					t.Errorf("%+v", o.Quantities)
				}
				return false
			}})
			if err != nil || !reflect.DeepEqual(got, whole) {
				t.Errorf("the observer changed something: %v", err)
			}
			if slices.Min(seen) != len(whole.Time) || slices.Max(seen) != len(whole.Time) {
				t.Errorf("shown %v times of %d", seen, len(whole.Time))
			}

			level, end := math.Inf(1), 0
			for r := range whole.Replicas {
				level = math.Min(level, whole.TestLossReplicas.At(r).Data[7])
			}
			reached := func(n int) (yes bool) {
				for r := range whole.Replicas {
					yes = yes || whole.TestLossReplicas.At(r).Data[n] <= level
				}
				return yes
			}
			for !reached(end) {
				end++
			}
			observer := func(o *dmft.Observation) bool { l, _ := o.TestLoss(); return l <= level }
			check := func(got *highdim.Trajectory, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				n := end + 1
				if s := got.Status; s.Code != dmft.Stopped || s.Step != end || s.Err() != nil {
					t.Errorf("%+v; want a stop at step %d", s, end)
				}
				if !slices.Equal(got.Time, whole.Time[:n]) || !slices.Equal(got.Loss, whole.Loss[:n]) ||
					!slices.Equal(got.TestLossStderr, whole.TestLossStderr[:n]) ||
					!slices.Equal(got.Moments.Data, whole.Moments.Data[:5*n]) {
					t.Error("it differs from the whole run")
				}
				if !whole.ResponseW.Empty() && (got.ResponseW.Shape[0] != n || got.ResponseW.Shape[1] != n ||
					!slices.Equal(got.ResponseW.At(end).At(1).Data, whole.ResponseW.At(end).At(1).Data)) {
					t.Errorf("responses of shape %v", got.ResponseW.Shape)
				}
			}
			for _, workers := range []int{1, 2, 4} {
				check(run(t.Context(), dmft.Run{Workers: workers, Observe: observer}))
			}
			for _, saves := range []int{1, 5, 12, 20, 40} {
				store := &parttest.Memory{}
				ctx, cancel := context.WithCancel(t.Context())
				left := saves
				store.Saved = func(string) {
					if left--; left == 0 {
						cancel()
					}
				}
				_, _ = run(ctx, dmft.Run{Workers: 1, Store: store, Checkpoint: time.Nanosecond})
				cancel()
				store.Saved = nil
				check(run(t.Context(), dmft.Run{Store: store, Observe: observer}))
				if got, err := run(t.Context(), dmft.Run{Store: store}); err != nil || !reflect.DeepEqual(got.Loss, whole.Loss) {
					t.Errorf("after the stop, without the observer: %v", err)
				}
			}
		})
	}
}
