package transfer

import (
	"context"
	"math"
	"slices"
)

// Sweep evaluates curves on grids. What is evaluated depends on the losses alone, never on the order in which they
// come.
type Sweep struct {
	Grids [][]float64 // rising values, one list per curve
	// Refine is how many times the spacing of the grid is halved around the lowest point of a curve.
	Refine int
	// Extend is how many more points a curve may get beyond an end of its grid at which it is lowest.
	Extend int
	// Groups, when given, says which curves belong together: beyond the end where one is extended, so are those that
	// end less than an octave from there, lest one of two minima is seen by some of them only.
	Groups []int
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

// Lattice returns the powers of √2 that cover low to high: grids of different curves have the same values where they
// overlap.
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

// A Job is a point to be evaluated.
type Job struct {
	Curve int
	Value float64
}

// Run evaluates every curve: do is given one batch of jobs after another, which it may do in any order and at the same
// time, and returns their points in the order of the jobs.
func (s Sweep) Run(ctx context.Context, do func(context.Context, []Job) ([]Point, error)) ([][]Point, error) {
	curves := make([][]Point, len(s.Grids))
	more := s.Grids
	for {
		var jobs []Job
		for c := len(curves) - 1; c >= 0; c-- { // the largest last curve first, so that no processor waits for it at the end
			for _, v := range more[c] {
				jobs = append(jobs, Job{c, v})
			}
		}
		if len(jobs) == 0 {
			return curves, nil
		}
		points, err := do(ctx, jobs)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		for i, j := range jobs {
			curves[j.Curve] = append(curves[j.Curve], points[i])
		}
		more = make([][]float64, len(curves))
		for c := range curves {
			sorted(curves[c])
			more[c] = s.next(s.Grids[c], curves[c])
		}
		if s.Groups != nil {
			more = s.together(curves, more)
		}
	}
}

// OneByOne does jobs one after the other.
func OneByOne(eval func(context.Context, Job) (Point, error)) func(context.Context, []Job) ([]Point, error) {
	return func(ctx context.Context, jobs []Job) ([]Point, error) {
		var out []Point
		for _, j := range jobs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			p, err := eval(ctx, j)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		return out, nil
	}
}

// next is what a curve with a grid should be evaluated at besides.
func (s Sweep) next(grid []float64, p []Point) []float64 {
	n := len(p)
	if n < 2 {
		return nil
	}
	x, y := make([]float64, n), make([]float64, n)
	extended := 0
	for i := range p {
		x[i], y[i] = math.Log(p[i].Value), logLoss(p[i].Loss())
		if p[i].Value < grid[0] || p[i].Value > grid[len(grid)-1] {
			extended++
		}
	}
	refined := n - extended - len(grid)
	_, _, edge, i := locate(x, y, leastWindow)
	if i < 0 { // everything diverges
		edge = Low
	}
	var out []float64
	if edge != Inside {
		a, b := p[1].Value, p[0].Value
		if edge == High {
			a, b = p[n-2].Value, p[n-1].Value
		}
		for k := 1; k <= min(2, s.Extend-extended); k++ {
			out = append(out, b*math.Pow(b/a, float64(k)))
		}
		return out
	}
	spacing := math.Log(grid[len(grid)-1]/grid[0]) / float64(len(grid)-1) * math.Exp2(-float64(s.Refine))
	for _, j := range []int{i - 1, i + 1} {
		if math.Abs(x[j]-x[i]) > spacing*1.01 && refined < 8*s.Refine { // noise may make the lowest point wander
			out = append(out, math.Sqrt(p[i].Value*p[j].Value))
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
