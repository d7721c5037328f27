package fluctuation

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// Start is N times the covariance of the kernels at initialisation, of any depth.
type Start struct {
	// Phi and G are covariances between layers, elementwise: N Cov(Φ^ℓ_μν, Φ^m_μν) and N Cov(G^ℓ, G^m).
	Phi Estimate // L×L×P×P
	G   Estimate // L×L×P[×C]×P[×C]
	NTK Estimate // P[×C]×P[×C]: N Var K
	// MeanNTK is the average of NTK over its elements: one number.
	MeanNTK Estimate
	// Kurtosis is N times the excess kurtosis of f_μ, 3N Var(Φ^L_μμ)/(Φ^L_μμ)²: given the features f is Gaussian with
	// variance Φ^L/(γ₀²N).
	Kurtosis Estimate // P
}

// pair is a pair of points, its elements of the kernels in all layers, and their derivatives in the covariance of the
// layer's fields.
type pair struct {
	a, b   int
	aa, bb int // the pairs (a, a) and (b, b)
	layer  []pairLayer
}

type pairLayer struct {
	phi, d, g float64    // Φ, E φ′φ′ and G
	dphi, dd  [3]float64 // ∂Φ and ∂E φ′φ′ in H_aa, H_ab and H_bb
}

// chaos is the law of the kernels of a network at the start.
type chaos struct {
	p           *dmft.Problem
	gram        *mat.SymDense
	np, pt, c   int
	depth       int
	s2, b, b2   float64
	s           float64
	bias        float64 // σ_b²
	rates       dmft.Rates
	pairs       []pair // (a, b) of all points a and training points b at a·np + b, then (a, a) of the test points
	top         *mat.SymDense
	fields      []gaussian.Factor // of the fresh part of h of every layer
	back        []gaussian.Factor // of z of every layer but the last
	forward, up int               // directions of the fields, and of z and the readout
}

var errBlocks = errors.New("fluctuation: fluctuations are known of networks of a kind, not of a list of blocks")

func newChaos(p *dmft.Problem, set Settings) (*chaos, error) {
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if bytes := startBytes(p); set.Memory > 0 && bytes > set.Memory {
		return nil, memoryError(bytes, set.Memory, "raise the limit or use fewer points")
	}
	if p.Network.Blocks != nil {
		return nil, errBlocks
	}
	if p.Network.Depth == dmft.InfiniteDepth {
		return nil, errors.New("fluctuation: a network of infinite depth; give a finite one")
	}
	x := &chaos{p: p, gram: p.Gram(), depth: p.Network.Depth, rates: p.LayerRates(), bias: p.Network.Bias * p.Network.Bias}
	x.np, _ = p.Data.Inputs.Dims()
	_, x.c = p.Data.Targets.Dims()
	all := x.gram.SymmetricDim()
	x.pt = all - x.np
	x.s, x.b = p.Network.Coefficients()
	x.s2, x.b2 = x.s*x.s, x.b*x.b
	ker, err := p.Start()
	if err != nil {
		return nil, err
	}
	x.top = ker.Phi[x.depth-1]
	for a := range all {
		for b := range x.np {
			x.pairs = append(x.pairs, pair{a: a, b: b, aa: a*x.np + a, bb: b*x.np + b})
			if a >= x.np {
				x.pairs[len(x.pairs)-1].aa = all*x.np + a - x.np
			}
		}
	}
	for a := x.np; a < all; a++ {
		x.pairs = append(x.pairs, pair{a: a, b: a, aa: len(x.pairs), bb: len(x.pairs)})
	}
	act := p.Network.Activation
	var wg sync.WaitGroup
	workers := set.runner().Parallel(len(x.pairs))
	for first := range workers {
		wg.Go(func() {
			for i := first; i < len(x.pairs); i += workers {
				q := &x.pairs[i]
				for l := range x.depth {
					h := ker.H[l]
					e := pairLayer{phi: ker.Phi[l].At(q.a, q.b), g: ker.G[l].At(q.a, q.b)}
					e.d, e.dphi, e.dd = derivatives(act, h.At(q.a, q.a), h.At(q.a, q.b), h.At(q.b, q.b), q.a == q.b)
					q.layer = append(q.layer, e)
				}
			}
		})
	}
	wg.Wait()
	factor := func(k mat.Symmetric, add float64) (gaussian.Factor, error) {
		f, err := gaussian.NewFactor(all, func(i, j int) float64 { return k.At(i, j) + add })
		if err != nil {
			err = fmt.Errorf("fluctuation: %w", err)
		}
		return f, err
	}
	for l := range x.depth {
		k, add := mat.Symmetric(x.gram), 0.
		if l > 0 {
			k, add = ker.Phi[l-1], x.bias
		}
		f, err := factor(k, add)
		if err != nil {
			return nil, err
		}
		x.fields = append(x.fields, f)
		x.forward += f.Rank
		if l > 0 {
			if f, err = factor(ker.G[l], 0); err != nil {
				return nil, err
			}
			x.back = append(x.back, f)
			x.up += x.c * f.Rank
		}
	}
	x.up += x.c
	return x, nil
}

