package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// numbers are the first lines of new-joe-kuo-6.21201.
const numbers = `d       s       a       m_i
2       1       0       1
3       2       1       1 3
4       3       1       1 3 1
5       3       2       1 1 1
6       4       1       1 1 3 3
7       4       4       1 3 5 13
`

var first = []record{{3, []uint64{1}}, {7, []uint64{1, 3}}, {11, []uint64{1, 3, 1}}, {13, []uint64{1, 1, 1}}, {19, []uint64{1, 1, 3, 3}}, {25, []uint64{1, 3, 5, 13}}}

// TestFormats reads the same numbers from text and from arrays in both orders.
func TestFormats(t *testing.T) {
	got, err := fromText(numbers)
	if err != nil || !reflect.DeepEqual(got, first) {
		t.Errorf("text: %v, %v", got, err)
	}
	for _, fortran := range []bool{false, true} {
		var file bytes.Buffer
		z := zip.NewWriter(&file)
		write := func(name, shape string, x []int64) {
			w, _ := z.Create(name)
			h := fmt.Sprintf("{'descr': '<i8', 'fortran_order': %s, 'shape': %s, }\n", map[bool]string{false: "False", true: "True"}[fortran], shape)
			w.Write(append([]byte("\x93NUMPY\x01\x00"), byte(len(h)), 0))
			w.Write([]byte(h))
			binary.Write(w, binary.LittleEndian, x)
		}
		poly, v := []int64{1}, make([]int64, 7*18)
		for i, r := range first {
			poly = append(poly, int64(r.polynomial))
			for k, m := range r.m {
				if fortran {
					v[k*7+i+1] = int64(m)
				} else {
					v[(i+1)*18+k] = int64(m)
				}
			}
		}
		write("poly.npy", "(7,)", poly)
		write("vinit.npy", "(7, 18)", v)
		z.Close()
		if got, err := fromNPZ(file.Bytes()); err != nil || !reflect.DeepEqual(got, first) {
			t.Errorf("fortran %v: %v, %v", fortran, got, err)
		}
	}
	for _, bad := range []string{"d s a m_i\n2 1 0", "d s a m_i\n3 1 0 1", "d s a m_i\n2 1 0 x"} {
		if _, err := fromText(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := encode([]record{{1<<16 | 1, nil}}); err == nil {
		t.Error("17 bits are taken")
	}
}

// TestCommitted compares the table in use with the published files, where one is installed or named by SOBOL_NUMBERS.
func TestCommitted(t *testing.T) {
	name := os.Getenv("SOBOL_NUMBERS")
	if name == "" {
		name = "/usr/lib/python3/dist-packages/scipy/stats/_sobol_direction_numbers.npz"
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Skip(err)
	}
	var table []record
	if bytes.HasPrefix(data, []byte("PK")) {
		table, err = fromNPZ(data)
	} else {
		table, err = fromText(string(data))
	}
	if err != nil {
		t.Fatal(err)
	}
	want, err := encode(table[:2047])
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("..", "..", "internal", "random", "joekuo.bin"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("joekuo.bin is not what %s gives (%v)", name, err)
	}
}
