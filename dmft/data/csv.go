package data

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"gonum.org/v1/gonum/mat"
)

// table is what a file holds: rows of numbers, and classes when they were asked for.
type table struct {
	m      *mat.Dense // nil when there are classes alone
	labels []string   // of every row
	header bool
	notes  []string
	// rounding is how far a row that sums to one may be from it, by the digits that are written.
	rounding []float64
}

// csvOptions say how a file is read.
type csvOptions struct {
	classes bool  // the last column holds classes, numbers or words
	digits  bool  // how well rows can sum to one is wanted
	memory  int64 // most bytes to take; 0 is no limit
}

// The separators, in the order in which they are looked for: a comma beside a semicolon is a decimal comma, a blank
// beside a comma is only layout.
var separators = []struct {
	c    byte
	name string
}{{';', "semicolons"}, {'\t', "tabs"}, {',', "commas"}, {' ', "blanks"}}

// missing are the ways to write that there is no value, in lower case.
var missing = map[string]bool{"": true, "na": true, "n/a": true, "#n/a": true, "<na>": true, "#na": true, "nan": true,
	"-nan": true, "+nan": true, "null": true, "none": true, "nil": true, "nat": true, "?": true,
	"-": true, ".": true, "missing": true}

func isMissing(f string) bool { return len(f) <= 7 && missing[strings.ToLower(f)] }

// number reads a number as programs write it into files: Go's own underscores between digits and hexadecimal digits are
// none.
func number(f string) (float64, error) {
	if strings.ContainsAny(f, "_xXpP") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(f, 64)
}

// isNumber says whether a field is a number, or meant as one: digits with decimal commas, separators of thousands,
// signs of currencies, dates.
func isNumber(f string) bool {
	if _, err := number(f); err == nil || errors.Is(err, strconv.ErrRange) {
		return !isMissing(f)
	}
	digits, before := false, ' '
	for _, c := range f {
		switch {
		case c >= '0' && c <= '9':
			digits = true
		case strings.ContainsRune("eEdD", c) && (before >= '0' && before <= '9' || before == '.'): // an exponent
		case !strings.ContainsRune("+-.,'_:/|& %$€£−\u00a0\u202f", c):
			return false
		}
		before = c
	}
	return digits
}

// A csvReader splits text into lines and fields.
type csvReader struct {
	r        *bufio.Reader
	line     int // number of the last one read, from 1
	sep      byte
	sepName  string // "" when none was found
	cr       bool   // lines end in carriage returns alone
	limit    int64  // of memory in bytes
	bytes    int64  // read so far
	comments int
	blank    int // number of an empty line in front of the last one read, 0 when there is none
	fields   []string
}

const csvSample = 1 << 16 // bytes that are looked at to find the separator

// newCSVReader looks at the beginning of a text.
func newCSVReader(r io.Reader, memory int64, note func(string, ...any)) (*csvReader, error) {
	c := &csvReader{r: bufio.NewReaderSize(r, csvSample), limit: memory}
	head, err := c.r.Peek(csvSample)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		note("a byte-order mark is skipped")
		if _, err := c.r.Discard(3); err != nil {
			return nil, err
		}
		head = head[3:]
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, errors.New("the text is UTF-16; save it as UTF-8 (in Excel: CSV UTF-8)")
	}
	whole := head
	// The sample can end within a letter.
	for i := 0; i < utf8.UTFMax && len(head) == csvSample && !utf8.Valid(whole); i++ {
		whole = head[:len(head)-i]
	}
	if !utf8.Valid(whole) {
		note("the text is not UTF-8 but perhaps Latin-1: letters beyond ASCII are shown as \uFFFD")
	}
	if bytes.IndexByte(head, 0) >= 0 {
		return nil, errors.New("there are zero bytes in it: it is not a text file of numbers")
	}
	if bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(head, '\r') >= 0 {
		c.cr = true
		head = bytes.ReplaceAll(head, []byte("\r"), []byte("\n"))
	}
	// Excel writes the separator into a line of its own.
	first, _, _ := strings.Cut(string(head[:min(len(head), 12)]), "\n")
	first = strings.Trim(strings.TrimRight(first, "\r"), `"`)
	if s, ok := strings.CutPrefix(first, "sep="); ok && len(s) == 1 {
		if _, err := c.text(); err != nil {
			return nil, err
		}
		for _, x := range separators {
			if x.c == s[0] {
				c.sep, c.sepName = x.c, x.name
			}
		}
		if c.sep == 0 {
			return nil, fmt.Errorf("line 1: the separator %q is not understood; use commas, semicolons, tabs or blanks", s)
		}
		note("line 1 names the separator and is skipped")
		return c, nil
	}
	// The second line that says something is no header; a header may hold anything.
	var line string
	for n, rest := 0, string(head); n < 2 && rest != ""; {
		var l string
		l, rest, _ = strings.Cut(rest, "\n")
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			n, line = n+1, l
		}
	}
	c.sep = ','
	outside := unquoted(line)
	for _, x := range separators {
		if !strings.Contains(outside, string(x.c)) {
			continue
		}
		if x.c == '\t' && tabsAreLayout(outside) {
			continue
		}
		c.sep, c.sepName = x.c, x.name
		break
	}
	return c, nil
}

