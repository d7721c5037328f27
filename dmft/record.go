package dmft

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// kernelScratch computes the kernels of the replicas of a network at its present state, for which the gradients of
// every output must be at hand.
type kernelScratch[T la.Float] struct {
	nw       *network[T]
	features [][]float64 // Φ of nw.Features, P×P
	grads    [][]float64 // G of nw.Gradients, PC×PC
	out      []float64
	buf      la.Mat[T]
}

func newKernelScratch[T la.Float](nw *network[T]) *kernelScratch[T] {
	p, pc, l := nw.pts.Train, nw.pts.Train*nw.pts.outputs, len(nw.Hidden)
	k := &kernelScratch[T]{nw: nw, buf: la.New[T](p, p), out: make([]float64, pc*pc+l*(p*p+pc*pc)),
		features: make([][]float64, len(nw.Features)), grads: make([][]float64, len(nw.Gradients))}
	phi, g := k.out[pc*pc:pc*pc+l*p*p], k.out[pc*pc+l*p*p:]
	for i, h := range nw.Hidden { // recorded kernels are made where they are returned
		k.features[h.Feature], k.grads[h.Gradient] = phi[i*p*p:(i+1)*p*p], g[i*pc*pc:(i+1)*pc*pc]
	}
	for i := range k.features {
		if k.features[i] == nil {
			k.features[i] = make([]float64, p*p)
		}
	}
	for i := range k.grads {
		if k.grads[i] == nil {
			k.grads[i] = make([]float64, pc*pc)
		}
	}
	return k
}

// of returns NTK, Φ¹…Φ^L, G¹…G^L of replica r; element ((μ,c),(ν,c')) of a kernel over outputs is at (μC+c)·PC + νC+c'.
// The slice is reused by the next call.
func (k *kernelScratch[T]) of(r int) []float64 {
	nw := k.nw
	p, c := nw.pts.Train, nw.pts.outputs
	pc := p * c
	for i, f := range nw.Features {
		if nw.halted() {
			return k.out
		}
		v := nw.train(rows(f.Value, f, r))
		la.Gemm(la.T, la.N, T(1/float64(f.N)), v, v, 0, k.buf)
		phi := k.features[i]
		for m := range p { // the products of (m, n) and (n, m) may round differently
			for n := m; n < p; n++ {
				v := float64(k.buf.Data[m*p+n])
				phi[m*p+n], phi[n*p+m] = v, v
			}
		}
	}
	for i, f := range nw.Gradients {
		g := k.grads[i]
		for a := range c {
			for b := a; b < c; b++ {
				la.Gemm(la.T, la.N, T(1/float64(f.N)), nw.train(rows(f.Grad(1+a), f, r)), nw.train(rows(f.Grad(1+b), f, r)), 0, k.buf)
				for m := range p {
					first := 0
					if a == b {
						first = m
					}
					for n := first; n < p; n++ {
						v := float64(k.buf.Data[m*p+n])
						g[(m*c+a)*pc+n*c+b] = v
						g[(n*c+b)*pc+m*c+a] = v
					}
				}
			}
		}
	}
	gram := nw.pts.Gram()
	for m := range p {
		for n := range p {
			kx := gram.At(m, n)
			for a := range c {
				for b := range c {
					i := (m*c+a)*pc + n*c + b
					v := 0.
					for _, t := range nw.Tangents {
						x := kx
						if t.Feature != arch.InputGram {
							x = k.features[t.Feature][m*p+n] + t.Bias
						}
						switch {
						case t.Gradient != arch.Unit:
							v += arch.Assemble(t.Scale, k.grads[t.Gradient][i], x)
						case a == b:
							v += arch.Assemble(t.Scale, 1, x)
						}
					}
					k.out[i] = v
				}
			}
		}
	}
	return k.out
}

