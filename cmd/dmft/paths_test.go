package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

// oddFolders are names that are patterns, options, escapes or commands to somebody.
var oddFolders = []string{"q[1]", "a*b", "a?", `back\slash`, "with blanks", "-leading", "two\nlines", "100%a", "$(x)",
	"grok"}

const tiny = `data: {source: digits, classes: [0, 1], train: 4, test: 4}
network: {kind: two-layer, activation: tanh}
richness: 1
training: {learning_rate: 0.02, steps: 4}
theory: {samples: 200, approximations: [lazy]}
simulation: {widths: [8, 16], seeds: 2}
record: {kernels: 2, preactivations: 0}
compare: {tolerance: 10}
`

// TestOddFolders: whatever the folder is called, a finished run is read back as it was computed, approximations and
// networks included, by the same command and by figure.
func TestOddFolders(t *testing.T) {
	c := here(t)
	c.write("e.yaml", tiny)
	// A neighbour that the names as patterns would match has other results.
	c.write("other.yaml", strings.Replace(tiny, "[8, 16]", "[8, 16, 32]", 1))
	c.run(0, "compare", "other.yaml", "--out=q1", "--no-figures", "-q")
	for _, name := range oddFolders {
		results := func() map[string]any {
			p := exec.Command(c.exe, "compare", "e.yaml", "--out="+name, "--no-figures", "-q", "--json")
			p.Dir = c.dir
			var stderr bytes.Buffer
			p.Stderr = &stderr
			b, err := p.Output()
			if err != nil {
				t.Fatalf("%q: %v\n%s", name, err, stderr.String())
			}
			var doc map[string]any
			if err := json.Unmarshal(b, &doc); err != nil {
				t.Fatal(err)
			}
			delete(doc, "fluctuations")
			return doc
		}
		first, again := results(), results()
		rows, _ := first["results"].([]any)
		if len(rows) != 4 || first["comparison"].([]any)[0].(map[string]any)["report"] == nil {
			t.Errorf("%q: %v", name, first)
		}
		a, _ := json.Marshal(first["comparison"])
		b, _ := json.Marshal(again["comparison"])
		if rows2, _ := again["results"].([]any); len(rows2) != len(rows) || !bytes.Equal(a, b) {
			t.Errorf("%q: first %v\nthen %v", name, first, again)
		}
		if !slices.Contains([]string{"q[1]", "-leading", "grok"}, name) { // drawing takes longer than all the rest
			continue
		}
		arg := name
		if strings.HasPrefix(name, "-") {
			arg = "./" + name
		}
		out := c.run(0, "figure", arg)
		for _, want := range []string{"approximations.svg", "width.svg"} {
			if !strings.Contains(out, filepath.Join(arg, "figures", want)) {
				t.Errorf("%q: no %s in\n%s", name, want, out)
			}
		}
		if strings.Contains(out, "grokking") {
			t.Errorf("%q is taken for a run of grok\n%s", name, out)
		}
	}
}

// TestLostResult: a result that the manifest names and the folder has not is an error, and no verdict without it.
func TestLostResult(t *testing.T) {
	c := here(t)
	c.write("e.yaml", tiny)
	c.run(0, "compare", "e.yaml", "--out", "out", "--no-figures", "-q")
	if err := os.Remove(filepath.Join(c.dir, "out", "simulation-N16.npz")); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"compare", "e.yaml", "--out", "out"}, {"figure", "out"}} {
		if out := c.run(exitFailed, args...); !strings.Contains(out, "simulation-N16.npz") {
			t.Errorf("%s", out)
		}
	}
}

// TestProductFolders: points of a product whose values differ by what folder names cannot hold have folders of their
// own, short ones, and are drawn with their labels.
func TestProductFolders(t *testing.T) {
	c := here(t)
	if err := os.MkdirAll(filepath.Join(c.dir, "d", "s"), 0o777); err != nil {
		t.Fatal(err)
	}
	c.write("d/s/x.csv", "a,b,y\n1,0,1\n0,1,-1\n1,1,2\n")
	c.write("d/s-x.csv", "a,b,y\n1,0,3\n0,2,-1\n1,1,2\n")
	c.write("e.yaml", `data: {source: csv, inputs: [d/s/x.csv, d/s-x.csv]}
network: {kind: two-layer, activation: [tanh, {polynomial: [0, 1, 0.1]}]}
richness: 1
training: {learning_rate: 0.02, steps: 4}
theory: {samples: 200}
record: {kernels: 2, preactivations: 0}
`)
	c.run(0, "solve", "e.yaml", "--out", "out", "--no-figures", "-q")
	m, err := run.ReadManifest(filepath.Join(c.dir, "out"))
	if err != nil || len(m.Points) != 4 || m.Kind != "solve" ||
		strings.Join(m.Swept, " ") != "data.inputs network.activation" {
		t.Fatalf("%v %+v", err, m)
	}
	seen, data := map[string]bool{}, map[string]bool{}
	for _, p := range m.Points {
		pm, err := run.ReadManifest(filepath.Join(c.dir, "out", p.Folder))
		if err != nil || seen[p.Folder] || len(p.Folder) > 100 || strings.ContainsAny(p.Folder, "[]{}*? ") {
			t.Errorf("%q: %v", p.Folder, err)
			continue
		}
		seen[p.Folder], data[pm.Data] = true, true
		if _, err := os.Stat(filepath.Join(c.dir, "out", p.Folder, filepath.FromSlash(pm.Data))); err != nil {
			t.Error(err)
		}
		point, err := pointOf(filepath.Join(c.dir, "out", p.Folder), m.Swept, p, pm)
		if err != nil || point.Label != p.Label || !strings.HasPrefix(p.Label, "data.inputs=") {
			t.Errorf("%v: label %q, want %q", err, point.Label, p.Label)
		}
	}
	if len(data) != 2 {
		t.Errorf("two data sets in %d files: %v", len(data), data)
	}
}

