package load

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// h2Server is net/http with HTTP/2, as an independent judge of the frames.
func h2Server(t *testing.T, h http.HandlerFunc) (addr, ca string) {
	t.Helper()
	c := certificates(t)
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), c.Cert
}

func TestHTTP2(t *testing.T) {
	for _, size := range []int{100, 300_000} {
		addr, ca := h2Server(t, func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 || r.Host != serverName {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			io.WriteString(w, strings.Repeat("x", size))
		})
		r := exchange(t, Backends{Count: 1}, Run{Protocol: H2, CA: ca, Conns: 2, Streams: 5, Answer: size}, addr)
		if len(r.Errors) > 0 || r.Requests == 0 {
			t.Fatalf("answers of %d bytes: %d requests, errors %v", size, r.Requests, r.Errors)
		}
	}
}

func TestHTTP2Errors(t *testing.T) {
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"status":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, "status 418"},
		"shorter": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "xyz") }, "97 bytes missing"},
		"reset":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "stream reset"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			addr, ca := h2Server(t, tt.answer)
			r := exchange(t, Backends{Count: 1}, Run{Protocol: H2, CA: ca, Conns: 1, Streams: 3, Answer: 100}, addr)
			if r.Requests != 0 || r.Errors[tt.want] == 0 {
				t.Fatalf("%d requests, errors %v, want %q", r.Requests, r.Errors, tt.want)
			}
		})
	}
}