// unquoted is a line without what is between quotes.
func unquoted(line string) string {
	if strings.IndexByte(line, '"') < 0 {
		return line
	}
	var b strings.Builder
	for i, s := range strings.Split(line, `"`) {
		if i%2 == 0 {
			b.WriteString(s)
		}
	}
	return b.String()
}

// tabsAreLayout says whether every tab of a line follows a comma or another blank.
func tabsAreLayout(line string) bool {
	for i := range len(line) {
		if line[i] == '\t' && (i == 0 || !strings.ContainsRune(",\t ", rune(line[i-1]))) {
			return false
		}
	}
	return strings.Contains(line, ",")
}

// text reads a line, without its end.
func (c *csvReader) text() (string, error) {
	var long []byte
	end := byte('\n')
	if c.cr {
		end = '\r'
	}
	for {
		b, err := c.r.ReadSlice(end)
		c.bytes += int64(len(b))
		if err == bufio.ErrBufferFull {
			if long = append(long, b...); c.limit > 0 && int64(len(long)) > c.limit/8 {
				return "", fmt.Errorf("line %d has more than %s of text without an end, too much for the memory "+
					"limit of %s: it is no table of numbers", c.line+1, size(float64(len(long))), size(float64(c.limit)))
			}
			continue
		}
		if c.limit > 0 && c.bytes/16 > c.limit {
			return "", fmt.Errorf("line %d: more than %s of text, too much for the memory limit of %s", c.line+1,
				size(float64(c.bytes)), size(float64(c.limit)))
		}
		if err != nil && (err != io.EOF || len(b)+len(long) == 0) {
			return "", err
		}
		c.line++
		if long != nil {
			b = append(long, b...)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
}

// next reads a line that says something into fields, which are valid until the next call, and returns its number.
func (c *csvReader) next() ([]string, int, error) {
	c.blank = 0
	for {
		s, err := c.text()
		if err != nil {
			return nil, 0, err
		}
		n := c.line
		t := strings.TrimSpace(s)
		switch {
		case t == "":
			c.blank = n
			continue
		case t[0] == '#':
			c.comments++
			continue
		case strings.IndexByte(t, '"') < 0:
			c.split(s)
			return c.fields, n, nil
		}
		for { // quotes may hold separators and ends of lines
			closed, err := c.splitQuoted(s)
			if err != nil {
				return nil, n, fmt.Errorf("line %d, %w", n, err)
			}
			if closed {
				return c.fields, n, nil
			}
			more, err := c.text()
			if err == io.EOF || c.line-n > 100 {
				return nil, n, fmt.Errorf("line %d: a quote is not closed", n)
			}
			if err != nil {
				return nil, n, err
			}
			s += "\n" + more
		}
	}
}

// splitQuoted splits a line in which fields may be between quotes, a doubled quote standing for one; closed says
// whether the last one ends.
func (c *csvReader) splitQuoted(s string) (closed bool, err error) {
	c.fields = c.fields[:0]
	skip := func() { // the blanks around a field
		for s != "" && s[0] != c.sep && (s[0] == ' ' || s[0] == '\t') {
			s = s[1:]
		}
	}
	if c.sep == ' ' {
		s = strings.TrimSpace(strings.ReplaceAll(s, "\t", " "))
	}
	for {
		skip()
		if s == "" || s[0] != '"' {
			i := strings.IndexByte(s, c.sep)
			if i < 0 {
				c.fields = append(c.fields, strings.TrimSpace(s))
				return true, nil
			}
			if c.fields = append(c.fields, strings.TrimSpace(s[:i])); c.sep == ' ' {
				s = strings.TrimLeft(s[i:], " ")
			} else {
				s = s[i+1:]
			}
			continue
		}
		var b strings.Builder
		for s = s[1:]; ; s = s[1:] {
			i := strings.IndexByte(s, '"')
			if i < 0 {
				return false, nil
			}
			b.WriteString(s[:i])
			if s = s[i+1:]; s == "" || s[0] != '"' {
				break
			}
			b.WriteByte('"')
		}
		c.fields = append(c.fields, strings.TrimSpace(b.String()))
		skip()
		switch {
		case s == "":
			return true, nil
		case s[0] != c.sep:
			return false, fmt.Errorf("field %d: there is %q behind its closing quote", len(c.fields), short(s))
		case c.sep == ' ':
			s = strings.TrimLeft(s, " ")
		default:
			s = s[1:]
		}
	}
}

func (c *csvReader) split(s string) {
	c.fields = c.fields[:0]
	if c.sep == ' ' {
		for f := range strings.FieldsSeq(s) {
			c.fields = append(c.fields, f)
		}
		return
	}
	for {
		i := strings.IndexByte(s, c.sep)
		if i < 0 {
			c.fields = append(c.fields, strings.TrimSpace(s))
			return
		}
		c.fields, s = append(c.fields, strings.TrimSpace(s[:i])), s[i+1:]
	}
}

// allEmpty says whether a line has separators and nothing else, as spreadsheets write below a table.
func allEmpty(f []string) bool {
	for _, s := range f {
		if s != "" {
			return false
		}
	}
	return true
}

// isHeader says whether a line names columns: none of its fields is a number or empty. That of an index may have no
// name, and a separator may end the line.
func isHeader(f []string) bool {
	if len(f) > 1 && f[len(f)-1] == "" {
		f = f[:len(f)-1]
	}
	if len(f) > 1 && f[0] == "" {
		f = f[1:]
	}
	named := false
	for _, s := range f {
		if s == "" || isNumber(s) {
			return false
		}
		named = named || !isMissing(s)
	}
	return named
}

// counts says whether fields are 0, 1, 2 …, as pandas calls columns that have no names.
func counts(f []string) bool {
	for i, s := range f {
		if s != strconv.Itoa(i) {
			return false
		}
	}
	return len(f) > 0
}

// indexName says whether a column is called as pandas and R call that of an index, which has no name, and pandas when
// it has read one back.
func indexName(s string) bool { return s == "" || strings.HasPrefix(s, "Unnamed: ") }

// csvParser makes a table of lines.
type csvParser struct {
	csvOptions
	*csvReader
	table
	names    []string // of columns, or nil
	cols     int      // fields of a line, without an end that is empty
	trailing bool     // a separator ends every line
	index    int      // columns in front that are an index
	indexes  []string // the values of the index, of the last of its columns
	words    bool     // are in the index
	float    []bool   // columns that are written as fractions in every row but the first
	data     []float64
	rows     int
	empty    int // lines with nothing but separators
	blanks   int // empty lines between rows
	firstOne int // of them
}

// parseCSV reads rows of numbers from a text: separated by commas, semicolons, tabs or blanks, after an optional
// header, with or without an index column in front. What it skips, it notes.
func parseCSV(r io.Reader, o csvOptions) (*table, error) {
	p := &csvParser{csvOptions: o}
	note := func(format string, args ...any) { p.notes = append(p.notes, fmt.Sprintf(format, args...)) }
	var err error
	if p.csvReader, err = newCSVReader(r, o.memory, note); err != nil {
		return nil, err
	}
	f, at, err := p.next()
	if err == io.EOF {
		return nil, errors.New("no rows of numbers")
	}
	if err != nil {
		return nil, err
	}
	first := append([]string(nil), f...)
	second, at2, err := p.next()
	if err != nil && err != io.EOF {
		return nil, err
	}
	pending, lines, blanks := [][]string{first}, []int{at}, []int{0}
	if err == nil {
		pending, lines, blanks = append(pending, append([]string(nil), second...)), append(lines, at2),
			append(blanks, p.blank)
	}
	p.names = p.header1(pending)
	if p.names != nil {
		pending, lines, blanks = pending[1:], lines[1:], blanks[1:]
		p.header = true
		if len(p.names) > 0 {
			note("line %d is a header, %s", at, list(p.names))
		}
	}
	for i, f := range pending {
		p.blank = blanks[i]
		if err := p.row(f, lines[i]); err != nil {
			return nil, err
		}
	}
	for err != io.EOF {
		if f, at, err = p.next(); err != nil {
			if err != io.EOF {
				return nil, err
			}
			break
		}
		if e := p.row(f, at); e != nil {
			return nil, e
		}
	}
	return p.finish(note)
}

// header1 decides what the first of the first two lines is: the names of columns, or nil when it is a row.
func (p *csvParser) header1(lines [][]string) []string {
	f := lines[0]
	named := isHeader(f) || len(f) > 1 && f[0] == "" && counts(f[1:])
	if n := len(f); named && p.classes && len(lines) > 1 {
		// A column of words alone begins with its name or with a class; finish knows which.
		named = n > 1 || len(lines[1]) != 1 || isNumber(lines[1][0])
	} else if p.classes && n == 1 {
		named = false
	}
	if !named {
		return nil
	}
	if len(f) > 1 && f[len(f)-1] == "" && (len(lines) < 2 || len(lines[1]) == len(f)) {
		f = f[:len(f)-1]
	}
	for p.index < len(f)-1 && indexName(f[p.index]) {
		p.index++
	}
	if len(lines) > 1 && len(lines[1]) == len(f)+1 && lines[1][len(f)] != "" {
		p.index = 1 // that of R
		f = append([]string{""}, f...)
	}
	return f
}

// column says which field of a line it is that is wrong.
func (p *csvParser) column(line, k int) string {
	s := fmt.Sprintf("line %d, field %d", line, k+1)
	if k < len(p.names) && p.names[k] != "" {
		s += fmt.Sprintf(" (%s)", short(p.names[k]))
	}
	return s
}

// row takes a line of numbers.
func (p *csvParser) row(f []string, line int) error {
	if p.cols == 0 {
		p.cols = len(f)
		if p.cols > 1 && f[p.cols-1] == "" && len(p.names) != p.cols {
			p.trailing = true
			p.cols--
		}
		if p.names != nil && len(p.names) != p.cols {
			return fmt.Errorf("line %d has %d fields and the header %d names; fields are separated by %s", line, p.cols,
				len(p.names), p.separator())
		}
		p.float = make([]bool, p.cols)
		for k := range p.float {
			p.float[k] = true
		}
	}
	if len(f) > 1 && allEmpty(f) {
		p.empty++
		return nil
	}
	if p.trailing {
		if n := len(f); n == p.cols+1 && f[n-1] != "" {
			return fmt.Errorf("line %d has a field %d, which is empty in the lines before: a missing value; remove "+
				"or impute those rows", line, n)
		} else if n == p.cols+1 {
			f = f[:p.cols]
		}
	}
	if len(f) != p.cols {
		return fmt.Errorf("line %d has %d fields, the lines before have %d; fields are separated by %s", line, len(f),
			p.cols, p.separator())
	}
	if p.blank > 0 && p.rows > 0 {
		if p.cols == 1 {
			return fmt.Errorf("line %d is empty, between others of one value each: a missing value; remove or impute "+
				"the row", p.blank)
		}
		if p.blanks++; p.blanks == 1 {
			p.firstOne = p.blank
		}
	}
	rounding := 0.
	for k, s := range f {
		if k < p.index {
			if k == p.index-1 {
				p.words = p.words || !isNumber(s)
				if p.indexes = append(p.indexes, strings.Clone(s)); p.words {
					p.indexes = p.indexes[:min(len(p.indexes), 3)]
				}
			}
			continue
		}
		if isMissing(s) {
			what := strconv.Quote(s)
			if s == "" {
				what = "empty"
			}
			return fmt.Errorf("%s is %s: a missing value; remove or impute the row", p.column(line, k), what)
		}
		if p.classes && k == p.cols-1 {
			p.labels = append(p.labels, strings.Clone(s))
			continue
		}
		v, err := number(s)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return fmt.Errorf("%s: %s is beyond the range of float64", p.column(line, k), short(s))
		case err != nil:
			return fmt.Errorf("%s: %q is not a number; %s%s", p.column(line, k), short(s), p.advice(s, k), p.noHeader(f))
		case math.IsInf(v, 0):
			return fmt.Errorf("%s is %s, and numbers must be finite; remove or impute the row", p.column(line, k), s)
		}
		if p.rows > 0 && p.float[k] {
			p.float[k] = strings.ContainsAny(s, ".eE")
		}
		if p.digits {
			rounding += ulp(s)
		}
		p.data = append(p.data, v)
	}
	if p.digits {
		p.rounding = append(p.rounding, rounding)
	}
	p.rows++
	// 8 bytes a number, and as many and a quarter more while the list grows
	if need := 18*float64(len(p.data)) + 32*float64(len(p.labels)+len(p.indexes)); p.memory > 0 &&
		need > float64(p.memory) {
		return fmt.Errorf("line %d: the %d numbers up to here take %s to read, and the memory limit is %s; choose "+
			"rows before, or raise the limit (--memory)", line, len(p.data), size(need), size(float64(p.memory)))
	}
	return nil
}

// ulp is half a unit of the last digit after the point, zero where there is none.
func ulp(s string) float64 {
	mantissa, exp, _ := strings.Cut(strings.ToLower(s), "e")
	_, digits, ok := strings.Cut(mantissa, ".")
	if !ok && exp == "" {
		return 0
	}
	e, _ := strconv.Atoi(exp)
	return 0.5 * math.Pow(10, float64(e-len(digits)))
}

func (p *csvParser) separator() string {
	if p.sepName == "" {
		return "commas, semicolons, tabs or blanks, and none was found"
	}
	return p.sepName
}

// advice is what to do about a field that is no number.
func (p *csvParser) advice(s string, k int) string {
	switch {
	case p.sepName == "" && p.cols == 1 && strings.ContainsAny(s, "|:/&"):
		return "fields are separated by " + p.separator()
	case isNumber(s) && strings.ContainsRune(s, ','):
		return "numbers have a decimal point, and no separators of thousands (1234.5)"
	case isNumber(s) && strings.ContainsAny(s, " \t"):
		return fmt.Sprintf("fields are separated by %s here", p.separator())
	case isNumber(s):
		return "numbers are written as 1234.5 or 1.2345e3"
	case k == p.cols-1:
		return "for classes give data.encoding (one-hot, sign, label); fields are separated by " + p.separator()
	}
	return fmt.Sprintf("replace words by numbers, or remove the column; fields are separated by %s", p.separator())
}

// noHeader says of the first row, when it has words, why it is not taken for a header.
func (p *csvParser) noHeader(f []string) string {
	if p.rows > 0 || p.header || len(f) < 2 {
		return ""
	}
	for k, s := range f {
		switch {
		case s == "":
			return fmt.Sprintf(" (the line is no header, since its field %d is empty)", k+1)
		case isNumber(s) || isMissing(s):
			return fmt.Sprintf(" (the line is no header, since its field %d is %s)", k+1, short(s))
		}
	}
	return ""
}

// finish makes the table.
func (p *csvParser) finish(note func(string, ...any)) (*table, error) {
	width := p.cols - p.index
	if p.classes {
		width--
	}
	if p.rows > 1 && !p.header && width > 0 && p.numberHeader(width, note) {
		p.data, p.rows, p.header = p.data[width:], p.rows-1, true
		if p.classes {
			p.labels = p.labels[1:]
		}
		if p.rounding != nil {
			p.rounding = p.rounding[1:]
		}
	}
	// The name of the column, or a class.
	if l := p.labels; p.classes && p.cols == 1 && !p.header && len(l) > 1 && !isNumber(l[0]) {
		again := false
		for _, s := range l[1:] {
			again = again || s == l[0]
		}
		if !again {
			note("line 1 is a header, %s", short(l[0]))
			p.labels, p.rows, p.header = l[1:], p.rows-1, true
			if p.rounding != nil {
				p.rounding = p.rounding[1:]
			}
		}
	}
	if p.rows == 0 || width < 0 || width == 0 && !p.classes {
		return nil, errors.New("no rows of numbers")
	}
	if p.trailing {
		note("a separator ends every line, and no field follows it")
	}
	if p.comments > 0 {
		note("lines that begin with # are skipped: %d", p.comments)
	}
	if p.empty > 0 {
		note("lines with nothing but separators are skipped: %d", p.empty)
	}
	if p.blanks > 0 {
		note("empty lines between rows are skipped, the first is line %d", p.firstOne)
	}
	if err := p.indexColumn(note); err != nil {
		return nil, err
	}
	if p.index == 0 && width > 1 && p.rows > 2 {
		counting := true
		for i := 0; i < p.rows && counting; i++ {
			counting = p.data[i*width] == float64(i)
		}
		if counting {
			note("column 1 counts the rows, 0, 1, 2, …, and is taken for an input; if it is an index, write the file " +
				"without it (in pandas: index=False)")
		}
	}
	if width > 0 {
		p.m = mat.NewDense(p.rows, width, p.data)
	}
	return &p.table, nil
}

// numberHeader says whether the first row is the numbers of columns that pandas writes as a header. Three or more
// columns 0, 1, 2 … above one in which every number is written as a fraction are; fewer, or above whole numbers, may as
// well be a point.
func (p *csvParser) numberHeader(width int, note func(string, ...any)) bool {
	for k := range width {
		if p.data[k] != float64(k) || math.Signbit(p.data[k]) {
			return false
		}
	}
	if p.classes && p.labels[0] != strconv.Itoa(width) {
		return false
	}
	fraction := false
	for k := range width {
		fraction = fraction || p.float[k]
	}
	n := p.cols
	if fraction && n > 2 {
		note("line 1 is a header, the numbers of columns 0 to %d", n-1)
		return true
	}
	if n > 1 {
		note("line 1 counts columns, 0 to %d, and is taken for a point; if it is a header, write the file without it "+
			"(in pandas: header=False)", n-1)
	}
	return false
}

// indexColumn says what became of the columns in front without a name.
func (p *csvParser) indexColumn(note func(string, ...any)) error {
	if p.index == 0 {
		return nil
	}
	which := fmt.Sprintf("column %d", p.index)
	if p.index > 1 {
		which = fmt.Sprintf("what is in columns 1 to %d", p.index)
	}
	examples := p.indexes[:min(len(p.indexes), 3)]
	if !p.words {
		seen := make(map[string]bool, len(p.indexes))
		for _, s := range p.indexes {
			v, err := number(s)
			if err != nil || v != math.Trunc(v) || seen[s] {
				return fmt.Errorf("%s has no name, and %s is not of an index, which would be distinct whole numbers "+
					"or words; give the column a name or remove it", which, short(s))
			}
			seen[s] = true
		}
	}
	note("%s (%s, …) without a name is taken for an index and skipped", which, strings.Join(examples, ", "))
	return nil
}

// list is some of the names.
func list(names []string) string {
	const most = 6
	var s []string
	for _, n := range names[:min(len(names), most)] {
		s = append(s, short(n))
	}
	if len(names) > most {
		s = append(s, fmt.Sprintf("… (%d names)", len(names)))
	}
	return strings.TrimPrefix(strings.Join(s, ", "), ", ")
}

// short is a text that fits into a message.
func short(s string) string {
	const most = 40
	s = strings.ToValidUTF8(s, "\uFFFD")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
