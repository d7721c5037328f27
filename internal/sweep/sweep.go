// Package sweep keeps sweep folders. A sweep is the product of an experiment file; its folder holds
//
//	sweep.json               the index: what is run, the swept keys, and folder and values of every point
//	sweep.yaml               the experiment file
//	points/<hash>/           one run folder per point, named after what it computes
//	points/data/<hash>.npz   the points of data, once for all runs that share them
//	summary.csv, summary.npz the results in numbers, and figures/
//	slurm/<n>/               scripts, logs and job numbers of what was submitted to SLURM
//
// Paths in these files count from the sweep folder, which may be moved, with what it needs of other folders beside it.
//
// The store of points may be elsewhere and shared: two sweeps that contain the same point of the same data find each
// other's results, since the name of a run folder is the hash of everything that its results depend on. How far a sweep
// is, is read from the run folders alone, so that nothing needs to be kept up to date by processes that may be killed.
//
//	s, err := sweep.Open(dir)
//	for i := range s.Points { state, failure := run.Look(s.Folder(i)) … }
//	rows, err := s.Rows()
package sweep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/seed39b58f2d/dmft/internal/executor"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/internal/run"
)

// SchemaVersion is the version of the layout of sweep folders.
const SchemaVersion = 1

const (
	indexName = "sweep.json"
	fileName  = "sweep.yaml"
	// Points is the store of a sweep that names no other, in its folder.
	Points = "points"
	// Data is the folder, in a store or beside the points of a product, of the points of data that runs are about, once
	// for all that share them.
	Data = "data"
)

// Hash identifies what a run folder holds: the kind of run (solve, simulate, compare), the experiment and the hash of
// its data (experiment.DataHash), which is empty for high-dimensional data.
func Hash(kind string, e experiment.Experiment, data string) string {
	h := kind + "-" + e.Hash()
	if data != "" {
		h += "-" + data
	}
	return h
}

// Key is the name in a store of the run folder with a hash.
func Key(hash string) string { return experiment.HashOf([]string{hash}) }

// Index is sweep.json.
type Index struct {
	SchemaVersion int     `json:"schema_version"`
	Name          string  `json:"name"`
	Mode          string  `json:"mode"`  // solve, simulate or compare
	File          string  `json:"file"`  // name of the experiment file
	Base          string  `json:"base"`  // folder that file names in it count from, itself from the sweep folder
	Store         string  `json:"store"` // from the sweep folder
	Keys          []Axis  `json:"keys"`  // swept, the last one fastest
	Points        []Entry `json:"points"`
}

// Axis is a swept key and its values.
type Axis struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// Entry is a point of the product.
type Entry struct {
	Folder string            `json:"folder"` // name in the store
	Label  string            `json:"label"`
	Values map[string]string `json:"values"`
}

// Sweep is an open sweep folder.
type Sweep struct {
	Dir string
	Index
	Experiments []experiment.Point // in the order of Points
}

// Is says whether a folder is a sweep folder.
func Is(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, indexName))
	return err == nil
}

// Open opens a sweep folder.
func Open(dir string) (*Sweep, error) {
	s := &Sweep{Dir: dir}
	b, err := os.ReadFile(filepath.Join(dir, indexName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no %s: it is not a sweep folder", dir, indexName)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &s.Index); err != nil {
		return nil, fmt.Errorf("sweep folder %s: %s is damaged: %w; give dmft sweep the experiment file again", dir,
			indexName, err)
	}
	if s.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf(
			"sweep folder %s: it was made by a version of the program with layout %d, this one has %d", dir,
			s.SchemaVersion, SchemaVersion)
	}
	src, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		return nil, fmt.Errorf("sweep folder %s: %w; give dmft sweep the experiment file again", dir, err)
	}
	f, err := experiment.Parse(s.File, src)
	if err != nil {
		return nil, fmt.Errorf("sweep folder %s: %w", dir, err)
	}
	s.Experiments = f.Points()
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("sweep folder %s: %w; give dmft sweep the experiment file again", dir, err)
	}
	return s, nil
}

