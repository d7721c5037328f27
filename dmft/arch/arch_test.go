package arch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// plainInit draws independent numbers.
type plainInit struct{ rng *rand.Rand }

func (p plainInit) fill(m field.Mat[float64]) error {
	for i := range m.Data {
		m.Data[i] = p.rng.NormFloat64()
	}
	return nil
}

func (p plainInit) Readout(_ int, w field.Mat[float64]) error { return p.fill(w) }
func (p plainInit) Leaf(_ int, w field.Mat[float64]) error    { return p.fill(w) }
func (p plainInit) Kept() []field.Keeper                      { return nil }

func (p plainInit) Input(n, k int) (field.Mat[float64], error) {
	return gaussian.Plain(p.rng, n, k), nil
}

func (p plainInit) Matrix(m Spec) (field.Matrix[float64], error) {
	w := gaussian.Plain(p.rng, m.Rows, m.Cols)
	for i := range w.Data {
		w.Data[i] /= math.Sqrt(float64(m.Cols))
	}
	return NewDense(w), nil
}

// drawBlocks draws an architecture: any nesting of the blocks there are.
func drawBlocks(t *rapid.T, depth int) []Block {
	act := func() Block {
		name := rapid.SampledFrom([]string{kernels.TanhName, kernels.ErfName, kernels.GELUName, kernels.SoftplusName}).Draw(t, "activation")
		return Activation{kernels.Activation{Name: name}}
	}
	var blocks []Block
	for range rapid.IntRange(1, 4).Draw(t, "blocks") {
		switch k := rapid.IntRange(0, 2).Draw(t, "block"); {
		case k == 0:
			blocks = append(blocks, act())
		case k == 1:
			blocks = append(blocks, Linear{Bias: rapid.SampledFrom([]float64{0, 0.7}).Draw(t, "bias")})
		case depth > 0:
			blocks = append(blocks, Residual{Scale: rapid.Float64Range(0.2, 1.5).Draw(t, "scale"), Rate: rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "rate"),
				Branch: drawBlocks(t, depth-1)})
		default:
			blocks = append(blocks, act())
		}
	}
	return blocks
}

// testNet makes a finite network of blocks on random points.
func testNet(t interface{ Fatal(...any) }, blocks []Block, space Space, outputs, width int, rates Rates, seed uint64) *Net[float64] {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := mat.NewDense(3, 4, nil)
	for i := range 3 {
		for j := range 4 {
			x.Set(i, j, rng.NormFloat64())
		}
	}
	in, err := NewInputs[float64](x, nil, space)
	if err != nil {
		t.Fatal(err)
	}
	nw := NewNet(Config{Replicas: 1, Width: width, Outputs: outputs, Richness: 0.8, Rates: rates}, blocks, in)
	if err := nw.Draw(0, plainInit{rng}); err != nil {
		t.Fatal(err)
	}
	return nw
}

// unitNorm is the inner product of registers a and b in the units in which all weights are N(0,1).
func unitProduct(nw *Net[float64], a, b int) float64 {
	sum := 0.
	add := func(x, y field.Mat[float64], unit float64) {
		for i, v := range x.Data {
			sum += unit * v * y.Data[i]
		}
	}
	for _, s := range nw.states {
		switch s := s.(type) {
		case *Leaf[float64]:
			add(s.At(a), s.At(b), 1)
		case *Dense[float64]:
			add(s.At(a), s.At(b), float64(s.At(0).Cols))
		}
	}
	return sum
}

