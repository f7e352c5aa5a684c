package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// startAuth runs an authenticator. It lets in who has the secret, and names them unless they are
// nobody.
func startAuth(t *testing.T) *backend {
	return startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.String() != "/verify?by=proxy" || r.ContentLength > 0 {
			t.Errorf("the authenticator was asked %s %s with %d bytes", r.Method, r.URL, r.ContentLength)
		}
		w.Header().Set("X-Mode", r.Header.Get("X-Mode"))
		if r.Header.Get("Authorization") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Method")+" "+r.Header.Get("X-Forwarded-Uri"))
			return
		}
		if r.Header.Get("X-Forwarded-Uri") != "/nobody" {
			w.Header().Set("Remote-User", "alice")
			w.Header().Set("Remote-Id", "7")
		}
	})
}

// Caddy's directive works before lb_proxy, and this suite's shorthand does the same.
func TestForwardAuthShorthand(t *testing.T) {
	for _, directive := range []string{"forward_auth", "lb_forward_auth"} {
		t.Run(directive, func(t *testing.T) {
			auth := startAuth(t)
			app := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				_, _ = fmt.Fprintf(w, "%s %s %s user=%q id=%q", r.Method, r.URL, body, r.Header["Remote-User"], r.Header["X-Id"])
			})
			p := startSite(t, `
				lb_proxy %s
				`+directive+` /app/* %s {
					uri /verify?by=proxy
					copy_headers remote-user {
						Remote-Id>X-Id
					}
				}
				`+directive+` /nobody %[2]s {
					uri /verify?by=proxy
					copy_headers Remote-User Remote-Id>X-Id
				}`, app, auth)
			forged := []string{"Authorization", "secret", "Remote-User", "mallory", "X-Id", "1"}
			for _, tc := range []struct {
				method, path, body string
				fields             []string
				status             int
				want               string
			}{
				{"GET", "/app/x", "", forged, 200, `GET /app/x  user=["alice"] id=["7"]`},
				{"POST", "/app/x?a=1", "form", forged, 200, `POST /app/x?a=1 form user=["alice"] id=["7"]`},
				{"GET", "/nobody", "", forged, 200, `GET /nobody  user=[] id=[]`},
				{"POST", "/app/x?a=1", "form", nil, 401, "POST /app/x?a=1"},
				{"GET", "/open", "", nil, 200, `GET /open  user=[] id=[]`},
			} {
				if r := p.send(tc.method, tc.path, strings.NewReader(tc.body), tc.fields...); r.status != tc.status || r.body != tc.want {
					t.Errorf("%s %s: %d %q, want %d %q", tc.method, tc.path, r.status, r.body, tc.status, tc.want)
				}
			}
			// The body stays with the client until the application asks for it.
			conn, r := p.raw("POST /app/x HTTP/1.1\r\nHost: a.test\r\nAuthorization: secret\r\n" +
				"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
			for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n", "HTTP/1.1 200 OK\r\n"} {
				if line, err := r.ReadString('\n'); line != want {
					t.Fatalf("got %q, want %q: %v", line, want, err)
				}
				if want == "\r\n" {
					_, _ = io.WriteString(conn, "form")
				}
			}
		})
	}
}

// What lb_proxy takes, lb_forward_auth takes as well: here a pool, of which one authenticator is
// gone, and a filter.
func TestForwardAuthTakesWhatTheProxyTakes(t *testing.T) {
	auth, app := startAuth(t), startBackend(t, text("app"))
	p := startSitesWith(t, `lb_pool auth {
		backend `+deadAddress(t)+`
		backend `+hostOf(auth.URL)+`
		lb_policy first
	}`, `http://:{PORT} {
		lb_forward_auth {
			pool auth
			uri /verify?by=proxy
			header_up X-Mode strict
			response_filter {
				header X-Asked {rp.upstream.hostport}
			}
		}
		lb_proxy `+hostOf(app.URL)+`
	}`)
	if r := p.get("/", "Authorization", "secret"); r.status != 200 || r.body != "app" {
		t.Errorf("%d %q", r.status, r.body)
	}
	r := p.get("/")
	if r.status != 401 || r.header.Get("X-Mode") != "strict" || r.header.Get("X-Asked") != hostOf(auth.URL) {
		t.Errorf("%d %v", r.status, r.header)
	}
}

