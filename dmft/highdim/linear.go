package highdim

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// linearised is the model that is linear in the weights around the start, f(0) + ∇f(0)·(w − w(0)), the limit α → ∞ of
// centred predictions. Weights move along features of the start,
//
//	w_i ← w_i − (2η/αδ) Σ_μ Δ_μ (φ′(0) + φ″ w_i(0)·x_μ) x_μ,
//
// and its predictions are those of w̄ and the part of M of first order. With s = Σ a_μ x_μ and G = Σ a_μ x_μ x_μᵀ for a
// step of a_μ = (2η/αδ) Δ_μ,
//
//	w̄ ← w̄ − φ′(0) s − φ″ G w̄(0),     M ← M − φ′(0)(w̄(0) sᵀ + s w̄(0)ᵀ) − φ″ (M(0) G + G M(0))
type linearised struct {
	w     []float64 // w̄(0)
	m     la.Mat[float64]
	g, mg la.Mat[float64] // scratch
	s, gw []float64
}

// regressionPoints is up to how many points kernel regression is solved.
const regressionPoints = 4000

func (q *moment) linearise() *linearised {
	l := &linearised{w: append([]float64(nil), q.w...), m: la.New[float64](q.d, q.d), g: la.New[float64](q.d, q.d),
		mg: la.New[float64](q.d, q.d),
		s:  make([]float64, q.d), gw: make([]float64, q.d)}
	copy(l.m.Data, q.m.Data)
	return l
}

// move moves the moments of q by the errors e times a rate. Scratch of a step of q is used, and e may be its errors.
func (l *linearised) move(q *moment, rate float64, e []float64) {
	p1, p2 := q.phi[1], 2*q.phi[2]
	for i := range q.d {
		x, v := q.x.Row(i), q.xt.Row(i)
		for j, c := range e {
			v[j] = rate * c * x[j]
		}
	}
	la.Gemm(la.N, la.T, 1, q.xt, q.x, 0, l.g)
	la.Gemv(la.N, rate, q.x, e, 0, l.s)
	la.Gemv(la.N, 1, l.g, l.w, 0, l.gw)
	la.Gemm(la.N, la.N, p2, l.m, l.g, 0, l.mg)
	for i := range q.d {
		row, x := q.m.Row(i), l.mg.Row(i)
		for j := range row {
			row[j] -= p1*(l.w[i]*l.s[j]+l.s[i]*l.w[j]) + x[j] + l.mg.Row(j)[i]
		}
		q.w[i] -= p1*l.s[i] + p2*l.gw[i]
	}
}

// regression returns train and test loss of regression with the kernel of the start, the smallest solution where there
// are many, and leaves q at the start. The step a solves αD·Ka = Δ.
func (q *moment) regression() []float64 {
	n := len(q.y)
	rec := &record{Loss: make([]float64, 1), Test: make([]float64, 1), Parts: make([]float64, 3),
		Moments: make([]float64, momentCount)}
	q.note(rec, 0) // for the errors
	k, val, work := q.kernel(), make([]float64, n), make([]float64, 64*n)
	a := make([]float64, n)
	copy(a, q.err)
	scale := la.Moderate(k.Data)
	if !lapack64.Syev(lapack.EVCompute, blas64.Symmetric{N: n, Stride: n, Data: k.Data, Uplo: blas.Upper}, val, work,
		len(work)) {
		return nil
	}
	c := make([]float64, n)
	la.Gemv(la.T, 1, k, a, 0, c)
	for i, v := range val {
		if v <= 1e-10*val[n-1] { // modes that no feature reaches
			c[i] = 0
		} else {
			c[i] /= scale * v * q.p.OutputScale * float64(q.d)
		}
	}
	la.Gemv(la.N, 1, k, c, 0, a)
	q.lin.move(q, 1, a)
	rec.Loss[0], rec.Test[0] = 0, 0
	q.note(rec, 0)
	copy(q.w, q.lin.w)
	copy(q.m.Data, q.lin.m.Data)
	return []float64{rec.Loss[0], rec.Test[0]}
}
