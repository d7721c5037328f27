package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestMemoryHeld: a run that was accepted with a limit keeps to it, although the garbage collector left alone would let
// its memory grow to twice of what is in use.
func TestMemoryHeld(t *testing.T) {
	exe, err := exec.LookPath("dmft")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "e.yaml")
	src := "data: {source: gaussian, dimension: 10, train: 150, test: 10}\nnetwork: {kind: two-layer, activation: " +
		"relu}\nrichness: 1\n" +
		"training: {optimizer: nesterov, momentum: 0.9, learning_rate: 0.0005, steps: 40}\nsimulation: {widths: " +
		"[10000], seeds: 1}\ntheory: {samples: 400}\nrecord: {kernels: all}\n"
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(exe, "check", "--json", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Points []struct {
			Bytes map[string]int64 `json:"network_memory_bytes"`
		} `json:"points"`
	}
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	limit := doc.Points[0].Bytes["10000"] * 103 / 100
	cmd := exec.Command(exe, "simulate", file, "--out", filepath.Join(dir, "out"), "--no-figures", "--quiet",
		"--memory", fmt.Sprint(limit))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const program = 24 << 20 // pages of a program with its tests
	if used := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10; used > limit+program {
		t.Errorf("%d MiB were used with a limit of %d MiB", used>>20, limit>>20)
	} else {
		t.Logf("%d of %d MiB", used>>20, limit>>20)
	}
}
