package selection

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(Query{})
}

// Query picks by highest random weight, as [Rendezvous] does, on the values of a query parameter joined by
// commas, and by another policy where the request has none.
type Query struct {
	// QueryKey is the name of the parameter. It has to be given.
	QueryKey string `json:"key,omitempty"`

	// FallbackRaw is the policy for requests without the parameter. Default: random.
	FallbackRaw json.RawMessage `json:"fallback,omitempty" caddy:"namespace=http.lb_proxy.selection inline_key=policy"`

	fallback lb.Policy
}

// CaddyModule returns the Caddy module information.
func (Query) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: Namespace + ".query", New: func() caddy.Module { return new(Query) }}
}

// Provision implements [caddy.Provisioner].
func (q *Query) Provision(ctx caddy.Context) (err error) {
	if q.QueryKey == "" {
		return errors.New("query: key is required: give the name of the query parameter to hash")
	}
	q.fallback, err = loadFallback(ctx, q, q.FallbackRaw)
	return err
}

// Key implements [Keyer].
func (q *Query) Key(r *http.Request, repl *caddy.Replacer) string {
	if value := q.value(r); value != "" {
		return value
	}
	return keyOf(q.fallback, r, repl)
}

func (q *Query) value(r *http.Request) string { return queryValue(r, q.QueryKey) }

// NewPicker implements [lb.Policy].
func (q *Query) NewPicker(tier *lb.Tier, prev lb.Picker) (lb.Picker, error) {
	return newKeyedPicker(tier, prev, q.fallback, q.value)
}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens:
//
//	query <key> {
//		fallback <policy>
//	}
func (q *Query) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return unmarshalKeyed(d, "query <key>", &q.QueryKey, &q.FallbackRaw)
}

// Interface guards.
var (
	_ lb.Policy             = (*Query)(nil)
	_ Keyer                 = (*Query)(nil)
	_ caddy.Provisioner     = (*Query)(nil)
	_ caddyfile.Unmarshaler = (*Query)(nil)
)
