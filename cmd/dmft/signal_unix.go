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
