package caddytest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestDrainSurvivesReload(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	s.patch("p", b[0].Addr, `{"drain":true}`)
	if state := s.backend("p", b[0].Addr).State; state != "drained" {
		t.Errorf("after the order the backend is %s", state)
	}
	if count := s.spread(s.URL("PORT", "/"), 40); count["A"] != 0 || count["B"] != 20 {
		t.Errorf("shares are %v with A drained", count)
	}
	s.mustReload(strings.Replace(reloadable, "{$B} weight 1", "{$B} weight 3", 1))
	if state := s.backend("p", b[0].Addr).State; state != "drained" {
		t.Errorf("after the reload the backend is %s", state)
	}
	if count := s.spread(s.URL("PORT", "/"), 40); count["A"] != 0 || count["B"] != 30 {
		t.Errorf("shares are %v with A drained and B of weight 3", count)
	}
	s.patch("p", b[0].Addr, `{"drain":false}`)
	if count := s.spread(s.URL("PORT", "/"), 70); count["A"] != 30 {
		t.Errorf("shares are %v with A undrained", count)
	}
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	b := NewBackends(t, "A", "B")
	s := Start(t, `{
	lb_pool p {
		backend {$A}
	}
}
http://127.0.0.1:{$PORT} {
	lb_proxy {
		pool p
	}
}
`, addresses(b...))
	release := make(chan struct{})
	b[0].Do(hang(release))
	answered := s.inBackground(s.URL("PORT", "/"))
	eventually(t, "the request is with the backend", func() bool { return b[0].Hits() == 1 })
	s.patch("p", b[0].Addr, `{"drain":true}`)
	if r := s.Get(s.URL("PORT", "/")); r.Status != http.StatusServiceUnavailable {
		t.Errorf("with the only backend drained: status %d, want 503", r.Status)
	}
	close(release)
	if r := <-answered; r.Status != http.StatusOK {
		t.Errorf("the request under way ended with status %d", r.Status)
	}
}

// inBackground sends a GET and delivers its answer; the status is 0 if there is none.
func (s *Server) inBackground(url string) <-chan Reply {
	answered := make(chan Reply, 1)
	req := newRequest(s.t, http.MethodGet, url, "")
	go func() {
		r, err := fetch(s.Client, req)
		if err != nil {
			s.t.Errorf("GET %s: %v", url, err)
		}
		answered <- r
	}()
	return answered
}

func TestWeightOrder(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	s.patch("p", b[0].Addr, `{"weight":8}`)
	if count := s.spread(s.URL("PORT", "/"), 100); count["A"] != 80 {
		t.Errorf("shares are %v, want A 80", count)
	}
	s.mustReload(reloadable + "\n# an edit elsewhere\n")
	if count := s.spread(s.URL("PORT", "/"), 100); count["A"] != 80 {
		t.Errorf("shares are %v after a reload, want A 80", count)
	}
	s.mustReload(strings.Replace(reloadable, "{$A} weight 3", "{$A} weight 2", 1))
	if count := s.spread(s.URL("PORT", "/"), 100); count["A"] != 50 {
		t.Errorf("shares are %v after another weight was configured, want A 50", count)
	}
}

func TestAdminAPIRefuses(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	backend := "/lb/pools/p/backends/" + b[0].Addr
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodGet, "/lb/pools/nosuch", "", http.StatusNotFound},
		{http.MethodPatch, "/lb/pools/p/backends/127.0.0.1:1", `{"drain":true}`, http.StatusNotFound},
		{http.MethodPatch, backend, `{"weight":-1}`, http.StatusBadRequest},
		{http.MethodPatch, backend, `{"weight":1099511627776}`, http.StatusBadRequest},
		{http.MethodPatch, backend, `{"drian":true}`, http.StatusBadRequest},
		{http.MethodPatch, backend, `{`, http.StatusBadRequest},
		{http.MethodPatch, backend, `{}`, http.StatusBadRequest},
		{http.MethodDelete, backend, "", http.StatusMethodNotAllowed},
		{http.MethodPost, "/lb/pools", "", http.StatusMethodNotAllowed},
	} {
		if r := s.Admin(c.method, c.path, c.body); r.Status != c.status {
			t.Errorf("%s %s %s: status %d, want %d: %s", c.method, c.path, c.body, r.Status, c.status, r.Body)
		}
	}
	for body, want := range map[string]string{
		`{"weight":"5"}`:              `weight is "5": write a whole number from 0 to 1048576, or null`,
		`{"weight":1.5}`:              `weight is 1.5: write a whole number`,
		`{"weight":-1}`:               `weight is -1: write a whole number`,
		`{"weight":[1]}`:              `weight is [1]: write a whole number`,
		`{"drain":"yes"}`:             `drain is "yes": write true, or false`,
		`{"drain":null}`:              `drain is null: write true, or false`,
		`{"drian":true}`:              `there is no field "drian": there are "drain" and "weight"`,
		`{}`:                          `the order is empty: write {"drain": true}`,
		``:                            `the order is empty, and not a JSON object: write {"drain": true}`,
		`drain`:                       `the order is drain, and not a JSON object: write`,
		`[{"drain":true}]`:            `the order is [{"drain":true}], and not a JSON object: write`,
		`null`:                        `the order is null, and not a JSON object: write`,
		`{"drain":true} {"weight":1}`: `and not a JSON object: write`,
		`{"drain":"` + strings.Repeat("x", 1<<10) + `"}`: `x…: write true`,
		strings.Repeat(" ", 1<<17):                       `the order is longer than 65536 bytes: write`,
	} {
		r := s.Admin(http.MethodPatch, backend, body)
		var answer struct{ Error string }
		if err := json.Unmarshal([]byte(r.Body), &answer); err != nil || r.Status != http.StatusBadRequest || !strings.Contains(answer.Error, want) {
			t.Errorf("PATCH %.40s: status %d, %s; want %s", body, r.Status, r.Body, want)
		}
	}
	if after := s.backend("p", b[0].Addr); after.State != "up" || after.Weight != 3 {
		t.Errorf("refused orders changed the backend: %+v", after)
	}
}

// What lies below /lb can be found out from there, and a slash at the end is nothing else.
func TestAdminAPIListsItself(t *testing.T) {
	b := NewBackends(t, "A", "B", "C")
	s := Start(t, reloadable, addresses(b...))
	for _, path := range []string{"/lb", "/lb/"} {
		if r := s.Admin(http.MethodGet, path, ""); r.Status != http.StatusOK || !strings.Contains(r.Body, `"path":"/lb/pools/`) {
			t.Errorf("GET %s: status %d, %s", path, r.Status, r.Body)
		}
		if r := s.Admin(http.MethodPost, path, ""); r.Status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: status %d", path, r.Status)
		}
	}
	if r := s.Admin(http.MethodGet, "/lb/nosuch", ""); r.Status != http.StatusNotFound {
		t.Errorf("GET /lb/nosuch: status %d", r.Status)
	}
	for _, path := range []string{"/lb/pools", "/lb/pools/"} {
		if r := s.Admin(http.MethodGet, path, ""); r.Status != http.StatusOK || !strings.Contains(r.Body, `"name":"p"`) {
			t.Errorf("GET %s: status %d, %s", path, r.Status, r.Body)
		}
	}
	if r := s.Admin(http.MethodPost, "/lb/pools/", ""); r.Status != http.StatusMethodNotAllowed {
		t.Errorf("POST /lb/pools/: status %d", r.Status)
	}
}
