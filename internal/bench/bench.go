// Package bench measures what the program does on the machine it runs on: matrix products against the peak of fused
// multiply-adds, training steps of finite networks, the theory at a stated error, and how its cost grows. Times are the
// best of several runs, which is what noise from neighbours leaves alone.
package bench

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"time"

	gonumblas "gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/internal/blas"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// Table is one group of measurements.
type Table struct {
	Title  string     `json:"title"`
	Note   string     `json:"note,omitempty"`
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// Write prints tables in Markdown.
func Write(w io.Writer, tables []Table) error {
	for _, t := range tables {
		if _, err := fmt.Fprintf(w, "## %s\n\n", t.Title); err != nil {
			return err
		}
		if t.Note != "" {
			fmt.Fprintf(w, "%s\n\n", t.Note)
		}
		fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(t.Header, " | "), strings.Repeat("---|", len(t.Header)))
		for _, r := range t.Rows {
			fmt.Fprintf(w, "| %s |\n", strings.Join(r, " | "))
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}

// Run makes all tables; report hears of each before it is measured. It restores GOMAXPROCS and the registered products.
func Run(ctx context.Context, report func(string)) ([]Table, error) {
	var out []Table
	for _, part := range []struct {
		name string
		make func(context.Context) (Table, error)
	}{{"matrix products", products}, {"training steps", trainer}, {"theory", theory}, {"theory in blocks", blocks},
		{"scaling", scaling}} {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		report(part.name)
		t, err := part.make(ctx)
		if err != nil {
			return out, err
		}
		out = append(out, t)
	}
	return out, nil
}

// best is the shortest of some runs of f, at least three and for a quarter of a second.
func best(f func()) time.Duration {
	f()
	shortest, total := time.Duration(math.MaxInt64), time.Duration(0)
	for n := 0; n < 3 || total < 250*time.Millisecond; n++ {
		began := time.Now()
		f()
		d := time.Since(began)
		shortest, total = min(shortest, d), total+d
	}
	return shortest
}

func random(r, c int) blas64.General {
	rng := rand.New(rand.NewPCG(1, uint64(r)<<32|uint64(c)))
	g := blas64.General{Rows: r, Cols: c, Stride: c, Data: make([]float64, r*c)}
	for i := range g.Data {
		g.Data[i] = rng.NormFloat64()
	}
	return g
}

// products measures the shapes that the program uses.
func products(context.Context) (Table, error) {
	sets := blas.Available()
	used := sets[len(sets)-1]
	defer blas.Register(used)
	peak, _ := blas.Peak(used)
	t := Table{Title: "Matrix products, float64",
		Note: fmt.Sprintf("GFLOP/s of %s; peak is that of one core's fused multiply-adds, %.1f GFLOP/s. gonum is "+
			"its own implementation, one core.", used, peak/1e9),
		Header: []string{"product", "one core", "of peak", "over gonum",
			fmt.Sprintf("%d cores over one", runtime.GOMAXPROCS(0))}}
	type shape struct {
		name  string
		flops float64
		run   func()
	}
	gemm := func(name string, ta, tb gonumblas.Transpose, m, n, k int) shape {
		a, b, c := random(m, k), random(k, n), random(m, n)
		if ta == gonumblas.Trans {
			a = random(k, m)
		}
		if tb == gonumblas.Trans {
			b = random(n, k)
		}
		return shape{name, 2 * float64(m) * float64(n) * float64(k), func() { blas64.Gemm(ta, tb, 1, a, b, 0, c) }}
	}
	const no, tr = gonumblas.NoTrans, gonumblas.Trans
	var shapes []shape
	for _, n := range []int{512, 1024, 2048} {
		shapes = append(shapes, gemm(fmt.Sprintf("%d × %d · %d × %d", n, n, n, n), no, no, n, n, n))
	}
	for _, n := range []int{1024, 4096} {
		for _, p := range []int{8, 32, 128} {
			shapes = append(shapes, gemm(fmt.Sprintf("W x: %d × %d · %d × %d", n, n, n, p), no, no, n, p, n))
		}
	}
	for _, s := range []int{500, 2000} {
		for _, p := range []int{4, 16, 64} {
			shapes = append(shapes, gemm(fmt.Sprintf("Qᵀx: (%d × 150)ᵀ · %d × %d", s, s, p), tr, no, 150, p, s),
				gemm(fmt.Sprintf("V R: %d × 150 · 150 × %d", s, p), no, no, s, p, 150))
		}
	}
	for _, n := range []int{500, 2000} {
		a, c := random(n, n), random(n, n)
		sym := blas64.Symmetric{N: n, Stride: n, Data: c.Data, Uplo: gonumblas.Upper}
		shapes = append(shapes, shape{fmt.Sprintf("Syrk %d", n), float64(n) * float64(n) * float64(n),
			func() { blas64.Syrk(no, 1, a, 0, sym) }})
		spd := random(n, n)
		blas64.Syrk(no, 1, a, 0, blas64.Symmetric{N: n, Stride: n, Data: spd.Data, Uplo: gonumblas.Upper})
		for i := range n {
			spd.Data[i*n+i] += float64(n)
		}
		work := make([]float64, n*n)
		shapes = append(shapes, shape{fmt.Sprintf("Cholesky %d", n), float64(n) * float64(n) * float64(n) / 3, func() {
			copy(work, spd.Data)
			lapack64.Potrf(blas64.Symmetric{N: n, Stride: n, Data: work, Uplo: gonumblas.Upper})
		}})
	}
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	for _, s := range shapes {
		blas.Register(used)
		runtime.GOMAXPROCS(1)
		one := best(s.run)
		runtime.GOMAXPROCS(procs)
		all := best(s.run)
		blas.Register(blas.Gonum)
		runtime.GOMAXPROCS(1)
		plain := best(s.run)
		runtime.GOMAXPROCS(procs)
		rate := s.flops / one.Seconds()
		share := "–"
		if peak > 0 {
			share = fmt.Sprintf("%.0f %%", 100*rate/peak)
		}
		t.Rows = append(t.Rows, []string{s.name, fmt.Sprintf("%.1f", rate/1e9), share,
			fmt.Sprintf("%.1f×", plain.Seconds()/one.Seconds()), fmt.Sprintf("%.2f×", one.Seconds()/all.Seconds())})
	}
	return t, nil
}

// problem is a regression of Gaussian points.
func problem(kind dmft.Kind, depth, points, dim, steps int, eta float64) *dmft.Problem {
	rng := rand.New(rand.NewPCG(2, 3))
	x, y := mat.NewDense(points, dim, nil), mat.NewDense(points, 1, nil)
	for i := range points {
		for j := range dim {
			x.Set(i, j, rng.NormFloat64())
		}
		y.Set(i, 0, float64(2*(i%2)-1))
	}
	return &dmft.Problem{Data: dmft.Data{Inputs: x, Targets: y}, Richness: 1,
		Network: dmft.Network{Kind: kind, Depth: depth, Activation: kernels.Activation{Name: "tanh"},
			Branch: dmft.Branch{Beta: 1, Exponent: 0.5}},
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: eta}, Steps: steps,
			Loss: dmft.Loss{Kind: dmft.MSE}}}
}

