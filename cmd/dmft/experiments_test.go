package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/internal/experiment"
)

// TestShippedCommands: line 1 of every shipped experiment file is its command, which takes the file and can run it on
// its data. With DMFT_EXTENDED=1 those that take less than quick seconds are run.
func TestShippedCommands(t *testing.T) {
	const quick = 20
	dir, err := filepath.Abs("../../testdata/experiments")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no experiment files: %v", err)
	}
	ran, seen := 0, map[string]bool{}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(src), "\n")
			args := strings.Fields(strings.TrimPrefix(first, "# "))
			if len(args) < 3 || args[0] != "dmft" || args[2] != filepath.Base(path) {
				t.Fatalf("line 1 is %q, not a command with this file", first)
			}
			app := newApp(io.Discard, io.Discard)
			cmd := app.Command(args[1])
			if cmd == nil || cmd.Hidden {
				t.Fatalf("no command %s", args[1])
			}
			if err := mistaken(app, args); err != nil {
				t.Fatal(err)
			}
			f, err := experiment.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			points := f.Points()
			e := points[0].Experiment
			switch args[1] {
			case "converge":
				if len(e.Converge.Widths)+len(e.Converge.Dimensions) < 3 {
					t.Error("converge needs three sizes")
				}
			case "transfer":
				if _, err := f.TransferPanels(); err != nil {
					t.Error(err)
				}
			}
			s := &session{theory: args[1] != "simulate", sims: args[1] != "solve"}
			if args[1] == "sweep" {
				kind := modes[args[len(args)-1]]
				s.theory, s.sims = kind.theory, kind.sims
			}
			if e.HighDimensional() {
				if err := s.checkHighDimensional(points); err != nil {
					t.Error(err)
				}
			}
			seen[e.Data.Source], seen[e.Training.Loss] = true, true
			if slices.Contains([]string{"mnist", "fashion-mnist", "cifar10"}, e.Data.Source) { // the files are not here
				return
			}
			make := planOf
			if e.HighDimensional() {
				make = planOfHighDimensional
			}
			pl, err := make(points[0], &sets{say: func(string, ...any) {}}, dir, false)
			if err != nil {
				t.Fatal(err)
			}
			if os.Getenv("DMFT_EXTENDED") == "" || args[1] == "sweep" || args[1] == "converge" || args[1] == "transfer" {
				return
			}
			plans := []plan{pl}
			estimate(t.Context(), plans)
			if total := totalTime(plans) * float64(len(points)); !(total < quick) {
				return
			}
			ran++
			args[2] = path
			var out, errs bytes.Buffer
			code := realMain(append(args, "--out", filepath.Join(t.TempDir(), "out")), &out, &errs)
			if code != exitOK {
				t.Errorf("exit code %d\n%s%s", code, out.String(), errs.String())
			}
		})
	}
	for _, name := range append(data.Sources(), experiment.HighDimensional, "mse", "logistic", "cross-entropy") {
		if !seen[name] {
			t.Errorf("no shipped experiment has the source or loss %s", name)
		}
	}
	if os.Getenv("DMFT_EXTENDED") != "" && ran < 5 {
		t.Errorf("only %d of %d files were quick enough to be run", ran, len(files))
	}
}

// TestNearest: typing mistakes, beginnings, and what is like nothing.
// TestTotalTime: many small points take the time of their verdicts and files, one point does not.
func TestTotalTime(t *testing.T) {
	small := plan{theory: []work{{seconds: 1e-4, processors: 1e-4}}}
	plans := slices.Repeat([]plan{small}, 400)
	if s := totalTime(plans) * float64(runtime.GOMAXPROCS(0)); s < 5 || s > 60 {
		t.Errorf("400 points take %.3g s of processors", s)
	}
	if s := totalTime(plans[:1]); s != 1e-4 {
		t.Errorf("one takes %g s", s)
	}
}

func TestNearest(t *testing.T) {
	names := visible(newApp(io.Discard, io.Discard))
	for written, want := range map[string]string{"conpare": "compare", "comapre": "compare", "COMPARE": "compare",
		"comp": "compare", "sim": "simulate", "slove": "solve", "grokk": "grok", "x": "", "zzzzzzzz": "", "": ""} {
		if got := nearest(written, names); got != want {
			t.Errorf("%q: %q, want %q", written, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		d    int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"φx", "x", 1}} {
		if d := distance(c.a, c.b); d != c.d || distance(c.b, c.a) != c.d {
			t.Errorf("%s, %s: %d, want %d", c.a, c.b, d, c.d)
		}
	}
}
