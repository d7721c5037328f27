package random

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// chiSquare returns by how many standard deviations χ² of counts exceeds its mean; the expected fractions are equal
// unless given.
func chiSquare(count []int, p []float64) float64 {
	n := 0
	for _, c := range count {
		n += c
	}
	x := 0.
	for i, c := range count {
		e := float64(n) / float64(len(count))
		if p != nil {
			e = float64(n) * p[i]
		}
		x += (float64(c) - e) * (float64(c) - e) / e
	}
	k := float64(len(count) - 1)
	return (x - k) / math.Sqrt(2*k)
}

// TestGenerator compares with the first outputs of xoshiro256++ from the state 1, 2, 3, 4, as the authors' program and
// its ports (rand_xoshiro) give them, and with splitmix64.
func TestGenerator(t *testing.T) {
	s := &Stream{1, 2, 3, 4}
	for i, want := range []uint64{41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205,
		9973669472204895162, 14011001112246962877, 12406186145184390807, 15849039046786891736, 10450023813501588000} {
		if got := s.Uint64(); got != want {
			t.Errorf("output %d is %d, want %d", i, got, want)
		}
	}
	if got := mix(0x9e3779b97f4a7c15); got != 0xe220a8397b1dcdaf { // the first output from the state 0
		t.Errorf("mix: %#x", got)
	}
}

// TestReproducible holds the numbers of a seed fixed. They are the same on every processor.
func TestReproducible(t *testing.T) {
	s := New(1, 2)
	z := make([]float64, 1<<20)
	s.Normal(z)
	h := uint64(0)
	for _, x := range z {
		h = mix(h ^ math.Float64bits(x))
	}
	want := struct {
		first [3]float64
		hash  uint64
	}{[3]float64{0x1.8833fbfc631aep-02, -0x1.0b7e355097a3ap-01, 0x1.3c1396f82789fp+00}, 0xe23ede73a3db3fcc}
	if [3]float64(z[:3]) != want.first || h != want.hash {
		t.Errorf("%x, hash of 2²⁰ numbers %#x; want %x, %#x", z[:3], h, want.first, want.hash)
	}
	// Blocks of any size, single numbers and single precision give the same.
	a, b, c := New(1, 2), New(1, 2), New(1, 2)
	y, f := make([]float64, 10000), make([]float32, 10000)
	for i := 0; i < len(y); i += 100 {
		a.Normal(y[i : i+100])
	}
	Normal(b, f)
	for i := range y {
		if y[i] != z[i] || f[i] != float32(z[i]) || c.NormFloat64() != z[i] {
			t.Fatalf("number %d depends on how it is asked for", i)
		}
	}
	if a.Uint64() != c.Uint64() {
		t.Error("the streams have parted")
	}
}

// TestZiggurat: the layers are what the package says, and the functions of the edges right.
func TestZiggurat(t *testing.T) {
	f := func(x float64) float64 { return math.Exp(-x * x / 2) }
	r := zigguratX[1]
	v := r*f(r) + math.Sqrt(math.Pi/2)*math.Erfc(r/math.Sqrt2)
	if math.Abs(r-3.6541528853610088) > 1e-15 || math.Abs(v-0.00492867323399) > 2e-14 { // Marsaglia and Tsang
		t.Errorf("r = %v, v = %v", r, v)
	}
	if zigguratX[layers] != 0 || math.Abs(zigguratX[0]-v/f(r)) > 1e-14 {
		t.Errorf("x₀ = %v, x₂₅₆ = %v", zigguratX[0], zigguratX[layers])
	}
	for i := 1; i < layers; i++ {
		if a := zigguratX[i] * (zigguratF[i+1] - zigguratF[i]); math.Abs(a-v) > 1e-14 ||
			math.Abs(zigguratF[i]-f(zigguratX[i])) > 1e-15 {
			t.Errorf("layer %d has the area %v", i, a)
		}
		if math.Log(zigguratF[i+1]/zigguratF[i]) > 1.2 {
			t.Errorf("layer %d is too high for expNegative", i)
		}
	}
	s := New(4, 4)
	for range 10000 {
		u := s.Float64()
		if d := 1.2 * u; math.Abs(expNegative(d)-math.Exp(-d)) > 4e-16 {
			t.Fatalf("expNegative(%g) = %g", d, expNegative(d))
		}
		u = math.Max(math.Ldexp(u, -int(s.Uint64()%52)), 0x1p-53)
		u = float64(uint64(u*0x1p53)) * 0x1p-53
		if got, want := logarithm(u), math.Log(u); math.Abs(got-want) > 4e-16*math.Max(1, -want) {
			t.Fatalf("logarithm(%g) = %g, want %g", u, got, want)
		}
	}
}

