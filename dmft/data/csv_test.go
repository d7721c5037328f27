package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/internal/npy"
)

func readText(t interface{ Helper() }, text string, o csvOptions) (*table, error) {
	t.Helper()
	return parseCSV(strings.NewReader(text), o)
}

// TestCSVForms: files as programs and people write them, the numbers that are in them, and what is said to be skipped.
func TestCSVForms(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want [][]float64
		said []string // every note, by a part of it
	}{
		"plain":            {"1,2\n3,4\n", [][]float64{{1, 2}, {3, 4}}, nil},
		"no last newline":  {"1,2\n3,4", [][]float64{{1, 2}, {3, 4}}, nil},
		"header":           {"a,b\n1,2\n", [][]float64{{1, 2}}, []string{"line 1 is a header, a, b"}},
		"sodium is no gap": {"RI,Na\n1,2\n", [][]float64{{1, 2}}, []string{"header, RI, Na"}},
		"byte-order mark":  {"\xef\xbb\xbf1,2\n3,4\n", [][]float64{{1, 2}, {3, 4}}, []string{"byte-order mark"}},
		"mark and header":  {"\xef\xbb\xbfa,b\n3,4\n", [][]float64{{3, 4}}, []string{"byte-order mark", "header, a, b"}},
		"windows":          {"a;b\r\n1;2\r\n3;4\r\n", [][]float64{{1, 2}, {3, 4}}, []string{"header, a, b"}},
		"old macintosh":    {"1,2\r3,4\r", [][]float64{{1, 2}, {3, 4}}, nil},
		"tabs":             {"1\t2\n3\t4\n", [][]float64{{1, 2}, {3, 4}}, nil},
		"numpy.savetxt": {"# x y\n1.0e+00 2.0e+00\n3.0e+00 4.0e+00\n", [][]float64{{1, 2}, {3, 4}},
			[]string{"begin with #"}},
		"aligned blanks":       {"  1.0   2\n 33.0 4 \n", [][]float64{{1, 2}, {33, 4}}, nil},
		"comma and blank":      {"1, 2\n3,\t4\n", [][]float64{{1, 2}, {3, 4}}, nil},
		"one column":           {"1\n2\n", [][]float64{{1}, {2}}, nil},
		"one column, its name": {"target value\n1\n2\n", [][]float64{{1}, {2}}, []string{"header, target value"}},
		"quoted":               {"\"a, b\",\"c\nd\"\n\"1\",\"2\"\n", [][]float64{{1, 2}}, []string{"header, a, b, c\nd"}},
		"excel names it": {"sep=;\n1;2\n3;4\n;\n", [][]float64{{1, 2}, {3, 4}},
			[]string{"names the separator", "nothing but separators"}},
		"trailing separators": {"1,2,\n3,4,\n", [][]float64{{1, 2}, {3, 4}}, []string{"a separator ends every line"}},
		"trailing, header": {"a,b,\n1,2,\n", [][]float64{{1, 2}},
			[]string{"header, a, b", "a separator ends every line"}},
		"trailing, not header": {"a,b\n1,2,\n3,4,\n", [][]float64{{1, 2}, {3, 4}},
			[]string{"header, a, b", "a separator ends every line"}},
		"pandas index": {",x,y\n0,1.5,2\n1,3,4\n", [][]float64{{1.5, 2}, {3, 4}},
			[]string{"header, x, y", "column 1 (0, 1, …) without a name is taken for an index"}},
		"pandas index twice": {",Unnamed: 0,x\n0,0,1.5\n1,1,3\n", [][]float64{{1.5}, {3}},
			[]string{"header", "columns 1 to 2"}},
		"pandas index, sample": {",x,y\n17,1.5,2\n3,3,4\n", [][]float64{{1.5, 2}, {3, 4}},
			[]string{"header, x, y", "column 1 (17, 3, …)"}},
		"pandas words": {",x,y\na,1.5,2\nb,3,4\n", [][]float64{{1.5, 2}, {3, 4}},
			[]string{"header, x, y", "column 1 (a, b, …)"}},
		"pandas numbers": {",0,1\n0,1.5,2\n1,3,4\n", [][]float64{{1.5, 2}, {3, 4}},
			[]string{"header, 0, 1", "column 1 (0, 1, …)"}},
		"pandas numbers alone": {"0,1,2\n1.5,2.5,3\n0.0,4.5,2\n", [][]float64{{1.5, 2.5, 3}, {0, 4.5, 2}},
			[]string{"line 1 is a header, the numbers of columns"}},
		"a point 0, 1, 2": {"0,1,2\n1,2,3\n", [][]float64{{0, 1, 2}, {1, 2, 3}}, []string{"is taken for a point"}},
		"a point 0, 1":    {"0,1\n1.5,2.5\n", [][]float64{{0, 1}, {1.5, 2.5}}, []string{"is taken for a point"}},
		"rows counted":    {"0,5\n1,7\n2,9\n", [][]float64{{0, 5}, {1, 7}, {2, 9}}, []string{"is taken for an input"}},
		"R write.table": {"\"x\" \"y\"\n\"1\" 1.5 2\n\"2\" 3 4\n", [][]float64{{1.5, 2}, {3, 4}},
			[]string{"header, x, y", "column 1 (1, 2, …)"}},
		"R write.csv": {"\"\",\"x\",\"y\"\n\"1\",1.5,2\n\"2\",3,4\n", [][]float64{{1.5, 2}, {3, 4}},
			[]string{"header, x, y", "column 1 (1, 2, …)"}},
		"empty lines":       {"\n1,2\n\n3,4\n\n\n", [][]float64{{1, 2}, {3, 4}}, []string{"empty lines between rows"}},
		"around one column": {"\n1\n2\n\n", [][]float64{{1}, {2}}, nil},
		"all notations":     {"+1,.5\n-2e-3,1E2\n", [][]float64{{1, .5}, {-2e-3, 100}}, nil},
	} {
		got, err := readText(t, c.text, csvOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r, _ := got.m.Dims()
		var rows [][]float64
		for i := range r {
			rows = append(rows, slices.Clone(got.m.RawRowView(i)))
		}
		if !reflect.DeepEqual(rows, c.want) {
			t.Errorf("%s: %v, want %v", name, rows, c.want)
		}
		if len(got.notes) != len(c.said) {
			t.Errorf("%s: %d notes: %q", name, len(got.notes), got.notes)
			continue
		}
		for i, n := range got.notes {
			if !strings.Contains(n, c.said[i]) {
				t.Errorf("%s: note %q does not say %q", name, n, c.said[i])
			}
		}
	}
}

