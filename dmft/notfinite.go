package dmft

import (
	"fmt"
	"math"
)

// finite says whether every number of a slice is one.
func finite(x []float64) bool {
	s := 0.
	for _, v := range x {
		s += v - v // NaN for NaN and infinities, and never an overflow
	}
	return s == 0
}

// unfinished is the first recorded step at which something that a trajectory holds is not a finite number, and its
// name; "" when everything is. kept are the steps of Time. Eigenvalues that were not asked for are NaN by design, and
// are not looked at.
func (t *Trajectory) unfinished(kept []int) (step int, what string) {
	step = math.MaxInt
	look := func(name string, steps []int, data []float64, times int) {
		if finite(data) {
			return
		}
		n := len(data) / times
		for i, s := range steps[:min(times, len(steps))] {
			if s < step && !finite(data[i*n:(i+1)*n]) {
				step, what = s, name
			}
		}
	}
	ks := t.KernelStep
	for _, x := range []struct {
		name   string
		steps  []int
		vector []float64
		array  Array
	}{
		{"the loss", kept, t.Loss, Array{}}, {"the test loss", kept, t.TestLoss, Array{}},
		{"f", kept, nil, t.F}, {"f of test points", kept, nil, t.FTest}, {"the mean square of the readout", kept, t.ReadoutNorm, Array{}},
		{"a feature kernel Φ", ks, nil, t.Phi}, {"a gradient kernel G", ks, nil, t.G}, {"the NTK", ks, nil, t.NTK},
		{"the alignment of the NTK with the targets", ks, t.Alignment, Array{}}, {"the movement of the NTK", ks, t.KernelMovement, Array{}},
		{"the movement of Φ", ks, nil, t.PhiMovement}, {"the movement of G", ks, nil, t.GMovement}, {"the alignment of Φ with the targets", ks, nil, t.PhiAlignment},
		{"the standard error of the loss", kept, t.LossStderr, Array{}}, {"the standard error of the test loss", kept, t.TestLossStderr, Array{}},
		{"the standard error of f", kept, nil, t.FStderr}, {"the standard error of f of test points", kept, nil, t.FTestStderr},
		{"the standard error of a feature kernel Φ", ks, nil, t.PhiStderr}, {"the standard error of a gradient kernel G", ks, nil, t.GStderr},
		{"the standard error of the NTK", ks, nil, t.NTKStderr},
		{"the standard error of the alignment", ks, t.AlignmentStderr, Array{}}, {"the standard error of the movement of the NTK", ks, t.KernelMovementStderr, Array{}},
	} {
		look(x.name, x.steps, x.vector, len(x.vector))
		if !x.array.Empty() {
			look(x.name, x.steps, x.array.Data, x.array.Shape[0])
		}
	}
	// Layers come before times.
	n := len(t.TwoTimeStep)
	for _, x := range []struct {
		name string
		a    Array
	}{{"a two-time kernel Φ", t.PhiTwoTime}, {"a two-time kernel G", t.GTwoTime}, {"a response A", t.ResponseA}, {"a response B", t.ResponseB},
		{"the standard error of a two-time kernel Φ", t.PhiTwoTimeStderr}, {"the standard error of a two-time kernel G", t.GTwoTimeStderr},
		{"the standard error of a response A", t.ResponseAStderr}, {"the standard error of a response B", t.ResponseBStderr}} {
		if x.a.Empty() || finite(x.a.Data) {
			continue
		}
		per := len(x.a.Data) / x.a.Shape[0] / n
		for i := range x.a.Shape[0] * n {
			look(x.name, t.TwoTimeStep[i%n:], x.a.Data[i*per:(i+1)*per], 1)
		}
	}
	return step, what
}

// judge stops a trajectory at the step before the first that holds something not finite, if it has not stopped earlier.
func (t *Trajectory) judge(kept []int) {
	step, what := t.unfinished(kept)
	if what == "" || t.Status.Early() && t.Status.Step < step {
		return
	}
	t.Status = Status{Code: NotFinite, Step: step - 1, Quantity: fmt.Sprintf("%s is not a finite number at step %d", what, step)}
	if step == 0 {
		t.Status.Advice = tooLarge
	}
}

// settle judges a trajectory that was made of others, and returns its error.
func (t *Trajectory) settle(kept []int) error {
	if t.judge(kept); t.Status.Early() {
		if t.Status.Advice == "" {
			t.Status.Advice = "use a smaller richness or learning rate"
		}
		t.truncate(kept, t.Status.Step)
	}
	return t.Status.Err()
}

// tooLarge is the advice for what overflows before any training.
const tooLarge = "nothing has been trained by then, so numbers of the problem are too large or too small for their squares: look at the branches' beta, the bias, the gain of the activation, the richness, inputs and targets"
