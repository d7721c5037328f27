package fluctuation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// Settings are the numerical parameters. Zero values mean the defaults named here.
type Settings struct {
	Samples int    // sites in all, 4000
	Blocks  int    // independent blocks they are split into; chosen from Samples and the data
	Seed    uint64 // of the sites
	// Nodes, if positive, replaces samples by a Gauss–Hermite rule of so many nodes in each Gaussian direction of a
	// site: for few points. There are no error bars then, and no sampling errors for linear networks from three nodes
	// on.
	Nodes int
	// Step is the size of the perturbations whose effects are measured, in standard deviations of a network of width
	// one: a width of Step⁻² has fluctuations of this size. 0 is 1e-3 for smooth activations and 0.2 for those with a
	// kink, which enough sites must cross.
	Step float64
	// Tolerance is the mean square, relative to the largest, below which a direction of the sites' noise is dropped; 0
	// is 1e-6. What is dropped is not forgotten as f is learned: it stays in N Var f, as the tolerance times a number
	// of order one, and so counts for more late in training, when the variance has fallen to a small part of its
	// largest value.
	Tolerance float64
	// Kernels and Covariance are at how many times, evenly spaced from first to last, fluctuations of kernels and
	// covariances of predictions between times are kept.
	Kernels, Covariance int
	Memory              int64                   // bytes that must not be exceeded; 0 is no limit
	Workers             int                     // blocks at a time; 0 is GOMAXPROCS. Results do not depend on it
	Progress            func(done, total int64) // called now and then, from any goroutine
}

const (
	defaultSamples = 4000
	blockSites     = 500
	leastBlocks    = 4
	smoothStep     = 1e-3
	kinkStep       = 0.2
)

// block is what one block of sites gives. Matrices over outputs and points are c × points; kernels of one time follow
// each other.
type block struct {
	f, fVar, fBias               []float64 // T × c·P
	test, testVar, testBias      []float64
	lossVar, lossBias            []float64 // T
	testLossVar, testLossBias    []float64
	ntkVar, ntkBias              []float64 // K × (cP)²
	phiVar, phiBias, gVar, gBias []float64
	directions                   int
	kurtosis                     []float64   // P
	response                     [][]float64 // by kept time: direction × c·P
	covariance                   []float64   // (J·cP)²
}

