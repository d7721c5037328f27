package dmft_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/internal/part"
	"github.com/seed39b58f2d/dmft/internal/part/parttest"
	"github.com/seed39b58f2d/dmft/ode"
)

// A kept is a run of some kind with what it has kept: checkpoints in the middle, or finished parts.
type kept struct {
	name  string
	run   func(dmft.Store) error
	parts map[string][]byte
}

// keep interrupts a run after some saves. Trainings are so short that checkpoints stand at every step.
func keep(t testing.TB, name string, saves int, run func(context.Context, dmft.Run) error) kept {
	store := &parttest.Memory{}
	c, cancel := context.WithCancel(ctx)
	defer cancel()
	store.Saved = func(string) {
		if saves--; saves == 0 {
			cancel()
		}
	}
	if err := run(c, dmft.Run{Store: store, Checkpoint: time.Nanosecond, Workers: 1}); err != nil && dmft.StopCode(err) != dmft.Interrupted {
		t.Fatal(name, err)
	}
	return kept{name, func(s dmft.Store) error { return run(ctx, dmft.Run{Store: s, Workers: 1}) }, maps.Clone(store.Parts)}
}

func keptRuns(t testing.TB) []kept {
	deepTanh := func(m ode.Kind) *dmft.Problem {
		p := deep(dmft.MLP, 3, "tanh", 1, gaussianData(4, 3, 1, 3, 1), ode.Method{Kind: m, LearningRate: 0.05}, 6)
		p.Network.Bias, p.Training.Centred = 0.3, true
		return p
	}
	record := dmft.Record{Kernels: 3, TwoTime: 7, NTKReplicas: 2, Preactivations: 4}
	theory := func(c context.Context, r dmft.Run) error {
		r.Record = record
		_, err := dmft.Solve(c, deepTanh(ode.GD), dmft.Settings{Samples: 64, Blocks: 2, Run: r})
		return err
	}
	networks := func(precision finite.Precision) func(c context.Context, r dmft.Run) error {
		return func(c context.Context, r dmft.Run) error {
			r.Record = record
			_, err := finite.Train(c, deepTanh(ode.AB3), finite.Settings{Width: 6, Seeds: 3, Precision: precision, Run: r})
			return err
		}
	}
	return []kept{
		keep(t, "theory", 4, theory), keep(t, "finished theory", 1000, theory),
		keep(t, "networks", 4, networks(finite.Float64)), keep(t, "finished networks", 1000, networks(finite.Float64)),
		keep(t, "float32", 3, networks(finite.Float32)),
	}
}

// load runs on from parts, and fails the test when that is no error that says what to do, nor a result.
func (k *kept) load(t testing.TB, parts map[string][]byte) error {
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: %v", k.name, p)
			panic(p)
		}
	}()
	return k.run(&parttest.Memory{Parts: parts})
}

// TestDamagedCheckpoint: flipped and missing bytes are found wherever they are, and the error names the part and says
// what to do.
func TestDamagedCheckpoint(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, k := range keptRuns(t) {
		if err := k.load(t, maps.Clone(k.parts)); err != nil {
			t.Errorf("%s: undamaged: %v", k.name, err)
		}
		names := slices.Sorted(maps.Keys(k.parts))
		for i := range 40 {
			parts := maps.Clone(k.parts)
			name := names[0]
			b := bytes.Clone(parts[name])
			if i < 5 {
				b = b[:len(b)*i/5]
			} else {
				b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
			}
			parts[name] = b
			if err := k.load(t, parts); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "delete the run folder") {
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
		_ = k.load(t, parts)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<28 {
			t.Errorf("%s: reading %d bytes took %d", k.name, len(b), n)
		}
	})
}

// TestForeignCheckpoint: parts of other runs are no panic, and numbers of another size an error.
func TestForeignCheckpoint(t *testing.T) {
	runs := keptRuns(t)
	for _, k := range runs {
		for _, other := range runs {
			for _, body := range other.parts {
				parts := map[string][]byte{}
				for name := range k.parts {
					parts[name] = body
				}
				_ = k.load(t, parts) // an error, or a result where all sizes are the same
			}
		}
	}
	type huge struct{ F, Loss, Test, Norm, Pre []float64 }
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(huge{Loss: make([]float64, 1<<20)}); err != nil {
		t.Fatal(err)
	}
	for name := range runs[0].parts {
		if err := runs[0].load(t, map[string][]byte{name: part.Forge(b.Bytes())}); err == nil {
			t.Error("a million losses are taken for a few")
		}
	}
}
