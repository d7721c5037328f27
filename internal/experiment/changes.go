package experiment

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Keys are the keys of an experiment that say what is computed, and their values as text.
func (e Experiment) Keys() map[string]string {
	keys := map[string]string{}
	e.each(func(f *field, v any) {
		if f.path != "name" && f.path != "description" && !strings.HasPrefix(f.path, "sweep.") {
			keys[f.path] = render(v)
		}
	})
	return keys
}

// Keys are the keys of all points; one whose values differ has the list of them.
func (f *File) Keys() map[string]string {
	keys := f.points[0].Experiment.Keys()
	if len(f.points) == 1 {
		return keys
	}
	lists, seen := map[string][]string{}, map[[2]string]bool{}
	for _, p := range f.points {
		for k, v := range p.Map() {
			if pair := [2]string{k, v}; !seen[pair] {
				seen[pair] = true
				lists[k] = append(lists[k], v)
			}
		}
	}
	for k, l := range lists {
		keys[k] = "[" + strings.Join(l, ", ") + "]"
	}
	return keys
}

// Changes lists the keys that differ, in the order of the schema and then of the alphabet, as "richness: 1 → 2".
func Changes(before, after map[string]string) []string {
	var all []string
	for i := range fields {
		all = append(all, fields[i].path)
	}
	both := maps.Clone(before)
	if both == nil {
		both = map[string]string{}
	}
	maps.Copy(both, after)
	for _, k := range slices.Sorted(maps.Keys(both)) {
		if !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	var out []string
	for _, k := range all {
		a, had := before[k]
		b, has := after[k]
		switch {
		case had && has && a != b:
			out = append(out, fmt.Sprintf("%s: %s → %s", k, short(a), short(b)))
		case had && !has:
			out = append(out, fmt.Sprintf("%s: %s → not there", k, short(a)))
		case has && !had:
			out = append(out, fmt.Sprintf("%s: not there → %s", k, short(b)))
		}
	}
	return out
}

// short cuts a value to what fits in a sentence.
func short(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
