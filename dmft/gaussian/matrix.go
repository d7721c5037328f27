package gaussian

import (
	"encoding/gob"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// Matrix is an infinitely large Gaussian matrix W, known only through the products already made with it. Vectors are samples of their
// components over S sites; averages over components are averages over sites.
//
// Two orthonormal bases grow with the products: Qφ spans every x that W was multiplied with and Qg every y that Wᵀ was; each direction has a
// column of white noise on the other side, ω and ζ. With R(x) = Qφᵀx/S and R'(y) = Qgᵀy/S, after extending the bases by x and y,
//
//	W x /√N  = (d ω + M) R(x) + d Qg (ζᵀx/S)
//	Wᵀy /√N  = d ζ R'(y) + Qφ ((d ω + M)ᵀ y/S)
//
// The terms ζᵀx/S and ωᵀy/S are the response functions A and B of the mean field theory: Stein's lemma in whitened coordinates. What
// is learned is the S×k factor M, what is left of the initial matrix the number d:
//
//	W ← βW + a·y xᵀ/N:   d ← βd,  M ← βM + a·y R(x)ᵀ
//
// (d, M) live in registers, so that every optimiser that combines gradients linearly acts on them as on weights.
type Matrix struct {
	sites    int
	tol      float64
	forward  basis // Qφ and ω
	backward basis // Qg and ζ
	d        []float64
	m        []la.Mat[float64] // by register: sites × capacity of forward
	last     la.Mat[float64]   // R of the last Mul
	tmp      []float64
	err      error

	// NoResponse leaves out the responses ζᵀx and ωᵀy, as if W and Wᵀ were independent at the start: the gradient-independence
	// approximation.
	NoResponse bool
}

// basis is one of the two bases with its noise.
type basis struct {
	q, noise la.Mat[float64] // sites × capacity, n columns in use
	n        int
	scale    float64 // largest mean square of a vector seen
	pool     *Pool
	dropped  float64 // largest relative mean square that was dropped
}

// NewMatrix returns a matrix over sites whose noise comes from the pools of the sites it feeds: omega for the sites of W x, zeta for those of Wᵀy. Directions
// whose mean square is below tol relative to the largest seen are dropped.
func NewMatrix(sites int, tol float64, omega, zeta *Pool) *Matrix {
	w := &Matrix{sites: sites, tol: tol, d: []float64{1}, m: []la.Mat[float64]{la.New[float64](sites, 0)}}
	w.forward.pool, w.backward.pool = omega, zeta
	return w
}

// Ranks are the numbers of directions of x and y that the matrix has been multiplied with, and the largest relative mean square dropped.
func (w *Matrix) Ranks() (forward, backward int, dropped float64) {
	return w.forward.n, w.backward.n, max(w.forward.dropped, w.backward.dropped)
}

// Reserve makes at least n registers exist.
func (w *Matrix) Reserve(n int) {
	for len(w.m) < n {
		w.d = append(w.d, 0)
		w.m = append(w.m, la.New[float64](w.sites, w.m[0].Cols))
	}
}

// view is the used part of a matrix with spare columns.
func view(m la.Mat[float64], n int) la.Mat[float64] { return m.Slice(0, m.Rows, 0, n) }

// scratch returns an r×c matrix that is overwritten by the next call.
func (w *Matrix) scratch(r, c int) la.Mat[float64] {
	if len(w.tmp) < r*c {
		w.tmp = make([]float64, 2*r*c)
	}
	return la.Mat[float64]{Rows: r, Cols: c, Stride: c, Data: w.tmp[:r*c]}
}

// widen returns m with at least n columns of room, the first used columns kept.
func widen(m la.Mat[float64], rows, used, n int) la.Mat[float64] {
	if n <= m.Cols {
		return m
	}
	out := la.New[float64](rows, max(n, 2*m.Cols, 16))
	for i := range rows {
		if used > 0 {
			copy(out.Row(i), m.Row(i)[:used])
		}
	}
	return out
}

// extend makes the span of b hold the columns of x, up to tol, and reports how many directions were added. One pass resolves directions whose mean squares
// span resolution; smaller ones that still matter are found by the next.
func (b *basis) extend(x la.Mat[float64], tol float64) (int, error) {
	total := 0
	for {
		k, more, err := b.pass(x, tol)
		total += k
		if err != nil || !more {
			return total, err
		}
	}
}

// resolution is how much smaller than the largest an eigenvalue may be and still be right to a few digits.
const resolution = 1e-11

// pass is one pass of extend; more says that directions below the resolution were left.
func (b *basis) pass(x la.Mat[float64], tol float64) (added int, more bool, err error) {
	s := float64(x.Rows)
	p := x.Cols
	e := la.New[float64](x.Rows, p)
	for i := range x.Rows {
		copy(e.Row(i), x.Row(i))
	}
	total := 0.
	for _, v := range e.Data {
		total += v * v
	}
	if math.IsNaN(total) || math.IsInf(total, 0) {
		return 0, false, nil // the product is not finite either, which the training loop reports
	}
	b.scale = max(b.scale, total/s/float64(p))
	if b.scale == 0 {
		return 0, false, nil
	}
	r := la.New[float64](b.n, p)
	for range 2 {
		if b.n > 0 {
			la.Gemm(la.T, la.N, 1/s, view(b.q, b.n), e, 0, r)
			la.Gemm(la.N, la.N, -1, view(b.q, b.n), r, 1, e)
		}
	}
	// Principal directions of the residual: the largest first, those below the tolerance dropped.
	g := la.New[float64](p, p)
	la.Gemm(la.T, la.N, 1/s, e, e, 0, g)
	var eig mat.EigenSym
	if !eig.Factorize(mat.NewSymDense(p, g.Data), true) {
		return 0, false, errEigen
	}
	val := eig.Values(nil)
	k := 0
	for i := p - 1; i >= 0; i-- {
		if val[i] <= tol*b.scale {
			b.dropped = max(b.dropped, val[i]/b.scale)
			break
		}
		if val[i] < resolution*val[p-1] {
			more = true
			break
		}
		k++
	}
	if k == 0 {
		return 0, false, nil
	}
	var vec mat.Dense
	eig.VectorsTo(&vec)
	v := la.New[float64](p, k)
	for j := range k {
		c := p - 1 - j
		inv := 1 / math.Sqrt(val[c])
		for i := range p {
			v.Row(i)[j] = vec.At(i, c) * inv
		}
	}
	b.q = widen(b.q, x.Rows, b.n, b.n+k)
	b.noise = widen(b.noise, x.Rows, b.n, b.n+k)
	add := b.q.Slice(0, x.Rows, b.n, b.n+k)
	la.Gemm(la.N, la.N, 1, e, v, 0, add)
	// Division by small norms has amplified rounding: once more orthogonal to the old directions, and orthonormal.
	if b.n > 0 {
		r = la.New[float64](b.n, k)
		la.Gemm(la.T, la.N, 1/s, view(b.q, b.n), add, 0, r)
		la.Gemm(la.N, la.N, -1, view(b.q, b.n), r, 1, add)
	}
	if err := whiten(add); err != nil {
		return 0, false, err
	}
	z, err := b.pool.Draw(k)
	if err != nil {
		return 0, false, err
	}
	for i := range x.Rows {
		copy(b.noise.Row(i)[b.n:b.n+k], z.Row(i))
	}
	b.n += k
	return k, more, nil
}

// Mul sets dst ← W_r x/√N.
func (w *Matrix) Mul(r int, dst, x la.Mat[float64]) {
	k, err := w.forward.extend(x, w.tol)
	if err != nil && w.err == nil {
		w.err = err
	}
	n := w.forward.n
	if k > 0 {
		for i := range w.m {
			w.m[i] = widen(w.m[i], w.sites, n-k, n)
		}
	}
	s := float64(w.sites)
	if cap(w.last.Data) < n*x.Cols {
		w.last.Data = make([]float64, 2*n*x.Cols)
	}
	w.last = la.Mat[float64]{Rows: n, Cols: x.Cols, Stride: x.Cols, Data: w.last.Data[:n*x.Cols]}
	if n == 0 {
		dst.Zero()
		return
	}
	la.Gemm(la.T, la.N, 1/s, view(w.forward.q, n), x, 0, w.last)
	la.Gemm(la.N, la.N, w.d[r], view(w.forward.noise, n), w.last, 0, dst)
	la.Gemm(la.N, la.N, 1, view(w.m[r], n), w.last, 1, dst)
	if g := w.backward.n; g > 0 && w.d[r] != 0 && !w.NoResponse {
		a := w.scratch(g, x.Cols)
		la.Gemm(la.T, la.N, w.d[r]/s, view(w.backward.noise, g), x, 0, a)
		la.Gemm(la.N, la.N, 1, view(w.backward.q, g), a, 1, dst)
	}
}

// MulT sets dst ← W_rᵀ y/√N.
func (w *Matrix) MulT(r int, dst, y la.Mat[float64]) {
	if _, err := w.backward.extend(y, w.tol); err != nil && w.err == nil {
		w.err = err
	}
	s := float64(w.sites)
	dst.Zero()
	if g := w.backward.n; g > 0 && w.d[r] != 0 {
		a := w.scratch(g, y.Cols)
		la.Gemm(la.T, la.N, w.d[r]/s, view(w.backward.q, g), y, 0, a)
		la.Gemm(la.N, la.N, 1, view(w.backward.noise, g), a, 1, dst)
	}
	if n := w.forward.n; n > 0 {
		b := w.scratch(n, y.Cols)
		if w.NoResponse {
			b.Zero()
		} else {
			la.Gemm(la.T, la.N, w.d[r]/s, view(w.forward.noise, n), y, 0, b)
		}
		la.Gemm(la.T, la.N, 1/s, view(w.m[r], n), y, 1, b)
		la.Gemm(la.N, la.N, 1, view(w.forward.q, n), b, 1, dst)
	}
}

// Err is the first error of a product: noise that ran out, or a field that is not finite. Products after it are meaningless.
func (w *Matrix) Err() error { return w.err }

// AddOuter sets W_r/√N ← beta·W_r/√N + a·y xᵀ/N, where x is the first columns of what Mul was last given.
func (w *Matrix) AddOuter(r int, beta, a float64, y, _ la.Mat[float64]) {
	w.d[r] *= beta
	n := w.forward.n
	if n == 0 {
		return
	}
	if beta == 0 {
		w.d[r] = 0
	}
	la.Gemm(la.N, la.T, a, y, w.last.Slice(0, n, 0, y.Cols), beta, view(w.m[r], n))
}

// Combine sets W_dst ← Σ_j c[j] W_j.
func (w *Matrix) Combine(dst int, c []float64) {
	d := 0.
	regs := make([][]float64, len(w.m))
	for j := range w.m {
		if j < len(c) && c[j] != 0 {
			d += c[j] * w.d[j]
		}
		regs[j] = w.m[j].Data
	}
	w.d[dst] = d
	la.Combine(dst, c, regs)
}

// Error returns the sum over elements of (e/(atol + rtol·max(|a|,|b|)))² and their number.
func (w *Matrix) Error(e, a, b int, atol, rtol float64) (float64, int) {
	sum, n := 0., w.forward.n
	for i := range w.sites {
		x, y, z := w.m[e].Row(i)[:n], w.m[a].Row(i)[:n], w.m[b].Row(i)[:n]
		for j, v := range x {
			q := v / (atol + rtol*math.Max(math.Abs(y[j]), math.Abs(z[j])))
			sum += q * q
		}
	}
	return sum, w.sites * n
}

type saved struct {
	D             []float64
	M             []la.Mat[float64]
	Q, Noise      [2]la.Mat[float64]
	N             [2]int
	Scale, Droppd [2]float64
	Last          la.Mat[float64]
}

// Save and Load keep and restore the matrix, bit for bit. Pools are shared between matrices and kept by their owner.
func (w *Matrix) Save(enc *gob.Encoder) error {
	f, b := &w.forward, &w.backward
	return enc.Encode(saved{D: w.d, M: w.m, Q: [2]la.Mat[float64]{f.q, b.q}, Noise: [2]la.Mat[float64]{f.noise, b.noise}, N: [2]int{f.n, b.n},
		Scale: [2]float64{f.scale, b.scale}, Droppd: [2]float64{f.dropped, b.dropped}, Last: w.last})
}

// Load implements the other half of Save.
func (w *Matrix) Load(dec *gob.Decoder) error {
	var s saved
	if err := dec.Decode(&s); err != nil {
		return err
	}
	w.d, w.m, w.last = s.D, s.M, s.Last
	for i, b := range []*basis{&w.forward, &w.backward} {
		b.q, b.noise, b.n, b.scale, b.dropped = s.Q[i], s.Noise[i], s.N[i], s.Scale[i], s.Droppd[i]
	}
	return nil
}
