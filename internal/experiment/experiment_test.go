package experiment

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/kernels"
)

const good = `
name: digits-two-layer
data: {source: digits, classes: [0, 1], train: 16, test: 64, seed: 1}
network: {kind: two-layer, activation: tanh}
richness: 1.0
training: {optimizer: gd, learning_rate: 0.05, steps: 200, loss: {kind: mse, reduction: sum}}
theory: {samples: 4000, seed: 1}
simulation: {widths: [256, 1024], seeds: 8, seed: 1}
`

func one(t *testing.T, src string) Experiment {
	t.Helper()
	f, err := Parse("x.yaml", []byte(src))
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return f.Points()[0].Experiment
}

// TestDefaults: what is given arrives, what is left out has its default.
func TestDefaults(t *testing.T) {
	e := one(t, good)
	if e.Name != "digits-two-layer" || e.Data.Train != 16 || !reflect.DeepEqual(e.Data.Classes, []int{0, 1}) ||
		e.Richness != 1 || e.Network.Depth != 1 || e.Training.LearningRate != 0.05 ||
		e.Data.Normalize != "standard" || e.Data.Encoding != "sign" || e.Record.Kernels != AutoKernels ||
		e.Simulation.Precision != "float64" || e.Compare.Tolerance != 0.01 || e.Training.BatchSeed != 1 {
		t.Errorf("%+v", e)
	}
	f, err := Parse("dir/some.yaml", []byte(strings.Replace(good, "name: digits-two-layer\n", "", 1)))
	if err != nil || f.Points()[0].Experiment.Name != "some" {
		t.Errorf("default name: %v", err)
	}
}

