//go:build !amd64 || noasm

package vec

func available() []set { return []set{portable} }

func kernel64(op, *float64, *float64, *float64, int, parameters) { panic("vec: no kernels") }
func kernel32(op, *float32, *float32, *float32, int, [5]float32) { panic("vec: no kernels") }
