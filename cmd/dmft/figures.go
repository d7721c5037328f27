package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/report"
	"github.com/seed39b58f2d/dmft/internal/run"
)

// drawing are figures that are to be drawn in a folder.
type drawing struct {
	dir  string
	make func() ([]report.Named, error)
}

// later has figures drawn in the folder figures of a run when everything else is done: results that took hours must not
// wait for them, nor be lost with them.
func (s *session) later(dir string, make func() []report.Named) {
	if s.figures {
		s.drawings = append(s.drawings, drawing{dir, func() ([]report.Named, error) { return make(), nil }})
	}
}

// drawFigures draws the figures that wait. What goes wrong is a warning: the results are there, and figures are drawn
// again at any time.
func (s *session) drawFigures() {
	for _, d := range s.drawings {
		if err := draw(d.make, figureDir(d.dir)); err != nil {
			fmt.Fprintf(s.c.App.ErrWriter, "dmft: warning: not all figures are drawn: %v\nThe results in %s are "+
				"complete without them; when the cause is gone, draw them with: dmft figure %q\n", err, d.dir, d.dir)
		}
	}
	s.drawings = nil
}

func figureDir(dir string) string { return filepath.Join(dir, "figures") }

// undrawn says whether a finished run has no figures yet, because it was run without, or ended before they were drawn.
func undrawn(dir string) bool {
	_, err := os.Stat(figureDir(dir))
	return errors.Is(err, os.ErrNotExist)
}

// draw makes figures and writes them into a folder, as many as can be; a panic on the way is an error, too.
func draw(make func() ([]report.Named, error), dir string) (err error) {
	var failed error
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(failed, fmt.Errorf("drawing: %v", r))
		}
	}()
	figs, err := make()
	if err != nil || len(figs) == 0 {
		return err
	}
	if err := run.MakeFolder(dir); err != nil {
		return err
	}
	for i := range figs {
		if _, err := figs[i].Save(filepath.Join(dir, figs[i].Name)); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// drawn draws the figures of a finished run of n points and lists them.
func drawn(c *cli.Context, dir string, n int, make func() ([]report.Named, error)) error {
	none := fmt.Errorf("%s holds %d runs, too many for one figure; name the folder of one", dir, n)
	out := figureDir(dir)
	if err := draw(func() ([]report.Named, error) {
		figs, err := make()
		if err == nil && len(figs) == 0 {
			err = none
		}
		return figs, err
	}, out); err != nil {
		return err
	}
	files, err := run.Names(out, "")
	if err != nil {
		return err
	}
	for i, f := range files {
		files[i] = filepath.Join(out, f)
	}
	if c.Bool("json") {
		return jsonx.Write(c.App.Writer, map[string]any{"figures": files})
	}
	for _, f := range files {
		fmt.Fprintln(c.App.Writer, f)
	}
	return nil
}
