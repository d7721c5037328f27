package gaussian

import (
	"encoding/gob"
	"errors"

	"github.com/seed39b58f2d/dmft/internal/la"
	"github.com/seed39b58f2d/dmft/internal/random"
)

// Pool draws the noise columns that enter one kind of site, as many as the run turns out to need. Every column is orthonormal to the columns
// drawn before, so the sample second moments of everything linear in the noise are exact.
//
// Sites come in groups of copies with the same distinct noise up to signs: copy k carries the sign (−1)^⌊k/period⌋.
type Pool struct {
	rng    *random.Stream
	rows   int // distinct sites
	copies int
	period int
	limit  int             // columns that are matched at most
	z      la.Mat[float64] // matched columns, orthonormal to each other, rows × cap
	n      int             // how many were drawn
	made   int             // how many there are: they are made ahead, in chunks
	plain  int             // columns drawn without matching because the limit was reached
	strict bool
}

// ErrFull is the error of a strict pool that is asked for more columns than it can match.
var ErrFull = errors.New("gaussian: more independent noise columns are needed than fit over the sites")

// Strict makes Draw fail with ErrFull rather than draw columns that are not matched.
func (p *Pool) Strict() { p.strict = true }

// NewPool returns a pool over sites = distinct·copies sites from the random stream (seed, stream). At most limit columns are matched, all that fit when limit is
// negative; none when it is zero.
func NewPool(seed, stream uint64, sites, copies, period, limit int) *Pool {
	p := &Pool{rng: random.New(seed, stream), rows: sites / copies, copies: copies, period: period}
	room := Capacity(p.rows)
	p.limit = room
	if limit >= 0 {
		p.limit = min(limit, room)
	}
	return p
}

// Drawn is how many columns were drawn, and how many of them without matching.
func (p *Pool) Drawn() (all, unmatched int) { return p.n + p.plain, p.plain }

// chunk is how many columns are made at a time: orthogonalising one against thousands is bound by memory, many at once are a matrix product.
const chunk = 32

// Draw returns k more columns over all sites.
func (p *Pool) Draw(k int) (la.Mat[float64], error) {
	m := max(min(k, p.limit-p.n), 0)
	if m < k && p.strict {
		return la.Mat[float64]{}, ErrFull
	}
	for p.made < p.n+m {
		if err := p.produce(min(max(chunk, p.n+m-p.made), p.limit-p.made)); err != nil {
			return la.Mat[float64]{}, err
		}
	}
	fresh := la.New[float64](p.rows, k)
	for i := range p.rows {
		copy(fresh.Row(i)[:m], p.z.Row(i)[p.n:])
	}
	if m < k {
		rest := Plain(p.rng, p.rows, k-m)
		for i := range p.rows {
			copy(fresh.Row(i)[m:], rest.Row(i))
		}
	}
	p.n += m
	p.plain += k - m
	return signs(fresh, p.copies, p.period), nil
}

// produce adds k matched columns.
func (p *Pool) produce(k int) error {
	p.reserve(p.made + k)
	old, add := p.z.Slice(0, p.rows, 0, p.made), p.z.Slice(0, p.rows, p.made, p.made+k)
	fresh := Plain(p.rng, p.rows, k)
	for i := range p.rows {
		copy(add.Row(i), fresh.Row(i))
	}
	r := la.New[float64](p.made, k)
	for range 2 { // orthogonal to those before, among each other, and again for rounding
		if p.made > 0 {
			la.Gemm(la.T, la.N, 1/float64(p.rows), old, add, 0, r)
			la.Gemm(la.N, la.N, -1, old, r, 1, add)
		}
		centre(add)
		if err := whiten(add); err != nil {
			return err
		}
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

// signs stacks copies of z, the sign changing with every period-th copy.
func signs(z la.Mat[float64], copies, period int) la.Mat[float64] {
	out := la.New[float64](copies*z.Rows, z.Cols)
	for k := range copies {
		sign := float64(1 - 2*(k/period%2))
		for i, v := range z.Data {
			out.Data[k*len(z.Data)+i] = sign * v
		}
	}
	return out
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
	if err := enc.Encode([3]int{p.n, p.plain, p.made}); err != nil {
		return err
	}
	return enc.Encode(p.z)
}

// Load implements the other half of Save.
func (p *Pool) Load(dec *gob.Decoder) error {
	var state []byte
	var n [3]int
	var z la.Mat[float64]
	for _, v := range []any{&state, &n, &z} {
		if err := dec.Decode(v); err != nil {
			return err
		}
	}
	p.n, p.plain, p.made, p.z = n[0], n[1], n[2], z
	return p.rng.UnmarshalBinary(state)
}