// TestBeneath: a position is accepted under the curve and refused above it, in every layer.
func TestBeneath(t *testing.T) {
	for i := 1; i < layers; i++ {
		for n := range 101 {
			x := zigguratX[i+1] + (zigguratX[i]-zigguratX[i+1])*float64(n)/100
			u := (math.Exp(-x*x/2) - zigguratF[i]) / (zigguratF[i+1] - zigguratF[i])
			for _, sign := range []float64{1, -1} {
				if !beneath(i, sign*x, u-1e-9) || beneath(i, sign*x, u+1e-9) {
					t.Fatalf("layer %d, x = %g: the height %g is not the border", i, sign*x, u)
				}
			}
		}
	}
}

// samples are normal numbers of one stream, the same for all tests.
func samples(n int) []float64 {
	z := make([]float64, n)
	New(2026, 7).Normal(z)
	return z
}

// TestMoments: the moments up to the eighth, within four standard deviations of their values (k−1)!! or 0, and
// correlations of neighbours.
func TestMoments(t *testing.T) {
	z := samples(1 << 22)
	n := float64(len(z))
	moment := func(k int) float64 { // E x^k
		m := 1.
		for ; k > 1; k -= 2 {
			m *= float64(k - 1)
		}
		if k == 1 {
			return 0
		}
		return m
	}
	for k := 1; k <= 8; k++ {
		s := 0.
		for _, x := range z {
			s += math.Pow(x, float64(k))
		}
		if d := (s/n - moment(k)) / math.Sqrt((moment(2*k)-moment(k)*moment(k))/n); math.Abs(d) > 4 {
			t.Errorf("moment %d is %.4f, %.1f standard deviations from %g", k, s/n, d, moment(k))
		}
	}
	for lag := 1; lag <= 8; lag++ {
		var c, c2 float64
		for i := lag; i < len(z); i++ {
			c += z[i] * z[i-lag]
			c2 += (z[i]*z[i] - 1) * (z[i-lag]*z[i-lag] - 1) / 2
		}
		if math.Abs(c) > 4*math.Sqrt(n) || math.Abs(c2) > 4*math.Sqrt(n) {
			t.Errorf("lag %d: correlations %g of the numbers, %g of their squares", lag, c/n, c2/n)
		}
	}
}

