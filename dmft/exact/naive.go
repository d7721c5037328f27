package exact

import (
	"fmt"
	"math"
)

// Naive is a network of any depth trained in plain loops over neurons, from given initial weights: the reference of the
// fast trainer. No weights between hidden layers makes it a two-layer network.
type Naive struct {
	Phi, DPhi func(float64) float64 // φ and φ'
	Skip, B   float64               // s and b of h^{ℓ+1} = s·h^ℓ + b·W^ℓφ(h^ℓ)/√N; b = 0 means 1
	X         [][]float64           // M points of D numbers, training points first
	Y         [][]float64           // targets of the P training points, C numbers each
	Bias      float64               // σ_b of h¹ = W⁰x/√D + σ_b b⁰ and h^{ℓ+1} = s·h^ℓ + b·(W^ℓφ(h^ℓ)/√N + σ_b b^ℓ)
	// Layer (L of them), neuron: b⁰ … b^{L−1} at the start; nil is a network without biases.
	Biases      [][]float64
	Richness    float64 // γ₀
	Centred     bool    // predict f(θ) − f(θ₀)
	Momentum    float64 // μ
	Nesterov    bool
	WeightDecay float64                // λ, decoupled
	Rate        func(step int) float64 // learning rate η
	// Delta fills Δ = −∂loss/∂f of the training points at a step; see [Residuals]. nil is the squared loss ½Σ(y − f)².
	Delta func(step int, f, y, delta [][]float64)
	Steps int
	// Observe, if not nil, is shown the network at every step, before the update.
	Observe func(step int, s Fields)
}

// Fields are the fields of a network at one step.
type Fields struct {
	H [][][]float64   // layer, point, neuron: h^ℓ
	G [][][][]float64 // layer, point, output, neuron: g^ℓ = γ₀N ∂f/∂h^ℓ
	W [][]float64     // neuron, output: the readout, which belongs to the network and must not be changed
}

