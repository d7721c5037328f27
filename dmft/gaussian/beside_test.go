package gaussian

import (
	"bytes"
	"encoding/gob"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/seed39b58f2d/dmft/internal/la"
)

// TestOldProducts: whatever a matrix is multiplied with later, products that were made stay what they were, 1e-12, on
// both sides, for every kind of sampling, with several matrices that share their sites, with outer products and decay
// in between; and the matrix and its transpose are adjoint for all of them.
func TestOldProducts(t *testing.T) {
	const sites, rounds = 240, 12
	for name, tc := range map[string]struct {
		copies, limit, matrices int
	}{
		"matched": {1, -1, 1}, "antithetic": {4, -1, 1}, "shared sites": {2, -1, 3}, "plain": {1, 0, 1},
		"plain, shared": {1, 0, 2}, "overflowing": {2, 30, 2},
	} {
		t.Run(name, func(t *testing.T) {
			om, ze := NewPool(1, 2, sites, tc.copies, 2, tc.limit), NewPool(1, 3, sites, tc.copies, 1, tc.limit)
			if tc.matrices > 1 { // one kind of site, as in a residual network
				ze = NewPool(1, 3, sites, tc.copies, 1, tc.limit)
			}
			u, err := om.Draw(3)
			if err != nil {
				t.Fatal(err)
			}
			r, err := ze.Draw(2)
			if err != nil {
				t.Fatal(err)
			}
			var ws []*Matrix
			for range tc.matrices {
				ws = append(ws, NewMatrix(sites, 1e-20, om, ze))
			}
			type product2 struct {
				m       int
				x, out  la.Mat[float64]
				forward bool
			}
			var old []product2
			rng := rand.New(rand.NewPCG(1, 1))
			// Fields are functions of all noise so far, as in training.
			x, y := la.New[float64](sites, 2), la.New[float64](sites, 2)
			for i := range sites {
				x.Row(i)[0], x.Row(i)[1] = math.Tanh(u.Row(i)[0]+0.3*u.Row(i)[1]), math.Max(u.Row(i)[2], 0)
				y.Row(i)[0], y.Row(i)[1] = r.Row(i)[0]*math.Cos(u.Row(i)[0]), r.Row(i)[1]*math.Cos(u.Row(i)[1])
			}
			worst := func() (repeat, adjoint float64) {
				for _, o := range old {
					again := la.New[float64](sites, 2)
					w := ws[o.m]
					if o.forward {
						w.Mul(0, again, o.x)
					} else {
						w.MulT(0, again, o.x)
					}
					repeat = max(repeat, off(again, o.out))
					for _, q := range old {
						if q.m == o.m && o.forward && !q.forward {
							left, right := product(q.x, o.out), product(q.out, o.x)
							adjoint = max(adjoint, off(left, right))
						}
					}
				}
				return
			}
			for k := range rounds {
				for m, w := range ws {
					wx, wy := la.New[float64](sites, 2), la.New[float64](sites, 2)
					w.Mul(0, wx, x)
					old = append(old, product2{m, la.Mat[float64]{Rows: sites, Cols: 2, Stride: 2,
						Data: append([]float64(nil), x.Data...)}, wx, true})
					w.MulT(0, wy, y)
					old = append(old, product2{m, la.Mat[float64]{Rows: sites, Cols: 2, Stride: 2,
						Data: append([]float64(nil), y.Data...)}, wy, false})
					if err := w.Err(); err != nil {
						t.Fatal(err)
					}
					nx, ny := la.New[float64](sites, 2), la.New[float64](sites, 2)
					for i := range nx.Data {
						nx.Data[i] = math.Tanh(1.5*wx.Data[i] + 0.2*x.Data[i] + 0.3*wy.Data[i])
						ny.Data[i] = wy.Data[i]*math.Cos(wx.Data[i]) + 0.1*y.Data[i]
					}
					x, y = nx, ny
				}
				if k%4 == 3 { // W ← βW + a·y xᵀ/N moves products as it says
					for m, w := range ws {
						beta, a := 0.9, rng.NormFloat64()
						wx := la.New[float64](sites, 2)
						w.Mul(0, wx, x) // of which AddOuter takes x
						old = append(old, product2{m, x, wx, true})
						w.MulT(0, la.New[float64](sites, 2), y) // and training knows y
						w.AddOuter(0, beta, a, y, x)
						for _, o := range old {
							if o.m != m {
								continue
							}
							left, right := y, product(x, o.x)
							if !o.forward {
								left, right = x, product(y, o.x)
							}
							la.Gemm(la.N, la.N, a, left, right, beta, o.out)
						}
					}
				}
				if k == 5 { // and a file in between
					var buf bytes.Buffer
					enc := gob.NewEncoder(&buf)
					for _, v := range []interface{ Save(*gob.Encoder) error }{om, ze} {
						if err := v.Save(enc); err != nil {
							t.Fatal(err)
						}
					}
					om2, ze2 := NewPool(1, 2, sites, tc.copies, 2, tc.limit), NewPool(1, 3, sites, tc.copies, 1, tc.limit)
					for m, w := range ws {
						if err := w.Save(enc); err != nil {
							t.Fatal(err)
						}
						ws[m] = NewMatrix(sites, 1e-20, om2, ze2)
					}
					dec := gob.NewDecoder(&buf)
					for _, v := range []interface{ Load(*gob.Decoder) error }{om2, ze2} {
						if err := v.Load(dec); err != nil {
							t.Fatal(err)
						}
					}
					for _, w := range ws {
						if err := w.Load(dec); err != nil {
							t.Fatal(err)
						}
					}
					om, ze = om2, ze2
				}
			}
			repeat, adjoint := worst()
			f, b, _ := ws[0].Ranks()
			all, plain := om.Drawn()
			t.Logf("%s: ranks %d, %d; %d columns, %d unmatched; old products move by %.1e, adjoint within %.1e", name,
				f, b, all, plain, repeat, adjoint)
			if repeat > 1e-12 || adjoint > 1e-12 {
				t.Errorf("old products move by %g, W and Wᵀ are adjoint within %g", repeat, adjoint)
			}
		})
	}
}
