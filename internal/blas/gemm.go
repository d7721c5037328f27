package blas

import "runtime"

// Blocks of the algorithm, in elements. The reduction over k is cut in equal parts of at most reduction elements,
// whatever the kernels and the division of work.
const (
	reduction   = 384
	blockRows   = 144
	blockCols   = 1536
	packCols    = 512     // the left operand is packed when this many columns use it and its stride is a multiple of
	packStride  = 2048    // so many bytes, at which its rows compete for the same lines of the caches
	serialWork  = 1 << 23 // multiplications below which one goroutine does all
	unpackedMax = 48      // rows below which the right operand is used where it lies

	narrow = 2048 // reduction for few columns
	// Elements of a right operand that is packed once for all goroutines when several would pack the same part.
	sharedMax = 1 << 20
)

// elements says which elements of the result are wanted.
type elements int8

const (
	all elements = iota
	lower
	upper
)

// product is C ← alpha·A·B + beta·C with A(i,l) = a[i·rsa+l·csa] and B(l,j) = b[l·rsb+j·csb].
type product[T real] struct {
	m, n, k     int
	alpha, beta T
	a           []T
	rsa, csa    int
	b           []T
	rsb, csb    int
	c           []T
	ldc         int
	part        elements
	packed      []T // all of B in panels, when it is shared by the goroutines of a call

	// How few columns are treated: by the shape of the whole call, not of a part of it, and not of a transposed
	// product.
	pairs, narrow, transposed bool
}

// strides of op(X) for a row-major X.
func strides(trans bool, ld int) (rs, cs int) {
	if trans {
		return 1, ld
	}
	return ld, 1
}

// reductionBlock is the length of the parts in which k is summed, longer for few columns, of which more rows fit into a
// cache: long runs along the rows of A are read faster.
func (p *product[T]) reductionBlock() int {
	k, most := p.k, reduction
	if p.narrow {
		most = narrow
	}
	parts := (k + most - 1) / most
	if parts <= 1 {
		return max(k, 1)
	}
	return ((k+parts-1)/parts + 7) &^ 7
}

// direct reports whether B can be read where it lies.
func (ks *kernels[T]) direct(p *product[T], rows int) bool {
	if p.csb != 1 {
		return false
	}
	if rows <= unpackedMax {
		return true
	}
	if p.n < ks.lanes {
		return false // most of its rows would lie across two lines
	}
	bytes := p.rsb * sizeof[T]()
	return bytes*min(p.k, reduction) <= 1<<18 && bytes%1024 != 0
}

// few sets how few columns are treated. It does not depend on the number of rows.
func (p *product[T]) few() {
	bytes := p.n * sizeof[T]()
	if p.part != all || p.transposed || p.csa != 1 {
		return
	}
	p.pairs = bytes <= 32 && p.k > 1
	p.narrow = bytes <= 64 && p.csb == 1
}

// pair computes rows [i0, i1) of a product with few columns. Rows l and l+1 of B lie together in 64 bytes, their
// elements alternating.
func (ks *kernels[T]) pair(p *product[T], ws *workspace[T], i0, i1 int) {
	width := 64 / sizeof[T]()
	for pc := 0; pc < p.k; pc += narrow {
		kb := min(narrow, p.k-pc)
		b := grow(&ws.b, ceil(kb, 2)*width)
		clear(b)
		for l := range kb {
			src := p.b[(pc+l)*p.rsb:]
			d := b[l/2*width+l%2:]
			for j := range p.n {
				d[2*j] = src[j*p.csb]
			}
		}
		beta := p.beta
		if pc > 0 {
			beta = 1
		}
		step := max(asmWork/kb&^7, 8)
		for i := i0; i < i1; i += step {
			ks.pairs(min(step, i1-i), kb, &p.a[i*p.rsa+pc], p.rsa, &b[0], &p.c[i*p.ldc], p.ldc, p.alpha, beta, p.n)
		}
	}
}

