//go:build !unix

package main

import (
	"os"
	"syscall"
)

// notifyWarning does nothing: SLURM is not here.
func notifyWarning(chan<- os.Signal) {}

// terminate ends a process, which loses what it has computed since its last checkpoints.
func terminate(p *os.Process) error { return p.Kill() }

// stopSignals are the calls to keep what there is and end.
func stopSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }
