// Package npy reads and writes numpy's array files: .npy and, in npz.go, .npz. It exists because a damaged file must be
// a clear error here: the published readers panic on malformed headers and take truncated data for zeros.
//
// The format is numpy's NEP 1: a magic string, a version, the length of a header that is a Python dictionary, the
// elements.
package npy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
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
		if s < 0 || (s > 0 && n > math.MaxInt/16/s) {
			return 0, fmt.Errorf("npy: impossible shape %v", shape)
		}
		n *= s
	}
	return n, nil
}

// Header says what an .npy file holds, in front of its elements.
type Header struct {
	Shape   []int
	Type    string // of elements, as numpy abbreviates it without the order of bytes: f8, f4, i8, b1 …
	big     bool   // bytes
	fortran bool   // order of elements
	width   int    // bytes of an element
	count   int    // elements
}

// Epsilon is the distance from one to the next number of the type, 0 of types that are exact.
func (h Header) Epsilon() float64 {
	switch h.Type {
	case "f2":
		return 0x1p-10
	case "f4":
		return 0x1p-23
	case "f8":
		return 0x1p-52
	}
	return 0
}

// Bytes is how much memory reading the array takes, as float64.
func (h Header) Bytes() int64 {
	n := 8 * int64(h.count)
	if h.fortran { // which is copied into the order of rows
		n *= 2
	}
	return n
}

