package alternating

import (
	"fmt"
	"math"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
)

// point is a cost and what it buys: the root mean square error of f over times, points and seeds.
type point struct{ seconds, err float64 }

// secondsAt is the time that a list of points, rising in time, needs for an error: interpolated in logarithms, beyond
// the last as err^−2, and never less than the first.
func secondsAt(list []point, err float64) float64 {
	if err >= list[0].err {
		return list[0].seconds
	}
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if err >= b.err {
			x := math.Log(a.err/err) / math.Log(a.err/b.err)
			return a.seconds * math.Pow(b.seconds/a.seconds, x)
		}
	}
	last := list[len(list)-1]
	return last.seconds * (last.err / err) * (last.err / err)
}

// BenchmarkAlternating compares the time that package dmft and the alternating solver take to the same error of f, for
// a tanh network of two hidden layers at γ₀ = 1, η = 0.1 and growing numbers of steps and points. The rounds taken are
// the fewest after which the error, root mean square over the rest of the rounds, is small enough: hindsight that
// favours the alternating solver. Its time is measured in three ways of doing a round:
//
//	published     sweeps over whole paths and whole Jacobians of all paths, timed on few paths
//	substitution  forward substitution, Jacobians of all paths
//	few           forward substitution, Jacobians of every eighth path
//
// Damping is 0.4: at the published 0.7 fewer rounds do, but their errors average out less, and more samples are needed.
// The table needs -v.
func BenchmarkAlternating(b *testing.B) {
	for _, tc := range []struct{ points, steps int }{{4, 30}, {4, 15}, {4, 60}, {2, 30}, {8, 30}} {
		b.Run(fmt.Sprintf("P=%d,T=%d", tc.points, tc.steps), func(b *testing.B) {
			for b.Loop() {
				versus(b, problem(tc.points, 2, tc.steps, "tanh", 1, 0.1))
			}
		})
	}
}

func versus(b *testing.B, p *dmft.Problem) {
	points, _ := p.Data.Inputs.Dims()
	size := points * (p.Training.Steps + 1)
	samples, sizes, rounds, runs := 200000, []int{250, 500, 1000, 2000}, 24, 3
	if size != 4*31 { // less of everything where only the trend is wanted
		samples, rounds, runs = 60000, 20, 2
	}
	if points > 4 {
		sizes, rounds = []int{500, 2000}, 36 // more eigenvalues of the kernel to settle
	}
	ref, se := causal(b, p, dmft.Settings{Samples: samples, Seed: 1000})
	b.Logf("reference: %d samples, standard error %.5f", samples, rms(se, mat.NewDense(p.Training.Steps+1, points, nil)))

	var ours []point
	for _, s := range []int{250, 500, 1000, 2000, 4000, 8000} {
		q := point{seconds: math.Inf(1)}
		const times = 6
		for seed := range uint64(times) {
			start := time.Now()
			f, _ := causal(b, p, dmft.Settings{Samples: s, Seed: seed})
			q.seconds = min(q.seconds, time.Since(start).Seconds())
			q.err += math.Pow(rms(f, ref), 2) / times
		}
		q.err = math.Sqrt(q.err)
		ours = append(ours, q)
		b.Logf("dmft.Solve   S = %5d: %.4f s, error %.4f", s, q.seconds, q.err)
	}

	// Seconds per round and path of the published way, which is linear in paths.
	few := min(max(1000000/size/size, 8), 64)
	sweeps := math.Inf(1)
	for range 2 {
		start := time.Now()
		solve(b, p, Settings{Samples: few, Rounds: 1, Sites: Picard})
		sweeps = min(sweeps, time.Since(start).Seconds()/float64(few))
	}

	// The fewest seconds to an error, by way.
	targets := []float64{0.01, 0.005}
	best := make([][3]float64, len(targets))
	for i := range best {
		best[i] = [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}
	}
	for _, s := range sizes {
		for _, jacobians := range []int{s, s / 8} {
			square, seconds := make([]float64, rounds+1), math.Inf(1)
			for seed := range uint64(runs) {
				start := time.Now()
				a := solve(b, p, Settings{Samples: s, Rounds: rounds, Damping: 0.4, JacobianSamples: jacobians, Seed: seed})
				seconds = min(seconds, time.Since(start).Seconds()/float64(rounds))
				for i, f := range a.History {
					square[i] += math.Pow(rms(f, ref), 2) / float64(runs)
				}
			}
			after, sum := make([]float64, rounds+1), 0. // error from a round on
			for i := rounds; i > 0; i-- {
				sum += square[i]
				after[i] = math.Sqrt(sum / float64(rounds-i+1))
			}
			b.Logf("alternating  S = %5d, Jacobians of %4d: %.4f s a round; error after 5, 10, 15, 20 rounds %.4f "+
				"%.4f %.4f %.4f", s, jacobians, seconds, after[5], after[10], after[15], after[20])
			for k, err := range targets {
				for i := 1; i <= rounds-3; i++ {
					if after[i] > err {
						continue
					}
					n := float64(i)
					if jacobians == s {
						best[k][0], best[k][1] = min(best[k][0], n*sweeps*float64(s)), min(best[k][1], n*seconds)
					} else {
						best[k][2] = min(best[k][2], n*seconds)
					}
					break
				}
			}
		}
	}
	b.Logf("published way: %.5f s a round and path", sweeps)
	for k, err := range targets {
		own := secondsAt(ours, err)
		for way, name := range []string{"published", "substitution", "few"} {
			b.Logf("error %.3f: dmft.Solve %.4f s, alternating, %-12s %8.2f s, ratio %.0f", err, own, name,
				best[k][way], best[k][way]/own)
			if !math.IsInf(best[k][way], 1) { // or the error is not reached
				b.ReportMetric(best[k][way]/own, fmt.Sprintf("%s@%g", name, err))
			}
		}
	}
}
