package report

import (
	"math"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft/transfer"
)

// TestTransferArrays: in the arrays of a study a run that diverged is infinite, and NaN is only what is not there.
func TestTransferArrays(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	s := transfer.Study{Panels: []transfer.Panel{{
		Curves: []transfer.Measured{{Curve: transfer.Curve{Size: 8,
			Points: []transfer.Point{{Value: 1, Losses: transfer.Losses{1, 3}},
				{Value: 2, Losses: transfer.Losses{nan, 3}}, {Value: 4, Losses: transfer.Losses{inf, inf}}}}}},
		Limit: &transfer.Measured{Curve: transfer.Curve{Points: []transfer.Point{{Value: 1, Losses: transfer.Losses{2}}}}},
	}}}
	want := map[string][]float64{"size": {8, 8, 8, inf}, "loss": {2, inf, inf, 2}, "seeds": {2, 2, 2, 1},
		"diverged": {0, 1, 2, 0}, "loss_seeds": {1, 3, inf, 3, inf, inf, 2, nan}}
	seen := 0
	for _, a := range TransferRows(s).Arrays() {
		w, ok := want[a.Name]
		if !ok {
			continue
		}
		seen++
		for i, v := range a.Array.Data {
			if len(a.Array.Data) != len(w) || v != w[i] && !(math.IsNaN(v) && math.IsNaN(w[i])) {
				t.Errorf("%s: %v, want %v", a.Name, a.Array.Data, w)
				break
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d of %d arrays", seen, len(want))
	}
}
