package healthcheck

import (
	"context"
	"fmt"
	"net"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func init() {
	caddy.RegisterModule(new(GRPC))
}

// maxGRPCAnswer bounds the answer, which is a handful of bytes where the peer means it.
const maxGRPCAnswer = 64 << 10

// GRPC passes when the backend answers SERVING to grpc.health.v1.Health/Check (gRPC health checking protocol).
// It speaks TLS to an https backend and HTTP/2 in clear text to any other, each time over a new connection.
type GRPC struct {
	// Service is the service to ask about. Default: the server as a whole.
	Service string `json:"service,omitempty"`

	tlsConnector
}

// CaddyModule returns the Caddy module information.
func (*GRPC) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".grpc", New: func() caddy.Module { return new(GRPC) }}
}

// Provision validates the options and reads the certificate authorities.
func (c *GRPC) Provision(caddy.Context) error { return c.provision() }

// Check implements [Checker].
func (c *GRPC) Check(ctx context.Context, t Target) error {
	// The address is not given to gRPC, whose resolvers, proxies and balancers have no part in a check.
	conn, err := grpc.NewClient("passthrough:///backend", append(c.security(t),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return c.dial(ctx, t.Address)
		}),
		grpc.WithUserAgent(userAgent),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxGRPCAnswer)),
	)...)
	if err != nil {
		return err
	}
	defer conn.Close()

	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: c.Service})
	switch status.Code(err) {
	case codes.OK:
	case codes.Unimplemented:
		return fmt.Errorf("the backend does not offer grpc.health.v1: %w", err)
	case codes.NotFound:
		return fmt.Errorf("the backend does not know service %q: %w", c.Service, err)
	default:
		return err
	}
	if s := answer.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the backend answered %s", s)
	}
	return nil
}

// security says how the connection to t is secured and whom it asks for. With TLS, gRPC takes the authority
// from the server name.
func (c *GRPC) security(t Target) []grpc.DialOption {
	if t.Address.Scheme == "https" {
		return []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(c.config(t, "h2")))}
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority(authority(t)),
	}
}

// UnmarshalCaddyfile sets up the check from Caddyfile tokens:
//
//	grpc [<service>] {
//	    tls_server_name <sni>
//	    insecure_skip_verify
//	    ca <pem_files...>
//	    proxy_protocol v1|v2
//	}
func (c *GRPC) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		c.Service = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return unmarshalBlock(d, c.unmarshalOption, "grpc", tlsOptions...)
}

// Interface guards.
var (
	_ Checker               = (*GRPC)(nil)
	_ Inheritor             = (*GRPC)(nil)
	_ caddy.Provisioner     = (*GRPC)(nil)
	_ caddyfile.Unmarshaler = (*GRPC)(nil)
)
