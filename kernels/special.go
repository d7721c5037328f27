package kernels

import "math"

// The elementary functions of the hot loops. Table lookup and a short polynomial, without unpredictable branches, make the activations 1.3 (tanh) to
// 2.4 times (softplus) faster than package math does. Each function states its error, which TestSpecial checks against math/big.
//
// Both tables divide their interval so finely that a polynomial of degree six or seven reaches rounding.
const (
	tableBits = 7
	tableSize = 1 << tableBits

	// ln 2/128 = stepHi + stepLo, with so many trailing zeros in stepHi that n·stepHi is exact for every |n| < 2¹⁸. The constants have no type: a float64
	// would round the difference to the digits of math.Ln2.
	stepInv = tableSize / math.Ln2
	stepHi  = 0x162e42fep-36
	stepLo  = math.Ln2/tableSize - stepHi

	// Adding roundMagic rounds a number below 2⁵¹ to an integer, which then stands in the low bits.
	roundMagic = 3 << 51
	roundBits  = 0x4338 << 48 // of float64(roundMagic)

	// Below expMin the exponential would be subnormal; it is returned as 0.
	expMin = -708.
)

// expTable[j+64] = e^{j·ln2/128} − 1, j = −64 … 63; logTable[j] = {log(1 + j/128), 1/(1 + j/128)}, j = 0 … 128.
var (
	expTable = func() (t [tableSize]float64) {
		for i := range t {
			t[i] = math.Expm1(float64(i-tableSize/2) * math.Ln2 / tableSize)
		}
		return t
	}()
	logTable = func() (t [tableSize + 1][2]float64) {
		for j := range t {
			x := float64(j) / tableSize
			t[j] = [2]float64{math.Log1p(x), 1 / (1 + x)}
		}
		return t
	}()
)

// reduce writes y = (n·128 + j)·ln2/128 + r, |r| < 0.0028, for |y| ≤ 709: e^y = scale·(1 + table)·e^r with scale = 2ⁿ and table = expTable[j + 64].
func reduce(y float64) (scale, table, r float64) {
	t := y*stepInv + roundMagic
	n := math.Float64bits(t) - (roundBits - tableSize/2)
	t -= roundMagic
	return math.Float64frombits((n>>tableBits + 1023) << 52), expTable[n%tableSize], (y - t*stepHi) - t*stepLo
}

// short is e^r − 1 for the r of reduce.
func short(r float64) float64 {
	return r + r*r*(1./2+r*(1./6+r*(1./24+r*(1./120+r*(1./720)))))
}

// exp is e^y for y ≤ 0, with an error below 2 ulp, and 0 below expMin.
func exp(y float64) float64 {
	if y < expMin {
		return 0
	}
	s, e, r := reduce(y)
	e++
	return s * (e + e*short(r))
}

// log1p is log(1 + x) for 0 ≤ x ≤ 1, with an error below 2 ulp.
func log1p(x float64) float64 {
	j := uint8(x*tableSize + 0.5) // of a NaN: anything; the result is NaN through r
	if j > tableSize {
		j = tableSize
	}
	t := &logTable[j]
	r := (x - float64(j)/tableSize) * t[1]
	return t[0] + (r - r*r*(1./2-r*(1./3-r*(1./4-r*(1./5-r*(1./6-r*(1./7)))))))
}

// tanhBase returns tanh x (below 4 ulp) and its derivative (below 6 ulp, in the tails too). With m = e^{−2|x|} − 1, which keeps its digits near 0:
//
//	tanh|x| = −m/(2 + m),   1 − tanh² = (1 + m)(1 + tanh|x|)²
func tanhBase(x float64) (v, d float64) {
	y := -2 * math.Abs(x)
	if y < expMin {
		return math.Copysign(1, x), 0
	}
	s, e, r := reduce(y)
	q := e + (1+e)*short(r)
	m := s*q + (s - 1)
	v = -m / (2 + m)
	return math.Copysign(v, x), (s + s*q) * (1 + v) * (1 + v)
}

// softplusBase returns log(1 + e^x) and the logistic function, both from e^{−|x|}, below 5 ulp.
func softplusBase(x float64) (v, d float64) {
	e := exp(-math.Abs(x))
	d = 1 / (1 + e)
	v = log1p(e)
	if x < 0 {
		return v, e * d
	}
	return x + v, d
}

// The error function and the normal distribution function by Taylor series about the multiples of 1/8. With |d| ≤ 1/16 the terms from d¹² on are
// below 1e-17 of the value, for Φ down to x = −4.
const (
	perUnit   = 8
	degree    = 11
	erfEnd    = 8.5 // 1 − erf(8.5/√2) = 2e-17
	cdfBegin  = -4.
	erfPoints = int(erfEnd*perUnit) + 1
)

type taylor [degree + 1]float64

