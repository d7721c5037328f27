package data

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/internal/npy"
)

// fileReader reads the files of npy and csv.
type fileReader struct {
	Spec
	base  string
	notes []string
	taken float64 // memory of what has been read
}

// pair is inputs with targets or classes.
type pair struct {
	x, y    *mat.Dense
	classes []string // of every row, instead of y
	yname   string
}

// encoded says whether targets are classes.
func (s Spec) encoded() bool { return s.Encoding != "" && s.Encoding != "none" }

// files serves npy and csv: all rows as given, or a seeded choice of them.
func (s Spec) files(base string) (*Set, error) {
	if s.Inputs == "" {
		return nil, fail("inputs", "the source %s needs inputs, the file of input rows", s.Source)
	}
	if s.Classes != nil && !s.encoded() {
		return nil, fail("classes", "classes of %s are chosen when encoding says that targets are classes: one-hot, "+
			"centred-one-hot, sign or label", s.Source)
	}
	r := &fileReader{Spec: s, base: base}
	train, err := r.pair("inputs", s.Inputs, "targets", s.Targets)
	if err != nil {
		return nil, err
	}
	var test *pair
	if s.TestInputs != "" {
		if test, err = r.pair("test_inputs", s.TestInputs, "test_targets", s.TestTargets); err != nil {
			return nil, err
		}
		_, d := train.x.Dims()
		if _, td := test.x.Dims(); td != d {
			return nil, fail("test_inputs", "%s has %d columns and %s %d", s.TestInputs, td, s.Inputs, d)
		}
	} else if s.TestTargets != "" {
		return nil, fail("test_targets", "test_targets without test_inputs")
	}
	set := &Set{}
	if s.encoded() {
		if set.Labels, set.TestLabels, err = r.encodeClasses(train, test); err != nil {
			return nil, err
		}
	} else if test != nil {
		_, c := train.y.Dims()
		if _, tc := test.y.Dims(); tc != c {
			return nil, fail("test_targets", "test targets have %d columns and targets %d", tc, c)
		}
	}
	set.Inputs, set.Targets, set.Notes = train.x, train.y, r.notes
	if test != nil {
		set.TestInputs, set.TestTargets = test.x, test.y
	}
	if err := r.suit(train); err != nil {
		return nil, err
	}
	if s.Train == 0 && s.Test == 0 {
		return set, nil
	}
	_, d := train.x.Dims()
	_, c := train.y.Dims()
	if err := s.room("train", r.taken+8*float64(d+c)*(float64(s.Train)+float64(s.Test)),
		fmt.Sprintf("%d training and %d test points are chosen from %s", s.Train, s.Test, s.Inputs),
		"choose fewer, or raise the limit (--memory)"); err != nil {
		return nil, err
	}
	return set, r.choose(set, train, test)
}

// suit refuses targets that are classes where the loss takes something else: what to do is the encoding.
func (r *fileReader) suit(train *pair) error {
	if r.encoded() || r.Expect == "" {
		return nil
	}
	p, c := train.y.Dims()
	signs, whole := true, c == 1
	for i := range p {
		v := train.y.At(i, 0)
		signs, whole = signs && math.Abs(v) == 1, whole && v == math.Trunc(v)
	}
	switch {
	case whole && r.Expect == Distributions:
		return fail("encoding", "the targets of %s are one column of whole numbers, and the loss takes one column "+
			"per class; encoding one-hot makes them of classes", train.yname)
	case whole && r.Expect == Signs && !signs:
		return fail("encoding", "the targets of %s are whole numbers, and the loss takes −1 and +1; encoding sign "+
			"makes them of two classes", train.yname)
	}
	return nil
}

