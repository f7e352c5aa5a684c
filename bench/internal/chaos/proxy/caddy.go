package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/caddylb/caddy-lb/bench/internal/peer"
	"github.com/caddylb/caddy-lb/bench/internal/proc"
)

// Caddy is Caddy with this suite, with lb_proxy or with reverse_proxy.
type Caddy struct{ peer.Caddy }

// Start implements Peer.
func (c Caddy) Start(ctx context.Context, spawner *proc.Spawner, s *Setup) (Proxy, error) {
	if err := prepare(s); err != nil {
		return nil, err
	}
	p := &caddyProxy{kind: c.Kind, all: s.Backends}
	file, err := s.write(p.config())
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(c.Binary, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+s.Dir, "XDG_DATA_HOME="+s.Dir, "XDG_CONFIG_HOME="+s.Dir)
	p.process, err = start(ctx, spawner, s, cmd, c.Death())
	return p, err
}

type caddyProxy struct {
	*process
	kind peer.Kind
	all  []string
	mu   sync.Mutex // over changes of the setup
}

func (p *caddyProxy) config() string { return string(p.kind) + ".caddyfile" }

// Reload implements Proxy.
func (p *caddyProxy) Reload(ctx context.Context) error {
	return p.reload(ctx, func(s *Setup) { s.Generation++ })
}

func (p *caddyProxy) reload(ctx context.Context, change func(*Setup)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p.setup)
	file, err := p.setup.write(p.config())
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = p.ask(ctx, http.MethodPost, "/load", "text/caddyfile", text)
	return err
}

// ask sends a request to the admin API.
func (p *caddyProxy) ask(ctx context.Context, method, path, kind string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.setup.Admin+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return answer, err
}

// Drain implements Proxy. Of reverse_proxy's backends nobody says that they are empty; an operator waits a while.
func (p *caddyProxy) Drain(ctx context.Context, backend string) error {
	if p.kind != peer.LB {
		err := p.reload(ctx, func(s *Setup) {
			s.Backends = slices.DeleteFunc(slices.Clone(p.all), func(a string) bool { return a == backend })
		})
		if err != nil {
			return err
		}
		return Pause(ctx, time.Second)
	}
	if err := p.order(ctx, backend, `{"drain": true}`); err != nil {
		return err
	}
	return until(ctx, 20*time.Millisecond, func() (bool, error) {
		answer, err := p.ask(ctx, http.MethodGet, resource(backend), "", nil)
		if err != nil {
			return false, err
		}
		var status struct {
			Empty bool `json:"empty"`
		}
		err = json.Unmarshal(answer, &status)
		return status.Empty, err
	})
}

// Undrain implements Proxy.
func (p *caddyProxy) Undrain(ctx context.Context, backend string) error {
	if p.kind != peer.LB {
		return p.reload(ctx, func(s *Setup) { s.Backends = p.all })
	}
	return p.order(ctx, backend, `{"drain": false}`)
}

func (p *caddyProxy) order(ctx context.Context, backend, order string) error {
	_, err := p.ask(ctx, http.MethodPatch, resource(backend), "application/json", []byte(order))
	return err
}

// resource is a backend of the pool that the scenarios' configurations name.
func resource(backend string) string { return "/lb/pools/app/backends/" + url.PathEscape(backend) }

// Pause waits, unless ctx ends: then it returns its error.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
