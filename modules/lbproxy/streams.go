package lbproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

// closeFrameTimeout bounds how long a close frame may take to be written to a peer that does not read.
const closeFrameTimeout = time.Second

// streams are the upgraded connections of a handler. Servers and transports know nothing of them any more, so
// the handler has to close them itself when its configuration goes.
type streams struct {
	logger *zap.Logger

	mu      sync.Mutex
	open    map[*stream]struct{}
	ending  bool          // the configuration is gone
	delay   time.Duration // how long streams outlive it
	closing *time.Timer   // closes what is open; nil while nothing is to be closed
}

// stream is one upgraded connection: the client's side and the backend's.
type stream struct {
	client, backend *streamEnd
	webSocket       bool
	once            sync.Once
}

// streamEnd is one side of a stream. Whole writes take turns, since a close frame comes from another goroutine
// than the data. That goroutine may be late: a client of HTTP/2 or HTTP/3 must not be written to when its handler
// has returned, so nothing is after end.
type streamEnd struct {
	io.ReadWriteCloser
	writing sync.Mutex // held while writing
	state   sync.Mutex // guards ended against abort
	ended   bool       // set with both held
}

// Write implements io.Writer.
func (e *streamEnd) Write(p []byte) (int, error) {
	e.writing.Lock()
	defer e.writing.Unlock()
	if e.ended {
		return 0, net.ErrClosed
	}
	return e.ReadWriteCloser.Write(p)
}

// end waits for the write that is going on and has all later ones fail.
func (e *streamEnd) end() {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.state.Lock()
	defer e.state.Unlock()
	e.ended = true
}

// abort ends a write that takes too long.
func (e *streamEnd) abort() {
	e.state.Lock()
	defer e.state.Unlock()
	if e.ended {
		return
	}
	if c, ok := e.ReadWriteCloser.(interface{ abortWrite() }); ok {
		c.abortWrite()
	}
	_ = e.Close()
}

// errNoHalfClose ends a stream when one side has nothing more to say and the other cannot be told so alone.
var errNoHalfClose = errors.New("the connection cannot be closed in one direction")

// CloseWrite tells the peer that nothing more comes, if the connection can do that.
func (e *streamEnd) CloseWrite() error {
	if half, ok := e.ReadWriteCloser.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errNoHalfClose
}

func newStreams(logger *zap.Logger) *streams {
	return &streams{logger: logger, open: make(map[*stream]struct{})}
}

// add registers a stream. One that begins when the configuration is gone already ends like the others.
func (s *streams) add(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[st] = struct{}{}
	if s.ending {
		s.schedule()
	}
}

// remove forgets a stream. With the last one the timer goes, and with it what it holds of the handler.
func (s *streams) remove(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, st)
	if len(s.open) == 0 && s.closing != nil {
		s.closing.Stop()
		s.closing = nil
	}
}

// closeAfter closes all streams, those to come included, after the delay; at once when it is 0. It may be called
// more than once, and on nil.
func (s *streams) closeAfter(delay time.Duration) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.ending, s.delay = true, delay
	if delay > 0 && len(s.open) > 0 {
		s.schedule()
	}
	s.mu.Unlock()
	if delay <= 0 {
		s.closeAll()
	}
}

// schedule starts the timer that closes everything. The caller holds s.mu.
func (s *streams) schedule() {
	if s.closing == nil {
		s.closing = time.AfterFunc(s.delay, s.closeAll)
	}
}

func (s *streams) closeAll() {
	s.mu.Lock()
	open := make([]*stream, 0, len(s.open))
	for st := range s.open {
		open = append(open, st)
	}
	s.closing = nil
	s.mu.Unlock()

	if len(open) > 0 {
		s.logger.Debug("closing upgraded connections of a configuration that is gone", zap.Int("count", len(open)))
	}
	var wg sync.WaitGroup
	for _, st := range open {
		wg.Go(st.goAway)
	}
	wg.Wait()
}

// goAway tells both sides of a WebSocket that the connection ends, and closes it. A frame may land within one
// that is being written; the peer then sees a broken connection instead of a closed one.
func (st *stream) goAway() {
	if st.webSocket {
		writeInTime(st.client, closeFrame(false))
		writeInTime(st.backend, closeFrame(true))
	}
	st.close()
}

func (st *stream) close() {
	st.once.Do(func() {
		_ = st.client.Close()
		_ = st.backend.Close()
	})
}

// writeInTime writes p unless that takes too long; then the connection is closed.
func writeInTime(e *streamEnd, p []byte) {
	timer := time.AfterFunc(closeFrameTimeout, e.abort)
	defer timer.Stop()
	_, _ = e.Write(p)
}
