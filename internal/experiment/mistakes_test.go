package experiment

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/kernels"
)

var update = flag.Bool("update", false, "write the messages of this run into testdata")

// TestGolden: the whole text of the messages for bad files. Every *.yaml of the archive is followed by what is said of
// it.
func TestGolden(t *testing.T) {
	const path = "testdata/mistakes.txtar"
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []txtar.File
	for i := 0; i < len(archive.Files); i++ {
		f := archive.Files[i]
		out = append(out, f)
		want := ""
		if i+1 < len(archive.Files) && strings.HasSuffix(archive.Files[i+1].Name, ".want") {
			i++
			want = string(archive.Files[i].Data)
		}
		_, err := Parse(f.Name, f.Data)
		if err == nil {
			t.Errorf("%s is accepted", f.Name)
			continue
		}
		got := err.Error() + "\n"
		out = append(out, txtar.File{Name: strings.TrimSuffix(f.Name, ".yaml") + ".want", Data: []byte(got)})
		if got != want && !*update {
			t.Errorf("%s: got\n%swant\n%s", f.Name, got, want)
		}
	}
	if *update {
		archive.Files = out
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// variety is one experiment of every kind: between them they use every key.
var variety = []string{
	"data: {source: digits, classes: [3, 8], train: 7, test: 5, encoding: label}\nnetwork: {kind: two-layer, " +
		"activation: tanh}\nrichness: 1\ntraining: {learning_rate: 0.1, steps: 5, schedule: {kind: step, every: 3, " +
		"factor: 0.5}}\n" +
		"sweep: {points_per_task: 7, slurm: {partition: cpu, account: a, time: \"01:00:00\", cpus: 2, memory: 4G, " +
		"parallel: 3, arguments: --qos=long}}\n",
	"data: {source: mnist, path: a, train: 7}\nnetwork: {kind: mlp, depth: 3, activation: {relu: 2}}\nrichness: " +
		"1\ntraining: {learning_rate: 0.1, steps: 5, optimizer: momentum, momentum: 0.5, loss: {kind: " +
		"cross-entropy}, schedule: {kind: cosine}}\ntheory: {method: lazy}\n",
	"data: {source: csv, inputs: x, classes: [70, 3], encoding: sign}\nnetwork: {kind: two-layer, activation: " +
		"tanh}\nrichness: 1\ntraining: {learning_rate: 0.1, steps: 5, loss: logistic}\n",
	"data: {source: npy, inputs: x, targets: y, test_inputs: tx, test_targets: ty}\nnetwork: {kind: resnet, depth: " +
		"4, activation: {name: leaky-relu, slope: 0.1, gain: 2}}\nrichness: 1\ntraining: {learning_rate: 0.1, steps: " +
		"5, optimizer: flow}\n" +
		"transfer: {parameter: branch.beta, low: 0.1, high: 10, points: 7, refine: 1, loss: test, step: 3, theory: " +
		"both, tolerance: 0.2}\n",
	"data: {source: parity, dimension: 5, degree: 2, train: 7}\nnetwork: {kind: resnet, depth: infinite, activation: " +
		"erf}\nrichness: 1\ntraining: {learning_rate: 0.1, steps: 5, loss: logistic, batch: {size: 3}}\nrecord: " +
		"{kernels: all}\n",
	"data: {source: single-index, dimension: 5, polynomial: [0, 1], train: 7}\nnetwork: {kind: two-layer, " +
		"activation: {polynomial: [0, 1]}}\nrichness: 1\ntraining: {learning_rate: 0.1, steps: 5, optimizer: flow, " +
		"integrator: rk4}\n",
	"data: {source: teacher, dimension: 5, width: 2, activation: {quadratic-mix: 1}, outputs: 2, train: 7}\nnetwork: " +
		"{kind: two-layer, activation: gelu}\nrichness: 1\ntraining: {learning_rate: 0.1, steps: 5}\nsimulation: " +
		"{parametrization: standard}\n",
	"data: {source: modular-addition, modulus: 5, train: 7}\nnetwork: {kind: two-layer, activation: " +
		"linear}\nrichness: 1\ntraining: {learning_rate: 0.1, steps: 5, schedule: {kind: exponential, factor: 0.9}}\n",
	"data: {source: kernel-eigenvector, dimension: 5, activation: {quadratic-mix: 0.25}, index: 2, train: " +
		"7}\nnetwork: {kind: two-layer, activation: linear}\nrichness: 1\ntraining: {learning_rate: 0.1, steps: 5}\n",
	"data: {source: high-dimensional, ratio: 4}\nnetwork: {kind: two-layer, units: 2, activation: {quadratic-mix: " +
		"0.5}, readout: trained}\ntarget: {kind: link, activation: tanh, weights: [1], overlaps: [0.3, " +
		"-0.25]}\ntraining: {learning_rate: 0.1, steps: 5}\n",
	"data: {source: high-dimensional, ratio: 4}\nnetwork: {kind: two-layer, units: infinite, activation: " +
		"{quadratic-mix: 0.5}}\ntraining: {learning_rate: 0.1, steps: 5}\nsimulation: {method: moments}\n",
}

// TestOneMistakeOneError: in a file with every key written out, one unreadable value is exactly one error, at its line;
// so is one misspelt key, with the right one suggested. Keys whose conditions depend on it are not blamed.
func TestOneMistakeOneError(t *testing.T) {
	used := map[string]bool{}
	for _, src := range variety {
		full := string(one(t, src).YAML())
		if !strings.HasPrefix(full, "name: x\n") {
			t.Fatalf("no name:\n%s", full)
		}
		lines := strings.Split(strings.TrimSuffix(full, "\n"), "\n")
		path := []string{}
		for i, l := range lines {
			depth := (len(l) - len(strings.TrimLeft(l, " "))) / 2
			key, val, _ := strings.Cut(strings.TrimSpace(l), ":")
			path = append(path[:depth], key)
			used[strings.Join(path, ".")] = true
			check := func(what, changed, want string) {
				text := strings.Join(slices.Concat(lines[:i], []string{changed}, lines[i+1:]), "\n")
				_, err := Parse("x.yaml", []byte(text))
				var all Errors
				if !errors.As(err, &all) || len(all) != 1 || all[0].Line != i+1 || !strings.Contains(all[0].Message, want) {
					t.Errorf("%s of line %d: want one error with %q there, got %v\n%s", what, i+1, want, err, text)
				}
			}
			indent := strings.Repeat("  ", depth)
			if val != "" {
				check("unreadable value", indent+key+": {no: such}", strings.Join(path, "."))
				check("empty value", indent+key+":", "no value")
			}
			if !slices.Contains([]string{"seed", "kind"}, key) { // short names are near one another
				check("misspelling", strings.Replace(l, key, key+"q", 1), "did you mean "+key+"?")
			}
		}
	}
	for _, f := range fields {
		if f.path != "description" && !used[f.path] {
			t.Errorf("%s is in none of the experiments", f.path)
		}
	}
}

// TestMissing: leaving out a required key is exactly one error that names it.
func TestMissing(t *testing.T) {
	for _, src := range variety {
		e := one(t, src)
		lines := strings.Split(strings.TrimSuffix(string(e.YAML()), "\n"), "\n")
		for _, f := range fields {
			if !f.required || f.applies(&e) != "" || f.choose != nil && f.choose(&e) != nil {
				continue
			}
			key := f.path[strings.LastIndex(f.path, ".")+1:]
			section, _, dotted := strings.Cut(f.path, ".")
			in := !dotted
			var rest []string
			for _, l := range lines {
				if dotted && !strings.HasPrefix(l, " ") {
					in = l == section+":"
				}
				// The key itself, at the depth where the path puts it.
				if in && strings.HasPrefix(l, strings.Repeat("  ", strings.Count(f.path, "."))+key+":") {
					continue
				}
				rest = append(rest, l)
			}
			_, err := Parse("x.yaml", []byte(strings.Join(rest, "\n")))
			var all Errors
			if !errors.As(err, &all) || len(all) != 1 ||
				!strings.Contains(all[0].Message, "the key "+f.path+" is missing") || strings.Contains(all[0].Message, ". ") {
				t.Errorf("without %s: %v", f.path, err)
			}
		}
	}
}

// TestConditions: a condition depends on no other choice than those it declares, and says so in the documentation.
func TestConditions(t *testing.T) {
	for i := range fields {
		f := &fields[i]
		if (f.when.why == nil) != (f.when.doc == "") || (f.when.why == nil) != (f.when.on == nil) {
			t.Errorf("%s: an incomplete condition", f.path)
		}
		for _, on := range append(slices.Clone(f.when.on), f.from) {
			if j := slices.IndexFunc(fields, func(g field) bool { return g.path == on }); on != "" && (j < 0 || j >= i) {
				t.Errorf("%s depends on %s, which is not above it", f.path, on)
			}
		}
		if f.when.why == nil {
			continue
		}
		for _, src := range variety {
			e := one(t, src)
			was := f.applies(&e) == ""
			for k := range fields {
				g := &fields[k]
				if slices.Contains(f.when.on, g.path) || k == i {
					continue
				}
				changed := e
				switch p := g.at(&changed).(type) {
				case *string:
					for _, v := range g.enum {
						*p = v
						if (f.applies(&changed) == "") != was {
							t.Errorf("%s depends on %s=%s, which it does not declare", f.path, g.path, v)
						}
					}
				case *int:
					*p = 17
				case *depth:
					*p = 17
				case *float64:
					*p = 17
				case *bool:
					*p = !*p
				}
				if (f.applies(&changed) == "") != was {
					t.Errorf("%s depends on %s, which it does not declare", f.path, g.path)
				}
			}
		}
	}
	for i := range rules {
		for _, on := range rules[i].on {
			if lookup(on) == nil {
				t.Errorf("rule %d looks at %s, which is no key", i, on)
			}
		}
	}
}

// TestCaret: the caret stands below the first character of what is wrong, whatever else is on the line.
func TestCaret(t *testing.T) {
	for _, tc := range []struct{ src, at string }{
		{"data: {source: dígits, train: -3}", "-3"},
		{"description: 'é — 日'\nrichness: -3", "-3"},
		{"{description: 'é — ε', richness: -3}", "-3"},
		{"richness: -3 # comment\r\n", "-3"},
		{"# comment\n\n\nrichness:   -3\n", "-3"},
		{"richness:\n  - 1\n  - -3\n", "-3"},
		{"richness:\n    -3\n", "-3"},
		{"network:\n  activation:\n    name: tanhh\n    gain: 1\n", "tanhh"},
		{"network:\n  activation:\n    relu: 'x'\n", "'x'"},
		{"network: {activation: [tanh, {relu: [1]}]}", "[1]"},
		{"theory: {seed: \"7\"}", "\"7\""},
		{"\ufeffrichness: -3", "-3"},
		{"{description: '" + strings.Repeat("long ", 60) + "', richness: -3, name: b}", "-3"},
	} {
		_, err := Parse("x.yaml", []byte(tc.src))
		found := false
		var all Errors
		errors.As(err, &all)
		for _, e := range all {
			l := strings.Split(e.Error(), "\n")
			if len(l) != 3 {
				continue
			}
			text, caret := []rune(l[1]), []rune(l[2])
			if len(caret) <= len(text) && strings.HasPrefix(string(text[len(caret)-1:]), tc.at) && len(text) < 140 {
				found = true
			}
		}
		if !found {
			t.Errorf("no caret at %q:\n%v", tc.at, err)
		}
	}
	// Nothing a terminal would obey, and nothing endless, is printed.
	if _, err := Parse("x.yaml", []byte("\"a\x1b[31m\": 1\n"+strings.Repeat("b", 5000)+": 1\n")); err == nil ||
		strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q", err)
	}
}

// TestHostile: texts made to break a parser are refused in time and without a crash.
func TestHostile(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(64 << 20)) // far below the default limit, so that deep recursion would show
	for name, src := range map[string]string{
		"invalid UTF-8":   "name: a\ndescription: é\xff\n",
		"truncated UTF-8": "name: \xc3",
		"brackets":        strings.Repeat("[", 1<<18),
		"closed brackets": strings.Repeat("[", 1<<18) + strings.Repeat("]", 1<<18),
		"braces":          strings.Repeat("{a: ", 1<<18),
		"lists":           strings.Repeat("- ", 1<<18) + "1",
		"lists on lists":  strings.Repeat("-\t- ", 1<<17) + "a: b",
		"keys":            strings.Repeat("? ", 1<<18),
		"anchors":         strings.Repeat("&a ", 1<<18) + "1",
		"tags":            strings.Repeat("!a ", 1<<18) + "1",
		"tags in a key":   "name: " + strings.Repeat("! ", 1<<18) + "1",
		"staircase": func() (s string) {
			s = ""
			for i := range 1000 {
				s += strings.Repeat(" ", i) + "a:\n"
			}
			return s
		}(),
		"size":   "description: " + strings.Repeat("a", maxBytes),
		"laughs": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
		"NUL":    "name: \x00\nrichness: 1",
	} {
		_, err := Parse("x.yaml", []byte(src))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if len(err.Error()) > 5000 {
			t.Errorf("%s: %d bytes of messages", name, len(err.Error()))
		}
	}
	_, err := Parse("x.yaml", []byte("name: a\ndescription: é\xff\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "x.yaml:2:15: this is not UTF-8") {
		t.Errorf("%v", err)
	}
	for _, src := range []string{"\ufeff" + good, strings.ReplaceAll(good, "\n", "\r\n"), "---\n" + good + "...\n",
		"# a\n\t\n\t# tab\n" + good, good + "\n\n---\n"} {
		if _, err := Parse("x.yaml", []byte(src)); err != nil {
			t.Errorf("%v\n%q", err, src)
		}
	}
}

// TestEndless: no more of a file is read than an experiment file has.
func TestEndless(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip(err)
	}
	if _, err := Read("/dev/zero"); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%v", err)
	}
}

