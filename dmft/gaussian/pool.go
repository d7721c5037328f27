package gaussian

import (
	"encoding/gob"
	"errors"
	"math"

	"gonum.org/v1/gonum/blas/blas64"

	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/random"
)

// Pool draws the noise columns that enter one kind of site, as many as the run turns out to need. Every column is orthonormal to the columns
// drawn before, so the sample second moments of everything linear in the noise are exact.
//
// Sites come in groups of copies with the same distinct noise up to signs: copy k carries the sign (−1)^⌊k/period⌋.
type Pool struct {
	rng     *random.Stream
	seed    uint64
	stream  uint64
	rows    int // distinct sites
	copies  int
	period  int
	limit   int             // columns that are matched at most
	z       la.Mat[float64] // matched columns, orthonormal to each other, rows × cap
	n       int             // how many are in use: drawn, or avoided
	avoided int             // how many of them nobody draws
	made    int             // how many there are: they are made ahead, in chunks
	ahead   int             // how many at a time
	plain   int             // columns drawn without matching because the limit was reached
	even    la.Mat[float64] // what the first columns are made of, spread evenly, and those that are left of it
	r       []float64       // scratch
	strict  bool
}

// ErrFull is the error of a strict pool that is asked for more columns than it can match.
var ErrFull = errors.New("gaussian: more independent noise columns are needed than fit over the sites")

// Strict makes Draw fail with ErrFull rather than draw columns that are not matched.
func (p *Pool) Strict() { p.strict = true }

// NewPool returns a pool over sites = distinct·copies sites from the random stream (seed, stream). At most limit columns are matched, all that fit when limit is
// negative; none when it is zero.
func NewPool(seed, stream uint64, sites, copies, period, limit int) *Pool {
	p := &Pool{rng: random.New(seed, stream), seed: seed, stream: stream, rows: sites / copies, copies: copies, period: period, ahead: chunk}
	room := Capacity(p.rows)
	p.limit = room
	if limit >= 0 {
		p.limit = min(limit, room)
	}
	return p
}

// Drawn is how many columns were drawn, and how many of them without matching.
func (p *Pool) Drawn() (all, unmatched int) { return p.n - p.avoided + p.plain, p.plain }

// Even makes the next k columns of points that are spread evenly over the sites, a scrambled Sobol sequence: averages of high powers of few fields then have a fraction of
// the error. In many dimensions it is no better than independent numbers.
func (p *Pool) Even(k int) {
	p.made, p.ahead = p.n, 1 // what is made ahead may be discarded
	p.even = la.New[float64](p.rows, k)
	random.NewSobol(p.seed, ^p.stream, k).NormalPoints(p.even.Data) // ^: not the numbers that other columns are made of
}

// Avoid makes all columns to come orthogonal to those of q as well, fields that fresh noise is independent of. It is for pools without copies.
func (p *Pool) Avoid(q la.Mat[float64]) {
	if p.copies != 1 {
		panic("gaussian: a pool with copies of its sites cannot avoid fields")
	}
	p.made, p.ahead = p.n, 1 // what was made ahead does not avoid them
	x, coef := make([]float64, p.rows), make([]float64, p.n+q.Cols)
	for j := range q.Cols {
		if p.n >= p.limit {
			return
		}
		mean := 0.
		for i := range x {
			x[i] = q.Row(i)[j]
			mean += x[i] / float64(p.rows)
		}
		whole := dot(x, x) / float64(p.rows)
		for i := range x {
			x[i] -= mean // all columns are orthogonal to the constant as it is
		}
		if !p.orthogonalise(x, coef, nothing*whole) {
			continue // in the span of what is avoided already, as all of them are in a linear model
		}
		p.reserve(p.n + 1)
		for i, v := range x {
			p.z.Row(i)[p.n] = v
		}
		p.n++
		p.avoided++
		p.made = p.n
	}
}

// orthogonalise makes x orthogonal to the columns in use and of mean square one, unless no more than least is left of its mean square: then it returns false.
func (p *Pool) orthogonalise(x, coef []float64, least float64) bool {
	s := float64(p.rows)
	m := dot(x, x) / s
	for range 3 {
		if p.n == 0 {
			break
		}
		z := p.z.Slice(0, p.rows, 0, p.n)
		la.Gemv(la.T, 1/s, z, x, 0, coef[:p.n])
		la.Gemv(la.N, -1, z, coef[:p.n], 1, x)
		last := m
		if m = dot(x, x) / s; m > 0.01*last {
			break // little was cancelled, so that rounding has not been amplified
		}
	}
	if !(m > least) {
		return false
	}
	blas64.Scal(1/math.Sqrt(m), blas64.Vector{N: len(x), Data: x, Inc: 1})
	return true
}

// nothing is the share of the mean square of a field that is taken for rounding.
const nothing = 1e-12

