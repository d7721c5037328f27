// Package npy reads and writes numpy's array files: .npy and, in npz.go, .npz. It exists because a damaged file must be a clear
// error here: the published readers panic on malformed headers and take truncated data for zeros.
//
// The format is numpy's NEP 1: a magic string, a version, the length of a header that is a Python dictionary, the elements.
package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Array is a row-major n-dimensional array; a scalar has an empty shape and one element.
type Array struct {
	Shape []int
	Data  []float64
}

const magic = "\x93NUMPY"

// header returns the npy header of elements of a type, padded so that the elements are aligned.
func header(descr string, shape []int) []byte {
	dims := make([]string, len(shape))
	for i, n := range shape {
		dims[i] = strconv.Itoa(n)
	}
	s := strings.Join(dims, ", ")
	if len(shape) == 1 {
		s += ","
	}
	h := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, s)
	pad := 64 - (len(magic)+4+len(h)+1)%64
	h += strings.Repeat(" ", pad%64) + "\n"
	var b bytes.Buffer
	b.WriteString(magic + "\x01\x00")
	b.Write([]byte{byte(len(h)), byte(len(h) >> 8)})
	b.WriteString(h)
	return b.Bytes()
}

// Write writes an array as .npy.
func Write(w io.Writer, a Array) error {
	n, err := count(a.Shape)
	if err != nil {
		return err
	}
	if n != len(a.Data) {
		return fmt.Errorf("npy: shape %v needs %d elements, there are %d", a.Shape, n, len(a.Data))
	}
	if _, err := w.Write(header("<f8", a.Shape)); err != nil {
		return err
	}
	buf := make([]byte, 0, 1<<16)
	for i := 0; i < len(a.Data); {
		buf = buf[:0]
		for ; i < len(a.Data) && len(buf) < cap(buf); i++ {
			buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(a.Data[i]))
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// writeText writes texts as numpy's array of strings, each as long as the longest.
func writeText(w io.Writer, texts []string) error {
	n := 1
	for _, s := range texts {
		n = max(n, utf8.RuneCountInString(s))
	}
	b := header(fmt.Sprintf("<U%d", n), []int{len(texts)})
	for _, s := range texts {
		c := []rune(s)
		for i := range n {
			v := rune(0)
			if i < len(c) {
				v = c[i]
			}
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		}
	}
	_, err := w.Write(b)
	return err
}

func count(shape []int) (int, error) {
	n := 1
	for _, s := range shape {
		if s < 0 || (s > 0 && n > math.MaxInt/8/s) {
			return 0, fmt.Errorf("npy: impossible shape %v", shape)
		}
		n *= s
	}
	return n, nil
}

var (
	descrField = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([<>|=]?)([a-z])(\d+)['"]`)
	orderField = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	shapeField = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([0-9,\s]*)\)`)
)

// Read reads one .npy array of real numbers (f8, f4, any integer, bool; C or Fortran order) and converts it to float64. size is the number
// of bytes there are, a bound on what a damaged header can ask for.
func Read(r io.Reader, size int64) (Array, error) {
	var none Array
	pre := make([]byte, len(magic)+2)
	if _, err := io.ReadFull(r, pre); err != nil || string(pre[:len(magic)]) != magic {
		return none, errors.New("npy: not a numpy array file")
	}
	var hlen int
	switch pre[len(magic)] {
	case 1:
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return none, errTruncated
		}
		hlen = int(binary.LittleEndian.Uint16(b[:]))
	case 2, 3:
		var b [4]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return none, errTruncated
		}
		hlen = int(binary.LittleEndian.Uint32(b[:]))
	default:
		return none, fmt.Errorf("npy: unknown format version %d", pre[len(magic)])
	}
	if int64(hlen) > size {
		return none, errTruncated
	}
	h := make([]byte, hlen)
	if _, err := io.ReadFull(r, h); err != nil {
		return none, errTruncated
	}
	d, o, s := descrField.FindSubmatch(h), orderField.FindSubmatch(h), shapeField.FindSubmatch(h)
	if d == nil || o == nil || s == nil {
		return none, fmt.Errorf("npy: cannot read the header %q; arrays of real numbers or booleans are understood", strings.TrimSpace(string(h)))
	}
	a := Array{}
	for tok := range strings.SplitSeq(string(s[1]), ",") {
		if tok = strings.TrimSpace(tok); tok != "" {
			n, err := strconv.Atoi(tok)
			if err != nil {
				return none, fmt.Errorf("npy: shape (%s): %w", s[1], err)
			}
			a.Shape = append(a.Shape, n)
		}
	}
	width, err := strconv.Atoi(string(d[3]))
	conv := converter(string(d[2]), width, string(d[1]) == ">")
	if err != nil || conv == nil {
		return none, fmt.Errorf("npy: elements of type %s%s%s are not understood; save float64, float32, integers or booleans", d[1], d[2], d[3])
	}
	n, err := count(a.Shape)
	if err != nil {
		return none, err
	}
	if int64(n)*int64(width) > size {
		return none, fmt.Errorf("npy: shape %v needs %d bytes, the file has fewer: it is truncated", a.Shape, int64(n)*int64(width))
	}
	a.Data = make([]float64, n)
	buf := make([]byte, min(n, 8192)*width)
	for i := 0; i < n; {
		k := min(n-i, 8192)
		if _, err := io.ReadFull(r, buf[:k*width]); err != nil {
			return none, errTruncated
		}
		for j := range k {
			a.Data[i] = conv(buf[j*width:])
			i++
		}
	}
	if string(o[1]) == "True" {
		a.Data = fromFortran(a.Data, a.Shape)
	}
	return a, nil
}

var errTruncated = errors.New("npy: the file is truncated")

func converter(kind string, width int, big bool) func([]byte) float64 {
	var bo binary.ByteOrder = binary.LittleEndian
	if big {
		bo = binary.BigEndian
	}
	switch kind + strconv.Itoa(width) {
	case "f8":
		return func(b []byte) float64 { return math.Float64frombits(bo.Uint64(b)) }
	case "f4":
		return func(b []byte) float64 { return float64(math.Float32frombits(bo.Uint32(b))) }
	case "i8":
		return func(b []byte) float64 { return float64(int64(bo.Uint64(b))) }
	case "i4":
		return func(b []byte) float64 { return float64(int32(bo.Uint32(b))) }
	case "i2":
		return func(b []byte) float64 { return float64(int16(bo.Uint16(b))) }
	case "i1":
		return func(b []byte) float64 { return float64(int8(b[0])) }
	case "u8":
		return func(b []byte) float64 { return float64(bo.Uint64(b)) }
	case "u4":
		return func(b []byte) float64 { return float64(bo.Uint32(b)) }
	case "u2":
		return func(b []byte) float64 { return float64(bo.Uint16(b)) }
	case "u1", "b1":
		return func(b []byte) float64 { return float64(b[0]) }
	}
	return nil
}

// fromFortran reorders column-major data to row-major.
func fromFortran(src []float64, shape []int) []float64 {
	dst := make([]float64, len(src))
	idx := make([]int, len(shape))
	stride := make([]int, len(shape))
	s := 1
	for k, n := range shape {
		stride[k] = s
		s *= n
	}
	for i := range dst {
		at := 0
		for k, v := range idx {
			at += v * stride[k]
		}
		dst[i] = src[at]
		for k := len(shape) - 1; k >= 0; k-- {
			if idx[k]++; idx[k] < shape[k] {
				break
			}
			idx[k] = 0
		}
	}
	return dst
}

// ReadFile reads a .npy file.
func ReadFile(path string) (Array, error) {
	f, err := os.Open(path)
	if err != nil {
		return Array{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return Array{}, err
	}
	return Read(f, st.Size())
}
