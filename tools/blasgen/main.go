// Command blasgen writes the assembly of internal/blas: the micro-kernels of matrix products and triangular solves,
// the dot products and combinations of rows behind Gemv, the copies that pack operands, and the loop that measures
// the peak of fused multiply-adds. It is run by go generate in internal/blas.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gen is one instruction set at one precision.
type gen struct {
	name  string // suffix of the functions
	f32   bool
	width int // bytes of a vector
	nreg  int
	strip int // rows of a tile
	wide  int // vectors of the widest tile
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

// v is vector register i. The vectors are numbered by hand: with none to spare the allocator does not find a way.
func (g gen) v(i int) reg.VecPhysical {
	if g.zmm() {
		return [...]reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10,
			reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22,
			reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}[i]
	}
	return [...]reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10,
		reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}[i]
}

func xmm(i int) reg.VecPhysical {
	return [...]reg.VecPhysical{reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7, reg.X8, reg.X9, reg.X10,
		reg.X11, reg.X12, reg.X13, reg.X14, reg.X15}[i]
}

func (g gen) zero(v reg.Register) {
	if g.zmm() {
		VPXORQ(v, v, v)
	} else {
		VXORPD(v, v, v)
	}
}

func (g gen) mov(src, dst Op) {
	if g.f32 {
		VMOVUPS(src, dst)
	} else {
		VMOVUPD(src, dst)
	}
}

// load is mov, of the masked lanes only when a mask is given (the others become zero).
func (g gen) load(m Mem, k Op, dst reg.Register) {
	switch {
	case k == nil:
		g.mov(m, dst)
	case g.zmm() && g.f32:
		VMOVUPS_Z(m, k, dst)
	case g.zmm():
		VMOVUPD_Z(m, k, dst)
	case g.f32:
		VMASKMOVPS(m, k, dst)
	default:
		VMASKMOVPD(m, k, dst)
	}
}

func (g gen) store(src reg.Register, k Op, m Mem) {
	switch {
	case k == nil:
		g.mov(src, m)
	case g.zmm() && g.f32:
		VMOVUPS(src, k, m)
	case g.zmm():
		VMOVUPD(src, k, m)
	case g.f32:
		VMASKMOVPS(src, k, m)
	default:
		VMASKMOVPD(src, k, m)
	}
}

func (g gen) broadcast(m Op, dst reg.Register) {
	if g.f32 {
		VBROADCASTSS(m, dst)
	} else {
		VBROADCASTSD(m, dst)
	}
}

// fma is z += x·y.
func (g gen) fma(x, y, z Op) {
	if g.f32 {
		VFMADD231PS(x, y, z)
	} else {
		VFMADD231PD(x, y, z)
	}
}

// fmaBroadcast is z += x·y with the number at x in every lane (AVX-512).
func (g gen) fmaBroadcast(x Mem, y, z Op) {
	if g.f32 {
		VFMADD231PS_BCST(x, y, z)
	} else {
		VFMADD231PD_BCST(x, y, z)
	}
}

// fnma is z −= x·y.
func (g gen) fnma(x, y, z Op) {
	if g.f32 {
		VFNMADD231PS(x, y, z)
	} else {
		VFNMADD231PD(x, y, z)
	}
}

// fms is z = x·y − z.
func (g gen) fms(x, y, z Op) {
	if g.f32 {
		VFMSUB231PS(x, y, z)
	} else {
		VFMSUB231PD(x, y, z)
	}
}

func (g gen) mul(x, y, z Op) {
	if g.f32 {
		VMULPS(x, y, z)
	} else {
		VMULPD(x, y, z)
	}
}

func (g gen) add(x, y, z Op) {
	if g.f32 {
		VADDPS(x, y, z)
	} else {
		VADDPD(x, y, z)
	}
}

// bytes turns a stride in elements into bytes.
func (g gen) bytes(r reg.Register) reg.Register {
	if g.f32 {
		SHLQ(Imm(2), r)
	} else {
		SHLQ(Imm(3), r)
	}
	return r
}

func (g gen) stride(name string) reg.Register { return g.bytes(Load(Param(name), GP64())) }

