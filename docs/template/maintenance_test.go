package maintenance

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddylb/caddy-lb"
)

// TestInCaddy runs a whole Caddy with the filter, in this process.
func TestInCaddy(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer backend.Close()
	file := filepath.Join(t.TempDir(), "maintenance")
	address := start(t, `lb_proxy `+backend.Listener.Addr().String()+` {
		filter maintenance `+file+` 2m
	}`)

	if res, body := get(t, address); res.StatusCode != http.StatusOK || body != "hello" {
		t.Errorf("%d %q, want the backend's answer", res.StatusCode, body)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if res, body := get(t, address); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") != "120" {
		t.Errorf("%d %q with Retry-After %s, want 503", res.StatusCode, body, res.Header.Get("Retry-After"))
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if res, _ := get(t, address); res.StatusCode != http.StatusOK {
		t.Errorf("%d with maintenance over", res.StatusCode)
	}
}

// start serves a site on a free port, and returns where.
func start(t *testing.T, site string) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	ln.Close()
	options := fmt.Sprintf("{\n admin off\n persist_config off\n storage file_system %q\n}\n", t.TempDir())
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(options+"http://"+address+" {\n"+site+"\n}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return address
}

func get(t *testing.T, address string) (res *http.Response, body string) {
	t.Helper()
	res, err := http.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}
