package caddytest

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func requestAndResponseFilters(t *testing.T, x pingoraExample) {
	b := NewBackend(t, "A")
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "backend")
		w.Header().Set("X-Powered-By", "steam")
		w.Header().Set("X-Host-Seen", r.Host)
		answer(http.StatusOK)(w, r)
	})
	s := x.start(t, addresses(b))
	if r := s.Get(s.URL("PORT", "/admin/users")); r.Status != http.StatusForbidden || r.Body != "no" {
		t.Errorf("/admin/users: status %d with %q, want 403 with no", r.Status, r.Body)
	}
	if n := b.Hits(); n != 0 {
		t.Errorf("%d refused requests came to the backend", n)
	}
	r := s.Get(s.URL("PORT", "/users"))
	if r.Status != http.StatusOK || r.Header.Get("X-Host-Seen") != "example.com" {
		t.Errorf("/users: status %d, and the backend saw the host %q", r.Status, r.Header.Get("X-Host-Seen"))
	}
	if server := r.Header.Values("Server"); len(server) != 1 || server[0] != "balancer" || r.Header.Get("X-Powered-By") != "" {
		t.Errorf("the client got Server %q and X-Powered-By %q", server, r.Header.Get("X-Powered-By"))
	}
}

// phasesAsFilters has the hooks of Pingora's examples: refusing, a limit for each client, the Host sent upstream, fields of the answer, and
// the log.
func phasesAsFilters(t *testing.T, x pingoraExample) {
	b := NewBackend(t, "A")
	b.Do(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", "clear")
		w.Header().Set("X-Seen", r.Host+" "+r.Header.Get("X-Backend-Port"))
		answer(http.StatusOK)(w, r)
	})
	s := x.start(t, addresses(b))
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusForbidden || r.Body != "no" || b.Hits() != 0 {
		t.Errorf("without authorization: status %d with %q, and %d requests came to the backend", r.Status, r.Body, b.Hits())
	}
	_, port, _ := net.SplitHostPort(b.Addr)
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		r := s.Get(s.URL("PORT", "/"), "Authorization", "x", "X-Team", "red")
		if r.Status != want {
			t.Errorf("request %d of a team: status %d, want %d", i+1, r.Status, want)
		}
		if want == http.StatusTooManyRequests {
			if r.Header.Get("Retry-After") == "" {
				t.Error("a refused request is not told when to come again")
			}
			continue
		}
		if r.Header.Get("X-Seen") != "example.com "+port || r.Header.Get("Server") != "balancer" || r.Header.Get("Alt-Svc") != "" {
			t.Errorf("request %d: header %v", i+1, r.Header)
		}
	}
	if r := s.Get(s.URL("PORT", "/"), "Authorization", "x", "X-Team", "blue"); r.Status != http.StatusOK {
		t.Errorf("another team: status %d", r.Status)
	}
	eventually(t, "the access log names the team", func() bool { return s.output.contains(`"team":"blue"`) })
}

func failToConnect(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	s := x.start(t, addresses(b...))
	b[0].Down()
	for range 10 {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch} {
			r := s.do(newRequest(t, method, s.URL("PORT", "/"), "body"))
			if r.Status != http.StatusOK || r.Backend() != "B" {
				t.Fatalf("%s: status %d from %q, want 200 from B", method, r.Status, r.Backend())
			}
		}
	}
}

func maxRetries(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	x.text = rewrite(t, x.text, "response_header_timeout 1s", "response_header_timeout 200ms")
	s := x.start(t, addresses(b...))
	for _, b := range b {
		b.Do(hangUp)
	}
	// One try and two retries, for the methods that are written there.
	for _, c := range []struct {
		method string
		tries  int64
	}{{http.MethodGet, 3}, {http.MethodPut, 3}, {http.MethodPost, 1}} {
		before := hits(b...)
		r := s.do(newRequest(t, c.method, s.URL("PORT", "/"), "body"))
		if r.Status != http.StatusBadGateway || r.Body != "no answer: 502" || hits(b...)-before != c.tries {
			t.Errorf("%s: status %d with %q after %d tries, want 502 after %d", c.method, r.Status, r.Body, hits(b...)-before, c.tries)
		}
	}
	b[1].Do(answer(http.StatusOK))
	for range 4 {
		if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusOK || r.Backend() != "B" {
			t.Errorf("with B well: status %d from %q", r.Status, r.Backend())
		}
	}
	never := make(chan struct{})
	for _, b := range b {
		b.Do(hang(never))
	}
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusGatewayTimeout || r.Body != "no answer: 504" {
		t.Errorf("with both silent: status %d with %q, want 504", r.Status, r.Body)
	}
}

func unixSockets(t *testing.T, x pingoraExample) {
	// Paths of sockets are short.
	dir, err := os.MkdirTemp("", "lb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	own, app := filepath.Join(dir, "lb.sock"), filepath.Join(dir, "app.sock")
	ln, err := net.Listen("unix", app)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: answer(http.StatusAccepted)}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close() })

	x.text = rewrite(t, x.text, "/run/lb.sock", own+"|0600", "/run/app.sock", app)
	Start(t, x.caddyfile(), nil)
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", own)
	}}
	defer tr.CloseIdleConnections()
	r, err := fetch(&http.Client{Transport: tr, Timeout: patience()}, newRequest(t, http.MethodGet, "http://any/", ""))
	if err != nil || r.Status != http.StatusAccepted {
		t.Errorf("status %d, %v, want 202", r.Status, err)
	}
	if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v, want 0600", info.Mode(), err)
	}
}

func grpcBackends(t *testing.T, x pingoraExample) {
	b := sortedBackends(t, "A", "B")
	for _, b := range b {
		// Each message is answered before the next is read, as a stream in both directions needs.
		b.Do(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Grpc-Status")
			w.Header().Set("X-Te", r.Header.Get("Te"))
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			buf := make([]byte, 16)
			for {
				n, err := r.Body.Read(buf)
				_, _ = w.Write(buf[:n])
				_ = http.NewResponseController(w).Flush()
				if err != nil {
					break
				}
			}
			w.Header().Set("Grpc-Status", "0")
		})
	}
	s := x.start(t, addresses(b...))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	defer tr.CloseIdleConnections()
	body, send := io.Pipe()
	req := newRequest(t, http.MethodPost, s.URL("PORT", "/pkg.Service/Method"), "", "Content-Type", "application/grpc", "Te", "trailers")
	req.Body, req.ContentLength, req.GetBody = body, -1, nil
	resp, err := (&http.Client{Transport: tr, Timeout: patience()}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 16)
	for _, message := range []string{"one", "two"} {
		if _, err := io.WriteString(send, message); err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadFull(resp.Body, buf[:len(message)]); err != nil || string(buf[:n]) != message {
			t.Fatalf("the stream answered %q, %v, want %q", buf[:n], err, message)
		}
	}
	send.Close()
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
	if resp.Proto != "HTTP/2.0" || resp.Header.Get("X-Backend-Proto") != "HTTP/2.0" || resp.Header.Get("X-Te") != "trailers" {
		t.Errorf("%s in front, %s behind, TE %q", resp.Proto, resp.Header.Get("X-Backend-Proto"), resp.Header.Get("X-Te"))
	}
	if status := resp.Trailer.Get("Grpc-Status"); status != "0" {
		t.Errorf("the trailer Grpc-Status is %q, want 0", status)
	}
}
