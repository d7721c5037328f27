package experiment

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/seed39b58f2d/dmft/kernels"
)

// A File is a parsed experiment file: the product of the lists in it.
type File struct {
	Name   string
	Source []byte // its text
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

// Map is the value of every swept key.
func (p *Point) Map() map[string]string {
	m := map[string]string{}
	for _, v := range p.Values {
		m[v.Key] = v.Value
	}
	return m
}

// Folder is a name for the run folder of a point beside others of the same product: readable, at most maxFolder bytes
// long, and another one for every label, on file systems that do not tell capitals from small letters, too. It depends
// on the label alone, so that a product may grow. A label that a name cannot hold as it is has a part of its hash in
// it.
func (p *Point) Folder() string {
	exact := len(p.Label) <= maxFolder
	words := make([]string, len(p.Values))
	for i, v := range p.Values {
		// Text that is quoted, lists and mappings are not words; a word with a slash or a capital is not its own name.
		for _, c := range v.Value {
			exact = exact && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune("+-._", c))
		}
		words[i] = v.Key + "=" + safeWord(v.Value)
	}
	name := strings.Join(words, "_")
	if exact {
		return name
	}
	const digits = 8
	if len(name) > maxFolder-digits-1 { // the ends of keys say most
		for i, v := range p.Values {
			words[i] = v.Key[strings.LastIndex(v.Key, ".")+1:] + "=" + safeWord(v.Value)
		}
		name = strings.Join(words, "_")
	}
	if most := maxFolder - digits - 1; len(name) > most {
		name = strings.ToValidUTF8(name[:most], "")
	}
	return name + "-" + HashOf([]string{p.Label})[:digits]
}

// maxFolder is the length of the names of folders of points, less than half of what file systems take.
const maxFolder = 100

// safeWord is a value without what shells, file systems and patterns take for something else.
func safeWord(value string) string {
	s := strings.TrimPrefix(value, "{name: ")
	s = strings.ReplaceAll(s, ", ", ",")
	return strings.Map(func(c rune) rune {
		switch {
		case strings.ContainsRune("{}[]\" ", c):
			return -1
		case strings.ContainsRune("/\\:*?<>|'$&;`!#%~()=@^", c) || !unicode.IsPrint(c) || c == unicode.ReplacementChar:
			return '-'
		}
		return c
	}, s)
}

// Points returns the experiments of the product of all lists, in file order, the last list fastest.
func (f *File) Points() []Point { return f.points }

// Limits of a file.
const (
	maxPoints  = 100000
	maxBytes   = 4 << 20
	maxNesting = 100 // the parser is recursive
	maxErrors  = 100 // after which the remaining points of a product are not looked at
)

// value is what a key was given: one value, or several for a sweep.
type value struct {
	alternatives []any
	swept        bool
	tok          *token.Token // of the key
	toks         []*token.Token
}

type reader struct {
	name     string
	lines    []string
	errs     Errors
	seen     map[Error]bool // no error is reported twice, however many points of a product have it
	given    map[string]*value
	order    []string
	sections map[string]*token.Token
	broken   map[string]bool // keys that are there but not readable
}

func (r *reader) fail(t *token.Token, format string, args ...any) {
	if t == nil || t.Position == nil {
		r.failAt(1, 0, format, args...)
		return
	}
	r.failAt(t.Position.Line, t.Position.Column, format, args...)
}

// failAt reports an error at a column counted in characters from 1; column 0 is the whole file, without an excerpt.
func (r *reader) failAt(line, column int, format string, args ...any) {
	e := Error{File: r.name, Line: line, Column: max(column, 1), Message: fmt.Sprintf(format, args...)}
	if column > 0 && line >= 1 && line <= len(r.lines) {
		e.Excerpt = strings.TrimRight(r.lines[line-1], "\r")
		e.Column = min(e.Column, utf8.RuneCountInString(e.Excerpt)+1)
	}
	if !r.seen[e] {
		r.seen[e] = true
		r.errs = append(r.errs, e)
	}
}

