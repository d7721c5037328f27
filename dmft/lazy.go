package dmft

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// lazyState is the limit γ₀ → 0 of a network, a model linear in its parameters with the static kernel K of
// initialisation: every output k obeys, for any method linear in gradients,
//
//	f = d·q,   ∇d = 0,   ∇q = d·K Δ(f)
//
// with d(0) = 1, q(0) = 0. Without weight decay d stays 1 and q is f. With it, and φ homogeneous of degree one, all L+1
// layers shrink by d and the kernel is d(t)^L d(s)^L K between times t and s.
type lazyState struct {
	p       *Problem
	depth   float64
	k       la.Mat[float64] // All×Train
	y, yt   target
	all, c  int
	regs    [][]float64 // 1 + c·All: d, then q by output
	f       []float64   // c×All
	delta   []float64   // c×Train
	loss    float64
	batches *batcher
}

var _ ode.System = (*lazyState)(nil)

func (s *lazyState) Reserve(n int) {
	for len(s.regs) < n {
		s.regs = append(s.regs, make([]float64, 1+s.c*s.all))
	}
}

func (s *lazyState) Eval(r int, t float64) {
	reg := s.regs[r]
	d := math.Pow(reg[0], s.depth)
	for i := range s.f {
		s.f[i] = d * reg[1+i]
	}
	mask, n := s.batches.at(int(t))
	s.loss = s.y.eval(s.f, s.all, s.delta, mask, n)
	for i := range s.delta {
		s.delta[i] *= d
	}
}

func (s *lazyState) Accumulate(dst int, beta, a float64) {
	reg := s.regs[dst]
	if beta == 0 {
		reg[0] = 0
	} else {
		reg[0] *= beta
	}
	for k := range s.c {
		la.Gemv(la.N, a, s.k, s.delta[k*s.y.p:(k+1)*s.y.p], beta, reg[1+k*s.all:1+(k+1)*s.all])
	}
}

func (s *lazyState) Combine(dst int, c []float64) {
	la.Combine(dst, c, s.regs)
}

func (s *lazyState) ErrorNorm(e, a, b int, atol, rtol float64) float64 {
	return math.Sqrt(arch.ErrorSum(s.regs[e], s.regs[a], s.regs[b], atol, rtol) / float64(len(s.regs[e])))
}

// lazyRun is the static NTK in training.
type lazyRun struct {
	*lazyState
	st  ode.Stepper
	tr  *Trajectory
	run Run
	w   *ensemble.Watch
}

// Observe implements ensemble.Member.
func (s *lazyRun) Observe(n int) (ok bool, err error) {
	tr, np, pt, steps := s.tr, s.y.p, s.yt.p, s.p.Training.Steps
	s.Eval(0, s.p.Training.Method.Time(n))
	if math.IsNaN(s.loss) || math.IsInf(s.loss, 0) || s.loss > 1e200 {
		tr.Status = Status{Code: NotFinite, Step: n - 1, Quantity: fmt.Sprintf("the loss is %g at step %d", s.loss, n)}
		if n == 0 {
			tr.Status.Advice = tooLarge
		}
		return false, nil
	}
	i := s.run.Record.index(n, steps)
	if i < 0 {
		return true, nil
	}
	for k := range s.c {
		for mu := range np {
			tr.F.At(i).Data[mu*s.c+k] = s.f[k*s.all+mu]
		}
		for mu := range pt {
			tr.FTest.At(i).Data[mu*s.c+k] = s.f[k*s.all+np+mu]
		}
	}
	tr.Loss = append(tr.Loss, s.loss)
	if pt > 0 {
		tr.TestLoss = append(tr.TestLoss, s.yt.eval(s.f[np:], s.all, nil, nil, 0))
	}
	tr.ReadoutNorm = append(tr.ReadoutNorm, s.regs[0][0]*s.regs[0][0])
	if s.run.Observe != nil && s.run.Observe(tr.observation(i, n)) && n < steps {
		tr.Status = *stoppedBy(0, n)
		s.w.End(n)
	}
	return true, nil
}

// Step implements ensemble.Member.
func (s *lazyRun) Step(n int) (ok bool, err error) {
	if err := s.st.Step(s.lazyState, n); err != nil {
		s.tr.Status = Status{Code: Diverged, Step: n, Quantity: err.Error()} // which says what to do
		return false, nil
	}
	return true, nil
}

