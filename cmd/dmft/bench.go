package main

import (
	"fmt"
	"runtime"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/internal/bench"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
	"github.com/seed39b58f2d/dmft/internal/progress"
)

// measure prints the tables of package bench.
func measure(c *cli.Context) error {
	if c.NArg() > 0 {
		return usageError{fmt.Errorf("bench takes no arguments, and got %s", c.Args().First())}
	}
	display := progress.New(c.App.ErrWriter)
	tables, err := bench.Run(c.Context, func(what string) { display.Line("measuring %s", what) })
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return jsonx.Write(c.App.Writer, map[string]any{"products": products(), "cores": runtime.GOMAXPROCS(0),
			"tables": tables})
	}
	fmt.Fprintf(c.App.Writer,
		"# Performance\n\nMade by `dmft bench` on %s/%s, %d cores, matrix products by %s, %s.\n\n", runtime.GOOS,
		runtime.GOARCH, runtime.GOMAXPROCS(0), products(), runtime.Version())
	return bench.Write(c.App.Writer, tables)
}
