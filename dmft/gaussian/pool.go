package gaussian

import (
	"encoding/gob"
	"errors"
	"math"

	"gonum.org/v1/gonum/blas/blas64"

	"github.com/seed39b58f2d/dmft/dmft/field"
	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/random"
)

// Pool draws the noise columns that enter one kind of site, as many as the run turns out to need. Every column is
// orthonormal to the columns drawn before, so the sample second moments of everything linear in the noise are exact,
// and orthogonal to the fields that it is independent of (see drawBeside).
//
// Sites come in groups of copies with the same distinct noise up to signs: copy k carries the sign (−1)^⌊k/period⌋.
type Pool struct {
	rng    *random.Stream
	seed   uint64
	stream uint64
	rows   int // distinct sites
	copies int
	period int
	limit  int             // columns that are matched at most, with the fields beside them; none at all when it is zero
	z      la.Mat[float64] // matched columns, orthonormal to each other and of mean zero, rows × capacity
	n      int             // of them
	all    int             // columns drawn
	plain  int             // of them, those that are not orthogonal to all that were drawn before
	epoch  int             // how often matching or copies were given up
	even   la.Mat[float64] // what the first columns are made of, spread evenly, and those that are left of it
	r      []float64       // scratch
	before []float64       // scratch
	after  []float64       // scratch
	strict bool
}

// beside is what fields have beyond the noise of a pool: together they span what new noise must be orthogonal to.
// Several can share a pool.
type beside struct {
	E     la.Mat[float64] // orthonormal columns, orthogonal to the noise and of mean zero, distinct sites × capacity
	N     int             // of them
	From  int             // fields that they came from
	Seen  int             // columns of noise that they are orthogonal to
	Epoch int             // of the pool
}

// ErrFull is the error of a strict pool that is asked for more columns than it can match.
var ErrFull = errors.New("gaussian: more independent noise columns are needed than fit over the sites")

// Strict makes draws fail with ErrFull rather than give columns that are not matched.
func (p *Pool) Strict() { p.strict = true }

// NewPool returns a pool over sites = distinct·copies sites from the random stream (seed, stream). At most limit
// columns are matched, all that fit when limit is negative; none when it is zero.
func NewPool(seed, stream uint64, sites, copies, period, limit int) *Pool {
	p := &Pool{rng: random.New(seed, stream), seed: seed, stream: stream, rows: sites / copies, copies: copies,
		period: period}
	p.limit = Capacity(p.rows)
	if limit >= 0 {
		p.limit = min(limit, p.limit)
	}
	return p
}

// Drawn is how many columns were drawn, and how many of them without matching.
func (p *Pool) Drawn() (all, unmatched int) { return p.all, p.plain }

// Even makes the next k columns of points that are spread evenly over the sites, a scrambled Sobol sequence: averages
// of high powers of few fields then have a fraction of the error. In many dimensions it is no better than independent
// numbers.
func (p *Pool) Even(k int) {
	p.even = la.New[float64](p.rows, k)
	random.NewSobol(p.seed, ^p.stream, k).NormalPoints(p.even.Data) // ^: not the numbers that other columns are made of
}

// Draw returns k more columns over all sites.
func (p *Pool) Draw(k int) (field.Mat[float64], error) {
	dst := la.New[float64](p.copies*p.rows, k)
	m := max(min(k, p.limit-p.n), 0)
	if m < k && p.strict {
		return dst, ErrFull
	}
	p.numbers(dst)
	if err := p.match(dst.Slice(0, p.rows, 0, m), &beside{}); err != nil {
		return dst, err
	}
	p.plain += k - m
	p.mirror(dst)
	return dst, nil
}

// drawBeside fills dst with columns that are orthogonal to the noise before and to the orthonormal fields q over all
// sites, which begin with those of the call before; b is what they have beyond the noise. Where not all of it fits over
// the distinct sites, all sites become distinct, then the columns before are let go: what the fields say stays
// respected, while second moments of the noise have an error.
//
// In a pool that matches nothing columns are normal numbers less their part along q: conditioned as the elements of a
// matrix of as many rows as sites are. In others their mean square is one.
func (p *Pool) drawBeside(dst la.Mat[float64], b *beside, q la.Mat[float64]) error {
	k, fits := dst.Cols, false
	for p.limit > 0 {
		p.admit(b, q)
		if fits = p.n+b.N+k <= p.limit; fits {
			break
		}
		if p.copies > 1 {
			p.unfold()
			continue
		}
		if p.strict {
			return ErrFull
		}
		if p.n == 0 {
			break
		}
		p.forget()
	}
	p.numbers(dst)
	if fits {
		if p.epoch > 0 {
			p.plain += k
		}
		if err := p.match(dst.Slice(0, p.rows, 0, k), b); err != nil {
			return err
		}
		b.Seen = p.n
	} else {
		la.Deflate(dst, q)
		if p.limit > 0 {
			la.Deflate(dst, q) // little may be left
			normalise(dst)
		}
		p.plain += k
	}
	p.mirror(dst)
	return nil
}

