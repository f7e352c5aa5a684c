package lbproxy

import (
	"encoding/json"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddylb/caddy-lb/lb"
	"github.com/caddylb/caddy-lb/modules/filter"
	"github.com/caddylb/caddy-lb/modules/selection"
)

// Why requests cannot be carried by two transports at once: these leave what they know of a try in
// the variables of the request, or look there for it.
var (
	errHedgeForeign   = errors.New("it works with transport http only: leave hedge out, or use that transport")
	errHedgePerClient = errors.New("it does not work with proxy_protocol, by which connections belong to a client: leave one of both out")
	errHedgePerName   = errors.New("it does not work with a placeholder in tls_server_name: name the server, or leave hedge out")
)

// mayHedge says why requests cannot be carried by two of the transports at once. It is nil when
// they can.
func (t *transports) mayHedge() error {
	for _, tr := range *t.list.Load() {
		switch {
		case tr.foreign:
			return errHedgeForeign
		case tr.perClient:
			return errHedgePerClient
		case tr.perName != "":
			return errHedgePerName
		}
	}
	return nil
}

// checkHedge says while a Caddyfile is adapted why the handler's requests cannot be hedged. What
// other errors there are shows when the configuration is loaded.
func (h *Handler) checkHedge() error {
	pool := &h.PoolConfig
	if h.PoolName != "" {
		if pool = h.pools[h.PoolName]; pool == nil {
			return nil
		}
	}
	var named []filter.Named
	for _, raw := range h.FiltersRaw {
		if name, instance := emptyModule(filterNamespace, "filter", raw); instance != nil {
			named = append(named, filter.Named{Name: name, Filter: instance})
		}
	}
	filters, err := filter.NewChain(named, 0)
	if err != nil {
		return nil //nolint:nilerr // it fails when it is loaded
	}
	var policyRaw json.RawMessage
	if pool.LoadBalancing != nil {
		policyRaw = pool.LoadBalancing.SelectionPolicyRaw
	}
	name, instance := emptyModule(selection.Namespace, "policy", policyRaw)
	policy, _ := instance.(lb.Policy)
	raw := h.TransportRaw
	if raw == nil {
		raw = pool.TransportRaw
	}
	return hedgeObstacle(&hedgeSetting{filters, policy, name, func() error { return pool.transportObstacle(raw) }})
}

// transportObstacle says what mayHedge will say of the transports that raw configures for the
// pool's backends.
func (c *PoolConfig) transportObstacle(raw json.RawMessage) error {
	if transportProtocol(raw) != "http" {
		return errHedgeForeign
	}
	specs, err := c.memberSpecs()
	if err != nil {
		return nil //nolint:nilerr // it fails when it is loaded
	}
	for _, v := range variantsOf(specs) {
		t := new(reverseproxy.HTTPTransport)
		variant, err := httpVariant(raw, v)
		if err != nil || decodeHTTPTransport(variant, t) != nil {
			return nil //nolint:nilerr // it fails when it is loaded
		}
		switch {
		case t.ProxyProtocolEnabled():
			return errHedgePerClient
		case serverNamePlaceholder(t) != "":
			return errHedgePerName
		}
	}
	return nil
}

// emptyModule is a new instance of the module that raw names, without its configuration; nil if
// there is none.
func emptyModule(namespace, key string, raw json.RawMessage) (name string, instance any) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || json.Unmarshal(fields[key], &name) != nil {
		return "", nil
	}
	info, err := caddy.GetModule(namespace + "." + name)
	if err != nil {
		return name, nil
	}
	return name, info.New()
}
