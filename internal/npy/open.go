package npy

import (
	"archive/zip"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
)

// Load reads an array from a file that somebody saved: .npy, the same gzipped, or .npz. path may end in #key, which
// chooses among the arrays of an .npz file that holds several. allow, unless nil, sees the header before memory is
// taken; its error ends reading.
func Load(path string, allow func(Header) error) (a Array, h Header, err error) {
	see := func(x Header) error {
		h = x
		if allow == nil {
			return nil
		}
		return allow(x)
	}
	file, key := path, ""
	if _, err := os.Stat(path); err != nil { // a file may be called so, and both names may have the sign in them
		for i := len(path) - 1; i >= 0; i-- {
			if path[i] != '#' {
				continue
			}
			if file == path {
				file, key = path[:i], path[i+1:]
			}
			if _, err := os.Stat(path[:i]); err == nil {
				file, key = path[:i], path[i+1:]
				break
			}
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return a, h, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return a, h, err
	}
	b := bufio.NewReaderSize(f, 1<<16)
	begin, _ := b.Peek(4)
	switch {
	case string(begin) == "PK\x03\x04" || string(begin) == "PK\x05\x06":
		e, err := entry(f, st.Size(), key)
		if err == nil {
			a, err = readEntry(e, see)
		}
		return a, h, err
	case file != path:
		return a, h, fmt.Errorf("npy: #%s chooses an array of an npz file, and %s is none", key, file)
	case len(begin) > 1 && begin[0] == 0x1f && begin[1] == 0x8b:
		z, err := gzip.NewReader(b)
		if err != nil {
			return a, h, fmt.Errorf("damaged gzip file: %w", err)
		}
		x, err := ReadHeader(z, min(st.Size(), math.MaxInt64/mostRatio)*mostRatio)
		if err == nil {
			err = see(x)
		}
		if err == nil {
			a, err = x.Read(z)
		}
		if err == nil { // reading to the end verifies the checksum
			_, err = io.Copy(io.Discard, io.LimitReader(z, 1<<20))
		}
		return a, h, err
	}
	x, err := ReadHeader(b, st.Size())
	if err == nil {
		err = see(x)
	}
	if err == nil {
		a, err = x.Read(b)
	}
	return a, h, err
}

// entry finds an array of an .npz file.
func entry(r io.ReaderAt, size int64, key string) (*zip.File, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("npy: not a readable npz file: %w", err)
	}
	var names []string
	var found *zip.File
	for _, e := range z.File {
		name := strings.TrimSuffix(e.Name, ".npy")
		if name == key || e.Name == key && key != "" {
			return e, nil
		}
		if strings.HasSuffix(e.Name, ".npy") {
			names, found = append(names, name), e
		}
	}
	slices.Sort(names)
	const most = 30
	list := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		list += ", …"
	}
	switch {
	case len(names) == 0:
		return nil, errors.New("npy: the npz file holds no arrays")
	case key != "":
		return nil, fmt.Errorf("npy: there is no array %s; the file holds %s", key, list)
	case len(names) == 1:
		return found, nil
	}
	return nil, fmt.Errorf("npy: the file holds several arrays, %s; say which one, as in file.npz#%s", list, names[0])
}

// mostRatio is the largest ratio in which deflate packs.
const mostRatio = 1032

// readEntry reads one array of an .npz file. allow, unless nil, is asked before memory is taken.
func readEntry(e *zip.File, allow func(Header) error) (a Array, err error) {
	r, err := e.Open()
	if err != nil {
		return a, err
	}
	defer r.Close()
	size := e.UncompressedSize64
	if most := mostRatio * (e.CompressedSize64 + 1); size > most { // what a damaged directory promises
		size = most
	}
	h, err := ReadHeader(r, int64(min(size, math.MaxInt64)))
	if err == nil && allow != nil {
		err = allow(h)
	}
	if err != nil {
		return a, err
	}
	if a, err = h.Read(r); err == nil { // reading to the end verifies the checksum
		_, err = io.Copy(io.Discard, r)
	}
	return a, err
}
