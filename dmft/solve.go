package dmft

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/kernels"
)

// Approximation is a method of solving the theory.
type Approximation string

// The methods.
const (
	Full Approximation = "full" // the infinite-width limit with feature learning
	Lazy Approximation = "lazy" // its limit γ₀ → 0: the static NTK
	// FrozenFeatures trains the readout alone: the static kernel Φ^L (NNGP) of random features.
	FrozenFeatures Approximation = "frozen-features"
	// LeadingOrder is the expansion f₀ + γ₀² f₁ around the lazy limit, f₁ by extrapolation from two small richness
	// values.
	LeadingOrder Approximation = "leading-order"
	// GradientIndependence leaves out the response functions A and B of deep networks, as if forward and backward
	// weights were independent at the start, and lets predictions follow the NTK, df/dt = KΔ (arXiv 2205.09653, section
	// 5). It is exact with one hidden layer and as γ₀ → 0 (to order η in discrete steps), and wrong by tens of per cent
	// beyond.
	GradientIndependence Approximation = "gradient-independence"
)

// Sampling is a way of drawing the sites of the theory.
type Sampling string

// Matched sampling makes sample moments exact (see [Solve]); Plain draws independent normal numbers: a block of S sites
// then has the law of a network of width S.
const (
	Matched Sampling = "matched"
	Plain   Sampling = "plain"
)

// Settings are the numerical parameters of the theory. Zero values mean the defaults named here.
type Settings struct {
	Method  Approximation // Full
	Samples int           // sites in all, 4000; with Error, of the first try
	// Error, if positive, is the standard error of f to reach: the largest over time of the root mean square over
	// training points and outputs. Samples are raised until it is.
	Error float64
	// Depths are extrapolated to a network of InfiniteDepth; nil means 5, 9, 17.
	Depths   []int
	Blocks   int // independent blocks they are split into; chosen from Samples and the data
	Seed     uint64
	Sampling Sampling // Matched
	Space    Space    // the cheaper one
	// Tolerance is the mean square, relative to the largest seen, below which a direction of a hidden layer's fields is
	// dropped; 0 chooses it from Samples, so that what is dropped matters less than the sampling error.
	Tolerance float64
	// Matrix, if it is set, is given every hidden weight matrix of every replica when it is drawn and returns the one
	// to train with: the same, one that wraps it, or another. It is called by several goroutines at once. Of matrices
	// that are not of package gaussian, Diagnostics.Ranks and responses are not known.
	Matrix func(replica int, m arch.Spec, w field.Matrix[float64]) (field.Matrix[float64], error)
	Run

	prefix string // of the names of stored parts
	sites  int    // of a block, when they had to be grown or must match another run
	grown  bool
	last   bool // grown as far as they will be
}

const (
	defaultSamples = 4000
	blockSites     = 500  // sites of a block, unless the data has too many independent fields
	leastBlocks    = 4    // blocks that an error bar needs
	mostSites      = 8000 // sites up to which blocks of deep networks are doubled to fit their noise
)

