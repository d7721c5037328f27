package fluctuation

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// Lazy predicts the fluctuations in training of a network of any depth in the limit γ₀ → 0: those of the static NTK at
// initialisation, and, unless predictions are centred, those of the predictions at the start, of covariance Φ^L/(γ₀²N);
// then what is left out is of relative order γ₀². Mean corrections are not computed. Covariance, Tolerance and Step
// have no meaning here.
func Lazy(ctx context.Context, p *dmft.Problem, set Settings) (*Result, error) {
	p = p.WithDefaults()
	x, err := newChaos(p, set)
	if err != nil {
		return nil, err
	}
	if p.Training.Method.WeightDecay != 0 {
		return nil, errors.New("fluctuation: with weight decay the kernel of the lazy limit is not static; use " +
			"weight_decay 0")
	}
	if _, bytes := Cost(p, set, true); set.Memory > 0 && bytes > set.Memory {
		return nil, memoryError(bytes, set.Memory, "raise the limit, use smaller blocks of sites (theory.blocks) or "+
			"fewer points")
	}
	begin, err := AtStart(ctx, p, set)
	if err != nil {
		return nil, err
	}
	blocks, n := set.plan()
	steps := p.Training.Steps
	t := steps + 1
	out := &Result{Time: p.Times(), Blocks: blocks, Sites: n, Start: begin, Kurtosis: begin.Kurtosis,
		KernelStep: evenly(set.Kernels, t)}
	done, err := runBlocks(ctx, set, blocks, steps, func(b int, _ *ensemble.Watch) (ensemble.Member[*block], error) {
		z, err := x.sites(set, b, n)
		if err != nil {
			return nil, err
		}
		return x.member(z)
	})
	if err != nil {
		return nil, err
	}
	c := x.c
	pick := func(points int, f func(*block) []float64) Estimate {
		var all [][]float64
		for _, b := range done {
			if points > 0 {
				all = append(all, each(f(b), c*points, func(dst, src []float64) { byPoint(dst, src, c) }))
			} else {
				all = append(all, f(b))
			}
		}
		if points > 0 {
			return mean(all, outputShape(c, t, points)...)
		}
		return mean(all, t)
	}
	out.F = pick(x.np, func(b *block) []float64 { return b.f })
	out.FVariance = pick(x.np, func(b *block) []float64 { return b.fVar })
	out.MeanVariance = pick(0, func(b *block) []float64 { return averages(b.fVar, c*x.np) })
	out.LossVariance = pick(0, func(b *block) []float64 { return b.lossVar })
	if x.pt > 0 {
		out.FTestVariance = pick(x.pt, func(b *block) []float64 { return b.testVar })
		out.MeanTestVariance = pick(0, func(b *block) []float64 { return averages(b.testVar, c*x.pt) })
		out.TestLossVariance = pick(0, func(b *block) []float64 { return b.testLossVar })
	}
	begin.fill(out, x)
	return out, nil
}

// fill gives every kept time the fluctuations of the start.
func (s *Start) fill(out *Result, x *chaos) {
	k, l := len(out.KernelStep), x.depth
	if k == 0 {
		return
	}
	repeat := func(e Estimate) Estimate {
		r := Estimate{dmft.NewArray(append([]int{k}, e.Value.Shape...)...),
			dmft.NewArray(append([]int{k}, e.Value.Shape...)...)}
		for i := range k {
			copy(r.Value.At(i).Data, e.Value.Data)
			copy(r.Stderr.At(i).Data, e.Stderr.Data)
		}
		return r
	}
	diagonal := func(e Estimate) Estimate { // of the layers
		take := func(a dmft.Array) dmft.Array {
			d := dmft.NewArray(append([]int{l}, a.Shape[2:]...)...)
			for i := range l {
				copy(d.At(i).Data, a.At(i).At(i).Data)
			}
			return d
		}
		return Estimate{take(e.Value), take(e.Stderr)}
	}
	for _, i := range out.KernelStep {
		out.KernelTime = append(out.KernelTime, out.Time[i])
	}
	out.MeanNTKVariance = repeat(s.MeanNTK)
	out.NTKVariance, out.PhiVariance, out.GVariance = repeat(s.NTK), repeat(diagonal(s.Phi)), repeat(diagonal(s.G))
}

// lazyStep is the size of the fluctuation whose effect is measured.
const lazyStep = 1e-4

// swarm follows predictions under kernels K ± step·δK, one pair for each site, and under K from starts ± step·δf: the
// ode.System of the lazy limit.
type swarm struct {
	x     *chaos
	obj   *dmft.Objective
	k     la.Mat[float64] // c·all × c·np, without fluctuation: δ_cc' K
	move  [][]float64     // by site: δK
	start [][]float64     // by copy: what is added to the predictions, or nil
	regs  [][]float64     // copies × c·all
	grad  []float64
	f     []float64 // copies × c·all, with the start
	delta la.Mat[float64]
}

