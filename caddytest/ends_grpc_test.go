package caddytest

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	message "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// callForms are the four forms of gRPC calls.
var callForms = map[string]grpc.StreamDesc{
	"unary":            {},
	"client streaming": {ClientStreams: true},
	"server streaming": {ServerStreams: true},
	"bidirectional":    {ClientStreams: true, ServerStreams: true},
}

// callEnds are the ways in which a call ends, with the status that the client gets. A client that
// streams sends one message and leaves its direction open, unless the call is to end well.
var callEnds = map[string]codes.Code{
	"well":                    codes.OK,
	"with a status at once":   codes.ResourceExhausted,
	"with a status on a call": codes.ResourceExhausted,
	"with a status, answered": codes.ResourceExhausted,
	"by the server's cancel":  codes.Canceled,
	"by the client's cancel":  codes.Canceled,
	"by the deadline":         codes.DeadlineExceeded,
}

// callServer answers calls as their method says, and counts those under way.
type callServer struct{ underWay atomic.Int64 }

func (s *callServer) handle(_ any, stream grpc.ServerStream) error {
	s.underWay.Add(1)
	defer s.underWay.Add(-1)
	path, _ := grpc.MethodFromServerStream(stream)
	end := strings.ReplaceAll(path[strings.LastIndexByte(path, '/')+1:], "_", " ")
	if end == "with a status at once" {
		return status.Error(codes.ResourceExhausted, end)
	}
	if err := stream.RecvMsg(new(message.HealthCheckRequest)); err != nil {
		return err
	}
	switch end {
	case "well":
		for {
			err := stream.RecvMsg(new(message.HealthCheckRequest))
			if err == io.EOF {
				return stream.SendMsg(&message.HealthCheckResponse{Status: message.HealthCheckResponse_SERVING})
			}
			if err != nil {
				return err
			}
		}
	case "with a status on a call":
		return status.Error(codes.ResourceExhausted, end)
	case "with a status, answered":
		if err := stream.SendMsg(&message.HealthCheckResponse{}); err != nil {
			return err
		}
		return status.Error(codes.ResourceExhausted, end)
	case "by the server's cancel":
		return status.Error(codes.Canceled, end)
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// serve runs the server on a port of loopback.
func (s *callServer) serve(t *testing.T, options ...grpc.ServerOption) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(options, grpc.UnknownServiceHandler(s.handle))...)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// call makes one call, and returns the code that it ended with.
func call(ctx context.Context, conn *grpc.ClientConn, prefix, end string, form grpc.StreamDesc) error {
	ctx, cancel := context.WithTimeout(ctx, patience())
	defer cancel()
	switch end {
	case "by the client's cancel":
		timer := time.AfterFunc(50*time.Millisecond, cancel)
		defer timer.Stop()
	case "by the deadline":
		ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
	}
	stream, err := conn.NewStream(ctx, &form, prefix+strings.ReplaceAll(end, " ", "_"))
	if err != nil {
		return err
	}
	// A server that has ended the call already says why when its answer is received.
	if err := stream.SendMsg(new(message.HealthCheckRequest)); err != nil && err != io.EOF {
		return err
	}
	if !form.ClientStreams || end == "well" {
		_ = stream.CloseSend()
	}
	for {
		switch err := stream.RecvMsg(new(message.HealthCheckResponse)); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case !form.ServerStreams:
			return nil
		}
	}
}

// startCalls runs the proxy between servers over h2c and over TLS and clients over both, and
// returns connections with the prefix of methods for each pair.
func startCalls(t *testing.T, server *callServer) (s *Server, conns map[string]*grpc.ClientConn) {
	t.Helper()
	config, authority := endsTLS()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	s = Start(t, endsSites, map[string]string{
		// A server that knows the deadline ends the call itself, at the same moment as its client.
		"CLIENTS": "", "OPTIONS": "header_up -Grpc-Timeout", "CA": ca, "H1": "127.0.0.1:1",
		"H2C": server.serve(t), "H2": server.serve(t, grpc.Creds(credentials.NewTLS(config))),
	})
	conns = make(map[string]*grpc.ClientConn)
	for name, creds := range map[string]credentials.TransportCredentials{
		"127.0.0.1:" + s.vars["PORT"]: insecure.NewCredentials(),
		"localhost:" + s.vars["PORT2"]: credentials.NewTLS(&tls.Config{
			RootCAs: s.roots(), MinVersion: tls.VersionTLS12,
		}),
	} {
		conn, err := grpc.NewClient(name, grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		eventually(t, "the site answers", func() bool {
			return call(t.Context(), conn, "/h2c/", "well", callForms["unary"]) == nil
		})
		conns[name] = conn
	}
	return s, conns
}

// Calls of all four forms end as either side says, however much of them is still open.
func TestGRPCEnds(t *testing.T) {
	server := new(callServer)
	s, conns := startCalls(t, server)
	var calls sync.WaitGroup
	limit := make(chan struct{}, endsWorkers)
	var right, all atomic.Int64
	for front, conn := range conns {
		for _, prefix := range []string{"/h2c/", "/h2/"} {
			for formName, form := range callForms {
				for end, want := range callEnds {
					again := 1
					if formName == "bidirectional" && want == codes.ResourceExhausted {
						again = 100
					}
					for range again {
						limit <- struct{}{}
						calls.Go(func() {
							defer func() { <-limit }()
							all.Add(1)
							if err := call(t.Context(), conn, prefix, end, form); status.Code(err) != want {
								t.Errorf("%s to %s: a %s call that ends %s ended with %v", front, prefix, formName, end, err)
								return
							}
							right.Add(1)
						})
					}
				}
			}
		}
	}
	calls.Wait()
	t.Logf("%d of %d calls ended as they should", right.Load(), all.Load())
	eventually(t, "every call has ended at its server", func() bool { return server.underWay.Load() == 0 })
	eventually(t, "every place is free", func() bool { return s.active() == 0 })
}
