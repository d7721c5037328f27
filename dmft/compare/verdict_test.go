package compare_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// random draws a problem as people have them: any architecture, activation and richness, a learning rate well below the
// stability limit, a time in which something is learned.
func random(rng *rand.Rand) *dmft.Problem {
	points, dim := 2+rng.IntN(4), 3+rng.IntN(5)
	x, y := mat.NewDense(points, dim, nil), mat.NewDense(points, 1, nil)
	for i := range points {
		for j := range dim {
			x.Set(i, j, rng.NormFloat64())
		}
		y.Set(i, 0, float64(2*(i%2)-1))
	}
	acts := []string{"tanh", "relu", "erf", "linear"}
	net := dmft.Network{Kind: dmft.TwoLayer, Depth: 1, Activation: kernels.Activation{Name: acts[rng.IntN(len(acts))]}}
	if rng.IntN(2) == 0 {
		net.Kind, net.Depth = dmft.MLP, 2+rng.IntN(2)
	}
	p := &dmft.Problem{Data: dmft.Data{Inputs: x, Targets: y}, Richness: 0.3 * math.Pow(10, rng.Float64()), Network: net,
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 12 + rng.IntN(10),
			Loss: dmft.Loss{Kind: dmft.MSE}, Centred: true}}
	_, limit := dmft.Stability(p)
	p.Training.Method.LearningRate = limit * (0.05 + 0.2*rng.Float64())
	return p
}

// design is how many networks of which widths a comparison has.
type design struct {
	name          string
	widths, seeds []int
	samples       int
}

var designs = []design{
	{"one width", []int{128}, []int{16}, 4000},
	{"two widths", []int{64, 128}, []int{16, 16}, 4000},
	{"three widths", []int{32, 64, 128}, []int{16, 16, 16}, 4000},
}

var record = dmft.Run{Record: dmft.Record{AutoKernels: true, NTKReplicas: 5}}

// TestMain has the products that the command has.
func TestMain(m *testing.M) {
	dmft.UseSIMD()
	os.Exit(m.Run())
}

func networks(p *dmft.Problem, d design, seed uint64) (sims []*dmft.Trajectory) {
	for i, n := range d.widths {
		s, err := finite.Train(context.Background(), p, finite.Settings{Width: n, Seeds: d.seeds[i], Seed: seed, Run: record})
		if err != nil { // a divergence
			return nil
		}
		sims = append(sims, s)
	}
	return sims
}

func theory(p *dmft.Problem, samples int, method dmft.Approximation, seed uint64) *dmft.Trajectory {
	th, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: samples, Method: method, Seed: seed,
		Run: record})
	if err != nil {
		return nil
	}
	return th
}

// A tally is how often which verdict was reached.
type tally struct{ n, agree, disagree, undecided, old int }