// TwoLayer predicts the fluctuations of a two-layer network in training, at any richness; see the package
// documentation.
func TwoLayer(ctx context.Context, p *dmft.Problem, set Settings) (*Result, error) {
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if p.Network.Blocks != nil {
		return nil, errBlocks
	}
	if p.Network.Depth != 1 {
		return nil, fmt.Errorf("fluctuation: the network has depth %d; fluctuations in training are known for one "+
			"hidden layer, and for deeper networks in the lazy limit (Lazy)", p.Network.Depth)
	}
	if set.Samples < 0 || set.Blocks < 0 || set.Nodes < 0 || !(set.Step >= 0) || !(set.Tolerance >= 0) {
		return nil, errors.New("fluctuation: settings must not be negative")
	}
	step := smoothStep
	if p.Network.Activation.Kinks() != nil {
		step = kinkStep
	}
	if set.Step == 0 {
		set.Step = step
	}
	if set.Tolerance == 0 {
		set.Tolerance = 1e-6
	}
	gram := p.Gram()
	factor, err := gaussian.NewFactor(gram.SymmetricDim(), gram.At)
	if err != nil {
		return nil, fmt.Errorf("fluctuation: Gram matrix of the inputs: %w", err)
	}
	np, _ := p.Data.Inputs.Dims()
	_, c := p.Data.Targets.Dims()
	pt := gram.SymmetricDim() - np
	copies, blocks, sites := set.twoLayer(p, factor.Rank, c)
	var rule noise
	if set.Nodes > 0 {
		if rule, err = tensor(set.Nodes, factor.Rank+c); err != nil {
			return nil, err
		}
		blocks, sites = 1, len(rule.weight)
	}
	steps := p.Training.Steps
	t := steps + 1
	out := &Result{Time: p.Times(), Sites: sites, Blocks: blocks, KernelStep: evenly(set.Kernels, t),
		CovarianceStep: evenly(set.Covariance, t)}
	for _, s := range out.KernelStep {
		out.KernelTime = append(out.KernelTime, out.Time[s])
	}
	if n := int64(len(out.CovarianceStep) * c * np); n > 20000 {
		return nil, fmt.Errorf("fluctuation: a covariance of %d predictions and times is too large; ask for fewer times", n)
	}
	if bytes := particleBytes(p, set, sites, blocks); set.Memory > 0 && bytes > set.Memory {
		return nil, memoryError(bytes, set.Memory, "raise the limit, use smaller blocks of sites (theory.blocks) or "+
			"fewer points")
	}
	done, err := runBlocks(ctx, set, blocks, steps, func(b int, _ *ensemble.Watch) (ensemble.Member[*block], error) {
		z := rule
		if set.Nodes == 0 {
			var err error
			if z, err = draw(set.Seed, b, sites, copies, factor.Rank, c); err != nil {
				return nil, err
			}
		}
		return newParticles(p, gram, factor, z, set.Step, set.Tolerance).member(out)
	})
	if err != nil {
		return nil, err
	}
	collect := func(pick func(*block) []float64, shape ...int) Estimate {
		var all [][]float64
		for _, b := range done {
			if x := pick(b); len(x) > 0 {
				all = append(all, x)
			}
		}
		if len(all) == 0 {
			return Estimate{}
		}
		return mean(all, shape...)
	}
	// predictions and kernels come by outputs and then points.
	predictions := func(points int, pick func(*block) []float64) Estimate {
		return collect(func(b *block) []float64 {
			return each(pick(b), c*points, func(dst, src []float64) { byPoint(dst, src, c) })
		}, outputShape(c, t, points)...)
	}
	square := func(c int, lead []int, pick func(*block) []float64) Estimate {
		shape := append(outputShape(c, append(lead, np)...), outputShape(c, np)...)
		return collect(func(b *block) []float64 {
			return each(pick(b), c*np*c*np, func(dst, src []float64) { byPoints(dst, src, np, c) })
		}, shape...)
	}
	out.F = predictions(np, func(b *block) []float64 { return b.f })
	out.FVariance = predictions(np, func(b *block) []float64 { return b.fVar })
	out.MeanVariance = collect(func(b *block) []float64 { return averages(b.fVar, c*np) }, t)
	out.FBias = predictions(np, func(b *block) []float64 { return b.fBias })
	out.LossVariance = collect(func(b *block) []float64 { return b.lossVar }, t)
	out.LossBias = collect(func(b *block) []float64 { return b.lossBias }, t)
	if pt > 0 {
		out.FTestVariance = predictions(pt, func(b *block) []float64 { return b.testVar })
		out.MeanTestVariance = collect(func(b *block) []float64 { return averages(b.testVar, c*pt) }, t)
		out.FTestBias = predictions(pt, func(b *block) []float64 { return b.testBias })
		out.TestLossVariance = collect(func(b *block) []float64 { return b.testLossVar }, t)
		out.TestLossBias = collect(func(b *block) []float64 { return b.testLossBias }, t)
	}
	if k := len(out.KernelStep); k > 0 {
		out.NTKVariance = square(c, []int{k}, func(b *block) []float64 { return b.ntkVar })
		out.MeanNTKVariance = collect(func(b *block) []float64 { return averages(b.ntkVar, c*np*c*np) }, k)
		out.NTKBias = square(c, []int{k}, func(b *block) []float64 { return b.ntkBias })
		out.PhiVariance = square(1, []int{k, 1}, func(b *block) []float64 { return b.phiVar })
		out.PhiBias = square(1, []int{k, 1}, func(b *block) []float64 { return b.phiBias })
		out.GVariance = square(c, []int{k, 1}, func(b *block) []float64 { return b.gVar })
		out.GBias = square(c, []int{k, 1}, func(b *block) []float64 { return b.gBias })
	}
	if j := len(out.CovarianceStep); j > 0 {
		shape := append(outputShape(c, j, np), outputShape(c, j, np)...)
		out.FCovariance = collect(func(b *block) []float64 { return b.covariance }, shape...)
	}
	out.Kurtosis = collect(func(b *block) []float64 { return b.kurtosis }, np)
	for _, b := range done {
		out.Directions = max(out.Directions, b.directions)
	}
	return out, nil
}