// sorted returns the errors in file order, those about the file as a whole last.
func (r *reader) sorted() Errors {
	slices.SortStableFunc(r.errs, func(a, b Error) int {
		if (a.Excerpt == "") != (b.Excerpt == "") {
			return cmp.Compare(len(b.Excerpt), len(a.Excerpt))
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.errs
}

// Parse reads the text of an experiment file; name is for messages and the default name of the experiment. The error is
// of type [Errors] and holds everything that is wrong, in file order.
func Parse(name string, src []byte) (*File, error) {
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // the mark some editors put in front
	r := &reader{name: name, lines: strings.Split(string(src), "\n"), seen: map[Error]bool{}, given: map[string]*value{},
		sections: map[string]*token.Token{}, broken: map[string]bool{}}
	f := &File{Name: name, Source: src}
	if body := r.body(src); body != nil {
		r.walk("", body)
		f.points = r.product()
	}
	if len(r.errs) > 0 {
		return nil, r.sorted()
	}
	return f, nil
}

// body is the one mapping of a file, or nil with errors reported.
func (r *reader) body(src []byte) ast.Node {
	if len(src) > maxBytes {
		r.fail(nil, "the file has %d bytes; an experiment file has at most %d", len(src), maxBytes)
		return nil
	}
	if !r.checkText() {
		return nil
	}
	file, err := r.parseYAML(src)
	var syntax *yaml.SyntaxError
	switch {
	case errors.As(err, &syntax):
		r.fail(syntax.Token, "%s", syntax.Message)
		return nil
	case err != nil:
		r.fail(nil, "%s", strings.TrimSpace(err.Error()))
		return nil
	case file == nil: // reported
		return nil
	}
	var body ast.Node
	for _, d := range file.Docs {
		if d.Body == nil || d.Body.Type() == ast.NullType {
			continue
		}
		if d.Body.Type() == ast.DirectiveType {
			r.fail(d.Body.GetToken(), "directives (%%YAML, %%TAG) are not used in experiment files; remove the line")
			return nil
		}
		if body != nil {
			r.fail(start(d.Body), "a second document; one file holds one experiment")
			return nil
		}
		body = d.Body
	}
	if body == nil {
		r.fail(nil, "the file is empty; see `dmft check --schema` for its keys")
		return nil
	}
	if body, ok := r.unwrap(body); !ok || pairs(body) == nil {
		if ok {
			r.fail(start(body), "an experiment is a mapping of keys to values, such as `richness: 1.0`, not %s", describe(body))
		}
		return nil
	}
	return body
}

// parseYAML turns a panic of the parser into an error, and refuses what would exhaust its stack, which no one could
// recover from.
func (r *reader) parseYAML(src []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			file, err = nil, fmt.Errorf("this text is not understood as YAML (%v)", p)
		}
	}()
	tokens := lexer.Tokenize(string(src))
	if t := tooDeep(tokens); t != nil {
		r.fail(t, "nested more than %d deep here", maxNesting)
		return nil, nil
	}
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// tooDeep returns the first token nested deeper than maxNesting, or nil. Outside brackets whatever stands further right
// may be nested deeper, so columns bound the depth; inside, brackets and runs of markers such as tags do.
func tooDeep(tokens token.Tokens) *token.Token {
	var columns []int
	brackets, run := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.CommentType:
			continue
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets = max(brackets-1, 0)
		}
		switch t.Type {
		case token.TagType, token.AnchorType, token.AliasType, token.MappingKeyType, token.MappingValueType, token.SequenceEntryType, token.MergeKeyType:
			run++
		default:
			run = 0
		}
		if brackets == 0 {
			for len(columns) > 0 && columns[len(columns)-1] >= t.Position.Column {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, t.Position.Column)
		}
		if len(columns)+brackets+run > maxNesting {
			return t
		}
	}
	return nil
}

