package highdim

import (
	"context"
	"fmt"
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
)

// Trajectory is what a network did. T is the number of times recorded (steps + 1), N of units, K of directions of the
// target (an axis of length one is absent). Means are over replicas, blocks of samples in the theory and seeds in a
// simulation, and Stderr their standard errors, zero where there is one replica.
type Trajectory struct {
	Dimension int // D of a simulation, 0 in the theory
	Samples   int // sites or points of one replica; 0 when nothing was sampled
	Replicas  int

	Time                     []float64  // T: η times the step, by its schedule
	Loss, LossStderr         []float64  // T
	TestLoss, TestLossStderr []float64  // T
	LossReplicas             dmft.Array // replicas×T
	TestLossReplicas         dmft.Array // replicas×T

	TestLossParts, TestLossPartsStderr dmft.Array // T×3: scale error, misalignment, linear power
	Overlaps, OverlapsStderr           dmft.Array // T×N[×K]: w_i·β_k/D
	Gram                               dmft.Array // T×N×N: w_i·w_j/D
	Readout                            dmft.Array // T×N
	Moments, MomentsStderr             dmft.Array // T×5, see MeanNorm …

	AlignmentStep []int     // A
	AlignmentTime []float64 // A
	// A: √P times the kernel-task alignment yᵀKy/(|K|·|y|²) of the tangent kernel on the training points, y centred
	Alignment       []float64
	AlignmentStderr []float64

	// Regression are train and test loss of regression with the tangent kernel of the start, where training of the
	// linearised model ends. Of it only.
	Regression []float64

	// ResponseW[t][s] is ∂w_i(t)/∂z_j(s), the response of weights to what pushes them at step s, and ResponseG that of
	// the g_i(t) to fields at s; T×T×N×N, zero for s ≥ t and s > t.
	ResponseW, ResponseG dmft.Array

	Status      dmft.Status
	Diagnostics Diagnostics
}

// Columns of Trajectory.Moments, of the mean weight w̄ and second moment M = Σ a_i w_i w_iᵀ/N, w̄ = Σ a_i w_i/N.
const (
	MeanNorm      = iota // |w̄|²/D
	MeanOverlap          // w̄·β_1/D
	SecondTrace          // Tr M/D
	SecondNorm           // Tr M²/D²
	SecondOverlap        // Σ_k β_k·Mβ_k/D²: m2, whose value at the solution of the quadratic model is 1/(αε)
	momentCount
)

// Diagnostics says how a Trajectory was computed.
type Diagnostics struct {
	// Of the test loss and the true gradient: "closed form" or "samples".
	Method      string   `json:"method"`
	Directions  int      `json:"directions,omitempty"`  // of weight space that the theory needed, the most over blocks
	Unmatched   int      `json:"unmatched,omitempty"`   // of them with noise that was not matched, for want of samples
	Dropped     float64  `json:"dropped,omitempty"`     // largest relative mean square of a direction dropped
	Evaluations int      `json:"evaluations,omitempty"` // gradient evaluations
	MemoryBytes int64    `json:"memory_estimate_bytes"` // estimate made before the run
	Notes       []string `json:"notes,omitempty"`       // what the user should know
}

// record is what one replica has recorded; every slice has T times an amount per step.
type record struct {
	Next          int // steps recorded
	Loss, Test    []float64
	Parts         []float64
	Overlaps      []float64
	Gram          []float64
	Readout       []float64
	Moments       []float64
	Align         []float64
	RW, RG        []float64
	Directions    int
	Unmatched     int
	Evaluations   int
	Dropped       float64
	Bad           *dmft.Status
	ClosedForm    bool
	Interrupted   bool
	Regression    []float64
	PointsPerSeed int

	shown int // steps that the observer was shown
}

