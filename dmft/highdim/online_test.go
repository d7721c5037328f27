package highdim

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

func onlineRun(t *testing.T, p *Problem, batch float64, s Settings) *Trajectory {
	t.Helper()
	tr, err := Online(ctx, p, batch, s)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestOnlineIsSmallBatches: one-pass steps of ever fewer points at the same rate of each are online learning, with an
// error of first order in their number; every option.
func TestOnlineIsSmallBatches(t *testing.T) {
	for name, change := range map[string]func(p *Problem){
		"reference": func(*Problem) {},
		"centred, noise, decay, readout": func(p *Problem) {
			p.Training.Centred, p.Target.Noise, p.Training.Method.WeightDecay, p.Readout = true, 0.4, 0.2,
				Readout{Rate: 0.7, Initial: []float64{1.2, -0.8}}
		},
		"two directions": func(p *Problem) {
			p.Target.Weights, p.Target.Overlaps = []float64{1, -0.6}, [][]float64{{0.3, 0.1}, {-0.2, 0.4}}
		},
	} {
		p := reference(6)
		change(p)
		p.Training.Method.LearningRate = 0.12
		want := onlineRun(t, p, 0.8, Settings{})
		var off []float64
		for _, split := range []int{8, 16, 32} {
			q := *p
			q.Training.Method.LearningRate /= float64(split)
			q.Training.Steps *= split
			got := onePass(t, &q, 0.8/float64(split), Settings{})
			worst := 0.
			for n := range want.Time {
				near(t, "time", got.Time[n*split], want.Time[n], 1e-12)
				worst = math.Max(worst, math.Abs(got.TestLoss[n*split]-want.TestLoss[n]))
				for i, x := range want.Overlaps.At(n).Data {
					worst = math.Max(worst, math.Abs(got.Overlaps.At(n * split).Data[i]-x))
				}
				for i, x := range want.Gram.At(n).Data {
					worst = math.Max(worst, math.Abs(got.Gram.At(n * split).Data[i]-x))
				}
				for i, x := range want.Readout.At(n).Data {
					worst = math.Max(worst, math.Abs(got.Readout.At(n * split).Data[i]-x))
				}
			}
			off = append(off, worst)
		}
		for i := 1; i < len(off); i++ {
			if r := off[i-1] / off[i]; !(r > 1.8 && r < 2.2) {
				t.Errorf("%s: halving the batch divides the distance by %.3g; distances %.3g", name, r, off)
			}
		}
		if off[0] < 1e-4 || want.TestLoss[6] > 0.96*want.TestLoss[0] {
			t.Errorf("%s: nothing happens: distances %g, test loss %g to %g", name, off, want.TestLoss[0], want.TestLoss[6])
		}
	}
}

// TestOnlineErf: the equations of Saad and Solla for erf units in closed form, of which the sampled fields know
// nothing, for two units and a teacher of two.
func TestOnlineErf(t *testing.T) {
	if !extended {
		t.Skip("slow; in the extended checks")
	}
	erf := kernels.Activation{Name: kernels.ErfName}
	p := &Problem{Ratio: 1, Units: 2, OutputScale: 2, Activation: erf,
		Target:   Target{Link: erf, Overlaps: [][]float64{{0.5, 0.1}, {-0.1, 0.3}}, Noise: 0.3},
		Training: Training{Method: gd(0.25), Steps: 12}}
	const batch = 0.5 // a step is D/2 points
	got := onlineRun(t, p, batch, Settings{Samples: 65536, Blocks: 8, Seed: 3})
	// f = Σ erf(h_i/√2), y = Σ erf(h*_k/√2); w_i ← w_i − κ Δ φ′(h_i)/α x at every point with φ′ = √(2/π) exp(−h²/2), κ
	// = 2η/batch.
	kappa := 2 * 0.25 / batch
	// Averages over Gaussian fields (u, v, …) of covariance c: I3 = ⟨g′(u) v g(w)⟩ and I4 = ⟨g′(u) g′(v) g(w) g(z)⟩
	// with g = erf(·/√2) (Saad & Solla 1995).
	i3 := func(c11, c12, c13, c22, c23, c33 float64) float64 {
		l := (1+c11)*(1+c33) - c13*c13
		return 2 / math.Pi / math.Sqrt(l) * (c23*(1+c11) - c12*c13) / (1 + c11)
	}
	i4 := func(c [4][4]float64) float64 {
		l4 := (1+c[0][0])*(1+c[1][1]) - c[0][1]*c[0][1]
		part := func(x, y int) float64 {
			return l4*c[x][y] - c[1][x]*c[1][y]*(1+c[0][0]) - c[0][x]*c[0][y]*(1+c[1][1]) +
				c[0][1]*(c[0][x]*c[1][y]+c[0][y]*c[1][x])
		}
		l0, l1, l2 := part(2, 3), l4+part(2, 2), l4+part(3, 3)
		return 4 / (math.Pi * math.Pi) / math.Sqrt(l4) * math.Asin(l0/math.Sqrt(l1*l2))
	}
	// Vectors 0, 1 are weights, 2, 3 the teacher; the state is R (4) and Q (4).
	gram := func(y []float64) (g [4][4]float64) {
		for i := range 2 {
			for k := range 2 {
				g[i][2+k], g[2+k][i] = y[2*i+k], y[2*i+k]
				g[i][k] = y[4+2*i+k]
			}
			g[2+i][2+i] = 1
		}
		return g
	}
	sign := []float64{1, 1, -1, -1} // of Δ = f − y
	field := func(_ float64, dst, y []float64) {
		g := gram(y)
		gv := func(i, v int) float64 { // ⟨Δ φ′(h_i) h_v⟩/α
			s := 0.
			for b, e := range sign {
				s += e * i3(g[i][i], g[i][v], g[i][b], g[v][v], g[v][b], g[b][b])
			}
			return s / 2
		}
		for i := range 2 {
			for k := range 2 {
				dst[2*i+k] = -batch * kappa * gv(i, 2+k)
			}
			for j := range 2 {
				s := 0.
				for b, e := range sign {
					for c, f := range sign {
						at := [4]int{i, j, b, c}
						var m [4][4]float64
						for x := range 4 {
							for z := range 4 {
								m[x][z] = g[at[x]][at[z]]
							}
						}
						s += e * f * i4(m)
					}
				}
				noise := 0.09 * 2 / math.Pi / math.Sqrt((1+g[i][i])*(1+g[j][j])-g[i][j]*g[i][j])
				dst[4+2*i+j] = -batch*kappa*(gv(i, j)+gv(j, i)) + batch*kappa*kappa*(s+noise)/4
			}
		}
	}
	want, err := ode.Solve(field, []float64{0.5, 0.1, -0.1, 0.3, 1, 0, 0, 1}, 0,
		ode.Method{Kind: ode.RK45, LearningRate: 1, Tolerance: 1e-9}, 12)
	if err != nil {
		t.Fatal(err)
	}
	for n, y := range want {
		for i, x := range got.Overlaps.At(n).Data {
			near(t, fmt.Sprint("overlap at ", n), x, y[i], 4*got.OverlapsStderr.At(n).Data[i]+2e-4)
		}
		for i, x := range got.Gram.At(n).Data {
			near(t, fmt.Sprint("Gram matrix at ", n), x, y[4+i], 2e-3*(1+y[4+i]))
		}
	}
	if want[12][4] < 1.05*want[0][4] || want[12][0] < want[0][0]+0.1 {
		t.Errorf("nothing happens: %v to %v", want[0], want[12])
	}
}

// TestOnlineSimulation: a network that sees one fresh point at a time, plain loops, in 300 dimensions.
func TestOnlineSimulation(t *testing.T) {
	p := reference(8)
	p.Training.Method.LearningRate = 0.06
	const d, seeds, batch = 300, 8, 0.5
	want := onlineRun(t, p, batch, Settings{})
	mean, square := make([]float64, 9), make([]float64, 9)
	for seed := range uint64(seeds) {
		q := newNaive(p, d, 1, 0, rand.New(rand.NewPCG(seed, 3)))
		for n := range mean {
			a := 0.
			for _, w := range q.w {
				a += dot(w, w) / d / 2
			}
			mean[n] += a / seeds
			square[n] += a * a / seeds
			for range int(d * batch) {
				q.freshData()
				// A step of q on P points has κ = 2η/δ with δ = P/D: one point is worth 2ηD, and κ = 2η/batch is meant.
				q.p = &Problem{}
				*q.p = *p
				q.p.Training.Method.LearningRate = 0.06 / batch / d
				q.step()
			}
		}
	}
	for n := range mean {
		se := math.Sqrt(math.Max(square[n]-sq(mean[n]), 0) / (seeds - 1))
		g := want.Gram.At(n).Data
		near(t, fmt.Sprint("|w|²/D at ", n), (g[0]+g[3])/2, mean[n], 3*se+1./d)
	}
	g := want.Gram.At(8).Data
	still := *p
	quiet := population(t, &still, Settings{})
	if h := quiet.Gram.At(8).Data; math.Abs(h[0]+h[3]-g[0]-g[3]) < 0.1 {
		t.Errorf("the noise of single points moves |w|² by %g only", h[0]+h[3]-g[0]-g[3])
	}
}

func TestOnlineMistakes(t *testing.T) {
	for want, f := range map[string]func(p *Problem) float64{
		"positive": func(*Problem) float64 { return 0 },
		"gradient descent": func(p *Problem) float64 {
			p.Training.Method = ode.Method{Kind: ode.Momentum, LearningRate: 0.1, Momentum: 0.5}
			return 1
		},
		"units": func(p *Problem) float64 { p.Units = 0; return 1 },
	} {
		p := reference(2)
		batch := f(p)
		if _, err := Online(ctx, p, batch, Settings{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	p := reference(50)
	p.Training.Method.LearningRate = 3
	tr, err := Online(ctx, p, 0.5, Settings{})
	if err == nil || tr == nil || !tr.Status.Early() || len(tr.Loss) != tr.Status.Step+1 {
		t.Errorf("a rate far too large: %v", err)
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Online(stopped, reference(5), 1, Settings{}); err == nil {
		t.Error("an interrupted run is no error")
	}
}

// TestFreshPoints: networks in D = 300 dimensions with new points at every step follow OnePass, whose train loss is
// that of points nobody has seen; every option.
func TestFreshPoints(t *testing.T) {
	if !extended {
		t.Skip("slow; in the extended checks")
	}
	for name, change := range map[string]func(p *Problem){
		"reference": func(*Problem) {},
		"centred, noise, decay, readout, momentum": func(p *Problem) {
			p.Training.Centred, p.Target.Noise, p.Readout = true, 0.4, Readout{Rate: 0.7, Initial: []float64{1.2, -0.8}}
			p.Training.Method = ode.Method{Kind: ode.Momentum, LearningRate: 0.03, Momentum: 0.6, WeightDecay: 0.2}
		},
	} {
		p := reference(20)
		p.Training.Method.LearningRate = 0.1
		change(p)
		p.Ratio, p.Training.Batches = 4, 2
		want := onePass(t, p, 2, Settings{})
		sim := simulate(t, p, Simulation{Dimension: 300, Seeds: 24, Seed: 6, Fresh: true})
		if sim.Samples != 600 {
			t.Errorf("%d points in a step", sim.Samples)
		}
		agree(t, name, want, sim, 1./300, 3)
		again := simulate(t, p, Simulation{Dimension: 300, Seeds: 64, Seed: 5})
		noise := sq(p.Target.Noise)
		if a, b := again.TestLoss[4]-again.Loss[4]+noise, sim.TestLoss[4]-sim.Loss[4]+noise; a < 0.1 || math.Abs(b) > 0.04 {
			t.Errorf("%s: test loss above train loss by %g on points used again, %g on fresh ones", name, a, b)
		}
	}
	p := reference(2)
	p.Training.Method = ode.Method{Kind: ode.RK4, LearningRate: 0.1}
	if _, err := Simulate(ctx, p, Simulation{Dimension: 20, Fresh: true}); err == nil {
		t.Error("a flow on fresh points is no error")
	}
	if _, err := SimulateMoments(ctx, reference(2), Simulation{Dimension: 20, Fresh: true}); err == nil {
		t.Error("moments on fresh points are no error")
	}
}
