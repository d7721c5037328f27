package dmft_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// ownTanh is tanh of which nothing is known but its values.
type ownTanh struct{}

func (ownTanh) Eval(phi, dphi, h []float64) { kernels.Activation{Name: "tanh"}.Eval(phi, dphi, h) }

// ownSquare is the squared loss.
type ownSquare struct{}

func (ownSquare) Row(f, y, delta []float64) float64 {
	s := 0.
	for k := range f {
		d := y[k] - f[k]
		s += d * d / 2
		if delta != nil {
			delta[k] = d
		}
	}
	return s
}

// huber is ½r² for residuals |r| ≤ 1 and |r| − ½ beyond.
type huber struct{}

func (huber) Row(f, y, delta []float64) float64 {
	s := 0.
	for k := range f {
		r := y[k] - f[k]
		if math.Abs(r) <= 1 {
			s += r * r / 2
		} else {
			s += math.Abs(r) - 0.5
		}
		if delta != nil {
			delta[k] = max(-1, min(1, r))
		}
	}
	return s
}

func (huber) Check(targets *mat.Dense) error {
	if mat.Max(targets) > 100 {
		return errors.New("targets above 100")
	}
	return nil
}

// ownProblem has targets of size, C outputs and test points.
func ownProblem(kind dmft.Kind, depth, c int, size float64) *dmft.Problem {
	rng := rand.New(rand.NewPCG(8, 9))
	normal := func(r, c int, s float64) *mat.Dense {
		m := mat.NewDense(r, c, nil)
		for i := range r {
			for j := range c {
				m.Set(i, j, s*rng.NormFloat64())
			}
		}
		return m
	}
	return &dmft.Problem{
		Data:     dmft.Data{Inputs: normal(4, 5, 1), Targets: normal(4, c, size), TestInputs: normal(2, 5, 1), TestTargets: normal(2, c, size)},
		Network:  dmft.Network{Kind: kind, Depth: depth, Activation: kernels.Activation{Name: "tanh"}, Branch: dmft.Branch{Beta: 1, Exponent: 0.5}},
		Richness: 1,
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 12},
	}
}

func solveAndTrain(t *testing.T, p *dmft.Problem) (theory, lazy, network *dmft.Trajectory) {
	t.Helper()
	theory, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 400, Seed: 3, Run: dmft.Run{Record: dmft.Record{Kernels: 3}}})
	if err == nil {
		lazy, err = dmft.Solve(context.Background(), p, dmft.Settings{Method: dmft.Lazy})
	}
	if err == nil {
		network, err = finite.Train(context.Background(), p, finite.Settings{Width: 32, Seeds: 2, Seed: 5})
	}
	if err != nil {
		t.Fatal(err)
	}
	return theory, lazy, network
}

// distanceOf is the largest difference of losses and predictions.
func distanceOf(a, b *dmft.Trajectory) (d float64) {
	for _, v := range [][2][]float64{{a.Loss, b.Loss}, {a.TestLoss, b.TestLoss}, {a.F.Data, b.F.Data}, {a.FTest.Data, b.FTest.Data}, {a.Phi.Data, b.Phi.Data}, {a.NTK.Data, b.NTK.Data}} {
		if len(v[0]) != len(v[1]) {
			return math.Inf(1)
		}
		for i, x := range v[0] {
			d = math.Max(d, math.Abs(x-v[1][i]))
		}
	}
	return d
}

// TestOwnActivation: a wrapped tanh follows the named one, in theory (whose sites are not paired with −h, since nobody
// said that it is odd) within the error of the sampling and otherwise to rounding, in finite networks to rounding, and
// in the lazy limit within the error of the quadrature, which training does not enlarge.
func TestOwnActivation(t *testing.T) {
	for _, kind := range []dmft.Kind{dmft.TwoLayer, dmft.MLP, dmft.ResNet} {
		p := ownProblem(kind, map[dmft.Kind]int{dmft.TwoLayer: 1}[kind], 1, 1)
		if kind != dmft.TwoLayer {
			p.Network.Depth = 2
		}
		theory, lazy, network := solveAndTrain(t, p)
		q := *p
		q.Network.Activation = kernels.Custom("mine", oddTanh{})
		ownTheory, ownLazy, ownNetwork := solveAndTrain(t, &q)
		if d := distanceOf(theory, ownTheory); d > 1e-12 {
			t.Errorf("%s: theory is off by %g", kind, d)
		}
		if d := distanceOf(network, ownNetwork); d > 1e-12 {
			t.Errorf("%s: networks are off by %g", kind, d)
		}
		if d := distanceOf(lazy, ownLazy); d > 1e-8 {
			t.Errorf("%s: the lazy limit is off by %g", kind, d)
		}
	}
	p := ownProblem(dmft.TwoLayer, 1, 1, 1)
	p.Network.Activation = kernels.Custom("mine", ownTanh{})
	bare, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 4000, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	p.Network.Activation = kernels.Activation{Name: "tanh"}
	named, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 4000, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range bare.F.Data {
		if s := math.Hypot(bare.FStderr.Data[i], named.FStderr.Data[i]); math.Abs(f-named.F.Data[i]) > 6*s+1e-12 {
			t.Errorf("prediction %d: %g, of the odd one %g ± %g", i, f, named.F.Data[i], s)
		}
	}
}

