package caddytest

import (
	"io"
	"net/http"
	"testing"
)

func TestFilterHeader(t *testing.T) {
	b := NewBackend(t, "A")
	s := Start(t, `:{$PORT} {
	lb_proxy {$A} {
		filter header {
			request X-Served-By {rp.upstream.hostport}
			request -X-Secret
			request Host internal.example
			response X-Backend ^A$ B
			response ?Cache-Control no-store
		}
	}
}`, map[string]string{"A": b.Addr})
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+" "+r.Header.Get("X-Served-By")+r.Header.Get("X-Secret"))
	})
	r := s.Get(s.URL("PORT", "/"), "X-Secret", "x")
	if want := "internal.example " + b.Addr; r.Body != want || r.Backend() != "B" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %q, want %q, with %v", r.Body, want, r.Header)
	}
}

func TestFilterRequestID(t *testing.T) {
	b := NewBackend(t, "A")
	s := Start(t, `{
	servers {
		trusted_proxies static 127.0.0.0/8
	}
}
:{$PORT} {
	log
	handle_errors {
		respond "failed {rp.request_id}"
	}
	lb_proxy {$A} {
		header_up X-Again {rp.request_id}
		filter request_id
		filter ip {
			deny 192.0.2.1
		}
	}
}`, map[string]string{"A": b.Addr})
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "the backend's")
		_, _ = io.WriteString(w, r.Header.Get("X-Request-Id")+" "+r.Header.Get("X-Again"))
	})
	r := s.Get(s.URL("PORT", "/"))
	id := r.Header.Get("X-Request-Id")
	if len(id) != 36 || r.Body != id+" "+id || len(r.Header["X-Request-Id"]) != 1 {
		t.Errorf("got %q with %v", r.Body, r.Header)
	}
	s.WaitLog(t, "the access log", func(l LogLine) bool { return l.Text("request_id") == id && l.Text("msg") == "handled request" })
	if r := s.Get(s.URL("PORT", "/"), "X-Request-Id", "mine"); r.Body != "mine mine" {
		t.Errorf("got %q", r.Body)
	}
	r = s.Get(s.URL("PORT", "/"), "X-Request-Id", "mine", "X-Forwarded-For", "192.0.2.1")
	if r.Status != http.StatusForbidden || r.Body != "failed mine" || r.Header.Get("X-Request-Id") != "mine" {
		t.Errorf("refused: %d %q with %v", r.Status, r.Body, r.Header)
	}
	b.Down()
	if r := s.Get(s.URL("PORT", "/"), "X-Request-Id", "mine"); r.Status != http.StatusBadGateway || r.Body != "failed mine" {
		t.Errorf("without a backend: %d %q", r.Status, r.Body)
	}
}
