package alternating

import (
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/random"
)

const (
	// Independent streams of paths of a layer, the units of parallel work; fixed, so that results do not depend on the
	// machine.
	lanes = 8
	batch = 64 // paths whose fields are solved together: the block size of gonum's products
	group = 16 // rows of a Jacobian per product of a triangle of blocks: more waste zeros, fewer waste calls
)

var errEigen = errors.New("the eigendecomposition of a covariance failed")

// layer is the single-site problem of one hidden layer in one round, and what its paths say about the order parameters.
// With φ = φ(h), g = φ′(h)z,
//
//	h(t) = u(t) + Σ_{s<t} C(t,s) g(s)      C = A^{ℓ−1} + ηγ₀ Φ^{ℓ−1}(t,s)Δ(s)       u ~ GP(0, Φ^{ℓ−1})
//	z(t) = r(t) + Σ_{s≤t} D(t,s) φ(s)      D = B^ℓ + [s<t] ηγ₀ G^{ℓ+1}(t,s)Δ(s)     r ~ GP(0, G^{ℓ+1})
//
// In the first layer Φ⁰ = Kx and A⁰ = 0, so that u and, over t > s, C(t,s) do not depend on t; in the last one G^{L+1}
// = 1 and B^L = 0, so that r and D do not, and z is the same for all points.
type layer struct {
	*solver
	index       int
	first, last bool
	c, d        la.Mat[float64]
	gain        []float64       // ηγ₀Δ
	fu, fr      la.Mat[float64] // noise is these times white noise; of one time in the first layer, absent in the last

	// New estimates: ⟨φφ⟩, ⟨gg⟩, ⟨∂φ/∂r⟩, ⟨∂g/∂u⟩; a not in the last layer, b not in the first.
	phi, g, a, b la.Mat[float64]
	top          []float64 // of the last layer: ⟨∂φ/∂r⟩ or ⟨wφ⟩
}

func (v *solver) layer(l int) *layer {
	y := &layer{solver: v, index: l, first: l == 0, last: l == v.l-1, gain: make([]float64, v.n),
		c: la.New[float64](v.n, v.n), d: la.New[float64](v.n, v.n)}
	for i, x := range v.delta {
		y.gain[i] = v.eta * v.gamma * x
	}
	for i := range v.n {
		past := i / v.p * v.p
		c, d := y.c.Row(i), y.d.Row(i)
		for j := range past {
			if y.first {
				c[j] = y.gain[j] * v.kx.At(i%v.p, j%v.p)
			} else {
				c[j] = v.a[l-1].Row(i)[j] + y.gain[j]*v.phi[l-1].Row(i)[j]
			}
			if y.last {
				d[j] = y.gain[j]
			} else {
				d[j] = v.b[l].Row(i)[j] + y.gain[j]*v.g[l+1].Row(i)[j]
			}
		}
		if !y.last {
			copy(d[past:past+v.p], v.b[l].Row(i)[past:])
		}
	}
	return y
}

// factor prepares the noise of all layers.
func (v *solver) factor(layers []*layer) error {
	var wg sync.WaitGroup
	errs := make([]error, 2*len(layers))
	for l, y := range layers {
		wg.Add(2)
		go func() {
			defer wg.Done()
			if y.first {
				y.fu, errs[2*l] = v.root(v.kx)
			} else {
				y.fu, errs[2*l] = v.root(mat.NewSymDense(v.n, v.phi[l-1].Data))
			}
		}()
		go func() {
			defer wg.Done()
			if !y.last {
				y.fr, errs[2*l+1] = v.root(mat.NewSymDense(v.n, v.g[l+1].Data))
			}
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// root is the symmetric factor F of k = F², negative eigenvalues cut. Unlike that of eigenvectors alone, which turn
// where eigenvalues meet, it is continuous in k, so that rounds with frozen noise come to rest.
func (v *solver) root(k mat.Symmetric) (la.Mat[float64], error) {
	n := k.SymmetricDim()
	s := mat.NewSymDense(n, nil)
	s.CopySym(k)
	jitter := v.Jitter * mat.Trace(s) / float64(n)
	for i := range n {
		s.SetSym(i, i, s.At(i, i)+jitter)
	}
	var eig mat.EigenSym
	if !eig.Factorize(s, true) {
		return la.Mat[float64]{}, errEigen
	}
	val := eig.Values(nil) // rising
	cut := 0
	for cut < n && val[cut] <= 0 {
		cut++
	}
	var vec mat.Dense
	eig.VectorsTo(&vec)
	f := la.New[float64](n, n)
	half := la.New[float64](n, n-cut) // VΛ^{1/4}
	for i := range n {
		row := half.Row(i)
		for j := range row {
			row[j] = vec.At(i, cut+j) * math.Sqrt(math.Sqrt(val[cut+j]))
		}
	}
	la.Gemm(la.N, la.T, 1, half, half, 0, f)
	return f, nil
}

// sums are what one lane of a layer adds up.
type sums struct {
	phi, g, a, b la.Mat[float64]
	top          []float64
}

// sample draws the paths of all layers and averages over them, lane by lane and in a fixed order.
func (v *solver) sample(layers []*layer, round int) {
	parts := make([]sums, len(layers)*lanes)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(parts)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w := newWorker(v)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(parts) {
					return
				}
				// The layers in the middle have twice the work of the outer ones; starting with the last finds most of
				// it early.
				i = len(parts) - 1 - i
				parts[i] = w.lane(layers[i/lanes], i%lanes, round)
			}
		}()
	}
	wg.Wait()
	all, jac := 1/float64(v.Samples), 1/float64(v.JacobianSamples)
	add := func(dst *la.Mat[float64], src la.Mat[float64], factor float64) {
		if len(src.Data) == 0 {
			return
		}
		if dst.Data == nil {
			*dst = la.New[float64](v.n, v.n)
		}
		la.Axpy(factor, src.Data, dst.Data)
	}
	for i, s := range parts {
		y := layers[i/lanes]
		add(&y.phi, s.phi, all)
		add(&y.g, s.g, all)
		add(&y.a, s.a, jac)
		add(&y.b, s.b, jac)
		if y.last {
			if y.top == nil {
				y.top = make([]float64, v.n)
			}
			la.Axpy(all, s.top, y.top)
		}
	}
}