// oddTanh says that it is odd.
type oddTanh struct{ ownTanh }

func (oddTanh) Odd() bool { return true }

// TestOwnLoss: the squared loss as a function of the caller's own is the named one, bit for bit for one output and to
// the rounding of sums over outputs for several.
func TestOwnLoss(t *testing.T) {
	for _, c := range []int{1, 3} {
		p := ownProblem(dmft.MLP, 2, c, 1)
		theory, lazy, network := solveAndTrain(t, p)
		q := *p
		q.Training.Loss = dmft.CustomLoss("mine", ownSquare{})
		ownTheory, ownLazy, ownNetwork := solveAndTrain(t, &q)
		for what, pair := range map[string][2]*dmft.Trajectory{"theory": {theory, ownTheory}, "lazy": {lazy, ownLazy}, "networks": {network, ownNetwork}} {
			bound := 0.
			if c > 1 {
				bound = 1e-13
			}
			if d := distanceOf(pair[0], pair[1]); d > bound {
				t.Errorf("%d outputs, %s: off by %g", c, what, d)
			}
		}
	}
}

// TestHuber: Δ is −∂loss/∂f by central differences, and wide networks follow the theory of the Huber loss within six
// standard errors and a bias of order 1/N; those of the squared loss are far away, so that something is tested.
func TestHuber(t *testing.T) {
	y, f, delta := []float64{0.3, -2, 4}, []float64{0.1, 1.4, 3.5}, make([]float64, 3)
	huber{}.Row(f, y, delta)
	for k := range f {
		const h = 1e-6
		v := f[k]
		f[k] = v + h
		up := huber{}.Row(f, y, nil)
		f[k] = v - h
		down := huber{}.Row(f, y, nil)
		f[k] = v
		if got := -(up - down) / (2 * h); math.Abs(got-delta[k]) > 1e-9 {
			t.Errorf("Δ_%d = %g, difference quotient %g", k, delta[k], got)
		}
	}
	p := ownProblem(dmft.TwoLayer, 1, 1, 3)
	p.Training.Centred = true
	p.Training.Loss = dmft.CustomLoss("huber", huber{})
	theory, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 8000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	const width, seeds = 1024, 8
	nets, err := finite.Train(context.Background(), p, finite.Settings{Width: width, Seeds: seeds, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	p.Training.Loss = dmft.Loss{}
	squared, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 2000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	far := 0.
	for i, v := range theory.F.Data {
		s := math.Hypot(theory.FStderr.Data[i], nets.FStderr.Data[i])
		if math.Abs(v-nets.F.Data[i]) > 6*s+5./width {
			t.Errorf("prediction %d: theory %g, networks %g ± %g", i, v, nets.F.Data[i], s)
		}
		far = math.Max(far, math.Abs(v-squared.F.Data[i]))
	}
	if far < 0.3 {
		t.Errorf("the squared loss differs by %g only", far)
	}
}

// TestZeroValues: a network of which only the activation is given is a two-layer network, a loss that is not given the
// squared loss, summed, and a method of which only the learning rate is given gradient descent on the full batch.
func TestZeroValues(t *testing.T) {
	p := ownProblem(dmft.TwoLayer, 1, 1, 1)
	p.Training.Loss = dmft.Loss{Kind: dmft.MSE}
	if p.Training.Method.Kind != ode.GD {
		t.Fatal("another method")
	}
	theory, lazy, network := solveAndTrain(t, p)
	for _, net := range []dmft.Network{{}, {Depth: 1}, {Kind: dmft.TwoLayer}} {
		q := *p
		net.Activation = p.Network.Activation
		q.Network, q.Training.Loss, q.Training.Method.Kind = net, dmft.Loss{}, ""
		zeroTheory, zeroLazy, zeroNetwork := solveAndTrain(t, &q)
		if distanceOf(theory, zeroTheory) != 0 || distanceOf(lazy, zeroLazy) != 0 || distanceOf(network, zeroNetwork) != 0 {
			t.Errorf("%+v differs", net)
		}
		if l, m := dmft.Stability(&q); l == 0 || m == 0 {
			t.Errorf("%+v: stability %g, %g", net, l, m)
		}
		a, err := dmft.Estimate(&q, dmft.Settings{})
		b, err2 := dmft.Estimate(p, dmft.Settings{})
		if a != b || err != nil || err2 != nil {
			t.Errorf("%+v: estimates %d and %d", net, a, b)
		}
		if !reflect.DeepEqual(q.Network, net) {
			t.Error("the caller's problem was changed")
		}
	}
	if p.WithDefaults() != p {
		t.Error("nothing was to be spelled out")
	}
}

func TestOwnRefused(t *testing.T) {
	for want, change := range map[string]func(p *dmft.Problem){
		"a name of its own, not \"mse\"": func(p *dmft.Problem) { p.Training.Loss = dmft.CustomLoss("mse", huber{}) },
		"not \"\"":                       func(p *dmft.Problem) { p.Training.Loss = dmft.CustomLoss("", huber{}) },
		"targets: targets above 100":     func(p *dmft.Problem) { p.Training.Loss = dmft.CustomLoss("h", huber{}); p.Data.Targets.Set(0, 0, 1000) },
		"use mse, logistic or":           func(p *dmft.Problem) { p.Training.Loss.Kind = "hinge" },
		"depth 1, not 2":                 func(p *dmft.Problem) { p.Network.Kind, p.Network.Depth = "", 2 },
		"at least one hidden layer":      func(p *dmft.Problem) { p.Network.Kind, p.Network.Depth = dmft.MLP, 0 },
		"unknown activation \"\"":        func(p *dmft.Problem) { p.Network = dmft.Network{} },
		"learning rate":                  func(p *dmft.Problem) { p.Training.Method = ode.Method{} },
		"the activation mine has no param": func(p *dmft.Problem) {
			p.Network.Activation = kernels.Custom("mine", ownTanh{})
			p.Network.Activation.Parameter = 1
		},
	} {
		p := ownProblem(dmft.TwoLayer, 1, 1, 1)
		change(p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	for _, l := range dmft.Losses() {
		if got := (dmft.Loss{Kind: l.Kind}).Quadratic(); got != (l.Kind == dmft.MSE) {
			t.Errorf("%s is quadratic: %v", l.Kind, got)
		}
	}
}

func ExampleCustomLoss() {
	p := &dmft.Problem{
		Data:     dmft.Data{Inputs: mat.NewDense(2, 2, []float64{1, 1, 1, -1}), Targets: mat.NewDense(2, 1, []float64{1, 4})},
		Network:  dmft.Network{Activation: kernels.Activation{Name: "linear"}}, // of two layers
		Richness: 0.5,
		// Type huber has the method Row(f, y, delta []float64) float64.
		Training: dmft.Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 10, Loss: dmft.CustomLoss("huber", huber{})},
	}
	tr, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 1000, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: %.3f → %.3f\n", p.Training.Loss, tr.Loss[0], tr.Loss[10])
	// Output: huber: 4.000 → 1.142
}

// counted is a matrix that counts its products.
type counted struct {
	field.Matrix[float64]
	products *atomic.Int64
}

func (m counted) Mul(r int, dst, x field.Mat[float64]) {
	m.products.Add(1)
	m.Matrix.Mul(r, dst, x)
}

// TestOwnMatrix: a matrix that wraps another changes no bit of theory and networks, every product goes through it; one
// that is not made is an error.
func TestOwnMatrix(t *testing.T) {
	p := ownProblem(dmft.MLP, 3, 1, 1)
	theory, _, networks := solveAndTrain(t, p)
	var products atomic.Int64
	var mu sync.Mutex
	seen := map[string]bool{}
	wrap := func(r int, m arch.Spec, w field.Matrix[float64]) (field.Matrix[float64], error) {
		mu.Lock()
		defer mu.Unlock()
		seen[fmt.Sprint(r, m.Index)] = true
		return counted{w, &products}, nil
	}
	own, err := dmft.Solve(t.Context(), p, dmft.Settings{Samples: 400, Seed: 3, Matrix: wrap, Run: dmft.Run{Record: dmft.Record{Kernels: 3}}})
	if err != nil || distanceOf(own, theory) != 0 {
		t.Errorf("theory: %v", err)
	}
	// Every one of 13 forward passes multiplies with two matrices of every block.
	if n := int64(13 * 2 * own.Replicas); products.Load() != n || len(seen) != 2*own.Replicas {
		t.Errorf("%d products in place of %d; matrices %v", products.Load(), n, seen)
	}
	products.Store(0)
	clear(seen)
	own, err = finite.Train(t.Context(), p, finite.Settings{Width: 32, Seeds: 2, Seed: 5, Matrix: wrap})
	if err != nil || distanceOf(own, networks) != 0 || len(seen) != 4 || products.Load() == 0 {
		t.Errorf("networks: %v, %d products of %v", err, products.Load(), seen)
	}
	none := func(int, arch.Spec, field.Matrix[float64]) (field.Matrix[float64], error) { return nil, nil }
	if _, err := finite.Train(t.Context(), p, finite.Settings{Width: 32, Matrix: none}); err == nil || !strings.Contains(err.Error(), "weight matrix 1") {
		t.Errorf("no matrix: %v", err)
	}
	if _, err := finite.Train(t.Context(), p, finite.Settings{Width: 32, Matrix: wrap, Precision: finite.Float32}); err == nil {
		t.Error("matrices of another precision are accepted")
	}
}
