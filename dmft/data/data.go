// Package data makes the points of a problem from a description: small real images carried by the program, image files
// in the IDX and CIFAR-10 formats, arrays in npy and csv files, and generators.
//
//	set, err := data.Load(data.Spec{Source: "digits", Classes: []int{0, 1}, Train: 16, Test: 64, Seed: 1}, ".")
//
// A description gives the same points on every machine; the training set does not depend on the size of the test set.
// [Set.Data] are the points as a dmft.Problem takes them. Points of one's own need none of this; [Normalize] and
// [Encode] prepare them in the same ways.
package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/kernels"
)

// Spec describes a set of points. Which fields count depends on the source.
type Spec struct {
	Source      string
	Path        string // folder of mnist, fashion-mnist, cifar10
	Inputs      string // files of npy, csv, idx
	Targets     string
	TestInputs  string
	TestTargets string
	Classes     []int // labelled sources, and files with an Encoding: which classes, in which order; nil is all that occur
	Train, Test int   // numbers of points; 0 is all there are (files) or none (Test)
	Seed        uint64
	Normalize   string // none, sphere or standard; "" is the default of the source
	// sign, one-hot, centred-one-hot or label; "" is sign for two classes, one-hot for more. Files of npy and csv have
	// targets as they are with "" and none
	Encoding string
	Expect   string // what targets must be: Distributions, Signs or "", anything
	Memory   int64  // most bytes to take; 0 is no limit

	Dimension  int                // generators
	Degree     int                // parity
	Polynomial []float64          // single-index: Hermite coefficients
	Width      int                // teacher
	Activation kernels.Activation // teacher, kernel-eigenvector
	Index      int                // kernel-eigenvector: 1 is that of the largest eigenvalue
	Modulus    int                // modular-addition
	Outputs    int                // gaussian, sphere, teacher; 0 means 1
	Noise      float64            // standard deviation added to training targets of the regression generators
}

// Values of Spec.Expect.
const (
	Distributions = "distributions" // rows that sum to one
	Signs         = "signs"         // ±1
)

// Set is a set of points.
type Set struct {
	Inputs             mat.Matrix // P×D, *mat.Dense or *sparse.CSR
	Targets            *mat.Dense // P×C
	TestInputs         mat.Matrix // or nil
	TestTargets        *mat.Dense // or nil
	Labels, TestLabels []int      // class (position in Classes) of every point; nil for regression
	Description        string
	Notes              []string // what was skipped in files, or changed, and other things to know
}

// Data are the points as a dmft.Problem takes them.
func (s *Set) Data() dmft.Data {
	return dmft.Data{Inputs: s.Inputs, Targets: s.Targets, TestInputs: s.TestInputs, TestTargets: s.TestTargets}
}

// Bytes is how much memory the points take.
func (s *Set) Bytes() int64 {
	n := 0
	for _, m := range []mat.Matrix{s.Inputs, s.Targets, s.TestInputs, s.TestTargets} {
		switch m := m.(type) {
		case *sparse.CSR:
			r, _ := m.Dims()
			n += 2*m.NNZ() + r
		case *mat.Dense:
			if m != nil {
				r, c := m.Dims()
				n += r * c
			}
		}
	}
	return 8 * int64(n)
}

// Error is a description that cannot be served: a wrong name or number, a file that is missing or damaged.
type Error struct {
	Key string // the key of the description at fault, or ""
	Err error
}

func (e *Error) Error() string { return "data: " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func fail(key, format string, args ...any) error {
	return &Error{Key: key, Err: fmt.Errorf(format, args...)}
}

// Sources lists the sources.
func Sources() []string {
	return []string{"digits", "mnist", "fashion-mnist", "idx", "cifar10", "npy", "csv", "gaussian", "sphere", "parity",
		"single-index", "teacher", "kernel-eigenvector", "modular-addition"}
}

// The streams of random numbers, so that no choice disturbs another.
const (
	streamTrain = iota + 1
	streamTest
	streamTeacher
	streamNoise
)

func (s Spec) rng(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, stream)) }

