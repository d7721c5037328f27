package exact

import (
	"fmt"
	"math"
)

// columns is the number of midpoint sequences of an extrapolation; the last has order 2·columns.
const columns = 8

// flowTolerance is the error of one step relative to the largest component: some hundred roundings, which the
// extrapolation amplifies.
const flowTolerance = 1e-13

// integrate moves y from time t to end along dy/dt = field(t, y) by the extrapolated midpoint rule of Gragg, Bulirsch
// and Stoer (Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, II.9): the results of 2, 4, 6 …
// substeps have error series in the square of the substep, which polynomial extrapolation removes. It is of another
// family than Runge–Kutta methods on purpose.
func integrate(field func(t float64, dst, y []float64), y []float64, t, end float64) error {
	n := len(y)
	table := zeros(columns, n)
	f0, f, a, b := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	h := end - t
	for t < end {
		// Without the second condition a last step of rounding size would follow.
		last := t+h*(1+1e-10) >= end
		if last {
			h = end - t
		}
		field(t, f0, y)
		done := -1
		for j := range columns {
			sub := 2 * (j + 1)
			d := h / float64(sub)
			copy(a, y)
			for i := range n {
				b[i] = y[i] + d*f0[i]
			}
			for k := 1; k < sub; k++ {
				field(t+float64(k)*d, f, b)
				for i := range n {
					a[i], b[i] = b[i], a[i]+2*d*f[i]
				}
			}
			field(t+h, f, b)
			// Aitken and Neville: table[k] is the entry of row j, column j − k.
			for i := range n {
				next := (a[i] + b[i] + d*f[i]) / 2
				for k := j - 1; k >= 0; k-- {
					q := float64(j+1) / float64(k+1)
					old := table[k][i]
					table[k+1][i], next = next, next+(next-old)/(q*q-1)
				}
				table[0][i] = next
			}
			if j < 3 {
				continue
			}
			err, size := 0., 0.
			for i := range n {
				err = math.Max(err, math.Abs(table[0][i]-table[1][i]))
				size = math.Max(size, math.Abs(table[0][i]))
			}
			if err <= flowTolerance*size && !math.IsInf(size, 0) {
				done = j
				break
			}
		}
		switch {
		case done < 0:
			h /= 2
			if !(math.Abs(h) > 1e-14*math.Max(math.Abs(t), math.Abs(end))) {
				return fmt.Errorf("the solution cannot be followed beyond time %g of %g: the step fell to %.2g", t, end, h)
			}
			continue
		case last:
			t = end
		default:
			t += h
		}
		copy(y, table[0])
		if done < columns-2 {
			h *= 1.5
		} else if done == columns-1 {
			h *= 0.8
		}
	}
	return nil
}
