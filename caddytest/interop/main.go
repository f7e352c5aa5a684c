// Command interop is the client and the server of gRPC's interoperability tests. The cases end the process at their
// first failure, which is why they run in one of their own.
//
//	interop serve <ca file>                serves until its standard input ends; prints the address for h2c, and for TLS
//	interop run <case> <address> [<ca file>]   runs one case, over TLS if a file with the authority is given
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func command(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 3 && args[0] == "run":
		return run(args[1], args[2], insecure.NewCredentials())
	case len(args) == 4 && args[0] == "run":
		ca, err := os.ReadFile(args[3])
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(ca) {
			return fmt.Errorf("%s has no certificate", args[3])
		}
		return run(args[1], args[2], credentials.NewTLS(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}))
	default:
		return fmt.Errorf("usage: interop serve <ca file> | interop run <case> <address> [<ca file>]")
	}
}

// serve runs the server on two ports of loopback. The certificate's authority is written to a file.
func serve(caFile string) error {
	certificate, ca := testCertificate()
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		return err
	}
	ended := make(chan error, 2)
	for _, creds := range []credentials.TransportCredentials{insecure.NewCredentials(), credentials.NewServerTLSFromCert(&certificate)} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(ln.Addr())
		server := grpc.NewServer(grpc.Creds(creds))
		testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
		go func() { ended <- server.Serve(ln) }()
	}
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	return <-ended
}

// testCertificate is a certificate for loopback, and the authority to trust for it, as PEM.
func testCertificate() (tls.Certificate, []byte) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return server.TLS.Certificates[0], pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// cases are those of the interoperability test descriptions that need no account with a cloud.
var cases = map[string]func(context.Context, *grpc.ClientConn){
	"empty_unary":                 onTestService(interop.DoEmptyUnaryCall),
	"large_unary":                 onTestService(interop.DoLargeUnaryCall),
	"client_streaming":            onTestService(interop.DoClientStreaming),
	"server_streaming":            onTestService(interop.DoServerStreaming),
	"ping_pong":                   onTestService(interop.DoPingPong),
	"empty_stream":                onTestService(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  onTestService(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          onTestService(interop.DoCancelAfterBegin),
	"cancel_after_first_response": onTestService(interop.DoCancelAfterFirstResponse),
	"custom_metadata":             onTestService(interop.DoCustomMetadata),
	"status_code_and_message":     onTestService(interop.DoStatusCodeAndMessage),
	"special_status_message":      onTestService(interop.DoSpecialStatusMessage),
	"unimplemented_method":        interop.DoUnimplementedMethod,
	"unimplemented_service": func(ctx context.Context, conn *grpc.ClientConn) {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(conn))
	},
}

// onTestService gives a case what it needs of a connection.
func onTestService(f func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context, *grpc.ClientConn) {
	return func(ctx context.Context, conn *grpc.ClientConn) { f(ctx, testgrpc.NewTestServiceClient(conn)) }
}

// run runs one case.
func run(name, address string, creds credentials.TransportCredentials) error {
	f, ok := cases[name]
	if !ok {
		return fmt.Errorf("no case is named %q", name)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f(ctx, conn)
	return nil
}
