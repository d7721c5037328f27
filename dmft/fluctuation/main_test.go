package fluctuation

import (
	"os"
	"testing"

	"github.com/seed39b58f2d/dmft/dmft"
)

// TestMain has the products that the command has.
func TestMain(m *testing.M) {
	dmft.UseSIMD()
	os.Exit(m.Run())
}
