// Command example uses dmft from another module with everything of its own: data, activation, loss, observer and weight
// matrix. It solves and trains the same problem, keeps the trajectories as npz files, reads one back, and draws the
// figures into a folder:
//
//	go run . FOLDER
package main

import (
	"context"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/arch"
	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/dmft/figure/standard"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// softsign is the activation h/(1 + |h|).
type softsign struct{}

func (softsign) Eval(phi, dphi, h []float64) {
	for i, x := range h {
		d := 1 + math.Abs(x)
		phi[i], dphi[i] = x/d, 1/(d*d)
	}
}

// logCosh is the loss Σ_k log cosh(f_k − y_k).
type logCosh struct{}

func (logCosh) Row(f, y, delta []float64) (loss float64) {
	for k := range f {
		r := math.Abs(f[k] - y[k])
		loss += r + math.Log1p(math.Exp(-2*r)) - math.Ln2
		if delta != nil {
			delta[k] = math.Tanh(y[k] - f[k])
		}
	}
	return loss
}

// counted is a weight matrix that counts the products with it.
type counted struct {
	field.Matrix[float64]
	products *atomic.Int64
}

func (m counted) Mul(r int, dst, x field.Mat[float64]) {
	m.products.Add(1)
	m.Matrix.Mul(r, dst, x)
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go run . FOLDER")
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string) error {
	x, y := mat.NewDense(8, 2, nil), mat.NewDense(8, 1, nil)
	for i := range 8 { // two turns of a wave around a circle
		phase := 2 * math.Pi * float64(i) / 8
		x.SetRow(i, []float64{math.Cos(phase), math.Sin(phase)})
		y.Set(i, 0, math.Cos(2*phase+0.3))
	}
	if err := data.Normalize(x, nil, "sphere"); err != nil {
		return err
	}
	p := &dmft.Problem{
		Data:     dmft.Data{Inputs: x, Targets: y},
		Network:  dmft.Network{Kind: dmft.MLP, Depth: 2, Activation: kernels.Custom("softsign", softsign{}), Bias: 0.5},
		Richness: 2,
		Training: dmft.Training{
			Method: ode.Method{LearningRate: 0.03}, Steps: 1000, Loss: dmft.CustomLoss("log-cosh", logCosh{}),
		},
	}
	var products atomic.Int64
	count := func(_ int, _ arch.Spec, w field.Matrix[float64]) (field.Matrix[float64], error) {
		return counted{w, &products}, nil
	}
	settings := dmft.Run{
		Record:  dmft.Record{Kernels: 41},
		Observe: func(o *dmft.Observation) (stop bool) { return o.Loss() < 0.05 },
	}
	theory, err := dmft.Solve(ctx, p, dmft.Settings{Samples: 2000, Seed: 1, Matrix: count, Run: settings})
	if err != nil {
		return err
	}
	networks, err := finite.Train(ctx, p, finite.Settings{Width: 128, Seeds: 8, Seed: 1, Matrix: count, Run: settings})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	name := filepath.Join(dir, "theory.npz")
	if err := theory.WriteNPZ(name, dmft.Blocks); err != nil {
		return err
	}
	if theory, err = dmft.ReadNPZ(name); err != nil { // a file of the command is read in the same way
		return err
	}
	figures, err := standard.Figures(standard.Comparison{
		Title: "a wave on a circle", Problem: p, Theory: theory, Networks: []*dmft.Trajectory{networks},
	})
	if err != nil {
		return err
	}
	files, err := standard.Save(filepath.Join(dir, "figures"), figures, "pdf", "svg")
	last := func(t *dmft.Trajectory) float64 { return t.Loss[t.Steps()-1] }
	fmt.Printf("theory: loss %.3f → %.3f in %d steps\n", theory.Loss[0], last(theory), theory.Steps()-1)
	fmt.Printf("networks: %s %s, at step %d, loss %.3f\n", networks.Status.Code, networks.Status.Quantity,
		networks.Status.Step, last(networks))
	fmt.Printf("%d products with hidden matrices; %d files of figures\n", products.Load(), len(files))
	return err
}
