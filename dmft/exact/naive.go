package exact

import "math"

// Naive is a network of any depth trained in plain loops over neurons, from given initial weights: the reference of the fast trainer.
type Naive struct {
	Phi, DPhi   func(float64) float64
	Skip, B     float64     // h^{ℓ+1} = Skip·h^ℓ + B·W^ℓφ(h^ℓ)/√N
	X           [][]float64 // points, training points first
	Y           [][]float64 // targets of the training points
	Richness    float64
	Centred     bool
	Momentum    float64
	Nesterov    bool
	WeightDecay float64
	Rate        func(step int) float64
	// Delta fills Δ = −∂loss/∂f of the training points at a step.
	Delta func(step int, f, y, delta [][]float64)
	Steps int
}

// Train trains from input weights w0 (N×D), hidden weights w[ℓ] (N×N each) and readout a (N×C), all of order one, and returns the predictions at
// every step, step × point × output. The weights are left as trained.
func (nn Naive) Train(w0 [][]float64, w [][][]float64, a [][]float64) [][][]float64 {
	n, d, c, p := len(w0), len(nn.X[0]), len(a[0]), len(nn.Y)
	layers := len(w) + 1
	rootN, rootD := math.Sqrt(float64(n)), math.Sqrt(float64(d))
	// All weights as one list of matrices, with velocities.
	all := append([][][]float64{w0}, w...)
	all = append(all, a)
	vel := like(all)
	var f0 [][]float64
	var out [][][]float64
	for t := 0; ; t++ {
		h := make([][][]float64, layers) // layer, point, neuron
		f := make([][]float64, len(nn.X))
		for l := range h {
			h[l] = make([][]float64, len(nn.X))
		}
		for m, x := range nn.X {
			h[0][m] = make([]float64, n)
			for i := range n {
				for j := range d {
					h[0][m][i] += w0[i][j] * x[j] / rootD
				}
			}
			for l := 1; l < layers; l++ {
				h[l][m] = make([]float64, n)
				for i := range n {
					h[l][m][i] = nn.Skip * h[l-1][m][i]
					for j := range n {
						h[l][m][i] += nn.B * w[l-1][i][j] * nn.Phi(h[l-1][m][j]) / rootN
					}
				}
			}
			f[m] = make([]float64, c)
			for i := range n {
				for k := range c {
					f[m][k] += a[i][k] * nn.Phi(h[layers-1][m][i]) / (nn.Richness * float64(n))
				}
			}
		}
		if nn.Centred {
			if f0 == nil {
				f0 = f
				f = zeros(len(nn.X), c)
			} else {
				for m := range f {
					for k := range f[m] {
						f[m][k] -= f0[m][k]
					}
				}
			}
		}
		out = append(out, f)
		if t == nn.Steps {
			return out
		}
		delta := zeros(p, c)
		nn.Delta(t, f[:p], nn.Y, delta)
		grad := like(all) // γ₀²N Σ Δ ∂f/∂θ
		g2n := nn.Richness * nn.Richness * float64(n)
		for m := range p {
			for k := range c {
				e := delta[m][k]
				// back[i] = ∂f/∂h^L_i, then down the layers.
				back := make([]float64, n)
				for i := range n {
					grad[layers][i][k] += g2n * e * nn.Phi(h[layers-1][m][i]) / (nn.Richness * float64(n))
					back[i] = a[i][k] * nn.DPhi(h[layers-1][m][i]) / (nn.Richness * float64(n))
				}
				for l := layers - 1; l >= 1; l-- {
					below := make([]float64, n)
					for j := range n {
						s := 0.
						for i := range n {
							grad[l][i][j] += g2n * e * back[i] * nn.B * nn.Phi(h[l-1][m][j]) / rootN
							s += back[i] * w[l-1][i][j] / rootN
						}
						below[j] = nn.Skip*back[j] + nn.B*nn.DPhi(h[l-1][m][j])*s
					}
					back = below
				}
				for i := range n {
					for j := range d {
						grad[0][i][j] += g2n * e * back[i] * nn.X[m][j] / rootD
					}
				}
			}
		}
		eta := nn.Rate(t)
		for q := range all {
			for i := range all[q] {
				for j := range all[q][i] {
					g := grad[q][i][j]
					vel[q][i][j] = nn.Momentum*vel[q][i][j] + g
					step := vel[q][i][j]
					if nn.Nesterov {
						step = g + nn.Momentum*vel[q][i][j]
					}
					all[q][i][j] = (1-eta*nn.WeightDecay)*all[q][i][j] + eta*step
				}
			}
		}
	}
}

func zeros(r, c int) [][]float64 {
	z := make([][]float64, r)
	for i := range z {
		z[i] = make([]float64, c)
	}
	return z
}

func like(a [][][]float64) [][][]float64 {
	z := make([][][]float64, len(a))
	for i := range a {
		z[i] = zeros(len(a[i]), len(a[i][0]))
	}
	return z
}
