package alternating

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/kernels"
)

// Output is a way of reading predictions off a round. Both are exact for discrete steps and differ in their sampling
// error.
type Output string

// The outputs.
const (
	// FromResponse is f(t) = A^L(t)/γ₀ + η Σ_{s<t} Φ^L(t,s)Δ(s), which Stein's lemma makes of the average below: it
	// takes Δ from the kernels, as the published solver does, and has a limit γ₀ → 0.
	FromResponse Output = "response"
	// FromAverage is f(t) = ⟨w(t)φ(h^L(t))⟩/γ₀ over the paths, whose sampling error grows as 1/γ₀.
	FromAverage Output = "average"
)

// Sites is a way of solving the single-site equations of a path and their derivatives.
type Sites string

// The ways; they agree up to the tolerance of Picard.
const (
	// Causal substitutes forward in time, once: what a careful implementation of the published equations does. It also
	// uses that the kernels before the first layer and behind the last one do not depend on time.
	Causal Sites = "causal"
	// Picard sweeps over whole paths and whole Jacobians until they stand still, as the published code does, with its
	// limits.
	Picard Sites = "picard"
)

// Settings are the parameters of the solver. Zero values mean the defaults named here, which are those of the published
// runs.
type Settings struct {
	Samples int     // paths per layer and round, 1000
	Rounds  int     // at most, 20
	Damping float64 // weight of a round's estimates against the old ones, 0.7
	// Tolerance ends the rounds when f moves by less, root mean square over times and points; 0 takes all rounds. Fresh
	// noise keeps f moving by its sampling error for ever.
	Tolerance float64
	Seed      uint64
	// The same noise in every round, so that the iteration has a fixed point; fresh noise is what was published.
	Frozen bool
	// Jitter is added to the diagonal of a covariance, relative to its mean, before noise is drawn from it, 1e-10.
	Jitter float64
	Output Output // FromResponse
	Sites  Sites  // Causal
	// JacobianSamples are the paths, of Samples, that responses are averaged over: they scatter less than kernels and
	// cost by far the most. 0 is all.
	JacobianSamples int
}

func (s *Settings) complete() error {
	if s.Samples == 0 {
		s.Samples = 1000
	}
	if s.Rounds == 0 {
		s.Rounds = 20
	}
	if s.Damping == 0 {
		s.Damping = 0.7
	}
	if s.Jitter == 0 {
		s.Jitter = 1e-10
	}
	if s.Output == "" {
		s.Output = FromResponse
	}
	if s.Sites == "" {
		s.Sites = Causal
	}
	if s.JacobianSamples == 0 || s.JacobianSamples > s.Samples {
		s.JacobianSamples = s.Samples
	}
	switch {
	case s.Samples < 1 || s.Rounds < 1 || s.JacobianSamples < 1:
		return fmt.Errorf("alternating: %d samples (%d for responses) and %d rounds must all be positive", s.Samples,
			s.JacobianSamples, s.Rounds)
	case !(s.Damping > 0 && s.Damping <= 1):
		return fmt.Errorf("alternating: damping %g is the weight of what is new and must be in (0, 1]", s.Damping)
	case !(s.Tolerance >= 0) || !(s.Jitter >= 0):
		return fmt.Errorf("alternating: tolerance %g and jitter %g must not be negative", s.Tolerance, s.Jitter)
	case s.Output != FromResponse && s.Output != FromAverage:
		return fmt.Errorf("alternating: unknown output %q; use %s or %s", s.Output, FromResponse, FromAverage)
	case s.Sites != Causal && s.Sites != Picard:
		return fmt.Errorf("alternating: unknown way %q of solving sites; use %s or %s", s.Sites, Causal, Picard)
	}
	return nil
}

// Result is what the rounds ended with. Matrices over times and points have row and column t·P + μ; layer ℓ is element
// ℓ−1.
type Result struct {
	F      *mat.Dense   // (T+1)×P predictions
	Phi, G []*mat.Dense // L kernels Φ^ℓ and G^ℓ
	// L−1 responses: A^ℓ = ⟨∂φ(h^ℓ)/∂r^ℓ⟩, and B^ℓ = ⟨∂g^{ℓ+1}/∂u^{ℓ+1}⟩ with its part at equal times
	A, B      []*mat.Dense
	History   []*mat.Dense // F before the first round (the static kernel) and after every round
	Converged bool         // the change of f in the last round was below Settings.Tolerance
}

