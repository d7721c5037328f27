package experiment

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
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
)

// A File is a parsed experiment file: the product of the lists in it.
type File struct {
	Name   string
	Source []byte // its text
	points []Point
}

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
		case token.TagType, token.AnchorType, token.AliasType, token.MappingKeyType, token.MappingValueType,
			token.SequenceEntryType, token.MergeKeyType:
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
