package random

import (
	"flag"
	"math"
	"math/big"
	"testing"
)

var points = flag.Int("points", 300, "points of each of the samples that measure the errors of quantiles")

const precision = 320

func number(x float64) *big.Float { return new(big.Float).SetPrec(precision).SetFloat64(x) }

// bigExp is Taylor's series of x/2³⁰, squared thirty times.
func bigExp(x *big.Float) *big.Float {
	y := new(big.Float).SetMantExp(x, -30)
	s, term := number(1), number(1)
	for n := 1.; term.Sign() != 0 && term.MantExp(nil) > -precision; n++ {
		term.Quo(term.Mul(term, y), number(n))
		s.Add(s, term)
	}
	for range 30 {
		s.Mul(s, s)
	}
	return s
}

// rootTwoPi is √(2π), with π = 16 atan(1/5) − 4 atan(1/239).
var rootTwoPi = func() *big.Float {
	atan := func(k float64) *big.Float {
		s, power := number(0), new(big.Float).Quo(number(1), number(k))
		for n := 1.; power.MantExp(nil) > -precision; n += 2 {
			s.Add(s, new(big.Float).Quo(power, number(n)))
			power.Quo(power, number(-k*k))
		}
		return s
	}
	pi := new(big.Float).Sub(new(big.Float).Mul(number(16), atan(5)), new(big.Float).Mul(number(4), atan(239)))
	return new(big.Float).Sqrt(pi.Mul(pi, number(2)))
}()

// lowerTail is Φ(−a) and the density there, a ≥ 0: the series N(a)·Σ a^{2k+1}/(1·3·5 …) of Φ(a) − 1/2, or Laplace's
// continued fraction.
func lowerTail(a float64) (tail, density *big.Float) {
	x := number(a)
	square := new(big.Float).Mul(x, x)
	density = bigExp(new(big.Float).Quo(square, number(-2)))
	density.Quo(density, rootTwoPi)
	if a > 8 {
		f := number(a)
		for k := 200; k > 0; k-- {
			f.Add(x, f.Quo(number(float64(k)), f))
		}
		return f.Quo(density, f), density
	}
	s, term := number(a), number(a)
	for n := 3.; term.Sign() != 0 && term.MantExp(nil) > s.MantExp(nil)-precision; n += 2 {
		term.Quo(term.Mul(term, square), number(n))
		s.Add(s, term)
	}
	return s.Sub(number(0.5), s.Mul(s, density)), density
}

// quantileError is the error of x as Φ⁻¹(p), in ulp of x: (Φ(x) − p)/Φ′(x), of which the next order does not count.
func quantileError(x, p float64) float64 {
	tail, density := lowerTail(math.Abs(x))
	want := number(p)
	if x > 0 {
		want.Sub(number(1), want)
	}
	e, _ := tail.Quo(tail.Sub(tail, want), density).Float64()
	a := math.Abs(x)
	return math.Abs(e) / (math.Nextafter(a, math.Inf(1)) - a)
}

// TestQuantile holds Φ⁻¹ to the error that the package states, against arithmetic of 320 bits.
func TestQuantile(t *testing.T) {
	s := New(5, 5)
	var worst [2]struct{ e, p float64 }
	check := func(p float64) {
		if p == 0 || p == 1 {
			return
		}
		x := QuantileAt(p)
		i := 0
		if min(p, 1-p) < 0x1p-12 {
			i = 1
		}
		if p == 0.5 {
			if x != 0 {
				t.Errorf("Φ⁻¹(1/2) = %g", x)
			}
			return
		}
		if (x > 0) != (p > 0.5) {
			t.Fatalf("Φ⁻¹(%g) = %g", p, x)
		}
		e := quantileError(x, p)
		if !(e < 4) {
			t.Errorf("Φ⁻¹(%x) = %g has an error of %.2f ulp", p, x, e)
		}
		if e > worst[i].e {
			worst[i].e, worst[i].p = e, p
		}
	}
	for range *points {
		u := s.Float64()
		check(u)
		check(0.5 + 0.01*(u-0.5))
		check(math.Ldexp(u, -int(s.Uint64()%12)))
		check(1 - math.Ldexp(u, -int(s.Uint64()%52)))
		check(math.Ldexp(u, -int(s.Uint64()%1074)))
	}
	for i := range quantilePieces { // both sides of every border
		p := math.Float64frombits(uint64(i+firstPiece) << 48)
		for _, p := range []float64{math.Nextafter(p, 0), p, 1 - p, 1 - math.Nextafter(p, 0), 0.5 + 0x1p-52, 0.5 - 0x1p-53} {
			check(p)
		}
	}
	for _, p := range []float64{5e-324, 0x1p-1022, 1e-300, 1e-20, 0x1p-53, 1 - 0x1p-53} {
		check(p)
	}
	t.Logf("largest errors: %.2f ulp at %x, %.2f ulp at %x in the tails", worst[0].e, worst[0].p, worst[1].e, worst[1].p)
	inf := math.Inf(1)
	for p, want := range map[float64]float64{0: -inf, math.Copysign(0, -1): -inf, 1: inf, -5e-324: math.NaN(),
		1 + 0x1p-52: math.NaN(), inf: math.NaN(), -inf: math.NaN(), math.NaN(): math.NaN()} {
		if got := QuantileAt(p); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("Φ⁻¹(%g) = %g, want %g", p, got, want)
		}
	}
	// Known values: Abramowitz and Stegun, table 26.5 and R's qnorm.
	for p, want := range map[float64]float64{0.975: 1.9599639845400542, 0.75: 0.6744897501960817,
		1e-5: -4.2648907939228246, 1e-100: -21.273453560965322} {
		if got := QuantileAt(p); math.Abs(got-want) > 4e-16*math.Abs(want) {
			t.Errorf("Φ⁻¹(%g) = %.17g, want %.17g", p, got, want)
		}
	}
	p := []float64{0.1, 0.5, 1}
	Quantile(p, p)
	if p[0] != QuantileAt(0.1) || p[1] != 0 || p[2] != inf {
		t.Error(p)
	}
}

// TestLogarithm: log u over all of the range.
func TestLogarithm(t *testing.T) {
	s := New(6, 6)
	for range 10000 {
		u := math.Ldexp(s.Float64(), -int(s.Uint64()%1070))
		want := math.Log(u)
		if u < 0x1p-1022 { // math.Log is wrong for subnormal numbers on amd64 (Go 1.26)
			want = math.Log(u*0x1p100) - 100*math.Ln2
		}
		if got := logarithm(u); math.Abs(got-want) > 4e-16*math.Max(1, -want) {
			t.Fatalf("logarithm(%g) = %g, want %g", u, got, want)
		}
	}
}
