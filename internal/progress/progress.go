// Package progress tells people how far a long computation is: one line rewritten on a terminal, one line per phase elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Display writes progress. Its methods may be called from any goroutine.
type Display struct {
	mu     sync.Mutex
	w      io.Writer
	tty    bool
	prefix string
	last   time.Time
}

// New returns a display on w; it rewrites its line when w is a terminal.
func New(w io.Writer) *Display {
	d := &Display{w: w}
	if f, ok := w.(*os.File); ok {
		d.tty = term.IsTerminal(int(f.Fd()))
	}
	return d
}

// Prefix begins every following line.
func (d *Display) Prefix(s string) {
	d.mu.Lock()
	d.prefix = s
	d.mu.Unlock()
}

const clear = "\r\x1b[K"

// Line writes a line of its own.
func (d *Display) Line(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tty {
		fmt.Fprint(d.w, clear)
	}
	fmt.Fprintf(d.w, d.prefix+format+"\n", args...)
}

// Phase starts a phase of work. report is to be told how much is done, of how much; done ends the phase.
func (d *Display) Phase(name string) (report func(done, total int64), done func()) {
	start := time.Now()
	var n, total, first int64 = 0, 0, -1
	report = func(k, of int64) {
		d.mu.Lock()
		defer d.mu.Unlock()
		n, total = max(n, k), of
		if first < 0 {
			first = k // work found finished says nothing about speed
		}
		now := time.Now()
		if !d.tty || now.Sub(d.last) < 100*time.Millisecond || n == 0 {
			return
		}
		d.last = now
		el := now.Sub(start)
		left := time.Duration(0)
		rate := float64(n-first) / el.Seconds()
		if rate > 0 {
			left = time.Duration(float64(total-n) / rate * float64(time.Second))
		}
		fmt.Fprintf(d.w, "%s%s%s %d/%d steps (%d%%), %s/s, about %s left", clear, d.prefix, name, n, total, 100*n/max(total, 1), short(rate), left.Round(time.Second))
	}
	done = func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.tty {
			fmt.Fprint(d.w, clear)
		}
		word := "done"
		if n < total {
			word = fmt.Sprintf("stopped at %d of %d steps", n, total)
		}
		fmt.Fprintf(d.w, "%s%s: %s in %s\n", d.prefix, name, word, time.Since(start).Round(10*time.Millisecond))
	}
	return report, done
}

func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}
