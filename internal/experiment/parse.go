package experiment

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/seed39b58f2d/dmft/kernels"
)

// A File is a parsed experiment file: the product of the lists in it.
type File struct {
	Name   string
	points []Point
}

// Point is one experiment of the product.
type Point struct {
	Label      string // "richness=0.1, training.steps=100"; empty when nothing is swept
	Values     []Swept
	Experiment Experiment
}

// Swept is the value of one swept key at a point.
type Swept struct{ Key, Value string }

// Points returns the experiments of the product of all lists, in file order, the last list fastest.
func (f *File) Points() []Point { return f.points }

const maxPoints = 100000

// value is what a key was given: one value, or several for a sweep.
type value struct {
	alternatives []any
	swept        bool
	tok          *token.Token // of the key
	toks         []*token.Token
}

type reader struct {
	name  string
	lines []string
	errs  Errors
	given map[string]*value
	order []string
}

func (r *reader) fail(t *token.Token, format string, args ...any) {
	e := Error{File: r.name, Message: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
		if e.Line >= 1 && e.Line <= len(r.lines) {
			e.Excerpt = strings.TrimRight(r.lines[e.Line-1], "\r")
			e.Column = min(e.Column, len(e.Excerpt)+1)
		}
	}
	r.errs = append(r.errs, e)
}

// Parse reads the text of an experiment file; name is for messages and the default name of the experiment.
func Parse(name string, src []byte) (*File, error) {
	r := &reader{name: name, lines: strings.Split(string(src), "\n"), given: map[string]*value{}}
	if i := slices.IndexFunc(r.lines, func(l string) bool { return strings.HasPrefix(strings.TrimLeft(l, " "), "\t") }); i >= 0 {
		r.errs = append(r.errs, Error{File: name, Line: i + 1, Column: strings.Index(r.lines[i], "\t") + 1, Message: "a tab indents this line; YAML is indented with spaces"})
		return nil, r.errs
	}
	file, err := parser.ParseBytes(src, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			r.fail(syntax.Token, "%s", syntax.Message)
		} else {
			r.fail(nil, "%s", strings.TrimSpace(err.Error()))
		}
		return nil, r.errs
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			r.fail(d.Body.GetToken(), "a second document; one file holds one experiment")
			return nil, r.errs
		}
		body = d.Body
	}
	if body == nil {
		r.fail(nil, "the file is empty; see `dmft check --schema` for its keys")
		return nil, r.errs
	}
	if pairs(body) == nil {
		r.fail(body.GetToken(), "an experiment is a mapping of keys to values, such as `richness: 1.0`")
		return nil, r.errs
	}
	r.walk("", body)
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	f := &File{Name: name}
	if f.points = r.product(); len(r.errs) > 0 {
		return nil, r.errs
	}
	return f, nil
}

// pairs returns the entries of a mapping, nil for any other node.
func pairs(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		if n.Values == nil {
			return []*ast.MappingValueNode{}
		}
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// section says whether keys below path exist.
func section(path string) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return strings.HasPrefix(f.path, path+".") })
}

func lookup(path string) *field {
	i := slices.IndexFunc(fields, func(f field) bool { return f.path == path })
	if i < 0 {
		return nil
	}
	return &fields[i]
}

