package main

import (
	_ "embed"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// memoryLimit reads a size such as 8GiB; empty is nine tenths of the machine's memory where that is known.
func memoryLimit(s string) (int64, error) {
	if s == "" {
		b, err := os.ReadFile("/proc/meminfo")
		if err != nil {
			return 0, nil
		}
		for _, l := range strings.Split(string(b), "\n") {
			var kb int64
			if _, err := fmt.Sscanf(l, "MemTotal: %d kB", &kb); err == nil {
				return kb * 1024 * 9 / 10, nil
			}
		}
		return 0, nil
	}
	return bytesOf(s)
}

// holdMemory makes the garbage collector keep to a limit, which left alone lets the memory grow to twice of what is in
// use. A smaller limit of the environment (GOMEMLIMIT) stays.
func holdMemory(limit int64) {
	const program = 24 << 20 // what the program itself takes beside what is collected
	if limit -= min(limit/10, program); limit > 0 && limit < debug.SetMemoryLimit(-1) {
		debug.SetMemoryLimit(limit)
	}
}

func sizeText(n int64) string {
	switch v := float64(n); {
	case v >= 1<<30:
		return fmt.Sprintf("%.3g GiB", v/(1<<30))
	case v >= 1<<20:
		return fmt.Sprintf("%.3g MiB", v/(1<<20))
	default:
		return fmt.Sprintf("%.3g KiB", v/(1<<10))
	}
}
