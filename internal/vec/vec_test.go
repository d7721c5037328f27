package vec

import (
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"unsafe"
)

var points = flag.Int("points", 1000, "points of each of the samples that measure errors")

// function is one of the package's, with the errors that the package states, in ulp.
type function struct {
	name          string
	op            op
	reference     func(x float64) (v, d *big.Float)
	bound         [2]float64
	width, narrow float64 // half the interval where it is not constant or linear, in double and single precision
}

var functions = []function{
	{"exp", expOp, referenceExp, [2]float64{1.2, 1.2}, 750, 105},
	{"tanh", tanhOp, referenceTanh, [2]float64{3, 5}, 380, 55},
	{"erf", erfOp, referenceErf, [2]float64{3, 3}, 39, 15},
	{"gelu", geluOp, referenceGELU, [2]float64{6, 6}, 39, 15},
	{"softplus", softplusOp, referenceSoftplus, [2]float64{3, 3}, 750, 105},
}

// eval runs a function with in = out = 1.
func eval[T Real](f op, phi, dphi, x []T) {
	apply(f, phi, dphi, x, parameters{1, 1, 1})
}

// levels runs a test with every set of instructions, and with portable code that does without fused operations.
func levels(t *testing.T, f func(t *testing.T)) {
	defer func(l set, e bool) { level, emulated = l, e }(level, emulated)
	for _, level = range available() {
		t.Run([]string{"portable", "avx2", "avx512"}[level], f)
	}
	level, emulated = portable, true
	t.Run("emulated", f)
}

// samples are n points each of: uniform over the interval, ordinary fields, every order of magnitude, random bits; and
// special points.
func samples[T Real](f function, n int) []T {
	rng := rand.New(rand.NewPCG(17, uint64(f.op)))
	single := unsafe.Sizeof(T(0)) == 4
	width, least := f.width, -1074.
	if single {
		width, least = f.narrow, -149
	}
	var x []T
	for range n {
		x = append(x, T(width*(2*rng.Float64()-1)), T(1.5*rng.NormFloat64()), T(4*(2*rng.Float64()-1)),
			T(math.Copysign(math.Exp2(least+(9-least)*rng.Float64()), rng.Float64()-0.5)))
		b := rng.Uint64()
		if single {
			x = append(x, T(math.Float32frombits(uint32(b))))
		} else {
			x = append(x, T(math.Float64frombits(b)))
		}
	}
	edges := []float64{erfSplit, gaussEnd, 14.7, 752, 712, 376, 110, 92, 55, 709.782712893384, 745.1332191019412,
		708.3964185322641, 88.72284, 103.97208, 87.33655, 37.5, 0.75179, 1, 8.3, 5e-324, 0x1p-1022, 0x1p-149, 0x1p-126,
		0x1p-54, 0x1p-27, 0x1p-25, 0x1p-12}
	for k := range 20 {
		edges = append(edges, (float64(k)+0.5)*math.Ln2, (float64(k)+0.5)*math.Ln2/2, math.Sqrt((2*float64(k)+1)*math.Ln2))
	}
	for _, e := range edges {
		for _, v := range []float64{e, -e} {
			v := T(v)
			x = append(x, v)
			for range 3 {
				x = append(x, after(v, true), after(v, false))
			}
		}
	}
	return x
}

// after is the next number up or down.
func after[T Real](x T, up bool) T {
	to := math.Inf(-1)
	if up {
		to = math.Inf(1)
	}
	if unsafe.Sizeof(x) == 4 {
		return T(math.Nextafter32(float32(x), float32(to)))
	}
	return T(math.Nextafter(float64(x), to))
}

