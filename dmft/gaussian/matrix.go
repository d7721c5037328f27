package gaussian

import (
	"encoding/gob"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// Matrix is an infinitely large Gaussian matrix W, known only through the products already made with it. It has δ times
// as many rows as columns (δ = 1 for the hidden weights of a network), and elements of variance one over the number N
// of columns with the factor 1/√N that is part of every product.
//
// On the side of its rows, vectors are samples of their components over S sites, and inner products are averages over
// sites. On the side of its columns they are the same (NewMatrix), or they are exact coordinates in an orthonormal
// basis that grows (NewData): weights that a data matrix is multiplied with.
//
// Two orthonormal bases grow with the products: Qφ spans every x that W was multiplied with and Qg every y that Wᵀ was;
// each direction has a column of white noise on the other side, ω and ζ, orthogonal to the directions that are known
// there when it is drawn: ⟨ω Qg⟩ = 0 and ⟨ζ Qφ⟩ = 0, so that products of the past stay. With R(x) = ⟨Qφ x⟩ and R'(y) =
// ⟨Qg y⟩, after extending the bases by x and y,
//
//	W x /√N  = V R(x) + d/√δ Qg ⟨ζ x⟩          V = dω + M
//	W* y     = d/√δ ζ R'(y) + Qφ ⟨V y⟩         ⟨y, W x/√N⟩ = ⟨W* y, x⟩,   W* = Wᵀ√N/(δN), which is Wᵀ/√N for δ = 1
//
// The terms ⟨ζ x⟩ and ⟨ω y⟩ are the response functions A and B of the mean field theory: Stein's lemma in whitened
// coordinates. What is learned is the S×k factor M, what is left of the initial matrix the number d:
//
//	W ← βW + a·y xᵀ/N:   d ← βd,  V ← βV + a·y R(x)ᵀ
//
// (d, V) live in registers, so that every optimiser that combines gradients linearly acts on them as on weights.
//
// With exact coordinates Qφ is the identity, and the noise ζ of a new direction q of y a direction of the columns'
// space that nothing has met, a new coordinate axis. The response to it is then a part of V, whose column for the axis
// is d(ω + q/√δ).
type Matrix struct {
	sites    int
	tol      float64
	c        float64 // 1/√δ
	exact    bool    // columns have exact coordinates
	complete bool    // and all of them are known
	forward  basis   // Qφ and ω; with exact coordinates their number, and where ω comes from
	backward basis   // Qg and ζ
	d        []float64
	v        []la.Mat[float64] // by register: sites × capacity of forward
	data     [][]float64       // of v
	a        []float64         // scratch: coordinates of the other term of a product
	err      error

	// NoResponse leaves out the responses ⟨ζ x⟩ and ⟨ω y⟩, as if W and Wᵀ were independent at the start: the
	// gradient-independence approximation. It is for matrices without exact coordinates.
	NoResponse bool
}

// basis is one of the two bases with its noise.
type basis struct {
	q, noise la.Mat[float64] // sites × capacity, n columns in use
	n        int
	present  bool            // directions are measured against the vectors at hand, not against the largest ever seen
	scale    float64         // mean square that directions are measured against
	pool     *Pool           // of noise, nil if it is not kept
	beside   beside          // what the directions of the other basis have beyond the noise of the pool
	dropped  float64         // largest relative mean square that was dropped
	coords   la.Mat[float64] // Qᵀx/S of the last x, n × its columns

	// Scratch, which grows as needed.
	r, again, res, gram, vec, work []float64
	piv                            []int
	e                              []float64
}

// NewMatrix returns a matrix over sites whose noise comes from the pools of the sites it feeds: omega for the sites of
// W x, zeta for those of Wᵀy. Directions whose mean square is below tol relative to the largest seen are dropped.
func NewMatrix(sites int, tol float64, omega, zeta *Pool) *Matrix {
	w := newMatrix(sites, tol, 1)
	w.forward.pool, w.backward.pool = omega, zeta
	return w
}

// NewData returns a matrix of ratio times as many rows as columns, known by its products with the first n axes of exact
// coordinates. Noise comes from omega, which has no copies. Directions whose mean square is below tol relative to the
// vectors at hand are dropped: what drives a network to its end is small by then, and still new.
func NewData(sites, n int, ratio, tol float64, omega *Pool) (*Matrix, error) {
	w := newMatrix(sites, tol, ratio)
	w.exact, w.backward.present = true, true
	w.forward.pool = omega
	return w, w.axes(n)
}

// NewExplicit returns a matrix all of whose products with the axes of exact coordinates are given, the columns of v,
// which it keeps: ordinary data.
func NewExplicit(v field.Mat[float64]) *Matrix {
	w := newMatrix(v.Rows, 0, 1)
	w.exact, w.complete = true, true
	w.v[0], w.data[0], w.forward.n = v, v.Data, v.Cols
	return w
}

func newMatrix(sites int, tol, ratio float64) *Matrix {
	return &Matrix{sites: sites, tol: tol, c: 1 / math.Sqrt(ratio), d: []float64{1},
		v: []la.Mat[float64]{la.New[float64](sites, 0)}, data: [][]float64{nil}}
}

// Ranks are the numbers of directions of x and y that the matrix has been multiplied with, and the largest relative
// mean square dropped. With exact coordinates, the first is the number of axes.
func (w *Matrix) Ranks() (forward, backward int, dropped float64) {
	return w.forward.n, w.backward.n, max(w.forward.dropped, w.backward.dropped)
}

// Column returns what W does to axis k of exact coordinates, S numbers.
func (w *Matrix) Column(k int) []float64 {
	out := make([]float64, w.sites)
	for i := range out {
		out[i] = w.v[0].Row(i)[k]
	}
	return out
}

// Reserve makes at least n registers exist.
func (w *Matrix) Reserve(n int) {
	for len(w.v) < n {
		v := la.New[float64](w.sites, w.v[0].Cols)
		w.d, w.v, w.data = append(w.d, 0), append(w.v, v), append(w.data, v.Data)
	}
}

// view is the used part of a matrix with spare columns.
func view(m la.Mat[float64], n int) la.Mat[float64] { return m.Slice(0, m.Rows, 0, n) }

// grow returns an r×c matrix in buf, which is made larger if need be. Its content is arbitrary.
func grow(buf *[]float64, r, c int) la.Mat[float64] {
	if cap(*buf) < r*c {
		*buf = make([]float64, r*c+r*c/2)
	}
	return la.Mat[float64]{Rows: r, Cols: c, Stride: c, Data: (*buf)[:r*c]}
}

// widen returns m with at least n columns of room, the first used columns kept.
func widen(m la.Mat[float64], rows, used, n int) la.Mat[float64] {
	if n <= m.Cols {
		return m
	}
	out := la.New[float64](rows, max(n, 3*m.Cols/2, 16))
	for i := range rows {
		if used > 0 {
			copy(out.Row(i), m.Row(i)[:used])
		}
	}
	return out
}

// extend makes the span of b hold the columns of x, up to tol, sets coords, and reports how many directions were added;
// their noise is orthogonal to the directions of the other basis. One pass resolves directions whose mean squares span
// resolution; smaller ones that still matter are found by the next.
func (b *basis) extend(x la.Mat[float64], tol float64, other la.Mat[float64]) (int, error) {
	total := 0
	for {
		k, more, err := b.pass(x, tol, other)
		total += k
		if err != nil || !more {
			return total, err
		}
	}
}

const (
	// resolution is how much smaller than the largest an eigenvalue may be and still be right to a few digits.
	resolution = 1e-11
	// A residual computed as a difference of Gram matrices is right to some 1e-14 of the fields: enough for tolerances
	// above differenceTol.
	differenceTol = 1e-10
	// Fields whose mean square is below it, where float64 has lost digits, count as zero.
	vanishing = 1e-290
)

// pass is one pass of extend; more says that directions below the resolution were left.
func (b *basis) pass(x la.Mat[float64], tol float64, other la.Mat[float64]) (added int, more bool, err error) {
	s, p := float64(x.Rows), x.Cols
	if p == 0 {
		return 0, false, nil
	}
	b.coords = grow(&b.r, b.n, p)
	la.Gemm(la.T, la.N, 1/s, view(b.q, b.n), x, 0, b.coords)
	res := grow(&b.res, p, p)
	la.Gemm(la.T, la.N, 1/s, x, x, 0, res)
	total, most := 0., 0.
	for i := range p {
		total += res.Row(i)[i]
		most = max(most, res.Row(i)[i])
	}
	if math.IsNaN(total) || math.IsInf(total, 0) {
		return 0, false, nil // the product is not finite either, which the training loop reports
	}
	if b.present {
		b.scale = most
	} else {
		b.scale = max(b.scale, total/float64(p))
	}
	if b.scale < vanishing {
		return 0, false, nil
	}
	if b.n > 0 && tol > differenceTol {
		// Mostly there is nothing new, which the covariance of the residual says without the residual.
		la.Gemm(la.T, la.N, -1, b.coords, b.coords, 1, res)
		if k, largest, _, err := b.principal(res, tol); k == 0 {
			b.dropped = max(b.dropped, largest/b.scale)
			return 0, false, err
		}
	}
	e := grow(&b.e, x.Rows, p)
	for i := range x.Rows {
		copy(e.Row(i), x.Row(i))
	}
	if b.n > 0 {
		la.Gemm(la.N, la.N, -1, view(b.q, b.n), b.coords, 1, e)
		again := grow(&b.again, b.n, p) // twice is enough
		la.Gemm(la.T, la.N, 1/s, view(b.q, b.n), e, 0, again)
		la.Gemm(la.N, la.N, -1, view(b.q, b.n), again, 1, e)
		la.Axpy(1, again.Data, b.coords.Data)
	}
	la.Gemm(la.T, la.N, 1/s, e, e, 0, res)
	k, largest, v, err := b.principal(res, tol)
	if k == 0 || err != nil {
		b.dropped = max(b.dropped, largest/b.scale)
		return 0, false, err
	}
	more = largest > tol*b.scale
	if !more {
		b.dropped = max(b.dropped, largest/b.scale)
	}
	if b.n+k > x.Rows {
		return 0, false, fmt.Errorf("gaussian: the run has met more directions than there are samples, %d; raise "+
			"samples", x.Rows)
	}
	b.q = widen(b.q, x.Rows, b.n, b.n+k)
	add := b.q.Slice(0, x.Rows, b.n, b.n+k)
	la.Gemm(la.N, la.N, 1, e, v, 0, add)
	// Division by small norms has amplified rounding: once more orthogonal to the old directions, and orthonormal.
	if b.n > 0 {
		r := grow(&b.again, b.n, k)
		la.Gemm(la.T, la.N, 1/s, view(b.q, b.n), add, 0, r)
		la.Gemm(la.N, la.N, -1, view(b.q, b.n), r, 1, add)
	}
	if !la.Whiten(add, grow(&b.gram, k, k)) {
		return 0, false, errSingular(k, x.Rows)
	}
	if b.pool != nil {
		b.noise = widen(b.noise, x.Rows, b.n, b.n+k)
		if err := b.pool.drawBeside(b.noise.Slice(0, x.Rows, b.n, b.n+k), &b.beside, other); err != nil {
			return 0, false, err
		}
	}
	old := b.coords
	b.coords = grow(&b.r, b.n+k, p)
	copy(b.coords.Data, old.Data)
	la.Gemm(la.T, la.N, 1/s, add, x, 0, b.coords.Slice(b.n, b.n+k, 0, p))
	b.n += k
	return k, more, nil
}

// principal finds the principal directions of residuals with covariance res, P×P, which is overwritten: those above tol
// and the resolution, largest first, as the P×k matrix v that makes them of unit mean square, and the largest
// eigenvalue that was left out. A pivoted Cholesky factor leaves the many columns with nothing new to it out of the
// eigenvalue problem.
func (b *basis) principal(res la.Mat[float64], tol float64) (k int, left float64, v la.Mat[float64], err error) {
	p := res.Rows
	if cap(b.piv) < p {
		b.piv = make([]int, p)
	}
	piv, work := b.piv[:p], grow(&b.work, 1, 4*p).Data
	most := 0.
	for i := range p {
		most = max(most, res.Row(i)[i])
	}
	if most <= 0 {
		return 0, 0, v, nil
	}
	u, rank, _ := lapack64.Pstrf(blas64.Symmetric{N: p, Stride: p, Data: res.Data, Uplo: blas.Upper}, piv,
		max(tol*b.scale/8, 1e-15*most), work)
	if rank == 0 {
		return 0, most, v, nil
	}
	// The covariance is UᵀU with U of rank rows, up to the pivoting; U Uᵀ has the same eigenvalues, and eigenvectors a
	// that give those of UᵀU as Uᵀa/√λ.
	for i := range rank {
		clear(u.Data[i*p : i*p+i])
	}
	um := la.Mat[float64]{Rows: rank, Cols: p, Stride: p, Data: u.Data[:rank*p]}
	g := grow(&b.gram, rank, rank)
	la.Gemm(la.N, la.T, 1, um, um, 0, g)
	val := work[:rank]
	scale := la.Moderate(g.Data)
	if !lapack64.Syev(lapack.EVCompute, blas64.Symmetric{N: rank, Stride: rank, Data: g.Data, Uplo: blas.Upper}, val,
		work[p:], 3*p) {
		return 0, 0, v, errEigen
	}
	if scale != 1 {
		for i := range val {
			val[i] *= scale
		}
	}
	for i := rank - 1; i >= 0; i-- {
		if left = val[i]; val[i] <= tol*b.scale || val[i] < resolution*val[rank-1] {
			break
		}
		k++
		left = 0
	}
	if k == 0 {
		return 0, left, v, nil
	}
	v = grow(&b.vec, p, k)
	v.Zero()
	for j := range k {
		c := rank - 1 - j
		for i := range rank {
			a := g.Data[i*rank+c] / val[c]
			for q := range p {
				v.Data[piv[q]*k+j] += a * um.Data[i*p+q]
			}
		}
	}
	return k, left, v, nil
}

// Extend makes the matrix know the directions of y and returns the rank of the other side, with exact coordinates the
// number of axes there are then. Without, MulT does it by itself.
func (w *Matrix) Extend(y field.Mat[float64]) (axes int, err error) {
	if w.complete || w.exact && w.c == 0 { // a direction of infinitely many rows has nothing to do with any column
		return w.forward.n, w.err
	}
	k, err := w.backward.extend(y, w.tol, w.known(&w.forward))
	if err == nil && w.exact && k > 0 {
		err = w.axes(k)
	}
	if err != nil && w.err == nil {
		w.err = err
	}
	return w.forward.n, w.err
}

// known are the directions of a basis that noise of the other side is drawn orthogonal to: what is known of the matrix
// says nothing about the rest of it.
func (w *Matrix) known(b *basis) la.Mat[float64] {
	if w.NoResponse || w.exact && b == &w.forward {
		return la.Mat[float64]{}
	}
	return view(b.q, b.n)
}

// axes adds k axes of exact coordinates. Those of the start nothing has met; later ones are what the last k directions
// of y meet.
func (w *Matrix) axes(k int) error {
	n, g := w.forward.n, w.backward.n
	var q la.Mat[float64]
	if g > 0 {
		q = w.backward.q.Slice(0, w.sites, g-k, g)
	}
	w.widen(n, n+k)
	omega := w.v[0].Slice(0, w.sites, n, n+k)
	if err := w.forward.pool.drawBeside(omega, &w.forward.beside, w.known(&w.backward)); err != nil {
		return err
	}
	for r := len(w.v) - 1; r >= 0; r-- {
		for i := range w.sites {
			dst, z := w.v[r].Row(i)[n:n+k], omega.Row(i)
			for j := range dst {
				u := z[j]
				if q.Cols > 0 {
					u += w.c * q.Row(i)[j]
				}
				dst[j] = w.d[r] * u
			}
		}
	}
	w.forward.n = n + k
	return nil
}

// widen makes room for n columns in every register, of which used hold something.
func (w *Matrix) widen(used, n int) {
	for i := range w.v {
		w.v[i] = widen(w.v[i], w.sites, used, n)
		w.data[i] = w.v[i].Data
	}
}

// Mul sets dst ← W_r x/√N. Exact coordinates may be of the first axes alone, and must be of axes that exist.
func (w *Matrix) Mul(r int, dst, x field.Mat[float64]) {
	if w.exact {
		if x.Rows > w.forward.n {
			panic("gaussian: coordinates of more axes than the matrix has")
		}
		la.Gemm(la.N, la.N, 1, view(w.v[r], x.Rows), x, 0, dst)
		return
	}
	k, err := w.forward.extend(x, w.tol, w.known(&w.backward))
	if err != nil && w.err == nil {
		w.err = err
	}
	n := w.forward.n
	if k > 0 {
		noise := w.forward.noise.Slice(0, w.sites, n-k, n)
		w.widen(n-k, n)
		for i := range w.v {
			for j := range w.sites {
				for c, z := range noise.Row(j) {
					w.v[i].Row(j)[n-k+c] = w.d[i] * z
				}
			}
		}
	}
	if n == 0 { // nothing but zeros so far
		dst.Zero()
		return
	}
	la.Gemm(la.N, la.N, 1, view(w.v[r], n), w.forward.coords, 0, dst)
	if g := w.backward.n; g > 0 && w.d[r] != 0 && !w.NoResponse {
		a := grow(&w.a, g, x.Cols)
		la.Gemm(la.T, la.N, w.c*w.d[r]/float64(w.sites), view(w.backward.noise, g), x, 0, a)
		la.Gemm(la.N, la.N, 1, view(w.backward.q, g), a, 1, dst)
	}
}

// MulT sets dst ← W_r* y, which is W_rᵀy/√N for δ = 1. Exact coordinates are those of the first axes, as many as dst
// has rows: Extend comes first, and says how many there are.
func (w *Matrix) MulT(r int, dst, y field.Mat[float64]) {
	s := float64(w.sites)
	if w.exact {
		la.Gemm(la.T, la.N, 1/s, view(w.v[r], dst.Rows), y, 0, dst)
		return
	}
	w.Extend(y)
	if g := w.backward.n; g > 0 && w.d[r] != 0 {
		la.Gemm(la.N, la.N, w.c*w.d[r], view(w.backward.noise, g), w.backward.coords, 0, dst)
	} else {
		dst.Zero()
	}
	if n := w.forward.n; n > 0 {
		b := grow(&w.a, n, y.Cols)
		la.Gemm(la.T, la.N, 1/s, view(w.v[r], n), y, 0, b)
		if w.NoResponse {
			la.Gemm(la.T, la.N, -w.d[r]/s, view(w.forward.noise, n), y, 1, b)
		}
		la.Gemm(la.N, la.N, 1, view(w.forward.q, n), b, 1, dst)
	}
}

// Forward returns the coordinates ⟨Qφ x⟩ of fields that W has been multiplied with, and their correlations ⟨ζ x⟩ with
// the noise of Wᵀ: responses in whitened coordinates. It is for matrices without exact coordinates.
func (w *Matrix) Forward(x field.Mat[float64]) (r, a field.Mat[float64]) {
	return correlate(view(w.forward.q, w.forward.n), x), correlate(view(w.backward.noise, w.backward.n), x)
}

// Backward returns ⟨Qg y⟩ and ⟨ω y⟩, or with exact coordinates ⟨V y⟩. It does not extend the bases.
func (w *Matrix) Backward(y field.Mat[float64]) (r, b field.Mat[float64]) {
	other := w.forward.noise
	if w.exact {
		other = w.v[0]
	}
	return correlate(view(w.backward.q, w.backward.n), y), correlate(view(other, w.forward.n), y)
}

func correlate(q, x la.Mat[float64]) la.Mat[float64] {
	c := la.New[float64](q.Cols, x.Cols)
	la.Gemm(la.T, la.N, 1/float64(x.Rows), q, x, 0, c)
	return c
}

// Err is the first error of a product: noise that ran out, or a field that is not finite. Products after it are
// meaningless.
func (w *Matrix) Err() error { return w.err }

// AddOuter sets W_r/√N ← beta·W_r/√N + a·y xᵀ/N, where x is the first columns of what Mul was last given.
func (w *Matrix) AddOuter(r int, beta, a float64, y, x field.Mat[float64]) {
	if beta == 0 {
		w.d[r] = 0
	}
	w.d[r] *= beta
	if w.exact {
		v := view(w.v[r], w.forward.n)
		if beta != 1 && x.Rows < w.forward.n { // axes that x has nothing of
			for i := range w.sites {
				row := v.Row(i)[x.Rows:]
				for j := range row {
					row[j] *= beta
				}
			}
		}
		la.Gemm(la.N, la.T, a, y, x, beta, view(v, x.Rows))
		return
	}
	if n := w.forward.n; n > 0 {
		la.Gemm(la.N, la.T, a, y, w.forward.coords.Slice(0, n, 0, y.Cols), beta, view(w.v[r], n))
	}
}

// Combine sets W_dst ← Σ_j c[j] W_j.
func (w *Matrix) Combine(dst int, c []float64) {
	d := 0.
	for j, x := range c {
		if x != 0 {
			d += x * w.d[j]
		}
	}
	w.d[dst] = d
	la.Combine(dst, c, w.data)
}

// Error returns the sum over elements of (e/(atol + rtol·max(|a|,|b|)))² and their number.
func (w *Matrix) Error(e, a, b int, atol, rtol float64) (float64, int) {
	sum, n := 0., w.forward.n
	for i := range w.sites {
		x, y, z := w.v[e].Row(i)[:n], w.v[a].Row(i)[:n], w.v[b].Row(i)[:n]
		for j, v := range x {
			q := v / (atol + rtol*math.Max(math.Abs(y[j]), math.Abs(z[j])))
			sum += q * q
		}
	}
	return sum, w.sites * n
}

type saved struct {
	D              []float64
	V              []la.Mat[float64] // encoded before, not here
	Q, Noise       [2]la.Mat[float64]
	N              [2]int
	Scale, Dropped [2]float64
	Forward        la.Mat[float64]
	Beside         [2]beside
	Exact          bool
}

// fits says whether what was saved is a matrix like w, with all that its numbers of directions promise.
func (s *saved) fits(w *Matrix) bool {
	if len(s.V) != len(w.v) || len(s.D) != len(w.d) || len(s.D) != len(s.V) || len(s.V) == 0 {
		return false
	}
	for _, v := range s.V {
		if v.Cols != s.V[0].Cols || v.Cols < s.N[0] || !v.Fills(w.sites, v.Cols) {
			return false
		}
	}
	for i := range s.N {
		n := s.N[i]
		if n < 0 || n > w.sites && !w.exact || math.IsNaN(s.Scale[i]) || math.IsNaN(s.Dropped[i]) {
			return false
		}
		// With exact coordinates the forward side has no basis, and neither side keeps its noise here.
		if q := s.Q[i]; n > 0 && !(w.exact && i == 0) && (q.Cols < n || !q.Fills(w.sites, q.Cols)) {
			return false
		}
		if z := s.Noise[i]; n > 0 && !w.exact && (z.Cols < n || !z.Fills(w.sites, z.Cols)) {
			return false
		}
		if !s.Beside[i].fits(w.sites) {
			return false
		}
	}
	f := s.Forward
	return len(f.Data) == 0 || f.Rows <= s.N[0] && f.Fills(f.Rows, f.Cols)
}

// fits says whether b can belong to a pool over some sites.
func (b *beside) fits(sites int) bool {
	if b.N < 0 || b.From < 0 || b.Seen < 0 || b.E.Cols < b.N {
		return false
	}
	return b.N == 0 || b.E.Rows > 0 && sites%b.E.Rows == 0 && b.E.Fills(b.E.Rows, b.E.Cols)
}

// Save and Load keep and restore the matrix, bit for bit. Pools are shared between matrices and kept by their owner.
func (w *Matrix) Save(enc *gob.Encoder) error {
	f, b := &w.forward, &w.backward
	for _, v := range w.v { // one by one: an encoder keeps what it encodes
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	return enc.Encode(saved{D: w.d, Q: [2]la.Mat[float64]{f.q, b.q}, Noise: [2]la.Mat[float64]{f.noise, b.noise},
		N:     [2]int{f.n, b.n},
		Scale: [2]float64{f.scale, b.scale}, Dropped: [2]float64{f.dropped, b.dropped}, Forward: f.coords,
		Beside: [2]beside{f.beside, b.beside}, Exact: w.exact})
}

// Load implements the other half of Save.
func (w *Matrix) Load(dec *gob.Decoder) error {
	vs := make([]la.Mat[float64], len(w.v))
	for i := range vs {
		if err := dec.Decode(&vs[i]); err != nil {
			return err
		}
	}
	var s saved
	if err := dec.Decode(&s); err != nil {
		return err
	}
	s.V = vs
	if s.Exact != w.exact || !s.fits(w) {
		return errors.New("gaussian: the saved matrix is of another kind")
	}
	w.d, w.v, w.data, w.forward.coords = s.D, s.V, nil, s.Forward
	for _, v := range w.v {
		w.data = append(w.data, v.Data)
	}
	for i, b := range []*basis{&w.forward, &w.backward} {
		b.q, b.noise, b.n, b.scale, b.dropped, b.beside = s.Q[i], s.Noise[i], s.N[i], s.Scale[i], s.Dropped[i], s.Beside[i]
	}
	return nil
}
