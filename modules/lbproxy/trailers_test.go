package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// trailerBackend answers with the request's Trailer fields and trailers, in the order of the
// alphabet.
func trailerBackend(t *testing.T) string {
	return rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			var seen []string
			chunked := false
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			for ; line != "\r\n"; line, _ = r.ReadString('\n') {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				switch name {
				case "Trailer":
					seen = append(seen, "announced "+value)
				case "Transfer-Encoding":
					chunked = true
				}
			}
			for chunked && line != "0\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			for chunked {
				if line, err = r.ReadString('\n'); err != nil || line == "\r\n" {
					break
				}
				seen = append(seen, strings.TrimSpace(line))
			}
			slices.Sort(seen)
			body := strings.Join(seen, "|")
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
}

// Trailers must not bring a backend what a client may not say in the header.
func TestRequestTrailersThatAreDropped(t *testing.T) {
	address := trailerBackend(t)
	bad := []string{
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-User", "X_Forwarded_For", "X.Sum", "Forwarded", "Via", "Authorization",
		"Proxy-Authorization", "Cookie", "Host", "Range", "If-Match", "Cache-Control", "Content-Type", "Content-Encoding",
		"Upgrade", "HTTP2-Settings", "Early-Data", "Te",
	}
	var lines strings.Builder
	for _, name := range bad {
		lines.WriteString(name + ": 6.6.6.6\r\n")
	}
	body := "4\r\nbody\r\n0\r\n" + lines.String() + "X-Ok: 1\r\nX-Secret: 2\r\nX-Set: 3\r\nX-Un: 4\r\n\r\n"
	request := "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Ok, X-Secret, X-Set, X-Missing, " +
		strings.Join(bad, ", ") + "\r\n\r\n" + body
	const all = "X-Ok: 1|X-Secret: 2|X-Set: 3|announced X-Missing|announced X-Ok|announced X-Secret|announced X-Set"
	const few = "X-Ok: 1|announced X-Missing|announced X-Ok"
	ops := `{"delete":["x-sec*"],"set":{"X-Set":["own"]}}`
	for handler, want := range map[string]string{
		"":                        all,
		`,"request_buffers":1000`: all,
		`,"transport":{"protocol":"http","compression":true}`:    all,
		`,"headers":{"request":` + ops + `}`:                     few,
		`,"filters":[{"filter":"header","request":` + ops + `}]`: few,
		`,"headers":{"request":{"delete":["*"]}}`:                "",
	} {
		p := startProxy(t, upstreams(deadAddress(t), address)+handler)
		// net/http serves a connection on which the first request has chunks, the engine another
		// one.
		for _, first := range []string{request, plainGet} {
			conn, r := p.raw(first)
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_, _ = io.WriteString(conn, request)
			if res, err = http.ReadResponse(r, nil); err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(res.Body)
			// net/http's transport announces all of them in one field.
			got := strings.ReplaceAll(string(text), "announced X-Missing,X-Ok,X-Secret,X-Set", strings.Join(strings.Split(all, "|")[3:], "|"))
			if got != want {
				t.Errorf("%s: the backend saw %s, want %s", handler, got, want)
			}
		}
	}
}

// Trailers of an answer say nothing of its framing, and header_down removes them as well.
func TestAnswerTrailersThatAreDropped(t *testing.T) {
	const trailers = "Content-Length: 99\r\nTransfer-Encoding: chunked\r\nConnection: close\r\nContent-Type: text/html\r\n" +
		"Upgrade: h2c\r\nWww-Authenticate: Basic\r\nX-Secret: 2\r\nX-Set: 3\r\nX-Sum: 4\r\n\r\n"
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%sTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n" + trailers
	announced := "Trailer: X-Sum, X-Secret, X-Set, Www-Authenticate, Upgrade, Content-Type, X-Missing\r\n"
	ops := `{"delete":["X-Secret"],"set":{"X-Set":["own"]}}`
	for handler, want := range map[string]string{
		"": "X-Secret: 2|X-Set: 3|X-Sum: 4",
		`,"transport":{"protocol":"http","compression":true}`:                      "X-Secret: 2|X-Set: 3|X-Sum: 4",
		`,"headers":{"response":` + ops + `}`:                                      "X-Sum: 4",
		`,"filters":[{"filter":"header","response":` + ops + `}]`:                  "X-Sum: 4",
		`,"headers":{"response":{"require":{"status_code":[500]},` + ops[1:] + `}`: "X-Secret: 2|X-Set: 3|X-Sum: 4",
	} {
		for _, fields := range []string{"", announced} {
			address := rawBackend(t, func(conn net.Conn, r *bufio.Reader) {
				for {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					fmt.Fprintf(conn, answer, fields)
				}
			})
			p := startProxy(t, upstreams(address)+handler)
			for _, before := range []string{"", plainGet} {
				conn, r := p.raw(before)
				if before != "" {
					skipAnswer(t, r)
				}
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
				head, got := readHead(t, r), skipBody(t, r)
				if got != want {
					t.Errorf("%s, announced %v: the client got %s, want %s", handler, fields != "", got, want)
				}
				if strings.Contains(head, "Trailer: ") && (strings.Contains(head, "Www-Authenticate") || strings.Contains(head, "Upgrade")) {
					t.Errorf("%s: announced in %q", handler, head)
				}
			}
		}
	}
}

// skipAnswer reads a chunked answer.
func skipAnswer(t *testing.T, r *bufio.Reader) {
	readHead(t, r)
	skipBody(t, r)
}

// skipBody reads a chunked body and returns its trailers, in the order of the alphabet.
func skipBody(t *testing.T, r *bufio.Reader) (trailers string) {
	var seen []string
	for behind := false; ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Errorf("reading a body: %v", err)
			return ""
		}
		switch {
		case behind && line == "\r\n":
			slices.Sort(seen)
			return strings.Join(seen, "|")
		case behind:
			seen = append(seen, strings.TrimSpace(line))
		}
		behind = behind || line == "0\r\n"
	}
}