// worker is the scratch of one goroutine.
type worker struct {
	noise              la.Mat[float64] // n×batch white noise
	h, z, phi, dphi, g la.Mat[float64] // fields: row t·P + μ, a column per path
	q                  la.Mat[float64] // φ″z
	jh, jphi, jg       la.Mat[float64] // derivatives to the initial readout, of the same shape
	jz                 []float64       // of w: a number per path
	slope, curve       []float64       // φ′ and φ″z of one path
	rowH, rowZ, rowPhi la.Mat[float64] // P×n: derivatives of one path at one time to the noise of all times
	pastG, pastPhi     la.Mat[float64] // n×n: the same at all times, zero above the diagonal blocks
	rng                *random.Stream
	points, times      int

	// Of Picard alone: noise, and the next iterate.
	u, r, next la.Mat[float64]
	dh, dz, dg la.Mat[float64] // whole Jacobians of one path, with pastPhi
}

func newWorker(v *solver) *worker {
	w := &worker{slope: make([]float64, v.n), curve: make([]float64, v.n), jz: make([]float64, batch), points: v.p,
		times: v.t}
	for _, m := range []*la.Mat[float64]{&w.noise, &w.h, &w.z, &w.phi, &w.dphi, &w.g, &w.q, &w.jh, &w.jphi, &w.jg} {
		*m = la.New[float64](v.n, batch)
	}
	for _, m := range []*la.Mat[float64]{&w.rowH, &w.rowZ, &w.rowPhi} {
		*m = la.New[float64](v.p, v.n)
	}
	w.pastG, w.pastPhi = la.New[float64](v.n, v.n), la.New[float64](v.n, v.n)
	if v.Sites == Picard {
		w.u, w.r, w.next = la.New[float64](v.n, batch), la.New[float64](v.n, batch), la.New[float64](v.n, batch)
		w.dh, w.dz, w.dg = la.New[float64](v.n, v.n), la.New[float64](v.n, v.n), la.New[float64](v.n, v.n)
	}
	return w
}

// lane draws lane i of a layer.
func (w *worker) lane(y *layer, i, round int) sums {
	s := sums{phi: la.New[float64](y.n, y.n), g: la.New[float64](y.n, y.n)}
	if !y.last {
		s.a = la.New[float64](y.n, y.n)
	} else {
		s.top = make([]float64, y.n)
	}
	if !y.first {
		s.b = la.New[float64](y.n, y.n)
	}
	w.rng = random.New(y.Seed, uint64(round)<<32|uint64(y.index)<<8|uint64(i))
	share := func(n int) int { return (i+1)*n/lanes - i*n/lanes }
	paths, jacobians := share(y.Samples), share(y.JacobianSamples)
	for done := 0; done < paths; done += batch {
		m := min(batch, paths-done)
		w.draw(y, m)
		if y.Sites == Picard {
			w.sweep(y, m)
		} else {
			w.march(y, m)
		}
		phi, g := w.phi.Slice(0, y.n, 0, m), w.g.Slice(0, y.n, 0, m)
		la.Gemm(la.N, la.T, 1, phi, phi, 1, s.phi)
		la.Gemm(la.N, la.T, 1, g, g, 1, s.g)
		if y.last {
			w.readout(y, m, s.top)
		}
		for j := range min(m, jacobians-done) {
			if y.first && y.last {
				break
			}
			for k := range y.n {
				w.slope[k], w.curve[k] = w.dphi.Row(k)[j], w.q.Row(k)[j]
			}
			switch {
			case y.last:
			case y.Sites == Picard:
				w.sweepBackward(y, s.a)
			default:
				w.toBackward(y, s.a)
			}
			switch {
			case y.first:
			case y.Sites == Picard:
				w.sweepForward(y, s.b)
			default:
				w.toForward(y, s.b)
			}
		}
	}
	return s
}

