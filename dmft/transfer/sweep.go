package transfer

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// Sweep evaluates curves on grids, as many points at a time as there are workers. What is evaluated depends on the losses alone, never on their timing.
type Sweep struct {
	Grids [][]float64 // rising values, one list per curve
	// Refine is how many times the spacing of the grid is halved around the lowest point of a curve.
	Refine int
	// Extend is how many more points a curve may get beyond an end of its grid at which it is lowest.
	Extend int
	// Groups, when given, says which curves belong together: beyond the end where one is extended, so are those that end less than an octave from there, lest one of two minima is
	// seen by some of them only.
	Groups   []int
	Workers  int                   // 0 is GOMAXPROCS
	Progress func(done, total int) // may be nil; the total grows with what refining adds
}

// Grid returns values from low to high in steps of a constant factor of at most ratio.
func Grid(low, high, ratio float64) []float64 {
	n := int(math.Ceil(math.Log(high/low)/math.Log(ratio) - 1e-9))
	return Spaced(low, high, max(n, 1)+1)
}

// Spaced returns n values from low to high, evenly spaced in their logarithm.
func Spaced(low, high float64, n int) []float64 {
	g := make([]float64, n)
	for i := range g {
		g[i] = low * math.Pow(high/low, float64(i)/float64(max(n-1, 1)))
	}
	if n > 1 {
		g[n-1] = high
	}
	return g
}

// Lattice returns the powers of √2 that cover low to high: grids of different curves have the same values where they overlap.
func Lattice(low, high float64) []float64 {
	var g []float64
	for k := math.Floor(2*math.Log2(low) + 1e-9); ; k++ {
		v := math.Exp2(k / 2)
		g = append(g, v)
		if v >= high*(1-1e-9) && len(g) > 2 {
			return g
		}
	}
}

// Run evaluates every curve. It stops at the first error of eval, which is called from several goroutines.
func (s Sweep) Run(ctx context.Context, eval func(ctx context.Context, curve int, value float64) (Point, error)) ([][]Point, error) {
	type job struct {
		curve int
		value float64
	}
	curves := make([][]Point, len(s.Grids))
	extended, refined := make([]int, len(curves)), make([]int, len(curves)) // points added
	var jobs []job
	for c := len(s.Grids) - 1; c >= 0; c-- { // the largest last curve first, so that no worker waits for it at the end
		for _, v := range s.Grids[c] {
			jobs = append(jobs, job{c, v})
		}
	}
	workers := s.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	done, total := 0, 0
	for len(jobs) > 0 {
		total += len(jobs)
		points := make([]Point, len(jobs))
		if err := parallel(ctx, workers, len(jobs), func(ctx context.Context, i int) error {
			p, err := eval(ctx, jobs[i].curve, jobs[i].value)
			points[i] = p
			return err
		}, func(n int) {
			if s.Progress != nil {
				s.Progress(done+n, total)
			}
		}); err != nil {
			return nil, err
		}
		done = total
		for i, j := range jobs {
			curves[j.curve] = append(curves[j.curve], points[i])
		}
		jobs = jobs[:0]
		more := make([][]float64, len(curves))
		for c := range curves {
			sorted(curves[c])
			more[c] = s.next(c, curves[c], &extended[c], &refined[c])
		}
		if s.Groups != nil {
			more = s.together(curves, more)
		}
		for c := len(curves) - 1; c >= 0; c-- {
			for _, v := range more[c] {
				jobs = append(jobs, job{c, v})
			}
		}
	}
	return curves, nil
}

// next is what curve c should be evaluated at besides.
func (s Sweep) next(c int, p []Point, extended, refined *int) []float64 {
	n := len(p)
	x, y := make([]float64, n), make([]float64, n)
	for i := range p {
		x[i], y[i] = math.Log(p[i].Value), logLoss(p[i].Loss())
	}
	_, _, edge, i := locate(x, y, leastWindow)
	if n < 2 {
		return nil
	}
	if i < 0 { // everything diverges
		edge = Low
	}
	var out []float64
	if edge != Inside {
		a, b := p[1].Value, p[0].Value
		if edge == High {
			a, b = p[n-2].Value, p[n-1].Value
		}
		for k := 1; k <= 2 && *extended < s.Extend; k++ {
			out = append(out, b*math.Pow(b/a, float64(k)))
			*extended++
		}
		return out
	}
	g := s.Grids[c]
	spacing := math.Log(g[len(g)-1]/g[0]) / float64(len(g)-1) * math.Exp2(-float64(s.Refine))
	for _, j := range []int{i - 1, i + 1} {
		if math.Abs(x[j]-x[i]) > spacing*1.01 && *refined < 8*s.Refine { // noise may make the lowest point wander
			out = append(out, math.Sqrt(p[i].Value*p[j].Value))
			*refined++
		}
	}
	return out
}

// together adds to the curves of a group what one of them gets beyond its ends.
func (s Sweep) together(curves [][]Point, more [][]float64) [][]float64 {
	out := make([][]float64, len(more))
	for c, own := range more {
		lo, hi := curves[c][0].Value, curves[c][len(curves[c])-1].Value
		out[c] = slices.Clone(own)
		for d, p := range curves {
			if s.Groups[d] != s.Groups[c] || d == c {
				continue
			}
			for _, v := range more[d] {
				beyond := v > p[len(p)-1].Value && v > hi && v <= 2.01*hi || v < p[0].Value && v < lo && v >= lo/2.01
				if beyond && !slices.Contains(out[c], v) {
					out[c] = append(out[c], v)
				}
			}
		}
		slices.Sort(out[c])
	}
	return out
}

// parallel calls f for 0 … n−1 on some workers and returns the first error by index that is not merely that of having been stopped by another.
func parallel(ctx context.Context, workers, n int, f func(context.Context, int) error, tell func(done int)) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, n)
	var next, done, failed atomic.Int64
	failed.Store(int64(n))
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || inner.Err() != nil {
					return
				}
				if errs[i] = f(inner, i); errs[i] != nil {
					failed.CompareAndSwap(int64(n), int64(i))
					cancel()
					return
				}
				tell(int(done.Add(1)))
			}
		})
	}
	wg.Wait()
	if i := failed.Load(); i < int64(n) {
		return errs[i]
	}
	return ctx.Err()
}
