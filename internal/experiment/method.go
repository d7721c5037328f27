package experiment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed39b58f2d/dmft/ode"
)

// flow is the optimizer that is none: training.integrator says how it is integrated.
const flow = "flow"

// Names of the methods of package ode, by what they are.
var (
	optimisers  = names(ode.Kinds(func(m ode.Method) bool { return !m.IsFlow() }))
	integrators = names(ode.Kinds(ode.Method.IsFlow))
)

func names[T ~string](kinds []T) []string {
	s := make([]string, len(kinds))
	for i, k := range kinds {
		s[i] = string(k)
	}
	return s
}

// with lists the methods that have a capability.
func with(has func(ode.Method) bool) string { return strings.Join(names(ode.Kinds(has)), ", ") }

// formulas documents methods.
func formulas(names []string) string {
	s := make([]string, len(names))
	for i, n := range names {
		s[i] = n + ": " + ode.Kind(n).Formula()
	}
	return strings.Join(s, "; ")
}

// plain says whether training is gradient descent without a memory. It looks at training.optimizer only.
func (e *Experiment) plain() bool {
	return e.Training.Optimizer != flow && ode.Method{Kind: ode.Kind(e.Training.Optimizer)}.IsPlain()
}

// schedule is where a setting of schedules applies.
func schedule(takes func(ode.ScheduleKind) bool) condition {
	kinds := names(slices.DeleteFunc(ode.ScheduleKinds(), func(k ode.ScheduleKind) bool { return !takes(k) }))
	doc := "with schedule.kind " + strings.Join(kinds, ", ")
	return condition{[]string{"training.optimizer", "training.schedule.kind"}, doc, func(e *Experiment) string {
		if s := optimiserOnly.why(e); s != "" {
			return s
		}
		if !slices.Contains(kinds, e.Training.Schedule.Kind) {
			return fmt.Sprintf("a %s schedule does not use it", e.Training.Schedule.Kind)
		}
		return ""
	}}
}

// Where the settings of methods apply.
var (
	every  = schedule(func(k ode.ScheduleKind) bool { every, _, _ := k.Takes(); return every })
	factor = schedule(func(k ode.ScheduleKind) bool { _, factor, _ := k.Takes(); return factor })
	final  = schedule(func(k ode.ScheduleKind) bool { _, _, final := k.Takes(); return final })

	optimiserOnly = condition{[]string{"training.optimizer"}, "with optimizer " + strings.Join(optimisers, ", "),
		func(e *Experiment) string {
			if e.Training.Optimizer == flow {
				return "a flow is continuous in time"
			}
			return ""
		}}

	momentumOnly = condition{[]string{"training.optimizer"}, "with optimizer " + with(ode.Method.TakesMomentum),
		func(e *Experiment) string {
			if o := e.Training.Optimizer; o == flow || !(ode.Method{Kind: ode.Kind(o)}).TakesMomentum() {
				return "the optimizer " + o + " has none"
			}
			return ""
		}}

	flowOnly = condition{[]string{"training.optimizer"}, "with optimizer flow", func(e *Experiment) string {
		if e.Training.Optimizer != flow {
			return "only a flow has an integrator"
		}
		return ""
	}}

	adaptive     = "with optimizer flow and integrator " + with(ode.Method.IsAdaptive)
	adaptiveOnly = condition{[]string{"training.optimizer", "training.integrator"}, adaptive, func(e *Experiment) string {
		if s := flowOnly.why(e); s != "" {
			return s
		}
		if !e.Method().IsAdaptive() {
			return "the integrator " + e.Training.Integrator + " has a fixed step"
		}
		return ""
	}}
)
