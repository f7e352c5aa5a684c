package h1

import (
	"context"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what the connections of a [Client] have in common. The zero value of a field is its default.
type Options struct {
	// Dial makes a connection to the host with the given key. The context is that of the exchange's request.
	Dial func(ctx context.Context, key string) (net.Conn, error)

	// Handshake makes a connection secure, as with TLS. It closes the connection when it fails. Default: none, requests are
	// sent in the clear.
	Handshake func(ctx context.Context, conn net.Conn) (net.Conn, error)

	// IdleTimeout is how long a connection is kept without a request. Default: 2 minutes. Negative: for ever.
	IdleTimeout time.Duration

	// MaxIdlePerHost is how many idle connections each host keeps. Default: 32, of which more are closed within about a second
	// rather than at once, so that a busy host does not close connections only to open them again.
	MaxIdlePerHost int

	// MaxIdle is how many idle connections all hosts keep together, enforced in the same way. Default: no limit.
	MaxIdle int

	// MaxConnsPerHost is how many connections a host has, idle ones included; exchanges wait, first come first
	// served, for one that is free. Default: no limit.
	MaxConnsPerHost int

	// DisableKeepAlives closes each connection after one exchange, and says so to the server.
	DisableKeepAlives bool

	// HeaderTimeout is how long an answer's header may take once the request is sent. It is kept to within a
	// few hundredths of a second. Default: no limit.
	HeaderTimeout time.Duration

	// ExpectTimeout is how long the body of a request with "Expect: 100-continue" is held back for an answer.
	// Default: 1 second.
	ExpectTimeout time.Duration

	// MaxHeaderBytes bounds an answer's header, its interim answers and its trailers. Default: 10 MiB.
	MaxHeaderBytes int

	// ReadBufferSize is the size of the buffer that answers are read into. Default: 4 KiB.
	ReadBufferSize int

	lenient bool // about MaxIdlePerHost
}

func (o *Options) setDefaults() {
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 2 * time.Minute
	}
	if o.MaxIdlePerHost == 0 {
		o.MaxIdlePerHost, o.lenient = 32, true
	}
	if o.ExpectTimeout == 0 {
		o.ExpectTimeout = time.Second
	}
	if o.MaxHeaderBytes == 0 {
		o.MaxHeaderBytes = 10 << 20
	}
	if o.ReadBufferSize < 256 {
		o.ReadBufferSize = DefaultBufferSize
	}
}

// Client holds connections to servers. Its methods may be called by any number of goroutines.
type Client struct {
	options Options
	memory  *memory
	watcher watcher

	// hosts is read without a lock and replaced as a whole, since hosts of this kind come with a configuration.
	hosts atomic.Pointer[map[string]*Host]

	mu        sync.Mutex
	transient map[string]*Host // those whose key depends on requests
	tidyAt    int              // how many of them are too many to have no look at
	closed    atomic.Bool

	maxConns atomic.Int64 // 0: no bound
	open     atomic.Int64 // connections there are or are being made
}

// NewClient returns a client without connections. It has to be closed.
func NewClient(options Options) *Client {
	options.setDefaults()
	c := &Client{options: options, memory: newMemory(options.ReadBufferSize), transient: make(map[string]*Host)}
	c.hosts.Store(&map[string]*Host{})
	c.watcher.client = c
	return c
}

// Host returns the connections to one server, which key stands for: it has to differ wherever connections must not
// be shared. It neither locks nor allocates but for a key's first time.
func (c *Client) Host(key string) *Host {
	if h := (*c.hosts.Load())[key]; h != nil {
		return h
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := *c.hosts.Load()
	if h := old[key]; h != nil {
		return h
	}
	hosts := maps.Clone(old)
	h := &Host{client: c, key: key}
	hosts[key] = h
	c.hosts.Store(&hosts)
	return h
}

// Transient is as Host for keys that depend on requests, of which there may be many. It locks for a moment.
func (c *Client) Transient(key string) *Host {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.transient[key]
	if h == nil {
		if len(c.transient) >= c.tidyAt {
			// Nobody sweeps while no connection comes about.
			c.forgetUnused()
			c.tidyAt = max(minTidy, 2*len(c.transient))
		}
		h = &Host{client: c, key: key}
		c.transient[key] = h
	}
	return h
}

// SetMaxConns bounds the connections of all hosts together, idle ones included; 0 is no bound. An exchange that needs one
// more takes the place of an idle one of any host, or fails with [ErrTooManyConns]. It may be called at any time; connections that
// are too many then end as they are given back.
func (c *Client) SetMaxConns(n int) { c.maxConns.Store(int64(n)) }

// admit counts a connection that is about to be made, if there may be one more. The count is never too high, not even for a
// moment: a connection that is given back just then would be closed, and another exchange refused, although there is a place.
func (c *Client) admit() bool {
	for {
		n, limit := c.open.Load(), c.maxConns.Load()
		switch {
		case limit == 0 || n < limit:
			if c.open.CompareAndSwap(n, n+1) {
				return true
			}
		case c.closeIdle():
		case c.open.Load() >= limit: // else one has ended meanwhile
			return false
		}
	}
}

// closeIdle closes an idle connection, the oldest of a host that has one, and reports whether there was any.
func (c *Client) closeIdle() bool {
	for _, h := range c.all() {
		if conn := h.oldest(); conn != nil {
			conn.close()
			return true
		}
	}
	return false
}

// crowded reports whether there are more connections than may be.
func (c *Client) crowded() bool {
	limit := c.maxConns.Load()
	return limit > 0 && c.open.Load() > limit
}

// minTidy is how many transient hosts there may be before those without connections are looked for.
const minTidy = 256

// Retain forgets the hosts that keep does not want, and closes their idle connections; those in use are closed when
// they are done. Transient hosts are forgotten when they have had no connection for a while.
func (c *Client) Retain(keep func(key string) bool) {
	c.mu.Lock()
	old := *c.hosts.Load()
	hosts := make(map[string]*Host, len(old))
	var gone []*Host
	for key, h := range old {
		if keep(key) {
			hosts[key] = h
		} else {
			gone = append(gone, h)
		}
	}
	c.hosts.Store(&hosts)
	c.mu.Unlock()
	for _, h := range gone {
		h.retire()
	}
}

// Close closes all idle connections, and those in use as soon as they are done. Exchanges that begin later, as requests of a
// configuration that was replaced do, still get a connection; it is not kept. It may be called more than once.
func (c *Client) Close() {
	c.closed.Store(true)
	for _, h := range c.all() {
		h.retire()
	}
}

// all returns the hosts of both kinds.
func (c *Client) all() []*Host {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := *c.hosts.Load()
	hosts := make([]*Host, 0, len(known)+len(c.transient))
	for _, h := range known {
		hosts = append(hosts, h)
	}
	for _, h := range c.transient {
		hosts = append(hosts, h)
	}
	return hosts
}

// forgetTransient forgets transient hosts that nothing happens on.
func (c *Client) forgetTransient() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetUnused()
}

// forgetUnused is forgetTransient for a caller who holds c.mu.
func (c *Client) forgetUnused() {
	for key, h := range c.transient {
		if h.retireUnused() {
			delete(c.transient, key)
		}
	}
}
