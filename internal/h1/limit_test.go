package h1

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestFirstComeFirstServed(t *testing.T) {
	var lines []string // on the one connection
	h := testClient(t, serve(t, func(p *peer) {
		for {
			line, _, _ := strings.Cut(p.head(), " HTTP/1.1\r\n")
			if line == "" {
				return
			}
			lines = append(lines, line)
			p.write(plain)
		}
	}), Options{MaxConnsPerHost: 1})
	x := begin(t, h)
	var wg sync.WaitGroup
	want := []string{"GET /"}
	for i := range 5 {
		r := get(http.MethodGet)
		r.URL.Path += strconv.Itoa(i)
		want = append(want, "GET "+r.URL.Path)
		wg.Go(func() {
			if got := do(h, r); got.body != "plain" || got.x.conn != x.conn {
				t.Errorf("got %q, %v, on another connection: %v", got.body, got.err, got.x.conn != x.conn)
			}
		})
		eventually(t, "it waits", func() bool { return h.waiters() == i+1 })
	}
	finish(t, x)
	wg.Wait()
	if !slices.Equal(lines, want) {
		t.Errorf("served %q, want %q", lines, want)
	}
}

func TestTurnIsHandedOver(t *testing.T) {
	for name, act := range map[string]func(x *Exchange){
		"the body is read to its end":  func(x *Exchange) { finish(t, x) },
		"the body is closed":           func(x *Exchange) { x.Response.Body.Close() },
		"the exchange is ended":        func(x *Exchange) { x.End() },
		"the connection is aborted":    func(x *Exchange) { x.conn.abort(x, errors.New("test")) },
		"the client is closed":         func(x *Exchange) { x.conn.host.client.Close(); finish(t, x) },
		"the host is not wanted again": func(x *Exchange) { x.conn.host.retire(); finish(t, x) },
	} {
		t.Run(name, func(t *testing.T) {
			h := testClient(t, numbered(t), Options{MaxConnsPerHost: 1})
			x := begin(t, h)
			next := make(chan result)
			go func() { next <- do(h, get(http.MethodGet)) }()
			eventually(t, "it waits", func() bool { return h.waiters() == 1 })
			act(x)
			if got := <-next; got.err != nil {
				t.Error(got.err)
			}
			if h.openCount() > 1 {
				t.Errorf("%d connections", h.openCount())
			}
		})
	}
}

func TestFailedDialHandsTheTurnOver(t *testing.T) {
	fail := make(chan bool)
	var d net.Dialer
	h := testClient(t, numbered(t), Options{MaxConnsPerHost: 1, Dial: func(ctx context.Context, key string) (net.Conn, error) {
		if <-fail {
			return nil, errors.New("refused")
		}
		return d.DialContext(ctx, "tcp", key)
	}})
	results := make(chan result)
	for range 2 {
		go func() { results <- do(h, get(http.MethodGet)) }()
	}
	eventually(t, "one waits", func() bool { return h.waiters() == 1 })
	fail <- true
	if got := <-results; got.err == nil {
		t.Error("connected")
	}
	fail <- false
	if got := <-results; got.err != nil {
		t.Error(got.err)
	}
}

func TestCancelledWaiter(t *testing.T) {
	h := testClient(t, numbered(t), Options{MaxConnsPerHost: 1})
	x := begin(t, h)
	cause := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	first, second := make(chan result), make(chan result)
	go func() { first <- do(h, get(http.MethodGet).WithContext(ctx)) }()
	eventually(t, "it waits", func() bool { return h.waiters() == 1 })
	go func() { second <- do(h, get(http.MethodGet)) }()
	eventually(t, "both wait", func() bool { return h.waiters() == 2 })
	cancel(cause)
	got := <-first
	var e *Error
	if !errors.Is(got.err, cause) || !errors.As(got.err, &e) || e.Phase != Connecting || !e.Unseen {
		t.Errorf("error %v", got.err)
	}
	finish(t, x)
	if got := <-second; got.body != "0" {
		t.Errorf("got %q, %v", got.body, got.err)
	}
}

// A connection that becomes idle between the look for one and the wait must not be left lying.
func TestNobodyWaitsBesideAnIdleConnection(t *testing.T) {
	h := testClient(t, numbered(t), Options{MaxConnsPerHost: 1})
	withIdle(t, h, 1)
	within(t, func() {
		c, err := h.awaitTurn(t.Context())
		if c == nil || err != nil {
			t.Errorf("got %v, %v", c, err)
			return
		}
		h.put(c)
	})
}

