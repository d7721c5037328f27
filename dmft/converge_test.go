package dmft_test

import (
	"math"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
)

// TestReplicas: the NTK of every replica is kept where it is asked for, and its mean over replicas is the NTK; the
// pseudo-values of the theory's loss have its jackknife error for a scatter.
func TestReplicas(t *testing.T) {
	p := twoLayer("tanh", 1.2, gaussianData(4, 5, 2, 6, 1), gd(0.1), 9)
	p.Network = dmft.Network{Kind: dmft.MLP, Depth: 2, Activation: act("tanh")}
	record := dmft.Record{Kernels: 4, NTKReplicas: 2}
	th := solve(t, p, dmft.Settings{Samples: 400, Blocks: 5, Run: dmft.Run{Record: record}})
	sim := train(t, p, finite.Settings{Width: 12, Seeds: 7, Run: dmft.Run{Record: record}})
	for _, tr := range []*dmft.Trajectory{th, sim} {
		if len(tr.NTKReplicas.Shape) != 4 || tr.NTKReplicas.Shape[0] != tr.Replicas || tr.NTKReplicas.Shape[1] != 2 || tr.NTKReplicas.Shape[2] != 5 {
			t.Fatalf("shape %v of %d replicas", tr.NTKReplicas.Shape, tr.Replicas)
		}
		for i, at := range []int{0, 3} {
			mean := make([]float64, 25)
			for r := range tr.Replicas {
				for q, v := range tr.NTKReplicas.At(r).At(i).Data {
					mean[q] += v / float64(tr.Replicas)
				}
			}
			same(t, "mean NTK of replicas", mean, tr.NTK.At(at).Data, 1e-12)
		}
	}
	pseudo := p.LossPseudoValues(th)
	for s := range th.Loss {
		m, v := 0., 0.
		for b := range th.Replicas {
			m += pseudo.At(b).Data[s] / float64(th.Replicas)
		}
		for b := range th.Replicas {
			v += (pseudo.At(b).Data[s] - m) * (pseudo.At(b).Data[s] - m)
		}
		se := math.Sqrt(v / float64(th.Replicas*(th.Replicas-1)))
		if math.Abs(se-th.LossStderr[s]) > 1e-12 || math.Abs(m-th.Loss[s]) > 3*se+1e-12 {
			t.Errorf("step %d: loss %g ± %g, of pseudo-values %g ± %g", s, th.Loss[s], th.LossStderr[s], m, se)
		}
	}
	lazy := solve(t, p, dmft.Settings{Method: dmft.Lazy})
	if x := p.LossPseudoValues(lazy); x.Shape[0] != 1 || math.Abs(x.Data[3]-lazy.Loss[3]) > 1e-12 {
		t.Errorf("without blocks: %v", x)
	}
	if tr := train(t, p, finite.Settings{Width: 4, Seeds: 2}); !tr.NTKReplicas.Empty() {
		t.Error("the NTK of replicas is kept though nobody asked")
	}
}