// TestCSVMistakes: what is wrong with a file is said with line, field and content, and nothing is taken for a header
// that holds a value.
func TestCSVMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"1,,3\n4,5,6\n":          "line 1, field 2 is empty: a missing value",
		"x,,z\n1,2,3\n":          `line 1, field 1: "x" is not a number`,
		",2,3\n4,5,6\n":          "line 1, field 1 is empty",
		"1,NA,3\n4,5,6\n":        `line 1, field 2 is "NA": a missing value`,
		"1,na,3\n4,5,6\n":        `line 1, field 2 is "na": a missing value`,
		"NA,na\n5,6\n":           `line 1, field 1 is "NA": a missing value`,
		"NA\n5\n":                `line 1, field 1 is "NA": a missing value`,
		"nan\n5\n":               `line 1, field 1 is "nan": a missing value`,
		"a,b\n1,2\n3,\n":         "line 3, field 2 (b) is empty",
		"a,b\n1,\n3,4\n":         "line 2, field 2 (b) is empty",
		"1,2,\n3,4,5\n":          "line 2 has a field 3, which is empty in the lines before",
		"a,b\n1,2\n3,?\n":        `line 3, field 2 (b) is "?"`,
		"1\t\t3\n4\t5\t6\n":      "line 1, field 2 is empty",
		"1\n\n2\n":               "line 2 is empty",
		"1\n\"\"\n2\n":           "line 2, field 1 is empty",
		"1,5;2\n2,5;3\n":         `line 1, field 1: "1,5" is not a number; numbers have a decimal point`,
		"a;b\n1,5;2\n":           `line 2, field 1 (a): "1,5" is not a number; numbers have a decimal point`,
		"a,b\n\"1,234.5\",2\n":   `"1,234.5" is not a number; numbers have a decimal point, and no separators of thousands`,
		"1|2\n3|4\n":             "separated by commas, semicolons, tabs or blanks, and none was found",
		"1,2\n3,inf\n":           "line 2, field 2 is inf",
		"1,2\n3,-Infinity\n":     "line 2, field 2 is -Infinity",
		"1,2\n3,1e400\n":         "line 2, field 2: 1e400 is beyond the range",
		"1.2,1_000,0.1\n1,2,3\n": `line 1, field 2: "1_000" is not a number; numbers are written as 1234.5`,
		"1,2\n3,0x1p4\n":         `line 2, field 2: "0x1p4" is not a number`,
		"a,b,2020,y\n1,2,3,4\n": "replace words by numbers, or remove the column; fields are separated by commas " +
			"(the line is no header, since its field 3 is 2020)",
		"a,,c,y\n1,2,3,4\n":        "(the line is no header, since its field 2 is empty)",
		"1,2\n3\n":                 "line 2 has 1 fields, the lines before have 2; fields are separated by commas",
		"a,b,c\n1,2\n":             "line 2 has 2 fields and the header 3 names",
		"1,\"2\n3,4\n":             "line 1: a quote is not closed",
		"1,2\"3\n4,5\n":            `line 1, field 2: "2\"3" is not a number`,
		"1,\"2\"3\n4,5\n":          `line 1, field 2: there is "3" behind its closing quote`,
		"a,b\n1,2\nx,4\n":          `line 3, field 1 (a): "x" is not a number; replace words by numbers`,
		"a,b\n1,setosa\n":          `line 2, field 2 (b): "setosa" is not a number; for classes give data.encoding`,
		"d,x\n2020-01-01,1\n":      `line 2, field 1 (d): "2020-01-01" is not a number`,
		",x,y\n.5,1,2\n3,4,5\n":    "column 1 has no name, and .5 is not of an index",
		",x,y\n1,1,2\n1,4,5\n":     "column 1 has no name, and 1 is not of an index",
		"a,b\n":                    "no rows of numbers",
		"":                         "no rows of numbers",
		"# nothing\n":              "no rows of numbers",
		"\xff\xfe1\x00,\x002\x00":  "UTF-16",
		"\x00\x01\x02\n":           "zero bytes",
		"sep=%\n1%2\n":             "the separator \"%\" is not understood",
		"1,2\n" + "\n\n\n" + "3,x": "line 5, field 2",
		"# a\n1,2\n# b\n3,x\n":     "line 4, field 2",
	} {
		if got, err := readText(t, text, csvOptions{}); err == nil {
			t.Errorf("%q is read as %v", text, got.m)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: message %q does not say %q", text, err, want)
		}
	}
}

