package executor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLocal: every job is done once, at most as many at a time as there are processors, with at least one goroutine
// each; all processors are given away to the last.
func TestLocal(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for _, n := range []int{0, 1, 2, 3, 4, 5, 8, 9, 50} {
		var mu sync.Mutex
		done := make([]int, n)
		now, most, last := 0, 0, Share{}
		err := Local(context.Background(), n, func(_ context.Context, i int, s Share) error {
			mu.Lock()
			now++
			most = max(most, now)
			done[i]++
			if i == n-1 {
				last = s
			}
			if s.Workers < 1 || s.Workers > 4 || s.Beside != min(n, 4) || i < n-8 && s.Workers > 1 {
				t.Errorf("job %d of %d: %+v", i, n, s)
			}
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		})
		if err != nil || most > 4 || n > 0 && last.Workers != 4 ||
			slices.ContainsFunc(done, func(k int) bool { return k != 1 }) {
			t.Errorf("%d jobs: %v, %d at a time, the last with %+v, done %v times", n, err, most, last, done)
		}
	}
}

// TestLocalIsEnded: when an end from outside leaves jobs that never began, Local says so, though those that did are all
// well.
func TestLocalIsEnded(t *testing.T) {
	for _, after := range []int{0, 3, 9} {
		ctx, cancel := context.WithCancel(context.Background())
		var mu sync.Mutex
		done := 0
		if after == 0 {
			cancel()
		}
		err := Local(ctx, 10, func(context.Context, int, Share) error {
			mu.Lock()
			defer mu.Unlock()
			if done++; done == after {
				cancel()
			}
			return nil
		})
		if done < 10 && !errors.Is(err, context.Canceled) || done == 10 && err != nil {
			t.Errorf("ended after %d: %v with %d of 10 done", after, err, done)
		}
		cancel()
	}
}

// TestLocalAnswers: a busy job is asked again until it is not, one that must be alone is, after the others, and an
// error stops what has not begun and wins over those that it interrupts.
func TestLocalAnswers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	var mu sync.Mutex
	asked := map[int]int{}
	var order []int
	err := Local(context.Background(), 4, func(_ context.Context, i int, s Share) error {
		mu.Lock()
		defer mu.Unlock()
		asked[i]++
		if i == 0 && asked[0] < 3 {
			return ErrBusy
		}
		if i == 1 && s.Beside > 1 {
			return ErrAlone
		}
		order = append(order, i)
		return nil
	})
	if err != nil || asked[0] != 3 || asked[1] != 2 || len(order) != 4 || order[3] != 1 {
		t.Errorf("%v: asked %v, done %v", err, asked, order)
	}

	bad := errors.New("bad")
	count := 0
	err = Local(context.Background(), 100, func(ctx context.Context, i int, _ Share) error {
		mu.Lock()
		count++
		mu.Unlock()
		if i == 1 {
			return bad
		}
		<-ctx.Done()
		return context.Canceled
	})
	if err != bad || count > 3 {
		t.Errorf("%v after %d jobs", err, count)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Local(ctx, 3, func(ctx context.Context, _ int, _ Share) error { return ctx.Err() }); err != nil &&
		!errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestTasksOf: the lists that scontrol prints.
func TestTasksOf(t *testing.T) {
	for list, want := range map[string][]int{
		"0": {0}, "7": {7}, "2-3%2": {2, 3}, "0,2-5,9": {0, 2, 3, 4, 5, 9}, "1-9:4": {1, 5, 9}, "": {-1}, "N/A": {-1},
	} {
		if got := tasksOf(list); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v", list, got)
		}
	}
}

// script puts a command on the PATH that prints a text and fails or not.
func script(t *testing.T, name, text string, fail bool) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	body := "#!/bin/sh\ncat <<'EOF'\n" + text + "\nEOF\n"
	if fail {
		body = "#!/bin/sh\ncat >&2 <<'EOF'\n" + text + "\nEOF\nexit 1\n"
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
}

