package highdim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// overflowed names the first number of a value that is not finite.
func overflowed(name string, x reflect.Value) string {
	switch x.Kind() {
	case reflect.Pointer:
		if !x.IsNil() {
			return overflowed(name, x.Elem())
		}
	case reflect.Struct:
		for i := range x.NumField() {
			if s := overflowed(name+"."+x.Type().Field(i).Name, x.Field(i)); s != "" {
				return s
			}
		}
	case reflect.Slice:
		for i := range x.Len() {
			if s := overflowed(fmt.Sprintf("%s[%d]", name, i), x.Index(i)); s != "" {
				return s
			}
		}
	case reflect.Float64:
		if v := x.Float(); math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprintf("%s = %g", name, v)
		}
	}
	return ""
}

// TestNotFinite: extreme numbers end in finite results or in a status with step, quantity and advice, beside what is
// finite.
func TestNotFinite(t *testing.T) {
	stopped, finished := 0, 0
	for name, spoil := range map[string]func(p *Problem, x float64){
		"noise":         func(p *Problem, x float64) { p.Target.Noise = x },
		"weights":       func(p *Problem, x float64) { p.Target.Weights = []float64{x} },
		"output scale":  func(p *Problem, x float64) { p.OutputScale = x },
		"ratio":         func(p *Problem, x float64) { p.Ratio = x },
		"learning rate": func(p *Problem, x float64) { p.Training.Method.LearningRate = x },
		"weight decay":  func(p *Problem, x float64) { p.Training.Method.WeightDecay = x },
		"epsilon":       func(p *Problem, x float64) { p.Activation.Parameter = x },
		"gain":          func(p *Problem, x float64) { p.Activation.Gain = x },
		"readout": func(p *Problem, x float64) {
			p.Readout = Readout{Initial: []float64{x, 1}, Rate: 1}
		},
		"readout rate": func(p *Problem, x float64) { p.Readout.Rate = x },
	} {
		for _, x := range []float64{1e307, 1e100, 1e7, 1e-160} {
			for _, activation := range []kernels.Activation{{Name: kernels.QuadraticMixName, Parameter: 0.5}, {Name: "tanh"}} {
				p := &Problem{Ratio: 2, Units: 2, Activation: activation, OutputScale: 1,
					Target:   Target{Overlaps: [][]float64{{0.3}, {-0.2}}},
					Training: Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 4}}
				// Sampled averages take their time.
				if activation.Name != kernels.QuadraticMixName && (name == "epsilon" || x == 1e7) {
					continue
				}
				spoil(p, x)
				ctx, s := context.Background(), Settings{Samples: 128, Blocks: 2, Alignments: 2}
				sim := Simulation{Dimension: 6, Seeds: 2, Alignments: 2, Run: dmft.Run{Memory: 1 << 28}}
				with := s
				with.Responses = true
				for what, run := range map[string]func() (*Trajectory, error){
					"theory":     func() (*Trajectory, error) { return Solve(ctx, p, s) },
					"responses":  func() (*Trajectory, error) { return Solve(ctx, p, with) },
					"population": func() (*Trajectory, error) { return Population(ctx, p, s) },
					"one-pass":   func() (*Trajectory, error) { return OnePass(ctx, p, 2, s) },
					"online":     func() (*Trajectory, error) { return Online(ctx, p, 2, s) },
					"simulation": func() (*Trajectory, error) { return Simulate(ctx, p, sim) },
					"moments":    func() (*Trajectory, error) { return SimulateMoments(ctx, p, sim) },
					"linearised": func() (*Trajectory, error) {
						lin := sim
						lin.Linearised = true
						return SimulateMoments(ctx, p, lin)
					},
				} {
					began := time.Now()
					tr, err := run()
					what = fmt.Sprintf("%s %s = %g, %s", activation.Name, name, x, what)
					if d := time.Since(began); d > 20*time.Second {
						t.Errorf("%s took %v", what, d)
					}
					var stop *dmft.StopError
					switch {
					case err == nil:
						finished++
					case errors.As(err, &stop):
						stopped++
						if s := stop.Status; s.Quantity == "" || s.Advice == "" || strings.Contains(s.Advice, "NaN") {
							t.Errorf("%s: %v does not say what went wrong and what to do", what, err)
						}
					case strings.Contains(err.Error(), "use Simulate"), strings.Contains(err.Error(), "full-batch"),
						strings.Contains(err.Error(), "weight decay"),
						strings.Contains(err.Error(), "points"), strings.Contains(err.Error(), "must be"):
					default:
						t.Errorf("%s: %v", what, err)
					}
					if tr == nil {
						continue
					}
					if (err == nil) == tr.Status.Early() {
						t.Errorf("%s: error %v beside the status %v", what, err, tr.Status)
					}
					if bad := overflowed("", reflect.ValueOf(tr)); bad != "" {
						t.Errorf("%s: %s is kept (%v)", what, bad, err)
					}
					if _, err := json.Marshal(tr); err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
			}
		}
	}
	t.Logf("%d runs stopped, %d finished", stopped, finished)
	if stopped < 50 || finished < 50 {
		t.Errorf("%d runs stopped and %d finished: the table does not have both", stopped, finished)
	}
}
