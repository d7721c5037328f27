// Command csrgen writes the assembly of internal/csr: products of a sparse row with a block of dense rows held
// transposed, the updates that go the other way, and the transposition of the blocks. It is run by go generate in
// internal/csr.
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

func (g gen) vec() reg.VecVirtual {
	if g.zmm() {
		return ZMM()
	}
	return YMM()
}

func (g gen) vecs(n int) []reg.VecVirtual {
	v := make([]reg.VecVirtual, n)
	for i := range v {
		v[i] = g.vec()
	}
	return v
}

func (g gen) zero(v reg.Register) {
	if g.zmm() {
		VPXORQ(v, v, v)
	} else {
		VXORPD(v, v, v)
	}
}

// sum adds x to z, or b·x with a factor.
func (g gen) sum(x Op, b, z reg.Register) {
	switch {
	case b == nil && g.f32:
		VADDPS(x, z, z)
	case b == nil:
		VADDPD(x, z, z)
	case g.f32:
		VFMADD231PS(x, b, z)
	default:
		VFMADD231PD(x, b, z)
	}
}

// walk is the frame of both kernels: it calls each for every stored element of a row, with the address of the line of w
// that belongs to its column, and the factor unless all are one.
type walk struct {
	g          gen
	nv         int
	ptr, ind   reg.Register
	val, w     reg.Register
	k, end, at reg.Register
}

func (g gen) walk(nv int, factors bool) walk {
	x := walk{g: g, nv: nv, ptr: Load(Param("ptr"), GP64()), ind: Load(Param("ind"), GP64()), w: Load(Param("w"), GP64()), k: GP64(), end: GP64(), at: GP64()}
	if factors {
		x.val = Load(Param("val"), GP64())
	}
	MOVQ(Mem{Base: x.ptr}, x.k)
	return x
}

func (x walk) row(each func(at reg.Register, b reg.Register)) {
	MOVQ(Mem{Base: x.ptr, Disp: 8}, x.end)
	ADDQ(Imm(8), x.ptr)
	CMPQ(x.k, x.end)
	JGE(LabelRef("empty"))
	Label("element")
	MOVLQSX(Mem{Base: x.ind, Index: x.k, Scale: 4}, x.at)
	shift := 0
	for 1<<shift < x.nv*x.g.width {
		shift++
	}
	SHLQ(Imm(uint64(shift)), x.at)
	ADDQ(x.w, x.at)
	var b reg.Register
	if x.val != nil {
		b = x.g.vec()
		if x.g.f32 {
			VBROADCASTSS(Mem{Base: x.val, Index: x.k, Scale: 4}, b)
		} else {
			VBROADCASTSD(Mem{Base: x.val, Index: x.k, Scale: 8}, b)
		}
	}
	each(x.at, b)
	INCQ(x.k)
	CMPQ(x.k, x.end)
	JLT(LabelRef("element"))
	Label("empty")
}

func (g gen) function(what string, nv int, factors bool, other string) {
	name, val := what, ""
	if factors {
		name, val = what+"Scaled", fmt.Sprintf(" val *%s,", g.typ())
	}
	TEXT(fmt.Sprintf("%s%s%sx%d", g.prefix(), name, g.name, nv), NOSPLIT, fmt.Sprintf("func(n int, ptr *int, ind *int32,%s w, %s *%s)", val, other, g.typ()))
	Pragma("noescape")
}

