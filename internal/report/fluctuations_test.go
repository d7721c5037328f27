package report

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

func fluctuatingProblem(c int) *dmft.Problem {
	return &dmft.Problem{Data: dmft.Data{Inputs: mat.NewDense(2, 2, []float64{1, 0.5, -0.3, 1}),
		Targets:     mat.NewDense(2, c, slices.Repeat([]float64{1, -1}, c)),
		TestInputs:  mat.NewDense(1, 2, []float64{1, 1}),
		TestTargets: mat.NewDense(1, c, slices.Repeat([]float64{0.5}, c))}, Richness: 1,
		Network: dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: kernels.Activation{Name: kernels.TanhName}},
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 10,
			Loss: dmft.Loss{Kind: dmft.MSE}, Centred: true}}
}

// fluctuating is a result with predictions of its fluctuations, of c outputs; widths without seeds are left out.
func fluctuating(t *testing.T, c, seeds int, widths ...int) Result {
	t.Helper()
	ctx := context.Background()
	p := fluctuatingProblem(c)
	r := Result{Points: 2, TestPoints: 1, Outputs: c}
	run := dmft.Run{Record: dmft.Record{Kernels: 3}}
	var err error
	if r.Theory, err = dmft.Solve(ctx, p, dmft.Settings{Samples: 400, Run: run}); err != nil {
		t.Fatal(err)
	}
	if r.Fluctuations, err = fluctuation.TwoLayer(ctx, p, fluctuation.Settings{Samples: 400, Kernels: 3}); err != nil {
		t.Fatal(err)
	}
	for _, n := range widths {
		s, err := finite.Train(ctx, p, finite.Settings{Width: n, Seeds: seeds, Run: run})
		if err != nil {
			t.Fatal(err)
		}
		r.Sims = append(r.Sims, s)
	}
	return r
}

// TestFluctuationFigure: the figure is there when fluctuations are, draws with one and two outputs, with one seed,
// without networks, beside results without fluctuations, and holds the numbers of its inputs.
func TestFluctuationFigure(t *testing.T) {
	r := fluctuating(t, 1, 6, 16, 32, 64)
	other := r
	other.Fluctuations = nil
	for i, results := range [][]Result{{r}, {fluctuating(t, 2, 3, 16)}, {fluctuating(t, 1, 1, 16)},
		{fluctuating(t, 1, 1)}, {r, other}} {
		f, ok := fluctuationFigure(results)
		if !ok || len(f.Panels) != 5*len(results) {
			t.Fatalf("figure %v of %d panels", ok, len(f.Panels))
		}
		formats := []string{"svg"}
		if i == 0 {
			formats = []string{"png", "svg", "pdf"}
		}
		drawAll(t, []Named{{"fluctuations", f}}, formats...)
	}
	if _, ok := fluctuationFigure([]Result{other}); ok ||
		slices.Contains(names(Figures([]Result{other})), "fluctuations") {
		t.Error("a figure of fluctuations that are not there")
	}
	f, _ := fluctuationFigure([]Result{r})
	const step = 7
	v, b := r.Fluctuations.FVariance.Value.At(step).Data, r.Fluctuations.FBias.Value.At(step).Data
	for i, n := range []float64{16, 64} { // the narrowest and the widest
		s := f.Panels[0].Series[2*i]
		at := slices.IndexFunc(v, func(x float64) bool { return math.Abs(s.Hi[step]-s.Lo[step]-2*math.Sqrt(x/n)) < 1e-12 })
		if at < 0 || math.Abs(s.Y[step]-r.Theory.F.At(step).Data[at]-b[at]/n) > 1e-12 {
			t.Errorf("N = %g: the band at step %d is %g … %g around %g, variances are %v", n, step, s.Lo[step],
				s.Hi[step], s.Y[step], v)
		}
	}
	if got, want := f.Panels[2].Series[0].Y[step], (v[0]+v[1])/2; math.Abs(got-want) > 1e-12 {
		t.Errorf("N Var f drawn at %g, want %g", got, want)
	}
	dots := f.Panels[2].Series[2] // N = 32
	k := int(dots.X[3])
	mean, sum := [2]float64{}, 0.
	for i := range 6 {
		for m, x := range r.Sims[1].FReplicas.At(i).At(k).Data {
			mean[m] += x / 6
		}
	}
	for i := range 6 {
		for m, x := range r.Sims[1].FReplicas.At(i).At(k).Data {
			sum += (x - mean[m]) * (x - mean[m]) / 5 / 2 * 32
		}
	}
	if math.Abs(dots.Y[3]-sum) > 1e-12 || !(dots.Lo[3] < sum && sum < dots.Hi[3]) {
		t.Errorf("the seeds' N Var f at step %d is drawn at %g [%g, %g], want %g", k, dots.Y[3], dots.Lo[3], dots.Hi[3], sum)
	}
	if s := r.Spreads(); len(s) != 9 || s[0].Width != 16 || s[0].What != "f" || s[1].What != "f at test points" ||
		s[5].What != "the NTK at the start" || !(s[0].Lo < s[0].Ratio && s[0].Ratio < s[0].Hi) {
		t.Errorf("spreads %+v", s)
	}
	var err error
	if r.Compare, err = compare.New(fluctuatingProblem(1), r.Theory, r.Sims, compare.Options{Tolerance: 0.1}); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := Distances(&text, []Result{r}); err != nil || strings.Count(text.String(), "measured over predicted") != 9 {
		t.Errorf("%v in\n%s", err, text.String())
	}
}
