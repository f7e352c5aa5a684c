package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
)

func TestEarlyHints(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.Header().Set("Keep-Alive", "timeout=1")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.WriteHeader(200)
	})
	p := startProxy(t, upstreams(b.URL), serverOptions{
		before: `{"handler":"headers","response":{"set":{"X-Own":["1"]}}}`,
	})
	var mu sync.Mutex
	var hints []http.Header
	req, _ := http.NewRequest("GET", p.url("/"), nil)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			mu.Lock()
			defer mu.Unlock()
			hints = append(hints, http.Header(h))
			return nil
		},
	}))
	r := p.do(req)
	mu.Lock()
	defer mu.Unlock()
	if len(hints) != 1 || hints[0].Get("Link") != "</style.css>" || hints[0].Get("Keep-Alive") != "" {
		t.Errorf("hints %v", hints)
	}
	if r.header.Get("Link") != "" || r.header.Get("X-Own") != "1" {
		t.Errorf("final header %v", r.header)
	}
}

const expecting = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"

// The 100 comes from the backend: it is not there before the backend gave it, and not at all when it did not.
func TestContinueIsTheBackends(t *testing.T) {
	asked := make(chan struct{})
	goOn := make(chan struct{})
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		if head := readHead(t, r); !strings.Contains(head, "Expect: 100-continue") {
			t.Errorf("the backend saw %q", head)
		}
		close(asked)
		<-goOn
		_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		body := make([]byte, 4)
		_, _ = io.ReadFull(r, body)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%s", body)
	})
	p := startProxy(t, upstreams(address)+`,"transport":{"protocol":"http","expect_continue_timeout":"1h"}`)
	conn, r := p.raw(expecting)
	<-asked
	answered := make(chan string, 1)
	go func() { answered <- readHead(t, r) }()
	select {
	case head := <-answered:
		t.Fatalf("the client was answered before the backend: %q", head)
	default:
	}
	close(goOn)
	if head := <-answered; !strings.HasPrefix(head, "HTTP/1.1 100 ") {
		t.Fatalf("got %q", head)
	}
	_, _ = io.WriteString(conn, "body")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(got) != "body" {
		t.Errorf("got %d %q", res.StatusCode, got)
	}
}

func TestBackendRefusesTheBody(t *testing.T) {
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		_, _ = io.WriteString(conn, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
		if rest, _ := io.ReadAll(r); len(rest) > 0 {
			t.Errorf("the backend was sent %q", rest)
		}
	})
	p := startProxy(t, upstreams(address)+`,"transport":{"protocol":"http","expect_continue_timeout":"1h"}`)
	_, r := p.raw(expecting)
	if head := readHead(t, r); !strings.HasPrefix(head, "HTTP/1.1 417 ") {
		t.Errorf("got %q", head)
	}
}

func TestSilentBackendGetsTheBodyInTheEnd(t *testing.T) {
	b := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		readHead(t, r)
		body := make([]byte, 4)
		_, _ = io.ReadFull(r, body)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%s", body)
	})
	p := startProxy(t, upstreams(b)+`,"transport":{"protocol":"http","expect_continue_timeout":"10ms"}`)
	conn, r := p.raw(expecting)
	if head := readHead(t, r); !strings.HasPrefix(head, "HTTP/1.1 100 ") {
		t.Fatalf("got %q", head)
	}
	_, _ = io.WriteString(conn, "body")
	if head := readHead(t, r); !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Errorf("got %q", head)
	}
}
