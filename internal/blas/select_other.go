//go:build !amd64 || noasm

package blas

func available() []Set { return []Set{Gonum} }

func kernelsOf(Set) (*kernels[float64], *kernels[float32]) { return nil, nil }

func copyRows(*byte, int, *byte, int, int, int) { panic("blas: no kernels") }
