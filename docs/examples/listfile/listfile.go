// Package listfile is a source of backends: a file with one address a line, read again every second. It works with reverse_proxy, too.
package listfile

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() { caddy.RegisterModule(new(ListFile)) }

// lists holds what was read, by path. Configurations share it: a reload finds it as it is, and the last user ends it.
var lists = caddy.NewUsagePool()

// ListFile names the backends that a file lists.
type ListFile struct {
	// Path is the file's.
	Path string `json:"path"`

	list *list
}

// CaddyModule returns the Caddy module information.
func (*ListFile) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.upstreams.list_file", New: func() caddy.Module { return new(ListFile) }}
}

// Provision takes the list of another configuration, or reads the file. A file that cannot be read fails the configuration.
func (s *ListFile) Provision(caddy.Context) error {
	v, _, err := lists.LoadOrNew(s.Path, func() (caddy.Destructor, error) { return newList(s.Path) })
	if err == nil {
		s.list = v.(*list)
	}
	return err
}

// Cleanup gives the list back. It may follow a Provision that failed.
func (s *ListFile) Cleanup() error {
	if s.list == nil {
		return nil
	}
	_, err := lists.Delete(s.Path)
	return err
}

// GetUpstreams is called for each try of each request, so it reads no file. What it returns is the caller's, who may write into it.
func (s *ListFile) GetUpstreams(*http.Request) ([]*reverseproxy.Upstream, error) {
	var upstreams []*reverseproxy.Upstream
	for _, address := range *s.list.addresses.Load() {
		upstreams = append(upstreams, &reverseproxy.Upstream{Dial: address})
	}
	return upstreams, nil
}

// list is the content of a file.
type list struct {
	path      string
	addresses atomic.Pointer[[]string]
	end       context.CancelFunc
}

func newList(path string) (*list, error) {
	l := &list{path: path}
	if err := l.read(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.end = cancel
	go l.follow(ctx)
	return l, nil
}

// follow reads the file again and again. While that fails, the last good list stays.
func (l *list) follow(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = l.read()
		}
	}
}

func (l *list) read() error {
	text, err := os.ReadFile(l.path)
	if err != nil {
		return err
	}
	addresses := strings.Fields(string(text))
	if len(addresses) == 0 {
		return fmt.Errorf("%s lists no backend", l.path)
	}
	l.addresses.Store(&addresses)
	return nil
}

// Destruct implements caddy.Destructor: nobody uses the list any more.
func (l *list) Destruct() error {
	l.end()
	return nil
}

// UnmarshalCaddyfile reads: dynamic list_file <path>
func (s *ListFile) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the source's name
	if !d.AllArgs(&s.Path) {
		return d.ArgErr()
	}
	return nil
}

// Interface guards
var (
	_ reverseproxy.UpstreamSource = (*ListFile)(nil)
	_ caddy.Provisioner           = (*ListFile)(nil)
	_ caddy.CleanerUpper          = (*ListFile)(nil)
	_ caddyfile.Unmarshaler       = (*ListFile)(nil)
)