// TestCSVDialects: a table of numbers comes back from every way to write it, bit for bit.
func TestCSVDialects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, c := rapid.IntRange(1, 6).Draw(t, "rows"), rapid.IntRange(1, 5).Draw(t, "columns")
		sep := rapid.SampledFrom([]string{",", ";", "\t", " ", ", ", " ; "}).Draw(t, "separator")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		header, index, bom := rapid.Bool().Draw(t, "header"), rapid.Bool().Draw(t, "index"), rapid.Bool().Draw(t, "mark")
		quotes, comment := rapid.Bool().Draw(t, "quotes"), rapid.Bool().Draw(t, "comment")
		trailing := strings.TrimSpace(sep) != "" && c > 1 && rapid.Bool().Draw(t, "trailing")
		// Unnamed columns need a header, and blanks cannot write an empty name.
		index = index && header && strings.TrimSpace(sep) != ""
		want := mat.NewDense(n, c, nil)
		var b strings.Builder
		if bom {
			b.WriteString("\ufeff")
		}
		line := func(f []string) {
			if quotes {
				for i := range f {
					f[i] = `"` + f[i] + `"`
				}
			}
			b.WriteString(strings.Join(f, sep))
			if trailing {
				b.WriteString(sep)
			}
			b.WriteString(end)
		}
		if header {
			var f []string
			if index {
				f = append(f, "")
			}
			for j := range c {
				f = append(f, fmt.Sprintf("x%d", j))
			}
			line(f)
		}
		for i := range n {
			var f []string
			if index {
				f = append(f, strconv.Itoa(i))
			}
			for j := range c {
				v := rapid.Float64().Filter(func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }).Draw(t, "number")
				want.Set(i, j, v)
				f = append(f, strconv.FormatFloat(v, 'e', -1, 64))
			}
			line(f)
			if comment {
				b.WriteString("# said in between" + end)
			}
		}
		got, err := readText(t, b.String(), csvOptions{memory: 1 << 20})
		if err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}
		if !mat.Equal(got.m, want) {
			t.Fatalf("%q is read as %v", b.String(), got.m)
		}
	})
}

