package run

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed39b58f2d/dmft/internal/npy"
)

var crcTable = crc64.MakeTable(crc64.ECMA)

// Save keeps a part, followed by its checksum. It implements dmft.Store.
func (f *Folder) Save(name string, write func(io.Writer) error) error {
	err := npy.Replace(filepath.Join(f.Dir, partsName, name), func(w io.Writer) error {
		sum := crc64.New(crcTable)
		if err := write(io.MultiWriter(w, sum)); err != nil {
			return err
		}
		_, err := w.Write(binary.LittleEndian.AppendUint64(nil, sum.Sum64()))
		return err
	})
	if err != nil {
		return fmt.Errorf("run folder: part %s: %w", name, err)
	}
	if !strings.HasSuffix(name, ".checkpoint") { // a finished part replaces its checkpoint
		return remove(filepath.Join(f.Dir, partsName, name+".checkpoint"))
	}
	return nil
}

// Load returns a part. A damaged one counts as absent: it is computed again.
func (f *Folder) Load(name string) ([]byte, bool, error) {
	b, err := os.ReadFile(filepath.Join(f.Dir, partsName, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("run folder: part %s: %w", name, err)
	}
	n := len(b) - 8
	if n < 0 || binary.LittleEndian.Uint64(b[n:]) != crc64.Checksum(b[:n], crcTable) {
		return nil, false, nil
	}
	return b[:n], true, nil
}