// Load makes the points. Relative file names count from base.
func Load(s Spec, base string) (*Set, error) {
	if s.Train < 0 || s.Test < 0 {
		return nil, fail("train", "train and test are numbers of points and cannot be negative (%d, %d)", s.Train, s.Test)
	}
	if s.Outputs == 0 {
		s.Outputs = 1
	}
	if s.Noise < 0 || math.IsNaN(s.Noise) || math.IsInf(s.Noise, 0) {
		return nil, fail("noise", "noise %g must be finite and not negative", s.Noise)
	}
	if err := checkNormalize(s.Normalize); err != nil {
		return nil, err
	}
	switch s.Encoding {
	case "", "sign", "one-hot", "centred-one-hot", "label":
	case "none":
		if s.Source != "npy" && s.Source != "csv" {
			return nil, fail("encoding", "the encoding none is for npy and csv, which have targets as they are; use "+
				"sign, one-hot, centred-one-hot or label")
		}
	default:
		return nil, fail("encoding", "unknown encoding %q; use sign, one-hot, centred-one-hot or label (or none, for "+
			"npy and csv)", s.Encoding)
	}
	var set *Set
	var err error
	switch s.Source {
	case "digits", "mnist", "fashion-mnist", "idx", "cifar10":
		if s.Normalize == "" {
			s.Normalize = "standard"
		}
		set, err = s.images(base)
	case "npy", "csv":
		set, err = s.files(base)
	case "gaussian", "sphere", "parity", "single-index", "teacher":
		set, err = s.generate()
	case "kernel-eigenvector":
		set, err = s.eigenvector()
	case "modular-addition":
		if s.Normalize == "" {
			s.Normalize = "sphere"
		}
		set, err = s.modular()
	default:
		return nil, fail("source", "unknown source %q; use one of %s", s.Source, strings.Join(Sources(), ", "))
	}
	if err != nil {
		return nil, err
	}
	if err := Normalize(set.Inputs, set.TestInputs, s.Normalize); err != nil {
		return nil, err
	}
	p, d := set.Inputs.Dims()
	set.Description = fmt.Sprintf("%s: %d points of %d inputs", s.Source, p, d)
	if set.TestInputs != nil {
		pt, _ := set.TestInputs.Dims()
		set.Description += fmt.Sprintf(", %d test points", pt)
	}
	return set, nil
}

// labelled are points with classes before any choice.
type labelled struct {
	x      func(i int, dst []float64) // writes the inputs of point i
	d      int
	labels []int
	name   string
}

// images serves the labelled sources: balanced over classes, without replacement.
func (s Spec) images(base string) (*Set, error) {
	train, test, err := s.readImages(base)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(train.labels) // classes are whatever the file has, which may be a part of a collection
	slices.Sort(all)
	all = slices.Compact(all)
	classes := s.Classes
	if len(classes) == 0 {
		classes = all
	}
	seen := map[int]bool{}
	for _, c := range classes {
		if !slices.Contains(all, c) {
			return nil, fail("classes", "there is no class %d in %s; its classes are %s", c, s.Source, ranges(all))
		}
		if seen[c] {
			return nil, fail("classes", "class %d is listed twice", c)
		}
		seen[c] = true
	}
	if len(classes) < 2 && s.Encoding != "label" {
		return nil, fail("classes", "one class alone has nothing to tell apart; give at least two")
	}
	if s.Train == 0 {
		return nil, fail("train", "how many training points of %s? give train (and test)", s.Source)
	}
	outputs := len(classes)
	if s.Encoding == "label" || s.Encoding != "one-hot" && s.Encoding != "centred-one-hot" && outputs == 2 {
		outputs = 1
	}
	var every []int // the test images of a file of their own when no number is given
	if test != nil && s.Test == 0 {
		for i, l := range test.labels {
			if slices.Contains(classes, l) {
				every = append(every, i)
			} else if len(s.Classes) == 0 {
				return nil, fail("test_targets", "class %d of %s does not occur among the training images; name the "+
					"classes to use (data.classes)", l, test.name)
			}
		}
		if every == nil {
			return nil, fail("test_targets", "%s has no image of the classes %s", test.name, ranges(classes))
		}
	}
	row, tests := 8*float64(train.d+outputs+1), max(s.Test, len(every))
	if err := s.room("train", row*(float64(s.Train)+float64(tests)), fmt.Sprintf("%d training and %d test points of "+
		"%d inputs and %d outputs are asked for", s.Train, tests, train.d, outputs), s.fitting(row, 0)); err != nil {
		return nil, err
	}
	pick, rest, err := choose(train, classes, s.Train, s.rng(streamTrain))
	if err != nil {
		return nil, err
	}
	set := &Set{}
	if set.Inputs, set.Labels = gather(train, pick, classes); every != nil {
		set.TestInputs, set.TestLabels = gather(test, every, classes)
	} else if s.Test > 0 {
		from := rest
		if test != nil {
			from = nil
			for i := range test.labels {
				from = append(from, i)
			}
		} else {
			test = train
		}
		sub := &labelled{x: test.x, d: test.d, name: test.name, labels: make([]int, len(test.labels))}
		for i := range sub.labels {
			sub.labels[i] = -1
		}
		for _, i := range from {
			sub.labels[i] = test.labels[i]
		}
		pick, _, err := choose(sub, classes, s.Test, s.rng(streamTest))
		if err != nil {
			return nil, err
		}
		set.TestInputs, set.TestLabels = gather(sub, pick, classes)
	}
	if set.Targets, err = encode(set.Labels, len(classes), s.Encoding); err != nil {
		return nil, err
	}
	if set.TestInputs != nil {
		set.TestTargets, err = encode(set.TestLabels, len(classes), s.Encoding)
	}
	return set, err
}

