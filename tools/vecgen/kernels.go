package main

import (
	"fmt"
	"math"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const attrs = RODATA | NOPTR

// gen is one instruction set at one precision.
type gen struct {
	name  string // suffix of the functions
	f32   bool
	width int // bytes of a vector
	c     coefficients
}

func (g gen) prefix() string {
	if g.f32 {
		return "s"
	}
	return "d"
}

func (g gen) typ() string {
	if g.f32 {
		return "float32"
	}
	return "float64"
}

func (g gen) size() int {
	if g.f32 {
		return 4
	}
	return 8
}

func (g gen) lanes() int { return g.width / g.size() }
func (g gen) zmm() bool  { return g.width == 64 }

func (g gen) v() reg.VecVirtual {
	if g.zmm() {
		return ZMM()
	}
	return YMM()
}

// konst is a constant in memory: AVX-512 broadcasts its first element, AVX2 reads all of its 32 bytes.
type konst struct{ Mem }

var konsts = map[string]konst{}

func (g gen) bits(b uint64) konst {
	name := fmt.Sprintf("%s%0*x", g.prefix(), 2*g.size(), b)
	k, ok := konsts[name]
	if !ok {
		k = konst{GLOBL(name, attrs)}
		for i := 0; i < 32; i += g.size() {
			if g.f32 {
				DATA(i, U32(b))
			} else {
				DATA(i, U64(b))
			}
		}
		konsts[name] = k
	}
	return k
}

func (g gen) k(x float64) konst {
	if g.f32 {
		return g.bits(uint64(math.Float32bits(float32(x))))
	}
	return g.bits(math.Float64bits(x))
}

// form is an instruction in double and single precision, plain and with the first operand broadcast from memory.
type form [4]func(...Op)

var (
	mul     = form{VMULPD, VMULPS, VMULPD_BCST, VMULPS_BCST}
	add     = form{VADDPD, VADDPS, VADDPD_BCST, VADDPS_BCST}
	sub     = form{VSUBPD, VSUBPS, VSUBPD_BCST, VSUBPS_BCST}                     // (b, a, z): z = a − b
	div     = form{VDIVPD, VDIVPS, VDIVPD_BCST, VDIVPS_BCST}                     // (b, a, z): z = a/b
	maximum = form{VMAXPD, VMAXPS, VMAXPD_BCST, VMAXPS_BCST}                     // (b, a, z): b when either is NaN or both are zero
	minimum = form{VMINPD, VMINPS, VMINPD_BCST, VMINPS_BCST}                     // the same
	fma231  = form{VFMADD231PD, VFMADD231PS, VFMADD231PD_BCST, VFMADD231PS_BCST} // (b, a, z): z += a·b
	fma213  = form{VFMADD213PD, VFMADD213PS, VFMADD213PD_BCST, VFMADD213PS_BCST} // (b, a, z): z = a·z + b
	fms213  = form{VFMSUB213PD, VFMSUB213PS, VFMSUB213PD_BCST, VFMSUB213PS_BCST} // (b, a, z): z = a·z − b
	and     = form{VPANDQ, VPANDD, VPANDQ_BCST, VPANDD_BCST}
	or      = form{VPORQ, VPORD, VPORQ_BCST, VPORD_BCST}
	xor     = form{VPXORQ, VPXORD, VPXORQ_BCST, VPXORD_BCST}
	and256  = form{VANDPD, VANDPS}
	or256   = form{VORPD, VORPS}
	xor256  = form{VXORPD, VXORPS}
	move    = form{VMOVUPD, VMOVUPS}
	shiftL  = form{VPSLLQ, VPSLLD}
	shiftR  = form{VPSRLQ, VPSRLD}
	subInt  = form{VPSUBQ, VPSUBD}
	blend   = form{VBLENDMPD, VBLENDMPS, VBLENDMPD_BCST, VBLENDMPS_BCST}
	compare = form{VCMPPD, VCMPPS, VCMPPD_BCST, VCMPPS_BCST}
	scalef  = form{VSCALEFPD, VSCALEFPS}
	spread  = form{VBROADCASTSD, VBROADCASTSS}
)

// do emits an instruction.
func (g gen) do(f form, ops ...Op) {
	i := 0
	if g.f32 {
		i = 1
	}
	for j, o := range ops {
		if k, ok := o.(konst); ok {
			ops[j] = k.Mem
			if g.zmm() {
				i += 2
			}
		}
	}
	f[i](ops...)
}

// to emits an instruction with a new register as its destination and returns that.
func (g gen) to(f form, ops ...Op) reg.VecVirtual {
	z := g.v()
	g.do(f, append(ops, z)...)
	return z
}

// constant is a constant in every lane of a register.
func (g gen) constant(k konst) reg.VecVirtual {
	if g.zmm() {
		return g.to(spread, k.Mem)
	}
	return g.to(move, k.Mem)
}

func (g gen) number(x float64) reg.VecVirtual { return g.constant(g.k(x)) }

func (g gen) copy(x Op) reg.VecVirtual { return g.to(move, x) }

const (
	lessThan  = 17 // predicates of comparisons, quiet
	unordered = 3
)

func (g gen) signBit() konst { return g.bits(1 << (8*g.size() - 1)) }

func (g gen) and(b, a Op) reg.VecVirtual {
	if g.zmm() {
		return g.to(and, b, a)
	}
	return g.to(and256, b, a)
}

func (g gen) or(b, a Op) reg.VecVirtual {
	if g.zmm() {
		return g.to(or, b, a)
	}
	return g.to(or256, b, a)
}

func (g gen) xor(b, a Op) reg.VecVirtual {
	if g.zmm() {
		return g.to(xor, b, a)
	}
	return g.to(xor256, b, a)
}

func (g gen) abs(x Op) reg.VecVirtual { return g.and(g.bits(1<<(8*g.size()-1)-1), x) }

// choose is yes where a compares with b (the predicate p of a with b), no elsewhere.
func (g gen) choose(p uint8, b, a, yes, no Op) reg.VecVirtual {
	if g.zmm() {
		k := K()
		g.do(compare, U8(p), b, a, k)
		return g.to(blend, yes, no, k)
	}
	m := g.to(compare, U8(p), b, a)
	return g.chooseSign(m, yes, no)
}

// chooseSign is yes where the sign bit of m is set, no elsewhere.
func (g gen) chooseSign(m, yes, no Op) reg.VecVirtual {
	z := g.v()
	switch {
	case g.zmm() && g.f32:
		k := K()
		VPTESTMD_BCST(g.signBit().Mem, m, k)
		VBLENDMPS(yes, no, k, z)
	case g.zmm():
		k := K()
		VPTESTMQ_BCST(g.signBit().Mem, m, k)
		VBLENDMPD(yes, no, k, z)
	case g.f32:
		VBLENDVPS(m, yes, no, z)
	default:
		VBLENDVPD(m, yes, no, z)
	}
	return z
}

// polynomial is Σ c_i x^i, the even and the odd terms apart: two short chains of dependent operations instead of a long
// one.
func (g gen) polynomial(c []float64, x, x2 reg.VecVirtual) reg.VecVirtual {
	chain := func(first int) reg.VecVirtual {
		last := len(c) - 1 - (len(c)-1-first)%2
		p := g.number(c[last])
		for i := last - 2; i >= 0; i -= 2 {
			g.do(fma213, g.k(c[i]), x2, p)
		}
		return p
	}
	even, odd := chain(0), chain(1)
	g.do(fma213, even, x, odd)
	return odd
}

// power is e^y = 2ⁿ(1 + m), for y and n in the range of scaled.
type power struct {
	m reg.VecVirtual
	n reg.VecVirtual    // AVX-512: n
	s [2]reg.VecVirtual // AVX2: powers of two with the product 2ⁿ
}

// magic rounds numbers added to it to integers, which then stand in the low bits, plus twice the bias of an exponent.
func (g gen) magic() float64 {
	if g.f32 {
		return 3<<22 + 2*127
	}
	return 3<<51 + 2*1023
}

// power splits e^(y−low/2) for a low that is tiny, or nil.
func (g gen) power(y, low reg.VecVirtual) power {
	var w power
	t := g.number(g.magic())
	g.do(fma231, g.k(g.c.reduce[0]), y, t)
	n := g.to(sub, g.k(g.magic()), t)
	r := g.copy(y)
	g.do(fma231, g.k(-g.c.reduce[1]), n, r)
	g.do(fma231, g.k(-g.c.reduce[2]), n, r)
	if low != nil {
		g.do(fma231, g.k(-0.5), low, r)
	}
	r2 := g.to(mul, r, r)
	w.m = g.polynomial(g.c.exp, r, r2)
	g.do(fma213, r, r2, w.m)
	if g.zmm() {
		w.n = n
		return w
	}
	// Two factors, neither of them subnormal or infinite when 2ⁿ is. Their exponents with bias are the halves of the
	// low bits of t.
	bits := uint64(52)
	if g.f32 {
		bits = 23
	}
	half := g.v()
	g.do(shiftR, Imm(1), t, half)
	rest := g.to(subInt, half, t)
	w.s[0], w.s[1] = g.v(), g.v()
	g.do(shiftL, Imm(bits), half, w.s[0])
	g.do(shiftL, Imm(bits), rest, w.s[1])
	return w
}

// scaled is 2ⁿx, rounded once.
func (g gen) scaled(x Op, w power) reg.VecVirtual {
	if g.zmm() {
		return g.to(scalef, w.n, x)
	}
	z := g.to(mul, w.s[0], x)
	g.do(mul, w.s[1], z, z)
	return z
}

// The range of exponents, which keeps 2ⁿ in the range of scaled and leaves no result but 0 or ∞ beyond.
func (g gen) lowest() float64 {
	if g.f32 {
		return -110
	}
	return -752
}

func (g gen) highest() float64 {
	if g.f32 {
		return 92
	}
	return 712
}

// block is what one pass through a loop works on.
type block struct {
	gen
	label        string
	x, phi, dphi reg.GPVirtual // base pointers, the last two nil where the values are not wanted
	index        reg.GPVirtual
	mask         Op // of the lanes in use; nil for all
}

func (b block) load() reg.VecVirtual {
	v := b.v()
	m := Mem{Base: b.x, Index: b.index, Scale: 1}
	switch {
	case b.mask == nil:
		b.do(move, m, v)
	case b.zmm() && b.f32:
		VMOVUPS_Z(m, b.mask, v)
	case b.zmm():
		VMOVUPD_Z(m, b.mask, v)
	case b.f32:
		VMASKMOVPS(m, b.mask, v)
	default:
		VMASKMOVPD(m, b.mask, v)
	}
	return v
}

func (b block) store(v reg.Register, to reg.GPVirtual) {
	m := Mem{Base: to, Index: b.index, Scale: 1}
	switch {
	case b.mask == nil:
		b.do(move, v, m)
	case b.zmm() && b.f32:
		VMOVUPS(v, b.mask, m)
	case b.zmm():
		VMOVUPD(v, b.mask, m)
	case b.f32:
		VMASKMOVPS(v, b.mask, m)
	default:
		VMASKMOVPD(v, b.mask, m)
	}
}

// derivative and value store what f makes, if it is wanted.
func (b block) derivative(f func() reg.VecVirtual) { b.result("derivative", b.dphi, f) }
func (b block) value(f func() reg.VecVirtual)      { b.result("value", b.phi, f) }

func (b block) result(what string, to reg.GPVirtual, f func() reg.VecVirtual) {
	label := "no" + what + b.label
	TESTQ(to, to)
	JE(LabelRef(label))
	b.store(f(), to)
	Label(label)
}

// loop emits a function over slices. Its last block is masked, so that it does the same arithmetic as the others.
func (g gen) loop(name, params string, names []string, body func(b block, p []reg.VecVirtual)) {
	TEXT(g.prefix()+name+g.name, NOSPLIT, fmt.Sprintf("func(%s *%[2]s, n int%s)", params, g.typ(), parameters(names, g.typ())))
	Pragma("noescape")
	b := block{gen: g}
	b.phi = Load(Param("phi"), GP64()).(reg.GPVirtual)
	if params != "phi, x" {
		b.dphi = Load(Param("dphi"), GP64()).(reg.GPVirtual)
	}
	b.x = Load(Param("x"), GP64()).(reg.GPVirtual)
	n := Load(Param("n"), GP64())
	var p []reg.VecVirtual
	for _, name := range names {
		c, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		p = append(p, g.to(spread, c.Addr))
	}
	b.index = GP64()
	XORQ(b.index, b.index)
	SUBQ(Imm(uint64(g.lanes())), n)
	JLT(LabelRef("tail"))
	Label("loop")
	body(b, p)
	ADDQ(Imm(uint64(g.width)), b.index)
	SUBQ(Imm(uint64(g.lanes())), n)
	JGE(LabelRef("loop"))
	Label("tail")
	ADDQ(Imm(uint64(g.lanes())), n)
	JE(LabelRef("end"))
	b.mask = g.first(n)
	b.label = "tail"
	body(b, p)
	Label("end")
	VZEROUPPER()
	RET()
}

func parameters(names []string, typ string) string {
	if len(names) == 0 {
		return ""
	}
	return ", " + strings.Join(names, ", ") + " " + typ
}

// first is the mask of the first n lanes.
func (g gen) first(n reg.Register) Op {
	if g.zmm() {
		one, k := GP32(), K()
		MOVL(U32(0xffffffff), one)
		BZHIL(n.(reg.GPVirtual).As32(), one, one)
		KMOVW(one, k)
		return k
	}
	if masks == (Mem{}) {
		masks = GLOBL("masks", attrs)
		for i := range 16 {
			if i < 8 {
				DATA(4*i, U32(0xffffffff))
			} else {
				DATA(4*i, U32(0))
			}
		}
	}
	t, s, v := GP64(), GP64(), g.v()
	LEAQ(masks, t)
	MOVQ(n, s)
	NEGQ(s)
	if g.f32 {
		SHLQ(Imm(2), s)
	} else {
		SHLQ(Imm(3), s)
	}
	VMOVDQU(Mem{Base: t, Index: s, Scale: 1, Disp: 32}, v)
	return v
}

var masks Mem
