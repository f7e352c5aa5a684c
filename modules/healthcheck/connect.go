package healthcheck

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

// proxyHeaders are the PROXY protocol headers of a connection that its sender made for itself: UNKNOWN in
// version 1, command LOCAL with no addresses in version 2 (proxy-protocol.txt, sections 2.1 and 2.2).
var proxyHeaders = map[string]string{
	"v1": "PROXY UNKNOWN\r\n",
	"v2": "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
}

// connector is how a check reaches a backend. Kinds embed it for its options.
type connector struct {
	// ProxyProtocol sends a PROXY header of this version, "v1" or "v2", ahead of everything else. It says that
	// the connection is the proxy's own. Default: what the pool's transport does.
	ProxyProtocol string `json:"proxy_protocol,omitempty"`

	inherited Inherited
}

// Inherit implements [Inheritor].
func (c *connector) Inherit(from Inherited) { c.inherited = from }

// validate checks the options.
func (c *connector) validate() error {
	if _, ok := proxyHeaders[c.ProxyProtocol]; !ok && c.ProxyProtocol != "" {
		return fmt.Errorf("proxy_protocol is %q; write v1 or v2", c.ProxyProtocol)
	}
	return nil
}

// unmarshalOption reads one of the connector's options, and reports whether it was one.
func (c *connector) unmarshalOption(d *caddyfile.Dispenser) (bool, error) {
	if d.Val() != "proxy_protocol" {
		return false, nil
	}
	if err := text(d, &c.ProxyProtocol); err != nil {
		return true, err
	}
	if err := c.validate(); err != nil {
		return true, d.WrapErr(err)
	}
	return true, nil
}

// dial makes a new connection to a.
func (c *connector) dial(ctx context.Context, a lb.Address) (net.Conn, error) {
	network := a.Network
	if network == "" {
		network = "tcp"
	}
	// Keep-alive probes are of no use to a connection that lives for one check.
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, network, a.Dial())
	if err != nil {
		return nil, err
	}
	version := c.ProxyProtocol
	if version == "" {
		version = c.inherited.ProxyProtocol
	}
	if header := proxyHeaders[version]; header != "" {
		if _, err := conn.Write([]byte(header)); err != nil {
			conn.Close()
			return nil, fmt.Errorf("sending the PROXY header: %w", err)
		}
	}
	return conn, nil
}

// resolve fills in the placeholders that an address may hold. Those of a request have no meaning here and are
// an error.
func resolve(a lb.Address) (lb.Address, error) {
	if !strings.Contains(a.Host, "{") && !strings.Contains(a.Port, "{") {
		return a, nil
	}
	repl := caddy.NewReplacer()
	var err error
	if a.Host, err = repl.ReplaceOrErr(a.Host, true, true); err != nil {
		return a, err
	}
	if a.Port, err = repl.ReplaceOrErr(a.Port, true, true); err != nil {
		return a, err
	}
	if a.Port == "" && !a.IsUnix() {
		if host, port, err := net.SplitHostPort(a.Host); err == nil {
			a.Host, a.Port = host, port
		}
	}
	return a, nil
}

// authority is the Host that a backend is asked for: its name, where it has one, else its address.
func authority(t Target) string {
	switch {
	case t.Address.IsUnix() && t.Name == "":
		return "localhost"
	case t.Name != "" && t.Address.Port != "" && !t.Address.IsUnix():
		return net.JoinHostPort(t.Name, t.Address.Port)
	case t.Name != "":
		return t.Name
	}
	return t.Address.Dial()
}
