//go:build race

package csr

func init() { racing = true }
