package ode

import "fmt"

// Memory is a method with fixed steps as a memory kernel. Its times are the evaluations of the gradient, in order: rows
// 0 … E−1 are the states at which ∇(0) … ∇(E−1) are evaluated, row E is the final state, and
//
//	θ(t) = D[t] θ(0) + Σ_{s<t} C[t][s] ∇(s)
//
// For the optimisers these are the steps themselves, E is their number and Output[n] = n. For Runge–Kutta each stage is
// a time.
type Memory struct {
	Time   []float64   // E+1; step number of an optimiser, t of a flow
	D      []float64   // E+1
	C      [][]float64 // E+1 rows, C[t] of length t
	Output []int       // steps+1; the row of each output
}

// MemoryKernel runs a method on formal coefficients instead of numbers and so returns the kernel of what it does in the
// given number of steps, with every learning rate, weight decay and momentum in it (Bordelon & Pehlevan, arXiv
// 2205.09653, appendices J and K). It takes of the order of E² memory. An adaptive method chooses its steps by the
// gradients and has no such kernel: that is an error.
//
//	gd                  d = Π_n ρ_n,  c(t,s) = η_s Π_{s<n<t} ρ_n      ρ_n = 1 − η_n λ
//	momentum, λ = 0     d = 1,        c(t,s) = η (1 − μ^{t−s})/(1 − μ)
func MemoryKernel(m Method, steps int) (*Memory, error) {
	st, err := NewStepper(m, steps)
	if err != nil {
		return nil, err
	}
	if m.IsAdaptive() {
		return nil, fmt.Errorf("ode: %s chooses its steps on the way and has no memory kernel; use rk4", m.Kind)
	}
	if steps < 0 {
		return nil, fmt.Errorf("ode: memory kernel of %d steps", steps)
	}
	f := &formal{}
	f.Reserve(st.Registers())
	f.regs[0][0] = 1
	mem := &Memory{Output: make([]int, 0, steps+1)}
	for n := range steps {
		mem.Output = append(mem.Output, len(f.rows))
		f.Eval(0, m.Time(n))
		if err := st.Step(f, n); err != nil {
			return nil, err
		}
	}
	mem.Output = append(mem.Output, len(f.rows))
	f.Eval(0, m.Time(steps)) // records the final state
	mem.Time = f.time
	for _, row := range f.rows {
		mem.D, mem.C = append(mem.D, row[0]), append(mem.C, row[1:])
	}
	return mem, nil
}

// formal is the System of coefficients: a register holds those of θ(0), ∇(0), ∇(1), … so far.
type formal struct {
	regs [][]float64
	rows [][]float64 // the register evaluated, by evaluation
	time []float64
}

func (f *formal) Reserve(n int) {
	for len(f.regs) < n {
		f.regs = append(f.regs, make([]float64, 1+len(f.rows)))
	}
}

func (f *formal) Eval(r int, t float64) {
	f.rows, f.time = append(f.rows, append([]float64(nil), f.regs[r]...)), append(f.time, t)
	for i := range f.regs {
		f.regs[i] = append(f.regs[i], 0)
	}
}

func (f *formal) Accumulate(dst int, beta, a float64) {
	d := f.regs[dst]
	scale(d, beta)
	d[len(d)-1] += a
}

func (f *formal) Combine(dst int, c []float64) { (&Vector{regs: f.regs}).Combine(dst, c) }

// ErrorNorm implements System; methods with fixed steps never ask.
func (f *formal) ErrorNorm(_, _, _ int, _, _ float64) float64 { return 0 }
