package lbproxy

import "net/http"

// endpoint is one request that the admin API takes.
type endpoint struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	About  string `json:"about"`
}

// endpoints are those of this suite.
var endpoints = []endpoint{
	{http.MethodGet, "/lb/pools", "every pool, with its backends"},
	{http.MethodGet, "/lb/pools/<name>", "one pool"},
	{http.MethodGet, "/lb/pools/<name>/backends/<address>", "one backend"},
	{http.MethodPatch, "/lb/pools/<name>/backends/<address>", `an order: {"drain": true}, {"weight": 5}, or both; {"weight": null} takes the weight back`},
	{http.MethodGet, upstreamsPath, "the backends of both directives, as reverse_proxy lists them"},
}

// index tells what there is below /lb.
func index(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		return methodNotAllowed(w, http.MethodGet)
	}
	return writeJSON(w, struct {
		Endpoints []endpoint `json:"endpoints"`
	}{endpoints})
}
