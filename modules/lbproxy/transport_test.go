package lbproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func TestTransportScheme(t *testing.T) {
	for raw, want := range map[string]string{
		"": "http", `{"protocol":"http"}`: "http", `{"tls":{}}`: "https", `{"tls":null}`: "http",
		`{"versions":["h2c","2"]}`: "h2c", `{"versions":["h2c"],"tls":{}}`: "https", `{"protocol":"fastcgi"}`: "http",
	} {
		if got := transportScheme(json.RawMessage(raw)); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

func TestHTTPVariant(t *testing.T) {
	for _, tc := range []struct {
		name, raw string
		v         variant
		check     func(*reverseproxy.HTTPTransport) bool
	}{
		{"default", "", variant{scheme: "http"}, func(t *reverseproxy.HTTPTransport) bool {
			return t.TLS == nil && t.Compression != nil && !*t.Compression && t.ExpectContinueTimeout > 0
		}},
		{"compression asked for", `{"compression":true}`, variant{scheme: "http"}, func(t *reverseproxy.HTTPTransport) bool {
			return *t.Compression
		}},
		{"TLS added", `{"dial_timeout":"1s"}`, variant{"https", "a.example"}, func(t *reverseproxy.HTTPTransport) bool {
			return t.TLS != nil && t.TLS.ServerName == "a.example" && t.DialTimeout > 0
		}},
		{"TLS removed", `{"tls":{"server_name":"b.example"}}`, variant{scheme: "http"}, func(t *reverseproxy.HTTPTransport) bool {
			return t.TLS == nil
		}},
		{"TLS kept", `{"tls":{"server_name":"b.example"}}`, variant{scheme: "https"}, func(t *reverseproxy.HTTPTransport) bool {
			return t.TLS.ServerName == "b.example"
		}},
		{"h2c added", `{"tls":{}}`, variant{scheme: "h2c"}, func(t *reverseproxy.HTTPTransport) bool {
			return t.TLS == nil && strings.Contains(fmt.Sprint(t.Versions), "h2c")
		}},
		{"h2c removed", `{"versions":["h2c","2"]}`, variant{scheme: "http"}, func(t *reverseproxy.HTTPTransport) bool {
			return !strings.Contains(fmt.Sprint(t.Versions), "h2c")
		}},
	} {
		out, err := httpVariant(json.RawMessage(tc.raw), tc.v)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var fields map[string]json.RawMessage
		got := new(reverseproxy.HTTPTransport)
		_ = json.Unmarshal(out, &fields)
		_ = json.Unmarshal(out, got)
		if string(fields["protocol"]) != `"http"` || !tc.check(got) {
			t.Errorf("%s: %s", tc.name, out)
		}
	}
	if _, err := httpVariant(json.RawMessage(`{"protocol":"http","no_such_option":1}`), variant{scheme: "http"}); err == nil {
		t.Error("an unknown option is taken")
	}
}

func TestForeignTransports(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	raw := json.RawMessage(`{"protocol":"fastcgi"}`)
	ways, err := newTransports(ctx, "test", raw, []variant{{scheme: "http"}})
	if err != nil {
		t.Fatal(err)
	}
	if !ways.needsLength || ways.requestBuffers == 0 {
		t.Errorf("the transport's needs are not known: %+v", ways)
	}
	for _, v := range []variant{{scheme: "https"}, {scheme: "http", serverName: "x"}} {
		if _, err := newTransports(ctx, "test", raw, []variant{{scheme: "http"}, v}); err == nil {
			t.Errorf("%v is taken", v)
		}
	}
}

// whoAmI answers with the protocol, the name asked for in TLS and the Host field.
func whoAmI(w http.ResponseWriter, r *http.Request) {
	name := ""
	if r.TLS != nil {
		name = r.TLS.ServerName
	}
	fmt.Fprintf(w, "%s sni=%s host=%s", r.Proto, name, r.Host)
}

func tlsServer(t *testing.T) (s *httptest.Server, ca string) {
	t.Helper()
	s = httptest.NewUnstartedServer(http.HandlerFunc(whoAmI))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, base64.StdEncoding.EncodeToString(s.Certificate().Raw)
}

func unixServer(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(whoAmI)}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return path
}

func ipv6Server(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 here: %v", err)
		return ""
	}
	s := &http.Server{Handler: http.HandlerFunc(whoAmI)}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

func TestMixedBackends(t *testing.T) {
	plain := startBackend(t, whoAmI)
	h2c := h2cServer(t, whoAmI)
	secure, ca := tlsServer(t)
	want := map[string]bool{
		"HTTP/1.1 sni= host=site.example":                                  true,
		"HTTP/2.0 sni= host=site.example":                                  true,
		"HTTP/2.0 sni=example.com host=" + secure.Listener.Addr().String(): true,
	}
	list := fmt.Sprintf(`{"dial":%q},{"dial":%q,"scheme":"h2c"},{"dial":%q,"scheme":"https","tls_server_name":"example.com"},{"dial":"unix/%s"}`,
		plain.Listener.Addr(), h2c.Listener.Addr(), secure.Listener.Addr(), unixServer(t))
	backends := 4
	if a := ipv6Server(t); a != "" {
		list += fmt.Sprintf(`,{"dial":%q}`, a)
		backends++
	}
	// The certificate authority is that of the variants with TLS, whatever the transport's own scheme.
	p := startProxy(t, fmt.Sprintf(`"upstreams":[%s],"transport":{"protocol":"http","tls":{"root_ca_pool":[%q]}}`, withScheme(list), ca))
	got := map[string]int{}
	for range backends * 3 {
		r := p.get("/", "Host", "site.example")
		if r.status != 200 {
			t.Fatalf("status %d", r.status)
		}
		got[r.body]++
	}
	for s := range got {
		if !want[s] {
			t.Errorf("unexpected %q", s)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
}

// withScheme gives http to the backends that name no scheme.
func withScheme(list string) string {
	parts := strings.Split(list, "},")
	for i, p := range parts {
		if !strings.Contains(p, `"scheme"`) {
			parts[i] = strings.Replace(p, `{`, `{"scheme":"http",`, 1)
		}
	}
	return strings.Join(parts, "},")
}

func TestUntrustedCertificate(t *testing.T) {
	secure, ca := tlsServer(t)
	for _, tc := range []struct {
		tls    string
		status int
	}{
		{`{}`, 502},
		{fmt.Sprintf(`{"root_ca_pool":[%q]}`, ca), 200},
		{fmt.Sprintf(`{"root_ca_pool":[%q],"server_name":"other.test"}`, ca), 502},
		{`{"insecure_skip_verify":true}`, 200},
	} {
		p := startProxy(t, upstreams(secure.Listener.Addr().String())+`,"transport":{"protocol":"http","tls":`+tc.tls+`}`)
		if r := p.get("/"); r.status != tc.status {
			t.Errorf("%s: %d, want %d", tc.tls, r.status, tc.status)
		}
		_ = caddy.Stop()
	}
}

// A server name that depends on the request is part of the connection: another name needs another one.
func TestServerNamePlaceholder(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(whoAmI))
	s.TLS = &tls.Config{NextProtos: []string{"http/1.1"}}
	s.StartTLS()
	t.Cleanup(s.Close)
	p := startProxy(t, upstreams(s.Listener.Addr().String())+`,"transport":{"protocol":"http","tls":{"insecure_skip_verify":true,"server_name":"{http.request.header.X-Tenant}.test"}}`)
	for _, tenant := range []string{"a", "b", "a", "c"} {
		r := p.get("/", "X-Tenant", tenant)
		if want := "sni=" + tenant + ".test "; !strings.Contains(r.body, want) {
			t.Errorf("tenant %s: %d %q", tenant, r.status, r.body)
		}
	}
}

func TestPlaceholderAddress(t *testing.T) {
	a, b := startBackend(t, text("a")), startBackend(t, text("b"))
	p := startProxy(t, `"upstreams":[{"dial":"{http.request.header.X-To}"}]`)
	for _, s := range []*backend{a, b} {
		if r := p.get("/", "X-To", s.Listener.Addr().String()); r.status != 200 {
			t.Errorf("status %d", r.status)
		}
	}
	if a.count() != 1 || b.count() != 1 {
		t.Errorf("%d and %d requests", a.count(), b.count())
	}
	if r := p.get("/", "X-To", "localhost:1-9"); r.status != 502 {
		t.Errorf("a range of ports: %d", r.status)
	}
}

func TestProxyProtocol(t *testing.T) {
	lines := make(chan string, 4)
	address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		line, _ := r.ReadString('\n')
		lines <- line
		readHead(t, r)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	p := startProxy(t, upstreams(address)+`,"transport":{"protocol":"http","proxy_protocol":"v1"}`)
	if r := p.get("/"); r.status != 200 {
		t.Errorf("status %d", r.status)
	}
	if line := <-lines; !strings.HasPrefix(line, "PROXY TCP4 127.0.0.1 ") {
		t.Errorf("got %q", line)
	}
}
