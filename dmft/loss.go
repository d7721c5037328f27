package dmft

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
)

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
	total := 0.
	for m := range t.p {
		on := delta != nil
		if on && mask != nil && !mask[m] {
			for k := range t.c {
				delta[k*t.p+m] = 0
			}
			on = false
		}
		y := t.y[m*t.c : (m+1)*t.c]
		switch t.loss.Kind {
		case Logistic:
			for k, yk := range y {
				v := yk * f[k*stride+m]
				// log(1 + e^{−v}) without overflow.
				total += scale * (math.Max(-v, 0) + math.Log1p(math.Exp(-math.Abs(v))))
				if on {
					delta[k*t.p+m] = dscale * yk / (1 + math.Exp(v))
				}
			}
		case CrossEntropy:
			top := math.Inf(-1)
			for k := range y {
				top = math.Max(top, f[k*stride+m])
			}
			z := 0.
			sum := 0. // one, to the rounding of the targets
			for k, yk := range y {
				z += math.Exp(f[k*stride+m] - top)
				sum += yk
			}
			logz := top + math.Log(z)
			for k, yk := range y {
				total += scale * yk * (logz - f[k*stride+m])
				if on {
					delta[k*t.p+m] = dscale * (yk - sum*math.Exp(f[k*stride+m]-logz))
				}
			}
		default:
			for k, yk := range y {
				d := yk - f[k*stride+m]
				total += scale * d * d / 2
				if on {
					delta[k*t.p+m] = dscale * d
				}
			}
		}
	}
	return total
}

// Of is the loss of predictions f, a row of C numbers for each row of the targets, such as one time of Trajectory.FTestReplicas.
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

// single is the distance from one to the next number in float32, in which probabilities are often computed: C of them, each rounded and divided by a rounded sum, sum to one within about C + 4 of it.
const single = 0x1p-23

// check says whether the targets suit the loss.
func (l Loss) check(what string, y *mat.Dense) error {
	r, c := y.Dims()
	switch l.Kind {
	case MSE:
		return nil
	case Logistic:
		for i := range r {
			for j := range c {
				if v := y.At(i, j); v != 1 && v != -1 {
					return fmt.Errorf("dmft: %s row %d, column %d is %g; the logistic loss takes targets −1 and +1", what, i, j, v)
				}
			}
		}
	case CrossEntropy:
		if c < 2 {
			return fmt.Errorf("dmft: %s has %d column; cross-entropy takes one column per class (one-hot rows), or use the logistic loss with ±1", what, c)
		}
		for i := range r {
			s := 0.
			for j := range c {
				v := y.At(i, j)
				if v < 0 {
					return fmt.Errorf("dmft: %s row %d, column %d is %g; cross-entropy takes probabilities (one-hot rows)", what, i, j, v)
				}
				s += v
			}
			if math.Abs(s-1) > float64(c+4)*single {
				return fmt.Errorf("dmft: %s row %d sums to %.9g; cross-entropy takes rows that sum to one, to the rounding of float32 (one-hot rows, probabilities)", what, i, s)
			}
		}
	default:
		return fmt.Errorf("dmft: unknown loss %q; use %s, %s or %s", l.Kind, MSE, Logistic, CrossEntropy)
	}
	return nil
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
