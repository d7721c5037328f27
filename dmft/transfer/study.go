package transfer

import "math"

// Study is the loss against one hyperparameter for networks of several sizes, in one panel or several that differ in
// something else, such as the parametrisation.
type Study struct {
	Parameter string  `json:"parameter"`           // learning_rate, richness or branch.beta
	Loss      string  `json:"loss"`                // train or test
	Reduction string  `json:"reduction,omitempty"` // of the loss over samples: sum or mean
	Step      int     `json:"step"`                // after which the loss is taken
	Tolerance float64 `json:"tolerance"`           // below which a drift is none
	Panels    []Panel `json:"panels"`
}

// Panel is one set of curves.
type Panel struct {
	Label  string     `json:"label,omitempty"`
	Over   string     `json:"over"`             // what sizes are: width or depth
	Curves []Measured `json:"curves"`           // of networks, smallest first
	Theory []Measured `json:"theory,omitempty"` // of infinite width at every depth, when asked for
	Limit  *Measured  `json:"limit,omitempty"`  // of infinite size
	// Name says what the limit is, or NoLimit why there is none.
	Name    string `json:"limit_name,omitempty"`
	NoLimit string `json:"no_limit,omitempty"`

	Drift Drift `json:"drift"`
	// Between the two largest sizes: a power law that is not reached at once shows itself there.
	Last        Drift   `json:"last_drift"`
	TheoryDrift *Drift  `json:"theory_drift,omitempty"`
	Verdict     Verdict `json:"verdict"`
	// Drift of the stability limit 2/λ_max of the NTK at the start, over the same sizes.
	Expected *float64 `json:"stability_drift,omitempty"`
	Transfer *Reuse   `json:"reuse,omitempty"`
}

// Measured is a curve with its optimum.
type Measured struct {
	Curve
	Optimum *Optimum `json:"optimum,omitempty"` // nil when every point diverged
	// 2/λ_max at the start, of learning rates; 0 where it is not known
	Stability float64 `json:"stability_limit,omitempty"`
}

// Reuse is what happens when the best value of the smallest size is used for the largest.
type Reuse struct {
	From    int     `json:"from"`
	To      int     `json:"to"`
	Value   float64 `json:"value"`
	Factor  float64 `json:"loss_factor,omitempty"` // loss over the lowest of the largest size
	Failure bool    `json:"diverges,omitempty"`    // it diverges there, or was never tried that far from the optimum
}

// Conclude fills in what follows from the points of all curves.
func (s *Study) Conclude(tolerance float64) {
	s.Tolerance = tolerance
	for i := range s.Panels {
		s.Panels[i].Conclude(tolerance)
	}
}

// Conclude fills in optima, drifts and verdict of a panel from its curves.
func (p *Panel) Conclude(tolerance float64) {
	find := func(m *Measured) {
		if o, ok := m.Curve.Optimum(); ok {
			m.Optimum = &o
		}
	}
	drift := func(m []Measured) (all, last Drift) {
		var sizes []int
		var optima []*Optimum
		for i := range m {
			find(&m[i])
			sizes, optima = append(sizes, m[i].Size), append(optima, m[i].Optimum)
		}
		n := max(len(m)-2, 0)
		return FitDrift(sizes, optima), FitDrift(sizes[n:], optima[n:])
	}
	p.Drift, p.Last = drift(p.Curves)
	p.Verdict = p.Drift.Judge(tolerance)
	if len(p.Theory) > 0 {
		d, _ := drift(p.Theory)
		p.TheoryDrift = &d
	}
	if p.Limit != nil {
		find(p.Limit)
	}
	n := len(p.Curves)
	if n < 2 {
		return
	}
	small, large := p.Curves[0], p.Curves[n-1]
	var x, y, w []float64
	for _, c := range p.Curves {
		if c.Stability > 0 {
			x, y, w = append(x, math.Log(float64(c.Size))), append(y, math.Log(c.Stability)), append(w, 1)
		}
	}
	if len(x) == n {
		e, _, _ := line(x, y, w)
		p.Expected = &e
	}
	if small.Optimum != nil && large.Optimum != nil {
		r := Reuse{From: small.Size, To: large.Size, Value: small.Optimum.Value}
		if l := large.At(r.Value); math.IsInf(l, 0) || !(large.Optimum.Loss > 0) {
			r.Failure = math.IsInf(l, 0)
		} else {
			r.Factor = l / large.Optimum.Loss
		}
		p.Transfer = &r
	}
}
