package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// normalise turns "dmft help", "dmft help COMMAND" and "dmft version" into the flags that mean the same.
func normalise(args []string) []string {
	if len(args) < 2 {
		return args
	}
	switch {
	case args[1] == "help" && (len(args) == 2 || args[2] == "help"):
		return []string{args[0], "--help"}
	case args[1] == "help" && len(args) == 3 && !strings.HasPrefix(args[2], "-"):
		return []string{args[0], args[2], "--help"}
	case args[1] == "version" && len(args) == 2:
		return []string{args[0], "--version"}
	}
	return args
}

// unknownCommand says what may have been meant.
func unknownCommand(app *cli.App, name string) error {
	hint := "see dmft --help"
	if isExperimentFile(name) {
		hint = fmt.Sprintf("to run an experiment file: dmft compare %s", name)
	} else if near := nearest(name, visible(app)); near != "" {
		hint = fmt.Sprintf("did you mean %s? dmft --help lists them all", near)
	}
	return usageError{fmt.Errorf("unknown command %q; %s", name, hint)}
}

// unknownFlag says what may have been meant.
func unknownFlag(cmd *cli.Command, name string) error {
	var names []string
	for _, f := range cmd.Flags {
		names = append(names, f.Names()[0])
	}
	hint := fmt.Sprintf("see dmft %s --help", cmd.Name)
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean --%s? dmft %s --help lists them all", near, cmd.Name)
	}
	return usageError{fmt.Errorf("dmft %s has no flag --%s; %s", cmd.Name, name, hint)}
}

func visible(app *cli.App) (names []string) {
	for _, c := range app.Commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return append(names, "help")
}

// nearest is the name that is a few typing mistakes away from what was written, or "".
func nearest(written string, names []string) string {
	best, least := "", len([]rune(written))/3+2
	for _, n := range names {
		if d := distance(strings.ToLower(written), n); d < least || strings.HasPrefix(n, strings.ToLower(written)) &&
			len(written) >= 2 && best == "" {
			best, least = n, min(d, least)
		}
	}
	return best
}

// distance is the number of characters to insert, delete, replace or exchange with their neighbour between two words.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row[0] = i + 1
		for j := range y {
			d := 1
			if x[i] == y[j] {
				d = 0
			}
			row[j+1] = min(last[j]+d, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}

// isExperimentFile says whether an argument looks like one.
func isExperimentFile(name string) bool {
	ext := strings.ToLower(filepath.Ext(name))
	return ext == ".yaml" || ext == ".yml"
}

func isDir(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.IsDir()
}

// namesOf are the names of a command's flags, and whether each takes a value.
func namesOf(cmd *cli.Command) map[string]bool {
	names := map[string]bool{"help": false, "h": false}
	for _, f := range cmd.Flags {
		_, isBool := f.(*cli.BoolFlag)
		for _, n := range f.Names() {
			names[n] = !isBool
		}
	}
	return names
}

// mistaken says what is wrong with the flags of a command line: one that is not known, or one whose value was
// forgotten, so that what follows would be taken for it: another flag, or FILE.
func mistaken(app *cli.App, args []string) error {
	if len(args) < 2 {
		return nil
	}
	cmd := app.Command(args[1])
	if cmd == nil {
		return misplaced(app, args[1:])
	}
	names, files := namesOf(cmd), 0
	var took, value string
	for i := 2; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			files += len(args) - i - 1
			break
		}
		if len(a) < 2 || a[0] != '-' {
			files++
			continue
		}
		name, given, has := strings.Cut(strings.TrimLeft(a, "-"), "=")
		takes, known := names[name]
		switch {
		case !known && name != "generate-bash-completion":
			return unknownFlag(cmd, name)
		case !takes:
			if _, err := strconv.ParseBool(given); has && err != nil {
				return usageError{fmt.Errorf("%s takes no value; write --%s or leave it out", a, name)}
			}
			continue
		}
		if !has {
			if i++; i == len(args) {
				return usageError{fmt.Errorf("%s needs a value; see dmft %s --help", a, cmd.Name)}
			}
			given = args[i]
			if flag := strings.TrimLeft(given, "-"); flag != given && name != "sbatch" { // which has flags of its own
				if _, known := names[strings.SplitN(flag, "=", 2)[0]]; known {
					return usageError{fmt.Errorf(
						"%s needs a value, and %s follows, which is a flag; see dmft %s --help", a, given, cmd.Name)}
				}
			}
		}
		if given == "" {
			return usageError{fmt.Errorf("%s is empty; give it a value or leave it out", a)}
		}
		if _, err := time.ParseDuration(given); name == "checkpoint" && err != nil {
			return usageError{fmt.Errorf("--checkpoint %s is not a time; write a number with its unit, for example "+
				"20s or 5m", given)}
		}
		if isExperimentFile(given) || cmd.Name == "figure" && isDir(given) {
			took, value = a, given
		}
	}
	if took == "" {
		return nil
	}
	if files == 0 {
		what := "experiment FILE"
		if cmd.Name == "figure" {
			what = "DIR"
		}
		return usageError{fmt.Errorf("%s took %s for its value, and no %s is left; write %s with its value and then %s",
			took, value, what, took, value)}
	}
	if st, err := os.Stat(value); err == nil && !st.IsDir() && took != "--sbatch" { // whose arguments can be files
		return usageError{fmt.Errorf("%s took the file %s for its value; is the value of %s forgotten?", took, value, took)}
	}
	return nil
}

