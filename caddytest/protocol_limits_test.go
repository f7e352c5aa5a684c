package caddytest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// limited has limits on headers and bodies in both directions.
const limited = `{
	servers {
		max_header_size 16KiB
	}
}
http://127.0.0.1:{$PORT} {
	request_body {
		max_size 1KiB
	}
	lb_proxy /buffered {$A} {
		request_buffers 4KiB
	}
	lb_proxy {$A} {
		transport http {
			max_response_header 8KiB
		}
	}
}
`

func TestLimits(t *testing.T) {
	b := NewBackends(t, "A")
	b[0].Do(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large-answer" {
			w.Header().Set("X-Large", strings.Repeat("x", 64<<10))
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return // the proxy gave up
		}
		fmt.Fprint(w, n, len(r.Header.Get("X-Large")))
	})
	s := Start(t, limited, addresses(b...))
	unknown := func(n int) io.Reader { return io.MultiReader(strings.NewReader(strings.Repeat("x", n))) }
	known := func(n int) io.Reader { return strings.NewReader(strings.Repeat("x", n)) }
	for _, c := range []struct {
		name, path string
		header     int
		body       io.Reader
		status     int
		answer     string
	}{
		{"header within the limit", "/", 10 << 10, known(0), http.StatusOK, "0 10240"},
		{"header over it", "/", 64 << 10, known(0), http.StatusRequestHeaderFieldsTooLarge, ""},
		{"body of the limit", "/", 0, known(1024), http.StatusOK, "1024 0"},
		{"unknown length, within the limit", "/", 0, unknown(1024), http.StatusOK, "1024 0"},
		{"body over it", "/", 0, known(1025), http.StatusRequestEntityTooLarge, ""},
		{"unknown length, over it", "/", 0, unknown(100_000), http.StatusRequestEntityTooLarge, ""},
		{"buffered, over it", "/buffered", 0, unknown(1025), http.StatusRequestEntityTooLarge, ""},
		{"the backend's header over its limit", "/large-answer", 0, known(0), http.StatusBadGateway, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL("PORT", c.path), c.body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Large", strings.Repeat("x", c.header))
			r, err := fetch(s.Client, req)
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != c.status || c.answer != "" && r.Body != c.answer {
				t.Errorf("status %d, %q; want %d, %q", r.Status, r.Body, c.status, c.answer)
			}
		})
	}
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusOK {
		t.Errorf("afterwards: status %d", r.Status)
	}
}

// The address that a PROXY header names is the client's for the backend, whichever way it is told.
func TestProxyProtocolInAndOut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s for %s", r.RemoteAddr, r.Header.Get("X-Forwarded-For"))
		}),
	}
	optional := func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) { return proxyproto.USE, nil }
	go func() { _ = srv.Serve(&proxyproto.Listener{Listener: ln, ConnPolicy: optional}) }()
	t.Cleanup(func() { srv.Close() })
	s := Start(t, `{
	servers {
		listener_wrappers {
			proxy_protocol {
				allow 127.0.0.0/8
			}
		}
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy /none {$A}
	lb_proxy /v1 {$A} {
		transport http {
			proxy_protocol v1
		}
	}
	lb_proxy /v2 {$A} {
		transport http {
			proxy_protocol v2
		}
	}
}
`, map[string]string{"A": ln.Addr().String()})
	for _, client := range []string{"203.0.113.7", "2001:db8::7"} {
		family := "TCP4 " + client + " 192.0.2.1"
		if strings.Contains(client, ":") {
			family = "TCP6 " + client + " 2001:db8::1"
		}
		for path, remote := range map[string]string{
			"/none": "127.0.0.1", "/v1": net.JoinHostPort(client, ""), "/v2": net.JoinHostPort(client, ""),
		} {
			_, in := s.raw("PROXY " + family + " 5000 80\r\nGET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
			got := bodyOf(t, in)
			if !strings.HasPrefix(got, remote) || !strings.HasSuffix(got, " for "+client) {
				t.Errorf("%s from %s: the backend sees %q", path, client, got)
			}
		}
	}
}

// bodyOf reads an answer that has to be 200.
func bodyOf(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %q, %v", resp.Status, body, err)
	}
	return string(body)
}
