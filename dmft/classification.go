package dmft

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// classes are the class labels that targets stand for.
type classes struct {
	train, test []int
	outputs     int
	middle      float64 // of one output: the level between the classes
	width       float64 // between the two values of targets
}

// Classes returns the classes of the training and the test points, when the targets are class labels: −1 and +1, or 0
// and 1, of one output; of several, rows of which one entry has one value and all others another, the same two in all
// rows (one-hot rows, and what comes of them by shifting, scaling or smoothing). Both lists are nil when the targets
// are other numbers, or of a single class.
func (d *Data) Classes() (train, test []int) {
	c := d.classes()
	if c == nil {
		return nil, nil
	}
	return c.train, c.test
}

// sameTarget is the difference below which two targets are the same number: those of files in single precision are
// rounded to 6e-8.
const sameTarget = 1e-6

func (d *Data) classes() *classes {
	if d.Targets == nil {
		return nil
	}
	_, n := d.Targets.Dims()
	c := &classes{outputs: n}
	lo, hi := mat.Min(d.Targets), mat.Max(d.Targets)
	c.middle, c.width = (lo+hi)/2, hi-lo
	same := func(a, b float64) bool { return math.Abs(a-b) <= sameTarget*math.Max(1, c.width) }
	if !(c.width > sameTarget) || math.IsInf(c.width, 0) || n == 1 && !(same(hi, 1) && (same(lo, -1) || same(lo, 0))) {
		return nil
	}
	read := func(y *mat.Dense) ([]int, bool) {
		rows, cols := y.Dims()
		if cols != n {
			return nil, false
		}
		out := make([]int, rows)
		for i := range rows {
			ups := 0
			for k, v := range y.RawRowView(i) {
				switch {
				case same(v, hi):
					ups++
					if out[i] = k; n == 1 {
						out[i] = 1
					}
				case !same(v, lo):
					return nil, false
				}
			}
			if n > 1 && ups != 1 {
				return nil, false
			}
		}
		return out, true
	}
	var ok bool
	if c.train, ok = read(d.Targets); !ok {
		return nil
	}
	several := false
	for _, l := range c.train {
		several = several || l != c.train[0]
	}
	if !several {
		return nil
	}
	if d.TestTargets != nil {
		if c.test, ok = read(d.TestTargets); !ok {
			return nil
		}
	}
	return c
}

// margin is how far predictions f of one point, a number for every output, speak for its class: the difference between
// the output of the class and the largest of the others, which it returns, too; of one output the distance from the
// middle.
func (c *classes) margin(f []float64, label int) (m float64, rival int) {
	if c.outputs == 1 {
		return (f[0] - c.middle) * float64(2*label-1), 0
	}
	rival = -1
	for k, v := range f {
		if k != label && (rival < 0 || v > f[rival]) {
			rival = k
		}
	}
	return f[label] - f[rival], rival
}

// tie is the size of margins, relative to that of the targets, that are rounding.
const tie = 1e-12

// wrong is the chance that predictions of one point name another class than its own: 0 or 1, and between where classes
// tie and one of them is taken at random.
func (c *classes) wrong(f []float64, label int) float64 {
	m, _ := c.margin(f, label)
	switch {
	case m > tie*c.width:
		return 0
	case !(m >= -tie*c.width): // NaN is wrong
		return 1
	case c.outputs == 1:
		return 0.5
	}
	tied := 0.
	for k, v := range f {
		if k != label && math.Abs(v-f[label]) <= tie*c.width {
			tied++
		}
	}
	return tied / (tied + 1)
}

// of is the classification error of predictions of all points by rows.
func (c *classes) of(f []float64, labels []int) float64 {
	s := 0.
	for m, l := range labels {
		s += c.wrong(f[m*c.outputs:(m+1)*c.outputs], l)
	}
	return s / float64(len(labels))
}

// classify fills the classification errors of a trajectory from its predictions, when the targets are class labels: the
// mean over networks, or the error of the mean prediction of the theory.
func (p *Problem) classify(t *Trajectory, meanField bool) {
	c := p.Data.classes()
	if c == nil {
		return
	}
	t.Error, t.ErrorStderr, t.ErrorReplicas = c.series(c.train, t.F, t.FStderr, t.FReplicas, len(t.Time), meanField)
	if len(c.test) > 0 {
		t.TestError, t.TestErrorStderr, t.TestErrorReplicas = c.series(c.test, t.FTest, t.FTestStderr, t.FTestReplicas, len(t.Time), meanField)
	}
}

func (c *classes) series(labels []int, mean, stderr, reps Array, n int, meanField bool) (e, se []float64, each Array) {
	if mean.Empty() || mean.Shape[0] < n {
		return nil, nil, Array{}
	}
	r := 0
	if !reps.Empty() {
		r = reps.Shape[0]
		each = NewArray(r, n)
		for i := range r {
			for k := range n {
				each.At(i).Data[k] = c.of(reps.At(i).At(k).Data, labels)
			}
		}
	}
	if !meanField && r > 0 {
		e, se = meanStderr(each)
	} else {
		e, se = make([]float64, n), make([]float64, n)
		for k := range n {
			e[k] = c.of(mean.At(k).Data, labels)
			if r > 1 {
				se[k] = c.meanStderr(labels, mean.At(k).Data, stderr.At(k).Data, reps, k)
			}
		}
	}
	for k, v := range se { // of equal errors there is rounding, and of margins far from zero less than that
		if v < tie {
			se[k] = 0
		}
	}
	return e, se, each
}

// meanStderr is the standard error of the classification error of mean predictions over r blocks, at time k. A step
// function has no gradient to carry the error of f, and the jackknife fails for it; but a margin m with standard error
// s is on the other side with probability q = Φ(−|m|/s), so that the point's error varies by √(q(1−q)). Points vary
// together as their margins do from block to block.
func (c *classes) meanStderr(labels []int, mean, stderr []float64, reps Array, k int) float64 {
	r := reps.Shape[0]
	n := float64(r)
	sum := make([]float64, r) // of every block: its part in the variation of the error
	dev := make([]float64, r)
	for m, l := range labels {
		at := m * c.outputs
		f := mean[at : at+c.outputs]
		margin, rival := c.margin(f, l)
		outs, sign := []int{l, rival}, 1.
		if c.outputs == 1 {
			outs, sign = outs[1:], float64(2*l-1)
		}
		s2, rest := 0., 0. // variance of the margin of a block, and of the mean what blocks do not show
		clear(dev)
		for i, o := range outs {
			own := 0.
			for b := range r {
				d := reps.At(b).At(k).Data[at+o] - f[o]
				own += d * d / (n - 1) / n
				dev[b] += d * sign
			}
			if i == 0 {
				sign = -sign // the rival's counts against
			}
			rest += math.Max(stderr[at+o]*stderr[at+o]-own, 0)
		}
		for _, d := range dev {
			s2 += d * d / (n - 1)
		}
		if !(s2 > 0) {
			continue
		}
		q := math.Erfc(math.Abs(margin)/math.Sqrt(2*(s2/n+rest))) / 2
		sd := math.Sqrt(q * (1 - q) / s2)
		for b := range r {
			sum[b] += sd * dev[b]
		}
	}
	v := 0.
	for _, x := range sum {
		v += x * x / (n - 1)
	}
	return math.Sqrt(v) / float64(len(labels))
}
