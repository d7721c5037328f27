package dmft

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// InfiniteDepth is the Depth of a residual network of infinite depth: the limit L → ∞ with branches β L^{−α}, α ≥ ½.
// Layers are numbered by layer time τ = (ℓ − 1)/(L − 1).
const InfiniteDepth = -1

// defaultDepths are the depths that the limit is extrapolated from. Every other layer of one is at the layer time of a
// layer of the one before.
var defaultDepths = []int{5, 9, 17}

// depthOrder is the leading exponent q of corrections L^{−q}: b² = β² L^{−2α} over L layers, and 1/L from the layers'
// spacing.
func (n Network) depthOrder() float64 {
	if q := 2*n.Branch.Exponent - 1; q > 0 && q < 1 {
		return q
	}
	return 1
}

// checkInfinite says why a network has no limit of infinite depth.
func (n Network) checkInfinite() error {
	a, r := n.Branch.Exponent, n.Branch.Rate
	switch {
	case n.Kind != ResNet:
		return fmt.Errorf("dmft: a network of kind %s has no limit of infinite depth; use a %s", n.Kind, ResNet)
	case !(a >= 0.5):
		return fmt.Errorf("dmft: with branches β L^(−α), α = %g, a residual network grows without bound with its depth; α must be at least 0.5", a)
	case 2*a-r < 1:
		return fmt.Errorf("dmft: with α = %g and learning rates of the branches ∝ L^ρ, ρ = %g, what they learn grows without bound with depth; ρ may be at most 2α − 1 = %g", a, r, 2*a-1)
	}
	return nil
}

// solveInfinite extrapolates a ladder of depths to infinity in powers of L^{−q} with the known order q of the
// corrections (Richardson, Neville's scheme), block by block, since all depths use the same blocks and much of their
// noise. From the two deepest, or from three where blocks scatter so little that the smaller error of depth is worth
// the larger one of sampling; the difference of the two tells the error that is left, which is added to the error bars
// in quadrature. The order observed over the last three depths is in the diagnostics.
func solveInfinite(ctx context.Context, p *Problem, s Settings) (*Trajectory, error) {
	depths := s.Depths
	if depths == nil {
		depths = defaultDepths
	}
	n := len(depths)
	if n < 3 {
		return nil, fmt.Errorf("dmft: %d depths to extrapolate from; at least 3 are needed for an error estimate", n)
	}
	sum := 0
	for i, l := range depths {
		if l < 2 || i > 0 && l <= depths[i-1] {
			return nil, fmt.Errorf("dmft: depths %v to extrapolate from must rise and be at least 2", depths)
		}
		sum += l
	}
	s.Depths = nil
	twoTime := s.Record.TwoTime > 0
	s.Record.TwoTime = 0
	rungs := make([]*Trajectory, n)
	progress, done := s.Progress, 0
	for i := n - 1; i >= 0; i-- { // the deepest first: it decides how large blocks must be
		q := *p
		q.Network.Depth = depths[i]
		if progress != nil {
			before := done
			s.Progress = func(d, total int64) { // in units of a thousandth of a layer
				progress(int64(1000*before)+int64(1000*depths[i])*d/max(total, 1), int64(1000*sum))
			}
		}
		tr, err := Solve(ctx, &q, s)
		if err != nil {
			return nil, fmt.Errorf("depth %d: %w", depths[i], err)
		}
		rungs[i], done = tr, done+depths[i]
		s.sites, s.last = tr.Width, true
	}
	tr := extrapolate(p, depths, rungs)
	if twoTime {
		tr.Diagnostics.Notes = append(tr.Diagnostics.Notes, "kernels between two times are kept of networks of finite depth only")
	}
	return tr, tr.settle(s.Record.kept(p))
}

