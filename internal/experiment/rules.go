package experiment

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/kballard/go-shellquote"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/executor"
)

// A rule ties several keys together. It is asked only when every key in on is known, and reported at the first key of
// on that the file gives, with the values of those that are swept.
type rule struct {
	on    []string
	check func(*Experiment) string // what is wrong, or ""
}

// rules are the mistakes that can be seen without opening a data file. Those of a default come after those of the key
// that it follows from.
var rules = slices.Concat(generalRules, highDimensionalRules)

var generalRules = []rule{
	{[]string{"name"}, func(e *Experiment) string {
		if s := folderSafe(e.Name); s != e.Name {
			return fmt.Sprintf("name is %q; it names the run folder, so it holds no slashes or control characters; "+
				"%s would do", e.Name, s)
		}
		return ""
	}},
	{[]string{"name"}, func(e *Experiment) string {
		if n := len(e.Name); n > maxName {
			return fmt.Sprintf("name has %d bytes; it names the run folder, whose name has at most %d", n, maxName)
		}
		return ""
	}},
	{[]string{"sweep.slurm.partition"}, func(e *Experiment) string { return slurmWord("partition", e.Sweep.Partition) }},
	{[]string{"sweep.slurm.account"}, func(e *Experiment) string { return slurmWord("account", e.Sweep.Account) }},
	{[]string{"sweep.slurm.time"}, func(e *Experiment) string { return slurmWord("time", e.Sweep.Time) }},
	{[]string{"sweep.slurm.memory"}, func(e *Experiment) string { return slurmWord("memory", e.Sweep.Memory) }},
	{[]string{"sweep.slurm.arguments"}, func(e *Experiment) string {
		words, err := shellquote.Split(e.Sweep.Arguments)
		if err != nil {
			return fmt.Sprintf("sweep.slurm.arguments are %q, which a shell would not split into words either: %v",
				e.Sweep.Arguments, err)
		}
		option := false // the word before is an option that a value may follow
		for _, w := range words {
			switch dash := strings.HasPrefix(w, "-"); {
			case strings.ContainsFunc(w, unicode.IsControl):
				return fmt.Sprintf("sweep.slurm.arguments hold %q, with a character that no command takes", w)
			case !dash && !option:
				return fmt.Sprintf("sweep.slurm.arguments hold %q, which sbatch would take for the script: options "+
					"begin with a dash", w)
			default:
				option = dash && !strings.Contains(w, "=")
			}
		}
		return ""
	}},
	{[]string{"record.two_time"}, func(e *Experiment) string {
		if e.Record.TwoTime == AutoKernels {
			return "record.two_time is auto; kernels between two times are kept when they are asked for: give a number, or all"
		}
		return ""
	}},
	{[]string{"theory.fluctuations", "theory.method", "network.depth", "training.weight_decay", "data.source"},
		func(e *Experiment) string {
			switch m, l := e.Theory.Method, e.Network.Depth; {
			case !e.Theory.Fluctuations || e.HighDimensional():
			case l == Infinite:
				return "theory.fluctuations are for networks of finite depth"
			case m != "lazy" && m != "full":
				return fmt.Sprintf("theory.fluctuations are those of the methods full and lazy, not of %s", m)
			case m == "lazy" && e.Training.WeightDecay != 0:
				return "theory.fluctuations of method lazy need a static kernel; use weight_decay 0"
			}
			return ""
		}},
	{[]string{"theory.fluctuations", "record.every", "data.source"}, func(e *Experiment) string {
		if e.Theory.Fluctuations && e.Record.Every > 1 && !e.HighDimensional() {
			return "theory.fluctuations are predicted for every step; leave record.every at 1"
		}
		return ""
	}},
	{[]string{"training.rates.input", "training.rates.hidden", "training.rates.readout", "network.depth",
		"data.source"}, func(e *Experiment) string {
		t := e.Training
		if !e.HighDimensional() && t.RateInput == 0 && t.RateReadout == 0 && (t.RateHidden == 0 || e.Network.Depth == 1) {
			return "training.rates are zero for every layer, so nothing would be trained"
		}
		return ""
	}},
	{[]string{"training.weight_decay", "training.rates.input", "training.rates.hidden", "training.rates.readout",
		"data.source"}, func(e *Experiment) string {
		t := e.Training
		if !e.HighDimensional() && t.WeightDecay != 0 && (t.RateInput == 0 || t.RateHidden == 0 || t.RateReadout == 0) {
			return "training.weight_decay would shrink layers that training.rates freeze; use weight_decay 0"
		}
		return ""
	}},
	{[]string{"theory.depths"}, func(e *Experiment) string {
		for i, l := range e.Theory.Depths {
			if i > 0 && l <= e.Theory.Depths[i-1] {
				return fmt.Sprintf("theory.depths are %v; they must rise", e.Theory.Depths)
			}
		}
		if n := len(e.Theory.Depths); n > 0 && n < 3 {
			return fmt.Sprintf("theory.depths holds %d depths; at least three are needed to extrapolate with an "+
				"error estimate", n)
		}
		return ""
	}},
	{[]string{"network.depth", "network.kind", "network.branch.exponent", "network.branch.rate"},
		func(e *Experiment) string {
			n := e.Network
			switch {
			case n.Depth != Infinite || n.Kind != "resnet":
			case n.Exponent < 0.5:
				return fmt.Sprintf("network.depth is infinite, and with branch.exponent %g a residual network grows "+
					"without bound with its depth; use 0.5 or more", n.Exponent)
			case n.Rate > 2*n.Exponent-1:
				return fmt.Sprintf("network.depth is infinite, and with branch.rate %g what branches learn grows "+
					"without bound with depth; use at most 2·exponent − 1 = %g", n.Rate, 2*n.Exponent-1)
			}
			return ""
		}},
	{[]string{"data.classes"}, func(e *Experiment) string {
		for i, v := range e.Data.Classes {
			if slices.Contains(e.Data.Classes[:i], v) {
				return fmt.Sprintf("data.classes lists %d twice", v)
			}
		}
		return ""
	}},
	{[]string{"data.classes", "data.source", "data.encoding"}, func(e *Experiment) string {
		c := e.Data.Classes
		for _, v := range c {
			if s := e.Data.Source; v > 9 && (s == "digits" || s == "cifar10") { // of other files, the labels decide
				return fmt.Sprintf("data.classes holds %d; the classes of %s are 0 to 9", v, e.Data.Source)
			}
		}
		if len(c) == 1 && e.Data.Encoding != "label" {
			return "data.classes is one class alone, which leaves nothing to tell apart; give at least two"
		}
		return ""
	}},
	{[]string{"data.encoding", "data.source"}, func(e *Experiment) string {
		if e.Data.Encoding == "none" && !slices.Contains(tableSources, e.Data.Source) {
			return fmt.Sprintf("data.encoding is none, which is for npy and csv; the source %s has classes: use "+
				"sign, one-hot, centred-one-hot or label", e.Data.Source)
		}
		return ""
	}},
	{[]string{"data.classes", "data.encoding", "data.source"}, func(e *Experiment) string {
		if len(e.Data.Classes) > 0 && e.Data.Encoding == "none" && slices.Contains(tableSources, e.Data.Source) {
			return fmt.Sprintf("data.classes of %s are chosen when data.encoding says that the targets are classes: "+
				"sign, one-hot, centred-one-hot or label", e.Data.Source)
		}
		return ""
	}},
	{[]string{"data.encoding", "data.source", "data.classes", "data.modulus"}, func(e *Experiment) string {
		if n := e.Data.classCount(); e.Data.Encoding == "sign" && n > 0 && n != 2 {
			return fmt.Sprintf("data.encoding is sign, which is for two classes, not %d; use one-hot", n)
		}
		return ""
	}},
	{[]string{"data.normalize", "data.source"}, func(e *Experiment) string {
		if e.Data.Source == "modular-addition" && e.Data.Normalize == "standard" {
			return "data.normalize is standard, which would fill the sparse inputs of modular-addition; use none or sphere"
		}
		return ""
	}},
	{[]string{"data.train", "data.source"}, func(e *Experiment) string {
		if e.Data.Train == 0 && e.Data.Source != "npy" && e.Data.Source != "csv" && !e.HighDimensional() {
			return fmt.Sprintf("the source %s needs data.train, the number of training points, 1 or more", e.Data.Source)
		}
		return ""
	}},
	{[]string{"data.targets", "data.source"}, func(e *Experiment) string {
		if e.Data.Targets == "" && (e.Data.Source == "npy" || e.Data.Source == "idx") {
			return fmt.Sprintf("the key data.targets is missing: the source %s needs a file of targets beside inputs",
				e.Data.Source)
		}
		return ""
	}},
	{[]string{"data.test_inputs", "data.test_targets", "data.source"}, func(e *Experiment) string {
		d := e.Data
		switch {
		case d.TestInputs == "" && d.TestTargets != "":
			return "data.test_targets without data.test_inputs; they come together"
		case d.TestInputs != "" && d.TestTargets == "" && d.Source != "csv":
			return "data.test_inputs without data.test_targets; they come together"
		}
		return ""
	}},
	{[]string{"data.degree", "data.dimension", "data.source"}, func(e *Experiment) string {
		if e.Data.Source == "parity" && e.Data.Degree > e.Data.Dimension {
			return fmt.Sprintf("data.degree is %d; a parity over %d inputs has a degree of at most %[2]d",
				e.Data.Degree, e.Data.Dimension)
		}
		return ""
	}},
	{[]string{"data.train", "data.test", "data.modulus", "data.source"}, func(e *Experiment) string {
		d := e.Data
		if d.Source == "modular-addition" && d.Train+d.Test > d.Modulus*d.Modulus {
			return fmt.Sprintf("data.train and data.test ask for %d of the %d pairs modulo %d", d.Train+d.Test,
				d.Modulus*d.Modulus, d.Modulus)
		}
		return ""
	}},
	{[]string{"network.depth", "network.kind"}, func(e *Experiment) string {
		n := e.Network
		switch {
		case n.Kind == "two-layer" && n.Depth != 1:
			return "a two-layer network has depth 1; for more hidden layers use kind: mlp or resnet"
		case n.Depth == Infinite && n.Kind != "resnet":
			return "only a resnet has an infinite-depth limit"
		}
		return ""
	}},
	{[]string{"training.batch.size", "data.train", "training.optimizer"}, func(e *Experiment) string {
		if e.Data.Train > 0 && e.Training.BatchSize > e.Data.Train {
			return fmt.Sprintf("training.batch.size is %d, more than the %d training points of data.train",
				e.Training.BatchSize, e.Data.Train)
		}
		return ""
	}},
	{[]string{"training.loss.kind", "data.source", "data.encoding", "data.classes"}, func(e *Experiment) string {
		var targets string // as they are; empty where only the file can tell
		switch s := e.Data.Source; {
		case slices.Contains(labelled, s), slices.Contains(tableSources, s) && e.Data.Encoding != "none":
			targets = e.Data.Encoding
		case s == "parity":
			targets = "sign"
		case slices.Contains(generators, s):
			targets = "real"
		}
		want := (dmft.Loss{Kind: dmft.LossKind(e.Training.Loss)}).Targets()
		switch {
		case targets == "":
		case want != dmft.AnyTargets && targets != string(want):
			return fmt.Sprintf("the %s loss takes %s; %s", e.Training.Loss, targetWords[want], e.Data.targetText())
		}
		return ""
	}},
	{[]string{"theory.blocks", "theory.samples"}, func(e *Experiment) string {
		if 2*e.Theory.Blocks > e.Theory.Samples {
			return fmt.Sprintf("theory.blocks is %d; %d samples make at most %d blocks of two", e.Theory.Blocks,
				e.Theory.Samples, e.Theory.Samples/2)
		}
		return ""
	}},
	{[]string{"simulation.parametrization", "network.depth", "network.bias", "data.source"}, func(e *Experiment) string {
		switch e.Simulation.Parametrization {
		case "mean-field":
			if e.Network.Depth != 1 {
				return "simulation.parametrization is mean-field, which is for one hidden layer, where it is mup; use mup"
			}
		case "standard":
			if e.Network.Bias > 0 && e.Network.Depth != 1 {
				return "simulation.parametrization is standard, in which biases of hidden layers learn at a constant " +
					"rate and their weights at one that grows with the width; use network.bias 0, or mup"
			}
		}
		return ""
	}},
	{[]string{"transfer.low", "transfer.high"}, func(e *Experiment) string {
		switch t := e.Transfer; {
		case (t.Low == 0) != (t.High == 0):
			return fmt.Sprintf("transfer.low is %g and transfer.high %g; give both ends of the grid, or none", t.Low, t.High)
		case t.Low > 0 && t.Low >= t.High:
			return fmt.Sprintf("transfer.low is %g; it must be below transfer.high, which is %g", t.Low, t.High)
		}
		return ""
	}},
	{[]string{"transfer.points", "transfer.low"}, func(e *Experiment) string {
		switch t := e.Transfer; {
		case t.Points > 0 && t.Low == 0:
			return fmt.Sprintf("transfer.points is %d, of a grid that has no ends; give transfer.low and transfer.high",
				t.Points)
		case t.Points > 0 && t.Points < 3:
			return fmt.Sprintf("transfer.points is %d; an optimum needs at least 3", t.Points)
		}
		return ""
	}},
	{[]string{"transfer.parameter", "network.kind", "data.source"}, func(e *Experiment) string {
		if e.Transfer.Parameter == BranchBeta && e.Network.Kind != "resnet" {
			return "transfer.parameter is branch.beta; only a resnet has branches"
		}
		return ""
	}},
	{[]string{"transfer.step", "training.steps"}, func(e *Experiment) string {
		if e.Transfer.Step > e.Training.Steps {
			return fmt.Sprintf("transfer.step is %d; there are %d training.steps", e.Transfer.Step, e.Training.Steps)
		}
		return ""
	}},
	{[]string{"converge.depths"}, func(e *Experiment) string { return rising("converge.depths", e.Converge.Depths) }},
	{[]string{"converge.samples", "theory.samples"}, func(e *Experiment) string {
		c := e.Converge.Samples
		for i, n := range c {
			switch {
			case i > 0 && n <= c[i-1]:
				return fmt.Sprintf("converge.samples are %v; they must rise", c)
			case n >= e.Theory.Samples:
				return fmt.Sprintf("converge.samples holds %d, which is not below theory.samples, %d, that it is "+
					"compared with", n, e.Theory.Samples)
			}
		}
		return ""
	}},
	{[]string{"simulation.widths"}, func(e *Experiment) string {
		for i, w := range e.Simulation.Widths {
			if slices.Contains(e.Simulation.Widths[:i], w) {
				return fmt.Sprintf("simulation.widths lists a width twice: %d", w)
			}
		}
		return ""
	}},
	{[]string{"converge.widths"}, func(e *Experiment) string { return rising("converge.widths", e.Converge.Widths) }},
}

