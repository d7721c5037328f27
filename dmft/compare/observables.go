package compare

import (
	"errors"
	"fmt"
	"math"

	"github.com/seed39b58f2d/dmft/dmft"
)

// Sample is a number of independent replicas of one vector: an observable in the seeds of an ensemble or the blocks of
// the theory.
type Sample [][]float64

// Observable is one quantity in ensembles of rising size and in their limit.
type Observable struct {
	Name  string // f, f_test, loss, ntk
	Limit Sample // blocks of the theory; a single one has no sampling error
	// error of every component of the limit beside sampling, such as that of an extrapolation; nil is none
	Rest      []float64
	Ensembles []Sample
	// OneBlock says that the limit was sampled, in a single block: its error is not known, and nothing can be tested.
	OneBlock bool
}

// Times is the largest number of times at which trajectories are compared, and components the largest number of
// predictions at one of them, evenly spaced; neighbouring ones say nearly the same.
const (
	Times      = 24
	components = 256
)

// Observables are what trajectories of p are compared by: predictions on training and test points, the loss, and the
// NTK where every replica kept its own (Record.NTKReplicas).
func Observables(p *dmft.Problem, theory *dmft.Trajectory, ensembles []*dmft.Trajectory) ([]Observable, error) {
	return observables(p, theory, ensembles, func(t *dmft.Trajectory) dmft.Array { return t.LossReplicas })
}

// TheoryObservables are the same of theories, of other depths or numbers of samples, in place of ensembles: their loss
// is that of the mean prediction.
func TheoryObservables(p *dmft.Problem, theory *dmft.Trajectory, others []*dmft.Trajectory) ([]Observable, error) {
	return observables(p, theory, others, p.LossPseudoValues)
}

func observables(p *dmft.Problem, theory *dmft.Trajectory, ensembles []*dmft.Trajectory,
	losses func(*dmft.Trajectory) dmft.Array) ([]Observable, error) {
	steps := theory.Steps()
	for _, s := range ensembles {
		steps = min(steps, s.Steps())
	}
	if steps == 0 {
		return nil, errors.New("compare: nothing to compare, no step was finished")
	}
	var at []int
	for i := range min(Times, steps) {
		k := 0
		if steps > 1 {
			k = int(math.Round(float64(i) * float64(steps-1) / float64(min(Times, steps)-1)))
		}
		at = append(at, k)
	}
	pick := func(a dmft.Array) (s Sample) { // replicas × T × …
		if a.Empty() {
			return nil
		}
		for r := range a.Shape[0] {
			var x []float64
			for _, k := range at {
				v := a.At(r).At(k).Data
				n := min(len(v), components)
				for i := range n {
					x = append(x, v[i*len(v)/n])
				}
			}
			s = append(s, x)
		}
		return s
	}
	one := func(a dmft.Array) dmft.Array { return dmft.Array{Shape: append([]int{1}, a.Shape...), Data: a.Data} }
	var out []Observable
	add := func(name string, limit Sample, stderr []float64, of func(*dmft.Trajectory) Sample) error {
		o := Observable{Name: name, Limit: limit, OneBlock: theory.Width > 0 && theory.Replicas < 2}
		if len(limit) == 0 || len(limit[0]) == 0 {
			return nil
		}
		o.Rest = rest(limit, stderr)
		for _, e := range ensembles {
			s := of(e)
			if len(s) == 0 || len(s[0]) != len(limit[0]) {
				if name == "f" || name == "loss" {
					return fmt.Errorf("compare: the ensemble of width %d has %s of another shape than the theory", e.Width, name)
				}
				return nil
			}
			o.Ensembles = append(o.Ensembles, s)
		}
		out = append(out, o)
		return nil
	}
	series := func(mean, se, replicas dmft.Array) (Sample, []float64) {
		if mean.Empty() {
			return nil, nil
		}
		if replicas.Empty() {
			replicas = one(mean)
		}
		return pick(replicas), pick(one(se))[0]
	}
	for _, q := range []struct {
		name string
		of   func(*dmft.Trajectory) (mean, se, replicas dmft.Array)
	}{
		{"f", func(t *dmft.Trajectory) (a, b, c dmft.Array) { return t.F, t.FStderr, t.FReplicas }},
		{"f_test", func(t *dmft.Trajectory) (a, b, c dmft.Array) { return t.FTest, t.FTestStderr, t.FTestReplicas }},
	} {
		limit, se := series(q.of(theory))
		if err := add(q.name, limit, se, func(t *dmft.Trajectory) Sample { s, _ := series(q.of(t)); return s }); err != nil {
			return nil, err
		}
	}
	se := dmft.Array{Shape: []int{1, len(theory.LossStderr)}, Data: theory.LossStderr}
	if err := add("loss", pick(p.LossPseudoValues(theory)), pick(se)[0],
		func(t *dmft.Trajectory) Sample { return pick(losses(t)) }); err != nil {
		return nil, err
	}
	whole := func(a dmft.Array) (s Sample) {
		if a.Empty() {
			return nil
		}
		for r := range a.Shape[0] {
			s = append(s, a.At(r).Data)
		}
		return s
	}
	limit := whole(theory.NTKReplicas)
	// without sampling
	if e := ensembles[0]; theory.Replicas < 2 && limit == nil && !e.NTKReplicas.Empty() && !theory.NTK.Empty() &&
		theory.NTK.Shape[0] == len(e.KernelStep) {
		k, q := e.NTKReplicas.Shape[1], e.NTKReplicas.Shape[2]
		limit = Sample{nil}
		for i := range k {
			t := 0
			if k > 1 {
				t = int(math.Round(float64(i) * float64(theory.NTK.Shape[0]-1) / float64(k-1)))
			}
			ntk := theory.NTK.At(t).Data
			pc := int(math.Sqrt(float64(len(ntk))))
			for m := range q {
				limit[0] = append(limit[0], ntk[m*pc:m*pc+q]...)
			}
		}
	}
	if err := add("ntk", limit, nil, func(t *dmft.Trajectory) Sample { return whole(t.NTKReplicas) }); err != nil {
		return nil, err
	}
	return out, nil
}

