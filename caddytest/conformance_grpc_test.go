package caddytest

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"testing"
)

// grpcCases are the cases of gRPC's interoperability test descriptions that need nothing but client and server.
var grpcCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
	"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "custom_metadata",
	"status_code_and_message", "special_status_message", "unimplemented_method", "unimplemented_service",
}

// startInterop runs the server of the cases and sets the variables H2C, TLS and CA for a Caddyfile.
func startInterop(t *testing.T, bin string) map[string]string {
	t.Helper()
	vars := map[string]string{"CA": filepath.Join(t.TempDir(), "ca.pem")}
	cmd := exec.Command(bin, "serve", vars["CA"])
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the gRPC server ended with %v", err)
		}
	})
	lines := bufio.NewScanner(stdout)
	for _, name := range []string{"H2C", "TLS"} {
		if !lines.Scan() {
			t.Fatalf("the gRPC server does not say where it is: %v", lines.Err())
		}
		vars[name] = lines.Text()
	}
	return vars
}

// TestGRPCInterop runs the cases with grpc-go at both ends, over h2c and over TLS on both sides of lb_proxy.
func TestGRPCInterop(t *testing.T) {
	bin := program(t, buildInterop)
	s := Start(t, `{
	skip_install_trust
	auto_https disable_redirects
	servers {
		protocols h1 h2 h2c
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy h2c://{$H2C}
}
https://localhost:{$PORT2} {
	tls internal
	lb_proxy https://{$TLS} {
		transport http {
			tls_trust_pool file {$CA}
		}
	}
}
`, startInterop(t, bin))
	ca := s.internalCA()
	overTLS := []string{"localhost:" + s.vars["PORT2"], ca}
	eventually(t, "the certificate is there", func() bool {
		return exec.Command(bin, append([]string{"run", "empty_unary"}, overTLS...)...).Run() == nil
	})
	for name, target := range map[string][]string{"h2c": {"127.0.0.1:" + s.vars["PORT"]}, "tls": overTLS} {
		for _, c := range grpcCases {
			t.Run(name+"/"+c, func(t *testing.T) {
				out, err := exec.CommandContext(t.Context(), bin, append([]string{"run", c}, target...)...).CombinedOutput()
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}
