package highdim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/ensemble"
	"github.com/seed39b58f2d/dmft/dmft/gaussian"
	"github.com/seed39b58f2d/dmft/internal/la"
)

// Simulation says which networks are trained in finitely many dimensions.
type Simulation struct {
	Dimension  int    // D; P is δD, rounded
	Seeds      int    // independent data sets and initial weights; 0 is 1
	Seed       uint64 //
	Alignments int    // as in Settings
	// Every step has a mini-batch of points that nobody has seen, as in OnePass; Simulate only, and optimisers only.
	Fresh bool
	// SimulateMoments only: follow the model that is linear in the weights around the start, the lazy limit
	Linearised bool
	dmft.Run   // as in Settings
}

// mostPoints is more than fit into any memory, and few enough to count their bytes.
const mostPoints = 1e12

func (s Simulation) points(p *Problem) int { return int(math.Round(p.Ratio * float64(s.Dimension))) }

func (s Simulation) check(p *Problem) (Simulation, error) {
	if s.Seeds == 0 {
		s.Seeds = 1
	}
	if s.Seeds < 1 || s.Alignments < 0 {
		return s, fmt.Errorf("highdim: %d seeds, %d alignments", s.Seeds, s.Alignments)
	}
	if math.IsInf(p.Ratio, 1) {
		return s, errors.New("highdim: infinitely many points cannot be simulated; use Population")
	}
	if n := p.Ratio * float64(s.Dimension); n > mostPoints {
		return s, fmt.Errorf("highdim: a ratio of %g makes %.3g points in %d dimensions, and at most %g are "+
			"simulated; use a smaller ratio or dimension, or the population limit", p.Ratio, n, s.Dimension, float64(mostPoints))
	}
	if s.Dimension < 1 || s.points(p) < 1 {
		return s, fmt.Errorf("highdim: dimension %d leaves no points at ratio %g", s.Dimension, p.Ratio)
	}
	return s, nil
}

// Simulate trains networks in D dimensions on P = δD points. Every seed has weights with exactly the overlaps and Gram
// matrix of the Problem: data are as Gaussian in one basis as in any other, so weights and target are put in their
// span's own. The test loss is exact, not of a test set.
func Simulate(ctx context.Context, p *Problem, s Simulation) (*Trajectory, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	s, err := s.check(p)
	if err != nil {
		return nil, err
	}
	first := p.Target.directions() + p.Units
	if s.Dimension < first {
		return nil, fmt.Errorf("highdim: dimension %d is too small for the overlaps of %d units and target directions",
			s.Dimension, first)
	}
	if s.Linearised {
		return nil, errors.New("highdim: the linearised model is followed by its moments; use SimulateMoments")
	}
	points, name := s.points(p), "simulation"
	if s.Fresh {
		if p.Training.Method.IsFlow() {
			return nil, fmt.Errorf("highdim: fresh points at every step need steps; %s integrates a flow",
				p.Training.Method.Kind)
		}
		if points, name = int(math.Round(float64(s.points(p))/float64(max(p.Training.Batches, 1)))), "fresh"; points < 1 {
			return nil, fmt.Errorf("highdim: dimension %d leaves no points for a step at ratio %g in %d mini-batches",
				s.Dimension, p.Ratio, p.Training.Batches)
		}
		whole := *p
		whole.Training.Batches = 1 // what is drawn is the batch
		p = &whole
	}
	j := trainer{p: p, name: fmt.Sprintf("%s-D%d", name, s.Dimension), replicas: s.Seeds, aligned: s.Alignments, run: s.Run,
		bytes: s.bytes(p, points)}
	j.start = func(ctx context.Context, b int, w *ensemble.Watch) (member, error) {
		rng := rand.New(rand.NewPCG(s.Seed, stream(b, dataStream)))
		x, err := explicitData(ctx, points, s.Dimension, rng)
		if err != nil {
			return nil, err
		}
		label := gaussian.Plain(rng, points, 1).Data
		src := newPoints(p, x, points, label, s.Seed^stream(b, batchStream))
		r, err := newReplica(p, src, s.Dimension, testSamples, s.Seed, b)
		if err == nil && s.Fresh {
			r.sys.src = &freshPoints{ctx: ctx, points: src, dim: s.Dimension, rng: rng, start: r.first}
		}
		return j.member(r, w, err)
	}
	t, err := j.do(ctx)
	if t != nil {
		t.Dimension, t.Samples = s.Dimension, points
	}
	return t, err
}

// EstimateSimulation is about how many bytes Simulate takes or, with moments, SimulateMoments.
func EstimateSimulation(p *Problem, s Simulation, moments bool) (int64, error) {
	s, err := s.check(p)
	switch {
	case err != nil:
		return 0, err
	case moments:
		return s.momentBytes(p), nil
	case s.Fresh:
		return s.bytes(p, int(math.Round(float64(s.points(p))/float64(max(p.Training.Batches, 1))))), nil
	}
	return s.bytes(p, s.points(p)), nil
}

// bytes is about how much memory networks on so many points at a time take.
func (s Simulation) bytes(p *Problem, points int) int64 {
	live, copies := float64(s.Run.Parallel(s.Seeds)), 1.
	if s.Fresh { // the points before are there until the new ones are drawn
		copies = 2
	}
	return la.Bytes(live * 8 * copies * float64(points) * float64(s.Dimension+3*p.Units+6))
}

// freshPoints is a source of gradients with new points at every step.
type freshPoints struct {
	*points
	ctx   context.Context // of the run, since a step may take long to draw
	dim   int
	rng   *rand.Rand
	start register
	used  bool
}

// eval implements source.
func (q *freshPoints) eval(sys *system, r register, t float64) error {
	if q.used {
		n := len(q.y)
		x, err := explicitData(q.ctx, n, q.dim, q.rng)
		if err != nil {
			return err
		}
		fresh := newPoints(q.p, x, n, gaussian.Plain(q.rng, n, 1).Data, 0)
		fresh.forward(q.start) // which predictions are centred by
		*q.points = *fresh
	}
	q.used = true
	return q.points.eval(sys, r, t)
}

// testSamples is over how many fields the test loss of a simulation is averaged when it has no closed form.
const testSamples = 16384