// block computes C[i0:i1, j0:j1]. The arithmetic of an element is the same in whichever block it lies.
func (ks *kernels[T]) block(p *product[T], ws *workspace[T], i0, i1, j0, j1 int) {
	if p.pairs {
		ks.pair(p, ws, i0, i1)
		return
	}
	kc := p.reductionBlock()
	direct := p.packed == nil && ks.direct(p, i1-i0)
	var bp []T
	for jc := j0; jc < j1; jc += blockCols {
		nc := min(blockCols, j1-jc)
		packA := nc >= packCols && max(p.rsa, p.csa)*sizeof[T]()%packStride == 0
		for pc := 0; pc < p.k; pc += kc {
			kb := min(kc, p.k-pc)
			beta := p.beta
			if pc > 0 {
				beta = 1
			}
			if p.packed != nil {
				bp = p.packed[pc*ks.vectors(p.n)*ks.lanes+jc*kb:]
			} else if !direct {
				bp = grow(&ws.b, ks.vectors(nc)*ks.lanes*kb)
				ks.packRight(bp, p, pc, kb, jc, nc)
			} else if !ks.masked && nc%ks.lanes != 0 {
				// Only the last, partial panel.
				bp = grow(&ws.b, ks.panel()*kb)
				last := nc / ks.panel() * ks.panel()
				ks.packRight(bp, p, pc, kb, jc+last, nc-last)
			}
			for ic := i0; ic < i1; ic += blockRows {
				mc := min(blockRows, i1-ic)
				if p.part == lower && jc > ic+mc-1 || p.part == upper && jc+nc-1 < ic {
					continue
				}
				a := ks.left(p, ws, packA, ic, mc, pc, kb)
				for j := 0; j < nc; j += ks.panel() {
					w := min(ks.panel(), nc-j)
					v := ks.vectors(w)
					var b *T
					rsb := v * ks.lanes
					switch {
					case !direct:
						b = &bp[j*kb]
					case ks.masked || w%ks.lanes == 0:
						b, rsb = &p.b[pc*p.rsb+jc+j], p.rsb
					default:
						b = &bp[0]
					}
					r0, r1, t0, t1 := p.split(ks.strip, ic, mc, jc+j, w)
					if r1 > r0 {
						ks.gemm[v](r1-r0, kb, &a.data[r0/ks.strip*a.step], a.rs, a.cs, a.step, b, rsb,
							&p.c[(ic+r0)*p.ldc+jc+j], p.ldc, p.alpha, beta, w)
					}
					if t1 > t0 {
						ks.diagonal(p, ws, ic+t0, jc+j, t1-t0, w, kb, a, t0/ks.strip*a.step, b, rsb, beta)
					}
				}
			}
		}
	}
}

// leftBlock is a block of A as the kernels read it.
type leftBlock[T real] struct {
	data         []T
	rs, cs, step int
}

// left returns A[ic:ic+mc, pc:pc+kb], copied if so wanted: the rows as they are stored, but close together.
func (ks *kernels[T]) left(p *product[T], ws *workspace[T], packed bool, ic, mc, pc, kb int) leftBlock[T] {
	a := leftBlock[T]{p.a[ic*p.rsa+pc*p.csa:], p.rsa, p.csa, ks.strip * p.rsa}
	if !packed {
		return a
	}
	rows, cols, ld := mc, kb, p.rsa
	if p.rsa == 1 {
		rows, cols, ld = kb, mc, p.csa
	}
	width := cols + 64/sizeof[T]()
	d := grow(&ws.a, rows*width)
	for i := range rows {
		copy(d[i*width:i*width+cols], a.data[i*ld:])
	}
	if p.rsa == 1 {
		return leftBlock[T]{d, 1, width, ks.strip}
	}
	return leftBlock[T]{d, width, 1, ks.strip * width}
}

// split divides the rows ic..ic+mc of the panel of w columns at j: rows [r0, r1) of the block are written whole,
// [t0, t1) meet the diagonal. Both start at a strip.
func (p *product[T]) split(strip, ic, mc, j, w int) (r0, r1, t0, t1 int) {
	switch p.part {
	case upper:
		whole, end := min(mc, max(0, j+1-ic)), min(mc, max(0, j+w-ic))
		if end == whole {
			return 0, whole, 0, 0
		}
		r1 = whole / strip * strip
		return 0, r1, r1, end
	case lower:
		r0 = min(mc, ceil(max(0, j+w-1-ic), strip)*strip)
		return r0, mc, max(0, j-ic) / strip * strip, r0
	}
	return 0, mc, 0, 0
}

// diagonal computes a tile that crosses the diagonal, of which only one side is written.
func (ks *kernels[T]) diagonal(p *product[T], ws *workspace[T], i0, j0, m, n, k int, a leftBlock[T], at int, b *T,
	rsb int, beta T) {
	ld := ks.panel()
	t := grow(&ws.tile, m*ld)
	side := func(i int) (lo, hi int) {
		if p.part == lower {
			return 0, max(0, min(n, i0+i-j0+1))
		}
		return min(n, max(0, i0+i-j0)), n
	}
	if beta != 0 {
		for i := range m {
			lo, hi := side(i)
			copy(t[i*ld+lo:i*ld+hi], p.c[(i0+i)*p.ldc+j0+lo:])
		}
	}
	ks.gemm[ks.vectors(n)](m, k, &a.data[at], a.rs, a.cs, a.step, b, rsb, &t[0], ld, p.alpha, beta, n)
	for i := range m {
		if lo, hi := side(i); lo < hi {
			copy(p.c[(i0+i)*p.ldc+j0+lo:(i0+i)*p.ldc+j0+hi], t[i*ld+lo:])
		}
	}
}

// packRight packs B[pc:pc+kb, jc:jc+nc] in panels, each of kb rows and as many whole vectors as it needs.
func (ks *kernels[T]) packRight(dst []T, p *product[T], pc, kb, jc, nc int) {
	nr := ks.panel()
	for j := 0; j < nc; j += nr {
		w := min(nr, nc-j)
		width := ks.vectors(w) * ks.lanes
		d := dst[j*kb : j*kb+width*kb]
		src := p.b[pc*p.rsb+(jc+j)*p.csb:]
		if p.csb == 1 {
			pack(d, width, src, p.rsb, kb, w)
			continue
		}
		ks.transposed(d, width, src, p.csb, w, kb)
		if w < width {
			for l := range kb {
				clear(d[l*width+w : (l+1)*width])
			}
		}
	}
}