// timed is the best time of two runs.
func timed(f func() error) (time.Duration, error) {
	shortest := time.Duration(math.MaxInt64)
	for range 2 {
		began := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		shortest = min(shortest, time.Since(began))
	}
	return shortest, nil
}

// trainer measures steps of finite networks, full batch: the difference of runs of 5 and of 25 steps, so that drawing
// the weights does not count.
func trainer(ctx context.Context) (Table, error) {
	t := Table{Title: "Training finite networks", Note: "Gradient descent, full batch, tanh; all cores.",
		Header: []string{"network", "precision", "seeds", "ms per step and seed", "samples/s"}}
	for _, net := range []struct {
		name               string
		kind               dmft.Kind
		width, depth, p, d int
	}{{"N = 1024, L = 3, P = 64, D = 64", dmft.MLP, 1024, 3, 64, 64},
		{"N = 4096, L = 1, P = 64, D = 784", dmft.TwoLayer, 4096, 1, 64, 784}} {
		for _, prec := range []finite.Precision{finite.Float32, finite.Float64} {
			for _, seeds := range []int{1, 8} {
				var took [2]time.Duration
				for i, steps := range []int{5, 25} {
					p := problem(net.kind, net.depth, net.p, net.d, steps, 1e-3)
					var err error
					if took[i], err = timed(func() error {
						_, err := finite.Train(ctx, p, finite.Settings{Width: net.width, Seeds: seeds, Seed: 1, Precision: prec})
						return err
					}); err != nil {
						return t, err
					}
				}
				step := (took[1] - took[0]).Seconds() / 20
				t.Rows = append(t.Rows, []string{net.name, string(prec), fmt.Sprint(seeds),
					fmt.Sprintf("%.2f", 1e3*step/float64(seeds)), fmt.Sprintf("%.3g", float64(net.p*seeds)/step)})
			}
		}
	}
	return t, nil
}

