//go:build !unix

package main

import "os"

// notifyWarning does nothing: SLURM is not here.
func notifyWarning(chan<- os.Signal) {}

// terminate ends a process, which loses what it has computed since its last checkpoints.
func terminate(p *os.Process) error { return p.Kill() }