// TestVerdicts counts verdicts on random problems with their right theory and with wrong ones: the right one is
// rejected no more often than Significance says. With DMFT_COUNT=1 it makes the table of docs/verdicts.md.
func TestVerdicts(t *testing.T) {
	problems := 6
	if os.Getenv("DMFT_COUNT") != "" {
		problems = 200
	}
	tallies := map[string]*tally{}
	detectable := map[string][]float64{}
	for i := range problems {
		d := designs[i%len(designs)]
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		var p *dmft.Problem
		var sims []*dmft.Trajectory
		for sims == nil { // until none diverges
			p = random(rng)
			sims = networks(p, d, uint64(1000+i))
		}
		for _, kind := range wrong {
			q, method := p, dmft.Full
			switch kind {
			case "lazy":
				method = dmft.Lazy
			case "gradient independence":
				if method = dmft.GradientIndependence; p.Network.Depth == 1 {
					continue // which is exact
				}
			case "1.5 γ₀":
				r := *p
				r.Richness *= 1.5
				q = &r
			}
			th := theory(q, d.samples, method, uint64(i))
			if th == nil {
				continue
			}
			r, err := compare.New(p, th, sims, compare.Options{Tolerance: 0.01})
			if err != nil {
				t.Fatal(err)
			}
			old := threeSigma(th, sims)
			for _, row := range []string{d.name + " | " + kind, "all | " + kind} {
				c := tallies[row]
				if c == nil {
					c = &tally{}
					tallies[row] = c
				}
				c.n++
				switch r.Verdict {
				case compare.Agree:
					c.agree++
				case compare.Disagree:
					c.disagree++
				default:
					c.undecided++
				}
				if !old {
					c.old++
				}
			}
			if kind == "right" {
				detectable[d.name] = append(detectable[d.name], r.Detectable)
			}
			if kind == "right" && r.Verdict != compare.Agree || os.Getenv("DMFT_COUNT") != "" {
				t.Logf("%s, problem %d, %s of depth %d, %s, γ₀ = %.2g: %s: %s", d.name, i, p.Network.Kind,
					p.Network.Depth, p.Network.Activation.Name, p.Richness, kind, r)
			}
		}
	}
	t.Log("| design | theory | problems | agree | disagree | undecided | beyond 3 standard errors | detectable, median |")
	for _, d := range append(designs, design{name: "all"}) {
		for _, kind := range wrong {
			c := tallies[d.name+" | "+kind]
			if c == nil {
				continue
			}
			median := ""
			if x := detectable[d.name]; kind == "right" && x != nil {
				slices.Sort(x)
				median = fmt.Sprintf("%.2g", x[len(x)/2])
			}
			t.Logf("| %s | %s | %d | %d | %d | %d | %d | %s |", d.name, kind, c.n, c.agree, c.disagree, c.undecided,
				c.old, median)
		}
	}
	// As many or more in one test of a thousand, if the rate is the stated one.
	if c := tallies["all | right"]; (distuv.Binomial{N: float64(c.n), P: 0.01}).Survival(float64(c.disagree)-1) < 1e-3 {
		t.Errorf("a right theory is rejected for %d of %d problems", c.disagree, c.n)
	}
	if c := tallies["all | 1.5 γ₀"]; 2*c.disagree < c.n {
		t.Errorf("of theories at another richness %d of %d are rejected", c.disagree, c.n)
	}
}

var wrong = []string{"right", "lazy", "gradient independence", "1.5 γ₀"}

func quantile(sorted []float64, q float64) float64 {
	return sorted[int(q*float64(len(sorted)-1))]
}

// threeSigma is the rule without tests: the predictions of the two largest widths, extrapolated, or those of one width,
// are less than three standard errors away, root mean square, with a tolerance of 0.01.
func threeSigma(theory *dmft.Trajectory, sims []*dmft.Trajectory) bool {
	k := len(sims)
	a := []float64{1}
	last := sims[k-1:]
	if k > 1 {
		last = sims[k-2:]
		n1, n2 := float64(last[0].Width), float64(last[1].Width)
		a = []float64{-n1 / (n2 - n1), n2 / (n2 - n1)}
	}
	var distance, noise, scale float64
	for j, f := range theory.F.Data {
		d, v := -f, theory.FStderr.Data[j]*theory.FStderr.Data[j]
		for i, s := range last {
			d += a[i] * s.F.Data[j]
			v += a[i] * a[i] * s.FStderr.Data[j] * s.FStderr.Data[j]
		}
		distance, noise, scale = distance+d*d, noise+v, scale+f*f
	}
	return math.Sqrt(distance) <= 3*math.Sqrt(noise)+0.01*math.Sqrt(scale)
}

