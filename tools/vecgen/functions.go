package main

import (
	"github.com/mmcloughlin/avo/reg"
)

// The functions. Each has its twin in portable.go of internal/vec, with the same operations in the same order.

var (
	pointers = "phi, dphi, x"
	gains    = []string{"in", "out", "slope"}
)

// field is in·x.
func (b block) field(p []reg.VecVirtual) reg.VecVirtual {
	x := b.load()
	b.do(mul, p[0], x, x)
	return x
}

func (b block) times(gain, v reg.VecVirtual) reg.VecVirtual {
	b.do(mul, gain, v, v)
	return v
}

func (g gen) exp() {
	g.loop("exp", "phi, x", nil, func(b block, _ []reg.VecVirtual) {
		x := b.load()
		// A NaN survives as the first operand.
		x = b.to(maximum, x, b.number(g.lowest()))
		x = b.to(minimum, x, b.number(g.highest()))
		w := b.power(x, nil)
		b.do(add, b.k(1), w.m, w.m)
		b.store(b.scaled(w.m, w), b.phi)
	})
}

// tanh from e^{−2|x|} = 2ⁿ(1 + m) and M = e^{−2|x|} − 1: tanh|x| = −M/(2 + M), 1 − tanh² = e^{−2|x|}(1 + tanh|x|)².
func (g gen) tanh() {
	g.loop("tanh", pointers, gains, func(b block, p []reg.VecVirtual) {
		x := b.field(p)
		y := b.to(minimum, b.abs(x), b.number(-g.lowest()/2))
		b.do(mul, b.k(-2), y, y)
		w := b.power(y, nil)
		one := b.number(1)
		s := b.scaled(one, w)
		v := b.to(sub, one, s)
		b.do(fma231, s, w.m, v)
		v = b.to(div, b.to(add, b.k(2), v), v) // −tanh|x|
		b.derivative(func() reg.VecVirtual {
			u := b.to(sub, v, one)
			d := b.to(add, one, w.m)
			b.do(mul, u, d, d)
			b.do(mul, u, d, d)
			return b.times(p[2], b.scaled(d, w))
		})
		b.value(func() reg.VecVirtual {
			return b.times(p[1], b.or(b.and(b.signBit(), x), b.abs(v)))
		})
	})
}

// gaussian returns a = min(|x|, end), e^{−a²/2} and a² with the rounding of which the power makes up for.
func (b block) gaussian(x reg.VecVirtual, end float64) (a, a2 reg.VecVirtual, w power) {
	a = b.to(minimum, b.abs(x), b.number(end))
	a2 = b.to(mul, a, a)
	low := b.copy(a)
	b.do(fms213, a2, a, low)
	return a, a2, b.power(b.to(mul, b.k(-0.5), a2), low)
}

func (b block) quotient(p, q []float64, x, x2 reg.VecVirtual) reg.VecVirtual {
	return b.to(div, b.polynomial(q, x, x2), b.polynomial(p, x, x2))
}

func (g gen) end() float64 {
	if g.f32 {
		return 14.7
	}
	return 38.7
}

// erf is erf(x/√2): a polynomial, or beyond erfSplit 1 − e^{−a²/2}·P(a)/Q(a).
func (g gen) erf() {
	g.loop("erf", pointers, gains, func(b block, p []reg.VecVirtual) {
		x := b.field(p)
		a, a2, w := b.gaussian(x, g.end())
		e := b.to(add, b.k(1), w.m)
		b.derivative(func() reg.VecVirtual {
			return b.times(p[2], b.scaled(b.to(mul, b.k(g.c.density[1]), e), w))
		})
		b.value(func() reg.VecVirtual {
			t := b.quotient(g.c.erfP, g.c.erfQ, a, a2)
			b.do(mul, e, t, t)
			t = b.scaled(t, w)
			far := b.to(sub, t, b.number(1))
			near := b.polynomial(g.c.erf, a2, b.to(mul, a2, a2))
			b.do(mul, a, near, near)
			v := b.choose(lessThan, b.k(erfSplit), a, near, far)
			return b.times(p[1], b.or(b.and(b.signBit(), x), v))
		})
	})
}

