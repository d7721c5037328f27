package dmft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"gonum.org/v1/gonum/mat"
)

// LossKind names a loss.
type LossKind string

// The losses, per sample. Logistic takes targets ±1, CrossEntropy rows that sum to one over C ≥ 2 classes, exactly or
// to the rounding of float32.
const (
	MSE          LossKind = "mse"           // ½ Σ_c (y − f)²,        Δ = y − f
	Logistic     LossKind = "logistic"      // Σ_c log(1 + e^{−yf}),  Δ = y/(1 + e^{yf})
	CrossEntropy LossKind = "cross-entropy" // −Σ_c y log softmax(f), Δ = y − softmax(f)
)

// Loss is a loss and its reduction over samples: Mean puts 1/P into every printed loss and into Δ. The zero value is
// the squared loss MSE, summed.
type Loss struct {
	Kind     LossKind
	Mean     bool         // mean over samples instead of the sum
	Function LossFunction `json:"-"` // a loss of the caller's own, of a Kind that is not one of the above; see CustomLoss
}

// A LossFunction is a loss of the caller's own. It is called by several goroutines at once. It may have more methods:
//
//	Check(targets *mat.Dense) error  what is wrong with targets (P×C), for problems that are refused
//	Quadratic() bool                 the loss is ½ Σ_c (y − f)²: what is known of the squared loss alone holds
type LossFunction interface {
	// Row returns the loss of one sample whose C predictions and targets are f and y, and, unless delta is nil, sets
	// delta to Δ = −∂loss/∂f.
	Row(f, y, delta []float64) float64
}

// CustomLoss is the loss f, summed over samples, for use wherever a named one is. The name is that of no other loss and
// appears in messages.
func CustomLoss(name string, f LossFunction) Loss { return Loss{Kind: LossKind(name), Function: f} }

// Targets says what a loss asks of targets.
type Targets string

// What losses ask for.
const (
	AnyTargets    Targets = ""
	SignTargets   Targets = "sign"    // −1 and +1
	OneHotTargets Targets = "one-hot" // rows of probabilities
)

// LossBase describes a loss that has a name.
type LossBase struct {
	Kind    LossKind
	Formula string
	Targets Targets
}

// lossDefinition is a loss. row adds scale times the loss of one sample to total and, unless delta is nil, sets Δ times
// dscale: prediction k is f[k·stride], its Δ is delta[k·p].
type lossDefinition struct {
	LossBase
	row       func(l Loss, total, scale, dscale float64, f []float64, stride int, y, delta []float64, p int) float64
	check     func(l Loss, what string, y *mat.Dense) error // or nil
	quadratic func(l Loss) bool                             // or nil
}

// The losses in the order in which they are listed.
var losses = []*lossDefinition{&squared, &logistic, &crossEntropy}

// Losses describes the losses.
func Losses() []LossBase {
	b := make([]LossBase, len(losses))
	for i, d := range losses {
		b[i] = d.LossBase
	}
	return b
}

// definition is nil for an unknown loss.
func (l Loss) definition() *lossDefinition {
	if l.Function != nil {
		return &customLoss
	}
	return named(l.Kind)
}

// named returns the loss of a name, the first for none, and nil for an unknown one.
func named(kind LossKind) *lossDefinition {
	if kind == "" {
		return losses[0]
	}
	if i := slices.IndexFunc(losses, func(d *lossDefinition) bool { return d.Kind == kind }); i >= 0 {
		return losses[i]
	}
	return nil
}

// String is the name of the loss.
func (l Loss) String() string {
	if l.Kind == "" {
		return string(losses[0].Kind)
	}
	return string(l.Kind)
}

// Quadratic says whether the loss is the squared one, for which more is known: Δ is linear in f.
func (l Loss) Quadratic() bool {
	d := l.definition()
	return d != nil && d.quadratic != nil && d.quadratic(l)
}

// Targets says what the loss asks of targets; nothing of which is known of a function of the caller's own.
func (l Loss) Targets() Targets {
	if d := l.definition(); d != nil {
		return d.Targets
	}
	return AnyTargets
}

// check says whether there is such a loss and whether the targets suit it.
func (l Loss) check(what string, y *mat.Dense) error {
	d := l.definition()
	if d == nil {
		var names []string
		for _, b := range losses {
			names = append(names, string(b.Kind))
		}
		last := len(names) - 1
		return fmt.Errorf("dmft: unknown loss %q; use %s or %s", l.Kind, strings.Join(names[:last], ", "), names[last])
	}
	if d.check == nil {
		return nil
	}
	return d.check(l, what, y)
}

