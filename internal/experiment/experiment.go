// Package experiment reads experiment files: YAML in, a typed description out, with errors that name file, line, column
// and what would have been right.
//
//	f, err := experiment.Read("digits.yaml") // err is of type Errors: everything wrong with the file
//	for _, p := range f.Points() { … p.Label, p.Experiment … }
//
// One table (fields.go) lists every key with its type, default, range, documentation and the condition under which it
// applies; a second one (rules.go) says how keys go together. Validation, defaults, [Schema], [JSONSchema] and the file
// printed with all defaults filled in ([Experiment.YAML]) come from them. A list in place of a single value makes the
// file stand for the product of its lists ([File.Points]).
package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/kballard/go-shellquote"

	"github.com/seed39b58f2d/dmft/kernels"
)

// Infinite is the Depth of an infinitely deep network.
const Infinite = -1

// Values of Record.Kernels that are not numbers.
const (
	AutoKernels = -1
	AllKernels  = -2
)

// Experiment is one experiment with every default filled in. Fields that do not apply are zero.
type Experiment struct {
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	Data        Data       `json:"data"`
	Network     Network    `json:"network"`
	Richness    float64    `json:"richness,omitempty"`
	Target      Target     `json:"target,omitzero"`
	Training    Training   `json:"training"`
	Theory      Theory     `json:"theory"`
	Simulation  Simulation `json:"simulation"`
	Record      Record     `json:"record"`
	Grok        Grok       `json:"grok"`
	Compare     Compare    `json:"compare"`
	Transfer    Transfer   `json:"-"` // what dmft transfer makes of many experiments
	Converge    Converge   `json:"converge"`
	Sweep       Sweep      `json:"-"` // how a sweep is run, not what it computes
}

// Data is the section data.
type Data struct {
	Source      string             `json:"source"`
	Path        string             `json:"path,omitempty"`
	Inputs      string             `json:"inputs,omitempty"`
	Targets     string             `json:"targets,omitempty"`
	TestInputs  string             `json:"test_inputs,omitempty"`
	TestTargets string             `json:"test_targets,omitempty"`
	Classes     []int              `json:"classes,omitempty"`
	Train       int                `json:"train,omitempty"`
	Test        int                `json:"test,omitempty"`
	Seed        uint64             `json:"seed,omitempty"`
	Normalize   string             `json:"normalize,omitempty"`
	Encoding    string             `json:"encoding,omitempty"`
	Dimension   int                `json:"dimension,omitempty"`
	Degree      int                `json:"degree,omitempty"`
	Polynomial  []float64          `json:"polynomial,omitempty"`
	Width       int                `json:"width,omitempty"`
	Activation  kernels.Activation `json:"activation,omitzero"`
	Index       int                `json:"index,omitempty"`
	Modulus     int                `json:"modulus,omitempty"`
	Outputs     int                `json:"outputs,omitempty"`
	Noise       float64            `json:"noise,omitempty"`
	Ratio       float64            `json:"ratio,omitempty"`
}

// Network is the section network.
type Network struct {
	Kind       string             `json:"kind"`
	Depth      int                `json:"depth"` // or Infinite
	Activation kernels.Activation `json:"activation"`
	Beta       float64            `json:"branch_beta,omitempty"`
	Exponent   float64            `json:"branch_exponent,omitempty"`
	Rate       float64            `json:"branch_rate,omitempty"`
	Bias       float64            `json:"bias,omitempty"`

	Units       int     `json:"units,omitempty"` // or Infinite
	OutputScale float64 `json:"output_scale,omitempty"`
	Readout     string  `json:"readout,omitempty"`
}

// Target is the section target, of high-dimensional data.
type Target struct {
	Kind       string             `json:"kind,omitempty"`
	Activation kernels.Activation `json:"activation,omitzero"`
	Directions int                `json:"directions,omitempty"`
	Weights    []float64          `json:"weights,omitempty"`
	Overlaps   []float64          `json:"overlaps,omitempty"` // units × directions
	Informed   float64            `json:"informed,omitempty"`
	Noise      float64            `json:"noise,omitempty"`
}

// Training is the section training.
type Training struct {
	Optimizer    string   `json:"optimizer"`
	LearningRate float64  `json:"learning_rate"`
	Steps        int      `json:"steps"`
	Momentum     float64  `json:"momentum,omitempty"`
	WeightDecay  float64  `json:"weight_decay"`
	Integrator   string   `json:"integrator,omitempty"`
	Tolerance    float64  `json:"tolerance,omitempty"`
	Schedule     Schedule `json:"schedule,omitzero"`
	BatchSize    int      `json:"batch_size,omitempty"`
	BatchSeed    uint64   `json:"batch_seed,omitempty"`
	BatchCount   int      `json:"batch_count,omitempty"`
	Loss         string   `json:"loss,omitempty"`
	Reduction    string   `json:"reduction,omitempty"`
	Centred      bool     `json:"centred"`
	RateInput    float64  `json:"rate_input"`
	RateHidden   float64  `json:"rate_hidden"`
	RateReadout  float64  `json:"rate_readout"`
}

// Schedule is training.schedule.
type Schedule struct {
	Kind   string  `json:"kind"`
	Warmup int     `json:"warmup,omitempty"`
	Every  int     `json:"every,omitempty"`
	Factor float64 `json:"factor,omitempty"`
	Final  float64 `json:"final,omitempty"`
}

