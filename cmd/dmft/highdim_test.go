package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestKillPhaseDiagram kills a phase diagram again and again and gives the same command again: only points under way
// are lost, and the results are the bytes of a run on one processor that was left alone.
func TestKillPhaseDiagram(t *testing.T) {
	exe, err := exec.LookPath("dmft") // made by testscript.Main
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "e.yaml")
	src := "data: {source: high-dimensional, ratio: [1, 3, 5]}\nnetwork: {kind: two-layer, units: 2, activation: " +
		"{quadratic-mix: [0.25, 0.5]}}\ntarget: {overlaps: [0.3, -0.25]}\n" +
		"training: {learning_rate: 0.05, steps: 100}\ntheory: {samples: 4096}\nsimulation: {dimensions: [50, 100], " +
		"seeds: 4}\ncompare: {tolerance: 10}\n"
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(out, procs string, after time.Duration) (finished bool) {
		cmd := exec.Command(exe, "grok", file, "--out", filepath.Join(dir, out), "--no-figures", "--quiet")
		cmd.Env = append(os.Environ(), "GOMAXPROCS="+procs)
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
		if err := <-done; err != nil {
			t.Fatalf("%v\n%s", err, buf.String())
		}
		return true
	}
	run("whole", "1", 0)
	kills, complete := 0, 0
	for after := 100 * time.Millisecond; !run("killed", "3", after); after += after / 6 { // a busy machine needs long ones
		if kills++; kills > 40 {
			t.Fatal("the diagram makes no progress")
		}
		done, _ := filepath.Glob(filepath.Join(dir, "killed", "*", "manifest.json"))
		if len(done) < complete {
			t.Errorf("%d points are complete after kill %d, %d were before", len(done), kills, complete)
		}
		complete = len(done)
	}
	if kills < 2 {
		t.Errorf("the diagram finished after %d kills; it is too short to test anything", kills)
	}
	want, got := results(t, filepath.Join(dir, "whole")), results(t, filepath.Join(dir, "killed"))
	if len(want) != 18 || len(got) != len(want) {
		t.Fatalf("%d and %d result files", len(want), len(got))
	}
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s differs after %d kills", name, kills)
		}
	}
	t.Logf("%d kills", kills)
}