// TestPoll: what scontrol of SLURM 22.05 has printed.
func TestPoll(t *testing.T) {
	const recorded = `JobId=1 ArrayJobId=1 ArrayTaskId=4-6%2 ArrayTaskThrottle=2 JobName=a UserId=root(0) GroupId=root(0) Priority=4294901759 JobState=PENDING Reason=JobArrayTaskLimit Dependency=(null) Requeue=1 Restarts=0 ExitCode=0:0 RunTime=00:00:00
JobId=3 ArrayJobId=1 ArrayTaskId=1 JobName=a UserId=root(0) JobState=RUNNING Reason=None Dependency=(null) ExitCode=0:0 RunTime=00:00:01 NodeList=localhost
JobId=2 ArrayJobId=1 ArrayTaskId=0 JobName=a UserId=root(0) JobState=COMPLETED Reason=None Dependency=(null) ExitCode=0:0
JobId=4 ArrayJobId=1 ArrayTaskId=2 JobName=a UserId=root(0) JobState=FAILED Reason=NonZeroExitCode Dependency=(null) ExitCode=3:0
JobId=5 ArrayJobId=1 ArrayTaskId=3 JobName=a UserId=root(0) JobState=OUT_OF_MEMORY Reason=OutOfMemory Dependency=(null) ExitCode=0:125
JobId=1 ArrayJobId=1 ArrayTaskId=7,9 JobName=a UserId=root(0) JobState=CANCELLED Reason=None Dependency=(null) ExitCode=0:0`
	script(t, "scontrol", recorded, false)
	got, err := Jobs{Array: "1"}.Poll(context.Background())
	want := Tasks{Pending: 3, Running: 1, Ended: 5, Reason: "JobArrayTaskLimit",
		Failed: map[int]string{2: "FAILED, exit code 3", 3: "OUT_OF_MEMORY, signal 125", 7: "CANCELLED", 9: "CANCELLED"}}
	if err != nil || !reflect.DeepEqual(got, want) || got.Over() {
		t.Errorf("%+v %v", got, err)
	}
	script(t, "scontrol", "slurm_load_jobs error: Invalid job id specified", true)
	if got, err := (Jobs{Array: "1", Collect: "2"}).Poll(context.Background()); err != nil || !got.Over() ||
		got.Collecting {
		t.Errorf("a job that is forgotten: %+v %v", got, err)
	}
	script(t, "scontrol", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)", true)
	if _, err := (Jobs{Array: "1"}).Poll(context.Background()); err == nil ||
		!strings.Contains(err.Error(), "Unable to contact") {
		t.Errorf("no controller: %v", err)
	}
}