// collect averages replicas. Times that not every replica has reached are left out.
func collect(p *Problem, rec []*record, time []float64) *Trajectory {
	n, k, t := p.Units, p.Target.directions(), len(time)
	tr := &Trajectory{Replicas: len(rec), Status: dmft.Status{Code: dmft.Finished, Step: t - 1}}
	tr.Diagnostics.Method = "samples"
	for _, r := range rec {
		t = min(t, r.Next)
		if r.Bad != nil && r.Bad.Sooner(tr.Status) {
			tr.Status = *r.Bad
		}
		d := &tr.Diagnostics
		d.Directions, d.Unmatched, d.Dropped = max(d.Directions, r.Directions), max(d.Unmatched, r.Unmatched),
			max(d.Dropped, r.Dropped)
		d.Evaluations += r.Evaluations
		if r.ClosedForm {
			d.Method = "closed form"
		}
	}
	t = min(t, tr.Status.Step+1) // parts that were kept went further than an observer lets them
	tr.Time = time[:t]
	series := func(of func(*record) []float64, shape ...int) (mean, se dmft.Array) {
		mean, se = dmft.NewArray(shape...), dmft.NewArray(shape...)
		size := len(mean.Data)
		x := make([]float64, len(rec))
		for i := range size {
			for j, r := range rec {
				x[j] = of(r)[i]
			}
			mean.Data[i], se.Data[i] = meanStderr(x)
		}
		return mean, se
	}
	vector := func(of func(*record) []float64) (mean, se []float64, all dmft.Array) {
		m, s := series(of, t)
		all = dmft.NewArray(len(rec), t)
		for j, r := range rec {
			copy(all.At(j).Data, of(r)[:t])
		}
		return m.Data, s.Data, all
	}
	tr.Loss, tr.LossStderr, tr.LossReplicas = vector(func(r *record) []float64 { return r.Loss })
	tr.TestLoss, tr.TestLossStderr, tr.TestLossReplicas = vector(func(r *record) []float64 { return r.Test })
	tr.TestLossParts, tr.TestLossPartsStderr = series(func(r *record) []float64 { return r.Parts }, t, 3)
	tr.Moments, tr.MomentsStderr = series(func(r *record) []float64 { return r.Moments }, t, momentCount)
	if n > 0 && len(rec[0].Overlaps) > 0 {
		shape := []int{t, n, k}
		if k == 1 {
			shape = shape[:2]
		}
		tr.Overlaps, tr.OverlapsStderr = series(func(r *record) []float64 { return r.Overlaps }, shape...)
		tr.Gram, _ = series(func(r *record) []float64 { return r.Gram }, t, n, n)
		tr.Readout, _ = series(func(r *record) []float64 { return r.Readout }, t, n)
	}
	if n := len(rec[0].Regression); n > 0 {
		mean, _ := series(func(r *record) []float64 { return r.Regression }, n)
		tr.Regression = mean.Data
	}
	if len(rec[0].RW) > 0 {
		whole := len(time)
		tr.ResponseW, _ = series(func(r *record) []float64 { return r.RW }, whole, whole, n, n)
		tr.ResponseG, _ = series(func(r *record) []float64 { return r.RG }, whole, whole, n, n)
		for _, a := range []*dmft.Array{&tr.ResponseW, &tr.ResponseG} { // some replicas went further than others
			b := dmft.NewArray(t, t, n, n)
			for i := range t {
				copy(b.At(i).Data, a.At(i).Data)
			}
			*a = b
		}
	}
	for i, s := range alignmentSteps(len(rec[0].Align), len(time)) {
		if s >= t {
			break
		}
		x := make([]float64, len(rec))
		for j, r := range rec {
			x[j] = r.Align[i]
		}
		m, se := meanStderr(x)
		tr.AlignmentStep, tr.AlignmentTime = append(tr.AlignmentStep, s), append(tr.AlignmentTime, time[s])
		tr.Alignment, tr.AlignmentStderr = append(tr.Alignment, m), append(tr.AlignmentStderr, se)
	}
	tr.judge()
	return tr
}

func finite(x []float64) bool {
	s := 0.
	for _, v := range x {
		s += v - v // NaN for NaN and infinities
	}
	return s == 0
}