// maxName is the most bytes of a name, which leaves room for what a command adds to it.
const maxName = 200

// slurmWord says why a setting of SLURM is not one word.
func slurmWord(key, value string) string {
	if why := executor.Word(value); why != "" {
		return fmt.Sprintf("sweep.slurm.%s is not one word for a batch script: %s; further options go into "+
			"sweep.slurm.arguments", key, why)
	}
	return ""
}

// rising says why a list is no ladder. One that is too short is for converge to refuse: other commands do not look at
// it.
func rising(key string, sizes []int) string {
	for i, n := range sizes {
		if i > 0 && n <= sizes[i-1] {
			return fmt.Sprintf("%s are %v; they must rise", key, sizes)
		}
	}
	return ""
}

// classCount is the number of classes of a labelled source, 0 where only the file can tell.
func (d Data) classCount() int {
	switch {
	case len(d.Classes) > 0:
		return len(d.Classes)
	case d.Source == "modular-addition":
		return d.Modulus
	case d.Source != "idx" && slices.Contains(imageSources, d.Source):
		return 10
	}
	return 0
}

// targetText says where the targets come from.
func (d Data) targetText() string {
	if d.Encoding != "" {
		return fmt.Sprintf("data.encoding is %s", d.Encoding)
	}
	return fmt.Sprintf("those of the source %s are not", d.Source)
}

// folderSafe is a name without what a folder name cannot hold everywhere.
func folderSafe(name string) string {
	s := strings.TrimSpace(strings.Map(func(c rune) rune {
		if c == '/' || c == '\\' || c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return '-'
		}
		return c
	}, name))
	if strings.Trim(s, ".") == "" {
		return "experiment"
	}
	return s
}
