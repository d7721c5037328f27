package dmft_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"

	"github.com/seed39b58f2d/dmft/ode"
)

// overflowed names the first number of a trajectory that is not finite, and its index; whatever fields trajectories
// have or will have.
func overflowed(v any) string {
	var look func(name string, x reflect.Value) string
	look = func(name string, x reflect.Value) string {
		switch x.Kind() {
		case reflect.Pointer, reflect.Interface:
			if !x.IsNil() {
				return look(name, x.Elem())
			}
		case reflect.Struct:
			for i := range x.NumField() {
				if s := look(name+"."+x.Type().Field(i).Name, x.Field(i)); s != "" {
					return s
				}
			}
		case reflect.Slice, reflect.Array:
			for i := range x.Len() {
				if s := look(fmt.Sprintf("%s[%d]", name, i), x.Index(i)); s != "" {
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
	return look("", reflect.ValueOf(v))
}

// TestNotFinite: numbers so large that their squares overflow, and so small that they vanish, end in a result that is
// finite throughout, or in a status that says at which step what went wrong, why and what to do, with what was computed
// by then, which is finite.
func TestNotFinite(t *testing.T) {
	type extreme struct {
		name  string
		spoil func(p *dmft.Problem, x float64)
	}
	stopped, finished := 0, 0
	for _, e := range []extreme{
		{"branch", func(p *dmft.Problem, x float64) {
			p.Network.Kind, p.Network.Branch.Beta = dmft.ResNet, x
		}},
		{"exponent", func(p *dmft.Problem, x float64) {
			p.Network.Kind, p.Network.Branch.Exponent = dmft.ResNet, -math.Log2(x)
		}},
		{"bias", func(p *dmft.Problem, x float64) { p.Network.Bias = x }},
		{"gain", func(p *dmft.Problem, x float64) { p.Network.Activation.Gain = x }},
		{"scale", func(p *dmft.Problem, x float64) { p.Network.Activation.Scale = x }},
		{"richness", func(p *dmft.Problem, x float64) { p.Richness = x }},
		{"targets", func(p *dmft.Problem, x float64) { p.Data.Targets.Scale(x, p.Data.Targets) }},
		{"inputs", func(p *dmft.Problem, x float64) {
			d := p.Data.Inputs.(*mat.Dense)
			d.Scale(x, d)
		}},
		{"test targets", func(p *dmft.Problem, x float64) { p.Data.TestTargets.Scale(x, p.Data.TestTargets) }},
		{"learning rate", func(p *dmft.Problem, x float64) { p.Training.Method.LearningRate = x }},
		{"weight decay", func(p *dmft.Problem, x float64) { p.Training.Method.WeightDecay = x }},
		{"rates", func(p *dmft.Problem, x float64) { p.Training.Rates = dmft.Rates{Input: x, Hidden: 1, Readout: 1} }},
	} {
		for _, x := range []float64{1e307, 1e160, 1e40, 1e-130, 1e-160} {
			for _, activation := range []string{"tanh", "relu"} {
				make := func(m ode.Kind, depth int) *dmft.Problem {
					p := deep(dmft.MLP, depth, activation, 1, gaussianData(3, 3, 2, 2, 1), ode.Method{Kind: m, LearningRate: 0.05}, 3)
					e.spoil(p, x)
					return p
				}
				run := dmft.Run{Record: dmft.Record{Kernels: 4, TwoTime: 4, NTKReplicas: 2, Preactivations: 4}}
				check := func(name string, began time.Time, tr *dmft.Trajectory, err error) {
					name = fmt.Sprintf("%s, %s = %g, %s", activation, e.name, x, name)
					if d := time.Since(began); d > 20*time.Second {
						t.Errorf("%s took %v", name, d)
					}
					var stop *dmft.StopError
					switch {
					case err == nil:
						finished++
					case errors.As(err, &stop):
						stopped++
						if s := stop.Status; s.Quantity == "" || s.Advice == "" || strings.Contains(s.Advice, "NaN") || strings.Contains(s.Advice, "Inf") {
							t.Errorf("%s: %v does not say what went wrong and what to do", name, err)
						}
					default:
						if s := err.Error(); !strings.Contains(s, "weight decay") && !strings.Contains(s, "weight_decay") && !strings.Contains(s, "the variance of the field is") && !strings.Contains(s, "beyond the range of float64") {
							t.Errorf("%s: %v", name, err)
						}
					}
					if tr == nil {
						return
					}
					if (err == nil) == tr.Status.Early() {
						t.Errorf("%s: error %v beside the status %v", name, err, tr.Status)
					}
					if n := tr.Steps(); err == nil && n != 4 || err != nil && n > 3 {
						t.Errorf("%s: %d times beside %v", name, n, err)
					}
					kept := *tr
					kept.FReplicas, kept.FTestReplicas, kept.LossReplicas, kept.Preactivations = dmft.Array{}, dmft.Array{}, dmft.Array{}, dmft.Array{}
					if s := overflowed(kept); s != "" {
						t.Errorf("%s: %s is kept (%v)", name, s, err)
					}
				}
				for _, method := range []dmft.Approximation{dmft.Full, dmft.Lazy, dmft.FrozenFeatures, dmft.LeadingOrder, dmft.GradientIndependence} {
					for _, kind := range []ode.Kind{ode.GD, ode.RK45} {
						if kind == ode.RK45 && method != dmft.Full && method != dmft.Lazy {
							continue
						}
						began := time.Now()
						tr, err := dmft.Solve(ctx, make(kind, 2), dmft.Settings{Method: method, Samples: 32, Blocks: 2, Run: run})
						check(fmt.Sprintf("%s by %s", method, kind), began, tr, err)
					}
				}
				for _, precision := range []finite.Precision{finite.Float64, finite.Float32} {
					began := time.Now()
					tr, err := finite.Train(ctx, make(ode.GD, 2), finite.Settings{Width: 8, Seeds: 3, Precision: precision, Run: run})
					check(string(precision), began, tr, err)
				}
				if lambda, limit := dmft.Stability(make(ode.GD, 2)); overflowed([]float64{lambda, limit}) != "" {
					t.Errorf("%s = %g: λ = %g, limit %g", e.name, x, lambda, limit)
				}
			}
		}
	}
	t.Logf("%d runs stopped, %d finished", stopped, finished)
	if stopped < 100 || finished < 100 {
		t.Errorf("%d runs stopped and %d finished: the table does not have both", stopped, finished)
	}
}

// TestTinyInputs: inputs whose squares vanish are refused with what to do, as those are whose squares overflow; zeros
// and what float64 squares are not.
func TestTinyInputs(t *testing.T) {
	for _, tc := range []struct {
		x  float64
		ok bool
	}{{0, true}, {1e-130, true}, {1e130, true}, {1e-160, false}, {1e-200, false}, {5e-324, false}, {1e160, false}} {
		d := gaussianData(3, 3, 2, 2, 1)
		d.Inputs.(*mat.Dense).SetRow(1, []float64{tc.x, 0})
		_, err := dmft.Solve(ctx, deep(dmft.MLP, 2, "tanh", 1, d, gd(0.05), 1), dmft.Settings{Samples: 100})
		if refused := err != nil && strings.Contains(err.Error(), "inputs row 1 has a square |x|² beyond the range of float64"); refused == tc.ok {
			t.Errorf("an input of %g: %v", tc.x, err)
		}
	}
}
