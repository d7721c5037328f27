package highdim

import (
	"math"

	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// average takes expectations over a fresh point x: of the squared error, and of what gradient descent on the true risk
// needs. Fields are those of the rows of weights whose coordinates are given, the first K coordinates being the
// directions of the target. Quadratic φ and σ have closed forms; anything else is averaged over matched samples of the
// fields.
type average struct {
	p        *Problem
	n, k     int
	quad     bool
	phi, lnk [3]float64 // coefficients of φ and σ when quad
	c        []float64  // c_k

	// All fields are b = 0 … K−1 the target, K … the weights, and behind them the initial weights if predictions are
	// centred.
	fields int
	g      la.Mat[float64] // covariance of the fields
	a, b   []float64       // diagonal of A, and b
	gb     []float64       // G b
	shift  float64         // c

	z, v, u la.Mat[float64] // samples: unit noise (rows × S), fields, their coordinates
	q, d, y []float64       // error, φ′, scratch
}

// moments are expectations over a fresh point.
type moments struct {
	parts [3]float64      // of the squared error: ⟨q⟩², what is neither constant nor linear, linear power
	gu    la.Mat[float64] // N×k: ⟨g_i u_k⟩ for the coordinates k asked for
	gphi  []float64       // N: ⟨qφ(h_i)⟩
	gg    la.Mat[float64] // N×N: ⟨g_i g_j⟩
}

func (m *moments) loss() float64 { return m.parts[0] + m.parts[1] + m.parts[2] }

// quadratic returns the coefficients of a polynomial of degree at most two.
func quadratic(a kernels.Activation) (c [3]float64, ok bool) {
	if !a.Quadratic() {
		return c, false
	}
	return [3]float64{a.Value(0), a.Derivative(0), a.Second(0) / 2}, true
}

// quadratic says whether averages have closed forms.
func (p *Problem) quadratic() bool {
	_, phi := quadratic(p.Activation)
	_, link := quadratic(p.Target.link())
	return phi && link && p.Target.Func == nil
}

// newAverage returns an average for coordinates of which at most dim are asked for. Samples are drawn only when there
// is no closed form.
func newAverage(p *Problem, samples int, seed, stream uint64, dim int) (*average, error) {
	e := &average{p: p, n: p.Units, k: p.Target.directions()}
	e.phi, _ = quadratic(p.Activation)
	e.lnk, _ = quadratic(p.Target.link())
	e.quad = p.quadratic()
	e.fields = e.k + e.n
	if p.Training.Centred {
		e.fields += e.n
	}
	f := e.fields
	e.c = make([]float64, e.k)
	for i := range e.c {
		e.c[i] = 1
		if p.Target.Weights != nil {
			e.c[i] = p.Target.Weights[i]
		}
	}
	e.g = la.New[float64](f, f)
	e.a, e.b, e.gb = make([]float64, f), make([]float64, f), make([]float64, f)
	if e.quad {
		return e, nil
	}
	var err error
	e.z, err = evenRows(max(dim, f), samples, seed, stream)
	e.v = la.New[float64](f, samples)
	e.q, e.d, e.y = make([]float64, samples), make([]float64, samples), make([]float64, e.k)
	return e, err
}

// weights are coordinates of the weights and initial weights, N×k and N×k₀, with readouts.
type weights struct {
	w, w0 la.Mat[float64]
	a, a0 []float64
}

// field returns the coordinates of field b ≥ K.
func (e *average) field(s weights, b int) []float64 {
	if b -= e.k; b < e.n {
		return s.w.Row(b)
	}
	return s.w0.Row(b - e.n)
}

// covariance fills G and, for quadratic functions, A, b, c and Gb.
func (e *average) covariance(s weights) {
	for b := range e.fields {
		for c := range b + 1 {
			var x float64
			switch {
			case b < e.k:
				if b == c {
					x = 1
				}
			case c < e.k:
				x = e.field(s, b)[c]
			default:
				x = dot(e.field(s, b), e.field(s, c))
			}
			e.g.Row(b)[c], e.g.Row(c)[b] = x, x
		}
	}
	if !e.quad {
		return
	}
	e.shift = 0
	for b := range e.fields {
		p, r := e.lnk, 0.
		if b < e.k {
			r = -e.c[b]
		} else {
			p, r = e.phi, e.p.OutputScale/float64(e.n)
			if i := b - e.k; i < e.n {
				r *= s.a[i]
			} else {
				r *= -s.a0[i-e.n]
			}
		}
		e.shift += r * p[0]
		e.b[b], e.a[b] = r*p[1], r*p[2]
	}
	la.Gemv(la.N, 1, e.g, e.b, 0, e.gb)
}

// dot is the product of two rows of coordinates, of which the shorter is zero where it ends.
func dot(x, y []float64) float64 {
	n, s := min(len(x), len(y)), 0.
	for i, v := range x[:n] {
		s += v * y[i]
	}
	return s
}

// loss sets the parts of the squared error.
func (e *average) loss(m *moments, s weights) {
	e.covariance(s)
	if e.quad {
		mean, two, lin := e.shift, 0., 0.
		for b := range e.fields {
			mean += e.a[b] * e.g.Row(b)[b]
			lin += e.b[b] * e.gb[b]
			for c, g := range e.g.Row(b) {
				two += 2 * e.a[b] * e.a[c] * g * g
			}
		}
		m.parts = [3]float64{mean * mean, two, lin}
		return
	}
	// Fields of covariance G from as many independent ones.
	if !cholesky(e.g.Data, e.fields) {
		m.parts = [3]float64{math.NaN()}
		return
	}
	la.Gemm(la.N, la.N, 1, e.g, e.z.Slice(0, e.fields, 0, e.z.Cols), 0, e.v)
	e.errors(s)
	e.split(m, e.fields)
}

// split sets the parts from the error at the samples, whose fields are of the first n rows of noise.
func (e *average) split(m *moments, n int) {
	mean, lin := 0., 0.
	for _, x := range e.q {
		mean += x
	}
	mean /= float64(len(e.q))
	for b := range n {
		x := mean2(e.z.Row(b), e.q)
		lin += x * x
	}
	m.parts = [3]float64{mean * mean, meanSquare(e.q) - mean*mean - lin, lin}
}

// errors fills q = f − y from the fields v.
func (e *average) errors(s weights) {
	label := e.p.Target.label()
	for i := range e.q {
		for k := range e.y {
			e.y[k] = e.v.Row(k)[i]
		}
		e.q[i] = -label(e.y)
	}
	for b := e.k; b < e.fields; b++ {
		r := e.p.OutputScale / float64(e.n)
		if i := b - e.k; i < e.n {
			r *= s.a[i]
		} else {
			r *= -s.a0[i-e.n]
		}
		e.p.Activation.Eval(e.d, nil, e.v.Row(b))
		la.Axpy(r, e.d, e.q)
	}
}

// gradient sets everything of m, with as many coordinates as m.gu has columns.
func (e *average) gradient(m *moments, s weights) {
	if !e.quad {
		e.sampleGradient(m, s)
		return
	}
	e.loss(m, s)
	mean := e.shift
	for b := range e.fields {
		mean += e.a[b] * e.g.Row(b)[b]
	}
	second := m.loss()
	p0, p1, p2 := e.phi[0], e.phi[1], 2*e.phi[2] // φ′ = p1 + p2·h
	alpha := e.p.OutputScale
	for i := range e.n {
		gi := e.g.Row(e.k + i)
		row := m.gu.Row(i)
		clear(row)
		// Stein: ⟨q u⟩ = Σ_b b_b v_b and ⟨q h u⟩ = w⟨q⟩ + 2 Σ_b G_ib A_b v_b.
		for b := range e.fields {
			x := s.a[i] / alpha * (p1*e.b[b] + p2*2*gi[b]*e.a[b])
			if b < e.k {
				row[b] += x
			} else {
				v := e.field(s, b)
				la.Axpy(x, v, row[:len(v)])
			}
		}
		la.Axpy(s.a[i]/alpha*p2*mean, s.w.Row(i), row[:s.w.Cols])
		hh := 0.
		for b, x := range gi {
			hh += x * x * e.a[b]
		}
		m.gphi[i] = p0*mean + p1*e.gb[e.k+i] + p2/2*(gi[e.k+i]*mean+2*hh)
	}
	if m.gg.Rows == 0 {
		return
	}
	// ⟨h_i q²⟩ and ⟨h_i h_j q²⟩ by Stein's lemma once and twice.
	one := func(gi []float64) float64 {
		x := 0.
		for b, g := range gi {
			x += g * 2 * (2*e.a[b]*e.gb[b] + e.b[b]*mean)
		}
		return x
	}
	noise := e.p.Target.Noise * e.p.Target.Noise
	for i := range e.n {
		gi := e.g.Row(e.k + i)
		for j := range i + 1 {
			gj := e.g.Row(e.k + j)
			two := gi[e.k+j] * second
			for b, x := range gi {
				two += 4 * x * e.a[b] * mean * gj[b]
				for c, y := range gj {
					two += x * y * 2 * (4*e.a[b]*e.g.Row(b)[c]*e.a[c] + e.b[b]*e.b[c])
				}
			}
			x := p1*p1*second + p1*p2*(one(gi)+one(gj)) + p2*p2*two + noise*(p1*p1+p2*p2*gi[e.k+j])
			x *= s.a[i] * s.a[j] / (alpha * alpha)
			m.gg.Row(i)[j], m.gg.Row(j)[i] = x, x
		}
	}
}

// sampleGradient is gradient by samples of the coordinates themselves.
func (e *average) sampleGradient(m *moments, s weights) {
	for b := range e.fields {
		dst := e.v.Slice(b, b+1, 0, e.v.Cols)
		if b < e.k {
			copy(dst.Data, e.z.Row(b))
			continue
		}
		w := e.field(s, b)
		la.Gemm(la.N, la.N, 1, la.Mat[float64]{Rows: 1, Cols: len(w), Stride: len(w), Data: w},
			e.z.Slice(0, len(w), 0, e.z.Cols), 0, dst)
	}
	e.errors(s)
	n, size := m.gu.Cols, float64(e.z.Cols)
	e.split(m, n)
	e.u = room(e.u, e.n, e.z.Cols)
	for i := range e.n {
		h := e.v.Row(e.k + i)
		e.p.Activation.Eval(e.d, nil, h)
		m.gphi[i] = mean2(e.q, e.d)
		e.p.Activation.Eval(nil, e.u.Row(i), h)
	}
	r := 1 / e.p.OutputScale
	noise := e.p.Target.Noise * e.p.Target.Noise * r * r
	if m.gg.Rows > 0 && noise > 0 {
		la.Gemm(la.N, la.T, noise/size, e.u, e.u, 0, m.gg)
	} else if m.gg.Rows > 0 {
		m.gg.Zero()
	}
	for i := range e.n {
		d := e.u.Row(i)
		for j, q := range e.q {
			d[j] *= q * r * s.a[i]
		}
		if m.gg.Rows > 0 && noise > 0 {
			for j := range e.n {
				m.gg.Row(i)[j] *= s.a[i] * s.a[j]
			}
		}
	}
	la.Gemm(la.N, la.T, 1/size, e.u, e.z.Slice(0, n, 0, e.z.Cols), 0, m.gu)
	if m.gg.Rows > 0 {
		la.Gemm(la.N, la.T, 1/size, e.u, e.u, 1, m.gg)
	}
}
