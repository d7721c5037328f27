package ode

import (
	"fmt"
	"math"
)

// ScheduleKind names a learning-rate schedule. The empty name is that of [Constant].
type ScheduleKind string

// The schedules, as multipliers of the learning rate at step n of T; f is Final.
const (
	Constant    ScheduleKind = "constant"    // 1
	StepDecay   ScheduleKind = "step"        // Factor^⌊n/Every⌋
	Cosine      ScheduleKind = "cosine"      // f + (1 − f)(1 + cos πx)/2,  x = n/(T − 1)
	Linear      ScheduleKind = "linear"      // 1 − (1 − f)x
	Exponential ScheduleKind = "exponential" // Factor^n
)

// schedules are all there are: their multipliers and which settings these take.
var schedules = [...]struct {
	kind                 ScheduleKind
	every, factor, final bool
	rate                 func(s Schedule, n int, x float64) float64
}{
	{kind: Constant, rate: func(Schedule, int, float64) float64 { return 1 }},
	{kind: StepDecay, every: true, factor: true,
		rate: func(s Schedule, n int, _ float64) float64 { return math.Pow(s.Factor, float64(n/max(s.Every, 1))) }},
	{kind: Cosine, final: true,
		rate: func(s Schedule, _ int, x float64) float64 { return s.Final + (1-s.Final)*(1+math.Cos(math.Pi*x))/2 }},
	{kind: Linear, final: true,
		rate: func(s Schedule, _ int, x float64) float64 { return 1 - (1-s.Final)*x }},
	{kind: Exponential, factor: true,
		rate: func(s Schedule, n int, _ float64) float64 { return math.Pow(s.Factor, float64(n)) }},
}

// ScheduleKinds are the names of all schedules.
func ScheduleKinds() (k []ScheduleKind) {
	for _, e := range schedules {
		k = append(k, e.kind)
	}
	return k
}

// number is the place of a kind in the table, or −1.
func (k ScheduleKind) number() int {
	for i, e := range schedules {
		if e.kind == k || k == "" && e.kind == Constant {
			return i
		}
	}
	return -1
}

// Takes says which settings of a Schedule a kind uses.
func (k ScheduleKind) Takes() (every, factor, final bool) {
	e := schedules[max(k.number(), 0)]
	return e.every, e.factor, e.final
}

// Schedule of a learning rate. During the first Warmup steps the rate is also multiplied by (n + 1)/(Warmup + 1), and n
// and T of the other formulas count from the end of the warm-up. The zero value is constant.
type Schedule struct {
	Kind   ScheduleKind
	Warmup int
	Every  int     // of StepDecay
	Factor float64 // of StepDecay and Exponential, in (0, 1]
	Final  float64 // of Cosine and Linear, in [0, 1]
}

// IsConstant says whether the learning rate never changes.
func (s Schedule) IsConstant() bool {
	return (s.Kind == "" || s.Kind == Constant) && s.Warmup == 0
}

func (s Schedule) validate() error {
	if s.Warmup < 0 {
		return fmt.Errorf("ode: schedule warm-up of %d steps", s.Warmup)
	}
	if s.Kind.number() < 0 {
		return fmt.Errorf("ode: unknown schedule %q; use one of %s", s.Kind, list(ScheduleKinds()))
	}
	every, factor, final := s.Kind.Takes()
	switch {
	case every && s.Every < 1:
		return fmt.Errorf("ode: a step schedule drops every %d steps; at least 1 is needed", s.Every)
	case factor && !(s.Factor > 0 && s.Factor <= 1):
		return fmt.Errorf("ode: schedule factor %g must be in (0, 1]", s.Factor)
	case final && !(s.Final >= 0 && s.Final <= 1):
		return fmt.Errorf("ode: final fraction %g of the schedule must be in [0, 1]", s.Final)
	}
	return nil
}

// Rate is the multiplier of the learning rate at step n = 0 … steps−1. Beyond the last step it stays at its last value,
// for Cosine and Linear.
func (s Schedule) Rate(n, steps int) float64 {
	if n < s.Warmup {
		return float64(n+1) / float64(s.Warmup+1)
	}
	n, steps = n-s.Warmup, steps-s.Warmup
	x := 0.
	if steps > 1 {
		x = math.Min(float64(n)/float64(steps-1), 1)
	}
	return schedules[max(s.Kind.number(), 0)].rate(s, n, x)
}
