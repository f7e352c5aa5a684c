package lbproxy

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// transportOption is what the package has to know of an option of Caddy's http transport. Those
// that it knows nothing of are done by the engine as well, and a transport that has them outlives
// its configuration.
type transportOption struct {
	field string // of reverseproxy.HTTPTransport, or of its TLSConfig

	// module says why only Caddy's own module can do what is configured; empty if the engine can.
	module func(*reverseproxy.HTTPTransport) string

	// bound reports whether the option belongs to the configuration that makes the transport: it is
	// a module, or a file that a reload is to read again. Of TLS options it is called when there is
	// TLS.
	bound func(*reverseproxy.HTTPTransport) bool
}

// transportOptions declares the options of the http transport. A field that is missing here fails a
// test.
var transportOptions = []transportOption{
	{field: "Versions", module: func(t *reverseproxy.HTTPTransport) string {
		switch {
		case slices.Contains(t.Versions, "3"):
			return "it speaks HTTP/3"
		case slices.Contains(t.Versions, "h2c"):
			return "it speaks HTTP/2 without TLS"
		}
		return ""
	}},
	{
		field:  "NetworkProxyRaw",
		module: func(t *reverseproxy.HTTPTransport) string { return throughProxy(len(t.NetworkProxyRaw) > 0) },
		bound:  func(t *reverseproxy.HTTPTransport) bool { return len(t.NetworkProxyRaw) > 0 },
	},
	{
		field:  "ForwardProxyURL",
		module: func(t *reverseproxy.HTTPTransport) string { return throughProxy(t.ForwardProxyURL != "") },
		bound:  func(t *reverseproxy.HTTPTransport) bool { return t.ForwardProxyURL != "" },
	},
	{field: "Compression", module: func(t *reverseproxy.HTTPTransport) string {
		if t.Compression != nil && *t.Compression {
			return "it decompresses answers"
		}
		return ""
	}},
	{field: "Resolver"},
	{field: "TLS"},
	{field: "KeepAlive"},
	{field: "MaxConnsPerHost"},
	{field: "ProxyProtocol"},
	{field: "DialTimeout"},
	{field: "FallbackDelay"},
	{field: "ResponseHeaderTimeout"},
	{field: "ExpectContinueTimeout"},
	{field: "MaxResponseHeaderSize"},
	{field: "WriteBufferSize"},
	{field: "ReadBufferSize"},
	{field: "ReadTimeout"},
	{field: "WriteTimeout"},
	{field: "LocalAddress"},

	{field: "TLS.CARaw", bound: func(t *reverseproxy.HTTPTransport) bool { return len(t.TLS.CARaw) > 0 }},
	{field: "TLS.RootCAPool"},
	//nolint:staticcheck // configurations may have the deprecated field
	{field: "TLS.RootCAPEMFiles", bound: func(t *reverseproxy.HTTPTransport) bool { return len(t.TLS.RootCAPEMFiles) > 0 }},
	{field: "TLS.ClientCertificateFile", bound: func(t *reverseproxy.HTTPTransport) bool { return t.TLS.ClientCertificateFile != "" }},
	{field: "TLS.ClientCertificateKeyFile", bound: func(t *reverseproxy.HTTPTransport) bool { return t.TLS.ClientCertificateKeyFile != "" }},
	{field: "TLS.ClientCertificateAutomate", bound: func(t *reverseproxy.HTTPTransport) bool { return t.TLS.ClientCertificateAutomate != "" }},
	{field: "TLS.InsecureSkipVerify"},
	{field: "TLS.HandshakeTimeout"},
	{field: "TLS.ServerName"},
	{field: "TLS.Renegotiation"},
	{field: "TLS.ExceptPorts"},
	{field: "TLS.Curves"},
}

func throughProxy(is bool) string {
	if is {
		return "it connects through a proxy"
	}
	return ""
}
