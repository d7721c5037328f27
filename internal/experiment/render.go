package experiment

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed39b58f2d/dmft/kernels"
)

func set(ptr, v any) {
	switch p := ptr.(type) {
	case *string:
		*p = v.(string)
	case *int:
		*p = v.(int)
	case *uint64:
		*p = v.(uint64)
	case *float64:
		*p = v.(float64)
	case *bool:
		*p = v.(bool)
	case *[]int:
		*p = slices.Clone(v.([]int))
	case *[]float64:
		*p = slices.Clone(v.([]float64))
	case *[]string:
		*p = slices.Clone(v.([]string))
	case *depth:
		*p = v.(depth)
	case *count:
		*p = v.(count)
	case *kernels.Activation:
		*p = v.(kernels.Activation)
	}
}

func get(ptr any) any {
	switch p := ptr.(type) {
	case *string:
		return *p
	case *int:
		return *p
	case *uint64:
		return *p
	case *float64:
		return *p
	case *bool:
		return *p
	case *[]int:
		return *p
	case *[]float64:
		return *p
	case *[]string:
		return *p
	case *depth:
		return *p
	case *count:
		return *p
	case *kernels.Activation:
		return *p
	}
	return nil
}

// render writes a value as YAML on one line, for people: labels and messages.
func render(v any) string {
	return renderWith(v, func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) })
}

// portable writes a number that every YAML reader takes for one: to those of YAML 1.1, such as PyYAML, 1e-06 is text
// and 1.0e-06 a number.
func portable(x float64) string {
	s := strconv.FormatFloat(x, 'g', -1, 64)
	if mantissa, exponent, ok := strings.Cut(s, "e"); ok && !strings.Contains(mantissa, ".") {
		return mantissa + ".0e" + exponent
	}
	return s
}

func renderWith(v any, num func(float64) string) string {
	switch v := v.(type) {
	case string:
		return quoted(v)
	case float64:
		return num(v)
	case depth:
		if v == Infinite {
			return "infinite"
		}
		return strconv.Itoa(int(v))
	case count:
		switch v {
		case AllKernels:
			return "all"
		case AutoKernels:
			return "auto"
		}
		return strconv.Itoa(int(v))
	case []int:
		return "[" + strings.Trim(strings.ReplaceAll(fmt.Sprint(v), " ", ", "), "[]") + "]"
	case []string:
		return "[" + strings.Join(v, ", ") + "]"
	case []float64:
		s := make([]string, len(v))
		for i, x := range v {
			s[i] = num(x)
		}
		return "[" + strings.Join(s, ", ") + "]"
	case kernels.Activation:
		own := kernels.Describe(v.Name).Parameter
		if v.Gain == 0 && v.Scale == 0 && own.Key == "" {
			return v.Name
		}
		s := "{name: " + v.Name
		if v.Gain != 0 {
			s += ", gain: " + num(v.Gain)
		}
		if v.Scale != 0 {
			s += ", scale: " + num(v.Scale)
		}
		switch {
		case own.Many:
			s += ", " + own.Key + ": " + renderWith(v.Coefficients, num)
		case own.Key != "":
			s += ", " + own.Key + ": " + num(v.Parameter)
		}
		return s + "}"
	}
	return fmt.Sprint(v)
}

// quoted writes text so that YAML reads it back as the same text.
func quoted(s string) string {
	simple := s != ""
	for i, c := range s {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 &&
			(c >= '0' && c <= '9' || strings.ContainsRune("-_./", c))
		simple = simple && ok
	}
	if simple && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "nan", "inf", "y", "n"},
		strings.ToLower(s)) {
		return s
	}
	return strconv.Quote(s)
}

// each calls do with every key that applies and says something, in the order of the table.
func (e Experiment) each(do func(f *field, value any)) {
	for i := range fields {
		f := &fields[i]
		if f.applies(&e) != "" {
			continue
		}
		v := get(f.at(&e))
		if f.quiet && v == f.def {
			continue
		}
		if s, ok := v.([]int); ok && len(s) == 0 && !f.empty {
			continue
		}
		if s, ok := v.([]float64); ok && len(s) == 0 {
			continue
		}
		if s, ok := v.(string); ok && s == "" {
			continue
		}
		do(f, v)
	}
}

// YAML writes an experiment with every key that applies.
func (e Experiment) YAML() []byte {
	var b strings.Builder
	var open []string
	e.each(func(f *field, v any) {
		parts := strings.Split(f.path, ".")
		for k := 0; k < len(parts)-1; k++ {
			if k >= len(open) || open[k] != parts[k] {
				fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", k), parts[k])
				open = append(open[:k], parts[k])
			}
		}
		open = open[:len(parts)-1]
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", len(parts)-1), parts[len(parts)-1], renderWith(v, portable))
	})
	return []byte(b.String())
}
