package lbproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// dynamicSource names the backends for a request.
type dynamicSource interface {
	// ask adds the backends for a request to a. It is called for each try of a request and should
	// answer at once.
	ask(r *http.Request, a *dynamicAnswer) error

	// label is a key of an answer as people know it.
	label(key string) string

	// failed tells the source that one of the backends it named for this request failed.
	failed(r *http.Request) error
}

// WeightedSource is implemented by sources of upstreams (http.reverse_proxy.upstreams.*) that know
// how much of the traffic each upstream is to get. It takes no type of this package to implement
// it.
type WeightedSource interface {
	// Weight is the share of an upstream that GetUpstreams returned relative to the others, from 0
	// (drained) to lb.MaxWeight. It is called for each upstream of each answer, concurrently, and
	// should return at once.
	Weight(u *reverseproxy.Upstream) int
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
		weigher, _ := mod.(WeightedSource)
		return foreignSource{source, kind.Source, weigher}, nil
	}
	return nil, fmt.Errorf("%T is no source of upstreams: it does not implement reverseproxy.UpstreamSource", mod)
}

// foreignSource is a module written for reverse_proxy.
type foreignSource struct {
	reverseproxy.UpstreamSource
	name    string
	weigher WeightedSource // nil when it gives no weights
}

func (s foreignSource) ask(r *http.Request, a *dynamicAnswer) error {
	a.exact = true
	named, err := s.GetUpstreams(r)
	a.add("", part{foreign: named, weigher: s.weigher})
	return err
}

func (s foreignSource) label(string) string { return s.name }

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

func (m multiSource) ask(r *http.Request, a *dynamicAnswer) error {
	var failures []error
	for _, s := range m {
		if err := s.ask(r, a); err != nil {
			failures = append(failures, err)
		}
	}
	if len(failures) == len(m) {
		return errors.Join(failures...)
	}
	return nil
}

func (m multiSource) label(key string) string {
	var labels []string
	for i, part := range strings.Split(key, "\n") {
		if i < len(m) {
			labels = append(labels, m[i].label(part))
		}
	}
	return strings.Join(labels, "+")
}

func (m multiSource) failed(r *http.Request) error {
	var failures []error
	for _, s := range m {
		failures = append(failures, s.failed(r))
	}
	return errors.Join(failures...)
}