// judge ends a trajectory before the first step that has something which is not a finite number, with a status that
// says what.
func (t *Trajectory) judge() {
	first, what := len(t.Time), ""
	look := func(name string, steps func(row int) int, data []float64, rows int) {
		if finite(data) {
			return
		}
		n := len(data) / rows
		for i := range rows {
			if s := steps(i); s < first && !finite(data[i*n:(i+1)*n]) {
				first, what = s, name
				return
			}
		}
	}
	each := func(i int) int { return i }
	vectors := []struct {
		name string
		x    *[]float64
	}{{"the train loss", &t.Loss}, {"the test loss", &t.TestLoss},
		{"the standard error of the train loss", &t.LossStderr}, {"the standard error of the test loss", &t.TestLossStderr}}
	arrays := []struct {
		name string
		x    *dmft.Array
	}{{"an overlap", &t.Overlaps}, {"the Gram matrix", &t.Gram}, {"the readout", &t.Readout},
		{"a part of the test loss", &t.TestLossParts}, {"a moment of the weights", &t.Moments},
		{"the standard error of an overlap", &t.OverlapsStderr},
		{"the standard error of a part of the test loss", &t.TestLossPartsStderr},
		{"the standard error of a moment", &t.MomentsStderr}}
	for _, v := range vectors {
		look(v.name, each, *v.x, len(*v.x))
	}
	for _, a := range arrays {
		if !a.x.Empty() {
			look(a.name, each, a.x.Data, a.x.Shape[0])
		}
	}
	at := func(i int) int { return t.AlignmentStep[i] }
	look("the alignment", at, t.Alignment, len(t.Alignment))
	look("the standard error of the alignment", at, t.AlignmentStderr, len(t.Alignment))
	last := func(int) int { return max(len(t.Time)-1, 0) } // of the whole run
	for _, a := range []*dmft.Array{&t.ResponseW, &t.ResponseG} {
		if look("a response", last, a.Data, 1); !finite(a.Data) {
			*a = dmft.Array{}
		}
	}
	if look("the loss of kernel regression", last, t.Regression, 1); !finite(t.Regression) {
		t.Regression = nil
	}
	if what == "" {
		return
	}
	if !t.Status.Early() || t.Status.Step >= first {
		t.Status = dmft.Status{Code: dmft.NotFinite, Step: first - 1,
			Quantity: fmt.Sprintf("%s is not a finite number at step %d", what, first),
			Advice: "numbers of the problem are too large for their squares, or training diverges: look at the " +
				"noise, the output scale, the weights of the target and the learning rate"}
	}
	t.Time = t.Time[:first]
	for _, v := range vectors {
		*v.x = (*v.x)[:first]
	}
	for _, a := range arrays {
		if !a.x.Empty() {
			*a.x = dmft.Array{Shape: append([]int{first}, a.x.Shape[1:]...), Data: a.x.Data[:len(a.x.Data)/a.x.Shape[0]*first]}
		}
	}
	for _, a := range []*dmft.Array{&t.LossReplicas, &t.TestLossReplicas} {
		b := dmft.NewArray(a.Shape[0], first)
		for i := range b.Shape[0] {
			copy(b.At(i).Data, a.At(i).Data)
		}
		*a = b
	}
	for n := len(t.AlignmentStep); n > 0 && t.AlignmentStep[n-1] >= first; n-- {
		t.AlignmentStep, t.AlignmentTime, t.Alignment, t.AlignmentStderr = t.AlignmentStep[:n-1], t.AlignmentTime[:n-1],
			t.Alignment[:n-1], t.AlignmentStderr[:n-1]
	}
}

// alignmentSteps are n steps out of t, from first to last, evenly spaced in the logarithm of time where steps are fine
// enough.
func alignmentSteps(n, t int) []int {
	if n == 0 || t == 0 {
		return nil
	}
	n = min(n, t)
	s := make([]int, n)
	for i := 1; i < n; i++ {
		s[i] = max(s[i-1]+1, int(math.Round(math.Pow(float64(t), float64(i)/float64(n-1))))-1)
	}
	return s
}

