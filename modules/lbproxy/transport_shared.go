package lbproxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// sharedTransports holds http transports over reloads, and with them their idle connections.
var sharedTransports = caddy.NewUsagePool()

// transportKey is what a transport belongs to: a pool, and the whole of its configuration.
type transportKey struct{ pool, config string }

// sharedTransport is an http transport that outlives the configuration it was made by.
type sharedTransport struct{ *httpTransport }

// Destruct implements caddy.Destructor: the last configuration that used the transport is gone.
func (s sharedTransport) Destruct() error {
	s.close()
	return s.Cleanup()
}

// isSharable reports whether nothing of a transport belongs to the configuration that makes it: no module, and no
// file that a reload is to read again.
func isSharable(t *reverseproxy.HTTPTransport) bool {
	for _, o := range transportOptions {
		ofTLS := strings.HasPrefix(o.field, "TLS.")
		if o.bound != nil && (!ofTLS || t.TLS != nil) && o.bound(t) {
			return false
		}
	}
	return true
}

// shared returns the pool's http transport with the configuration raw, from before a reload if there is one. It
// returns nil when such a transport cannot be shared.
func (t *transports) shared(raw json.RawMessage) (*httpTransport, error) {
	module := new(reverseproxy.HTTPTransport)
	if err := decodeHTTPTransport(raw, module); err != nil {
		return nil, err
	}
	if !isSharable(module) {
		return nil, nil
	}
	if t.pool == "" { // whose it is will be known later
		for _, u := range t.unowned {
			if u.config == string(raw) {
				return u.httpTransport, nil
			}
		}
		if err := module.Provision(t.ctx); err != nil {
			return nil, fmt.Errorf("loading transport: %w", err)
		}
		u := unownedTransport{sharedTransport{newHTTPTransport(module)}, string(raw)}
		t.unowned = append(t.unowned, u)
		return u.httpTransport, nil
	}
	key := transportKey{pool: t.pool, config: string(raw)}
	v, _, err := sharedTransports.LoadOrNew(key, func() (caddy.Destructor, error) {
		if err := module.Provision(t.ctx); err != nil {
			return nil, err
		}
		return &sharedTransport{newHTTPTransport(module)}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading transport: %w", err)
	}
	t.held = append(t.held, key)
	return v.(*sharedTransport).httpTransport, nil
}

// unownedTransport is an http transport of a pool of which nobody knows yet which one it is.
type unownedTransport struct {
	sharedTransport
	config string
}

// identify makes the transports those of the given pool: where it has such transports from before a
// reload, they are used in place of the new ones. It comes before any of them is used.
func (t *transports) identify(pool string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := slices.Clone(*t.list.Load())
	for _, u := range t.unowned {
		key := transportKey{pool: pool, config: u.config}
		v, known := sharedTransports.LoadOrStore(key, &u.sharedTransport)
		t.held = append(t.held, key)
		if !known {
			continue
		}
		ht := v.(*sharedTransport).httpTransport
		for i, tr := range list {
			if tr.RoundTripper == http.RoundTripper(u.HTTPTransport) {
				same := *tr
				same.RoundTripper, same.engine, same.http2 = ht.HTTPTransport, ht.engine, ht.http2
				list[i] = &same
			}
		}
		_ = u.Destruct() // it has no connections yet
	}
	t.pool, t.unowned = pool, nil
	t.list.Store(&list)
}

// release gives back the transports that are shared. It may be called more than once, and on nil.
func (t *transports) release() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range t.held {
		// The error is that of closing idle connections, which has none.
		_, _ = sharedTransports.Delete(key)
	}
	for _, u := range t.unowned {
		_ = u.Destruct() // nor has this
	}
	for _, engine := range t.own {
		engine.Close()
	}
	t.held, t.own, t.unowned = nil, nil, nil
}
