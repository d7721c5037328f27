package experiment

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed39b58f2d/dmft/kernels"
)

// Schema documents every key in plain text.
func Schema() string {
	var b strings.Builder
	b.WriteString("Keys of an experiment file (YAML). A list in place of a single value runs the product of all lists.\n")
	section := ""
	for i := range fields {
		f := &fields[i]
		s, _, dotted := strings.Cut(f.path, ".")
		if dotted && s != section {
			fmt.Fprintf(&b, "\n%s:\n", s)
			section = s
		}
		if !dotted && section != "" {
			b.WriteString("\n")
			section = ""
		}
		fmt.Fprintf(&b, "  %s\n      %s", f.path, f.typeName())
		for _, s := range []string{f.when.doc, f.given()} {
			if s != "" {
				b.WriteString("; " + s)
			}
		}
		fmt.Fprintf(&b, "\n      %s\n", f.doc)
	}
	return b.String()
}

// given says what happens when the key is left out.
func (f *field) given() string {
	switch {
	case f.required && f.when.why != nil:
		return "required there"
	case f.required && f.choose == nil:
		return "required"
	case f.def != nil:
		if d := render(f.def); d != `""` && d != "[]" {
			return "default " + d
		}
	}
	return ""
}

// JSONSchema is the schema of experiment files for editors (JSON Schema draft 7). It knows keys, types, ranges and
// defaults; which keys go together is checked by [Parse] alone.
func JSONSchema() []byte {
	root := object("An experiment of dmft")
	for i := range fields {
		f := &fields[i]
		parts := strings.Split(f.path, ".")
		o := root
		for _, p := range parts[:len(parts)-1] {
			props := o["properties"].(map[string]any)
			if props[p] == nil {
				props[p] = object("")
			}
			o = props[p].(map[string]any)
		}
		key := parts[len(parts)-1]
		o["properties"].(map[string]any)[key] = f.jsonSchema()
		if f.required && f.choose == nil && f.when.why == nil {
			require(o, key)
			require(root, parts[0])
		}
	}
	props := root["properties"].(map[string]any)
	// `loss: mse` stands for `loss: {kind: mse}`.
	training := props["training"].(map[string]any)["properties"].(map[string]any)
	training["loss"] = map[string]any{"anyOf": []any{lookup("training.loss.kind").jsonSchema(), training["loss"]}}
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["definitions"] = map[string]any{"activation": activationSchema()}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil { // maps of texts and finite numbers
		panic(err)
	}
	return append(out, '\n')
}

func object(doc string) map[string]any {
	o := map[string]any{"type": "object", "additionalProperties": false, "properties": map[string]any{}}
	if doc != "" {
		o["description"] = doc
	}
	return o
}

// require adds a key to the required ones of an object.
func require(o map[string]any, key string) {
	have, _ := o["required"].([]string)
	if !slices.Contains(have, key) {
		o["required"] = append(have, key)
	}
}

// jsonSchema is the schema of one key.
func (f *field) jsonSchema() map[string]any {
	one := map[string]any{}
	bounds := func(o map[string]any) map[string]any {
		if f.min == 0 && f.max == 0 {
			return o
		}
		if !math.IsInf(f.min, 0) {
			o[map[bool]string{false: "minimum", true: "exclusiveMinimum"}[f.open]] = f.min
		}
		if !math.IsInf(f.max, 0) {
			o[map[bool]string{false: "maximum", true: "exclusiveMaximum"}[f.below]] = f.max
		}
		return o
	}
	integer := func() map[string]any { return bounds(map[string]any{"type": "integer"}) }
	array := func(item map[string]any) map[string]any {
		return map[string]any{"type": "array", "items": item, "minItems": 1}
	}
	switch f.at(&Experiment{}).(type) {
	case *string:
		if f.enum != nil {
			one["enum"] = f.enum
		} else { // a text such as 2026 or true needs no quotes
			one["type"] = []string{"string", "number", "boolean"}
		}
	case *int:
		one = integer()
	case *uint64:
		one = map[string]any{"type": "integer", "minimum": 0}
	case *float64:
		one = bounds(map[string]any{"type": "number"})
	case *bool:
		one["type"] = "boolean"
	case *[]int:
		if one = array(integer()); f.empty {
			one["minItems"] = 0
		}
	case *[]string:
		one = array(map[string]any{"enum": f.enum})
		one["minItems"], one["uniqueItems"] = 0, true
	case *[]float64:
		one = array(map[string]any{"type": "number"})
	case *depth:
		one["anyOf"] = []any{integer(), map[string]any{"const": "infinite"}}
	case *count:
		one["anyOf"] = []any{integer(), map[string]any{"enum": []string{"all", "auto"}}}
	case *kernels.Activation:
		one["$ref"] = "#/definitions/activation"
	}
	s := one
	if !f.list && !f.single {
		many := array(one)
		many["uniqueItems"] = true
		s = map[string]any{"anyOf": []any{one, many}}
	}
	s["description"] = f.doc
	if f.when.doc != "" {
		s["description"] = f.doc + " (" + f.when.doc + ")"
	}
	switch d := f.def.(type) {
	case nil:
	case []int:
		if d != nil {
			s["default"] = d
		}
	case []string:
		if d != nil {
			s["default"] = d
		}
	case count:
		s["default"] = render(d)
	default:
		s["default"] = d
	}
	return s
}

// activationSchema is the schema of the forms of an activation.
func activationSchema() map[string]any {
	number := map[string]any{"type": "number"}
	nonzero := map[string]any{"type": "number", "not": map[string]any{"const": 0}}
	numbers := map[string]any{"type": "array", "items": number, "minItems": 1}
	var bare []string
	short, long := object(""), object("")
	properties := map[string]any{"name": map[string]any{"enum": kernels.Names()}, "gain": nonzero, "scale": nonzero}
	for _, b := range kernels.Bases() {
		n := b.Name
		var v any = nonzero
		switch {
		case b.Parameter.Many:
			v = numbers
			properties[b.Parameter.Key] = numbers
		case b.Parameter.Key != "": // swept over by a list
			v = map[string]any{"anyOf": []any{number, numbers}}
			properties[b.Parameter.Key] = number
		default:
			bare = append(bare, n)
		}
		if !b.Parameter.Many { // several are one activation each
			v = map[string]any{"anyOf": []any{v, map[string]any{"type": "array", "items": v, "minItems": 1}}}
		}
		short["properties"].(map[string]any)[n] = v
	}
	short["minProperties"], short["maxProperties"] = 1, 1
	long["required"] = []string{"name"}
	long["properties"] = properties
	return map[string]any{"description": lookup("network.activation").doc,
		"anyOf": []any{map[string]any{"enum": bare}, short, long}}
}