// kurtosis is 3⟨(φ² − Φ)²⟩/Φ² at the start.
func (s *particles) kurtosis() []float64 {
	s.fields(0, 0)
	out := make([]float64, s.np)
	for m := range out {
		two, four := 0., 0.
		for i, w := range s.weight {
			x := s.phi.Row(i)[m]
			two += w * x * x
			four += w * x * x * x * x
		}
		out[m] = 3 * (four/(two*two) - 1)
	}
	return out
}

func memoryError(bytes, limit int64, advice string) error {
	return &dmft.StopError{Status: dmft.Status{Code: dmft.MemoryLimit,
		Quantity: fmt.Sprintf("fluctuations need about %d MiB and the limit is %d MiB", bytes>>20, limit>>20),
		Advice:   advice}}
}

// twoLayer returns the number of copies of a site with other signs, of blocks and of sites in each, for fields of the
// given rank and c outputs.
func (set Settings) twoLayer(p *dmft.Problem, rank, c int) (copies, blocks, sites int) {
	copies = 4 // by the signs of h and w
	if p.Network.Activation.Odd() {
		copies = 2
	}
	if set.Samples == 0 {
		set.Samples = defaultSamples
	}
	if blocks = set.Blocks; blocks == 0 {
		blocks = max(set.Samples/max(blockSites, copies*(3*max(rank, c)/2+2)), leastBlocks)
	}
	return copies, blocks, max((set.Samples/blocks+copies-1)/copies, 2) * copies
}

// guessDirections is about how many directions the noise of the sites of a block has: five to ten for each prediction.
func guessDirections(p *dmft.Problem, sites int) int {
	np, c := p.Data.Targets.Dims()
	return min(10*np*c+10, sites-1)
}

// particleBytes is about how much memory the blocks under way need.
func particleBytes(p *dmft.Problem, set Settings, sites, blocks int) int64 {
	np, c := p.Data.Targets.Dims()
	regs := p.Training.Method.Registers()
	return 16 * int64(sites) * int64(np+c) * int64(guessDirections(p, sites)) * int64(regs+
		1) * int64(set.runner().Parallel(blocks))
}

// Cost is about how many floating-point operations and how much memory a prediction will take; see [TwoLayer] and
// [Lazy].
func Cost(p *dmft.Problem, set Settings, lazy bool) (flops float64, bytes int64) {
	p = p.WithDefaults()
	if p.Validate() != nil {
		return 0, 0
	}
	np, c := p.Data.Targets.Dims()
	_, rank := p.Data.Inputs.Dims()
	all := np
	if p.Data.TestInputs != nil {
		pt, _ := p.Data.TestInputs.Dims()
		all += pt
	}
	steps, pc, allc := float64(p.Training.Steps+1), float64(np*c), float64(all*c)
	if lazy {
		blocks, sites := set.plan()
		n := float64(blocks * sites)
		return n * (2*steps*2*pc*allc + 60*float64(p.Network.Depth)*float64(np*all*c*c)),
			startBytes(p) + int64(8*sites)*int64(pc*allc)*int64(set.runner().Parallel(blocks))
	}
	_, blocks, sites := set.twoLayer(p, min(rank, all), c)
	copies := 2 * float64(guessDirections(p, sites))
	n := float64(blocks*sites) * copies
	return n * (steps*(2*float64(np*all)+60*float64(all)) + float64(set.Kernels)*5*(float64(np*np)+pc*pc)),
		particleBytes(p, set, sites, blocks)
}

// each applies f to pieces of n elements.
func each(x []float64, n int, f func(dst, src []float64)) []float64 {
	out := make([]float64, len(x))
	for i := 0; i < len(x); i += n {
		f(out[i:i+n], x[i:i+n])
	}
	return out
}

