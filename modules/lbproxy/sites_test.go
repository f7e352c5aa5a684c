package lbproxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// writeFiles writes files, given as name and content, into a new directory and returns it.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestAccelRedirect has the backend name a file for Caddy to send, as with nginx's X-Accel-Redirect.
func TestAccelRedirect(t *testing.T) {
	root := writeFiles(t, map[string]string{"private/a.txt": "the file"})
	b := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/download" {
			w.Header().Set("X-Accel-Redirect", "/private/a.txt")
			w.Header().Set("Set-Cookie", "seen=1")
			w.Header().Set("X-Powered-By", "backend")
		}
		_, _ = fmt.Fprintf(w, "%s from the backend", r.Method)
	})
	p := startSite(t, `
		lb_proxy %s {
			@accel header X-Accel-Redirect *
			handle_response @accel {
				root * `+root+`
				rewrite * {rp.header.X-Accel-Redirect}
				method * GET
				copy_response_headers {
					exclude X-Accel-Redirect X-Powered-By Content-Type
				}
				file_server
			}
		}`, b)
	for _, method := range []string{"GET", "POST"} {
		r := p.send(method, "/download", nil)
		if r.status != 200 || r.body != "the file" || r.header.Get("Set-Cookie") != "seen=1" {
			t.Errorf("%s: %d %q %v", method, r.status, r.body, r.header)
		}
		for _, field := range []string{"X-Accel-Redirect", "X-Powered-By"} {
			if v, ok := r.header[field]; ok {
				t.Errorf("%s: %s: %q", method, field, v)
			}
		}
	}
	if r := p.get("/other"); r.body != "GET from the backend" {
		t.Errorf("%d %q", r.status, r.body)
	}
	if r := p.send("GET", "/download", nil, "Range", "bytes=4-7"); r.status != 206 || r.body != "file" {
		t.Errorf("range: %d %q", r.status, r.body)
	}
}

// TestForwardAuth is what forward_auth stands for, written out with lb_proxy for both of its proxies.
func TestForwardAuth(t *testing.T) {
	auth := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.URL.Path != "/verify" || r.ContentLength > 0 {
			t.Errorf("the authenticator was asked %s %s with %d bytes", r.Method, r.URL, r.ContentLength)
		}
		if r.Header.Get("Authorization") != "secret" {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Method")+" "+r.Header.Get("X-Forwarded-Uri")+" needs a secret")
			return
		}
		if r.Header.Get("X-Forwarded-Uri") != "/anonymous" {
			w.Header().Set("Remote-User", "alice")
		}
		w.Header().Set("Set-Cookie", "session=1")
		w.Header().Set("X-Internal", "1")
		_, _ = io.WriteString(w, "welcome")
	})
	app := startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s %q", r.Method, r.URL, body, r.Header["Remote-User"])
	})
	p := startSite(t, `
		route {
			request_header -Remote-User
			lb_proxy %s {
				method GET
				rewrite /verify
				header_up X-Forwarded-Method {method}
				header_up X-Forwarded-Uri {uri}
				@good status 2xx
				handle_response @good {
					@named not vars {rp.header.Remote-User} ""
					request_header @named Remote-User {rp.header.Remote-User}
					copy_response_headers {
						include Set-Cookie
					}
				}
			}
			lb_proxy %s
		}`, auth, app)
	r := p.send("POST", "/page?a=1", strings.NewReader("form"), "Authorization", "secret", "Remote-User", "mallory")
	if r.status != 200 || r.body != `POST /page?a=1 form ["alice"]` || r.header.Get("Set-Cookie") != "session=1" || r.header.Get("X-Internal") != "" {
		t.Errorf("%d %q %v", r.status, r.body, r.header)
	}
	if r := p.get("/anonymous", "Authorization", "secret", "Remote-User", "mallory"); r.body != "GET /anonymous  []" {
		t.Errorf("without a name: %d %q", r.status, r.body)
	}
	hits := app.count()
	r = p.send("POST", "/page?a=1", strings.NewReader("form"))
	if r.status != 401 || r.body != "POST /page?a=1 needs a secret" || r.header.Get("WWW-Authenticate") != "Basic" {
		t.Errorf("%d %q %v", r.status, r.body, r.header)
	}
	if app.count() != hits {
		t.Error("a refused request reached the application")
	}
}

// startFastCGI runs a FastCGI responder that tells what it was asked, and returns its address and a counter.
func startFastCGI(t *testing.T) (string, *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = fcgi.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			body, _ := io.ReadAll(r.Body)
			if strings.HasSuffix(r.URL.Path, "/teapot.php") {
				w.WriteHeader(http.StatusTeapot)
			}
			_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Method, filepath.Base(fcgi.ProcessEnv(r)["SCRIPT_FILENAME"]), r.URL.RawQuery, body)
		}))
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return l.Addr().String(), &asked
}

// TestFastCGI is what php_fastcgi stands for, written out with lb_proxy; one of the two responders is gone.
func TestFastCGI(t *testing.T) {
	root := writeFiles(t, map[string]string{
		"index.php": "", "teapot.php": "", "blog/index.php": "", "static.txt": "a file",
	})
	address, asked := startFastCGI(t)
	p := startSites(t, `http://:{PORT} {
		root * `+root+`
		route {
			@directory {
				file {path}/index.php
				not path */
			}
			redir @directory {path}/ 308
			@indexed file {
				try_files {path} {path}/index.php index.php
				split_path .php
			}
			rewrite @indexed {file_match.relative}
			@php path *.php
			lb_proxy @php `+deadAddress(t)+` `+address+` {
				lb_policy first
				transport fastcgi {
					split .php
				}
				@teapot status 418
				handle_response @teapot {
					copy_response 503
				}
			}
			file_server
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
		{"GET", "/blog", "", 308, ""},
		{"GET", "/teapot.php", "", 503, "GET teapot.php  "},
		{"GET", "/static.txt", "", 200, "a file"},
	} {
		if r := p.send(tc.method, tc.path, strings.NewReader(tc.body)); r.status != tc.status || r.body != tc.want {
			t.Errorf("%s %s: %d %q, want %d %q", tc.method, tc.path, r.status, r.body, tc.status, tc.want)
		}
	}
	// A body of unknown length is sent when it fits the buffer, which this transport asks for.
	if r := p.send("POST", "/index.php", io.MultiReader(strings.NewReader("chunked"))); r.body != "POST index.php  chunked" {
		t.Errorf("chunked: %d %q", r.status, r.body)
	}
	if r := p.send("POST", "/index.php", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<16)))); r.status != http.StatusLengthRequired {
		t.Errorf("chunked and too long: %d %q", r.status, r.body)
	}
	if n := asked.Load(); n != 5 {
		t.Errorf("the responder was asked %d times", n)
	}
}