// multiply computes a product.
func (ks *kernels[T]) multiply(p *product[T]) {
	if p.k == 0 || p.alpha == 0 {
		scale(p.m, p.n, p.beta, p.c, p.ldc, p.part)
		return
	}
	if p.n == 1 && p.part == all {
		trans, rows, cols, ld := false, p.m, p.k, p.rsa
		if p.csa != 1 {
			trans, rows, cols, ld = true, p.k, p.m, p.csa
		}
		ks.gemv(trans, rows, cols, p.alpha, p.a, ld, p.b, p.rsb, p.beta, p.c, p.ldc)
		return
	}
	p.few()
	// Vectors along the rows of C would be mostly empty.
	if p.part == all && !p.pairs && (p.rsa == 1 && p.csa != 1 && p.n < ks.lanes && p.m > p.n ||
		// B would be transposed for few rows of A
		p.csa == 1 && p.rsb == 1 && p.csb != 1 && p.m <= ks.panel() && p.n > 2*p.m) {
		ks.swapped(p)
		return
	}
	work := float64(p.m) * float64(p.n) * float64(p.k)
	if p.part != all {
		work /= 2
	}
	procs := 1
	if work >= serialWork {
		procs = runtime.GOMAXPROCS(0)
	}
	if procs == 1 {
		ws := ks.workspace()
		ks.block(p, ws, 0, p.m, 0, p.n)
		ks.release(ws)
		return
	}
	t := ks.team(ofProduct)
	t.product = *p
	t.down, t.across = ks.grid(p, procs)
	if size := ks.vectors(p.n) * ks.lanes * p.k; t.down > 1 && !p.pairs && !ks.direct(p, p.m/t.down) &&
		p.n <= blockCols && size <= sharedMax {
		t.product.packed = grow(&t.buf, size)
		t.packs = int64(min(ceil(p.n, ks.panel()), 4*procs))
	}
	t.run(t.down*t.across, procs)
	ks.dismiss(t)
}

// swapped computes Cᵀ = Bᵀ·Aᵀ.
func (ks *kernels[T]) swapped(p *product[T]) {
	ws := ks.workspace()
	t := grow(&ws.x, p.m*p.n)
	if p.beta != 0 {
		for i := range p.m {
			for j, v := range p.c[i*p.ldc : i*p.ldc+p.n] {
				t[j*p.m+i] = v
			}
		}
	}
	q := product[T]{m: p.n, n: p.m, k: p.k, alpha: p.alpha, beta: p.beta, a: p.b, rsa: p.csb, csa: p.rsb,
		b: p.a, rsb: p.csa, csb: p.rsa, c: t, ldc: p.m, transposed: true}
	ks.multiply(&q)
	for i := range p.m {
		row := p.c[i*p.ldc : i*p.ldc+p.n]
		for j := range row {
			row[j] = t[j*p.m+i]
		}
	}
	ks.release(ws)
}

func ceil(n, d int) int { return (n + d - 1) / d }

// grid returns into how many rows and columns of blocks C is cut, each block a task: several for each goroutine, to
// even out their speeds, unless the blocks would be so small that reading A and B again for each costs more. Every row
// of blocks packs B anew, so the columns are cut first when it is packed.
func (ks *kernels[T]) grid(p *product[T], procs int) (down, across int) {
	down, across = 1, 1
	if p.pairs {
		return min(4*procs, ceil(p.m, 2*ks.strip)), 1
	}
	columns := !ks.direct(p, p.m)
	cut := func(minRows, minCols, tasks int) {
		for down*across < tasks {
			r, c := p.m/down >= 2*minRows, p.n/across >= 2*minCols
			switch {
			case c && (columns || !r):
				across *= 2
			case r:
				down *= 2
			default:
				return
			}
		}
	}
	tasks := 4 * procs
	if p.part != all {
		tasks *= 2 // half of them are empty or nearly so
	}
	cut(8*ks.strip, 3*ks.panel(), tasks)
	cut(2*ks.strip, 3*ks.panel(), procs)
	cut(ks.strip, ks.panel(), procs)
	return down, across
}

// share returns the i-th of equal parts of n, in whole units.
func share(n, unit, parts, i int) (lo, hi int) {
	units := ceil(n, unit)
	return min(n, i*units/parts*unit), min(n, (i+1)*units/parts*unit)
}

// scale is C ← beta·C on a part of C.
func scale[T real](m, n int, beta T, c []T, ldc int, part elements) {
	if beta == 1 {
		return
	}
	for i := range m {
		lo, hi := 0, n
		switch part {
		case lower:
			hi = min(n, i+1)
		case upper:
			lo = min(n, i)
		}
		row := c[i*ldc+lo : i*ldc+hi]
		if beta == 0 {
			clear(row)
			continue
		}
		for j := range row {
			row[j] *= beta
		}
	}
}
