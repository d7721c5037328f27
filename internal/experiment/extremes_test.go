package experiment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/kernels"
)

// nested writes keys with their values as YAML.
func nested(keys map[string]string) string {
	var write func(prefix, indent string) string
	write = func(prefix, indent string) string {
		var b strings.Builder
		done := map[string]bool{}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			rest, ok := strings.CutPrefix(k, prefix)
			if !ok {
				continue
			}
			first, _, deeper := strings.Cut(rest, ".")
			if done[first] {
				continue
			}
			done[first] = true
			if deeper {
				b.WriteString(indent + first + ":\n" + write(prefix+first+".", indent+"  "))
			} else {
				b.WriteString(indent + first + ": " + keys[k] + "\n")
			}
		}
		return b.String()
	}
	return write("", "")
}

// small is an experiment of a moment; its variants have the other keys.
func small(changes ...string) map[string]string {
	keys := map[string]string{"data.source": "gaussian", "data.train": "4", "data.test": "2", "data.dimension": "3",
		"network.kind": "resnet", "network.depth": "2", "network.activation": "tanh",
		"richness": "1", "training.learning_rate": "0.1", "training.steps": "4", "theory.samples": "64",
		"simulation.widths": "[8]", "simulation.seeds": "2"}
	return changed(keys, changes...)
}

func changed(keys map[string]string, changes ...string) map[string]string {
	keys = maps.Clone(keys)
	for _, c := range changes {
		k, v, _ := strings.Cut(c, ": ")
		if v == "" {
			delete(keys, k)
		} else {
			keys[k] = v
		}
	}
	return keys
}

func smallHighDimensional(changes ...string) map[string]string {
	return changed(map[string]string{"data.source": HighDimensional, "data.ratio": "2", "network.kind": "two-layer",
		"network.units": "2", "network.activation": "{quadratic-mix: 0.5}",
		"target.overlaps": "[0.3, -0.2]", "training.learning_rate": "0.1", "training.steps": "4",
		"theory.samples": "256", "simulation.dimensions": "[6]", "simulation.seeds": "2"}, changes...)
}

// numbersIn names the first number of a trajectory that is not finite.
func numbersIn(v reflect.Value, name string) string {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return numbersIn(v.Elem(), name)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if n := v.Type().Field(i).Name; !strings.HasSuffix(n, "Replicas") && n != "Preactivations" {
				if s := numbersIn(v.Field(i), n); s != "" {
					return s
				}
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if s := numbersIn(v.Index(i), name); s != "" {
				return s
			}
		}
	case reflect.Float64:
		if x := v.Float(); math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Sprintf("%s = %g", name, x)
		}
	}
	return ""
}

