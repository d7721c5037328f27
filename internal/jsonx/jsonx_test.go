package jsonx_test

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed39b58f2d/dmft/internal/jsonx"
)

type inner struct {
	X float64   `json:"x"`
	Y []float64 `json:"y,omitempty"`
}

type named float64

type outer struct {
	inner
	P     *float64           `json:"p,omitempty"`
	M     map[string]float64 `json:"m"`
	A     [2]float64
	Any   any             `json:"any"`
	Raw   json.RawMessage `json:"raw,omitempty"`
	When  time.Time       `json:"when"`
	N     named           `json:"n"`
	F     float32         `json:"f"`
	Empty float64         `json:"empty,omitempty"`
	S     string          `json:"s"`
	Nil   []int           `json:"nil"`
}

// What is finite is encoded as encoding/json does it, so that hashes and files of earlier versions stay what they are.
func TestFinite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64().Filter(func(x float64) bool { return !math.IsInf(x, 0) && !math.IsNaN(x) })
		p := x.Draw(t, "p")
		v := outer{inner{x.Draw(t, "x"), rapid.SliceOf(x).Draw(t, "y")}, &p,
			map[string]float64{"b": x.Draw(t, "b"), "a<": 1}, [2]float64{1, p},
			map[string]any{"k": []any{p, "<é\u2028>", nil, true, 3}}, json.RawMessage(`{"z":[1]}`),
			time.Unix(1, 5).UTC(), named(p), 1.5, 0, rapid.String().Draw(t, "s"), nil}
		for _, indent := range []bool{false, true} {
			want, err := json.Marshal(v)
			got, err2 := jsonx.Marshal(v)
			if indent {
				want, err = json.MarshalIndent(v, "", "  ")
				got, err2 = jsonx.MarshalIndent(v)
			}
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
		}
	})
}

// What is not finite is null, wherever it is.
func TestNotFinite(t *testing.T) {
	nan := math.NaN()
	v := outer{inner{nan, []float64{1, math.Inf(1)}}, &nan, map[string]float64{"a": nan}, [2]float64{math.Inf(-1), 2},
		[]any{nan}, nil, time.Unix(1, 0).UTC(), named(nan), float32(nan), nan, "", nil}
	b, err := jsonx.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"x":null,"y":[1,null],"p":null,"m":{"a":null},"A":[null,2],"any":[null],"when":"1970-01-01T00:00:01Z","n":null,"f":null,"empty":null,"s":"","nil":null}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	var back outer
	if err := json.Unmarshal(b, &back); err != nil {
		t.Error(err)
	}
}
