package lbproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminAPI shows the pools of the running configuration and takes orders for their backends:
//
//	GET   /lb
//	GET   /lb/pools
//	GET   /lb/pools/<name>
//	PATCH /lb/pools/<name>/backends/<address>   {"drain": true} {"weight": 5} {"weight": null}
//
// and has its backends in GET /reverse_proxy/upstreams, beside those of Caddy's own proxy.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.lb",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	return append(upstreamRoutes(),
		caddy.AdminRoute{Pattern: "/lb", Handler: caddy.AdminHandlerFunc(index)},
		caddy.AdminRoute{Pattern: "/lb/{$}", Handler: caddy.AdminHandlerFunc(index)},
		caddy.AdminRoute{Pattern: "/lb/pools", Handler: caddy.AdminHandlerFunc(listPools)},
		caddy.AdminRoute{Pattern: "/lb/pools/", Handler: caddy.AdminHandlerFunc(onePool)},
	)
}

func listPools(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return methodNotAllowed(w, http.MethodGet)
	}
	out := struct {
		Pools []PoolStatus `json:"pools"`
	}{Pools: []PoolStatus{}}
	for _, p := range shownPools() {
		out.Pools = append(out.Pools, p.status())
	}
	return writeJSON(w, out)
}

// onePool serves everything below /lb/pools/. Names and addresses are path-escaped, since either may hold
// slashes.
func onePool(w http.ResponseWriter, r *http.Request) error {
	if r.URL.Path == "/lb/pools/" {
		return listPools(w, r)
	}
	p, rest, err := splitPoolPath(strings.TrimPrefix(r.URL.EscapedPath(), "/lb/pools/"))
	if err != nil {
		return err
	}
	if rest == "" {
		if r.Method != http.MethodGet {
			return methodNotAllowed(w, http.MethodGet)
		}
		return writeJSON(w, p.status())
	}
	address, ok := strings.CutPrefix(rest, "backends/")
	if !ok {
		return notFound("no such resource of a pool: there is backends/<address>")
	}
	found, ok := p.find(address)
	if !ok {
		return notFound(fmt.Sprintf("pool %s has no backend %s", p.Name(), address))
	}
	p, m, e := found.pool, found.Member, found.entry
	switch r.Method {
	case http.MethodGet:
		return writeJSON(w, p.backendStatus(e, m))
	case http.MethodPatch:
		return patchBackend(w, r, p, m, e)
	}
	return methodNotAllowed(w, http.MethodGet, http.MethodPatch)
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

func methodNotAllowed(w http.ResponseWriter, allowed ...string) error {
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed")}
}

func notFound(message string) error {
	return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New(message)}
}

func badRequest(err error) error {
	return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
}

// Interface guard
var _ caddy.AdminRouter = (*adminAPI)(nil)
