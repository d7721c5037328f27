//go:build openblas && cgo

package blas

import "github.com/seed39b58f2d/dmft/internal/blas/openblas"

func init() {
	openBLAS, openBLASThreads, openBLASPotrf = openblas.Implementation{}, openblas.Threads, openblas.Potrf
	openBLASThreads()
}
