package experiment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/seed39b58f2d/dmft/kernels"
)

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
	return slices.ContainsFunc(kernels.Bases(), func(b kernels.Base) bool {
		return b.Parameter.Many &&
			b.Parameter.Key == key
	})
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
				r.fail(start(item), "%s: the coefficient is %s; expected number%s", path, describe(item),
					cmp.Or(numberHint(item), hint))
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
