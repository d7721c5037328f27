package data

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// addresses is far more memory than any machine has, and less than a size that wraps around.
const addresses = 1 << 47

// room refuses what does not fit into the memory limit, before memory is taken.
func (s Spec) room(key string, need float64, what, advice string) error {
	limit, name := float64(s.Memory), "the memory limit is"
	if s.Memory <= 0 {
		limit, name = addresses, "a machine has at most"
	}
	if need <= limit {
		return nil
	}
	return fail(key, "%s, which takes about %s, and %s %s; %s", what, size(need), name, size(limit), advice)
}

// fitting is how many rows of so many bytes fit.
func (s Spec) fitting(row, fixed float64) string {
	limit := float64(s.Memory)
	if s.Memory <= 0 {
		limit = addresses
	}
	return fmt.Sprintf("at most %.0f points of this kind would fit", math.Max(math.Floor((limit-fixed)/row), 0))
}

// size is a number of bytes in words.
func size(bytes float64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	k := 0
	for bytes >= 1024 && k < len(units)-1 {
		bytes /= 1024
		k++
	}
	if k == 0 {
		return fmt.Sprintf("%.0f bytes", bytes)
	}
	return fmt.Sprintf("%.3g %s", bytes, units[k])
}

// slurp reads a file within the memory limit, unpacking it when it is gzipped (by its content, not its name).
func (s Spec) slurp(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fail("path", "%w", err)
	}
	defer f.Close()
	r, packed, err := unpacking(f)
	if err != nil {
		return nil, fail("path", "%s: %w; fetch the file again", path, err)
	}
	most := float64(addresses)
	if s.Memory > 0 {
		most = float64(s.Memory) / 2 // as long as it grows there are two of it
	}
	var b bytes.Buffer
	if st, err := f.Stat(); err == nil && st.Mode().IsRegular() && !packed {
		if err := s.room("path", float64(st.Size()), "the file "+path, "raise the limit (--memory)"); err != nil {
			return nil, err
		}
		b.Grow(int(st.Size()) + bytes.MinRead)
		most = float64(st.Size()) + 1
	}
	n, err := b.ReadFrom(io.LimitReader(r, int64(most)))
	if err != nil {
		return nil, fail("path", "%s: %w; fetch the file again", path, unpackError(err, n))
	}
	if float64(n) >= math.Floor(most) {
		return nil, s.tooMuch(path, float64(n))
	}
	return b.Bytes(), nil
}

func (s Spec) tooMuch(path string, n float64) error {
	return fail("path", "%s has more than %s in it, too much for the memory limit of %s", path, size(n),
		size(float64(s.Memory)))
}

// unpacking is the content of a file, unpacked when it is gzipped.
func unpacking(f io.Reader) (r io.Reader, packed bool, err error) {
	var begin [2]byte
	n, err := io.ReadFull(f, begin[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, false, err
	}
	if n < 2 || begin[0] != 0x1f || begin[1] != 0x8b {
		return io.MultiReader(bytes.NewReader(begin[:n]), f), false, nil
	}
	z, err := gzip.NewReader(io.MultiReader(bytes.NewReader(begin[:n]), f))
	if err != nil {
		return nil, true, fmt.Errorf("damaged gzip file: %w", err)
	}
	return z, true, nil
}

// unpackError says what is wrong with a file that cannot be unpacked to its end.
func unpackError(err error, n int64) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("truncated gzip file: it ends after %d unpacked bytes", n)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader), errors.As(err, &corrupt):
		return fmt.Errorf("damaged gzip file: %w", err)
	}
	return err
}
