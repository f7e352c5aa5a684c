package caddytest

import (
	"crypto/tls"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// startExample runs the repository's example with each of its ports replaced by a free one.
func startExample(t *testing.T) *Server {
	t.Helper()
	data, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	caddyfile := regexp.MustCompile(`:(8080|8443|900\d)\b`).ReplaceAllString(string(data), ":{$$PORT$1}")
	s := Start(t, caddyfile, nil)
	// The checks find out who is well once the backends, which are in the same process, listen.
	three := "127.0.0.1:" + s.vars["PORT9003"]
	s.waitState("demo", three, "down")
	s.waitState("tiers", three, "down")
	for _, pool := range []string{"demo", "users", "tiers"} {
		for _, b := range s.pool(pool).Backends {
			if b.Address != three {
				s.waitState(pool, b.Address, "up")
			}
		}
	}
	return s
}

// names counts the backends that answered n requests.
func (s *Server) names(url string, n int) map[string]int {
	s.t.Helper()
	count := make(map[string]int)
	for range n {
		r := s.Get(url)
		if r.Status != http.StatusOK {
			s.t.Fatalf("GET %s: status %d: %s", url, r.Status, r.Body)
		}
		count[strings.TrimSpace(r.Body)]++
	}
	return count
}

func TestExampleDoesWhatItSays(t *testing.T) {
	s := startExample(t)
	demo := s.URL("PORT8080", "/")
	if got, want := s.names(demo, 40), map[string]int{"one over HTTP/1.1": 30, "two over HTTP/1.1": 10}; !maps.Equal(got, want) {
		t.Errorf("%v answered, want %v", got, want)
	}

	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}}
	defer tr.CloseIdleConnections()
	req := newRequest(t, http.MethodGet, "https://127.0.0.1:"+s.vars["PORT8443"]+"/", "")
	req.Host = "localhost"
	eventually(t, "the site is served over HTTPS", func() bool {
		r, err := fetch(&http.Client{Transport: tr}, req)
		return err == nil && r.Status == http.StatusOK && strings.Contains(r.Body, " over HTTP/1.1")
	})

	owners := make(map[string]bool)
	for _, name := range []string{"anna", "ben", "carla", "dora", "emil", "fritz", "gina", "hans"} {
		got := slices.Collect(maps.Keys(s.names(s.URL("PORT8080", "/user?name="+name), 5)))
		if len(got) != 1 {
			t.Errorf("%s was sent to %v, want one backend", name, got)
		}
		owners[got[0]] = true
	}
	if len(owners) < 2 {
		t.Errorf("eight names have only the owners %v", owners)
	}

	if got, want := s.names(s.URL("PORT8080", "/mixed"), 10), map[string]int{"one over HTTP/1.1": 5, "four over HTTP/2.0": 5}; !maps.Equal(got, want) {
		t.Errorf("%v answered, want %v", got, want)
	}
	if got, want := s.names(s.URL("PORT8080", "/spare"), 3), map[string]int{"spare over HTTP/1.1": 3}; !maps.Equal(got, want) {
		t.Errorf("%v answered, want %v", got, want)
	}
}

func TestExampleCookieSticks(t *testing.T) {
	s := startExample(t)
	owners := make(map[string]bool)
	for range 20 {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Client.Jar = jar
		got := slices.Collect(maps.Keys(s.names(s.URL("PORT8080", "/cart"), 5)))
		if len(got) != 1 {
			t.Errorf("one visitor was sent to %v", got)
		}
		owners[got[0]] = true
	}
	if len(owners) != 2 {
		t.Errorf("twenty visitors were sent to %v, want both backends", owners)
	}
}

func TestExampleTakesOrders(t *testing.T) {
	s := startExample(t)
	demo := s.URL("PORT8080", "/")
	one, two := "127.0.0.1:"+s.vars["PORT9001"], "127.0.0.1:"+s.vars["PORT9002"]
	s.patch("demo", two, `{"weight": 5}`)
	if got := s.names(demo, 40); got["two over HTTP/1.1"] != 25 {
		t.Errorf("%v answered, want two 25 times", got)
	}
	s.patch("demo", one, `{"drain": true}`)
	if got := s.names(demo, 10); got["two over HTTP/1.1"] != 10 {
		t.Errorf("%v answered with one drained", got)
	}
	s.patch("demo", one, `{"drain": false}`)
	if got := s.names(demo, 40); got["one over HTTP/1.1"] != 15 {
		t.Errorf("%v answered, want one 15 times", got)
	}
	if r := s.Admin(http.MethodGet, "/metrics", ""); !strings.Contains(r.Body, "\ncaddy_lb_") {
		t.Error("no metric begins with caddy_lb_")
	}
}

func TestExampleFilters(t *testing.T) {
	s := startExample(t)
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		r := s.Get(s.URL("PORT8080", "/limited"))
		if r.Status != want || r.Header.Get("X-Request-Id") == "" || r.Header.Get("Via") != "" {
			t.Errorf("request %d: status %d, header %v", i+1, r.Status, r.Header)
		}
		if want == http.StatusTooManyRequests && r.Header.Get("Retry-After") == "" {
			t.Error("the client is not told when to come again")
		}
	}
	canaries := 0
	for range 200 {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Client.Jar = jar
		seen := s.names(s.URL("PORT8080", "/canary"), 3)
		if n := seen["four over HTTP/2.0"]; n == 3 {
			canaries++
		} else if n != 0 {
			t.Errorf("one client was sent to %v", seen)
		}
	}
	if canaries < 5 || canaries > 45 {
		t.Errorf("%d of 200 clients were sent to the canary, want about 20", canaries)
	}
}

func TestExampleStaysUp(t *testing.T) {
	s := startExample(t)
	count := s.names(s.URL("PORT8080", "/flaky"), 60)
	if len(count) != 2 {
		t.Errorf("%v answered, want two backends", count)
	}
	broken := s.backend("flaky", "127.0.0.1:"+s.vars["PORT9006"])
	if broken.State != "ejected" || broken.Requests != 5 {
		t.Errorf("the broken backend is %s after %d requests, want ejected after 5", broken.State, broken.Requests)
	}
	if r := s.Get(s.URL("PORT8080", "/busy")); r.Status != http.StatusOK {
		t.Errorf("status %d from a backend that is not busy", r.Status)
	}
}