// customLoss asks the function of a loss.
var customLoss = lossDefinition{
	row: func(l Loss, total, scale, dscale float64, f []float64, stride int, y, delta []float64, p int) float64 {
		b := lossRows.Get().(*[]float64)
		defer lossRows.Put(b)
		c := len(y)
		if len(*b) < 2*c {
			*b = make([]float64, 2*c)
		}
		fs, ds := (*b)[:c], (*b)[c:2*c]
		for k := range fs {
			fs[k] = f[k*stride]
		}
		if delta == nil {
			return total + scale*l.Function.Row(fs, y, nil)
		}
		total += scale * l.Function.Row(fs, y, ds)
		for k, d := range ds {
			delta[k*p] = dscale * d
		}
		return total
	},
	check: func(l Loss, what string, y *mat.Dense) error {
		if named(l.Kind) != nil {
			return fmt.Errorf("dmft: the loss of your own needs a name of its own, not %q", l.Kind)
		}
		if f, ok := l.Function.(interface {
			Check(targets *mat.Dense) error
		}); ok {
			if err := f.Check(y); err != nil {
				return fmt.Errorf("dmft: %s: %w", what, err)
			}
		}
		return nil
	},
	quadratic: func(l Loss) bool {
		f, ok := l.Function.(interface{ Quadratic() bool })
		return ok && f.Quadratic()
	},
}

// lossRows holds rows of predictions and of Δ.
var lossRows = sync.Pool{New: func() any { return new([]float64) }}

// A target is a set of points whose loss can be evaluated: P rows of C targets.
type target struct {
	loss Loss
	y    []float64 // P×C
	p, c int
}

// eval returns the loss of predictions f (element (μ, k) is f[k*stride+μ]) and, when delta is not nil (same layout,
// stride p), fills Δ = −∂loss/∂f. Samples outside mask (nil is all) count in the loss, not in Δ; a mean over samples
// divides Δ by the size of the batch.
func (t target) eval(f []float64, stride int, delta []float64, mask []bool, inBatch int) float64 {
	scale, dscale := 1., 1.
	if t.loss.Mean && t.p > 0 {
		scale, dscale = 1/float64(t.p), 1/float64(t.p)
		if mask != nil {
			dscale = 1 / float64(inBatch)
		}
	}
	row := t.loss.definition().row
	total := 0.
	for m := range t.p {
		var d []float64
		if delta != nil && mask != nil && !mask[m] {
			for k := range t.c {
				delta[k*t.p+m] = 0
			}
		} else if delta != nil {
			d = delta[m:]
		}
		total = row(t.loss, total, scale, dscale, f[m:], stride, t.y[m*t.c:(m+1)*t.c], d, t.p)
	}
	return total
}

// Of is the loss of predictions f, a row of C numbers for each row of the targets, such as one time of
// Trajectory.FTestReplicas.
func (l Loss) Of(f []float64, targets *mat.Dense) float64 {
	p, c := targets.Dims()
	t := target{loss: l, y: flat(targets), p: p, c: c}
	return t.rows(f, make([]float64, p*c))
}

// rows is the loss of predictions by rows (μ, k), unlike those that eval takes; buf is as long.
func (t target) rows(v, buf []float64) float64 {
	for m := range t.p {
		for k := range t.c {
			buf[k*t.p+m] = v[m*t.c+k]
		}
	}
	return t.eval(buf, t.p, nil, nil, 0)
}

// A batcher yields the mini-batch of every step: samples are shuffled once an epoch, the last batch of an epoch may be
// smaller. It depends on the step alone, so a resumed run sees the same batches.
type batcher struct {
	Batch
	p     int
	epoch int
	perm  []int
	mask  []bool
	n     int
}

func newBatcher(b Batch, p int) *batcher {
	if b.Size <= 0 || b.Size >= p {
		return nil
	}
	return &batcher{Batch: b, p: p, epoch: -1, mask: make([]bool, p)}
}

// at returns the mask of step n and the number of samples in it; nil is everything.
func (b *batcher) at(n int) ([]bool, int) {
	if b == nil {
		return nil, 0
	}
	per := (b.p + b.Size - 1) / b.Size
	if e := n / per; e != b.epoch {
		b.epoch = e
		b.perm = rand.New(rand.NewPCG(b.Seed, uint64(e))).Perm(b.p)
	}
	clear(b.mask)
	lo := n % per * b.Size
	b.n = min(b.Size, b.p-lo)
	for _, m := range b.perm[lo : lo+b.n] {
		b.mask[m] = true
	}
	return b.mask, b.n
}
