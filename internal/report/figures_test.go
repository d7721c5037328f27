package report

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/figure"
)

// trajectory is one with numbers of no meaning for every quantity, of l layers, p points and c outputs.
func trajectory(width, l, p, c int) *dmft.Trajectory {
	const steps, kept = 6, 3
	fill := func(shape ...int) dmft.Array {
		a := dmft.NewArray(shape...)
		for i := range a.Data {
			a.Data[i] = math.Sin(float64(width + 3*i))
		}
		return a
	}
	out := func(lead ...int) []int {
		if c > 1 {
			lead = append(lead, c)
		}
		return lead
	}
	gs := func(lead ...int) []int { return append(out(append(lead, p)...), out(p)...) }
	t := &dmft.Trajectory{Width: width, Replicas: 4, F: fill(out(steps, p)...), FStderr: fill(out(steps, p)...),
		NTK: fill(gs(kept)...), Phi: fill(kept, l, p, p),
		G: fill(gs(kept, l)...), PhiMovement: fill(kept, l), GMovement: fill(kept, l), PhiAlignment: fill(kept, l),
		NTKSpectrum: fill(kept, p*c),
		PhiTwoTime:  fill(l, kept, kept, p, p), GTwoTime: fill(gs(l, kept, kept)...)}
	if l > 1 {
		t.ResponseA = fill(append([]int{l - 1, kept, kept, p}, out(p)...)...)
		t.ResponseB = fill(append(append([]int{l - 1, kept, kept}, out(p)...), p)...)
	}
	for i := range steps {
		t.Time, t.Loss, t.LossStderr = append(t.Time, float64(i)), append(t.Loss, math.Exp(-float64(i))),
			append(t.LossStderr, 0.01)
	}
	for k := range kept {
		t.KernelStep, t.KernelTime = append(t.KernelStep, 2*k), append(t.KernelTime, float64(2*k))
		t.TwoTimeStep, t.TwoTimeTime = append(t.TwoTimeStep, 2*k), append(t.TwoTimeTime, float64(2*k))
		t.SpectrumTime = append(t.SpectrumTime, float64(2*k))
		t.Alignment, t.KernelMovement = append(t.Alignment, 0.5), append(t.KernelMovement, 0.1)
	}
	return t
}

// deepen makes a trajectory the limit of a ladder of depths with corrections c₁ L^{−q} + c₂ L^{−2q} (the second with
// three rungs), different for every value.
func deepen(t *dmft.Trajectory, q float64, rungs int) {
	t.Depths = []int{4, 8, 16, 32}
	n := len(t.Depths)
	t.FDepths, t.FDepthsStderr, t.LossDepths = dmft.NewArray(append([]int{n}, t.F.Shape...)...),
		dmft.NewArray(append([]int{n}, t.F.Shape...)...), dmft.NewArray(n, len(t.Loss))
	for k, l := range t.Depths {
		x := math.Pow(float64(l), -q)
		for i, v := range t.F.Data {
			t.FDepths.At(k).Data[i] = v + math.Cos(float64(i))*x
			if rungs == 3 || k < n-rungs {
				t.FDepths.At(k).Data[i] += math.Cos(float64(7*i)) * x * x
			}
		}
		for i, v := range t.Loss {
			t.LossDepths.At(k).Data[i] = v * (1 + x)
		}
	}
	for i := range t.Phi.Shape[1] {
		t.LayerTime = append(t.LayerTime, float64(i)/float64(t.Phi.Shape[1]-1))
	}
}

func names(figures []Named) []string {
	var out []string
	for _, f := range figures {
		out = append(out, f.Name)
	}
	return out
}