// walk reads a mapping below prefix.
func (r *reader) walk(prefix string, n ast.Node) {
	seen := map[string]bool{}
	for _, p := range pairs(n) {
		kt := p.Key.GetToken()
		key := kt.Value
		path := key
		if prefix != "" {
			path = prefix + "." + key
		}
		if seen[key] {
			r.fail(kt, "the key %s is given twice", path)
			continue
		}
		seen[key] = true
		if p.Value == nil || p.Value.Type() == ast.NullType {
			r.fail(kt, "the key %s has no value", path)
			continue
		}
		if t := p.Value.Type(); t == ast.AnchorType || t == ast.AliasType || t == ast.TagType || p.Key.IsMergeKey() {
			r.fail(kt, "anchors, aliases, merges and tags are not used in experiment files; write the value out")
			continue
		}
		switch f := lookup(path); {
		case f != nil:
			r.read(f, kt, p.Value)
		case path == "training.loss" && pairs(p.Value) == nil: // short form
			r.read(lookup("training.loss.kind"), kt, p.Value)
		case section(path):
			if pairs(p.Value) == nil {
				r.fail(p.Value.GetToken(), "%s is a section: a mapping of keys, not %s", path, describe(p.Value))
				continue
			}
			r.walk(path, p.Value)
		default:
			r.fail(kt, "unknown key %s%s", path, suggest(prefix, key))
		}
	}
}

// suggest names the nearest key.
func suggest(prefix, key string) string {
	var here, leaves []string
	for _, f := range fields {
		rest, ok := f.path, true
		if prefix != "" {
			rest, ok = strings.CutPrefix(f.path, prefix+".")
		}
		if ok {
			first, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(here, first) {
				here = append(here, first)
			}
		}
		if f.path[strings.LastIndex(f.path, ".")+1:] == key {
			leaves = append(leaves, f.path)
		}
	}
	if n := nearest(key, here); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	if len(leaves) > 0 {
		return fmt.Sprintf("; there is %s", strings.Join(leaves, " and "))
	}
	return "; the keys here are " + strings.Join(here, ", ")
}

// nearest returns the closest of names, if it is close.
func nearest(word string, names []string) string {
	best, at := len(word)/3+2, ""
	for _, n := range names {
		if d := distance(strings.ToLower(word), n); d < best {
			best, at = d, n
		}
	}
	return at
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

func describe(n ast.Node) string {
	switch n.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	}
	return fmt.Sprintf("%q", n.GetToken().Value)
}

// read reads the value of a key, a list of alternatives where one value is expected.
func (r *reader) read(f *field, kt *token.Token, n ast.Node) {
	v := &value{tok: kt}
	seq, isSeq := n.(*ast.SequenceNode)
	if isSeq && !f.list {
		v.swept = true
		if len(seq.Values) == 0 {
			r.fail(n.GetToken(), "%s: an empty list", f.path)
			return
		}
		for _, item := range seq.Values {
			if x, ok := r.scalar(f, item); ok {
				v.alternatives, v.toks = append(v.alternatives, x), append(v.toks, item.GetToken())
			}
		}
	} else if x, ok := r.scalar(f, n); ok {
		v.alternatives, v.toks = []any{x}, []*token.Token{n.GetToken()}
	}
	r.given[f.path] = v
	r.order = append(r.order, f.path)
}

