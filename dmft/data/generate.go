package data

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/kernels"
)

// generate serves the generators with real inputs:
//
//	gaussian      x ~ N(0, 1_D), y = β·x/√D with β ~ N(0, 1_D), one β per output
//	sphere        the same with |x|² = D
//	parity        x ∈ {±1}^D, y = x₁x₂…x_k, k the degree
//	single-index  x ~ N(0, 1_D), y = Σ_k c_k He_k(β·x/|β|)/√k!
//	teacher       x ~ N(0, 1_D), y = W^{-1/2} Σ_i a_i φ(w_i·x/√D), all a_i, w_i ~ N(0, 1)
func (s Spec) generate() (*Set, error) {
	if s.Dimension < 1 {
		return nil, fail("dimension", "the source %s needs dimension, the number of inputs", s.Source)
	}
	if s.Train < 1 {
		return nil, fail("train", "the source %s needs train, the number of training points", s.Source)
	}
	if err := s.generatorRoom(); err != nil {
		return nil, err
	}
	label, outputs, err := s.target()
	if err != nil {
		return nil, err
	}
	set := &Set{}
	make := func(n int, stream uint64) (*mat.Dense, *mat.Dense) {
		rng := s.rng(stream)
		x, y := mat.NewDense(n, s.Dimension, nil), mat.NewDense(n, outputs, nil)
		for i := range n {
			row := x.RawRowView(i)
			s.draw(rng, row)
			label(row, y.RawRowView(i))
		}
		return x, y
	}
	set.Inputs, set.Targets = make(s.Train, streamTrain)
	if s.Test > 0 {
		set.TestInputs, set.TestTargets = make(s.Test, streamTest)
	}
	if s.Noise > 0 {
		rng := s.rng(streamNoise)
		for i := range s.Train {
			row := set.Targets.RawRowView(i)
			for k := range row {
				row[k] += s.Noise * rng.NormFloat64()
			}
		}
	}
	return set, nil
}

// generatorRoom refuses points, and what labels them, that do not fit into memory.
func (s Spec) generatorRoom() error {
	row, fixed, with := 8*float64(s.Dimension+s.Outputs), 8*float64(s.Dimension)*float64(s.Outputs), ""
	if s.Source == "teacher" {
		fixed = 8 * float64(s.Width) * float64(s.Dimension+s.Outputs+6)
		with = fmt.Sprintf(" from a teacher of %d hidden units", s.Width)
		if err := s.room("width", fixed, fmt.Sprintf("a teacher of %d hidden units with %d inputs is asked for",
			s.Width, s.Dimension), "use fewer units or inputs"); err != nil {
			return err
		}
	}
	return s.room("train", row*(float64(s.Train)+float64(s.Test))+fixed, fmt.Sprintf("%d training and %d test points "+
		"of %d inputs and %d outputs%s are asked for", s.Train, s.Test, s.Dimension, s.Outputs, with), s.fitting(row, fixed))
}

// draw fills one input.
func (s Spec) draw(rng *rand.Rand, x []float64) {
	if s.Source == "parity" {
		for j := range x {
			x[j] = float64(2*rng.IntN(2) - 1)
		}
		return
	}
	n := 0.
	for j := range x {
		x[j] = rng.NormFloat64()
		n += x[j] * x[j]
	}
	if s.Source == "sphere" {
		f := math.Sqrt(float64(len(x)) / n)
		for j := range x {
			x[j] *= f
		}
	}
}