// TestCSVLimit: what does not fit into the limit is refused where it stops fitting, without a line, a table or an
// archive of any size being held.
func TestCSVLimit(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
	}{
		"rows": {strings.Repeat("1,2,3\n", 40000), "the memory limit is 1 MiB"},
		"line": {strings.Repeat("1", 4<<20), "line 1 has more than"},
		"gaps": {"1,2\n" + strings.Repeat("# nothing at all\n", 2<<20), "of text, too much for the memory limit"},
	} {
		if _, err := readText(t, c.text, csvOptions{memory: 1 << 20}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readText(t, strings.Repeat("1,2,3\n", 10000), csvOptions{memory: 1 << 20}); err != nil {
		t.Errorf("240 kB of numbers in 1 MiB: %v", err)
	}
}

func loaded(t *testing.T, s Spec, dir string) *Set {
	t.Helper()
	set, err := Load(s, dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// refused checks that a description is refused with all of words.
func refused(t *testing.T, s Spec, dir string, words ...string) {
	t.Helper()
	set, err := Load(s, dir)
	var typed *Error
	if !errors.As(err, &typed) {
		t.Errorf("%+v: %v, error %v", s, set, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("message %q does not say %q", err, w)
		}
	}
}

// TestClassesOfFiles: classes in npy and csv files, numbers and words, become targets of every encoding; which is which
// is said.
func TestClassesOfFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "iris.csv", []byte("sl,sw,species\n1,2,virginica\n3,4,setosa\n5,6,versicolor\n7,8,setosa\n"))
	write(t, dir, "more.csv", []byte("sl,sw,species\n1,2,setosa\n3,4,sibirica\n"))
	write(t, dir, "x.csv", []byte("1,2\n3,4\n5,6\n7,8\n"))
	write(t, dir, "words.csv", []byte("setosa\nvirginica\nsetosa\nvirginica\n"))
	write(t, dir, "named.csv", []byte("species\nsetosa\nvirginica\nsetosa\nvirginica\n"))
	write(t, dir, "numbers.csv", []byte("3.0\n1\n3\n7\n"))
	write(t, dir, "reals.csv", []byte("0.5\n1\n3\n7\n"))
	npyFile(t, dir, "x.npy", []int{4, 2}, []float64{1, 2, 3, 4, 5, 6, 7, 8})
	npyFile(t, dir, "y.npy", []int{4}, []float64{5, 0, 5, 2})
	npyFile(t, dir, "y2.npy", []int{4, 2}, make([]float64, 8))
	s := loaded(t, Spec{Source: "csv", Inputs: "iris.csv", Encoding: "one-hot"}, dir)
	if !reflect.DeepEqual(s.Targets.RawMatrix().Data, []float64{0, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0}) ||
		!reflect.DeepEqual(s.Labels, []int{2, 0, 1, 0}) || s.Inputs.At(3, 1) != 8 {
		t.Errorf("iris: %v %v", s.Targets, s.Labels)
	}
	if n := s.Notes[len(s.Notes)-1]; !strings.Contains(n, "class 0 is setosa, 1 is versicolor, 2 is virginica") {
		t.Errorf("notes %q", s.Notes)
	}
	for _, name := range []string{"words.csv", "named.csv"} {
		s = loaded(t, Spec{Source: "csv", Inputs: "x.csv", Targets: name, Encoding: "sign"}, dir)
		if !reflect.DeepEqual(s.Targets.RawMatrix().Data, []float64{-1, 1, -1, 1}) {
			t.Errorf("%s: %v", name, s.Targets)
		}
	}
	s = loaded(t, Spec{Source: "csv", Inputs: "x.csv", Targets: "numbers.csv", Encoding: "label"}, dir)
	if !reflect.DeepEqual(s.Targets.RawMatrix().Data, []float64{1, 0, 1, 2}) ||
		!strings.Contains(s.Notes[0], "class 0 is 1, 1 is 3, 2 is 7") {
		t.Errorf("numbers: %v %q", s.Targets, s.Notes)
	}
	s = loaded(t, Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", Encoding: "sign", Classes: []int{5, 2}}, dir)
	if !reflect.DeepEqual(s.Targets.RawMatrix().Data, []float64{-1, -1, 1}) || s.Inputs.At(1, 0) != 5 {
		t.Errorf("two of three classes: %v", s.Targets)
	}
	s = loaded(t, Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", Encoding: "centred-one-hot", Train: 2, Test: 2,
		Seed: 3}, dir)
	for i := range 2 {
		if math.Abs(s.Targets.At(i, s.Labels[i])-2./3) > 1e-15 ||
			math.Abs(s.TestTargets.At(i, s.TestLabels[i])-2./3) > 1e-15 ||
			map[float64]int{1: 2, 3: 0, 5: 2, 7: 1}[s.Inputs.At(i, 0)] != s.Labels[i] {
			t.Errorf("a choice: inputs %v, targets %v, labels %v", s.Inputs, s.Targets, s.Labels)
		}
	}
	s = loaded(t, Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy"}, dir)
	if !reflect.DeepEqual(s.Targets.RawMatrix().Data, []float64{5, 0, 5, 2}) || s.Labels != nil {
		t.Errorf("no encoding: %v", s.Targets)
	}
	refused(t, Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", Classes: []int{0}}, dir, "encoding")
	refused(t, Spec{Source: "npy", Inputs: "x.npy", Targets: "y2.npy", Encoding: "one-hot"}, dir, "y2.npy",
		"one column of classes")
	refused(t, Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", Encoding: "sign"}, dir, "two classes, not 3")
	refused(t, Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", Encoding: "one-hot", Classes: []int{0, 1}}, dir,
		"no class 1", "0, 2, 5")
	refused(t, Spec{Source: "csv", Inputs: "x.csv", Targets: "reals.csv", Encoding: "one-hot"}, dir, "row 0 is 0.5",
		"no class")
	refused(t, Spec{Source: "csv", Inputs: "x.csv", Targets: "words.csv", Encoding: "one-hot", Classes: []int{0, 1}},
		dir, "are words")
	refused(t, Spec{Source: "csv", Inputs: "x.csv", Targets: "words.csv"}, dir, "data.encoding")
	refused(t, Spec{Source: "csv", Inputs: "iris.csv", TestInputs: "more.csv", Encoding: "one-hot"}, dir,
		"class sibirica of row 1 of more.csv does not occur")
	refused(t, Spec{Source: "digits", Train: 4, Encoding: "none"}, dir, "encoding none")
	refused(t, Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", Expect: Distributions}, dir,
		"one column of whole numbers", "one-hot")
	refused(t, Spec{Source: "npy", Inputs: "x.npy", Targets: "y.npy", Expect: Signs}, dir, "−1 and +1", "sign")
}

// softmaxFile writes rows of a softmax as numpy would in a type of numbers, and returns how far their sums are from
// one.
func softmaxFile(t *testing.T, dir, name, descr string, bits func(float64) []byte,
	value func(float64) float64) (off float64) {
	const n, c = 20, 10
	var b []byte
	for i := range n {
		z, f, s := 0., make([]float64, c), 0.
		for k := range f {
			f[k] = math.Exp(3 * math.Sin(float64(7*i+3*k)))
			z += f[k]
		}
		for k := range f {
			b = append(b, bits(f[k]/z)...)
			s += value(f[k] / z)
		}
		off = math.Max(off, math.Abs(s-1))
	}
	write(t, dir, name, rawNPY(fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%d, %d), }", descr, n, c),
		b))
	return off
}

// rawNPY is an npy file with a header and elements.
func rawNPY(header string, elements []byte) []byte {
	h := header + strings.Repeat(" ", (64-(10+len(header)+1)%64)%64) + "\n"
	return append([]byte("\x93NUMPY\x01\x00"+string([]byte{byte(len(h)), byte(len(h) >> 8)})+h), elements...)
}

// TestSoftTargets: rows of a softmax in any type of numbers sum to one exactly after reading, where the loss takes
// that; others are left alone.
func TestSoftTargets(t *testing.T) {
	dir := t.TempDir()
	x := make([]float64, 20)
	npyFile(t, dir, "x.npy", []int{20, 1}, x)
	half := func(v float64) float64 { // to ten bits
		_, e := math.Frexp(v)
		return math.Ldexp(math.RoundToEven(math.Ldexp(v, 11-e)), e-11)
	}
	halfBits := func(v float64) []byte {
		m, e := math.Frexp(half(v))
		if e < -13 { // below the normal numbers
			u := uint16(math.RoundToEven(math.Ldexp(v, 24)))
			return []byte{byte(u), byte(u >> 8)}
		}
		u := uint16(e+14)<<10 | uint16(math.Ldexp(m, 11))&1023
		return []byte{byte(u), byte(u >> 8)}
	}
	floatBits := func(v float64) []byte {
		u := math.Float32bits(float32(v))
		return []byte{byte(u), byte(u >> 8), byte(u >> 16), byte(u >> 24)}
	}
	singles := softmaxFile(t, dir, "f4.npy", "<f4", floatBits, func(v float64) float64 { return float64(float32(v)) })
	_ = softmaxFile(t, dir, "f8.npy", "<f8", func(v float64) []byte {
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(float32(v))))
	}, half)
	halves := softmaxFile(t, dir, "f2.npy", "<f2", halfBits, half)
	if singles < 1e-9 || halves < 1e-5 {
		t.Fatalf("sums are off by %g and %g: nothing is tested", singles, halves)
	}
	// f8 holds numbers that were computed in single precision
	for _, name := range []string{"f4.npy", "f8.npy", "f2.npy"} {
		spec := Spec{Source: "npy", Inputs: "x.npy", Targets: name, Expect: Distributions}
		s := loaded(t, spec, dir)
		raw := loaded(t, Spec{Source: "npy", Inputs: "x.npy", Targets: name}, dir)
		for i := range 20 {
			sum, was := 0., 0.
			for k, v := range s.Targets.RawRowView(i) {
				sum += v
				was += raw.Targets.At(i, k)
			}
			for k, v := range s.Targets.RawRowView(i) {
				if math.Abs(sum-1) > 1e-15 || math.Abs(v-raw.Targets.At(i, k)/was) > 1e-15 {
					t.Fatalf("%s: row %d sums to %.17g and was %.17g", name, i, sum, was)
				}
			}
		}
		if len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "divided by their sums") || raw.Notes != nil {
			t.Errorf("%s: notes %q, %q", name, s.Notes, raw.Notes)
		}
	}
	// Written with four digits, their sums are off by their half units at most; whole numbers are exact.
	write(t, dir, "x.csv", []byte("1\n2\n3\n"))
	write(t, dir, "y.csv", []byte("0.3333,0.3333,0.3333\n0.2500,0.2500,0.5001\n1,1,0\n"))
	s := loaded(t, Spec{Source: "csv", Inputs: "x.csv", Targets: "y.csv", Expect: Distributions}, dir)
	if y := s.Targets; math.Abs(y.At(0, 0)-1./3) > 1e-15 || math.Abs(y.At(1, 2)-0.5001/1.0001) > 1e-15 || y.At(2, 0) != 1 {
		t.Errorf("four digits: %v", mat.Formatted(y))
	}
}