// Solve computes the infinite-width limit of a Problem: sites ("representative neurons") that see each other only
// through their averages, drawn in independent blocks whose scatter is the error bar. With one hidden layer the limit
// is the Markov system (Bordelon & Pehlevan 2022, arXiv 2205.09653, eqs. 9–10 without A and B, in discrete time)
//
//	h(t+1) = h(t) + ηγ₀ Kx[Δ(t)∘g(t)],  w(t+1) = w(t) + ηγ₀ Σ_μ Δ_μ(t) φ(h_μ(t)),  f = ⟨w φ(h)⟩/γ₀,  g = w φ′(h)
//
// with h(0) ~ N(0, Kx), w(0) ~ N(0, 1), and its analogue for every optimiser. In deep networks the hidden matrices are
// conditioned Gaussian matrices (gaussian.Matrix), which carry the response functions of the theory: one sweep in time,
// linear in the number of steps, no fixed point.
//
// Matched sampling draws sites with first and second moments that are exact in every block (gaussian.Matched), and adds
// to each its partner with h(0) the same and w(0) → −w(0) and, unless φ is odd (when they would be the same neurons
// again), the partners of both with h(0) → −h(0). The pairs make f(0) = 0 exactly for every activation and the block
// exactly even in γ₀, as the limit is: nothing diverges as γ₀ → 0. Deep networks keep the pairs as long as the noise of
// their matrices fits over the distinct sites (package gaussian).
func Solve(ctx context.Context, p *Problem, s Settings) (*Trajectory, error) {
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return nil, err
	}
	switch s.Method {
	case Lazy, FrozenFeatures:
		return solveLazy(ctx, p, s)
	case "", Full, GradientIndependence, LeadingOrder:
	default:
		return nil, fmt.Errorf("dmft: unknown theory method %q; use %s, %s, %s, %s or %s", s.Method, Full, Lazy, FrozenFeatures, LeadingOrder, GradientIndependence)
	}
	if s.Method == GradientIndependence && p.Training.Method.WeightDecay != 0 && (p.Network.Depth == InfiniteDepth || p.Network.matrices() > 0) {
		return nil, errors.New("dmft: gradient independence follows the predictions by the NTK, which weight decay moves in other ways; use weight_decay 0 or another method")
	}
	if s.Observe != nil && (s.Method == LeadingOrder || p.Network.Depth == InfiniteDepth) {
		return nil, errors.New("dmft: an observer is shown one network, and infinite depth and the leading order are " +
			"extrapolated from several; observe those, or solve without")
	}
	switch {
	case s.Error < 0 || math.IsNaN(s.Error):
		return nil, fmt.Errorf("dmft: an error of f of %g to reach; it must be positive, or 0 to use the samples as they are", s.Error)
	case s.Error > 0:
		return solveToError(ctx, p, s)
	case s.Method == LeadingOrder:
		return solveLeadingOrder(ctx, p, s)
	case p.Network.Depth == InfiniteDepth:
		return solveInfinite(ctx, p, s)
	}
	e, d, err := theoryEnsemble(p, s)
	if err != nil {
		return nil, err
	}
	t, err := Train(ctx, p, e)
	// The ranks of deep networks are known only when the blocks have run: blocks that cannot match all noise are grown.
	for errors.Is(err, gaussian.ErrFull) {
		s.sites, s.grown = 2*e.Width, true
		s.last = s.sites >= mostSites
		if e, d, err = theoryEnsemble(p, s); err != nil {
			return nil, err
		}
		t, err = Train(ctx, p, e)
	}
	if t != nil {
		t.Diagnostics.Rank, t.Diagnostics.Matched, t.Diagnostics.Notes = d.Rank, d.Matched, append(t.Diagnostics.Notes, d.Notes...)
	}
	return t, err
}

// solveToError raises the samples until the standard error of f is what was asked for. Errors fall as S^{−1/2}.
func solveToError(ctx context.Context, p *Problem, s Settings) (*Trajectory, error) {
	want := s.Error
	s.Error = 0
	if s.Samples == 0 {
		s.Samples = defaultSamples / 2
	}
	const tries, most = 5, 1 << 26
	var note string
	for try := range tries {
		tr, err := Solve(ctx, p, s)
		if err != nil || tr.Status.Code == Stopped {
			return tr, err
		}
		got := tr.largestError()
		sites := tr.Width * tr.Replicas
		if got == 0 && tr.Replicas < 2 {
			return tr, errors.New("dmft: an error of f can be reached only with two or more blocks")
		}
		if note != "" {
			note += ", "
		}
		note += fmt.Sprintf("%.2g with %d sites", got, sites)
		if got <= want {
			tr.Diagnostics.Samples = sites
			tr.Diagnostics.Notes = append(tr.Diagnostics.Notes, fmt.Sprintf("standard error of f: %.2g asked for; reached %s", want, note))
			return tr, nil
		}
		if d := tr.Diagnostics.Depth; d != nil && d.DepthError > d.SamplingError {
			return tr, fmt.Errorf("dmft: an error of f of %g is out of reach of the depths %v: extrapolation leaves %.2g of it, samples %.2g; use deeper ones", want, d.Depths, d.DepthError, d.SamplingError)
		}
		need := float64(sites) * (got / want) * (got / want) * 1.15
		if try == tries-1 || need > most {
			return tr, fmt.Errorf("dmft: an error of f of %g needs about %.2g sites; it was %s: ask for less accuracy, or set theory.samples", want, need, note)
		}
		s.Samples = int(need)
	}
	panic("unreachable")
}

