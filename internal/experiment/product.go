package experiment

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/token"
)

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
	// what a rule has already found fault with; the defaults that follow from it are not to blame
	wrong := map[string]bool{}
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
