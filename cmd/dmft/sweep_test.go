package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// here is this machine.
func here(t *testing.T) *cluster {
	t.Helper()
	t.Parallel()
	exe, err := exec.LookPath("dmft") // made by testscript.Main
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{t: t, exe: exe, dir: t.TempDir()}
}

// TestSweepKill: two processes work on the same points, and one or the other is killed with SIGKILL again and again;
// what has been finished is never computed again, no lock of a dead process is in the way, and the results are the
// bytes of a sweep that was left alone.
func TestSweepKill(t *testing.T) {
	c := here(t)
	c.write("e.yaml", `data: {source: digits, classes: [3, 8], train: 12, test: 8}
network: {kind: two-layer, activation: tanh}
richness: [0.5, 1, 2, 4]
training: {learning_rate: 0.02, steps: 150, optimizer: momentum, momentum: 0.5}
theory: {samples: 4000}
simulation: {widths: [64], seeds: 6}
record: {kernels: 4}
compare: {tolerance: 1}
`)
	c.run(0, "sweep", "e.yaml", "--out", "whole", "--no-figures", "-q")
	args := func(out string) []string {
		return []string{"sweep", "e.yaml", "--out", out, "--store", "shared", "--no-figures", "--checkpoint", "20ms"}
	}
	manifests := func() map[string]time.Time {
		out := map[string]time.Time{}
		files, _ := filepath.Glob(filepath.Join(c.dir, "shared", "*", "manifest.json"))
		for _, f := range files {
			if st, err := os.Stat(f); err == nil {
				out[f] = st.ModTime()
			}
		}
		return out
	}
	kills := 0
	before := manifests()
	for after := 80 * time.Millisecond; ; after += after / 8 { // a busy machine needs long ones
		a, b := c.start(args("a")...), c.start(args("b")...)
		select { // whichever ends first, or one is killed
		case <-a.done:
		case <-b.done:
		case <-time.After(after):
			if kills++; kills%2 == 0 {
				_ = a.Process.Kill()
			} else {
				_ = b.Process.Kill()
			}
			time.Sleep(after / 4)
			_, _ = a.Process.Kill(), b.Process.Kill()
			<-a.done
			<-b.done
			now := manifests()
			for f, at := range before {
				if !now[f].Equal(at) {
					t.Errorf("%s was computed again", f)
				}
			}
			if before = now; kills > 60 {
				t.Fatal("the sweep makes no progress")
			}
			continue
		}
		// The end, for both.
		for _, p := range []*process{a, b} {
			if out := c.end(p, 0); !strings.Contains(out, "4 of 4 points complete") {
				t.Errorf("%s", out)
			}
		}
		break
	}
	if kills < 2 {
		t.Errorf("the sweep finished after %d kills; it is too short to test anything", kills)
	}
	want, got := results(t, filepath.Join(c.dir, "whole", "points")), results(t, filepath.Join(c.dir, "shared"))
	if len(want) != 9 || len(got) != len(want) { // theory and networks of four points, and the data once
		t.Errorf("%d and %d result files", len(want), len(got))
	}
	for name, x := range want {
		if !bytes.Equal(got[name], x) {
			t.Errorf("%s differs after %d kills", name, kills)
		}
	}
	t.Logf("%d kills", kills)
}

// TestSweepTwice: two processes that begin at the same time share the points out between them.
func TestSweepTwice(t *testing.T) {
	c := here(t)
	c.write("e.yaml", strings.Replace(smallSweep, "[0.5, 1, 2]", "[0.5, 1, 2, 3, 4, 5]", 1))
	a := c.start("sweep", "e.yaml", "--mode", "solve", "--out", "a", "--store", "shared", "--no-figures")
	b := c.start("sweep", "e.yaml", "--mode", "solve", "--out", "b", "--store", "shared", "--no-figures")
	out := c.end(a, 0) + c.end(b, 0)
	if n := strings.Count(out, ": done in") - strings.Count(out, "12 points: done in"); n > 12 {
		t.Errorf("12 points, and %d were computed\n%s", n, out)
	}
}

