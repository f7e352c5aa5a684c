package caddytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// identity is a certificate that signs itself, for servers and for clients, and its key.
type identity struct {
	cert              tls.Certificate
	pool              *x509.CertPool // trusts the certificate
	certFile, keyFile string
}

func newIdentity(t *testing.T, name string) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id := &identity{pool: x509.NewCertPool()}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	id.pool.AppendCertsFromPEM(certPEM)
	if id.cert, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	id.certFile, id.keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, data := range map[string][]byte{id.certFile: certPEM, id.keyFile: keyPEM} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// identified is an HTTPS server with an identity. It tells who its client is.
type identified struct {
	addr string
	sni  atomic.Value
}

// serverName is the name that a client asked for last.
func (s *identified) serverName() string {
	name, _ := s.sni.Load().(string)
	return name
}

func (id *identity) serve(t *testing.T) *identified {
	t.Helper()
	s := new(identified)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend-Proto", r.Proto)
		if certs := r.TLS.PeerCertificates; len(certs) > 0 {
			w.Header().Set("X-Client", certs[0].Subject.CommonName)
		}
		_, _ = io.WriteString(w, r.Host)
	}))
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{
		Certificates: []tls.Certificate{id.cert},
		ClientAuth:   tls.RequestClientCert,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			s.sni.Store(h.ServerName)
			return nil, nil
		},
	}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	s.addr = srv.Listener.Addr().String()
	return s
}

func httpPeer(t *testing.T, x pingoraExample) {
	id := newIdentity(t, "one.one.one.one")
	secure := id.serve(t)
	x.text = rewrite(t, x.text, "/etc/ssl/ca.pem", id.certFile)
	s := x.start(t, map[string]string{"SECURE": secure.addr})
	r := s.Get(s.URL("PORT", "/"))
	if r.Status != http.StatusOK || secure.serverName() != "one.one.one.one" {
		t.Errorf("status %d for the server name %s: %s", r.Status, secure.serverName(), r.Body)
	}
	if proto := r.Header.Get("X-Backend-Proto"); proto != "HTTP/2.0" {
		t.Errorf("the backend was spoken to in %s, want HTTP/2.0, which it offers", proto)
	}
	if r.Body != secure.addr {
		t.Errorf("the backend was asked for the host %s, want its own, %s", r.Body, secure.addr)
	}
	s.mustReload(rewrite(t, x.caddyfile(), "tls_server_name one.one.one.one", "tls_server_name other.test"))
	if r := s.reached(s.URL("PORT", "/")); r.Status != http.StatusBadGateway {
		t.Errorf("a backend without the name: status %d, want 502", r.Status)
	}
}

func newMTLS(t *testing.T, x pingoraExample) {
	id, client := newIdentity(t, "one.one.one.one"), newIdentity(t, "balancer")
	secure := id.serve(t)
	x.text = rewrite(t, x.text, "/etc/ssl/ca.pem", id.certFile, "/etc/ssl/client.pem", client.certFile,
		"/etc/ssl/client.key", client.keyFile)
	s := x.start(t, map[string]string{"SECURE": secure.addr})
	r := s.Get(s.URL("PORT", "/"))
	if r.Status != http.StatusOK || r.Header.Get("X-Client") != "balancer" || r.Header.Get("X-Backend-Proto") != "HTTP/2.0" {
		t.Errorf("status %d, client %q over %q, want balancer over HTTP/2.0: %s", r.Status,
			r.Header.Get("X-Client"), r.Header.Get("X-Backend-Proto"), r.Body)
	}
	s.mustReload(rewrite(t, x.caddyfile(), "versions 2", "versions 1.1"))
	if proto := s.reached(s.URL("PORT", "/")).Header.Get("X-Backend-Proto"); proto != "HTTP/1.1" {
		t.Errorf("with versions 1.1 the backend was spoken to in %q", proto)
	}
}

func tlsSettings(t *testing.T, x pingoraExample) {
	id := newIdentity(t, "example.com")
	b := NewBackend(t, "A")
	x.text = rewrite(t, x.text, "/etc/ssl/cert.pem", id.certFile, "/etc/ssl/key.pem", id.keyFile)
	x.text = "{\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n" + x.text
	s := x.start(t, addresses(b))
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: id.pool, ServerName: "example.com"},
		ForceAttemptHTTP2: true,
	}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: patience()}).Do(
		newRequest(t, http.MethodGet, "https://127.0.0.1:"+s.vars["PORT3"]+"/", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Proto != "HTTP/2.0" || resp.Header.Get("X-Backend") != "A" {
		t.Errorf("status %d in %s from %q, want 200 in HTTP/2.0 from A", resp.StatusCode, resp.Proto, resp.Header.Get("X-Backend"))
	}
}