// TestNormaliseExtremes: constant inputs are refused whatever their mean rounds to, and neither size nor smallness of
// inputs changes what they become.
func TestNormaliseExtremes(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, rows ...string) Spec {
		write(t, dir, name, []byte(strings.Join(rows, "\n")+"\n"))
		return Spec{Source: "csv", Inputs: name}
	}
	with := func(s Spec, normalize string) Spec {
		s.Normalize = normalize
		return s
	}
	for name, rows := range map[string][]string{
		"same":   slices.Repeat([]string{"14.62,3.3,1"}, 7),
		"nearly": {"14.62,1", "14.62,1", "14.620000000000001,1", "14.62,1"},
		"zero":   {"0,0,1", "0,0,1"},
	} {
		refused(t, with(file("constant-"+name+".csv", rows...), "standard"), dir, "all training inputs are the same")
	}
	// A column that is constant becomes zero exactly, however large it is.
	s := loaded(t, with(file("column.csv", "1700000000000000123,1,1", "1700000000000000123,2,1",
		"1700000000000000123,4,1"), "standard"), dir)
	for i := range 3 {
		if v := s.Inputs.At(i, 0); v != 0 {
			t.Errorf("a constant column becomes %g", v)
		}
	}
	for _, normalize := range []string{"standard", "sphere"} {
		base := loaded(t, with(file("one.csv", "1,2,1", "3,-4,1", "0.5,0.1,1"), normalize), dir)
		for _, e := range []string{"e160", "e307", "e-160", "e-170", "e-307"} {
			s := loaded(t, with(file("scaled.csv", "1"+e+",2"+e+",1", "3"+e+",-4"+e+",1", "0.5"+e+",0.1"+e+",1"),
				normalize), dir)
			if !mat.EqualApprox(s.Inputs, base.Inputs, 1e-14) {
				t.Errorf("%s, %s: %v, want %v", normalize, e, mat.Formatted(s.Inputs), mat.Formatted(base.Inputs))
			}
		}
	}
}

