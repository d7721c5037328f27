package run

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// Manifest is manifest.json: what was run, by what, how long it took and what came out.
type Manifest struct {
	SchemaVersion int `json:"schema_version"`
	// the command: solve, simulate, compare, quickstart, grok, converge, transfer
	Kind       string   `json:"kind"`
	Name       string   `json:"name"`
	Hash       string   `json:"hash"` // of the experiment with defaults filled in
	Program    Program  `json:"program"`
	Command    []string `json:"command"`
	Experiment any      `json:"experiment"`
	YAML       string   `json:"experiment_yaml"`
	// every key of the experiment as text, with lists for the points of a product
	Keys        map[string]string `json:"keys,omitempty"`
	Host        Host              `json:"host"`
	Products    string            `json:"matrix_products"` // their implementation; another one differs by rounding
	Started     time.Time         `json:"started"`
	WallSeconds float64           `json:"wall_seconds"` // of this process; parts of an interrupted one come free
	PeakMemory  int64             `json:"peak_memory_bytes"`
	Seeds       map[string]uint64 `json:"seeds"`
	Results     map[string]Result `json:"results"`              // by file
	DataNotes   []string          `json:"data_notes,omitempty"` // what was skipped or changed in data files
	Files       []File            `json:"files"`
	// file of the points, from the folder, with slashes; runs of several share one
	Data       string          `json:"data,omitempty"`
	Comparison any             `json:"comparison,omitempty"`
	Swept      []string        `json:"swept,omitempty"`   // swept, in the order of the experiment file
	Points     []PointEntry    `json:"points,omitempty"`  // of a folder of several runs
	Summary    json.RawMessage `json:"summary,omitempty"` // of every trajectory: losses, times, kernels
}

// PointEntry is one run of a folder of several.
type PointEntry struct {
	Folder string            `json:"folder"`
	Label  string            `json:"label,omitempty"`
	Values map[string]string `json:"values"`
}

// Program identifies the program.
type Program struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
}

// Host is the machine, as far as it matters for speed.
type Host struct {
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	CPUs       int    `json:"cpus"`
	GOMAXPROCS int    `json:"gomaxprocs"`
	Go         string `json:"go"`
}

// Result says how one trajectory was computed.
type Result struct {
	Status      dmft.Status      `json:"status"`
	Width       int              `json:"width,omitempty"`
	Replicas    int              `json:"replicas"`
	Seconds     float64          `json:"seconds"`
	Diagnostics dmft.Diagnostics `json:"diagnostics"`
}

// File is a result file.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// ReadManifest reads the manifest of a complete folder. A damaged one is an error that says what to do.
func ReadManifest(dir string) (*Manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err = json.Unmarshal(b, m); err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, fmt.Errorf("run folder %s: %s is damaged: %w; run the experiment again with --out of another "+
			"folder, or delete this one first", dir, manifestName, err)
	}
	if m.Kind == "" {
		m.Kind = m.command(dir)
	}
	return m, nil
}

// check refuses what no program of this name has written, as far as it would be acted on: paths that lead out of the
// folder.
func (m *Manifest) check() error {
	if m.SchemaVersion == 0 {
		return errors.New("it holds no schema_version")
	}
	for name := range m.Results {
		if !plain(name) {
			return fmt.Errorf("%q is no name of a result", name)
		}
	}
	for _, p := range m.Points {
		if !plain(p.Folder) {
			return fmt.Errorf("%q is no name of a folder", p.Folder)
		}
	}
	return nil
}

// plain says whether a name is that of something in a folder itself.
func plain(name string) bool {
	return filepath.IsLocal(name) && name != "." && filepath.Base(name) == name
}

