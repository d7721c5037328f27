package dmft

import "github.com/seed39b58f2d/dmft/internal/blas"

// UseSIMD registers the fastest matrix products that this machine can run with gonum's blas64 and blas32, for the whole
// program, and returns their name: avx512, avx2 or gonum. Call it once at the start of main; without it gonum's own
// products serve. Results are the same bits for any number of processors with each of them, and differ by rounding
// between them.
func UseSIMD() string { return blas.Use().String() }
