package healthcheck

import (
	"crypto/tls"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// serveGRPC serves the health service on l, unless without is set.
func serveGRPC(t *testing.T, l net.Listener, without bool, opts ...grpc.ServerOption) {
	t.Helper()
	s := grpc.NewServer(opts...)
	if !without {
		h := health.NewServer()
		h.SetServingStatus("shop.Cart", grpc_health_v1.HealthCheckResponse_SERVING)
		h.SetServingStatus("shop.Stock", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		grpc_health_v1.RegisterHealthServer(s, h)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
}

func TestGRPC(t *testing.T) {
	l, plain := listen(t)
	serveGRPC(t, l, false)
	plain.Address.Scheme = "h2c"

	cert, ca := certificate(t, "a.test")
	l, secure := listen(t)
	serveGRPC(t, l, false, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	secure.Address.Scheme = "https"
	secure.Name = "a.test"

	l, bare := listen(t)
	serveGRPC(t, l, true)
	l, socket := unixTarget(t, "h2c")
	serveGRPC(t, l, false)

	trusting := map[string]any{"kind": "grpc", "ca": []string{ca}}
	for _, tc := range []struct {
		name    string
		module  map[string]any
		service string
		to      Target
		want    string
	}{
		{"server", nil, "", plain, ""},
		{"service", nil, "shop.Cart", plain, ""},
		{"down", nil, "shop.Stock", plain, "answered NOT_SERVING"},
		{"unknown service", nil, "shop.None", plain, `does not know service "shop.None"`},
		{"unimplemented", nil, "", bare, "does not offer grpc.health.v1"},
		{"refused", nil, "", refused(t, "h2c"), "connection refused"},
		{"unix", nil, "shop.Cart", socket, ""},
		{"tls", trusting, "shop.Cart", secure, ""},
		{"tls down", trusting, "shop.Stock", secure, "answered NOT_SERVING"},
		{"wrong name", trusting, "", named(secure, "b.test"), "not b.test"},
		{"unknown authority", nil, "", secure, "unknown authority"},
		{"plain to tls", nil, "", named(at(t, "h2c", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port(t, secure)}), ""), "Unavailable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			module := map[string]any{"kind": "grpc", "service": tc.service}
			for k, v := range tc.module {
				module[k] = v
			}
			expect(t, load(t, module), tc.to, tc.want)
		})
	}
	t.Run("silent", func(t *testing.T) {
		timesOut(t, load(t, map[string]any{"kind": "grpc"}), silent(t, "h2c"))
	})
}

// port is the port that to leads to.
func port(t *testing.T, to Target) int {
	t.Helper()
	p, err := net.LookupPort("tcp", to.Address.Port)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tlsListener wraps l with a certificate and the protocols to offer.
func tlsListener(l net.Listener, cert tls.Certificate, protocols ...string) net.Listener {
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: protocols})
}
