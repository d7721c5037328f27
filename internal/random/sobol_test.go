package random

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distmv"
	"gonum.org/v1/gonum/stat/distuv"
	"gonum.org/v1/gonum/stat/samplemv"
)

// direction is a record of the table.
type direction struct {
	polynomial uint
	m          []uint
}

// directions reads the table of the dimensions from the second on, independently of the generator.
func directions(t *testing.T) []direction {
	t.Helper()
	var table []direction
	for at := 0; at < len(joeKuo); {
		next := func() uint { at += 2; return uint(binary.LittleEndian.Uint16(joeKuo[at-2:])) }
		r := direction{polynomial: next()}
		for range bits.Len(r.polynomial) - 1 {
			r.m = append(r.m, next())
		}
		table = append(table, r)
	}
	if len(table) != SobolDimensions-1 {
		t.Fatalf("the table has %d records", len(table))
	}
	return table
}

// power is x^e modulo a polynomial over GF(2).
func power(e, polynomial uint) uint {
	degree := bits.Len(polynomial) - 1
	times := func(a, b uint) (c uint) {
		for ; b != 0; b >>= 1 {
			if b&1 != 0 {
				c ^= a
			}
			if a <<= 1; a>>degree&1 != 0 {
				a ^= polynomial
			}
		}
		return c
	}
	x, y := uint(2), uint(1)
	if degree == 1 {
		x = 2 ^ polynomial
	}
	for ; e != 0; e >>= 1 {
		if e&1 != 0 {
			y = times(y, x)
		}
		x = times(x, x)
	}
	return y
}

// TestDirectionNumbers: the polynomials are primitive, in order of their degree and distinct, all that there are of
// each degree but the last; the initial numbers are odd and less than 2ⁱ.
func TestDirectionNumbers(t *testing.T) {
	if sum := fmt.Sprintf("%x",
		sha256.Sum256(joeKuo)); sum != "fafb110d088ba06779e79e274e12613a25a1cb2372ed99f9e75af19c556fc1e6" {
		t.Errorf("the table is damaged: its SHA-256 is %s", sum)
	}
	seen := map[uint]bool{}
	count := map[int]int{}
	last := 0
	for d, r := range directions(t) {
		degree := bits.Len(r.polynomial) - 1
		// The order of x modulo a polynomial is 2^degree − 1 for primitive ones only.
		n := uint(1)<<degree - 1
		if power(n, r.polynomial) != 1 {
			t.Fatalf("dimension %d: %b is not primitive", d+2, r.polynomial)
		}
		for f, rest := uint(2), n; rest > 1; f++ {
			if rest%f != 0 {
				continue
			}
			for rest%f == 0 {
				rest /= f
			}
			if n/f > 1 && power(n/f, r.polynomial) == 1 {
				t.Fatalf("dimension %d: %b is not primitive", d+2, r.polynomial)
			}
		}
		if seen[r.polynomial] || degree < last {
			t.Fatalf("dimension %d: %b comes twice or is out of order", d+2, r.polynomial)
		}
		seen[r.polynomial], last = true, degree
		count[degree]++
		for i, m := range r.m {
			if m%2 == 0 || m >= 2<<i {
				t.Fatalf("dimension %d: m_%d = %d", d+2, i+1, m)
			}
		}
	}
	for degree := 1; degree < last; degree++ { // there are φ(2^degree − 1)/degree
		n := 1<<degree - 1
		phi := 0
		for k := 1; k <= n; k++ {
			if new(big.Int).GCD(nil, nil, big.NewInt(int64(k)), big.NewInt(int64(n))).Int64() == 1 {
				phi++
			}
		}
		if count[degree] != phi/degree {
			t.Errorf("%d polynomials of degree %d, there are %d", count[degree], degree, phi/degree)
		}
	}
}