// drawAll fails on a figure that cannot be drawn in one of the formats.
func drawAll(t *testing.T, figures []Named, formats ...string) {
	t.Helper()
	for _, f := range figures {
		for _, format := range formats {
			b, err := f.Render(format)
			if err != nil {
				t.Errorf("%s.%s: %v", f.Name, format, err)
				continue
			}
			switch format {
			case "png":
				if _, err := png.Decode(bytes.NewReader(b)); err != nil {
					t.Errorf("%s.png: %v", f.Name, err)
				}
			case "svg":
				if !bytes.HasPrefix(b, []byte("<?xml")) || bytes.Contains(b, []byte("NaN")) || bytes.Contains(b, []byte("Inf")) {
					t.Errorf("%s.svg holds what is no number", f.Name)
				}
			case "pdf":
				if !bytes.HasPrefix(b, []byte("%PDF")) || !bytes.Contains(b, []byte("%%EOF")) {
					t.Errorf("%s.pdf is no PDF", f.Name)
				}
			}
		}
	}
}

// TestWhichFigures: a figure is there when the result holds what it shows, and only then.
func TestWhichFigures(t *testing.T) {
	all := func() Result {
		theory := trajectory(1000, 3, 5, 1)
		deepen(theory, 1, 2)
		return Result{Theory: theory, Sims: []*dmft.Trajectory{trajectory(64, 3, 5, 1), trajectory(256, 3, 5, 1)},
			Points: 5, Outputs: 1,
			Methods: []Method{{"lazy", trajectory(0, 3, 5, 1)}}}
	}
	full := []string{"loss", "kernels", "heatmaps", "two-time", "layers", "spectrum", "depth", "approximations"}
	if got := names(Figures([]Result{all()})); !slices.Equal(got, full) {
		t.Errorf("figures %v, want %v", got, full)
	}
	each := func(r *Result, f func(*dmft.Trajectory)) {
		for _, x := range append([]*dmft.Trajectory{r.Theory}, r.Sims...) {
			f(x)
		}
	}
	for name, remove := range map[string]func(*Result){
		"heatmaps":       func(r *Result) { each(r, func(x *dmft.Trajectory) { x.NTK = dmft.Array{} }) },
		"two-time":       func(r *Result) { each(r, func(x *dmft.Trajectory) { x.PhiTwoTime = dmft.Array{} }) },
		"layers":         func(r *Result) { each(r, func(x *dmft.Trajectory) { x.PhiMovement = dmft.NewArray(3, 1) }) },
		"spectrum":       func(r *Result) { each(r, func(x *dmft.Trajectory) { x.NTKSpectrum = dmft.NewArray(3, 5) }) },
		"depth":          func(r *Result) { r.Theory.Depths = nil },
		"approximations": func(r *Result) { r.Methods = nil },
	} {
		r := all()
		remove(&r)
		want := slices.DeleteFunc(slices.Clone(full), func(s string) bool { return s == name })
		if got := names(Figures([]Result{r})); !slices.Equal(got, want) {
			t.Errorf("without %s: figures %v", name, got)
		}
	}
	// The networks or the theory alone show what they hold.
	r := all()
	r.Theory, r.Methods = nil, nil
	if got := names(Figures([]Result{r})); !slices.Equal(got,
		[]string{"loss", "kernels", "heatmaps", "two-time", "layers", "spectrum"}) {
		t.Errorf("networks alone: %v", got)
	}
	r = all()
	r.Sims = nil
	if got := names(Figures([]Result{r})); !slices.Equal(got, full) {
		t.Errorf("theory alone: %v", got)
	}
	if got := Figures(make([]Result, MaxPanels+1)); got != nil {
		t.Errorf("%d results: %v", MaxPanels+1, names(got))
	}
}

