package healthcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// tlsOptions are the Caddyfile options of [tlsConnector], for error texts.
var tlsOptions = []string{"tls_server_name", "insecure_skip_verify", "ca", "proxy_protocol"}

// tlsConnector is how a check reaches a backend that speaks TLS. Kinds embed it for its options.
type tlsConnector struct {
	connector

	// ServerName is asked for in the handshake and looked for in the certificate. Default: the backend's own
	// tls_server_name, else the transport's, else the backend's name, else the host of its address.
	ServerName string `json:"tls_server_name,omitempty"`

	// InsecureSkipVerify accepts any certificate: it tells that TLS works, not that the backend is the right one.
	InsecureSkipVerify bool `json:"insecure_skip_verify,omitempty"`

	// CA lists PEM files with the only certificate authorities to trust. Default: the transport's, else the
	// system's.
	CA []string `json:"ca,omitempty"`

	roots *x509.CertPool
}

// provision validates the options and reads the authorities' certificates.
func (c *tlsConnector) provision() error {
	if err := c.validate(); err != nil {
		return err
	}
	if len(c.CA) == 0 {
		return nil
	}
	repl := caddy.NewReplacer()
	c.roots = x509.NewCertPool()
	for _, name := range c.CA {
		pem, err := os.ReadFile(repl.ReplaceAll(name, ""))
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		if !c.roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("ca: %s holds no certificate in PEM form", name)
		}
	}
	return nil
}

// unmarshalOption reads one of the connector's options, and reports whether it was one.
func (c *tlsConnector) unmarshalOption(d *caddyfile.Dispenser) (bool, error) {
	switch d.Val() {
	case "tls_server_name":
		return true, text(d, &c.ServerName)
	case "insecure_skip_verify":
		c.InsecureSkipVerify = true
		return true, nil
	case "ca":
		files := d.RemainingArgs()
		if len(files) == 0 {
			return true, d.ArgErr()
		}
		c.CA = append(c.CA, files...)
		return true, nil
	}
	return c.connector.unmarshalOption(d)
}

// config is the TLS configuration for t. protocols are offered by ALPN, unless the transport has its own.
func (c *tlsConnector) config(t Target, protocols ...string) *tls.Config {
	cfg := new(tls.Config)
	if c.inherited.TLS != nil {
		cfg = c.inherited.TLS.Clone()
	}
	cfg.ServerName = c.serverName(t, cfg.ServerName)
	if c.InsecureSkipVerify {
		cfg.InsecureSkipVerify = true
	}
	if c.roots != nil {
		cfg.RootCAs = c.roots
	}
	if len(cfg.NextProtos) == 0 {
		cfg.NextProtos = protocols
	}
	return cfg
}

// serverName is the name that t has to prove. The transport's name may hold a request's placeholder, which a
// check cannot fill in.
func (c *tlsConnector) serverName(t Target, inherited string) string {
	if strings.Contains(inherited, "{") {
		inherited = ""
	}
	names := []string{c.ServerName, t.ServerName, inherited, t.Name}
	for _, name := range names {
		if name != "" {
			return name
		}
	}
	if t.Address.IsUnix() {
		return "localhost"
	}
	return t.Address.Host
}

// handshake makes a new TLS connection to t.
func (c *tlsConnector) handshake(ctx context.Context, t Target, protocols ...string) (*tls.Conn, error) {
	raw, err := c.dial(ctx, t.Address)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, c.config(t, protocols...))
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return conn, nil
}
