package compare_test

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/finite"
)

// A world is a Gaussian model of ensembles and their limit: E q_n = q_∞ + offset + b/n + c/n², a covariance of a few
// modes that falls as (1 + d/n)/n, and blocks of the theory that scatter in the same modes.
type world struct {
	dim, blocks     int
	sizes, seeds    []int
	bias, next, cov float64 // sizes of b, c and d
	offset          float64 // of the limit from the theory
	power           float64 // of the variance, −1
	theory          float64 // standard deviation of a block
}

func (w world) draw(rng *rand.Rand) compare.Observable {
	// Modes with weights 1, 1/2, 1/4 …, smooth in the component.
	const modes = 6
	var table [modes + 1][]float64
	for m := range table {
		table[m] = make([]float64, w.dim)
		for j := range table[m] {
			table[m][j] = math.Sqrt(2) * math.Cos(math.Pi*float64(m)*(float64(j)+0.5)/float64(w.dim)) * math.Pow(2, -float64(m))
		}
	}
	mode := func(m, j int) float64 { return table[m][j] }
	vector := func(scale float64) []float64 {
		var z [modes]float64
		for m := range z {
			z[m] = rng.NormFloat64()
		}
		x := make([]float64, w.dim)
		for j := range x {
			for m := range z {
				x[j] += scale * z[m] * mode(m+1, j)
			}
		}
		return x
	}
	limit := func(j int) float64 { return 1 + mode(1, j) }
	o := compare.Observable{Name: "f"}
	for range w.blocks {
		x := vector(w.theory)
		for j := range x {
			x[j] += limit(j)
		}
		o.Limit = append(o.Limit, x)
	}
	for k, n := range w.sizes {
		var e compare.Sample
		nf := float64(n)
		for range w.seeds[k] {
			x := vector(math.Sqrt(math.Pow(nf, w.power) * (1 + w.cov/nf)))
			for j := range x {
				x[j] += limit(j) + w.offset*mode(2, j) + w.bias/nf*mode(1, j) + w.next/(nf*nf)*(mode(1, j)+mode(3, j))
			}
			e = append(e, x)
		}
		o.Ensembles = append(o.Ensembles, e)
	}
	return o
}

