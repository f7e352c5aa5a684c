package filter

import (
	"io"
	"sync"
)

// replaceBuffers are what bodies are searched in: more than the longest text.
var replaceBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// replacingBody is a body in which texts are replaced.
type replacingBody struct {
	io.ReadCloser
	finder       *textFinder
	replacements []string

	buf        *[32 << 10]byte // nil once the body has ended
	start, end int             // of what was read and not passed on

	plain    int    // bytes from start that belong to no text
	match    int    // the text behind them, or -1
	searched bool   // what is behind plain and match may begin a text
	pending  string // what is left of a replacement
	err      error  // how the body ended
}

func newReplacingBody(body io.ReadCloser, finder *textFinder, replacements []string) *replacingBody {
	buf := replaceBuffers.Get().(*[32 << 10]byte)
	return &replacingBody{ReadCloser: body, finder: finder, replacements: replacements, buf: buf, match: -1, searched: true}
}

// Read implements io.Reader. It waits for the backend only while there is nothing that can be passed on.
func (b *replacingBody) Read(p []byte) (n int, err error) {
	for n < len(p) {
		switch {
		case b.pending != "":
			c := copy(p[n:], b.pending)
			b.pending = b.pending[c:]
			n += c
		case b.plain > 0:
			c := copy(p[n:], b.buf[b.start:b.start+b.plain])
			b.plain -= c
			b.start += c
			n += c
		case b.match >= 0:
			b.pending = b.replacements[b.match]
			b.start += len(b.finder.texts[b.match])
			b.match, b.searched = -1, false
		case !b.searched:
			b.plain, b.match = b.finder.find(b.buf[b.start:b.end], b.err != nil)
			b.searched = true
		case n > 0:
			return n, nil
		case b.err != nil:
			b.release()
			return 0, b.err
		case !b.fill():
			return 0, nil
		}
	}
	return n, nil
}

// fill reads more behind what may begin a text, and reports whether there was anything to learn.
func (b *replacingBody) fill() bool {
	b.end = copy(b.buf[:], b.buf[b.start:b.end])
	b.start = 0
	n, err := b.ReadCloser.Read(b.buf[b.end:])
	b.end += n
	b.err = err
	b.searched = false
	return n > 0 || err != nil
}

// release gives the buffer back once the end was read. A body that is closed before may still be read by another goroutine, and
// leaves it to the garbage collector.
func (b *replacingBody) release() {
	if b.buf != nil {
		replaceBuffers.Put(b.buf)
		b.buf = nil
	}
}