// startBytes is about how much memory the kernels of all pairs of points and their influences need.
func startBytes(p *dmft.Problem) int64 {
	np, c := p.Data.Targets.Dims()
	all := np
	if p.Data.TestInputs != nil {
		pt, _ := p.Data.TestInputs.Dims()
		all += pt
	}
	return int64(all) * int64(np) * int64(max(p.Network.Depth, 1)) * int64(8*11+8*(2+c*c)*runtime.GOMAXPROCS(0)+8*4)
}

// derivatives are E φ′φ′ of a pair of fields, and the derivatives of it and of E φφ in the variances and the
// covariance, by central differences. Of fields that are proportional to each other the covariance matrix only moves
// along itself: the derivative in the covariance stands for all.
func derivatives(a kernels.Activation, va, c, vb float64, same bool) (d float64, dphi, dd [3]float64) {
	_, d = a.Dual(va, vb, c)
	size := math.Sqrt(va * vb)
	if size == 0 {
		return d, dphi, dd
	}
	room := 1 - math.Abs(c)/size
	if same || room < 1e-9 {
		const e = 1e-4
		up, dup := a.Dual(va*(1+e), vb*(1+e), c*(1+e))
		down, ddown := a.Dual(va*(1-e), vb*(1-e), c*(1-e))
		dphi[1], dd[1] = (up-down)/(2*e*c), (dup-ddown)/(2*e*c)
		return d, dphi, dd
	}
	e := math.Min(1e-4, room/4)
	diff := func(i int, ha, hc, hb, h float64) {
		up, dup := a.Dual(va+ha, vb+hb, c+hc)
		down, ddown := a.Dual(va-ha, vb-hb, c-hc)
		dphi[i], dd[i] = (up-down)/(2*h), (dup-ddown)/(2*h)
	}
	diff(0, e*va, 0, 0, e*va)
	diff(1, 0, e*size, 0, e*size)
	diff(2, 0, 0, e*vb, e*vb)
	return d, dphi, dd
}

// influence is what one site moves: per layer the kernels Φ, and G by output pair, of every pair of points, and the
// NTK.
type influence struct {
	phi  [][]float64   // layer × pairs
	g    [][][]float64 // layer × c² × pairs
	k    [][]float64   // c² × all·np
	resp []float64
	dh   [][]float64 // layer × pairs
}

func (x *chaos) newInfluence() *influence {
	n := len(x.pairs)
	f := &influence{resp: make([]float64, n)}
	for range x.depth {
		f.phi, f.dh = append(f.phi, make([]float64, n)), append(f.dh, make([]float64, n))
		var g [][]float64
		for range x.c * x.c {
			g = append(g, make([]float64, n))
		}
		f.g = append(f.g, g)
	}
	for range x.c * x.c {
		f.k = append(f.k, make([]float64, (x.np+x.pt)*x.np))
	}
	return f
}