// rest is what of a standard error the scatter of the blocks does not explain.
func rest(limit Sample, stderr []float64) []float64 {
	if len(stderr) == 0 {
		return nil
	}
	mean, variance := moments(limit)
	rounding := 1e-10 * rms(mean)
	out, any := make([]float64, len(stderr)), false
	for i, e := range stderr {
		v := e*e - variance[i]/float64(len(limit))
		if v > 1e-6*e*e && e > rounding {
			out[i], any = math.Sqrt(v), true
		}
	}
	if !any {
		return nil
	}
	return out
}

// inRange is an observable in units of a power of two in which fourth powers of it, which the tests have, neither
// overflow nor vanish. Distances are relative, and do not depend on it.
func inRange(o Observable) (Observable, int) {
	most := 0.
	every := func(f func(Sample)) {
		f(o.Limit)
		for _, e := range o.Ensembles {
			f(e)
		}
	}
	every(func(s Sample) {
		for _, x := range s {
			for _, v := range x {
				most = max(most, math.Abs(v))
			}
		}
	})
	const room = 120
	_, e := math.Frexp(most)
	if most == 0 || math.IsInf(most, 0) || math.IsNaN(most) || (-room < e && e < room) {
		return o, 0
	}
	row := func(x []float64) []float64 {
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = math.Ldexp(v, -e)
		}
		return out
	}
	sample := func(s Sample) Sample {
		out := make(Sample, len(s))
		for i, x := range s {
			out[i] = row(x)
		}
		return out
	}
	o.Limit = sample(o.Limit)
	ensembles := make([]Sample, len(o.Ensembles))
	for i, x := range o.Ensembles {
		ensembles[i] = sample(x)
	}
	o.Ensembles = ensembles
	if o.Rest != nil {
		o.Rest = row(o.Rest)
	}
	return o, e
}