// command is the kind of a folder made before manifests said it.
func (m *Manifest) command(dir string) string {
	if strings.HasPrefix(m.Hash, "converge-") {
		return "converge"
	}
	if _, err := os.Stat(filepath.Join(dir, "transfer.json")); err == nil {
		return "transfer"
	}
	for _, a := range m.Command[min(len(m.Command), 1):] {
		if !strings.HasPrefix(a, "-") { // the command, before its flags and arguments
			return a
		}
	}
	return ""
}

// Trajectories are the result files whose names begin with a prefix and go on with .npz or, if number is set, with a
// number and .npz; sorted, by number or by name. They are read from what the manifest says and not from the folder, so
// that a file that is lost is noticed, and one that is left over from another run is not taken for a result.
func (m *Manifest) Trajectories(prefix string, number bool) []string {
	type file struct {
		name string
		n    int
	}
	var files []file
	for name := range m.Results {
		rest, ok := strings.CutPrefix(name, prefix)
		if rest, is := strings.CutSuffix(rest, ".npz"); ok && is {
			n, err := strconv.Atoi(rest)
			if !number || err == nil {
				files = append(files, file{name, n})
			}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(cmp.Compare(a.n, b.n), strings.Compare(a.name, b.name)) })
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = f.name
	}
	return out
}

// Finish completes the folder: it fills in what the folder knows (program, host, times, files), writes the manifest and
// removes what only an unfinished run needs.
func (f *Folder) Finish(m Manifest) error {
	m.SchemaVersion, m.Hash, m.Keys = SchemaVersion, f.claim.Hash, f.claim.Keys
	m.Program = ThisProgram()
	m.Host = Host{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.Version()}
	m.Started, m.WallSeconds, m.PeakMemory = f.started.UTC(), time.Since(f.started).Seconds(), peakMemory()
	files, err := f.files()
	if err != nil {
		return fmt.Errorf("run folder %s: %w", f.Dir, err)
	}
	m.Files = files
	b, err := jsonx.MarshalIndent(m)
	if err != nil {
		return fmt.Errorf("run folder %s: manifest: %w", f.Dir, err)
	}
	if err := npy.Replace(filepath.Join(f.Dir, manifestName), func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(append(b, '\n')))
		return err
	}); err != nil {
		return fmt.Errorf("run folder %s: %w", f.Dir, err)
	}
	f.Complete = true
	if err := os.RemoveAll(filepath.Join(f.Dir, partsName)); err != nil {
		return err
	}
	return remove(filepath.Join(f.Dir, runName))
}

// files lists the result files with their checksums. The folder may be a symbolic link, which filepath.WalkDir would
// not follow; what is in it and is no file, such as a link to another folder or a pipe, has no checksum.
func (f *Folder) files() ([]File, error) {
	var out []File
	err := fs.WalkDir(os.DirFS(f.Dir), ".", func(rel string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := filepath.Join(f.Dir, filepath.FromSlash(rel))
		if d.IsDir() {
			if rel == partsName {
				return filepath.SkipDir
			}
			if rel != "." { // a run of its own
				if _, err := os.Stat(filepath.Join(path, manifestName)); err == nil {
					return filepath.SkipDir
				}
			}
			return nil
		}
		if rel == manifestName || rel == runName || rel == lockName || rel == ownerName || rel == failureName ||
			strings.HasPrefix(d.Name(), npy.TempPrefix) {
			return nil
		}
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			return nil
		}
		r, err := os.Open(path)
		if err != nil {
			return err
		}
		defer r.Close()
		h := sha256.New()
		n, err := io.Copy(h, r)
		if err != nil {
			return err
		}
		out = append(out, File{rel, n, hex.EncodeToString(h.Sum(nil))})
		return nil
	})
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return out, err
}

// ThisProgram is the running program.
func ThisProgram() Program {
	p := Program{Name: "dmft", Version: "devel"}
	if b, ok := debug.ReadBuildInfo(); ok {
		if v := b.Main.Version; v != "" && v != "(devel)" {
			p.Version = v
		}
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				p.Commit = s.Value
			}
		}
	}
	return p
}
