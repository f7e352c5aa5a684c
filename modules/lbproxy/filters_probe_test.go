package lbproxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/modules/filter"
)

// probeFilter has the method of every phase. It notes the phases that it sees and does in each what a test sets.
type probeFilter struct {
	Probe string `json:"probe"`
}

// probeBehaviour is what a probe does, by its name; the log is what it saw.
type probeBehaviour struct {
	mu  sync.Mutex
	log []string

	early, selected           func(x *filter.Context) error
	request                   func(x *filter.Context) (bool, error)
	requestBody, responseBody func(body io.ReadCloser) (io.ReadCloser, error)
	upstreamRequest           func(x *filter.Context, r *http.Request) error
	connected                 func(c filter.Connection) error
	connectFailed             func(x *filter.Context, err error) filter.Verdict
	upstreamResponse          func(x *filter.Context, res *http.Response) error
	response                  func(x *filter.Context, status int, h http.Header) (int, error)
	trailers                  func(h http.Header) error
	failed                    func(err error) error
	logged                    chan error
}

var probes sync.Map // of *probeBehaviour, by name

func init() { caddy.RegisterModule(new(probeFilter)) }

// CaddyModule returns the Caddy module information.
func (*probeFilter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.lb_proxy.filters.probe", New: func() caddy.Module { return new(probeFilter) }}
}

func (p *probeFilter) see(phase string) *probeBehaviour {
	v, _ := probes.Load(p.Probe)
	b := v.(*probeBehaviour)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, phase)
	return b
}

func (p *probeFilter) EarlyRequest(x *filter.Context) error {
	if b := p.see("early request"); b.early != nil {
		return b.early(x)
	}
	return nil
}

func (p *probeFilter) Request(x *filter.Context) (bool, error) {
	if b := p.see("request"); b.request != nil {
		return b.request(x)
	}
	return false, nil
}

func (p *probeFilter) RequestBody(_ *filter.Context, body io.ReadCloser) (io.ReadCloser, error) {
	if b := p.see("request body"); b.requestBody != nil {
		return b.requestBody(body)
	}
	return body, nil
}

func (p *probeFilter) UpstreamSelected(x *filter.Context) error {
	if b := p.see("upstream selected"); b.selected != nil {
		return b.selected(x)
	}
	return nil
}

func (p *probeFilter) UpstreamRequest(x *filter.Context, r *http.Request) error {
	if b := p.see("upstream request"); b.upstreamRequest != nil {
		return b.upstreamRequest(x, r)
	}
	return nil
}

func (p *probeFilter) Connected(_ *filter.Context, c filter.Connection) error {
	if b := p.see("connected"); b.connected != nil {
		return b.connected(c)
	}
	return nil
}

func (p *probeFilter) ConnectFailed(x *filter.Context, err error) filter.Verdict {
	if b := p.see("connect failed"); b.connectFailed != nil {
		return b.connectFailed(x, err)
	}
	return filter.ByDefault
}

func (p *probeFilter) UpstreamResponse(x *filter.Context, res *http.Response) error {
	if b := p.see("upstream response"); b.upstreamResponse != nil {
		return b.upstreamResponse(x, res)
	}
	return nil
}

func (p *probeFilter) Response(x *filter.Context, status int, h http.Header) (int, error) {
	if b := p.see("response"); b.response != nil {
		return b.response(x, status, h)
	}
	return status, nil
}

func (p *probeFilter) ResponseBody(_ *filter.Context, body io.ReadCloser) (io.ReadCloser, error) {
	if b := p.see("response body"); b.responseBody != nil {
		return b.responseBody(body)
	}
	return body, nil
}

func (p *probeFilter) Trailers(_ *filter.Context, h http.Header) error {
	if b := p.see("trailers"); b.trailers != nil {
		return b.trailers(h)
	}
	return nil
}

func (p *probeFilter) Failed(_ *filter.Context, err error) error {
	if b := p.see("failure"); b.failed != nil {
		return b.failed(err)
	}
	return err
}

func (p *probeFilter) Logging(_ *filter.Context, err error) {
	b := p.see("logging")
	b.logged <- err
}

// newProbe returns the behaviour of a probe with the test's name, and the JSON member that configures it before the given filters.
func newProbe(t *testing.T, others ...string) (*probeBehaviour, string) {
	b := &probeBehaviour{logged: make(chan error, 100)}
	probes.Store(t.Name(), b)
	t.Cleanup(func() { probes.Delete(t.Name()) })
	name, _ := json.Marshal(t.Name())
	all := append([]string{fmt.Sprintf(`{"filter":"probe","probe":%s}`, name)}, others...)
	return b, `"filters":[` + strings.Join(all, ",") + `]`
}

// seen is the phases since the last call, once the request has ended.
func (b *probeBehaviour) seen() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	log := b.log
	b.log = nil
	return log
}

func (b *probeBehaviour) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-b.logged:
		return err
	case <-time.After(patience):
		t.Fatal("the logging phase did not come")
		return nil
	}
}