// TestRepeats: equal experiments have equal hashes however they are written, and different ones differ.
func TestRepeats(t *testing.T) {
	base := one(t, good)
	for _, r := range [][2]string{
		{"richness: 1.0", "richness: +1e0"}, {"optimizer: gd, ", ""}, {"tanh", "{tanh: 1}"},
		{"tanh", "{name: 'tanh', scale: 1}"}, {"seed: 1}\n", "seed: 1} # same\n"},
		{"steps: 200", "weight_decay: -0.0, steps: 2e2"}, {"loss: {kind: mse, reduction: sum}", "loss: mse"},
		{"digits-two-layer", "another"}, {"samples: 4000, ", ""},
	} {
		src := strings.Replace(good, r[0], r[1], 1)
		if src == good {
			t.Fatalf("%q is not in the file", r[0])
		}
		if one(t, src).Hash() != base.Hash() {
			t.Errorf("%q for %q changes the hash", r[1], r[0])
		}
	}
	seen := map[string]string{base.Hash(): "the original"}
	for i := range fields {
		f := &fields[i]
		if f.single {
			continue
		}
		e := base
		e.Data.Classes, e.Simulation.Widths = slices.Clone(base.Data.Classes), slices.Clone(base.Simulation.Widths)
		switch p := f.at(&e).(type) {
		case *string:
			*p += "x"
		case *int:
			*p += 3
		case *depth:
			*p += 3
		case *count:
			*p += 3
		case *uint64:
			*p += 3
		case *float64:
			*p = math.Nextafter(*p, inf)
		case *bool:
			*p = !*p
		case *[]int:
			*p = append(*p, 77)
		case *[]float64:
			*p = append(*p, 77)
		case *[]string:
			*p = append(*p, "lazy")
		case *kernels.Activation:
			p.Scale = 1.5
		}
		if other := seen[e.Hash()]; other != "" {
			t.Errorf("changing %s gives the hash of %s", f.path, other)
		}
		seen[e.Hash()] = f.path
	}
}