// TestFiniteSizeBound: the bias of the mean of networks of random problems is below what tests allow for finite size.
func TestFiniteSizeBound(t *testing.T) {
	problems, width, seeds := 2, 64, 256
	if os.Getenv("DMFT_COUNT") != "" {
		problems = 60
	}
	ratios := map[string][]float64{}
	for i := range problems {
		p := random(rand.New(rand.NewPCG(uint64(i), 77)))
		th := theory(p, 16000, dmft.Full, uint64(i))
		sims := networks(p, design{widths: []int{width}, seeds: []int{seeds}}, uint64(5000+i))
		if th == nil || sims == nil {
			continue
		}
		obs, err := compare.Observables(p, th, sims)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range obs {
			inf, infVar := moments(o.Limit)
			m, v := moments(o.Ensembles[0])
			var d2, noise, scatter, scale float64
			for j := range inf {
				d2 += (m[j] - inf[j]) * (m[j] - inf[j])
				noise += v[j]/float64(len(o.Ensembles[0])) + infVar[j]/float64(len(o.Limit))
				scatter += v[j]
				scale += inf[j] * inf[j]
			}
			d2 = max(d2, noise) // which is taken off
			ratio := math.Sqrt((d2-noise)/scale) / (scatter / scale)
			ratios[o.Name] = append(ratios[o.Name], ratio)
			if ratio > 2 {
				t.Logf("%s, problem %d, %s of depth %d, %s, γ₀ = %.2g: bias %.3g is %.3g times the variance", o.Name, i,
					p.Network.Kind, p.Network.Depth, p.Network.Activation.Name, p.Richness, math.Sqrt((d2-noise)/scale), ratio)
			}
			// Beyond sampling and the usual tolerance.
			if bias := math.Sqrt((d2 - noise) / scale); ratio > 5 && bias > 0.01+3*math.Sqrt(noise/scale) {
				t.Errorf("%s, problem %d: bias is %.3g times the variance of one network", o.Name, i, ratio)
			}
		}
	}
	for name, r := range ratios {
		slices.Sort(r)
		t.Logf("%s: bias over variance: median %.2g, 90 %% %.2g, 95 %% %.2g, largest %.2g of %d", name,
			quantile(r, 0.5), quantile(r, 0.9), quantile(r, 0.95), r[len(r)-1], len(r))
	}
}

func moments(s compare.Sample) (mean, variance []float64) {
	mean, variance = make([]float64, len(s[0])), make([]float64, len(s[0]))
	for _, x := range s {
		for j, v := range x {
			mean[j] += v / float64(len(s))
		}
	}
	for _, x := range s {
		for j, v := range x {
			variance[j] += (v - mean[j]) * (v - mean[j]) / float64(max(len(s)-1, 1))
		}
	}
	return mean, variance
}

