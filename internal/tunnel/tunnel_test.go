package tunnel

import (
	"net/http"
	"slices"
	"testing"
)

func TestAsked(t *testing.T) {
	for _, tc := range []struct {
		connection, upgrade []string
		want                string
	}{
		{[]string{"Upgrade"}, []string{"websocket"}, "websocket"},
		{[]string{"keep-alive, upgrade"}, []string{"WebSocket"}, "websocket"},
		{[]string{"keep-alive", "Upgrade"}, []string{"foo/2, , bar"}, "foo/2, bar"},
		{[]string{"Upgrade, HTTP2-Settings"}, []string{"h2c"}, ""},
		{[]string{"Upgrade"}, []string{"H2C, websocket"}, "websocket"},
		{[]string{"Upgrade"}, []string{"TLS/1.0, HTTP/2.0", "h3", "irc/6.9"}, "irc/6.9"},
		{[]string{"Upgrade"}, []string{"a b, c/d/e, /, x/, websocket"}, "websocket"},
		{[]string{"keep-alive"}, []string{"websocket"}, ""},
		{nil, []string{"websocket"}, ""},
		{[]string{"Upgrade"}, nil, ""},
	} {
		r := &http.Request{ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Connection": tc.connection, "Upgrade": tc.upgrade}}
		if got := Asked(r); got != tc.want {
			t.Errorf("%q, %q: %q, want %q", tc.connection, tc.upgrade, got, tc.want)
		}
		for _, version := range [][2]int{{1, 0}, {2, 0}, {3, 0}} {
			r.ProtoMajor, r.ProtoMinor = version[0], version[1]
			if got := Asked(r); got != "" {
				t.Errorf("HTTP/%d.%d asks for %q", version[0], version[1], got)
			}
		}
	}
}

func TestSwitched(t *testing.T) {
	for _, tc := range []struct{ asked, connection, upgrade, want string }{
		{"websocket", "Upgrade", "WebSocket", "websocket"},
		{"foo/2, websocket", "keep-alive, upgrade", "websocket", "websocket"},
		{"foo/2, websocket", "upgrade", "websocket,foo/2", "websocket, foo/2"},
		{"foo/2", "Upgrade", "foo", ""},
		{"websocket", "Upgrade", "h2c", ""},
		{"websocket", "Upgrade", "h2c, websocket", ""},
		{"websocket", "Upgrade", "", ""},
		{"websocket", "close", "websocket", ""},
		{"", "Upgrade", "websocket", ""},
		{"", "Upgrade", "", ""},
	} {
		header := http.Header{"Connection": {tc.connection}, "Upgrade": {tc.upgrade}}
		if got := Switched(tc.asked, header); got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

func TestRestrict(t *testing.T) {
	for _, tc := range []struct{ connection, upgrade, asked, wantConnection, wantUpgrade string }{
		{"Upgrade, HTTP2-Settings", "h2c, websocket", "websocket", "Upgrade", "websocket"},
		{"Upgrade, HTTP2-Settings", "h2c", "", "", ""},
		{"close", "h2c", "websocket", "close", ""},
		{"", "websocket", "websocket", "", ""},
		{"close", "", "websocket", "close", ""},
	} {
		header := http.Header{"Http2-Settings": {"x"}}
		for field, value := range map[string]string{"Connection": tc.connection, "Upgrade": tc.upgrade} {
			if value != "" {
				header.Set(field, value)
			}
		}
		Restrict(header, tc.asked)
		if got, ok := header["Upgrade"]; ok != (tc.wantUpgrade != "") || header.Get("Upgrade") != tc.wantUpgrade {
			t.Errorf("%+v: Upgrade is %q", tc, got)
		}
		if got := header.Get("Connection"); got != tc.wantConnection || header["Http2-Settings"] != nil {
			t.Errorf("%+v: left %v", tc, header)
		}
	}
}

func TestExtended(t *testing.T) {
	request := func(method, proto string, major int, protocol ...string) *http.Request {
		header := make(http.Header)
		if len(protocol) > 0 {
			header[":protocol"] = protocol
		}
		return &http.Request{Method: method, Proto: proto, ProtoMajor: major, Header: header}
	}
	tunnels := []*http.Request{request("CONNECT", "HTTP/2.0", 2, "websocket"), request("CONNECT", "websocket", 3)}
	others := []*http.Request{
		request("CONNECT", "HTTP/1.1", 1), request("CONNECT", "HTTP/1.1", 1, "websocket"), request("CONNECT", "HTTP/2.0", 2),
		request("CONNECT", "HTTP/3.0", 3), request("GET", "HTTP/2.0", 2, "websocket"), request("CONNECT", "HTTP/2.0", 2, "connect-udp"),
		request("CONNECT", "webtransport", 3), request("POST", "HTTP/1.1", 1),
	}
	for i, r := range slices.Concat(tunnels, others) {
		if got := Is(r); got != (i < len(tunnels)) {
			t.Errorf("%s %s %v: %v", r.Method, r.Proto, r.Header, got)
		}
	}
	if got := Extended(others[5]); got != "connect-udp" {
		t.Errorf("got %q", got)
	}
	if got := Extended(others[6]); got != "webtransport" {
		t.Errorf("got %q", got)
	}
}