// TestSweeps: any scalar key takes a list; one value is a sweep too; what makes no sense to sweep does not.
func TestSweeps(t *testing.T) {
	f, err := Parse("x.yaml", []byte(strings.NewReplacer("richness: 1.0", "richness: [0.1]", "seed: 1}\nnetwork",
		"seed: [1, 2]}\nnetwork", "steps: 200", "centred: [true, false], steps: 200", "loss: {kind: mse",
		"loss: {kind: [mse]").Replace(good)))
	if err != nil {
		t.Fatal(err)
	}
	var labels []string
	for _, p := range f.Points() {
		labels = append(labels, p.Label)
	}
	want := []string{
		"data.seed=1, richness=0.1, training.centred=true, training.loss.kind=mse",
		"data.seed=1, richness=0.1, training.centred=false, training.loss.kind=mse",
		"data.seed=2, richness=0.1, training.centred=true, training.loss.kind=mse",
		"data.seed=2, richness=0.1, training.centred=false, training.loss.kind=mse",
	}
	if !reflect.DeepEqual(labels, want) {
		t.Errorf("%q", labels)
	}
	if p := f.Points()[2]; p.Experiment.Data.Seed != 2 || !p.Experiment.Training.Centred ||
		p.Values[0] != (Swept{"data.seed", "2"}) {
		t.Errorf("%+v", p)
	}
	for _, r := range [][3]string{
		{"digits-two-layer", "[a, b]", "name is a list"},
		{"richness: 1.0", "richness: [1, 1.0]", "x.yaml:5:15: richness lists 1 twice"},
		{"optimizer: gd", "optimizer: [momentum, gd], momentum: 0.9",
			"training.momentum does not apply: the optimizer gd has none (where training.optimizer=gd)"},
		{"optimizer: gd", "optimizer: [gd, momentum]",
			"the key training.momentum is missing (where training.optimizer=momentum)"},
		{"steps: 200", "steps: 200, batch: {size: [4, 40]}",
			"training.batch.size is 40, more than the 16 training points of data.train (where training.batch.size=40)"},
	} {
		_, err := Parse("x.yaml", []byte(strings.Replace(good, r[0], r[1], 1)))
		if err == nil || !strings.Contains(err.Error(), r[2]) {
			t.Errorf("%s: %v, want %q", r[1], err, r[2])
		}
	}
}

