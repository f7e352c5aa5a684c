package lbproxy

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// defaultExpectContinueTimeout is how long the body of a request with "Expect: 100-continue" is held back when
// the backend says nothing, as in net/http's default transport.
const defaultExpectContinueTimeout = time.Second

// httpVariant is the configuration of the http transport for one variant, given the configured one.
func httpVariant(raw json.RawMessage, v variant) (json.RawMessage, error) {
	t := new(reverseproxy.HTTPTransport)
	if err := decodeHTTPTransport(raw, t); err != nil {
		return nil, err
	}
	if err := applyScheme(t, v.scheme, transportScheme(raw)); err != nil {
		return nil, err
	}
	if v.serverName != "" && t.TLS != nil {
		t.TLS.ServerName = v.serverName
	}
	if t.Compression == nil {
		// The client asks for the codings it can read; asking on its behalf would cost a decompression here
		// and the length of the answer.
		off := false
		t.Compression = &off
	}
	if t.ExpectContinueTimeout == 0 {
		t.ExpectContinueTimeout = caddy.Duration(defaultExpectContinueTimeout)
	}
	var warnings []caddyconfig.Warning
	out := caddyconfig.JSONModuleObject(t, "protocol", "http", &warnings)
	if len(warnings) > 0 {
		return nil, fmt.Errorf("encoding transport: %s", warnings[0].Message)
	}
	return out, nil
}

// decodeHTTPTransport reads the configuration of an http transport, which may be empty.
func decodeHTTPTransport(raw json.RawMessage, t *reverseproxy.HTTPTransport) error {
	if len(raw) == 0 {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return fmt.Errorf("decoding transport: %w", err)
	}
	delete(fields, "protocol")
	bare, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("decoding transport: %w", err)
	}
	if err := caddy.StrictUnmarshalJSON(bare, t); err != nil {
		return fmt.Errorf("decoding transport: %w", err)
	}
	return nil
}

// applyScheme turns a transport that was configured for one scheme into one for another.
func applyScheme(t *reverseproxy.HTTPTransport, scheme, configured string) error {
	if scheme == configured {
		return nil
	}
	withoutH2C := slices.DeleteFunc(slices.Clone(t.Versions), func(v string) bool { return v == "h2c" })
	switch scheme {
	case "http":
		t.TLS, t.Versions = nil, withoutH2C
	case "https":
		t.Versions = withoutH2C
		if t.TLS == nil {
			return t.EnableTLS(new(reverseproxy.TLSConfig))
		}
	case "h2c":
		t.TLS = nil
		return t.EnableH2C()
	default:
		return fmt.Errorf("scheme %q is none of http, https, h2c", scheme)
	}
	return nil
}

// connection is how the transport connects, for those who connect to the same backends apart from it: its TLS
// settings, nil when there are none, and the version of the PROXY protocol, empty when it is not spoken.
func (t *transports) connection() (config *tls.Config, proxyProtocol string) {
	for _, tr := range *t.list.Load() {
		ht, ok := tr.RoundTripper.(*reverseproxy.HTTPTransport)
		if !ok {
			continue
		}
		proxyProtocol = ht.ProxyProtocol
		if tr.scheme == "https" && ht.Transport != nil && ht.Transport.TLSClientConfig != nil {
			config = ht.Transport.TLSClientConfig.Clone()
			if config.ServerName = ht.TLS.ServerName; tr.serverName != "" || strings.Contains(config.ServerName, "{") {
				config.ServerName = "" // it is one backend's, or one request's
			}
			config.NextProtos = nil
		}
	}
	return config, proxyProtocol
}

// serverNamePlaceholder returns the TLS server name when it depends on the request and connections can be told
// apart by it. Through a forward proxy they cannot, since the proxy is told the URL's host; HTTP/3 connects to
// the URL's host, too.
func serverNamePlaceholder(t *reverseproxy.HTTPTransport) string {
	if t.TLS == nil || !strings.Contains(t.TLS.ServerName, "{") {
		return ""
	}
	if slices.Contains(t.Versions, "3") || len(t.NetworkProxyRaw) > 0 || t.ForwardProxyURL != "" {
		return ""
	}
	if os.Getenv("HTTPS_PROXY") != "" || os.Getenv("https_proxy") != "" {
		return ""
	}
	return t.TLS.ServerName
}