// TestDraw: one result and products, shallow and deep, of one output and several.
func TestDraw(t *testing.T) {
	for _, tc := range []struct{ results, layers, points, outputs int }{{1, 1, 2, 1}, {1, 2, 4, 3}, {1, 9, 6, 1},
		{2, 3, 4, 1}, {4, 2, 3, 2}, {6, 1, 2, 1}} {
		var results []Result
		for i := range tc.results {
			theory := trajectory(1000+i, tc.layers, tc.points, tc.outputs)
			if tc.layers > 1 {
				deepen(theory, 1, 2)
			}
			r := Result{Theory: theory, Points: tc.points,
				Sims:    []*dmft.Trajectory{trajectory(64+i, tc.layers, tc.points, tc.outputs)},
				Methods: []Method{{"lazy", trajectory(0, tc.layers, tc.points, tc.outputs)}, {"full", theory}}}
			if tc.results > 1 {
				r.Label = fmt.Sprintf("richness=%g", 3/float64(i+1))
			}
			results = append(results, r)
		}
		results[0].Flow = true
		formats := []string{"svg"}
		if tc.layers == 9 { // drawing pixels takes long
			formats = []string{"png", "svg", "pdf"}
		}
		drawAll(t, Figures(results), formats...)
	}
}

// TestHardResults: what is missing, not finite or cut short is left out, and nothing panics.
func TestHardResults(t *testing.T) {
	nan := func(a dmft.Array) {
		for i := range a.Data {
			a.Data[i] = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0}[i%4]
		}
	}
	for name, spoil := range map[string]func(*dmft.Trajectory){
		"not finite": func(x *dmft.Trajectory) {
			for _, a := range []dmft.Array{x.F, x.FStderr, x.NTK, x.Phi, x.G, x.PhiMovement, x.GMovement,
				x.PhiAlignment, x.NTKSpectrum, x.PhiTwoTime, x.GTwoTime, x.ResponseA, x.ResponseB, x.FDepths, x.LossDepths} {
				nan(a)
			}
			nan(dmft.Array{Data: x.Loss})
		},
		"zero": func(x *dmft.Trajectory) {
			for _, a := range []dmft.Array{x.F, x.FStderr, x.NTK, x.Phi, x.PhiMovement, x.NTKSpectrum, x.PhiTwoTime,
				x.FDepths, x.LossDepths, x.ResponseA, {Data: x.Loss}, {Data: x.LossStderr}} {
				clear(a.Data)
			}
		},
		"spectrum at the ends": func(x *dmft.Trajectory) {
			a, last := x.NTKSpectrum, len(x.SpectrumTime)-1
			x.SpectrumTime = []float64{x.SpectrumTime[0], x.SpectrumTime[last]}
			x.NTKSpectrum = dmft.Array{Shape: []int{2, a.Shape[1]}, Data: slices.Concat(a.At(0).Data, a.At(last).Data)}
		},
		"spectrum of old files": func(x *dmft.Trajectory) { nan(x.NTKSpectrum.At(1)) },
		"stopped at once": func(x *dmft.Trajectory) {
			x.Time, x.Loss, x.LossStderr = x.Time[:1], x.Loss[:1], x.LossStderr[:1]
			row := len(x.F.Data) / x.F.Shape[0]
			x.F = dmft.Array{Shape: append([]int{1}, x.F.Shape[1:]...), Data: x.F.Data[:row]}
			x.FStderr = dmft.Array{Shape: x.F.Shape, Data: x.FStderr.Data[:row]}
			x.SpectrumTime = x.SpectrumTime[:1]
			x.KernelStep, x.KernelTime, x.Alignment, x.KernelMovement = x.KernelStep[:1], x.KernelTime[:1],
				x.Alignment[:1], x.KernelMovement[:1]
			for _, a := range []*dmft.Array{&x.NTK, &x.Phi, &x.G, &x.PhiMovement, &x.GMovement, &x.PhiAlignment,
				&x.NTKSpectrum} {
				*a = dmft.Array{Shape: append([]int{1}, a.Shape[1:]...), Data: a.At(0).Data}
			}
			x.TwoTimeStep, x.TwoTimeTime, x.PhiTwoTime, x.GTwoTime, x.ResponseA, x.ResponseB = nil, nil, dmft.Array{},
				dmft.Array{}, dmft.Array{}, dmft.Array{}
		},
		"no kernels": func(x *dmft.Trajectory) {
			*x = dmft.Trajectory{Width: x.Width, Time: x.Time, Loss: x.Loss, F: x.F}
		},
		"nothing": func(x *dmft.Trajectory) { *x = dmft.Trajectory{Width: x.Width} },
	} {
		for which := range 4 { // the theory, the networks, the approximation, all
			if which < 3 && name != "not finite" && name != "nothing" && os.Getenv("DMFT_EXTENDED") == "" {
				continue
			}
			theory, sim, lazy := trajectory(1000, 2, 3, 2), trajectory(64, 2, 3, 2), trajectory(0, 2, 3, 2)
			deepen(theory, 0.5, 3)
			for i, x := range []*dmft.Trajectory{theory, sim, lazy} {
				if which == i || which == 3 {
					spoil(x)
				}
			}
			one := Result{Theory: theory, Sims: []*dmft.Trajectory{sim}, Methods: []Method{{"lazy", lazy}}, Points: 3}
			two := one
			one.Label, two.Label = "richness=0.1", "richness=2"
			for _, results := range [][]Result{{one}, {one, two}} {
				if which < 3 && len(results) > 1 {
					continue
				}
				for _, f := range Figures(results) {
					if _, err := f.Render("svg"); err != nil {
						t.Errorf("%s, %d, %s: %v", name, which, f.Name, err)
					}
				}
			}
		}
	}
}

