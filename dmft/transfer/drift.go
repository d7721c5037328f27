package transfer

import (
	"fmt"
	"math"
	"strings"
)

// Drift is the fitted power law x* ∝ n^p.
type Drift struct {
	Exponent float64 `json:"exponent"` // p
	Lo       float64 `json:"lo"`       // 95 % interval
	Hi       float64 `json:"hi"`
	Sizes    int     `json:"sizes"`             // fitted: those whose optimum is inside the grid
	Omitted  []int   `json:"omitted,omitempty"` // sizes whose optimum is at an end of the grid, or that have none
}

// FitDrift fits x* ∝ n^p by weighted least squares of the logarithms. The interval is 1.96 standard errors to each
// side, wider by √(χ²/dof) when the optima scatter about the power law by more than their errors. Optima at an end of
// the grid are left out; with fewer than two others Sizes says so and nothing is fitted.
func FitDrift(sizes []int, optima []*Optimum) Drift {
	var d Drift
	var x, y, w []float64
	for i, o := range optima {
		if o == nil || o.Edge != Inside || !(o.Stderr > 0) {
			d.Omitted = append(d.Omitted, sizes[i])
			continue
		}
		x, y, w = append(x, math.Log(float64(sizes[i]))), append(y, math.Log(o.Value)), append(w, 1/(o.Stderr*o.Stderr))
	}
	d.Sizes = len(x)
	if d.Sizes < 2 {
		return d
	}
	slope, se, chi2 := line(x, y, w)
	if dof := float64(len(x) - 2); dof > 0 {
		se *= math.Sqrt(max(1, chi2/dof))
	}
	d.Exponent, d.Lo, d.Hi = slope, slope-1.96*se, slope+1.96*se
	return d
}

// line fits a line with weights 1/σ² and returns its slope, the slope's standard error and χ².
func line(x, y, w []float64) (slope, se, chi2 float64) {
	var s, sx, sy float64
	for i := range x {
		s, sx, sy = s+w[i], sx+w[i]*x[i], sy+w[i]*y[i]
	}
	var sxx, sxy float64
	for i := range x {
		u := x[i] - sx/s
		sxx, sxy = sxx+w[i]*u*u, sxy+w[i]*u*y[i]
	}
	slope = sxy / sxx
	for i := range x {
		r := y[i] - sy/s - slope*(x[i]-sx/s)
		chi2 += w[i] * r * r
	}
	return slope, math.Sqrt(1 / sxx), chi2
}

// Verdict is what a drift says of the optimum.
type Verdict string

// The verdicts. An optimum stays when the whole interval of the drift is within ±tolerance, moves when it is outside as
// a whole; else the sizes and seeds at hand do not say.
const (
	Stays     Verdict = "stays"
	Moves     Verdict = "moves"
	Undecided Verdict = "undecided"
)

// Judge compares the drift with what is taken for none: below a tolerance of 0.1, a network ten times as large has its
// optimum within 26 %.
func (d Drift) Judge(tolerance float64) Verdict {
	switch {
	case d.Sizes < 2:
		return Undecided
	case d.Lo >= -tolerance && d.Hi <= tolerance:
		return Stays
	case d.Hi < -tolerance || d.Lo > tolerance:
		return Moves
	}
	return Undecided
}

// Verdict is the result in words, such as "optimum stays: drift −0.02 ± 0.03".
func (d Drift) Verdict(tolerance float64) string {
	var s string
	switch v := d.Judge(tolerance); {
	case d.Sizes < 2:
		s = "drift unknown: fewer than two sizes have their optimum inside the grid"
	case v == Undecided:
		s = fmt.Sprintf("undecided: drift %s is neither within ±%g nor beyond; more seeds or sizes would tell", d, tolerance)
	default:
		s = fmt.Sprintf("optimum %s: drift %s", v, d)
	}
	if len(d.Omitted) > 0 {
		s += fmt.Sprintf(" (without %s, whose optimum is at the end of the grid; widen it)",
			strings.Trim(strings.ReplaceAll(fmt.Sprint(d.Omitted), " ", ", "), "[]"))
	}
	return s
}

// Short is the verdict in a few words, such as "stays: drift −0.02 ± 0.03", empty when there is no drift.
func (d Drift) Short(tolerance float64) string {
	if d.Sizes < 2 {
		return ""
	}
	return fmt.Sprintf("%s: drift %s", d.Judge(tolerance), d)
}

// String is the exponent and half the width of its interval, such as "−0.98 ± 0.05".
func (d Drift) String() string {
	return fmt.Sprintf("%s ± %.2f", Signed(d.Exponent), math.Ceil(50*(d.Hi-d.Lo)-1e-6)/100)
}

// Signed writes an exponent with two digits and a true minus sign.
func Signed(v float64) string {
	s := fmt.Sprintf("%.2f", math.Abs(v))
	if v < 0 && s != "0.00" {
		return "−" + s
	}
	return s
}