// errorOf is the error of got in ulp of a scale, by default want itself.
func errorOf[T Real](got T, want, scale *big.Float) float64 {
	digits, least, most := 53, -1074, 1024
	if unsafe.Sizeof(got) == 4 {
		digits, least, most = 24, -149, 128
	}
	if scale == nil {
		scale = want
	}
	e := scale.MantExp(nil) // scale is in [2^{e−1}, 2^e)
	if math.IsInf(float64(got), 0) {
		if want.MantExp(nil) > most || want.MantExp(nil) == most && roundsUp(want, most) {
			return 0
		}
		return math.Inf(1)
	}
	if scale.Sign() == 0 || e-digits < least {
		e = least + digits
	}
	d, _ := new(big.Float).SetMantExp(difference(number(float64(got)), want), digits-e).Float64()
	return math.Abs(d)
}

// roundsUp reports whether a number with the largest exponent is ∞ after rounding, within a few ulp.
func roundsUp(x *big.Float, most int) bool {
	f, _ := new(big.Float).SetMantExp(x, -most).Float64()
	return math.Abs(f) > 1-0x1p-20
}

// TestErrors holds the functions to the errors that the package states, over the whole range and in every set of
// instructions.
func TestErrors(t *testing.T) {
	for _, f := range functions {
		t.Run(f.name, func(t *testing.T) {
			t.Run("float64", func(t *testing.T) { testErrors[float64](t, f) })
			t.Run("float32", func(t *testing.T) { testErrors[float32](t, f) })
		})
	}
}

func testErrors[T Real](t *testing.T, f function) {
	n := *points
	if testing.Short() {
		n /= 10
	}
	x := samples[T](f, n)
	type reference struct{ v, d, scale *big.Float }
	want := make([]reference, 0, len(x))
	kept := x[:0]
	for _, x := range x {
		if y := math.Abs(float64(x)); !(y < 1e4) { // and NaN: TestSpecial has these
			continue
		}
		var r reference
		r.v, r.d = f.reference(float64(x))
		if f.op == geluOp && x > -1 && x < 0 {
			r.scale = upperTail(-float64(x))
			if s := product(number(-float64(x)), bigDensity(float64(x))); s.Cmp(r.scale) > 0 {
				r.scale = s
			}
		}
		want = append(want, r)
		kept = append(kept, x)
	}
	x = kept
	phi, dphi := make([]T, len(x)), make([]T, len(x))
	levels(t, func(t *testing.T) {
		if f.op == expOp {
			eval(f.op, phi, nil, x)
			copy(dphi, phi)
		} else {
			eval(f.op, phi, dphi, x)
		}
		var worst, at [2]float64
		for i, r := range want {
			for j, e := range [2]float64{errorOf(phi[i], r.v, nil), errorOf(dphi[i], r.d, r.scale)} {
				if !(e <= worst[j]) {
					worst[j], at[j] = e, float64(x[i])
				}
			}
		}
		t.Logf("%.3f ulp at %v", worst, at)
		for j, bound := range f.bound {
			if emulated {
				bound += 2
			}
			if !(worst[j] <= bound) {
				t.Errorf("%s: %.3f ulp at %v, stated %v", []string{"value", "derivative"}[j], worst[j], at[j], bound)
			}
		}
	})
}

// TestSame: double precision gives the same bits in every set of instructions, single precision in both of the vector
// sets; and the error function and the others agree with the versions for one number.
func TestSame(t *testing.T) {
	defer func(l set) { level = l }(level)
	for _, f := range append(functions, function{name: "relu", op: reluOp, width: 3, narrow: 3}) {
		same[float64](t, f, available())
		if s := available(); len(s) > 1 {
			same[float32](t, f, s[1:])
		}
	}
}