// TestFirstPoints compares with points of scipy.stats.qmc.Sobol(2048, scramble=False, bits=32), in eighths and in
// 4096ths.
func TestFirstPoints(t *testing.T) {
	q := unscrambled(SobolDimensions)
	coordinate := func(n uint64, d int) uint64 {
		var b [1]uint64
		q.words(d, n, b[:])
		return b[0]
	}
	for n, row := range [][]uint64{
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {4, 4, 4, 4, 4, 4, 4, 4, 4, 4}, {6, 2, 2, 2, 6, 6, 2, 6, 6, 6},
		{2, 6, 6, 6, 2, 2, 6, 2, 2, 2},
		{3, 3, 5, 7, 3, 1, 3, 7, 7, 5}, {7, 7, 1, 3, 7, 5, 7, 3, 3, 1}, {5, 1, 7, 5, 5, 7, 1, 1, 1, 3},
		{1, 5, 3, 1, 1, 3, 5, 5, 5, 7},
	} {
		for d, want := range row {
			if got := coordinate(uint64(n), d); got != want<<61 {
				t.Errorf("point %d, dimension %d is %d/8, want %d/8", n, d+1, got>>61, want)
			}
		}
	}
	for n, row := range map[uint64][]uint64{1000: {396, 2124, 284, 764, 2924, 3676},
		4095: {3855, 1369, 1009, 3943, 1453, 421}} {
		for i, d := range []int{1, 2, 9, 99, 1023, 2047} {
			if got := coordinate(n, d); got != row[i]<<52 {
				t.Errorf("point %d, dimension %d is %d/4096, want %d/4096", n, d+1, got>>52, row[i])
			}
		}
	}
}

// both runs a test with the sequence itself and with a scrambled one, which is a net of the same quality.
func both(t *testing.T, dims int, f func(t *testing.T, q *Sobol)) {
	t.Run("unscrambled", func(t *testing.T) { f(t, unscrambled(dims)) })
	t.Run("scrambled", func(t *testing.T) { f(t, NewSobol(11, 12, dims)) })
}

// net checks that n = 2^m consecutive points have 2^quality points in every elementary interval of volume
// 2^{quality−m}, in the given dimensions.
func net(t *testing.T, q *Sobol, m, quality int, dims ...int) {
	t.Helper()
	x := make([][]uint64, len(dims))
	for i, d := range dims {
		x[i] = make([]uint64, 1<<m)
		q.words(d, 3<<m, x[i]) // a block of the sequence away from its start
	}
	digits := m - quality
	count := make([]int, 1<<digits)
	var shapes func(i, left int, shape []int)
	shapes = func(i, left int, shape []int) {
		if i < len(dims)-1 {
			for k := range left + 1 {
				shapes(i+1, left-k, append(shape, k))
			}
			return
		}
		shape = append(shape, left)
		clear(count)
		for n := range x[0] {
			box := uint64(0)
			for i, k := range shape {
				box = box<<k | x[i][n]>>1>>(63-k)
			}
			count[box]++
		}
		for _, c := range count {
			if c != 1<<quality {
				t.Fatalf("dimensions %v, 2^%d points: an interval of shape %v has %d points, not %d", dims, m, shape, c, 1<<quality)
			}
		}
	}
	shapes(0, digits, nil)
}

// TestNets: each coordinate is a (0,1)-sequence, the first two together a (0,2)-sequence, others (t,s)-sequences with
// Sobol's t = Σ (degree − 1).
func TestNets(t *testing.T) {
	table := directions(t)
	quality := func(dims ...int) (sum int) {
		for _, d := range dims {
			if d > 0 {
				sum += len(table[d-1].m) - 1
			}
		}
		return sum
	}
	both(t, SobolDimensions, func(t *testing.T, q *Sobol) {
		for d := range SobolDimensions {
			net(t, q, 8, 0, d)
		}
		for _, d := range []int{0, 1, 2, 100, 1023, 2047} {
			net(t, q, 14, 0, d)
		}
		for m := range 13 {
			net(t, q, m, 0, 0, 1)
		}
		for m := 4; m < 11; m++ {
			for _, dims := range [][]int{{0, 2}, {1, 2}, {0, 3}, {2, 3}, {0, 4}, {3, 4}, {0, 1, 2}, {0, 1, 3}, {0, 1, 2, 3}} {
				net(t, q, m, min(quality(dims...), m), dims...)
			}
		}
		net(t, q, 13, quality(20, 30), 20, 30)
	})
}