// gaussian fills the first rows of the noise.
func (w *worker) gaussian(rows, m int) la.Mat[float64] {
	z := w.noise.Slice(0, rows, 0, m)
	for i := range rows {
		w.rng.Normal(z.Row(i))
	}
	return z
}

// columns returns rows [lo, hi) of the first m paths.
func columns(f la.Mat[float64], lo, hi, m int) la.Mat[float64] { return f.Slice(lo, hi, 0, m) }

// draw sets h and z of m paths to their noise u and r.
func (w *worker) draw(y *layer, m int) {
	p := w.points
	z := w.gaussian(y.fu.Cols, m)
	la.Gemm(la.N, la.N, 1, y.fu, z, 0, columns(w.h, 0, y.fu.Rows, m))
	if y.first {
		for i := p; i < y.n; i++ {
			copy(w.h.Row(i)[:m], w.h.Row(i%p))
		}
	}
	if y.last {
		r := w.gaussian(1, m).Row(0)
		for i := range y.n {
			copy(w.z.Row(i), r)
		}
	} else {
		z = w.gaussian(y.fr.Cols, m)
		la.Gemm(la.N, la.N, 1, y.fr, z, 0, columns(w.z, 0, y.n, m))
	}
}

// march solves the single-site equations of m paths in causal order, all paths at once.
func (w *worker) march(y *layer, m int) {
	p := w.points
	at := func(f la.Mat[float64], lo, hi int) la.Mat[float64] { return columns(f, lo, hi, m) }
	for t := range w.times {
		lo, hi := t*p, (t+1)*p
		if t > 0 {
			la.Gemm(la.N, la.N, 1, y.c.Slice(lo, hi, 0, lo), at(w.g, 0, lo), 1, at(w.h, lo, hi))
		}
		for i := lo; i < hi; i++ {
			y.act.Eval(w.phi.Row(i)[:m], w.dphi.Row(i)[:m], w.h.Row(i)[:m])
		}
		la.Gemm(la.N, la.N, 1, y.d.Slice(lo, hi, 0, hi), at(w.phi, 0, hi), 1, at(w.z, lo, hi))
		for i := lo; i < hi; i++ {
			multiply(w.g.Row(i)[:m], w.dphi.Row(i), w.z.Row(i))
			w.bend(y, i, m)
		}
	}
}

// bend sets φ″z in row i.
func (w *worker) bend(y *layer, i, m int) {
	h, z, q := w.h.Row(i), w.z.Row(i), w.q.Row(i)
	if y.act.Linear() {
		clear(q[:m])
		return
	}
	for j := range m {
		q[j] = y.act.Second(h[j]) * z[j]
	}
}

// readout adds what predictions need from m paths of the last layer: wφ, or the derivative of φ to the initial readout,
// which costs no more than the fields.
func (w *worker) readout(y *layer, m int, top []float64) {
	p := w.points
	if y.Output == FromAverage {
		for i := range top {
			phi, z := w.phi.Row(i), w.z.Row(i)
			for j := range m {
				top[i] += phi[j] * z[j]
			}
		}
		return
	}
	at := func(f la.Mat[float64], lo, hi int) la.Mat[float64] { return columns(f, lo, hi, m) }
	for j := range m {
		w.jz[j] = 1
	}
	for t := range w.times {
		lo, hi := t*p, (t+1)*p
		at(w.jh, lo, hi).Zero()
		if t > 0 {
			la.Gemm(la.N, la.N, 1, y.c.Slice(lo, hi, 0, lo), at(w.jg, 0, lo), 1, at(w.jh, lo, hi))
			for i := lo - p; i < lo; i++ {
				la.Axpy(y.gain[i], w.jphi.Row(i)[:m], w.jz[:m])
			}
		}
		for i := lo; i < hi; i++ {
			jh, jphi, jg, d, q := w.jh.Row(i), w.jphi.Row(i), w.jg.Row(i), w.dphi.Row(i), w.q.Row(i)
			for j := range m {
				jphi[j] = d[j] * jh[j]
				jg[j] = q[j]*jh[j] + d[j]*w.jz[j]
				top[i] += jphi[j]
			}
		}
	}
}