// gather emits h(m,:) = Σ_k val[k]·w(ind[k],:) for n rows m of a sparse matrix.
func (g gen) gather(nv int, factors bool) {
	g.function("gather", nv, factors, "h")
	n := Load(Param("n"), GP64())
	h := Load(Param("h"), GP64())
	x := g.walk(nv, factors)
	acc := g.vecs(nv)
	Label("row")
	for _, v := range acc {
		g.zero(v)
	}
	x.row(func(at, b reg.Register) {
		for j, v := range acc {
			g.sum(Mem{Base: at, Disp: j * g.width}, b, v)
		}
	})
	for j, v := range acc {
		VMOVUPD(v, Mem{Base: h, Disp: j * g.width})
	}
	ADDQ(U32(uint32(nv*g.width)), h)
	DECQ(n)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// scatter emits w(ind[k],:) += val[k]·e(m,:) for n rows m of a sparse matrix.
func (g gen) scatter(nv int, factors bool) {
	g.function("scatter", nv, factors, "e")
	n := Load(Param("n"), GP64())
	e := Load(Param("e"), GP64())
	x := g.walk(nv, factors)
	ev, t := g.vecs(nv), g.vecs(nv)
	Label("row")
	for j, v := range ev {
		VMOVUPD(Mem{Base: e, Disp: j * g.width}, v)
	}
	ADDQ(U32(uint32(nv*g.width)), e)
	x.row(func(at, b reg.Register) {
		for j, v := range ev {
			d := Mem{Base: at, Disp: j * g.width}
			if b == nil {
				if g.f32 {
					VADDPS(d, v, t[j])
				} else {
					VADDPD(d, v, t[j])
				}
			} else {
				VMOVUPD(d, t[j])
				g.sum(v, b, t[j])
			}
		}
		for j := range ev {
			VMOVUPD(t[j], Mem{Base: at, Disp: j * g.width})
		}
	})
	DECQ(n)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// transpose emits dst(j,i) = src(i,j) for n square tiles as wide as a vector, from each of which to the next is a step.
func (g gen) transpose() {
	TEXT(fmt.Sprintf("%stranspose%s", g.prefix(), g.name), NOSPLIT, fmt.Sprintf("func(n int, dst *%[1]s, ldd, stepd int, src *%[1]s, lds, steps int)", g.typ()))
	Pragma("noescape")
	n := Load(Param("n"), GP64())
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	stride := func(name string) reg.Register {
		r := Load(Param(name), GP64())
		if g.f32 {
			SHLQ(Imm(2), r)
		} else {
			SHLQ(Imm(3), r)
		}
		return r
	}
	ldd, stepd, lds, steps := stride("ldd"), stride("stepd"), stride("lds"), stride("steps")
	inner := 16 / g.size() // columns in a lane of 128 bits
	Label("tile")
	// q[i][c] has in its lane l column l·inner + c of rows inner·i ….
	p := GP64()
	MOVQ(src, p)
	q := make([][]reg.VecVirtual, g.lanes()/inner)
	for i := range q {
		r := g.vecs(inner)
		for _, v := range r {
			VMOVUPD(Mem{Base: p}, v)
			ADDQ(lds, p)
		}
		q[i] = g.vecs(inner)
		if !g.f32 {
			VUNPCKLPD(r[1], r[0], q[i][0])
			VUNPCKHPD(r[1], r[0], q[i][1])
			continue
		}
		t := g.vecs(4)
		VUNPCKLPS(r[1], r[0], t[0])
		VUNPCKHPS(r[1], r[0], t[1])
		VUNPCKLPS(r[3], r[2], t[2])
		VUNPCKHPS(r[3], r[2], t[3])
		VUNPCKLPD(t[2], t[0], q[i][0])
		VUNPCKHPD(t[2], t[0], q[i][1])
		VUNPCKLPD(t[3], t[1], q[i][2])
		VUNPCKHPD(t[3], t[1], q[i][3])
	}
	// Lane l of column c of all q is column l·inner + c.
	ld, out := GP64(), make([]reg.Register, g.lanes()/inner)
	IMUL3Q(Imm(uint64(inner)), ldd, ld)
	for l := range out {
		out[l] = GP64()
		if l == 0 {
			MOVQ(dst, out[0])
		} else {
			LEAQ(Mem{Base: out[l-1], Index: ld, Scale: 1}, out[l])
		}
	}
	for c := range inner {
		put := func(l int, v reg.Register) {
			VMOVUPD(v, Mem{Base: out[l]})
			if c+1 < inner {
				ADDQ(ldd, out[l])
			}
		}
		if !g.zmm() {
			for l, imm := range []uint64{0x20, 0x31} {
				v := g.vec()
				VPERM2F128(Imm(imm), q[1][c], q[0][c], v)
				put(l, v)
			}
			continue
		}
		lanes := []uint64{0x88, 0xdd} // the even ones of both operands, the odd ones
		for odd, imm := range lanes {
			u, v := g.vec(), g.vec()
			VSHUFF64X2(Imm(imm), q[1][c], q[0][c], u)
			VSHUFF64X2(Imm(imm), q[3][c], q[2][c], v)
			for high, imm := range lanes {
				o := g.vec()
				VSHUFF64X2(Imm(imm), v, u, o)
				put(odd+2*high, o)
			}
		}
	}
	ADDQ(stepd, dst)
	ADDQ(steps, src)
	DECQ(n)
	JNE(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

func main() {
	ConstraintExpr("amd64,!noasm")
	for _, g := range []gen{
		{name: "AVX512", width: 64}, {name: "AVX2", width: 32}, {name: "AVX512", width: 64, f32: true}, {name: "AVX2", width: 32, f32: true},
	} {
		for _, nv := range []int{1, 2, 4} {
			for _, factors := range []bool{false, true} {
				g.gather(nv, factors)
				g.scatter(nv, factors)
			}
		}
		g.transpose()
	}
	Generate()
}
