package h1

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
)

// numbered is a server whose answers say which connection they came on.
func numbered(t testing.TB) string {
	return serve(t, func(p *peer) {
		n := strconv.Itoa(p.n)
		for {
			if head, _, _ := p.request(); head == "" {
				return
			}
			p.write("HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(n)) + "\r\n\r\n" + n)
		}
	})
}

// begin begins an exchange, and leaves its answer's body unread.
func begin(t testing.TB, h *Host) *Exchange {
	t.Helper()
	x := &Exchange{Request: get(http.MethodGet)}
	if err := h.RoundTrip(x); err != nil {
		t.Fatal(err)
	}
	return x
}

// finish reads an exchange's answer to its end.
func finish(t testing.TB, x *Exchange) string {
	t.Helper()
	defer x.End()
	buf := make([]byte, 64)
	n, err := x.Response.Body.Read(buf)
	if err == nil {
		t.Error("the end of the body does not come with its last bytes")
	}
	return string(buf[:n])
}

// withIdle gives a host n idle connections, the first of which became idle first.
func withIdle(t testing.TB, h *Host, n int) {
	t.Helper()
	var xs []*Exchange
	for range n {
		xs = append(xs, begin(t, h))
	}
	for i, x := range xs {
		if got := finish(t, x); got != strconv.Itoa(i) {
			t.Fatalf("connection %s, want %d", got, i)
		}
	}
}

func TestLastUsedIsUsedFirst(t *testing.T) {
	h := testClient(t, numbered(t), Options{})
	withIdle(t, h, 3)
	a, b := begin(t, h), begin(t, h)
	if got := finish(t, a) + finish(t, b) + do(h, get(http.MethodGet)).body; got != "211" {
		t.Errorf("connections %s, want 2, 1, 1", got)
	}
}

func TestIdleTimeout(t *testing.T) {
	h := testClient(t, numbered(t), Options{IdleTimeout: time.Minute})
	withIdle(t, h, 3)
	h.idle[0].idleSince -= 30 * time.Second
	since := h.idle[0].idleSince
	if gone := h.expired(since + time.Minute - 1); len(gone) != 0 {
		t.Errorf("%d connections expired too early", len(gone))
	}
	w := &h.client.watcher
	w.sweep(since+time.Minute, false)
	if h.idleCount() != 2 || h.openCount() != 2 {
		t.Errorf("%d idle connections of %d", h.idleCount(), h.openCount())
	}
	w.sweep(since+2*time.Minute, false)
	if h.idleCount() != 0 || h.openCount() != 0 {
		t.Errorf("%d idle connections of %d", h.idleCount(), h.openCount())
	}
}

func TestNoIdleTimeout(t *testing.T) {
	h := testClient(t, numbered(t), Options{IdleTimeout: -1})
	withIdle(t, h, 1)
	if gone := h.expired(now() + 1000*time.Hour); gone != nil {
		t.Error("it expired")
	}
}

func TestMaxIdlePerHost(t *testing.T) {
	h := testClient(t, numbered(t), Options{MaxIdlePerHost: 2})
	withIdle(t, h, 4)
	if h.idleCount() != 2 || h.openCount() != 2 {
		t.Errorf("%d idle connections of %d", h.idleCount(), h.openCount())
	}
}

// By default a burst keeps its connections for a second.
func TestDefaultOfMaxIdlePerHost(t *testing.T) {
	h := testClient(t, numbered(t), Options{})
	withIdle(t, h, 40)
	begun := h.idle[0].idleSince
	h.client.watcher.sweep(begun+time.Second-1, false)
	if h.idleCount() != 40 {
		t.Errorf("%d idle connections at once", h.idleCount())
	}
	h.client.watcher.sweep(begun+time.Minute, false)
	if h.idleCount() != 32 || h.openCount() != 32 {
		t.Errorf("%d idle connections of %d", h.idleCount(), h.openCount())
	}
	if got := do(h, get(http.MethodGet)).body; got != "39" {
		t.Errorf("connection %s is used, want the one used last", got)
	}
}

func TestMaxIdle(t *testing.T) {
	address := numbered(t)
	h := testClient(t, address, Options{MaxIdle: 3, Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}})
	withIdle(t, h, 3)
	other := h.client.Transient("other")
	x, y := begin(t, other), begin(t, other)
	finish(t, x)
	finish(t, y)
	h.client.watcher.sweep(now(), false)
	if a, b := h.openCount(), other.openCount(); a+b != 3 {
		t.Errorf("%d and %d connections, want 3", a, b)
	}
}