func same[T Real](t *testing.T, f function, sets []set) {
	x := append(samples[T](f, 4000), T(math.NaN()), T(math.Inf(1)), T(math.Inf(-1)), 0, T(math.Copysign(0, -1)))
	for _, p := range []parameters{{1, 1, 1}, {0.7, -1.3, 0.7 * -1.3}} {
		if f.op == reluOp {
			p = parameters{math.Copysign(1, p[1]), p[0], p[1] * 0.1, math.Inf(1), math.Inf(-1)}
		}
		var first [2][]T
		for i, s := range sets {
			level = s
			phi, dphi := make([]T, len(x)), make([]T, len(x))
			if f.op == expOp {
				dphi = nil
			}
			apply(f.op, phi, dphi, x, p)
			if i == 0 {
				first = [2][]T{phi, dphi}
				continue
			}
			for j, got := range [2][]T{phi, dphi} {
				for k := range got {
					if !identical(got[k], first[j][k]) {
						t.Fatalf("%s output %d at %x: %x and %x in sets %v", f.name, j, x[k], got[k], first[j][k], sets)
					}
				}
			}
		}
	}
}

// identical compares bits, apart from those of NaN.
func identical[T Real](x, y T) bool {
	return x == y && math.Signbit(float64(x)) == math.Signbit(float64(y)) || x != x && y != y
}

// TestSpecial: infinities, NaN, signs of zero and the numbers beyond which nothing happens.
func TestSpecial(t *testing.T) {
	levels(t, func(t *testing.T) {
		t.Run("float64", testSpecial[float64])
		t.Run("float32", testSpecial[float32])
	})
}

func testSpecial[T Real](t *testing.T) {
	inf, nan, minus := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	huge, tiny := math.MaxFloat64, 5e-324
	if unsafe.Sizeof(T(0)) == 4 {
		huge, tiny = math.MaxFloat32, 0x1p-149
	}
	c := float64(T(math.Sqrt(2 / math.Pi)))
	for _, tc := range []struct {
		f       op
		x, v, d float64
	}{
		{expOp, 0, 1, 0}, {expOp, minus, 1, 0}, {expOp, inf, inf, 0}, {expOp, -inf, 0, 0}, {expOp, huge, inf, 0},
		{expOp, -huge, 0, 0}, {expOp, tiny, 1, 0}, {expOp, nan, nan, 0},
		{tanhOp, 0, 0, 1}, {tanhOp, minus, minus, 1}, {tanhOp, inf, 1, 0}, {tanhOp, -inf, -1, 0}, {tanhOp, huge, 1, 0},
		{tanhOp, -huge, -1, 0}, {tanhOp, tiny, tiny, 1}, {tanhOp, -tiny, -tiny, 1}, {tanhOp, nan, nan, nan},
		{erfOp, 0, 0, c}, {erfOp, minus, minus, c}, {erfOp, inf, 1, 0}, {erfOp, -inf, -1, 0}, {erfOp, huge, 1, 0},
		{erfOp, -huge, -1, 0}, {erfOp, nan, nan, nan},
		{geluOp, 0, 0, 0.5}, {geluOp, minus, minus, 0.5}, {geluOp, inf, inf, 1}, {geluOp, -inf, minus, 0},
		{geluOp, huge, huge, 1}, {geluOp, -huge, minus, 0}, {geluOp, nan, nan, nan},
		{softplusOp, inf, inf, 1}, {softplusOp, -inf, 0, 0}, {softplusOp, huge, huge, 1}, {softplusOp, -huge, 0, 0},
		{softplusOp, 0, float64(T(math.Ln2)), 0.5}, {softplusOp, minus, float64(T(math.Ln2)), 0.5},
		{softplusOp, nan, nan, nan},
	} {
		var v, d [1]T
		dphi := d[:]
		if tc.f == expOp {
			dphi = nil
		}
		eval(tc.f, v[:], dphi, []T{T(tc.x)})
		if !identical(v[0], T(tc.v)) || !identical(d[0], T(tc.d)) {
			t.Errorf("function %d at %g: %g, %g; want %g, %g", tc.f, tc.x, v[0], d[0], tc.v, tc.d)
		}
	}
	for _, tc := range []struct{ in, out, below, x, v, d float64 }{
		{1, 1, 0, 0, 0, 0}, {1, 1, 0, 3, 3, 1}, {1, 1, 0, -3, 0, 0}, {1, 1, 0, inf, inf, 1}, {1, 1, 0, -inf, 0, 0},
		{1, 1, 0, nan, nan, nan}, {1, 1, 0, tiny, tiny, 1}, {1, 1, 0, -tiny, 0, 0},
		{1, 2, 0.125, -4, -1, 0.25}, {2, 1, 0.125, -inf, -inf, 0.25}, {1, 2, 0.125, inf, inf, 2},
		{1, 2, 0.125, 0, 0, 0.25}, {1, 2, 0.125, nan, nan, nan},
		{-3, 1, 0, 5, 0, 0}, {-3, 1, 0, inf, 0, 0}, {-3, 1, 0, -inf, inf, -3}, {-3, 1, 0, -2, 6, -3},
		{-3, 1, 0, 0, 0, 0}, {-3, 1, 0, nan, nan, nan}, {-1, 1, 0.25, 0, 0, -0.25}, {-1, -2, 0.25, 8, 4, 0.5},
	} {
		var v, d [1]T
		ReLUWithDerivative(v[:], d[:], []T{T(tc.x)}, tc.in, tc.out, tc.below)
		if v[0] != T(tc.v) && !(v[0] != v[0] && tc.v != tc.v) || d[0] != T(tc.d) && !(d[0] != d[0] && tc.d != tc.d) {
			t.Errorf("relu with in, out and slope %g, %g, %g at %g: %g, %g; want %g, %g", tc.in, tc.out, tc.below, tc.x,
				v[0], d[0], tc.v, tc.d)
		}
	}
}

