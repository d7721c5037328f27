package highdim

import (
	"errors"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/lapack64"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/distuv"
	"gonum.org/v1/gonum/stat/samplemv"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// dataMatrix is the data matrix X, P×D with elements N(0, 1/D), over S sites in place of P points. Weights are rows of coordinates w = Σ_k w_k e_k in an orthonormal
// basis of weight space, |e_k|² = D, and the matrix is held as its columns u_k = X e_k:
//
//	Xw = Σ_k w_k u_k,     (Xᵀg)_k = δ⟨g u_k⟩
//
// An explicit matrix has all of its columns from the start. A conditioned one has those it was multiplied with, and grows by one for every direction v of g that is new,
//
//	u_new = ζ + v/√δ
//
// with ζ fresh noise, made orthogonal over the sites to all noise and all directions before. Then ⟨v u_new⟩ = 1/√δ: the fresh part of Xᵀv has length 1/√δ·δ = √δ.
type dataMatrix struct {
	sites       int
	ratio       float64
	tol         float64
	conditioned bool
	rng         *rand.Rand

	u       la.Mat[float64] // k×S in use
	k       int
	v       la.Mat[float64] // directions of g, orthonormal
	kv      int
	noise   la.Mat[float64] // orthonormal basis of the constant, all noise and all directions
	kn      int
	even    la.Mat[float64] // noise of the first directions to come
	plain   int             // columns whose noise no longer fitted into the basis
	dropped float64         // largest relative mean square of a direction dropped

	rest, c, gamma la.Mat[float64] // scratch: residual of g, its coefficients, its covariance
	coef           []float64       // scratch: coefficients of one row
	val, work      []float64       // scratch of Syev
}

// conditionedMatrix returns a conditioned matrix over sites that knows its products with the first n directions of weight space, and one more row of noise for labels.
func conditionedMatrix(sites, n int, ratio, tol float64, src *rand.PCG) (x *dataMatrix, label []float64, err error) {
	x = &dataMatrix{sites: sites, ratio: ratio, tol: tol, conditioned: true, rng: rand.New(src)}
	first, err := matchedRows(src, max(n+1, scrambled), sites)
	if err != nil {
		return nil, nil, err
	}
	x.u, x.k = la.New[float64](n, sites), n
	copy(x.u.Data, first.Data[:n*sites])
	x.v = la.New[float64](16, sites)
	x.noise, x.kn = la.New[float64](n+2, sites), n+2
	for i := range sites {
		x.noise.Data[i] = 1
	}
	copy(x.noise.Data[sites:], first.Data[:(n+1)*sites])
	x.even = first.Slice(n+1, first.Rows, 0, sites)
	return x, first.Row(n), nil
}

// explicitMatrix returns all columns of a matrix of the given number of points and dimensions.
func explicitMatrix(points, dim int, src *rand.PCG) *dataMatrix {
	x := &dataMatrix{sites: points, rng: rand.New(src), u: la.New[float64](dim, points), k: dim}
	for i := range x.u.Data {
		x.u.Data[i] = x.rng.NormFloat64()
	}
	return x
}

// rounding is the share of a vector that is nothing but rounding.
const rounding = 1e-24

// scrambled is the number of coordinates that are drawn from a scrambled Halton sequence; in more dimensions it is no better than independent numbers.
const scrambled = 12

// matchedRows returns r rows of standard normal numbers over s sites, orthonormal over the sites and of mean zero. The sites are spread evenly
// (Owen, arXiv 1706.02808): averages at the start are of high powers of few fields, and tails are what makes them noisy.
func matchedRows(src *rand.PCG, r, s int) (la.Mat[float64], error) {
	z := la.New[float64](r, s)
	even := min(r, scrambled)
	batch := mat.NewDense(s, even, nil)
	samplemv.Halton{Kind: samplemv.Owen, Q: distmv.NewUnitUniform(even, nil), Src: src}.Sample(batch)
	for i := range even {
		row := mat.Col(z.Row(i), i, batch)
		for j, x := range row {
			row[j] = distuv.UnitNormal.Quantile(x)
		}
	}
	rng := rand.New(src)
	for i := even * s; i < len(z.Data); i++ {
		z.Data[i] = rng.NormFloat64()
	}
	basis := la.New[float64](r+1, s)
	for i := range s {
		basis.Data[i] = 1
	}
	coef := make([]float64, r+1)
	for i := range r {
		if !orthogonalise(z.Row(i), basis, i+1, coef, rounding) {
			return z, errors.New("highdim: too few samples for the independent fields of the start; raise samples")
		}
		copy(basis.Row(i+1), z.Row(i))
	}
	return z, nil
}

// orthogonalise makes x orthogonal to the first n rows of basis and of mean square one, unless less than the given share of its mean square is left: that is reported, and
// x is of no use. Averages are over columns.
func orthogonalise(x []float64, basis la.Mat[float64], n int, coef []float64, least float64) bool {
	s := float64(len(x))
	b, before := basis.Slice(0, n, 0, len(x)), meanSquare(x)
	m := before
	for range 3 {
		if n == 0 {
			break
		}
		la.Gemv(la.N, 1/s, b, x, 0, coef[:n])
		la.Gemv(la.T, -1, b, coef[:n], 1, x)
		last := m
		if m = meanSquare(x); m > 0.01*last {
			break // nothing was cancelled, so that rounding has not been amplified
		}
	}
	if !(m > least*before) {
		return false
	}
	blas64.Scal(1/math.Sqrt(m), blas64.Vector{N: len(x), Data: x, Inc: 1})
	return true
}

func meanSquare(x []float64) float64 { return mean2(x, x) }

// mean2 is ⟨xy⟩.
func mean2(x, y []float64) float64 {
	return blas64.Dot(blas64.Vector{N: len(x), Data: x, Inc: 1}, blas64.Vector{N: len(y), Data: y, Inc: 1}) / float64(len(x))
}

// Mul sets the rows of dst to the fields of the weights that are rows of w, which may know fewer directions than the matrix.
func (x *dataMatrix) Mul(dst, w la.Mat[float64]) {
	la.Gemm(la.N, la.N, 1, w, x.u.Slice(0, w.Cols, 0, x.sites), 0, dst)
}

// MulT sets dst, n×k, to the averages ⟨g u_k⟩ of the n rows of g; Xᵀg has δ times these as coordinates. A conditioned matrix first grows, so that k is to be
// read from it by [dataMatrix.extend] before.
func (x *dataMatrix) MulT(dst, g la.Mat[float64]) {
	la.Gemm(la.N, la.T, 1/float64(x.sites), g, x.u.Slice(0, x.k, 0, x.sites), 0, dst)
}

// extend makes a conditioned matrix know every direction of the rows of g above the tolerance, and returns its number of columns.
func (x *dataMatrix) extend(g la.Mat[float64]) (int, error) {
	if !x.conditioned || math.IsInf(x.ratio, 1) {
		return x.k, nil
	}
	n, s := g.Rows, float64(x.sites)
	size := 0.
	for i := range n {
		size = max(size, meanSquare(g.Row(i)))
	}
	if size == 0 || math.IsNaN(size) || math.IsInf(size, 0) {
		return x.k, nil // the loss is not finite either, which the training loop reports
	}
	if x.rest.Rows != n {
		x.rest, x.gamma = la.New[float64](n, x.sites), la.New[float64](n, n)
		x.val, x.work = make([]float64, n), make([]float64, max(64*n, 3*n))
	}
	// What is left of g outside of the known directions, by Pythagoras: most steps end here.
	left := 0.
	known := x.v.Slice(0, x.kv, 0, x.sites)
	x.c = room(x.c, n, x.kv)
	if x.kv > 0 {
		la.Gemm(la.N, la.T, 1/s, g, known, 0, x.c)
	}
	for i := range n {
		left += meanSquare(g.Row(i))
		for _, c := range x.c.Row(i) {
			left -= c * c
		}
	}
	if left <= x.tol*x.tol*size { // no direction can be larger than all together
		x.dropped = max(x.dropped, left/size)
		return x.k, nil
	}
	copy(x.rest.Data, g.Data)
	if x.kv > 0 {
		la.Gemm(la.N, la.N, -1, x.c, known, 1, x.rest)
		la.Gemm(la.N, la.T, 1/s, x.rest, known, 0, x.c) // once more, against rounding
		la.Gemm(la.N, la.N, -1, x.c, known, 1, x.rest)
	}
	// Principal directions of what is new: the largest first.
	la.Gemm(la.N, la.T, 1/s, x.rest, x.rest, 0, x.gamma)
	if !lapack64.Syev(lapack.EVCompute, blas64.Symmetric{N: n, Stride: n, Data: x.gamma.Data, Uplo: blas.Upper}, x.val, x.work, len(x.work)) {
		return x.k, errors.New("highdim: the eigenvalues of a sample covariance do not converge; a field is not finite")
	}
	found := x.kv
	for j := n - 1; j >= 0; j-- {
		if x.val[j] <= x.tol*x.tol*size {
			x.dropped = max(x.dropped, x.val[j]/size)
			break
		}
		if x.kv >= x.sites-1 {
			return x.k, errors.New("highdim: the run has met as many directions as there are samples; raise samples")
		}
		x.direction(j)
	}
	for ; found < x.kv; found++ { // once all directions are known, so that noise is orthogonal to each
		if err := x.column(x.v.Row(found)); err != nil {
			return x.k, err
		}
	}
	return x.k, nil
}

// direction adds eigenvector j of the residual to the directions.
func (x *dataMatrix) direction(j int) {
	x.v = grow(x.v, x.kv, x.sites)
	x.reserve()
	v := x.v.Row(x.kv)
	la.GemvInc(la.T, 1, x.rest, x.gamma.Data[j:], x.gamma.Stride, 0, v, 1)
	if !orthogonalise(v, x.v, x.kv, x.coef, rounding) {
		return // nothing but rounding
	}
	x.kv++
	if x.full() {
		return
	}
	x.noise = grow(x.noise, x.kn, x.sites)
	n := x.noise.Row(x.kn)
	copy(n, v)
	// A direction in the span of what is known already (every one is, in a linear model) has nothing but rounding to add.
	if orthogonalise(n, x.noise, x.kn, x.coef, 1e-12) {
		x.kn++
	}
}

// full says whether the basis of noise takes so much of the sites that what is orthogonal to it would not be random any more.
func (x *dataMatrix) full() bool { return x.kn+2 > x.sites/2 }

func (x *dataMatrix) reserve() {
	if n := x.kv + x.kn + 4; len(x.coef) < n {
		x.coef = make([]float64, 2*n)
	}
}

// column adds the column u = ζ + v/√δ.
func (x *dataMatrix) column(v []float64) error {
	x.u = grow(x.u, x.k, x.sites)
	x.reserve()
	u := x.u.Row(x.k)
	against, n := x.noise, x.kn
	if x.full() {
		against, n = x.v, x.kv
		x.plain++
	}
	if x.even.Rows > 0 {
		copy(u, x.even.Row(0))
		x.even = x.even.Slice(1, x.even.Rows, 0, x.sites)
	} else {
		for i := range u {
			u[i] = x.rng.NormFloat64()
		}
	}
	if !orthogonalise(u, against, n, x.coef, rounding) {
		return errors.New("highdim: the samples leave no room for fresh noise; raise samples")
	}
	if !x.full() {
		x.noise = grow(x.noise, x.kn, x.sites)
		copy(x.noise.Row(x.kn), u)
		x.kn++
	}
	la.Axpy(1/math.Sqrt(x.ratio), v, u)
	x.k++
	return nil
}

// span returns ⟨(projection of g)²⟩ onto the directions known.
func (x *dataMatrix) span(g []float64) float64 {
	if x.kv == 0 {
		return 0
	}
	if len(x.coef) < x.kv {
		x.coef = make([]float64, 2*x.kv)
	}
	c := x.coef[:x.kv]
	la.Gemv(la.N, 1/float64(x.sites), x.v.Slice(0, x.kv, 0, x.sites), g, 0, c)
	s := 0.
	for _, a := range c {
		s += a * a
	}
	return s
}

// grow returns m with room for row n.
func grow(m la.Mat[float64], n, cols int) la.Mat[float64] {
	if n < m.Rows {
		return m
	}
	rows := max(16, n+n/2+1)
	out := la.New[float64](rows, cols)
	copy(out.Data, m.Data[:n*cols])
	return out
}

// room returns an r×c matrix, in the memory of m where that is enough.
func room(m la.Mat[float64], r, c int) la.Mat[float64] {
	if cap(m.Data) < r*c {
		m.Data = make([]float64, 2*r*c)
	}
	return la.Mat[float64]{Rows: r, Cols: c, Stride: c, Data: m.Data[:r*c]}
}

// conditionedBytes is the memory of k columns over s sites.
func conditionedBytes(s, k int) int64 { return 8 * int64(s) * int64(k) * 6 } // u, v, two in noise, half as much again while growing
