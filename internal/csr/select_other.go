//go:build !amd64 || noasm

package csr

func assembly() []set { return nil }
