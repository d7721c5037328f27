package highdim

import (
	"fmt"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
)

// observe shows the observer what the replica of w has recorded since it was shown last, and notes a stop.
func (j *trainer) observe(rec *record, w *ensemble.Watch) {
	if j.run.Observe == nil {
		return
	}
	steps := j.p.Training.Steps
	o := dmft.Observation{Replica: w.Batch, Quantities: map[string][]float64{}}
	for ; rec.shown < rec.Next && rec.Bad == nil; rec.shown++ {
		n := rec.shown
		if w.Ended(n) {
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
				Quantity: fmt.Sprintf("by the observer, at replica %d", w.Batch)}
			w.End(n)
		}
	}
}
