package dmft

// WithDefaults returns the problem with what its zero values mean spelled out: a network without a kind is a two-layer
// network, of depth 1, and a loss without one the squared loss. It returns the problem itself when there is nothing to
// spell out.
func (p *Problem) WithDefaults() *Problem {
	q := *p
	if q.Network.Kind == "" {
		q.Network.Kind = TwoLayer
	}
	if q.Network.Kind == TwoLayer && q.Network.Depth == 0 {
		q.Network.Depth = 1
	}
	if q.Training.Loss.Kind == "" && q.Training.Loss.Function == nil {
		q.Training.Loss.Kind = MSE
	}
	if q.Network.Kind == p.Network.Kind && q.Network.Depth == p.Network.Depth && q.Training.Loss.Kind == p.Training.Loss.Kind {
		return p
	}
	return &q
}