// misplaced says what is wrong with a flag in front of the command, where there are those of the program alone.
func misplaced(app *cli.App, args []string) error {
	flag := args[0]
	name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
	if name == flag || name == "" {
		return nil
	}
	own := []string{"help", "version"}
	for _, f := range append([]string{"h", "v", "cpuprofile", "generate-bash-completion"}, own...) {
		if name == f {
			return nil
		}
	}
	for _, a := range args[1:] {
		if cmd := app.Command(a); cmd == nil {
			continue
		} else if _, known := namesOf(cmd)[name]; known {
			return usageError{fmt.Errorf("%s stands in front of the command; write dmft %s %s …", flag, cmd.Name, flag)}
		} else {
			return unknownFlag(cmd, name)
		}
	}
	if near := nearest(name, own); near != "" {
		return usageError{fmt.Errorf("dmft has no flag %s without a command; did you mean --%s?", flag, near)}
	}
	return usageError{fmt.Errorf("dmft has no flag %s without a command; see dmft --help", flag)}
}

// checkpointTime is the time between checkpoints.
func checkpointTime(c *cli.Context) error {
	const longest = 24 * time.Hour
	switch d := c.Duration("checkpoint"); {
	case !c.IsSet("checkpoint"):
	case d <= 0:
		return usageError{fmt.Errorf("--checkpoint %v is no time; write how long after the last one the next "+
			"checkpoint is due, for example 20s", d)}
	case d > longest:
		return usageError{fmt.Errorf("--checkpoint %v is too long: an interruption could cost all of it; at most %v", d,
			longest)}
	}
	return nil
}

// bytesOf reads a size such as 8GiB.
func bytesOf(s string) (int64, error) {
	units := []struct {
		suffix string
		factor float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6},
		{"GB", 1e9}, {"TB", 1e12}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, {"B", 1}, {"", 1}}
	const least, most = 1000, 1 << 60
	for _, u := range units {
		num, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
		switch v *= u.factor; {
		case err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(v) || v <= 0 && num != "":
			return 0, fmt.Errorf("--memory %s is not a size; write for example 8GiB or 500MB", s)
		case v < least:
			return 0, fmt.Errorf("--memory %s is less than a kilobyte, in which nothing runs; write for example 8GiB "+
				"or 500MB", s)
		case v > most:
			return 0, fmt.Errorf("--memory %s is more than any machine has; write for example 8GiB or 500MB", s)
		}
		return int64(v), nil
	}
	panic("unreachable: the last unit is empty")
}