// TestGradient: the derivative of Σ Δ f along any direction v is ⟨v, ∇⟩/(γ₀²N), for any architecture, and the neural
// tangent kernel made of the kernels of the fields is ⟨∇_μ, ∇_ν⟩/(γ₀²N).
func TestGradient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := drawBlocks(t, 2)
		outputs, width := rapid.IntRange(1, 2).Draw(t, "outputs"), 5
		nw := testNet(t, blocks, InputSpace, outputs, width, Rates{1, 1, 1}, rapid.Uint64().Draw(t, "seed"))
		nw.Reserve(4)
		rng := rand.New(rand.NewPCG(3, 4))
		delta := gaussian.Plain(rng, outputs, 3)
		value := func(r int) float64 {
			f := la.New[float64](outputs, 3)
			nw.Forward(r)
			nw.Predict(r, f)
			s := 0.
			for i, d := range delta.Data {
				s += d * f.Data[i]
			}
			return s
		}
		gradient := func(dst int, d field.Mat[float64]) {
			nw.Forward(0)
			nw.Backward(0, 0, d)
			nw.Accumulate(dst, 0, 1, d)
		}
		gradient(1, delta)
		for _, s := range nw.states { // register 2 is a random direction
			var m field.Mat[float64]
			switch s := s.(type) {
			case *Leaf[float64]:
				m = s.At(2)
			case *Dense[float64]:
				m = s.At(2)
			}
			for i := range m.Data {
				m.Data[i] = rng.NormFloat64()
			}
		}
		const e = 1e-5
		c := make([]float64, 4)
		move := func(e float64) float64 {
			c[0], c[2] = 1, e
			nw.Combine(3, c)
			return value(3)
		}
		numeric := (move(e) - move(-e)) / (2 * e)
		want := scaledProduct(nw, 2, 1)
		if math.Abs(numeric-want) > 1e-6*(1+math.Abs(want)) {
			t.Fatalf("%v: derivative %.10g, gradient %.10g", blocks, numeric, want)
		}
		for m := range 3 { // column (m, o) of the kernel by the gradient of one prediction
			for o := range outputs {
				one := la.New[float64](outputs, 3)
				one.Row(o)[m] = 1
				gradient(1, one)
				for n := range 3 {
					for q := range outputs {
						two := la.New[float64](outputs, 3)
						two.Row(q)[n] = 1
						gradient(2, two)
						want := scaledProduct(nw, 1, 2)
						if got := tangent(nw, m, o, n, q); math.Abs(got-want) > 1e-10*(1+math.Abs(want)) {
							t.Fatalf("%v: NTK of points %d, %d and outputs %d, %d: %.12g, of gradients %.12g", blocks, m, n, o, q, got, want)
						}
					}
				}
			}
		}
	})
}

// scaledProduct is ⟨a, b⟩/(γ₀²N) over weights, where b is a gradient: those of branches with a rate are divided by it.
func scaledProduct(nw *Net[float64], a, b int) float64 {
	whole := unitProduct(nw, a, b)
	for _, l := range nw.linear {
		d := l.w[0].(*Dense[float64])
		x, y, unit := d.At(a), d.At(b), float64(d.At(0).Cols)
		part := 0.
		for i, v := range x.Data {
			part += unit * v * y.Data[i]
		}
		if l.bias != nil {
			for i, v := range l.bias.At(a).Data {
				part += v * l.bias.At(b).Data[i]
			}
		}
		whole += part * (1/l.step.rate - 1)
	}
	return whole / (nw.Richness * nw.Richness * float64(nw.Width))
}

// tangent is an element of the neural tangent kernel.
func tangent(nw *Net[float64], m, o, n, q int) float64 {
	nw.Forward(0)
	v := 0.
	nw.ByOutput(0, func() {
		dot := func(a, b field.Mat[float64], i, j int) float64 {
			s := 0.
			for r := range a.Rows {
				s += a.Row(r)[i] * b.Row(r)[j]
			}
			return s / float64(nw.Width)
		}
		for _, t := range nw.Tangents {
			g, x := 0., nw.Inputs.Gram().At(m, n)
			if o == q {
				g = 1
			}
			if t.Gradient != Unit {
				g = dot(nw.Gradients[t.Gradient].Grad(1+o), nw.Gradients[t.Gradient].Grad(1+q), m, n)
			}
			if t.Feature != InputGram {
				f := nw.Features[t.Feature].Value
				x = dot(f, f, m, n) + t.Bias
			}
			v += Assemble(t.Scale, g, x)
		}
	})
	return v
}

