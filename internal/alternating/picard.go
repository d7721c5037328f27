package alternating

import "github.com/seed39b58f2d/dmft/internal/la"

// The limits of the published code (github.com/Pehlevan-Group/dmft_wide_networks, deep_nonlinear_DMFT.ipynb): sweeps
// over fields end when their squared relative change is below fieldChange, those over Jacobians when the mean square
// change of ∂h is below jacobianChange.
const (
	fieldSweeps    = 500
	fieldChange    = 1e-6
	jacobianSweeps = 30
	jacobianChange = 1e-20
)

// sweep solves the single-site equations of m paths by iterating them over all times at once.
func (w *worker) sweep(y *layer, m int) {
	all := func(f la.Mat[float64]) la.Mat[float64] { return columns(f, 0, y.n, m) }
	copy(w.u.Data, w.h.Data)
	copy(w.r.Data, w.z.Data)
	evaluate := func() {
		for i := range y.n {
			y.act.Eval(w.phi.Row(i)[:m], w.dphi.Row(i)[:m], w.h.Row(i)[:m])
			multiply(w.g.Row(i)[:m], w.dphi.Row(i), w.z.Row(i))
		}
	}
	// step sets x ← noise + a·b and returns the squared change of x, and its square.
	step := func(x, noise, a, b la.Mat[float64]) (change, size float64) {
		copy(w.next.Data, noise.Data)
		la.Gemm(la.N, la.N, 1, a, all(b), 1, all(w.next))
		for i := range y.n {
			old, now := x.Row(i)[:m], w.next.Row(i)
			for j, v := range old {
				change += (now[j] - v) * (now[j] - v)
				size += v * v
				old[j] = now[j]
			}
		}
		return change, size
	}
	for range fieldSweeps {
		evaluate()
		dh, h := step(w.h, w.u, y.c, w.g)
		dz, z := step(w.z, w.r, y.d, w.phi)
		if dh+dz < fieldChange*(h+z) {
			break
		}
	}
	evaluate()
	for i := range y.n {
		w.bend(y, i, m)
	}
}

// sweepBackward adds ∂φ/∂r of one path to sum.
func (w *worker) sweepBackward(y *layer, sum la.Mat[float64]) {
	w.dh.Zero()
	identity(w.dz)
	for range jacobianSweeps {
		w.derive()
		copy(w.pastG.Data, w.dh.Data)
		la.Gemm(la.N, la.N, 1, y.c, w.dg, 0, w.dh)
		w.activate()
		identity(w.dz)
		la.Gemm(la.N, la.N, 1, y.d, w.pastPhi, 1, w.dz)
		if w.moved() < jacobianChange {
			break
		}
	}
	la.Axpy(1, w.pastPhi.Data, sum.Data)
}

// sweepForward adds ∂g/∂u of one path to sum.
func (w *worker) sweepForward(y *layer, sum la.Mat[float64]) {
	identity(w.dh)
	w.dz.Zero()
	for range jacobianSweeps {
		w.derive()
		copy(w.pastG.Data, w.dh.Data)
		identity(w.dh)
		la.Gemm(la.N, la.N, 1, y.c, w.dg, 1, w.dh)
		w.activate()
		la.Gemm(la.N, la.N, 1, y.d, w.pastPhi, 0, w.dz)
		if w.moved() < jacobianChange {
			break
		}
	}
	w.derive()
	la.Axpy(1, w.dg.Data, sum.Data)
}

// derive sets ∂g = φ″z ∂h + φ′∂z.
func (w *worker) derive() {
	for i := range w.dg.Rows {
		mix(w.dg.Row(i), w.curve[i], w.dh.Row(i), w.slope[i], w.dz.Row(i))
	}
}

// activate sets ∂φ = φ′∂h.
func (w *worker) activate() {
	for i := range w.pastPhi.Rows {
		scale(w.pastPhi.Row(i), w.slope[i], w.dh.Row(i))
	}
}

// moved is the mean square change of ∂h in a sweep.
func (w *worker) moved() float64 {
	s := 0.
	for i, v := range w.dh.Data {
		s += (v - w.pastG.Data[i]) * (v - w.pastG.Data[i])
	}
	return s / float64(len(w.dh.Data))
}

func identity(m la.Mat[float64]) {
	m.Zero()
	for i := range m.Rows {
		m.Row(i)[i] = 1
	}
}
