package sweep

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/npy"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
)

const source = `data: {source: digits, classes: [0, 1], train: 6, test: 4}
network: {kind: two-layer, activation: [tanh, relu]}
richness: [2, 0.5, 1]
training: {learning_rate: 0.01, steps: 20}
`

func points(t testing.TB, src string) []experiment.Point {
	t.Helper()
	f, err := experiment.Parse("grid.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return f.Points()
}

func hash(e experiment.Experiment) (string, error) { return Hash("solve", e, "data"), nil }

func make1(t *testing.T, dir, src string) *Sweep {
	t.Helper()
	s, err := New(dir, Index{Mode: "solve", File: "grid.yaml"}, points(t, src), hash)
	if err == nil {
		err = s.Save([]byte(src))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFolder: what is saved is opened again; a sweep may grow in its folder, whose points keep their names; other
// folders are refused.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s := make1(t, dir, source)
	if !reflect.DeepEqual(s.Keys, []Axis{{"network.activation", []string{"tanh", "relu"}},
		{"richness", []string{"2", "0.5", "1"}}}) || s.Name != "grid" || len(s.Points) != 6 {
		t.Fatalf("%+v", s.Index)
	}
	got, err := Open(dir)
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Fatalf("%v\n%+v\n%+v", err, got, s)
	}
	if x := s.Numbers("richness"); !reflect.DeepEqual(x, []float64{2, 0.5, 1}) ||
		s.Numbers("network.activation") != nil || s.Numbers("data.train") != nil {
		t.Errorf("%v", x)
	}
	more := make1(t, dir, strings.Replace(source, "[2, 0.5, 1]", "[2, 0.5, 1, 4]", 1))
	for _, p := range s.Points {
		if !slices.ContainsFunc(more.Points, func(q Entry) bool { return q.Folder == p.Folder && q.Label == p.Label }) {
			t.Errorf("%s has another folder in the larger sweep", p.Label)
		}
	}
	seen := map[string]bool{}
	for _, p := range more.Points {
		if seen[p.Folder] {
			t.Errorf("%s shares its folder", p.Label)
		}
		seen[p.Folder] = true
	}
	if _, err := New(dir, Index{Mode: "compare"}, points(t, source), hash); err == nil ||
		!strings.Contains(err.Error(), "it is a sweep of solve") {
		t.Errorf("another mode: %v", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "notes.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(other, Index{Mode: "solve"}, points(t, source), hash); err == nil ||
		!strings.Contains(err.Error(), "it holds notes.txt") {
		t.Errorf("a folder of other files: %v", err)
	}
	killed := filepath.Join(t.TempDir(), "killed in Save")
	if err := os.MkdirAll(filepath.Join(killed, Points), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := New(killed, Index{Mode: "solve"}, points(t, source), hash); err != nil {
		t.Errorf("a folder in which nothing has begun: %v", err)
	}
	if err := os.Mkdir(filepath.Join(killed, Points, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := New(killed, Index{Mode: "solve"}, points(t, source), hash); err == nil {
		t.Error("a folder of something else is taken")
	}
	if _, err := Open(other); err == nil || Is(other) {
		t.Errorf("opened: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, indexName), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged index: %v", err)
	}
	make1(t, dir, source) // the experiment file puts it right
}

// TestKey: the folder of a point depends on what is run, on the experiment and on the data, and not on names or on how
// it is run.
func TestKey(t *testing.T) {
	e := points(t, source)[0].Experiment
	base := Key(Hash("solve", e, "d"))
	named := e
	named.Name, named.Description, named.Sweep.CPUs, named.Sweep.Partition = "other", "text", 8, "cpu"
	if Key(Hash("solve", named, "d")) != base {
		t.Error("the name changes the key")
	}
	faster := e
	faster.Training.LearningRate *= 2
	for what, k := range map[string]string{"mode": Key(Hash("simulate", e, "d")), "data": Key(Hash("solve", e, "x")),
		"no data": Key(Hash("solve", e, "")), "learning rate": Key(Hash("solve", faster, "d"))} {
		if k == base {
			t.Errorf("another %s has the same key", what)
		}
	}
}

// TestDeal: every point goes to one task; tasks differ by one point at most.
func TestDeal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfNDistinct(rapid.IntRange(0, 1000), 1, 50, rapid.ID[int]).Draw(t, "points")
		n := rapid.IntRange(1, 60).Draw(t, "tasks")
		tasks := Deal(p, n)
		if len(tasks) != min(n, len(p)) {
			t.Fatalf("%d tasks", len(tasks))
		}
		all := slices.Concat(tasks...)
		slices.Sort(all)
		slices.Sort(p)
		for _, x := range tasks {
			if d := len(x) - len(p)/len(tasks); d < 0 || d > 1 {
				t.Fatalf("%v", tasks)
			}
		}
		if !slices.Equal(all, p) {
			t.Fatalf("%v", tasks)
		}
	})
}

// fill makes run folders: two complete ones, one of them stopped early, a failed one, one begun.
func fill(t testing.TB, s *Sweep) {
	t.Helper()
	for i := range 2 {
		f, err := run.Open(s.Folder(i), run.Claim{Name: "grid", Hash: s.Points[i].Folder})
		if err != nil {
			t.Fatal(err)
		}
		sum := report.Summary{What: "theory", File: "theory.npz", Replicas: 4, Steps: 20,
			Values: map[string]report.Number{"loss": report.Number(0.25 + float64(i)), "half_time": report.Number(math.Inf(1))}}
		if i == 1 {
			sum.Status = "diverged, \"badly\""
		}
		m := run.Manifest{Comparison: map[string]any{"verdict": []string{"agree", "disagree"}[i]}}
		if m.Summary, err = report.Encode([]report.Summary{sum}); err != nil {
			t.Fatal(err)
		}
		if err := f.Finish(m); err != nil {
			t.Fatal(err)
		}
		f.Close()
		loss := npy.Array{Shape: []int{21 - i}, Data: make([]float64, 21-i)} // the second one ended a step early
		for k := range loss.Data {
			loss.Data[k] = float64(100*i + k)
		}
		if err := npy.WriteNPZ(f.Path("theory.npz"), []npy.Named{{Name: "time", Array: loss},
			{Name: "loss", Array: loss}, {Name: "phi", Array: loss}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := run.RecordFailure(s.Folder(2), errors.New("no disk")); err != nil {
		t.Fatal(err)
	}
	f, err := run.Open(s.Folder(3), run.Claim{Name: "grid", Hash: s.Points[3].Folder})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// TestRead: states, counts and summaries of points.
func TestRead(t *testing.T) {
	s := make1(t, filepath.Join(t.TempDir(), "s"), source)
	fill(t, s)
	if todo := s.Todo(false); !reflect.DeepEqual(todo, []int{3, 4, 5}) {
		t.Errorf("to do: %v", todo)
	}
	if todo := s.Todo(true); !reflect.DeepEqual(todo, []int{2, 3, 4, 5}) {
		t.Errorf("to try again: %v", todo)
	}
	p, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	if c := Count(p); c != (Counts{Points: 6, Complete: 2, Early: 1, Failed: 1, Unfinished: 1, Waiting: 2, Disagree: 1}) ||
		c.String() != "2 of 6 points complete, 1 of them stopped early, 1 failed, 1 unfinished, 2 waiting" {
		t.Errorf("%+v %s", c, c)
	}
	if p[0].Value("theory", "loss") != 0.25 || !math.IsInf(p[0].Value("theory", "half_time"), 1) || p[0].Error != "" ||
		!p[1].Early() || p[2].Error != "no disk" {
		t.Errorf("%+v", p)
	}
	files, err := s.Summarise(p)
	if err != nil || len(files) != 2 {
		t.Fatal(err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(rows) != 7 {
		t.Fatalf("%v\n%s", err, b)
	}
	col := func(name string, i int) string { return rows[i+1][slices.Index(rows[0], name)] }
	for i, want := range []string{"complete theory 0.25 inf agree  theory.npz", "stopped early theory 1.25 inf " +
		"disagree diverged, \"badly\" theory.npz", "failed     no disk ", "unfinished      ", "waiting      "} {
		if got := strings.Join([]string{col("status", i), col("what", i), col("loss", i), col("half_time", i),
			col("verdict", i), col("error_message", i), col("file", i)}, " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if col("richness", i) != s.Points[i].Values["richness"] || col("folder", i) != "points/"+s.Points[i].Folder ||
			filepath.Join(s.Dir, col("folder", i)) != s.Folder(i) || col("point", i) != fmt.Sprint(i) {
			t.Errorf("row %d: %v", i, rows[i+1])
		}
	}
	// The reader knows numbers alone; names of activations are for numpy, which a script test asks.
	z, err := npy.ReadNPZ(files[1], "status", "theory.loss", "axis.richness", "theory.curve.loss", "theory.curve.time",
		"theory.curve.test_loss")
	if err != nil {
		t.Fatal(err)
	}
	c := z["theory.curve.loss"]
	if _, ok := z["theory.curve.test_loss"]; ok || !reflect.DeepEqual(c.Shape, []int{2, 3, 21}) || c.Data[20] != 20 ||
		c.Data[21+19] != 119 || !math.IsNaN(c.Data[21+20]) || !math.IsNaN(c.Data[2*21]) {
		t.Errorf("curves %v %v", c.Shape, c.Data[:63])
	}
	if !reflect.DeepEqual(z["status"].Data, []float64{0, 1, 2, 3, 3, 3}) ||
		!reflect.DeepEqual(z["theory.loss"].Shape, []int{2, 3}) || z["theory.loss"].Data[1] != 1.25 ||
		!math.IsNaN(z["theory.loss"].Data[2]) ||
		!reflect.DeepEqual(z["axis.richness"].Data, []float64{2, 0.5, 1}) {
		t.Errorf("%+v", z)
	}
	if err := os.Remove(filepath.Join(s.Folder(1), "theory.npz")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Summarise(p); err == nil || !strings.Contains(err.Error(), s.Folder(1)) ||
		!strings.Contains(err.Error(), "computes it again") {
		t.Errorf("lost curves: %v", err)
	}
	if z, err = npy.ReadNPZ(files[1], "theory.curve.loss", "theory.loss"); err != nil ||
		z["theory.curve.loss"].Data[20] != 20 || !math.IsNaN(z["theory.curve.loss"].Data[21]) ||
		z["theory.loss"].Data[1] != 1.25 {
		t.Errorf("the rest beside lost curves: %v %v", err, z)
	}
	g := s.Grid(p)
	if v := g.Value(1, "theory", "loss"); !math.IsNaN(v) { // it diverged
		t.Errorf("the end of a divergence is drawn: %g", v)
	}
	if v := g.Value(0, "theory", "loss"); v != 0.25 || g.Axes[0].Numbers != nil ||
		!reflect.DeepEqual(g.Axes[1].Numbers, []float64{2, 0.5, 1}) {
		t.Errorf("%g %+v", v, g.Axes)
	}
}

// TestSubmissions: they are numbered, kept, and known to fit the points or not.
func TestSubmissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s := make1(t, dir, source)
	for n := 1; n <= 2; n++ {
		sub, err := s.NewSubmission([]string{"dmft", "sweep"}, Deal([]int{0, 1, 2}, n))
		if err != nil || filepath.Base(sub.Dir) != fmt.Sprint(n) {
			t.Fatal(err)
		}
		sub.Jobs.Array = fmt.Sprint(n)
		if err := sub.Save(); err != nil {
			t.Fatal(err)
		}
	}
	subs, err := s.Submissions()
	if err != nil || len(subs) != 2 || subs[1].Jobs.Array != "2" ||
		!reflect.DeepEqual(subs[1].Tasks, [][]int{{0, 2}, {1}}) || !subs[1].Fits(s) {
		t.Fatalf("%+v %v", subs, err)
	}
	if more := make1(t, dir, strings.Replace(source, "[2, 0.5, 1]", "[0.5, 2, 1]", 1)); subs[1].Fits(more) {
		t.Error("tasks fit points in another order")
	}
}