// TestSubmit: the second job depends on the first; without it the first is cancelled; without SLURM the message says
// what to do.
func TestSubmit(t *testing.T) {
	a := Array{Name: "a b/c", Dir: t.TempDir(), Tasks: 3, Worker: []string{"/it's here/dmft", "worker", "x y"},
		Collect: []string{"true"}, Partition: "cpu", Time: "01:00:00", CPUs: 2, Parallel: 5,
		Arguments: []string{"--qos=long"}}
	s := a.Script()
	for _, want := range []string{"#SBATCH --job-name=a-b-c\n", "#SBATCH --array=0-2%5\n", "#SBATCH --partition=cpu\n",
		"#SBATCH --time=01:00:00\n", "#SBATCH --cpus-per-task=2\n", `exec '/it'\''s here/dmft' 'worker' 'x y'` + "\n"} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
	if strings.Contains(s, "account") || strings.Contains(s, "--mem") {
		t.Errorf("empty options in\n%s", s)
	}
	log := filepath.Join(t.TempDir(), "log")
	t.Setenv("LOG", log)
	script(t, "scancel", "", false)
	dir := t.TempDir()
	body := "#!/bin/sh\necho \"$@\" >>$LOG\ncase \"$*\" in *afterany*) [ -z \"$BROKEN\" ] || { echo no >&2; exit 1; " +
		"}; echo 18 ;; *) echo '17;cluster' ;; esac\n"
	if err := os.WriteFile(filepath.Join(dir, "sbatch"), []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("PATH")
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+path)
	var told Jobs
	j, err := a.Submit(context.Background(), func(j Jobs) error { told = j; return nil })
	if told.Array != j.Array || told.Collect != "" {
		t.Errorf("told of %+v before the collecting job", told)
	}
	if err != nil || j != (Jobs{"17", "18", 3, "cluster"}) {
		t.Errorf("%+v %v", j, err)
	}
	if b, _ := os.ReadFile(log); string(b) != "--parsable --qos=long worker.sbatch\n--parsable --qos=long "+
		"--dependency=afterany:17 collect.sbatch\n" {
		t.Errorf("%s", b)
	}
	t.Setenv("BROKEN", "1")
	if _, err := a.Submit(context.Background(), func(Jobs) error { return nil }); err == nil ||
		!strings.Contains(err.Error(), "the collecting job: sbatch: no") {
		t.Errorf("%v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := a.Submit(context.Background(), func(Jobs) error { return nil }); err == nil ||
		!strings.Contains(err.Error(), "--executor local") {
		t.Errorf("%v", err)
	}
}

// TestBanners: the number of a job is found among what sites print beside it, on the right cluster, and where it is
// not, the message says how to find the job.
func TestBanners(t *testing.T) {
	// Job 2026 is somebody else's, and 4 none.
	script(t, "scontrol", "", false)
	body := "#!/bin/sh\ncase \"$*\" in *' 17') echo JobId=17 JobName=a ;; *' 2026') echo JobId=2026 JobName=other ;; " +
		"*) echo 'Invalid job id specified' >&2; exit 1 ;; esac\n"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "scontrol"), []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	a := Array{Name: "a", Dir: t.TempDir(), Tasks: 1}
	for out, want := range map[string][2]string{
		"17\n":                                  {"17", ""},
		"17;hpc\n":                              {"17", "hpc"},
		"Welcome to HPC!\n  quota 80 %\n\n17\n": {"17", ""},
		"17\r\nRemaining: 400 h\n":              {"17", ""},
		"Submitted batch job 17\n":              {"17", ""},
		"hello\nSubmitted batch job 17 on cluster hpc\n": {"17", "hpc"},
		"2026\n17\n4\n":   {"17", ""}, // the year, the job, a price
		"no such thing\n": {},
		"2026\n4\n":       {},
		"":                {},
		"-17\n":           {},
		"17;-M x\n":       {},
	} {
		id, cluster, err := a.submitted(context.Background(), out, false)
		if [2]string{id, cluster} != want || (err == nil) != (want[0] != "") {
			t.Errorf("%q: %q %q %v", out, id, cluster, err)
		}
		if err != nil && !strings.Contains(err.Error(), "squeue --me") {
			t.Error(err)
		}
	}
}

// TestCluster: jobs of another cluster are asked about and ended there.
func TestCluster(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	t.Setenv("LOG", log)
	dir := t.TempDir()
	for _, name := range []string{"scontrol", "scancel"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho "+name+" \"$@\" >>$LOG\n"),
			0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	j := Jobs{Array: "17", Cluster: "hpc"}
	if _, err := j.Poll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := j.Cancel(context.Background()); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(log); string(b) != "scontrol --clusters=hpc -o show job 17\nscancel --clusters=hpc 17\n" {
		t.Errorf("%s", b)
	}
}

// TestInjection: no setting and no name becomes a line, or a further option, of a batch script. Everything before the
// command is a comment of one known option a line.
func TestInjection(t *testing.T) {
	known := regexp.MustCompile(
		`^#SBATCH --(job-name|array|output|ntasks|partition|account|time|mem|cpus-per-task|open-mode|signal)=[^ \t]+$`)
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(rapid.StringN(0, 20, -1), rapid.SampledFrom([]string{"cpu\n#SBATCH --account=x",
			"cpu --wrap=id", "a\rb", "x'y", "gpu,cpu", "1-02:00:00", "4G", "a\x00"}))
		a := Array{Name: word.Draw(t, "name"), Dir: "/nowhere", Tasks: 3,
			Worker: []string{"/a\n#SBATCH --hold\nrm x", word.Draw(t, "argument")}, Collect: []string{"true"},
			Partition: word.Draw(t, "partition"), Account: word.Draw(t, "account"), Time: word.Draw(t, "time"),
			Memory: word.Draw(t, "memory"), CPUs: 1}
		if a.check() != nil {
			return // not submitted
		}
		for _, s := range []string{a.Script(), a.collectScript()} {
			lines := strings.Split(s, "\n")
			if lines[0] != "#!/bin/bash" {
				t.Fatalf("%q", s)
			}
			k := 1
			for ; strings.HasPrefix(lines[k], "#"); k++ {
				if !known.MatchString(lines[k]) && lines[k] != "#SBATCH --requeue" {
					t.Fatalf("%q in\n%s", lines[k], s)
				}
			}
			if !strings.HasPrefix(lines[k], "exec '") { // SLURM reads options up to here, and the rest is quoted
				t.Fatalf("%q after the options of\n%s", lines[k], s)
			}
		}
	})
	for value, ok := range map[string]bool{"": true, "cpu": true, "gpu,cpu": true, "1-02:00:00": true, "4G": true,
		"a b": false, "a\nb": false, "a\u2028b": false, "a;b": false, "é": true, "$x": false, "a\x00": false} {
		if (Word(value) == "") != ok {
			t.Errorf("%q: %s", value, Word(value))
		}
	}
	if err := (Array{Name: "a", Dir: `/a\b`, Tasks: 1}).check(); err == nil || !strings.Contains(err.Error(), "--out") {
		t.Error(err)
	}
	if got := (Array{Dir: "/100%a"}).output(workerScript); !reflect.DeepEqual(got,
		[]string{"--output=/100%%a/%a.log"}) || (Array{Dir: "/q[1]"}).output(workerScript) != nil {
		t.Error(got)
	}
	if _, err := (Array{Name: "a", Dir: t.TempDir(), Tasks: 1, Partition: "a\nb"}).Submit(context.Background(),
		nil); err == nil || !strings.Contains(err.Error(), "sweep.slurm.partition") {
		t.Error(err)
	}
}

// TestQuote: the shell reads back what was quoted.
func TestQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune(`ab '"$\*;|&<>()#~!é`+"\t\n"))), 1, 4).Draw(t, "words")
		var got []string
		word, in := "", false
		q := []rune(quote(words))
		for i := 0; i < len(q); i++ { // what a shell does with single quotes and \'
			switch {
			case q[i] == '\'':
				in = !in
			case !in && q[i] == '\\':
				i++
				word += string(q[i])
			case !in && q[i] == ' ':
				got, word = append(got, word), ""
			default:
				word += string(q[i])
			}
		}
		if got = append(got, word); in || !reflect.DeepEqual(got, words) {
			t.Fatalf("%q became %q", words, got)
		}
	})
}
