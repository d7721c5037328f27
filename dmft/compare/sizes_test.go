package compare

import "testing"

// TestTooSmall: the sizes that are too small are those below the one that is asked for.
func TestTooSmall(t *testing.T) {
	c := &Convergences{Sizes: []int{32, 64, 128}}
	for least, want := range map[int]string{50: "N = 32 is too small", 75: "N = 32, 64 are too small",
		500: "N = 32, 64, 128 are too small"} {
		if got := c.tooSmall(least); got != want {
			t.Errorf("%d: %s", least, got)
		}
	}
}