// TestSimulationProblem: finite networks follow simulation.parametrization and branch_exponent, the theory does not.
func TestSimulationProblem(t *testing.T) {
	e := one(t, strings.NewReplacer("kind: two-layer", "kind: resnet, depth: 4, branch: {beta: 2}",
		"widths: [256, 1024]",
		"widths: [64, 16, 256], parametrization: standard, branch_exponent: 1, base_depth: 9").Replace(good))
	set, err := e.Load("", 0)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.Problem(set)
	if err != nil {
		t.Fatal(err)
	}
	q, err := e.SimulationProblem(p, 64)
	if err != nil {
		t.Fatal(err)
	}
	// The base width is 16: γ₀/2, and rates four times larger but for the input's; β L^(−1/2) = β′ L^(−1) at L = 9.
	if q.Richness != 0.5 || q.Training.Rates != (dmft.Rates{Input: 1, Hidden: 4, Readout: 4}) ||
		math.Abs(q.Network.Branch.Beta-6) > 1e-12 || q.Network.Branch.Exponent != 1 {
		t.Errorf("richness %g, rates %v, branch %v", q.Richness, q.Training.Rates, q.Network.Branch)
	}
	if p.Richness != 1 || p.Training.Rates != (dmft.Rates{Input: 1, Hidden: 1, Readout: 1}) ||
		p.Network.Branch != (dmft.Branch{Beta: 2, Exponent: 0.5}) {
		t.Errorf("the theory's problem has richness %g, rates %v, branch %v", p.Richness, p.Training.Rates, p.Network.Branch)
	}
	for change, want := range map[string]string{
		"parametrization: ntk, base_width: 0": "base_width is 0",
		"parametrization: mup, base_width: 8": "needs no base width", "parametrization: sp": "one of mup, ntk",
		"branch_exponent: 1": "only a resnet",
	} {
		if _, err := Parse("x.yaml", []byte(strings.Replace(good, "widths: [256, 1024]", change, 1))); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", change, err)
		}
	}
	deep := strings.Replace(good, "kind: two-layer", "kind: mlp, depth: 3, bias: 1", 1)
	for _, name := range []string{"standard", "mean-field"} {
		if _, err := Parse("x.yaml", []byte(strings.Replace(deep, "widths", "parametrization: "+name+", widths",
			1))); err == nil || !strings.Contains(err.Error(), "simulation.parametrization is "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForms: the forms of an activation and of a loss, numbers in every notation.
func TestForms(t *testing.T) {
	for form, want := range map[string]kernels.Activation{
		"relu": {Name: "relu"}, "{relu: 1.4142}": {Name: "relu", Gain: 1.4142},
		"{quadratic-mix: 0.5}":                   {Name: "quadratic-mix", Parameter: 0.5},
		"{leaky-relu: 0.1}":                      {Name: "leaky-relu", Parameter: 0.1},
		"{polynomial: [0, 1, 3e-1]}":             {Name: "polynomial", Coefficients: []float64{0, 1, 0.3}},
		"{name: tanh, gain: 1.25, scale: 0.8}":   {Name: "tanh", Gain: 1.25, Scale: 0.8},
		"{name: polynomial, coefficients: [1]}":  {Name: "polynomial", Coefficients: []float64{1}},
		"{name: leaky-relu, slope: .2, gain: 1}": {Name: "leaky-relu", Parameter: 0.2},
	} {
		if e := one(t, strings.Replace(good, "tanh", form, 1)); !reflect.DeepEqual(e.Network.Activation, want) {
			t.Errorf("%s: %+v", form, e.Network.Activation)
		}
	}
	if e := one(t, strings.Replace(good, "{kind: mse, reduction: sum}", "mse", 1)); e.Training.Loss != "mse" ||
		e.Training.Reduction != "sum" {
		t.Errorf("short loss: %+v", e.Training)
	}
	for text, want := range map[string]float64{"1e-3": 1e-3, "1E2": 100, "+2": 2, ".5": 0.5, "3": 3} {
		if e := one(t, strings.Replace(good, "richness: 1.0", "richness: "+text, 1)); e.Richness != want {
			t.Errorf("%s is read as %g", text, e.Richness)
		}
	}
	if e := one(t, strings.Replace(good, "steps: 200", "steps: 1e3", 1)); e.Training.Steps != 1000 {
		t.Errorf("1e3 steps are %d", e.Training.Steps)
	}
	if e := one(t, strings.Replace(good, "kind: two-layer", "kind: resnet, depth: infinite, branch: {exponent: 1}",
		1)); e.Network.Depth != Infinite || e.Network.Exponent != 1 || e.Network.Beta != 1 {
		t.Errorf("%+v", e.Network)
	}
}

// TestMistakes: every mistake is reported with its line, column and what would have been right, all of them at once.
func TestMistakes(t *testing.T) {
	rep := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for _, tc := range []struct {
		src  string
		want []string
	}{
		{rep("richness: 1.0", "richnes: 1.0"), []string{"x.yaml:5:1: unknown key richnes; did you mean richness?"}},
		{rep("learning_rate", "lr"), []string{":6:", "unknown key training.lr"}},
		{rep("learning_rate", "learning-rate"), []string{"did you mean learning_rate?"}},
		{rep("train: 16", "training: 16"), []string{"data.training", "did you mean train?"}},
		{"steps: 3\n" + good, []string{"unknown key steps", "training.steps"}},
		{rep("steps: 200", "steps: many"), []string{`training.steps is "many"; expected whole number`}},
		{rep("steps: 200", "steps: 2.5"), []string{`"2.5"; expected whole number`}},
		{rep("steps: 200", "steps: 010"), []string{`"010"; expected whole number`}},
		{rep("steps: 200", "steps: 0"), []string{"training.steps is 0; expected whole number, 1 or more"}},
		{rep("steps: 200", "steps: 1e18"), []string{"training.steps is 1e18; expected whole number, 1 or more, at " +
			"most 100000000"}},
		{rep("widths: [256, 1024]", "widths: [256, 1e9]"), []string{"expected whole number, 1 or more, at most 10000000"}},
		{rep("samples: 4000, seed: 1", "samples: 4000, seed: 18446744073709551616"),
			[]string{"expected whole number, 0 or more, at most 18446744073709551615"}},
		{rep("steps: 200", "steps: 0x10"), []string{"expected whole number"}},
		{rep("steps: 200", "steps:"), []string{"training.steps has no value"}},
		{rep("steps: 200", "steps: '200'"), []string{"expected whole number"}},
		{rep("richness: 1.0", "richness: -1"), []string{"richness is -1; expected number above 0"}},
		{rep("richness: 1.0", "richness: .inf"), []string{"expected number"}},
		{rep("richness: 1.0", "richness: .nan"), []string{"expected number"}},
		{rep("richness: 1.0", "richness: [1, x]"), []string{`richness is "x"`}},
		{rep("richness: 1.0", "richness: []"), []string{"an empty list"}},
		{rep("richness: 1.0", "richness: {a: 1}"), []string{"richness is a mapping"}},
		{rep("richness: 1.0", "richness: 1\nrichness: 2"), []string{"x.yaml:6:1", "given twice"}},
		{rep("tanh", "thanh"), []string{`unknown activation "thanh"; did you mean tanh?`}},
		{rep("tanh", "{relu: big}"), []string{`the gain is "big"; expected number`}},
		{rep("tanh", "{relu: 0}"), []string{"the gain is zero"}},
		{rep("tanh", "{polynomial: 3}"), []string{"list of coefficients"}},
		{rep("tanh", "{name: tanh, gian: 2}"), []string{"unknown key gian; did you mean gain?"}},
		{rep("kind: two-layer", "kind: two-layers"), []string{"did you mean two-layer?"}},
		{rep("kind: two-layer", "kind: two-layer, depth: 3"), []string{"two-layer network has depth 1"}},
		{rep("kind: two-layer", "kind: mlp"), []string{"network.depth is missing"}},
		{rep("kind: two-layer", "kind: mlp, depth: infinite"), []string{"only a resnet"}},
		{rep("kind: two-layer", "kind: two-layer, branch: {beta: 2}"),
			[]string{"network.branch.beta does not apply: only a resnet has branches"}},
		{rep("optimizer: gd", "optimizer: gd, momentum: 0.9"), []string{"training.momentum does not apply"}},
		{rep("optimizer: gd", "optimizer: momentum"), []string{"training.momentum is missing"}},
		{rep("optimizer: gd", "optimizer: momentum, momentum: 1"), []string{"at least 0 and below 1"}},
		{rep("optimizer: gd", "optimizer: flow, batch: {size: 3}"), []string{"training.batch.size does not apply"}},
		{rep("optimizer: gd", "optimizer: gd, integrator: rk4"), []string{"only a flow has an integrator"}},
		{rep("source: digits", "source: digits, dimension: 3"),
			[]string{"data.dimension does not apply: the source digits does not use it"}},
		{rep("source: digits, classes: [0, 1]", "source: gaussian"), []string{"data.dimension is missing"}},
		{rep("classes: [0, 1]", "classes: 3"), []string{"expected list of whole numbers"}},
		{rep("classes: [0, 1]", "classes: [0, 1.5]"), []string{`data.classes holds "1.5"; expected whole number`}},
		{rep("widths: [256, 1024]", "widths: [256, 256]"), []string{"lists a width twice"}},
		{rep("widths: [256, 1024]", "widths: []"), []string{"an empty list"}},
		{rep("theory: {samples: 4000, seed: 1}", "theory: 4000"), []string{"theory is a section"}},
		{rep("richness: 1.0", "richness: &a 1.0"), []string{"anchors"}},
		{"", []string{"the file is empty"}},
		{"- 1\n- 2\n", []string{"mapping of keys"}},
		{"just text", []string{"mapping of keys"}},
		{good + "---\nname: b\n", []string{"second document"}},
		{"data:\n\tsource: digits\n", []string{"x.yaml:2:1", "tab"}},
		{"data: {source: digits", []string{"x.yaml:1:"}},
		{"richnes: 1\ndata: {sorce: digits}\n", []string{"x.yaml:1:1", "x.yaml:2:8", "did you mean source?"}},
	} {
		_, err := Parse("x.yaml", []byte(tc.src))
		var all Errors
		if !errors.As(err, &all) {
			t.Errorf("no error for\n%s", tc.src)
			continue
		}
		for _, w := range tc.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("message\n%v\ndoes not say %q", err, w)
			}
		}
	}
	// A default is not to blame for the key that it follows from.
	for _, src := range []string{
		strings.Replace(rep("kind: two-layer", "kind: resnet, depth: infinite"), "samples: 4000",
			"samples: 4000, depths: [9, 5, 17]", 1),
		rep("widths: [256, 1024]", "widths: [256, 256, 1024]"),
	} {
		_, err := Parse("x.yaml", []byte(src))
		if all := (Errors)(nil); !errors.As(err, &all) || len(all) != 1 {
			t.Errorf("one mistake, and the message is\n%v", err)
		}
	}
	_, err := Parse("x.yaml", []byte(rep("richness: 1.0", "  richness: 1.0\n")))
	if err == nil {
		t.Error("bad indentation is accepted")
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.yaml")); err == nil ||
		!strings.Contains(err.Error(), "no such file") {
		t.Errorf("missing file: %v", err)
	}
	// The excerpt points at the place.
	_, err = Parse("x.yaml", []byte(rep("tanh", "thanh")))
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 3 || lines[1][strings.Index(lines[2], "^"):strings.Index(lines[2], "^")+5] != "thanh" {
		t.Errorf("excerpt:\n%v", err)
	}
}

// TestProduct: lists make the product, in file order, the last fastest.
func TestProduct(t *testing.T) {
	src := strings.Replace(strings.Replace(good, "richness: 1.0", "richness: [0.1, 4]", 1), "activation: tanh",
		"activation: [relu, {quadratic-mix: 0.5}, erf]", 1)
	f, err := Parse("x.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, p := range f.Points() {
		labels = append(labels, p.Label)
	}
	if len(labels) != 6 || labels[0] != "network.activation=relu, richness=0.1" ||
		labels[1] != "network.activation=relu, richness=4" || labels[5] != "network.activation=erf, richness=4" {
		t.Errorf("%q", labels)
	}
	if e := f.Points()[3].Experiment; e.Richness != 4 || e.Network.Activation.Parameter != 0.5 {
		t.Errorf("%+v", e)
	}
	big := "[" + strings.TrimSuffix(strings.Repeat("1,", 500), ",") + "]"
	if _, err := Parse("x.yaml", []byte(strings.Replace(strings.Replace(good, "richness: 1.0", "richness: "+big, 1),
		"steps: 200", "steps: "+big, 1))); err == nil || !strings.Contains(err.Error(), "100000") {
		t.Errorf("a product of 250,000: %v", err)
	}
	// A key that does not apply at one point of the product is an error.
	if _, err := Parse("x.yaml", []byte(strings.Replace(good, "optimizer: gd",
		"optimizer: [momentum, gd], momentum: 0.9", 1))); err == nil {
		t.Error("momentum is accepted for gd")
	}
}

// TestRoundTrip: the file printed with every default parses back to the same experiment with the same hash.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(s ...string) string { return rapid.SampledFrom(s).Draw(t, "choice") }
		src := fmt.Sprintf("name: %s\ndescription: %q\n", pick("a", "'true'", `"1.5"`, "x-y"),
			rapid.String().Draw(t, "description"))
		src += "data: " + pick("{source: digits, classes: [3, 8], train: 7}", "{source: parity, dimension: 5, "+
			"degree: 2, train: 9, test: 2}", "{source: npy, inputs: 'a b.npy', targets: y.npy}",
			"{source: idx, inputs: x, targets: y, classes: [11, 300], train: 5}",
			"{source: single-index, dimension: 3, polynomial: [0, -1e-7, .5], train: 4}",
			"{source: teacher, dimension: 4, width: 2, activation: {relu: 2}, train: 6, noise: 0.25}",
			"{source: modular-addition, modulus: 7, train: 5}") + "\n"
		src += "network: " + pick("{kind: two-layer, activation: tanh}", "{kind: mlp, depth: 3, activation: {name: "+
			"gelu, gain: 0.5}}", "{kind: two-layer, activation: {leaky-relu: 0}}", "{kind: mlp, depth: 2, "+
			"activation: {name: quadratic-mix, epsilon: -0.5, scale: 3}}",
			"{kind: resnet, depth: infinite, activation: {polynomial: [0, 1, -0.125]}, branch: {beta: 2}}") + "\n"
		src += fmt.Sprintf("richness: %g\n", rapid.Float64Range(1e-6, 1e6).Draw(t, "richness"))
		src += "training: {learning_rate: 0.1, steps: 5, " + pick("optimizer: gd", "optimizer: nesterov, momentum: "+
			"0.5, weight_decay: 1e-4", "optimizer: flow, tolerance: 1e-8", "optimizer: flow, integrator: ab3",
			"schedule: {kind: step, every: 3, factor: 0.1}", "schedule: {kind: cosine, warmup: 2}, batch: {size: 4}",
			"centred: true") + "}\n"
		src += pick("", "theory: {method: lazy}\n", "theory: {blocks: 3, sampling: plain, sites: input}\n") + pick("",
			"record: {kernels: all}\n", "record: {kernels: 5, preactivations: 0}\n")
		f, err := Parse("x.yaml", []byte(src))
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		e := f.Points()[0].Experiment
		g, err := Parse("y.yaml", e.YAML())
		if err != nil {
			t.Fatalf("%v\n%s", err, e.YAML())
		}
		if again := g.Points()[0].Experiment; !reflect.DeepEqual(again, e) || again.Hash() != e.Hash() {
			t.Fatalf("%+v\n%+v\n%s", e, again, e.YAML())
		}
		e2 := e
		e2.Description, e2.Name = "other", "other"
		if e2.Hash() != e.Hash() {
			t.Fatal("the hash depends on the name")
		}
		e2.Richness *= 1.0000001
		if e2.Hash() == e.Hash() {
			t.Fatal("the hash does not depend on the richness")
		}
	})
}