// checkText refuses what YAML cannot hold or reads differently from how it looks.
func (r *reader) checkText() bool {
	for i, l := range r.lines {
		if !utf8.ValidString(l) {
			column := 1 + utf8.RuneCountInString(l[:strings.Index(strings.ToValidUTF8(l, "\ufffd"), "\ufffd")])
			r.failAt(i+1, column, "this is not UTF-8 text; save the file as UTF-8")
			return false
		}
		text := strings.TrimLeft(l, " ")
		if rest := strings.TrimLeft(text, "\t \r"); strings.HasPrefix(text, "\t") && rest != "" && rest[0] != '#' {
			r.failAt(i+1, len(l)-len(text)+1, "a tab indents this line; YAML is indented with spaces")
		}
	}
	return len(r.errs) == 0
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

// start is the first token of a node; that of a block mapping is its colon otherwise.
func start(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return start(n.Values[0])
		}
	case *ast.MappingValueNode:
		return start(n.Key)
	}
	return n.GetToken()
}

// unwrap refuses the features of YAML that experiment files do without, and goes on with the value inside where there
// is one.
func (r *reader) unwrap(n ast.Node) (ast.Node, bool) {
	const instead = "are not used in experiment files; write the value out"
	for {
		switch x := n.(type) {
		case *ast.AnchorNode:
			r.fail(x.Start, "anchors (&) "+instead)
			n = x.Value
		case *ast.TagNode:
			r.fail(x.Start, "tags (!) "+instead)
			n = x.Value
		case *ast.AliasNode:
			r.fail(x.Start, "aliases (*) "+instead)
			return nil, false
		default:
			return n, n != nil
		}
	}
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

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// spoil marks a key, or every key of a section, as there but not readable.
func (r *reader) spoil(path string) {
	for i := range fields {
		if p := fields[i].path; p == path || strings.HasPrefix(p, path+".") {
			r.broken[p] = true
		}
	}
	if path == "training.loss" {
		r.broken["training.loss.kind"] = true
	}
}

// walk reads a mapping below prefix.
func (r *reader) walk(prefix string, n ast.Node) {
	entries := pairs(n)
	present := map[string]bool{}
	for _, p := range entries {
		present[p.Key.GetToken().Value] = true
	}
	seen := map[string]bool{}
	for _, p := range entries {
		kt := p.Key.GetToken()
		key := kt.Value
		switch {
		case p.Key.IsMergeKey():
			r.fail(kt, "merge keys (<<) are not used in experiment files; write the keys out")
			continue
		case p.Key.Type() == ast.MappingKeyType:
			r.fail(kt, "explicit keys (? key) are not used in experiment files; write `key: value`")
			continue
		}
		if _, scalar := p.Key.(ast.ScalarNode); !scalar {
			r.fail(kt, "anchors, aliases and tags are not used on keys; write the key alone")
			continue
		}
		if seen[key] {
			r.fail(kt, "the key %s is given twice", printable(join(prefix, key)))
			continue
		}
		seen[key] = true
		if lookup(join(prefix, key)) == nil && !section(join(prefix, key)) {
			meant := r.unknown(prefix, key, kt)
			if meant == "" || present[meant] || seen[meant] {
				continue
			}
			key, seen[meant] = meant, true // look at the value all the same
		}
		path := join(prefix, key)
		if p.Value == nil || p.Value.Type() == ast.NullType {
			r.fail(kt, "the key %s has no value; give one or leave the key out", path)
			r.spoil(path)
			r.sections[path] = kt
			continue
		}
		value, ok := r.unwrap(p.Value)
		if !ok {
			r.spoil(path)
			r.sections[path] = kt
			continue
		}
		switch f := lookup(path); {
		case f != nil:
			r.read(f, kt, value)
		case path == "training.loss" && pairs(value) == nil: // short form
			r.read(lookup("training.loss.kind"), kt, value)
		case pairs(value) == nil:
			r.fail(start(value), "%s is a section: a mapping of keys, not %s", path, describe(value))
			r.spoil(path)
			r.sections[path] = kt
		default:
			r.sections[path] = kt
			r.walk(path, value)
		}
	}
}

// unknown reports an unknown key and returns the key beside it that was meant, if that is clear.
func (r *reader) unknown(prefix, key string, kt *token.Token) (meant string) {
	var here, elsewhere []string
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
			elsewhere = append(elsewhere, f.path)
		}
	}
	meant = nearest(key, here)
	var hint string
	switch {
	case meant != "" && len(elsewhere) > 0:
		hint = fmt.Sprintf("did you mean %s? There is also %s", meant, strings.Join(elsewhere, " and "))
	case meant != "":
		hint = fmt.Sprintf("did you mean %s?", meant)
	case len(elsewhere) > 0:
		hint = "there is " + strings.Join(elsewhere, " and ")
		if len(elsewhere) == 1 && r.given[elsewhere[0]] == nil {
			r.spoil(elsewhere[0]) // misplaced, not missing
		}
	default:
		hint = "the keys here are " + strings.Join(here, ", ")
	}
	r.fail(kt, "unknown key %s; %s", printable(join(prefix, key)), hint)
	return meant
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

