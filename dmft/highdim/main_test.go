package highdim

import (
	"os"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
)

func TestMain(m *testing.M) {
	dmft.UseSIMD()
	os.Exit(m.Run())
}
