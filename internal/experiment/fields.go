package experiment

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed39b58f2d/dmft/dmft"
	"github.com/seed39b58f2d/dmft/dmft/data"
	"github.com/seed39b58f2d/dmft/kernels"
	"github.com/seed39b58f2d/dmft/ode"
)

// lossNames are the losses.
func lossNames() (names []string) {
	for _, l := range dmft.Losses() {
		names = append(names, string(l.Kind))
	}
	return names
}

func lossDoc() string {
	var s []string
	for _, l := range dmft.Losses() {
		s = append(s, string(l.Kind)+" "+l.Formula)
	}
	return strings.Join(s, "; ") + "; `loss: mse` for short. High-dimensional data have the mean of (y−f)²"
}

func activationDoc() string {
	s := "φ: one of " + strings.Join(kernels.Names(), ", ") + "; {relu: 1.4142} is a gain"
	for _, b := range kernels.Bases() {
		if b.Parameter.Key != "" {
			s += ", " + exampleForm(b) + " its " + b.Parameter.Meaning
		}
	}
	return s + "; {relu: [1, 1.4142]} is a list of two; long form {name: tanh, gain: 1.25, scale: 0.8} for gain·φ(scale·h)"
}

// A field is one key of the file.
type field struct {
	path     string
	at       func(*Experiment) any // pointer into the struct; its type is the type of the key
	required bool
	def      any                   // default where it applies, of the pointed type
	choose   func(*Experiment) any // default that depends on the key from, or nil
	from     string
	enum     []string
	min, max float64   // inclusive range of numbers; both zero: none
	open     bool      // min itself is excluded
	below    bool      // max itself is excluded
	list     bool      // the value is a list, so it is not swept over
	empty    bool      // an empty list is a value
	single   bool      // sweeping over it would compute the same thing again
	quiet    bool      // not printed at its default: it says nothing about what is computed
	when     condition // where the key applies
	doc      string
}

// brief is the first sentence of the documentation, for messages.
func (f *field) brief() string {
	first, _, _ := strings.Cut(f.doc, ". ")
	return first
}

// A condition says where a key applies. It looks at no other keys than those in on: with one of them missing or
// unreadable it is not asked, so that one mistake is not reported as several.
type condition struct {
	on  []string
	doc string                   // "with …", for the documentation
	why func(*Experiment) string // why the key does not apply, or ""
}

var inf = math.Inf(1)

// leastSignificance is far in the tails of what is tested, where the laws of test statistics that samples are compared
// with hold no longer.
const leastSignificance = 1e-9

// Conditions.
func sources(names ...string) condition {
	return condition{[]string{"data.source"}, "with source " + strings.Join(names, ", "), func(e *Experiment) string {
		if slices.Contains(names, e.Data.Source) {
			return ""
		}
		return fmt.Sprintf("the source %s does not use it", e.Data.Source)
	}}
}

// both are two conditions at once.
func both(a, b condition) condition {
	return condition{slices.Concat(a.on, b.on), a.doc + " and " + strings.TrimPrefix(b.doc, "with "),
		func(e *Experiment) string {
			if s := a.why(e); s != "" {
				return s
			}
			return b.why(e)
		}}
}

var resnetOnly = condition{[]string{"network.kind"}, "with kind resnet", func(e *Experiment) string {
	if e.Network.Kind != "resnet" {
		return "only a resnet has branches"
	}
	return ""
}}

var rescaledOnly = condition{[]string{"simulation.parametrization"}, "with parametrization ntk, standard",
	func(e *Experiment) string {
		if p := e.Simulation.Parametrization; p != "ntk" && p != "standard" {
			return "the parametrization " + p + " needs no base width"
		}
		return ""
	}}

var sampledOnly = condition{[]string{"theory.method", "theory.approximations"},
	"unless the method is lazy or frozen-features", func(e *Experiment) string {
		for _, m := range append([]string{e.Theory.Method}, e.Theory.Approximations...) {
			if m != "lazy" && m != "frozen-features" {
				return ""
			}
		}
		return "the method " + e.Theory.Method + " draws no samples"
	}}

var infiniteOnly = condition{[]string{"network.depth"}, "with network.depth infinite", func(e *Experiment) string {
	if e.Network.Depth != Infinite {
		return "the network has a finite depth"
	}
	return ""
}}

var deepOnly = condition{[]string{"theory.method", "theory.approximations", "network.depth"},
	"with network.depth above 1, unless the method draws no samples", func(e *Experiment) string {
		if e.Network.Depth == 1 {
			return "a network with one hidden layer has no hidden matrix"
		}
		return sampledOnly.why(e)
	}}

var methods = []string{"full", "lazy", "frozen-features", "leading-order", "gradient-independence"}

var (
	imageSources = []string{"digits", "mnist", "fashion-mnist", "idx", "cifar10"}
	tableSources = []string{"npy", "csv"}
	fileSources  = append(slices.Clone(tableSources), "idx")
	generators   = []string{"gaussian", "sphere", "parity", "single-index", "teacher", "kernel-eigenvector"}
	allSources   = append(data.Sources(), HighDimensional)
	labelled     = append([]string{"modular-addition"}, imageSources...)
)

