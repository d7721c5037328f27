package dmft

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// TestSpectrumTimes: eigenvalues are there for every time that is named, all of them where that is little work, the
// ends where it is more, none where it is too much; none is NaN.
func TestSpectrumTimes(t *testing.T) {
	for _, c := range []struct {
		times, rows int
		want        []float64
	}{{3, 2, []float64{0, 1, 2}}, {5, 500, []float64{0, 4}}, {1, 500, []float64{0}}, {2, spectrumSize + 1, nil}} {
		tr := &Trajectory{NTK: NewArray(c.times, c.rows, c.rows), Phi: NewArray(c.times, 1, c.rows, c.rows), G: NewArray(c.times, 1, c.rows, c.rows)}
		for k := range c.times {
			tr.KernelStep, tr.KernelTime = append(tr.KernelStep, k), append(tr.KernelTime, float64(k))
			for _, a := range []Array{tr.NTK.At(k), tr.Phi.At(k).At(0), tr.G.At(k).At(0)} {
				for i := range c.rows {
					a.Data[i*c.rows+i] = float64(k + 1)
				}
			}
		}
		y := make([]float64, c.rows)
		y[0] = 1
		tr.summarise(target{y: y, p: c.rows, c: 1}, c.rows, c.rows)
		if !slices.Equal(tr.SpectrumTime, c.want) || len(tr.NTKSpectrum.Data) != len(c.want)*c.rows {
			t.Errorf("%d times of %d rows: eigenvalues at %v, shape %v", c.times, c.rows, tr.SpectrumTime, tr.NTKSpectrum.Shape)
			continue
		}
		for s, at := range tr.SpectrumTime {
			if v := tr.NTKSpectrum.At(s).Data; math.Abs(mat.Max(mat.NewVecDense(c.rows, v))-at-1) > 1e-12 || math.Abs(mat.Min(mat.NewVecDense(c.rows, v))-at-1) > 1e-12 {
				t.Errorf("%d rows at time %g: eigenvalues from %g to %g", c.rows, at, v[0], v[c.rows-1])
			}
		}
	}
}