// TestDistribution: χ² over bins of equal probability, numbers below the layers' edges, Kolmogorov and Smirnov's
// distance, and the tails, each within four standard deviations.
func TestDistribution(t *testing.T) {
	z := samples(1 << 24)
	n := float64(len(z))
	cdf := func(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
	count := make([]int, 1000)
	for _, x := range z[:1<<22] {
		count[min(int(cdf(x)*1000), 999)]++
	}
	if d := chiSquare(count, nil); math.Abs(d) > 4 {
		t.Errorf("χ² over bins of equal probability is %.1f standard deviations off", d)
	}
	// Below the edge of each layer, where an error in a table or a layer would show. The edge of the last layer is 0.
	var inner [layers + 1]int
	for _, x := range z {
		x = math.Abs(x)
		from, to := 1, layers // zigguratX[from] > x ≥ zigguratX[to], or x ≥ zigguratX[1]
		for from < to {
			if m := (from + to) / 2; zigguratX[m] > x {
				from = m + 1
			} else {
				to = m
			}
		}
		inner[from]++ // x ≥ zigguratX[from], but not for any smaller index
	}
	below := len(z)
	for i := 1; i < layers; i++ {
		below -= inner[i]
		p := math.Erf(zigguratX[i] / math.Sqrt2)
		if d := (float64(below) - n*p) / math.Sqrt(n*p*(1-p)); math.Abs(d) > 4 {
			t.Errorf("%d numbers are below the edge of layer %d, %.1f standard deviations too many", below, i, d)
		}
	}
	for _, a := range []float64{zigguratX[1], 3, 4, 4.5, 5} {
		for _, sign := range []float64{1, -1} {
			c := 0.
			for _, x := range z {
				if sign*x > a {
					c++
				}
			}
			e := n * cdf(-a)
			if math.Abs(c-e) > 4*math.Sqrt(e)+2 {
				t.Errorf("%g numbers beyond %g, expected %.1f", c, sign*a, e)
			}
		}
	}
	x := slices.Clone(z[:1<<20])
	slices.Sort(x)
	d := 0.
	for i, x := range x {
		f := cdf(x)
		d = max(d, f-float64(i)/(1<<20), float64(i+1)/(1<<20)-f)
	}
	if d *= 1 << 10; d > 2.2 { // P(√n·D > 2.2) = 1.2e-4
		t.Errorf("√n times Kolmogorov's distance is %.2f", d)
	}
}

// TestTail looks at the numbers beyond the lowest layer alone: their mean and the distribution of their tail.
func TestTail(t *testing.T) {
	s := New(3, 3)
	r := zigguratX[1]
	rest := math.Erfc(r / math.Sqrt2)
	count := make([]int, 50)
	for i := range 200000 {
		x := s.tail(i%2 == 0)
		if x < 0 != (i%2 == 0) || math.Abs(x) < r {
			t.Fatalf("tail: %g", x)
		}
		count[int(50*math.Erfc(math.Abs(x)/math.Sqrt2)/rest*(1-1e-15))]++
	}
	if d := chiSquare(count, nil); math.Abs(d) > 4 {
		t.Errorf("χ² is %.1f standard deviations off", d)
	}
}

// TestStreams: streams with neighbouring numbers or seeds are uncorrelated, in value and in square, from their first
// numbers on.
func TestStreams(t *testing.T) {
	const n, m = 64, 1 << 14
	var z [2 * n][]float64
	for i := range z {
		z[i] = make([]float64, m)
		if i < n {
			New(9, uint64(i)).Normal(z[i])
		} else {
			New(uint64(i), 9).Normal(z[i])
		}
	}
	var worst, sum float64
	for i := range z {
		for j := range i {
			var c, c2 float64
			for k := range m {
				c += z[i][k] * z[j][k]
				c2 += (z[i][k]*z[i][k] - 1) * (z[j][k]*z[j][k] - 1) / 2
			}
			c, c2 = c/math.Sqrt(m), c2/math.Sqrt(m)
			worst = max(worst, math.Abs(c), math.Abs(c2)*0.8) // the square's tails are a little longer
			sum += c * c
		}
	}
	pairs := float64(len(z) * (len(z) - 1) / 2)
	if d := (sum - pairs) / math.Sqrt(2*pairs); worst > 5.2 || math.Abs(d) > 4 {
		t.Errorf("largest correlation %.1f standard deviations, the sum of squares off by %.1f", worst, d)
	}
	// The first number over many streams.
	count := make([]int, 100)
	var flips [64]int
	for i := range 100000 {
		var x [1]float64
		s := New(1, uint64(i))
		s.Normal(x[:])
		count[min(int(math.Erfc(x[0]/math.Sqrt2)*50), 99)]++
		a, b := New(1, uint64(i)), New(1, uint64(i)^1)
		d := a.Uint64() ^ b.Uint64()
		for k := range flips {
			flips[k] += int(d >> k & 1)
		}
	}
	if d := chiSquare(count, nil); math.Abs(d) > 4 {
		t.Errorf("χ² over first numbers is %.1f standard deviations off", d)
	}
	for k, f := range flips {
		if math.Abs(float64(f)-50000) > 5*math.Sqrt(25000)*math.Sqrt2 { // pairs come twice
			t.Errorf("bit %d changes in %d of 100000 neighbouring streams", k, f)
		}
	}
	if *New(0, 0) == *New(0, 1) || *New(0, 0) == *New(1, 0) || *New(1, 0) == *New(0, 1) {
		t.Error("equal streams")
	}
}

// TestSource: math/rand/v2 draws from a stream, and Uniform is Float64.
func TestSource(t *testing.T) {
	r := rand.New(New(1, 1))
	if p := r.Perm(5); len(p) != 5 {
		t.Error(p)
	}
	a, b := New(1, 1), New(1, 1)
	u := make([]float64, 1000)
	a.Uniform(u)
	for i := range u {
		if v := b.Float64(); v != u[i] || v <= 0 || v >= 1 {
			t.Fatalf("%g, %g", u[i], v)
		}
	}
	if unit(0) != 0x1p-53 || unit(math.MaxUint64) != 1-0x1p-53 {
		t.Error(unit(0), unit(math.MaxUint64))
	}
}

// TestState: a stream goes on from its encoded state, and takes no other.
func TestState(t *testing.T) {
	a, b := New(1, 1), New(2, 2)
	a.Normal(make([]float64, 100))
	state, err := a.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.UnmarshalBinary(state); err != nil || *a != *b {
		t.Errorf("%v, %v, %v", a, b, err)
	}
	other, err := rand.NewPCG(1, 2).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	zero := append(slices.Clone(state[:len(state)-32]), make([]byte, 32)...)
	for _, bad := range [][]byte{nil, state[1:], append(state, 0), other, zero} {
		if err := b.UnmarshalBinary(bad); err == nil || *a != *b {
			t.Errorf("%q is taken: %v", bad, err)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	s := New(1, 1)
	if n := testing.AllocsPerRun(10, func() {
		var z [100]float64
		s.Normal(z[:])
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkNormal(b *testing.B) {
	z := make([]float64, 8192)
	f := make([]float32, 8192)
	s, r, p := New(1, 1), rand.New(New(1, 1)), rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name string
		f    func()
	}{
		{"Normal", func() { s.Normal(z) }},
		{"single precision", func() { Normal(s, f) }},
		{"NormFloat64", func() {
			for i := range z {
				z[i] = s.NormFloat64()
			}
		}},
		{"rand over Stream", func() {
			for i := range z {
				z[i] = r.NormFloat64()
			}
		}},
		{"rand over PCG", func() {
			for i := range z {
				z[i] = p.NormFloat64()
			}
		}},
		{"Uniform", func() { s.Uniform(z) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.f()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(z)), "ns/number")
		})
	}
}
