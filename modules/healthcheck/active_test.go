package healthcheck

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Every field of the stock handler's object is there, under the same name and with the same type, in order.
func TestActiveHasTheFieldsOfReverseProxy(t *testing.T) {
	fields := func(v any) (out []string) {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			if f := typ.Field(i); f.IsExported() {
				out = append(out, strings.Join([]string{f.Name, f.Type.String(), string(f.Tag)}, " "))
			}
		}
		return out
	}
	got, want := fields(Active{}), fields(reverseproxy.ActiveHealthChecks{})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("fields\n%q, want\n%q", got, want)
	}
}

func TestActiveJSONRoundTrip(t *testing.T) {
	const want = `{"path":"/p","uri":"/u?q","upstream":"a:1","port":2,"headers":{"A":["b","c"]},"method":"HEAD","body":"x",` +
		`"follow_redirects":true,"interval":1,"timeout":2,"passes":3,"fails":4,"max_size":5,"expect_status":6,"expect_body":"y"}`
	for _, v := range []any{new(reverseproxy.ActiveHealthChecks), new(Active)} {
		if err := json.Unmarshal([]byte(want), v); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("%T: %s, want %s: %v", v, got, want, err)
		}
	}
}

func TestFromActive(t *testing.T) {
	for _, tc := range []struct {
		name   string
		active Active
		want   string
	}{
		{"defaults", Active{URI: "/up"}, `{"check":{"expect_status":[2],"kind":"http","uri":"/up"},"interval":30000000000,"timeout":5000000000,"consecutive_success":1,"consecutive_failure":1}`},
		{"port alone", Active{Port: 81}, `{"check":{"expect_status":[2],"kind":"http","uri":"/"},"interval":30000000000,"timeout":5000000000,"consecutive_success":1,"consecutive_failure":1,"port":81}`},
		{"path", Active{Path: "/a?b"}, `{"check":{"expect_status":[2],"kind":"http","uri":"/a%3Fb"},"interval":30000000000,"timeout":5000000000,"consecutive_success":1,"consecutive_failure":1}`},
		{"path and query of a URL", Active{URI: "http://a.test/x?y", Path: "/z"}, `{"check":{"expect_status":[2],"kind":"http","uri":"/x?y"},"interval":30000000000,"timeout":5000000000,"consecutive_success":1,"consecutive_failure":1}`},
		{"no slash", Active{URI: "up"}, `{"check":{"expect_status":[2],"kind":"http","uri":"/up"},"interval":30000000000,"timeout":5000000000,"consecutive_success":1,"consecutive_failure":1}`},
		{"all", Active{
			URI: "/u", Upstream: "a:1", Port: 2, Headers: http.Header{"A": {"b"}}, Method: "HEAD", Body: "x", FollowRedirects: true,
			Interval: 1, Timeout: 2, Passes: 3, Fails: 4, MaxSize: 5, ExpectStatus: 404, ExpectBody: "y",
		}, `{"check":{"body":"x","expect_body":"y","expect_status":[404],"follow_redirects":true,"headers":{"A":["b"]},"kind":"http",` +
			`"max_body":5,"method":"HEAD","upstream":"a:1","uri":"/u"},"interval":1,"timeout":2,"consecutive_success":3,"consecutive_failure":4}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := FromActive(&tc.active)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(c)
			if err != nil || string(got) != tc.want {
				t.Errorf("got  %s\nwant %s: %v", got, tc.want, err)
			}
			if err := c.Provision(newContext(t)); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := FromActive(&Active{URI: "%zz"}); err == nil {
		t.Error("a URI that cannot be parsed was accepted")
	}
}

func TestActiveIsEnabled(t *testing.T) {
	for want, list := range map[bool][]*Active{
		true:  {{Path: "/"}, {URI: "/"}, {Port: 80}},
		false: {nil, {}, {Upstream: "a:1", Method: "GET", Interval: caddy.Duration(time.Second)}},
	} {
		for _, a := range list {
			if a.IsEnabled() != want {
				t.Errorf("%+v: enabled %v", a, !want)
			}
		}
	}
}

func TestActiveExpectations(t *testing.T) {
	teapot := newWeb(t, answer(418, "", "tea"))
	for _, tc := range []struct {
		active Active
		want   string
	}{
		{Active{URI: "/"}, "status 418, where 2xx is expected"},
		{Active{URI: "/", ExpectStatus: 4}, ""},
		{Active{URI: "/", ExpectStatus: 418, ExpectBody: "coffee"}, "does not match"},
	} {
		c, err := FromActive(&tc.active)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Provision(newContext(t)); err != nil {
			t.Fatal(err)
		}
		expect(t, c.Checker(), teapot.to, tc.want)
	}
}