// TestSampleMap: samples are sorted by class and output, and several outputs averaged.
func TestSampleMap(t *testing.T) {
	x := &dmft.Trajectory{F: dmft.Array{Shape: []int{1, 4}, Data: []float64{1, -1, 0.5, -2}}}
	if got := byPrediction(x); !slices.Equal(got, []int{3, 1, 2, 0}) {
		t.Errorf("order %v", got)
	}
	x.F = dmft.Array{Shape: []int{1, 3, 2}, Data: []float64{0, 1, 3, 0, 2, 0}}
	if got := byPrediction(x); !slices.Equal(got, []int{2, 1, 0}) {
		t.Errorf("order of classes %v", got)
	}
	k := dmft.NewArray(2, 2, 2, 2)
	for i := range k.Data {
		k.Data[i] = float64(i)
	}
	// ((μ,c),(ν,c)) at 8μ + 4c + 2ν + c: rows 0, 5 and 2, 7; 8, 13 and 10, 15.
	if got := sampleMap(k.Data, 2, 2, []int{1, 0}).Z; got[0][0] != 12.5 || got[0][1] != 10.5 || got[1][0] != 4.5 ||
		got[1][1] != 2.5 {
		t.Errorf("NTK averaged over outputs %v", got)
	}
	// Responses have outputs on one side: μ + (μ,c) of 2×(2·2) at 4μ + 2μ + c, and of (2·2)×2 at 2(2μ + c) + μ.
	if a, b := diagonal(k.Data, 2, 1, 2), diagonal(k.Data, 2, 2, 1); a != (0+1+6+7)/4. || b != (0+2+5+7)/4. {
		t.Errorf("responses averaged %g, %g", a, b)
	}
}

// TestFitDepth: the polynomial behind the limit is found, its exponent and how many rungs it goes through.
func TestFitDepth(t *testing.T) {
	for _, q := range []float64{1, 0.5, 0.2} {
		for rungs := 2; rungs <= 3; rungs++ {
			x := trajectory(1000, 3, 5, 1)
			deepen(x, q, rungs)
			fit, ok := fitDepth(x, len(x.Time)-1)
			if !ok || math.Abs(fit.q-q) > 1e-9 || len(fit.depths) != rungs {
				t.Errorf("q = %g, %d rungs: %+v, %v", q, rungs, fit, ok)
				continue
			}
			c := fit.curve(x.Depths, []float64{9, 9, 1, 2}, true, 5) // 9 is not looked at with two rungs
			first, last := c.Y[0], c.Y[len(c.Y)-1]
			if want := map[int]float64{2: 1, 3: 9}[rungs]; first != 5 || math.Abs(last-want) > 1e-9 {
				t.Errorf("curve from %g to %g, want 5 to %g", first, last, want)
			}
		}
	}
	x := trajectory(1000, 3, 5, 1)
	deepen(x, 1, 2)
	for i := range x.F.Data {
		x.F.Data[i] += math.Sin(float64(i * i))
	}
	if fit, ok := fitDepth(x, len(x.Time)-1); ok {
		t.Errorf("a limit that is none: %+v", fit)
	}
}

