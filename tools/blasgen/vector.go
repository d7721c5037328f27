package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot emits y[i] = Σ_j a(i,j)·x[j]. Column j is summed in lane j mod 128 bytes, at either width of vector, so AVX2 and
// AVX-512 give the same bits.
func (g gen) dot() {
	TEXT(fmt.Sprintf("%sdot%s", g.prefix(), g.name), NOSPLIT,
		fmt.Sprintf("func(m, n int, a *%[1]s, lda int, x, y *%[1]s)", g.typ()))
	Pragma("noescape")
	m := Load(Param("m"), GP64())
	a := Load(Param("a"), GP64())
	y := Load(Param("y"), GP64())
	lda := g.stride("lda")
	nacc := 128 / g.width // vectors of a block of 128 bytes
	block := 128 / g.size()
	most := 4
	if !g.zmm() {
		most = 2
	}
	// The masks of the last, partial block are made anew for every group of rows: registers are scarce in AVX2.
	for _, mr := range []int{most, 1} {
		label := fmt.Sprintf("rows%d", mr)
		next := "end"
		if mr > 1 {
			next = "rows1"
		}
		Label(label)
		CMPQ(m, Imm(uint64(mr)))
		JLT(LabelRef(next))
		n := Load(Param("n"), GP64())
		x := Load(Param("x"), GP64())
		ptr := make([]reg.Register, mr)
		acc := make([][]reg.VecPhysical, mr)
		for i := range ptr {
			ptr[i] = GP64()
			if i == 0 {
				MOVQ(a, ptr[0])
			} else {
				LEAQ(Mem{Base: ptr[i-1], Index: lda, Scale: 1}, ptr[i])
			}
			acc[i] = make([]reg.VecPhysical, nacc)
			for j := range acc[i] {
				acc[i][j] = g.v(i*nacc + j)
				g.zero(acc[i][j])
			}
		}
		xv, av := g.v(mr*nacc), g.v(mr*nacc+1)
		SUBQ(Imm(uint64(block)), n)
		JLT(LabelRef(label + "tail"))
		Label(label + "loop")
		for j := range nacc {
			g.mov(Mem{Base: x, Disp: j * g.width}, xv)
			for i := range mr {
				g.fma(Mem{Base: ptr[i], Disp: j * g.width}, xv, acc[i][j])
			}
		}
		for _, p := range append(ptr, x) {
			ADDQ(U32(128), p)
		}
		SUBQ(Imm(uint64(block)), n)
		JGE(LabelRef(label + "loop"))
		Label(label + "tail")
		ADDQ(Imm(uint64(block)), n)
		JE(LabelRef(label + "sum"))
		for j := range nacc {
			c := GP64()
			full := GP64()
			MOVQ(n, c)
			MOVQ(U32(uint32(g.lanes())), full)
			CMPQ(c, full)
			CMOVQGT(full, c)
			mask := g.lanesFirst(c, g.v(mr*nacc+2))
			g.load(Mem{Base: x, Disp: j * g.width}, mask, xv)
			for i := range mr {
				g.load(Mem{Base: ptr[i], Disp: j * g.width}, mask, av)
				g.fma(av, xv, acc[i][j])
			}
			if j+1 < nacc {
				SUBQ(Imm(uint64(g.lanes())), n)
				JLE(LabelRef(label + "sum"))
			}
		}
		Label(label + "sum")
		for i := range mr {
			s := acc[i][0]
			lo, hi := gen{}.v(i*nacc), gen{}.v(mr*nacc)
			xlo, xhi := xmm(i*nacc), xmm(mr*nacc)
			if g.zmm() {
				g.add(acc[i][1], s, s)
				VEXTRACTF64X4(Imm(1), s, hi)
				g.add(hi, lo, lo)
			} else {
				g.add(acc[i][2], s, s)
				g.add(acc[i][3], acc[i][1], acc[i][1])
				g.add(acc[i][1], s, s)
			}
			VEXTRACTF128(Imm(1), lo, xhi)
			g.add(xhi, xlo, xlo)
			if g.f32 {
				VMOVHLPS(xlo, xlo, xhi)
				VADDPS(xhi, xlo, xlo)
				VMOVSHDUP(xlo, xhi)
				VADDSS(xhi, xlo, xlo)
				VMOVSS(xlo, Mem{Base: y, Disp: i * 4})
			} else {
				VUNPCKHPD(xlo, xlo, xhi)
				VADDSD(xhi, xlo, xlo)
				VMOVSD(xlo, Mem{Base: y, Disp: i * 8})
			}
		}
		for range mr {
			ADDQ(lda, a)
		}
		ADDQ(Imm(uint64(mr*g.size())), y)
		SUBQ(Imm(uint64(mr)), m)
		JMP(LabelRef(label))
	}
	Label("end")
	VZEROUPPER()
	RET()
}

