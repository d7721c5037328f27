package highdim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/kernels"
)

// TestLinearised: gradient descent on the Jacobian of a network of three units, written out, for plain and centred
// predictions; where it ends is kernel regression.
func TestLinearised(t *testing.T) {
	for _, centred := range []bool{false, true} {
		const d, points, steps = 9, 11, 40
		p := &Problem{Ratio: points / 9., Units: 3, OutputScale: 1.3,
			Activation: kernels.Activation{Name: kernels.PolynomialName, Coefficients: []float64{0.2, 0.9, 0.3}},
			Target:     Target{Overlaps: [][]float64{{0.4}, {0.1}, {-0.3}}, Noise: 0.3},
			Training:   Training{Method: gd(0.15), Steps: steps, Centred: centred}}
		tr, err := SimulateMoments(ctx, p, Simulation{Dimension: d, Seed: 5, Linearised: true})
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(5, stream(0, dataStream)))
		x, err := drawData(t.Context(), points, d, rng)
		if err != nil {
			t.Fatal(err)
		}
		start, _ := p.start()
		w := func(i, k int) float64 { // in units in which coordinates of points are N(0, 1)
			if k < len(start[i]) {
				return start[i][k]
			}
			return 0
		}
		fields := func(z []float64) []float64 {
			h := make([]float64, 3)
			for i := range h {
				for k := range z {
					h[i] += w(i, k) * z[k]
				}
			}
			return h
		}
		row := func(z []float64) (f0 float64, jac []float64) { // f(0) and its derivatives by the coordinates of all weights
			for _, h := range fields(z) {
				f0 += 1.3 / 3 * p.Activation.Value(h)
				for k := range z {
					jac = append(jac, 1.3/3*p.Activation.Derivative(h)*z[k])
				}
			}
			if centred {
				f0 = 0
			}
			return f0, jac
		}
		j, e := mat.NewDense(points, 3*d, nil), make([]float64, points)
		for m := range points {
			z := make([]float64, d)
			for k := range z {
				z[k] = x.Row(k)[m]
			}
			f0, jac := row(z)
			j.SetRow(m, jac)
			e[m] = f0 - z[0]*z[0]/2
		}
		for m := range e {
			e[m] -= 0.3 * rng.NormFloat64()
		}
		theta, e0 := make([]float64, 3*d), append([]float64(nil), e...)
		for n := range steps + 1 {
			loss := 0.
			for _, v := range e {
				loss += v * v / points
			}
			near(t, fmt.Sprint("train loss at step ", n), tr.Loss[n], loss, 1e-11*loss)
			// Learning rate ηDN/α² for weights of length √D, so ηN/α² in these units.
			for m, v := range e {
				for c := range theta {
					theta[c] -= 0.15 * 3 / (1.3 * 1.3) * 2 / points * v * j.At(m, c)
				}
			}
			for m := range e {
				e[m] = e0[m]
				for c, v := range theta {
					e[m] += j.At(m, c) * v
				}
			}
		}
		// theta is one step further: so is the run whose test loss it has.
		p.Training.Steps = steps + 1
		if tr, err = SimulateMoments(ctx, p, Simulation{Dimension: d, Seed: 5, Linearised: true}); err != nil {
			t.Fatal(err)
		}
		mean, square := 0., 0.
		const fresh = 200000
		for range fresh {
			z := make([]float64, d)
			for k := range z {
				z[k] = rng.NormFloat64()
			}
			f0, jac := row(z)
			q := f0 - z[0]*z[0]/2
			for c, v := range theta {
				q += jac[c] * v
			}
			mean += q * q / fresh
			square += q * q * q * q / fresh
		}
		near(t, "test loss", tr.TestLoss[steps+1], mean, 4*math.Sqrt((square-mean*mean)/fresh))
		// Late: interpolation of 11 points by 27 weights.
		p.Training.Steps, p.Training.Method = 30000, gd(0.3)
		late, err := SimulateMoments(ctx, p, Simulation{Dimension: d, Seed: 5, Linearised: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(late.Regression) != 2 || late.Regression[0] > 1e-20 {
			t.Fatalf("kernel regression %v", late.Regression)
		}
		near(t, "late test loss", late.TestLoss[30000], late.Regression[1], 1e-3*late.Regression[1])
	}
}

// TestLazyIsLinearised: with growing output scale the network becomes the linearised model, at first order in 1/α; more
// points than features leave a train loss.
func TestLazyIsLinearised(t *testing.T) {
	p := &Problem{Ratio: 3, OutputScale: 1, Activation: mix(0.5),
		Training: Training{Method: gd(0.1), Steps: 60, Centred: true}}
	var off []float64
	for _, alpha := range []float64{20, 40, 80} {
		p.OutputScale = alpha
		run := func(lin bool) *Trajectory {
			tr, err := SimulateMoments(ctx, p, Simulation{Dimension: 20, Seed: 2, Linearised: lin})
			if err != nil {
				t.Fatal(err)
			}
			return tr
		}
		a, b := run(false), run(true)
		worst := 0.
		for n := range a.Time {
			worst = math.Max(worst, math.Abs(a.TestLoss[n]-b.TestLoss[n])+math.Abs(a.Loss[n]-b.Loss[n]))
		}
		off = append(off, worst)
	}
	for i := 1; i < 3; i++ {
		if r := off[i-1] / off[i]; !(r > 1.8 && r < 2.2) {
			t.Errorf("twice the output scale divides the distance to the linearised model by %.3g: %.3g", r, off)
		}
	}
	p.Units, p.Target.Overlaps, p.Ratio, p.Training.Steps = 2, [][]float64{{0.3}, {-0.2}}, 6, 3
	tr, err := SimulateMoments(ctx, p, Simulation{Dimension: 20, Seed: 2, Linearised: true})
	if err != nil || tr.Regression[0] < 0.05 {
		t.Errorf("kernel regression with 40 features of 120 points: %v %v", tr.Regression, err)
	}
	p.Training.Method.WeightDecay = 0.1
	if _, err := SimulateMoments(ctx, p, Simulation{Dimension: 20, Linearised: true}); err == nil {
		t.Error("weight decay is no error")
	}
	if _, err := Simulate(ctx, p, Simulation{Dimension: 20, Linearised: true}); err == nil {
		t.Error("linearised weights are no error")
	}
}
