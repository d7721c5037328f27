// Package jsonx is the one place where results are encoded as JSON. JSON has no NaN and no infinities, and a result
// that holds one must not make everything beside it unreadable: they become null.
package jsonx

import (
	"errors"
	"io"
	"math"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	v1 "github.com/go-json-experiment/json/v1"
)

// options are those of encoding/json, with null for a number of any floating-point type that is not finite. Types with
// a MarshalJSON of their own decide for themselves.
var options = json.JoinOptions(v1.DefaultOptionsV1(), json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder,
	v any) error {
	x := reflect.ValueOf(v)
	for x.Kind() == reflect.Pointer && !x.IsNil() {
		x = x.Elem()
	}
	if x.Kind() == reflect.Float64 || x.Kind() == reflect.Float32 {
		if _, own := v.(json.Marshaler); !own && (math.IsNaN(x.Float()) || math.IsInf(x.Float(), 0)) {
			return e.WriteToken(jsontext.Null)
		}
	}
	return errors.ErrUnsupported
})))

// Marshal returns the JSON of v on one line.
func Marshal(v any) ([]byte, error) { return json.Marshal(v, options) }

// MarshalIndent returns the JSON of v over several lines.
func MarshalIndent(v any) ([]byte, error) {
	return json.Marshal(v, options, jsontext.WithIndent("  "))
}

// Write writes the JSON of v over several lines and ends them.
func Write(w io.Writer, v any) error {
	b, err := MarshalIndent(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