// TestPropertyA: the first 2^d points in d dimensions have one point in each of the 2^d parts that halving the axes
// gives. That is so when the first digits of the d columns of the d matrices have the determinant 1. Joe and Kuo's
// numbers have this property of Sobol's up to dimension 1111, all polynomials of degree up to 13.
func TestPropertyA(t *testing.T) {
	const dims = 1111
	rows := [][]uint64{}
	row := func(digit func(j int) bool) {
		r := make([]uint64, (dims+63)/64)
		for j := range dims {
			if digit(j) {
				r[j/64] |= 1 << (j % 64)
			}
		}
		rows = append(rows, r)
	}
	row(func(j int) bool { return j == 0 })
	for _, r := range directions(t)[:dims-1] {
		u, s := make([]bool, dims), len(r.m) // first digits follow the recurrence of the polynomial
		row(func(j int) bool {
			if j < s {
				u[j] = r.m[j]>>j != 0
				return u[j]
			}
			u[j] = u[j-s]
			for k := 1; k < s; k++ {
				if r.polynomial>>(s-k)&1 != 0 {
					u[j] = u[j] != u[j-k]
				}
			}
			return u[j]
		})
	}
	q := unscrambled(64) // the columns are those of the generator
	for d := range q.columns {
		for j := range 32 {
			if q.columns[d][j]>>63 != rows[d][0]>>j&1 {
				t.Fatalf("dimension %d: the first digit of column %d is another", d+1, j+1)
			}
		}
	}
	for d := range dims { // elimination without exchanges: the pivots are quotients of the leading minors
		if rows[d][d/64]>>(d%64)&1 == 0 {
			t.Fatalf("no property A in %d dimensions", d+1)
		}
		for i := d + 1; i < dims; i++ {
			if rows[i][d/64]>>(d%64)&1 != 0 {
				for w := d / 64; w < len(rows[i]); w++ {
					rows[i][w] ^= rows[d][w]
				}
			}
		}
	}
}

