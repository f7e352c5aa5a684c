package caddytest

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// secureBackend is an HTTPS server whose certificate is for example.com and loopback.
type secureBackend struct {
	addr string
	ca   string       // file with the certificate that signs its own
	name atomic.Value // the server name clients asked for last
}

func newSecureBackend(t testing.TB) *secureBackend {
	t.Helper()
	b := &secureBackend{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend", "secure")
		w.Header().Set("X-Backend-Proto", r.Proto)
		_, _ = io.WriteString(w, "secure")
	}))
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		b.name.Store(h.ServerName)
		return nil, nil
	}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	b.addr = srv.Listener.Addr().String()
	b.ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(b.ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOnePoolMixesSchemes(t *testing.T) {
	b := NewBackends(t, "PLAIN", "H2C")
	secure := newSecureBackend(t)
	vars := addresses(b...)
	vars["SECURE"], vars["CA"] = secure.addr, secure.ca
	s := Start(t, `{
	lb_pool p {
		backend http://{$PLAIN}
		backend h2c://{$H2C}
		backend https://{$SECURE} {
			tls_server_name example.com
		}
		transport http {
			tls_trust_pool file {$CA}
		}
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
	}
}
`, vars)
	protocols := make(map[string]string)
	for range 9 {
		r := s.Get(s.URL("PORT", "/"))
		if r.Status != http.StatusOK {
			t.Fatalf("status %d: %s", r.Status, r.Body)
		}
		protocols[r.Backend()] = r.Header.Get("X-Backend-Proto")
	}
	for name, want := range map[string]string{"PLAIN": "HTTP/1.1", "H2C": "HTTP/2.0", "secure": "HTTP/2.0"} {
		if protocols[name] != want {
			t.Errorf("backend %s was spoken to in %q, want %q", name, protocols[name], want)
		}
	}
	if name := secure.name.Load(); name != "example.com" {
		t.Errorf("the server name asked for is %v, want example.com", name)
	}
}

func TestSecureBackendHasToProveItsName(t *testing.T) {
	secure := newSecureBackend(t)
	caddyfile := `http://127.0.0.1:{$PORT} {
	lb_proxy {
		backend https://{$SECURE} {
			tls_server_name other.test
		}
		transport http {
			tls_trust_pool file {$CA}
		}
	}
}
`
	s := Start(t, caddyfile, map[string]string{"SECURE": secure.addr, "CA": secure.ca})
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusBadGateway {
		t.Errorf("status %d from a backend with another name in its certificate, want 502", r.Status)
	}
	s.mustReload(strings.Replace(caddyfile, "other.test", "example.com", 1))
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusOK {
		t.Errorf("status %d from a backend with its own name, want 200: %s", r.Status, r.Body)
	}
}