// collect makes the Trajectory of finished parts.
func (j *job[T]) collect() *Trajectory {
	parts := j.parts
	p, pt, c, l := j.pts.Train, j.pts.All-j.pts.Train, j.pts.outputs, j.p.Network.Depth
	steps := j.p.Training.Steps
	t, all, reps := len(j.kept), j.pts.All, j.Replicas
	tr := &Trajectory{Width: j.Width, Replicas: reps, Status: Status{Code: Finished, Step: steps}}
	tr.Time = times(j.p, j.kept)
	tr.FReplicas, tr.LossReplicas = NewArray(outputShape(c, reps, t, p)...), NewArray(reps, t)
	test := NewArray(reps, t)
	if pt > 0 {
		tr.FTestReplicas = NewArray(outputShape(c, reps, t, pt)...)
	}
	norm := make([]float64, t)
	cols := min(p, preactColumns)
	if j.preSite > 0 {
		tr.Preactivations = NewArray(2, l, j.preSite*reps, cols)
	}
	r := 0
	for _, q := range parts {
		n := len(q.Loss) / t
		for i := range n {
			copy(tr.LossReplicas.At(r+i).Data, q.Loss[i*t:(i+1)*t])
			copy(test.At(r+i).Data, q.Test[i*t:(i+1)*t])
			for s := range t {
				norm[s] += q.Norm[i*t+s] / float64(reps)
				src := q.F[(i*t+s)*all*c : (i*t+s+1)*all*c]
				copy(tr.FReplicas.At(r+i).At(s).Data, src[:p*c])
				if pt > 0 {
					copy(tr.FTestReplicas.At(r+i).At(s).Data, src[p*c:])
				}
			}
		}
		q.F = nil
		if j.preSite > 0 {
			w := n * j.preSite * cols
			for which := range 2 {
				for layer := range l {
					dst := tr.Preactivations.At(which).At(layer).Data[r*j.preSite*cols:]
					copy(dst[:w], q.Pre[(which*l+layer)*w:])
				}
			}
		}
		for l, k := range q.Ranks {
			if l == len(tr.Diagnostics.Ranks) {
				tr.Diagnostics.Ranks = append(tr.Diagnostics.Ranks, k)
			}
			r := &tr.Diagnostics.Ranks[l]
			r[0], r[1] = max(r[0], k[0]), max(r[1], k[1])
		}
		tr.Diagnostics.Dropped = max(tr.Diagnostics.Dropped, q.Dropped)
		tr.Diagnostics.Steps += q.Stats.Steps
		tr.Diagnostics.Rejected += q.Stats.Rejected
		tr.Diagnostics.Evaluations += q.Stats.Evals
		if q.Bad != nil && q.Bad.Sooner(tr.Status) {
			tr.Status = *q.Bad
		}
		r += n
	}
	tr.ReadoutNorm = norm
	tr.Diagnostics.Space = j.pts.Space
	tr.Diagnostics.Lambda = parts[0].Lambda
	if math.IsNaN(tr.Diagnostics.Lambda) || math.IsInf(tr.Diagnostics.Lambda, 0) {
		tr.Diagnostics.Lambda = 0
	}
	fm, fs := meanStderr(tr.FReplicas)
	tr.F = Array{Shape: outputShape(c, t, p), Data: fm}
	tr.FStderr = Array{Shape: outputShape(c, t, p), Data: fs}
	if pt > 0 {
		fm, fs := meanStderr(tr.FTestReplicas)
		tr.FTest = Array{Shape: outputShape(c, t, pt), Data: fm}
		tr.FTestStderr = Array{Shape: outputShape(c, t, pt), Data: fs}
	}
	if j.MeanField {
		tr.Loss, tr.LossStderr = lossOfMean(j.pts.y, tr.FReplicas, tr.F)
		if pt > 0 {
			tr.TestLoss, tr.TestLossStderr = lossOfMean(j.pts.yt, tr.FTestReplicas, tr.FTest)
		}
	} else {
		tr.Loss, tr.LossStderr = meanStderr(tr.LossReplicas)
		if pt > 0 {
			tr.TestLoss, tr.TestLossStderr = meanStderr(test)
		}
	}
	j.p.classify(tr, j.MeanField)
	j.collectKernels(tr)
	j.collectTwoTime(tr)
	tr.judge(j.kept)
	if tr.Status.Early() {
		if tr.Status.Code != Interrupted && tr.Status.Code != Stopped && tr.Status.Advice == "" {
			tr.Status.Advice = j.diagnose(parts[0].Lambda)
		}
		tr.truncate(j.kept, tr.Status.Step)
	}
	return tr
}