// gelu is x·Φ(x) = max(x, 0) − a·Φ(−a), its derivative (x > 0) − sign(x)·(Φ(−a) − a·N(a)), with Φ(−a) =
// e^{−a²/2}·P(a)/Q(a).
func (g gen) gelu() {
	g.loop("gelu", pointers, gains, func(b block, p []reg.VecVirtual) {
		x := b.field(p)
		a, a2, w := b.gaussian(x, g.end())
		e := b.to(add, b.k(1), w.m)
		t := b.quotient(g.c.geluP, g.c.geluQ, a, a2)
		b.derivative(func() reg.VecVirtual {
			d := b.copy(t)
			b.do(fma231, b.k(-g.c.density[0]), a, d)
			b.do(mul, e, d, d)
			d = b.scaled(d, w)
			zero := b.xor(a, a)
			step := b.chooseSign(x, zero, b.number(1))
			return b.times(p[2], b.to(sub, b.xor(b.and(b.signBit(), x), d), step))
		})
		b.value(func() reg.VecVirtual {
			v := b.to(mul, e, t)
			b.do(mul, a, v, v)
			v = b.scaled(v, w)
			ramp := b.to(maximum, x, b.xor(a, a)) // x of the two where it is NaN or a zero
			return b.times(p[1], b.to(sub, v, b.or(b.and(b.signBit(), x), ramp)))
		})
	})
}

// softplus is max(x, 0) + log(1 + u) with u = e^{−|x|}, s = u/(1 + u/2), log(1 + u) = s + s³R(s²); its derivative is
// 1/(1 + u) or u/(1 + u).
func (g gen) softplus() {
	g.loop("softplus", pointers, gains, func(b block, p []reg.VecVirtual) {
		x := b.field(p)
		y := b.to(minimum, b.abs(x), b.number(-g.lowest()))
		y = b.xor(b.signBit(), y)
		w := b.power(y, nil)
		b.do(add, b.k(1), w.m, w.m)
		u := b.scaled(w.m, w)
		b.derivative(func() reg.VecVirtual {
			one := b.number(1)
			d := b.to(add, u, one)
			return b.times(p[2], b.to(div, d, b.chooseSign(x, u, one)))
		})
		b.value(func() reg.VecVirtual {
			s := b.number(0.5)
			b.do(fma213, b.k(1), u, s)
			s = b.to(div, s, u)
			z := b.to(mul, s, s)
			r := b.polynomial(g.c.log, z, b.to(mul, z, z))
			b.do(mul, z, r, r)
			b.do(fma213, s, s, r)
			return b.times(p[1], b.to(add, b.to(maximum, x, b.xor(s, s)), r))
		})
	})
}

// relu of u = sign·x is above·min(max(u, 0), high) + below·max(min(u, 0), low), where the finite bounds keep 0·∞ away.
func (g gen) relu() {
	g.loop("relu", pointers, []string{"sign", "above", "below", "high", "low"}, func(b block, p []reg.VecVirtual) {
		sign, above, below, high, low := p[0], p[1], p[2], p[3], p[4]
		x := b.times(sign, b.load())
		zero := b.xor(x, x)
		b.derivative(func() reg.VecVirtual {
			d := b.choose(lessThan, x, zero, above, below)
			return b.times(sign, b.choose(unordered, x, x, x, d))
		})
		b.value(func() reg.VecVirtual {
			up := b.to(minimum, b.to(maximum, x, zero), high)
			down := b.to(maximum, b.to(minimum, x, zero), low)
			b.do(mul, below, down, down)
			b.do(fma231, above, up, down)
			return down
		})
	})
}
