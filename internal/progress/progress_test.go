package progress

import (
	"bytes"
	"strings"
	"testing"
)

// TestOneLinePerPhase: elsewhere than on a terminal a phase is one line; an unfinished one says where it stopped.
func TestOneLinePerPhase(t *testing.T) {
	var b bytes.Buffer
	d := New(&b)
	d.Prefix("[1/2] ")
	report, done := d.Phase("theory")
	for k := int64(0); k <= 100; k++ {
		report(k, 100)
	}
	done()
	report, done = d.Phase("networks")
	report(30, 100)
	report(20, 100) // reports of other goroutines may arrive late
	done()
	d.Line("note %d", 7)
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "[1/2] theory: done in") || !strings.Contains(lines[1], "stopped at 30 of 100") || lines[2] != "[1/2] note 7" {
		t.Errorf("%q", lines)
	}
}

// TestTerminal: on a terminal one line is rewritten, with rate and time left.
func TestTerminal(t *testing.T) {
	var b bytes.Buffer
	d := New(&b)
	d.tty = true
	report, done := d.Phase("theory")
	report(10, 100)
	if s := b.String(); !strings.HasPrefix(s, clear) || !strings.Contains(s, "10/100 steps (10%)") || strings.Contains(s, "\n") {
		t.Errorf("%q", s)
	}
	done()
	if !strings.HasSuffix(b.String(), "\n") {
		t.Error("a finished phase leaves the line open")
	}
}