// Caddy's directive works beside lb_proxy, and this suite's shorthand does the same.
func TestPHPFastCGIShorthand(t *testing.T) {
	for _, directive := range []string{"php_fastcgi", "lb_php_fastcgi"} {
		t.Run(directive, func(t *testing.T) {
			root := writeFiles(t, map[string]string{
				"index.php": "", "teapot.php": "", "blog/index.php": "", "static.txt": "a file", "shop/front.php5": "",
			})
			address, _ := startFastCGI(t)
			api := startBackend(t, text("api"))
			p := startSites(t, `http://:{PORT} {
				root * `+root+`
				lb_proxy /api/* `+hostOf(api.URL)+`
				file_server
				route /shop/* {
					`+directive+` `+address+` {
						index front.php5
						split .php5
						env GREETING hello
						read_timeout 5s
					}
				}
				`+directive+` `+address+` {
					@teapot status 418
					handle_response @teapot {
						copy_response 503
					}
				}
			}`)
			for _, tc := range []struct {
				method, path, body string
				status             int
				want               string
			}{
				{"GET", "/", "", 200, "GET index.php  "},
				{"GET", "/pretty/url?a=1", "", 200, "GET index.php a=1 "},
				{"POST", "/blog/", "form=1", 200, "POST index.php  form=1"},
				{"GET", "/blog?a=1", "", 308, ""},
				{"GET", "/teapot.php", "", 503, "GET teapot.php  "},
				{"GET", "/static.txt", "", 200, "a file"},
				{"GET", "/api/x", "", 200, "api"},
				{"GET", "/shop/", "", 200, "GET front.php5  "},
			} {
				r := p.send(tc.method, tc.path, strings.NewReader(tc.body))
				if r.status != tc.status || r.body != tc.want {
					t.Errorf("%s %s: %d %q, want %d %q", tc.method, tc.path, r.status, r.body, tc.status, tc.want)
				}
				if location := r.header.Get("Location"); tc.status == 308 && location != "./blog/?a=1" {
					t.Errorf("%s leads to %q", tc.path, location)
				}
			}
			// The path of a directory never leads to another host.
			_, reader := p.raw("GET /%2Fevil.test%2F..%2Fblog HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
			if res, err := http.ReadResponse(bufio.NewReader(reader), nil); err != nil || strings.HasPrefix(res.Header.Get("Location"), "//") {
				t.Errorf("%v %v", res, err)
			}
		})
	}
}

// What lb_proxy takes, lb_php_fastcgi takes as well: here a pool, of which one responder is gone.
func TestPHPFastCGITakesWhatTheProxyTakes(t *testing.T) {
	root := writeFiles(t, map[string]string{"index.php": "", "app/index.php": "", "static.php": "source"})
	address, asked := startFastCGI(t)
	p := startSitesWith(t, "lb_pool php {\nbackend "+deadAddress(t)+"\nbackend "+address+"\nlb_policy first\n}", `http://:{PORT} {
		lb_php_fastcgi /app/* {
			pool php
			root `+root+`
			header_down X-Tries {rp.tries}
		}
		root * `+root+`
		file_server
	}`)
	if r := p.get("/app/"); r.status != 200 || r.body != "GET index.php  " || r.header.Get("X-Tries") != "2" {
		t.Errorf("%d %q %v", r.status, r.body, r.header)
	}
	if r := p.get("/static.php"); r.body != "source" || asked.Load() != 1 {
		t.Errorf("%d %q", r.status, r.body)
	}
}
