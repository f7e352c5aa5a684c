package lbproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddylb/caddy-lb/lb"
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
	for _, p := range runningPools() {
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
	name, rest, hasRest := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/lb/pools/"), "/")
	p, err := findPool(name)
	if err != nil {
		return err
	}
	if !hasRest || rest == "" {
		if r.Method != http.MethodGet {
			return methodNotAllowed(w, http.MethodGet)
		}
		return writeJSON(w, p.status())
	}
	escaped, ok := strings.CutPrefix(rest, "backends/")
	if !ok {
		return notFound("no such resource of a pool: there is backends/<address>")
	}
	address, err := url.PathUnescape(escaped)
	if err != nil {
		return badRequest(err)
	}
	m := p.Snapshot().Find(address)
	e := (*p.entries.Load())[memberBackend(m)]
	if m == nil || e == nil {
		return notFound(fmt.Sprintf("pool %s has no backend %s", p.Name(), address))
	}
	switch r.Method {
	case http.MethodGet:
		return writeJSON(w, p.backendStatus(e, m))
	case http.MethodPatch:
		return patchBackend(w, r, p, m, e)
	}
	return methodNotAllowed(w, http.MethodGet, http.MethodPatch)
}

func memberBackend(m *lb.Member) *lb.Backend {
	if m == nil {
		return nil
	}
	return m.Backend
}

func findPool(escaped string) (*pool, error) {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, badRequest(err)
	}
	for _, p := range runningPools() {
		if p.Name() == name {
			return p, nil
		}
	}
	return nil, notFound("there is no pool " + name)
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