func dot(x, y []float64) float64 {
	return blas64.Dot(blas64.Vector{N: len(x), Data: x, Inc: 1}, blas64.Vector{N: len(y), Data: y, Inc: 1})
}

// chunk is how many columns are made at a time: orthogonalising one against thousands is bound by memory, many at once are a matrix product.
const chunk = 32

// Draw returns k more columns over all sites.
func (p *Pool) Draw(k int) (la.Mat[float64], error) {
	dst := la.New[float64](p.copies*p.rows, k)
	return dst, p.DrawInto(dst)
}

// DrawInto is Draw into the columns of dst.
func (p *Pool) DrawInto(dst la.Mat[float64]) error {
	k := dst.Cols
	m := max(min(k, p.limit-p.n), 0)
	if m < k && p.strict {
		return ErrFull
	}
	for p.made < p.n+m {
		if err := p.produce(min(max(p.ahead, p.n+m-p.made), p.limit-p.made)); err != nil {
			return err
		}
	}
	for i := range p.rows {
		row := dst.Row(i)
		if m > 0 {
			copy(row[:m], p.z.Row(i)[p.n:])
		}
		p.fresh(row[m:], i)
	}
	p.used(k - m)
	p.n += m
	p.plain += k - m
	for c := 1; c < p.copies; c++ { // the sign changes with every period-th copy
		sign := float64(1 - 2*(c/p.period%2))
		for i := range p.rows {
			row := dst.Row(c*p.rows + i)
			for j, v := range dst.Row(i) {
				row[j] = sign * v
			}
		}
	}
	return nil
}

// fresh fills numbers of site i of the next columns.
func (p *Pool) fresh(row []float64, i int) {
	n := 0
	if p.even.Cols > 0 {
		n = copy(row, p.even.Row(i))
	}
	p.rng.Normal(row[n:])
}

// used takes k columns from those that are spread evenly.
func (p *Pool) used(k int) {
	if k = min(k, p.even.Cols); k > 0 {
		p.even = p.even.Slice(0, p.rows, k, p.even.Cols)
	}
}

// produce adds k matched columns.
func (p *Pool) produce(k int) error {
	p.reserve(p.made + k)
	old, add := p.z.Slice(0, p.rows, 0, p.made), p.z.Slice(0, p.rows, p.made, p.made+k)
	for i := range p.rows {
		p.fresh(add.Row(i), i)
	}
	p.used(k)
	ok := false
	if p.made+k > p.rows/4 {
		ok = la.Orthonormalise(add, old, true)
	} else { // once is enough: most of the numbers is left, and their condition number is about 3 at most, so that nothing has amplified rounding
		la.Deflate(add, old)
		la.Centre(add)
		ok = la.Whiten(add, grow(&p.r, k, k))
	}
	if !ok {
		return errSingular(p.made+k, p.rows)
	}
	p.made += k
	return nil
}

// reserve makes room for n columns.
func (p *Pool) reserve(n int) {
	if n <= p.z.Cols {
		return
	}
	z := la.New[float64](p.rows, min(max(n, 3*p.z.Cols/2, 32), p.limit))
	for i := range p.z.Rows {
		copy(z.Row(i), p.z.Row(i)[:p.made])
	}
	p.z = z
}

// Save and Load keep and restore the pool, the state of its random stream included.
func (p *Pool) Save(enc *gob.Encoder) error {
	state, err := p.rng.MarshalBinary()
	if err != nil {
		return err
	}
	if err := enc.Encode(state); err != nil {
		return err
	}
	if err := enc.Encode([]int{p.n, p.plain, p.made, p.avoided, p.ahead}); err != nil {
		return err
	}
	if err := enc.Encode(p.even); err != nil {
		return err
	}
	return enc.Encode(p.z)
}

// Load implements the other half of Save.
func (p *Pool) Load(dec *gob.Decoder) error {
	var state []byte
	var n []int
	var even, z la.Mat[float64]
	for _, v := range []any{&state, &n, &even, &z} {
		if err := dec.Decode(v); err != nil {
			return err
		}
	}
	// n, plain, made, avoided, ahead
	if len(n) != 5 || n[3] < 0 || n[0] < n[3] || n[2] < n[0] || n[2] > p.limit || n[1] < 0 || n[4] < 1 || n[4] > chunk || n[2] > z.Cols ||
		z.Cols > 0 && !z.Fills(p.rows, z.Cols) || even.Cols > 0 && !even.Holds(p.rows, even.Cols) || even.Cols < 0 || z.Cols < 0 {
		return errors.New("gaussian: not a saved pool of these sites")
	}
	p.n, p.plain, p.made, p.avoided, p.ahead, p.even, p.z = n[0], n[1], n[2], n[3], n[4], even, z
	return p.rng.UnmarshalBinary(state)
}
