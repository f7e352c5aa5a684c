package h1server

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options are a server's limits. They mean what they mean for [http.Server].
type Options struct {
	// ReadTimeout bounds reading a request, its body included. Default: no limit.
	ReadTimeout time.Duration

	// ReadHeaderTimeout bounds reading a request's header, from its first byte. Default: ReadTimeout.
	ReadHeaderTimeout time.Duration

	// WriteTimeout bounds a request from the end of its header to the end of the answer. Default: no limit.
	WriteTimeout time.Duration

	// IdleTimeout bounds the wait for the next request. It may be a hundredth shorter. Default: ReadTimeout.
	IdleTimeout time.Duration

	// MaxHeaderBytes bounds a request's header. Default: 1 MiB.
	MaxHeaderBytes int

	// Panicked, when not nil, is told of handlers that panic, with anything but [http.ErrAbortHandler].
	Panicked func(client string, value any, stack []byte)

	// Misused, when not nil, is told of handlers that use their ResponseWriter in a way that has no effect.
	Misused func(text string)
}

func (o *Options) setDefaults() {
	if o.ReadHeaderTimeout == 0 {
		o.ReadHeaderTimeout = o.ReadTimeout
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = o.ReadTimeout
	}
	if o.MaxHeaderBytes <= 0 {
		o.MaxHeaderBytes = http.DefaultMaxHeaderBytes
	}
	if o.Panicked == nil {
		o.Panicked = func(string, any, []byte) {}
	}
	if o.Misused == nil {
		o.Misused = func(string) {}
	}
}

// Server serves connections that it took over. Its methods may be called by any number of goroutines.
type Server struct {
	handler http.Handler
	options Options

	draining  atomic.Bool
	successor *Server // set before draining is

	mu    sync.Mutex
	conns map[*conn]struct{}
	empty chan struct{} // closed when a drained server has no connection any more
}

// New returns a server whose requests the handler answers.
func New(handler http.Handler, options Options) *Server {
	options.setDefaults()
	return &Server{handler: handler, options: options, conns: make(map[*conn]struct{}), empty: make(chan struct{})}
}

// track counts a connection as one of s. It reports false when s is drained.
func (s *Server) track(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// untrack ends track. It may be called more than once.
func (s *Server) untrack(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; !ok {
		return
	}
	delete(s.conns, c)
	if len(s.conns) == 0 && s.draining.Load() {
		close(s.empty)
	}
}

// Drain ends the server, as [http.Server.Shutdown] does, but does not wait: requests under way are answered, and their connections then
// closed. Idle connections, which a client may be using at this very moment, are not simply closed: with a successor, that one serves
// the next request of each and tells the client to close. Without, those on which nothing has arrived are closed. It is called once.
func (s *Server) Drain(successor *Server) {
	s.mu.Lock()
	s.successor = successor
	s.draining.Store(true)
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	if len(conns) == 0 {
		close(s.empty)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.rouse(s)
	}
}

// Wait waits until a drained server has no connection any more, or for the context's end, whose cause is then the error.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-s.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Connections is how many connections the server has.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// heir follows the successors of a drained server to one that takes c; nil when there is none.
func (s *Server) heir(c *conn) *Server {
	for s.draining.Load() {
		if s.successor == nil {
			return nil
		}
		if s = s.successor; s.track(c) {
			return s
		}
	}
	return nil
}
