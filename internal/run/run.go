// Package run keeps run folders. A folder is complete when manifest.json is in it; until then it holds run.json, which says what experiment
// it belongs to, and parts/, the finished pieces and checkpoints from which an interrupted run goes on. Every file
// appears whole or not at all, and manifest.json appears last, so a process killed at any instant leaves a folder that is either
// complete or resumable.
package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/npy"
)

// SchemaVersion is the version of the layout of run folders. Folders of another version are not resumed.
const SchemaVersion = 1

const (
	manifestName = "manifest.json"
	runName      = "run.json"
	partsName    = "parts"
	lockName     = ".lock"
	failureName  = "failure.json"
)

// Folder is an open run folder. It implements dmft.Store.
type Folder struct {
	Dir      string
	Complete bool // manifest.json is there: nothing is left to do
	Resumed  bool // parts of an earlier, interrupted run are there
	hash     string
	lock     *os.File
	disown   func()
	started  time.Time
}

// header is run.json.
type header struct {
	SchemaVersion int    `json:"schema_version"`
	Name          string `json:"name"`
	Hash          string `json:"hash"`
}

// Open opens or makes the run folder of an experiment identified by hash, and locks it against other processes: the error of one that is locked is
// ErrLocked. redo removes the results of the same experiment first; a folder of another experiment, or with other files in it, is never touched.
func Open(dir, name, hash string, redo bool) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	f := &Folder{Dir: dir, hash: hash, started: time.Now()}
	// Look before touching anything, and again when nobody else can change what is there. What another process is making or finishing right now may look like anything,
	// but it has a lock.
	if err := f.look(name); err != nil {
		if _, none := os.Stat(filepath.Join(dir, lockName)); none != nil || !errors.Is(err, errForeign) {
			return nil, err
		}
	}
	var held bool
	var err error
	if f.lock, held, err = lock(filepath.Join(dir, lockName)); err != nil {
		return nil, fmt.Errorf("run folder %s: %w", dir, err)
	}
	err = f.look(name)
	if err == nil && (!f.Complete || redo) {
		if f.disown, err = own(dir, held); err != nil {
			err = fmt.Errorf("run folder %s: %w", dir, err)
		}
	}
	if err == nil {
		if err = f.prepare(name, redo); err != nil {
			err = fmt.Errorf("run folder %s: %w", dir, err)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

var errForeign = errors.New("is not a run folder")

// look reads what the folder is.
func (f *Folder) look(name string) error {
	dir := f.Dir
	f.Complete, f.Resumed = false, false
	var head header
	switch m, err := ReadManifest(dir); {
	case err == nil:
		head = header{m.SchemaVersion, m.Name, m.Hash}
		f.Complete = true
	case errors.Is(err, os.ErrNotExist):
		b, err := os.ReadFile(filepath.Join(dir, runName))
		switch {
		case err == nil:
			if err := json.Unmarshal(b, &head); err != nil {
				return fmt.Errorf("run folder %s: %s is damaged: %w; choose another --out or delete the folder", dir, runName, err)
			}
			f.Resumed = true
		case errors.Is(err, os.ErrNotExist):
			entries, err := os.ReadDir(dir)
			if err != nil {
				return fmt.Errorf("run folder: %w", err)
			}
			for _, e := range entries {
				if n := e.Name(); n != lockName && n != ownerName && n != failureName && !strings.HasPrefix(n, npy.TempPrefix) {
					return fmt.Errorf("run folder %s: it holds %s and %w; choose another --out", dir, n, errForeign)
				}
			}
			head = header{SchemaVersion, name, f.hash}
		default:
			return fmt.Errorf("run folder: %w", err)
		}
	default:
		return err
	}
	if head.Hash != f.hash {
		return fmt.Errorf("run folder %s: it belongs to a different experiment (%s, %s; this one is %s, %s); choose another --out", dir, head.Name, head.Hash, name, f.hash)
	}
	if head.SchemaVersion != SchemaVersion {
		return fmt.Errorf("run folder %s: it was made by a version of the program with layout %d, this one has %d; choose another --out", dir, head.SchemaVersion, SchemaVersion)
	}
	return nil
}

// prepare clears leftovers and writes run.json.
func (f *Folder) prepare(name string, redo bool) error {
	if redo && (f.Complete || f.Resumed) {
		// The manifest goes first: from here on the folder is an unfinished run.
		if err := f.writeHeader(name); err != nil {
			return err
		}
		if err := remove(filepath.Join(f.Dir, manifestName)); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(f.Dir, partsName)); err != nil {
			return err
		}
		f.Complete, f.Resumed = false, false
	}
	for _, dir := range []string{f.Dir, filepath.Join(f.Dir, partsName)} {
		stale, _ := filepath.Glob(filepath.Join(dir, npy.TempPrefix+"*"))
		for _, s := range stale {
			os.Remove(s)
		}
	}
	if f.Complete {
		// A crash between the manifest and the clean-up leaves these.
		os.Remove(filepath.Join(f.Dir, runName))
		return os.RemoveAll(filepath.Join(f.Dir, partsName))
	}
	if err := remove(filepath.Join(f.Dir, failureName)); err != nil {
		return err
	}
	// run.json first: killed in between, a folder with anything else in it would not be known as a run folder again.
	if err := f.writeHeader(name); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(f.Dir, partsName), 0o755)
}

