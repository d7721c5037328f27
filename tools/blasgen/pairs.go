package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// broadcastPair puts the two numbers at m side by side into all of dst.
func (g gen) broadcastPair(m Mem, dst reg.Register) {
	switch {
	case g.f32:
		VBROADCASTSD(m, dst)
	case g.zmm():
		VBROADCASTF32X4(m, dst)
	default:
		VBROADCASTF128(m, dst)
	}
}

// broadcastHalf is broadcastPair of one number and zero.
func (g gen) broadcastHalf(m Mem, even reg.Register, dst reg.VecPhysical) {
	switch {
	case g.zmm() && g.f32:
		VBROADCASTSS_Z(m, even, dst)
	case g.zmm():
		VBROADCASTSD_Z(m, even, dst)
	case g.f32:
		VMOVSS(m, dst.AsX())
		VBROADCASTSD(dst.AsX(), dst)
	default:
		VMOVSD(m, dst.AsX())
		VINSERTF128(Imm(1), dst.AsX(), dst, dst)
	}
}

// pairs emits c(i,j) = alpha·Σ_l a(i,l)·b(l,j) + beta·c(i,j) for i < m and j < n, where n elements take at most 32
// bytes: too few columns to fill vectors with. Columns of a are taken in pairs instead, broadcast together, and b holds
// two rows at a time, their elements alternating: 64 bytes for every pair, zeros where there is nothing. Even and odd l
// are summed apart, then added.
func (g gen) pairs() {
	TEXT(g.prefix()+"pairs"+g.name, NOSPLIT, fmt.Sprintf("func(m, k int, a *%[1]s, rsa int, b, c *%[1]s, ldc int, alpha, beta %[1]s, n int)", g.typ()))
	Pragma("noescape")
	nv := 64 / g.width
	m := Load(Param("m"), GP64())
	a := Load(Param("a"), GP64())
	c := Load(Param("c"), GP64())
	rsa := g.stride("rsa")
	var mask, even reg.Register
	if g.zmm() {
		mask = g.lanesFirst(Load(Param("n"), GP64()), nil)
		bits := GP32()
		MOVL(U32(0x5555), bits)
		even = K()
		KMOVW(bits, even)
	}
	heights := []int{8, 4, 3, 2, 1}
	if g.strip == 4 {
		heights = heights[1:]
	}
	for x, mr := range heights {
		label := fmt.Sprintf("rows%d", mr)
		next := "end"
		if x+1 < len(heights) {
			next = fmt.Sprintf("rows%d", heights[x+1])
		}
		Label(label)
		CMPQ(m, Imm(uint64(mr)))
		JLT(LabelRef(next))
		t := tile{rows: rows{g: g, rsa: rsa, ptr: make([]reg.Register, pointers(mr, g.strip))}}
		for i := range t.rows.ptr {
			p := GP64()
			t.rows.ptr[i] = p
			if i == 0 {
				MOVQ(a, p)
			} else {
				LEAQ(Mem{Base: t.rows.ptr[i-1], Index: rsa, Scale: 2}, p)
				ADDQ(rsa, p)
			}
		}
		at := 0
		take := func() reg.VecPhysical { at++; return g.v(at - 1) }
		t.acc = make([][]reg.VecPhysical, mr)
		for i := range t.acc {
			for range nv {
				v := take()
				g.zero(v)
				t.acc[i] = append(t.acc[i], v)
			}
		}
		for range nv {
			t.bv = append(t.bv, take())
		}
		for range min(4, g.nreg-at) {
			t.bc = append(t.bc, take())
		}
		pb := Load(Param("b"), GP64())
		kk := Load(Param("k"), GP64())
		SHRQ(Imm(1), kk)
		body := func(broadcast func(Mem, reg.VecPhysical)) {
			for j := range nv {
				g.mov(Mem{Base: pb, Disp: j * g.width}, t.bv[j])
			}
			for i := range mr {
				bc := t.bc[i%len(t.bc)]
				broadcast(t.rows.at(i), bc)
				for j := range nv {
					g.fma(t.bv[j], bc, t.acc[i][j])
				}
			}
		}
		pair := func() {
			body(func(m Mem, v reg.VecPhysical) { g.broadcastPair(m, v) })
			ADDQ(Imm(64), pb)
			for _, p := range t.rows.ptr {
				ADDQ(Imm(uint64(2*g.size())), p)
			}
		}
		unroll := 1
		if mr >= g.strip {
			unroll = 4
			SUBQ(Imm(4), kk)
			JLT(LabelRef(label + "tail"))
			Label(label + "loop")
			for range unroll {
				pair()
			}
			SUBQ(Imm(4), kk)
			JGE(LabelRef(label + "loop"))
			Label(label + "tail")
			ADDQ(Imm(4), kk)
		} else {
			TESTQ(kk, kk)
		}
		JE(LabelRef(label + "odd"))
		Label(label + "one")
		pair()
		DECQ(kk)
		JNE(LabelRef(label + "one"))
		Label(label + "odd")
		odd := GP64()
		MOVQ(param("k"), odd)
		TESTQ(U32(1), odd)
		JE(LabelRef(label + "sum"))
		body(func(m Mem, v reg.VecPhysical) { g.broadcastHalf(m, even, v) })
		Label(label + "sum")
		for i := range mr {
			s, v := t.acc[i][0], t.bv[0]
			switch {
			case g.zmm() && g.f32:
				VPERMILPS(Imm(0xb1), s, v)
				VADDPS(v, s, s)
				VCOMPRESSPS_Z(s, even, s)
			case g.zmm():
				VPERMILPD(Imm(0x55), s, v)
				VADDPD(v, s, s)
				VCOMPRESSPD_Z(s, even, s)
			default:
				if g.f32 {
					VHADDPS(t.acc[i][1], s, s)
				} else {
					VHADDPD(t.acc[i][1], s, s)
				}
				VPERMPD(Imm(0xd8), s, s)
			}
			t.acc[i] = t.acc[i][:1]
		}
		g.update(label, t, 1, c, mask)
		for range mr {
			ADDQ(rsa, a)
		}
		if mr >= 4 {
			SUBQ(Imm(uint64(mr)), m)
			JMP(LabelRef(label))
		} else if mr > 1 {
			JMP(LabelRef("end"))
		}
	}
	Label("end")
	VZEROUPPER()
	RET()
}