// TestIDXClasses: labels are whatever a file has, from 1 to 26 or with gaps.
func TestIDXClasses(t *testing.T) {
	dir := t.TempDir()
	l := make([]byte, 52)
	for i := range l {
		l[i] = byte(i%26 + 1)
	}
	write(t, dir, "letters", idx([]int{52}, l))
	write(t, dir, "images", idx([]int{52, 2, 2}, pixels(52, 4)))
	write(t, dir, "gaps", idx([]int{52}, bytes.Repeat([]byte{3, 17}, 26)))
	s := loaded(t, Spec{Source: "idx", Inputs: "images", Targets: "letters", Train: 26, Encoding: "one-hot"}, dir)
	if _, c := s.Targets.Dims(); c != 26 {
		t.Errorf("%d classes", c)
	}
	s = loaded(t, Spec{Source: "idx", Inputs: "images", Targets: "gaps", Train: 4}, dir)
	if _, c := s.Targets.Dims(); c != 1 || math.Abs(s.Targets.At(0, 0)) != 1 {
		t.Errorf("two classes with a gap: %v", s.Targets)
	}
	refused(t, Spec{Source: "idx", Inputs: "images", Targets: "letters", Train: 2, Classes: []int{0, 1}}, dir,
		"no class 0", "1 to 26")
	// Without a number of test points every image of their own file is one, in its order.
	write(t, dir, "few-labels", idx([]int{3}, []byte{17, 17, 3}))
	write(t, dir, "few", idx([]int{3, 2, 2}, pixels(3, 4)))
	s = loaded(t, Spec{Source: "idx", Inputs: "images", Targets: "gaps", Train: 4, TestInputs: "few",
		TestTargets: "few-labels"}, dir)
	if n, _ := s.TestInputs.Dims(); n != 3 || !slices.Equal(s.TestLabels, []int{1, 1, 0}) ||
		s.TestTargets.At(2, 0) != -s.TestTargets.At(0, 0) {
		t.Errorf("%d test images of classes %v, targets %v", n, s.TestLabels, s.TestTargets)
	}
	s = loaded(t, Spec{Source: "idx", Inputs: "images", Targets: "letters", Train: 4, Classes: []int{3, 4},
		TestInputs: "few", TestTargets: "few-labels"}, dir)
	if n, _ := s.TestInputs.Dims(); n != 1 {
		t.Errorf("%d test images of classes 3 and 4", n)
	}
	refused(t, Spec{Source: "idx", Inputs: "images", Targets: "few-labels", Train: 2, TestInputs: "images",
		TestTargets: "letters"}, dir, "has 52 images", "3 labels")
	write(t, dir, "other-labels", idx([]int{3}, []byte{17, 9, 3}))
	refused(t, Spec{Source: "idx", Inputs: "images", Targets: "gaps", Train: 2, TestInputs: "few",
		TestTargets: "other-labels"}, dir, "class 9", "does not occur among the training images")
	refused(t, Spec{Source: "idx", Inputs: "images", Targets: "gaps", Train: 2, Classes: []int{3, 4}}, dir,
		"no class 4", "3, 17")
}

