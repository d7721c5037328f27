package npy

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func arrays(t *rapid.T) Array {
	shape := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 4).Draw(t, "shape")
	n, _ := count(shape)
	return Array{Shape: shape, Data: rapid.SliceOfN(rapid.Float64(), n, n).Draw(t, "data")}
}

// TestRoundTrip: what is written is read back bit for bit, NaN included.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		a, b := arrays(t), arrays(t)
		path := filepath.Join(dir, "x.npz")
		if err := WriteNPZ(path, []Named{{Name: "a", Array: a}, {Name: "b_2", Array: b}}); err != nil {
			t.Fatal(err)
		}
		got, err := ReadNPZ(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]Array{"a": a, "b_2": b} {
			g := got[name]
			if len(g.Shape) != len(want.Shape) || (len(g.Shape) > 0 && !reflect.DeepEqual(g.Shape, want.Shape)) {
				t.Fatalf("shape %v, want %v", g.Shape, want.Shape)
			}
			for i, v := range want.Data {
				if math.Float64bits(g.Data[i]) != math.Float64bits(v) {
					t.Fatalf("element %d: %g, want %g", i, g.Data[i], v)
				}
			}
		}
		first, _ := os.ReadFile(path)
		if err := WriteNPZ(path, []Named{{Name: "a", Array: a}, {Name: "b_2", Array: b}}); err != nil {
			t.Fatal(err)
		}
		if second, _ := os.ReadFile(path); !bytes.Equal(first, second) {
			t.Fatal("the same arrays gave different bytes")
		}
	})
}

// TestNumpy lets numpy write every kind of array that is understood, and read what is written here.
func TestNumpy(t *testing.T) {
	python := "/usr/bin/python3"
	if exec.Command(python, "-c", "import numpy").Run() != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no numpy for /usr/bin/python3 (Debian: python3-numpy)")
		}
		t.Skip("no numpy for /usr/bin/python3 (Debian: python3-numpy)")
	}
	dir := t.TempDir()
	script := `
import numpy as np, sys
d = sys.argv[1]
a = np.arange(24).reshape(2,3,4)
i = 0
for t in ['f8','f4','i8','i4','i2','i1','u1','u2','u4','u8','>f8','>i4','b1','f2','>f2']:
    np.save(f'{d}/c{i}.npy', (a % 2 if t == 'b1' else a).astype(t)); np.save(f'{d}/f{i}.npy', np.asfortranarray((a % 2 if t == 'b1' else a).astype(t))); i += 1
np.savez_compressed(f'{d}/z.npz', a=a, s=np.float64(3.5))
`
	if out, err := exec.Command(python, "-c", script, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.npy"))
	if len(files) != 30 {
		t.Fatalf("%d files", len(files))
	}
	for _, f := range files {
		a, _, err := Load(f, nil)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		for i, v := range a.Data {
			want := float64(i)
			if strings.HasSuffix(f, "12.npy") {
				want = float64(i % 2)
			}
			if v != want {
				t.Fatalf("%s element %d: %g", f, i, v)
			}
		}
	}
	z, err := ReadNPZ(filepath.Join(dir, "z.npz"))
	if err != nil || z["s"].Data[0] != 3.5 || len(z["a"].Data) != 24 {
		t.Fatalf("npz: %v %v", z, err)
	}
	if err := WriteNPZ(filepath.Join(dir, "w.npz"), []Named{{Name: "a", Array: z["a"]}, {Name: "s", Array: z["s"]},
		{Name: "v", Array: Array{[]int{2}, []float64{1, math.Inf(1)}}},
		{Name: "t", Text: []string{"tanh", "", "é𝛾₀ relu"}}}); err != nil {
		t.Fatal(err)
	}
	check := `
import numpy as np, sys
z = np.load(sys.argv[1])
assert (z['a'] == np.arange(24).reshape(2,3,4)).all() and z['a'].dtype == np.float64 and z['s'].shape == () and z['v'].tolist() == [1.0, float('inf')]
assert z['t'].tolist() == ['tanh', '', 'é𝛾₀ relu'], z['t']
`
	if out, err := exec.Command(python, "-c", check, filepath.Join(dir, "w.npz")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestDamage: every truncation of a file is an error, none a panic or zeros.
func TestDamage(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, Array{[]int{3, 2}, []float64{1, 2, 3, 4, 5, 6}}); err != nil {
		t.Fatal(err)
	}
	for n := range b.Len() {
		if _, err := Read(bytes.NewReader(b.Bytes()[:n]), int64(n)); err == nil {
			t.Fatalf("%d of %d bytes were accepted", n, b.Len())
		}
	}
	path := filepath.Join(t.TempDir(), "x.npz")
	if err := WriteNPZ(path, []Named{{Name: "a", Array: Array{[]int{3}, []float64{1, 2, 3}}}}); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(path)
	flipped := bytes.Clone(whole)
	flipped[bytes.Index(whole, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f})+6] ^= 1
	for name, data := range map[string][]byte{"truncated": whole[:len(whole)/2], "flipped bit": flipped, "empty": nil} {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadNPZ(path); err == nil || !strings.Contains(err.Error(), "x.npz") {
			t.Errorf("%s: error %v does not name the file", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	_ = Write(&b, Array{[]int{2, 2}, []float64{1, 2, 3, 4}})
	f.Add(b.Bytes())
	f.Add([]byte("\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': True, 'shape': (99999999, 99999999), }\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Read(bytes.NewReader(data), int64(len(data)))
		if err == nil && len(a.Data) > len(data) {
			t.Errorf("%d elements from %d bytes", len(a.Data), len(data))
		}
	})
}

// TestLargeIntegers: integers that no float64 is are refused, and those that one is are read.
func TestLargeIntegers(t *testing.T) {
	of := func(kind string, v uint64) []byte {
		h := "{'descr': '<" + kind + "', 'fortran_order': False, 'shape': (2,), }"
		h += strings.Repeat(" ", 118-1-len(h)) + "\n"
		b := append([]byte("\x93NUMPY\x01\x00"), 118, 0)
		b = append(b, h...)
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, 3), v)
	}
	negative := func(n int64) uint64 { return uint64(n) }
	for _, tc := range []struct {
		kind string
		v    uint64
		want float64 // 0 is refused
	}{
		{"i8", 1<<53 - 1, 1<<53 - 1}, {"i8", 1 << 53, 1 << 53}, {"i8", 1<<53 + 1, 0}, {"i8", 1<<53 + 2, 1<<53 + 2},
		{"i8", negative(-1<<53 - 1), 0}, {"i8", negative(-1 << 62), -1 << 62},
		{"i8", 1<<63 - 1, 0}, {"u8", 1<<64 - 1, 0}, {"u8", 1 << 63, 1 << 63}, {"u8", 1<<63 + 1, 0},
		{"f8", math.Float64bits(1e300), 1e300},
	} {
		b := of(tc.kind, tc.v)
		a, err := Read(bytes.NewReader(b), int64(len(b)))
		switch {
		case tc.want == 0 && (err == nil || !strings.Contains(err.Error(), "element 1")):
			t.Errorf("%s %d: %v, %v", tc.kind, tc.v, a, err)
		case tc.want != 0 && (err != nil || a.Data[1] != tc.want):
			t.Errorf("%s %d: %v, %v", tc.kind, tc.v, a, err)
		}
	}
}
