package highdim

import (
	"encoding/gob"
	"errors"
	"fmt"

	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/part"
	"github.com/seed39b58f2d/dmft/ode"
)

// saved is a replica between two steps, but for its data: those of a simulation are drawn again, and those of the theory keep themselves.
type saved struct {
	K       int
	W       []la.Mat[float64] // registers and the gradient
	A       [][]float64
	Stepper []float64
	F0      []float64 // predictions at the start
}

// checkpoints says whether a replica can go on from the middle: with fixed points, and without responses, which are as large as everything else.
func (j *job) checkpoints(r *replica) bool {
	return j.run.Store != nil && r.pts != nil && r.sys.src == source(r.pts) && r.pts.probe == nil
}

// checkpoint keeps a replica.
func (j *job) checkpoint(b int, r *replica, st ode.Stepper, rec *record) error {
	if !j.checkpoints(r) {
		return nil
	}
	s := saved{K: r.sys.k, Stepper: st.State(), F0: r.pts.f0}
	for _, x := range append(r.sys.regs[:len(r.sys.regs):len(r.sys.regs)], r.sys.grad) {
		s.W, s.A = append(s.W, x.w), append(s.A, x.a)
	}
	return part.Save(j.run.Store, j.part(b)+".checkpoint", func(enc *gob.Encoder) error {
		if err := errors.Join(enc.Encode(rec), enc.Encode(s)); err != nil || r.pts.noise == nil {
			return err
		}
		return errors.Join(r.pts.x.Save(enc), r.pts.noise.Save(enc))
	})
}

// resume puts a replica where its checkpoint left it, if there is one, and returns what it has recorded by then.
func (j *job) resume(b int, r *replica, st ode.Stepper, rec *record) (*record, error) {
	if !j.checkpoints(r) {
		return rec, nil
	}
	var s saved
	old := &record{}
	ok, err := part.Load(j.run.Store, j.part(b)+".checkpoint", func(dec *gob.Decoder) error {
		if err := dec.Decode(old); err != nil {
			return err
		}
		if err := dec.Decode(&s); err != nil {
			return err
		}
		if old.Next < 1 || old.Next > j.p.Training.Steps+1 || !old.fits(j) || !old.alike(rec) || !s.fits(r) {
			return part.ErrMisfit
		}
		if err := st.SetState(s.Stepper); err != nil || r.pts.noise == nil {
			return err
		}
		if err := r.pts.x.Load(dec); err != nil {
			return err
		}
		if axes, _, _ := r.pts.x.Ranks(); s.K > axes {
			return part.ErrMisfit
		}
		return r.pts.noise.Load(dec)
	})
	if err != nil {
		return nil, fmt.Errorf("highdim: %w", err)
	}
	if !ok {
		return rec, nil
	}
	for i := range r.sys.regs {
		r.sys.regs[i] = register{s.W[i], s.A[i]}
	}
	n := len(r.sys.regs)
	r.sys.k, r.sys.grad, r.pts.f0 = s.K, register{s.W[n], s.A[n]}, s.F0
	j.tell(int64(old.Next))
	return old, nil
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

// fits says whether a record has as many numbers as the job makes. What some kinds of runs alone make is there or not.
func (r *record) fits(j *job) bool {
	t, n, k := j.p.Training.Steps+1, j.p.Units, j.p.Target.directions()
	for _, x := range []struct {
		got, per int
		optional bool
	}{{len(r.Loss), 1, false}, {len(r.Test), 1, false}, {len(r.Parts), 3, false}, {len(r.Moments), momentCount, false}, {len(r.Overlaps), n * k, true}, {len(r.Gram), n * n, true},
		{len(r.Readout), n, true}, {len(r.RW), t * n * n, true}, {len(r.RG), t * n * n, true}} {
		if x.got != t*x.per && !(x.optional && x.got == 0) {
			return false
		}
	}
	return r.Bad == nil && len(r.Align) == min(j.aligned, t) && len(r.Regression) <= 2 && len(r.Gram) == n*len(r.Readout) && len(r.Overlaps) == k*len(r.Readout)
}

// alike says whether two records hold the same quantities.
func (r *record) alike(o *record) bool {
	return len(r.Loss) == len(o.Loss) && len(r.Overlaps) == len(o.Overlaps) && len(r.Gram) == len(o.Gram) && len(r.Readout) == len(o.Readout) && len(r.RW) == len(o.RW) &&
		len(r.RG) == len(o.RG) && len(r.Regression) == len(o.Regression) && len(r.Align) == len(o.Align)
}
