package peer

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"text/template"
)

// Nginx is nginx with one worker for each processor.
type Nginx struct{}

// Name implements Peer.
func (Nginx) Name() string { return "nginx" }

// Death implements Peer: the master ends its workers.
func (Nginx) Death() syscall.Signal { return syscall.SIGTERM }

// Prepare implements Peer.
func (Nginx) Prepare() (string, error) {
	out, err := exec.Command("nginx", "-v").CombinedOutput()
	if err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), "version: ")
	return version, nil
}

// Lacks implements Peer.
func (Nginx) Lacks(*Setup) string { return "" }

// Command implements Peer.
func (Nginx) Command(s *Setup) (*exec.Cmd, error) {
	var text strings.Builder
	if err := nginxConf.Execute(&text, nginxSetup{Setup: s, Root: os.Getuid() == 0}); err != nil {
		return nil, err
	}
	file, err := s.write("nginx.conf", text.String())
	if err != nil {
		return nil, err
	}
	// The second option is where errors go before the configuration is read.
	return exec.Command("nginx", "-p", s.Dir, "-e", "startup.log", "-c", file), nil
}

type nginxSetup struct {
	*Setup
	Root bool
}

// Hosts are the names of the server blocks. "_" matches none, and so makes a block the default.
func (s nginxSetup) Hosts() []string {
	if len(s.Sites) > 0 {
		return s.Sites
	}
	return []string{"_"}
}

// ServerName is whom the backends' certificate is for.
func (nginxSetup) ServerName() string { return ServerName }

// Listen is the argument of the directive.
func (s nginxSetup) Listen() string {
	listen := fmt.Sprintf("127.0.0.1:%d backlog=4096", s.Port)
	if s.TLS {
		listen += " ssl http2"
	}
	return listen
}

// nginxConf streams bodies as the other peers do, instead of through files, and closes no connection for its age.
var nginxConf = template.Must(template.New("nginx.conf").Parse(`
daemon off;
worker_processes {{.Procs}};
worker_rlimit_nofile 16384;
pid nginx.pid;
error_log error.log warn;
{{- if .Root}}
user root;
{{- end}}
events {
	worker_connections 8192;
}
http {
	access_log off;
	server_tokens off;
	server_names_hash_max_size 4096;
	server_names_hash_bucket_size 128;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	client_max_body_size 0;
	keepalive_timeout 1h;
	keepalive_requests 1000000000;
	ssl_protocols TLSv1.3;
	ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
{{- range $i, $host := .Hosts}}
	upstream backends{{$i}} {
{{- if $.Consistent}}
		hash $request_uri consistent;
{{- end}}
{{- range $.Upstreams}}
		server {{.}};
{{- end}}
		keepalive {{$.Idle}};
		keepalive_requests 1000000000;
		keepalive_timeout 1h;
	}
	server {
		listen {{if eq $i 0}}{{$.Listen}}{{else}}127.0.0.1:{{$.Port}}{{if $.TLS}} ssl http2{{end}}{{end}};
		server_name {{$host}};
{{- if $.TLS}}
		ssl_certificate {{$.Certificates.Cert}};
		ssl_certificate_key {{$.Certificates.Key}};
{{- end}}
		location / {
			proxy_pass http{{if $.UpstreamTLS}}s{{end}}://backends{{$i}};
			proxy_http_version 1.1;
			proxy_request_buffering off;
			proxy_max_temp_file_size 0;
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Host $http_host;
{{- if $.WebSocket}}
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_read_timeout 1h;
{{- else}}
			proxy_set_header Connection "";
{{- end}}
{{- if $.UpstreamTLS}}
			proxy_ssl_protocols TLSv1.3;
			proxy_ssl_name {{$.ServerName}};
			proxy_ssl_server_name on;
			proxy_ssl_verify on;
			proxy_ssl_trusted_certificate {{$.Certificates.Cert}};
{{- end}}
		}
	}
{{- end}}
}
`))
