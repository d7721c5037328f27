package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAvailableMemory: the limit of memory is that of the machine, of the address space or of the control groups,
// whichever is least.
func TestAvailableMemory(t *testing.T) {
	const gib = 1 << 30
	const machine, unlimited = "MemTotal:       16777216 kB\nMemFree: 3 kB\n",
		"Max address space         unlimited            unlimited            bytes\n"
	for name, x := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"unknown": {nil, 0},
		"machine": {map[string]string{"proc/meminfo": machine, "proc/self/limits": unlimited}, 16 * gib},
		"address space": {map[string]string{"proc/meminfo": machine, "proc/self/limits": "Limit  Soft Limit\nMax " +
			"address space         8589934592           unlimited            bytes\n"}, 8 * gib},
		"group": {map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/slurm/job_1/task_0\n",
			"sys/fs/cgroup/slurm/job_1/memory.max":        "4294967296\n",
			"sys/fs/cgroup/slurm/job_1/task_0/memory.max": "max\n"}, 4 * gib},
		"container": {map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "2147483648\n"}, 2 * gib},
		"first version": {map[string]string{"proc/meminfo": machine,
			"proc/self/cgroup":                           "4:memory:/elsewhere/of/the/host\n1:cpu:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "3221225472\n"}, 3 * gib},
		"first version, no limit": {map[string]string{"proc/meminfo": machine, "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 16 * gib},
	} {
		root := t.TempDir()
		for file, text := range x.files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if got := availableMemory(root); got != x.want {
			t.Errorf("%s: %d, want %d", name, got, x.want)
		}
	}
}
