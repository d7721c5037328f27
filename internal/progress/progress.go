// Package progress tells people how far a long computation is: one line rewritten on a terminal, one line per phase
// elsewhere.
package progress

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Display writes progress. Its methods may be called from any goroutine.
type Display struct {
	*output
	prefix string
	beside bool // others are at work at the same time: a phase is a line when it has ended
	silent bool
}

type output struct {
	mu   sync.Mutex
	w    io.Writer
	tty  bool
	last time.Time
}

// New returns a display on w; it rewrites its line when w is a terminal.
func New(w io.Writer) *Display {
	d := &Display{output: &output{w: w}}
	if f, ok := w.(*os.File); ok {
		d.tty = term.IsTerminal(int(f.Fd()))
	}
	return d
}

// With returns a display in the same place that begins every line with s.
func (d *Display) With(s string) *Display {
	e := *d
	e.prefix = s
	return &e
}

// Beside returns a display for one of several tasks at the same time: how far they all are, has the line that is
// rewritten, and a phase is a line when it has ended.
func (d *Display) Beside() *Display {
	e := *d
	e.beside = true
	return &e
}

// Silent returns a display that shows nothing.
func (d *Display) Silent() *Display {
	e := *d
	e.silent = true
	return &e
}

const clear = "\r\x1b[K"

// Line writes a line of its own.
func (d *Display) Line(format string, args ...any) {
	if d.silent {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tty {
		fmt.Fprint(d.w, clear)
	}
	fmt.Fprintf(d.w, d.prefix+format+"\n", args...)
}

// Phase starts a phase of work. report is to be told how much is done, of how much; done ends the phase.
func (d *Display) Phase(name string) (report func(done, total int64), done func()) {
	p := &phase{Display: d, name: name, unit: "steps", start: time.Now(), first: -1}
	return func(k, of int64) { p.report(float64(k), float64(of)) }, p.done
}

// Tasks starts n tasks, any number of them at the same time. report is to be told how much of a task is done, from 0 to
// 1; done ends them.
func (d *Display) Tasks(name, unit string, n int) (report func(task int, done float64), done func()) {
	p := &phase{Display: d, name: name, unit: unit, start: time.Now(), first: -1, total: float64(n)}
	var mu sync.Mutex
	of, sum := make([]float64, n), 0.
	return func(i int, done float64) {
		mu.Lock()
		if done > of[i] { // reports of other goroutines may arrive late
			sum += done - of[i]
			of[i] = done
		}
		k := sum
		mu.Unlock()
		p.report(k, float64(n))
	}, p.done
}

// phase is what a line is about.
type phase struct {
	*Display
	name, unit      string
	start           time.Time
	n, total, first float64
}

const whole = 1 - 1e-9 // sums of parts

func (p *phase) report(k, of float64) {
	if p.silent {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n, p.total = max(p.n, k), of
	if p.first < 0 {
		p.first = k // work found finished says nothing about speed
	}
	now := time.Now()
	if !p.tty || p.beside || now.Sub(p.last) < 100*time.Millisecond || p.n == 0 {
		return
	}
	p.last = now
	left := time.Duration(0)
	rate := (p.n - p.first) / now.Sub(p.start).Seconds()
	if rate > 0 {
		left = time.Duration((p.total - p.n) / rate * float64(time.Second))
	}
	fmt.Fprintf(p.w, "%s%s%s %.0f/%.0f %s (%.0f%%), %s/s, about %s left", clear, p.prefix, p.name,
		math.Floor(p.n/whole), p.total, p.unit, math.Floor(100*p.n/max(p.total, 1)/whole), short(rate),
		left.Round(time.Second))
}

func (p *phase) done() {
	if p.silent {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tty {
		fmt.Fprint(p.w, clear)
	}
	word := "done"
	if p.n < p.total*whole {
		word = fmt.Sprintf("stopped at %.0f of %.0f %s", math.Floor(p.n/whole), p.total, p.unit)
	}
	fmt.Fprintf(p.w, "%s%s: %s in %s\n", p.prefix, p.name, word, time.Since(p.start).Round(10*time.Millisecond))
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
