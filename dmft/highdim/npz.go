package highdim

import (
	"fmt"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// A quantity of the file of a trajectory: a vector or an array.
type quantity struct {
	name   string
	vector *[]float64
	array  *dmft.Array
}

// parts are the arrays of a high-dimensional trajectory, under the names of the run-folder format.
func parts(t *Trajectory, replicas dmft.ReplicaKind) []quantity {
	return []quantity{
		{"time", &t.Time, nil}, {"loss", &t.Loss, nil}, {"loss_stderr", &t.LossStderr, nil},
		{"test_loss", &t.TestLoss, nil}, {"test_loss_stderr", &t.TestLossStderr, nil},
		{"loss_" + string(replicas), nil, &t.LossReplicas}, {"test_loss_" + string(replicas), nil, &t.TestLossReplicas},
		{"test_loss_parts", nil, &t.TestLossParts}, {"test_loss_parts_stderr", nil, &t.TestLossPartsStderr},
		{"overlaps", nil, &t.Overlaps}, {"overlaps_stderr", nil, &t.OverlapsStderr}, {"gram", nil, &t.Gram},
		{"readout", nil, &t.Readout},
		{"moments", nil, &t.Moments}, {"moments_stderr", nil, &t.MomentsStderr},
		{"kernel_regression", &t.Regression, nil}, {"response_w", nil, &t.ResponseW}, {"response_g", nil, &t.ResponseG},
		{"alignment_time", &t.AlignmentTime, nil}, {"alignment", &t.Alignment, nil},
		{"alignment_stderr", &t.AlignmentStderr, nil},
	}
}

type numbered struct {
	name string
	n    *int
}

func counts(t *Trajectory) []numbered {
	return []numbered{{"dimension", &t.Dimension}, {"samples", &t.Samples}, {"replicas", &t.Replicas}}
}

// WriteNPZ writes a trajectory as numpy's .npz, in the format of theory.npz and simulation-D<dimension>.npz in the run
// folders of the command. The file is complete or not there. It does not hold Status, Diagnostics and AlignmentStep.
func (t *Trajectory) WriteNPZ(path string, replicas dmft.ReplicaKind) error {
	if replicas != dmft.Blocks && replicas != dmft.Seeds {
		return fmt.Errorf("highdim: replicas of a file are %s or %s, not %q", dmft.Blocks, dmft.Seeds, replicas)
	}
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
	if err := npy.WriteNPZ(path, out); err != nil {
		return fmt.Errorf("highdim: %w", err)
	}
	return nil
}

// ReadNPZ reads a trajectory that [Trajectory.WriteNPZ] or the command wrote. A file that is damaged, or is something
// else, is an error; an error of the file system is wrapped.
func ReadNPZ(path string) (*Trajectory, error) {
	m, err := npy.ReadNPZ(path)
	if err != nil {
		return nil, err
	}
	replicas := dmft.Seeds
	if _, ok := m["loss_blocks"]; ok {
		replicas = dmft.Blocks
	}
	t := &Trajectory{}
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
			return nil, notOurs(path, fmt.Errorf("no %s", c.name))
		}
		*c.n = npy.Ints(m[c.name].Data)[0]
	}
	if len(t.Time) == 0 && len(t.Loss) == 0 && len(t.TestLoss) == 0 && t.Replicas > 0 { // stopped before the first step
		return t, nil
	}
	if err := checkTrajectory(t); err != nil {
		return nil, notOurs(path, err)
	}
	return t, nil
}

// notOurs is the error of a file that can be read and does not hold what it should.
func notOurs(path string, err error) error {
	return fmt.Errorf("%s is damaged, or no trajectory of high-dimensional data of this program: %w", path, err)
}

// checkTrajectory checks the arrays of a trajectory of high-dimensional data.
func checkTrajectory(t *Trajectory) error {
	if len(t.Time) == 0 || len(t.Loss) == 0 || len(t.TestLoss) == 0 {
		return fmt.Errorf("%d times, %d and %d losses", len(t.Time), len(t.Loss), len(t.TestLoss))
	}
	if t.Dimension < 0 || t.Samples < 0 || t.Replicas < 0 {
		return fmt.Errorf("dimension %d, %d samples and %d replicas", t.Dimension, t.Samples, t.Replicas)
	}
	if len(t.LossStderr) == 0 || len(t.TestLossStderr) == 0 {
		return fmt.Errorf("it holds losses without their errors")
	}
	s := npy.NewShapes(map[string]int{"T": len(t.Time)})
	for _, x := range []struct {
		name string
		v    []float64
		axis string
	}{
		{"loss", t.Loss, "T"}, {"loss_stderr", t.LossStderr, "T"}, {"test_loss", t.TestLoss, "T"},
		{"test_loss_stderr", t.TestLossStderr, "T"},
		{"alignment_time", t.AlignmentTime, "A"}, {"alignment", t.Alignment, "A"},
		{"alignment_stderr", t.AlignmentStderr, "A"},
	} {
		s.Series(x.name, x.v, x.axis)
	}
	if n := len(t.Regression); n != 0 && n != 2 {
		return fmt.Errorf("kernel_regression holds %d numbers and not two losses", n)
	}
	overlaps := []string{"T", "N"}
	if len(t.Overlaps.Shape) == 3 {
		overlaps = append(overlaps, "directions")
	}
	for _, x := range []struct {
		name string
		a    dmft.Array
		axes []string
	}{
		{"replicas of loss", t.LossReplicas, []string{"R", "T"}},
		{"replicas of test_loss", t.TestLossReplicas, []string{"R", "T"}},
		{"test_loss_parts", t.TestLossParts, []string{"T", "parts"}},
		{"test_loss_parts_stderr", t.TestLossPartsStderr, []string{"T", "parts"}},
		{"overlaps", t.Overlaps, overlaps}, {"overlaps_stderr", t.OverlapsStderr, overlaps},
		{"gram", t.Gram, []string{"T", "N", "N"}}, {"readout", t.Readout, []string{"T", "N"}},
		{"moments", t.Moments, []string{"T", "moments"}}, {"moments_stderr", t.MomentsStderr, []string{"T", "moments"}},
		{"response_w", t.ResponseW, []string{"t", "t", "N", "N"}}, {"response_g", t.ResponseG, []string{"t", "t", "N", "N"}},
	} {
		s.Array(x.name, npy.Array(x.a), x.axes...)
	}
	for name, want := range map[string]int{"parts": 3, "moments": 5} {
		if n, ok := s.Length(name); ok && n != want {
			s.Fail("%d %s and not %d", n, name, want)
		}
	}
	return s.Err()
}
