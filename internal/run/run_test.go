package run

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

func open(t *testing.T, dir, hash string, redo bool) *Folder {
	t.Helper()
	f, err := Open(dir, "name", hash, redo)
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
	f := open(t, dir, "h1", false)
	if f.Complete || f.Resumed {
		t.Fatalf("%+v", f)
	}
	for name, data := range map[string]string{"theory-000": "first", "theory-001.checkpoint": "half"} {
		if err := f.Save(name, text(data)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, "name", "h1", false); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second process: %v", err)
	}
	f.Close()
	// A stale temporary file of a killed process disappears.
	stale := filepath.Join(dir, npy.TempPrefix+"x.npz-1")
	if err := os.WriteFile(stale, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir, "h1", false)
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
	if err := npy.WriteNPZ(f.Path("theory.npz"), []npy.Named{{Name: "x", Array: npy.Array{Shape: []int{1}, Data: []float64{1}}}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(Manifest{Name: "name", Command: []string{"dmft", "solve"}}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	m, err := ReadManifest(dir)
	if err != nil || m.Hash != "h1" || m.SchemaVersion != SchemaVersion || len(m.Files) != 1 || m.Files[0].Name != "theory.npz" || len(m.Files[0].SHA256) != 64 || m.PeakMemory <= 0 || m.Host.CPUs < 1 {
		t.Errorf("%+v %v", m, err)
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if n := e.Name(); n != "manifest.json" && n != "theory.npz" && n != lockName {
			t.Errorf("%s is left in a complete folder", n)
		}
	}
	if f = open(t, dir, "h1", false); !f.Complete {
		t.Error("a complete folder is not recognised")
	}
	f.Close()
	if f = open(t, dir, "h1", true); f.Complete || f.Resumed {
		t.Error("redo does not start over")
	}
	f.Close()
	if _, err := ReadManifest(dir); err == nil {
		t.Error("redo keeps the manifest")
	}
}

// TestRefusals: folders that must not be touched.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	f := open(t, filepath.Join(dir, "run"), "h1", false)
	f.Close()
	for _, redo := range []bool{false, true} {
		if _, err := Open(filepath.Join(dir, "run"), "name", "h2", redo); err == nil || !strings.Contains(err.Error(), "different experiment") {
			t.Errorf("another experiment: %v", err)
		}
		if _, err := Open(dir, "name", "h1", redo); err == nil || !strings.Contains(err.Error(), "not a run folder") {
			t.Errorf("other files: %v", err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, "name", "h", false); err == nil {
		t.Error("a file is taken for a folder")
	}
	if err := os.WriteFile(filepath.Join(dir, "run", runName), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "run"), "name", "h1", false); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged run.json: %v", err)
	}
}

// TestDamagedPart: a part with a wrong byte, or cut short, counts as absent.
func TestDamagedPart(t *testing.T) {
	f := open(t, t.TempDir(), "h", false)
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

// TestTrajectory: a trajectory survives the file.
func TestTrajectory(t *testing.T) {
	tr := &dmft.Trajectory{Width: 8, Replicas: 2, Time: []float64{0, 1}, Loss: []float64{2, 1}, LossStderr: []float64{0, .1}, ReadoutNorm: []float64{1, 2},
		KernelStep: []int{0, 1}, KernelTime: []float64{0, 1}, Alignment: []float64{.1, .2}, KernelMovement: []float64{0, 1},
		Error: []float64{.5, .25}, ErrorStderr: []float64{0, .1}, TestError: []float64{.5, .3}, TestErrorStderr: []float64{0, .2},
		LayerTime: []float64{0, 1}, Depths: []int{5, 9}, TwoTimeStep: []int{0, 1}, TwoTimeTime: []float64{0, 1}}
	for i, a := range []*dmft.Array{&tr.F, &tr.FStderr, &tr.NTK, &tr.NTKStderr, &tr.Phi, &tr.PhiStderr, &tr.G, &tr.GStderr, &tr.FReplicas, &tr.LossReplicas, &tr.Preactivations,
		&tr.ErrorReplicas, &tr.TestErrorReplicas, &tr.PhiMovementStderr, &tr.GMovementStderr, &tr.PhiAlignmentStderr,
		&tr.PhiMovement, &tr.GMovement, &tr.PhiAlignment, &tr.NTKSpectrum, &tr.PhiTwoTime, &tr.PhiTwoTimeStderr, &tr.GTwoTime, &tr.GTwoTimeStderr, &tr.ResponseA, &tr.ResponseB, &tr.ResponseAStderr, &tr.ResponseBStderr, &tr.FDepths, &tr.FDepthsStderr, &tr.LossDepths} {
		*a = dmft.NewArray(2, 3)
		for j := range a.Data {
			a.Data[j] = float64(10*i + j)
		}
	}
	for _, replicas := range []string{"seeds", "blocks"} {
		path := filepath.Join(t.TempDir(), "t.npz")
		if err := WriteTrajectory(path, tr, replicas); err != nil {
			t.Fatal(err)
		}
		got, err := ReadTrajectory(path)
		if err != nil || !reflect.DeepEqual(got, tr) {
			t.Errorf("%v\n%+v\n%+v", err, got, tr)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad.npz")
	if err := npy.WriteNPZ(bad, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTrajectory(bad); err == nil {
		t.Error("an empty file is a trajectory")
	}
}
