//go:build race

package blas

func init() { racing = true }
