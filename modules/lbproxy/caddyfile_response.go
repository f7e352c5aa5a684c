package lbproxy

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// keepHandleResponse keeps the block for finalize: its directives can only be read with a Helper.
func (h *Handler) keepHandleResponse(d *caddyfile.Dispenser) error {
	h.handleResponseSegments = append(h.handleResponseSegments, d.NewFromNextSegment())
	return nil
}

func (h *Handler) unmarshalReplaceStatus(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 && len(args) != 2 {
		return d.Errf("replace_status takes an optional response matcher and a status code, like: replace_status @error 503")
	}
	var rh caddyhttp.ResponseHandler
	if len(args) == 2 {
		match, err := h.responseMatcher(d, args[0])
		if err != nil {
			return err
		}
		rh.Match = match
	}
	rh.StatusCode = caddyhttp.WeakString(args[len(args)-1])
	if nesting := d.Nesting(); d.NextBlock(nesting) {
		return d.Errf("replace_status has no block: write handle_response to run directives")
	}
	h.HandleResponse = append(h.HandleResponse, rh)
	return nil
}

// responseMatcher finds a named response matcher, which has to stand above its use.
func (h *Handler) responseMatcher(d *caddyfile.Dispenser, name string) (*caddyhttp.ResponseMatcher, error) {
	if !strings.HasPrefix(name, "@") {
		return nil, d.Errf("%q is no response matcher: name one that starts with '@'", name)
	}
	m, ok := h.responseMatchers[name]
	if !ok {
		return nil, d.Errf("there is no response matcher %s: define it above in this lb_proxy block", name)
	}
	return &m, nil
}

// finalize reads the handle_response blocks, which need a Helper for their directives, and brings the entries
// without matcher to the end, where they do not hide the others.
func (h *Handler) finalize(helper httpcaddyfile.Helper) error {
	if err := h.finalizeFilters(helper); err != nil {
		return err
	}
	for _, d := range h.handleResponseSegments {
		d.Next() // handle_response
		args := d.RemainingArgs()
		if len(args) > 1 {
			// The words are those of reverse_proxy, which tools may look for.
			return d.Errf("too many arguments for 'handle_response': only a single response matcher name is allowed, but got: %s", args)
		}
		var rh caddyhttp.ResponseHandler
		if len(args) == 1 {
			match, err := h.responseMatcher(d, args[0])
			if err != nil {
				return err
			}
			rh.Match = match
		}
		parsed, err := httpcaddyfile.ParseSegmentAsSubroute(helper.WithDispenser(d.NewFromNextSegment()))
		if err != nil {
			return err
		}
		subroute, ok := parsed.(*caddyhttp.Subroute)
		if !ok {
			return d.Errf("handle_response: the block is no list of directives")
		}
		rh.Routes = subroute.Routes
		h.HandleResponse = append(h.HandleResponse, rh)
	}
	slices.SortStableFunc(h.HandleResponse, func(a, b caddyhttp.ResponseHandler) int {
		switch {
		case a.Match != nil && b.Match == nil:
			return -1
		case a.Match == nil && b.Match != nil:
			return 1
		default:
			return 0
		}
	})
	h.handleResponseSegments, h.responseMatchers = nil, nil
	if h.hedgeAt != nil {
		if err := h.checkHedge(); err != nil {
			return h.hedgeAt.Errf("hedge: %w", err)
		}
	}
	h.tellMistakes(helper)
	return nil
}