func (f *Folder) writeHeader(name string) error {
	return writeJSON(filepath.Join(f.Dir, runName), header{SchemaVersion, name, f.hash})
}

// writeJSON writes a file, all of it or nothing.
func writeJSON(path string, v any) error {
	return npy.Replace(path, func(w io.Writer) error { return jsonx.Write(w, v) })
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Close unlocks the folder.
func (f *Folder) Close() error {
	if f.disown != nil {
		f.disown()
		f.disown = nil
	}
	if f.lock == nil {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// Save keeps a part, followed by its checksum. It implements dmft.Store.
func (f *Folder) Save(name string, write func(io.Writer) error) error {
	err := npy.Replace(filepath.Join(f.Dir, partsName, name), func(w io.Writer) error {
		sum := crc64.New(crcTable)
		if err := write(io.MultiWriter(w, sum)); err != nil {
			return err
		}
		_, err := w.Write(binary.LittleEndian.AppendUint64(nil, sum.Sum64()))
		return err
	})
	if err != nil {
		return fmt.Errorf("run folder: part %s: %w", name, err)
	}
	if !strings.HasSuffix(name, ".checkpoint") { // a finished part replaces its checkpoint
		return remove(filepath.Join(f.Dir, partsName, name+".checkpoint"))
	}
	return nil
}

// Load returns a part. A damaged one counts as absent: it is computed again.
func (f *Folder) Load(name string) ([]byte, bool, error) {
	b, err := os.ReadFile(filepath.Join(f.Dir, partsName, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("run folder: part %s: %w", name, err)
	}
	n := len(b) - 8
	if n < 0 || binary.LittleEndian.Uint64(b[n:]) != crc64.Checksum(b[:n], crcTable) {
		return nil, false, nil
	}
	return b[:n], true, nil
}

var _ dmft.Store = (*Folder)(nil)

// Path is the path of a file in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }

// Manifest is manifest.json: what was run, by what, how long it took and what came out.
type Manifest struct {
	SchemaVersion int               `json:"schema_version"`
	Name          string            `json:"name"`
	Hash          string            `json:"hash"` // of the experiment with defaults filled in
	Program       Program           `json:"program"`
	Command       []string          `json:"command"`
	Experiment    any               `json:"experiment"`
	YAML          string            `json:"experiment_yaml"`
	Host          Host              `json:"host"`
	Products      string            `json:"matrix_products"` // their implementation; another one differs by rounding
	Started       time.Time         `json:"started"`
	WallSeconds   float64           `json:"wall_seconds"` // of this process; parts of an interrupted one come free
	PeakMemory    int64             `json:"peak_memory_bytes"`
	Seeds         map[string]uint64 `json:"seeds"`
	Results       map[string]Result `json:"results"` // by file
	Files         []File            `json:"files"`
	Comparison    any               `json:"comparison,omitempty"`
	Points        []PointEntry      `json:"points,omitempty"`  // of a folder of several runs
	Summary       json.RawMessage   `json:"summary,omitempty"` // of every trajectory: losses, times, kernels
}

// PointEntry is one run of a folder of several.
type PointEntry struct {
	Folder string            `json:"folder"`
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

// ReadManifest reads the manifest of a complete folder.
func ReadManifest(dir string) (*Manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("run folder %s: %s is damaged: %w", dir, manifestName, err)
	}
	return m, nil
}

// Finish completes the folder: it fills in what the folder knows (program, host, times, files), writes the manifest and removes what only
// an unfinished run needs.
func (f *Folder) Finish(m Manifest) error {
	m.SchemaVersion, m.Hash = SchemaVersion, f.hash
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

// files lists the result files with their checksums.
func (f *Folder) files() ([]File, error) {
	var out []File
	err := filepath.WalkDir(f.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(f.Dir, path)
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
		if rel == manifestName || rel == runName || rel == lockName || rel == ownerName || rel == failureName || strings.HasPrefix(d.Name(), npy.TempPrefix) {
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
		out = append(out, File{filepath.ToSlash(rel), n, hex.EncodeToString(h.Sum(nil))})
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