// choose replaces the points of a set by a seeded choice of them: training rows from the front of a permutation, test
// rows from its back, so that neither size moves the other.
func (r *fileReader) choose(set *Set, from, testFrom *pair) error {
	s := r.Spec
	p, _ := from.x.Dims()
	labels, testLabels := set.Labels, set.TestLabels
	take := func(key string, n, have int) error {
		if n > have {
			return fail(key, "%s: %d rows are asked of %d", key, n, have)
		}
		return nil
	}
	perm := s.rng(streamTrain).Perm(p)
	train := s.Train
	if testFrom != nil {
		if train == 0 {
			train = p
		}
		if err := take("train", train, p); err != nil {
			return err
		}
		if s.Test > 0 {
			pt, _ := testFrom.x.Dims()
			if err := take("test", s.Test, pt); err != nil {
				return err
			}
			perm := s.rng(streamTest).Perm(pt)[:s.Test]
			set.TestInputs, set.TestTargets, set.TestLabels = rows(testFrom.x, perm), rows(testFrom.y, perm),
				pickLabels(testLabels, perm)
		}
	} else {
		if train == 0 {
			train = p - s.Test
		}
		if train < 1 || train > p-s.Test {
			return fail("train", "%d training and %d test rows are asked of the %d rows of %s", max(train, s.Train),
				s.Test, p, s.Inputs)
		}
		if s.Test > 0 {
			set.TestInputs, set.TestTargets, set.TestLabels = rows(from.x, perm[p-s.Test:]),
				rows(from.y, perm[p-s.Test:]), pickLabels(labels, perm[p-s.Test:])
		}
	}
	set.Inputs, set.Targets, set.Labels = rows(from.x, perm[:train]), rows(from.y, perm[:train]),
		pickLabels(labels, perm[:train])
	return nil
}

func rows(m *mat.Dense, idx []int) *mat.Dense {
	_, c := m.Dims()
	out := mat.NewDense(len(idx), c, nil)
	for k, i := range idx {
		out.SetRow(k, m.RawRowView(i))
	}
	return out
}

func pickLabels(labels, idx []int) []int {
	if labels == nil {
		return nil
	}
	out := make([]int, len(idx))
	for k, i := range idx {
		out[k] = labels[i]
	}
	return out
}

func (r *fileReader) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.base, name)
}

// pair reads inputs and targets.
func (r *fileReader) pair(xkey, xname, ykey, yname string) (*pair, error) {
	alone := yname == "" // csv: the last column is the target
	if alone && r.Source != "csv" {
		return nil, fail(ykey, "%s needs %s beside %s", r.Source, ykey, xkey)
	}
	x, err := r.table(xkey, xname, alone && r.encoded(), false)
	if err != nil {
		return nil, err
	}
	out := &pair{x: x.m, classes: x.labels, yname: yname}
	if alone {
		out.yname = xname
		if x.m == nil {
			return nil, fail(ykey, "%s has one column, the targets; there must be inputs in front of them, or %s "+
				"beside %s", xname, ykey, xkey)
		}
		p, d := x.m.Dims()
		if out.classes == nil {
			if d < 2 {
				return nil, fail(ykey, "%s needs %s beside %s, which has one column", r.Source, ykey, xkey)
			}
			out.x, out.y = mat.DenseCopyOf(x.m.Slice(0, p, 0, d-1)), mat.DenseCopyOf(x.m.Slice(0, p, d-1, d))
		}
		return out, nil
	}
	y, err := r.table(ykey, yname, r.encoded(), r.Expect == Distributions && !r.encoded())
	if err != nil {
		return nil, err
	}
	p, _ := x.m.Dims()
	n := len(y.labels)
	if out.y, out.classes = y.m, y.labels; out.classes == nil {
		n, _ = y.m.Dims()
	} else if y.m != nil {
		_, c := y.m.Dims()
		return nil, fail(ykey, "%s has %d columns; encoding is for one column of classes, leave it out for targets "+
			"as they are", yname, c+1)
	}
	if n != p {
		more := ""
		if r.Source == "csv" && (n == p+1 && !y.header || p == n+1 && !x.header) {
			more = "; is the first line of the longer one a header whose names are numbers?"
		}
		return nil, fail(ykey, "%s has %d rows and %s %d; there must be one target row per input row%s", xname, p,
			yname, n, more)
	}
	if r.Expect == Distributions && !r.encoded() {
		r.distributions(yname, out.y, y.rounding)
	}
	return out, nil
}

