// Package run keeps run folders. A folder is complete when manifest.json is in it; until then it holds run.json, which
// says what experiment it belongs to, and parts/, the finished pieces and checkpoints from which an interrupted run
// goes on. Every file appears whole or not at all, and manifest.json appears last, so a process killed at any instant
// leaves a folder that is either complete or resumable.
package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	// Moved is where the results of another experiment that the folder held are now, and Changed what is different; see
	// Aside.
	Moved   string
	Changed *ChangedError
	claim   Claim
	before  *header // what the folder held when it was opened, if that is to go
	lock    *os.File
	disown  func()
	started time.Time
}

// A Claim says what a process wants of a run folder.
type Claim struct {
	Name, Hash string // of the experiment
	// Keys are the experiment in words, kept so that a later claim can say what is different, and Points the folders in
	// it that have runs of their own.
	Keys   map[string]string
	Points []string
	Redo   bool // compute again what is complete
	Other  Other
}

// Other is what happens to the results of another experiment that a folder holds.
type Other int

// The choices. A folder that holds anything else than runs of this program is refused in all of them.
const (
	Refuse  Other = iota // with a *ChangedError
	Aside                // the folder gets another name, with a number at its end, and nothing is lost
	Replace              // they are removed
	// They are results of more or fewer points of the same product: folders in it are left as they are.
	Extend
)

// ChangedError is the error of a folder that holds results of another experiment.
type ChangedError struct {
	Dir    string
	Name   string            // of that experiment
	Before map[string]string // its keys, nil where the folder does not say
	After  map[string]string
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("run folder %s: it belongs to a different experiment, %s; choose another --out", e.Dir, e.Name)
}

// header is run.json.
type header struct {
	SchemaVersion int               `json:"schema_version"`
	Name          string            `json:"name"`
	Hash          string            `json:"hash"`
	Keys          map[string]string `json:"keys,omitempty"`
	Points        []string          `json:"points,omitempty"`
	// Files and folders of runs of what was here before, still to be removed.
	Remove []string `json:"remove,omitempty"`
}

// Open opens or makes the run folder of an experiment and locks it against other processes: the error of one that is
// locked is ErrLocked. A folder with other files in it is never touched.
func Open(dir string, c Claim) (*Folder, error) {
	f, err := open(dir, c)
	var changed *ChangedError
	if c.Other != Aside || !errors.As(err, &changed) {
		return f, err
	}
	moved, err := moveAside(dir)
	if err != nil {
		return nil, err
	}
	c.Other = Refuse
	if f, err = open(dir, c); err == nil {
		f.Moved, f.Changed = moved, changed
	}
	return f, err
}

