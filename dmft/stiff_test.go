package dmft_test

import (
	"context"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/ode"
)

// TestStiff: what stops an adaptive flow says once what to do about it.
func TestStiff(t *testing.T) {
	p := twoLayer("tanh", 1, gaussianData(1, 4, 0, 5, 1), ode.Method{Kind: ode.RK45, LearningRate: 1e9, Tolerance: 1e-10}, 2)
	_, err := dmft.Solve(context.Background(), p, dmft.Settings{Samples: 64, Blocks: 2, Seed: 1})
	if n := strings.Count(err.Error(), "loosen the tolerance"); n != 1 {
		t.Errorf("%d times: %v", n, err)
	}
}