// member follows the lazy limit of all sites of a block.
func (x *chaos) member(z noise) (*member, error) {
	all, c := x.np+x.pt, x.c
	rows, cols := c*all, c*x.np
	s := &swarm{x: x, obj: x.p.Objective(), k: la.New[float64](rows, cols)}
	ker, err := x.p.Start()
	if err != nil {
		return nil, err
	}
	for a := range all {
		for b := range x.np {
			v := ker.NTK.At(a, b)
			for o := range c {
				s.k.Row(o*all + a)[o*x.np+b] = v
			}
		}
	}
	f, one := x.newInfluence(), x.newSite()
	for i := range z.weight {
		x.set(one, z.z.Row(i))
		x.move(f, one)
		m := make([]float64, rows*cols)
		for o, k := range f.k {
			for e, v := range k {
				m[(o/c*all+e/x.np)*cols+o%c*x.np+e%x.np] = v
			}
		}
		s.move = append(s.move, m)
	}
	weight := clone(z.weight)
	s.start = make([][]float64, 1+2*len(s.move))
	if !x.p.Training.Centred {
		factor, err := gaussian.NewFactor(all, ker.Phi[x.depth-1].At)
		if err != nil {
			return nil, fmt.Errorf("fluctuation: %w", err)
		}
		for d := range factor.Rank {
			for o := range c {
				weight = append(weight, 1)
				for sign := range 2 {
					v := make([]float64, rows)
					for a := range all {
						v[o*all+a] = lazyStep * float64(1-2*sign) * factor.F.Row(a)[d] / x.p.Richness
					}
					s.start = append(s.start, v)
				}
			}
		}
	}
	n := len(s.start)
	s.f, s.grad, s.delta = make([]float64, n*rows), make([]float64, n*rows), la.New[float64](n, cols)
	s.regs = [][]float64{make([]float64, n*rows)}
	m, err := newMember(x.p, s)
	if err != nil {
		return nil, err
	}
	b := &block{}
	m.predictions = func() []float64 { return s.f[:rows] }
	m.record = func(int) { s.record(b, weight) }
	m.result = func() *block { return b }
	return m, nil
}

// record keeps the fluctuations at one step.
func (s *swarm) record(b *block, weight []float64) {
	x := s.x
	all, c := x.np+x.pt, x.c
	rows := c * all
	part := func(f []float64, from, to int) []float64 {
		var out []float64
		for o := range c {
			out = append(out, f[o*all+from:o*all+to]...)
		}
		return out
	}
	f := part(s.f[:rows], 0, x.np)
	b.f = append(b.f, f...)
	for test, n := range [2]int{x.np, x.pt} {
		if n == 0 {
			continue
		}
		from, to := test*x.np, test*x.np+n
		variance, delta, lossVar := make([]float64, c*n), make([]float64, c*n), 0.
		s.obj.Loss(test == 1, part(s.f[:rows], from, to), delta)
		for k, w := range weight {
			up, down := part(s.f[(1+2*k)*rows:(2+2*k)*rows], from, to), part(s.f[(2+2*k)*rows:(3+2*k)*rows], from, to)
			u := 0.
			for m := range up {
				v := (up[m] - down[m]) / (2 * lazyStep)
				variance[m] += w * v * v
				u += delta[m] * v
			}
			lossVar += w * u * u
		}
		if test == 0 {
			b.fVar, b.lossVar = append(b.fVar, variance...), append(b.lossVar, lossVar)
		} else {
			b.testVar, b.testLossVar = append(b.testVar, variance...), append(b.testLossVar, lossVar)
		}
	}
}

// Reserve implements ode.System.
func (s *swarm) Reserve(n int) {
	for len(s.regs) < n {
		s.regs = append(s.regs, make([]float64, len(s.regs[0])))
	}
}

// Eval implements ode.System.
func (s *swarm) Eval(r int, t float64) {
	x := s.x
	all, c := x.np+x.pt, x.c
	rows, cols := c*all, c*x.np
	copy(s.f, s.regs[r])
	f := make([]float64, cols)
	for i, v := range s.start {
		fi := s.f[i*rows : (i+1)*rows]
		if v != nil {
			la.Axpy(1, v, fi)
		}
		for o := range c {
			copy(f[o*x.np:(o+1)*x.np], fi[o*all:])
		}
		s.obj.Residuals(int(t), f, s.delta.Row(i))
	}
	la.Gemm(la.N, la.T, 1, s.delta, s.k, 0, la.Mat[float64]{Rows: len(s.start), Cols: rows, Stride: rows, Data: s.grad})
	for k, m := range s.move {
		dk := la.Mat[float64]{Rows: rows, Cols: cols, Stride: cols, Data: m}
		for sign := range 2 {
			i := 1 + 2*k + sign
			la.Gemv(la.N, lazyStep*float64(1-2*sign), dk, s.delta.Row(i), 1, s.grad[i*rows:(i+1)*rows])
		}
	}
}

// Accumulate implements ode.System.
func (s *swarm) Accumulate(dst int, beta, a float64) {
	x := s.regs[dst]
	for i, g := range s.grad {
		if beta == 0 {
			x[i] = a * g
		} else {
			x[i] = beta*x[i] + a*g
		}
	}
}

// Combine implements ode.System.
func (s *swarm) Combine(dst int, c []float64) { la.Combine(dst, c, s.regs) }

// ErrorNorm implements ode.System: that of the predictions without fluctuation.
func (s *swarm) ErrorNorm(e, a, b int, atol, rtol float64) float64 {
	rows, sum := s.k.Rows, 0.
	for i, d := range s.regs[e][:rows] {
		q := d / (atol + rtol*math.Max(math.Abs(s.regs[a][i]), math.Abs(s.regs[b][i])))
		sum += q * q
	}
	return math.Sqrt(sum / float64(rows))
}
