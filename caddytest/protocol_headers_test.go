package caddytest

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// bothDirectives gives the same requests to the same backend, by one directive or the other, over TCP and over a Unix
// socket, with and without trust in the client.
const bothDirectives = `(routes) {
	{args[0]} /trusting/* {$A} {
		trusted_proxies 127.0.0.0/8
		transport http {
			compression off
		}
	}
	{args[0]} {$A} {
		transport http {
			compression off
		}
	}
}
http://:{$PORT} {
	bind 127.0.0.1 unix/{$SOCKET}
	import routes lb_proxy
}
http://:{$PORT2} {
	bind 127.0.0.1 unix/{$SOCKET2}
	import routes reverse_proxy
}
`

// passedOn is a request as the backend got it, and its answer as the client got it.
type passedOn struct {
	Method, Target, Host, Proto string
	Header                      http.Header

	Status string
	Answer http.Header
}

// tellRequest answers with what it was asked, and with fields that a proxy has to look at.
func tellRequest(w http.ResponseWriter, r *http.Request) {
	for field, values := range map[string][]string{
		"Server": {"own"}, "Via": {"1.0 inner"}, "Forwarded": {"for=192.0.2.9"}, "Connection": {"X-Hop"}, "X-Hop": {"1"},
		"Keep-Alive": {"timeout=9"}, "Alt-Svc": {`h3=":1"`}, "Proxy-Authenticate": {"Basic"}, "Set-Cookie": {"a=1", "b=2"}, "Age": {"7"},
		"X-Forwarded-For": {"192.0.2.8"}, "X-Empty": {""}, "Strict-Transport-Security": {"max-age=1"},
	} {
		w.Header()[field] = values
	}
	_ = json.NewEncoder(w).Encode(passedOn{Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: r.Proto, Header: r.Header})
}

// oneRequest sends a request as it is written and returns what came of it.
func oneRequest(t *testing.T, network, addr, request string) passedOn {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience())); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var seen passedOn
	if len(body) > 0 {
		if err := json.Unmarshal(body, &seen); err != nil {
			t.Fatalf("%v: %s %q", err, resp.Status, body)
		}
	}
	seen.Status, seen.Answer = resp.Status, resp.Header
	seen.Answer.Del("Date")
	return seen
}

// TestHeadersAsStock compares what is sent and answered with what reverse_proxy makes of it. Where the two differ on
// purpose is among the faults of reverse_proxy.
func TestHeadersAsStock(t *testing.T) {
	b := NewBackends(t, "A")
	b[0].Do(tellRequest)
	vars := addresses(b...)
	vars["SOCKET"], vars["SOCKET2"] = t.TempDir()+"/a", t.TempDir()+"/b"
	s := Start(t, bothDirectives, vars)
	const forwarded = "Forwarded: for=1.2.3.4;proto=https, for=5.6.7.8\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n" +
		"X-Forwarded-Proto: https\r\nX-Forwarded-Host: front.test\r\nX-Forwarded-Port: 99\r\nX-Real-Ip: 9.9.9.9\r\n"
	const via = "Via: 1.0 one, HTTP/2.0 two\r\nVia: 1.1 three (comment)\r\n"
	for name, request := range map[string]string{
		"bare":            "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"forwarded":       "GET / HTTP/1.1\r\nHost: a.test:81\r\n" + forwarded + "\r\n",
		"trusted":         "GET /trusting/ HTTP/1.1\r\nHost: a.test\r\n" + forwarded + "\r\n",
		"trusted, bare":   "GET /trusting/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"via":             "GET / HTTP/1.1\r\nHost: a.test\r\n" + via + "\r\n",
		"HTTP/1.0":        "GET / HTTP/1.0\r\nHost: a.test\r\n" + via + "\r\n",
		"absolute form":   "GET http://other.test/p%2Fq/..;x?a=1&b=%20 HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"asterisk form":   "OPTIONS * HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 3\r\n\r\n",
		"odd target":      "GET //x//y/?;&%zz=?/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"empty query":     "GET /? HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"odd method":      "PROPFIND /dav HTTP/1.1\r\nHost: a.test\r\nDepth: 1\r\n\r\n",
		"connection":      "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, x-A , ,X-b\r\nConnection: X-C\r\nX-A: 1\r\nX-B: 1\r\nX-C: 1\r\nX-D: 1\r\n\r\n",
		"hop by hop":      "GET / HTTP/1.1\r\nHost: a.test\r\nKeep-Alive: 1\r\nProxy-Connection: close\r\nProxy-Authorization: x\r\nTE: gzip\r\nUpgrade: h2c\r\n\r\n",
		"no user agent":   "GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent:\r\nAccept-Encoding:\r\nX-Empty:\r\n\r\n",
		"repeated":        "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=1\r\nCookie: b=2\r\nAccept: x\r\nAccept: y\r\nx-LOW: \xc3\xa4\r\n\r\n",
		"credentials":     "GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic eA==\r\nRange: bytes=0-1\r\nIf-None-Match: \"x\"\r\nEarly-Data: 1\r\n\r\n",
		"post, no length": "POST / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"post, length 0":  "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
		"post":            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nContent-Type: x\r\n\r\nbody",
		"get with body":   "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody",
		"head":            "HEAD / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
	} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(name+" over "+network, func(t *testing.T) {
				ours, stock := "127.0.0.1:"+s.vars["PORT"], "127.0.0.1:"+s.vars["PORT2"]
				if network == "unix" {
					ours, stock = vars["SOCKET"], vars["SOCKET2"]
				}
				got, want := oneRequest(t, network, ours, request), oneRequest(t, network, stock, request)
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%q\nlb_proxy:      %+v\nreverse_proxy: %+v", request, got, want)
				}
			})
		}
	}
}
