package lbproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// dynamicSource names the backends for a request.
type dynamicSource interface {
	// upstreams is called for each try of a request and should answer at once. The answer is not changed.
	upstreams(r *http.Request) ([]*Upstream, error)

	// failed tells the source that one of the backends it named for this request failed.
	failed(r *http.Request) error
}

// newSource loads a module of http.reverse_proxy.upstreams. Of Caddy's own, srv and a are answered by this
// package from the same configuration, so that weights and priorities count and no name waits for another.
func newSource(ctx caddy.Context, raw json.RawMessage) (dynamicSource, error) {
	var kind struct {
		Source  string            `json:"source"`
		Sources []json.RawMessage `json:"sources"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, fmt.Errorf("dynamic_upstreams: %w", err)
	}
	if kind.Source == "multi" {
		return newMultiSource(ctx, kind.Sources)
	}
	guest := struct {
		Raw json.RawMessage `caddy:"namespace=http.reverse_proxy.upstreams inline_key=source"`
	}{raw}
	mod, err := ctx.LoadModule(&guest, "Raw")
	if err != nil {
		return nil, fmt.Errorf("loading dynamic upstreams: %w", err)
	}
	switch source := mod.(type) {
	case *reverseproxy.SRVUpstreams:
		return newSRVSource(ctx, source), nil
	case *reverseproxy.AUpstreams:
		return newASource(ctx, source), nil
	case reverseproxy.UpstreamSource:
		return foreignSource{source}, nil
	}
	return nil, fmt.Errorf("%T is no source of upstreams: it does not implement reverseproxy.UpstreamSource", mod)
}

// foreignSource is a module written for reverse_proxy.
type foreignSource struct{ reverseproxy.UpstreamSource }

func (s foreignSource) upstreams(r *http.Request) ([]*Upstream, error) {
	named, err := s.GetUpstreams(r)
	if err != nil {
		return nil, err
	}
	out := make([]*Upstream, len(named))
	for i, u := range named {
		out[i] = &Upstream{Dial: u.Dial, MaxRequests: u.MaxRequests}
	}
	return out, nil
}

func (s foreignSource) failed(r *http.Request) error {
	if caching, ok := s.UpstreamSource.(reverseproxy.CachingUpstreamSource); ok {
		return caching.ResetCache(r)
	}
	return nil
}

// multiSource joins the answers of several sources, in order. It fails only when all of them do.
type multiSource []dynamicSource

func newMultiSource(ctx caddy.Context, sources []json.RawMessage) (dynamicSource, error) {
	var m multiSource
	for _, raw := range sources {
		s, err := newSource(ctx, raw)
		if err != nil {
			return nil, err
		}
		m = append(m, s)
	}
	return m, nil
}

func (m multiSource) upstreams(r *http.Request) ([]*Upstream, error) {
	var all []*Upstream
	var failures []error
	for _, s := range m {
		named, err := s.upstreams(r)
		if err != nil {
			failures = append(failures, err)
		}
		all = append(all, named...)
	}
	if len(failures) == len(m) {
		return nil, errors.Join(failures...)
	}
	return all, nil
}

func (m multiSource) failed(r *http.Request) error {
	var failures []error
	for _, s := range m {
		failures = append(failures, s.failed(r))
	}
	return errors.Join(failures...)
}
