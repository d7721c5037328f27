package dmft

import (
	"fmt"

	"github.com/seed39b58f2d/dmft/dmft/ensemble"
)

// An Observation is what a run has recorded of one replica at one step.
type Observation struct {
	Replica int     // number of the block of sites or of the network, from 0
	Step    int     // number of the step, from 0
	Time    float64 // as in Trajectory.Time
	// Quantities are those recorded at this step, under the names that arrays have in a file (see
	// [Trajectory.WriteNPZ]): loss, f (P×C), readout_norm and, with test points, test_loss and f_test (Pt×C); of
	// high-dimensional data loss, test_loss, test_loss_parts, overlaps, gram, readout and moments, of one step each.
	// They must not be changed or kept.
	Quantities map[string][]float64
}

// Loss is the training loss of the replica.
func (o *Observation) Loss() float64 { return o.Quantities["loss"][0] }

// TestLoss is the test loss of the replica; ok is false without test points.
func (o *Observation) TestLoss() (loss float64, ok bool) {
	if v := o.Quantities["test_loss"]; len(v) > 0 {
		return v[0], true
	}
	return 0, false
}

// F are the predictions at the training points, P×C; nil of high-dimensional data.
func (o *Observation) F() []float64 { return o.Quantities["f"] }

// An Observer is shown every replica at every recorded step (see Record.Every) and says whether to stop.
//
// A stop at step n of any replica ends the run there for all of them: every replica is trained to step n, the
// Trajectory has the recorded times up to n, its Status is [Stopped], and there is no error. When several replicas are
// stopped, the earliest step counts; at the last step there is nothing to stop. So the result depends on the answers
// alone and not on the number of workers, provided that what is answered of a replica depends on observations of this
// replica.
//
// The steps of one replica are shown in order, one after the other. Different replicas may be shown at the same time by
// several goroutines, and some of them at steps later than the one at which another is stopped. A run that goes on from
// a Store shows what it had recorded before, too, so that observers need not be kept. A run that begins again, with
// more sites, begins at step 0. Observers change nothing of what is computed. Methods that extrapolate from several
// networks (infinite depth, leading order) refuse them.
type Observer func(o *Observation) (stop bool)

// stoppedBy is the status of a run that its observer stopped.
func stoppedBy(replica, step int) *Status {
	return &Status{Code: Stopped, Step: step, Quantity: fmt.Sprintf("by the observer, at replica %d", replica)}
}

// observe shows what the part of a batch has recorded since it was shown last, and notes a stop.
func (j *job[T]) observe(pt *piece, w *ensemble.Watch) {
	if j.Observe == nil {
		return
	}
	t, all, c, p := len(j.kept), j.pts.All, j.pts.outputs, j.pts.Train
	o := Observation{Quantities: map[string][]float64{}}
	for ; pt.shown < t && j.kept[pt.shown] < pt.Next && pt.Bad == nil; pt.shown++ {
		i := pt.shown
		o.Step = j.kept[i]
		if w.Ended(o.Step) {
			return // beyond the end
		}
		o.Time = j.p.Training.Method.Time(o.Step)
		for r := range len(pt.Loss) / t {
			o.Replica = w.Batch*j.batchSize() + r
			f := pt.F[(r*t+i)*all*c : (r*t+i+1)*all*c]
			o.Quantities["f"] = f[:p*c]
			o.Quantities["loss"], o.Quantities["readout_norm"] = pt.Loss[r*t+i:][:1], pt.Norm[r*t+i:][:1]
			if all > p {
				o.Quantities["test_loss"], o.Quantities["f_test"] = pt.Test[r*t+i:][:1], f[p*c:]
			}
			stop := j.Observe(&o) && o.Step < j.p.Training.Steps
			if stop && pt.Bad == nil { // the others of the part are shown the step as well
				pt.Bad = stoppedBy(o.Replica, o.Step)
				w.End(o.Step)
			}
		}
	}
}

// observation shows a trajectory that has no replicas at a time that was recorded last.
func (t *Trajectory) observation(i, step int) *Observation {
	o := &Observation{Step: step, Time: t.Time[i], Quantities: map[string][]float64{
		"loss": t.Loss[i : i+1], "f": t.F.At(i).Data, "readout_norm": t.ReadoutNorm[i : i+1],
	}}
	if !t.FTest.Empty() {
		o.Quantities["test_loss"], o.Quantities["f_test"] = t.TestLoss[i:i+1], t.FTest.At(i).Data
	}
	return o
}

// Sooner says whether a replica that ended with status s ends a run before one that ended with t: by the earlier step,
// at the same step by its observer, which was asked before anything could go wrong at the next.
func (s Status) Sooner(t Status) bool {
	return !t.Early() || s.Step < t.Step || s.Step == t.Step && s.Code == Stopped && t.Code != Stopped
}
