package peer

import (
	"os/exec"
	"strings"
	"syscall"
	"text/template"
)

// Haproxy is HAProxy with one thread for each processor.
type Haproxy struct{}

// Name implements Peer.
func (Haproxy) Name() string { return "haproxy" }

// Death implements Peer.
func (Haproxy) Death() syscall.Signal { return syscall.SIGKILL }

// Prepare implements Peer.
func (Haproxy) Prepare() (string, error) {
	out, err := exec.Command("haproxy", "-v").Output()
	if err != nil {
		return "", err
	}
	version, _, _ := strings.Cut(string(out), " 20") // the date of the build follows
	return version, nil
}

// Lacks implements Peer.
func (Haproxy) Lacks(*Setup) string { return "" }

// Command implements Peer.
func (Haproxy) Command(s *Setup) (*exec.Cmd, error) {
	var text strings.Builder
	if err := haproxyConf.Execute(&text, haproxySetup{s}); err != nil {
		return nil, err
	}
	file, err := s.write("haproxy.cfg", text.String())
	if err != nil {
		return nil, err
	}
	return exec.Command("haproxy", "-db", "-f", file), nil
}

type haproxySetup struct{ *Setup }

// Hosts are the names of the backend sections.
func (s haproxySetup) Hosts() []string {
	if len(s.Sites) > 0 {
		return s.Sites
	}
	return []string{ServerName}
}

// ServerName is whom the backends' certificate is for.
func (haproxySetup) ServerName() string { return ServerName }

// haproxyConf shares connections to backends between clients, as the other peers do.
var haproxyConf = template.Must(template.New("haproxy.cfg").Parse(`
global
	maxconn 6000
	nbthread {{.Procs}}
	tune.pool-low-fd-ratio 90
	tune.pool-high-fd-ratio 95
	ssl-default-bind-options ssl-min-ver TLSv1.3
	ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
	ssl-default-server-options ssl-min-ver TLSv1.3
defaults
	mode http
	timeout connect 10s
	timeout client 1h
	timeout server 1h
	timeout tunnel 1h
	option forwardfor
	http-reuse always
frontend front
	bind 127.0.0.1:{{.Port}} backlog 4096{{if .TLS}} ssl crt {{.Certificates.Both}} alpn h2,http/1.1{{end}}
	http-request set-header X-Forwarded-Proto {{if .TLS}}https{{else}}http{{end}}
	http-request set-header X-Forwarded-Host %[req.hdr(host)]
{{- if .Sites}}
	use_backend %[req.hdr(host),lower]
{{- else}}
	default_backend {{.ServerName}}
{{- end}}
{{- range .Hosts}}
backend {{.}}
{{- if $.Consistent}}
	balance uri
	hash-type consistent
{{- else}}
	balance roundrobin
{{- end}}
{{- range $i, $addr := $.Upstreams}}
	server s{{$i}} {{$addr}}
{{- if $.UpstreamTLS}} ssl verify required ca-file {{$.Certificates.Cert}} sni str({{$.ServerName}}) verifyhost {{$.ServerName}}{{end}}
{{- end}}
{{- end}}
`))
