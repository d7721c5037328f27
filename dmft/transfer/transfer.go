// Package transfer says whether the best value of a hyperparameter stays where it is as networks grow, so that what was
// tuned on a small network serves a large one (Yang et al. 2022, arXiv 2203.03466; in depth, Bordelon, Noci, Li, Hanin
// & Pehlevan 2023, arXiv 2309.16620).
//
// L(x, n) is the loss, after some number of steps, of networks of size n (a width or a depth) at the value x of a
// hyperparameter such as the learning rate. The optimum and its drift are
//
//	x*(n) = argmin_x L(x, n),    x*(n) ∝ n^p
//
// and a parametrisation transfers when p = 0. [Sweep] evaluates L on a grid that it extends and refines around the
// optimum of every size, [Curve.Optimum] finds x* with an error bar from the scatter of seeds, [FitDrift] finds p with
// a confidence interval and [Drift.Verdict] says what follows.
//
//	curves, err := transfer.Sweep{Grids: grids, Refine: 2}.Run(ctx, transfer.OneByOne(evaluate))
//	best, ok := transfer.Curve{Size: 64, Points: curves[0]}.Optimum()
//
// A run that diverged is a loss of +Inf, not an error.
package transfer

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

var inf = math.Inf(1)

// Losses are numbers in JSON, null where a run diverged.
type Losses []float64

