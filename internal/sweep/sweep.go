// Package sweep keeps sweep folders. A sweep is the product of an experiment file; its folder holds
//
//	sweep.json               the index: what is run, the swept keys, and folder and values of every point
//	sweep.yaml               the experiment file
//	points/<hash>/           one run folder per point, named after what it computes
//	summary.csv, summary.npz the results in numbers, and figures/
//	slurm/<n>/               scripts, logs and job numbers of what was submitted to SLURM
//
// The store of points may be elsewhere and shared: two sweeps that contain the same point of the same data find each other's results, since the name of a
// run folder is the hash of everything that its results depend on. How far a sweep is, is read from the run folders alone, so that nothing
// needs to be kept up to date by processes that may be killed.
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
)

// Hash identifies what a run folder holds: the kind of run (solve, simulate, compare), the experiment and the hash of its data (experiment.DataHash), which is
// empty for high-dimensional data.
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
	Base          string  `json:"base"`  // folder that file names in it count from
	Store         string  `json:"store"` // relative to the sweep folder, or absolute
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
	Folder string            `json:"folder"` // in the store
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
		return nil, fmt.Errorf("sweep folder %s: %s is damaged: %w; give dmft sweep the experiment file again", dir, indexName, err)
	}
	if s.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("sweep folder %s: it was made by a version of the program with layout %d, this one has %d", dir, s.SchemaVersion, SchemaVersion)
	}
	src, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		return nil, err
	}
	f, err := experiment.Parse(s.File, src)
	if err != nil {
		return nil, fmt.Errorf("sweep folder %s: %w", dir, err)
	}
	if s.Experiments = f.Points(); len(s.Experiments) != len(s.Points) {
		return nil, fmt.Errorf("sweep folder %s: %s has %d points and %s %d; give dmft sweep the experiment file again", dir, fileName, len(s.Experiments), indexName, len(s.Points))
	}
	return s, nil
}

// New makes the index of a sweep for a folder, new or with a sweep of the same mode in it, whose points are kept in the store. hash gives the hash of the
// run folder of a point. A folder with other files is refused. Nothing is written before Save.
func New(dir string, ix Index, points []experiment.Point, hash func(experiment.Experiment) (string, error)) (*Sweep, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("sweep folder: %w", err)
	}
	if Is(dir) {
		if old, err := Open(dir); err == nil {
			if old.Mode != ix.Mode {
				return nil, fmt.Errorf("sweep folder %s: it is a sweep of %s, and this is one of %s; choose another --out", dir, old.Mode, ix.Mode)
			}
			if ix.Store == "" {
				ix.Store = old.Store
			}
		}
		entries = nil
	}
	for _, e := range entries {
		if n := e.Name(); n != fileName && !strings.HasPrefix(n, npy.TempPrefix) {
			return nil, fmt.Errorf("sweep folder %s: it holds %s and is not a sweep folder; choose another --out", dir, n)
		}
	}
	ix.SchemaVersion, ix.Name, ix.Keys, ix.Points = SchemaVersion, points[0].Experiment.Name, nil, nil
	if ix.Store == "" {
		ix.Store = Points
	}
	for _, p := range points {
		h, err := hash(p.Experiment)
		if err != nil {
			return nil, err
		}
		ix.Points = append(ix.Points, Entry{Key(h), p.Label, p.Map()})
		for k, v := range p.Values {
			if k == len(ix.Keys) {
				ix.Keys = append(ix.Keys, Axis{Key: v.Key})
			}
			if !slices.Contains(ix.Keys[k].Values, v.Value) {
				ix.Keys[k].Values = append(ix.Keys[k].Values, v.Value)
			}
		}
	}
	return &Sweep{dir, ix, points}, nil
}

// Save writes the index and the experiment file that it was made of.
func (s *Sweep) Save(source []byte) error {
	err := os.MkdirAll(s.store(), 0o755)
	if err == nil {
		err = os.MkdirAll(s.Dir, 0o755)
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

func (s *Sweep) store() string {
	if filepath.IsAbs(s.Store) {
		return s.Store
	}
	return filepath.Join(s.Dir, s.Store)
}

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

// Todo are the points that are not complete, in order, each folder once. Points that have failed are left out unless retry.
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
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return nil, err
		}
		switch err := os.Mkdir(dir, 0o755); {
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
		out = append(out, sub)
	}
}

// Fits says whether a submission is of the points that the sweep has now.
func (s *Submission) Fits(w *Sweep) bool { return s.Sweep == w.identity() }
