package lbproxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// clientCases are ends that are the client's doing.
func clientCases() []blameCase {
	cases := append(unsendableCases(), bodyCases()...)
	cases = append(cases, leavingCases()...)
	cases = append(cases, slowCases()...)
	secure := func(t *testing.T) string {
		s := httptest.NewTLSServer(text("ok"))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	return append(cases,
		blameCase{
			name: "address", cause: causeNamed, send: func(t *testing.T, p *proxy) int { return p.get("/", "X-To", deadAddress(t)).status },
			upstreams: func(*testing.T) string { return `"upstreams":[{"dial":"{http.request.header.X-To}"}]` },
		},
		blameCase{
			name: "server name", cause: causeNamed, send: sends("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"), upstreams: of(secure),
			handler: `"transport":{"protocol":"http","tls":{"server_name":"{http.request.host}"}}`,
		},
	)
}

// h2cBackend is a pool of a backend that speaks HTTP/2.
func h2cBackend(t *testing.T) string {
	s := h2cServer(t, readThenOK)
	return fmt.Sprintf(`"upstreams":[{"dial":%q,"scheme":"h2c"}]`, s.Listener.Addr())
}

// unsendableCases are requests that HTTP/2 can carry to this proxy, but nothing can carry on.
func unsendableCases() (cases []blameCase) {
	fields := func(method, path string, more ...[2]string) [][2]string {
		return append([][2]string{{":method", method}, {":scheme", "http"}, {":authority", "x"}, {":path", path}}, more...)
	}
	for name, way := range map[string]blameCase{
		"engine": {}, "module": {handler: byModule}, "HTTP/2": {upstreams: h2cBackend},
	} {
		for what, request := range map[string][][2]string{
			"space in the query": fields("GET", "/u?a b"), "quote in the method": fields("A\"B", "/"), "space in the method": fields("A B", "/"),
		} {
			c := way
			c.name, c.cause, c.options, c.send = name+", "+what, causeRequest, h2cToo, sendsH2("", request...)
			c.untried = what == "space in the query" && name != "engine" // which finds it as it writes
			cases = append(cases, c)
		}
	}
	small := func(t *testing.T) string {
		s := httptest.NewUnstartedServer(text("ok"))
		s.Config.MaxHeaderBytes = 1000
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		s.Config.Protocols = protocols
		s.Start()
		t.Cleanup(s.Close)
		return fmt.Sprintf(`"upstreams":[{"dial":%q,"scheme":"h2c"}]`, s.Listener.Addr())
	}
	large := "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n"
	warm := func(t *testing.T, p *proxy) int {
		p.get("/") // the backend tells of its limit with its first frame, which may come after a request
		return sends(large)(t, p)
	}
	return append(cases, blameCase{name: "HTTP/2", cause: causeHeader, upstreams: small, send: warm})
}

// bodyCases are bodies that are malformed, or too large.
func bodyCases() (cases []blameCase) {
	malformed := map[string]string{
		"space behind a trailer's name": postHead + "Trailer: X\r\n\r\n3\r\nabc\r\n0\r\nX : y\r\n\r\n",
		"a trailer that goes on":        postHead + "\r\n3\r\nabc\r\n0\r\nX\r\n y\r\n\r\n",
		"no size":                       postHead + "\r\nx\r\nabc\r\n",
		"a chunk that is too long":      postHead + "\r\n3\r\nabcd\r\n0\r\n\r\n",
	}
	for what, request := range malformed {
		cases = append(cases,
			blameCase{name: "first, " + what, cause: causeBody, send: sends(request)},
			blameCase{name: "later, " + what, cause: causeBody, send: sendsLater(request)},
			blameCase{name: "net/http, " + what, cause: causeBody, send: sends(request), options: netHTTPOnly},
			blameCase{name: "module, " + what, cause: causeBody, send: sends(request), handler: byModule},
			blameCase{name: "to HTTP/2, " + what, cause: causeBody, send: sends(request), upstreams: h2cBackend},
			blameCase{name: "net/http to HTTP/2, " + what, cause: causeBody, send: sends(request), upstreams: h2cBackend, options: netHTTPOnly},
		)
	}
	large := postHead + "\r\n3e8\r\n" + strings.Repeat("x", 1000) + "\r\n0\r\n\r\n"
	limited := serverOptions{before: `{"handler":"request_body","max_size":100}`}
	return append(cases,
		blameCase{name: "while the answer comes", cause: causeBody, once: true, status: 200, send: answeredFirst("x\r\n"), upstreams: of(echoing)},
		blameCase{name: "while the answer comes by a module", cause: causeBody, once: true, status: 200, send: answeredFirst("x\r\n"), upstreams: of(echoing), handler: byModule},
		blameCase{
			name: "HTTP/2, another length", cause: causeBody, options: h2cToo,
			send: func(t *testing.T, p *proxy) int {
				status := sendsH2("x", [2]string{":method", "POST"}, [2]string{":scheme", "http"}, [2]string{":authority", "x"}, [2]string{":path", "/"}, [2]string{"content-length", "9"})(t, p)
				if status == 0 {
					status = http.StatusBadRequest // the server resets such a stream, and may do so before the answer
				}
				return status
			},
		},
		blameCase{name: "request_body", cause: causeTooLarge, send: sends(large), options: limited},
		blameCase{name: "request_body, module", cause: causeTooLarge, send: sends(large), options: limited, handler: byModule},
		blameCase{name: "body_limit", cause: causeTooLarge, send: sends(large), handler: `"filters":[{"filter":"body_limit","max_request":100}]`},
	)
}

// echoing is a backend that answers at once, and sends back what it gets.
func echoing(t *testing.T) string {
	return startBackend(t, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(buf[:n])
			_ = control.Flush()
		}
	}).URL
}

