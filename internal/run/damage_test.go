package run

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// odd are names of folders that are patterns, options or escapes to somebody.
var odd = []string{"q[1]", "a*b", "a?", `back\slash`, "with blanks", "-leading", "two\nlines", "100%a", "{a,b}",
	"$HOME", "[", "~"}

// TestOddNames: what a run folder holds is found whatever the folder is called, and leftovers in it, not those of a
// folder whose name would match it, are cleared away.
func TestOddNames(t *testing.T) {
	for _, name := range odd {
		root := t.TempDir()
		dir := filepath.Join(root, name)
		neighbour := filepath.Join(root, "q1")
		f := opened(t, dir, "h", false)
		if err := f.Save("theory", text("part")); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.MkdirAll(neighbour, 0o777); err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{dir, filepath.Join(dir, partsName), neighbour} {
			if err := os.WriteFile(filepath.Join(d, npy.TempPrefix+"x"), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		f = opened(t, dir, "h", false)
		if b, ok, err := f.Load("theory"); !f.Resumed || !ok || err != nil || string(b) != "part" {
			t.Errorf("%q: %v %v %q", name, ok, err, b)
		}
		for _, d := range []string{dir, filepath.Join(dir, partsName)} {
			if n, err := Names(d, npy.TempPrefix); err != nil || len(n) != 0 {
				t.Errorf("%q: left over %v %v", name, n, err)
			}
		}
		if n, err := Names(neighbour, npy.TempPrefix); err != nil || len(n) != 1 {
			t.Errorf("%q: a neighbour was cleared: %v %v", name, n, err)
		}
		if n, err := Names(dir, ""); err != nil || !reflect.DeepEqual(n, []string{lockName, ownerName, partsName, runName}) {
			t.Errorf("%q: %v %v", name, n, err)
		}
		f.Close()
	}
	if n, err := Names(filepath.Join(t.TempDir(), "none"), ""); n != nil || err != nil {
		t.Errorf("no folder: %v %v", n, err)
	}
}

// TestTrajectories: result files come from the manifest, networks in the order of their widths.
func TestTrajectories(t *testing.T) {
	m := &Manifest{Results: map[string]Result{"theory.npz": {}, "theory-lazy.npz": {}, "theory-gp.npz": {},
		"simulation-N1024.npz": {}, "simulation-N64.npz": {}, "simulation-N64-L3.npz": {}, "simulation-D10.npz": {},
		FluctuationsName: {}}}
	if got := m.Trajectories("simulation-N", true); !reflect.DeepEqual(got,
		[]string{"simulation-N64.npz", "simulation-N1024.npz"}) {
		t.Error(got)
	}
	if got := m.Trajectories("theory-", false); !reflect.DeepEqual(got, []string{"theory-gp.npz", "theory-lazy.npz"}) {
		t.Error(got)
	}
}

// TestKind: the manifest says what was run; of older ones it is found out, and not from a folder that is called like a
// command.
func TestKind(t *testing.T) {
	for _, x := range []struct {
		manifest, kind string
	}{
		{`{"schema_version": 1, "kind": "compare", "command": ["dmft", "compare", "e.yaml", "--out", "grok"]}`, "compare"},
		{`{"schema_version": 1, "command": ["dmft", "compare", "e.yaml", "--out", "grok"]}`, "compare"},
		{`{"schema_version": 1, "command": ["dmft", "grok", "e.yaml", "--out", "compare"]}`, "grok"},
		{`{"schema_version": 1, "hash": "converge-1234", "command": ["dmft"]}`, "converge"},
		{`{"schema_version": 1}`, ""},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, manifestName), []byte(x.manifest), 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := ReadManifest(dir)
		if err != nil || m.Kind != x.kind {
			t.Errorf("%s: %v %+v", x.manifest, err, m)
		}
	}
}

// small is a trajectory with arrays of every kind.
func small() *dmft.Trajectory {
	tr := &dmft.Trajectory{Width: 8, Replicas: 2, Time: []float64{0, 1, 2}, Loss: []float64{3, 2, 1},
		LossStderr: []float64{0, 0, 0}, KernelStep: []int{0, 2}, KernelTime: []float64{0, 2},
		SpectrumTime: []float64{0, 2}, Alignment: []float64{0, 1}, KernelMovement: []float64{0, 1}}
	for _, x := range []struct {
		a     *dmft.Array
		shape []int
	}{
		{&tr.F, []int{3, 2}}, {&tr.FStderr, []int{3, 2}}, {&tr.FReplicas, []int{2, 3, 2}},
		{&tr.LossReplicas, []int{2, 3}}, {&tr.NTK, []int{2, 2, 2}}, {&tr.Phi, []int{2, 1, 2, 2}},
		{&tr.G, []int{2, 1, 2, 2}}, {&tr.NTKSpectrum, []int{2, 2}}, {&tr.PhiMovement, []int{2, 1}},
		{&tr.GMovement, []int{2, 1}},
	} {
		*x.a = dmft.NewArray(x.shape...)
	}
	return tr
}

// TestDamagedTrajectory: an array that is missing where others need it, of another shape, or with numbers that are
// none, is an error that names the file and says what to do. Arrays that are left out whole are those that were not
// recorded.
func TestDamagedTrajectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "theory.npz")
	if err := small().WriteNPZ(path, dmft.Seeds); err != nil {
		t.Fatal(err)
	}
	arrays, err := npy.ReadNPZ(path)
	if err != nil {
		t.Fatal(err)
	}
	var whole []npy.Named
	for _, name := range slices.Sorted(maps.Keys(arrays)) {
		whole = append(whole, npy.Named{Name: name, Array: arrays[name]})
	}
	rapid.Check(t, func(t *rapid.T) {
		out := make([]npy.Named, len(whole))
		copy(out, whole)
		k := rapid.IntRange(0, len(out)-1).Draw(t, "array")
		a := &out[k]
		shape := append([]int{}, a.Shape...)
		switch kind := rapid.SampledFrom([]string{"longer", "flat", "deeper", "count"}).Draw(t, "kind"); {
		case kind == "longer" && len(shape) > 0:
			shape[rapid.IntRange(0, len(shape)-1).Draw(t, "axis")]++
		case kind == "flat" && len(shape) > 1:
			shape = []int{len(a.Data)}
		case kind == "deeper" && len(shape) > 1: // of a vector, the numbers alone are read
			shape = append(shape, 1)
		case kind == "count" && (a.Name == "width" || a.Name == "replicas" || a.Name == "kernel_step"):
			data := append([]float64{}, a.Data...)
			data[len(data)-1] = rapid.SampledFrom([]float64{-5, 0.5, 1e300}).Draw(t, "number")
			a.Data = data
		default:
			t.Skip()
		}
		n := 1
		for _, s := range shape {
			n *= s
		}
		if n != len(a.Data) {
			a.Data = make([]float64, n)
		}
		a.Shape = shape
		if err := npy.WriteNPZ(path, out); err != nil {
			t.Fatal(err)
		}
		got, err := ReadTrajectory(path)
		if err == nil {
			t.Fatalf("%s of shape %v is accepted: %+v", a.Name, shape, got)
		}
		if err != nil && (!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--force")) {
			t.Fatal(err)
		}
	})
	if err := small().WriteNPZ(path, dmft.Seeds); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTrajectory(path); err != nil {
		t.Error(err)
	}
}

