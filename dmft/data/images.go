package data

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed39b58f2d/dmft/testdata/digits"
)

// readImages reads a labelled source; test is nil when one file serves both.
func (s Spec) readImages(base string) (train, test *labelled, err error) {
	resolve := func(p string) string {
		if filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(base, p)
	}
	switch s.Source {
	case "digits":
		train, err = readDigits(digits.CSV)
		return train, nil, err
	case "mnist", "fashion-mnist":
		if s.Path == "" {
			return nil, nil, fail("path", "the source %s needs path, the folder that holds its four IDX files "+
				"(train-images-idx3-ubyte, … gzipped or not)", s.Source)
		}
		dir := resolve(s.Path)
		if train, err = s.readIDXPair(find(dir, "train-images", "idx3-ubyte"),
			find(dir, "train-labels", "idx1-ubyte")); err != nil {
			return nil, nil, err
		}
		if s.Test > 0 {
			test, err = s.readIDXPair(find(dir, "t10k-images", "idx3-ubyte"), find(dir, "t10k-labels", "idx1-ubyte"))
		}
		return train, test, err
	case "idx":
		if s.Inputs == "" || s.Targets == "" {
			return nil, nil, fail("inputs", "the source idx needs inputs and targets, an image and a label file")
		}
		if train, err = s.readIDXPair(resolve(s.Inputs), resolve(s.Targets)); err != nil {
			return nil, nil, err
		}
		if s.TestInputs != "" || s.TestTargets != "" {
			if s.TestInputs == "" || s.TestTargets == "" {
				return nil, nil, fail("test_inputs", "test_inputs and test_targets come together")
			}
			test, err = s.readIDXPair(resolve(s.TestInputs), resolve(s.TestTargets))
			if err == nil && test.d != train.d {
				err = fail("test_inputs", "test images have %d pixels, training images %d", test.d, train.d)
			}
		}
		return train, test, err
	}
	if s.Path == "" {
		return nil, nil, fail("path", "the source cifar10 needs path, the folder that holds data_batch_1.bin … and "+
			"test_batch.bin")
	}
	dir := resolve(s.Path)
	if err := isDir(dir); err != nil {
		return nil, nil, err
	}
	var batches [][]byte
	for i := 1; i <= 5; i++ {
		name := filepath.Join(dir, fmt.Sprintf("data_batch_%d.bin", i))
		if _, err := os.Stat(name); err == nil {
			b, err := s.readCIFAR(name)
			if err != nil {
				return nil, nil, err
			}
			batches = append(batches, b)
		}
	}
	if len(batches) == 0 {
		return nil, nil, fail("path", "%s holds no data_batch_1.bin … data_batch_5.bin (the binary version of CIFAR-10)", dir)
	}
	train = cifar(batches, "the CIFAR-10 training batches")
	if s.Test > 0 {
		b, err := s.readCIFAR(filepath.Join(dir, "test_batch.bin"))
		if err != nil {
			return nil, nil, err
		}
		test = cifar([][]byte{b}, "the CIFAR-10 test batch")
	}
	return train, test, nil
}

func isDir(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return fail("path", "%w", err)
	}
	if !st.IsDir() {
		return fail("path", "%s is a file; path is the folder that holds the data files", dir)
	}
	return nil
}

// find returns the first existing spelling of an MNIST file, or the standard one.
func find(dir, stem, kind string) string {
	for _, sep := range []string{"-", "."} {
		for _, ext := range []string{"", ".gz"} {
			p := filepath.Join(dir, stem+sep+kind+ext)
			if _, err := os.Stat(p); err == nil {
				return p
			}
		}
	}
	return filepath.Join(dir, stem+"-"+kind)
}

// readDigits reads the embedded digits: 64 pixels and a class a line.
func readDigits(csv []byte) (*labelled, error) {
	raw, _, err := unpacking(bytes.NewReader(csv))
	if err != nil {
		return nil, fail("source", "digits: %w", err)
	}
	var pixels []byte
	l := &labelled{d: 64, name: "digits"}
	sc := bufio.NewScanner(raw)
	for sc.Scan() {
		fields := strings.Split(sc.Text(), ",")
		if len(fields) != 65 {
			return nil, fail("source", "digits: line %d has %d fields", len(l.labels)+1, len(fields))
		}
		for i, f := range fields {
			v, err := number(f)
			if err != nil {
				return nil, fail("source", "digits: line %d: %w", len(l.labels)+1, err)
			}
			if i < 64 {
				pixels = append(pixels, byte(v))
			} else {
				l.labels = append(l.labels, int(v))
			}
		}
	}
	l.x = func(i int, dst []float64) {
		for j, v := range pixels[i*64 : (i+1)*64] {
			dst[j] = float64(v) / 16
		}
	}
	return l, sc.Err()
}