// fields is every key, in the order in which it is documented, set and printed. A condition may look at fields above
// its own.
var fields = []field{
	{path: "name", at: func(e *Experiment) any { return &e.Name }, single: true,
		doc: "name of the experiment; the file name without its extension when left out"},
	{path: "description", at: func(e *Experiment) any { return &e.Description }, def: "", single: true, doc: "free text"},

	{path: "data.source", at: func(e *Experiment) any { return &e.Data.Source }, required: true, enum: allSources,
		doc: "where points come from: digits (carried by the program), image files, arrays, or a generator"},
	{path: "data.path", at: func(e *Experiment) any { return &e.Data.Path }, required: true,
		when: sources("mnist", "fashion-mnist", "cifar10"),
		doc: "folder of the data files, relative to the experiment file: the four IDX files (gzipped or not), or " +
			"data_batch_1.bin … test_batch.bin"},
	{path: "data.inputs", at: func(e *Experiment) any { return &e.Data.Inputs }, required: true,
		when: sources(fileSources...),
		doc: "file of inputs, P rows of D numbers (npy, csv) or images (idx), gzipped or not. npy: also .npz, with " +
			"#key behind the name for one of several arrays. csv: separated by commas, semicolons, tabs or blanks; a " +
			"header, an index column without a name, lines that begin with # and a byte-order mark are skipped, and " +
			"check says so; a missing value is an error"},
	{path: "data.targets", at: func(e *Experiment) any { return &e.Data.Targets }, def: "",
		when: sources(fileSources...), doc: "file of targets, P rows of C numbers (npy, csv) or labels (idx; npy, " +
			"csv with data.encoding); for csv the last column of inputs when left out"},
	{path: "data.test_inputs", at: func(e *Experiment) any { return &e.Data.TestInputs }, def: "",
		when: sources(fileSources...), doc: "the same for test points"},
	{path: "data.test_targets", at: func(e *Experiment) any { return &e.Data.TestTargets }, def: "",
		when: sources(fileSources...), doc: "the same for test points"},
	{path: "data.classes", at: func(e *Experiment) any { return &e.Data.Classes }, def: []int(nil), min: 0, max: 1e6,
		list: true, when: sources(slices.Concat(tableSources, imageSources)...),
		doc: "which classes, in which order, of images, or of npy and csv with data.encoding; all that occur when left out"},
	{path: "data.dimension", at: func(e *Experiment) any { return &e.Data.Dimension }, required: true, min: 1, max: 1e7,
		when: sources(generators...), doc: "number of inputs D"},
	{path: "data.degree", at: func(e *Experiment) any { return &e.Data.Degree }, required: true, min: 1, max: 1e7,
		when: sources("parity"), doc: "how many of the inputs the parity is over"},
	{path: "data.polynomial", at: func(e *Experiment) any { return &e.Data.Polynomial }, required: true, list: true,
		when: sources("single-index"), doc: "Hermite coefficients of the link function, degree 0 first"},
	{path: "data.width", at: func(e *Experiment) any { return &e.Data.Width }, required: true, min: 1, max: 1e6,
		when: sources("teacher"), doc: "hidden units of the teacher"},
	{path: "data.activation", at: func(e *Experiment) any { return &e.Data.Activation }, required: true,
		when: sources("teacher", "kernel-eigenvector"),
		doc:  "activation of the teacher, or of the network whose kernel it is, in the forms of network.activation"},
	{path: "data.index", at: func(e *Experiment) any { return &e.Data.Index }, required: true, min: 1, max: 5000,
		when: sources("kernel-eigenvector"), doc: "which eigenvector of the tangent kernel of infinitely many units " +
			"with frozen readouts, on training and test points, the targets are; 1 is of the largest eigenvalue"},
	{path: "data.modulus", at: func(e *Experiment) any { return &e.Data.Modulus }, required: true, min: 2, max: 4096,
		when: sources("modular-addition"), doc: "p of a + b mod p"},
	{path: "data.outputs", at: func(e *Experiment) any { return &e.Data.Outputs }, def: 1, min: 1, max: 1000,
		when: sources("gaussian", "sphere", "teacher"), doc: "number of outputs C"},
	{path: "data.noise", at: func(e *Experiment) any { return &e.Data.Noise }, def: 0., min: 0, max: inf,
		when: sources("gaussian", "sphere", "single-index", "teacher"),
		doc:  "standard deviation of the noise on training targets"},
	{path: "data.train", at: func(e *Experiment) any { return &e.Data.Train }, when: pointsOnly, def: 0, min: 0,
		max: 1e9, doc: "number of training points P; for npy and csv 0 is every row, other sources need it"},
	{path: "data.test", at: func(e *Experiment) any { return &e.Data.Test }, when: pointsOnly, def: 0, min: 0, max: 1e9,
		doc: "number of test points; 0 is none, or every row of test_inputs"},
	{path: "data.seed", at: func(e *Experiment) any { return &e.Data.Seed }, when: pointsOnly, def: uint64(1),
		doc: "seed of the choice or generation of points"},
	{path: "data.normalize", at: func(e *Experiment) any { return &e.Data.Normalize }, when: pointsOnly,
		enum: []string{"none", "sphere", "standard"}, from: "data.source",
		choose: func(e *Experiment) any {
			switch {
			case slices.Contains(imageSources, e.Data.Source):
				return "standard"
			case e.Data.Source == "modular-addition":
				return "sphere"
			}
			return "none"
		},
		doc: "none; sphere: every row has |x|² = D; standard: subtract the training mean and divide by one overall " +
			"deviation. Default: standard for images, sphere for modular-addition, none otherwise"},
	{path: "data.encoding", at: func(e *Experiment) any { return &e.Data.Encoding },
		enum: []string{"none", "sign", "one-hot", "centred-one-hot", "label"},
		when: sources(slices.Concat(tableSources, labelled)...), from: "data.classes",
		choose: func(e *Experiment) any {
			switch {
			case slices.Contains(tableSources, e.Data.Source):
				return "none"
			case len(e.Data.Classes) == 2:
				return "sign"
			}
			return "one-hot"
		},
		doc: "targets of classes: sign (−1, +1), one-hot, centred-one-hot, or label, their numbers from 0 (0 and 1 " +
			"of two). Default: sign for two classes, one-hot for more; none for npy and csv, whose targets are then " +
			"as they are. " +
			"With another, those are one column of classes: whole numbers in their order, or, in csv, words in that " +
			"of the alphabet"},

	{path: "data.ratio", at: func(e *Experiment) any { return &e.Data.Ratio }, required: true, min: 0, open: true,
		max: inf, when: highDimensional, doc: "δ = P/D: P → ∞ Gaussian points in D → ∞ dimensions; simulations have " +
			"simulation.dimensions"},

	{path: "network.kind", at: func(e *Experiment) any { return &e.Network.Kind }, required: true,
		enum: []string{"two-layer", "mlp", "resnet"}, doc: "architecture"},
	{path: "network.depth", at: func(e *Experiment) any { return (*depth)(&e.Network.Depth) }, required: true,
		from: "network.kind", choose: func(e *Experiment) any {
			if e.Network.Kind == "two-layer" {
				return depth(1)
			}
			return nil
		}, min: 1, max: 100000, doc: "number of hidden layers L, or infinite (resnet); 1 for two-layer"},
	{path: "network.activation", at: func(e *Experiment) any { return &e.Network.Activation }, required: true,
		doc: activationDoc()},
	{path: "network.branch.beta", at: func(e *Experiment) any { return &e.Network.Beta }, def: 1., min: -inf, max: inf,
		when: resnetOnly, doc: "β of the residual branch β L^(−α)"},
	{path: "network.branch.exponent", at: func(e *Experiment) any { return &e.Network.Exponent }, def: 0.5, min: -inf,
		max: inf, when: resnetOnly, doc: "α of the residual branch: 0.5 depth-μP, 1 mean field"},

	{path: "network.branch.rate", at: func(e *Experiment) any { return &e.Network.Rate }, def: 0., min: -inf, max: inf,
		when: resnetOnly, doc: "ρ: the learning rate of branches is multiplied by L^ρ; with exponent 1 and rate 1 " +
			"branches go on learning as L → ∞"},
	{path: "network.bias", at: func(e *Experiment) any { return &e.Network.Bias }, when: pointsOnly, def: 0., min: 0,
		max: inf, doc: "σ_b: scale of trained biases, N(0,1) at the start, in every hidden layer; 0 is none"},

	{path: "network.units", at: func(e *Experiment) any { return (*depth)(&e.Network.Units) }, required: true, min: 1,
		max: 1e6, when: highDimensional, doc: "hidden units N; infinite with simulation.method moments"},
	{path: "network.output_scale", at: func(e *Experiment) any { return &e.Network.OutputScale }, def: 1., min: 0,
		open: true, max: inf, when: highDimensional, doc: "α of f = (α/N) Σ a_i φ(w_i·x): large is lazy"},
	{path: "network.readout", at: func(e *Experiment) any { return &e.Network.Readout }, def: "frozen",
		enum: []string{"frozen", "trained"}, when: highDimensional, doc: "the a_i, which start at one"},

	{path: "target.kind", at: func(e *Experiment) any { return &e.Target.Kind }, def: "half-square",
		enum: []string{"half-square", "link"}, when: highDimensional,
		doc: "y = Σ_k c_k σ(β_k·x) with σ(h) = h²/2, or the link target.activation"},
	{path: "target.activation", at: func(e *Experiment) any { return &e.Target.Activation }, required: true,
		when: both(highDimensional, linkOnly), doc: "σ, in the forms of network.activation"},
	{path: "target.directions", at: func(e *Experiment) any { return &e.Target.Directions }, def: 1, min: 1, max: 1000,
		when: highDimensional, doc: "number K of directions β_k, orthogonal, |β_k|² = D"},
	{path: "target.weights", at: func(e *Experiment) any { return &e.Target.Weights }, def: []float64(nil), list: true,
		when: highDimensional, doc: "c_k; ones when left out"},
	{path: "target.overlaps", at: func(e *Experiment) any { return &e.Target.Overlaps }, def: []float64(nil),
		list: true, when: highDimensional, doc: "w_i(0)·β_k/D, K numbers for every unit in turn; about ±1/√D for " +
			"random weights, which simulation.method moments draws when this is left out"},
	{path: "target.informed", at: func(e *Experiment) any { return &e.Target.Informed }, def: 0., min: 0, max: 1,
		when: highDimensional, doc: "c of a start that knows the target: w_i(0) = cβ₁ + (1 − c)·(the weights of " +
			"target.overlaps)"},
	{path: "target.noise", at: func(e *Experiment) any { return &e.Target.Noise }, def: 0., min: 0, max: inf,
		when: highDimensional, doc: "standard deviation of the noise on training labels"},

	{path: "richness", at: func(e *Experiment) any { return &e.Richness }, when: pointsOnly, required: true, min: 0,
		max: inf, open: true, doc: "γ₀: small is lazy, of order one learns features"},

	{path: "training.optimizer", at: func(e *Experiment) any { return &e.Training.Optimizer }, def: "gd",
		enum: slices.Concat(optimisers, []string{flow}), doc: formulas(optimisers) + "; flow: dθ/dt = ∇ − λθ"},
	{path: "training.learning_rate", at: func(e *Experiment) any { return &e.Training.LearningRate }, required: true,
		min: 0, max: inf, open: true, doc: "η; for a flow the time between outputs"},
	{path: "training.steps", at: func(e *Experiment) any { return &e.Training.Steps }, required: true, min: 1, max: 1e8,
		doc: "number of steps (outputs of a flow)"},
	{path: "training.momentum", at: func(e *Experiment) any { return &e.Training.Momentum }, required: true, min: 0,
		max: 1, below: true, when: momentumOnly, doc: "μ, in [0, 1)"},
	{path: "training.weight_decay", at: func(e *Experiment) any { return &e.Training.WeightDecay }, def: 0., min: 0,
		max: inf, doc: "λ, decoupled from the gradient"},
	{path: "training.integrator", at: func(e *Experiment) any { return &e.Training.Integrator }, def: "rk45",
		enum: integrators, when: flowOnly, doc: formulas(integrators)},
	{path: "training.tolerance", at: func(e *Experiment) any { return &e.Training.Tolerance }, def: 1e-4, min: 1e-14,
		max: 0.5, when: adaptiveOnly, doc: "error per step of an adaptive integrator; the default leaves about a " +
			"tenth of the sampling error of some thousand sites, in deep networks up to half, and kinked activations " +
			"make smaller ones dear"},
	{path: "training.schedule.kind", at: func(e *Experiment) any { return &e.Training.Schedule.Kind }, def: "constant",
		enum: names(ode.ScheduleKinds()), when: optimiserOnly,
		doc: "learning-rate schedule: factor^⌊n/every⌋, half a cosine or a line down to final, factor^n"},
	{path: "training.schedule.warmup", at: func(e *Experiment) any { return &e.Training.Schedule.Warmup }, def: 0,
		min: 0, max: 1e8, when: optimiserOnly, doc: "steps over which the rate rises linearly first"},
	{path: "training.schedule.every", at: func(e *Experiment) any { return &e.Training.Schedule.Every }, required: true,
		min: 1, max: 1e8, when: every, doc: "steps between drops"},
	{path: "training.schedule.factor", at: func(e *Experiment) any { return &e.Training.Schedule.Factor },
		required: true, min: 0, open: true, max: 1, when: factor, doc: "factor of a drop"},
	{path: "training.schedule.final", at: func(e *Experiment) any { return &e.Training.Schedule.Final }, def: 0.,
		min: 0, max: 1, when: final, doc: "fraction of the rate left at the last step"},
	{path: "training.batch.size", at: func(e *Experiment) any { return &e.Training.BatchSize }, def: 0, min: 0,
		max: 1e9, when: both(optimiserOnly, pointsOnly), doc: "samples per mini-batch; 0 is all"},
	{path: "training.batch.seed", at: func(e *Experiment) any { return &e.Training.BatchSeed }, def: uint64(1),
		when: both(optimiserOnly, pointsOnly), doc: "seed of the batches, the same for theory and simulation"},
	{path: "training.batch.count", at: func(e *Experiment) any { return &e.Training.BatchCount }, def: 1, min: 1,
		max: 1e6, when: both(optimiserOnly, highDimensional), doc: "mini-batches that every epoch is split into"},
	{path: "training.loss.kind", at: func(e *Experiment) any { return &e.Training.Loss }, when: pointsOnly, def: "mse",
		enum: lossNames(), doc: lossDoc()},
	{path: "training.loss.reduction", at: func(e *Experiment) any { return &e.Training.Reduction }, when: pointsOnly,
		def: "sum", enum: []string{"sum", "mean"}, doc: "over samples, in every loss printed and in the gradient"},
	{path: "training.centred", at: func(e *Experiment) any { return &e.Training.Centred }, def: false,
		doc: "predict f(θ) − f(θ₀)"},

	{path: "training.rates.input", at: func(e *Experiment) any { return &e.Training.RateInput }, when: pointsOnly,
		def: 1., min: 0, max: inf, doc: "learning rate of the input weights relative to learning_rate; 0 freezes them"},
	{path: "training.rates.hidden", at: func(e *Experiment) any { return &e.Training.RateHidden }, when: pointsOnly,
		def: 1., min: 0, max: inf, doc: "the same of hidden weights"},
	{path: "training.rates.readout", at: func(e *Experiment) any { return &e.Training.RateReadout },
		when: readoutTrained, def: 1., min: 0, max: inf, doc: "the same of the readout"},

	{path: "theory.method", at: func(e *Experiment) any { return &e.Theory.Method }, when: pointsOnly, def: "full",
		enum: methods, doc: "full feature learning; the limit γ₀ → 0 (lazy: static NTK); frozen-features (readout " +
			"trained alone); leading-order in γ₀; gradient-independence (no response functions)"},
	{path: "theory.limit", at: func(e *Experiment) any { return &e.Theory.Limit }, when: highDimensional,
		def: LimitData, enum: []string{LimitData, LimitPopulation, LimitOnePass, LimitOnline},
		doc: "which points: data (P = δD, used again and again); population (δ → ∞, the true risk); one-pass (every " +
			"step δD/batch.count fresh points, in simulations too); online (one fresh point at a time, " +
			"δD/batch.count in a step: Saad and Solla's equations)"},
	{path: "theory.approximations", at: func(e *Experiment) any { return &e.Theory.Approximations }, when: pointsOnly,
		def: []string(nil), enum: methods, list: true, doc: "methods solved beside theory.method, for comparison"},
	{path: "theory.fluctuations", at: func(e *Experiment) any { return &e.Theory.Fluctuations }, when: pointsOnly,
		def: false, single: true, doc: "predict what finite width adds at order 1/N, in fluctuations.npz: variances " +
			"over initialisations of predictions, losses and kernels in training, and mean corrections, for " +
			"two-layer networks; of all but mean corrections at any depth with method lazy; of the kernels at the " +
			"start for deeper networks with method full"},
	{path: "theory.depths", at: func(e *Experiment) any { return &e.Theory.Depths }, def: []int{5, 9, 17}, min: 2,
		max: 10000, list: true, when: infiniteOnly, doc: "depths that infinite depth is extrapolated from, at least " +
			"three, rising"},
	{path: "theory.error", at: func(e *Experiment) any { return &e.Theory.Error }, def: 0., min: 0, max: inf,
		when: both(sampledOnly, pointsOnly), doc: "standard error of f to reach (the largest over time of its root " +
			"mean square over points); samples are raised from theory.samples until it is; 0 takes the samples as they are"},
	{path: "theory.samples", at: func(e *Experiment) any { return &e.Theory.Samples }, from: "data.source",
		choose: func(e *Experiment) any {
			if e.HighDimensional() {
				return 32768
			}
			return 4000
		}, min: 4, max: 1e9, when: sampledOnly, doc: "sites in all, split over independent blocks. Default: 4000, " +
			"32768 for high-dimensional data"},
	{path: "theory.blocks", at: func(e *Experiment) any { return &e.Theory.Blocks }, def: 0, min: 0, max: 1e6,
		when: sampledOnly, doc: "number of blocks; 0 chooses"},
	{path: "theory.seed", at: func(e *Experiment) any { return &e.Theory.Seed }, def: uint64(1), doc: "seed of the sites"},
	{path: "theory.sampling", at: func(e *Experiment) any { return &e.Theory.Sampling }, def: "matched",
		enum: []string{"matched", "plain"}, when: both(sampledOnly, pointsOnly),
		doc: "moment-matched sites in symmetric groups, or independent ones"},
	{path: "theory.sites", at: func(e *Experiment) any { return &e.Theory.Sites }, def: "auto",
		enum: []string{"auto", "data", "input"}, when: both(sampledOnly, pointsOnly),
		doc: "hold preactivations on all points (data) or input weights (input)"},
	{path: "theory.tolerance", at: func(e *Experiment) any { return &e.Theory.Tolerance }, def: 0., min: 0, max: 1,
		below: true, when: directionsOnly, doc: "size relative to the whole below which a new direction is dropped: " +
			"squared norm of a hidden layer's fields (depth above 1), norm of the errors (high-dimensional data); 0 chooses"},

	{path: "simulation.widths", at: func(e *Experiment) any { return &e.Simulation.Widths }, when: pointsOnly,
		def: []int{256, 1024}, min: 1, max: 1e7, list: true, doc: "widths N of the finite networks"},
	{path: "simulation.depth", at: func(e *Experiment) any { return &e.Simulation.Depth }, from: "theory.depths",
		choose: func(e *Experiment) any {
			if d := e.Theory.Depths; len(d) > 0 {
				return d[len(d)-1]
			}
			return 17
		}, min: 1, max: 100000, when: infiniteOnly, doc: "depth of the finite networks that stand in for infinite " +
			"depth; the deepest of theory.depths when left out"},
	{path: "simulation.parametrization", at: func(e *Experiment) any { return &e.Simulation.Parametrization },
		when: pointsOnly, def: "mup", enum: []string{"mup", "ntk", "standard", "mean-field"},
		doc: "how richness and learning rates of finite networks change with their width: mup keeps both, the " +
			"convention of the theory; ntk has γ₀ ∝ 1/√N and turns lazy; standard is ntk with learning rates of " +
			"hidden weights and readout ∝ N (weights N(0, 1/fan-in), whose literal learning rates do not depend on " +
			"N); mean-field is mup for one hidden layer"},
	{path: "simulation.base_width", at: func(e *Experiment) any { return &e.Simulation.BaseWidth },
		from: "simulation.widths", choose: func(e *Experiment) any {
			return slices.Min(e.Simulation.Widths)
		}, min: 1, max: 1e7, when: rescaledOnly, doc: "width N₀ whose networks are the same in every " +
			"parametrization: γ₀(N) = γ₀√(N₀/N), rates times N/N₀. Default: the smallest of simulation.widths"},
	{path: "simulation.branch_exponent", at: func(e *Experiment) any { return &e.Simulation.Exponent },
		from: "network.branch.exponent", choose: func(e *Experiment) any { return e.Network.Exponent }, min: -inf,
		max: inf, when: resnetOnly,
		doc: "α of the branches of finite networks, β L₀^(α−exponent) L^(−α): 0.5 depth-μP, 0 no scaling with depth, " +
			"1 mean field. Default: network.branch.exponent"},
	{path: "simulation.base_depth", at: func(e *Experiment) any { return &e.Simulation.BaseDepth }, def: 1, min: 1,
		max: 100000, when: resnetOnly, doc: "depth L₀ at which simulation.branch_exponent changes nothing"},
	{path: "simulation.dimensions", at: func(e *Experiment) any { return &e.Simulation.Dimensions },
		def: []int{100, 400}, min: 1, max: 1e6, list: true, when: highDimensional,
		doc: "dimensions D of the data of finite networks, which have δD points"},
	{path: "simulation.method", at: func(e *Experiment) any { return &e.Simulation.Method }, def: "weights",
		enum: []string{"weights", "moments"}, when: highDimensional, doc: "train the weights, or follow their first " +
			"two moments: exact for quadratic functions, at a cost that does not depend on the units"},
	{path: "simulation.linearised", at: func(e *Experiment) any { return &e.Simulation.Linearised }, def: false,
		when: highDimensional, doc: "with method moments: beside the networks of the largest dimension, the model " +
			"that is linear in the weights around the start, and regression with its kernel"},
	{path: "simulation.seeds", at: func(e *Experiment) any { return &e.Simulation.Seeds }, def: 8, min: 1, max: 1e6,
		doc: "networks per width"},
	{path: "simulation.seed", at: func(e *Experiment) any { return &e.Simulation.Seed }, def: uint64(1),
		doc: "seed of the initial weights"},
	{path: "simulation.precision", at: func(e *Experiment) any { return &e.Simulation.Precision }, when: pointsOnly,
		def: "float64", enum: []string{"float64", "float32"}, doc: "floating-point format of the networks"},
	{path: "simulation.sites", at: func(e *Experiment) any { return &e.Simulation.Sites }, when: pointsOnly,
		def: "auto", enum: []string{"auto", "data", "input"}, doc: "as theory.sites"},

	{path: "record.every", at: func(e *Experiment) any { return &e.Record.Every }, when: pointsOnly, def: 1, min: 1,
		max: 1e8, doc: "predictions and losses are kept at every so many steps, and at the last: for many points, " +
			"outputs or steps"},
	{path: "record.kernels", at: func(e *Experiment) any { return (*count)(&e.Record.Kernels) }, when: pointsOnly,
		def: count(AutoKernels), min: 0, max: 1e9, doc: "at how many times kernels are kept, evenly spaced; all; or " +
			"auto: all if that is small, 50 or fewer if not"},
	{path: "record.two_time", at: func(e *Experiment) any { return (*count)(&e.Record.TwoTime) }, when: pointsOnly,
		def: count(0), min: 0, max: 1e9, doc: "at how many times, evenly spaced, fields are kept for kernels between " +
			"any two of them; with all, the theory of deep networks has its responses A and B too"},
	{path: "record.preactivations", at: func(e *Experiment) any { return &e.Record.Preactivations }, when: pointsOnly,
		def: 1000, min: 0, max: 1e7, doc: "how many sites' preactivations are kept at start and end"},

	{path: "record.alignments", at: func(e *Experiment) any { return &e.Record.Alignments }, def: 0, min: 0, max: 1e6,
		when: highDimensional, doc: "at how many times, evenly spaced in their logarithm, the alignment of the " +
			"tangent kernel with the target is computed"},

	{path: "record.responses", at: func(e *Experiment) any { return &e.Record.Responses }, def: false,
		when: highDimensional, doc: "response functions of the theory, by random tangents of the fields: memory and " +
			"time grow as steps squared"},

	{path: "grok.fraction", at: func(e *Experiment) any { return &e.Grok.Fraction }, def: 0.5, min: 0, max: 1,
		open: true, below: true, doc: "the grokking gap is log₁₀ of the ratio of the last times at which test and " +
			"train loss are above this fraction of their initial values"},

	{path: "converge.widths", at: func(e *Experiment) any { return &e.Converge.Widths }, from: "simulation.widths",
		choose: func(e *Experiment) any { return ladder(e.Simulation.Widths) }, min: 1, max: 1e7, list: true,
		when: pointsOnly,
		doc: "widths of converge, at least three. Default: simulation.widths if they are three or more, else five " +
			"up to the largest of them, each twice the one before"},
	{path: "converge.dimensions", at: func(e *Experiment) any { return &e.Converge.Dimensions },
		from: "simulation.dimensions", choose: func(e *Experiment) any {
			return slices.DeleteFunc(ladder(e.Simulation.Dimensions), func(d int) bool { return e.dimensionWhy(d) != "" })
		}, min: 1, max: 1e6, list: true, when: highDimensional,
		doc: "dimensions of converge, with a default like that of converge.widths, less what is too small for the overlaps"},
	{path: "converge.depths", at: func(e *Experiment) any { return &e.Converge.Depths }, from: "theory.depths",
		choose: func(e *Experiment) any { return slices.Clone(e.Theory.Depths) }, min: 2, max: 10000, list: true,
		when: infiniteOnly,
		doc: "depths at which converge solves the theory and trains networks of every width, at least three; " +
			"theory.depths when left out"},
	{path: "converge.samples", at: func(e *Experiment) any { return &e.Converge.Samples }, from: "theory.samples",
		choose: func(e *Experiment) any { return fractions(e.Theory.Samples) }, min: 4, max: 1e9, list: true,
		empty: true, when: both(sampledOnly, pointsOnly),
		doc: "numbers of samples at which converge solves the theory beside theory.samples, [] for none; an eighth, " +
			"a quarter and a half of it when left out"},
	{path: "converge.seeds", at: func(e *Experiment) any { return &e.Converge.Seeds }, from: "simulation.seeds",
		choose: func(e *Experiment) any { return max(e.Simulation.Seeds, 2) }, min: 2, max: 1e6,
		doc: "networks of the largest width of converge, and of smaller ones so many that the number of neurons is " +
			"the same; simulation.seeds when left out"},
	{path: "converge.confidence", at: func(e *Experiment) any { return &e.Converge.Confidence }, def: 0.95, min: 0,
		max: 1, open: true, below: true, doc: "confidence of the intervals that converge prints"},
	{path: "converge.significance", at: func(e *Experiment) any { return &e.Converge.Significance }, def: 0.01,
		min: leastSignificance, max: 1, below: true, doc: "chance that converge rejects a right limit, all its tests " +
			"together"},

	{path: "compare.tolerance", at: func(e *Experiment) any { return &e.Compare.Tolerance }, def: 0.01, min: 0,
		max: inf, doc: "relative distance of theory and simulation that is no disagreement, beside sampling errors"},

	{path: "transfer.parameter", at: func(e *Experiment) any { return &e.Transfer.Parameter }, when: pointsOnly,
		single: true, quiet: true, def: LearningRate, enum: []string{LearningRate, RichnessKey, BranchBeta},
		doc: "hyperparameter whose best value transfer looks for, at every one of several simulation.widths or, with " +
			"a list of network.depth, depths; other lists make one panel each"},
	{path: "transfer.low", at: func(e *Experiment) any { return &e.Transfer.Low }, when: pointsOnly, single: true,
		quiet: true, def: 0., min: 0, max: inf, doc: "smallest value tried; 0, like high, starts around the " +
			"stability limit of the learning rate, or the value in this file, and goes on until the optimum is " +
			"inside. A list of values at the key of the parameter itself is the grid instead"},
	{path: "transfer.high", at: func(e *Experiment) any { return &e.Transfer.High }, when: pointsOnly, single: true,
		quiet: true, def: 0., min: 0, max: inf, doc: "largest value tried; what diverges counts as an infinite loss"},
	{path: "transfer.points", at: func(e *Experiment) any { return &e.Transfer.Points }, when: pointsOnly, single: true,
		quiet: true, def: 0, min: 0, max: 10000, doc: "values from low to high, evenly spaced in their logarithm; 0 " +
			"is two per octave"},
	{path: "transfer.refine", at: func(e *Experiment) any { return &e.Transfer.Refine }, when: pointsOnly, single: true,
		quiet: true, def: 2, min: 0, max: 20, doc: "how many times the spacing of the grid is halved around the best value"},
	{path: "transfer.loss", at: func(e *Experiment) any { return &e.Transfer.Loss }, when: pointsOnly, single: true,
		quiet: true, def: "train", enum: []string{"train", "test"}, doc: "loss to be made small"},
	{path: "transfer.step", at: func(e *Experiment) any { return &e.Transfer.Step }, when: pointsOnly, single: true,
		quiet: true, def: 0, min: 0, max: 1e8, doc: "step after which the loss is taken; 0 is the last of training.steps"},
	{path: "transfer.theory", at: func(e *Experiment) any { return &e.Transfer.Theory }, when: pointsOnly, single: true,
		quiet: true, def: "limit", enum: []string{"limit", "sizes", "both", "none"},
		doc: "theory beside the networks: the limit of infinite width, and depth where the curves are depths; sizes: " +
			"infinite width at each of the depths; both; none"},
	{path: "transfer.tolerance", at: func(e *Experiment) any { return &e.Transfer.Tolerance }, when: pointsOnly,
		single: true, quiet: true, def: 0.1, min: 0, max: 10, doc: "an optimum that goes as (size)^p stays when the " +
			"95 % interval of p is within ± this, and moves when it is beyond"},

	{path: "sweep.points_per_task", at: func(e *Experiment) any { return &e.Sweep.PointsPerTask }, single: true,
		quiet: true, def: 0, min: 0, max: 1e6, doc: "points that one task of a SLURM job array runs; 0 makes at most " +
			"100 tasks"},
	{path: "sweep.slurm.partition", at: func(e *Experiment) any { return &e.Sweep.Partition }, single: true,
		quiet: true, def: "", doc: "SLURM partition; like the keys below, SLURM's or the cluster's own default " +
			"(SBATCH_PARTITION, …) when left out"},
	{path: "sweep.slurm.account", at: func(e *Experiment) any { return &e.Sweep.Account }, single: true, quiet: true,
		def: "", doc: "SLURM account"},
	{path: "sweep.slurm.time", at: func(e *Experiment) any { return &e.Sweep.Time }, single: true, quiet: true, def: "",
		doc: "time limit of a task, such as 02:00:00; points that are not through by then are kept and go on in the " +
			"same task, queued again"},
	{path: "sweep.slurm.cpus", at: func(e *Experiment) any { return &e.Sweep.CPUs }, single: true, quiet: true, def: 1,
		min: 1, max: 4096, doc: "cores of a task, which runs as many points at once"},
	{path: "sweep.slurm.memory", at: func(e *Experiment) any { return &e.Sweep.Memory }, single: true, quiet: true,
		def: "", doc: "memory of a task in SLURM's units, such as 4G"},
	{path: "sweep.slurm.parallel", at: func(e *Experiment) any { return &e.Sweep.Parallel }, single: true, quiet: true,
		def: 0, min: 0, max: 1e6, doc: "tasks at work at the same time; 0 leaves it to SLURM"},
	{path: "sweep.slurm.arguments", at: func(e *Experiment) any { return &e.Sweep.Arguments }, single: true,
		quiet: true, def: "", doc: "further arguments of sbatch, such as --qos=long --constraint=avx512"},
}