// answeredFirst sends a chunk, waits for it to come back, and then sends the rest.
func answeredFirst(rest string) func(t *testing.T, p *proxy) int {
	return func(t *testing.T, p *proxy) int {
		conn, r := p.raw(postHead + "\r\n3\r\nabc\r\n")
		defer conn.Close()
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		if _, err := io.ReadFull(res.Body, make([]byte, 3)); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(conn, rest)
		if _, err := io.Copy(io.Discard, res.Body); err == nil {
			t.Error("the answer seems whole")
		}
		return res.StatusCode
	}
}

// leavingCases are clients that go away.
func leavingCases() []blameCase {
	known := make(chan struct{}, 100)
	noting := of(func(t *testing.T) string {
		return startBackend(t, func(_ http.ResponseWriter, r *http.Request) {
			known <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}).URL
	})
	streaming := of(func(t *testing.T) string {
		return startBackend(t, func(w http.ResponseWriter, r *http.Request) {
			known <- struct{}{}
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 10_000)); err != nil {
					return
				}
			}
		}).URL
	})
	return []blameCase{
		{name: "before the answer", cause: causeCanceled, upstreams: noting, send: leaves(plainGet, known)},
		{name: "before the answer by a module", cause: causeCanceled, upstreams: noting, send: leaves(plainGet, known), handler: byModule},
		{name: "within its body", cause: causeCanceled, upstreams: noting, send: leaves("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", known)},
		{name: "within a chunk", cause: causeCanceled, upstreams: noting, send: leaves(postHead+"\r\n9\r\nabc", known)},
		{name: "within a chunk, net/http", cause: causeCanceled, upstreams: noting, send: leaves(postHead+"\r\n9\r\nabc", known), options: netHTTPOnly},
		{name: "within the answer", cause: causeCanceled, upstreams: streaming, send: leaves(plainGet, known)},
		{name: "within the answer by a module", cause: causeCanceled, upstreams: streaming, send: leaves(plainGet, known), handler: byModule},
	}
}

// slowCases are bodies that do not come.
func slowCases() (cases []blameCase) {
	const stalled, chunks = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", postHead + "\r\n9\r\nabc"
	impatient := rawly(func(_ net.Conn, r *bufio.Reader) {
		if req, err := http.ReadRequest(r); err == nil {
			_, _ = io.ReadFull(req.Body, make([]byte, 3))
			time.Sleep(unlessSlow + 200*time.Millisecond)
		}
	})
	reading := serverOptions{server: `"read_timeout":"100ms"`}
	readingNetHTTP := serverOptions{server: `"read_timeout":"100ms"`, apps: netHTTPOnly.apps}
	for name, handler := range map[string]string{"engine": "", "module": byModule} {
		cases = append(cases,
			blameCase{name: name + ", read_timeout", cause: causeSlow, handler: handler, options: reading, send: sends(stalled)},
			blameCase{name: name + ", read_timeout, chunks", cause: causeSlow, handler: handler, options: reading, send: sends(chunks)},
			blameCase{name: name + ", read_timeout, later", cause: causeSlow, handler: handler, options: reading, send: sendsLater(chunks)},
			blameCase{name: name + ", read_timeout, net/http", cause: causeSlow, handler: handler, options: readingNetHTTP, send: sends(stalled)},
			blameCase{
				name: name + ", while the answer comes", cause: causeSlow, handler: handler, once: true, status: 200, send: answeredFirst(""),
				options: reading, upstreams: of(echoing),
			},
			blameCase{
				name: name + ", try_timeout", cause: causeSlow, handler: handler, balance: `,"try_timeout":"100ms"`, send: sends(stalled),
				upstreams: of(func(t *testing.T) string { b, _ := hanging(t); return b.URL }),
			},
			blameCase{name: name + ", the backend does not wait", cause: causeSlow, handler: handler, send: sends(stalled), upstreams: impatient},
			blameCase{name: name + ", the backend does not wait", cause: causeOpen, handler: handler, send: sends(chunks), upstreams: impatient},
			blameCase{
				name: name + ", try_timeout", cause: causeOpen, status: http.StatusGatewayTimeout, handler: handler,
				balance: `,"try_timeout":"100ms"`, send: sends(chunks),
				upstreams: of(func(t *testing.T) string { b, _ := hanging(t); return b.URL }),
			},
		)
	}
	return cases
}

// A client that is told that its body did not come in time is told to begin on another connection
// (RFC 9110, section 15.5.9).
func TestSlowBodiesEndTheConnection(t *testing.T) {
	for name, options := range map[string]serverOptions{"own": {server: `"read_timeout":"100ms"`}, "net/http": {server: `"read_timeout":"100ms"`, apps: netHTTPOnly.apps}} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, upstreams(startBackend(t, text("ok")).URL), options)
			_, r := p.raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != http.StatusRequestTimeout || !res.Close {
				t.Errorf("status %d, close %v", res.StatusCode, res.Close)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Errorf("the connection does not end: %v", err)
			}
		})
	}
}