func meanStderr(x []float64) (mean, se float64) {
	n := float64(len(x))
	for _, v := range x {
		mean += v / n
	}
	if len(x) < 2 {
		return mean, 0
	}
	for _, v := range x {
		se += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(se / (n - 1) / n)
}

// Quantile returns the train and test loss at every time below which a share q of the replicas lies: 0.5 is the median,
// which a few runs that are stuck do not move.
func (t *Trajectory) Quantile(q float64) (loss, test []float64) {
	of := func(a dmft.Array) []float64 {
		out, x := make([]float64, len(t.Time)), make([]float64, t.Replicas)
		for i := range out {
			for j := range x {
				x[j] = a.At(j).Data[i]
			}
			out[i] = quantile(x, q)
		}
		return out
	}
	return of(t.LossReplicas), of(t.TestLossReplicas)
}

// Gap is the delay between learning the training points and the task. Times are the last at which a loss is above a
// fraction of its initial value, +Inf for never below from then on.
type Gap struct {
	Train, Test float64
	Dex         float64 // log₁₀ of Test/Train; +Inf when the task was not learned
}

// Never says whether the task was not learned.
func (g Gap) Never() bool { return math.IsInf(g.Test, 1) }

// String is the gap in decades, or "never".
func (g Gap) String() string {
	if g.Never() {
		return "never"
	}
	return fmt.Sprintf("%.3g dex", g.Dex)
}

// GapOf is the grokking gap of the mean losses of t at a fraction of their initial values, such as 0.5.
func GapOf(t *Trajectory, fraction float64) Gap {
	return NewGap(t.Time, t.Loss, t.TestLoss, fraction)
}

// NewGap is the grokking gap of any two curves of the same times, such as the medians of a simulation.
func NewGap(time, loss, test []float64, fraction float64) Gap {
	g := Gap{Train: lastAbove(time, loss, fraction), Test: lastAbove(time, test, fraction)}
	if g.Dex = math.Log10(g.Test / g.Train); g.Never() { // whether the training points were learned or not
		g.Dex = math.Inf(1)
	}
	return g
}

// Gaps is a phase diagram: the gap of every problem of a grid, by Solve, Simulate or SimulateMoments. A problem whose
// training diverges has a gap of NaN; any other error ends the diagram.
func Gaps(ctx context.Context, grid [][]*Problem, fraction float64,
	run func(context.Context, *Problem) (*Trajectory, error)) ([][]Gap, error) {
	out := make([][]Gap, len(grid))
	for i, row := range grid {
		for j, p := range row {
			t, err := run(ctx, p)
			switch code := dmft.StopCode(err); {
			case code == dmft.Diverged || code == dmft.NotFinite:
				out[i] = append(out[i], Gap{math.NaN(), math.NaN(), math.NaN()})
			case err != nil:
				return out, fmt.Errorf("highdim: row %d, column %d of the grid: %w", i, j, err)
			default:
				out[i] = append(out[i], GapOf(t, fraction))
			}
		}
	}
	return out, nil
}

// lastAbove is the last time at which y is above fraction·y[0], interpolated in log y.
func lastAbove(time, y []float64, fraction float64) float64 {
	if len(y) == 0 {
		return math.Inf(1)
	}
	level := fraction * y[0]
	last := -1
	for i, v := range y {
		if !(v <= level) {
			last = i
		}
	}
	switch {
	case last < 0:
		return 0
	case last == len(y)-1:
		return math.Inf(1)
	}
	a, b, x := y[last], y[last+1], 0.5
	if b > 0 && a > b {
		x = math.Log(a/level) / math.Log(a/b)
	} else if a > b {
		x = (a - level) / (a - b)
	}
	return time[last] + x*(time[last+1]-time[last])
}