// Rounds is the number of rounds taken.
func (r *Result) Rounds() int { return len(r.History) - 1 }

// Change is the root mean square change of f in the last round.
func (r *Result) Change() float64 {
	n := len(r.History)
	if n < 2 {
		return 0
	}
	return rms(r.History[n-1], r.History[n-2])
}

// ErrDiverged is the error of rounds that left the finite numbers. The undamped iteration ends after at most 1 + L(T−1)
// rounds in exact arithmetic, but may overflow on the way.
var ErrDiverged = errors.New("alternating: diverged")

// Solve runs the rounds. It takes MLPs and two-layer networks of one output with a smooth activation, squared loss,
// plain gradient descent over full batches, no test points. When the rounds diverge it returns the predictions before
// with the error.
func Solve(p *dmft.Problem, s Settings) (*Result, error) {
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := supported(p); err != nil {
		return nil, err
	}
	if err := s.complete(); err != nil {
		return nil, err
	}
	v, err := newSolver(p, s)
	if err != nil {
		return nil, err
	}
	out := &Result{}
	out.record(v)
	for round := range s.Rounds {
		if err := v.round(round); err != nil {
			return out, err
		}
		for i, x := range v.f {
			if math.IsNaN(x) || math.Abs(x) > 1e6*v.scale {
				return out, fmt.Errorf("%w in round %d: f = %.3g at step %d, point %d; a smaller Damping, learning "+
					"rate or richness may help", ErrDiverged, round+1, x, i/v.p, i%v.p)
			}
		}
		out.record(v)
		if out.Converged = s.Tolerance > 0 && out.Change() < s.Tolerance; out.Converged {
			break
		}
	}
	out.Phi, out.G, out.A, out.B = v.dense(v.phi), v.dense(v.g), v.dense(v.a), v.dense(v.b)
	return out, nil
}

// supported says what a problem has that the published solver has not.
func supported(p *dmft.Problem) error {
	_, c := p.Data.Targets.Dims()
	m := p.Training.Method
	var what string
	switch {
	case p.Network.Blocks != nil:
		what = "a list of blocks"
	case p.Network.Kind == dmft.ResNet:
		what = "residual networks"
	case c > 1:
		what = "several outputs"
	case p.Data.TestInputs != nil:
		what = "test points"
	case !m.IsPlain() || m.WeightDecay != 0 || !m.Schedule.IsConstant():
		what = "another method than gradient descent at a constant learning rate"
	case !p.Training.Loss.Quadratic():
		what = "another loss than the squared one"
	case p.Training.Batch.Size != 0:
		what = "mini-batches"
	case p.Network.Activation.Kinks() != nil:
		what = "activations with a kink, whose φ″ no sample sees"
	default:
		return nil
	}
	return fmt.Errorf("alternating: the solver does not take %s", what)
}

// solver is the state of the rounds: order parameters over all pairs of (time, point), numbered t·P + μ.
type solver struct {
	Settings
	act        kernels.Activation
	p, t, n, l int // points, times T+1, their product, hidden layers
	gamma, eta float64
	y          []float64 // targets
	weight     float64   // of the loss: 1, or 1/P for the mean
	scale      float64   // of f, by which divergence is judged
	kx         *mat.SymDense

	phi, g []la.Mat[float64] // kernels by layer
	a, b   []la.Mat[float64] // responses by matrix between hidden layers
	top    []float64         // A^L: response of φ(h^L) to the initial readout; with FromAverage, ⟨wφ(h^L)⟩
	f      []float64
	delta  []float64
}

