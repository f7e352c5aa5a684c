package filter

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHeaderRequest(t *testing.T) {
	var f Header
	err := parse(&f, `header {
		request X-Set {http.reverse_proxy.upstream.name}
		request +X-Add b
		request -X-Gone
		request X-Path ^/old(.*)$ /new$1
		request Host {http.request.host}.internal
	}`)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://example.com/", nil)
	r.Header = http.Header{"X-Add": {"a"}, "X-Gone": {"x"}, "X-Path": {"/old/a"}}
	x := newRouted(t, r, "")
	x.Replacer.Set("http.reverse_proxy.upstream.name", "one")
	sent := x.Request.Clone(x.Request.Context())
	if err := chainOf(t, &f).UpstreamRequest(x.Context, sent); err != nil {
		t.Fatal(err)
	}
	h := sent.Header
	if h.Get("X-Set") != "one" || strings.Join(h["X-Add"], ",") != "a,b" || h.Get("X-Path") != "/new/a" || len(h) != 3 {
		t.Errorf("sent %v", h)
	}
	if sent.Host != "example.com.internal" {
		t.Errorf("sent to %s", sent.Host)
	}
}

func TestHeaderResponse(t *testing.T) {
	var f Header
	err := parse(&f, `header {
		response X-Set {http.request.host}
		response +X-Add b
		response -X-G*
		response X-Path old new
		response ?Cache-Control no-store
		response ?X-There default
	}`)
	if err != nil {
		t.Fatal(err)
	}
	x := newRouted(t, httptest.NewRequest("GET", "http://example.com/", nil), "")
	path := []string{"old"} // shared with the backend's answer
	answer(t, chainOf(t, &f), x, 200, http.Header{"X-Add": {"a"}, "X-Gone": {"x"}, "X-Path": path, "X-There": {"mine"}}, "")
	want := map[string]string{
		"X-Set": "example.com", "X-Add": "a,b", "X-Path": "new", "Cache-Control": "no-store", "X-There": "mine",
	}
	got := x.answer.Header()
	for field, value := range want {
		if strings.Join(got[field], ",") != value {
			t.Errorf("%s is %q, want %q", field, got[field], value)
		}
	}
	if len(got) != len(want) || path[0] != "old" {
		t.Errorf("the header is %v, and the backend's value %s", got, path[0])
	}
}

func TestHeaderOfSomeAnswersOnly(t *testing.T) {
	var f Header
	unmarshalJSON(t, &f, `{"response":{"set":{"x-error":["yes"]},"require":{"status_code":[5]}}}`)
	c := chainOf(t, &f)
	for status, want := range map[int]string{200: "", 503: "yes"} {
		x := newRouted(t, httptest.NewRequest("GET", "/", nil), "")
		answer(t, c, x, status, nil, "")
		if got := x.answer.Header().Get("X-Error"); got != want {
			t.Errorf("%d has %q, want %q", status, got, want)
		}
	}
}

func TestHeaderErrors(t *testing.T) {
	for text, want := range map[string]string{
		"header":                        "changes nothing",
		"header x":                      "unexpected argument 'x'",
		"header {\n upstream a b\n}":    "there is no option 'upstream'",
		"header {\n request\n}":         "got 0 arguments",
		"header {\n request a b c d\n}": "got 4 arguments",
		"header {\n request -\n}":       "names no field",
		"header {\n request ?a b\n}":    "can only be used on response headers",
		"header {\n request a [ b\n}":   "missing closing ]",
		"header {\n response ?a\n}":     "write 'response ?<field> <value>'",
		"header {\n response ? b\n}":    "write 'response ?<field> <value>'",
		"header {\n response a ( b\n}":  "missing closing )",
	} {
		wantError(t, parse(new(Header), text), text, want)
	}
	for _, text := range []string{
		`{}`, `{"response":{}}`, `{"request":{"replace":{"a":[{"search":"x","search_regexp":"y"}]}}}`,
		`{"request":{"replace":{"a":[{"search_regexp":"["}]}}}`,
	} {
		var f Header
		unmarshalJSON(t, &f, text)
		if load(t, &f) == nil {
			t.Errorf("%s loads", text)
		}
	}
}
