package bench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	gonumblas "gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/blas"
)

// product is the shape of a Dgemm.
type product struct {
	ta, tb  gonumblas.Transpose
	m, n, k int
}

func (p product) flops() float64 { return 2 * float64(p.m) * float64(p.n) * float64(p.k) }

// counter counts products by shape. It is for one goroutine.
type counter struct {
	blas.Float
	seen map[product]int
}

func (c *counter) Dgemm(ta, tb gonumblas.Transpose, m, n, k int, alpha float64, a []float64, lda int, b []float64,
	ldb int, beta float64, x []float64, ldx int) {
	c.seen[product{ta, tb, m, n, k}]++
	c.Float.Dgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, x, ldx)
}

// alone is how long the counted products take by themselves, one after the other on operands in cache.
func (c *counter) alone() time.Duration {
	total := 0.
	for p, times := range c.seen {
		a, b, x := random(p.m, p.k), random(p.k, p.n), random(p.m, p.n)
		if p.ta == gonumblas.Trans {
			a = random(p.k, p.m)
		}
		if p.tb == gonumblas.Trans {
			b = random(p.n, p.k)
		}
		shortest := time.Duration(math.MaxInt64)
		// Small products are timed several at a time: a clock takes some ten nanoseconds to read.
		batch := max(1, int(1e5/p.flops()))
		for range 4 {
			began := time.Now()
			for range batch {
				blas64.Gemm(p.ta, p.tb, 1, a, b, 0, x)
			}
			shortest = min(shortest, time.Since(began))
		}
		total += shortest.Seconds() / float64(batch) * float64(times)
	}
	return time.Duration(total * float64(time.Second))
}

func (c *counter) flops() float64 {
	f := 0.
	for p, times := range c.seen {
		f += p.flops() * float64(times)
	}
	return f
}

// blocks measures the theory of deep networks in independent blocks: its rate against that of its own products, how it
// uses the cores, and what it allocates.
func blocks(ctx context.Context) (Table, error) {
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	sets := blas.Available()
	used := sets[len(sets)-1]
	defer blas.Register(used)
	t := Table{Title: "Theory in independent blocks",
		Note: "MLP of L = 3, tanh, γ₀ = 1. GFLOP/s are those of matrix products alone, in the time of the whole " +
			"solver on one core; their own rate is that of the same products one after the other in cache. " +
			"Allocations are those of a step and block beyond the first half of the run.",
		Header: []string{"problem", "sites of a block", "ranks φ, g", "one core", "rate of its own products", "share",
			fmt.Sprintf("%d cores over one", procs), "allocations"}}
	for _, tc := range []struct{ points, steps, sites int }{{4, 200, 500}, {16, 100, 1000}, {64, 60, 2000}} {
		const blockCount = 8
		run := func(steps int) (*dmft.Trajectory, error) {
			p := problem(dmft.MLP, 3, tc.points, 2*tc.points, steps, 0.16/float64(tc.points))
			return dmft.Solve(ctx, p, dmft.Settings{Samples: blockCount * tc.sites, Blocks: blockCount, Seed: 1})
		}
		runtime.GOMAXPROCS(1)
		c := &counter{blas.New(used), map[product]int{}}
		blas64.Use(c)
		tr, err := run(tc.steps)
		blas.Register(used)
		if err != nil {
			return t, err
		}
		var took [2]time.Duration
		for i, n := range []int{1, procs} {
			runtime.GOMAXPROCS(n)
			if took[i], err = timed(func() error { _, err := run(tc.steps); return err }); err != nil {
				return t, err
			}
		}
		runtime.GOMAXPROCS(1)
		alone := c.alone()
		var mem [3]runtime.MemStats
		for i, steps := range []int{tc.steps / 2, tc.steps} {
			runtime.ReadMemStats(&mem[i])
			if _, err := run(steps); err != nil {
				return t, err
			}
			runtime.ReadMemStats(&mem[i+1])
		}
		first, second := mem[1].Mallocs-mem[0].Mallocs, mem[2].Mallocs-mem[1].Mallocs
		perStep := (float64(second) - float64(first)) / float64(blockCount*(tc.steps-tc.steps/2))
		var ranks [2]int
		for _, r := range tr.Diagnostics.Ranks {
			ranks = [2]int{max(ranks[0], r[0]), max(ranks[1], r[1])}
		}
		flops := c.flops()
		t.Rows = append(t.Rows, []string{fmt.Sprintf("P = %d, T = %d", tc.points, tc.steps), fmt.Sprint(tr.Width),
			fmt.Sprintf("%d, %d", ranks[0], ranks[1]),
			fmt.Sprintf("%.1f", flops/took[0].Seconds()/1e9), fmt.Sprintf("%.1f", flops/alone.Seconds()/1e9),
			fmt.Sprintf("%.0f %%", 100*alone.Seconds()/took[0].Seconds()),
			fmt.Sprintf("%.2f×", took[0].Seconds()/took[1].Seconds()), fmt.Sprintf("%.2f", perStep)})
	}
	return t, nil
}
