package highdim

import (
	"fmt"

	"github.com/seed39b58f2d/dmft/dmft"
)

// observe shows the observer what replica b has recorded since it was shown last, and notes a stop.
func (j *job) observe(rec *record, b int) {
	if j.run.Observe == nil {
		return
	}
	steps := j.p.Training.Steps
	o := dmft.Observation{Replica: b, Quantities: map[string][]float64{}}
	for ; rec.shown < rec.Next && rec.Bad == nil; rec.shown++ {
		n := rec.shown
		if int64(n) > j.bad.Load() {
			return // beyond the end
		}
		for _, q := range []struct {
			name string
			data []float64
		}{
			{"loss", rec.Loss}, {"test_loss", rec.Test}, {"test_loss_parts", rec.Parts}, {"overlaps", rec.Overlaps},
			{"gram", rec.Gram}, {"readout", rec.Readout}, {"moments", rec.Moments},
		} {
			if per := len(q.data) / (steps + 1); per > 0 {
				o.Quantities[q.name] = q.data[n*per : (n+1)*per]
			}
		}
		o.Step, o.Time = n, j.clock[n]
		if j.run.Observe(&o) && n < steps {
			rec.Bad = &dmft.Status{Code: dmft.Stopped, Step: n,
				Quantity: fmt.Sprintf("by the observer, at replica %d", b)}
			j.fail(n)
		}
	}
}

// failure is the error of a replica at the earliest step, unless the run ended before.
func (j *job) failure(rec []*record) error {
	for _, r := range rec {
		if r.failed != nil && int64(r.Next) <= j.bad.Load() {
			return r.failed
		}
	}
	return nil
}
