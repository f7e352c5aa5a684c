package lbproxy

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// startSite runs Caddy with a site of a Caddyfile. Each %s in it is one of the backends' addresses, in order.
func startSite(t *testing.T, site string, backends ...*backend) *proxy {
	t.Helper()
	var addresses []any
	for _, b := range backends {
		addresses = append(addresses, strings.TrimPrefix(b.URL, "http://"))
	}
	return startSites(t, "http://:{PORT} {\n"+fmt.Sprintf(site, addresses...)+"\n}\n")
}

// startSites runs Caddy with sites of a Caddyfile, in which {PORT} is the port that the proxy's client uses.
func startSites(t *testing.T, sites string) *proxy {
	t.Helper()
	return startSitesWith(t, "", sites)
}

// startSitesWith is startSites with more global options.
func startSitesWith(t *testing.T, options, sites string) *proxy {
	t.Helper()
	return startSitesOf(t, options, func() string { return sites })
}

// startSitesOf is startSitesWith for sites that are made again, with other ports, if one that was
// free is taken meanwhile.
func startSitesOf(t *testing.T, options string, sites func() string) *proxy {
	t.Helper()
	p := &proxy{t: t}
	transport := &http.Transport{DisableCompression: true}
	p.client = &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	for left := 5; ; left-- {
		p.address = freeAddress(t)
		err := p.tryLoadSites(options, sites())
		if err == nil {
			break
		}
		if left == 0 || !strings.Contains(err.Error(), "address already in use") {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// loadSites replaces the configuration by sites of a Caddyfile.
func (p *proxy) loadSites(sites string) {
	p.t.Helper()
	if err := p.tryLoadSites("", sites); err != nil {
		p.t.Fatal(err)
	}
}

func (p *proxy) tryLoadSites(options, sites string) error {
	_, port, _ := strings.Cut(p.address, ":")
	text := "{\nadmin off\npersist_config off\nstorage_check off\nstorage_clean_interval off\n" + options + "\n}\n" +
		strings.ReplaceAll(sites, "{PORT}", port)
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	return caddy.Load(adapted, true)
}

// asAsked answers with the status and the header that the request's path and query ask for.
func asAsked(w http.ResponseWriter, r *http.Request) {
	for field, values := range r.URL.Query() {
		for _, v := range values {
			w.Header().Add(field, v)
		}
	}
	var status int
	if _, err := fmt.Sscanf(r.URL.Path, "/%d", &status); err == nil {
		w.WriteHeader(status)
	}
	_, _ = io.WriteString(w, "backend "+r.URL.Path)
}

func TestCopyResponse(t *testing.T) {
	p := startSite(t, `
		lb_proxy %s {
			header_down X-Down {rp.status_code}
			@gone status 410
			@tagged {
				status 2xx
				header X-Tag *
			}
			@moved status 3xx
			@grouped status 404
			@nobody status 409
			@impossible status 418
			replace_status @moved 307
			handle_response @gone {
				header X-Route gone
				copy_response 404
			}
			handle_response @tagged {
				copy_response {
					status {rp.header.X-Tag}
				}
			}
			handle_response @grouped {
				handle /404/a* {
					route {
						header X-Route inner
						copy_response
					}
				}
				respond "not copied" 406
			}
			handle_response @nobody {
				copy_response 204
			}
			handle_response @impossible {
				copy_response {
					status {rp.header.X-Code}
				}
			}
		}`, startBackend(t, asAsked))
	for _, tc := range []struct {
		path   string
		status int
		body   string
		route  string
		down   string
	}{
		{"/200", 200, "backend /200", "", "200"},
		{"/410", 404, "backend /410", "gone", "410"},
		{"/201?X-Tag=299", 299, "backend /201", "", "201"},
		{"/302", 307, "backend /302", "", "302"},
		{"/404/abc", 404, "backend /404/abc", "inner", "404"},
		{"/404/b", 406, "not copied", "", ""},
		{"/418?X-Code=1000", 500, "", "", ""},
		{"/201?X-Tag=many", 500, "", "", ""},
	} {
		r := p.get(tc.path)
		if r.status != tc.status || r.body != tc.body || r.header.Get("X-Route") != tc.route || r.header.Get("X-Down") != tc.down {
			t.Errorf("%s: %d %q %v", tc.path, r.status, r.body, r.header)
		}
	}
	// A status without content ends the connection, since the backend's content has nowhere to go.
	if r := p.send(http.MethodHead, "/409", nil); r.status != 204 {
		t.Errorf("/409: %d", r.status)
	}
}

func TestCopyResponseHeaders(t *testing.T) {
	b := startBackend(t, asAsked)
	const query = "/200?X-A=1&X-A=2&X-B=3&Keep-Alive=9&X-Hop=4&Connection=X-Hop"
	for options, want := range map[string]http.Header{
		"\n":                                 {"X-A": {"1", "2"}, "X-B": {"3"}, "Content-Length": {"3"}},
		"\ninclude x-a x-hop keep-alive\n":   {"X-A": {"1", "2"}, "X-B": nil},
		"\nexclude X-A\n":                    {"X-A": nil, "X-B": {"3"}},
		"\ninclude X-C\ninclude X-B\n":       {"X-A": nil, "X-B": {"3"}},
		"\nexclude X-C\nexclude X-B X-Not\n": {"X-A": {"1", "2"}, "X-B": nil},
	} {
		p := startSite(t, `
			lb_proxy %s {
				handle_response {
					copy_response_headers {`+options+`}
					respond "own" 200
				}
			}`, b)
		r := p.get(query)
		if r.status != 200 || r.body != "own" {
			t.Errorf("%q: %d %q", options, r.status, r.body)
		}
		want["X-Hop"], want["Keep-Alive"] = nil, nil
		for field, values := range want {
			if got := r.header[field]; !slices.Equal(got, values) {
				t.Errorf("%q: %s is %q, want %q", options, field, got, values)
			}
		}
		_ = caddy.Stop()
	}
}

// TestCopyResponseOutside uses the handlers where there is no answer.
func TestCopyResponseOutside(t *testing.T) {
	b := startBackend(t, asAsked)
	p := startSite(t, `
		route /before* {
			lb_copy_response
			lb_proxy %s
		}
		route /headers* {
			lb_copy_response_headers
			lb_proxy %s
		}
		route /after* {
			lb_proxy %s {
				handle_response {
					error "late" 555
				}
			}
		}
		handle_errors {
			@late expression {err.status_code} == 555
			lb_copy_response @late
			respond "{err.status_code} {err.message}" 500
		}`, b, b, b)
	for path, want := range map[string]string{
		"/before":  "500 500 copy_response works only within handle_response of lb_proxy: move it there",
		"/headers": "500 500 copy_response_headers works only within handle_response of lb_proxy: move it there",
		"/after":   "555 ", // the error of the route for errors
	} {
		if r := p.get(path); fmt.Sprint(r.status, " ", r.body) != want {
			t.Errorf("%s: %d %q, want %q", path, r.status, r.body, want)
		}
	}
}

// TestCopyResponseTwice has an answer copied by a route and, as that fails, by the route for errors.
func TestCopyResponseTwice(t *testing.T) {
	b := startBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Incremental", "?1")
		_, _ = io.WriteString(w, "stream")
	})
	p := startProxy(t, upstreams(b.URL)+`,"response_buffers":1000,"handle_response":[{"routes":[{"handle":[
		{"handler":"subroute","routes":[{"handle":[{"handler":"copy_response"}]}],
			"errors":{"routes":[{"handle":[{"handler":"copy_response"}]}]}}]}]}]`,
		serverOptions{server: `"errors":{"routes":[{"handle":[
			{"handler":"static_response","status_code":500,"body":"{http.error.message}"}]}]}`})
	if r := p.get("/"); r.status != 500 || r.body != "copy_response: the answer was copied before" {
		t.Errorf("%d %q", r.status, r.body)
	}
}

// TestNestedProxies has routes for answers within routes for answers: each copies the answer that it is for.
func TestNestedProxies(t *testing.T) {
	outer, inner := startBackend(t, asAsked), startBackend(t, text("inner"))
	for _, nested := range []string{"lb_proxy", "reverse_proxy"} {
		p := startSite(t, `
			lb_proxy %s {
				@inner status 404
				@both status 410
				handle_response @inner {
					`+nested+` %s {
						handle_response {
							copy_response 203
						}
					}
				}
				handle_response @both {
					`+nested+` %s {
						handle_response {
							header X-Inner {rp.status_code}
						}
					}
					copy_response
				}
				handle_response {
					copy_response
				}
			}`, outer, inner, inner)
		for path, want := range map[string]string{"/404": "203 inner", "/200": "200 backend /200"} {
			if r := p.get(path); fmt.Sprint(r.status, " ", r.body) != want {
				t.Errorf("%s %s: %d %q, want %q", nested, path, r.status, r.body, want)
			}
		}
		_ = caddy.Stop()
	}
}

func TestCopyResponseInNamedRoute(t *testing.T) {
	b := startBackend(t, asAsked)
	p := startSites(t, fmt.Sprintf(`
		&(late) {
			route {
				lb_copy_response_headers {
					include X-Tag
				}
				lb_copy_response 299
			}
		}
		http://:{PORT} {
			lb_proxy %s {
				handle_response {
					invoke late
				}
			}
		}`, strings.TrimPrefix(b.URL, "http://")))
	if r := p.get("/200?X-Tag=a"); r.status != 299 || r.body != "backend /200" || r.header.Get("X-Tag") != "a" {
		t.Errorf("%d %q %v", r.status, r.body, r.header)
	}
}

// TestImpossibleCopies has configurations that can only fail when a request comes; they fail when they are loaded.
func TestImpossibleCopies(t *testing.T) {
	p := startProxy(t, upstreams("127.0.0.1:1"))
	for handler, want := range map[string]string{
		`"copy_response","status_code":1000`:                         `"1000" is no status code: write a number from 100 to 999`,
		`"copy_response","status_code":"many"`:                       `"many" is no status code`,
		`"copy_response_headers","include":["A"],"exclude":["B"]`:    "both include and exclude",
		`"subroute","routes":[{"handle":[{"handler":"copy_more"}]}]`: "copy_more",
	} {
		err := p.tryLoad(upstreams("127.0.0.1:1") + `,"handle_response":[{"routes":[{"handle":[{"handler":` + handler + `}]}]}]`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", handler, err, want)
		}
	}
}
