package dmft_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
)

// BenchmarkSolve: seconds, ranks and root mean square standard error of f of the theory, two cores, over depth, points,
// steps and sites.
//
//	go test -run '^$' -bench Solve -benchtime 1x ./dmft
func BenchmarkSolve(b *testing.B) {
	for _, tc := range []struct {
		kind           dmft.Kind
		depth          int
		act            string
		points, dim    int
		gamma, eta     float64
		steps, samples int
		large          bool // only with DMFT_EXTENDED
	}{
		{dmft.TwoLayer, 1, "tanh", 4, 8, 1, 0.1, 30, 4000, false},
		{dmft.MLP, 2, "tanh", 4, 8, 1, 0.1, 30, 4000, false},
		{dmft.MLP, 3, "tanh", 16, 32, 1, 0.01, 100, 4000, false},
		{dmft.ResNet, 6, "tanh", 8, 64, 1, 0.02, 60, 8000, false},
		{dmft.MLP, 3, "tanh", 16, 32, 1, 0.01, 10000, 4000, true},
		{dmft.MLP, 2, "tanh", 256, 512, 1, 0.001, 200, 4000, true},
		{dmft.ResNet, 64, "tanh", 16, 32, 1, 0.005, 200, 4000, true},
	} {
		if tc.large && !extended {
			continue
		}
		p := deep(tc.kind, tc.depth, tc.act, tc.gamma, gaussianData(7, tc.points, 0, tc.dim, 1), gd(tc.eta), tc.steps)
		b.Run(fmt.Sprintf("%s/L=%d/P=%d/T=%d/S=%d", tc.kind, tc.depth, tc.points, tc.steps, tc.samples), func(b *testing.B) {
			var tr *dmft.Trajectory
			for range b.N {
				var err error
				if tr, err = dmft.Solve(context.Background(), p, dmft.Settings{Samples: tc.samples, Seed: 1}); err != nil {
					b.Fatal(err)
				}
			}
			se := 0.
			for _, v := range tr.FStderr.Data {
				se += v * v / float64(len(tr.FStderr.Data))
			}
			var ranks [2]int
			for _, r := range tr.Diagnostics.Ranks {
				ranks = [2]int{max(ranks[0], r[0]), max(ranks[1], r[1])}
			}
			b.ReportMetric(math.Sqrt(se), "stderr")
			b.ReportMetric(float64(ranks[0]), "rank-φ")
			b.ReportMetric(float64(ranks[1]), "rank-g")
			b.ReportMetric(float64(tr.Width), "sites/block")
			b.ReportMetric(tr.Loss[len(tr.Loss)-1], "loss")
		})
	}
}