// TestClassesOfParts: a part of a collection has the classes that occur in it, whatever the collection has.
func TestClassesOfParts(t *testing.T) {
	for _, s := range []struct {
		spec Spec
		want int
	}{
		{Spec{Source: "mnist", Train: 8, Test: 4, Encoding: "one-hot"}, 4},
		{Spec{Source: "fashion-mnist", Train: 8, Encoding: "one-hot"}, 4},
		{Spec{Source: "cifar10", Path: "cifar", Train: 6, Test: 3}, 3},
	} {
		if s.spec.Path == "" {
			s.spec.Path = "."
		}
		if _, c := loaded(t, s.spec, folder(t)).Targets.Dims(); c != s.want {
			t.Errorf("%s: %d outputs of %d classes", s.spec.Source, c, s.want)
		}
	}
	dir := folder(t)
	refused(t, Spec{Source: "cifar10", Path: "cifar", Train: 2, Classes: []int{0, 7}}, dir, "no class 7", "0 to 2")
}

// TestArraysByKey: inputs from an npz file by the name of the array.
func TestArraysByKey(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, keys ...string) {
		var a []npy.Named
		for i, k := range keys {
			a = append(a, npy.Named{Name: k, Array: npy.Array{Shape: []int{2, 1}, Data: []float64{float64(i), 10}}})
		}
		if err := npy.WriteNPZ(filepath.Join(dir, name), a); err != nil {
			t.Fatal(err)
		}
	}
	put("run.npz", "x", "y")
	put("one.npz", "arr_0")
	put("a#b.npz", "x", "y")
	put("key.npz", "x#1", "y")
	s := loaded(t, Spec{Source: "npy", Inputs: "run.npz#x", Targets: "run.npz#y"}, dir)
	if s.Inputs.At(0, 0) != 0 || s.Targets.At(0, 0) != 1 {
		t.Errorf("by key: %v %v", s.Inputs, s.Targets)
	}
	s = loaded(t, Spec{Source: "npy", Inputs: "one.npz", Targets: "a#b.npz#y"}, dir)
	if s.Inputs.At(0, 0) != 0 || s.Targets.At(0, 0) != 1 {
		t.Errorf("one array, and a name with #: %v %v", s.Inputs, s.Targets)
	}
	if s = loaded(t, Spec{Source: "npy", Inputs: "key.npz#x#1", Targets: "a#b.npz#y"}, dir); s.Inputs.At(0, 0) != 0 {
		t.Errorf("a key with #: %v", s.Inputs)
	}
	refused(t, Spec{Source: "npy", Inputs: "run.npz", Targets: "one.npz"}, dir, "several arrays, x, y", "#x")
	refused(t, Spec{Source: "npy", Inputs: "run.npz#z", Targets: "one.npz"}, dir, "no array z", "x, y")
	refused(t, Spec{Source: "npy", Inputs: "none.npz#z", Targets: "one.npz"}, dir, "none.npz", "no such file")
	npyFile(t, dir, "x.npy", []int{2}, []float64{1, 2})
	refused(t, Spec{Source: "npy", Inputs: "x.npy#x", Targets: "one.npz"}, dir, "npz")
	npyFile(t, dir, "scalar.npy", nil, []float64{1})
	refused(t, Spec{Source: "npy", Inputs: "scalar.npy", Targets: "one.npz"}, dir, "without axes")
}

