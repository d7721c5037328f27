package blas

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/blas/gonum"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// Set names the code that does the work.
type Set int

// The sets. Gonum is gonum's own implementation; OpenBLAS needs the build tag openblas.
const (
	Gonum Set = iota
	AVX2
	AVX512
	OpenBLAS
)

func (s Set) String() string {
	switch s {
	case Gonum:
		return "gonum"
	case AVX2:
		return "avx2"
	case AVX512:
		return "avx512"
	case OpenBLAS:
		return "openblas"
	}
	return fmt.Sprintf("Set(%d)", int(s))
}

// Float is what an implementation provides.
type Float interface {
	blas.Float64
	blas.Float32
}

// Available lists the sets that can run here. The first is Gonum, the last is the one that Use takes.
func Available() []Set {
	sets := available()
	if openBLAS != nil {
		sets = append(sets, OpenBLAS)
	}
	return sets
}

// New returns the implementation with the given set of kernels. It panics if Available does not list the set.
func New(s Set) Float {
	if !slices.Contains(Available(), s) {
		panic(fmt.Sprintf("blas: %v cannot run here", s))
	}
	switch s {
	case Gonum:
		return gonum.Implementation{}
	case OpenBLAS:
		return openBLAS
	}
	f64, f32 := kernelsOf(s)
	return Implementation{f64: f64, f32: f32}
}

// Set under the build tag openblas.
var (
	openBLAS        Float
	openBLASThreads func()                                                  // gives OpenBLAS as many threads as GOMAXPROCS
	openBLASPotrf   func(upper bool, n int, a []float64, lda int) (ok bool) // its own Cholesky factorisation
)

// Use registers the best available set with blas64, blas32 and lapack64 and returns it. Call it once, at the start of
// main or of TestMain: registration is global.
func Use() Set {
	sets := Available()
	s := sets[len(sets)-1]
	Register(s)
	return s
}

// Register registers one set with blas64, blas32 and lapack64.
func Register(s Set) {
	b := New(s)
	blas64.Use(b)
	blas32.Use(b)
	lapack64.Use(NewLapack(s))
}