// largestError is the largest over time of the root mean square standard error of f.
func (tr *Trajectory) largestError() float64 {
	worst := 0.
	for t := range tr.Time {
		s := 0.
		e := tr.FStderr.At(t).Data
		for _, v := range e {
			s += v * v / float64(len(e))
		}
		worst = max(worst, math.Sqrt(s))
	}
	return worst
}

// solveLeadingOrder extrapolates f(γ₀) = f₀ + γ₀² f₁ (f is even in γ₀), block by block. f₀ is the static NTK, which has
// no sampling error, and f₁ comes from two runs at small values a and b. With one hidden layer both have the same sites
// and the difference
//
//	f₁ = (f(b) − f(a))/(b² − a²)
//
// is as smooth as f. In deep networks the runs meet different directions and so different noise; the values are larger
// there, and the next order is removed:
//
//	f₁ = (b²(f(a) − f₀)/a² − a²(f(b) − f₀)/b²)/(b² − a²)
func solveLeadingOrder(ctx context.Context, p *Problem, s Settings) (*Trajectory, error) {
	lazy, err := Solve(ctx, p, Settings{Method: Lazy, Run: Run{Record: s.Record, Memory: s.Memory}})
	if err != nil {
		return nil, fmt.Errorf("dmft: the order zero of the expansion: %w", err)
	}
	linear := p.Network.every(kernels.Activation.Linear)
	shallow := p.Network.Depth != InfiniteDepth && p.Network.matrices() == 0
	a, b := 0.05, 0.1
	if !shallow && !linear {
		a, b = 0.3, 0.6
	}
	s.Method = Full
	progress := s.Progress
	run := func(gamma float64, part int64) (*Trajectory, error) {
		q := *p
		q.Richness = gamma
		if progress != nil {
			s.Progress = func(d, total int64) { progress(part*total+d, 2*total) }
		}
		s.prefix = fmt.Sprintf("richness=%g-", gamma)
		return Solve(ctx, &q, s)
	}
	low, err := run(a, 0)
	if err != nil {
		return low, err
	}
	s.sites, s.last = low.Width, true
	high, err := run(b, 1)
	if err != nil {
		return high, err
	}
	d := b*b - a*a
	wa, wb := b*b/(a*a)/d, -a*a/(b*b)/d
	if shallow {
		wa, wb = -1/d, 1/d
	}
	g2 := p.Richness * p.Richness
	mix := func(low, high, lazy []float64) {
		for i := range low {
			low[i] = g2*(wa*low[i]+wb*high[i]) + (1-g2*(wa+wb))*lazy[i%len(lazy)]
		}
	}
	tr := low
	np, pt, _, c := p.Data.sizes()
	y := target{loss: p.Training.Loss, y: flat(p.Data.Targets), p: np, c: c}
	mix(tr.FReplicas.Data, high.FReplicas.Data, lazy.F.Data)
	tr.F.Data, tr.FStderr.Data = meanStderr(tr.FReplicas)
	tr.Loss, tr.LossStderr = lossOfMean(y, tr.FReplicas, tr.F)
	if pt > 0 {
		mix(tr.FTestReplicas.Data, high.FTestReplicas.Data, lazy.FTest.Data)
		tr.FTest.Data, tr.FTestStderr.Data = meanStderr(tr.FTestReplicas)
		tr.TestLoss, tr.TestLossStderr = lossOfMean(target{loss: p.Training.Loss, y: flat(p.Data.TestTargets), p: pt, c: c}, tr.FTestReplicas, tr.FTest)
	}
	p.classify(tr, true)
	// Losses of blocks and spreads of kernels do not extrapolate.
	tr.NTKReplicas = Array{}
	tr.NTKStderr, tr.PhiStderr, tr.GStderr, tr.Preactivations, tr.LossReplicas, tr.ReadoutNorm = Array{}, Array{}, Array{}, Array{}, Array{}, nil
	tr.Alignment, tr.KernelMovement, tr.AlignmentStderr, tr.KernelMovementStderr = nil, nil, nil, nil
	tr.PhiMovementStderr, tr.GMovementStderr, tr.PhiAlignmentStderr = Array{}, Array{}, Array{}
	if len(tr.Phi.Data) == len(lazy.Phi.Data) && !tr.Phi.Empty() {
		mix(tr.NTK.Data, high.NTK.Data, lazy.NTK.Data)
		mix(tr.Phi.Data, high.Phi.Data, lazy.Phi.Data)
		mix(tr.G.Data, high.G.Data, lazy.G.Data)
		tr.summarise(y, np*c, np)
	} else {
		tr.NTK, tr.Phi, tr.G, tr.KernelStep, tr.KernelTime = Array{}, Array{}, Array{}, nil, nil
		tr.PhiMovement, tr.GMovement, tr.PhiAlignment, tr.NTKSpectrum = Array{}, Array{}, Array{}, Array{}
		tr.SpectrumTime = nil
	}
	tr.Diagnostics.Steps += high.Diagnostics.Steps
	tr.Diagnostics.Evaluations += high.Diagnostics.Evaluations
	tr.Diagnostics.Notes = append(tr.Diagnostics.Notes, fmt.Sprintf("the order γ₀² comes from runs at γ₀ = %g and %g; its error bars grow as γ₀²", a, b))
	return tr, tr.settle(s.Record.kept(p))
}