// distributions divides rows that sum to one, as well as the type of the file can tell, by their sums.
func (r *fileReader) distributions(name string, y *mat.Dense, rounding []float64) {
	p, c := y.Dims()
	if c < 2 {
		return
	}
	changed, most := 0, 0.
	for i := range p {
		row, sum := y.RawRowView(i), 0.
		for _, v := range row {
			sum += v
		}
		d := math.Abs(sum - 1)
		// Numbers of twice the precision may have been computed in single.
		if slices.Min(row) < 0 || d > math.Max(float64(c+4)*0x1p-23, rounding[i]) || d <= float64(c)*0x1p-52 {
			continue
		}
		for k := range row {
			row[k] /= sum
		}
		changed, most = changed+1, math.Max(most, d)
	}
	if changed > 0 {
		r.note(name, "%d rows, which sum to one within %.2g, the rounding of their numbers, are divided by their sums",
			changed, most)
	}
}

func (r *fileReader) note(name, format string, args ...any) {
	if n := name + ": " + fmt.Sprintf(format, args...); !slices.Contains(r.notes, n) {
		r.notes = append(r.notes, n)
	}
}

// left is how much of the memory limit is left, 0 for no limit.
func (r *fileReader) left() int64 {
	if r.Memory <= 0 {
		return 0
	}
	return max(r.Memory-int64(r.taken), 1)
}

// table reads a matrix from a file of the source's format; an array of one dimension is a column. With classes its last
// column is read as that.
func (r *fileReader) table(key, name string, classes, rounding bool) (*table, error) {
	path := r.path(name)
	read := r.npy
	if r.Source == "csv" {
		read = r.csv
	}
	t, err := read(path, name, classes, rounding)
	var e *Error
	switch {
	case err == nil:
	case errors.As(err, &e):
		return nil, err
	case errors.Is(err, os.ErrNotExist):
		return nil, &Error{Key: key, Err: err}
	default:
		return nil, fail(key, "%s: %w", path, err)
	}
	if t.m != nil {
		n, c := t.m.Dims()
		r.taken += 8 * float64(n) * float64(c)
	}
	for _, n := range t.notes {
		r.note(name, "%s", n)
	}
	return t, nil
}

func (r *fileReader) csv(path, _ string, classes, rounding bool) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in, packed, err := unpacking(f)
	if err != nil {
		return nil, err
	}
	counted := &counter{r: in}
	t, err := parseCSV(counted, csvOptions{classes: classes, digits: rounding, memory: r.left()})
	if packed && counted.err != nil && counted.err != io.EOF {
		err = fmt.Errorf("%w; fetch or write the file again", unpackError(counted.err, counted.n))
	}
	return t, err
}

// counter counts what is read, and keeps the error that ended it.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

func (r *fileReader) npy(path, name string, classes, rounding bool) (*table, error) {
	a, h, err := npy.Load(path, func(h npy.Header) error {
		return r.room("", float64(h.Bytes())+r.taken, fmt.Sprintf("%s has the shape %v", name, h.Shape),
			"save fewer rows, or raise the limit (--memory)")
	})
	if err != nil {
		return nil, err
	}
	shape := a.Shape
	switch {
	case len(shape) == 0:
		return nil, errors.New("an array without axes, one number; an array of rows is needed")
	case len(shape) == 1:
		shape = []int{shape[0], 1}
	case len(shape) > 2: // images: flatten everything behind the first axis
		n := 1
		for _, d := range shape[1:] {
			n *= d
		}
		shape = []int{shape[0], n}
	}
	if shape[0] == 0 || shape[1] == 0 {
		return nil, fmt.Errorf("shape %v; an array of rows is needed", a.Shape)
	}
	for i, v := range a.Data {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("row %d, column %d is %g; remove or impute it (rows and columns count from 0)",
				i/shape[1], i%shape[1], v)
		}
	}
	t := &table{m: mat.NewDense(shape[0], shape[1], a.Data)}
	if classes {
		if shape[1] > 1 {
			return nil, fmt.Errorf("shape %v; encoding is for one column of classes, leave it out for targets as "+
				"they are", a.Shape)
		}
		t.m, t.labels = nil, make([]string, len(a.Data))
		names := map[float64]string{}
		for i, v := range a.Data {
			if _, ok := names[v]; !ok {
				names[v] = strconv.FormatFloat(v, 'g', -1, 64)
			}
			t.labels[i] = names[v]
		}
	}
	if rounding {
		t.rounding = make([]float64, shape[0])
		for i := range t.rounding {
			t.rounding[i] = float64(shape[1]+4) * h.Epsilon()
		}
	}
	return t, nil
}

// mostClasses is far above what a class is told apart from a number by.
const mostClasses = 10000