// Theory is the section theory.
type Theory struct {
	Method    string  `json:"method,omitempty"`
	Limit     string  `json:"limit,omitempty"` // of high-dimensional data
	Samples   int     `json:"samples,omitempty"`
	Blocks    int     `json:"blocks,omitempty"` // 0 is automatic
	Seed      uint64  `json:"seed"`
	Sampling  string  `json:"sampling,omitempty"`
	Sites     string  `json:"sites,omitempty"` // auto, data or input
	Tolerance float64 `json:"tolerance,omitempty"`
	Error     float64 `json:"error,omitempty"`
	Depths    []int   `json:"depths,omitempty"`
	// Approximations are methods solved beside Method.
	Approximations []string `json:"approximations,omitempty"`
	Fluctuations   bool     `json:"fluctuations,omitempty"` // of order 1/N are predicted
}

// Simulation is the section simulation.
type Simulation struct {
	Widths     []int  `json:"widths,omitempty"`
	Dimensions []int  `json:"dimensions,omitempty"`
	Linearised bool   `json:"linearised,omitempty"`
	Method     string `json:"method,omitempty"`
	Depth      int    `json:"depth,omitempty"`
	Seeds      int    `json:"seeds"`
	Seed       uint64 `json:"seed"`
	Precision  string `json:"precision,omitempty"`
	Sites      string `json:"sites,omitempty"`

	Parametrization string  `json:"parametrization,omitempty"`
	BaseWidth       int     `json:"base_width,omitempty"`
	Exponent        float64 `json:"branch_exponent,omitempty"`
	BaseDepth       int     `json:"base_depth,omitempty"`
}

// Record is the section record.
type Record struct {
	Every          int  `json:"every,omitempty"`
	Kernels        int  `json:"kernels"`            // or AutoKernels, AllKernels
	TwoTime        int  `json:"two_time,omitempty"` // or AllKernels
	Preactivations int  `json:"preactivations"`
	Alignments     int  `json:"alignments,omitempty"`
	Responses      bool `json:"responses,omitempty"`
}

// Grok is the section grok.
type Grok struct {
	Fraction float64 `json:"fraction"`
}

// Compare is the section compare.
type Compare struct {
	Tolerance float64 `json:"tolerance"`
}

// Transfer is the section transfer.
type Transfer struct {
	Parameter string
	Low, High float64 // 0 is automatic
	Points    int     // 0 is automatic
	Refine    int
	Loss      string
	Step      int // 0 is the last
	Theory    string
	Tolerance float64
}

// Sweep is the section sweep: how the points of a product are shared out to machines. It is no part of what is
// computed.
type Sweep struct {
	PointsPerTask int // 0 chooses
	Partition     string
	Account       string
	Time          string
	CPUs          int // 0 is one
	Memory        string
	Parallel      int // 0 is no limit
	Arguments     string
}

// Words are the further arguments of sbatch, as a shell splits them; a file whose arguments cannot be split is not
// read.
func (s Sweep) Words() []string {
	words, err := shellquote.Split(s.Arguments)
	if err != nil {
		return nil
	}
	return words
}

// Converge is the section converge.
type Converge struct {
	Widths       []int   `json:"widths,omitempty"`
	Dimensions   []int   `json:"dimensions,omitempty"`
	Depths       []int   `json:"depths,omitempty"`
	Samples      []int   `json:"samples,omitempty"`
	Seeds        int     `json:"seeds"`
	Confidence   float64 `json:"confidence"`
	Significance float64 `json:"significance"`
}

// Error is one thing wrong with a file, at a place.
type Error struct {
	File         string
	Line, Column int // from 1, columns in characters; Line 0 when the file could not be read
	Message      string
	Excerpt      string // the line; empty when the error is about the whole file
}

func (e Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(":%d:%d", e.Line, e.Column)
	}
	s += ": " + e.Message
	if e.Excerpt != "" {
		text, caret := excerpt(e.Excerpt, e.Column)
		s += "\n    " + text + "\n    " + caret
	}
	return s
}

// excerpt is the part of a line around a column that fits on a terminal, without characters that a terminal would obey,
// and the caret below it.
func excerpt(line string, column int) (text, caret string) {
	const before, width = 80, 120
	c := []rune(line)
	for i, v := range c {
		if !unicode.IsPrint(v) {
			c[i] = ' '
		}
	}
	at := min(max(column-1, 0), len(c))
	head, tail := "", ""
	if len(c) > width && at > before {
		c, at, head = c[at-before:], before, "…"
	}
	if len(c) > width {
		c, tail = c[:width], "…"
	}
	return head + strings.TrimRight(string(c), " ") + tail, strings.Repeat(" ", len([]rune(head))+at) + "^"
}

// Errors is everything wrong with a file.
type Errors []Error

func (e Errors) Error() string {
	s := make([]string, len(e))
	for i, x := range e {
		s[i] = x.Error()
	}
	return strings.Join(s, "\n")
}

// Read reads an experiment file, once, since it may be a pipe, and no more of it than an experiment file has.
func Read(path string) (*File, error) {
	src, err := readMost(path, maxBytes)
	if err != nil {
		return nil, Errors{{File: path, Message: strings.TrimPrefix(err.Error(), "open "+path+": ")}}
	}
	return Parse(path, src)
}

// readMost is the content of a file, or so much of it that it is seen to be too long.
func readMost(path string, most int64) ([]byte, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	src, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(src)) > most {
		err = fmt.Errorf("the file has more than %d bytes, which no experiment file has", most)
	}
	return src, err
}

// Hash identifies what an experiment computes: every value, default or not, but its name and description.
func (e Experiment) Hash() string {
	e.Name, e.Description = "", ""
	b, err := json.Marshal(e)
	if err != nil { // only NaN and infinities fail, which no valid experiment holds
		panic(err)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:12])
}

// baseName is the name of an experiment that has none.
func baseName(path string) string {
	name := folderSafe(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	return strings.TrimSpace(strings.ToValidUTF8(name[:min(len(name), maxName)], ""))
}

// HashOf identifies a list of texts.
func HashOf(parts []string) string {
	h := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(h[:12])
}
