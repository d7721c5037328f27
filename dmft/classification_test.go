package dmft_test

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/ode"
)

// TestClasses: what are class labels and what are other targets.
func TestClasses(t *testing.T) {
	for _, c := range []struct {
		name    string
		columns int
		y, test []float64
		want    []int
		tests   []int
	}{
		{"signs", 1, []float64{1, -1, -1}, []float64{1, 1}, []int{1, 0, 0}, []int{1, 1}},
		{"zero and one", 1, []float64{0, 1, 0}, nil, []int{0, 1, 0}, nil},
		{"one-hot", 3, []float64{1, 0, 0, 0, 0, 1}, []float64{0, 1, 0}, []int{0, 2}, []int{1}},
		{"centred one-hot of single precision", 3, []float64{float64(float32(2. / 3)), -1. / 3, float64(float32(-1. / 3)), -1. / 3, 2. / 3, -1. / 3}, nil, []int{0, 1}, nil},
		{"smoothed", 2, []float64{0.95, 0.05, 0.05, 0.95}, nil, []int{0, 1}, nil},
		{"regression", 1, []float64{0.3, -1, 1}, nil, nil, nil},
		{"two numbers", 1, []float64{0.3, 0.7}, nil, nil, nil},
		{"one class", 1, []float64{1, 1}, nil, nil, nil},
		{"one class of two columns", 2, []float64{1, 0, 1, 0}, nil, nil, nil},
		{"several labels a point", 2, []float64{1, 1, -1, 1}, nil, nil, nil},
		{"probabilities", 2, []float64{0.7, 0.3, 0.2, 0.8}, nil, nil, nil},
		{"other test targets", 1, []float64{1, -1}, []float64{0.5}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := dmft.Data{Targets: mat.NewDense(len(c.y)/c.columns, c.columns, c.y)}
			if c.test != nil {
				d.TestTargets = mat.NewDense(len(c.test)/c.columns, c.columns, c.test)
			}
			if a, b := d.Classes(); !slices.Equal(a, c.want) || !slices.Equal(b, c.tests) {
				t.Errorf("classes %v and %v, want %v and %v", a, b, c.want, c.tests)
			}
		})
	}
}

func classification(columns int, steps int) *dmft.Problem {
	const p, pt, d = 6, 5, 4
	fill := func(n int, f func(i int) float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = f(i)
		}
		return out
	}
	x := func(i int) float64 { return math.Sin(float64(i*i) + 1) }
	y := func(i int) float64 {
		if columns == 1 {
			return float64(2*(i%2) - 1)
		}
		if i/columns%columns == i%columns {
			return 1
		}
		return 0
	}
	return &dmft.Problem{Data: dmft.Data{Inputs: mat.NewDense(p, d, fill(p*d, x)), TestInputs: mat.NewDense(pt, d, fill(pt*d, func(i int) float64 { return x(i + 100) })),
		Targets: mat.NewDense(p, columns, fill(p*columns, y)), TestTargets: mat.NewDense(pt, columns, fill(pt*columns, y))},
		Network: dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: act("tanh")}, Richness: 1,
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: steps, Loss: dmft.Loss{Kind: dmft.MSE}}}
}