// Estimate is about how many bytes Solve will use.
func Estimate(p *Problem, s Settings) (int64, error) {
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return 0, err
	}
	if s.Method == Lazy || s.Method == FrozenFeatures {
		return lazyMemory(p, s.Record), nil
	}
	if p.Network.Depth == InfiniteDepth { // one depth at a time, and the results of all
		q := *p
		q.Network.Depth = defaultDepths[len(defaultDepths)-1]
		if len(s.Depths) > 0 {
			q.Network.Depth = s.Depths[len(s.Depths)-1]
		}
		n, err := Estimate(&q, s)
		return n * 3 / 2, err
	}
	e, _, err := theoryEnsemble(p, s)
	if err != nil {
		return 0, err
	}
	return e.MemoryEstimate(p), nil
}

// Sites is how many sites Solve will use and in how many blocks, and what is to be said of them; none for the methods
// that sample nothing. Of infinite depth they are those of the deepest network that is solved. Blocks of deep networks
// may still be grown when their ranks are known.
func Sites(p *Problem, s Settings) (sites, blocks int, notes []string, err error) {
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return 0, 0, nil, err
	}
	if s.Method == Lazy || s.Method == FrozenFeatures {
		return 0, 0, nil, nil
	}
	q := *p
	if q.Network.Depth == InfiniteDepth {
		q.Network.Depth = defaultDepths[len(defaultDepths)-1]
		if len(s.Depths) > 0 {
			q.Network.Depth = s.Depths[len(s.Depths)-1]
		}
	}
	e, d, err := theoryEnsemble(&q, s)
	return e.Width * e.Replicas, e.Replicas, d.Notes, err
}

// Flops is about how many floating-point operations Solve will take. The ranks of deep networks are guessed.
func Flops(p *Problem, s Settings) float64 {
	p = p.WithDefaults()
	switch {
	case p.Validate() != nil:
		return 0
	case s.Method == Lazy || s.Method == FrozenFeatures:
		np, pt, _, c := p.Data.sizes()
		return 2 * float64(p.Training.Steps) * float64(np) * float64(np+pt) * float64(c)
	case s.Method == LeadingOrder:
		s.Method = Full
		return 2 * Flops(p, s)
	case p.Network.Depth == InfiniteDepth:
		depths, sum := s.Depths, 0.
		if depths == nil {
			depths = defaultDepths
		}
		for _, l := range depths {
			q := *p
			q.Network.Depth = l
			sum += Flops(&q, s)
		}
		return sum
	}
	e, _, err := theoryEnsemble(p, s)
	if err != nil {
		return 0
	}
	return e.Flops(p)
}