// site is one neuron, or one of every layer of an MLP: φ of every layer and g of every layer and output, at all points.
type site struct {
	phi [][]float64
	g   [][][]float64
}

func (x *chaos) newSite() *site {
	s := &site{}
	for range x.depth {
		s.phi = append(s.phi, make([]float64, x.np+x.pt))
		var g [][]float64
		for range x.c {
			g = append(g, make([]float64, x.np+x.pt))
		}
		s.g = append(s.g, g)
	}
	return s
}

// set makes a site of standard normal numbers.
func (x *chaos) set(s *site, z []float64) {
	all := x.np + x.pt
	h, fresh := make([]float64, all), make([]float64, all)
	draw := func(f gaussian.Factor) []float64 {
		la.Gemv(la.N, 1, f.F, z[:f.Rank], 0, fresh)
		z = z[f.Rank:]
		return fresh
	}
	d := make([][]float64, x.depth)
	for l, f := range x.fields {
		u := draw(f)
		for m := range h {
			if l == 0 {
				h[m] = u[m]
			} else {
				h[m] = x.s*h[m] + x.b*u[m]
			}
		}
		d[l] = make([]float64, all)
		x.p.Network.Activation.Eval(s.phi[l], d[l], h)
	}
	top := x.depth - 1
	for c := range x.c {
		for m := range h {
			s.g[top][c][m] = z[c] * d[top][m]
		}
	}
	z = z[x.c:]
	for l := top - 1; l >= 0; l-- {
		for c := range x.c {
			u := draw(x.back[l])
			for m := range h {
				s.g[l][c][m] = x.s*s.g[l+1][c][m] + x.b*d[l][m]*u[m]
			}
		}
	}
}

// move computes the influence of a site.
func (x *chaos) move(f *influence, s *site) {
	for l := range x.depth {
		dh := f.dh[l]
		if l == 0 {
			clear(dh)
		} else {
			for i := range dh {
				dh[i] = x.s2*f.dh[l-1][i] + x.b2*f.phi[l-1][i]
			}
		}
		for i := range x.pairs {
			q := &x.pairs[i]
			e := &q.layer[l]
			f.phi[l][i] = s.phi[l][q.a]*s.phi[l][q.b] - e.phi + e.dphi[0]*dh[q.aa] + e.dphi[1]*dh[i] + e.dphi[2]*dh[q.bb]
		}
	}
	for o := range x.c * x.c {
		ca, cb := o/x.c, o%x.c
		same := ca == cb
		for l := x.depth - 1; l >= 0; l-- {
			dh, g := f.dh[l], f.g[l][o]
			for i := range x.pairs {
				q := &x.pairs[i]
				e := &q.layer[l]
				moved := 0. // of E φ′φ′
				if same {
					moved = e.dd[0]*dh[q.aa] + e.dd[1]*dh[i] + e.dd[2]*dh[q.bb]
				}
				if l == x.depth-1 {
					f.resp[i] = moved
				} else {
					f.resp[i] = x.s2*f.resp[i] + x.b2*(e.d*f.g[l+1][o][i]+moved*q.layer[l+1].g)
				}
				g[i] = s.g[l][ca][q.a]*s.g[l][cb][q.b] + f.resp[i]
				if same {
					g[i] -= e.g
				}
			}
		}
		for i := range f.k[o] {
			q := &x.pairs[i]
			v := x.rates.Input * x.gram.At(q.a, q.b) * f.g[0][o][i]
			if same {
				v += x.rates.Readout * f.phi[x.depth-1][i]
			}
			for l := range x.depth - 1 {
				w := f.g[l+1][o][i] * (q.layer[l].phi + x.bias)
				if same {
					w += q.layer[l+1].g * f.phi[l][i]
				}
				v += x.rates.Hidden * x.b2 * w
			}
			f.k[o][i] = v
		}
	}
}