// accepts is as much of JSON Schema draft 7 as JSONSchema uses; any other keyword fails the test.
func accepts(t *testing.T, root, s map[string]any, v any) bool {
	num, isNum := v.(float64)
	obj, isObj := v.(map[string]any)
	arr, isArr := v.([]any)
	any1 := func(list any, ok func(any) bool) bool { return slices.ContainsFunc(list.([]any), ok) }
	for k, x := range s {
		ok := true
		switch k {
		case "description", "default", "$schema", "definitions", "properties":
		case "$ref":
			name, _ := strings.CutPrefix(x.(string), "#/definitions/")
			ok = accepts(t, root, root["definitions"].(map[string]any)[name].(map[string]any), v)
		case "type":
			if _, list := x.([]any); !list {
				x = []any{x}
			}
			ok = any1(x, func(name any) bool {
				switch name {
				case "object":
					return isObj
				case "array":
					return isArr
				case "number":
					return isNum
				case "integer":
					return isNum && num == math.Trunc(num)
				case "string":
					_, is := v.(string)
					return is
				case "boolean":
					_, is := v.(bool)
					return is
				}
				t.Fatalf("type %v", name)
				return false
			})
		case "anyOf":
			ok = any1(x, func(s any) bool { return accepts(t, root, s.(map[string]any), v) })
		case "not":
			ok = !accepts(t, root, x.(map[string]any), v)
		case "enum":
			ok = any1(x, func(w any) bool { return reflect.DeepEqual(w, v) })
		case "const":
			ok = reflect.DeepEqual(x, v)
		case "minimum":
			ok = !isNum || num >= x.(float64)
		case "exclusiveMinimum":
			ok = !isNum || num > x.(float64)
		case "maximum":
			ok = !isNum || num <= x.(float64)
		case "exclusiveMaximum":
			ok = !isNum || num < x.(float64)
		case "minItems":
			ok = !isArr || len(arr) >= int(x.(float64))
		case "uniqueItems":
			for i := range arr {
				for j := range i {
					ok = ok && !reflect.DeepEqual(arr[i], arr[j])
				}
			}
		case "items":
			for _, item := range arr {
				ok = ok && accepts(t, root, x.(map[string]any), item)
			}
		case "minProperties":
			ok = !isObj || len(obj) >= int(x.(float64))
		case "maxProperties":
			ok = !isObj || len(obj) <= int(x.(float64))
		case "required":
			for _, key := range x.([]any) {
				_, has := obj[key.(string)]
				ok = ok && (!isObj || has)
			}
		case "additionalProperties":
			for key, item := range obj {
				p, known := s["properties"].(map[string]any)[key].(map[string]any)
				ok = ok && known && accepts(t, root, p, item)
			}
		default:
			t.Fatalf("keyword %s", k)
		}
		if !ok {
			return false
		}
	}
	return true
}