// choose draws n points spread evenly over the classes, in random order, and returns the indices not chosen as well.
func choose(from *labelled, classes []int, n int, rng *rand.Rand) (pick, rest []int, err error) {
	for k, c := range classes {
		var have []int
		for i, l := range from.labels {
			if l == c {
				have = append(have, i)
			}
		}
		want := n / len(classes)
		if k < n%len(classes) {
			want++
		}
		if want > len(have) {
			return nil, nil, fail("train", "%d points of class %d are asked of %s, which has %d left", want, c,
				from.name, len(have))
		}
		rng.Shuffle(len(have), func(i, j int) { have[i], have[j] = have[j], have[i] })
		pick = append(pick, have[:want]...)
		rest = append(rest, have[want:]...)
	}
	rng.Shuffle(len(pick), func(i, j int) { pick[i], pick[j] = pick[j], pick[i] })
	sort.Ints(rest)
	return pick, rest, nil
}

func gather(from *labelled, pick, classes []int) (*mat.Dense, []int) {
	x := mat.NewDense(len(pick), from.d, nil)
	labels := make([]int, len(pick))
	for r, i := range pick {
		from.x(i, x.RawRowView(r))
		for k, c := range classes {
			if c == from.labels[i] {
				labels[r] = k
			}
		}
	}
	return x, labels
}

// Encode turns classes, numbers from 0 to classes−1, into targets, one row each:
//
//	sign             −1 and 1, of two classes
//	one-hot          1 in the column of the class, 0 in others
//	centred-one-hot  the same less 1/classes
//	label            the number of the class
//
// An empty encoding is sign for two classes and one-hot for more.
func Encode(labels []int, classes int, encoding string) (*mat.Dense, error) {
	if len(labels) == 0 || classes < 1 {
		return nil, fail("classes", "%d points of %d classes; there must be some", len(labels), classes)
	}
	for i, l := range labels {
		if l < 0 || l >= classes {
			return nil, fail("classes", "point %d is of class %d; classes are numbers from 0 to %d", i, l, classes-1)
		}
	}
	switch encoding {
	case "", "sign", "one-hot", "centred-one-hot", "label":
		return encode(labels, classes, encoding)
	}
	return nil, fail("encoding", "unknown encoding %q; use sign, one-hot, centred-one-hot or label", encoding)
}

// encode is Encode for what has been checked.
func encode(labels []int, classes int, enc string) (*mat.Dense, error) {
	if enc == "" {
		enc = "one-hot"
		if classes == 2 {
			enc = "sign"
		}
	}
	n := len(labels)
	switch enc {
	case "sign":
		if classes != 2 {
			return nil, fail("encoding", "the encoding sign is for two classes, not %d; use one-hot", classes)
		}
		y := mat.NewDense(n, 1, nil)
		for i, l := range labels {
			y.Set(i, 0, float64(2*l-1))
		}
		return y, nil
	case "label":
		y := mat.NewDense(n, 1, nil)
		for i, l := range labels {
			y.Set(i, 0, float64(l))
		}
		return y, nil
	}
	y := mat.NewDense(n, classes, nil)
	for i, l := range labels {
		for k := range classes {
			v := 0.
			if k == l {
				v = 1
			}
			if enc == "centred-one-hot" {
				v -= 1 / float64(classes)
			}
			y.Set(i, k, v)
		}
	}
	return y, nil
}

// ranges is a rising list in words: 0 to 9, 12.
func ranges(list []int) string {
	var s []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		switch {
		case j > i+1:
			s = append(s, fmt.Sprintf("%d to %d", list[i], list[j]))
		case j > i:
			s = append(s, fmt.Sprint(list[i]), fmt.Sprint(list[j]))
		default:
			s = append(s, fmt.Sprint(list[i]))
		}
		i = j + 1
	}
	return strings.Join(s, ", ")
}

func checkNormalize(how string) error {
	switch how {
	case "", "none", "sphere", "standard":
		return nil
	}
	return fail("normalize", "unknown normalisation %q; use none, sphere or standard", how)
}