func param(name string) Mem {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// lanesOf returns the mask of the last of nv vectors that hold n elements: a K register, or for AVX2 a vector.
func (g gen) lanesOf(n reg.Register, nv int, v reg.VecPhysical) reg.Register {
	if nv > 1 {
		SUBQ(U32(uint32((nv-1)*g.lanes())), n)
	}
	return g.lanesFirst(n, v)
}

var masks Mem

// lanesFirst is the mask of the first n lanes.
func (g gen) lanesFirst(n reg.Register, v reg.VecPhysical) reg.Register {
	if g.zmm() {
		one := GP32()
		MOVL(U32(0xffffffff), one)
		BZHIL(n.(reg.GPVirtual).As32(), one, one)
		k := K()
		KMOVW(one, k)
		return k
	}
	t := GP64()
	LEAQ(masks, t)
	s := GP64()
	MOVQ(n, s)
	NEGQ(s)
	g.bytes(s)
	VMOVDQU(Mem{Base: t, Index: s, Scale: 1, Disp: 32}, v)
	return v
}

// rows addresses the rows of a tile of the left operand: one pointer for every three rows of a strip.
type rows struct {
	g   gen
	ptr []reg.Register
	rsa reg.Register
}

func pointers(mr, strip int) int {
	if mr > strip {
		return pointers(strip, strip) + pointers(mr-strip, strip)
	}
	return (mr + 2) / 3
}

func (r rows) at(i int) Mem {
	base := 0
	if i >= r.g.strip {
		base = pointers(r.g.strip, r.g.strip)
		i -= r.g.strip
	}
	p := r.ptr[base+i/3]
	switch i % 3 {
	case 0:
		return Mem{Base: p}
	case 1:
		return Mem{Base: p, Index: r.rsa, Scale: 1}
	}
	return Mem{Base: p, Index: r.rsa, Scale: 2}
}

// tile emits acc[i][j] = Σ_k a(i,k)·b(k,j) for mr rows and nv vectors.
type tile struct {
	acc    [][]reg.VecPhysical
	bv, bc []reg.VecPhysical
	rows   rows
}

func (g gen) product(label string, mr, nv, unroll int, a, rsa, csa, rsb reg.Register, k Op, prefetch bool) tile {
	t := tile{rows: rows{g: g, rsa: rsa}}
	np := pointers(mr, g.strip)
	t.rows.ptr = make([]reg.Register, np)
	first := pointers(min(mr, g.strip), g.strip)
	for i := range t.rows.ptr {
		p := GP64()
		t.rows.ptr[i] = p
		switch i {
		case 0:
			MOVQ(a, p)
		case first:
			MOVQ(param("astep"), p)
			g.bytes(p)
			ADDQ(a, p)
		default:
			LEAQ(Mem{Base: t.rows.ptr[i-1], Index: rsa, Scale: 2}, p)
			ADDQ(rsa, p)
		}
	}
	pb := Load(Param("b"), GP64())
	kk := Load(Param("k"), GP64())
	next := 0
	take := func() reg.VecPhysical { next++; return g.v(next - 1) }
	t.acc = make([][]reg.VecPhysical, mr)
	for i := range t.acc {
		t.acc[i] = make([]reg.VecPhysical, nv)
		for j := range t.acc[i] {
			t.acc[i][j] = take()
			g.zero(t.acc[i][j])
		}
	}
	t.bv = make([]reg.VecPhysical, nv)
	for j := range t.bv {
		t.bv[j] = take()
	}
	t.bc = make([]reg.VecPhysical, min(4, g.nreg-next))
	for j := range t.bc {
		t.bc[j] = take()
	}
	var ahead [3]reg.Register
	if prefetch {
		// What the rows hold further on when their elements lie side by side: the next strip is too far away for the
		// nearest cache then. Else the next strip, which shares lines or neighbours with this one, but not where loads
		// are the bound.
		ahead[0] = GP64()
		if nv == 1 {
			XORQ(ahead[0], ahead[0])
		} else {
			MOVQ(param("astep"), ahead[0])
			g.bytes(ahead[0])
		}
		side := GP64()
		MOVQ(U32(512), side)
		CMPQ(csa, Imm(uint64(g.size())))
		CMOVQEQ(side, ahead[0])
		for i := 1; i < 3; i++ {
			ahead[i] = GP64()
			LEAQ(Mem{Base: ahead[i-1], Index: rsa, Scale: 1}, ahead[i])
		}
	}
	body := func(u int) {
		for j := range nv {
			var mask Op
			if j == nv-1 && g.zmm() {
				mask = k
			}
			g.load(Mem{Base: pb, Disp: j * g.width}, mask, t.bv[j])
		}
		ADDQ(rsb, pb)
		for i := range mr {
			if nv == 1 && g.zmm() {
				g.fmaBroadcast(t.rows.at(i), t.bv[0], t.acc[i][0])
				continue
			}
			bc := t.bc[i%len(t.bc)]
			g.broadcast(t.rows.at(i), bc)
			for j := range nv {
				g.fma(t.bv[j], bc, t.acc[i][j])
			}
		}
		if prefetch {
			for i := u; i < mr; i += unroll {
				PREFETCHT0(Mem{Base: t.rows.ptr[i/3], Index: ahead[i%3], Scale: 1})
			}
		}
		for _, p := range t.rows.ptr {
			ADDQ(csa, p)
		}
	}
	if unroll > 1 {
		SUBQ(Imm(uint64(unroll)), kk)
		JLT(LabelRef(label + "tail"))
		Label(label + "loop")
		for u := range unroll {
			body(u)
		}
		SUBQ(Imm(uint64(unroll)), kk)
		JGE(LabelRef(label + "loop"))
		Label(label + "tail")
		ADDQ(Imm(uint64(unroll)), kk)
	} else {
		TESTQ(kk, kk)
	}
	JE(LabelRef(label + "sum"))
	Label(label + "one")
	body(unroll)
	DECQ(kk)
	JNE(LabelRef(label + "one"))
	Label(label + "sum")
	return t
}

// gemm emits c(i,j) = alpha·Σ_k a(i,k)·b(k,j) + beta·c(i,j) for i < m and j < n ≤ nv vectors.
func (g gen) gemm(nv int) {
	TEXT(fmt.Sprintf("%sgemm%sx%d", g.prefix(), g.name, nv), NOSPLIT,
		fmt.Sprintf("func(m, k int, a *%[1]s, rsa, csa, astep int, b *%[1]s, rsb int, c *%[1]s, ldc int, alpha, beta %[1]s, n int)", g.typ()))
	Pragma("noescape")
	m := Load(Param("m"), GP64())
	a := Load(Param("a"), GP64())
	c := Load(Param("c"), GP64())
	rsa, csa, rsb := g.stride("rsa"), g.stride("csa"), g.stride("rsb")
	var k reg.Register
	if g.zmm() {
		k = g.lanesOf(Load(Param("n"), GP64()), nv, nil)
	}
	heights := []int{8, 4, 3, 2, 1}
	if g.strip == 4 && nv > 1 { // with one vector, four sums would wait for each other
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
		unroll := 1
		if mr >= g.strip {
			unroll = 4
			if nv == 1 && g.zmm() {
				unroll = 8 // loads are what bounds it, prefetches among them
			}
		}
		if mr >= 4 {
			p, ldc := GP64(), g.stride("ldc")
			MOVQ(c, p)
			for i := range mr {
				if i > 0 {
					ADDQ(ldc, p)
				}
				for at := 0; at < nv*g.width; at += 64 {
					PREFETCHT0(Mem{Base: p, Disp: at})
				}
			}
		}
		t := g.product(label, mr, nv, unroll, a, rsa, csa, rsb, k, mr == g.strip && g.zmm())
		g.update(label, t, nv, c, k)
		switch {
		case mr >= g.strip:
			s := g.stride("astep")
			ADDQ(s, a)
			if mr > g.strip {
				ADDQ(s, a)
			}
		case mr == 4:
			LEAQ(Mem{Base: a, Index: rsa, Scale: 4}, a)
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

// update writes a tile into c and moves c behind it.
func (g gen) update(label string, t tile, nv int, c reg.Register, k Op) {
	mr := len(t.acc)
	ldc := g.stride("ldc")
	free := append(append([]reg.VecPhysical(nil), t.bc...), t.bv...) // four at least
	alpha, beta, scratch := free[0], free[1], free[2]
	g.broadcast(param("alpha"), alpha)
	b := GP64()
	if g.f32 {
		MOVL(param("beta"), b.As32())
		SHLL(Imm(1), b.As32())
	} else {
		MOVQ(param("beta"), b)
		SHLQ(Imm(1), b)
	}
	// each calls f for every vector of the tile, the last of a row with the mask.
	each := func(mask Op, f func(acc reg.Register, d Mem, mask Op)) {
		for i := range mr {
			for j := range nv {
				if j == nv-1 {
					f(t.acc[i][j], Mem{Base: c, Disp: j * g.width}, mask)
				} else {
					f(t.acc[i][j], Mem{Base: c, Disp: j * g.width}, nil)
				}
			}
			ADDQ(ldc, c)
		}
	}
	write := func(mask Op) {
		each(mask, func(acc reg.Register, d Mem, mask Op) {
			g.mul(alpha, acc, acc)
			g.store(acc, mask, d)
		})
	}
	add := func(mask Op) {
		g.broadcast(param("beta"), beta)
		each(mask, func(acc reg.Register, d Mem, mask Op) {
			if mask == nil {
				g.mul(d, beta, scratch)
			} else {
				g.load(d, mask, scratch)
				g.mul(scratch, beta, scratch)
			}
			g.fma(acc, alpha, scratch)
			g.store(scratch, mask, d)
		})
	}
	done := LabelRef(label + "done")
	if g.zmm() {
		JNE(LabelRef(label + "add"))
		write(k)
		JMP(done)
		Label(label + "add")
		add(k)
		Label(label + "done")
		return
	}
	// AVX2: masked stores are slow, so only a partial last vector uses them.
	partial := func(then string) reg.Register {
		n := GP64()
		MOVQ(param("n"), n)
		CMPQ(n, Imm(uint64(nv*g.lanes())))
		JLT(LabelRef(label + then))
		return n
	}
	JNE(LabelRef(label + "add"))
	n := partial("cut")
	write(nil)
	JMP(done)
	Label(label + "cut")
	write(g.lanesOf(n, nv, free[3]))
	JMP(done)
	Label(label + "add")
	n = partial("addcut")
	add(nil)
	JMP(done)
	Label(label + "addcut")
	add(g.lanesOf(n, nv, free[3]))
	Label(label + "done")
}

// trsm emits the solution of one strip of rows: with s = alpha·c − Σ_k a(i,k)·b(k,j), forward substitution with the
// lower triangle that follows the k columns of a, whose diagonal holds reciprocals.
func (g gen) trsm(nv int) {
	TEXT(fmt.Sprintf("%strsm%sx%d", g.prefix(), g.name, nv), NOSPLIT,
		fmt.Sprintf("func(k int, a *%[1]s, rsa int, b *%[1]s, rsb int, c *%[1]s, alpha %[1]s, n int)", g.typ()))
	Pragma("noescape")
	a := Load(Param("a"), GP64())
	c := Load(Param("c"), GP64())
	rsa, rsb := g.stride("rsa"), g.stride("rsb")
	csa := GP64()
	MOVQ(U32(uint32(g.size())), csa)
	var k reg.Register
	if g.zmm() {
		k = g.lanesOf(Load(Param("n"), GP64()), nv, nil)
	}
	t := g.product("rows", g.strip, nv, 4, a, rsa, csa, rsb, k, false)
	alpha := t.bc[0]
	g.broadcast(param("alpha"), alpha)
	p := GP64()
	MOVQ(c, p)
	for i := range g.strip {
		for j := range nv {
			d := Mem{Base: p, Disp: j * g.width}
			if g.zmm() && j == nv-1 {
				g.load(d, k, t.bv[j])
			} else {
				g.mov(d, t.bv[j])
			}
			g.fms(alpha, t.bv[j], t.acc[i][j])
		}
		ADDQ(rsb, p)
	}
	q := 0
	for l := range g.strip {
		for i := l; i < g.strip; i++ {
			bc := t.bc[q%len(t.bc)]
			q++
			at := t.rows.at(i)
			at.Disp += l * g.size()
			g.broadcast(at, bc)
			for j := range nv {
				if i == l {
					g.mul(bc, t.acc[l][j], t.acc[l][j])
				} else {
					g.fnma(t.acc[l][j], bc, t.acc[i][j])
				}
			}
		}
	}
	for i := range g.strip {
		for j := range nv {
			var mask Op
			if g.zmm() && j == nv-1 {
				mask = k
			}
			g.store(t.acc[i][j], mask, Mem{Base: c, Disp: j * g.width})
		}
		if i+1 < g.strip {
			ADDQ(rsb, c)
		}
	}
	VZEROUPPER()
	RET()
}

// peak emits a loop of independent fused multiply-adds: fmas(n) executes n·count of them.
func (g gen) peak() int {
	const count = 12
	TEXT(fmt.Sprintf("%sfma%s", g.prefix(), g.name), NOSPLIT, "func(n int)")
	Doc(fmt.Sprintf("%sfma%s executes %d·n independent fused multiply-adds of vectors.", g.prefix(), g.name, count))
	n := Load(Param("n"), GP64())
	x := g.v(count)
	g.zero(x)
	acc := make([]reg.VecPhysical, count)
	for i := range acc {
		acc[i] = g.v(i)
		g.zero(acc[i])
	}
	Label("loop")
	for i := range acc {
		g.fma(x, x, acc[i])
	}
	DECQ(n)
	JNE(LabelRef("loop"))
	VZEROUPPER()
	RET()
	return count
}

func main() {
	ConstraintExpr("amd64,!noasm")
	masks = GLOBL("masks", RODATA|NOPTR)
	for i := range 16 {
		v := uint32(0xffffffff)
		if i >= 8 {
			v = 0
		}
		DATA(4*i, U32(v))
	}
	for _, f32 := range []bool{false, true} {
		for _, g := range []gen{
			{name: "AVX512", f32: f32, width: 64, nreg: 32, strip: 8, wide: 3},
			{name: "AVX2", f32: f32, width: 32, nreg: 16, strip: 4, wide: 3},
		} {
			for nv := 1; nv <= g.wide; nv++ {
				g.gemm(nv)
				g.trsm(nv)
			}
			g.pairs()
			g.dot()
			g.combine()
			g.peak()
		}
		transpose(f32)
	}
	copyRows()
	Generate()
}