// describe is a value in words.
func describe(n ast.Node) string {
	switch {
	case n.Type() == ast.MappingType || n.Type() == ast.MappingValueType:
		return "a mapping"
	case n.Type() == ast.SequenceType:
		return "a list"
	case n.Type() == ast.NullType:
		return "nothing"
	}
	return strconv.Quote(n.GetToken().Value)
}

// printable is a key as it stands, quoted when it would be unclear.
func printable(key string) string {
	if key == "" || strings.ContainsFunc(key, func(c rune) bool { return !unicode.IsPrint(c) || c == ' ' }) {
		return strconv.Quote(key)
	}
	return key
}

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
		if v, err := strconv.ParseUint(strings.TrimPrefix(tok.Value, "+"), 10, 64); err == nil && isText(n) && plain(tok) && !leadingZero(tok.Value) {
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
			r.fail(start(item), "%s holds %s; expected %s%s", f.path, describe(item), f.itemName(), cmp.Or(hint, f.most(x), numberHint(item)))
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

// activation reads the forms of an activation: a name, {name: number or coefficients}, or the long form with the key
// name.
func (r *reader) activation(path string, n ast.Node) (any, bool) {
	before := len(r.errs)
	entries := pairs(n)
	var a kernels.Activation
	switch {
	case entries == nil && isText(n):
		a.Name = r.baseName(path, n)
		if b := kernels.Describe(a.Name); b.Parameter.Key != "" {
			r.fail(start(n), "%s: %s needs its %s, such as %s", path, a.Name, b.Parameter.Meaning, exampleForm(b))
		}
	case entries == nil:
		r.fail(start(n), "%s is %s; expected an activation", path, describe(n))
	case len(entries) == 0:
		r.fail(start(n), "%s is an empty mapping; expected an activation", path)
	case len(entries) == 1 && entries[0].Key.GetToken().Value != "name":
		p := entries[0]
		if a.Name = r.baseName(path, p.Key); a.Name == "" {
			break
		}
		r.parameter(path, cmp.Or(kernels.Describe(a.Name).Parameter.Key, "gain"), p, &a)
	default:
		r.longForm(path, n, entries, &a)
	}
	if len(r.errs) > before {
		return nil, false
	}
	if a.Gain == 1 {
		a.Gain = 0
	}
	if a.Scale == 1 {
		a.Scale = 0
	}
	if err := a.Validate(); err != nil {
		r.fail(start(n), "%s: %s", path, strings.TrimPrefix(err.Error(), "kernels: "))
		return nil, false
	}
	return a, true
}

// exampleForm is the short form of an activation that takes a parameter.
func exampleForm(b kernels.Base) string { return "{" + b.Name + ": " + b.Parameter.Example + "}" }

// longForm reads {name: …, gain: …, scale: …} and so on.
func (r *reader) longForm(path string, n ast.Node, entries []*ast.MappingValueNode, a *kernels.Activation) {
	keys := []string{"name", "gain", "scale"}
	for _, b := range kernels.Bases() {
		if key := b.Parameter.Key; key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	seen := map[string]*ast.MappingValueNode{}
	named := false
	for _, p := range entries {
		kt := p.Key.GetToken()
		key := kt.Value
		switch {
		case seen[key] != nil:
			r.fail(kt, "%s: the key %s is given twice", path, printable(key))
			continue
		case !slices.Contains(keys, key):
			hint := "the keys here are " + strings.Join(keys, ", ")
			if s := nearest(key, keys); s != "" {
				hint = "did you mean " + s + "?"
				named = named || s == "name"
			}
			r.fail(kt, "%s: unknown key %s; %s", path, printable(key), hint)
			continue
		}
		seen[key] = p
		if key != "name" {
			r.parameter(path, key, p, a)
		} else if v, ok := r.unwrap(p.Value); ok {
			a.Name = r.baseName(path, v)
		}
	}
	if seen["name"] == nil && !named {
		r.fail(start(n), "%s: the long form needs name, such as {name: tanh, gain: 1.25}", path)
	}
	if a.Name == "" {
		return
	}
	own := kernels.Describe(a.Name).Parameter
	for _, key := range keys[3:] {
		needs := key == own.Key
		switch p := seen[key]; {
		case p != nil && !needs:
			r.fail(p.Key.GetToken(), "%s: %s has no %s", path, a.Name, key)
		case p == nil && needs:
			r.fail(start(seen["name"].Value), "%s: %s needs %s, its %s", path, a.Name, key, own.Meaning)
		}
	}
}

// baseName reads the name of a base function; "" is an error reported.
func (r *reader) baseName(path string, n ast.Node) string {
	name := n.GetToken().Value
	if isText(n) && slices.Contains(kernels.Names(), name) {
		return name
	}
	hint := "expected one of " + strings.Join(kernels.Names(), ", ")
	if s := nearest(name, kernels.Names()); s != "" && isText(n) {
		hint = fmt.Sprintf("did you mean %s?", s)
	}
	r.fail(start(n), "%s: unknown activation %s; %s", path, describe(n), hint)
	return ""
}

// many says whether the parameter of a key is a list.
func many(key string) bool {
	return slices.ContainsFunc(kernels.Bases(), func(b kernels.Base) bool { return b.Parameter.Many && b.Parameter.Key == key })
}

// parameter reads one number, or the coefficients, of an activation.
func (r *reader) parameter(path, key string, p *ast.MappingValueNode, a *kernels.Activation) {
	n, ok := r.unwrap(p.Value)
	if !ok {
		return
	}
	if many(key) {
		seq, ok := n.(*ast.SequenceNode)
		if !ok || len(seq.Values) == 0 {
			r.fail(start(n), "%s: a polynomial takes a list of coefficients, lowest power first, not %s", path, describe(n))
			return
		}
		for _, item := range seq.Values {
			item, ok := r.unwrap(item)
			if !ok {
				continue
			}
			x, ok := number(item)
			if hint := extreme(x); !ok || hint != "" {
				r.fail(start(item), "%s: the coefficient is %s; expected number%s", path, describe(item), cmp.Or(numberHint(item), hint))
			}
			a.Coefficients = append(a.Coefficients, x)
		}
		return
	}
	x, ok := number(n)
	switch hint := extreme(x); {
	case !ok || hint != "":
		r.fail(start(n), "%s: the %s is %s; expected number%s", path, key, describe(n), cmp.Or(numberHint(n), hint))
	case key == "gain" && x == 0, key == "scale" && x == 0:
		r.fail(start(n), "%s: the %s is zero, which makes φ constant", path, key)
	case key == "gain":
		a.Gain = x
	case key == "scale":
		a.Scale = x
	default:
		a.Parameter = x
	}
}

// product makes the experiments of the product of all lists.
func (r *reader) product() []Point {
	var swept []string
	total := 1
	for _, p := range r.order {
		if v := r.given[p]; v.swept && !r.broken[p] {
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
		pt.Label = Label(pt.Values)
		r.fill(&pt.Experiment, choice)
		points = append(points, pt)
		k := len(index) - 1
		for ; k >= 0; k-- {
			if index[k]++; index[k] < len(r.given[swept[k]].alternatives) {
				break
			}
			index[k] = 0
		}
		if k < 0 || len(r.errs) > maxErrors {
			return points
		}
	}
}

// Label is the values of swept keys on one line.
func Label(values []Swept) string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = v.Key + "=" + v.Value
	}
	return strings.Join(s, ", ")
}

// fill sets every key of e that applies and checks how keys go together. A key is unknown when it is unreadable,
// missing, or a default that an unknown key decides; what depends on an unknown key is not judged.
func (r *reader) fill(e *Experiment, choice map[string]int) {
	unknown := r.broken
	mark := func(path string) {
		if len(unknown) == len(r.broken) {
			unknown = maps.Clone(r.broken)
		}
		unknown[path] = true
	}
	anyUnknown := func(keys ...string) bool {
		return len(unknown) > 0 && slices.ContainsFunc(keys, func(k string) bool { return unknown[k] })
	}
	var absent []string // required keys of sections that are not there at all
	for i := range fields {
		f := &fields[i]
		v := r.given[f.path]
		undecided := anyUnknown(f.when.on...)
		why := ""
		if !undecided {
			why = f.applies(e)
		}
		switch {
		case why != "":
			if v != nil {
				r.fail(v.tok, "%s does not apply: %s%s", f.path, why, r.where(choice, f.when.on))
			}
		case unknown[f.path]:
		case v != nil:
			set(f.at(e), v.alternatives[choice[f.path]])
		case undecided || f.choose != nil && anyUnknown(f.from):
			mark(f.path)
		default:
			def := f.def
			if f.choose != nil {
				def = f.choose(e)
			}
			switch {
			case def != nil:
				set(f.at(e), def)
			case f.required:
				mark(f.path)
				if sec, _, dotted := strings.Cut(f.path, "."); dotted && r.sections[sec] == nil {
					absent = append(absent, f.path)
				} else {
					r.fail(r.sections[sec], "the key %s is missing%s: %s", f.path, r.where(choice, f.when.on), f.brief())
				}
			}
		}
	}
	r.absent(absent)
	if e.Name == "" && !unknown["name"] {
		e.Name = baseName(r.name)
	}
	wrong := map[string]bool{} // what a rule has already found fault with; the defaults that follow from it are not to blame
	for i := range rules {
		ru := &rules[i]
		key := ru.on[0]
		if anyUnknown(ru.on...) || r.given[key] == nil && wrong[lookup(key).from] {
			continue
		}
		if msg := ru.check(e); msg != "" {
			wrong[key] = true
			var at *token.Token
			for _, k := range ru.on {
				if v := r.given[k]; v != nil {
					at = v.toks[choice[k]]
					break
				}
			}
			r.fail(at, "%s%s", msg, r.where(choice, ru.on))
		}
	}
}

// where names the point of a product that an error depends on: the values of those of the keys that are swept.
func (r *reader) where(choice map[string]int, keys []string) string {
	var s []Swept
	for _, k := range keys {
		if i, ok := choice[k]; ok {
			s = append(s, Swept{k, render(r.given[k].alternatives[i])})
		}
	}
	if len(s) == 0 {
		return ""
	}
	return " (where " + Label(s) + ")"
}

// absent reports the sections that hold the given required keys.
func (r *reader) absent(paths []string) {
	for len(paths) > 0 {
		sec, _, _ := strings.Cut(paths[0], ".")
		var keys []string
		for len(paths) > 0 && strings.HasPrefix(paths[0], sec+".") {
			keys = append(keys, strings.TrimPrefix(paths[0], sec+"."))
			paths = paths[1:]
		}
		r.fail(nil, "the section %s is missing; it needs %s", sec, strings.Join(keys, ", "))
	}
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
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && (c >= '0' && c <= '9' || strings.ContainsRune("-_./", c))
		simple = simple && ok
	}
	if simple && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "nan", "inf", "y", "n"}, strings.ToLower(s)) {
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
