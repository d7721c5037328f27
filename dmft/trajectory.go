package dmft

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/seed39b58f2d/dmft/dmft/ensemble"
)

// Array is a row-major n-dimensional array.
type Array struct {
	Shape []int
	Data  []float64
}

// NewArray returns a zero array.
func NewArray(shape ...int) Array {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return Array{Shape: shape, Data: make([]float64, n)}
}

// At returns element i of the first axis, a view.
func (a Array) At(i int) Array {
	n := len(a.Data) / max(a.Shape[0], 1)
	return Array{Shape: a.Shape[1:], Data: a.Data[i*n : (i+1)*n]}
}

// Empty says whether the array holds nothing (a quantity that was not recorded).
func (a Array) Empty() bool { return len(a.Data) == 0 }

// Trajectory is what a network did: the result of [Solve] and of finite.Train, the same for both. T is the number of
// recorded times (steps + 1, see Record.Every), K the number of times at which kernels were kept, C the number of outputs; the axes of
// length C are absent when C = 1. Means are over replicas (blocks of sites of the theory, seeds of a finite network)
// and Stderr are their standard errors, zero where there is a single replica or no randomness.
// A 95 % interval is as many of them as Student's distribution with Replicas − 1 degrees of freedom says: 3.2 for 4 blocks, 2.4 for 8, 2.1 for 16. The 1.96 of a
// normal variable covers 86, 91 and 93 % then.
type Trajectory struct {
	Width    int // neurons or sites of one replica; 0 for a result without sampling
	Replicas int

	Time []float64 // T: step number (optimisers) or η·step (flows)

	Loss, LossStderr         []float64 // T
	TestLoss, TestLossStderr []float64 // T, or empty
	// Classification errors, from 0 to 1, where the targets are class labels (see Data.Classes): the mean over networks; of the theory that of its mean prediction.
	Error, ErrorStderr         []float64 // T, or empty
	TestError, TestErrorStderr []float64 // T, or empty
	ErrorReplicas              Array     // replicas×T, or empty
	TestErrorReplicas          Array     // replicas×T, or empty
	F, FStderr                 Array     // T×P[×C]
	FTest, FTestStderr         Array     // T×Pt[×C], or empty
	FReplicas                  Array     // replicas×T×P[×C]
	LossReplicas               Array     // replicas×T
	FTestReplicas              Array     // replicas×T×Pt[×C], or empty
	ReadoutNorm                []float64 // T: ⟨w²⟩ over sites and outputs

	KernelStep     []int     // K: the steps at which kernels were kept
	KernelTime     []float64 // K
	NTK, NTKStderr Array     // K×P[×C]×P[×C]
	NTKReplicas    Array     // replicas×k×q×q: of every replica by itself at k of the K times, evenly spaced, q = min(PC, 32); when asked for (Record.NTKReplicas)
	Phi, PhiStderr Array     // K×L×P×P: feature kernels Φ^ℓ(t,t)
	G, GStderr     Array     // K×L×P[×C]×P[×C]: gradient kernels G^ℓ(t,t)
	// Summaries of the mean kernels; error bars where PC ≤ 512, from the scatter of the replicas' own.
	Alignment                             []float64 // K: of the NTK with the targets, yᵀKy/(‖K‖·‖y‖²)
	KernelMovement                        []float64 // K: ‖K(t) − K(0)‖/‖K(0)‖ of the NTK
	AlignmentStderr, KernelMovementStderr []float64 // K, or empty
	PhiMovement                           Array     // K×L: the same of Φ^ℓ
	GMovement                             Array     // K×L: the same of G^ℓ
	PhiAlignment                          Array     // K×L: of Φ^ℓ with the targets
	// K×L, or empty where the kernels are too large to keep those of the start of every replica.
	PhiMovementStderr, GMovementStderr, PhiAlignmentStderr Array
	// Eigenvalues of the NTK, the largest first, at S of the K times: all, or the first and the last where more would be much work, or none.
	SpectrumTime []float64 // S
	NTKSpectrum  Array     // S×PC

	// Two-time kernels and responses, when asked for (Record.TwoTime). J is the number of times kept, TwoTimeStep their steps.
	TwoTimeStep                  []int     // J
	TwoTimeTime                  []float64 // J
	PhiTwoTime, PhiTwoTimeStderr Array     // L×J×J×P×P: Φ^ℓ(t,s) = ⟨φ(h^ℓ(t)) φ(h^ℓ(s))ᵀ⟩
	GTwoTime, GTwoTimeStderr     Array     // L×J×J×P[×C]×P[×C]: G^ℓ(t,s)
	// Responses of the theory of deep networks, kept when every step of an optimiser is: A^ℓ(t,s) = ⟨∂φ(h^ℓ(t))/∂r^ℓ(s)⟩ for s < t and B^ℓ(t,s) = ⟨∂g^{ℓ+1}(t)/∂u^{ℓ+1}(s)⟩
	// for s ≤ t, ℓ = 1 … L−1, as far as the fields at different times differ: where g(s) depends linearly on others, A is the smallest one that acts the same.
	ResponseA, ResponseAStderr Array // (L−1)×J×J×P×P[×C]
	ResponseB, ResponseBStderr Array // (L−1)×J×J×P[×C]×P

	// Of infinitely deep networks: the layer times τ ∈ [0, 1] at which Phi and G are given in place of layers, and the depths extrapolated from.
	LayerTime              []float64 // L
	Depths                 []int     // n
	FDepths, FDepthsStderr Array     // n×T×P[×C]
	LossDepths             Array     // n×T

	// Preactivations h^ℓ of some sites at the first and the last time, 2×L×n×min(P, 64).
	Preactivations Array

	Status      Status
	Diagnostics Diagnostics
}