// scalar reads one value of the type of f.
func (r *reader) scalar(f *field, n ast.Node) (any, bool) {
	tok := n.GetToken()
	bad := func() (any, bool) {
		hint := ""
		if f.enum != nil {
			if s := nearest(tok.Value, f.enum); s != "" {
				hint = fmt.Sprintf("; did you mean %s?", s)
			}
		}
		r.fail(tok, "%s is %s; expected %s%s", f.path, describe(n), f.typeName(), hint)
		return nil, false
	}
	switch f.at(&Experiment{}).(type) {
	case *kernels.Activation:
		return r.activation(f, n)
	case *[]int, *[]float64:
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			return bad()
		}
		var ints []int
		var floats []float64
		for _, item := range seq.Values {
			x, ok := number(item)
			if !ok {
				r.fail(item.GetToken(), "%s holds %s; expected a %s", f.path, describe(item), f.typeName())
				return nil, false
			}
			if !f.inRange(x) {
				r.fail(item.GetToken(), "%s holds %s; expected a %s", f.path, item.GetToken().Value, f.typeName())
				return nil, false
			}
			ints, floats = append(ints, int(x)), append(floats, x)
			if _, whole := f.at(&Experiment{}).(*[]int); whole && x != math.Trunc(x) {
				r.fail(item.GetToken(), "%s holds %s; expected a %s", f.path, item.GetToken().Value, f.typeName())
				return nil, false
			}
		}
		if len(ints) == 0 {
			r.fail(tok, "%s: an empty list", f.path)
			return nil, false
		}
		if _, whole := f.at(&Experiment{}).(*[]int); whole {
			return ints, true
		}
		return floats, true
	case *string:
		if n.Type() == ast.MappingType || n.Type() == ast.MappingValueType || n.Type() == ast.SequenceType {
			return bad()
		}
		if lit, ok := n.(*ast.LiteralNode); ok {
			return strings.TrimSpace(lit.Value.Value), true
		}
		if f.enum != nil && !slices.Contains(f.enum, tok.Value) {
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
		if tok.Value == "infinite" {
			return depth(Infinite), true
		}
	case *count:
		switch tok.Value {
		case "all":
			return count(AllKernels), true
		case "auto":
			return count(AutoKernels), true
		}
	case *uint64:
		if v, err := strconv.ParseUint(tok.Value, 10, 64); err == nil && plain(tok) && !leadingZero(tok.Value) {
			return v, true
		}
		return bad()
	}
	x, ok := number(n)
	if !ok {
		return bad()
	}
	if !f.inRange(x) {
		r.fail(tok, "%s is %s; expected a %s", f.path, tok.Value, f.typeName())
		return nil, false
	}
	if _, real := f.at(&Experiment{}).(*float64); real {
		return x, true
	}
	if x != math.Trunc(x) || math.Abs(x) > 1<<53 {
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

func (f *field) inRange(x float64) bool {
	if f.min == 0 && f.max == 0 {
		return true
	}
	return x >= f.min && x <= f.max && !(f.open && x == f.min)
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

// number reads a finite decimal number from the text of a scalar; what YAML thinks of 010, 0x10, 1_000 or .inf does not count.
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
	return x, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
}

// activation reads the forms of an activation.
func (r *reader) activation(f *field, n ast.Node) (any, bool) {
	known := func(t *token.Token) bool {
		if slices.Contains(kernels.Names(), t.Value) {
			return true
		}
		hint := "; expected one of " + strings.Join(kernels.Names(), ", ")
		if s := nearest(t.Value, kernels.Names()); s != "" {
			hint = fmt.Sprintf("; did you mean %s?", s)
		}
		r.fail(t, "%s: unknown activation %q%s", f.path, t.Value, hint)
		return false
	}
	var a kernels.Activation
	entries := pairs(n)
	if entries == nil {
		if n.Type() == ast.SequenceType || !known(n.GetToken()) {
			if n.Type() == ast.SequenceType {
				r.fail(n.GetToken(), "%s is a list; expected an activation", f.path)
			}
			return nil, false
		}
		a.Name = n.GetToken().Value
	} else if len(entries) == 1 && entries[0].Key.GetToken().Value != "name" { // {name: number}
		kt, v := entries[0].Key.GetToken(), entries[0].Value
		if !known(kt) {
			return nil, false
		}
		a.Name = kt.Value
		if a.Name == kernels.PolynomialName {
			if !r.coefficients(f, v, &a) {
				return nil, false
			}
		} else {
			x, ok := number(v)
			if !ok {
				r.fail(v.GetToken(), "%s: %s takes a number, not %s", f.path, a.Name, describe(v))
				return nil, false
			}
			switch a.Name {
			case kernels.QuadraticMixName, kernels.LeakyReLUName:
				a.Parameter = x
			default:
				if x == 0 {
					r.fail(v.GetToken(), "%s: the gain of %s is zero", f.path, a.Name)
					return nil, false
				}
				a.Gain = x
			}
		}
	} else {
		for _, p := range entries {
			kt := p.Key.GetToken()
			switch kt.Value {
			case "name":
				if !known(p.Value.GetToken()) {
					return nil, false
				}
				a.Name = p.Value.GetToken().Value
				continue
			case "coefficients":
				if !r.coefficients(f, p.Value, &a) {
					return nil, false
				}
				continue
			case "gain", "scale", "slope", "epsilon":
			default:
				hint := nearest(kt.Value, []string{"name", "gain", "scale", "slope", "epsilon", "coefficients"})
				if hint != "" {
					hint = "; did you mean " + hint + "?"
				}
				r.fail(kt, "%s: unknown key %s%s", f.path, kt.Value, hint)
				return nil, false
			}
			x, ok := number(p.Value)
			if !ok || (x == 0 && (kt.Value == "gain" || kt.Value == "scale")) {
				r.fail(p.Value.GetToken(), "%s: %s is %s; expected a number other than zero", f.path, kt.Value, describe(p.Value))
				return nil, false
			}
			switch kt.Value {
			case "gain":
				a.Gain = x
			case "scale":
				a.Scale = x
			default:
				a.Parameter = x
			}
		}
		if a.Name == "" {
			r.fail(n.GetToken(), "%s: the long form needs name", f.path)
			return nil, false
		}
	}
	if a.Gain == 1 {
		a.Gain = 0
	}
	if a.Scale == 1 {
		a.Scale = 0
	}
	if err := a.Validate(); err != nil {
		r.fail(n.GetToken(), "%s: %s", f.path, strings.TrimPrefix(err.Error(), "kernels: "))
		return nil, false
	}
	return a, true
}

func (r *reader) coefficients(f *field, n ast.Node, a *kernels.Activation) bool {
	seq, ok := n.(*ast.SequenceNode)
	if !ok || len(seq.Values) == 0 {
		r.fail(n.GetToken(), "%s: a polynomial takes a list of coefficients, lowest power first, not %s", f.path, describe(n))
		return false
	}
	for _, item := range seq.Values {
		x, ok := number(item)
		if !ok {
			r.fail(item.GetToken(), "%s: coefficient %s is not a number", f.path, describe(item))
			return false
		}
		a.Coefficients = append(a.Coefficients, x)
	}
	return true
}

// product makes the experiments of the product of all lists.
func (r *reader) product() []Point {
	var swept []string
	total := 1
	for _, p := range r.order {
		if v := r.given[p]; v.swept {
			swept = append(swept, p)
			if total *= len(v.alternatives); total > maxPoints {
				r.fail(v.tok, "the lists of this file make more than %d experiments", maxPoints)
				return nil
			}
		}
	}
	points := make([]Point, 0, total)
	index := make([]int, len(swept))
	for {
		choice := map[string]int{}
		var pt Point
		for k, p := range swept {
			choice[p] = index[k]
			pt.Values = append(pt.Values, Swept{p, render(r.given[p].alternatives[index[k]])})
		}
		var label []string
		for _, s := range pt.Values {
			label = append(label, s.Key+"="+s.Value)
		}
		pt.Label = strings.Join(label, ", ")
		if !r.fill(&pt.Experiment, choice) {
			return nil
		}
		points = append(points, pt)
		k := len(index) - 1
		for ; k >= 0; k-- {
			if index[k]++; index[k] < len(r.given[swept[k]].alternatives) {
				break
			}
			index[k] = 0
		}
		if k < 0 {
			return points
		}
	}
}

// fill sets every key of e that applies.
func (r *reader) fill(e *Experiment, choice map[string]int) bool {
	before := len(r.errs)
	for i := range fields {
		f := &fields[i]
		v := r.given[f.path]
		why := f.applies(e)
		switch {
		case v != nil && why != "":
			r.fail(v.tok, "%s does not apply: %s", f.path, why)
		case v != nil:
			set(f.at(e), v.alternatives[choice[f.path]])
		case why != "":
		default:
			def := f.def
			if f.choose != nil {
				def = f.choose(e)
			}
			if def == nil && f.required {
				r.missing(f)
			} else if def != nil {
				set(f.at(e), def)
			}
		}
	}
	if e.Name == "" {
		e.Name = baseName(r.name)
	}
	if len(r.errs) > before {
		return false
	}
	if v := r.given["network.depth"]; v != nil {
		t := v.toks[choice["network.depth"]]
		if e.Network.Kind == "two-layer" && e.Network.Depth != 1 {
			r.fail(t, "a two-layer network has depth 1; for more hidden layers use kind: mlp or resnet")
		}
		if e.Network.Depth == Infinite && e.Network.Kind != "resnet" {
			r.fail(t, "only a resnet has an infinite-depth limit")
		}
	}
	if v := r.given["simulation.widths"]; v != nil {
		w := slices.Clone(e.Simulation.Widths)
		slices.Sort(w)
		if len(slices.Compact(w)) != len(e.Simulation.Widths) {
			r.fail(v.tok, "simulation.widths lists a width twice")
		}
	}
	return len(r.errs) == before
}

// missing reports a required key, at the section it belongs to when there is one.
func (r *reader) missing(f *field) {
	sec, _, _ := strings.Cut(f.path, ".")
	for _, p := range r.order {
		if strings.HasPrefix(p, sec+".") {
			r.fail(r.given[p].tok, "the key %s is missing: %s", f.path, f.doc)
			return
		}
	}
	r.fail(nil, "the key %s is missing: %s", f.path, f.doc)
}

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
	case *depth:
		return *p
	case *count:
		return *p
	case *kernels.Activation:
		return *p
	}
	return nil
}

