package data

import (
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// TestOwnRefused: what cannot be encoded or normalised is refused with a sentence, not a panic.
func TestOwnRefused(t *testing.T) {
	x := func() *mat.Dense { return mat.NewDense(2, 2, []float64{1, 2, 3, 4}) }
	for want, f := range map[string]func() error{
		"unknown normalisation":   func() error { return Normalize(x(), nil, "unit") },
		"cannot be changed":       func() error { return Normalize(x().T(), nil, "sphere") },
		"row 0 is zero":           func() error { return Normalize(mat.NewDense(1, 2, nil), nil, "sphere") },
		"point 1 is of class 3":   func() error { _, err := Encode([]int{0, 3}, 3, ""); return err },
		"point 0 is of class -1":  func() error { _, err := Encode([]int{-1}, 3, "label"); return err },
		"there must be some":      func() error { _, err := Encode(nil, 3, ""); return err },
		"for two classes, not 3":  func() error { _, err := Encode([]int{0}, 3, "sign"); return err },
		`unknown encoding "none"`: func() error { _, err := Encode([]int{0}, 3, "none"); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	var none *mat.Dense
	if err := Normalize(x(), none, "sphere"); err != nil {
		t.Errorf("no test inputs: %v", err)
	}
}