// Diagnostics says how a Trajectory was computed.
type Diagnostics struct {
	Space         Space    `json:"space,omitempty"`          // how the first layer was held
	Rank          int      `json:"rank,omitempty"`           // independent Gaussian fields of the first layer
	Matched       int      `json:"matched,omitempty"`        // how many of them are moment matched
	Ranks         [][2]int `json:"ranks,omitempty"`          // directions of x and y seen by each hidden matrix, the most over blocks
	Dropped       float64  `json:"dropped,omitempty"`        // largest relative mean square of a direction dropped
	Lambda        float64  `json:"ntk_lambda_max,omitempty"` // largest eigenvalue of the NTK at the start
	Steps         int      `json:"steps"`                    // steps taken, internal ones of an adaptive method included
	Rejected      int      `json:"rejected,omitempty"`       // steps an adaptive method rejected
	Evaluations   int      `json:"evaluations"`              // gradient evaluations
	MemoryBytes   int64    `json:"memory_estimate_bytes"`    // estimate made before the run
	Notes         []string `json:"notes,omitempty"`          // what the user should know
	BatchReplicas int      `json:"replicas_per_batch,omitempty"`
	Samples       int      `json:"samples,omitempty"` // sites in all, where they were chosen to reach an error

	Depth *DepthLimit `json:"depth_limit,omitempty"` // of a network of infinite depth
}

// DepthLimit says how the limit of infinite depth was reached.
type DepthLimit struct {
	Depths        []int   `json:"depths"`                // solved
	Order         float64 `json:"observed_order"`        // q of f_L − f_∞ ∝ L^{−q} over the last three; 0 when it cannot be told
	OrderStderr   float64 `json:"observed_order_stderr"` //
	SamplingError float64 `json:"sampling_error"`        // root mean square over f, from the blocks
	DepthError    float64 `json:"extrapolation_error"`   // the same, estimated from the rung before
}

// StatusCode is a way of stopping.
type StatusCode string

// The ways of stopping.
const (
	Finished    StatusCode = "finished"
	Diverged    StatusCode = "diverged"
	NotFinite   StatusCode = "not finite"
	Interrupted StatusCode = "interrupted"
	MemoryLimit StatusCode = "memory limit"
	Stopped     StatusCode = "stopped" // by the observer, see [Observer]; no error
)

// Status says how a run ended. Every Status but Finished and Stopped is also returned as an error.
type Status struct {
	Code     StatusCode `json:"code"`
	Step     int        `json:"step"`               // last step with a usable result
	Quantity string     `json:"quantity,omitempty"` // what went wrong, with its value
	Advice   string     `json:"advice,omitempty"`   // the likely cause and what to try
}

// Early says whether the run stopped before its end.
func (s Status) Early() bool { return s.Code != Finished && s.Code != "" }

// Err is nil for a run that is finished or was stopped by its observer.
func (s Status) Err() error {
	if !s.Early() || s.Code == Stopped {
		return nil
	}
	return &StopError{s}
}

// StopError is the error of a run that stopped early.
type StopError struct{ Status Status }

func (e *StopError) Error() string {
	s := fmt.Sprintf("stopped at step %d: %s", e.Status.Step, e.Status.Code)
	if e.Status.Step < 0 {
		s = fmt.Sprintf("stopped before the first step: %s", e.Status.Code)
	}
	if e.Status.Quantity != "" {
		s += ": " + e.Status.Quantity
	}
	if e.Status.Advice != "" {
		s += "; " + e.Status.Advice
	}
	return s
}

