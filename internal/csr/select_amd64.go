//go:build amd64 && !noasm

package csr

import "golang.org/x/sys/cpu"

// assembly lists the sets of kernels that this processor runs.
func assembly() []set {
	var sets []set
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		sets = append(sets, set{"avx2", &kernels[float64]{
			lanes: 4, transpose: dtransposeAVX2,
			gather:        [5]func(int, *int, *int32, *float64, *float64){1: dgatherAVX2x1, 2: dgatherAVX2x2, 4: dgatherAVX2x4},
			gatherScaled:  [5]func(int, *int, *int32, *float64, *float64, *float64){1: dgatherScaledAVX2x1, 2: dgatherScaledAVX2x2, 4: dgatherScaledAVX2x4},
			scatter:       [5]func(int, *int, *int32, *float64, *float64){1: dscatterAVX2x1, 2: dscatterAVX2x2, 4: dscatterAVX2x4},
			scatterScaled: [5]func(int, *int, *int32, *float64, *float64, *float64){1: dscatterScaledAVX2x1, 2: dscatterScaledAVX2x2, 4: dscatterScaledAVX2x4},
		}, &kernels[float32]{
			lanes: 8, transpose: stransposeAVX2,
			gather:        [5]func(int, *int, *int32, *float32, *float32){1: sgatherAVX2x1, 2: sgatherAVX2x2, 4: sgatherAVX2x4},
			gatherScaled:  [5]func(int, *int, *int32, *float32, *float32, *float32){1: sgatherScaledAVX2x1, 2: sgatherScaledAVX2x2, 4: sgatherScaledAVX2x4},
			scatter:       [5]func(int, *int, *int32, *float32, *float32){1: sscatterAVX2x1, 2: sscatterAVX2x2, 4: sscatterAVX2x4},
			scatterScaled: [5]func(int, *int, *int32, *float32, *float32, *float32){1: sscatterScaledAVX2x1, 2: sscatterScaledAVX2x2, 4: sscatterScaledAVX2x4},
		}})
		if cpu.X86.HasAVX512F {
			sets = append(sets, set{"avx512", &kernels[float64]{
				lanes: 8, transpose: dtransposeAVX512,
				gather:        [5]func(int, *int, *int32, *float64, *float64){1: dgatherAVX512x1, 2: dgatherAVX512x2, 4: dgatherAVX512x4},
				gatherScaled:  [5]func(int, *int, *int32, *float64, *float64, *float64){1: dgatherScaledAVX512x1, 2: dgatherScaledAVX512x2, 4: dgatherScaledAVX512x4},
				scatter:       [5]func(int, *int, *int32, *float64, *float64){1: dscatterAVX512x1, 2: dscatterAVX512x2, 4: dscatterAVX512x4},
				scatterScaled: [5]func(int, *int, *int32, *float64, *float64, *float64){1: dscatterScaledAVX512x1, 2: dscatterScaledAVX512x2, 4: dscatterScaledAVX512x4},
			}, &kernels[float32]{
				lanes: 16, transpose: stransposeAVX512,
				gather:        [5]func(int, *int, *int32, *float32, *float32){1: sgatherAVX512x1, 2: sgatherAVX512x2, 4: sgatherAVX512x4},
				gatherScaled:  [5]func(int, *int, *int32, *float32, *float32, *float32){1: sgatherScaledAVX512x1, 2: sgatherScaledAVX512x2, 4: sgatherScaledAVX512x4},
				scatter:       [5]func(int, *int, *int32, *float32, *float32){1: sscatterAVX512x1, 2: sscatterAVX512x2, 4: sscatterAVX512x4},
				scatterScaled: [5]func(int, *int, *int32, *float32, *float32, *float32){1: sscatterScaledAVX512x1, 2: sscatterScaledAVX512x2, 4: sscatterScaledAVX512x4},
			}})
		}
	}
	return sets
}
