package sweep

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/internal/report"
)

// TestHostileIndex: an index that leads out of the sweep, or does not fit its experiment file, is an error that says
// what to do.
func TestHostileIndex(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s := make1(t, dir, source)
	path := filepath.Join(dir, indexName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := s.Points[0].Folder
	for what, b := range map[string][]byte{
		"a way out":      bytes.ReplaceAll(whole, []byte(first), []byte("../../../victim")),
		"no folder":      bytes.ReplaceAll(whole, []byte(first), nil),
		"another point":  bytes.Replace(whole, []byte("richness=2"), []byte("richness=3"), 1),
		"fewer points":   bytes.Replace(whole, []byte(`"points": [`), []byte(`"pints": [`), 1),
		"another layout": bytes.Replace(whole, []byte(`"schema_version": 1`), []byte(`"schema_version": 7`), 1),
		"cut":            whole[:len(whole)/2],
	} {
		if bytes.Equal(b, whole) {
			t.Fatalf("%s: nothing is changed", what)
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), dir) || what != "another layout" &&
			!strings.Contains(err.Error(), "give dmft sweep the experiment file again") {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Keys and values that are made up are not believed.
	if err := os.WriteFile(path, bytes.Replace(whole, []byte(`"key": "richness"`), []byte(`"key": "wealth"`), 1),
		0o666); err != nil {
		t.Fatal(err)
	}
	if got, err := Open(dir); err != nil || got.Keys[1].Key != "richness" || got.Numbers("richness") == nil {
		t.Errorf("%v %+v", err, got)
	}
	if err := os.WriteFile(path, whole, 0o666); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"no such point": `{"sweep": "` + s.identity() + `", "tasks": [[99]], "jobs": {"array": "1"}}`,
		"negative":      `{"tasks": [[-1]]}`, "an option": `{"jobs": {"array": "--me"}}`,
		"a cluster": `{"jobs": {"array": "1", "cluster": "-x y"}}`, "text": `x`,
	} {
		sub := filepath.Join(dir, "slurm", "1")
		if err := os.MkdirAll(sub, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, submissionName), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Submissions(); err == nil || !strings.Contains(err.Error(), sub) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzSweep: a sweep folder with anything in the place of its files, or of those of a point, is an error or is summed
// up, and no panic.
func FuzzSweep(f *testing.F) {
	names := []string{indexName, fileName, "slurm/1/" + submissionName, "points/manifest.json", "points/theory.npz"}
	seed := filepath.Join(f.TempDir(), "s")
	prepare := func(t testing.TB, dir string) *Sweep {
		s, err := New(dir, Index{Mode: "solve", File: "grid.yaml"}, points(t, source), hash)
		if err == nil {
			err = s.Save([]byte(source))
		}
		if err == nil {
			_, err = s.NewSubmission([]string{"dmft"}, Deal([]int{0, 1}, 1))
		}
		if err != nil {
			t.Fatal(err)
		}
		fill(t, s)
		return s
	}
	at := func(s *Sweep, name string) string {
		if rest, ok := strings.CutPrefix(name, "points/"); ok {
			return filepath.Join(s.Folder(0), rest)
		}
		return filepath.Join(s.Dir, filepath.FromSlash(name))
	}
	s := prepare(f, seed)
	for i, n := range names {
		b, err := os.ReadFile(at(s, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
		f.Add(uint8(i), b[:len(b)/2])
		flipped := bytes.Clone(b)
		flipped[len(b)/3] ^= 0x11
		f.Add(uint8(i), flipped)
	}
	f.Add(uint8(3),
		[]byte(`{"schema_version": 1, "summary": [{"what": "theory", "file": "../../x", "steps": 4611686018427387904, "values": {"loss": "1e999", "nonsense": 1}}, {"steps": -5}]}`))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		s := prepare(t, filepath.Join(t.TempDir(), "s"))
		if err := os.WriteFile(at(s, names[int(which)%len(names)]), data, 0o666); err != nil {
			t.Fatal(err)
		}
		w, err := Open(s.Dir)
		if err != nil {
			return
		}
		_, _ = w.Submissions()
		w.Todo(true)
		points, err := w.Read()
		if err != nil {
			return
		}
		_, _ = w.Summarise(points)
		_ = Count(points).String()
		g := w.Grid(points)
		for i := range points {
			for _, what := range g.What {
				_, _ = g.Curves(i, what)
				for _, q := range report.QuantityNames() {
					g.Value(i, what, q)
				}
			}
		}
	})
}
