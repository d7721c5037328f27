//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestNohup: a run that was started with SIGHUP ignored outlives its terminal.
func TestNohup(t *testing.T) {
	exe, err := exec.LookPath("dmft")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(stopSignals(), os.Signal(syscall.SIGHUP)) {
		t.Skip("this test was itself started with SIGHUP ignored")
	}
	dir := t.TempDir()
	file, out := filepath.Join(dir, "e.yaml"), filepath.Join(dir, "out")
	src := "data: {source: gaussian, dimension: 30, train: 20}\nnetwork: {kind: two-layer, activation: " +
		"tanh}\nrichness: 1\n" +
		"training: {learning_rate: 0.001, steps: 1000}\ntheory: {samples: 4000}\nrecord: {kernels: 2}\n"
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `trap '' HUP; exec "$0" "$@"`, exe, "solve", file, "--out", out,
		"--no-figures", "--quiet")
	var buf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := 0
	for range 500 {
		if _, err := os.Stat(filepath.Join(out, "manifest.json")); err == nil {
			break
		}
		if _, err := os.Stat(filepath.Join(out, "run.json")); err == nil && cmd.Process.Signal(syscall.SIGHUP) == nil {
			hung++
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Wait(); err != nil || hung == 0 {
		t.Errorf("%v after %d signals\n%s", err, hung, buf.String())
	}
}