// Result implements ensemble.Member.
func (s *lazyRun) Result(ensemble.Position) *Trajectory { return s.tr }

// solveLazy follows the static NTK. It is deterministic: no sites, no error bars.
func solveLazy(ctx context.Context, p *Problem, set Settings) (*Trajectory, error) {
	m := p.Training.Method
	if m.WeightDecay != 0 && p.Network.Blocks != nil {
		return nil, errors.New("dmft: with weight decay the lazy kernel of a network given by blocks changes in time in a way " +
			"that is not known; use weight_decay 0, a kind of network or the full method")
	}
	if m.WeightDecay != 0 && !p.Network.Activation.Homogeneous() {
		return nil, fmt.Errorf("dmft: with weight decay the lazy kernel of %s changes in time (the preactivations shrink); use the full method, or weight_decay 0, or an activation homogeneous of degree one", p.Network.Activation)
	}
	if m.WeightDecay != 0 && p.Network.Kind == ResNet && p.Network.Depth > 1 {
		return nil, errors.New("dmft: with weight decay the lazy kernel of a residual network changes in time (branches shrink, skips do not); use weight_decay 0 or the full method")
	}
	if m.WeightDecay != 0 && p.Network.Bias > 0 && p.Network.Depth > 1 {
		return nil, errors.New("dmft: with weight decay the lazy kernel of a deep network with biases changes in time (weights of deeper layers shrink its fields more often than biases do); use weight_decay 0 or the full method")
	}
	mem := lazyMemory(p, set.Record)
	if set.Memory > 0 && mem > set.Memory {
		return nil, &StopError{Status{Code: MemoryLimit, Quantity: fmt.Sprintf("the run needs about %s and the limit is %s", bytesText(mem), bytesText(set.Memory)), Advice: "raise the limit or use fewer points"}}
	}
	np, pt, _, c := p.Data.sizes()
	all := np + pt
	joint := kernels.Gram(arch.Stack(p.Data.Inputs, p.Data.TestInputs))
	ker, err := p.staticKernels(set.Method == FrozenFeatures, joint)
	if err != nil {
		return nil, err
	}
	s := &lazyState{p: p, depth: float64(p.Network.Depth), all: all, c: c, k: la.New[float64](all, np),
		y: target{loss: p.Training.Loss, y: flat(p.Data.Targets), p: np, c: c}, yt: target{loss: p.Training.Loss, c: c},
		f: make([]float64, c*all), delta: make([]float64, c*np), batches: newBatcher(p.Training.Batch, np)}
	if pt > 0 {
		s.yt.y, s.yt.p = flat(p.Data.TestTargets), pt
	}
	for i := range all {
		for j := range np {
			s.k.Row(i)[j] = ker.NTK.At(i, j)
		}
	}
	st, err := ode.NewStepper(m, p.Training.Steps)
	if err != nil {
		return nil, fmt.Errorf("dmft: training: %w", err)
	}
	s.Reserve(max(st.Registers(), 1))
	s.regs[0][0] = 1

	steps, kept := p.Training.Steps, set.Record.kept(p)
	t := len(kept)
	tr := &Trajectory{Replicas: 1, Time: times(p, kept), F: NewArray(outputShape(c, t, np)...), Status: Status{Code: Finished, Step: p.Training.Steps}}
	if pt > 0 {
		tr.FTest = NewArray(outputShape(c, t, pt)...)
	}
	r := ensemble.Runner[*Trajectory]{Settings: set.Run.Settings(), Batches: 1, Steps: steps}
	r.Store = nil // it is quick
	r.Start = func(_ context.Context, _ int, w *ensemble.Watch) (ensemble.Member[*Trajectory], error) {
		return &lazyRun{s, st, tr, set.Run, w}, nil
	}
	if _, err := r.Run(ctx); err != nil {
		err := AsStop(err)
		var stop *StopError
		if errors.As(err, &stop) {
			stop.Status.Advice = ""
		}
		return nil, err
	}
	stats := st.Stats()
	tr.Diagnostics = Diagnostics{Steps: stats.Steps, Rejected: stats.Rejected, Evaluations: stats.Evals, MemoryBytes: mem}
	tr.FStderr, tr.LossStderr = NewArray(tr.F.Shape...), make([]float64, t)
	if pt > 0 {
		tr.FTestStderr, tr.TestLossStderr = NewArray(tr.FTest.Shape...), make([]float64, t)
	}
	p.classify(tr, true)
	lazyKernels(p, ker, tr, set.Record.kernelSteps(p), s.y)
	tr.judge(kept)
	if pc := np; pc <= 4096 {
		k := make([]float64, np*np)
		for i := range np {
			copy(k[i*np:], s.k.Row(i))
		}
		if v := largestEigenvalue(k, np); finite([]float64{v}) {
			tr.Diagnostics.Lambda = v
		}
	}
	if tr.Status.Early() {
		if tr.Status.Advice == "" && tr.Status.Code != Stopped {
			j := job[float64]{p: p, pts: &points[float64]{Inputs: &arch.Inputs[float64]{Train: np}}}
			tr.Status.Advice = j.diagnose(tr.Diagnostics.Lambda)
		}
		tr.truncate(kept, tr.Status.Step)
	}
	return tr, tr.Status.Err()
}