// forget lets go of the noise drawn so far.
func (p *Pool) forget() {
	p.n = 0
	p.epoch++
}

// unfold makes all sites distinct.
func (p *Pool) unfold() {
	z := la.New[float64](p.rows*p.copies, p.n)
	for i := range p.rows {
		copy(z.Row(i), p.z.Row(i)[:p.n])
	}
	p.mirror(z)
	p.rows, p.copies, p.z = p.rows*p.copies, 1, z
	p.limit = Capacity(p.rows)
	p.epoch++
}

// numbers fills the distinct sites of new columns with independent normal numbers.
func (p *Pool) numbers(dst la.Mat[float64]) {
	for i := range p.rows {
		row, n := dst.Row(i), 0
		if p.even.Cols > 0 {
			n = copy(row, p.even.Row(i))
		}
		p.rng.Normal(row[n:])
	}
	if k := min(dst.Cols, p.even.Cols); k > 0 {
		p.even = p.even.Slice(0, p.rows, k, p.even.Cols)
	}
	p.all += dst.Cols
}

// mirror fills the copies of the distinct sites.
func (p *Pool) mirror(dst la.Mat[float64]) {
	for c := 1; c < p.copies; c++ {
		sign := p.sign(c)
		for i := range p.rows {
			row := dst.Row(c*p.rows + i)
			for j, v := range dst.Row(i) {
				row[j] = sign * v
			}
		}
	}
}

// sign is that of the noise of copy c: it changes with every period-th.
func (p *Pool) sign(c int) float64 { return float64(1 - 2*(c/p.period%2)) }

// match makes columns over the distinct sites orthonormal, and orthogonal to the noise, to what is beside it and to the
// constant, and takes them into the noise.
func (p *Pool) match(add la.Mat[float64], b *beside) error {
	if add.Cols == 0 {
		return nil
	}
	r := grow(&p.r, add.Cols, add.Cols)
	rounds := 2
	if p.n+b.N+add.Cols <= p.rows/2 && add.Cols <= p.rows/16 {
		// At least half of the numbers is left, and their condition number is small, so that nothing has amplified
		// rounding.
		rounds = 1
	}
	for range rounds {
		la.Deflate(add, view(p.z, p.n))
		la.Deflate(add, view(b.E, b.N))
		la.Centre(add)
		if !la.Whiten(add, r) {
			return errSingular(p.n+b.N+add.Cols, p.rows)
		}
	}
	p.z = widen(p.z, p.rows, p.n, p.n+add.Cols)
	for i := range add.Rows {
		copy(p.z.Row(i)[p.n:], add.Row(i))
	}
	p.n += add.Cols
	return nil
}