// render writes a value as YAML on one line.
func render(v any) string {
	num := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
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
	case []float64:
		s := make([]string, len(v))
		for i, x := range v {
			s[i] = num(x)
		}
		return "[" + strings.Join(s, ", ") + "]"
	case kernels.Activation:
		if v.Gain == 0 && v.Scale == 0 && v.Parameter == 0 && v.Coefficients == nil {
			return v.Name
		}
		s := "{name: " + v.Name
		if v.Gain != 0 {
			s += ", gain: " + num(v.Gain)
		}
		if v.Scale != 0 {
			s += ", scale: " + num(v.Scale)
		}
		if v.Parameter != 0 {
			key := "slope"
			if v.Name == kernels.QuadraticMixName {
				key = "epsilon"
			}
			s += ", " + key + ": " + num(v.Parameter)
		}
		if v.Coefficients != nil {
			s += ", coefficients: " + render(v.Coefficients)
		}
		return s + "}"
	}
	return fmt.Sprint(v)
}

// quoted writes text so that YAML reads it back as the same text.
func quoted(s string) string {
	simple := s != ""
	for i, c := range s {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && (c >= '0' && c <= '9' || strings.ContainsRune("-_./", c))
		simple = simple && ok
	}
	if simple && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "nan", "inf", "y", "n"}, strings.ToLower(s)) {
		return s
	}
	return strconv.Quote(s)
}

// YAML writes an experiment with every key that applies.
func (e Experiment) YAML() []byte {
	var b strings.Builder
	var open []string
	for i := range fields {
		f := &fields[i]
		if f.applies(&e) != "" {
			continue
		}
		v := get(f.at(&e))
		if s, ok := v.([]int); ok && len(s) == 0 {
			continue
		}
		if s, ok := v.(string); ok && s == "" {
			continue
		}
		parts := strings.Split(f.path, ".")
		for k := 0; k < len(parts)-1; k++ {
			if k >= len(open) || open[k] != parts[k] {
				fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", k), parts[k])
				open = append(open[:k], parts[k])
			}
		}
		open = open[:len(parts)-1]
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", len(parts)-1), parts[len(parts)-1], render(v))
	}
	return []byte(b.String())
}
