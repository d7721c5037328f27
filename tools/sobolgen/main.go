// Command sobolgen writes the direction numbers of the Sobol sequences of internal/random, from either of the files in
// which those of S. Joe and F. Y. Kuo are published:
//
//	sobolgen -in new-joe-kuo-6.21201 -out ../internal/random/joekuo.bin
//
// the authors' text file, or _sobol_direction_numbers.npz of scipy.stats (Debian: python3-scipy), which holds the same
// numbers. Their licence is internal/random/LICENSE-joe-kuo.
//
// The output has a record for each dimension from the second on: the primitive polynomial, its coefficients as binary
// digits, and as many initial numbers m_1, m_2, … as its degree, all of 16 bits with the low byte first.
package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/bits"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// record is one dimension.
type record struct {
	polynomial uint64
	m          []uint64
}

func main() {
	in := flag.String("in", "", "new-joe-kuo-6.21201 or _sobol_direction_numbers.npz")
	out := flag.String("out", "joekuo.bin", "file of the table")
	dims := flag.Int("dimensions", 2048, "dimensions")
	flag.Parse()
	data, err := os.ReadFile(*in)
	if err != nil {
		log.Fatal(err)
	}
	var table []record
	if bytes.HasPrefix(data, []byte("PK")) {
		table, err = fromNPZ(data)
	} else {
		table, err = fromText(string(data))
	}
	if err == nil && len(table) < *dims-1 {
		err = fmt.Errorf("%s has %d dimensions", *in, len(table)+1)
	}
	if err == nil {
		data, err = encode(table[:*dims-1])
	}
	if err == nil {
		err = os.WriteFile(*out, data, 0o666)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// encode packs records.
func encode(table []record) ([]byte, error) {
	var b []byte
	for i, r := range table {
		for _, x := range append([]uint64{r.polynomial}, r.m...) {
			if x>>16 != 0 {
				return nil, fmt.Errorf("dimension %d needs more than 16 bits", i+2)
			}
			b = binary.LittleEndian.AppendUint16(b, uint16(x))
		}
	}
	return b, nil
}

// fromText reads lines of the dimension d, the degree s, the inner coefficients a of the polynomial, and m_1 … m_s.
func fromText(text string) ([]record, error) {
	var table []record
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if n == 0 {
			continue // the header
		}
		var x []uint64
		for _, f := range strings.Fields(line) {
			v, err := strconv.ParseUint(f, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n+1, err)
			}
			x = append(x, v)
		}
		if len(x) < 3 || x[0] != uint64(n+1) || len(x) != int(x[1])+3 {
			return nil, fmt.Errorf("line %d is not d s a m_1 … m_s of dimension %[1]d", n+1)
		}
		table = append(table, record{1<<x[1] | x[2]<<1 | 1, x[3:]})
	}
	return table, nil
}

// fromNPZ reads the arrays poly (dimensions) and vinit (dimensions × 18); the first dimension has no polynomial.
func fromNPZ(data []byte) ([]record, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	poly, _, err := array(z, "poly.npy")
	if err != nil {
		return nil, err
	}
	vinit, at, err := array(z, "vinit.npy")
	if err != nil {
		return nil, err
	}
	var table []record
	for i := 1; i < len(poly); i++ {
		r := record{polynomial: poly[i]}
		for k := range bits.Len64(poly[i]) - 1 {
			r.m = append(r.m, vinit[at(i, k)])
		}
		table = append(table, r)
	}
	return table, nil
}

var header = regexp.MustCompile(`'descr': '<i8', 'fortran_order': (True|False), 'shape': \((\d+),(?: (\d+))?\)`)

// array reads an array of int64; at gives the place of an element.
func array(z *zip.Reader, name string) (x []uint64, at func(i, j int) int, err error) {
	f, err := z.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, nil, err
	}
	if len(b) < 10 || !bytes.HasPrefix(b, []byte("\x93NUMPY\x01")) {
		return nil, nil, errors.New(name + " is not an array of format 1")
	}
	end := 10 + int(binary.LittleEndian.Uint16(b[8:]))
	m := header.FindSubmatch(b[10:end])
	if m == nil {
		return nil, nil, fmt.Errorf("%s: header %q is not that of integers of 64 bits", name, b[10:end])
	}
	rows, _ := strconv.Atoi(string(m[2]))
	cols, err := strconv.Atoi(string(m[3]))
	if err != nil {
		cols = 1
	}
	if len(b) != end+8*rows*cols {
		return nil, nil, errors.New(name + " is cut off")
	}
	x = make([]uint64, rows*cols)
	for i := range x {
		x[i] = binary.LittleEndian.Uint64(b[end+8*i:])
	}
	if string(m[1]) == "True" {
		return x, func(i, j int) int { return j*rows + i }, nil
	}
	return x, func(i, j int) int { return i*cols + j }, nil
}
