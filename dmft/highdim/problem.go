package highdim

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// A Problem is a two-layer network, the random data it learns from, and its training, in the equations of the package
// comment.
type Problem struct {
	Ratio       float64            // δ = P/D; +Inf is the population limit
	Units       int                // N; 0 stands for infinitely many, in SimulateMoments
	Activation  kernels.Activation // φ
	OutputScale float64            // α > 0; large is lazy
	Readout     Readout
	Target      Target
	Gram        *mat.SymDense // N×N: w_i(0)·w_j(0)/D; the identity when nil
	Training    Training
}

// Readout is the second layer a. Its zero value is frozen at one.
type Readout struct {
	Initial []float64 // a(0), N numbers; ones when nil
	Rate    float64   // learning rate relative to 1/D of that of the weights; 0 freezes the readout
}

// Target is what the data ask for: a function of K directions β_k, orthogonal and of |β_k|² = D. The zero value with
// Overlaps is y = ½(β·x)².
type Target struct {
	Link    kernels.Activation        // σ in y = Σ_k c_k σ(β_k·x); h²/2 when it has no name
	Weights []float64                 // c_k, ones when nil
	Func    func(h []float64) float64 // instead of Link and Weights: any function of all K projections β_k·x
	// N×K: w_i(0)·β_k/D. Only SimulateMoments takes nil, for random weights and K = len(Weights) or 1
	Overlaps [][]float64
	Noise    float64 // standard deviation of the noise on training labels
}

// Training says how the network is trained.
type Training struct {
	Method ode.Method
	Steps  int // steps, or outputs of a flow
	// Mini-batches that every epoch is split into, points being shuffled once an epoch; 0 and 1 are the full batch.
	Batches int
	Centred bool // predict f(t) − f(0)
}

// halfSquare is the link h²/2 of the zero Target.
var halfSquare = kernels.Activation{Name: kernels.PolynomialName, Coefficients: []float64{0, 0, 0.5}}

func (t *Target) link() kernels.Activation {
	if t.Link.Name == "" {
		return halfSquare
	}
	return t.Link
}

// Mix returns the ε of φ(h) = h + (ε/2)h², for which thresholds of learning are known.
func Mix(phi kernels.Activation) (epsilon float64, ok bool) {
	c, ok := phi.Polynomial()
	if !ok || len(c) < 2 || len(c) > 3 || c[0] != 0 || c[1] != 1 {
		return 0, false
	}
	if len(c) == 3 {
		epsilon = 2 * c[2]
	}
	return epsilon, true
}

// directions is K.
func (t *Target) directions() int {
	if len(t.Overlaps) == 0 {
		return max(len(t.Weights), 1)
	}
	return len(t.Overlaps[0])
}

// label returns y without noise as a function of the projections h.
func (t *Target) label() func(h []float64) float64 {
	if t.Func != nil {
		return t.Func
	}
	link := t.link().Pointwise()
	return func(h []float64) float64 {
		y := 0.
		for k, x := range h {
			v, _, _ := link(x)
			if t.Weights != nil {
				v *= t.Weights[k]
			}
			y += v
		}
		return y
	}
}

func positive(x float64) bool { return x > 0 && !math.IsInf(x, 1) }

// Validate says what is wrong with a Problem.
func (p *Problem) Validate() error {
	if p.Units < 1 {
		return errors.New("highdim: units must be at least 1 (infinitely many only with SimulateMoments)")
	}
	if len(p.Target.Overlaps) != p.Units {
		return fmt.Errorf("highdim: overlaps of %d units are given for a network of %d; without an overlap a unit "+
			"never finds an even target, so use about ±1/√D", len(p.Target.Overlaps), p.Units)
	}
	return p.validate()
}