// StopCode returns the way of stopping that err reports, or "" if it is another kind of error.
func StopCode(err error) StatusCode {
	var s *StopError
	if errors.As(err, &s) {
		return s.Status.Code
	}
	if errors.Is(err, ensemble.ErrInterrupted) { // within a run of replicas
		return Interrupted
	}
	return ""
}

// Steps is the number of recorded times T.
func (t *Trajectory) Steps() int { return len(t.Time) }

// truncate cuts every time series after a step (a run that diverged), given the steps that were kept.
func (t *Trajectory) truncate(kept []int, step int) {
	n, _ := slices.BinarySearch(kept, step+1)
	cut := func(s *[]float64) {
		if len(*s) > n {
			*s = (*s)[:n]
		}
	}
	for _, s := range []*[]float64{&t.Time, &t.Loss, &t.LossStderr, &t.TestLoss, &t.TestLossStderr, &t.ReadoutNorm, &t.Error, &t.ErrorStderr, &t.TestError, &t.TestErrorStderr} {
		cut(s)
	}
	first := func(a *Array, n int) {
		if !a.Empty() && a.Shape[0] > n {
			*a = Array{Shape: append([]int{n}, a.Shape[1:]...), Data: a.Data[:len(a.Data)/a.Shape[0]*n]}
		}
	}
	for _, a := range []*Array{&t.F, &t.FStderr, &t.FTest, &t.FTestStderr} {
		first(a, n)
	}
	for _, a := range []*Array{&t.FReplicas, &t.FTestReplicas, &t.LossReplicas, &t.ErrorReplicas, &t.TestErrorReplicas} {
		if a.Empty() || a.Shape[1] <= n {
			continue
		}
		b := NewArray(append([]int{a.Shape[0], n}, a.Shape[2:]...)...)
		for r := range a.Shape[0] {
			copy(b.At(r).Data, a.At(r).Data)
		}
		*a = b
	}
	t.NTKReplicas = Array{}
	if n < len(kept) { // those of the last time are not there
		t.Preactivations = Array{}
	}
	t.TwoTimeStep, t.TwoTimeTime = nil, nil
	for _, a := range []*Array{&t.PhiTwoTime, &t.PhiTwoTimeStderr, &t.GTwoTime, &t.GTwoTimeStderr, &t.ResponseA, &t.ResponseAStderr, &t.ResponseB, &t.ResponseBStderr} {
		*a = Array{}
	}
	k := 0
	for k < len(t.KernelStep) && t.KernelStep[k] <= step {
		k++
	}
	if k < len(t.KernelStep) {
		t.KernelStep = t.KernelStep[:k]
		cutK := func(s *[]float64) {
			if len(*s) > k {
				*s = (*s)[:k]
			}
		}
		for _, s := range []*[]float64{&t.KernelTime, &t.Alignment, &t.KernelMovement, &t.AlignmentStderr, &t.KernelMovementStderr} {
			cutK(s)
		}
		for _, a := range []*Array{&t.NTK, &t.NTKStderr, &t.Phi, &t.PhiStderr, &t.G, &t.GStderr, &t.PhiMovement, &t.GMovement, &t.PhiAlignment,
			&t.PhiMovementStderr, &t.GMovementStderr, &t.PhiAlignmentStderr} {
			first(a, k)
		}
		s := 0
		for s < len(t.SpectrumTime) && k > 0 && t.SpectrumTime[s] <= t.KernelTime[k-1] {
			s++
		}
		t.SpectrumTime = t.SpectrumTime[:s]
		first(&t.NTKSpectrum, s)
	}
}

// meanStderr returns mean and standard error over the first axis of a (replicas×n).
func meanStderr(a Array) (mean, stderr []float64) {
	r := a.Shape[0]
	n := len(a.Data) / max(r, 1)
	mean, stderr = make([]float64, n), make([]float64, n)
	for i := range r {
		for j, v := range a.Data[i*n : (i+1)*n] {
			mean[j] += v
		}
	}
	for j := range mean {
		mean[j] /= float64(r)
	}
	if r < 2 {
		return mean, stderr
	}
	for i := range r {
		for j, v := range a.Data[i*n : (i+1)*n] {
			stderr[j] += (v - mean[j]) * (v - mean[j])
		}
	}
	for j, v := range stderr {
		stderr[j] = math.Sqrt(v / float64(r-1) / float64(r))
	}
	return mean, stderr
}