// theoryEnsemble plans the blocks of the theory.
func theoryEnsemble(p *Problem, s Settings) (Ensemble[float64], Diagnostics, error) {
	var none Ensemble[float64]
	if s.Samples == 0 {
		s.Samples = defaultSamples
	}
	switch s.Sampling {
	case "":
		s.Sampling = Matched
	case Matched, Plain:
	default:
		return none, Diagnostics{}, fmt.Errorf("dmft: unknown sampling %q; use %s or %s", s.Sampling, Matched, Plain)
	}
	if s.Samples < 2 || s.Blocks < 0 || 2*s.Blocks > s.Samples {
		return none, Diagnostics{}, fmt.Errorf("dmft: %d theory samples in %d blocks; each block needs at least two", s.Samples, s.Blocks)
	}
	p = p.withBias()
	np, pt, dim, c := p.Data.sizes()
	space, err := p.Data.chooseSpace(s.Space)
	if err != nil {
		return none, Diagnostics{}, err
	}
	rank := dim // an upper bound on the number of independent fields; exact unless inputs are degenerate
	if space == DataSpace {
		rank = min(dim, np+pt)
	}
	copies := 4 // of every independent site, by the signs of h and w
	if p.Network.every(kernels.Activation.Odd) {
		copies = 2
	}
	if s.Sampling == Plain {
		copies = 1
	}
	// Sites a block needs for all fields to be matched, half as many again so that the last columns are still random.
	need := copies * (3*max(rank, c)/2 + 2)
	blocks := s.Blocks
	if blocks == 0 {
		blocks = max(s.Samples/max(blockSites, need), min(leastBlocks, s.Samples/2))
	}
	width := s.Samples / blocks
	if s.sites == 0 && s.Blocks == 0 && s.Sampling == Matched && p.Network.matrices() > 0 && !p.Network.every(kernels.Activation.Linear) {
		// Start from what the noise of all directions will probably need, with the directions of one matrix on the
		// other side, which it is orthogonal to: in a residual network all layers share their sites.
		guess := int(guessRank(np, c, p.Training.Steps, mostSites))
		if p.Network.Kind == ResNet {
			guess *= p.Network.Depth
		} else {
			guess *= 2
		}
		if gaussian.Capacity(blockSites) < guess { // smaller blocks are grown when they turn out to be too small
			for gaussian.Capacity(width) < guess && width < mostSites/2 {
				width *= 2
			}
			blocks = max(s.Samples/width, min(leastBlocks, s.Samples/2))
		}
	}
	if s.sites > 0 { // given: keep the number of sites where that leaves enough blocks
		width = s.sites
		if s.Blocks == 0 {
			blocks = max(s.Samples/width, leastBlocks)
		}
	}
	width = max((width+copies-1)/copies, 2) * copies
	d := Diagnostics{Rank: rank, Matched: rank}
	if s.Sampling == Plain {
		d.Matched = 0
	} else if room := gaussian.Capacity(width / copies); room < max(rank, c) {
		// A few columns less than what fits: the last ones would not be random any more.
		d.Matched = min(rank, room*3/4)
		what := fmt.Sprintf("match %d of %d independent input directions", d.Matched, rank)
		if d.Matched == rank {
			what = fmt.Sprintf("match all %d independent input directions, and not all of the readouts of %d outputs", rank, c)
		}
		d.Notes = append(d.Notes, fmt.Sprintf("blocks of %d sites %s; %d samples or more would match all of them", width, what, blocks*need))
	}
	switch {
	case s.grown:
		d.Notes = append(d.Notes, fmt.Sprintf("blocks were grown to %d sites, %d in all, to match the noise of every direction", width, width*blocks))
	case width*blocks > s.Samples+s.Samples/10 && s.Blocks == 0:
		note := fmt.Sprintf("%d blocks of %d sites, %d in all, to match the noise of every direction", blocks, width, width*blocks)
		if more := width * blocks / s.Samples; more >= 2 && p.Network.Depth > 1 {
			note = fmt.Sprintf("%d samples become %d, and the run takes at least %d times as long: %s, of which the fields of %d points, their gradients of %d outputs and %d steps make many"+
				"; fewer points or outputs, or plain sampling, need fewer", s.Samples, width*blocks, more, note, np, c, p.Training.Steps)
		}
		d.Notes = append(d.Notes, note)
	}
	if blocks == 1 {
		d.Notes = append(d.Notes, "a single block of sites gives no error bar")
	}
	tol := s.Tolerance
	if tol == 0 {
		if tol = min(max(8/float64(s.Samples), 1e-6), 1e-2); p.Network.every(kernels.Activation.Linear) {
			tol = 1e-20 // few directions, and nothing but rounding to lose
		}
	}
	depth, deep := p.Network.Depth, p.Network.matrices() > 0
	name := s.prefix
	if s.Method == GradientIndependence {
		name += string(s.Method) + "-"
	}
	limit := -1
	switch {
	case s.Sampling == Plain:
		limit = 0
	case d.Matched < rank:
		limit = d.Matched
	}
	e := Ensemble[float64]{
		Name: fmt.Sprintf("%stheory-L%d-S%d-N%d", name, depth, width, blocks), Width: width, Replicas: blocks, Space: s.Space, MeanField: true, Conditioned: true, Run: s.Run,
		TangentKernel: s.Method == GradientIndependence && deep,
		Init: func(block int) (arch.Init[float64], error) {
			x := &conditioned{seed: s.Seed, block: block, sites: width, copies: copies, limit: limit, tol: tol, noResponse: s.Method == GradientIndependence}
			x.strict = deep && limit < 0 && !s.last && s.Blocks == 0
			if s.Matrix == nil {
				return x, nil
			}
			return arch.WithMatrix(x, func(m arch.Spec, w field.Matrix[float64]) (field.Matrix[float64], error) {
				return s.Matrix(block, m, w)
			}), nil
		},
	}
	return e, d, nil
}

