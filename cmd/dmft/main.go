// Command dmft computes what neural networks do when they are infinitely wide and still learn features (dynamical mean
// field theory), trains finite networks on the same problem, and says how well they agree.
//
//	dmft quickstart                  the main job on real data in under a minute, nothing to prepare
//	dmft check FILE                  validate an experiment file, print it with every default filled in
//	dmft check --schema              every key of an experiment file
//	dmft solve FILE [--out DIR]      theory only
//	dmft simulate FILE [--out DIR]   finite networks only
//	dmft compare FILE [--out DIR]    both, the distances, the figures
//	dmft converge FILE [--out DIR]   rates in width, depth and samples with confidence intervals, and whether the limit holds
//	dmft grok FILE [--out DIR]       the same, and the grokking gap; with two lists in FILE a phase diagram of it
//	dmft transfer FILE [--out DIR]   the best learning rate at several widths or depths, and whether it stays
//	dmft sweep FILE [--out DIR]      the points of the lists in FILE, on all cores or as a SLURM job array; --status, --resume, --cancel
//	dmft figure DIR                  draw the figures of a finished run or sweep again
//	dmft bench                       measure this machine
//	dmft help [COMMAND]              what a command does, with an example
//
// Flags work before and after FILE. Tables go to standard output (JSON with --json), progress and errors to standard
// error. The exit code is 0 for success, 1 for a failure, 2 for bad usage or a bad experiment file, 3 when theory and
// simulation disagree beyond the stated tolerance, 130 when interrupted with everything saved.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/internal/experiment"
	"github.com/seed39b58f2d/dmft/internal/run"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDisagree    = 3
	exitInterrupted = 130
)

// usageError is a mistake in the command line.
type usageError struct{ error }

// disagreement is the verdict that theory and simulation are too far apart.
type disagreement struct{ error }

// products registers the machine's fastest matrix products and names them.
var products = sync.OnceValue(dmft.UseSIMD)

func main() {
	os.Exit(realMain(os.Args, os.Stdout, os.Stderr))
}

func realMain(args []string, stdout, stderr io.Writer) int {
	products()
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	defer stop()
	app := newApp(stdout, stderr)
	args = normalise(args)
	err := mistaken(app, args)
	if err == nil {
		err = app.RunContext(ctx, reorder(app, args))
	}
	code := exitCode(err)
	if err != nil {
		text := strings.TrimPrefix(err.Error(), "dmft: ")
		if text == context.Canceled.Error() { // where there was nothing to keep
			text = "interrupted"
		}
		fmt.Fprintf(stderr, "dmft: %s\n", text)
	}
	return code
}

// exitCode maps an error to the exit code of the process.
func exitCode(err error) int {
	var usage usageError
	var files experiment.Errors
	var points *data.Error
	var differ disagreement
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), errors.As(err, &files), errors.As(err, &points):
		return exitUsage
	case errors.As(err, &differ):
		return exitDisagree
	case dmft.StopCode(err) == dmft.Interrupted, errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

