package kernels

import (
	"math"
	"slices"
)

// The nodes x ≥ 0 of the Kronrod rule of 15 points, largest first, with its weights, and the weights of the Gauss rule
// of 7 points at every other of them (QUADPACK, Piessens et al. 1983).
var (
	kronrodX = [8]float64{0.991455371120812639206854697526329, 0.949107912342758524526189684047851,
		0.864864423359769072789712788640926,
		0.741531185599394439863864773280788, 0.586087235467691130294144691258735, 0.405845151377397166906606412076961,
		0.207784955007898467600689403773245, 0}
	kronrodW = [8]float64{0.022935322010529224963732008058970, 0.063092092629978553290700663189204,
		0.104790010322250183839876322541518,
		0.140653259715525918745189590510238, 0.169004726639267902826583426598550, 0.190350578064785409913256402421014,
		0.204432940075298892414161999234649,
		0.209482141084727828012999174891714}
	gaussW = [4]float64{0.129484966168869693270611432679082, 0.279705391489276667901467771423780,
		0.381830050505118944950369775488975,
		0.417959183673469387755102040816327}
)

const (
	rulePoints = 15
	// deviations is where the normal density, 2e-32, is cut.
	deviations = 12.
	// outerError and innerError are differences between the two rules at which a panel is good: the error of the better
	// rule is far below for smooth functions. Noise of the inner integrals must not be seen by the outer one.
	outerError, innerError = 1e-11, 1e-12
	// relativeError is that of a panel whose value is large against the whole, where rounding forbids more.
	relativeError = 5e-14
)

// quadrature takes Gaussian expectations of a function and of its derivative.
type quadrature struct {
	f     Function
	kinks []float64
	known bool // kinks were given
}

func newQuadrature(f Function) *quadrature {
	k := kinksOf(f)
	return &quadrature{f: f, kinks: k, known: len(k) > 0}
}

// points are the arguments and values of two integrands on a panel.
type points struct {
	x, w     [rulePoints]float64 // w is the normal density
	h        [rulePoints]float64
	phi, dph [rulePoints]float64
	y        [2][rulePoints]float64
}

// panel is an interval still to be done.
type panel struct{ a, b float64 }

// integrate is the integral over the standard normal distribution of the two integrands that f sets from x, by panels
// between breaks that are halved until the rules of 7 and 15 points differ by tol. Panels as narrow as narrow are
// reported.
func integrate(p *points, breaks []float64, tol [2]float64, stack []panel, f func(p *points),
	narrow func(a, b float64)) (total [2]float64, _ []panel) {
	stack = stack[:0]
	for i := len(breaks) - 1; i > 0; i-- {
		stack = append(stack, panel{breaks[i-1], breaks[i]})
	}
	for len(stack) > 0 {
		q := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		mid, half := (q.a+q.b)/2, (q.b-q.a)/2
		for i := range kronrodX {
			p.x[i], p.x[rulePoints-1-i] = mid-half*kronrodX[i], mid+half*kronrodX[i]
		}
		for i, x := range p.x {
			p.w[i] = math.Exp(-x*x/2) / math.Sqrt(2*math.Pi)
		}
		f(p)
		done := true
		var value [2]float64
		for k := range value {
			kronrod, gauss, size := 0., 0., 0.
			for i, y := range p.y[k] {
				j := min(i, rulePoints-1-i)
				kronrod += kronrodW[j] * y
				size += kronrodW[j] * math.Abs(y)
				if j%2 == 1 {
					gauss += gaussW[j/2] * y
				}
			}
			value[k] = half * kronrod
			done = done && !(half*math.Abs(kronrod-gauss) > math.Max(tol[k], relativeError*half*size))
		}
		if done || half < 1e-13*(1+math.Abs(mid)) {
			if narrow != nil {
				narrow(q.a, q.b)
			}
			for k, v := range value {
				total[k] += v
			}
			continue
		}
		stack = append(stack, panel{mid, q.b}, panel{q.a, mid})
	}
	return total, stack
}

// breaks are the ends of the first panels in x of a function of mean + sd·x: where the density varies, where the
// function has kinks, and for wide distributions where it varies itself, on the scale of 1 about 0. More may be given.
func (q *quadrature) breaks(dst []float64, mean, sd float64, more ...float64) []float64 {
	dst = append(dst[:0], -deviations, -8, -5, -2.5, 0, 2.5, 5, 8, deviations)
	dst = append(dst, more...)
	if sd > 0 {
		dst = append(dst, -mean/sd)
		for h := 1.; h < sd/2; h *= 4 {
			dst = append(dst, (h-mean)/sd, (-h-mean)/sd)
		}
		for _, k := range q.kinks {
			dst = append(dst, (k-mean)/sd)
		}
	}
	slices.Sort(dst)
	dst = slices.DeleteFunc(dst, func(x float64) bool { return !(x >= -deviations && x <= deviations) })
	return slices.CompactFunc(dst, func(a, b float64) bool { return math.Abs(a-b) < 1e-14*(1+math.Abs(a)) })
}

