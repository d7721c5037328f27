package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/internal/run"
	"github.com/seed39b58f2d/dmft/internal/sweep"
)

// cluster is a SLURM cluster to test on: the real one that .ci/slurm sets up (DMFT_SLURM=1), or the scripts in
// testdata/slurm.
type cluster struct {
	t    *testing.T
	exe  string
	dir  string   // for files that nodes see
	env  []string // in which the cluster is found
	real bool
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	exe, err := exec.LookPath("dmft") // made by testscript.Main
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, exe: exe, dir: t.TempDir(), real: os.Getenv("DMFT_SLURM") != ""}
	if c.real {
		if _, err := exec.LookPath("sbatch"); err != nil {
			t.Fatal("DMFT_SLURM is set and there is no sbatch")
		}
		return c
	}
	if runtime.GOOS == "windows" {
		t.Skip("the scripts that stand in for SLURM need a shell")
	}
	for _, tool := range []string{"bash", "setsid"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the scripts that stand in for SLURM need %s", tool)
		}
	}
	scripts, err := filepath.Abs("testdata/slurm")
	if err != nil {
		t.Fatal(err)
	}
	c.env = []string{"FAKE_SLURM=" + t.TempDir(), "PATH=" + scripts + string(filepath.ListSeparator) + os.Getenv("PATH")}
	return c
}

// process is a running dmft.
type process struct {
	*exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

func (c *cluster) start(args ...string) *process {
	c.t.Helper()
	p := &process{Cmd: exec.Command(c.exe, args...), done: make(chan struct{})}
	p.Dir, p.Env, p.Stdout, p.Stderr = c.dir, append(os.Environ(), c.env...), &p.out, &p.out
	if err := p.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		_ = p.Wait()
		close(p.done)
	}()
	return p
}

// end waits for the end and checks the exit code.
func (c *cluster) end(p *process, code int) string {
	c.t.Helper()
	select {
	case <-p.done:
	case <-time.After(4 * time.Minute):
		_ = p.Process.Kill()
		<-p.done
		c.t.Fatalf("%v does not end\n%s", p.Args, p.out.String())
	}
	if got := p.ProcessState.ExitCode(); got != code {
		c.t.Fatalf("%v: exit code %d, want %d\n%s\n%s", p.Args[1:], got, code, p.out.String(), c.logs())
	}
	return p.out.String()
}

func (c *cluster) run(code int, args ...string) string {
	c.t.Helper()
	return c.end(c.start(args...), code)
}

// logs are those of tasks, for messages of tests that fail.
func (c *cluster) logs() string {
	var b strings.Builder
	files, _ := filepath.Glob(filepath.Join(c.dir, "*", "slurm", "*", "*.log"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		fmt.Fprintf(&b, "--- %s\n%s", f, text)
	}
	return b.String()
}

// index reads sweep.json.
func (c *cluster) index(out string) (folders []string) {
	c.t.Helper()
	b, err := os.ReadFile(filepath.Join(c.dir, out, "sweep.json"))
	if err != nil {
		c.t.Fatal(err)
	}
	var ix struct{ Points []struct{ Folder string } }
	if err := json.Unmarshal(b, &ix); err != nil {
		c.t.Fatal(err)
	}
	for _, p := range ix.Points {
		folders = append(folders, filepath.Join(c.dir, out, "points", p.Folder))
	}
	return folders
}

func (c *cluster) write(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// same checks that two sweeps have the same results, to the byte.
func (c *cluster) same(a, b string) {
	c.t.Helper()
	want, got := results(c.t, filepath.Join(c.dir, a, "points")), results(c.t, filepath.Join(c.dir, b, "points"))
	if len(want) == 0 || len(got) != len(want) {
		c.t.Errorf("%d and %d result files", len(want), len(got))
	}
	for name, x := range want {
		if !bytes.Equal(got[name], x) {
			c.t.Errorf("%s differs", name)
		}
	}
}

// running waits until a point of a sweep is at work, with a checkpoint on disk, and returns its process and task.
func (c *cluster) running(p *process, out string) (pid int, task string) {
	return c.atWork(p, out, true)
}

func (c *cluster) atWork(p *process, out string, checkpoint bool) (pid int, task string) {
	c.t.Helper()
	for began := time.Now(); time.Since(began) < 4*time.Minute; time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.done:
			c.t.Fatalf("the sweep ended before a point was at work for long enough\n%s\n%s", p.out.String(), c.logs())
		default:
		}
		w, err := sweep.Open(filepath.Join(c.dir, out))
		if err != nil {
			continue
		}
		if slices.Contains(p.Args, "slurm") { // tasks may be at work before all is submitted
			if subs, err := w.Submissions(); err != nil || len(subs) == 0 || subs[len(subs)-1].Jobs.Collect == "" {
				continue
			}
		}
		for _, f := range c.index(out) {
			if state, _ := run.Look(f); state != run.Running {
				continue
			}
			if parts, _ := filepath.Glob(filepath.Join(f, "parts", "*.checkpoint")); checkpoint && len(parts) == 0 {
				continue
			}
			b, err := os.ReadFile(filepath.Join(f, ".owner"))
			var o run.Owner
			if err != nil || json.Unmarshal(b, &o) != nil {
				continue
			}
			return o.PID, o.Job
		}
	}
	c.t.Fatalf("no point of %s is at work\n%s", out, c.logs())
	return 0, ""
}

