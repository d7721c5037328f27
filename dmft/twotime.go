package dmft

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// A history keeps the fields of a batch of replicas at some steps, to compare any two of them at the end. Column (j·P +
// μ)·C + c is the j-th step kept, point μ and, for g, output c.
type history struct {
	Phi, G []la.Mat[float64] // layer: rows × columns
	Known  [][][][2]int      // step kept, hidden matrix, replica: directions it had seen
}

// twoTimeSteps are the steps of a history.
func (r Record) twoTimeSteps(p *Problem) []int { return evenly(r.TwoTime, p.Training.Steps+1) }

// twoTimeBytes is the memory of a history of the given rows, and that of the kernels made of it, mean and spread.
func (r Record) twoTimeBytes(p *Problem, rows int64) (fields, kernels int64) {
	np, _, _, c := p.Data.sizes()
	n, l := float64(max(min(r.TwoTime, p.Training.Steps+1), 0))*float64(np), float64(p.Network.Depth)
	nc := n * float64(c)
	return la.Bytes(8 * float64(rows) * l * (n + nc)), la.Bytes(16 * (l*(n*n+nc*nc) + 2*(l-1)*n*nc))
}

// keep adds the state of a network as step number j of n.
func (h *history) keep(nw *kernelFields, j, n int) {
	p, c := nw.points, len(nw.g)
	if h.Phi == nil {
		for range nw.phi {
			h.Phi, h.G = append(h.Phi, la.New[float64](nw.rows, n*p)), append(h.G, la.New[float64](nw.rows, n*p*c))
		}
	}
	for l := range nw.phi {
		for i := range nw.rows {
			nw.phi[l](h.Phi[l].Row(i)[j*p:(j+1)*p], i)
			dst := h.G[l].Row(i)[j*p*c : (j+1)*p*c]
			for o := range c {
				nw.g[o][l](nw.row, i)
				for m, v := range nw.row {
					dst[m*c+o] = v
				}
			}
		}
	}
	h.Known = append(h.Known, nw.known)
}

// kernelFields is a network of either precision as a history sees it: functions that write row i of φ^ℓ and g^ℓ_c.
type kernelFields struct {
	rows, points int
	phi          []func(dst []float64, i int)
	g            [][]func(dst []float64, i int) // output, layer
	known        [][][2]int
	row          []float64
}

// fieldsOf a network with the gradients of every output at hand.
func fieldsOf[T la.Float](nw *network[T]) *kernelFields {
	out := &kernelFields{rows: nw.Replicas * nw.Width, points: nw.pts.Train, row: make([]float64, nw.pts.Train)}
	read := func(m la.Mat[T]) func([]float64, int) {
		return func(dst []float64, i int) { la.Convert(dst, m.Row(i)[:len(dst)]) }
	}
	for _, h := range nw.Hidden {
		out.phi = append(out.phi, read(h.Phi.Value))
	}
	for o := range nw.pts.outputs {
		var layers []func([]float64, int)
		for _, h := range nw.Hidden {
			layers = append(layers, read(h.H.Grad(1+o)))
		}
		out.g = append(out.g, layers)
	}
	for _, layer := range nw.Matrices() {
		var ranks [][2]int
		for _, w := range layer {
			if q, ok := any(w).(*gaussian.Matrix); ok {
				f, b, _ := q.Ranks()
				ranks = append(ranks, [2]int{f, b})
			}
		}
		out.known = append(out.known, ranks)
	}
	return out
}

// twoTime returns Φ¹…Φ^L, G¹…G^L over pairs of columns of a history, and for the theory of deep networks A¹…A^{L−1},
// B¹…B^{L−1} when every step was kept.
func (h *history) twoTime(nw int, r, c int, hidden [][]*gaussian.Matrix) []float64 {
	l := len(h.Phi)
	np, ng := h.Phi[0].Cols, h.G[0].Cols
	out := make([]float64, l*(np*np+ng*ng), l*(np*np+ng*ng)+2*(l-1)*np*ng)
	part := func(m la.Mat[float64]) la.Mat[float64] { return m.Slice(r*nw, (r+1)*nw, 0, m.Cols) }
	at := 0
	for _, list := range [][]la.Mat[float64]{h.Phi, h.G} {
		for _, m := range list {
			n := m.Cols
			k := la.Mat[float64]{Rows: n, Cols: n, Stride: n, Data: out[at : at+n*n]}
			la.Gemm(la.T, la.N, 1/float64(nw), part(m), part(m), 0, k)
			at += n * n
		}
	}
	if hidden == nil {
		return out
	}
	for _, forward := range []bool{true, false} {
		for i, w := range hidden {
			phi, g := part(h.Phi[i]), part(h.G[i+1])
			x, xn := w[r].Forward(phi)
			y, yn := w[r].Backward(g)
			steps := len(h.Known)
			known := func(j, side int) int { return h.Known[j][i][r][side] }
			if forward { // the field at step j has met the directions of the steps before
				out = append(out, response(xn, y, steps, func(j int) (int, int) {
					if j == 0 {
						return 0, 0
					}
					return known(j-1, 1), j
				})...)
			} else {
				out = append(out, response(yn, x, steps, func(j int) (int, int) { return known(j, 0), j + 1 })...)
			}
		}
	}
	return out
}

