package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

func sizes(set *data.Set) (p, pt, c int) {
	p, _ = set.Inputs.Dims()
	_, c = set.Targets.Dims()
	if set.TestInputs != nil {
		pt, _ = set.TestInputs.Dims()
	}
	return p, pt, c
}

// keepData keeps the points beside the results: in the folder of a run that is alone, and once for all the runs of
// several that have the same.
func (j *job) keepData(folder *run.Folder, set *data.Set) error {
	if j.dataDir == "" {
		j.dataFile = dataName
		return writeData(folder.Path(dataName), set)
	}
	if err := run.MakeFolder(j.dataDir); err != nil {
		return err
	}
	path := filepath.Join(j.dataDir, experiment.DataHash(set)+".npz")
	rel, err := filepath.Rel(j.dir, path)
	if err != nil {
		return err
	}
	j.dataFile = filepath.ToSlash(rel)
	if _, err := os.Stat(path); err == nil { // written whole, or not at all
		return nil
	}
	return writeData(path, set)
}

// writeData keeps the points beside the results.
func writeData(path string, set *data.Set) error {
	var out []npy.Named
	put := func(name string, m mat.Matrix) {
		if d, ok := m.(*mat.Dense); m == nil || ok && d == nil {
			return
		}
		r, c := m.Dims()
		if int64(r)*int64(c)*8 > dataBytes {
			return
		}
		a := npy.Array{Shape: []int{r, c}, Data: make([]float64, 0, r*c)}
		for i := range r {
			for j := range c {
				a.Data = append(a.Data, m.At(i, j))
			}
		}
		out = append(out, npy.Named{Name: name, Array: a})
	}
	put("inputs", set.Inputs)
	put("targets", set.Targets)
	put("test_inputs", set.TestInputs)
	put("test_targets", set.TestTargets)
	for name, l := range map[string][]int{"labels": set.Labels, "test_labels": set.TestLabels} {
		if l == nil {
			continue
		}
		a := npy.Array{Shape: []int{len(l)}}
		for _, v := range l {
			a.Data = append(a.Data, float64(v))
		}
		out = append(out, npy.Named{Name: name, Array: a})
	}
	slices.SortFunc(out, func(a, b npy.Named) int { return strings.Compare(a.Name, b.Name) })
	return npy.WriteNPZ(path, out)
}

// readData reads what writeData has kept.
func readData(path string) (*data.Set, error) {
	z, err := npy.ReadNPZ(path)
	if err != nil {
		return nil, err
	}
	set := &data.Set{}
	for name, m := range map[string]*mat.Matrix{"inputs": &set.Inputs, "test_inputs": &set.TestInputs} {
		if a, ok := z[name]; ok && len(a.Shape) == 2 && len(a.Data) > 0 {
			*m = mat.NewDense(a.Shape[0], a.Shape[1], a.Data)
		}
	}
	for name, m := range map[string]**mat.Dense{"targets": &set.Targets, "test_targets": &set.TestTargets} {
		if a, ok := z[name]; ok && len(a.Shape) == 2 && len(a.Data) > 0 {
			*m = mat.NewDense(a.Shape[0], a.Shape[1], a.Data)
		}
	}
	for name, l := range map[string]*[]int{"labels": &set.Labels, "test_labels": &set.TestLabels} {
		for _, v := range z[name].Data {
			*l = append(*l, int(v))
		}
	}
	return set, nil
}

// points loads the points of the experiment. Where their files are gone, as from a sweep that was moved to another
// machine, it is the copy that the sweep keeps for its runs: the one that gives the run folder its name.
func (j *job) points() (*data.Set, string, error) {
	set, hash, err := j.sets.load(j.point.Experiment, j.base)
	if err == nil || j.key == "" || j.dataDir == "" || !errors.Is(err, fs.ErrNotExist) {
		return set, hash, err
	}
	files, _ := os.ReadDir(j.dataDir)
	for _, f := range files {
		hash, ok := strings.CutSuffix(f.Name(), ".npz")
		if !ok || sweep.Key(sweep.Hash(j.kind, j.point.Experiment, hash)) != j.key {
			continue
		}
		if kept, lost := readData(filepath.Join(j.dataDir, f.Name())); lost == nil && experiment.DataHash(kept) == hash {
			j.show.Line("the files of the points are gone; their copy in the sweep is used")
			return kept, hash, nil
		}
	}
	return nil, "", err
}

// testTargets are those that a run folder keeps.
func testTargets(dir string, m *run.Manifest) (*mat.Dense, error) {
	path := filepath.Join(dir, dataName)
	if m.Data != "" {
		path = filepath.Join(dir, filepath.FromSlash(m.Data))
	}
	z, err := npy.ReadNPZ(path)
	if err != nil {
		return nil, err
	}
	a, ok := z["test_targets"]
	if !ok || len(a.Shape) != 2 || len(a.Data) == 0 {
		return nil, fmt.Errorf("%s holds no test_targets", path)
	}
	return mat.NewDense(a.Shape[0], a.Shape[1], a.Data), nil
}
