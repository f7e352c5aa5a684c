package healthcheck

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"

	"github.com/caddylb/caddy-lb/lb"
)

// tlsTarget is a server that completes handshakes with a certificate for names.
func tlsTarget(t *testing.T, names ...string) (to Target, ca string) {
	t.Helper()
	cert, ca := certificate(t, names...)
	l, to := listen(t)
	t.Cleanup(serve(l, func(c net.Conn) {
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
	}))
	to.Address.Scheme = "https"
	return to, ca
}

func TestTLS(t *testing.T) {
	to, ca := tlsTarget(t, "a.test", "127.0.0.1")
	for _, tc := range []struct {
		name   string
		module map[string]any
		to     Target
		want   string
	}{
		{"host", map[string]any{"ca": []string{ca}}, to, ""},
		{"name", map[string]any{"ca": []string{ca}}, named(to, "a.test"), ""},
		{"wrong name", map[string]any{"ca": []string{ca}}, named(to, "b.test"), "not b.test"},
		{"sni", map[string]any{"ca": []string{ca}, "tls_server_name": "a.test"}, named(to, "b.test"), ""},
		{"wrong sni", map[string]any{"ca": []string{ca}, "tls_server_name": "c.test"}, to, "not c.test"},
		{"unknown authority", map[string]any{}, to, "unknown authority"},
		{"unverified", map[string]any{"insecure_skip_verify": true}, named(to, "b.test"), ""},
		{"refused", map[string]any{}, refused(t, "https"), "connection refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.module["kind"] = "tls"
			expect(t, load(t, tc.module), tc.to, tc.want)
		})
	}
	t.Run("server name of the backend", func(t *testing.T) {
		c := load(t, map[string]any{"kind": "tls", "ca": []string{ca}})
		b := named(to, "b.test")
		b.ServerName = "a.test"
		expect(t, c, b, "")
	})
	t.Run("silent", func(t *testing.T) {
		timesOut(t, load(t, map[string]any{"kind": "tls"}), silent(t, "https"))
	})
	t.Run("plain text", func(t *testing.T) {
		l, to := listen(t)
		t.Cleanup(serve(l, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }))
		expect(t, load(t, map[string]any{"kind": "tls"}), to, "TLS handshake")
	})
}

func TestTLSOfTheTransportIsInherited(t *testing.T) {
	to, ca := tlsTarget(t, "a.test")
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c := &Config{CheckRaw: []byte(`{"kind":"tls"}`)}
	c.Inherit(Inherited{TLS: &tls.Config{RootCAs: roots, ServerName: "a.test"}, Key: "transport"})
	if err := c.Provision(newContext(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, c.Checker(), to, "")
	to.ServerName = "b.test" // the backend's own goes first
	expect(t, c.Checker(), to, "not b.test")
}

func TestServerNameWithoutAHost(t *testing.T) {
	var c tlsConnector
	unix := Target{Address: lb.Address{Network: "unix", Host: "/run/s"}}
	if got := c.serverName(unix, "{http.request.host}"); got != "localhost" {
		t.Errorf("server name %q", got)
	}
}

func TestCAFiles(t *testing.T) {
	failsToLoad(t, `{"kind":"tls","ca":["/nonexistent.pem"]}`, "no such file")
	failsToLoad(t, `{"kind":"tls","ca":["tls_test.go"]}`, "holds no certificate")
}
