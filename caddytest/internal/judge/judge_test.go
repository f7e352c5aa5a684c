package judge

import (
	"slices"
	"testing"

	"github.com/caddylb/caddy-lb/caddytest/internal/strict"
)

const (
	client  = "127.0.0.2"
	sent    = "POST /a HTTP/1.1\r\nHost: a.test\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
	own1    = "HTTP/1.1 200 OK\r\nX-Answer-For: 127.0.0.2\r\nX-Answer-Line: POST /a\r\nContent-Length: 0\r\n\r\n"
	own2    = "HTTP/1.1 200 OK\r\nX-Answer-For: 127.0.0.2\r\nX-Answer-Line: GET /b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	proxied = "X-Forwarded-For: 127.0.0.2\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.test\r\nVia: 1.1 x\r\n"
	first   = "POST /a HTTP/1.1\r\nHost: a.test\r\nX-End: 2\r\n" + proxied + "Content-Length: 2\r\n\r\nhi"
	second  = "GET /b HTTP/1.1\r\nHost: a.test\r\n" + proxied + "\r\n"
)

// What is right has no finding, and each way in which it may be wrong has its own.
func TestJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		backend, got string
		want         []Kind
	}{
		"right":                  {first + second, own1 + own2, nil},
		"refused":                {first, own1 + "HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", nil},
		"chunked on the way":     {"POST /%61 HTTP/1.1\r\nHost: a.test\r\n" + proxied + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" + second, own1 + own2, nil},
		"another request":        {first + "GET /hidden HTTP/1.1\r\nHost: a.test\r\n" + proxied + "\r\n" + second, own1 + own2, []Kind{Smuggled}},
		"twice":                  {first + first + second, own1 + own2, []Kind{Smuggled}},
		"the other order":        {second + first, own1 + own2, []Kind{Smuggled}},
		"another body":           {"POST /a HTTP/1.1\r\nHost: a.test\r\n" + proxied + "Content-Length: 1\r\n\r\nh" + second, own1 + own2, []Kind{Smuggled}},
		"another host":           {"GET /b HTTP/1.1\r\nHost: b.test\r\n" + proxied + "\r\n", own1 + own2, []Kind{Smuggled}},
		"another method":         {"HEAD /b HTTP/1.1\r\nHost: a.test\r\n" + proxied + "\r\n", own1 + own2, []Kind{Smuggled}},
		"a hop's field":          {"POST /a HTTP/1.1\r\nHost: a.test\r\nX-Hop: 1\r\n" + proxied + "Content-Length: 2\r\n\r\nhi" + second, own1 + own2, []Kind{Leaked}},
		"a field out of nothing": {first + "GET /b HTTP/1.1\r\nHost: a.test\r\nX-New: 1\r\n" + proxied + "\r\n", own1 + own2, []Kind{Leaked}},
		"a forged address":       {first + "GET /b HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6\r\n" + proxied + "\r\n", own1 + own2, []Kind{Leaked}},
		"h2c":                    {first + "GET /b HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + proxied + "\r\n", own1 + own2, []Kind{Leaked}},
		"a trailer with framing": {"POST /a HTTP/1.1\r\nHost: a.test\r\n" + proxied + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nHost: b\r\n\r\n" + second, own1 + own2, []Kind{Leaked, Leaked}},
		"the other's answer":     {first + second, own2[:len(own2)-len("Connection: close\r\n\r\n")] + "\r\n" + own2, []Kind{Crossed}},
		"another client's":       {first + second, "HTTP/1.1 200 OK\r\nX-Answer-For: 127.0.0.3\r\nX-Answer-Line: POST /a\r\nContent-Length: 0\r\n\r\n" + own2, []Kind{Crossed}},
		"a third answer":         {first + second, own1 + own2 + own2, []Kind{Unclear}},
		"no answer":              {first + second, own1, []Kind{Lost}},
		"an unclear answer":      {first + second, own1 + "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []Kind{Unclear, Lost}},
	} {
		messages, rest, err := strict.Reader{Allowed: ToBackends}.Requests([]byte(tc.backend))
		if err != nil || len(rest) > 0 {
			t.Fatalf("%s: %v", name, err)
		}
		e := Exchange{Client: client, Sent: []byte(sent), Got: []byte(tc.got)}
		var got []Kind
		for _, f := range e.Judge(messages) {
			got = append(got, f.Kind)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, e.Judge(messages), tc.want)
		}
	}
}

// Behind what is no request nothing is one, but for faults that leave no doubt of where a message
// ends.
func TestJudgeOfWhatIsNoRequest(t *testing.T) {
	for name, raw := range map[string]string{
		"two lengths":     "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
		"an odd coding":   "POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: x\r\n\r\n",
		"length and more": "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"no end":          "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99\r\n\r\nhi",
	} {
		e := Exchange{Client: client, Sent: []byte(raw + "GET /b HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")}
		messages, _, _ := strict.Reader{}.Requests([]byte(second))
		if found := e.Judge(messages); !slices.ContainsFunc(found, func(f Finding) bool { return f.Kind == Smuggled }) {
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestPath(t *testing.T) {
	for s, want := range map[string]string{"/%61%2f?%7e": "/a%2F?~", "/\"#": "/%22%23", "/%zz%": "/%25zz%25", "/a;b=c?d=/": "/a;b=c?d=/", "/\xc3\xa9": "/%C3%A9"} {
		if got := Path(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