// member trains the particles of a block and keeps the fluctuations of every step.
func (s *particles) member(r *Result) (*member, error) {
	m, err := newMember(s.p, s)
	if err != nil {
		return nil, err
	}
	b := &block{}
	m.predictions = func() []float64 { return s.f[0] }
	m.record = func(n int) {
		if n == 0 {
			b.kurtosis = s.kurtosis()
		}
		s.record(b, n, r)
	}
	m.result = func() *block {
		b.directions = s.q.Rows
		b.covariance = s.covariance(b.response)
		b.response = nil
		return b
	}
	return m, nil
}

// record keeps the fluctuations at one step; the last Eval was of register 0 there.
func (s *particles) record(b *block, step int, r *Result) {
	n := s.c * s.np
	total := la.New[float64](len(s.v), n) // response of the predictions to each direction
	bias := make([]float64, n)
	for k := range s.v {
		up, down := s.f[3+2*k], s.f[4+2*k]
		for m := range n {
			total.Row(k)[m] = (up[m] - down[m]) / (2 * s.step)
			bias[m] += (up[m] + down[m] - 2*s.f[0][m]) / (2 * s.step * s.step)
		}
	}
	for m := range n {
		bias[m] += (s.f[1][m] - s.f[2][m]) / (2 * s.step)
	}
	residual := func(c, d, m int) float64 {
		if c != d {
			return 0 // of the size of the tolerance
		}
		return s.own[c*s.np+m]
	}
	variance, lossVar, lossBias := s.predictions(false, s.f[0], total, residual, bias)
	b.f, b.fVar, b.fBias = append(b.f, s.f[0]...), append(b.fVar, variance...), append(b.fBias, bias...)
	b.lossVar, b.lossBias = append(b.lossVar, lossVar), append(b.lossBias, lossBias)
	if slices.Contains(r.CovarianceStep, step) {
		b.response = append(b.response, total.Data)
	}
	if s.pt > 0 {
		s.recordTest(b)
	}
	if slices.Contains(r.KernelStep, step) {
		s.recordKernels(b)
	}
}

// predictions returns variances of predictions, and variance and mean correction of their loss. Covariances at one
// point are residual(c, d, point) + Σ_k total_k total_k.
func (s *particles) predictions(test bool, f []float64, total la.Mat[float64], residual func(c, d, m int) float64,
	bias []float64) (variance []float64, lossVar, lossBias float64) {
	n := len(f)
	points := n / s.c
	variance = make([]float64, n)
	delta, up, down := make([]float64, n), make([]float64, n), make([]float64, n)
	s.obj.Loss(test, f, delta)
	for k := range total.Rows {
		u := 0.
		for m, v := range total.Row(k) {
			u += delta[m] * v
			variance[m] += v * v
		}
		lossVar += u * u
	}
	for c := range s.c {
		for m := range points {
			variance[c*points+m] += residual(c, c, m)
		}
	}
	for m, d := range delta {
		lossBias -= d * bias[m]
	}
	// ½ Σ H Cov, with the second derivatives H = −∂Δ/∂f of a loss that is a sum over points.
	const h = 1e-4
	shifted := clone(f)
	for c := range s.c {
		for sign, dst := range [2][]float64{up, down} {
			for m := range points {
				shifted[c*points+m] = f[c*points+m] + h*float64(1-2*sign)
			}
			s.obj.Loss(test, shifted, dst)
		}
		copy(shifted, f)
		for d := range s.c {
			for m := range points {
				cov := residual(c, d, m)
				for k := range total.Rows {
					cov += total.Row(k)[c*points+m] * total.Row(k)[d*points+m]
				}
				lossBias -= cov * (up[d*points+m] - down[d*points+m]) / (4 * h)
			}
		}
	}
	return variance, lossVar, lossBias
}

