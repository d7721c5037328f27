// Package parttest has the store of tests:
//
//	store := &parttest.Memory{Saved: func(name string) { … }}
//	_, err := dmft.Solve(ctx, p, dmft.Settings{Run: dmft.Run{Store: store}})
package parttest

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// Memory is a store of parts in memory. Its zero value is empty.
type Memory struct {
	Parts map[string][]byte // by name
	Saved func(name string) // is told what was kept, or nil; one call at a time

	mu sync.Mutex
}

// Load implements part.Store. The bytes are the caller's own.
func (m *Memory) Load(name string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.Parts[name]
	return bytes.Clone(b), ok, nil
}

// Save implements part.Store.
func (m *Memory) Save(name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Parts == nil {
		m.Parts = map[string][]byte{}
	}
	m.Parts[name] = b.Bytes()
	if m.Saved != nil {
		m.Saved(name)
	}
	return nil
}

// Len is how many parts there are.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.Parts)
}
