package main

import (
	"math"
	"math/big"
)

// prec is the precision in bits. It is enough for exp(a²/2) − (a number that agrees with it to 2160 bits), a ≤ 39.
var prec uint = 2560

func number(x float64) *big.Float { return new(big.Float).SetPrec(prec).SetFloat64(x) }
func zero() *big.Float            { return number(0) }

// small reports whether x no longer counts beside y.
func small(x, y *big.Float) bool {
	return x.Sign() == 0 || x.MantExp(nil) < y.MantExp(nil)-int(prec)
}

// exp is e^x for x ≥ 0 by Taylor's series.
func exp(x *big.Float) *big.Float {
	sum, term := number(1), number(1)
	for n := 1.; !small(term, sum); n++ {
		term.Quo(term.Mul(term, x), number(n))
		sum.Add(sum, term)
	}
	return sum
}

// atanInverse is atan(1/k).
func atanInverse(k float64) *big.Float {
	sum := zero()
	power := zero().Quo(number(1), number(k))
	for n := 1.; ; n += 2 {
		term := zero().Quo(power, number(n))
		sum.Add(sum, term)
		if small(term, sum) {
			return sum
		}
		power.Quo(power, number(-k*k))
	}
}

// root2OverPi is √(2/π), by Machin's formula for π/4.
func root2OverPi() *big.Float {
	pi := zero().Mul(number(16), atanInverse(5))
	pi.Sub(pi, zero().Mul(number(4), atanInverse(239)))
	return zero().Sqrt(pi.Quo(number(2), pi))
}

// log2 is ln 2 = 2 atanh(1/3).
func log2() *big.Float {
	sum, power := zero(), zero().Quo(number(2), number(3))
	for n := 1.; ; n += 2 {
		term := zero().Quo(power, number(n))
		sum.Add(sum, term)
		if small(term, sum) {
			return sum
		}
		power.Quo(power, number(9))
	}
}

// series is Σ_k a^{2k}/(1·3·5 … (2k+1)) = √(π/2)·exp(a²/2)·erf(a/√2)/a.
func series(a *big.Float) *big.Float {
	sum, term := number(1), number(1)
	square := zero().Mul(a, a)
	for n := 3.; !small(term, sum); n += 2 {
		term.Quo(term.Mul(term, square), number(n))
		sum.Add(sum, term)
	}
	return sum
}

// The functions to approximate.

// exponential is (e^r − 1 − r)/r².
func exponential(r *big.Float) *big.Float {
	sum, term := number(0.5), number(0.5)
	for n := 3.; !small(term, sum); n++ {
		term.Quo(term.Mul(term, r), number(n))
		sum.Add(sum, term)
	}
	return sum
}

// scaledTail is exp(a²/2)·(1 − erf(a/√2)).
func scaledTail(a *big.Float) *big.Float {
	e := exp(zero().Quo(zero().Mul(a, a), number(2)))
	s := series(a)
	s.Mul(s, a)
	return e.Sub(e, s.Mul(s, root2OverPi()))
}

// errorFunction is erf(a/√2)/a for z = a².
func errorFunction(z *big.Float) *big.Float {
	a := zero().Sqrt(z)
	s := series(a)
	s.Mul(s, root2OverPi())
	return s.Quo(s, exp(zero().Quo(z, number(2))))
}

// logarithm is (log(1+u) − s)/s³ with s = u/(1+u/2), for z = s²: Σ z^{k−1}/(4^k(2k+1)).
func logarithm(z *big.Float) *big.Float {
	sum, power := zero(), number(0.25)
	for n := 3.; ; n += 2 {
		term := zero().Quo(power, number(n))
		sum.Add(sum, term)
		if small(term, sum) {
			return sum
		}
		power.Quo(power.Mul(power, z), number(4))
	}
}

