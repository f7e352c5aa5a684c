package proxy

import (
	"io/fs"
	"os/exec"
	"path"
	"testing"

	"github.com/caddylb/caddy-lb/bench/internal/peer"
)

// HAProxy itself says whether its configurations are such, without a warning; Caddy's are filled in.
func TestConfigurations(t *testing.T) {
	certificates, err := peer.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, absent := exec.LookPath("haproxy")
	dirs, err := fs.ReadDir(configs, "configs")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if !dir.IsDir() {
			continue
		}
		s := &Setup{
			Config: dir.Name(), Backends: []string{"127.0.0.1:9001", "127.0.0.1:9002"}, Narrow: []string{"127.0.0.1:9003"},
			Capacity: 8, Queue: 100, Hedge: true, Certificates: certificates, Port: 28080, TLSPort: 28443, Admin: "127.0.0.1:22019", Dir: t.TempDir(),
		}
		for _, name := range []string{"lb.caddyfile", "stock.caddyfile", haproxyConfig} {
			file, err := s.write(name)
			if err != nil {
				t.Fatalf("%s: %v", path.Join(s.Config, name), err)
			}
			if name != haproxyConfig || absent != nil {
				continue
			}
			if out, err := exec.Command("haproxy", "-c", "-q", "-f", file).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s: %v\n%s", path.Join(s.Config, name), err, out)
			}
		}
	}
}
