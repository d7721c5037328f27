package highdim

import (
	"math/rand/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// probe measures response functions of gradient descent along a run of the theory. Every sample carries one tangent:
// random signs v(t) disturb its fields, and follow
//
//	dh(t) = v(t) − (2η/δ) Σ_{s<t} R_W(t,s) dg(s),   dg(t) = J(t) dh(t),   J_ij = ∂g_i/∂h_j
//	R_g(t,t) = ⟨J(t)⟩,   R_g(t,s) = ⟨J(t)(dh(t) − v(t)) v(s)ᵀ⟩,
//	R_W(s+1,s) = 1,   R_W(t+1,s) = (1 − ηλ)R_W(t,s) − 2η Σ_{s<u≤t} R_g(t,u) R_W(u,s).
type probe struct {
	p     *Problem
	rng   *rand.Rand
	n, t  int               // units, times
	v, dg []la.Mat[float64] // by time: S×N
	first la.Mat[float64]   // φ′(h(0)) v(0), for centred predictions
	w, g  dmft.Array        // T×T×N×N
	dh    la.Mat[float64]   // scratch: S×N
}

func newProbe(p *Problem, sites int, src *rand.PCG) *probe {
	n, t := p.Units, p.Training.Steps+1
	return &probe{p: p, rng: rand.New(src), n: n, t: t, w: dmft.NewArray(t, t, n, n), g: dmft.NewArray(t, t, n, n),
		dh: la.New[float64](sites, n)}
}

// at is element (t, s) of a, an N×N matrix.
func (r *probe) at(a dmft.Array, t, s int) la.Mat[float64] {
	return la.Mat[float64]{Rows: r.n, Cols: r.n, Stride: r.n, Data: a.At(t).At(s).Data}
}

// step is called with the fields and errors of step t. Row t of R_W is known from the steps before.
func (r *probe) step(q *points, sys *system, reg register, t int) {
	m := r.p.Training.Method
	n, s := r.n, len(q.y)
	eta := func(t int) float64 { return m.Rate(t, r.p.Training.Steps) }
	// Tangents of the fields, of the memory first.
	r.dh.Zero()
	for u := range t {
		la.Gemm(la.N, la.T, -2*eta(u)/q.ratio, r.dg[u], r.at(r.w, t, u), 1, r.dh)
	}
	jdh := la.New[float64](s, n)
	r.tangent(q, reg, jdh, r.dh, nil)
	for u := range t {
		la.Gemm(la.T, la.N, 1/float64(s), jdh, r.v[u], 0, r.at(r.g, t, u))
	}
	if t > 0 && r.p.Training.Centred { // the start enters g(t) once more, directly
		direct := la.New[float64](s, n)
		r.tangent(q, reg, direct, la.Mat[float64]{}, &r.first)
		la.Gemm(la.T, la.N, 1/float64(s), direct, r.v[0], 1, r.at(r.g, t, 0))
		la.Axpy(1, direct.Data, jdh.Data)
	}
	v := la.New[float64](s, n)
	for i := range v.Data {
		v.Data[i] = float64(2*r.rng.IntN(2) - 1)
	}
	jv := la.New[float64](s, n)
	r.tangent(q, reg, jv, v, nil)
	la.Gemm(la.T, la.N, 1/float64(s), jv, v, 0, r.at(r.g, t, t))
	if t == 0 && r.p.Training.Centred {
		r.first = la.New[float64](s, n)
		for i, d := range q.d.Data {
			r.first.Data[i] = d * v.Data[i]
		}
		jv.Zero() // f − f(0) does not see fields at the start, but g = Δφ′ does
		r.curved(q, reg, jv, v)
		la.Gemm(la.T, la.N, 1/float64(s), jv, v, 0, r.at(r.g, 0, 0))
	}
	la.Axpy(1, jv.Data, jdh.Data)
	r.v, r.dg = append(r.v, v), append(r.dg, jdh)
	if t+1 == r.t {
		return
	}
	for u := range t {
		x := r.at(r.w, t+1, u)
		la.Axpy(1-eta(t)*m.WeightDecay, r.at(r.w, t, u).Data, x.Data)
		for k := u + 1; k <= t; k++ {
			la.Gemm(la.N, la.N, -2*eta(t), r.at(r.g, t, k), r.at(r.w, k, u), 1, x)
		}
	}
	one := r.at(r.w, t+1, t)
	for i := range n {
		one.Row(i)[i] = 1
	}
}

// curved adds Δ a_i φ″_i dh_i/α to dst.
func (r *probe) curved(q *points, reg register, dst, dh la.Mat[float64]) {
	for i, e := range q.err {
		h, d, x := q.h.Row(i), dst.Row(i), dh.Row(i)
		for j, a := range reg.a {
			d[j] += a / r.p.OutputScale * e * r.p.Activation.Second(h[j]) * x[j]
		}
	}
}

// tangent sets dst to J dh. With first, it is the part that centred predictions have from the start instead: −a_iφ′_i
// Σ_j a_jφ′_j(0)v_j(0)/N.
func (r *probe) tangent(q *points, reg register, dst, dh la.Mat[float64], first *la.Mat[float64]) {
	for i := range dst.Rows {
		d, x, sum := q.d.Row(i), dst.Row(i), 0.
		for j, a := range reg.a {
			if first != nil {
				sum -= a / float64(r.n) * first.Row(i)[j]
			} else {
				sum += a / float64(r.n) * d[j] * dh.Row(i)[j]
			}
		}
		for j, a := range reg.a {
			x[j] = a * d[j] * sum
		}
	}
	if first == nil {
		r.curved(q, reg, dst, dh)
	}
}