// TestConvergeCalibration: a right limit is rejected no more often than Significance says, for ensembles and theories
// of several sizes, with and without bias, corrections and noise of the theory; wrong limits and wrong exponents are
// rejected; intervals hold the truth as often as they should.
func TestConvergeCalibration(t *testing.T) {
	if os.Getenv("DMFT_EXTENDED") == "" {
		t.Skip("slow; in the extended checks")
	}
	runs := 24
	if os.Getenv("DMFT_EXTENDED") != "" {
		runs = 800
	}
	sizes := []int{32, 64, 128, 256, 512}
	equal, many := []int{16, 16, 16, 16, 16}, []int{128, 64, 32, 16, 8}
	for _, c := range []struct {
		name  string
		w     world
		wrong bool
		least float64 // share of runs that must be rejected
	}{
		{"equal seeds", world{dim: 40, blocks: 8, sizes: sizes, seeds: equal, bias: 1, next: 5, cov: 3, power: -1,
			theory: 0.02}, false, 0},
		{"equal neurons", world{dim: 40, blocks: 8, sizes: sizes, seeds: many, bias: 2, next: 10, cov: 5, power: -1,
			theory: 0.02}, false, 0},
		{"strong corrections", world{dim: 40, blocks: 8, sizes: sizes, seeds: many, bias: 6, next: 150, cov: 20,
			power: -1, theory: 0.02}, false, 0},
		{"noisy theory", world{dim: 40, blocks: 4, sizes: sizes, seeds: many, bias: 1, power: -1, theory: 0.1}, false, 0},
		{"exact theory", world{dim: 40, blocks: 1, sizes: sizes, seeds: many, bias: 1, power: -1}, false, 0},
		{"three sizes", world{dim: 40, blocks: 8, sizes: sizes[:3], seeds: []int{32, 32, 32}, bias: 1, cov: 2,
			power: -1, theory: 0.02}, false, 0},
		{"four seeds", world{dim: 10, blocks: 4, sizes: sizes[1:], seeds: []int{4, 4, 4, 4}, power: -1, theory: 0.02},
			false, 0},
		{"offset", world{dim: 40, blocks: 8, sizes: sizes, seeds: many, bias: 1, offset: 0.6, power: -1, theory: 0.02},
			true, 0.95},
		{"plateau below noise of one", world{dim: 40, blocks: 8, sizes: sizes, seeds: many, bias: 1, offset: 0.3,
			power: -1, theory: 0.02}, true, 0.6},
		{"wrong exponent", world{dim: 40, blocks: 8, sizes: sizes, seeds: many, power: -0.3, theory: 0.02}, true, 0.2},
	} {
		rng := rand.New(rand.NewPCG(7, uint64(len(c.name))))
		rejected, covered, resolved, runs := 0, 0, 0, runs
		if c.wrong { // bounds on what must be rejected are met with fewer
			runs = min(runs, 100)
		}
		by := map[string]int{}
		for range runs {
			r, err := compare.Converge(c.w.sizes, []compare.Observable{c.w.draw(rng)}, compare.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict == compare.Disagree {
				rejected++
				for _, x := range r.Tests {
					if x.Rejected {
						by[x.Name[strings.Index(x.Name, " ")+1:]]++
					}
				}
			}
			if e := r.Observables[0].Error; e.Resolved {
				resolved++
				if e.NextLo <= c.w.power/2 && c.w.power/2 <= e.NextHi {
					covered++
				}
			}
		}
		t.Logf("%s: rejected %d of %d %v; exponent resolved %d, covered %d", c.name, rejected, runs, by, resolved, covered)
		switch share := float64(rejected) / float64(runs); {
		case c.wrong && share < c.least:
			t.Errorf("%s: rejected %d of %d", c.name, rejected, runs)
		// Three standard deviations of a binomial above one per cent.
		case !c.wrong && share > 0.01+3*math.Sqrt(0.01/float64(runs)):
			t.Errorf("%s: a right limit is rejected %d times of %d", c.name, rejected, runs)
		}
	}
}

// TestConvergeNetworks: with networks and theories of many seeds a right limit is rejected in about one of a hundred
// runs at most; the NTK parametrisation, a theory at another richness and one without response functions are rejected
// every time.
func TestConvergeNetworks(t *testing.T) {
	ctx := context.Background()
	runs, widths, seeds := 2, []int{16, 32, 64, 128}, 16
	if os.Getenv("DMFT_EXTENDED") != "" {
		runs = 100
	}
	two, deep := problem("tanh", 2), problem("tanh", 2)
	deep.Network.Kind, deep.Network.Depth = dmft.MLP, 3
	richer := *two
	richer.Richness = 3
	for _, c := range []struct {
		name    string
		p       *dmft.Problem // of the networks
		theory  *dmft.Problem
		par     dmft.Parametrization
		method  dmft.Approximation
		samples int
		wrong   bool
	}{
		{"two layers", two, two, dmft.MuP, dmft.Full, 8000, false},
		{"three hidden layers", deep, deep, dmft.MuP, dmft.Full, 4000, false},
		{"NTK parametrisation", two, two, dmft.NTKParametrization, dmft.Full, 8000, true},
		{"another richness", two, &richer, dmft.MuP, dmft.Full, 8000, true},
		{"gradient independence", deep, deep, dmft.MuP, dmft.GradientIndependence, 4000, true},
	} {
		rejected, runs := 0, runs
		if c.wrong {
			runs = min(runs, 20)
		}
		for run := range runs {
			record := dmft.Run{Record: dmft.Record{AutoKernels: true, NTKReplicas: 3}}
			th, err := dmft.Solve(ctx, c.theory, dmft.Settings{Samples: c.samples, Method: c.method, Seed: uint64(run),
				Run: record})
			if err != nil {
				t.Fatal(err)
			}
			var sims []*dmft.Trajectory
			for _, n := range widths {
				p, err := c.par.AtWidth(c.p, n, widths[0])
				if err != nil {
					t.Fatal(err)
				}
				s, err := finite.Train(ctx, p, finite.Settings{Width: n, Seeds: seeds * widths[len(widths)-1] / n,
					Seed: uint64(1000 + run), Run: record})
				if err != nil {
					t.Fatal(err)
				}
				sims = append(sims, s)
			}
			obs, err := compare.Observables(c.p, th, sims)
			if err != nil {
				t.Fatal(err)
			}
			if len(obs) != 3 {
				t.Fatalf("%d observables, expected f, loss and ntk", len(obs))
			}
			r, err := compare.Converge(widths, obs, compare.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict == compare.Disagree {
				rejected++
				if !c.wrong {
					for _, x := range r.Tests {
						if x.Rejected {
							t.Logf("%s, run %d: %+v", c.name, run, x)
						}
					}
				}
			}
		}
		t.Logf("%s: rejected %d of %d", c.name, rejected, runs)
		// A right limit is rejected in one run of a hundred; as many as this, or more, in one test of a thousand.
		unlikely := distuv.Binomial{N: float64(runs), P: 0.01}.Survival(float64(rejected)-1) < 1e-3
		if c.wrong && rejected < runs || !c.wrong && unlikely {
			t.Errorf("%s: rejected %d of %d", c.name, rejected, runs)
		}
	}
}

// TestDepthsAndSamples: theories whose depths and samples scatter as they should are accepted, with exponents that
// cover the truth; a limit that is off, or samples with a bias, are not.
func TestDepthsAndSamples(t *testing.T) {
	depths := []int{4, 8, 16, 32}
	rng := rand.New(rand.NewPCG(5, 5))
	const dim, blocks, runs = 20, 12, 50
	shape := func(j int) float64 { return math.Sin(float64(j) / 4) }
	sample := func(n int, sd, offset float64, shared [][2]float64) (s compare.Sample) {
		for b := range n {
			x := make([]float64, dim)
			a, c := rng.NormFloat64(), rng.NormFloat64()
			if shared != nil { // most of the noise is that of the same block at other depths
				a, c = 0.95*shared[b][0]+0.31*a, 0.95*shared[b][1]+0.31*c
			}
			for j := range x {
				x[j] = 1 + offset*shape(j) + sd*(a*shape(j+3)+c*shape(2*j))
			}
			s = append(s, x)
		}
		return s
	}
	reject, cover, resolved, caught, biased, low := 0, 0, 0, 0, 0, 0
	for range runs {
		run := func(offset float64) *compare.Convergences {
			var shared [][2]float64
			for range blocks {
				shared = append(shared, [2]float64{rng.NormFloat64(), rng.NormFloat64()})
			}
			o := compare.Observable{Name: "f", Limit: sample(blocks, 0.03, offset, nil)}
			for _, l := range depths {
				x := 1 / float64(l)
				o.Ensembles = append(o.Ensembles, sample(blocks, 0.03, 2*x-2*x*x, shared))
			}
			r, err := compare.Depths(depths, []compare.Observable{o}, 1, compare.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		r := run(0)
		if r.Verdict == compare.Disagree {
			reject++
		}
		if b := r.Observables[0].Bias; b.Resolved {
			resolved++
			if b.P < 0.05 {
				low++
			}
			if b.NextLo <= -1 && -1 <= b.NextHi {
				cover++
			}
		}
		if run(0.2).Verdict == compare.Disagree {
			caught++
		}
		s, err := compare.Samples([]int{1000, 4000, 16000}, "f",
			[]compare.Sample{sample(4, 0.03, 0, nil), sample(16, 0.03, 0, nil), sample(64, 0.03, 0, nil)}, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !s.Agree {
			reject++
		}
		if s, _ := compare.Samples([]int{1000, 4000, 16000}, "f",
			[]compare.Sample{sample(4, 0.03, 0, nil), sample(16, 0.03, 0.1, nil), sample(64, 0.03, 0, nil)},
			compare.Options{}); !s.Agree {
			biased++
		}
	}
	t.Logf("p < 0.05: %d; rejected %d of %d, covered %d of %d, wrong limits caught %d, biases %d", low, reject, 2*runs,
		cover, resolved, caught, biased)
	if float64(reject) > 2*runs*(0.01+3*math.Sqrt(0.01/(2*runs))) || resolved < runs/2 ||
		float64(cover) < 0.9*float64(resolved) || caught < runs*95/100 || biased < runs*95/100 {
		t.Errorf("rejected %d of %d, covered %d of %d, wrong limits caught %d, biases %d", reject, 2*runs, cover,
			resolved, caught, biased)
	}
}

// TestConvergeErrors: what cannot be fitted is refused.
func TestConvergeErrors(t *testing.T) {
	one := compare.Sample{{1, 2}, {2, 3}}
	three := []compare.Sample{one, one, one}
	for _, c := range []struct {
		sizes []int
		o     compare.Observable
		want  string
	}{
		{nil, compare.Observable{Limit: one}, "no ensembles"},
		{[]int{1, 2, 2}, compare.Observable{Limit: one, Ensembles: three}, "must rise"},
		{[]int{1, 2, 3}, compare.Observable{Limit: one, Ensembles: three[:2]}, "2 ensembles"},
		{[]int{1, 2, 3}, compare.Observable{Limit: one, Ensembles: []compare.Sample{one, one, nil}}, "no network of size 3"},
		{[]int{1, 2, 3}, compare.Observable{Limit: one, Ensembles: []compare.Sample{one, one, {{1}, {2}}}}, "components"},
	} {
		if _, err := compare.Converge(c.sizes, []compare.Observable{c.o}, compare.Options{}); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, expected something about %q", c.sizes, err, c.want)
		}
	}
	// Everything the same: no noise, no distance, nothing to reject.
	r, err := compare.Converge([]int{1, 2, 3}, []compare.Observable{{Name: "f", Limit: compare.Sample{{1, 2}},
		Ensembles: []compare.Sample{{{1, 2}, {1, 2}}, {{1, 2}, {1, 2}}, {{1, 2}, {1, 2}}}}}, compare.Options{})
	if err != nil || r.Verdict != compare.Agree || r.Detectable != 0 || r.Observables[0].Error.Resolved {
		t.Errorf("identical networks: %+v, %v", r, err)
	}
}

// TestLimitOrders: two orders in 1/n are extrapolated away, however large they are; and p is not too small where the
// limit is right.
func TestLimitOrders(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 9))
	w := world{dim: 40, blocks: 6, sizes: []int{32, 64, 128, 256, 512}, seeds: []int{128, 64, 32, 16, 8}, bias: 20,
		next: 2000, power: -1, theory: 0.02}
	const runs = 60
	var p []float64
	for range runs {
		r, err := compare.Converge(w.sizes, []compare.Observable{w.draw(rng)}, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, r.Observables[0].Limit.P)
	}
	slices.Sort(p)
	worst := 0. // by how much the share of small p exceeds that of a uniform distribution (Smirnov)
	for i, v := range p {
		worst = max(worst, float64(i+1)/runs-v)
	}
	if worst > 1.52/math.Sqrt(runs) { // one per cent
		t.Errorf("p of a right limit is smaller than uniform, by %.2g; smallest %.3g", worst, p[:5])
	}
	if p[runs/4] > 0.9 { // twice the p of the one estimate that is left is 0.5 there, and 1 from the median on
		t.Errorf("the lower quartile of p is %.2g: the test says nothing", p[runs/4])
	}
}

// TestUnits: verdicts do not depend on the unit of an observable, however large or small its numbers are.
func TestUnits(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	sample := func(replicas int, spread float64) compare.Sample {
		s := make(compare.Sample, replicas)
		for i := range s {
			s[i] = make([]float64, 6)
			for j := range s[i] {
				s[i][j] = 1 + float64(j) + spread*rng.NormFloat64()
			}
		}
		return s
	}
	sizes := []int{16, 32, 64}
	o := compare.Observable{Name: "loss", Limit: sample(8, 0.02),
		Ensembles: []compare.Sample{sample(8, 0.2), sample(8, 0.15), sample(8, 0.1)}}
	times := func(s compare.Sample, exponent int) compare.Sample {
		out := make(compare.Sample, len(s))
		for i, x := range s {
			out[i] = make([]float64, len(x))
			for j, v := range x {
				out[i][j] = math.Ldexp(v, exponent)
			}
		}
		return out
	}
	want, err := compare.Converge(sizes, []compare.Observable{o}, compare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, exponent := range []int{-900, -400, -200, 10, 200, 400, 900} {
		x := compare.Observable{Name: o.Name, Limit: times(o.Limit, exponent)}
		for _, e := range o.Ensembles {
			x.Ensembles = append(x.Ensembles, times(e, exponent))
		}
		got, err := compare.Converge(sizes, []compare.Observable{x}, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if g, w := got.Observables[0].Scale, math.Ldexp(want.Observables[0].Scale, exponent); math.Abs(g/w-1) > 1e-12 {
			t.Errorf("2^%d: scale %g, want %g", exponent, g, w)
		}
		g, w := got.Observables[0].Limit, want.Observables[0].Limit
		if got.Verdict != want.Verdict || math.Abs(g.P-w.P) > 0.02 || math.Abs(g.Distance/w.Distance-1) > 1e-9 ||
			math.Abs(g.Detectable/w.Detectable-1) > 1e-9 {
			t.Errorf("2^%d: %s %+v, want %s %+v", exponent, got.Verdict, g, want.Verdict, w)
		}
	}
}
