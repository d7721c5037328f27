package ode

// Adams–Bashforth of orders 2 to 4. Their weights integrate the polynomial through the last fields exactly,
// Σ_j w_j (−j)^q = 1/(q+1) for q below the order (Hairer, Nørsett & Wanner I, section III.1).
const (
	AB2 Kind = "ab2"
	AB3 Kind = "ab3"
	AB4 Kind = "ab4"
)

var (
	ab2 = adams{3. / 2, -1. / 2}
	ab3 = adams{23. / 12, -16. / 12, 5. / 12}
	ab4 = adams{55. / 24, -59. / 24, 37. / 24, -9. / 24}
)

// adams holds the weights w of an explicit multistep method of as high an order, newest field first:
//
//	θ_{n+1} = θ_n + η Σ_j w_j k_{n−j}        k = ∇ − λθ
type adams []float64

func (w adams) flow() bool     { return true }
func (w adams) adaptive() bool { return false }
func (w adams) momentum() bool { return false }
func (w adams) accuracy() int  { return len(w) }
func (w adams) evals() int     { return 1 }

// limit is where ζ = −1 solves ζ − 1 = −z Σ_j w_j ζ^{−j}.
func (w adams) limit(float64) (gradient, decay float64) {
	sum, sign := 0., 1.
	for _, x := range w {
		sum, sign = sum+sign*x, -sign
	}
	return 2 / sum, 2 / sum
}

func (w adams) stepper(m Method, _ int) Stepper {
	a := &adamsBashforth{Method: m, weights: w, start: newRungeKutta(m, classicalRK4)}
	a.base = a.start.Registers()
	a.coef = make([]float64, a.Registers())
	return a
}

// adamsBashforth starts with Runge–Kutta steps, so its order holds from the first output. The last fields are a ring of
// registers behind those of the starter: the field of output n is in register base + n mod order.
type adamsBashforth struct {
	Method
	weights adams
	start   *rungeKutta
	base    int // first register of the ring
	have    int // fields known
	stats   Stats
	coef    []float64
}

func (a *adamsBashforth) Registers() int { return a.start.Registers() + len(a.weights) }

// ring is the register of the field at output n.
func (a *adamsBashforth) ring(n int) int {
	k := len(a.weights)
	return a.base + (n+k)%k
}

func (a *adamsBashforth) Step(sys System, n int) error {
	vectorField(sys, a.ring(n), 0, a.WeightDecay, a.coef)
	a.have = min(a.have+1, len(a.weights))
	a.stats.Evals++
	if a.have < len(a.weights) {
		// The starter wants the gradient of the last Eval, which is still there.
		before := a.start.stats.Evals
		if err := a.start.Step(sys, n); err != nil {
			return err
		}
		a.stats.Evals += a.start.stats.Evals - before - 1 // the first one is counted above
	} else {
		clear(a.coef)
		a.coef[0] = 1
		for age, w := range a.weights {
			a.coef[a.ring(n-age)] = a.LearningRate * w
		}
		sys.Combine(0, a.coef)
	}
	a.stats.Steps++
	a.stats.LastStep = a.LearningRate
	return nil
}

func (a *adamsBashforth) State() []float64 { return a.stats.save(a.Kind, float64(a.have)) }

func (a *adamsBashforth) SetState(s []float64) error {
	stats := a.stats
	more, err := stats.load(a.Kind, s, 1)
	if err != nil {
		return err
	}
	have := int(more[0])
	if float64(have) != more[0] || have > len(a.weights) {
		return errState
	}
	a.stats, a.have = stats, have
	return nil
}

func (a *adamsBashforth) Stats() Stats { return a.stats }
