package highdim

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/internal/part"
	"github.com/seed39b58f2d/dmft/internal/part/parttest"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

type keptRun struct {
	name  string
	run   func(context.Context, dmft.Run) error
	parts map[string][]byte
}

func keptRuns(t testing.TB) []keptRun {
	problem := func() *Problem {
		return &Problem{Ratio: 2, Units: 2, Activation: kernels.Activation{Name: kernels.QuadraticMixName,
			Parameter: 0.5}, OutputScale: 1, Target: Target{Overlaps: [][]float64{{0.3}, {-0.2}}}}
	}
	p := problem()
	p.Training = Training{Method: ode.Method{Kind: ode.AB2, LearningRate: 0.1}, Steps: 8, Centred: true}
	p.Readout.Rate = 0.5
	plain := problem()
	plain.Training = Training{Method: ode.Method{Kind: ode.GD, LearningRate: 0.1}, Steps: 8}
	runs := map[string]func(context.Context, dmft.Run) error{
		"theory": func(c context.Context, r dmft.Run) error {
			_, err := Solve(c, p, Settings{Samples: 160, Blocks: 2, Alignments: 3, Run: r})
			return err
		},
		"responses": func(c context.Context, r dmft.Run) error {
			_, err := Solve(c, plain, Settings{Samples: 160, Blocks: 2, Responses: true, Run: r})
			return err
		},
		"simulation": func(c context.Context, r dmft.Run) error {
			_, err := Simulate(c, p, Simulation{Dimension: 8, Seeds: 2, Run: r})
			return err
		},
		"moments": func(c context.Context, r dmft.Run) error {
			_, err := SimulateMoments(c, plain, Simulation{Dimension: 8, Seeds: 2, Run: r})
			return err
		},
	}
	var out []keptRun
	for _, name := range slices.Sorted(maps.Keys(runs)) {
		for _, saves := range []int{4, 1000} {
			left := saves
			c, cancel := context.WithCancel(context.Background())
			store := &parttest.Memory{Saved: func(string) {
				if left--; left == 0 {
					cancel()
				}
			}}
			if err := runs[name](c, dmft.Run{Store: store, Checkpoint: time.Nanosecond, Workers: 1}); err != nil &&
				dmft.StopCode(err) != dmft.Interrupted {
				t.Fatal(name, err)
			}
			cancel()
			out = append(out, keptRun{name, runs[name], maps.Clone(store.Parts)})
		}
	}
	return out
}

func (k *keptRun) load(parts map[string][]byte) error {
	return k.run(context.Background(), dmft.Run{Store: &parttest.Memory{Parts: parts}, Workers: 1})
}

// TestDamagedCheckpoint: flipped bytes are an error that names the part and says what to do.
func TestDamagedCheckpoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, k := range keptRuns(t) {
		if err := k.load(maps.Clone(k.parts)); err != nil {
			t.Errorf("%s: undamaged: %v", k.name, err)
		}
		name := slices.Sorted(maps.Keys(k.parts))[0]
		for range 30 {
			parts := maps.Clone(k.parts)
			b := bytes.Clone(parts[name])
			b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
			parts[name] = b
			if err := k.load(parts); err == nil || !strings.Contains(err.Error(), name) ||
				!strings.Contains(err.Error(), "delete the run folder") {
				t.Errorf("%s: with damage to %s: %v", k.name, name, err)
			}
		}
	}
}

// FuzzCheckpoint: whatever is in a part whose checksum is right, running on from it is an error or a result, within the
// memory that the problem implies.
func FuzzCheckpoint(f *testing.F) {
	runs := keptRuns(f)
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range 300 {
		f.Add(uint8(i), rng.Uint32(), uint8(rng.Uint32()), uint8(rng.IntN(4)))
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint32, value, how uint8) {
		k := runs[int(which)%len(runs)]
		parts := maps.Clone(k.parts)
		name := slices.Sorted(maps.Keys(parts))[0]
		b := bytes.Clone(part.Body(parts[name]))
		i := int(at) % len(b)
		switch how % 4 {
		case 0:
			b[i] = value
		case 1:
			b = b[:i]
		case 2: // a long number, where a length may be
			b = slices.Insert(b, i, 0xf8, value, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		case 3:
			b = slices.Delete(b, i, min(i+int(value), len(b)))
		}
		parts[name] = part.Forge(b)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = k.load(parts)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<28 {
			t.Errorf("%s: reading %d bytes took %d", k.name, len(b), n)
		}
	})
}