// TestSchema: every key is documented.
func TestSchema(t *testing.T) {
	s := Schema()
	for _, f := range fields {
		if !strings.Contains(s, "  "+f.path+"\n") || f.doc == "" {
			t.Errorf("%s is not documented", f.path)
		}
	}
}

// TestShipped: every experiment file in testdata is valid, and among them are one of every data source and one of every
// loss.
func TestShipped(t *testing.T) {
	files, err := filepath.Glob("../../testdata/experiments/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no experiment files: %v", err)
	}
	sources, losses := map[string]bool{"fashion-mnist": true, "cifar10": true}, map[string]bool{} // they are as mnist
	for _, f := range files {
		file, err := Read(f)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, p := range file.Points() {
			sources[p.Experiment.Data.Source], losses[p.Experiment.Training.Loss] = true, true
		}
	}
	for _, f := range fields {
		seen := map[string]map[string]bool{"data.source": sources, "training.loss.kind": losses}[f.path]
		for _, v := range f.enum {
			if seen != nil && !seen[v] {
				t.Errorf("no shipped experiment has %s %s", f.path, v)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	files, _ := filepath.Glob("../../testdata/experiments/*.yaml")
	for _, name := range files {
		b, _ := os.ReadFile(name)
		f.Add(b)
	}
	for _, src := range variety {
		f.Add([]byte(src))
	}
	if archive, err := txtar.ParseFile("testdata/mistakes.txtar"); err == nil {
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".yaml") {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := Parse("x.yaml", src)
		if err != nil {
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 || all[0].Line < 1 || all[0].Column < 1 || all[0].Message == "" ||
				!utf8.ValidString(err.Error()) {
				t.Fatalf("%q", err)
			}
			return
		}
		for _, p := range file.Points()[:min(len(file.Points()), 5)] {
			e := p.Experiment
			g, err := Parse("y.yaml", e.YAML())
			if err != nil {
				t.Fatalf("%v\n%s", err, e.YAML())
			}
			if again := g.Points()[0].Experiment; !reflect.DeepEqual(again, e) || again.Hash() != e.Hash() {
				t.Fatalf("%+v\n%s", e, e.YAML())
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := Parse("x.yaml", []byte(good)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestFolders: names of the folders of points are short, plain, readable and of one point each, also where a file
// system does not tell capitals apart; they depend on nothing but the point. Simple values stand in them as they are.
func TestFolders(t *testing.T) {
	folder := func(values ...Swept) string {
		p := Point{Values: values, Label: Label(values)}
		return p.Folder()
	}
	for _, x := range []struct {
		want   string
		values []Swept
	}{
		{"richness=0.5_training.learning_rate=1e-06", []Swept{{"richness", "0.5"}, {"training.learning_rate", "1e-06"}}},
		{"network.activation=relu", []Swept{{"network.activation", "relu"}}},
	} {
		if got := folder(x.values...); got != x.want {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
	if a, b := folder(Swept{"data.path", "d/s/x.csv"}), folder(Swept{"data.path", "d/s-x.csv"}); a == b ||
		!strings.HasPrefix(a, "data.path=d-s-x.csv-") {
		t.Errorf("%q %q", a, b)
	}
	if got := folder(Swept{"network.activation", "{name: polynomial, coefficients: [0, 1, 0.5]}"}); strings.ContainsAny(
		got, "[]{} *?\\\"'") || !strings.HasPrefix(got, "network.activation=polynomial,coefficients-0,1,0.5-") {
		t.Errorf("%q", got)
	}
	plain := regexp.MustCompile(`^[^/\\\[\]{}*?<>|:;&$%~#()"' \x00-\x1f\x7f]{1,100}$`)
	seen := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`[a-cA-C/._ \[*?-]{0,4}`), rapid.String(), rapid.StringN(100, 400, -1))
		values := []Swept{{"data.path", quoted(text.Draw(t, "a"))}, {"training.learning_rate", quoted(text.Draw(t, "b"))}}
		name, label := folder(values...), Label(values)
		if !plain.MatchString(name) || len(name) > 100 || !utf8.ValidString(name) {
			t.Fatalf("%q of %q", name, label)
		}
		if other, ok := seen[strings.ToLower(name)]; ok && other != label {
			t.Fatalf("%q is that of %q and of %q", name, other, label)
		}
		seen[strings.ToLower(name)] = label
		if folder(values...) != name {
			t.Fatal("another name for the same point")
		}
	})
	var many []Swept
	for range 12 {
		many = append(many, Swept{"training.learning_rate", "0.001"})
	}
	if got := folder(many...); len(got) > 100 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

// TestSlurmSettings: settings that would become more than one word of a batch script, and arguments with an open quote,
// are mistakes in the file; quotes that close are not.
func TestSlurmSettings(t *testing.T) {
	const base = "data: {source: gaussian, dimension: 2, train: 3}\nnetwork: {kind: two-layer, activation: " +
		"relu}\nrichness: 1\ntraining: {learning_rate: 0.1, steps: 2}\n"
	for _, x := range []struct{ section, want string }{
		{`{partition: "cpu\n#SBATCH --account=theirs"}`, "line break"},
		{`{account: "a --wrap=id"}`, "blank"},
		{`{time: "01:00:00 "}`, "sweep.slurm.arguments"},
		{`{memory: "4G'"}`, "sweep.slurm.memory"},
		{`{arguments: "--comment='open"}`, "nterminated"},
		{`{arguments: "a\ntouch x"}`, "sbatch would take for the script"},
		{`{arguments: "--qos=long b"}`, "sbatch would take for the script"},
		{`{arguments: "--comment='a\nb'"}`, "no command takes"},
		{`{arguments: "--comment=a\0"}`, "no command takes"},
		{`{partition: "gpu,cpu", time: "1-00:00:00", memory: 4G, account: a_b, arguments: "--comment='two words' --qos=long"}`, ""},
	} {
		f, err := Parse("e.yaml", []byte(base+"sweep: {slurm: "+x.section+"}\n"))
		if x.want == "" {
			if err != nil {
				t.Errorf("%s: %v", x.section, err)
			} else if w := f.Points()[0].Experiment.Sweep.Words(); !slices.Equal(w,
				[]string{"--comment=two words", "--qos=long"}) {
				t.Errorf("%q", w)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "e.yaml:5:") {
			t.Errorf("%s: %v", x.section, err)
		}
	}
	if _, err := Parse("e.yaml", []byte("name: "+strings.Repeat("n", 201)+"\n"+base)); err == nil ||
		!strings.Contains(err.Error(), "201 bytes") {
		t.Errorf("a long name: %v", err)
	}
	f, err := Parse("/d/"+strings.Repeat("é", 125)+".yaml", []byte(base))
	if err != nil || len(f.Points()[0].Experiment.Name) > 200 {
		t.Errorf("a file with a long name: %v", err)
	}
}

// TestConvergeDimensions: the default ladder leaves out dimensions that cannot hold the fields, and a ladder in the
// file that holds one is refused.
func TestConvergeDimensions(t *testing.T) {
	const src = "data: {source: high-dimensional, ratio: 2}\nnetwork: {kind: two-layer, activation: {quadratic-mix: " +
		"0.5}, units: 3}\n" +
		"target: {directions: 3, overlaps: [0.1, 0, 0, 0, 0.1, 0, 0, 0, 0.1]}\ntraining: {learning_rate: 0.05, " +
		"steps: 20}\nsimulation: {dimensions: [20, 40]}\n"
	f, err := Parse("x.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Points()[0].Experiment.Converge.Dimensions; !slices.Equal(got, []int{10, 20, 40}) {
		t.Errorf("default ladder %v", got)
	}
	if _, err := Parse("x.yaml", []byte(src+"converge: {dimensions: [5, 10, 20]}\n")); err == nil ||
		!strings.Contains(err.Error(), "converge.dimensions holds 5; units and directions of the target with given "+
			"overlaps need at least 6") {
		t.Errorf("a dimension that is too small: %v", err)
	}
}
