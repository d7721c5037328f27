package dmft

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestMeanErrorStderr: the standard error of the classification error of mean predictions is the scatter of that error
// over repetitions of all blocks, where points vary independently, and where they vary as one (with each other or
// against each other), for one and for three outputs.
func TestMeanErrorStderr(t *testing.T) {
	const points, blocks, repetitions = 40, 16, 2000
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name    string
		outputs int
		shared  bool
	}{{"independent", 1, false}, {"together", 1, true}, {"three outputs", 3, false}} {
		t.Run(c.name, func(t *testing.T) {
			cl := &classes{outputs: c.outputs, width: 2}
			labels, f := make([]int, points), make([]float64, points*c.outputs)
			for m := range labels {
				labels[m] = m % max(c.outputs, 2)
				for k := range c.outputs { // margins between −2 and 2 standard errors of the mean
					f[m*c.outputs+k] = (rng.Float64() - 0.5) * 4 / math.Sqrt(blocks)
				}
				if c.shared { // all on the same side, so that they flip together
					f[m] = 0.3 / math.Sqrt(blocks) * float64(2*labels[m]-1)
				}
			}
			var sum, sum2, predicted float64
			for range repetitions {
				reps := NewArray(blocks, 1, points, c.outputs)
				for b := range blocks {
					x := reps.At(b).Data
					z := rng.NormFloat64()
					for i := range x {
						if x[i] = f[i] + rng.NormFloat64(); c.shared {
							x[i] = f[i] + z*float64(2*labels[i]-1)
						}
					}
				}
				m, se := meanStderr(reps)
				e := cl.of(m, labels)
				sum, sum2 = sum+e, sum2+e*e
				s := cl.meanStderr(labels, m, se, reps, 0)
				predicted += s * s / repetitions
			}
			variance := sum2/repetitions - sum*sum/repetitions/repetitions
			// The scatter is known to 1/√(2·2000) = 1.6 %. The margin that was found stands for the right one: where
			// that is zero q̂ is uniform in [0, 1], and E q̂(1−q̂) = 1/6 instead of 1/4, 18 % less of a standard error;
			// at two standard errors it is more instead.
			if got, want := math.Sqrt(predicted), math.Sqrt(variance); math.Abs(got/want-1) > 0.18+4*0.016 {
				t.Errorf("standard error %.4g, scatter %.4g", got, want)
			} else {
				t.Logf("standard error %.4g, scatter %.4g", got, want)
			}
		})
	}
}