// check says what in the index does not fit the experiment file beside it, or would lead out of the folders of the
// sweep. What follows from the experiment file is taken from there.
func (s *Sweep) check() error {
	if len(s.Experiments) != len(s.Points) {
		return fmt.Errorf("%s has %d points and %s %d", fileName, len(s.Experiments), indexName, len(s.Points))
	}
	for i, p := range s.Points {
		if x := s.Experiments[i]; p.Label != x.Label {
			return fmt.Errorf("point %d is %q in %s and %q in %s", i, x.Label, fileName, p.Label, indexName)
		}
		if !isKey(p.Folder) {
			return fmt.Errorf("%s is damaged: %q is no name of a run folder", indexName, p.Folder)
		}
		s.Points[i].Values = s.Experiments[i].Map()
	}
	s.Keys = axes(s.Experiments)
	return nil
}

// isKey says whether a name is one that Key makes.
func isKey(name string) bool {
	return name != "" && strings.Trim(name, "0123456789abcdef") == ""
}

// axes are the swept keys of points and their values.
func axes(points []experiment.Point) (keys []Axis) {
	for _, p := range points {
		for k, v := range p.Values {
			if k == len(keys) {
				keys = append(keys, Axis{Key: v.Key})
			}
			if !slices.Contains(keys[k].Values, v.Value) {
				keys[k].Values = append(keys[k].Values, v.Value)
			}
		}
	}
	return keys
}

// New makes the index of a sweep for a folder, new or with a sweep of the same mode in it, whose points are kept in the
// store. hash gives the hash of the run folder of a point. A folder with other files is refused. Nothing is written
// before Save.
func New(dir string, ix Index, points []experiment.Point, hash func(experiment.Experiment) (string, error)) (*Sweep,
	error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("sweep folder: %w", err)
	}
	if Is(dir) {
		if old, err := Open(dir); err == nil {
			if old.Mode != ix.Mode {
				return nil, fmt.Errorf(
					"sweep folder %s: it is a sweep of %s, and this is one of %s; choose another --out", dir, old.Mode, ix.Mode)
			}
			if ix.Store == "" {
				ix.Store = old.Store
			}
		}
		entries = nil
	}
	for _, e := range entries {
		if e.Name() == Points && e.IsDir() { // what a process leaves that was killed in Save, or is in it
			if inside, err := os.ReadDir(filepath.Join(dir, Points)); err == nil && len(inside) == 0 {
				continue
			}
		}
		if n := e.Name(); n != fileName && !strings.HasPrefix(n, npy.TempPrefix) {
			return nil, fmt.Errorf("sweep folder %s: it holds %s and is not a sweep folder; choose another --out", dir, n)
		}
	}
	ix.SchemaVersion, ix.Name, ix.Keys, ix.Points = SchemaVersion, points[0].Experiment.Name, axes(points), nil
	if ix.Store == "" {
		ix.Store = Points
	}
	for _, p := range points {
		h, err := hash(p.Experiment)
		if err != nil {
			return nil, err
		}
		ix.Points = append(ix.Points, Entry{Key(h), p.Label, p.Map()})
	}
	return &Sweep{dir, ix, points}, nil
}

// Save writes the index and the experiment file that it was made of.
func (s *Sweep) Save(source []byte) error {
	err := run.MakeFolder(s.Dir)
	if err == nil { // both may be given as absolute paths, which are kept as seen from here
		s.Base, s.Store = s.relative(s.Base), s.relative(s.Store)
		err = run.MakeFolder(s.store())
	}
	// The file first: killed in between, a new folder is one without an index, which is made again.
	if err == nil {
		err = npy.Replace(filepath.Join(s.Dir, fileName), func(w io.Writer) error { _, err := w.Write(source); return err })
	}
	if err == nil {
		err = replaceJSON(filepath.Join(s.Dir, indexName), s.Index)
	}
	if err != nil {
		return fmt.Errorf("sweep folder: %w", err)
	}
	return nil
}

func replaceJSON(path string, v any) error {
	return npy.Replace(path, func(w io.Writer) error { return jsonx.Write(w, v) })
}

// relative is a path as seen from the sweep folder, where there is a way; a relative one is that already.
func (s *Sweep) relative(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	rel, err := filepath.Rel(physical(s.Dir), physical(path))
	if err != nil { // on another volume
		return path
	}
	return filepath.ToSlash(rel)
}

// absolute is the path of what is seen from the sweep folder.
func (s *Sweep) absolute(path string) string {
	if path = filepath.FromSlash(path); filepath.IsAbs(path) {
		return path
	}
	if filepath.IsLocal(path) { // as short as it was given
		return filepath.Join(s.Dir, path)
	}
	return filepath.Join(physical(s.Dir), path)
}