// An exchange that needs a new connection takes the place of an idle one.
func TestFreshConnectionAtTheLimit(t *testing.T) {
	h := testClient(t, numbered(t), Options{MaxConnsPerHost: 2})
	withIdle(t, h, 2)
	old := h.idle[1]
	within(t, func() {
		c, err := h.take(&Exchange{Request: get(http.MethodGet)}, true)
		if err != nil {
			t.Error(err)
			return
		}
		if c.reused || h.openCount() != 2 || !old.closed.Load() {
			t.Errorf("reused: %v; %d connections", c.reused, h.openCount())
		}
		c.close()
	})
}

// However exchanges begin, end, fail and are cancelled, no place is lost and none is there twice.
func TestPlacesAreKept(t *testing.T) {
	const limit = 3
	var now, most atomic.Int32
	address := serve(t, func(p *peer) {
		for n := 0; p.head() != ""; n++ {
			switch n % 7 {
			case 3:
				return
			case 5:
				p.reset()
				return
			}
			p.write(plain)
		}
	})
	var d net.Dialer
	h := testClient(t, address, Options{MaxConnsPerHost: limit, Dial: func(ctx context.Context, key string) (net.Conn, error) {
		if rand.IntN(10) == 0 {
			return nil, errors.New("refused")
		}
		nc, err := d.DialContext(ctx, "tcp", key)
		if err != nil {
			return nil, err
		}
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		return &countedConn{TCPConn: nc.(*net.TCPConn), open: &now}, nil
	}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(4) == 0 {
					time.AfterFunc(time.Duration(rand.IntN(300))*time.Microsecond, cancel)
				}
				do(h, get(http.MethodGet).WithContext(ctx))
				cancel()
			}
		})
	}
	within(t, wg.Wait)
	if n := most.Load(); n > limit {
		t.Errorf("%d connections at once", n)
	}
	if n := h.openCount(); n != h.idleCount() || n != int(now.Load()) || n > limit {
		t.Errorf("%d places are taken, by %d connections of which %d are idle", n, now.Load(), h.idleCount())
	}
	if n := h.waiters(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

// countedConn counts those that are open.
type countedConn struct {
	*net.TCPConn
	open *atomic.Int32
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.TCPConn.Close()
}

func TestConnectionsAreCountedApart(t *testing.T) {
	address := numbered(t)
	h := testClient(t, address, Options{MaxConnsPerHost: 1, Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}})
	x := begin(t, h)
	y := begin(t, h.client.Host("other"))
	if got := finish(t, x) + finish(t, y); got != strconv.Itoa(0)+strconv.Itoa(1) {
		t.Errorf("connections %s", got)
	}
}

func TestConnectionsOfAllHostsAreBounded(t *testing.T) {
	a := testClient(t, numbered(t), Options{})
	a.client.SetMaxConns(2)
	b := a.client.Host(numbered(t))

	first, second := begin(t, a), begin(t, b)
	if got := do(b, get(http.MethodGet)); !errors.Is(got.err, ErrTooManyConns) {
		t.Fatalf("a third connection at once: %v, want %v", got.err, ErrTooManyConns)
	}
	if got := do(a, get(http.MethodGet)); !errors.Is(got.err, ErrTooManyConns) {
		t.Fatalf("a third connection at once: %v, want %v", got.err, ErrTooManyConns)
	}
	finish(t, first)
	if got := do(b, get(http.MethodGet)); got.err != nil {
		t.Fatalf("in the place of an idle connection of another host: %v", got.err)
	}
	if a.idleCount() != 0 || a.client.open.Load() != 2 {
		t.Errorf("%d idle of the other host and %d open, want 0 and 2", a.idleCount(), a.client.open.Load())
	}
	a.client.SetMaxConns(1)
	finish(t, second)
	eventually(t, "what is too many ends", func() bool { return a.client.open.Load() == 1 })
	a.client.SetMaxConns(0)
	x, y, z := begin(t, a), begin(t, a), begin(t, b)
	finish(t, x)
	finish(t, y)
	finish(t, z)
	a.client.Close()
	eventually(t, "all are closed", func() bool { return a.client.open.Load() == 0 })
}

// An exchange that is refused does not make it look as if there were too many connections, for which others would end.
func TestRefusedConnectionIsNotCounted(t *testing.T) {
	h := testClient(t, numbered(t), Options{})
	h.client.SetMaxConns(1)
	x := begin(t, h)
	var wg sync.WaitGroup
	var over atomic.Bool
	wg.Go(func() {
		defer over.Store(true)
		for range 200_000 {
			if h.client.admit() {
				t.Error("there is a second connection")
				return
			}
		}
	})
	for !over.Load() {
		if h.client.crowded() {
			t.Error("there are too many connections")
			break
		}
	}
	wg.Wait()
	finish(t, x)
}