// target is the function that generates the targets, and its number of outputs.
func (s Spec) target() (func(x, y []float64), int, error) {
	rng := s.rng(streamTeacher)
	d := s.Dimension
	root := 1 / math.Sqrt(float64(d))
	vector := func() []float64 {
		v := make([]float64, d)
		for j := range v {
			v[j] = rng.NormFloat64()
		}
		return v
	}
	dot := func(a, b []float64) float64 {
		t := 0.
		for j, v := range a {
			t += v * b[j]
		}
		return t
	}
	if s.Outputs < 1 || s.Outputs > 1000 {
		return nil, 0, fail("outputs", "outputs %d must be between 1 and 1000", s.Outputs)
	}
	if s.Outputs > 1 && (s.Source == "parity" || s.Source == "single-index") {
		return nil, 0, fail("outputs", "the source %s has one output, not %d", s.Source, s.Outputs)
	}
	switch s.Source {
	case "parity":
		if s.Degree < 1 || s.Degree > d {
			return nil, 0, fail("degree", "parity of degree %d over %d inputs; the degree is between 1 and the "+
				"dimension", s.Degree, d)
		}
		if s.Noise > 0 {
			return nil, 0, fail("noise", "parity labels take no noise")
		}
		return func(x, y []float64) {
			y[0] = 1
			for _, v := range x[:s.Degree] {
				y[0] *= v
			}
		}, 1, nil
	case "single-index":
		if len(s.Polynomial) == 0 {
			return nil, 0, fail("polynomial", "the source single-index needs polynomial, its Hermite coefficients "+
				"from degree 0 up")
		}
		for k, c := range s.Polynomial {
			if math.IsNaN(c) || math.IsInf(c, 0) {
				return nil, 0, fail("polynomial", "coefficient %d is %g", k, c)
			}
		}
		beta := vector()
		n := 1 / math.Sqrt(dot(beta, beta))
		return func(x, y []float64) {
			z := dot(beta, x) * n
			prev, cur := 0., 1. // orthonormal Hermite polynomials
			y[0] = 0
			for k, c := range s.Polynomial {
				y[0] += c * cur
				prev, cur = cur, (z*cur-math.Sqrt(float64(k))*prev)/math.Sqrt(float64(k+1))
			}
		}, 1, nil
	case "teacher":
		if s.Width < 1 {
			return nil, 0, fail("width", "the source teacher needs width, the number of its hidden units")
		}
		if err := s.Activation.Validate(); err != nil {
			return nil, 0, &Error{Key: "activation", Err: err}
		}
		w, a := make([][]float64, s.Width), make([][]float64, s.Width)
		for i := range w {
			w[i] = vector()
			a[i] = make([]float64, s.Outputs)
			for k := range a[i] {
				a[i][k] = rng.NormFloat64() / math.Sqrt(float64(s.Width))
			}
		}
		phi := s.Activation.Pointwise()
		return func(x, y []float64) {
			clear(y)
			for i := range w {
				v, _, _ := phi(dot(w[i], x) * root)
				for k := range y {
					y[k] += a[i][k] * v
				}
			}
		}, s.Outputs, nil
	}
	beta := make([][]float64, s.Outputs)
	for k := range beta {
		beta[k] = vector()
	}
	return func(x, y []float64) {
		for k := range y {
			y[k] = dot(beta[k], x) * root
		}
	}, s.Outputs, nil
}

