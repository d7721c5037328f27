package random

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Stream is a sequence of random numbers. It is not safe for use by several goroutines: give each its own stream.
type Stream struct{ s0, s1, s2, s3 uint64 }

// New returns a stream of the given seed. Different seeds or streams are independent for all purposes.
func New(seed, stream uint64) *Stream {
	word := func(c uint64) uint64 { return mix(mix(mix(seed+c)^stream) + c) }
	const golden = 0x9e3779b97f4a7c15 // 2⁶⁴ over the golden ratio, the increment of splitmix64
	var c [4]uint64
	for i := range c {
		c[i] = word(uint64(i+1) * golden)
	}
	s := &Stream{c[0], c[1], c[2], c[3]}
	if s.s0|s.s1|s.s2|s.s3 == 0 {
		s.s0 = 1 // the one state that is not on the cycle
	}
	return s
}

// mix is the output function of splitmix64, a bijection.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// state marks the encoded states of this generator.
const state = "xoshiro256++:"

// MarshalBinary encodes where the stream is.
func (s *Stream) MarshalBinary() ([]byte, error) {
	b := []byte(state)
	for _, x := range [4]uint64{s.s0, s.s1, s.s2, s.s3} {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b, nil
}

// UnmarshalBinary goes to where MarshalBinary was called.
func (s *Stream) UnmarshalBinary(b []byte) error {
	if len(b) != len(state)+32 || string(b[:len(state)]) != state {
		return errors.New("random: this is not the state of a random stream of this version of the program")
	}
	var x [4]uint64
	for i := range x {
		x[i] = binary.LittleEndian.Uint64(b[len(state)+8*i:])
	}
	if x == [4]uint64{} {
		return errors.New("random: the state of a random stream is damaged")
	}
	*s = Stream{x[0], x[1], x[2], x[3]}
	return nil
}

// Uint64 returns the next 64 random bits.
func (s *Stream) Uint64() uint64 {
	r := bits.RotateLeft64(s.s0+s.s3, 23) + s.s0
	t := s.s1 << 17
	s.s2 ^= s.s0
	s.s3 ^= s.s1
	s.s1 ^= s.s2
	s.s0 ^= s.s3
	s.s2 ^= t
	s.s3 = bits.RotateLeft64(s.s3, 45)
	return r
}

// Float64 returns a number uniformly distributed over the odd multiples of 2⁻⁵³ in (0, 1).
func (s *Stream) Float64() float64 { return unit(s.Uint64()) }

// unit maps 64 bits to the middle of one of 2⁵² intervals of (0, 1).
func unit(x uint64) float64 { return (float64(x>>12) + 0.5) * 0x1p-52 }

// Uniform fills dst as Float64 would.
func (s *Stream) Uniform(dst []float64) {
	t := *s
	for i := range dst {
		dst[i] = t.Float64()
	}
	*s = t
}