// conditioned draws the sites of one block of the theory, and makes conditioned Gaussian matrices. There is one pool of
// forward and one of backward noise for every kind of site: a layer's in an MLP, that of all layers in a residual
// network.
type conditioned struct {
	seed                 uint64
	block, sites, copies int
	limit                int // of matched columns, see gaussian.NewPool
	tol                  float64
	strict, noResponse   bool
	pools                map[int][2]*gaussian.Pool // by kind of site
	kept                 []field.Keeper
}

// pool is that of a kind of site in a direction: 0 forward, 1 backward.
func (c *conditioned) pool(kind, direction int) *gaussian.Pool {
	p, ok := c.pools[kind]
	if !ok {
		stream := uint64(c.block)<<20 | uint64(kind)<<1
		p[0] = gaussian.NewPool(c.seed, stream, c.sites, c.copies, 2, c.limit)
		p[1] = gaussian.NewPool(c.seed, stream|1, c.sites, c.copies, 1, c.limit)
		if c.strict {
			p[0].Strict()
			p[1].Strict()
		}
		if c.pools == nil {
			c.pools = map[int][2]*gaussian.Pool{}
		}
		c.pools[kind] = p
		c.kept = append(c.kept, p[0], p[1])
	}
	return p[direction]
}

// Input implements arch.Init.
func (c *conditioned) Input(_, k int) (field.Mat[float64], error) { return c.pool(0, 0).Draw(k) }

// Readout implements arch.Init.
func (c *conditioned) Readout(kind int, w field.Mat[float64]) error {
	z, err := c.pool(kind, 1).Draw(w.Cols)
	copy(w.Data, z.Data)
	return err
}

// Leaf implements arch.Init.
func (c *conditioned) Leaf(kind int, dst field.Mat[float64]) error {
	z, err := c.pool(kind, 0).Draw(dst.Cols)
	copy(dst.Data, z.Data)
	return err
}

// Matrix implements arch.Init.
func (c *conditioned) Matrix(m arch.Spec) (field.Matrix[float64], error) {
	w := gaussian.NewMatrix(c.sites, c.tol, c.pool(m.Out, 0), c.pool(m.In, 1))
	w.NoResponse = c.noResponse
	return w, nil
}

// Kept implements arch.Init.
func (c *conditioned) Kept() []field.Keeper { return c.kept }