var (
	descrField = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([<>|=]?)([a-zA-Z])(\d*)(\[\w*\])?['"]`)
	structured = regexp.MustCompile(`['"]descr['"]\s*:\s*\[`)
	orderField = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	shapeField = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([0-9L,\s]*)\)`)
)

// mostHeader is far above what numpy itself reads without being asked to.
const mostHeader = 1 << 20

// ReadHeader reads the header of an .npy file. size is the number of bytes there are from here on, a bound on what a
// damaged header can ask for.
func ReadHeader(r io.Reader, size int64) (Header, error) {
	var none Header
	pre := make([]byte, len(magic)+2)
	if _, err := io.ReadFull(r, pre); err != nil || string(pre[:len(magic)]) != magic {
		return none, errors.New("npy: not a numpy array file")
	}
	var hlen int64
	switch pre[len(magic)] {
	case 1:
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return none, errTruncated
		}
		hlen = int64(binary.LittleEndian.Uint16(b[:]))
	case 2, 3:
		var b [4]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return none, errTruncated
		}
		hlen = int64(binary.LittleEndian.Uint32(b[:]))
	default:
		return none, fmt.Errorf("npy: unknown format version %d", pre[len(magic)])
	}
	if hlen > size {
		return none, errTruncated
	}
	if hlen > mostHeader {
		return none, fmt.Errorf("npy: a header of %d bytes; at most %d are read", hlen, mostHeader)
	}
	b := make([]byte, hlen)
	if _, err := io.ReadFull(r, b); err != nil {
		return none, errTruncated
	}
	h, err := parseHeader(b)
	if err != nil {
		return none, err
	}
	if int64(h.count)*int64(h.width) > size {
		return none, fmt.Errorf("npy: shape %v needs %d bytes, the file has fewer: it is truncated", h.Shape,
			int64(h.count)*int64(h.width))
	}
	return h, nil
}

func parseHeader(b []byte) (h Header, err error) {
	text := strings.TrimSpace(string(b))
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	if structured.Match(b) {
		return h, fmt.Errorf("npy: a structured array, %s; save one array of numbers for each field, or "+
			"np.column_stack of them", text)
	}
	d, o, s := descrField.FindSubmatch(b), orderField.FindSubmatch(b), shapeField.FindSubmatch(b)
	if d == nil || o == nil || s == nil {
		return h, fmt.Errorf("npy: cannot read the header %q; arrays of real numbers or booleans are understood", text)
	}
	for tok := range strings.SplitSeq(string(s[1]), ",") {
		if tok = strings.TrimSuffix(strings.TrimSpace(tok), "L"); tok != "" { // Python 2 writes (6L, 3L) on Windows
			n, err := strconv.Atoi(tok)
			if err != nil {
				return h, fmt.Errorf("npy: shape (%s): %w", s[1], err)
			}
			h.Shape = append(h.Shape, n)
		}
	}
	h.Type, h.big, h.fortran = string(d[2])+string(d[3]), string(d[1]) == ">", string(o[1]) == "True"
	if h.width = elementWidth(h.Type); h.width == 0 {
		return h, fmt.Errorf("npy: elements of type %s%s%s%s are not understood: %s", d[1], d[2], d[3], d[4],
			typeAdvice(string(d[2])))
	}
	h.count, err = count(h.Shape)
	return h, err
}

// typeAdvice says what elements are that are no real numbers, and what to do.
func typeAdvice(kind string) string {
	switch kind {
	case "c":
		return "complex numbers; save the real part, or real and imaginary parts side by side"
	case "O":
		return "Python objects, which is what ragged lists become; save an array of numbers"
	case "U", "S", "a":
		return "text; save numbers (classes as np.unique(labels, return_inverse=True)[1])"
	case "M", "m":
		return "dates or durations; save them as numbers"
	case "f":
		return "save .astype(np.float64)"
	}
	return "save float64, float32, float16, integers or booleans"
}

// Read reads one .npy array of real numbers (f8, f4, f2, any integer, bool; C or Fortran order) and converts it to
// float64. size is the number of bytes there are, a bound on what a damaged header can ask for.
func Read(r io.Reader, size int64) (Array, error) {
	h, err := ReadHeader(r, size)
	if err != nil {
		return Array{}, err
	}
	return h.Read(r)
}

// Read reads the elements that follow the header.
func (h Header) Read(r io.Reader) (Array, error) {
	a := Array{Shape: h.Shape, Data: make([]float64, h.count)}
	conv, buf := converter(h.Type, h.big), make([]byte, min(h.count, 8192)*h.width)
	for i := 0; i < h.count; {
		k := min(h.count-i, 8192)
		if _, err := io.ReadFull(r, buf[:k*h.width]); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = errTruncated
			}
			return Array{}, err
		}
		for j := range k {
			a.Data[i] = conv(buf[j*h.width:])
			if math.Abs(a.Data[i]) >= exactInteger && h.rounds(buf[j*h.width:]) {
				return Array{}, fmt.Errorf("npy: element %d in the order of the file is an integer of type %s that "+
					"double precision would round to %.0f; "+
					"save .astype(np.float64) if it may be rounded, smaller numbers if not", i, h.Type, a.Data[i])
			}
			i++
		}
	}
	if h.fortran {
		a.Data = fromFortran(a.Data, a.Shape)
	}
	return a, nil
}

// exactInteger is the size up to which a float64 holds every integer.
const exactInteger = 1 << 53

// rounds says whether an element is an integer that no float64 is.
func (h Header) rounds(b []byte) bool {
	var bo binary.ByteOrder = binary.LittleEndian
	if h.big {
		bo = binary.BigEndian
	}
	var n big.Int
	switch h.Type {
	case "i8":
		n.SetInt64(int64(bo.Uint64(b)))
	case "u8":
		n.SetUint64(bo.Uint64(b))
	default:
		return false
	}
	_, accuracy := new(big.Float).SetInt(&n).Float64()
	return accuracy != big.Exact
}

var errTruncated = errors.New("npy: the file is truncated")

// elementWidth is the number of bytes of an element of a type, 0 of one that is not understood.
func elementWidth(t string) int {
	switch t {
	case "f8", "i8", "u8":
		return 8
	case "f4", "i4", "u4":
		return 4
	case "f2", "i2", "u2":
		return 2
	case "i1", "u1", "b1":
		return 1
	}
	return 0
}

func converter(kind string, big bool) func([]byte) float64 {
	var bo binary.ByteOrder = binary.LittleEndian
	if big {
		bo = binary.BigEndian
	}
	switch kind {
	case "f8":
		return func(b []byte) float64 { return math.Float64frombits(bo.Uint64(b)) }
	case "f4":
		return func(b []byte) float64 { return float64(math.Float32frombits(bo.Uint32(b))) }
	case "f2":
		return func(b []byte) float64 { return half(bo.Uint16(b)) }
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

// half is the number that 16 bits stand for (IEEE 754 binary16).
func half(b uint16) float64 {
	sign, e, m := 1-2*float64(b>>15), int(b>>10&31), float64(b&1023)
	switch e {
	case 0:
		return sign * math.Ldexp(m, -24)
	case 31:
		if m != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+m, e-25)
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
