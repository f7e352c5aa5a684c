package lbproxy

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/module"
	"github.com/caddylb/caddy-lb/modules/filter"
)

const filterNamespace = "http.lb_proxy.filters"

// routeFilters are the blocks of Caddy's directives, and the filters that run them.
var routeFilters = map[string]string{
	"request_filter":          "request",
	"upstream_request_filter": "upstream_request",
	"response_filter":         "response",
}

// filterBlock is a block of directives that is read by finalize, and its place among the filters.
type filterBlock struct {
	index  int
	filter string
	block  *caddyfile.Dispenser
}

// unmarshalFilter reads one filter, in the order of the others. Syntax:
//
//	filter <name> [<args...>] { … }
//	filter_timeout <duration>
//
//	request_filter          { <directives...> }
//	upstream_request_filter { <directives...> }
//	response_filter         { <directives...> }
func (h *Handler) unmarshalFilter(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Errf("filter takes a name: write 'filter <name> [<args...>]'")
	}
	name, at := d.Val(), here(d)
	id := filterNamespace + "." + name
	info, err := caddy.GetModule(id)
	if err != nil {
		var names []string
		for _, m := range caddy.GetModules(filterNamespace) {
			names = append(names, m.ID.Name())
		}
		if guess := module.Closest(name, names...); guess != "" {
			return d.Errf("there is no filter %q: did you mean %s?", name, guess)
		}
		return d.Errf("there is no filter %q: build Caddy with the module %s, or write one of %s", name, id, strings.Join(names, ", "))
	}
	instance := info.New()
	unmarshaler, ok := instance.(caddyfile.Unmarshaler)
	if !ok {
		return d.Errf("the filter %s cannot be written in a Caddyfile", name)
	}
	if err := unmarshaler.UnmarshalCaddyfile(d.NewFromNextSegment()); err != nil {
		return err
	}
	if user, ok := instance.(filter.PoolUser); ok {
		for _, pool := range user.PoolNames() {
			if err := h.knowsPool(at, pool); err != nil {
				return err
			}
		}
	}
	for _, text := range filterDoubts(name, instance) {
		w := placeOf(at)
		w.Message = text
		h.warnings = append(h.warnings, w)
	}
	h.FiltersRaw = append(h.FiltersRaw, caddyconfig.JSONModuleObject(instance, "filter", name, nil))
	return nil
}

// keepFilterBlock keeps a block for finalize: its directives can only be read with a Helper.
func (h *Handler) keepFilterBlock(d *caddyfile.Dispenser) error {
	name := d.Val()
	block := d.NewFromNextSegment()
	if d.NextArg() {
		return d.Errf("%s takes no argument but its block: matchers stand at the directives inside", name)
	}
	h.filterBlocks = append(h.filterBlocks, filterBlock{len(h.FiltersRaw), routeFilters[name], block})
	h.FiltersRaw = append(h.FiltersRaw, nil)
	return nil
}

func (h *Handler) unmarshalFilterTimeout(d *caddyfile.Dispenser) error {
	var text string
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	t, err := caddy.ParseDuration(text)
	if err != nil || t <= 0 {
		return d.Errf("filter_timeout %q: write a duration like 2s", text)
	}
	h.FilterTimeout = caddy.Duration(t)
	return nil
}

// finalizeFilters reads the blocks of directives.
func (h *Handler) finalizeFilters(helper httpcaddyfile.Helper) error {
	for _, b := range h.filterBlocks {
		subroute, err := httpcaddyfile.ParseSegmentAsSubroute(helper.WithDispenser(b.block))
		if err != nil {
			return err
		}
		routes, err := json.Marshal(subroute.(*caddyhttp.Subroute).Routes)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(map[string]json.RawMessage{"filter": json.RawMessage(`"` + b.filter + `"`), "routes": routes})
		if err != nil {
			return err
		}
		h.FiltersRaw[b.index] = raw
	}
	h.filterBlocks = nil
	return nil
}
