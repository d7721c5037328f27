package vec

import (
	"math"
	"math/big"
	"sync"
)

// The functions in arithmetic of bits binary digits.
const bits = 320

func number(x float64) *big.Float { return new(big.Float).SetPrec(bits).SetFloat64(x) }
func zero() *big.Float            { return number(0) }
func sum(x, y *big.Float) *big.Float {
	return zero().Add(x, y)
}
func difference(x, y *big.Float) *big.Float { return zero().Sub(x, y) }
func product(x, y *big.Float) *big.Float    { return zero().Mul(x, y) }
func quotient(x, y *big.Float) *big.Float   { return zero().Quo(x, y) }

func negligible(x, y *big.Float) bool {
	return x.Sign() == 0 || x.MantExp(nil) < y.MantExp(nil)-bits
}

// bigExp is Taylor's series of x/2³⁰, squared thirty times.
func bigExp(x *big.Float) *big.Float {
	y := zero().SetMantExp(x, -30)
	s, term := number(1), number(1)
	for n := 1.; !negligible(term, s); n++ {
		term.Quo(term.Mul(term, y), number(n))
		s.Add(s, term)
	}
	for range 30 {
		s.Mul(s, s)
	}
	return s
}

// atan2x is 2 atan x (sign −1) or 2 atanh x (sign 1) by its series, for small x.
func atan2x(x *big.Float, sign float64) *big.Float {
	s, power := zero(), product(number(2), x)
	square := product(product(x, x), number(sign))
	for n := 1.; ; n += 2 {
		term := quotient(power, number(n))
		s.Add(s, term)
		if negligible(term, s) {
			return s
		}
		power.Mul(power, square)
	}
}

var rootPi = sync.OnceValue(func() *big.Float { // √(2π)
	inverse := func(k float64) *big.Float { return quotient(number(1), number(k)) }
	pi := difference(product(number(8), atan2x(inverse(5), -1)), product(number(2), atan2x(inverse(239), -1)))
	return zero().Sqrt(product(number(2), pi))
})

func bigDensity(x float64) *big.Float { return densityAt(number(x)) }

func densityAt(x *big.Float) *big.Float {
	return quotient(bigExp(quotient(product(x, x), number(-2))), rootPi())
}

// halfErf is erf(a/√2)/2 by the series N(a)·Σ a^{2k+1}/(1·3·5 …), which has no cancellation.
func halfErf(a float64) *big.Float { return halfErfAt(number(a)) }

func halfErfAt(x *big.Float) *big.Float {
	s, term, square := number(1), number(1), product(x, x)
	for n := 3.; !negligible(term, s); n += 2 {
		term.Quo(term.Mul(term, square), number(n))
		s.Add(s, term)
	}
	return product(product(s, x), densityAt(x))
}

// upperTail is Φ(−a): a difference that keeps 270 bits up to a = 8, from there Laplace's continued fraction.
func upperTail(a float64) *big.Float {
	if a < 8 {
		return difference(number(0.5), halfErf(a))
	}
	x := number(a)
	f := number(a)
	for k := 200; k > 0; k-- {
		f.Add(x, f.Quo(number(float64(k)), f))
	}
	return quotient(bigDensity(a), f)
}

// The references return value and derivative.

func referenceExp(x float64) (v, d *big.Float) {
	v = bigExp(number(x))
	return v, v
}

func referenceTanh(x float64) (v, d *big.Float) {
	e := bigExp(number(2 * x))
	s := sum(e, number(1))
	v = quotient(difference(e, number(1)), s)
	if math.Abs(x) < 0x1p-30 {
		y := product(number(x), number(x))
		v = product(number(x), sum(number(1), product(y,
			sum(quotient(number(-1), number(3)), quotient(product(number(2), y), number(15))))))
	}
	return v, quotient(product(number(4), e), product(s, s))
}

func referenceErf(x float64) (v, d *big.Float) {
	if math.Abs(x) < 10 {
		v = product(number(2), halfErf(x))
	} else {
		v = number(math.Copysign(1, x)) // to 70 bits
	}
	return v, product(number(2), bigDensity(x))
}

func referenceGELU(x float64) (v, d *big.Float) {
	a := math.Abs(x)
	tail := upperTail(a)
	slope := difference(tail, product(number(a), bigDensity(a)))
	v = product(number(-a), tail)
	if x > 0 {
		return sum(number(x), v), difference(number(1), slope)
	}
	return v, slope
}

func referenceSoftplus(x float64) (v, d *big.Float) {
	u := bigExp(number(-math.Abs(x)))
	v = atan2x(quotient(u, sum(number(2), u)), 1)
	if x > 0 {
		return sum(v, number(x)), quotient(number(1), sum(number(1), u))
	}
	return v, quotient(u, sum(number(1), u))
}
