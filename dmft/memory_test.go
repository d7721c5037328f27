package dmft_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/ode"
)

// gauge keeps nothing: it measures the live memory at every checkpoint, when the encoder holds what it has encoded,
// too.
type gauge struct {
	most, largest uint64
	saves         int
}

func (*gauge) Load(string) ([]byte, bool, error) { return nil, false, nil }

func (g *gauge) Save(_ string, write func(io.Writer) error) error {
	if g.saves++; g.saves%4 != 0 {
		return nil
	}
	g.largest = 0
	return write(g)
}

func (g *gauge) Write(b []byte) (int, error) {
	if n := uint64(len(b)); n > g.largest {
		g.largest = n
		runtime.GC()
		g.most = max(g.most, live())
	}
	return len(b), nil
}

func live() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// memoryRun is one row of the table: "side kind method space".
func memoryRun(row string, g *gauge) (estimate int64, run func() error) {
	f := strings.Fields(row)
	side, kind, method, space := f[0], dmft.Kind(f[1]), ode.Kind(f[2]), dmft.Space(f[3])
	p := deep(kind, map[dmft.Kind]int{dmft.TwoLayer: 1, dmft.MLP: 4, dmft.ResNet: 6}[kind], "tanh", 1, gaussianData(5, 6, 2, 10, 1), ode.Method{Kind: method, LearningRate: 0.1}, 8)
	if method == ode.Momentum || method == ode.Nesterov {
		p.Training.Method.Momentum = 0.5
	}
	r := dmft.Run{Record: dmft.Record{Kernels: 2}, Store: g, Checkpoint: time.Nanosecond, Workers: 1}
	if side == "theory" {
		s := dmft.Settings{Samples: 1200, Blocks: 2, Space: space, Run: r}
		if kind == dmft.TwoLayer {
			s.Samples = 8000
		}
		estimate, _ = dmft.Estimate(p, s)
		return estimate, func() error { _, err := dmft.Solve(context.Background(), p, s); return err }
	}
	s := finite.Settings{Width: 100, Seeds: 2, Precision: finite.Precision(side), Space: space, Run: r}
	if kind == dmft.TwoLayer {
		s.Width = 4000
	}
	return finite.Estimate(p, s), func() error { _, err := finite.Train(context.Background(), p, s); return err }
}

// TestMemoryEstimate: what a run holds at its checkpoints is within what was estimated before it, and not far below,
// for every kind of network, method and side. Garbage is not looked at: it comes on top, and is little where states are
// large. A process of its own measures, so that nothing that other tests still hold, or let go meanwhile, counts.
func TestMemoryEstimate(t *testing.T) {
	const alone = "DMFT_MEMORY_ALONE"
	if os.Getenv(alone) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestMemoryEstimate$", "-test.v")
		c.Env = append(os.Environ(), alone+"=1")
		out, err := c.CombinedOutput()
		if t.Logf("%s", out); err != nil || !bytes.Contains(out, []byte("of which used")) {
			t.Errorf("the process that measures: %v", err)
		}
		return
	}
	for _, side := range []string{"theory", "float64", "float32"} {
		for _, kind := range []dmft.Kind{dmft.TwoLayer, dmft.MLP, dmft.ResNet} {
			for i, method := range []ode.Kind{ode.GD, ode.Momentum, ode.Nesterov, ode.AB2, ode.AB3, ode.AB4, ode.RK4, ode.RK45} {
				if i%3 != 0 && !extended {
					continue
				}
				row := fmt.Sprintf("%s %s %s %s", side, kind, method, [2]dmft.Space{dmft.DataSpace, dmft.InputSpace}[i%2])
				g := &gauge{}
				estimate, run := memoryRun(row, g)
				runtime.GC()
				before := live()
				if err := run(); err != nil {
					t.Fatalf("%s: %v", row, err)
				}
				ratio := (float64(g.most) - float64(before)) / float64(estimate)
				t.Logf("%-36s estimate %6.2f MiB, of which used %.2f", row, float64(estimate)/(1<<20), ratio)
				if ratio > 1 || ratio < 0.25 {
					t.Errorf("%s takes %.2f of what was estimated", row, ratio)
				}
			}
		}
	}
}