// extrapolate makes the trajectory of infinite depth from those of a ladder with the same blocks.
func extrapolate(p *Problem, depths []int, rungs []*Trajectory) *Trajectory {
	n := len(depths)
	hi := rungs[n-1]
	np, pt, _, c := p.Data.sizes()
	pick := func(f func(*Trajectory) Array) []Array {
		var out []Array
		for _, r := range rungs {
			out = append(out, f(r))
		}
		return out
	}
	f := func(t *Trajectory) Array { return t.FReplicas }
	ft := func(t *Trajectory) Array { return t.FTestReplicas }
	// rest is the error of depth of every mean: what the third rung changes. For the value from three rungs that is
	// cautious.
	two, three := polynomial(depths[n-2:], p.Network.depthOrder()), polynomial(depths[n-3:], p.Network.depthOrder())
	best := func(w []float64, f func(*Trajectory) Array) (mean, stat, rest []float64, reps Array) {
		reps = combine(w, pick(f))
		mean, stat = meanStderr(reps)
		a, _ := meanStderr(combine(two, pick(f)))
		b, _ := meanStderr(combine(three, pick(f)))
		rest = make([]float64, len(mean))
		for i := range rest {
			rest[i] = math.Abs(a[i] - b[i])
		}
		return mean, stat, rest, reps
	}
	w := two
	_, stat2, rest2, _ := best(two, f)
	if _, stat3, _, _ := best(three, f); norm(stat3) < norm(rest2) && norm(rest2) > norm(stat2) {
		w = three
	}
	tr := &Trajectory{Width: hi.Width, Replicas: hi.Replicas, Time: hi.Time, Status: hi.Status, Diagnostics: hi.Diagnostics}
	d := &DepthLimit{Depths: depths}
	series := func(y target, f func(*Trajectory) Array, shape []int) (mean, stderr, reps Array, loss, lossStderr []float64) {
		m, stat, rest, reps := best(w, f)
		mean, stderr = Array{Shape: shape, Data: m}, NewArray(shape...)
		for i := range m {
			stderr.Data[i] = math.Hypot(stat[i], rest[i])
		}
		if d.SamplingError == 0 && d.DepthError == 0 {
			root := math.Sqrt(float64(len(stat)))
			d.SamplingError, d.DepthError = norm(stat)/root, norm(rest)/root
		}
		loss, lossStderr = lossOfMean(y, reps, mean)
		for t := range loss { // the error of depth moves the loss along its gradient; the jackknife sees the blocks alone
			delta, ft := make([]float64, y.p*y.c), make([]float64, y.p*y.c)
			for m := range y.p {
				for k := range y.c {
					ft[k*y.p+m] = mean.At(t).Data[m*y.c+k]
				}
			}
			y.eval(ft, y.p, delta, nil, 0)
			x := 0.
			for m := range y.p {
				for k := range y.c {
					x += math.Abs(delta[k*y.p+m]) * rest[t*y.p*y.c+m*y.c+k]
				}
			}
			lossStderr[t] = math.Hypot(lossStderr[t], x)
		}
		return mean, stderr, reps, loss, lossStderr
	}
	y := target{loss: p.Training.Loss, y: flat(p.Data.Targets), p: np, c: c}
	tr.F, tr.FStderr, tr.FReplicas, tr.Loss, tr.LossStderr = series(y, f, hi.F.Shape)
	if pt > 0 {
		yt := target{loss: p.Training.Loss, y: flat(p.Data.TestTargets), p: pt, c: c}
		tr.FTest, tr.FTestStderr, tr.FTestReplicas, tr.TestLoss, tr.TestLossStderr = series(yt, ft, hi.FTest.Shape)
	}
	p.classify(tr, true)
	tr.LossReplicas = combine(w, pick(func(t *Trajectory) Array { return t.LossReplicas }))
	if !hi.NTKReplicas.Empty() {
		tr.NTKReplicas = combine(w, pick(func(t *Trajectory) Array { return t.NTKReplicas }))
	}
	tr.ReadoutNorm = combine(w, pick(func(t *Trajectory) Array { return Array{Shape: []int{len(t.ReadoutNorm)}, Data: t.ReadoutNorm} })).Data
	tr.Depths = depths
	tr.FDepths, tr.FDepthsStderr = NewArray(append([]int{n}, hi.F.Shape...)...), NewArray(append([]int{n}, hi.F.Shape...)...)
	tr.LossDepths = NewArray(n, len(hi.Loss))
	for i, r := range rungs {
		copy(tr.FDepths.At(i).Data, r.F.Data)
		copy(tr.FDepthsStderr.At(i).Data, r.FStderr.Data)
		copy(tr.LossDepths.At(i).Data, r.Loss)
	}
	d.Order, d.OrderStderr = observedOrder(depths, rungs)
	tr.Diagnostics.Depth = d
	tr.layers(depths, rungs, w, target{loss: p.Training.Loss, y: y.y, p: np, c: c})
	return tr
}

// polynomial are the weights of values at some depths in the value at infinity of the polynomial in L^{−q} through
// them.
func polynomial(depths []int, q float64) []float64 {
	w := make([]float64, len(depths))
	for i, li := range depths {
		w[i] = 1
		for j, lj := range depths {
			if j != i {
				w[i] /= 1 - math.Pow(float64(li)/float64(lj), -q)
			}
		}
	}
	return w
}

