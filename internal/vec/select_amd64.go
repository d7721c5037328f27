//go:build amd64 && !noasm

package vec

import "golang.org/x/sys/cpu"

// available lists the sets that this processor runs, the fastest last.
func available() []set {
	sets := []set{portable}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasBMI2 {
		sets = append(sets, avx2)
		if cpu.X86.HasAVX512F {
			sets = append(sets, avx512)
		}
	}
	return sets
}

// The calls are direct: through a table of functions the arguments would escape to the heap.

func kernel64(f op, phi, dphi, x *float64, n int, p parameters) {
	if level == avx512 {
		switch f {
		case expOp:
			dexpAVX512(phi, x, n)
		case tanhOp:
			dtanhAVX512(phi, dphi, x, n, p[0], p[1], p[2])
		case erfOp:
			derfAVX512(phi, dphi, x, n, p[0], p[1], p[2])
		case geluOp:
			dgeluAVX512(phi, dphi, x, n, p[0], p[1], p[2])
		case softplusOp:
			dsoftplusAVX512(phi, dphi, x, n, p[0], p[1], p[2])
		case reluOp:
			dreluAVX512(phi, dphi, x, n, p[0], p[1], p[2], p[3], p[4])
		}
		return
	}
	switch f {
	case expOp:
		dexpAVX2(phi, x, n)
	case tanhOp:
		dtanhAVX2(phi, dphi, x, n, p[0], p[1], p[2])
	case erfOp:
		derfAVX2(phi, dphi, x, n, p[0], p[1], p[2])
	case geluOp:
		dgeluAVX2(phi, dphi, x, n, p[0], p[1], p[2])
	case softplusOp:
		dsoftplusAVX2(phi, dphi, x, n, p[0], p[1], p[2])
	case reluOp:
		dreluAVX2(phi, dphi, x, n, p[0], p[1], p[2], p[3], p[4])
	}
}

func kernel32(f op, phi, dphi, x *float32, n int, p [5]float32) {
	if level == avx512 {
		switch f {
		case expOp:
			sexpAVX512(phi, x, n)
		case tanhOp:
			stanhAVX512(phi, dphi, x, n, p[0], p[1], p[2])
		case erfOp:
			serfAVX512(phi, dphi, x, n, p[0], p[1], p[2])
		case geluOp:
			sgeluAVX512(phi, dphi, x, n, p[0], p[1], p[2])
		case softplusOp:
			ssoftplusAVX512(phi, dphi, x, n, p[0], p[1], p[2])
		case reluOp:
			sreluAVX512(phi, dphi, x, n, p[0], p[1], p[2], p[3], p[4])
		}
		return
	}
	switch f {
	case expOp:
		sexpAVX2(phi, x, n)
	case tanhOp:
		stanhAVX2(phi, dphi, x, n, p[0], p[1], p[2])
	case erfOp:
		serfAVX2(phi, dphi, x, n, p[0], p[1], p[2])
	case geluOp:
		sgeluAVX2(phi, dphi, x, n, p[0], p[1], p[2])
	case softplusOp:
		ssoftplusAVX2(phi, dphi, x, n, p[0], p[1], p[2])
	case reluOp:
		sreluAVX2(phi, dphi, x, n, p[0], p[1], p[2], p[3], p[4])
	}
}