// The series of erf(x/√2) about x = j/8 and of Φ about x = j/8 − 4. The derivatives are those of the normal density N, (−1)ⁿ⁻¹ N(x) Heₙ₋₁(x).
var (
	erfTable = func() (t [erfPoints]taylor) {
		for j := range t {
			x := float64(j) / perUnit
			t[j] = newTaylor(math.Erf(x/math.Sqrt2), 2, x)
		}
		return t
	}()
	cdfTable = func() (t [int(-cdfBegin*perUnit) + erfPoints]taylor) {
		for j := range t {
			x := float64(j)/perUnit + cdfBegin
			t[j] = newTaylor(tail(-x), 1, x)
		}
		return t
	}()
)

const invSqrt2Pi = 0.39894228040143267793994605993438 // 1/√(2π)

// tail is Φ(−x). Rounding x/√2 alone would cost x² ulp; the derivative makes up for it.
func tail(x float64) float64 {
	const root2Lo = -9.667293313452913e-17 // √2 − float64(√2)
	y := x / math.Sqrt2
	delta := (math.FMA(-y, math.Sqrt2, x) - y*root2Lo) / math.Sqrt2
	v := math.Erfc(y) / 2
	if v == 0 || v == 1 || v != v { // and delta may be ∞ − ∞
		return v
	}
	return v - delta*math.Exp(-y*y)/math.Sqrt(math.Pi)
}

// newTaylor expands the function with a value at x and the derivative a·N.
func newTaylor(value, a, x float64) (c taylor) {
	c[0] = value
	density := a * invSqrt2Pi * math.Exp(-x*x/2)
	factorial, prev, he := 1., 0., 1. // he = (−1)ⁿ⁻¹Heₙ₋₁
	for n := 1; n <= degree; n++ {
		factorial *= float64(n)
		c[n] = density * he / factorial
		prev, he = he, -x*he-float64(n-1)*prev
	}
	return c
}

// at sums the series at a distance d; the long chain of dependent operations of Horner's rule would cost twice as much.
func (c *taylor) at(d float64) float64 {
	d2 := d * d
	d4 := d2 * d2
	lo := (c[1] + d*c[2]) + d2*(c[3]+d*c[4])
	mid := (c[5] + d*c[6]) + d2*(c[7]+d*c[8])
	hi := (c[9] + d*c[10]) + d2*c[11]
	return c[0] + d*(lo+d4*(mid+d4*hi))
}

// nearestPoint returns j, negative numbers in two's complement, and d = x − j/8 with |d| ≤ 1/16.
func nearestPoint(x float64) (j uint64, d float64) {
	t := x*perUnit + roundMagic
	return math.Float64bits(t) - roundBits, x - (t-roundMagic)*(1./perUnit)
}

// erf2 is erf(x/√2), below 2 ulp, or 5 for |x| < 0.2, where the constant term of a series and the rest of it have opposite signs.
func erf2(x float64) float64 {
	y := math.Abs(x)
	if y >= erfEnd {
		return math.Copysign(1, x)
	}
	if y != y {
		return y
	}
	j, d := nearestPoint(y)
	return math.Copysign(erfTable[j].at(d), x)
}

// cdf is the normal distribution function Φ, below 5 ulp where the table reaches.
func cdf(x float64) float64 {
	if !(x >= cdfBegin && x < erfEnd) {
		if x >= erfEnd {
			return 1
		}
		return tail(-x)
	}
	j, d := nearestPoint(x)
	return cdfTable[j+uint64(-cdfBegin*perUnit)].at(d)
}

// density is the standard normal density, below 4 + x²/2 ulp: the rounding of x².
func density(x float64) float64 { return invSqrt2Pi * exp(-x*x/2) }

// erfBase returns erf(x/√2) and its derivative.
func erfBase(x float64) (v, d float64) { return erf2(x), 2 * density(x) }

// geluBase returns x·Φ(x), Φ the normal distribution function, and its derivative Φ + x·Φ′.
func geluBase(x float64) (v, d float64) {
	if x < -38.5 || x > 1e3 { // Φ is 0 or 1; ∞·0 is neither
		if x > 0 {
			return x, 1
		}
		return math.Copysign(0, -1), 0
	}
	c := cdf(x)
	return x * c, c + x*density(x)
}

// quadraticMixBase returns x + (ε/2)x² and 1 + εx; for ε ≠ 0, or 0·∞ is NaN.
func quadraticMixBase(x, eps float64) (v, d float64) { return x * (1 + eps/2*x), 1 + eps*x }

// polynomialBase returns Σ_k c_k x^k and its derivative; the last coefficient is not 0, so that infinities come out as they should.
func polynomialBase(x float64, c []float64) (v, d float64) {
	n := len(c) - 1
	if n < 1 {
		if n == 0 {
			v = c[0]
		}
		return v, 0
	}
	v, d = c[n], float64(n)*c[n]
	for k := n - 1; k > 0; k-- {
		v = v*x + c[k]
		d = d*x + float64(k)*c[k]
	}
	return v*x + c[0], d
}
