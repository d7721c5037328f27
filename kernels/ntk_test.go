package kernels

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"
)

// TestNTKValues: printed values of note sections: √2-ReLU on the sphere has Φ = G = 1 and NTK = L + 1; linear networks
// NTK = L + 1; residual networks with b² = 1/L' over L' branches climb to (2 + β²)e^{β²}.
func TestNTKValues(t *testing.T) {
	one := mat.NewSymDense(1, []float64{1})
	for l := 1; l <= 6; l++ {
		for _, a := range []Activation{{Name: "relu", Gain: math.Sqrt2}, {Name: "linear"}} {
			k, err := NTK(Architecture{Depth: l, Activation: a}, one)
			if err != nil {
				t.Fatal(err)
			}
			if v := k.NTK.At(0, 0); math.Abs(v-float64(l+1)) > 1e-12 {
				t.Errorf("%s depth %d: NTK %g, want %d", a, l, v, l+1)
			}
		}
	}
	for branches, want := range map[int]float64{1: 5, 2: 6, 4: 6.836, 8: 7.412, 16: 7.759, 64: 8.051} {
		// L' branches need L'+1 hidden layers; Beta makes b² = 1/L'.
		beta := math.Sqrt(float64(branches+1) / float64(branches))
		k, err := NTK(Architecture{Depth: branches + 1, Residual: true, Beta: beta, Exponent: 0.5,
			Activation: Activation{Name: "linear"}}, one)
		if err != nil {
			t.Fatal(err)
		}
		if v := k.NTK.At(0, 0); math.Abs(v-want) > 6e-4 {
			t.Errorf("%d branches: NTK %.4f, want %.3f", branches, v, want)
		}
	}
}

// TestNTKResidualReLU: at one point with Kx = 1 the recursions are geometric: r = 1 + b²/2, H^ℓ = r^{ℓ−1}, Φ^ℓ = H^ℓ/2,
// G^ℓ = r^{L−ℓ}/2, and NTK = r^{L−1} + b²(L−1)r^{L−2}/4.
func TestNTKResidualReLU(t *testing.T) {
	one := mat.NewSymDense(1, []float64{1})
	for _, depth := range []int{1, 2, 5, 40} {
		net := Architecture{Depth: depth, Residual: true, Beta: 1.3, Exponent: 0.5, Activation: Activation{Name: "relu"}}
		k, err := NTK(net, one)
		if err != nil {
			t.Fatal(err)
		}
		s, b := net.Coefficients()
		if s != 1 || !close(b, 1.3/math.Sqrt(float64(depth)), 1e-15) {
			t.Errorf("depth %d: s = %g, b = %g", depth, s, b)
		}
		r := 1 + b*b/2
		for l := range depth {
			h := math.Pow(r, float64(l))
			g := math.Pow(r, float64(depth-1-l)) / 2
			if !close(k.H[l].At(0, 0), h, 1e-13) || !close(k.Phi[l].At(0, 0), h/2, 1e-13) || !close(k.G[l].At(0, 0), g, 1e-13) {
				t.Errorf("depth %d, layer %d: H, Φ, G = %g, %g, %g; want %g, %g, %g", depth, l+1, k.H[l].At(0, 0),
					k.Phi[l].At(0, 0), k.G[l].At(0, 0), h, h/2, g)
			}
		}
		want := math.Pow(r, float64(depth-1)) + b*b*float64(depth-1)*math.Pow(r, float64(depth-2))/4
		if !close(k.NTK.At(0, 0), want, 1e-13) {
			t.Errorf("depth %d: NTK %g, want %g", depth, k.NTK.At(0, 0), want)
		}
	}
}

// TestNTKInfiniteDepth: the linear residual network with β = 1 tends to (2 + β²)e^{β²} with a correction of order 1/L:
// extrapolated from depths 500 and 1000 it is there to order 1/L².
func TestNTKInfiniteDepth(t *testing.T) {
	one := mat.NewSymDense(1, []float64{1})
	at := func(depth int) float64 {
		k, err := NTK(Architecture{Depth: depth, Residual: true, Beta: 1, Exponent: 0.5,
			Activation: Activation{Name: "linear"}}, one)
		if err != nil {
			t.Fatal(err)
		}
		return k.NTK.At(0, 0)
	}
	want := 3 * math.E
	if got := 2*at(1000) - at(500); math.Abs(got-want) > 50./(500*500) {
		t.Errorf("extrapolated NTK %.6f, want %.6f", got, want)
	}
}

// TestNTKTanh: a two-layer tanh network at one point, and the layers of a deep MLP written out.
func TestNTKTanh(t *testing.T) {
	k, err := NTK(Architecture{Depth: 1, Activation: Activation{Name: "tanh"}}, mat.NewSymDense(1, []float64{1}))
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(k.NTK.At(0, 0)-0.858697) > 5e-7 { // the printed digits
		t.Errorf("two-layer tanh NTK %.7f, want 0.858697", k.NTK.At(0, 0))
	}
	a := Activation{Name: "tanh", Gain: 1.25, Scale: 0.8}
	kx := gaussianGram(3, 4, 1.5, false, 7)
	if k, err = NTK(Architecture{Depth: 3, Activation: a}, kx); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		for j := range 3 {
			step := func(ii, ij, jj float64) (p [3]float64, dot float64) {
				p[0], _ = a.Dual(ii, ii, ii)
				p[2], _ = a.Dual(jj, jj, jj)
				p[1], dot = a.Dual(ii, jj, ij)
				return p, dot
			}
			p1, d1 := step(kx.At(i, i), kx.At(i, j), kx.At(j, j))
			p2, d2 := step(p1[0], p1[1], p1[2])
			p3, d3 := step(p2[0], p2[1], p2[2])
			// Layer by layer from the readout down: w; W²; W¹; W⁰.
			want := p3[1] + d3*p2[1] + d3*d2*p1[1] + d3*d2*d1*kx.At(i, j)
			if !close(k.NTK.At(i, j), want, 1e-12) {
				t.Errorf("NTK(%d, %d) = %.15g, want %.15g", i, j, k.NTK.At(i, j), want)
			}
		}
	}
}

