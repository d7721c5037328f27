package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/experiment"
)

// TestPilotRecords: what check measures keeps what the experiment asks for, and not the predictions of every step.
func TestPilotRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.yaml")
	src := strings.NewReplacer("steps: 4", "steps: 1000000", "record: {", "record: {every: 1000000, ").Replace(tiny)
	if err := os.WriteFile(path, []byte(src), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := experiment.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	pl, err := planOf(f.Points()[0], &sets{say: func(string, ...any) {}}, filepath.Dir(path), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range pl.all() {
		if w.begin == nil || w.what == string(dmft.Lazy) { // lazy training has no replicas to record
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w.begin(ctx, dmft.Run{})
		runtime.ReadMemStats(&after)
		cancel()
		if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
			t.Errorf("%s begins with %d MiB of a trajectory that is estimated at %d KiB", w.what, n>>20, w.bytes>>10)
		}
	}
}

// TestErrorOutOfReach: a theory.error that no number of samples reaches is a failure, in every command, and not the
// result of the first attempt.
func TestErrorOutOfReach(t *testing.T) {
	c := here(t)
	c.write("e.yaml", strings.Replace(tiny, "theory: {", "theory: {error: 1e-12, ", 1))
	for _, command := range []string{"solve", "compare"} {
		if out := c.run(1, command, "e.yaml", "--no-figures", "-q"); !strings.Contains(out, "ask for less accuracy") {
			t.Errorf("%s: %s", command, out)
		}
	}
}