// physical is an absolute path without symbolic links as far as there is something: the way up from behind one leads
// elsewhere.
func physical(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	if up := filepath.Dir(abs); up != abs {
		return filepath.Join(physical(up), filepath.Base(abs))
	}
	return abs
}

func (s *Sweep) store() string { return s.absolute(s.Store) }

// BaseDir is the folder that file names in the experiment file count from.
func (s *Sweep) BaseDir() string { return s.absolute(s.Base) }

// DataDir is where the points of data are kept.
func (s *Sweep) DataDir() string { return filepath.Join(s.store(), Data) }

// Folder is the run folder of a point.
func (s *Sweep) Folder(i int) string { return filepath.Join(s.store(), s.Points[i].Folder) }

// identity identifies the points and their order.
func (s *Sweep) identity() string {
	var all []string
	for _, p := range s.Points {
		all = append(all, p.Folder)
	}
	return experiment.HashOf(all)
}

// Todo are the points that are not complete, in order, each folder once. Points that have failed are left out unless
// retry.
func (s *Sweep) Todo(retry bool) []int {
	var todo []int
	seen := map[string]bool{}
	for i, p := range s.Points {
		if seen[p.Folder] {
			continue
		}
		seen[p.Folder] = true
		state, _ := run.Look(s.Folder(i))
		if state != run.Complete && (state != run.Failed || retry) {
			todo = append(todo, i)
		}
	}
	return todo
}

// Submission is what was submitted to SLURM at one time.
type Submission struct {
	Dir     string        `json:"-"`
	Sweep   string        `json:"sweep"` // identity of the points
	Command []string      `json:"command"`
	Tasks   [][]int       `json:"tasks"` // points of each
	Jobs    executor.Jobs `json:"jobs"`
}

const submissionName = "submission.json"

// Deal makes n or fewer tasks of points, which differ little in what they cost where the cost changes along a key.
func Deal(points []int, n int) [][]int {
	tasks := make([][]int, min(n, len(points)))
	for k, p := range points {
		tasks[k%len(tasks)] = append(tasks[k%len(tasks)], p)
	}
	return tasks
}

// NewSubmission makes the folder of a submission.
func (s *Sweep) NewSubmission(command []string, tasks [][]int) (*Submission, error) {
	for n := 1; ; n++ {
		dir := filepath.Join(s.Dir, "slurm", strconv.Itoa(n))
		if err := run.MakeFolder(filepath.Dir(dir)); err != nil {
			return nil, err
		}
		switch err := os.Mkdir(dir, 0o777); {
		case errors.Is(err, fs.ErrExist):
			continue
		case err != nil:
			return nil, err
		}
		sub := &Submission{Dir: dir, Sweep: s.identity(), Command: command, Tasks: tasks}
		return sub, sub.Save()
	}
}

// Save writes the submission.
func (s *Submission) Save() error { return replaceJSON(filepath.Join(s.Dir, submissionName), s) }

// Submissions reads all that was submitted, the first one first.
func (s *Sweep) Submissions() ([]*Submission, error) {
	var out []*Submission
	for n := 1; ; n++ {
		dir := filepath.Join(s.Dir, "slurm", strconv.Itoa(n))
		if _, err := os.Stat(dir); err != nil {
			return out, nil
		}
		b, err := os.ReadFile(filepath.Join(dir, submissionName))
		if errors.Is(err, fs.ErrNotExist) {
			continue // killed before it was written
		}
		if err != nil {
			return out, err
		}
		sub := &Submission{Dir: dir}
		if err := json.Unmarshal(b, sub); err != nil {
			return out, fmt.Errorf("%s is damaged: %w", filepath.Join(dir, submissionName), err)
		}
		if err := s.fits(sub); err != nil {
			return out, fmt.Errorf("%s is damaged: %w; remove its folder when none of its jobs is at work",
				filepath.Join(dir, submissionName), err)
		}
		out = append(out, sub)
	}
}

// fits says what of a submission cannot be, as far as it would be acted on.
func (s *Sweep) fits(sub *Submission) error {
	if !sub.Jobs.Valid() {
		return fmt.Errorf("%+v are no jobs", sub.Jobs)
	}
	for _, points := range sub.Tasks {
		for _, i := range points {
			if i < 0 || i >= len(s.Points) && sub.Fits(s) {
				return fmt.Errorf("there is no point %d", i)
			}
		}
	}
	return nil
}

// Fits says whether a submission is of the points that the sweep has now.
func (s *Submission) Fits(w *Sweep) bool { return s.Sweep == w.identity() }
