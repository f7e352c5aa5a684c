package lbproxy

import (
	"encoding/json"
	"fmt"
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
	for _, engine := range t.own {
		engine.Close()
	}
	t.held, t.own = nil, nil
}
