package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/gomodule/redigo/redis"

	"github.com/caddylb/caddy-lb/internal/adaptation"
	"github.com/caddylb/caddy-lb/lb"
)

func TestBadOptions(t *testing.T) {
	for options, mend := range map[string]Options{
		"the URL of Redis is missing":    {},
		"write redis://host:6379":        {URL: "redis://"},
		"one of Redis":                   {URL: "http://localhost"},
		"is not a number":                {URL: "redis://localhost/zero"},
		"has a query":                    {URL: "redis://localhost?timeout=1s"},
		"cannot be read":                 {URL: "redis://:p%ss@localhost"},
		"write a shorter one":            {URL: "redis://localhost", Prefix: strings.Repeat("x", maxPrefix+1)},
		"is not within 1ms and 10s":      {URL: "redis://localhost", Timeout: caddy.Duration(time.Hour)},
		"write rediss://":                {URL: "redis://localhost", TLS: new(TLS)},
		"the user name has no password":  {URL: "redis://localhost", Username: "u"},
		"ca: open":                       {URL: "rediss://localhost", TLS: &TLS{CA: "nosuch.pem"}},
		"needs its key":                  {URL: "rediss://localhost", TLS: &TLS{ClientCertificate: "a.pem"}},
		"client_certificate: open a.pem": {URL: "rediss://localhost", TLS: &TLS{ClientCertificate: "a.pem", ClientKey: "b.pem"}},
	} {
		_, err := mend.target()
		if wantError(t, err, options); err != nil && strings.Contains(err.Error(), "p%ss") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestTargets(t *testing.T) {
	t.Setenv("CLUSTER_TEST_PASSWORD", "s e/cr@et")
	target, err := (&Options{URL: "redis://user:other@[::1]/3", Password: "{env.CLUSTER_TEST_PASSWORD}"}).target()
	if err != nil {
		t.Fatal(err)
	}
	if target.address != "[::1]:6379" || target.db != 3 || target.username != "user" || target.password != "s e/cr@et" ||
		target.prefix != "caddy_lb" || target.timeout != 50*time.Millisecond || target.name != "[::1]:6379/3" {
		t.Errorf("%+v", target)
	}
}

func TestPassword(t *testing.T) {
	r := startRedis(t, "--requirepass", "open sesame")
	t.Setenv("CLUSTER_TEST_PASSWORD", "open sesame")
	o := patient(r)
	o.Required = true
	adaptation.Note(o.known(), "Caddyfile:3")
	_, err := tryOpen(t, o)
	wantError(t, err, "NOAUTH", "at Caddyfile:3")
	o.Password = "wrong"
	_, err = tryOpen(t, o)
	wantError(t, err, "WRONGPASS")
	o.Password = "{env.CLUSTER_TEST_PASSWORD}"
	takes(t, open(t, o))
	o.Username = "default"
	takes(t, open(t, o))
	o = patient(r)
	o.URL = "redis://:open%20sesame@" + r.address() + "/2"
	a := open(t, o)
	if _, err := a.Take(t.Context(), "k", lb.Limit{Events: 1, Window: time.Hour}); err != nil {
		t.Fatal(err)
	}
	conn, err := redis.DialURL(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := redis.Int(conn.Do("EXISTS", a.client.key("b", "k"))); n != 1 || err != nil {
		t.Errorf("the key is not in the database that was named: %d, %v", n, err)
	}
}

func takes(t *testing.T, s lb.SharedCounters) {
	t.Helper()
	if taken, err := s.Take(t.Context(), "k", generous); err != nil || !taken.Allowed {
		t.Errorf("%+v, %v", taken, err)
	}
}

func TestAbsentAtLoad(t *testing.T) {
	r := startRedis(t)
	r.stop()
	o := patient(r)
	o.Required = true
	_, err := tryOpen(t, o)
	wantError(t, err, "connection refused")
	o.Required = false
	a := open(t, o)
	if _, err := a.Take(t.Context(), "k", generous); !isAway(err) {
		t.Errorf("without Redis: %v", err)
	}
	r.start()
	eventually(t, "Redis is found when it comes", func() bool {
		_, err := a.Take(t.Context(), "k", generous)
		return err == nil
	})
}

func TestEqualOptionsShareAClient(t *testing.T) {
	r := startRedis(t)
	o := patient(r)
	a, b := open(t, o), &Counters{Options: o}
	b.Required = true
	if err := b.Provision(caddyContext(t)); err != nil {
		t.Fatal(err)
	}
	if a.client != b.client {
		t.Error("an app and counters with equal options have clients of their own")
	}
	other := o
	other.Prefix = "other"
	if open(t, other).client == a.client {
		t.Error("another prefix has the same client")
	}
	if err := a.Cleanup(); err != nil {
		t.Fatal(err)
	}
	takes(t, b)
	if _, err := a.Take(t.Context(), "k", generous); err == nil {
		t.Error("an app counts after its cleanup")
	}
	for range 2 {
		if err := b.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCountersFromCaddyfile(t *testing.T) {
	var c Counters
	d := caddyfile.NewTestDispenser(`storage redis://localhost:7000 {
	prefix p
	required
}`)
	if err := c.UnmarshalCaddyfile(d); err != nil {
		t.Fatal(err)
	}
	if c.URL != "redis://localhost:7000" || c.Prefix != "p" || !c.Required {
		t.Errorf("%+v", c.Options)
	}
}

// authority makes certificates in files.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", nil)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes name.pem and name.key. Without an issuer it is one itself.
func (a *authority) issue(name string, issuer *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: issuer == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	signer := a.key
	if issuer == nil {
		issuer, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// speaksTLS reports whether the server knows the options for TLS: of options that it does not know it names the first.
func speaksTLS() bool {
	out, _ := exec.Command("redis-server", "--tls-port", "0", "--no-such-option", "0").CombinedOutput()
	return !strings.Contains(string(out), ">>> 'tls-port")
}

func TestTLS(t *testing.T) {
	if !speaksTLS() {
		t.Skip("the redis-server here was built without TLS")
	}
	ca := newAuthority(t)
	ca.issue("redis.test", ca.cert)
	ca.issue("client", ca.cert)
	r := startRedis(t)
	r.stop()
	r.args = []string{
		"--tls-port", r.port, "--port", "0", "--tls-cert-file", ca.file("redis.test.pem"), "--tls-key-file", ca.file("redis.test.key"),
		"--tls-ca-cert-file", ca.file("ca.pem"), "--tls-auth-clients", "yes",
	}
	r.start()
	client := TLS{ClientCertificate: ca.file("client.pem"), ClientKey: ca.file("client.key")}
	o := patient(r)
	o.URL, o.Required = "rediss://"+r.address(), true

	use := func(change func(*TLS)) error {
		c := client
		change(&c)
		o.TLS = &c
		a, err := tryOpen(t, o)
		if err == nil {
			takes(t, a)
		}
		return err
	}
	for name, change := range map[string]func(*TLS){
		"by address":    func(c *TLS) { c.CA = ca.file("ca.pem") },
		"by name":       func(c *TLS) { c.CA, c.ServerName = ca.file("ca.pem"), "redis.test" },
		"not looked at": func(c *TLS) { c.InsecureSkipVerify = true },
	} {
		if err := use(change); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantError(t, use(func(*TLS) {}), "unknown authority")
	wantError(t, use(func(c *TLS) { c.CA, c.ServerName = ca.file("ca.pem"), "other.test" }), "other.test")
	// The server breaks off; how that shows depends on who is faster.
	wantError(t, use(func(c *TLS) { *c = TLS{CA: ca.file("ca.pem")} }))
}
