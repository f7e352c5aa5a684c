package h1

import (
	"io"
	"sync"
)

// DefaultBufferSize is the size of a connection's buffer while it serves a request.
const DefaultBufferSize = 4 << 10

// buffer is what was read from a connection and not used yet. It is bound to memory only while it is needed.
type buffer struct {
	mem  []byte
	from int // what was used up
	to   int // what was read
}

// bytes is what is there.
func (b *buffer) bytes() []byte { return b.mem[b.from:b.to] }

func (b *buffer) len() int { return b.to - b.from }

// skip uses up n bytes.
func (b *buffer) skip(n int) {
	if b.from += n; b.from == b.to {
		b.from, b.to = 0, 0
	}
}

// fill reads once more behind what is there, into at least one free byte: a full buffer moves what is left to its
// start, and grows when that does not help.
func (b *buffer) fill(src io.Reader) error {
	if b.to == len(b.mem) {
		b.makeRoom()
	}
	for range maxEmptyReads {
		n, err := src.Read(b.mem[b.to:])
		b.to += n
		if n > 0 {
			return nil // an error will come again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// maxEmptyReads is how often a reader may give nothing without saying why.
const maxEmptyReads = 100

func (b *buffer) makeRoom() {
	if b.from > 0 {
		b.to = copy(b.mem, b.mem[b.from:b.to])
		b.from = 0
		return
	}
	grown := make([]byte, 2*len(b.mem))
	copy(grown, b.mem[:b.to])
	b.mem = grown
}

// memory is buffers of one size that nobody uses.
type memory struct{ pool sync.Pool }

func newMemory(size int) *memory {
	m := new(memory)
	m.pool.New = func() any { p := make([]byte, size); return &p }
	return m
}

func (m *memory) get() *[]byte { return m.pool.Get().(*[]byte) }

func (m *memory) put(p *[]byte) { m.pool.Put(p) }