// response solves Σ_s R(s) A(t,s)ᵀ = a(t) for the smallest A: a holds the correlations of fields with the noise, one
// row a direction, r the coordinates of the conjugate fields. reach says how many directions and how many steps a field
// at step t depends on. The basis was built so that every direction in it has at least the tolerance in some field,
// which bounds R Rᵀ from below.
func response(a, r la.Mat[float64], steps int, reach func(t int) (directions, times int)) []float64 {
	rows, cols := a.Cols/steps, r.Cols/steps // of one step
	out := make([]float64, a.Cols*r.Cols)
	for t := range steps {
		n, times := reach(t)
		if n == 0 || times == 0 {
			continue
		}
		used := r.Slice(0, n, 0, times*cols)
		g := la.New[float64](n, n)
		la.Syrk(la.N, 1, used, 0, g)
		most := 0.
		for i := range n {
			most = max(most, g.Row(i)[i])
		}
		for i := range n {
			g.Row(i)[i] += 1e-13 * most // a direction may have been seen at a step that was not kept
		}
		if !la.Cholesky(g) {
			fill(out, math.NaN())
			return out
		}
		rhs := la.New[float64](n, rows)
		for i := range n {
			copy(rhs.Row(i), a.Row(i)[t*rows:(t+1)*rows])
		}
		lapack64.Potrs(blas64.Triangular{N: n, Stride: n, Data: g.Data, Uplo: blas.Upper, Diag: blas.NonUnit}, blas64.General{Rows: n, Cols: rows, Stride: rows, Data: rhs.Data})
		dst := la.Mat[float64]{Rows: rows, Cols: times * cols, Stride: r.Cols, Data: out[t*rows*r.Cols:]}
		dst.Data = dst.Data[:(rows-1)*r.Cols+times*cols]
		la.Gemm(la.T, la.N, 1, rhs, used, 0, dst)
	}
	return out
}

func fill(x []float64, v float64) {
	for i := range x {
		x[i] = v
	}
}

// conditioned are the hidden matrices of the theory with responses, else nil.
func (nw *network[T]) conditioned() [][]*gaussian.Matrix {
	var out [][]*gaussian.Matrix
	for _, layer := range nw.Matrices() {
		var list []*gaussian.Matrix
		for _, w := range layer {
			q, ok := any(w).(*gaussian.Matrix)
			if !ok || q.NoResponse {
				return nil
			}
			list = append(list, q)
		}
		out = append(out, list)
	}
	return out
}

// collectTwoTime unpacks the statistics of two-time kernels: from (t,μ,…),(s,ν,…) to t,s,μ,…,ν,….
func (j *job[T]) collectTwoTime(tr *Trajectory) {
	if j.two.N == 0 || tr.Status.Early() {
		return
	}
	p, c, l, n := j.pts.Train, j.pts.outputs, j.p.Network.Depth, len(j.tsteps)
	tr.TwoTimeStep = j.tsteps
	tr.TwoTimeTime = times(j.p, j.tsteps)
	stderr := make([]float64, len(j.two.M2))
	if j.two.N > 1 {
		for i, v := range j.two.M2 {
			stderr[i] = math.Sqrt(v / float64(j.two.N-1) / float64(j.two.N))
		}
	}
	at := 0
	take := func(mean, spread *Array, layers, left, right int, shape []int) {
		*mean, *spread = NewArray(shape...), NewArray(shape...)
		for i := range layers {
			for t := range n {
				for s := range n {
					dst := ((i*n+t)*n + s) * left * right
					for a := range left {
						src := at + (t*left+a)*n*right + s*right
						copy(mean.Data[dst+a*right:dst+(a+1)*right], j.two.Mean[src:])
						copy(spread.Data[dst+a*right:dst+(a+1)*right], stderr[src:])
					}
				}
			}
			at += n * n * left * right
		}
	}
	pc := outputShape(c, p)
	take(&tr.PhiTwoTime, &tr.PhiTwoTimeStderr, l, p, p, []int{l, n, n, p, p})
	take(&tr.GTwoTime, &tr.GTwoTimeStderr, l, p*c, p*c, append(append([]int{l, n, n}, pc...), pc...))
	if at < len(j.two.Mean) {
		take(&tr.ResponseA, &tr.ResponseAStderr, l-1, p, p*c, append([]int{l - 1, n, n, p}, pc...))
		take(&tr.ResponseB, &tr.ResponseBStderr, l-1, p*c, p, append(append([]int{l - 1, n, n}, pc...), p))
	}
}
