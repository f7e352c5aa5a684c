package caddytest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// poolState is what GET /lb/pools says of a pool, without what changes by itself from moment to moment.
type poolState struct {
	Name     string         `json:"name"`
	Policy   string         `json:"policy"`
	Backends []backendState `json:"backends"`
}

type backendState struct {
	Address  string    `json:"address"`
	Name     string    `json:"name"`
	Scheme   string    `json:"scheme"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Weight   int       `json:"weight"`
	Requests int64     `json:"requests"`
	Failures int64     `json:"failures"`
}

// pools asks the admin API for all pools.
func (s *Server) pools() []poolState {
	s.t.Helper()
	r := s.Admin(http.MethodGet, "/lb/pools", "")
	var all struct{ Pools []poolState }
	if err := json.Unmarshal([]byte(r.Body), &all); err != nil || r.Status != http.StatusOK {
		s.t.Fatalf("GET /lb/pools: status %d, %v\n%s", r.Status, err, r.Body)
	}
	return all.Pools
}

// pool asks the admin API for one pool.
func (s *Server) pool(name string) poolState {
	s.t.Helper()
	r := s.Admin(http.MethodGet, "/lb/pools/"+url.PathEscape(name), "")
	var p poolState
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil || r.Status != http.StatusOK {
		s.t.Fatalf("GET /lb/pools/%s: status %d, %v\n%s", name, r.Status, err, r.Body)
	}
	return p
}

// backend is the state of one backend of a pool.
func (s *Server) backend(pool, address string) backendState {
	s.t.Helper()
	p := s.pool(pool)
	i := slices.IndexFunc(p.Backends, func(b backendState) bool { return b.Address == address })
	if i < 0 {
		s.t.Fatalf("pool %s has no backend %s: %+v", pool, address, p.Backends)
	}
	return p.Backends[i]
}

// waitState waits until a backend is "up", "down" or "drained".
func (s *Server) waitState(pool, address, state string) {
	s.t.Helper()
	eventually(s.t, pool+"'s "+address+" is "+state, func() bool { return s.backend(pool, address).State == state })
}

// patch gives an order for a backend.
func (s *Server) patch(pool, address, order string) {
	s.t.Helper()
	r := s.Admin(http.MethodPatch, "/lb/pools/"+url.PathEscape(pool)+"/backends/"+url.PathEscape(address), order)
	if r.Status != http.StatusOK {
		s.t.Fatalf("PATCH %s of %s: status %d: %s", order, address, r.Status, r.Body)
	}
}

// spread sends n requests one after another and counts who answered. Every answer has to be a 200.
func (s *Server) spread(url string, n int) map[string]int {
	s.t.Helper()
	count := make(map[string]int)
	for range n {
		r := s.Get(url)
		if r.Status != http.StatusOK {
			s.t.Fatalf("GET %s: status %d: %s", url, r.Status, r.Body)
		}
		count[r.Backend()]++
	}
	return count
}

// addresses makes variables of the backends' addresses, by their names.
func addresses(backends ...*Backend) map[string]string {
	vars := make(map[string]string)
	for _, b := range backends {
		vars[b.Name] = b.Addr
	}
	return vars
}