// admit takes the fields q into b that were not there yet, and what noise has been drawn for others out of it.
//
// Noise that is the same in all copies up to signs has ⟨z q⟩ = ⟨z q̄⟩ with the average q̄ of q over copies with those
// signs, over distinct sites.
func (p *Pool) admit(b *beside, q la.Mat[float64]) {
	if b.Epoch != p.epoch {
		b.N, b.From, b.Epoch = 0, 0, p.epoch
	}
	noise := view(p.z, p.n)
	if b.Seen < p.n && b.N > 0 {
		e := view(b.E, b.N)
		la.Deflate(e, noise.Slice(0, p.rows, b.Seen, p.n))
		r := grow(&p.r, b.N, b.N)
		ok := la.Whiten(e, r)
		for i := 0; ok && i < b.N; i++ {
			ok = r.Row(i)[i] > 0.1 // else rounding has been amplified
		}
		if !ok {
			b.N, b.From = 0, 0
		}
	}
	b.Seen = p.n
	if q.Cols == b.From || b.N+p.n >= p.limit {
		return
	}
	k, first := q.Cols-b.From, b.N
	if b.E.Rows != p.rows {
		b.E = la.Mat[float64]{}
	}
	b.E = widen(b.E, p.rows, b.N, b.N+k)
	add := b.E.Slice(0, p.rows, b.N, b.N+k)
	for i := range p.rows {
		row := add.Row(i)
		for j, v := range q.Row(i)[b.From:] {
			row[j] = v / float64(p.copies)
		}
		for c := 1; c < p.copies; c++ {
			share := p.sign(c) / float64(p.copies)
			for j, v := range q.Row(c*p.rows + i)[b.From:] {
				row[j] += share * v
			}
		}
	}
	// Once, and again where so much was cancelled that rounding has been amplified.
	for again := true; again; {
		before := columnSquares(grow(&p.before, 1, k).Data, add)
		la.Deflate(add, noise)
		la.Deflate(add, view(b.E, first))
		la.Centre(add)
		again = false
		for j, m := range columnSquares(grow(&p.after, 1, k).Data, add) {
			again = again || m > nothing && m < 0.01*before[j]
		}
	}
	x := la.New[float64](p.rows, 1)
	for j := range k {
		for i := range x.Data {
			x.Data[i] = add.Row(i)[j]
		}
		m := meanSquare(x.Data)
		for m > nothing {
			la.Deflate(x, b.E.Slice(0, p.rows, first, b.N))
			last := m
			if m = meanSquare(x.Data); m > 0.25*last {
				break // little was cancelled, so that rounding has not been amplified
			}
			la.Deflate(x, noise)
			la.Deflate(x, view(b.E, first))
			la.Centre(x)
		}
		if !(m > nothing) {
			continue // in the span of what is there already, as all of them are in a linear model
		}
		m = 1 / math.Sqrt(m)
		for i, v := range x.Data {
			b.E.Row(i)[b.N] = m * v
		}
		b.N++
	}
	b.From = q.Cols
}

// nothing is the mean square of what is left of a field of mean square one that is taken for rounding.
const nothing = 1e-24

func meanSquare(x []float64) float64 {
	v := blas64.Vector{N: len(x), Data: x, Inc: 1}
	return blas64.Dot(v, v) / float64(len(x))
}

// columnSquares sets dst to the mean squares of the columns of z.
func columnSquares(dst []float64, z la.Mat[float64]) []float64 {
	clear(dst)
	for i := range z.Rows {
		for j, v := range z.Row(i) {
			dst[j] += v * v
		}
	}
	for j := range dst {
		dst[j] /= float64(z.Rows)
	}
	return dst
}

// normalise makes the mean squares of columns one, where they are not nothing.
func normalise(z la.Mat[float64]) {
	scale := columnSquares(make([]float64, z.Cols), z)
	for j, m := range scale {
		if m > nothing {
			scale[j] = 1 / math.Sqrt(m)
		}
	}
	for i := range z.Rows {
		for j := range z.Row(i) {
			z.Row(i)[j] *= scale[j]
		}
	}
}

// Version counts the ways in which noise has been drawn from a seed: what was saved under another is not what this
// program would have drawn.
const Version = 2

// Save and Load keep and restore the pool, the state of its random stream included.
func (p *Pool) Save(enc *gob.Encoder) error {
	state, err := p.rng.MarshalBinary()
	if err != nil {
		return err
	}
	if err := enc.Encode(state); err != nil {
		return err
	}
	if err := enc.Encode([]int{Version, p.n, p.all, p.plain, p.epoch, p.rows, p.copies, p.limit}); err != nil {
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
	// n: the version, columns matched, all and plain ones, epoch, distinct sites, copies, limit
	switch {
	case len(n) != 8 || n[0] != Version:
		return errors.New("gaussian: the noise was saved by a version of the program that drew it differently")
	case n[5] < 1 || n[6] < 1 || n[5] > p.rows*p.copies || n[5]*n[6] != p.rows*p.copies || n[1] < 0 || n[1] > z.Cols ||
		n[2] < 0 || n[3] < 0 || n[4] < 0 || n[7] < 0 || n[7] > n[5] ||
		z.Cols > 0 && !z.Fills(n[5], z.Cols) || z.Cols < 0 || even.Cols < 0 || even.Cols > 0 && even.Rows != p.rows &&
		even.Rows != n[5] || even.Cols > 0 && !even.Holds(even.Rows, even.Cols):
		return errors.New("gaussian: not the saved noise of these sites")
	}
	p.n, p.all, p.plain, p.epoch, p.rows, p.copies, p.limit, p.even, p.z = n[1], n[2], n[3], n[4], n[5], n[6], n[7],
		even, z
	return p.rng.UnmarshalBinary(state)
}