// fit returns the coefficients, lowest first, of the P and Q of degrees m and n with P/Q = f at the Chebyshev points of
// t in x = centre·(1+t)/(1−t), or of x itself when centre is 0. Q starts with 1.
func fit(f func(*big.Float) *big.Float, from, to, centre float64, m, n int) (p, q []*big.Float) {
	size := m + n + 1
	rows := make([][]*big.Float, size)
	for i := range rows {
		c := math.Cos(math.Pi * (2*float64(i) + 1) / (2 * float64(size)))
		between := func(lo, hi float64) float64 { return (lo+hi)/2 + (hi-lo)/2*c }
		x := between(from, to)
		if centre != 0 {
			t := between((from-centre)/(from+centre), (to-centre)/(to+centre))
			x = centre * (1 + t) / (1 - t)
		}
		value := f(number(x))
		row := make([]*big.Float, size+1)
		power := number(1)
		for j := range row[:size] {
			if j == m+1 {
				power = number(-x)
				power.Mul(power, value)
			}
			row[j] = zero().Set(power)
			power.Mul(power, number(x))
		}
		row[size] = value
		rows[i] = row
	}
	s := solve(rows)
	return s[:m+1], append([]*big.Float{number(1)}, s[m+1:]...)
}

// solve is Gauss's elimination with pivots; the last column is the right-hand side.
func solve(rows [][]*big.Float) []*big.Float {
	n := len(rows)
	for i := range n {
		best := i
		for j := i + 1; j < n; j++ {
			if zero().Abs(rows[j][i]).Cmp(zero().Abs(rows[best][i])) > 0 {
				best = j
			}
		}
		rows[i], rows[best] = rows[best], rows[i]
		for j := range n {
			if j == i {
				continue
			}
			c := zero().Quo(rows[j][i], rows[i][i])
			for k := i; k <= n; k++ {
				rows[j][k].Sub(rows[j][k], zero().Mul(c, rows[i][k]))
			}
		}
	}
	s := make([]*big.Float, n)
	for i := range s {
		s[i] = zero().Quo(rows[i][n], rows[i][i])
	}
	return s
}

// coefficients are the numbers that one precision needs, rounded to it.
type coefficients struct {
	reduce       []float64 // 1/ln 2, and ln 2 in two parts of which the first has so few bits that its multiples are exact
	exp          []float64 // of exponential
	erf          []float64 // of errorFunction on [0, erfSplit²]
	erfP, erfQ   []float64 // of scaledTail on [erfSplit, erfEnd]
	geluP, geluQ []float64 // of half of scaledTail on [0, geluEnd]
	log          []float64 // of logarithm
	density      []float64 // 1/√(2π), twice that
}

// The error function changes its formula at erfSplit, where it exceeds 1/2. At erfEnd it is 1 to rounding, and at
// geluEnd a·exp(−a²/2) is 0 to rounding.
const erfSplit = 0.68

func fitted(f32 bool) coefficients {
	var c coefficients
	round := func(v []*big.Float, scale float64) []float64 {
		r := make([]float64, len(v))
		for i, x := range v {
			x = zero().Mul(x, number(scale))
			if f32 {
				y, _ := x.Float32()
				r[i] = float64(y)
			} else {
				r[i], _ = x.Float64()
			}
		}
		return r
	}
	degrees := struct{ exp, erf, erfTail, gelu, log, high int }{9, 8, 8, 10, 9, 40}
	erfEnd, geluEnd := 8.7, 38.7
	if f32 {
		degrees = struct{ exp, erf, erfTail, gelu, log, high int }{4, 4, 3, 4, 4, 14}
		erfEnd, geluEnd = 5.8, 14.7
	}
	ln2 := log2()
	high := zero().SetPrec(uint(degrees.high)).SetMode(big.ToZero).Set(ln2)
	c.reduce = round([]*big.Float{zero().Quo(number(1), ln2), high, zero().Sub(ln2, high)}, 1)
	p, _ := fit(exponential, -math.Ln2/2, math.Ln2/2, 0, degrees.exp, 0)
	c.exp = round(p, 1)
	p, _ = fit(errorFunction, 0, erfSplit*erfSplit, 0, degrees.erf, 0)
	c.erf = round(p, 1)
	p, q := fit(scaledTail, erfSplit, erfEnd, 4, degrees.erfTail, degrees.erfTail+1)
	c.erfP, c.erfQ = round(p, 1), round(q, 1)
	p, q = fit(scaledTail, 0, geluEnd, 4, degrees.gelu, degrees.gelu+1)
	c.geluP, c.geluQ = round(p, 0.5), round(q, 1)
	p, _ = fit(logarithm, 0, 4./9, 0, degrees.log, 0)
	c.log = round(p, 1)
	c.density = append(round([]*big.Float{root2OverPi()}, 0.5), round([]*big.Float{root2OverPi()}, 1)...)
	return c
}
