package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dmft": main})
}

// TestScripts runs whole commands; the scripts are testdata/script/*.txtar.
func TestScripts(t *testing.T) {
	experiments, err := filepath.Abs("../../testdata/experiments")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXPERIMENTS", experiments)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// exits CODE dmft ARGS… checks the exit code of a run.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				err := ts.Exec(args[1], args[2:]...)
				code := 0
				if err != nil {
					var exit *exec.ExitError
					if e, ok := err.(*exec.ExitError); ok {
						exit = e
					}
					if exit == nil {
						ts.Fatalf("%v", err)
					}
					code = exit.ExitCode()
				}
				if fmt.Sprint(code) != args[0] {
					ts.Fatalf("exit code %d, want %s", code, args[0])
				}
			},
			// json FILE… checks that files hold JSON.
			"json": func(ts *testscript.TestScript, neg bool, args []string) {
				for _, a := range args {
					if !json.Valid([]byte(ts.ReadFile(a))) {
						ts.Fatalf("%s is not JSON", a)
					}
				}
			},
			// python CODE runs Python with numpy, where it is installed.
			"python": func(ts *testscript.TestScript, neg bool, args []string) {
				if exec.Command("/usr/bin/python3", "-c", "import numpy").Run() != nil {
					if os.Getenv("CI") != "" {
						ts.Fatalf("no numpy for /usr/bin/python3 (Debian: python3-numpy)")
					}
					return
				}
				ts.Check(ts.Exec("/usr/bin/python3", append([]string{"-c"}, args...)...))
			},
		},
	})
}

// results reads every npz of a folder tree.
func results(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, ".npz") {
			rel, _ := filepath.Rel(dir, p)
			out[rel], err = os.ReadFile(p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestKill kills a run with SIGKILL again and again, at moments that fall in the theory, in the networks and between
// files, and resumes it: the results must be the bytes of a run that was left alone.
func TestKill(t *testing.T) {
	t.Run("compare", func(t *testing.T) { kill(t, "compare", 7, 5) })
	t.Run("converge", func(t *testing.T) { kill(t, "converge", 11, 4) })
}

func kill(t *testing.T, command string, files int, longer time.Duration) {
	exe, err := exec.LookPath("dmft") // made by testscript.Main
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "e.yaml")
	src := "data: {source: digits, classes: [3, 8], train: 12, test: 8}\nnetwork: {kind: two-layer, activation: " +
		"tanh}\nrichness: [0.5, 2]\n" +
		"training: {learning_rate: 0.02, steps: 150, optimizer: momentum, momentum: 0.5}\ntheory: {samples: " +
		"6000}\nsimulation: {widths: [64, 256], seeds: 12}\nrecord: {kernels: 4}\nconverge: {widths: [32, 64, 256], " +
		"samples: [2000]}\n"
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(out string, after time.Duration) (finished bool) {
		cmd := exec.Command(exe, command, file, "--out", filepath.Join(dir, out), "--no-figures", "--quiet",
			"--checkpoint", "20ms")
		var buf bytes.Buffer
		cmd.Stdout, cmd.Stderr = &buf, &buf
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		if after > 0 {
			select {
			case err := <-done:
				done <- err
			case <-time.After(after):
				_ = cmd.Process.Kill()
				<-done
				return false
			}
		}
		if err := <-done; err != nil && cmd.ProcessState.ExitCode() != exitDisagree {
			t.Fatalf("%v\n%s", err, buf.String())
		}
		return true
	}
	run("whole", 0)
	kills := 0
	for after := 60 * time.Millisecond; !run("killed", after); after += after / longer { // a busy machine needs long ones
		if kills++; kills > 60 {
			t.Fatal("the run makes no progress")
		}
	}
	if kills < 2 {
		t.Errorf("the run finished after %d kills; it is too short to test anything", kills)
	}
	want, got := results(t, filepath.Join(dir, "whole")), results(t, filepath.Join(dir, "killed"))
	if len(want) != files || len(got) != len(want) {
		t.Fatalf("%d and %d result files", len(want), len(got))
	}
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s differs after %d kills", name, kills)
		}
	}
	for _, left := range []string{"run.json", "parts"} {
		if _, err := os.Stat(filepath.Join(dir, "killed", left)); err == nil {
			t.Errorf("%s is left in a complete run folder", left)
		}
	}
	t.Logf("%d kills", kills)
}

// TestInterrupt: Ctrl-C, the end of a batch job and a terminal that closes save, say so and exit with 130; the same
// command goes on.
func TestInterrupt(t *testing.T) {
	for _, s := range stopSignals() {
		t.Run(s.String(), func(t *testing.T) { interrupt(t, s) })
	}
}

func interrupt(t *testing.T, signal os.Signal) {
	exe, err := exec.LookPath("dmft")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "e.yaml")
	src := "data: {source: gaussian, dimension: 30, train: 20}\nnetwork: {kind: two-layer, activation: " +
		"tanh}\nrichness: 1\n" +
		"training: {learning_rate: 0.001, steps: 2500}\ntheory: {samples: 4000}\nrecord: {kernels: 2}\n"
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "solve", file, "--out", filepath.Join(dir, "out"), "--no-figures")
	var buf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 500 { // until it is at work
		if _, err := os.Stat(filepath.Join(dir, "out", "run.json")); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(buf.String(), "same command") {
		t.Fatalf("exit code %d\n%s", code, buf.String())
	}
	parts, _ := filepath.Glob(filepath.Join(dir, "out", "parts", "*"))
	if len(parts) == 0 {
		t.Error("nothing was saved")
	}
	out, err := exec.Command(exe, "solve", file, "--out", filepath.Join(dir, "out"), "--no-figures").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "resuming") {
		t.Errorf("%v\n%s", err, out)
	}
}