func newApp(stdout, stderr io.Writer) *cli.App {
	jsonFlag := &cli.BoolFlag{Name: "json", Usage: "print JSON instead of a table"}
	runFlags := []cli.Flag{
		&cli.StringFlag{Name: "out", Usage: "run `FOLDER`; by default named after the experiment and the command, " +
			"where results of an experiment that has since changed are moved aside"},
		&cli.BoolFlag{Name: "force", Usage: "compute again what the run folder already holds, and replace results of " +
			"another experiment there"},
		&cli.StringFlag{Name: "memory", Usage: "largest `SIZE` of memory to use, such as 8GiB; by default nine " +
			"tenths of the machine's, or of what the process may have of it"},
		&cli.DurationFlag{Name: "checkpoint", Value: 20 * time.Second,
			Usage: "`TIME` between checkpoints of unfinished work, such as 5m"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
		jsonFlag,
	}
	withFigures := append([]cli.Flag{&cli.BoolFlag{Name: "no-figures", Usage: "draw nothing"}}, runFlags...)
	var app *cli.App
	app = &cli.App{
		Name:                   "dmft",
		Usage:                  "infinitely wide neural networks that learn features, beside finite ones",
		Version:                run.ThisProgram().Version,
		Writer:                 stdout,
		ErrWriter:              stderr,
		HideHelpCommand:        true,
		EnableBashCompletion:   true,
		Suggest:                true,
		UseShortOptionHandling: false,
		ExitErrHandler:         func(*cli.Context, error) {}, // realMain reports
		OnUsageError:           func(_ *cli.Context, err error, _ bool) error { return usageError{err} },
		Flags: []cli.Flag{&cli.StringFlag{Name: "cpuprofile", Usage: "write a CPU profile to `FILE`",
			Hidden: true}},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return unknownCommand(app, c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			{
				Name: "quickstart", Usage: "the main job on real data in under a minute, nothing to prepare", ArgsUsage: " ",
				Description: "Solves the infinite-width theory of a two-layer network on real images from lazy to " +
					"rich, trains finite networks of several\n" +
					"widths and seeds on them, prints how far apart they are and at what rate they approach each " +
					"other, and draws the figures.\n\n" +
					"   dmft quickstart --out quickstart",
				Flags:  withFigures,
				Action: func(c *cli.Context) error { return quickstart(c) },
			},
			{
				Name: "check", Usage: "validate an experiment file, print it with every default filled in", ArgsUsage: "FILE",
				Description: "Prints the experiment with defaults, what it will take, and whether the learning rate " +
					"is stable at the start.\n\n   dmft check experiment.yaml\n   dmft check --schema",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "schema", Usage: "print every key of an experiment file"}, jsonFlag},
				Action: check,
			},
			{
				Name: "solve", Usage: "theory only", ArgsUsage: "FILE", Description: "   dmft solve experiment.yaml --out theory",
				Flags: withFigures, Action: func(c *cli.Context) error { return runFile(c, true, false) },
			},
			{
				Name: "simulate", Usage: "finite networks only", ArgsUsage: "FILE",
				Description: "   dmft simulate experiment.yaml --out networks",
				Flags:       withFigures, Action: func(c *cli.Context) error { return runFile(c, false, true) },
			},
			{
				Name: "compare", Usage: "theory and finite networks, their distances, the figures", ArgsUsage: "FILE",
				Description: "   dmft compare experiment.yaml --out comparison",
				Flags:       withFigures, Action: func(c *cli.Context) error { return runFile(c, true, true) },
			},
			{
				Name: "converge", Usage: "rates in width, depth and samples with confidence intervals, and whether " +
					"the limit holds", ArgsUsage: "FILE",
				Description: "Trains ensembles at a ladder of widths (converge.widths), solves the theory, and fits " +
					"how predictions, loss and NTK of one network, and of the mean of\n" +
					"networks, approach their limit: expected as N^(−1/2) and N^(−1). The means extrapolated to " +
					"infinite width are tested against the theory, with the\n" +
					"sampling errors of both. With network.depth infinite the same at every depth of a ladder, and " +
					"the theory in depth; the theory's error in its number of\n" +
					"samples. Exit code 3 when the limit is rejected, which happens to a right one with probability " +
					"converge.significance.\n\n   dmft converge experiment.yaml --out convergence",
				Flags: withFigures, Action: func(c *cli.Context) error { return runFile(c, true, true) },
			},
			{
				Name: "bench", Usage: "measure this machine: matrix products, networks, the theory, how cost grows", ArgsUsage: " ",
				Description: "Prints tables in Markdown, in a minute or two.\n\n   dmft bench",
				Flags:       []cli.Flag{jsonFlag}, Action: measure,
			},
			{
				Name: "grok", Usage: "theory and finite networks, and the delay between learning the training points " +
					"and the task", ArgsUsage: "FILE",
				Description: "Does what compare does and prints the grokking gap: log₁₀ of the time by which the " +
					"test loss stays below a fraction of its start\n" +
					"(grok.fraction) over that of the train loss, or never. For high-dimensional data, and for any " +
					"experiment with test points. A file with two\n" +
					"lists gives a phase diagram; solve draws it from the theory alone, simulate from finite " +
					"networks. A diagram that was stopped goes on\n" +
					"when the same command is given again.\n\n   dmft grok experiment.yaml --out grokking",
				Flags: withFigures, Action: func(c *cli.Context) error { return runFile(c, true, true) },
			},
			{
				Name: "transfer", Usage: "the best learning rate (or richness, or branch scale) at several widths or " +
					"depths, and whether it stays", ArgsUsage: "FILE",
				Description: "Trains networks of every simulation.widths, or of every depth of a list network.depth, " +
					"over a grid of learning rates (transfer.parameter\n" +
					"chooses another hyperparameter), solves the theory of the limit beside, finds the best value of " +
					"each with its error bar and the exponent\n" +
					"with which it drifts, and draws loss against learning rate. Other lists of FILE, such as " +
					"simulation.parametrization: [mup, standard, ntk],\n" +
					"make one panel each. In transfer.npz and transfer.csv the size inf is the limit, the loss inf " +
					"is of a value at which some seed diverged\n" +
					"(diverged of seeds did), and in loss_seeds, one column per seed, inf is a seed that diverged " +
					"and NaN one that the row does not have;\n" +
					"an optimum is NaN where there is none.\n\n   dmft transfer experiment.yaml --out transfer",
				Flags: withFigures, Action: transferFile,
			},
			{
				Name: "sweep", Usage: "the product of the lists of a file, on all cores or on a SLURM cluster",
				ArgsUsage: "FILE|DIR",
				Description: "Runs every point of the lists in FILE in a run folder named by the hash of its " +
					"experiment, so that finished points are never\n" +
					"computed again, in this sweep or in another one with the same --store. Writes summary.csv, " +
					"summary.npz and figures. A point that\n" +
					"fails is on record and does not stop the others; the exit code is then 1. Stopped or killed, " +
					"the same command goes on. The cores\n" +
					"of this machine are shared out by points (GOMAXPROCS says how many); the section sweep of FILE " +
					"says what a task of SLURM is.\n\n" +
					"   dmft sweep grid.yaml --mode solve\n" +
					"   dmft sweep grid.yaml --executor slurm --sbatch '--partition=cpu --time=2:00:00'\n" +
					"   dmft sweep grid-sweep --status",
				Flags: append([]cli.Flag{
					&cli.StringFlag{Name: "executor", Value: "local", Usage: "`WHERE`: local, the cores of this " +
						"machine, or slurm, a job array that is followed until it ends (Ctrl-C leaves it running)"},
					&cli.StringFlag{Name: "mode", Value: "compare", Usage: "`WHAT` to run at every point: solve " +
						"(theory), simulate (finite networks) or compare (both)"},
					&cli.StringFlag{Name: "store", Usage: "`FOLDER` of the points' run folders, which several sweeps " +
						"may share; points/ in the sweep's folder by default"},
					&cli.BoolFlag{Name: "status", Usage: "say how far the sweep is, and what has failed"},
					&cli.BoolFlag{Name: "resume", Usage: "go on, and try again what has failed"},
					&cli.BoolFlag{Name: "cancel", Usage: "end the job array, or the processes of this machine, that " +
						"work on the sweep; what they have is kept"},
					&cli.BoolFlag{Name: "detach", Usage: "submit to SLURM and return"},
					&cli.StringFlag{Name: "sbatch", Usage: "further `ARGUMENTS` of sbatch, beside those of the section sweep of FILE"},
					&cli.BoolFlag{Name: "no-figures", Usage: "draw nothing"},
				}, slices.DeleteFunc(slices.Clone(runFlags), func(f cli.Flag) bool { return f.Names()[0] == "force" })...),
				Action: runSweep,
			},
			{
				Name: "worker", Usage: "a task of a sweep's job array, run by SLURM", Hidden: true, Flags: runFlags,
				Action: runWorker,
			},
			{
				Name: "collect", Usage: "the last job of a sweep, run by SLURM", Hidden: true, Flags: withFigures,
				Action: runCollect,
			},
			{
				Name: "figure", Usage: "draw the figures of a finished run or sweep again", ArgsUsage: "DIR",
				Description: "Of a sweep: heat maps over the first two keys that are numbers, curves by the last " +
					"key, and against a key, of the quantities asked for\n" +
					"(columns of summary.csv).\n\n   dmft figure comparison\n   dmft figure grid-sweep --quantity " +
					"half_time --quantity test_loss",
				Flags: []cli.Flag{&cli.StringSliceFlag{Name: "quantity",
					Usage: "`COLUMN` of summary.csv to draw of a sweep; may be repeated"}, jsonFlag}, Action: redraw,
			},
		},
	}
	var profile *os.File
	app.Before = func(c *cli.Context) (err error) {
		if path := c.String("cpuprofile"); path != "" {
			if profile, err = os.Create(path); err == nil {
				err = pprof.StartCPUProfile(profile)
			}
		}
		return err
	}
	app.After = func(*cli.Context) error {
		if profile == nil {
			return nil
		}
		pprof.StopCPUProfile()
		return profile.Close()
	}
	for _, c := range app.Commands {
		c.OnUsageError = app.OnUsageError
	}
	return app
}