func newSolver(p *dmft.Problem, s Settings) (*solver, error) {
	v := &solver{Settings: s, act: p.Network.Activation, gamma: p.Richness, eta: p.Training.Method.LearningRate,
		weight: 1, scale: 1}
	v.p, _ = p.Data.Inputs.Dims()
	v.t, v.l = p.Training.Steps+1, p.Network.Depth
	v.n = v.t * v.p
	v.y = mat.Col(nil, 0, p.Data.Targets)
	for _, y := range v.y {
		v.scale = math.Max(v.scale, math.Abs(y))
	}
	if p.Training.Loss.Mean {
		v.weight = 1 / float64(v.p)
	}
	v.kx = kernels.Gram(p.Data.Inputs)
	start, err := kernels.NTK(kernels.Architecture{Depth: v.l, Activation: v.act}, v.kx)
	if err != nil {
		return nil, err
	}
	for l := range v.l {
		v.phi = append(v.phi, v.still(start.Phi[l]))
		v.g = append(v.g, v.still(start.G[l]))
		if l > 0 { // one pair for every matrix between hidden layers
			v.a, v.b = append(v.a, la.New[float64](v.n, v.n)), append(v.b, la.New[float64](v.n, v.n))
		}
	}
	// The static kernel K instead of Φ^L alone, which is what A^L adds as γ₀ → 0, starts the rounds on the lazy
	// solution.
	v.f, v.delta, v.top = make([]float64, v.n), make([]float64, v.n), make([]float64, v.n)
	v.residual(0)
	for t := 1; t < v.t; t++ {
		now, last := v.f[t*v.p:(t+1)*v.p], v.f[(t-1)*v.p:t*v.p]
		for m := range now {
			now[m] = last[m]
			lazy := v.top[(t-1)*v.p+m]
			for k, d := range v.delta[(t-1)*v.p : t*v.p] {
				now[m] += v.eta * start.NTK.At(m, k) * d
				lazy += v.gamma * v.eta * (start.NTK.At(m, k) - start.Phi[v.l-1].At(m, k)) * d
			}
			v.top[t*v.p+m] = lazy
		}
		v.residual(t)
	}
	if s.Output == FromAverage {
		for i, f := range v.f {
			v.top[i] = v.gamma * f
		}
	}
	return v, nil
}

// still is a kernel that does not depend on time.
func (v *solver) still(k mat.Symmetric) la.Mat[float64] {
	m := la.New[float64](v.n, v.n)
	for i := range v.n {
		row := m.Row(i)
		for j := range row {
			row[j] = k.At(i%v.p, j%v.p)
		}
	}
	return m
}

// residual sets Δ(t) from f(t).
func (v *solver) residual(t int) {
	for m, y := range v.y {
		v.delta[t*v.p+m] = v.weight * (y - v.f[t*v.p+m])
	}
}

// predict sets f and Δ from the order parameters. f(t) needs Δ(s) of s < t only.
func (v *solver) predict() {
	for t := range v.t {
		for m := range v.p {
			i := t*v.p + m
			v.f[i] = v.top[i] / v.gamma
			if v.Output == FromResponse {
				for j, k := range v.phi[v.l-1].Row(i)[:t*v.p] {
					v.f[i] += v.eta * k * v.delta[j]
				}
			}
		}
		v.residual(t)
	}
}

// round re-estimates every order parameter from paths drawn with the current ones. Given those, layers are independent.
func (v *solver) round(round int) error {
	layers := make([]*layer, v.l)
	for l := range layers {
		layers[l] = v.layer(l)
	}
	if err := v.factor(layers); err != nil {
		return fmt.Errorf("alternating: round %d: %w", round+1, err)
	}
	if v.Frozen {
		round = 0
	}
	v.sample(layers, round)
	for l, y := range layers {
		v.damp(v.phi[l].Data, y.phi.Data)
		v.damp(v.g[l].Data, y.g.Data)
		if !y.last {
			v.damp(v.a[l].Data, y.a.Data)
		}
		if !y.first {
			v.damp(v.b[l-1].Data, y.b.Data)
		}
	}
	v.damp(v.top, layers[v.l-1].top)
	v.predict()
	return nil
}

// damp mixes a new estimate into an old one: the weight is of the new one for kernels and responses alike (the
// published code mixes the two up for responses).
func (v *solver) damp(old, fresh []float64) {
	for i, x := range fresh {
		old[i] += v.Damping * (x - old[i])
	}
}

// record adds the predictions to a result.
func (r *Result) record(v *solver) {
	r.F = mat.NewDense(v.t, v.p, append([]float64(nil), v.f...))
	r.History = append(r.History, r.F)
}

// dense hands order parameters out.
func (v *solver) dense(list []la.Mat[float64]) []*mat.Dense {
	out := make([]*mat.Dense, len(list))
	for i, m := range list {
		out[i] = mat.NewDense(v.n, v.n, m.Data)
	}
	return out
}

// rms is the root mean square difference of two matrices.
func rms(a, b *mat.Dense) float64 {
	x, y := a.RawMatrix().Data, b.RawMatrix().Data
	s := 0.
	for i := range x {
		s += (x[i] - y[i]) * (x[i] - y[i])
	}
	return math.Sqrt(s / float64(len(x)))
}
