package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/internal/executor"
)

// noisy is a family of curves: seed k has log loss level + c (log x − log best − shift_k)², up to a value at which it
// diverges.
type noisy struct {
	best, curvature     float64
	shift, level, where []float64 // of seeds
}

func newNoisy(rng *rand.Rand, best, curvature, shift, level float64, seeds int) noisy {
	n := noisy{best: best, curvature: curvature}
	for range seeds {
		n.shift, n.level, n.where = append(n.shift, shift*rng.NormFloat64()), append(n.level, level*rng.NormFloat64()),
			append(n.where, 3*best*math.Exp(0.2*rng.NormFloat64()))
	}
	return n
}

func (n noisy) eval(_ context.Context, j Job) (Point, error) {
	v := j.Value
	p := Point{Value: v}
	for k := range n.shift {
		u := math.Log(v/n.best) - n.shift[k]
		l := math.Exp(n.level[k] + n.curvature*u*u)
		if v > n.where[k] {
			l = inf
		}
		p.Losses = append(p.Losses, l)
	}
	return p, nil
}

// find sweeps one curve.
func find(t testing.TB, s Sweep, eval func(context.Context, Job) (Point, error)) Optimum {
	t.Helper()
	c, err := s.Run(context.Background(), OneByOne(eval))
	if err != nil {
		t.Fatal(err)
	}
	o, ok := Curve{Size: 1, Points: c[0]}.Optimum()
	if !ok {
		t.Fatal("no optimum")
	}
	return o
}

// TestCoverage: 95 % intervals of optima hold the true one about 95 times of 100, with seeds that have optima and
// levels of their own and diverge at different places; and no more than they should, where sampling dominates.
func TestCoverage(t *testing.T) {
	for _, c := range []struct {
		seeds            int
		curvature, shift float64
	}{{4, 1, 0.3}, {8, 1, 0.3}, {8, 3, 0.15}, {16, 0.5, 0.5}} {
		rng := rand.New(rand.NewPCG(1, uint64(c.seeds)))
		const n = 200
		hits, width := 0, 0.
		for range n {
			best := math.Exp(rng.NormFloat64())
			o := find(t, Sweep{Grids: [][]float64{Lattice(best/8, best*2)}, Refine: 2, Extend: 8},
				newNoisy(rng, best, c.curvature, c.shift, 0.3, c.seeds).eval)
			if o.Lo <= best && best <= o.Hi {
				hits++
			}
			width += math.Log(o.Hi/o.Lo) / n
		}
		rate := float64(hits) / n
		t.Logf("%d seeds, curvature %g, shift %g: %.3f, mean width %.2f", c.seeds, c.curvature, c.shift, rate, width)
		// 200 trials: standard error 0.015; three of them.
		if rate < 0.905 || rate > 0.995 {
			t.Errorf("%d seeds, curvature %g: the interval holds the optimum %.1f times of 100", c.seeds, c.curvature, 100*rate)
		}
	}
}

// TestDriftCoverage: intervals of the drift hold the true exponent.
func TestDriftCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	const n = 150
	sizes := []int{16, 64, 256, 1024}
	hits := 0
	for range n {
		p := 2 * (rng.Float64() - 0.5)
		var optima []*Optimum
		for _, s := range sizes {
			best := math.Pow(float64(s), p)
			o := find(t, Sweep{Grids: [][]float64{Lattice(best/4, best*2)}, Refine: 2, Extend: 8},
				newNoisy(rng, best, 1, 0.2, 0.3, 8).eval)
			optima = append(optima, &o)
		}
		d := FitDrift(sizes, optima)
		if d.Sizes != 4 || d.Omitted != nil {
			t.Fatalf("%+v", d)
		}
		if d.Lo <= p && p <= d.Hi {
			hits++
		}
	}
	if rate := float64(hits) / n; rate < 0.89 { // standard error 0.018; four sizes of eight seeds are few
		t.Errorf("the interval holds the drift %.1f times of 100", 100*rate)
	}
}

