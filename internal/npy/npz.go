package npy

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Named is an array of an .npz file.
type Named struct {
	Name string
	Array
	Text []string // in place of numbers, of the shape of one axis; written for others, not read back here
}

// WriteNPZ writes arrays as an .npz that numpy.load reads: to a temporary file in the same folder first, which is
// renamed when it is complete and on disk. The bytes depend on the arrays and their order alone. Elements are stored,
// not compressed: kernels and trajectories shrink by a tenth at twenty times the time.
func WriteNPZ(path string, arrays []Named) (err error) {
	return Replace(path, func(w io.Writer) error {
		z := zip.NewWriter(w)
		for _, a := range arrays {
			f, err := z.CreateHeader(&zip.FileHeader{Name: a.Name + ".npy", Method: zip.Store})
			if err != nil {
				return err
			}
			if a.Text != nil {
				err = writeText(f, a.Text)
			} else {
				err = Write(f, a.Array)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", a.Name, err)
			}
		}
		return z.Close()
	})
}

// Replace writes a file through a temporary one in the same folder, renamed when complete and on disk, so that path
// never holds half a file. Who may read and write it, the umask of the process says, as for any new file: folders of
// results are shared by groups.
func Replace(path string, write func(io.Writer) error) (err error) {
	f, err := temporary(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	b := bufio.NewWriterSize(f, 1<<18)
	if err := write(b); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// temporary makes a new file in a folder. os.CreateTemp would make one for its owner alone, with a name longer than
// that of what it becomes.
func temporary(dir string) (*os.File, error) {
	for {
		name := fmt.Sprintf("%s%016x", TempPrefix, rand.Uint64())
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// TempPrefix begins the names of files that are being written.
const TempPrefix = ".tmp-"

// ReadNPZ reads arrays of an .npz file: those with names that are there, or every one when none is named.
func ReadNPZ(path string, names ...string) (map[string]Array, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, err
		}
		return nil, fmt.Errorf("%s: not a readable npz file: %w", filepath.Base(path), err)
	}
	defer z.Close()
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	out := map[string]Array{}
	for _, e := range z.File {
		name := strings.TrimSuffix(e.Name, ".npy")
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		r, err := e.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: entry %s: %w", filepath.Base(path), e.Name, err)
		}
		a, err := Read(r, bound(e, st.Size()))
		if err == nil { // reading to the end verifies the checksum
			_, err = io.Copy(io.Discard, r)
		}
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: entry %s: %w", filepath.Base(path), e.Name, err)
		}
		out[name] = a
	}
	return out, nil
}

// bound is the most bytes that an entry of a file can hold, whatever a damaged directory says: deflate packs no more
// than 1032 into one.
func bound(e *zip.File, file int64) int64 {
	most := file
	if e.Method != zip.Store {
		most = file * 1032
	}
	return int64(min(e.UncompressedSize64, uint64(most)))
}
