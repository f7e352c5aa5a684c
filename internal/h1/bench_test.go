package h1

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The same round trips over real sockets by the engine and by net/http.
func BenchmarkRoundTrip(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}))
	defer s.Close()
	requests := map[string]func() *http.Request{
		"GET":  func() *http.Request { return get(http.MethodGet) },
		"POST": func() *http.Request { return post(strings.Repeat("x", 1000), true) },
	}
	for name, request := range requests {
		b.Run("h1/"+name, func(b *testing.B) {
			h := testClient(b, s.Listener.Addr().String(), Options{})
			buf := make([]byte, 512)
			b.ReportAllocs()
			for b.Loop() {
				roundTrip(b, h, request(), buf)
			}
		})
		b.Run("net-http/"+name, func(b *testing.B) {
			tr := &http.Transport{DisableCompression: true}
			defer tr.CloseIdleConnections()
			buf := make([]byte, 512)
			b.ReportAllocs()
			for b.Loop() {
				r := request()
				r.URL.Host = s.Listener.Addr().String()
				res, err := tr.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				for {
					if _, err := res.Body.Read(buf); err != nil {
						break
					}
				}
				res.Body.Close()
			}
		})
	}
}

// The client alone, with a server in memory.
func BenchmarkClient(b *testing.B) {
	h := answeringHost(b, usualAnswer)
	r := get(http.MethodGet)
	buf := make([]byte, 512)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, h, r, buf)
	}
}