// sites draws the sites of a block, of all of them when they are nodes of a quadrature.
func (x *chaos) sites(set Settings, block, n int) (noise, error) {
	if set.Nodes > 0 {
		return tensor(set.Nodes, x.forward+x.up)
	}
	// Influences are even in the noise of every layer, so antithetic copies would add nothing.
	return draw(set.Seed, block, n, 1, x.forward+x.up, 0)
}

// plan returns the number of blocks and of sites in each.
func (set Settings) plan() (blocks, sites int) {
	n := set.Samples
	if n == 0 {
		n = defaultSamples
	}
	blocks = set.Blocks
	if blocks == 0 {
		blocks = max(n/blockSites, leastBlocks)
	}
	if set.Nodes > 0 {
		blocks = 1
	}
	return blocks, max(n/blocks, 2)
}

// AtStart predicts the fluctuations of the kernels of a network of any depth at initialisation; see the package
// documentation. Only Samples, Blocks, Seed and Nodes of the settings matter.
func AtStart(ctx context.Context, p *dmft.Problem, set Settings) (*Start, error) {
	x, err := newChaos(p, set)
	if err != nil {
		return nil, err
	}
	blocks, n := set.plan()
	np, c, depth := x.np, x.c, x.depth
	cc := c * c
	type sums struct{ phi, g, ntk, kurtosis []float64 }
	of := func(b int, watch *ensemble.Watch) (sums, error) {
		z, err := x.sites(set, b, n)
		if err != nil {
			return sums{}, err
		}
		out := sums{make([]float64, depth*depth*np*np), make([]float64, depth*depth*cc*np*np),
			make([]float64, cc*np*np), make([]float64, np)}
		f, s := x.newInfluence(), x.newSite()
		for i, w := range z.weight {
			if watch.Due() {
				return sums{}, ensemble.ErrInterrupted
			}
			x.set(s, z.z.Row(i))
			x.move(f, s)
			for l := range depth {
				for m := range depth {
					for e := range np * np { // the pairs of training points come first
						out.phi[(l*depth+m)*np*np+e] += w * f.phi[l][e] * f.phi[m][e]
						for o := range cc {
							row, col := o/c*np+e/np, o%c*np+e%np
							out.g[(l*depth+m)*cc*np*np+row*c*np+col] += w * f.g[l][o][e] * f.g[m][o][e]
						}
					}
				}
			}
			for o := range cc {
				for e := range np * np {
					row, col := o/c*np+e/np, o%c*np+e%np
					out.ntk[row*c*np+col] += w * f.k[o][e] * f.k[o][e]
				}
			}
			for m := range np {
				v := f.phi[depth-1][m*np+m] / x.top.At(m, m)
				out.kurtosis[m] += 3 * w * v * v
			}
		}
		return out, nil
	}
	set.Progress = nil
	done, err := runBlocks(ctx, set, blocks, 0, func(b int, w *ensemble.Watch) (ensemble.Member[sums], error) {
		return &single[sums]{do: func() (sums, error) { return of(b, w) }}, nil
	})
	if err != nil {
		return nil, err
	}
	pick := func(f func(sums) []float64, shape ...int) Estimate {
		var all [][]float64
		for _, d := range done {
			all = append(all, f(d))
		}
		return mean(all, shape...)
	}
	square := func(f func(sums) []float64, lead ...int) Estimate {
		return pick(func(s sums) []float64 {
			return each(f(s), cc*np*np, func(dst, src []float64) { byPoints(dst, src, np, c) })
		},
			append(outputShape(c, append(lead, np)...), outputShape(c, np)...)...)
	}
	return &Start{
		Phi:      pick(func(s sums) []float64 { return s.phi }, depth, depth, np, np),
		G:        square(func(s sums) []float64 { return s.g }, depth, depth),
		NTK:      square(func(s sums) []float64 { return s.ntk }),
		MeanNTK:  pick(func(s sums) []float64 { return averages(s.ntk, len(s.ntk)) }),
		Kurtosis: pick(func(s sums) []float64 { return s.kurtosis }, np),
	}, nil
}