// TestUndecided: what cannot be told is not called agreement, and not disagreement: no error bar of the theory or of
// networks, trajectories that stopped early, noise that hides everything, a difference that may be finite size.
// Exponents from fewer than three widths, or of trajectories that stopped early, are not judged.
func TestUndecided(t *testing.T) {
	p := problem("tanh", 1)
	solve := func(s dmft.Settings) *dmft.Trajectory {
		s.Run = record
		th, err := dmft.Solve(context.Background(), p, s)
		if err != nil {
			t.Fatal(err)
		}
		return th
	}
	th := solve(dmft.Settings{Samples: 4000, Seed: 1})
	sims := networks(p, design{widths: []int{32, 64}, seeds: []int{8, 8}}, 1)
	cut := func(a *dmft.Trajectory) *dmft.Trajectory {
		b := *a
		b.Status = dmft.Status{Code: dmft.Diverged, Step: 12, Quantity: "loss 1e30"}
		return &b
	}
	third := networks(p, design{widths: []int{128}, seeds: []int{8}}, 1)[0]
	single := networks(p, design{widths: []int{32, 64, 128}, seeds: []int{1, 1, 1}}, 1)
	for _, c := range []struct {
		name    string
		theory  *dmft.Trajectory
		sims    []*dmft.Trajectory
		verdict compare.Verdict
		why     string
		needed  string
	}{
		{"right", th, sims, compare.Agree, "would have been seen", ""},
		{"one width", th, sims[1:], compare.Agree, "at N = 64, differences above", ""},
		{"one block", solve(dmft.Settings{Samples: 500, Blocks: 1, Seed: 1}), sims, compare.Undecided,
			"one block alone", "two blocks"},
		{"one seed", th, single, compare.Undecided, "more than one network", "two seeds"},
		{"theory diverged", cut(th), sims, compare.Undecided, "the theory stopped at step 12 (diverged)",
			"smaller learning rate"},
		{"networks diverged", th, []*dmft.Trajectory{sims[0], cut(sims[1])}, compare.Undecided,
			"networks of width 64 stopped at step 12", "smaller learning rate"},
		{"the largest of three diverged", th, []*dmft.Trajectory{sims[0], sims[1], cut(third)}, compare.Undecided,
			"networks of width 128 stopped at step 12", "smaller learning rate"},
		{"two seeds", th, networks(p, design{widths: []int{4}, seeds: []int{2}}, 1), compare.Undecided,
			"would not have been seen", ""},
	} {
		r, err := compare.New(p, c.theory, c.sims, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != c.verdict || !strings.Contains(r.Why, c.why) || !strings.Contains(r.Needed, c.needed) ||
			(c.verdict == compare.Undecided) != (r.Needed != "") {
			t.Errorf("%s: %s", c.name, r)
		}
		if r.Error.Judged || r.Bias.Judged || strings.Contains(r.Error.String(), "onsistent") {
			t.Errorf("%s: exponents of %d widths are judged: %v, %v", c.name, len(c.sims), r.Error, r.Bias)
		}
		for _, o := range r.Observables {
			if o.Error.Judged || o.Bias.Judged {
				t.Errorf("%s: exponents of %s are judged", c.name, o.Name)
			}
		}
		if (c.verdict == compare.Agree) != (r.Detectable > 0 && r.Detectable < 0.25) {
			t.Errorf("%s: detectable %g", c.name, r.Detectable)
		}
	}
	// Theories without sampling have one replica and no error to know.
	lazy := problem("tanh", 1e-3)
	exact, err := dmft.Solve(context.Background(), lazy, dmft.Settings{Method: dmft.Lazy, Run: record})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := compare.New(lazy, exact, networks(lazy, design{widths: []int{64, 128}, seeds: []int{16, 16}}, 1),
		compare.Options{}); err != nil || r.Verdict != compare.Agree {
		t.Errorf("an exact theory: %v %v", r, err)
	}
}

// TestFiniteSizeUndecided: at one size, a difference above the noise and of the size of the variance of one network is
// neither agreement nor disagreement; one that is far above is a disagreement.
func TestFiniteSizeUndecided(t *testing.T) {
	for _, c := range []struct {
		offset float64
		want   compare.Verdict
	}{{0, compare.Agree}, {0.12, compare.Undecided}, {0.9, compare.Disagree}} {
		w := world{dim: 20, blocks: 8, sizes: []int{16}, seeds: []int{200}, power: -1, theory: 0.005, offset: c.offset}
		r, err := compare.Converge(w.sizes, []compare.Observable{w.draw(rand.New(rand.NewPCG(3, 3)))}, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != c.want {
			t.Errorf("offset %g: %s; %+v", c.offset, r, r.Observables[0].Limit)
		}
		if c.want == compare.Undecided && !strings.Contains(r.Needed, "3 sizes") {
			t.Errorf("needed: %s", r.Needed)
		}
	}
}

// TestDetectable: a difference of the detectable size is rejected with a probability of about Power where the noise is
// largest, and more often elsewhere.
func TestDetectable(t *testing.T) {
	if os.Getenv("DMFT_EXTENDED") == "" {
		t.Skip("slow; in the extended checks")
	}
	const runs = 40
	for _, w := range []world{
		{dim: 20, blocks: 8, sizes: []int{64, 128}, seeds: []int{12, 12}, power: -1, theory: 0.01},
		{dim: 20, blocks: 8, sizes: []int{64, 128, 256}, seeds: []int{8, 8, 8}, power: -1, theory: 0.05},
	} {
		rng := rand.New(rand.NewPCG(9, uint64(len(w.sizes))))
		rejected, typical := 0, 0.
		for range runs {
			r, err := compare.Converge(w.sizes, []compare.Observable{w.draw(rng)}, compare.Options{})
			if err != nil {
				t.Fatal(err)
			}
			typical += r.Detectable / runs
		}
		for range runs {
			o := w.draw(rng)
			// The largest mode, of root mean square one.
			for _, x := range o.Limit {
				for j := range x {
					x[j] += typical * 1.118 * math.Sqrt2 * math.Cos(math.Pi*(float64(j)+0.5)/float64(w.dim))
				}
			}
			r, err := compare.Converge(w.sizes, []compare.Observable{o}, compare.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Observables[0].Limit.Consistent {
				rejected++
			}
		}
		t.Logf("%d sizes: %d of %d differences of %.3g are rejected", len(w.sizes), rejected, runs, typical)
		if float64(rejected) < runs*(compare.Power-3*math.Sqrt(compare.Power*(1-compare.Power)/runs)) {
			t.Errorf("%d sizes: %d of %d differences of %.3g are rejected", len(w.sizes), rejected, runs, typical)
		}
	}
}

// TestNarrow: widths whose networks scatter more than the theory is large are said to be too small, without numbers
// that would mean nothing; those that are said to do, do.
func TestNarrow(t *testing.T) {
	p := problem("tanh", 0.2)
	th, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 4000, Seed: 1, Run: record})
	if err != nil {
		t.Fatal(err)
	}
	for _, widths := range [][]int{{1}, {1, 2}} {
		seeds := slices.Repeat([]int{8}, len(widths))
		r, err := compare.New(p, th, networks(p, design{widths: widths, seeds: seeds}, 1), compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != compare.Undecided || !strings.Contains(r.Why, "too small for an expansion in 1/N") ||
			!strings.Contains(r.Needed, "sizes from about") || r.Detectable != 0 {
			t.Errorf("widths %v: %s (detectable %g)", widths, r, r.Detectable)
			continue
		}
		var least int
		if _, err := fmt.Sscanf(r.Needed, "sizes from about %d on", &least); err != nil || least <= widths[0] {
			t.Errorf("widths %v: %s", widths, r.Needed)
			continue
		}
		for i := range widths {
			widths[i] *= least // the smallest was one
		}
		if r, err = compare.New(p, th, networks(p, design{widths: widths, seeds: seeds}, 1),
			compare.Options{}); err != nil || strings.Contains(r.Why, "too small") {
			t.Errorf("widths %v: %s, %v", widths, r, err)
		}
	}
	// The same on ladders of three: numbers that scatter with a variance of 1000/n around the limit, one.
	rng := rand.New(rand.NewPCG(1, 1))
	sample := func(rows int, sigma float64) (s compare.Sample) {
		for range rows {
			s = append(s, []float64{1 + sigma*rng.NormFloat64(), 1 + sigma*rng.NormFloat64(), 1 + sigma*rng.NormFloat64()})
		}
		return s
	}
	converge := func(sizes []int) compare.Limit {
		o := compare.Observable{Name: "f", Limit: sample(16, 1e-3)}
		for _, n := range sizes {
			o.Ensembles = append(o.Ensembles, sample(16, math.Sqrt(1000/float64(n))))
		}
		c, err := compare.Converge(sizes, []compare.Observable{o}, compare.Options{})
		if err != nil {
			t.Fatal(err)
		}
		compare.Conclude([]compare.Part{{Convergences: c}}, nil, 0.01)
		return c.Observables[0].Limit
	}
	l := converge([]int{32, 64, 128})
	if l.LeastSize < 5*1000/2 || l.FiniteSize != 0 || l.Upper != 0 || l.Detectable != 0 {
		t.Errorf("three sizes that are too small: %+v", l)
	}
	if l = converge([]int{l.LeastSize, 2 * l.LeastSize, 4 * l.LeastSize}); l.LeastSize != 0 ||
		!(l.FiniteSize > 0 && l.FiniteSize < 1) || !(l.Detectable > 0) {
		t.Errorf("three sizes that are large enough: %+v", l)
	}
}