// combine emits y[j] += Σ_i x[i]·a(i,j), row after row.
func (g gen) combine() {
	TEXT(fmt.Sprintf("%scombine%s", g.prefix(), g.name), NOSPLIT,
		fmt.Sprintf("func(m, n int, a *%[1]s, lda int, x, y *%[1]s)", g.typ()))
	Pragma("noescape")
	m := Load(Param("m"), GP64())
	a := Load(Param("a"), GP64())
	x := Load(Param("x"), GP64())
	lda := g.stride("lda")
	for _, mr := range []int{8, 1} {
		label := fmt.Sprintf("rows%d", mr)
		next := "end"
		if mr > 1 {
			next = "rows1"
		}
		Label(label)
		CMPQ(m, Imm(uint64(mr)))
		JLT(LabelRef(next))
		r := rows{g: gen{strip: 8}, rsa: lda}
		r.ptr = make([]reg.Register, (mr+2)/3)
		for i := range r.ptr {
			r.ptr[i] = GP64()
			if i == 0 {
				MOVQ(a, r.ptr[0])
			} else {
				LEAQ(Mem{Base: r.ptr[i-1], Index: lda, Scale: 2}, r.ptr[i])
				ADDQ(lda, r.ptr[i])
			}
		}
		xv := make([]reg.VecPhysical, mr)
		for i := range xv {
			xv[i] = g.v(i)
			g.broadcast(Mem{Base: x, Disp: i * g.size()}, xv[i])
		}
		y := Load(Param("y"), GP64())
		n := Load(Param("n"), GP64())
		const unroll = 2
		step := func(j int, mask Op) {
			s, t := g.v(8+2*j), g.v(9+2*j)
			d := Mem{Base: y, Disp: j * g.width}
			g.load(d, mask, s)
			for i := range mr {
				at := r.at(i)
				at.Disp = j * g.width
				if mask == nil {
					g.fma(at, xv[i], s)
				} else {
					g.load(at, mask, t)
					g.fma(t, xv[i], s)
				}
			}
			g.store(s, mask, d)
		}
		advance := func(v int) {
			for _, p := range append(r.ptr, y) {
				ADDQ(U32(uint32(v*g.width)), p)
			}
		}
		SUBQ(U32(uint32(unroll*g.lanes())), n)
		JLT(LabelRef(label + "tail"))
		Label(label + "loop")
		for j := range unroll {
			step(j, nil)
		}
		advance(unroll)
		SUBQ(U32(uint32(unroll*g.lanes())), n)
		JGE(LabelRef(label + "loop"))
		Label(label + "tail")
		ADDQ(U32(uint32(unroll*g.lanes())), n)
		CMPQ(n, Imm(uint64(g.lanes())))
		JLT(LabelRef(label + "last"))
		step(0, nil)
		advance(1)
		SUBQ(Imm(uint64(g.lanes())), n)
		Label(label + "last")
		TESTQ(n, n)
		JE(LabelRef(label + "done"))
		mask := g.lanesFirst(n, g.v(12))
		step(0, mask)
		Label(label + "done")
		if mr == 8 {
			LEAQ(Mem{Base: a, Index: lda, Scale: 8}, a)
		} else {
			ADDQ(lda, a)
		}
		ADDQ(Imm(uint64(mr*g.size())), x)
		SUBQ(Imm(uint64(mr)), m)
		JMP(LabelRef(label))
	}
	Label("end")
	VZEROUPPER()
	RET()
}

