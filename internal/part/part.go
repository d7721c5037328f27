// Package part encodes what a run keeps of unfinished work: finished pieces and checkpoints. It is gob between a mark
// and a trailer with length and checksum, so that flipped, missing and foreign bytes are found before anything is
// decoded, whatever the store is. A decoder of gob takes memory in proportion to the bytes there are; whether what it
// returns fits the problem is for the reader to check.
package part

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
)

// Store is dmft.Store.
type Store interface {
	Load(name string) (data []byte, ok bool, err error)
	Save(name string, write func(io.Writer) error) error
}

const (
	mark    = "dmft part 2\n"
	trailer = 16 // bytes: length of the body, checksum of mark, body and length
)

var table = crc64.MakeTable(crc64.ECMA)

// ErrMisfit is for readers: what was decoded does not belong to the problem.
var ErrMisfit = errors.New("it does not fit the problem")

var errDamaged = errors.New("it is damaged, or of another version of the program")

// counter counts and sums what goes through it.
type counter struct {
	w   io.Writer
	n   uint64
	sum uint64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += uint64(n)
	c.sum = crc64.Update(c.sum, table, b[:n])
	return n, err
}

// Save keeps what encode encodes.
func Save(s Store, name string, encode func(*gob.Encoder) error) error {
	return s.Save(name, func(w io.Writer) error { return Write(w, encode) })
}

// Write writes a part.
func Write(w io.Writer, encode func(*gob.Encoder) error) error {
	c := &counter{w: w}
	if _, err := io.WriteString(c, mark); err != nil {
		return err
	}
	if err := encode(gob.NewEncoder(c)); err != nil {
		return err
	}
	if err := binary.Write(c, binary.LittleEndian, c.n-uint64(len(mark))); err != nil {
		return err
	}
	_, err := w.Write(binary.LittleEndian.AppendUint64(nil, c.sum))
	return err
}

// Load hands a part that the store has to decode; ok is false when there is none. The error says which part and what to
// do.
func Load(s Store, name string, decode func(*gob.Decoder) error) (ok bool, err error) {
	data, ok, err := s.Load(name)
	if err != nil || !ok {
		return false, err
	}
	if err := Read(data, decode); err != nil {
		return false, fmt.Errorf("part %s of an earlier run: %w; delete the run folder, or the part in it, to "+
			"compute it again", name, err)
	}
	return true, nil
}

// Read hands the body of a part to decode.
func Read(data []byte, decode func(*gob.Decoder) error) error {
	end := len(data) - trailer
	if end < len(mark) || !bytes.HasPrefix(data, []byte(mark)) ||
		binary.LittleEndian.Uint64(data[end:]) != uint64(end-len(mark)) ||
		binary.LittleEndian.Uint64(data[end+8:]) != crc64.Checksum(data[:end+8], table) {
		return errDamaged
	}
	return decode(gob.NewDecoder(bytes.NewReader(data[len(mark):end])))
}

// Forge is Write of a body that is already encoded, with the right trailer: for tests of what readers make of a body
// that is not theirs.
func Forge(body []byte) []byte {
	b := append([]byte(mark), body...)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(body)))
	return binary.LittleEndian.AppendUint64(b, crc64.Checksum(b, table))
}

// Body is the body of a part that Write wrote.
func Body(data []byte) []byte { return data[len(mark) : len(data)-trailer] }
