package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft/compare"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
)

// TestLostArrays: whichever array of whichever file of a finished run is missing, what reads the run has an error or
// does without it, and does not panic; nor does it when a file is that of another experiment.
func TestLostArrays(t *testing.T) {
	c := here(t)
	c.write("e.yaml", strings.Replace(tiny, "approximations: [lazy]", "fluctuations: true", 1))
	c.write("other.yaml", strings.Replace(tiny, "classes: [0, 1], train: 4, test: 4",
		"classes: [0, 1, 2], train: 5, test: 3", 1))
	c.run(0, "compare", "e.yaml", "--out", "out", "--no-figures", "-q")
	c.run(0, "compare", "other.yaml", "--out", "other", "--no-figures", "-q")
	dir := filepath.Join(c.dir, "out")
	m, err := run.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	read := func() error {
		r := report.Result{Points: 4, Outputs: 1, LossName: "mse"}
		err := load(dir, m, &r)
		if err == nil {
			r.Compare, err = compare.Distances(r.Theory, r.Sims)
		}
		if err == nil {
			report.Figures([]report.Result{r})
			r.Summaries(0.5, nil)
			r.Rows()
			r.Spreads()
		}
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"theory.npz", "simulation-N8.npz", "simulation-N16.npz", run.FluctuationsName} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		arrays, err := npy.ReadNPZ(path)
		if err != nil {
			t.Fatal(err)
		}
		for lost := range arrays {
			var rest []npy.Named
			for n, a := range arrays {
				if n != lost {
					rest = append(rest, npy.Named{Name: n, Array: a})
				}
			}
			if err := npy.WriteNPZ(path, rest); err != nil {
				t.Fatal(err)
			}
			func() {
				defer func() {
					if p := recover(); p != nil {
						t.Errorf("%s without %s: %v", name, lost, p)
					}
				}()
				if err := read(); err != nil && !strings.Contains(err.Error(), dir) && !strings.Contains(err.Error(), "compare: ") {
					t.Errorf("%s without %s: %v", name, lost, err)
				}
			}()
		}
		if other, err := os.ReadFile(filepath.Join(c.dir, "other", name)); err == nil {
			if err := os.WriteFile(path, other, 0o666); err != nil {
				t.Fatal(err)
			}
			if err := read(); err == nil || !strings.Contains(err.Error(), "do not belong together") {
				t.Errorf("%s of another run: %v", name, err)
			}
		}
		if err := os.WriteFile(path, whole, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
