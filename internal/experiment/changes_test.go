package experiment

import (
	"slices"
	"strings"
	"testing"
)

func keysOf(t *testing.T, src string) map[string]string {
	t.Helper()
	f, err := Parse("e.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return f.Keys()
}

// TestChanges: keys that differ, in the order of the schema; names and descriptions do not count.
func TestChanges(t *testing.T) {
	const e = "data: {source: digits, classes: [0, 1], train: 6}\nnetwork: {kind: two-layer, activation: " +
		"relu}\nrichness: 1\ntraining: {learning_rate: 0.05, steps: 3}\n"
	before := keysOf(t, e)
	for _, c := range []struct{ from, to, want string }{
		{"", "", ""},
		{"richness: 1\n", "richness: 1.0\nname: other\ndescription: text\n", ""},
		{"richness: 1\n", "richness: [2, 1, 4]\n", "richness: 1 → [2, 1, 4]"},
		{"steps: 3", "steps: 4, momentum: 0.5, optimizer: momentum",
			"training.optimizer: gd → momentum|training.steps: 3 → 4|training.momentum: not there → 0.5"},
		{"activation: relu", "activation: {name: relu, gain: 2}", "network.activation: relu → {name: relu, gain: 2}"},
		{"classes: [0, 1]", "classes: [3, 8]", "data.classes: [0, 1] → [3, 8]"},
	} {
		if got := strings.Join(Changes(before, keysOf(t, strings.Replace(e, c.from, c.to, 1))), "|"); got != c.want {
			t.Errorf("%q: %s, want %s", c.to, got, c.want)
		}
	}
	if got := Changes(map[string]string{"b": "1", "a": "2"},
		map[string]string{"b": "2", "richness": strings.Repeat("x", 99)}); len(got) != 3 ||
		!slices.Equal(got[1:], []string{"a: 2 → not there", "b: 1 → 2"}) || len([]rune(got[0])) > 90 {
		t.Error(got)
	}
}
