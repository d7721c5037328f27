package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// How a folder is kept to one process. On one machine the system's lock on .lock is enough: it goes with the process,
// however that ends. On file systems shared between machines locks may be local to each machine, or missing. So the
// process that works in a folder also keeps a file .owner, made by exclusive creation, which every shared file system
// keeps atomic, and touches it every beat; one of another machine that has not been touched for stale, by the clock of
// the file system, belonged to a process that is gone. What is left is two machines that take over a dead one's folder
// in the same moment on a file system without locks: both would compute the same bytes.
const (
	ownerName = ".owner"
	beat      = 20 * time.Second
	stale     = 100 * time.Second
)

// ErrLocked is the error of a folder in which another process is at work.
var ErrLocked = errors.New("another process is working in it; wait for it or choose another --out")

// Owner is the content of .owner.
type Owner struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	Job  string `json:"job,omitempty"` // of SLURM
}

func self() Owner {
	host, _ := os.Hostname()
	return Owner{host, os.Getpid(), SlurmJob()}
}

// SlurmJob is the SLURM job that this process is part of, such as 17_3, or "".
func SlurmJob() string {
	if a, i := os.Getenv("SLURM_ARRAY_JOB_ID"), os.Getenv("SLURM_ARRAY_TASK_ID"); a != "" && i != "" {
		return a + "_" + i
	}
	return os.Getenv("SLURM_JOB_ID")
}

// own makes .owner and keeps it fresh until the returned function is called, which removes it. locked says whether the
// system's lock is held.
func own(dir string, locked bool) (disown func(), err error) {
	path := filepath.Join(dir, ownerName)
	var f *os.File
	for range 3 {
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666); !errors.Is(err, fs.ErrExist) {
			break
		}
		if alive(dir, locked) {
			return nil, ErrLocked
		}
		os.Remove(path)
	}
	if err != nil {
		return nil, err
	}
	b, _ := json.Marshal(self())
	if _, err := f.Write(b); err != nil {
		f.Close()
		return nil, err
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		t := time.NewTicker(beat)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				f.WriteAt(b, 0) // sets the time of change by the file system's clock
				f.Sync()
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		f.Close()
		os.Remove(path)
	}, nil
}

// alive says whether the owner of a folder is at work. locked: the caller holds the system's lock, so no process of
// this machine is.
func alive(dir string, locked bool) bool {
	path := filepath.Join(dir, ownerName)
	b, err := os.ReadFile(path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	var o Owner
	if json.Unmarshal(b, &o) == nil && o.Host == self().Host {
		return !locked && running(o.PID)
	}
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	now := time.Now()
	if t, err := os.CreateTemp(dir, ".tmp-now-*"); err == nil { // the clock of the file system
		if st, err := t.Stat(); err == nil {
			now = st.ModTime()
		}
		t.Close()
		os.Remove(t.Name())
	}
	return now.Sub(st.ModTime()) < stale
}

// Hold makes a file that says who this process is, locked until it ends or release is called, which removes it.
func Hold(path string) (release func(), err error) {
	f, _, err := lock(path)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(f).Encode(self()); err != nil {
		f.Close()
		return nil, err
	}
	return func() {
		os.Remove(path)
		f.Close()
	}, nil
}

// Holder is the living process of this machine that holds a file. A file that nobody holds is removed.
func Holder(path string) (pid int, ok bool) {
	b, err := os.ReadFile(path)
	var o Owner
	if err != nil || json.Unmarshal(b, &o) != nil || o.Host != self().Host {
		return 0, false
	}
	f, held, err := lock(path)
	if err == nil {
		f.Close()
		if held {
			os.Remove(path)
		}
		return 0, false // without locks nobody can tell whether the number is still that of the same process
	}
	return o.PID, errors.Is(err, ErrLocked)
}

// Failure is failure.json: why the last attempt at a run ended without a result. The next attempt removes it.
type Failure struct {
	Error string    `json:"error"`
	Time  time.Time `json:"time"`
	Owner
}

// MakeFolder makes a folder and those above it, as far as they are not there yet.
func MakeFolder(dir string) error {
	err := os.MkdirAll(dir, 0o777) // less the umask
	var at *fs.PathError
	if errors.As(err, &at) && errors.Is(err, fs.ErrExist) { // a name that is taken by what cannot be opened
		if to, link := os.Readlink(at.Path); link == nil {
			return fmt.Errorf("%s is a symbolic link to %s, which is not there; make that folder, or remove the link",
				at.Path, to)
		}
	}
	return err
}

// RecordFailure says in a run folder, which need not be there yet, why the run failed.
func RecordFailure(dir string, cause error) error {
	if err := MakeFolder(dir); err != nil {
		return fmt.Errorf("run folder: %w", err)
	}
	return writeJSON(filepath.Join(dir, failureName), Failure{cause.Error(), time.Now().UTC(), self()})
}

// A State is how far a run folder is.
type State string

// The states.
const (
	Absent     State = "waiting"
	Unfinished State = "unfinished"
	Running    State = "running"
	Failed     State = "failed"
	Complete   State = "complete"
)

// Look says how far a folder is, without touching it.
func Look(dir string) (State, *Failure) {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	switch {
	case has(manifestName):
		return Complete, nil
	case has(ownerName) && busy(dir):
		return Running, nil
	case has(failureName):
		f := &Failure{}
		b, err := os.ReadFile(filepath.Join(dir, failureName))
		if err != nil || json.Unmarshal(b, f) != nil {
			f.Error = failureName + " is damaged"
		}
		return Failed, f
	case has(runName):
		return Unfinished, nil
	}
	return Absent, nil
}

// busy says whether a folder with an owner is being worked in.
func busy(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, ownerName))
	var o Owner
	if err != nil || json.Unmarshal(b, &o) != nil {
		return err == nil
	}
	if o.Host == self().Host {
		return running(o.PID)
	}
	st, err := os.Stat(filepath.Join(dir, ownerName))
	return err == nil && time.Since(st.ModTime()) < stale
}
