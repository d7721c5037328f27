package dmft_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/internal/random"
)

// literal is a network as one would write it down elsewhere: h¹ = m₀W⁰x, h^{ℓ+1} = s h^ℓ + b m₁W^ℓφ(h^ℓ), f = m₂
// w·φ(h^L), θ ← θ + rate Σ Δ ∂f/∂θ of the squared loss. Groups are W⁰, W^ℓ, w: multiplier, standard deviation at the
// start, learning rate.
type literal struct {
	m, std, rate [3]float64
	skip, b      float64
}

// train trains from standard normal numbers and returns the predictions at every step.
func (l literal) train(x, y *mat.Dense, phi, dphi func(float64) float64, steps int, w0 *mat.Dense, ws []*mat.Dense, a *mat.VecDense) (out [][]float64) {
	p, d := x.Dims()
	n, _ := w0.Dims()
	all := []*mat.Dense{mat.DenseCopyOf(w0)}
	all[0].Scale(l.std[0], w0)
	for _, w := range ws {
		v := mat.DenseCopyOf(w)
		v.Scale(l.std[1], w)
		all = append(all, v)
	}
	top := mat.NewVecDense(n, nil)
	top.ScaleVec(l.std[2], a)
	depth := len(all)
	for t := 0; t <= steps; t++ {
		f := make([]float64, p)
		grads := make([]*mat.Dense, depth)
		for k, w := range all {
			r, c := w.Dims()
			grads[k] = mat.NewDense(r, c, nil)
		}
		gtop := mat.NewVecDense(n, nil)
		for mu := range p {
			h := make([][]float64, depth)
			for k := range h {
				h[k] = make([]float64, n)
				for i := range n {
					if k == 0 {
						for j := range d {
							h[0][i] += l.m[0] * all[0].At(i, j) * x.At(mu, j)
						}
						continue
					}
					h[k][i] = l.skip * h[k-1][i]
					for j := range n {
						h[k][i] += l.b * l.m[1] * all[k].At(i, j) * phi(h[k-1][j])
					}
				}
			}
			for i := range n {
				f[mu] += l.m[2] * top.AtVec(i) * phi(h[depth-1][i])
			}
			delta := y.At(mu, 0) - f[mu]
			back := make([]float64, n) // ∂f/∂h
			for i := range n {
				back[i] = l.m[2] * top.AtVec(i) * dphi(h[depth-1][i])
				gtop.SetVec(i, gtop.AtVec(i)+delta*l.m[2]*phi(h[depth-1][i]))
			}
			for k := depth - 1; k > 0; k-- {
				next := make([]float64, n)
				for j := range n {
					next[j] = l.skip * back[j]
					for i := range n {
						next[j] += l.b * l.m[1] * back[i] * all[k].At(i, j) * dphi(h[k-1][j])
						grads[k].Set(i, j, grads[k].At(i, j)+delta*back[i]*l.b*l.m[1]*phi(h[k-1][j]))
					}
				}
				back = next
			}
			for i := range n {
				for j := range d {
					grads[0].Set(i, j, grads[0].At(i, j)+delta*back[i]*l.m[0]*x.At(mu, j))
				}
			}
		}
		out = append(out, f)
		for k := range all {
			g := 1
			if k == 0 {
				g = 0
			}
			grads[k].Scale(l.rate[g], grads[k])
			all[k].Add(all[k], grads[k])
		}
		top.AddScaledVec(top, l.rate[2], gtop)
	}
	return out
}

