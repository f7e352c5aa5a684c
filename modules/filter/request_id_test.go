package filter

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/uuid"
)

// identify runs the first phase of the filter for a request with these names, and returns the name it gets.
func identify(t *testing.T, f *RequestID, trusted bool, given ...string) (string, *routed) {
	t.Helper()
	c := chainOf(t, f)
	r := httptest.NewRequest("GET", "http://example.com/", nil)
	if len(given) > 0 {
		r.Header[f.Field] = given
	}
	x := newRouted(t, r, "")
	caddyhttp.SetVar(x.Request.Context(), caddyhttp.TrustedProxyVarKey, trusted)
	if err := c.EarlyRequest(x.Context); err != nil {
		t.Fatal(err)
	}
	return x.Request.Header.Get(f.Field), x
}

func TestRequestIDTrust(t *testing.T) {
	for _, test := range []struct {
		trust   string
		trusted bool
		given   []string
		kept    bool
	}{
		{"", true, []string{"abc-123"}, true},
		{"", false, []string{"abc-123"}, false},
		{"on", false, []string{"abc-123"}, true},
		{"off", true, []string{"abc-123"}, false},
		{"on", false, nil, false},
		{"on", false, []string{""}, false},
		{"on", false, []string{"a", "b"}, false},
		{"on", false, []string{"a b"}, false},
		{"on", false, []string{"a\nb"}, false},
		{"on", false, []string{"ü"}, false},
		{"on", false, []string{strings.Repeat("a", 128)}, true},
		{"on", false, []string{strings.Repeat("a", 129)}, false},
	} {
		got, _ := identify(t, &RequestID{Trust: test.trust}, test.trusted, test.given...)
		if test.kept {
			if got != test.given[0] {
				t.Errorf("%+v became %s", test, got)
			}
			continue
		}
		if id, err := uuid.Parse(got); err != nil || id.Version() != 7 {
			t.Errorf("%+v became %q, which is no UUID of version 7", test, got)
		}
	}
}

func TestRequestIDIsEverywhere(t *testing.T) {
	f := &RequestID{Field: "x-trace"}
	id, x := identify(t, f, false)
	if f.Field != "X-Trace" || x.answer.Header().Get("X-Trace") != id {
		t.Errorf("the answer's header is %v", x.answer.Header())
	}
	if got, _ := x.Replacer.GetString("http.reverse_proxy.request_id"); got != id {
		t.Errorf("the placeholder is %q", got)
	}
	x.Replacer.DeleteByPrefix("http.reverse_proxy.") // as proxies do
	f.Trust = "on"
	x.Request.Header.Set("X-Trace", "another")
	if err := f.EarlyRequest(x.Context); err != nil {
		t.Fatal(err)
	}
	if got, _ := x.Replacer.GetString("http.reverse_proxy.request_id"); got != "another" {
		t.Errorf("the placeholder is %q", got)
	}
	id = "another"
	logged := reflect.ValueOf(x.extra).Elem().FieldByName("fields")
	if logged.Len() != 1 || logged.Index(0).FieldByName("String").String() != id {
		t.Errorf("logged: %v", logged)
	}
	// The backend says something else.
	c, err := NewChain([]Named{{"request_id", f}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	answer(t, c, x, 200, http.Header{"X-Trace": {"other", "another"}}, "")
	if got := x.answer.Header()["X-Trace"]; len(got) != 1 || got[0] != id {
		t.Errorf("the answer has %q", got)
	}
}

func TestRequestIDGenerate(t *testing.T) {
	for text, want := range map[string]string{
		"{http.request.host}/1":                   "example.com/1",
		"{unknown}":                               "",
		"a{http.request.header.X-Evil}":           "",
		strings.Repeat("{http.request.host}", 12): "",
	} {
		f := &RequestID{Generate: text, Trust: "off"}
		c := chainOf(t, f)
		r := httptest.NewRequest("GET", "http://example.com/", nil)
		r.Header["X-Evil"] = []string{"\r\nSet-Cookie: a"}
		x := newRouted(t, r, "")
		if err := c.EarlyRequest(x.Context); err != nil {
			t.Fatal(err)
		}
		got := x.Request.Header.Get(f.Field)
		if _, err := uuid.Parse(got); (want == "") != (err == nil) || want != "" && got != want {
			t.Errorf("%s gives %q, want %q", text, got, want)
		}
	}
}

func TestRequestIDWithoutAccessLog(t *testing.T) {
	c := chainOf(t, new(RequestID))
	x := newRouted(t, httptest.NewRequest("GET", "/", nil), "")
	x.Request = x.Request.WithContext(context.WithValue(x.Request.Context(), caddyhttp.ExtraLogFieldsCtxKey, nil))
	if err := c.EarlyRequest(x.Context); err != nil {
		t.Fatal(err)
	}
}

func TestRequestIDCaddyfile(t *testing.T) {
	var f RequestID
	err := parse(&f, "request_id X-Trace {\n generate {http.request.uuid}\n trust on\n}")
	if want := (RequestID{Field: "X-Trace", Generate: "{http.request.uuid}", Trust: "on"}); err != nil || f != want {
		t.Errorf("%+v, %v", f, err)
	}
	if err := parse(new(RequestID), "request_id"); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"request_id a b":                                 "unexpected argument 'b'",
		"request_id \"a b\"":                             "'a b' cannot be the name of a header field",
		"request_id {\n generate\n}":                     "generate lacks its value",
		"request_id {\n generate fixed\n}":               "'fixed' would be the name of all requests",
		"request_id {\n generate uuid\n generate {a}\n}": "generate is set already",
		"request_id {\n trust maybe\n}":                  "'maybe' is neither on nor off",
		"request_id {\n trust on\n trust off\n}":         "trust is set already",
		"request_id {\n length 3\n}":                     "there is no option 'length'",
	} {
		wantError(t, parse(new(RequestID), text), text, want)
	}
	for _, f := range []*RequestID{{Field: "a b"}, {Trust: "maybe"}} {
		if load(t, f) == nil {
			t.Errorf("%+v loads", f)
		}
	}
}
