// Package openblas passes the routines that internal/blas replaces to OpenBLAS, through cgo. It is empty without the
// build tag openblas.
package openblas
