package dmft

import "github.com/seed39b58f2d/dmft/dmft/arch"

// WithDefaults returns the problem with what its zero values mean spelled out: a network without a kind is a two-layer
// network, of depth 1, or what its blocks say, of as many layers as they have, and a loss without one the squared loss.
// It returns the problem itself when there is nothing to spell out.
func (p *Problem) WithDefaults() *Problem {
	q := *p
	n := &q.Network
	switch {
	case n.Kind == "" && n.Blocks != nil:
		n.Kind = Listed
	case n.Kind == "":
		n.Kind = TwoLayer
	}
	switch {
	case n.Depth != 0:
	case n.Kind == TwoLayer:
		n.Depth = 1
	case n.Kind == Listed && arch.Validate(n.Blocks) == nil:
		n.Depth = arch.Layers(n.Blocks)
	}
	if q.Training.Loss.Kind == "" && q.Training.Loss.Function == nil {
		q.Training.Loss.Kind = MSE
	}
	if q.Network.Kind == p.Network.Kind && q.Network.Depth == p.Network.Depth && q.Training.Loss.Kind == p.Training.Loss.Kind {
		return p
	}
	return &q
}
