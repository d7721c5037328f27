//go:build amd64 && !noasm

package blas

import "golang.org/x/sys/cpu"

var kernelSets = [...]struct {
	set Set
	f64 *kernels[float64]
	f32 *kernels[float32]
}{
	{AVX2, &kernels[float64]{
		lanes: 4, strip: 4, dot: ddotAVX2, pairs: dpairsAVX2, combine: dcombineAVX2, transpose: dtranspose, peak: dfmaAVX2,
		trsm: [4]func(int, *float64, int, *float64, int, *float64, float64, int){1: dtrsmAVX2x1, 2: dtrsmAVX2x2, 3: dtrsmAVX2x3},
		gemm: [4]func(int, int, *float64, int, int, int, *float64, int, *float64, int, float64, float64, int){1: dgemmAVX2x1, 2: dgemmAVX2x2, 3: dgemmAVX2x3},
	}, &kernels[float32]{
		lanes: 8, strip: 4, dot: sdotAVX2, pairs: spairsAVX2, combine: scombineAVX2, transpose: stranspose, peak: sfmaAVX2,
		trsm: [4]func(int, *float32, int, *float32, int, *float32, float32, int){1: strsmAVX2x1, 2: strsmAVX2x2, 3: strsmAVX2x3},
		gemm: [4]func(int, int, *float32, int, int, int, *float32, int, *float32, int, float32, float32, int){1: sgemmAVX2x1, 2: sgemmAVX2x2, 3: sgemmAVX2x3},
	}},
	{AVX512, &kernels[float64]{
		lanes: 8, strip: 8, masked: true, dot: ddotAVX512, pairs: dpairsAVX512, combine: dcombineAVX512, transpose: dtranspose, peak: dfmaAVX512,
		trsm: [4]func(int, *float64, int, *float64, int, *float64, float64, int){1: dtrsmAVX512x1, 2: dtrsmAVX512x2, 3: dtrsmAVX512x3},
		gemm: [4]func(int, int, *float64, int, int, int, *float64, int, *float64, int, float64, float64, int){1: dgemmAVX512x1, 2: dgemmAVX512x2, 3: dgemmAVX512x3},
	}, &kernels[float32]{
		lanes: 16, strip: 8, masked: true, dot: sdotAVX512, pairs: spairsAVX512, combine: scombineAVX512, transpose: stranspose, peak: sfmaAVX512,
		trsm: [4]func(int, *float32, int, *float32, int, *float32, float32, int){1: strsmAVX512x1, 2: strsmAVX512x2, 3: strsmAVX512x3},
		gemm: [4]func(int, int, *float32, int, int, int, *float32, int, *float32, int, float32, float32, int){1: sgemmAVX512x1, 2: sgemmAVX512x2, 3: sgemmAVX512x3},
	}},
}

// available lists the sets that this processor runs, the fastest last.
func available() []Set {
	sets := []Set{Gonum}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasBMI2 {
		sets = append(sets, AVX2)
		if cpu.X86.HasAVX512F {
			sets = append(sets, AVX512)
		}
	}
	return sets
}

func kernelsOf(s Set) (*kernels[float64], *kernels[float32]) {
	for _, k := range kernelSets {
		if k.set == s {
			return k.f64, k.f32
		}
	}
	return nil, nil
}
