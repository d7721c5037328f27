package bench

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
)

// TestWrite: tables are Markdown.
func TestWrite(t *testing.T) {
	var b strings.Builder
	if err := Write(&b, []Table{{Title: "T", Note: "N.", Header: []string{"a", "b"},
		Rows: [][]string{{"1", "2"}}}}); err != nil {
		t.Fatal(err)
	}
	if want := "## T\n\nN.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// TestRun: an interrupted measurement stops, and exponents are those of powers.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, func(string) { t.Error("measures although it was interrupted") }); !errors.Is(err,
		context.Canceled) {
		t.Errorf("%v", err)
	}
	var x, y []float64
	for _, n := range []float64{1, 2, 4, 8} {
		x, y = append(x, math.Log(n)), append(y, math.Log(3*math.Pow(n, 1.5)))
	}
	if got := slope(x, y); math.Abs(got-1.5) > 1e-12 {
		t.Errorf("slope %g", got)
	}
	if _, err := theory(ctx); err == nil {
		t.Error("the theory was solved although it was interrupted")
	}
}
