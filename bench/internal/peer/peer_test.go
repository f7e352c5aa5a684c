package peer

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// setups are the variants of configuration that scenarios ask for.
func setups(t *testing.T) map[string]*Setup {
	t.Helper()
	certificates, err := NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("127.0.%d.%d:9000", 1+i/250, 1+i%250))
	}
	variants := map[string]*Setup{
		"plain":      {},
		"tls":        {TLS: true},
		"upstream":   {UpstreamTLS: true},
		"websocket":  {WebSocket: true},
		"consistent": {Consistent: true, Upstreams: many},
		"sites":      {Sites: []string{"bench-0.test", "bench-1.test"}, TLS: true},
		"two":        {Procs: 2},
	}
	for _, s := range variants {
		s.Dir, s.Port, s.Idle, s.Answer, s.Certificates = t.TempDir(), 28080, 256, 100, certificates
		if s.Upstreams == nil {
			s.Upstreams = []string{"127.0.0.1:9001", "127.0.0.1:9002"}
		}
		s.Procs = max(s.Procs, 1)
	}
	return variants
}

// The servers themselves say whether their configuration is one.
func TestConfigurations(t *testing.T) {
	for _, tt := range []struct {
		peer  Peer
		check []string
	}{
		{Nginx{}, []string{"-t"}},
		{Haproxy{}, []string{"-c"}},
	} {
		if _, err := exec.LookPath(tt.peer.Name()); err != nil {
			t.Logf("%s is not installed", tt.peer.Name())
			continue
		}
		for name, s := range setups(t) {
			cmd, err := tt.peer.Command(s)
			if err != nil {
				t.Fatal(err)
			}
			cmd.Args = append(cmd.Args, tt.check...)
			out, err := cmd.CombinedOutput()
			if err != nil || strings.Contains(string(out), "[warn]") || strings.Contains(string(out), "[WARNING]") {
				t.Errorf("%s, %s: %v\n%s", tt.peer.Name(), name, err, out)
			}
		}
	}
}

func TestCaddyfile(t *testing.T) {
	all := setups(t)
	tests := []struct {
		kind  Kind
		setup string
		want  []string
	}{
		{LB, "plain", []string{"http://:28080 {", "\tlb_proxy 127.0.0.1:9001 127.0.0.1:9002 {", "\t\tlb_policy round_robin", "keepalive_idle_conns_per_host 256"}},
		{Stock, "plain", []string{"\treverse_proxy 127.0.0.1:9001 127.0.0.1:9002 {", "\t\tlb_policy round_robin"}},
		{LB, "consistent", []string{"lb_policy consistent"}},
		{Stock, "consistent", []string{"lb_policy uri_hash"}},
		{Respond, "plain", []string{"respond " + strings.Repeat("x", 100) + "\n"}},
		{LB, "sites", []string{"https://bench-0.test:28080 {", "https://bench-1.test:28080 {", "\ttls "}},
		{LB, "upstream", []string{"tls_trust_pool file ", "tls_server_name bench.test"}},
	}
	for _, tt := range tests {
		text := Caddy{Kind: tt.kind}.caddyfile(all[tt.setup])
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s, %s: no %q in\n%s", tt.kind, tt.setup, want, text)
			}
		}
	}
}

func TestLacks(t *testing.T) {
	for _, p := range All("caddy", "bench", "pingora") {
		if reason := p.Lacks(&Setup{Answer: 100}); reason != "" {
			t.Errorf("%s takes no part in the simplest scenario: it %s", p.Name(), reason)
		}
	}
	if (Caddy{Kind: Respond}).Lacks(&Setup{Upload: 1}) == "" || (Fasthttp{}).Lacks(&Setup{H2: true}) == "" {
		t.Error("a peer says it can do what it cannot")
	}
}