func open(dir string, c Claim) (*Folder, error) {
	if err := MakeFolder(dir); err != nil {
		return nil, fmt.Errorf("run folder: %w", err)
	}
	f := &Folder{Dir: dir, claim: c, started: time.Now()}
	// Look before touching anything, and again when nobody else can change what is there. What another process is
	// making or finishing right now may look like anything, but it has a lock.
	if err := f.look(); err != nil {
		if _, none := os.Stat(filepath.Join(dir, lockName)); none != nil || !errors.Is(err, errForeign) {
			return nil, err
		}
	}
	var held bool
	var err error
	if f.lock, held, err = lock(filepath.Join(dir, lockName)); err != nil {
		return nil, fmt.Errorf("run folder %s: %w", dir, err)
	}
	// Another process has just moved the folder aside.
	if here, err := os.Stat(filepath.Join(dir, lockName)); err != nil || !sameFile(here, f.lock) {
		f.Close()
		return nil, fmt.Errorf("run folder %s: %w", dir, ErrLocked)
	}
	err = f.look()
	if err == nil && (!f.Complete || c.Redo || f.before != nil) {
		if f.disown, err = own(dir, held); err != nil {
			err = fmt.Errorf("run folder %s: %w", dir, err)
		}
	}
	if err == nil {
		if err = f.prepare(); err != nil {
			err = fmt.Errorf("run folder %s: %w", dir, err)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func sameFile(a os.FileInfo, f *os.File) bool {
	b, err := f.Stat()
	return err == nil && os.SameFile(a, b)
}

// moveAside gives a folder in which nobody works the first name with a number that is free.
func moveAside(dir string) (string, error) {
	l, held, err := lock(filepath.Join(dir, lockName))
	if err != nil {
		return "", fmt.Errorf("run folder %s: %w", dir, err)
	}
	defer l.Close()
	disown, err := own(dir, held)
	if err != nil {
		return "", fmt.Errorf("run folder %s: %w", dir, err)
	}
	disown()
	for n := 1; ; n++ {
		to := fmt.Sprintf("%s.%d", filepath.Clean(dir), n)
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(dir, to); err != nil {
			return "", fmt.Errorf("run folder %s: it holds results of another experiment, which cannot be moved "+
				"aside: %w; choose another --out", dir, err)
		}
		return to, nil
	}
}

var errForeign = errors.New("is not a run folder")

// look reads what the folder is.
func (f *Folder) look() error {
	dir, c := f.Dir, f.claim
	f.Complete, f.Resumed, f.before = false, false, nil
	var head header
	switch m, err := ReadManifest(dir); {
	case err == nil:
		head = header{SchemaVersion: m.SchemaVersion, Name: m.Name, Hash: m.Hash, Keys: m.Keys}
		for _, p := range m.Points {
			head.Points = append(head.Points, p.Folder)
		}
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
			head = f.header()
		default:
			return fmt.Errorf("run folder: %w", err)
		}
	default:
		return err
	}
	other := head.Hash != c.Hash
	switch {
	case other && (c.Other == Refuse || c.Other == Aside):
		return &ChangedError{dir, head.Name, head.Keys, c.Keys}
	case other && c.Other == Extend:
		head.Points = nil // they stay
		f.before = &head
	case other, c.Redo, len(head.Remove) > 0:
		f.before = &head
	case head.SchemaVersion != SchemaVersion:
		return fmt.Errorf("run folder %s: it was made by a version of the program with layout %d, this one has %d; "+
			"choose another --out", dir, head.SchemaVersion, SchemaVersion)
	}
	return nil
}

// prepare clears leftovers and writes run.json.
func (f *Folder) prepare() error {
	if f.before != nil && (f.Complete || f.Resumed) {
		if err := f.clear(); err != nil {
			return err
		}
	}
	for _, dir := range []string{f.Dir, filepath.Join(f.Dir, partsName)} {
		stale, _ := Names(dir, npy.TempPrefix)
		for _, s := range stale {
			os.Remove(filepath.Join(dir, s))
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
	if err := f.writeHeader(f.header()); err != nil {
		return err
	}
	return MakeFolder(filepath.Join(f.Dir, partsName))
}

// clear removes what the folder held before. Killed at any instant, the folder is an unfinished run whose run.json says
// what is still to go, parts that must not be taken for those of the new run among it.
func (f *Folder) clear() error {
	head := f.header()
	head.Remove = f.before.Remove
	if f.before.Hash != f.claim.Hash || f.claim.Redo { // else an earlier process was killed at this
		list, err := f.results()
		if err != nil {
			return err
		}
		head.Remove = append(append(head.Remove, partsName), list...)
		if f.before.Hash != f.claim.Hash { // points of the same product are done again one by one
			head.Remove = append(head.Remove, f.before.Points...)
		}
	}
	// The manifest goes after that: from here on the folder is an unfinished run.
	if err := f.writeHeader(head); err != nil {
		return err
	}
	if err := remove(filepath.Join(f.Dir, manifestName)); err != nil {
		return err
	}
	for _, name := range head.Remove {
		if err := removeRun(f.Dir, name); err != nil {
			return err
		}
	}
	os.Remove(filepath.Join(f.Dir, figuresName)) // when nothing else is in it
	f.Complete, f.Resumed = false, false
	return nil
}

const figuresName = "figures"

// results are the files of the folder that the program has written there as results.
func (f *Folder) results() (names []string, err error) {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if n := e.Name(); e.Type().IsRegular() && isResult(n) {
			names = append(names, n)
		}
	}
	m, err := ReadManifest(f.Dir)
	if err != nil {
		return names, nil // figures are drawn when all is computed
	}
	for _, x := range m.Files {
		if filepath.Dir(filepath.FromSlash(x.Name)) == figuresName &&
			slices.Contains([]string{".png", ".svg", ".pdf"}, filepath.Ext(x.Name)) {
			names = append(names, x.Name)
		}
	}
	return names, nil
}

// isResult says whether a name is one that the program gives to files of results.
func isResult(name string) bool {
	base, isArray := strings.CutSuffix(name, ".npz")
	for _, prefix := range []string{"theory-", "simulation-", "linearised-"} {
		if isArray && strings.HasPrefix(base, prefix) {
			return true
		}
	}
	return slices.Contains([]string{"data.npz", "theory.npz", FluctuationsName, "transfer.json", "transfer.npz",
		"transfer.csv"}, name)
}

// removeRun removes a file of a run folder, its parts, or of a run in it all that the program has put there, and the
// folder when nothing else is in it.
func removeRun(dir, name string) error {
	if name = filepath.FromSlash(name); !filepath.IsLocal(name) {
		return fmt.Errorf("%s names %s, which is not in the folder; delete it", runName, name)
	}
	path := filepath.Join(dir, name)
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case name == partsName:
		return os.RemoveAll(path)
	case !st.IsDir():
		return remove(path)
	}
	f := &Folder{Dir: path}
	list, err := f.results()
	if err != nil {
		return err
	}
	// The manifest, which holds the list, goes last.
	for _, n := range append(list, partsName, runName, failureName, lockName, ownerName, manifestName) {
		if err := removeRun(path, n); err != nil {
			return err
		}
	}
	os.Remove(filepath.Join(path, figuresName))
	os.Remove(path)
	return nil
}

func (f *Folder) header() header {
	return header{SchemaVersion: SchemaVersion, Name: f.claim.Name, Hash: f.claim.Hash, Keys: f.claim.Keys,
		Points: f.claim.Points}
}

// Peek is the hash of the experiment whose results, finished or not, a folder holds; "" when it holds none.
func Peek(dir string) string {
	if m, err := ReadManifest(dir); err == nil {
		return m.Hash
	}
	var head header
	if b, err := os.ReadFile(filepath.Join(dir, runName)); err == nil && json.Unmarshal(b, &head) == nil {
		return head.Hash
	}
	return ""
}

func (f *Folder) writeHeader(head header) error {
	return writeJSON(filepath.Join(f.Dir, runName), head)
}

// Names are the names in a folder that begin with a prefix, sorted; none where there is no folder. The name of the
// folder is a name and no pattern.
func Names(dir, prefix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			out = append(out, e.Name())
		}
	}
	return out, nil
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

var _ dmft.Store = (*Folder)(nil)

// Path is the path of a file in the folder.
func (f *Folder) Path(name string) string { return filepath.Join(f.Dir, name) }
