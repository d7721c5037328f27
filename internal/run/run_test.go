package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/internal/npy"
)

func opened(t *testing.T, dir, hash string, redo bool) *Folder {
	t.Helper()
	f, err := Open(dir, Claim{Name: "name", Hash: hash, Redo: redo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// TestLifeOfAFolder: new, interrupted, resumed, complete, reused, redone.
func TestLifeOfAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	f := opened(t, dir, "h1", false)
	if f.Complete || f.Resumed {
		t.Fatalf("%+v", f)
	}
	for name, data := range map[string]string{"theory-000": "first", "theory-001.checkpoint": "half"} {
		if err := f.Save(name, text(data)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, Claim{Name: "name", Hash: "h1"}); err == nil ||
		!strings.Contains(err.Error(), "another process") {
		t.Errorf("a second process: %v", err)
	}
	f.Close()
	// A stale temporary file of a killed process disappears.
	stale := filepath.Join(dir, npy.TempPrefix+"x.npz-1")
	if err := os.WriteFile(stale, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	f = opened(t, dir, "h1", false)
	if f.Complete || !f.Resumed {
		t.Fatalf("%+v", f)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("a stale temporary file is left")
	}
	if b, ok, err := f.Load("theory-000"); err != nil || !ok || string(b) != "first" {
		t.Errorf("part: %q %v %v", b, ok, err)
	}
	if _, ok, err := f.Load("theory-007"); ok || err != nil {
		t.Errorf("absent part: %v %v", ok, err)
	}
	// A finished part replaces its checkpoint.
	if err := f.Save("theory-001", text("whole")); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := f.Load("theory-001.checkpoint"); ok {
		t.Error("the checkpoint of a finished part is left")
	}
	if err := npy.WriteNPZ(f.Path("theory.npz"), []npy.Named{{Name: "x",
		Array: npy.Array{Shape: []int{1}, Data: []float64{1}}}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(Manifest{Name: "name", Command: []string{"dmft", "solve"}}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	m, err := ReadManifest(dir)
	if err != nil || m.Hash != "h1" || m.SchemaVersion != SchemaVersion || len(m.Files) != 1 ||
		m.Files[0].Name != "theory.npz" || len(m.Files[0].SHA256) != 64 || m.PeakMemory <= 0 || m.Host.CPUs < 1 {
		t.Errorf("%+v %v", m, err)
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if n := e.Name(); n != "manifest.json" && n != "theory.npz" && n != lockName {
			t.Errorf("%s is left in a complete folder", n)
		}
	}
	if f = opened(t, dir, "h1", false); !f.Complete {
		t.Error("a complete folder is not recognised")
	}
	f.Close()
	if f = opened(t, dir, "h1", true); f.Complete || f.Resumed {
		t.Error("redo does not start over")
	}
	f.Close()
	if _, err := ReadManifest(dir); err == nil {
		t.Error("redo keeps the manifest")
	}
}

// TestLinks: a run folder may be a symbolic link to one; what is in it and is no file is left alone.
func TestLinks(t *testing.T) {
	base := t.TempDir()
	if err := os.MkdirAll(filepath.Join(base, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "link")
	if err := os.Symlink("real", dir); err != nil {
		t.Skip(err)
	}
	f := opened(t, dir, "h", false)
	for _, name := range []string{"theory.npz", "figures/loss.svg"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"folder": base, "nowhere": "no such file"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := f.files()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range files {
		names = append(names, x.Name)
	}
	if want := []string{"figures/loss.svg", "theory.npz"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// TestRefusals: folders that must not be touched.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	f := opened(t, filepath.Join(dir, "run"), "h1", false)
	f.Close()
	for _, other := range []Other{Refuse, Aside, Replace, Extend} {
		for _, redo := range []bool{false, true} {
			if _, err := Open(dir, Claim{Name: "name", Hash: "h1", Redo: redo, Other: other}); err == nil ||
				!strings.Contains(err.Error(), "not a run folder") {
				t.Errorf("other files: %v", err)
			}
		}
	}
	var changed *ChangedError
	if _, err := Open(filepath.Join(dir, "run"), Claim{Name: "name", Hash: "h2", Redo: true}); !errors.As(err,
		&changed) || changed.Name != "name" {
		t.Errorf("another experiment: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Claim{Name: "name", Hash: "h"}); err == nil {
		t.Error("a file is taken for a folder")
	}
	if err := os.WriteFile(filepath.Join(dir, "run", runName), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "run"), Claim{Name: "name", Hash: "h1"}); err == nil ||
		!strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged run.json: %v", err)
	}
}

// TestDamagedPart: a part with a wrong byte, or cut short, counts as absent.
func TestDamagedPart(t *testing.T) {
	f := opened(t, t.TempDir(), "h", false)
	data := bytes.Repeat([]byte("0123456789"), 100)
	path := filepath.Join(f.Dir, partsName, "p")
	for _, spoil := range []func([]byte) []byte{
		func(b []byte) []byte { b[500] ^= 1; return b },
		func(b []byte) []byte { return b[:600] },
		func(b []byte) []byte { return b[:3] },
		func(b []byte) []byte { return nil },
	} {
		if err := f.Save("p", text(string(data))); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, spoil(b), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := f.Load("p"); ok || err != nil {
			t.Errorf("a damaged part: %v %v", ok, err)
		}
	}
}

// finished makes a complete folder with results, figures, runs in it and two files of somebody else.
func finished(t *testing.T, dir, hash string) {
	t.Helper()
	f, err := Open(dir, Claim{Name: "name", Hash: hash, Keys: map[string]string{"richness": hash}, Points: []string{"p"}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := Open(f.Path("p"), Claim{Name: "name", Hash: hash + "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, sub := range []string{"figures", "p/figures", "mine"} {
		if err := os.MkdirAll(f.Path(sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"theory.npz", "simulation-N64.npz", "figures/loss.png", "notes.txt",
		"figures/mine.txt", "mine/theory.npz", "p/theory.npz", "p/figures/loss.svg"} {
		if err := os.WriteFile(f.Path(name), []byte(hash), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Finish(Manifest{Name: "name"}); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(Manifest{Name: "name", Points: []PointEntry{{Folder: "p"}}}); err != nil {
		t.Fatal(err)
	}
}

// there lists what is in a folder.
func there(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, path); err == nil && !d.IsDir() && filepath.Base(rel) != lockName && rel != ownerName {
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestChanged: what becomes of a folder with results of another experiment. Nobody else's files go, and no old result
// stays to be taken for a new one.
func TestChanged(t *testing.T) {
	others := []string{"figures/mine.txt", "mine/theory.npz", "notes.txt", "run.json"}
	t.Run("replace", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		finished(t, dir, "h1")
		f, err := Open(dir, Claim{Name: "name", Hash: "h2", Redo: true, Other: Replace})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got := there(t, dir); !slices.Equal(got, others) || f.Complete || f.Resumed || f.Moved != "" {
			t.Errorf("%v %+v", got, f)
		}
	})
	t.Run("killed while replacing", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		finished(t, dir, "h1")
		if err := os.MkdirAll(filepath.Join(dir, "parts"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "parts", "theory-000"), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		// As after a kill behind the first step.
		head := header{SchemaVersion: SchemaVersion, Name: "name", Hash: "h2",
			Remove: []string{"parts", "theory.npz", "simulation-N64.npz", "figures/loss.png", "p"}}
		if err := writeJSON(filepath.Join(dir, "run.json"), head); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "manifest.json")); err != nil {
			t.Fatal(err)
		}
		f, err := Open(dir, Claim{Name: "name", Hash: "h2"})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got := there(t, dir); !slices.Equal(got, others) || f.Resumed {
			t.Errorf("%v %+v", got, f)
		}
	})
	t.Run("outside", func(t *testing.T) {
		dir := t.TempDir()
		mine := filepath.Join(dir, "theory.npz")
		if err := os.WriteFile(mine, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "run"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := writeJSON(filepath.Join(dir, "run", "run.json"),
			header{SchemaVersion: SchemaVersion, Name: "name", Hash: "h", Remove: []string{"../theory.npz"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(filepath.Join(dir, "run"), Claim{Name: "name", Hash: "h"}); err == nil {
			t.Error("a damaged run.json removes files elsewhere")
		}
		if _, err := os.Stat(mine); err != nil {
			t.Error(err)
		}
	})
	t.Run("aside", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		for i, hash := range []string{"h1", "h2", "h3"} {
			f, err := Open(dir, Claim{Name: "name", Hash: hash, Keys: map[string]string{"richness": hash}, Other: Aside})
			if err != nil {
				t.Fatal(err)
			}
			moved := ""
			if i > 0 {
				moved = fmt.Sprintf("%s.%d", dir, i)
			}
			if f.Complete || f.Resumed || f.Moved != moved || i > 0 && f.Changed.Before["richness"] != fmt.Sprintf("h%d", i) {
				t.Errorf("%+v", f)
			}
			f.Close()
			finished(t, dir, hash)
		}
		if a, b := there(t, dir), there(t, dir+".1"); !slices.Equal(a, b) || Peek(dir+".1") != "h1" ||
			Peek(dir+".2") != "h2" || Peek(dir) != "h3" {
			t.Errorf("%v %v", a, b)
		}
		// The same experiment again is not moved.
		f, err := Open(dir, Claim{Name: "name", Hash: "h3", Other: Aside})
		if err != nil || !f.Complete || f.Moved != "" {
			t.Fatalf("%+v %v", f, err)
		}
		f.Close()
	})
	t.Run("busy", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		opened(t, dir, "h1", false)
		for _, other := range []Other{Aside, Replace} {
			if _, err := Open(dir, Claim{Name: "name", Hash: "h2", Other: other}); !errors.Is(err, ErrLocked) {
				t.Errorf("%v", err)
			}
		}
		if Peek(dir) != "h1" {
			t.Error("a folder in which a process works was taken away")
		}
	})
	t.Run("extend", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		finished(t, dir, "h1")
		f, err := Open(dir, Claim{Name: "name", Hash: "h2", Other: Extend})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if got, want := there(t, dir), append(others[:3:3], "p/figures/loss.svg", "p/manifest.json", "p/theory.npz",
			"run.json"); !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
	})
}

// TestDanglingLink: a run folder that is a link to nowhere, or below one, is said to be.
func TestDanglingLink(t *testing.T) {
	base := t.TempDir()
	link := filepath.Join(base, "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Skip(err)
	}
	for _, dir := range []string{link, filepath.Join(link, "below")} {
		if _, err := Open(dir, Claim{}); err == nil ||
			!strings.Contains(err.Error(), link+" is a symbolic link to nowhere, which is not there") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := os.WriteFile(filepath.Join(base, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(base, "file"), Claim{}); err == nil || strings.Contains(err.Error(), "symbolic") {
		t.Errorf("a file: %v", err)
	}
}