// recordTest is record for the test points, whose noise moves nothing.
func (s *particles) recordTest(b *block) {
	n := s.c * s.pt
	base := s.regs[0].copies[0]
	phi := s.testFields(0, 0)
	mean := make([]float64, n)
	s.average(mean, s.weight, phi, s.readout(base), s.t0)
	own := la.New[float64](s.sites(), n)
	s.outputs(own, phi, s.readout(base))
	s.noise(own, s.t0, mean)
	v := la.New[float64](s.q.Rows, n)
	if s.q.Rows > 0 {
		la.Gemm(la.N, la.N, 1, s.wq, own, 0, v)
		la.Gemm(la.T, la.N, -1, s.q, v, 1, own)
	}
	cov := make([]float64, s.c*s.c*s.pt)
	for i, wt := range s.weight {
		row := own.Row(i)
		for c := range s.c {
			for d := range s.c {
				for m := range s.pt {
					cov[(c*s.c+d)*s.pt+m] += wt * row[c*s.pt+m] * row[d*s.pt+m]
				}
			}
		}
	}
	bias, x := make([]float64, n), make([]float64, n)
	for k := range s.v {
		for m := range n {
			bias[m] -= mean[m] / (s.step * s.step)
		}
		for sign := range 2 {
			step := s.step * float64(1-2*sign)
			at := s.regs[0].copies[3+2*k+sign]
			phi := s.testFields(0, 3+2*k+sign)
			s.average(x, s.weight, phi, s.readout(at), s.t0)
			la.Axpy(1/(2*step), x, v.Row(k))
			la.Axpy(1/(2*s.step*s.step), x, bias)
			s.average(x, s.wq.Row(k), phi, s.readout(at), s.t0)
			la.Axpy(1/(2*step), x, bias)
		}
	}
	for sign := range 2 {
		phi := s.testFields(0, 1+sign)
		s.average(x, s.weight, phi, s.readout(s.regs[0].copies[1+sign]), s.t0)
		la.Axpy(1/(2*s.step*float64(1-2*sign)), x, bias)
	}
	variance, lossVar, lossBias := s.predictions(true, mean, v,
		func(c, d, m int) float64 { return cov[(c*s.c+d)*s.pt+m] }, bias)
	b.test, b.testVar, b.testBias = append(b.test, mean...), append(b.testVar, variance...), append(b.testBias, bias...)
	// The part of the noise outside the directions counts in the variance of a loss, too.
	delta := make([]float64, n)
	s.obj.Loss(true, mean, delta)
	for i, wt := range s.weight {
		u := 0.
		for m, d := range delta {
			u += d * own.Row(i)[m]
		}
		lossVar += wt * u * u
	}
	b.testLossVar, b.testLossBias = append(b.testLossVar, lossVar), append(b.testLossBias, lossBias)
}

// products are averages over sites of the products that kernels are made of: φφ, then gg over outputs.
type products struct{ phi, g []float64 }

// averages are the kernels of copy k in averages with each of the weights.
func (s *particles) averages(k int, weights ...[]float64) (out [][]float64) {
	phi, g := s.kernelFields(k)
	for _, w := range weights {
		out = append(out, s.kernels(products{s.product(phi, phi, w), s.product(g, g, w)}))
	}
	return out
}

// kernelFields are φ and g = wφ′ of a copy at the training points; the next call reuses them.
func (s *particles) kernelFields(k int) (phi, g la.Mat[float64]) {
	s.fields(0, k)
	g = s.g
	w := s.readout(s.regs[0].copies[k])
	for i := range g.Rows {
		row, d := g.Row(i), s.d.Row(i)
		for c, v := range w.Row(i) {
			for m, x := range d {
				row[c*s.np+m] = v * x
			}
		}
	}
	return s.phi, g
}

// product is xᵀ diag(weight) y.
func (s *particles) product(x, y la.Mat[float64], weight []float64) []float64 {
	wy := la.Mat[float64]{Rows: y.Rows, Cols: y.Cols, Stride: y.Cols, Data: s.wy.Data[:y.Rows*y.Cols]}
	for i, v := range weight {
		row := wy.Row(i)
		for j, x := range y.Row(i) {
			row[j] = v * x
		}
	}
	out := la.New[float64](x.Cols, y.Cols)
	la.Gemm(la.T, la.N, 1, x, wy, 0, out)
	return out.Data
}

