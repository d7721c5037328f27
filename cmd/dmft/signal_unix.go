//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyWarning hands on the warning that SLURM gives before the time of a job is up.
func notifyWarning(c chan<- os.Signal) { signal.Notify(c, syscall.SIGUSR1) }

// terminate asks a process to keep what it has and end.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// stopSignals are the calls to keep what there is and end: Ctrl-C, SIGTERM, and SIGHUP of a terminal that closes,
// unless the process was started with that ignored, as nohup does, to outlive its terminal.
func stopSignals() []os.Signal {
	s := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		s = append(s, syscall.SIGHUP)
	}
	return s
}