// An idle connection that its server closed is not kept until somebody needs it.
func TestEndedConnectionsAreSwept(t *testing.T) {
	stop := make(chan struct{})
	h := testClient(t, serve(t, func(p *peer) {
		p.head()
		p.write(plain)
		if p.n == 0 {
			<-stop
			return
		}
		p.ended()
	}), Options{})
	a, b := begin(t, h), begin(t, h)
	finish(t, a)
	finish(t, b)
	close(stop)
	eventually(t, "the one that ended is closed", func() bool {
		h.client.watcher.sweep(now(), true)
		return h.openCount() == 1
	})
	if h.idleCount() != 1 || !h.idle[0].alive() {
		t.Error("the wrong one was closed")
	}
}

func TestDisableKeepAlives(t *testing.T) {
	h := testClient(t, numbered(t), Options{DisableKeepAlives: true})
	for i := range 3 {
		if got := do(h, get(http.MethodGet)); got.body != strconv.Itoa(i) || h.openCount() != 0 {
			t.Errorf("connection %s, want %d; %d are open", got.body, i, h.openCount())
		}
	}
}

// A client that said close sends nothing after it (RFC 9112, section 9.6).
func TestRequestSaysClose(t *testing.T) {
	h := testClient(t, numbered(t), Options{})
	r := get(http.MethodGet)
	r.Header.Set("Connection", "x, Close")
	if got := do(h, r); got.err != nil || h.openCount() != 0 {
		t.Errorf("%v; %d connections are open", got.err, h.openCount())
	}
}

func TestRetain(t *testing.T) {
	address := numbered(t)
	h := testClient(t, address, Options{Dial: func(ctx context.Context, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}})
	c := h.client
	kept := c.Host("kept")
	withIdle(t, h, 1)
	finish(t, begin(t, kept))
	x := begin(t, h)
	y := begin(t, h)
	finish(t, y)
	c.Retain(func(key string) bool { return key == "kept" })
	if kept.idleCount() != 1 || h.openCount() != 1 || c.Host("kept") != kept || c.Host(address) == h {
		t.Errorf("%d kept, %d not", kept.idleCount(), h.openCount())
	}
	if got := finish(t, x); got != "0" || h.openCount() != 0 {
		t.Errorf("got %q; %d connections are open", got, h.openCount())
	}
	// Whoever still has the host can use it, and leaves nothing behind.
	if got := do(h, get(http.MethodGet)); got.err != nil || h.openCount() != 0 {
		t.Errorf("%v; %d connections are open", got.err, h.openCount())
	}
}

func TestClose(t *testing.T) {
	address := numbered(t)
	h := testClient(t, address, Options{})
	withIdle(t, h, 2)
	x := begin(t, h)
	h.client.Close()
	h.client.Close()
	if h.openCount() != 1 {
		t.Errorf("%d connections are open", h.openCount())
	}
	if got := finish(t, x); got != "1" || h.openCount() != 0 {
		t.Errorf("got %q; %d connections are open", got, h.openCount())
	}
	// Whoever still has the client can use it, and leaves nothing behind; so with a host that it did not have yet.
	for _, h := range []*Host{h, h.client.Transient(address)} {
		if got := do(h, get(http.MethodGet)); got.err != nil || h.openCount() != 0 {
			t.Errorf("%v; %d connections are open", got.err, h.openCount())
		}
	}
}

func TestHostsAndTransientHosts(t *testing.T) {
	address := numbered(t)
	h := testClient(t, address, Options{})
	c := h.client
	if c.Host(address) != h || c.Host("a") == c.Host("b") {
		t.Error("hosts are not told apart by their keys")
	}
	tr := c.Transient(address)
	if tr == h || c.Transient(address) != tr {
		t.Error("transient hosts are not told apart by their keys")
	}
	if got := do(tr, get(http.MethodGet)); got.err != nil {
		t.Fatal(got.err)
	}
	c.forgetTransient()
	if c.Transient(address) != tr {
		t.Error("a host with a connection was forgotten")
	}
	for _, idle := range slices.Clone(tr.idle) {
		tr.idleTake()
		idle.close()
	}
	c.forgetTransient()
	if c.Transient(address) == tr {
		t.Error("a host without connections was not forgotten")
	}
	// A request that was about to use the forgotten host must not leave a connection where nobody finds it.
	if got := do(tr, get(http.MethodGet)); got.err != nil || tr.openCount() != 0 {
		t.Errorf("%v; %d connections are open", got.err, tr.openCount())
	}
}

// Keys that come from requests must not fill the memory, even if no connection is ever made.
func TestTransientHostsAreBounded(t *testing.T) {
	c := NewClient(Options{Dial: func(context.Context, string) (net.Conn, error) { return nil, errors.New("no") }})
	defer c.Close()
	for i := range 10 * minTidy {
		if got := do(c.Transient(strconv.Itoa(i)), get(http.MethodGet)); got.err == nil {
			t.Fatal("connected")
		}
	}
	if n := len(c.transient); n > minTidy {
		t.Errorf("%d hosts are kept", n)
	}
}