var exponent = regexp.MustCompile(`([ \[]-?\d+)(e[-+]?\d)`)

// TestPortable: the numbers of a printed experiment read back exactly, and have the point that YAML 1.1 asks of a
// number with an exponent.
func TestPortable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64().Draw(t, "x")
		s := portable(x)
		if y, err := strconv.ParseFloat(s, 64); err != nil || y != x {
			t.Fatalf("%g is written %s", x, s)
		}
		if strings.Contains(s, "e") && !strings.Contains(s, ".") {
			t.Fatalf("%s has no point", s)
		}
	})
}

// decode reads YAML as an editor would, by version 1.2: the package yaml takes 1e-5 for text, as version 1.1 does.
func decode(t *testing.T, src string) any {
	t.Helper()
	src = exponent.ReplaceAllString(src, "$1.0$2")
	var v any
	if err := yaml.Unmarshal([]byte(src), &v); err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestJSONSchema: what Parse accepts, the schema accepts; every key is in it with its documentation; mistakes of key,
// type and range are refused.
func TestJSONSchema(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(JSONSchema(), &root); err != nil {
		t.Fatal(err)
	}
	valid := slices.Clone(variety)
	for _, src := range variety {
		valid = append(valid, string(one(t, src).YAML()))
	}
	valid = append(valid, good, strings.Replace(good, "1.0", "[0.1, 4]", 1),
		strings.Replace(good, "activation: tanh", "activation: [relu, {quadratic-mix: 0.5}, {name: erf, gain: 2}]", 1),
		strings.Replace(good, "loss: {kind: mse, reduction: sum}", "loss: [mse]", 1))
	files, _ := filepath.Glob("../../testdata/experiments/*.yaml")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		valid = append(valid, string(b))
	}
	for _, src := range valid {
		if _, err := Parse("x.yaml", []byte(src)); err != nil {
			t.Errorf("%v", err)
		}
		if !accepts(t, root, root, decode(t, src)) {
			t.Errorf("the schema refuses\n%s", src)
		}
	}
	for _, r := range [][2]string{
		{"richness: 1.0", "richnes: 1.0"}, {"richness: 1.0", "richness: 0"}, {"richness: 1.0", "richness: rich"},
		{"richness: 1.0", "richness: []"}, {"steps: 200", "steps: 2.5"}, {"steps: 200", "steps: 0"}, {", steps: 200", ""},
		{"tanh", "thanh"}, {"tanh", "{relu: 0}"}, {"tanh", "{relu: 1, tanh: 2}"}, {"tanh", "leaky-relu"},
		{"tanh", "{polynomial: 3}"}, {"kind: mse", "kind: rmse"}, {"optimizer: gd", "momentum: 1"},
		{"optimizer: gd", "momentum: -0.1"},
		{"[256, 1024]", "256"}, {"[256, 1024]", "[]"}, {"kind: two-layer", "kind: mlp, depth: deep"},
		{"source: digits", "sorce: digits"}, {"digits-two-layer", "[a, b]"}, {"theory: {", "theory: {x: 1, "},
	} {
		src := strings.Replace(good, r[0], r[1], 1)
		if _, err := Parse("x.yaml", []byte(src)); err == nil {
			t.Errorf("Parse accepts %s", r[1])
		}
		if accepts(t, root, root, decode(t, src)) {
			t.Errorf("the schema accepts %s", r[1])
		}
	}
	// That a source does not need richness is beyond the schema.
	if _, err := Parse("x.yaml", []byte(strings.Replace(good, "richness: 1.0", "", 1))); err == nil {
		t.Error("Parse accepts a file without richness")
	}
	for _, f := range fields {
		o := root
		for _, p := range strings.Split(f.path, ".") {
			if alt, ok := o["anyOf"].([]any); ok && p != "loss" { // loss: short form or section
				o = alt[len(alt)-1].(map[string]any)
			}
			o, _ = o["properties"].(map[string]any)[p].(map[string]any)
		}
		if o == nil || !strings.HasPrefix(fmt.Sprint(o["description"]), f.doc) {
			t.Errorf("%s is not in the schema", f.path)
		}
	}
}

// TestDefaultName: whatever a file is called, the name it gives to run folders holds no separators.
func TestDefaultName(t *testing.T) {
	clean := regexp.MustCompile(`^[^/\\\x00-\x1f]+$`)
	rapid.Check(t, func(t *rapid.T) {
		name := baseName(rapid.String().Draw(t, "path"))
		if !clean.MatchString(name) || name == "." || name == ".." || folderSafe(name) != name {
			t.Fatalf("%q", name)
		}
	})
	for _, bad := range []string{"../other", `a\b`, "..", `"a\nb"`} {
		if _, err := Parse("x.yaml", []byte(strings.Replace(good, "digits-two-layer", bad, 1))); err == nil ||
			!strings.Contains(err.Error(), "run folder") {
			t.Errorf("name %s: %v", bad, err)
		}
	}
}