// encodeClasses turns classes into targets: whole numbers in their order, or words in that of the alphabet, unless
// Classes says which and in what order. Points of other classes are left out.
func (r *fileReader) encodeClasses(train, test *pair) (labels, testLabels []int, err error) {
	all := []*pair{train}
	if test != nil {
		all = append(all, test)
	}
	// Labels are numbers if all are; 1 and 1.0 are the same then.
	numbers := true
	for _, p := range all {
		for _, l := range p.classes {
			if _, err := number(l); err != nil {
				numbers = false
			}
		}
	}
	var names []string
	value := map[string]float64{}
	for _, p := range all {
		seen := map[string]string{}
		for i, l := range p.classes {
			n, ok := seen[l]
			if !ok {
				n = l
				if numbers {
					v, _ := number(l)
					if v != math.Trunc(v) || math.Abs(v) > 1e15 {
						return nil, nil, fail("encoding", "%s: row %d is %s, which is no class; encoding turns whole "+
							"numbers or words into targets, leave it out for targets as they are", p.yname, i, l)
					}
					n = strconv.FormatFloat(v, 'f', 0, 64)
					if v == 0 {
						n = "0"
					}
					value[n] = v
				}
				if seen[l] = n; len(seen) > mostClasses {
					return nil, nil, fail("encoding", "%s has more than %d different targets, which are no classes; "+
						"leave encoding out for targets as they are", p.yname, mostClasses)
				}
				if p == train && !slices.Contains(names, n) {
					names = append(names, n)
				}
			}
			p.classes[i] = n
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if numbers && value[a] != value[b] {
			return int(math.Copysign(1, value[a]-value[b]))
		}
		return strings.Compare(a, b)
	})
	if r.Classes != nil {
		have := names
		names = nil
		for _, c := range r.Classes {
			n := strconv.Itoa(c)
			switch {
			case !numbers:
				return nil, nil,
					fail("classes", "classes are numbers, and those of %s are words: %s; leave classes out", train.yname, list(have))
			case !slices.Contains(have, n):
				return nil, nil, fail("classes", "there is no class %d in %s; its classes are %s", c, train.yname, list(have))
			case slices.Contains(names, n):
				return nil, nil, fail("classes", "class %d is listed twice", c)
			}
			names = append(names, n)
		}
	}
	if len(names) < 2 && r.Encoding != "label" {
		return nil, nil, fail("encoding", "%s has one class alone, %s, which leaves nothing to tell apart", train.yname,
			list(names))
	}
	if !numbers || len(names) > 0 && names[0] != "0" || len(names) > 1 &&
		names[len(names)-1] != strconv.Itoa(len(names)-1) {
		var s []string
		for k, n := range names[:min(len(names), 12)] {
			s = append(s, fmt.Sprintf("%d is %s", k, short(n)))
		}
		if len(names) > len(s) {
			s = append(s, "…")
		}
		r.note(train.yname, "class %s", strings.Join(s, ", "))
	}
	position := map[string]int{}
	for k, n := range names {
		position[n] = k
	}
	outputs := float64(len(names))
	if r.Encoding == "sign" || r.Encoding == "label" {
		outputs = 1
	}
	lists := make([][]int, 2)
	for i, p := range all {
		var keep []int
		for m, n := range p.classes {
			if k, ok := position[n]; ok {
				keep, lists[i] = append(keep, m), append(lists[i], k)
			} else if r.Classes == nil {
				return nil, nil, fail("test_targets", "class %s of row %d of %s does not occur among the training "+
					"points; name the classes to use (data.classes), or leave the row out", short(n), m, p.yname)
			}
		}
		if keep == nil {
			return nil, nil, fail("classes", "%s has no point of the classes %s", p.yname, list(names))
		}
		if len(keep) < len(p.classes) {
			p.x = rows(p.x, keep)
		}
		r.taken += 8 * outputs * float64(len(keep))
		if err := r.room("encoding", r.taken, fmt.Sprintf("%d points of %d classes are asked for", len(keep),
			len(names)), "use fewer points or classes, or encoding label"); err != nil {
			return nil, nil, err
		}
		if p.y, err = encode(lists[i], len(names), r.Encoding); err != nil {
			return nil, nil, err
		}
	}
	return lists[0], lists[1], nil
}