// MarshalJSON writes what is not finite as null.
func (l Losses) MarshalJSON() ([]byte, error) {
	out := make([]*float64, len(l))
	for i := range l {
		if !math.IsInf(l[i], 0) && !math.IsNaN(l[i]) {
			out[i] = &l[i]
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads null as +Inf.
func (l *Losses) UnmarshalJSON(b []byte) error {
	var in []*float64
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*l = make(Losses, len(in))
	for i, v := range in {
		if (*l)[i] = math.Inf(1); v != nil {
			(*l)[i] = *v
		}
	}
	return nil
}

// Point is the loss at one value of the hyperparameter.
type Point struct {
	Value  float64 `json:"value"`
	Losses Losses  `json:"losses"`           // of every seed, +Inf where it diverged; of the theory one
	Stderr float64 `json:"stderr,omitempty"` // sampling error of the one loss of the theory
}

// Loss is the mean over seeds: +Inf when one of them diverged.
func (p Point) Loss() float64 {
	s := 0.
	for _, v := range p.Losses {
		if math.IsNaN(v) {
			return math.Inf(1)
		}
		s += v / float64(len(p.Losses))
	}
	if len(p.Losses) == 0 {
		return math.Inf(1)
	}
	return s
}

// LossStderr is the standard error of Loss, 0 where it is not finite.
func (p Point) LossStderr() float64 {
	n := float64(len(p.Losses))
	m := p.Loss()
	switch {
	case math.IsInf(m, 0):
		return 0
	case n < 2:
		return p.Stderr
	}
	s := 0.
	for _, v := range p.Losses {
		s += (v - m) * (v - m)
	}
	return math.Sqrt(s / (n - 1) / n)
}

// Diverged is how many seeds have no finite loss.
func (p Point) Diverged() int {
	n := 0
	for _, v := range p.Losses {
		if math.IsInf(v, 0) || math.IsNaN(v) {
			n++
		}
	}
	return n
}

// Curve is the loss against the hyperparameter at one size. Points have rising values and the same seeds.
type Curve struct {
	Size   int     `json:"size"` // 0 is the limit of infinite size
	Points []Point `json:"points"`
}

// Edge says that an optimum lies at an end of the grid, so that it may be beyond.
type Edge string

// The ends.
const (
	Inside Edge = ""
	Low    Edge = "low"
	High   Edge = "high"
)

// Optimum is where a curve is lowest.
type Optimum struct {
	Value  float64 `json:"value"`
	Lo     float64 `json:"lo"` // 95 % interval
	Hi     float64 `json:"hi"`
	Stderr float64 `json:"log_stderr"`     // of log Value: sampling error and that of the shape of the fit
	Loss   float64 `json:"loss"`           // the lowest of the points
	Error  float64 `json:"loss_stderr"`    // its standard error
	Edge   Edge    `json:"edge,omitempty"` // of the grid; Lo and Hi do not hold what may be beyond it
	// Cliff says that the next larger or smaller value diverges: the optimum is known to the spacing of the grid.
	Cliff bool `json:"cliff,omitempty"`
}

// A parabola is fitted to the points around the lowest whose log loss is above it by less than leastWindow, or than
// noiseWindow standard errors of its difference to the quieter neighbour (the other may be at a cliff) where that is
// more: as few as noise allows, since no curve is a parabola far from its minimum.
const (
	leastWindow = 0.03
	noiseWindow = 3
	resamples   = 400
)

// Optimum finds the lowest place of a curve: a parabola in log x and log L fitted around the lowest point, its error
// from resampling the seeds (drawing the one loss of the theory from its sampling error) and from how a cubic would
// move it. ok is false when no loss is finite.
func (c Curve) Optimum() (o Optimum, ok bool) {
	n := len(c.Points)
	x, y := make([]float64, n), make([]float64, n)
	seeds := 0
	for i, p := range c.Points {
		x[i], y[i] = math.Log(p.Value), logLoss(p.Loss())
		seeds = max(seeds, len(p.Losses))
	}
	window := c.window(lowest(y))
	at, shape, edge, i := locate(x, y, window)
	if i < 0 {
		return o, false
	}
	o = Optimum{Value: math.Exp(at), Loss: c.Points[i].Loss(), Error: c.Points[i].LossStderr(), Edge: edge}
	o.Cliff = edge == Inside && (math.IsInf(y[i-1], 1) || math.IsInf(y[i+1], 1))
	rng := rand.New(rand.NewPCG(1, uint64(c.Size)))
	var sum, sum2 float64
	k := 0.
	pick := make([]int, seeds)
	for range resamples {
		for s := range pick {
			pick[s] = rng.IntN(seeds)
		}
		for i, p := range c.Points {
			y[i] = logLoss(p.resampled(pick, rng))
		}
		v, _, _, j := locate(x, y, window)
		if j < 0 {
			continue
		}
		sum, sum2, k = sum+v-at, sum2+(v-at)*(v-at), k+1
	}
	quantile := distuv.UnitNormal.Quantile(0.975)
	variance := max(sum2/k-sum/k*sum/k, 0)
	if seeds > 1 { // of few seeds the resampled variance is too small, and itself uncertain
		variance *= float64(seeds) / float64(seeds-1)
		quantile = distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(seeds - 1)}.Quantile(0.975)
	}
	half := math.Hypot(quantile*math.Sqrt(variance), 2*shape)
	o.Stderr = math.Hypot(math.Sqrt(variance), shape)
	o.Lo, o.Hi = o.Value*math.Exp(-half), o.Value*math.Exp(half)
	return o, true
}

// window is how far above point i, in log loss, a parabola is fitted.
func (c Curve) window(i int) float64 {
	w := inf
	for _, j := range []int{i - 1, i + 1} {
		if i < 0 || j < 0 || j >= len(c.Points) {
			continue
		}
		a, b := c.Points[i], c.Points[j]
		la, lb := a.Loss(), b.Loss()
		if math.IsInf(lb, 1) || !(la > 0) {
			continue
		}
		var d Point // relative differences, seed by seed; the sampling error of the theory is nearly the same at neighbours
		for k := range min(len(a.Losses), len(b.Losses)) {
			d.Losses = append(d.Losses, b.Losses[k]/lb-a.Losses[k]/la)
		}
		w = min(w, noiseWindow*d.LossStderr())
	}
	if math.IsInf(w, 1) {
		return leastWindow
	}
	return max(w, leastWindow)
}

// lowest is the index of the lowest finite y, −1 when there is none.
func lowest(y []float64) int {
	i := -1
	for j, v := range y {
		if !math.IsInf(v, 1) && !math.IsNaN(v) && (i < 0 || v < y[i]) {
			i = j
		}
	}
	return i
}

// logLoss is finite for a loss of zero.
func logLoss(l float64) float64 { return math.Log(max(l, math.SmallestNonzeroFloat64)) }

// resampled is the mean loss of a resampling.
func (p Point) resampled(pick []int, rng *rand.Rand) float64 {
	if len(p.Losses) == 1 && p.Stderr > 0 {
		// An error as large as the loss comes from samples about to diverge, and does not make a loss near zero likely.
		return p.Losses[0] * math.Exp(min(p.Stderr/p.Losses[0], 0.5)*rng.NormFloat64())
	}
	s := 0.
	for _, k := range pick {
		s += p.Losses[k%len(p.Losses)] / float64(len(pick))
	}
	if math.IsNaN(s) {
		return math.Inf(1)
	}
	return s
}

// locate finds the minimum of y(x): where, the standard deviation of the error that its shape may cause, and the index
// of the lowest point, −1 when no y is finite.
func locate(x, y []float64, window float64) (at, shape float64, edge Edge, i int) {
	i = lowest(y)
	switch {
	case i < 0:
		return 0, 0, Inside, -1
	case i == 0 || i == len(x)-1: // an end of the grid
		for _, j := range []int{i - 1, i + 1} {
			if j >= 0 && j < len(x) {
				shape = math.Abs(x[j]-x[i]) / 2
			}
		}
		if edge = High; i == 0 {
			edge = Low
		}
		return x[i], shape, edge, i
	}
	l, r := i-1, i+1
	step := (x[r] - x[l]) / 2
	if math.IsInf(y[l], 1) || math.IsInf(y[r], 1) { // anywhere between the neighbours
		return x[i], 2 * step / math.Sqrt(12), Inside, i
	}
	for l > 0 && y[l] < y[i]+window && y[l-1] < y[i]+window {
		l--
	}
	for r < len(x)-1 && y[r] < y[i]+window && y[r+1] < y[i]+window {
		r++
	}
	at, ok := vertex(x[l:r+1], y[l:r+1], x[i], 2)
	if !ok { // flat: anywhere in the window
		return x[i], (x[r] - x[l]) / math.Sqrt(12), Inside, i
	}
	// Three points say nothing of the shape: 0.2 spacings is what a parabola through a kink is off by.
	if shape = 0.2 * step; r-l > 2 {
		if c, ok := vertex(x[l:r+1], y[l:r+1], at, 3); ok {
			shape = math.Abs(c - at)
		} else {
			shape = step
		}
	}
	return at, shape, Inside, i
}

// vertex fits a polynomial of degree 2 or 3 and returns its minimum nearest to near, if there is one between the first
// and the last x.
func vertex(x, y []float64, near float64, degree int) (float64, bool) {
	n := len(x)
	a, b := mat.NewDense(n, degree+1, nil), mat.NewVecDense(n, nil)
	for i := range n {
		v := 1.
		for k := range degree + 1 {
			a.Set(i, k, v)
			v *= x[i] - near
		}
		b.SetVec(i, y[i]-y[0])
	}
	var c mat.VecDense
	if err := c.SolveVec(a, b); err != nil {
		return 0, false
	}
	c1, c2, c3 := c.AtVec(1), c.AtVec(2), 0.
	if degree > 2 {
		c3 = c.AtVec(3)
	}
	// The root of c1 + 2c2 u + 3c3 u² with positive curvature, written so that c3 → 0 is harmless.
	d := c2*c2 - 3*c3*c1
	if d <= 0 || c2+math.Sqrt(d) <= 0 {
		return 0, false
	}
	v := near - c1/(c2+math.Sqrt(d))
	return v, v > x[0] && v < x[n-1]
}

// At interpolates the loss at a value of the hyperparameter, linearly in both logarithms; +Inf outside the grid and
// beside a point that diverged.
func (c Curve) At(value float64) float64 {
	i := sort.Search(len(c.Points), func(i int) bool { return c.Points[i].Value >= value })
	switch {
	case i < len(c.Points) && c.Points[i].Value == value:
		return c.Points[i].Loss()
	case i == 0 || i == len(c.Points):
		return math.Inf(1)
	}
	a, b := c.Points[i-1], c.Points[i]
	w := math.Log(value/a.Value) / math.Log(b.Value/a.Value)
	return math.Exp((1-w)*math.Log(a.Loss()) + w*math.Log(b.Loss()))
}

// sorted puts points in the order of their values.
func sorted(p []Point) {
	slices.SortFunc(p, func(a, b Point) int {
		switch {
		case a.Value < b.Value:
			return -1
		case a.Value > b.Value:
			return 1
		}
		return 0
	})
}
