package data

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/internal/npy"
)

// files serves npy and csv: all rows as given, or a seeded choice of them.
func (s Spec) files(base string) (*Set, error) {
	read := func(key, name string) (*mat.Dense, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(base, name)
		}
		m, err := s.table(name)
		if err != nil {
			return nil, &Error{Key: key, Err: err}
		}
		r, c := m.Dims()
		for i := range r {
			for j := range c {
				if v := m.At(i, j); math.IsNaN(v) || math.IsInf(v, 0) {
					return nil, fail(key, "%s: row %d, column %d is %g; remove or impute it (rows and columns count from 0)", name, i, j, v)
				}
			}
		}
		return m, nil
	}
	pair := func(xkey, xname, ykey, yname string) (*mat.Dense, *mat.Dense, error) {
		x, err := read(xkey, xname)
		if err != nil {
			return nil, nil, err
		}
		p, d := x.Dims()
		if yname == "" { // csv: the last column is the target
			if s.Source != "csv" || d < 2 {
				return nil, nil, fail(ykey, "%s needs %s beside %s", s.Source, ykey, xkey)
			}
			return mat.DenseCopyOf(x.Slice(0, p, 0, d-1)), mat.DenseCopyOf(x.Slice(0, p, d-1, d)), nil
		}
		y, err := read(ykey, yname)
		if err != nil {
			return nil, nil, err
		}
		if r, _ := y.Dims(); r != p {
			return nil, nil, fail(ykey, "%s has %d rows and %s %d; there must be one target row per input row", xname, p, yname, r)
		}
		return x, y, nil
	}
	if s.Inputs == "" {
		return nil, fail("inputs", "the source %s needs inputs, the file of input rows", s.Source)
	}
	x, y, err := pair("inputs", s.Inputs, "targets", s.Targets)
	if err != nil {
		return nil, err
	}
	p, d := x.Dims()
	_, c := y.Dims()
	set := &Set{Inputs: x, Targets: y}
	if s.TestInputs != "" {
		tx, ty, err := pair("test_inputs", s.TestInputs, "test_targets", s.TestTargets)
		if err != nil {
			return nil, err
		}
		if _, td := tx.Dims(); td != d {
			return nil, fail("test_inputs", "%s has %d columns and %s %d", s.TestInputs, td, s.Inputs, d)
		}
		if _, tc := ty.Dims(); tc != c {
			return nil, fail("test_targets", "test targets have %d columns and targets %d", tc, c)
		}
		set.TestInputs, set.TestTargets = tx, ty
	} else if s.TestTargets != "" {
		return nil, fail("test_targets", "test_targets without test_inputs")
	}
	if s.Train == 0 && s.Test == 0 {
		return set, nil
	}
	// A seeded choice: training rows from the front of a permutation, test rows from its back, so that neither size moves the other.
	rows := func(m *mat.Dense, idx []int) *mat.Dense {
		_, c := m.Dims()
		out := mat.NewDense(len(idx), c, nil)
		for k, i := range idx {
			out.SetRow(k, m.RawRowView(i))
		}
		return out
	}
	take := func(key string, n, have int) error {
		if n > have {
			return fail(key, "%s: %d rows are asked of %d", key, n, have)
		}
		return nil
	}
	perm := s.rng(streamTrain).Perm(p)
	train := s.Train
	if set.TestInputs != nil {
		if train == 0 {
			train = p
		}
		if err := take("train", train, p); err != nil {
			return nil, err
		}
		set.Inputs, set.Targets = rows(x, perm[:train]), rows(y, perm[:train])
		if s.Test > 0 {
			tx, ty := set.TestInputs.(*mat.Dense), set.TestTargets
			pt, _ := tx.Dims()
			if err := take("test", s.Test, pt); err != nil {
				return nil, err
			}
			perm := s.rng(streamTest).Perm(pt)
			set.TestInputs, set.TestTargets = rows(tx, perm[:s.Test]), rows(ty, perm[:s.Test])
		}
		return set, nil
	}
	if train == 0 {
		train = p - s.Test
	}
	if train < 1 || train+s.Test > p {
		return nil, fail("train", "%d training and %d test rows are asked of the %d rows of %s", max(train, s.Train), s.Test, p, s.Inputs)
	}
	set.Inputs, set.Targets = rows(x, perm[:train]), rows(y, perm[:train])
	if s.Test > 0 {
		set.TestInputs, set.TestTargets = rows(x, perm[p-s.Test:]), rows(y, perm[p-s.Test:])
	}
	return set, nil
}

// table reads a matrix from a file of the source's format; an array of one dimension is a column.
func (s Spec) table(path string) (*mat.Dense, error) {
	if s.Source == "csv" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if raw, err = gunzip(raw); err != nil {
			return nil, fmt.Errorf("%s: %w; fetch or write the file again", path, err)
		}
		m, err := parseCSV(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return m, nil
	}
	a, err := npy.ReadFile(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	shape := a.Shape
	if len(shape) == 1 {
		shape = []int{shape[0], 1}
	}
	if len(shape) > 2 { // images: flatten everything behind the first axis
		n := 1
		for _, d := range shape[1:] {
			n *= d
		}
		shape = []int{shape[0], n}
	}
	if len(shape) != 2 || shape[0] == 0 || shape[1] == 0 {
		return nil, fmt.Errorf("%s: shape %v; an array of rows is needed", path, a.Shape)
	}
	return mat.NewDense(shape[0], shape[1], a.Data), nil
}

// parseCSV reads numbers separated by commas, one row a line, after an optional header line.
func parseCSV(raw []byte) (*mat.Dense, error) {
	r := csv.NewReader(bytes.NewReader(raw))
	r.TrimLeadingSpace = true
	r.ReuseRecord = true
	r.FieldsPerRecord = -1
	var data []float64
	rows, cols, line := 0, 0, 0
	for {
		rec, err := r.Read()
		if err == io.EOF {
			break
		}
		line++
		if err != nil {
			return nil, err
		}
		var row []float64
		var bad error
		for k, f := range rec {
			v, err := strconv.ParseFloat(strings.TrimSpace(f), 64)
			if err != nil {
				bad = fmt.Errorf("line %d, field %d: %q is not a number", line, k+1, f)
				break
			}
			row = append(row, v)
		}
		if bad != nil {
			if line == 1 { // a header
				continue
			}
			return nil, bad
		}
		if rows == 0 {
			cols = len(row)
		}
		if len(row) != cols {
			return nil, fmt.Errorf("line %d has %d fields, the lines before have %d", line, len(row), cols)
		}
		data = append(data, row...)
		rows++
	}
	if rows == 0 {
		return nil, errors.New("no rows of numbers")
	}
	return mat.NewDense(rows, cols, data), nil
}
