//go:build unix

package run

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
)

// TestUmask: who may read and write the files of a run folder, the umask says: 002 of a group that shares a store, 077
// of somebody who shares nothing. The mask is that of the process, so nothing runs beside this test.
func TestUmask(t *testing.T) {
	for _, mask := range []int{0o002, 0o022, 0o077} {
		old := syscall.Umask(mask)
		dir := filepath.Join(t.TempDir(), "store", "run")
		f, err := Open(dir, Claim{Name: "name", Hash: "h"})
		if err == nil {
			err = f.Save("part", text("x"))
		}
		modes := map[string]fs.FileMode{}
		walk := func() error {
			return filepath.WalkDir(filepath.Dir(dir), func(p string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				st, err := d.Info()
				rel, _ := filepath.Rel(dir, p)
				modes[rel] = st.Mode()
				return err
			})
		}
		if err == nil {
			err = walk() // with run.json, parts and locks
		}
		if err == nil {
			err = (&dmft.Trajectory{Time: []float64{0}, Loss: []float64{1}, LossStderr: []float64{0},
				FStderr: dmft.NewArray(1, 1), F: dmft.NewArray(1, 1)}).WriteNPZ(f.Path("theory.npz"), dmft.Seeds)
		}
		if err == nil {
			err = f.Finish(Manifest{})
		}
		if err == nil {
			f.Close()
			err = walk()
		}
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if len(modes) < 8 {
			t.Errorf("only %v", modes)
		}
		for name, m := range modes {
			want := fs.FileMode(0o666 &^ mask)
			if m.IsDir() {
				want = fs.FileMode(0o777 &^ mask)
			}
			if m.Perm() != want {
				t.Errorf("umask %03o: %s has %v, want %v", mask, name, m, want)
			}
		}
	}
}
