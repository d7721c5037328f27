package part_test

import (
	"bytes"
	"encoding/gob"
	"testing"

	"github.com/seed39b58f2d/dmft/internal/part"
)

// TestRead: what Write wrote is read; one flipped bit, a byte less or a byte more anywhere is found before anything is
// decoded.
func TestRead(t *testing.T) {
	var b bytes.Buffer
	if err := part.Write(&b, func(e *gob.Encoder) error { return e.Encode([]float64{1, 2.5}) }); err != nil {
		t.Fatal(err)
	}
	good := b.Bytes()
	var x []float64
	if err := part.Read(good, func(d *gob.Decoder) error { return d.Decode(&x) }); err != nil || len(x) != 2 ||
		x[1] != 2.5 {
		t.Fatal(x, err)
	}
	if !bytes.Equal(part.Forge(part.Body(good)), good) {
		t.Error("Forge of the body is another part")
	}
	refused := func(bad []byte, what string, i int) {
		if err := part.Read(bad, func(*gob.Decoder) error {
			t.Errorf("%s at %d is decoded", what,
				i)
			return nil
		}); err == nil {
			t.Errorf("%s at %d is accepted", what, i)
		}
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			refused(bad, "a flipped bit", i)
		}
		refused(good[:i], "the end", i)
	}
	refused(append(bytes.Clone(good), 0), "a byte more", len(good))
}