// readIDX reads a file of unsigned bytes in the IDX format and returns its dimensions and elements.
func readIDX(data []byte) ([]int, []byte, error) {
	if len(data) < 4 || data[0] != 0 || data[1] != 0 {
		return nil, nil, errors.New("not an IDX file (it should begin with two zero bytes)")
	}
	if data[2] != 8 {
		return nil, nil, fmt.Errorf("IDX elements of type 0x%02x; only unsigned bytes (0x08) are understood", data[2])
	}
	nd := int(data[3])
	if nd < 1 || nd > 4 || len(data) < 4+4*nd {
		return nil, nil, fmt.Errorf("an IDX header of %d dimensions in a file of %d bytes", nd, len(data))
	}
	dims := make([]int, nd)
	n := 1
	rest := data[4+4*nd:]
	for i := range dims {
		dims[i] = int(binary.BigEndian.Uint32(data[4+4*i:]))
		if dims[i] > 0 && n > len(rest)/dims[i] {
			return nil, nil, fmt.Errorf("truncated: the header promises %v elements, the file has %d bytes of them",
				dims[:i+1], len(rest))
		}
		n *= dims[i]
	}
	if n != len(rest) {
		return nil, nil, fmt.Errorf("%d bytes of elements, the header promises %v = %d", len(rest), dims, n)
	}
	return dims, rest, nil
}

func (s Spec) readIDXPair(images, labels string) (*labelled, error) {
	read := func(path string, nd int, what string) ([]int, []byte, error) {
		raw, err := s.slurp(path)
		if err != nil {
			return nil, nil, err
		}
		dims, data, err := readIDX(raw)
		if err == nil && nd == 1 && len(dims) != 1 {
			err = fmt.Errorf("%d dimensions; a label file has one", len(dims))
		}
		if err == nil && nd > 1 && len(dims) < 2 {
			err = errors.New("one dimension; an image file has at least two")
		}
		if err == nil && dims[0] == 0 {
			err = errors.New("no elements")
		}
		if err != nil {
			return nil, nil, fail("path", "%s file %s: %w", what, path, err)
		}
		return dims, data, nil
	}
	dx, px, err := read(images, 3, "image")
	if err != nil {
		return nil, err
	}
	dy, py, err := read(labels, 1, "label")
	if err != nil {
		return nil, err
	}
	if dx[0] != dy[0] {
		return nil, fail("path", "%s has %d images and %s %d labels", images, dx[0], labels, dy[0])
	}
	d := len(px) / dx[0]
	l := &labelled{d: d, name: images, labels: make([]int, len(py))}
	for i, v := range py {
		l.labels[i] = int(v)
	}
	l.x = func(i int, dst []float64) {
		for j, v := range px[i*d : (i+1)*d] {
			dst[j] = float64(v) / 255
		}
	}
	return l, nil
}

const cifarRecord = 1 + 32*32*3

func (s Spec) readCIFAR(path string) ([]byte, error) {
	b, err := s.slurp(path)
	if err != nil {
		return nil, err
	}
	if err := checkCIFAR(b); err != nil {
		return nil, fail("path", "%s: %w", path, err)
	}
	return b, nil
}

func checkCIFAR(b []byte) error {
	if len(b) == 0 || len(b)%cifarRecord != 0 {
		return fmt.Errorf("%d bytes; a CIFAR-10 batch is a whole number of records of %d bytes, so it is truncated "+
			"or not the binary version", len(b), cifarRecord)
	}
	for i := 0; i < len(b); i += cifarRecord {
		if b[i] > 9 {
			return fmt.Errorf("record %d has label %d; CIFAR-10 labels are 0 to 9", i/cifarRecord, b[i])
		}
	}
	return nil
}

func cifar(batches [][]byte, name string) *labelled {
	l := &labelled{d: cifarRecord - 1, name: name}
	var all []byte
	for _, b := range batches {
		all = append(all, b...)
	}
	for i := 0; i < len(all); i += cifarRecord {
		l.labels = append(l.labels, int(all[i]))
	}
	l.x = func(i int, dst []float64) {
		for j, v := range all[i*cifarRecord+1 : (i+1)*cifarRecord] {
			dst[j] = float64(v) / 255
		}
	}
	return l
}