// Values of transfer.parameter.
const (
	LearningRate = "learning_rate"
	RichnessKey  = "richness"
	BranchBeta   = "branch.beta"
)

// ladder is sizes to extrapolate from: those given when they are three or more, else five that double up to the
// largest.
func ladder(sizes []int) []int {
	sizes = slices.Clone(sizes)
	slices.Sort(sizes)
	if len(sizes) >= 3 {
		return sizes
	}
	n := sizes[len(sizes)-1]
	return slices.Compact([]int{max(n/16, 1), max(n/8, 1), max(n/4, 1), max(n/2, 1), n})
}

// fractions of a number of samples, an eighth, a quarter and a half.
func fractions(n int) (out []int) {
	for _, m := range []int{n / 8, n / 4, n / 2} {
		if m >= 4 {
			out = append(out, m)
		}
	}
	return out
}

// depth is a number of layers or the word infinite.
type depth int

// count is a number of times or the words all and auto.
type count int

// applies says why f is not used by e, or "".
func (f *field) applies(e *Experiment) string {
	if f.when.why == nil {
		return ""
	}
	return f.when.why(e)
}

// typeName is the type of a key in words.
func (f *field) typeName() string {
	switch f.at(&Experiment{}).(type) {
	case *string:
		if f.enum != nil {
			return "one of " + strings.Join(f.enum, ", ")
		}
		return "text"
	case *int:
		return "whole number" + f.rangeText()
	case *uint64:
		return "whole number, 0 or more"
	case *float64:
		return "number" + f.rangeText()
	case *bool:
		return "true or false"
	case *[]int:
		return "list of whole numbers" + f.rangeText()
	case *[]float64:
		return "list of numbers"
	case *[]string:
		return "list of " + strings.Join(f.enum, ", ")
	case *depth:
		return "whole number, 1 or more, or infinite"
	case *count:
		return "whole number, 0 or more, or all, or auto"
	}
	return "an activation"
}

