package h1

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
)

// answering is a connection in memory to a server that answers whatever is written to it.
type answering struct {
	memConn
	answer []byte
}

func (c *answering) Write(p []byte) (int, error) {
	c.data = c.answer
	return len(p), nil
}

// answeringHost is a client of such servers.
func answeringHost(t testing.TB, answer string) *Host {
	return testClient(t, "memory", Options{Dial: func(context.Context, string) (net.Conn, error) {
		return &answering{answer: []byte(answer)}, nil
	}})
}

const usualAnswer = "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\n" +
	"Server: x\r\nContent-Length: 11\r\n\r\nhello world"

// roundTrip does an exchange as a proxy does, with a buffer at hand.
func roundTrip(tb testing.TB, h *Host, r *http.Request, buf []byte) {
	x := &Exchange{Request: r}
	if err := h.RoundTrip(x); err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := x.Response.Body.Read(buf); err != nil {
			if err != io.EOF {
				tb.Fatal(err)
			}
			break
		}
	}
	x.End()
}

func TestAllocations(t *testing.T) {
	r := get(http.MethodGet)
	r.Header = http.Header{"Accept": {"*/*"}, "X-Forwarded-For": {"192.0.2.1"}}
	buf := make([]byte, 512)
	for name, c := range map[string]struct {
		answer string
		most   float64
	}{
		"length":  {usualAnswer, 8},
		"chunked": {chunkedHead + "b\r\nhello world\r\n0\r\n\r\n", 8},
	} {
		h := answeringHost(t, c.answer)
		got := testing.AllocsPerRun(2000, func() { roundTrip(t, h, r, buf) })
		t.Logf("%s: %v allocations", name, got)
		if got > c.most {
			t.Errorf("%s: %v allocations for a GET, want at most %v", name, got, c.most)
		}
	}
}

// An idle connection costs no goroutine, and no buffer.
func TestIdleConnectionsAreCheap(t *testing.T) {
	const n = 1000
	h := testClient(t, "memory", Options{MaxIdlePerHost: n, Dial: func(context.Context, string) (net.Conn, error) {
		return &answering{answer: []byte(usualAnswer)}, nil
	}})
	goroutines, before := runtime.NumGoroutine(), heap()
	xs := make([]*Exchange, 0, n)
	for range n {
		x := &Exchange{Request: get(http.MethodGet)}
		if err := h.RoundTrip(x); err != nil {
			t.Fatal(err)
		}
		xs = append(xs, x)
	}
	for _, x := range xs {
		_, _ = io.Copy(io.Discard, x.Response.Body)
		x.End()
	}
	clear(xs) // they are no part of what is measured
	if got := h.idleCount(); got != n {
		t.Fatalf("%d idle connections", got)
	}
	each := float64(heap()-before) / n
	t.Logf("%.0f bytes for each idle connection, the server's end in memory included", each)
	if each > 1500 {
		t.Errorf("an idle connection takes %.0f bytes", each)
	}
	if got := runtime.NumGoroutine() - goroutines; got > 1 {
		t.Errorf("%d goroutines for %d idle connections, want the watcher alone", got, n)
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	for range 3 { // what pools hold goes with the second collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
