package highdim

import (
	"encoding/gob"
	"errors"

	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/part"
)

// saved is a replica between two steps, but for its data: those of a simulation are drawn again, and those of the
// theory keep themselves.
type saved struct {
	K       int
	W       []la.Mat[float64] // registers and the gradient
	A       [][]float64
	Stepper []float64
	F0      []float64 // predictions at the start
}

// kept is a network that can go on from the middle.
type kept struct{ *network }

// Save implements ensemble.Checkpointer.
func (w *kept) Save(enc *gob.Encoder, at ensemble.Position) error {
	w.rec.Next = at.Next
	s := saved{K: w.sys.k, Stepper: w.st.State(), F0: w.pts.f0}
	for _, x := range append(w.sys.regs[:len(w.sys.regs):len(w.sys.regs)], w.sys.grad) {
		s.W, s.A = append(s.W, x.w), append(s.A, x.a)
	}
	if err := errors.Join(enc.Encode(w.rec), enc.Encode(s)); err != nil || w.pts.noise == nil {
		return err
	}
	return errors.Join(w.pts.x.Save(enc), w.pts.noise.Save(enc))
}

// Load implements ensemble.Checkpointer.
func (w *kept) Load(dec *gob.Decoder) (at ensemble.Position, err error) {
	var s saved
	old := &record{}
	if err := dec.Decode(old); err != nil {
		return at, err
	}
	if err := dec.Decode(&s); err != nil {
		return at, err
	}
	if old.Next < 1 || old.Next > w.p.Training.Steps+1 || !old.fits(w.trainer) || !old.alike(w.rec) || !s.fits(w.replica) {
		return at, part.ErrMisfit
	}
	if err := w.st.SetState(s.Stepper); err != nil {
		return at, err
	}
	if w.pts.noise != nil {
		if err := w.pts.x.Load(dec); err != nil {
			return at, err
		}
		if axes, _, _ := w.pts.x.Ranks(); s.K > axes {
			return at, part.ErrMisfit
		}
		if err := w.pts.noise.Load(dec); err != nil {
			return at, err
		}
	}
	for i := range w.sys.regs {
		w.sys.regs[i] = register{s.W[i], s.A[i]}
	}
	n := len(w.sys.regs)
	w.sys.k, w.sys.grad, w.pts.f0 = s.K, register{s.W[n], s.A[n]}, s.F0
	w.rec = old
	w.observe(w.rec, w.w)
	return ensemble.Position{Next: old.Next}, nil
}

// fits says whether the weights are as many as those of r.
func (s *saved) fits(r *replica) bool {
	if len(s.W) != len(r.sys.regs)+1 || len(s.A) != len(s.W) || s.K < r.sys.k || r.pts.noise == nil && s.K != r.sys.k {
		return false
	}
	for i, w := range s.W {
		if !w.Holds(r.sys.n, s.K) || w.Stride != s.W[0].Stride || len(w.Data) != w.Rows*w.Stride || len(s.A[i]) != r.sys.n {
			return false
		}
	}
	return len(s.F0) == 0 || len(s.F0) == len(r.pts.y)
}

// fits says whether a record has as many numbers as the trainer makes. What some kinds of runs alone make is there or not.
func (r *record) fits(j *trainer) bool {
	t, n, k := j.p.Training.Steps+1, j.p.Units, j.p.Target.directions()
	for _, x := range []struct {
		got, per int
		optional bool
	}{{len(r.Loss), 1, false}, {len(r.Test), 1, false}, {len(r.Parts), 3, false}, {len(r.Moments), momentCount, false},
		{len(r.Overlaps), n * k, true}, {len(r.Gram), n * n, true},
		{len(r.Readout), n, true}, {len(r.RW), t * n * n, true}, {len(r.RG), t * n * n, true}} {
		if x.got != t*x.per && !(x.optional && x.got == 0) {
			return false
		}
	}
	return r.Bad == nil && len(r.Align) == min(j.aligned, t) && len(r.Regression) <= 2 &&
		len(r.Gram) == n*len(r.Readout) && len(r.Overlaps) == k*len(r.Readout)
}

// alike says whether two records hold the same quantities.
func (r *record) alike(o *record) bool {
	return len(r.Loss) == len(o.Loss) && len(r.Overlaps) == len(o.Overlaps) && len(r.Gram) == len(o.Gram) &&
		len(r.Readout) == len(o.Readout) && len(r.RW) == len(o.RW) &&
		len(r.RG) == len(o.RG) && len(r.Regression) == len(o.Regression) && len(r.Align) == len(o.Align)
}