// combine is the sum of the last arrays with weights.
func combine(w []float64, a []Array) Array {
	a = a[len(a)-len(w):]
	out := NewArray(a[0].Shape...)
	for i, x := range w {
		la.Axpy(x, a[i].Data, out.Data)
	}
	return out
}

func norm(x []float64) float64 {
	s := 0.
	for _, v := range x {
		s += v * v
	}
	return math.Sqrt(s)
}

// layers extrapolates the kernels, at the layer times of the shallowest network. Between layers kernels are
// interpolated linearly, with an error of order 1/L². Their error bars are those of sampling, as if depths were
// independent.
func (tr *Trajectory) layers(depths []int, rungs []*Trajectory, w []float64, y target) {
	first := depths[0]
	rungs = rungs[len(rungs)-len(w):]
	hi := rungs[len(rungs)-1]
	tr.Preactivations = hi.Preactivations
	for k := range first {
		tr.LayerTime = append(tr.LayerTime, float64(k)/float64(first-1))
	}
	if hi.NTK.Empty() {
		return
	}
	tr.KernelStep, tr.KernelTime = hi.KernelStep, hi.KernelTime
	all := func(pick func(*Trajectory) Array, stderr bool) Array {
		out := NewArray(pick(hi).Shape...)
		for i, r := range rungs {
			for q, v := range pick(r).Data {
				if stderr {
					out.Data[q] = math.Hypot(out.Data[q], w[i]*v)
				} else {
					out.Data[q] += w[i] * v
				}
			}
		}
		return out
	}
	// along brings the layers of a kernel to those of the shallowest network.
	along := func(pick func(*Trajectory) Array) func(*Trajectory) Array {
		return func(t *Trajectory) Array {
			a := pick(t)
			if a.Empty() {
				return a
			}
			l := a.Shape[1]
			shape := append([]int(nil), a.Shape...)
			shape[1] = first
			out := NewArray(shape...)
			for k := range a.Shape[0] {
				for j := range first {
					x := float64(j) / float64(first-1) * float64(l-1)
					i := min(int(x), l-2)
					la.Axpy(1-(x-float64(i)), a.At(k).At(i).Data, out.At(k).At(j).Data)
					la.Axpy(x-float64(i), a.At(k).At(i+1).Data, out.At(k).At(j).Data)
				}
			}
			return out
		}
	}
	tr.NTK, tr.NTKStderr = all(func(t *Trajectory) Array { return t.NTK }, false), all(func(t *Trajectory) Array { return t.NTKStderr }, true)
	phi, phiSE := along(func(t *Trajectory) Array { return t.Phi }), along(func(t *Trajectory) Array { return t.PhiStderr })
	g, gSE := along(func(t *Trajectory) Array { return t.G }), along(func(t *Trajectory) Array { return t.GStderr })
	tr.Phi, tr.PhiStderr, tr.G, tr.GStderr = all(phi, false), all(phiSE, true), all(g, false), all(gSE, true)
	tr.summarise(y, y.p*y.c, y.p)
	// Errors of the summaries to leading order: as if they were extrapolated like the kernels.
	summaries := func(pick func(*Trajectory) Array) Array {
		for _, r := range rungs {
			if pick(r).Empty() {
				return Array{}
			}
		}
		return all(pick, true)
	}
	series := func(pick func(*Trajectory) []float64) func(*Trajectory) Array {
		return func(t *Trajectory) Array { return Array{Shape: []int{len(pick(t))}, Data: pick(t)} }
	}
	tr.AlignmentStderr = summaries(series(func(t *Trajectory) []float64 { return t.AlignmentStderr })).Data
	tr.KernelMovementStderr = summaries(series(func(t *Trajectory) []float64 { return t.KernelMovementStderr })).Data
	tr.PhiMovementStderr = summaries(along(func(t *Trajectory) Array { return t.PhiMovementStderr }))
	tr.GMovementStderr = summaries(along(func(t *Trajectory) Array { return t.GMovementStderr }))
	tr.PhiAlignmentStderr = summaries(along(func(t *Trajectory) Array { return t.PhiAlignmentStderr }))
}