// TestParametrizations: a Problem mapped to a width is the network of the parametrisation's own definition, to
// rounding: weights at their literal scale, literal learning rates.
func TestParametrizations(t *testing.T) {
	const p, d, base, steps, gamma, eta = 4, 5, 6, 8, 1.3, 0.08
	data := gaussianData(3, p, 0, d, 1)
	x, y := data.Inputs.(*mat.Dense), data.Targets
	g := gamma * math.Sqrt(base) // of networks that do not follow μP
	for _, c := range []struct {
		name   string
		par    dmft.Parametrization
		rates  dmft.Rates
		shapes []int // depths
		of     func(n float64) literal
	}{
		{"mup", dmft.MuP, dmft.Rates{}, []int{1, 3}, func(n float64) literal {
			return literal{m: [3]float64{1, 1, 1}, std: [3]float64{1 / math.Sqrt(d), 1 / math.Sqrt(n), 1 / (gamma * n)}, rate: [3]float64{eta * gamma * gamma * n / d, eta * gamma * gamma, eta / n}}
		}},
		{"ntk", dmft.NTKParametrization, dmft.Rates{}, []int{1, 3}, func(n float64) literal {
			return literal{m: [3]float64{1 / math.Sqrt(d), 1 / math.Sqrt(n), 1 / (g * math.Sqrt(n))}, std: [3]float64{1, 1, 1}, rate: [3]float64{eta * g * g, eta * g * g, eta * g * g}}
		}},
		{"standard", dmft.StandardParametrization, dmft.Rates{}, []int{1, 3}, func(n float64) literal {
			return literal{m: [3]float64{1, 1, 1 / g}, std: [3]float64{1 / math.Sqrt(d), 1 / math.Sqrt(n), 1 / math.Sqrt(n)}, rate: [3]float64{eta * g * g / d, eta * gamma * gamma, eta * gamma * gamma}}
		}},
		{"standard, one learning rate", dmft.StandardParametrization, dmft.Rates{Input: d / 6., Hidden: 1, Readout: 1}, []int{1, 3}, func(n float64) literal {
			r := eta * gamma * gamma
			return literal{m: [3]float64{1, 1, 1 / g}, std: [3]float64{1 / math.Sqrt(d), 1 / math.Sqrt(n), 1 / math.Sqrt(n)}, rate: [3]float64{r, r, r}}
		}},
		{"mean-field", dmft.MeanField, dmft.Rates{}, []int{1}, func(n float64) literal {
			r := eta * gamma * gamma * n
			return literal{m: [3]float64{1 / math.Sqrt(d), 0, 1 / (gamma * n)}, std: [3]float64{1, 1, 1}, rate: [3]float64{r, r, r}}
		}},
	} {
		for _, depth := range c.shapes {
			for _, kind := range []dmft.Kind{dmft.MLP, dmft.ResNet} {
				for _, n := range []int{base, 4 * base} {
					pr := &dmft.Problem{Data: data, Richness: gamma, Network: dmft.Network{Kind: kind, Depth: depth, Activation: act("tanh"), Branch: dmft.Branch{Beta: 0.8, Exponent: 0.5}},
						Training: dmft.Training{Method: gd(eta), Steps: steps, Loss: dmft.Loss{Kind: dmft.MSE}, Rates: c.rates}}
					lit := c.of(float64(n))
					lit.b = 1
					if kind == dmft.ResNet { // another scaling with depth, the same at depth 2
						pr.Network.Branch = pr.Network.Branch.WithExponent(1, 2)
						lit.skip, lit.b = 1, 0.8/math.Sqrt(2)*2/float64(depth)
					}
					q, err := c.par.AtWidth(pr, n, base)
					if err != nil {
						t.Fatal(err)
					}
					if n == base && c.par != dmft.MuP {
						same(t, fmt.Sprintf("%s at the base width", c.name), train(t, q, finite.Settings{Width: n, Seed: 5}).F.Data, train(t, pr, finite.Settings{Width: n, Seed: 5}).F.Data, 1e-12)
					}
					// The random numbers of package finite.
					stream := func(layer int) *random.Stream { return random.New(5, uint64(n)<<40|uint64(layer)) }
					rng := stream(0)
					a, w0 := mat.NewVecDense(n, nil), mat.NewDense(n, d, nil)
					rng.Normal(a.RawVector().Data)
					rng.Normal(w0.RawMatrix().Data)
					var ws []*mat.Dense
					for l := 1; l < depth; l++ {
						w, rng := mat.NewDense(n, n, nil), stream(l)
						for i := range n {
							rng.Normal(w.RawRowView(i))
						}
						ws = append(ws, w)
					}
					var want []float64
					for _, f := range lit.train(x, y, pr.Network.Activation.Value, pr.Network.Activation.Derivative, steps, w0, ws, a) {
						want = append(want, f...)
					}
					same(t, fmt.Sprintf("%s, %s of depth %d, width %d", c.name, kind, depth, n), train(t, q, finite.Settings{Width: n, Seed: 5}).F.Data, want, 1e-11)
				}
			}
		}
	}
	pr := twoLayer("tanh", 1, data, gd(eta), 2)
	pr.Network.Kind, pr.Network.Depth = dmft.MLP, 2
	for _, c := range []struct {
		par         dmft.Parametrization
		bias        float64
		width, base int
		want        string
	}{
		{"sp", 0, 8, 8, "unknown parametrisation"},
		{dmft.MeanField, 0, 8, 8, "one hidden layer"},
		{dmft.NTKParametrization, 0, 8, 0, "base width 0"},
		{dmft.StandardParametrization, 1, 8, 8, "no biases"},
	} {
		pr.Network.Bias = c.bias
		if _, err := c.par.AtWidth(pr, c.width, c.base); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, expected one about %q", c.par, err, c.want)
		}
	}
}

// same fails unless two lists agree to a tolerance relative to the largest element.
func same(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, expected %d", what, len(got), len(want))
	}
	scale := 1.
	for _, v := range want {
		scale = max(scale, math.Abs(v))
	}
	for i, v := range got {
		if !(math.Abs(v-want[i]) <= tol*scale) {
			t.Fatalf("%s: element %d is %g, expected %g", what, i, v, want[i])
		}
	}
}
