package experiment

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/seed39b58f2d/dmft/kernels"
)

// read reads the value of a key, a list of alternatives where one value is expected.
func (r *reader) read(f *field, kt *token.Token, n ast.Node) {
	if r.given[f.path] != nil {
		r.fail(kt, "the key %s is given twice", f.path)
		return
	}
	v := &value{tok: kt}
	r.given[f.path] = v
	r.order = append(r.order, f.path)
	if _, act := f.at(&Experiment{}).(*kernels.Activation); act && !f.single {
		n = spread(n)
	}
	seq, isSeq := n.(*ast.SequenceNode)
	switch {
	case isSeq && f.single:
		r.fail(start(n), "%s is a list; expected %s", f.path, f.typeName())
	case isSeq && !f.list:
		v.swept = true
		if len(seq.Values) == 0 {
			r.fail(start(n), "%s: an empty list; expected %s, or several", f.path, f.typeName())
		}
		texts := map[string]bool{}
		for _, item := range seq.Values {
			x, ok := r.scalar(f, item)
			if !ok {
				r.broken[f.path] = true
				continue
			}
			if s := render(x); texts[s] {
				r.fail(start(item), "%s lists %s twice", f.path, s)
			} else {
				texts[s] = true
			}
			v.alternatives, v.toks = append(v.alternatives, x), append(v.toks, start(item))
		}
	default:
		if x, ok := r.scalar(f, n); ok {
			v.alternatives, v.toks = []any{x}, []*token.Token{start(n)}
		}
	}
	if len(v.alternatives) == 0 {
		r.broken[f.path] = true
	}
}

// spread makes {quadratic-mix: [0.1, 0.2]} the list of {quadratic-mix: 0.1} and {quadratic-mix: 0.2}.
func spread(n ast.Node) ast.Node {
	entries := pairs(n)
	if len(entries) != 1 || !spreads(entries[0].Key.GetToken().Value) {
		return n
	}
	seq, ok := entries[0].Value.(*ast.SequenceNode)
	if !ok {
		return n
	}
	many := *seq
	many.Values = make([]ast.Node, len(seq.Values))
	for i, v := range seq.Values {
		one := *entries[0]
		one.Value = v
		many.Values[i] = &one
	}
	return &many
}

// spreads says whether a list is one of parameters or gains of a base function rather than one activation.
func spreads(name string) bool {
	b := kernels.Describe(name)
	return b.Name != "" && !b.Parameter.Many
}

// scalar reads one value of the type of f.
func (r *reader) scalar(f *field, n ast.Node) (any, bool) {
	n, ok := r.unwrap(n)
	if !ok {
		return nil, false
	}
	tok := n.GetToken()
	bad := func() (any, bool) {
		hint := numberHint(n)
		if f.enum != nil {
			hint = ""
			if s := nearest(tok.Value, f.enum); s != "" && isText(n) {
				hint = fmt.Sprintf("; did you mean %s?", s)
			}
		}
		r.fail(start(n), "%s is %s; expected %s%s", f.path, describe(n), f.typeName(), hint)
		return nil, false
	}
	switch f.at(&Experiment{}).(type) {
	case *kernels.Activation:
		return r.activation(f.path, n)
	case *[]int:
		x, ok := r.numbers(f, n, true)
		ints := make([]int, len(x))
		for i, v := range x {
			ints[i] = int(v)
		}
		return ints, ok
	case *[]float64:
		return r.numbers(f, n, false)
	case *[]string:
		return r.words(f, n)
	case *string:
		switch n := n.(type) {
		case *ast.LiteralNode:
			return strings.TrimSpace(n.Value.Value), true
		case *ast.StringNode:
			if f.enum != nil && !slices.Contains(f.enum, n.Value) {
				return bad()
			}
			return n.Value, true
		}
		if f.enum != nil || !isText(n) {
			return bad()
		}
		return tok.Value, true
	case *bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			return bad()
		}
		return b.Value, true
	case *depth:
		if isText(n) && tok.Value == "infinite" {
			return depth(Infinite), true
		}
	case *count:
		if isText(n) && tok.Value == "all" {
			return count(AllKernels), true
		}
		if isText(n) && tok.Value == "auto" {
			return count(AutoKernels), true
		}
	case *uint64:
		if v, err := strconv.ParseUint(strings.TrimPrefix(tok.Value, "+"), 10, 64); err == nil && isText(n) &&
			plain(tok) && !leadingZero(tok.Value) {
			return v, true
		} else if errors.Is(err, strconv.ErrRange) {
			r.fail(tok, "%s is %s; expected %s, at most %d", f.path, tok.Value, f.typeName(), uint64(math.MaxUint64))
			return nil, false
		}
		return bad()
	}
	x, ok := number(n)
	if !ok {
		return bad()
	}
	if hint := extreme(x); hint != "" {
		r.fail(tok, "%s is %s; expected %s%s", f.path, tok.Value, f.typeName(), hint)
		return nil, false
	}
	if !f.inRange(x) {
		r.fail(tok, "%s is %s; expected %s%s", f.path, tok.Value, f.typeName(), f.most(x))
		return nil, false
	}
	if _, real := f.at(&Experiment{}).(*float64); real {
		return x, true
	}
	if !whole(x) {
		return bad()
	}
	switch f.at(&Experiment{}).(type) {
	case *depth:
		return depth(x), true
	case *count:
		return count(x), true
	}
	return int(x), true
}

