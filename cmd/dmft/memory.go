package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryLimit reads a size such as 8GiB; empty is nine tenths of the memory that this process may have, where that is
// known.
func memoryLimit(s string) (int64, error) {
	if s == "" {
		return availableMemory("/") / 10 * 9, nil
	}
	return bytesOf(s)
}

// availableMemory is the memory of the machine under a root, or what this process may have of it when that is less: by
// its control groups, which are those of a SLURM job or a container, or its limit of address space (ulimit -v). 0 is
// unknown.
func availableMemory(root string) int64 {
	const unit, most = 1024, 1 << 50 // a control group without a limit has one of 2⁶³ bytes
	least := int64(0)
	take := func(n int64) {
		if n > 0 && n < most && (least == 0 || n < least) {
			least = n
		}
	}
	lines := func(path ...string) []string {
		b, _ := os.ReadFile(filepath.Join(append([]string{root}, path...)...)) // not every system has all of them
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	var n int64
	for _, l := range lines("proc/meminfo") {
		if _, err := fmt.Sscanf(l, "MemTotal: %d kB", &n); err == nil {
			take(n * unit)
		}
	}
	for _, l := range lines("proc/self/limits") {
		if _, err := fmt.Sscanf(l, "Max address space %d", &n); err == nil {
			take(n)
		}
	}
	for _, l := range lines("proc/self/cgroup") { // number:controllers:path
		f := strings.SplitN(l, ":", 3)
		if len(f) < 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		if f[1] == "memory" {
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if f[1] != "" {
			continue
		}
		for dir := filepath.Clean("/" + f[2]); ; dir = filepath.Dir(dir) { // a group is within the limits of those above
			if n, err := strconv.ParseInt(lines(mount, dir, file)[0], 10, 64); err == nil {
				take(n)
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
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
