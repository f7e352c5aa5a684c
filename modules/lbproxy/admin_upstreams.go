package lbproxy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddylb/caddy-lb/lb"
)

// The route by which reverse_proxy lists its backends, and what this suite adds to it. A pattern with a method is the
// more specific one to net/http's ServeMux, so that both may be registered.
const (
	upstreamsPath  = "/reverse_proxy/upstreams"
	upstreamsRoute = http.MethodGet + " " + upstreamsPath
)

// upstreamStatus is a backend as reverse_proxy lists it.
type upstreamStatus struct {
	Address     string `json:"address"`
	NumRequests int    `json:"num_requests"` // requests under way
	Fails       int    `json:"fails"`        // failures that passive checks remember
}

// upstreamRoutes is the route under which the backends of both directives are listed. It is none when reverse_proxy
// has the very same pattern, since the admin API takes each only once.
func upstreamRoutes() []caddy.AdminRoute {
	list := caddy.AdminHandlerFunc(listOwnUpstreams)
	for _, route := range reverseProxyRoutes() {
		switch route.Pattern {
		case upstreamsRoute:
			return nil
		case upstreamsPath:
			list = listUpstreams(route.Handler)
		}
	}
	return []caddy.AdminRoute{{Pattern: upstreamsRoute, Handler: list}}
}

// reverseProxyRoutes are the admin routes of Caddy's own proxy; none when it is not built in.
func reverseProxyRoutes() []caddy.AdminRoute {
	info, err := caddy.GetModule("admin.api.reverse_proxy")
	if err != nil {
		return nil
	}
	if router, ok := info.New().(caddy.AdminRouter); ok {
		return router.Routes()
	}
	return nil
}

func listOwnUpstreams(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, ownUpstreams())
}

// listUpstreams answers with what reverse_proxy lists and, behind it, this suite's backends. One that both have is
// listed once, with the sums.
func listUpstreams(stock caddy.AdminHandler) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		rec := caddyhttp.NewResponseRecorder(w, new(bytes.Buffer), func(int, http.Header) bool { return true })
		if err := stock.ServeHTTP(rec, r); err != nil {
			return err
		}
		var list []upstreamStatus
		if err := json.Unmarshal(rec.Buffer().Bytes(), &list); err != nil {
			return fmt.Errorf("reading the list of reverse_proxy: %w", err)
		}
		for _, own := range ownUpstreams() {
			i := slices.IndexFunc(list, func(s upstreamStatus) bool { return s.Address == own.Address })
			if i < 0 {
				list = append(list, own)
				continue
			}
			list[i].NumRequests += own.NumRequests
			list[i].Fails += own.Fails
		}
		return writeJSON(w, list)
	}
}

// ownUpstreams lists the backends of every configuration that was not cleaned up yet, as reverse_proxy does: by address
// alone, whatever their pool and scheme. They come in the order of their addresses.
func ownUpstreams() []upstreamStatus {
	fails := make(map[string]int)
	passives.Range(func(key, value any) bool {
		fails[key.(passiveKey).backend] += value.(*passive).Fails()
		return true
	})
	byAddress := make(map[string]upstreamStatus)
	backends.Range(func(key, value any) bool {
		b := value.(*lb.Backend)
		s := upstreamStatus{Address: b.Address().String()}
		s.NumRequests = byAddress[s.Address].NumRequests + b.Active()
		s.Fails = byAddress[s.Address].Fails + fails[key.(backendKey).String()]
		byAddress[s.Address] = s
		return true
	})
	list := make([]upstreamStatus, 0, len(byAddress))
	for _, s := range byAddress {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b upstreamStatus) int { return cmp.Compare(a.Address, b.Address) })
	return list
}
