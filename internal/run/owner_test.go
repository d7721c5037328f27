package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/internal/npy"
)

// TestOwners: a folder that a process of another machine keeps fresh is locked, though this machine's lock is free; one
// that it has left is not, nor one of a dead process of this machine.
func TestOwners(t *testing.T) {
	for _, c := range []struct {
		name   string
		owner  Owner
		age    time.Duration
		locked bool
	}{
		{"another machine, fresh", Owner{Host: "elsewhere", PID: 1}, 10 * time.Second, true},
		{"another machine, left", Owner{Host: "elsewhere", PID: 1}, 2 * stale, false},
		{"this machine, killed", Owner{Host: self().Host, PID: 1 << 30}, time.Second, false},
		// The lock is free.
		{"this machine, its number is another process now", Owner{Host: self().Host, PID: os.Getpid()}, time.Second, false},
	} {
		dir := filepath.Join(t.TempDir(), "run")
		f := opened(t, dir, "h", false)
		if f.Close(); f.disown != nil {
			t.Fatal("still owned")
		}
		if _, err := os.Stat(filepath.Join(dir, ownerName)); err == nil {
			t.Fatal("the owner of a closed folder is left")
		}
		b, _ := json.Marshal(c.owner)
		path := filepath.Join(dir, ownerName)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-c.age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		g, err := Open(dir, Claim{Name: "name", Hash: "h"})
		if errors.Is(err, ErrLocked) != c.locked || (err == nil) == c.locked {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil {
			if state, _ := Look(dir); state != Running {
				t.Errorf("%s: %s while open", c.name, state)
			}
			g.Close()
		}
	}
	// Without the system's lock a living process of this machine is still noticed.
	dir := t.TempDir()
	disown, err := own(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own(dir, false); !errors.Is(err, ErrLocked) {
		t.Errorf("two owners: %v", err)
	}
	disown()
	if disown, err = own(dir, false); err != nil {
		t.Error(err)
	}
	disown()
}

// TestStates: how far a folder is, failures included; a failure does not keep the next attempt away.
func TestStates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	want := func(s State) {
		t.Helper()
		if got, _ := Look(dir); got != s {
			t.Errorf("%s, want %s", got, s)
		}
	}
	want(Absent)
	if err := RecordFailure(dir, errors.New("no data")); err != nil {
		t.Fatal(err)
	}
	if state, f := Look(dir); state != Failed || f == nil || f.Error != "no data" || f.PID != os.Getpid() {
		t.Errorf("%s %+v", state, f)
	}
	f := opened(t, dir, "h", false)
	want(Running)
	f.Close()
	want(Unfinished)
	if err := RecordFailure(dir, fmt.Errorf("again")); err != nil {
		t.Fatal(err)
	}
	want(Failed)
	f = opened(t, dir, "h", false)
	if err := npy.WriteNPZ(f.Path("theory.npz"), nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Finish(Manifest{}); err != nil {
		t.Fatal(err)
	}
	want(Complete)
	f.Close()
	want(Complete)
	if m, err := ReadManifest(dir); err != nil || len(m.Files) != 1 {
		t.Errorf("%+v %v", m, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 { // manifest.json, theory.npz, .lock
		t.Errorf("%v", entries)
	}
}

// TestHold: the holder of a file is known while it lives.
func TestHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	release, err := Hold(path)
	if err != nil {
		t.Fatal(err)
	}
	if pid, ok := Holder(path); !ok || pid != os.Getpid() {
		t.Errorf("%d %v", pid, ok)
	}
	release()
	if _, ok := Holder(path); ok {
		t.Error("released and held")
	}
	b, _ := json.Marshal(self())
	if err := os.WriteFile(path, b, 0o644); err != nil { // of a process that was killed
		t.Fatal(err)
	}
	if _, ok := Holder(path); ok {
		t.Error("nobody holds it")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("what nobody holds is left")
	}
}

// TestOnce: of many that want a folder at the same time one computes it, and the others find it complete.
func TestOnce(t *testing.T) {
	for range 30 {
		dir := filepath.Join(t.TempDir(), "run")
		var computed atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					f, err := Open(dir, Claim{Name: "name", Hash: "h"})
					if errors.Is(err, ErrLocked) {
						time.Sleep(100 * time.Microsecond)
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					if !f.Complete {
						computed.Add(1)
						if err := f.Finish(Manifest{}); err != nil {
							t.Error(err)
						}
					}
					f.Close()
					return
				}
			})
		}
		wg.Wait()
		if n := computed.Load(); n != 1 {
			t.Fatalf("computed %d times", n)
		}
	}
}