// eval sets φ and φ′ at mean + sd·x.
func (q *quadrature) eval(p *points, mean, sd float64) {
	for i, x := range p.x {
		p.h[i] = mean + sd*x
	}
	q.f.Eval(p.phi[:], p.dph[:], p.h[:])
}

// scale is √(E φ²) and √(E φ′²) at a variance. It takes note of the kinks that nobody told of.
func (q *quadrature) scale(v float64) (s [2]float64) {
	if !finite(v) {
		return [2]float64{math.NaN(), math.NaN()}
	}
	var p points
	sd := math.Sqrt(max(v, 0))
	square := func(p *points) {
		q.eval(p, 0, sd)
		for i, w := range p.w {
			p.y[0][i], p.y[1][i] = w*p.phi[i]*p.phi[i], w*p.dph[i]*p.dph[i]
		}
	}
	rough, stack := integrate(&p, q.breaks(nil, 0, sd), [2]float64{math.Inf(1), math.Inf(1)}, nil, square, nil)
	// Panels that end up narrow surround a kink, and the narrowest of those that touch is the one it is in.
	found := panel{}
	var kinks []float64
	keep := func() {
		if found.b > found.a && found.b-found.a < 1e-4 {
			kinks = append(kinks, sd*(found.a+found.b)/2)
		}
		found = panel{}
	}
	narrow := func(a, b float64) {
		if b-a > 1e-2 {
			keep()
		} else if found == (panel{}) || b-a < found.b-found.a {
			found = panel{a, b}
		}
	}
	for k := range rough {
		rough[k] *= innerError / 10
	}
	s, stack = integrate(&p, q.breaks(nil, 0, sd), rough, stack, square, nil)
	for k := range s {
		s[k] = math.Sqrt(s[k])
	}
	if q.known {
		return s
	}
	// In φ and φ′ themselves: the squares of a sign are smooth.
	plain := func(p *points) {
		q.eval(p, 0, sd)
		for i, w := range p.w {
			p.y[0][i], p.y[1][i] = w*p.phi[i], w*p.dph[i]
		}
	}
	integrate(&p, q.breaks(nil, 0, sd), [2]float64{innerError / 10 * s[0], innerError / 10 * s[1]}, stack, plain, narrow)
	keep()
	if len(q.kinks)+len(kinks) <= 16 { // more is no kink but a function that varies fast
		q.kinks = append(slices.Clip(q.kinks), kinks...)
	}
	return s
}

// dual is E φφ and E φ′φ′.
func (q *quadrature) dual(va, vb, c float64) (phi, dphi float64) {
	return q.pair(va, vb, c, q.scale(va), q.scale(vb))
}

// pair is dual with the scales known: the conditional expectation of φ(v) given u in the inner integral.
func (q *quadrature) pair(va, vb, c float64, sa, sb [2]float64) (phi, dphi float64) {
	if !finite(va) || !finite(vb) || !finite(c) {
		return math.NaN(), math.NaN()
	}
	if va < vb { // for symmetry to the bit
		va, vb, sa, sb = vb, va, sb, sa
	}
	su, det := math.Sqrt(va), determinant(va, vb, c)
	slope, r := 0., math.Sqrt(vb)
	if va > 0 {
		slope, r = c/su, math.Sqrt(det/va)
	}
	var tol, inside [2]float64
	for k := range tol {
		tol[k], inside[k] = outerError*sa[k]*sb[k], innerError*sb[k]
	}
	var p, in points
	var stack []panel
	var breaks []float64
	mean := 0. // of v given u
	inner := func(p *points) {
		q.eval(p, mean, r)
		for i, w := range p.w {
			p.y[0][i], p.y[1][i] = w*p.phi[i], w*p.dph[i]
		}
	}
	outer := func(p *points) {
		q.eval(p, 0, su)
		for i, w := range p.w {
			mean = slope * p.x[i]
			var e [2]float64
			if r == 0 {
				in.h[0] = mean
				q.f.Eval(in.phi[:1], in.dph[:1], in.h[:1])
				e = [2]float64{in.phi[0], in.dph[0]}
			} else {
				breaks = q.breaks(breaks, mean, r)
				e, stack = integrate(&in, breaks, inside, stack, inner, nil)
			}
			p.y[0][i], p.y[1][i] = w*p.phi[i]*e[0], w*p.dph[i]*e[1]
		}
	}
	var more []float64
	if slope != 0 {
		for _, k := range q.kinks {
			more = append(more, k/slope)
		}
	}
	s, _ := integrate(&p, q.breaks(nil, 0, su, more...), tol, nil, outer, nil)
	return s[0], s[1]
}
