package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCommitted checks that the generated files are what this program writes.
func TestCommitted(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	cmd := exec.Command("go", "run", ".", "-out", file("kernels_amd64.s"), "-stubs", file("kernels_amd64.go"), "-pkg", "vec", "-coefficients", file("coefficients.go"), "-ziggurat", file("ziggurat.go"), "-quantile", file("quantiletable.go"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range [][2]string{{"vec", "kernels_amd64.s"}, {"vec", "kernels_amd64.go"}, {"vec", "coefficients.go"}, {"random", "ziggurat.go"}, {"random", "quantiletable.go"}} {
		name := f[1]
		want, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", "..", "internal", f[0], name))
		if err != nil {
			t.Fatal(err)
		}
		// The first line may be the command.
		if !bytes.Equal(got[bytes.IndexByte(got, '\n'):], want[bytes.IndexByte(want, '\n'):]) {
			t.Errorf("%s is out of date: run go generate in internal/vec", name)
		}
	}
}