// copyRows emits the packing copy: n bytes of every row, zeros up to the width of the packed row, which is written in
// whole vectors (so the last may write past its row, into the next or into slack).
func copyRows() {
	TEXT("copyRows", NOSPLIT, "func(dst *byte, width int, src *byte, stride, rows, n int)")
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	width := Load(Param("width"), GP64())
	src := Load(Param("src"), GP64())
	stride := Load(Param("stride"), GP64())
	rows := Load(Param("rows"), GP64())
	n := Load(Param("n"), GP64())
	TESTQ(rows, rows)
	JE(LabelRef("end"))
	CMPQ(n, width)
	JNE(LabelRef("general"))
	sizes := []int{192, 128, 96, 64, 32}
	for _, s := range sizes {
		CMPQ(n, U32(uint32(s)))
		JE(LabelRef(fmt.Sprintf("copy%d", s)))
	}
	JMP(LabelRef("general"))
	for _, s := range sizes {
		Label(fmt.Sprintf("copy%d", s))
		v := make([]reg.VecVirtual, s/32)
		for j := range v {
			v[j] = YMM()
			VMOVDQU(Mem{Base: src, Disp: 32 * j}, v[j])
		}
		for j := range v {
			VMOVDQU(v[j], Mem{Base: dst, Disp: 32 * j})
		}
		ADDQ(stride, src)
		ADDQ(width, dst)
		DECQ(rows)
		JNE(LabelRef(fmt.Sprintf("copy%d", s)))
		JMP(LabelRef("end"))
	}
	Label("general")
	mask, zero, v := YMM(), YMM(), YMM()
	VPXOR(zero, zero, zero)
	tail, t := GP64(), GP64()
	MOVQ(n, tail)
	ANDQ(Imm(31), tail)
	NEGQ(tail)
	LEAQ(masks, t)
	VMOVDQU(Mem{Base: t, Index: tail, Scale: 1, Disp: 32}, mask)
	whole := GP64()
	MOVQ(n, whole)
	ANDQ(I8(-32), whole)
	Label("row")
	j := GP64()
	XORQ(j, j)
	Label("vector")
	CMPQ(j, whole)
	JGE(LabelRef("tail"))
	VMOVDQU(Mem{Base: src, Index: j, Scale: 1}, v)
	VMOVDQU(v, Mem{Base: dst, Index: j, Scale: 1})
	ADDQ(Imm(32), j)
	JMP(LabelRef("vector"))
	Label("tail")
	TESTQ(tail, tail)
	JE(LabelRef("zero"))
	VPMASKMOVD(Mem{Base: src, Index: j, Scale: 1}, mask, v)
	VMOVDQU(v, Mem{Base: dst, Index: j, Scale: 1})
	ADDQ(Imm(32), j)
	Label("zero")
	CMPQ(j, width)
	JGE(LabelRef("next"))
	VMOVDQU(zero, Mem{Base: dst, Index: j, Scale: 1})
	ADDQ(Imm(32), j)
	JMP(LabelRef("zero"))
	Label("next")
	ADDQ(stride, src)
	ADDQ(width, dst)
	DECQ(rows)
	JNE(LabelRef("row"))
	Label("end")
	VZEROUPPER()
	RET()
}

// transpose emits dst(j,i) = src(i,j) for 32 bytes of rows i and n columns j, a multiple of as many.
func transpose(f32 bool) {
	g := gen{f32: f32, width: 32}
	TEXT(g.prefix()+"transpose", NOSPLIT, fmt.Sprintf("func(dst *%[1]s, dstride int, src *%[1]s, sstride, n int)", g.typ()))
	Pragma("noescape")
	dst := Load(Param("dst"), GP64())
	ds := g.stride("dstride")
	src := Load(Param("src"), GP64())
	ss := g.stride("sstride")
	n := Load(Param("n"), GP64())
	half := g.lanes() / 2 // rows i and i+half share a vector
	src2 := GP64()        // row half
	LEAQ(Mem{Base: src, Index: ss, Scale: uint8(half)}, src2)
	ss3, ds3 := GP64(), GP64()
	LEAQ(Mem{Base: ss, Index: ss, Scale: 2}, ss3)
	LEAQ(Mem{Base: ds, Index: ds, Scale: 2}, ds3)
	row := func(base, s, s3 reg.Register, i int) Mem {
		switch i {
		case 0:
			return Mem{Base: base}
		case 3:
			return Mem{Base: base, Index: s3, Scale: 1}
		}
		return Mem{Base: base, Index: s, Scale: uint8(i)}
	}
	Label("loop")
	SUBQ(Imm(uint64(g.lanes())), n)
	JLT(LabelRef("end"))
	for h := range 2 {
		v := make([]reg.VecVirtual, half)
		for i := range v {
			lo, hi := row(src, ss, ss3, i), row(src2, ss, ss3, i)
			lo.Disp, hi.Disp = 16*h, 16*h
			v[i] = YMM()
			VMOVUPD(lo, v[i].AsX())
			VINSERTF128(Imm(1), hi, v[i], v[i])
		}
		out := make([]reg.VecVirtual, half)
		for i := range out {
			out[i] = YMM()
		}
		if f32 {
			t := []reg.VecVirtual{YMM(), YMM(), YMM(), YMM()}
			VUNPCKLPS(v[1], v[0], t[0])
			VUNPCKHPS(v[1], v[0], t[1])
			VUNPCKLPS(v[3], v[2], t[2])
			VUNPCKHPS(v[3], v[2], t[3])
			VUNPCKLPD(t[2], t[0], out[0])
			VUNPCKHPD(t[2], t[0], out[1])
			VUNPCKLPD(t[3], t[1], out[2])
			VUNPCKHPD(t[3], t[1], out[3])
		} else {
			VUNPCKLPD(v[1], v[0], out[0])
			VUNPCKHPD(v[1], v[0], out[1])
		}
		for i := range out {
			VMOVUPD(out[i], row(dst, ds, ds3, i))
		}
		LEAQ(Mem{Base: dst, Index: ds, Scale: uint8(half)}, dst)
	}
	ADDQ(Imm(32), src)
	ADDQ(Imm(32), src2)
	JMP(LabelRef("loop"))
	Label("end")
	VZEROUPPER()
	RET()
}
