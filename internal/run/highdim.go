package run

import (
	"fmt"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// A part of the file of a high-dimensional trajectory: a vector or an array.
type part struct {
	name   string
	vector *[]float64
	array  *dmft.Array
}

// parts are the arrays of a high-dimensional trajectory, under the names of the run-folder format.
func parts(t *highdim.Trajectory, replicas string) []part {
	return []part{
		{"time", &t.Time, nil}, {"loss", &t.Loss, nil}, {"loss_stderr", &t.LossStderr, nil}, {"test_loss", &t.TestLoss, nil}, {"test_loss_stderr", &t.TestLossStderr, nil},
		{"loss_" + replicas, nil, &t.LossReplicas}, {"test_loss_" + replicas, nil, &t.TestLossReplicas},
		{"test_loss_parts", nil, &t.TestLossParts}, {"test_loss_parts_stderr", nil, &t.TestLossPartsStderr},
		{"overlaps", nil, &t.Overlaps}, {"overlaps_stderr", nil, &t.OverlapsStderr}, {"gram", nil, &t.Gram}, {"readout", nil, &t.Readout},
		{"moments", nil, &t.Moments}, {"moments_stderr", nil, &t.MomentsStderr},
		{"kernel_regression", &t.Regression, nil}, {"response_w", nil, &t.ResponseW}, {"response_g", nil, &t.ResponseG},
		{"alignment_time", &t.AlignmentTime, nil}, {"alignment", &t.Alignment, nil}, {"alignment_stderr", &t.AlignmentStderr, nil},
	}
}

type numbered struct {
	name string
	n    *int
}

func counts(t *highdim.Trajectory) []numbered {
	return []numbered{{"dimension", &t.Dimension}, {"samples", &t.Samples}, {"replicas", &t.Replicas}}
}

// WriteHighDimensional writes a trajectory of package highdim; replicas names the axis of single runs ("seeds" or "blocks").
func WriteHighDimensional(path string, t *highdim.Trajectory, replicas string) error {
	var out []npy.Named
	for _, p := range parts(t, replicas) {
		a := p.array
		if p.vector != nil {
			a = &dmft.Array{Shape: []int{len(*p.vector)}, Data: *p.vector}
		}
		if !a.Empty() {
			out = append(out, npy.Named{Name: p.name, Array: npy.Array{Shape: a.Shape, Data: a.Data}})
		}
	}
	for _, c := range counts(t) {
		out = append(out, npy.Named{Name: c.name, Array: npy.Array{Data: []float64{float64(*c.n)}}})
	}
	return npy.WriteNPZ(path, out)
}

// ReadHighDimensional reads what WriteHighDimensional wrote. Status and diagnostics are in the manifest.
func ReadHighDimensional(path string) (*highdim.Trajectory, error) {
	m, err := npy.ReadNPZ(path)
	if err != nil {
		return nil, err
	}
	replicas := "seeds"
	if _, ok := m["loss_blocks"]; ok {
		replicas = "blocks"
	}
	t := &highdim.Trajectory{}
	for _, p := range parts(t, replicas) {
		a := m[p.name]
		if p.vector != nil {
			*p.vector = a.Data
		} else {
			*p.array = dmft.Array{Shape: a.Shape, Data: a.Data}
		}
	}
	for _, c := range counts(t) {
		if len(m[c.name].Data) != 1 {
			return nil, notOurs(path, "trajectory of high-dimensional data", fmt.Errorf("no %s", c.name))
		}
		*c.n = ints(m[c.name].Data)[0]
	}
	if len(t.Time) == 0 && len(t.Loss) == 0 && len(t.TestLoss) == 0 && t.Replicas > 0 { // stopped before the first step
		return t, nil
	}
	if err := checkHighDimensional(t); err != nil {
		return nil, notOurs(path, "trajectory of high-dimensional data", err)
	}
	return t, nil
}