// eigenvector makes x ~ N(0, 1_D) with labels that are an eigenvector, of mean square one, of the tangent kernel that
// infinitely many units with frozen readouts have at the start on training and test points together, K = ⟨φ′φ′⟩∘XXᵀ/D
// less its mean: labels as well or as badly aligned with the kernel as Index says, whatever the points (arXiv
// 2310.06110, Fig. 5). Of the two signs it is that with a positive largest element.
func (s Spec) eigenvector() (*Set, error) {
	if s.Dimension < 1 {
		return nil, fail("dimension", "the source %s needs dimension, the number of inputs", s.Source)
	}
	n := s.Train + s.Test
	if s.Train < 1 || n > mostEigen {
		return nil, fail("train", "the source %s needs training points, and at most %d with those for testing, not "+
			"%d and %d", s.Source, mostEigen, s.Train, s.Test)
	}
	if s.Index < 1 || s.Index > n {
		return nil, fail("index", "eigenvector %d of the kernel of %d points; they are numbered from 1", s.Index, n)
	}
	if err := s.Activation.Validate(); err != nil {
		return nil, &Error{Key: "activation", Err: err}
	}
	row, fixed := 16*float64(s.Dimension), 8*6*float64(n)*float64(n)
	if err := s.room("train", row*float64(n)+fixed, fmt.Sprintf("%d points of %d inputs and their kernel are asked for",
		n, s.Dimension), "use fewer points or inputs"); err != nil {
		return nil, err
	}
	x := mat.NewDense(n, s.Dimension, nil)
	train, test := s.rng(streamTrain), s.rng(streamTest)
	for i := range n {
		rng := train
		if i >= s.Train {
			rng = test
		}
		s.draw(rng, x.RawRowView(i))
	}
	k, phi, dphi := kernels.Gram(x), mat.NewSymDense(n, nil), mat.NewSymDense(n, nil)
	s.Activation.DualMatrix(phi, dphi, k)
	mean := 0.
	for i := range n {
		for j := range n {
			mean += k.At(i, j) * dphi.At(i, j) / float64(n*n)
		}
	}
	for i := range n {
		for j := i; j < n; j++ {
			k.SetSym(i, j, k.At(i, j)*dphi.At(i, j)-mean)
		}
	}
	var e mat.EigenSym
	if !e.Factorize(k, true) {
		return nil, fail("", "the eigenvectors of the kernel of %d points do not converge", n)
	}
	var v mat.Dense
	e.VectorsTo(&v)
	y := mat.Col(nil, n-s.Index, &v)
	most := 0.
	for _, f := range y {
		if math.Abs(f) > math.Abs(most) {
			most = f
		}
	}
	for i := range y {
		y[i] *= math.Copysign(math.Sqrt(float64(n)), most)
	}
	set := &Set{Inputs: mat.DenseCopyOf(x.Slice(0, s.Train, 0, s.Dimension)),
		Targets: mat.NewDense(s.Train, 1, y[:s.Train])}
	if s.Test > 0 {
		set.TestInputs, set.TestTargets = mat.DenseCopyOf(x.Slice(s.Train, n, 0, s.Dimension)),
			mat.NewDense(s.Test, 1, y[s.Train:])
	}
	return set, nil
}

// mostEigen is the most points whose kernel is diagonalised.
const mostEigen = 5000

// modular makes the table of a + b mod p: sparse rows with a one for a and a one for b, one-hot targets.
func (s Spec) modular() (*Set, error) {
	p := s.Modulus
	if p < 2 || p > 4096 {
		return nil, fail("modulus", "modular addition needs a modulus between 2 and 4096, not %d", p)
	}
	if s.Train < 1 {
		return nil, fail("train", "how many of the %d pairs are for training? give train", p*p)
	}
	if s.Train+s.Test > p*p {
		return nil, fail("train", "%d training and %d test points are asked of the %d pairs modulo %d", s.Train, s.Test,
			p*p, p)
	}
	outputs := p
	if s.Encoding == "label" || s.Encoding == "sign" {
		outputs = 1
	}
	row, fixed := 8*float64(outputs+12), 8*float64(p*p) // of the inputs, three lists of up to four numbers that grow
	if err := s.room("train", row*float64(s.Train+s.Test)+fixed, fmt.Sprintf("%d training and %d test points of %d "+
		"classes are asked for", s.Train, s.Test, p), s.fitting(row, fixed)); err != nil {
		return nil, err
	}
	perm := s.rng(streamTrain).Perm(p * p)
	set := &Set{}
	build := func(pairs []int) (*sparse.CSR, *mat.Dense, []int, error) {
		ptr, ind, val := []int{0}, []int{}, []float64{}
		labels := make([]int, len(pairs))
		for i, q := range pairs {
			a, b := q/p, q%p
			ind, val = append(ind, a, p+b), append(val, 1, 1)
			ptr = append(ptr, len(ind))
			labels[i] = (a + b) % p
		}
		encoding := s.Encoding
		if encoding == "" {
			encoding = "one-hot"
		}
		y, err := encode(labels, p, encoding)
		return sparse.NewCSR(len(pairs), 2*p, ptr, ind, val), y, labels, err
	}
	var err error
	if set.Inputs, set.Targets, set.Labels, err = build(perm[:s.Train]); err != nil {
		return nil, err
	}
	if s.Test > 0 {
		set.TestInputs, set.TestTargets, set.TestLabels, err = build(perm[s.Train : s.Train+s.Test])
	}
	return set, err
}
