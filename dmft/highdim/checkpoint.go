package highdim

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"

	"github.com/seed39b58f2d/dmft/internal/la"
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
	return j.run.Store.Save(j.part(b)+".checkpoint", func(w io.Writer) error {
		enc := gob.NewEncoder(w)
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
	data, ok, err := j.run.Store.Load(j.part(b) + ".checkpoint")
	if err != nil || !ok {
		return rec, err
	}
	var s saved
	old := &record{}
	dec := gob.NewDecoder(bytes.NewReader(data))
	if err = dec.Decode(old); err == nil {
		err = dec.Decode(&s)
	}
	if err == nil && (len(old.Loss) != len(rec.Loss) || len(s.W) != len(r.sys.regs)+1 || len(s.A) != len(s.W)) {
		err = errors.New("it is of another run")
	}
	if err == nil {
		err = st.SetState(s.Stepper)
	}
	if err == nil && r.pts.noise != nil {
		if err = r.pts.x.Load(dec); err == nil {
			err = r.pts.noise.Load(dec)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("highdim: checkpoint of %s: %w; delete the run folder to start over", j.part(b), err)
	}
	for i := range r.sys.regs {
		r.sys.regs[i] = register{s.W[i], s.A[i]}
	}
	n := len(r.sys.regs)
	r.sys.k, r.sys.grad, r.pts.f0 = s.K, register{s.W[n], s.A[n]}, s.F0
	j.tell(int64(old.Next))
	return old, nil
}
