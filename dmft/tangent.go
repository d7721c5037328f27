package dmft

import (
	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// kernelPredictions computes the direction KΔ in which the NTK of a network moves its predictions, on all points.
//
// Without response functions the average ⟨wφ(h^L)⟩/γ₀ is not what the network predicts, not even in the lazy limit: the
// responses enter it at order γ₀⁰. Following df/dt = KΔ instead, as published (arXiv 2205.09653, section 5), gives an
// approximation that is exact as γ₀ → 0. For discrete steps f ← f + ηKΔ is right to order η.
type kernelPredictions[T la.Float] struct {
	nw       *network[T]
	kx       []float64 // All×Train Gram matrix, biases included
	kd       []float64 // replica, output, All
	phi, buf la.Mat[T] // All×Train
}

func newKernelPredictions[T la.Float](nw *network[T]) *kernelPredictions[T] {
	all, p := nw.pts.All, nw.pts.Train
	k := &kernelPredictions[T]{nw: nw, kd: make([]float64, len(nw.f)), phi: la.New[T](all, p), buf: la.New[T](all, p), kx: make([]float64, all*p)}
	joint := kernels.Gram(nw.pts.Joint)
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
	all, p, c := nw.pts.All, nw.pts.Train, nw.pts.outputs
	clear(k.kd)
	for r := range nw.Replicas {
		gram := func(dst la.Mat[T], f *arch.Field[T], a, b la.Mat[T]) {
			la.Gemm(la.T, la.N, T(1/float64(f.N)), rows(a, f, r), nw.train(rows(b, f, r)), 0, dst)
		}
		for _, t := range nw.Tangents {
			feature := func(i, j int) float64 { return k.kx[i*p+j] }
			if t.Feature != arch.InputGram {
				f := nw.Features[t.Feature]
				gram(k.phi, f, f.Value, f.Value)
				feature = func(i, j int) float64 { return float64(k.phi.Row(i)[j]) + t.Bias }
			}
			for a := range c {
				for b := range c {
					if t.Gradient == arch.Unit && a != b {
						continue
					}
					if t.Gradient != arch.Unit {
						f := nw.Gradients[t.Gradient]
						gram(k.buf, f, f.Grad(1+a), f.Grad(1+b))
					}
					d := nw.delta[(r*c+b)*p : (r*c+b+1)*p]
					for i := range all {
						s := 0.
						for j := range p {
							g := 1.
							if t.Gradient != arch.Unit {
								g = float64(k.buf.Row(i)[j])
							}
							s += arch.Assemble(t.Scale, g, feature(i, j)) * d[j]
						}
						k.kd[(r*c+a)*all+i] += s
					}
				}
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