// observedOrder fits q of f_L = f_∞ + c L^{−q} to the last three rungs, projected on the difference of the first two,
// with its standard error over bootstrap samples of the blocks. It is NaN when noise hides the differences.
func observedOrder(depths []int, rungs []*Trajectory) (q, stderr float64) {
	n := len(rungs)
	l := [3]float64{float64(depths[n-3]), float64(depths[n-2]), float64(depths[n-1])}
	reps := rungs[n-1].Replicas
	fit := func(pick []int) float64 {
		var mean [3][]float64
		for k := range mean {
			r := rungs[n-3+k].FReplicas
			mean[k] = make([]float64, len(r.At(0).Data))
			for _, b := range pick {
				la.Axpy(1/float64(len(pick)), r.At(b).Data, mean[k])
			}
		}
		var num, den float64
		for i := range mean[0] {
			u, v := mean[0][i]-mean[1][i], mean[1][i]-mean[2][i]
			num, den = num+u*v, den+u*u
		}
		ratio := num / den
		of := func(q float64) float64 {
			return (math.Pow(l[1], -q) - math.Pow(l[2], -q)) / (math.Pow(l[0], -q) - math.Pow(l[1], -q))
		}
		lo, hi := 0.01, 20.
		if !(ratio < of(lo) && ratio > of(hi)) {
			return math.NaN()
		}
		for range 60 {
			if mid := (lo + hi) / 2; of(mid) > ratio {
				lo = mid
			} else {
				hi = mid
			}
		}
		return lo
	}
	all := make([]int, reps)
	for i := range all {
		all[i] = i
	}
	q = fit(all)
	const draws = 200
	rng := rand.New(rand.NewPCG(1, 2))
	var s, s2, good float64
	for range draws {
		for i := range all {
			all[i] = rng.IntN(reps)
		}
		if v := fit(all); !math.IsNaN(v) {
			s, s2, good = s+v, s2+v*v, good+1
		}
	}
	if good < draws/2 || reps < 2 || math.IsNaN(q) {
		return 0, 0
	}
	return q, math.Sqrt(max(s2/good-s*s/good/good, 0))
}

// staticKernels are the kernels at the start, the NTK with the learning rates of layers in it; with frozen features it
// is the readout's part alone.
func (p *Problem) staticKernels(frozen bool, kx mat.Symmetric) (*arch.StaticNet, error) {
	if p.Network.Depth != InfiniteDepth {
		rates := p.rates()
		if frozen {
			rates.Input, rates.Hidden = 0, 0
		}
		k, err := arch.Kernels(p.Network.blocks(), kx, p.Network.Bias, rates)
		if err != nil {
			return nil, fmt.Errorf("dmft: lazy kernels: %w", err)
		}
		return k, nil
	}
	// Richardson extrapolation over a ladder where every layer time of the first is one of all others: no sampling
	// errors, so it converges to rounding.
	const first, rungs = 16, 6
	q := p.Network.depthOrder()
	var table []*arch.StaticNet
	var xs []float64
	for i := range rungs {
		n := *p
		n.Network.Depth = first<<i + 1
		full, err := n.staticKernels(frozen, kx)
		if err != nil {
			return full, err
		}
		thin := &arch.StaticNet{NTK: full.NTK}
		for l := 0; l < n.Network.Depth; l += 4 << i {
			thin.H, thin.Phi, thin.G = append(thin.H, full.H[l]), append(thin.Phi, full.Phi[l]), append(thin.G, full.G[l])
		}
		table, xs = append(table, thin), append(xs, math.Pow(float64(n.Network.Depth), -q))
		for j := i - 1; j >= 0; j-- { // Neville at x = 0
			neville(table[j], table[j+1], xs[j], xs[i])
		}
	}
	return table[0], nil
}

// neville sets a ← (x_a b − x_b a)/(x_a − x_b) for every kernel.
func neville(a, b *arch.StaticNet, xa, xb float64) {
	mix := func(u, v *mat.SymDense) {
		for i := range u.SymmetricDim() {
			for j := i; j < u.SymmetricDim(); j++ {
				u.SetSym(i, j, (xa*v.At(i, j)-xb*u.At(i, j))/(xa-xb))
			}
		}
	}
	mix(a.NTK, b.NTK)
	for _, l := range [][2][]*mat.SymDense{{a.H, b.H}, {a.Phi, b.Phi}, {a.G, b.G}} {
		for i := range l[0] {
			mix(l[0][i], l[1][i])
		}
	}
}

var errInfinite = errors.New("dmft: a network of infinite depth cannot be trained explicitly; give the finite networks a depth")
