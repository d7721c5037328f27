package npy

import (
	"archive/zip"
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
)

// raw is an .npy file with a header and elements.
func raw(header string, elements ...byte) []byte {
	h := header + strings.Repeat(" ", (64-(10+len(header)+1)%64)%64) + "\n"
	return append([]byte(magic+"\x01\x00"+string([]byte{byte(len(h)), byte(len(h) >> 8)})+h), elements...)
}

func text(descr, order, shape string) string {
	return fmt.Sprintf("{'descr': %s, 'fortran_order': %s, 'shape': %s, }", descr, order, shape)
}

// TestHeaders: every header that numpy has written, and what is not numbers is refused with what to do.
func TestHeaders(t *testing.T) {
	var eight []byte // 1, 2, … 6 in big-endian shorts
	for v := range 6 {
		eight = binary.BigEndian.AppendUint16(eight, uint16(v+1))
	}
	for name, c := range map[string]struct {
		header string
		shape  []int
		data   []float64
	}{
		"python 2 on windows":   {text("'>i2'", "False", "(3L, 2L)"), []int{3, 2}, []float64{1, 2, 3, 4, 5, 6}},
		"python 2, one axis":    {text("'>i2'", "False", "(6L,)"), []int{6}, []float64{1, 2, 3, 4, 5, 6}},
		"one axis":              {text("'>i2'", "False", "(6,)"), []int{6}, []float64{1, 2, 3, 4, 5, 6}},
		"order of columns":      {text("'>i2'", "True", "(3, 2)"), []int{3, 2}, []float64{1, 4, 2, 5, 3, 6}},
		"three axes of columns": {text("'>i2'", "True", "(1, 3, 2)"), []int{1, 3, 2}, []float64{1, 4, 2, 5, 3, 6}},
		"double quotes": {`{"descr": ">i2", "fortran_order": False, "shape": (2, 3)}`, []int{2, 3},
			[]float64{1, 2, 3, 4, 5, 6}},
		"another order of keys": {"{'shape': (2, 3), 'fortran_order': False, 'descr': '>i2'}", []int{2, 3},
			[]float64{1, 2, 3, 4, 5, 6}},
		"without axes":           {text("'>i2'", "False", "()"), nil, []float64{1}},
		"no elements":            {text("'>i2'", "False", "(0, 5)"), []int{0, 5}, []float64{}},
		"bytes, and all of them": {text("'|u1'", "False", "(2,)"), []int{2}, []float64{0, 1}},
		"booleans":               {text("'|b1'", "False", "(2,)"), []int{2}, []float64{0, 1}},
	} {
		b := raw(c.header, eight...)
		a, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil || len(a.Shape) != len(c.shape) || len(a.Shape) > 0 && !reflect.DeepEqual(a.Shape, c.shape) ||
			!reflect.DeepEqual(a.Data, c.data) {
			t.Errorf("%s: %v, error %v", name, a, err)
		}
	}
	for header, want := range map[string]string{
		text("'<c16'", "False", "(3,)"):                                  "complex numbers; save the real part",
		text("'|O'", "False", "(3,)"):                                    "Python objects",
		text("'<U7'", "False", "(3,)"):                                   "text; save numbers",
		text("'<M8[ns]'", "False", "(3,)"):                               "dates",
		text("'<f16'", "False", "(3,)"):                                  "float64",
		text("[('x', '<f8'), ('y', '<f8')]", "False", "(3,)"):            "structured array",
		text("('<f8', (3,))", "False", "(3,)"):                           "cannot read the header",
		text("'<f8'", "False", "(99999999999, 99999999999)"):             "impossible shape",
		text("'<f8'", "False", "(99999999999999999999,)"):                "out of range",
		text("'<f8'", "False", "(3, 2)"):                                 "truncated",
		text("'<f8'", "False", "(-3, 2)"):                                "cannot read the header",
		"{'descr': '<f8', 'shape': (3,)}" + strings.Repeat("x", 1000):    "…",
		text("'<f8'", "Maybe", "(3,)") + strings.Repeat("\x00\xff", 300): "cannot read the header",
	} {
		b := raw(header, eight...)
		if a, err := Read(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), want) ||
			len(err.Error()) > 1000 {
			t.Errorf("%s: %v, error %v", header, a, err)
		}
	}
	huge := append([]byte(magic+"\x02\x00\xff\xff\xff\x7f"), make([]byte, 100)...)
	if _, err := Read(bytes.NewReader(huge), 1<<40); err == nil ||
		!strings.Contains(err.Error(), "a header of 2147483647 bytes") {
		t.Errorf("a header of 2 GiB: %v", err)
	}
}