// TestPlace: a value depends on its argument only, not on its place, the length of the slice, aliasing or the outputs
// asked for.
func TestPlace(t *testing.T) {
	levels(t, func(t *testing.T) {
		t.Run("float64", testPlace[float64])
		t.Run("float32", testPlace[float32])
	})
}

func testPlace[T Real](t *testing.T) {
	const n = 2*chunk + 100
	rng := rand.New(rand.NewPCG(2, 3))
	x := make([]T, n)
	for i := range x {
		x[i] = T(3 * rng.NormFloat64())
	}
	for _, f := range append(functions, function{name: "relu", op: reluOp}) {
		p := parameters{1, 0.8, 0.8, math.MaxFloat32, -math.MaxFloat32}
		v, d := make([]T, n), make([]T, n)
		wantD := d
		if f.op == expOp {
			wantD = nil
		}
		apply(f.op, v, wantD, x, p)
		check := func(what string, got, want []T) {
			t.Helper()
			for i := range got {
				if !identical(got[i], want[i]) {
					t.Fatalf("%s, %s: element %d is %x, want %x", f.name, what, i, got[i], want[i])
				}
			}
		}
		for range 200 {
			from := rng.IntN(n)
			to := from + rng.IntN(min(n-from, 70)) + 1
			a, b := make([]T, to-from+2), make([]T, to-from+2)
			a[0], a[len(a)-1], b[0], b[len(b)-1] = 7, 7, 7, 7
			pa, pb := a[1:len(a)-1], b[1:len(b)-1]
			if f.op == expOp {
				pb = nil
			}
			switch rng.IntN(4) {
			case 0:
				pb = nil
			case 1:
				if f.op != expOp {
					pa = nil
				}
			}
			arg := x[from:to]
			if pa != nil && rng.IntN(2) == 0 {
				copy(pa, arg)
				arg = pa
			} else if pb != nil && rng.IntN(2) == 0 {
				copy(pb, arg)
				arg = pb
			}
			apply(f.op, pa, pb, arg, p)
			check("value", pa, v[from:to])
			if pb != nil {
				check("derivative", pb, d[from:to])
			}
			if a[0] != 7 || a[len(a)-1] != 7 || b[0] != 7 || b[len(b)-1] != 7 {
				t.Fatalf("%s writes outside", f.name)
			}
		}
	}
}