// TestExactParabola: without noise a parabola is found exactly from any grid that brackets it.
func TestExactParabola(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		best := math.Exp(rapid.Float64Range(-5, 5).Draw(t, "log best"))
		curvature := rapid.Float64Range(0.3, 30).Draw(t, "curvature")
		n := noisy{best: best, curvature: curvature, shift: []float64{0}, level: []float64{0}, where: []float64{inf}}
		c, err := Sweep{Grids: [][]float64{Lattice(best*rapid.Float64Range(0.1, 10).Draw(t, "grid"), best*10)},
			Refine: rapid.IntRange(0, 3).Draw(t, "refine"), Extend: 30}.Run(context.Background(), OneByOne(n.eval))
		if err != nil {
			t.Fatal(err)
		}
		o, ok := Curve{Points: c[0]}.Optimum()
		if !ok || o.Edge != Inside || math.Abs(math.Log(o.Value/best)) > 1e-6 || o.Lo > best*(1+1e-9) ||
			o.Hi < best*(1-1e-9) {
			t.Fatalf("best %g: %+v", best, o)
		}
	})
}

// TestEdges: an optimum at an end of the grid is said to be there, a cliff is known to its grid spacing, and nothing
// finite is no optimum.
func TestEdges(t *testing.T) {
	curve := func(losses ...float64) Curve {
		c := Curve{Size: 7}
		for i, l := range losses {
			c.Points = append(c.Points, Point{Value: math.Exp2(float64(i)), Losses: Losses{l, l}})
		}
		return c
	}
	for _, c := range []struct {
		losses []float64
		edge   Edge
		cliff  bool
		lo, hi float64 // that the interval must hold
	}{
		{[]float64{3, 2, 1}, High, false, 4, 4},
		{[]float64{1, 2, inf}, Low, false, 1, 1},
		{[]float64{3, 2, 1, inf, inf}, Inside, true, 2.3, 7},
		{[]float64{3, 1, 2}, Inside, false, 1.9, 2.1},
		{[]float64{2, 2, 2, 2}, Low, false, 1, 1},
		{[]float64{3, 1, 1, 1, 3}, Inside, false, 2.1, 7.9},
		{[]float64{3, 0, 3}, Inside, false, 2, 2},
		{[]float64{inf, 1, inf}, Inside, true, 1.2, 3.5},
	} {
		o, ok := curve(c.losses...).Optimum()
		if !ok || o.Edge != c.edge || o.Cliff != c.cliff || o.Lo > c.lo || o.Hi < c.hi ||
			!(o.Lo <= o.Value && o.Value <= o.Hi) {
			t.Errorf("%v: %+v %v", c.losses, o, ok)
		}
	}
	if o, ok := curve(inf, math.NaN(), inf).Optimum(); ok {
		t.Errorf("an optimum where everything diverged: %+v", o)
	}
	// A point of the theory whose sampling error is many times its loss, where blocks are about to diverge, does not
	// widen the interval.
	wild := Curve{}
	for i, l := range []float64{4, 2, 1, 3, 100} {
		wild.Points = append(wild.Points, Point{Value: math.Exp2(float64(i) / 4), Losses: Losses{l},
			Stderr: []float64{0.01, 0.01, 0.01, 0.1, 400}[i]})
	}
	if o, ok := wild.Optimum(); !ok || o.Lo < math.Exp2(0.3) || o.Hi > math.Exp2(0.7) {
		t.Errorf("a wild point: %+v", o)
	}
	high, _ := curve(3, 2, 1).Optimum()
	in, _ := curve(3, 1, 3).Optimum()
	d := FitDrift([]int{2, 4, 8}, []*Optimum{&in, &high, nil})
	if d.Sizes != 1 || !reflect.DeepEqual(d.Omitted, []int{4, 8}) || d.Judge(0.1) != Undecided ||
		!strings.Contains(d.Verdict(0.1), "fewer than two") || !strings.Contains(d.Verdict(0.1), "4, 8") {
		t.Errorf("%+v: %s", d, d.Verdict(0.1))
	}
}