// TestClassificationError: errors are those of the predictions: of every network, and of the mean prediction of the
// theory, which starts with a tie of all classes.
func TestClassificationError(t *testing.T) {
	for _, columns := range []int{1, 3} {
		p := classification(columns, 30)
		wrong := func(f dmft.Array, y *mat.Dense) float64 {
			rows, _ := y.Dims()
			n := 0.
			for m := range rows {
				row, target := f.Data[m*columns:(m+1)*columns], y.RawRowView(m)
				if columns == 1 && row[0]*target[0] < 0 || columns > 1 && slices.Index(row, slices.Max(row)) != slices.Index(target, 1) {
					n++
				}
			}
			return n / float64(rows)
		}
		s, err := finite.Train(ctx, p, finite.Settings{Width: 8, Seeds: 5, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		th, err := dmft.Solve(ctx, p, dmft.Settings{Samples: 400, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		lazy, err := dmft.Solve(ctx, p, dmft.Settings{Method: dmft.Lazy})
		if err != nil {
			t.Fatal(err)
		}
		for k := range s.Time {
			for _, x := range []struct {
				y         *mat.Dense
				got, se   []float64
				own, reps dmft.Array
			}{{p.Data.Targets, s.Error, s.ErrorStderr, s.ErrorReplicas, s.FReplicas}, {p.Data.TestTargets, s.TestError, s.TestErrorStderr, s.TestErrorReplicas, s.FTestReplicas}} {
				mean, squares := 0., 0.
				for r := range 5 {
					e := wrong(x.reps.At(r).At(k), x.y)
					if x.own.At(r).Data[k] != e {
						t.Fatalf("%d outputs, step %d, network %d: error %g, want %g", columns, k, r, x.own.At(r).Data[k], e)
					}
					mean, squares = mean+e/5, squares+e*e
				}
				if se := math.Sqrt(math.Max(squares-5*mean*mean, 0) / 4 / 5); math.Abs(x.got[k]-mean) > 1e-12 || math.Abs(x.se[k]-se) > 1e-7 {
					t.Fatalf("%d outputs, step %d: error %g ± %g, want %g ± %g", columns, k, x.got[k], x.se[k], mean, se)
				}
			}
			for name, x := range map[string]*dmft.Trajectory{"theory": th, "static NTK": lazy} {
				a, b := wrong(x.F.At(k), p.Data.Targets), wrong(x.FTest.At(k), p.Data.TestTargets)
				if k == 0 { // f = 0
					a = 1 - 1/math.Max(float64(columns), 2)
					b = a
				}
				if math.Abs(x.Error[k]-a) > 1e-12 || math.Abs(x.TestError[k]-b) > 1e-12 {
					t.Fatalf("%d outputs, step %d: %s has errors %g and %g, want %g and %g", columns, k, name, x.Error[k], x.TestError[k], a, b)
				}
			}
		}
	}
	p := classification(1, 3)
	p.Data.Targets.Set(0, 0, 0.4)
	if s, err := finite.Train(ctx, p, finite.Settings{Width: 8, Seeds: 2, Seed: 1}); err != nil || s.Error != nil || s.TestError != nil {
		t.Errorf("regression has a classification error: %v, %v", s.Error, err)
	}
}

// TestLayerErrorBars: of two networks and one point the kernels of both are mean ± standard error, and so are their
// movements.
func TestLayerErrorBars(t *testing.T) {
	p := classification(1, 4)
	p.Data = dmft.Data{Inputs: mat.NewDense(1, 2, []float64{1, 0.5}), Targets: mat.NewDense(1, 1, []float64{1})}
	p.Network = dmft.Network{Kind: dmft.MLP, Depth: 3, Activation: act("tanh")}
	s, err := finite.Train(ctx, p, finite.Settings{Width: 16, Seeds: 2, Seed: 1, Run: dmft.Run{Record: dmft.Record{Kernels: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name       string
		k, se, got dmft.Array
	}{{"Φ", s.Phi, s.PhiStderr, s.PhiMovementStderr}, {"G", s.G, s.GStderr, s.GMovementStderr}} {
		for k := 1; k < 5; k++ {
			for l := range 3 {
				at := func(k int, sign float64) float64 { return x.k.At(k).Data[l] + sign*x.se.At(k).Data[l] }
				var want [2]float64 // which network has the larger kernel at both times is not known
				for i, cross := range []float64{1, -1} {
					a, b := math.Abs(at(k, cross)/at(0, 1)-1), math.Abs(at(k, -cross)/at(0, -1)-1)
					want[i] = math.Abs(a-b) / 2
				}
				if got := x.got.At(k).Data[l]; !(math.Abs(got-want[0]) < 1e-10 || math.Abs(got-want[1]) < 1e-10) || got == 0 {
					t.Errorf("%s of layer %d at %d: %g, want one of %g", x.name, l+1, k, got, want)
				}
			}
		}
	}
}