// TestNTKJoint: kernels of a subset of points are the block of the joint kernels, so train × test blocks come from the
// joint Gram matrix.
func TestNTKJoint(t *testing.T) {
	joint := gaussianGram(6, 5, 1, true, 3)
	sub := mat.NewSymDense(4, nil)
	for i := range 4 {
		for j := i; j < 4; j++ {
			sub.SetSym(i, j, joint.At(i+2, j+2))
		}
	}
	for _, a := range activations() {
		net := Architecture{Depth: 4, Residual: true, Beta: 0.7, Exponent: 1, Activation: a}
		big, err := NTK(net, joint)
		if err != nil {
			t.Fatal(err)
		}
		small, err := NTK(net, sub)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			for j := range 4 {
				scale := math.Sqrt(small.NTK.At(i, i) * small.NTK.At(j, j))
				if math.Abs(big.NTK.At(i+2, j+2)-small.NTK.At(i, j)) > 1e-11*scale {
					t.Errorf("%s (%d, %d): %g in the joint kernel, %g alone", a, i, j, big.NTK.At(i+2, j+2), small.NTK.At(i, j))
				}
			}
		}
	}
}

// TestNTKErrors: every refusal says what and where.
func TestNTKErrors(t *testing.T) {
	one := mat.NewSymDense(1, []float64{1})
	relu := Activation{Name: "relu"}
	for _, tc := range []struct {
		net  Architecture
		kx   mat.Symmetric
		want string
	}{
		{Architecture{Depth: 0, Activation: relu}, one, "depth 0"},
		{Architecture{Depth: 1, Activation: Activation{Name: "reul"}}, one, "did you mean relu?"},
		{Architecture{Depth: 2, Residual: true, Beta: math.NaN(), Activation: relu}, one, "branch scale"},
		{Architecture{Depth: 1, Activation: relu}, &mat.SymDense{}, "empty"},
		{Architecture{Depth: 1, Activation: relu}, mat.NewSymDense(2, []float64{1, 0, 0, -1}), "layer 1, point 1"},
		{Architecture{Depth: 1, Activation: relu}, mat.NewSymDense(2, []float64{1, math.NaN(), 0, 1}), "points 0 and 1"},
		{Architecture{Depth: 30, Activation: Activation{Name: "polynomial", Coefficients: []float64{0, 1, 1, 1}}}, one,
			"overflow"},
	} {
		if _, err := NTK(tc.net, tc.kx); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: error %v, want one with %q", tc.net, err, tc.want)
		}
	}
}

// TestGram: sparse and dense agree with the definition; alignment and movement at known points.
func TestGram(t *testing.T) {
	x := mat.NewDense(3, 4, []float64{1, 0, 2, 0, 0, 0, 0, 3, -1, 0, 1, 1})
	d := sparse.NewDOK(3, 4)
	for i := range 3 {
		for j := range 4 {
			if v := x.At(i, j); v != 0 {
				d.Set(i, j, v)
			}
		}
	}
	wide := mat.NewDense(3, 6, nil)
	wide.Slice(0, 3, 1, 5).(*mat.Dense).Copy(x)
	want := mat.NewSymDense(3, []float64{5, 0, 1, 0, 9, 3, 1, 3, 3})
	want.ScaleSym(0.25, want)
	for _, m := range []mat.Matrix{x, d, d.ToCSR(), d.ToCSC(), d.ToCOO(), mat.DenseCopyOf(x.T()).T(),
		wide.Slice(0, 3, 1, 5)} {
		if k := Gram(m); !mat.EqualApprox(k, want, 1e-15) {
			t.Errorf("Gram of %T: %v", m, mat.Formatted(k))
		}
	}
	y := mat.NewDense(3, 1, []float64{1, 2, -1})
	yy := mat.NewDense(3, 3, nil)
	yy.Mul(y, y.T())
	if a := Alignment(yy, y); math.Abs(a-1) > 1e-14 {
		t.Errorf("alignment of yyᵀ with y: %g", a)
	}
	if a := Alignment(mat.NewDense(3, 3, nil), y); a != 0 {
		t.Errorf("alignment of 0: %g", a)
	}
	twice := mat.NewDense(3, 3, nil)
	twice.Scale(2, yy)
	if m := Movement(twice, yy); math.Abs(m-1) > 1e-14 {
		t.Errorf("movement to twice: %g", m)
	}
	if m := Movement(want, want); m != 0 {
		t.Errorf("movement to itself: %g", m)
	}
	// Y of two columns, K the identity: Tr YᵀY/(√3‖YᵀY‖) by hand, Y = [1 0; 0 2; 0 0].
	y = mat.NewDense(3, 2, []float64{1, 0, 0, 2, 0, 0})
	if a := Alignment(mat.NewDiagDense(3, []float64{1, 1, 1}), y); math.Abs(a-5/math.Sqrt(3*17)) > 1e-15 {
		t.Errorf("alignment %g, want %g", a, 5/math.Sqrt(3*17))
	}
}

func ExampleNTK() {
	k, err := NTK(Architecture{Depth: 3, Activation: Activation{Name: "relu", Gain: math.Sqrt2}},
		mat.NewSymDense(1, []float64{1}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.3f\n", k.NTK.At(0, 0))
	// Output: 4.000
}