// Normalize changes inputs, one point a row, in place, each a *mat.Dense or a *sparse.CSR; test inputs, of which nil is
// none, by the statistics of the training inputs:
//
//	sphere    every point has |x|² = D
//	standard  every column has mean zero, and all together variance one
//
// An empty name, and none, leave them as they are.
func Normalize(inputs, test mat.Matrix, how string) error {
	if err := checkNormalize(how); err != nil {
		return err
	}
	if d, ok := test.(*mat.Dense); ok && d == nil {
		test = nil
	}
	for _, x := range []mat.Matrix{inputs, test} {
		switch x.(type) {
		case *mat.Dense, *sparse.CSR:
		default:
			if x != nil {
				return fail("normalize", "inputs of type %T cannot be changed in place; use a *mat.Dense or a *sparse.CSR", x)
			}
		}
	}
	switch how {
	case "sphere":
		for _, x := range []mat.Matrix{inputs, test} {
			if x == nil {
				continue
			}
			p, d := x.Dims()
			for i := range p {
				row := rowOf(x, i)
				n := sumSquares(row)
				// Squares overflow or vanish; the row times a power of two is on the same ray.
				if !(n > leastSquare && n < mostSquare) {
					shift(row)
					n = sumSquares(row)
				}
				if n == 0 {
					return fail("normalize", "input row %d is zero and cannot be put on the sphere", i)
				}
				f := math.Sqrt(float64(d) / n)
				for k := range row {
					row[k] *= f
				}
			}
		}
	case "standard":
		x, ok := inputs.(*mat.Dense)
		if !ok {
			return fail("normalize", "normalize: standard would fill a sparse input matrix; use none or sphere")
		}
		t, ok := test.(*mat.Dense)
		if test != nil && !ok {
			return fail("normalize", "normalize: standard would fill a sparse matrix of test inputs; use none or sphere")
		}
		return standardise(x, t)
	}
	return nil
}

// The sums of squares that are exact to rounding.
const (
	leastSquare = 1e-280
	mostSquare  = 1e280
)

func sumSquares(row []float64) float64 {
	n := 0.
	for _, v := range row {
		n += v * v
	}
	return n
}

// shift multiplies a row by the power of two that brings its largest element near one.
func shift(row []float64) {
	most := 0.
	for _, v := range row {
		most = math.Max(most, math.Abs(v))
	}
	if most == 0 || math.IsInf(most, 0) {
		return
	}
	_, e := math.Frexp(most)
	for k := range row {
		row[k] = math.Ldexp(row[k], -e)
	}
}

// standardise subtracts the mean of every column of x and divides by one overall deviation, in x and in t, unless that
// is nil.
func standardise(x, t *mat.Dense) error {
	p, d := x.Dims()
	all := []*mat.Dense{x}
	if t != nil {
		all = append(all, t)
	}
	each := func(do func(row []float64)) {
		for _, m := range all {
			r, _ := m.Dims()
			for i := range r {
				do(m.RawRowView(i))
			}
		}
	}
	most := 0.
	for i := range p {
		for _, v := range x.RawRowView(i) {
			most = math.Max(most, math.Abs(v))
		}
	}
	// The result is the same for inputs times a power of two, and squares do not overflow.
	if e := math.Ilogb(most); most > 0 && (e > 400 || e < -400) {
		each(func(row []float64) {
			for j := range row {
				row[j] = math.Ldexp(row[j], -e)
			}
		})
		most = math.Ldexp(most, -e)
	}
	mean, low, high := make([]float64, d), make([]float64, d), make([]float64, d)
	copy(low, x.RawRowView(0))
	copy(high, x.RawRowView(0))
	for i := range p {
		for j, v := range x.RawRowView(i) {
			mean[j] += v / float64(p)
			low[j], high[j] = math.Min(low[j], v), math.Max(high[j], v)
		}
	}
	rounding := 0. // the sum of squares that nothing but the rounding of inputs makes
	for j := range mean {
		if low[j] == high[j] { // its mean would be off by its rounding
			mean[j] = low[j]
			continue
		}
		r := roundings * 0x1p-52 * math.Max(math.Abs(low[j]), math.Abs(high[j]))
		rounding += float64(p) * r * r
	}
	each(func(row []float64) {
		for j := range row {
			row[j] -= mean[j]
		}
	})
	n := 0.
	for i := range p {
		for _, v := range x.RawRowView(i) {
			n += v * v
		}
	}
	switch {
	case n == 0:
		return fail("normalize", "all training inputs are the same and cannot be standardised")
	case n <= rounding:
		return fail("normalize", "all training inputs are the same but for rounding (they spread by %.2g around "+
			"numbers of up to %.2g) and cannot be standardised; subtract what they have in common before writing them",
			math.Sqrt(n/float64(p*d)), most)
	}
	scale := math.Sqrt(float64(p*d) / n)
	each(func(row []float64) {
		for j := range row {
			row[j] *= scale
		}
	})
	return nil
}

// roundings is by how many times its rounding an input may differ from others without being different.
const roundings = 4

// rowOf is the storage of the non-zeros of row i.
func rowOf(x mat.Matrix, i int) []float64 {
	switch x := x.(type) {
	case *mat.Dense:
		return x.RawRowView(i)
	case *sparse.CSR:
		raw := x.RawMatrix()
		return raw.Data[raw.Indptr[i]:raw.Indptr[i+1]]
	}
	panic("data: unknown matrix type")
}