func (j *job[T]) collectKernels(tr *Trajectory) {
	stats := j.stats
	if len(stats) == 0 {
		return
	}
	p, c, l, n := j.pts.Train, j.pts.outputs, j.p.Network.Depth, len(stats)
	pc := p * c
	if pc <= summaryRows {
		align, move := NewArray(j.Replicas, n), NewArray(j.Replicas, n)
		r := 0
		for _, q := range j.parts {
			own := len(q.Align) / n
			for i := range own {
				for k := range n {
					align.At(r + i).Data[k], move.At(r + i).Data[k] = q.Align[k*own+i], q.Move[k*own+i]
				}
			}
			r += own
		}
		_, tr.AlignmentStderr = meanStderr(align)
		_, tr.KernelMovementStderr = meanStderr(move)
	}
	j.collectLayers(tr, n)
	if e := evenly(j.Record.NTKReplicas, n); len(e) > 0 {
		q := min(pc, replicaRows)
		tr.NTKReplicas = NewArray(j.Replicas, len(e), q, q)
		r := 0
		for _, pt := range j.parts {
			own := len(pt.Each) / (len(e) * q * q)
			copy(tr.NTKReplicas.Data[r*len(e)*q*q:], pt.Each)
			r += own
		}
	}
	tr.KernelStep = j.ksteps
	tr.KernelTime = times(j.p, j.ksteps)
	gs := func(lead ...int) []int { return append(outputShape(c, append(lead, p)...), outputShape(c, p)...) }
	tr.NTK, tr.NTKStderr = NewArray(gs(n)...), NewArray(gs(n)...)
	tr.Phi, tr.PhiStderr = NewArray(n, l, p, p), NewArray(n, l, p, p)
	tr.G, tr.GStderr = NewArray(gs(n, l)...), NewArray(gs(n, l)...)
	for k, s := range stats {
		if s.N == 0 {
			continue // after the step at which the run stopped
		}
		split := func(dst [3]Array, src []float64, f func(float64) float64) {
			for _, a := range dst {
				d := a.At(k).Data
				for i := range d {
					d[i] = f(src[i])
				}
				src = src[len(d):]
			}
		}
		split([3]Array{tr.NTK, tr.Phi, tr.G}, s.Mean, func(v float64) float64 { return v })
		if s.N > 1 {
			split([3]Array{tr.NTKStderr, tr.PhiStderr, tr.GStderr}, s.M2, func(v float64) float64 {
				return math.Sqrt(v / float64(s.N-1) / float64(s.N))
			})
		}
	}
	tr.summarise(j.pts.y, pc, p)
}

// collectLayers fills the error bars of summaries by layer at n times, when every part has them.
func (j *job[T]) collectLayers(tr *Trajectory, n int) {
	l := j.p.Network.Depth
	all := NewArray(j.Replicas, 3, n, l)
	r := 0
	for _, q := range j.parts {
		own := len(q.Layers) / (n * 3 * l)
		for i := range own {
			for k := range n {
				for s := range 3 {
					copy(all.At(r+i).At(s).At(k).Data, q.Layers[((k*own+i)*3+s)*l:][:l])
				}
			}
		}
		r += own
	}
	if r != j.Replicas {
		return
	}
	_, se := meanStderr(all)
	for s, a := range []*Array{&tr.PhiMovementStderr, &tr.GMovementStderr, &tr.PhiAlignmentStderr} {
		*a = Array{Shape: []int{n, l}, Data: se[s*n*l : (s+1)*n*l]}
	}
}

// Eigenvalues are computed at every kept time when times × rows³ of the NTK are at most spectrumWork, else at the first
// and the last, of at most spectrumSize rows.
const (
	spectrumWork = 4e8
	spectrumSize = 1024
)

// summarise fills alignments, movements and the spectrum from the kernels.
func (tr *Trajectory) summarise(y target, pc, p int) {
	n, l := len(tr.KernelStep), tr.Phi.Shape[1]
	yc, yp := mat.NewDense(pc, 1, y.y), mat.NewDense(p, pc/p, y.y)
	square := func(a Array) *mat.Dense {
		n := int(math.Sqrt(float64(len(a.Data))))
		return mat.NewDense(n, n, a.Data)
	}
	tr.PhiMovement, tr.GMovement, tr.PhiAlignment = NewArray(n, l), NewArray(n, l), NewArray(n, l)
	tr.SpectrumTime, tr.NTKSpectrum = nil, Array{}
	for k := range n {
		ntk := square(tr.NTK.At(k))
		tr.Alignment = append(tr.Alignment, kernels.Alignment(ntk, yc))
		tr.KernelMovement = append(tr.KernelMovement, kernels.Movement(ntk, square(tr.NTK.At(0))))
		for i := range l {
			phi := square(tr.Phi.At(k).At(i))
			tr.PhiMovement.At(k).Data[i] = kernels.Movement(phi, square(tr.Phi.At(0).At(i)))
			tr.GMovement.At(k).Data[i] = kernels.Movement(square(tr.G.At(k).At(i)), square(tr.G.At(0).At(i)))
			tr.PhiAlignment.At(k).Data[i] = kernels.Alignment(phi, yp)
		}
		if all := n*pc*pc*pc <= spectrumWork; all || pc <= spectrumSize && (k == 0 || k == n-1) {
			row := make([]float64, pc)
			spectrum(row, ntk)
			tr.SpectrumTime = append(tr.SpectrumTime, tr.KernelTime[k])
			tr.NTKSpectrum = Array{Shape: []int{len(tr.SpectrumTime), pc}, Data: append(tr.NTKSpectrum.Data, row...)}
		}
	}
}