// TestHostileManifest: a manifest does not lead out of its folder.
func TestHostileManifest(t *testing.T) {
	for _, text := range []string{
		`{`, `[]`, `{"schema_version": "x"}`, `{}`, `{"schema_version": 1, "points": [{"folder": "../../etc"}]}`,
		`{"schema_version": 1, "points": [{"folder": ""}]}`,
		`{"schema_version": 1, "points": [{"folder": "/etc"}]}`,
		`{"schema_version": 1, "results": {"../theory.npz": {}}}`, `{"schema_version": 1, "results": {"a/theory.npz": {}}}`,
		"\x00\x01", "",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, manifestName), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if m, err := ReadManifest(dir); err == nil || !strings.Contains(err.Error(), dir) ||
			!strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v %+v", text, err, m)
		}
	}
}

// FuzzFolder: a run folder with anything in the place of its files is an error or a folder, and no panic:
// manifest.json, run.json, failure.json, .owner, and a trajectory.
func FuzzFolder(f *testing.F) {
	dir := f.TempDir()
	folder, err := Open(dir, Claim{Name: "name", Hash: "h"})
	if err != nil {
		f.Fatal(err)
	}
	if err := small().WriteNPZ(folder.Path("theory.npz"), dmft.Seeds); err != nil {
		f.Fatal(err)
	}
	header, _ := os.ReadFile(folder.Path(runName))
	owner, _ := os.ReadFile(folder.Path(ownerName))
	if err := folder.Finish(Manifest{Kind: "solve", Name: "name", Results: map[string]Result{"theory.npz": {}},
		Points: []PointEntry{{Folder: "a=1", Values: map[string]string{"a": "1"}}}}); err != nil {
		f.Fatal(err)
	}
	folder.Close()
	manifest, _ := os.ReadFile(folder.Path(manifestName))
	npz, _ := os.ReadFile(folder.Path("theory.npz"))
	failure, _ := json.Marshal(Failure{Error: "no disk"})
	names := []string{manifestName, runName, ownerName, failureName, "theory.npz"}
	for i, b := range [][]byte{manifest, header, owner, failure, npz} {
		f.Add(uint8(i), b)
		f.Add(uint8(i), b[:len(b)/2])
		for _, at := range []int{0, len(b) / 3, len(b) - 5} {
			flipped := append([]byte{}, b...)
			flipped[at] ^= 0x10
			f.Add(uint8(i), flipped)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		dir := t.TempDir()
		name := names[int(which)%len(names)]
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
		Look(dir)
		if m, err := ReadManifest(dir); err == nil {
			for _, r := range m.Trajectories("theory", false) {
				if !plain(r) {
					t.Errorf("%q leads out of the folder", r)
				}
			}
		}
		if tr, err := ReadTrajectory(filepath.Join(dir, "theory.npz")); err == nil {
			if len(tr.Time) == 0 || len(tr.Loss) != len(tr.Time) || len(tr.F.Data)%len(tr.Time) != 0 {
				t.Errorf("%+v", tr)
			}
		}
		_, _ = ReadHighDimensional(filepath.Join(dir, "theory.npz"))
		_, _ = ReadFluctuations(filepath.Join(dir, "theory.npz"))
		if folder, err := Open(dir, Claim{Name: "name", Hash: "h"}); err == nil {
			folder.Close()
		}
	})
}
