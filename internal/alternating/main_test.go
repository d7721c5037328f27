package alternating

import (
	"os"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
)

func TestMain(m *testing.M) {
	dmft.UseSIMD() // for both sides of the comparison
	os.Exit(m.Run())
}