// TestSizes: every source says what it would take before it takes it.
func TestSizes(t *testing.T) {
	dir := t.TempDir()
	const limit = 1 << 20
	for _, s := range []Spec{
		{Source: "gaussian", Dimension: 1e7, Train: 1e9},
		{Source: "sphere", Dimension: 1e7, Train: 1, Test: 1e9},
		{Source: "gaussian", Dimension: 1e7, Train: 1, Outputs: 1000},
		{Source: "parity", Dimension: 1e7, Degree: 3, Train: 1e9},
		{Source: "single-index", Dimension: 1e7, Polynomial: []float64{0, 1}, Train: 1e9},
		{Source: "teacher", Dimension: 1e7, Width: 1e6, Train: 1},
		{Source: "teacher", Dimension: 10, Width: 10, Train: 1e9},
		{Source: "kernel-eigenvector", Dimension: 1e7, Train: 5000, Index: 1},
		{Source: "modular-addition", Modulus: 4096, Train: 4096 * 4096},
		{Source: "digits", Train: 1e9},
	} {
		s.Memory, s.Activation.Name = limit, "tanh"
		refused(t, s, dir, "takes about", "the memory limit is 1 MiB")
		if s.Memory = 0; s.Source != "teacher" || s.Width > 10 { // and without a limit, what no machine has
			if s.Source == "gaussian" && s.Outputs == 0 || s.Source == "parity" {
				s.Train, s.Dimension = math.MaxInt, 1e7
				refused(t, s, dir, "a machine has at most")
			}
		}
	}
	x := make([]byte, 8<<20)
	write(t, dir, "big.npy", rawNPY("{'descr': '<f8', 'fortran_order': False, 'shape': (1024, 1024), }", x))
	write(t, dir, "big.npy.gz", zip(rawNPY("{'descr': '<f8', 'fortran_order': False, 'shape': (1024, 1024), }", x)))
	write(t, dir, "lie.npy.gz", zip(rawNPY("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999, 1024), }", nil)))
	write(t, dir, "big.csv.gz", zip([]byte(strings.Repeat("1,2,3\n", 100000))))
	write(t, dir, "labels", idx([]int{2048}, make([]byte, 2048)))
	write(t, dir, "big", idx([]int{2048, 4096}, x))
	write(t, dir, "big.gz", zip(idx([]int{2048, 4096}, x)))
	for _, name := range []string{"big.npy", "big.npy.gz"} {
		refused(t, Spec{Source: "npy", Inputs: name, Targets: name, Memory: limit}, dir, name, "[1024 1024]", "8 MiB",
			"the memory limit is 1 MiB")
	}
	refused(t, Spec{Source: "npy", Inputs: "lie.npy.gz", Targets: "big.npy"}, dir, "lie.npy.gz", "truncated")
	refused(t, Spec{Source: "csv", Inputs: "big.csv.gz", Memory: limit}, dir, "big.csv.gz", "memory limit is 1 MiB")
	for _, name := range []string{"big", "big.gz"} {
		refused(t, Spec{Source: "idx", Inputs: name, Targets: "labels", Train: 2, Memory: limit}, dir, name,
			"memory limit", "1 MiB")
	}
	// What fits is served, packed or not.
	write(t, dir, "small.npy.gz", zip(rawNPY("{'descr': '<f8', 'fortran_order': False, 'shape': (4L, 2L), }",
		make([]byte, 64))))
	loaded(t, Spec{Source: "npy", Inputs: "small.npy.gz", Targets: "small.npy.gz", Memory: limit}, dir)
}
