package dmft_test

import (
	"os"
	"testing"

	"github.com/seed39b58f2d/dmft/internal/blas"
)

func TestMain(m *testing.M) {
	blas.Use()
	os.Exit(m.Run())
}
