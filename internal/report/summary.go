package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/highdim"
	"github.com/seed39b58f2d/dmft/internal/jsonx"
)

// A Quantity is a number that sums up a trajectory.
type Quantity struct {
	Name   string // key of tables and files
	Label  string // of an axis
	Stderr string // the quantity that is its standard error, or ""
	Log    bool   // spans decades
}

// loss says whether the quantity is a loss or the error of one, which the reduction over samples is part of.
func (q Quantity) loss() bool {
	return strings.HasSuffix(q.Name, "loss") || strings.HasSuffix(q.Name, "loss_stderr")
}

// Quantities are all there are, in the order of tables. Losses are those of the run: sums or means over points as the
// experiment says.
var Quantities = []Quantity{
	{"initial_loss", "initial train loss", "", true},
	{"loss", "final train loss", "loss_stderr", true},
	{"loss_stderr", "standard error of the final train loss", "", true},
	{"min_loss", "smallest train loss", "min_loss_stderr", true},
	{"min_loss_stderr", "standard error of the smallest train loss", "", true},
	{"min_loss_time", "time of the smallest train loss", "", false},
	{"half_time", "time to half the train loss", "", true},
	{"initial_test_loss", "initial test loss", "", true},
	{"test_loss", "final test loss", "test_loss_stderr", true},
	{"test_loss_stderr", "standard error of the final test loss", "", true},
	{"min_test_loss", "smallest test loss", "min_test_loss_stderr", true},
	{"min_test_loss_stderr", "standard error of the smallest test loss", "", true},
	{"min_test_loss_time", "time of the smallest test loss", "", false},
	{"test_half_time", "time to half the test loss", "", true},
	{"classification_error", "final training error", "classification_error_stderr", false},
	{"classification_error_stderr", "standard error of the final training error", "", false},
	{"test_classification_error", "final test error", "test_classification_error_stderr", false},
	{"test_classification_error_stderr", "standard error of the final test error", "", false},
	{"alignment", "NTK–target alignment", "alignment_stderr", false},
	{"alignment_stderr", "standard error of the alignment", "", false},
	{"kernel_movement", "NTK movement ‖K − K₀‖/‖K₀‖", "kernel_movement_stderr", false},
	{"kernel_movement_stderr", "standard error of the NTK movement", "", false},
	{"feature_movement", "movement of Φ of the last layer", "feature_movement_stderr", false},
	{"feature_movement_stderr", "standard error of the movement of Φ", "", false},
	{"train_learned", "time by which the train loss is learned", "", true},
	{"test_learned", "time by which the test loss is learned", "", true},
	{"gap", "grokking gap (dex)", "", false},
	{"gap_lower", "grokking gap, lower quartile (dex)", "", false},
	{"gap_upper", "grokking gap, upper quartile (dex)", "", false},
	{"target_found", "βMβ/D²", "", false},
	{"error", "error of one network against the theory", "error_stderr", true},
	{"error_stderr", "its standard error", "", true},
	{"mean_error", "error of the mean over seeds", "", true},
	{"mean_error_noise", "sampling noise of the mean", "", true},
	{"seconds", "seconds", "", true},
}

// FindQuantity is the quantity of a name.
func FindQuantity(name string) (Quantity, bool) {
	for _, q := range Quantities {
		if q.Name == name {
			return q, true
		}
	}
	return Quantity{}, false
}

// QuantityNames are the names of all quantities.
func QuantityNames() []string {
	var names []string
	for _, q := range Quantities {
		names = append(names, q.Name)
	}
	return names
}

// Summary is a trajectory in numbers. A quantity that was not recorded is not in Values; a time that does not come, and
// a gap to it, are +Inf.
type Summary struct {
	What      string            `json:"what"` // "theory", "N = 256", "D = 400", the name of an approximation
	File      string            `json:"file"`
	Width     int               `json:"width,omitempty"`
	Dimension int               `json:"dimension,omitempty"`
	Replicas  int               `json:"replicas"`
	Steps     int               `json:"steps"`
	Status    string            `json:"status,omitempty"` // why it stopped early
	Values    map[string]Number `json:"values"`
}