// TestHalf: all numbers of 16 bits, by what their bits mean.
func TestHalf(t *testing.T) {
	for b := range 1 << 16 {
		sign, e, m := 1., b>>10&31, float64(b&1023)
		if b>>15 == 1 {
			sign = -1
		}
		want := sign * (1 + m/1024) * math.Pow(2, float64(e-15))
		switch {
		case e == 0:
			want = sign * m / 1024 * math.Pow(2, -14)
		case e == 31 && m == 0:
			want = sign * math.Inf(1)
		case e == 31:
			want = math.NaN()
		}
		if got := half(uint16(b)); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("%04x is %g, want %g", b, got, want)
		}
	}
}

// TestLoad: archives and gzipped files, by key or not, within what is allowed.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	var plain bytes.Buffer
	if err := Write(&plain, Array{[]int{2}, []float64{3, 4}}); err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	g := gzip.NewWriter(&packed)
	_, _ = g.Write(plain.Bytes())
	_ = g.Close()
	archive := func(method uint16, entries ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, e := range entries {
			w, err := z.CreateHeader(&zip.FileHeader{Name: e, Method: method})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(plain.Bytes())
		}
		_ = z.Close()
		return b.Bytes()
	}
	damaged := bytes.Clone(packed.Bytes())
	damaged[len(damaged)-6] ^= 1 // of the checksum
	for _, c := range []struct{ path, want string }{
		{file("a.npy", plain.Bytes()), ""},
		{file("a#b.npy", plain.Bytes()), ""},
		{file("a.npy.gz", packed.Bytes()), ""},
		{file("one.npz", archive(zip.Deflate, "x.npy")), ""},
		{file("one.npz", archive(zip.Store, "x.npy")) + "#x", ""},
		{file("two.npz", archive(zip.Store, "x.npy", "run/y.npy")) + "#run/y", ""},
		{filepath.Join(dir, "two.npz"), "several arrays, run/y, x; say which one, as in file.npz#run/y"},
		{filepath.Join(dir, "two.npz#z"), "there is no array z; the file holds run/y, x"},
		{file("none.npz", archive(zip.Store)), "holds no arrays"},
		{filepath.Join(dir, "a.npy#x"), "chooses an array of an npz file"},
		{filepath.Join(dir, "nothing.npy"), "no such file"},
		{file("cut.npy.gz", packed.Bytes()[:packed.Len()/2]), "truncated"},
		{file("damaged.npy.gz", damaged), "checksum"},
		{file("cut.npz", archive(zip.Store, "x.npy")[:40]), "not a readable npz file"},
	} {
		a, h, err := Load(c.path, nil)
		if c.want == "" && (err != nil || !reflect.DeepEqual(a.Data, []float64{3, 4}) || h.Bytes() != 16) {
			t.Errorf("%s: %v, error %v", c.path, a, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v does not say %q", c.path, err, c.want)
		}
		refusal := errors.New("too much")
		if c.want == "" {
			if _, _, err := Load(c.path, func(h Header) error { return refusal }); !errors.Is(err, refusal) {
				t.Errorf("%s: refused, and the error is %v", c.path, err)
			}
		}
	}
	// A directory of an archive that promises more than its bytes can hold takes no memory.
	plain.Reset()
	plain.Write(raw(text("'<f8'", "False", "(268435456,)"), make([]byte, 100)...))
	z := archive(zip.Deflate, "x.npy")
	i := bytes.LastIndex(z, []byte("PK\x01\x02")) // the directory
	binary.LittleEndian.PutUint32(z[i+24:], 0xfffffff0)
	if _, _, err := Load(file("lie.npz", z), nil); err == nil ||
		!strings.Contains(err.Error(), "needs 2147483648 bytes, the file has fewer") {
		t.Errorf("an archive that lies about its size: %v", err)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte(text("'<f8'", "False", "(6L, 3L)")))
	f.Add([]byte(text("[('x', '<f8')]", "True", "(3,)")))
	f.Add([]byte(text("'<M8[ns]'", "True", "()")))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHeader(b)
		if err == nil && (h.count < 0 || h.width < 1 || h.Bytes() < 0) {
			t.Errorf("%+v", h)
		}
	})
}
