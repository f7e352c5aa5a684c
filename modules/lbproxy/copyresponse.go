package lbproxy

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/internal/module"
)

func init() {
	caddy.RegisterModule(CopyResponse{})
	httpcaddyfile.RegisterHandlerDirective("lb_copy_response", parseCopyResponse)
	httpcaddyfile.RegisterDirectiveOrder("lb_copy_response", httpcaddyfile.After, "copy_response")
}

// CopyResponse gives the client the answer that a handle_response route of lb_proxy was entered with, and ends
// the route. It is what copy_response becomes within handle_response; a named route, which handle_response
// reaches with invoke, has to have it under its own name.
//
// It fails with status 500 where there is no such answer, or where it was given to the client before.
type CopyResponse struct {
	// StatusCode replaces the answer's status code. It may hold placeholders. Default: the answer's own.
	StatusCode caddyhttp.WeakString `json:"status_code,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (CopyResponse) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.lb_copy_response",
		New: func() caddy.Module { return new(CopyResponse) },
	}
}

// Validate checks a status code that does not depend on the request.
func (c *CopyResponse) Validate() error {
	code := c.StatusCode.String()
	if code == "" || hasPlaceholder(code) {
		return nil
	}
	if _, err := statusCode(code); err != nil {
		return fmt.Errorf("copy_response: %w", err)
	}
	return nil
}

// ServeHTTP writes the answer to w. What a route's earlier handlers wrapped around w sees it.
func (c *CopyResponse) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	ex, a, err := handledAnswer(r, "copy_response")
	if err != nil {
		return err
	}
	if a.delivered {
		return caddyhttp.Error(http.StatusInternalServerError, errors.New("copy_response: the answer was copied before"))
	}
	if code := c.StatusCode.String(); code != "" {
		status, err := statusCode(ex.repl.ReplaceAll(code, ""))
		if err != nil {
			return caddyhttp.Error(http.StatusInternalServerError, fmt.Errorf("copy_response: %w", err))
		}
		a.res.StatusCode = status
	}
	a.delivered = true
	defer func(outer http.ResponseWriter) { ex.w = outer }(ex.w)
	ex.w = w
	return ex.deliver(a, caddyhttp.IsIncremental(a.res.Header))
}

// handledAnswer is the answer that the routes of a handle_response are running for, the innermost one of them.
func handledAnswer(r *http.Request, directive string) (*exchange, *attempt, error) {
	if p, ok := caddyhttp.GetVar(r.Context(), placeholdersVar).(*placeholders); ok {
		for ex := p.latest; ex != nil; ex = ex.prev {
			if ex.handled != nil {
				return ex, ex.handled, nil
			}
		}
	}
	return nil, nil, caddyhttp.Error(http.StatusInternalServerError,
		fmt.Errorf("%s works only within handle_response of lb_proxy: move it there", directive))
}

// handle runs routes in the place of the answer. Only while they run can it be copied; the body is closed
// afterwards unless it was.
func (ex *exchange) handle(a *attempt, routes caddyhttp.RouteList) error {
	ex.handled = a
	defer func() {
		ex.handled = nil
		if !a.delivered {
			_ = a.res.Body.Close()
		}
	}()
	return routes.Compile(ex.next).ServeHTTP(ex.w, ex.in)
}

// statusCode reads a status code that net/http can send.
func statusCode(s string) (int, error) {
	status, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || status < 100 || status > 999 {
		return 0, fmt.Errorf("%q is no status code: write a number from 100 to 999", s)
	}
	return status, nil
}

func parseCopyResponse(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	c := new(CopyResponse)
	if err := c.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return c, nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	lb_copy_response [<matcher>] [<status>] {
//	    status <status>
//	}
func (c *CopyResponse) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive
	directive := d.Val()
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Errf("%s takes one status code at most, but got: %s", directive, strings.Join(args, " "))
	}
	if len(args) == 1 {
		c.StatusCode = caddyhttp.WeakString(args[0])
	}
	for d.NextBlock(0) {
		if d.Val() != "status" {
			return d.Errf("unrecognized subdirective %s of %s: %s", d.Val(), directive, module.Suggest(d.Val(), "status"))
		}
		if c.StatusCode != "" {
			return d.Errf("%s: the status stands there already: write it once", directive)
		}
		var code string
		if !d.AllArgs(&code) {
			return d.ArgErr()
		}
		c.StatusCode = caddyhttp.WeakString(code)
	}
	if err := c.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Validator             = (*CopyResponse)(nil)
	_ caddyfile.Unmarshaler       = (*CopyResponse)(nil)
	_ caddyhttp.MiddlewareHandler = (*CopyResponse)(nil)
)
