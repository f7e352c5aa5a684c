package healthcheck

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// web serves handler over HTTP, h2c too, and counts connections.
type web struct {
	to    Target
	conns atomic.Int64
}

// serveHTTP serves handler on l; scheme is how to speak to it.
func serveHTTP(t *testing.T, l net.Listener, scheme string, handler http.HandlerFunc) *web {
	t.Helper()
	w := &web{to: at(t, scheme, l.Addr())}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: handler, Protocols: &protocols, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			w.conns.Add(1)
		}
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return w
}

// newWeb serves handler over plain HTTP.
func newWeb(t *testing.T, handler http.HandlerFunc) *web {
	t.Helper()
	l, _ := listen(t)
	return serveHTTP(t, l, "http", handler)
}

// answer is a handler with one fixed answer.
func answer(status int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if k, v, ok := strings.Cut(header, ": "); ok {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestHTTPExpectations(t *testing.T) {
	for _, tc := range []struct {
		name   string
		serve  http.HandlerFunc
		module string
		want   string
	}{
		{"200", answer(200, "", "ok"), ``, ""},
		{"204 is not 200", answer(204, "", ""), ``, "status 204, where 200 is expected"},
		{"class", answer(204, "", ""), `"expect_status":[2]`, ""},
		{"several", answer(301, "", ""), `"expect_status":[200,301]`, ""},
		{"none of several", answer(404, "", ""), `"expect_status":[2,301]`, "status 404, where 2xx or 301 is expected"},
		{"header", answer(200, "X-Ready: yes", ""), `"expect_headers":{"x-ready":["yes","sure"]}`, ""},
		{"header prefix", answer(200, "X-Ready: yes", ""), `"expect_headers":{"X-Ready":["y*"]}`, ""},
		{"any header value", answer(200, "X-Ready: yes", ""), `"expect_headers":{"X-Ready":[]}`, ""},
		{"wrong header", answer(200, "X-Ready: no", ""), `"expect_headers":{"X-Ready":["yes"]}`, `header X-Ready is ["no"], where "yes" is expected`},
		{"no header", answer(200, "", ""), `"expect_headers":{"X-Ready":[]}`, "any value is expected"},
		{"body", answer(200, "", "all is well"), `"expect_body":"^all .* well$"`, ""},
		{"wrong body", answer(200, "", "alas"), `"expect_body":"well"`, "the body does not match well"},
		{"past the bound", answer(200, "", strings.Repeat(".", 100)+"well"), `"expect_body":"well","max_body":100`, "does not match"},
		{"larger than the bound", answer(200, "", strings.Repeat(".", 1<<16)), `"max_body":100`, ""},
		{
			"expression", answer(418, "X-A: y", "tea"),
			`"expect":"{http.reverse_proxy.status_code} == 418 && {http.reverse_proxy.header.X-A} == 'y' && {http.reverse_proxy.body}.contains('tea')"`, "",
		},
		{"untrue expression", answer(200, "", ""), `"expect":"{http.reverse_proxy.header.X-A} == 'y'"`, "does not fulfil"},
		{"failing expression", answer(200, "", ""), `"expect":"{http.reverse_proxy.body} > 3"`, "evaluating"},
		{"expression and status", answer(500, "", ""), `"expect":"true","expect_status":[200]`, "status 500"},
		{"redirect", answer(302, "Location: /x", ""), ``, "status 302"},
		{"broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		}, ``, "reading the body"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			module := `{"kind":"http"`
			if tc.module != "" {
				module += "," + tc.module
			}
			expect(t, loadJSON(t, module+"}"), newWeb(t, tc.serve).to, tc.want)
		})
	}
}

// loadJSON provisions a check module.
func loadJSON(t *testing.T, module string) Checker {
	t.Helper()
	c := &Config{CheckRaw: []byte(module)}
	if err := c.Provision(newContext(t)); err != nil {
		t.Fatal(err)
	}
	return c.Checker()
}

func TestHTTPRequest(t *testing.T) {
	t.Setenv("SECRET", "s3cret")
	got := make(chan string, 1)
	w := newWeb(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- fmt.Sprint(r.Proto, " ", r.Method, " ", r.RequestURI, " ", r.Host, " ", r.UserAgent(), " ", r.Header["X-A"], " ", string(body))
	})
	address := w.to.Address.String()
	backend := named(w.to, "a.test")
	backend.Backend.Port = "1" // the port of the traffic
	for _, tc := range []struct {
		module string
		to     Target
		want   string
	}{
		{``, w.to, "HTTP/1.1 GET / " + address + " caddy-lb-health-check [] "},
		{``, named(w.to, "a.test"), "HTTP/1.1 GET / a.test:" + w.to.Address.Port + " caddy-lb-health-check [] "},
		{
			`,"uri":"/up?x=%2F&y","method":"POST","body":"{env.SECRET} {}","host":"b.test"`, w.to,
			"HTTP/1.1 POST /up?x=%2F&y b.test caddy-lb-health-check [] s3cret {}",
		},
		{
			`,"headers":{"host":["c.test"],"user-agent":["me"],"x-a":["{env.SECRET}","{http.reverse_proxy.active.target_upstream}"]}`,
			backend, "HTTP/1.1 GET / c.test me [s3cret 127.0.0.1:1] ",
		},
		{`,"scheme":"h2c"`, w.to, "HTTP/2.0 GET / " + address + " caddy-lb-health-check [] "},
		{`,"upstream":"` + address + `"`, refused(t, "http"), "HTTP/1.1 GET / " + address + " caddy-lb-health-check [] "},
	} {
		expect(t, loadJSON(t, `{"kind":"http"`+tc.module+`}`), tc.to, "")
		select {
		case line := <-got:
			if line != tc.want {
				t.Errorf("the backend saw  %s\nwant             %s", line, tc.want)
			}
		default:
			t.Errorf("%s: the backend saw nothing", tc.module)
		}
	}
}