func (p *Problem) validate() error {
	if !(p.Ratio > 0) {
		return fmt.Errorf("highdim: ratio δ = P/D = %g must be positive", p.Ratio)
	}
	if !positive(p.OutputScale) {
		return fmt.Errorf("highdim: output scale α = %g must be positive and finite", p.OutputScale)
	}
	if err := p.Activation.Validate(); err != nil {
		return fmt.Errorf("highdim: activation: %w", err)
	}
	t := &p.Target
	if err := t.link().Validate(); err != nil {
		return fmt.Errorf("highdim: link of the target: %w", err)
	}
	k := t.directions()
	if t.Func != nil && (t.Link.Name != "" || t.Weights != nil) {
		return errors.New("highdim: a target is either a function or a sum of links, not both")
	}
	if t.Weights != nil && len(t.Weights) != k {
		return fmt.Errorf("highdim: the target has %d weights and %d directions", len(t.Weights), k)
	}
	if !(t.Noise >= 0) || math.IsInf(t.Noise, 0) {
		return fmt.Errorf("highdim: label noise %g must be finite and not negative", t.Noise)
	}
	for i, row := range t.Overlaps {
		if len(row) != k || k == 0 {
			return fmt.Errorf("highdim: unit %d has %d overlaps, unit 0 has %d; each needs one for every direction "+
				"of the target", i, len(row), k)
		}
	}
	if n := len(p.Readout.Initial); n != 0 && n != p.Units {
		return fmt.Errorf("highdim: %d initial readouts for %d units", n, p.Units)
	}
	if !(p.Readout.Rate >= 0) || math.IsInf(p.Readout.Rate, 0) {
		return fmt.Errorf("highdim: readout rate %g must be finite and not negative", p.Readout.Rate)
	}
	tr := &p.Training
	if err := tr.Method.Validate(); err != nil {
		return fmt.Errorf("highdim: training: %w", err)
	}
	if tr.Steps < 0 {
		return fmt.Errorf("highdim: %d training steps", tr.Steps)
	}
	if tr.Batches < 0 || tr.Batches > 1 && tr.Method.IsFlow() {
		return fmt.Errorf("highdim: %d mini-batches with method %s; mini-batches are for optimisers", tr.Batches,
			tr.Method.Kind)
	}
	if p.Gram != nil && p.Gram.SymmetricDim() != p.Units {
		return fmt.Errorf("highdim: the initial Gram matrix is for %d units, the network has %d", p.Gram.SymmetricDim(),
			p.Units)
	}
	if p.Units > 0 && t.Overlaps != nil {
		_, err := p.start()
		return err
	}
	return nil
}

// readout is a(0).
func (p *Problem) readout() []float64 {
	a := make([]float64, p.Units)
	for i := range a {
		a[i] = 1
		if p.Readout.Initial != nil {
			a[i] = p.Readout.Initial[i]
		}
	}
	return a
}

// start returns the coordinates of w(0), N×(K+N): directions of the target first, then those that complete the Gram
// matrix.
func (p *Problem) start() ([][]float64, error) {
	n, k := p.Units, p.Target.directions()
	w := make([][]float64, n)
	for i := range w {
		w[i] = make([]float64, k+n)
		copy(w[i], p.Target.Overlaps[i])
	}
	rest := make([]float64, n*n)
	for i := range n {
		for j := range n {
			g := 0.
			if p.Gram != nil {
				g = p.Gram.At(i, j)
			} else if i == j {
				g = 1
			}
			for d := range k {
				g -= w[i][d] * w[j][d]
			}
			rest[i*n+j] = g
		}
	}
	if !cholesky(rest, n) {
		return nil, errors.New("highdim: no weights have these overlaps with the target and this Gram matrix; make " +
			"the overlaps smaller, Σ_k m_ik² ≤ |w_i|²/D, or more alike")
	}
	for i := range n {
		copy(w[i][k:], rest[i*n:i*n+i+1])
	}
	return w, nil
}

// semidefinite is the rounding, relative to the diagonal, at which a pivot of cholesky counts as zero.
const semidefinite = 1e-11

// cholesky replaces the n×n positive semi-definite a by its lower triangular factor, in the given order of rows, with
// zero columns where a row depends on those before. It reports whether a is positive semi-definite and finite.
func cholesky(a []float64, n int) bool {
	for j := range n {
		row := a[j*n:]
		d, whole := row[j], math.Abs(row[j])
		for k := range j {
			d -= row[k] * row[k]
		}
		tiny := semidefinite * whole
		if !(d >= -1e3*tiny) {
			return false
		}
		if d <= tiny {
			// A row that has nothing of its own can have nothing in common with the rest either, to rounding.
			for i := j; i < n; i++ {
				a[i*n+j] = 0
			}
			continue
		}
		d = math.Sqrt(d)
		row[j] = d
		for i := j + 1; i < n; i++ {
			s := a[i*n+j]
			for k := range j {
				s -= a[i*n+k] * row[k]
			}
			a[i*n+j] = s / d
		}
	}
	for i := range n {
		clear(a[i*n+i+1 : i*n+n])
	}
	return true
}