// TestStatic: the rules of the blocks give the closed recursion of multilayer perceptrons and residual networks, and
// wide networks of any architecture approach them.
func TestStatic(t *testing.T) {
	x := mat.NewDense(3, 4, []float64{1, 0.3, -0.5, 2, -1, 0.2, 0.4, 0.1, 0.6, -0.7, 1.1, 0.3})
	kx := kernels.Gram(x)
	phi := kernels.Activation{Name: kernels.TanhName}
	for _, residual := range []bool{false, true} {
		for _, depth := range []int{1, 2, 5} {
			want, err := kernels.NTK(kernels.Architecture{Depth: depth, Residual: residual, Beta: 0.9, Exponent: 0.5, Activation: phi, Bias: 0.4}, kx)
			if err != nil {
				t.Fatal(err)
			}
			blocks := MLP(depth, phi, 0.4)
			if residual {
				blocks = ResNet(depth, phi, 0.4, 0.9/math.Sqrt(float64(depth)), 1)
			}
			got, err := Kernels(blocks, kx, 0.4, Rates{1, 1, 1})
			if err != nil {
				t.Fatal(err)
			}
			same := func(what string, a, b mat.Matrix) {
				if !mat.EqualApprox(a, b, 1e-13) {
					t.Errorf("residual %v, depth %d: %s is\n%v, want\n%v", residual, depth, what, mat.Formatted(a), mat.Formatted(b))
				}
			}
			same("NTK", got.NTK, want.NTK)
			for l := range depth {
				same(fmt.Sprintf("H of layer %d", l+1), got.H[l], want.H[l])
				same(fmt.Sprintf("Φ of layer %d", l+1), got.Phi[l], want.Phi[l])
				same(fmt.Sprintf("G of layer %d", l+1), got.G[l], want.G[l])
			}
		}
	}
}

// TestStaticNetworks: the mean of the kernels of random wide networks is the static one up to 1/N, for architectures
// that have no closed form elsewhere.
func TestStaticNetworks(t *testing.T) {
	act := func(name string) Block { return Activation{kernels.Activation{Name: name}} }
	for name, blocks := range map[string][]Block{
		"branch of two layers": {Residual{Scale: 0.8, Branch: []Block{act("tanh"), Linear{Bias: 0.5}, act("erf"), Linear{}}}, act("tanh")},
		"nested":               {Residual{Scale: 0.7, Branch: []Block{act("tanh"), Linear{}, Residual{Scale: 0.6, Branch: []Block{act("erf"), Linear{}}}}}, act("erf")},
		"activation last":      {Residual{Scale: 0.9, Branch: []Block{Linear{}, act("tanh")}}, act("tanh")},
	} {
		t.Run(name, func(t *testing.T) {
			const width, seeds = 200, 60
			sum, square := make([]float64, 9), make([]float64, 9)
			var gram *mat.SymDense
			for seed := range uint64(seeds) {
				nw := testNet(t, blocks, InputSpace, 1, width, Rates{1, 1, 1}, 0)
				gram = nw.Inputs.Gram()
				if err := nw.Draw(0, plainInit{rand.New(rand.NewPCG(seed, 9))}); err != nil {
					t.Fatal(err)
				}
				for i := range 9 {
					v := tangent(nw, i/3, 0, i%3, 0)
					sum[i] += v / seeds
					square[i] += v * v / seeds
				}
			}
			k, err := Kernels(blocks, gram, 0, Rates{1, 1, 1})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 9 {
				want := k.NTK.At(i/3, i%3)
				// Five standard errors of the mean, and a bias of a few in N, of which there are as many as layers.
				if bound := 5*math.Sqrt((square[i]-sum[i]*sum[i])/seeds) + 8*math.Abs(k.NTK.At(0, 0))/width; math.Abs(sum[i]-want) > bound {
					t.Errorf("NTK element %d: networks %.4f, static %.4f, bound %.4f", i, sum[i], want, bound)
				}
			}
		})
	}
}
