package caddytest

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestFilterBodyLimit(t *testing.T) {
	b := NewBackend(t, "A")
	s := Start(t, `:{$PORT} {
	lb_proxy {$A} {
		filter body_limit 1000 {
			response 2000
		}
	}
}`, map[string]string{"A": b.Addr})
	for n, want := range map[int]int{1000: 200, 1001: 413} {
		body := strings.Repeat("x", n)
		if r := s.do(newRequest(t, http.MethodPost, s.URL("PORT", "/"), body)); r.Status != want {
			t.Errorf("%d bytes: status %d, want %d", n, r.Status, want)
		}
		req := newRequest(t, http.MethodPost, s.URL("PORT", "/"), "")
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), -1
		if r := s.do(req); r.Status != want {
			t.Errorf("%d bytes in chunks: status %d, want %d", n, r.Status, want)
		}
	}
	if got := b.Hits(); got < 2 || got > 3 {
		t.Errorf("the backend had %d requests", got)
	}

	long := bytes.Repeat([]byte("x"), 2001)
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunks" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = w.Write(long)
	})
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusBadGateway || r.Backend() != "" {
		t.Errorf("a long answer: status %d, header %v", r.Status, r.Header)
	}
	r, err := fetch(s.Client, newRequest(t, http.MethodGet, s.URL("PORT", "/chunks"), ""))
	if err == nil || r.Status != http.StatusOK || len(r.Body) > 2000 {
		t.Errorf("a long answer in chunks: status %d, %d bytes, %v", r.Status, len(r.Body), err)
	}
}

func TestFilterBandwidth(t *testing.T) {
	b := NewBackend(t, "A")
	s := Start(t, `:{$PORT} {
	lb_proxy {$A} {
		filter bandwidth {
			upload 200KB/s
			download 100KB/s
			burst 10KB
		}
	}
}`, map[string]string{"A": b.Addr})
	data := strings.Repeat("x", 60_000)
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n == 0 {
			_, _ = io.WriteString(w, data)
		}
	})
	begun := time.Now()
	if r := s.Get(s.URL("PORT", "/")); r.Body != data {
		t.Errorf("got %d bytes", len(r.Body))
	}
	if took := time.Since(begun); took < 450*time.Millisecond {
		t.Errorf("the answer took %s", took)
	}
	begun = time.Now()
	if r := s.do(newRequest(t, http.MethodPost, s.URL("PORT", "/"), data)); r.Status != http.StatusOK {
		t.Errorf("status %d", r.Status)
	}
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("the request took %s", took)
	}
}

func TestFilterReplace(t *testing.T) {
	b := NewBackend(t, "A")
	s := Start(t, `:{$PORT} {
	lb_proxy {$A} {
		filter replace http://internal.example {scheme}://{host}
	}
}`, map[string]string{"A": b.Addr})
	more := make(chan struct{})
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("ETag", `"1"`)
		if r.URL.Path == "/whole" {
			_, _ = io.WriteString(w, r.Header.Get("Accept-Encoding")+"<a href=http://internal.example/x>")
			return
		}
		for i, part := range []string{"one\nhttp://inter", "nal.example\ntwo\n"} {
			if i > 0 {
				<-more
			}
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
		}
	})
	r := s.Get(s.URL("PORT", "/whole"), "Accept-Encoding", "gzip")
	if r.Body != "<a href=http://127.0.0.1/x>" || r.Header.Get("Etag") != `W/"1"` {
		t.Errorf("got %q with %v", r.Body, r.Header)
	}
	if head := s.do(newRequest(t, http.MethodHead, s.URL("PORT", "/whole"), "")); head.Header.Get("Etag") != `"1"` {
		t.Errorf("HEAD: %v", head.Header)
	}

	res, err := s.Client.Do(newRequest(t, http.MethodGet, s.URL("PORT", "/stream"), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for i, want := range []string{"one\n", "http://127.0.0.1\n", "two\n"} {
		got, err := lines.ReadString('\n')
		if got != want || err != nil {
			t.Fatalf("line %q, %v; want %q", got, err, want)
		}
		if i == 0 {
			close(more) // only now, so that the first line came before the rest
		}
	}
}