// warn tells a task that its time is nearly up.
func (c *cluster) warn(task string) {
	c.t.Helper()
	warn := exec.Command("/bin/sh", "-c", `exec scancel --signal=USR1 --batch "$0"`, task)
	warn.Env = append(os.Environ(), c.env...)
	if out, err := warn.CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
}

const smallSweep = `data: {source: digits, classes: [0, 1], train: 6, test: 4}
network: {kind: two-layer, activation: tanh}
richness: [0.5, 1, 2]
training: {learning_rate: [0.01, 0.02], steps: 20}
theory: {samples: 1000}
record: {kernels: 2, preactivations: 0}
sweep: {points_per_task: 2}
`

// TestSlurmSweep: a job array computes what this machine does; a point that fails is on record, stops no other, and is
// tried again on demand; finished points are never computed again.
func TestSlurmSweep(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.write("e.yaml", smallSweep)
	c.run(0, "sweep", "e.yaml", "--mode", "solve", "--out", "here", "--no-figures")
	out := c.run(0, "sweep", "e.yaml", "--mode", "solve", "--out", "there", "--executor", "slurm")
	if !strings.Contains(out, "3 tasks for 6 points") || !strings.Contains(out, "6 of 6 points complete") {
		t.Errorf("%s", out)
	}
	c.same("here", "there")
	for _, f := range []string{"summary.csv", "summary.npz", "slurm/1/collect.log", "figures/heat-loss.png"} {
		if _, err := os.Stat(filepath.Join(c.dir, "there", f)); err != nil {
			t.Error(err)
		}
	}

	// Two points are lost, and one of their folders has become something else.
	folders := c.index("there")
	for _, f := range folders[2:4] {
		if err := os.RemoveAll(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(folders[2], 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folders[2], "notes.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(folders[0], "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	out = c.run(exitFailed, "sweep", "there", "--executor", "slurm", "--no-figures")
	for _, want := range []string{"4 of 6 points are complete already", "1 tasks for 2 points",
		"failed: richness=1, training.learning_rate=0.01", "it holds notes.txt", "1 of 6 points failed", "--resume"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if err := os.Remove(filepath.Join(folders[2], "notes.txt")); err != nil {
		t.Fatal(err)
	}
	if out = c.run(exitFailed, "sweep", "there", "--executor", "slurm", "--no-figures"); strings.Contains(out,
		"submitted") || !strings.Contains(out, "1 points have failed before") {
		t.Errorf("%s", out)
	}
	if out = c.run(0, "sweep", "there", "--status"); !strings.Contains(out, "5 of 6 points complete, 1 failed") ||
		!strings.Contains(out, "notes.txt") {
		t.Errorf("%s", out)
	}
	c.run(0, "sweep", "there", "--executor", "slurm", "--resume", "--no-figures")
	c.same("here", "there")
	if after, err := os.ReadFile(filepath.Join(folders[0], "manifest.json")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a finished point was touched: %v", err)
	}

	// What SLURM does not accept is said in its words, and nothing is left behind.
	c.write("bad.yaml", strings.Replace(smallSweep, "points_per_task: 2", "slurm: {partition: nowhere}", 1))
	if out = c.run(exitFailed, "sweep", "bad.yaml", "--mode", "solve", "--executor", "slurm"); !strings.Contains(out,
		"invalid partition") {
		t.Errorf("%s", out)
	}
}

// TestSlurmOddFolder: neither SLURM nor its scripts take the name of a folder for a pattern, quotes in arguments are
// those of a shell, a greeting of sbatch hides no job, and what has been cancelled is over.
func TestSlurmOddFolder(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.env = append(c.env, "FAKE_BANNER=Welcome to the cluster!")
	c.write("e.yaml", strings.Replace(smallSweep, "points_per_task: 2",
		`points_per_task: 3, slurm: {arguments: "--comment='two words'"}`, 1))
	const name = "q[1] 100%a it's $HOME"
	c.run(0, "sweep", "e.yaml", "--mode", "solve", "--out", "here", "--no-figures")
	out := c.run(0, "sweep", "e.yaml", "--mode", "solve", "--out", name, "--executor", "slurm", "--sbatch",
		`--comment "more words"`, "--no-figures")
	if !strings.Contains(out, "2 tasks for 6 points") || !strings.Contains(out, "6 of 6 points complete") {
		t.Errorf("%s", out)
	}
	c.same("here", name)
	for _, f := range []string{"0.log", "1.log", "collect.log"} {
		if _, err := os.Stat(filepath.Join(c.dir, name, "slurm", "1", f)); err != nil {
			t.Error(err)
		}
	}
	if out = c.run(0, "sweep", name, "--cancel"); !strings.Contains(out, "nothing is at work") {
		t.Errorf("%s", out)
	}
}

// TestSlurmInterruptions: a task that is warned of the end of its time is queued again; one that is killed loses the
// time since its last checkpoint; an array that is cancelled keeps what it has. In the end the results are those of a
// run that was left alone.
func TestSlurmInterruptions(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.write("long.yaml", `data: {source: gaussian, dimension: 20, train: 12}
network: {kind: two-layer, activation: tanh}
richness: [1, 2]
training: {learning_rate: 0.001, steps: 5000}
theory: {samples: 6000}
record: {kernels: 2, preactivations: 0}
sweep: {points_per_task: 2}
`)
	c.run(0, "sweep", "long.yaml", "--mode", "solve", "--out", "here", "--no-figures")
	args := []string{"sweep", "long.yaml", "--mode", "solve", "--out", "there", "--executor", "slurm", "--checkpoint",
		"20ms", "--no-figures"}

	// Warned, it goes on by itself; then killed.
	p := c.start(args...)
	_, task := c.running(p, "there")
	c.warn(task)
	log := filepath.Join(c.dir, "there", "slurm", "1", "0.log")
	deadline := time.Now().Add(4 * time.Minute)
	for again := false; !again; time.Sleep(20 * time.Millisecond) {
		b, _ := os.ReadFile(log)
		again = strings.Count(string(b), "points to do") == 2
		if time.Now().After(deadline) {
			t.Fatalf("the task was not queued again\n%s", c.logs())
		}
	}
	if b, _ := os.ReadFile(log); !strings.Contains(string(b), "queued again") ||
		!strings.Contains(string(b), "resuming the run") && strings.Count(string(b), "resuming") > 1 {
		t.Errorf("%s", b)
	}
	pid, _ := c.running(p, "there")
	worker, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Kill(); err != nil {
		t.Fatal(err)
	}
	out := c.end(p, exitFailed)
	for _, want := range []string{"task 0 of job array", "signal 9", "not finished; the same command goes on"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}

	// Cancelled from elsewhere.
	p = c.start(args...)
	c.running(p, "there")
	if out := c.run(exitFailed, "sweep", "there"); !strings.Contains(out, "is at work on this sweep") {
		t.Errorf("%s", out)
	}
	if out := c.run(0, "sweep", "there", "--status"); !strings.Contains(out, "1 tasks running") ||
		!strings.Contains(out, "1 running") {
		t.Errorf("%s", out)
	}
	if out := c.run(0, "sweep", "there", "--cancel"); !strings.Contains(out, "cancelled job array") {
		t.Errorf("%s", out)
	}
	if out := c.end(p, exitFailed); !strings.Contains(out, "CANCELLED") {
		t.Errorf("%s", out)
	}

	// Followed by Ctrl-C, which leaves the jobs alone, and by the same command again.
	p = c.start(args...)
	c.running(p, "there")
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if out := c.end(p, exitInterrupted); !strings.Contains(out, "goes on") {
		t.Errorf("%s", out)
	}
	if out := c.run(0, args...); !strings.Contains(out, "was submitted before") &&
		!strings.Contains(out, "2 of 2 points are complete already") {
		t.Errorf("%s", out)
	}
	c.same("here", "there")
}

// TestSlurmNothingKept: a task that has nothing to go on from is not queued again for ever.
func TestSlurmNothingKept(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.write("moments.yaml", `data: {source: high-dimensional, ratio: 2}
network: {kind: two-layer, units: infinite, activation: {quadratic-mix: 0.25}}
training: {learning_rate: 0.001, steps: 100000, centred: true}
simulation: {method: moments, dimensions: [100], seeds: 1}
`)
	p := c.start("sweep", "moments.yaml", "--mode", "simulate", "--out", "out", "--executor", "slurm", "--no-figures")
	_, task := c.atWork(p, "out", false)
	time.Sleep(1500 * time.Millisecond) // what the folder itself is made of is older
	c.warn(task)
	if out := c.end(p, exitFailed); !strings.Contains(out, "FAILED, exit code 1") {
		t.Errorf("%s", out)
	}
	if log := c.logs(); !strings.Contains(log, "raise sweep.slurm.time") || strings.Contains(log, "queued again\n") {
		t.Error(log)
	}
}
