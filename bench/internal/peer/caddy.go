package peer

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Kind is what Caddy does with a request.
type Kind string

// The kinds are the names of the peers, too.
const (
	LB      Kind = "lb"      // lb_proxy
	Stock   Kind = "stock"   // reverse_proxy
	Respond Kind = "respond" // respond: an answer without a backend
)

// Caddy is Caddy with this suite, the handler being one of three.
type Caddy struct {
	Binary string
	Kind   Kind
}

// Name implements Peer.
func (c Caddy) Name() string { return string(c.Kind) }

// Death implements Peer.
func (Caddy) Death() syscall.Signal { return syscall.SIGKILL }

// Prepare implements Peer.
func (c Caddy) Prepare() (string, error) {
	out, err := exec.Command(c.Binary, "build-info").Output()
	if err != nil {
		return "", fmt.Errorf("%s build-info: %w", c.Binary, err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" && f[1] == "github.com/caddyserver/caddy/v2" {
			return "Caddy " + f[2], nil
		}
	}
	return "", fmt.Errorf("%s build-info does not name Caddy's version", c.Binary)
}

// Lacks implements Peer.
func (c Caddy) Lacks(s *Setup) string {
	// Larger answers it sends without a length.
	const large = 1 << 10
	if c.Kind == Respond && (s.UpstreamTLS || s.WebSocket || s.Consistent || s.Upload > 0 || s.Answer > large || s.IdleMemory) {
		return "has no backends"
	}
	return ""
}

// Command implements Peer.
func (c Caddy) Command(s *Setup) (*exec.Cmd, error) {
	file, err := s.write("Caddyfile", c.caddyfile(s))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", s.Procs),
		"HOME="+s.Dir, "XDG_DATA_HOME="+s.Dir, "XDG_CONFIG_HOME="+s.Dir)
	return cmd, nil
}

func (c Caddy) caddyfile(s *Setup) string {
	var b strings.Builder
	b.WriteString("{\n\tadmin off\n\tpersist_config off\n\tauto_https disable_redirects\n\tskip_install_trust\n" +
		"\tservers {\n\t\tprotocols h1 h2\n\t}\n}\n")
	scheme := "http"
	if s.TLS {
		scheme = "https"
	}
	sites := s.Sites
	if len(sites) == 0 {
		sites = []string{""}
	}
	for _, host := range sites {
		fmt.Fprintf(&b, "%s://%s:%d {\n\tbind 127.0.0.1\n", scheme, host, s.Port)
		if s.TLS {
			fmt.Fprintf(&b, "\ttls %s %s\n", s.Certificates.Cert, s.Certificates.Key)
		}
		if c.Kind == Respond {
			fmt.Fprintf(&b, "\trespond %s\n}\n", strings.Repeat("x", s.Answer))
			continue
		}
		c.proxy(&b, s)
		b.WriteString("}\n")
	}
	return b.String()
}

// proxy writes the directive. Both handlers get the same; the policies differ where only one has a ring.
func (c Caddy) proxy(b *strings.Builder, s *Setup) {
	directive, hash := "reverse_proxy", "uri_hash"
	if c.Kind == LB {
		directive, hash = "lb_proxy", "consistent"
	}
	policy := "round_robin"
	if s.Consistent {
		policy = hash
	}
	fmt.Fprintf(b, "\t%s %s {\n\t\tlb_policy %s\n\t\ttransport http {\n\t\t\tkeepalive_idle_conns_per_host %d\n",
		directive, strings.Join(s.Upstreams, " "), policy, s.Idle)
	if s.UpstreamTLS {
		fmt.Fprintf(b, "\t\t\ttls\n\t\t\ttls_trust_pool file %s\n\t\t\ttls_server_name %s\n", s.Certificates.Cert, ServerName)
	}
	b.WriteString("\t\t}\n\t}\n")
}
