package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft/figure"
	"github.com/seed39b58f2d/dmft/internal/report"
)

// TestDraw: a figure that cannot be drawn does not withhold the others, and a panic is an error.
func TestDraw(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "figures")
	line := func(x ...float64) figure.Figure {
		return figure.Figure{Panels: []figure.Panel{{Series: []figure.Series{{X: x, Y: []float64{1, 2}}}}}}
	}
	err := draw(func() ([]report.Named, error) {
		return []report.Named{{Name: "bad", Figure: line(1)}, {Name: "good", Figure: line(1, 2)}}, nil
	}, dir)
	if err == nil || !strings.Contains(err.Error(), "bad") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "good.pdf")); err != nil {
		t.Error(err)
	}
	if err := draw(func() ([]report.Named, error) { panic("index out of range") }, dir); err == nil ||
		!strings.Contains(err.Error(), "index out of range") {
		t.Errorf("a panic is %v", err)
	}
}