func TestHTTPUnreachable(t *testing.T) {
	c := loadJSON(t, `{"kind":"http"}`)
	expect(t, c, refused(t, "http"), "connection refused")
	for _, scheme := range []string{"http", "https", "h2c"} {
		timesOut(t, c, silent(t, scheme))
	}
	release := make(chan struct{})
	slow := newWeb(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	timesOut(t, c, slow.to) // the body counts as well
	close(release)
}

func TestHTTPConnections(t *testing.T) {
	for _, scheme := range []string{"http", "h2c", "https", "https1"} {
		t.Run(scheme, func(t *testing.T) {
			l, _ := listen(t)
			cert, ca := certificate(t, "127.0.0.1")
			options := ""
			switch scheme {
			case "https":
				l = tlsListener(l, cert, "h2")
			case "https1":
				l = tlsListener(l, cert, "http/1.1")
			}
			if strings.HasPrefix(scheme, "https") {
				options = `,"ca":["` + ca + `"]`
			}
			w := serveHTTP(t, l, strings.TrimSuffix(scheme, "1"), answer(200, "", "ok"))
			fresh := loadJSON(t, `{"kind":"http"`+options+`}`)
			for range 3 {
				expect(t, fresh, w.to, "")
			}
			if n := w.conns.Load(); n != 3 {
				t.Errorf("3 checks made %d connections", n)
			}
			kept := loadJSON(t, `{"kind":"http","reuse_connection":true`+options+`}`)
			for range 6 {
				expect(t, kept, w.to, "")
			}
			// net/http hands a new HTTP/2 connection to its first request before others can find it, so that a
			// second may be made.
			most := int64(1)
			if scheme == "h2c" || scheme == "https" {
				most = 3
			}
			if n := w.conns.Load() - 3; n < 1 || n > most {
				t.Errorf("6 checks with reuse_connection made %d connections", n)
			}
		})
	}
}

func TestHTTPSVerifiesTheBackend(t *testing.T) {
	cert, ca := certificate(t, "a.test")
	l, _ := listen(t)
	w := serveHTTP(t, tlsListener(l, cert, "h2", "http/1.1"), "https", answer(200, "", ""))
	trusting := loadJSON(t, `{"kind":"http","reuse_connection":true,"ca":["`+ca+`"]}`)
	expect(t, trusting, named(w.to, "a.test"), "")
	expect(t, trusting, named(w.to, "b.test"), "not b.test") // not over the connection made for a.test
	expect(t, loadJSON(t, `{"kind":"http"}`), named(w.to, "a.test"), "unknown authority")
	expect(t, loadJSON(t, `{"kind":"http","insecure_skip_verify":true}`), w.to, "")

	inheriting := loadJSON(t, `{"kind":"http"}`)
	inheriting.(Inheritor).Inherit(Inherited{TLS: &tls.Config{InsecureSkipVerify: true}})
	expect(t, inheriting, w.to, "")
}

func TestHTTPOverUnixSockets(t *testing.T) {
	c := loadJSON(t, `{"kind":"http","reuse_connection":true,"expect_body":"one"}`)
	l1, _ := unixTarget(t, "http")
	l2, _ := unixTarget(t, "h2c")
	one := serveHTTP(t, l1, "http", answer(200, "", "one"))
	two := serveHTTP(t, l2, "h2c", answer(200, "", "two"))
	expect(t, c, one.to, "")
	expect(t, c, two.to, "does not match")
	expect(t, c, one.to, "")
}

func TestHTTPRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(answer(500, "", ""))
	defer elsewhere.Close()
	hosts := make(chan string, 20)
	w := newWeb(t, func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/near", http.StatusFound)
		case "/near":
			http.Redirect(w, r, elsewhere.URL+"/far", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	})
	follow := `{"kind":"http","follow_redirects":true,"host":"a.test"`
	expect(t, loadJSON(t, follow+"}"), w.to, "")
	want := []string{"a.test", "a.test", strings.TrimPrefix(elsewhere.URL, "http://")}
	for _, host := range want {
		if got := <-hosts; got != host {
			t.Errorf("asked for %s, want %s", got, host)
		}
	}
	expect(t, loadJSON(t, follow+`,"uri":"/loop"}`), w.to, "more than 10 redirects")
}
