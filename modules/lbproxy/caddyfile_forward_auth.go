package lbproxy

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("lb_forward_auth", parseForwardAuth)
	httpcaddyfile.RegisterDirectiveOrder("lb_forward_auth", httpcaddyfile.Before, "forward_auth")
}

// forwardAuth is lb_forward_auth while it is read.
type forwardAuth struct {
	handler Handler
	copied  map[string]string // fields of the answer, and what they are called in the request
}

// parseForwardAuth parses lb_forward_auth, which expands as Caddy's forward_auth does. Syntax:
//
//	lb_forward_auth [<matcher>] [<upstreams...>] {
//	    uri          <to>
//	    copy_headers <fields...> | { <fields...> }
//	    <options of lb_proxy>
//	}
//
// A field is <name>, or <name>><name in the request>. The directive stands for:
//
//	lb_proxy [<matcher>] [<upstreams...>] {
//	    method    GET
//	    rewrite   <to>
//	    header_up X-Forwarded-Method {method}
//	    header_up X-Forwarded-Uri {uri}
//
//	    @good status 2xx
//	    handle_response @good {
//	        request_header -<field>
//	        request_header <field> {rp.header.<field>} # if the answer has it
//	    }
//	    <options of lb_proxy>
//	}
func parseForwardAuth(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	helper.Next()
	directive := here(helper.Dispenser)
	helper.Reset()

	a := &forwardAuth{copied: make(map[string]string)}
	h := &a.handler
	h.Rewrite = &rewrite.Rewrite{Method: http.MethodGet} // without the body, which is left to later handlers
	h.Headers = &headers.Handler{Request: &headers.HeaderOps{Set: http.Header{
		"X-Forwarded-Method": {"{http.request.method}"},
		"X-Forwarded-Uri":    {"{http.request.uri}"},
	}}}
	h.HandleResponse = []caddyhttp.ResponseHandler{{Match: &caddyhttp.ResponseMatcher{StatusCode: []int{2}}}}
	h.shorthand = map[string]func(*caddyfile.Dispenser) error{"uri": a.unmarshalURI, "copy_headers": a.unmarshalCopyHeaders}
	if err := h.parse(helper); err != nil {
		return nil, err
	}
	if h.Rewrite.URI == "" {
		return nil, directive.Errf("the 'uri' subdirective is required: write what to ask the backend for, such as 'uri /verify'")
	}
	h.HandleResponse[0].Routes = a.routes()
	if err := h.finalize(helper); err != nil {
		return nil, err
	}
	return h, nil
}

func (a *forwardAuth) unmarshalURI(d *caddyfile.Dispenser) error {
	var uri string
	if !d.AllArgs(&uri) || uri == "" {
		return d.Errf("uri takes what to ask the backend for: write for example 'uri /verify'")
	}
	if a.handler.Rewrite.URI != "" {
		return d.Errf("cannot re-declare uri: %s", uri)
	}
	a.handler.Rewrite.URI = uri
	return nil
}

func (a *forwardAuth) unmarshalCopyHeaders(d *caddyfile.Dispenser) error {
	fields := d.RemainingArgs()
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		fields = append(fields, d.Val())
	}
	if len(fields) == 0 {
		return d.Errf("copy_headers lacks its fields: write for example 'copy_headers Remote-User Remote-Groups'")
	}
	for _, field := range fields {
		from, to, renamed := strings.Cut(field, ">")
		if !renamed {
			to = from
		}
		if from == "" || to == "" || strings.Contains(to, ">") {
			return d.Errf("copy_headers %q: write the name of a field, or two with '>' between them", field)
		}
		a.copied[from] = to
	}
	return nil
}

// routes copy fields of a good answer into the request, on which later handlers go on. There is
// always one: an answer for which there is none would be the client's.
func (a *forwardAuth) routes() caddyhttp.RouteList {
	routes := caddyhttp.RouteList{{HandlersRaw: handlerJSON("vars", caddyhttp.VarsMiddleware{})}}
	for _, from := range slices.Sorted(maps.Keys(a.copied)) {
		to := http.CanonicalHeaderKey(a.copied[from])
		value := "{" + placeholderPrefix + "header." + http.CanonicalHeaderKey(from) + "}"

		// What the client sent goes in any case. Otherwise it would be believed where the answer
		// lacks the field.
		remove := &headers.HeaderOps{Delete: []string{to}}
		set := &headers.HeaderOps{Set: http.Header{to: {value}}}
		absent := caddy.ModuleMap{"vars": caddyconfig.JSON(caddyhttp.VarsMatcher{value: {""}}, nil)}
		present := caddyhttp.MatchNot{MatcherSetsRaw: []caddy.ModuleMap{absent}}
		routes = append(routes,
			caddyhttp.Route{HandlersRaw: handlerJSON("headers", &headers.Handler{Request: remove})},
			caddyhttp.Route{
				MatcherSetsRaw: []caddy.ModuleMap{{"not": caddyconfig.JSON(present, nil)}},
				HandlersRaw:    handlerJSON("headers", &headers.Handler{Request: set}),
			},
		)
	}
	return routes
}

// handlerJSON is one handler as a route has it.
func handlerJSON(name string, handler any) []json.RawMessage {
	return []json.RawMessage{caddyconfig.JSONModuleObject(handler, "handler", name, nil)}
}
