package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Array is a job array of SLURM and the job that collects its results.
type Array struct {
	Name    string
	Dir     string   // absolute, seen by all nodes; scripts and logs go there
	Tasks   int      // numbered from 0
	Worker  []string // the command of a task, which finds its number in SLURM_ARRAY_TASK_ID
	Collect []string // the command run when all tasks have ended, however they did

	Partition, Account, Time, Memory string // SLURM's own defaults when empty
	CPUs                             int    // of a task
	Parallel                         int    // tasks at a time; 0 is no limit
	Arguments                        []string
}

// Jobs are the jobs that were submitted.
type Jobs struct {
	Array   string `json:"array"`
	Collect string `json:"collect"`
	Tasks   int    `json:"tasks"`
	// Where SLURM's commands find them, when that is not the cluster that they ask anyway.
	Cluster string `json:"cluster,omitempty"`
}

// Valid says whether the numbers of jobs, read from a file, are numbers of jobs.
func (j Jobs) Valid() bool {
	for _, id := range []string{j.Array, j.Collect} {
		if id != "" && !digits.MatchString(id) {
			return false
		}
	}
	return !strings.HasPrefix(j.Cluster, "-") && !strings.ContainsFunc(j.Cluster, unicode.IsSpace)
}

// Word says what keeps a value out of a line of a batch script, or "". SLURM takes what comes after a blank for a
// further option, and what comes after a line break may be anything.
func Word(value string) string {
	for _, c := range value {
		switch {
		case unicode.IsSpace(c):
			return fmt.Sprintf("%q holds a blank or a line break", value)
		case !unicode.IsPrint(c), strings.ContainsRune("'\"\\`#$;", c):
			return fmt.Sprintf("%q holds %q", value, c)
		}
	}
	return ""
}

// Warning is how many seconds before the end of its time a task hears of it, by SIGUSR1.
const Warning = 60

// Script is the batch script of the array. The program replaces the shell, so that signals reach it.
func (a Array) Script() string {
	var b strings.Builder
	a.head(&b, fmt.Sprintf("0-%d", a.Tasks-1), workerLog)
	fmt.Fprintf(&b, "#SBATCH --cpus-per-task=%d\n", max(a.CPUs, 1))
	// A task that is preempted, or has used up its time, goes on where it was.
	fmt.Fprintf(&b, "#SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --signal=B:USR1@%d\n", Warning)
	fmt.Fprintf(&b, "exec %s\n", quote(a.Worker))
	return b.String()
}

func (a Array) collectScript() string {
	var b strings.Builder
	a.head(&b, "", collectLog)
	fmt.Fprintf(&b, "#SBATCH --cpus-per-task=1\n#SBATCH --open-mode=append\nexec %s\n", quote(a.Collect))
	return b.String()
}

func (a Array) head(b *strings.Builder, array, log string) {
	b.WriteString("#!/bin/bash\n")
	put := func(option, value string) {
		if value != "" {
			fmt.Fprintf(b, "#SBATCH --%s=%s\n", option, value)
		}
	}
	if array != "" && a.Parallel > 0 {
		array += "%" + strconv.Itoa(a.Parallel)
	}
	put("job-name", a.job(array == ""))
	put("array", array)
	put("output", log)
	put("ntasks", "1")
	put("partition", a.Partition)
	put("account", a.Account)
	put("time", a.Time)
	put("mem", a.Memory)
}

// job is the name of a job.
func (a Array) job(collects bool) string {
	const most = 100
	name := unusual.ReplaceAllString(a.Name, "-")
	name = name[:min(len(name), most)]
	if collects {
		name += "-collect"
	}
	return name
}

