package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestOneLinePerPhase: elsewhere than on a terminal a phase is one line; an unfinished one says where it stopped.
func TestOneLinePerPhase(t *testing.T) {
	var b bytes.Buffer
	d := New(&b).With("[1/2] ")
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
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "[1/2] theory: done in") ||
		!strings.Contains(lines[1], "stopped at 30 of 100") || lines[2] != "[1/2] note 7" {
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
	if s := b.String(); !strings.HasPrefix(s, clear) || !strings.Contains(s, "10/100 steps (10%)") ||
		strings.Contains(s, "\n") {
		t.Errorf("%q", s)
	}
	done()
	if !strings.HasSuffix(b.String(), "\n") {
		t.Error("a finished phase leaves the line open")
	}
}

// TestTasks: several tasks are one line, by how much of each is done; what works beside others shows its lines alone.
func TestTasks(t *testing.T) {
	var b bytes.Buffer
	d := New(&b)
	d.tty = true
	report, done := d.Tasks("sweep", "points", 4)
	report(2, 0)
	report(0, 1)
	d.last = time.Time{}
	report(3, 0.5)
	report(3, 0.25)
	if s := b.String(); !strings.Contains(s, "sweep 1/4 points (37%)") {
		t.Errorf("%q", s)
	}
	one := d.With("[4/4] ").Beside()
	phase, end := one.Phase("theory")
	b.Reset()
	phase(3, 10)
	if b.Len() > 0 {
		t.Errorf("a phase beside others shows %q", b.String())
	}
	end()
	one.Line("a note")
	one.Silent().Line("nothing")
	_, end = one.Silent().Phase("nothing")
	end()
	done()
	want := []string{"[4/4] theory: stopped at 3 of 10 steps in", "[4/4] a note", "sweep: stopped at 1 of 4 points in"}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(b.String(), clear, "")), "\n")
	for i, w := range want {
		if len(lines) != len(want) || !strings.HasPrefix(lines[i], w) {
			t.Errorf("%q", lines)
			break
		}
	}
	b.Reset()
	report, done = d.Tasks("sweep", "points", 3)
	for i := range 3 {
		for k := range 10 {
			report(i, float64(k+1)/10)
		}
	}
	done()
	if s := b.String(); !strings.Contains(s, "sweep: done in") {
		t.Errorf("%q", s)
	}
}