// TestShort: outputs that are too short panic, and nothing happens without outputs or elements.
func TestShort(t *testing.T) {
	Tanh[float64](nil, nil)
	Exp[float32](nil, []float32{1})
	TanhWithDerivative(nil, nil, []float64{1}, 1, 1)
	for _, f := range []func(){
		func() { Exp(make([]float64, 1), make([]float64, 2)) },
		func() { TanhWithDerivative(nil, make([]float32, 1), make([]float32, 2), 1, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		}()
	}
}

func TestNoAllocation(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() {
		var x, y, z [20]float64
		TanhWithDerivative(y[:], z[:], x[:], 1, 1)
		Exp(y[:], x[:])
		var x32 [20]float32
		ReLUWithDerivative(x32[:], nil, x32[:], 1, 1, 0)
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// TestErf: erf itself has the error that the package states, that of ErfWithDerivative and one ulp for √2·x.
func TestErf(t *testing.T) {
	levels(t, func(t *testing.T) {
		t.Run("float64", testErf[float64])
		t.Run("float32", testErf[float32])
	})
}

func testErf[T Real](t *testing.T) {
	bound := 4.
	if emulated {
		bound += 2
	}
	root := zero().Sqrt(number(2))
	var worst float64
	for _, x := range samples[T](functions[2], *points/10) {
		if math.IsNaN(float64(x)) || math.Abs(float64(x)) > 6 {
			continue // from 6 on it is 1
		}
		y := []T{x}
		Erf(y, y)
		want := product(number(2), halfErfAt(product(number(float64(x)), root)))
		e := errorOf(y[0], want, nil)
		if worst = max(worst, e); !(e <= bound) {
			t.Fatalf("erf(%g) = %g has an error of %.2f ulp", x, y[0], e)
		}
	}
	t.Logf("%.2f ulp", worst)
}

// TestReLU: the products with the slopes are rounded once, and the derivative is the slope.
func TestReLU(t *testing.T) {
	levels(t, func(t *testing.T) {
		t.Run("float64", testReLU[float64])
		t.Run("float32", testReLU[float32])
	})
}

func testReLU[T Real](t *testing.T) {
	x := samples[T](function{op: reluOp, width: 3, narrow: 3}, *points)
	phi, dphi := make([]T, len(x)), make([]T, len(x))
	for _, p := range [][3]float64{{1, 1, 0}, {0.7, 1.3, 0.1}, {-1.1, 0.9, 0.25}, {2, -3, 1}} {
		in, out, below := p[0], p[1], p[2]
		ReLUWithDerivative(phi, dphi, x, in, out, below)
		for i, x := range x {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				continue // see TestSpecial
			}
			slope := T(in * out * below)
			if in*float64(x) > 0 {
				slope = T(in * out)
			}
			if phi[i] != slope*x || dphi[i] != slope {
				t.Fatalf("%v at %g: %g, %g; want %g, %g", p, x, phi[i], dphi[i], slope*x, slope)
			}
		}
	}
}

func BenchmarkVec(b *testing.B) {
	b.Run("float64", benchmark[float64])
	b.Run("float32", benchmark[float32])
}

func benchmark[T Real](b *testing.B) {
	defer func(l set) { level = l }(level)
	x, phi, dphi := make([]T, 4096), make([]T, 4096), make([]T, 4096)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range x {
		x[i] = T(1.5 * rng.NormFloat64())
	}
	for _, f := range append(functions, function{name: "relu", op: reluOp}) {
		for _, level = range available() {
			for _, both := range []bool{false, true} {
				if both && f.op == expOp {
					continue
				}
				d := dphi
				if !both {
					d = nil
				}
				b.Run(fmt.Sprintf("%s/%d/both=%v", f.name, level, both), func(b *testing.B) {
					for b.Loop() {
						apply(f.op, phi, d, x, parameters{1, 1, 0.5, 9, -9})
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(x)), "ns/element")
				})
			}
		}
	}
}
