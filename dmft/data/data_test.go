package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/kernels"
)

func write(t *testing.T, dir, name string, b []byte) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func idx(dims []int, data []byte) []byte {
	b := []byte{0, 0, 8, byte(len(dims))}
	for _, d := range dims {
		b = binary.BigEndian.AppendUint32(b, uint32(d))
	}
	return append(b, data...)
}

func zip(b []byte) []byte {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(b)
	_ = w.Close()
	return z.Bytes()
}

// pixels are n images of d pixels that say which image they are.
func pixels(n, d int) []byte {
	b := make([]byte, n*d)
	for i := range b {
		b[i] = byte(i / d * 10 % 251)
	}
	return b
}

func labels(n, classes int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % classes)
	}
	return b
}

func npyFile(t *testing.T, dir, name string, shape []int, data []float64) {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Write(&b, npy.Array{Shape: shape, Data: data}); err != nil {
		t.Fatal(err)
	}
	write(t, dir, name, b.Bytes())
}

// folder makes a folder with good and bad files of every kind.
func folder(t *testing.T) string {
	d := t.TempDir()
	write(t, d, "train-images-idx3-ubyte", idx([]int{20, 2, 3}, pixels(20, 6)))
	write(t, d, "train-labels-idx1-ubyte.gz", zip(idx([]int{20}, labels(20, 4))))
	write(t, d, "t10k-images.idx3-ubyte", idx([]int{8, 2, 3}, pixels(8, 6)))
	write(t, d, "t10k-labels.idx1-ubyte", idx([]int{8}, labels(8, 4)))
	for i, n := range []string{"cifar/data_batch_1.bin", "cifar/data_batch_3.bin", "cifar/test_batch.bin"} {
		_ = os.MkdirAll(filepath.Join(d, "cifar"), 0o755)
		b := make([]byte, 0, 6*cifarRecord)
		for k := range 6 {
			rec := bytes.Repeat([]byte{byte(40*i + k)}, cifarRecord)
			rec[0] = byte(k % 3)
			b = append(b, rec...)
		}
		write(t, d, n, b)
	}
	npyFile(t, d, "x.npy", []int{5, 2}, []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	npyFile(t, d, "y.npy", []int{5}, []float64{1, -1, 1, -1, 1})
	npyFile(t, d, "xt.npy", []int{2, 2}, []float64{1, 0, 0, 1})
	npyFile(t, d, "yt.npy", []int{2, 1}, []float64{1, -1})
	npyFile(t, d, "y4.npy", []int{4}, []float64{1, 1, 1, 1})
	npyFile(t, d, "x3.npy", []int{2, 3}, make([]float64, 6))
	npyFile(t, d, "nan.npy", []int{2, 2}, []float64{1, 2, 3, math.NaN()})
	npyFile(t, d, "empty.npy", []int{0, 2}, nil)
	whole, _ := os.ReadFile(filepath.Join(d, "x.npy"))
	write(t, d, "short.npy", whole[:len(whole)-5])
	write(t, d, "notnpy.npy", []byte("hello"))
	write(t, d, "data.csv", []byte("a,b,target\n1,2,3\n4,5,6\n7,8,9\n"))
	write(t, d, "data.csv.gz", zip([]byte("1,2,3\n4,5,6\n")))
	z := zip([]byte(strings.Repeat("1.2345,2.5,3.25\n", 1000)))
	write(t, d, "cut.csv.gz", z[:len(z)/2])
	write(t, d, "words.csv", []byte("1,2\n3,four\n"))
	write(t, d, "ragged.csv", []byte("1,2\n3,4,5\n"))
	write(t, d, "inf.csv", []byte("1,2\n3,Inf\n"))
	write(t, d, "none.csv", []byte("a,b\n"))
	write(t, d, "badmagic", []byte{1, 2, 3, 4, 5})
	write(t, d, "floats", append([]byte{0, 0, 13, 1}, 0, 0, 0, 1, 0, 0, 0, 0))
	write(t, d, "cutimages", idx([]int{20, 2, 3}, pixels(19, 6)))
	write(t, d, "labels20", idx([]int{20}, labels(20, 4)))
	write(t, d, "images20", idx([]int{20, 6}, pixels(20, 6)))
	write(t, d, "labels7", idx([]int{7}, labels(7, 4)))
	cut := zip(idx([]int{20}, labels(20, 4)))
	write(t, d, "cutlabels.gz", cut[:len(cut)-9])
	_ = os.MkdirAll(filepath.Join(d, "badcifar"), 0o755)
	write(t, d, "badcifar/data_batch_1.bin", make([]byte, 5000))
	_ = os.MkdirAll(filepath.Join(d, "label11"), 0o755)
	b := make([]byte, cifarRecord)
	b[0] = 11
	write(t, d, "label11/data_batch_1.bin", b)
	_ = os.MkdirAll(filepath.Join(d, "empty"), 0o755)
	return d
}

// TestSources loads every source and checks shapes, classes, normalisation and that results are the same twice.
func TestSources(t *testing.T) {
	dir := folder(t)
	tanh := kernels.Activation{Name: "tanh"}
	for _, tc := range []struct {
		spec         Spec
		p, pt, d, c  int
		firstTargets []float64
	}{
		{Spec{Source: "digits", Classes: []int{3, 8}, Train: 17, Test: 30, Seed: 2}, 17, 30, 64, 1, nil},
		{Spec{Source: "digits", Train: 20, Test: 10, Seed: 2, Normalize: "sphere"}, 20, 10, 64, 10, nil},
		{Spec{Source: "digits", Classes: []int{1, 2, 3}, Train: 6, Encoding: "centred-one-hot", Normalize: "none"}, 6,
			0, 64, 3, nil},
		{Spec{Source: "digits", Classes: []int{1, 2, 3}, Train: 6, Encoding: "label"}, 6, 0, 64, 1, nil},
		{Spec{Source: "mnist", Path: ".", Classes: []int{0, 3}, Train: 10, Test: 4}, 10, 4, 6, 1, nil},
		{Spec{Source: "fashion-mnist", Path: dir, Classes: []int{0, 1, 2, 3}, Train: 8, Test: 8}, 8, 8, 6, 4, nil},
		{Spec{Source: "idx", Inputs: "images20", Targets: "labels20", Train: 8, Test: 8}, 8, 8, 6, 4, nil},
		{Spec{Source: "cifar10", Path: "cifar", Classes: []int{0, 1, 2}, Train: 12, Test: 3}, 12, 3, 3072, 3, nil},
		{Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy"}, 5, 0, 2, 1, []float64{1, -1, 1, -1, 1}},
		{Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", TestInputs: "xt.npy", TestTargets: "yt.npy"}, 5, 2, 2,
			1, []float64{1, -1}},
		{Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", Train: 3, Test: 2}, 3, 2, 2, 1, nil},
		{Spec{Source: "csv", Inputs: "data.csv"}, 3, 0, 2, 1, []float64{3, 6, 9}},
		{Spec{Source: "csv", Inputs: "data.csv.gz", Normalize: "standard"}, 2, 0, 2, 1, []float64{3, 6}},
		{Spec{Source: "csv", Inputs: "data.csv", Targets: "data.csv"}, 3, 0, 3, 3, []float64{1, 2, 3, 4}},
		{Spec{Source: "gaussian", Dimension: 7, Train: 5, Test: 4, Outputs: 2, Noise: 0.1}, 5, 4, 7, 2, nil},
		{Spec{Source: "sphere", Dimension: 7, Train: 5}, 5, 0, 7, 1, nil},
		{Spec{Source: "parity", Dimension: 7, Degree: 3, Train: 5, Test: 3}, 5, 3, 7, 1, nil},
		{Spec{Source: "single-index", Dimension: 7, Polynomial: []float64{0, 1, 0.5}, Train: 5, Test: 3}, 5, 3, 7, 1, nil},
		{Spec{Source: "teacher", Dimension: 7, Width: 3, Activation: tanh, Outputs: 2, Train: 5, Test: 3}, 5, 3, 7, 2, nil},
		{Spec{Source: "modular-addition", Modulus: 7, Train: 30, Test: 19}, 30, 19, 14, 7, nil},
	} {
		name := fmt.Sprintf("%+v", tc.spec)
		s, err := Load(tc.spec, dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p, d := s.Inputs.Dims()
		py, c := s.Targets.Dims()
		pt := 0
		if s.TestInputs != nil {
			pt, _ = s.TestInputs.Dims()
			if pty, ct := s.TestTargets.Dims(); pty != pt || ct != c {
				t.Errorf("%s: test targets %d×%d", name, pty, ct)
			}
		}
		if p != tc.p || py != p || pt != tc.pt || d != tc.d || c != tc.c {
			t.Errorf("%s: %d+%d points, %d inputs, %d outputs", name, p, pt, d, c)
		}
		for i, v := range tc.firstTargets {
			if s.Targets.RawMatrix().Data[i] != v {
				t.Errorf("%s: target %d is %g, want %g", name, i, s.Targets.RawMatrix().Data[i], v)
			}
		}
		again, err := Load(tc.spec, dir)
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%s: loading twice differs (%v)", name, err)
		}
		other := tc.spec
		other.Test = tc.spec.Test / 2
		if tc.spec.Test > 1 && tc.spec.Source != "modular-addition" {
			less, err := Load(other, dir)
			if err != nil || !mat.Equal(less.Inputs, s.Inputs) || !mat.Equal(less.Targets, s.Targets) {
				t.Errorf("%s: the training set depends on the size of the test set (%v)", name, err)
			}
		}
	}
}

// TestMeaning: generators generate what they say, images keep their labels, splits are disjoint, normalisation does
// what it says.
func TestMeaning(t *testing.T) {
	dir := folder(t)
	load := func(s Spec) *Set {
		t.Helper()
		set, err := Load(s, dir)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	s := load(Spec{Source: "parity", Dimension: 6, Degree: 2, Train: 40})
	for i := range 40 {
		if s.Targets.At(i, 0) != s.Inputs.At(i, 0)*s.Inputs.At(i, 1) {
			t.Fatal("parity")
		}
	}
	s = load(Spec{Source: "modular-addition", Modulus: 5, Train: 12, Test: 13})
	seen := map[[2]int]bool{}
	for _, part := range []struct {
		x mat.Matrix
		y *mat.Dense
	}{{s.Inputs, s.Targets}, {s.TestInputs, s.TestTargets}} {
		if _, ok := part.x.(*sparse.CSR); !ok {
			t.Fatalf("inputs are %T, want sparse", part.x)
		}
		n, _ := part.x.Dims()
		for i := range n {
			a, b := -1, -1
			for j := range 5 {
				if part.x.At(i, j) != 0 {
					a = j
				}
				if part.x.At(i, 5+j) != 0 {
					b = j
				}
			}
			if part.y.At(i, (a+b)%5) != 1 || math.Abs(part.x.At(i, a)-math.Sqrt(5)) > 1e-12 {
				t.Fatalf("row %d: %d + %d", i, a, b)
			}
			if seen[[2]int{a, b}] {
				t.Fatalf("%d + %d twice", a, b)
			}
			seen[[2]int{a, b}] = true
		}
	}
	s = load(Spec{Source: "mnist", Path: ".", Classes: []int{3, 1}, Train: 10, Test: 2, Normalize: "none"})
	for i, l := range s.Labels {
		image := int(math.Round(s.Inputs.At(i, 0) * 255 / 10)) // pixels say which image it is
		if image%4 != []int{3, 1}[l] || s.Targets.At(i, 0) != float64(2*l-1) {
			t.Fatalf("image %d has label %d", image, l)
		}
	}
	d := load(Spec{Source: "digits", Classes: []int{0, 1, 2, 3}, Train: 350, Test: 100, Normalize: "none"})
	rows := map[string]bool{}
	for i := range 350 {
		rows[fmt.Sprint(d.Inputs.(*mat.Dense).RawRowView(i))] = true
	}
	count := map[int]int{}
	for _, l := range d.Labels {
		count[l]++
	}
	if count[0] != 88 || count[1] != 88 || count[2] != 87 || count[3] != 87 {
		t.Errorf("classes are not balanced: %v", count)
	}
	twice := 0
	for i := range 100 {
		if rows[fmt.Sprint(d.TestInputs.(*mat.Dense).RawRowView(i))] {
			twice++
		}
	}
	if twice > 0 {
		t.Errorf("%d test images are training images", twice)
	}
	d = load(Spec{Source: "digits", Train: 100, Test: 50})
	x := d.Inputs.(*mat.Dense)
	mean, sq := 0., 0.
	for j := range 64 {
		m := 0.
		for i := range 100 {
			m += x.At(i, j) / 100
			sq += x.At(i, j) * x.At(i, j) / 6400
		}
		mean = math.Max(mean, math.Abs(m))
	}
	if mean > 1e-12 || math.Abs(sq-1) > 1e-12 {
		t.Errorf("standard: largest mean %g, mean square %g", mean, sq)
	}
	// Hermite coefficients: unit variance of each degree.
	h := load(Spec{Source: "single-index", Dimension: 3, Polynomial: []float64{0, 0, 0, 1}, Train: 100000})
	v := 0.
	for i := range 100000 {
		v += h.Targets.At(i, 0) * h.Targets.At(i, 0) / 100000
	}
	if math.Abs(v-1) > 0.2 { // the fourth moment of He₃/√6 is 93: standard error 0.03
		t.Errorf("He₃/√6 has variance %g", v)
	}
}

// TestBadInput: everything that can be wrong with a source, and what the message must say.
func TestBadInput(t *testing.T) {
	dir := folder(t)
	for _, tc := range []struct {
		spec Spec
		want []string
	}{
		{Spec{Source: "digit"}, []string{"unknown source", "digits"}},
		{Spec{Source: "digits", Normalize: "unit"}, []string{"unknown normalisation", "sphere"}},
		{Spec{Source: "digits", Encoding: "x", Train: 3}, []string{"unknown encoding"}},
		{Spec{Source: "digits", Classes: []int{0, 11}, Train: 4}, []string{"class 11", "0 to 9"}},
		{Spec{Source: "digits", Classes: []int{0, 0}, Train: 4}, []string{"listed twice"}},
		{Spec{Source: "digits", Classes: []int{4}, Train: 4}, []string{"one class"}},
		{Spec{Source: "digits", Classes: []int{0, 1}, Train: 4000}, []string{"2000 points of class 0", "178"}},
		{Spec{Source: "digits", Classes: []int{0, 1}, Train: 300, Test: 200}, []string{"class 0", "left"}},
		{Spec{Source: "digits", Classes: []int{0, 1}}, []string{"train"}},
		{Spec{Source: "digits", Train: -1}, []string{"negative"}},
		{Spec{Source: "digits", Classes: []int{0, 1, 2}, Train: 6, Encoding: "sign"}, []string{"two classes"}},
		{Spec{Source: "mnist", Train: 4}, []string{"needs path"}},
		{Spec{Source: "mnist", Path: "nowhere", Train: 4}, []string{"train-images-idx3-ubyte", "no such file"}},
		{Spec{Source: "idx", Inputs: "badmagic", Targets: "labels20", Train: 2}, []string{"badmagic", "not an IDX file"}},
		{Spec{Source: "idx", Inputs: "floats", Targets: "labels20", Train: 2}, []string{"floats", "0x0d"}},
		{Spec{Source: "idx", Inputs: "cutimages", Targets: "labels20", Train: 2}, []string{"cutimages", "truncated"}},
		{Spec{Source: "idx", Inputs: "labels20", Targets: "labels20", Train: 2}, []string{"labels20", "at least two"}},
		{Spec{Source: "idx", Inputs: "images20", Targets: "images20", Train: 2}, []string{"label file has one"}},
		{Spec{Source: "idx", Inputs: "images20", Targets: "labels7", Train: 2}, []string{"20 images", "7 labels"}},
		{Spec{Source: "idx", Inputs: "images20", Targets: "cutlabels.gz", Train: 2},
			[]string{"cutlabels.gz", "truncated gzip"}},
		{Spec{Source: "idx", Inputs: "images20", Train: 2}, []string{"inputs and targets"}},
		{Spec{Source: "cifar10", Path: "nowhere", Train: 2}, []string{"nowhere", "no such file"}},
		{Spec{Source: "cifar10", Path: "empty", Train: 2}, []string{"data_batch_1.bin"}},
		{Spec{Source: "cifar10", Path: "badcifar", Train: 2}, []string{"5000 bytes", "3073"}},
		{Spec{Source: "cifar10", Path: "label11", Train: 2}, []string{"record 0 has label 11"}},
		{Spec{Source: "cifar10", Path: "x.npy", Train: 2}, []string{"is a file"}},
		{Spec{Source: "npy", Inputs: "missing.npy", Targets: "y.npy"}, []string{"missing.npy", "no such file"}},
		{Spec{Source: "npy", Inputs: "x.npy"}, []string{"needs targets"}},
		{Spec{Source: "npy", Targets: "y.npy"}, []string{"needs inputs"}},
		{Spec{Source: "npy", Inputs: "x.npy", Targets: "y4.npy"}, []string{"5 rows", "4"}},
		{Spec{Source: "npy", Inputs: "nan.npy", Targets: "yt.npy"}, []string{"nan.npy", "row 1, column 1", "NaN"}},
		{Spec{Source: "npy", Inputs: "short.npy", Targets: "y.npy"}, []string{"short.npy", "truncated"}},
		{Spec{Source: "npy", Inputs: "notnpy.npy", Targets: "y.npy"}, []string{"notnpy.npy", "not a numpy array"}},
		{Spec{Source: "npy", Inputs: "empty.npy", Targets: "y.npy"}, []string{"empty.npy", "shape [0 2]"}},
		{Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", TestInputs: "x3.npy", TestTargets: "yt.npy"},
			[]string{"3 columns", "2"}},
		{Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", TestTargets: "yt.npy"}, []string{"without test_inputs"}},
		{Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", Train: 4, Test: 2},
			[]string{"4 training and 2 test", "5 rows"}},
		{Spec{Source: "csv", Inputs: "cut.csv.gz"}, []string{"cut.csv.gz", "truncated gzip"}},
		{Spec{Source: "csv", Inputs: "words.csv"}, []string{"words.csv", "line 2, field 2", "four"}},
		{Spec{Source: "csv", Inputs: "ragged.csv"}, []string{"ragged.csv", "line 2 has 3 fields"}},
		{Spec{Source: "csv", Inputs: "inf.csv"}, []string{"inf.csv", "line 2, field 2", "Inf"}},
		{Spec{Source: "csv", Inputs: "none.csv"}, []string{"none.csv", "no rows"}},
		{Spec{Source: "gaussian", Train: 3}, []string{"needs dimension"}},
		{Spec{Source: "gaussian", Dimension: 3}, []string{"needs train"}},
		{Spec{Source: "gaussian", Dimension: 3, Train: 3, Noise: math.NaN()}, []string{"noise"}},
		{Spec{Source: "parity", Dimension: 3, Train: 3, Degree: 4}, []string{"degree"}},
		{Spec{Source: "parity", Dimension: 3, Train: 3, Degree: 2, Noise: 1}, []string{"noise"}},
		{Spec{Source: "parity", Dimension: 3, Train: 3, Degree: 2, Outputs: 2}, []string{"one output"}},
		{Spec{Source: "single-index", Dimension: 3, Train: 3}, []string{"polynomial"}},
		{Spec{Source: "teacher", Dimension: 3, Train: 3}, []string{"width"}},
		{Spec{Source: "teacher", Dimension: 3, Train: 3, Width: 2, Activation: kernels.Activation{Name: "x"}},
			[]string{"unknown activation"}},
		{Spec{Source: "modular-addition", Train: 3}, []string{"modulus"}},
		{Spec{Source: "modular-addition", Modulus: 3, Train: 8, Test: 2}, []string{"9 pairs"}},
		{Spec{Source: "modular-addition", Modulus: 3, Train: 8, Normalize: "standard"}, []string{"sparse"}},
	} {
		_, err := Load(tc.spec, dir)
		var typed *Error
		if !errors.As(err, &typed) {
			t.Errorf("%+v: error %v", tc.spec, err)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: message %q does not say %q", tc.spec, err, w)
			}
		}
	}
}

func FuzzIDX(f *testing.F) {
	f.Add(idx([]int{2, 3}, pixels(2, 3)))
	f.Add([]byte{0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		dims, data, err := readIDX(b)
		if err == nil && len(data) > len(b) {
			t.Errorf("dimensions %v from %d bytes", dims, len(b))
		}
		_ = checkCIFAR(b)
	})
}

// says counts the lines of a text that say something, 0 where quotes or carriage returns make that more than counting.
func says(b []byte) (n int) {
	if bytes.ContainsAny(b, "\"\r") {
		return 0
	}
	for l := range bytes.Lines(b) {
		if len(bytes.TrimSpace(l)) > 0 {
			n++
		}
	}
	return n
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,2\n"))
	f.Add([]byte("1e400,\"2\n"))
	f.Add([]byte("\ufeff,x,y\n0,1.5,2\n1,3,4\n"))
	f.Add([]byte("sep=;\n1;2\n3;4\n;\n"))
	f.Add([]byte("\"x\" \"y\"\n\"1\" 1.5 2\n# and\n\"2\" 3 4\n"))
	f.Add([]byte("0,1,2\n1.5,2.5,3\n0.0,4.5,2\n"))
	f.Add([]byte("1,2,\n\n3,4,\r\n"))
	f.Add([]byte("setosa\nvirginica\nsetosa\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, classes := range []bool{false, true} {
			o := csvOptions{classes: classes, digits: true, memory: 1 << 20}
			x, err := parseCSV(bytes.NewReader(b), o)
			if err != nil {
				continue
			}
			n := len(x.rounding)
			if lines := says(b); lines > n && len(x.notes) == 0 {
				t.Fatalf("%d rows of %d lines, and nothing is said of it", n, lines)
			}
			if classes && len(x.labels) != n || x.m == nil && !classes {
				t.Fatalf("%d rows, %d classes, numbers %v", n, len(x.labels), x.m)
			}
			if x.m == nil {
				continue
			}
			if r, c := x.m.Dims(); r != n || r == 0 || c == 0 || 2*r*c > 4*len(b)+4 {
				t.Errorf("%d×%d numbers and %d rows from %d bytes", r, c, n, len(b))
			}
			for _, v := range x.m.RawMatrix().Data {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%g is a number", v)
				}
			}
		}
	})
}

// TestKernelEigenvector: labels are eigenvectors of the kernel x·x′(1 + ε²x·x′) less its mean, of mean square one over
// all points, orthogonal for different indices, in order of the eigenvalues.
func TestKernelEigenvector(t *testing.T) {
	const n, d, eps = 30, 7, 0.6
	last := math.Inf(1)
	var before []float64
	for _, index := range []int{1, 2, 15} {
		s := Spec{Source: "kernel-eigenvector", Dimension: d, Train: 18, Test: n - 18, Seed: 4, Index: index,
			Activation: kernels.Activation{Name: kernels.QuadraticMixName, Parameter: eps}}
		set, err := Load(s, "")
		if err != nil {
			t.Fatal(err)
		}
		x := mat.NewDense(n, d, nil)
		x.Stack(set.Inputs, set.TestInputs)
		y := append(append([]float64(nil), set.Targets.RawMatrix().Data...), set.TestTargets.RawMatrix().Data...)
		k, mean := mat.NewDense(n, n, nil), 0.
		k.Mul(x, x.T())
		for i := range n {
			for j := range n {
				c := k.At(i, j) / d
				k.Set(i, j, c*(1+eps*eps*c))
				mean += k.At(i, j) / (n * n)
			}
		}
		lambda, size, cross := 0., 0., 0.
		ky := make([]float64, n)
		for i := range n {
			for j := range n {
				ky[i] += (k.At(i, j) - mean) * y[j]
			}
			lambda += ky[i] * y[i] / n
			size += y[i] * y[i] / n
			if before != nil {
				cross += y[i] * before[i] / n
			}
		}
		for i := range n {
			if math.Abs(ky[i]-lambda*y[i]) > 1e-10*last {
				if index > 1 || math.Abs(ky[i]-lambda*y[i]) > 1e-9*lambda {
					t.Fatalf("index %d: (Ky)_%d = %g, λy = %g", index, i, ky[i], lambda*y[i])
				}
			}
		}
		if math.Abs(size-1) > 1e-12 || math.Abs(cross) > 1e-12 || lambda > last {
			t.Errorf("index %d: mean square %g, product with the one before %g, eigenvalue %g after %g", index, size,
				cross, lambda, last)
		}
		before, last = y, lambda
	}
	for key, s := range map[string]Spec{"index": {Train: 3, Index: 4, Dimension: 2},
		"train": {Train: 3000, Test: 3000, Index: 1, Dimension: 2}, "dimension": {Train: 3, Index: 1},
		"activation": {Train: 3, Index: 1, Dimension: 2}} {
		s.Source = "kernel-eigenvector"
		var e *Error
		if _, err := Load(s, ""); !errors.As(err, &e) || e.Key != key {
			t.Errorf("%s: %v", key, err)
		}
	}
}
