package dmft

import (
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// kernelPredictions computes the direction KΔ in which the NTK of a network moves its predictions, on all points.
//
// Without response functions the average ⟨wφ(h^L)⟩/γ₀ is not what the network predicts, not even in the lazy limit: the responses enter it at order
// γ₀⁰. Following df/dt = KΔ instead, as published (arXiv 2205.09653, section 5), gives an approximation that is exact as γ₀ → 0. For discrete
// steps f ← f + ηKΔ is right to order η.
type kernelPredictions[T la.Float] struct {
	nw       *network[T]
	kx       []float64 // All×Train Gram matrix, biases included
	kd       []float64 // replica, output, All
	phi, buf la.Mat[T] // All×Train
}

func newKernelPredictions[T la.Float](nw *network[T]) *kernelPredictions[T] {
	all, p := nw.pts.All, nw.pts.Train
	k := &kernelPredictions[T]{nw: nw, kd: make([]float64, len(nw.f)), phi: la.New[T](all, p), buf: la.New[T](all, p), kx: make([]float64, all*p)}
	joint := kernels.Gram(nw.pts.joint)
	for i := range all {
		for j := range p {
			k.kx[i*p+j] = joint.At(i, j)
		}
	}
	return k
}

// eval sets kd from the fields and Δ of the last Eval.
func (k *kernelPredictions[T]) eval() {
	nw := k.nw
	all, p, c := nw.pts.All, nw.pts.Train, nw.pts.Outputs
	inv := T(1 / float64(nw.n))
	b2, bias := nw.b*nw.b*nw.rates.Hidden, nw.bias*nw.bias
	clear(k.kd)
	for r := range nw.r {
		delta := func(o int) []float64 { return nw.delta[(r*c+o)*p : (r*c+o+1)*p] }
		gram := func(dst la.Mat[T], a, b la.Mat[T]) {
			la.Gemm(la.T, la.N, inv, nw.rows(a, r), nw.train(nw.rows(b, r)), 0, dst)
		}
		for l := range nw.l {
			// G^{ℓ+1}∘Φ^ℓ with Φ⁰ = Kx: l counts the layer of g.
			if l > 0 {
				gram(k.phi, nw.phi[l-1], nw.phi[l-1])
			}
			for a := range c {
				for b := range c {
					gram(k.buf, nw.g[a][l], nw.g[b][l])
					d := delta(b)
					for i := range all {
						s := 0.
						for j, g := range k.buf.Row(i) {
							w := nw.rates.Input * k.kx[i*p+j]
							if l > 0 {
								w = b2 * (float64(k.phi.Row(i)[j]) + bias)
							}
							s += float64(g) * w * d[j]
						}
						k.kd[(r*c+a)*all+i] += s
					}
				}
			}
		}
		gram(k.phi, nw.phi[nw.l-1], nw.phi[nw.l-1])
		for a := range c {
			d := delta(a)
			for i := range all {
				s := 0.
				for j, v := range k.phi.Row(i) {
					s += float64(v) * d[j]
				}
				k.kd[(r*c+a)*all+i] += nw.rates.Readout * s
			}
		}
	}
}

// scaleAdd sets x ← beta·x + a·y.
func scaleAdd(x []float64, beta, a float64, y []float64) {
	for i, v := range y {
		if beta == 0 {
			x[i] = 0
		}
		x[i] = beta*x[i] + a*v
	}
}