// Train trains from input weights w0 (N×D), hidden weights w[ℓ] (N×N each, L−1 of them) and readout a (N×C), all of
// order one, and returns the predictions at every step, step × point × output, Steps + 1 of them. The weights are left
// as trained.
func (nn Naive) Train(w0 [][]float64, w [][][]float64, a [][]float64) [][][]float64 {
	nn.check(w0, w, a)
	all := nn.weights(w0, w, a)
	c, p := len(a[0]), len(nn.Y)
	deltaOf := nn.Delta
	if deltaOf == nil {
		deltaOf = Residuals(MSE, nil)
	}
	vel := like(all)
	var f0 [][]float64
	var out [][][]float64
	for t := 0; ; t++ {
		h := make([][][]float64, len(nn.X)) // point, layer, neuron
		f := zeros(len(nn.X), c)
		for m, x := range nn.X {
			h[m], f[m] = nn.forward(all, x)
		}
		if nn.Centred {
			if f0 == nil {
				f0 = zeros(len(nn.X), c)
				for m := range f {
					copy(f0[m], f[m])
				}
			}
			for m := range f {
				for k := range f[m] {
					f[m][k] -= f0[m][k]
				}
			}
		}
		out = append(out, f)
		if nn.Observe != nil {
			nn.Observe(t, nn.fields(all, h))
		}
		if t == nn.Steps {
			return out
		}
		delta := zeros(p, c)
		deltaOf(t, f[:p], nn.Y, delta)
		grad := like(all) // γ₀²N Σ Δ ∂f/∂θ
		for m := range p {
			for k := range c {
				nn.backward(all, nn.X[m], h[m], k, nn.Richness*nn.Richness*float64(len(w0))*delta[m][k], grad)
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

// NTK is the neural tangent kernel γ₀²N ∂f_μc/∂θ · ∂f_νd/∂θ at the given weights, MC×MC, from its definition.
func (nn Naive) NTK(w0 [][]float64, w [][][]float64, a [][]float64) [][]float64 {
	nn.check(w0, w, a)
	all := nn.weights(w0, w, a)
	c := len(a[0])
	grads := make([][][][]float64, 0, len(nn.X)*c)
	for _, x := range nn.X {
		h, _ := nn.forward(all, x)
		for k := range c {
			g := like(all)
			nn.backward(all, x, h, k, 1, g)
			grads = append(grads, g)
		}
	}
	ntk := zeros(len(grads), len(grads))
	for u, a := range grads {
		for v, b := range grads {
			s := 0.
			for q := range a {
				for i := range a[q] {
					for j := range a[q][i] {
						s += a[q][i][j] * b[q][i][j]
					}
				}
			}
			ntk[u][v] = nn.Richness * nn.Richness * float64(len(w0)) * s
		}
	}
	return ntk
}

func (nn Naive) check(w0 [][]float64, w [][][]float64, a [][]float64) {
	n := len(w0)
	if n == 0 || len(a) != n || len(nn.X) < len(nn.Y) || len(nn.X) == 0 || len(w0[0]) != len(nn.X[0]) {
		panic(fmt.Sprintf("exact: a Naive network with %d rows of input weights, %d of readout, %d points and %d "+
			"targets", n, len(a), len(nn.X), len(nn.Y)))
	}
	for l := range w {
		if len(w[l]) != n || len(w[l][0]) != n {
			panic(fmt.Sprintf("exact: hidden weights %d of a Naive network are not %d×%d", l+1, n, n))
		}
	}
}

// weights lists the matrices of a network in order, the biases as columns behind the readout.
func (nn Naive) weights(w0 [][]float64, w [][][]float64, a [][]float64) [][][]float64 {
	all := append(append([][][]float64{w0}, w...), a)
	for _, b := range nn.Biases {
		col := zeros(len(b), 1)
		for i, v := range b {
			col[i][0] = v
		}
		all = append(all, col)
	}
	return all
}

func (nn Naive) branch() float64 {
	if nn.B == 0 {
		return 1
	}
	return nn.B
}

// forward returns the preactivations h^ℓ of one point, layer × neuron, and the predictions, not centred.
func (nn Naive) forward(all [][][]float64, x []float64) (h [][]float64, f []float64) {
	layers, n := len(all)-1-len(nn.Biases), len(all[0])
	a := all[layers]
	h = zeros(layers, n)
	bias := func(l, i int) float64 {
		if nn.Biases == nil {
			return 0
		}
		return nn.Bias * all[layers+1+l][i][0]
	}
	for i := range n {
		h[0][i] = bias(0, i)
		for j := range x {
			h[0][i] += all[0][i][j] * x[j] / math.Sqrt(float64(len(x)))
		}
	}
	for l := 1; l < layers; l++ {
		for i := range n {
			h[l][i] = nn.Skip*h[l-1][i] + nn.branch()*bias(l, i)
			for j := range n {
				h[l][i] += nn.branch() * all[l][i][j] * nn.Phi(h[l-1][j]) / math.Sqrt(float64(n))
			}
		}
	}
	f = make([]float64, len(a[0]))
	for i := range n {
		for k := range f {
			f[k] += a[i][k] * nn.Phi(h[layers-1][i]) / (nn.Richness * float64(n))
		}
	}
	return h, f
}

// backward adds scale·∂f_k/∂θ of one point with preactivations h to grad, if that is not nil, and returns ∂f_k/∂h^ℓ,
// layer × neuron.
func (nn Naive) backward(all [][][]float64, x []float64, h [][]float64, k int, scale float64,
	grad [][][]float64) [][]float64 {
	layers, n := len(all)-1-len(nn.Biases), len(all[0])
	rootN := math.Sqrt(float64(n))
	back := zeros(layers, n)
	for i := range n {
		out := nn.Phi(h[layers-1][i]) / (nn.Richness * float64(n))
		back[layers-1][i] = all[layers][i][k] * nn.DPhi(h[layers-1][i]) / (nn.Richness * float64(n))
		if grad != nil {
			grad[layers][i][k] += scale * out
		}
	}
	for l := layers - 1; l >= 1; l-- {
		for j := range n {
			s := 0.
			for i := range n {
				s += back[l][i] * all[l][i][j] / rootN
				if grad != nil {
					grad[l][i][j] += scale * back[l][i] * nn.branch() * nn.Phi(h[l-1][j]) / rootN
				}
			}
			back[l-1][j] = nn.Skip*back[l][j] + nn.branch()*nn.DPhi(h[l-1][j])*s
		}
	}
	for l := range nn.Biases {
		for i := range n {
			if b := nn.branch(); grad != nil {
				if l == 0 {
					b = 1
				}
				grad[layers+1+l][i][0] += scale * back[l][i] * b * nn.Bias
			}
		}
	}
	if grad != nil {
		for i := range n {
			for j := range x {
				grad[0][i][j] += scale * back[0][i] * x[j] / math.Sqrt(float64(len(x)))
			}
		}
	}
	return back
}

// fields are the fields of a network with preactivations h (point, layer, neuron).
func (nn Naive) fields(all [][][]float64, h [][][]float64) Fields {
	layers, n := len(all)-1-len(nn.Biases), len(all[0])
	a := all[layers]
	s := Fields{H: make([][][]float64, layers), G: make([][][][]float64, layers), W: a}
	for l := range layers {
		s.H[l] = make([][]float64, len(nn.X))
		s.G[l] = make([][][]float64, len(nn.X))
		for m := range nn.X {
			s.H[l][m] = h[m][l]
			s.G[l][m] = make([][]float64, len(a[0]))
		}
	}
	for m, x := range nn.X {
		for k := range a[0] {
			for l, g := range nn.backward(all, x, h[m], k, 0, nil) {
				for i := range g {
					g[i] *= nn.Richness * float64(n)
				}
				s.G[l][m][k] = g
			}
		}
	}
	return s
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
