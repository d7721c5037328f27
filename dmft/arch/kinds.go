package arch

import "github.com/seed39b58f2d/dmft/kernels"

// MLP is a multilayer perceptron of L hidden layers, h^{ℓ+1} = W^ℓφ(h^ℓ)/√N + σ_b b^ℓ; one layer makes a two-layer
// network.
func MLP(depth int, phi kernels.Activation, bias float64) []Block {
	act := Activation{phi}
	blocks := []Block{act}
	for range depth - 1 {
		blocks = append(blocks, Linear{Bias: bias}, act)
	}
	return blocks
}

// ResNet is a residual network of L hidden layers, h^{ℓ+1} = h^ℓ + s(W^ℓφ(h^ℓ)/√N + σ_b b^ℓ), with a readout of φ(h^L).
// The branches learn at a rate relative to that of hidden layers.
func ResNet(depth int, phi kernels.Activation, bias, scale, rate float64) []Block {
	act := Activation{phi}
	var blocks []Block
	for range depth - 1 {
		blocks = append(blocks, Residual{Scale: scale, Rate: rate, Branch: []Block{act, Linear{Bias: bias}}})
	}
	return append(blocks, act)
}