// Value is a quantity, NaN when it is not there.
func (s Summary) Value(name string) float64 {
	if v, ok := s.Values[name]; ok {
		return float64(v)
	}
	return math.NaN()
}

func (s *Summary) put(name string, v float64) { s.Values[name] = Number(v) }

// Number is a float64 whose JSON has the text inf, -inf or nan for what JSON has no number for.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsInf(v, 0) || math.IsNaN(v) {
		return json.Marshal(n.String())
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return json.Unmarshal(b, (*float64)(n))
	}
	v, err := strconv.ParseFloat(s, 64)
	*n = Number(v)
	return err
}

// String writes the number in full, as numpy and pandas read it.
func (n Number) String() string {
	switch v := float64(n); {
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	case math.IsNaN(v):
		return "nan"
	default:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
}

// Encode and Decode put summaries into a manifest.
func Encode(s []Summary) (json.RawMessage, error) { return jsonx.Marshal(s) }

// Decode reads what Encode wrote.
func Decode(b json.RawMessage) (s []Summary, err error) {
	if len(b) > 0 {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// newSummary sums up losses: those at the end, the smallest, and the last time above half of the initial one.
func newSummary(what, file string, replicas int, status dmft.Status, time, loss, lossErr, test,
	testErr []float64) Summary {
	last := len(loss) - 1
	s := Summary{What: what, File: file, Replicas: replicas, Steps: last, Values: map[string]Number{}}
	if status.Early() {
		s.Status = status.Err().Error()
	}
	for _, x := range []struct {
		name     string
		loss, se []float64
	}{{"", loss, lossErr}, {"test_", test, testErr}} {
		if len(x.loss) != len(loss) || last < 0 {
			continue
		}
		at := func(se []float64, k int) float64 {
			if len(se) == len(loss) {
				return se[k]
			}
			return 0
		}
		k := 0
		for i, v := range x.loss {
			if v < x.loss[k] {
				k = i
			}
		}
		s.put("initial_"+x.name+"loss", x.loss[0])
		s.put(x.name+"loss", x.loss[last])
		s.put(x.name+"loss_stderr", at(x.se, last))
		s.put("min_"+x.name+"loss", x.loss[k])
		s.put("min_"+x.name+"loss_stderr", at(x.se, k))
		s.put("min_"+x.name+"loss_time", time[k])
		s.put(x.name+"half_time", highdim.NewGap(time, x.loss, x.loss, 0.5).Train)
	}
	return s
}

func (s *Summary) gap(g GapRow) {
	train, gap, lower, upper := g.Gap.Median.Train, g.Gap.Median, g.Gap.Lower, g.Gap.Upper
	if g.What == "theory" {
		train, gap, lower, upper = g.Gap.Mean.Train, g.Gap.Mean, g.Gap.Mean, g.Gap.Mean
	}
	s.put("train_learned", train)
	s.put("test_learned", gap.Test)
	s.put("gap", gap.Dex)
	s.put("gap_lower", lower.Dex)
	s.put("gap_upper", upper.Dex)
	if g.Found != nil {
		s.put("target_found", *g.Found)
	}
}

// Summaries sum up every trajectory of a result. The grokking gap is taken at a fraction of the initial losses; the
// targets of test points are for its spread.
func (r Result) Summaries(fraction float64, targets *mat.Dense) []Summary {
	var out []Summary
	add := func(what, file string, t *dmft.Trajectory) *Summary {
		s := newSummary(what, file, t.Replicas, t.Status, t.Time, t.Loss, t.LossStderr, t.TestLoss, t.TestLossStderr)
		for _, x := range []struct {
			name  string
			e, se []float64
		}{{"classification_error", t.Error, t.ErrorStderr}, {"test_classification_error", t.TestError, t.TestErrorStderr}} {
			if k := len(x.e) - 1; k >= 0 && len(x.se) > k {
				s.put(x.name, x.e[k])
				s.put(x.name+"_stderr", x.se[k])
			}
		}
		if k := len(t.Alignment) - 1; k >= 0 {
			if l := t.PhiMovement.Shape[1] - 1; !t.PhiMovementStderr.Empty() {
				s.put("feature_movement_stderr", t.PhiMovementStderr.At(k).Data[l])
			}
			s.put("alignment", t.Alignment[k])
			s.put("kernel_movement", t.KernelMovement[k])
			s.put("feature_movement", t.PhiMovement.At(k).Data[t.PhiMovement.Shape[1]-1])
			if len(t.AlignmentStderr) > k && len(t.KernelMovementStderr) > k {
				s.put("alignment_stderr", t.AlignmentStderr[k])
				s.put("kernel_movement_stderr", t.KernelMovementStderr[k])
			}
		}
		out = append(out, s)
		return &out[len(out)-1]
	}
	if r.Theory != nil {
		add("theory", "theory.npz", r.Theory)
	}
	for _, m := range r.Methods {
		add(m.Name, "theory-"+m.Name+".npz", m.Trajectory)
	}
	for _, t := range r.Sims {
		s := add(fmt.Sprintf("N = %d", t.Width), fmt.Sprintf("simulation-N%d.npz", t.Width), t)
		s.Width = t.Width
		if r.Compare == nil {
			continue
		}
		for _, w := range r.Compare.Widths {
			if w.N == t.Width {
				s.distance(w.Error, w.ErrorStderr, w.Mean, w.Noise)
			}
		}
	}
	withGaps(out, r.Gaps(fraction, targets))
	known := map[string]*dmft.Trajectory{"theory": r.Theory}
	for _, m := range r.Methods {
		known[m.Name] = m.Trajectory
	}
	for i, s := range out {
		if t := known[s.What]; t == nil && s.Replicas == 1 || t != nil && alone(t) {
			out[i].single()
		}
	}
	return out
}

// single leaves out what is known only of several networks or blocks.
func (s *Summary) single() {
	maps.DeleteFunc(s.Values, func(name string, _ Number) bool {
		return strings.HasSuffix(name, "_stderr") || name == "mean_error_noise"
	})
}

func (s *Summary) distance(err, se, mean, noise float64) {
	s.put("error", err)
	s.put("error_stderr", se)
	s.put("mean_error", mean)
	s.put("mean_error_noise", noise)
}

func withGaps(out []Summary, gaps []GapRow) {
	for _, g := range gaps {
		for i := range out {
			if out[i].What == g.What {
				out[i].gap(g)
			}
		}
	}
}

// Summaries sum up every trajectory of a result.
func (r HighDimensional) Summaries() []Summary {
	var out []Summary
	add := func(what, file string, t *highdim.Trajectory) *Summary {
		s := newSummary(what, file, t.Replicas, t.Status, t.Time, t.Loss, t.LossStderr, t.TestLoss, t.TestLossStderr)
		if k := len(t.Alignment) - 1; k >= 0 {
			s.put("alignment", t.Alignment[k])
			s.put("alignment_stderr", t.AlignmentStderr[k])
		}
		out = append(out, s)
		return &out[len(out)-1]
	}
	if r.Theory != nil {
		add("theory", "theory.npz", r.Theory)
	}
	for _, t := range r.Sims {
		s := add(fmt.Sprintf("D = %d", t.Dimension), fmt.Sprintf("simulation-D%d.npz", t.Dimension), t)
		s.Dimension = t.Dimension
		if r.Compare == nil {
			continue
		}
		for _, d := range r.Compare.Dimensions {
			if d.Dimension == t.Dimension {
				s.distance(d.Error, d.ErrorStderr, d.Mean, d.Noise)
			}
		}
	}
	withGaps(out, r.Gaps())
	for i, s := range out {
		if s.Dimension > 0 && s.Replicas == 1 {
			out[i].single()
		}
	}
	return out
}
