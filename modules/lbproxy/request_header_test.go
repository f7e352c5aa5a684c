package lbproxy

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// echoHeader answers with the request's header, host included, as JSON.
func echoHeader(w http.ResponseWriter, r *http.Request) {
	header := r.Header.Clone()
	header["Host"] = []string{r.Host}
	header["Request-Line"] = []string{r.Method + " " + r.RequestURI}
	_ = json.NewEncoder(w).Encode(header)
}

func seenHeader(t *testing.T, r reply) http.Header {
	t.Helper()
	var h http.Header
	if err := json.Unmarshal([]byte(r.body), &h); err != nil {
		t.Fatalf("status %d, body %q: %v", r.status, r.body, err)
	}
	return h
}

func TestRequestHopByHop(t *testing.T) {
	b := startBackend(t, echoHeader)
	p := startProxy(t, upstreams(b.URL))
	h := seenHeader(t, p.get("/",
		"Connection", "keep-alive, X-Nominated, te",
		"X-Nominated", "1", "Keep-Alive", "timeout=5", "Proxy-Connection", "keep-alive", "Proxy-Authorization", "Basic x",
		"Te", "trailers, deflate", "Upgrade", "h2c", "Alt-Svc", "clear", "X-Kept", "yes"))
	for _, field := range []string{
		"X-Nominated", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Upgrade", "Alt-Svc", "Connection", "User-Agent", "Accept-Encoding",
	} {
		if v, ok := h[field]; ok && field != "User-Agent" {
			t.Errorf("%s reached the backend: %q", field, v)
		}
	}
	if got := h.Get("X-Kept"); got != "yes" {
		t.Errorf("X-Kept is %q", got)
	}
	if got := h["Te"]; !slices.Equal(got, []string{"trailers"}) {
		t.Errorf("TE is %q, want trailers alone", got)
	}
	if got := h["Via"]; !slices.Equal(got, []string{"1.1 Caddy"}) {
		t.Errorf("Via is %q", got)
	}
}

func TestNothingAddedForTheClient(t *testing.T) {
	b := startBackend(t, echoHeader)
	p := startProxy(t, upstreams(b.URL))
	_, r := p.raw("GET / HTTP/1.1\r\nHost: example.org\r\nVia: 1.0 first\r\nConnection: close\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var h http.Header
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"User-Agent", "Accept-Encoding", "Te", "Connection"} {
		if v, ok := h[field]; ok {
			t.Errorf("%s was made up: %q", field, v)
		}
	}
	if got := h.Get("Host"); got != "example.org" {
		t.Errorf("Host is %q", got)
	}
	if got := h["Via"]; !slices.Equal(got, []string{"1.0 first", "1.1 Caddy"}) {
		t.Errorf("Via is %q", got)
	}
}

func TestForwardedFields(t *testing.T) {
	sent := []string{
		"X-Forwarded-For", "1.2.3.4", "X-Forwarded-For", "5.6.7.8", "X-Forwarded-Proto", "gopher", "X-Forwarded-Proto", "https",
		"X-Forwarded-Host", "front.example", "Host", "own.example",
	}
	trustServer := serverOptions{server: `"trusted_proxies":{"source":"static","ranges":["127.0.0.0/8"]}`}
	for _, tc := range []struct {
		name              string
		handler           string
		options           serverOptions
		fields            []string
		for_, proto, host string
	}{
		{"nothing sent", "", serverOptions{}, []string{"Host", "own.example"}, "127.0.0.1", "http", "own.example"},
		{"untrusted", "", serverOptions{}, sent, "127.0.0.1", "http", "own.example"},
		{"handler trusts a range", `,"trusted_proxies":["127.0.0.0/8"]`, serverOptions{}, sent, "1.2.3.4, 5.6.7.8, 127.0.0.1", "https", "front.example"},
		{"handler trusts an address", `,"trusted_proxies":["127.0.0.1"]`, serverOptions{}, sent, "1.2.3.4, 5.6.7.8, 127.0.0.1", "https", "front.example"},
		{"handler trusts others", `,"trusted_proxies":["10.0.0.0/8","::1"]`, serverOptions{}, sent, "127.0.0.1", "http", "own.example"},
		{"server trusts", "", trustServer, sent, "1.2.3.4, 5.6.7.8, 127.0.0.1", "https", "front.example"},
		{
			"removed by a handler before", "",
			serverOptions{before: `{"handler":"headers","request":{"delete":["X-Forwarded-*"]}}`},
			sent, "127.0.0.1", "http", "own.example",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := startBackend(t, echoHeader)
			p := startProxy(t, upstreams(b.URL)+tc.handler, tc.options)
			h := seenHeader(t, p.get("/", tc.fields...))
			for field, want := range map[string]string{forwardedFor: tc.for_, forwardedProto: tc.proto, forwardedHost: tc.host} {
				if got := h[field]; !slices.Equal(got, []string{want}) {
					t.Errorf("%s is %q, want %q", field, got, want)
				}
			}
		})
	}
}