// TestVerdicts: an interval inside the tolerance stays, one outside moves, one across is undecided.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		d    Drift
		want Verdict
		text string
	}{
		{Drift{Exponent: -0.02, Lo: -0.05, Hi: 0.01, Sizes: 4}, Stays, "optimum stays: drift −0.02 ± 0.03"},
		{Drift{Exponent: -0.98, Lo: -1.03, Hi: -0.93, Sizes: 4}, Moves, "optimum moves: drift −0.98 ± 0.05"},
		{Drift{Exponent: 0.3, Lo: 0.2, Hi: 0.4, Sizes: 2}, Moves, "optimum moves: drift 0.30 ± 0.10"},
		{Drift{Exponent: -0.12, Lo: -0.2, Hi: -0.04, Sizes: 4}, Undecided, "undecided: drift −0.12 ± 0.08"},
		{Drift{Exponent: 0, Lo: -0.2, Hi: 0.2, Sizes: 4}, Undecided, "undecided: drift 0.00 ± 0.20"},
	} {
		if got := c.d.Judge(0.1); got != c.want || !strings.HasPrefix(c.d.Verdict(0.1), c.text) {
			t.Errorf("%+v: %s, %s", c.d, got, c.d.Verdict(0.1))
		}
	}
}

// TestSweep: grids are extended until the optimum is inside, then refined; the same in whatever order points come;
// errors and interruptions stop it.
func TestSweep(t *testing.T) {
	eval := func(_ context.Context, j Job) (Point, error) {
		curve, v := j.Curve, j.Value
		u := math.Log(v / math.Pow(100, float64(curve)))
		return Point{Value: v, Losses: Losses{math.Exp(u * u)}}, nil
	}
	grids := [][]float64{Lattice(0.5, 2), Lattice(0.5, 2), Lattice(0.5, 2)}
	var first [][]Point
	for range 2 { // the second time in another order, at the same time
		do := OneByOne(eval)
		if first != nil {
			do = func(ctx context.Context, jobs []Job) ([]Point, error) {
				out := make([]Point, len(jobs))
				err := executor.Local(ctx, len(jobs), func(ctx context.Context, i int, _ executor.Share) (err error) {
					k := len(jobs) - 1 - i
					out[k], err = eval(ctx, jobs[k])
					return err
				})
				return out, err
			}
		}
		c, err := Sweep{Grids: grids, Refine: 2, Extend: 20}.Run(context.Background(), do)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = c
		}
		if !reflect.DeepEqual(c, first) {
			t.Errorf("another order gives another result")
		}
	}
	for i, p := range first {
		o, _ := Curve{Points: p}.Optimum()
		for k := 1; k < len(p); k++ {
			if p[k].Value <= p[k-1].Value {
				t.Errorf("curve %d is not in order", i)
			}
		}
		if want := math.Pow(100, float64(i)); i < 2 && (o.Edge != Inside || math.Abs(o.Value/want-1) > 1e-6) {
			t.Errorf("curve %d: %+v", i, o)
		} else if i == 2 && o.Edge != High { // 10⁴ is 27 half octaves away
			t.Errorf("beyond what may be added: %+v", o)
		}
	}
	boom := errors.New("boom")
	if _, err := (Sweep{Grids: grids}).Run(context.Background(), OneByOne(func(ctx context.Context, j Job) (Point, error) {
		if j.Curve == 1 && j.Value > 1 {
			return Point{}, boom
		}
		return eval(ctx, j)
	})); !errors.Is(err, boom) {
		t.Errorf("an error of eval: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (Sweep{Grids: grids}).Run(ctx, OneByOne(eval)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestGroups: of curves with two minima, of which the second is beyond the grid, all of a group are looked at there
// when one is lowest at the end of the grid; and refinement follows the lowest point to where it moves.
func TestGroups(t *testing.T) {
	// Minima at 3 (depth 1) and 20 (depth 2); the first curve is still falling at 8, the second is not.
	eval := func(_ context.Context, j Job) (Point, error) {
		v := j.Value
		u, w := math.Log(v/3), math.Log(v/20)
		bump := []float64{0.1, 1}[j.Curve]
		return Point{Value: v, Losses: Losses{math.Exp(-bump*math.Exp(-8*u*u) - 2*math.Exp(-3*w*w))}}, nil
	}
	for _, groups := range [][]int{{0, 0}, {0, 1}} {
		c, err := Sweep{Grids: [][]float64{Lattice(0.5, 8), Lattice(0.5, 8)}, Refine: 2, Extend: 12,
			Groups: groups}.Run(context.Background(), OneByOne(eval))
		if err != nil {
			t.Fatal(err)
		}
		a, _ := Curve{Points: c[0]}.Optimum()
		b, _ := Curve{Points: c[1]}.Optimum()
		together := groups[1] == 0
		if math.Abs(math.Log(a.Value/20)) > 0.02 || (math.Abs(math.Log(b.Value/20)) < 0.02) != together {
			t.Errorf("groups %v: best %g and %g", groups, a.Value, b.Value)
		}
	}
}

func TestGrids(t *testing.T) {
	for _, c := range []struct{ got, want []float64 }{
		{Spaced(1, 100, 3), []float64{1, 10, 100}}, {Grid(1, 8, 2), []float64{1, 2, 4, 8}},
		{Lattice(1, 2), []float64{1, math.Sqrt2, 2}}, {Lattice(1, 1), []float64{1, math.Sqrt2, 2}},
	} {
		if len(c.got) != len(c.want) {
			t.Fatalf("%v, expected %v", c.got, c.want)
		}
		for i, v := range c.got {
			if math.Abs(v-c.want[i]) > 1e-12*v {
				t.Errorf("%v, expected %v", c.got, c.want)
			}
		}
	}
}

// TestJSON: a study survives JSON with its infinite losses.
func TestJSON(t *testing.T) {
	s := Study{Parameter: "learning_rate", Panels: []Panel{{Over: "width", Curves: []Measured{
		{Curve: Curve{Size: 4, Points: []Point{{1, Losses{2, 3}, 0}, {2, Losses{1, 2}, 0}, {4, Losses{inf, 5}, 0}}},
			Stability: 3},
		{Curve: Curve{Size: 8, Points: []Point{{1, Losses{2, 3}, 0}, {2, Losses{1, 2.5}, 0}, {4, Losses{4, 5}, 0}}},
			Stability: 3}}}}}
	s.Panels[0].Conclude(0.1)
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got Study
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%v\n%+v\n%+v", err, got, s)
	}
	if p := s.Panels[0]; p.Expected == nil || math.Abs(*p.Expected) > 1e-12 || p.Transfer == nil ||
		p.Curves[0].Points[2].Diverged() != 1 {
		t.Errorf("%+v", p)
	}
}

// TestReuse: the value of a small network on a large one, between the points of its curve, and where it diverges.
func TestReuse(t *testing.T) {
	c := Curve{Points: []Point{{1, Losses{4}, 0}, {4, Losses{1}, 0}, {16, Losses{inf}, 0}}}
	for v, want := range map[float64]float64{1: 4, 2: 2, 4: 1, 5: inf, 0.5: inf, 20: inf} {
		if got := c.At(v); math.Abs(got-want) > 1e-12 && got != want {
			t.Errorf("at %g: %g, expected %g", v, got, want)
		}
	}
}

func ExampleCurve_Optimum() {
	// Two seeds of gradient descent on a quadratic with one eigenvalue, λ = 2, after three steps: η* = 1/λ.
	eval := func(_ context.Context, j Job) (Point, error) {
		eta := j.Value
		l := math.Pow(1-2*eta, 6)
		return Point{Value: eta, Losses: Losses{l, 2 * l}}, nil
	}
	curves, err := Sweep{Grids: [][]float64{Spaced(0.1, 2, 8)}, Refine: 4}.Run(context.Background(), OneByOne(eval))
	if err != nil {
		fmt.Println(err)
		return
	}
	o, _ := Curve{Points: curves[0]}.Optimum()
	fmt.Printf("%.2f, the interval holds 1/λ: %v\n", o.Value, o.Lo < 0.5 && 0.5 < o.Hi)
	// Output: 0.50, the interval holds 1/λ: true
}

// TestSweepIsEnded: a study that is ended from outside stops, whatever became of the jobs at hand.
func TestSweepIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	calls := 0
	_, err := Sweep{Grids: [][]float64{{1, 2, 4}}, Refine: 2, Extend: 9}.Run(ctx,
		func(_ context.Context, jobs []Job) ([]Point, error) {
			if calls++; calls > 1 {
				t.Fatal("goes on")
			}
			cancel()
			return make([]Point, len(jobs)), nil
		})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
