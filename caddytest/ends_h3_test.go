package caddytest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// A client of HTTP/3 that resets its direction of the stream has left, and not sent a bad request.
func TestHTTP3ClientResetsItsRequest(t *testing.T) {
	b := NewBackend(t, "A")
	b.Do(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	for _, scheme := range []string{"", "h2c://"} {
		s := startHTTP3(t, scheme+b.Addr)
		client := new(http3.Transport).NewClientConn(s.dialHTTP3(t, "", s.h3Config()))
		body, write := io.Pipe()
		req := newRequest(t, http.MethodPost, "https://localhost:"+s.vars["PORT"]+"/reset", "")
		req.Body, req.ContentLength = body, -1
		answered := make(chan error, 1)
		go func() {
			resp, err := client.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
				err = fmt.Errorf("status %d", resp.StatusCode)
			}
			answered <- err
		}()
		hits := b.Hits()
		_, _ = io.WriteString(write, "req1")
		eventually(t, "the backend has the request", func() bool { return b.Hits() > hits })
		_ = write.CloseWithError(errors.New("the rest cannot be had")) // which resets the direction
		if err := <-answered; strings.HasPrefix(err.Error(), "status") {
			t.Errorf("%q: it is answered: %v", scheme, err)
		}
		line := s.WaitLog(t, "that the request has ended", func(l LogLine) bool {
			return strings.HasPrefix(l.Text("logger"), "http.log.access")
		})
		if status := textOf(line["status"]); status != "499" {
			t.Errorf("%q: the log has the status %s", scheme, status)
		}
	}
}