// TestExtremes: every key that holds numbers, with extreme ones: each is refused by name, or the run gives finite
// results or an error that says why it stopped, soon and without much memory.
func TestExtremes(t *testing.T) {
	bases := []map[string]string{
		small(), small("network.kind: mlp", "training.optimizer: momentum", "training.momentum: 0.5",
			"simulation.parametrization: ntk"),
		small("training.schedule.kind: step", "training.schedule.every: 2", "training.schedule.factor: 0.5"),
		small("training.schedule.kind: cosine"),
		small("training.optimizer: flow"), small("network.depth: infinite", "theory.depths: [2, 3, 5]",
			"simulation.depth: 3"),
		small("data.source: teacher", "data.width: 3", "data.activation: relu"),
		small("data.source: parity", "data.degree: 2"), small("data.source: single-index", "data.polynomial: [0, 1]"),
		small("data.source: kernel-eigenvector", "data.activation: relu", "data.index: 1"),
		small("data.source: modular-addition", "data.modulus: 5", "data.dimension: "),
		small("data.source: digits", "data.dimension: "),
		smallHighDimensional(), smallHighDimensional("target.kind: link", "target.activation: tanh"),
		smallHighDimensional("network.readout: trained"), smallHighDimensional("simulation.method: moments"),
	}
	extremes := []string{"0", "-1", "1", "1e-300", "-1e-300", "1e-75", "1e-20", "1e20", "1e75", "-1e75", "1e300",
		"1e308", "1000", "1000000000", "9007199254740993", "99999999999999999999", ".inf", "-.inf", ".nan"}
	refused, stopped, finished := 0, 0, 0
	for i := range fields {
		f := &fields[i]
		list := false
		values := extremes
		switch f.at(&Experiment{}).(type) {
		case *int, *uint64, *float64, *depth, *count:
		case *[]int, *[]float64:
			list = true
		case *kernels.Activation:
			values = nil
			for _, x := range extremes {
				values = append(values, "{tanh: "+x+"}", "{name: relu, scale: "+x+"}", "{polynomial: [0, 1, "+x+"]}")
			}
		default:
			continue
		}
		var base map[string]string
		for _, b := range bases {
			e, err := Parse("base.yaml", []byte(nested(b)))
			if err != nil {
				t.Fatalf("%v\n%s", err, nested(b))
			}
			if x := e.Points()[0].Experiment; f.applies(&x) == "" {
				base = b
				break
			}
		}
		if base == nil {
			t.Errorf("no experiment of the table has the key %s", f.path)
			continue
		}
		for _, v := range values {
			if list && v[0] != '{' {
				v = "[" + v + "]"
			}
			text := nested(changed(base, f.path+": "+v))
			what := fmt.Sprintf("%s: %s", f.path, v)
			file, err := Parse("extreme.yaml", []byte(text))
			if err != nil {
				refused++
				if !strings.Contains(err.Error(), f.path[strings.LastIndex(f.path, ".")+1:]) {
					t.Errorf("%s: the error does not name the key: %v", what, err)
				}
				continue
			}
			e := file.Points()[0].Experiment
			if e.Data.Train > 1000 || e.Data.Test > 1000 || e.Data.Dimension > 1000 || e.Data.Width > 1000 ||
				e.Data.Outputs > 100 || e.Data.Modulus > 100 {
				continue // of package data
			}
			began := time.Now()
			kinds := 0
			for _, run := range runsOf(t, e) {
				c, cancel := context.WithTimeout(context.Background(), time.Second)
				tr, err := run(c)
				cancel()
				var stop *dmft.StopError
				switch {
				case err == nil:
					finished++
				case errors.As(err, &stop):
					stopped++
					if stop.Status.Quantity == "" {
						t.Errorf("%s: %v does not say why", what, err)
					}
				default:
					refused++
				}
				if x := reflect.ValueOf(tr); tr != nil && !x.IsNil() {
					if s := numbersIn(x, ""); s != "" {
						t.Errorf("%s: %s is kept (%v)", what, s, err)
					}
				}
				kinds++
			}
			if d := time.Since(began); d > time.Duration(20*kinds)*time.Second {
				t.Errorf("%s took %v", what, d)
			}
		}
	}
	t.Logf("%d refused, %d stopped, %d finished", refused, stopped, finished)
	if refused < 200 || stopped < 20 || finished < 100 {
		t.Errorf("%d refused, %d stopped, %d finished: the table lacks some kind", refused, stopped, finished)
	}
}

// runsOf are theory and networks of an experiment, within 64 MiB.
func runsOf(t *testing.T, e Experiment) []func(context.Context) (any, error) {
	const memory = 64 << 20
	if e.HighDimensional() {
		r := dmft.Run{Memory: memory, Workers: 1}
		return []func(context.Context) (any, error){
			func(c context.Context) (any, error) { return e.SolveHighDimensional(c, r) },
			func(c context.Context) (any, error) {
				set := e.HighDimensionalSimulation(e.Simulation.Dimensions[0], r)
				if e.Simulation.Method == "moments" {
					return highdim.SimulateMoments(c, e.HighDimensionalProblem(), set)
				}
				return highdim.Simulate(c, e.HighDimensionalProblem(), set)
			},
		}
	}
	fail := func(err error) []func(context.Context) (any, error) {
		return []func(context.Context) (any, error){func(context.Context) (any, error) { return nil, err }}
	}
	set, err := e.Load(".", 0)
	if err != nil {
		return fail(err)
	}
	p, err := e.Problem(set)
	if err != nil {
		return fail(err)
	}
	return []func(context.Context) (any, error){
		func(c context.Context) (any, error) {
			s := e.TheorySettings()
			s.Memory, s.Workers = memory, 1
			return dmft.Solve(c, p, s)
		},
		func(c context.Context) (any, error) {
			n := e.Simulation.Widths[0]
			q, err := e.SimulationProblem(p, n)
			if err != nil {
				return nil, err
			}
			s := e.SimulationSettings(n)
			s.Memory, s.Workers = memory, 1
			return finite.Train(c, q, s)
		},
	}
}
