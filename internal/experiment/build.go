package experiment

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"

	"github.com/james-bowman/sparse"
	"gonum.org/v1/gonum/mat"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/dmft/finite"
	"github.com/seed39b58f2d/dmft/dmft/fluctuation"
	"github.com/seed39b58f2d/dmft/ode"
)

// What losses ask of targets, as a data source and a reader know it.
var (
	expected    = map[dmft.Targets]string{dmft.OneHotTargets: data.Distributions, dmft.SignTargets: data.Signs}
	targetWords = map[dmft.Targets]string{dmft.OneHotTargets: "one-hot targets", dmft.SignTargets: "targets −1 and +1"}
)

// Load makes the points of the experiment; files are relative to base. They take at most so many bytes of memory; 0 is
// no limit.
func (e Experiment) Load(base string, memory int64) (*data.Set, error) {
	d := e.Data
	expect := expected[(dmft.Loss{Kind: dmft.LossKind(e.Training.Loss)}).Targets()]
	return data.Load(data.Spec{
		Source: d.Source, Path: d.Path, Inputs: d.Inputs, Targets: d.Targets, TestInputs: d.TestInputs,
		TestTargets: d.TestTargets,
		Classes:     d.Classes, Train: d.Train, Test: d.Test, Seed: d.Seed, Normalize: d.Normalize, Encoding: d.Encoding,
		Dimension: d.Dimension, Degree: d.Degree, Polynomial: d.Polynomial, Width: d.Width, Activation: d.Activation,
		Index: d.Index, Modulus: d.Modulus, Outputs: d.Outputs, Noise: d.Noise,
		Expect: expect, Memory: memory,
	}, base)
}

// Problem is the problem of the experiment on its points.
func (e Experiment) Problem(set *data.Set) (*dmft.Problem, error) {
	t, m := e.Training, e.Method()
	return &dmft.Problem{
		Data: set.Data(),
		Network: dmft.Network{Kind: dmft.Kind(e.Network.Kind), Depth: e.Network.Depth, Activation: e.Network.Activation,
			Branch: dmft.Branch{Beta: e.Network.Beta, Exponent: e.Network.Exponent, Rate: e.Network.Rate}, Bias: e.Network.Bias},
		Richness: e.Richness,
		Training: dmft.Training{Method: m, Steps: t.Steps,
			Loss:  dmft.Loss{Kind: dmft.LossKind(t.Loss), Mean: t.Reduction == "mean"},
			Batch: dmft.Batch{Size: t.BatchSize, Seed: t.BatchSeed}, Centred: t.Centred,
			Rates: dmft.Rates{Input: t.RateInput, Hidden: t.RateHidden, Readout: t.RateReadout}},
	}, nil
}

// Method is how time passes.
func (e Experiment) Method() ode.Method {
	t := e.Training
	m := ode.Method{Kind: ode.Kind(t.Optimizer), LearningRate: t.LearningRate, Momentum: t.Momentum,
		WeightDecay: t.WeightDecay, Tolerance: t.Tolerance}
	if t.Optimizer == flow {
		m.Kind = ode.Kind(t.Integrator)
	} else {
		m.Schedule = ode.Schedule{Kind: ode.ScheduleKind(t.Schedule.Kind), Warmup: t.Schedule.Warmup,
			Every: t.Schedule.Every, Factor: t.Schedule.Factor, Final: t.Schedule.Final}
	}
	return m
}

// TheorySettings are the settings of the theory.
func (e Experiment) TheorySettings() dmft.Settings {
	t := e.Theory
	return dmft.Settings{Method: dmft.Approximation(t.Method), Samples: t.Samples, Blocks: t.Blocks, Seed: t.Seed,
		Tolerance: t.Tolerance, Error: t.Error, Depths: t.Depths,
		Sampling: dmft.Sampling(t.Sampling), Space: space(t.Sites), Run: dmft.Run{Record: e.record()}}
}

// FluctuationSettings are the settings of the fluctuations of finite width; kernels is at how many times those of
// kernels are kept.
func (e Experiment) FluctuationSettings(kernels int) fluctuation.Settings {
	return fluctuation.Settings{Samples: e.Theory.Samples, Blocks: e.Theory.Blocks, Seed: e.Theory.Seed, Kernels: kernels}
}

// SimulationProblem is the problem that finite networks of a width train. It differs from that of the theory when that
// is infinitely deep, and when simulation.parametrization or simulation.branch_exponent say so.
func (e Experiment) SimulationProblem(p *dmft.Problem, width int) (*dmft.Problem, error) {
	s, q := e.Simulation, *p
	if e.Network.Depth == Infinite {
		q.Network.Depth = s.Depth
	}
	if q.Network.Kind == dmft.ResNet {
		q.Network.Branch = q.Network.Branch.WithExponent(s.Exponent, s.BaseDepth)
	}
	return dmft.Parametrization(s.Parametrization).AtWidth(&q, width, s.BaseWidth)
}

// SimulationSettings are the settings of the finite networks of one width.
func (e Experiment) SimulationSettings(width int) finite.Settings {
	s := e.Simulation
	return finite.Settings{Width: width, Seeds: s.Seeds, Seed: s.Seed, Precision: finite.Precision(s.Precision),
		Space: space(s.Sites), Run: dmft.Run{Record: e.record()}}
}

func (e Experiment) record() dmft.Record {
	r := dmft.Record{Every: e.Record.Every, Kernels: e.Record.Kernels, Preactivations: e.Record.Preactivations}
	if r.TwoTime = e.Record.TwoTime; r.TwoTime == AllKernels {
		r.TwoTime = math.MaxInt
	}
	switch e.Record.Kernels {
	case AutoKernels:
		r.Kernels, r.AutoKernels = 0, true
	case AllKernels:
		r.Kernels = math.MaxInt
	}
	return r
}

func space(sites string) dmft.Space {
	if sites == "auto" {
		return dmft.AutoSpace
	}
	return dmft.Space(sites)
}

// DataHash identifies the points themselves, so that a run folder notices when a data file has changed.
func DataHash(set *data.Set) string {
	h := sha256.New()
	for _, m := range []mat.Matrix{set.Inputs, set.Targets, set.TestInputs, set.TestTargets} {
		switch m := m.(type) {
		case nil:
		case *sparse.CSR:
			raw := m.RawMatrix()
			for _, list := range [][]int{raw.Indptr, raw.Ind} {
				for _, v := range list {
					writeBits(h, uint64(v))
				}
			}
			for _, v := range raw.Data {
				writeBits(h, math.Float64bits(v))
			}
		case *mat.Dense:
			if m == nil {
				continue
			}
			r, c := m.Dims()
			writeBits(h, uint64(r)<<32|uint64(c))
			buf := make([]byte, 0, 8*c)
			for i := range r {
				buf = buf[:0]
				for _, v := range m.RawRowView(i) {
					buf = binary.LittleEndian.AppendUint64(buf, math.Float64bits(v))
				}
				h.Write(buf)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

func writeBits(h hash.Hash, v uint64) { _ = binary.Write(h, binary.LittleEndian, v) }
