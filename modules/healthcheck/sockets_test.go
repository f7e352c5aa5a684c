package healthcheck

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// load provisions a check module from its JSON.
func load(t *testing.T, module map[string]any) Checker {
	t.Helper()
	raw, err := json.Marshal(module)
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{CheckRaw: raw}
	if err := c.Provision(newContext(t)); err != nil {
		t.Fatal(err)
	}
	return c.Checker()
}

// expect runs one check; want is part of the reason, empty for a pass.
func expect(t *testing.T, c Checker, to Target, want string) {
	t.Helper()
	err := c.Check(within(t, 10*time.Second), to)
	switch {
	case want == "" && err != nil:
		t.Errorf("failed: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("reason %v, want one with %q", err, want)
	}
}

// timesOut runs one check against a backend that never answers and expects it to end with its context.
func timesOut(t *testing.T, c Checker, to Target) {
	t.Helper()
	err := c.Check(within(t, 50*time.Millisecond), to)
	var timeout interface{ Timeout() bool }
	if err == nil || !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "deadline") &&
		(!errors.As(err, &timeout) || !timeout.Timeout()) {
		t.Errorf("reason %v, want a timeout", err)
	}
}

// refused is a target where nothing listens.
func refused(t *testing.T, scheme string) Target {
	t.Helper()
	l, to := listen(t)
	l.Close()
	to.Address.Scheme = scheme
	return to
}

// silent is a target that accepts connections and says nothing.
func silent(t *testing.T, scheme string) Target {
	t.Helper()
	l, to := listen(t)
	t.Cleanup(serve(l, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
	to.Address.Scheme = scheme
	return to
}

// serve handles each connection to l, until the function it returns is called.
func serve(l net.Listener, handle func(net.Conn)) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return func() { l.Close(); <-done }
}

// certificate is a self-signed certificate for these names, and the PEM file of its authority.
func certificate(t *testing.T, names ...string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: t.Name()},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// unixTarget is a listener on a Unix socket and the target that leads there. The socket lies in a directory
// with a short name, since the path's length is limited.
func unixTarget(t *testing.T, scheme string) (net.Listener, Target) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, at(t, scheme, l.Addr())
}

// failsToLoad expects that provisioning a module fails for a reason.
func failsToLoad(t *testing.T, module, want string) {
	t.Helper()
	c := &Config{CheckRaw: []byte(module)}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := c.Provision(ctx); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want one with %q", module, err, want)
	}
}

// named is to under a name.
func named(to Target, name string) Target {
	to.Name = name
	return to
}
