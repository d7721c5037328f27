package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKillTransfer kills a transfer study again and again, by SIGKILL and by Ctrl-C in turn, and resumes it with other
// numbers of processors: the results are the bytes of one that was left alone.
func TestKillTransfer(t *testing.T) {
	exe, err := exec.LookPath("dmft")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "e.yaml")
	src := "data: {source: digits, classes: [3, 8], train: 12, test: 8}\nnetwork: {kind: mlp, depth: 2, activation: " +
		"tanh}\nrichness: 1\n" +
		"training: {learning_rate: 1, steps: 12, loss: {kind: mse, reduction: mean}}\ntheory: {samples: " +
		"1000}\nsimulation: {widths: [16, 64], seeds: 3, parametrization: [mup, ntk]}\ntransfer: {loss: test}\n"
	if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(out string, after time.Duration, signal os.Signal, procs string) (finished bool) {
		cmd := exec.Command(exe, "transfer", file, "--out", filepath.Join(dir, out), "--no-figures")
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
				_ = cmd.Process.Signal(signal)
				<-done
				// −1: before it listens
				if code := cmd.ProcessState.ExitCode(); signal == os.Interrupt && code != exitInterrupted &&
					code != exitOK && code != -1 {
					t.Fatalf("exit code %d\n%s", code, buf.String())
				}
				if signal == os.Interrupt && cmd.ProcessState.ExitCode() == exitInterrupted &&
					!strings.Contains(buf.String(), "same command") {
					t.Fatalf("an interruption without advice:\n%s", buf.String())
				}
				return cmd.ProcessState.ExitCode() == exitOK
			}
		}
		if err := <-done; err != nil {
			t.Fatalf("%v\n%s", err, buf.String())
		}
		return true
	}
	run("whole", 0, nil, "1")
	stops := 0
	for after := 100 * time.Millisecond; ; after += after / 3 {
		signal := []os.Signal{os.Kill, os.Interrupt}[stops%2]
		if run("killed", after, signal, []string{"1", "2", "3"}[stops%3]) {
			break
		}
		if stops++; stops > 200 {
			t.Fatal("the study makes no progress")
		}
	}
	if stops < 2 {
		t.Errorf("the study finished after %d interruptions; it is too short to test anything", stops)
	}
	want, got := results(t, filepath.Join(dir, "whole")), results(t, filepath.Join(dir, "killed"))
	if len(want) != 1 || !bytes.Equal(want["transfer.npz"], got["transfer.npz"]) {
		t.Errorf("%d results, or they differ after %d interruptions", len(want), stops)
	}
	t.Logf("%d interruptions", stops)
}
