package caddytest

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
)

// listedUpstream is a line of GET /reverse_proxy/upstreams, with just the fields that Caddy gives it.
type listedUpstream struct {
	Address     string `json:"address"`
	NumRequests int    `json:"num_requests"`
	Fails       int    `json:"fails"`
}

// listedUpstreams asks for the list, in which each address has to stand once.
func (s *Server) listedUpstreams() map[string]listedUpstream {
	s.t.Helper()
	r := s.Admin(http.MethodGet, "/reverse_proxy/upstreams", "")
	if r.Status != http.StatusOK || r.Header.Get("Content-Type") != "application/json" {
		s.t.Fatalf("status %d, %s: %s", r.Status, r.Header.Get("Content-Type"), r.Body)
	}
	var lines []map[string]any
	var list []listedUpstream
	for _, into := range []any{&lines, &list} {
		if err := json.Unmarshal([]byte(r.Body), into); err != nil {
			s.t.Fatalf("%v: %s", err, r.Body)
		}
	}
	byAddress := make(map[string]listedUpstream)
	for i, u := range list {
		if _, twice := byAddress[u.Address]; twice || len(lines[i]) != 3 {
			s.t.Errorf("line %d of the list is %v", i, lines[i])
		}
		byAddress[u.Address] = u
	}
	return byAddress
}

func TestUpstreamsOfBothDirectivesAreListed(t *testing.T) {
	b := NewBackends(t, "STOCK", "OURS", "NAMED", "SHARED")
	vars := addresses(b...)
	vars["SOCKET"] = t.TempDir() + "/app.sock"
	s := Start(t, `{
	lb_pool p {
		backend {$NAMED}
	}
}
http://127.0.0.1:{$PORT} {
	reverse_proxy /stock {$STOCK}
	lb_proxy /ours {$OURS} {
		fail_duration 1h
		max_fails 9
	}
	lb_proxy /named {
		pool p
	}
	reverse_proxy /shared/stock {$SHARED}
	lb_proxy /shared/ours {$SHARED}
	lb_proxy /socket unix/{$SOCKET}
}
`, vars)
	addr := func(i int) string { return b[i].Addr }
	socket := "unix/" + vars["SOCKET"]

	release := make(chan struct{})
	for i := range b {
		b[i].Do(hang(release))
	}
	var underWay []<-chan Reply
	for _, path := range []string{"/stock", "/named", "/named", "/shared/stock", "/shared/ours"} {
		underWay = append(underWay, s.inBackground(s.URL("PORT", path)))
	}
	eventually(t, "the requests are with the backends", func() bool { return hits(b...) == 5 })
	b[1].Do(hangUp)
	for range 2 {
		if r := s.Get(s.URL("PORT", "/ours")); r.Status != http.StatusBadGateway {
			t.Fatalf("status %d of a backend that hangs up", r.Status)
		}
	}
	want := map[string]listedUpstream{
		addr(0): {addr(0), 1, 0},
		addr(1): {addr(1), 0, 2},
		addr(2): {addr(2), 2, 0},
		addr(3): {addr(3), 2, 0},
		socket:  {socket, 0, 0},
	}
	if got := s.listedUpstreams(); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	close(release)
	for _, answered := range underWay {
		<-answered
	}
	if r := s.Admin(http.MethodPost, "/reverse_proxy/upstreams", ""); r.Status != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d, want 405", r.Status)
	}
}

// A backend that no configuration has any more is not listed.
func TestListedUpstreamsFollowTheConfiguration(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	if got := s.listedUpstreams(); len(got) != 3 {
		t.Fatalf("listed: %v", got)
	}
	s.mustReload(`http://127.0.0.1:{$PORT} {
	lb_proxy {$C}
}
`)
	eventually(t, "the backends of before are given back", func() bool {
		got := s.listedUpstreams()
		_, ok := got[b[2].Addr]
		return ok && len(got) == 1
	})
}
