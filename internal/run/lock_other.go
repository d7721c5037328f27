//go:build !unix

package run

import (
	"os"
	"runtime"
)

// lock only marks the folder: this system has no lock that survives every kind of end of a process and no other.
func lock(path string) (f *os.File, held bool, err error) {
	f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
	return f, false, err
}

// running says whether there is a process.
func running(pid int) bool {
	p, err := os.FindProcess(pid)
	if err == nil {
		p.Release()
	}
	return err == nil
}

// peakMemory is the memory the runtime has obtained from the system, in bytes.
func peakMemory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys)
}

// ProcessorSeconds is the time that the processors have worked for this process, where that is known; here it is not.
func ProcessorSeconds() float64 { return 0 }