// check refuses what would become more than one word of a batch script.
func (a Array) check() error {
	for _, x := range []struct{ option, value string }{{"partition", a.Partition}, {"account", a.Account},
		{"time", a.Time}, {"memory", a.Memory}} {
		if why := Word(x.value); why != "" {
			return fmt.Errorf("sweep.slurm.%s: %s, which is no %[1]s of SLURM", x.option, why)
		}
	}
	if filepath.Separator != '\\' && strings.Contains(a.Dir, `\`) {
		return fmt.Errorf("SLURM takes the backslash in %s for a sign of its own and would find no place for logs; "+
			"choose another --out", a.Dir)
	}
	for _, w := range slices.Concat(a.Worker, a.Collect) {
		if strings.ContainsRune(w, 0) {
			return fmt.Errorf("the argument %q of a task holds a character that no command line can hold", w)
		}
	}
	return nil
}

var unusual = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// quote writes a command for the shell.
func quote(command []string) string {
	q := make([]string, len(command))
	for i, s := range command {
		q[i] = "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return strings.Join(q, " ")
}

// Submit writes the scripts and submits both jobs, and tells submitted of the array before the second. When that cannot
// be, the first is cancelled. It is not to be interrupted: a job would be left that nobody knows of.
func (a Array) Submit(ctx context.Context, submitted func(Jobs) error) (Jobs, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	j := Jobs{Tasks: a.Tasks}
	if err := a.check(); err != nil {
		return j, err
	}
	submit := func(file, script string, arguments ...string) (string, error) {
		if err := os.WriteFile(filepath.Join(a.Dir, file), []byte(script), 0o777); err != nil {
			return "", err
		}
		out, err := slurm(ctx, a.Dir, "sbatch", slices.Concat([]string{"--parsable"}, a.output(file), arguments,
			[]string{file})...)
		if err != nil {
			return "", err
		}
		id, cluster, err := a.submitted(ctx, out, file != workerScript)
		if cluster != "" {
			j.Cluster = cluster
		}
		return id, err
	}
	var err error
	if j.Array, err = submit(workerScript, a.Script(), a.Arguments...); err != nil {
		if strings.Contains(err.Error(), "Invalid job array specification") {
			err = fmt.Errorf("%w (%d tasks are more than the cluster allows: raise sweep.points_per_task)", err, a.Tasks)
		}
		return j, err
	}
	if err := submitted(j); err != nil {
		return j, errors.Join(err, j.Cancel(context.WithoutCancel(ctx)))
	}
	if j.Collect, err = submit("collect.sbatch", a.collectScript(),
		append(a.Arguments[:len(a.Arguments):len(a.Arguments)], "--dependency=afterany:"+j.Array)...); err != nil {
		return j, errors.Join(fmt.Errorf("the collecting job: %w", err), j.Cancel(context.WithoutCancel(ctx)))
	}
	return j, nil
}

const (
	workerScript = "worker.sbatch"
	workerLog    = "%a.log"
	collectLog   = "collect.log"
)

// output says where the log of a script goes when the folder has a percent sign in its name: SLURM takes folders for
// patterns, too, that of the script included.
func (a Array) output(script string) []string {
	if !strings.Contains(a.Dir, "%") {
		return nil
	}
	log := collectLog
	if script == workerScript {
		log = workerLog
	}
	return []string{"--output=" + filepath.Join(strings.ReplaceAll(a.Dir, "%", "%%"), log)}
}

// submitted finds the number of a job, and the cluster if that is said, in what sbatch has printed. With --parsable
// that is one line, 17 or 17;cluster; but there are sites whose sbatch is a script of theirs, which prints a greeting
// before it, a balance after it, or the sentence for people. Where several lines might be the number, SLURM is asked
// which of them is a job of this name; to err would leave an array at work that nobody knows of.
func (a Array) submitted(ctx context.Context, out string, collects bool) (id, cluster string, err error) {
	var found [][]string
	for _, l := range strings.Split(out, "\n") {
		if m := jobLine.FindStringSubmatch(strings.TrimSpace(l)); m != nil {
			found = append(found, []string{m[1] + m[3], m[2] + m[4]})
		}
	}
	if len(found) > 1 {
		var ours [][]string
		for _, f := range found {
			lines, err := show(ctx, f[1], f[0])
			if err == nil && len(lines) > 0 && field(lines[0], "JobName") == a.job(collects) {
				ours = append(ours, f)
			}
		}
		if len(ours) > 0 {
			found = ours[len(ours)-1:] // numbers rise
		}
	}
	if len(found) != 1 {
		return "", "", fmt.Errorf("sbatch printed %q, in which there is no number of a job; if it has accepted one, "+
			"squeue --me lists it under the name %s, and scancel --me --name=%[2]s ends it", out, a.job(collects))
	}
	return found[0][0], found[0][1], nil
}

// jobLine is a line with the number of a job, for programs or for people.
var jobLine = regexp.MustCompile(
	`^(?:([0-9]+)(?:;([A-Za-z0-9._-]+))?|Submitted batch job ([0-9]+)(?: on cluster ([A-Za-z0-9._-]+))?)$`)

// patience is how long SLURM may take to accept two jobs.
const patience = 5 * time.Minute

var digits = regexp.MustCompile(`^[0-9]+$`)

// Tasks says how far an array is.
type Tasks struct {
	Pending    int            `json:"pending"`
	Running    int            `json:"running"`
	Ended      int            `json:"ended"`
	Reason     string         `json:"reason,omitempty"` // why tasks are waiting
	Failed     map[int]string `json:"failed,omitempty"` // tasks that ended badly: "TIMEOUT", "FAILED, exit code 1"
	Collecting bool           `json:"collecting"`       // the collecting job is waiting or at work
}

// Over says whether no task will do anything any more.
func (t Tasks) Over() bool { return t.Pending+t.Running == 0 }

// Poll asks SLURM how far the jobs are. Jobs that it has forgotten have ended. An error says that SLURM did not answer,
// which may pass.
func (j Jobs) Poll(ctx context.Context) (Tasks, error) {
	t := Tasks{Failed: map[int]string{}}
	lines, err := show(ctx, j.Cluster, j.Array)
	if err != nil {
		return t, err
	}
	for _, l := range lines {
		state, tasks := field(l, "JobState"), tasksOf(field(l, "ArrayTaskId"))
		switch {
		case waiting[state]:
			t.Pending += len(tasks)
			if t.Reason = field(l, "Reason"); t.Reason == "None" {
				t.Reason = ""
			}
		case ended[state]:
			t.Ended += len(tasks)
			if state == "COMPLETED" {
				continue
			}
			why := state
			if code, signal, _ := strings.Cut(field(l, "ExitCode"), ":"); code != "0" && code != "" {
				why += ", exit code " + code
			} else if signal != "0" && signal != "" {
				why += ", signal " + signal
			}
			for _, i := range tasks {
				t.Failed[i] = why
			}
		case state != "":
			t.Running += len(tasks)
		}
	}
	if j.Collect != "" {
		lines, err := show(ctx, j.Cluster, j.Collect)
		if err != nil {
			return t, err
		}
		for _, l := range lines {
			t.Collecting = t.Collecting || !ended[field(l, "JobState")]
		}
	}
	return t, nil
}

// show is what scontrol knows of a job, a line per task or group of tasks; nothing of one that is forgotten. It is
// asked rather than sacct, which needs accounting, and rather than squeue, which forgets sooner.
func show(ctx context.Context, cluster, id string) ([]string, error) {
	out, err := slurm(ctx, "", "scontrol", on(cluster, "-o", "show", "job", id)...)
	if err != nil {
		if strings.Contains(err.Error(), "Invalid job id") {
			return nil, nil
		}
		return nil, err
	}
	return strings.Split(strings.TrimSpace(out), "\n"), nil
}

// on makes a command of SLURM one for a cluster.
func on(cluster string, args ...string) []string {
	if cluster == "" {
		return args
	}
	return append([]string{"--clusters=" + cluster}, args...)
}

var (
	waiting = map[string]bool{"PENDING": true, "REQUEUED": true, "REQUEUE_FED": true, "REQUEUE_HOLD": true,
		"SPECIAL_EXIT": true, "RESV_DEL_HOLD": true}
	ended = map[string]bool{"COMPLETED": true, "CANCELLED": true, "FAILED": true, "TIMEOUT": true, "NODE_FAIL": true,
		"OUT_OF_MEMORY": true, "BOOT_FAIL": true, "DEADLINE": true, "PREEMPTED": true, "REVOKED": true}
)

// field is the value of a key in a line of scontrol, up to a comma or blank.
func field(line, key string) string {
	for _, f := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(f, key+"="); ok {
			return v
		}
	}
	return ""
}

// tasksOf are the tasks that a list such as 0,2-5,9-15:2%3 names. A job without tasks is one, without a number.
func tasksOf(list string) []int {
	list, _, _ = strings.Cut(list, "%")
	var out []int
	for _, part := range strings.Split(list, ",") {
		part, step, _ := strings.Cut(part, ":")
		from, to, is := strings.Cut(part, "-")
		if !is {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil {
			out = append(out, -1)
			continue
		}
		by, err := strconv.Atoi(step)
		if err != nil || by < 1 {
			by = 1
		}
		for i := a; i <= b; i += by {
			out = append(out, i)
		}
	}
	return out
}

// Cancel ends all tasks and the collecting job. Tasks at work are told by SIGTERM first, which they take as a call to
// keep what they have.
func (j Jobs) Cancel(ctx context.Context) error {
	var errs []error
	for _, id := range []string{j.Collect, j.Array} {
		if id == "" {
			continue
		}
		if _, err := slurm(ctx, "", "scancel", on(j.Cluster, id)...); err != nil &&
			!strings.Contains(err.Error(), "Invalid job id") {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Requeue puts the task that this process is back into the queue, to go on with what it has kept.
func Requeue(ctx context.Context, job string) error {
	_, err := slurm(ctx, "", "scontrol", "requeue", job)
	return err
}

// slurm runs one of SLURM's commands.
func slurm(ctx context.Context, dir, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("SLURM's %s is not on the PATH: run this on a login node of the cluster, or with "+
			"--executor local", name)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(environment(), "SLURM_BITSTR_LEN=0") // lists of tasks are not shortened
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			return "", fmt.Errorf("%s: %s", name, text)
		}
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return stdout.String(), nil
}

// environment is that of this process without what SLURM has set for the job that it may be part of: sbatch hands the
// environment on.
func environment() []string {
	if os.Getenv("SLURM_JOB_ID") == "" {
		return os.Environ()
	}
	var env []string
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, "SLURM_") && !strings.HasPrefix(e, "SLURM_CONF=") {
			continue
		}
		env = append(env, e)
	}
	return env
}