// TestMovedSweep: a sweep moves with the files that it needs beside it, and goes on there.
func TestMovedSweep(t *testing.T) {
	c := here(t)
	project := filepath.Join(c.dir, "project")
	if err := os.MkdirAll(filepath.Join(project, "data"), 0o777); err != nil {
		t.Fatal(err)
	}
	c.write("project/data/x.csv", "a,b,y\n1,0,1\n0,1,-1\n1,1,2\n")
	c.write("project/e.yaml", `data: {source: csv, inputs: data/x.csv}
network: {kind: two-layer, activation: tanh}
richness: [1, 2]
training: {learning_rate: 0.02, steps: 4}
theory: {samples: 200}
record: {kernels: 2, preactivations: 0}
`)
	c.run(0, "sweep", "project/e.yaml", "--mode", "solve", "--out", "project/s", "--store", "project/store[1]",
		"--no-figures", "-q")
	moved := filepath.Join(c.dir, "elsewhere")
	if err := os.Rename(project, moved); err != nil {
		t.Fatal(err)
	}
	w, err := sweep.Open(filepath.Join(moved, "s"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{w.Base, w.Store} {
		if filepath.IsAbs(p) {
			t.Errorf("sweep.json holds the path %s", p)
		}
	}
	if err := os.RemoveAll(w.Folder(1)); err != nil {
		t.Fatal(err)
	}
	if out := c.run(0, "sweep", "elsewhere/s", "--no-figures"); !strings.Contains(out,
		"1 of 2 points are complete already") || !strings.Contains(out, "2 of 2 points complete") {
		t.Errorf("%s", out)
	}
	if table, err := os.ReadFile(filepath.Join(moved, "s", "summary.csv")); err != nil ||
		bytes.Contains(table, []byte(c.dir)) || !bytes.Contains(table, []byte("../store[1]/")) {
		t.Errorf("%v\n%s", err, table)
	}
	// On another machine the files of the points are not there; the sweep has them, and the same results come of them.
	want, err := os.ReadFile(filepath.Join(w.Folder(1), "theory.npz"))
	if err == nil {
		err = os.RemoveAll(w.Folder(1))
	}
	if err == nil {
		err = os.RemoveAll(filepath.Join(moved, "data"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if out := c.run(exitUsage, "sweep", "elsewhere/e.yaml", "--mode", "solve", "--out",
		"elsewhere/s"); !strings.Contains(out,
		"dmft sweep elsewhere/s goes on with it") {
		t.Errorf("%s", out)
	}
	if out := c.run(0, "sweep", "elsewhere/s", "--no-figures"); !strings.Contains(out, "2 of 2 points complete") {
		t.Errorf("%s", out)
	}
	if got, err := os.ReadFile(filepath.Join(w.Folder(1), "theory.npz")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other results of the points that the sweep has kept: %v", err)
	}
	if err := os.RemoveAll(w.Folder(0)); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadDir(filepath.Join(moved, "store[1]", "data"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%d kept files, %v", len(kept), err)
	}
	if err := os.WriteFile(filepath.Join(moved, "store[1]", "data", kept[0].Name()), []byte("PK"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := c.run(exitFailed, "sweep", "elsewhere/s", "--no-figures"); !strings.Contains(out, "x.csv: no such file") {
		t.Errorf("%s", out)
	}
}

// TestKept: what a task has kept is found in a sweep folder of any name.
func TestKept(t *testing.T) {
	f, err := experiment.Parse("e.yaml", []byte(tiny))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range oddFolders {
		w, err := sweep.New(filepath.Join(t.TempDir(), name), sweep.Index{Mode: "solve"}, f.Points(),
			func(e experiment.Experiment) (string, error) { return sweep.Hash("solve", e, ""), nil })
		if err == nil {
			err = w.Save([]byte(tiny))
		}
		if err != nil {
			t.Fatal(err)
		}
		s, parts := &sweeping{nil, w}, filepath.Join(w.Folder(0), "parts")
		if s.kept([]int{0}, time.Now()) {
			t.Errorf("%q: something is kept in no folder", name)
		}
		if err := os.MkdirAll(parts, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(parts, "theory.checkpoint"), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if !s.kept([]int{0}, time.Now()) || s.kept([]int{0}, time.Now().Add(time.Hour)) {
			t.Errorf("%q: what is kept is not found", name)
		}
	}
}