// kernels are Φ, G and the NTK, one behind the other.
func (s *particles) kernels(m products) []float64 {
	n := s.c * s.np
	out := append(clone(m.phi), m.g...)
	for a := range n {
		for b := range n {
			v := s.rates.Input * s.kx.Row(a % s.np)[b%s.np] * m.g[a*n+b]
			if a/s.np == b/s.np {
				v += s.rates.Readout * m.phi[a%s.np*s.np+b%s.np]
			}
			out = append(out, v)
		}
	}
	return out
}

// recordKernels is record for the kernels, elementwise.
func (s *particles) recordKernels(b *block) {
	n := s.c * s.np
	phi, g := s.kernelFields(0)
	base := s.kernels(products{s.product(phi, phi, s.weight), s.product(g, g, s.weight)})
	// Mean squares of single sites' products are products of squares.
	cross := la.New[float64](g.Rows, n)
	phi2, g2 := la.New[float64](g.Rows, s.np), la.New[float64](g.Rows, n)
	for i := range g.Rows {
		f := phi.Row(i)
		for m, x := range f {
			phi2.Row(i)[m] = x * x
		}
		for a, x := range g.Row(i) {
			g2.Row(i)[a], cross.Row(i)[a] = x*x, x*f[a%s.np]
		}
	}
	pp, gg, pg := s.product(phi2, phi2, s.weight), s.product(g2, g2, s.weight), s.product(cross, cross, s.weight)
	variance := append(clone(pp), gg...)
	for a := range n {
		for c := range n {
			kx := s.rates.Input * s.kx.Row(a % s.np)[c%s.np]
			v := kx * kx * gg[a*n+c]
			if a/s.np == c/s.np {
				v += s.rates.Readout*s.rates.Readout*pp[a%s.np*s.np+c%s.np] + 2*s.rates.Readout*kx*pg[a*n+c]
			}
			variance = append(variance, v)
		}
	}
	for i, v := range base {
		variance[i] -= v * v
	}
	bias := make([]float64, len(base))
	for k := range s.v {
		own := s.averages(0, s.wq.Row(k))[0]
		up, down := s.averages(3+2*k, s.weight, s.wq.Row(k)), s.averages(4+2*k, s.weight, s.wq.Row(k))
		for i, v := range own {
			total := v + (up[0][i]-down[0][i])/(2*s.step)
			variance[i] += total*total - v*v
			bias[i] += (up[0][i]+down[0][i]-2*base[i])/(2*s.step*s.step) + (up[1][i]-down[1][i])/(2*s.step)
		}
	}
	up, down := s.averages(1, s.weight)[0], s.averages(2, s.weight)[0]
	for i := range bias {
		bias[i] += (up[i] - down[i]) / (2 * s.step)
	}
	p2, n2 := s.np*s.np, n*n
	b.phiVar, b.gVar, b.ntkVar = append(b.phiVar, variance[:p2]...), append(b.gVar, variance[p2:p2+n2]...),
		append(b.ntkVar, variance[p2+n2:]...)
	b.phiBias, b.gBias, b.ntkBias = append(b.phiBias, bias[:p2]...), append(b.gBias, bias[p2:p2+n2]...),
		append(b.ntkBias, bias[p2+n2:]...)
}

// covariance is Σ_k of the responses at all pairs of kept times, by points and outputs.
func (s *particles) covariance(response [][]float64) []float64 {
	n := s.c * s.np
	size := len(response) * n
	all := mat.NewDense(max(s.q.Rows, 1), max(size, 1), nil)
	for j, r := range response {
		for k := range len(r) / n { // directions born later do not move this time
			byPoint(all.RawRowView(k)[j*n:(j+1)*n], r[k*n:(k+1)*n], s.c)
		}
	}
	if size == 0 {
		return nil
	}
	var out mat.Dense
	out.Mul(all.T(), all)
	return out.RawMatrix().Data
}