// TestSweepInterrupt: Ctrl-C, and --cancel from elsewhere, keep what there is; the same command goes on to the same
// bytes.
func TestSweepInterrupt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes are not told to stop there")
	}
	c := here(t)
	c.write("e.yaml", `data: {source: gaussian, dimension: 20, train: 12}
network: {kind: two-layer, activation: tanh}
richness: [1, 2, 3]
training: {learning_rate: 0.001, steps: 2500}
theory: {samples: 3000}
record: {kernels: 2, preactivations: 0}
`)
	args := func(out string) []string {
		return []string{"sweep", "e.yaml", "--mode", "solve", "--out", out, "--checkpoint", "20ms", "--no-figures"}
	}
	c.run(0, args("whole")...)
	p := c.start(args("out")...)
	c.running(p, "out")
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if out := c.end(p, exitInterrupted); !strings.Contains(out, "give the same command again") {
		t.Errorf("%s", out)
	}
	p = c.start(args("out")...)
	c.running(p, "out")
	if out := c.run(0, "sweep", "out", "--status"); !strings.Contains(out, "running") {
		t.Errorf("%s", out)
	}
	if out := c.run(0, "sweep", "out", "--cancel"); !strings.Contains(out,
		fmt.Sprintf("told process %d to stop", p.Process.Pid)) {
		t.Errorf("%s", out)
	}
	c.end(p, exitInterrupted)
	if out := c.run(0, "sweep", "out", "--no-figures"); !strings.Contains(out, "resuming the run") {
		t.Errorf("%s", out)
	}
	c.same("whole", "out")
}

// TestSweepAlone: points that need more memory than their share of it run when the others are through.
func TestSweepAlone(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("nothing is side by side on one core")
	}
	c := here(t)
	c.write("e.yaml", "data: {source: gaussian, dimension: 10, train: [100, 200]}\nnetwork: {kind: two-layer, "+
		"activation: relu}\nrichness: 1\n"+
		"training: {learning_rate: 0.0001, steps: 2}\nsimulation: {widths: [1000], seeds: 2}\n")
	// Found out from what check says that the larger one needs.
	var doc struct {
		Points []struct {
			Bytes map[string]int64 `json:"network_memory_bytes"`
		}
	}
	if err := json.Unmarshal([]byte(c.run(0, "check", "e.yaml", "--json")), &doc); err != nil {
		t.Fatal(err)
	}
	need := doc.Points[1].Bytes["1000"]
	out := c.run(0, "sweep", "e.yaml", "--mode", "simulate", "--out", "out", "--memory", fmt.Sprint(need*5/4),
		"--no-figures")
	if !strings.Contains(out, "2 of 2 points complete") {
		t.Errorf("%s", out)
	}
	c.run(exitFailed, "sweep", "e.yaml", "--mode", "simulate", "--out", "less", "--memory", fmt.Sprint(need*9/10),
		"--no-figures")
}

// BenchmarkSweep is a 20×20 grid of small problems on one core and on all: go test -run '^$' -bench Sweep -benchtime 1x
// ./cmd/dmft
func BenchmarkSweep(b *testing.B) {
	exe, err := exec.LookPath("dmft")
	if err != nil {
		b.Fatal(err)
	}
	list := func(scale float64) string {
		var s []string
		for i := range 20 {
			s = append(s, fmt.Sprintf("%.4g", scale*float64(i+1)))
		}
		return "[" + strings.Join(s, ", ") + "]"
	}
	dir := b.TempDir()
	src := fmt.Sprintf("data: {source: digits, classes: [0, 1], train: 8, test: 16}\nnetwork: {kind: mlp, depth: 2, "+
		"activation: tanh}\nrichness: %s\n"+
		"training: {learning_rate: %s, steps: 60}\ntheory: {samples: 2000}\nrecord: {kernels: 5, preactivations: 0}\n",
		list(0.1), list(0.001))
	if err := os.WriteFile(filepath.Join(dir, "grid.yaml"), []byte(src), 0o644); err != nil {
		b.Fatal(err)
	}
	one := 0.
	for _, cores := range []int{1, runtime.NumCPU()} {
		b.Run(fmt.Sprintf("cores=%d", cores), func(b *testing.B) {
			var cpu, wall time.Duration
			for n := range b.N {
				cmd := exec.Command(exe, "sweep", "grid.yaml", "--mode", "solve", "--out",
					fmt.Sprintf("%d-%d-%d", cores, b.N, n), "--no-figures", "-q")
				cmd.Dir, cmd.Env = dir, append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", cores))
				began := time.Now()
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				wall += time.Since(began)
				cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			}
			b.ReportMetric(400*float64(b.N)/wall.Seconds(), "points/s")
			b.ReportMetric(cpu.Seconds()/wall.Seconds(), "cores-busy")
			if per := wall.Seconds() / float64(b.N); cores == 1 {
				one = per
			} else if one > 0 {
				b.ReportMetric(one/per, "times-one-core")
			}
		})
	}
}
