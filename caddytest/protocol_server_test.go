package caddytest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/quic-go/quic-go/http3"
)

// allProtocols serves the same backends, over every version of HTTP, to clients over every version of HTTP.
const allProtocols = `{
	skip_install_trust
	auto_https disable_redirects
	grace_period 5s
	servers {
		protocols h1 h2 h2c h3
	}
}
(routes) {
	log
	lb_proxy /h1/* {$A}
	lb_proxy /h2c/* h2c://{$A}
	lb_proxy /h2/* https://{$TLS} {
		transport http {
			tls_trust_pool file {$CA}
		}
	}
}
http://127.0.0.1:{$PORT} {
	import routes
}
https://localhost:{$PORT2} {
	tls internal
	import routes
}
`

// behind are the versions that backends are spoken to in, as the first part of the path, with what these see.
var behind = map[string]string{"h1": "HTTP/1.1", "h2c": "HTTP/2.0", "h2": "HTTP/2.0"}

// front is a client of one version of HTTP.
type front struct {
	name   string
	proto  string // what answers say
	base   string // of URLs
	client *http.Client
}

// startAllProtocols runs the server with backends that answer with h, and returns a client for each version.
func startAllProtocols(t *testing.T, h http.HandlerFunc) (*Server, []front) {
	t.Helper()
	b := NewBackends(t, "A")
	b[0].Do(h)
	vars := addresses(b...)
	vars["TLS"], vars["CA"] = serveTLS(t, h)
	s := Start(t, allProtocols, vars)
	plain, secure := s.URL("PORT", ""), "https://localhost:"+s.vars["PORT2"]
	roots := s.roots()

	h2c := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(h2c.CloseIdleConnections)
	h2 := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
	h2.Protocols.SetHTTP2(true)
	t.Cleanup(h2.CloseIdleConnections)
	h3 := &http3.Transport{DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(func() { h3.Close() })

	fronts := []front{
		{"h1", "HTTP/1.1", plain, s.Client},
		{"h2c", "HTTP/2.0", plain, &http.Client{Transport: h2c, Timeout: patience()}},
		{"h2", "HTTP/2.0", secure, &http.Client{Transport: h2, Timeout: patience()}},
		{"h3", "HTTP/3.0", secure, &http.Client{Transport: h3, Timeout: patience()}},
	}
	eventually(t, "the certificate is there", func() bool {
		_, err := fetch(fronts[2].client, newRequest(t, http.MethodGet, secure+"/", ""))
		return err == nil
	})
	return s, fronts
}

// roots trusts the authority that signs for sites with "tls internal".
func (s *Server) roots() *x509.CertPool {
	s.t.Helper()
	data, err := os.ReadFile(s.internalCA())
	if err != nil {
		s.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		s.t.Fatalf("no certificate in %s", data)
	}
	return roots
}

// serveTLS runs an HTTPS server, over HTTP/2 for who can, and returns its address and a file with its authority.
func serveTLS(t *testing.T, h http.HandlerFunc) (addr, ca string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return srv.Listener.Addr().String(), ca
}

// protocolBackend does what the last part of the path says.
func protocolBackend(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	w.Header().Set("X-Proto", r.Proto)
	switch path.Base(r.URL.Path) {
	case "echo":
		_ = control.EnableFullDuplex() // only HTTP/1 has to be told
		_ = control.Flush()
		buf := make([]byte, 4<<10)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = control.Flush()
			if err != nil {
				return
			}
		}
	case "framing":
		body, _ := io.ReadAll(r.Body)
		w.Header()["X-Framing"] = framing(r.ContentLength, r.TransferEncoding)
		w.Header()["X-Trailer"] = r.Trailer["X-Sum"]
		if r.ContentLength >= 0 {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		} else {
			_ = control.Flush() // so that the answer has no length either
		}
		_, _ = w.Write(body)
	case "trailers":
		w.Header().Set("Trailer", "X-Announced")
		w.Header()["X-Te"] = r.Header["Te"]
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Announced", "1")
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "2")
	case "hints":
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
	case "head":
		w.Header().Set("Content-Length", "5")
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, "12345")
		}
	case "204":
		w.WriteHeader(http.StatusNoContent)
	case "304":
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(http.StatusNotModified)
	case "wait":
		_ = control.Flush()
		<-r.Context().Done()
	case "silent":
		_, _ = io.Copy(io.Discard, r.Body) // a server of net/http looks for the end of the connection behind the body
		<-r.Context().Done()
	}
}