// TestBreakdown: distances of approximations over a product of richnesses, in their order, with a gap where one
// stopped.
func TestBreakdown(t *testing.T) {
	make1 := func(g float64, scale float64) Result {
		theory, lazy := trajectory(1000, 1, 3, 1), trajectory(1000, 1, 3, 1)
		for i := range lazy.F.Data {
			lazy.F.Data[i] *= 1 + scale
		}
		for i := range theory.FStderr.Data {
			theory.FStderr.Data[i] = 0.01 * theory.F.Data[i]
		}
		return Result{Label: fmt.Sprintf("richness=%g", g), Theory: theory, Methods: []Method{{"lazy", lazy}}, Points: 3}
	}
	results := []Result{make1(3, 0.5), make1(0.3, 0.1), make1(1, 0.2)}
	cut := results[2].Methods[0].Trajectory
	cut.F = dmft.Array{Shape: []int{2, 3}, Data: cut.F.Data[:6]}
	cut.Time, cut.Loss, cut.LossStderr = cut.Time[:2], cut.Loss[:2], cut.LossStderr[:2]
	f, ok := approximationFigure(results)
	if !ok || len(f.Panels) != 4 || f.Columns != 2 {
		t.Fatalf("%v, %d panels in %d columns", ok, len(f.Panels), f.Columns)
	}
	s := f.Panels[3].Series[0]
	if !slices.Equal(s.X, []float64{0.3, 1, 3}) || math.Abs(s.Y[0]-0.1) > 1e-12 || !math.IsNaN(s.Y[1]) ||
		math.Abs(s.Y[2]-0.5) > 1e-12 {
		t.Errorf("distances %v at %v", s.Y, s.X)
	}
	if last := f.Panels[3].Series[len(f.Panels[3].Series)-1]; !strings.Contains(last.Label, "standard error") ||
		math.Abs(last.Y[0]-0.01) > 1e-12 {
		t.Errorf("floor %v", last)
	}
	results[1].Label = "network.depth=3"
	if f, _ := approximationFigure(results); len(f.Panels) != 3 {
		t.Errorf("%d panels for a product that is not over the richness alone", len(f.Panels))
	}
}

// TestDivergedKernels: what diverged leaves the axes of movement, and the others their room; without it axes are of the
// data.
func TestDivergedKernels(t *testing.T) {
	for _, diverged := range []bool{false, true} {
		fine, hot := trajectory(1000, 2, 3, 2), trajectory(1000, 2, 3, 2)
		if diverged {
			hot.Status = dmft.Status{Code: dmft.Diverged}
			for _, a := range [][]float64{hot.KernelMovement, hot.PhiMovement.Data, hot.GMovement.Data} {
				a[len(a)-1] = 1e5
			}
		}
		results := []Result{{Theory: fine, Points: 3}, {Theory: hot, Points: 3}}
		for name, draw := range map[string]func([]Result) (figure.Figure, bool){"kernels": kernelFigure,
			"layers": layersFigure} {
			f, ok := draw(results)
			if !ok {
				t.Fatal(name)
			}
			for _, p := range f.Panels {
				if !strings.Contains(p.Y.Label, "movement") {
					continue
				}
				if cut := p.Y.Max > 0; cut != diverged || p.Y.Max > 1e3 {
					t.Errorf("%s, %s, diverged %v: axis from %g to %g", name, p.Y.Label, diverged, p.Y.Min, p.Y.Max)
				}
			}
		}
	}
}