func TestPeer(t *testing.T) {
	for _, tc := range []struct {
		remote  string
		address string
		known   bool
	}{
		{"192.0.2.1:99", "192.0.2.1", true},
		{"[2001:db8::1]:99", "2001:db8::1", true},
		{"[fe80::1%eth0]:99", "fe80::1", true},
		{"@", "", false},
		{"nonsense", "", false},
	} {
		ex := &exchange{h: new(Handler), in: &http.Request{RemoteAddr: tc.remote}}
		address, trusted, known := ex.peer()
		if address != tc.address || known != tc.known || trusted {
			t.Errorf("%s: got %q, trusted %v, known %v", tc.remote, address, trusted, known)
		}
	}
}

func TestHeaderUpRewriteMethod(t *testing.T) {
	b := startBackend(t, echoHeader)
	// The operations start anew for each backend.
	p := startProxy(t, upstreams(deadAddress(t), b.URL)+`,"load_balancing":{"selection_policy":{"policy":"first"}},
		"headers":{"request":{"set":{"X-To":["{http.reverse_proxy.upstream.hostport}"],"Host":["other.example"]},"add":{"X-Added":["2"]},"delete":["X-Gone"]}},
		"rewrite":{"method":"GET","uri":"/new?q={http.request.uri.path}"}`,
		serverOptions{after: `{"handler":"static_response","body":"not reached"}`})
	h := seenHeader(t, p.send("POST", "/old", strings.NewReader("body"), "X-Gone", "1", "X-Added", "1"))
	want := map[string][]string{
		"X-To": {strings.TrimPrefix(b.URL, "http://")}, "Host": {"other.example"}, "X-Added": {"1", "2"}, "X-Gone": nil,
		"Request-Line": {"GET /new?q=%2Fold"}, "Content-Length": nil,
	}
	for field, values := range want {
		if got := h[field]; !slices.Equal(got, values) {
			t.Errorf("%s is %q, want %q", field, got, values)
		}
	}
}

func TestAbsoluteFormDoesNotChooseTheBackend(t *testing.T) {
	b := startBackend(t, echoHeader)
	other := startBackend(t, text("wrong backend"))
	p := startProxy(t, upstreams(b.URL))
	for _, target := range []string{other.URL, strings.Replace(other.URL, "http:", "https:", 1), "http://user:secret@x"} {
		_, r := p.raw("GET " + target + "/x?y=1 HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		var h http.Header
		err = json.NewDecoder(res.Body).Decode(&h)
		res.Body.Close()
		if got := h.Get("Request-Line"); err != nil || got != "GET /x?y=1" {
			t.Errorf("%s: the backend saw %q, %v", target, got, err)
		}
	}
	if other.count() != 0 {
		t.Error("the request went where its target said")
	}
}