// lazyKernels records the static kernels, the same at every kept time.
func lazyKernels(p *Problem, ker *arch.StaticNet, tr *Trajectory, steps []int, y target) {
	if len(steps) == 0 {
		return
	}
	np, _, _, c := p.Data.sizes()
	l, n, pc := len(ker.Phi), len(steps), np*c
	tr.KernelStep = steps
	if p.Network.Depth == InfiniteDepth {
		for i := range l {
			tr.LayerTime = append(tr.LayerTime, float64(i)/float64(l-1))
		}
	}
	gs := func(lead ...int) []int { return append(outputShape(c, append(lead, np)...), outputShape(c, np)...) }
	tr.NTK, tr.Phi, tr.G = NewArray(gs(n)...), NewArray(n, l, np, np), NewArray(gs(n, l)...)
	spread := func(dst []float64, k mat.Symmetric) { // K_μν δ_cc'
		for i := range np {
			for j := range np {
				for a := range c {
					dst[(i*c+a)*pc+j*c+a] = k.At(i, j)
				}
			}
		}
	}
	tr.KernelTime = times(p, steps)
	for k := range steps {
		spread(tr.NTK.At(k).Data, ker.NTK)
		for layer := range l {
			spread(tr.G.At(k).At(layer).Data, ker.G[layer])
			phi := tr.Phi.At(k).At(layer).Data
			for i := range np {
				for j := range np {
					phi[i*np+j] = ker.Phi[layer].At(i, j)
				}
			}
		}
	}
	tr.NTKStderr, tr.PhiStderr, tr.GStderr = NewArray(tr.NTK.Shape...), NewArray(tr.Phi.Shape...), NewArray(tr.G.Shape...)
	tr.summarise(y, pc, np)
}

// lazyMemory is about how many bytes the lazy method uses.
func lazyMemory(p *Problem, r Record) int64 {
	np, pt, _, c := p.Data.sizes()
	all := float64(np + pt)
	l := float64(p.Network.Depth)
	if l == InfiniteDepth {
		l = 600 // the deepest of the ladder
	}
	steps := Record{AutoKernels: true}.kernelTimes(p)
	return la.Bytes(all*all*8*(3*l+3) + all*float64(np)*8 + float64(r.times(p))*all*float64(c)*16 + float64(steps)*float64(kernelBytes(np, c, p.Network.Depth)))
}

// Stability returns the largest eigenvalue of the NTK at the start, in the units of the loss (a mean over samples
// divides by their number), and the largest stable learning rate of the method there, for the squared loss. It returns
// zeros for more than 4096 points, and for adaptive methods no limit, which is zero as well.
func Stability(p *Problem) (lambda, limit float64) {
	p = p.WithDefaults()
	np, _, _, _ := p.Data.sizes()
	if p.Validate() != nil || np > 4096 {
		return 0, 0
	}
	ker, err := p.staticKernels(false, kernels.Gram(p.Data.Inputs))
	if err != nil {
		return 0, 0
	}
	k := make([]float64, np*np)
	for i := range np {
		for j := range np {
			k[i*np+j] = ker.NTK.At(i, j)
		}
	}
	lambda = largestEigenvalue(k, np)
	if math.IsInf(lambda, 0) || math.IsNaN(lambda) {
		return 0, 0
	}
	if p.Training.Loss.Mean {
		lambda /= float64(np)
	}
	if m := p.Training.Method; lambda > 0 && !m.IsAdaptive() {
		limit = m.StabilityLimit(lambda)
	}
	return lambda, limit
}
