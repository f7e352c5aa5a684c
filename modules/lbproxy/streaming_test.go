package lbproxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestStreamsAreFlushedAtOnce(t *testing.T) {
	for _, tc := range []struct{ name, header, value, handler string }{
		{"server-sent events", "Content-Type", "text/event-stream; charset=utf-8", ""},
		{"unknown length", "", "", ""},
		{"incremental", "Incremental", "?1", ""},
		{"flush_interval -1", "Content-Length", "12", `,"flush_interval":-1`},
		{"flush_interval 1ms", "Content-Length", "12", `,"flush_interval":"1ms"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := make(chan struct{})
			b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
				if tc.header != "" {
					w.Header().Set(tc.header, tc.value)
				}
				flush := http.NewResponseController(w).Flush
				_ = flush() // the header alone
				<-got
				for range 3 {
					_, _ = io.WriteString(w, "abc\n")
					_ = flush()
					<-got
				}
			})
			p := startProxy(t, upstreams(b.URL)+tc.handler)
			res, err := p.client.Get(p.url("/"))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got <- struct{}{} // the header arrived
			lines := bufio.NewScanner(res.Body)
			for range 3 {
				if !lines.Scan() || lines.Text() != "abc" {
					t.Fatalf("got %q, %v", lines.Text(), lines.Err())
				}
				got <- struct{}{}
			}
		})
	}
}

// h2cServer runs a backend that speaks HTTP/2 without TLS only.
func h2cServer(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handle)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// h2cClient is a client that speaks nothing else.
func h2cClient(t *testing.T) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func TestBothDirectionsAtOnceOverHTTP2(t *testing.T) {
	s := h2cServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		_ = http.NewResponseController(w).Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(w, "%s %s\n", r.Proto, lines.Text())
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	p := startProxy(t, fmt.Sprintf(`"upstreams":[{"dial":%q,"scheme":"h2c"}]`, s.Listener.Addr()), serverOptions{server: `"protocols":["h1","h2c"]`})
	read, write := io.Pipe()
	req, _ := http.NewRequest("POST", p.url("/"), read)
	req.Header.Set("Te", "trailers")
	res, err := h2cClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for i := range 10 {
		fmt.Fprintln(write, i)
		if want := fmt.Sprintf("HTTP/2.0 %d", i); !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, want %q", lines.Text(), want)
		}
	}
	write.Close()
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after the end: %q, %v", lines.Text(), lines.Err())
	}
	if got := res.Trailer.Get("Grpc-Status"); got != "0" {
		t.Errorf("trailers %v", res.Trailer)
	}
}

func TestEarlyAnswerWhileUploading(t *testing.T) {
	release := make(chan struct{})
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		fmt.Fprint(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno\n")
		<-release
	})
	defer close(release)
	p := startProxy(t, upstreams(address))
	// The client sends a part and waits for the answer before it would go on.
	_, r := p.raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart")
	if head := readHead(t, r); !strings.HasPrefix(head, "HTTP/1.1 413 ") {
		t.Errorf("got %q", head)
	}
}

func TestAnswerAndUploadAtOnce(t *testing.T) {
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(conn, req.Body)
	})
	p := startProxy(t, upstreams(address))
	conn, r := p.raw("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for _, s := range []string{"first", "other"} {
		fmt.Fprintf(conn, "5\r\n%s\r\n", s)
		got := make([]byte, 5)
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != s {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	fmt.Fprint(conn, "0\r\n\r\n")
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) > 0 {
		t.Errorf("the end is %q, %v", rest, err)
	}
}

func TestLargeBodyIsNotHeldInMemory(t *testing.T) {
	const size = 20 << 20
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, r.ContentLength)
	})
	p := startProxy(t, upstreams(b.URL)+`,"load_balancing":{"retries":3}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	req, _ := http.NewRequest("POST", p.url("/"), io.LimitReader(zeros{}, size))
	req.ContentLength = size
	r := p.do(req)
	runtime.ReadMemStats(&after)
	if want := fmt.Sprint(size, size); r.body != want {
		t.Errorf("the backend got %q, want %q", r.body, want)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("%d bytes were allocated for a body of %d", grown, size)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// An answer that the client does not wait for ends at the backend, too.
func TestClientLeavesWithinTheAnswer(t *testing.T) {
	gone := make(chan struct{})
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	p := startProxy(t, upstreams(b.URL)+`,"health_checks":{"passive":{"fail_duration":"1h"}}`)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", p.url("/"), nil)
	res, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	res.Body.Close()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("the backend was left answering")
	}
	m := runningPools()[0].Snapshot().Members[0]
	eventually(t, "release", func() bool { return m.Active() == 0 })
	if n := recentFails(m); n != 0 {
		t.Errorf("%d strikes", n)
	}
}