// words reads the list of names that is the value of f.
func (r *reader) words(f *field, n ast.Node) ([]string, bool) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(start(n), "%s is %s; expected %s", f.path, describe(n), f.typeName())
		return nil, false
	}
	var out []string
	for _, item := range seq.Values {
		item, ok := r.unwrap(item)
		if !ok {
			continue
		}
		w := item.GetToken().Value
		switch {
		case !isText(item) || !slices.Contains(f.enum, w):
			hint := ""
			if s := nearest(w, f.enum); s != "" && isText(item) {
				hint = fmt.Sprintf("; did you mean %s?", s)
			}
			r.fail(start(item), "%s holds %s; expected %s%s", f.path, describe(item), f.itemName(), hint)
			return nil, false
		case slices.Contains(out, w):
			r.fail(start(item), "%s lists %s twice", f.path, w)
			return nil, false
		}
		out = append(out, w)
	}
	return out, true
}

// numbers reads the list of numbers that is the value of f.
func (r *reader) numbers(f *field, n ast.Node, integers bool) ([]float64, bool) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(start(n), "%s is %s; expected %s", f.path, describe(n), f.typeName())
		return nil, false
	}
	if len(seq.Values) == 0 && !f.empty {
		r.fail(start(n), "%s: an empty list", f.path)
		return nil, false
	}
	var out []float64
	for _, item := range seq.Values {
		item, ok := r.unwrap(item)
		if !ok {
			continue
		}
		x, ok := number(item)
		if hint := extreme(x); !ok || hint != "" || !f.inRange(x) || integers && !whole(x) {
			r.fail(start(item), "%s holds %s; expected %s%s", f.path, describe(item), f.itemName(),
				cmp.Or(hint, f.most(x), numberHint(item)))
			continue
		}
		out = append(out, x)
	}
	return out, len(out) == len(seq.Values)
}

// whole says whether a number is an integer that a float64 holds exactly.
func whole(x float64) bool { return x == math.Trunc(x) && math.Abs(x) <= 1<<53 }

// isText says whether a node is a scalar on one line, of whatever type YAML takes it for.
func isText(n ast.Node) bool {
	switch n.Type() {
	case ast.StringType, ast.IntegerType, ast.FloatType, ast.BoolType, ast.InfinityType, ast.NanType:
		return true
	}
	return false
}

// numberHint says how to write what looks like a number but is not taken for one.
func numberHint(n ast.Node) string {
	if !isText(n) {
		return ""
	}
	t := n.GetToken()
	s := t.Value
	digit := strings.ContainsAny(s, "0123456789")
	x, err := strconv.ParseFloat(s, 64)
	switch {
	case n.Type() == ast.InfinityType || n.Type() == ast.NanType:
		return "; it must be finite"
	case !digit:
		return ""
	case !plain(t) && err == nil:
		return "; leave out the quotes"
	case leadingZero(s) && err == nil:
		return fmt.Sprintf("; write %s (YAML readers disagree about leading zeros)", render(x))
	case errors.Is(err, strconv.ErrRange):
		return "; it is too large for a float64"
	case strings.Contains(s, "_") && strings.Trim(s, "+-0123456789._eE") == "":
		return "; write it without underscores"
	case strings.HasPrefix(strings.TrimLeft(s, "+-"), "0") && strings.ContainsAny(s, "xXoObB"):
		return "; write it in decimal"
	case err == nil && whole(x) && strings.ContainsAny(s, ".eE") && x >= 0:
		return fmt.Sprintf("; write %s", strconv.FormatFloat(x, 'f', -1, 64))
	}
	return ""
}

func (f *field) inRange(x float64) bool {
	if f.min == 0 && f.max == 0 {
		return true
	}
	return x >= f.min && x <= f.max && !(f.open && x == f.min) && !(f.below && x == f.max)
}

// plain says whether a scalar stands without quotes.
func plain(t *token.Token) bool {
	return t.Type != token.SingleQuoteType && t.Type != token.DoubleQuoteType
}

// leadingZero says whether YAML 1.1 would read a number as octal.
func leadingZero(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}

// number reads a finite decimal number from the text of a scalar; what YAML thinks of 010, 0x10, 1_000 or .inf does not
// count.
func number(n ast.Node) (float64, bool) {
	switch n.Type() {
	case ast.IntegerType, ast.FloatType, ast.StringType:
	default:
		return 0, false
	}
	t := n.GetToken()
	if !plain(t) || leadingZero(t.Value) || strings.ContainsAny(t.Value, "xX_pP") {
		return 0, false
	}
	x, err := strconv.ParseFloat(t.Value, 64)
	// x + 0 has no negative zero, which would give equal experiments different hashes.
	return x + 0, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
}

// Numbers of a file other than zero are between tiny and huge in size. Kernels are squares of what the file scales, and
// their norms squares of kernels: fourth powers of these are still numbers.
const (
	huge = 1e75
	tiny = 1 / huge
)

// extreme says why a number is too large or too close to zero to compute with, or "".
func extreme(x float64) string {
	switch a := math.Abs(x); {
	case a > huge:
		return fmt.Sprintf("; sizes above %g leave no room for their powers", huge)
	case a > 0 && a < tiny:
		return fmt.Sprintf("; sizes below %g leave no room for their powers", tiny)
	}
	return ""
}