// toBackward adds ∂φ/∂r of one path to sum, by the recursion in time
//
//	∂h(t) = Σ_{s<t} C(t,s) ∂g(s)    ∂φ = φ′∂h    ∂z(t) = 1 + Σ_{s≤t} D(t,s) ∂φ(s)    ∂g = φ″z ∂h + φ′∂z
//
// whose columns, the noise of all times, are complete up to the time of the row and zero beyond.
func (w *worker) toBackward(y *layer, sum la.Mat[float64]) {
	p := w.points
	w.rowH.Zero()
	for t := range w.times {
		lo, hi := t*p, (t+1)*p
		for k := range p {
			i := lo + k
			dh := w.rowH.Row(k)
			switch {
			case t == 0:
			case y.first: // C(t,s) is that of t−1, but for s = t−1
				la.Gemv(la.T, 1, w.pastG.Slice(lo-p, lo, 0, lo), y.c.Row(i)[lo-p:lo], 1, dh[:lo])
			default:
				clear(dh[:lo])
				w.combine(dh, y.c.Row(i)[:lo], w.pastG)
			}
			dphi := w.pastPhi.Row(i)[:hi]
			scale(dphi[:lo], w.slope[i], dh)
			clear(dphi[lo:])
			la.Axpy(1, dphi[:lo], sum.Row(i)[:lo])
		}
		if t == w.times-1 {
			return // nothing later needs ∂g
		}
		for k := range p {
			i := lo + k
			dz := w.rowZ.Row(k)[:hi]
			clear(dz)
			dz[i] = 1
			w.combine(dz, y.d.Row(i)[:hi], w.pastPhi)
			mix(w.pastG.Row(i)[:hi], w.curve[i], w.rowH.Row(k), w.slope[i], dz)
		}
	}
}

// toForward adds ∂g/∂u of one path to sum: the same recursion with ∂h(t) = 1 + …, ∂z(t) = ….
func (w *worker) toForward(y *layer, sum la.Mat[float64]) {
	p := w.points
	if y.last {
		clear(w.rowZ.Row(0))
	}
	for t := range w.times {
		lo, hi := t*p, (t+1)*p
		if y.last && t > 0 { // D(t,s) is that of t−1, but for s = t−1, and the same for all points
			for k := range p {
				la.Axpy(y.gain[lo-p+k], w.rowPhi.Row(k)[:lo], w.rowZ.Row(0)[:lo])
			}
		}
		for k := range p {
			i := lo + k
			dh := w.rowH.Row(k)[:hi]
			clear(dh)
			dh[i] = 1
			w.combine(dh, y.c.Row(i)[:lo], w.pastG)
			if y.last {
				scale(w.rowPhi.Row(k)[:hi], w.slope[i], dh)
			} else {
				scale(w.pastPhi.Row(i)[:hi], w.slope[i], dh)
			}
		}
		for k := range p {
			i := lo + k
			dz := w.rowZ.Row(0)[:hi]
			if !y.last {
				clear(dz)
				w.combine(dz, y.d.Row(i)[:hi], w.pastPhi)
			}
			dg := w.pastG.Row(i)[:hi]
			mix(dg, w.curve[i], w.rowH.Row(k), w.slope[i], dz)
			la.Axpy(1, dg, sum.Row(i)[:hi])
		}
	}
}

// combine adds coefficients times rows of a block lower triangular matrix to dst, some rows at a time up to the width
// of the last of them.
func (w *worker) combine(dst, coef []float64, rows la.Mat[float64]) {
	step := max(group/w.points, 1) * w.points
	for lo := 0; lo < len(coef); lo += step {
		hi := min(lo+step, len(coef))
		la.Gemv(la.T, 1, rows.Slice(lo, hi, 0, hi), coef[lo:hi], 1, dst[:hi])
	}
}

// scale sets dst ← a·x over the length of dst.
func scale(dst []float64, a float64, x []float64) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = a * v
	}
}

// mix sets dst ← a·x + b·y over the length of dst.
func mix(dst []float64, a float64, x []float64, b float64, y []float64) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i, v := range x {
		dst[i] = a*v + b*y[i]
	}
}

// multiply sets dst ← x∘y over the length of dst.
func multiply(dst, x, y []float64) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i, v := range x {
		dst[i] = v * y[i]
	}
}