// theory measures the solver at a stated error.
func theory(ctx context.Context) (Table, error) {
	t := Table{Title: "Theory at a stated error", Note: "tanh, γ₀ = 1; the error is the largest over time of the " +
		"root mean square standard error of f.",
		Header: []string{"problem", "error asked", "error", "sites", "ranks φ, g", "seconds", "MB allocated"}}
	for _, tc := range []struct {
		name string
		p    *dmft.Problem
		want float64
	}{
		{"two-layer, P = 16, T = 100", problem(dmft.TwoLayer, 1, 16, 32, 100, 0.03), 0.005},
		{"MLP L = 2, P = 4, T = 30", problem(dmft.MLP, 2, 4, 8, 30, 0.1), 0.005},
		{"MLP L = 3, P = 16, T = 100", problem(dmft.MLP, 3, 16, 32, 100, 0.01), 0.005},
		{"residual L = 6, P = 8, T = 60", problem(dmft.ResNet, 6, 8, 64, 60, 0.02), 0.005},
	} {
		var mem [2]runtime.MemStats
		runtime.ReadMemStats(&mem[0])
		began := time.Now()
		tr, err := dmft.Solve(ctx, tc.p, dmft.Settings{Error: tc.want, Seed: 1})
		if err != nil {
			return t, err
		}
		took := time.Since(began)
		runtime.ReadMemStats(&mem[1])
		worst := 0.
		for n := range tr.Time {
			s := 0.
			e := tr.FStderr.At(n).Data
			for _, v := range e {
				s += v * v / float64(len(e))
			}
			worst = max(worst, math.Sqrt(s))
		}
		var ranks [2]int
		for _, r := range tr.Diagnostics.Ranks {
			ranks = [2]int{max(ranks[0], r[0]), max(ranks[1], r[1])}
		}
		t.Rows = append(t.Rows, []string{tc.name, fmt.Sprint(tc.want), fmt.Sprintf("%.4f", worst),
			fmt.Sprint(tr.Width * tr.Replicas), fmt.Sprintf("%d, %d", ranks[0], ranks[1]),
			fmt.Sprintf("%.2f", took.Seconds()), fmt.Sprintf("%.0f", float64(mem[1].TotalAlloc-mem[0].TotalAlloc)/1e6)})
	}
	return t, nil
}

// scaling fits powers to the cost of theory and networks.
func scaling(ctx context.Context) (Table, error) {
	t := Table{Title: "How cost grows", Note: "Exponents fitted to the times shown; theory: MLP L = 3, P = 8, T = " +
		"100, S = 4000 in blocks of 1000, tanh; networks: N = 512, L = 3, P = 32, 8 seeds, 40 steps.",
		Header: []string{"in", "values", "seconds", "exponent"}}
	solve := func(depth, points, steps, samples int) (time.Duration, error) {
		p := problem(dmft.MLP, depth, points, 2*points, steps, 0.16/float64(points))
		return timed(func() error {
			_, err := dmft.Solve(ctx, p, dmft.Settings{Samples: samples, Blocks: samples / 1000, Seed: 1, Tolerance: 2e-3})
			return err
		})
	}
	nets := func(width, depth, points int) (time.Duration, error) {
		p := problem(dmft.MLP, depth, points, points, 40, 1e-3)
		return timed(func() error {
			_, err := finite.Train(ctx, p, finite.Settings{Width: width, Seeds: 8, Seed: 1})
			return err
		})
	}
	for _, g := range []struct {
		name   string
		values []int
		run    func(v int) (time.Duration, error)
	}{
		{"theory, steps T", []int{100, 200, 400, 800}, func(v int) (time.Duration, error) { return solve(3, 8, v, 4000) }},
		{"theory, points P", []int{4, 8, 16, 32}, func(v int) (time.Duration, error) { return solve(3, v, 100, 4000) }},
		{"theory, depth L", []int{2, 3, 5, 9}, func(v int) (time.Duration, error) { return solve(v, 8, 100, 4000) }},
		{"theory, sites S", []int{4000, 8000, 16000, 32000},
			func(v int) (time.Duration, error) { return solve(3, 8, 100, v) }},
		{"networks, width N", []int{256, 512, 1024}, func(v int) (time.Duration, error) { return nets(v, 3, 32) }},
		{"networks, depth L", []int{2, 3, 5, 9}, func(v int) (time.Duration, error) { return nets(512, v, 32) }},
		{"networks, points P", []int{16, 32, 64, 128}, func(v int) (time.Duration, error) { return nets(512, 3, v) }},
	} {
		var values, seconds []string
		var x, y []float64
		for _, v := range g.values {
			d, err := g.run(v)
			if err != nil {
				return t, err
			}
			values, seconds = append(values, fmt.Sprint(v)), append(seconds, fmt.Sprintf("%.3g", d.Seconds()))
			x, y = append(x, math.Log(float64(v))), append(y, math.Log(d.Seconds()))
		}
		t.Rows = append(t.Rows, []string{g.name, strings.Join(values, ", "), strings.Join(seconds, ", "),
			fmt.Sprintf("%.2f", slope(x, y))})
	}
	return t, nil
}

// slope of the least-squares line.
func slope(x, y []float64) float64 {
	var mx, my, sxy, sxx float64
	for i := range x {
		mx, my = mx+x[i]/float64(len(x)), my+y[i]/float64(len(x))
	}
	for i := range x {
		sxy, sxx = sxy+(x[i]-mx)*(y[i]-my), sxx+(x[i]-mx)*(x[i]-mx)
	}
	return sxy / sxx
}