// itemName is the type of the items of a list in words.
func (f *field) itemName() string {
	if _, ok := f.at(&Experiment{}).(*[]int); ok {
		return "whole number" + f.rangeText()
	}
	if f.enum != nil {
		return "one of " + strings.Join(f.enum, ", ")
	}
	return "number"
}

// most says how large a number may be, of one that is larger and whose type in words does not say so.
func (f *field) most(x float64) string {
	if !(x > f.max) || f.below || math.IsInf(f.max, 0) || f.min == 0 && f.max == 0 ||
		strings.Contains(f.rangeText(), "to ") {
		return ""
	}
	return fmt.Sprintf(", at most %.0f", f.max)
}

func (f *field) rangeText() string {
	switch {
	case f.min == 0 && f.max == 0 || math.IsInf(f.min, -1):
		return ""
	case f.below && f.open:
		return fmt.Sprintf(" above %g and below %g", f.min, f.max)
	case f.below:
		return fmt.Sprintf(", at least %g and below %g", f.min, f.max)
	case math.IsInf(f.max, 1) || f.max >= 1e5:
		if f.open {
			return fmt.Sprintf(" above %g", f.min)
		}
		return fmt.Sprintf(", %g or more", f.min)
	case f.open:
		return fmt.Sprintf(" above %g, up to %g", f.min, f.max)
	}
	return fmt.Sprintf(" from %g to %.4g", f.min, f.max)
}