// TestSobolFill: layouts, blocks, transforms and prefixes give the same numbers.
func TestSobolFill(t *testing.T) {
	const dims, points = 5, 1000
	q := NewSobol(1, 2, dims)
	if q.Dimensions() != dims {
		t.Error(q.Dimensions())
	}
	u, v, z, y := make([]float64, dims*points), make([]float64, dims*points), make([]float64, dims*points),
		make([]float64, dims*points)
	q.Uniform(u)
	q.Seek(0)
	for i := 0; i < points; i += 100 {
		q.UniformPoints(v[i*dims : (i+100)*dims])
	}
	q.Seek(0)
	q.Normal(z)
	q.Seek(300)
	q.NormalPoints(y[300*dims:])
	first := make([]float64, 2*points)
	NewSobol(1, 2, 2).Uniform(first)
	for d := range dims {
		for i := range points {
			x := u[d*points+i]
			if v[i*dims+d] != x || z[d*points+i] != QuantileAt(x) || i >= 300 && y[i*dims+d] != z[d*points+i] ||
				d < 2 && first[d*points+i] != x {
				t.Fatalf("point %d, dimension %d differs", i, d)
			}
			if x <= 0 || x >= 1 {
				t.Fatal(x)
			}
		}
	}
	q.Uniform(nil)
	NewSobol(0, 0, 0).Uniform(nil)
	for name, f := range map[string]func(){
		"a part of a point":   func() { q.Uniform(u[:7]) },
		"no dimensions":       func() { NewSobol(0, 0, 0).Uniform(u) },
		"too many dimensions": func() { NewSobol(0, 0, SobolDimensions+1) },
		"the end":             func() { q.Seek(SobolPoints - 1); q.Uniform(u[:2*dims]) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	q.Seek(SobolPoints - 1)
	q.Uniform(u[:dims])
}

// TestSobolReproducible holds the numbers of a seed fixed, on every processor.
func TestSobolReproducible(t *testing.T) {
	z := make([]float64, 64*1024)
	NewSobol(3, 4, 64).Normal(z)
	h := uint64(0)
	for _, x := range z {
		h = mix(h ^ math.Float64bits(x))
	}
	if want := uint64(0xe48f5c6c85d78cf9); h != want {
		t.Errorf("hash %#x, want %#x", h, want)
	}
}

// TestScrambling: of two points the digits before the first that differs stay equal, that one differs, and those after
// it and all digits of one point are independent coin tosses. That is what determines the mean and variance of averages
// (A. B. Owen, Variance with alternative scramblings of digital nets, ACM Trans. Model. Comput. Simul. 13 (2003) 363).
func TestScrambling(t *testing.T) {
	const n = 20000
	plain := unscrambled(3)
	for _, pair := range [][2]uint64{{0, 1}, {5, 100}, {1000, 1001}} {
		for d := range 3 {
			var a, b [1]uint64
			plain.words(d, pair[0], a[:])
			plain.words(d, pair[1], b[:])
			equal := bits.LeadingZeros64(a[0] ^ b[0])
			var one, two [64]int
			for seed := range uint64(n) {
				q := NewSobol(seed, 0, 3)
				q.words(d, pair[0], a[:])
				q.words(d, pair[1], b[:])
				x := a[0] ^ b[0]
				if bits.LeadingZeros64(x) != equal {
					t.Fatalf("points %v, dimension %d: %d digits became %d", pair, d, equal, bits.LeadingZeros64(x))
				}
				for k := range 64 {
					one[k] += int(a[0] >> (63 - k) & 1)
					two[k] += int(x >> (63 - k) & 1)
				}
			}
			for k := range 64 {
				if math.Abs(float64(one[k])-n/2) > 5*math.Sqrt(n)/2 { // of 1150 counts, one in 2000 runs
					t.Errorf("digit %d is 1 in %d of %d", k, one[k], n)
				}
				if k > equal && math.Abs(float64(two[k])-n/2) > 5*math.Sqrt(n)/2 {
					t.Errorf("digit %d differs in %d of %d", k, two[k], n)
				}
			}
		}
	}
}

// nested scrambles the first points of two dimensions with a coin for every digit and every string of digits before it:
// Owen's scrambling by its definition.
func nested(rng *rand.Rand, points int) (x, y []float64) {
	plain := unscrambled(2)
	out := [2][]float64{}
	for d := range 2 {
		var coin [1024]uint64 // by the digits with a 1 before them
		for i := range coin {
			coin[i] = rng.Uint64() >> 63
		}
		w := make([]uint64, points)
		plain.words(d, 0, w)
		for _, w := range w {
			v := uint64(0)
			for k := range 10 {
				v = v<<1 | w>>(63-k)&1 ^ coin[1<<k|w>>1>>(63-k)]
			}
			out[d] = append(out[d], (float64(v)+rng.Float64())/1024)
		}
	}
	return out[0], out[1]
}

// TestVariance: averages have no bias, and the variance of Owen's scrambling. For x over n points that is 1/(12n³), one
// point uniform in each of n intervals; for a function of two coordinates it is compared with that of the nested
// scrambling itself.
func TestVariance(t *testing.T) {
	const replicas = 10000
	for _, n := range []int{4, 16} {
		for name, f := range map[string]func(x, y float64) float64{
			"x":            func(x, _ float64) float64 { return x - 0.5 },
			"x squared":    func(_, y float64) float64 { return y*y - 1./3 },
			"exponential":  func(x, y float64) float64 { return math.Exp(x+2*y) - (math.E-1)*(math.E*math.E-1)/2 },
			"product":      func(x, y float64) float64 { return (x - 0.5) * (y*y - 1./3) },
			"discontinued": func(x, y float64) float64 { return math.Floor(x+y) - 0.5 },
		} {
			rng := rand.New(rand.NewPCG(8, 9))
			var m [2][5]float64 // moments of the averages: by the generator, and nested
			for r := range replicas {
				p := make([]float64, 2*n)
				NewSobol(7, uint64(r), 2).Uniform(p)
				x, y := nested(rng, n)
				for i, a := range [2][2][]float64{{p[:n], p[n:]}, {x, y}} {
					sum := 0.
					for k := range n {
						sum += f(a[0][k], a[1][k])
					}
					for k := range m[i] {
						m[i][k] += math.Pow(sum/float64(n), float64(k)) / replicas
					}
				}
			}
			var variance, se [2]float64
			for i, m := range m {
				if math.Abs(m[1]) > 4*math.Sqrt(m[2]/replicas) {
					t.Errorf("%s, %d points: the mean is %g ± %g", name, n, m[1], math.Sqrt(m[2]/replicas))
				}
				variance[i], se[i] = m[2], math.Sqrt((m[4]-m[2]*m[2])/replicas)
			}
			if d := variance[0] - variance[1]; math.Abs(d) > 4*math.Hypot(se[0], se[1]) {
				t.Errorf("%s, %d points: variance %g ± %g, of nested scrambling %g ± %g", name, n, variance[0], se[0],
					variance[1], se[1])
			}
			if want := 1 / (12 * math.Pow(float64(n), 3)); name == "x" && math.Abs(variance[0]-want) > 4*se[0] {
				t.Errorf("%d points: variance %g ± %g, want %g", n, variance[0], se[0], want)
			}
		}
	}
}

// TestRate: the root of the mean square error falls as n^{−3/2}·(log n)^{(d−1)/2} for a smooth function in d
// dimensions, as n^{−1/2} for independent points. The slope is fitted over seven sizes.
func TestRate(t *testing.T) {
	const replicas, from, to = 400, 6, 12
	fit := func(dims int, points func(r int, p []float64)) (slope, se float64) {
		var sx, sy, sxx, sxy, sv float64
		for m := from; m <= to; m++ {
			n := 1 << m
			p := make([]float64, dims*n)
			var m2, m4 float64
			for r := range replicas {
				points(r, p)
				e := -1. // of the mean of a product whose factors have the mean 1
				for i := range n {
					f := 1.
					for k, x := range p[i*dims : (i+1)*dims] {
						f *= 1 + math.Sin(2*math.Pi*x+float64(k))/2
					}
					e += f / float64(n)
				}
				m2 += e * e / replicas
				m4 += e * e * e * e / replicas
			}
			x, y := float64(m)*math.Ln2, math.Log(m2)/2
			v := (m4/(m2*m2) - 1) / replicas / 4
			c := (float64(from+to)/2 - float64(m)) * math.Ln2
			sx, sy, sxx, sxy, sv = sx+x, sy+y, sxx+x*x, sxy+x*y, sv+c*c*v
		}
		const k = to - from + 1
		d := sxx - sx*sx/k
		return (sxy - sx*sy/k) / d, math.Sqrt(sv) / d
	}
	for dims := 2; dims <= 4; dims++ {
		slope, se := fit(dims, func(r int, p []float64) { NewSobol(1, uint64(r), dims).UniformPoints(p) })
		t.Logf("%d dimensions: %.3f ± %.3f", dims, slope, se)
		// the slopes of the law at the two ends
		lo, hi := -1.5+float64(dims-1)/(2*to*math.Ln2), -1.5+float64(dims-1)/(2*from*math.Ln2)
		if slope < lo-4*se || slope > hi+4*se {
			t.Errorf("%d dimensions: the error falls as n^(%.3f ± %.3f), not between %.3f and %.3f", dims, slope, se, lo, hi)
		}
	}
	slope, se := fit(3, func(r int, p []float64) { New(1, uint64(r)).Uniform(p) })
	t.Logf("independent: %.3f ± %.3f", slope, se)
	if math.Abs(slope+0.5) > 4*se {
		t.Errorf("independent points: n^(%.3f ± %.3f)", slope, se)
	}
}

// TestSobolNormal: the normal numbers have their moments to the accuracy of the sequence, in every dimension.
func TestSobolNormal(t *testing.T) {
	const dims, n = 200, 1 << 12
	z := make([]float64, dims*n)
	NewSobol(5, 6, dims).Normal(z)
	for d := range dims {
		var m [5]float64
		for _, x := range z[d*n : (d+1)*n] {
			for k := range m {
				m[k] += math.Pow(x, float64(k)) / n
			}
		}
		// One point in each of n intervals of equal probability: the error comes from the two outermost ones, where x^k
		// is of order (2 log n)^{k/2} = 4^k.
		for k, want := range []float64{1, 0, 1, 0, 3} {
			if math.Abs(m[k]-want) > 4*math.Pow(4, float64(k))/n {
				t.Errorf("dimension %d: moment %d is %g", d, k, m[k])
			}
		}
	}
}

func TestSobolNoAllocation(t *testing.T) {
	q := NewSobol(1, 1, 3)
	z := make([]float64, 300)
	if n := testing.AllocsPerRun(10, func() { q.NormalPoints(z) }); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

// ExampleNewSobol averages over two normal numbers with 1024 points; independent points would have an error of 0.01.
func ExampleNewSobol() {
	const points = 1024
	z := make([]float64, 2*points)
	NewSobol(1, 0, 2).Normal(z) // z[:points] are the first numbers of all points, z[points:] the second
	sum := 0.
	for i := range points {
		sum += math.Cos(z[i] + z[points+i]/2)
	}
	fmt.Printf("%.3f, exactly %.3f\n", sum/points, math.Exp(-0.625))
	// Output: 0.535, exactly 0.535
}

func BenchmarkSobol(b *testing.B) {
	const dims, points = 12, 8192
	q := NewSobol(1, 1, dims)
	z, p := make([]float64, dims*points), make([]float64, dims*points)
	New(1, 1).Uniform(p)
	cube := distmv.NewUnitUniform(dims, nil)
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"New", func() { NewSobol(1, 1, dims*points/1024) }}, // a number stands for a thousandth of a dimension
		{"Uniform", func() { q.Seek(0); q.Uniform(z) }},
		{"UniformPoints", func() { q.Seek(0); q.UniformPoints(z) }},
		{"Normal", func() { q.Seek(0); q.Normal(z) }},
		{"NormalPoints", func() { q.Seek(0); q.NormalPoints(z) }},
		{"Quantile", func() { Quantile(z, p) }},
		{"gonum Halton", func() {
			clear(z)
			samplemv.Halton{Kind: samplemv.Owen, Q: cube, Src: rand.NewPCG(1, 1)}.Sample(mat.NewDense(points, dims, z))
		}},
		{"gonum Quantile", func() {
			for i, p := range p {
				z[i] = distuv.UnitNormal.Quantile(p)
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.f()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(z)), "ns/number")
		})
	}
}
