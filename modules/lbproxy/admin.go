package lbproxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddylb/caddy-lb/lb"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// maxPatchBody bounds the body of a PATCH request.
const maxPatchBody = 64 << 10

// adminAPI shows the pools of the running configuration and takes orders for their backends:
//
//	GET   /lb/pools
//	GET   /lb/pools/<name>
//	PATCH /lb/pools/<name>/backends/<address>   {"drain": true} {"weight": 5}
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

// patchBackend drains a backend or sets its weight. Orders hold until they are taken back, over reloads; a
// weight also until another one is configured.
func patchBackend(w http.ResponseWriter, r *http.Request, p *pool, m *lb.Member, e *entry) error {
	var order struct {
		Drain  *bool `json:"drain"`
		Weight *int  `json:"weight"`
	}
	dec := json.NewDecoder(io.LimitReader(r.Body, maxPatchBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&order); err != nil {
		return badRequest(fmt.Errorf(`reading the order: %w: write {"drain": true} or {"weight": 5}`, err))
	}
	if order.Drain == nil && order.Weight == nil {
		return badRequest(errors.New(`nothing to do: write {"drain": true} or {"weight": 5}`))
	}
	if err := carryOut(r.Context(), p, m, order.Drain, order.Weight); err != nil {
		return err
	}
	current := p.Snapshot().Find(m.Address().ID())
	if current == nil {
		current = m
	}
	p.log.Info("backend was given an order", zap.Stringer("backend", m.Address()),
		zap.Boolp("drain", order.Drain), zap.Intp("weight", order.Weight))
	return writeJSON(w, p.backendStatus(e, current))
}

// carryOut does what an operator ordered, and tells the cluster what holds then.
func carryOut(ctx context.Context, p *pool, m *lb.Member, drain *bool, weight *int) error {
	orderMu.Lock()
	defer orderMu.Unlock()
	if weight != nil {
		if err := setWeight(p, m, *weight); err != nil {
			return badRequest(err)
		}
	}
	var err error
	if drain != nil {
		m.SetDrained(*drain, time.Now())
		err = refreshAllOf(m.Backend)
	}
	runningOverrides().publish(ctx, p, m)
	return err
}

// setWeight overrides a backend's weight, unless a policy cannot work with it.
func setWeight(p *pool, m *lb.Member, weight int) error {
	if weight < 0 || weight > lb.MaxWeight {
		return fmt.Errorf("weight %d is not within 0 and %d", weight, lb.MaxWeight)
	}
	configured, _ := p.Configured(m.Backend)
	before := m.Backend.SetWeight(configured, weight)
	err := refreshAllOf(m.Backend)
	if err != nil {
		m.Backend.RestoreWeight(before)
		err = errors.Join(err, refreshAllOf(m.Backend))
	}
	return err
}

// refreshAllOf publishes every running pool that has the backend.
func refreshAllOf(b *lb.Backend) error {
	var failed error
	for _, p := range runningPools() {
		if _, ok := p.Configured(b); ok {
			failed = errors.Join(failed, p.Refresh())
			p.drains.watch()
		}
	}
	return failed
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