// spectrum sets dst to the eigenvalues of a symmetric matrix, the largest first; NaN for one that is not finite.
func spectrum(dst []float64, k *mat.Dense) {
	n := len(dst)
	var e mat.EigenSym
	x := append([]float64(nil), k.RawMatrix().Data...)
	scale := la.Moderate(x)
	if !finite(x) || !e.Factorize(mat.NewSymDense(n, x), false) {
		fill(dst, math.NaN())
		return
	}
	for i, v := range e.Values(nil) {
		dst[n-1-i] = scale * v
	}
}

// times are the times of some steps of a problem.
func times(p *Problem, steps []int) []float64 {
	t := make([]float64, len(steps))
	for i, n := range steps {
		t[i] = p.Training.Method.Time(n)
	}
	return t
}

// outputShape appends the axis of outputs unless there is only one.
func outputShape(c int, lead ...int) []int {
	s := append([]int(nil), lead...)
	if c > 1 {
		s = append(s, c)
	}
	return s
}

// LossPseudoValues are the jackknife's pseudo-values B·L(f̄) − (B−1)·L(f̄ without block b) of the training loss of the
// theory's mean prediction, blocks×T. Their mean is the loss without its bias of order 1/B, and their scatter its
// error, as of independent replicas.
func (p *Problem) LossPseudoValues(t *Trajectory) Array {
	np, _, _, c := p.Data.sizes()
	reps := t.FReplicas
	if reps.Empty() {
		reps = Array{Shape: append([]int{1}, t.F.Shape...), Data: t.F.Data}
	}
	y := target{loss: p.Training.Loss, y: flat(p.Data.Targets), p: np, c: c}
	b := reps.Shape[0]
	out := NewArray(b, t.Steps())
	mean, _ := meanStderr(reps)
	without := Array{Shape: t.F.Shape, Data: make([]float64, len(mean))}
	of := func(f []float64) []float64 {
		loss, _ := lossOfMean(y, Array{Shape: append([]int{1}, t.F.Shape...), Data: f}, Array{Shape: t.F.Shape, Data: f})
		return loss
	}
	all := of(mean)
	for i := range b {
		copy(out.At(i).Data, all)
		if b == 1 {
			break
		}
		for q, v := range reps.At(i).Data {
			without.Data[q] = mean[q] + (mean[q]-v)/float64(b-1)
		}
		for s, v := range of(without.Data) {
			out.At(i).Data[s] = float64(b)*all[s] - float64(b-1)*v
		}
	}
	return out
}

// lossOfMean is the loss at the mean prediction and its jackknife standard error over replicas.
func lossOfMean(y target, reps, mean Array) (loss, stderr []float64) {
	r, t := reps.Shape[0], reps.Shape[1]
	n := y.p * y.c
	loss, stderr = make([]float64, t), make([]float64, t)
	f := make([]float64, n)
	at := func(v []float64) float64 { return y.rows(v, f) }
	without := make([]float64, n)
	left := make([]float64, r)
	for s := range t {
		m := mean.At(s).Data
		loss[s] = at(m)
		if r < 2 {
			continue
		}
		avg := 0.
		for i := range r {
			fi := reps.At(i).At(s).Data
			for q := range without {
				without[q] = m[q] + (m[q]-fi[q])/float64(r-1)
			}
			left[i] = at(without)
			avg += left[i] / float64(r)
		}
		v := 0.
		for _, x := range left {
			v += (x - avg) * (x - avg)
		}
		stderr[s] = math.Sqrt(v * float64(r-1) / float64(r))
	}
	return loss, stderr
}