// reorder moves the flags of a command before its arguments, where the command-line library looks for them: left behind
// FILE they would silently be taken for arguments.
func reorder(app *cli.App, args []string) []string {
	if len(args) < 2 {
		return args
	}
	at := 1
	for at < len(args) && strings.HasPrefix(args[at], "-") { // global flags
		if name := strings.TrimLeft(args[at], "-"); name == "cpuprofile" {
			at++
		}
		at++
	}
	if at >= len(args) {
		return args
	}
	cmd := app.Command(args[at])
	if cmd == nil {
		return args
	}
	takesValue := namesOf(cmd)
	var flags, rest []string
	for i := at + 1; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			rest = append(rest, args[i:]...)
			i = len(args)
		case len(a) > 1 && strings.HasPrefix(a, "-"):
			flags = append(flags, a)
			if name := strings.TrimLeft(a, "-"); takesValue[name] && i+1 < len(args) {
				i++
				flags = append(flags, args[i])
			}
		default:
			rest = append(rest, a)
		}
	}
	return append(append(append([]string{}, args[:at+1]...), flags...), rest...)
}

// oneFile is the single argument of a command.
func oneFile(c *cli.Context, what string) (string, error) {
	switch n := c.NArg(); {
	case n == 0:
		return "", usageError{fmt.Errorf("%s needs %s; see dmft %s --help", c.Command.Name, what, c.Command.Name)}
	case n > 1:
		return "", usageError{fmt.Errorf("%s takes one argument, %s, and got %d: %s", c.Command.Name, what, n,
			strings.Join(c.Args().Slice(), " "))}
	}
	return c.Args().First(), nil
}
