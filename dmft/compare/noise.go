package compare

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// kurtosis is the relative variance of squares, which is about the same at all sizes and is pooled, and their degrees
// of freedom.
func kurtosis(squares [][]float64) (kappa, dof float64) {
	for _, sq := range squares {
		m, se := meanStderr(sq)
		n := float64(len(sq))
		if m > 0 {
			kappa += (n - 1) * se * se * n / (m * m)
		}
		dof += n - 1
	}
	return kappa / max(dof, 1), dof
}

// noise is the distribution of the squared norm of a sum of means around its expectation: Σ λ_i z_i² over the
// eigenvalues of their covariance.
type noise struct {
	trace  float64   // Σ λ
	lambda []float64 // the largest ones, relative to the trace
	rest   float64   // Σ of the others
	dof    float64   // with which the trace is known
}

// A pool is samples with one covariance between them, up to the variance factors of their replicas.
type pool struct {
	samples []Sample
	factors []float64
	dof     float64
}

// noiseOf estimates the covariance Σ_pools Σ factor (x − mean)(x − mean)ᵀ. The degrees of freedom of the trace are
// those of a single mode, which is cautious: trajectories have few.
func noiseOf(pools ...pool) noise {
	var rows [][]float64
	var n noise
	uncertain := 0.
	for _, p := range pools {
		t := 0.
		for i, s := range p.samples {
			m, _ := moments(s)
			w := math.Sqrt(p.factors[i])
			for _, x := range s {
				row := make([]float64, len(x))
				for j := range x {
					row[j] = w * (x[j] - m[j])
					t += row[j] * row[j]
				}
				rows = append(rows, row)
			}
		}
		n.trace += t
		uncertain += t * t / p.dof
	}
	if !(n.trace > 0) {
		return n
	}
	n.dof = n.trace * n.trace / uncertain
	// The shape of the spectrum, for which some hundreds of replicas are enough.
	const most, enough, least = 16, 600, 1e-4
	step := 1
	if len(rows[0]) > enough {
		step = (len(rows) + enough - 1) / enough
	}
	var some [][]float64
	kept := 0.
	for i := 0; i < len(rows); i += step {
		some = append(some, rows[i])
		kept += dot(rows[i], rows[i])
	}
	for i, l := range spectrum(some) {
		if i < most && l > least*kept {
			n.lambda = append(n.lambda, l/kept)
		} else {
			n.rest += l / kept
		}
	}
	return n
}

// sizesPool is the pool of ensembles for Σ_k a_k mean_k: in a limit n Cov(q_n) is the same for all sizes n.
func sizesPool(sizes []int, ensembles []Sample, a []float64) pool {
	p := pool{samples: ensembles}
	weight := 0.
	for i, e := range ensembles {
		p.dof += float64(len(e) - 1)
		weight += a[i] * a[i] / float64(len(e)) / float64(sizes[i])
	}
	for _, n := range sizes {
		p.factors = append(p.factors, float64(n)*weight/p.dof)
	}
	return p
}

// meanPool is the pool of one sample for its mean; none of a single replica, which has no sampling error.
func meanPool(s Sample) []pool {
	n := float64(len(s))
	if n < 2 {
		return nil
	}
	return []pool{{[]Sample{s}, []float64{1 / (n * (n - 1))}, n - 1}}
}

// studentRatio is the 97.5 % point of Student's distribution over that of the normal one.
func studentRatio(dof int) float64 {
	if dof < 1 {
		return 1
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(dof)}.Quantile(0.975) / distuv.UnitNormal.Quantile(0.975)
}

// spectrum are the eigenvalues of Σ x xᵀ over rows x, the largest first.
func spectrum(rows [][]float64) []float64 {
	r, c := len(rows), len(rows[0])
	x := mat.NewDense(r, c, nil)
	for i, v := range rows {
		x.SetRow(i, v)
	}
	g := mat.NewSymDense(min(r, c), nil)
	if r <= c {
		g.SymOuterK(1, x)
	} else {
		g.SymOuterK(1, x.T())
	}
	var e mat.EigenSym
	if !e.Factorize(g, false) {
		return make([]float64, min(r, c))
	}
	v := e.Values(nil)
	slices.Reverse(v)
	for i := range v {
		v[i] = max(v[i], 0)
	}
	return v
}

// tail is the probability that Σ λ z² exceeds x times the trace as it was estimated, by drawing: a trace known with ν
// degrees of freedom is a χ²_ν/ν.
func (n noise) tail(x float64) float64 {
	if !(n.trace > 0) {
		return 0
	}
	rng := rand.New(rand.NewPCG(3, 5))
	chi := distuv.ChiSquared{K: n.dof, Src: rng}
	above := 0.
	for d := 1; ; d++ {
		s := n.rest
		for _, l := range n.lambda {
			z := rng.NormFloat64()
			s += l * z * z
		}
		if s >= x*chi.Rand()/chi.K {
			above++
		}
		switch { // sequentially: the smaller, the more draws (Besag & Clifford 1991)
		case above == enough:
			return above / float64(d)
		case d == nullDraws:
			return (above + 1) / float64(d+1)
		}
	}
}

// directions are two unit vectors along the bias of the smallest ensemble, each from half of its replicas. Projections
// of its replicas onto the direction of the other half are unbiased; using both for every ensemble keeps them
// comparable.
func directions(s Sample, inf []float64) [][]float64 {
	var dirs [][]float64
	for half := range 2 {
		v := make([]float64, len(inf))
		for i := half; i < len(s); i += 2 {
			for j, x := range s[i] {
				v[j] += x - inf[j]
			}
		}
		norm := 0.
		for _, x := range v {
			norm += x * x
		}
		if norm = math.Sqrt(norm); norm == 0 {
			return nil
		}
		for j := range v {
			v[j] /= norm * math.Sqrt(float64(len(inf)))
		}
		dirs = append(dirs, v)
	}
	return dirs
}

// deviations are the replicas of s, less a vector, in rows.
func deviations(s Sample, from []float64) *mat.Dense {
	out := mat.NewDense(len(s), len(from), nil)
	for i, x := range s {
		row := out.RawRowView(i)
		for j, v := range x {
			row[j] = v - from[j]
		}
	}
	return out
}

// moments are mean and unbiased variance of every component.
func moments(s Sample) (mean, variance []float64) {
	mean, variance = make([]float64, len(s[0])), make([]float64, len(s[0]))
	for _, x := range s {
		for j, v := range x {
			mean[j] += v
		}
	}
	for j := range mean {
		mean[j] /= float64(len(s))
	}
	if len(s) < 2 {
		return mean, variance
	}
	for _, x := range s {
		for j, v := range x {
			variance[j] += (v - mean[j]) * (v - mean[j])
		}
	}
	for j := range variance {
		variance[j] /= float64(len(s) - 1)
	}
	return mean, variance
}

func mean(x []float64) float64 {
	s := 0.
	for _, v := range x {
		s += v
	}
	return s / float64(max(len(x), 1))
}

func dot(a, b []float64) float64 {
	s := 0.
	for i, v := range a {
		s += v * b[i]
	}
	return s
}
